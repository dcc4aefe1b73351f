"""What references to another process weigh, and what a process that does not read costs the one that tells it things."""

from __future__ import annotations

import gc
import tracemalloc
from collections import deque
from collections.abc import Callable
from typing import Any

import msgpack
import trio

import actorkit as ak
from actorkit.cluster.options import ClusterOptions
from tests.benchmarks.memory import resident_bytes, traced_bytes
from tests.benchmarks.registry import benchmark, require
from tests.benchmarks.remote_actors import (
    SERGEANT,
    SINK,
    STATUE,
    Muster,
    Reading,
    SinkMessage,
    StandStill,
    Total,
)
from tests.benchmarks.remote_nodes import Pair, between_nodes

MEBIBYTE = 1 << 20
MUSTERED = 500
CHUNK = 100
PATIENCE = 60.0
TEXT = "x" * 1_000


def floor_ref(size: int) -> float:
    """Bare Python: what says where the actor is, a name, and two numbers of its own, in a tuple."""
    tracemalloc.start()
    try:
        kept: list[object] = [None] * size
        before = traced_bytes()
        for n in range(size):
            kept[n] = ("far", 1 << 30, 1_000_000 + n)
        return (traced_bytes() - before) / size
    finally:
        tracemalloc.stop()


@benchmark(unit="bytes", better="lower", size=20_000, floor=floor_ref, warm_up=False)
def remote_ref_bytes(size: int) -> float:
    """A reference, kept, to an actor in another process, each to another actor, by tracemalloc."""
    return between_nodes(_weigh_refs, size, warm_up=False)


async def _weigh_refs(pair: Pair, size: int) -> float:
    sergeant = await pair.find(SERGEANT)
    await sergeant.ask(Muster(1), timeout=PATIENCE)
    kept: list[ak.Ref[SinkMessage]] = []
    tracemalloc.start()
    try:
        gc.collect()
        before = traced_bytes()
        while len(kept) < size:
            count = min(MUSTERED, size - len(kept))
            kept.extend(await sergeant.ask(Muster(count), timeout=PATIENCE))
        gc.collect()
        weight = (traced_bytes() - before) / size
    finally:
        tracemalloc.stop()
    require("actors over there", len({ref.address for ref in kept}), size)
    return weight


# A process that stands still.


def floor_outbox(size: int) -> float:
    """Bare Python: as much packed as a node holds back for another, in a deque, and the rest dropped."""
    before = resident_bytes()
    held: deque[bytes] = deque()
    pack: Callable[[Any], bytes] = msgpack.Packer().pack
    room = ClusterOptions().outbox_bytes
    for n in range(size):
        data = pack((1, n, 1, (n, TEXT)))
        room -= len(data)
        if room > 0:
            held.append(data)
    return max(0, resident_bytes() - before) / MEBIBYTE


@benchmark(unit="MiB", better="lower", size=100_000, floor=floor_outbox, warm_up=False)
def remote_stopped_memory(size: int) -> float:
    """Growth of a process that tells an actor 100,000 messages of a kilobyte while that one's process stands still."""
    return between_nodes(_tell_stopped, size, warm_up=False)


async def _tell_stopped(pair: Pair, size: int) -> float:
    sink = await pair.find(SINK)
    (await pair.find(STATUE)).tell(StandStill())
    # It says "still" on its standard output, for it cannot say it to a node any more.
    require("word", await trio.to_thread.run_sync(pair.other.hear), "still")
    before = resident_bytes()
    for start in range(0, size, CHUNK):
        for _ in range(min(CHUNK, size - start)):
            sink.tell(Reading(1, TEXT))
        await trio.lowlevel.checkpoint()
    growth = max(0, resident_bytes() - before)
    pair.other.say("go on")
    total = await sink.ask(Total(), timeout=PATIENCE)
    require("more arrived than was told", total > size, False)
    return growth / MEBIBYTE
