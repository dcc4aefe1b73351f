"""Real files: they pass the kits, and keep the promises that only a real system can break."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actorkit.seams.disk import Disk, File, LockHeld, OsDisk, OsFile, Poisoned
from actorkit.testing.conformance.disk import DiskConformance, content, written
from actorkit.testing.conformance.disk_faults import DiskFaultConformance


class TestOsDisk(DiskConformance):
    def open_disk(self, place: Path) -> Disk:
        return OsDisk(place)


class TestOsDiskWhenItBreaks(DiskFaultConformance):
    def open_disk(self, place: Path) -> Disk:
        return OsDisk(place)

    @contextmanager
    def failing_sync(self, disk: Disk, file: File) -> Iterator[None]:
        """A pipe in the file's place: the kernel cannot sync one."""
        assert isinstance(file, OsFile)
        with _in_place_of(file.fileno(), os.pipe()):
            yield

    @contextmanager
    def little_room(self, disk: Disk, file: File, room: int) -> Iterator[None]:
        """A limit on the size of files: the kernel writes what fits, then nothing, as on a full disk."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.size() + room, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _in_place_of(descriptor: int, pipe: tuple[int, int]) -> Iterator[None]:
    kept = os.dup(descriptor)
    os.dup2(pipe[0], descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        for end in (kept, *pipe):
            os.close(end)


def test_a_missing_directory_is_made(tmp_path: Path) -> None:
    """All that is missing of the path is there afterwards, and a directory that is there is left alone."""
    root = tmp_path / "a" / "b" / "c"
    written(OsDisk(root), "log", b"one").close()
    assert content(OsDisk(str(root)), "log") == b"one"
    assert (root / "log").read_bytes() == b"one"


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """A disk is a directory."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        OsDisk(tmp_path / "file")


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Neither files nor locks can be read by others, whatever the umask."""
    before = os.umask(0)
    try:
        disk = OsDisk(tmp_path)
        disk.open("log").close()
        disk.lock("log", holder="me").release()
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()]
    assert modes == [0o600, 0o600]


def test_only_files_are_listed(tmp_path: Path) -> None:
    """Directories and hidden files of others are none of the disk's."""
    (tmp_path / "directory").mkdir()
    (tmp_path / ".hidden").write_bytes(b"")
    disk = OsDisk(tmp_path)
    disk.open("log").close()
    assert disk.list() == ["log"]
    assert not disk.exists("directory")


def test_a_directory_that_cannot_be_synced_keeps_its_names(tmp_path: Path) -> None:
    """After a failed ``sync_dir`` no name changes any more; files that are there can be read and written."""
    disk = OsDisk(tmp_path / "root")
    log = written(disk, "log", b"one")
    (tmp_path / "root").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError):
        disk.sync_dir()
    (tmp_path / "elsewhere").rename(tmp_path / "root")
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
    assert content(disk, "log") == b"onetwo"
    OsDisk(tmp_path / "root").sync_dir()


def test_free_is_what_the_file_system_says(tmp_path: Path) -> None:
    """``free`` is the room that an ordinary user has."""
    found = os.statvfs(tmp_path)
    assert OsDisk(tmp_path).free() == pytest.approx(found.f_bavail * found.f_frsize, rel=0.1)


WRITER = """
import sys
from actorkit.seams.disk import OsDisk
disk = OsDisk(sys.argv[1])
lock = disk.lock("log", holder="the writer")
log = disk.open("log")
for number in range(1_000_000):
    log.append(b"%07d\\n" % number)
    print(number, flush=True)
"""


def test_a_killed_process_leaves_its_bytes_and_not_its_locks(tmp_path: Path) -> None:
    """What a real process appended before a real ``kill -9`` is there, in order, and its lock is free."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(100)]
        disk = OsDisk(tmp_path)
        with pytest.raises(LockHeld, match="the writer"):
            disk.lock("log", holder="too early")
        writer.send_signal(signal.SIGKILL)
        said += [int(line) for line in writer.stdout if line.endswith("\n")]
    disk.lock("log", holder="the next").release()
    lines = content(disk, "log").split(b"\n")
    assert lines[: len(said)] == [b"%07d" % number for number in said]
