"""Makes a failing plan small: first fewer deviations, then milder and earlier ones.

Deviations are dropped by delta debugging (Zeller, Hildebrandt, TSE 2002): in big pieces first, then in smaller ones, until no
single one can go. Then each number is lowered as far as the failure allows: faults' arguments and numbers, skips, steps. All of it
is tried again until nothing helps any more. Nothing is left to chance, so one plan always shrinks to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import attrs

from actorkit.testing.simulation.plan import Delay, FaultAt, Plan

Item: TypeAlias = Delay | FaultAt


@attrs.frozen
class Shrunk:
    """What came of shrinking.

    Attributes:
        plan: the smallest failing plan found.
        runs: how many plans were run.
        minimal: nothing more can be done: no deviation can be dropped, no number lowered by one. False if ``max_runs`` ended it.
    """

    plan: Plan
    runs: int
    minimal: bool

    def __str__(self) -> str:
        size = f"{self.plan.size} deviation{'' if self.plan.size == 1 else 's'}"
        return f"{size} after {self.runs:,} runs" + ("" if self.minimal else ", not yet minimal")


def shrink(plan: Plan, fails: Callable[[Plan], bool], *, max_runs: int) -> Plan:
    """Make a failing plan small; ``shrunk`` says more, and also tells how many runs it took."""
    return shrunk(plan, fails, max_runs=max_runs).plan


def shrunk(plan: Plan, fails: Callable[[Plan], bool], *, max_runs: int) -> Shrunk:
    """Make a failing plan small.

    Args:
        plan: it fails; that is taken on trust.
        fails: runs a plan and tells whether it fails in the same way. Asked at most once for each plan.
        max_runs: how often ``fails`` may be asked.
    """
    trial = _Trial(plan, fails, max_runs)
    try:
        _reduce(trial)
    except _Spent:
        return Shrunk(trial.best, trial.runs, minimal=False)
    return Shrunk(trial.best, trial.runs, minimal=True)


class _Spent(Exception):
    """There are no runs left."""


class _Trial:
    """The smallest failing plan so far, as a list of items, and what was tried."""

    def __init__(self, plan: Plan, fails: Callable[[Plan], bool], max_runs: int) -> None:
        self.best = plan
        self.runs = 0
        self._fails = fails
        self._max_runs = max_runs
        self._passed: set[Plan] = set()

    @property
    def items(self) -> list[Item]:
        """Delays and faults in one list."""
        return [*self.best.delays, *self.best.faults]

    def take(self, items: Iterable[Item]) -> bool:
        """Try a plan of these items; keep it if it fails."""
        plan = _plan_of(items)
        if plan is None or plan in self._passed:
            return False
        if plan == self.best:
            return True
        if self.runs >= self._max_runs:
            raise _Spent
        self.runs += 1
        if self._fails(plan):
            self.best = plan
            return True
        self._passed.add(plan)
        return False


def _plan_of(items: Iterable[Item]) -> Plan | None:
    """None if two delays fall on one step: that is no plan."""
    delays: dict[int, Delay] = {}
    faults: list[FaultAt] = []
    for item in items:
        if isinstance(item, FaultAt):
            faults.append(item)
        elif item.step in delays:
            return None
        else:
            delays[item.step] = item
    return Plan(tuple(delays.values()), tuple(faults))


def _reduce(trial: _Trial) -> None:
    before = None
    while before != trial.best:
        before = trial.best
        _drop(trial)
        for place in range(trial.best.size):
            _pull_forward(trial, sorted(item.step for item in trial.items)[place])
        for item in trial.items:
            _lower(trial, item)


def _drop(trial: _Trial) -> None:
    """Drop items until none can go alone."""
    if not trial.items or trial.take(()):
        return
    pieces = 2
    while len(trial.items) > 1:
        found = _drop_piece(trial, pieces)
        if found:
            pieces = max(2, found)
        elif pieces >= len(trial.items):
            return
        else:
            pieces = min(len(trial.items), 2 * pieces)


def _drop_piece(trial: _Trial, pieces: int) -> int:
    """Keep one piece, or drop one. Returns into how many to cut the rest; 0 if all pieces are needed."""
    cut = _cut(trial.items, pieces)
    for piece in cut:
        if trial.take(piece):
            return 2
    if pieces > 2:  # of two pieces, dropping one is keeping the other
        for left_out in range(pieces):
            rest = (item for n, piece in enumerate(cut) if n != left_out for item in piece)
            if trial.take(rest):
                return pieces - 1
    return 0


def _cut(items: Sequence[Item], pieces: int) -> list[Sequence[Item]]:
    ends = [len(items) * n // pieces for n in range(pieces + 1)]
    return [items[ends[n] : ends[n + 1]] for n in range(pieces)]


def _pull_forward(trial: _Trial, step: int) -> None:
    """Move everything from a step on to earlier steps, all by as much: what matters is often how far apart things are."""
    items = trial.items

    def works(to: int) -> bool:
        return trial.take(
            _with(item, "step", item.step - step + to) if item.step >= step else item
            for item in items
        )

    _lowest(step, 0, works)


def _lower(trial: _Trial, item: Item) -> None:
    """Lower the numbers of one item, one after the other."""
    if isinstance(item, FaultAt):
        item = _lowered(trial, item, "arg", 0)
    else:
        item = _lowered(trial, item, "skip", 1)
    _lowered(trial, item, "step", 0)


def _lowered(trial: _Trial, item: Item, name: str, least: int) -> Item:
    items = trial.items
    place = items.index(item)

    def changed(to: int) -> Item:
        return _with(item, name, to)

    def works(to: int) -> bool:
        return trial.take([*items[:place], changed(to), *items[place + 1 :]])

    return changed(_lowest(getattr(item, name), least, works))


def _with(item: Item, name: str, number: int) -> Item:
    numbers: dict[str, Any] = {name: number}
    return attrs.evolve(item, **numbers)


def _lowest(value: int, least: int, works: Callable[[int], bool]) -> int:
    """Find by bisection a number that works while the one below it does not; ``value`` works."""
    if value == least or works(least):
        return least
    low, high = least, value
    while high - low > 1:
        middle = (low + high) // 2
        if works(middle):
            high = middle
        else:
            low = middle
    return high
