"""What is on its way between the nodes of a simulation, so that one trace can tell of all of them.

A message that travels is encoded here and decoded there: what arrives is another object. The simulation sees both ends, and
takes what arrives for the first equal thing that was sent to that actor and has not arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from actorkit.kernel.cell import Cell
from actorkit.kernel.runtime import Runtime

if TYPE_CHECKING:
    from actorkit.cluster.remote import RemoteCell


class Correspondence:
    """Shared by the recorders of all nodes of one run.

    Attributes:
        numbers: gives each message of the run its number.
    """

    def __init__(self) -> None:
        self.numbers: Iterator[int] = count(1)
        self._runtimes: dict[str, Runtime] = {}
        self._travelling: dict[str, list[tuple[int, object]]] = {}

    def open(self, runtime: Runtime) -> None:
        """A node is opened; it takes the place of an earlier one of its name."""
        self._runtimes[runtime.node] = runtime

    def name_of(self, cell: RemoteCell) -> str:
        """What the actor behind a remote reference is called at home, if it is still there."""
        runtime = self._runtimes.get(cell.peer.name)
        found: Cell | None = None
        if runtime is not None and isinstance(cell.to, str):
            found = runtime.registry.holder(cell.to)
        elif runtime is not None and cell.incarnation == runtime.incarnation:
            found = runtime.cells.get(cell.serial)
        return cell.path if found is None else f"{cell.peer.name}:{found.path}"

    def leaves(self, number: int, receiver: str, message: object) -> None:
        """A message sets out for another node."""
        self._travelling.setdefault(receiver, []).append((number, message))

    def arrives(self, receiver: str, message: object) -> int | None:
        """The number of a message that has come from another node; None if nothing like it was sent."""
        waiting = self._travelling.get(receiver, [])
        alike = [place for place, (_, sent) in enumerate(waiting) if type(sent) is type(message)]
        same = [place for place in alike if _equal(waiting[place][1], message)]
        for place in (*same, *alike):
            return waiting.pop(place)[0]
        return None


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - the user's own comparison; then the first of its class will do
        return False
