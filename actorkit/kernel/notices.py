"""What an actor hears of nodes and process groups: notices like ``Down`` and ``Exit``, that keep their place among messages.

The rules are those of ``net_kernel:monitor_nodes`` and ``pg`` (otp-semantics 10.6, 8).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from actorkit.kernel.ref import Ref


class LostReason(StrEnum):
    """Why a connection to a node ended, or never came about."""

    CLOSED = "connection closed"
    DISCONNECT = "disconnected by this node"
    TICK = "no traffic within the tick time"
    PROTOCOL = "the peer broke the protocol"
    OVERFLOW = "the peer does not read"
    REPLACED = "replaced by a newer connection"
    UNREACHABLE = "cannot be reached"
    REFUSED = "the peer refused the connection"


@attrs.frozen(slots=True)
class NodeUp:
    """A connection to a node is there; nothing has come over it yet.

    Attributes:
        node: its name.
        incarnation: the number it chose when it started.
    """

    node: str
    incarnation: int


@attrs.frozen(slots=True)
class NodeLost:
    """The connection to a node is gone; everything that came over it has arrived, every ``Down`` and ``Exit`` too.

    Attributes:
        node: its name.
        incarnation: the number it chose when it started; 0 if it was never reached.
        reason: why.
    """

    node: str
    incarnation: int
    reason: LostReason


@attrs.frozen(slots=True)
class GroupChanged:
    """Actors joined a process group, or left it; one that joined twice is there twice.

    Attributes:
        group: the group's name.
        joined: who joined.
        left: who left, or died, or is out of reach.
    """

    group: str
    joined: tuple[Ref[Any], ...] = ()
    left: tuple[Ref[Any], ...] = ()


Notice = NodeUp | NodeLost | GroupChanged
