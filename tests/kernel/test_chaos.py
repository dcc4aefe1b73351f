"""Anything actors can do to each other, in any mix: the books balance, nothing hangs, and nothing is left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import actorkit as ak
from tests.harness import open_checked_system, run_in_virtual_time, settle

Ctx = ak.Context[Any]
Peer = ak.Ref[Any]


@ak.message
class Deed:
    """Something to do to a peer, perhaps after waiting in some way; ``then`` is done in a ``finally``."""

    what: str
    peer: int
    wait: str
    then: str


@ak.message
class Question(ak.Request[int]):
    """Answered after the deed is done."""

    deed: Deed


@ak.message
class Feed(ak.StreamRequest[int]):
    """Answered with two numbers, the deed in between."""

    deed: Deed


class NotToday(ak.Refused):
    """A refusal."""


class Player(ak.Actor[Deed | Question | Feed]):
    """Does deeds. ``peers`` is shared by all: a name for each, whoever holds it now."""

    mailbox = ak.Mailbox(capacity=3)

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    @ak.on(Deed)
    async def deed(self, msg: Deed) -> None:
        await self.do(msg)

    @ak.on(Question)
    async def question(self, msg: Question) -> int:
        await self.do(msg.deed)
        return 1

    @ak.on(Feed)
    async def feed(self, msg: Feed) -> AsyncIterator[int]:
        yield 1
        await self.do(msg.deed)
        yield 2

    async def do(self, deed: Deed) -> None:
        """Wait, act, and act again however that went; asks and sends may fail, that is no crash."""
        try:
            await WAITS[deed.wait](self.ctx)
            await self.act(deed.what, deed.peer)
        finally:
            await self.act(deed.then, deed.peer)

    async def act(self, what: str, peer: int) -> None:
        try:
            await DEEDS[what](self, self.stage.ref(peer), peer)
        except (ak.ActorkitError, TimeoutError) as error:
            if isinstance(error, (ak.Refused, ak.Stop)):
                raise

    def down(self, down: ak.Down) -> None: ...

    def exited(self, signal: ak.Exit, /) -> None: ...

    async def stopping(self, reason: ak.ExitReason) -> None:
        await self.ctx.sleep(0.1)


class Trapper(Player):
    """As a player; exit signals are messages to it."""

    trap_exits = True


@attrs.define
class Stage:
    """The system and the names of its players."""

    system: ak.System

    def ref(self, number: int) -> Peer:
        return self.system.named(ak.Key[Any](f"p{number}"))

    async def enter(self, number: int) -> None:
        """Start a player, unless there is one of that number."""
        kind = Trapper if number == 2 else Player
        try:
            await self.system.spawn(ak.props(kind, self), name=f"p{number}")
        except ak.StartError:
            pass


EASY = Deed("nothing", 0, "nothing", "nothing")
HARD = Deed("nothing", 0, "sleep", "nothing")


async def _read(ref: Peer) -> None:
    async with ref.stream(Feed(EASY), timeout=1, window=1) as items:
        async for _ in items:
            await trio.lowlevel.checkpoint()


async def _later(self: Player, ref: Peer) -> None:
    await trio.sleep(0.5)
    ref.tell(EASY)
    await ref.ask(Question(EASY), timeout=1)


async def _spawn(self: Player) -> None:
    name = f"p{3 + len(self.ctx.children)}"
    await self.ctx.spawn(ak.props(Player, self.stage), name=name)


async def _raise(error: Exception) -> None:
    raise error


async def _call(function: Callable[..., object], *args: Any) -> None:
    function(*args)


DEEDS: dict[str, Callable[[Player, Peer, int], Awaitable[object]]] = {
    "nothing": lambda me, ref, n: _call(int),
    "tell": lambda me, ref, n: _call(ref.tell, HARD),
    "tell oneself": lambda me, ref, n: _call(me.ctx.self.tell, EASY),
    "send": lambda me, ref, n: ref.send(EASY),
    "ask": lambda me, ref, n: ref.ask(Question(EASY), timeout=1),
    "ask hard": lambda me, ref, n: ref.ask(Question(HARD), timeout=0.3),
    "stream": lambda me, ref, n: _read(ref),
    "kill": lambda me, ref, n: _call(ref.kill),
    "kill oneself": lambda me, ref, n: _call(me.ctx.self.kill),
    "exit": lambda me, ref, n: _call(me.ctx.exit, ref, ak.Failed("by a peer")),
    "shut down": lambda me, ref, n: _call(me.ctx.exit, ref, ak.Shutdown()),
    "stop": lambda me, ref, n: ref.stop(timeout=0.5),
    "stop oneself": lambda me, ref, n: _call(me.ctx.stop),
    "crash": lambda me, ref, n: _raise(ValueError("a deed")),
    "refuse": lambda me, ref, n: _raise(NotToday()),
    "end": lambda me, ref, n: _raise(ak.Stop(ak.Normal())),
    "link": lambda me, ref, n: _call(me.ctx.link, ref),
    "unlink": lambda me, ref, n: _call(me.ctx.unlink, ref),
    "watch": lambda me, ref, n: _call(me.ctx.watch, ref),
    "spawn": lambda me, ref, n: _spawn(me),
    "timer": lambda me, ref, n: _call(me.ctx.send_after, 0.2, EASY),
    "ticks": lambda me, ref, n: _call(me.ctx.send_every, 0.4, EASY),
    "idle": lambda me, ref, n: _call(me.ctx.idle_after, 0.3, EASY),
    "continue": lambda me, ref, n: _call(me.ctx.continue_with, EASY),
    "work": lambda me, ref, n: _call(me.ctx.start_soon, _later, me, ref),
    "suspend": lambda me, ref, n: _call(me.stage.system.suspend, ref),
    "resume": lambda me, ref, n: _call(me.stage.system.resume, ref),
    "look": lambda me, ref, n: me.stage.system.state_of(ref, timeout=0.3),
}


async def _in_scope(ctx: Ctx) -> None:
    with trio.move_on_after(0.1):
        await ctx.sleep(1)


async def _in_nursery(ctx: Ctx) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ctx.sleep, 0.1)
        nursery.start_soon(trio.sleep, 0.2)


async def _on_trio(_: Ctx) -> None:
    await trio.sleep(0.1)


async def _at_once(_: Ctx) -> None: ...


WAITS: dict[str, Callable[[Ctx], Awaitable[None]]] = {
    "nothing": _at_once,
    "sleep": lambda ctx: ctx.sleep(0.15),
    "on trio": _on_trio,
    "in a scope": _in_scope,
    "in a nursery": _in_nursery,
}

deeds = st.builds(
    Deed,
    st.sampled_from(sorted(DEEDS)),
    st.integers(0, 3),
    st.sampled_from(sorted(WAITS)),
    st.sampled_from(["nothing", *sorted(DEEDS)]),
)
cues = st.lists(
    st.tuples(st.integers(0, 2), deeds, st.sampled_from([0.0, 0.0, 0.05, 0.3])),
    min_size=3,
    max_size=25,
)


async def perform(script: list[tuple[int, Deed, float]], patient: bool) -> None:
    """Cue the players one after the other; whoever is missing is replaced before the next cue."""
    with trio.fail_after(1000):
        async with open_checked_system() as system:
            stage = Stage(system)
            for player, deed, pause in script:
                for number in range(3):
                    await stage.enter(number)
                stage.ref(player).tell(deed)
                await trio.sleep(pause)
            if patient:
                await trio.sleep(20)
                await settle()
                assert not system.runtime.dispatcher.ready


@settings(max_examples=150)
@given(cues, st.booleans())
def test_whatever_actors_do(script: list[tuple[int, Deed, float]], patient: bool) -> None:
    """Every message is accounted for, every actor ends, and no name, link, timer or fenced code survives the system."""
    run_in_virtual_time(partial(perform, script, patient))
