"""Decides which messages of a trace a chart may draw as one arrow, and which need two ends. Pure.

Between being sent and being handled, a message waits in a mailbox. One arrow for both says the same in half the lines,
as long as it can stand where everything that happens to its sender and to its receiver keeps its order, and where no
message seems to overtake another that it did not overtake. Where there is no such place, the waiting matters: both ends
are drawn, and a number ties them together. A fault, a note or a move of the clock belongs to everybody's order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import attrs

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

# A message that waits while this many things happen is worth seeing wait.
LONG_WAIT = 64


@attrs.frozen(slots=True)
class OneArrow:
    """A message that one arrow can stand for.

    Attributes:
        sent: where in the trace it was sent.
        arrived: where it was handled, or lost.
        drawn: where the arrow belongs: at one of the two.
    """

    sent: int
    arrived: int
    drawn: int


def one_arrows(events: Sequence[Event]) -> tuple[OneArrow, ...]:
    """The messages that one arrow can stand for.

    The arrow stands where the message arrives if it can, for there its reply follows, else where it is sent.
    """
    passages = list(_passages(events))
    late = _late(events, passages)
    early = [p for p in passages if p.sent not in late and _can_be_early(events, p, late)]
    return (
        *(OneArrow(p.sent, p.arrived, p.arrived) for p in late.values()),
        *(OneArrow(p.sent, p.arrived, p.sent) for p in early),
    )


def numbered(events: Sequence[Event], whole: Collection[int]) -> dict[int, int]:
    """A small number for each message that takes one to be recognized, counted from 1 in order of appearance.

    These are the messages with two ends, and the asks whose replies could be taken for each other's.

    Args:
        events: the trace.
        whole: where in it the messages were sent that are one arrow.
    """
    alike = _asked_at_once(events)
    shown: dict[int, int] = {}
    for place, event in enumerate(events):
        if isinstance(event, Sent) and (place not in whole or event.number in alike):
            shown.setdefault(event.number, len(shown) + 1)
    return shown


def unanswered(events: Iterable[Event]) -> list[Sent]:
    """The asks that were neither answered nor given up, their askers being alive."""
    asked: dict[int, Sent] = {}
    for event in events:
        if isinstance(event, Sent) and event.asked:
            asked[event.number] = event
        elif isinstance(event, Answered):
            asked.pop(event.number, None)
        elif isinstance(event, Ended):
            asked = {n: sent for n, sent in asked.items() if sent.sender != event.actor}
    return list(asked.values())


@attrs.frozen(slots=True)
class _Passage:
    """A message on its way, the clock standing still.

    Attributes:
        sent: where in the trace it was sent.
        arrived: where it was handled, or lost.
        message: its sending.
        chosen: whether the plan chose that its sender runs now: then it is drawn now, below the line that says so.
    """

    sent: int
    arrived: int
    message: Sent
    chosen: bool

    @property
    def between(self) -> range:
        """The places between the two."""
        return range(self.sent + 1, self.arrived)


def _passages(events: Sequence[Event]) -> Iterator[_Passage]:
    chosen = {(event.step, event.ran) for event in events if isinstance(event, Reordered)}
    under_way: dict[int, tuple[int, Sent]] = {}
    for place, event in enumerate(events):
        if isinstance(event, Sent):
            under_way.setdefault(event.number, (place, event))
        elif isinstance(event, Handled | Lost) and event.number in under_way:
            sent, message = under_way.pop(event.number)
            if message.receiver == event.receiver and _is_calm(events, sent, place):
                now = (message.step, message.sender) in chosen
                yield _Passage(sent, place, message, now)


def _is_calm(events: Sequence[Event], sent: int, arrived: int) -> bool:
    """Whether nothing that is everybody's lies between two places."""
    if arrived - sent > LONG_WAIT:
        return False
    between = (events[place] for place in range(sent + 1, arrived))
    return not any(
        isinstance(event, ClockMoved | FaultApplied | Noted | Reordered) for event in between
    )


def _late(events: Sequence[Event], passages: Iterable[_Passage]) -> dict[int, _Passage]:
    """The messages whose arrow can stand at their arrival, by the places where they were sent."""
    late = {p.sent: p for p in passages if not p.chosen and _sender_is_idle(events, p)}
    while crossed := [p.sent for p in late.values() if not _comes_first(events, p, late)]:
        for sent in crossed:
            del late[sent]
    return late


def _sender_is_idle(events: Sequence[Event], passage: _Passage) -> bool:
    """Whether the sender does nothing meanwhile but send, and the receiver lives on."""
    sender, receiver = passage.message.sender, passage.message.receiver
    between = [events[place] for place in passage.between]
    busy = any(sender in _acting(event) for event in between if not isinstance(event, Sent))
    turns = {event.actor for event in between if isinstance(event, Began | Ended)}
    return not busy and receiver not in turns


def _comes_first(events: Sequence[Event], passage: _Passage, late: Mapping[int, _Passage]) -> bool:
    """Whether the arrows of all that was sent after this message, next to it, stand after its arrow."""
    for place in passage.between:
        if _is_beside(events[place], passage.message):
            other = late.get(place)
            if other is None or other.arrived < passage.arrived:
                return False
    return True


def _is_beside(event: Event, message: Sent) -> bool:
    """Whether an event is a sending by the same sender, or to the same receiver."""
    if not isinstance(event, Sent):
        return False
    return event.sender == message.sender or event.receiver == message.receiver


def _can_be_early(events: Sequence[Event], passage: _Passage, late: Mapping[int, _Passage]) -> bool:
    """Whether the arrow can stand where the message was sent: its receiver does nothing until it takes it."""
    receiver = passage.message.receiver
    if any(receiver in _acting(events[place]) for place in passage.between):
        return False
    # What the receiver sent before must not be drawn after.
    earlier = (late.get(place) for place in range(max(0, passage.sent - LONG_WAIT), passage.sent))
    return not any(
        p is not None and p.message.sender == receiver and p.arrived > passage.sent for p in earlier
    )


def _acting(event: Event) -> tuple[str, ...]:
    """Whose doing an event is: on whose lifeline it has its place."""
    match event:
        case Sent(sender=name) | Handled(receiver=name) | Notice(receiver=name):
            return (name,)
        case Answered(sender=replier, receiver=asker):
            return (replier, asker)
        case Began(actor=name) | Ended(actor=name):
            return (name,)
        case _:
            return ()


def _asked_at_once(events: Sequence[Event]) -> frozenset[int]:
    """The asks that were open together with another one between the same two."""
    pending: dict[tuple[str, str], set[int]] = {}
    alike: set[int] = set()
    for event in events:
        if isinstance(event, Sent) and event.asked:
            same = pending.setdefault((event.sender, event.receiver), set())
            alike |= same | {event.number} if same else set()
            same.add(event.number)
        elif isinstance(event, Answered):
            pending.get((event.receiver, event.sender), set()).discard(event.number)
    return frozenset(alike)
