"""The shadow that the kill storm trusts can see: it agrees with what is true, and notices every kind of lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import actorkit as ak
from actorkit.supervision.door import SupervisorProps
from tests.supervision.shadow import Follower, Trace
from tests.supervision.support import Stage, crash, kill

Events = list[tuple[float, Any]]
Lie = Callable[[Events], None]
CHILDREN = tuple(Stage().child(name) for name in ("a", "b", "c"))


def _tree(**flags: Any) -> SupervisorProps:
    options: dict[str, Any] = {"strategy": "one_for_all", "max_restarts": 2}
    return ak.supervise(*CHILDREN, **(options | flags))


async def _told(system: ak.System) -> Trace:
    """Two crashes are answered by restarts, a kill by giving up."""
    trace = Trace(system)
    top = await system.start(_tree(), name="top")
    for child in CHILDREN[:2]:
        await crash(top.child(child))
    await kill(top.child(CHILDREN[2]))
    assert not top.ref.alive
    return trace


def _discrepancies(trace: Trace, tree: SupervisorProps) -> list[str]:
    follower = Follower("/top", tree)
    follower.follow(trace)
    return [*follower.discrepancies, *follower.shadows, *follower.living]


async def test_the_truth_is_believed(system: ak.System) -> None:
    """What a supervisor really did is what its plan says."""
    follower = Follower("/top", _tree())
    follower.follow(await _told(system))
    assert follower.discrepancies == []
    assert (follower.shadows, follower.living) == ({}, {})
    assert follower.decisions == {"started": 9, "mourned": 3, "stopped": 6, "gave up": 1}


@pytest.mark.parametrize(
    "flags",
    [
        {"strategy": "one_for_one"},
        {"strategy": "rest_for_one"},
        {"max_restarts": 1},
        {"max_restarts": 3},
        {"backoff": ak.Backoff(initial=1.0)},
    ],
    ids=str,
)
async def test_another_plan_is_not(system: ak.System, flags: dict[str, Any]) -> None:
    """What one supervisor did is not what another one would have done."""
    assert _discrepancies(await _told(system), _tree(**flags)) != []


def _at(events: Events, kind: type, which: int) -> int:
    return [place for place, (_, event) in enumerate(events) if isinstance(event, kind)][which]


def _leave_out(kind: type, which: int) -> Lie:
    def lie(events: Events) -> None:
        del events[_at(events, kind, which)]

    return lie


def _exchange(kind: type, one: int, other: int) -> Lie:
    def lie(events: Events) -> None:
        here, there = _at(events, kind, one), _at(events, kind, other)
        events[here], events[there] = events[there], events[here]

    return lie


def _repeat(kind: type, which: int) -> Lie:
    def lie(events: Events) -> None:
        place = _at(events, kind, which)
        events.insert(place, events[place])

    return lie


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(_leave_out(ak.ChildStarted, 3), id="a child was not restarted"),
        pytest.param(_leave_out(ak.Stopped, 1), id="a child was not stopped"),
        pytest.param(_leave_out(ak.ChildTerminated, 0), id="a death was not mourned"),
        pytest.param(_leave_out(ak.GaveUp, 0), id="it ended for no reason"),
        pytest.param(_exchange(ak.Stopped, 1, 2), id="children were stopped in the wrong order"),
        pytest.param(
            _exchange(ak.ChildStarted, 3, 4), id="children were started in the wrong order"
        ),
        pytest.param(_repeat(ak.ChildStarted, 4), id="a child was started twice"),
        pytest.param(_repeat(ak.ChildTerminated, 0), id="a death was mourned twice"),
        pytest.param(_repeat(ak.Started, 4), id="a child had two incarnations"),
    ],
)
async def test_a_lie_is_noticed(system: ak.System, lie: Lie) -> None:
    """A history in which one thing is missing, repeated or out of order is not believed."""
    trace = await _told(system)
    lie(trace.events)
    assert _discrepancies(trace, _tree()) != []
