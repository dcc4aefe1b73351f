"""A stream gives its items in order, then ends; the producer is never further ahead than its window; nobody hangs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import insist, law

WINDOW = 2
ITEMS = 4


@ak.message
class Count(ak.StreamRequest[int]):
    number: int
    way: str


@ak.message
class Relay(ak.Request[str]):
    """Read a stream from a handler, to the end or to the second item."""

    number: int
    way: str
    leave: bool


class Enough(ak.Refused):
    pass


@attrs.define
class Flow:
    """One stream: what was made and what was read."""

    made: int = 0
    read: int = 0
    begun: bool = False
    closed: bool = False
    outcome: str = ""


Flows = dict[int, Flow]


class Source(ak.Actor[Count]):
    """Counts, in every way there is."""

    def __init__(self, sim: Sim, flows: Flows) -> None:
        self.sim = sim
        self.flows = flows

    @ak.on(Count)
    async def count(self, msg: Count) -> AsyncIterator[int]:
        flow = self.flows[msg.number]
        flow.begun = True
        try:
            for item in range(ITEMS):
                flow.made += 1
                ahead = flow.made - flow.read
                insist(self.sim, ahead <= WINDOW + 1, f"{ahead} items made and not read")
                yield item
                await self._wait(msg.way, item)
        finally:
            flow.closed = True

    async def _wait(self, way: str, item: int) -> None:
        match way:
            case "park":
                await self.ctx.sleep(0.1)
            case "on trio":
                await trio.sleep(0.1)
            case "refuse" if item == 2:
                raise Enough("no more")
            case "crash" if item == 2:
                raise ValueError("no more")
            case _:
                pass


class Deferring(ak.Actor[Count]):
    """Serves its streams in the background, from two tasks each."""

    def __init__(self, sim: Sim, flows: Flows) -> None:
        self.sim = sim
        self.flows = flows

    @ak.on(Count)
    def count(self, msg: Count, reply: ak.ReplyStream[int]) -> None:
        self.flows[msg.number].begun = True
        self.ctx.start_soon(self._serve, msg, reply)

    async def _serve(self, msg: Count, reply: ak.ReplyStream[int]) -> None:
        flow = self.flows[msg.number]
        for item in range(ITEMS):
            if not await reply.send(item):
                break
            flow.made += 1
            insist(self.sim, flow.made - flow.read <= WINDOW + 1, "no further ahead")
            await trio.sleep(0.05)
        reply.close()
        flow.closed = True


async def read(
    sim: Sim, ref: ak.Ref[Count], flows: Flows, number: int, way: str, leave: bool
) -> str:
    """Read a stream, and say how it ended."""
    flow = flows[number] = Flow()
    try:
        async with ref.stream(Count(number, way), timeout=0.25, window=WINDOW) as items:
            async for item in items:
                insist(sim, item == flow.read, f"item {item} comes as number {flow.read}")
                flow.read += 1
                if item == 1:
                    await trio.sleep(0.1)
                    if leave:
                        return "left"
        flow.outcome = "whole"
    except ak.AskError as error:
        flow.outcome = type(error).__name__
    insist(sim, flow.outcome != "whole" or flow.read == ITEMS, f"{flow} is whole")
    sim.sometimes(flow.outcome)
    return flow.outcome


class Reader(ak.Actor[Relay]):
    """Reads in its handlers."""

    def __init__(self, sim: Sim, source: ak.Ref[Count], flows: Flows) -> None:
        self.sim = sim
        self.source = source
        self.flows = flows

    @ak.on(Relay)
    async def relay(self, msg: Relay) -> str:
        return await read(self.sim, self.source, self.flows, msg.number, msg.way, msg.leave)


WAYS = ("now", "park", "on trio", "refuse", "now", "crash")


async def _law(sim: Sim, make: type[Source] | type[Deferring]) -> None:
    flows: Flows = {}
    source = await sim.spawn(ak.props(make, sim, flows), name="source")
    reader = await sim.spawn(ak.props(Reader, sim, source, flows), name="reader")

    async def client(i: int) -> None:
        for n in range(2):
            way = WAYS[2 * i + n]
            if i == 1:
                try:
                    await reader.ask(Relay(10 * i + n, way, leave=n == 0), timeout=1.5)
                except (ak.ActorDied, ak.AskTimeout):
                    sim.note("the reader failed")
            else:
                await read(sim, source, flows, 10 * i + n, way, leave=i == 2 and n == 0)

    await sim.each(3, client)
    await sim.heal_and_settle()
    source.kill()
    await sim.settle()
    open_ends = [n for n, flow in flows.items() if flow.begun and not flow.closed]
    assert make is Deferring or not open_ends, f"{open_ends} were never closed"


@law(
    faults=[kill_actor("/source"), kill_actor("/reader"), crash_actor("/source"), early_timer()],
    sometimes=["whole", "ActorDied", "AskTimeout", "Enough"],
)
async def test_streams_end(sim: Sim) -> None:
    """Items come in order, all or up to an error; the generator is closed in the end, whoever has died."""
    await _law(sim, Source)


@law(
    faults=[kill_actor("/source"), kill_actor("/reader"), crash_actor("/source"), early_timer()],
    sometimes=["whole", "ActorDied", "AskTimeout"],
)
async def test_streams_fed_in_the_background_end(sim: Sim) -> None:
    """So it is where background work feeds them."""
    await _law(sim, Deferring)
