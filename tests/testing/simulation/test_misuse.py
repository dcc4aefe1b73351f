"""Simulated tests that are written, ended or repeated in the wrong way."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from hypothesis import strategies as st

from actorkit.testing import (
    Fault,
    NeverHappened,
    Sim,
    UncontrolledNondeterminism,
    custom,
    kill_actor,
    simulate,
)
from actorkit.testing.simulation.simulate import StrategyName
from tests.testing.simulation.actors import Add, Counter, Read

pytest_plugins = ["pytester"]


async def rests(sim: Sim) -> None:
    """Do nothing."""


# Ctrl-C ----------------------------------------------------------------------------------------------------------


async def in_the_test(sim: Sim) -> None:
    """Ctrl-C comes while the test itself runs."""
    raise KeyboardInterrupt


async def in_a_client(sim: Sim) -> None:
    """Ctrl-C comes while a client runs, inside two nurseries, and another client fails of it in its own way."""

    async def client(i: int) -> None:
        if i == 1:
            raise KeyboardInterrupt
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError

    await sim.each(2, client)


@pytest.mark.parametrize("strategy", ["delay", "random", "exhaustive"])
@pytest.mark.parametrize("body", [in_the_test, in_a_client])
def test_ctrl_c_ends_the_search(
    strategy: StrategyName, body: Callable[[Sim], Awaitable[object]]
) -> None:
    """It comes out alone, in no group and not as a failure of the test, so pytest stops."""
    runs = itertools.count()

    async def counted(sim: Sim) -> None:
        next(runs)
        await body(sim)

    with pytest.raises(KeyboardInterrupt):
        simulate(strategy=strategy, examples=5)(counted)()
    assert next(runs) == 1


# Arguments -------------------------------------------------------------------------------------------------------


def test_wrong_numbers_are_told_when_the_test_is_defined() -> None:
    """Each is named with its value."""
    for wrong in (0, -1, 2.5, "many"):
        number: Any = wrong
        with pytest.raises(
            ValueError, match=f"examples is a whole number from 1 up, got {wrong!r}"
        ):
            simulate(examples=number)
        with pytest.raises(ValueError, match=f"max_steps is a whole number .* got {wrong!r}"):
            simulate(max_steps=number)
        with pytest.raises(ValueError, match=f"max_traces is a whole number .* got {wrong!r}"):
            simulate(max_traces=number)
    for within in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="within is a number of virtual seconds"):
            simulate(within=within)


@pytest.mark.parametrize("wrong", [kill_actor, type(kill_actor()), "kill_actor"])
def test_what_is_no_fault_is_told_when_the_test_is_defined(wrong: Fault) -> None:
    """Forgotten brackets are found before the first run, not in the first run that strikes."""
    with pytest.raises(TypeError, match=r"made by calls such as kill_actor\(\), got "):
        simulate(faults=[wrong])


def test_given_values_must_have_a_place() -> None:
    """A name that the test does not take is a mistake of writing."""
    with pytest.raises(TypeError, match="given= draws n, which rests does not take"):
        simulate(given={"n": st.integers()})(rests)


def test_one_claim_may_be_given_alone() -> None:
    """A text is one claim, not its letters."""
    with pytest.raises(NeverHappened, match="it never happened: 'it rains'"):
        simulate(sometimes="it rains", examples=1)(rests)()


def test_a_replay_needs_the_values_that_were_drawn() -> None:
    """A token holds a schedule and no data; the error shows the call that is meant."""

    @simulate(given={"n": st.integers()})
    async def test_n(sim: Sim, n: int) -> None: ...

    token = test_n.run_once(n=1).plan.token()
    with pytest.raises(
        TypeError, match=r"test_n draws n, .*call test_n\.replay\('ak1:\S+', n=\.\.\.\)"
    ):
        test_n.replay(token)


# Faults and chance -----------------------------------------------------------------------------------------------


def test_a_fault_that_fails_is_told_and_replayed() -> None:
    """An error in a fault of the test's own fails the run with that error, and its token brings it back."""

    def breaks(sim: Sim) -> None:
        raise ZeroDivisionError

    @simulate(faults=[custom("breaks", breaks)], seed=1)
    async def test(sim: Sim) -> None:
        counter = await sim.spawn(Counter)
        for _ in range(3):
            await counter.ask(Read())

    with pytest.raises(ZeroDivisionError) as failed:
        test()
    assert "1 fault and 0 reorderings" in failed.value.__notes__[0]
    assert test.simulated.found is not None
    with pytest.raises(ZeroDivisionError):
        test.replay(test.simulated.found.token)


def test_nondeterminism_names_the_failure_that_did_not_come_again() -> None:
    """A run that failed once and then passes: the error says with what it failed, and what tells the runs apart."""
    runs = itertools.count()

    @simulate(strategy="random", examples=5, seed=1)
    async def test(sim: Sim) -> None:
        counter = await sim.spawn(Counter)
        counter.tell(Add())
        assert next(runs) > 0, "the first run is special"

    with pytest.raises(UncontrolledNondeterminism) as failed:
        test()
    text = str(failed.value)
    assert "one failed with AssertionError: the first run is special" in text
    assert "the other passed after" in text
    assert "events" not in text  # the first run was not recorded, so there is nothing to compare


# What pytest shows -----------------------------------------------------------------------------------------------

PROJECT = """
import pytest
from actorkit.testing import simulate

@simulate(examples=1)
async def test_claims(sim):
    sim.always(lambda: False, "pigs fly")
    await sim.settle()

class Shared:
    @pytest.mark.parametrize("n", [1, 2])
    @simulate(examples=1)
    async def test_two(self, sim, n):
        assert n == 1

class TestShared(Shared):
    pass
"""


def test_a_failure_without_a_line_of_the_test_shows_its_report(pytester: pytest.Pytester) -> None:
    """The claim and the chart are all there is: no remark on hidden lines, no line of ours."""
    pytester.makepyfile(PROJECT)
    result = pytester.runpytest_inprocess("-k", "test_claims", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*Violated: pigs fly", "*Replay: actorkit replay ak1:*"])
    result.stdout.no_fnmatch_line("*entries are hidden*")
    result.stdout.no_fnmatch_line("*simulate.py*")


def test_the_replay_line_names_the_test_as_pytest_does(pytester: pytest.Pytester) -> None:
    """With the class it was collected in and its parameters, quoted for a shell."""
    path = pytester.makepyfile(PROJECT)
    result = pytester.runpytest_inprocess("-k", "test_two", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [f"*Replay: actorkit replay ak1:* '{path.name}::TestShared::test_two[[]2[]]'"]
    )
