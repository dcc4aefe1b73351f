"""Ten thousand random kills in virtual time: supervisors decide as the pure plan does, and nothing leaks."""

from __future__ import annotations

import gc
from random import Random

import pytest
import trio

import actorkit as ak
from tests.harness import assert_conserved, open_checked_system, settle
from tests.supervision.shadow import Follower, Trace
from tests.supervision.storm import Forest, Storm
from tests.supervision.support import Worker

SEEDS = range(5)
KILLS = 2_000
CARRIERS = 10  # trio tasks a system may keep: spare carriers, one at work, the clock


async def _quiet(system: ak.System) -> None:
    """Until no restart is to come any more: longer than any start, end or back-off takes."""
    await trio.sleep(10.0)
    await settle()
    assert_conserved(system)


async def _statuses(door: ak.SupervisorRef) -> dict[str, str]:
    return {info.id: info.status.value for info in await door.which_children()}


def _leaks(system: ak.System) -> dict[str, int]:
    """What a system holds of actors that are gone."""
    dispatcher = system.runtime.dispatcher
    gc.collect()
    return {
        "pinned": dispatcher.pinned,
        "queued": len(dispatcher.ready),
        "tasks": len(dispatcher.nursery.child_tasks) if dispatcher.nursery else 0,
        "workers": sum(isinstance(thing, Worker) for thing in gc.get_objects()),
    }


@pytest.mark.parametrize("seed", SEEDS)
async def test_kill_storm(seed: int) -> None:
    """Under a storm of kills every decision equals the pure plan's, the books balance, and nothing is left behind."""
    async with open_checked_system() as system:
        forest = Forest(Random(seed))
        trace, follower = Trace(system), Follower("/top", forest.props)
        top = await system.start(forest.props, name="top")
        storm = Storm(system, forest, top)
        await storm.rage(KILLS)
        await _quiet(system)
        follower.follow(trace)
        assert follower.discrepancies == []
        for path, shadow in follower.shadows.items():
            by_plan = {r.id: r.status.value for r in shadow.plan.children}
            assert await _statuses(storm.doors[path]) == by_plan

        await top.stop()
        await _quiet(system)
        follower.follow(trace)
        assert follower.discrepancies == []
        assert follower.shadows == {}
        assert follower.living == {}
        leaks = _leaks(system)
        assert leaks.pop("tasks") <= CARRIERS
        assert leaks == {"pinned": 0, "queued": 0, "workers": 0}

    assert storm.kills == KILLS
    _was_a_storm(follower, storm)


def _was_a_storm(follower: Follower, storm: Storm) -> None:
    """The storm came everywhere: a quiet one would prove nothing."""
    decisions, outcomes = follower.decisions, storm.outcomes
    print(decisions, outcomes)
