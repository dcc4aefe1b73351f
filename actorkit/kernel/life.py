"""The rarer moments of an actor's life: its start, its end, signals, control messages, deferred replies, streams.

Called from ``dispatcher.live``, which keeps the two common moments - a told message and an ask - to itself.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any

import trio

from actorkit.errors import Ignore, Refused, Stop, Unhandled
from actorkit.kernel.call import Call, Reply
from actorkit.kernel.cell import Cell, Leave, State
from actorkit.kernel.ending import doom
from actorkit.kernel.events import DeadReason, Started
from actorkit.kernel.exits import KILLED, Crashed, Down, Exit, ExitReason
from actorkit.kernel.inspection import Inspection, Resume, Suspend
from actorkit.kernel.items import (
    ATTENTION,
    ROOM,
    Fired,
    Next,
    Signal,
    StopOrder,
    content_of,
    crash_of,
    take_out,
)
from actorkit.kernel.message import StreamRequest
from actorkit.kernel.notices import GroupChanged, NodeLost, NodeUp, Notice
from actorkit.kernel.stream import ReplyStream, StreamCall, produce
from actorkit.kernel.vocabulary import Kind
from actorkit.kernel.wait import NOBODY, PARK, ActorExit, Wait

if TYPE_CHECKING:
    from actorkit.kernel.actor import Actor

Entry = tuple[Callable[..., Any], int]


class EndWait(Wait):
    """Someone ends an actor: when its time is over it is killed, and the wait goes on until it is gone."""

    __slots__ = ("by",)

    def __init__(self, cell: Cell | None, target: Cell) -> None:
        super().__init__(cell, target)
        self.by: Cell | None = None  # the actor that ordered the end, if one did

    def expire(self) -> None:
        """It took too long to end in good order."""
        if self.target is not None:
            doom(self.target, KILLED)


def ordered_by(cell: Cell, peer: Cell) -> bool:
    """Whether ``peer`` has ordered this actor to end, and waits, or has waited, until it does."""
    waiters = cell.waiters or ()
    return any(isinstance(wait, EndWait) and wait.by is peer for wait in waiters)


async def begin(cell: Cell) -> Actor[Any]:
    """Build the actor, run its ``started`` hook, and tell whoever waits for it."""
    cell.state = State.STARTING
    actor = cell.props.build(cell)
    cell.actor = actor
    if cell.doomed is not None:
        raise ActorExit
    hook = actor.started()
    if hook is not None:
        if cell.carrier is NOBODY:  # on its spawner's stack: no place to wait
            await rest_before(hook)
        await hook
    if cell.doomed is not None:
        raise ActorExit
    if cell.control is not None:
        check_may_get_ready(cell)
    cell.state = State.RUNNING
    runtime = cell.runtime
    cell.started_at = runtime.clock.now()
    cell.ready = True
    if runtime.events.wants(Started):
        runtime.events.emit(Started(cell.path, cell.address, type(actor).__qualname__))
    if cell.waiters is not None:
        tell_starters(cell)
    return actor


def check_may_get_ready(cell: Cell) -> None:
    """An actor that was told to end before it was ready never gets ready.

    Raises:
        Stop: it was told to.
    """
    for order in cell.control or ():
        if isinstance(order, StopOrder) and order.unready:
            raise Stop(order.reason)


def tell_starters(cell: Cell) -> None:
    """Resume whoever waits for the actor to start; some may wait for its end already."""
    waiters = cell.waiters or []
    cell.waiters = [wait for wait in waiters if not wait.until_ready] or None
    for wait in waiters:
        if wait.until_ready:
            wait.resolve(None)


def tell_waiters(cell: Cell) -> None:
    """Resume whoever waits for the actor to start or to end."""
    waiters, cell.waiters = cell.waiters, None
    for wait in waiters or ():
        wait.resolve(cell.reason)


async def finish(result: Awaitable[None] | None) -> None:
    """Await what a hook returned, if it was an async hook."""
    if result is not None:
        await result


def broken_off(cell: Cell, error: BaseException, item: Any) -> ExitReason:
    """The exit reason when something that is no ``Exception`` left a handler."""
    if cell.doomed is not None:
        return cell.doomed
    interruption = interruption_in(error)
    if interruption is not None:
        cell.runtime.interrupted(interruption)
        return crash_of(error, item)
    if cell.leave is not None:
        return cell.leave
    return KILLED if isinstance(error, (ActorExit, trio.Cancelled)) else crash_of(error, item)


def interruption_in(error: BaseException) -> BaseException | None:
    """The Ctrl-C or ``SystemExit`` that an exception is, or that a nursery has put into a group."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(interruption_in, error.exceptions)), None)
    return None


async def run_stopping(cell: Cell, reason: ExitReason) -> ExitReason:
    """Run the ``stopping`` hook of an actor that had started; if the hook fails, its failure is the reason."""
    if cell.state is not State.RUNNING or cell.actor is None:
        return reason
    cell.state = State.STOPPING
    try:
        await finish(cell.actor.stopping(reason))
    except Stop as stop:
        return stop.reason
    except Exception as error:  # noqa: BLE001 - recorded as the exit reason, with its traceback
        return crash_of(error, "stopping")
    except BaseException as error:  # noqa: BLE001 - doomed meanwhile: the reason is already decided
        return broken_off(cell, error, "stopping")
    return reason


def refused(cell: Cell, item: Any, refusal: Refused) -> None:
    """A handler refused: the asker gets the refusal; if nobody asked it is a dead letter."""
    call, cell.call = cell.call, None
    if call is not None:
        call.refuse(refusal)
    elif type(item) is not Signal and cell.state is not State.DEAD:  # else it counted as handled
        cell.skipped += 1
        cell.runtime.dead_letter(content_of(item), cell, DeadReason.REFUSED)


async def tell_other(cell: Cell, entry: Entry, message: Any) -> None:
    """Handle a told message whose handler defers its reply or streams it: there is nobody to answer."""
    function, kind = entry
    if kind == Kind.STREAM:
        async for _ in function(cell.actor, message):
            pass
        return
    answer = ReplyStream[Any] if isinstance(message, StreamRequest) else Reply[Any]
    result = function(cell.actor, message, answer(None, cell))
    if inspect.isawaitable(result):
        await result


async def call_other(cell: Cell, call: Call) -> None:
    """Handle an ask whose handler defers its reply, or whose message type is only found through its bases."""
    message = call.message
    entry = cell.table.find(type(message))
    cell.call = None
    if entry is None or isinstance(message, StreamRequest):
        cell.skipped += 1
        cell.runtime.unhandled(cell, message)
        call.fail(Unhandled(cell.path, type(message).__qualname__))
        return
    function, kind = entry
    if kind <= Kind.ASYNC:  # found now, and remembered: the dispatcher takes it from here
        cell.skipped += 1
        cell.queue.appendleft(call)
        return
    cell.defer(call)
    try:
        result = function(cell.actor, message, Reply(call, cell))
        if inspect.isawaitable(result):
            await result
    except Refused as refusal:
        cell.forget_deferred(call)
        call.refuse(refusal)


async def stream_call(cell: Cell, call: StreamCall) -> None:
    """Handle a request for a stream: drive the handler's generator at the consumer's pace."""
    entry = cell.table.find(type(call.message))
    if entry is None or not isinstance(call.message, StreamRequest):
        cell.skipped += 1
        cell.runtime.unhandled(cell, call.message)
        call.close(Unhandled(cell.path, type(call.message).__qualname__))
        return
    await produce(cell, call, entry)


async def attend_or_other(cell: Cell, item: Any, cls: type, seq: int) -> None:
    """Handle an item that is neither an ask nor a message type found at once; it is the ``seq``-th that was taken."""
    if item is ATTENTION:
        cell.uncounted -= 1
        cell.skipped += 1
        await attend(cell)
    elif cls is Fired:
        cell.uncounted -= 1
        cell.took(seq, item.message)
        await fired(cell, item)
    elif cls is Next:
        cell.took(seq, item.message)
        await told(cell, item.message)
    elif isinstance(item, StreamCall):
        cell.took(seq, item.message)
        await stream_call(cell, item)
    elif cls is Signal:
        cell.uncounted -= 1
        cell.skipped += 1
        cell.took(seq, item.notice)
        await signal(cell, item.notice)
    elif item is ROOM:
        cell.make_way()
    elif isinstance(item, Inspection):
        cell.uncounted -= 1
        cell.skipped += 1
        item.carry_out(cell)
    elif cls is StopOrder:
        cell.uncounted -= 1
        cell.skipped += 1
        cell.leave = item.reason
        raise Leave
    else:
        await told(cell, item)


async def told(cell: Cell, message: Any) -> None:
    """Handle a message as if it had been told, its handler perhaps found through its bases."""
    entry = cell.table.find(type(message))
    if entry is None:
        cell.skipped += 1
        cell.runtime.unhandled(cell, message)
        return
    if entry[1] == Kind.ASYNC:
        await entry[0](cell.actor, message)
    elif entry[1] == Kind.SYNC:
        entry[0](cell.actor, message)
    else:
        await tell_other(cell, entry, message)


async def signal(cell: Cell, notice: Down | Exit | Notice) -> None:
    """Hand a notice to the hook made for it."""
    actor = cell.actor
    if actor is None:
        return
    match notice:
        case Down():
            await finish(actor.down(notice))
        case Exit():
            await finish(actor.exited(notice))
        case GroupChanged():
            await finish(actor.group_changed(notice))
        case NodeUp() | NodeLost():
            await finish(actor.node_changed(notice))


async def fired(cell: Cell, item: Fired) -> None:
    """Handle the message of a timer, unless it was cancelled while it waited in the mailbox."""
    if item.handle.surfaced():
        await told(cell, item.message)
    else:  # called off: as if it had never been sent
        cell.skipped += 1
        cell.runtime.sent -= 1


async def attend(cell: Cell) -> None:
    """Carry out the control messages that wait, in order.

    Raises:
        Leave: the actor is to end; ``cell.leave`` says why.
        ActorExit: the actor was doomed by code of its own.
    """
    if cell.doomed is not None:
        raise ActorExit
    suspended = False
    while True:
        while cell.control:
            order = cell.control.popleft()
            if isinstance(order, StopOrder):
                cell.leave = order.reason
                raise Leave
            if isinstance(order, (Suspend, Resume)):
                suspended = isinstance(order, Suspend)
            if isinstance(order, Inspection):
                order.carry_out(cell)
        if not suspended:
            return
        answer_inspections(cell)
        check_told_to_stop(cell)
        cell.suspended = True
        await rest()


def answer_inspections(cell: Cell) -> None:
    """Answer the inspections that wait in the mailbox of an actor about to rest suspended."""
    for inspection in take_out(cell.queue, lambda item: isinstance(item, Inspection)):
        cell.uncounted -= 1
        inspection.carry_out(cell)


def check_told_to_stop(cell: Cell) -> None:
    """End an actor about to rest suspended if an order to stop waits in its mailbox: nobody might come to resume it.

    Raises:
        Leave: one does; ``cell.leave`` is its reason.
    """
    orders = take_out(cell.queue, lambda item: isinstance(item, StopOrder))
    cell.uncounted -= len(orders)
    if orders:
        cell.leave = orders[0].reason
        raise Leave


async def rest_before(hook: Awaitable[None]) -> None:
    """Park an actor until a carrier has it; if it is killed before, its hook is never run."""
    try:
        await rest()
    except BaseException:
        if inspect.iscoroutine(hook):
            hook.close()
        raise


@types.coroutine
def rest() -> Generator[Any, Any, None]:
    """Park a suspended actor until a control message comes."""
    yield PARK


def start_failure(reason: ExitReason) -> Ignore | None:
    """The ``Ignore`` behind a failed start, if the actor declined rather than failed."""
    cause = reason.cause if isinstance(reason, Crashed) else None
    return cause if isinstance(cause, Ignore) else None
