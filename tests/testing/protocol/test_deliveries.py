"""Laws of the checks of deliveries and deaths: what keeps the promises passes, and each planted fault is found."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.testing.protocol.deliveries import (
    Gone,
    Notified,
    Unwatched,
    Watched,
    at_most_once,
    delivery_order,
    exactly_one_notice,
)
from actorkit.testing.trace import Answered, Began, Ended, Event, Handled, Lost, Notice, Sent, Trace
from tests.testing.protocol.simulated import kinds

SEEDS = st.integers(0, 10**9)
ACTORS = ("/a", "/b", "/c")


def run_of(seed: int, messages: int = 30) -> list[Event]:
    """Actors send to each other; each has one mailbox, from which messages are handled, or lost, in their order."""
    rng = Random(seed)
    mail: dict[str, deque[Sent]] = {actor: deque() for actor in ACTORS}
    events: list[Event] = []
    number = 0
    while number < messages or any(mail.values()):
        step = len(events)
        busy = [actor for actor in ACTORS if mail[actor]]
        if number < messages and (not busy or rng.random() < 0.5):
            number += 1
            sender, receiver = rng.choice(ACTORS), rng.choice(ACTORS)
            sent = Sent(step, 0.0, number, sender, receiver, f"m{number}", rng.random() < 0.5)
            mail[receiver].append(sent)
            events.append(sent)
        else:
            actor = rng.choice(busy)
            events += _taken(mail[actor].popleft(), step, rng)
    return events


def _taken(sent: Sent, step: int, rng: Random) -> list[Event]:
    if rng.random() < 0.1:
        return [Lost(step, 0.0, sent.number, sent.receiver, sent.message, "died")]
    handled = Handled(step, 0.0, sent.number, sent.receiver)
    if not sent.asked:
        return [handled]
    answered = Answered(step, 0.0, sent.number, sent.receiver, sent.sender, "ok", failed=False)
    return [handled, answered]


def pairs_of(events: Sequence[Event]) -> dict[tuple[str, str], list[Handled]]:
    """What was handled, by sender and receiver, in order; what actors sent to themselves is left out."""
    sent = {event.number: event for event in events if isinstance(event, Sent)}
    pairs: dict[tuple[str, str], list[Handled]] = {}
    for event in events:
        if isinstance(event, Handled):
            pair = sent[event.number].sender, event.receiver
            if pair[0] != pair[1]:
                pairs.setdefault(pair, []).append(event)
    return pairs


# Order and number --------------------------------------------------------------------------------


@given(SEEDS)
def test_what_keeps_its_order_passes(seed: int) -> None:
    """Mailboxes in which nothing overtakes anything, and from which each message is taken once, are right."""
    events = run_of(seed)
    assert delivery_order(Trace(events))
    assert at_most_once(Trace(events))
    assert delivery_order(events).judged["messages"] == sum(map(len, pairs_of(events).values()))
    assert at_most_once(events).judged["messages"] == 30


@given(SEEDS, st.data())
def test_a_message_that_was_overtaken_is_found(seed: int, data: st.DataObject) -> None:
    """Two messages of one pair that change places are told; two of different pairs may."""
    events = run_of(seed)
    sent_at = {event.number: event.step for event in events if isinstance(event, Sent)}
    waiting_both = [
        (one, other)
        for handled in pairs_of(events).values()
        for one, other in pairwise(handled)
        if sent_at[other.number] < one.step
    ]
    if not waiting_both:
        return
    one, other = data.draw(st.sampled_from(waiting_both))
    swapped: list[Any] = [other if e is one else one if e is other else e for e in events]
    (found,) = delivery_order(swapped).findings
    assert (found.kind, found.about) == ("overtaken", f"m{one.number}")
    assert f"(message {other.number}," in found.text


def test_what_an_actor_sends_to_itself_may_go_first() -> None:
    """``continue_with`` overtakes on purpose, so mail to oneself is not judged; nor is what differs in its sender."""
    events = [
        Sent(0, 0.0, 1, "/a", "/b", "x", asked=False),
        Sent(1, 0.0, 2, "/b", "/b", "y", asked=False),
        Sent(2, 0.0, 3, "/b", "/b", "z", asked=False),
        *(Handled(3, 0.0, number, "/b") for number in (3, 2, 1)),
    ]
    verdict = delivery_order(events)
    assert verdict
    assert verdict.judged == {"messages": 1, "pairs": 1}


def test_every_message_that_was_overtaken_is_told_once() -> None:
    """One late message is one finding, however many passed it."""
    events = [Sent(n, 0.0, n, "/a", "/b", f"m{n}", asked=False) for n in range(1, 5)]
    late = delivery_order([*events, *(Handled(9, 0.0, n, "/b") for n in (2, 3, 4, 1))])
    (found,) = late.findings
    assert str(found) == (
        "overtaken: 'm1' (message 1, /a to /b, sent at step 1) was handled after "
        "'m4' (message 4, /a to /b, sent at step 4), which was sent later"
    )
    first = delivery_order([*events, *(Handled(9, 0.0, n, "/b") for n in (4, 1, 2, 3))])
    assert [finding.about for finding in first.findings] == ["m1", "m2", "m3"]


@given(SEEDS, st.data())
def test_faults_planted_in_deliveries_are_found(seed: int, data: st.DataObject) -> None:
    """Twice handled, lost or answered; both handled and lost; by or to somebody else; from nowhere."""
    events = run_of(seed)
    ends = [event for event in events if isinstance(event, (Handled, Lost, Answered))]
    one = data.draw(st.sampled_from(ends))
    assert one.number is not None
    kind = {Handled: "handled twice", Lost: "lost twice", Answered: "answered twice"}[type(one)]
    assert kinds(at_most_once([*events, one])) == {kind}
    elsewhere = attrs.evolve(one, receiver="/d")
    assert kinds(at_most_once([elsewhere if event is one else event for event in events])) == {
        "astray"
    }
    nowhere = [
        event for event in events if not (isinstance(event, Sent) and event.number == one.number)
    ]
    unsent = kinds(at_most_once(nowhere))
    assert unsent == (set() if isinstance(one, Lost) else {"from nowhere"})
    if isinstance(one, Handled):
        lost = Lost(99, 0.0, one.number, one.receiver, "m", "late")
        (found,) = at_most_once([*events, lost]).findings
        assert found.kind == "handled and lost"
        assert found.text.endswith(f"was lost on its way to {one.receiver} (late) at step 99")


def test_an_answer_from_somebody_else_is_astray() -> None:
    """Whoever was asked answers, nobody else; what is lost before it has a number is no message of the record."""
    sent = Sent(0, 0.0, 1, "/a", "/b", "x", asked=True)
    wrong = Answered(1, 0.0, 1, "/c", "/a", 5, failed=False)
    (found,) = at_most_once([sent, wrong, Lost(2, 0.0, None, "/b", "y", "full")]).findings
    assert str(found) == (
        "astray: 'x' (message 1, /a to /b, sent at step 0) was answered by /c to /a: 5 at step 1"
    )


# Notices -----------------------------------------------------------------------------------------


def lives_of(seed: int) -> list[Any]:
    """Actors that watch each other, call it off, die, and are told, sooner or later."""
    rng = Random(seed)
    events: list[Any] = []
    alive = [f"/{n}" for n in range(6)]
    watches: list[Watched] = []
    due: list[Watched] = []
    for monitor in range(25):
        roll = rng.random()
        if roll < 0.5 and len(alive) > 1:
            watcher, target = rng.sample(alive, 2)
            watches.append(Watched(watcher, target, monitor))
            events.append(watches[-1])
        elif roll < 0.6 and watches + due:
            off = rng.choice(watches + due)
            (watches if off in watches else due).remove(off)
            events.append(Unwatched(off.watcher, off.target, off.monitor))
        elif roll < 0.75 and alive:
            gone = alive.pop(rng.randrange(len(alive)))
            events.append(Gone(gone))
            due += [watch for watch in watches if watch.target == gone]
            watches = [watch for watch in watches if gone not in (watch.target, watch.watcher)]
            due = [watch for watch in due if watch.watcher != gone]
        elif due:
            told = due.pop(rng.randrange(len(due)))
            events.append(Notified(told.watcher, told.target, told.monitor))
    return [*events, *(Notified(watch.watcher, watch.target, watch.monitor) for watch in due)]


@given(SEEDS, st.booleans())
def test_one_notice_for_each_watch_passes(seed: int, with_monitors: bool) -> None:
    """Whoever watches and lives is told once of the end; whether monitors are told apart or only counted."""
    events = lives_of(seed)
    if not with_monitors:
        events = [e if isinstance(e, Gone) else attrs.evolve(e, monitor=None) for e in events]
    verdict = exactly_one_notice(events)
    assert verdict, str(verdict)
    assert verdict.judged["notices"] == sum(isinstance(event, Notified) for event in events)


@given(SEEDS, st.data())
def test_faults_planted_in_notices_are_found(seed: int, data: st.DataObject) -> None:
    """A notice that never came, came twice, came to somebody else, or before the end."""
    events = lives_of(seed)
    notices = [e for e in events if isinstance(e, Notified) and Gone(e.watcher) not in events]
    if not notices:
        return
    one = data.draw(st.sampled_from(notices))
    (missing,) = exactly_one_notice([event for event in events if event is not one]).findings
    assert missing.kind == "missing"
    assert missing.about == Watched(one.watcher, one.target, one.monitor)
    (double,) = exactly_one_notice([*events, one]).findings
    assert (double.kind, double.about) == ("double", one)
    stranger = attrs.evolve(one, watcher="/stranger")
    (unasked,) = exactly_one_notice([*events, stranger]).findings
    assert (unasked.kind, unasked.about) == ("unasked", stranger)
    undead = [event for event in events if event != Gone(one.target)]
    assert one in [found.about for found in exactly_one_notice(undead).of("premature")]


def test_a_notice_after_the_watch_was_called_off_is_unasked() -> None:
    """After ``unwatch`` nothing arrives any more; to call off what had its notice is no fault."""
    watched, off, told = Watched("/w", "/t", 1), Unwatched("/w", "/t", 1), Notified("/w", "/t", 1)
    assert kinds(exactly_one_notice([watched, off, Gone("/t"), told])) == {"unasked"}
    assert kinds(exactly_one_notice([watched, Gone("/t"), off, told])) == {"unasked"}
    assert exactly_one_notice([watched, Gone("/t"), told, off])


def test_the_dead_need_not_be_told() -> None:
    """Who is gone when the watched one ends, or before it was told, misses nothing; its next incarnation is another."""
    watched = Watched("/w", "/t")
    assert exactly_one_notice([watched, Gone("/w"), Gone("/t")])
    assert exactly_one_notice([watched, Gone("/t"), Gone("/w")])
    again = exactly_one_notice([watched, Gone("/w"), watched, Gone("/t")])
    assert [finding.text for finding in again.findings] == [
        "/w watched /t, which ended, and was never told"
    ]


def test_a_notice_is_for_the_watch_that_is_due() -> None:
    """Who watches the next incarnation before it heard of the last one's end is told of that end, and waits on."""
    watched, told = Watched("/w", "/t"), Notified("/w", "/t")
    assert exactly_one_notice([watched, Gone("/t"), watched, told])
    assert exactly_one_notice([watched, Gone("/t"), watched, told, Gone("/t"), told])
    assert kinds(exactly_one_notice([watched, Gone("/t"), watched, told, Gone("/t")])) == {
        "missing"
    }


def test_a_trace_can_be_judged_as_it_is() -> None:
    """Its ends and notices count; those to who did not watch, as of supervisors and links, are no business of ours."""
    trace = [
        Began(0, 0.0, "/t"),
        Ended(1, 0.0, "/t", "crashed", crashed=True),
        Notice(2, 0.0, "/sup", "/t", "crashed"),
        Notice(3, 0.0, "/w", "/t", "crashed"),
    ]
    assert exactly_one_notice([Watched("/w", "/t"), *trace])
    assert kinds(exactly_one_notice([Watched("/w", "/t"), *trace, trace[-1]])) == {"double"}
    assert kinds(exactly_one_notice([Watched("/w", "/t"), *trace[:-1]])) == {"missing"}
    twice = [Watched("/w", "/t", 1), Watched("/w", "/t", 2), *trace]
    assert kinds(exactly_one_notice(twice)) == {"missing"}
    assert exactly_one_notice([*twice, trace[-1]])


@pytest.mark.parametrize("checker", [delivery_order, at_most_once, exactly_one_notice])
def test_an_empty_record_passes_and_says_so(checker: Any) -> None:
    """A check of nothing finds nothing, and tells that it judged nothing."""
    verdict = checker([])
    assert verdict
    assert set(verdict.judged.values()) == {0}
