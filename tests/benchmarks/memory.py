"""What an actor weighs while it does nothing, and what a mailbox weighs that nobody empties."""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections import deque
from collections.abc import Callable
from pathlib import Path

import trio

import actorkit as ak
from tests.benchmarks.messaging import Add, Sink, Total
from tests.benchmarks.registry import benchmark, require

# One actor before the first reading pays for what is made once for all.
FIRST = 10
CAPACITY = 1_000


def resident_bytes() -> int:
    """The memory of this process that is in RAM now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def traced_bytes() -> int:
    """What Python has allocated since tracing began and not given back."""
    return tracemalloc.get_traced_memory()[0]


class BareSink:
    """The bare actor instance."""

    def __init__(self) -> None:
        self.total = 0


def _weigh_bare(size: int, reading: Callable[[], int]) -> float:
    kept: list[object] = [None] * size
    gc.collect()
    before = reading()
    for n in range(size):
        kept[n] = (BareSink(), deque[object]())
    gc.collect()
    return (reading() - before) / size


async def _weigh_actors(size: int, reading: Callable[[], int]) -> float:
    async with ak.open_system() as system:
        kept: list[ak.Ref[Add | Total] | None] = [None] * size
        for _ in range(FIRST):
            await system.spawn(ak.props(Sink))
        gc.collect()
        before = reading()
        for n in range(size):
            kept[n] = await system.spawn(ak.props(Sink))
        gc.collect()
        weight = (reading() - before) / size
        require("refs kept", sum(ref is not None for ref in kept), size)
        return weight


def floor_traced(size: int) -> float:
    """The bare actor instance and an empty deque, and the tuple that holds them."""
    tracemalloc.start()
    try:
        return _weigh_bare(size, traced_bytes)
    finally:
        tracemalloc.stop()


@benchmark(unit="bytes", better="lower", size=20_000, floor=floor_traced, warm_up=False)
def idle_actor_bytes(size: int) -> float:
    """An idle actor with the ref that was kept to it, by tracemalloc."""
    tracemalloc.start()
    try:
        return trio.run(_weigh_actors, size, traced_bytes)
    finally:
        tracemalloc.stop()


def floor_resident(size: int) -> float:
    """As above, by the growth of the process."""
    return _weigh_bare(size, resident_bytes)


@benchmark(unit="bytes", better="lower", size=20_000, floor=floor_resident, warm_up=False)
def idle_actor_rss(size: int) -> float:
    """An idle actor with the ref that was kept to it, by the growth of the process."""
    return trio.run(_weigh_actors, size, resident_bytes)


# A mailbox nobody empties.


@ak.message
class Block: ...


class StoppedUp(ak.Actor[Add | Block]):
    """Stands in its first handler until the gate is opened."""

    mailbox = ak.Mailbox(capacity=CAPACITY)

    def __init__(self, entered: trio.Event, gate: trio.Event) -> None:
        self.entered = entered
        self.gate = gate
        self.total = 0

    @ak.on(Block)
    async def block(self, msg: Block) -> None:
        self.entered.set()
        await self.gate.wait()

    @ak.on(Add)
    def add(self, msg: Add) -> None:
        self.total += msg.n


def floor_stopped_up(size: int) -> float:
    """Bare Python: a bounded deque that is full."""
    mail: deque[Add] = deque(maxlen=CAPACITY)
    mail.extend(Add(1) for _ in range(2 * CAPACITY))
    before = resident_bytes()
    for _ in range(size):
        mail.append(Add(1))
    return max(0, resident_bytes() - before) / size


@benchmark(
    unit="bytes/message", better="lower", size=1_000_000, floor=floor_stopped_up, warm_up=False
)
def stopped_up_memory(size: int) -> float:
    """Growth of the process for each message told to an actor that is stuck and full."""
    return trio.run(_stop_up, size)


async def _stop_up(size: int) -> float:
    async with ak.open_system() as system:
        entered, gate = trio.Event(), trio.Event()
        stuck = await system.spawn(ak.props(StoppedUp, entered, gate))
        stuck.tell(Block())
        await entered.wait()
        await _tell_chunks(stuck, 2 * CAPACITY)
        before = resident_bytes()
        await _tell_chunks(stuck, size)
        growth = max(0, resident_bytes() - before)
        gate.set()
        return growth / size


async def _tell_chunks(ref: ak.Ref[Add], count: int) -> None:
    # Other tasks run in between, so that whoever reports dead letters is not the one who grows.
    for start in range(0, count, CAPACITY):
        for _ in range(min(CAPACITY, count - start)):
            ref.tell(Add(1))
        await trio.lowlevel.checkpoint()
