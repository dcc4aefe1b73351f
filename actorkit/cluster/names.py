"""Names that are unique in the whole cluster, as OTP's ``global``: one holder, found from every node by a dict's lookup.

The table (``nametable`` tells how it keeps its promises) is read by everybody through the handle, and changed by the names
actor alone, in its turn: it speaks with its peers on other nodes, hears of deaths, and answers those who register. A request
goes to the names actor of the node where the holder lives.

This is no consensus. A partition may hold a name that another one holds too; when they join, a resolver chooses. Nodes that
are hidden take no part: they see the names of their own actors only, and nobody sees those.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

import attrs

from actorkit.cluster.grouptable import Unwatch, Watch
from actorkit.cluster.nametable import NameTable
from actorkit.cluster.namewords import (
    Answer,
    Decide,
    Directive,
    Discover,
    Entry,
    Kill,
    Listing,
    Outcome,
    PeerMessage,
    Registered,
    Send,
    Terms,
    Told,
    Wait,
    seniority,
)
from actorkit.errors import AlreadyStarted, CodeMissing, NodeDown
from actorkit.kernel.actor import Actor, Props, on, props
from actorkit.kernel.call import Reply, check_unfenced, died
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.context import Context
from actorkit.kernel.events import Report
from actorkit.kernel.exits import NO_ACTOR, Down, Monitor
from actorkit.kernel.mailbox import Mailbox
from actorkit.kernel.message import Request, error_text, message
from actorkit.kernel.notices import NodeLost, NodeUp
from actorkit.kernel.ref import Ref
from actorkit.kernel.registry import Key, name_of
from actorkit.kernel.runtime import Runtime

if TYPE_CHECKING:
    from actorkit.cluster.fabric import Fabric

M = TypeVar("M")
F = TypeVar("F", bound="Resolver")

Resolver = Callable[[str, Ref[Any], Ref[Any]], Ref[Any] | None]
"""Told a name and its two holders, it returns the one that keeps it; None, or anything else, leaves the name to nobody."""

HOPS = 8  # moves that may overtake one request to free a name
BUILT_IN = {"keep_oldest": Terms(), "kill_loser": Terms(kill_loser=True)}

_resolvers: dict[str, Resolver] = {}


def resolver(function: F) -> F:
    """Let holders on other nodes be registered with this resolver, which must be known there too: a decorator.

    Raises:
        TypeError: it is async, or no function of a module.
    """
    _checked(function)
    name = _name_of_resolver(function)
    if name is None:
        raise TypeError(f"@resolver marks a function at the top of a module, got {function!r}")
    _resolvers[name] = function
    return function


def _name_of_resolver(function: object) -> str | None:
    qualname = getattr(function, "__qualname__", "<")
    return None if "<" in qualname else f"{getattr(function, '__module__', '')}.{qualname}"


def _checked(resolve: object) -> None:
    if isinstance(resolve, str):
        if resolve not in BUILT_IN:
            raise ValueError(
                f"resolve= is a function or one of {', '.join(BUILT_IN)}; got {resolve!r}"
            )
    elif not callable(resolve) or iscoroutinefunction(resolve):
        raise TypeError(
            f"resolve= is a plain function of a name and two references, got {resolve!r}"
        )


@attrs.frozen(slots=True)
class NameConflict(Report):
    """Two partitions have joined that had registered a name for different actors.

    Attributes:
        name: the name.
        holders: the two.
        winner: who keeps it; None if nobody does.
        error: why the resolver failed; empty if it did not.
    """

    name: str
    holders: tuple[Ref[Any], Ref[Any]]
    winner: Ref[Any] | None
    error: str = ""

    def as_log(self) -> tuple[str, str, dict[str, Any]]:
        """How the event is logged."""
        told = {"error": self.error} if self.error else {}
        both = " and ".join(str(ref.address) for ref in self.holders)
        kept = str(self.winner.address) if self.winner is not None else "nobody"
        fields = {"registered_name": self.name, "holders": both, "winner": kept, **told}
        return "warning", "two holders of a cluster-wide name", fields


# What is asked of a names actor ---------------------------------------------------------------------------------------


@message(name="actorkit.names.Take")
class Take(Request[Outcome]):
    """An actor of the receiver's node shall hold a name. ``resolve`` may be a function if the sender is on that node too."""

    name: str
    ref: Ref[Any]
    move: bool
    resolve: Any


@message(name="actorkit.names.Free")
class Free(Request[Outcome]):
    """The actor of the receiver's node that holds a name shall hold it no more."""

    name: str


@message(name="actorkit.names.Due")
class Due:
    """A while is over."""

    then: Literal["catch_up", "retry"]


NamesMessage = Discover | Told | Take | Free | Due
NAMES_KEY = Key[NamesMessage]("actorkit.names")
Todo = Iterable[Directive[Cell, Reply[Outcome]]]


class NamePeers(Protocol):
    """The other nodes, as the names actor needs them."""

    def listen(self, cell: Cell, /) -> Iterable[tuple[str, int]]:
        """Let an actor hear of nodes that come and go; the names and incarnations of those that are up now."""
        ...

    def send(self, node: str, told: PeerMessage, /) -> bool:
        """Tell the names actor of a node that is up, as the actor whose turn it is; False if there is no room."""
        ...

    def names_actor(self, node: str, /) -> Ref[NamesMessage]:
        """The names actor of a node that is up.

        Raises:
            NodeDown: it is not up.
        """
        ...


class ConnectedPeers:
    """The nodes that a fabric has connections to. Nothing here dials."""

    __slots__ = ("_fabric",)

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric

    def listen(self, cell: Cell, /) -> Iterable[tuple[str, int]]:
        """Let an actor hear of nodes; who is up now. A hidden node is nobody's peer."""
        if self._fabric.me.hidden:
            return ()
        self._fabric.monitor(cell)
        return self._fabric.up()

    def send(self, node: str, told: PeerMessage, /) -> bool:
        """Tell the names actor of a node; what is for one that is not connected is lost, as its ``NodeLost`` will tell."""
        peer = self._fabric.peer(node)
        if peer.link is None:
            return True
        if peer.link.outbox.full:
            return False
        peer.named(NAMES_KEY.name).ref.tell(told)
        return True

    def names_actor(self, node: str, /) -> Ref[NamesMessage]:
        """The names actor of a node that is up."""
        peer = self._fabric.peer(node)
        if peer.link is None:
            raise NodeDown(node)
        return peer.named(NAMES_KEY.name).ref


class Names:
    """The cluster-wide names as one node sees them. They work once ``start`` has started the names actor."""

    __slots__ = (
        "_cell", "_context", "_monitors", "_peers", "_runtime", "_table", "_todo", "_watched",
    )  # fmt: skip

    def __init__(self, runtime: Runtime, peers: NamePeers) -> None:
        self._runtime = runtime
        self._peers = peers
        self._table: NameTable[Cell, Reply[Outcome]] = NameTable(runtime.node, runtime.incarnation)
        self._cell: Cell | None = None  # of the names actor
        self._context: Context[NamesMessage] | None = None
        self._monitors: dict[Cell, Monitor] = {}
        self._watched: dict[Monitor, Cell] = {}
        self._todo: deque[Directive[Cell, Reply[Outcome]]] = deque()

    def __len__(self) -> int:
        """How much is kept: zero means that no name is held or claimed, and nothing is left behind."""
        return len(self._table) + len(self._monitors) + len(self._watched) + len(self._todo)

    def props(self) -> Props[NamesMessage]:
        """How to make the names actor, for whoever wants to supervise it; it must be named ``NAMES_KEY``."""
        return props(NamesActor, self)

    async def start(self) -> Ref[NamesMessage]:
        """Start the names actor at the top of the system."""
        cell, _ = await self._runtime.start(self.props(), name=NAMES_KEY)
        return cell.ref

    # What users do ----------------------------------------------------------------------------------------------------

    def whereis(self, key: Key[M], /) -> Ref[M] | None:
        """Who holds a name, as far as this node has heard; None if nobody does, or its holder is gone."""
        holder = self._table.holder(name_of(key))
        return holder if holder is not None and holder.alive else None

    def names(self) -> Mapping[str, Ref[Any]]:
        """All names with their holders, sorted."""
        return self._table.names()

    async def register(
        self, key: Key[M], ref: Ref[M], /, *, resolve: Resolver | str = "keep_oldest"
    ) -> None:
        """Give a free name to an actor of any node; every node that is up knows it when this returns.

        The holder's death, or the loss of its node, frees the name. If this is cancelled, it may be registered or not.

        Args:
            key: the name.
            ref: the actor that shall hold it.
            resolve: who keeps the name when two partitions join that had registered different actors. ``"keep_oldest"``: the
                one registered first. ``"kill_loser"``: the same, and this one is killed if it loses. Or a function of the
                name and both references, this one first, that returns the one that keeps it; if it returns anything else,
                or raises, nobody does. It should be quick. For an actor of another node it must be marked with
                ``resolver``, and known there. Of the two registrations only that on the node with the smaller name is asked,
                once; ``"kill_loser"`` counts for its own actor, whoever decides.

        Raises:
            AlreadyStarted: the name is taken; carries the holder.
            ActorDied: the actor is gone.
            NodeDown: the actor's node is not up, or was lost: then the name is free again.
            CodeMissing: the resolver is not known on the actor's node.
            ValueError, TypeError: an argument is wrong.
        """
        await self._take(name_of(key), ref, resolve, move=False)

    async def re_register(
        self, key: Key[M], ref: Ref[M], /, *, resolve: Resolver | str = "keep_oldest"
    ) -> None:
        """Move a name to another actor, or register it if nobody holds it; at no moment in between nobody does.

        Raises:
            ActorDied, NodeDown, CodeMissing, ValueError, TypeError: as for ``register``.
        """
        await self._take(name_of(key), ref, resolve, move=True)

    async def unregister(self, key: Key[Any], /) -> bool:
        """Free a name; every node that is up knows when this returns. Tells whether anybody held it.

        Raises:
            NodeDown: the holder's node was lost meanwhile, and the name is free for that reason.
        """
        check_unfenced()
        name = name_of(key)
        holder = self._table.holder(name)
        for _ in range(HOPS):
            if holder is None:
                return False
            outcome = await self._actor_on(holder.address.node).ask(Free(name), timeout=None)
            if outcome.kind != "elsewhere":
                return outcome.kind == "done"
            holder = outcome.holder  # it has been moved
        return False

    async def _take(self, name: str, ref: Ref[Any], resolve: Resolver | str, *, move: bool) -> None:
        check_unfenced()
        _checked(resolve)
        address = ref.address
        if not address.serial:
            raise ValueError(
                f"{ref!r} is a reference by name: register whoever holds it now (whereis)"
            )
        if address.node != self._runtime.node and not isinstance(resolve, str):
            resolve = self._known_elsewhere(resolve, ref)
        request = Take(name, ref, move, resolve)
        outcome = await self._actor_on(address.node).ask(request, timeout=None)
        match outcome.kind:
            case "taken":
                raise AlreadyStarted(name, outcome.holder)
            case "gone":
                raise died(ref.path, NO_ACTOR)
            case "unknown":
                raise CodeMissing(
                    f"{resolve} is not known on node {address.node}: import its module there, and mark it with @resolver"
                )
            case _:
                pass

    def _known_elsewhere(self, resolve: Resolver, ref: Ref[Any]) -> str:
        name = _name_of_resolver(resolve)
        if name is None or _resolvers.get(name) is not resolve:
            raise ValueError(
                f"{ref!r} lives on node {ref.address.node!r}, where {resolve!r} is not known: "
                "mark a function of a module with @resolver, and import it on both nodes"
            )
        return name

    def _actor_on(self, node: str) -> Ref[NamesMessage]:
        if node != self._runtime.node:
            return self._peers.names_actor(node)
        return self._runtime.holder_or_nobody(NAMES_KEY.name).ref

    # What the names actor does ----------------------------------------------------------------------------------------

    def attach(self, cell: Cell, context: Context[NamesMessage]) -> None:
        """A names actor begins: nobody has listened to peers, or for deaths, since the last one ended."""
        self._cell, self._context = cell, context
        self._monitors.clear()
        self._watched.clear()
        self._todo.clear()
        self._table.abandon()
        for party in self._table.parties():
            self.carry_out([Watch(party)] if _living(party) else self._table.died(party))
        self.carry_out(self._table.resume(self._peers.listen(cell)))

    def take(self, request: Take, reply: Reply[Outcome]) -> None:
        """Register an actor of this node."""
        cell = request.ref._cell  # noqa: SLF001 - a holder is an incarnation, and the cell is what stands for it
        terms = _terms_of(request.resolve)
        if terms is None:
            reply.send(Outcome("unknown"))
        elif cell.elsewhere or cell.runtime is not self._runtime or not _living(cell):
            reply.send(Outcome("gone"))
        else:
            now = self._runtime.clock.wall()
            self.carry_out(
                self._table.register(reply, cell, request.name, now, move=request.move, terms=terms)
            )

    def free(self, request: Free, reply: Reply[Outcome]) -> None:
        """Free a name that an actor of this node holds."""
        self.carry_out(self._table.unregister(reply, request.name))

    def receive(self, told: PeerMessage) -> None:
        """Take what a peer says, unless it speaks of actors that do not live on its node."""
        if all(_is_of(entry, told) for entry in _entries_in(told)):
            self.carry_out(self._table.receive(told))

    def node_changed(self, notice: NodeUp | NodeLost) -> None:
        """Take a notice of a connection."""
        change = self._table.node_up if isinstance(notice, NodeUp) else self._table.node_lost
        self.carry_out(change(notice.node, notice.incarnation))

    def died(self, monitor: Monitor) -> None:
        """An actor that held a name, or claimed one, is gone."""
        party = self._watched.pop(monitor, None)
        if party is not None:
            del self._monitors[party]
            self.carry_out(self._table.died(party))

    def due(self, then: Literal["catch_up", "retry"]) -> None:
        """A while is over."""
        self.carry_out(self._table.catch_up() if then == "catch_up" else self._table.retry())

    # Directives -------------------------------------------------------------------------------------------------------

    def carry_out(self, directives: Todo) -> None:
        """Do what the table wants, in its order; only in the names actor's turn, so that it is the sender of all of it."""
        self._todo.extend(directives)
        while self._todo:
            directive = self._todo.popleft()
            match directive:
                case Send(node, told):
                    self._send(node, told)
                case Answer(reply, outcome):
                    reply.send(outcome)
                case Watch(party):
                    self._watch(party)
                case Unwatch(party):
                    self._unwatch(party)
                case Decide():
                    self._decide(directive)
                case Kill(party):
                    party.ref.kill()
                case Wait(seconds, then):
                    if self._context is not None:
                        self._context.send_after(seconds, Due(then))

    def _send(self, node: str, told: PeerMessage) -> None:
        if not self._peers.send(node, told):
            self._todo.extend(self._table.refused(node))

    def _decide(self, asked: Decide) -> None:
        mine, theirs = asked.mine, asked.theirs
        winner: Ref[Any] | None
        error = ""
        try:
            winner = _chosen(asked)
        except Exception as failure:  # noqa: BLE001 - a user's function
            winner, error = None, f"{type(failure).__name__}: {error_text(failure)}"
        holders = (mine.ref, theirs.ref)
        if winner is not None and winner not in holders:
            winner, error = None, f"the resolver returned {winner!r}, and not one of the two"
        self._runtime.events.emit(NameConflict(mine.name, holders, winner, error))
        told: Literal["mine", "theirs", "nobody"] = "nobody"
        if winner is not None:
            told = "mine" if winner == mine.ref else "theirs"
        self._todo.extend(self._table.decided(mine, theirs, told))

    def _watch(self, party: Cell) -> None:
        if self._cell is not None and _living(party):
            monitor = self._runtime.relations.watch(self._cell, party)
            self._monitors[party] = monitor
            self._watched[monitor] = party

    def _unwatch(self, party: Cell) -> None:
        monitor = self._monitors.pop(party, None)
        if monitor is not None:
            del self._watched[monitor]
            self._runtime.relations.unwatch(monitor)


class NamesActor(Actor[NamesMessage]):
    """Keeps one node's table of names in step with those of the others."""

    trap_exits = True  # as the groups actor: an exit signal takes no grant
    mailbox = Mailbox(capacity=2**31)  # what is turned away at the door would be missed for good

    def __init__(self, names: Names) -> None:
        self._names = names

    def started(self) -> None:
        """Find out who is there."""
        cell = self.ctx._cell  # noqa: SLF001 - it is this incarnation that hears of nodes and deaths
        self._names.attach(cell, self.ctx)

    @on(Discover)
    def discover(self, told: Discover) -> None:
        """A peer wants to know this node's names."""
        self._names.receive(told)

    @on(Told)
    def told(self, told: Told) -> None:
        """A peer says something."""
        self._names.receive(told)

    @on(Take)
    def take(self, request: Take, reply: Reply[Outcome]) -> None:
        """Register an actor."""
        self._names.take(request, reply)

    @on(Free)
    def free(self, request: Free, reply: Reply[Outcome]) -> None:
        """Free a name."""
        self._names.free(request, reply)

    @on(Due)
    def due(self, due: Due) -> None:
        """A while is over."""
        self._names.due(due.then)

    def node_changed(self, notice: NodeUp | NodeLost, /) -> None:
        """A connection is up or lost."""
        self._names.node_changed(notice)

    def down(self, down: Down, /) -> None:
        """A holder is gone."""
        self._names.died(down.monitor)


def _living(cell: Cell) -> bool:
    return State.STARTING <= cell.state <= State.STOPPING


def _terms_of(resolve: Any) -> Terms | None:
    """What a registration says of conflicts; None if it names a resolver that is not known here."""
    if not isinstance(resolve, str):
        return Terms(cast("Resolver", resolve)) if callable(resolve) else None
    if resolve in BUILT_IN:
        return BUILT_IN[resolve]
    function = _resolvers.get(resolve)
    return Terms(function) if function is not None else None


def _chosen(asked: Decide) -> Any:
    mine, theirs = asked.mine, asked.theirs
    if asked.terms.resolver is None:
        return min(mine, theirs, key=seniority).ref
    return asked.terms.resolver(mine.name, mine.ref, theirs.ref)


def _entries_in(told: PeerMessage) -> tuple[Entry, ...]:
    match told:
        case Told(what=Listing(entries=entries)):
            return entries
        case Told(what=Registered(entry=entry)):
            return (entry,)
        case _:
            return ()


def _is_of(entry: Entry, told: PeerMessage) -> bool:
    """Whether a holder, and its registration, belong to the node that tells of them."""
    address = entry.ref.address
    teller = (told.node, told.incarnation)
    return (address.node, address.incarnation) == teller and entry.id[:2] == teller
