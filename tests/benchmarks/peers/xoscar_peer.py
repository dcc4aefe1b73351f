"""xoscar: asyncio actors in one pool of one process; between two processes it is xoscar_far."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import functools
import time
from typing import Any

import xoscar as xo

from tests.benchmarks.peers import xoscar_far
from tests.benchmarks.peers.answering import answer, require

CHUNK = 1_000


class Counter(xo.Actor):
    """Adds up what it is sent."""

    def __init__(self) -> None:
        self.sum = 0
        self.hook_ran = False

    async def __post_create__(self) -> None:
        self.hook_ran = True

    async def add(self, n: int) -> int:
        self.sum += n
        return self.sum

    async def ready(self) -> bool:
        return self.hook_ran


class Caller(xo.Actor):
    """Calls another actor many times in one call of its own."""

    def __init__(self, callee: Any) -> None:
        self.callee = callee

    async def call(self, times: int) -> int:
        total = 0
        for _ in range(times):
            total = await self.callee.add(1)
        return total


async def tell_flood(address: str, size: int) -> float:
    """Messages per second told to one actor from outside."""
    sink = await xo.create_actor(Counter, address=address)
    begin = time.perf_counter()
    for start in range(0, size, CHUNK):
        for _ in range(min(CHUNK, size - start)):
            await sink.add.tell(1)
        total = await sink.add(0)
    while total < size:
        total = await sink.add(0)
    return size / (time.perf_counter() - begin)


async def ask_actor_to_actor(address: str, size: int) -> float:
    """Calls per second of one actor by another."""
    counter = await xo.create_actor(Counter, address=address)
    caller = await xo.create_actor(Caller, counter, address=address)
    begin = time.perf_counter()
    total = await caller.call(size)
    seconds = time.perf_counter() - begin
    require("total", total, size)
    return size / seconds


async def ask_from_task(address: str, size: int) -> float:
    """Calls per second of an actor from outside."""
    counter = await xo.create_actor(Counter, address=address)
    begin = time.perf_counter()
    for _ in range(size):
        total = await counter.add(1)
    seconds = time.perf_counter() - begin
    require("total", total, size)
    return size / seconds


async def spawn(address: str, size: int) -> float:
    """Microseconds for each actor that is ready."""
    begin = time.perf_counter()
    refs = [await xo.create_actor(Counter, address=address) for _ in range(size)]
    seconds = time.perf_counter() - begin
    require("start hooks", sum([await ref.ready() for ref in refs]), size)
    return seconds * 1e6 / size


async def start_stop(address: str, size: int) -> float:
    """Actors started and stopped per second."""
    begin = time.perf_counter()
    for _ in range(size):
        ref = await xo.create_actor(Counter, address=address)
        await xo.destroy_actor(ref)
    return size / (time.perf_counter() - begin)


async def _in_a_pool(work: Any, size: int) -> float:
    pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
    async with pool:
        return await work(pool.external_address, size)


def _run(work: Any, size: int) -> float:
    return asyncio.run(_in_a_pool(work, size))


if __name__ == "__main__":
    works = (tell_flood, ask_actor_to_actor, ask_from_task, spawn, start_stop)
    local = {work.__name__: functools.partial(_run, work) for work in works}
    answer("xoscar", {**local, **xoscar_far.WORKS})
