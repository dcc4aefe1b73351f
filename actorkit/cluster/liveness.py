"""Whether a connection still lives: when to send a tick over it, and when silence means that it is dead.

The rule is OTP's (``net_ticktime`` and ``net_tickintensity``; otp-semantics 10.4). Any traffic counts, in both directions:

* Nothing was sent for ``ticktime / intensity``: a tick is due.
* Nothing was heard for ``ticktime``: the connection is down. A healthy peer with nothing to say ticks ``intensity`` times
  in that time, so a peer that falls silent is found out within ``ticktime`` give or take one interval.

A process that was itself paused (a laptop's lid, SIGSTOP, a hog of the CPU) wakes up to a long silence that says nothing of
its peers: what they sent waits unread. It notices that it is called later than it had asked for, and gives each peer one
more interval, once per silence. All nodes of a cluster must agree on ``ticktime``.
"""

from __future__ import annotations

from enum import Enum


class Pulse(Enum):
    """What the silence on a connection calls for."""

    TICK = "send a tick"
    DOWN = "the peer is silent: drop the connection"


class Liveness:
    """The clock of one connection.

    Args:
        ticktime: seconds of silence after which the connection is down.
        intensity: ticks that an idle peer sends in that time, 4 to 1000.
        now: when the connection came up.

    Raises:
        ValueError: no ticktime above 0, or an intensity out of range.
    """

    __slots__ = ("_grace", "_heard", "_interval", "_promised", "_spoke", "_ticktime")

    def __init__(self, ticktime: float = 60.0, intensity: int = 4, now: float = 0.0) -> None:
        if not 0 < ticktime < float("inf"):
            raise ValueError(f"ticktime is a number of seconds above 0, got {ticktime!r}")
        if not 4 <= intensity <= 1000:
            raise ValueError(f"intensity is 4 to 1000 ticks per ticktime, got {intensity!r}")
        self._ticktime = ticktime
        self._interval = ticktime / intensity
        self._heard = self._spoke = now
        self._grace: float | None = None  # until when this silence is forgiven, if it ever was
        self._promised = self.next(now)

    def heard(self, now: float) -> None:
        """Something has arrived."""
        self._heard = now
        self._grace = None

    def spoke(self, now: float) -> None:
        """Something was sent."""
        self._spoke = now

    def next(self, now: float) -> float:
        """When to call ``due`` again; in the past if that moment was missed."""
        down = self._heard + self._ticktime
        if self._grace is not None:
            down = max(down, self._grace)
        self._promised = min(down, self._spoke + self._interval)
        return self._promised

    def due(self, now: float) -> Pulse | None:
        """What is to be done now, if anything; a tick counts as sent, so that a full outbox is not asked for it in a loop."""
        silent = now >= self._heard + self._ticktime
        if silent and self._grace is None and now - self._promised > self._interval:
            self._grace = now + self._interval
        if silent and (self._grace is None or now >= self._grace):
            return Pulse.DOWN
        if now >= self._spoke + self._interval:
            self._spoke = now
            return Pulse.TICK
        return None
