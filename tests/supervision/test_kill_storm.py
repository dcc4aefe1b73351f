"""Ten thousand random kills in virtual time: supervisors decide as the pure plan does, and nothing leaks."""

from __future__ import annotations

import gc
from random import Random

import pytest
import trio

import actorkit as ak
from actorkit.kernel.dispatcher import SPARE_CARRIERS
from tests.harness import assert_conserved, open_checked_system, settle
from tests.supervision.shadow import Follower, Trace
from tests.supervision.storm import Forest, Storm
from tests.supervision.support import Worker, statuses

SEEDS = range(5)
KILLS = 2_000
CARRIERS = SPARE_CARRIERS + 2  # the spare ones, the one at work, and the clock


async def _quiet(system: ak.System) -> None:
    """Until no restart is to come any more: longer than any start, end or back-off takes."""
    await trio.sleep(10.0)
    await settle()
    assert_conserved(system)


def _leaks(system: ak.System) -> dict[str, int]:
    """What a system holds of actors that are gone."""
    dispatcher = system.runtime.dispatcher
    gc.collect()
    return {
        "pinned": dispatcher.pinned,
        "queued": len(dispatcher.ready),
        "tasks": len(dispatcher.nursery.child_tasks) if dispatcher.nursery else 0,
        "workers": sum(isinstance(thing, Worker) for thing in gc.get_objects()),
        "relations": len(system.runtime.relations),
        "names": len(system.names()),
    }


@pytest.mark.parametrize("seed", SEEDS)
async def test_kill_storm(seed: int) -> None:
    """Under a storm of kills every decision equals the pure plan's, the books balance, and nothing is left behind."""
    await _storm(seed, KILLS)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 130))
async def test_long_kill_storm(seed: int) -> None:
    """A storm that lasts: ten thousand kills in one system leave no more behind than two thousand."""
    await _storm(seed, 10_000)


async def _storm(seed: int, kills: int) -> None:
    async with open_checked_system() as system:
        forest = Forest(Random(seed))
        trace, follower = Trace(system), Follower("/top", forest.props)
        top = await system.start(forest.props, name="top")
        storm = Storm(system, forest, top)
        await storm.rage(kills)
        await _quiet(system)
        follower.follow(trace)
        assert follower.discrepancies == []
        for path, shadow in follower.shadows.items():
            by_plan = {r.id: r.status.value for r in shadow.plan.children}
            assert await statuses(storm.doors[path]) == by_plan

        await top.stop()
        await _quiet(system)
        follower.follow(trace)
        assert follower.discrepancies == []
        assert (follower.shadows, follower.living) == ({}, {})
        leaks = _leaks(system)
        assert leaks.pop("tasks") <= CARRIERS
        assert set(leaks.values()) == {0}, leaks

    assert storm.kills == kills
    _was_a_storm(follower, storm)


def _was_a_storm(follower: Follower, storm: Storm) -> None:
    """It came everywhere: a breeze would prove nothing."""
    decisions = follower.decisions
    assert min(decisions[what] for what in ("mourned", "started", "stopped")) > 500, decisions
    assert min(decisions[what] for what in ("start failed", "retried")) > 100, decisions
    assert decisions["gave up"] > 5, decisions
    found = storm.found
    assert min(found[how] for how in ("starting", "stopping", "pinned", "asking")) > 0, found
    outcomes = storm.outcomes
    assert min(outcomes[how] for how in ("went well", "ActorDied", "AskTimeout")) > 100, outcomes
