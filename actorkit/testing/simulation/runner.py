"""Carries one run of a simulated test out, under one strategy, and says what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import attrs
import trio

from actorkit.kernel.system import System
from actorkit.testing.checks import check_conserved, check_nothing_left
from actorkit.testing.clock import VirtualClock
from actorkit.testing.failures import leaf
from actorkit.testing.recording import RecordedRuntime
from actorkit.testing.seams import simulated_seams
from actorkit.testing.simulation.conductor import Conductor, Turn
from actorkit.testing.simulation.ensemble import Ensemble
from actorkit.testing.simulation.fleet import Fleet, NodesWanted
from actorkit.testing.simulation.plan import Delay, FaultAt, Plan
from actorkit.testing.simulation.sim import Sim
from actorkit.testing.simulation.strategies import Strategy
from actorkit.testing.stepped import open_stepped_system
from actorkit.testing.trace import Trace
from actorkit.testing.trio_internals import check_supported, choosing, without_threads

if TYPE_CHECKING:
    from actorkit.testing.simulation.faults import Fault

T = TypeVar("T")
Body = Callable[[Sim], Awaitable[object]]


@attrs.frozen
class Outcome:
    """What came of one run.

    Attributes:
        failure: what it failed with; None if all was well.
        plan: the choices that were not the simplest, faults included: replays the run.
        steps: turns it took until faults and reorderings were over.
        digest: 16 hex digits made of all choices; two runs with the same digest were the same.
        seen: how often each ``sometimes`` claim held; 0 if the point was reached without.
        trace: what happened, if it was recorded.
        turns: every turn, if they were kept.
    """

    failure: BaseException | None
    plan: Plan
    steps: int
    digest: str
    seen: Counter[str]
    trace: Trace | None = None
    turns: Sequence[Turn] = ()


@attrs.frozen
class Simulation:
    """A test body, and what it is run with.

    Attributes:
        body: the test.
        faults: what may be done to it.
        seed: seeds all chance inside the run.
        within: virtual seconds the system may take to come to rest at the end.
        max_steps: steps after which a run counts as endless.
        kernel: what the system runs on; another than the real one only to see whether its faults are found.
        nodes: the nodes it begins with; None for a single system without a network.
    """

    body: Body
    faults: tuple[Fault, ...] = ()
    seed: int | str = 0
    within: float = 60.0
    max_steps: int = 20_000
    kernel: type[RecordedRuntime] = RecordedRuntime
    nodes: NodesWanted | None = None

    def run(self, strategy: Strategy, *, record: bool = False, keep_turns: bool = False) -> Outcome:
        """Run the test once, in a trio run of its own."""
        clock = VirtualClock()
        return trio.run(self._run, clock, strategy, record, keep_turns, clock=clock)

    def run_all(
        self, strategies: Iterable[Strategy], until: Callable[[Outcome], bool]
    ) -> Outcome | None:
        """Run the test under one strategy after another, in one trio run, until an outcome is what is looked for.

        A trio run costs as much as a short test, so this is half as long.
        """
        clock = VirtualClock()

        async def all_of_them() -> Outcome | None:
            for strategy in strategies:
                clock.rewind()
                outcome = await self._run(clock, strategy, record=False, keep_turns=False)
                if until(outcome):
                    return outcome
            return None

        return trio.run(all_of_them, clock=clock)

    async def _run(
        self, clock: VirtualClock, strategy: Strategy, record: bool, keep_turns: bool
    ) -> Outcome:
        trace = Trace() if record else None
        conducting = Conductor if self.nodes is None else Ensemble
        conductor = conducting(
            strategy,
            max_steps=self.max_steps,
            trace=trace,
            keep_turns=keep_turns,
            idles=lambda: clock.idles,
        )
        struck: list[FaultAt] = []
        sim = Sim(clock, trace, lambda: conductor.step)
        with choosing(conductor):
            try:
                await self._perform(sim, conductor, struck)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is what came of the run
                _keep_interrupt(error)
                sim.failure = sim.failure or leaf(error)
            finally:
                clock.on_deadlock = clock.on_outsider = clock.before_jump = None
        plan = Plan(tuple(Delay(step, skip) for step, skip in conductor.skips), tuple(struck))
        return Outcome(
            sim.failure, plan, conductor.length, conductor.digest, sim.seen, trace, conductor.turns
        )

    async def _perform(self, sim: Sim, conductor: Conductor, struck: list[FaultAt]) -> None:
        sim.calm, sim.rush = conductor.calm, conductor.rush
        sim.clock.on_deadlock = sim.stuck
        sim.clock.on_outsider = sim.meets
        conductor.on_failure = sim.fail
        survivors: list[System] = []
        with without_threads(lambda: sim.meets("a worker thread")), sim.scope:
            async with (
                _nemesis(self.faults, sim, conductor, struck) as nemesis,
                self._world(sim, conductor) as world,
            ):
                sim.inhabit(world)
                conductor.nemesis = nemesis  # only now is there something to harm
                conductor.after_turn = sim.check
                sim.clock.before_jump = conductor.strike
                try:
                    await self.body(sim)
                    await sim.heal_and_settle(within=self.within)
                    sim.check()
                    for system in sim.systems():
                        check_conserved(system)
                except BaseException as error:
                    if sim.failure is None and not isinstance(error, trio.Cancelled):
                        sim.failed(leaf(error))
                    raise
                finally:
                    conductor.after_turn = None
                    survivors = sim.systems()
        if sim.failure is None:
            for system in survivors:
                check_nothing_left(system)

    def _world(self, sim: Sim, conductor: Conductor) -> AbstractAsyncContextManager[System | Fleet]:
        """What the test runs in: one system, or nodes on a network."""
        if isinstance(conductor, Ensemble):
            return Fleet(
                sim, conductor, self.nodes or NodesWanted(), self.seed, self.kernel
            ).running()
        return open_stepped_system(
            trace=sim.trace,
            conductor=conductor,
            seams=simulated_seams(self.seed),
            step=sim.step,
            kernel=self.kernel,
        )


@asynccontextmanager
async def _nemesis(
    faults: Sequence[Fault], sim: Sim, conductor: Conductor, struck: list[FaultAt]
) -> AsyncGenerator[Callable[[Sequence[tuple[int, int]]], None] | None, None]:
    """Run the task that does harm when the strategy says so: a task of its own, so a fault may do what any code may."""
    if not faults:
        yield None
        return
    orders: list[tuple[int, int]] = []
    resting: list[trio.lowlevel.Task] = []

    async def lurk() -> None:
        while True:
            resting.append(trio.lowlevel.current_task())
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)
            for number, arg in orders:
                _strike(faults, sim, FaultAt(conductor.step, number, arg), struck)
            orders.clear()

    def order(strikes: Sequence[tuple[int, int]]) -> None:
        orders.extend(strikes)
        if resting:
            task = resting.pop()
            trio.lowlevel.reschedule(task)
            conductor.force(task)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lurk, name="actorkit nemesis")
        try:
            yield order
        finally:
            conductor.nemesis = None
            nursery.cancel_scope.cancel()


def _strike(faults: Sequence[Fault], sim: Sim, order: FaultAt, struck: list[FaultAt]) -> None:
    if sim.failure is not None:
        return
    try:
        done = faults[order.fault % len(faults)].strike(sim, order.arg)
    except Exception as error:  # noqa: BLE001 - a fault of the test's own may be faulty
        struck.append(order)  # without it the plan would not fail again
        sim.struck(f"a fault raised {type(error).__name__}")
        sim.fail(error)
        return
    struck.append(order)  # even if there was nobody to strike: the attempt was a turn of its own
    if done is not None:
        sim.struck(done)


def _keep_interrupt(error: BaseException) -> None:
    """Raise Ctrl-C on its own, out of the groups around it, so that whoever runs the test knows it and stops."""
    interrupt = _interrupt_in(error)
    if interrupt is not None:
        raise interrupt


def _interrupt_in(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_interrupt_in, error.exceptions)), None)
    return error if isinstance(error, (KeyboardInterrupt, SystemExit)) else None


def prepared() -> None:
    """Make sure, once, that trio lets us choose."""
    if not _PROVEN:
        check_supported()
        _PROVEN.append(True)


_PROVEN: list[bool] = []
