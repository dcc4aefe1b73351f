"""A disk in memory, with power cuts, kill -9 and failures to order.

``MemoryDisk`` keeps to the contract of ``actorkit.seams.disk``, and is as unreliable as that allows::

    disk = MemoryDisk()
    save(disk, state)                              # the code under test
    disk = disk.power_cut()                        # what was not synced is gone
    assert load(disk) == state

``actorkit.testing.crash`` does that at every single operation of a workload, with every legal leftover.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence

import attrs

from actorkit.seams.disk import Data, LockHeld, Poisoned, checked_cut, checked_name, checked_range
from actorkit.testing.platter import Content, Leftover, Platter, Survival

_ENDLESS = 1 << 50  # bytes that are free on a disk without a capacity
OPERATIONS = (
    *("open", "append", "read", "truncate", "sync"),
    *("replace", "remove", "list", "sync_dir", "lock"),
)


@attrs.frozen
class Keep:
    """What a power cut leaves of what was not synced, file by file.

    Attributes:
        files: what survives of the files with these names; of the others nothing.
        names: whether the changes of names survive.
    """

    files: Mapping[str, Survival] = attrs.field(factory=dict[str, Survival])
    names: bool = False


@attrs.frozen
class Step:
    """One recorded operation: in words, as something to do to a platter, and what was promised with it."""

    text: str
    act: Callable[[Platter], object]
    promise: tuple[object, ...] = ()


class MemoryDisk:
    """A disk as one process sees it, from its start to its end.

    ``kill9`` and ``power_cut`` end that process and return the disk as the next one finds it. The old disk and all its files
    are then *fenced*: every operation raises ``OSError`` (``ESTALE``) and does nothing. For a cancelled task still runs its
    ``finally`` blocks, and a killed process does not: what its last code "saves" would hide what is really lost.

    It is for one thread at a time.

    Args:
        capacity: bytes it holds; an append beyond that writes what there is room for and raises ``ENOSPC``. None for no
            limit.
        record: remember every operation, for ``actorkit.testing.crash``.
    """

    def __init__(self, *, capacity: int | None = None, record: bool = False) -> None:
        self._life = _Life(Platter(), _checked_capacity(capacity), record=record)

    def __repr__(self) -> str:
        state = "fenced" if self._life.fenced else f"{len(self._life.platter.names)} files"
        return f"<MemoryDisk, incarnation {self.incarnation}, {state}>"

    # What every disk does -----------------------------------------------------------------------------------------

    def open(self, name: str, *, create: bool = True) -> MemoryFile:
        """Open a file; an absent one is created empty."""
        life = self._life
        checked_name(name)
        life.begin("open")
        number = life.platter.names.get(name)
        if number is None:
            if not create:
                raise _no_file(name)
            life.check_names()
            number = life.platter.create(name)
            life.note(f"create {name!r}", lambda platter: platter.create(name))
        return MemoryFile(name, number, life)

    def replace(self, source: str, target: str) -> None:
        """Rename a file, over another one if there is one."""
        self._prepare("replace", source)
        self._life.platter.rename(source, checked_name(target))
        self._life.note(f"rename {source!r} to {target!r}", lambda p: p.rename(source, target))

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._prepare("remove", name)
        self._life.platter.unlink(name)
        self._life.note(f"remove {name!r}", lambda platter: platter.unlink(name))

    def list(self) -> list[str]:
        """The names of all files, sorted."""
        self._life.begin("list")
        return sorted(self._life.platter.names)

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""
        self._life.check_alive()
        return checked_name(name) in self._life.platter.names

    def sync_dir(self) -> None:
        """Make the names durable."""
        life = self._life
        life.check_names()
        failure = life.due("sync_dir")
        if failure is not None:
            life.names_poison = failure.error
            life.platter.lose_names()
            life.note("fail to sync the names", Platter.lose_names)
            raise failure.error
        life.platter.sync_names()
        life.note("sync the names", Platter.sync_names)

    def lock(self, name: str, *, holder: str) -> MemoryLock:
        """Take a lock."""
        checked_name(name)
        self._life.begin("lock")
        locks = self._life.locks
        if name in locks:
            raise LockHeld(name, locks[name].holder)
        locks[name] = taken = MemoryLock(locks, name, holder)
        return taken

    def free(self) -> int:
        """The room that is left."""
        self._life.check_alive()
        return self._life.room()

    # Faults -------------------------------------------------------------------------------------------------------

    def fail_next(
        self,
        operation: str | None,
        error: OSError,
        *,
        skip: int = 0,
        written: int | None = None,
    ) -> None:
        """Let one operation fail, and no other.

        A failed append has written a part first. A failed sync loses what it was to write, while readers go on seeing it.
        To let every operation of a workload fail in turn, count up ``skip`` until nothing fails any more.

        Args:
            operation: the kind that fails, such as ``"append"``, ``"sync"``, ``"replace"``; None for any.
            error: what it raises, such as ``OSError(errno.EIO, "input/output error")``.
            skip: how many operations of this kind are spared before.
            written: of a failed append, the number of bytes written; half of them unless told otherwise.
        """
        if operation is not None and operation not in OPERATIONS:
            raise ValueError(f"operations are {', '.join(OPERATIONS)}, got {operation!r}")
        self._life.failures.append(_Failure(operation, error, skip, written))

    def resize(self, capacity: int | None) -> None:
        """Give the disk another capacity; None for no limit."""
        self._life.capacity = _checked_capacity(capacity)

    def kill9(self) -> MemoryDisk:
        """The process is killed: all is there, synced or not, and its locks are free. Returns the next process' disk."""
        return self._next(self._life.platter)

    def power_cut(self, keep: int | Keep = 0) -> MemoryDisk:
        """The machine loses its power and comes back. Returns the next process' disk.

        Args:
            keep: what of the unsynced is left. A number picks one of the legal leftovers (modulo how many there are): 0,
                the harshest, is nothing at all. ``Keep`` says it file by file.
        """
        if isinstance(keep, Keep):
            left = self._listed(keep)
        else:
            choices = self._life.platter.choices()
            left = choices[keep % len(choices)]
        return self._next(Platter(left.files))

    # Looking ------------------------------------------------------------------------------------------------------

    @property
    def incarnation(self) -> int:
        """The number of the process whose disk this is, from 1."""
        return self._life.incarnation

    @property
    def operations(self) -> int:
        """How many operations have been counted that could have failed."""
        return self._life.operations

    def durable(self) -> dict[str, bytes]:
        """What is safe: the files by name, as the harshest power cut would leave them."""
        return self._life.platter.durable()

    def leftovers(self) -> int:
        """Among how many legal leftovers a power cut would choose now; 1 when everything is synced."""
        return len(self._life.platter.choices())

    # Recording ----------------------------------------------------------------------------------------------------

    def promise(self, what: object) -> None:
        """Note in the recording that something has been promised, such as that a write was acknowledged."""
        self._life.note(f"promise {what!r}", lambda _: None, promise=(what,))

    def recording(self) -> tuple[Platter, Sequence[Step]]:
        """What was recorded: a copy of what the disk was at first, and every step since.

        Raises:
            ValueError: this disk does not record.
        """
        start = self._life.start
        if start is None:
            raise ValueError("nothing was recorded: make the disk with MemoryDisk(record=True)")
        return start.copy(), tuple(self._life.steps)

    @classmethod
    def on(
        cls, platter: Platter, *, capacity: int | None = None, record: bool = False
    ) -> MemoryDisk:
        """A disk with these contents."""
        disk = cls()
        disk._life = _Life(platter, capacity, record=record)
        return disk

    def _prepare(self, operation: str, name: str) -> None:
        self._life.begin(operation)
        self._life.check_names()
        if checked_name(name) not in self._life.platter.names:
            raise _no_file(name)

    def _listed(self, keep: Keep) -> Leftover:
        platter = self._life.platter
        unknown = keep.files.keys() - platter.names
        if unknown:
            raise ValueError(f"{keep} names {sorted(unknown)}, and the files are {self.list()}")
        files = {platter.names[name]: survival for name, survival in keep.files.items()}
        return platter.left(range(len(platter.changes)) if keep.names else (), files)

    def _next(self, platter: Platter) -> MemoryDisk:
        life = self._life
        life.check_alive()
        life.fenced = True
        heir = MemoryDisk.on(platter, capacity=life.capacity, record=life.start is not None)
        heir._life.incarnation = life.incarnation + 1
        return heir


class MemoryFile:
    """An open file of a ``MemoryDisk``."""

    def __init__(self, name: str, number: int, life: _Life) -> None:
        self.name = name
        self._number = number
        self._content = life.platter.content(number)
        self._life = life
        self._closed = False

    def __repr__(self) -> str:
        return f"<MemoryFile {self.name!r}, {'closed' if self._closed else f'{len(self._content.cache)} bytes'}>"

    def append(self, data: Data, /) -> None:
        """Write all of ``data``, or a part and raise."""
        self._check_writable()
        raw = bytes(data)
        failure = self._life.due("append")
        room = self._life.room()
        if failure is not None:
            written = len(raw) // 2 if failure.written is None else failure.written
            self._write(raw[: min(written, room)])
            raise failure.error
        self._write(raw[:room])
        if len(raw) > room:
            raise OSError(
                errno.ENOSPC, f"no space left for {len(raw) - room} bytes of {self.name!r}"
            )

    def read(self, offset: int = 0, count: int | None = None) -> bytes:
        """``count`` bytes from ``offset``, or all there are."""
        self._check_open()
        self._life.begin("read")
        cache = self._content.cache
        return bytes(cache[offset : offset + checked_range(offset, count, len(cache))])

    def size(self) -> int:
        """The number of bytes in the file."""
        self._check_open()
        return len(self._content.cache)

    def truncate(self, size: int, /) -> None:
        """Cut the file to ``size`` bytes."""
        self._check_writable()
        self._life.begin("truncate")
        checked_cut(self.name, size, len(self._content.cache))
        self._do(f"cut {self.name!r} to {size} bytes", lambda content: content.cut(size))

    def sync(self) -> None:
        """Make the content durable; a failure poisons the file."""
        self._check_writable()
        failure = self._life.due("sync")
        if failure is not None:
            self._life.poison[self._number] = failure.error
            self._do(f"fail to sync {self.name!r}", Content.lose)
            raise failure.error
        self._do(f"sync {self.name!r}", Content.sync)

    def close(self) -> None:
        """Let go of the file."""
        self._closed = True

    def _write(self, data: bytes) -> None:
        if data:
            text = f"append {len(data)} bytes to {self.name!r}"
            self._do(text, lambda content: content.append(data))

    def _do(self, text: str, act: Callable[[Content], object]) -> None:
        act(self._content)
        number = self._number
        self._life.note(text, lambda platter: act(platter.content(number)))

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"the file {self.name!r} is closed: open it again")
        self._life.check_alive()

    def _check_writable(self) -> None:
        self._check_open()
        cause = self._life.poison.get(self._number)
        if cause is not None:
            raise Poisoned(f"{self.name!r}", cause)


class MemoryLock:
    """A lock of a ``MemoryDisk``."""

    def __init__(self, locks: dict[str, MemoryLock], name: str, holder: str) -> None:
        self.holder = holder
        self._locks = locks
        self._name = name

    def release(self) -> None:
        """Let others have it."""
        if self._locks.get(self._name) is self:
            del self._locks[self._name]

    def __enter__(self) -> MemoryLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@attrs.define
class _Failure:
    """One failure to order."""

    operation: str | None
    error: OSError
    skip: int
    written: int | None

    def strikes(self, operation: str) -> bool:
        """Whether this is the operation that fails; counts those that are spared."""
        if self.operation is not None and self.operation != operation:
            return False
        self.skip -= 1
        return self.skip < 0


class _Life:
    """What a disk and its files share for as long as their process lives."""

    def __init__(self, platter: Platter, capacity: int | None, *, record: bool) -> None:
        self.platter = platter
        self.capacity = capacity
        self.start = platter.copy() if record else None
        self.steps: list[Step] = []
        self.incarnation = 1
        self.operations = 0
        self.failures: list[_Failure] = []
        self.poison: dict[int, OSError] = {}
        self.names_poison: OSError | None = None
        self.locks: dict[str, MemoryLock] = {}
        self.fenced = False

    def begin(self, operation: str) -> None:
        """Count an operation, and let it fail if that was ordered."""
        failure = self.due(operation)
        if failure is not None:
            raise failure.error

    def due(self, operation: str) -> _Failure | None:
        """Count an operation; the failure that was ordered for it, if any."""
        self.check_alive()
        self.operations += 1
        struck = [failure for failure in self.failures if failure.strikes(operation)]
        if not struck:
            return None
        self.failures.remove(struck[0])
        return struck[0]

    def check_alive(self) -> None:
        """Refuse the code of a process that is dead."""
        if self.fenced:
            raise OSError(
                errno.ESTALE,
                f"process {self.incarnation} of this disk is dead, and its code does nothing any more: use the disk that "
                "kill9() or power_cut() returned",
            )

    def check_names(self) -> None:
        """Refuse to change names that nobody could make durable."""
        if self.names_poison is not None:
            raise Poisoned("the names of this disk", self.names_poison)

    def room(self) -> int:
        """The bytes that are free."""
        if self.capacity is None:
            return _ENDLESS
        files = self.platter.files
        used = sum(len(files[number].cache) for number in self.platter.names.values())
        return max(self.capacity - used, 0)

    def note(
        self, text: str, act: Callable[[Platter], object], *, promise: tuple[object, ...] = ()
    ) -> None:
        """Record a step."""
        if self.start is not None:
            self.steps.append(Step(text, act, promise))


def _no_file(name: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, f"there is no file {name!r} on this disk")


def _checked_capacity(capacity: int | None) -> int | None:
    if capacity is not None and capacity < 0:
        raise ValueError(f"a capacity is a number of bytes from 0 up, or None, got {capacity!r}")
    return capacity
