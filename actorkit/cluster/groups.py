"""Process groups across nodes: any number of actors under one name, on any number of nodes, as OTP's ``pg``.

The table of a node is shared by the handle, through which actors join, leave and look, and the groups actor, which alone
speaks with its peers on other nodes. A change takes effect here at once, in the caller's own turn; what other nodes must
hear of it stands in one queue, in the order of the changes, until the groups actor's turn comes. One sender, one order.

The table outlives its actor: if that dies, groups go on as they were, and the next one makes up for what was missed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from trio.lowlevel import enable_ki_protection

from actorkit.cluster.grouptable import (
    Directive,
    Discover,
    GroupTable,
    Joined,
    Left,
    Notify,
    PeerMessage,
    Send,
    Sync,
    Unwatch,
    Wait,
    Watch,
)
from actorkit.kernel.actor import Actor, Props, on, props
from actorkit.kernel.call import check_unfenced
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.context import Context
from actorkit.kernel.exits import Down, Monitor
from actorkit.kernel.items import Signal, take_out
from actorkit.kernel.mailbox import Mailbox
from actorkit.kernel.message import message
from actorkit.kernel.notices import GroupChanged, NodeLost, NodeUp
from actorkit.kernel.ref import Ref
from actorkit.kernel.registry import Group, Key
from actorkit.kernel.runtime import Runtime

M = TypeVar("M")


@message(name="actorkit.groups.Flush")
class Flush:
    """Something waits to be sent."""


@message(name="actorkit.groups.CatchUp")
class CatchUp:
    """The time has come to make up for what found no room."""


GroupsMessage = PeerMessage | Flush | CatchUp
GROUPS_KEY = Key[GroupsMessage]("actorkit.groups")


class Peers(Protocol):
    """The other nodes, as the groups actor needs them."""

    def listen(self, cell: Cell, /) -> Iterable[tuple[str, int]]:
        """Let an actor hear of nodes that come and go; the names and incarnations of those that are up now."""
        ...

    def send(self, node: str, told: PeerMessage, /) -> bool:
        """Tell whoever holds ``GROUPS_KEY`` on a node, as the actor whose turn it is; False if there is no room.

        What is for a node that is not connected is lost, and nothing is dialled for it: its ``NodeLost`` is under way.
        """
        ...


class NoPeers:
    """There are no other nodes."""

    def listen(self, _: Cell, /) -> Iterable[tuple[str, int]]:
        """Nobody is up."""
        return ()

    def send(self, _: str, __: PeerMessage, /) -> bool:
        """There is nobody to tell."""
        return True


class Groups:
    """The process groups of one node. They work once ``start`` has started the groups actor.

    Any actor of the node may use them, and code outside: nothing here waits, and looking costs a dict's lookup. Members
    are incarnations: a supervised child that is restarted is no member until it has joined again.
    """

    __slots__ = (
        "_cell", "_context", "_monitors", "_outbox", "_peers", "_runtime", "_table", "_told", "_watched",
    )  # fmt: skip

    def __init__(self, runtime: Runtime, peers: Peers | None = None) -> None:
        self._runtime = runtime
        self._peers = peers or NoPeers()
        self._table: GroupTable[Cell] = GroupTable(runtime.node, runtime.incarnation)
        self._cell: Cell | None = None  # of the groups actor
        self._context: Context[GroupsMessage] | None = None
        self._monitors: dict[Cell, Monitor] = {}
        self._watched: dict[Monitor, Cell] = {}
        self._outbox: deque[Send] = deque()
        self._told = False  # whether the groups actor knows that something waits

    def __len__(self) -> int:
        """How much is kept: zero means that nobody is in a group, nobody watches one, and nothing is left behind."""
        return len(self._table) + len(self._monitors) + len(self._watched) + len(self._outbox)

    def props(self) -> Props[GroupsMessage]:
        """How to make the groups actor, for whoever wants to supervise it; it must be named ``GROUPS_KEY``."""
        return props(GroupsActor, self)

    async def start(self) -> Ref[GroupsMessage]:
        """Start the groups actor at the top of the system."""
        cell, _ = await self._runtime.start(self.props(), name=GROUPS_KEY)
        return cell.ref

    # What actors do ---------------------------------------------------------------------------------------------------

    @enable_ki_protection
    def join(self, group: Group[M], ref: Ref[M], /) -> bool:
        """Let an actor of this node join a group; who joins twice is a member twice, and must leave twice.

        It is a member here when this returns, and soon on other nodes. Its death ends all its memberships.

        Returns:
            Whether it has joined; an actor that is gone does not.

        Raises:
            ValueError: the actor lives on another node, where it can be joined.
        """
        check_unfenced()
        cell = self._living_here(ref, "join")
        if cell is None:
            return False
        self._carry_out(self._table.join(cell, group.name))
        self._have_sent()
        return True

    @enable_ki_protection
    def leave(self, group: Group[M], ref: Ref[M], /) -> bool:
        """Let an actor of this node leave a group, once if it has joined several times.

        Returns:
            Whether it was a member.

        Raises:
            ValueError: the actor lives on another node, where it can leave.
        """
        check_unfenced()
        cell = self._living_here(ref, "leave")
        if cell is None or not self._table.is_member(cell, group.name):
            return False
        self._carry_out(self._table.leave(cell, group.name))
        self._have_sent()
        return True

    def members(self, group: Group[M], /) -> tuple[Ref[M], ...]:
        """The members on all nodes that can be reached, as far as is known here; this node's first.

        One that has joined several times is there several times. One that has just died may still be there.
        """
        return self._table.members(group.name)

    def local_members(self, group: Group[M], /) -> tuple[Ref[M], ...]:
        """The members on this node."""
        return self._table.local_members(group.name)

    def groups(self) -> tuple[str, ...]:
        """The names of the groups that have members anywhere, sorted."""
        return self._table.groups()

    @enable_ki_protection
    def watch(self, name: str, cell: Cell, /) -> tuple[Ref[Any], ...]:
        """Let an actor of this node hear of every change of a group from now on, and return its members now.

        Watching twice is watching once: notices that wait in the mailbox are removed, for the members returned tell all.
        """
        check_unfenced()
        if cell.state is not State.DEAD:
            self._carry_out(self._table.watch(cell, name))
            _forget_notices(cell, name)
        return self._table.members(name)

    @enable_ki_protection
    def unwatch(self, name: str, cell: Cell, /) -> bool:
        """Let it hear of the group no more, not even what waits in its mailbox; tells whether it watched the group."""
        check_unfenced()
        watched = self._table.is_watching(cell, name)
        self._carry_out(self._table.unwatch(cell, name))
        _forget_notices(cell, name)
        return watched

    def _living_here(self, ref: Ref[Any], what: str) -> Cell | None:
        """The incarnation of this node that a reference means now; None if there is none."""
        cell = ref._cell  # noqa: SLF001 - a member is an incarnation, and the cell is what stands for it
        if cell.elsewhere or cell.runtime is not self._runtime:
            raise ValueError(
                f"{ref!r} lives on node {cell.address.node!r}, and this is {self._runtime.node!r}: "
                f"an actor can {what} a group only on its own node"
            )
        return cell if State.STARTING <= cell.state <= State.STOPPING else None

    # What the groups actor does ---------------------------------------------------------------------------------------

    def attach(self, cell: Cell, context: Context[GroupsMessage]) -> None:
        """A groups actor begins: nobody has listened to peers, or for deaths, since the last one ended."""
        self._cell, self._context = cell, context
        self._monitors.clear()
        self._watched.clear()
        self._outbox.clear()
        self._told = False
        for party in self._table.parties():
            if State.STARTING <= party.state <= State.STOPPING:
                self._watch(party)
            else:
                self._carry_out(self._table.died(party))
        self._carry_out(self._table.resume(self._peers.listen(cell)))
        self.flush()

    def receive(self, told: PeerMessage) -> None:
        """Take what a peer says, unless it speaks of actors that do not live on its node."""
        if all(_lives_at(ref, told.node, told.incarnation) for ref in _members_in(told)):
            self._carry_out(self._table.receive(told))
        self.flush()

    def node_changed(self, notice: NodeUp | NodeLost) -> None:
        """Take a notice of a connection."""
        table = self._table
        change = table.node_up if isinstance(notice, NodeUp) else table.node_lost
        self._carry_out(change(notice.node, notice.incarnation))
        self.flush()

    def died(self, monitor: Monitor) -> None:
        """An actor that was a member, or watched, is gone."""
        party = self._watched.get(monitor)
        if party is not None:
            self._carry_out(self._table.died(party))
        self.flush()

    def catch_up(self) -> None:
        """Tell everything anew to those who have missed something."""
        self._carry_out(self._table.catch_up())
        self.flush()

    def flush(self) -> None:
        """Send what waits; only the groups actor may, so that it is the sender of all of it."""
        self._told = False
        while self._outbox:
            send = self._outbox.popleft()
            for node in send.nodes:
                if not self._peers.send(node, send.message):
                    self._carry_out(self._table.refused(node))

    # Directives -------------------------------------------------------------------------------------------------------

    def _carry_out(self, directives: Iterable[Directive[Cell]]) -> None:
        for directive in directives:
            match directive:
                case Watch(party):
                    self._watch(party)
                case Unwatch(party):
                    self._unwatch(party)
                case Notify(watchers, group, joined, left):
                    notice = Signal(GroupChanged(group, joined, left))
                    for watcher in watchers:
                        watcher.put(notice)
                case Send():
                    if self._attended:
                        self._outbox.append(directive)
                case Wait(seconds):
                    if self._context is not None:
                        self._context.send_after(seconds, CatchUp())

    @property
    def _attended(self) -> bool:
        """Whether there is a groups actor; the next one tells peers everything anew anyhow."""
        return self._cell is not None and self._cell.state is not State.DEAD

    def _have_sent(self) -> None:
        """Wake the groups actor if something waits to be sent."""
        if self._outbox and not self._told and self._cell is not None:
            self._told = True
            self._cell.ref.tell(Flush())

    def _watch(self, party: Cell) -> None:
        if self._cell is not None and self._attended:
            monitor = self._runtime.relations.watch(self._cell, party)
            self._monitors[party] = monitor
            self._watched[monitor] = party

    def _unwatch(self, party: Cell) -> None:
        monitor = self._monitors.pop(party, None)
        if monitor is not None:
            del self._watched[monitor]
            self._runtime.relations.unwatch(monitor)


class GroupsActor(Actor[GroupsMessage]):
    """Keeps one node's process groups in step with those of the others."""

    trap_exits = True  # an exit signal takes no grant, and nobody may end this actor with one
    mailbox = Mailbox(
        capacity=2**31
    )  # a change that is turned away at the door would be missed for good

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    def started(self) -> None:
        """Find out who is there."""
        cell = self.ctx.self._cell  # noqa: SLF001 - it is this incarnation that hears of nodes and deaths
        self._groups.attach(cell, self.ctx)

    @on(Discover)
    def discover(self, told: Discover) -> None:
        """A peer wants this node's list."""
        self._groups.receive(told)

    @on(Sync)
    def sync(self, told: Sync) -> None:
        """A peer's list has come, or a part of it."""
        self._groups.receive(told)

    @on(Joined)
    def joined(self, told: Joined) -> None:
        """Somebody joined over there."""
        self._groups.receive(told)

    @on(Left)
    def left(self, told: Left) -> None:
        """Somebody left over there."""
        self._groups.receive(told)

    @on(Flush)
    def flush(self, _: Flush) -> None:
        """Something waits to be sent."""
        self._groups.flush()

    @on(CatchUp)
    def catch_up(self, _: CatchUp) -> None:
        """Somebody has missed something."""
        self._groups.catch_up()

    def node_changed(self, notice: NodeUp | NodeLost, /) -> None:
        """A connection is up or lost."""
        self._groups.node_changed(notice)

    def down(self, down: Down, /) -> None:
        """A member or a watcher is gone."""
        self._groups.died(down.monitor)


def _forget_notices(cell: Cell, name: str) -> None:
    """Take the notices of a group's changes out of a mailbox."""
    taken = take_out(
        cell.queue,
        lambda item: (
            type(item) is Signal
            and isinstance(item.notice, GroupChanged)
            and item.notice.group == name
        ),
    )
    cell.uncounted -= len(taken)


def _members_in(told: PeerMessage) -> Iterable[Ref[Any]]:
    match told:
        case Sync():
            return (ref for _, members in told.groups for ref in members)
        case Joined() | Left():
            return (told.member,)
        case Discover():
            return ()


def _lives_at(ref: Ref[Any], node: str, incarnation: int) -> bool:
    address = ref.address
    return address.node == node and address.incarnation == incarnation
