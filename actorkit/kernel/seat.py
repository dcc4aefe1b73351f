"""The lasting place of a supervised child: a reference and its mail that outlive the child's incarnations.

A seat always has a cell: the living incarnation, or one that is not started yet, in which mail waits. When an incarnation
dies its mail moves to the next in order, and the reference with it. Seats below a supervisor stay in the supervisor's
own seat, so they survive its restart too; they are closed, and their mail becomes dead letters, when the topmost
supervisor gives up, or the restarted one no longer has such a child.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorkit.kernel.cell import Cell, State
from actorkit.kernel.events import DeadReason
from actorkit.kernel.exits import NO_ACTOR, ExitReason
from actorkit.kernel.items import NO_MAIL, ROOM, Fired, RoomWait, is_for_whoever
from actorkit.kernel.mailbox import next_threshold
from actorkit.kernel.stream import StreamCall
from actorkit.kernel.wait import Wait

if TYPE_CHECKING:
    from actorkit.kernel.actor import Props
    from actorkit.kernel.ref import Ref
    from actorkit.kernel.runtime import Runtime


class Seat:
    """One place below one supervisor."""

    __slots__ = (
        "__weakref__",
        "cell",
        "closed",
        "number",
        "path",
        "ref",
        "runtime",
        "seats",
        "segment",
    )

    def __init__(self, runtime: Runtime, path: str, segment: str) -> None:
        self.runtime = runtime
        self.path = path
        self.segment = segment
        self.ref: Ref[Any] = runtime.new_ref()
        self.seats: dict[str, Seat] = {}
        self.number = 0  # by which other nodes know it; 0 while none does
        self.closed = False
        self.cell: Cell = self._vacancy(runtime.vacant)
        self.ref._cell = self.cell

    def _vacancy(self, props: Props[Any]) -> Cell:
        """A cell that is not started: mail may wait in it."""
        cell = Cell(self.runtime, props, self.path, self.ref, None)
        cell.seat = self
        return cell

    @property
    def occupied(self) -> bool:
        """Whether an incarnation lives here."""
        return State.STARTING <= self.cell.state <= State.STOPPING

    def prepare(self, props: Props[Any], parent: Cell | None) -> Cell:
        """The cell of the next incarnation, with the mail that waits for it."""
        waiting = self.cell
        cell = Cell(self.runtime, props, self.path, self.ref, parent)
        cell.seat = self
        cell.queue = waiting.queue
        if cell.queue is not NO_MAIL:
            cell.limit = next_threshold(cell.mailbox, high=False)
        cell.uncounted = waiting.uncounted
        cell.senders = waiting.senders
        cell.crowded = waiting.crowded or waiting.senders is not None
        _readdress(waiting, cell)
        if cell.senders and ROOM not in cell.queue:
            cell.mark_room(0)
        waiting.queue = NO_MAIL
        waiting.state = State.DEAD
        waiting.limit = -1
        self.cell = self.ref._cell = cell
        self.closed = False
        return cell

    def vacate(self, dead: Cell) -> None:
        """An incarnation died: its mail waits for the next one."""
        if self.cell is not dead:
            return
        if dead.elsewhere:
            dead.seat = None
            self.cell = self.ref._cell = self._vacancy(self.runtime.vacant)
            return
        vacancy = self._vacancy(dead.props)
        queue = vacancy.open_mail()
        queue.extend(item for item in dead.queue if is_for_whoever(item))
        vacancy.uncounted = sum(type(item) is Fired for item in queue)
        vacancy.senders = dead.senders
        vacancy.limit = dead.mailbox.capacity
        _readdress(dead, vacancy)
        dead.queue = NO_MAIL
        dead.senders = None
        self.cell = self.ref._cell = vacancy

    def let_in(self, cell: Cell) -> None:
        """An incarnation that lives elsewhere sits here from now on: mail that has waited for it goes there."""
        if self.cell.elsewhere:
            self.vacate(self.cell)
        waiting = self.cell
        cell.seat = self
        self.cell = self.ref._cell = cell
        self.closed = False
        queue, waiting.queue = waiting.queue, NO_MAIL
        senders, waiting.senders = waiting.senders, None
        waiting.state = State.DEAD
        waiting.limit = -1
        for item in queue:
            if isinstance(item, StreamCall):
                item.wait_for(cell)
            elif isinstance(item, Wait):
                item.target = cell
            if is_for_whoever(item):
                cell.accept(item.message if type(item) is Fired else item)
        for wait in senders or ():
            if not wait.done:
                cell.queue_up(wait)

    def close(self, reason: ExitReason = NO_ACTOR) -> None:
        """Nobody will sit here again: mail that waits becomes dead letters, those who asked are told."""
        self.closed = True
        for seat in self.seats.values():
            seat.close(reason)
        cell = self.cell
        if not self.occupied and cell.state is not State.DEAD:
            cell.state = State.DEAD
            cell.reason = reason
            cell.limit = -1
            self.runtime.turn_away(cell, DeadReason.DIED)


def _readdress(old: Cell, new: Cell) -> None:
    """Those who wait for one cell now wait for the other, as far as circular asks are concerned."""
    for wait in (*new.queue, *(new.senders or ())):
        if isinstance(wait, StreamCall):
            wait.wait_for(new)
        if isinstance(wait, Wait) and wait.target is old:
            wait.target = new
        if isinstance(wait, RoomWait):
            wait.owner = new
