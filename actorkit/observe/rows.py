"""Lays a tree of actors out as lines: who lives where, who is gone, what each has been through. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

import actorkit as ak
from actorkit.observe.census import Census, Place, in_words

# How long a death shows: long enough to see it, and to miss whoever is not replaced.
LINGER = 2.0


@attrs.frozen
class Row:
    """One actor, or the place of one that is gone.

    Attributes:
        depth: how many actors stand above it.
        name: the last part of its path.
        actor: its class; empty if it is gone.
        state: ``running`` and so on; ``down`` if it is gone.
        handled: messages handled at this place, by all incarnations.
        waiting: messages that wait.
        restarts: incarnations after the first.
        last: why the last incarnation ended; empty if none has.
        orderly: whether it ended in good order, as one that is restarted because of another does.
        fresh: whether that was a moment ago.
        doing: what it says it is doing.
    """

    depth: int
    name: str
    actor: str
    state: str
    handled: int = 0
    waiting: int = 0
    restarts: int = 0
    last: str = ""
    orderly: bool = True
    fresh: bool = False
    doing: str = ""


def tree_rows(
    tops: Sequence[ak.Branch], census: Census, now: float, doing: Mapping[str, str]
) -> tuple[Row, ...]:
    """One row for each actor and for each place that fell empty a moment ago, in tree order.

    Args:
        tops: the living, from ``system.tree()``.
        census: what has happened so far.
        now: the time, on the census's clock.
        doing: what actors say they are doing, by path.
    """
    living = {branch.path: branch for top in tops for branch in _all_of(top)}
    empty = {
        path: place
        for path, place in census.places.items()
        if path not in living and not place.living and _fresh(place, now)
    }
    order = {path: number for number, path in enumerate(census.places)}
    shown = sorted((*living, *empty), key=lambda path: _position(path, order))
    return tuple(
        _row(path, living.get(path), census.places.get(path, Place()), now, doing) for path in shown
    )


def _all_of(branch: ak.Branch) -> Iterator[ak.Branch]:
    yield branch
    for child in branch.children:
        yield from _all_of(child)


def _position(path: str, order: Mapping[str, int]) -> tuple[tuple[int, str], ...]:
    """Where a path stands: below its parent, siblings in the order of their first births."""
    parts = path.strip("/").split("/")
    prefixes = ("/" + "/".join(parts[: n + 1]) for n in range(len(parts)))
    return tuple((order.get(prefix, len(order)), prefix) for prefix in prefixes)


def _row(
    path: str,
    branch: ak.Branch | None,
    place: Place,
    now: float,
    doing: Mapping[str, str],
) -> Row:
    parts = path.strip("/").split("/")
    return Row(
        depth=len(parts) - 1,
        name=parts[-1],
        actor=branch.actor if branch is not None else "",
        state=branch.state if branch is not None else "down",
        handled=place.handled + (branch.handled if branch is not None else 0),
        waiting=branch.waiting if branch is not None else 0,
        restarts=place.restarts,
        last=in_words(place.reason) if place.reason is not None else "",
        orderly=isinstance(place.reason, ak.Normal | ak.Shutdown),
        fresh=_fresh(place, now),
        doing=doing.get(path, ""),
    )


def _fresh(place: Place, now: float) -> bool:
    return place.died_at is not None and now - place.died_at <= LINGER
