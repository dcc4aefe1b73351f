"""Traces for tests: written by hand in a few words, or drawn by Hypothesis."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import strategies as st

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
    Trace,
)


@attrs.frozen(slots=True)
class Read:
    """Ask for the value."""


@attrs.frozen(slots=True)
class Write:
    """Set the value."""

    value: int


@attrs.frozen(slots=True)
class Deposit:
    """A message with a long text."""

    account: str
    cents: int


class Story:
    """Writes a trace, keeping the numbers, the steps and the clock."""

    def __init__(self) -> None:
        self.trace = Trace()
        self.step = 1
        self.now = 0.0
        self._sent: dict[int, Sent] = {}

    def at(self, step: int) -> Story:
        """Go on at a step."""
        self.step = step
        return self

    def tell(self, sender: str, receiver: str, message: object, *, asked: bool = False) -> int:
        """Send; returns the number of the message."""
        number = len(self._sent) + 1
        sent = Sent(self.step, self.now, number, sender, receiver, message, asked)
        self._sent[number] = sent
        self.trace.append(sent)
        return number

    def ask(self, sender: str, receiver: str, message: object) -> int:
        """Send and wait for the reply; returns the number of the message."""
        return self.tell(sender, receiver, message, asked=True)

    def handle(self, *numbers: int) -> Story:
        """Handle messages."""
        for number in numbers:
            self.add(Handled, number, self._sent[number].receiver)
        return self

    def answer(self, number: int, reply: object) -> Story:
        """Answer a request; an exception is a failure."""
        sent, failed = self._sent[number], isinstance(reply, BaseException)
        return self.add(Answered, number, sent.receiver, sent.sender, reply, failed)

    def lose(self, number: int, reason: str) -> Story:
        """Lose a message."""
        sent = self._sent[number]
        return self.add(Lost, number, sent.receiver, sent.message, reason)

    def wait(self, seconds: float) -> Story:
        """Let time pass."""
        self.now += seconds
        return self.add(ClockMoved, seconds)

    def add(self, kind: type[Event], *parts: Any) -> Story:
        """Add any event."""
        self.trace.append(kind(self.step, self.now, *parts))
        return self

    def round(self, sender: str, receiver: str, message: object, reply: object) -> Story:
        """A whole ask, with nothing in between."""
        number = self.ask(sender, receiver, message)
        return self.handle(number).answer(number, reply)


ACTORS = ("/bank", "/app/left/worker", "/app/right/worker")
TASKS = ("client 1", "client 2")
NAMES = st.sampled_from([*ACTORS, *TASKS])
ODD_NAMES = NAMES | st.text(max_size=12)
WORDS = st.text(max_size=30) | st.sampled_from(
    ["killed", "crashed (ValueError: a; b)", "%%{init}%%"]
)
_MESSAGES = (
    st.builds(Read)
    | st.builds(Write, st.integers(0, 99))
    | st.builds(Deposit, st.text(max_size=50), st.integers())
    | st.text(max_size=100)
    | st.sampled_from([None, "口座に預金", "e\u0301a\u0300", "\ud800", "a\nb", object()])
)
_REPLIES = _MESSAGES | st.builds(ValueError, st.text(max_size=50))
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "number": st.integers(1, 3),
    "message": _MESSAGES,
    "reply": _REPLIES,
    "asked": st.booleans(),
    "failed": st.booleans(),
    "crashed": st.booleans(),
    "reason": WORDS,
    "text": WORDS,
    "what": WORDS,
    "seconds": st.floats(0, 1e9),
}
KINDS: tuple[type[Event], ...] = (
    Sent,
    Handled,
    Answered,
    Lost,
    Began,
    Ended,
    Notice,
    FaultApplied,
    Noted,
    ClockMoved,
    Reordered,
)


def events(names: st.SearchStrategy[str] = NAMES) -> st.SearchStrategy[list[Event]]:
    """Any events in any order, whether or not they make sense together."""
    return st.lists(st.one_of([_event(kind, names) for kind in KINDS]), max_size=40)


def _event(kind: type[Event], names: st.SearchStrategy[str]) -> st.SearchStrategy[Event]:
    parts = [
        _FIELDS.get(field.name, names)
        for field in attrs.fields(kind)
        if field.name not in ("step", "at")
    ]
    return st.builds(kind, st.integers(0, 99_999), st.floats(0, 1e9), *parts)


@st.composite
def runs(draw: st.DrawFn) -> list[Event]:
    """Runs that could have happened: what is handled was sent, and what is answered was asked and handled."""
    story, waiting, handled = Story(), list[int](), list[int]()
    # With few participants much happens between any two of them.
    few = draw(st.integers(1, 3))
    who, whom = st.sampled_from([*ACTORS[:few], *TASKS[:few]]), st.sampled_from(ACTORS[:few])
    for step in range(draw(st.integers(0, 30))):
        story.at(step)
        doing = draw(
            st.sampled_from(["send", "send", "send", "handle", "handle", "handle", "answer", "odd"])
        )
        if doing == "send":
            waiting.append(story.ask(draw(who), draw(whom), Write(step)))
        elif doing == "handle" and waiting:
            # Mostly in order, as a mailbox is; sometimes not, as networks are.
            place = draw(st.sampled_from([0, 0, 0, 1, 2])) % len(waiting)
            number = waiting.pop(place)
            if draw(st.integers(0, 9)):
                story.handle(number)
                handled.append(number)
            else:
                story.lose(number, "mailbox full")
        elif doing == "answer" and handled:
            story.answer(handled.pop(draw(st.sampled_from([0, -1]))), step)
        elif doing == "odd":
            _odd(draw, story)
    return list(story.trace)


def _odd(draw: st.DrawFn, story: Story) -> None:
    kind = draw(st.sampled_from([Began, Ended, Notice, FaultApplied, Reordered, ClockMoved]))
    story.trace.append(draw(_event(kind, NAMES).map(lambda e: attrs.evolve(e, step=story.step))))
