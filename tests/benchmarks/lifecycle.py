"""Actors begin and end: what a start costs, and a start with a stop."""

from __future__ import annotations

import trio
from trio.lowlevel import checkpoint

import actorkit as ak
from tests.benchmarks import bare
from tests.benchmarks.registry import benchmark, require

MICROSECONDS = 1e6


@ak.message
class Poke: ...


@ak.message
class SpawnMany(ak.Request[float]):
    count: int


class Tally:
    """How many start hooks ran."""

    def __init__(self) -> None:
        self.started = 0


class Newborn(ak.Actor[Poke]):
    """Does nothing but count that its start hook ran."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    async def started(self) -> None:
        self.tally.started += 1

    @ak.on(Poke)
    def poke(self, msg: Poke) -> None: ...


class Parent(ak.Actor[SpawnMany]):
    """Spawns children one after the other and answers the seconds this took."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    @ak.on(SpawnMany)
    async def spawn_many(self, msg: SpawnMany) -> float:
        seconds = bare.stopwatch()
        for _ in range(msg.count):
            await self.ctx.spawn(ak.props(Newborn, self.tally))
        return seconds()


def floor_two_task_starts(size: int) -> float:
    """Two trio task starts: twice start_soon and the task's first step, one task at a time."""
    return trio.run(_start_tasks, size)


async def _start_tasks(size: int) -> float:
    tally = Tally()
    async with trio.open_nursery() as nursery:
        seconds = bare.stopwatch()
        for _ in range(size):
            nursery.start_soon(_first_step, tally)
            await checkpoint()
        # Tasks of one batch run in random order, so the last first step may be one batch later.
        await checkpoint()
        elapsed = seconds()
        require("first steps", tally.started, size)
        nursery.cancel_scope.cancel()
    return 2 * elapsed * MICROSECONDS / size


async def _first_step(tally: Tally) -> None:
    tally.started += 1
    await trio.sleep_forever()


@benchmark(unit="us", better="lower", size=5_000, floor=floor_two_task_starts)
def spawn(size: int) -> float:
    """A plain trio task spawns actors, each ready with its async start hook run."""
    return trio.run(_spawn_from_task, size)


async def _spawn_from_task(size: int) -> float:
    tally = Tally()
    async with ak.open_system() as system:
        seconds = bare.stopwatch()
        for _ in range(size):
            await system.spawn(ak.props(Newborn, tally))
        elapsed = seconds()
        require("start hooks", tally.started, size)
        return elapsed * MICROSECONDS / size


@benchmark(unit="us", better="lower", size=5_000, floor=floor_two_task_starts, peer_work="spawn")
def spawn_from_actor(size: int) -> float:
    """An actor spawns actors, each ready with its async start hook run."""
    return trio.run(_spawn_from_actor, size)


async def _spawn_from_actor(size: int) -> float:
    tally = Tally()
    async with ak.open_system() as system:
        parent = await system.spawn(ak.props(Parent, tally))
        elapsed = await parent.ask(SpawnMany(size), timeout=60.0)
        require("start hooks", tally.started, size)
        return elapsed * MICROSECONDS / size


class BareTask:
    """A task that runs until its scope is cancelled, and says that it has ended."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.scope = trio.CancelScope()
        self.ended = trio.Event()

    async def run(self) -> None:
        with self.scope:
            self.tally.started += 1
            await trio.sleep_forever()
        self.ended.set()


def floor_start_stop(size: int) -> float:
    """A trio task started, stopped by its own cancel scope, and waited for."""
    return trio.run(_start_stop_tasks, size)


async def _start_stop_tasks(size: int) -> float:
    tally = Tally()
    async with trio.open_nursery() as nursery:
        seconds = bare.stopwatch()
        for _ in range(size):
            task = BareTask(tally)
            nursery.start_soon(task.run)
            await checkpoint()
            task.scope.cancel()
            await task.ended.wait()
        elapsed = seconds()
    require("first steps", tally.started, size)
    return size / elapsed


@benchmark(unit="actors/s", size=5_000, floor=floor_start_stop)
def start_stop(size: int) -> float:
    """A plain trio task spawns an actor and stops it, again and again."""
    return trio.run(_start_stop, size)


async def _start_stop(size: int) -> float:
    tally = Tally()
    async with ak.open_system() as system:
        seconds = bare.stopwatch()
        for _ in range(size):
            ref = await system.spawn(ak.props(Newborn, tally))
            await ref.stop()
        elapsed = seconds()
        require("start hooks", tally.started, size)
        return size / elapsed
