"""Disks that each break one law. pytest collects them only when ``test_kits_bite.py`` asks it to."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actorkit.seams.disk import Data, Disk, File
from actorkit.testing.conformance.disk import DiskConformance
from actorkit.testing.conformance.disk_faults import DiskCrashConformance, DiskFaultConformance
from actorkit.testing.conformance.disk_machine import check_against_memory
from actorkit.testing.disk import MemoryDisk, MemoryFile


class BrokenFile:
    """A file that passes everything on."""

    def __init__(self, file: MemoryFile) -> None:
        self.file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class ReadsTooMuch(BrokenFile):
    def read(self, offset: int = 0, count: int | None = None) -> bytes:
        return self.file.read(offset, None if count is None else count + 1)


class GrowsByTruncating(BrokenFile):
    def truncate(self, size: int) -> None:
        if 0 <= size <= self.file.size():
            self.file.truncate(size)
        elif size > 0:
            self.file.append(bytes(min(size, 100)))


class WorksClosed(BrokenFile):
    def close(self) -> None:
        """Stay open."""


class ForgivesSync(BrokenFile):
    """Reports a failed sync once, and never again."""

    def sync(self) -> None:
        try:
            self.file.sync()
        except OSError:
            self.file._life.poison.clear()  # noqa: SLF001
            raise


class CleansUpBadly(BrokenFile):
    """After a failed append it leaves as many zeros as there was data."""

    def append(self, data: Data) -> None:
        try:
            self.file.append(data)
        except OSError:
            self.file.append(bytes(len(data)))
            raise


class LiesAboutSync(BrokenFile):
    def sync(self) -> None:
        """Say it is done."""


def disk_of(files: type[BrokenFile]) -> type[MemoryDisk]:
    """A disk with files of this kind."""

    class Wrapped(MemoryDisk):
        def open(self, name: str, *, create: bool = True) -> Any:
            return files(super().open(name, create=create))

    return Wrapped


class EmptiesOnOpen(MemoryDisk):
    def open(self, name: str, *, create: bool = True) -> MemoryFile:
        if create and self.exists(name):
            self.remove(name)
        return super().open(name, create=create)


class CopiesOnReplace(MemoryDisk):
    def replace(self, source: str, target: str) -> None:
        data = self.open(source, create=False).read()
        new = self.open(target)
        new.truncate(0)
        new.append(data)
        if source != target:
            self.remove(source)


class Unsorted(MemoryDisk):
    def list(self) -> list[str]:
        return super().list()[::-1]


class TakesPaths(MemoryDisk):
    def open(self, name: str, *, create: bool = True) -> MemoryFile:
        return super().open(name.replace("/", "_"), create=create)


class LocksNobodyOut(MemoryDisk):
    def lock(self, name: str, *, holder: str) -> Any:
        return super().lock(f"{name}-{holder}", holder=holder)


class WritesAfterDeath(MemoryDisk):
    def power_cut(self, keep: Any = 0) -> MemoryDisk:
        after = super().power_cut(keep)
        self._life = after._life  # noqa: SLF001
        return after


class LosesWhenKilled(MemoryDisk):
    def kill9(self) -> MemoryDisk:
        return self.power_cut()


class ReplacesByHalves(MemoryDisk):
    def replace(self, source: str, target: str) -> None:
        if self.exists(target):
            self.remove(target)
            self.sync_dir()
        super().replace(source, target)


class Breakable:
    """How to break a disk in memory."""

    @contextmanager
    def failing_sync(self, disk: MemoryDisk, file: File) -> Iterator[None]:
        del file
        disk.fail_next("sync", OSError(errno.EIO, "input/output error"))
        yield

    @contextmanager
    def little_room(self, disk: MemoryDisk, file: File, room: int) -> Iterator[None]:
        del file
        disk.fail_next("append", OSError(errno.ENOSPC, "no space left"), written=room)
        yield

    def kill9(self, disk: MemoryDisk) -> Disk:
        return disk.kill9()

    def power_cut(self, disk: MemoryDisk, number: int) -> Disk:
        return disk.power_cut(number)


# Kit, disk, the law it breaks; and whether comparing with the disk in memory shows it too.
BROKEN: dict[str, tuple[type[Any], type[MemoryDisk], str, bool]] = {
    "ReadsTooMuch": (DiskConformance, disk_of(ReadsTooMuch), "what_is_appended_is_read", True),
    "GrowsByTruncating": (
        DiskConformance,
        disk_of(GrowsByTruncating),
        "truncating_never_makes_longer",
        True,
    ),
    "WorksClosed": (DiskConformance, disk_of(WorksClosed), "a_closed_file_does_nothing", True),
    "EmptiesOnOpen": (DiskConformance, EmptiesOnOpen, "opening_leaves_what_is_there", True),
    "CopiesOnReplace": (DiskConformance, CopiesOnReplace, "replacing_puts_one_file", True),
    "Unsorted": (DiskConformance, Unsorted, "names_are_listed_in_order", True),
    "TakesPaths": (DiskConformance, TakesPaths, "what_is_no_name_is_refused", False),
    "LocksNobodyOut": (DiskConformance, LocksNobodyOut, "a_lock_has_one_holder", False),
    "ForgivesSync": (
        DiskFaultConformance,
        disk_of(ForgivesSync),
        "a_failed_sync_is_never_made_good",
        False,
    ),
    "CleansUpBadly": (
        DiskFaultConformance,
        disk_of(CleansUpBadly),
        "an_append_that_fails_has_written_a_beginning",
        False,
    ),
    "LiesAboutSync": (
        DiskCrashConformance,
        disk_of(LiesAboutSync),
        "what_was_synced_survives",
        False,
    ),
    "WritesAfterDeath": (DiskCrashConformance, WritesAfterDeath, "the_dead_write_nothing", False),
    "LosesWhenKilled": (
        DiskCrashConformance,
        LosesWhenKilled,
        "a_killed_process_loses_nothing",
        False,
    ),
    "ReplacesByHalves": (DiskCrashConformance, ReplacesByHalves, "a_replaced_file", False),
    "Sound": (DiskConformance, MemoryDisk, "", False),
    "SoundFault": (DiskFaultConformance, MemoryDisk, "", False),
    "SoundCrash": (DiskCrashConformance, MemoryDisk, "", False),
}


def kit(base: type[Any], disk: type[MemoryDisk], *, searched: bool) -> type[Any]:
    """The tests of one broken disk, as somebody who wrote it would have them."""

    class Kit(Breakable, base):  # type: ignore[misc]
        disks: dict[Path, MemoryDisk]

        def open_disk(self, place: Path) -> Disk:
            self.__dict__.setdefault("disks", {})
            return self.disks.setdefault(place, disk())

        def test_it_agrees_with_the_disk_in_memory(self, tmp_path: Path) -> None:
            """Without looking for the shortest counterexample."""
            check_against_memory(
                lambda number: self.open_disk(tmp_path / str(number)), shrink=False
            )

    if not searched:
        Kit.test_it_agrees_with_the_disk_in_memory = None  # type: ignore[assignment]
    return Kit


for _name, (_base, _disk, _, _searched) in BROKEN.items():
    globals()[f"Test{_name}"] = kit(_base, _disk, searched=_searched)
