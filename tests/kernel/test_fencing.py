"""Code of an actor that was killed can change nothing more, whichever door it tries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
import trio

import actorkit as ak
from tests.harness import (
    WAITS,
    Do,
    Puppet,
    Strings,
    Wait,
    assert_conserved,
    link,
    lost,
    puppet,
    puppet_props,
    reasons,
    settle,
    watch,
)
from tests.kernel.support import Note, failure_of


@attrs.frozen
class Scene:
    """What a dying actor may try to change."""

    system: ak.System
    peer: Strings
    tree: ak.SupervisorRef
    pool: ak.DynamicRef[..., object]


Attempt = Callable[[Scene, ak.Context[Any]], Any]

# What waits, or gives something back, raises.
RAISING: dict[str, Attempt] = {
    "stop_child": lambda s, ctx: ctx.stop_child(s.peer.ref, limit=1.0),
    "stop_children": lambda s, ctx: ctx.stop_children([s.peer.ref], limit=None, kill=True),
    "suspend": lambda s, _: s.system.suspend(s.peer.ref),
    "resume": lambda s, _: s.system.resume(s.peer.ref),
    "spawn": lambda s, _: s.system.spawn(puppet_props(s.peer.log), name="late"),
    "start": lambda s, _: s.system.start(ak.supervise(), name="late"),
    "send_after": lambda s, _: s.system.send_after(0.0, s.peer.ref, Note("late")),
    "state_of": lambda s, _: s.system.state_of(s.peer.ref),
    "replace_state": lambda s, _: s.system.replace_state(s.peer.ref, lambda _: {}),
    "supervisor stop": lambda s, _: s.tree.stop(),
    "pool stop": lambda s, _: s.pool.stop(),
}
# What never raises is dropped.
SILENT: dict[str, Attempt] = {
    "exit": lambda s, _: s.system.exit(s.peer.ref, ak.Failed("late")),
    "ctx.exit": lambda s, ctx: ctx.exit(s.peer.ref, ak.Failed("late")),
    "kill": lambda s, _: s.peer.ref.kill(),
    "ctx.stop": lambda _, ctx: ctx.stop(ak.Failed("late")),
    "unlink": lambda s, ctx: ctx.unlink(s.peer.ref),
    "drop_seat": lambda _, ctx: ctx.drop_seat("nobody"),
}


async def _shielded(_: ak.Context[Any]) -> None:
    """It cannot be unwound, is declared dead, and tries later."""
    with trio.CancelScope(shield=True):
        await trio.sleep(5)


# In all the others it is unwound at once, and tries from its ``finally``.
WAITING = pytest.mark.parametrize("wait", [*WAITS.values(), _shielded], ids=[*WAITS, "shielded"])


async def scene(system: ak.System) -> Scene:
    """Start all that could be changed."""
    peer = await puppet(system, trap=True)
    tree = await system.start(ak.supervise())
    pool = await system.start(ak.supervise_dynamic(ak.Child("w", puppet_props([]))))
    return Scene(system, peer, tree, pool)


async def try_when_killed(
    system: ak.System, wait: Wait, attempt: Callable[[ak.Context[Any]], Awaitable[None]]
) -> Strings:
    """Kill a puppet that makes an attempt as soon as its wait is over, and return when it has."""
    victim = await puppet(system)
    over = trio.Event()

    async def work(ctx: ak.Context[Any]) -> None:
        try:
            await wait(ctx)
        finally:
            try:
                await attempt(ctx)
            finally:
                over.set()

    victim.cue(work)
    await settle()
    victim.ref.kill()
    await over.wait()
    await settle()
    return victim


@WAITING
@pytest.mark.parametrize("name", RAISING)
async def test_what_a_dead_actor_begins_raises(system: ak.System, wait: Wait, name: str) -> None:
    """It gets ``ActorDied``, for it is the one that is dead, and nothing has changed."""
    s = await scene(system)
    failures: list[Exception] = []

    async def attempt(ctx: ak.Context[Any]) -> None:
        async def once() -> None:
            result = RAISING[name](s, ctx)
            if hasattr(result, "__await__"):
                await result

        failures.append(await failure_of(once()))

    victim = await try_when_killed(system, wait, attempt)
    (failure,) = failures
    assert isinstance(failure, ak.ActorDied)
    assert (failure.actor, failure.reason) == (victim.ref.path, ak.Killed())
    assert system.status(s.peer.ref).state == "running"
    assert s.peer.log == []
    assert await s.peer.do(lambda _: "unharmed") == "unharmed"
    assert s.tree.ref.alive
    assert s.pool.ref.alive
    assert system.names() == {}


@WAITING
@pytest.mark.parametrize("name", SILENT)
async def test_what_a_dead_actor_does_is_dropped(system: ak.System, wait: Wait, name: str) -> None:
    """What never raises does nothing: the peer hears of the death alone."""
    s = await scene(system)

    async def attempt(ctx: ak.Context[Any]) -> None:
        SILENT[name](s, ctx)

    victim = await try_when_killed(system, wait, attempt)
    assert await victim.ref.wait_stopped() == ak.Killed()
    await settle()
    assert s.peer.ref.alive
    assert s.peer.log == []


@WAITING
async def test_a_dead_actor_cannot_leave_its_links(system: ak.System, wait: Wait) -> None:
    """Who was linked to it hears of its death, though it unlinks in its ``finally``."""
    peer = await puppet(system, trap=True)
    victim = await puppet(system)
    await link(victim, peer)

    async def work(ctx: ak.Context[Any]) -> None:
        try:
            await wait(ctx)
        finally:
            ctx.unlink(peer.ref)

    victim.cue(work)
    await settle()
    victim.ref.kill()
    await victim.ref.wait_stopped()
    await settle()
    assert reasons(peer.exits) == [ak.Killed()]


async def test_a_dead_actors_monitors_end_with_it(system: ak.System) -> None:
    """``unwatch`` by the dead says that nothing was active."""
    victim, peer = await puppet(system), await puppet(system)
    monitor = await watch(victim, peer)
    found: list[bool] = []

    async def work(ctx: ak.Context[Any]) -> None:
        ctx.self.kill()
        found.append(ctx.unwatch(monitor))

    victim.cue(work)
    await victim.ref.wait_stopped()
    assert found == [False]
    assert len(system.runtime.relations) == 0


# Answers -----------------------------------------------------------------------------------------


@ak.message
class Later(ak.Request[int]):
    """Its reply is deferred."""


@ak.message
class Feed(ak.StreamRequest[int]):
    """Its stream is handed out."""


class Answering(Puppet):
    """Puts every answer off."""

    def __init__(self, log: list[object]) -> None:
        super().__init__(log)
        self.reply: ak.Reply[int] | None = None
        self.out: ak.ReplyStream[int] | None = None

    @ak.on(Later)
    def later(self, msg: Later, reply: ak.Reply[int]) -> None:
        """Defer."""
        self.reply = reply

    @ak.on(Feed)
    async def feed(self, msg: Feed, out: ak.ReplyStream[int]) -> None:
        """Send one item, and go on later."""
        self.out = out
        await out.send(1)

    @ak.on(Do)
    async def do(self, msg: Do) -> Any:
        """Wait, and answer all in the end."""
        try:
            await msg.act(self.ctx)
        finally:
            if self.reply is not None:
                self.log.append(self.reply.send(5))
            if self.out is not None:
                self.out.close()


@contextmanager
def died_of(reason: ak.ExitReason) -> Iterator[None]:
    """Expect to be told of a death, at once."""
    with pytest.raises(ak.ActorDied) as caught:
        yield
    assert caught.value.reason == reason


@WAITING
async def test_a_reply_of_the_dead_is_no_reply(system: ak.System, wait: Wait) -> None:
    """Whoever waits for a deferred reply is told of the death, though the dying code answers in its ``finally``."""
    log: list[object] = []
    victim = await system.spawn(ak.props(Answering, log))

    async def ask() -> None:
        with died_of(ak.Killed()):
            await victim.ask(Later(), timeout=100)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await settle()
        victim.tell(Do(wait))
        await settle()
        victim.kill()
    assert trio.current_time() <= 1.0
    await trio.sleep(10)
    assert log == [False]
    assert lost(system, ak.DeadReason.LATE_REPLY) == [5]
    assert_conserved(system)


@WAITING
async def test_the_dead_do_not_end_their_streams_in_good_order(
    system: ak.System, wait: Wait
) -> None:
    """A reader is told of the death, though the dying code closes its stream in its ``finally``."""
    victim = await system.spawn(ak.props(Answering, []))

    async def read(items: AsyncIterator[int], got: list[int]) -> None:
        with died_of(ak.Killed()):
            async for item in items:
                got.append(item)

    got: list[int] = []
    async with victim.stream(Feed(), timeout=100) as items, trio.open_nursery() as nursery:
        nursery.start_soon(read, items, got)
        await settle()
        victim.tell(Do(wait))
        await settle()
        victim.kill()
    assert got == [1]
    await trio.sleep(10)
