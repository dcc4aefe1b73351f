"""The naive design on trio: every actor is a task that reads a memory channel."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import attrs
import trio

from tests.benchmarks.peers.answering import Work, answer, require

CHUNK = 1_000
WIDTH = 1_000


@attrs.frozen
class Add:
    n: int


@attrs.frozen
class Asked:
    """A message with the channel its reply goes to."""

    message: Any
    reply: trio.MemorySendChannel[Any]


Handlers: TypeAlias = dict[type, Callable[[Any], Awaitable[Any]]]


class Actor:
    """A task, its channel, and a table of handlers by message type."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self.inbox, self._mail = trio.open_memory_channel[Any](math.inf)
        self.ended = trio.Event()

    def tell(self, message: Any) -> None:
        self.inbox.send_nowait(message)

    async def ask(self, message: Any) -> Any:
        reply, answered = trio.open_memory_channel[Any](1)
        with trio.fail_after(5.0):
            self.inbox.send_nowait(Asked(message, reply))
            return await answered.receive()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self.started()
        task_status.started()
        async for message in self._mail:
            if type(message) is Asked:
                result = await self.handlers[type(message.message)](message.message)
                message.reply.send_nowait(result)
            else:
                await self.handlers[type(message)](message)
        self.ended.set()

    async def started(self) -> None:
        """The start hook."""


class Counter(Actor):
    """Adds up what it is sent and sets an event at the wanted total."""

    def __init__(self, wanted: int = -1) -> None:
        super().__init__({Add: self.add})
        self.total = 0
        self.wanted = wanted
        self.reached = trio.Event()
        self.hook_ran = False

    async def started(self) -> None:
        self.hook_ran = True

    async def add(self, message: Add) -> int:
        self.total += message.n
        if self.total == self.wanted:
            self.reached.set()
        return self.total


class Player(Actor):
    """Sends the ball back to its partner until none are left."""

    def __init__(self, rallies: int) -> None:
        super().__init__({Add: self.hit})
        self.partner: Actor = self
        self.left = rallies
        self.over = trio.Event()

    async def hit(self, message: Add) -> None:
        self.left -= 1
        if self.left < 0:
            self.over.set()
        else:
            self.partner.tell(Add(message.n))


class Caller(Actor):
    """Asks another actor many times in one handler."""

    def __init__(self, callee: Actor) -> None:
        super().__init__({Add: self.call})
        self.callee = callee

    async def call(self, message: Add) -> int:
        total = 0
        for _ in range(message.n):
            total = await self.callee.ask(Add(1))
        return total


async def tell_flood(size: int) -> float:
    """Messages per second told to one actor from outside."""
    async with trio.open_nursery() as nursery:
        sink = Counter(wanted=size)
        await nursery.start(sink.run)
        begin = time.perf_counter()
        for start in range(0, size, CHUNK):
            for _ in range(min(CHUNK, size - start)):
                sink.tell(Add(1))
            await sink.ask(Add(0))
        seconds = time.perf_counter() - begin
        nursery.cancel_scope.cancel()
    require("total", sink.total, size)
    return size / seconds


async def ask_actor_to_actor(size: int) -> float:
    """Calls per second of one actor by another."""
    async with trio.open_nursery() as nursery:
        counter = Counter()
        caller = Caller(counter)
        await nursery.start(counter.run)
        await nursery.start(caller.run)
        begin = time.perf_counter()
        caller.tell(Add(size))
        counter.wanted = size
        await counter.reached.wait()
        seconds = time.perf_counter() - begin
        nursery.cancel_scope.cancel()
    return size / seconds


async def ask_from_task(size: int) -> float:
    """Calls per second of an actor from outside."""
    async with trio.open_nursery() as nursery:
        counter = Counter()
        await nursery.start(counter.run)
        begin = time.perf_counter()
        for _ in range(size):
            await counter.ask(Add(1))
        seconds = time.perf_counter() - begin
        nursery.cancel_scope.cancel()
    require("total", counter.total, size)
    return size / seconds


async def ping_pong(size: int) -> float:
    """Round trips per second between two actors."""
    async with trio.open_nursery() as nursery:
        ping, pong = Player(size), Player(size)
        ping.partner, pong.partner = pong, ping
        await nursery.start(ping.run)
        await nursery.start(pong.run)
        begin = time.perf_counter()
        ping.tell(Add(1))
        await ping.over.wait()
        seconds = time.perf_counter() - begin
        nursery.cancel_scope.cancel()
    return size / seconds


async def fan_out(size: int) -> float:
    """Messages per second told to many actors in turn."""
    width = min(WIDTH, size)
    each = size // width
    async with trio.open_nursery() as nursery:
        sinks = [Counter(wanted=each) for _ in range(width)]
        for sink in sinks:
            await nursery.start(sink.run)
        begin = time.perf_counter()
        for _ in range(each):
            for sink in sinks:
                sink.tell(Add(1))
            await trio.lowlevel.checkpoint()
        for sink in sinks:
            await sink.reached.wait()
        seconds = time.perf_counter() - begin
        nursery.cancel_scope.cancel()
    return each * width / seconds


async def spawn(size: int) -> float:
    """Microseconds for each actor that is ready."""
    async with trio.open_nursery() as nursery:
        begin = time.perf_counter()
        actors = [Counter() for _ in range(size)]
        for actor in actors:
            await nursery.start(actor.run)
        seconds = time.perf_counter() - begin
        require("start hooks", sum(actor.hook_ran for actor in actors), size)
        nursery.cancel_scope.cancel()
    return seconds * 1e6 / size


async def start_stop(size: int) -> float:
    """Actors started and stopped per second."""
    async with trio.open_nursery() as nursery:
        begin = time.perf_counter()
        for _ in range(size):
            counter = Counter()
            await nursery.start(counter.run)
            counter.inbox.close()
            await counter.ended.wait()
        seconds = time.perf_counter() - begin
    return size / seconds


WORKS: tuple[Callable[[int], Awaitable[float]], ...] = (
    tell_flood,
    ask_actor_to_actor,
    ask_from_task,
    ping_pong,
    fan_out,
    spawn,
    start_stop,
)


def _in_trio(work: Callable[[int], Awaitable[float]]) -> Work:
    return lambda size: trio.run(work, size)


if __name__ == "__main__":
    answer("trio", {work.__name__: _in_trio(work) for work in WORKS})
