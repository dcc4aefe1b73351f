"""Timers never come early; a cancelled one never comes; periodic ones do not drift; all die with their actor."""

from __future__ import annotations

import math

import trio

import actorkit as ak
from actorkit.testing import Sim, early_timer, kill_actor
from tests.simulation.law import insist, law, start


@ak.message
class Set:
    """Set a timer of your own."""

    number: int
    seconds: float


@ak.message
class Cancel:
    number: int


@ak.message
class Due:
    """A timer's message."""

    number: int
    incarnation: int


@ak.message
class Tick:
    incarnation: int


@ak.message
class Quiet:
    incarnation: int


@ak.message
class Nap:
    """Be busy, so that timers fire and wait."""

    seconds: float


Vocabulary = Set | Cancel | Due | Tick | Quiet | Nap


class Sleeper(ak.Actor[Vocabulary]):
    """Sets timers, cancels some, and looks at each that comes."""

    def __init__(self, sim: Sim, births: list[int]) -> None:
        births.append(len(births))
        self.incarnation = births[-1]
        self.sim = sim
        self.timers: dict[int, tuple[float, ak.TimerHandle]] = {}
        self.since = self.ticks = 0.0
        self.ticking: ak.TimerHandle | None = None

    def started(self) -> None:
        self.since = self.ctx.now()
        self.ticking = self.ctx.send_every(0.2, Tick(self.incarnation))

    def _mine(self, incarnation: int) -> None:
        insist(self.sim, incarnation == self.incarnation, "timers die with their incarnation")

    @ak.on(Set)
    def set(self, msg: Set) -> None:
        handle = self.ctx.send_after(msg.seconds, Due(msg.number, self.incarnation))
        self.timers[msg.number] = (self.ctx.now() + msg.seconds, handle)

    @ak.on(Cancel)
    def cancel(self, msg: Cancel) -> None:
        found = self.timers.pop(msg.number, None)
        if found is None:
            return
        deadline, handle = found
        remaining = handle.cancel()
        self.sim.sometimes("cancelled after it had fired", remaining is None)
        if remaining is not None:
            insist(
                self.sim,
                math.isclose(remaining, max(0.0, deadline - self.ctx.now())),
                "cancel tells what remained",
            )
        insist(self.sim, handle.cancel() is None, "it can be cancelled once")

    @ak.on(Due)
    def due(self, msg: Due) -> None:
        self._mine(msg.incarnation)
        insist(
            self.sim, msg.number in self.timers, "a cancelled timer does not come, nor one twice"
        )
        deadline, handle = self.timers.pop(msg.number)
        insist(self.sim, self.ctx.now() >= deadline, "no timer comes early")
        insist(self.sim, handle.remaining is None, "nothing remains of one that has come")

    @ak.on(Tick)
    async def tick(self, msg: Tick) -> None:
        self._mine(msg.incarnation)
        insist(self.sim, self.ticking is not None, "a cancelled interval does not come")
        self.ticks += 1
        most = (self.ctx.now() - self.since) / 0.2
        insist(self.sim, self.ticks <= most + 1e-9, "a tick is not early, and never made up for")
        if self.ticks == 2:
            self.ctx.idle_after(0.15, Quiet(self.incarnation))
        if self.ticks == 3:
            await trio.sleep(0.7)
        if self.ticks == 5 and self.ticking is not None:
            self.ticking.cancel()
            self.ticking = None

    @ak.on(Quiet)
    def quiet(self, msg: Quiet) -> None:
        self._mine(msg.incarnation)
        self.sim.sometimes("it was quiet")

    @ak.on(Nap)
    async def nap(self, msg: Nap) -> None:
        await self.ctx.sleep(msg.seconds)


@law(
    faults=[kill_actor(), early_timer()], sometimes=["cancelled after it had fired", "it was quiet"]
)
async def test_timers_come_when_they_should(sim: Sim) -> None:
    """No timer is early, comes twice, comes cancelled or to the next incarnation; intervals are not made up for."""
    births: list[int] = []
    child = ak.Child("sleeper", ak.props(Sleeper, sim, births))
    top = await start(sim, ak.supervise(child, max_restarts=1000), name="top")
    ref = top.child(child)

    async def client(i: int) -> None:
        for n in range(3):
            number = 10 * i + n
            ref.tell(Set(number, (0.0, 0.1, 0.2)[(i + n) % 3]))
            if n == 1:
                ref.tell(Nap(0.25))
            await trio.sleep(0.1 * (n % 2))
            ref.tell(Cancel(number))

    await sim.each(2, client)
    await sim.advance(3.0)
    ref.tell(Nap(0.1))


@law(faults=[kill_actor(), early_timer()])
async def test_nobody_wakes_early(sim: Sim) -> None:
    """A sleep in a handler lasts as long as it should, parked or in a scope, whatever wakes others; nobody sleeps for ever."""

    class Lazy(ak.Actor[Nap]):
        @ak.on(Nap)
        async def nap(self, msg: Nap) -> None:
            until = self.ctx.now() + msg.seconds
            await self.ctx.sleep(msg.seconds)
            insist(sim, self.ctx.now() >= until, "parked: not early")
            until = self.ctx.now() + msg.seconds
            with trio.move_on_after(msg.seconds):
                await self.ctx.sleep(msg.seconds + 0.05)
            insist(sim, self.ctx.now() >= until, "in a scope: not early")

    children = [ak.Child(f"lazy-{n}", ak.props(Lazy)) for n in range(3)]
    top = await start(sim, ak.supervise(*children, max_restarts=1000), name="top")
    for n, child in enumerate(children):
        top.child(child).tell(Nap(0.1 * n))
        top.child(child).tell(Nap(0.1))
    await sim.heal_and_settle()
    await sim.advance(30)
    assert all(cell.idle for cell in sim.system.runtime.cells.values())
