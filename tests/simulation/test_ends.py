"""However many end an actor at once, in however many ways, it ends once, for one reason, and everybody hears that one."""

from __future__ import annotations

from collections import Counter

import attrs
import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import insist, law


@ak.message
class Do:
    way: str


@ak.message
class Last(ak.Request[str]):
    """Stop, and answer: the answer goes out when ``stopping`` is over."""


@attrs.define
class Fate:
    """What is known of one actor's end."""

    sim: Sim
    stopping: list[ak.ExitReason] = attrs.Factory(list)
    handled_after: int = 0
    over: bool = False
    heard: list[ak.ExitReason] = attrs.Factory(list)


class Mortal(ak.Actor[Do | Last]):
    """Does something that takes time, or ends itself."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate

    @ak.on(Do)
    async def do(self, msg: Do) -> None:
        insist(self.fate.sim, not self.fate.stopping, "nothing is handled once it stops")
        match msg.way:
            case "park":
                await self.ctx.sleep(0.1)
            case "on trio":
                await trio.sleep(0.1)
            case "nest":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep, 0.1)
                    nursery.start_soon(self.ctx.sleep, 0.2)
            case "stop":
                self.ctx.stop(ak.Shutdown("by itself"))
            case "raise":
                raise ak.Stop(ak.Failed("by itself"))
            case "exit":
                self.ctx.exit(self.ctx.self, ak.Failed("a signal to itself"))
                await self.ctx.sleep(1)
                insist(self.fate.sim, False, "nobody survives an exit signal to himself")
            case _:
                raise ValueError("by itself")

    @ak.on(Last)
    async def last(self, msg: Last) -> str:
        self.ctx.stop(ak.Shutdown("asked to"))
        await trio.sleep(0.05)
        return "the end"

    async def stopping(self, reason: ak.ExitReason) -> None:
        insist(self.fate.sim, not self.fate.stopping, "stopping runs once")
        self.fate.stopping.append(reason)
        await self.ctx.sleep(0.05)
        await trio.sleep(0.05)
        self.fate.over = True


REASON = ak.Shutdown("from outside")


async def _stop(fate: Fate, ref: ak.Ref[Do | Last], reason: ak.ExitReason) -> None:
    """Stop it; that raises unless it ended for just this reason."""
    try:
        await ref.stop(reason, timeout=None)
    except ak.ActorDied as error:
        if error.reason != ak.NoActor():
            insist(fate.sim, error.reason != reason, "stop fails only with another reason")
            fate.heard.append(error.reason)
    else:
        fate.heard.append(reason)


async def _ask_last(fate: Fate, ref: ak.Ref[Do | Last]) -> None:
    try:
        await ref.ask(Last(), timeout=None)
    except ak.ActorDied as error:
        if error.reason != ak.NoActor():
            fate.heard.append(error.reason)
    else:
        fate.sim.sometimes("a last answer")
        insist(fate.sim, fate.over, "the answer goes out after stopping")


async def _exit(fate: Fate, ref: ak.Ref[Do | Last], reason: ak.ExitReason) -> None:
    await trio.sleep(0.1)
    fate.sim.system.exit(ref, reason)


async def _kill(_: Fate, ref: ak.Ref[Do | Last]) -> None:
    await trio.sleep(0.1)
    ref.kill()


WORK = ("park", "on trio", "nest", "stop", "raise", "crash", "exit")


def _check(fate: Fate, truth: list[ak.ExitReason]) -> None:
    assert len(truth) == 1, f"it died of {truth}"
    (reason,) = truth
    assert all(heard == reason for heard in fate.heard), f"{fate.heard}, but it was {reason}"
    fate.sim.sometimes(str(reason).split(" ", 1)[0])
    if isinstance(reason, ak.Killed):
        return
    if fate.over and not isinstance(reason, ak.Failed):
        assert fate.stopping == [reason], "the hook is given the reason"


async def _race(sim: Sim, endings: Counter[str], work: tuple[str, ...]) -> None:
    fate = Fate(sim)
    truth: list[ak.ExitReason] = []
    sim.system.events.subscribe(
        lambda event: truth.append(event.reason) if event.path == "/mortal" else None, ak.Stopped
    )
    ref = await sim.spawn(ak.props(Mortal, fate), name="mortal")
    for way in work:
        ref.tell(Do(way))

    async def wait(i: int) -> None:
        fate.heard.append(await ref.wait_stopped())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sim.each, 1, wait)
        for n in range(endings["stop"]):
            nursery.start_soon(_stop, fate, ref, ak.Normal() if n else REASON)
        if endings["last"]:
            nursery.start_soon(_ask_last, fate, ref)
        if endings["exit"]:
            nursery.start_soon(_exit, fate, ref, ak.Shutdown("a signal"))
        if endings["kill"]:
            nursery.start_soon(_kill, fate, ref)
    await sim.heal_and_settle()
    if fate.heard and fate.heard[0] == ak.NoActor():  # it was over before anybody waited
        del fate.heard[0]
    _check(fate, truth)


FAULTS = [kill_actor("/mortal"), crash_actor("/mortal"), early_timer()]


@law(faults=FAULTS, sometimes=["shutdown", "killed", "a last answer"])
async def test_stop_and_last_words(sim: Sim) -> None:
    """Stops from outside, and a request to stop, race with work."""
    await _race(sim, Counter(stop=2, last=1), ("park", "on trio", "nest"))


@law(faults=FAULTS, sometimes=["shutdown", "killed", "normal"])
async def test_stop_and_kill(sim: Sim) -> None:
    """Stops, an exit signal and a kill race with each other."""
    await _race(sim, Counter(stop=2, exit=1, kill=1), ())


@law(faults=FAULTS, sometimes=["failed", "killed"])
async def test_ends_from_inside_and_outside(sim: Sim) -> None:
    """The actor ends itself while others end it."""
    await _race(sim, Counter(stop=1, kill=1), ("raise", "stop"))
    await sim.settle()


@law(faults=FAULTS, sometimes=["crashed"])
async def test_crash_and_stop(sim: Sim) -> None:
    """It crashes, or kills itself with a signal, while others stop it."""
    await _race(sim, Counter(stop=1, last=1), ("on trio", "crash", "exit"))


class No(ak.Refused):
    """A refusal."""


class Stubborn(ak.Actor[Do]):
    """Takes no notice when it is unwound: it returns, refuses, or works on."""

    @ak.on(Do)
    async def do(self, msg: Do) -> None:
        try:
            await self._wait(msg.way)
        except BaseException:  # noqa: BLE001 - what nobody should do
            if msg.way == "park and refuse":
                raise No from None
            self.ctx.self.tell(Do("park"))

    async def _wait(self, way: str) -> None:
        if way.startswith("park"):
            await self.ctx.sleep(0.1)
        elif way == "nest":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 0.1)
        else:
            await trio.sleep(0.1)


@law(
    faults=[kill_actor("/stubborn"), crash_actor("/stubborn"), early_timer()],
    sometimes=["killed", "shutdown"],
)
async def test_who_swallows_his_end_ends_all_the_same(sim: Sim) -> None:
    """Code that catches what unwinds it, and returns or refuses as if nothing had happened, handles nothing more."""
    ref = await sim.spawn(ak.props(Stubborn), name="stubborn")
    for way in ("park", "park and refuse", "on trio", "nest", "park and refuse", "park"):
        ref.tell(Do(way))

    async def end(i: int) -> None:
        await trio.sleep(0.15)
        if i == 0:
            await sim.system.shutdown()
        elif i == 1:
            ref.kill()

    async def wait() -> None:
        reason = await ref.wait_stopped()
        sim.sometimes(str(reason))

    async def ends() -> None:
        await sim.each(2, end)

    await sim.together(wait, ends)
    assert not ref.alive
