"""Writes down what happens in a system: who sends what to whom, who handles it, who dies of what.

References of a recorded system note what is sent through them; the stepped dispatcher notes what is handled; the kernel's
own events tell of births and deaths. Messages are told apart by a number each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import trio

from actorkit.kernel.call import Call
from actorkit.kernel.cell import Cell
from actorkit.kernel.events import DeadLetter, Started, Stopped
from actorkit.kernel.exits import Crashed, Down, Exit, Failed, Killed
from actorkit.kernel.items import Fired, Next, Signal
from actorkit.kernel.message import AskOf
from actorkit.kernel.ref import CountingRef, NamedRef
from actorkit.kernel.runtime import Runtime
from actorkit.kernel.stream import StreamCall
from actorkit.kernel.wait import CURRENT, Work
from actorkit.testing.trace import CLOCK, Answered, Began, Ended, Handled, Lost, Notice, Sent, Trace

M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")

OUTSIDE = "test"

TASK_NAME: ContextVar[str | None] = ContextVar("actorkit_task_name", default=None)


def name_of_task(task: trio.lowlevel.Task) -> str:
    """What a trio task is called in traces: the actor it works for, or its own name."""
    given = task.context.get(TASK_NAME)
    if given is not None:
        return given
    owner = task.context.get(CURRENT)
    plain = task.name.rpartition(".")[2]
    if isinstance(owner, Work):
        return f"{owner.cell.path} (background)"
    if isinstance(owner, Cell):
        return f"{owner.path} ({plain})"
    above = task.parent_nursery
    return OUTSIDE if above is None or above.parent_task.name == "<init>" else plain


def whoever_speaks() -> str:
    """The name of whose code runs at this moment."""
    me = CURRENT.get()
    if isinstance(me, Work):
        return me.cell.path
    if me is not None:
        path: str = me.path
        return path
    try:
        return name_of_task(trio.lowlevel.current_task())
    except RuntimeError:  # between two tasks: a simulation's own doing
        return OUTSIDE


class Recorder:
    """Turns what happens in one or more systems into a ``Trace``.

    Args:
        trace: where the events go.
        step: tells the number of the step under way.
    """

    def __init__(self, trace: Trace, step: Callable[[], int] = lambda: 0) -> None:
        self.trace = trace
        self.step = step
        self._next = 0
        self._last = 0.0
        self.written: object = None  # by ``send``, which may go on to ``tell``
        # What is on its way to whom, by the identity of the message, in the order it was sent.
        self._under_way: dict[tuple[str, int], deque[tuple[int, object]]] = {}

    def observe(self, runtime: Runtime) -> None:
        """Listen to a system's events."""
        runtime.events.subscribe(self._began, Started)
        runtime.events.subscribe(self._ended, Stopped)
        runtime.events.subscribe(self._lost, DeadLetter)

    def sent(self, sender: str, cell: Cell, message: object, *, asked: bool) -> int:
        """A message is on its way; returns its number."""
        number = self._send(sender, cell, message, asked=asked)
        self._under_way.setdefault((cell.path, id(message)), deque()).append((number, message))
        return number

    def _send(self, sender: str, cell: Cell, message: object, *, asked: bool = False) -> int:
        self._next += 1
        now, number = self._now(), self._next
        self.trace.append(Sent(self.step(), now, number, sender, cell.path, message, asked))
        return number

    def handled(self, cell: Cell, item: Any) -> None:
        """An actor is about to take an item from its mailbox."""
        kind = type(item)
        if kind is Signal:
            self._notified(cell, item.notice)
            return
        if kind is Fired or kind is Next:
            number: int | None = self._send(
                CLOCK if kind is Fired else cell.path, cell, item.message
            )
        else:
            message = item.message if kind in (Call, StreamCall) else item
            number = self._take(cell.path, message)
        if number is not None:
            self.trace.append(Handled(self.step(), self._now(), number, cell.path))

    def _notified(self, cell: Cell, notice: Down | Exit) -> None:
        about, why = notice.ref.path, str(notice.reason)
        self.trace.append(Notice(self.step(), self._now(), cell.path, about, why))

    def withdrawn(self, number: int, cell: Cell, message: object) -> None:
        """Whoever waited for room to send a message has given up."""
        if self._take(cell.path, message) == number:
            why = "its sender no longer waits for room"
            self.trace.append(Lost(self.step(), self._now(), number, cell.path, message, why))

    def answered(self, number: int, cell: Cell, receiver: str, reply: object, failed: bool) -> None:
        """Whoever asked knows what came of it."""
        self.trace.append(
            Answered(self.step(), self._now(), number, cell.path, receiver, reply, failed)
        )

    def _take(self, path: str, message: object) -> int | None:
        waiting = self._under_way.get((path, id(message)))
        if not waiting:
            return None
        number, _ = waiting.popleft()
        if not waiting:
            del self._under_way[path, id(message)]
        return number

    def _now(self) -> float:
        try:
            self._last = trio.current_time()
        except RuntimeError:  # another thread calls: the kernel says what is wrong with that
            pass
        return self._last

    def _began(self, event: Started) -> None:
        self.trace.append(Began(self.step(), self._now(), event.path))

    def _ended(self, event: Stopped) -> None:
        crashed = isinstance(event.reason, (Crashed, Failed, Killed))
        self.trace.append(Ended(self.step(), self._now(), event.path, str(event.reason), crashed))

    def _lost(self, event: DeadLetter) -> None:
        number = self._take(event.path, event.message)
        self.trace.append(
            Lost(self.step(), self._now(), number, event.path, event.message, str(event.reason))
        )


class RecordedRuntime(Runtime):
    """A kernel whose references write down what is sent."""

    recorder: Recorder


class RecordingRef(CountingRef[M_contra]):
    """A reference that writes down what is sent through it."""

    __slots__ = ()

    def tell(self, message: M_contra, /) -> None:
        """Write down, and tell."""
        cell = self._cell
        recorder = _recorder(cell)
        if recorder.written is not message:
            recorder.sent(whoever_speaks(), cell, message, asked=False)
        recorder.written = None
        super().tell(message)

    async def send(self, message: M_contra, /) -> None:
        """Write down, and send; it may have to wait for room, and do so in vain."""
        cell = self._cell
        recorder = _recorder(cell)
        number = recorder.sent(whoever_speaks(), cell, message, asked=False)
        recorder.written = message
        try:
            await super().send(message)
        except BaseException:
            recorder.withdrawn(number, cell, message)
            raise
        finally:
            recorder.written = None

    async def ask(self, message: AskOf[M_contra, R], /, *, timeout: float | None = 5.0) -> R:
        """Write down, ask, and write down what came of it."""
        cell = self._cell
        recorder, me = _recorder(cell), whoever_speaks()
        number = recorder.sent(me, cell, message, asked=True)
        try:
            reply = await super().ask(message, timeout=timeout)
        except BaseException as error:
            recorder.answered(number, cell, me, error, failed=True)
            raise
        recorder.answered(number, cell, me, reply, failed=False)
        return reply

    def _open_stream(self, call: StreamCall) -> None:
        _recorder(call.owner).sent(whoever_speaks(), call.owner, call.message, asked=False)
        super()._open_stream(call)


class RecordingNamedRef(  # pyright: ignore[reportIncompatibleVariableOverride] - NamedRef's wins
    NamedRef[M_contra], RecordingRef[M_contra]
):
    """A reference by name that writes down what is sent through it."""

    __slots__ = ()


def _recorder(cell: Cell) -> Recorder:
    runtime = cell.runtime
    assert isinstance(runtime, RecordedRuntime)
    return runtime.recorder
