"""How an actor is made to end: the signals that reach it, and how code that is in the midst of something is unwound.

There are two ways. ``doom`` ends an actor at once, whatever it is doing; ``interrupt`` in good order. What follows the end
stands in ``burial``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from actorkit.kernel.cell import DEAD, Cell, State
from actorkit.kernel.exits import KILLED, Exit, ExitReason, Normal, Shutdown
from actorkit.kernel.items import ATTENTION, Signal, StopOrder
from actorkit.kernel.wait import NOBODY, PARK, ZOMBIES, ActorExit, Carrier, Wait

if TYPE_CHECKING:
    from actorkit.kernel.ref import Ref

PARENT_ENDED = Shutdown("the actor that started it ended")


def exit_signal(
    cell: Cell, sender: Cell | None, ref: Ref[Any], reason: ExitReason, *, linked: bool
) -> None:
    """Receive an exit signal (the table of otp-semantics 1.6, decided by ``trap_exits`` now).

    A trapping actor gets an ``Exit``, but one from its parent ends it. Any other actor dies of it, save that a
    ``Normal`` from somebody else is dropped - but over the link to its parent it ends the actor in good order, so a
    linked child never outlives the one that started it.
    """
    if cell.elsewhere:
        cell.send_exit(sender, reason, linked=linked)
        return
    if cell.beyond:
        return
    to_self = sender is cell
    if cell.traps and not to_self:
        if sender is not None and sender is cell.parent:
            cell.order(StopOrder(reason))
        else:
            address = sender.address if sender is not None else None
            cell.put(Signal(Exit(ref, address, reason, linked)))
    elif to_self or not isinstance(reason, Normal):
        doom(cell, reason)
    elif linked and sender is cell.parent:
        interrupt(cell, PARENT_ENDED)


def doom(cell: Cell, reason: ExitReason) -> None:
    """End this actor at once: the first call decides the reason.

    Between messages it is buried here. A handler in the midst of its work is fenced until it has unwound: a parked
    one is resumed to end, one that waits on trio has its carrier cancelled, and one whose own code is what called
    goes on until it next awaits or returns.
    """
    if cell.elsewhere:
        cell.send_kill()
        return
    if cell.beyond:
        return
    cell.doomed = reason
    gen = cell.gen
    if cell.running:
        cell.carrier = NOBODY
        _fence(cell)
    elif cell.pinned:
        _fence(cell)
        scope = cell.carrier.scope
        cell.carrier.task = None  # nothing it awaits is direct from now on
        if scope is not None:
            scope.cancel()
        cell.runtime.watch_zombie(cell)
    elif gen is not None and gen.gi_yieldfrom is not None:
        _fence(cell)
        _unwind_parked(cell)
    else:  # at rest between messages, or not begun: nothing of the user's to unwind
        if gen is not None:
            gen.close()
        cell.bury(reason)


def _fence(cell: Cell) -> None:
    """Drop what the code still on its way sends, hold back its reply, and let it take no other message."""
    ZOMBIES.add(cell)
    if cell.leave is None:
        cell.leave = KILLED
    cell.open_mail().appendleft(ATTENTION)
    cell.uncounted += 1


def _unwind_parked(cell: Cell) -> None:
    """Have a carrier throw into the handler: its ``finally`` blocks run, but whatever they await fails.

    Not here and now: what they await of trio's would wait on the task of whoever called.
    """
    waiting, cell.waiting = cell.waiting, None
    if isinstance(waiting, Wait):
        waiting.done = True
        waiting.cancelled()
    cell.step = partial(_throw, cell)
    if cell.suspended or isinstance(waiting, Wait):  # else it stands in the run queue already
        cell.suspended = False
        cell.push(cell)


def _throw(cell: Cell, _: Any) -> Any:
    cell.step = _resting
    cell.carrier = Carrier(None, cell.carrier.scope)  # nothing it awaits is direct from now on
    return DEAD if cell.gen is None else cell.gen.throw(ActorExit())


def interrupt(cell: Cell, reason: ExitReason) -> None:
    """End this actor in good order, but do not wait for what its handler waits for.

    The handler's wait is broken off (``finally`` blocks run and may await), then ``stopping`` runs. A trapping
    actor finishes the message in hand first; if it waits for an actor to start, that start is broken off.
    """
    if cell.beyond:
        return
    if cell.state is State.NEW:
        cell.bury(reason)
        return
    waiting = cell.waiting
    if (
        cell.traps
        or cell.state is State.STOPPING
        or cell.running
        or not (cell.pinned or isinstance(waiting, Wait) or _resumed(cell))
    ):
        cell.order(StopOrder(reason, unready=True))
        if isinstance(waiting, Wait):
            waiting.let_go(reason)
        return
    cell.leave = reason
    # For a handler that ends of itself, or goes on regardless:
    cell.order(StopOrder(reason, unready=True))
    if cell.pinned:
        if cell.carrier.scope is not None:
            cell.carrier.scope.cancel()
    elif isinstance(waiting, Wait):
        waiting.cancelled()
        waiting.fail(ActorExit())
    else:
        cell.step = partial(_break_off, cell)


def _resumed(cell: Cell) -> bool:
    """Whether the handler's wait is over, and the cell stands in the run queue to go on with it."""
    inside = cell.gen is not None and cell.gen.gi_yieldfrom is not None
    return inside and cell.waiting is None and not cell.suspended


def _break_off(cell: Cell, _: Any) -> Any:
    if cell.gen is None:
        return DEAD
    cell.step = cell.gen.send
    return cell.gen.throw(ActorExit())


def _resting(_: Any) -> Any:
    """What a carrier steps when the cell is being unwound and stood in the run queue twice."""
    return PARK
