"""A peer that does not read: what is told is lost with a reason, who can wait waits, and no signal is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

import actorkit as ak
from tests.cluster.two_nodes import (
    Echo,
    Note,
    Ping,
    Wire,
    checked_node,
    player,
    quiet,
    seen,
    until,
    wire_to,
)
from tests.harness import Strings, end, lost

CHUNK = bytes(30_000)
SMALL_BOX = 50_000
BYE = ak.Failed("bye")


@attrs.frozen
class Road:
    """Two nodes, of which one can be kept from hearing anything."""

    a: ak.Node
    b: ak.Node
    wire: Wire
    other: Strings
    far: ak.Ref[Any]

    async def fill(self) -> int:
        """Tell until no more is taken; how many were."""
        told = 0
        link = self.a.fabric.peer("b").link
        assert link is not None
        while not lost(self.a):
            self.far.tell(Note(CHUNK))
            told += 1
            await trio.lowlevel.checkpoint()
            if link.outbox.size:
                await quiet()
        return told - len(lost(self.a, ak.DeadReason.OUTBOX_FULL))


async def near_of(r: Road, actor: Strings) -> ak.Ref[Any]:
    """What b has for an actor of a."""
    r.wire.go_on()
    ref = await seen(r.b, actor)
    r.wire.hold()
    return ref


@asynccontextmanager
async def road(**options: Any) -> AsyncIterator[Road]:
    """Two nodes with a small outbox; the first one's traffic to the second is held up at once."""
    options = {"outbox_bytes": SMALL_BOX, **options}
    with trio.fail_after(30):
        async with (
            checked_node("a", **options) as a,
            checked_node("b", **options) as b,
            wire_to(b) as wire,
        ):
            await a.connect(wire.address)
            other = await player(b)
            far = await seen(a, other)
            wire.hold()
            yield Road(a, b, wire, other, far)
            await quiet()


async def test_told_messages_are_dead_letters_when_the_outbox_is_full() -> None:
    """With the reason; what was taken arrives when the peer reads again, whole and in order."""
    async with road() as r:
        taken = await r.fill()
        before = len(lost(r.a))
        for n in range(5):
            r.far.tell(Note(n))
        assert lost(r.a, ak.DeadReason.OUTBOX_FULL)[before:] == [Note(n) for n in range(5)]
        r.wire.go_on()
        await until(lambda: len(r.other.log) == taken)
        r.far.tell(Note("again"))
        assert await r.far.ask(Ping()) == r.other.ref.path
        assert r.other.log[-1] == Note("again")


async def test_send_waits_for_room_in_the_outbox() -> None:
    """In a plain task and in an actor; each sender's messages keep their order."""
    async with road() as r:
        await r.fill()
        one = await player(r.a)
        sent: list[str] = []

        async def send(who: str) -> None:
            for n in range(5):
                await r.far.send(Note((who, n)))
            sent.append(who)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, "task")
            one.cue(lambda _: send("actor"))
            await quiet()
            assert sent == []
            r.wire.go_on()
        await until(lambda: len(sent) == 2)
        await r.far.ask(Ping())
        values = [n.value for n in r.other.got(Note) if isinstance(n.value, tuple)]
        for who in ("task", "actor"):
            assert [n for w, n in values if w == who] == list(range(5))
        assert len(values) == 10


async def test_a_waiting_send_can_be_cancelled() -> None:
    """Its message is not sent."""
    async with road() as r:
        await r.fill()
        with trio.move_on_after(0.02):
            await r.far.send(Note("never"))
        r.wire.go_on()
        await r.far.ask(Ping(), timeout=20)
        assert Note("never") not in r.other.log


async def test_ask_waits_for_room_in_the_outbox() -> None:
    """And is answered when the peer reads again; one whose time is over before that is never sent."""
    async with road() as r:
        await r.fill()
        answers: list[Any] = []

        async def ask(value: str) -> None:
            answers.append(await r.far.ask(Echo(value), timeout=None))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "task")
            one = await player(r.a)
            one.cue(lambda _: ask("actor"))
            await quiet()
            with pytest.raises(ak.AskTimeout):
                await r.far.ask(Echo("late"), timeout=0.02)
            assert answers == []
            r.wire.go_on()
        await until(lambda: len(answers) == 2)
        assert sorted(answers) == ["actor", "task"]


async def test_a_connection_that_breaks_ends_those_who_wait_for_room() -> None:
    """``NodeDown`` for each of them, and the messages are dead letters."""
    async with road() as r:
        await r.fill()
        ends: list[str] = []

        async def wait(what: Any) -> None:
            with pytest.raises(ak.NodeDown):
                await what
            ends.append("over")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, r.far.send(Note("sent")))
            nursery.start_soon(wait, r.far.ask(Echo("asked"), timeout=None))
            await quiet()
            r.wire.cut()
        assert ends == ["over"] * 2
        assert {*lost(r.a, ak.DeadReason.NO_CONNECTION)} == {Note("sent"), Echo("asked")}


async def test_exits_and_downs_arrive_though_the_outbox_is_full() -> None:
    """Case 85: local observers hear at once, the remote ones hear the true reason once the buffer drains."""
    async with road() as r:
        dying, local = await player(r.a), await player(r.a, trap=True)
        linked, watching = await player(r.b, trap=True), await player(r.b)
        r.wire.go_on()
        there = await seen(r.b, dying)
        await linked.do(lambda ctx: ctx.link(there))
        monitor = await watching.do(lambda ctx: ctx.watch(there))
        await local.do(lambda ctx: ctx.link(dying.ref))
        await local.do(lambda ctx: ctx.watch(dying.ref))
        await quiet()
        r.wire.hold()
        await r.fill()
        assert await end(dying, BYE) == BYE
        assert len(local.exits) == len(local.downs) == 1
        await quiet()
        assert linked.log == watching.log == []
        r.wire.go_on()
        await until(lambda: linked.exits and watching.downs)
        assert [(e.ref, e.reason) for e in linked.exits] == [(there, BYE)]
        assert [(d.monitor, d.reason) for d in watching.downs] == [(monitor, BYE)]


async def test_replies_are_sent_though_the_outbox_is_full() -> None:
    """Whoever has asked gets its answer, however much waits beside it."""
    async with road() as r:
        one = await player(r.a)
        near = await near_of(r, one)
        await r.fill()
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await near.ask(Echo("answer"), timeout=None))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await quiet()
            assert answers == []
            r.wire.go_on()
        assert answers == ["answer"]


async def test_a_peer_that_never_reads_is_cut_off() -> None:
    """Signals and replies are never dropped, so beyond a hard limit the connection is: ``OVERFLOW``."""
    async with road(outbox_hard_bytes=400_000) as r:
        one = await player(r.a)
        listener = await player(r.a)
        await listener.do(lambda ctx: ctx.monitor_nodes())
        near = await near_of(r, one)
        await r.fill()

        async def ask() -> None:
            with pytest.raises(ak.NodeDown):
                await near.ask(Echo(bytes(50_000)), timeout=None)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        await until(lambda: listener.log)
        [notice] = listener.got(ak.NodeLost)
        assert notice.reason == ak.LostReason.OVERFLOW
        r.wire.cut()


async def test_a_slow_reader_of_a_stream_holds_up_nobody_else() -> None:
    """The producer waits for the reader's window, not in the outbox: others talk on."""
    async with road() as r:
        from tests.cluster.two_nodes import Count

        r.wire.go_on()
        async with r.far.stream(Count(1 << 20), window=8, timeout=None) as items:
            assert await anext(items) == 0
            another = await seen(r.a, await player(r.b))
            for n in range(200):
                assert await another.ask(Echo(n)) == n
            link = r.b.fabric.peer("a").link
            assert link is not None
            assert not link.outbox.full


async def test_what_an_overflow_brings_about_is_told_to_other_nodes_at_once() -> None:
    """An actor dies because its peer does not read: a third node hears of that without further ado."""
    async with road(outbox_hard_bytes=400_000) as r, checked_node("c") as c:
        r.wire.go_on()
        tied, watching = await player(r.a), await player(c)
        await c.connect(r.a.address)
        await watching.do(await watch_from(c, tied))
        await tied.do(lambda ctx: ctx.link(r.far))
        await quiet()
        r.wire.hold()
        await r.fill()
        near = await player(r.a)

        def flood(ctx: ak.Context[Any]) -> None:
            for _ in range(20):  # signals are never dropped
                ctx.exit(r.far, ak.Failed("x" * 40_000))

        await near.do(flood)
        await until(lambda: watching.downs)
        assert [d.reason for d in watching.downs] == [ak.NoConnection()]
        r.wire.cut()


async def watch_from(node: ak.Node, actor: Strings) -> Any:
    """A part: watch an actor of another node."""
    far = await seen(node, actor)
    return lambda ctx: ctx.watch(far)
