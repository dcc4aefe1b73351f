"""Looks for a run that fails: by schedules drawn from a seed, by all of them, or by a plan that is already known."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

import attrs

from actorkit.testing.simulation.conductor import BY_IDLENESS
from actorkit.testing.simulation.exhaustive import Diverged, Exploration, Transition, explore
from actorkit.testing.simulation.plan import Plan
from actorkit.testing.simulation.report import Found, check_same
from actorkit.testing.simulation.runner import Outcome, Simulation
from actorkit.testing.simulation.shrinking import shrink
from actorkit.testing.simulation.sim import Violated
from actorkit.testing.simulation.strategies import Name, Planned, strategies
from actorkit.testing.trace import Began, Ended, Handled, Lost, Sent

SHRINK_RUNS = 400
_SHORTEST = 4  # steps to spread disturbances over, at least


class PlanNoLongerMatches(AssertionError):
    """A replayed plan gave another run than the one it was recorded from."""


class IncompleteExploration(UserWarning):
    """An exhaustive search was stopped before it had seen every interleaving."""


class NeverHappened(AssertionError):
    """What must sometimes happen happened in no run."""


@attrs.define
class Search:
    """Counts what was seen, over all runs.

    Attributes:
        runs: how many runs there were.
        seen: how often each ``sometimes`` claim held.
    """

    runs: int = 0
    seen: Counter[str] = attrs.Factory(Counter)

    def count(self, outcome: Outcome) -> Outcome:
        """Take a run into account."""
        self.runs += 1
        for claim, times in outcome.seen.items():
            self.seen[claim] += times
        return outcome


def draw_schedules(
    simulation: Simulation, search: Search, *, strategy: Name, examples: int, seed: int
) -> Found | None:
    """Run under schedules drawn from a seed until one fails, at most ``examples`` of them.

    Disturbances fall within the length of the first run, which nothing disturbs: were it that of the longest, one run that
    waited long for something would thin them out in all that follow.
    """
    horizon = 0

    def tally(outcome: Outcome) -> bool:
        nonlocal horizon
        horizon = horizon or max(_SHORTEST, outcome.steps)
        return search.count(outcome).failure is not None

    drawn = strategies(
        strategy,
        rng=random.Random,
        seed=seed,
        horizon=lambda: horizon or _SHORTEST,
        faults=len(simulation.faults),
    )
    bad = simulation.run_all(islice(drawn, examples), tally)
    if bad is None:
        return None
    return confirmed(simulation, bad, search, f"strategy {strategy!r} with seed {seed}")


def confirmed(
    simulation: Simulation,
    outcome: Outcome,
    search: Search,
    how: str,
    data: Mapping[str, object] | None = None,
    *,
    found_in: int | None = None,
) -> Found:
    """Run a failing plan again, twice; make it small; and record it.

    Raises:
        UncontrolledNondeterminism: it did not fail again, or not in the same way.
    """
    again, once_more = (simulation.run(Planned(outcome.plan), record=True) for _ in range(2))
    check_same(again, once_more)
    check_same(outcome, again)
    kind = _kind(again.failure)
    runs = 0

    def fails(plan: Plan) -> bool:
        nonlocal runs
        runs += 1
        return _kind(simulation.run(Planned(plan)).failure) == kind

    small = shrink(again.plan, fails, max_runs=SHRINK_RUNS)
    final = simulation.run(Planned(small), record=True)
    return Found(final, how, found_in or search.runs, runs, data or {})


def _kind(failure: BaseException | None) -> object:
    if isinstance(failure, Violated):
        return str(failure)
    return type(failure) if failure is not None else None


def replayed(simulation: Simulation, token: str) -> Outcome:
    """Run a plan from its token, recorded.

    Raises:
        ValueError: it is no token.
        PlanNoLongerMatches: the run is not the one the token was made from, and did not fail either.
    """
    plan, digest = Plan.from_token(token)
    outcome = simulation.run(Planned(plan), record=True)
    if outcome.failure is None and digest and not outcome.digest.startswith(digest):
        raise PlanNoLongerMatches(
            f"{token} was recorded from another run: the test or the code has changed since, so this plan says "
            "nothing any more. Run the simulation without it"
        )
    return outcome


# Exhaustive -------------------------------------------------------------------------------------------------------


class Prescribed:
    """Follows a list of labels, then goes on first in, first out."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._next = 0

    def choose(self, _: int, options: Sequence[str]) -> int:
        """The option that the list names.

        Raises:
            Diverged: it is not there.
        """
        at = self._next
        if at >= len(self._labels):
            return 0
        self._next += 1
        label = self._labels[at]
        if label not in options:
            raise Diverged(at, f"{label} cannot go on, only {', '.join(options)} can")
        return options.index(label)

    def faults(self, _: int) -> Sequence[tuple[int, int]]:
        """None: a search through all interleavings disturbs nothing."""
        return ()


def try_all(
    simulation: Simulation, search: Search, *, max_traces: int
) -> tuple[Exploration, Found | None]:
    """Run every interleaving that could make a difference.

    Two turns make no difference to each other if they belong to different actors or tasks and put nothing into the same
    mailbox.
    """
    bad: list[Outcome] = []

    def run(prefix: Sequence[str]) -> Sequence[Transition]:
        outcome = search.count(simulation.run(Prescribed(prefix), record=True, keep_turns=True))
        if outcome.failure is not None:
            if not isinstance(outcome.failure, Diverged):
                bad.append(outcome)
            raise outcome.failure
        return transitions(outcome)

    exploration = explore(run, max_traces=max_traces)
    found = confirmed(simulation, bad[-1], search, "trying every interleaving") if bad else None
    if found is None and not exploration.complete:
        warnings.warn(IncompleteExploration(str(exploration)), stacklevel=2)
    return exploration, found


def transitions(outcome: Outcome) -> list[Transition]:
    """What each turn of a recorded run did to others."""
    events = list(outcome.trace or ())
    ends = [turn.events for turn in outcome.turns[1:]] + [len(events)]
    sent_in: dict[int, int] = {}
    found: list[Transition] = []
    for index, (turn, end) in enumerate(zip(outcome.turns, ends, strict=True)):
        causes = set(range(index)) if turn.roused_in == BY_IDLENESS else {turn.roused_in}
        writes = {"world"} if turn.label.startswith("clock") else set[str]()
        for event in events[turn.events : end]:
            if isinstance(event, Sent):
                sent_in[event.number] = index
                writes.add(f"mail:{event.receiver}")
            elif isinstance(event, Handled):
                causes.add(sent_in.get(event.number, index))
            elif isinstance(event, (Began, Ended)):
                writes |= {"world", event.actor}
            elif isinstance(event, Lost):
                writes.add("world")
        earlier = tuple(sorted(cause for cause in causes if 0 <= cause < index))
        found.append(Transition(turn.label, turn.options, frozenset(writes), earlier))
    return found


def fresh_seed() -> int:
    """A seed for a search that was given none."""
    return random.SystemRandom().randrange(2**32)
