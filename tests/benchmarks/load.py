"""One busy actor among a great many idle ones."""

from __future__ import annotations

import contextlib
import gc
import statistics
from collections.abc import Callable, Generator

import trio

import actorkit as ak
from tests.benchmarks import bare
from tests.benchmarks.messaging import Sink, flood, floor_tell_flood
from tests.benchmarks.registry import benchmark

REPEATS = 3


def _messages(idle: int) -> int:
    return min(idle, 100_000)


@contextlib.contextmanager
def _modules_out_of_the_way() -> Generator[None]:
    # With few objects alive, full collections run often and walk all that imports have made; with many they hardly
    # run. That made the rate alone look a quarter worse than it is.
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def floor_busy_among_idle(idle: int) -> float:
    """Bare Python: the flood's floor among so many bare actors, as a share of its rate alone."""
    messages = _messages(idle)
    floor_tell_flood(messages)
    with _modules_out_of_the_way():
        alone = _median_of(lambda: floor_tell_flood(messages))
        others = [bare.Box() for _ in range(idle)]
        gc.collect()
        among = _median_of(lambda: floor_tell_flood(messages))
        del others
    return among / alone


def _median_of(rate: Callable[[], float]) -> float:
    return statistics.median(rate() for _ in range(REPEATS))


@benchmark(unit="of alone", size=100_000, floor=floor_busy_among_idle, warm_up=False)
def busy_among_idle(idle: int) -> float:
    """The rate of one flooded actor among 100,000 idle ones, as a share of its rate alone."""
    return trio.run(_busy_among_idle, idle)


async def _busy_among_idle(idle: int) -> float:
    messages = _messages(idle)
    async with ak.open_system() as system:
        busy = await system.spawn(ak.props(Sink))
        await flood(busy, messages)
        with _modules_out_of_the_way():
            alone = [await flood(busy, messages) for _ in range(REPEATS)]
            others = [await system.spawn(ak.props(Sink)) for _ in range(idle)]
            gc.collect()
            among = [await flood(busy, messages) for _ in range(REPEATS)]
            del others
        return statistics.median(among) / statistics.median(alone)
