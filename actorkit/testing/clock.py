"""Virtual time: a clock that stands still while anything can go on, and jumps to the next deadline when nothing can.

trio's own ``MockClock`` does the first two; this one also tells a test that waits for ever from one that waits for long,
and lets a simulation jump early.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from actorkit.testing.trio_internals import somebody_waits_for_idle

_REAL_WAIT = 0.05  # seconds of real time between two looks while a thread or a socket is waited for


class VirtualClock(trio.abc.Clock):
    """A clock for ``trio.run(..., clock=)`` that costs no real time: ten virtual minutes are one jump.

    Time moves only while no task can go on: to the next deadline, at once. It waits for worker threads, which it cannot
    see into; it does not wait for sockets, so use it where no byte can be on its way in the kernel.

    Args:
        start: the time it shows first, in seconds.
        on_deadlock: called, once each time, when nothing can go on and there is no deadline to jump to: everybody waits
            for ever. It should resume or cancel somebody. Without it the program hangs, as it would in real time.

    Attributes:
        before_jump: called whenever nothing can go on, before the clock moves or a deadlock is told; returns True if somebody can
            go on after all.
        on_outsider: called, once, instead of waiting when nothing can go on but a worker thread is busy or a socket is listened
            to, with its name; for those who cannot have that.
    """

    def __init__(
        self, start: float = 0.0, *, on_deadlock: Callable[[], None] | None = None
    ) -> None:
        self._now = start
        self.on_deadlock = on_deadlock
        self.on_outsider: Callable[[str], object] | None = None
        self.before_jump: Callable[[], bool] | None = None
        self.jumps = self.idles = 0
        self._settling: list[trio.lowlevel.Task] = []

    def __repr__(self) -> str:
        return f"VirtualClock({self._now:g})"

    def start_clock(self) -> None:
        """Nothing to start."""

    def current_time(self) -> float:
        """Virtual seconds."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Called by trio when no task can go on: the moment to jump."""
        self.idles += 1
        if deadline <= self._now:  # due without the clock moving: before anybody has settled
            return 0.0
        if self._settled() or self._met_outsider():
            return 0.0
        if somebody_waits_for_idle() or _threads_busy():
            return _REAL_WAIT
        if self.before_jump is not None and self.before_jump():
            return 0.0
        if math.isinf(deadline):
            return self._stuck()
        self._move(deadline)
        return 0.0

    def jump(self, seconds: float) -> None:
        """Move the clock by hand; what becomes due runs next.

        Raises:
            ValueError: time does not go backwards.
        """
        if not (seconds >= 0 and math.isfinite(seconds)):
            raise ValueError(f"a clock jumps by a number of seconds from 0 up, got {seconds!r}")
        self._move(self._now + seconds)

    def rewind(self) -> None:
        """Back to 0, for the next of several runs inside one ``trio.run``; nothing may wait for a deadline."""
        self._now = 0.0

    async def settle(self) -> None:
        """Wait until no task can go on before the clock moves; it does not move meanwhile."""
        task = trio.lowlevel.current_task()
        self._settling.append(task)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._settling.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _settled(self) -> bool:
        """Resume those who waited for this moment; tells whether there were any."""
        settled, self._settling = self._settling, []
        for task in settled:
            trio.lowlevel.reschedule(task)
        return bool(settled)

    def _met_outsider(self) -> bool:
        outsider = _outsider() if self.on_outsider is not None else ""
        if not outsider or self.on_outsider is None:
            return False
        report, self.on_outsider = self.on_outsider, None
        report(outsider)
        return True

    def _move(self, to: float) -> None:
        self._now = to
        self.jumps += 1

    def _stuck(self) -> float:
        if self.on_deadlock is not None:
            self.on_deadlock()
            return 0.0
        return math.inf


def _outsider() -> str:
    """What the program waits for that is no part of it: a thread, a socket, in words; empty if nothing."""
    if _threads_busy():
        return "a worker thread"
    waiting = trio.lowlevel.current_statistics().io_statistics
    readers = getattr(waiting, "tasks_waiting_read", 0) - 1  # trio itself listens on one
    return "a socket" if readers > 0 or getattr(waiting, "tasks_waiting_write", 0) else ""


def _threads_busy() -> bool:
    return trio.to_thread.current_default_thread_limiter().borrowed_tokens > 0
