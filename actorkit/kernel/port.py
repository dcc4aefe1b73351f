"""The door through which the kernel reaches other nodes, if the system is one of several: the cluster stands behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from actorkit.kernel.actor import Props
    from actorkit.kernel.cell import Cell
    from actorkit.kernel.exits import Monitor
    from actorkit.kernel.ref import Ref
    from actorkit.kernel.seat import Seat


class NodePort(Protocol):
    """What actors may do with other nodes, as their ``Context`` needs it."""

    async def start_there(
        self,
        node: str,
        props: Props[Any],
        *,
        parent: Cell | None,
        name: str | None,
        link: bool,
        watch: bool = False,
        seat: Seat | None = None,
        start_timeout: float | None = None,
    ) -> tuple[Cell, Monitor | None]:
        """Start an actor on another node and wait until it is ready; what stands for it here, and its monitor."""
        ...

    def is_up(self, node: str, /) -> bool:
        """Whether there is a connection to a node."""
        ...

    def monitor_nodes(self, cell: Cell, /) -> None:
        """Let an actor hear of nodes that come and go, once per call."""
        ...

    def demonitor_nodes(self, cell: Cell, /) -> bool:
        """Undo one ``monitor_nodes``."""
        ...

    def monitor_node(self, node: str, cell: Cell, /) -> None:
        """Let an actor hear once of the loss of a node."""
        ...

    def demonitor_node(self, node: str, cell: Cell, /) -> bool:
        """Undo one ``monitor_node``."""
        ...

    def watch_group(self, name: str, cell: Cell, /) -> tuple[Ref[Any], ...]:
        """Let an actor hear of changes of a process group; its members now."""
        ...

    def unwatch_group(self, name: str, cell: Cell, /) -> bool:
        """Undo ``watch_group``."""
        ...
