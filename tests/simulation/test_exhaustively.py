"""Small things in every order there is: no schedule is left out."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable

import pytest
import trio

import actorkit as ak
from actorkit.testing import Sim, simulate
from tests.simulation.law import end, insist


@ak.message
class Ask(ak.Request[int]):
    number: int


@ak.message
class Tell:
    number: int


@ak.message
class Watch(ak.Request[None]):
    ref: ak.Ref[Tell]


@ak.message
class Visit(ak.Request[int]):
    back: bool


class Log(ak.Actor[Ask | Tell]):
    """Notes numbers; parks over odd ones."""

    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    @ak.on(Ask)
    async def ask(self, msg: Ask) -> int:
        self.seen.append(msg.number)
        if msg.number % 2:
            await self.ctx.sleep(0)
        return msg.number

    @ak.on(Tell)
    def tell(self, msg: Tell) -> None:
        self.seen.append(msg.number)


class Watcher(ak.Actor[Watch]):
    """Watches, and is linked to, what it is told to."""

    trap_exits = True

    def __init__(self, downs: list[ak.Down], exits: list[ak.Exit]) -> None:
        self.downs = downs
        self.exits = exits

    @ak.on(Watch)
    def watch(self, msg: Watch) -> None:
        self.ctx.watch(msg.ref)
        self.ctx.link(msg.ref)

    def down(self, down: ak.Down) -> None:
        self.downs.append(down)

    def exited(self, signal: ak.Exit, /) -> None:
        self.exits.append(signal)


class Walker(ak.Actor[Visit]):
    """Visits the other one, which visits it back."""

    def __init__(self, others: list[ak.Ref[Visit]], number: int, circles: list[int]) -> None:
        self.others = others
        self.number = number
        self.circles = circles

    @ak.on(Visit)
    async def visit(self, msg: Visit) -> int:
        if msg.back:
            return 1
        try:
            return 1 + await self.others[1 - self.number].ask(Visit(back=True), timeout=None)
        except ak.CircularAsk:
            self.circles.append(self.number)
            return 0


async def ask_and_kill(sim: Sim) -> None:
    """Two ask while a third kills: each has its own reply, or is told of the death."""
    ref = await sim.spawn(Log, [])

    async def client(i: int) -> None:
        if i == 2:
            ref.kill()
            return
        try:
            insist(sim, await ref.ask(Ask(i), timeout=None) == i, "its own reply")
        except ak.ActorDied as error:
            insist(sim, error.reason in (ak.Killed(), ak.NoActor()), f"{error}")

    await sim.each(3, client)


async def watch_and_stop(sim: Sim) -> None:
    """One watches and links while others stop and kill: one notice of each kind, whatever comes first."""
    downs: list[ak.Down] = []
    exits: list[ak.Exit] = []
    ref = await sim.spawn(Log, [])
    watcher = await sim.spawn(Watcher, downs, exits)

    async def stop() -> None:
        try:
            await ref.stop(timeout=None)
        except ak.ActorDied:
            insist(sim, not ref.alive, "it was gone")

    async def kill() -> None:
        ref.kill()
        await trio.lowlevel.checkpoint()

    async def watch() -> None:
        await watcher.ask(Watch(ref), timeout=None)

    await sim.together(stop, kill, watch)
    await sim.settle()
    assert len(downs) == len(exits) == 1
    assert downs[0].reason == exits[0].reason


async def kill_and_restart(sim: Sim) -> None:
    """What two send to a child that is killed meanwhile is all handled, each one's in order."""
    seen: list[int] = []
    child = ak.Child("log", ak.props(Log, seen))
    top = await sim.start(ak.supervise(child))
    ref = top.child(child)

    async def client(i: int) -> None:
        ref.tell(Tell(i))
        await trio.lowlevel.checkpoint()
        ref.tell(Tell(i + 2))

    async def clients() -> None:
        await sim.each(2, client)

    async def kill() -> None:
        await trio.lowlevel.checkpoint()
        ref.kill()

    await sim.together(clients, kill)
    await sim.settle()
    assert sorted(seen) == [0, 1, 2, 3]
    assert seen.index(0) < seen.index(2)
    assert seen.index(1) < seen.index(3)


async def visit_each_other(sim: Sim) -> None:
    """Two that ask each other are never both refused, and never both wait for ever."""
    others: list[ak.Ref[Visit]] = []
    circles: list[int] = []
    for number in range(2):
        others.append(await sim.spawn(Walker, others, number, circles))

    async def client(i: int) -> None:
        insist(sim, await others[i].ask(Visit(back=False), timeout=None) in {0, 2}, "answered")

    await sim.each(2, client)
    assert len(circles) < 2


@pytest.mark.parametrize("body", [ask_and_kill, watch_and_stop, kill_and_restart, visit_each_other])
def test_in_every_order(body: Callable[[Sim], Awaitable[None]]) -> None:
    """The law that the small test states holds in all interleavings, and the search says that these were all."""

    async def whole(sim: Sim) -> None:
        await body(sim)
        await end(sim)

    simulated = simulate(strategy="exhaustive", max_traces=20_000)(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an incomplete search is no proof
        simulated()
    assert str(simulated.simulated.exploration).startswith("complete: ")
