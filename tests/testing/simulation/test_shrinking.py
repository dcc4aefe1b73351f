"""A shrunk plan fails, is no larger, and nothing in it can go."""

from __future__ import annotations

import binascii
from collections import Counter
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.testing.simulation.plan import Delay, FaultAt, Plan
from actorkit.testing.simulation.shrinking import Shrunk, shrink, shrunk
from tests.testing.simulation.test_plan import PLANS

PLENTY = 10_000


@attrs.define
class Asked:
    """A predicate that counts, and remembers what it was asked."""

    holds: Callable[[Plan], bool]
    plans: list[Plan] = attrs.Factory(list)

    def __call__(self, plan: Plan) -> bool:
        self.plans.append(plan)
        return self.holds(plan)


def items(plan: Plan) -> list[Delay | FaultAt]:
    """Delays and faults in one list."""
    return [*plan.delays, *plan.faults]


def without(plan: Plan, index: int) -> Plan:
    """The plan but for one item."""
    kept = [item for n, item in enumerate(items(plan)) if n != index]
    return Plan(
        tuple(item for item in kept if isinstance(item, Delay)),
        tuple(item for item in kept if isinstance(item, FaultAt)),
    )


def weight(plan: Plan) -> int:
    """What shrinking makes smaller, besides the number of items."""
    return sum(sum(attrs.astuple(item)) for item in items(plan))


@given(PLANS, st.integers(2, 7))
def test_whatever_fails_a_shrunk_plan_fails_and_nothing_can_go(plan: Plan, rarity: int) -> None:
    """Under a predicate without rhyme or reason: it fails, is no larger, and passes without any one of its items."""

    def holds(one: Plan) -> bool:
        return one == plan or binascii.crc32(one.token().encode()) % rarity == 0

    asked = Asked(holds)
    done = shrunk(plan, asked, max_runs=PLENTY)
    assert done.minimal
    assert holds(done.plan)
    assert (done.plan.size, weight(done.plan)) <= (plan.size, weight(plan))
    assert not any(holds(without(done.plan, n)) for n in range(done.plan.size))
    assert done.runs == len(asked.plans) == len(set(asked.plans))
    assert done == shrunk(plan, holds, max_runs=PLENTY)


@given(PLANS, st.data())
def test_what_the_failure_needs_is_what_remains(plan: Plan, data: st.DataObject) -> None:
    """If it needs certain deviations and nothing else, exactly they remain."""
    core = [item for item in items(plan) if data.draw(st.booleans())]

    def holds(one: Plan) -> bool:
        left = items(one)
        return all(left.count(item) >= core.count(item) for item in core)

    assert Counter(items(shrink(plan, holds, max_runs=PLENTY))) == Counter(core)


@given(PLANS)
def test_a_failure_that_needs_nothing_shrinks_to_nothing_at_once(plan: Plan) -> None:
    """If every plan fails, the empty one is tried first."""
    assert shrunk(plan, lambda _: True, max_runs=1) == Shrunk(Plan(), min(plan.size, 1), True)


@given(st.integers(0, 300), st.integers(1, 9), st.integers(0, 300), st.integers(0, 2**16))
def test_numbers_are_lowered_as_far_as_the_failure_allows(
    step: int, skip: int, strike: int, arg: int
) -> None:
    """Each to the least that still fails, by bisection: in dozens of runs, not in thousands."""

    def holds(plan: Plan) -> bool:
        late = any(d.step >= step and d.skip >= skip for d in plan.delays)
        return late and any(f.step >= strike and f.arg >= arg for f in plan.faults)

    start = Plan((Delay(5, 9), Delay(300, 9)), (FaultAt(300, 3, 2**16), FaultAt(1, 1)))
    done = shrunk(start, holds, max_runs=150)
    assert done.minimal
    assert done.plan == Plan((Delay(step, skip),), (FaultAt(strike, 3, arg),))


def test_what_must_keep_its_distance_moves_together() -> None:
    """Two deviations five steps apart move forward as one, though neither may move alone."""

    def holds(plan: Plan) -> bool:
        steps = {item.step for item in items(plan)}
        return any(step + 5 in steps for step in steps if step >= 3)

    done = shrink(Plan((Delay(70, 1),), (FaultAt(75, 0),)), holds, max_runs=PLENTY)
    assert done == Plan((Delay(3, 1),), (FaultAt(8, 0),))


def test_two_of_forty_are_found_in_few_runs() -> None:
    """The usual case, a long record of which two matter, takes less than sixty runs before numbers are lowered."""
    needed = {Delay(7, 1), Delay(31, 2)}
    asked = Asked(lambda plan: needed <= set(plan.delays))
    noise = tuple(Delay(n, 1 + n % 3 % 2) for n in range(40) if n not in {7, 31})
    assert set(shrink(Plan((*noise, *needed)), asked, max_runs=PLENTY).delays) == needed
    assert next(n for n, plan in enumerate(asked.plans) if set(plan.delays) == needed) < 60


@given(PLANS, st.integers(0, 12))
def test_shrinking_stops_when_its_runs_are_spent(plan: Plan, max_runs: int) -> None:
    """It takes no more runs than it was given, and returns the best so far."""
    asked = Asked(lambda one: set(plan.delays[1:]) <= set(one.delays))
    done = shrunk(plan, asked, max_runs=max_runs)
    assert len(asked.plans) == done.runs <= max_runs
    assert done.plan == plan or done.plan in asked.plans
    assert done.minimal or done.runs == max_runs


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Shrunk(Plan((Delay(1, 1),)), 1203, True), "1 deviation after 1,203 runs"),
        (Shrunk(Plan(), 2, False), "0 deviations after 2 runs, not yet minimal"),
    ],
)
def test_it_says_how_far_it_came(outcome: Shrunk, said: str) -> None:
    """In words, for a report."""
    assert str(outcome) == said
