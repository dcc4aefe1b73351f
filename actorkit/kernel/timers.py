"""Deadlines: one heap for timers, and one lane per duration for the time-outs of asks. Pure: time is an argument.

Asks share a few durations and nearly all are answered at once. A heap of their deadlines would fill with stale
entries, and reading the clock for each would cost as much as the ask. So an ask is only noted in the lane of its
duration; ``stamp`` gives all asks that are still open their deadline when the dispatcher's turn ends. A deadline
counted from the end of the turn is never early, and exact in virtual time.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Timer(Generic[T]):
    """One deadline in a heap: ``item`` is due at ``deadline``; None once it was taken or cancelled."""

    __slots__ = ("deadline", "item")

    def __init__(self, deadline: float, item: T) -> None:
        self.deadline = deadline
        self.item: T | None = item


class TimerHeap(Generic[T]):
    """Deadlines in order, equal ones in creation order; cancelled ones go when they surface or outnumber the rest."""

    __slots__ = ("_dead", "_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer[T]]] = []
        self._serial = 0
        self._dead = 0

    def __len__(self) -> int:
        return len(self._heap) - self._dead

    def push(self, deadline: float, item: T) -> Timer[T]:
        """Add an item that is due at ``deadline``."""
        self._serial += 1
        timer = Timer(deadline, item)
        heapq.heappush(self._heap, (deadline, self._serial, timer))
        return timer

    def cancel(self, timer: Timer[T]) -> bool:
        """Remove a timer; tells whether it was still waiting."""
        if timer.item is None:
            return False
        timer.item = None
        self._dead += 1
        if self._dead > 64 and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].item is not None]
            heapq.heapify(self._heap)
            self._dead = 0
        return True

    def pop_due(self, now: float) -> T | None:
        """Take the first item due at ``now``; None if there is none."""
        self._shed()
        if not self._heap or self._heap[0][0] > now:
            return None
        timer = heapq.heappop(self._heap)[2]
        item, timer.item = timer.item, None
        return item

    def next_deadline(self) -> float:
        """The earliest deadline; infinity if nothing waits."""
        self._shed()
        return self._heap[0][0] if self._heap else math.inf

    def drain(self) -> list[T]:
        """Take all that waits, in order of deadline."""
        items: list[T] = []
        while (item := self.pop_due(math.inf)) is not None:
            items.append(item)
        return items

    def prune(self, stale: Callable[[T], bool]) -> None:
        """Forget the items that nobody wants any more."""
        for _, _, timer in self._heap:
            if timer.item is not None and stale(timer.item):
                timer.item = None
        self._heap = [entry for entry in self._heap if entry[2].item is not None]
        heapq.heapify(self._heap)
        self._dead = 0

    def _shed(self) -> None:
        while self._heap and self._heap[0][2].item is None:
            heapq.heappop(self._heap)
            self._dead -= 1


class Pending(Protocol):
    """Something with a time-out: it is done, or it can be told that its time is over."""

    done: bool

    def expire(self) -> None:
        """Its time is over."""
        ...


L = TypeVar("L", bound=Pending)

_LANES = 64
_SWEEP_AT_LEAST = 64


class Lane(Generic[L]):
    """The asks of one duration, oldest first."""

    __slots__ = ("kept", "noted", "seconds", "stamped", "sweep_at")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.noted: list[L] = []
        self.stamped: list[tuple[float, list[L]]] = []
        self.kept = 0
        self.sweep_at = _SWEEP_AT_LEAST

    def stamp(self, now: float) -> None:
        """Give the asks noted since the last stamp, and still open, their common deadline."""
        still_open = [ask for ask in self.noted if not ask.done]
        self.noted.clear()
        if still_open:
            self.stamped.append((now + self.seconds, still_open))
            self.kept += len(still_open)
            if self.kept > self.sweep_at:
                self._sweep()

    def _sweep(self) -> None:
        """Forget the asks answered since; the threshold doubles with what is left, so this is amortised."""
        swept = [(due, [a for a in asks if not a.done]) for due, asks in self.stamped]
        self.stamped = [(due, asks) for due, asks in swept if asks]
        self.kept = sum(len(asks) for _, asks in self.stamped)
        self.sweep_at = max(_SWEEP_AT_LEAST, 2 * self.kept)

    def due(self, now: float) -> list[L]:
        """Take the open asks whose deadline has come."""
        count = 0
        for deadline, _ in self.stamped:
            if deadline > now:
                break
            count += 1
        late = [ask for _, asks in self.stamped[:count] for ask in asks]
        del self.stamped[:count]
        self.kept -= len(late)
        return [ask for ask in late if not ask.done]

    def next_deadline(self) -> float:
        """The earliest deadline; infinity if nothing waits."""
        return self.stamped[0][0] if self.stamped else math.inf


class Timeouts(Generic[L]):
    """The time-outs of all asks of a node: a lane per duration, and a heap for durations too many to have one."""

    __slots__ = ("_odd", "_prune_at", "lanes")

    def __init__(self) -> None:
        self.lanes: dict[float, Lane[L]] = {}
        self._odd: TimerHeap[L] = TimerHeap()
        self._prune_at = _SWEEP_AT_LEAST

    def note(self, ask: L, seconds: float, now: float) -> None:
        """Note an ask whose duration may be new."""
        lane = self.lanes.get(seconds)
        if lane is None:
            lane = self._open(seconds)
        if lane is None:
            self._odd.push(now + seconds, ask)
            if len(self._odd) > self._prune_at:
                self._odd.prune(lambda ask: ask.done)
                self._prune_at = max(_SWEEP_AT_LEAST, 2 * len(self._odd))
        else:
            lane.noted.append(ask)

    def _open(self, seconds: float) -> Lane[L] | None:
        if len(self.lanes) >= _LANES:
            idle = [s for s, lane in self.lanes.items() if not lane.noted and not lane.stamped]
            for each in idle:
                del self.lanes[each]
        if len(self.lanes) >= _LANES:
            return None
        return self.lanes.setdefault(seconds, Lane(seconds))

    def stamp(self, now: float) -> None:
        """Give every ask noted since the last stamp its deadline."""
        for lane in self.lanes.values():
            if lane.noted:
                lane.stamp(now)

    def due(self, now: float) -> list[L]:
        """Take every open ask whose deadline has come."""
        late = [ask for lane in self.lanes.values() for ask in lane.due(now)]
        while (ask := self._odd.pop_due(now)) is not None:
            if not ask.done:
                late.append(ask)
        return late

    def next_deadline(self) -> float:
        """The earliest deadline; infinity if nothing waits."""
        return (
            min((lane.next_deadline() for lane in self.lanes.values()), default=math.inf)
            if (not len(self._odd))
            else min(
                self._odd.next_deadline(),
                *(lane.next_deadline() for lane in self.lanes.values()),
                math.inf,
            )
        )
