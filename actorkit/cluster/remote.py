"""What stands on this node for actors of others: a cell whose slow doors lead to the wire.

A reference to a remote actor is an ordinary ``Ref``; its cell is a ``RemoteCell``, always closed and full, so that all that is
sent to it comes through the doors the kernel keeps for mailboxes at their limit. Being a cell it also stands in the
tables of links and monitors, where a lost connection finds it, and in the graph of who waits for whom.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from actorkit.errors import AskError, AskTimeout, Unencodable
from actorkit.kernel.address import Address
from actorkit.kernel.call import Call, died
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.events import DeadReason
from actorkit.kernel.exits import NO_ACTOR, Down, ExitReason
from actorkit.kernel.items import NO_MAIL, RoomWait, Signal
from actorkit.kernel.life import EndWait
from actorkit.kernel.mailbox import Mailbox
from actorkit.kernel.stream import StreamCall
from actorkit.kernel.wait import CURRENT, Wait, Work

if TYPE_CHECKING:
    from actorkit.cluster.link import Link
    from actorkit.cluster.peer import Peer
    from actorkit.kernel.relations import Watch

OUTSIDE = 0  # the sender of what comes from no actor


class _Outlet(deque[Any]):
    """The mailbox an asker is let into: what is appended goes to the wire."""

    __slots__ = ("_cell",)

    def __init__(self, cell: RemoteCell) -> None:
        super().__init__()
        self._cell = cell

    def append(self, item: Any, /) -> None:
        """Send a request."""
        self._cell.accept(item)


class RemoteCell(Cell):
    """An actor, or whoever sits in a seat or holds a name, on another node.

    Attributes:
        peer: its node.
        incarnation: that of its node; 0 if it is reached by name, whatever the incarnation.
        to: what the wire calls it: its serial, the number of its seat, or its name.
    """

    __slots__ = ("_ending", "_outlet", "aliases", "incarnation", "peer", "to")

    elsewhere = True
    queue = NO_MAIL
    limit = -1
    idle = False
    mailbox = Mailbox()
    senders = None
    carrier = None  # type: ignore[assignment] # no code of it runs here

    def __init__(self, peer: Peer, incarnation: int, to: int | str, path: str) -> None:
        self.peer = peer
        self.runtime = peer.runtime
        self.incarnation = incarnation
        self.to = to
        self.serial = to if isinstance(to, int) else 0
        self.path = path
        self.ref = peer.runtime.new_remote_ref(self)
        self.waiting = None
        self.waiters = None
        self.reason = None
        self.seat = None
        self.seats = None
        self.parent = None
        self.children = None
        self._ending = False
        self._outlet: _Outlet | None = None
        self.aliases: dict[
            Cell, int
        ] = {}  # actors here it is linked to, by the seats it knows them by

    def __repr__(self) -> str:
        return f"<RemoteCell {self.path} {self.address}>"

    @property
    def address(self) -> Address:
        """Its address; of one reached by name only the node is known."""
        return Address(self.peer.name, self.incarnation, self.serial)

    @property
    def name_elsewhere(self) -> str | None:  # type: ignore[override]
        """The name by which it is reached, if it is."""
        return self.to if isinstance(self.to, str) else None

    @property
    def state(self) -> State:  # type: ignore[override]
        """Dead if its node has been restarted since; else nobody here knows better than that it runs."""
        return State.DEAD if self.stale else State.RUNNING

    @property
    def stale(self) -> bool:
        """Whether its node has been restarted since, as far as is known here."""
        there = self.peer.incarnation
        return bool(self.incarnation and there and there != self.incarnation)

    # Mail --------------------------------------------------------------------------------------------------------

    def overflow(self, message: Any) -> bool:
        """A told message: encoded now, sent when the turn ends; a dead letter if there is no room or no such node."""
        self.runtime.forwarded += 1
        link = self.peer.link
        if link is None:
            return self.peer.tell_later(self, message)
        if self.stale:
            return self.lose(message, DeadReason.NO_ACTOR)
        if link.outbox.full and not link.make_room():
            return self.lose(message, DeadReason.OUTBOX_FULL)
        link.out.tell(self.to, message, sender_of())
        return True

    def lose(self, message: Any, why: DeadReason) -> bool:
        """Count a message that does not reach the wire."""
        self.runtime.forwarded -= 1
        self.runtime.dead_letter(message, self, why)
        return False

    def full(self) -> bool:
        """Whether ``send`` must wait."""
        return self.peer.full

    def queue_up(self, wait: RoomWait) -> None:
        """A sender waits for room in the outbox."""
        self.peer.wait_for_room(self, wait)

    def admit(self, message: Any) -> deque[Any]:
        """An asker comes: if the outbox is full its request waits for room, not it for an error.

        Raises:
            ActorDied: the node has been restarted since.
        """
        if self.stale:
            self.runtime.forwarded += 1
            self.lose(message, DeadReason.NO_ACTOR)
            raise died(self.path, NO_ACTOR)
        return self.open_mail()

    def open_mail(self) -> deque[Any]:
        """Where requests are put."""
        if self._outlet is None:
            self._outlet = _Outlet(self)
        return self._outlet

    def accept(self, message: Any) -> None:
        """Send a request, or what a seat has kept for whoever sits there next."""
        try:
            if isinstance(message, (Call, StreamCall)):
                self.runtime.forwarded += 1
                self.peer.request(self, message, sender_of())
            else:
                self.overflow(message)
        except Unencodable as error:
            if isinstance(message, (Call, StreamCall)):
                fail_early(message, error)
            else:  # it has waited in a seat: there is nobody to tell
                self.lose(message, DeadReason.NOT_ENCODABLE)

    def put(self, item: Any) -> None:
        """Send a notice to a remote watcher."""
        if type(item) is Signal and isinstance(item.notice, Down):
            self.peer.send_down(self, item.notice)

    def given_up(self, call: Call) -> None:
        """An asker waits no more: the callee's reply would be for nobody."""
        self.peer.forget(call)

    # Ends --------------------------------------------------------------------------------------------------------

    def send_exit(self, sender: Cell | None, reason: ExitReason, *, linked: bool) -> None:
        """Send an exit signal."""
        self.peer.send_exit(self, sender, reason, linked=linked)

    def send_kill(self) -> None:
        """Kill it, which takes the grant ``control``, or to have spawned it."""
        self.peer.send_stop(self, None, NO_ACTOR, limit=None, kill=True)

    def send_stop(
        self, wait: EndWait, reason: ExitReason, *, limit: float | None, kill: bool
    ) -> None:
        """Tell it to end; ``wait`` is over once it has."""
        self.peer.send_stop(self, wait, reason, limit=limit, kill=kill)

    def ask_to_stop(self, reason: ExitReason) -> None:
        """Send an order to end that keeps its place among messages."""
        self.expect_end()
        self.peer.send_orderly_stop(self, reason)

    def expect_end(self) -> None:
        """Have its node tell when it is gone."""
        if not self._ending:
            self._ending = True
            self.peer.send_expect_end(self)

    def ended(self, reason: ExitReason) -> None:
        """It is gone: tell those who wait for that."""
        self._ending = False
        waiters, self.waiters = self.waiters, None
        for wait in waiters or ():
            resolve_early(wait, reason)

    def refused_end(self, error: BaseException) -> None:
        """It may not be ended from here: tell those who wait for that."""
        waiters, self.waiters = self.waiters, None
        for wait in waiters or ():
            wait.fail(error)

    # Links and monitors ------------------------------------------------------------------------------------------

    def watched(self, watch: Watch[Cell]) -> None:
        """Somebody here watches it."""
        self.peer.send_watch(self, watch)

    def unwatched(self, watch: Watch[Cell]) -> None:
        """Somebody here does not watch it any more."""
        self.peer.send_unwatch(self, watch)

    def linked_to(self, cell: Cell) -> None:
        """An actor here was linked to it."""
        self.peer.send_link(self, cell)

    def unlinked_from(self, cell: Cell) -> None:
        """A link to it was undone."""
        self.peer.send_unlink(self, cell)


class Incoming:
    """The asker of a request that came from another node: resolving the call sends the reply.

    It stands where the kernel keeps the cell that a resolved wait resumes.
    """

    __slots__ = ("asker", "call", "callee", "chain", "link", "number", "waiting")

    waiting: Any

    def __init__(
        self,
        link: Link,
        number: int,
        asker: RemoteCell | None,
        callee: Cell,
        chain: tuple[Wait, ...],
    ) -> None:
        self.link = link
        self.number = number
        self.asker = asker
        self.callee = callee
        self.chain = chain
        self.call: Call | None = None

    @property
    def path(self) -> str:
        """Who has asked, as crash reports tell it."""
        return self.asker.path if self.asker is not None else self.link.peer.name

    def push(self, _: Any) -> None:
        """The call is answered."""
        call = self.call
        if call is not None:
            self.over(call)
            self.link.calls_in.pop(self.number, None)
            self.link.answer(self.number, call, self.callee)

    def over(self, call: Call) -> None:
        """Nobody waits any more, neither the asker nor those who wait for it."""
        self.call = None
        release(self.asker, call)
        for wait in self.chain:
            wait.done = True
            if isinstance(wait.cell, RemoteCell):
                release(wait.cell, wait)


class EarlyWait(Wait):
    """A wait that may be over before its actor has begun to wait: then there is nobody to resume."""

    __slots__ = ()

    def _resume(self) -> None:
        if not _not_begun(self):
            super()._resume()


def _not_begun(wait: Wait) -> bool:
    """Whether an actor that is about to wait directly has not come to that yet.

    It stands in no queue then, and must not be put in one: whatever it waits for next would be over too soon.
    """
    return isinstance(wait.cell, Cell) and wait.cell.waiting is not wait


def fail_early(wait: Call | StreamCall, error: AskError) -> bool:
    """Fail a request that may not be waited for yet; tells whether it was still under way."""
    if isinstance(wait, Call) and not wait.done and _not_begun(wait):
        wait.done = True
        wait.error = error
        return True
    return bool(wait.fail(error))


def resolve_early(wait: Wait, value: Any) -> None:
    """Resolve a wait that may not have begun."""
    if not wait.done and _not_begun(wait):
        wait.done = True
        wait.value = value
    else:
        wait.resolve(value)


def await_from(asker: RemoteCell | None, wait: Wait) -> None:
    """Note that an actor elsewhere waits, for the graph in which circular asks are found."""
    if asker is None:
        return
    if not isinstance(asker.waiting, list):
        asker.waiting = []
    asker.waiting.append(wait)


def release(asker: RemoteCell | None, wait: Wait) -> None:
    """It waits no more."""
    if asker is None or not isinstance(asker.waiting, list):
        return
    if wait in asker.waiting:  # near the front, as a rule: answers come in the order of requests
        asker.waiting.remove(wait)
    if not asker.waiting:
        asker.waiting = None


def sender_of() -> int:
    """The serial of the actor whose code runs now; 0 if it is none's."""
    me = CURRENT.get()
    if me is None:
        return OUTSIDE
    serial: int = me.cell.serial if type(me) is Work else me.serial
    return serial


def failure_of(call: Call, path: str) -> AskError | None:
    """The error a call ended with, as one of the errors an ask may end with; None if there is nobody to tell it."""
    error = call.error
    if isinstance(error, AskTimeout):
        return None  # the asker keeps its own time
    if isinstance(error, AskError):
        return error
    return died(path, NO_ACTOR)
