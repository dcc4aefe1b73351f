"""Says who goes on next: the one place where the choices of a simulated run are made.

Whatever can go on at a moment is an *option*: an actor with mail, a handler that a trio task has resumed, background work,
a client, the clock with a timer that is due. They stand in the order in which they became able to go on. A strategy picks
one where there are several; each such turn is a *step*. Whoever stood before it is held
back for a while. What the kernel needs for itself (a carrier that looks for work, an
engine that starts) is no option and goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import attrs
import trio

from actorkit.kernel.cell import Cell, State
from actorkit.testing.recording import name_of_task
from actorkit.testing.simulation.strategies import Fifo, Strategy
from actorkit.testing.stepped import SteppedDispatcher
from actorkit.testing.trace import Reordered, Trace
from actorkit.testing.trio_internals import by_age, put_off, runnable

Task = trio.lowlevel.Task

CARRIER = "actorkit carrier"
CLOCK = "actorkit clock"
ENGINE = "actorkit engine"
HELD_BACK = 8  # how many that come later go before one that was passed over
BY_IDLENESS = -2
_AHEAD = 1_000_000_000
HOUSEKEEPING = frozenset({ENGINE, "<init>", "<TrioToken.run_sync_soon task>", "actorkit nemesis"})


@attrs.frozen(slots=True)
class Turn:
    """What was chosen at one moment, for whoever wants to try the other choices.

    Attributes:
        label: who went on.
        options: who could have.
        roused_in: the index of the turn in which the chosen one became able to go on; -1 if before the first, ``BY_IDLENESS``
            if that nobody else could go on any more was what roused it, so that all earlier turns came first.
        events: how many events the trace had before.
    """

    label: str
    options: tuple[str, ...]
    roused_in: int
    events: int


class TooManySteps(Exception):
    """The run does not come to an end."""


class Conductor:
    """Makes the choices of one run.

    Args:
        strategy: picks among options; asked only where there are at least two.
        max_steps: turns after which the run counts as endless.
        trace: where to note what was chosen out of order.
        keep_turns: keep a record of every turn, those without a choice included.
        idles: counts the moments at which nobody could go on.
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
        max_steps: int = 20_000,
        trace: Trace | None = None,
        keep_turns: bool = False,
        idles: Callable[[], int] = lambda: 0,
    ) -> None:
        self.strategy = strategy
        self.step = 0
        self.skips: list[tuple[int, int]] = []
        self.turns: list[Turn] = []
        self.after_turn: Callable[[], None] | None = None
        self.nemesis: Callable[[Sequence[tuple[int, int]]], None] | None = None
        self.on_failure: Callable[[BaseException], None] = _raise
        self._trace = trace
        self._keep = keep_turns
        self._max = max_steps
        self._arrivals = 0
        self._arrived: dict[Any, tuple[int, int]] = {}
        self._names: dict[Task, str] = {}
        self._taken: set[str] = set()
        self._dispatchers: list[SteppedDispatcher] = []
        self._pinned: dict[Task, Cell] = {}
        self._chosen: Cell | None = None
        self._forced: Task | None = None
        self._digest = blake2b(digest_size=8)
        self._faulted = -1
        self._calm_from: int | None = None
        self._rushed = False
        self._idles = idles
        self._idles_seen = 0

    # What others tell it ------------------------------------------------------------------------------------------

    def joined(self, dispatcher: SteppedDispatcher) -> None:
        """A system was opened."""
        self._dispatchers.append(dispatcher)
        dispatcher.pinned_cells = self._pinned

    def became_ready(self, cell: Cell) -> None:
        """An actor can go on."""
        self._arrivals += 1
        self._arrived[cell] = (self._arrivals, self.step - 1)

    def call(self, task: Task, name: str) -> None:
        """Give a task the name it has in traces."""
        self._names[task] = self._unique(name)

    def force(self, task: Task) -> None:
        """Let a task of trio's go on next, whatever the strategy says."""
        self._forced = task

    def calm(self) -> None:
        """From now on: first in, first out, and no faults; but who keeps turns wants all of them."""
        if self._calm_from is None:
            self._calm_from = self.step
            if not self._keep:
                self.strategy = Fifo()

    def rush(self) -> None:
        """Let whoever the clock rouses next go before all that wait."""
        self._rushed = True

    @property
    def length(self) -> int:
        """The turns up to now, or until it was calmed."""
        return self.step if self._calm_from is None else self._calm_from

    @property
    def digest(self) -> str:
        """16 hex digits made of all choices so far: who could go on, and who did."""
        return self._digest.hexdigest()

    # What trio and the dispatchers ask ----------------------------------------------------------------------------

    def shuffle(self, batch: list[Task]) -> None:
        """Trio asks which of its tasks goes next."""
        if len(batch) == 0:
            return
        task = self._next_task(batch)
        if task is self._forced:
            self._forced = None
        self._arrived.pop(task, None)
        if task in batch:
            batch.remove(task)
            put_off(batch)
            batch[:] = [task]
        else:  # it was roused by this very choice: trio sees it in its next pass
            put_off(batch)
            batch.clear()

    def next_cell(self, dispatcher: SteppedDispatcher) -> Cell | None:
        """A dispatcher asks which of its cells goes next; None if a task of trio's does."""
        ready = dispatcher.ready
        cell, self._chosen = self._chosen, None
        if cell is None or cell not in ready:
            if self._forced is not None:
                return None
            waiting = self._waiting()
            if waiting and self._housekeeper(waiting) is not None:
                return None
            chosen = self._choose(waiting)
            if not isinstance(chosen, Cell):
                self._forced = chosen
                return None
            if chosen.runtime.dispatcher is not dispatcher:
                self._chosen = chosen
                return None
            cell = chosen
        ready.remove(cell)
        self._arrived.pop(cell, None)
        return cell

    def _next_task(self, batch: Sequence[Task]) -> Task:
        forced = self._forced
        if forced is not None and forced in batch:
            return forced
        housekeeper = self._housekeeper(batch)
        if housekeeper is not None:
            return housekeeper
        if self._chosen is None:
            chosen = self._choose(batch)
            if not isinstance(chosen, Cell):
                return chosen
            self._chosen = chosen
        return self._server_of(self._chosen, batch)

    # Options ------------------------------------------------------------------------------------------------------

    def _housekeeper(self, tasks: Any) -> Task | None:
        """A task that is no option: it goes first."""
        for task in tasks:
            name = task.name
            if name in HOUSEKEEPING:
                return task  # type: ignore[no-any-return]
            if name == CARRIER and task not in self._pinned:
                if not self._served_by(task).ready:
                    return task  # type: ignore[no-any-return]
            elif name == CLOCK and not self._rings(task):
                return task  # type: ignore[no-any-return]
        return None

    def _waiting(self) -> Any:
        """The tasks that can go on."""
        return runnable()

    def _served_by(self, carrier: Task) -> SteppedDispatcher:
        for dispatcher in self._dispatchers:
            if dispatcher.nursery is carrier.parent_nursery:
                return dispatcher
        raise LookupError(f"{carrier} serves no system of this simulation")

    def _server_of(self, cell: Cell, batch: Sequence[Task]) -> Task:
        """The task that is to step a cell."""
        for task in batch:
            if (
                task.name == CARRIER
                and task not in self._pinned
                and self._served_by(task) is cell.runtime.dispatcher
            ):
                return task
        raise LookupError(f"nobody serves {cell}")

    def _rings(self, clock: Task) -> bool:
        """Whether a timer is due."""
        for dispatcher in self._dispatchers:
            if dispatcher.nursery is clock.parent_nursery:
                timers = dispatcher.runtime.clock
                return timers.next_deadline() <= timers.now()
        return False

    def _options(self, tasks: Any) -> list[tuple[int, str, Any]]:
        """Everything that can go on, longest waiting first: (arrival, label, cell or task)."""
        arrived, pinned = self._arrived, self._pinned
        found = self._ready_cells()
        if tasks:
            self._greet(tasks)
            found += [
                (arrived[task][0], self._label(task), task)
                for task in tasks
                if task.name != CARRIER or task in pinned
            ]
        if len(found) > 1:
            found.sort(key=_arrival)
        return found

    def _ready_cells(self) -> list[tuple[int, str, Any]]:
        arrived = self._arrived
        return [(arrived[cell][0], cell.path, cell) for d in self._dispatchers for cell in d.ready]

    def _greet(self, tasks: Any) -> None:
        """Give those that were not able to go on before a place in the line."""
        arrived = self._arrived
        idles = self._idles()
        roused_in = self.step - 1 if idles == self._idles_seen else BY_IDLENESS
        self._idles_seen = idles
        fresh = [task for task in tasks if task not in arrived]
        for task in by_age(fresh) if len(fresh) > 1 else fresh:
            self._arrivals += 1
            place = self._arrivals - (_AHEAD if self._rushed else 0)
            arrived[task] = (place, roused_in)
        self._rushed = False

    def _label(self, task: Task) -> str:
        cell = self._pinned.get(task)
        if cell is not None:
            return self._name_of(cell)
        name = self._names.get(task)
        if name is None:
            name = self._names[task] = self._unique(self._plain_name(task))
        return name

    def _name_of(self, cell: Cell) -> str:
        """What an actor is called."""
        return cell.path

    def _plain_name(self, task: Task) -> str:
        """What a task is called, though others may be called so, too."""
        return "clock" if task.name == CLOCK else name_of_task(task)

    def _unique(self, name: str) -> str:
        unique, count = name, 1
        while unique in self._taken:
            count += 1
            unique = f"{name} {count}"
        self._taken.add(unique)
        return unique

    # Choices ------------------------------------------------------------------------------------------------------

    def _choose(self, tasks: Any) -> Cell | Task:
        if self.after_turn is not None and self.step:
            self.after_turn()
        options = self._options(tasks)
        if self.nemesis is not None and self.strike() and self._forced is not None:
            return self._forced
        index = 0
        if len(options) > 1 or self._keep:
            index = self._ask([label for _, label, _ in options])
            for _, _, passed_over in options[:index]:
                self._arrivals += 1
                place = self._arrivals + HELD_BACK
                self._arrived[passed_over] = (place, self._arrived[passed_over][1])
        self._note(options, index)
        return options[index][2]  # type: ignore[no-any-return]

    def strike(self) -> bool:
        """Let the faults of this step strike, if they have not yet; tells whether there were any.

        Asked before each choice, and also when all wait for the clock: before it moves.
        """
        if self.nemesis is None or self._faulted >= self.step:
            return False
        self._faulted = self.step
        strikes = self.strategy.faults(self.step)
        if strikes:
            self.nemesis(strikes)
        return bool(strikes)

    def _ask(self, labels: list[str]) -> int:
        """Let the strategy decide, and note what is out of the ordinary."""
        try:
            index = self.strategy.choose(self.step, labels) % len(labels)
        except Exception as error:  # noqa: BLE001 - it ends the run, not trio
            self.on_failure(error)
            return 0
        if index:
            self.skips.append((self.step, index))
            if self._trace is not None:
                now = trio.current_time()
                self._trace.append(Reordered(self.step, now, labels[index], labels[0]))
        return index

    def _note(self, options: list[tuple[int, str, Any]], index: int) -> None:
        _, label, chosen = options[index]
        self._digest.update(f"{label}/{len(options)};".encode())
        if self._keep:
            everyone = tuple(label for _, label, _ in options)
            events = len(self._trace) if self._trace is not None else 0
            self.turns.append(Turn(label, everyone, self._arrived[chosen][1], events))
        self.step += 1
        if self.step > self._max:
            self._max *= 2
            self.on_failure(
                TooManySteps(
                    f"the run has not ended after {self.step - 1:,} steps; {label} took the last. "
                    "A timer or a loop keeps it busy: end the actors, or raise max_steps"
                )
            )


def _arrival(option: tuple[int, str, Any]) -> int:
    return option[0]


def _raise(error: BaseException) -> None:
    raise error


def is_alive(cell: Cell) -> bool:
    """Whether an actor runs, so that a fault can hit it."""
    return State.STARTING <= cell.state <= State.STOPPING
