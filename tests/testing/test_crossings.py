"""Which messages of a trace are one arrow: the order on every lifeline is what happened."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given

from actorkit.testing.crossings import LONG_WAIT, numbered, one_arrows, unanswered
from actorkit.testing.trace import (
    Answered,
    Began,
    ClockMoved,
    Ended,
    Event,
    FaultApplied,
    Handled,
    Lost,
    Noted,
    Notice,
    Reordered,
    Sent,
)
from tests.testing.traces import Read, Story, Write, events, runs


def _whole(story: Story) -> list[int]:
    """The numbers of the messages of a story that are one arrow, in the order they are drawn."""
    trace = list(story.trace)
    drawn = sorted(one_arrows(trace), key=lambda one: one.drawn)
    return [sent.number for one in drawn if isinstance(sent := trace[one.sent], Sent)]


def _drawn_at(trace: list[Event]) -> list[int]:
    """Where each event of a trace is drawn."""
    places = list(range(len(trace)))
    for one in one_arrows(trace):
        places[one.sent] = places[one.arrived] = one.drawn
    return places


def _acting(event: Event) -> tuple[str, ...]:
    match event:
        case Sent():
            return (event.sender,)
        case Handled() | Notice():
            return (event.receiver,)
        case Answered():
            return (event.sender, event.receiver)
        case Began() | Ended():
            return (event.actor,)
        case _:
            return ()


@given(runs())
def test_everything_on_a_lifeline_is_drawn_in_the_order_it_happened(trace: list[Event]) -> None:
    """What a participant sends, handles, answers and goes through is never drawn out of order."""
    drawn = _drawn_at(trace)
    for name in {name for event in trace for name in _acting(event)}:
        own = [drawn[place] for place, event in enumerate(trace) if name in _acting(event)]
        assert own == sorted(own), name


@given(runs())
def test_no_message_seems_to_overtake_another(trace: list[Event]) -> None:
    """Of two messages to one receiver that are handled as they were sent, the first is drawn as sent first."""
    drawn = _drawn_at(trace)
    sent = [(place, event) for place, event in enumerate(trace) if isinstance(event, Sent)]
    arrived = {
        event.number: place
        for place, event in enumerate(trace)
        if isinstance(event, Handled | Lost) and event.number is not None
    }
    never = len(trace)
    for (one, first), (two, second) in combinations(sent, 2):
        ends = [arrived.get(event.number, never) for event in (first, second)]
        if first.receiver == second.receiver and ends[0] <= ends[1]:
            assert drawn[one] < drawn[two]


@given(runs())
def test_what_is_everybodys_stays_between_what_was_before_and_after(trace: list[Event]) -> None:
    """Nothing is moved across a fault, a note, a move of the clock or a reordering."""
    drawn = _drawn_at(trace)
    for place, event in enumerate(trace):
        if isinstance(event, FaultApplied | Noted | ClockMoved | Reordered):
            assert all(drawn[before] < place for before in range(place))
            assert all(drawn[after] > place for after in range(place + 1, len(trace)))


@given(events())
def test_nonsense_is_taken_as_it_comes(trace: list[Event]) -> None:
    """Each event belongs to one arrow at most; an arrow ends at its message's own receiver."""
    ends = [place for one in one_arrows(trace) for place in (one.sent, one.arrived)]
    assert len(ends) == len(set(ends))
    for one in one_arrows(trace):
        sent, arrival = trace[one.sent], trace[one.arrived]
        assert isinstance(sent, Sent)
        assert isinstance(arrival, Handled | Lost)
        assert (sent.number, sent.receiver) == (arrival.number, arrival.receiver)


def test_a_queue_needs_no_numbers() -> None:
    """Three clients whose asks wait in one mailbox, and are taken in order, are three arrows."""
    story = Story()
    asks = [story.ask(f"client {n}", "/bank", Read()) for n in (1, 2, 3)]
    for number in asks:
        story.handle(number).answer(number, 0)
    assert _whole(story) == asks
    assert numbered(list(story.trace), {0, 1, 2}) == {}


def test_a_burst_from_one_sender_needs_no_numbers() -> None:
    """What one sender tells, one after another, and is taken in order, is as many arrows."""
    story = Story()
    told = [story.tell("client 1", "/bank", Write(n)) for n in range(4)]
    story.handle(*told)
    assert _whole(story) == told


def test_an_overtaken_message_has_two_ends() -> None:
    """The message that was overtaken is drawn where it was sent and where it was handled."""
    story = Story()
    write = story.tell("client 1", "/bank", Write(1))
    read = story.tell("client 2", "/bank", Read())
    story.handle(read, write)
    assert _whole(story) == [read]
    assert numbered(list(story.trace), {1}) == {write: 1}


def test_a_message_that_waits_while_its_sender_goes_on_has_two_ends() -> None:
    """A sender that handles something else before its message is taken: that it sent first must be seen."""
    story = Story()
    other = story.tell("client 2", "/bank", Read())
    told = story.tell("client 1", "/bank", Write(1))
    story.handle(story.tell("client 2", "client 1", Read()), other, told)
    assert told not in _whole(story)


def test_an_arrow_may_stand_where_its_message_was_sent() -> None:
    """Drawn where it was handled it would seem to overtake one that has two ends, so it is drawn where it was sent."""
    story = Story()
    first = story.ask("client 1", "/bank", Read())
    second = story.ask("client 2", "/bank", Read())
    story.handle(first).answer(first, 0)
    story.add(Reordered, "/bank", "client 1").handle(second).answer(second, 0)
    (one,) = one_arrows(list(story.trace))
    assert (one.sent, one.arrived, one.drawn) == (0, 2, 0)


def test_of_two_messages_that_cross_one_has_two_ends() -> None:
    """Two who send to each other before they handle what they are sent cannot both be told by one arrow."""
    story = Story()
    there = story.tell("/bank", "/audit", Read())
    back = story.tell("/audit", "/bank", Read())
    story.handle(there, back)
    assert _whole(story) == [there]


def test_a_message_that_outlives_its_receiver_has_two_ends() -> None:
    """Sent to one incarnation and handled by the next: the death in between must be seen in between."""
    story = Story()
    kept = story.tell("client 1", "/bank", Write(1))
    story.add(Ended, "/bank", "killed", True).add(Began, "/bank").handle(kept)
    assert _whole(story) == []


def test_what_the_plan_chose_is_drawn_where_it_was_chosen() -> None:
    """A message sent at a reordered step stands below the line that says so, even if it waits."""
    story = Story()
    first = story.tell("client 1", "/bank", Write(1))
    story.at(2).add(Reordered, "client 2", "client 1")
    chosen = story.tell("client 2", "/bank", Write(2))
    story.at(3).handle(first, chosen)
    assert _whole(story) == []
    quick = Story().add(Reordered, "client 2", "client 1")
    assert _whole(quick.handle(quick.tell("client 2", "/bank", Write(2)))) == [1]


def test_a_long_wait_is_shown() -> None:
    """A message that waits while much happens elsewhere has two ends."""
    for much, shown in ((LONG_WAIT // 4 - 1, [1]), (LONG_WAIT // 4 + 1, [])):
        story = Story()
        waits = story.tell("client 1", "/bank", Read())
        for _ in range(much):
            story.round("client 2", "/other", Read(), 0).add(Ended, "/another", "normal", False)
        assert [n for n in _whole(story.handle(waits)) if n == waits] == shown


def test_asks_that_are_open_together_are_numbered() -> None:
    """Two asks of one client to one actor take numbers, or their replies could be mixed up."""
    story = Story()
    one, two = (story.ask("client 1", "/bank", Read()) for _ in range(2))
    story.handle(one, two).answer(two, 2).answer(one, 1)
    assert _whole(story) == [one, two]
    assert numbered(list(story.trace), {0, 1}) == {one: 1, two: 2}


def test_an_ask_is_open_until_somebody_gives_up() -> None:
    """Asks end by a reply, by a failure and by the death of who asked."""
    story = Story()
    asks = [story.ask(f"client {n}", "/bank", Read()) for n in range(4)]
    story.tell("client 5", "/bank", Write(1))
    story.handle(asks[0]).answer(asks[0], 1).answer(asks[1], TimeoutError())
    story.add(Ended, "client 2", "killed", True)
    assert [sent.number for sent in unanswered(story.trace)] == [asks[3]]
