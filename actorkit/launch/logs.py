"""The logs of several processes, merged line by line: who said it, how it looks, and what a slow terminal misses.

A child writes structured records to stderr as JSON, a line each; whatever else it writes there, or to stdout, is passed on as
it is. A terminal that does not keep up costs lines, which are counted and told, and never a node's time.
"""

from __future__ import annotations

import errno
import json
import os
import select
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

import trio

LINE_BYTES = 64 * 1024  # a longer line is told in pieces
WAITING_CHARS = 4 * 1024 * 1024  # what may wait for a slow reader
_BATCH_CHARS = 64 * 1024
_LAST_WORDS = 1.0  # seconds the reader has for what waits at the end

_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_PALETTE = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
_LEVELS = {"warning": "33", "error": "31", "critical": "31;1", "exception": "31"}
# What a record says of itself, and is shown in front; the rest is shown as name=value.
_SHOWN_FIRST = ("event", "level", "timestamp", "exception")

Write = Callable[[str], object]


class LineSplitter:
    """Bytes in, whole lines out."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that end in ``data``; a line that is longer than any should be comes in pieces."""
        *whole, rest = (self._rest + data).split(b"\n")
        while len(rest) > LINE_BYTES:
            whole.append(rest[:LINE_BYTES])
            rest = rest[LINE_BYTES:]
        self._rest = rest
        return [_decoded(line) for line in whole]

    def flush(self) -> list[str]:
        """The last line, if it has no end."""
        rest, self._rest = self._rest, b""
        return [_decoded(rest)] if rest else []


def _decoded(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "backslashreplace")


def visible(text: str) -> str:
    """Text without the power to move a terminal's cursor or to change its colours; tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape", "replace").decode("ascii")
        for c in text
    )


# How a line looks ----------------------------------------------------------------------------------------------------


class Layout:
    """Puts a name before each line, in a colour of its own if there are colours.

    Args:
        names: of those who will speak, which get their colours in this order.
        colour: whether to use colours at all.
    """

    def __init__(self, names: Sequence[str], *, colour: bool) -> None:
        self._width = max((len(name) for name in names), default=0)
        self._colours = {
            name: _PALETTE[number % len(_PALETTE)] if colour else ""
            for number, name in enumerate(names)
        }
        self._colour = colour

    def lines(self, name: str, line: str, *, records: bool) -> list[str]:
        """What is shown of one line: several if it is a record with a traceback.

        Args:
            name: who said it.
            line: what was said.
            records: whether it may be a record in JSON.
        """
        record = parsed(line) if records else None
        said = [visible(line)] if record is None else list(self._record(record))
        head = self._painted(f"{name:>{self._width}}", self._colours.get(name, ""))
        bar = self._painted("|", "2")
        return [f"{head} {bar} {text}".rstrip(" ") for text in said]

    def note(self, text: str) -> str:
        """A line of whoever launched them all."""
        head = f"{'*':>{self._width}}"
        return self._painted(f"{head} | {visible(text)}", "1")

    def _record(self, record: Mapping[str, Any]) -> Iterator[str]:
        level = str(record["level"])
        fields = [
            f"{name}={_shown(value)}" for name, value in record.items() if name not in _SHOWN_FIRST
        ]
        event = visible(str(record["event"]))
        mark = self._painted(f"{level:<8}", _LEVELS.get(level, "2"))
        yield "  ".join([f"{_clock(record.get('timestamp'))}{mark}{event}", *fields])
        for line in str(record.get("exception") or "").splitlines():
            yield f"  {visible(line)}"

    def _painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}{_RESET}" if self._colour and colour else text


def parsed(line: str) -> Mapping[str, Any] | None:
    """The record that a line holds; None if it is something else."""
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and {"event", "level"} <= record.keys() else None


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return visible(text) if text and " " not in text else json.dumps(text, ensure_ascii=False)


def _clock(timestamp: object) -> str:
    try:
        moment = datetime.fromisoformat(str(timestamp))
    except ValueError:
        return ""
    return moment.astimezone().strftime("%H:%M:%S ")


# Where the lines go ---------------------------------------------------------------------------------------------------


class Merger:
    """Takes lines from everybody at once, and writes them at the pace of whoever reads.

    Args:
        write: writes some lines, and may take as long as it likes; it is called in a thread.
        limit: how many characters may wait.
    """

    def __init__(self, write: Write, *, limit: int = WAITING_CHARS) -> None:
        self._write = write
        self._limit = limit
        self._lines: deque[str] = deque()
        self._waiting = 0
        self._dropped = 0
        self._more = trio.Event()
        self._closing = trio.Event()

    def put(self, line: str) -> None:
        """Take a line; it is dropped and counted if too much waits already."""
        if self._waiting + len(line) > self._limit:
            self._dropped += 1
        else:
            self._tell_of_drops()
            self._append(line)
        self._more.set()

    def close(self) -> None:
        """No more lines will come; ``run`` ends when those that wait are written."""
        self._closing.set()
        self._more.set()

    async def run(self) -> None:
        """Write until ``close``; then the reader has a moment for what still waits.

        Raises:
            OSError: nobody reads any more.
        """
        failure: OSError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hurry, nursery.cancel_scope)
            try:
                while batch := await self._next():
                    # An abandoned write goes on in its thread; it can keep nothing but that thread.
                    await trio.to_thread.run_sync(self._write, batch, abandon_on_cancel=True)
            except OSError as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _hurry(self, writing: trio.CancelScope) -> None:
        await self._closing.wait()
        writing.deadline = trio.current_time() + _LAST_WORDS

    async def _next(self) -> str:
        """Some lines; empty at the end."""
        while not self._lines and not self._dropped:
            if self._closing.is_set():
                return ""
            self._more = trio.Event()
            await self._more.wait()
        if not self._lines:
            self._tell_of_drops()
        return self._batch()

    def _batch(self) -> str:
        taken: list[str] = []
        size = 0
        while self._lines and size < _BATCH_CHARS:
            line = self._lines.popleft()
            taken.append(line)
            size += len(line)
        self._waiting -= size
        return "".join(f"{line}\n" for line in taken)

    def _append(self, line: str) -> None:
        self._lines.append(line)
        self._waiting += len(line)

    def _tell_of_drops(self) -> None:
        """At the place where they are missing."""
        if self._dropped:
            count, self._dropped = self._dropped, 0
            were = "line was" if count == 1 else "lines were"
            self._append(f"... {count:,} {were} dropped here: they are read too slowly")


def writer_to(stream: TextIO) -> Write:
    """A function that writes text to a stream, straight to its descriptor if it has one.

    A thread that hangs in a stream's own ``write`` would hold its lock, and with it the end of the program.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):  # a notebook's, or a test's
        return lambda text: _write_and_flush(stream, text)
    encoding = stream.encoding or "utf-8"
    return lambda text: _write_all(descriptor, text.encode(encoding, "backslashreplace"))


def _write_and_flush(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # somebody has made the terminal non-blocking
            select.select([], [descriptor], [])
        except OSError as error:
            if error.errno != errno.EINTR:
                raise


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows colours, and nobody has asked for none (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def standard_error() -> TextIO:
    """Where logs go unless told otherwise: looked up when it is wanted, for tests and notebooks replace it."""
    return sys.stderr
