"""The private names of trio that testing rests on, all of them, and the proof that they still mean what we think.

trio decides at random which runnable task goes next, through one module-level random source, and sorts the tasks first
when it is told to be deterministic. Whoever holds that source holds every choice. Works on trio 0.22 to 0.35.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import trio
from trio import _threads
from trio._core import _run

from actorkit.errors import ActorkitError

_CHOICE = ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING")


class UnsupportedTrio(ActorkitError):
    """This trio does not let a simulation decide which task runs next; a newer actorkit, or an older trio, will."""


class Chooser(Protocol):
    """Decides which of the runnable tasks goes next."""

    def shuffle(self, batch: list[Any]) -> None:
        """Leave the task that goes next in ``batch``, and put the others off with ``put_off``."""
        ...


class _Source:
    """Stands where trio keeps its random source, and passes the one question on that matters."""

    def __init__(self, chooser: Chooser) -> None:
        self.shuffle = chooser.shuffle

    def random(self) -> float:
        """Asked only by a trio that is not deterministic."""
        return 0.0

    def uniform(self, low: float, high: float) -> float:
        """Asked for the jitter of deadlines."""
        return low


@contextmanager
def choosing(chooser: Chooser) -> Iterator[None]:
    """Let ``chooser`` decide which task runs next, in every trio run of this thread, until the block ends."""
    names = _run.__dict__
    before = {name: names[name] for name in _CHOICE}
    names.update(zip(_CHOICE, (_Source(chooser), True), strict=True))
    try:
        yield
    finally:
        names.update(before)


def put_off(tasks: list[Any]) -> None:
    """Put runnable tasks back where trio finds them in its next pass."""
    _run.GLOBAL_RUN_CONTEXT.runner.runq.extend(tasks)


def runnable() -> Any:
    """The tasks that can go on, as trio keeps them: a deque, in no order that means anything."""
    return _run.GLOBAL_RUN_CONTEXT.runner.runq


def by_age(tasks: Iterable[Any]) -> list[Any]:
    """Tasks in the order in which they were made: trio keeps those of a cancelled scope in sets."""
    return sorted(tasks, key=_age)


def _age(task: Any) -> int:
    age: int = task._counter
    return age


def waits_in(task: Any) -> object:
    """The object in whose method a task waits, if that is how it waits."""
    return getattr(task._abort_func, "__self__", None)


def all_tasks() -> Iterator[Any]:
    """Every task of the run, those nearest to its root first."""
    root = trio.lowlevel.current_root_task()
    pending = [root] if root is not None else []
    while pending:
        task = pending.pop()
        yield task
        pending.extend(
            child for nursery in task.child_nurseries for child in by_age(nursery.child_tasks)
        )


def somebody_waits_for_idle() -> bool:
    """Whether a task is in ``trio.testing.wait_all_tasks_blocked``: it comes before any jump of a clock."""
    try:
        return bool(_run.GLOBAL_RUN_CONTEXT.runner.waiting_for_idle)
    except AttributeError:
        return False


def next_deadline() -> float:
    """The earliest deadline of the run, in seconds on its clock."""
    found: float = _run.GLOBAL_RUN_CONTEXT.runner.deadlines.next_deadline()
    return found


class _Youngest:
    """Lets the task made last always go first: trio itself would never starve a task for long."""

    def shuffle(self, batch: list[Any]) -> None:
        if len(batch) > 1:
            put_off(batch[:-1])
            del batch[:-1]


class _NoThreads:
    """Stands where trio keeps the limiter that every worker thread has to pass."""

    total_tokens = 1
    borrowed_tokens = 0

    def __init__(self, refuse: Callable[[], BaseException]) -> None:
        self._refuse = refuse

    async def acquire_on_behalf_of(self, _: object) -> None:
        """Nobody passes."""
        raise self._refuse()


@contextmanager
def without_threads(refuse: Callable[[], BaseException]) -> Iterator[None]:
    """Inside a trio run: let every attempt to start a worker thread raise what ``refuse`` returns."""
    local = getattr(_threads, "_limiter_local", None)
    if local is None:  # another trio: threads are noticed when the run waits for one
        yield
        return
    token = local.set(_NoThreads(refuse))
    try:
        yield
    finally:
        local.reset(token)


def check_supported() -> None:
    """Prove that choices are ours: one task takes twenty steps before another takes its first.

    Raises:
        UnsupportedTrio: trio has changed inside.
    """
    log: list[str] = []

    async def walk(name: str) -> None:
        for _ in range(20):
            log.append(name)
            await trio.lowlevel.checkpoint()

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(walk, "elder")
            nursery.start_soon(walk, "younger")

    try:
        with choosing(_Youngest()):
            trio.run(both)
    except (KeyError, AttributeError, trio.TrioInternalError) as error:
        raise _unsupported() from error
    if log != ["younger"] * 20 + ["elder"] * 20:
        raise _unsupported()


def _unsupported() -> UnsupportedTrio:
    return UnsupportedTrio(
        f"trio {trio.__version__} does not let a simulation decide which task runs next; "
        "actorkit is tested with trio 0.28 to 0.35"
    )
