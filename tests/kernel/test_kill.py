"""Killing: whatever an actor is in the midst of, it ends with the reason first decided, and nothing it does counts after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.kernel.wait import ZOMBIES
from tests.harness import (
    WAITS,
    Do,
    lost,
    open_checked_system,
    puppet,
    puppet_props,
    reasons,
    settle,
    watch,
)
from tests.kernel.support import Note, collect, failure_in, failure_of

# In the midst of what ----------------------------------------------------------------------------------------------


async def test_kill_while_idle(system: ak.System) -> None:
    """An actor at rest is gone before ``kill`` returns, with its name; no hook of its runs."""
    victim, watcher = await puppet(system, name="victim"), await puppet(system)
    await watch(watcher, victim)
    victim.ref.kill()
    assert not victim.ref.alive
    assert not system.names()
    await settle()
    assert reasons(watcher.downs) == [ak.Killed()]
    assert victim.log == []


async def test_kill_while_queued(system: ak.System) -> None:
    """An actor that has mail but not its turn yet never gets the turn; the mail becomes dead letters."""
    victim, witness = await puppet(system), await puppet(system)
    for n in range(3):
        victim.ref.tell(Note(n))
    witness.ref.tell(Note("alive"))
    victim.ref.kill()
    await settle()
    assert victim.log == []
    assert lost(system, ak.DeadReason.DIED) == [Note(0), Note(1), Note(2)]
    assert witness.log == [Note("alive")]


async def test_kill_while_suspended(system: ak.System) -> None:
    """A suspended actor is killed like any other."""
    victim = await puppet(system)
    system.suspend(victim.ref)
    await settle()
    victim.ref.tell(Note("waits"))
    victim.ref.kill()
    assert await victim.ref.wait_stopped() == ak.Killed()
    assert lost(system, ak.DeadReason.DIED) == [Note("waits")]


async def test_killing_the_dead_changes_nothing(system: ak.System) -> None:
    """The second kill, and any signal after the first, is ignored."""
    victim = await puppet(system)
    stopped = collect(system, ak.Stopped)
    for _ in range(3):
        victim.ref.kill()
        system.exit(victim.ref, ak.Failed("later"))
    await settle()
    assert [event.reason for event in stopped] == [ak.Killed()]


@pytest.mark.parametrize("waits", ["parked", "on trio"])
async def test_a_handler_that_swallows_its_end(system: ak.System, waits: str) -> None:
    """Catching everything wins no second message: no reply goes out, and the rest of the mail is turned away."""
    victim = await puppet(system)
    asked: list[object] = []

    async def stubborn(ctx: ak.Context[Any]) -> str:
        try:
            await WAITS[waits](ctx)
        except BaseException:  # noqa: BLE001 - swallows even its own end, as it must not
            return "still here"
        return "never"

    async def ask() -> None:
        asked.append(await failure_of(victim.do(stubborn, timeout=None)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await settle()
        victim.ref.tell(Note("next"))
        victim.ref.kill()
    assert isinstance(asked[0], ak.ActorDied)
    assert asked[0].reason == ak.Killed()
    assert victim.log == []
    assert lost(system, ak.DeadReason.DIED) == [Note("next")]


async def test_a_handler_that_turns_its_end_into_an_error(system: ak.System) -> None:
    """What a dying handler raises instead is of no account: it was killed."""
    victim = await puppet(system)
    reports = collect(system, ak.CrashReport)

    async def deny(ctx: ak.Context[Any]) -> None:
        try:
            await ctx.sleep(100)
        except BaseException as error:
            raise ValueError("I crashed") from error

    victim.cue(deny)
    await settle()
    victim.ref.kill()
    assert await victim.ref.wait_stopped() == ak.Killed()
    assert reports == []


async def test_kill_during_a_cpu_bound_handler(system: ak.System) -> None:
    """A handler that kills its own actor runs on to its end, for Python cannot interrupt it; but nobody hears of it."""
    victim, friend = await puppet(system, name="victim"), await puppet(system)
    await watch(friend, victim)
    seen: list[object] = []

    def work(ctx: ak.Context[Any]) -> str:
        ctx.self.kill()
        seen.append(sum(range(10_000)))
        friend.ref.tell(Note("from the dead"))
        return "reply"

    error = await failure_of(victim.do(work))
    assert isinstance(error, ak.ActorDied)
    assert error.reason == ak.Killed()
    await settle()
    assert seen == [sum(range(10_000))]
    assert reasons(friend.downs) == [ak.Killed()]
    assert lost(system, ak.DeadReason.FENCED) == [Note("from the dead")]


# What the dead can still do ----------------------------------------------------------------------------------------


@ak.message
class Count(ak.StreamRequest[int]):
    """A request for a stream."""


class Open(ak.Actor[Count | Note]):
    """Takes little mail."""

    mailbox = ak.Mailbox(capacity=1)

    @ak.on(Count)
    async def count(self, msg: Count) -> AsyncIterator[int]:
        yield 1

    @ak.on(Note)
    async def note(self, msg: Note) -> None:
        await self.ctx.sleep(10)


async def _open_stream(ref: ak.Ref[Count | Note]) -> None:
    async with ref.stream(Count()):
        pass


async def test_everything_the_dead_send_is_fenced(system: ak.System) -> None:
    """Whatever way a doomed actor tries to reach others, it does not; what it sent is counted as fenced."""
    victim, friend = await puppet(system), await puppet(system)
    full = await system.spawn(ak.props(Open))
    for _ in range(2):
        full.tell(Note("fill"))
        await settle()
    failures: list[Exception] = []

    async def haunt(ctx: ak.Context[Any]) -> None:
        ctx.exit(ctx.self, ak.Failed("doomed"))
        friend.ref.tell(Note("told"))
        friend.ref.kill()
        ctx.exit(friend.ref, ak.Failed("signalled"))
        failures.extend(
            [
                await failure_of(friend.ref.send(Note("sent"))),
                await failure_of(full.send(Note("sent to the full"))),
                await failure_of(friend.do(lambda _: "asked")),
                await failure_of(friend.ref.stop()),
                await failure_of(_open_stream(full)),
                await failure_of(ctx.spawn(puppet_props([]))),
                failure_in(lambda: ctx.watch(friend.ref)),
                failure_in(lambda: ctx.link(friend.ref)),
                failure_in(lambda: ctx.send_after(1, Note("timer"))),
            ]
        )

    victim.cue(haunt)
    assert await victim.ref.wait_stopped() == ak.Failed("doomed")
    assert [type(error) for error in failures] == [ak.ActorDied] * 9
    await trio.sleep(30)
    assert friend.ref.alive
    assert friend.log == []
    fenced = lost(system, ak.DeadReason.FENCED)
    assert fenced[:3] == [Note("told"), Note("sent"), Note("sent to the full")]
    assert [type(message) for message in fenced[3:]] == [Do, Count]


async def test_a_shielded_cleanup_makes_a_zombie(system: ak.System) -> None:
    """After a moment of grace the actor is dead although its code is not through; what that sends is fenced for ever."""
    victim, friend = await puppet(system, name="victim"), await puppet(system)
    await watch(friend, victim)
    fenced = collect(system, ak.ZombieFenced)

    async def cling(ctx: ak.Context[Any]) -> None:
        try:
            await trio.sleep(100)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(10)
            friend.ref.tell(Note("from beyond"))

    victim.cue(cling)
    await settle()
    address = victim.ref.address
    victim.ref.kill()
    await settle()
    assert victim.ref.alive  # the grace
    assert await victim.ref.wait_stopped() == ak.Killed()
    assert trio.current_time() == 1.0
    assert [event.address for event in fenced] == [address]
    heir = await puppet(system, name="victim")
    await trio.sleep(20)
    assert heir.ref.alive
    assert friend.log == friend.downs
    assert lost(system, ak.DeadReason.FENCED) == [Note("from beyond")]
    assert not ZOMBIES


async def test_a_system_waits_for_its_zombies() -> None:
    """Closing a system ends only when the last shielded cleanup has run."""
    ended: list[float] = []

    async def cling(_: ak.Context[Any]) -> None:
        try:
            await trio.sleep(100)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(10)
            ended.append(trio.current_time())

    async with open_checked_system() as system:
        victim = await puppet(system)
        victim.cue(cling)
        await settle()
        victim.ref.kill()
        await settle()
    assert ended == [10.0]
    assert trio.current_time() == 10.0


# Tasks a handler leaves elsewhere ----------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", WAITS)
async def test_a_task_in_another_nursery_is_no_hostage(system: ak.System, waits: str) -> None:
    """A task that a handler starts in somebody else's nursery outlives the actor, and does not keep it from dying."""
    victim, peer = await puppet(system), await puppet(system)
    got: list[object] = []

    async def outlive() -> None:
        got.append(await peer.do(lambda ctx: ctx.sleep(10), timeout=None))
        got.append(await peer.do(lambda _: "still served"))

    async with trio.open_nursery() as nursery:

        async def leave_a_task(ctx: ak.Context[Any]) -> None:
            nursery.start_soon(outlive)
            await WAITS[waits](ctx)

        victim.cue(leave_a_task)
        await settle()
        victim.ref.kill()
        assert await victim.ref.wait_stopped() == ak.Killed()
        assert trio.current_time() == 0.0
    assert got == [None, "still served"]


# Starting and stopping ---------------------------------------------------------------------------------------------


class Staged(ak.Actor[Note]):
    """Spends a minute in one hook of its life."""

    def __init__(self, stage: str, log: list[str], here: list[ak.Ref[Any]]) -> None:
        self.stage = stage
        self.log = log
        here.append(self.ctx.self)
        if stage == "constructor":
            self.ctx.self.kill()
        log.append("constructor")

    async def linger(self, stage: str) -> None:
        """Wait, if this is the stage to do it."""
        self.log.append(stage)
        if self.stage == stage:
            try:
                await self.ctx.sleep(60)
            finally:
                self.log.append(f"{stage} broken off")

    async def started(self) -> None:
        await self.linger("started")

    @ak.on(Note)
    async def note(self, msg: Note) -> None:
        await self.linger("note")

    async def stopping(self, reason: ak.ExitReason) -> None:
        await self.linger("stopping")


@pytest.mark.parametrize("stage", ["constructor", "started"])
async def test_kill_during_the_start(system: ak.System, stage: str) -> None:
    """An actor killed before it was ready never was: its starter is told why, its name is free, nothing else runs."""
    log: list[str] = []
    here: list[ak.Ref[Any]] = []
    failures: list[Exception] = []

    async def spawn() -> None:
        failures.append(
            await failure_of(system.spawn(ak.props(Staged, stage, log, here), name="staged"))
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(spawn)
        await settle()
        here[0].tell(Note("early"))
        here[0].kill()
    assert isinstance(failures[0], ak.StartFailed)
    assert failures[0].reason == ak.Killed()
    assert not system.names()
    assert system.tree() == ()
    assert log == [
        "constructor",
        *(["started", "started broken off"] if stage == "started" else []),
    ]
    assert len(lost(system)) == 1


async def test_kill_during_stopping(system: ak.System) -> None:
    """A kill breaks the last hook off, and decides: the actor was killed."""
    log: list[str] = []
    ref = await system.spawn(ak.props(Staged, "stopping", log, []))
    failures: list[Exception] = []

    async def stop() -> None:
        failures.append(await failure_of(ref.stop(timeout=None)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        await settle()
        assert system.status(ref).state == "stopping"
        ref.kill()
    assert isinstance(failures[0], ak.ActorDied)
    assert failures[0].reason == ak.Killed()
    assert log == ["constructor", "started", "stopping", "stopping broken off"]
    assert trio.current_time() == 0.0


async def test_kill_during_a_handler_skips_stopping(system: ak.System) -> None:
    """A killed actor does not get to stop in order."""
    log: list[str] = []
    ref = await system.spawn(ak.props(Staged, "note", log, []))
    ref.tell(Note("go"))
    await settle()
    ref.kill()
    await ref.wait_stopped()
    assert log == ["constructor", "started", "note", "note broken off"]
