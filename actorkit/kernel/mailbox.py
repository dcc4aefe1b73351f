"""How much mail an actor takes, and what happens to the rest.

Only messages count. Signals, replies and timers are never counted and never dropped, so an overloaded actor still
hears of deaths and of its own deadlines.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

import attrs

Overflow = Literal["reject", "drop_oldest", "drop_newest"]
_POLICIES = ("reject", "drop_oldest", "drop_newest")


def _checked_capacity(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"Mailbox {attribute.name} is a number of messages from 1 up, got {value!r}"
        )


def _checked_policy(_: object, __: object, value: object) -> None:
    if value not in _POLICIES:
        raise ValueError(f"Mailbox overflow is one of {', '.join(_POLICIES)}, got {value!r}")


@attrs.frozen(slots=True)
class Mailbox:
    """The size of an actor's mailbox and its overflow policy; set it on the actor class.

    Attributes:
        capacity: the number of messages that may wait, from 1 up.
        overflow: ``"reject"``: an ask raises ``MailboxFull``, ``send`` waits for room, a told message becomes a dead
            letter. ``"drop_oldest"``: the longest waiting message is dropped. ``"drop_newest"``: the new one is.
            With the last two ``send`` never waits. Whatever is dropped is counted as a dead letter; an ask that is
            dropped raises ``MailboxFull``.
        high_water: the number of waiting messages at which a ``HighWater`` event is raised, once until the mailbox
            has been emptied again.
    """

    capacity: int = attrs.field(default=100_000, validator=_checked_capacity)
    overflow: Overflow = attrs.field(default="reject", validator=_checked_policy)
    high_water: int = attrs.field(default=10_000, validator=_checked_capacity)


class Admission(Enum):
    """What to do with one more message."""

    ACCEPT = auto()
    REJECT = auto()
    DROP_OLDEST = auto()
    DROP_NEWEST = auto()


_AT_CAPACITY = {
    "reject": Admission.REJECT,
    "drop_oldest": Admission.DROP_OLDEST,
    "drop_newest": Admission.DROP_NEWEST,
}


def admission(mailbox: Mailbox, waiting: int) -> Admission:
    """Decide about one more message when ``waiting`` messages wait."""
    return Admission.ACCEPT if waiting < mailbox.capacity else _AT_CAPACITY[mailbox.overflow]


def next_threshold(mailbox: Mailbox, high: bool) -> int:
    """The queue length from which admission must be decided: below it a message is simply appended."""
    return mailbox.capacity if high else min(mailbox.high_water, mailbox.capacity)
