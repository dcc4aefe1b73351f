"""The command line as people use it: arguments, exit codes, plain and live output, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from actorkit.cli import main
from actorkit.cli.codes import ExitCode

PROGRAM = [sys.executable, "-W", "error", "-m", "actorkit.cli"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A small directory to study."""
    root = tmp_path / "text"
    root.mkdir()
    for number in range(4):
        (root / f"m{number}.py").write_text(f"def f{number}(x):\n    return x\n", "utf-8")
    return root


def _start(*arguments: str | Path, cwd: Path, **options: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        cwd=cwd,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        stdout=options.get("stdout", subprocess.PIPE),
        stderr=options.get("stderr", subprocess.PIPE),
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "nowhere"], "cannot study nowhere: No such file or directory"),
        (["demo", "empty"], "cannot study empty: it holds no text"),
        (["demo", "picture.png"], "cannot study picture.png: only .md,"),
        (["demo", "--kills", "-1"], "kills is a number from 0 to 10,000, got '-1'"),
        (["demo", "--kills", "many"], "kills is a number from 0 to 10,000, got 'many'"),
        (["demo", "--seed", "x"], "--seed"),
        (["demo", "text", "--report", "picture.png"], "cannot write a report to picture.png"),
        (["demo", "text", "--report", "picture.png/out"], "cannot write a report to"),
        (["demo", "one", "two"], "unrecognized arguments: two"),
        (["dance"], "invalid choice: 'dance'"),
        ([], "COMMAND"),
        (["demo", "no\x1b[2Jwhere"], "no\\x1b[2Jwhere"),
    ],
)
def test_a_wrong_argument_is_said_in_one_line(
    text: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    """Exit code 2, and one line on stderr that names what is wrong; nothing is studied."""
    monkeypatch.chdir(text.parent)
    (text.parent / "empty").mkdir()
    (text.parent / "picture.png").write_bytes(b"")
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else -1
    written = capsys.readouterr()
    assert code == ExitCode.MISUSED
    assert written.out == ""
    assert written.err.startswith("actorkit")
    assert said in written.err
    assert written.err.count("\n") == 1


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` prints the installed version."""
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"actorkit {version('actorkit')}\n"


def test_help_tells_every_argument(capsys: pytest.CaptureFixture[str]) -> None:
    """``demo --help`` explains what can be given, and what the exit codes mean."""
    with pytest.raises(SystemExit) as end:
        main(["demo", "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    for argument in ("PATH", "--kills", "--seed", "--report", "--plain", "exit code is 0"):
        assert argument in told.replace("\n", " ")


def test_a_good_run_ends_with_a_good_verdict(text: Path) -> None:
    """Plain lines where there is no terminal, the report where it was wanted, exit code 0, nothing on stderr."""
    program = _start(
        "demo", text, "--kills", "5", "--seed", "7", "--report", "out", cwd=text.parent
    )
    out, err = program.communicate(timeout=60)
    assert (program.returncode, err) == (ExitCode.GOOD, "")
    lines = out.splitlines()
    assert lines[0] == f"Studying {text} with 5 kills to come, seed 7."
    assert "Verdict: good" in lines
    assert "\x1b" not in out
    assert {path.name for path in (text.parent / "out").iterdir()} == {"report.md", "report.html"}
    assert lines[-1].endswith("out/report.md, out/report.html")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
def test_a_signal_ends_it_in_good_order(text: Path, number: signal.Signals, code: ExitCode) -> None:
    """Everybody is stopped, a line says so, there is no traceback, and the exit code tells the signal."""
    program = _start("demo", text, "--kills", "2000", cwd=text.parent)
    assert program.stdout is not None
    assert program.stdout.readline().startswith("Studying")
    assert " done " in program.stdout.readline()
    program.send_signal(number)
    out, err = program.communicate(timeout=30)
    assert program.returncode == code
    assert out.splitlines()[-1].startswith("Interrupted")
    assert "Verdict" not in out
    assert err == ""


def test_a_reader_that_goes_away_ends_it(text: Path) -> None:
    """With nobody to read its lines it ends, without a traceback."""
    program = _start("demo", text, "--kills", "2000", cwd=text.parent)
    assert program.stdout is not None
    program.stdout.readline()
    program.stdout.close()
    assert program.stderr is not None
    with program.stderr as errors:
        assert errors.read() == ""
    assert program.wait(timeout=30) == ExitCode.OUTPUT_CLOSED


def _read_all(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux says so when the last writer has closed it
            return
        if not data:
            return
        yield data


@pytest.mark.parametrize("interrupt", [False, True], ids=["to the end", "interrupted"])
def test_on_a_terminal_the_tree_is_drawn_live(text: Path, *, interrupt: bool) -> None:
    """Frames with the tree are drawn in place, and the terminal is left with its cursor, also after Ctrl-C."""
    ours, theirs = os.openpty()
    environment = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    kills = "2000" if interrupt else "5"
    program = subprocess.Popen(
        [*PROGRAM, "demo", str(text), "--kills", kills],
        cwd=text.parent,
        env={**os.environ, **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    sent = False
    for data in _read_all(ours):
        seen += data
        if interrupt and not sent and seen.count(b"analysis") > 3:
            program.send_signal(signal.SIGINT)
            sent = True
    os.close(ours)
    code = program.wait(timeout=30)
    shown = seen.decode("utf-8")
    assert code == (ExitCode.INTERRUPTED if interrupt else ExitCode.GOOD), shown[-2000:]
    assert "the crew at work" in shown
    assert "reader-4" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") > 0
    assert ("Interrupted" in shown) is interrupt
    assert ("Verdict: good" in shown) is not interrupt
