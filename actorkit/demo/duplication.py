"""The fourth discipline: passages that stand in several places.

Lines are compared without their indentation; empty ones and, in Python, comments are left out. Every run of ``WINDOW``
such lines - a shingle - is reduced to a hash. Shingles with the same hash in several places are duplicates, and
duplicates that follow each other in all their places alike are one passage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import attrs

from actorkit.demo.reading import Reading

WINDOW = 8
LISTED = 12
SPOTS_LISTED = 4
_EXCERPT_CHARS = 60
# A place of a shingle: the number of a file, and the shingle's position in it.
Place = tuple[int, int]


@attrs.frozen
class DuplicationFinding:
    """The shingles of one file.

    Attributes:
        package: where the file counts.
        lines: the numbers of the lines that are compared.
        shingles: the hash of each run of ``WINDOW`` such lines, in order.
        openings: the first line of each run, shortened.
    """

    package: str
    lines: tuple[int, ...] = attrs.field(repr=False)
    shingles: tuple[bytes, ...] = attrs.field(repr=False)
    openings: tuple[str, ...] = attrs.field(repr=False)


@attrs.frozen
class Spot:
    """One place of a passage: a file, its first and last line."""

    file: str
    first: int
    last: int


@attrs.frozen
class Passage:
    """A text that stands in several places.

    Attributes:
        opening: its first line.
        lines: how many compared lines it has.
        copies: in how many places it stands.
        spots: the first few of them.
    """

    opening: str
    lines: int
    copies: int
    spots: tuple[Spot, ...]


@attrs.frozen
class DuplicationSection:
    """The duplicates of all files.

    Attributes:
        lines: how many lines were compared.
        duplicated: how many of them stand in a duplicate.
        passages: the weightiest passages, by the lines that would be saved if each stood in one place. Of those that
            stand first in the same file, only one: a family of tables would fill the list.
    """

    lines: int
    duplicated: int
    passages: tuple[Passage, ...]


def examine(reading: Reading) -> DuplicationFinding:
    """Hash the shingles of one file."""
    kept = list(_compared(reading))
    texts = [text for _, text in kept]
    windows = [texts[i : i + WINDOW] for i in range(len(texts) - WINDOW + 1)]
    return DuplicationFinding(
        reading.package,
        tuple(number for number, _ in kept),
        tuple(_digest(window) for window in windows),
        tuple(window[0][:_EXCERPT_CHARS] for window in windows),
    )


def _compared(reading: Reading) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(reading.lines, 1):
        text = line.strip()
        if text and (reading.prose or not text.startswith("#")):
            yield number, text


def _digest(window: list[str]) -> bytes:
    text = "\n".join(window).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=8).digest()


def conclude(findings: Mapping[str, DuplicationFinding]) -> DuplicationSection:
    """Find what stands in several places, in all files together."""
    names = sorted(findings)
    files = [findings[name] for name in names]
    places = repeated(tuple(file.shingles for file in files))
    runs = _weightiest(_runs(places, files))
    return DuplicationSection(
        lines=sum(len(file.lines) for file in files),
        duplicated=_covered(places),
        passages=tuple(_passage(run, names, files) for run in runs[:LISTED]),
    )


def repeated(files: tuple[tuple[bytes, ...], ...]) -> dict[bytes, tuple[Place, ...]]:
    """The places of every shingle that has several, in order."""
    seen: set[bytes] = set()
    again: set[bytes] = set()
    for shingles in files:
        for shingle in shingles:
            (again if shingle in seen else seen).add(shingle)
    places: dict[bytes, list[Place]] = {}
    for number, shingles in enumerate(files):
        for position, shingle in enumerate(shingles):
            if shingle in again:
                places.setdefault(shingle, []).append((number, position))
    return {shingle: tuple(found) for shingle, found in places.items()}


# A run: the lines of a passage, and the places of its first shingle.
Run = tuple[int, tuple[Place, ...]]


def _runs(
    places: Mapping[bytes, tuple[Place, ...]], files: list[DuplicationFinding]
) -> Iterator[Run]:
    """Join the shingles that follow each other in all their places alike."""
    for found in places.values():
        if _goes_on(places, files, _shifted(found, -1), found):
            continue
        length, last = WINDOW, found
        while _goes_on(places, files, last, following := _shifted(last, 1)):
            length, last = length + 1, following
        yield length, found


def _goes_on(
    places: Mapping[bytes, tuple[Place, ...]],
    files: list[DuplicationFinding],
    here: tuple[Place, ...],
    there: tuple[Place, ...],
) -> bool:
    """Whether one shingle has exactly the places ``here``, and one has exactly the places ``there``."""
    return _shingle_of(places, files, here) is not None and (
        _shingle_of(places, files, there) is not None
    )


def _shingle_of(
    places: Mapping[bytes, tuple[Place, ...]],
    files: list[DuplicationFinding],
    wanted: tuple[Place, ...],
) -> bytes | None:
    number, position = wanted[0]
    shingles = files[number].shingles
    if not 0 <= position < len(shingles):
        return None
    shingle = shingles[position]
    return shingle if places.get(shingle) == wanted else None


def _shifted(places: tuple[Place, ...], by: int) -> tuple[Place, ...]:
    return tuple((number, position + by) for number, position in places)


def _weightiest(runs: Iterator[Run]) -> list[Run]:
    """One run for each file in which runs stand first, the weightiest of all first."""
    chosen: dict[int, Run] = {}
    for run in sorted(runs, key=lambda run: (-_weight(run), run[1])):
        first_file, _ = run[1][0]
        chosen.setdefault(first_file, run)
    return list(chosen.values())


def _weight(run: Run) -> int:
    length, places = run
    return length * (len(places) - 1)


def _covered(places: Mapping[bytes, tuple[Place, ...]]) -> int:
    """How many lines stand in a duplicate."""
    starts = sorted(place for found in places.values() for place in found)
    total, file, reached = 0, -1, 0
    for number, position in starts:
        if number != file:
            file, reached = number, 0
        end = position + WINDOW
        total += end - max(position, reached)
        reached = end
    return total


def _passage(run: Run, names: list[str], files: list[DuplicationFinding]) -> Passage:
    length, places = run
    first_file, first_position = places[0]
    spots = (
        Spot(
            names[number], files[number].lines[position], files[number].lines[position + length - 1]
        )
        for number, position in places[:SPOTS_LISTED]
    )
    return Passage(files[first_file].openings[first_position], length, len(places), tuple(spots))
