"""Asks: a message there, a reply back."""

from __future__ import annotations

from typing import Any

import outcome
import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

import actorkit as ak
from tests.benchmarks import bare
from tests.benchmarks.registry import benchmark, require


@ak.message
class AddUp(ak.Request[int]):
    n: int


@ak.message
class Call(ak.Request[int]):
    times: int


class Counter(ak.Actor[AddUp]):
    """Answers the new total, from an asynchronous handler."""

    def __init__(self) -> None:
        self.total = 0

    @ak.on(AddUp)
    async def add(self, msg: AddUp) -> int:
        self.total += msg.n
        return self.total


class SyncCounter(ak.Actor[AddUp]):
    """Answers the new total, from a plain method."""

    def __init__(self) -> None:
        self.total = 0

    @ak.on(AddUp)
    def add(self, msg: AddUp) -> int:
        self.total += msg.n
        return self.total


class Caller(ak.Actor[Call]):
    """Asks another actor many times in one handler, each ask with the default time-out."""

    def __init__(self, callee: ak.Ref[AddUp]) -> None:
        self.callee = callee

    @ak.on(Call)
    async def call(self, msg: Call) -> int:
        callee, total = self.callee, 0
        for _ in range(msg.times):
            total = await callee.ask(AddUp(1))
        return total


def floor_ask(size: int) -> float:
    """Bare Python: make, append, pop, dispatch, await the handler, use what it returns."""
    box = bare.Box()
    seconds = bare.stopwatch()
    total = bare.drive(_call(box, size))
    elapsed = seconds()
    require("total", total, size)
    return size / elapsed


async def _call(box: bare.Box, size: int) -> int:
    mail, handlers, add, total = box.mail, box.handlers, bare.Add, 0
    for _ in range(size):
        mail.append(add(1))
        message = mail.popleft()
        total = await handlers[type(message)](message)
    return total


@benchmark(unit="calls/s", size=100_000, floor=floor_ask)
def ask_actor_to_actor(size: int) -> float:
    """An actor asks another, whose handler is async, again and again, with the default time-out."""
    return trio.run(_ask_between, ak.props(Counter), size)


@benchmark(unit="calls/s", size=100_000, floor=floor_ask, peer_work="ask_actor_to_actor")
def ask_actor_to_actor_sync(size: int) -> float:
    """The same asks with a callee whose handler is a plain method."""
    return trio.run(_ask_between, ak.props(SyncCounter), size)


async def _ask_between(props: ak.Props[AddUp], size: int) -> float:
    async with ak.open_system() as system:
        counter = await system.spawn(props)
        caller = await system.spawn(ak.props(Caller, counter))
        seconds = bare.stopwatch()
        total = await caller.ask(Call(size), timeout=60.0)
        elapsed = seconds()
        require("total", total, size)
        return size / elapsed


class BareServer:
    """A trio task that serves a queue and wakes whoever waits: two switches of tasks for a call."""

    def __init__(self) -> None:
        self.box = bare.Box()
        self.asleep: Task | None = None

    async def call(self, message: bare.Add) -> int:
        self.box.mail.append((message, current_task()))
        if self.asleep is not None:
            server, self.asleep = self.asleep, None
            reschedule(server)
        total: int = await wait_task_rescheduled(_give_up)
        return total

    async def serve(self) -> None:
        mail, handlers = self.box.mail, self.box.handlers
        while True:
            while mail:
                message, asker = mail.popleft()
                result = await handlers[type(message)](message)
                reschedule(asker, outcome.Value(result))
            self.asleep = current_task()
            await wait_task_rescheduled(_give_up)


def _give_up(_: Any) -> Abort:
    return Abort.SUCCEEDED


def floor_ask_from_task(size: int) -> float:
    """Bare trio: the asker parks, the server's task is woken, serves the queue and wakes the asker."""
    return trio.run(_ask_bare_server, size)


async def _ask_bare_server(size: int) -> float:
    server, total = BareServer(), 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve)
        seconds = bare.stopwatch()
        for _ in range(size):
            total = await server.call(bare.Add(1))
        elapsed = seconds()
        nursery.cancel_scope.cancel()
    require("total", total, size)
    return size / elapsed


@benchmark(unit="calls/s", size=20_000, floor=floor_ask_from_task)
def ask_from_task(size: int) -> float:
    """A plain trio task asks an actor again and again."""
    return trio.run(_ask_from_task, size)


async def _ask_from_task(size: int) -> float:
    async with ak.open_system() as system:
        counter, total = await system.spawn(ak.props(Counter)), 0
        seconds = bare.stopwatch()
        for _ in range(size):
            total = await counter.ask(AddUp(1))
        elapsed = seconds()
        require("total", total, size)
        return size / elapsed
