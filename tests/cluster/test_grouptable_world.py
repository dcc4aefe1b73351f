"""Tables of several nodes under any history: messages cross late, connections break unseen by one end, nodes restart.

Whatever has happened, once the network is whole and everything has arrived, all tables agree with who really is in which
group. And at any moment what a watcher was told adds up to what it could see.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

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

SEATS = "xy"  # of each node

# What happens, and how often: most of the time what can go on by itself does.
STEPS = {
    "go_on": 14,
    "join": 4,
    "leave": 2,
    "die": 1,
    "watch": 1,
    "unwatch": 1,
    "cut": 1,
    "fill": 1,
    "drain": 1,
    "restart": 1,
    "crash": 1,
}
step = st.tuples(
    st.sampled_from([name for name, often in STEPS.items() for _ in range(often)]),
    st.integers(0, 119),
)


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
        """All nodes start, and find each other."""
        for name in NODES:
            self._start(name)
        self.heal()

    @rule(steps=st.lists(step, min_size=5, max_size=30))
    def live(self, steps: list[tuple[str, int]]) -> None:
        """Things happen."""
        for name, number in steps:
            getattr(self, name)(number)

    def _start(self, name: str) -> None:
        self.born += 1
        node = self.nodes[name] = Node(name, self.born, GroupTable(name, self.born))
        for seat in SEATS:
            self._spawn(node, f"{name}{seat}")

    def _spawn(self, node: Node, seat: str) -> None:
        self.born += 1
        node.actors.append(Someone(seat, self.born))

    # The network ----------------------------------------------------------------------------------------------------------

    def go_on(self, number: int) -> None:
        """One of the things that can go on by themselves does."""
        steps = self._steps()
        if steps:
            go, *arguments = steps[number % len(steps)]
            go(*arguments)

    def _steps(self) -> list[tuple[Any, ...]]:
        """All that can happen next without anybody's doing."""
        steps: list[tuple[Any, ...]] = []
        for node in self.nodes.values():
            steps += [(self._handle, node)] * bool(node.inbox)
            steps += [(self._flush, node)] * bool(node.outbox)
            steps += [(self._fire, node)] * bool(node.timers)
            for other in NODES:
                if other != node.name and self._current(node.name, other) is None:
                    steps.append((self._dial, node, self.nodes[other]))
        for connection in self.connections:
            for end in connection.ends:
                steps += [(self._accept, connection, end)] * (not end.up and not end.gone)
                steps += [(self._deliver, end)] * (end.up and bool(end.pipe))
                steps += [(self._lose, connection, end)] * (end.up and connection.broken)
        return steps

    def _dial(self, dialler: Node, callee: Node) -> None:
        """A node dials; the other end learns of it later."""
        ends = End(dialler.name, dialler.incarnation), End(callee.name, callee.incarnation)
        connection = Connection(ends)
        self.connections.append(connection)
        self._come_up(connection, ends[0])

    def _come_up(self, connection: Connection, end: End) -> None:
        there = connection.other(end.node)
        end.up = True
        self.nodes[end.node].inbox.append(Up(there.node, there.incarnation))

    def _accept(self, connection: Connection, end: End) -> None:
        """The other end comes up too, and replaces a connection to the same node that is not known to be broken."""
        there = connection.other(end.node)
        if connection.broken or there.gone:
            end.gone = True
            return
        old = self._current(end.node, there.node)
        if old is not None:
            old.broken = True
            self._lose(old, old.end(end.node))
        self._come_up(connection, end)

    def _deliver(self, end: End) -> None:
        """A message arrives."""
        self.nodes[end.node].inbox.append(end.pipe.popleft())

    def _lose(self, connection: Connection, end: End) -> None:
        """One end finds out that its connection is broken; what has not arrived by then never does."""
        there = connection.other(end.node)
        end.up, end.gone = False, True
        end.pipe.clear()
        self.nodes[end.node].inbox.append(Lost(there.node, there.incarnation))
        self.connections = [c for c in self.connections if not all(e.gone for e in c.ends)]

    def cut(self, number: int) -> None:
        """A connection breaks; what is on its way may still arrive."""
        whole = [c for c in self.connections if not c.broken]
        if whole:
            whole[number % len(whole)].broken = True

    def _current(self, one: str, other: str) -> Connection | None:
        """The connection to another node as one node sees it."""
        found = [c for c in self.connections if {e.node for e in c.ends} == {one, other}]
        return next((c for c in found if c.end(one).up), None)

    def fill(self, number: int) -> None:
        """There is no more room in the outbox of a node for another."""
        self.full.add((NODES[number % 3], NODES[number // 3 % 3]))

    def drain(self, _: int) -> None:
        """There is room again."""
        self.full.clear()

    # Nodes ------------------------------------------------------------------------------------------------------------------

    def _handle(self, node: Node) -> None:
        """A groups actor handles what came first."""
        table = node.table
        match node.inbox.popleft():
            case Up(name, incarnation):
                self._carry_out(node, table.node_up(name, incarnation))
            case Lost(name, incarnation):
                self._carry_out(node, table.node_lost(name, incarnation))
            case Someone() as dead:
                self._carry_out(node, table.died(dead))
            case told:
                self._carry_out(node, table.receive(told))
        self._flush(node)

    def _flush(self, node: Node) -> None:
        """A groups actor sends what waits."""
        while node.outbox:
            send = node.outbox.popleft()
            for name in send.nodes:
                connection = self._current(node.name, name)
                if (node.name, name) in self.full:
                    self._carry_out(node, node.table.refused(name))
                elif connection is not None and not connection.broken:
                    connection.other(node.name).pipe.append(send.message)

    def _fire(self, node: Node) -> None:
        """A timer fires."""
        node.timers -= 1
        self._carry_out(node, node.table.catch_up())
        self._flush(node)

    def restart(self, number: int) -> None:
        """A node is killed and started again: all of its is gone, and its connections break."""
        name = NODES[number % 3]
        for connection in self.connections:
            if name in {end.node for end in connection.ends}:
                connection.broken = True
                connection.end(name).up, connection.end(name).gone = False, True
        self._start(name)

    def crash(self, number: int) -> None:
        """A groups actor dies, with all that waits for it, and the next one goes on with the table."""
        node, _, _ = self._chosen(number)
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
            if end.node == node.name and end.up
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

    def _chosen(self, number: int) -> tuple[Node, Someone, str]:
        node = self.nodes[NODES[number % 3]]
        return node, node.actors[number // 3 % 2], GROUPS[number // 6 % 2]

    def join(self, number: int) -> None:
        """An actor joins, perhaps twice."""
        node, who, group = self._chosen(number)
        for _ in range(1 + number // 12 % 2):
            self._carry_out(node, node.table.join(who, group))
            node.members[group, who] += 1
        # By now it is known that the incarnation before it is dead.
        assert Counter(node.table.local_members(group))[who.ref] == node.members[group, who]

    def leave(self, number: int) -> None:
        """An actor leaves; who is no member is told so."""
        node, who, group = self._chosen(number)
        is_member = node.members[group, who] > 0
        assert node.table.is_member(who, group) == is_member
        self._carry_out(node, node.table.leave(who, group))
        node.members[group, who] -= is_member
        node.members += Counter()

    def die(self, number: int) -> None:
        """An actor dies, and the next one sits in its place; the groups actor hears of it if it watches it."""
        node, who, _ = self._chosen(number)
        self._bury(node, who)
        self._spawn(node, who.seat)

    def _bury(self, node: Node, who: Someone) -> None:
        node.actors.remove(who)
        for group in GROUPS:
            node.members.pop((group, who), None)
            node.views.pop((who, group), None)
        if who in node.watched:
            node.inbox.append(who)

    def watch(self, number: int) -> None:
        """An actor begins to watch a group."""
        node, who, group = self._chosen(number)
        self._carry_out(node, node.table.watch(who, group))
        node.views[who, group] = Counter(node.table.members(group))

    def unwatch(self, number: int) -> None:
        """An actor watches no more."""
        node, who, group = self._chosen(number)
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

    def heal(self) -> None:
        """The network is whole again and everything arrives: then all tables agree with the truth."""
        self.full.clear()
        turns = 0
        while self._steps():
            self.go_on(turns)
            turns += 1
            assert turns < 10_000, "it never comes to rest"
        for group in GROUPS:
            truth: Counter[Any] = Counter()
            for node in self.nodes.values():
                truth += node.in_group(group)
            for node in self.nodes.values():
                assert Counter(node.table.members(group)) == truth
                assert Counter(node.table.local_members(group)) == node.in_group(group)

    def teardown(self) -> None:
        """Heal; then let everybody die: nothing is left in any table."""
        if not self.nodes:
            return
        self.heal()
        for node in self.nodes.values():
            while node.actors:
                self._bury(node, node.actors[0])
        self.heal()
        assert [len(node.table) for node in self.nodes.values()] == [0] * len(NODES)


@pytest.mark.parametrize("size", [grouptable.CHUNK, 2], ids=["whole lists", "lists in parts"])
def test_tables_agree_after_any_history(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the lists are, and whatever has happened."""
    monkeypatch.setattr(grouptable, "CHUNK", size)
    run_state_machine_as_test(World, settings=settings(max_examples=250, stateful_step_count=10))
