"""Handlers behind decorators: whatever a plain function returns for an async one is awaited before it is an answer."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import pytest
import trio
from trio.lowlevel import currently_ki_protected

import actorkit as ak
from actorkit.kernel.vocabulary import Kind
from tests.harness import lost, settle
from tests.kernel.support import failure_of


@ak.message
class Count(ak.Request[int]):
    """Answered with a number, after a second."""

    number: int


@ak.message
class Tick:
    """Just told."""

    number: int


@ak.message
class Later(ak.Request[int]):
    """Answered through a ``Reply``."""


@ak.message
class Feed(ak.StreamRequest[int]):
    """Answered with two numbers."""


class Sorry(ak.Refused):
    """A business error."""


Function = Callable[..., Any]


def wrapped(function: Function) -> Function:
    """A decorator as most are: a plain function around whatever it is given."""

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    return call


def disguised(function: Function) -> Function:
    """A decorator that says nothing of what is inside."""

    def call(self: Any, msg: Any) -> Any:
        return function(self, msg)

    return call


class Promise:
    """An awaitable that is no coroutine."""

    def __init__(self, inner: Awaitable[Any]) -> None:
        self._inner = inner

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()


def promised(function: Function) -> Function:
    """A decorator that returns an awaitable of its own."""

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return Promise(function(*args))

    return call


DECORATORS = pytest.mark.parametrize("decorator", [wrapped, disguised, promised])


def counter(decorator: Callable[[Function], Function], log: list[object]) -> type[ak.Actor[Any]]:
    """An actor class whose handlers are decorated."""

    class Counter(ak.Actor[Count | Tick]):
        @ak.on(Count)
        @decorator
        async def count(self, msg: Count) -> int:
            log.append(f"begin {msg.number}")
            await self.ctx.sleep(1)
            if msg.number < 0:
                raise Sorry("negative")
            log.append(f"end {msg.number}")
            return msg.number

        @ak.on(Tick)
        @decorator
        async def tick(self, msg: Tick) -> None:
            log.append(f"begin {msg.number}")
            await trio.sleep(1)
            log.append(f"end {msg.number}")

    return Counter


@DECORATORS
async def test_a_plain_function_around_an_async_handler(
    system: ak.System, decorator: Callable[[Function], Function]
) -> None:
    """It is awaited, for every message, asked or told; and the next message waits until it is over."""
    log: list[object] = []
    ref: ak.Ref[Any] = await system.spawn(ak.props(counter(decorator, log)))
    for number in (1, 2):
        assert await ref.ask(Count(number)) == number
        ref.tell(Tick(10 * number))
    assert isinstance(await failure_of(ref.ask(Count(-1))), Sorry)
    ordinary = [f"{word} {n}" for n in (1, 10, 2, 20) for word in ("begin", "end")]
    assert log == [*ordinary, "begin -1"]
    assert ref.alive


@DECORATORS
async def test_a_decorated_handler_can_be_killed(
    system: ak.System, decorator: Callable[[Function], Function]
) -> None:
    """It is unwound as any handler is."""
    log: list[object] = []
    ref: ak.Ref[Any] = await system.spawn(ak.props(counter(decorator, log)))
    ref.tell(Count(1))
    await settle()
    ref.kill()
    assert await ref.wait_stopped() == ak.Killed()
    assert log == ["begin 1"]


class Undecorated(ak.Actor[Count | Tick]):
    """Plain methods that hand on what an async one returns."""

    def __init__(self, log: list[int]) -> None:
        self.log = log

    @ak.on(Count)
    def count(self, msg: Count) -> Awaitable[int]:
        return self._count(msg.number)

    @ak.on(Tick)
    def tick(self, msg: Tick) -> Awaitable[None]:
        return self._tick(msg.number)

    async def _count(self, number: int) -> int:
        await self.ctx.sleep(1)
        return number

    async def _tick(self, number: int) -> None:
        self.log.append(number)


async def test_a_method_that_returns_a_coroutine(system: ak.System) -> None:
    """No decorator is needed for that."""
    log: list[int] = []
    ref = await system.spawn(ak.props(Undecorated, log))
    for number in (1, 2, 3):
        assert await ref.ask(Count(number)) == number
        ref.tell(Tick(number))
    await settle()
    assert log == [1, 2, 3]


async def test_what_a_decorator_returns_may_vary(system: ak.System) -> None:
    """A cache, say, answers at once when it can, and else returns the coroutine."""
    known = {0: 0}

    def cached(function: Function) -> Function:
        @functools.wraps(function)
        def call(self: Any, msg: Count) -> Any:
            return known[msg.number] if msg.number in known else function(self, msg)

        return call

    class Cached(ak.Actor[Count]):
        @ak.on(Count)
        @cached
        async def count(self, msg: Count) -> int:
            known[msg.number] = msg.number
            return msg.number

    ref = await system.spawn(ak.props(Cached))
    assert [await ref.ask(Count(n)) for n in (0, 1, 0, 1, 2, 2, 0)] == [0, 1, 0, 1, 2, 2, 0]


async def test_a_plain_handler_is_called_plainly(system: ak.System) -> None:
    """Once a plain method has returned something else, nothing stands between it and the dispatcher any more."""

    class Plain(ak.Actor[Count | Tick]):
        @ak.on(Count)
        def count(self, msg: Count) -> int:
            return msg.number

        @ak.on(Tick)
        @wrapped
        def tick(self, msg: Tick) -> None: ...

    @ak.message
    class Special(Count):
        """Handled by the handler of its base."""

    ref = await system.spawn(ak.props(Plain))
    for number in (1, 2):
        assert await ref.ask(Count(number)) == number
        assert await ref.ask(Special(number)) == number
        ref.tell(Tick(number))
    await settle()
    table = Plain.__actorkit_table__
    assert table[Count] == table[Special] == (Plain.count, Kind.SYNC)
    assert table[Tick][1] == Kind.ASYNC  # a decorator's work is looked at every time


async def test_a_decorated_handler_that_defers(system: ak.System) -> None:
    """With a ``Reply``, asked and told alike, the coroutine is awaited."""
    log: list[bool] = []

    class Deferring(ak.Actor[Later]):
        @ak.on(Later)
        @wrapped
        async def later(self, msg: Later, reply: ak.Reply[int]) -> None:
            await self.ctx.sleep(1)
            log.append(reply.send(7))

    ref = await system.spawn(ak.props(Deferring))
    assert await ref.ask(Later()) == 7
    ref.tell(Later())
    await ref.stop()
    assert log == [True, False]
    assert lost(system) == []


async def test_a_decorated_stream(system: ak.System) -> None:
    """A plain function around an async generator streams; told, it runs to its end."""
    log: list[str] = []

    class Streaming(ak.Actor[Feed]):
        @ak.on(Feed)
        @wrapped
        async def feed(self, msg: Feed) -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
            finally:
                log.append("left")

    ref = await system.spawn(ak.props(Streaming))
    async with ref.stream(Feed()) as items:
        assert [item async for item in items] == [1, 2]
    ref.tell(Feed())
    await ref.stop()
    assert log == ["left", "left"]


async def test_the_answer_of_a_decorated_handler_waits_for_the_end(system: ak.System) -> None:
    """If it stops the actor, the reply goes out after ``stopping``, as every reply does."""
    log: list[str] = []

    class Stopping(ak.Actor[Count]):
        @ak.on(Count)
        @wrapped
        async def count(self, msg: Count) -> int:
            self.ctx.stop()
            return msg.number

        def stopping(self, reason: ak.ExitReason) -> None:
            log.append("stopping")

    ref = await system.spawn(ak.props(Stopping))
    log.append(str(await ref.ask(Count(3))))
    assert log == ["stopping", "3"]


async def test_a_decorated_handler_is_open_to_interrupts(system: ak.System) -> None:
    """Ctrl-C may strike in it as in any other."""
    seen: list[bool] = []

    class Looking(ak.Actor[Count | Tick]):
        @ak.on(Count)
        @wrapped
        async def count(self, msg: Count) -> int:
            seen.append(currently_ki_protected())
            await trio.lowlevel.checkpoint()
            seen.append(currently_ki_protected())
            return 0

        @ak.on(Tick)
        def tick(self, msg: Tick) -> None:
            seen.append(currently_ki_protected())

    ref = await system.spawn(ak.props(Looking))
    for number in (1, 2):
        await ref.ask(Count(number))
        ref.tell(Tick(number))
    await settle()
    assert seen == [False] * 6


@pytest.mark.skipif(sys.version_info < (3, 12), reason="markcoroutinefunction came with 3.12")
async def test_a_function_that_is_marked_as_async(system: ak.System) -> None:
    """Whoever marks a plain function as one that returns coroutines is believed."""

    def plain(self: Any, msg: Count) -> Any:
        return Undecorated._count(self, msg.number)  # noqa: SLF001

    marked = getattr(inspect, "markcoroutinefunction")(plain)  # noqa: B009 - 3.11 has none
    cls = type("Marked", (ak.Actor,), {"count": ak.on(Count)(marked)})
    assert cls.__actorkit_table__[Count] == (plain, Kind.ASYNC)  # type: ignore[attr-defined]
    ref: ak.Ref[Any] = await system.spawn(ak.props(cls))
    assert await ref.ask(Count(5)) == 5
