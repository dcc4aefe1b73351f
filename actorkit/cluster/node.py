"""One node of a cluster as users see it: ``open_node``, the ``Node`` it gives, and ``RemoteNode`` for the others."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import trio

from actorkit.cluster import services
from actorkit.cluster.fabric import Fabric
from actorkit.cluster.groups import Groups
from actorkit.cluster.keys import (
    Grant,
    Keyring,
    Secret,
    create_key_file,
    default_key_file,
    grants_of,
    read_key_file,
)
from actorkit.cluster.link import ServiceCall
from actorkit.cluster.names import ConnectedPeers, Names, Resolver
from actorkit.cluster.options import ClusterOptions
from actorkit.cluster.secure import TlsContexts
from actorkit.cluster.shipping import importable, pack_code
from actorkit.cluster.tls import Tls
from actorkit.errors import (
    ActorDied,
    AlreadyStarted,
    CodeMissing,
    NodeDown,
    NodeError,
    StartError,
    StartFailed,
    StartIgnored,
    StartTimeout,
)
from actorkit.kernel.actor import Props
from actorkit.kernel.address import child_path, valid_node_name
from actorkit.kernel.call import check_unfenced
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.exits import NO_ACTOR, NO_CONNECTION, Monitor, Shutdown
from actorkit.kernel.inspection import Branch, Statistics, Status
from actorkit.kernel.ref import Ref
from actorkit.kernel.registry import Group, Key, name_of
from actorkit.kernel.runtime import Runtime
from actorkit.kernel.system import System, open_runtime
from actorkit.kernel.wait import direct_cell
from actorkit.seams import Seams, TcpTransport
from actorkit.seams.transport import Listener, split_address

if TYPE_CHECKING:
    from actorkit.cluster.peer import Peer
    from actorkit.kernel.context import Context
    from actorkit.kernel.message import Request
    from actorkit.kernel.report import Redact
    from actorkit.kernel.seat import Seat

M = TypeVar("M")

ANY_PORT = "127.0.0.1:0"
SERVICE_TIMEOUT = 5.0
START_MARGIN = 5.0  # seconds a remote start may take beyond what its actor was given

Secrets = bytes | str | os.PathLike[str] | Secret | Keyring | Iterable[Secret] | None


class Node(System):
    """The actor runtime of one node of a cluster: a ``System`` that can reach others. Open one with ``open_node``."""

    def __init__(self, runtime: Runtime, fabric: Fabric) -> None:
        super().__init__(runtime)
        self._fabric = fabric
        self._listener: Listener | None = None
        self._stopping = trio.Event()
        self._groups = Groups(runtime, _GroupPeers(fabric))
        self._names = Names(runtime, ConnectedPeers(fabric))
        fabric.stop_requested = self._stopping.set
        runtime.node_port = _Port(self)

    @staticmethod
    def of(context: Context[Any]) -> Node:
        """The node an actor lives on: ``Node.of(self.ctx)``.

        Raises:
            LookupError: its system is no node of a cluster.
        """
        port = context.runtime.port()
        return cast("_Port", port).owner

    def __repr__(self) -> str:
        others = ", ".join(self.nodes())
        where = self.address or "not listening"
        return f"<Node {self.name} {where}, {f'up: {others}' if others else 'alone'}>"

    @property
    def fabric(self) -> Fabric:
        """The node's connections, for library code."""
        return self._fabric

    @property
    def address(self) -> str:
        """Where others reach it: ``"127.0.0.1:40001"``; empty if it does not listen."""
        return self._fabric.me.address

    @property
    def incarnation(self) -> int:
        """The number it drew when it started."""
        return self._fabric.me.incarnation

    # Others ------------------------------------------------------------------------------------------------------

    def nodes(self) -> tuple[str, ...]:
        """The names of the other nodes that are up, sorted; hidden ones are left out."""
        return self._fabric.nodes()

    async def connect(self, target: str, /) -> str:
        """Connect to a node, by its address or a name already known, and return its name.

        Raises:
            ConnectFailed: it could not be reached, or would not talk to this node.
            ValueError: that is neither a name nor an address.
        """
        check_unfenced()
        if not valid_node_name(target):
            split_address(target)
        return await self._fabric.connect(target)

    async def disconnect(self, name: str, /) -> None:
        """Drop the connection to a node: links and monitors between the two fire with ``NoConnection``."""
        check_unfenced()
        self._fabric.disconnect(name)
        await trio.lowlevel.checkpoint()

    def remote(self, name: str, /) -> RemoteNode:
        """A handle on another node by its name, whether it is up or not.

        Raises:
            ValueError: that is no node's name.
        """
        if not valid_node_name(name):
            raise ValueError(
                f"a node's name is letters, digits, '_' and '-', then perhaps '@host', got {name!r}"
            )
        return RemoteNode(self, name)

    def learn(self, name: str, address: str, /) -> None:
        """Where to dial a node when somebody sends to it."""
        split_address(address)
        self._fabric.learn(name, address)

    # Groups ------------------------------------------------------------------------------------------------------

    def join(self, group: Group[M], ref: Ref[M], /) -> bool:
        """Let an actor of this node join a process group; who joins twice is a member twice.

        It is a member here when this returns, and soon on the other nodes. Tells whether the actor was alive.

        Raises:
            ValueError: the actor lives on another node.
        """
        return self._groups.join(group, ref)

    def leave(self, group: Group[M], ref: Ref[M], /) -> bool:
        """Undo one ``join``; tells whether the actor was a member."""
        return self._groups.leave(group, ref)

    def members(self, group: Group[M], /) -> tuple[Ref[M], ...]:
        """The members on all nodes that are up, as far as this one has heard."""
        return self._groups.members(group)

    def local_members(self, group: Group[M], /) -> tuple[Ref[M], ...]:
        """The members on this node."""
        return self._groups.local_members(group)

    # Names ---------------------------------------------------------------------------------------------------------

    async def register(
        self, key: Key[M], ref: Ref[M], /, *, resolve: Resolver | str = "keep_oldest"
    ) -> None:
        """Give a name that nobody in the cluster holds to an actor of any node; all nodes that are up know when this returns.

        The holder's death, or the loss of its node, frees it. See ``actorkit.cluster.names`` for ``resolve``: who keeps the name
        when two parts of a cluster join that had registered different actors.

        Raises:
            AlreadyStarted: the name is taken; carries the holder.
            ActorDied: the actor is gone.
            NodeDown: the actor's node is not up.
        """
        await self._names.register(key, ref, resolve=resolve)

    async def re_register(
        self, key: Key[M], ref: Ref[M], /, *, resolve: Resolver | str = "keep_oldest"
    ) -> None:
        """Move a name to another actor, whoever holds it; at no moment in between nobody does.

        Raises:
            ActorDied: the actor is gone.
            NodeDown: the actor's node is not up.
        """
        await self._names.re_register(key, ref, resolve=resolve)

    async def unregister(self, key: Key[Any], /) -> bool:
        """Free a name in the whole cluster; tells whether anybody held it."""
        return await self._names.unregister(key)

    def whereis_global(self, key: Key[M], /) -> Ref[M] | None:
        """Who holds a name in the cluster, as far as this node has heard; None if nobody does."""
        return self._names.whereis(key)

    # Its own end -------------------------------------------------------------------------------------------------

    async def wait_stop_requested(self) -> None:
        """Wait until a peer that was granted ``control`` asks this node to end; whoever opened it ends it."""
        await self._stopping.wait()

    async def begin(self, listen: str | None, join: Sequence[str]) -> None:
        """Start to listen, and to look for others. ``open_node`` does it.

        Raises:
            OSError: somebody listens there already, or it is no address of this machine.
        """
        fabric = self._fabric
        if listen is not None:
            self._listener = await fabric.transport.listen(listen)
            fabric.listening_at(self._listener.address)
            fabric.start_soon(fabric.doors.keep, self._listener, name="actorkit listener")
        fabric.start_soon(fabric.keep_alarms, name="actorkit membership")
        for start in (self._groups.start, self._names.start):
            fabric.start_soon(self._keep, start, await start(), name="actorkit service")
        for address in join:
            fabric.join(address)

    async def _keep(self, start: Callable[[], Awaitable[Ref[Any]]], ref: Ref[Any]) -> None:
        """Start one of the node's own actors again whenever it dies, until the node ends."""
        while not isinstance(await ref.wait_stopped(), Shutdown) and not self._runtime.closed:
            ref = await start()

    async def crashed(self) -> None:
        """The kernel itself has failed: the other nodes shall see that this one is gone."""
        with trio.CancelScope(shield=True):
            if self._listener is not None:
                await self._listener.aclose()
            self._fabric.vanish()

    async def shutdown(self) -> None:
        """Stop all actors in good order, then part from the other nodes. ``open_node`` does it at the end."""
        await super().shutdown()
        with trio.CancelScope(shield=True):
            if self._listener is not None:
                await self._listener.aclose()
            await self._fabric.close()


class RemoteNode:
    """A handle on another node, up or not."""

    __slots__ = ("_name", "_node")

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self._name = name

    def __repr__(self) -> str:
        return f"<RemoteNode {self._name} {'up' if self.up else 'not connected'}>"

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def up(self) -> bool:
        """Whether there is a connection to it."""
        return self._name == self._node.name or self._peer.link is not None

    @property
    def _peer(self) -> Peer:
        return self._node.fabric.peer(self._name)

    def named(self, key: Key[M], /) -> Ref[M]:
        """A reference by name: each message goes to whoever holds the name there when it arrives."""
        if self._name == self._node.name:
            return self._node.named(key)
        return self._peer.named(name_of(key)).ref

    async def whereis(self, key: Key[M], /) -> Ref[M] | None:
        """Who holds a name there now; None if nobody does.

        Raises:
            NodeDown: it cannot be reached.
        """
        found: Ref[M] | None = await self._ask(services.Whereis(name_of(key)))
        return found

    async def spawn(
        self,
        props: Props[M],
        /,
        *,
        name: str | Key[M] | None = None,
        start_timeout: float | None = None,
    ) -> Ref[M]:
        """Start a top-level actor there, linked to nobody, and wait until it is ready. It must grant ``spawn``.

        Raises:
            StartFailed: the actor failed to start, or the node cannot be reached (``NoConnection``).
            NotGranted: the node has not granted ``spawn``.
            CodeMissing: the actor's class is not known there, and may not be shipped.
        """
        if self._name == self._node.name:
            return await self._node.spawn(props, name=name, start_timeout=start_timeout)
        cell, _ = await start_elsewhere(
            self._node.fabric, self._name, props, name=name_of(name) if name is not None else None,
            start_timeout=start_timeout,
        )  # fmt: skip
        return cell.ref

    async def names(self) -> Mapping[str, Ref[Any]]:
        """All names registered there, with their holders. It must grant ``inspect``."""
        found: dict[str, Ref[Any]] = await self._ask(services.Names())
        return found

    async def tree(self) -> tuple[Branch, ...]:
        """All its living actors as trees. It must grant ``inspect``."""
        rows: services.Rows = await self._ask(services.Tree())
        return services.trees_of(rows.rows)

    async def status(self, actor: Ref[Any] | str, /) -> Status:
        """What an actor there is doing, by reference or path; the values in ``details`` come as text. It must grant ``inspect``.

        Raises:
            ActorDied: there is no such actor.
        """
        which = actor if isinstance(actor, str) else actor.address.serial
        found: services.StatusText | None = await self._ask(services.GetStatus(which))
        if found is None:
            raise ActorDied(str(actor), NO_ACTOR)
        fields = dict(found.fields)
        fields["statistics"] = Statistics(*fields["statistics"])
        return Status(**fields)

    async def info(self) -> services.NodeInfo:
        """How it is doing itself. It must grant ``inspect``."""
        found: services.NodeInfo = await self._ask(services.GetInfo())
        return found

    async def kill(self, path: str, /) -> bool:
        """Kill an actor there, by path; tells whether there was one. It must grant ``control``."""
        found: bool = await self._ask(services.Kill(path))
        return found

    async def stop_node(self) -> None:
        """Ask it to end in good order. It must grant ``control``."""
        await self._ask(services.StopNode())

    async def _ask(self, request: Request[Any]) -> Any:
        check_unfenced()
        if self._name == self._node.name:
            return await services.carry_out(self._node.fabric, None, request)
        call = ServiceCall(direct_cell(), self._name, type(request).__qualname__)
        self._node.runtime.clock.expire(call, SERVICE_TIMEOUT)
        self._node.fabric.call(self._peer, request, call)
        answer = await call
        if isinstance(answer, services.NotDone):
            raise NodeError(f"node {self._name}: {answer.why}")
        return answer


# Spawning on another node ----------------------------------------------------------------------------------------


class _SpawnCall(ServiceCall):
    """A start on another node: what ties parent and child is noted with the very op that tells of the child."""

    __slots__ = ("link_them", "monitor", "parent", "peer", "seat")

    def __init__(self, peer: Peer, parent: Cell | None, seat: Seat | None) -> None:
        super().__init__(direct_cell(), peer.name, "Spawn")
        self.peer = peer
        self.parent = parent
        self.seat = seat
        self.link_them = False
        self.monitor: Monitor | None = None

    def answered(self, value: Any) -> None:
        """The actor was started, or not."""
        if not isinstance(value, services.Spawned):
            super().answered(value)
            return
        child = self.peer.cell(
            self.peer.incarnation, value.serial, f"{self.peer.name}:{value.path}"
        )
        parent, relations = self.parent, self.peer.runtime.relations
        if parent is not None and parent.state is State.DEAD:
            if self.link_them:
                child.send_exit(parent, parent.reason or NO_CONNECTION, linked=True)
        elif parent is not None:
            if self.link_them:
                relations.link(parent, child)
            if self.monitor is not None:
                relations.enter(parent, child, None, self.monitor)
        if not self.resolve(child):
            child.send_kill()  # whoever wanted it waits no more
        elif self.seat is not None:
            self.seat.let_in(child)

    def lost(self) -> None:
        """The node is out of reach."""
        failure = StartFailed(self.what, NO_CONNECTION)
        if self.why:
            failure.add_note(self.why)
        self.fail(failure)


async def start_elsewhere(
    fabric: Fabric,
    node: str,
    props: Props[Any],
    *,
    parent: Cell | None = None,
    name: str | None = None,
    link: bool = False,
    watch: bool = False,
    seat: Seat | None = None,
    start_timeout: float | None = None,
) -> tuple[Cell, Monitor | None]:
    """Start an actor on another node and wait until it is ready there."""
    if not isinstance(props, Props):
        raise TypeError(f"spawn() takes props(ActorClass, ...), got {props!r}")
    runtime, peer = fabric.runtime, fabric.peer(node)
    call = _SpawnCall(peer, parent, seat)
    call.link_them = link and parent is not None
    call.monitor = runtime.relations.new_monitor() if watch and parent is not None else None
    call.what = where = (
        f"{node}:{child_path(parent.path if parent else '/', seat.segment if seat else name or '')}"
    )
    request = services.Spawn(
        cls=f"{props.cls.__module__}:{props.cls.__qualname__}",
        parent=parent.serial if parent is not None else 0,
        parent_path=f"{fabric.me.name}:{parent.path}" if parent is not None else "",
        name=name,
        segment=seat.segment if seat is not None else None,
        link=call.link_them,
        monitor=call.monitor.serial if call.monitor is not None else 0,
        start_timeout=start_timeout,
        **_code_of(fabric, props),
    )
    if start_timeout is not None:
        runtime.clock.expire(call, start_timeout + START_MARGIN)
    fabric.check_encodable(request)
    fabric.call(peer, request, call)
    try:
        answer = await call
    except TimeoutError:
        raise StartTimeout(where, start_timeout or 0.0) from None
    except NodeDown:
        raise StartFailed(where, NO_CONNECTION) from None
    if isinstance(answer, services.NotSpawned):
        raise _not_spawned(answer)
    if isinstance(answer, services.NotDone):
        raise NodeError(f"node {node}: {answer.why}")
    return answer, call.monitor


def _code_of(fabric: Fabric, props: Props[Any]) -> dict[str, Any]:
    if importable(props.cls):
        return {"args": props.args, "kwargs": dict(props.kwargs), "code": b""}
    if not fabric.options.ship_code:
        raise CodeMissing(
            f"{props.cls.__qualname__} of module {props.cls.__module__!r} cannot be imported elsewhere: put it in a "
            "module that the other node imports, or open both nodes with ship_code=True"
        )
    return {"args": (), "kwargs": {}, "code": pack_code(props)}


def _not_spawned(answer: services.NotSpawned) -> Exception:
    if answer.missing:
        return CodeMissing(answer.missing)
    if answer.holder is not None:
        return AlreadyStarted(answer.path, answer.holder)
    if answer.seconds is not None:
        return StartTimeout(answer.path, answer.seconds)
    if answer.ignored:
        return StartIgnored(answer.path, str(getattr(answer.reason, "detail", "")))
    return StartFailed(answer.path, answer.reason)


class _Port:
    """What the kernel sees of the cluster."""

    __slots__ = ("owner",)

    def __init__(self, owner: Node) -> None:
        self.owner = owner

    async def start_there(
        self, node: str, props: Props[Any], **options: Any
    ) -> tuple[Cell, Monitor | None]:
        """Start an actor elsewhere; what fails is a failed start, for a supervisor retries those."""
        try:
            return await start_elsewhere(self.owner.fabric, node, props, **options)
        except StartError:
            raise
        except NodeError as error:
            failure = StartFailed(f"{node}:{props.cls.__qualname__}", services.failed(error))
            raise failure from error

    def is_up(self, node: str, /) -> bool:
        """Whether there is a connection to a node."""
        return self.owner.fabric.peer(node).link is not None

    def monitor_nodes(self, cell: Cell, /) -> None:
        """Let an actor hear of nodes."""
        self.owner.fabric.monitor(cell)

    def demonitor_nodes(self, cell: Cell, /) -> bool:
        """Undo one ``monitor_nodes``."""
        return self.owner.fabric.demonitor(cell)

    def monitor_node(self, node: str, cell: Cell, /) -> None:
        """Let an actor hear once of the loss of a node."""
        self.owner.fabric.monitor_one(self.owner.remote(node).name, cell)

    def demonitor_node(self, node: str, cell: Cell, /) -> bool:
        """Undo one ``monitor_node``."""
        return self.owner.fabric.demonitor_one(node, cell)

    def watch_group(self, name: str, cell: Cell, /) -> tuple[Ref[Any], ...]:
        """Let an actor hear of a group."""
        return self.owner._groups.watch(name, cell)  # noqa: SLF001

    def unwatch_group(self, name: str, cell: Cell, /) -> bool:
        """Undo ``watch_group``."""
        return self.owner._groups.unwatch(name, cell)  # noqa: SLF001


class _GroupPeers:
    """The other nodes, as the groups actor needs them."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric

    def listen(self, cell: Cell, /) -> Iterable[tuple[str, int]]:
        """Let an actor hear of nodes; who is up now."""
        self._fabric.monitor(cell)
        return self._fabric.up()

    def send(self, node: str, told: Any, /) -> bool:
        """Tell the groups actor of a node that is up; False if there is no room."""
        peer = self._fabric.peer(node)
        if peer.link is None:
            return True
        if peer.link.outbox.full:
            return False
        peer.named("actorkit.groups").ref.tell(told)
        return True


# Opening ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_node(
    name: str,
    *,
    listen: str | None = ANY_PORT,
    join: Sequence[str] = (),
    secret: Secrets = None,
    grants: Iterable[Grant | str] = (),
    hidden: bool = False,
    tls: Tls | None = None,
    insecure_plaintext_network: bool = False,
    logs: bool | Literal["progress"] = True,
    redact: Redact | None = None,
    watchdog: float | None = 1.0,
    audit: bool = False,
    seams: Seams | None = None,
    runtime: Callable[[str, Seams], Runtime] | None = None,
    **options: Any,
) -> AsyncGenerator[Node]:
    """Open a node of a cluster for the time of an ``async with`` block: a system that others can reach.

    Args:
        name: unique in the cluster.
        listen: where others reach it; port 0 is any free one, None lets nobody in. Loopback only, unless there is ``tls``.
        join: addresses of nodes to be connected to; tried again and again while they cannot be reached.
        secret: what nodes must know to talk to each other: 32 random bytes or more, the path of a key file, a ``Secret`` or
            a ``Keyring``. Without one, the user's own key file, which is made if there is none.
        grants: what peers that prove the secret may do here beside sending: ``"spawn"``, ``"inspect"``, ``"control"``,
            ``"ship-code"``.
        hidden: not to be listed by others, nor made part of their mesh.
        tls: certificates; both sides are verified.
        insecure_plaintext_network: listen where other machines could connect, without TLS: proven, but read by all.
        logs: as for ``open_system``, and so are the next four.
        redact: see there.
        watchdog: see there.
        audit: see there.
        seams: see there.
        runtime: makes the kernel, for tests.
        options: the fields of ``ClusterOptions``: ``ticktime=``, ``mesh=``, ``ship_code=`` and others.

    Raises:
        ValueError: an argument is wrong, or ``listen`` is no loopback address and nothing protects it.
        OSError: somebody listens there already.
        KeyFileError: the key file cannot be used.
    """
    if not (isinstance(name, str) and valid_node_name(name)):  # type: ignore[redundant-expr]
        raise ValueError(
            f"a node's name is letters, digits, '_' and '-', then perhaps '@host', got {name!r}"
        )
    settings = _options(options)
    seeds = _seeds(join)
    if not isinstance(listen, str | None):
        raise ValueError(f"listen is an address as {ANY_PORT!r}, or None, got {listen!r}")
    if not isinstance(tls, Tls | None):
        raise TypeError(f"tls is a Tls(certificate=..., key=..., authority=...), got {tls!r}")
    world = seams or Seams()
    keyring = keyring_of(secret, grants, world)
    transport = world.transport
    if listen is not None:
        transport = _transport_for(
            listen, world, protected=tls is not None or insecure_plaintext_network
        )
    secure = TlsContexts.of(tls) if tls is not None else None
    kernel = (runtime or (lambda n, s: Runtime(n, s, audit=audit)))(name, world)
    node = Node(kernel, Fabric(kernel, transport, keyring, settings, hidden=hidden, tls=secure))
    async with open_runtime(kernel, logs=logs, redact=redact, watchdog=watchdog, system=node):
        await node.begin(listen, seeds)
        yield node


def _seeds(join: Sequence[str]) -> tuple[str, ...]:
    """Addresses to be connected to, checked.

    Raises:
        ValueError: it is no list of addresses.
    """
    if isinstance(join, str) or not isinstance(join, Iterable):
        raise ValueError(f"join is a list of addresses, got {join!r}: write join=[{join!r}]")
    seeds = tuple(join)
    for address in seeds:
        if not isinstance(address, str):
            raise ValueError(f"join is a list of addresses as '127.0.0.1:4000', got {address!r}")
        split_address(address)
    return seeds


def _options(options: Mapping[str, Any]) -> ClusterOptions:
    try:
        return ClusterOptions(**options)
    except TypeError as error:
        raise TypeError(f"open_node: {error}; see ClusterOptions") from None


def keyring_of(secret: Secrets, grants: Iterable[Grant | str], seams: Seams) -> Keyring:
    """The secrets that a node was given, or the user's own.

    Raises:
        ValueError: a key is too short, a grant unknown, or grants are given twice.
        TypeError: that is no secret.
        KeyFileError: the key file cannot be used.
    """
    granted = grants_of(grants)
    if isinstance(secret, bytes):
        return Keyring(Secret(secret, granted))
    if isinstance(secret, (str, os.PathLike)):
        return Keyring(Secret(read_key_file(secret), granted))
    if secret is None:
        key = create_key_file(default_key_file(), seams.entropy)  # or what stands there
        return Keyring(Secret(key, granted))
    if granted:
        raise ValueError(
            "a Secret has grants of its own, and open_node's grants= would count for nothing: put them into the "
            f"Secret, as Secret(key, grants={sorted(map(str, granted))})"
        )
    return secret if isinstance(secret, Keyring) else Keyring(*_secrets(secret))


def _secrets(secret: Secret | Iterable[Secret]) -> tuple[Secret, ...]:
    if isinstance(secret, Secret):
        return (secret,)
    found = tuple(secret) if isinstance(secret, Iterable) else ()  # type: ignore[redundant-expr]
    if not found or not all(isinstance(one, Secret) for one in found):
        raise TypeError(
            "secret is 32 random bytes or more, the path of a key file, a Secret, a Keyring or several Secrets, "
            f"got one of type {type(secret).__name__}"
        )
    return found


def _transport_for(listen: str, seams: Seams, *, protected: bool) -> Any:
    """The transport to listen with: nothing but loopback, unless what crosses is protected."""
    host, _ = split_address(listen)
    if not isinstance(seams.transport, TcpTransport):
        return seams.transport
    if protected:
        return TcpTransport(loopback_only=False)
    try:
        exposed = not ipaddress.ip_address(host).is_loopback
    except ValueError:
        exposed = host != "localhost"
    if exposed:
        raise ValueError(
            f"{listen} can be reached from other machines: give tls=Tls(...), listen at 127.0.0.1, or say "
            "insecure_plaintext_network=True if everybody on that network may read along"
        )
    return seams.transport
