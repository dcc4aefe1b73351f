"""The shell around ``membership``: dials, accepts, proves, and carries its directives out, in their order.

One table of peers by name, one of connections by number. Nothing here decides who is connected to whom.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

import attrs
import trio

from actorkit.cluster import frames, services
from actorkit.cluster.events import ConnectionFailed, ConnectionLost, NodeEvent
from actorkit.cluster.handshake import Identity, Session, Status
from actorkit.cluster.keys import Keyring, Secret
from actorkit.cluster.link import Link, ServiceCall
from actorkit.cluster.membership import (
    Adopt,
    Announce,
    Cancel,
    Dial,
    Directive,
    Drop,
    GiveUp,
    Gossip,
    Membership,
    Reached,
    Wait,
)
from actorkit.cluster.membership import State as Reach
from actorkit.cluster.opening import CROSSED, Doors, Outcome, dial
from actorkit.cluster.options import ClusterOptions
from actorkit.cluster.peer import Peer
from actorkit.cluster.refs import RefDesk
from actorkit.cluster.remote import EarlyWait
from actorkit.codec import Codec, pack_plain
from actorkit.errors import ConnectFailed, NotGranted, ProtocolError, Unencodable
from actorkit.kernel.address import valid_node_name
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.exits import ExitReason
from actorkit.kernel.items import Signal
from actorkit.kernel.message import error_text
from actorkit.kernel.notices import LostReason, NodeLost, NodeUp
from actorkit.kernel.runtime import Runtime
from actorkit.kernel.wait import direct_cell

if TYPE_CHECKING:
    from actorkit.cluster.secure import TlsContexts
    from actorkit.seams.transport import Connection, Transport


ADDRESS = 190  # characters of an address, as in a handshake
NAMESAKES = 10.0  # seconds between two replacements that are no restarts any more
SWEEP = 1024  # peers known before those that mean nothing are looked for


class ConnectWait(EarlyWait):
    """Someone waits for a connection that was asked for."""

    __slots__ = ()


class Fabric:
    """One node's connections."""

    def __init__(
        self,
        runtime: Runtime,
        transport: Transport,
        keyring: Keyring,
        options: ClusterOptions,
        *,
        hidden: bool = False,
        tls: TlsContexts | None = None,
    ) -> None:
        self.runtime = runtime
        self.transport = transport
        self.keyring = keyring
        self.options = options
        self.tls = tls
        self.me = Identity(runtime.node, runtime.incarnation, "", hidden)
        self.started_at = runtime.clock.now()
        self.codec = Codec(RefDesk(self))
        self.peers: dict[str, Peer] = {}
        self.links: dict[int, Link] = {}
        self.info: Callable[[], services.NodeInfo] = self._info
        self.stop_requested: Callable[[], None] = lambda: None
        self.doors = Doors(self)
        self._membership = self._new_membership()
        self._dials: dict[str, trio.CancelScope] = {}
        self._connecting: dict[str, list[ConnectWait]] = {}
        self._unconfirmed: set[int] = set()
        self._watchers: Counter[Cell] = Counter()
        self._node_watchers: dict[str, list[Cell]] = {}  # to be told once
        self._forget_at = SWEEP  # watchers of nodes before the dead among them are looked for
        self._next_connection = 1
        self._nodes: tuple[str, ...] = ()
        self._orders: deque[Directive] = deque()
        self._ordering = False
        self._sweep_at = SWEEP
        self._alarm = math.inf
        self._alarm_scope: trio.CancelScope | None = None
        self._usurped: dict[str, tuple[int, float]] = {}  # how often in a row, and when
        self._failure = ""  # in words, while what came of a dial is carried out
        self._closed = False

    def _new_membership(self) -> Membership:
        options = self.options
        return Membership(self.me, options.connect, options.mesh, self.runtime.seams.entropy.rng)

    def listening_at(self, address: str) -> None:
        """Others can reach this node from now on."""
        self.me = attrs.evolve(self.me, address=address)
        self._membership = self._new_membership()

    def now(self) -> float:
        """Seconds on the node's clock."""
        return self.runtime.clock.now()

    def start_soon(self, function: Callable[..., Any], *args: Any, name: str) -> None:
        """Run one of the node's own tasks."""
        nursery = self.runtime.dispatcher.nursery
        if nursery is not None:
            context = self.runtime.context.copy()  # in which no actor runs
            context.run(partial(nursery.start_soon, function, *args, name=name))

    # What actors and people want ---------------------------------------------------------------------------------

    def peer(self, name: str) -> Peer:
        """A node by its name, known or not."""
        peer = self.peers.get(name)
        if peer is None:
            if len(self.peers) >= self._sweep_at:
                self._sweep()
            peer = self.peers[name] = Peer(self, name)
        return peer

    def _sweep(self) -> None:
        """Forget peers that were only ever named: whoever makes names up shall not fill the memory."""
        for name in [name for name, peer in self.peers.items() if peer.forgettable]:
            del self.peers[name]
        self._sweep_at = (
            len(self.peers) + SWEEP
        )  # not twice as many: garbage is collected in its own time

    def want(self, peer: Peer) -> None:
        """Something waits to be sent to a peer."""
        name = peer.name
        coming = self._dials or self._unconfirmed or self.doors.waiting()
        if coming or self._membership.state(name) is not Reach.UNKNOWN:
            self.carry_out(self._membership.want(name, self.now()))
        else:  # whoever makes names up shall not have them remembered
            self.carry_out([GiveUp(name, LostReason.UNREACHABLE)])

    def join(self, address: str) -> None:
        """Stay connected to whoever is at an address."""
        self.carry_out(self._membership.join(address, self.now()))

    async def connect(self, target: str) -> str:
        """Connect to a node by name or address, and return its name.

        Raises:
            ConnectFailed: it could not be reached, or would not talk to this node.
        """
        wait = ConnectWait(direct_cell(), None)
        self._connecting.setdefault(target, []).append(wait)
        self.carry_out(self._membership.connect(target, self.now()))
        name: str = await wait
        return name

    def disconnect(self, name: str) -> None:
        """Drop the connection to a node."""
        self.carry_out(self._membership.disconnect(name, self.now()))

    def nodes(self) -> tuple[str, ...]:
        """Who is up."""
        return self._nodes

    def up(self) -> tuple[tuple[str, int], ...]:
        """Who is up, with incarnations."""
        found = ((name, self._membership.incarnation(name)) for name in self.nodes())
        return tuple((name, incarnation or 0) for name, incarnation in found)

    def address_of(self, name: str) -> str | None:
        """Where a node would be dialled."""
        return self._membership.address(name)

    def why_down(self, name: str) -> str:
        """What to do about a node that nothing was ever heard of here; empty if something was."""
        peer = self.peers.get(name)
        met = self._failure or (peer is not None and peer.incarnation != 0)
        if met or self.address_of(name) or not valid_node_name(name):
            return ""
        return f"no address of node {name!r} is known here; connect to it first, or learn() where it is"

    def learn(self, name: str, address: str) -> None:
        """A node can be dialled at an address."""
        self.carry_out(self._membership.learn(name, address, self.now()))

    def monitor(self, cell: Cell) -> None:
        """Let an actor hear of nodes."""
        if len(self._watchers) >= self._forget_at:
            self._forget_dead()
        self._watchers[cell] += 1

    def demonitor(self, cell: Cell) -> bool:
        """Undo one ``monitor``."""
        if self._watchers[cell] <= 1:
            return self._watchers.pop(cell, 0) == 1
        self._watchers[cell] -= 1
        return True

    def monitor_one(self, name: str, cell: Cell) -> None:
        """Let an actor hear once of the loss of a node, which is dialled if need be."""
        if len(self._watchers) + sum(map(len, self._node_watchers.values())) >= self._forget_at:
            self._forget_dead()
        self._node_watchers.setdefault(name, []).append(cell)
        peer = self.peer(name)
        if peer.link is None and name != self.me.name:
            self.want(peer)

    def demonitor_one(self, name: str, cell: Cell) -> bool:
        """Undo one ``monitor_one``."""
        watchers = self._node_watchers.get(name, [])
        if cell in watchers:
            watchers.remove(cell)
            return True
        return False

    def _forget_dead(self) -> None:
        for cell in [cell for cell in self._watchers if cell.state is State.DEAD]:
            del self._watchers[cell]
        for name, cells in list(self._node_watchers.items()):
            living = [cell for cell in cells if cell.state is not State.DEAD]
            if living:
                self._node_watchers[name] = living
            else:
                del self._node_watchers[name]
        kept = len(self._watchers) + sum(map(len, self._node_watchers.values()))
        self._forget_at = max(SWEEP, 2 * kept)

    def _tell_of_loss(self, notice: NodeLost) -> None:
        for cell in self._node_watchers.pop(notice.node, ()):
            cell.put(Signal(notice))

    def check_encodable(self, message: Any) -> None:
        """Make sure that a message can travel.

        Raises:
            Unencodable: it cannot.
        """
        try:
            pack_plain(self.codec.encoder(type(message))(message))
        except TypeError as error:
            raise error if isinstance(error, Unencodable) else Unencodable(str(error)) from None

    def waiting_cell(self, link: Any) -> Cell | None:
        """The actor in a chain of those who wait for each other; None if it is nobody known here.

        Raises:
            ProtocolError: that is no such link.
        """
        match link:
            case [str(node), int(incarnation), int(serial), str(path)] if valid_node_name(node):
                if node == self.me.name:
                    mine = incarnation == self.me.incarnation
                    return self.runtime.cells.get(serial) if mine else None
                shown = f"{node}:{path}" if path.startswith("/") else path
                return self.peer(node).cell(incarnation, serial, shown)
            case _:
                raise ProtocolError(
                    "a chain of waiting actors is made of their addresses and paths"
                )

    # Requests to nodes themselves --------------------------------------------------------------------------------

    def call(self, peer: Peer, message: Any, call: ServiceCall) -> None:
        """Ask something of a node itself."""

        def go(link: Link) -> None:
            if not call.done:
                link.out.request(link.enter(call), message)

        def lost(_: ExitReason) -> None:
            call.why = self.why_down(peer.name)
            call.lost()

        peer.do(peer.named(""), go, lost)

    def serve(self, link: Link, number: int, request: Any) -> None:
        """A peer asks something of this node.

        Raises:
            ProtocolError: that is no request.
        """
        try:
            services.check_granted(link, request, self.me.name)
        except NotGranted as refusal:
            self.refuse(link, type(request).__qualname__)
            link.out.fail(number, refusal)
            return
        self.start_soon(self._answer, link, number, request, name=f"serve {link.peer.name}")

    async def _answer(self, link: Link, number: int, request: Any) -> None:
        try:
            answer = await services.carry_out(self, link, request)
        except Exception as error:  # noqa: BLE001 - told to the one who asked
            answer = services.NotDone(f"{type(error).__name__}: {error_text(error)}")
        if isinstance(answer, services.Started):
            answer.tell(link, number)
        elif not link.closed:
            try:
                link.out.reply(number, answer)
            except Unencodable as error:
                link.out.reply(number, services.NotDone(str(error)))

    def refuse(self, link: Link, what: str) -> None:
        """A peer tried what it was not granted."""
        self.runtime.events.emit(services.PeerRefused(link.peer.name, what))

    def gossip(self, link: Link, peers: list[Any]) -> None:
        """A peer tells of nodes it knows.

        Raises:
            ProtocolError: it tells of something else.
        """
        told: list[tuple[str, str]] = []
        for entry in peers:
            match entry:
                case [str(name), str(address)] if len(address) <= ADDRESS:
                    if self._is_believed(link, name):
                        told.append((name, address))
                case _:
                    raise ProtocolError("peers are told of by name and address")
        self.carry_out(self._membership.peers(told[: self.options.max_peers], self.now()))

    def _is_believed(self, link: Link, name: str) -> bool:
        """Whether a peer may tell of that node: who names hundreds that nobody ever met makes them up."""
        met = self._membership.incarnation
        if name not in link.hearsay and met(name) is None:
            if len(link.hearsay) >= self.options.max_peers:
                link.hearsay = {name for name in link.hearsay if met(name) is None}
            if len(link.hearsay) >= self.options.max_peers:
                return False
            link.hearsay.add(name)
        return True

    # Directives --------------------------------------------------------------------------------------------------

    def carry_out(self, directives: list[Directive]) -> None:
        """Do what membership has decided."""
        self._orders.extend(directives)
        if (
            self._ordering
        ):  # what one directive brings about is done after those that were decided before
            return
        self._ordering = True
        try:
            while self._orders:
                self._do(self._orders.popleft())
        finally:
            self._ordering = False

    def _do(self, directive: Directive) -> None:  # noqa: C901, PLR0912 - one case each
        match directive:
            case Dial(address, expect):
                scope = self._dials[address] = trio.CancelScope()
                self.start_soon(self._dial, address, expect, scope, name=f"dial {address}")
            case Cancel(address):
                called_off = self._dials.pop(address, None)
                if called_off is not None:
                    called_off.cancel()
            case Adopt(number, _, _):
                self._adopt(self.links[number])
            case Drop(number, reason):
                self._drop(number, reason)
            case Announce(notice, nodes):
                self._nodes = nodes
                self._announce(notice)
            case Gossip(number, peers):
                if number in self.links:
                    self.links[number].out.say(frames.PEERS, [list(entry) for entry in peers])
            case GiveUp(target, reason):
                self._give_up(target, reason)
            case Reached(target, node):
                for wait in self._connecting.pop(target, ()):
                    wait.resolve(node)
            case Wait(until):
                self._alarm = until
                if self._alarm_scope is not None:
                    self._alarm_scope.cancel()
            case _:
                assert_never(directive)

    def _adopt(self, link: Link) -> None:
        link.tick()
        link.peer.connected(link)

    def _drop(self, number: int, reason: LostReason) -> None:
        link = self.links.pop(number, None)
        if link is not None:
            self._unconfirmed.discard(number)
            self._let_go(link, reason)

    def _let_go(self, link: Link, reason: LostReason) -> None:
        link.abort()
        if link.peer.link is link:
            link.peer.disconnected()
            unsent = link.outbox.size
            if link.session.peer.hidden and not unsent:  # somebody had a look
                return
            told = self._told_of_usurper(link) if reason is LostReason.REPLACED else str(reason)
            if told:
                self.runtime.events.emit(ConnectionLost(link.peer.name, told, unsent))

    def _told_of_usurper(self, link: Link) -> str:
        """Why a connection was replaced, in words; none if two nodes of one name push each other out, and that was told."""
        old, name, now = link.session.peer, link.peer.name, self.now()
        news = (
            self.links[o.connection_id].session.peer
            for o in self._orders
            if isinstance(o, Adopt) and o.node == name and o.connection_id in self.links
        )
        new = next(news, old)
        if new.incarnation == old.incarnation or new.address == old.address:
            return str(LostReason.REPLACED)
        recent = {n: e for n, e in self._usurped.items() if now - e[1] < NAMESAKES}
        times = recent.get(name, (0, now))[0] + 1
        self._usurped = {**recent, name: (times, now)}
        if times == 1:  # a restart, most likely
            return str(LostReason.REPLACED)
        where = new.address or "no address"
        words = f"another node {name!r} at {where} took its place; names must be unique"
        return words if times == 2 else ""

    def _announce(self, notice: NodeUp | NodeLost) -> None:
        self.runtime.events.emit(NodeEvent(notice))
        for cell, times in list(self._watchers.items()):
            if cell.state is State.DEAD:
                del self._watchers[cell]
                continue
            for _ in range(times):
                cell.put(Signal(notice))
        if isinstance(notice, NodeLost):
            self._tell_of_loss(notice)

    def _give_up(self, target: str, reason: LostReason) -> None:
        for wait in self._connecting.pop(target, ()):
            why = self.why_down(target) or f"no connection to {target}: {self._failure or reason}"
            wait.fail(ConnectFailed(why))
        peer = self.peers.get(target)
        if peer is not None:
            peer.unreachable()
        self._tell_of_loss(NodeLost(target, 0, reason))

    async def keep_alarms(self) -> None:
        """Wake membership when it asked for it."""
        while True:
            with trio.CancelScope() as self._alarm_scope:
                await trio.sleep_until(self._alarm)
                self._alarm = math.inf
                self.carry_out(self._membership.wake(self.now()))

    # Connections -------------------------------------------------------------------------------------------------

    async def _dial(self, address: str, expect: str | None, scope: trio.CancelScope) -> None:
        outcome: Outcome | None = None
        with scope:
            outcome = await dial(self, address, expect)
        if outcome is None or self._dials.get(address) is not scope:
            if outcome is not None and outcome.connection is not None:
                outcome.connection.abort()
            return
        del self._dials[address]
        connection, session = outcome.connection, outcome.session
        if connection is None or session is None:
            why, answered = outcome.why, outcome.answered
            told = self._unwelcome() if why is Status.NOT_ALLOWED else outcome.told
            if why not in CROSSED:
                self.runtime.events.emit(ConnectionFailed(expect or "", address, told))
            self._failure = told
            self.carry_out(self._membership.failed(address, why, self.now(), answered))
            self._failure = ""
            return
        link = self._enter(connection, session)
        self.carry_out(self._membership.dialled(address, session, link.number, self.now()))
        if link.number in self.links:
            await self._serve(link)

    def _unwelcome(self) -> str:
        return f"it will not talk to this node: it is called {self.me.name!r} as well, or has enough peers"

    def judge(self, identity: Identity, number: int) -> Status:
        """Whether to take a connection that a peer has dialled."""
        if self._closed or len(self.links) >= self.options.max_peers:
            return Status.NOT_ALLOWED
        return self._membership.judge(identity, number, self.now())

    def withdrawn(self, number: int) -> None:
        """A connection that was judged has come to nothing."""
        self.carry_out(self._membership.lost(number, LostReason.CLOSED, self.now()))

    def next_number(self) -> int:
        """The number of the next connection."""
        number = self._next_connection
        self._next_connection += 1
        return number

    def _enter(self, connection: Connection, session: Session, number: int | None = None) -> Link:
        peer = self.peer(session.peer.name)
        link = Link(self, peer, number or self.next_number(), connection, session)
        self.links[link.number] = link
        return link

    async def serve_accepted(self, connection: Connection, session: Session, number: int) -> None:
        """A peer has proven who it is: serve its connection, which is up with its first frame."""
        link = self._enter(connection, session, number)
        self._unconfirmed.add(number)
        await self._serve(link)

    def confirmed(self, link: Link) -> bool:
        """A frame has come over a connection; tells whether it is to be carried out."""
        if link.number in self._unconfirmed:
            self._unconfirmed.discard(link.number)
            self.carry_out(self._membership.accepted(link.session, link.number, self.now()))
        return not link.closed

    def break_off(self, link: Link, reason: LostReason) -> None:
        """A connection is not good for anything any more."""
        if self.links.pop(link.number, None) is not None:
            self._unconfirmed.discard(link.number)
            self._let_go(link, reason)
            self.carry_out(self._membership.lost(link.number, reason, self.now()))

    async def _serve(self, link: Link) -> None:
        reason = await link.run()
        if link.told:
            self.runtime.events.emit(ConnectionFailed(link.peer.name, "", link.told))
        self.break_off(link, reason)

    async def close(self) -> None:
        """Part from everybody in good order."""
        self._closed = True
        async with trio.open_nursery() as nursery:
            for link in list(self.links.values()):
                nursery.start_soon(link.part)
        self.carry_out(self._membership.close(self.now()))

    def vanish(self) -> None:
        """Let go of every connection at once, with no word to anybody, as a killed process does."""
        self._closed = True
        for link in list(self.links.values()):
            link.abort()

    # Looking in --------------------------------------------------------------------------------------------------

    def _info(self) -> services.NodeInfo:
        runtime = self.runtime
        return services.NodeInfo(
            self.me.name,
            self.me.incarnation,
            self.me.address,
            self.now() - self.started_at,
            len(runtime.cells),
            sum(runtime.dead_letters.counts.values()),
            self.nodes(),
            self.settings(),
        )

    def settings(self) -> dict[str, Any]:
        """How the node is protected and limited."""
        secrets: list[Secret] = list(self.keyring.secrets)
        return {
            **self.options.as_settings(),
            "listen": self.me.address,
            "tls": self.tls is not None,
            "secrets": [[s.id.hex(), s.peers, sorted(map(str, s.grants))] for s in secrets],
        }
