"""What the kernel tells observers: typed, and nearly free when nobody listens.

Subscribers are called synchronously, in the order of subscription, on the system's own thread; they must be quick. One
that raises is removed, and the failure is reported, so an observer can never harm the observed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from actorkit.kernel.address import Address
    from actorkit.kernel.exits import ExitReason


class DeadReason(StrEnum):
    """Why a message was not handled."""

    NO_ACTOR = "no such actor"
    DIED = "the actor died before it handled the message"
    MAILBOX_FULL = "mailbox full"
    DROPPED_OLDEST = "dropped as the oldest of a full mailbox"
    DROPPED_NEWEST = "dropped as the newest for a full mailbox"
    UNHANDLED = "no handler for this type"
    REFUSED = "refused, and nobody asked"
    LATE_REPLY = "a reply that nobody waits for"
    FENCED = "sent by an actor that was declared dead"
    NOT_DELIVERABLE = "a timer whose actor is gone"
    CLOSED = "the system is closed"

    @property
    def is_message(self) -> bool:
        """Whether what was lost is a message; a late reply is none."""
        return self is not DeadReason.LATE_REPLY


@attrs.frozen(slots=True)
class DeadLetter:
    """A message that was not handled, with the reason.

    Attributes:
        message: the message itself.
        path: the path or name it was sent to.
        reason: why it was not handled.
    """

    message: Any
    path: str
    reason: DeadReason


@attrs.frozen(slots=True)
class Started:
    """An actor is ready: its ``started`` hook has run."""

    path: str
    address: Address
    actor: str


@attrs.frozen(slots=True)
class Stopped:
    """An actor is gone; everyone who watched it has been told.

    Attributes:
        report: for a crash, what a crash report needs (see ``report.CrashReport``); None otherwise.
    """

    path: str
    address: Address
    actor: str
    reason: ExitReason
    handled: int
    report: Any = None


@attrs.frozen(slots=True)
class StartFailure:
    """An actor's constructor or ``started`` hook failed, so it never ran."""

    path: str
    actor: str
    reason: ExitReason


@attrs.frozen(slots=True)
class HighWater:
    """A mailbox has reached its high-water mark."""

    path: str
    address: Address
    waiting: int
    capacity: int


@attrs.frozen(slots=True)
class UnhandledMessage:
    """An actor got a message that it has no handler for."""

    path: str
    message_type: str


@attrs.frozen(slots=True)
class Stalled:
    """A handler has kept the CPU, and with it the whole node, for ``seconds`` so far.

    Attributes:
        stack: where it is, formatted, the innermost frame last.
    """

    path: str
    message_type: str
    seconds: float
    stack: str


@attrs.frozen(slots=True)
class ZombieFenced:
    """An actor was declared dead although its code could not be interrupted; what it still sends is dropped."""

    path: str
    address: Address


@attrs.frozen(slots=True)
class ObserverFailed:
    """A subscriber raised and was removed."""

    observer: str
    error: str


Observer = Callable[[Any], None]


class Events:
    """Where a system's events can be subscribed to."""

    __slots__ = ("_observers",)

    def __init__(self) -> None:
        self._observers: tuple[Observer, ...] = ()

    @property
    def wanted(self) -> bool:
        """Whether anybody listens; ask before building an event that is costly to build."""
        return bool(self._observers)

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Call ``observer`` with every event from now on; returns a function that ends the subscription."""
        self._observers = (*self._observers, observer)

        def unsubscribe() -> None:
            self._observers = tuple(o for o in self._observers if o is not observer)

        return unsubscribe

    def emit(self, event: object) -> None:
        """Tell every subscriber of an event."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception as error:  # noqa: BLE001 - an observer's failure must not reach the observed actor
                self._observers = tuple(o for o in self._observers if o is not observer)
                self.emit(ObserverFailed(repr(observer), f"{type(error).__name__}: {error}"))


class DeadLetters:
    """The dead letters of a system: counted by reason for ever, the last few kept whole."""

    def __init__(self, events: Events, keep: int = 256) -> None:
        self._events = events
        self._recent: deque[DeadLetter] = deque(maxlen=keep)
        self._counts: Counter[DeadReason] = Counter()

    def __len__(self) -> int:
        """How many there were in all."""
        return self._counts.total()

    @property
    def counts(self) -> dict[DeadReason, int]:
        """How many there were, by reason."""
        return dict(self._counts)

    @property
    def recent(self) -> tuple[DeadLetter, ...]:
        """The last ones, oldest first; at most 256."""
        return tuple(self._recent)

    def add(self, letter: DeadLetter) -> None:
        """Count a dead letter and tell the observers."""
        self._counts[letter.reason] += 1
        self._recent.append(letter)
        self._events.emit(letter)
