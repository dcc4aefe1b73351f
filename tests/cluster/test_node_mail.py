"""What is told, sent and streamed between nodes: order, sizes, and what cannot travel."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import actorkit as ak
from tests.cluster.two_nodes import Count, Echo, Note, Ping, nodes, play, player, quiet, seen, until
from tests.harness import lost

MEGABYTES = 10 << 20


async def test_what_one_actor_says_arrives_in_order() -> None:
    """Told, sent and asked, in any mixture, by one actor to one other."""
    async with nodes("a", "b") as (a, b):
        one, other = await player(a), await player(b)
        far = await seen(a, other)

        async def talk(ctx: ak.Context[Any]) -> None:
            for n in range(0, 300, 3):
                far.tell(Note(n))
                await far.send(Note(n + 1))
                if n % 30 == 0:
                    await far.ask(Ping())
                far.tell(Note(n + 2))

        await one.do(talk)
        await until(lambda: len(other.log) == 300)
        assert [note.value for note in other.got(Note)] == list(range(300))


async def test_plain_tasks_may_talk_too() -> None:
    """Code outside any actor tells, sends and asks as actors do, and in order."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        for n in range(50):
            far.tell(Note(n))
        await far.send(Note(50))
        assert await far.ask(Ping()) == other.ref.path
        assert [note.value for note in other.got(Note)] == list(range(51))


async def test_a_large_message_keeps_its_place_among_its_senders() -> None:
    """Ten megabytes travel in pieces, and the small ones sent later by the same actor still come later."""
    async with nodes("a", "b", outbox_bytes=64 << 20) as (a, b):
        one, other = await player(a), await player(b)
        far = await seen(a, other)
        blob = bytes(range(256)) * (MEGABYTES // 256)

        def talk(_: ak.Context[Any]) -> None:
            far.tell(Note("before"))
            far.tell(Note(blob))
            far.tell(Note("after"))

        await one.do(talk)
        await until(lambda: len(other.log) == 3)
        values = [note.value for note in other.got(Note)]
        assert values == ["before", blob, "after"]


async def test_a_large_message_does_not_hold_up_others() -> None:
    """What another actor says meanwhile arrives before the last piece of it."""
    async with nodes("a", "b", outbox_bytes=64 << 20) as (a, b):
        big, small, other = await player(a), await player(a), await player(b)
        far = await seen(a, other)
        await big.do(lambda _: far.tell(Note(bytes(4 * MEGABYTES))))
        await small.do(lambda _: far.tell(Note("small")))
        await until(lambda: len(other.log) == 2)
        assert [type(note.value) for note in other.got(Note)] == [str, bytes]


async def test_a_large_reply_arrives() -> None:
    """Replies are cut into pieces as messages are."""
    async with nodes("a", "b") as (a, b):
        far = await seen(a, await player(b))
        assert len(await far.ask(Echo(bytes(MEGABYTES)))) == MEGABYTES


async def test_too_large_a_message_cannot_travel() -> None:
    """Its sender is told, and the connection is none the worse."""
    async with nodes("a", "b") as (a, b):
        far = await seen(a, await player(b))
        with pytest.raises(ak.Unencodable, match="67,108,864 may be sent"):
            far.tell(Note(bytes(64 << 20)))
        assert await far.ask(Echo(1)) == 1


# What cannot travel --------------------------------------------------------------------------------------------------


@ak.message
class Order:
    """Something with a field that is wrong."""

    amount: int
    callback: Any = None


@attrs.frozen
class Homemade:
    """A class that is no message."""


async def test_what_cannot_travel_is_refused_at_the_sender() -> None:
    """By ``tell``, ``send`` and ``ask`` alike, with class and field; the receiver hears nothing and lives on."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        wrong = Order(1, callback=print)
        with pytest.raises(ak.Unencodable, match=r"Order.*callback") as told:
            far.tell(wrong)
        assert isinstance(told.value, TypeError)
        with pytest.raises(ak.Unencodable, match=r"Order.*callback"):
            await far.send(wrong)
        with pytest.raises(ak.Unencodable, match=r"Echo.*value"):
            await far.ask(Echo(print))
        with pytest.raises(ak.Unencodable, match="Homemade"):
            far.tell(Homemade())
        assert await far.ask(Echo("well")) == "well"
        assert other.log == []


async def test_what_cannot_travel_is_refused_before_there_is_a_connection() -> None:
    """A sender need not wait for a dial to learn that its message is wrong."""
    async with nodes("a", "b") as (a, b):
        far = await seen(a, await player(b))
        await a.disconnect("b")
        with pytest.raises(ak.Unencodable, match=r"Order.*callback"):
            far.tell(Order(1, callback=print))
        with pytest.raises(ak.Unencodable, match=r"Order.*callback"):
            await far.send(Order(1, callback=print))
        with pytest.raises(ak.Unencodable, match=r"Echo.*value"):
            await far.ask(Echo(print))


async def test_an_actor_that_asks_what_cannot_travel_is_told() -> None:
    """In an actor's handler, too, the error is raised where the ask stands."""
    async with nodes("a", "b") as (a, b):
        one, far = await player(a), await seen(a, await player(b))

        async def ask(_: ak.Context[Any]) -> str:
            try:
                await far.ask(Echo(print))
            except ak.Unencodable as error:
                return str(error)
            return "sent"

        assert "Echo" in await one.do(ask)


async def test_a_reply_that_cannot_travel_is_told_the_asker() -> None:
    """The callee lives on: the error says that it was the reply."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        with pytest.raises(ak.Unencodable, match=f"reply of {other.ref.path}"):
            await far.ask(play(lambda _: print))
        assert await far.ask(Ping()) == other.ref.path


# Streams -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 2, 16])
async def test_a_stream_comes_whole_and_in_order(window: int) -> None:
    """Whatever the window, and whoever reads."""
    async with nodes("a", "b") as (a, b):
        one, far = await player(a), await seen(a, await player(b))

        async def read(_: ak.Context[Any]) -> list[int]:
            async with far.stream(Count(100), window=window) as items:
                return [item async for item in items]

        assert await one.do(read) == list(range(100))
        assert await read(None) == list(range(100))  # type: ignore[arg-type] # a plain task reads


async def test_a_stream_that_is_left_ends_there() -> None:
    """The producer's handler is broken off, and it takes the next message."""
    async with nodes("a", "b") as (a, b):
        far = await seen(a, await player(b))
        async with far.stream(Count(1 << 30), window=4) as items:
            async for item in items:
                if item == 10:
                    break
        assert await far.ask(Echo("free")) == "free"


async def test_a_stream_may_end_with_an_error() -> None:
    """After the items that came before it."""
    async with nodes("a", "b") as (a, b):
        far = await seen(a, await player(b))
        got: list[int] = []
        with pytest.raises(ak.Refused, match="no more numbers"):
            async with far.stream(Count(3, fail=True)) as items:
                got.extend([item async for item in items])
        async with far.stream(Count(3, fail=True)) as items:
            for n in range(3):
                assert await anext(items) == n
            with pytest.raises(ak.Refused):
                await anext(items)


async def test_a_stream_ends_with_its_producers_death_or_node() -> None:
    """The reader is told which."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        async with far.stream(Count(1 << 30), window=2) as items:
            assert await anext(items) == 0
            other.ref.kill()
            with pytest.raises(ak.ActorDied) as died:
                async for _ in items:
                    pass
            assert died.value.reason == ak.Killed()
        other = await player(b)
        far = await seen(a, other)
        async with far.stream(Count(1 << 30), window=2) as items:
            assert await anext(items) == 0
            await a.disconnect("b")
            with pytest.raises(ak.NodeDown):
                async for _ in items:
                    pass
        await quiet()
        assert other.ref.alive


# Whom it does not reach ----------------------------------------------------------------------------------------------


async def test_mail_for_the_dead_is_a_dead_letter_over_there() -> None:
    """Counted where it arrived, with its reason."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        other.ref.kill()
        far.tell(Note("late"))
        nobody = a.remote("b").named(ak.Key[object]("nobody"))
        nobody.tell(Note("to nobody"))
        await until(lambda: len(lost(b)) == 2)
        assert lost(b, ak.DeadReason.NO_ACTOR) == [Note("late"), Note("to nobody")]
        assert lost(a) == []


@ak.message
class Small:
    """Known to one actor only."""


class Narrow(ak.Actor[Small]):
    """Takes one kind of message."""

    @ak.on(Small)
    def small(self, _: Small) -> None: ...


async def test_a_message_without_a_handler_is_unhandled_there() -> None:
    """A told one is a dead letter, an asked one is answered with ``Unhandled``, and the actor lives on."""
    async with nodes("a", "b") as (a, b):
        narrow = await b.spawn(ak.props(Narrow), name="narrow")
        far: ak.Ref[Any] = await seen(a, narrow)
        far.tell(Note(1))
        with pytest.raises(ak.Unhandled) as caught:
            await far.ask(Ping())
        assert (caught.value.actor, caught.value.message_type) == ("/narrow", "Ping")
        assert lost(b, ak.DeadReason.UNHANDLED) == [Note(1), Ping()]
        assert narrow.alive
