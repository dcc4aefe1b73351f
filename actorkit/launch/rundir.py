"""Where a run says that it is up, for other programs of the same user: its nodes, and the key that lets operators in.

``<runtime directory>/actorkit/<run>/`` holds ``run.json`` and ``operator.key``. Whoever launched the run holds a lock on the
directory for as long as it lives, and the kernel lets go of it however that life ends: a directory without a lock is what a
dead run left behind, and the next launch clears it away. No process numbers are compared, for they are used again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

from actorkit.cluster.keys import create_key_file, read_key_file
from actorkit.errors import NodeError
from actorkit.seams.entropy import Entropy

_RUN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RECORD = "run.json"
_KEY = "operator.key"


class RunError(NodeError):
    """A run cannot be found, or not be started; the text says what to do."""


@attrs.frozen
class NodeRecord:
    """What a run says of one of its nodes.

    Attributes:
        name: the node's.
        pid: its process; None if it is down.
        address: where it listens, or did.
        started: when its process was last up, in seconds since 1970.
        restarts: how often it was restarted.
    """

    name: str
    pid: int | None
    address: str
    started: float
    restarts: int = 0


@attrs.frozen
class Run:
    """What a run says of itself.

    Attributes:
        name: what it is called.
        pid: the process that launched it.
        app: what it runs.
        started: when, in seconds since 1970.
        nodes: its nodes, in the order they were started.
        directory: where this was written.
    """

    name: str
    pid: int
    app: str
    started: float
    nodes: tuple[NodeRecord, ...] = ()
    directory: Path = Path()

    def node(self, name: str) -> NodeRecord | None:
        """One of its nodes; None if it has no such node."""
        return next((node for node in self.nodes if node.name == name), None)

    @property
    def key_file(self) -> Path:
        """Where the operators' key is."""
        return self.directory / _KEY

    @property
    def has_key(self) -> bool:
        """Whether the operators' key is still there."""
        return os.path.lexists(self.key_file)

    def key(self) -> bytes:
        """The operators' key.

        Raises:
            KeyFileError: it cannot be read, or others can read it.
            RunError: it is lost.
        """
        if not self.has_key:
            raise RunError(
                f"the operators' key of run {self.name!r} is lost, and nobody can look in without it; end the run, "
                "and start it anew"
            )
        return read_key_file(self.key_file)


# Whoever launches -----------------------------------------------------------------------------------------------------


def check_run_name(name: str) -> str:
    """Return a name if a run may have it.

    Raises:
        RunError: it may not.
    """
    if not _RUN_NAME.fullmatch(name):
        raise RunError(f"a run's name is 1 to 64 letters, digits, '_' and '-', got {name!r}")
    return name


@attrs.frozen
class Claim:
    """A directory that is this run's for as long as it is held."""

    name: str
    directory: Path

    def make_key(self, entropy: Entropy) -> bytes:
        """Make the operators' key."""
        return create_key_file(self.directory / _KEY, entropy)

    def publish(self, run: Run) -> None:
        """Say what the run is like now; readers see all of it or all of what was there before."""
        fields = attrs.asdict(run, filter=attrs.filters.exclude("directory"))
        draft = self.directory / f".{_RECORD}"
        draft.write_text(json.dumps(fields, indent=1), "utf-8")
        draft.replace(self.directory / _RECORD)


@contextmanager
def claim(name: str, base: Path | None = None) -> Iterator[Claim]:
    """Take a run's name, and give it back at the end with all that was written under it.

    Raises:
        RunError: a run of that name is up; or there is no place where only this user can write.
    """
    check_run_name(name)
    base = base or base_directory()
    with _locked(base):
        _clear_stale(base)
        directory = base / name
        if directory.exists():
            raise RunError(
                f"a run {name!r} is up already (pid {_pid_of(directory)}); give this one another --name, or end that "
                "one first"
            )
        directory.mkdir(mode=0o700)
        lock = _lock(directory)
    assert lock is not None, "nobody else was let in"
    try:
        yield Claim(name, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _clear_stale(base: Path) -> None:
    for directory in base.iterdir():
        lock = _lock(directory) if directory.is_dir() else None
        if lock is not None:
            shutil.rmtree(directory, ignore_errors=True)
            os.close(lock)


def _lock(directory: Path) -> int | None:
    """The descriptor that holds the lock on a directory; None if another process does."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def _locked(base: Path) -> Iterator[None]:
    """One at a time looks for what is stale, or takes a name."""
    descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _pid_of(directory: Path) -> int | str:
    run = _read(directory)
    return run.pid if run is not None else "unknown as yet"


# Whoever looks in -----------------------------------------------------------------------------------------------------


def live_runs(base: Path | None = None) -> tuple[Run, ...]:
    """All runs of this user that are up, by name."""
    base = base or base_directory()
    with _locked(base):  # a look at the lock of a dead run is to nobody the lock of a living one
        found = [_read(directory) for directory in sorted(base.iterdir()) if _is_live(directory)]
    return tuple(run for run in found if run is not None)


def find_run(name: str | None = None, base: Path | None = None) -> Run:
    """The run of that name, or the only one there is.

    Raises:
        RunError: there is none, or there are several.
    """
    runs = live_runs(base)
    known = ", ".join(run.name for run in runs)
    if not runs:
        which = "no run" if name is None else f"no run {name!r}"
        raise RunError(f"{which} is up; start one with `actorkit up APP`")
    if name is None and len(runs) > 1:
        raise RunError(f"several runs are up: {known}; choose one with --run")
    chosen = next((run for run in runs if name in (None, run.name)), None)
    if chosen is None:
        raise RunError(f"no run {name!r} is up; these are: {known}")
    return chosen


def _is_live(directory: Path) -> bool:
    if not directory.is_dir():
        return False
    lock = _lock(directory)
    if lock is not None:
        os.close(lock)
    return lock is None


def _read(directory: Path) -> Run | None:
    """What a run says of itself; None if it has said nothing yet."""
    try:
        fields = json.loads((directory / _RECORD).read_text("utf-8"))
        nodes = tuple(NodeRecord(**node) for node in fields.pop("nodes"))
        return Run(**fields, nodes=nodes, directory=directory)
    except (OSError, ValueError, TypeError, KeyError):
        return None


# Where ------------------------------------------------------------------------------------------------------------------


def base_directory(environment: Mapping[str, str] | None = None) -> Path:
    """Where runs are, made if it is not there: in ``XDG_RUNTIME_DIR``, or else among the user's state.

    Raises:
        RunError: there is no place that belongs to this user alone.
    """
    known = os.environ if environment is None else environment
    runtime = Path(known.get("XDG_RUNTIME_DIR", ""))
    # The XDG specification has relative paths ignored.
    if runtime.is_absolute() and runtime.is_dir():
        return _private(runtime / "actorkit")
    state = Path(known.get("XDG_STATE_HOME", ""))
    root = (
        state if state.is_absolute() else Path(known.get("HOME", "~")).expanduser() / ".local/state"
    )
    return _private(root / "actorkit" / "runs")


def _private(directory: Path) -> Path:
    """Make a directory that is this user's alone, and see that it is."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise RunError(
            f"cannot make {directory}: {error.strerror}; set XDG_RUNTIME_DIR to a directory of yours"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise RunError(
            f"{directory} is not a directory of this user's alone; chmod 700 it, or set XDG_RUNTIME_DIR to one that is"
        )
    return directory
