"""Running a script as its reader would: a fresh interpreter, warnings as errors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

Runs = Mapping[Path, Future[subprocess.CompletedProcess[str]]]

LIMIT = 60.0  # seconds; the examples themselves take one or two


def run_script(script: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The finished run of one script."""
    return subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT,
        check=False,
    )


def run_tests(module: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The finished run of a module of tests, as its reader would run it."""
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, module.name],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT,
        check=False,
    )


def first_missing(shown: str, printed: str) -> str | None:
    """The first line of ``shown`` that does not come where it should in ``printed``; ``...`` stands for any lines.

    Margins do not count, nor the mark that pytest puts before the lines of a failure.
    """
    rest = [line.removeprefix("E ").strip() for line in printed.splitlines()]
    anywhere = True
    for line in (line.strip() for line in shown.splitlines() if line.strip()):
        rest = [other for other in rest if other] if not anywhere else rest
        if line == "...":
            anywhere = True
            continue
        if line not in rest or (not anywhere and rest[0] != line):
            return line
        rest = rest[rest.index(line) + 1 :]
        anywhere = False
    return None


def run_all(scripts: Iterable[Path], cwd: Path) -> Runs:
    """Every script's run, as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {script: pool.submit(run_script, script, cwd) for script in scripts}


def printed_by(done: subprocess.CompletedProcess[str]) -> str:
    """What a run printed; a run that failed fails the test with what it said."""
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def selected(request: pytest.FixtureRequest, parameter: str) -> list[Any]:
    """The values of a parameter that this session will really test in this module."""
    return [
        item.callspec.params[parameter]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and parameter in item.fixturenames
    ]
