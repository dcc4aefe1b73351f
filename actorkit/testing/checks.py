"""The two laws that every test of actors ends with: no message vanishes, and nothing outlives its system."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from actorkit.kernel.system import System
from actorkit.kernel.wait import ZOMBIES, Work
from actorkit.testing.failures import LeftBehind, Unbalanced


def check_conserved(system: System) -> None:
    """Every message sent was handled, waits, or is a dead letter with a reason.

    Raises:
        Unbalanced: one is missing, or was counted twice.
    """
    books = system.conservation()
    if not books.balanced:
        forwarded = f"{books.forwarded} went to other nodes, " if books.forwarded else ""
        accounted = books.handled + books.waiting + books.dead_letters + books.forwarded
        letters = ", ".join(f"{n} {why}" for why, n in system.dead_letters.counts.items())
        raise Unbalanced(
            f"{books.sent} messages were sent, but {books.handled} were handled, {forwarded}{books.waiting} wait and "
            f"{books.dead_letters} are dead letters ({letters or 'none'}): "
            f"{books.sent - accounted:+d}"
        )


def check_nothing_left(system: System) -> None:
    """After shutdown there is no actor, relation, name, timer or fenced code of a system any more.

    Raises:
        LeftBehind: names what is there, and what usually keeps it.
    """
    left = list(left_of(system))
    if left:
        raise LeftBehind("\n  ".join((f"left behind by the system {system.name!r}:", *left)))


def left_of(system: System) -> Iterator[str]:
    """What is still there of a system that was shut down, as one line each."""
    runtime = system.runtime
    yield from _listed("actors", [cell.path for cell in runtime.cells.values()])
    yield from _listed("names", list(system.names()))
    if len(runtime.relations):
        yield f"links and monitors: {len(runtime.relations)}"
    if len(runtime.clock.heap):
        yield f"timers: {len(runtime.clock.heap)}"
    fenced = [origin for origin in ZOMBIES if _runtime_of(origin) is runtime]
    for origin in fenced:
        yield (
            f"code of {_path_of(origin)} that was killed and does not end; "
            "does a handler catch trio.Cancelled, or shield itself from it, and go on?"
        )


def _listed(what: str, found: Collection[str]) -> Iterator[str]:
    if found:
        yield f"{what}: {', '.join(found)}"


def _runtime_of(origin: Any) -> object:
    return (origin.cell if isinstance(origin, Work) else origin).runtime


def _path_of(origin: Any) -> str:
    path: str = (origin.cell if isinstance(origin, Work) else origin).path
    return path
