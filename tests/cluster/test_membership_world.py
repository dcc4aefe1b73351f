"""Several memberships and a network between them that delivers in any order, and every order in which two dials can cross.

The world is the shell that ``Membership`` is written for, with each directive carried out at once, and checks the laws of one
node as it goes: notices alternate, ``nodes()`` is what the notices say, nobody is dialled whom nobody wants.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from random import Random

import attrs
import pytest

from actorkit.cluster.handshake import Identity, Session, Status
from actorkit.cluster.keys import Secret
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
    Mode,
    Reached,
    Wait,
)
from actorkit.kernel.notices import LostReason, NodeLost, NodeUp

SECRET = Secret(b"k" * 32)
END = float("inf")


def session_with(peer: Identity) -> Session:
    """What a handshake with that node gives."""
    return Session(peer, SECRET, 1, b"s" * 32, b"r" * 32)


@attrs.define(eq=False)
class Link:
    """One TCP connection: what is on its way in either direction, and who still holds which end."""

    id: int
    client: Host
    address: str
    server: Host | None = None
    client_open: bool = True
    server_open: bool = False
    to_server: deque[object] = attrs.field(factory=deque)
    to_client: deque[object] = attrs.field(factory=deque)

    def open_at(self, host: Host) -> bool:
        """Whether that node still holds its end."""
        return self.client_open if host is self.client else self.server_open

    def shut(self, host: Host, *, silent: bool = False) -> None:
        """One node lets go; the other hears of it when all before has arrived, unless the power failed."""
        if not self.open_at(host):
            return
        if host is self.client:
            self.client_open = False
        else:
            self.server_open = False
        other_open = self.server_open if host is self.client else self.client_open
        if not silent and (other_open or self.server is None):
            (self.to_server if host is self.client else self.to_client).append("close")


@attrs.define(eq=False)
class Host:
    """One life of one node: the thin shell around its membership."""

    identity: Identity
    membership: Membership
    mesh: bool
    alive: bool = True
    up: dict[str, Link] = attrs.field(factory=dict)
    dials: dict[str, Link] = attrs.field(factory=dict)
    view: tuple[str, ...] = ()
    last: dict[str, NodeUp | NodeLost] = attrs.field(factory=dict)
    notices: list[NodeUp | NodeLost] = attrs.field(factory=list)
    answers: list[GiveUp | Reached] = attrs.field(factory=list)
    waiting: set[str] = attrs.field(factory=set)
    connecting: set[str] = attrs.field(factory=set)
    joined: set[str] = attrs.field(factory=set)
    gossiped: set[str] = attrs.field(factory=set)
    dialled_at: list[tuple[str, float]] = attrs.field(factory=list)
    wake_at: float = END

    @property
    def name(self) -> str:
        """The node's name."""
        return self.identity.name


class World:
    """The nodes, the links between them, and the time."""

    def __init__(self, mode: Mode = "always", *, mesh: bool = False, seed: int = 0) -> None:
        self.mode: Mode = mode
        self.mesh = mesh
        self.now = 100.0
        self.hosts: dict[str, Host] = {}
        self.links: list[Link] = []
        self.cuts: set[frozenset[str]] = set()
        self.aliases: dict[str, str] = {}
        self.births = 0
        self._rng = Random(seed)

    # Nodes ------------------------------------------------------------------------------------------------------------

    def start(self, name: str, address: str = "", *, hidden: bool = False) -> Host:
        """A node starts, again perhaps."""
        self.births += 1
        me = Identity(name, self.births, address or f"{name}:1", hidden)
        host = Host(me, Membership(me, self.mode, self.mesh, self._rng), self.mesh and not hidden)
        self.hosts[name] = host
        return host

    def kill(self, host: Host, *, silent: bool = False) -> None:
        """A node is no more; its operating system closes the connections, unless the power failed."""
        host.alive = False
        for link in self.links:
            if host in {link.client, link.server}:
                link.shut(host, silent=silent)

    def alive(self) -> list[Host]:
        """The nodes that live, by name."""
        return [self.hosts[name] for name in sorted(self.hosts) if self.hosts[name].alive]

    def is_cut(self, link: Link) -> bool:
        """Whether nothing gets through."""
        server = link.server or self._listener(link.address)
        return server is not None and frozenset({link.client.name, server.name}) in self.cuts

    # What people want -------------------------------------------------------------------------------------------------

    def want(self, host: Host, name: str) -> None:
        """Somebody sends to a node that is not up."""
        if name not in host.up and name != host.name:
            host.waiting.add(name)
            self.obey(host, host.membership.want(name, self.now))

    def connect(self, host: Host, target: str) -> None:
        """Somebody asks for a connection."""
        host.connecting.add(target)
        self.obey(host, host.membership.connect(target, self.now))

    def join(self, host: Host, address: str) -> None:
        """A node gets a seed."""
        host.joined.add(address)
        self.obey(host, host.membership.join(address, self.now))

    def learn(self, host: Host, other: Host) -> None:
        """A node is told where another one listens."""
        self.obey(host, host.membership.learn(other.name, other.identity.address, self.now))

    def disconnect(self, host: Host, name: str) -> None:
        """Somebody asks for no connection."""
        self.obey(host, host.membership.disconnect(name, self.now))

    # Directives -------------------------------------------------------------------------------------------------------

    def obey(self, host: Host, directives: list[Directive]) -> None:
        """Carry out what a membership has decided."""
        for directive in directives:
            self._carry_out(host, directive)
        visible = (n for n, link in host.up.items() if not self._other(link, host).hidden)
        assert host.view == host.membership.nodes() == tuple(sorted(visible))
        assert {n: link.id for n, link in host.up.items()} == {
            n: number for n in self.hosts if (number := host.membership.connection(n)) is not None
        }

    def _carry_out(self, host: Host, directive: Directive) -> None:
        match directive:
            case Dial(address, expect):
                self._dial(host, address, expect)
            case Cancel(address):
                host.dials.pop(address).shut(host)
            case Adopt(number, name, incarnation):
                self._adopt(host, self._link(number), name, incarnation)
            case Drop(number, _):
                link = self._link(number)
                link.shut(host)
                self.bury(host, link)
            case Announce(notice, nodes):
                self._announce(host, notice, nodes)
            case Gossip(number, peers):
                link = self._link(number)
                assert link in host.up.values()
                (link.to_server if host is link.client else link.to_client).append(peers)
            case GiveUp(target, _):
                assert target in host.waiting | host.connecting, "nobody was waiting for it"
                host.waiting.discard(target)
                host.connecting.discard(target)
                host.answers.append(directive)
            case Reached(target, name):
                assert name == host.name or name in host.up
                host.connecting.remove(target)
                host.answers.append(directive)
            case Wait(until):
                host.wake_at = until

    def _dial(self, host: Host, address: str, expect: str | None) -> None:
        assert address not in host.dials, "one dial to an address at a time"
        if expect is None:
            assert address in host.joined | host.connecting, "nobody asked for this address"
        else:
            assert expect in host.waiting | host.connecting | host.gossiped, "nobody wants it"
            assert expect not in host.up
        host.dialled_at.append((address, self.now))
        link = Link(len(self.links), host, address, to_server=deque(["hello"]))
        self.links.append(link)
        host.dials[address] = link

    def _adopt(self, host: Host, link: Link, name: str, incarnation: int) -> None:
        assert name not in host.up, "the old connection goes first"
        assert self._other(link, host).incarnation == incarnation
        host.up[name] = link
        host.waiting.discard(name)
        host.gossiped.discard(name)
        if host is link.client:
            link.to_server.append("first")

    def _announce(self, host: Host, notice: NodeUp | NodeLost, nodes: tuple[str, ...]) -> None:
        before = host.last.get(notice.node)
        if isinstance(notice, NodeUp):
            assert not isinstance(before, NodeUp)
            assert notice.node in nodes
            assert notice.node in host.up
        else:
            assert isinstance(before, NodeUp)
            assert before.incarnation == notice.incarnation
            assert notice.node not in nodes
            assert notice.node not in host.up
        host.last[notice.node] = notice
        host.notices.append(notice)
        host.view = nodes

    # The network ------------------------------------------------------------------------------------------------------

    def deliverable(self) -> list[tuple[Link, bool]]:
        """What may arrive next: links, and whether at their server."""
        through = [link for link in self.links if not self.is_cut(link)]
        to_server = [(li, True) for li in through if li.to_server and self._hears(li.server)]
        return to_server + [(li, False) for li in through if li.to_client and li.client.alive]

    def _hears(self, server: Host | None) -> bool:
        return server is None or server.alive

    def deliver(self, link: Link, to_server: bool) -> None:
        """The next message in one direction arrives."""
        message = (link.to_server if to_server else link.to_client).popleft()
        if message == "hello":
            self._connected(link)
            return
        host = link.server if to_server else link.client
        if host is None:
            return  # nobody ever answered there
        if message == "proof":
            self._judge(link, host)
        elif not link.open_at(host):
            if message != "close":  # as TCP answers with a reset
                (link.to_client if to_server else link.to_server).append("close")
        elif message == "first":
            got = session_with(link.client.identity)
            self.obey(host, host.membership.accepted(got, link.id, self.now))
        elif message == "close":
            self.lose(link, host, LostReason.CLOSED)
        elif isinstance(message, Status):
            self._verdict(link, message)
        elif isinstance(message, tuple) and host.up.get(self._other(link, host).name) is link:
            host.gossiped |= {name for name, _ in message} if host.mesh else set()
            self.obey(host, host.membership.peers(message, self.now))

    def lose(self, link: Link, host: Host, reason: LostReason) -> None:
        """One end notices that the connection is gone, whatever it is used for there."""
        if not link.open_at(host):
            return
        link.shut(host)
        if host.dials.get(link.address) is link:
            del host.dials[link.address]
            self.obey(host, host.membership.failed(link.address, reason, self.now))
        else:
            self.bury(host, link)
            self.obey(host, host.membership.lost(link.id, reason, self.now))

    def _connected(self, link: Link) -> None:
        link.server = self._listener(link.address)
        if not link.client_open:
            return
        if link.server is None:
            self.lose(link, link.client, LostReason.UNREACHABLE)
        else:
            link.server_open = True
            link.to_server.appendleft("proof")

    def _judge(self, link: Link, host: Host) -> None:
        if not link.server_open:
            return
        status = host.membership.judge(link.client.identity, link.id, self.now)
        link.to_client.append(status)
        if status is not Status.OK:
            link.shut(host)

    def _verdict(self, link: Link, status: Status) -> None:
        host, server = link.client, link.server
        assert server is not None
        assert host.dials.pop(link.address) is link
        if status is Status.OK:
            got = session_with(server.identity)
            self.obey(host, host.membership.dialled(link.address, got, link.id, self.now))
        else:
            link.shut(host)
            failed = host.membership.failed(link.address, status, self.now, server.identity)
            self.obey(host, failed)

    # Time and healing -------------------------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Time goes on, and every alarm rings when it is due."""
        until = self.now + seconds
        while True:
            next_one = min(self.alive(), key=lambda host: host.wake_at, default=None)
            if next_one is None or next_one.wake_at > until:
                break
            self.now = max(self.now, next_one.wake_at)
            next_one.wake_at = END
            self.obey(next_one, next_one.membership.wake(self.now))
        self.now = until

    def settle(self, seconds: float = 0.0) -> None:
        """Everything arrives at once, everybody notices what is gone, for a while."""
        until = self.now + seconds
        while True:
            while ready := self.deliverable():
                self.deliver(*self._rng.choice(ready))
            if self._notice_the_dead():
                continue
            following = min((host.wake_at for host in self.alive()), default=END)
            if following > until:
                self.pass_time(until - self.now)
                return
            self.pass_time(max(0.0, following - self.now))

    def ends(self) -> Iterator[tuple[Link, Host]]:
        """Every end that somebody holds."""
        for link in self.links:
            for host in (link.client, link.server):
                if host is not None and host.alive and link.open_at(host):
                    yield link, host

    def ends_in_use(self) -> Iterator[tuple[Link, Host]]:
        """Every end that somebody holds and that is more than a connection nobody has proved anything over."""
        for link, host in self.ends():
            proved = "proof" not in link.to_server and "hello" not in link.to_server
            if proved or host is link.client:
                yield link, host

    def _notice_the_dead(self) -> bool:
        for link, host in list(self.ends()):
            other = link.server if host is link.client else link.client
            quiet = not (link.to_client if host is link.client else link.to_server)
            if quiet and other is not None and not link.open_at(other):
                self.lose(link, host, LostReason.TICK)
                return True
        return False

    def receiver(self, link: Link, to_server: bool) -> str:
        """Which node the next message in one direction is for; none, for a name or address that nobody has."""
        host = (link.server or self._listener(link.address)) if to_server else link.client
        return host.name if host else link.client.name

    def _listener(self, address: str) -> Host | None:
        address = self.aliases.get(address, address)
        return next((h for h in self.alive() if h.identity.address == address), None)

    def _link(self, number: int) -> Link:
        return self.links[number]

    def _other(self, link: Link, host: Host) -> Identity:
        assert link.server is not None
        return link.server.identity if host is link.client else link.client.identity

    def bury(self, host: Host, link: Link) -> None:
        """It carries nothing any longer."""
        for name in [n for n, held in host.up.items() if held is link]:
            del host.up[name]


def check_pair(world: World, one: Host, other: Host) -> None:
    """Both have exactly one connection to each other, and know the same of it."""
    assert one.up[other.name] is other.up[one.name]
    assert one.membership.incarnation(other.name) == other.identity.incarnation
    assert other.membership.incarnation(one.name) == one.identity.incarnation
    both = [li for li in world.links if {li.client, li.server} == {one, other}]
    assert sum(li.client_open and li.server_open for li in both) == 1


# Every order ------------------------------------------------------------------------------------------------------


Strike = Callable[[World], None]
Step = tuple[int, bool, str]  # a link, whether at its server, and which node that is


def every_order(
    begin: Callable[[], World], end: Strike, limit: int, strike: Strike | None = None
) -> int:
    """Run all orders in which what is under way can arrive; returns how many there were.

    Two arrivals at different nodes commute, so of such orders only one is run (sleep sets). With ``strike``, that happens
    once in each: first, last, or at any moment in between.
    """
    todo: list[tuple[list[Step], set[Step]]] = [([], set())]
    runs = 0
    while todo:
        path, asleep = todo.pop()
        world = begin()
        for step in path:
            _take(world, step, strike)
        while steps := _steps(world, STRIKE not in path and strike is not None):
            awake = [step for step in steps if step not in asleep]
            for number, step in enumerate(awake):
                sleepers = asleep.union(awake[:number])
                if number:
                    todo.append(([*path, step], {s for s in sleepers if _commute(s, step)}))
            if not awake:
                break
            asleep = {s for s in asleep if _commute(s, awake[0])}
            path = [*path, awake[0]]
            _take(world, awake[0], strike)
        else:
            end(world)
            runs += 1
            assert runs <= limit, "more orders than this test was made for"
    return runs


STRIKE: Step = (-1, False, "")


def _steps(world: World, strike: bool) -> list[Step]:
    found = [
        (link.id, at_server, world.receiver(link, at_server))
        for link, at_server in world.deliverable()
    ]
    return [*found, STRIKE] if strike else found


def _take(world: World, step: Step, strike: Strike | None) -> None:
    if step == STRIKE and strike is not None:
        strike(world)
    else:
        world.deliver(world.links[step[0]], step[1])


def _commute(one: Step, other: Step) -> bool:
    return STRIKE not in {one, other} and one[2] != other[2]


def one_connection(world: World, flaps: int) -> None:
    """They end with one connection, after at most so many losses."""
    a, b = world.alive()
    world.settle(2.0)
    check_pair(world, a, b)
    assert not a.waiting | b.waiting | a.connecting | b.connecting
    for host in (a, b):
        assert len(host.notices) <= 1 + 2 * flaps, host.notices


def crossing(**aliases: str) -> World:
    """Two nodes that know each other by name, or by these addresses, and both dial."""
    world = World()
    world.aliases = {"x:9": "a:1", "y:9": "b:1"}
    a, b = world.start("a"), world.start("b")
    for host, other in ((a, b), (b, a)):
        address = aliases.get(other.name, other.identity.address)
        world.obey(host, host.membership.learn(other.name, address, world.now))
        world.want(host, other.name)
    return world


def test_dials_by_name_that_cross_give_one_connection_made_by_the_greater_name() -> None:
    """In every order, and nobody is ever announced as lost."""

    def end(world: World) -> None:
        one_connection(world, flaps=0)
        assert world.hosts["a"].up["b"].client is world.hosts["b"]

    assert every_order(crossing, end, 10_000) > 10


@pytest.mark.parametrize(
    "aliases", [("a:1", "b:1"), ("x:9", "b:1"), ("a:1", "y:9"), ("x:9", "y:9")]
)
def test_dials_to_addresses_that_cross_give_one_connection(aliases: tuple[str, str]) -> None:
    """In every order, also if an address is not the one that its node knows; then one connection may replace another."""

    def begin() -> World:
        world = World()
        world.aliases = {"x:9": "a:1", "y:9": "b:1"}
        a, b = world.start("a"), world.start("b")
        world.connect(a, aliases[1])
        world.connect(b, aliases[0])
        return world

    def end(world: World) -> None:
        one_connection(world, flaps=0 if aliases == ("a:1", "b:1") else 1)

    assert every_order(begin, end, 10_000) > 10


def test_two_dials_of_one_node_to_another_give_one_connection() -> None:
    """In every order of dials to two names of one address, both calls are answered, and nothing flaps."""

    def begin() -> World:
        world = World()
        world.aliases = {"x:9": "b:1"}
        a, _ = world.start("a"), world.start("b")
        world.connect(a, "x:9")
        world.connect(a, "b:1")
        return world

    def end(world: World) -> None:
        one_connection(world, flaps=0)
        assert set(world.hosts["a"].answers) == {Reached("x:9", "b"), Reached("b:1", "b")}

    assert every_order(begin, end, 10_000) > 10


@pytest.mark.parametrize("breaker", ["a", "b"])
@pytest.mark.parametrize("dialler", ["a", "b"])
def test_a_loss_that_only_one_side_has_noticed_does_not_keep_it_away(
    breaker: str, dialler: str
) -> None:
    """In every order, who lost a connection that looks alive to the other gets a new one that replaces it."""

    def begin() -> World:
        world = World()
        a, b = world.start("a"), world.start("b")
        world.learn(a, b)
        world.learn(b, a)
        world.want(world.hosts[dialler], "b" if dialler == "a" else "a")
        world.settle(10.0)
        host, other = (a, b) if breaker == "a" else (b, a)
        link = host.up[other.name]
        link.shut(host, silent=True)
        world.bury(host, link)
        world.obey(host, host.membership.lost(link.id, LostReason.TICK, world.now))
        world.want(host, other.name)
        world.pass_time(1.0)
        return world

    def end(world: World) -> None:
        one_connection(world, flaps=1)

    assert every_order(begin, end, 5_000) >= 1


def _a_loses_all(world: World) -> None:
    for link, host in list(world.ends()):
        if host.name == "a":
            world.lose(link, host, LostReason.CLOSED)


def _b_loses_all_in_silence(world: World) -> None:
    for link, host in list(world.ends()):
        if host.name == "b":
            world.lose(link, host, LostReason.TICK)
            for way in (link.to_server, link.to_client):
                if way and way[-1] == "close":
                    way.pop()


def _restart(name: str) -> Strike:
    def strike(world: World) -> None:
        world.kill(world.hosts[name], silent=name == "b")
        host = world.start(name)
        other = world.hosts["a" if name == "b" else "b"]
        world.learn(host, other)
        world.want(host, other.name)

    return strike


def _some_time(world: World) -> None:
    world.pass_time(0.3)


STRIKES: dict[str, Strike] = {
    "a loses all": _a_loses_all,
    "b loses all in silence": _b_loses_all_in_silence,
    "a disconnects": lambda world: world.disconnect(world.hosts["a"], "b"),
    "b disconnects": lambda world: world.disconnect(world.hosts["b"], "a"),
    "a restarts": _restart("a"),
    "b restarts after a power failure": _restart("b"),
    "a connects": lambda world: world.connect(world.hosts["a"], "b:1"),
    "b connects by another name": lambda world: world.connect(world.hosts["b"], "x:9"),
    "time passes": _some_time,
}


@pytest.mark.parametrize("aliases", [{}, {"a": "x:9", "b": "y:9"}], ids=["", "by other addresses"])
@pytest.mark.parametrize("strike", STRIKES)
def test_whatever_strikes_crossing_dials_who_wants_the_other_gets_it(
    strike: str, aliases: dict[str, str]
) -> None:
    """At every moment of every order; and who still wants the other then is connected, both ends agreeing."""

    def end(world: World) -> None:
        world.settle(3.0)
        a, b = world.alive()
        assert not a.waiting | b.waiting | a.connecting | b.connecting
        world.want(a, "b")
        world.settle(3.0)
        check_pair(world, a, b)
        assert len(a.notices) <= 5, a.notices
        assert len(b.notices) <= 5, b.notices

    assert every_order(lambda: crossing(**aliases), end, 10_000, STRIKES[strike]) > 10


@pytest.mark.parametrize("who", ["a", "b"])
def test_a_node_that_closes_while_anything_is_under_way_lets_go_of_everything(who: str) -> None:
    """At every moment of every order; it holds nothing then, takes nothing, and everybody who waited was told."""

    def strike(world: World) -> None:
        host = world.hosts[who]
        world.obey(host, host.membership.close(world.now))
        assert not list(filter(lambda end: end[1] is host, world.ends_in_use()))

    def end(world: World) -> None:
        world.settle(1.0)
        host = world.hosts[who]
        assert not host.up
        assert not host.dials
        assert not host.waiting
        assert host.wake_at == END

    assert every_order(crossing, end, 10_000, strike) > 10
