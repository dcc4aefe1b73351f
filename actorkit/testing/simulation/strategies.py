"""Ways of making a run's choices. None of them knows what the options are; they see labels and count steps.

================  =====================================================================================================
``random``        every option alike, every time. Finds what many schedules would show.
``sticky``        goes on with the same one seven times in eight: long stretches, few switches. Random walks rarely let
                  anybody run for long.
``pct``           a strict order of rank that changes a few times. Finds what needs one participant to be starved for
                  long; comes with a guarantee (see ``Pct``).
``delay``         first in, first out, but for a few moments. Finds what needs one or two surprises; shrinks best.
``portfolio``     the four in turn: what one is blind to, another sees. The default for many runs.
================  =====================================================================================================

A strategy serves one run. All chance comes from the generator it is given, of which only ``random()`` and ``getrandbits()``
are used: their values are the same on every version of Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from math import inf, log
from typing import Literal, Protocol, TypeAlias

from actorkit.testing.simulation.plan import Plan

Name: TypeAlias = Literal["random", "sticky", "pct", "delay", "portfolio"]
Strike: TypeAlias = tuple[int, int]

_NOTHING: tuple[Strike, ...] = ()
_QUIET = 0.125  # share of the runs without any fault
_DEEPEST = 5  # largest depth tried by pct; the chance to hit an ordering falls with each level
_DELAYS = 6  # most delays of one run

Faults: TypeAlias = Callable[[int], Sequence[Strike]]


class Rng(Protocol):
    """Where chance comes from: a ``random.Random``, which is not imported here so that nothing rolls dice of its own."""

    def random(self) -> float:
        """A float from 0 to below 1."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """A whole number of ``k`` bits."""
        ...


class Strategy(Protocol):
    """Makes the choices of one run.

    Steps count turns, from 0: each time an actor or a task goes on. Options are labels, longest waiting first.
    """

    def choose(self, step: int, options: Sequence[str], /) -> int:
        """Tell which option goes on: an index. Asked only where there are several."""
        ...

    def faults(self, step: int, /) -> Sequence[Strike]:
        """The faults that strike before this step, each with an argument; asked once for each step, in order."""
        ...


def no_faults(_step: int, /) -> Sequence[Strike]:
    """Nothing breaks."""
    return _NOTHING


class FaultDice:
    """Faults by chance: some kinds of them, so often on average, each with an argument of any magnitude.

    Args:
        kinds: numbers of the faults that may strike.
        rate: how many strike per step, on average; more than 0, at most 1.
    """

    __slots__ = ("_kinds", "_log_calm", "_next", "_rng")

    def __init__(self, rng: Rng, *, kinds: Sequence[int], rate: float) -> None:
        if not kinds or not 0 < rate <= 1:
            raise ValueError(
                f"faults need at least one kind and a rate above 0 and up to 1, "
                f"got kinds {kinds!r} and rate {rate!r}; for a run without faults, use no_faults"
            )
        self._rng = rng
        self._kinds = tuple(kinds)
        self._log_calm = log(1 - rate) if rate < 1 else 0.0
        self._next = self._calm()

    def __call__(self, step: int, /) -> Sequence[Strike]:
        """The faults of this step, for a strategy's ``faults``."""
        if step < self._next:
            return _NOTHING
        self._next = step + 1 + self._calm()
        kind = self._kinds[int(self._rng.random() * len(self._kinds))]
        return ((kind, self._rng.getrandbits(1 + int(self._rng.random() * 16))),)

    def _calm(self) -> int:
        """Steps until the next strike: drawn once instead of rolling dice at each."""
        return int(log(1 - self._rng.random()) / self._log_calm) if self._log_calm else 0


def swarm(rng: Rng, faults: int, horizon: int) -> Faults:
    """Draw which faults one run will see, and how often: some only, since all at once hide each other's bugs.

    One run in eight is left in peace.

    Args:
        rng: what to draw with.
        faults: how many kinds the test has.
        horizon: about how many steps a run takes.
    """
    if faults == 0 or rng.random() < _QUIET:
        return no_faults
    chosen = 1 + int(rng.random() * (2**faults - 1))
    kinds = [kind for kind in range(faults) if chosen >> kind & 1]
    expected = (1, 2, 4)[int(rng.random() * 3)]
    return FaultDice(rng, kinds=kinds, rate=min(1.0, expected / max(1, horizon)))


class Fifo:
    """First in, first out: the plainest schedule there is."""

    __slots__ = ("_faults",)

    def __init__(self, *, faults: Faults = no_faults) -> None:
        self._faults = faults

    def choose(self, _step: int, _options: Sequence[str], /) -> int:
        """The first."""
        return 0

    def faults(self, step: int, /) -> Sequence[Strike]:
        """Those it was given."""
        return self._faults(step)


class Planned:
    """Follows a plan, and is first in, first out wherever the plan is silent."""

    __slots__ = ("_skips", "_strikes", "plan")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._skips = {delay.step: delay.skip for delay in plan.delays}
        self._strikes: dict[int, list[Strike]] = {}
        for fault in plan.faults:
            self._strikes.setdefault(fault.step, []).append((fault.fault, fault.arg))

    def choose(self, step: int, options: Sequence[str], /) -> int:
        """The planned one."""
        return self._skips.get(step, 0) % len(options)

    def faults(self, step: int, /) -> Sequence[Strike]:
        """The planned ones."""
        return self._strikes.get(step, _NOTHING)


class Random:
    """A random walk: every option is as likely as any other."""

    __slots__ = ("_faults", "_random")

    def __init__(self, rng: Rng, *, faults: Faults = no_faults) -> None:
        self._random = rng.random
        self._faults = faults

    def choose(self, _step: int, options: Sequence[str], /) -> int:
        """Any."""
        return int(self._random() * len(options))

    def faults(self, step: int, /) -> Sequence[Strike]:
        """Those it was given."""
        return self._faults(step)


class Sticky:
    """A random walk that mostly goes on with whoever went last.

    Args:
        stay: how likely it goes on with the same one where it can. By default 7/8: it switches when three coins all
            show heads, as Coyote's probabilistic strategy with bound 3 does.
    """

    __slots__ = ("_faults", "_last", "_random", "_stay")

    def __init__(self, rng: Rng, stay: float = 7 / 8, *, faults: Faults = no_faults) -> None:
        if not 0 <= stay < 1:
            raise ValueError(
                f"stay is a probability from 0 to below 1 (at 1 nobody else ever runs), got {stay!r}"
            )
        self._random = rng.random
        self._stay = stay
        self._last = ""
        self._faults = faults

    def choose(self, _step: int, options: Sequence[str], /) -> int:
        """The last one again, or any."""
        if self._random() < self._stay and self._last in options:
            return options.index(self._last)
        index = int(self._random() * len(options))
        self._last = options[index]
        return index

    def faults(self, step: int, /) -> Sequence[Strike]:
        """Those it was given."""
        return self._faults(step)


class Pct:
    """Ranks everybody at random and lets the first in rank go on, always; a few times it puts the first to the bottom.

    Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010). A bug that needs ``depth``
    ordering constraints to be met, in a run of k choices among n participants, is found with a probability of at least
    1 / (n * k**(depth - 1)), however long one participant must wait for it. Here a participant is a label; one that appears
    late gets a random rank among the others. Only steps with a choice count, so that k is small; a change therefore strikes
    *before* the step, where it makes the difference.

    Strict rank is unfair: whoever spins at the top starves the rest. So after ``horizon`` choices it walks at random.

    Args:
        depth: how many ordering constraints to aim at, from 1; there are ``depth - 1`` changes of rank.
        horizon: about how many choices a run makes; changes fall within it.
    """

    __slots__ = ("_changes", "_count", "_faults", "_horizon", "_random", "_ranks")

    def __init__(self, rng: Rng, depth: int, horizon: int, *, faults: Faults = no_faults) -> None:
        if depth < 1 or horizon < 1:
            raise ValueError(
                f"depth and horizon are whole numbers from 1 up, got {depth!r} and {horizon!r}"
            )
        self._faults = faults
        self._random = rng.random
        self._count = -1
        self._horizon = horizon
        self._ranks: dict[str, float] = {}
        # Ranks from random() lie in [0, 1); a change puts below all of them. As in the paper, the rank a change gives
        # does not depend on when it comes, so a later one may end up above an earlier one.
        self._changes = {int(rng.random() * horizon): -float(nth) for nth in range(1, depth)}

    def choose(self, _step: int, options: Sequence[str], /) -> int:
        """The first in rank."""
        if len(options) < 2:
            return 0
        self._count += 1
        if self._count >= self._horizon:
            return int(self._random() * len(options))
        first = self._first(options)
        if self._count in self._changes:
            self._ranks[options[first]] = self._changes[self._count]
            return self._first(options)
        return first

    def faults(self, step: int, /) -> Sequence[Strike]:
        """Those it was given."""
        return self._faults(step)

    def _first(self, options: Sequence[str]) -> int:
        ranks = self._ranks
        first, highest = 0, -inf
        for index, label in enumerate(options):
            rank = ranks.get(label)
            if rank is None:
                rank = ranks[label] = self._random()
            if rank > highest:
                first, highest = index, rank
        return first


class DelayBounding:
    """First in, first out, but for a few delays at random steps (Emmi, Qadeer, Rakamaric, POPL 2011).

    Args:
        delays: most delays of the run, from 1; passing over two options at once counts as two. How many there are is drawn,
            too, since most bugs need one or two, and others only get in the way.
        horizon: about how many choices a run makes; delays fall within it.
    """

    __slots__ = ("_faults", "_skips", "plan")

    def __init__(self, rng: Rng, delays: int, horizon: int, *, faults: Faults = no_faults) -> None:
        if delays < 1 or horizon < 1:
            raise ValueError(
                f"delays and horizon are whole numbers from 1 up, got {delays!r} and {horizon!r}"
            )
        self._skips = _drawn_skips(rng, 1 + int(rng.random() * delays), horizon)
        self.plan = Plan.of(self._skips.items())
        self._faults = faults

    def choose(self, step: int, options: Sequence[str], /) -> int:
        """The first, or the one behind those that are delayed."""
        return self._skips.get(step, 0) % len(options)

    def faults(self, step: int, /) -> Sequence[Strike]:
        """Those it was given."""
        return self._faults(step)


def _drawn_skips(rng: Rng, budget: int, horizon: int) -> dict[int, int]:
    skips: dict[int, int] = {}
    step = 0
    for _ in range(budget):
        # Half of the delays fall where one is already: that is how somebody far back in the line gets to the front.
        if not skips or rng.random() < 0.5:
            step = int(rng.random() * horizon)
        skips[step] = skips.get(step, 0) + 1
    return skips


def strategies(
    name: Name,
    *,
    seed: int,
    rng: Callable[[str], Rng],
    horizon: int | Callable[[], int],
    faults: int = 0,
) -> Iterator[Strategy]:
    """Strategies without end, a fresh one for each run. The first is first in, first out without faults.

    A run depends on the seed and its own number alone, so run 731 can be made without the 730 before it (if the horizon is
    the same).

    Args:
        name: one of those in the table above.
        seed: of the whole series.
        rng: makes a generator from a text, as ``random.Random`` does.
        horizon: about how many choices a run makes; if it can be called, it is asked before each run, and may tell what
            was seen so far.
        faults: how many kinds of faults the test has; each run sees some of them.
    """
    if name not in _FAMILIES:
        known = ", ".join(_FAMILIES)
        raise ValueError(f"there is no strategy {name!r}; choose one of {known}")
    if faults < 0:
        raise ValueError(f"faults is the number of kinds of faults, from 0 up, got {faults!r}")
    family = _FAMILIES[name]

    def each() -> Iterator[Strategy]:
        yield Fifo()
        for number in count(1):
            steps = max(1, horizon() if callable(horizon) else horizon)
            dice = rng(f"{seed}/{number}")
            breaks = swarm(dice, faults, steps)
            yield family[number % len(family)](dice, steps, breaks)

    return each()


_Recipe: TypeAlias = Callable[[Rng, int, Faults], Strategy]


def _random(rng: Rng, _horizon: int, faults: Faults) -> Strategy:
    return Random(rng, faults=faults)


def _sticky(rng: Rng, _horizon: int, faults: Faults) -> Strategy:
    return Sticky(rng, faults=faults)


def _pct(rng: Rng, horizon: int, faults: Faults) -> Strategy:
    depth = 2 + int(rng.random() * (_DEEPEST - 1))
    return Pct(rng, depth, horizon, faults=faults)


def _delay(rng: Rng, horizon: int, faults: Faults) -> Strategy:
    return DelayBounding(rng, _DELAYS, horizon, faults=faults)


_FAMILIES: dict[str, tuple[_Recipe, ...]] = {
    "random": (_random,),
    "sticky": (_sticky,),
    "pct": (_pct,),
    "delay": (_delay,),
    "portfolio": (_delay, _random, _sticky, _pct),
}
