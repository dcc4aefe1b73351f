"""Births and deaths are counted by place, and told so that a person can follow."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.observe.census import PLACES_KEPT, Census, Meter, in_words, kind_of

_HERE = ak.Address("node", 1, 1)
_CRASH = ak.Crashed("pack.age.Boom", "it broke")
_REASONS = (
    ak.Normal(),
    ak.Shutdown(),
    ak.Shutdown("for a reason"),
    ak.Killed(),
    ak.Failed("badly"),
    _CRASH,
    ak.NoActor(),
    ak.NoConnection(),
)


def _born(path: str) -> ak.Started:
    return ak.Started(path, _HERE, "Actor")


def _died(path: str, reason: ak.ExitReason, handled: int = 0) -> ak.Stopped:
    return ak.Stopped(path, _HERE, "Actor", reason, handled)


def _census(*events: tuple[float, object]) -> Census:
    census = Census()
    for at, event in events:
        census.note(event, at)
    return census


def test_a_second_birth_is_a_restart() -> None:
    """The first incarnation at a place is none; what all of them handled is added up."""
    census = _census(
        (0, _born("/a")), (1, _died("/a", ak.Killed(), 5)), (2, _born("/a")), (3, _born("/b"))
    )
    place = census.places["/a"]
    assert (place.births, place.deaths, place.restarts, place.handled) == (2, 1, 1, 5)
    assert (place.reason, place.died_at, place.living) == (ak.Killed(), 1, True)
    assert (census.restarts, census.handled, census.deaths) == (1, 5, {"killed": 1})


def test_a_failed_start_is_a_death() -> None:
    """An incarnation that never became ready counts as dead, and is told."""
    census = _census((0, ak.DidNotStart("/a", "Actor", _CRASH)))
    assert census.deaths == {"crashed": 1}
    assert not census.places["/a"].living
    assert [str(incident) for incident in census.incidents] == ["/a crashed: it broke"]


def test_an_end_in_good_order_is_counted_but_not_told() -> None:
    """Who was asked to end, or had nothing more to do, is no incident."""
    census = _census((0, _died("/a", ak.Shutdown())), (1, _died("/b", ak.Normal())))
    assert census.deaths == {"shut down": 1, "normal": 1}
    assert not census.incidents


def test_those_who_die_with_their_supervisor_are_told_with_it() -> None:
    """Deaths below a dead actor, at once and of the same, are one incident; others are their own."""
    census = _census(
        (0.0, _died("/s", ak.Killed())),
        (0.0, _died("/s/a", ak.Killed())),
        (0.01, _died("/s/a/b", ak.Killed())),
        (0.01, _died("/sibling", ak.Killed())),
        (0.02, _died("/s/c", ak.Failed("by itself"))),
        (9.0, _died("/s/a", ak.Killed())),
    )
    assert [str(incident) for incident in census.incidents] == [
        "/s killed, and 2 below it",
        "/sibling killed",
        "/s/c failed: by itself",
        "/s/a killed",
    ]


def test_other_troubles_are_told() -> None:
    """A supervisor that gives up, a handler that hogs the processor, a mailbox that fills up."""
    child = ak.Offender("c", "/s/c", "Actor", "permanent", False, "5.0")
    census = _census(
        (0, ak.GaveUp("/s", child, 3, 5.0)),
        (1, ak.Stalled("/a", "Work", 1.5, "")),
        (2, ak.HighWater("/b", _HERE, 10_000, 100_000)),
        (3, object()),
    )
    assert [str(incident) for incident in census.incidents] == [
        "/s gave up: more than 3 restarts within 5 s",
        "/a keeps the processor for 1.5 s with Work",
        "/b has 10,000 messages waiting",
    ]


def test_the_dead_are_forgotten_when_there_are_too_many() -> None:
    """A system that starts actors for ever does not fill the census; the living are kept."""
    census = _census((0, _born("/first")))
    for number in range(PLACES_KEPT + 10):
        census.note(_born(f"/{number}"), number)
        census.note(_died(f"/{number}", ak.Normal()), number)
    assert len(census.places) <= PLACES_KEPT + 1
    assert "/first" in census.places
    assert census.deaths.total() == PLACES_KEPT + 10


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (ak.Normal(), "normal"),
        (ak.Shutdown("enough"), "shut down: enough"),
        (ak.Killed(), "killed"),
        (_CRASH, "crashed: it broke"),
        (ak.Crashed("pack.age.Boom"), "crashed: Boom"),
        (ak.Failed("badly"), "failed: badly"),
        (ak.NoActor(), "lost"),
    ],
)
def test_reasons_are_put_into_words(reason: ak.ExitReason, words: str) -> None:
    """A word for the kind, and what there is to say."""
    assert in_words(reason) == words
    assert words.startswith(kind_of(reason))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.sampled_from(_REASONS))))
def test_counts_agree_with_what_happened(steps: list[tuple[str, ak.ExitReason | None]]) -> None:
    """Whatever happens in whatever order, deaths and restarts are those that were noted."""
    census = Census()
    for at, (name, reason) in enumerate(steps):
        census.note(_born(f"/{name}") if reason is None else _died(f"/{name}", reason), at)
    births = [name for name, reason in steps if reason is None]
    assert census.deaths.total() == len(steps) - len(births)
    assert census.restarts == len(births) - len(set(births))
    assert census.restarts == sum(place.restarts for place in census.places.values())


def test_a_meter_measures_the_last_second() -> None:
    """A steady count gives its rate, what was long ago does not count, and one reading is no rate."""
    meter = Meter()
    assert meter.read(100, 0.0) == 0.0
    rates = [meter.read(100 + 10 * n, n / 10) for n in range(1, 30)]
    assert all(math.isclose(rate, 100.0) for rate in rates)
    still = [meter.read(390, 2.9 + n / 10) for n in range(1, 15)]
    assert still[-1] == 0.0
    assert meter.read(390, 4.3) == 0.0
