"""A disk and a ``MemoryDisk`` side by side: Hypothesis does the same to both and compares. Importing this loads Hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import attrs
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from actorkit.seams.disk import Disk
from actorkit.testing.disk import MemoryDisk

NAMES = st.sampled_from(["a", "b", "c"])
DATA = st.binary(max_size=40)
SMALL = st.integers(-1, 12)


@attrs.frozen(eq=False)
class Pair:
    """The same thing on the disk under test and in memory."""

    subject: Any
    model: Any


class DiskMachine(RuleBasedStateMachine):
    """The rules; a subclass says how to open the disk under test."""

    files = Bundle("files")
    locks = Bundle("locks")

    def __init__(self) -> None:
        super().__init__()
        self.subject = self.open_disk()
        self.model = MemoryDisk()
        self.opened: list[Pair] = []
        self.held: list[Any] = []

    def open_disk(self) -> Disk:
        """An empty disk to test."""
        raise NotImplementedError

    @rule(target=files, name=NAMES, data=DATA)
    def open(self, name: str, data: bytes) -> Pair:
        """Open a file on both, and append to it."""
        file = self._both(lambda disk: disk.open(name))
        self._alike(file, lambda f: f.append(data))
        self.opened.append(file)
        return file

    @rule(name=NAMES)
    def open_what_is_there(self, name: str) -> None:
        """Open a file only if it exists."""
        self._both(lambda disk: disk.open(name, create=False))

    @rule(file=files, data=DATA)
    def append(self, file: Pair, data: bytes) -> None:
        """Append."""
        self._alike(file, lambda f: f.append(data))

    @rule(file=files, offset=SMALL, length=st.none() | SMALL)
    def read(self, file: Pair, offset: int, length: int | None) -> None:
        """Read a part."""
        self._alike(file, lambda f: f.read(offset, length))

    @rule(file=files, size=SMALL | st.integers(0, 100))
    def truncate(self, file: Pair, size: int) -> None:
        """Cut, or try to."""
        self._alike(file, lambda f: (f.truncate(size), f.size()))

    @rule(file=files)
    def sync(self, file: Pair) -> None:
        """Sync one file."""
        self._alike(file, lambda f: f.sync())

    @rule(file=consumes(files))
    def close(self, file: Pair) -> None:
        """Close it, and see what it still does."""
        self._alike(file, lambda f: f.close())
        self.opened.remove(file)
        for act in (lambda f: f.read(), lambda f: f.append(b"x"), lambda f: f.sync()):
            self._alike(file, act)

    @rule(name=NAMES, new=NAMES)
    def replace(self, name: str, new: str) -> None:
        """Rename."""
        self._both(lambda disk: disk.replace(name, new))

    @rule(file=files, new=NAMES)
    def put_in_place(self, file: Pair, new: str) -> None:
        """Rename what was opened before, over whatever is there."""
        self._both(lambda disk: disk.replace(file.model.name, new))

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        """Remove."""
        self._both(lambda disk: disk.remove(name))

    @rule()
    def sync_names(self) -> None:
        """Sync the names."""
        self._both(lambda disk: disk.sync_dir())

    @rule(target=locks, name=NAMES)
    def lock(self, name: str) -> Pair | MultipleResults[Pair]:
        """Take a lock, or be refused."""
        lock = self._both(lambda disk: disk.lock(name, holder=f"holder of {name}"))
        return lock if _is_open(lock.subject) else multiple()

    @rule(lock=consumes(locks))
    def release(self, lock: Pair) -> None:
        """Release a lock."""
        self._alike(lock, lambda held: held.release())

    @invariant()
    def look(self) -> None:
        """Names, contents, and what open files show are the same."""
        self._both(lambda disk: [(name, _content(disk, name)) for name in disk.list()])
        self._both(lambda disk: [disk.exists(name) for name in ("a", "b", "c")])
        for file in self.opened:
            self._alike(file, lambda f: (f.size(), f.read(), f.read(1, 2)))

    def teardown(self) -> None:
        """Close everything."""
        for thing in self.held:
            thing.release() if hasattr(thing, "release") else thing.close()

    def _both(self, act: Callable[[Disk], Any]) -> Pair:
        pair = self._alike(Pair(self.subject, self.model), act)
        self.held += [thing for thing in (pair.subject, pair.model) if _is_open(thing)]
        return pair

    def _alike(self, pair: Pair, act: Callable[[Any], Any]) -> Pair:
        done = Pair(_outcome(act, pair.subject), _outcome(act, pair.model))
        assert _shown(done.subject) == _shown(done.model), f"{done.subject!r}, {done.model!r}"
        return done


def check_against_memory(
    open_disk: Callable[[int], Disk], *, examples: int = 60, shrink: bool = True
) -> None:
    """Compare a disk with a ``MemoryDisk``, in many sequences of operations.

    Args:
        open_disk: opens an empty disk for the example of this number.
        examples: how many sequences to try.
        shrink: look for the shortest sequence that shows a difference, which may take seconds.
    """
    numbers = count()
    phases = [Phase.reuse, Phase.generate, *([Phase.shrink] if shrink else [])]

    class Machine(DiskMachine):
        def open_disk(self) -> Disk:
            return open_disk(next(numbers))

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            phases=phases,
        ),
    )


def _outcome(act: Callable[[Any], Any], thing: Any) -> Any:
    try:
        return act(thing)
    except (OSError, ValueError) as error:
        return error


def _is_open(thing: object) -> bool:
    return hasattr(thing, "sync") or hasattr(thing, "release")


def _shown(outcome: Any) -> Any:
    """What can be compared: a value, the kind of an error, or of something opened that there is one."""
    if isinstance(outcome, Exception):
        return type(outcome)
    return "opened" if _is_open(outcome) else outcome


def _content(disk: Disk, name: str) -> bytes:
    file = disk.open(name, create=False)
    try:
        return file.read()
    finally:
        file.close()
