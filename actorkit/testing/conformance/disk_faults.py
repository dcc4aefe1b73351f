"""What a ``Disk`` does when its hardware fails, as tests, for disks that can be broken to order.

class TestMyDiskWhenItBreaks(DiskFaultConformance):
def open_disk(self, place): ...
def failing_sync(self, disk, file): ...        # a context manager: inside, file.sync() fails
def little_room(self, disk, file, room): ...   # a context manager: inside, appends find `room` bytes

class TestMyDiskWhenItCrashes(DiskCrashConformance):
def open_disk(self, place): ...
def kill9(self, disk): ...                     # the disk that the next process finds
def power_cut(self, disk, number): ...         # the same; every number is another legal leftover
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from actorkit.seams.disk import Disk, File, Poisoned
from actorkit.testing.conformance.disk import content, written

CUTS = range(24)  # leftovers to look at; a file with one torn append has some twenty

WRITING: dict[str, Callable[[File], object]] = {
    "append": lambda file: file.append(b"more"),
    "truncate": lambda file: file.truncate(0),
    "sync": lambda file: file.sync(),
}


class DiskFaultConformance:
    """A disk that is full, and one whose syncs fail."""

    def open_disk(self, place: Path) -> Disk:
        """Open an empty disk at an empty directory."""
        raise NotImplementedError

    def failing_sync(self, disk: Disk, file: File) -> AbstractContextManager[None]:
        """Inside this, ``file.sync()`` fails in the hardware."""
        raise NotImplementedError

    def little_room(self, disk: Disk, file: File, room: int) -> AbstractContextManager[None]:
        """Inside this, there is room for ``room`` more bytes in the file."""
        raise NotImplementedError

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Disk:
        """An empty disk."""
        return self.open_disk(tmp_path)

    @pytest.fixture
    def poisoned(self, disk: Disk) -> File:
        """A file whose sync has failed."""
        file = written(disk, "log", b"one")
        file.sync()
        file.append(b"two")
        with self.failing_sync(disk, file), pytest.raises(OSError) as failed:  # noqa: PT011
            file.sync()
        assert not isinstance(failed.value, Poisoned)
        return file

    # Full ---------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("room", [0, 1, 4, 9])
    def test_an_append_that_fails_has_written_a_beginning(self, disk: Disk, room: int) -> None:
        """What stands in the file afterwards is what was there, and the first bytes of the rest, not all of them."""
        file = written(disk, "log", b"before|")
        with self.little_room(disk, file, room), pytest.raises(OSError):  # noqa: PT011
            file.append(b"0123456789")
        assert file.read() == b"before|" + b"0123456789"[: file.size() - 7]
        assert 7 <= file.size() < 17

    def test_a_full_disk_costs_nothing_but_the_append(self, disk: Disk) -> None:
        """Cut to the size before, the file goes on as if nothing had happened as soon as there is room."""
        file = written(disk, "log", b"before|")
        with self.little_room(disk, file, 4), pytest.raises(OSError):  # noqa: PT011
            file.append(b"0123456789")
        file.truncate(7)
        file.append(b"after")
        file.sync()
        assert file.read() == b"before|after"

    # Poison -------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("doing", WRITING)
    def test_a_failed_sync_poisons_the_file(self, disk: Disk, poisoned: File, doing: str) -> None:
        """After it nothing is written or synced any more, through this handle, another, or a new one."""
        for file in (poisoned, disk.open("log")):
            with pytest.raises(Poisoned, match="copy what you"):
                WRITING[doing](file)
        assert poisoned.size() == 6

    def test_a_failed_sync_is_never_made_good(self, disk: Disk, poisoned: File) -> None:
        """A second sync does not succeed, though the hardware works again and others are synced."""
        other = written(disk, "other", b"1")
        other.sync()
        for _ in range(2):
            with pytest.raises(Poisoned):
                poisoned.sync()

    def test_a_poisoned_file_stays_poisoned_under_another_name(
        self, disk: Disk, poisoned: File
    ) -> None:
        """Renaming it makes nothing durable."""
        disk.replace("log", "renamed")
        with pytest.raises(Poisoned):
            disk.open("renamed").append(b"three")
        with pytest.raises(Poisoned):
            poisoned.append(b"three")

    def test_a_poisoned_file_can_be_copied_and_replaced(self, disk: Disk, poisoned: File) -> None:
        """The way out: what can be read and trusted goes to a new file, which takes the name."""
        trusted = poisoned.read(0, 3)
        copy = written(disk, "copy", trusted)
        copy.sync()
        disk.replace("copy", "log")
        disk.sync_dir()
        poisoned.close()
        copy.append(b"!")
        copy.sync()
        assert content(disk, "log") == b"one!"

    def test_a_poisoned_file_can_be_removed(self, disk: Disk, poisoned: File) -> None:
        """A new file of its name is sound."""
        disk.remove("log")
        poisoned.close()
        fresh = written(disk, "log", b"new")
        fresh.sync()
        assert content(disk, "log") == b"new"


class DiskCrashConformance:
    """A disk whose process is killed, or whose machine loses its power."""

    def open_disk(self, place: Path) -> Disk:
        """Open an empty disk at an empty directory."""
        raise NotImplementedError

    def kill9(self, disk: Disk) -> Disk:
        """End the process that has this disk; returns the disk of the next one."""
        raise NotImplementedError

    def power_cut(self, disk: Disk, number: int) -> Disk:
        """End the machine; returns the disk when it is back, with one of the legal leftovers."""
        raise NotImplementedError

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Disk:
        """An empty disk."""
        return self.open_disk(tmp_path)

    def test_a_killed_process_loses_nothing(self, disk: Disk) -> None:
        """All that it wrote, renamed and removed is there for the next one, synced or not."""
        written(disk, "log", b"onetwo").truncate(3)
        written(disk, "new", b"new")
        disk.replace("new", "data")
        written(disk, "gone", b"")
        disk.remove("gone")
        after = self.kill9(disk)
        assert after.list() == ["data", "log"]
        assert content(after, "log") == b"one"
        assert content(after, "data") == b"new"

    @pytest.mark.parametrize("number", CUTS)
    def test_what_was_synced_survives_a_power_cut(self, disk: Disk, number: int) -> None:
        """Synced content under a synced name is there, and behind it at most what was appended, or zeros."""
        file = written(disk, "log", b"synced")
        file.sync()
        disk.sync_dir()
        file.append(b"unsynced")
        found = content(self.power_cut(disk, number), "log")
        assert found[:6] == b"synced"
        assert len(found) <= 14
        assert all(byte in (0, real) for byte, real in zip(found[6:], b"unsynced", strict=False))

    @pytest.mark.parametrize("number", CUTS)
    def test_two_power_cuts_are_no_worse_than_one(self, disk: Disk, number: int) -> None:
        """What a power cut has left is durable: the next one leaves it as it is."""
        file = written(disk, "log", b"synced")
        disk.sync_dir()
        file.sync()
        file.append(b"unsynced")
        once = self.power_cut(disk, number)
        found = content(once, "log")
        assert content(self.power_cut(once, 0), "log") == found

    def test_what_a_killed_process_left_is_not_durable_yet(self, disk: Disk) -> None:
        """The next process sees unsynced bytes, and keeps them only by syncing them itself."""
        file = written(disk, "log", b"one")
        file.sync()
        disk.sync_dir()
        file.append(b"two")
        after = self.kill9(disk)
        recovered = after.open("log")
        assert recovered.read() == b"onetwo"
        recovered.sync()
        for number in CUTS:
            after = self.power_cut(after, number)
            assert content(after, "log") == b"onetwo"

    @pytest.mark.parametrize("number", CUTS)
    def test_a_replaced_file_is_the_old_one_or_the_new(self, disk: Disk, number: int) -> None:
        """With the new content synced before, nobody ever finds anything but one of the two, whole."""
        written(disk, "data", b"old").sync()
        disk.sync_dir()
        written(disk, "new", b"fresh").sync()
        disk.replace("new", "data")
        assert content(self.power_cut(disk, number), "data") in (b"old", b"fresh")

    @pytest.mark.parametrize("number", CUTS)
    def test_synced_names_survive(self, disk: Disk, number: int) -> None:
        """After ``sync_dir`` what was created is there, what was removed is not, and what was renamed is renamed."""
        for name in ("kept", "removed", "old name"):
            written(disk, name, name.encode()).sync()
        disk.sync_dir()
        disk.remove("removed")
        disk.replace("old name", "new name")
        written(disk, "created", b"").sync()
        disk.sync_dir()
        after = self.power_cut(disk, number)
        assert after.list() == ["created", "kept", "new name"]
        assert content(after, "new name") == b"old name"

    @pytest.mark.parametrize("how", ["kill9", "power cut"])
    def test_the_dead_write_nothing(self, disk: Disk, how: str) -> None:
        """What code of the dead process still tries raises ``OSError`` and changes nothing for the next one."""
        file = written(disk, "log", b"one")
        file.sync()
        disk.sync_dir()
        after = self.kill9(disk) if how == "kill9" else self.power_cut(disk, 0)
        attempts: list[Callable[[], object]] = [
            lambda: file.append(b"two"),
            lambda: file.truncate(0),
            file.sync,
            lambda: disk.open("other"),
            lambda: disk.remove("log"),
            lambda: disk.replace("log", "other"),
            disk.sync_dir,
            lambda: disk.lock("log", holder="a ghost"),
        ]
        for attempt in attempts:
            with pytest.raises(OSError):  # noqa: PT011
                attempt()
        assert after.list() == ["log"]
        assert content(after, "log") == b"one"

    def test_locks_die_with_their_process(self, disk: Disk) -> None:
        """The next process can have them, and the dead one's release does not take them away."""
        lock = disk.lock("log", holder="the dead")
        after = self.kill9(disk)
        with after.lock("log", holder="the living"):
            lock.release()
            with pytest.raises(OSError, match="the living"):
                after.lock("log", holder="somebody else")
