"""autogen-core: agents on its single-threaded runtime on asyncio."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import functools
import time
from dataclasses import dataclass
from typing import Any

from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    message_handler,
)

from tests.benchmarks.peers.answering import answer, require

CALLEE = AgentId("counter", "1")


@dataclass
class Add:
    n: int


@dataclass
class Call:
    times: int


@dataclass
class Total:
    total: int


class Counter(RoutedAgent):
    """Adds up what it is sent."""

    def __init__(self) -> None:
        super().__init__("counter")
        self.total = 0

    @message_handler
    async def add(self, message: Add, ctx: MessageContext) -> Total:
        self.total += message.n
        return Total(self.total)


class Caller(RoutedAgent):
    """Sends to another agent many times in one handler."""

    def __init__(self) -> None:
        super().__init__("caller")

    @message_handler
    async def call(self, message: Call, ctx: MessageContext) -> Total:
        reply = Total(0)
        for _ in range(message.times):
            reply = await self.send_message(Add(1), CALLEE)
        return reply


async def ask_actor_to_actor(runtime: Any, size: int) -> float:
    """Calls per second of one actor by another."""
    begin = time.perf_counter()
    reply = await runtime.send_message(Call(size), AgentId("caller", "1"))
    seconds = time.perf_counter() - begin
    require("total", reply.total, size)
    return size / seconds


async def ask_from_task(runtime: Any, size: int) -> float:
    """Calls per second of an actor from outside."""
    begin = time.perf_counter()
    for _ in range(size):
        reply = await runtime.send_message(Add(1), CALLEE)
    seconds = time.perf_counter() - begin
    require("total", reply.total, size)
    return size / seconds


async def spawn(runtime: Any, size: int) -> float:
    """Microseconds for each actor that is ready."""
    begin = time.perf_counter()
    for n in range(size):
        # An agent is made when the first message for its key arrives.
        reply = await runtime.send_message(Add(1), AgentId("counter", f"new{n}"))
        require("first reply", reply.total, 1)
    return (time.perf_counter() - begin) * 1e6 / size


async def _in_a_runtime(work: Any, size: int) -> float:
    runtime = SingleThreadedAgentRuntime()
    await Counter.register(runtime, "counter", Counter)
    await Caller.register(runtime, "caller", Caller)
    runtime.start()
    try:
        return await work(runtime, size)
    finally:
        await runtime.stop()


def _run(work: Any, size: int) -> float:
    return asyncio.run(_in_a_runtime(work, size))


if __name__ == "__main__":
    works = (ask_actor_to_actor, ask_from_task, spawn)
    answer("autogen", {work.__name__: functools.partial(_run, work) for work in works})
