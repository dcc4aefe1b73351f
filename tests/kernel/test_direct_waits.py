"""Where a handler waits: parked, with no trio task of its own, or pinned to its carrier, and what it keeps meanwhile."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.kernel import dispatcher as dispatcher_module
from actorkit.kernel.wait import CURRENT, Carrier, direct_cell
from tests.harness import Do, Strings, puppet, puppet_props, settle
from tests.kernel.support import Note

Act = Callable[[ak.Context[Any]], Awaitable[object]]


async def busy_peer(system: ak.System) -> Strings:
    """An actor that sleeps for a minute, and answers then."""
    peer = await puppet(system)
    peer.cue(lambda ctx: ctx.sleep(60))
    return peer


def pinned(system: ak.System) -> int:
    """How many actors hold a carrier now."""
    return system.runtime.dispatcher.pinned


class SlowStarter(ak.Actor[Note]):
    """Takes a minute to start, on the kernel's clock."""

    async def started(self) -> None:
        await self.ctx.sleep(60)

    @ak.on(Note)
    def note(self, msg: Note) -> None: ...


async def _ask(ctx: ak.Context[Any], peer: Strings) -> None:
    await peer.ref.ask(Do(lambda _: 1), timeout=None)


async def _sleep(ctx: ak.Context[Any], peer: Strings) -> None:
    await ctx.sleep(60)


async def _spawn(ctx: ak.Context[Any], peer: Strings) -> None:
    await ctx.spawn(ak.props(SlowStarter))


async def _wait_stopped(ctx: ak.Context[Any], peer: Strings) -> None:
    with pytest.raises(TimeoutError):
        await peer.ref.stop(timeout=30)


async def _in_a_call(ctx: ak.Context[Any], peer: Strings) -> None:
    async def deeper() -> None:
        try:
            await _ask(ctx, peer)
        finally:
            await ctx.sleep(1)

    await deeper()


async def _after_a_scope(ctx: ak.Context[Any], peer: Strings) -> None:
    with trio.move_on_after(10):
        await ctx.sleep(0)
    async with trio.open_nursery():
        pass
    await ctx.sleep(60)


DIRECT = pytest.mark.parametrize(
    "wait", [_ask, _sleep, _spawn, _wait_stopped, _in_a_call, _after_a_scope]
)


@DIRECT
async def test_direct_waits_park_the_actor(
    system: ak.System, wait: Callable[[ak.Context[Any], Strings], Awaitable[None]]
) -> None:
    """A hundred handlers that wait for something of ours hold no carrier and need no task."""
    peer = await busy_peer(system)
    actors = [await puppet(system) for _ in range(100)]
    await settle()
    tasks = trio.lowlevel.current_statistics().tasks_living
    for actor in actors:
        actor.cue(lambda ctx: wait(ctx, peer))
        actor.ref.tell(Note("next"))
    await settle()
    assert pinned(system) == 0
    assert trio.lowlevel.current_statistics().tasks_living < tasks + 10  # not a hundred
    assert [actor.log for actor in actors] == [[]] * 100
    await trio.sleep(65)
    assert [actor.log for actor in actors] == [[Note("next")]] * 100


async def _in_a_scope(ctx: ak.Context[Any], peer: Strings) -> None:
    with trio.fail_after(100):
        await _ask(ctx, peer)


async def _in_a_nursery(ctx: ak.Context[Any], peer: Strings) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_ask, ctx, peer)
        nursery.start_soon(_sleep, ctx, peer)


async def _in_a_nurserys_body(ctx: ak.Context[Any], peer: Strings) -> None:
    async with trio.open_nursery():
        await _ask(ctx, peer)


async def _in_trios_sleep(ctx: ak.Context[Any], peer: Strings) -> None:
    await trio.sleep(60)


async def _in_a_shield(ctx: ak.Context[Any], peer: Strings) -> None:
    with trio.CancelScope(shield=True):
        await ctx.sleep(60)


SCOPED = pytest.mark.parametrize(
    "wait", [_in_a_scope, _in_a_nursery, _in_a_nurserys_body, _in_trios_sleep, _in_a_shield]
)


@SCOPED
async def test_scoped_waits_go_through_trio(
    system: ak.System, wait: Callable[[ak.Context[Any], Strings], Awaitable[None]]
) -> None:
    """Inside a cancel scope or nursery of its own a handler waits on trio, and holds its carrier until it is through."""
    peer = await busy_peer(system)
    actors = [await puppet(system) for _ in range(20)]
    for actor in actors:
        actor.cue(lambda ctx: wait(ctx, peer))
        actor.ref.tell(Note("next"))
    await settle()
    assert pinned(system) == 20
    await trio.sleep(65)
    assert pinned(system) == 0
    assert [actor.log for actor in actors] == [[Note("next")]] * 20


async def test_a_handler_changes_sides_as_often_as_it_likes(system: ak.System) -> None:
    """Pinned while on trio, parked right after: the carrier is given back at once."""
    peer, actor = await puppet(system), await puppet(system)
    seen: list[int] = []

    async def wander(ctx: ak.Context[Any]) -> None:
        for _ in range(3):
            await trio.sleep(1)
            await ctx.sleep(1)
            await peer.do(lambda _: seen.append(pinned(system)))
            with trio.fail_after(5):
                await peer.do(lambda _: seen.append(pinned(system)))

    actor.cue(wander)
    await trio.sleep(10)
    assert seen == [0, 1] * 3


async def test_cancelling_an_ask_in_a_scope_leaves_nothing_behind(system: ak.System) -> None:
    """An ask given up by the handler's own scope comes to nothing; the reply is late, and the actor goes on."""
    peer, actor = await busy_peer(system), await puppet(system)

    async def give_up(ctx: ak.Context[Any]) -> bool:
        with trio.move_on_after(5) as scope:
            await _ask(ctx, peer)
        return scope.cancelled_caught

    assert await actor.do(give_up, timeout=10)
    assert actor.ref._cell.waiting is None  # noqa: SLF001 - the wait-for graph is the kernel's own
    await trio.sleep(60)
    assert system.dead_letters.counts == {ak.DeadReason.LATE_REPLY: 1}


# A trio that keeps its secrets -------------------------------------------------------------------------------------


class StrangeCarrier(Carrier):
    """A carrier on a trio that does not tell which cancel scopes are open."""

    __slots__ = ()

    def __init__(self, task: trio.lowlevel.Task | None, scope: trio.CancelScope | None) -> None:
        super().__init__(task, scope)
        self.base = self


async def test_without_direct_waits_everything_waits_on_trio(
    system: ak.System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asks, sleeps, time-outs and kills work as ever; only carriers are held while they last."""
    monkeypatch.setattr(dispatcher_module, "Carrier", StrangeCarrier)
    peer, actor = await busy_peer(system), await puppet(system)
    actor.cue(lambda ctx: ctx.sleep(5))
    await settle()
    assert pinned(system) == 2

    async def impatient(ctx: ak.Context[Any]) -> str:
        try:
            await peer.ref.ask(Do(lambda _: 1), timeout=1)
        except ak.AskTimeout:
            return "in time"
        return "never"

    assert await actor.do(impatient, timeout=10) == "in time"
    assert await actor.do(lambda ctx: ctx.spawn(puppet_props([])))
    actor.cue(lambda ctx: _ask(ctx, peer))
    await settle()
    actor.ref.kill()
    assert await actor.ref.wait_stopped() == ak.Killed()
    peer.ref.kill()
    assert await peer.ref.wait_stopped() == ak.Killed()


def test_a_trio_without_the_private_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """If trio's tasks lose the one attribute we read, no wait counts as direct, and nothing fails."""
    task: Any = object()
    carrier = Carrier(task, None)
    me = SimpleNamespace(carrier=carrier)
    monkeypatch.setattr(trio.lowlevel, "current_task", lambda: task)
    context = contextvars.copy_context()
    context.run(CURRENT.set, me)
    assert context.run(direct_cell) is None
    assert carrier.base is carrier


def test_this_trio_tells() -> None:
    """On the trio the tests run with, direct waits are told apart: else everything would be slow."""

    async def look() -> object:
        return Carrier(trio.lowlevel.current_task(), None).base

    assert type(trio.run(look)).__name__ == "CancelStatus"


# Context variables -------------------------------------------------------------------------------------------------

COLOUR: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


@pytest.mark.parametrize("wait", [_sleep, _in_trios_sleep, _in_a_scope, _in_a_nursery])
async def test_context_variables_survive_waiting(
    system: ak.System, wait: Callable[[ak.Context[Any], Strings], Awaitable[None]]
) -> None:
    """A variable set in a handler is still set after any wait, and in the next handler; no other actor sees it."""
    peer, one, other = await busy_peer(system), await puppet(system), await puppet(system)
    seen: dict[str, list[str]] = {"one": [], "other": []}

    async def paint(ctx: ak.Context[Any], name: str, colour: str) -> None:
        seen[name].append(COLOUR.get())
        COLOUR.set(colour)
        await wait(ctx, peer)
        seen[name].append(COLOUR.get())

    for colour in ("red", "green"):
        one.cue(lambda ctx, c=colour: paint(ctx, "one", c))  # type: ignore[misc]
    other.cue(lambda ctx: paint(ctx, "other", "blue"))
    await trio.sleep(150)
    assert seen == {"one": ["none", "red", "red", "green"], "other": ["none", "blue"]}
    assert COLOUR.get() == "none"
    assert await peer.do(lambda _: COLOUR.get()) == "none"


async def test_actors_start_in_the_context_of_their_system(system: ak.System) -> None:
    """What the program set before it opened the system is seen by all its actors; what their starter set later is not."""
    COLOUR.set("early")
    async with ak.open_system("inner", logs=False, watchdog=None) as inner:
        COLOUR.set("late")
        parent = await puppet(inner)

        async def spawn(ctx: ak.Context[Any]) -> object:
            COLOUR.set("parent's")
            child: ak.Ref[object] = await ctx.spawn(puppet_props([]))
            return await child.ask(Do(lambda _: COLOUR.get()))

        assert await parent.do(spawn) == "early"
        assert await parent.do(lambda _: COLOUR.get()) == "parent's"


async def test_a_handlers_own_tasks_have_its_context(system: ak.System) -> None:
    """A nursery's tasks inherit the handler's context; what they set stays with them. Background work starts anew."""
    actor = await puppet(system)
    seen: list[str] = []

    async def look_and_paint(colour: str) -> None:
        seen.append(COLOUR.get())
        COLOUR.set(colour)
        await trio.lowlevel.checkpoint()
        seen.append(COLOUR.get())

    async def work(ctx: ak.Context[Any]) -> None:
        COLOUR.set("mine")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_and_paint, "task's")
        seen.append(COLOUR.get())
        ctx.start_soon(look_and_paint, "background's")
        await ctx.sleep(1)
        seen.append(COLOUR.get())

    await actor.do(work)
    assert seen == ["mine", "task's", "mine", "none", "background's", "mine"]
