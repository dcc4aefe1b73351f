"""What every ``Disk`` does, as tests; see ``actorkit.seams.disk`` for the contract in words.

    class TestMyDisk(DiskConformance):
        def open_disk(self, place):
            return MyDisk(place)

Disks whose hardware can be broken to order pass ``actorkit.testing.conformance.disk_faults`` as well.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from actorkit.seams.disk import Disk, File, LockHeld

NOT_NAMES = ("", ".", "..", ".hidden", "a/b", "/a", "a\\b", "a\0b", "n" * 201)

BY_NAME: dict[str, Callable[[Disk, str], object]] = {
    "open": lambda disk, name: disk.open(name),
    "replace from": lambda disk, name: disk.replace(name, "other"),
    "replace to": lambda disk, name: disk.replace("there", name),
    "remove": lambda disk, name: disk.remove(name),
    "exists": lambda disk, name: disk.exists(name),
    "lock": lambda disk, name: disk.lock(name, holder="me"),
}

ON_A_FILE: dict[str, Callable[[File], object]] = {
    "append": lambda file: file.append(b"more"),
    "append nothing": lambda file: file.append(b""),
    "read": lambda file: file.read(),
    "size": lambda file: file.size(),
    "truncate": lambda file: file.truncate(0),
    "sync": lambda file: file.sync(),
}


def written(disk: Disk, name: str, data: bytes) -> File:
    """Open a file and append to it."""
    file = disk.open(name)
    file.append(data)
    return file


def content(disk: Disk, name: str) -> bytes:
    """All that is in a file."""
    file = disk.open(name, create=False)
    try:
        return file.read()
    finally:
        file.close()


class DiskConformance:
    """The tests that any disk passes; subclass it and say how to open yours."""

    def open_disk(self, place: Path) -> Disk:
        """Open the disk at a place, which is an empty directory at first.

        Opened again at the same place, while the first one is open too, it is the same disk with the same files.
        """
        raise NotImplementedError

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Disk:
        """An empty disk."""
        return self.open_disk(tmp_path)

    # Content ------------------------------------------------------------------------------------------------------

    def test_what_is_appended_is_read(self, disk: Disk) -> None:
        """Appends stand behind each other, and any part of them can be read."""
        file = written(disk, "log", b"one")
        file.append(b"two")
        assert file.size() == 6
        assert file.read() == b"onetwo"
        assert file.read(2) == b"etwo"
        assert file.read(2, 3) == b"etw"
        assert file.read(4, 100) == b"wo"
        assert file.read(0, 0) == b""

    @pytest.mark.parametrize("offset", [6, 7, 1 << 40])
    def test_beyond_the_end_there_is_nothing(self, disk: Disk, offset: int) -> None:
        """Reading at the end or behind it gives no bytes, and does not make the file longer."""
        file = written(disk, "log", b"onetwo")
        assert file.read(offset) == b""
        assert file.read(offset, 10) == b""
        assert file.size() == 6

    @pytest.mark.parametrize(("offset", "count"), [(-1, None), (0, -1), (-3, 2)])
    def test_nobody_reads_backwards(self, disk: Disk, offset: int, count: int | None) -> None:
        """A negative offset or count is refused."""
        file = written(disk, "log", b"onetwo")
        with pytest.raises(ValueError, match=str(min(offset, count or 0))):
            file.read(offset, count)

    def test_any_kind_of_bytes_can_be_appended(self, disk: Disk) -> None:
        """Bytes, a bytearray and a part of a memoryview are written as they are, and not kept."""
        file = disk.open("log")
        mine = bytearray(b"two")
        file.append(b"one")
        file.append(mine)
        mine[:] = b"xxx"
        file.append(memoryview(b"_three_")[1:-1])
        assert file.read() == b"onetwothree"

    def test_an_empty_append_is_no_change(self, disk: Disk) -> None:
        """Nothing appended to something leaves it, and to nothing makes nothing."""
        file = written(disk, "log", b"")
        assert file.read() == b""
        file.append(b"one")
        file.append(bytearray())
        assert file.read() == b"one"

    def test_a_large_append_is_whole(self, disk: Disk) -> None:
        """Three megabytes and a bit in one append are all there."""
        data = bytes(range(251)) * 13_000
        file = written(disk, "log", data)
        assert file.size() == len(data)
        assert file.read() == data
        assert file.read(1_000_000, 300) == data[1_000_000:1_000_300]

    def test_two_handles_are_one_file(self, disk: Disk) -> None:
        """Whoever has the file open sees what others did to it, and appends at its end."""
        one, other = disk.open("log"), disk.open("log")
        one.append(b"one")
        other.append(b"two")
        one.append(b"three")
        assert one.read() == other.read() == b"onetwothree"
        other.truncate(4)
        one.append(b"!")
        assert one.size() == other.size() == 5
        assert other.read() == b"onet!"

    def test_a_truncated_file_goes_on_at_its_new_end(self, disk: Disk) -> None:
        """What is cut off is gone, and the next append stands where the cut was."""
        file = written(disk, "log", b"onetwo")
        file.truncate(4)
        assert file.read() == b"onet"
        file.append(b"ree")
        assert file.read() == b"onetree"
        file.truncate(7)
        file.truncate(0)
        assert file.size() == 0
        assert file.read() == b""

    @pytest.mark.parametrize("size", [4, 1 << 40, -1])
    def test_truncating_never_makes_longer(self, disk: Disk, size: int) -> None:
        """A size that the file does not have is refused, and nothing changes."""
        file = written(disk, "log", b"one")
        with pytest.raises(ValueError, match=str(size)):
            file.truncate(size)
        assert file.read() == b"one"

    def test_syncing_changes_nothing_that_is_read(self, disk: Disk) -> None:
        """Content and names can be synced at any time, again and again."""
        file = written(disk, "log", b"one")
        for _ in range(2):
            file.sync()
            disk.sync_dir()
        file.append(b"two")
        assert file.read() == b"onetwo"
        assert disk.list() == ["log"]

    # Handles ------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("doing", ON_A_FILE)
    def test_a_closed_file_does_nothing(self, disk: Disk, doing: str) -> None:
        """Everything on a closed file raises ``ValueError`` with its name; others who have it open go on."""
        file, other = written(disk, "log", b"one"), disk.open("log")
        file.close()
        with pytest.raises(ValueError, match="'log'"):
            ON_A_FILE[doing](file)
        assert other.read() == b"one"

    def test_closing_twice_is_closing_once(self, disk: Disk) -> None:
        """A file can be closed again; another one opened in between stays open."""
        file = written(disk, "log", b"one")
        file.close()
        other = disk.open("other")
        file.close()
        other.append(b"two")
        assert (file.name, other.name) == ("log", "other")
        assert content(disk, "log") == b"one"
        assert content(disk, "other") == b"two"

    def test_files_stay_when_their_disk_is_opened_again(self, disk: Disk, tmp_path: Path) -> None:
        """Another disk at the same place has the same files."""
        written(disk, "one", b"1").close()
        written(disk, "two", b"22").close()
        disk.remove("one")
        again = self.open_disk(tmp_path)
        assert again.list() == ["two"]
        assert content(again, "two") == b"22"

    # Names --------------------------------------------------------------------------------------------------------

    def test_an_empty_disk_has_no_files(self, disk: Disk) -> None:
        """There are no names at first."""
        assert disk.list() == []
        assert not disk.exists("log")

    def test_opening_makes_an_empty_file_unless_told_not_to(self, disk: Disk) -> None:
        """An absent file is created; with ``create=False`` it is missed, and nothing is made."""
        with pytest.raises(FileNotFoundError, match="log"):
            disk.open("log", create=False)
        assert disk.list() == []
        assert disk.open("log").read() == b""
        assert disk.exists("log")
        assert disk.open("log", create=False).size() == 0

    def test_opening_leaves_what_is_there(self, disk: Disk) -> None:
        """A file that is there is neither emptied nor replaced."""
        written(disk, "log", b"one").close()
        assert disk.open("log").read() == b"one"
        assert disk.open("log", create=False).read() == b"one"

    def test_names_are_listed_in_order(self, disk: Disk) -> None:
        """``list`` is sorted, whatever the order in which files were made."""
        names = ["b", "a.tmp", "B", "10", "9", "a", "with space", "-x"]
        for name in names:
            disk.open(name).close()
        assert disk.list() == sorted(names)

    @pytest.mark.parametrize("name", NOT_NAMES)
    @pytest.mark.parametrize("doing", BY_NAME)
    def test_what_is_no_name_is_refused(self, disk: Disk, doing: str, name: str) -> None:
        """Paths, hidden names and overlong ones are a ``ValueError`` everywhere, and change nothing."""
        written(disk, "there", b"one").close()
        with pytest.raises(ValueError, match="name"):
            BY_NAME[doing](disk, name)
        assert disk.list() == ["there"]
        assert content(disk, "there") == b"one"

    def test_a_name_may_have_200_bytes(self, disk: Disk) -> None:
        """The longest name allowed works everywhere."""
        long = "n" * 200
        written(disk, long, b"one").close()
        disk.replace(long, "short")
        disk.replace("short", long)
        disk.lock(long, holder="me").release()
        assert disk.list() == [long]
        disk.remove(long)
        assert not disk.exists(long)

    def test_replacing_puts_one_file_in_place_of_another(self, disk: Disk) -> None:
        """The target has the source's content, the source is gone, and open handles stay with their own file."""
        new, old = written(disk, "new", b"new"), written(disk, "data", b"old")
        disk.replace("new", "data")
        assert disk.list() == ["data"]
        assert content(disk, "data") == b"new"
        assert old.read() == b"old"
        new.append(b"er")
        old.append(b"est")
        assert content(disk, "data") == b"newer"

    def test_replacing_nothing_is_renaming(self, disk: Disk) -> None:
        """Without a target the source is renamed; onto itself nothing changes."""
        written(disk, "new", b"new").close()
        disk.replace("new", "data")
        disk.replace("data", "data")
        assert disk.list() == ["data"]
        assert content(disk, "data") == b"new"

    def test_removing_takes_the_name_and_not_the_file(self, disk: Disk) -> None:
        """Those who have it open keep it; a new file of the name is another one."""
        old = written(disk, "log", b"old")
        disk.remove("log")
        assert not disk.exists("log")
        new = written(disk, "log", b"new")
        old.append(b"er")
        assert old.read() == b"older"
        assert new.read() == content(disk, "log") == b"new"

    def test_what_is_absent_is_missed(self, disk: Disk) -> None:
        """Removing or renaming an absent file raises, and leaves the others alone."""
        written(disk, "data", b"one").close()
        with pytest.raises(FileNotFoundError, match="gone"):
            disk.remove("gone")
        with pytest.raises(FileNotFoundError, match="gone"):
            disk.replace("gone", "data")
        with pytest.raises(FileNotFoundError, match="gone"):
            disk.replace("gone", "gone")
        assert disk.list() == ["data"]
        assert content(disk, "data") == b"one"

    # Locks, room, everything --------------------------------------------------------------------------------------

    def test_a_lock_has_one_holder(self, disk: Disk, tmp_path: Path) -> None:
        """Whoever comes second is refused and told who was first, through another disk as well."""
        lock = disk.lock("log", holder="node a")
        for rival in (disk, self.open_disk(tmp_path)):
            with pytest.raises(LockHeld, match="node a") as refused:
                rival.lock("log", holder="node b")
            assert refused.value.holder == "node a"
        lock.release()
        with (
            disk.lock("log", holder="b"),
            pytest.raises(LockHeld, match="held by b:"),
        ):
            disk.lock("log", holder="node c")
        disk.lock("log", holder="node d").release()

    def test_a_lock_is_released_once(self, disk: Disk) -> None:
        """Releasing again does not take it from its next holder."""
        lock = disk.lock("log", holder="node a")
        lock.release()
        after = disk.lock("log", holder="node b")
        lock.release()
        with pytest.raises(LockHeld, match="node b"):
            disk.lock("log", holder="node c")
        after.release()

    def test_locks_are_not_files(self, disk: Disk) -> None:
        """A lock shows in no list, needs no file, and hinders nobody but other lockers of the name."""
        with disk.lock("log", holder="node a"), disk.lock("other", holder="node a"):
            assert disk.list() == []
            written(disk, "log", b"one").close()
            disk.remove("log")
        assert disk.list() == []

    def test_there_is_room(self, disk: Disk) -> None:
        """``free`` counts bytes."""
        assert isinstance(disk.free(), int)
        assert disk.free() > 10_000

    def test_it_agrees_with_the_disk_in_memory(self, tmp_path: Path) -> None:
        """Any sequence of operations has the same results here and on a ``MemoryDisk``."""
        pytest.importorskip("hypothesis")
        from actorkit.testing.conformance.disk_machine import (  # noqa: PLC0415
            check_against_memory,
        )

        check_against_memory(lambda example: self.open_disk(tmp_path / f"example-{example}"))
