"""Messages of 1 MiB to another process, and what they do to small questions on the same connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

import actorkit as ak
from tests.benchmarks import bare, tcp
from tests.benchmarks.registry import Workload, benchmark, require
from tests.benchmarks.remote_actors import BULK, SINK, SMALL, AddUp, Blob, SinkMessage, Total
from tests.benchmarks.remote_nodes import Pair, between_nodes
from tests.benchmarks.timing import MILLISECONDS, percentile

MEBIBYTE = 1 << 20
MEGABYTE = 1e6
# Questions are put at this distance, as by somebody who is waiting, not by somebody who wants all of the connection.
PAUSE = 0.001
PATIENCE = 60.0


@attrs.frozen
class Shipped:
    """What a run showed: how fast the blobs went, and how long each small question took, in milliseconds."""

    rate: float
    alone: list[float]
    beside: list[float]

    @property
    def delay(self) -> float:
        """What the blobs add to the 99th percentile."""
        return max(0.0, percentile(self.beside, 0.99) - percentile(self.alone, 0.99))


@attrs.define
class Whistle:
    """Tells the one who asks that the blobs are through."""

    blown: bool = False


@ak.message
class Ship(ak.Request[int]):
    count: int


@ak.message
class ProbeTimes(ak.Request[list[float]]):
    """Ask at least so often, and on until the whistle."""

    least: int


class Shipper(ak.Actor[Ship]):
    """Sends blobs to a far actor, as fast as there is room for them."""

    def __init__(self, bulk: ak.Ref[SinkMessage]) -> None:
        self.bulk = bulk

    @ak.on(Ship)
    async def ship(self, msg: Ship) -> int:
        data = bytes(MEBIBYTE)
        for _ in range(msg.count):
            await self.bulk.send(Blob(data))
        return await self.bulk.ask(Total(), timeout=PATIENCE)


class Prober(ak.Actor[ProbeTimes]):
    """Asks a far actor something small, again and again, and takes the time."""

    def __init__(self, sink: ak.Ref[SinkMessage], whistle: Whistle) -> None:
        self.sink = sink
        self.whistle = whistle

    @ak.on(ProbeTimes)
    async def probe(self, msg: ProbeTimes) -> list[float]:
        times: list[float] = []
        while len(times) < msg.least or not self.whistle.blown:
            await self.ctx.sleep(PAUSE)
            seconds = bare.stopwatch()
            await self.sink.ask(AddUp(1, SMALL))
            times.append(seconds() * MILLISECONDS)
        return times


async def _measured(
    size: int,
    ship: Callable[[int], Awaitable[int]],
    probe: Callable[[int, Whistle], Awaitable[list[float]]],
) -> Shipped:
    """Small questions alone, then beside the blobs until these are through."""
    done = Whistle(blown=True)
    alone = await probe(size, done)
    before = await ship(0)
    whistle, times = Whistle(), list[float]()

    async def keep_probing() -> None:
        times.extend(await probe(1, whistle))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_probing)
        seconds = bare.stopwatch()
        after = await ship(size)
        elapsed = seconds()
        whistle.blown = True
    require("bytes", after - before, size * MEBIBYTE)
    return Shipped(size * MEBIBYTE / MEGABYTE / elapsed, alone, times)


# The floor: one connection, one lock, whole blobs.


async def _ship_bare(near: tcp.Near, size: int) -> Shipped:
    wire = SharedWire(near)

    async def ship(count: int) -> int:
        data = bytes(MEBIBYTE)
        for _ in range(count):
            await wire.send(tcp.BULK, tcp.NO_CALL, tcp.Blob, (data,))
        return await wire.ask(tcp.BULK, tcp.Total)

    async def probe(least: int, whistle: Whistle) -> list[float]:
        times: list[float] = []
        while len(times) < least or not whistle.blown:
            await trio.sleep(PAUSE)
            seconds = bare.stopwatch()
            await wire.ask(tcp.SINK, tcp.AddUp, (1, SMALL))
            times.append(seconds() * MILLISECONDS)
        return times

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.read)
        shipped = await _measured(size, ship, probe)
        nursery.cancel_scope.cancel()
    return shipped


class SharedWire:
    """A connection that several tasks use: whole messages behind a lock, answers by the number of their question."""

    def __init__(self, near: tcp.Near) -> None:
        self.near = near
        self.lock = trio.Lock()
        self.asked: dict[int, trio.MemorySendChannel[int]] = {}
        self.calls = 0

    async def send(self, to: int, call: int, cls: type, fields: tuple[object, ...]) -> None:
        data = self.near.pack((to, call, tcp.TAGS[cls], fields))
        async with self.lock:
            await self.near.stream.send_all(data)

    async def ask(self, to: int, cls: type, fields: tuple[object, ...] = ()) -> int:
        self.calls += 1
        self.asked[self.calls], answered = trio.open_memory_channel[int](1)
        await self.send(to, self.calls, cls, fields)
        return await answered.receive()

    async def read(self) -> None:
        while True:
            for call, value in await self.near.answers():
                self.asked.pop(call).send_nowait(value)


# actorkit.


async def _ship(pair: Pair, size: int) -> Shipped:
    sink = await pair.find(SINK)
    shipper = await pair.node.spawn(ak.props(Shipper, await pair.find(BULK)))

    async def ship(count: int) -> int:
        return await shipper.ask(Ship(count), timeout=PATIENCE)

    async def probe(least: int, whistle: Whistle) -> list[float]:
        prober = await pair.node.spawn(ak.props(Prober, sink, whistle))
        return await prober.ask(ProbeTimes(least), timeout=PATIENCE)

    return await _measured(size, ship, probe)


SIZE = 400


def of_bare(figure: Callable[[Shipped], float]) -> Workload:
    """The floor of a figure: the same one of bare trio's run."""

    def floor(size: int) -> float:
        return figure(tcp.against_far(_ship_bare, size))

    return floor


@benchmark(unit="MB/s", size=SIZE, floor=of_bare(lambda shipped: shipped.rate), warm_up=False)
def remote_bulk(size: int) -> float:
    """Messages of 1 MiB from actor to actor in another process, while another actor asks small questions."""
    return between_nodes(_ship, size).rate


@benchmark(
    unit="ms",
    better="lower",
    size=SIZE,
    floor=of_bare(lambda shipped: shipped.delay),
    warm_up=False,
)
def remote_bulk_delay(size: int) -> float:
    """What messages of 1 MiB add to the 99th percentile of small questions on the same connection."""
    return between_nodes(_ship, size).delay


@benchmark(
    unit="ms",
    better="lower",
    size=SIZE,
    floor=of_bare(lambda shipped: percentile(shipped.alone, 0.5)),
    warm_up=False,
)
def remote_ask_p50(size: int) -> float:
    """A small question to another process, a millisecond after the last and alone: the median."""
    return percentile(between_nodes(_ship, size).alone, 0.5)


@benchmark(
    unit="ms",
    better="lower",
    size=SIZE,
    floor=of_bare(lambda shipped: percentile(shipped.alone, 0.99)),
    warm_up=False,
)
def remote_ask_p99(size: int) -> float:
    """A small question to another process, a millisecond after the last and alone: 99th percentile."""
    return percentile(between_nodes(_ship, size).alone, 0.99)


@benchmark(
    unit="ms",
    better="lower",
    size=SIZE,
    floor=of_bare(lambda shipped: percentile(shipped.beside, 0.5)),
    warm_up=False,
)
def remote_bulk_ask_p50(size: int) -> float:
    """A small question on a connection that is full of messages of 1 MiB: the median."""
    return percentile(between_nodes(_ship, size).beside, 0.5)


@benchmark(
    unit="ms",
    better="lower",
    size=SIZE,
    floor=of_bare(lambda shipped: percentile(shipped.beside, 0.99)),
    warm_up=False,
)
def remote_bulk_ask_p99(size: int) -> float:
    """A small question on a connection that is full of messages of 1 MiB: 99th percentile."""
    return percentile(between_nodes(_ship, size).beside, 0.99)
