"""Fairness: an actor that is never done starves nobody, and one that keeps the CPU is reported."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import trio

import actorkit as ak
from actorkit.kernel import dispatcher as dispatcher_module
from tests.harness import puppet
from tests.kernel.support import Note, collect


@ak.message
class Spin:
    """Tell it to yourself again."""


class Spinner(ak.Actor[Spin]):
    """Never done."""

    def __init__(self, tally: list[int]) -> None:
        self.tally = tally

    @ak.on(Spin)
    def spin(self, msg: Spin) -> None:
        self.tally[0] += 1
        self.ctx.self.tell(msg)


async def test_a_busy_actor_starves_no_other(system: ak.System) -> None:
    """Between two messages of anybody else, an actor that is never done handles a batch, not more."""
    tally, seen = [0], [0]
    spinner = await system.spawn(ak.props(Spinner, tally))
    other = await puppet(system)
    enough = trio.Event()

    def look(ctx: ak.Context[object]) -> None:
        seen.append(tally[0])
        other.cue(look)
        if len(seen) == 500:
            enough.set()

    spinner.tell(Spin())
    other.cue(look)
    await enough.wait()
    spinner.kill()
    other.ref.kill()
    assert max(later - sooner for sooner, later in pairwise(seen)) <= dispatcher_module.BATCH
    assert tally[0] > 0


async def test_a_busy_actor_leaves_trio_its_turns(system: ak.System) -> None:
    """Even while the clock stands still, plain tasks go on after a bounded number of an actor's messages."""
    tally, seen = [0], [0]
    spinner = await system.spawn(ak.props(Spinner, tally))
    spinner.tell(Spin())
    for _ in range(5):
        await trio.lowlevel.checkpoint()
        seen.append(tally[0])
    spinner.kill()
    per_turn = 2 * dispatcher_module.BATCH * dispatcher_module.LOOKS  # before and after us
    assert max(later - sooner for sooner, later in pairwise(seen)) <= per_turn
    assert tally[0] > 0


async def test_two_busy_actors_share(system: ak.System) -> None:
    """Actors that are never done get turns by turns, a batch each."""
    tallies = [[0] for _ in range(5)]
    for tally in tallies:
        (await system.spawn(ak.props(Spinner, tally))).tell(Spin())
    await trio.lowlevel.checkpoint()
    while not tallies[0][0]:
        await trio.lowlevel.checkpoint()
    counts = [tally[0] for tally in tallies]
    for branch in system.tree():
        system.runtime.top[branch.path[1:]].ref.kill()
    assert max(counts) - min(counts) <= dispatcher_module.BATCH


def test_a_busy_actor_does_not_keep_trio_from_its_work() -> None:
    """On trio's real clock: sleeps end and sockets are served while an actor is never done."""

    async def main() -> int:
        tally = [0]
        async with ak.open_system(logs=False, watchdog=None) as system:
            spinner = await system.spawn(ak.props(Spinner, tally))
            spinner.tell(Spin())
            near, far = trio.socket.socketpair()
            with near, far, trio.fail_after(30):
                for n in range(20):
                    await near.send(bytes([n]))
                    assert await far.recv(1) == bytes([n])
                    await trio.sleep(0.001)
            spinner.kill()
        return tally[0]

    assert trio.run(main) > dispatcher_module.BATCH


async def test_idle_actors_cost_no_tasks(system: ak.System) -> None:
    """Two thousand idle actors add no task to trio, and do not stand in the way of a busy one."""
    before = trio.lowlevel.current_statistics().tasks_living
    idle = [await puppet(system) for _ in range(2000)]
    assert trio.lowlevel.current_statistics().tasks_living == before
    steps = system.runtime.dispatcher.turns
    assert await idle[1000].do(lambda ctx: ctx.path) == idle[1000].ref.path
    assert system.runtime.dispatcher.turns - steps <= 2


# The watchdog -----------------------------------------------------------------------------------------------------


@ak.message
class Hog:
    """Keep the CPU for some real seconds."""

    seconds: float


class Glutton(ak.Actor[Hog | Note]):
    """Keeps the CPU if told to."""

    @ak.on(Hog)
    def hog(self, msg: Hog) -> None:
        until = time.perf_counter() + msg.seconds
        while time.perf_counter() < until:
            pass

    @ak.on(Note)
    def note(self, msg: Note) -> None: ...


def stalls(main: Callable[[ak.System], Awaitable[None]]) -> list[ak.Stalled]:
    """What a watchdog that looks closely reports while ``main`` runs."""

    async def watched() -> list[ak.Stalled]:
        async with ak.open_system(logs=False, watchdog=0.05) as system:
            events = collect(system, ak.Stalled)
            await main(system)
            await trio.sleep(0.02)
        return events

    return trio.run(watched)


def test_a_handler_that_hogs_the_cpu_is_reported() -> None:
    """Once, with actor, message type and stack, however many messages it has handled before."""

    async def main(system: ak.System) -> None:
        glutton = await system.spawn(ak.props(Glutton), name="glutton")
        for n in range(5):
            glutton.tell(Note(n))
        glutton.tell(Hog(0.3))
        glutton.tell(Note("after"))
        await system.state_of(glutton)

    (stalled,) = stalls(main)
    assert (stalled.path, stalled.message_type) == ("/glutton", "Hog")
    assert stalled.seconds == 0.05
    assert "in hog" in stalled.stack
    assert "while time.perf_counter() < until" in stalled.stack


def test_many_short_handlers_are_no_hog() -> None:
    """The CPU is busy all the time, but no handler keeps it: nothing is reported."""

    async def main(system: ak.System) -> None:
        gluttons = [await system.spawn(ak.props(Glutton)) for _ in range(12)]
        for glutton in gluttons:
            glutton.tell(Hog(0.02))
        for glutton in gluttons:
            await system.state_of(glutton)

    assert stalls(main) == []
