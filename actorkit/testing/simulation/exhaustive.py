"""Runs a small closed test under every interleaving that could make a difference, and counts them.

Two steps of different processes *conflict* if they touch the same thing: two sends to one mailbox, two uses of the world. Runs
that order all conflicting steps alike are one *trace* (Mazurkiewicz): nobody inside can tell them apart, so one of them is
enough. Four clients that read and then write one counter have millions of schedules and 2,520 traces.

The search is stateless: it knows the system only by running it from the start. It is source-DPOR with sleep sets (Abdulla,
Aronis, Jonsson, Sagonas, POPL 2014). After each run, every *race* (two steps that conflict, with nothing in between that forces
their order) calls for a run in which the later one goes first, unless one that is planned or done shows that, too. A sleep set
holds the processes whose next step need not be tried, because all that begins with it has been seen, until something that it
conflicts with goes first. The paper's steps touch what they touch in whatever order they come; here a step that looks at the
world may do something else. Therefore what a sleeping step touches is taken from the run that showed it, never from a run in
which it came later; and races are reversed at the end of a run, so that all that could go first is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
            names and starts. A step touches its own process, too. One that changes what *another* process's next step does,
            or takes it away (a kill, mail that overtakes), must name that process here, and all that could have made it able
            to go on: its mailbox, what a start touches.
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
    """A run did not follow a schedule although earlier runs showed that it can be followed.

    Attributes:
        step: the index in the schedule.
    """

    def __init__(self, step: int, what: str) -> None:
        super().__init__(step, what)
        self.step = step
        self.what = what

    def __str__(self) -> str:
        return (
            f"at step {self.step} of a schedule that must be possible, {self.what}. Either something decides that is not part "
            "of the schedule (a thread, the real clock, the order of a set: find it and put it under control), or two steps "
            "that affect each other share neither a write nor a cause (add it)"
        )


@attrs.frozen
class Failure:
    """A run that failed.

    Attributes:
        schedule: who was told to run, in order; then whoever ``run`` chooses.
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
        failure: the run that failed and ended the exploration.
        stopped_at: the limit that ended it: ``max_traces`` or ``max_runs``.
    """

    complete: bool
    traces: int
    runs: int
    failure: Failure | None = None
    stopped_at: str = ""

    @property
    def redundant(self) -> int:
        """Runs that showed a trace that had been seen before."""
        return self.runs - self.traces - (self.failure is not None)

    def __str__(self) -> str:
        traces = f"{self.traces:,} trace{'' if self.traces == 1 else 's'}"
        if self.failure is not None:
            return f"failed after {traces}: {self.failure.error!r}"
        if self.complete:
            return f"complete: {traces}"
        return f"incomplete: {traces}, stopped at {self.stopped_at}"


def explore(run: Run, *, max_traces: int = 5000, max_runs: int | None = None) -> Exploration:
    """Run every trace of a closed system, until one fails.

    Args:
        run: runs the system from the start to its end: first these processes, one step each, then any. It raises what the
            test raises, and ``Diverged`` if a process cannot go on when it should.
        max_traces: stop after so many.
        max_runs: stop after so many runs, redundant ones included; four times ``max_traces`` unless given.

    Raises:
        Diverged: one schedule gave two different runs, or a schedule that must be possible was not.
        ValueError: a limit is not positive, or a transition contradicts itself.
    """
    limit = 4 * max_traces if max_runs is None else max_runs
    if max_traces < 1 or limit < 1:
        raise ValueError(f"limits are from 1 up, got max_traces={max_traces}, max_runs={max_runs}")
    tree = _Tree()
    seen: set[tuple[str, ...]] = set()
    runs = 0
    schedule: tuple[str, ...] | None = ()
    while schedule is not None:
        if len(seen) >= max_traces:
            return Exploration(False, len(seen), runs, stopped_at="max_traces")
        if runs >= limit:
            return Exploration(False, len(seen), runs, stopped_at="max_runs")
        runs += 1
        try:
            steps = run(schedule)
        except (Diverged, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - the failures of test libraries are no Exception
            return Exploration(False, len(seen), runs, Failure(schedule, error))
        history = _History(steps)
        tree.grow(schedule, history)
        seen.add(history.canonical())
        schedule = tree.next_schedule()
    return Exploration(True, len(seen), runs)


@attrs.frozen(slots=True)
class _Race:
    """Somebody who could have gone before a step that went before.

    Attributes:
        before: the step it could have gone before.
        seen_at: the step that shows it.
        process: who.
        past: the steps that happened before what it did; None if it did not come to do it.
    """

    before: int
    seen_at: int
    process: str
    past: int | None


class _History:
    """What happened before what in a run. A set of steps is a number: step i is bit i.

    Attributes:
        past: for each step, the steps that happened before it, by any chain of causes and conflicts.
    """

    def __init__(self, steps: Sequence[Transition]) -> None:
        self.steps = steps
        self.past: list[int] = []
        self.races: list[_Race] = []
        self._levels: list[int] = []
        self._touched: dict[str, int] = {}
        self._ran: dict[str, int] = {}
        for index, step in enumerate(steps):
            _check(index, step)
            touched = step.touched
            self._place(index, step, touched)
            self._find_lost(index, step)
            self._touched.update(dict.fromkeys(touched, index))
            self._ran[step.process] = index

    def canonical(self) -> tuple[str, ...]:
        """Who ran, in Foata's normal form: the same for two runs exactly if they are one trace."""
        order = sorted(zip(self._levels, (step.process for step in self.steps), strict=True))
        return tuple(process for _, process in order)

    def unaffected(self, index: int, end: int) -> list[int]:
        """The steps before ``end`` that came after this one but did not depend on it."""
        return [k for k in range(index + 1, end) if not self.past[k] >> index & 1]

    def _place(self, index: int, step: Transition, touched: frozenset[str]) -> None:
        """Find what happened before a step, and what it raced with."""
        touchers = {self._touched[thing] for thing in touched if thing in self._touched}
        direct = touchers.union(step.causes)
        past = level = 0
        for i in direct:
            past |= self.past[i] | 1 << i
            level = max(level, self._levels[i] + 1)
        self.past.append(past)
        self._levels.append(level)
        for i in sorted(touchers.difference(step.causes)):
            forced = any(self.past[k] >> i & 1 for k in direct if k != i)
            if not forced and self.steps[i].process != step.process:
                self.races.append(_Race(i, index, step.process, past))

    def _find_lost(self, index: int, step: Transition) -> None:
        """Find options that were there and were taken away, or came to mean something else, before they were used."""
        for i in step.causes:
            if self._ran.get(step.process, -1) < i and step.process in self.steps[i].enabled:
                self.races.append(_Race(i, index, step.process, None))
        after = self.steps[index + 1].enabled if index + 1 < len(self.steps) else ()
        for process in step.enabled:
            if process != step.process and process not in after:
                self.races.append(_Race(index, index, process, None))


def _check(index: int, step: Transition) -> None:
    if step.process not in step.enabled:
        raise ValueError(
            f"step {index} was taken by {step.process!r}, which is not among its options {step.enabled}"
        )
    if not all(0 <= cause < index for cause in step.causes):
        raise ValueError(f"step {index} has causes {step.causes}, which are not all earlier steps")


@attrs.define(slots=True)
class _Node:
    """A state that the last run went through.

    Attributes:
        enabled: the options there.
        asleep: processes whose next step need not be tried, with what it touches.
        planned: processes to try next, each with those who should follow.
        step: what the last run did there.
    """

    enabled: tuple[str, ...]
    asleep: dict[str, frozenset[str]]
    planned: dict[str, tuple[str, ...]] = attrs.Factory(dict)
    step: Transition | None = None


class _Tree:
    """The states of the last run, and what is still to be tried from each."""

    def __init__(self) -> None:
        self._path: list[_Node] = []

    def grow(self, schedule: Sequence[str], history: _History) -> None:
        """Take in a run: its new states, and the runs that its races call for."""
        self._check_followed(schedule, history.steps)
        end = self._extend(history.steps)
        if end < len(history.steps) and self._turn_off(end, history.steps):
            return  # the races wait for the run that goes on from here with something new
        for race in history.races:
            if race.seen_at < end:
                self._reverse(race, history, end)

    def next_schedule(self) -> tuple[str, ...] | None:
        """Whom to run next time, or None if all is done. The deepest state comes first."""
        while self._path:
            node = self._path[-1]
            if node.step is not None:
                node.asleep[node.step.process] = node.step.touched
                node.step = None
            for process in list(node.planned):
                followers = node.planned.pop(process)
                if process not in node.asleep:
                    return (*self._taken(), process, *followers)
            self._path.pop()
        return None

    def _taken(self) -> Iterator[str]:
        return (node.step.process for node in self._path if node.step is not None)

    def _check_followed(self, schedule: Sequence[str], steps: Sequence[Transition]) -> None:
        """The run did as it was told, and all was as in the run before."""
        for index, process in enumerate(schedule):
            if index >= len(steps):
                raise Diverged(index, f"the run had ended before {process!r} could go on")
            if steps[index].process != process:
                raise Diverged(index, f"{steps[index].process!r} went on instead of {process!r}")
        for index, node in enumerate(self._path):
            if node.enabled != steps[index].enabled:
                what = (
                    f"the options were {steps[index].enabled}, and {node.enabled} in an earlier run"
                )
                raise Diverged(index, what)
            if node.step is not None and node.step != steps[index]:
                raise Diverged(index, f"{steps[index]} happened, and {node.step} in an earlier run")

    def _extend(self, steps: Sequence[Transition]) -> int:
        """Add the new states. Returns the step that was asleep, from which on nothing is new; else the number of steps."""
        for index in range(max(0, len(self._path) - 1), len(steps)):
            if index == len(self._path):
                self._path.append(_Node(steps[index].enabled, self._still_asleep()))
            node = self._path[index]
            if steps[index].process in node.asleep:
                return index
            node.step = steps[index]
        return len(steps)

    def _still_asleep(self) -> dict[str, frozenset[str]]:
        """Who is asleep after the last state's step: those whose step has nothing to do with it."""
        if not self._path or (step := self._path[-1].step) is None:
            return {}
        touched = step.touched
        return {
            process: touches
            for process, touches in self._path[-1].asleep.items()
            if touched.isdisjoint(touches)
        }

    def _turn_off(self, index: int, steps: Sequence[Transition]) -> bool:
        """Plan to go on from the last state with somebody who is not asleep, if there is one."""
        node = self._path[index]
        later = [step.process for step in steps[index:]]
        for process in (*later, *node.enabled):
            if process in node.enabled and process not in node.asleep:
                node.planned[process] = ()
                return True
        return False

    def _reverse(self, race: _Race, history: _History, end: int) -> None:
        """Plan a run in which all that did not depend on a step goes before it, and the racing process, too."""
        node = self._path[race.before]
        unaffected = history.unaffected(race.before, end)
        steps = [history.steps[k] for k in unaffected]
        names = [step.process for step in steps]
        if race.past is None and race.process in names:
            return  # its option came back, and did not depend on the step
        if not _covered(node, unaffected, race, history):
            first, *followers = *names, race.process
            node.planned[first] = tuple(followers)


def _covered(node: _Node, unaffected: Sequence[int], race: _Race, history: _History) -> bool:
    """Whether some process that is planned or asleep may as well begin the sequence."""
    steps = history.steps
    among = sum(1 << k for k in unaffected)
    first = {steps[k].process for k in unaffected if not history.past[k] & among}
    if race.past is None or not race.past & among:
        first.add(race.process)
    if not first.isdisjoint(node.planned):
        return True
    for process, touches in node.asleep.items():
        for k in unaffected:
            if steps[k].process == process:
                return True
            if not touches.isdisjoint(steps[k].touched):
                break
        else:
            if process == race.process:
                return True
    return False
