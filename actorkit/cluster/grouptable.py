"""Process groups as one table per node, as OTP's ``pg`` keeps them (otp-semantics 6.6). Events go in, directives come out.

A node knows its own members for certain, and of others what they told it. Why that converges:

* All that a node tells another leaves in the order of its changes, by one sender, over one connection that keeps it.
  So whoever has a full list (``Sync``) and every change after it (``Joined``, ``Left``) has the truth.
* Each end asks for the list (``Discover``) whenever a connection comes up. Changes go only to those who have asked, and
  count only where the list has come: what was sent before belongs to an older connection, and is no part of it.
* A notice of a connection keeps its place among what came over it. What came over a lost one is forgotten with it, and
  what claims to come from an incarnation that is not up is ignored.
* A message that found no room on its way leaves its receiver behind: it gets a new list after a while.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import attrs

from actorkit.kernel.message import message
from actorkit.kernel.ref import Ref

CHUNK = 4_000  # memberships in one message: far below what a frame may hold
CATCH_UP = 1.0  # seconds until one who missed something gets a new list

Listed = tuple[tuple[str, tuple[Ref[Any], ...]], ...]


# What tables tell each other ------------------------------------------------------------------------------------------


@message(name="actorkit.groups.Discover")
class Discover:
    """Tell me your members, and how they change from then on."""

    node: str
    incarnation: int


@message(name="actorkit.groups.Sync")
class Sync:
    """All members of the sender's node; a long list comes in several parts and counts when the last is there.

    Attributes:
        number: tells the lists of one node from each other, whose parts might be mixed up if some found no room.
    """

    node: str
    incarnation: int
    number: int
    part: int
    parts: int
    groups: Listed


@message(name="actorkit.groups.Joined")
class Joined:
    """A member of the sender's node joined some groups; one that it joined twice is named twice."""

    node: str
    incarnation: int
    member: Ref[Any]
    groups: tuple[str, ...]


@message(name="actorkit.groups.Left")
class Left:
    """A member of the sender's node left some groups, or died; a group it was in twice may be named twice."""

    node: str
    incarnation: int
    member: Ref[Any]
    groups: tuple[str, ...]


PeerMessage = Discover | Sync | Joined | Left


# What a table wants done ----------------------------------------------------------------------------------------------


class Incarnation(Protocol):
    """One incarnation of an actor of this node: a kernel's cell. Tables know no more of it than its reference."""

    @property
    def ref(self) -> Ref[Any]:
        """The actor's reference; that of a supervised child is the same for all its incarnations."""
        ...


L = TypeVar("L", bound=Incarnation)


@attrs.frozen(slots=True)
class Watch(Generic[L]):
    """Tell ``died`` when this incarnation is gone."""

    party: L


@attrs.frozen(slots=True)
class Unwatch(Generic[L]):
    """Its death matters no more."""

    party: L


@attrs.frozen(slots=True)
class Send:
    """Tell the tables of these nodes, in the order in which messages were given."""

    nodes: tuple[str, ...]
    message: PeerMessage


@attrs.frozen(slots=True)
class Notify(Generic[L]):
    """Tell these watchers of a change; who joined or left several times is there several times."""

    watchers: tuple[L, ...]
    group: str
    joined: tuple[Ref[Any], ...] = ()
    left: tuple[Ref[Any], ...] = ()


@attrs.frozen(slots=True)
class Wait:
    """Call ``catch_up`` after so many seconds."""

    seconds: float


Directive = Watch[L] | Unwatch[L] | Send | Notify[L] | Wait


# What it knows --------------------------------------------------------------------------------------------------------


class Roll:
    """Who is in which groups, and how often; groups without members are not there."""

    __slots__ = ("_groups",)

    def __init__(self, listed: Listed = ()) -> None:
        self._groups: dict[str, dict[Ref[Any], int]] = {}
        for group, members in listed:
            for member in members:
                self.add(group, member)

    def __len__(self) -> int:
        """How many groups have members."""
        return len(self._groups)

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def add(self, group: str, member: Ref[Any]) -> None:
        """One more membership."""
        members = self._groups.setdefault(group, {})
        members[member] = members.get(member, 0) + 1

    def drop(self, group: str, member: Ref[Any]) -> bool:
        """One membership less; tells whether there was one."""
        members = self._groups.get(group)
        if members is None or member not in members:
            return False
        members[member] -= 1
        if not members[member]:
            del members[member]
        if not members:
            del self._groups[group]
        return True

    def of(self, group: str) -> tuple[Ref[Any], ...]:
        """The members of a group, in the order in which they joined first, each as often as it has joined."""
        members = self._groups.get(group, {})
        return tuple(member for member, times in members.items() for _ in range(times))

    def more_than(self, other: Roll, group: str) -> tuple[Ref[Any], ...]:
        """Who is in a group here more often than there, and how much more often."""
        there = other._groups.get(group, {})
        return tuple(
            member
            for member, times in self._groups.get(group, {}).items()
            for _ in range(times - there.get(member, 0))
        )

    def in_parts(self, size: int) -> list[Listed]:
        """All memberships, at most ``size`` in each part; one empty part if there are none."""
        parts: list[list[tuple[str, tuple[Ref[Any], ...]]]] = [[]]
        room = size
        for group in self._groups:
            members = self.of(group)
            while members:
                if not room:
                    parts.append([])
                    room = size
                taken, members = members[:room], members[room:]
                parts[-1].append((group, taken))
                room -= len(taken)
        return [tuple(part) for part in parts]


@attrs.define(slots=True, eq=False)
class _Own(Generic[L]):
    """A member of this node: which incarnation it is, and how often it is in which group."""

    party: L
    groups: dict[str, int] = attrs.field(factory=dict)


@attrs.define(slots=True, eq=False)
class _Peer:
    """The table of another node, while the connection to it is up.

    Attributes:
        incarnation: of the node.
        roll: what it has told of its members; None before its list has come.
        parts: those parts of its list that have come, while some are missing.
        number: that list's.
        follows: whether it has got this node's list, so that it gets every change.
        behind: whether something for it found no room.
    """

    incarnation: int
    roll: Roll | None = None
    parts: list[Listed] = attrs.field(factory=list)
    number: int = 0
    follows: bool = False
    behind: bool = False


class GroupTable(Generic[L]):
    """The groups of all nodes as one node sees them. ``L`` is what stands for an incarnation of an actor here."""

    __slots__ = (
        "_all", "_here", "_lists", "_own", "_own_roll", "_peers", "_watchers", "_watching", "incarnation", "node",
    )  # fmt: skip

    def __init__(self, node: str, incarnation: int) -> None:
        self.node = node
        self.incarnation = incarnation
        self._own: dict[Ref[Any], _Own[L]] = {}
        self._own_roll = Roll()
        self._peers: dict[str, _Peer] = {}
        self._lists = 0  # how many were given
        self._watchers: dict[str, dict[L, None]] = {}
        self._watching: dict[L, dict[str, None]] = {}
        self._all: dict[str, tuple[Ref[Any], ...]] = {}  # what ``members`` has answered
        self._here: dict[str, tuple[Ref[Any], ...]] = {}  # what ``local_members`` has answered

    def __len__(self) -> int:
        """How many groups and watches there are, each counted on every side: zero means nothing is left behind."""
        rolls = sum(len(peer.roll) for peer in self._peers.values() if peer.roll is not None)
        own = len(self._own) + len(self._own_roll) + len(self._all) + len(self._here)
        return rolls + own + len(self._watchers) + len(self._watching)

    # Looking ----------------------------------------------------------------------------------------------------------

    def members(self, group: str) -> tuple[Ref[Any], ...]:
        """The members on all nodes, as far as is known here; this node's first."""
        known = self._all.get(group)
        if known is None:
            rolls = [peer.roll for peer in self._peers.values() if peer.roll is not None]
            known = sum((roll.of(group) for roll in rolls), self._own_roll.of(group))
            if known:
                self._all[group] = known
        return known

    def local_members(self, group: str) -> tuple[Ref[Any], ...]:
        """The members on this node."""
        known = self._here.get(group)
        if known is None:
            known = self._own_roll.of(group)
            if known:
                self._here[group] = known
        return known

    def groups(self) -> tuple[str, ...]:
        """The groups that have members anywhere, sorted by name."""
        names = set(self._own_roll)
        for peer in self._peers.values():
            names.update(peer.roll or ())
        return tuple(sorted(names))

    def parties(self) -> tuple[L, ...]:
        """Everyone whose death matters: the members of this node, and those who watch."""
        return tuple(dict.fromkeys((*(own.party for own in self._own.values()), *self._watching)))

    def is_member(self, party: L, group: str) -> bool:
        """Whether an incarnation of this node is in a group."""
        own = self._own_of(party)
        return own is not None and group in own.groups

    def is_watching(self, party: L, group: str) -> bool:
        """Whether someone watches a group."""
        return party in self._watchers.get(group, ())

    # Actors of this node ----------------------------------------------------------------------------------------------

    def join(self, party: L, group: str) -> tuple[Directive[L], ...]:
        """A living actor of this node joins a group, perhaps once more."""
        own = self._own.get(party.ref)
        todo: list[Directive[L]] = []
        if own is not None and own.party != party:
            # A reference has one incarnation at a time: the notice of the earlier one's death is under way.
            todo += self.died(own.party)
            own = None
        if own is None:
            if party not in self._watching:
                todo.append(Watch(party))
            own = self._own[party.ref] = _Own(party)
        own.groups[group] = own.groups.get(group, 0) + 1
        self._own_roll.add(group, party.ref)
        todo += self._changed(group, joined=(party.ref,))
        followers = self._followers()
        if followers:
            todo.append(Send(followers, Joined(self.node, self.incarnation, party.ref, (group,))))
        return tuple(todo)

    def leave(self, party: L, group: str) -> tuple[Directive[L], ...]:
        """An actor of this node leaves a group once; nothing happens if it is not a member."""
        own = self._own_of(party)
        if own is None or group not in own.groups:
            return ()
        own.groups[group] -= 1
        if not own.groups[group]:
            del own.groups[group]
        todo = self._left(party.ref, [group])
        if not own.groups:
            del self._own[party.ref]
            if party not in self._watching:
                todo.append(Unwatch(party))
        return tuple(todo)

    def died(self, party: L) -> tuple[Directive[L], ...]:
        """An incarnation of this node is gone, and all that it was with it; also if that was known already."""
        known = party in self._watching
        for group in self._watching.pop(party, ()):
            self._drop_watcher(party, group)
        todo: list[Directive[L]] = []
        own = self._own_of(party)
        if own is not None:
            known = True
            del self._own[party.ref]
            todo = self._left(party.ref, [g for g, n in own.groups.items() for _ in range(n)])
        return (*todo, Unwatch(party)) if known else ()

    def watch(self, party: L, group: str) -> tuple[Directive[L], ...]:
        """Let an actor of this node hear of every change from now on; once is enough."""
        known = party in self._watching or self._own_of(party) is not None
        self._watchers.setdefault(group, {})[party] = None
        self._watching.setdefault(party, {})[group] = None
        return () if known else (Watch(party),)

    def unwatch(self, party: L, group: str) -> tuple[Directive[L], ...]:
        """Let it hear of changes no more; nothing happens if it does not watch the group."""
        if not self.is_watching(party, group):
            return ()
        self._drop_watcher(party, group)
        groups = self._watching[party]
        del groups[group]
        if groups:
            return ()
        del self._watching[party]
        return () if self._own_of(party) is not None else (Unwatch(party),)

    def _own_of(self, party: L) -> _Own[L] | None:
        """The memberships of this very incarnation; None if it has none."""
        own = self._own.get(party.ref)
        return own if own is not None and own.party == party else None

    def _drop_watcher(self, party: L, group: str) -> None:
        watchers = self._watchers[group]
        del watchers[party]
        if not watchers:
            del self._watchers[group]

    def _left(self, member: Ref[Any], groups: list[str]) -> list[Directive[L]]:
        """A member of this node is no more in these groups, which may be named several times."""
        for group in groups:
            self._own_roll.drop(group, member)
        todo = self._changes(member, groups, joined=False)
        followers = self._followers()
        for start in range(0, len(groups) if followers else 0, CHUNK):
            part = tuple(groups[start : start + CHUNK])
            todo.append(Send(followers, Left(self.node, self.incarnation, member, part)))
        return todo

    # Other nodes ------------------------------------------------------------------------------------------------------

    def node_up(self, node: str, incarnation: int) -> tuple[Directive[L], ...]:
        """A connection is up, and nothing has come over it yet."""
        todo = self._forget(node)  # nothing, unless whoever tells of nodes has left a loss out
        self._peers[node] = _Peer(incarnation)
        return (*todo, Send((node,), Discover(self.node, self.incarnation)))

    def node_lost(self, node: str, incarnation: int) -> tuple[Directive[L], ...]:
        """A connection is gone, and all that came over it with it."""
        peer = self._peers.get(node)
        return () if peer is None or peer.incarnation != incarnation else tuple(self._forget(node))

    def resume(self, up: Iterable[tuple[str, int]]) -> tuple[Directive[L], ...]:
        """Go on after a time in which messages and notices may have been missed; ``up`` is who is up now."""
        current = dict(up)
        todo: list[Directive[L]] = []
        for node in tuple(self._peers):
            if current.get(node) != self._peers[node].incarnation:
                todo += self._forget(node)
        for node, incarnation in current.items():
            self._peers.setdefault(node, _Peer(incarnation))
            todo += self._renew(node)  # what it has asked meanwhile may be lost: it is told unasked
        return tuple(todo)

    def receive(self, told: PeerMessage) -> tuple[Directive[L], ...]:
        """Take what another node's table says."""
        peer = self._peers.get(told.node)
        if peer is None or peer.incarnation != told.incarnation:
            return ()
        match told:
            case Discover():
                return self._list_for(told.node)
            case Sync():
                return self._synced(peer, told)
            case Joined():
                return self._joined_there(peer, told)
            case Left():
                return self._left_there(peer, told)

    def refused(self, node: str) -> tuple[Directive[L], ...]:
        """A message for a node that is up found no room; in a while the node is told everything anew."""
        peer = self._peers.get(node)
        if peer is None or peer.behind:
            return ()
        waiting = any(other.behind for other in self._peers.values())
        peer.behind = True
        return () if waiting else (Wait(CATCH_UP),)

    def catch_up(self) -> tuple[Directive[L], ...]:
        """The while is over."""
        behind = [node for node, peer in self._peers.items() if peer.behind]
        return tuple(directive for node in behind for directive in self._renew(node))

    def _renew(self, node: str) -> tuple[Directive[L], ...]:
        """Ask for a list once more, and give one."""
        self._peers[node].behind = False
        asking = Send((node,), Discover(self.node, self.incarnation))
        return (asking, *self._list_for(node))

    def _list_for(self, node: str) -> tuple[Directive[L], ...]:
        self._peers[node].follows = True
        self._lists += 1
        parts = self._own_roll.in_parts(CHUNK)
        head = (self.node, self.incarnation, self._lists)
        return tuple(
            Send((node,), Sync(*head, number, len(parts), part))
            for number, part in enumerate(parts)
        )

    def _followers(self) -> tuple[str, ...]:
        """Who gets every change; one that is behind would have no use for it."""
        return tuple(node for node, peer in self._peers.items() if peer.follows and not peer.behind)

    def _synced(self, peer: _Peer, told: Sync) -> tuple[Directive[L], ...]:
        if told.part == 0:
            peer.parts, peer.number = [], told.number
        if told.part != len(peer.parts) or told.number != peer.number:
            return ()  # one before it found no room: the whole list will come again
        peer.parts.append(told.groups)
        if len(peer.parts) < told.parts:
            return ()
        parts, peer.parts = peer.parts, []
        old, new = peer.roll or Roll(), Roll(tuple(entry for part in parts for entry in part))
        peer.roll = new
        todo: list[Directive[L]] = []
        for group in dict.fromkeys((*old, *new)):
            joined, left = new.more_than(old, group), old.more_than(new, group)
            if joined or left:
                todo += self._changed(group, joined, left)
        return tuple(todo)

    def _joined_there(self, peer: _Peer, told: Joined) -> tuple[Directive[L], ...]:
        if peer.roll is None:
            return ()
        for group in told.groups:
            peer.roll.add(group, told.member)
        return tuple(self._changes(told.member, told.groups, joined=True))

    def _left_there(self, peer: _Peer, told: Left) -> tuple[Directive[L], ...]:
        roll = peer.roll
        if roll is None:
            return ()
        found = [group for group in told.groups if roll.drop(group, told.member)]
        return tuple(self._changes(told.member, found, joined=False))

    def _forget(self, node: str) -> list[Directive[L]]:
        peer = self._peers.pop(node, None)
        roll = (peer.roll if peer is not None else None) or Roll()
        return [
            directive for group in roll for directive in self._changed(group, (), roll.of(group))
        ]

    # Changes ----------------------------------------------------------------------------------------------------------

    def _changes(
        self, member: Ref[Any], groups: Iterable[str], *, joined: bool
    ) -> list[Directive[L]]:
        """A member's memberships have changed: one notice per group, however often the group is named."""
        times: dict[str, int] = {}
        for group in groups:
            times[group] = times.get(group, 0) + 1
        todo: list[Directive[L]] = []
        for group, count in times.items():
            who = (member,) * count
            todo += self._changed(group, who, ()) if joined else self._changed(group, (), who)
        return todo

    def _changed(
        self, group: str, joined: tuple[Ref[Any], ...] = (), left: tuple[Ref[Any], ...] = ()
    ) -> list[Directive[L]]:
        self._all.pop(group, None)
        self._here.pop(group, None)
        watchers = tuple(self._watchers.get(group, ()))
        return [Notify(watchers, group, joined, left)] if watchers else []
