"""What the exit codes of the command line mean."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; signals count from 128, as shells do."""

    GOOD = 0
    BAD = 1
    MISUSED = 2
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141
    TERMINATED = 143
