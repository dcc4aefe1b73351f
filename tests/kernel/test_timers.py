"""Deadlines against sorted lists: never early, in creation order among equals, and no memory for what is done."""

from __future__ import annotations

import gc
import math
import random
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.kernel.timers import Lane, Timeouts, Timer, TimerHeap

delays = st.integers(0, 6).map(lambda n: n / 2)  # few values, so many deadlines are equal


@attrs.define(eq=False)
class Ask:
    """Something with a time-out."""

    noted_at: float
    seconds: float
    done: bool = False

    def expire(self) -> None:
        """Nothing: the tests look at what is due."""


# The heap -------------------------------------------------------------------------------------------------------

heap_steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), delays),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("prune"), st.integers(2, 4)),
        st.tuples(st.just("advance"), delays),
    ),
    max_size=50,
)


@attrs.define
class SortedList:
    """The model of a heap: the waiting (deadline, number) pairs, sorted when somebody asks."""

    waiting: list[tuple[float, int]] = attrs.field(factory=list)

    def take_due(self, now: float) -> list[int]:
        due = sorted(entry for entry in self.waiting if entry[0] <= now)
        self.waiting = [entry for entry in self.waiting if entry[0] > now]
        return [number for _, number in due]

    def take(self, number: int) -> bool:
        kept = [entry for entry in self.waiting if entry[1] != number]
        found = len(kept) < len(self.waiting)
        self.waiting = kept
        return found


def take_due(heap: TimerHeap[int], now: float) -> list[int]:
    """Everything a heap gives out at a time."""
    taken = []
    while (item := heap.pop_due(now)) is not None:
        taken.append(item)
    return taken


@given(heap_steps)
def test_a_heap_is_a_sorted_list(script: list[tuple[Any, ...]]) -> None:
    """A heap gives out what is due, never early, in creation order among equals, and nothing that was cancelled.

    Drained, it gives out all that is left in that order.
    """
    heap, model, now = TimerHeap[int](), SortedList(), 0.0
    timers: list[Timer[int]] = []
    for step, number in script:
        if step == "push":
            model.waiting.append((now + number, len(timers) + 1))
            timers.append(heap.push(now + number, len(timers) + 1))
        elif step == "cancel" and number < len(timers):
            assert heap.cancel(timers[number]) == model.take(number + 1)
            assert timers[number].item is None
        elif step == "prune":
            heap.prune(lambda item, by=number: item % by == 0)  # type: ignore[misc]
            model.waiting = [entry for entry in model.waiting if entry[1] % number]
        elif step == "advance":
            now += number
            assert take_due(heap, now) == model.take_due(now)
        assert len(heap) == len(model.waiting)
        assert heap.next_deadline() == min((due for due, _ in model.waiting), default=math.inf)
    assert heap.drain() == model.take_due(math.inf)
    assert len(heap) == 0


def test_cancelled_timers_take_no_room() -> None:
    """Behind one that waits for ever, ten thousand timers that were set and cancelled leave next to nothing."""
    heap = TimerHeap[str]()
    heap.push(1.0, "the oldest")
    for n in range(10_000):
        heap.cancel(heap.push(2.0 + n, "soon cancelled"))
    assert len(heap) == 1
    assert kept(Timer) < 200


def kept(kind: type) -> int:
    """How many objects of a class are alive."""
    gc.collect()
    return sum(type(o) is kind for o in gc.get_objects())


# Time-outs --------------------------------------------------------------------------------------------------------

durations = st.integers(1, 4).map(float)
timeout_steps = st.lists(
    st.one_of(
        st.tuples(st.just("note"), durations),
        st.tuples(st.just("finish"), st.integers(0, 30)),
        st.tuples(st.just("turn"), delays),
        st.tuples(st.just("wait"), delays),
    ),
    max_size=50,
)


@given(timeout_steps, st.booleans())
def test_timeouts_are_a_list_of_deadlines(script: list[tuple[Any, ...]], crowded: bool) -> None:
    """Every open ask expires once, counted from the end of the turn it was noted in; those that are done never do.

    ``crowded``: all lanes are taken, so the durations of this script go to the heap instead.
    """
    timeouts, now = Timeouts[Ask](), 0.0
    blockers = [Ask(0.0, 1000.0 + n) for n in range(64 if crowded else 0)]
    for blocker in blockers:
        timeouts.note(blocker, blocker.seconds, now)
    asks: list[Ask] = []
    stamped: dict[Ask, float] = {}
    expired: list[Ask] = []
    for step, number in script:
        if step == "note":
            asks.append(Ask(now, number))
            timeouts.note(asks[-1], number, now)
        elif step == "finish" and number < len(asks):
            asks[number].done = True
        elif step == "turn":
            now += number
            timeouts.stamp(now)
            for ask in asks:
                stamped.setdefault(ask, now)
        elif step == "wait":
            now += number
            expired += check_due(timeouts, asks, stamped, now, crowded)
        opened = [stamped[ask] + ask.seconds for ask in stamped if not ask.done]
        assert timeouts.next_deadline() <= min(opened, default=math.inf)
    assert len(expired) == len(set(expired))


def check_due(
    timeouts: Timeouts[Ask], asks: list[Ask], stamped: dict[Ask, float], now: float, crowded: bool
) -> list[Ask]:
    """Take what is due, and hold it against the list of deadlines."""
    since = {ask: ask.noted_at for ask in asks} if crowded else stamped
    awaited = {ask for ask in since if not ask.done and since[ask] + ask.seconds <= now}
    late = timeouts.due(now)
    assert set(late) == awaited
    for ask in late:
        assert now >= ask.noted_at + ask.seconds
        ask.done = True
    return late


@given(st.integers(0, 2**32))
def test_asks_of_one_duration_expire_in_order(seed: int) -> None:
    """Within a lane the older ask never expires after the younger one."""
    choose, lane, now = random.Random(seed), Lane[Ask](1.0), 0.0
    asks: list[Ask] = []
    late: list[Ask] = []
    for _ in range(30):
        asks.extend(Ask(now, 1.0) for _ in range(choose.randrange(3)))
        lane.noted.extend(ask for ask in asks if ask not in lane.noted and ask.noted_at == now)
        now += choose.random()
        lane.stamp(now)
        late += lane.due(now)
    assert late == sorted(late, key=asks.index)


@pytest.mark.parametrize("lanes", [1, 40, 500])
def test_answered_asks_take_no_room(lanes: int) -> None:
    """Behind a stuck oldest ask of each duration, any number of answered ones leave a bounded rest."""
    timeouts = Timeouts[Ask]()
    stuck = [Ask(0.0, 1000.0 + n) for n in range(lanes)]
    for ask in stuck:
        timeouts.note(ask, ask.seconds, 0.0)
    timeouts.stamp(0.0)
    for n in range(200_000 // max(lanes, 10)):
        ask_and_answer(timeouts, lanes, n)
    assert kept(Ask) <= lanes + 1100 * min(lanes, 65) + 2 * lanes
    assert set(timeouts.due(math.inf)) == set(stuck)


def ask_and_answer(timeouts: Timeouts[Ask], lanes: int, now: float) -> None:
    """One turn: an ask of every duration, half of them answered before its end, the rest soon after."""
    batch = [Ask(now, 1000.0 + m) for m in range(lanes)]
    for ask in batch:
        timeouts.note(ask, ask.seconds, now)
    for ask in batch[: len(batch) // 2]:
        ask.done = True
    timeouts.stamp(now)
    for ask in batch:
        ask.done = True


def test_lanes_of_rare_durations_are_given_up() -> None:
    """A thousand durations used once each do not keep a thousand lanes."""
    timeouts = Timeouts[Ask]()
    for n in range(1000):
        ask = Ask(n, 1.0 + n / 1000)
        timeouts.note(ask, ask.seconds, n)
        ask.done = True
        timeouts.stamp(n)
        assert timeouts.due(n + 10) == []
    assert len(timeouts.lanes) <= 64
