"""What a node tells observers of its connections."""

from __future__ import annotations

from typing import Any

import attrs

from actorkit.kernel.events import Progress, Report
from actorkit.kernel.notices import LostReason, NodeLost, NodeUp


@attrs.frozen(slots=True)
class NodeEvent(Progress):
    """A node came up, or is lost, as actors that monitor nodes are told."""

    notice: NodeUp | NodeLost

    def as_log(self) -> tuple[str, str, dict[str, Any]]:
        """How the event is logged."""
        notice = self.notice
        if isinstance(notice, NodeUp):
            return "info", "node up", {"node": notice.node}
        return "info", "node lost", {"node": notice.node, "reason": str(notice.reason)}


@attrs.frozen(slots=True)
class ConnectionLost(Report):
    """A connection that was up is gone.

    Attributes:
        node: whom it led to.
        reason: why.
        unsent: bytes that waited to be sent over it, and never were.
    """

    node: str
    reason: str
    unsent: int

    def as_log(self) -> tuple[str, str, dict[str, Any]]:
        """How the event is logged."""
        fields = {"node": self.node, "reason": self.reason, "unsent_bytes": self.unsent}
        orderly = self.reason in (LostReason.CLOSED, LostReason.DISCONNECT) and not self.unsent
        return "info" if orderly else "warning", "connection lost", fields


@attrs.frozen(slots=True)
class ConnectionFailed(Report):
    """A connection came to nothing, or was closed because the peer broke the protocol.

    Attributes:
        node: whom it led to, if that is known.
        address: where that is, or whoever dialled comes from; empty if it was up.
        reason: why, in words.
    """

    node: str
    address: str
    reason: str

    def as_log(self) -> tuple[str, str, dict[str, Any]]:
        """How the event is logged."""
        named = {"node": self.node} if self.node else {}
        placed = {"address": self.address} if self.address else {}
        return "warning", "connection failed", {**named, **placed, "reason": self.reason}
