"""Writes down what happens in a system: who sends what to whom, who handles it, who dies of what.

References of a recorded system note what is sent through them; the stepped dispatcher notes what is handled; the kernel's
own events tell of births and deaths. Messages are told apart by a number each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from itertools import count
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
from actorkit.testing.correspondence import Correspondence
from actorkit.testing.trace import CLOCK, Answered, Began, Ended, Handled, Lost, Notice, Sent, Trace

M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")

OUTSIDE = "test"
_INTERNAL = ("/actorkit.", "actorkit.")

TASK_NAME: ContextVar[str | None] = ContextVar("actorkit_task_name", default=None)


def name_of_cell(cell: Cell) -> str:
    """What an actor is called in traces: its path, behind the name of its node if there are several."""
    if cell.elsewhere:
        return cell.path
    prefix: str = getattr(cell.runtime, "prefix", "")
    return prefix + cell.path if prefix else cell.path


def name_of_task(task: trio.lowlevel.Task) -> str:
    """What a trio task is called in traces: the actor it works for, or its own name."""
    given = task.context.get(TASK_NAME)
    if given is not None:
        return given
    owner = task.context.get(CURRENT)
    plain = task.name.rpartition(".")[2]
    if isinstance(owner, Work):
        return f"{name_of_cell(owner.cell)} (background)"
    if isinstance(owner, Cell):
        return f"{name_of_cell(owner)} ({plain})"
    above = task.parent_nursery
    return OUTSIDE if above is None or above.parent_task.name == "<init>" else plain


def whoever_speaks() -> str:
    """The name of whose code runs at this moment."""
    me = CURRENT.get()
    if me is not None:
        return name_of_cell(me.cell if isinstance(me, Work) else me)
    try:
        return name_of_task(trio.lowlevel.current_task())
    except RuntimeError:  # between two tasks: a simulation's own doing
        return OUTSIDE


class Recorder:
    """Turns what happens in one or more systems into a ``Trace``.

    Args:
        trace: where the events go.
        step: tells the number of the step under way.
        prefix: what the names of its actors begin with, if there are several systems.
        post: what goes from one node to another, shared with their recorders.
    """

    def __init__(
        self,
        trace: Trace,
        step: Callable[[], int] = lambda: 0,
        *,
        prefix: str = "",
        post: Correspondence | None = None,
    ) -> None:
        self.trace = trace
        self.step = step
        self.prefix = prefix
        self._post = post
        self._numbers = count(1) if post is None else post.numbers
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
        if _is_internal(cell):
            return 0
        number = self._send(sender, cell, message, asked=asked)
        if self._post is not None and cell.elsewhere:
            self._post.leaves(number, self._name_of(cell), message)
        else:
            self._note(number, cell, message)
        return number

    def _note(self, number: int, cell: Cell, message: object) -> None:
        self._under_way.setdefault((cell.path, id(message)), deque()).append((number, message))

    def _send(self, sender: str, cell: Cell, message: object, *, asked: bool = False) -> int:
        now, number, to = self._now(), next(self._numbers), self._name_of(cell)
        self.trace.append(Sent(self.step(), now, number, sender, to, message, asked))
        return number

    def arrived(self, cell: Cell, message: object) -> bool:
        """Whether what is told to an actor now was told to it on another node, and has come over the network."""
        if self._post is None or _is_internal(cell) or not _is_of_the_node(cell.runtime):
            return False
        number = self._post.arrives(name_of_cell(cell), message)
        if number is not None:
            self._note(number, cell, message)
        return number is not None

    def _name_of(self, cell: Any) -> str:
        if self._post is not None and cell.elsewhere:
            return self._post.name_of(cell)
        return name_of_cell(cell)

    def handled(self, cell: Cell, item: Any) -> None:
        """An actor is about to take an item from its mailbox."""
        kind = type(item)
        if _is_internal(cell):
            return
        if kind is Signal:
            self._notified(cell, item.notice)
            return
        if kind is Fired or kind is Next:
            sender = CLOCK if kind is Fired else name_of_cell(cell)
            number: int | None = self._send(sender, cell, item.message)
        else:
            message = item.message if kind in (Call, StreamCall) else item
            number = self._take(cell.path, message)
            if number is None and self._post is not None:
                number = self._post.arrives(name_of_cell(cell), message)
        if number is not None:
            self.trace.append(Handled(self.step(), self._now(), number, name_of_cell(cell)))

    def _notified(self, cell: Cell, notice: Any) -> None:
        if not isinstance(notice, (Down, Exit)):
            return
        about, why = self._name_of(notice.ref._cell), str(notice.reason)
        self.trace.append(Notice(self.step(), self._now(), name_of_cell(cell), about, why))

    def withdrawn(self, number: int, cell: Cell, message: object) -> None:
        """Whoever waited for room to send a message has given up."""
        if self._take(cell.path, message) == number:
            why = "its sender no longer waits for room"
            to = self._name_of(cell)
            self.trace.append(Lost(self.step(), self._now(), number, to, message, why))

    def answered(self, number: int, cell: Cell, receiver: str, reply: object, failed: bool) -> None:
        """Whoever asked knows what came of it."""
        if _is_internal(cell):
            return
        replier = self._name_of(cell)
        self.trace.append(
            Answered(self.step(), self._now(), number, replier, receiver, reply, failed)
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
        if event.path.startswith(_INTERNAL):
            return
        self.trace.append(Began(self.step(), self._now(), self.prefix + event.path))

    def _ended(self, event: Stopped) -> None:
        if event.path.startswith(_INTERNAL):
            return
        crashed = isinstance(event.reason, (Crashed, Failed, Killed))
        who, why = self.prefix + event.path, str(event.reason)
        self.trace.append(Ended(self.step(), self._now(), who, why, crashed))

    def _lost(self, event: DeadLetter) -> None:
        if event.path.rpartition(":")[2].startswith(_INTERNAL):
            return
        number = self._take(event.path, event.message)
        here = event.path.startswith(("/", "name:"))
        to, why = self.prefix + event.path if here else event.path, str(event.reason)
        if number is None and self._post is not None:
            number = self._post.arrives(to, event.message)
        self.trace.append(Lost(self.step(), self._now(), number, to, event.message, why))


class RecordedRuntime(Runtime):
    """A kernel whose references write down what is sent.

    Attributes:
        recorder: writes it down, if anybody does.
        prefix: what the names of its actors begin with in traces and schedules, if there are several systems.
    """

    recorder: Recorder
    prefix = ""


class RecordingRef(CountingRef[M_contra]):
    """A reference that writes down what is sent through it."""

    __slots__ = ()

    def tell(self, message: M_contra, /) -> None:
        """Write down, and tell."""
        cell = self._cell
        recorder = _recorder(cell)
        if recorder.written is not message and not recorder.arrived(cell, message):
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


def _is_internal(cell: Cell) -> bool:
    """Whether an actor is a part of actorkit, and its doings nothing that a chart should tell."""
    name = cell.name_elsewhere or cell.path
    return name.startswith(_INTERNAL)


def _is_of_the_node(runtime: Runtime) -> bool:
    """Whether a task of the node's own runs, such as one that reads from a connection: no actor, and nobody's client."""
    if CURRENT.get() is not None:
        return False
    nursery = trio.lowlevel.current_task().parent_nursery
    while nursery is not None and nursery is not runtime.dispatcher.nursery:
        nursery = nursery.parent_task.parent_nursery
    return nursery is not None


def _recorder(cell: Cell) -> Recorder:
    runtime = cell.runtime
    assert isinstance(runtime, RecordedRuntime)
    return runtime.recorder
