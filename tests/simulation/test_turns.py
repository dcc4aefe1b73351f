"""An actor's handlers and hooks never run at the same time, whatever they wait for, whoever is killed meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import attrs
import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import insist, law, start


@ak.message
class Do:
    way: str


@ak.message
class Inquire(ak.Request[str]):
    way: str


@ak.message
class Later(ak.Request[str]):
    pass


@ak.message
class Feed(ak.StreamRequest[int]):
    pass


@ak.message
class Ping(ak.Request[int]):
    pass


@attrs.define
class Stage:
    """Where at most one may stand: one handler or hook of one incarnation."""

    sim: Sim
    inside: str = ""

    @contextmanager
    def turn(self, what: str) -> Iterator[None]:
        """Stand on the stage for as long as a handler or hook lasts."""
        insist(self.sim, not self.inside, f"{what} has the stage to itself, not with {self.inside}")
        self.inside = what
        try:
            yield
        finally:
            self.inside = ""


class Peer(ak.Actor[Ping]):
    """Somebody to wait for, and to hear of."""

    @ak.on(Ping)
    async def ping(self, msg: Ping) -> int:
        await self.ctx.sleep(0.05)
        return 1


class Single(ak.Actor[Do | Inquire | Later | Feed]):
    """Waits in every way there is, in every kind of handler and hook."""

    trap_exits = True

    def __init__(self, stage: Stage) -> None:
        with stage.turn("constructor"):
            self.stage = stage
            self.peer: ak.Ref[Ping] | None = None

    async def started(self) -> None:
        with self.stage.turn("started"):
            await self.ctx.sleep(0.01)
            self.ctx.start_soon(self.work)
            await trio.lowlevel.checkpoint()

    async def stopping(self, reason: ak.ExitReason) -> None:
        with self.stage.turn("stopping"):
            await self.ctx.sleep(0.01)
            await trio.sleep(0.01)

    async def down(self, down: ak.Down) -> None:
        with self.stage.turn("down"):
            await trio.sleep(0.01)

    async def exited(self, signal: ak.Exit, /) -> None:
        with self.stage.turn("exited"):
            await self.ctx.sleep(0.01)

    async def work(self) -> None:
        """In the background: it may run beside anything."""
        await trio.sleep(0.02)
        self.ctx.self.tell(Do("now"))

    @ak.on(Do)
    async def do(self, msg: Do) -> None:
        with self.stage.turn(f"do {msg.way}"):
            await self._wait(msg.way)

    @ak.on(Inquire)
    async def inquire(self, msg: Inquire) -> str:
        with self.stage.turn(f"inquire {msg.way}"):
            await self._wait(msg.way)
            return msg.way

    @ak.on(Later)
    async def later(self, msg: Later, reply: ak.Reply[str]) -> None:
        with self.stage.turn("later"):
            await self.ctx.sleep(0.01)
            self.ctx.start_soon(self._answer, reply)

    async def _answer(self, reply: ak.Reply[str]) -> None:
        await trio.sleep(0.03)
        reply.send("later")

    @ak.on(Feed)
    async def feed(self, msg: Feed) -> AsyncIterator[int]:
        with self.stage.turn("feed"):
            for number in range(2):
                yield number
                await trio.sleep(0.01)

    async def _wait(self, way: str) -> None:
        match way:
            case "park":
                await self.ctx.sleep(0.02)
            case "on trio":
                await trio.sleep(0.02)
            case "ask":
                await self._ask()
            case "nest":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._ask)
                    nursery.start_soon(trio.sleep, 0.01)
                    self.ctx.self.tell(Do("now"))
            case _:
                pass

    async def _ask(self) -> None:
        if self.peer is None:
            self.peer, _ = await self.ctx.spawn_watched(ak.props(Peer), link=True)
        try:
            await self.peer.ask(Ping(), timeout=0.04)
        except ak.AskError:
            self.peer.kill()
            self.peer = None


WAYS = ("now", "park", "on trio", "ask", "nest")
SINGLE = "single"


async def _use(ref: ak.Ref[Do | Inquire | Later | Feed], i: int) -> None:
    for way in (WAYS[i], WAYS[i + 2]):
        ref.tell(Do(way))
        match i:
            case 0:
                await ref.ask(Inquire(way), timeout=0.3)
            case 1:
                await ref.ask(Later(), timeout=0.3)
            case _:
                async with ref.stream(Feed(), timeout=0.3, window=1) as items:
                    async for _ in items:
                        await trio.sleep(0.01)


@law(faults=[kill_actor(), crash_actor(), early_timer()], sometimes=["a client is let down"])
async def test_one_message_at_a_time(sim: Sim) -> None:
    """No handler or hook begins before the one before has ended, in this incarnation and in the next."""
    stage = Stage(sim)
    child = ak.Child(SINGLE, ak.props(Single, stage))
    top = await start(sim, ak.supervise(child, max_restarts=1000), name="top")

    async def client(i: int) -> None:
        try:
            await _use(top.child(child), i)
        except ak.AskError:
            sim.sometimes("a client is let down")

    await sim.each(3, client)


@ak.message
class Say(ak.Request[int]):
    way: str


class No(ak.Refused):
    pass


class Curt(ak.Actor[Say]):
    """Answers, refuses, or puts off, without ever waiting."""

    mailbox = ak.Mailbox(capacity=3)

    def __init__(self, turns: list[str]) -> None:
        self.turns = turns

    @ak.on(Say)
    def say(self, msg: Say, reply: ak.Reply[int]) -> None:
        self.turns.append(msg.way)
        if msg.way == "refuse":
            raise No("never")
        reply.send(1)


class Plain(ak.Actor[Say]):
    """So, with a handler that answers at once."""

    def __init__(self, turns: list[str]) -> None:
        self.turns = turns

    @ak.on(Say)
    def say(self, msg: Say) -> int:
        self.turns.append(msg.way)
        if msg.way == "refuse":
            raise No("never")
        return 1


@law(faults=[kill_actor("/*")], sometimes=["refused"])
async def test_each_message_is_a_turn(sim: Sim) -> None:
    """Others may go on after every message, whether it was answered, refused, told or let in at the door."""
    turns: list[str] = []
    seen = [0]
    refs = [await sim.spawn(ak.props(kind, turns)) for kind in (Curt, Plain)]

    def one_more() -> bool:
        before, seen[0] = seen[0], len(turns)
        return len(turns) - before <= 1

    sim.always(one_more, "one message a turn")

    async def client(i: int) -> None:
        for way in ("refuse", "answer", "refuse"):
            refs[i % 2].tell(Say(way))
            try:
                await refs[i % 2].send(Say("refuse"))
                await refs[i % 2].ask(Say(way))
            except No:
                sim.sometimes("refused")
            except ak.AskError:
                sim.note("no room, or killed")

    await sim.each(4, client)
