"""What stands in a mailbox besides messages, and how the two are told apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

import attrs

from actorkit.kernel.call import Call
from actorkit.kernel.exits import Crashed, Down, Exit, ExitReason
from actorkit.kernel.message import shortened
from actorkit.kernel.notices import Notice
from actorkit.kernel.stream import StreamCall
from actorkit.kernel.wait import Sentinel, Wait

if TYPE_CHECKING:
    from actorkit.kernel.cell import Cell

ATTENTION = Sentinel("ATTENTION")
ROOM = Sentinel("ROOM")
NO_MAIL: deque[Any] = cast(
    "deque[Any]", ()
)  # reads as an empty mailbox; nothing can be put into it


@attrs.frozen(slots=True)
class StopOrder:
    """A control message: end with this reason after the message in hand; in the mailbox, when its turn comes.

    Attributes:
        unready: whether an actor that is not ready yet never gets ready.
    """

    __actorkit_signal__: ClassVar[bool] = True

    reason: ExitReason
    unready: bool = False


@attrs.frozen(slots=True)
class Fired:
    """A timer's message, on its way through the mailbox; a cancelled one is dropped when it surfaces."""

    message: Any
    handle: Any


@attrs.frozen(slots=True, eq=False)
class Signal:
    """A notice on its way through the mailbox. A ``Down`` or ``Exit`` that somebody tells is a message."""

    notice: Down | Exit | Notice


@attrs.frozen(slots=True)
class Next:
    """A continuation: a message the actor gave itself to handle before everything that waits."""

    message: Any


class RoomWait(Wait):
    """A sender that waits for room in a mailbox."""

    __slots__ = ("message", "owner")

    def __init__(self, cell: Cell | None, target: Cell, message: Any) -> None:
        super().__init__(cell, target)
        self.message = message
        self.owner = target

    def cancelled(self) -> None:
        """The sender gave up: it leaves the queue at the door."""
        if self.owner.senders is not None and self in self.owner.senders:
            self.owner.senders.remove(self)


_NOT_MAIL: frozenset[type] = frozenset((Fired, Signal))


def is_mail(item: Any) -> bool:
    """Whether a queued item is a message that somebody sent, as opposed to a signal, a timer or an inspection."""
    kind = type(item)
    return not (
        kind is Sentinel or kind in _NOT_MAIL or getattr(kind, "__actorkit_signal__", False)
    )


def is_internal(kind: type) -> bool:
    """Whether a class of queued items is the kernel's own business."""
    return kind is Sentinel or getattr(kind, "__actorkit_signal__", False)


def is_for_whoever(item: Any) -> bool:
    """Whether a queued item is for whoever sits in a seat, and not for one incarnation alone."""
    if type(item) is Fired:
        found: bool = item.handle.for_whoever
        return found
    return is_mail(item) and type(item) is not Next


def content_of(item: Any) -> Any:
    """What a queued item is about: the message or notice in its envelope, or itself."""
    kind = type(item)
    if kind is Signal:
        return item.notice
    return item.message if kind in (Call, StreamCall, Fired, Next) else item


def take_out(queue: deque[Any], wanted: Callable[[Any], bool]) -> list[Any]:
    """Take the wanted items out of a mailbox in place, and return them; by identity, for messages may compare oddly."""
    taken = [item for item in queue if wanted(item)]
    if taken:
        there = {id(item) for item in taken}
        kept = [item for item in queue if id(item) not in there]
        queue.clear()
        queue.extend(kept)
    return taken


def handling_text(item: Any) -> str:
    """What was being handled, as text for a report."""
    return "" if item is None or type(item) is Sentinel else shortened(content_of(item))


def crash_of(error: BaseException, item: Any) -> Crashed:
    """The exit reason of an exception that left a handler."""
    return Crashed.of(error, handling_text(item))
