"""The disk: one directory of files that grow at the end. ``OsDisk`` is the real one.

All calls block; whoever runs on trio makes them through the ``Offload`` seam, one at a time per file. A disk is flat, and a
second directory is a second disk. What every disk keeps to, and ``actorkit.testing.conformance.disk`` checks:

**What survives what.**

- The end of the *process*, however sudden: everything that was appended, truncated or renamed, synced or not.
- The end of the *machine* (power cut, kernel crash): of a file's content, what came before its last ``sync`` that returned;
  of names (created, replaced, removed), what came before the last ``sync_dir`` that returned. A file that was synced under
  a name that was not is gone.
- Of what came later anything may survive: nothing, all, some operations but not others, part of one append, or its length
  with zeros for its bytes. Only a file's own operations keep their order, and even there bytes may be missing in the middle.
  No file is renamed by halves: ``replace`` happened or it did not. (Pillai et al., "All File Systems Are Not Created Equal",
  OSDI 2014, has what which file system does; SQLite's "Atomic Commit In SQLite" has what a careful program assumes.)
- So what a recovering process has read need not be durable: it may come from the cache that the killed process left. **Sync
  what you recovered before you act on it.**

**Appends.** ``append`` writes all of its data or raises. After it raised, any prefix of the data may stand in the file, and
what is appended next would stand behind it: truncate to the size before, then go on. That is how a full disk shows itself.

**A failed sync poisons.** If ``sync`` raises, what came after the last good one may be on the disk or not, and the kernel may
have thrown it away while readers still see it: Linux marks the pages clean, so a second attempt "succeeds" without writing
(PostgreSQL's "fsyncgate", 2018; Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020). Therefore nobody
retries. From then on the file can be read, closed, replaced and removed; everything else raises ``Poisoned``, through every
handle of this disk. The way on: copy what you trust to a new file, sync that, and ``replace``. The same holds for
``sync_dir`` and the names: only a new process with a new disk may change them again.

**Locks** are advisory and exclusive, also between two disks of one process, and end with the process that holds them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import Protocol

Data = bytes | bytearray | memoryview


class File(Protocol):
    """An open file."""

    @property
    def name(self) -> str:
        """The name it was opened by."""
        ...

    def append(self, data: Data, /) -> None:
        """Write all of ``data`` behind what is there.

        Raises:
            OSError: any prefix of it may have been written; truncate before you append anything else.
            Poisoned: an earlier sync failed.
        """
        ...

    def read(self, offset: int = 0, count: int | None = None) -> bytes:
        """``count`` bytes from ``offset``, or all there are; fewer only where the file ends."""
        ...

    def size(self) -> int:
        """The number of bytes in the file."""
        ...

    def truncate(self, size: int, /) -> None:
        """Cut the file to ``size`` bytes, which is no more than it has.

        Raises:
            ValueError: it would grow.
            Poisoned: an earlier sync failed.
        """
        ...

    def sync(self) -> None:
        """Make the content durable: when this returns, it survives a power cut.

        Raises:
            OSError: it may not survive, and the file is poisoned.
            Poisoned: an earlier sync failed.
        """
        ...

    def close(self) -> None:
        """Let go of the file, without syncing it. Fine to repeat; anything else on a closed file is a ``ValueError``."""
        ...


class Lock(Protocol):
    """A lock that is held; leaving it as a context manager releases it."""

    def release(self) -> None:
        """Let others have it. Fine to repeat."""
        ...

    def __enter__(self) -> Lock: ...

    def __exit__(self, *_: object) -> None: ...


class Disk(Protocol):
    """A directory. A name is one path component that does not begin with a dot."""

    def open(self, name: str, *, create: bool = True) -> File:
        """Open a file; an absent one is created empty, which its name survives only after ``sync_dir``.

        Raises:
            FileNotFoundError: it is absent, and ``create`` is False.
            ValueError: that is no name.
        """
        ...

    def replace(self, source: str, target: str) -> None:
        """Rename a file, over another one if there is one; nobody ever sees neither or half. Sync ``source`` before.

        Raises:
            FileNotFoundError: there is no ``source``.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a file; those who have it open keep it.

        Raises:
            FileNotFoundError: it is absent.
        """
        ...

    def list(self) -> list[str]:
        """The names of all files, sorted."""
        ...

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""
        ...

    def sync_dir(self) -> None:
        """Make the names durable: what was created, replaced and removed so far survives a power cut.

        Raises:
            OSError: it may not, and names can be changed no more.
        """
        ...

    def lock(self, name: str, *, holder: str) -> Lock:
        """Take the lock called ``name``, without waiting; ``holder`` tells others who has it. Locks are not files.

        Raises:
            LockHeld: somebody has it.
        """
        ...

    def free(self) -> int:
        """The number of bytes that can still be written, as far as anybody knows."""
        ...


class Poisoned(OSError):
    """A sync failed earlier, so nobody knows what is durable; nothing was done."""

    def __init__(self, what: str, cause: OSError) -> None:
        super().__init__(
            cause.errno,
            f"an earlier sync of {what} failed ({cause.strerror or cause}), and no later one can be trusted: copy what you "
            "trust to a new file, sync it and replace this one, or start anew from what is durable",
        )


class LockHeld(BlockingIOError):
    """Somebody else has the lock.

    Attributes:
        holder: who, as they said when they took it; empty if they had no time to say it.
    """

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(
            errno.EWOULDBLOCK,
            f"the lock {name!r} is held by {holder or 'somebody unknown'}: end that one first, it is freed with its process",
        )
        self.holder = holder


def checked_name(name: str) -> str:
    """``name``, if a file on any disk may be called that.

    Raises:
        ValueError: it may not.
    """
    # 200 bytes leave room below the usual 255 for what a disk puts around the name of a lock.
    if not name or name.startswith(".") or set(name) & set("/\\\0") or len(os.fsencode(name)) > 200:
        raise ValueError(
            f"a file's name is 1 to 200 bytes without a slash, and does not begin with a dot, got {name!r}"
        )
    return name


# A file, whatever it is called: its device and inode. Nothing, if there is no such file.
_Identity = tuple[int, int] | None


class OsDisk:
    """A directory of the operating system's.

    Args:
        root: the directory; made, durably, if it is absent.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._poison: dict[_Identity, OSError] = {}
        self._names_poison: OSError | None = None
        _make_durably(self.root)

    def __repr__(self) -> str:
        return f"OsDisk({str(self.root)!r})"

    def open(self, name: str, *, create: bool = True) -> OsFile:
        """Open a file, for this user alone if it is created."""
        path = self._path(name)
        flags = os.O_RDWR | os.O_APPEND
        try:
            fd = os.open(path, flags)
        except FileNotFoundError:
            if not create:
                raise
            self._check_names()
            fd = os.open(path, flags | os.O_CREAT, 0o600)
        return OsFile(name, fd, self._poison)

    def replace(self, source: str, target: str) -> None:
        """Rename a file, over another one if there is one."""
        self._check_names()
        old, new = self._path(source), self._path(target)
        over = _identity(new)
        old.replace(new)
        if over != _identity(new):
            self._poison.pop(over, None)

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._check_names()
        path = self._path(name)
        gone = _identity(path)
        path.unlink()
        self._poison.pop(gone, None)

    def list(self) -> list[str]:
        """The names of all files, sorted."""
        with os.scandir(self.root) as entries:
            return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_file())

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return self._path(name).is_file()

    def sync_dir(self) -> None:
        """Make the names durable."""
        self._check_names()
        try:
            _sync_directory(self.root)
        except OSError as error:
            self._names_poison = error
            raise

    def lock(self, name: str, *, holder: str) -> OsLock:
        """Take a lock with ``flock``; who holds it stands in the hidden file that is locked."""
        path = self.root / f".{checked_name(name)}.lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, holder.encode(), 0)
        except BlockingIOError:
            said = os.pread(fd, 1000, 0).decode(errors="replace")
            os.close(fd)
            raise LockHeld(name, said) from None
        except BaseException:
            os.close(fd)
            raise
        return OsLock(fd)

    def free(self) -> int:
        """What the file system lets this user write."""
        found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize

    def _path(self, name: str) -> Path:
        return self.root / checked_name(name)

    def _check_names(self) -> None:
        if self._names_poison is not None:
            raise Poisoned(f"the names in {self.root}", self._names_poison)


class OsFile:
    """An open file of the operating system's."""

    def __init__(self, name: str, fd: int, poison: dict[_Identity, OSError]) -> None:
        self.name = name
        self._fd = fd
        self._poison = poison
        self._id = _identity(fd)

    def __repr__(self) -> str:
        return f"<OsFile {self.name!r}, {'closed' if self._fd < 0 else f'descriptor {self._fd}'}>"

    def fileno(self) -> int:
        """The file descriptor."""
        if self._fd < 0:
            raise ValueError(f"the file {self.name!r} is closed: open it again")
        return self._fd

    def append(self, data: Data, /) -> None:
        """Write all of ``data``, in as many calls as the kernel takes."""
        fd = self._writable()
        with memoryview(data).cast("B") as rest:
            written = 0
            while written < len(rest):
                count = os.write(fd, rest[written:])
                if count == 0:
                    raise OSError(errno.EIO, f"the system writes nothing to {self.name!r}")
                written += count

    def read(self, offset: int = 0, count: int | None = None) -> bytes:
        """``count`` bytes from ``offset``, or all there are."""
        fd = self.fileno()
        end = self.size()
        wanted = checked_range(offset, count, end)
        parts: list[bytes] = []
        while wanted > 0 and (part := os.pread(fd, wanted, offset)):
            parts.append(part)
            offset += len(part)
            wanted -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def size(self) -> int:
        """The number of bytes in the file."""
        return os.fstat(self.fileno()).st_size

    def truncate(self, size: int, /) -> None:
        """Cut the file to ``size`` bytes."""
        fd = self._writable()
        os.ftruncate(fd, checked_cut(self.name, size, self.size()))

    def sync(self) -> None:
        """Make the content durable; a failure poisons the file."""
        fd = self._writable()
        try:
            _sync(fd)
        except OSError as error:
            self._poison[self._id] = error
            raise

    def close(self) -> None:
        """Let go of the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _writable(self) -> int:
        fd = self.fileno()
        cause = self._poison.get(self._id) if self._poison else None
        if cause is not None:
            raise Poisoned(f"{self.name!r}", cause)
        return fd


class OsLock:
    """A file that is locked; closing it, or the end of the process, frees it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """Let others have it. The file stays: removing it would let two processes lock two files of one name."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> OsLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


# What any disk needs -------------------------------------------------------------------------------------------


def checked_range(offset: int, count: int | None, size: int) -> int:
    """How many bytes there are to read from ``offset``, at most ``count``, in a file of ``size`` bytes.

    Raises:
        ValueError: an offset or count below 0.
    """
    if offset < 0 or (count is not None and count < 0):
        raise ValueError(f"offset and count are numbers from 0 up, got {offset!r} and {count!r}")
    left = max(size - offset, 0)
    return left if count is None else min(count, left)


def checked_cut(name: str, wanted: int, size: int) -> int:
    """``wanted``, if a file of ``size`` bytes can be cut to it.

    Raises:
        ValueError: it would have to grow.
    """
    if not 0 <= wanted <= size:
        raise ValueError(f"{name!r} has {size} bytes and cannot be cut to {wanted!r}: append to it")
    return wanted


# How it is done ------------------------------------------------------------------------------------------------


def _identity(file: int | Path) -> _Identity:
    try:
        found = os.fstat(file) if isinstance(file, int) else file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _sync(fd: int) -> None:
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync leaves the data in the drive's own cache there
    else:
        os.fdatasync(fd)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _make_durably(path: Path) -> None:
    """Make a directory and what is missing above it, each entry synced: a synced file is worth as much as its path."""
    if path.is_dir():
        return
    _make_durably(path.parent)
    path.mkdir(exist_ok=True)
    _sync_directory(path.parent)
