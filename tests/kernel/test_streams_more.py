"""Streams: items arrive in order, the slower end sets the pace, and whichever end goes, the other one learns of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from tests.harness import (
    Puppet,
    Strings,
    lost,
    open_checked_system,
    puppet,
    run_in_virtual_time,
    settle,
)
from tests.kernel.support import Note, failure_in, failure_of

Script: TypeAlias = Callable[[ak.Context[Any]], AsyncIterator[Any]]
Reads: TypeAlias = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


@ak.message
class Play(ak.StreamRequest[Any]):
    """Stream what the script yields, from inside the handler."""

    script: Script


@ak.message
class Hand(ak.StreamRequest[Any]):
    """Give the right to answer to the test."""

    take: Callable[[ak.Context[Any], ak.ReplyStream[Any]], object]


class Producer(Puppet):
    """A puppet that also streams."""

    @ak.on(Play)
    async def play(self, msg: Play) -> AsyncIterator[Any]:
        """Stream at the reader's pace."""
        async with aclosing(msg.script(self.ctx)) as items:  # type: ignore[type-var]
            async for item in items:
                yield item

    @ak.on(Hand)
    def hand(self, msg: Hand, out: ak.ReplyStream[Any]) -> None:
        """Let the test answer, and go on."""
        msg.take(self.ctx, out)


class Mute(ak.Actor[Note]):
    """Streams nothing."""

    @ak.on(Note)
    def note(self, msg: Note) -> None:
        """Take a message."""


class Refusal(ak.Refused):
    """What a producer says no with."""


class Trace:
    """What a script did, as the test sees it."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.ended = 0

    def count(self, upto: int, pause: float = 0.0) -> Play:
        """A request for the numbers below ``upto``, with a pause before each."""
        return Play(lambda ctx: self._count(ctx, upto, pause))

    async def _count(self, ctx: ak.Context[Any], upto: int, pause: float) -> AsyncIterator[int]:
        try:
            for n in range(upto):
                if pause:
                    await ctx.sleep(pause)
                self.made.append(n)
                yield n
        finally:
            self.ended += 1


async def producer(system: ak.System) -> Strings:
    """Start a top-level producer."""
    log: list[object] = []
    return Strings(await system.spawn(ak.props(Producer, log)), log)


async def items_of(
    ref: ak.Ref[object], request: Play | Hand, *, timeout: float | None = 5.0, window: int = 16
) -> list[Any]:
    """Read a stream to its end."""
    async with ref.stream(request, timeout=timeout, window=window) as items:
        return [item async for item in items]


async def read_until_failure(
    ref: ak.Ref[object], request: Play | Hand, *, timeout: float | None = 5.0
) -> tuple[list[Any], Exception]:
    """Read a stream that fails: what came before, and what was raised."""
    got: list[Any] = []

    async def read() -> None:
        async with ref.stream(request, timeout=timeout) as items:
            async for item in items:
                got.append(item)

    return got, await failure_of(read())


@pytest.fixture(params=["task", "actor"])
async def reads(request: pytest.FixtureRequest, system: ak.System) -> Reads:
    """Runs the reading end, in a plain task and on an actor's turn."""
    if request.param == "task":
        return lambda attempt: attempt()
    reader = await puppet(system)
    return lambda attempt: reader.do(lambda _: attempt(), timeout=None)


# Order and pace ----------------------------------------------------------------------------------------------------


@given(
    count=st.integers(0, 40),
    window=st.integers(1, 9),
    making=st.sampled_from([0.0, 0.5]),
    reading=st.lists(st.sampled_from([0.0, 0.3, 2.0]), min_size=1, max_size=5),
)
def test_the_slower_end_sets_the_pace(
    count: int, window: int, making: float, reading: list[float]
) -> None:
    """Items come in order, each once; no more than ``window`` of them wait, with one in the producer's hand."""
    trace = Trace()
    got: list[int] = []

    async def main() -> None:
        async with open_checked_system() as system:
            maker = await producer(system)
            async with maker.ref.stream(trace.count(count, making), window=window) as items:
                async for item in items:
                    assert len(trace.made) - len(got) <= window + 1
                    got.append(item)
                    await trio.sleep(reading[len(got) % len(reading)])
                    assert len(trace.made) - len(got) <= window + 1

    run_in_virtual_time(main)
    assert got == trace.made == list(range(count))
    assert trace.ended == 1


@pytest.mark.parametrize("window", [1, 2, 7])
async def test_the_window_is_used(system: ak.System, window: int) -> None:
    """A reader that does not read finds ``window`` items made for it, and one in the producer's hand."""
    maker, trace = await producer(system), Trace()
    async with maker.ref.stream(trace.count(100), window=window) as items:
        await settle()
        assert len(trace.made) == window + 1
        assert await anext(items) == 0
        await settle()
        assert len(trace.made) == window + 2


async def test_a_short_stream_does_not_hold_its_producer(system: ak.System) -> None:
    """Once all items have room the producer goes on with other messages, read or not."""
    maker, trace = await producer(system), Trace()
    async with maker.ref.stream(trace.count(3), window=3) as items:
        maker.ref.tell(Note("next"))
        await settle()
        assert maker.log == [Note("next")]
        assert [item async for item in items] == [0, 1, 2]


async def test_either_kind_of_reader(system: ak.System, reads: Reads) -> None:
    """A plain task and an actor read alike, and a stream may be empty."""
    maker, trace = await producer(system), Trace()
    assert await reads(lambda: items_of(maker.ref, trace.count(50, 0.1), window=3)) == [*range(50)]
    assert await reads(lambda: items_of(maker.ref, trace.count(0))) == []


async def test_streams_of_several_readers_take_turns(system: ak.System) -> None:
    """Requests are served one after the other, like other messages; each reader gets its own items."""
    maker, trace = await producer(system), Trace()
    got: dict[int, list[int]] = {}

    async def read(n: int) -> None:
        got[n] = await items_of(maker.ref, trace.count(n, 0.1), timeout=None, window=1)

    async with trio.open_nursery() as nursery:
        for n in (3, 5, 8):
            nursery.start_soon(read, n)
    assert got == {n: list(range(n)) for n in (3, 5, 8)}


# The reader leaves -------------------------------------------------------------------------------------------------


async def test_leaving_early_stops_the_producer(system: ak.System, reads: Reads) -> None:
    """Whoever leaves the block early ends the generator: its ``finally`` runs, and the actor goes on."""
    maker, trace = await producer(system), Trace()

    async def two() -> list[int]:
        async with maker.ref.stream(trace.count(1000), window=4) as items:
            return [await anext(items), await anext(items)]

    assert await reads(two) == [0, 1]
    await settle()
    assert trace.ended == 1
    assert len(trace.made) <= 2 + 4 + 1
    assert await maker.do(lambda _: "still here") == "still here"


async def test_a_producer_that_works_on_an_item_stops_at_it(system: ak.System) -> None:
    """The producer is not broken off in the midst of an item nobody will read: it stops when that is made."""
    maker, trace = await producer(system), Trace()
    async with maker.ref.stream(trace.count(9, pause=2.0)) as items:
        assert await anext(items) == 0
    await settle()
    assert (trace.made, trace.ended) == ([0], 0)
    await trio.sleep(2.5)
    assert (trace.made, trace.ended) == ([0, 1], 1)


async def test_an_error_in_the_readers_block_stops_the_producer(system: ak.System) -> None:
    """The reader's own exception leaves the block as it is, and the producer stops."""
    maker, trace = await producer(system), Trace()
    mine = KeyError("mine")

    async def read() -> None:
        async with maker.ref.stream(trace.count(100)) as items:
            async for _ in items:
                raise mine

    assert await failure_of(read()) is mine
    await settle()
    assert trace.ended == 1
    assert maker.ref.alive


async def test_a_cancelled_reader_stops_the_producer(system: ak.System) -> None:
    """A reader's cancel scope reaches its ``anext``; the producer stops at its next item."""
    maker, trace = await producer(system), Trace()
    with trio.move_on_after(1.0) as scope:
        await items_of(maker.ref, trace.count(9, pause=0.75))
    assert scope.cancelled_caught
    await trio.sleep(1.0)
    assert (trace.made, trace.ended) == ([0, 1], 1)


async def test_a_time_limit_on_one_item_loses_none(system: ak.System) -> None:
    """An ``anext`` that was cancelled has taken nothing: the next one gets the item."""
    maker, trace = await producer(system), Trace()
    got: list[int] = []
    async with maker.ref.stream(trace.count(4, pause=1.0)) as items:
        while len(got) < 4:
            with trio.move_on_after(0.3):
                got.append(await anext(items))
        assert [item async for item in items] == []
    assert got == [0, 1, 2, 3]


@pytest.mark.parametrize("pause", [0.0, 1.0], ids=["waits for room", "works"])
async def test_a_killed_reader_stops_the_producer(system: ak.System, pause: float) -> None:
    """An actor that is killed while it reads leaves its streams."""
    maker, reader, trace = await producer(system), await puppet(system), Trace()

    async def read() -> None:
        async with maker.ref.stream(trace.count(100, pause), window=2) as items:
            await anext(items)
            await trio.sleep_forever()

    reader.cue(lambda _: read())
    await trio.sleep(1.5)
    reader.ref.kill()
    assert await reader.ref.wait_stopped() == ak.Killed()
    await trio.sleep(1.0)
    assert trace.ended == 1
    assert maker.ref.alive


async def test_nothing_comes_after_the_block(system: ak.System) -> None:
    """What had been made and not read is dropped: a stream that was left is at its end."""
    maker, trace = await producer(system), Trace()
    async with maker.ref.stream(trace.count(5)) as items:
        assert await anext(items) == 0
    assert [item async for item in items] == []


# The producer fails ------------------------------------------------------------------------------------------------


async def _two_then(error: Exception) -> AsyncIterator[int]:
    yield 0
    yield 1
    raise error


async def test_a_crash_reaches_the_reader(system: ak.System, reads: Reads) -> None:
    """The items made before a crash are read first; then the reader gets ``ActorDied`` with the reason."""
    maker = await producer(system)
    crash = ValueError("no more")
    got, error = await reads(
        lambda: read_until_failure(maker.ref, Play(lambda _: _two_then(crash)))
    )
    assert got == [0, 1]
    assert isinstance(error, ak.ActorDied)
    assert isinstance(error.reason, ak.Crashed)
    assert error.__cause__ is crash
    assert not maker.ref.alive


@pytest.mark.parametrize("before", [0, 2])
async def test_a_refusal_reaches_the_reader(system: ak.System, reads: Reads, before: int) -> None:
    """A producer may refuse at once or midway: the reader gets that very error, and the actor lives on."""
    maker, refusal = await producer(system), Refusal("enough")

    async def script() -> AsyncIterator[int]:
        for n in range(before):
            yield n
        raise refusal

    got, error = await reads(lambda: read_until_failure(maker.ref, Play(lambda _: script())))
    assert got == list(range(before))
    assert error is refusal
    assert await maker.do(lambda _: "still here") == "still here"


@pytest.mark.parametrize("pause", [0.0, 1.0], ids=["waits for room", "works"])
async def test_a_killed_producer_ends_the_stream(system: ak.System, pause: float) -> None:
    """Wherever the kill finds the producer: the reader gets what was made, then ``ActorDied``."""
    maker, trace = await producer(system), Trace()
    got: list[int] = []
    async with maker.ref.stream(trace.count(100, pause), window=2) as items:
        got.append(await anext(items))
        await settle()
        maker.ref.kill()
        got.extend([await anext(items) for _ in range(0 if pause else 2)])
        with pytest.raises(ak.ActorDied) as died:
            await anext(items)
    assert died.value.reason == ak.Killed()
    assert got == ([0, 1, 2] if not pause else [0])
    assert trace.ended == 1


async def test_a_kill_reaches_a_reader_that_waits(system: ak.System, reads: Reads) -> None:
    """A reader without a time-out does not wait for an item of a dead actor."""
    maker, trace = await producer(system), Trace()
    system.send_after(3.0, maker.ref, Note("late"))
    outcome: list[tuple[list[Any], Exception]] = []

    async def read() -> None:
        outcome.append(
            await reads(lambda: read_until_failure(maker.ref, trace.count(9, 2.0), timeout=None))
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.sleep(3.0)
        maker.ref.kill()
    ((got, error),) = outcome
    assert got == [0]
    assert isinstance(error, ak.ActorDied)
    assert error.reason == ak.Killed()
    assert system.now() == pytest.approx(3.0)


# Time-outs ---------------------------------------------------------------------------------------------------------


async def test_the_time_out_is_for_each_item(system: ak.System, reads: Reads) -> None:
    """A stream may take as long as it likes, as long as no item does."""
    maker, trace = await producer(system), Trace()
    assert await reads(lambda: items_of(maker.ref, trace.count(9, 1.9), timeout=2.0)) == [*range(9)]


async def test_a_late_item_is_a_time_out(system: ak.System, reads: Reads) -> None:
    """The reader hears of it when the time is over; the producer stops when that item is made."""
    maker, trace = await producer(system), Trace()
    started = system.now()
    got, error = await reads(
        lambda: read_until_failure(maker.ref, trace.count(9, 2.1), timeout=2.0)
    )
    assert (got, type(error)) == ([], ak.AskTimeout)
    assert system.now() - started == pytest.approx(2.0)
    await trio.sleep(1.0)
    assert (trace.made, trace.ended) == ([0], 1)


async def test_a_time_out_ends_the_stream(system: ak.System) -> None:
    """After a late item the stream is at its end, though its block goes on; the producer is told."""
    maker, trace = await producer(system), Trace()
    async with maker.ref.stream(trace.count(9, 2.1), timeout=2.0) as items:
        assert type(await failure_of(anext(items))) is ak.AskTimeout
        await trio.sleep(1.0)
        assert (trace.made, trace.ended) == ([0], 1)
        assert [item async for item in items] == []


async def test_the_time_the_reader_takes_is_its_own(system: ak.System) -> None:
    """Only waiting for an item counts: a reader that works long on one is not timed out by it."""
    maker, trace = await producer(system), Trace()
    async with maker.ref.stream(trace.count(5), timeout=1.0, window=1) as items:
        async for _ in items:
            await trio.sleep(10.0)
    assert trace.ended == 1


# Served by hand ----------------------------------------------------------------------------------------------------


def in_background(*feeds: Callable[[ak.ReplyStream[Any]], Awaitable[object]]) -> Hand:
    """A request that is served by background work while the actor goes on."""

    def take(ctx: ak.Context[Any], out: ak.ReplyStream[Any]) -> None:
        for feed in feeds:
            ctx.start_soon(feed, out)

    return Hand(take)


async def _three(out: ak.ReplyStream[Any]) -> None:
    for n in range(3):
        await trio.sleep(1.0)
        await out.send(n)
    out.close()


async def test_background_work_streams_while_the_actor_goes_on(
    system: ak.System, reads: Reads
) -> None:
    """A handler that takes a ``ReplyStream`` may be done long before the stream is."""
    maker = await producer(system)
    for n in range(3):
        system.send_after(n + 0.5, maker.ref, Note(n))
    assert await reads(lambda: items_of(maker.ref, in_background(_three), window=1)) == [0, 1, 2]
    assert maker.log == [Note(0), Note(1), Note(2)]


async def test_a_reply_stream_waits_for_room(system: ak.System) -> None:
    """Background work is held to the window as well, and is told when nobody reads any more."""
    maker = await producer(system)
    sent: list[bool] = []
    streams: list[ak.ReplyStream[Any]] = []

    async def feed(out: ak.ReplyStream[Any]) -> None:
        streams.append(out)
        while await out.send("item"):
            sent.append(True)
        sent.append(False)

    async with maker.ref.stream(in_background(feed), window=3) as items:
        await settle()
        assert sent == [True] * 3
        assert streams[0].wanted
        assert await anext(items) == "item"
        await settle()
        assert sent == [True] * 4
    await settle()
    assert sent == [True] * 4 + [False]
    assert not streams[0].wanted


@given(window=st.integers(1, 3), feeders=st.integers(2, 4), each=st.integers(1, 5))
def test_several_tasks_may_feed_one_stream(window: int, feeders: int, each: int) -> None:
    """No feeder is forgotten while it waits for room, and each one's items keep their order."""
    got: list[Any] = []
    left = [feeders]

    async def feed(out: ak.ReplyStream[Any], me: int) -> None:
        for n in range(each):
            await out.send((me, n))
        left[0] -= 1
        if not left[0]:
            out.close()

    def take(ctx: ak.Context[Any], out: ak.ReplyStream[Any]) -> None:
        for me in range(feeders):
            ctx.start_soon(feed, out, me)

    async def main() -> None:
        async with open_checked_system() as system:
            maker = await producer(system)
            got.extend(await items_of(maker.ref, Hand(take), window=window))

    run_in_virtual_time(main)
    assert len(got) == feeders * each
    for me in range(feeders):
        assert [n for who, n in got if who == me] == list(range(each))


async def test_a_reply_stream_refuses(system: ak.System, reads: Reads) -> None:
    """Background work may refuse midway; what it does afterwards goes nowhere."""
    maker, refusal = await producer(system), Refusal("enough")
    later: list[bool] = []

    async def feed(out: ak.ReplyStream[Any]) -> None:
        await out.send("one")
        out.refuse(refusal)
        out.close()
        later.append(await out.send("two"))

    assert await reads(lambda: read_until_failure(maker.ref, in_background(feed))) == (
        ["one"],
        refusal,
    )
    assert later == [False]
    assert maker.ref.alive


async def test_a_handler_may_refuse_before_it_hands_on(system: ak.System, reads: Reads) -> None:
    """A refusal raised in a handler that takes a ``ReplyStream`` reaches the reader, too."""
    maker, refusal = await producer(system), Refusal("not today")

    def take(_: object, out: ak.ReplyStream[Any]) -> None:
        raise refusal

    assert await reads(lambda: read_until_failure(maker.ref, Hand(take))) == ([], refusal)
    assert maker.ref.alive


@pytest.mark.parametrize("end", ["kill", "stop", "crash"])
async def test_a_stream_put_off_dies_with_its_actor(system: ak.System, end: str) -> None:
    """A stream in background hands ends with ``ActorDied`` when the actor does, in whichever way."""
    maker = await producer(system)
    async with maker.ref.stream(in_background(_three), timeout=None) as items:
        assert await anext(items) == 0
        if end == "kill":
            maker.ref.kill()
        elif end == "stop":
            await maker.ref.stop()
        else:
            maker.cue(lambda _: 1 / 0)
        with pytest.raises(ak.ActorDied) as died:
            await anext(items)
    expected = {"kill": ak.Killed, "stop": ak.Normal, "crash": ak.Crashed}
    assert type(died.value.reason) is expected[end]


# Told, unhandled, dead ---------------------------------------------------------------------------------------------


async def test_a_stream_that_was_told_is_drained(system: ak.System) -> None:
    """Nobody reads, so nobody holds the producer back: it runs to its end and goes on."""
    maker, trace = await producer(system), Trace()
    maker.ref.tell(trace.count(100))
    maker.ref.tell(Note("next"))
    await settle()
    assert (len(trace.made), trace.ended) == (100, 1)
    assert maker.log == [Note("next")]


async def test_told_by_hand_nobody_reads(system: ak.System) -> None:
    """A ``ReplyStream`` that nobody asked for says so, and takes all without an effect."""
    maker = await producer(system)
    seen: list[bool] = []

    async def feed(out: ak.ReplyStream[Any]) -> None:
        seen.extend([out.wanted, await out.send("item")])
        out.refuse(Refusal("no"))
        out.close()

    maker.ref.tell(in_background(feed))
    await settle()
    assert seen == [False, False]


async def test_without_a_handler_a_stream_is_unhandled(system: ak.System, reads: Reads) -> None:
    """The reader is told, the request is a dead letter, and the actor lives."""
    mute: ak.Ref[Any] = await system.spawn(ak.props(Mute))
    request = Trace().count(3)
    got, error = await reads(lambda: read_until_failure(mute, request))
    assert (got, type(error)) == ([], ak.Unhandled)
    assert mute.alive
    assert lost(system) == [request]


async def test_a_dead_actor_streams_nothing(system: ak.System, reads: Reads) -> None:
    """Opening a stream of an actor that is gone fails at once."""
    maker, request = await producer(system), Trace().count(3)
    await maker.ref.stop()
    got, error = await reads(lambda: read_until_failure(maker.ref, request))
    assert (got, type(error)) == ([], ak.ActorDied)
    assert lost(system) == [request]


async def test_what_a_stream_takes(system: ak.System) -> None:
    """A window is at least one, a time-out is not negative; a stream is read in its block, and opened once."""
    maker, request = await producer(system), Trace().count(3)
    assert isinstance(failure_in(lambda: maker.ref.stream(request, window=0)), ValueError)
    assert isinstance(failure_in(lambda: maker.ref.stream(request, timeout=-1.0)), ValueError)
    stream = maker.ref.stream(request)
    assert "inside its block" in str(await failure_of(anext(stream)))
    async with stream as items:
        assert "opened once" in str(await failure_of(stream.__aenter__()))
        assert [item async for item in items] == [0, 1, 2]


# Circles -----------------------------------------------------------------------------------------------------------


async def test_a_producer_may_not_wait_for_its_reader(system: ak.System) -> None:
    """A producer that asks the actor that waits for its next item is told so, at once."""
    maker, reader = await producer(system), await puppet(system)

    async def script() -> AsyncIterator[str]:
        yield type(await failure_of(reader.do(lambda _: 1))).__name__

    found = await reader.do(lambda _: items_of(maker.ref, Play(lambda _: script())))
    assert found == ["CircularAsk"]


async def test_a_reader_may_not_wait_for_a_producer_that_waits_for_it(system: ak.System) -> None:
    """It is the reader that closes the circle if it comes back for an item too late."""
    maker, reader = await producer(system), await puppet(system)

    async def script() -> AsyncIterator[str]:
        await failure_of(reader.do(lambda _: 1, timeout=1.0))
        yield "item"

    async def read(ctx: ak.Context[Any]) -> list[object]:
        async with maker.ref.stream(Play(lambda _: script())) as items:
            await ctx.sleep(0.5)
            first = await failure_of(anext(items))
            await ctx.sleep(1.0)
            return [type(first), await anext(items)]

    assert await reader.do(read) == [ak.CircularAsk, "item"]


async def test_a_stream_handed_on_is_no_circle(system: ak.System) -> None:
    """Who serves a stream that was handed on is unknown: its actor may ask the reader meanwhile."""
    maker, reader = await producer(system), await puppet(system)
    got: list[Any] = []

    async def read() -> None:
        got.extend(await items_of(maker.ref, in_background(_three)))

    reader.cue(lambda _: read())
    await settle()
    answer = await maker.do(lambda _: reader.do(lambda _: "free again"))
    assert answer == "free again"
    assert got == [0, 1, 2]


# Across a restart --------------------------------------------------------------------------------------------------


async def test_across_a_restart(system: ak.System) -> None:
    """The stream in hand dies with the incarnation; the one that waited is served by the next."""
    spec = ak.Child("maker", ak.props(Producer, []))
    root = await system.start(ak.supervise(spec))
    ref: ak.Ref[object] = root.child(spec)
    in_hand, queued = Trace(), Trace()
    first = ref.address
    async with ref.stream(in_hand.count(100), window=1) as items:
        assert await anext(items) == 0
        async with ref.stream(queued.count(3)) as later:
            await settle()
            assert queued.made == []
            ref.kill()
            assert [await anext(items), type(await failure_of(anext(items)))] == [1, ak.ActorDied]
            assert [item async for item in later] == [0, 1, 2]
    assert ref.address != first
    assert (in_hand.ended, queued.ended) == (1, 1)
