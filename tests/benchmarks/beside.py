"""A second process beside the one that measures: it says a line of JSON when it is ready, and ends when its stdin does.

Peers in environments of their own use it too, so nothing here needs more than the standard library.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN = 10.0


class Other:
    """The other process as the measuring one sees it: lines to its stdin, lines of JSON from its stdout."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def say(self, line: str) -> None:
        """Send it a line."""
        _there(self._process.stdin).write(f"{line}\n")
        _there(self._process.stdin).flush()

    def hear(self) -> Any:
        """What the next line it prints means; blocks until there is one."""
        line = _there(self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"the other process ended early: {self._process.args!r}")
        return json.loads(line)

    def end(self) -> None:
        """Close its stdin and wait; kill it if that does not move it."""
        # What was not flushed cannot be, once it is gone.
        with contextlib.suppress(BrokenPipeError):
            _there(self._process.stdin).close()
        try:
            self._process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _there(self._process.stdout).close()


@contextlib.contextmanager
def beside(module: str, *arguments: str) -> Iterator[Other]:
    """Run a module with this interpreter, in a process of its own, until the block is left."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    other = Other(process)
    try:
        yield other
    finally:
        other.end()


def tell_parent(told: object) -> None:
    """In the other process: one line of JSON for whoever started it."""
    print(json.dumps(told), flush=True)


def told_by_parent() -> str:
    """In the other process: the next line it is sent, without its end; empty when there will be none."""
    return sys.stdin.readline().rstrip("\n")


def _there(pipe: Any) -> Any:
    if pipe is None:
        raise RuntimeError("a process started without pipes has none")
    return pipe
