"""References that travel: whoever's they are, they mean the same actor wherever they arrive, or nobody."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import trio

import actorkit as ak
from tests.cluster.two_nodes import (
    LOGS,
    Echo,
    Note,
    Ping,
    Player,
    checked_node,
    nodes,
    play,
    player,
    quiet,
    seen,
    spawned,
    until,
)
from tests.harness import lost

KEY = ak.Key[Any]("counter")


@ak.message
class Introduce:
    """A reference in a typed field."""

    who: ak.Ref[Any]


@ak.message
class WhoIs(ak.Request[ak.Ref[Any]]):
    """A reference as a reply."""


class Host(ak.Actor[Introduce | WhoIs]):
    """Keeps whom it is introduced to."""

    def __init__(self) -> None:
        self.guest: ak.Ref[Any] | None = None

    @ak.on(Introduce)
    def introduce(self, msg: Introduce) -> None:
        """Keep it."""
        self.guest = msg.who

    @ak.on(WhoIs)
    def who(self, _: WhoIs) -> ak.Ref[Any]:
        """Give it back."""
        return self.guest or self.ctx.self


async def test_a_reference_comes_home_as_itself() -> None:
    """One's own actor, sent away and sent back, is the very reference again; the receiver's own is its own."""
    async with nodes("a", "b") as (a, b):
        one, other = await player(a), await player(b)
        far = await seen(a, other)
        assert await far.ask(Echo(one.ref)) is one.ref
        assert await far.ask(play(lambda ctx: ctx.self)) is far
        assert await far.ask(Echo([{"who": one.ref}, (far,)])) == [{"who": one.ref}, (far,)]
        far.tell(Note(far))
        await until(lambda: other.log)
        assert other.got(Note)[0].value is other.ref


async def test_a_decoded_reference_is_one_thing() -> None:
    """The same object for the same actor as long as anybody holds it, whichever way it came."""
    async with nodes("a", "b", "c") as (a, b, c):
        other, third = await player(b), await player(c)
        first, second = await seen(a, other), await seen(a, other)
        assert first is second
        by_c = await seen(a, third)
        there = await seen(c, other)
        assert await by_c.ask(play(lambda _: there)) is first
        assert first.address == other.ref.address
        assert first.path == f"b:{other.ref.path}"
        assert repr(first) == f"Ref(b:{other.ref.path})"
        assert {first: 1}[second] == 1


async def test_a_reference_in_a_typed_field_and_as_a_reply() -> None:
    """``Ref[M]`` annotations travel as ``Any`` does."""
    async with nodes("a", "b") as (a, b):
        one = await player(a)
        far: ak.Ref[Any] = await seen(a, await b.spawn(ak.props(Host), name="host"))
        assert await far.ask(WhoIs()) is far
        far.tell(Introduce(one.ref))
        assert await far.ask(WhoIs()) is one.ref


async def test_a_third_nodes_reference_is_used_directly() -> None:
    """When b hands a the reference of an actor of c: a talks to c without b, which may be gone."""
    async with nodes("a", "b", "c") as (a, b, c):
        middle, third = await player(b), await player(c)
        to_middle, to_third = await seen(a, middle), await seen(b, third)
        far = await to_middle.ask(play(lambda _: to_third))
        assert far.address == third.ref.address
        await a.disconnect("b")
        assert await far.ask(Ping()) == third.ref.path


async def test_a_reference_of_an_unknown_node_can_be_held_and_passed_on() -> None:
    """A node that is not connected to the owner can still hand its reference on, and name it."""
    async with nodes("a", "b", mesh=False) as (a, b), checked_node("c", mesh=False) as c:
        await b.connect(c.address)
        middle, third = await player(b), await player(c)
        to_middle, to_third = await seen(a, middle), await seen(b, third)
        far = await to_middle.ask(play(lambda _: to_third))
        assert a.nodes() == ("b",)
        assert far.address == third.ref.address
        assert await to_middle.ask(Echo([far])) == [far]


async def test_a_reference_by_name_goes_to_whoever_holds_the_name_there() -> None:
    """It is resolved at each delivery, over there."""
    async with nodes("a", "b") as (a, b):
        far = a.remote("b").named(KEY)
        assert a.remote("b").named(KEY) is far
        with pytest.raises(ak.ActorDied) as caught:
            await far.ask(Ping())
        assert caught.value.reason == ak.NoActor()
        first = await player(b, name="counter")
        assert await far.ask(Ping()) == "/counter"
        first.ref.kill()
        second = await player(b, name="counter")
        far.tell(Note("second"))
        await far.ask(Ping())
        assert second.log == [Note("second")]
        assert first.log == []


async def test_a_reference_by_name_keeps_its_meaning_when_it_travels() -> None:
    """The name of b, sent by a to c, and back to b, is b's name; a's own named reference is a's name everywhere."""
    async with nodes("a", "b", "c") as (a, b, c):
        await player(b, name="counter")
        third = await seen(a, await player(c))
        named = a.remote("b").named(KEY)

        async def ask_it(_: ak.Context[Any]) -> str:
            return str(await held[0].ask(Ping()))

        held: list[ak.Ref[Any]] = []
        assert await third.ask(Echo(named)) is named
        third.tell(Note(named))
        away = await seen(c, await player(a))
        own = a.named(ak.Key[Any]("home"))
        await player(a, name="home")
        held.append(await away.ask(play(lambda _: own)))
        assert await third.ask(play(ask_it)) == "/home"
        held[0] = c.remote("b").named(KEY)
        assert await third.ask(play(ask_it)) == "/counter"


async def test_a_name_of_ones_own_node_is_local() -> None:
    """``node.remote`` of one's own name gives what the node itself has."""
    async with nodes("a") as (a,):
        await player(a, name="counter")
        assert await a.remote("a").named(KEY).ask(Ping()) == "/counter"


CHILD = ak.Child("worker", ak.props(Player, []), restart="permanent")


async def test_the_lasting_reference_of_a_supervised_child_lasts_on_other_nodes() -> None:
    """It reaches the next incarnation; a reference to one incarnation does not."""
    async with nodes("a", "b") as (a, b):
        supervisor = await b.start(ak.supervise(CHILD, strategy="one_for_one"))
        lasting = supervisor.child(CHILD)
        carrier = await seen(a, await player(b))
        far = await carrier.ask(play(lambda _: lasting))
        one = await carrier.ask(play(lambda _: lasting))
        assert one is far
        before = lasting.address
        assert await far.ask(Ping()) == lasting.path
        lasting.kill()
        await until(lambda: lasting.alive and lasting.address != before)
        assert await far.ask(Ping()) == lasting.path
        assert await carrier.ask(Echo(far)) is far
        assert await far.ask(play(lambda _: lasting)) is far


async def test_mail_to_a_lasting_reference_waits_for_the_next_incarnation() -> None:
    """What arrives from another node while the child restarts is kept, in order."""
    async with nodes("a", "b") as (a, b):
        held: list[Any] = []

        async def slowly(ctx: ak.Context[Any]) -> None:
            if held:
                held[1].set()
                await held[0].wait()
            else:
                held.extend((trio.Event(), trio.Event()))

        child = ak.Child("late", spawned("late", slowly), restart="permanent")
        supervisor = await b.start(ak.supervise(child))
        lasting = supervisor.child(child)
        carrier = await seen(a, await player(b))
        far = await carrier.ask(play(lambda _: lasting))
        lasting.kill()
        await held[1].wait()
        for n in range(5):
            far.tell(Note(n))
        await quiet()
        assert LOGS["late"] == []
        held[0].set()
        assert await far.ask(Ping()) == lasting.path
        assert LOGS["late"] == [Note(n) for n in range(5)]


# Incarnations of nodes -----------------------------------------------------------------------------------------------


async def test_an_old_reference_never_reaches_a_stranger() -> None:
    """A node that has been restarted under its old name: whoever has the number now is not who was meant."""
    async with nodes("a") as (a,):
        async with checked_node("b", listen="127.0.0.1:0") as b:
            await b.connect(a.address)
            old = await player(b)
            far = await seen(a, old)
            address, number = b.address, far.address.serial
            assert await far.ask(Ping())
        await until(lambda: not a.nodes())
        async with checked_node("b", listen=address) as b:
            strangers = [await player(b) for _ in range(number)]
            assert any(s.ref.address.serial == number for s in strangers)
            watcher = await player(a, trap=True)
            # Before anybody knows of the new incarnation.
            far.tell(Note("for the old one"))
            with pytest.raises((ak.ActorDied, ak.NodeDown)) as caught:
                await far.ask(Ping())
            assert not isinstance(caught.value, ak.ActorDied) or caught.value.reason == ak.NoActor()
            await b.connect(a.address)
            assert not far.alive
            with pytest.raises(ak.ActorDied) as died:
                await far.ask(Ping())
            assert died.value.reason == ak.NoActor()
            with pytest.raises(ak.ActorDied):
                await far.send(Note("sent"))
            monitor = await watcher.do(lambda ctx: ctx.watch(far))
            await watcher.do(lambda ctx: ctx.link(far))
            await quiet()
            assert [(d.monitor, d.reason) for d in watcher.downs] == [(monitor, ak.NoActor())]
            assert [e.reason for e in watcher.exits] == [ak.NoActor()]
            assert await far.wait_stopped() == ak.NoActor()
            assert [s.log for s in strangers] == [[]] * number
            assert Note("for the old one") in lost(a)
            fresh = await seen(a, strangers[0])
            assert fresh is not far
            assert await fresh.ask(Ping())


async def test_an_old_reference_that_comes_home_is_nobody() -> None:
    """The restarted node itself gets back a reference it gave out in its former life: ``NoActor``, no stranger."""
    async with nodes("a") as (a,):
        keeper = await player(a)
        async with checked_node("b") as b:
            await b.connect(a.address)
            far = await seen(a, await player(b))
            address = b.address
        async with checked_node("b", listen=address) as b:
            strangers = [await player(b) for _ in range(far.address.serial)]
            await b.connect(a.address)
            back = await (await seen(b, keeper)).ask(play(lambda _: far))
            assert not back.alive
            back.tell(Note("boo"))
            with pytest.raises(ak.ActorDied) as caught:
                await back.ask(Ping())
            assert caught.value.reason == ak.NoActor()
            assert all(s.log == [] for s in strangers)


async def test_references_nobody_holds_are_forgotten() -> None:
    """What stands here for others' actors goes when its last holder does."""
    async with nodes("a", "b") as (a, b):
        far = await seen(a, await player(b))
        for _ in range(200):
            other = await player(b)
            assert (await seen(a, other)).path == f"b:{other.ref.path}"
            other.ref.kill()
        gc.collect()
        assert len(a.fabric.peer("b")._cells) < 10  # noqa: SLF001 - what is counted is memory
        assert await far.ask(Ping())


async def test_systems_apart_have_no_references_in_common() -> None:
    """An actor of another system in the same program cannot be sent to a node."""
    async with nodes("a", "b") as (a, b), ak.open_system("apart", logs=False) as apart:
        far, stranger = await seen(a, await player(b)), await player(apart)
        with pytest.raises(ak.Unencodable, match="belongs to another system"):
            far.tell(Note(stranger.ref))
