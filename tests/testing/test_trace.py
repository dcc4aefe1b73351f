"""Traces: what they keep, and when two of them are the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actorkit.testing.trace import Ended, Event, Handled, Noted, Sent, Trace
from tests.testing.traces import Deposit, Read, Story, Write, events, runs

ROOT = Path(__file__).parents[2]
_FREE = {"at": -1.0, "seconds": -1.0, "reason": "other words", "text": "other words"}


def _story() -> Story:
    story = Story()
    first = story.ask("client 1", "/bank", Write(1))
    second = story.ask("client 2", "/bank", Write(2))
    story.handle(first).answer(first, None)
    story.at(2).handle(second).answer(second, ValueError("no"))
    return story.add(Ended, "/bank", "killed", True)


@given(events())
def test_a_trace_keeps_every_event_in_order(these: list[Event]) -> None:
    """What was appended comes out, once, in order; `of` gives the events of one kind."""
    trace = Trace()
    for event in these:
        trace.append(event)
    assert list(trace) == these
    assert len(trace) == len(these)
    assert trace.of(Sent) == tuple(e for e in these if isinstance(e, Sent))


def test_events_are_values() -> None:
    """Nobody changes what has happened, and events with the same parts are equal."""
    event: Any = Handled(1, 0.0, 7, "/bank")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.step = 2
    assert event == Handled(1, 0.0, 7, "/bank")
    assert not hasattr(event, "__dict__")


@given(runs(), st.integers(1, 1_000))
def test_the_digest_says_nothing_of_words_times_and_numbering(
    these: list[Event], shift: int
) -> None:
    """Two runs that differ only in words, in times and in where the numbers begin have one digest."""
    other = [_renumbered(_reworded(event), shift) for event in these]
    assert Trace(other).digest() == Trace(these).digest()


@given(runs(), st.data())
def test_the_digest_says_who_when_and_what(these: list[Event], data: st.DataObject) -> None:
    """Another step, another name or an event less makes another digest."""
    assume(these)
    place = data.draw(st.integers(0, len(these) - 1))
    event = these[place]
    names = {field.name for field in attrs.fields(type(event))}
    told = sorted(names & {"step", "sender", "receiver", "actor", "about", "ran", "what"})
    field = data.draw(st.sampled_from(told))
    change: dict[str, Any] = {field: -1 if field == "step" else "somebody else"}
    changed = attrs.evolve(event, **change)
    digests = {
        Trace(run).digest()
        for run in (
            these,
            [*these[:place], changed, *these[place + 1 :]],
            [*these[:place], *these[place + 1 :]],
        )
    }
    assert len(digests) == 3


def test_the_digest_tells_which_message_was_handled() -> None:
    """The order in which two messages of one type are handled is part of it, and so are types; values are not."""
    digests = []
    for messages, order in [
        ((Write(1), Write(2)), (0, 1)),
        ((Write(3), Write(4)), (0, 1)),
        ((Write(1), Write(2)), (1, 0)),
        ((Write(1), Read()), (0, 1)),
    ]:
        story = Story()
        sent = [story.tell("client 1", "/bank", message) for message in messages]
        digests.append(story.handle(*(sent[place] for place in order)).trace.digest())
    same, also_same, *others = digests
    assert same == also_same
    assert len({same, *others}) == 3


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_the_digest_is_the_same_in_every_process(seed: str) -> None:
    """Neither the hash seed, nor where objects lie, nor the version of Python changes it: tokens carry it around."""
    program = "from tests.testing.test_trace import _story; print(_story().trace.digest())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == _story().trace.digest() == "a6683fa6e860771549f511dfe5864cea"


def test_a_trace_introduces_itself_in_short() -> None:
    """A trace in a failing assertion does not print all its events."""
    trace = Trace([Noted(1, 0.0, "hello")])
    assert repr(trace) == f"<Trace of 1 events, {trace.digest()[:8]}>"


def test_types_are_told_by_name_wherever_they_are_written() -> None:
    """A run in `__main__` and the same run in a test module have one digest."""
    away = type("Deposit", (Deposit,), {"__module__": "__main__", "__qualname__": "Deposit"})
    here, there = (
        Trace([Sent(1, 0.0, 1, "client 1", "/bank", message, False)]).digest()
        for message in (Deposit("a", 1), object.__new__(away))
    )
    assert here == there


def _reworded(event: Event) -> Event:
    names = {field.name for field in attrs.fields(type(event))}
    words: dict[str, Any] = {name: word for name, word in _FREE.items() if name in names}
    return attrs.evolve(event, **words)


def _renumbered(event: Event, shift: int) -> Event:
    number = getattr(event, "number", None)
    return event if number is None else attrs.evolve(event, number=number + shift)
