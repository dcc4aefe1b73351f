"""Time. Everything that waits does so on trio's clock; ``Clock`` adds the date, which only records need."""

from __future__ import annotations

import time
from typing import Protocol

import trio


class Clock(Protocol):
    """Two clocks: one to wait by, which never goes back, and one that shows the date."""

    def now(self) -> float:
        """Seconds on the clock that deadlines are measured by: trio's. Its zero means nothing."""
        ...

    def wall(self) -> float:
        """Seconds since 1970 (UTC). People and other machines set it: it may jump, so nothing waits by it."""
        ...


class SystemClock:
    """trio's clock, and the machine's date."""

    __slots__ = ()

    def now(self) -> float:
        """Seconds on trio's clock."""
        return trio.current_time()

    def wall(self) -> float:
        """Seconds since 1970, as the machine has it."""
        return time.time()
