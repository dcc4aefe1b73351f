"""Dynamic supervisors: children come, go, are killed and restarted in any order; the lists and the living agree."""

from __future__ import annotations

import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer
from tests.simulation.law import KillInAnyState, insist, law, start

FAULTS = [KillInAnyState("/*/*"), crash_actor(), early_timer()]


@ak.message
class Who(ak.Request[int]):
    pass


@ak.message
class Boom:
    pass


class Worker(ak.Actor[Who | Boom]):
    """Knows its number; starts and ends in its own time."""

    def __init__(self, number: int, /) -> None:
        self.number = number

    async def started(self) -> None:
        if self.number % 2:
            await self.ctx.sleep(0.05)

    async def stopping(self, reason: ak.ExitReason) -> None:
        await trio.sleep(0.05 * (self.number % 3))

    @ak.on(Who)
    async def who(self, msg: Who) -> int:
        await self.ctx.sleep(0.02)
        return self.number

    @ak.on(Boom)
    def boom(self, msg: Boom) -> None:
        raise ValueError("told to")


class Trapper(Worker):
    """Ends in good order even if its supervisor is killed."""

    trap_exits = True


Pool = ak.DynamicRef[[int], Who | Boom]


async def _use(sim: Sim, pool: Pool, i: int) -> None:
    """Start children, use them, hurt them, and take them away."""
    for n in range(2):
        try:
            ref = await pool.start_child(2 * i + n)
            ref.tell(Boom() if n else Who())
            number = await ref.ask(Who(), timeout=0.5)
            insist(sim, number == 2 * i + n, "a reference stays with its child")
            if i != 1:
                await pool.terminate_child(ref)
                insist(sim, not ref.alive, "a terminated child is gone")
        except (ak.AskError, ak.StartError) as error:
            sim.sometimes(type(error).__name__)


async def _check(sim: Sim, pool: Pool, path: str) -> None:
    """Who is listed lives, and nobody else below the supervisor does."""
    try:
        await pool.start_child(4)
    except ak.TooManyChildren:
        sim.note("it is full")
    listed = await pool.which_children()
    counts = await pool.count_children()
    living = {c.path for c in sim.system.runtime.cells.values() if c.path.startswith(f"{path}/")}
    assert {ref.path for ref in listed} == living
    assert counts.active == counts.specs == len(listed)
    assert listed
    for ref in listed:
        assert await ref.ask(Who(), timeout=None) >= 0


@law(faults=FAULTS, sometimes=["ActorDied", "TooManyChildren"])
async def test_a_pool_of_workers(sim: Sim) -> None:
    """Whoever was terminated is gone, all others live, once each, and the counts are right."""
    template = ak.Template("w", Worker, shutdown=1.0)
    tree = ak.supervise_dynamic(template, max_restarts=1000, max_children=3)
    pool = await start(sim, tree, name="pool")
    sim.always(lambda: len(_paths(sim)) == len(set(_paths(sim))), "one incarnation at a time")

    async def client(i: int) -> None:
        await _use(sim, pool, i)

    await sim.each(3, client)
    await sim.heal_and_settle()
    await _check(sim, pool, "/pool")


def _paths(sim: Sim) -> list[str]:
    return [cell.path for cell in sim.system.runtime.cells.values()]


@law(faults=FAULTS, sometimes=["ActorDied"])
async def test_a_pool_that_is_killed(sim: Sim) -> None:
    """A pool that is restarted begins empty: children of the one before are gone, trapping ones too."""
    template = ak.Template("w", Trapper, shutdown=0.08)
    dynamic = ak.supervise_dynamic(template, max_restarts=1, within=0.3)
    child = ak.Child("pool", dynamic)
    top = await start(sim, ak.supervise(child, max_restarts=1000), name="top")
    pool: Pool = ak.DynamicRef(top.child(child))

    async def client(i: int) -> None:
        await _use(sim, pool, i)
        if i == 2:
            pool.ref.kill()
            await _use(sim, pool, i)

    await sim.each(3, client)
    await sim.heal_and_settle()
    await _check(sim, pool, "/top/pool")


@law(faults=FAULTS, sometimes=["gave up"])
async def test_a_pool_that_is_stopped(sim: Sim) -> None:
    """Stopped in the midst of it all, or giving up, it takes all its children along, within the shared limit."""
    template = ak.Template("w", Worker, shutdown=1.0, restart="transient")
    backoff = ak.Backoff(0.05, 2.0, 0.1)
    tree = ak.supervise_dynamic(template, max_restarts=2, within=0.5, backoff=backoff)
    pool = await start(sim, tree, name="pool")

    async def client(i: int) -> None:
        await _use(sim, pool, i)

    async def clients() -> None:
        await sim.each(3, client)

    async def stop() -> None:
        await trio.sleep(0.08)
        try:
            await pool.stop()
        except ak.ActorDied:
            sim.sometimes("gave up")
        insist(sim, not _paths(sim), "all are gone with it")

    await sim.together(clients, stop)
