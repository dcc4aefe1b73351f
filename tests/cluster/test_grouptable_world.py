"""Tables of several nodes under any history: messages cross late, connections break unseen by one end, nodes restart.

Whatever has happened, once the network is whole and everything has arrived, all tables agree with who really is in which
group. And at any moment what a watcher was told adds up to what it could see.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actorkit.cluster import grouptable
from actorkit.cluster.grouptable import (
    Directive,
    GroupTable,
    Notify,
    PeerMessage,
    Send,
    Unwatch,
    Wait,
    Watch,
)

NODES = ("a", "b", "c")
GROUPS = ("readers", "writers")
CHUNK = 2  # so that most lists come in parts

node_names = st.sampled_from(NODES)
group_names = st.sampled_from(GROUPS)
numbers = st.integers(0, 9)


@attrs.frozen
class Someone:
    """An incarnation of an actor; the next one in the same seat has the same reference."""

    seat: str
    life: int

    @property
    def ref(self) -> Any:
        """Tables take anything for a reference."""
        return self.seat


@attrs.define
class Up:
    """In an inbox: a connection is up."""

    node: str
    incarnation: int


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
    """A node: its table, the groups actor's mailbox, and what the shell would keep."""

    name: str
    incarnation: int
    table: GroupTable[Someone]
    inbox: deque[Any] = attrs.field(factory=deque)
    outbox: deque[Send] = attrs.field(factory=deque)
    watched: set[Someone] = attrs.field(factory=set)
    timers: int = 0
    actors: list[Someone] = attrs.field(factory=list)
    members: Counter[tuple[str, Someone]] = attrs.field(factory=Counter)
    views: dict[tuple[Someone, str], Counter[Any]] = attrs.field(factory=dict)

    def in_group(self, group: str) -> Counter[Any]:
        """Who of this node really is in a group."""
        return Counter({who.ref: n for (name, who), n in self.members.items() if name == group})


class World(RuleBasedStateMachine):
    """Three nodes and a network that keeps what per-pair order, and notices of nodes, promise; nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.born = 0
        self.connections: list[Connection] = []
        self.full: set[tuple[str, str]] = set()
        self.nodes: dict[str, Node] = {}

    @initialize()
    def open(self) -> None:
        """All nodes start."""
        for name in NODES:
            self._start(name)

    def _start(self, name: str) -> None:
        self.born += 1
        self.nodes[name] = Node(name, self.born, GroupTable(name, self.born))

    # The network ----------------------------------------------------------------------------------------------------------

    @rule(one=node_names, other=node_names)
    def dial(self, one: str, other: str) -> None:
        """A node that has no connection to another dials; the other end learns of it later."""
        if one != other and self._current(one, other) is None:
            dialler, callee = self.nodes[one], self.nodes[other]
            connection = Connection((End(one, dialler.incarnation), End(other, callee.incarnation)))
            self.connections.append(connection)
            self._come_up(connection, one)

    def _come_up(self, connection: Connection, node: str) -> None:
        there = connection.other(node)
        connection.end(node).up = True
        self.nodes[node].inbox.append(Up(there.node, there.incarnation))

    @rule(number=numbers)
    def accept(self, number: int) -> None:
        """The other end comes up too; an older connection to the same node that was not known to be broken is replaced."""
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
        """A groups actor handles some of what has come."""
        node = self.nodes[name]
        for _ in range(min(count, len(node.inbox))):
            item = node.inbox.popleft()
            self._carry_out(node, self._handle(node, item))
            self._flush(node)

    def _handle(self, node: Node, item: Any) -> tuple[Directive[Someone], ...]:
        match item:
            case Up(name, incarnation):
                return node.table.node_up(name, incarnation)
            case Lost(name, incarnation):
                return node.table.node_lost(name, incarnation)
            case Someone():
                return node.table.died(item)
            case _:
                return node.table.receive(item)

    @rule(name=node_names)
    def flush(self, name: str) -> None:
        """A groups actor sends what waits."""
        self._flush(self.nodes[name])

    def _flush(self, node: Node) -> None:
        while node.outbox:
            send = node.outbox.popleft()
            for name in send.nodes:
                connection = self._current(node.name, name)
                if (node.name, name) in self.full:
                    self._carry_out(node, node.table.refused(name))
                elif connection is not None and not connection.broken:
                    connection.other(node.name).pipe.append(send.message)

    @rule(name=node_names)
    def time_passes(self, name: str) -> None:
        """A timer fires."""
        node = self.nodes[name]
        if node.timers:
            node.timers -= 1
            self._carry_out(node, node.table.catch_up())
            self._flush(node)

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
        """A groups actor dies, with all that waits for it, and the next one goes on with the table."""
        node = self.nodes[name]
        node.inbox.clear()
        node.outbox.clear()
        node.watched.clear()
        node.timers = 0
        for party in node.table.parties():
            if party in node.actors:
                node.watched.add(party)
            else:
                self._carry_out(node, node.table.died(party))
        up = [
            (there.node, there.incarnation)
            for c in self.connections
            for end, there in (c.ends, c.ends[::-1])
            if end.node == name and end.up
        ]
        self._carry_out(node, node.table.resume(up))
        self._flush(node)

    def _carry_out(self, node: Node, todo: tuple[Directive[Someone], ...]) -> None:
        for directive in todo:
            match directive:
                case Watch(party):
                    assert party not in node.watched
                    node.watched.add(party)
                case Unwatch(party):
                    node.watched.discard(party)
                case Notify(watchers, group, joined, left):
                    assert joined or left
                    for watcher in watchers:
                        view = node.views.get((watcher, group))
                        if view is not None:  # else it is dead
                            assert Counter(left) <= view
                            view.subtract(left)
                            view.update(joined)
                case Send():
                    node.outbox.append(directive)
                case Wait():
                    node.timers += 1

    # Actors -----------------------------------------------------------------------------------------------------------------

    @rule(name=node_names, seat=st.sampled_from("xyz"))
    def spawn(self, name: str, seat: str) -> None:
        """An actor starts; a seat holds one at a time."""
        node = self.nodes[name]
        if not any(who.seat == f"{name}{seat}" for who in node.actors):
            self.born += 1
            node.actors.append(Someone(f"{name}{seat}", self.born))

    def _someone(self, name: str, number: int) -> tuple[Node, Someone | None]:
        node = self.nodes[name]
        return node, node.actors[number % len(node.actors)] if node.actors else None

    @rule(name=node_names, number=numbers, group=group_names, times=st.integers(1, 3))
    def join(self, name: str, number: int, group: str, times: int) -> None:
        """An actor joins, perhaps several times."""
        node, who = self._someone(name, number)
        if who is not None:
            for _ in range(times):
                self._carry_out(node, node.table.join(who, group))
                node.members[group, who] += 1
            # By now it is known that earlier incarnations in this seat are dead.
            assert Counter(node.table.local_members(group))[who.ref] == node.members[group, who]

    @rule(name=node_names, number=numbers, group=group_names)
    def leave(self, name: str, number: int, group: str) -> None:
        """An actor leaves; who is no member is told so."""
        node, who = self._someone(name, number)
        if who is not None:
            is_member = node.members[group, who] > 0
            assert node.table.is_member(who, group) == is_member
            self._carry_out(node, node.table.leave(who, group))
            node.members[group, who] -= is_member
            node.members += Counter()

    @rule(name=node_names, number=numbers)
    def die(self, name: str, number: int) -> None:
        """An actor dies; the groups actor hears of it if it watches it."""
        node, who = self._someone(name, number)
        if who is not None:
            node.actors.remove(who)
            for group in GROUPS:
                node.members.pop((group, who), None)
                node.views.pop((who, group), None)
            if who in node.watched:
                node.inbox.append(who)

    @rule(name=node_names, number=numbers, group=group_names)
    def watch(self, name: str, number: int, group: str) -> None:
        """An actor begins to watch a group."""
        node, who = self._someone(name, number)
        if who is not None:
            self._carry_out(node, node.table.watch(who, group))
            node.views[who, group] = Counter(node.table.members(group))

    @rule(name=node_names, number=numbers, group=group_names)
    def unwatch(self, name: str, number: int, group: str) -> None:
        """An actor watches no more."""
        node, who = self._someone(name, number)
        if who is not None:
            watched = node.views.pop((who, group), None) is not None
            assert node.table.is_watching(who, group) == watched
            self._carry_out(node, node.table.unwatch(who, group))

    # Laws -------------------------------------------------------------------------------------------------------------------

    @invariant()
    def watchers_see_what_there_is(self) -> None:
        """What each watcher saw first, and was told since, are the members."""
        for node in self.nodes.values():
            for (_, group), view in node.views.items():
                assert +view == Counter(node.table.members(group))

    @invariant()
    def looking_is_consistent(self) -> None:
        """The members here are among all members; groups are what has members."""
        for node in self.nodes.values():
            for group in GROUPS:
                here, everywhere = node.table.local_members(group), node.table.members(group)
                assert Counter(here) <= Counter(everywhere)
                assert (group in node.table.groups()) == bool(everywhere)

    @invariant()
    def whose_death_matters_is_watched(self) -> None:
        """There is a monitor for every member and watcher of a node, and no other."""
        for node in self.nodes.values():
            assert node.watched == set(node.table.parties())

    @precondition(lambda self: bool(self.nodes))
    @rule()
    def heal(self) -> None:
        """The network is whole again and everything arrives: then all tables agree with the truth."""
        self.full.clear()
        while self._go_on():
            pass
        for node in self.nodes.values():
            for group in GROUPS:
                truth: Counter[Any] = Counter()
                for other in self.nodes.values():
                    truth += other.in_group(group)
                assert Counter(node.table.members(group)) == truth
                assert Counter(node.table.local_members(group)) == node.in_group(group)

    def _go_on(self) -> bool:
        """Let everything happen that can, once; tells whether there was anything."""
        before = (len(self.connections), self._under_way())
        while any(c.broken and any(e.up for e in c.ends) for c in self.connections):
            self.notice(0)
        self.connections = [c for c in self.connections if not c.broken]
        for one in NODES:
            for other in NODES:
                if self._current(one, other) is None:
                    self.dial(one, other)
        for _ in tuple(self.connections):
            self.accept(0)
        for connection in self.connections:
            for end in connection.ends:
                self.nodes[end.node].inbox.extend(end.pipe)
                end.pipe.clear()
        for name, node in self.nodes.items():
            self.flush(name)
            self.handle(name, len(node.inbox))
            self.time_passes(name)
        return before != (len(self.connections), 0) or self._under_way() > 0

    def _under_way(self) -> int:
        pipes = sum(len(e.pipe) for c in self.connections for e in c.ends)
        boxes = sum(len(n.inbox) + len(n.outbox) + n.timers for n in self.nodes.values())
        return pipes + boxes

    def teardown(self) -> None:
        """Heal; then let everybody die: nothing is left in any table."""
        if not self.nodes:
            return
        self.heal()
        for name, node in self.nodes.items():
            while node.actors:
                self.die(name, 0)
        self.heal()
        assert [len(node.table) for node in self.nodes.values()] == [0] * len(NODES)


grouptable_chunk = grouptable.CHUNK


class SmallLists(World):
    """The same with lists so short that they come in parts."""

    def __init__(self) -> None:
        grouptable.CHUNK = CHUNK
        super().__init__()

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            grouptable.CHUNK = grouptable_chunk


TestWholeLists = World.TestCase
TestListsInParts = SmallLists.TestCase
TestWholeLists.settings = settings(max_examples=150, stateful_step_count=60)
TestListsInParts.settings = settings(max_examples=150, stateful_step_count=60)
