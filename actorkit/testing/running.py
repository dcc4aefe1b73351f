"""Running a test in virtual time, the same way every time, and ending it when it would wait for ever."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self, TypeVar, TypeVarTuple, Unpack

import trio
from trio.abc import Instrument

from actorkit.kernel.ending import doom
from actorkit.kernel.exits import KILLED
from actorkit.kernel.runtime import Runtime
from actorkit.testing.clock import VirtualClock
from actorkit.testing.failures import Deadlock
from actorkit.testing.trio_internals import choosing
from actorkit.testing.waiting import break_off, tasks_of_actors, tasks_of_users, who_waits

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

_STUCK = "nothing can go on, and no timer is set, so the test would wait for ever:"


def run_in_virtual_time(
    main: Callable[[Unpack[Ts]], Awaitable[R]],
    /,
    *args: *Ts,
    seed: int | None = 0,
    instruments: Sequence[Instrument] = (),
) -> R:
    """As ``trio.run``, in virtual time and the same way every time: an hour of waiting is one jump.

    Args:
        main: an async function.
        args: passed on to it.
        seed: which order of trio's tasks, where any would do; None leaves it to chance, as trio does.
        instruments: passed on to trio.
    """
    __tracebackhide__ = True
    clock = VirtualClock()
    if seed is None:
        return trio.run(main, *args, clock=clock, instruments=instruments)
    with choosing(_Shuffled(seed)):
        return trio.run(main, *args, clock=clock, instruments=instruments)


class _Shuffled:
    """Lets trio's tasks go on in an order that is drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def shuffle(self, batch: list[Any]) -> None:
        """Put the tasks of one pass of trio's into order."""
        self._rng.shuffle(batch)


def virtual_clock() -> VirtualClock:
    """The clock of this run.

    Raises:
        RuntimeError: it is another one, on which tests would wait for real.
    """
    clock = trio.lowlevel.current_clock()
    if not isinstance(clock, VirtualClock):
        raise RuntimeError(
            "a kit needs virtual time: run the test with run_in_virtual_time(main), "
            "or with trio.run(main, clock=VirtualClock())"
        )
    return clock


class DeadlockWatch:
    """Ends a test that would wait for ever, with more force each time that was not enough.

    It cancels the test; then kills its actors; then breaks off what still stands behind a shield, actors first.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.body = trio.CancelScope()
        self.failure: Deadlock | None = None
        self._runtime: Runtime | None = None
        self._on_found: Callable[[], None] = lambda: None
        self._clock = clock
        self._before: Callable[[], None] | None = None
        self._force = [self._cancel, self._kill, self._break_actors, self._break_test]

    def begin(self, runtime: Runtime, on_found: Callable[[], None]) -> None:
        """Watch this system from now on, and call ``on_found`` before the test is cancelled."""
        self._runtime, self._on_found = runtime, on_found

    def __enter__(self) -> Self:
        self._before, self._clock.on_deadlock = self._clock.on_deadlock, self._stuck
        return self

    def __exit__(self, *_: object) -> None:
        self._clock.on_deadlock = self._before

    def check(self) -> None:
        """Raise what was found."""
        __tracebackhide__ = True
        if self.failure is not None:
            raise self.failure from None  # that the test was cancelled for it is no news

    def _stuck(self) -> None:
        if self._runtime is None or not self._force:
            raise self.failure or Deadlock(_STUCK)
        self._force.pop(0)(self._runtime)

    def _cancel(self, runtime: Runtime) -> None:
        self.failure = Deadlock("\n  ".join((_STUCK, *who_waits(runtime))))
        self._on_found()
        self.body.cancel()

    def _kill(self, runtime: Runtime) -> None:
        for cell in list(runtime.cells.values()):
            doom(cell, KILLED)

    def _break_actors(self, runtime: Runtime) -> None:
        for task in tasks_of_actors(runtime):
            break_off(task, Deadlock(str(self.failure)))

    def _break_test(self, _: Runtime) -> None:
        for task in tasks_of_users():
            break_off(task, Deadlock(str(self.failure)))
