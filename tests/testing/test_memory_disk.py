"""The disk in memory passes every kit, and fails in the ways it is told to."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from actorkit.seams.disk import Disk, File, LockHeld, Poisoned
from actorkit.testing.conformance.disk import DiskConformance, content, written
from actorkit.testing.conformance.disk_faults import DiskCrashConformance, DiskFaultConformance
from actorkit.testing.disk import OPERATIONS, Keep, MemoryDisk
from actorkit.testing.platter import Survival

EIO = OSError(errno.EIO, "input/output error")
ENOSPC = OSError(errno.ENOSPC, "no space left on device")


class TestMemoryDisk(DiskConformance):
    disks: dict[Path, MemoryDisk]

    def open_disk(self, place: Path) -> Disk:
        self.__dict__.setdefault("disks", {})
        return self.disks.setdefault(place, MemoryDisk())

    # It is what others are compared with.
    test_it_agrees_with_the_disk_in_memory = None  # type: ignore[assignment]


class _Breakable:
    """How to break a disk in memory."""

    def open_disk(self, place: Path) -> Disk:
        del place
        return MemoryDisk()

    @contextmanager
    def failing_sync(self, disk: Disk, file: File) -> Iterator[None]:
        assert isinstance(disk, MemoryDisk)
        disk.fail_next("sync", EIO)
        yield

    @contextmanager
    def little_room(self, disk: Disk, file: File, room: int) -> Iterator[None]:
        assert isinstance(disk, MemoryDisk)
        disk.fail_next("append", ENOSPC, written=room)
        yield

    def kill9(self, disk: Disk) -> Disk:
        assert isinstance(disk, MemoryDisk)
        return disk.kill9()

    def power_cut(self, disk: Disk, number: int) -> Disk:
        assert isinstance(disk, MemoryDisk)
        return disk.power_cut(number)


class TestMemoryDiskWhenItBreaks(_Breakable, DiskFaultConformance): ...


class TestMemoryDiskWhenItCrashes(_Breakable, DiskCrashConformance): ...


class TestMemoryDiskOfLimitedSize(_Breakable, DiskFaultConformance):
    """The same laws, with a disk that is full because it is small."""

    @contextmanager
    def little_room(self, disk: Disk, file: File, room: int) -> Iterator[None]:
        assert isinstance(disk, MemoryDisk)
        ballast = disk.open("ballast")
        disk.resize(file.size() + room + 100)
        ballast.append(bytes(100))
        yield
        disk.resize(None)


# Failures to order -----------------------------------------------------------------------------------------------


def everything(disk: MemoryDisk) -> None:
    """A workload in which each kind of operation occurs."""
    file = disk.open("log")
    file.append(b"one")
    file.sync()
    disk.sync_dir()
    file.truncate(0)
    file.read()
    disk.replace("log", "old")
    disk.remove("old")
    disk.list()
    disk.lock("log", holder="me").release()


def test_every_kind_of_operation_can_fail() -> None:
    """A failure for any kind strikes in a workload that has them all; without one the workload succeeds."""
    everything(MemoryDisk())
    for operation in OPERATIONS:
        disk = MemoryDisk()
        disk.fail_next(operation, EIO)
        with pytest.raises(OSError, match="input/output"):
            everything(disk)


def test_every_operation_can_fail_in_turn() -> None:
    """Counting up ``skip`` fails each operation once, then none: as many failures as operations."""
    failures = 0
    for skip in count():
        disk = MemoryDisk()
        disk.fail_next(None, EIO, skip=skip)
        try:
            everything(disk)
        except OSError as error:
            assert error is EIO  # noqa: PT017
            assert disk.operations == skip + 1
            failures += 1
        else:
            assert failures == disk.operations == skip == 10
            return


def test_failures_strike_once_and_in_the_order_they_were_given() -> None:
    """Two failures for one kind strike two operations; the third succeeds."""
    disk = MemoryDisk()
    file = disk.open("log")
    disk.fail_next("append", EIO, written=0)
    disk.fail_next("append", ENOSPC, written=0)
    for expected in (EIO, ENOSPC):
        with pytest.raises(OSError, match=expected.strerror) as failed:
            file.append(b"one")
        assert failed.value is expected
    file.append(b"one")
    assert file.read() == b"one"


def test_a_failure_spares_other_kinds_and_as_many_as_it_is_told() -> None:
    """``skip`` counts operations of the kind only."""
    disk = MemoryDisk()
    file = disk.open("log")
    disk.fail_next("append", EIO, skip=1, written=0)
    file.append(b"one")
    file.sync()
    file.read()
    with pytest.raises(OSError, match="input/output"):
        file.append(b"two")


def test_an_unknown_kind_of_failure_is_refused() -> None:
    """The kinds there are, are named."""
    with pytest.raises(ValueError, match="'fsync'"):
        MemoryDisk().fail_next("fsync", EIO)


def test_a_failed_append_has_written_half() -> None:
    """Unless told otherwise; and never more than there is room for."""
    disk = MemoryDisk()
    file = disk.open("log")
    disk.fail_next("append", EIO)
    with pytest.raises(OSError, match="input/output"):
        file.append(b"0123456789")
    assert file.read() == b"01234"


def test_a_failed_operation_changes_nothing_else() -> None:
    """What failed to be created, renamed, removed, cut or locked is as it was."""
    disk = MemoryDisk()
    written(disk, "data", b"one")
    attempts: dict[str, Callable[[], object]] = {
        "open": lambda: disk.open("new"),
        "replace": lambda: disk.replace("data", "new"),
        "remove": lambda: disk.remove("data"),
        "lock": lambda: disk.lock("data", holder="me"),
    }
    for operation, attempt in attempts.items():
        disk.fail_next(operation, EIO)
        with pytest.raises(OSError, match="input/output"):
            attempt()
    assert disk.list() == ["data"]
    assert content(disk, "data") == b"one"
    disk.lock("data", holder="me").release()


# A disk that is full ----------------------------------------------------------------------------------------------


def test_a_full_disk_writes_what_fits_and_frees_what_is_removed() -> None:
    """``ENOSPC`` comes after a short write; cutting and removing give the room back."""
    disk = MemoryDisk(capacity=10)
    log, other = disk.open("log"), written(disk, "other", b"123")
    assert disk.free() == 7
    with pytest.raises(OSError, match="3 bytes of 'log'") as full:
        log.append(b"0123456789")
    assert full.value.errno == errno.ENOSPC
    assert (log.read(), disk.free()) == (b"0123456", 0)
    with pytest.raises(OSError, match="1 bytes"):
        other.append(b"4")
    log.truncate(5)
    assert disk.free() == 2
    disk.remove("other")
    assert disk.free() == 5
    log.append(b"56789")
    assert log.read() == b"0123456789"


def test_a_disk_may_grow() -> None:
    """``resize`` makes room; the next incarnation has the same size."""
    disk = MemoryDisk(capacity=1)
    disk.resize(100)
    assert disk.kill9().free() == 100
    with pytest.raises(ValueError, match="-1"):
        MemoryDisk(capacity=-1)


# Deaths -----------------------------------------------------------------------------------------------------------


def test_a_lie_about_a_sync_comes_out_when_the_power_goes() -> None:
    """After a failed sync a new process may sync with success, and the bytes are zeros all the same (fsyncgate)."""
    disk = MemoryDisk()
    log = written(disk, "log", b"|")
    log.sync()
    disk.sync_dir()
    log.append(b"lost")
    disk.fail_next("sync", EIO)
    with pytest.raises(OSError, match="input/output"):
        log.sync()
    disk = disk.kill9()
    again = disk.open("log")
    assert again.read() == b"|lost"
    again.append(b"kept")
    again.sync()
    assert again.read() == b"|lostkept"
    assert content(disk.power_cut(), "log") == b"|\0\0\0\0kept"


def test_names_that_failed_to_sync_can_be_changed_no_more() -> None:
    """Only the next process may; what failed to be written is gone when the power is."""
    disk = MemoryDisk()
    log = written(disk, "log", b"one")
    disk.fail_next("sync_dir", EIO)
    with pytest.raises(OSError, match="input/output"):
        disk.sync_dir()
    for change in (
        disk.sync_dir,
        lambda: disk.open("new"),
        lambda: disk.remove("log"),
        lambda: disk.replace("log", "new"),
    ):
        with pytest.raises(Poisoned, match="names"):
            change()
    log.append(b"two")
    log.sync()
    disk = disk.kill9()
    disk.sync_dir()
    assert disk.list() == ["log"]
    assert disk.power_cut().list() == []


def test_keep_says_what_survives() -> None:
    """Of each file named so much, of the others nothing, and of the names all or nothing."""

    def cut(keep: Keep) -> dict[str, bytes]:
        disk = MemoryDisk()
        written(disk, "old", b"old").sync()
        disk.sync_dir()
        for part in (b"one", b"two", b"three"):
            disk.open("old").append(part)
        written(disk, "new", b"new").sync()
        after = disk.power_cut(keep)
        return {name: content(after, name) for name in after.list()}

    assert cut(Keep()) == {"old": b"old"}
    assert cut(Keep({"old": Survival(1)})) == {"old": b"oldone"}
    assert cut(Keep({"old": Survival(1, torn=2)}, names=True)) == {
        "old": b"oldonetw",
        "new": b"new",
    }
    assert cut(Keep({"old": Survival(2, torn=1, zeros=True)})) == {"old": b"oldonetwot\0\0\0\0"}
    with pytest.raises(ValueError, match="'gone'"):
        cut(Keep({"gone": Survival(1)}))


def test_a_number_picks_a_leftover() -> None:
    """Numbers beyond the last begin again, 0 loses everything unsynced, and the last nothing."""
    disk = MemoryDisk()
    written(disk, "log", b"abc")
    leftovers = disk.leftovers()
    assert leftovers > 5

    def picked(number: int) -> dict[str, bytes]:
        copy = MemoryDisk()
        written(copy, "log", b"abc")
        after = copy.power_cut(number)
        return {name: content(after, name) for name in after.list()}

    assert picked(0) == disk.durable() == {}
    assert picked(leftovers - 1) == {"log": b"abc"}
    assert picked(leftovers + 3) == picked(3)


def test_the_dead_say_who_lives() -> None:
    """The error of a fenced disk is ``ESTALE`` and names the remedy; a disk dies once."""
    disk = MemoryDisk()
    after = disk.kill9()
    assert (disk.incarnation, after.incarnation) == (1, 2)
    assert repr(disk) == "<MemoryDisk, incarnation 1, fenced>"
    for attempt in (disk.list, disk.free, disk.kill9, disk.power_cut, lambda: disk.exists("log")):
        with pytest.raises(OSError, match=r"use the disk that kill9") as stale:
            attempt()
        assert stale.value.errno == errno.ESTALE
    assert after.power_cut().incarnation == 3


def test_orders_for_failures_die_with_the_process() -> None:
    """The next process' disk works."""
    disk = MemoryDisk()
    disk.fail_next("open", EIO)
    disk.kill9().open("log").append(b"one")


# All of it --------------------------------------------------------------------------------------------------------


class DyingDisk(RuleBasedStateMachine):
    """Appends, syncs, renames and deaths in any order; what was promised is there after each death."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = MemoryDisk()
        self.safe: dict[str, bytes] = {}  # what must be there
        self.seen: dict[str, bytes] = {}  # what was there when the process died
        self.touched: set[str] = set()  # names that were changed since the last sync of names

    @rule(name=st.sampled_from("ab"), data=st.binary(min_size=1, max_size=4))
    def append(self, name: str, data: bytes) -> None:
        """Append to a file, which may be new."""
        if not self.disk.exists(name):
            self.touched.add(name)
        written(self.disk, name, data).close()

    @rule(name=st.sampled_from("ab"))
    def sync(self, name: str) -> None:
        """Sync one file."""
        if self.disk.exists(name):
            file = self.disk.open(name)
            file.sync()
            if name not in self.touched:
                self.safe[name] = file.read()

    @rule()
    def sync_everything(self) -> None:
        """Sync all files and the names."""
        for name in self.disk.list():
            self.disk.open(name).sync()
        self.disk.sync_dir()
        self.touched.clear()
        self.safe = self._contents()

    @rule(name=st.sampled_from("ab"), other=st.sampled_from("ab"))
    def rename(self, name: str, other: str) -> None:
        """Put one file in place of another."""
        if self.disk.exists(name) and name != other:
            self.disk.replace(name, other)
            self.touched |= {name, other}
            self.safe.pop(name, None)
            self.safe.pop(other, None)

    @rule()
    def kill(self) -> None:
        """Nothing is lost, and nothing becomes durable by it."""
        before = self._contents()
        self.disk = self.disk.kill9()
        assert self._contents() == before

    @rule(number=st.integers(0, 500))
    def cut(self, number: int) -> None:
        """What was promised is there, and whatever else is left is durable now."""
        self.disk = self.disk.power_cut(number)
        after = self._contents()
        for name, data in self.safe.items():
            assert after[name][: len(data)] == data
        assert self.disk.leftovers() == 1
        assert self.disk.durable() == after
        self.safe, self.touched = after, set()

    @rule()
    def look(self) -> None:
        """``durable`` knows all that was promised."""
        durable = self.disk.durable()
        for name, data in self.safe.items():
            assert durable[name][: len(data)] == data

    def _contents(self) -> dict[str, bytes]:
        return {name: content(self.disk, name) for name in self.disk.list()}


TestDyingDisk: Any = DyingDisk.TestCase
TestDyingDisk.settings = settings(max_examples=150, stateful_step_count=25)


def test_the_lock_names_its_holder_after_all_that() -> None:
    """A lock taken on a later incarnation is as good as one on the first."""
    disk = MemoryDisk().kill9().power_cut()
    disk.lock("log", holder="me")
    with pytest.raises(LockHeld, match="held by me:"):
        disk.lock("log", holder="you")
