"""Links, monitors and ends between nodes: every death is announced once, with its reason, after all the dead has sent."""

from __future__ import annotations

from typing import Any

import pytest

import actorkit as ak
from tests.cluster.two_nodes import (
    Act,
    Note,
    Ping,
    nodes,
    play,
    player,
    quiet,
    seen,
    spawned,
    until,
    until_down,
)
from tests.harness import Strings, end, reasons

KEY = ak.Key[Any]("shop")
BYE = ak.Failed("bye")


async def watch(watcher: Strings, far: ak.Ref[Any]) -> ak.Monitor:
    """Let an actor watch one of another node, and wait until that is known there."""
    monitor: ak.Monitor = await watcher.do(lambda ctx: ctx.watch(far))
    await quiet()
    return monitor


async def link(one: Strings, far: ak.Ref[Any]) -> None:
    """Let an actor be linked to one of another node, and wait until that is known there."""
    await one.do(lambda ctx: ctx.link(far))
    await quiet()


def crash(_: ak.Context[Any]) -> None:
    """Crash."""
    raise ZeroDivisionError("oops")


# Monitors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [ak.Normal(), ak.Shutdown("x"), BYE, ak.Killed()], ids=str)
async def test_a_watched_actors_end_is_told_once(reason: ak.ExitReason) -> None:
    """With monitor, reference, address and reason, as on one node."""
    async with nodes("a", "b") as (a, b):
        watcher, other = await player(a), await player(b)
        far = await seen(a, other)
        monitor = await watch(watcher, far)
        if isinstance(reason, ak.Killed):
            other.ref.kill()
        else:
            await end(other, reason)
        await quiet()
        assert watcher.log == [ak.Down(monitor, far, other.ref.address, reason)]
        assert watcher.downs[0].ref is far
        assert await watcher.do(lambda ctx: ctx.unwatch(monitor)) is False


async def test_a_crash_is_told_with_its_traceback() -> None:
    """As text: nothing of the exception itself travels."""
    async with nodes("a", "b") as (a, b):
        watcher, other = await player(a), await player(b)
        await watch(watcher, await seen(a, other))
        other.cue(crash)
        await until(lambda: watcher.downs)
        reason = watcher.downs[0].reason
        assert isinstance(reason, ak.Crashed)
        assert (reason.error, reason.message, reason.cause) == ("ZeroDivisionError", "oops", None)
        assert "in crash" in reason.traceback


async def test_down_comes_after_everything_the_dead_has_sent() -> None:
    """Messages and replies first, and no reply is lost."""
    async with nodes("a", "b") as (a, b):
        watcher, other = await player(a), await player(b)
        far, back = await seen(a, other), await seen(b, watcher)
        await watch(watcher, far)

        def last_words(ctx: ak.Context[Any]) -> None:
            for n in range(100):
                back.tell(Note(n))
            back.tell(Note(bytes(200_000)))
            back.tell(Note("last"))
            ctx.stop(BYE)

        await far.ask(play(last_words))
        await until(lambda: watcher.downs)
        assert len(watcher.log) == 103
        assert watcher.log[-2] == Note("last")
        assert isinstance(watcher.log[-1], ak.Down)


async def test_each_watch_counts() -> None:
    """Two monitors, two notices; one that was removed gives none, by whatever road its notice came."""
    async with nodes("a", "b") as (a, b):
        watcher, other = await player(a), await player(b)
        far = await seen(a, other)
        first, second, third = [await watch(watcher, far) for _ in range(3)]
        assert await watcher.do(lambda ctx: ctx.unwatch(second)) is True
        assert await watcher.do(lambda ctx: ctx.unwatch(second)) is False
        await end(other, BYE)
        await quiet()
        assert sorted(down.monitor.serial for down in watcher.downs) == [first.serial, third.serial]


async def test_unwatch_silences_a_notice_that_is_under_way() -> None:
    """The actor has died over there when the monitor is removed here: nothing arrives."""
    async with nodes("a", "b") as (a, b):
        watcher, other = await player(a), await player(b)
        monitor = await watch(watcher, await seen(a, other))

        def play_on(ctx: ak.Context[Any]) -> bool:
            other.ref.kill()  # from here on the notice travels
            return ctx.unwatch(monitor)

        assert await watcher.do(play_on) is True
        await quiet()
        assert watcher.log == []
        assert b.status((await player(b)).ref).monitored_by == ()


async def test_watching_the_dead_gives_no_actor_at_once() -> None:
    """By reference with the address, by name with the name."""
    async with nodes("a", "b") as (a, b):
        watcher, other = await player(a), await player(b)
        far = await seen(a, other)
        other.ref.kill()
        monitor = await watch(watcher, far)
        by_name = await watch(watcher, a.remote("b").named(KEY))
        await until(lambda: len(watcher.downs) == 2)
        one, two = watcher.downs
        assert (one.monitor, one.reason, one.name) == (monitor, ak.NoActor(), None)
        assert (two.monitor, two.reason, two.name) == (by_name, ak.NoActor(), "shop")


async def test_a_monitor_by_name_binds_to_the_holder() -> None:
    """A later holder of the name over there is not watched; the notice has name and address."""
    async with nodes("a", "b") as (a, b):
        watcher, first = await player(a), await player(b, name="shop")
        await watch(watcher, a.remote("b").named(KEY))
        await end(first, BYE)
        second = await player(b, name="shop")
        await end(second, BYE)
        await quiet()
        assert [(d.name, d.address, d.reason) for d in watcher.downs] == [
            ("shop", first.ref.address, BYE)
        ]


async def test_a_name_is_free_when_its_holders_death_is_told() -> None:
    """Whoever hears of the death may register the name over there."""
    async with nodes("a", "b") as (a, b):
        watcher, first = await player(a), await player(b, name="shop")
        await watch(watcher, a.remote("b").named(KEY))
        first.ref.kill()
        await until(lambda: watcher.downs)
        assert await a.remote("b").whereis(KEY) is None
        heir = await a.remote("b").spawn(spawned("next"), name=KEY)
        assert await a.remote("b").whereis(KEY) is heir


async def test_a_lost_connection_fires_every_monitor_once() -> None:
    """``NoConnection``, though the actor lives on; when it dies later, nothing more is said."""
    async with nodes("a", "b") as (a, b):
        watcher, other = await player(a), await player(b, name="shop")
        far = await seen(a, other)
        monitor = await watch(watcher, far)
        by_name = await watch(watcher, a.remote("b").named(KEY))
        await b.disconnect("a")
        await until(lambda: len(watcher.downs) == 2)
        assert {d.monitor for d in watcher.downs} == {monitor, by_name}
        assert reasons(watcher.downs) == [ak.NoConnection()] * 2
        assert other.ref.alive
        assert await far.ask(Ping()) == "/shop"
        await end(other, BYE)
        await quiet()
        assert len(watcher.downs) == 2
        assert await watcher.do(lambda ctx: ctx.unwatch(monitor)) is False


async def test_watching_over_a_node_that_cannot_be_reached() -> None:
    """``NoConnection`` instead of silence, and an unwatch meanwhile silences it."""
    async with nodes("a") as (a,):
        watcher = await player(a)
        far = a.remote("gone").named(KEY)
        monitor = await watch(watcher, far)
        await until(lambda: watcher.downs)
        assert [(d.monitor, d.name, d.reason) for d in watcher.downs] == [
            (monitor, "shop", ak.NoConnection())
        ]

        def change_of_mind(ctx: ak.Context[Any]) -> None:
            ctx.unwatch(ctx.watch(far))

        await watcher.do(change_of_mind)
        await quiet()
        assert len(watcher.downs) == 1


async def test_a_watch_that_waits_for_a_connection_is_carried_out_over_it() -> None:
    """And an unwatch after it, in that order."""
    async with nodes("a", "b") as (a, b):
        watcher, other = await player(a), await player(b)
        far = await seen(a, other)
        await a.disconnect("b")
        await until_down(b, "a")

        def both(ctx: ak.Context[Any]) -> ak.Monitor:
            ctx.unwatch(ctx.watch(far))
            return ctx.watch(far)

        monitor = await watcher.do(both)
        await until(a.nodes)
        await quiet()
        assert (
            b.status(other.ref).monitored_by == (f"a:{watcher.ref.path}",)
            or len(b.status(other.ref).monitored_by) == 1
        )
        await end(other, BYE)
        await until(lambda: watcher.downs)
        assert [(d.monitor, d.reason) for d in watcher.downs] == [(monitor, BYE)]


async def test_a_dead_watcher_leaves_nothing_behind_over_there() -> None:
    """Nor does one whose connection was lost."""
    async with nodes("a", "b") as (a, b):
        watcher, second, other = await player(a), await player(a), await player(b)
        far = await seen(a, other)
        await watch(watcher, far)
        await watch(second, far)
        assert len(b.status(other.ref).monitored_by) == 2
        watcher.ref.kill()
        await quiet()
        assert len(b.status(other.ref).monitored_by) == 1
        await a.disconnect("b")
        await until(lambda: b.status(other.ref).monitored_by == ())
        assert len(b.fabric.peer("a").monitors_in) == 0


# Links ---------------------------------------------------------------------------------------------------------------


async def test_a_linked_actors_failure_kills_across_nodes() -> None:
    """Both ways, with the reason; a good end of either leaves the other alone."""
    async with nodes("a", "b") as (a, b):
        for first_dies in (True, False):
            one, other = await player(a), await player(b)
            await link(one, await seen(a, other))
            dying, left = (one, other) if first_dies else (other, one)
            await end(dying, BYE)
            assert await left.ref.wait_stopped() == BYE
            one, other = await player(a), await player(b)
            await link(one, await seen(a, other))
            dying, left = (one, other) if first_dies else (other, one)
            await end(dying, ak.Normal())
            await quiet()
            assert left.ref.alive
            assert (a if first_dies else b).runtime.relations.linked is not None
            left.ref.kill()
        await quiet()
        assert len(a.runtime.relations) == len(b.runtime.relations) == 0


async def test_a_trapped_exit_comes_from_the_remote_actor_once() -> None:
    """With its reference, address and reason, after all it has sent."""
    async with nodes("a", "b") as (a, b):
        one, other = await player(a, trap=True), await player(b)
        far, back = await seen(a, other), await seen(b, one)
        await link(one, far)
        await link(one, far)

        def last_words(ctx: ak.Context[Any]) -> None:
            back.tell(Note("last"))
            ctx.stop(BYE)

        await far.ask(play(last_words))
        await quiet()
        assert one.log == [Note("last"), ak.Exit(far, other.ref.address, BYE, linked=True)]


def unlinking(ref: ak.Ref[Any]) -> Act:
    """A part: undo a link."""
    return lambda ctx: ctx.unlink(ref)


async def test_unlinking_works_from_either_side() -> None:
    """Whoever made the link; afterwards nobody hears of the other's end."""
    async with nodes("a", "b") as (a, b):
        for undone_by_maker in (True, False):
            one, other = await player(a, trap=True), await player(b, trap=True)
            far, back = await seen(a, other), await seen(b, one)
            await link(one, far)
            assert len(b.status(other.ref).links) == 1
            if undone_by_maker:
                await one.do(unlinking(far))
            else:
                await other.do(unlinking(back))
            await quiet()
            assert b.status(other.ref).links == a.status(one.ref).links == ()
            await end(other, BYE)
            await quiet()
            assert one.log == []
            assert other.got(ak.Exit) == []


async def test_linking_the_dead_gives_no_actor() -> None:
    """Told by an exit signal, for nobody can know at once: who traps it gets it, who does not dies of it."""
    async with nodes("a", "b") as (a, b):
        trapping, plain, other = await player(a, trap=True), await player(a), await player(b)
        far = await seen(a, other)
        other.ref.kill()
        await link(trapping, far)
        assert [(e.ref, e.reason, e.linked) for e in trapping.exits] == [(far, ak.NoActor(), True)]
        await link(plain, far)
        assert await plain.ref.wait_stopped() == ak.NoActor()
        assert a.status(trapping.ref).links == ()


async def test_a_lost_connection_fires_every_link_on_both_sides() -> None:
    """``NoConnection`` to those who trap, and death to those who do not."""
    async with nodes("a", "b") as (a, b):
        one, other = await player(a, trap=True), await player(b)
        far = await seen(a, other)
        await link(one, far)
        await a.disconnect("b")
        assert await other.ref.wait_stopped() == ak.NoConnection()
        await quiet()
        assert [(e.ref, e.reason) for e in one.exits] == [(far, ak.NoConnection())]


async def test_a_link_to_a_node_that_cannot_be_reached() -> None:
    """``NoConnection``."""
    async with nodes("a") as (a,):
        one, plain = await player(a, trap=True), await player(a)
        far = a.remote("gone").named(KEY)
        await link(one, far)
        assert reasons(one.exits) == [ak.NoConnection()]
        plain.cue(lambda ctx: ctx.link(far))
        assert await plain.ref.wait_stopped() == ak.NoConnection()


async def test_an_exit_signal_reaches_another_node() -> None:
    """``ctx.exit``: trapped as a message that is not of a link, or deadly; ``Normal`` is dropped; a killing one kills."""
    async with nodes("a", "b") as (a, b):
        one, trapping, plain = await player(a), await player(b, trap=True), await player(b)
        far, fragile, back = await seen(a, trapping), await seen(a, plain), await seen(b, one)
        await one.do(lambda ctx: ctx.exit(far, BYE))
        await one.do(lambda ctx: ctx.exit(fragile, ak.Normal()))
        await quiet()
        assert trapping.log == [ak.Exit(back, one.ref.address, BYE, linked=False)]
        assert plain.ref.alive
        await one.do(lambda ctx: ctx.exit(fragile, BYE))
        assert await plain.ref.wait_stopped() == BYE


async def test_a_link_dies_with_its_connection_for_good() -> None:
    """After a reconnection the same reference works again, and neither hears of the other's end."""
    async with nodes("a", "b") as (a, b):
        one, other = await player(a, trap=True), await player(b, trap=True)
        far = await seen(a, other)
        await link(one, far)
        await watch(one, far)
        await a.disconnect("b")
        await until(lambda: one.exits and one.downs and other.exits)
        assert await far.ask(Ping()) == other.ref.path
        assert b.status(other.ref).links == b.status(other.ref).monitored_by == ()
        await end(other, BYE)
        await quiet()
        assert len(one.exits) == len(one.downs) == 1
        assert one.ref.alive
