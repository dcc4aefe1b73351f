"""``actorkit demo`` with nodes of its own: what can be asked for, and that signals leave no process."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorkit.cli import main
from actorkit.cli.codes import ExitCode
from tests.cli.runs import PROGRAM, TIMEOUT, environment
from tests.cluster.launched import gone


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A little text."""
    root = tmp_path / "text"
    root.mkdir()
    (root / "a.py").write_text("def f(x: int) -> int:\n    return x\n", "utf-8")
    return root


def _start(text: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, "demo", str(text), "--seed", "1", *arguments],
        cwd=text.parent,
        env=environment(text.parent),
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nodes", "0"], "nodes is a number from 1 to 9, got '0'"),
        (["--nodes", "x"], "nodes is a number from 1 to 9, got 'x'"),
        (["--node-kills", "-1"], "node-kills is a number from 0 to 10,000, got '-1'"),
        (["--nodes", "1", "--node-kills", "1"], "allow --nodes 2 or more"),
    ],
)
def test_what_cannot_be_asked_for(
    text: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong number of nodes, or kills of nodes that there are none of, is one clear line."""
    try:
        code = main(["demo", str(text), "--report", str(text.parent / "out"), *arguments])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else -1
    assert code == ExitCode.MISUSED
    assert said in capsys.readouterr().err


def test_one_node_does_without_processes(text: Path) -> None:
    """With ``--nodes 1`` all is as on several, but for the nodes."""
    out, err = _start(text, "--nodes", "1", "--kills", "5").communicate(timeout=TIMEOUT)
    assert err == ""
    assert "Verdict: good" in out
    assert "worker" not in out


def _lines_until(program: subprocess.Popen[str], pattern: str) -> Iterator[str]:
    assert program.stdout is not None
    for line in program.stdout:
        yield line
        if re.search(pattern, line):
            return
    raise AssertionError(f"it never said {pattern!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_end_leaves_a_process(text: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM, and the sudden end of the demo itself, while nodes are being killed: all processes end."""
    program = _start(text, "--kills", "0", "--node-kills", "500")
    with program:
        said = "".join(_lines_until(program, "restarted as pid"))
        program.send_signal(number)
        assert program.stdout is not None
        assert program.stderr is not None
        said += program.stdout.read()
        assert program.stderr.read() == ""
    assert program.returncode in (ExitCode.INTERRUPTED, ExitCode.TERMINATED, -signal.SIGKILL)
    pids = [int(pid) for pid in re.findall(r"restarted as pid (\d+)", said)]
    assert pids
    assert gone(pids)
    assert ("Interrupted" in said) is (number is not signal.SIGKILL)
