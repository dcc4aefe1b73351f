"""Two OS processes and loopback TCP between them: messages told, questions asked, actors started over there."""

from __future__ import annotations

import trio

import actorkit as ak
from tests.benchmarks import bare, tcp
from tests.benchmarks.registry import benchmark, require
from tests.benchmarks.remote_actors import SINK, SMALL, AddUp, Reading, Sink, SinkMessage, Total
from tests.benchmarks.remote_nodes import Pair, between_nodes

# After so many the flood waits: for room in what its connection holds back here, or in the socket's buffer there.
CHUNK = 1_000
WIDTH = 1_000
PATIENCE = 60.0


@ak.message
class Flood(ak.Request[int]):
    count: int


@ak.message
class AskOn(ak.Request[int]):
    times: int


@ak.message
class SpawnOn(ak.Request[int]):
    count: int


class Flooder(ak.Actor[Flood]):
    """Tells a far actor many messages, every thousandth with back-pressure, and then asks it what it got."""

    def __init__(self, sink: ak.Ref[SinkMessage]) -> None:
        self.sink = sink

    @ak.on(Flood)
    async def flood(self, msg: Flood) -> int:
        sink, tell = self.sink, self.sink.tell
        for start in range(0, msg.count, CHUNK):
            for _ in range(min(CHUNK, msg.count - start) - 1):
                tell(Reading(1, SMALL))
            await sink.send(Reading(1, SMALL))
        return await sink.ask(Total(), timeout=PATIENCE)


class Asker(ak.Actor[AskOn]):
    """Asks a far actor, one question after the other, each with the default time-out."""

    def __init__(self, sink: ak.Ref[SinkMessage]) -> None:
        self.sink = sink

    @ak.on(AskOn)
    async def ask_on(self, msg: AskOn) -> int:
        sink, total = self.sink, 0
        for _ in range(msg.times):
            total = await sink.ask(AddUp(1, SMALL))
        return total


# Told.


def floor_remote_tell(size: int) -> float:
    """Bare trio: make, pack, and send a thousand in one write; unpack, make, queue, dispatch, await over there."""
    return tcp.against_far(_flood_far, size)


async def _flood_far(near: tcp.Near, size: int) -> float:
    pack, reading, tag = near.pack, tcp.Reading, tcp.TAGS[tcp.Reading]
    before = await near.ask(tcp.Total)
    seconds = bare.stopwatch()
    for start in range(0, size, CHUNK):
        packed: list[bytes] = []
        for _ in range(min(CHUNK, size - start)):
            message = reading(1, SMALL)
            packed.append(pack((tcp.SINK, tcp.NO_CALL, tag, (message.sensor, message.text))))
        await near.stream.send_all(b"".join(packed))
    total = await near.ask(tcp.Total)
    elapsed = seconds()
    require("total", total - before, size)
    return size / elapsed


@benchmark(unit="messages/s", size=200_000, floor=floor_remote_tell, warm_up=False)
def remote_tell(size: int) -> float:
    """An actor floods an actor in another process, until that one has counted all; every thousandth waits for room."""
    return between_nodes(_remote_tell, size)


async def _remote_tell(pair: Pair, size: int) -> float:
    sink = await pair.find(SINK)
    flooder = await pair.node.spawn(ak.props(Flooder, sink))
    before = await sink.ask(Total())
    seconds = bare.stopwatch()
    total = await flooder.ask(Flood(size), timeout=PATIENCE)
    elapsed = seconds()
    require("total", total - before, size)
    return size / elapsed


# Asked.


def floor_remote_ask(size: int) -> float:
    """Bare trio: a question packed and sent, dispatched and answered over there, one at a time."""
    return tcp.against_far(_ask_far, size)


async def _ask_far(near: tcp.Near, size: int) -> float:
    total = before = await near.ask(tcp.Total)
    seconds = bare.stopwatch()
    for _ in range(size):
        message = tcp.AddUp(1, SMALL)
        total = await near.ask(tcp.AddUp, (message.sensor, message.text))
    elapsed = seconds()
    require("total", total - before, size)
    return size / elapsed


@benchmark(unit="round trips/s", size=10_000, floor=floor_remote_ask, warm_up=False)
def remote_ask(size: int) -> float:
    """An actor asks an actor in another process, one question after the other."""
    return between_nodes(_remote_ask, size)


async def _remote_ask(pair: Pair, size: int) -> float:
    sink = await pair.find(SINK)
    asker = await pair.node.spawn(ak.props(Asker, sink))
    before = await sink.ask(Total())
    seconds = bare.stopwatch()
    total = await asker.ask(AskOn(size), timeout=PATIENCE)
    elapsed = seconds()
    require("total", total - before, size)
    return size / elapsed


def floor_remote_ask_pipelined(size: int) -> float:
    """Bare trio: as many questions under way; each answer that arrives is replaced by the next question."""
    return tcp.against_far(_pipeline_far, size)


async def _pipeline_far(near: tcp.Near, size: int) -> float:
    width, rounds = _shape(size)
    pack, add_up, tag = near.pack, tcp.AddUp, tcp.TAGS[tcp.AddUp]
    before = await near.ask(tcp.Total)
    waiting: dict[int, int] = dict.fromkeys(range(1, width + 1), rounds)

    def question(call: int) -> bytes:
        message = add_up(1, SMALL)
        return pack((tcp.SINK, call, tag, (message.sensor, message.text)))

    seconds = bare.stopwatch()
    await near.stream.send_all(b"".join([question(call) for call in waiting]))
    while waiting:
        questions: list[bytes] = []
        for call, _ in await near.answers():
            waiting[call] -= 1
            if waiting[call]:
                questions.append(question(call))
            else:
                del waiting[call]
        if questions:
            await near.stream.send_all(b"".join(questions))
    elapsed = seconds()
    require("total", await near.ask(tcp.Total) - before, width * rounds)
    return width * rounds / elapsed


@benchmark(unit="round trips/s", size=100_000, floor=floor_remote_ask_pipelined, warm_up=False)
def remote_ask_pipelined(size: int) -> float:
    """1,000 actors ask one actor in another process, each one question after the other."""
    return between_nodes(_remote_ask_pipelined, size)


async def _remote_ask_pipelined(pair: Pair, size: int) -> float:
    width, rounds = _shape(size)
    sink = await pair.find(SINK)
    askers = [await pair.node.spawn(ak.props(Asker, sink)) for _ in range(width)]
    before = await sink.ask(Total())
    seconds = bare.stopwatch()
    async with trio.open_nursery() as nursery:
        for asker in askers:
            nursery.start_soon(_until_asked, asker, rounds)
    elapsed = seconds()
    require("total", await sink.ask(Total()) - before, width * rounds)
    return width * rounds / elapsed


async def _until_asked(asker: ak.Ref[AskOn], times: int) -> None:
    await asker.ask(AskOn(times), timeout=PATIENCE)


def _shape(size: int) -> tuple[int, int]:
    width = min(WIDTH, size)
    return width, size // width


# Started over there.


class Spawner(ak.Actor[SpawnOn]):
    """Starts actors on the other node, one after the other, and leaves them there."""

    def __init__(self, node: str) -> None:
        self.node = node

    @ak.on(SpawnOn)
    async def spawn_on(self, msg: SpawnOn) -> int:
        started = [await self.ctx.spawn(ak.props(Sink), node=self.node) for _ in range(msg.count)]
        return len({ref.address for ref in started})


def floor_remote_spawn(size: int) -> float:
    """Bare trio: a question whose answer is sent when a task has been started for it over there."""
    return tcp.against_far(_start_far, size)


async def _start_far(near: tcp.Near, size: int) -> float:
    started = before = await near.ask(tcp.Total)
    seconds = bare.stopwatch()
    for _ in range(size):
        started = await near.ask(tcp.Start)
    elapsed = seconds()
    require("tasks started", started - before, size)
    return size / elapsed


@benchmark(unit="actors/s", size=3_000, floor=floor_remote_spawn, warm_up=False)
def remote_spawn(size: int) -> float:
    """An actor starts children in another process, one after the other, each ready and linked to it."""
    return between_nodes(_remote_spawn, size)


async def _remote_spawn(pair: Pair, size: int) -> float:
    spawner = await pair.node.spawn(ak.props(Spawner, pair.far.name))
    seconds = bare.stopwatch()
    started = await spawner.ask(SpawnOn(size), timeout=PATIENCE)
    elapsed = seconds()
    require("actors started", started, size)
    return size / elapsed
