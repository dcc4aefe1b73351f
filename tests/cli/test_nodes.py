"""``actorkit nodes``: who is up, and how they are."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from actorkit.cli.codes import ExitCode
from actorkit.cli.nodes import for_people, table
from tests.cli.runs import Up, actorkit


def test_each_node_is_a_line(shop: Up) -> None:
    """Name, process, address, and what it says of itself; operators are not counted as nodes."""
    seen = actorkit(shop.directory, "nodes")
    assert (seen.returncode, seen.stderr) == (ExitCode.GOOD, "")
    head, *lines = seen.stdout.splitlines()
    assert head.split()[:5] == ["node", "pid", "address", "state", "uptime"]
    assert [line.split()[:2] for line in lines] == [[name, str(shop.pid(name))] for name in "ab"]
    assert all(" up " in line and "127.0.0.1:" in line for line in lines)


def test_a_node_that_does_not_answer_is_told(shop: Up) -> None:
    """After a moment: one that is stopped still takes connections, and says nothing."""
    os.kill(shop.pid("b"), signal.SIGSTOP)
    seen = actorkit(shop.directory, "nodes", "--run", "shop")
    os.kill(shop.pid("b"), signal.SIGCONT)
    assert seen.returncode == ExitCode.BAD
    assert seen.stdout.count("does not answer") == 1
    assert seen.stdout.count(" up ") == 1


@pytest.mark.parametrize("command", ["nodes", "tree", "attach"])
def test_without_a_run_there_is_nothing_to_see(tmp_path: Path, command: str) -> None:
    """One line says how to start one."""
    tmp_path.chmod(0o700)
    seen = actorkit(tmp_path, command)
    said = f"actorkit {command}: no run is up; start one with `actorkit up APP`\n"
    assert (seen.returncode, seen.stdout, seen.stderr) == (ExitCode.MISUSED, "", said)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3661, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_spans_of_time_are_told_in_two_units(seconds: float, said: str) -> None:
    """Nobody wants to divide."""
    assert for_people(seconds) == said


def test_columns_stand_under_each_other() -> None:
    """As wide as their widest; what cannot be shown is escaped."""
    assert table([("a", "long"), ("xyz", "\x1b")]) == ["a    long", "xyz  \\x1b"]
