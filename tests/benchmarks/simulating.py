"""The simulator and the protocol machine: schedules, examples and steps a second."""

from __future__ import annotations

import random
import unittest
from collections.abc import Awaitable, Callable
from itertools import islice

import hypothesis
import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

import actorkit as ak
from actorkit.testing import Sim, Spec, Step, VirtualClock, simulate, transition
from actorkit.testing.simulation.runner import Outcome, Simulation
from actorkit.testing.simulation.strategies import strategies
from tests.benchmarks import bare
from tests.benchmarks.registry import benchmark, require


@ak.message
class Read(ak.Request[int]): ...


@ak.message
class Write(ak.Request[None]):
    value: int


class Register(ak.Actor[Read | Write]):
    """One value."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    @ak.on(Read)
    def read(self, msg: Read) -> int:
        return self.value

    @ak.on(Write)
    def write(self, msg: Write) -> None:
        self.value = msg.value


@ak.message
class Bump(ak.Request[None]): ...


class Bumper(ak.Actor[Bump]):
    """Reads a register and writes it, with a wait for the reply in between."""

    def __init__(self, register: ak.Ref[Read | Write]) -> None:
        self.register = register

    @ak.on(Bump)
    async def bump(self, msg: Bump) -> None:
        value = await self.register.ask(Read())
        await self.register.ask(Write(value + 1))


Spawn = Callable[[ak.Props[Read | Write]], Awaitable[ak.Ref[Read | Write]]]


async def _race(register: ak.Ref[Read | Write], bumper: ak.Ref[Bump]) -> int:
    """The test and an actor bump one register."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bumper.ask, Bump())
        await register.ask(Write(await register.ask(Read()) + 1))
    return await register.ask(Read())


async def _simulated_race(sim: Sim) -> None:
    register = await sim.spawn(Register)
    bumper = await sim.spawn(Bumper, register)
    sim.sometimes("an update was lost", await _race(register, bumper) == 1)


def floor_runs(size: int) -> float:
    """The same test without a simulator: one trio run and one system each, in virtual time."""

    async def run() -> None:
        async with ak.open_system(logs=False, watchdog=None) as system:
            register = await system.spawn(ak.props(Register))
            bumper = await system.spawn(ak.props(Bumper, register))
            await _race(register, bumper)

    seconds = bare.stopwatch()
    for _ in range(size):
        trio.run(run, clock=VirtualClock())
    return size / seconds()


@benchmark(unit="schedules/s", size=3_000, floor=floor_runs)
def sim_schedules(size: int) -> float:
    """Schedules of a race between two actors, drawn at random."""
    lost = 0

    def tally(outcome: Outcome) -> bool:
        nonlocal lost
        lost += outcome.seen["an update was lost"]
        return outcome.failure is not None

    drawn = strategies("random", rng=random.Random, seed=1, horizon=20)
    seconds = bare.stopwatch()
    failed = Simulation(_simulated_race).run_all(islice(drawn, size), tally)
    spent = seconds()
    require("a failed run", failed, None)
    require("some but not all lose an update", 0 < lost < size or size < 10, True)
    return size / spent


# The bank of the guide --------------------------------------------------------------------------------------------


@ak.message
class Withdraw(ak.Request[int]):
    cents: int


@ak.message
class Transfer(ak.Request[bool]):
    cents: int


class Account(ak.Actor[Read | Withdraw]):
    """Cents."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    @ak.on(Read)
    def read(self, msg: Read) -> int:
        return self.cents

    @ak.on(Withdraw)
    def withdraw(self, msg: Withdraw) -> int:
        self.cents -= msg.cents
        return self.cents


class Teller(ak.Actor[Transfer]):
    """Looks before it withdraws, which does not help if somebody else withdraws in between."""

    def __init__(self, account: ak.Ref[Read | Withdraw]) -> None:
        self.account = account

    @ak.on(Transfer)
    async def transfer(self, msg: Transfer) -> bool:
        if await self.account.ask(Read()) < msg.cents:
            return False
        await self.account.ask(Withdraw(msg.cents))
        return True


async def _bank(sim: Sim) -> None:
    account = await sim.spawn(Account, 100)
    sim.always(lambda: sim.state(account)["cents"] >= 0, "never overdrawn")
    tellers = [await sim.spawn(Teller, account) for _ in range(2)]

    async def customer(i: int) -> None:
        for _ in range(4 * i):  # so late that first in, first out is right
            await account.ask(Read())
        await tellers[i].ask(Transfer(80))

    await sim.each(2, customer)


@benchmark(unit="examples/s", size=100, floor=floor_runs, warm_up=False)
def sim_bank(size: int) -> float:
    """Runs of a bank until Hypothesis has found an overdraft and made it small, over several seeds."""
    runs, seconds = 0, bare.stopwatch()
    for seed in range(max(1, size // 10)):
        test = simulate(examples=2_000, seed=seed)(_bank)
        try:
            test()
        except AssertionError:
            found = test.simulated.found
            require("found", found is not None and found.outcome.plan.size <= 3, True)
        runs += test.simulated.last.runs
    return runs / seconds()


# A protocol, one message after another ----------------------------------------------------------------------------


@ak.message
class Add(ak.Request[int]):
    amount: int


class Sum(ak.Actor[Read | Add]):
    """Counts what it handles, in a list that outlives it."""

    def __init__(self, handled: list[int]) -> None:
        self.value = 0
        self.handled = handled

    @ak.on(Read)
    def read(self, msg: Read) -> int:
        self.handled.append(0)
        return self.value

    @ak.on(Add)
    def add(self, msg: Add) -> int:
        self.handled.append(msg.amount)
        self.value += msg.amount
        return self.value


class SumSpec(Spec[int, Read | Add]):
    """The model."""

    def initial(self) -> int:
        return 0

    @transition(Read)
    def read(self, value: int, msg: Read) -> Step[int, int]:
        return value, value

    @transition(Add)
    def add(self, value: int, msg: Add) -> Step[int, int]:
        return value + msg.amount, value + msg.amount


def _settings(examples: int) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=max(1, examples),
        stateful_step_count=50,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )


def floor_machine(size: int) -> float:
    """Hypothesis alone: the same machine with an int in place of the actor."""
    steps = 0

    class Alone(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.value = 0

        @rule(amount=st.integers())
        def add(self, amount: int) -> None:
            nonlocal steps
            steps += 1
            self.value += amount

        @rule()
        def read(self) -> None:
            nonlocal steps
            steps += 1

    seconds = bare.stopwatch()
    run_state_machine_as_test(Alone, settings=_settings(size // 50))
    return steps / seconds()


@benchmark(unit="steps/s", size=5_000, floor=floor_machine, warm_up=False)
def spec_steps(size: int) -> float:
    """Messages of a sequential protocol test: drawn, asked, compared with the model."""
    handled: list[int] = []
    case = SumSpec.sequential(ak.props(Sum, handled), settings=_settings(size // 50))
    seconds = bare.stopwatch()
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    spent = seconds()
    require("passed", result.wasSuccessful(), True)
    return len(handled) / spent
