"""Told messages: one actor flooded, two that rally, one that tells a thousand."""

from __future__ import annotations

from collections import deque
from typing import Any

import trio

import actorkit as ak
from tests.benchmarks import bare
from tests.benchmarks.registry import benchmark, require

# Senders pause after so many, as a mailbox is not a place to keep a million messages.
CHUNK = 1_000
WIDTH = 1_000


@ak.message
class Add:
    n: int


@ak.message
class Total(ak.Request[int]): ...


class Sink(ak.Actor[Add | Total]):
    """Adds up what it is told, in an asynchronous handler."""

    def __init__(self) -> None:
        self.total = 0

    @ak.on(Add)
    async def add(self, msg: Add) -> None:
        self.total += msg.n

    @ak.on(Total)
    def tell_total(self, msg: Total) -> int:
        return self.total


class SyncSink(ak.Actor[Add | Total]):
    """Adds up what it is told, in a plain method."""

    def __init__(self) -> None:
        self.total = 0

    @ak.on(Add)
    def add(self, msg: Add) -> None:
        self.total += msg.n

    @ak.on(Total)
    def tell_total(self, msg: Total) -> int:
        return self.total


def floor_tell_flood(size: int) -> float:
    """Bare Python: make, append, pop, dispatch, await, in the same chunks."""
    box = bare.Box()
    seconds = bare.stopwatch()
    bare.drive(_flood_box(box, size))
    elapsed = seconds()
    require("total", box.actor.total, size)
    return size / elapsed


async def _flood_box(box: bare.Box, size: int) -> None:
    mail, handlers, add = box.mail, box.handlers, bare.Add
    for start in range(0, size, CHUNK):
        for _ in range(min(CHUNK, size - start)):
            mail.append(add(1))
        while mail:
            message = mail.popleft()
            await handlers[type(message)](message)


@benchmark(unit="messages/s", size=300_000, floor=floor_tell_flood)
def tell_flood(size: int) -> float:
    """A plain trio task tells one actor, whose handler is async, in chunks of 1,000."""
    return trio.run(_flood, ak.props(Sink), size)


@benchmark(unit="messages/s", size=300_000, floor=floor_tell_flood, peer_work="tell_flood")
def tell_flood_sync(size: int) -> float:
    """The same flood with a handler that is a plain method."""
    return trio.run(_flood, ak.props(SyncSink), size)


async def _flood(props: ak.Props[Add | Total], size: int) -> float:
    async with ak.open_system() as system:
        return await flood(await system.spawn(props), size)


async def flood(sink: ak.Ref[Add | Total], size: int) -> float:
    """Tell a fresh sink ``size`` messages from this task; the rate until the last is handled."""
    before = await sink.ask(Total())
    tell, total = sink.tell, before
    seconds = bare.stopwatch()
    for start in range(0, size, CHUNK):
        for _ in range(min(CHUNK, size - start)):
            tell(Add(1))
        total = await sink.ask(Total(), timeout=60.0)
    elapsed = seconds()
    require("total", total - before, size)
    return size / elapsed


# Two actors, one ball.


@ak.message
class Ball: ...


@ak.message
class Meet:
    partner: ak.Ref[Ball]


class Player(ak.Actor[Ball | Meet]):
    """Hits every ball back to its partner until its hits are used up."""

    def __init__(self, hits: int, over: trio.Event) -> None:
        self.left = hits
        self.over = over

    @ak.on(Meet)
    def meet(self, msg: Meet) -> None:
        self.partner = msg.partner

    @ak.on(Ball)
    async def hit(self, msg: Ball) -> None:
        if self.left:
            self.left -= 1
            self.partner.tell(Ball())
        else:
            self.over.set()


class BarePlayer:
    """A player with no actor system: it appends to its partner's queue."""

    def __init__(self, hits: int) -> None:
        self.left = hits
        self.mail: deque[Any] = deque()
        self.partner = self
        self.handlers: bare.Handlers = {bare.Add: self.hit}

    async def hit(self, message: bare.Add) -> None:
        if self.left:
            self.left -= 1
            self.partner.mail.append(bare.Add(message.n))


def floor_ping_pong(size: int) -> float:
    """Bare Python: two queues and one coroutine that serves them in turn."""
    ping, pong = BarePlayer(size), BarePlayer(size)
    ping.partner, pong.partner = pong, ping
    seconds = bare.stopwatch()
    bare.drive(_rally(ping, pong))
    elapsed = seconds()
    require("hits left", (ping.left, pong.left), (0, 0))
    return size / elapsed


async def _rally(ping: BarePlayer, pong: BarePlayer) -> None:
    ping.mail.append(bare.Add(1))
    while ping.mail or pong.mail:
        for player in (ping, pong):
            mail = player.mail
            while mail:
                message = mail.popleft()
                await player.handlers[type(message)](message)


@benchmark(unit="round trips/s", size=100_000, floor=floor_ping_pong)
def ping_pong(size: int) -> float:
    """Two actors tell each other a message in turn."""
    return trio.run(_ping_pong, size)


async def _ping_pong(size: int) -> float:
    async with ak.open_system() as system:
        over = trio.Event()
        ping = await system.spawn(ak.props(Player, size, over))
        pong = await system.spawn(ak.props(Player, size, over))
        ping.tell(Meet(pong))
        pong.tell(Meet(ping))
        seconds = bare.stopwatch()
        ping.tell(Ball())
        # Each player hits `size` balls; the ball that ends it is the one after the last of these.
        await over.wait()
        return size / seconds()


# One actor tells a thousand.


@ak.message
class Round:
    left: int


class Fan(ak.Actor[Round]):
    """Tells every sink once for each round, and then itself to go on."""

    def __init__(self, sinks: list[ak.Ref[Add | Total]], over: trio.Event) -> None:
        self.sinks = sinks
        self.over = over

    @ak.on(Round)
    async def round(self, msg: Round) -> None:
        if not msg.left:
            self.over.set()
            return
        for sink in self.sinks:
            sink.tell(Add(1))
        self.ctx.self.tell(Round(msg.left - 1))


def floor_fan_out(size: int) -> float:
    """Bare Python: a thousand queues, and a queue of those that have mail."""
    width, rounds = _fan(size)
    boxes = [bare.Box() for _ in range(width)]
    seconds = bare.stopwatch()
    bare.drive(_serve(boxes, rounds))
    elapsed = seconds()
    require("total", sum(box.actor.total for box in boxes), width * rounds)
    return width * rounds / elapsed


async def _serve(boxes: list[bare.Box], rounds: int) -> None:
    ready: deque[bare.Box] = deque()
    for _ in range(rounds):
        for box in boxes:
            box.mail.append(bare.Add(1))
            ready.append(box)
        while ready:
            box = ready.popleft()
            message = box.mail.popleft()
            await box.handlers[type(message)](message)


@benchmark(unit="messages/s", size=200_000, floor=floor_fan_out)
def fan_out(size: int) -> float:
    """One actor tells 1,000 actors, in turn."""
    return trio.run(_fan_out, size)


async def _fan_out(size: int) -> float:
    width, rounds = _fan(size)
    async with ak.open_system() as system:
        over = trio.Event()
        sinks = [await system.spawn(ak.props(Sink)) for _ in range(width)]
        fan = await system.spawn(ak.props(Fan, sinks, over))
        seconds = bare.stopwatch()
        fan.tell(Round(rounds))
        await over.wait()
        # Asks queue behind what was told, so the last reply means that all of it is handled.
        total = sum([await sink.ask(Total()) for sink in sinks])
        elapsed = seconds()
        require("total", total, width * rounds)
        return width * rounds / elapsed


def _fan(size: int) -> tuple[int, int]:
    width = min(WIDTH, size)
    return width, size // width
