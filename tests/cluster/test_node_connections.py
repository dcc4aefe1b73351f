"""Nodes that come and go: who is told of it, when, how often, and what is different afterwards."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio

import actorkit as ak
from tests.cluster.two_nodes import (
    Act,
    Echo,
    Note,
    Ping,
    checked_node,
    nodes,
    play,
    player,
    quiet,
    seen,
    until,
    until_down,
    watching,
    wire_to,
)
from tests.harness import Strings, end, lost

Notice = ak.NodeUp | ak.NodeLost
BYE = ak.Failed("bye")


def changes(actor: Strings) -> list[tuple[str, str]]:
    """The notices of nodes an actor has got, in short."""
    notices = [n for n in actor.log if isinstance(n, (ak.NodeUp, ak.NodeLost))]
    return [(n.node, "up" if isinstance(n, ak.NodeUp) else n.reason.name) for n in notices]


async def listener(node: ak.Node, times: int = 1) -> Strings:
    """An actor that hears of nodes."""
    actor = await player(node)
    for _ in range(times):
        await actor.do(lambda ctx: ctx.monitor_nodes())
    return actor


# Notices -------------------------------------------------------------------------------------------------------------


async def test_nodes_that_come_and_go_are_told() -> None:
    """On both sides, with incarnation and reason: who disconnected knows that it did."""
    async with nodes("a") as (a,):
        here = await listener(a)
        async with checked_node("b") as b:
            there = await listener(b)
            await b.connect(a.address)
            await until(lambda: here.log and there.log)
            assert here.log == [ak.NodeUp("b", b.incarnation)]
            assert there.log == [ak.NodeUp("a", a.incarnation)]
            await a.disconnect("b")
            await until(lambda: len(here.log) == len(there.log) == 2)
            assert here.log[1] == ak.NodeLost("b", b.incarnation, ak.LostReason.DISCONNECT)
            assert there.log[1] == ak.NodeLost("a", a.incarnation, ak.LostReason.CLOSED)
            await b.connect("a")
            await until(lambda: len(here.log) == 3)
        await until(lambda: len(here.log) == 4)
        assert here.log[3] == ak.NodeLost("b", b.incarnation, ak.LostReason.CLOSED)


async def test_each_subscription_counts() -> None:
    """Subscribing n times gives n notices of each change; one removal takes one away; what was there before is not told."""
    async with nodes("a", "b") as (a, _):
        twice, thrice = await listener(a, 2), await listener(a, 3)
        assert await thrice.do(lambda ctx: ctx.demonitor_nodes()) is True
        assert await twice.do(lambda ctx: [ctx.demonitor_nodes() for _ in range(3)]) == [
            True, True, False,
        ]  # fmt: skip
        assert twice.log == thrice.log == []
        await a.disconnect("b")
        await a.connect("b")
        await quiet()
        assert twice.log == []
        assert changes(thrice) == [("b", "DISCONNECT")] * 2 + [("b", "up")] * 2
        thrice.ref.kill()
        await a.disconnect("b")
        await quiet()


async def test_nodes_reflects_a_notice_before_it_is_told() -> None:
    """What ``node.nodes()`` says in the hook agrees with the notice; however fast nodes come and go, both are told in turn."""
    async with nodes("a", "b") as (a, _):
        told: list[tuple[Notice, tuple[str, ...]]] = []
        props = ak.props(Observer, told)
        await a.spawn(props)
        for _ in range(3):
            await a.disconnect("b")
            await quiet()
            await a.connect("b")
            await quiet()
        assert [bool(names) for _, names in told] == [False, True] * 3
        for _ in range(5):
            await a.disconnect("b")
            await a.connect("b")
        await quiet()
        assert [isinstance(notice, ak.NodeUp) for notice, _ in told] == [False, True] * 8


class Observer(ak.Actor[Note]):
    """Notes who is up whenever it hears of a change."""

    def __init__(self, told: list[tuple[Notice, tuple[str, ...]]]) -> None:
        self.told = told

    def started(self) -> None:
        self.ctx.monitor_nodes()

    @ak.on(Note)
    def note(self, _: Note) -> None: ...

    def node_changed(self, notice: Notice) -> None:
        self.told.append((notice, ak.Node.of(self.ctx).nodes()))


def linking(ref: ak.Ref[Any]) -> Act:
    """A part: be linked to an actor."""
    return lambda ctx: ctx.link(ref)


async def test_node_up_comes_before_all_it_says_and_lost_after() -> None:
    """``NodeUp``, messages, ``Down`` and ``Exit``, ``NodeLost``: in that order, every time."""
    async with nodes("a", "b") as (a, b):
        here = await player(a, trap=True)
        await here.do(lambda ctx: ctx.monitor_nodes())
        other = await player(b)
        back, far = await seen(b, here), await seen(a, other)
        for _ in range(3):
            await b.disconnect("a")
            await until_down(a, "b")
            await quiet()
            here.log.clear()
            back.tell(Note("first"))  # dials
            await until(lambda: len(here.log) == 2)
            await here.do(watching(far))
            await here.do(linking(far))
            await quiet()
            back.tell(Note("last"))
            await quiet()
            await b.disconnect("a")
            await until(lambda: len(here.log) == 6)
            kinds = [type(item) for item in here.log]
            assert kinds[:3] == [ak.NodeUp, Note, Note]
            assert set(kinds[3:5]) == {ak.Down, ak.Exit}
            assert kinds[5] is ak.NodeLost
            await b.connect("a")  # a itself takes its time, for the connection broke soon
            other = await player(b)
            far = await seen(a, other)


async def test_what_a_node_said_before_it_went_arrives_before_its_loss() -> None:
    """A node that closes in good order says all it has to say."""
    async with nodes("a") as (a,):
        here = await listener(a)
        async with checked_node("b") as b:
            await b.connect(a.address)
            back = await seen(b, here)
            for n in range(500):
                back.tell(Note(n))
        await until(lambda: len(here.log) == 502)
        assert isinstance(here.log[0], ak.NodeUp)
        assert [n.value for n in here.got(Note)] == list(range(500))
        assert here.log[-1] == ak.NodeLost("b", b.incarnation, ak.LostReason.CLOSED)


async def test_a_node_that_was_looked_for_in_vain_is_lost() -> None:
    """Monitoring an unreachable node: whoever sends to it hears that it is not there, with incarnation 0 and why."""
    async with nodes("a") as (a,):
        here = await listener(a)
        a.learn("b", "127.0.0.1:1")
        with pytest.raises(ak.NodeDown):
            await a.remote("b").whereis(ak.Key[Any]("x"))
        await quiet()
        assert here.log in ([], [ak.NodeLost("b", 0, ak.LostReason.UNREACHABLE)])


# Coming back ---------------------------------------------------------------------------------------------------------


async def test_the_same_reference_works_again_after_a_break() -> None:
    """Of the same incarnation; old monitors and links are gone for good, new ones hold."""
    async with nodes("a", "b") as (a, b):
        watcher, other = await player(a), await player(b)
        far = await seen(a, other)
        await watcher.do(lambda ctx: ctx.watch(far))
        for n in range(3):
            await (a if n % 2 else b).disconnect("b" if n % 2 else "a")
            await until(lambda: a.nodes() == b.nodes() == ())
            assert await far.ask(Echo(n)) == n
            assert (await seen(a, other)) is far
        assert len(watcher.downs) == 1
        monitor = await watcher.do(lambda ctx: ctx.watch(far))
        await quiet()
        await end(other, BYE)
        await until(lambda: len(watcher.downs) == 2)
        assert (watcher.downs[1].monitor, watcher.downs[1].reason) == (monitor, BYE)


async def test_a_cut_wire_is_noticed_at_once_and_dialled_again() -> None:
    """By both sides; the next message makes a new connection."""
    async with nodes("a") as (a,), checked_node("b") as b, wire_to(b) as wire:
        assert await a.connect(wire.address) == "b"
        here, there = await listener(a), await listener(b)
        far = await seen(a, await player(b))
        wire.cut()
        await until(lambda: here.log and there.log)
        assert changes(here) == [("b", "CLOSED")]
        assert changes(there) == [("a", "CLOSED")]
        assert await far.ask(Echo(1)) == 1


async def test_a_new_incarnation_replaces_the_old() -> None:
    """``NodeLost`` of the old one before ``NodeUp`` of the new, and everything of the old one is over."""
    async with nodes("a") as (a,):
        here = await player(a, trap=True)
        await here.do(lambda ctx: ctx.monitor_nodes())
        async with checked_node("b") as old, wire_to(old) as wire:
            await a.connect(wire.address)
            far = await seen(a, await player(old))
            await here.do(lambda ctx: ctx.watch(far))
            wire.hold()  # the old one is there, but nothing of it is heard any more
            async with checked_node("b") as new:
                await new.connect(a.address)
                await until(lambda: len(here.log) >= 4)
                await quiet()
                up, down, gone, again = here.log
                assert up == ak.NodeUp("b", old.incarnation)
                assert isinstance(down, ak.Down)
                assert down.reason == ak.NoConnection()
                assert gone == ak.NodeLost("b", old.incarnation, ak.LostReason.REPLACED)
                assert again == ak.NodeUp("b", new.incarnation)
                assert not far.alive
                with pytest.raises(ak.ActorDied):
                    await far.ask(Ping())
                assert await (await seen(a, await player(new))).ask(Echo(2)) == 2
                wire.cut()


async def test_a_node_does_not_connect_to_itself() -> None:
    """By name and by address it is itself, and no other."""
    async with nodes("a") as (a,):
        assert await a.connect("a") == "a"
        assert await a.connect(a.address) == "a"
        assert a.nodes() == ()


async def test_a_dial_that_fails_says_why() -> None:
    """Nobody listens; somebody else answers; the secret is another one."""
    async with nodes("a") as (a,), checked_node("b", secret=b"x" * 32) as b:
        with pytest.raises(ak.ConnectFailed, match=r"127\.0\.0\.1:1"):
            await a.connect("127.0.0.1:1")
        with pytest.raises(ak.ConnectFailed):
            await a.connect(b.address)
        with pytest.raises(ak.ConnectFailed):
            await a.connect("nobody-knows")
        with pytest.raises(ValueError, match="address"):
            await a.connect("not an address")
        async with checked_node("c") as c:
            a.learn("d", c.address)
            with pytest.raises(ak.ConnectFailed):
                await a.connect("d")


async def test_both_dial_at_once_and_one_connection_results() -> None:
    """Whatever the order: what is sent meanwhile by both arrives, in order, and nobody is lost again."""
    for _ in range(5):
        async with nodes("a") as (a,), checked_node("b") as b:
            here, there = await listener(a), await listener(b)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(a.connect, b.address)
                nursery.start_soon(b.connect, a.address)
            await quiet()
            assert a.nodes() == ("b",)
            assert b.nodes() == ("a",)
            assert len(a.fabric.links) == len(b.fabric.links) == 1
            assert changes(here) == [("b", "up")]
            assert changes(there) == [("a", "up")]
            far = await seen(a, there)
            assert await far.ask(Ping()) == there.ref.path


def meet(*those: ak.Node) -> bool:
    """Whether all of these are connected to all others of them."""
    return all(len(node.nodes()) == len(those) - 1 for node in those)


async def test_three_nodes_find_each_other() -> None:
    """Who joins one is told of the others; without a mesh nobody is."""
    for mesh, expected in ((True, ("b", "c")), (False, ("b",))):
        async with (
            checked_node("b", mesh=mesh) as b,
            checked_node("a", mesh=mesh) as a,
            checked_node("c", mesh=mesh) as c,
        ):
            await a.connect(b.address)
            await c.connect(b.address)
            await quiet()
            if mesh:
                await until(partial(meet, a, b, c))
            assert a.nodes() == expected


async def test_a_hidden_node_is_not_listed() -> None:
    """It can be talked to, and talks, but is told of to nobody."""
    async with nodes("a", "b") as (a, b), checked_node("h", hidden=True) as h:
        await h.connect(a.address)
        await quiet()
        assert a.nodes() == ("b",)
        assert b.nodes() == ("a",)
        there = await player(h)
        assert await (await seen(a, there)).ask(Ping()) == there.ref.path
        assert await (await seen(h, await player(a))).ask(Echo(1)) == 1


async def test_join_keeps_looking() -> None:
    """A node that is not there yet is found when it comes, and again when it comes back."""
    async with checked_node("b") as b:
        address = b.address
    async with checked_node("a", join=[address]) as a, trio.open_nursery() as nursery:
        for _ in range(2):
            async with checked_node("b", listen=address) as b:
                with trio.fail_after(20):
                    await until(partial(meet, a, b))
            await until_down(a, "b")
        nursery.cancel_scope.cancel()


# Modes ---------------------------------------------------------------------------------------------------------------


async def test_a_break_in_mode_once_is_for_good_until_somebody_says_so() -> None:
    """``connect="once"``: the first send dials; after a break only an explicit connect, or the peer, restores traffic."""
    async with nodes("a", connect="once") as (a,), checked_node("b") as b:
        a.learn("b", b.address)
        other = await player(b, name="other")
        far = a.remote("b").named(ak.Key[Any]("other"))
        assert await far.ask(Ping()) == "/other"
        await b.disconnect("a")
        await until_down(a, "b")
        with pytest.raises(ak.NodeDown):
            await far.ask(Ping())
        await a.connect("b")
        assert await far.ask(Ping()) == "/other"
        await b.disconnect("a")
        await until_down(a, "b")
        await b.connect(a.address)
        await until(a.nodes)
        assert await far.ask(Ping()) == "/other"
        assert other.ref.alive


async def test_mode_never_waits_to_be_told() -> None:
    """``connect="never"``: a send is a dead letter, an explicit connect does."""
    async with nodes("a", connect="never") as (a,), checked_node("b") as b:
        a.learn("b", b.address)
        await player(b, name="other")
        far = a.remote("b").named(ak.Key[Any]("other"))
        with pytest.raises(ak.NodeDown):
            await far.ask(Ping())
        far.tell(Note(1))
        assert Note(1) in lost(a, ak.DeadReason.NO_CONNECTION)
        await a.connect("b")
        assert await far.ask(Ping()) == "/other"


# Its end -------------------------------------------------------------------------------------------------------------


async def test_a_node_that_ends_tells_of_its_actors_first() -> None:
    """Those who watch hear why each actor ended, not that the connection was lost."""
    async with nodes("a") as (a,):
        watcher = await player(a)
        async with checked_node("b") as b:
            await b.connect(a.address)
            far = await seen(a, await player(b))
            await watcher.do(lambda ctx: ctx.watch(far))
            await quiet()
        await until(lambda: watcher.downs)
        assert [d.reason for d in watcher.downs] == [ak.Shutdown()]


async def for_ever(_: ak.Context[Any]) -> None:
    """Never answer."""
    await trio.sleep_forever()


async def test_asks_in_flight_when_a_node_ends_are_over() -> None:
    """``ActorDied`` or ``NodeDown``, soon, never a time-out."""
    async with nodes("a") as (a,):
        ends: list[ak.AskError] = []

        async def ask(far: ak.Ref[Any]) -> None:
            with pytest.raises(ak.AskError) as caught:
                await far.ask(play(for_ever), timeout=None)
            ends.append(caught.value)

        async with trio.open_nursery() as nursery, checked_node("b") as b:
            await b.connect(a.address)
            nursery.start_soon(ask, await seen(a, await player(b)))
            await quiet()
        assert isinstance(ends[0], (ak.ActorDied, ak.NodeDown))
