"""What happens when an actor dies, in OTP's order: names are free, then everyone is told, then its mail is seen to.

A death may cause others, over links. They are queued, not nested, so a chain of any length is buried without recursion.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from actorkit.kernel.call import died
from actorkit.kernel.cell import Cell
from actorkit.kernel.ending import exit_signal
from actorkit.kernel.events import DeadReason, DidNotStart, Stopped
from actorkit.kernel.exits import NO_ACTOR, Crashed, Down, ExitReason, Failed
from actorkit.kernel.inspection import Inspection
from actorkit.kernel.items import NO_MAIL, Fired, Next, RoomWait, Signal, is_mail
from actorkit.kernel.life import ordered_by, start_failure, tell_waiters
from actorkit.kernel.report import CrashReport, crash_report
from actorkit.kernel.wait import ZOMBIES

if TYPE_CHECKING:
    from actorkit.kernel.runtime import Runtime


def bury(runtime: Runtime, cell: Cell, reason: ExitReason) -> None:
    """Take a dead cell out of the house and tell everyone; deaths that follow are queued, not nested."""
    _leave_house(runtime, cell)
    report = None
    own = cell.doomed is None or cell.leave is reason
    if isinstance(reason, (Crashed, Failed)) and own and runtime.events.wants(CrashReport):
        report = crash_report(cell, reason)
    mourners = runtime.relations.bury(cell)
    linked, watches = mourners.linked, mourners.watches
    for watch in mourners.held:
        watch.target.unwatched(watch)
    if cell.waiters is not None:
        # Whoever ordered this end is told by the order, and not hurt over a link.
        linked = tuple(peer for peer in linked if not ordered_by(cell, peer))
    if not cell.ready:  # whoever started it learns of it from the start, and only from there
        linked = tuple(peer for peer in linked if peer is not cell.parent)
        watches = tuple(watch for watch in watches if watch.watcher is not cell.parent)
    runtime.soon(lambda: _mourn(runtime, cell, reason, linked, watches, report))


def _leave_house(runtime: Runtime, cell: Cell) -> None:
    runtime.registry.release(cell)
    runtime.cells.pop(cell.serial, None)
    siblings = runtime.top if cell.parent is None else cell.parent.children
    if siblings is not None and siblings.get(cell.name or "") is cell:
        del siblings[cell.name or ""]
    runtime.clock.forget(cell)
    work, cell.work = cell.work, None
    for scope, origin in (work or {}).items():
        ZOMBIES.add(origin)
        scope.cancel()
    runtime.handled_by_dead += cell.messages_handled


def _mourn(
    runtime: Runtime, cell: Cell, reason: ExitReason, linked: Any, watches: Any, report: Any
) -> None:
    address = cell.address
    for call in (cell.call, *(cell.deferred or ())):
        if call is not None:
            call.fail(died(cell.path, reason))
    cell.call = cell.deferred = None
    if cell.seat is not None and not cell.seat.closed and not runtime.closed:
        _turn_away_own(runtime, cell, DeadReason.DIED)
        cell.seat.vacate(cell)
    else:
        turn_away(runtime, cell, DeadReason.DIED)
        for seat in (cell.seat.seats if cell.seat is not None else cell.seats or {}).values():
            seat.close(reason)
    for peer in linked:
        exit_signal(peer, cell, cell.ref, reason, linked=True)
    for watch in watches:
        notice = Down(watch.monitor, cell.ref, address, reason, watch.name)
        watch.watcher.put(Signal(notice))
    tell_waiters(cell)
    if cell.ready and report is not None:
        runtime.events.emit(report)
    if cell.ready and runtime.events.wants(Stopped):
        actor = cell.props.cls.__qualname__
        runtime.events.emit(Stopped(cell.path, address, actor, reason, cell.messages_handled))
    elif not cell.ready and runtime.events.wants(DidNotStart) and start_failure(reason) is None:
        runtime.events.emit(DidNotStart(cell.path, cell.props.cls.__qualname__, reason))
    cell.actor = None


def _turn_away_own(runtime: Runtime, cell: Cell, why: DeadReason) -> None:
    """Turn away what was meant for this incarnation only: inspections, its timers, its continuations."""
    for item in (*cell.queue, *(cell.control or ())):
        if isinstance(item, Inspection):
            item.fail(died(cell.path, cell.reason or NO_ACTOR))
        elif type(item) is Next:
            runtime.dead_letter(item.message, cell, why)
        elif type(item) is Fired and not item.handle.for_whoever:
            _turn_timer_away(runtime, item, cell, why)


def _turn_timer_away(runtime: Runtime, item: Fired, cell: Cell, why: DeadReason) -> None:
    if item.handle.surfaced():
        runtime.dead_letter(item.message, cell, why)
    else:  # called off: as if it had never been sent
        runtime.sent -= 1


def turn_away(runtime: Runtime, cell: Cell, why: DeadReason) -> None:
    """Turn away all that waits in a dead cell's mailbox."""
    _turn_away_own(runtime, cell, why)
    for item in cell.queue:
        if type(item) is Fired and item.handle.for_whoever:
            _turn_timer_away(runtime, item, cell, why)
        elif is_mail(item) and type(item) is not Next:
            cell.refuse_mail(item, why)
    cell.queue = NO_MAIL
    senders: deque[RoomWait] | tuple[()] = cell.senders or ()
    for wait in list(senders):
        if wait.fail(died(cell.path, cell.reason or NO_ACTOR)):
            runtime.sent += 1
            runtime.dead_letter(wait.message, cell, why)
    cell.senders = None
