"""Faults of nodes and links: what each does, whom it may hit, how it ends, and that plans hold all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.testing import (
    Fault,
    NodeGone,
    Sim,
    cut,
    delay_link,
    drop_connection,
    kill_actor,
    kill_node,
    one_way_cut,
    pause_node,
    power_cut_node,
    restart_node,
    simulate,
)
from actorkit.testing.simulation.plan import FaultAt, Plan
from actorkit.testing.simulation.runner import Outcome
from actorkit.testing.trace import FaultApplied, Noted
from tests.testing.simulation.citizens import CITIZEN, Tell, Words, settle_citizen

NODES = ("a", "b", "c")


def struck(fault: Fault, arg: int, body: Any = None) -> tuple[list[str], list[str], Outcome]:
    """What a fault did when it struck in the midst of a run, with that argument, and what was told later."""
    begun: list[int] = []

    async def whole(sim: Sim) -> None:
        await sim.settle()
        begun.append(sim.step())
        await sim.advance(10)
        if body is not None:
            await body(sim)

    test = simulate(nodes=NODES, boot=settle_citizen, ticktime=4.0, faults=[fault])(whole)
    assert test.run_once().failure is None
    plan = Plan(faults=(FaultAt(begun[0] + 1, 0, arg),))
    outcome = test.run_once(plan=plan.token())
    if outcome.failure is not None:
        raise outcome.failure
    assert outcome.trace is not None
    done = [event.what for event in outcome.trace.of(FaultApplied)]
    return done, [event.text for event in outcome.trace.of(Noted)], outcome


CASES: list[tuple[Fault, int, str, str]] = [
    (cut(), 0, "cut a | b for 1 s", "a | b is connected again"),
    (cut(), 2, "cut b | c for 1 s", "b | c is connected again"),
    (cut(), 3, "cut a | b for 150 s", "a | b is connected again"),
    (cut("c", "*", seconds=2), 0, "cut c | a for 2 s", "c | a is connected again"),
    (one_way_cut(), 1, "cut b -> a for 1 s", "b -> a is connected again"),
    (one_way_cut("a", "c"), 7, "cut a -> c for 150 s", "a -> c is connected again"),
    (delay_link(), 0, "a -> b takes 0.2 s", "a -> b is quick again"),
    (delay_link("c", by=3.0, lasting=2), 1, "c -> b takes 3 s", "c -> b is quick again"),
    (pause_node(), 1, "pause node b for 1 s", "node b goes on"),
    (pause_node("c"), 1, "pause node c for 150 s", "node c goes on"),
    (kill_node("b", restart=True), 0, "kill -9 of node b", "node b is started again"),
    (
        restart_node(after=3),
        2,
        "kill -9 of node c, started again after 3 s",
        "node c is started again",
    ),
    (power_cut_node(restart=True), 0, "power cut at node a", "node a is started again"),
    (
        restart_node("a", power=True, after=9),
        0,
        "power cut at node a, started again after 9 s",
        "node a is started again",
    ),
]


@pytest.mark.parametrize(("fault", "arg", "what", "undone"), CASES)
def test_a_fault_strikes_and_is_undone(fault: Fault, arg: int, what: str, undone: str) -> None:
    """The argument chooses victim and duration; it is told what was done, and undone at the end at the latest."""
    done, told, _ = struck(fault, arg)
    assert done == [what]
    assert told == [undone]


def test_a_killed_node_stays_dead_unless_asked_for() -> None:
    """``kill_node`` alone brings nothing back, not even the liveness phase."""

    async def heal(sim: Sim) -> None:
        await sim.heal_and_settle()
        sim.note(f"up: {', '.join(sim.nodes)}")

    _, told, _ = struck(kill_node("b"), 0, heal)
    assert told == ["up: a, c"]


def test_a_connection_breaks_and_another_is_made() -> None:
    """Both ends see it at once; the nodes meet again."""

    async def look(sim: Sim) -> None:
        for name, node in sim.nodes.items():
            assert set(node.nodes()) == set(NODES) - {name}

    done, _, _ = struck(drop_connection("a", "b"), 0, look)
    assert len(done) == 1
    assert done[0].startswith("the connection from")


@pytest.mark.parametrize(
    "fault",
    [cut("z*"), one_way_cut("a", "a"), drop_connection("x", "y"), pause_node("z"), kill_node("z")],
)
def test_a_fault_without_a_victim_does_nothing(fault: Fault) -> None:
    """It stays in the plan, and nothing is told."""
    done, told, outcome = struck(fault, 5)
    assert (done, told) == ([], [])
    assert len(outcome.plan.faults) == 1


@pytest.mark.parametrize("make", [cut, one_way_cut, pause_node])
def test_durations_are_checked(make: Callable[..., Fault]) -> None:
    """A number of seconds above 0, or several."""
    for wrong in (0, -1, (), (1, 0), float("nan")):
        with pytest.raises(ValueError, match="a number of seconds above 0"):
            make(seconds=wrong)


def test_kills_of_actors_choose_by_node_and_path() -> None:
    """A pattern with a node's name in front means actors of that node; those of a paused node are spared."""
    done, _, _ = struck(kill_actor("b:/citizen"), 3)
    assert done == ["kill b:/citizen"]
    done, _, _ = struck(kill_actor("/citizen"), 1)
    assert done == ["kill b:/citizen"]


def test_a_bug_that_takes_two_faults_is_found_made_small_and_replayed() -> None:
    """Somebody trusts that a node that was told something still knows it: only a restart in between shows that."""

    async def trusts(sim: Sim) -> None:
        async def client(node: ak.Node) -> None:
            there = node.remote("b").named(CITIZEN)
            try:
                await there.ask(Words(), timeout=None)
                there.tell(Tell("a secret"))
                await there.ask(Words(), timeout=None)
                await trio.sleep(2)
                words = await there.ask(Words(), timeout=None)
            except ak.AskError:
                return
            assert words == ["a secret"], "b has forgotten"

        try:
            await sim.on("a", client)
        except NodeGone:
            return

    test = simulate(
        nodes=["a", "b"],
        boot=settle_citizen,
        ticktime=4.0,
        strategy="portfolio",
        examples=300,
        seed=1,
        faults=[cut(), restart_node(after=(0.5, 1.0)), pause_node()],
    )(trusts)
    with pytest.raises(AssertionError, match="b has forgotten") as failed:
        test()
    (note,) = failed.value.__notes__
    assert "kill -9 of node b, started again after" in note
    assert "a:client" in note
    found = test.simulated.found
    assert found is not None
    assert found.outcome.plan.size <= 2
    with pytest.raises(AssertionError, match="b has forgotten"):
        test.replay(found.token)
