"""xoscar between two processes: a pool in each, loopback TCP between them. Run as a module, it is the other process."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import time
from typing import Any

import uvloop
import xoscar as xo

from tests.benchmarks.beside import beside, tell_parent, told_by_parent
from tests.benchmarks.peers.answering import bulk_works, require

MODULE = "tests.benchmarks.peers.xoscar_far"
SMALL = "otters"
CHUNK = 1_000
WIDTH = 1_000
MEBIBYTE = 1 << 20
PAUSE = 0.001


class FarCounter(xo.Actor):
    """Adds up what it is sent."""

    def __init__(self) -> None:
        self.sum = 0

    async def add_up(self, sensor: int, text: str) -> int:
        self.sum += sensor
        return self.sum

    async def take(self, data: bytes) -> None:
        self.sum += len(data)

    async def total(self) -> int:
        return self.sum


class NearCaller(xo.Actor):
    """Uses a far actor from inside a call of its own."""

    def __init__(self, callee: Any) -> None:
        self.callee = callee

    async def flood(self, count: int) -> int:
        for start in range(0, count, CHUNK):
            for _ in range(min(CHUNK, count - start) - 1):
                await self.callee.add_up.tell(1, SMALL)
            await self.callee.add_up(1, SMALL)
        return await self.callee.total()

    async def ask_on(self, times: int) -> int:
        total = 0
        for _ in range(times):
            total = await self.callee.add_up(1, SMALL)
        return total

    async def pipeline(self, width: int, rounds: int) -> int:
        await asyncio.gather(*(self.ask_on(rounds) for _ in range(width)))
        return await self.callee.total()

    async def probe(self, times: int) -> list[float]:
        taken = []
        for _ in range(times):
            await asyncio.sleep(PAUSE)
            begin = time.perf_counter()
            await self.callee.add_up(1, SMALL)
            taken.append((time.perf_counter() - begin) * 1e3)
        return taken


async def remote_tell(near: str, far: str, size: int) -> float:
    """Messages per second told to a far actor, every thousandth a call."""
    caller = await _caller(near, far)
    begin = time.perf_counter()
    total = await caller.flood(size)
    seconds = time.perf_counter() - begin
    require("total", total, size)
    return size / seconds


async def remote_ask(near: str, far: str, size: int) -> float:
    """Calls per second of a far actor, one after the other."""
    caller = await _caller(near, far)
    begin = time.perf_counter()
    total = await caller.ask_on(size)
    seconds = time.perf_counter() - begin
    require("total", total, size)
    return size / seconds


async def remote_ask_pipelined(near: str, far: str, size: int) -> float:
    """Calls per second of a far actor, 1,000 under way."""
    width = min(WIDTH, size)
    caller = await _caller(near, far)
    begin = time.perf_counter()
    total = await caller.pipeline(width, size // width)
    seconds = time.perf_counter() - begin
    require("total", total, width * (size // width))
    return total / seconds


async def remote_spawn(near: str, far: str, size: int) -> float:
    """Actors created in the other process per second."""
    begin = time.perf_counter()
    refs = [await xo.create_actor(FarCounter, address=far) for _ in range(size)]
    seconds = time.perf_counter() - begin
    require("totals", sum([await ref.total() for ref in refs]), 0)
    return size / seconds


async def ship(near: str, far: str, size: int) -> tuple[float, list[float], list[float]]:
    """Blobs to one far actor, small calls of another alone and beside them."""
    caller = await _caller(near, far)
    bulk = await xo.create_actor(FarCounter, address=far)
    alone = await caller.probe(size)
    done = asyncio.Event()

    async def probe() -> list[float]:
        taken = await caller.probe(1)
        while not done.is_set():
            taken += await caller.probe(1)
        return taken

    probing = asyncio.create_task(probe())
    data = bytes(MEBIBYTE)
    begin = time.perf_counter()
    for _ in range(size):
        await bulk.take(data)
    total = await bulk.total()
    seconds = time.perf_counter() - begin
    done.set()
    require("bytes", total, size * MEBIBYTE)
    return total / 1e6 / seconds, alone, await probing


async def _caller(near: str, far: str) -> Any:
    callee = await xo.create_actor(FarCounter, address=far)
    return await xo.create_actor(NearCaller, callee, address=near)


async def _near(work: Any, far: str, size: int) -> Any:
    pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
    async with pool:
        return await work(pool.external_address, far, size)


async def _far() -> None:
    pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
    async with pool:
        tell_parent(pool.external_address)
        await asyncio.to_thread(told_by_parent)


def _between(work: Any) -> Any:
    def run(size: int) -> Any:
        with beside(MODULE) as other:
            return uvloop.run(_near(work, other.hear(), size))

    return run


WORKS = {
    **{
        work.__name__: _between(work)
        for work in (remote_tell, remote_ask, remote_ask_pipelined, remote_spawn)
    },
    **bulk_works(_between(ship)),
}

if __name__ == "__main__":
    uvloop.run(_far())
