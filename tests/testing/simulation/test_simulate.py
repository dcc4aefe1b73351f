"""One test, many schedules."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import trio

import actorkit as ak
from actorkit.testing import (
    Deadlock,
    IncompleteExploration,
    NeverHappened,
    NotConverged,
    PlanNoLongerMatches,
    Sim,
    UncontrolledNondeterminism,
    Violated,
    custom,
    early_timer,
    kill_actor,
    simulate,
)
from actorkit.testing.simulation.plan import FaultAt, Plan
from actorkit.testing.simulation.runner import Outcome, Simulation
from actorkit.testing.simulation.simulate import StrategyName
from actorkit.testing.simulation.strategies import Planned, strategies
from actorkit.testing.trace import FaultApplied, Handled, Sent
from tests.testing.simulation.actors import Add, Counter, Read, SlowAdd, Write

SAMPLING: list[StrategyName] = ["delay", "random", "sticky", "pct", "portfolio"]


async def lost_update(sim: Sim) -> None:
    """Two clients read and write; the second starts late, so only some schedules lose an update."""
    counter = await sim.spawn(Counter)

    async def client(i: int) -> None:
        for _ in range(2 * i):
            await sim.spawn(Counter)
            await trio.lowlevel.checkpoint()
        await counter.ask(Write(await counter.ask(Read()) + 1))

    await sim.each(2, client)
    assert sim.state(counter)["value"] == 2


@pytest.mark.parametrize("strategy", [*SAMPLING, "exhaustive"])
def test_every_strategy_finds_a_lost_update(strategy: StrategyName) -> None:
    """An interleaving that the natural order does not show is found, and told with a chart and a token."""
    test = simulate(strategy=strategy, examples=500, seed=3)(lost_update)
    with pytest.raises(AssertionError) as failed:
        test()
    (note,) = failed.value.__notes__
    assert "Read()" in note
    assert "Replay: actorkit replay ak1:" in note


@pytest.mark.parametrize("strategy", SAMPLING)
def test_a_failure_is_told_as_small_as_it_gets(strategy: StrategyName) -> None:
    """After shrinking no deviation is left that the failure does not need."""
    test = simulate(strategy=strategy, examples=500, seed=3)(lost_update)
    with pytest.raises(AssertionError):
        test()
    found = test.simulated.found
    assert found is not None
    plan = found.outcome.plan
    assert 1 <= plan.size <= 3
    for delay in plan.delays:
        smaller = Plan(tuple(d for d in plan.delays if d != delay), plan.faults)
        assert test.run_once(plan=smaller.token()).failure is None


def test_a_token_brings_the_same_run_back() -> None:
    """Replaying gives the same failure by the same schedule."""
    test = simulate(strategy="random", examples=500, seed=1)(lost_update)
    with pytest.raises(AssertionError):
        test()
    found = test.simulated.found
    assert found is not None
    again = test.run_once(plan=found.token)
    assert again.digest == found.outcome.digest
    with pytest.raises(AssertionError, match=r"(?s).*"):
        test.replay(found.token)


def test_a_token_that_fits_no_more_says_so() -> None:
    """A plan of other code does not pass silently."""
    token = Plan.of([(0, 1)]).token(trace="0123456789abcdef")

    async def other(sim: Sim) -> None:
        await (await sim.spawn(Counter)).ask(Read())

    with pytest.raises(PlanNoLongerMatches, match="has changed since"):
        simulate()(other).replay(token)


def test_a_test_that_holds_passes_under_all_strategies() -> None:
    """An actor that adds atomically is right in every schedule, and every example is run."""

    async def right(sim: Sim) -> None:
        counter = await sim.spawn(Counter)

        async def client(_: int) -> None:
            counter.tell(Add())
            await counter.ask(SlowAdd())

        await sim.each(3, client)
        assert sim.state(counter)["value"] == 6

    for strategy in SAMPLING:
        test = simulate(strategy=strategy, examples=50, seed=5)(right)
        test()
        assert test.simulated.last.runs >= 50


@pytest.mark.parametrize(("clients", "traces"), [(2, 6), (3, 90)])
def test_exhaustive_counts_what_can_differ(clients: int, traces: int) -> None:
    """Clients that read and then write one counter have (2n)!/2^n interleavings."""

    async def race(sim: Sim) -> None:
        counter = await sim.spawn(Counter)

        async def client(_: int) -> None:
            await counter.ask(Write(await counter.ask(Read()) + 1))

        await sim.each(clients, client)

    test = simulate(strategy="exhaustive")(race)
    test()
    assert str(test.simulated.exploration) == f"complete: {traces:,} traces"


@pytest.mark.soak
def test_exhaustive_counts_four_clients() -> None:
    """Four clients have 2,520 interleavings."""
    test_exhaustive_counts_what_can_differ(4, 2520)


def test_an_exploration_that_was_cut_short_says_so() -> None:
    """Not having seen everything is a warning, not a quiet pass."""

    async def race(sim: Sim) -> None:
        counter = await sim.spawn(Counter)

        async def client(_: int) -> None:
            await counter.ask(Read())
            await counter.ask(Read())

        await sim.each(3, client)

    test = simulate(strategy="exhaustive", max_traces=10)(race)
    with pytest.warns(IncompleteExploration, match="incomplete: 10 traces"):
        test()


def test_always_is_checked_after_every_step() -> None:
    """A claim that is broken for one step only is seen, even if all is well at the end."""

    async def dips(sim: Sim) -> None:
        counter = await sim.spawn(Counter, 1)
        sim.always(lambda: sim.state(counter)["value"] >= 0, "never below zero")
        counter.tell(Add(-2))
        counter.tell(Add(2))

    with pytest.raises(Violated, match="never below zero"):
        simulate(examples=1)(dips)()


def test_what_must_sometimes_happen_and_never_does_fails_the_search() -> None:
    """A claim that no run makes true is told, whether it was reached or not."""

    async def calm(sim: Sim) -> None:
        sim.sometimes("came by")
        sim.sometimes("restarted", holds=False)

    with pytest.raises(NeverHappened, match="'not reached', 'restarted'"):
        simulate(examples=3, sometimes=["not reached"])(calm)()


def test_a_deadlock_is_told_at_once() -> None:
    """A test that waits for what will never come fails, and says who waits for whom."""

    async def waits_for_ever(sim: Sim) -> None:
        await sim.spawn(Counter)
        await trio.sleep_forever()

    with pytest.raises(Deadlock, match="nothing can go on, and no timer is set"):
        simulate(examples=1)(waits_for_ever)()


class Ticker(ak.Actor[Add]):
    """Sends itself a message, and another, and so on."""

    @ak.on(Add)
    def add(self, msg: Add) -> None:
        self.ctx.self.tell(Add())


def test_a_run_without_end_is_told() -> None:
    """A system that never comes to rest fails, by steps or by virtual time."""

    async def busy(sim: Sim) -> None:
        (await sim.spawn(Ticker)).tell(Add())
        await sim.settle()

    with pytest.raises(Exception, match="has not ended after 300 steps"):
        simulate(examples=1, max_steps=300)(busy)()

    async def never_rests(sim: Sim) -> None:
        counter = await sim.spawn(Counter)
        sim.system.suspend(counter)
        counter.tell(Add())

    with pytest.raises(NotConverged, match=r"/Counter-1 has 1 message waiting"):
        simulate(examples=1, within=5)(never_rests)()


def test_faults_strike_and_are_shrunk() -> None:
    """A failure that needs a kill is told with one kill."""

    async def forgetful(sim: Sim) -> None:
        tree = ak.supervise(COUNTER, max_restarts=100)
        counter = (await sim.start(tree)).child(COUNTER)
        for _ in range(3):
            counter.tell(Add())
        await sim.settle()
        assert await counter.ask(Read()) == 3

    test = simulate(examples=300, faults=[early_timer(), kill_actor()], seed=1)(forgetful)
    with pytest.raises(AssertionError):
        test()
    found = test.simulated.found
    assert found is not None
    (strike,) = found.outcome.plan.faults
    assert strike.fault == 1
    assert found.outcome.trace is not None
    (fault,) = found.outcome.trace.of(FaultApplied)
    assert fault.what.startswith("kill /Supervisor-1/counter")


COUNTER = ak.Child("counter", ak.props(Counter))


def test_a_tree_that_is_being_started_is_spared() -> None:
    """Kills fall on a tree that stands: nobody tests that ``sim.start`` fails if what it starts is killed."""

    async def nested(sim: Sim) -> None:
        inner = ak.Child("inner", ak.supervise(COUNTER, max_restarts=100))
        await sim.start(ak.supervise(inner, max_restarts=100))
        await sim.each(3, lambda _: sim.spawn(Counter))

    test = simulate(strategy="random", examples=100, faults=[kill_actor()], seed=1)(nested)
    test()
    assert test.simulated.last.runs == 100


def test_an_early_timer_races_with_messages() -> None:
    """Without it virtual time stands still while anything can go on; with it an ask may time out at any moment."""

    async def asks(sim: Sim) -> None:
        counter = await sim.spawn(Counter)
        try:
            await counter.ask(Read(), timeout=5)
        except ak.AskTimeout:
            sim.sometimes("timed out")

    simulate(examples=200, faults=[early_timer()], seed=2, sometimes=["timed out"])(asks)()
    with pytest.raises(NeverHappened):
        simulate(examples=200, sometimes=["timed out"], seed=2)(asks)()


def test_a_fault_of_ones_own() -> None:
    """``custom`` does what the test says, as part of the plan."""
    struck: list[float] = []

    async def calm(sim: Sim) -> None:
        counter = await sim.spawn(Counter)
        await sim.each(3, lambda _: counter.ask(Read()))

    fault = custom("strike", lambda sim: struck.append(sim.now()))
    simulate(strategy="portfolio", examples=30, faults=[fault], seed=1)(calm)()
    assert struck


def test_a_fault_of_ones_own_may_choose_by_the_plans_number() -> None:
    """An ``act`` of two arguments gets the number that the plan holds, and the report tells it."""
    chosen: list[int] = []

    async def calm(sim: Sim) -> None:
        counter = await sim.spawn(Counter)
        await sim.each(3, lambda _: counter.ask(Read()))

    def choose(_: Sim, arg: int) -> bool:
        chosen.append(arg)
        return arg != 5

    test = simulate(faults=[custom("choose", choose)])(calm)
    plan = Plan(faults=(FaultAt(2, 0, 3), FaultAt(3, 0, 5), FaultAt(4, 0, 4000)))
    trace = test.run_once(plan=plan.token()).trace
    assert trace is not None
    assert [event.what for event in trace.of(FaultApplied)] == ["choose(3)", "choose(4000)"]
    assert chosen == [3, 5, 4000]


def test_a_fault_strikes_while_everybody_sleeps() -> None:
    """Before the clock moves, not after: then it may be too late, as when a network is cut in the midst of silence."""
    struck: list[float] = []

    async def sleeps(sim: Sim) -> None:
        await sim.settle()
        await trio.sleep(10)

    test = simulate(faults=[custom("strike", lambda sim: struck.append(sim.now()))])(sleeps)
    waking = test.run_once().steps - 1
    test.run_once(plan=Plan(faults=(FaultAt(waking, 0),)).token())
    assert struck == [0.0]


def test_one_long_run_does_not_thin_the_faults_of_the_others() -> None:
    """Disturbances fall within the length of the first run, however long some other took."""
    within: list[int] = []
    runs: list[int] = []

    async def sometimes_long(sim: Sim) -> None:
        counter = await sim.spawn(Counter)
        runs.append(0)
        within.append(0)
        for _ in range(1_000 if len(runs) == 2 else 20):
            await counter.ask(Read())

    def strike(_: Sim) -> None:
        within[-1] += 1

    fault = custom("strike", strike)
    simulate(strategy="random", examples=60, faults=[fault], seed=1)(sometimes_long)()
    assert sum(times > 0 for times in within[2:]) > 30


def test_uncontrolled_nondeterminism_is_no_failure_of_the_system() -> None:
    """A test that rolls dice of its own is told so, with what to use instead."""
    dice = random.Random()

    async def rolls(sim: Sim) -> None:
        counter = await sim.spawn(Counter)
        for _ in range(dice.randrange(100)):
            counter.tell(Add())
        assert await counter.ask(Read()) > 1000

    with pytest.raises(UncontrolledNondeterminism, match=r"ctx\.rng"):
        simulate(strategy="random", examples=5, seed=1)(rolls)()


def test_threads_and_sockets_are_refused() -> None:
    """A run that waits for a thread or a socket is not a simulation, and says so at once."""

    async def starts_a_thread(sim: Sim) -> None:
        await trio.to_thread.run_sync(int)

    with pytest.raises(UncontrolledNondeterminism, match="waits for a worker thread"):
        simulate(examples=1)(starts_a_thread)()

    async def listens(sim: Sim) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", sim_port) as stream:
            await stream.receive_some()

    with socket.create_server(("127.0.0.1", 0)) as server:
        sim_port = server.getsockname()[1]
        with pytest.raises(UncontrolledNondeterminism):
            simulate(examples=1)(listens)()


def test_chance_inside_an_actor_repeats_itself() -> None:
    """``ctx.rng``, tokens and the date are the same in every run of one seed."""
    rolled: list[tuple[float, bytes, float]] = []

    class Dice(ak.Actor[Add]):
        def started(self) -> None:
            rolled.append((self.ctx.rng.random(), self.ctx.token_bytes(4), self.ctx.wall_time()))

        @ak.on(Add)
        def add(self, msg: Add) -> None: ...

    async def rolls(sim: Sim) -> None:
        await sim.spawn(Dice)

    simulate(examples=3, strategy="random", seed=1)(rolls)()
    assert len(rolled) == 3
    assert len(set(rolled)) == 1
    simulate(examples=1, strategy="random", seed=2)(rolls)()
    assert len(set(rolled)) == 2


def test_blocking_work_is_a_step_without_a_thread() -> None:
    """``ctx.offload`` runs the function in place, with a choice before and after."""

    class Worker(ak.Actor[Read]):
        @ak.on(Read)
        async def read(self, msg: Read) -> int:
            return await self.ctx.offload(pow, 2, 10)

    async def works(sim: Sim) -> None:
        assert await (await sim.spawn(Worker)).ask(Read()) == 1024

    simulate(examples=20, strategy="random", seed=1)(works)()


def test_background_work_and_nurseries_of_handlers_are_controlled() -> None:
    """What a handler starts on trio interleaves with everything else, as the strategy says."""
    orders: set[str] = set()

    class Starter(ak.Actor[Add]):
        def __init__(self, log: list[str]) -> None:
            self.log = log

        @ak.on(Add)
        async def add(self, msg: Add) -> None:
            self.ctx.start_soon(self.write, "b")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.write, "n")
                nursery.start_soon(self.write, "m")

        async def write(self, letter: str) -> None:
            await trio.lowlevel.checkpoint()
            self.log.append(letter)

    async def works(sim: Sim) -> None:
        log: list[str] = []
        (await sim.spawn(Starter, log)).tell(Add())
        await sim.settle()
        orders.add("".join(log))

    simulate(examples=300, strategy="random", seed=1)(works)()
    assert orders == {"bnm", "bmn", "nbm", "mbn", "nmb", "mnb"}


def test_run_once_records_what_happened() -> None:
    """The outcome of one run holds its trace."""

    async def asks(sim: Sim) -> None:
        await (await sim.spawn(Counter)).ask(Read())

    outcome = simulate()(asks).run_once()
    assert outcome.failure is None
    assert outcome.trace is not None
    (sent,) = outcome.trace.of(Sent)
    (handled,) = outcome.trace.of(Handled)
    assert (sent.sender, sent.receiver, sent.number) == ("test", "/Counter-1", handled.number)


def test_fixtures_and_given_values_reach_the_test(tmp_path: Path) -> None:
    """Arguments besides the simulation are pytest's fixtures or drawn by Hypothesis; failures say which values."""
    from hypothesis import strategies as st

    async def sums(sim: Sim, amounts: list[int], where: Path) -> None:
        assert where == tmp_path
        counter = await sim.spawn(Counter)
        for amount in amounts:
            counter.tell(Add(amount))
        assert await counter.ask(Read()) < 10

    test = simulate(given={"amounts": st.lists(st.integers(0, 20))}, seed=1)(sums)
    with pytest.raises(AssertionError) as failed:
        test(where=tmp_path)
    assert "amounts=[10]" in failed.value.__notes__[0]
    assert "sums.replay('ak1:" in failed.value.__notes__[0]


def test_wrong_use_is_told_at_the_door() -> None:
    """A sync function, an unknown strategy, no examples, no parameter: each names the remedy."""
    with pytest.raises(TypeError, match="write `async def`"):
        simulate()(lambda sim: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="choose one of"):
        simulate(strategy="fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="from 1 up, got 0"):
        simulate(examples=0)

    async def nothing() -> None: ...

    with pytest.raises(TypeError, match="takes the simulation first"):
        simulate()(nothing)


# The same everywhere ---------------------------------------------------------------------------------------------

GOLDEN = "7e290a2bcb09bb63"
PRINT_DIGESTS = """
from hashlib import sha256
from tests.testing.simulation.test_simulate import digests
print(sha256(repr(digests()).encode()).hexdigest()[:16])
"""


async def storm(sim: Sim) -> None:
    """Clients of a counter that may die and be slow."""
    tree = ak.supervise(COUNTER, max_restarts=100)
    counter = (await sim.start(tree)).child(COUNTER)

    async def client(i: int) -> None:
        for _ in range(3):
            try:
                await counter.ask(SlowAdd(), timeout=1 + i)
            except ak.AskError as error:
                sim.note(type(error).__name__)

    await sim.each(3, client)


STORM = Simulation(storm, (kill_actor(), early_timer()), seed=7)


def storms(seed: int, count: int) -> list[Outcome]:
    """What came of so many drawn runs."""
    found: list[Outcome] = []

    def keep(outcome: Outcome) -> bool:
        found.append(outcome)
        return False

    drawn = strategies("portfolio", rng=random.Random, seed=seed, horizon=40, faults=2)
    STORM.run_all(islice(drawn, count), keep)
    return found


def digests() -> list[str]:
    """What 60 runs under drawn schedules and faults did."""
    return [f"{o.digest} {o.failure!r} {o.plan.token()}" for o in storms(7, 60)]


@pytest.mark.parametrize("seed", range(4))
def test_a_plan_is_the_whole_run(seed: int) -> None:
    """Whatever strategy made a run, its plan makes it again: alone or among others, recorded or not."""
    for outcome in storms(seed, 40):
        assert STORM.run(Planned(outcome.plan)).digest == outcome.digest
        assert STORM.run(Planned(outcome.plan), record=True).digest == outcome.digest


@pytest.mark.parametrize("hash_seed", ["0", "1", "77"])
def test_one_seed_gives_one_trace_whatever_the_hash_seed_and_the_python(hash_seed: str) -> None:
    """60 faulty runs are the same, step by step, under any PYTHONHASHSEED and on every version of Python."""
    done = subprocess.run(
        [sys.executable, "-c", PRINT_DIGESTS],
        check=False,
        env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == GOLDEN
