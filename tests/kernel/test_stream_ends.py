"""How streams end when something goes wrong, whichever of the two ways produces them: nothing hangs, nothing leaks."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio

import actorkit as ak
from tests.harness import puppet, settle
from tests.kernel.support import failure_of


@ak.message
class Count(ak.StreamRequest[int]):
    """Answered with the numbers below ``to``, each after some seconds; ``then`` says how it ends."""

    to: int
    after: float = 0.0
    then: str = "end"


@ak.message
class ByHand(ak.StreamRequest[int]):
    """As ``Count``, answered by background work."""

    to: int
    after: float = 0.0
    then: str = "end"


@ak.message
class Single(ak.Request[int]):
    """A request for one answer."""


class NotToday(ak.Refused):
    """A business error."""


class Source(ak.Actor[Count | ByHand | Single]):
    """Produces numbers in two ways, and remembers how far it got."""

    def __init__(self, log: list[object]) -> None:
        self.log = log

    @ak.on(Count)
    async def count(self, msg: Count) -> AsyncIterator[int]:
        try:
            for n in range(msg.to):
                await self.ctx.sleep(msg.after)
                self.log.append(n)
                yield n
            await self.finish(msg.then)
        finally:
            self.log.append("finally")

    @ak.on(ByHand)
    async def by_hand(self, msg: ByHand, out: ak.ReplyStream[int]) -> None:
        self.ctx.start_soon(self.produce, msg, out)

    async def produce(self, msg: ByHand, out: ak.ReplyStream[int]) -> None:
        """The background work behind a stream by hand."""
        try:
            for n in range(msg.to):
                await trio.sleep(msg.after)
                if not await out.send(n):
                    return
                self.log.append(n)
            await self.finish(msg.then)
            out.close()
        except ak.Refused as refusal:
            out.refuse(refusal)
        finally:
            self.log.append("finally")

    async def finish(self, how: str) -> None:
        """End in one of several ways."""
        if how == "refuse":
            raise NotToday("enough")
        if how == "crash":
            raise ValueError("broken")
        if how == "ask":
            await self.ctx.self.ask(Single(), timeout=1)
        if how == "hang":
            await trio.sleep_forever()

    @ak.on(Single)
    def single(self, msg: Single, reply: ak.Reply[int]) -> None: ...


async def read_all(ref: ak.Ref[Any], request: Any, **options: Any) -> list[object]:
    """All items of a stream, and the error that ended it, if one did."""
    got: list[object] = []
    try:
        async with ref.stream(request, **options) as items:
            async for item in items:
                got.append(item)
    except ak.AskError as error:
        got.append(error)
    return got


WAYS = pytest.mark.parametrize("way", [Count, ByHand])
Way = Callable[..., Any]


@WAYS
async def test_what_was_produced_arrives_before_the_error(system: ak.System, way: Way) -> None:
    """The items before a refusal or a crash are read first; a refusal leaves the producer alive."""
    ref = await system.spawn(ak.props(Source, []))
    *items, refusal = await read_all(ref, way(3, then="refuse"))
    assert (items, type(refusal)) == ([0, 1, 2], NotToday)
    *items, crash = await read_all(ref, way(3, then="crash"))
    assert items == [0, 1, 2]
    assert isinstance(crash, ak.ActorDied)
    assert crash.reason == ak.Crashed("ValueError", "broken")
    assert trio.current_time() == 0.0


@WAYS
async def test_an_error_of_the_producers_own_ask_is_a_crash(system: ak.System, way: Way) -> None:
    """Only a refusal is the reader's business: an ask that fails in the producer is no time-out of the reader's."""
    ref = await system.spawn(ak.props(Source, []))
    *items, error = await read_all(ref, way(1, then="ask"))
    assert items == [0]
    assert isinstance(error, ak.ActorDied)
    assert isinstance(error.reason, ak.Crashed)
    expected = "CircularAsk" if way is Count else "AskTimeout"  # background work is no ring
    assert error.reason.error == f"actorkit.errors.{expected}"


@WAYS
@pytest.mark.parametrize("moment", ["waits for room", "waits on trio", "takes its time"])
async def test_a_kill_ends_the_stream_whatever_the_producer_does(
    system: ak.System, way: Way, moment: str
) -> None:
    """What was produced arrives, then the death; ``finally`` runs, and nothing is left to the garbage collector."""
    log: list[object] = []
    ref = await system.spawn(ak.props(Source, log))
    request = {
        "waits for room": way(100),
        "waits on trio": way(1, then="hang"),
        "takes its time": way(10, after=3),
    }[moment]
    rest: list[object] = []
    async with ref.stream(request, window=1) as items:
        assert await anext(items) == 0
        await settle()
        ref.kill()
        await ref.wait_stopped()
        try:
            async for item in items:
                rest.append(item)
        except ak.ActorDied as error:
            rest.append(error.reason)
    assert rest == ([1, ak.Killed()] if moment == "waits for room" else [ak.Killed()])
    await settle()
    assert log[-1] == "finally"
    gc.collect()


@WAYS
async def test_a_producer_serves_on_after_its_reader_was_killed(
    system: ak.System, way: Way
) -> None:
    """A killed reader leaves its stream; the producer stops at its next item and takes the next request."""
    log: list[object] = []
    ref = await system.spawn(ak.props(Source, log))
    reader = await puppet(system)
    reader.cue(lambda _: read_all(ref, way(100, after=1), window=1))
    await trio.sleep(2.5)
    reader.ref.kill()
    await trio.sleep(5)
    assert log[-1] == "finally"
    assert len(log) <= 5
    assert await read_all(ref, way(3)) == [0, 1, 2]


async def test_streams_and_answers_are_not_confused(system: ak.System) -> None:
    """Asking for a stream as if it were one answer, or for one answer as if it were a stream, is unhandled."""
    ref: ak.Ref[Any] = await system.spawn(ak.props(Source, []))
    wrong: list[Any] = [Count(1), ByHand(1)]
    for request in wrong:
        assert isinstance(await failure_of(ref.ask(request)), ak.Unhandled)
    (error,) = await read_all(ref, Single())
    assert isinstance(error, ak.Unhandled)
    assert ref.alive


async def test_a_reply_stream_of_the_dead_takes_nothing(system: ak.System) -> None:
    """What was put in before the death is still read; what comes after is not taken, and closing is harmless."""
    streams: list[ak.ReplyStream[int]] = []

    class Giver(ak.Actor[ByHand]):
        @ak.on(ByHand)
        def give(self, msg: ByHand, out: ak.ReplyStream[int]) -> None:
            streams.append(out)

    ref = await system.spawn(ak.props(Giver))
    async with ref.stream(ByHand(1)) as items:
        await settle()
        (out,) = streams
        told = [out.wanted, await out.send(1)]
        ref.kill()
        await ref.wait_stopped()
        assert [*told, out.wanted, await out.send(2)] == [True, True, False, False]
        assert await anext(items) == 1
        with pytest.raises(ak.ActorDied):
            await anext(items)
    out.close()
