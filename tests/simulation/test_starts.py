"""A start is all or nothing: it is told once, by its outcome, and a failed one leaves nothing behind."""

from __future__ import annotations

import attrs
import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import insist, law


@ak.message
class Begin:
    """Start a child of your own, some way."""

    way: str
    watched: bool


@ak.message
class Hello(ak.Request[str]):
    pass


@attrs.define
class Log:
    """Starts that were tried, and what their starters heard."""

    sim: Sim
    built: int = 0
    living: int = 0


class Child(ak.Actor[Hello]):
    """Starts in some way: at once, slowly, never, not at all."""

    def __init__(self, log: Log, way: str) -> None:
        self.log = log
        self.way = way
        log.built += 1

    async def started(self) -> None:
        match self.way:
            case "slow":
                await self.ctx.sleep(0.1)
            case "on trio":
                await trio.sleep(0.1)
            case "never":
                await trio.sleep_forever()
            case "crash":
                raise ValueError("no start")
            case "ignore":
                raise ak.Ignore
            case "spawn":
                await self.ctx.spawn(ak.props(Child, self.log, "slow"))
            case _:
                pass

    @ak.on(Hello)
    def hello(self, msg: Hello) -> str:
        return self.way


class Starter(ak.Actor[Begin]):
    """Starts children, linked or watched, and takes note of what it hears of them."""

    trap_exits = True

    def __init__(self, log: Log) -> None:
        self.log = log
        self.begun: set[ak.Address] = set()
        self.downs: set[ak.Address] = set()
        self.exits: set[ak.Address] = set()

    @ak.on(Begin)
    async def begin(self, msg: Begin) -> None:
        props = ak.props(Child, self.log, msg.way)
        before = set(self.ctx.children)
        try:
            if msg.watched:
                ref, _ = await self.ctx.spawn_watched(props, link=True)
            else:
                ref = await self.ctx.spawn(props, start_timeout=0.25)
        except ak.StartError as error:
            self.log.sim.sometimes(type(error).__name__)
            insist(self.log.sim, set(self.ctx.children) <= before, "nothing is left of it")
            return
        self.begun.add(ref.address)
        self.log.sim.sometimes("started")

    def down(self, down: ak.Down) -> None:
        assert down.address is not None
        insist(self.log.sim, down.address in self.begun, f"{down} is about one that was started")
        insist(self.log.sim, down.address not in self.downs, f"{down} comes once")
        self.downs.add(down.address)

    def exited(self, signal: ak.Exit, /) -> None:
        assert signal.address is not None
        insist(
            self.log.sim, signal.address in self.begun, f"{signal} is about one that was started"
        )
        insist(self.log.sim, signal.address not in self.exits, f"{signal} comes once")
        self.exits.add(signal.address)


@law(
    faults=[kill_actor("/*/*"), crash_actor("/*/*"), early_timer()],
    sometimes=["started", "StartFailed", "StartIgnored", "StartTimeout"],
)
async def test_a_start_is_told_once(sim: Sim) -> None:
    """A failed start is known from its error alone; a death after it from notices alone."""
    log = Log(sim)
    starters = [await sim.spawn(ak.props(Starter, log), name=f"starter-{n}") for n in range(3)]
    ways = (("slow", "never", "spawn"), ("crash", "on trio", "slow"), ("ignore", "spawn", "never"))

    async def client(i: int) -> None:
        for n, way in enumerate(ways[i]):
            starters[i].tell(Begin(way, watched=way != "never" and n != 1))
            await trio.sleep(0.02 * n)

    await sim.each(3, client)
    await sim.heal_and_settle()
    for starter in starters:
        state = sim.state(starter)
        gone = {a for a in state["begun"] if a.serial not in sim.system.runtime.cells}
        assert state["exits"] == gone, "each linked child that is gone is told of"


NAME = ak.Key[Hello]("the one")


@law(
    faults=[kill_actor("/the one"), crash_actor("/the one"), early_timer()],
    sometimes=["AlreadyStarted", "started", "StartTimeout", "cancelled"],
)
async def test_a_name_has_one_holder(sim: Sim) -> None:
    """Of those who start under one name one wins; the others are told who holds it; nobody is built in vain."""
    log = Log(sim)
    sim.always(
        lambda: sum(c.key == NAME.name for c in sim.system.runtime.cells.values()) <= 1,
        "one holder",
    )

    async def client(i: int) -> None:
        for n in range(2):
            way = ("slow", "now", "on trio")[(i + n) % 3]
            built = log.built
            scope = trio.CancelScope(relative_deadline=0.05 if i == 2 else 10.0)
            try:
                with scope:
                    ref = await sim.system.spawn(
                        ak.props(Child, log, way), name=NAME, start_timeout=0.07 if i == 1 else None
                    )
                    sim.sometimes("started")
                    await _use(ref, way)
            except ak.AlreadyStarted as error:
                insist(sim, log.built == built, "its constructor was not called")
                sim.sometimes(type(error).__name__)
            except ak.StartError as error:
                sim.sometimes(type(error).__name__)
            sim.sometimes("cancelled", scope.cancelled_caught)

    await sim.each(3, client)


async def _use(ref: ak.Ref[Hello], way: str) -> None:
    try:
        reply = await ref.ask(Hello(), timeout=1)
    except ak.AskError:
        return
    assert reply == way, "the reference is to the one that was started"
    ref.kill()


@law(
    faults=[kill_actor("/parent"), crash_actor("/parent/*"), early_timer()],
    sometimes=["cut short", "died as it started"],
)
async def test_who_dies_as_it_starts_others_takes_them_along(sim: Sim) -> None:
    """No linked child outlives its parent, ready or not."""
    log = Log(sim)
    parent = await sim.spawn(ak.props(Starter, log), name="parent")

    async def begin() -> None:
        for way in ("slow", "spawn", "never"):
            parent.tell(Begin(way, watched=False))
            await trio.sleep(0.04)

    async def finish() -> None:
        await trio.sleep(0.04)
        try:
            await parent.stop(ak.Shutdown("enough"), timeout=0.1)
        except (ak.ActorDied, TimeoutError) as error:
            sim.sometimes("cut short", isinstance(error, TimeoutError))

    await sim.together(begin, finish)
    await sim.heal_and_settle()
    sim.sometimes("died as it started", log.built and not parent.alive)
    if not parent.alive:
        assert not sim.system.runtime.cells, "nobody is left below a dead parent"
