"""Runs a small closed test under every interleaving that could make a difference, and counts them.

Two steps of different processes *conflict* if they touch the same thing: two sends to one mailbox, two uses of the world. Runs
that order all conflicting steps alike are one *trace* (Mazurkiewicz): nobody inside can tell them apart, so one of them is
enough. Four clients that read and then write one counter have 13 million schedules and 2,520 traces.

The search is stateless: it knows the system only by running it from the start. It is source-DPOR with sleep sets (Abdulla,
Aronis, Jonsson, Sagonas, POPL 2014). After each run, every *race* (a conflicting pair with nothing in between that forces its
order) plants a new run where the order is reversed, unless one that is planned or done covers it. A sleep set holds processes
whose next step need not be tried now, because all that begins with it has been seen, until something it conflicts with goes
first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs

Run: TypeAlias = Callable[[Sequence[str]], "Sequence[Transition]"]


@attrs.frozen(slots=True)
class Transition:
    """What one step of a real run did.

    Attributes:
        process: the option that was run.
        enabled: the options there were, this one among them.
        writes: the shared things it touched, by names of your choice: ``mail:/bank`` for a mailbox it sent to, ``world`` for
            names and starts. A step touches its own process, too; one that changes what *another* process's next step will
            do (a kill, mail that overtakes) must name that process here.
        causes: indices of the earlier steps without which it could not have happened: the sends of what it handled, what
            made it able to go on.
    """

    process: str
    enabled: tuple[str, ...]
    writes: frozenset[str] = frozenset()
    causes: tuple[int, ...] = ()

    @property
    def touched(self) -> frozenset[str]:
        """Everything it touched, its own process included."""
        return self.writes | {self.process}


class Diverged(Exception):
    """A run did not follow the schedule it was given, although an earlier run showed that it can be followed.

    Attributes:
        step: the index in the schedule.
    """

    def __init__(self, step: int, what: str) -> None:
        self.step = step
        super().__init__(
            f"at step {step} of a schedule that must be possible, {what}. Either something decides that the simulation does "
            "not hold (threads, the real clock, the order of a set), or two steps that conflict were reported to have nothing "
            "to do with each other"
        )


@attrs.frozen
class Failure:
    """A run that failed.

    Attributes:
        schedule: who ran, in order; then first in, first out.
        error: what the run raised.
    """

    schedule: tuple[str, ...]
    error: BaseException


@attrs.frozen
class Exploration:
    """How far an exploration came.

    Attributes:
        complete: no trace is left untried.
        traces: distinct traces seen.
        runs: runs it took.
        failure: the run that failed, with which the exploration ended.
        stopped_at: the limit that ended it: ``max_traces`` or ``max_runs``.
    """

    complete: bool
    traces: int
    runs: int
    failure: Failure | None = None
    stopped_at: str = ""

    @property
    def redundant(self) -> int:
        """Runs that showed a trace which had been seen before."""
        return self.runs - self.traces - (self.failure is not None)

    def __str__(self) -> str:
        traces = f"{self.traces:,} trace{'' if self.traces == 1 else 's'}"
        if self.failure is not None:
            return f"failed after {traces}: {self.failure.error!r}"
        return (
            f"complete: {traces}"
            if self.complete
            else f"incomplete: {traces}, stopped at {self.stopped_at}"
        )


def explore(run: Run, *, max_traces: int = 5000, max_runs: int | None = None) -> Exploration:
    """Run every trace of a closed system once, until one fails.

    Args:
        run: runs the system to its end from the start: first these processes, one step each, then any. It raises what the
            test raises; and ``Diverged`` if a process cannot go on when it should.
        max_traces: stop after so many.
        max_runs: stop after so many runs, redundant ones included; four times ``max_traces`` unless given.

    Raises:
        Diverged: the same schedule gave two different runs, or one that must be possible was not.
    """
    limit = 4 * max_traces if max_runs is None else max_runs
    tree = _Tree()
    seen: set[tuple[str, ...]] = set()
    runs = 0
    schedule: tuple[str, ...] | None = ()
    while schedule is not None:
        if len(seen) >= max_traces or runs >= limit:
            why = "max_traces" if len(seen) >= max_traces else "max_runs"
            return Exploration(False, len(seen), runs, stopped_at=why)
        runs += 1
        try:
            steps = run(schedule)
        except (Diverged, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - test libraries fail with more than Exception
            return Exploration(False, len(seen), runs, Failure(schedule, error))
        past = _History(steps)
        tree.grow(schedule, steps, past)
        seen.add(past.canonical())
        schedule = tree.next_schedule()
    return Exploration(True, len(seen), runs)


class _History:
    """Which steps of a run happened before which; sets of steps are bits of a number."""

    def __init__(self, steps: Sequence[Transition]) -> None:
        self.steps = steps
        self.past: list[int] = []
        self.races: list[tuple[int, int]] = []
        self.overtaken: list[tuple[int, str]] = []
        self._levels: list[int] = []
        self._touched_by: dict[str, int] = {}
        for index, step in enumerate(steps):
            self._add(index, step)

    def canonical(self) -> tuple[str, ...]:
        """Who ran in Foata's normal form: the same for two runs exactly if they are the same trace."""
        order = sorted(
            range(len(self.steps)), key=lambda i: (self._levels[i], self.steps[i].process)
        )
        return tuple(self.steps[i].process for i in order)

    def _add(self, index: int, step: Transition) -> None: ...
