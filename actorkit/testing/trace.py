"""What happened in a simulated run, one event after another. Pure: others record, charts and checks read.

Every event tells at which ``step`` of the run it happened and at what virtual time: ``at``, in seconds. Who took part
is told by name: the path of an actor ("/bank") or the name of a task ("client 1"), the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import count
from typing import Any, TypeVar, cast, get_args

import attrs

# The sender of what a timer sends.
CLOCK = "clock"


@attrs.frozen(slots=True)
class Sent:
    """A message was put into a mailbox, or on its way there.

    Attributes:
        step: the step of the run.
        at: the virtual time, in seconds.
        number: tells messages apart; what later happens to this one carries the same number.
        sender: who sent it.
        receiver: the actor it is for.
        message: the message itself.
        asked: whether the sender waits for a reply.
    """

    step: int
    at: float
    number: int
    sender: str
    receiver: str
    message: object
    asked: bool


@attrs.frozen(slots=True)
class Handled:
    """A message was taken from the mailbox, and its handler began.

    Attributes:
        step: the step of the run.
        at: the virtual time, in seconds.
        number: the number it was sent with.
        receiver: the actor that handles it.
    """

    step: int
    at: float
    number: int
    receiver: str


@attrs.frozen(slots=True)
class Answered:
    """Whoever asked has the reply, or the error.

    Attributes:
        step: the step of the run.
        at: the virtual time, in seconds.
        number: the number of the request.
        sender: the actor that was asked.
        receiver: who asked.
        reply: the reply; the error if it failed.
        failed: whether the ask failed.
    """

    step: int
    at: float
    number: int
    sender: str
    receiver: str
    reply: object
    failed: bool


@attrs.frozen(slots=True)
class Lost:
    """A message will never be handled.

    Attributes:
        step: the step of the run.
        at: the virtual time, in seconds.
        number: the number it was sent with; None if it was lost before it got one.
        receiver: the actor it was for.
        message: the message itself.
        reason: why, in words.
    """

    step: int
    at: float
    number: int | None
    receiver: str
    message: object
    reason: str


@attrs.frozen(slots=True)
class Began:
    """An incarnation of an actor began to live.

    Attributes:
        step: the step of the run.
        at: the virtual time, in seconds.
        actor: its path.
    """

    step: int
    at: float
    actor: str


@attrs.frozen(slots=True)
class Ended:
    """An incarnation of an actor is gone.

    Attributes:
        step: the step of the run.
        at: the virtual time, in seconds.
        actor: its path.
        reason: why, in words.
        crashed: whether it ended in any way but good order.
    """

    step: int
    at: float
    actor: str
    reason: str
    crashed: bool


@attrs.frozen(slots=True)
class Notice:
    """An actor was told that another one is gone: it handled a ``Down`` or an ``Exit``.

    Attributes:
        step: the step of the run.
        at: the virtual time, in seconds.
        receiver: who was told.
        about: who is gone.
        reason: why, in words.
    """

    step: int
    at: float
    receiver: str
    about: str
    reason: str


@attrs.frozen(slots=True)
class FaultApplied:
    """The plan did harm.

    Attributes:
        step: the step of the run.
        at: the virtual time, in seconds.
        what: the name of the fault, and whom it hit; the same in every run, so no ids of objects.
    """

    step: int
    at: float
    what: str


@attrs.frozen(slots=True)
class Noted:
    """The test itself had something to say.

    Attributes:
        step: the step of the run.
        at: the virtual time, in seconds.
        text: what it said.
    """

    step: int
    at: float
    text: str


@attrs.frozen(slots=True)
class ClockMoved:
    """Nothing could run, so the virtual clock went on to the next deadline.

    Attributes:
        step: the step of the run.
        at: the virtual time after the move, in seconds.
        seconds: how far it moved.
    """

    step: int
    at: float
    seconds: float


@attrs.frozen(slots=True)
class Reordered:
    """The plan chose somebody other than who had waited longest.

    Attributes:
        step: the step of the run.
        at: the virtual time, in seconds.
        ran: who ran at this step.
        instead_of: who would have run in the order of waiting.
    """

    step: int
    at: float
    ran: str
    instead_of: str


Event = (
    Sent
    | Handled
    | Answered
    | Lost
    | Began
    | Ended
    | Notice
    | FaultApplied
    | Noted
    | ClockMoved
    | Reordered
)
E = TypeVar("E", bound=Event)

# What people word freely and what floats may blur says nothing about whether two runs are the same.
_NOT_DIGESTED = frozenset({"at", "seconds", "reason", "text"})
_BY_TYPE = frozenset({"message", "reply"})
_DIGESTED = {
    kind: tuple(f.name for f in attrs.fields(kind) if f.name not in _NOT_DIGESTED)
    for kind in get_args(Event)
}


class Trace:
    """The events of one run in the order they happened. It only grows.

    Args:
        events: what it starts with.
    """

    __slots__ = ("_events", "_sealed")

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events: list[Event] = list(events)
        self._sealed = False

    def append(self, event: Event) -> None:
        """Add what has just happened."""
        if not self._sealed:
            self._events.append(event)

    def seal(self) -> None:
        """Add nothing any more: what comes after a failure is only its clean-up."""
        self._sealed = True

    def of(self, kind: type[E]) -> tuple[E, ...]:
        """The events of one kind, in order."""
        return tuple(event for event in self._events if isinstance(event, kind))

    def digest(self) -> str:
        """32 hex digits that are the same for two runs in which the same happened to the same participants.

        They are made of steps, kinds, names, and the types of messages: not of values, words, ids or times. Messages
        are told apart by the order in which they appear, so the numbers may start anywhere.
        """
        digest = blake2b(digest_size=16)
        ordinals: Mapping[int, int] = _Ordinals()
        for event in self._events:
            digest.update(ascii(_marks(event, ordinals)).encode("ascii"))
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} events, {self.digest()[:8]}>"


class _Ordinals(dict[int, int]):
    """Numbers messages anew, by first appearance."""

    def __init__(self) -> None:
        super().__init__()
        self._next = count()

    def __missing__(self, number: int) -> int:
        return self.setdefault(number, next(self._next))


def _marks(event: Event, ordinals: Mapping[int, int]) -> tuple[str | int | None, ...]:
    kind = type(event)
    marks = (_mark(name, getattr(event, name), ordinals) for name in _DIGESTED[kind])
    return (kind.__name__, *marks)


def _mark(name: str, value: Any, ordinals: Mapping[int, int]) -> str | int | None:
    if name in _BY_TYPE:
        return type(value).__qualname__
    if name == "number" and value is not None:
        return ordinals[value]
    return cast("str | int | None", value)
