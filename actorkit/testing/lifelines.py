"""Turns the events of a trace into the rows of a sequence chart: who has a lifeline, and what lies on them. Pure.

Nothing here knows how a row is drawn; ``chart`` does that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from enum import Enum
from itertools import islice, takewhile

import attrs

from actorkit.kernel.message import error_text, shortened
from actorkit.observe.text import printable
from actorkit.testing.crossings import OneArrow, numbered, one_arrows, unanswered
from actorkit.testing.trace import (
    CLOCK,
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

TEXT_CHARS = 72
_LINE_CHARS = 240
_REPR_CHARS = 500
_OPEN_ASKS = 6
_NAMED = 3
_LINE_BREAKS = re.compile(r"\s*\n\s*")
_PLACES = re.compile(r" at 0x[0-9a-fA-F]+")
# Where a class was written says little in a chart: `tests.bank.<locals>.Deposit(5)` is a Deposit(5).
_WRITTEN_AT = re.compile(r"\b(?:\w+\.)+<locals>\.|^(?:\w+\.)+(?=\w+\()")


class Arrival(Enum):
    """What an arrow says of what it carries."""

    HANDLED = "handled"
    WAITS = "waits"
    LOST = "lost"
    REPLY = "reply"
    NOTICE = "notice"


class Sign(Enum):
    """What a line across the chart is about, and the sign it starts with."""

    HARM = "**"
    STARTED = "++"
    ENDED = "--"
    REORDERED = "~~"
    TIME = ".."
    NOTE = "//"
    OPEN = "??"


@attrs.frozen(slots=True)
class Arrow:
    """Something went from one participant to another, or to itself."""

    step: int
    arrival: Arrival
    source: str
    target: str
    text: str


@attrs.frozen(slots=True)
class Mark:
    """Something happened to one participant: a message that had waited was handled, or lost."""

    step: int
    where: str
    text: str
    lost: bool = False
    sender: str | None = None


@attrs.frozen(slots=True)
class Line:
    """Something that is told in words, across the chart; it begins with the names in ``who``."""

    step: int
    sign: Sign
    text: str
    who: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What the line says."""
        return printable(f"{', '.join(self.who)} {self.text}") if self.who else self.text


Row = Arrow | Mark | Line


@attrs.frozen(slots=True)
class Scene:
    """What a chart shows.

    Attributes:
        names: the participants, in the order of their first appearance.
        rows: what happened, in order.
        absent: the participants that are not alive when the chart begins.
        left_out: how many earlier events are not shown.
    """

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    absent: frozenset[str]
    left_out: int


def scene(
    events: Sequence[Event], *, last: int | None = None, focus: Collection[str] | None = None
) -> Scene:
    """Lay out a trace as rows.

    Args:
        events: the whole trace.
        last: show only so many events, the last ones.
        focus: show only what these participants have part in, and what concerns everybody.

    Raises:
        ValueError: ``last`` is less than one.
    """
    if last is not None and last < 1:
        raise ValueError(f"last= is how many events to show, at least 1, got {last}")
    start = 0 if last is None else max(0, len(events) - last)
    rows = list(_Rows(events, start).told())
    if focus is not None:
        rows = _focused(rows, frozenset(focus))
    names = tuple(dict.fromkeys(name for row in rows for name in _participants(row)))
    shown = _united(_without_idle(rows, names))
    return Scene(names, tuple(shown), _absent(events, start), start)


def message_text(value: object, limit: int = TEXT_CHARS) -> str:
    """The ``repr`` of a message on one line, without the noise of where its class was written or where it lies."""
    text = shortened(value, _REPR_CHARS)
    return one_line(_PLACES.sub("", _WRITTEN_AT.sub("", text)), limit)


def one_line(text: str, limit: int = _LINE_CHARS) -> str:
    """Text without line breaks and invisible characters, in at most ``limit`` characters."""
    clean = printable(_LINE_BREAKS.sub(" ", text.strip()))
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


class _Rows:
    """Tells a trace from ``start`` on, row by row."""

    def __init__(self, events: Sequence[Event], start: int) -> None:
        self._events = events
        self._start = start
        self._shown = _idle_joined(events[start:])
        self._sent = {event.number: event for event in events if isinstance(event, Sent)}
        whole = one_arrows(self._shown)
        self._whole = {one.drawn: one for one in whole}
        self._drawn_elsewhere = {one.sent for one in whole} | {one.arrived for one in whole}
        self._drawn_elsewhere -= self._whole.keys()
        self._numbers = numbered(self._shown, {one.sent for one in whole})
        self._in_sight = {event.number for event in self._shown if isinstance(event, Sent)}
        self._waiting: dict[str, list[int]] = {}
        self._lives = Counter(e.actor for e in islice(events, start) if isinstance(e, Began))

    def told(self) -> Iterator[Row]:
        """The rows of everything that is shown, and at the end of what is still open."""
        opening = 0 if self._start else len(_opening(self._events))
        self._lives.update(e.actor for e in self._shown[:opening] if isinstance(e, Began))
        for place in range(opening, len(self._shown)):
            if place not in self._drawn_elsewhere:
                whole = self._whole.get(place)
                yield self._row(place) if whole is None else self._passed(whole)
        yield from self._open_asks()

    def _row(self, place: int) -> Row:
        event = self._shown[place]
        match event:
            case Sent():
                self._waiting.setdefault(event.receiver, []).append(event.number)
                return _arrow(event.step, Arrival.WAITS, event, self._called(event))
            case Handled():
                return self._handled(event)
            case Lost():
                return self._lost(event)
            case Answered():
                return self._answered(event)
            case Began() | Ended():
                return self._life(event)
            case _:
                return _row_of(event)

    def _passed(self, one: OneArrow) -> Arrow:
        """The arrow of a message that has only one."""
        sent, arrival = self._shown[one.sent], self._shown[one.arrived]
        assert isinstance(sent, Sent)
        step, text = self._shown[one.drawn].step, self._called(sent)
        if isinstance(arrival, Lost):
            return _arrow(step, Arrival.LOST, sent, text, f" lost: {_reason(arrival)}")
        return _arrow(step, Arrival.HANDLED, sent, text, self._overtaken(sent))

    def _handled(self, event: Handled) -> Mark:
        sent = self._sent.get(event.number)
        if sent is None:
            return Mark(event.step, event.receiver, f"handles message {event.number}")
        text = self._called(sent) + self._overtaken(sent)
        origin = "" if event.number in self._in_sight else f" from {one_line(sent.sender)}"
        return Mark(event.step, event.receiver, f"handles {text}{origin}", sender=sent.sender)

    def _lost(self, event: Lost) -> Mark:
        sent = None if event.number is None else self._sent.get(event.number)
        number = None if sent is None else self._numbers.get(sent.number)
        self._forget(event.number, event.receiver)
        text = message_text(event.message) if number is None else f"#{number}"
        return Mark(
            event.step,
            event.receiver,
            f"{text} is lost: {_reason(event)}",
            lost=True,
            sender=None if sent is None else sent.sender,
        )

    def _answered(self, event: Answered) -> Arrow:
        text = message_text(event.reply)
        if isinstance(event.reply, BaseException):
            text = one_line(f"{type(event.reply).__name__}: {error_text(event.reply)}", TEXT_CHARS)
        number = self._numbers.get(event.number)
        text = f"{'failed: ' if event.failed else ''}{text}"
        text = text if number is None else f"#{number}: {text}"
        return Arrow(event.step, Arrival.REPLY, event.sender, event.receiver, text)

    def _life(self, event: Began | Ended) -> Line:
        who = (event.actor,)
        if isinstance(event, Began):
            self._lives[event.actor] += 1
            life = self._lives[event.actor]
            text = "started" if life == 1 else f"started again (incarnation {life})"
            return Line(event.step, Sign.STARTED, text, who)
        self._waiting.pop(event.actor, None)
        self._lives[event.actor] = max(1, self._lives[event.actor])
        sign, verb = (Sign.HARM, "died") if event.crashed else (Sign.ENDED, "ended")
        return Line(event.step, sign, f"{verb}: {one_line(event.reason)}", who)

    def _called(self, sent: Sent) -> str:
        shown = self._numbers.get(sent.number)
        text = message_text(sent.message)
        return text if shown is None else f"#{shown} {text}"

    def _overtaken(self, sent: Sent) -> str:
        """Says in words which of the messages that wait a message has overtaken, now that it is handled."""
        waiting = self._waiting.get(sent.receiver, [])
        known = sent.number in waiting
        before = waiting[: waiting.index(sent.number)] if known else waiting
        names = " ".join(f"#{self._numbers[number]}" for number in before[:_NAMED])
        more = " and others" if len(before) > _NAMED else ""
        text = f" overtakes {names}{more}" if before and sent.number in self._in_sight else ""
        self._forget(sent.number, sent.receiver)
        return text

    def _forget(self, number: int | None, receiver: str) -> None:
        waiting = self._waiting.get(receiver, [])
        if number in waiting:
            waiting.remove(number)

    def _open_asks(self) -> Iterator[Line]:
        pending = unanswered(self._events)
        step = self._events[-1].step if self._events else 0
        for sent in pending[:_OPEN_ASKS]:
            text = f"still waits for {sent.receiver} to answer {self._called(sent)}"
            yield Line(step, Sign.OPEN, text, (sent.sender,))
        if len(pending) > _OPEN_ASKS:
            more = len(pending) - _OPEN_ASKS
            yield Line(step, Sign.OPEN, f"and {more} more {'waits' if more == 1 else 'wait'}")


def _arrow(step: int, arrival: Arrival, sent: Sent, text: str, more: str = "") -> Arrow:
    """An arrow from the sender; a timer's message comes from its actor, so the clock needs no lifeline."""
    source, origin = sent.sender, ""
    if source == CLOCK:
        source, origin = sent.receiver, " from its timer"
    elif source == sent.receiver:
        origin = " from itself"
    return Arrow(step, arrival, source, sent.receiver, f"{text}{origin}{more}")


def _reason(event: Lost | Notice) -> str:
    return one_line(event.reason, TEXT_CHARS)


def _row_of(event: Notice | FaultApplied | Noted | ClockMoved | Reordered) -> Row:
    match event:
        case Notice(step=step, receiver=name, about=about):
            return Arrow(step, Arrival.NOTICE, about, name, f"gone: {_reason(event)}")
        case FaultApplied(step=step, what=what):
            return Line(step, Sign.HARM, f"fault: {one_line(what)}")
        case Noted(step=step, text=text):
            return Line(step, Sign.NOTE, one_line(text))
        case ClockMoved(step=step, at=at, seconds=seconds):
            return Line(step, Sign.TIME, f"{seconds:g} s later: the clock says {at:g} s")
        case Reordered(step=step, ran=ran, instead_of=other):
            return Line(
                step, Sign.REORDERED, f"ran before {one_line(other)}, whose turn it was", (ran,)
            )


def _idle_joined(events: Sequence[Event]) -> list[Event]:
    """The events, with one long move of the clock for several with nothing between them."""
    joined: list[Event] = []
    for event in events:
        before = joined[-1] if joined else None
        if isinstance(event, ClockMoved) and isinstance(before, ClockMoved):
            joined[-1] = attrs.evolve(event, seconds=before.seconds + event.seconds)
        else:
            joined.append(event)
    return joined


def _opening(events: Sequence[Event]) -> list[Event]:
    """The births before anything else: those lifelines are there from the top and need no line."""
    return list(takewhile(lambda event: isinstance(event, Began), events))


def _absent(events: Sequence[Event], start: int) -> frozenset[str]:
    """The actors that are dead, or not born yet, when the chart begins."""
    begins = start or len(_opening(events))
    turns = (e for e in events[begins:] if isinstance(e, Began | Ended))
    first_turn = {e.actor: e for e in reversed(list(turns))}
    dead = _dead(events[:begins])
    return dead | {name for name, turn in first_turn.items() if isinstance(turn, Began)}


def _dead(events: Sequence[Event]) -> frozenset[str]:
    lives = {e.actor: e for e in events if isinstance(e, Began | Ended)}
    return frozenset(name for name, turn in lives.items() if isinstance(turn, Ended))


def _participants(row: Row) -> tuple[str, ...]:
    """Whom a row gives a lifeline."""
    match row:
        case Arrow(source=source, target=target):
            return (source, target)
        case Mark(where=where):
            return (where,)
        case Line():
            return ()


def _focused(rows: Sequence[Row], focus: frozenset[str]) -> list[Row]:
    """The rows that some participants have part in, the lives of those they meet, and what is everybody's."""
    met = focus.union(*(_participants(row) for row in rows if _has_part(row, focus)))
    return [
        row
        for row in rows
        if _has_part(row, focus)
        or (isinstance(row, Line) and (not row.who or not met.isdisjoint(row.who)))
    ]


def _has_part(row: Row, focus: frozenset[str]) -> bool:
    """Whether one of some participants has part in a row, be it only by having sent what it is about."""
    sender = row.sender if isinstance(row, Mark) else None
    return sender in focus or not focus.isdisjoint(_participants(row))


def _without_idle(rows: Sequence[Row], names: Collection[str]) -> list[Row]:
    """The rows without the comings and goings of those who did nothing: they only fill the chart."""
    dead = {name for row in rows if _is(row, Sign.HARM) for name in _who(row)}
    seen = {*names, *dead}
    life = (Sign.STARTED, Sign.ENDED)
    return [row for row in rows if not _is(row, *life) or not seen.isdisjoint(_who(row))]


def _united(rows: Sequence[Row]) -> list[Row]:
    """The rows, with one line for all who start, or end, in a row and in the same way."""
    united: list[Row] = []
    for row in rows:
        before = united[-1] if united else None
        if isinstance(row, Line) and isinstance(before, Line) and _same_turn(before, row):
            united[-1] = attrs.evolve(before, who=before.who + row.who)
        else:
            united.append(row)
    return united


def _same_turn(one: Line, other: Line) -> bool:
    alike = (one.sign, one.text) == (other.sign, other.text)
    return alike and one.sign in (Sign.STARTED, Sign.ENDED)


def _is(row: Row, *signs: Sign) -> bool:
    return isinstance(row, Line) and row.sign in signs


def _who(row: Row) -> tuple[str, ...]:
    return row.who if isinstance(row, Line) else ()
