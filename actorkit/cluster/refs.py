"""References on the wire: node, incarnation, number and path, whoever's they are, so that they mean the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorkit.cluster.remote import RemoteCell
from actorkit.errors import ProtocolError, Unencodable
from actorkit.kernel.address import valid_node_name
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.exits import NO_ACTOR
from actorkit.kernel.ref import NamedRef, Ref

if TYPE_CHECKING:
    from actorkit.cluster.fabric import Fabric

_PATH = 4_000  # characters


class RefDesk:
    """Turns references into plain values and back, for one node."""

    __slots__ = ("_fabric",)

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric

    def encode(self, ref: Ref[Any]) -> list[Any]:
        """Node, incarnation (0: whoever holds a name), number or name, path.

        Raises:
            Unencodable: it belongs to a system that is no node of this cluster.
        """
        me = self._fabric.me
        if isinstance(ref, NamedRef):
            return [me.name, 0, ref.registered_name, ""]
        cell = ref._cell  # noqa: SLF001
        if cell.runtime is not self._fabric.runtime:
            raise Unencodable(f"{ref!r} belongs to another system, {cell.runtime.node!r}")
        seat = cell.seat
        if seat is not None and seat.ref is ref:
            return [me.name, me.incarnation, cell.runtime.number_of(seat), seat.path]
        if isinstance(cell, RemoteCell):
            path = cell.path.removeprefix(f"{cell.peer.name}:")
            return [cell.peer.name, cell.incarnation, cell.to, path]
        return [me.name, me.incarnation, cell.serial, cell.path]

    def decode(self, data: Any) -> Ref[Any]:
        """The reference; the same one for the same actor, as long as anybody holds it.

        Raises:
            ProtocolError: that is no reference.
        """
        match data:
            case [str(node), int(incarnation), int() | str() as to, str(path)] if (
                valid_node_name(node) and 0 <= incarnation < 1 << 32 and len(path) <= _PATH
            ):
                return self._found(node, incarnation, to, path)
            case _:
                raise ProtocolError(
                    "a reference is a node's name, an incarnation, a number and a path"
                )

    def _found(self, node: str, incarnation: int, to: int | str, path: str) -> Ref[Any]:
        fabric = self._fabric
        if node != fabric.me.name:
            peer = fabric.peer(node)
            return peer.cell(incarnation, to, f"{node}:{path or to}").ref
        runtime = fabric.runtime
        if isinstance(to, str):
            return runtime.named(to)
        if incarnation != fabric.me.incarnation:
            return _nobody(fabric, path)
        cell = runtime.cells.get(to)
        if cell is not None:
            return cell.ref
        seat = runtime.seat_number(to)
        return seat.ref if seat is not None else _nobody(fabric, path)


def _nobody(fabric: Fabric, path: str) -> Ref[Any]:
    """A reference to an actor of this node that is gone."""
    runtime = fabric.runtime
    ref = runtime.new_ref()
    cell = Cell(runtime, runtime.vacant, path, ref, None)
    cell.state = State.DEAD
    cell.limit = -1
    cell.reason = NO_ACTOR
    ref._cell = cell  # noqa: SLF001
    return ref
