"""What a disk holds, in its cache and on its platters, and what of it a power cut may leave. Pure.

A file has two contents: what readers see, and what is durable. Between them stand the operations since the last sync. When
the power goes, each file keeps some of its own, in order, and the directory keeps some of its changes. A *choice* says which;
``Platter.choices`` counts every legal one, and number 0 is always the harshest: nothing that was not synced is left.

The model is the weak one of ALICE (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014), which every common
file system keeps to: data before its length, length before its data, a rename before the data of the file renamed, one
directory entry and not the other. What no file system does is left out: a change of a name never survives an earlier change
of the same name that did not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from math import prod

import attrs

Tears = Callable[[int], Iterable[int]]
"""Where an append of so many bytes may be torn: numbers from 1 up, below that many."""

SECTOR = 512
_SUBSETS_UP_TO = 6  # changes of names; of more than these, not every combination is looked at


def edges(size: int) -> list[int]:
    """The places where torn appends do harm: inside a header, at a sector, one byte short."""
    places = {1, 2, 4, 8, 12, 16, size // 2, size - 1, *range(SECTOR, 9 * SECTOR, SECTOR)}
    return sorted(place for place in places if 0 < place < size)


def every_byte(size: int) -> range:
    """Every place there is."""
    return range(1, size)


@attrs.frozen(slots=True)
class Append:
    """Bytes behind what is there."""

    data: bytes


@attrs.frozen(slots=True)
class Cut:
    """A truncation."""

    size: int


Write = Append | Cut


@attrs.frozen(slots=True)
class Change:
    """What one operation does to names: each points to a file afterwards, or to none."""

    names: Mapping[str, int | None]

    def touches(self, other: Change) -> bool:
        """Whether they have a name in common, so that the later one rests on the earlier."""
        return not self.names.keys().isdisjoint(other.names)


@attrs.frozen(slots=True)
class Survival:
    """What of one file's unsynced operations a power cut leaves.

    Attributes:
        whole: how many of them are there, from the oldest on.
        torn: how many bytes of the next one, if that is an append.
        zeros: the rest of that append is there too, but as zeros: its length was written and its bytes were not.
        hole: the position of one append among the whole ones that is there as zeros.
    """

    whole: int = 0
    torn: int = 0
    zeros: bool = False
    hole: int | None = None


@attrs.define(slots=True)
class Content:
    """One file.

    Attributes:
        cache: what readers see.
        durable: what is on the platter for sure.
        pending: what the disk has been told since, as it would write it.
    """

    cache: bytearray = attrs.field(factory=bytearray)
    durable: bytes = b""
    pending: list[Write] = attrs.field(factory=list)

    def append(self, data: bytes) -> None:
        """Put bytes behind what is there."""
        self.cache += data
        self.pending.append(Append(data))

    def cut(self, size: int) -> None:
        """Leave ``size`` bytes."""
        del self.cache[size:]
        self.pending.append(Cut(size))

    def sync(self) -> None:
        """Make durable what is pending."""
        if self.pending:
            self.durable = self.after(Survival(len(self.pending)))
            self.pending.clear()

    def lose(self) -> None:
        """A sync failed: pending bytes are shown to readers and never written, only their length may be."""
        self.pending = [
            Append(bytes(len(write.data))) if isinstance(write, Append) else write
            for write in self.pending
        ]

    def after(self, kept: Survival) -> bytes:
        """The content that a power cut leaves."""
        found = bytearray(self.durable)
        for position, write in enumerate(self.pending[: kept.whole]):
            if isinstance(write, Cut):
                del found[write.size :]
            else:
                found += bytes(len(write.data)) if position == kept.hole else write.data
        if kept.torn or kept.zeros:
            data = self._torn(kept)
            found += data[: kept.torn] + bytes(len(data) - kept.torn if kept.zeros else 0)
        return bytes(found)

    def survivals(self, tears: Tears) -> list[Survival]:
        """All that a power cut may leave, the harshest first."""
        found: list[Survival] = []
        for whole, write in enumerate(self.pending):
            found.append(Survival(whole))
            if isinstance(write, Append) and write.data:
                places = list(tears(len(write.data)))
                found += [Survival(whole, torn) for torn in places]
                found += [Survival(whole, torn, zeros=True) for torn in (0, *places)]
        everything = len(self.pending)
        holes = (
            position
            for position, write in enumerate(self.pending[:-1])
            if isinstance(write, Append) and write.data
        )
        return [*found, *(Survival(everything, hole=hole) for hole in holes), Survival(everything)]

    def copy(self) -> Content:
        """Another one like it."""
        return Content(bytearray(self.cache), self.durable, list(self.pending))

    def _torn(self, kept: Survival) -> bytes:
        write = self.pending[kept.whole] if kept.whole < len(self.pending) else None
        if not isinstance(write, Append) or kept.torn > len(write.data):
            raise ValueError(f"{kept} tears what is no append, or too short, of {self.pending}")
        return write.data


@attrs.frozen
class Leftover:
    """What a power cut leaves of a disk: the contents by name, and in words what was kept of the unsynced."""

    files: Mapping[str, bytes]
    words: str


class Platter:
    """A directory and its files, with all that is not durable yet."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.files: dict[int, Content] = {}
        self.names: dict[str, int] = {}
        self.durable_names: dict[str, int] = {}
        self.changes: list[Change] = []
        self._next = 1
        for name, data in (files or {}).items():
            number = self.create(name)
            self.files[number] = Content(bytearray(data), data)
        self.sync_names()

    def copy(self) -> Platter:
        """Another one like it."""
        other = Platter()
        other.files = {number: content.copy() for number, content in self.files.items()}
        other.names, other.durable_names = dict(self.names), dict(self.durable_names)
        other.changes, other._next = list(self.changes), self._next
        return other

    def content(self, number: int) -> Content:
        """A file; one that nobody can ever find again is a new, empty one."""
        return self.files.get(number) or Content()

    # Names --------------------------------------------------------------------------------------------------------

    def create(self, name: str) -> int:
        """Make an empty file and return its number."""
        number, self._next = self._next, self._next + 1
        self.files[number] = Content()
        self._change({name: number})
        return number

    def rename(self, source: str, target: str) -> None:
        """Let a file have another name, and whoever had that name none."""
        if source != target:
            self._change({source: None, target: self.names[source]})

    def unlink(self, name: str) -> None:
        """Take a name away."""
        self._change({name: None})

    def sync_names(self) -> None:
        """Make the names durable."""
        self.durable_names = self._names_after(range(len(self.changes)))
        self.changes.clear()
        reachable = {*self.names.values(), *self.durable_names.values()}
        self.files = {number: c for number, c in self.files.items() if number in reachable}

    def lose_names(self) -> None:
        """A sync of the directory failed: pending changes are shown to readers and never written."""
        self.changes.clear()

    def _change(self, names: Mapping[str, int | None]) -> None:
        change = Change(names)
        _apply(change, self.names)
        self.changes.append(change)

    def _names_after(self, kept: Iterable[int]) -> dict[str, int]:
        names = dict(self.durable_names)
        for position in kept:
            _apply(self.changes[position], names)
        return names

    # Power cuts ---------------------------------------------------------------------------------------------------

    def choices(self, tears: Tears = edges) -> Choices:
        """Everything that a power cut may leave at this moment."""
        dirty = {number: c.survivals(tears) for number, c in self.files.items() if c.pending}
        return Choices(self, list(_kept_changes(self.changes)), dirty)

    def durable(self) -> dict[str, bytes]:
        """What is left at the very least."""
        return {name: self.files[number].durable for name, number in self.durable_names.items()}

    def left(self, names: Sequence[int], files: Mapping[int, Survival]) -> Leftover:
        """What is left if of the changes of names those at some positions survive, and of the files what is said."""
        found = {
            name: self.files[number].after(files.get(number, Survival()))
            for name, number in self._names_after(names).items()
        }
        return Leftover(found, self._in_words(names, files))

    def _in_words(self, names: Sequence[int], files: Mapping[int, Survival]) -> str:
        called = {number: name for name, number in {**self.durable_names, **self.names}.items()}
        parts = [
            f"{called.get(number, 'a nameless file')!r} keeps {_survival_in_words(kept)} of {pending}"
            for number, kept in files.items()
            if (pending := len(self.files[number].pending))
        ]
        if self.changes:
            kept_names = ", ".join(_change_in_words(self.changes[i]) for i in names) or "none"
            parts.append(f"of {len(self.changes)} changes of names: {kept_names}")
        return "; ".join(parts) or "everything was synced"


@attrs.frozen
class Choices:
    """Every legal leftover of one moment, by number; 0 is the harshest."""

    platter: Platter
    names: Sequence[Sequence[int]]
    files: Mapping[int, Sequence[Survival]]

    def __len__(self) -> int:
        return len(self.names) * prod(map(len, self.files.values()))

    def __getitem__(self, number: int) -> Leftover:
        rest, of_names = divmod(number, len(self.names))
        kept: dict[int, Survival] = {}
        for file, survivals in self.files.items():
            rest, which = divmod(rest, len(survivals))
            kept[file] = survivals[which]
        if rest:
            raise IndexError(f"choice {number} of {len(self)}")
        return self.platter.left(self.names[of_names], kept)

    def __iter__(self) -> Iterator[Leftover]:
        return (self[number] for number in range(len(self)))

    def at_most(self, limit: int) -> Iterator[Leftover]:
        """All of them; of more than ``limit``, those in which all but one thing are lost or kept altogether."""
        return iter(self) if len(self) <= limit else self._one_at_a_time()

    def _one_at_a_time(self) -> Iterator[Leftover]:
        for end in (0, -1):
            others = {file: survivals[end] for file, survivals in self.files.items()}
            for names in self.names:
                yield self.platter.left(names, others)
            for file, survivals in self.files.items():
                for kept in survivals:
                    for names in (self.names[0], self.names[-1]):
                        yield self.platter.left(names, {**others, file: kept})


def _apply(change: Change, names: dict[str, int]) -> None:
    for name, number in change.names.items():
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


def _kept_changes(changes: Sequence[Change]) -> Iterator[tuple[int, ...]]:
    """Which changes of names may survive together, none of them first."""
    everything = range(len(changes))
    if len(changes) <= _SUBSETS_UP_TO:
        candidates: Iterable[tuple[int, ...]] = (
            chosen
            for count in range(len(changes) + 1)
            for chosen in combinations(everything, count)
        )
        yield from (chosen for chosen in candidates if _stands(chosen, changes))
    else:
        yield from dict.fromkeys(_extremes(changes))


def _extremes(changes: Sequence[Change]) -> Iterator[tuple[int, ...]]:
    """Of many changes: the first few, one alone, and all but one; each with what it rests on."""
    everything = range(len(changes))
    yield from (tuple(range(count)) for count in range(len(changes) + 1))
    for one in everything:
        yield tuple(sorted(_rests_on(one, changes)))
        yield tuple(other for other in everything if one not in _rests_on(other, changes))


def _rests_on(position: int, changes: Sequence[Change]) -> set[int]:
    """A change, and the earlier ones without which it could not survive."""
    found = {position}
    for earlier in range(position - 1, -1, -1):
        if any(changes[earlier].touches(changes[later]) for later in found):
            found.add(earlier)
    return found


def _stands(chosen: Sequence[int], changes: Sequence[Change]) -> bool:
    there = set(chosen)
    return all(
        earlier in there
        for position in chosen
        for earlier in range(position)
        if changes[earlier].touches(changes[position])
    )


def _survival_in_words(kept: Survival) -> str:
    words = f"{kept.whole}"
    if kept.hole is not None:
        words += f" (number {kept.hole + 1} as zeros)"
    if kept.torn:
        words += f" and {kept.torn} bytes"
    return words + (" and zeros" if kept.zeros else "")


def _change_in_words(change: Change) -> str:
    gone = [name for name, number in change.names.items() if number is None]
    there = [name for name, number in change.names.items() if number is not None]
    if gone and there:
        return f"{gone[0]} -> {there[0]}"
    return f"+{there[0]}" if there else f"-{gone[0]}"
