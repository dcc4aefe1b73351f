"""The simulator finds every planted bug in time, tells it in a few words, and blames no right code."""

from __future__ import annotations

from functools import cache

import pytest

from actorkit.testing.simulation.report import Found
from actorkit.testing.simulation.search import replayed
from actorkit.testing.simulation.strategies import Fifo
from tests.planted.catalogue import BUGS
from tests.planted.registry import Planted

LARGEST = 3  # faults and reorderings of a failure as it is told
QUICK = 300
SOAK = 20_000

every_bug = pytest.mark.parametrize("bug", BUGS, ids=str)


@cache
def _found(bug: Planted, seed: int = 1) -> Found:
    found = bug.look(wrong=True, schedules=bug.budget, seed=seed)
    assert found is not None, f"{bug} is not found in {bug.budget:,} schedules with seed {seed}"
    return found


def test_most_are_hidden() -> None:
    """Finding them proves something: an ordinary test, which sees one order of events, passes over at least half."""
    assert sum(bug.hidden for bug in BUGS) * 2 >= len(BUGS) > 20


@every_bug
def test_an_ordinary_run_shows_what_it_shows(bug: Planted) -> None:
    """First in, first out and without faults, a hidden bug shows nothing, another one itself, and right code is right."""
    failure = bug.simulation(wrong=True).run(Fifo()).failure
    assert failure is None if bug.hidden else bug.shows in str(failure)
    assert bug.simulation(wrong=False).run(Fifo()).failure is None


@every_bug
def test_it_is_found(bug: Planted) -> None:
    """Within its budget, and as what it is."""
    assert bug.shows in str(_found(bug).outcome.failure)


@every_bug
@pytest.mark.parametrize("seed", range(2, 6))
def test_it_is_found_with_any_luck(bug: Planted, seed: int) -> None:
    """The budget is not made for one seed."""
    assert bug.shows in str(_found(bug, seed).outcome.failure)


@every_bug
def test_it_is_told_in_a_few_words(bug: Planted) -> None:
    """After shrinking, few faults and reorderings are left; none if an ordinary run shows it."""
    size = _found(bug).outcome.plan.size
    assert 1 <= size <= LARGEST if bug.hidden else size == 0


@every_bug
def test_its_token_brings_it_back(bug: Planted) -> None:
    """The token alone gives the same run with the same failure."""
    found = _found(bug)
    again = replayed(bug.simulation(wrong=True), found.token)
    assert again.digest == found.outcome.digest
    assert bug.shows in str(again.failure)


@every_bug
@pytest.mark.parametrize(
    "schedules", [QUICK, pytest.param(SOAK, marks=[pytest.mark.soak, pytest.mark.timeout(600)])]
)
def test_the_remedy_is_one(bug: Planted, schedules: int) -> None:
    """The same test of the right code passes under every schedule, with the same faults."""
    found = bug.look(wrong=False, schedules=schedules)
    assert found is None, found.text(f"{bug}, as it should be")
