"""Timers set and cancelled, and how punctual trio stays beside busy actors."""

from __future__ import annotations

import heapq
import math
from typing import Any

import trio
from trio.lowlevel import checkpoint

import actorkit as ak
from tests.benchmarks import bare
from tests.benchmarks.registry import benchmark, require

FAR = 60.0
TICK = 0.001
BATCH = 500
MILLISECONDS = 1e3


@ak.message
class Alarm: ...


@ak.message
class SetAndCancel(ak.Request[float]):
    count: int


class Sleeper(ak.Actor[SetAndCancel | Alarm]):
    """Sets many timers, cancels them all, and answers the seconds this took."""

    @ak.on(SetAndCancel)
    async def set_and_cancel(self, msg: SetAndCancel) -> float:
        send_after, alarm = self.ctx.send_after, Alarm()
        seconds = bare.stopwatch()
        timers = [send_after(FAR + n % 1000, alarm) for n in range(msg.count)]
        left = [timer.cancel() for timer in timers]
        elapsed = seconds()
        require("timers that were live", sum(one is not None for one in left), msg.count)
        return elapsed

    @ak.on(Alarm)
    def alarm(self, msg: Alarm) -> None:
        raise AssertionError("a cancelled timer rang")


def floor_timers(size: int) -> float:
    """Bare Python: a heap of entries; cancelling empties the entry and computes what was left."""
    now = trio.run(_now)
    heap: list[list[Any]] = []
    message = bare.Add(1)
    seconds = bare.stopwatch()
    entries: list[list[Any]] = []
    for n in range(size):
        entry: list[Any] = [now + FAR + n % 1000, n, message]
        heapq.heappush(heap, entry)
        entries.append(entry)
    left: list[float] = []
    for entry in entries:
        entry[2] = None
        left.append(entry[0] - now)
    elapsed = seconds()
    require("timers that were live", len(left), size)
    return size / elapsed


async def _now() -> float:
    await checkpoint()
    return trio.current_time()


@benchmark(unit="timers/s", size=100_000, floor=floor_timers)
def timers(size: int) -> float:
    """An actor sets timers to itself and then cancels them all."""
    return trio.run(_set_and_cancel, size)


async def _set_and_cancel(size: int) -> float:
    async with ak.open_system() as system:
        sleeper = await system.spawn(ak.props(Sleeper))
        elapsed = await sleeper.ask(SetAndCancel(size), timeout=60.0)
        return size / elapsed


# Punctuality.


@ak.message
class Spin: ...


class Turns:
    """How far a spinner got, and whether it should stop."""

    def __init__(self) -> None:
        self.count = 0
        self.over = False


class Spinner(ak.Actor[Spin]):
    """Answers every message by telling itself another, until it should stop."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    @ak.on(Spin)
    async def spin(self, msg: Spin) -> None:
        self.turns.count += 1
        if not self.turns.over:
            self.ctx.self.tell(Spin())


async def lateness(ticks: int) -> list[float]:
    """How late, in milliseconds, a task woke that wanted to sleep for one each time."""
    late: list[float] = []
    for _ in range(ticks):
        due = trio.current_time() + TICK
        await trio.sleep_until(due)
        late.append((trio.current_time() - due) * MILLISECONDS)
    return late


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of all values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def floor_latency(ticks: int) -> float:
    """Bare trio: the same ticks beside a task that dispatches messages, 500 to a checkpoint."""
    return trio.run(_tick_beside_task, ticks)


async def _tick_beside_task(ticks: int) -> float:
    turns = Turns()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_spin, turns)
        late = await lateness(ticks)
        turns.over = True
    require("turns beside the ticks", turns.count > ticks, True)
    return percentile(late, 0.99)


async def _spin(turns: Turns) -> None:
    box = bare.Box()
    mail, handlers = box.mail, box.handlers
    while not turns.over:
        for _ in range(BATCH):
            mail.append(bare.Add(1))
            message = mail.popleft()
            await handlers[type(message)](message)
        turns.count += BATCH
        await checkpoint()


@benchmark(unit="ms", better="lower", size=1_000, floor=floor_latency)
def trio_latency_under_load(ticks: int) -> float:
    """How late (99th percentile) a trio task wakes from a sleep of 1 ms while an actor floods itself."""
    return trio.run(_tick_beside_actor, ticks)


async def _tick_beside_actor(ticks: int) -> float:
    turns = Turns()
    async with ak.open_system() as system:
        spinner = await system.spawn(ak.props(Spinner, turns))
        spinner.tell(Spin())
        late = await lateness(ticks)
        turns.over = True
    require("turns beside the ticks", turns.count > ticks, True)
    return percentile(late, 0.99)
