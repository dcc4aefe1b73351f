"""One sample is one fresh process that prints one JSON line: its own heap, its own hash seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.registry import Side

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_LIMIT = 60.0
QUOTED_LINES = 12


class SampleFailed(Exception):
    """The process that should have printed a sample did not, with what it said instead."""


class Unsupported(Exception):
    """The process answered that it has no such work."""


def worker(name: str, side: Side, size: int) -> float:
    """A sample of actorkit or of the floor, in a process of its own."""
    module = "tests.benchmarks.worker"
    return sample([sys.executable, "-m", module, name, side, str(size)])


def sample(command: Sequence[str], extra_environment: Mapping[str, str] | None = None) -> float:
    """Run the command and return the value of the last line it printed."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **(extra_environment or {})},
            capture_output=True,
            text=True,
            timeout=SAMPLE_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SampleFailed(f"no sample within {SAMPLE_LIMIT:.0f} s: {' '.join(command)}") from None
    if done.returncode != 0:
        raise SampleFailed(f"exit status {done.returncode}\n{_tail(done.stderr or done.stdout)}")
    return read_sample(done.stdout)


def read_sample(printed: str) -> float:
    """The value in the last line printed: {"value": 1.5}, or {"unsupported": "why"}."""
    lines = printed.strip().splitlines()
    try:
        told = json.loads(lines[-1])
    except (IndexError, ValueError):
        raise SampleFailed(f"no JSON line in:\n{_tail(printed)}") from None
    match told:
        case {"value": int() | float() as value}:
            return float(value)
        case {"unsupported": why}:
            raise Unsupported(str(why))
        case _:
            raise SampleFailed(f"neither a value nor a reason in {told!r}")


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-QUOTED_LINES:])
