"""Who is connected to whom: every decision about dialling, accepting, replacing and announcing. Nothing here does any of it.

Each method takes an event, and returns directives to be carried out in their order, before the next event is told. A peer is

    state     means                                event                                      it becomes
    UNKNOWN   no address                           want, connect                              GiveUp (1)
                                                   learn, peers, accepted                     IDLE, or DIALLING if wanted
    IDLE      nobody wants it                      want, connect, gossip about it             DIALLING: Dial
    DIALLING  a dial to its address is under way   dialled                                    UP: Adopt, Announce
                                                   dialled, but it was somebody else          UNKNOWN: GiveUp; the other is UP
                                                   failed: SIMULTANEOUS, ALREADY              WAITING, wanted as before
                                                   failed otherwise                           WAITING: GiveUp, wanted by nobody
                                                   disconnect                                 IDLE: Cancel, GiveUp
                                                   accepted                                   UP (the dial goes on, for nothing)
    WAITING   not before a certain time, or not    the time comes                             DIALLING if wanted, else IDLE
              while its own dial is under way      connect                                    DIALLING at once
                                                   accepted                                   UP
    UP        one connection carries everything    lost                                       IDLE, or WAITING if a seed: Announce
                                                   disconnect                                 IDLE: Drop, Announce
                                                   accepted or dialled, a new incarnation     UP: Drop, Announce lost, then up
                                                   dialled, the same incarnation              UP: Drop of the new connection
                                                   accepted, the same incarnation             UP: see below

(1) unless a dial to an address is under way that nobody has answered before: it may be the one.

**A connection is up** for the dialling side with the verdict, and for the listening side with the first frame, which the
dialling side sends only if it adopts the connection. In between the listening side holds it as *judged*, and dials nothing
itself. So a dial that its maker no longer needs never replaces a living connection.

**Two dials that cross**: the one made by the greater name survives.

* Who is greater and dialling refuses the other's dial (SIMULTANEOUS). Who is lesser, and has judged the greater's dial when
  its own succeeds, drops its own, and waits for the other to be confirmed.
* A dial to an address that is another name of the same node is not recognised as one of the two, so it may happen that both
  are confirmed. Then one that was judged before the present one was up, or judged, loses: the lesser would not have confirmed
  its own after it had judged the other. One judged later comes from a peer that has lost the present one, and replaces it.
* To spare both that replacement, who is up by its own dial tells a greater name ALREADY: once for each connection, since
  one who comes again has lost it.

**Who is dialled**: what somebody wants (``want``, ``connect``, gossip) and seeds (``join``), at most one dial to an address at
a time, with a backoff between failures. A failed dial fails what waits for it (GiveUp), as a failed connection attempt does in
OTP; only seeds are tried on and on. Modes are OTP's ``dist_auto_connect``: with ``never`` only ``connect``, seeds, and peers
make connections; with ``once`` the same holds for a peer after a connection to it has broken, and then for seeds too.

**Mesh**: who comes up is told of all others and they of it, and again every 15 seconds, which heals what a partition left apart.
Hidden nodes are not told of, not listed, not announced, and dial nobody by hearsay. A peer that was disconnected explicitly
comes back when somebody wants it, or with gossip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Literal

import attrs

from actorkit.cluster.handshake import Identity, Session, Status
from actorkit.kernel.address import valid_node_name
from actorkit.kernel.notices import LostReason, NodeLost, NodeUp

if TYPE_CHECKING:
    from random import Random

FIRST_BACKOFF = 0.1  # seconds before the second dial, doubling to
LAST_BACKOFF = 5.0
SLOWEST = 7  # failures in a row after which the backoff is the last one
STEADY = 5.0  # seconds after which a connection was not just another failure
HEAD_START = 0.2  # seconds for the lesser of two names that hear of each other
REGOSSIP = 15.0  # seconds between two rounds of gossip

Mode = Literal["always", "once", "never"]


class State(Enum):
    """What a node is to this one; the table above."""

    UNKNOWN = "unknown"
    IDLE = "idle"
    DIALLING = "dialling"
    WAITING = "waiting"
    UP = "up"


@attrs.frozen(slots=True)
class Dial:
    """Dial an address, and report ``dialled`` or ``failed`` for it within a time.

    Attributes:
        expect: who should be there; None for anybody.
    """

    address: str
    expect: str | None


@attrs.frozen(slots=True)
class Cancel:
    """Stop the dial to an address; no event of it may follow."""

    address: str


@attrs.frozen(slots=True)
class Adopt:
    """This connection now carries everything to and from that node; what waits for it goes out.

    The first frame must leave at once, a tick if nothing else: it is what tells the listening side that the connection is up.
    """

    connection_id: int
    node: str
    incarnation: int


@attrs.frozen(slots=True)
class Drop:
    """Close a connection, whatever state it is in, and fire the links and monitors that went over it; ``lost`` need not follow."""

    connection_id: int
    reason: LostReason


@attrs.frozen(slots=True)
class Announce:
    """Tell who monitors nodes.

    Attributes:
        nodes: who is up as of this notice.
    """

    notice: NodeUp | NodeLost
    nodes: tuple[str, ...]


@attrs.frozen(slots=True)
class Gossip:
    """Tell a peer of other nodes: names and addresses."""

    connection_id: int
    peers: tuple[tuple[str, str], ...]


@attrs.frozen(slots=True)
class GiveUp:
    """A node, or an address that ``connect`` was asked for, is out of reach: fail what waits for it."""

    target: str
    reason: LostReason


@attrs.frozen(slots=True)
class Reached:
    """What ``connect`` was asked for is up: the node of this name (perhaps this one itself)."""

    target: str
    node: str


@attrs.frozen(slots=True)
class Wait:
    """Call ``wake`` at this time, and no longer at any that was asked for before."""

    until: float


Directive = Dial | Cancel | Adopt | Drop | Announce | Gossip | GiveUp | Reached | Wait


@attrs.define
class _Connection:
    """One that is up.

    Attributes:
        order: when it was judged, if the peer dialled it, or came up, if this node did: before or after others.
        told: the peer was told ALREADY because of it.
    """

    id: int
    identity: Identity
    dialled: bool
    order: int
    since: float
    told: bool = False


@attrs.frozen
class _Judged:
    identity: Identity
    order: int


@attrs.define
class _Place:
    """An address.

    Attributes:
        name: who was found there last; empty if nobody was.
        seed: this node is to be connected to whoever is there.
        asked: ``connect`` waits for it.
        expect: who the dial under way is meant for; None for anybody.
        order: when that dial began, before or after others.
        failures: dials in a row that failed, or gave a connection that did not last.
        deferrals: dials in a row that were refused because another connection was about to come.
    """

    address: str
    name: str = ""
    seed: bool = False
    asked: bool = False
    dialling: bool = False
    expect: str | None = None
    order: int = 0
    failures: int = 0
    deferrals: int = 0
    retry_at: float = -inf


@attrs.define
class _Peer:
    """A node by its name.

    Attributes:
        address: where to dial it; empty if that is not known.
        incarnation: the last one that was seen.
        wanted: something waits to be sent to it.
        asked: ``connect`` waits for it.
        meshed: when to dial it because of gossip.
        barred: its connection broke, and the mode does not allow to dial it without being asked.
    """

    name: str
    address: str = ""
    connection: _Connection | None = None
    incarnation: int | None = None
    wanted: bool = False
    asked: bool = False
    meshed: float = inf
    barred: bool = False

    def satisfied(self) -> None:
        """Nobody wants it any longer."""
        self.wanted = self.asked = False
        self.meshed = inf


class Membership:
    """One node's view of the others, and what it wants of them.

    Every connection id for which ``judge`` said OK must come back in ``accepted`` or ``lost``, and every Dial that was not
    cancelled in ``dialled`` or ``failed``. Who reports ``lost`` has already fired the links and monitors of that connection.

    Args:
        me: this node.
        mode: whether connections are made without being asked for.
        mesh: whether to connect to everybody the peers know.
        rng: for the jitter of the backoff.
    """

    def __init__(self, me: Identity, mode: Mode, mesh: bool, rng: Random) -> None:
        self._me = me
        self._mode = mode
        self._mesh = mesh and not me.hidden
        self._rng = rng
        self._places: dict[str, _Place] = {}
        self._peers: dict[str, _Peer] = {}
        self._judged: dict[int, _Judged] = {}
        self._order = 0
        self._gossip_at = inf
        self._wait = inf
        self._closed = False

    # What it knows ----------------------------------------------------------------------------------------------------

    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes that are up, hidden ones left out."""
        return tuple(sorted(c.identity.name for c in self._connections() if not c.identity.hidden))

    def connection(self, name: str) -> int | None:
        """The connection that carries everything to and from a node, hidden or not; None if it is not up."""
        peer = self._peers.get(name)
        return peer.connection.id if peer and peer.connection else None

    def incarnation(self, name: str) -> int | None:
        """The last incarnation of a node that was seen here."""
        peer = self._peers.get(name)
        return peer.incarnation if peer else None

    def address(self, name: str) -> str | None:
        """Where a node would be dialled."""
        peer = self._peers.get(name)
        return (peer.address or None) if peer else None

    def state(self, name: str) -> State:
        """What a node is to this one."""
        peer = self._peers.get(name)
        if peer is None:
            return State.UNKNOWN
        if peer.connection is not None:
            return State.UP
        if peer.address and self._place(peer.address).dialling:
            return State.DIALLING
        if self._is_coming(name) or self._dial_at(peer) < inf:
            return State.WAITING
        seeds = any(p.name == name and self._seed_calls(p) for p in self._places.values())
        return State.WAITING if seeds else State.IDLE if peer.address else State.UNKNOWN

    # What people want -------------------------------------------------------------------------------------------------

    def join(self, address: str, now: float) -> list[Directive]:
        """Stay connected to whoever is at an address: a seed."""
        if self._closed or address == self._me.address:
            return []
        self._place(address).seed = True
        return self._settled([], now)

    def want(self, name: str, now: float) -> list[Directive]:
        """Something waits to be sent to a node: Adopt or GiveUp follows, now or later."""
        if name == self._me.name or self.connection(name) is not None:
            return []
        if self._closed:
            return [GiveUp(name, LostReason.DISCONNECT)]
        self._peer(name).wanted = True
        return self._settled([], now)

    def connect(self, target: str, now: float) -> list[Directive]:
        """Connect to a node by its name or to an address, in any mode: Reached or GiveUp follows, now or later."""
        if target in {self._me.name, self._me.address}:
            return [Reached(target, self._me.name)]
        if self._closed:
            return [GiveUp(target, LostReason.DISCONNECT)]
        address = target
        if valid_node_name(target):
            peer = self._peer(target)
            peer.asked = True
            address = peer.address
        else:
            self._place(target).asked = True
        if address:
            self._place(address).retry_at = -inf
        return self._settled([], now)

    def disconnect(self, name: str, now: float) -> list[Directive]:
        """Drop the connection to a node, and every attempt at one; if it was a seed, it is none any longer."""
        peer = self._peers.get(name)
        if peer is None:
            return []
        out = self._dropped(name)
        if peer.connection is not None:
            out.append(Drop(peer.connection.id, LostReason.DISCONNECT))
            out += self._break(peer, LostReason.DISCONNECT)
        for place in self._places_of(peer):
            place.seed = False
            out += self._cancelled(place)
        out += self._give_up(peer, LostReason.DISCONNECT)
        return self._settled(out, now)

    def close(self, now: float) -> list[Directive]:
        """Drop everything, for good."""
        self._closed = True
        out: list[Directive] = []
        for place in self._places.values():
            place.seed = False
            out += self._cancelled(place)
        out += [Drop(number, LostReason.DISCONNECT) for number in self._judged]
        self._judged.clear()
        for peer in self._peers.values():
            if peer.connection is not None:
                out.append(Drop(peer.connection.id, LostReason.DISCONNECT))
                out += self._break(peer, LostReason.DISCONNECT)
            out += self._give_up(peer, LostReason.DISCONNECT)
        return self._settled(out, now)

    # What is heard of others ------------------------------------------------------------------------------------------

    def learn(self, name: str, address: str, now: float) -> list[Directive]:
        """A node can be dialled at an address."""
        if not self._closed and name != self._me.name and address != self._me.address:
            self._peer(name).address = address
        return self._settled([], now)

    def peers(self, peers: Iterable[tuple[str, str]], now: float) -> list[Directive]:
        """A peer has told of others that are up there: where they are, and to be dialled in a mesh."""
        for name, address in () if self._closed else peers:
            strange = name != self._me.name and address not in {"", self._me.address}
            if strange and valid_node_name(name) and self.connection(name) is None:
                self._heard_of(self._peer(name), address, now)
        return self._settled([], now)

    def _heard_of(self, peer: _Peer, address: str, now: float) -> None:
        if not (peer.address and self._place(peer.address).dialling):
            peer.address = address
        if self._mesh and peer.meshed == inf:
            peer.meshed = now if self._me.name < peer.name else now + HEAD_START

    # What becomes of dials --------------------------------------------------------------------------------------------

    def dialled(
        self, address: str, session: Session, connection_id: int, now: float
    ) -> list[Directive]:
        """The dial to an address was answered with OK; nothing was sent over the connection since."""
        place = self._places.get(address)
        if place is None or not place.dialling:
            return [Drop(connection_id, LostReason.DISCONNECT)]
        place.dialling = False
        place.deferrals = 0
        who = session.peer
        if who.name == self._me.name:
            return self._settled(
                [Drop(connection_id, LostReason.REPLACED), *self._myself(place)], now
            )
        out = self._found(place, who.name)
        peer = self._peer(who.name)
        if peer.connection is not None and self._is_needless(place, who, peer.connection):
            out.append(Drop(connection_id, LostReason.REPLACED))
        elif any(self._gives_way(place, who, judged) for judged in self._judged.values()):
            self._postpone(place, now)
            out.append(Drop(connection_id, LostReason.REPLACED))
        else:
            peer.address = address
            self._order += 1
            out += self._up(_Connection(connection_id, who, True, self._order, now))
        return self._settled(out, now)

    def _is_needless(self, place: _Place, who: Identity, current: _Connection) -> bool:
        """Whether a dial is of no use: the node is up, or its next life has dialled here since that dial began."""
        return who.incarnation == current.identity.incarnation or place.order < current.order

    def _gives_way(self, place: _Place, who: Identity, judged: _Judged) -> bool:
        """Whether to wait for a connection that its maker is about to confirm, and do without the one dialled."""
        if judged.identity.name != who.name:
            return False
        if judged.identity.incarnation == who.incarnation:
            return who.name > self._me.name
        return judged.order > place.order  # its next life, most likely

    def failed(
        self,
        address: str,
        why: LostReason | Status,
        now: float,
        answered: Identity | None = None,
    ) -> list[Directive]:
        """The dial to an address came to nothing; ``answered`` is who gave the verdict, if somebody did."""
        place = self._places.get(address)
        if place is None or not place.dialling:
            return []
        place.dialling = False
        if why is Status.SELF:
            return self._settled(self._myself(place), now)
        if why is Status.WRONG_NODE and place.expect:
            return self._settled(self._missed(place.expect), now)
        if why in {Status.SIMULTANEOUS, Status.ALREADY} and place.deferrals <= SLOWEST:
            if answered is not None:
                place.name = answered.name
            self._postpone(place, now)
            return self._settled([], now)
        return self._settled(self._failed(place, why, now), now)

    def _failed(self, place: _Place, why: LostReason | Status, now: float) -> list[Directive]:
        reason = why if isinstance(why, LostReason) else LostReason.REFUSED
        place.failures = SLOWEST if reason is LostReason.REFUSED else place.failures + 1
        place.deferrals = 0
        place.retry_at = now + self._delay(place.failures)
        out = [] if self._is_awaited(place) else self._not_there(place, reason)
        for peer in self._peers.values():
            if peer.address == place.address and not self._is_coming(peer.name):
                out += self._give_up(peer, reason)
        return out

    def _missed(self, name: str) -> list[Directive]:
        """A node is not where it was looked for; others that are wanted there may well be."""
        peer = self._peer(name)
        peer.address = ""
        return [] if self._is_coming(name) else self._give_up(peer, LostReason.REFUSED)

    def _found(self, place: _Place, name: str) -> list[Directive]:
        """This node answers at an address: others that were looked for there are not there."""
        place.name = name
        out: list[Directive] = []
        for peer in self._peers.values():
            if peer.address == place.address and peer.name != name and peer.connection is None:
                peer.address = ""
                if not self._is_coming(peer.name):
                    out += self._give_up(peer, LostReason.REFUSED)
        return out

    def _myself(self, place: _Place) -> list[Directive]:
        """An address is this node's own: nobody is to be dialled there, ever."""
        place.seed = False
        out: list[Directive] = [Reached(place.address, self._me.name)] if place.asked else []
        place.asked = False
        return out + self._found(place, self._me.name)

    # Connections ------------------------------------------------------------------------------------------------------

    def judge(self, identity: Identity, connection_id: int, now: float) -> Status:
        """Whether to take a connection whose maker has proved who it is; nothing is decided until ``accepted``."""
        if identity.name == self._me.name and identity.incarnation == self._me.incarnation:
            return Status.SELF
        if self._closed or identity.name == self._me.name:
            return Status.NOT_ALLOWED
        if identity.name > self._me.name and self._is_told_already(identity):
            return Status.ALREADY
        if identity.name < self._me.name and self._is_dialling(identity):
            return Status.SIMULTANEOUS
        self._order += 1
        self._judged[connection_id] = _Judged(identity, self._order)
        return Status.OK

    def _is_told_already(self, identity: Identity) -> bool:
        current = self._peer(identity.name).connection
        if current is None or not current.dialled or current.told:
            return False
        current.told = current.identity.incarnation == identity.incarnation
        return current.told

    def _is_dialling(self, identity: Identity) -> bool:
        """Whether a dial to that very node is under way; one to where it no longer listens does not count."""
        address = identity.address or self._peer(identity.name).address
        return address in self._places and self._places[address].dialling

    def accepted(self, session: Session, connection_id: int, now: float) -> list[Directive]:
        """The first frame came over a connection that was judged OK."""
        who = session.peer
        judged = self._judged.pop(connection_id, None)
        if self._closed or judged is None:
            return [Drop(connection_id, LostReason.DISCONNECT)]
        peer = self._peer(who.name)
        if peer.connection is not None and judged.order < peer.connection.order:
            return self._settled([Drop(connection_id, LostReason.REPLACED)], now)
        out: list[Directive] = []
        if who.address not in {"", self._me.address}:
            if not peer.address or peer.incarnation != who.incarnation:
                peer.address = who.address
            out += self._found(self._place(who.address), who.name)
        return self._settled(
            [*out, *self._up(_Connection(connection_id, who, False, judged.order, now))], now
        )

    def _up(self, new: _Connection) -> list[Directive]:
        who, out = new.identity, list[Directive]()
        peer = self._peer(who.name)
        if peer.connection is not None:
            out.append(Drop(peer.connection.id, LostReason.REPLACED))
            out += self._gone(peer, LostReason.REPLACED)
        if peer.incarnation != who.incarnation:
            for place in self._places.values():
                if place.name == who.name and place.address not in {peer.address, who.address}:
                    place.name = ""  # it was there in an earlier life
        peer.connection, peer.incarnation, peer.barred = new, who.incarnation, False
        peer.wanted, peer.meshed = False, inf
        out.append(Adopt(new.id, who.name, who.incarnation))
        if not who.hidden:
            out.append(Announce(NodeUp(who.name, who.incarnation), self.nodes()))
        return out + self._introduced(new)

    def lost(self, connection_id: int, reason: LostReason, now: float) -> list[Directive]:
        """A connection has ended by itself, up or only judged."""
        self._judged.pop(connection_id, None)
        for peer in self._peers.values():
            current = peer.connection
            if current is not None and current.id == connection_id:
                steady = now - current.since >= STEADY
                for place in self._places_of(peer):
                    place.failures = 0 if steady else place.failures + 1
                    place.retry_at = now + self._delay(max(1, place.failures))
                return self._settled(self._break(peer, reason), now)
        return self._settled([], now)

    def _break(self, peer: _Peer, reason: LostReason) -> list[Directive]:
        peer.barred = self._mode != "always"
        return self._gone(peer, reason)

    def _gone(self, peer: _Peer, reason: LostReason) -> list[Directive]:
        old, peer.connection = peer.connection, None
        if old is None or old.identity.hidden:
            return []
        return [Announce(NodeLost(peer.name, old.identity.incarnation, reason), self.nodes())]

    # Gossip -----------------------------------------------------------------------------------------------------------

    def wake(self, now: float) -> list[Directive]:
        """The time of the last Wait has come."""
        out: list[Directive] = []
        self._wait = inf  # no alarm is set: it has rung
        if now >= self._gossip_at:
            self._gossip_at = inf
            for connection in self._connections():
                out += self._told_of(connection, self._connections())
        return self._settled(out, now)

    def _introduced(self, new: _Connection) -> list[Directive]:
        """A newcomer hears of everybody, and everybody of the newcomer."""
        out = self._told_of(new, self._connections())
        for other in self._connections():
            out += self._told_of(other, (new,))
        return out

    def _told_of(self, listener: _Connection, subjects: Iterable[_Connection]) -> list[Directive]:
        if not self._mesh or listener.identity.hidden:
            return []
        shown = (s.identity for s in subjects if s is not listener and not s.identity.hidden)
        told = tuple((who.name, who.address) for who in shown if who.address)
        return [Gossip(listener.id, told)] if told else []

    # What follows from what is wanted ---------------------------------------------------------------------------------

    def _settled(self, out: list[Directive], now: float) -> list[Directive]:
        """Answer who waits, dial whom somebody wants, give up what is hopeless, and set the alarm."""
        out += self._answers()
        if not self._closed:
            alarm = self._dial_due(out, now)
            out += self._hopeless()
            self._tidy()
            alarm = min(alarm, self._gossip_due(now))
        else:
            alarm = inf
        if alarm != self._wait:
            self._wait = alarm
            out.append(Wait(alarm))
        return out

    def _answers(self) -> Iterator[Directive]:
        for peer in self._peers.values():
            if peer.asked and peer.connection is not None:
                peer.asked = False
                yield Reached(peer.name, peer.name)
        for place in self._places.values():
            if place.asked and self._is_up(place.name):
                place.asked = False
                yield Reached(place.address, place.name)

    def _dial_due(self, out: list[Directive], now: float) -> float:
        """Dial what is due; returns when the next dial is."""
        alarm = inf
        for address, (at, expect) in self._calls().items():
            place = self._place(address)
            if place.dialling:
                continue
            if max(at, place.retry_at) > now:
                alarm = min(alarm, max(at, place.retry_at))
            else:
                self._order += 1
                place.dialling, place.expect, place.order = True, expect, self._order
                out.append(Dial(address, expect))
        return alarm

    def _calls(self) -> dict[str, tuple[float, str | None]]:
        """The addresses to dial, from when on, and who should be there."""
        calls: dict[str, tuple[float, str | None]] = {}
        for place in self._places.values():
            if self._seed_calls(place) or (place.asked and not self._is_awaited(place)):
                calls[place.address] = (-inf, None)
        for peer in self._peers.values():
            at = self._dial_at(peer)
            if at < calls.get(peer.address, (inf, None))[0]:
                calls[peer.address] = (at, peer.name)
        return calls

    def _dial_at(self, peer: _Peer) -> float:
        """From when on a node is to be dialled by its name; never, if nobody wants it, or it comes by itself."""
        if not peer.address or peer.connection is not None or self._is_coming(peer.name):
            return inf
        if peer.asked:
            return -inf
        if self._mode == "never" or peer.barred:
            return inf
        return -inf if peer.wanted else peer.meshed

    def _seed_calls(self, place: _Place) -> bool:
        if not place.seed or self._is_awaited(place) or self._is_up(place.name):
            return False
        return not (place.name and self._peer(place.name).barred)

    def _hopeless(self) -> list[Directive]:
        """Those wanted that are neither dialled, nor to be dialled, nor coming by themselves."""
        anybody = any(place.dialling and not place.name for place in self._places.values())
        out: list[Directive] = []
        for peer in self._peers.values():
            if not (peer.wanted or peer.asked) or self._is_coming(peer.name):
                continue
            dialled = self._place(peer.address).dialling if peer.address else anybody
            if not dialled and self._dial_at(peer) == inf:
                out += self._give_up(peer, LostReason.UNREACHABLE)
        return out

    def _gossip_due(self, now: float) -> float:
        if not self._mesh or len(self.nodes()) < 2:
            self._gossip_at = inf
        elif self._gossip_at == inf:
            self._gossip_at = now + REGOSSIP * (0.8 + 0.4 * self._rng.random())
        return self._gossip_at

    def _tidy(self) -> None:
        """Forget addresses that nothing leads to any longer."""
        used = {peer.address for peer in self._peers.values()}
        for place in [p for p in self._places.values() if p.address not in used]:
            if not (place.seed or place.asked or place.dialling):
                del self._places[place.address]

    def _give_up(self, peer: _Peer, reason: LostReason) -> list[Directive]:
        waited = peer.wanted or peer.asked
        peer.satisfied()
        return [GiveUp(peer.name, reason)] if waited else []

    def _not_there(self, place: _Place, reason: LostReason) -> list[Directive]:
        waited, place.asked = place.asked, False
        return [GiveUp(place.address, reason)] if waited else []

    def _cancelled(self, place: _Place) -> list[Directive]:
        out: list[Directive] = [Cancel(place.address)] if place.dialling else []
        place.dialling = False
        return out + self._not_there(place, LostReason.DISCONNECT)

    def _dropped(self, name: str) -> list[Directive]:
        """Drop the connections of a node that were judged and not confirmed."""
        theirs = [n for n, judged in self._judged.items() if judged.identity.name == name]
        for number in theirs:
            del self._judged[number]
        return [Drop(number, LostReason.DISCONNECT) for number in theirs]

    def _postpone(self, place: _Place, now: float) -> None:
        """Dial again only if the connection that is said to come does not."""
        place.deferrals += 1
        place.retry_at = now + self._delay(place.deferrals)

    def _delay(self, failures: int) -> float:
        longest = min(LAST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, SLOWEST))
        return longest * (1 - self._rng.random() / 2)

    # Look-ups ---------------------------------------------------------------------------------------------------------

    def _peer(self, name: str) -> _Peer:
        return self._peers.setdefault(name, _Peer(name))

    def _place(self, address: str) -> _Place:
        return self._places.setdefault(address, _Place(address))

    def _places_of(self, peer: _Peer) -> list[_Place]:
        return [
            p for p in self._places.values() if peer.name == p.name or p.address == peer.address
        ]

    def _connections(self) -> list[_Connection]:
        return [peer.connection for peer in self._peers.values() if peer.connection is not None]

    def _is_up(self, name: str) -> bool:
        return self.connection(name) is not None

    def _is_coming(self, name: str) -> bool:
        """Whether a connection that this node has made was judged and not yet confirmed."""
        return any(judged.identity.name == name for judged in self._judged.values())

    def _is_awaited(self, place: _Place) -> bool:
        """Whether who is at an address is about to be connected by itself."""
        return any(
            place.name == judged.identity.name or place.address == judged.identity.address
            for judged in self._judged.values()
        )
