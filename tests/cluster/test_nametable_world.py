"""Tables of names under any history: messages cross late, connections break unseen by one end, nodes and actors restart.

At any moment: no two nodes hold a name if both took it while the same connection was up between them. Whatever has happened,
once the network is whole and everything has arrived, all nodes know the same holder, who is alive, and nobody waits.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Literal

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from actorkit.cluster import nametable
from actorkit.cluster.grouptable import Unwatch, Watch
from actorkit.cluster.nametable import NameTable
from actorkit.cluster.namewords import (
    Answer,
    Decide,
    Directive,
    Entry,
    Id,
    Kill,
    Outcome,
    PeerMessage,
    Send,
    Terms,
    Wait,
)

NODES = ("a", "b", "c")
NAMES = ("king", "queen")
ROUNDS = 200  # in which everything must have come to rest

node_names = st.sampled_from(NODES)
keys = st.sampled_from(("king", "king", "king", "queen"))  # most of what happens happens to one
numbers = st.integers(0, 9)
terms = st.sampled_from([Terms(), Terms(kill_loser=True)])


@attrs.frozen
class Someone:
    """An incarnation of an actor; the next one in the same seat has the same reference."""

    seat: str
    life: int

    @property
    def ref(self) -> Any:
        """Tables take anything for a reference."""
        return self.seat


@attrs.frozen(eq=False)
class Ticket:
    """Somebody waits for a name to be taken, or to be free."""

    key: str
    who: Someone | None


@attrs.define
class Up:
    """In an inbox: a connection is up."""

    node: str
    incarnation: int
    connection: Connection


@attrs.define
class Lost:
    """In an inbox: a connection is gone."""

    node: str
    incarnation: int


@attrs.define(eq=False)
class End:
    """One end of a connection: whether its node knows of it, and what is on its way to it."""

    node: str
    incarnation: int
    up: bool = False
    gone: bool = False
    pipe: deque[PeerMessage] = attrs.field(factory=deque)


@attrs.define(eq=False)
class Connection:
    """A connection between two nodes; a broken one carries nothing new, and each end finds out when it does."""

    ends: tuple[End, End]
    broken: bool = False

    def end(self, node: str) -> End:
        """The end at a node."""
        return self.ends[0] if self.ends[0].node == node else self.ends[1]

    def other(self, node: str) -> End:
        """The other end."""
        return self.ends[1] if self.ends[0].node == node else self.ends[0]


@attrs.define(eq=False)
class Node:
    """A node: its table, the names actor's mailbox, and what the shell would keep."""

    name: str
    incarnation: int
    table: NameTable[Someone, Ticket]
    inbox: deque[Any] = attrs.field(factory=deque)
    watched: set[Someone] = attrs.field(factory=set)
    timers: list[Literal["catch_up", "retry"]] = attrs.field(factory=list)
    actors: list[Someone] = attrs.field(factory=list)
    open: set[Ticket] = attrs.field(factory=set)
    connections: dict[str, Connection] = attrs.field(factory=dict)  # as its table knows them

    def entry(self, key: str) -> Entry | None:
        """What this node's own actors hold."""
        own = self.table._own.get(key)  # noqa: SLF001 - the truth that others are compared with
        return own.entry if own is not None else None


class World(RuleBasedStateMachine):
    """Three nodes and a network that keeps what per-pair order, and notices of nodes, promise; nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.born = 0
        self.connections: list[Connection] = []
        self.full: set[tuple[str, str]] = set()
        self.nodes: dict[str, Node] = {}
        self.taken_with: dict[Id, dict[str, Connection]] = {}
        self.decided: set[tuple[Id, Id, Connection]] = set()
        self.outcomes: list[str] = []

    @initialize()
    def open(self) -> None:
        """All nodes start."""
        for name in NODES:
            self._start(name)

    def _start(self, name: str) -> None:
        self.born += 1
        self.nodes[name] = Node(name, self.born, NameTable(name, self.born))

    # The network ----------------------------------------------------------------------------------------------------------

    @rule(one=node_names, other=node_names)
    def dial(self, one: str, other: str) -> None:
        """A node that has no connection to another dials; the other end learns of it later."""
        self._dial(one, other)

    def _dial(self, one: str, other: str) -> None:
        if one != other and self._current(one, other) is None:
            dialler, callee = self.nodes[one], self.nodes[other]
            connection = Connection((End(one, dialler.incarnation), End(other, callee.incarnation)))
            self.connections.append(connection)
            self._come_up(connection, one)

    def _come_up(self, connection: Connection, node: str) -> None:
        there = connection.other(node)
        connection.end(node).up = True
        self.nodes[node].inbox.append(Up(there.node, there.incarnation, connection))

    @rule(number=numbers)
    def accept(self, number: int) -> None:
        """The other end comes up too; an older connection to the same node that was not known to be broken is replaced."""
        self._accept(number)

    def _accept(self, number: int) -> None:
        waiting = [c for c in self.connections if not all(e.up or e.gone for e in c.ends)]
        if not waiting:
            return
        connection = waiting[number % len(waiting)]
        end = next(e for e in connection.ends if not e.up and not e.gone)
        there = connection.other(end.node)
        old = self._current(end.node, there.node)
        if connection.broken or there.gone:
            end.gone = True
            return
        if old is not None:
            old.broken = True
            self._lose(old, end.node)
        self._come_up(connection, end.node)

    @rule(number=numbers, count=st.integers(1, 8))
    def deliver(self, number: int, count: int) -> None:
        """Some of what is on its way to one end arrives, in order."""
        ends = [e for c in self.connections for e in c.ends if e.up and e.pipe]
        if ends:
            end = ends[number % len(ends)]
            for _ in range(min(count, len(end.pipe))):
                self.nodes[end.node].inbox.append(end.pipe.popleft())

    @rule(number=numbers)
    def cut(self, number: int) -> None:
        """A connection breaks; what is on its way may still arrive."""
        whole = [c for c in self.connections if not c.broken]
        if whole:
            whole[number % len(whole)].broken = True

    @rule(number=numbers)
    def notice(self, number: int) -> None:
        """One end finds out that its connection is broken; what has not arrived by then never does."""
        self._notice(number)

    def _notice(self, number: int) -> None:
        ends = [(c, e) for c in self.connections if c.broken for e in c.ends if e.up]
        if ends:
            connection, end = ends[number % len(ends)]
            self._lose(connection, end.node)

    def _lose(self, connection: Connection, node: str) -> None:
        end, there = connection.end(node), connection.other(node)
        end.up, end.gone = False, True
        end.pipe.clear()
        self.nodes[node].inbox.append(Lost(there.node, there.incarnation))
        self.connections = [c for c in self.connections if not all(e.gone for e in c.ends)]

    def _current(self, one: str, other: str) -> Connection | None:
        """The connection to another node as one node sees it."""
        found = [c for c in self.connections if {e.node for e in c.ends} == {one, other}]
        return next((c for c in found if c.end(one).up), None)

    @rule(one=node_names, other=node_names)
    def fill(self, one: str, other: str) -> None:
        """There is no more room in an outbox."""
        self.full.add((one, other))

    @rule(one=node_names, other=node_names)
    def drain(self, one: str, other: str) -> None:
        """There is room again."""
        self.full.discard((one, other))

    # Nodes ------------------------------------------------------------------------------------------------------------------

    @rule(name=node_names, count=st.integers(1, 8))
    def handle(self, name: str, count: int) -> None:
        """A names actor handles some of what has come."""
        node = self.nodes[name]
        for _ in range(min(count, len(node.inbox))):
            self._carry_out(node, self._handle(node, node.inbox.popleft()))

    def _handle(self, node: Node, item: Any) -> list[Directive[Someone, Ticket]]:
        match item:
            case Up(name, incarnation, connection):
                node.connections[name] = connection
                return node.table.node_up(name, incarnation)
            case Lost(name, incarnation):
                node.connections.pop(name, None)
                return node.table.node_lost(name, incarnation)
            case Someone():
                return node.table.died(item)
            case _:
                return node.table.receive(item)

    @rule(name=node_names)
    def time_passes(self, name: str) -> None:
        """A timer fires."""
        node = self.nodes[name]
        if node.timers:
            then = node.timers.pop(0)
            table = node.table
            self._carry_out(node, table.catch_up() if then == "catch_up" else table.retry())

    @rule(name=node_names)
    def restart(self, name: str) -> None:
        """A node is killed and started again: all of its is gone, and its connections break."""
        for connection in self.connections:
            if name in {end.node for end in connection.ends}:
                connection.broken = True
                connection.end(name).up, connection.end(name).gone = False, True
        self._start(name)

    @rule(name=node_names)
    def crash(self, name: str) -> None:
        """A names actor dies, with all that waits for it, and the next one goes on with the table."""
        node = self.nodes[name]
        node.inbox.clear()
        node.watched.clear()
        node.timers.clear()
        node.open.clear()
        node.table.abandon()
        for party in node.table.parties():
            alive = party in node.actors
            self._carry_out(node, [Watch(party)] if alive else node.table.died(party))
        current = {n: self._current(name, n) for n in NODES if n != name}
        node.connections = {n: c for n, c in current.items() if c is not None}
        up = [(n, c.end(n).incarnation) for n, c in node.connections.items()]
        self._carry_out(node, node.table.resume(up))

    def _carry_out(self, node: Node, directives: list[Directive[Someone, Ticket]]) -> None:
        todo = deque(directives)
        self._note_new_entries(node)
        while todo:
            match directive := todo.popleft():
                case Send(name, message):
                    todo += self._send(node, name, message)
                case Answer(ticket, outcome):
                    node.open.remove(ticket)
                    self._answered(node, ticket, outcome)
                case Watch(party):
                    assert party not in node.watched
                    node.watched.add(party)
                case Unwatch(party):
                    node.watched.discard(party)
                case Decide(mine, theirs):
                    todo += self._decide(node, mine, theirs)
                case Kill(party):
                    self._die(node, party)
                case Wait():
                    node.timers.append(directive.then)

    def _send(
        self, node: Node, name: str, message: PeerMessage
    ) -> list[Directive[Someone, Ticket]]:
        connection = self._current(node.name, name)
        if (node.name, name) in self.full:
            return node.table.refused(name)
        if connection is not None and not connection.broken:
            connection.other(node.name).pipe.append(message)
        return []

    def _decide(self, node: Node, mine: Entry, theirs: Entry) -> list[Directive[Someone, Ticket]]:
        assert node.name < theirs.id.node
        once = (mine.id, theirs.id, node.connections[theirs.id.node])
        assert once not in self.decided
        self.decided.add(once)
        choice = (mine.id.number + theirs.id.number) % 3
        return node.table.decided(mine, theirs, ("mine", "theirs", "nobody")[choice])

    def _note_new_entries(self, node: Node) -> None:
        for key in NAMES:
            entry = node.entry(key)
            if entry is not None and entry.id not in self.taken_with:
                self.taken_with[entry.id] = dict(node.connections)

    def _answered(self, node: Node, ticket: Ticket, outcome: Outcome) -> None:
        self.outcomes.append(outcome.kind)

    # Actors -----------------------------------------------------------------------------------------------------------------

    @rule(name=node_names, seat=st.sampled_from("xyz"))
    def spawn(self, name: str, seat: str) -> None:
        """An actor starts; a seat holds one at a time."""
        node = self.nodes[name]
        if not any(who.seat == f"{name}{seat}" for who in node.actors):
            self.born += 1
            node.actors.append(Someone(f"{name}{seat}", self.born))

    @rule(name=node_names, number=numbers, key=keys, move=st.booleans(), terms=terms)
    def register(self, name: str, number: int, key: str, move: bool, terms: Terms) -> None:
        """An actor shall hold a name."""
        node = self.nodes[name]
        if not node.actors:
            self.spawn(name, "x")
        who = node.actors[number % len(node.actors)]
        ticket = Ticket(key, who)
        node.open.add(ticket)
        todo = node.table.register(ticket, who, key, float(self.born), move=move, terms=terms)
        self._carry_out(node, todo)

    @rule(name=node_names, key=keys)
    def unregister(self, name: str, key: str) -> None:
        """A name shall be free."""
        node = self.nodes[name]
        ticket = Ticket(key, None)
        node.open.add(ticket)
        self._carry_out(node, node.table.unregister(ticket, key))

    @rule(name=node_names, number=numbers)
    def die(self, name: str, number: int) -> None:
        """An actor dies; the names actor hears of it if it watches it."""
        node = self.nodes[name]
        if node.actors:
            self._die(node, node.actors[number % len(node.actors)])

    def _die(self, node: Node, who: Someone) -> None:
        if who in node.actors:
            node.actors.remove(who)
            if who in node.watched:
                node.inbox.append(who)

    # Laws -------------------------------------------------------------------------------------------------------------------

    @invariant()
    def nobody_takes_a_name_twice(self) -> None:
        """Two holders never took a name while the same connection was up between their nodes, unless one replaced the other."""
        for key in NAMES:
            entries = [e for e in (n.entry(key) for n in self.nodes.values()) if e is not None]
            for one in entries:
                for other in entries:
                    if one.id.node < other.id.node and not _replaced(one, other):
                        mine = self.taken_with[one.id].get(other.id.node)
                        theirs = self.taken_with[other.id].get(one.id.node)
                        assert mine is None or mine is not theirs

    @invariant()
    def whose_death_matters_is_watched(self) -> None:
        """There is a monitor for everybody who holds a name or claims one, and no other."""
        for node in self.nodes.values():
            assert node.watched == set(node.table.parties())

    @precondition(lambda self: bool(self.nodes))
    @rule()
    def heal(self) -> None:
        """The network is whole again and everything arrives: then all agree on a living holder, and nobody waits."""
        self.full.clear()
        rounds = 0
        while self._go_on():
            rounds += 1
            assert rounds < ROUNDS, "somebody goes on for ever"
        for key in NAMES:
            entries = [e for e in (n.entry(key) for n in self.nodes.values()) if e is not None]
            assert len(entries) <= 1
            holder = entries[0].ref if entries else None
            assert [n.table.holder(key) for n in self.nodes.values()] == [holder] * len(NODES)
            living = {who.ref for node in self.nodes.values() for who in node.actors}
            assert holder is None or holder in living
        assert [node.open for node in self.nodes.values()] == [set()] * len(NODES)

    def _go_on(self) -> bool:
        """Let everything happen that can, once; tells whether there was anything."""
        before = (len(self.connections), self._under_way())
        while any(c.broken and any(e.up for e in c.ends) for c in self.connections):
            self._notice(0)
        self.connections = [c for c in self.connections if not c.broken]
        for one in NODES:
            for other in NODES:
                if self._current(one, other) is None:
                    self._dial(one, other)
        for _ in tuple(self.connections):
            self._accept(0)
        for connection in self.connections:
            for end in connection.ends:
                self.nodes[end.node].inbox.extend(end.pipe)
                end.pipe.clear()
        for name, node in self.nodes.items():
            self.handle(name, len(node.inbox))
            self.time_passes(name)
        return before != (len(self.connections), 0) or self._under_way() > 0

    def _under_way(self) -> int:
        pipes = sum(len(e.pipe) for c in self.connections for e in c.ends)
        return pipes + sum(len(n.inbox) + len(n.timers) for n in self.nodes.values())

    def teardown(self) -> None:
        """Heal; then let everybody die: nothing is left in any table."""
        if not self.nodes:
            return
        self.heal()
        for node in self.nodes.values():
            while node.actors:
                self._die(node, node.actors[0])
        self.heal()
        assert [len(node.table) for node in self.nodes.values()] == [0] * len(NODES)


class Whole(World):
    """Nodes that stay connected: there is never a conflict, and what an answer says is so on all nodes."""

    cut = notice = restart = dial = accept = None  # type: ignore[assignment]

    def _start(self, name: str) -> None:
        """All nodes are connected before anything happens."""
        super()._start(name)
        if len(self.nodes) == len(NODES):
            self.heal()

    def _decide(self, node: Node, mine: Entry, theirs: Entry) -> list[Directive[Someone, Ticket]]:
        raise AssertionError(f"{mine} and {theirs} are in conflict")

    def _answered(self, node: Node, ticket: Ticket, outcome: Outcome) -> None:
        super()._answered(node, ticket, outcome)
        entries = [e for e in (n.entry(ticket.key) for n in self.nodes.values()) if e is not None]
        others = {t.key for n in self.nodes.values() for t in n.open}
        if outcome.kind == "done" and ticket.key not in others:
            seen = {n.table.holder(ticket.key) for n in self.nodes.values()}
            if ticket.who is None and not entries:
                assert seen == {None}
            if ticket.who is not None and [e.ref for e in entries] == [ticket.who.ref]:
                assert seen == {ticket.who.ref}


class Moves(Whole):
    """Names that are never freed: from when a node has heard of a holder it always knows one."""

    unregister = die = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.held: set[tuple[str, str]] = set()
        super().__init__()

    @invariant()
    def there_is_no_gap(self) -> None:
        """A name that was held is held."""
        for name, node in self.nodes.items():
            for key in NAMES:
                if node.table.holder(key) is not None:
                    self.held.add((name, key))
                assert (node.table.holder(key) is not None) == ((name, key) in self.held)


def _replaced(one: Entry, other: Entry) -> bool:
    return one.id in other.replaces or other.id in one.replaces


class SmallLists(World):
    """Listings so short that they come in parts."""

    def __init__(self) -> None:
        self.chunk, nametable.CHUNK = nametable.CHUNK, 1
        super().__init__()

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            nametable.CHUNK = self.chunk


TestWorld = World.TestCase
TestWhole = Whole.TestCase
TestMoves = Moves.TestCase
TestSmallLists = SmallLists.TestCase
for _case in (TestWorld, TestWhole, TestMoves, TestSmallLists):
    _case.settings = settings(max_examples=100, stateful_step_count=50)


@pytest.mark.soak
@pytest.mark.parametrize("machine", [World, Whole, Moves, SmallLists])
def test_names_for_long(machine: type[World]) -> None:
    """The same laws in many more and longer histories."""
    many = settings(
        max_examples=3_000,
        stateful_step_count=120,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(machine, settings=many)
