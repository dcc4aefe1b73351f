"""What one node may ask of another itself, rather than of its actors: the questions, the grant each takes, and the answers.

Requests are ordinary messages that travel under a call number of their own. Who sent one is known from the connection it came
over, so a grant is checked against the secret that connection was proven with, and nothing a peer says of itself.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import attrs

from actorkit.cluster.keys import Grant
from actorkit.cluster.shipping import unpack_code
from actorkit.errors import (
    AlreadyStarted,
    CodeMissing,
    NotGranted,
    ProtocolError,
    StartError,
    StartFailed,
    StartIgnored,
    StartTimeout,
)
from actorkit.kernel.actor import Actor, Props
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.events import Report
from actorkit.kernel.exits import NO_ACTOR, ExitReason, Failed
from actorkit.kernel.inspection import Branch, Status, branch_of, status_of
from actorkit.kernel.message import Request, error_text, message, shortened
from actorkit.kernel.ref import Ref

if TYPE_CHECKING:
    from actorkit.cluster.fabric import Fabric
    from actorkit.cluster.link import Link


@message(name="actorkit.node.Spawn")
class Spawn(Request[Any]):
    """Start an actor: its class by module and name, or as shipped code; who its parent is; how the two are tied."""

    cls: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    code: bytes
    parent: int
    parent_path: str
    name: str | None
    segment: str | None
    link: bool
    monitor: int
    start_timeout: float | None


@message(name="actorkit.node.Spawned")
class Spawned:
    """An actor was started."""

    serial: int
    path: str


@attrs.frozen
class Started:
    """An actor that was started for a peer, which has not been told yet."""

    cell: Cell
    request: Spawn

    def tell(self, link: Link, number: int) -> None:
        """Tell of the start as if the actor itself did, so that nothing it says comes before.

        If it is gone already, its end was told before anybody there knew of it: it is told again.
        """
        cell, request, out = self.cell, self.request, link.out
        if link.closed:
            cell.ref.kill()
            return
        out.reply(number, Spawned(cell.serial, cell.path), cell.serial)
        if cell.state is State.DEAD:
            reason = cell.reason or NO_ACTOR
            if request.link:
                out.exit((cell.serial, cell.serial, request.parent), reason, linked=True)
            if request.monitor:
                out.down(request.parent, request.monitor, cell.serial, reason)


@message(name="actorkit.node.NotSpawned")
class NotSpawned:
    """An actor was not started: why, as a reason; whether it declined; whether its code is not there; who has its name; the time it took."""

    path: str
    reason: ExitReason
    ignored: bool = False
    missing: str = ""
    holder: Ref[Any] | None = None
    seconds: float | None = None


@message(name="actorkit.node.Whereis")
class Whereis(Request[Any]):
    """Who holds a name?"""

    name: str


@message(name="actorkit.node.Names")
class Names(Request[Any]):
    """All names with their holders."""


@message(name="actorkit.node.Tree")
class Tree(Request[Any]):
    """All living actors."""


@message(name="actorkit.node.GetStatus")
class GetStatus(Request[Any]):
    """What an actor is doing, by path or serial."""

    actor: str | int


@message(name="actorkit.node.GetInfo")
class GetInfo(Request[Any]):
    """How the node itself is doing."""


@message(name="actorkit.node.Kill")
class Kill(Request[Any]):
    """Kill an actor, by path."""

    path: str


@message(name="actorkit.node.StopNode")
class StopNode(Request[Any]):
    """End the node in good order."""


@message(name="actorkit.node.Row")
class Row:
    """An actor in a tree, at its depth."""

    depth: int
    path: str
    actor: str
    state: str
    handled: int
    waiting: int


@message(name="actorkit.node.Rows")
class Rows:
    """Trees, flattened: parents before children."""

    rows: tuple[Row, ...]


@message(name="actorkit.node.StatusText")
class StatusText:
    """An actor's status, its details as text."""

    fields: dict[str, Any]


@message(name="actorkit.node.NodeInfo")
class NodeInfo:
    """How a node is doing.

    Attributes:
        name: its name.
        incarnation: the number it chose when it started.
        address: where it listens; empty if nowhere.
        uptime: seconds since it started.
        actors: how many live on it.
        dead_letters: how many messages were not handled, replies that came too late included.
        nodes: the nodes it is connected to.
        settings: how it is protected and limited, for ``actorkit doctor``.
    """

    name: str
    incarnation: int
    address: str
    uptime: float
    actors: int
    dead_letters: int
    nodes: tuple[str, ...]
    settings: dict[str, Any]


@message(name="actorkit.node.NotDone")
class NotDone:
    """A request failed: why."""

    why: str


def failed(error: BaseException) -> Failed:
    """An exit reason that says what an error says."""
    return Failed(error_text(error))


@attrs.frozen(slots=True)
class PeerRefused(Report):
    """A peer tried what it was not granted.

    Attributes:
        node: the peer.
        what: what it tried.
    """

    node: str
    what: str

    def as_log(self) -> tuple[str, str, dict[str, Any]]:
        """How the event is logged."""
        return (
            "warning",
            "a peer tried what it was not granted",
            {"node": self.node, "what": self.what},
        )


_NEEDS: dict[type, Grant | None] = {
    Spawn: Grant.SPAWN,
    Whereis: None,
    Names: Grant.INSPECT,
    Tree: Grant.INSPECT,
    GetStatus: Grant.INSPECT,
    GetInfo: Grant.INSPECT,
    Kill: Grant.CONTROL,
    StopNode: Grant.CONTROL,
}


def check_granted(link: Link, request: Any, me: str) -> None:
    """Refuse what the peer was not granted.

    Raises:
        NotGranted: it was not.
        ProtocolError: that is no request.
    """
    if type(request) not in _NEEDS:
        raise ProtocolError(f"{type(request).__qualname__} is no request to a node")
    grant = _NEEDS[type(request)]
    if grant is not None and not link.granted(grant):
        raise NotGranted(me, grant.value)


async def carry_out(fabric: Fabric, link: Link | None, request: Any) -> Any:
    """Answer a request; whatever it raises is told the peer as text."""
    handler = cast("Callable[..., Any]", _HANDLERS[type(request)])
    answer = handler(fabric, link, request)
    return await answer if isinstance(answer, Awaitable) else answer


# Spawning ------------------------------------------------------------------------------------------------------------


async def _spawn(fabric: Fabric, link: Link, request: Spawn) -> Any:
    where = f"{fabric.me.name}:{request.name or request.cls}"
    try:
        props = _props_of(fabric, link, request)
    except CodeMissing as error:
        return NotSpawned(where, Failed(str(error)), missing=str(error))
    try:
        return Started(await _start(fabric, link, request, props), request)
    except StartError as error:
        return _not_spawned(where, error)


def _not_spawned(where: str, error: StartError) -> NotSpawned:
    match error:
        case AlreadyStarted():
            return NotSpawned(error.name, Failed(str(error)), holder=error.ref)
        case StartTimeout():
            return NotSpawned(error.actor, Failed(str(error)), seconds=error.timeout)
        case StartIgnored():
            return NotSpawned(error.actor, Failed(error.why), ignored=True)
        case StartFailed():
            return NotSpawned(error.actor, error.reason)
        case _:
            return NotSpawned(where, Failed(str(error)))


async def _start(fabric: Fabric, link: Link, request: Spawn, props: Props[Any]) -> Cell:
    peer, runtime = link.peer, fabric.runtime
    parent = None
    if request.parent:
        incarnation = link.session.peer.incarnation
        parent = peer.cell(incarnation, request.parent, request.parent_path)
    tied = parent is not None and not link.closed

    def began(cell: Cell) -> None:
        link.spawned.add(cell)
        if parent is not None and tied and request.monitor:
            watch = runtime.relations.enter(parent, cell)
            peer.monitors_in.add(request.parent, request.monitor, watch.monitor)

    cell, _ = await runtime.start(
        props,
        parent=parent,
        name=request.name,
        segment=request.segment,
        link=request.link and tied,
        began=began,
        start_timeout=request.start_timeout,
    )
    return cell


def _props_of(fabric: Fabric, link: Link, request: Spawn) -> Props[Any]:
    if request.code:
        if not (fabric.options.ship_code and link.granted(Grant.SHIP_CODE)):
            raise CodeMissing(
                f"node {fabric.me.name} takes no shipped code: {request.cls} cannot be imported there, and "
                "ship_code must be allowed on both sides, and granted by the secret"
            )
        return unpack_code(request.code)
    return Props(_class_named(fabric, request.cls), request.args, request.kwargs)


def _class_named(fabric: Fabric, name: str) -> type[Actor[Any]]:
    """An actor class that is loaded here, or may be imported.

    Raises:
        CodeMissing: neither.
    """
    module_name, _, qualname = name.partition(":")
    me = fabric.me.name
    module = sys.modules.get(module_name)
    if module is None:
        if not any(fnmatchcase(module_name, pattern) for pattern in fabric.options.imports):
            raise CodeMissing(
                f"module {module_name!r} is not loaded on node {me}: import it there, or open that node with "
                f"imports=({module_name!r},)"
            )
        try:
            module = import_module(module_name)
        except Exception as error:
            raise CodeMissing(
                f"module {module_name!r} cannot be imported on node {me}: {type(error).__name__}: {error_text(error)}"
            ) from error
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Actor)):
        raise CodeMissing(f"module {module_name!r} on node {me} has no actor class {qualname!r}")
    return found


# Looking in ----------------------------------------------------------------------------------------------------------


def _whereis(fabric: Fabric, _: Link | None, request: Whereis) -> Ref[Any] | None:
    holder = fabric.runtime.registry.holder(request.name)
    return holder.ref if holder is not None else None


def _names(fabric: Fabric, _: Link | None, __: Names) -> dict[str, Ref[Any]]:
    return {name: cell.ref for name, cell in fabric.runtime.registry.names().items()}


def _tree(fabric: Fabric, _: Link | None, __: Tree) -> Rows:
    rows: list[Row] = []
    for cell in fabric.runtime.roots():
        _flatten(branch_of(cell), 0, rows)
    return Rows(tuple(rows))


def _flatten(branch: Branch, depth: int, rows: list[Row]) -> None:
    state = (branch.actor, branch.state, branch.handled, branch.waiting)
    rows.append(Row(depth, branch.path, *state))
    for child in branch.children:
        _flatten(child, depth + 1, rows)


def trees_of(rows: Sequence[Row], at: int = 0, depth: int = 0) -> tuple[Branch, ...]:
    """The trees that were flattened into rows."""
    found: list[Branch] = []
    while at < len(rows) and rows[at].depth >= depth:
        row = rows[at]
        if row.depth == depth:
            end = at + 1
            while end < len(rows) and rows[end].depth > depth:
                end += 1
            children = trees_of(rows[at + 1 : end], 0, depth + 1)
            found.append(Branch(row.path, row.actor, row.state, row.handled, row.waiting, children))
            at = end
        else:
            raise ProtocolError("a tree whose rows skip a level")
    return tuple(found)


def _status(fabric: Fabric, _: Link | None, request: GetStatus) -> StatusText | None:
    cell = _actor_at(fabric, request.actor)
    if cell is None:
        return None
    status = status_of(cell)
    fields = {field.name: getattr(status, field.name) for field in attrs.fields(Status)}
    fields["statistics"] = attrs.astuple(status.statistics)
    fields["details"] = {name: shortened(value) for name, value in status.details.items()}
    return StatusText(fields)


def _info(fabric: Fabric, _: Link | None, __: GetInfo) -> NodeInfo:
    return fabric.info()


def _kill(fabric: Fabric, _: Link | None, request: Kill) -> bool:
    cell = _actor_at(fabric, request.path)
    if cell is None:
        return False
    cell.ref.kill()
    return True


def _stop_node(fabric: Fabric, _: Link | None, __: StopNode) -> bool:
    fabric.stop_requested()
    return True


def _actor_at(fabric: Fabric, actor: str | int) -> Cell | None:
    if isinstance(actor, int):
        return fabric.runtime.by_number(actor)
    return next((c for c in fabric.runtime.cells.values() if c.path == actor), None)


_HANDLERS: dict[type, Any] = {
    Spawn: _spawn,
    Whereis: _whereis,
    Names: _names,
    Tree: _tree,
    GetStatus: _status,
    GetInfo: _info,
    Kill: _kill,
    StopNode: _stop_node,
}
