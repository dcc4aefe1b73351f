"""The plan of strikes: drawn once, from a seed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.demo.ground import worker_names
from actorkit.demo.sabotage import Manner, Target, merged, plan_strikes
from actorkit.demo.tree import preferred, targets


@given(st.integers(0, 80), st.integers())
def test_a_plan_has_as_many_strikes_as_ordered_in_order(count: int, seed: int) -> None:
    """Strikes are numbered from 1, due one after the other, within the work, and all at somebody who may be struck."""
    plan = plan_strikes(count, targets(), Random(seed))
    shares = [strike.share for strike in plan]
    assert [strike.number for strike in plan] == list(range(1, count + 1))
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    manners = {target.name: target.manners for target in targets()}
    assert all(strike.manner in manners[strike.victim] for strike in plan)


@given(st.integers())
def test_a_seed_means_the_same_plan(seed: int) -> None:
    """The same seed gives the same victims, moments and manners."""
    assert plan_strikes(20, targets(), Random(seed)) == plan_strikes(20, targets(), Random(seed))


def test_seeds_differ() -> None:
    """Another seed gives another plan."""
    plans = {plan_strikes(20, targets(), Random(seed)) for seed in range(20)}
    assert len(plans) == 20


def test_everybody_is_struck_in_every_way_sooner_or_later() -> None:
    """Nobody who may be struck is spared for good, and strikes fall early, late, and when all is read."""
    plan = plan_strikes(2000, targets(), Random(1))
    struck = {(strike.victim, strike.manner) for strike in plan}
    assert struck == {(target.name, manner) for target in targets() for manner in target.manners}
    assert plan[0].share < 0.01
    assert 0.02 < sum(strike.share == 1.0 for strike in plan) / len(plan) < 0.1


@pytest.mark.parametrize("spared", ["ledger", "study"])
def test_the_root_and_the_ledger_are_spared(spared: str) -> None:
    """What cannot be recovered by design is never struck."""
    assert spared not in {target.name for target in targets()}


def test_supervisors_can_only_be_killed() -> None:
    """They trap exits, and take no orders to crash."""
    assert Target("s", supervisor=True).manners == (Manner.KILL,)


def test_nodes_can_only_be_ended_by_signal() -> None:
    """A node is no actor, and no actor is a process."""
    assert Target("worker-1", node=True).manners == (Manner.SIGKILL,)
    assert not [target for target in targets() if Manner.SIGKILL in target.manners]


@given(st.integers(0, 20), st.integers(0, 20), st.integers())
def test_plans_are_merged_into_one(actors: int, nodes: int, seed: int) -> None:
    """Nothing is lost, and the whole is a plan again: numbered from 1, in the order in which strikes are due."""
    workers = tuple(Target(name, node=True) for name in worker_names(3))
    plans = [plan_strikes(actors, targets(), Random(seed)), plan_strikes(nodes, workers, Random(7))]
    plan = merged(*plans)
    assert [strike.number for strike in plan] == list(range(1, actors + nodes + 1))
    assert [strike.share for strike in plan] == sorted(s.share for p in plans for s in p)
    assert sum(strike.manner is Manner.SIGKILL for strike in plan) == nodes


@pytest.mark.parametrize(("nodes", "workers"), [(1, ()), (3, ("worker-1", "worker-2"))])
def test_readers_take_turns_in_which_node_they_prefer(nodes: int, workers: tuple[str, ...]) -> None:
    """Each may live on any worker node, and they begin evenly spread; with one node there is no choice."""
    assert worker_names(nodes) == workers
    places = [preferred(workers, number) for number in range(4)]
    assert [place and place[0] for place in places] == [*workers, *workers] or places == [None] * 4
    assert all(place is None or sorted(place) == list(workers) for place in places)
