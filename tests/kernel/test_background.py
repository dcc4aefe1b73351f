"""Background work: it runs beside the handlers, belongs to its actor, and goes with it."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import actorkit as ak
from tests.harness import (
    Strings,
    lost,
    puppet,
    reasons,
    settle,
    watch,
)
from tests.kernel.support import Note, collect, failure_in, failure_of


async def test_background_work_runs_beside_the_handlers(system: ak.System) -> None:
    """It starts with its arguments, may tell and ask the actor itself, and does not keep it from its messages."""
    actor = await puppet(system)
    seen: list[object] = []

    async def work(name: str, times: int) -> None:
        for n in range(times):
            await trio.sleep(1)
            actor.ref.tell(Note(name))
            seen.append(await actor.do(lambda ctx, n=n: (ctx.path, n)))  # type: ignore[misc]

    await actor.do(lambda ctx: ctx.start_soon(work, "work", 2))
    actor.ref.tell(Note("meanwhile"))
    await trio.sleep(5)
    assert seen == [(actor.ref.path, 0), (actor.ref.path, 1)]
    assert actor.log == [Note("meanwhile"), Note("work"), Note("work")]


@pytest.mark.parametrize("end", ["kill", "stop", "crash", "exit"])
async def test_background_work_ends_with_its_actor(system: ak.System, end: str) -> None:
    """However the actor ends, its work is cancelled; its ``finally`` runs, and what it sends then is fenced."""
    actor, friend = await puppet(system), await puppet(system)
    log: list[object] = []

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            log.append("finally")
            friend.ref.tell(Note("too late"))
            log.append(type(await failure_of(friend.do(lambda _: "asked"))))

    def fall(ctx: ak.Context[Any]) -> None:
        if end == "crash":
            raise ValueError("broken")
        ctx.exit(ctx.self, ak.Failed("by itself"))

    await actor.do(lambda ctx: ctx.start_soon(work))
    await settle()
    if end == "kill":
        actor.ref.kill()
    elif end == "stop":
        await actor.ref.stop()
    else:
        actor.cue(fall)
    await settle()
    assert log == ["finally", ak.ActorDied]
    assert friend.log == []
    assert lost(system, ak.DeadReason.FENCED)[0] == Note("too late")


async def test_a_crash_of_background_work_is_the_actors(system: ak.System) -> None:
    """The actor dies of it, with a report; the handler in hand is broken off, ``stopping`` does not run."""
    actor, watcher = await puppet(system), await puppet(system)
    await watch(watcher, actor)
    reports = collect(system, ak.CrashReport)

    async def work() -> None:
        await trio.sleep(1)
        raise ValueError("in the background")

    await actor.do(lambda ctx: ctx.start_soon(work))
    actor.cue(lambda ctx: ctx.sleep(60))
    await trio.sleep(2)
    assert reasons(watcher.downs) == [ak.Crashed("ValueError", "in the background")]
    assert [report.message for report in reports] == ["in the background"]
    assert actor.ended == []


async def test_many_works_of_one_actor(system: ak.System) -> None:
    """Work that is done leaves nothing; the rest goes with the actor."""
    actor = await puppet(system)
    done: list[int] = []

    async def work(n: int) -> None:
        await trio.sleep(n)
        done.append(n)

    async def start_all(ctx: ak.Context[Any]) -> None:
        for n in range(50):
            ctx.start_soon(work, n)

    await actor.do(start_all)
    await trio.sleep(24.5)
    assert done == list(range(25))
    assert len(actor.ref._cell.work or ()) == 25  # noqa: SLF001 - the scopes are the kernel's own
    actor.ref.kill()
    await trio.sleep(60)
    assert done == list(range(25))


async def test_the_dead_start_no_work(system: ak.System) -> None:
    """An actor that is gone, or is being unwound, cannot start anything."""
    actor = await puppet(system)
    contexts: list[ak.Context[Any]] = []

    async def never() -> None:
        raise AssertionError("it ran")

    async def doom(ctx: ak.Context[Any]) -> None:
        contexts.append(ctx)
        ctx.self.kill()
        with pytest.raises(ak.SystemClosed):
            ctx.start_soon(never)

    actor.cue(doom)
    await settle()
    assert not actor.ref.alive
    error = failure_in(lambda: contexts[0].start_soon(never))
    assert isinstance(error, ak.SystemClosed)
    assert actor.ref.path in str(error)


async def test_work_of_two_actors_is_kept_apart(system: ak.System) -> None:
    """Killing one actor cancels its work alone."""
    one, other = await puppet(system), await puppet(system)
    log: list[str] = []

    async def work(owner: Strings) -> None:
        await trio.sleep(1)
        log.append(owner.ref.path)

    for actor in (one, other):
        await actor.do(lambda ctx, a=actor: ctx.start_soon(work, a))  # type: ignore[misc]
    one.ref.kill()
    await trio.sleep(2)
    assert log == [other.ref.path]
