"""Ends that one node orders for actors of another: in their turn, in good order, by force, and not without leave."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import actorkit as ak
from tests.cluster.two_nodes import (
    Note,
    nodes,
    play,
    player,
    quiet,
    seen,
    spawned,
    stopping,
    until,
)
from tests.harness import Ended, Strings, end

KEY = ak.Key[Any]("shop")
BYE = ak.Failed("bye")


async def link(one: Strings, far: ak.Ref[Any]) -> None:
    """Let an actor be linked to one of another node, and wait until that is known there."""
    await one.do(lambda ctx: ctx.link(far))
    await quiet()


# Ends that are ordered -----------------------------------------------------------------------------------------------


async def test_stop_ends_an_actor_over_there_in_its_turn() -> None:
    """After all that was sent before; its reason comes back."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        for n in range(10):
            far.tell(Note(n))
        await far.stop(ak.Shutdown("enough"))
        assert not other.ref.alive
        assert other.log == [*map(Note, range(10)), Ended(ak.Shutdown("enough"))]
        with pytest.raises(ak.ActorDied) as caught:
            await far.stop()
        assert caught.value.reason == ak.NoActor()


async def test_stop_tells_of_another_end() -> None:
    """The actor crashes before it gets to the order."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        go_on = trio.Event()

        async def wait_and_crash(_: ak.Context[Any]) -> None:
            await go_on.wait()
            raise ZeroDivisionError

        far.tell(play(wait_and_crash))

        async with trio.open_nursery() as nursery:

            async def stop() -> None:
                with pytest.raises(ak.ActorDied) as caught:
                    await far.stop()
                assert isinstance(caught.value.reason, ak.Crashed)

            nursery.start_soon(stop)
            await quiet()
            go_on.set()


async def test_wait_stopped_tells_the_reason_to_all_who_wait() -> None:
    """Any number of tasks, one of which gives up; and an actor."""
    async with nodes("a", "b") as (a, b):
        one, other = await player(a), await player(b)
        far = await seen(a, other)
        got: list[ak.ExitReason] = []

        async def wait(_: Any = None) -> None:
            got.append(await far.wait_stopped())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)
            one.cue(wait)
            with trio.move_on_after(0.01):
                await wait()
            await end(other, BYE)
        await until(lambda: len(got) == 3)
        assert got == [BYE] * 3
        assert await far.wait_stopped() == ak.NoActor()


async def test_wait_stopped_over_a_lost_connection() -> None:
    """``NoConnection``: whether it ended is unknown."""
    async with nodes("a", "b") as (a, b):
        far = await seen(a, await player(b))
        async with trio.open_nursery() as nursery:
            got: list[ak.ExitReason] = []

            async def wait() -> None:
                got.append(await far.wait_stopped())

            nursery.start_soon(wait)
            await quiet()
            await a.disconnect("b")
        assert got == [ak.NoConnection()]


async def test_a_stop_that_cannot_be_sent_is_told() -> None:
    """``Ref.stop`` of an actor whose node is out of reach ends, with ``NoConnection``."""
    async with nodes("a") as (a,):
        far = a.remote("gone").named(KEY)
        with pytest.raises(ak.ActorDied) as caught:
            await far.stop()
        assert caught.value.reason == ak.NoConnection()


async def test_kill_ends_an_actor_over_there() -> None:
    """No hook runs."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        far.kill()
        assert await other.ref.wait_stopped() == ak.Killed()
        assert other.log == []
        assert await far.wait_stopped() == ak.NoActor()


async def test_stop_child_ends_an_actor_over_there() -> None:
    """In good order, or by force after the limit, or at once; who ordered it hears nothing over the link."""
    async with nodes("a", "b") as (a, b):
        one = await player(a)

        for limit, kill, busy, reason in (
            (5.0, False, False, ak.Shutdown()),
            (0.02, False, True, ak.Killed()),
            (None, True, False, ak.Killed()),
        ):
            other = await player(b)
            far = await seen(a, other)
            await link(one, far)
            if busy:
                await stubborn(other)
            options: dict[str, Any] = {"limit": limit, "kill": kill}
            assert await one.do(stopping(far, **options)) == reason
            assert not other.ref.alive
        await quiet()
        assert one.ref.alive
        assert one.log == []


PATIENCE = 0.5  # seconds an actor holds out


async def test_an_ordered_end_is_told_after_everything_the_dead_has_sent() -> None:
    """Its last words wait in the mailbox when ``stop_child`` returns, large ones too."""
    async with nodes("a", "b") as (a, b):
        one, other = await player(a), await player(b)
        far, back = await seen(a, other), await seen(b, one)
        began = trio.Event()

        async def talk_at_the_end(ctx: ak.Context[Any]) -> None:
            began.set()
            try:
                await ctx.sleep(60.0)
            finally:
                back.tell(Note(bytes(4 << 20)))
                back.tell(Note("last"))

        other.cue(talk_at_the_end)
        await began.wait()

        async def stop(ctx: ak.Context[Any]) -> int:
            await ctx.stop_child(far, limit=None)
            return next(row.waiting for row in a.tree() if row.path == ctx.path)

        assert await one.do(stop) == 2
        await quiet()
        assert len(one.log) == 2


async def stubborn(actor: Strings) -> None:
    """Have an actor be in the midst of something it does not let be broken off in good order."""
    began = trio.Event()

    async def hold_out(_: ak.Context[Any]) -> None:
        began.set()
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(PATIENCE)

    actor.cue(hold_out)
    await began.wait()


async def test_without_the_grant_nothing_is_ended() -> None:
    """``stop``, ``kill`` and ``stop_child`` without ``control``: refused, and told those who can be told."""
    async with nodes("a", "b", grants=("spawn",)) as (a, b):
        one, other = await player(a), await player(b)
        far = await seen(a, other)
        refused: list[str] = []
        b.events.subscribe(lambda event: refused.append(str(event)))
        with pytest.raises(ak.NotGranted) as caught:
            await far.stop()
        assert (caught.value.node, caught.value.grant) == ("b", "control")
        far.kill()

        async def stop(ctx: ak.Context[Any]) -> str:
            try:
                await ctx.stop_child(far, limit=None)
            except ak.NotGranted as error:
                return error.grant
            return "stopped"

        assert await one.do(stop) == "control"
        with pytest.raises(ak.NotGranted):
            await a.remote("b").kill(other.ref.path)
        with pytest.raises(ak.NotGranted):
            await a.remote("b").stop_node()
        await quiet()
        assert other.ref.alive
        assert len([text for text in refused if "PeerRefused" in text]) == 5


async def test_ones_own_remote_child_may_be_ended_without_the_grant() -> None:
    """Whoever has spawned an actor may stop it, and kill it."""
    async with nodes("a", "b", grants=("spawn",)) as (a, _b):
        one = await player(a)
        for kill in (False, True):
            child = await one.do(lambda ctx: ctx.spawn(spawned("child"), node="b", link=False))
            reason = await one.do(stopping(child, limit=None, kill=kill))
            assert reason == (ak.Killed() if kill else ak.Shutdown())
        child = await one.do(lambda ctx: ctx.spawn(spawned("child"), node="b", link=False))
        child.kill()
        assert await child.wait_stopped() in (ak.Killed(), ak.NoActor())
