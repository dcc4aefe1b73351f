"""Actors that do to each other whatever a script says: everything the public API can do, after waiting in every way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import trio

import actorkit as ak
from actorkit.testing import Sim


@ak.message
class Deed:
    """Something to do to a peer after waiting in some way; ``then`` is done in a ``finally``."""

    what: str
    peer: int
    wait: str
    then: str


@ak.message
class Question(ak.Request[int]):
    """Answered after the deed is done."""

    deed: Deed


@ak.message
class Riddle(ak.Request[int]):
    """Answered by background work, while the deed is done."""

    deed: Deed


@ak.message
class Feed(ak.StreamRequest[int]):
    """Answered with two numbers, the deed in between."""

    deed: Deed


@ak.message
class Pour(ak.StreamRequest[int]):
    """Answered with three numbers by background work, while the deed is done."""

    deed: Deed


class NotToday(ak.Refused):
    """A refusal."""


Peer = ak.Ref[Any]
EASY = Deed("nothing", 0, "nothing", "nothing")
HARD = Deed("nothing", 0, "park", "nothing")


class Player(ak.Actor[Deed | Question | Riddle | Feed | Pour]):
    """Does deeds."""

    mailbox = ak.Mailbox(capacity=3)

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def started(self) -> None:
        match self.ctx.rng.randrange(8):
            case 0:
                await self.ctx.sleep(0.1)
            case 1:
                await trio.sleep(0.1)
            case 2 if not self.stage.calm:
                raise ValueError("stage fright")
            case _:
                pass

    async def stopping(self, reason: ak.ExitReason) -> None:
        await self.ctx.sleep(0.1)

    @ak.on(Deed)
    async def deed(self, msg: Deed) -> None:
        await self.do(msg)

    @ak.on(Question)
    async def question(self, msg: Question) -> int:
        await self.do(msg.deed)
        return 1

    @ak.on(Riddle)
    async def riddle(self, msg: Riddle, reply: ak.Reply[int]) -> None:
        self.ctx.start_soon(self._solve, reply)
        await self.do(msg.deed)

    async def _solve(self, reply: ak.Reply[int]) -> None:
        await trio.sleep(0.1)
        reply.send(1)

    @ak.on(Feed)
    async def feed(self, msg: Feed) -> AsyncIterator[int]:
        yield 1
        await self.do(msg.deed)
        yield 2

    @ak.on(Pour)
    async def pour(self, msg: Pour, reply: ak.ReplyStream[int]) -> None:
        self.ctx.start_soon(self._pour, reply)
        await self.do(msg.deed)

    async def _pour(self, reply: ak.ReplyStream[int]) -> None:
        for number in range(3):
            await reply.send(number)
        reply.close()

    async def do(self, deed: Deed) -> None:
        """Wait, act, and act again however that went; what fails by the rules is no crash."""
        try:
            await WAITS[deed.wait](self.ctx)
            await self.act(deed.what, deed.peer)
        finally:
            await self.act(deed.then, deed.peer)

    async def act(self, what: str, peer: int) -> None:
        """Do one thing."""
        try:
            await DEEDS[what](self, self.stage.peer(peer))
        except (ak.ActorkitError, TimeoutError) as error:
            if isinstance(error, (NotToday, ak.Stop)):
                raise


class Trapper(Player):
    """As a player; exit signals are messages to it."""

    trap_exits = True


@attrs.define(eq=False)
class Stage:
    """A tree of players: one by itself, two below a supervisor of their own, and a pool of more."""

    sim: Sim
    calm: bool = False
    peers: list[Peer] = attrs.Factory(list)
    doors: list[Peer] = attrs.Factory(list)

    def peer(self, number: int) -> Peer:
        """A player by its place, or by its name, whoever has it now."""
        if number < len(self.peers):
            return self.peers[number]
        return self.sim.system.named(ak.Key[Any](f"p{number - len(self.peers)}"))

    @property
    def top(self) -> ak.SupervisorRef:
        """The door of the tree."""
        return ak.SupervisorRef(self.doors[0])

    @property
    def pool(self) -> ak.DynamicRef[..., Any]:
        """The door of the pool."""
        return ak.DynamicRef(self.doors[2])


# Deeds -------------------------------------------------------------------------------------------


async def _read(ref: Peer, request: Feed | Pour) -> None:
    async with ref.stream(request, timeout=1, window=1) as items:
        async for _ in items:
            await trio.lowlevel.checkpoint()


async def _work(ref: Peer) -> None:
    await trio.sleep(0.2)
    ref.tell(EASY)
    await ref.ask(Question(EASY), timeout=1)


async def _many(ref: Peer) -> None:
    """Ask and send at once, from a nursery."""
    async with trio.open_nursery() as nursery:
        for seconds in (0.1, 0.3):
            nursery.start_soon(_try, partial(ref.ask, Question(HARD), timeout=seconds))
        nursery.start_soon(_try, partial(ref.send, EASY))


async def _try(function: Callable[[], Awaitable[object]]) -> None:
    try:
        await function()
    except ak.ActorkitError:
        pass


async def _raise(error: Exception) -> None:
    raise error


async def _shield(me: Player) -> None:
    """Be longer in dying than the kernel waits for."""
    with trio.CancelScope(shield=True):
        await trio.sleep(2.0)
    raise NotToday


async def _spawn(me: Player, **options: Any) -> None:
    await me.ctx.spawn(ak.props(Player, me.stage), **options)


async def _call(function: Callable[..., object], *args: Any) -> None:
    function(*args)


Act = Callable[[Player, Peer], Awaitable[object]]

DEEDS: dict[str, Act] = {
    "nothing": lambda me, ref: _call(int),
    "tell": lambda me, ref: _call(ref.tell, HARD),
    "tell oneself": lambda me, ref: _call(me.ctx.self.tell, EASY),
    "send": lambda me, ref: ref.send(HARD),
    "ask": lambda me, ref: ref.ask(Question(EASY), timeout=None),
    "ask hard": lambda me, ref: ref.ask(Question(HARD), timeout=0.1),
    "ask a riddle": lambda me, ref: ref.ask(Riddle(HARD), timeout=0.3),
    "many": lambda me, ref: _many(ref),
    "stream": lambda me, ref: _read(ref, Feed(HARD)),
    "pour": lambda me, ref: _read(ref, Pour(EASY)),
    "kill": lambda me, ref: _call(ref.kill),
    "kill oneself": lambda me, ref: _call(me.ctx.self.kill),
    "kill a door": lambda me, ref: _call(me.stage.doors[1 + me.ctx.rng.randrange(2)].kill),
    "exit": lambda me, ref: _call(me.ctx.exit, ref, ak.Failed("by a peer")),
    "shut down": lambda me, ref: _call(me.ctx.exit, ref, ak.Shutdown()),
    "stop": lambda me, ref: ref.stop(timeout=0.5),
    "stop oneself": lambda me, ref: _call(me.ctx.stop),
    "stop child": lambda me, ref: me.ctx.stop_child(ref, limit=0.2),
    "terminate": lambda me, ref: me.stage.top.terminate_child("p0"),
    "restart": lambda me, ref: me.stage.top.restart_child("p0"),
    "crash": lambda me, ref: _raise(ValueError("a deed")),
    "refuse": lambda me, ref: _raise(NotToday()),
    "end": lambda me, ref: _raise(ak.Stop(ak.Normal())),
    "shield": lambda me, ref: _shield(me),
    "link": lambda me, ref: _call(me.ctx.link, ref),
    "unlink": lambda me, ref: _call(me.ctx.unlink, ref),
    "watch": lambda me, ref: _call(me.ctx.watch, ref),
    "spawn": lambda me, ref: _spawn(me, name="p3"),
    "spawn unlinked": lambda me, ref: _spawn(me, link=False, start_timeout=0.05),
    "start in the pool": lambda me, ref: me.stage.pool.start_child(),
    "timer": lambda me, ref: _call(me.ctx.send_after, 0.2, EASY),
    "timer for another": lambda me, ref: _call(me.stage.sim.system.send_after, 0.1, ref, EASY),
    "ticks": lambda me, ref: _call(me.ctx.send_every, 0.4, EASY),
    "idle": lambda me, ref: _call(me.ctx.idle_after, 0.3, EASY),
    "continue": lambda me, ref: _call(me.ctx.continue_with, EASY),
    "work": lambda me, ref: _call(me.ctx.start_soon, _work, ref),
    "suspend": lambda me, ref: _call(me.stage.sim.system.suspend, ref),
    "resume": lambda me, ref: _call(me.stage.sim.system.resume, ref),
    "look": lambda me, ref: me.stage.sim.system.state_of(ref, timeout=0.3),
}


async def _in_scope(ctx: ak.Context[Any]) -> None:
    with trio.move_on_after(0.1):
        await ctx.sleep(1)


async def _in_nursery(ctx: ak.Context[Any]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ctx.sleep, 0.1)
        nursery.start_soon(trio.sleep, 0.2)


async def _on_trio(_: ak.Context[Any]) -> None:
    await trio.sleep(0.1)


async def _at_once(_: ak.Context[Any]) -> None: ...


WAITS: dict[str, Callable[[ak.Context[Any]], Awaitable[None]]] = {
    "nothing": _at_once,
    "park": lambda ctx: ctx.sleep(0.15),
    "on trio": _on_trio,
    "in a scope": _in_scope,
    "in a nursery": _in_nursery,
}
