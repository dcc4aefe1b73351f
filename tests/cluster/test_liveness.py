"""When a silent peer is given up, when a tick is sent, and that a pause of one's own is nobody else's fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.cluster.liveness import Liveness, Pulse

TIMES = st.floats(0.0, 40.0)


def down_at(liveness: Liveness, now: float) -> float:
    """When a connection goes down over which nothing comes, served on time."""
    while True:
        now = max(now, liveness.next(now))
        if liveness.due(now) is Pulse.DOWN:
            return now


@pytest.mark.parametrize(("intensity", "least", "most"), [(4, 9.0, 15.0), (24, 11.5, 12.5)])
@given(silent_from=TIMES)
def test_a_peer_that_falls_silent_is_found_out_within_one_interval_of_the_tick_time(
    intensity: int, least: float, most: float, silent_from: float
) -> None:
    """An idle peer that ticked until some moment, with ticktime 12: kdist's tick and tick_intensity (case 83)."""
    mine, theirs = Liveness(12.0, intensity, 0.0), Liveness(12.0, intensity, 0.0)
    while (ticks := theirs.next(0.0)) <= silent_from:
        assert theirs.due(ticks) is Pulse.TICK
        theirs.heard(ticks)
        mine.heard(ticks)
        mine.spoke(ticks)
    found = down_at(mine, silent_from)
    assert least <= found - silent_from <= most


@given(st.sampled_from([4, 24]), st.floats(0.0, 0.5))
def test_idle_and_healthy_is_never_dropped(intensity: int, latency: float) -> None:
    """Two that say nothing but ticks keep each other for a day."""
    sides = Liveness(12.0, intensity, 0.0), Liveness(12.0, intensity, 0.0)
    arrivals: list[tuple[float, int]] = []
    now = 0.0
    for _ in range(2_000):
        side = min((0, 1), key=lambda n: sides[n].next(now))
        now = sides[side].next(now)
        for at, to in [a for a in arrivals if a[0] <= now]:
            sides[to].heard(at)
        arrivals = [a for a in arrivals if a[0] > now]
        due = sides[side].due(now)
        assert due is not Pulse.DOWN
        if due is Pulse.TICK:
            arrivals.append((now + latency, 1 - side))


@given(st.lists(st.floats(0.1, 11.9), min_size=1, max_size=20))
def test_any_traffic_counts(gaps: list[float]) -> None:
    """What arrives within the tick time of what came before keeps the connection; nothing sent from here does."""
    liveness, now = Liveness(12.0, 4, 0.0), 0.0
    for gap in gaps:
        until = now + gap
        while liveness.next(now) <= until:
            now = liveness.next(now)
            assert liveness.due(now) is not Pulse.DOWN
        now = until
        liveness.heard(now)
    assert down_at(liveness, now) == pytest.approx(now + 12.0)


def test_a_tick_is_due_when_nothing_was_sent_for_an_interval() -> None:
    """Whatever was sent puts it off, and a tick itself counts as sent."""
    liveness = Liveness(12.0, 4, 0.0)
    assert liveness.due(2.9) is None
    assert liveness.due(3.0) is Pulse.TICK
    assert liveness.due(3.0) is None
    liveness.spoke(5.0)
    assert liveness.next(5.0) == 8.0
    assert liveness.due(7.9) is None
    assert liveness.due(8.0) is Pulse.TICK


def test_a_process_that_was_paused_reads_what_waits_before_it_judges() -> None:
    """It sends a tick at once, has one interval to hear of the peer, and goes on if it does."""
    liveness = Liveness(12.0, 4, 0.0)
    assert liveness.next(0.0) == 3.0
    assert liveness.due(100.0) is Pulse.TICK
    assert liveness.due(100.0) is None
    assert liveness.next(100.0) == 103.0
    liveness.heard(100.1)
    assert down_at(liveness, 100.1) == pytest.approx(112.1)


def test_the_grace_after_a_pause_is_one_interval_and_is_given_once() -> None:
    """A peer that says nothing is down after it, however often this process is paused."""
    liveness = Liveness(12.0, 4, 0.0)
    assert liveness.due(100.0) is Pulse.TICK
    assert liveness.next(100.0) == 103.0
    assert liveness.due(102.9) is None
    assert liveness.due(103.0) is Pulse.DOWN
    again = Liveness(12.0, 4, 0.0)
    assert again.due(100.0) is Pulse.TICK
    assert again.next(100.0) == 103.0
    assert again.due(200.0) is Pulse.DOWN


def test_a_late_call_within_an_interval_is_no_pause() -> None:
    """A little jitter of the scheduler gives no grace."""
    liveness = Liveness(12.0, 4, 0.0)
    for tick in (3.0, 6.0, 9.0):
        assert liveness.next(tick) == tick
        assert liveness.due(tick) is Pulse.TICK
    assert liveness.next(9.0) == 12.0
    assert liveness.due(14.0) is Pulse.DOWN


@pytest.mark.parametrize(
    ("ticktime", "intensity", "said"),
    [(0.0, 4, "above 0, got 0.0"), (float("inf"), 4, "got inf"), (60.0, 3, "4 to 1000")],
)
def test_nonsense_is_refused(ticktime: float, intensity: int, said: str) -> None:
    """The error names the value and what is allowed."""
    with pytest.raises(ValueError, match=said):
        Liveness(ticktime, intensity, 0.0)
