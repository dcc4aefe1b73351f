"""The shell around ``timers``: reads trio's clock, and sleeps until the next deadline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import trio

from actorkit.kernel.cell import Cell, State
from actorkit.kernel.events import DeadReason
from actorkit.kernel.inspection import Inspection
from actorkit.kernel.items import Fired
from actorkit.kernel.timers import Lane, Timeouts, Timer, TimerHeap
from actorkit.kernel.wait import Wait
from actorkit.seams.clock import Clock as Time

if TYPE_CHECKING:
    from actorkit.kernel.runtime import Runtime


class Sleep(Wait):
    """An actor or task that waits for a moment in time."""

    __slots__ = ("timer",)

    def __init__(self, cell: Cell | None, target: Cell | None) -> None:
        super().__init__(cell, target)
        self.timer: TimerHandle | None = None

    def expire(self) -> None:
        """The moment has come."""
        self.resolve(None)

    def due(self, _: float) -> None:
        """The moment has come."""
        self.resolve(None)

    def cancelled(self) -> None:
        """Nobody waits for that moment any more."""
        if self.timer is not None:
            self.timer.cancel()


class TimerHandle:
    """A timer that was set: ``cancel()`` it, or read how much time remains."""

    __slots__ = ("_clock", "_timer", "_waiting")

    def __init__(self, clock: Clock, timer: Timer[Any]) -> None:
        self._clock = clock
        self._timer = timer
        self._waiting = False

    @property
    def remaining(self) -> float | None:
        """Seconds until it fires; None if it has fired or was cancelled."""
        if self._timer.item is None:
            return None
        return max(0.0, self._timer.deadline - self._clock.now())

    def cancel(self) -> float | None:
        """Call it off: returns the seconds that remained, None if it has fired or was cancelled.

        After a cancel its message never arrives, not even one that had fired and still waited in the mailbox.
        """
        remaining = self.remaining
        self._waiting = False
        self._clock.drop(self._timer)
        return remaining


class _OwnedHandle(TimerHandle):
    """A timer of an actor, which dies with it."""

    __slots__ = ("_cell", "_message", "_period")
    for_whoever = False

    def __init__(
        self, clock: Clock, timer: Timer[Any], cell: Cell, message: Any, period: float | None
    ) -> None:
        super().__init__(clock, timer)
        self._cell = cell
        self._message = message
        self._period = period
        if cell.timers is None:
            cell.timers = {}
        cell.timers[self] = None

    def due(self, deadline: float) -> None:
        """Deliver the message; a periodic timer is set again from its deadline, so it does not drift."""
        cell = self._cell
        if not self._waiting:
            self._waiting = True
            cell.runtime.sent += 1
            cell.put(Fired(self._message, self))
        if self._period is not None:
            missed = max(0, math.floor((self._clock.now() - deadline) / self._period))
            self._timer = self._clock.heap.push(deadline + self._period * (missed + 1), self)
        elif cell.timers is not None:
            cell.timers.pop(self, None)

    def surfaced(self) -> bool:
        """Its message has come to the head of the mailbox: tells whether it is still wanted."""
        wanted, self._waiting = self._waiting, False
        return wanted

    def cancel(self) -> float | None:
        if self._cell.timers is not None:
            self._cell.timers.pop(self, None)
        return super().cancel()


class _RefTimer(TimerHandle):
    """A timer set from outside any actor, for whoever the reference means when it fires."""

    __slots__ = ("_message", "_ref", "_runtime")
    for_whoever = True

    def __init__(
        self, clock: Clock, timer: Timer[Any], runtime: Runtime, ref: Any, message: Any
    ) -> None:
        super().__init__(clock, timer)
        self._runtime = runtime
        self._ref = ref
        self._message = message

    def due(self, _: float) -> None:
        """Deliver the message; a dead receiver makes it a dead letter."""
        cell: Cell = self._ref._cell
        if cell.state is State.DEAD:
            self.give_up(DeadReason.NOT_DELIVERABLE)
        else:
            self._runtime.sent += 1
            self._waiting = True
            cell.put(Fired(self._message, self))

    def give_up(self, why: DeadReason) -> None:
        """The message will not be delivered."""
        self._runtime.sent += 1
        self._runtime.dead_letter(self._message, self._ref._cell, why)

    def surfaced(self) -> bool:
        """Its message has come to the head of the mailbox: tells whether it is still wanted."""
        wanted, self._waiting = self._waiting, False
        return wanted


class IdleTimer:
    """Fires once if its actor handles no message for a while, counted from the end of the message in hand."""

    __slots__ = ("_handle", "_seconds", "cell", "message", "seen")
    for_whoever = False

    def __init__(self, cell: Cell, seconds: float, message: Any) -> None:
        self.cell = cell
        self.message = message
        self._seconds = checked_seconds(seconds)
        self._handle: TimerHandle | None = None
        self.seen: int | None = None
        cell.put(Inspection(None, cell, self.arm))

    def arm(self, cell: Cell) -> None:
        """The message in hand is handled: start to count, unless more mail waits already."""
        if cell.idle_timer is self and not cell.waiting_mail:
            self._handle = cell.runtime.clock.set(self._seconds, self)
            cell.crowded = (
                True  # the cell notes in ``seen`` how much it has handled when it goes idle
            )

    def due(self, _: float) -> None:
        """Deliver the message unless the actor has handled one meanwhile, or has one waiting."""
        cell = self.cell
        cell.idle_timer = None
        if cell.idle and cell.messages_handled == self.seen:
            cell.runtime.sent += 1
            cell.put(Fired(self.message, self))

    def surfaced(self) -> bool:
        """Once fired it is always wanted."""
        return True

    def cancel(self) -> None:
        """Call it off."""
        self.cell.idle_timer = None
        if self._handle is not None:
            self._handle.cancel()


class Clock:
    """All deadlines of a node. Times are seconds on trio's clock, so a test's clock moves them.

    ``now()`` reads that clock, ``wall()`` the date, in seconds since 1970.
    """

    def __init__(self, time: Time) -> None:
        self.now = time.now
        self.wall = time.wall
        self.heap: TimerHeap[Any] = TimerHeap()
        self.timeouts: Timeouts[Wait] = Timeouts()
        self.lanes: dict[float, Lane[Wait]] = self.timeouts.lanes
        self._nap: trio.CancelScope | None = None
        self._alarm_at = math.inf

    def expire(self, wait: Wait, seconds: float) -> None:
        """Tell ``wait`` that its time is over in ``seconds``, unless it is done by then."""
        now = self.now()
        self.timeouts.note(wait, checked_seconds(seconds), now)
        self._alarm(now + seconds)
        self.stamp()

    def stamp(self) -> None:
        """Give the asks noted since the last stamp their deadline; called when a dispatcher's turn ends."""
        for lane in self.lanes.values():
            if lane.noted:
                now = self.now()
                lane.stamp(now)
                self._alarm(now + lane.seconds)

    def set(self, seconds: float, item: Any) -> TimerHandle:
        """Call ``item.due(deadline)`` after ``seconds``."""
        timer = self._push(seconds, item)
        return TimerHandle(self, timer)

    def _push(self, seconds: float, item: Any) -> Timer[Any]:
        deadline = self.now() + checked_seconds(seconds)
        self._alarm(deadline)
        return self.heap.push(deadline, item)

    def send_after(self, cell: Cell, seconds: float, message: Any) -> TimerHandle:
        """Set a timer that gives an actor a message once."""
        return self._own(cell, seconds, message, None)

    def send_every(self, cell: Cell, seconds: float, message: Any) -> TimerHandle:
        """Set a timer that gives an actor a message again and again."""
        if not seconds > 0:
            raise ValueError(f"an interval is a number of seconds above 0, got {seconds!r}")
        return self._own(cell, seconds, message, seconds)

    def _own(self, cell: Cell, seconds: float, message: Any, period: float | None) -> TimerHandle:
        timer = self._push(seconds, None)
        handle = _OwnedHandle(self, timer, cell, message, period)
        timer.item = handle
        return handle

    def send_to(self, runtime: Runtime, ref: Any, seconds: float, message: Any) -> TimerHandle:
        """Set a timer that sends a message to whoever a reference means when it fires."""
        timer = self._push(seconds, None)
        handle = _RefTimer(self, timer, runtime, ref, message)
        timer.item = handle
        if runtime.closed:
            self.close()
        return handle

    def wake_after(self, wait: Sleep, seconds: float) -> None:
        """Resume ``wait`` after ``seconds``."""
        wait.timer = self.set(seconds, wait)

    def drop(self, timer: Timer[Any]) -> None:
        """Take a timer out of the heap."""
        self.heap.cancel(timer)

    def forget(self, cell: Cell) -> None:
        """A dead actor's timers die with it."""
        timers, cell.timers = cell.timers, None
        for handle in timers or ():
            handle.cancel()
        if cell.idle_timer is not None:
            cell.idle_timer.cancel()
            cell.idle_timer = None

    def close(self) -> None:
        """The system is closed: what timers set from outside have not sent yet becomes dead letters."""
        for item in self.heap.drain():
            if isinstance(item, _RefTimer):
                item.give_up(DeadReason.CLOSED)

    def next_deadline(self) -> float:
        """The earliest deadline of all; infinity if nothing waits."""
        return min(self.heap.next_deadline(), self.timeouts.next_deadline())

    def _alarm(self, deadline: float) -> None:
        """See to it that the clock's task is awake at ``deadline``."""
        if deadline < self._alarm_at:
            self._alarm_at = deadline
            if self._nap is not None:
                self._nap.deadline = deadline

    @trio.lowlevel.enable_ki_protection
    async def keep(self) -> None:
        """Sleep until the next deadline, carry out what is due, and so on for ever."""
        while True:
            self._alarm_at = self.next_deadline()
            with trio.CancelScope(deadline=self._alarm_at) as self._nap:
                await trio.sleep_forever()
            self._nap = None
            self._carry_out(self.now())

    def _carry_out(self, now: float) -> None:
        for wait in self.timeouts.due(now):
            wait.expire()
        while True:
            deadline = self.heap.next_deadline()
            item = self.heap.pop_due(now)
            if item is None:
                return
            item.due(deadline)


def checked_seconds(seconds: float) -> float:
    """Return ``seconds`` if it is a time to wait, else raise ValueError naming it."""
    if isinstance(seconds, (int, float)) and seconds >= 0:  # type: ignore[redundant-expr]
        return seconds
    raise ValueError(f"a time to wait is a number of seconds from 0 up, got {seconds!r}")
