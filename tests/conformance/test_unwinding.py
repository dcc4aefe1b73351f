"""Semantics 1.PY: what OTP's exit signals become where code unwinds, awaits in ``finally`` and may refuse to end.

These are no cases of OTP's; Erlang has no ``finally`` that runs on ``exit``. The rules: a doomed actor's code runs on until
it next waits, its ``finally`` blocks run, whatever they await fails, and whatever it still sends is dropped and counted.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

import actorkit as ak
from tests.harness import (
    WAITS,
    Ended,
    Strings,
    Wait,
    lost,
    puppet,
    puppet_below,
    puppet_props,
    reasons,
    settle,
    watch,
)


@ak.message
class Note:
    """Something to be received."""

    text: str


WAITING = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)


async def _kill_from_outside(victim: Strings, killer: Strings) -> None:
    victim.ref.kill()


async def _kill_from_an_actor(victim: Strings, killer: Strings) -> None:
    await killer.do(lambda _: victim.ref.kill())


async def _kill_by_signal(victim: Strings, killer: Strings) -> None:
    await killer.do(lambda ctx: ctx.exit(victim.ref, ak.Killed()))


KILLS = pytest.mark.parametrize("kill", [_kill_from_outside, _kill_from_an_actor, _kill_by_signal])
Kill = Callable[[Strings, Strings], Awaitable[None]]


@KILLS
@WAITING
async def test_finally_runs_but_sends_nothing(system: ak.System, wait: Wait, kill: Kill) -> None:
    """A killed handler's ``finally`` runs; what it tells, asks or signals then reaches nobody."""
    victim, killer, peer = [await puppet(system) for _ in range(3)]
    log: list[str] = []

    async def work(ctx: ak.Context[Any]) -> None:
        try:
            await wait(ctx)
        finally:
            log.append("finally")
            peer.ref.tell(Note("told"))
            ctx.exit(peer.ref, ak.Failed("signalled"))
            peer.ref.kill()
            try:
                await peer.ref.ask(Note("asked"))  # type: ignore[arg-type]
            except ak.ActorDied:
                log.append("refused")
            await ctx.sleep(1)
            log.append("never")

    victim.cue(work)
    await settle()
    await kill(victim, killer)
    assert await victim.ref.wait_stopped() == ak.Killed()
    assert log == ["finally", "refused"]
    assert trio.current_time() == 0.0
    await settle()
    assert peer.log == []
    assert peer.ref.alive
    assert lost(system, ak.DeadReason.FENCED) == [Note("told"), Note("asked")]


@KILLS
@WAITING
async def test_finally_that_awaits_trio_is_cancelled(
    system: ak.System, wait: Wait, kill: Kill
) -> None:
    """A killed handler's ``finally`` may use trio as it likes: its waits are cancelled, its nurseries closed."""
    victim, killer = await puppet(system), await puppet(system)
    event = trio.Event()
    log: list[str] = []

    async def work(ctx: ak.Context[Any]) -> None:
        try:
            await wait(ctx)
        finally:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep_forever)
                    await event.wait()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.5)
                log.append("cleaned up")

    victim.cue(work)
    await settle()
    await kill(victim, killer)
    assert await victim.ref.wait_stopped() == ak.Killed()
    assert trio.current_time() == pytest.approx(0.5)
    event.set()
    await settle()
    assert log == ["cleaned up"]


@WAITING
async def test_exit_reason_is_the_one_decided(system: ak.System, wait: Wait) -> None:
    """Whatever a dying handler raises while it unwinds, the reason is the first fatal signal's (semantics 1.7)."""
    victim, killer = await puppet(system), await puppet(system)
    await watch(killer, victim)

    async def work(ctx: ak.Context[Any]) -> None:
        try:
            await wait(ctx)
        finally:
            raise RuntimeError("surfaces last")

    victim.cue(work)
    await settle()

    def two_signals(ctx: ak.Context[Any]) -> None:
        ctx.exit(victim.ref, ak.Failed("first"))
        ctx.exit(victim.ref, ak.Failed("second"))
        victim.ref.kill()

    await killer.do(two_signals)
    assert await victim.ref.wait_stopped() == ak.Failed("first")
    await settle()
    assert reasons(killer.downs) == [ak.Failed("first")]


async def test_killed_as_it_wakes(system: ak.System) -> None:
    """An actor killed at the very moment its wait is over answers nobody and takes no further message."""
    victim, asker = await puppet(system), await puppet(system)
    event = trio.Event()

    async def ask(_: object) -> None:
        try:
            asker.log.append(await victim.do(lambda _: event.wait()))
        except ak.ActorDied as error:
            asker.log.append(error.reason)

    asker.cue(ask)
    await settle()
    victim.ref.tell(Note("next"))
    event.set()
    victim.ref.kill()
    await settle()
    assert asker.log == [ak.Killed()]
    assert victim.log == []
    assert lost(system, ak.DeadReason.DIED) == [Note("next")]


@pytest.mark.parametrize("on_trio", [False, True])
async def test_stopped_as_it_wakes(system: ak.System, on_trio: bool) -> None:
    """An actor stopped at the very moment its wait is over takes no further message, and ends with its hook.

    A wait on trio that is over cannot be broken off any more, so that handler finishes.
    """
    parent = await puppet(system)
    child = await puppet_below(parent, link=False)
    event = trio.Event()

    async def work(ctx: ak.Context[Any]) -> None:
        await (event.wait() if on_trio else ctx.sleep(1))
        child.log.append("over")

    async def stop(ctx: ak.Context[Any]) -> None:
        await ctx.sleep(1)  # of two that wake together the one that fell asleep first is first
        event.set()
        parent.log.append(await ctx.stop_child(child.ref, limit=5.0))

    parent.cue(stop)
    await settle()
    child.cue(work)
    await settle()
    child.ref.tell(Note("next"))
    await child.ref.wait_stopped()
    await settle()
    assert parent.log == [ak.Shutdown()]
    assert child.log == [*(["over"] if on_trio else []), Ended(ak.Shutdown())]
    assert lost(system, ak.DeadReason.DIED) == [Note("next")]
    assert trio.current_time() == pytest.approx(1.0)


@WAITING
async def test_orderly_stop_breaks_off_the_wait(system: ak.System, wait: Wait) -> None:
    """A supervisor's stop does not wait for what a handler waits for; ``finally`` may await, then ``stopping`` runs."""
    parent, peer = await puppet(system), await puppet(system)
    child = await puppet_below(parent)

    async def work(ctx: ak.Context[Any]) -> None:
        try:
            await wait(ctx)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.25)
            peer.ref.tell(Note("goodbye"))

    child.cue(work)
    await settle()
    await parent.do(lambda ctx: ctx.unlink(child.ref))
    assert await parent.do(lambda ctx: ctx.stop_child(child.ref, limit=5.0)) == ak.Shutdown()
    assert trio.current_time() == pytest.approx(0.25)
    assert child.log == [Ended(ak.Shutdown())]
    await settle()
    assert peer.log == [Note("goodbye")]


async def test_zombie_is_declared_dead_and_fenced(system: ak.System) -> None:
    """An actor that cannot be interrupted is declared dead after a second; what it does later comes to nothing."""
    victim, peer = await puppet(system, name="victim"), await puppet(system)
    fenced: list[object] = []
    system.events.subscribe(fenced.append, ak.ZombieFenced)
    refused: list[str] = []

    async def stubborn(ctx: ak.Context[Any]) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        peer.ref.tell(Note("late"))
        for act in (
            lambda: ctx.watch(peer.ref),
            lambda: ctx.link(peer.ref),
            lambda: ctx.send_after(1.0, Note("timer")),
            lambda: ctx.continue_with(Note("continuation")),
        ):
            with pytest.raises(ak.ActorDied):
                act()
        with pytest.raises(ak.ActorDied):
            await ctx.spawn(puppet_props([]), name="orphan")
        refused.append("all")

    victim.ref.tell(Note("before"))
    victim.cue(stubborn)
    victim.ref.tell(Note("after"))
    await settle()
    victim.ref.kill()
    assert await victim.ref.wait_stopped() == ak.Killed()
    assert trio.current_time() == pytest.approx(1.0)
    assert len(fenced) == 1
    assert system.conservation().balanced
    assert system.names() == {}
    await trio.sleep(20)
    assert refused == ["all"]
    assert peer.log == []
    assert len(system.tree()) == 1


async def test_background_work_dies_with_its_actor(system: ak.System) -> None:
    """Background work is cancelled when its actor ends, and what its ``finally`` sends is dropped."""
    peer = await puppet(system)
    log: list[str] = []

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            peer.ref.tell(Note("late"))
            with trio.CancelScope(shield=True):
                try:
                    await peer.ref.ask(Note("later"))  # type: ignore[arg-type]
                except ak.ActorDied:
                    log.append("refused")
            await trio.sleep(1)
            log.append("never")

    for act in (lambda ctx: ctx.stop(), lambda ctx: ctx.self.kill()):
        server = await puppet(system)
        await server.do(lambda ctx: ctx.start_soon(work))
        await settle()
        server.cue(act)
        await server.ref.wait_stopped()
        await settle()
    assert log == ["refused", "refused"]
    assert peer.log == []
    assert lost(system, ak.DeadReason.FENCED) == [Note("late"), Note("later")] * 2


async def test_a_dead_actor_is_let_go(system: ak.System) -> None:
    """A reference to the dead does not keep the actor's state alive."""
    seen: list[weakref.ref[object]] = []

    class Heavy(ak.Actor[Note]):
        def __init__(self) -> None:
            seen.append(weakref.ref(self))

        @ak.on(Note)
        async def note(self, msg: Note) -> None:
            if msg.text == "stop":
                self.ctx.stop()
            else:
                await self.ctx.sleep(100)

    refs = [await system.spawn(ak.props(Heavy)) for _ in range(4)]
    refs[0].kill()
    refs[1].tell(Note("stop"))
    refs[2].tell(Note("sleep"))
    await settle()
    refs[2].kill()
    await refs[3].stop()
    await settle()
    gc.collect()
    assert [weak() for weak in seen] == [None] * 4


@pytest.mark.parametrize("link", [False, True])
async def test_child_that_starts_dies_with_its_starter(system: ak.System, link: bool) -> None:
    """An actor that is killed while it starts another leaves no half-started one behind."""
    log: list[str] = []

    class Slow(ak.Actor[Note]):
        async def started(self) -> None:
            log.append("begun")
            await trio.sleep(1)
            log.append("ready")

        @ak.on(Note)
        def note(self, msg: Note) -> None: ...

    for wait_a_little in (False, True):
        parent = await puppet(system)
        parent.cue(lambda ctx: ctx.spawn(ak.props(Slow), link=link))
        if wait_a_little:
            await settle()
        parent.ref.kill()
        await trio.sleep(3)
        assert "ready" not in log
        assert system.tree() == ()


async def test_children_that_outlive_their_parent_are_stopped_too(system: ak.System) -> None:
    """At shutdown every actor is stopped in good order, also one whose parent is long gone."""
    parent = await puppet(system)
    child = await puppet_below(parent, link=False)
    await parent.ref.stop()
    assert child.ref.alive
    await system.shutdown()
    assert child.log == [Ended(ak.Shutdown())]


@WAITING
async def test_stopping_may_await_after_a_wait_was_broken_off(
    system: ak.System, wait: Wait
) -> None:
    """Whatever its last handler waited for, ``stopping`` can use trio and ask others in peace."""
    parent, peer = await puppet(system), await puppet(system)
    log: list[object] = []

    class Tidy(ak.Actor[Note]):
        @ak.on(Note)
        async def note(self, msg: Note) -> None:
            await wait(self.ctx)

        async def stopping(self, reason: ak.ExitReason) -> None:
            await trio.sleep(0.1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 0.1)
            await self.ctx.sleep(0.1)
            log.append(await peer.do(lambda _: "asked"))

    child = await parent.do(lambda ctx: ctx.spawn(ak.props(Tidy), link=False))
    child.tell(Note("work"))
    await settle()
    assert await parent.do(lambda ctx: ctx.stop_child(child, limit=5.0)) == ak.Shutdown()
    assert log == ["asked"]
    assert trio.current_time() == pytest.approx(0.3)


async def test_a_linked_child_ends_with_its_parent_whatever_the_reason(system: ak.System) -> None:
    """A parent that ends of ``Normal`` takes its linked children along in good order; in OTP they would be orphans."""
    parent = await puppet(system)
    child = await puppet_below(parent, link=True)
    await parent.ref.stop()
    await settle()
    assert not child.ref.alive
    assert child.log == [Ended(ak.Shutdown("the actor that started it ended"))]


async def test_orphans_stand_in_the_tree(system: ak.System) -> None:
    """An unlinked child that outlives its parent is still shown by ``system.tree()``."""
    parent = await puppet(system)
    child = await puppet_below(parent, link=False)
    await parent.ref.stop()
    assert [branch.path for branch in system.tree()] == [child.ref.path]


async def test_a_monitor_belongs_to_who_made_it(system: ak.System) -> None:
    """``unwatch`` of another actor's monitor changes nothing and says so."""
    one, other, target = await puppet(system), await puppet(system), await puppet(system)
    made: list[ak.Monitor] = []
    active: list[bool] = []
    one.cue(lambda ctx: made.append(ctx.watch(target.ref)))
    await settle()
    other.cue(lambda ctx: active.append(ctx.unwatch(made[0])))
    await settle()
    assert active == [False]
    target.ref.kill()
    await settle()
    assert [type(item) for item in one.log] == [ak.Down]
