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

from actorkit.kernel.message import error_text, shortened
from actorkit.kernel.wait import CURRENT

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
    NO_CONNECTION = "its node is out of reach"
    NOT_ENCODABLE = "it cannot travel to another node"
    OUTBOX_FULL = "too much waits to be sent to its node"
    NOT_DELIVERABLE = "a timer whose actor is gone"
    CLOSED = "the system is closed"

    @property
    def is_message(self) -> bool:
        """Whether what was lost is a message; a late reply is none."""
        return self is not DeadReason.LATE_REPLY


LogRecord = tuple[str, str, dict[str, Any]]


class Progress:
    """Base of the events that tell of things going as they should."""

    __slots__ = ()

    def as_log(self) -> LogRecord:
        """Level, text and fields of the event's log record."""
        raise NotImplementedError


class Report:
    """Base of the events that a person should know of."""

    __slots__ = ()

    def as_log(self) -> LogRecord:
        """Level, text and fields of the event's log record."""
        raise NotImplementedError


@attrs.frozen(slots=True)
class DeadLetter(Report):
    """A message that was not handled, with the reason.

    Attributes:
        message: the message itself.
        path: the path or name it was sent to.
        reason: why it was not handled.
    """

    message: Any
    path: str
    reason: DeadReason

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        fields = {"path": self.path, "reason": str(self.reason), "message": shortened(self.message)}
        return "warning", "dead letter", fields


@attrs.frozen(slots=True)
class Started(Progress):
    """An actor is ready: its ``started`` hook has run."""

    path: str
    address: Address
    actor: str

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        return "debug", "actor started", {"path": self.path, "actor": self.actor}


@attrs.frozen(slots=True)
class Stopped(Progress):
    """An actor is gone; everyone who watched it has been told. A crash has a ``CrashReport`` before this."""

    path: str
    address: Address
    actor: str
    reason: ExitReason
    handled: int

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        return "debug", "actor stopped", {"path": self.path, "reason": str(self.reason)}


@attrs.frozen(slots=True)
class DidNotStart(Report):
    """An actor's constructor or ``started`` hook failed, so it never ran."""

    path: str
    actor: str
    reason: ExitReason

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        fields = {"path": self.path, "actor": self.actor, "reason": str(self.reason)}
        trace = getattr(self.reason, "traceback", "")
        return "error", "actor did not start", {**fields, "traceback": trace} if trace else fields


@attrs.frozen(slots=True)
class HighWater(Report):
    """A mailbox has reached its high-water mark."""

    path: str
    address: Address
    waiting: int
    capacity: int

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        fields = {"path": self.path, "waiting": self.waiting, "capacity": self.capacity}
        return "warning", "mailbox is filling up", fields


@attrs.frozen(slots=True)
class UnhandledMessage:
    """An actor got a message that it has no handler for."""

    path: str
    message_type: str


@attrs.frozen(slots=True)
class Stalled(Report):
    """A handler has kept the CPU, and with it the whole node, for ``seconds`` so far.

    Attributes:
        stack: where it is, formatted, the innermost frame last.
    """

    path: str
    message_type: str
    seconds: float
    stack: str

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        fields = {"path": self.path, "handling": self.message_type, "seconds": self.seconds}
        return "warning", "handler keeps the cpu", {**fields, "stack": self.stack}


@attrs.frozen(slots=True)
class ZombieFenced(Report):
    """An actor was declared dead although its code could not be interrupted; what it still sends is dropped."""

    path: str
    address: Address

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        return "warning", "killed actor does not unwind; it is fenced", {"path": self.path}


@attrs.frozen(slots=True)
class ObserverFailed(Report):
    """A subscriber raised and was removed."""

    observer: str
    error: str

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        fields = {"observer": self.observer, "error": self.error}
        return "error", "observer failed and was removed", fields


Observer = Callable[[Any], None]


class Events:
    """Where a system's events can be subscribed to."""

    __slots__ = ("_observers", "_of_kind")

    def __init__(self) -> None:
        self._observers: tuple[tuple[Observer, tuple[type, ...]], ...] = ()
        self._of_kind: dict[type, tuple[Observer, ...]] = {}

    def wants(self, kind: type) -> bool:
        """Whether anybody listens for events of this class: ask before building one."""
        found = self._of_kind.get(kind)
        return bool(found if found is not None else self._listeners(kind))

    def subscribe(self, observer: Observer, *kinds: type) -> Callable[[], None]:
        """Call ``observer`` with every event from now on, or with those of the given classes only.

        Returns a function that ends the subscription.
        """
        entry = (observer, kinds or (object,))
        self._observers = (*self._observers, entry)
        self._of_kind = {}
        return lambda: self._remove(entry)

    def _remove(self, entry: tuple[Observer, tuple[type, ...]]) -> None:
        self._observers = tuple(o for o in self._observers if o is not entry)
        self._of_kind = {}

    def _listeners(self, kind: type) -> tuple[Observer, ...]:
        found = tuple(o for o, kinds in self._observers if issubclass(kind, kinds))
        self._of_kind[kind] = found
        return found

    def emit(self, event: object) -> None:
        """Tell every subscriber of an event.

        They speak for themselves: what one sends is not sent by the actor it hears of, which may be dead and fenced.
        """
        kind = type(event)
        listeners = self._of_kind.get(kind)
        listeners = listeners if listeners is not None else self._listeners(kind)
        if not listeners:
            return
        speaker = CURRENT.set(None)
        try:
            for observer in listeners:
                self._tell(observer, event)
        finally:
            CURRENT.reset(speaker)

    def _tell(self, observer: Observer, event: object) -> None:
        try:
            observer(event)
        except Exception as error:  # noqa: BLE001 - an observer's failure must not reach the observed actor
            self._drop(observer, error)

    def _drop(self, observer: Observer, error: Exception) -> None:
        for entry in self._observers:
            if entry[0] is observer:
                self._remove(entry)
        said = f"{type(error).__name__}: {error_text(error)}"
        self.emit(ObserverFailed(shortened(observer), said))


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
        """The last ones, oldest first; at most 256.

        Messages are kept as they are, not as text: each, and whatever it holds, stays alive until 256 more are lost.
        """
        return tuple(self._recent)

    def add(self, letter: DeadLetter) -> None:
        """Count a dead letter and tell the observers."""
        self._counts[letter.reason] += 1
        self._recent.append(letter)
        self._events.emit(letter)
