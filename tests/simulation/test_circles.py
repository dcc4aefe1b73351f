"""``CircularAsk`` is raised for real circles, and for all of them: nobody waits for ever, and nobody is refused for nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise

import attrs
import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, kill_actor
from tests.simulation.law import insist, law, start


@ak.message
class Visit(ak.Request[int]):
    """Go along a way of actors, asking each for the rest of it."""

    way: tuple[int, ...]


@ak.message
class Meander(ak.Request[int]):
    """As ``Visit``, answered by background work: nobody waits in a handler."""

    way: tuple[int, ...]


@ak.message
class Wander(ak.StreamRequest[int]):
    """As ``Visit``, answered by a stream."""

    way: tuple[int, ...]


Vocabulary = Visit | Meander | Wander


@attrs.define
class Map:
    """Who asks whom at this moment, in handlers."""

    sim: Sim
    refs: list[ak.Ref[Vocabulary]] = attrs.Factory(list)
    asking: Counter[tuple[str, str]] = attrs.Factory(Counter)

    async def ask(self, me: str, way: tuple[int, ...], *, style: str) -> int:
        """Ask the first on the way for the rest; no time-out: only an answer, a death or a circle ends it."""
        if not way:
            return 0
        other = self.refs[way[0]]
        edge = (me, other.path)
        self.asking[edge] += 1
        try:
            if style == "stream":
                async with other.stream(Wander(way[1:]), timeout=None) as items:
                    return sum([item async for item in items])
            return 1 + await other.ask(Visit(way[1:]), timeout=None)
        except ak.CircularAsk as error:
            self._check(error, me)
            return 0
        except ak.ActorDied:
            return 0
        finally:
            self.asking[edge] -= 1

    def _check(self, error: ak.CircularAsk, me: str) -> None:
        self.sim.sometimes(f"a circle of {len(error.chain) - 1}")
        insist(self.sim, error.chain[0] == error.chain[-1] == me, f"{error} is about {me}")
        for edge in pairwise(error.chain):
            insist(self.sim, self.asking[edge] > 0, f"{edge} of {error} is real")


class Walker(ak.Actor[Vocabulary]):
    """Asks others, as it is told."""

    def __init__(self, ways: Map, style: str) -> None:
        self.map = ways
        self.style = style

    @ak.on(Visit)
    async def visit(self, msg: Visit) -> int:
        if self.style == "nest":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._go, msg.way)
                nursery.start_soon(self._go, msg.way[1:])
            return 0
        if self.style == "scope":
            with trio.CancelScope():
                return await self._go(msg.way)
        return await self._go(msg.way)

    @ak.on(Wander)
    async def wander(self, msg: Wander) -> AsyncIterator[int]:
        yield 1
        yield await self._go(msg.way)

    async def _go(self, way: tuple[int, ...]) -> int:
        return await self.map.ask(self.ctx.path, way, style=self.style)

    @ak.on(Meander)
    def meander(self, msg: Meander, reply: ak.Reply[int]) -> None:
        self.ctx.start_soon(self._meander, msg.way, reply)

    async def _meander(self, way: tuple[int, ...], reply: ak.Reply[int]) -> None:
        try:
            first = self.map.refs[way[0]]
            reply.send(await first.ask(Visit(way[1:]), timeout=None))
        except ak.ActorDied:
            reply.send(-1)


STYLES = ("plain", "nest", "scope", "stream")
WAYS = ((1, 0), (2, 3, 1), (3, 0, 2), (0, 0), (1, 2, 3, 0))


@law(sometimes=["a circle of 1", "a circle of 2", "a circle of 3"])
async def test_circles_are_found(sim: Sim) -> None:
    """With no time-out anywhere everybody gets an answer, and each circle that is told of is there."""
    ways = Map(sim)
    for n, style in enumerate(STYLES):
        ways.refs.append(await sim.spawn(ak.props(Walker, ways, style), name=f"w{n}"))

    async def client(i: int) -> None:
        await ways.refs[i % 4].ask(Visit(WAYS[i]), timeout=None)

    await sim.each(5, client)


@law(faults=[kill_actor(), crash_actor()], sometimes=["a circle of 2", "a circle of 3"])
async def test_circles_are_found_across_restarts(sim: Sim) -> None:
    """So it is where actors are killed in the midst of it and come back: who asked one waits for the next."""
    ways = Map(sim)
    children = [ak.Child(f"w{n}", ak.props(Walker, ways, style)) for n, style in enumerate(STYLES)]
    top = await start(sim, ak.supervise(*children, max_restarts=1000), name="top")
    ways.refs.extend(top.child(child) for child in children)

    async def client(i: int) -> None:
        try:
            await ways.refs[i % 4].ask(Visit(WAYS[i]), timeout=None)
        except ak.ActorDied:
            sim.note("in hand when it was killed")

    await sim.each(5, client)


@law(faults=[kill_actor("/w*")])
async def test_background_work_makes_no_circle(sim: Sim) -> None:
    """An actor that asks in the background waits for nobody: it can be asked meanwhile, and is never refused."""
    ways = Map(sim)
    for n in range(4):
        ways.refs.append(await sim.spawn(ak.props(Walker, ways, "plain"), name=f"w{n}"))

    async def client(i: int) -> None:
        try:
            await ways.refs[i].ask(Meander((1 - i,)), timeout=None)
            await ways.refs[i].ask(Meander((i, 2)), timeout=None)
            await ways.refs[i].ask(Meander((2 + i, i)), timeout=None)
        except ak.ActorDied:
            sim.note("killed")

    await sim.each(2, client)


@ak.message
class Push:
    """Send two of the next number on, from the handler."""

    number: int


class Pusher(ak.Actor[Push]):
    """Has room for one message, and sends on what it gets."""

    mailbox = ak.Mailbox(capacity=1)

    def __init__(self, sim: Sim, others: list[ak.Ref[Push]], number: int, nest: bool) -> None:
        self.sim = sim
        self.others = others
        self.number = number
        self.nest = nest

    @ak.on(Push)
    async def push(self, msg: Push) -> None:
        if self.nest:
            with trio.CancelScope():
                await self._send(msg.number)
        else:
            await self._send(msg.number)

    async def _send(self, number: int) -> None:
        for step in range(min(2, number)):
            other = self.others[(self.number + 1 + step) % len(self.others)]
            try:
                await other.send(Push(number - 1))
            except ak.CircularAsk:
                self.sim.sometimes("no room in a circle")
            except ak.ActorDied:
                self.sim.note("killed")


@law(faults=[kill_actor("/p*")], sometimes=["no room in a circle"])
async def test_circles_of_senders_are_found(sim: Sim) -> None:
    """Actors that wait for room with each other are told, too: with nobody to time out, all come to rest."""
    others: list[ak.Ref[Push]] = []
    for n in range(3):
        others.append(await sim.spawn(ak.props(Pusher, sim, others, n, n == 1), name=f"p{n}"))

    async def client(i: int) -> None:
        try:
            await others[i].send(Push(2 + i % 2))
        except ak.ActorDied:
            sim.note("killed")

    await sim.each(3, client)
