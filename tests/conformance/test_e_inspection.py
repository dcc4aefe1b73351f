"""Section E, cases 72-76: timers, and looking into an actor while it runs. Cases 66-71 need several nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio

import actorkit as ak
from tests.harness import Do, Ended, end, lost, puppet, puppet_below, settle


@ak.message
class Note:
    """Something to be received."""

    number: int


async def test_e72_start_timer_1(system: ak.System) -> None:
    """A timer fires once, never early, in order of deadlines, ties in order of creation."""
    server = await puppet(system)

    def set_timers(ctx: ak.Context[Any]) -> None:
        for number, seconds in enumerate((2.0, 1.0, 2.0, 0.0)):
            ctx.send_after(seconds, Note(number))

    await server.do(set_timers)
    await trio.sleep(0.999)
    assert server.log == [Note(3)]
    await trio.sleep(9)
    assert server.log == [Note(3), Note(1), Note(0), Note(2)]


async def test_e72_cancel_timer_sync(system: ak.System) -> None:
    """Cancelled in time a timer tells what remained and never fires; fired or cancelled before, it tells nothing."""
    server = await puppet(system)
    running = await server.do(lambda ctx: ctx.send_after(1.0, Note(1)))
    fires = await server.do(lambda ctx: ctx.send_after(0.5, Note(2)))
    await trio.sleep(0.75)
    assert fires.remaining is None
    assert fires.cancel() is None
    assert running.remaining == pytest.approx(0.25)
    assert running.cancel() == pytest.approx(0.25)
    assert running.cancel() is None
    await trio.sleep(5)
    assert server.log == [Note(2)]


async def test_e72_cancel_takes_back_what_waits(system: ak.System) -> None:
    """After a cancel the message does not come, even if it had fired and waited in the mailbox (beyond OTP 7.1)."""
    server = await puppet(system)

    async def be_late(ctx: ak.Context[Any]) -> float | None:
        handle = ctx.send_after(1.0, Note(1))
        await ctx.sleep(2)
        return handle.cancel()

    assert await server.do(be_late) is None
    await settle()
    assert server.log == []


async def test_e72_intervals_do_not_drift(system: ak.System) -> None:
    """Each interval counts from the previous deadline, and a receiver that cannot keep up gets no backlog."""
    times: list[float] = []

    class Clock(ak.Actor[Note]):
        def started(self) -> None:
            self.timer = self.ctx.send_every(1.0, Note(0))

        @ak.on(Note)
        async def tick(self, msg: Note) -> None:
            times.append(self.ctx.now())
            await self.ctx.sleep(3.5 if len(times) == 2 else 0.25)
            if len(times) == 5:
                self.timer.cancel()

    await system.spawn(ak.props(Clock))
    await trio.sleep(20)
    assert times == pytest.approx([1.0, 2.0, 5.5, 6.0, 7.0])


async def test_e72_timers_die_with_their_actor(system: ak.System) -> None:
    """The timers of a dead actor never fire; one set from outside finds nobody and leaves a dead letter."""
    server = await puppet(system)
    handle = await server.do(lambda ctx: ctx.send_after(1.0, Note(1)))
    system.send_after(1.0, server.ref, Note(2))
    await end(server, ak.Normal())
    assert handle.remaining is None
    await trio.sleep(5)
    assert server.got(Note) == []
    assert lost(system) == [Note(2)]
    assert system.dead_letters.counts == {ak.DeadReason.NOT_DELIVERABLE: 1}


async def test_e73_suspend(system: ak.System) -> None:
    """A suspended actor answers no ask, keeps its mail in order, shows its state, and drains after ``resume``."""
    server = await puppet(system)
    server.ref.tell(Note(0))
    system.suspend(server.ref)
    system.suspend(server.ref)
    for number in (1, 2, 3):
        server.ref.tell(Note(number))
    with pytest.raises(ak.AskTimeout):
        await server.do(lambda _: None, timeout=1)
    assert system.status(server.ref).state == "suspended"
    assert (await system.state_of(server.ref))["log"] == server.log
    system.suspend(server.ref)
    server.ref.tell(Note(4))
    await settle()
    assert server.log == [Note(0)] or server.log == []
    system.resume(server.ref)
    system.resume(server.ref)
    await settle()
    assert server.log == [Note(n) for n in range(5)]
    assert system.status(server.ref).state == "running"


@pytest.mark.parametrize("reason", [ak.Shutdown(), ak.Failed("bye")])
async def test_e74_suspended_and_trapping(system: ak.System, reason: ak.ExitReason) -> None:
    """A suspended actor that traps exits ends of its parent's exit signal, ``stopping`` and all, without being resumed."""
    parent = await puppet(system)
    server = await puppet_below(parent, trap=True, link=False)
    system.suspend(server.ref)
    server.ref.tell(Note(1))
    await settle()
    await parent.do(lambda ctx: ctx.exit(server.ref, reason))
    assert await server.ref.wait_stopped() == reason
    assert server.log == [Ended(reason)]
    assert lost(system) == [Note(1)]


async def test_e74_suspended_and_not_trapping(system: ak.System) -> None:
    """A suspended actor that does not trap exits just dies of the signal; stop and kill end it as well."""
    parent = await puppet(system)
    server = await puppet_below(parent, link=False)
    system.suspend(server.ref)
    await settle()
    await parent.do(lambda ctx: ctx.exit(server.ref, ak.Shutdown()))
    assert await server.ref.wait_stopped() == ak.Shutdown()
    assert server.log == []
    for act, log in (("stop", [Ended(ak.Normal())]), ("kill", [])):
        other = await puppet(system)
        system.suspend(other.ref)
        await settle()
        if act == "stop":
            await other.ref.stop()
        else:
            other.ref.kill()
            await other.ref.wait_stopped()
        assert other.log == log


def _broken(_: dict[str, Any]) -> Mapping[str, Any]:
    raise ValueError("no such state")


@pytest.mark.parametrize("suspended", [False, True])
async def test_e75_replace_state(system: ak.System, suspended: bool) -> None:
    """A replace function that fails harms only its caller; one that works is seen at once; suspended or not."""
    server = await puppet(system)
    if suspended:
        system.suspend(server.ref)
    before = await system.state_of(server.ref)
    with pytest.raises(ak.CallbackFailed, match="ValueError: no such state"):
        await system.replace_state(server.ref, _broken)
    assert await system.state_of(server.ref) == before
    fresh: list[object] = []
    await system.replace_state(server.ref, lambda _: {"log": fresh})
    assert (await system.state_of(server.ref))["log"] is fresh
    server.ref.tell(Note(1))
    system.resume(server.ref)
    await system.state_of(server.ref)
    assert fresh == [Note(1)]
    assert server.log == []


async def test_e76_initial_two(system: ak.System) -> None:
    """``state_of`` is a barrier: a thousand messages sent before it have been handled when it answers."""
    server, sender = await puppet(system), await puppet(system)
    for number in range(1000):
        server.ref.tell(Note(number))
    assert len((await system.state_of(server.ref))["log"]) == 1000

    async def send_and_look(_: ak.Context[Any]) -> int:
        for number in range(1000):
            server.ref.tell(Note(number))
        return len((await system.state_of(server.ref))["log"])

    assert await sender.do(send_and_look) == 2000


async def test_e76_inspections_of_the_dead(system: ak.System) -> None:
    """Looking into the dead is an error at once, and one that waits when its actor dies is told."""
    server = await puppet(system)
    server.cue(lambda ctx: ctx.sleep(100))
    await settle()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_kill_soon, server.ref)
        with pytest.raises(ak.ActorDied) as caught:
            await system.state_of(server.ref)
    assert caught.value.reason == ak.Killed()
    for look in (system.status, system.statistics, system.suspend):
        with pytest.raises(ak.ActorDied):
            look(server.ref)


async def _kill_soon(ref: ak.Ref[Any]) -> None:
    await settle()
    ref.kill()


async def test_e72_idle_systems_have_no_timers(system: ak.System) -> None:
    """Asks that were answered leave no deadline behind that would wake the clock for nothing."""
    server = await puppet(system)
    for _ in range(100):
        await server.ref.ask(Do(lambda _: None), timeout=7)
    began = trio.current_time()
    await settle()
    assert trio.current_time() == began
