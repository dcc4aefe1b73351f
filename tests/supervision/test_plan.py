"""Laws of the pure plan: what a supervisor may decide, whatever happens to its children."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from actorkit.supervision import plan as planning
from actorkit.supervision.plan import ChildStatus, Forget, GiveUp, Plan, Record, Retry, Start, Stop
from actorkit.supervision.spec import Backoff, Flags, Restart

QUARTERS = st.integers(0, 400).map(lambda n: n / 4)  # exact in binary, so that the edges are exact
RESTARTS: st.SearchStrategy[Restart] = st.sampled_from(["permanent", "transient", "temporary"])
FLAGS = st.builds(
    Flags,
    strategy=st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
    max_restarts=st.integers(0, 5),
    within=st.integers(1, 40).map(lambda n: n / 4),
)
BACKOFFS = st.builds(
    lambda initial, factor, more, jitter: Backoff(initial, factor, initial + more, jitter),
    st.floats(0, 1e6),
    st.floats(1, 1e6),
    st.floats(0, 1e9),
    st.floats(0, 1),
)


def no_jitter() -> float:
    """Instead of a random number."""
    return 0.0


def running(flags: Flags, kinds: Sequence[Restart]) -> Plan:
    """A plan of children named by their position, all of them running since 0."""
    plan = Plan(flags)
    for position, kind in enumerate(kinds):
        plan = planning.add(plan, Record(str(position), kind))
        plan = planning.started(plan, str(position), 0.0)
    return plan


PLANS = st.builds(running, FLAGS, st.lists(RESTARTS, min_size=1, max_size=8))


@st.composite
def deaths(draw: st.DrawFn) -> tuple[Plan, str, bool, float]:
    """A plan, one of its children, whether that ends in good order, and when."""
    plan = draw(PLANS)
    child = draw(st.sampled_from(plan.children)).id
    return plan, child, draw(st.booleans()), draw(QUARTERS)


# The window --------------------------------------------------------------------------------------


def _within_by_hand(times: Sequence[float], now: float, within: float) -> int:
    return sum(now - within <= t <= now for t in times)


@given(FLAGS, st.lists(QUARTERS, max_size=40).map(sorted))
def test_the_window_is_the_one_counted_by_hand(flags: Flags, times: list[float]) -> None:
    """A restart is allowed if, with it, there are at most ``max_restarts`` in the window, both edges included."""
    window: tuple[float, ...] = ()
    for count, now in enumerate(times, 1):
        window, allowed = planning.restart_allowed(window, flags, now)
        assert len(window) == _within_by_hand(times[:count], now, flags.within)
        assert allowed is (len(window) <= flags.max_restarts)
        if not allowed:
            return


@given(st.integers(0, 20), QUARTERS.filter(bool), QUARTERS)
def test_the_edge_of_the_window_counts(limit: int, within: float, began: float) -> None:
    """A restart exactly ``within`` seconds old still counts; a moment later it does not."""
    flags = Flags(max_restarts=limit, within=within)
    window = (began,) * limit
    assert planning.restart_allowed(window, flags, began + within)[1] is False
    later = planning.restart_allowed(window, flags, began + within + 0.25)
    assert later == ((began + within + 0.25,), limit > 0)


@given(st.integers(0, 10), st.integers(1, 10))
def test_exactly_so_many_restarts(limit: int, crowd: int) -> None:
    """At one moment exactly ``max_restarts`` deaths are answered by a restart, and the next one by giving up."""
    kinds: list[Restart] = ["permanent"]
    plan = running(Flags(max_restarts=limit), kinds * crowd)
    for _ in range(limit):
        plan, directives = planning.died(plan, "0", False, 1.0, no_jitter)
        assert directives == (Start(("0",)),)
        plan = planning.started(plan, "0", 1.0)
    assert planning.died(plan, "0", False, 1.0, no_jitter)[1] == (GiveUp(),)


# Who is touched ----------------------------------------------------------------------------------


@given(deaths())
def test_who_asks_for_a_restart(death: tuple[Plan, str, bool, float]) -> None:
    """Permanent children always ask for a restart, transient ones after an abnormal end, temporary ones never."""
    plan, child, orderly, now = death
    record = plan.find(child)
    assert record is not None
    after, directives = planning.died(plan, child, orderly, now, no_jitter)
    if record.restart == "permanent" or (record.restart == "transient" and not orderly):
        assert any(isinstance(d, (Start, GiveUp)) for d in directives)
        assert len(after.restarts) == 1
    elif record.restart == "temporary":
        assert (directives, after.find(child)) == ((Forget((child,)),), None)
    else:
        assert directives == ()
        left = after.find(child)
        assert left is not None
        assert left.status is ChildStatus.STOPPED
    if not directives or isinstance(directives[0], Forget):
        assert after.restarts == plan.restarts  # such an end costs nothing


@given(deaths())
def test_the_strategy_is_the_scope(death: tuple[Plan, str, bool, float]) -> None:
    """one_for_one touches the child alone, rest_for_one those from it on, one_for_all everybody."""
    plan, child, orderly, now = death
    after, directives = planning.died(plan, child, orderly, now, no_jitter)
    touched = {i for d in directives if isinstance(d, (Stop, Start, Forget)) for i in d.ids}
    scope = {
        "one_for_one": {child},
        "rest_for_one": {record.id for record in plan.children if int(record.id) >= int(child)},
        "one_for_all": {record.id for record in plan.children},
    }[plan.flags.strategy]
    if any(isinstance(d, Start) for d in directives):
        assert touched == scope
    else:
        assert touched <= {child}
    untouched = [record for record in plan.children if record.id not in touched | {child}]
    assert [after.find(record.id) for record in untouched] == untouched


@given(deaths())
def test_order(death: tuple[Plan, str, bool, float]) -> None:
    """Stops come before starts; stops go against the start order, starts along it; the dead child is not stopped."""
    plan, child, orderly, now = death
    _, directives = planning.died(plan, child, orderly, now, no_jitter)
    kinds = [type(d).__name__ for d in directives]
    assert kinds == sorted(kinds, key=["Stop", "Forget", "Start", "GiveUp"].index)
    for directive in directives:
        if isinstance(directive, Stop):
            assert list(directive.ids) == sorted(directive.ids, reverse=True)
            assert child not in directive.ids
        elif isinstance(directive, Start):
            assert list(directive.ids) == sorted(directive.ids)
            assert child in directive.ids


@given(deaths())
def test_a_temporary_child_is_never_started(death: tuple[Plan, str, bool, float]) -> None:
    """No directive starts a temporary child, and one that a strategy stops is forgotten."""
    plan, child, orderly, now = death
    after, directives = planning.died(plan, child, orderly, now, no_jitter)
    temporary = {record.id for record in plan.children if record.restart == "temporary"}
    started = {i for d in directives if isinstance(d, Start) for i in d.ids}
    stopped = {i for d in directives if isinstance(d, Stop) for i in d.ids}
    forgotten = {i for d in directives if isinstance(d, Forget) for i in d.ids}
    assert not started & temporary
    assert stopped & temporary <= forgotten <= temporary
    assert not forgotten & {record.id for record in after.children}


@given(PLANS, st.sets(st.integers(0, 7).map(str)))
def test_stop_order_is_the_start_order_reversed(plan: Plan, stopped: set[str]) -> None:
    """A supervisor that ends stops those that run, last started first, and nobody else."""
    plan = planning.mark(plan, stopped, ChildStatus.STOPPED)
    alive = [record.id for record in plan.children if record.id not in stopped]
    assert list(planning.stop_order(plan)) == alive[::-1]


@given(deaths())
def test_a_death_counts_once(death: tuple[Plan, str, bool, float]) -> None:
    """The death of a child that does not run by the plan changes nothing: it was stopped, or is mourned already."""
    plan, child, orderly, now = death
    assert planning.died(plan, "stranger", orderly, now, no_jitter) == (plan, ())
    for status in (ChildStatus.STOPPED, ChildStatus.RESTARTING):
        marked = planning.mark(plan, (child,), status)
        assert planning.died(marked, child, orderly, now, no_jitter) == (marked, ())


# Retries -----------------------------------------------------------------------------------------


@given(PLANS, st.data())
def test_a_failed_start_is_tried_again_or_the_last(plan: Plan, data: st.DataObject) -> None:
    """A failed restart costs one, leaves its child restarting, and ends in one retry with a fresh ticket, or in giving up."""
    child = data.draw(st.sampled_from(plan.children)).id
    plan = planning.mark(plan, (child,), ChildStatus.RESTARTING)
    after, directives = planning.start_failed(plan, child, 5.0, no_jitter)
    record = after.find(child)
    assert record is not None
    assert record.status is ChildStatus.RESTARTING
    assert after.restarts == (5.0,)
    if plan.flags.max_restarts == 0:
        assert directives == (GiveUp(),)
    else:
        assert directives[-1] == Retry(child, after.tickets)
        assert after.tickets == plan.tickets + 1
        assert not any(isinstance(d, Start) for d in directives)


@given(PLANS, st.data())
def test_a_retry_may_be_void(plan: Plan, data: st.DataObject) -> None:
    """A retry changes nothing if the child was terminated, deleted or restarted meanwhile, or a later retry is awaited."""
    plan = planning.remove(plan, [r.id for r in plan.children if r.restart == "temporary"])
    if not plan.children or plan.flags.max_restarts < 2:
        return
    child = data.draw(st.sampled_from(plan.children)).id
    plan = planning.mark(plan, (child,), ChildStatus.RESTARTING)
    first, _ = planning.start_failed(plan, child, 5.0, no_jitter)
    second, _ = planning.start_failed(first, child, 5.0, no_jitter)
    for moved_on in (
        planning.mark(first, (child,), ChildStatus.STOPPED),
        planning.started(first, child, 6.0),
        planning.remove(first, (child,)),
        second,
    ):
        assert planning.retry(moved_on, child, first.tickets) == (moved_on, ())
    _, directives = planning.retry(second, child, second.tickets)
    assert isinstance(directives[-1], Start)
    assert child in directives[-1].ids


@given(PLANS, st.data())
def test_mail_waits_where_a_start_is_to_come(plan: Plan, data: st.DataObject) -> None:
    """Awaited are those that run, one that is being restarted, and those that will be started with it."""
    child = data.draw(st.sampled_from(plan.children)).id
    ids = {record.id for record in plan.children}
    assert planning.awaited(plan) == ids
    stopped = planning.mark(plan, ids, ChildStatus.STOPPED)
    assert planning.awaited(stopped) == set()
    looping = planning.mark(stopped, (child,), ChildStatus.RESTARTING)
    looping, _ = planning.start_failed(looping, child, 0.0, no_jitter)
    if plan.flags.max_restarts:
        _, directives = planning.retry(looping, child, looping.tickets)
        start = directives[-1]
        assert isinstance(start, Start)
        assert planning.awaited(looping) == set(start.ids)


# Back-off ----------------------------------------------------------------------------------------


@given(BACKOFFS, st.integers(1, 5000), st.floats(0, 1))
def test_a_wait_is_bounded(backoff: Backoff, streak: int, drawn: float) -> None:
    """A wait is never negative, never above the maximum, and jitter takes away at most its share."""
    delay = planning.backoff_delay(backoff, streak, lambda: drawn)
    full = planning.backoff_delay(backoff, streak, no_jitter)
    assert full * (1 - backoff.jitter) <= delay <= full <= backoff.maximum
    assert full >= backoff.initial


@given(BACKOFFS, st.integers(1, 5000))
def test_waits_grow(backoff: Backoff, streak: int) -> None:
    """Without jitter the waits of a streak never shrink, and start with ``initial``."""
    assert planning.backoff_delay(backoff, 1, no_jitter) == backoff.initial
    delay = planning.backoff_delay(backoff, streak, no_jitter)
    assert delay <= planning.backoff_delay(backoff, streak + 1, no_jitter)


def test_no_wait_without_a_backoff() -> None:
    """Restarts are immediate unless a back-off is asked for."""
    assert planning.backoff_delay(None, 100, no_jitter) == 0.0


@given(st.lists(QUARTERS, min_size=1, max_size=12), st.integers(1, 40).map(lambda n: n / 4))
def test_a_streak_is_of_short_lives(lives: list[float], within: float) -> None:
    """A streak grows with each death after a life of at most ``within``, and begins anew after a longer one."""
    plan = running(Flags(max_restarts=100, within=within), ["permanent"])
    now, expected = 0.0, 0
    for life in lives:
        now += life
        expected = expected + 1 if life <= within else 1
        plan, _ = planning.died(plan, "0", False, now, no_jitter)
        record = plan.find("0")
        assert record is not None
        assert record.streak == expected
        plan = planning.started(plan, "0", now)
