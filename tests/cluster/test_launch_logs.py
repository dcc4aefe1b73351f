"""Logs of several processes, merged: nothing is lost but what is counted, and nobody waits for a slow reader."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actorkit.launch.cluster import prepare_launch
from actorkit.launch.logs import (
    LINE_BYTES,
    Layout,
    LineSplitter,
    Merger,
    visible,
    wants_colour,
    writer_to,
)
from tests.cluster.launched import TIMEOUT, Lines, file_of, gone, probes


@given(
    st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b and b"\r" not in b)), st.data()
)
def test_lines_come_out_as_they_went_in_however_they_are_cut(
    lines: list[bytes], data: st.DataObject
) -> None:
    """A pipe hands bytes over in pieces of any size."""
    sent = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter()
    got: list[str] = []
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        got += splitter.feed(sent[:size])
        sent = sent[size:]
    assert got == [line.decode("utf-8", "backslashreplace") for line in lines]
    assert splitter.flush() == []


def test_a_line_without_an_end_is_told_at_the_end() -> None:
    """The last words of a process that died in the midst of them."""
    splitter = LineSplitter()
    assert splitter.feed(b"one\r\ntw") == ["one"]
    assert splitter.flush() == ["tw"]


def test_an_endless_line_is_told_in_pieces() -> None:
    """What is held of it is bounded, and nothing of it is lost."""
    splitter = LineSplitter()
    pieces = splitter.feed(b"x" * (3 * LINE_BYTES + 5))
    assert [len(piece) for piece in pieces] == [LINE_BYTES] * 3
    assert splitter.flush() == ["x" * 5]


def test_a_record_is_shown_with_its_fields() -> None:
    """Who, when, how bad, what; then its fields, and its traceback on lines of its own."""
    record = {
        "event": "actor crashed",
        "level": "error",
        "timestamp": "2024-05-01T10:00:00Z",
        "path": "/bank",
        "count": 3,
        "why": "no luck",
        "exception": "Traceback:\n  boom",
    }
    first, *rest = Layout(["a", "bank"], colour=False).lines("a", json.dumps(record), records=True)
    assert first.startswith("   a | ")
    assert first.endswith(':00 error   actor crashed  path=/bank  count=3  why="no luck"')
    assert rest == ["   a |   Traceback:", "   a |     boom"]


@pytest.mark.parametrize(
    "line", ["plain", "{", '{"event": 1}', "[1]", '{"event": "x", "level": "info"', "{" * 20_000]
)
def test_what_is_no_record_is_passed_on(line: str) -> None:
    """Whatever it looks like; also a record on stdout, which is the program's own output."""
    layout = Layout(["a"], colour=False)
    assert layout.lines("a", line, records=True) == [f"a | {line}"]
    record = '{"event": "x", "level": "info"}'
    assert layout.lines("a", record, records=False) == [f"a | {record}"]


def test_names_have_colours_if_there_are_any() -> None:
    """Each its own; without colours there is no escape sequence at all."""
    coloured = Layout(["a", "b"], colour=True)
    one, other = (coloured.lines(name, "x", records=False)[0] for name in ("a", "b"))
    assert one.partition("a")[0] != other.partition("b")[0]
    assert "\x1b" in coloured.note("x")
    plain = Layout(["a"], colour=False)
    assert "\x1b" not in plain.note("x") + plain.lines("a", "\x1b[2Jx", records=False)[0]


@given(st.text())
def test_no_text_moves_the_cursor(text: str) -> None:
    """Nothing but what can be seen, and tabs."""
    assert all(char.isprintable() or char == "\t" for char in visible(text))


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """As https://no-color.org asks for; and a pipe is no terminal."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours, "rb"):
        assert wants_colour(terminal)
        monkeypatch.setenv("NO_COLOR", "1")
        assert not wants_colour(terminal)
    assert not wants_colour(io.StringIO())


# The reader ---------------------------------------------------------------------------------------------------------


async def test_a_slow_reader_costs_lines_and_is_told_how_many() -> None:
    """Whoever writes never waits; what is dropped is counted, and told where it is missing."""
    let_go = threading.Event()
    got: list[str] = []

    def write(text: str) -> None:
        let_go.wait(TIMEOUT)
        got.append(text)

    merger = Merger(write, limit=100)
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(merger.run)
            for number in range(50):
                merger.put(f"line {number:4}")  # nine characters
            let_go.set()
            await trio.testing.wait_all_tasks_blocked()
            merger.put("the end")
            merger.close()
    lines = "".join(got).splitlines()
    assert lines[:11] == [f"line {number:4}" for number in range(11)]
    assert "... 39 lines were dropped here: they are read too slowly" in lines
    assert lines[-1] == "the end"


async def test_a_reader_that_never_reads_keeps_nobody() -> None:
    """At the end it has a moment, and no more."""
    let_go = threading.Event()
    merger = Merger(lambda _: bool(let_go.wait(TIMEOUT)))
    try:
        with trio.fail_after(TIMEOUT / 2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(merger.run)
                merger.put("never read")
                await trio.testing.wait_all_tasks_blocked()
                merger.close()
    finally:
        let_go.set()


def test_a_descriptor_is_written_to_the_end() -> None:
    """Also if somebody has made it non-blocking, and it is full for a while."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    text = "x" * 300_000
    with os.fdopen(theirs, "w") as stream:
        writing = threading.Thread(target=writer_to(stream), args=(text,))
        writing.start()
        got = b""
        while len(got) < len(text):
            got += os.read(ours, 65536)
        writing.join()
    os.close(ours)
    assert got.decode() == text


def test_a_stream_without_a_descriptor_is_written_to() -> None:
    """A notebook's, for one."""
    stream = io.StringIO()
    writer_to(stream)("a line\n")
    assert stream.getvalue() == "a line\n"


async def test_a_launch_whose_reader_goes_away_ends() -> None:
    """With the error that says so; nobody wants to see what is nowhere to be seen."""

    def write(_: str) -> None:
        raise BrokenPipeError

    launch = prepare_launch(probes("a"), write)
    with trio.fail_after(TIMEOUT), pytest.raises(BrokenPipeError):
        async with launch.running():
            await trio.sleep_forever()
    assert launch.nodes["a"].pid is None


# What processes say ---------------------------------------------------------------------------------------------------

TALK = """
import logging, os, sys, structlog, warnings
def main(node):
    print("on stdout")
    print("on stderr", file=sys.stderr)
    os.write(2, b"raw, \\xff, and without an end")
    os.write(2, b"\\n")
    structlog.get_logger().info("structured", number=7)
    structlog.get_logger().debug("too much")
    logging.getLogger("old").warning("of the %s", "library")
    try:
        1 / 0
    except ZeroDivisionError:
        logging.exception("caught")
    print('{"event": "on stdout", "level": "info"}')
    print("done", file=sys.stderr)
    os._exit(3)
"""


async def test_all_that_a_process_says_is_heard(tmp_path: Path) -> None:
    """Its records, its output, and what it wrote to stderr on its own, to its last line."""
    lines = Lines()
    app = file_of(tmp_path, TALK)
    launch = prepare_launch(probes("a", app=app, restart="never"), lines)
    with trio.fail_after(TIMEOUT):
        async with launch.running():
            launch.run_apps()
            assert (await launch.nodes["a"].wait_down()).status == 3
    for said in (
        "a | on stdout\n",
        "a | on stderr\n",
        "a | raw, \\xff, and without an end\n",
        "info    structured  number=7\n",
        "warning of the library  logger=old\n",
        "error   caught  logger=root\n",
        "ZeroDivisionError: division by zero\n",
        'a | {"event": "on stdout", "level": "info"}\n',
        "a | done\n",
    ):
        assert said in lines.text
    assert "too much" not in lines.text
    assert lines.text.index("a | done") < lines.text.index("ended with status 3; not restarted")


async def test_what_a_process_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    """Processes of its own, which hold its output open; one that left its group only keeps it a moment."""
    start = "[p.pid for p in (subprocess.Popen(['sleep', '60']), subprocess.Popen(['sleep', '60'], process_group=0))]"
    holder = f"import subprocess, os\ndef main(node):\n    print({start})\n    os._exit(0)"
    lines = Lines()
    launch = prepare_launch(probes("a", app=file_of(tmp_path, holder)), lines)
    with trio.fail_after(TIMEOUT):
        async with launch.running():
            launch.run_apps()
            assert (await launch.nodes["a"].wait_down()).status == 0
    inside, outside = map(int, lines.text.partition("[")[2].partition("]")[0].split(", "))
    os.kill(outside, signal.SIGKILL)
    assert gone([inside], within=1.0)
