"""A dispatcher that handles one message a step, and may be told whose.

The real one hands out batches for speed. This one runs the same cells, carriers and generators, but after every message it
is somebody's turn to say what goes on next. Without a conductor that is whoever has waited longest.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import trio

from actorkit.kernel.cell import DEAD, Cell, State
from actorkit.kernel.dispatcher import IDLE, MORE, Dispatcher
from actorkit.kernel.items import ROOM
from actorkit.kernel.runtime import Runtime
from actorkit.kernel.system import System, open_runtime
from actorkit.kernel.wait import PARK, Carrier
from actorkit.seams import Seams
from actorkit.testing.recording import (
    RecordedRuntime,
    Recorder,
    RecordingNamedRef,
    RecordingRef,
)
from actorkit.testing.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable


class Conductor(Protocol):
    """Says who goes on next."""

    def joined(self, dispatcher: SteppedDispatcher) -> None:
        """A system was opened."""
        ...

    def became_ready(self, cell: Cell) -> None:
        """An actor can go on."""
        ...

    def next_cell(self, dispatcher: SteppedDispatcher) -> Cell | None:
        """Who goes on next, taken out of the run queue; None if it is one of trio's tasks."""
        ...


class SteppedDispatcher(Dispatcher):
    """The run queue of a node under test: one message a step."""

    __slots__ = ("_conductor", "_recorder", "pinned_cells")

    def __init__(
        self, runtime: Runtime, conductor: Conductor | None = None, recorder: Recorder | None = None
    ) -> None:
        super().__init__(runtime)
        self._conductor = conductor
        self._recorder = recorder
        self.pinned_cells: dict[trio.lowlevel.Task, Cell] = {}
        if conductor is not None:
            conductor.joined(self)

    @property
    def runtime(self) -> Runtime:
        """The kernel it serves."""
        return self._runtime

    def push(self, cell: Cell) -> None:
        """Put a cell at the end of the run queue."""
        if self._conductor is not None:
            self._conductor.became_ready(cell)
        super().push(cell)

    def turn(self, carrier: Carrier) -> tuple[Cell, Any] | None:
        """Step one cell after another, as the conductor says, until a task of trio's is to go on, or a cell waits on trio."""
        ready = self.ready
        while ready:
            cell = ready.popleft() if self._conductor is None else self._conductor.next_cell(self)
            if cell is None:
                return None
            cell.carrier = carrier
            trap = self._step_once(cell)
            self._runtime.clock.stamp()
            if self._turn_ends:
                self._end_turn()
            if trap is MORE:
                self.push(cell)
            elif trap is DEAD:
                self._runtime.release(cell)
            elif trap is not IDLE and trap is not PARK:
                return cell, trap
            if self._conductor is None:
                return None
        return None

    def _step_once(self, cell: Cell) -> Any:
        """Let a cell handle one message; between messages it goes to rest at once if there is none."""
        if self._recorder is not None and _between_messages(cell):
            item = _next_item(cell)
            if item is not None:
                self._recorder.handled(cell, item)
        cell.batch = 1
        self.running = cell
        try:
            trap = cell.run(cell.step, None)
            while trap is MORE and _has_nothing_to_do(cell):
                trap = cell.run(cell.step, None)
        finally:
            self.running = None
            self.turns += 1
        return trap

    def abandon(self) -> None:
        """Its process is dead: nobody goes on, and what was to leave at the end of a turn stays."""
        self.ready.clear()
        self._turn_ends.clear()

    async def _pin(self, carrier: Carrier, cell: Cell, trap: Any) -> None:
        task = carrier.task or trio.lowlevel.current_task()
        self.pinned_cells[task] = cell
        try:
            await super()._pin(carrier, cell, trap)
        finally:
            self.pinned_cells.pop(task, None)


def _has_nothing_to_do(cell: Cell) -> bool:
    """Whether another step would only put the cell to rest."""
    return not (cell.queue or cell.senders or cell.pinned) and cell.doomed is None


def _between_messages(cell: Cell) -> bool:
    """Whether the next step takes an item from the mailbox, rather than going on with a handler."""
    gen = cell.gen
    inside = gen is None or gen.gi_yieldfrom is not None
    return not inside and cell.ready and cell.state is not State.DEAD


def _next_item(cell: Cell) -> Any:
    """The item that the next step takes: the mark that lets senders in is taken together with what follows it."""
    item = next((item for item in cell.queue if item is not ROOM), None)
    if item is not None:
        return item
    return next((wait.message for wait in cell.senders or () if not wait.done), None)


@asynccontextmanager
async def open_stepped_system(
    name: str = "local",
    *,
    trace: Trace | None = None,
    conductor: Conductor | None = None,
    seams: Seams | None = None,
    step: Callable[[], int] = lambda: 0,
    kernel: type[RecordedRuntime] = RecordedRuntime,
) -> AsyncGenerator[System, None]:
    """Open a system that handles one message a step and keeps books; with a ``trace`` it also writes down what happens.

    ``kernel`` may be one with a known fault, to see whether it is found.
    """
    recorder = Recorder(trace, step) if trace is not None else None
    runtime = stepped_runtime(name, seams or Seams(), conductor, recorder, kernel)
    async with open_runtime(runtime, logs=False, watchdog=None) as system:
        yield system


def stepped_runtime(
    name: str,
    seams: Seams,
    conductor: Conductor | None,
    recorder: Recorder | None,
    kernel: type[RecordedRuntime] = RecordedRuntime,
) -> RecordedRuntime:
    """A kernel that handles one message a step and keeps books, not yet running."""

    def dispatcher(runtime: Runtime) -> Dispatcher:
        return SteppedDispatcher(runtime, conductor, recorder)

    runtime = kernel(name, seams, audit=True, dispatcher=dispatcher)
    if recorder is not None:
        runtime.recorder = recorder
        runtime.ref_class, runtime.named_class = RecordingRef, RecordingNamedRef
        recorder.observe(runtime)
    return runtime
