"""Another node, up or not: what stands here for its actors, and what waits for a connection to it.

A ``Peer`` is kept for every node that was ever named. While there is no connection, what is said to it waits here, in order and
bounded, and a dial is wished for; if that fails, messages become dead letters, requests fail with ``NodeDown``, and links and
monitors fire with ``NoConnection``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from actorkit.cluster import frames
from actorkit.cluster.link import EndCall
from actorkit.cluster.remote import RemoteCell, fail_early, sender_of
from actorkit.errors import NodeDown, Unencodable
from actorkit.kernel.address import Address
from actorkit.kernel.call import Call, died
from actorkit.kernel.ending import exit_signal
from actorkit.kernel.events import DeadReason
from actorkit.kernel.exits import NO_ACTOR, NO_CONNECTION, Down, Exit, ExitReason, Monitor
from actorkit.kernel.items import RoomWait, Signal
from actorkit.kernel.stream import StreamCall

if TYPE_CHECKING:
    from actorkit.cluster.fabric import Fabric
    from actorkit.cluster.link import Link
    from actorkit.kernel.cell import Cell
    from actorkit.kernel.life import EndWait
    from actorkit.kernel.relations import Watch
    from actorkit.kernel.wait import Wait

PENDING = 10_000  # messages that may wait for a connection

Go = Callable[["Link"], None]
Failed = Callable[[ExitReason], None]


class Monitors:
    """The monitors a peer's actors hold here: their numbers and ours."""

    __slots__ = ("_ours", "_theirs")

    def __init__(self) -> None:
        self._ours: dict[tuple[int, int], Monitor] = {}
        self._theirs: dict[Monitor, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._ours)

    def add(self, watcher: int, theirs: int, ours: Monitor) -> None:
        """Note a monitor; a number that is used twice means the newer one."""
        self.pop_theirs(watcher, theirs)
        self._ours[watcher, theirs] = ours
        self._theirs[ours] = (watcher, theirs)

    def pop_theirs(self, watcher: int, theirs: int) -> Monitor | None:
        """Our number of a monitor that is removed."""
        ours = self._ours.pop((watcher, theirs), None)
        if ours is not None:
            del self._theirs[ours]
        return ours

    def pop_ours(self, ours: Monitor) -> tuple[int, int] | None:
        """Watcher and number of a monitor that fires."""
        theirs = self._theirs.pop(ours, None)
        if theirs is not None:
            del self._ours[theirs]
        return theirs

    def clear(self) -> None:
        """Forget all."""
        self._ours.clear()
        self._theirs.clear()


class Peer:
    """Another node, by name."""

    def __init__(self, fabric: Fabric, name: str) -> None:
        self.fabric = fabric
        self.runtime = fabric.runtime
        self.name = name
        self.link: Link | None = None
        self.incarnation = 0  # the last one known
        self.monitors_in = Monitors()
        self.crowded = False  # whether somebody waits for room in the outbox
        self._cells: WeakValueDictionary[tuple[int, int | str], RemoteCell] = WeakValueDictionary()
        self._pending: deque[tuple[RemoteCell, Go, Failed]] = deque()
        self._waiting: deque[tuple[RemoteCell, Wait, int]] = deque()  # the last is who sends
        self._expected: dict[int, Failed] = {}
        self._relayed: dict[Monitor, int] = {}  # what we expect for watchers elsewhere
        self._next_expected = 1

    def __repr__(self) -> str:
        return f"<Peer {self.name} {'up' if self.link else 'not connected'}>"

    # Its actors --------------------------------------------------------------------------------------------------

    def cell(self, incarnation: int, to: int | str, path: str = "") -> RemoteCell:
        """What stands here for one of its actors: the same thing as long as anybody holds it."""
        cell = self._cells.get((incarnation, to))
        if cell is None:
            shown = path or f"{self.name}#{to}"
            cell = self._cells[incarnation, to] = RemoteCell(self, incarnation, to, shown)
        elif path and cell.path != path and cell.path == f"{self.name}#{to}":
            cell.path = path  # it was known by its number only
        return cell

    def cell_of(self, serial: int) -> RemoteCell:
        """What stands here for an actor of its present incarnation."""
        return self.cell(self.incarnation, serial)

    def known(self, serial: int) -> RemoteCell | None:
        """What stands here for an actor of its present incarnation, if anything does."""
        return self._cells.get((self.incarnation, serial))

    def named(self, name: str) -> RemoteCell:
        """What stands here for whoever holds a name there."""
        return self.cell(0, name, f"{self.name}:{name}")

    def address_of(self, serial: int) -> Address:
        """The address of an actor of its present incarnation."""
        return Address(self.name, self.incarnation, serial)

    @property
    def forgettable(self) -> bool:
        """Whether nothing is known of it but its name."""
        busy = self.link or self._cells or self._pending or self._waiting or self._expected
        return not busy

    # What is said to it ------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether those who send must wait for room."""
        link = self.link
        return link.outbox.full_for(sender_of()) if link else len(self._pending) >= PENDING

    def do(self, cell: RemoteCell, go: Go, failed: Failed = lambda _: None) -> None:
        """Say something about one of its actors now, or when there is a connection."""
        link = self.link
        if link is None:
            self._pending.append((cell, go, failed))
            self.fabric.want(self)
        elif cell.stale:
            failed(NO_ACTOR)
        else:
            go(link)

    def tell_later(self, cell: RemoteCell, message: Any) -> bool:
        """A message waits for a connection.

        Raises:
            Unencodable: it cannot travel.
        """
        if len(self._pending) >= PENDING:
            return cell.lose(message, DeadReason.OUTBOX_FULL)
        self.fabric.check_encodable(message)
        sender = sender_of()

        def failed(why: ExitReason) -> None:
            cell.lose(message, DeadReason.NO_ACTOR if why == NO_ACTOR else DeadReason.NO_CONNECTION)

        self.do(cell, lambda link: link.out.tell(cell.to, message, sender), failed)
        return True

    def wait_for_room(self, cell: RemoteCell, wait: RoomWait) -> None:
        """A sender waits."""
        self._waiting.append((cell, wait, sender_of()))
        self.crowded = True

    def request(self, cell: RemoteCell, call: Call | StreamCall, sender: int) -> None:
        """Send a request, when there is room."""
        link = self.link
        if link is not None and not cell.stale and not link.outbox.full_for(sender):
            link.request(cell, call, sender)
            return
        if link is not None and link.outbox.full_for(sender) and isinstance(call, Call):
            self._waiting.append((cell, call, sender))
            self.crowded = True
            return
        if self.link is None:
            self.fabric.check_encodable(call.message)
        self.request_now(cell, call, sender)

    def request_now(self, cell: RemoteCell, call: Call | StreamCall, sender: int) -> None:
        """Send a request, whatever the room."""

        def go(link: Link) -> None:
            if call.done if isinstance(call, Call) else call.abandoned or call.ended:
                return
            try:
                link.request(cell, call, sender)
            except Unencodable as error:
                fail_early(call, error)

        self.do(cell, go, lambda why: _fail_request(cell, call, why))

    def let_in(self) -> None:
        """There may be room again: let those who wait send, each in its order."""
        waiting, self._waiting = self._waiting, deque()
        for cell, wait, sender in waiting:
            link = self.link
            if link is None or link.outbox.full_for(sender):
                self._waiting.append((cell, wait, sender))
            elif not wait.done:
                self._let_one_in(cell, wait, sender)
        self.crowded = bool(self._waiting)

    def _let_one_in(self, cell: RemoteCell, wait: Wait, sender: int) -> None:
        if isinstance(wait, Call):
            self.request_now(cell, wait, sender)
        elif isinstance(wait, RoomWait):
            go = partial(_tell_waiting, cell=cell, wait=wait, sender=sender)
            self.do(cell, go, _failing(cell, wait))

    def forget(self, call: Call) -> None:
        """An asker waits no more."""
        if self.link is not None:
            self.link.forget(call)

    # Signals -----------------------------------------------------------------------------------------------------

    def send_watch(self, cell: RemoteCell, watch: Watch[Cell]) -> None:
        """Watch one of its actors."""
        if watch.watcher.elsewhere:  # it watches whoever sits in a seat of ours
            self._relayed[watch.monitor] = self._expect(cell, partial(self._down_here, watch))
            return
        watcher, monitor = watch.watcher.serial, watch.monitor.serial
        self.do(
            cell,
            lambda link: link.out.say(frames.WATCH, cell.to, watcher, monitor, sender=watcher),
            lambda why: self._down_here(watch, why),
        )

    def _down_here(self, watch: Watch[Cell], why: ExitReason) -> None:
        self._relayed.pop(watch.monitor, None)
        if self.runtime.relations.unwatch(watch.monitor) is not None:
            cell = watch.target
            address = None if watch.name else cell.address
            watch.watcher.put(Signal(Down(watch.monitor, cell.ref, address, why, watch.name)))

    def send_unwatch(self, cell: RemoteCell, watch: Watch[Cell]) -> None:
        """Watch one of its actors no more."""
        watcher, monitor = watch.watcher.serial, watch.monitor.serial
        if watch.watcher.elsewhere:
            number = self._relayed.pop(watch.monitor, 0)
            if self._expected.pop(number, None) is not None and self.link is not None:
                self.link.out.say(frames.UNWATCH, 0, number)
            return
        if self.link is not None:
            self.link.out.say(frames.UNWATCH, watcher, monitor, sender=watcher)
        else:  # the wish to watch still waits
            self.do(
                cell, lambda link: link.out.say(frames.UNWATCH, watcher, monitor, sender=watcher)
            )

    def send_down(self, _: RemoteCell, notice: Down) -> None:
        """One of its actors watched one of ours, which is gone."""
        theirs = self.monitors_in.pop_ours(notice.monitor)
        if theirs is not None and self.link is not None:
            address, me = notice.address, self.fabric.me.name
            serial = address.serial if address is not None and address.node == me else 0
            self.link.out.down(*theirs, serial, notice.reason)

    def send_link(self, cell: RemoteCell, ours: Cell) -> None:
        """Link one of ours to one of its actors."""
        serial = ours.serial

        def failed(why: ExitReason) -> None:
            if self.runtime.relations.unlink(ours, cell):
                exit_signal(ours, cell, cell.ref, why, linked=True)

        if ours.elsewhere:  # as in send_watch
            self._expect(cell, failed)
            return
        self.do(
            cell, lambda link: link.out.say(frames.LINK, serial, cell.to, sender=serial), failed
        )

    def send_unlink(self, cell: RemoteCell, ours: Cell) -> None:
        """Undo a link."""
        serial = ours.serial
        self.do(cell, lambda link: link.out.say(frames.UNLINK, serial, cell.to, sender=serial))

    def send_exit(
        self, cell: RemoteCell, sender: Cell | None, reason: ExitReason, *, linked: bool
    ) -> None:
        """An exit signal for one of its actors."""
        if linked and self.link is None:  # the lost connection has told it already
            return
        source = sender.serial if sender is not None and not sender.elsewhere else 0
        seat = source
        if linked and sender is not None:
            seat = cell.aliases.pop(sender, source)
        linked = linked and seat != 0  # the link of somebody elsewhere is not known there
        self.do(cell, lambda link: link.out.exit((source, seat, cell.to), reason, linked=linked))

    def send_stop(
        self,
        cell: RemoteCell,
        wait: EndWait | None,
        reason: ExitReason,
        *,
        limit: float | None,
        kill: bool,
    ) -> None:
        """Order one of its actors to end."""
        by = wait.by.serial if wait is not None and wait.by is not None else 0
        how = ("kill" if kill else "interrupt", limit, by)

        def go(link: Link) -> None:
            number = link.enter(EndCall(wait)) if wait is not None else 0
            link.out.stop(cell.to, number, reason, how)

        def failed(why: ExitReason) -> None:
            if wait is not None:
                wait.resolve(why)

        self.do(cell, go, failed)

    def send_orderly_stop(self, cell: RemoteCell, reason: ExitReason) -> None:
        """Order one of its actors to end when it has handled what was sent before."""
        by = sender_of()

        def go(link: Link) -> None:
            link.out.stop(cell.to, link.enter(_Refusable(cell)), reason, ("orderly", None, by))

        self.do(cell, go)

    def send_expect_end(self, cell: RemoteCell) -> None:
        """Have the end of one of its actors told, to nobody in particular."""
        self._expect(cell, cell.ended)

    def _expect(self, cell: RemoteCell, then: Failed) -> int:
        number = self._next_expected
        self._next_expected += 1
        self._expected[number] = then
        sender = sender_of()
        self.do(
            cell,
            lambda link: link.out.say(frames.WATCH, cell.to, 0, number, sender=sender),
            lambda why: self.ended(number, why),
        )
        return number

    def ended(self, number: int, reason: ExitReason) -> None:
        """An actor of whose end we wished to hear is gone."""
        then = self._expected.pop(number, None)
        if then is not None:
            then(reason)

    def died(self, cell: RemoteCell, _: int) -> None:
        """One of its actors is gone: if it sat in a seat of ours, the seat is free before anybody hears."""
        if cell.seat is not None and cell.seat.cell is cell:
            cell.seat.vacate(cell)

    # Coming and going --------------------------------------------------------------------------------------------

    def connected(self, link: Link) -> None:
        """There is a connection: say what has waited for it."""
        self.link = link
        self.incarnation = link.session.peer.incarnation
        pending, self._pending = self._pending, deque()
        for cell, go, failed in pending:
            try:
                self.do(cell, go, failed)
            except Unencodable:  # it has been changed since it was sent
                failed(NO_CONNECTION)
        if self._waiting:
            self.let_in()

    def unreachable(self) -> None:
        """There will be no connection soon: what has waited for one fails."""
        pending, self._pending = self._pending, deque()
        for _, _, failed in pending:
            failed(NO_CONNECTION)
        self._fail_waiting()

    def disconnected(self) -> None:
        """The connection is gone: calls fail, then links and monitors fire, each once."""
        link, self.link = self.link, None
        if link is not None:
            link.fail_calls()
        self.monitors_in.clear()
        for cell in list(self._cells.values()):
            self._bury(cell)
        expected, self._expected = self._expected, {}
        for then in expected.values():
            then(NO_CONNECTION)
        self._fail_waiting()

    def _bury(self, cell: RemoteCell) -> None:
        mourners = self.runtime.relations.bury(cell)
        cell.waiting = None
        cell.aliases.clear()
        if cell.seat is not None and cell.seat.cell is cell:
            cell.seat.vacate(cell)
        for peer in mourners.linked:
            exit_signal(peer, cell, cell.ref, NO_CONNECTION, linked=True)
        for watch in mourners.watches:
            address = None if watch.name else cell.address
            notice = Down(watch.monitor, cell.ref, address, NO_CONNECTION, watch.name)
            watch.watcher.put(Signal(notice))

    def _fail_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for cell, wait, _ in waiting:
            if not wait.fail(NodeDown(self.name, self.fabric.why_down(self.name))):
                continue
            if isinstance(wait, RoomWait):
                _lose_waiting(cell, wait, DeadReason.NO_CONNECTION)
            elif isinstance(wait, Call):
                cell.lose(wait.message, DeadReason.NO_CONNECTION)
        self.crowded = False


class _Refusable:
    """An order to end that keeps its place: only its refusal is answered."""

    __slots__ = ("cell",)

    def __init__(self, cell: RemoteCell) -> None:
        self.cell = cell

    def answered(self, _: Any) -> None:
        """It was gone already; its end is told apart."""

    def fail(self, error: BaseException) -> None:
        """It may not be ended from here."""
        self.cell.refused_end(error)

    def lost(self) -> None:
        """The lost connection is told apart."""


def _tell_waiting(link: Link, cell: RemoteCell, wait: RoomWait, sender: int) -> None:
    try:
        link.out.tell(cell.to, wait.message, sender)
    except Exception as error:  # noqa: BLE001 - belongs to the one who sends
        wait.fail(error)
    else:
        cell.runtime.sent += 1
        cell.runtime.forwarded += 1
        wait.resolve(None)


def _failing(cell: RemoteCell, wait: RoomWait) -> Failed:
    def failed(_: ExitReason) -> None:
        if wait.fail(died(cell.path, NO_ACTOR)):
            _lose_waiting(cell, wait, DeadReason.NO_ACTOR)

    return failed


def _lose_waiting(cell: RemoteCell, wait: RoomWait, why: DeadReason) -> None:
    """What a sender waited with counts as sent, and is a dead letter."""
    cell.runtime.sent += 1
    cell.runtime.forwarded += 1
    cell.lose(wait.message, why)


def _fail_request(cell: RemoteCell, call: Call | StreamCall, why: ExitReason) -> None:
    node = cell.peer.name
    down = NodeDown(node, cell.peer.fabric.why_down(node))
    error = died(cell.path, NO_ACTOR) if why == NO_ACTOR else down
    if fail_early(call, error):
        cell.lose(
            call.message, DeadReason.NO_ACTOR if why == NO_ACTOR else DeadReason.NO_CONNECTION
        )


def exit_of(cell: RemoteCell, reason: ExitReason, *, linked: bool) -> Exit:
    """The exit notice of an actor elsewhere."""
    return Exit(cell.ref, cell.address, reason, linked)
