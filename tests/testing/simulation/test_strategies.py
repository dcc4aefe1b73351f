"""Each strategy chooses as it says, from its own generator alone, and the same on every Python."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import islice, pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.testing.simulation.plan import Delay, FaultAt, Plan
from actorkit.testing.simulation.strategies import (
    DelayBounding,
    FaultDice,
    Fifo,
    Name,
    Pct,
    Planned,
    Random,
    Rng,
    Sticky,
    Strategy,
    no_faults,
    strategies,
    swarm,
)

NAMES: list[Name] = ["random", "sticky", "pct", "delay", "portfolio"]
LABELS = ["/bank", "client 1", "client 2", "/bank/teller", "clock"]
OPTIONS = st.lists(st.sampled_from(LABELS), min_size=1, unique=True)


def after_first(name: Name, number: int, *, seed: int = 0, faults: int = 0) -> list[Strategy]:
    """Strategies of a family; the first, which is always the same, is left out."""
    made = strategies(name, seed=seed, rng=random.Random, horizon=40, faults=faults)
    return list(islice(made, 1, number + 1))


def walk(strategy: Strategy, options: Sequence[Sequence[str]]) -> list[int]:
    """What it chooses, step by step."""
    return [strategy.choose(step, these) for step, these in enumerate(options)]


def races(strategy: Strategy, lengths: dict[str, int]) -> list[str]:
    """Who went when, if each has so many steps to take and everybody can go on at any time."""
    left = dict(lengths)
    went: list[str] = []
    while left:
        able = list(left)
        who = able[strategy.choose(len(went), able)]
        went.append(who)
        left[who] -= 1
        if not left[who]:
            del left[who]
    return went


@given(st.sampled_from(NAMES), st.integers(0, 2**32), st.lists(OPTIONS, max_size=60))
def test_a_choice_is_one_of_the_options(name: Name, seed: int, options: list[list[str]]) -> None:
    """Whoever is there, and however they come and go; and the same seed chooses the same."""
    for one, other in zip(
        after_first(name, 4, seed=seed), after_first(name, 4, seed=seed), strict=True
    ):
        chosen = walk(one, options)
        assert all(0 <= i < len(these) for i, these in zip(chosen, options, strict=True))
        assert chosen == walk(other, options)


def test_choices_are_the_same_on_every_python() -> None:
    """A seed in a bug report gives the same schedules and faults on any version, under any PYTHONHASHSEED."""
    digest = blake2b(digest_size=8)
    for name in NAMES:
        for strategy in after_first(name, 12, seed=7, faults=3):
            for step in range(60):
                these = LABELS[: 2 + step % 4]
                said = (strategy.choose(step, these), *strategy.faults(step))
                digest.update(repr(said).encode())
    assert digest.hexdigest() == "ac3fdb74aa35c6d2"


@given(st.lists(OPTIONS, max_size=30))
def test_fifo_takes_the_first(options: list[list[str]]) -> None:
    """Always, and nothing breaks."""
    assert walk(Fifo(), options) == [0] * len(options)
    assert [*Fifo().faults(0)] == []


def test_a_plan_is_followed_to_the_letter() -> None:
    """Skips are taken modulo the options there are; faults of one step strike in order."""
    plan = Plan((Delay(1, 1), Delay(3, 7)), (FaultAt(2, 4, 9), FaultAt(2, 0)))
    strategy = Planned(plan)
    assert walk(strategy, [LABELS[:3]] * 5) == [0, 1, 0, 1, 0]
    assert [list(strategy.faults(step)) for step in range(4)] == [[], [], [(4, 9), (0, 0)], []]


def test_a_random_walk_has_no_favourites() -> None:
    """Each of five options is chosen a fifth of the time."""
    counts = Counter(walk(Random(random.Random(1)), [LABELS] * 10_000))
    assert all(1_850 < counts[index] < 2_150 for index in range(5))


def test_a_sticky_walk_goes_on_with_the_same_label_seven_times_in_eight() -> None:
    """The label counts, not its place; when it leaves, it may come back by chance."""
    strategy = Sticky(random.Random(2))
    turn = random.Random(3)
    went: list[str] = []
    for step in range(10_000):
        options = turn.sample(LABELS, 5)
        went.append(options[strategy.choose(step, options)])
    stayed = sum(one == other for one, other in pairwise(went))
    assert 8_850 < stayed < 9_150  # 7/8, and a fifth of the remaining eighth


def test_a_sticky_walk_goes_on_with_another_when_its_own_is_blocked() -> None:
    """Who cannot go on is not chosen, however sticky the walk."""
    strategy = Sticky(random.Random(4), stay=0.999)
    first = LABELS[strategy.choose(0, LABELS)]
    others = [label for label in LABELS if label != first]
    second = others[strategy.choose(1, others)]
    assert LABELS[strategy.choose(2, LABELS)] == second


@given(st.integers(), st.lists(OPTIONS.filter(lambda these: len(these) > 1), max_size=40))
def test_pct_without_changes_is_a_strict_order(seed: int, options: list[list[str]]) -> None:
    """At depth 1, whoever once went before somebody always goes before them, latecomers included."""
    strategy = Pct(random.Random(seed), 1, 1_000)
    ahead: set[tuple[str, str]] = set()
    for step, these in enumerate(options):
        first = these[strategy.choose(step, these)]
        ahead |= {(first, other) for other in these if other != first}
    assert not any((other, one) in ahead for one, other in ahead)


@given(st.integers(), st.integers(1, 6), st.integers(1, 50))
def test_pct_changes_its_order_at_most_depth_minus_one_times(
    seed: int, depth: int, length: int
) -> None:
    """Among participants who can always go on, there are no more switches than changes of rank."""
    strategy = Pct(random.Random(seed), depth, length)
    went = [LABELS[strategy.choose(step, LABELS)] for step in range(length)]
    assert sum(one != other for one, other in pairwise(went)) <= depth - 1


@given(st.integers(), st.lists(st.tuples(OPTIONS, st.booleans()), max_size=60))
def test_pct_counts_only_choices(seed: int, options: list[tuple[list[str], bool]]) -> None:
    """Moments with one option use up neither steps nor chance."""
    bare, mixed = (Pct(random.Random(seed), 4, 30) for _ in range(2))
    for step, (these, interrupted) in enumerate(options):
        if interrupted:
            assert mixed.choose(step, ["nobody else"]) == 0
        assert bare.choose(step, these) == mixed.choose(step, these)


def test_pct_is_fair_in_the_end() -> None:
    """After its horizon it walks at random, so nobody starves."""
    strategy = Pct(random.Random(5), 3, 100)
    went = [LABELS[strategy.choose(step, LABELS)] for step in range(5_100)]
    assert len(set(went[:100])) <= 3
    late = Counter(went[100:])
    assert all(900 < late[label] < 1_100 for label in LABELS)


def _found(make: Callable[[Rng], Strategy], bug: Callable[[list[str]], bool]) -> int:
    lengths = {"a": 30, "b": 3, "c": 3}
    return sum(bug(races(make(random.Random(seed)), lengths)) for seed in range(2_000))


def test_pct_keeps_its_guarantee() -> None:
    """A bug of depth d among n participants in k choices is found in at least one of n * k**(d-1) runs."""
    n, k = 3, 36

    def starved(went: list[str]) -> bool:
        """The first step of b comes after all of a's: one constraint."""
        return went.index("b") > max(i for i, who in enumerate(went) if who == "a")

    def within(went: list[str]) -> bool:
        """The first step of b comes right after a's seventh: two constraints."""
        return went[: went.index("b")].count("a") == 7

    assert _found(lambda rng: Pct(rng, 1, k), starved) >= 2_000 / n
    assert _found(lambda rng: Pct(rng, 2, k), within) >= 2_000 / (n * k)
    assert _found(Random, starved) == 0


@given(st.integers(), st.integers(1, 8), st.integers(1, 50))
def test_delays_keep_to_their_bound(seed: int, delays: int, horizon: int) -> None:
    """There is at least one and there are at most so many, all within the horizon; the plan it tells is what it does."""
    strategy = DelayBounding(random.Random(seed), delays, horizon)
    assert 1 <= sum(delay.skip for delay in strategy.plan.delays) <= delays
    assert all(delay.step < horizon for delay in strategy.plan.delays)
    options = [LABELS] * (horizon + 10)
    assert walk(strategy, options) == walk(Planned(strategy.plan), options)


def test_faults_come_at_their_rate() -> None:
    """So many per step, of the given kinds alike, with small arguments and large ones."""
    dice = FaultDice(random.Random(6), kinds=[1, 4], rate=0.05)
    struck = [strike for step in range(40_000) for strike in dice(step)]
    assert 1_850 < len(struck) < 2_150
    kinds = Counter(kind for kind, _ in struck)
    assert set(kinds) == {1, 4}
    assert abs(kinds[1] - kinds[4]) < 200
    args = [arg for _, arg in struck]
    assert min(args) == 0
    assert 2**15 < max(args) < 2**16
    assert sum(arg < 8 for arg in args) > len(args) / 8


def test_faults_may_come_at_every_step() -> None:
    """Rate 1 is a fault at each."""
    dice = FaultDice(random.Random(0), kinds=[0], rate=1)
    assert all(len(dice(step)) == 1 for step in range(20))


def test_a_swarm_lets_each_run_see_some_faults() -> None:
    """Every subset comes up, the empty one too: what one fault hides shows where it is left out."""
    seen: Counter[frozenset[int]] = Counter()
    for seed in range(1_000):
        faults = swarm(random.Random(seed), 3, 10)
        seen[frozenset(kind for step in range(400) for kind, _ in faults(step))] += 1
    assert len(seen) == 8
    assert min(seen.values()) > 60


def test_a_test_without_faults_sees_none() -> None:
    """And no chance is used up on them."""
    rng = random.Random(1)
    before = rng.getstate()
    assert swarm(rng, 0, 10) is no_faults
    assert rng.getstate() == before


@pytest.mark.parametrize("name", NAMES)
def test_a_series_begins_undisturbed(name: Name) -> None:
    """The first run is first in, first out without faults: if that fails, no schedule is to blame."""
    first = next(strategies(name, seed=1, rng=random.Random, horizon=10, faults=9))
    assert walk(first, [LABELS] * 20) == [0] * 20
    assert not any(first.faults(step) for step in range(200))


def test_a_portfolio_takes_turns() -> None:
    """Each of the four comes once in four runs."""
    kinds = [type(strategy) for strategy in after_first("portfolio", 8)]
    assert set(kinds[:4]) == {Random, Sticky, Pct, DelayBounding}
    assert kinds[:4] == kinds[4:]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_does_not_depend_on_those_before_it(name: Name) -> None:
    """Run 9 of a seed is the same whether the eight before it ran or not; and no two are alike."""
    lazy = after_first(name, 9, seed=3, faults=2)
    busy: list[Strategy] = []
    made = strategies(name, seed=3, rng=random.Random, horizon=40, faults=2)
    for strategy in islice(made, 10):
        busy.append(strategy)
        if len(busy) < 10:
            walk(strategy, [LABELS] * 30)
    expected = walk(busy[9], [LABELS] * 40)
    assert walk(lazy[8], [LABELS] * 40) == expected
    assert len({tuple(walk(strategy, [LABELS] * 40)) for strategy in lazy[:8]}) == 8


def test_a_series_asks_for_the_horizon_before_each_run() -> None:
    """What was learnt of the length of runs is of use to the next one."""
    horizon = 1
    made = strategies("delay", seed=0, rng=random.Random, horizon=lambda: horizon)
    next(made)
    latest: list[int] = []
    for horizon in (1, 1_000):  # noqa: B007 - the lambda above reads it
        plans = [cast(DelayBounding, strategy).plan for strategy in islice(made, 20)]
        latest.append(max(plan.delays[-1].step for plan in plans))
    assert latest[0] == 0
    assert latest[1] > 500


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (
            lambda rng: strategies(cast(Name, "chaos"), seed=0, rng=random.Random, horizon=1),
            "no strategy 'chaos'; choose one of random, sticky, pct, delay, portfolio",
        ),
        (
            lambda rng: strategies("pct", seed=0, rng=random.Random, horizon=1, faults=-1),
            "from 0 up, got -1",
        ),
        (lambda rng: Sticky(rng, stay=1), "at 1 nobody else ever runs.* got 1"),
        (lambda rng: Pct(rng, 0, 10), "from 1 up, got 0 and 10"),
        (lambda rng: DelayBounding(rng, 3, 0), "from 1 up, got 3 and 0"),
        (lambda rng: FaultDice(rng, kinds=[], rate=0.1), "at least one kind"),
        (lambda rng: FaultDice(rng, kinds=[0], rate=0), "use no_faults"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[Rng], object], named: str) -> None:
    """The message names the value."""
    with pytest.raises(ValueError, match=named):
        make(random.Random(0))
