"""Timers, sleeps and background work of living actors, in virtual time: exact, owned, and gone with their owner."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.testing.clock import VirtualClock
from tests.harness import (
    lost,
    open_checked_system,
    puppet,
    run_in_virtual_time,
    settle,
)
from tests.kernel.support import Note, failure_in, failure_of


class Diary(ak.Actor[Note]):
    """Notes what it gets, with the time; a note of a number takes so many seconds."""

    def __init__(self, log: list[tuple[float, object]]) -> None:
        self.log = log

    @ak.on(Note)
    async def note(self, msg: Note) -> None:
        self.log.append((self.ctx.now(), msg.text))
        if isinstance(msg.text, float):
            await self.ctx.sleep(msg.text)


async def diary(
    system: ak.System,
) -> tuple[ak.Ref[Note], list[tuple[float, object]], ak.Context[Note]]:
    """A diary, its log, and its context: timers may be set from anywhere."""
    log: list[tuple[float, object]] = []
    made: list[ak.Context[Note]] = []

    class Shared(Diary):
        def started(self) -> None:
            made.append(self.ctx)

    ref = await system.spawn(ak.props(Shared, log))
    return ref, log, made[0]


# Once --------------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.0, 2.25]), max_size=10))
def test_timers_fire_in_order_and_on_time(delays: list[float]) -> None:
    """Every message comes exactly when it is due, those due together in the order they were set."""

    async def main() -> None:
        async with open_checked_system() as system:
            _, log, ctx = await diary(system)
            for n, delay in enumerate(delays):
                ctx.send_after(delay, Note(n))
            await trio.sleep(5)
            order = sorted(range(len(delays)), key=lambda n: (delays[n], n))
            assert log == [(delays[n], n) for n in order]

    run_in_virtual_time(main)


async def test_a_timer_tells_what_remains(system: ak.System) -> None:
    """``remaining`` counts down to the firing; ``cancel`` returns it once, and nothing ever after."""
    _, log, ctx = await diary(system)
    fires, cancelled = ctx.send_after(3, Note("fires")), ctx.send_after(3, Note("cancelled"))
    await trio.sleep(1)
    assert [fires.remaining, cancelled.remaining] == [2.0, 2.0]
    assert cancelled.cancel() == 2.0
    assert [cancelled.cancel(), cancelled.remaining] == [None, None]
    await trio.sleep(3)
    assert [fires.cancel(), fires.remaining] == [None, None]
    assert log == [(3.0, "fires")]


async def test_a_cancelled_timer_never_arrives(system: ak.System) -> None:
    """Not even if it had fired and its message waited in the mailbox behind others; the books know nothing of it."""
    ref, log, ctx = await diary(system)
    timer = ctx.send_after(1, Note("too late"))
    every = ctx.send_every(1, Note("again"))
    ref.tell(Note(5.0))
    await trio.sleep(3)
    assert timer.remaining is None
    assert timer.cancel() is None
    every.cancel()
    await trio.sleep(10)
    assert log == [(0.0, 5.0)]
    assert lost(system) == []
    assert system.conservation().sent == 1


@pytest.mark.parametrize("seconds", [-1, math.nan, "soon", None])
async def test_a_wrong_delay_is_refused(system: ak.System, seconds: Any) -> None:
    """A delay that is no time is a ValueError that shows it; nothing is set."""
    ref, log, ctx = await diary(system)
    for setting in (
        lambda: ctx.send_after(seconds, Note("never")),
        lambda: system.send_after(seconds, ref, Note("never")),
        lambda: ctx.idle_after(seconds, Note("never")),
    ):
        error = failure_in(setting)
        assert isinstance(error, ValueError)
        assert repr(seconds) in str(error)
    assert isinstance(await failure_of(ctx.sleep(seconds)), ValueError)
    await trio.sleep(1)
    assert log == []


# Again and again ---------------------------------------------------------------------------------------------------


async def test_intervals_do_not_drift(system: ak.System) -> None:
    """Each interval counts from the last deadline, however long its message took."""
    ref, log, ctx = await diary(system)
    timer = ctx.send_every(1, Note(0.3))
    await trio.sleep(4.5)
    timer.cancel()
    assert log == [(1.0, 0.3), (2.0, 0.3), (3.0, 0.3), (4.0, 0.3)]
    assert ref.alive


async def test_at_most_one_tick_waits(system: ak.System) -> None:
    """While the actor is busy only one message of a periodic timer waits; afterwards the grid is the old one."""
    ref, log, ctx = await diary(system)
    timer = ctx.send_every(1, Note("tick"))
    ref.tell(Note(3.5))
    await trio.sleep(3.2)
    assert system.status(ref).statistics.waiting == 0
    assert len(ref._cell.queue) == 1  # noqa: SLF001 - what waits of a timer is not counted as mail
    await trio.sleep(2)
    timer.cancel()
    assert log == [(0.0, 3.5), (3.5, "tick"), (4.0, "tick"), (5.0, "tick")]


async def test_a_late_clock_skips_ticks(system: ak.System) -> None:
    """If the clock itself leaps over several deadlines, one tick comes, and the next on the grid."""
    _, log, ctx = await diary(system)
    timer = ctx.send_every(1, Note("tick"))
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, VirtualClock)
    clock.jump(3.5)
    await trio.sleep(0.75)
    timer.cancel()
    assert log == [(3.5, "tick"), (4.0, "tick")]


@pytest.mark.parametrize("seconds", [0, -1, math.nan, "often"])
async def test_a_wrong_interval_is_refused(system: ak.System, seconds: Any) -> None:
    """An interval is a time above zero."""
    _, _, ctx = await diary(system)
    with pytest.raises((ValueError, TypeError)):
        ctx.send_every(seconds, Note("never"))
    await trio.sleep(1)


# Idle --------------------------------------------------------------------------------------------------------------


async def test_idleness_is_noticed(system: ak.System) -> None:
    """After so many seconds without a message one comes; it comes once."""
    _, log, ctx = await diary(system)
    ctx.idle_after(2, Note("idle"))
    await trio.sleep(10)
    assert log == [(2.0, "idle")]


async def test_any_message_calls_idleness_off(system: ak.System) -> None:
    """A message in time, a timer's too, and there is no notice, unless it is asked for again."""
    ref, log, ctx = await diary(system)
    ctx.idle_after(2, Note("idle"))
    await trio.sleep(1.5)
    ref.tell(Note("told"))
    await trio.sleep(10)
    ctx.idle_after(2, Note("idle"))
    ctx.send_after(1, Note("timer"))
    await trio.sleep(10)
    ctx.idle_after(2, Note("idle"))
    await trio.sleep(1)
    ctx.idle_after(2, Note("idle again"))
    await trio.sleep(10)
    assert log == [(1.5, "told"), (12.5, "timer"), (24.5, "idle again")]


async def test_idleness_counts_from_the_end_of_the_message_in_hand(system: ak.System) -> None:
    """An actor that asks for it in a handler is idle only once the handler is through; waiting mail calls it off."""
    log: list[tuple[float, object]] = []

    class Lazy(Diary):
        @ak.on(Note)
        async def note(self, msg: Note) -> None:
            self.log.append((self.ctx.now(), msg.text))
            if msg.text != "idle":
                self.ctx.idle_after(2, Note("idle"))
                await self.ctx.sleep(3)

    ref = await system.spawn(ak.props(Lazy, log))
    ref.tell(Note("one"))
    await trio.sleep(1)
    ref.tell(Note("two"))
    await trio.sleep(20)
    assert log == [(0.0, "one"), (3.0, "two"), (8.0, "idle")]


# From outside ------------------------------------------------------------------------------------------------------


async def test_timers_of_the_system(system: ak.System) -> None:
    """``system.send_after`` means whoever the reference means when it fires; a dead one makes a dead letter."""
    ref, log, _ = await diary(system)
    named = system.named(ak.Key[object]("heir"))
    system.send_after(1, ref, Note("in time"))
    system.send_after(5, ref, Note("too late"))
    system.send_after(2, named, Note("to nobody"))
    system.send_after(4, named, Note("to the heir"))
    called_off = system.send_after(4, named, Note("called off"))
    await trio.sleep(3)
    heir = await puppet(system, name="heir")
    ref.kill()
    assert called_off.cancel() == 1.0
    await trio.sleep(5)
    assert log == [(1.0, "in time")]
    assert heir.log == [Note("to the heir")]
    assert lost(system, ak.DeadReason.NOT_DELIVERABLE) == [Note("to nobody"), Note("too late")]


async def test_timers_that_the_systems_end_forestalls() -> None:
    """What is not due when the system ends was sent and lost: a dead letter each, in order of deadline."""
    async with open_checked_system() as system:
        ref, log, ctx = await diary(system)
        ctx.send_after(1, Note("an actor's own ends with it"))
        system.send_after(7, ref, Note("second"))
        system.send_after(math.inf, ref, Note("never"))
        system.send_after(0.5, ref, Note("in time"))
        system.send_after(6, ref, Note("called off")).cancel()
        handle = system.send_after(5, ref, Note("first"))
        await trio.sleep(0.5)
        await settle()
        sent = system.conservation().sent
    assert log == [(0.5, "in time")]
    assert lost(system) == [Note("first"), Note("second"), Note("never")]
    assert system.dead_letters.counts == {ak.DeadReason.CLOSED: 3}
    assert system.conservation().sent == sent + 3
    assert handle.remaining is None
    assert handle.cancel() is None


async def test_a_timer_set_after_the_end() -> None:
    """Whoever sets one too late gets a handle that has nothing left to do; the message is a dead letter at once."""
    async with open_checked_system() as system:
        ref, log, _ = await diary(system)
        await system.shutdown()
        handle = system.send_after(1, ref, Note("too late"))
        assert handle.remaining is None
    system.send_after(1, ref, Note("later still"))
    assert log == []
    assert lost(system, ak.DeadReason.CLOSED) == [Note("too late"), Note("later still")]
    assert system.conservation().balanced


# Sleep -------------------------------------------------------------------------------------------------------------


@attrs.frozen
class Nap:
    """A sleep in one of several surroundings."""

    seconds: float
    scope: bool
    given_up_after: float | None


naps = st.builds(
    Nap, st.sampled_from([0.0, 0.25, 1.0, 7.0]), st.booleans(), st.sampled_from([None, 0.5])
)


@given(st.lists(naps, min_size=1, max_size=6))
def test_sleeps_are_exact(script: list[Nap]) -> None:
    """Whether parked or in a scope of its own, an actor sleeps just as long as it said, or as its scope allows."""

    async def sleep(ctx: ak.Context[Any], nap: Nap) -> float:
        began = ctx.now()
        if nap.given_up_after is not None:
            with trio.move_on_after(nap.given_up_after):
                await ctx.sleep(nap.seconds)
        elif nap.scope:
            with trio.CancelScope():
                await ctx.sleep(nap.seconds)
        else:
            await ctx.sleep(nap.seconds)
        return ctx.now() - began

    async def main() -> None:
        async with open_checked_system() as system:
            actor = await puppet(system)
            for nap in script:
                slept = await actor.do(lambda ctx, n=nap: sleep(ctx, n), timeout=None)  # type: ignore[misc]
                assert slept == min(nap.seconds, nap.given_up_after or nap.seconds)

    run_in_virtual_time(main)


async def test_what_a_cleanup_asks_has_its_time_out(system: ak.System) -> None:
    """A handler broken off in a wait of trio's may ask in its ``finally``; the time-out of that ask holds, too."""
    busy, actor = await puppet(system), await puppet(system)
    await actor.do(lambda _: busy.do(lambda _: "a duration that is known", timeout=1))
    busy.cue(lambda ctx: ctx.sleep(100))
    seen: list[object] = []

    async def work(ctx: ak.Context[Any]) -> None:
        try:
            await trio.sleep(60)
        finally:
            seen.append(await failure_of(busy.do(lambda _: "never", timeout=1)))

    actor.cue(work)
    await settle()
    cell = actor.ref._cell  # noqa: SLF001 - as a supervisor does
    reason = await system.runtime.stop(cell, ak.Shutdown(), limit=50, kill=False)
    assert reason == ak.Shutdown()
    assert isinstance(seen[0], ak.AskTimeout)
    assert trio.current_time() == 1.0


# Timers die with their actor ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["kill", "stop", "crash"])
async def test_timers_die_with_their_actor(system: ak.System, end: str) -> None:
    """However an actor ends, its timers go with it: nothing is sent, nothing is lost, nothing is left on the clock."""
    actor = await puppet(system)

    def set_timers(ctx: ak.Context[Any]) -> None:
        ctx.send_after(5, Note("after"))
        ctx.send_every(5, Note("every"))
        ctx.idle_after(5, Note("idle"))

    def fall(_: object) -> None:
        raise ValueError("broken")

    await actor.do(set_timers)
    await settle()
    if end == "kill":
        actor.ref.kill()
    elif end == "stop":
        await actor.ref.stop()
    else:
        actor.cue(fall)
    await settle()
    assert len(system.runtime.clock.heap) == 0
    await trio.sleep(20)
    assert actor.got(Note) == []
    assert lost(system) == []


async def test_a_ticks_message_that_waits_dies_as_mail(system: ak.System) -> None:
    """A timer's message that had fired before its actor died is a dead letter like any other."""
    actor = await puppet(system)
    await actor.do(lambda ctx: ctx.send_after(1, Note("fired")))
    actor.cue(lambda ctx: ctx.sleep(5))
    await trio.sleep(2)
    actor.ref.kill()
    await settle()
    assert lost(system, ak.DeadReason.DIED) == [Note("fired")]
