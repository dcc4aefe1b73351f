"""Where the columns of a text chart stand, and text measured in the cells of a terminal. Pure."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, product

import attrs

from actorkit.testing.lifelines import Arrow, Scene, one_line

# Cells of an arrow that are not its text: two ends of shaft, two spaces, the head, and the lifeline it leaves.
BARE_SHAFT = 6
_NARROWEST_GAP = 6
# Tried from the left until a chart fits: how much of a name is in the header, how long a text gets an arrow that holds it.
_NAME_CELLS = (40, 24, 16, 12, 8)
_GENEROUS_TEXT_CELLS = (36, 34, 32, 30, 28, 26, 24, 22, 20)
_SPARE_TEXT_CELLS = (18, 16, 14, 12, 10, 8, 0)


@attrs.frozen(slots=True)
class Layout:
    """The columns of a chart.

    Attributes:
        headers: what stands above each lifeline, by participant.
        column: the cell each lifeline stands in, by participant.
        gutter: the cells at the left for the number of the step.
        width: the cells of a line.
    """

    headers: dict[str, str]
    column: dict[str, int]
    gutter: int
    width: int


@attrs.frozen(slots=True, order=True)
class _Need:
    """The text of an arrow, which takes so many cells, wants room between two columns."""

    first: int
    last: int
    text: int


class Strip:
    """A line of cells to write on."""

    def __init__(self, width: int) -> None:
        self._cells = [" "] * width

    def put(self, start: int, text: str) -> None:
        """Write text from a cell on; what goes beyond the line is not written."""
        place = start
        for char in text:
            size = cells(char)
            if place + size > len(self._cells):
                return
            if size == 0:
                self._cells[max(0, place - 1)] += char
            else:
                self._cells[place : place + size] = [char, *[""] * (size - 1)]
            place += size

    def __str__(self) -> str:
        return "".join(self._cells).rstrip()


def columns(scene: Scene, gutter: int, width: int) -> Layout | None:
    """The columns for all participants of a scene; None if they do not fit side by side."""
    needs = sorted(_needs(scene), key=lambda need: (need.last - need.first, need))
    for headers, text_cells in _tries(scene.names):
        if len(set(headers.values())) < len(headers):
            continue
        held = [need for need in needs if need.text <= text_cells]
        at = _places([headers[name] for name in scene.names], held, gutter)
        if at and at[-1] + _right_half(headers[scene.names[-1]]) < width:
            return Layout(headers, dict(zip(scene.names, at, strict=True)), gutter, width)
    return None


def _tries(names: Sequence[str]) -> Iterator[tuple[dict[str, str], int]]:
    """What stands above the lifelines and how much text an arrow is stretched for, the best first."""
    full = {name: one_line(name) or "?" for name in names}
    if all(cells(name) <= _NAME_CELLS[0] for name in full.values()):
        yield from product([full], _GENEROUS_TEXT_CELLS)
    short = {name: one_line(end) or "?" for name, end in short_names(names).items()}
    for name_cells in _NAME_CELLS:
        headers = {name: clipped_front(end, name_cells) for name, end in short.items()}
        yield from product([headers], _GENEROUS_TEXT_CELLS + _SPARE_TEXT_CELLS)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Each participant's name without the front of its path, as far as it is not needed to tell it from the others."""
    taken = Counter(end for name in names for end in _ends(name))
    return {name: next((e for e in _ends(name)[:-1] if taken[e] == 1), name) for name in names}


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    return sum(_cells(char) for char in text) if not text.isascii() else len(text)


def clipped(text: str, limit: int) -> str:
    """The front of a text in at most ``limit`` cells."""
    if cells(text) <= limit:
        return text
    room = limit - 1
    kept = list(text)
    while kept and cells("".join(kept)) > room:
        kept.pop()
    return "".join(kept) + "…" if limit > 0 else ""


def clipped_front(text: str, limit: int) -> str:
    """The end of a text in at most ``limit`` cells: numbered names differ at their ends."""
    if cells(text) <= limit:
        return text
    while text and cells(text) > limit - 1:
        text = text[1:]
    return f"…{text}"


def folded(text: str, width: int) -> Iterator[str]:
    """The lines of a text that takes more cells than a line has, broken at spaces where there are any."""
    while cells(text) > width:
        front = _front(text, width)
        space = front.rfind(" ")
        front = front[:space] if space > width // 2 else front
        yield front.rstrip()
        text = text[len(front) :].lstrip()
    yield text


def _front(text: str, width: int) -> str:
    taken = 0
    for place, char in enumerate(text):
        taken += _cells(char)
        if taken > width:
            return text[: max(1, place)]
    return text


def _cells(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def _ends(name: str) -> list[str]:
    """The ends of a path, the shortest first, each behind its node if it has one; a name that is no path has one."""
    node, colon, path = name.rpartition(":")
    if not path.startswith("/") or "/" in node:
        return [name]
    parts = path[1:].split("/")
    return [f"{node}{colon}{'/'.join(parts[start:])}" for start in reversed(range(len(parts)))]


def _left_half(header: str) -> int:
    return cells(header) // 2


def _right_half(header: str) -> int:
    return cells(header) - _left_half(header)


def _places(headers: Sequence[str], needs: Iterable[_Need], gutter: int) -> list[int]:
    """Where lifelines stand that leave room for the headers, and for what arrows need."""
    between = [
        max(_NARROWEST_GAP, _right_half(left) + _left_half(right) + 2)
        for left, right in pairwise(headers)
    ]
    for need in needs:
        _widen(between, need)
    places = [gutter + _left_half(headers[0])] if headers else []
    for gap in between:
        places.append(places[-1] + gap)
    return places


def _needs(scene: Scene) -> set[_Need]:
    column = {name: place for place, name in enumerate(scene.names)}
    needs: set[_Need] = set()
    for row in scene.rows:
        if isinstance(row, Arrow) and row.source != row.target:
            first, last = sorted((column[row.source], column[row.target]))
            needs.add(_Need(first, last, cells(row.text)))
    return needs


def _widen(between: list[int], need: _Need) -> None:
    """Spread what is missing evenly over the gaps below an arrow."""
    missing = need.text + BARE_SHAFT - sum(between[need.first : need.last])
    for place in range(need.first, need.last):
        share = -(-max(0, missing) // (need.last - place))
        between[place] += share
        missing -= share
