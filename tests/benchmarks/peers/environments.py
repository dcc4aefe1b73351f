"""Where peers run: throwaway virtual environments made on demand, and a compiled Erlang module."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.rounds import Absent

CACHE_VARIABLE = "ACTORKIT_BENCH_CACHE"
DEFAULT_CACHE = Path("~/.cache/actorkit-bench")
INSTALL_LIMIT = 300.0
COMPLETE = ".complete"


def cache_directory() -> Path:
    """Where environments are kept between runs; removing it is always safe."""
    return Path(os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE).expanduser()


@functools.cache
def python_with(requirement: str) -> str:
    """The interpreter of an environment that has the pinned requirement, made if it is missing."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    place = cache_directory() / f"{requirement.replace('==', '-')}-py{version}"
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (place / COMPLETE).exists():
        shutil.rmtree(place, ignore_errors=True)
        _install([sys.executable, "-m", "venv", str(place)], requirement)
        _install([str(python), "-m", "pip", "install", "--quiet", requirement], requirement)
        (place / COMPLETE).touch()
    return str(python)


def _install(command: list[str], requirement: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_LIMIT)
    except subprocess.TimeoutExpired:
        raise Absent(f"{requirement} did not install in {INSTALL_LIMIT:.0f} s") from None
    except subprocess.CalledProcessError as failed:
        said = (failed.stderr or failed.stdout or "no word why").strip().splitlines()
        raise Absent(f"{requirement} did not install: {said[-1]}") from None
    except OSError as failed:
        raise Absent(f"{requirement} did not install: {failed}") from None


@functools.cache
def compiled_erlang(*modules: str) -> str:
    """A directory with the compiled modules; interpreted, they would be several times slower."""
    if shutil.which("erl") is None or shutil.which("erlc") is None:
        raise Absent("erl and erlc are not on PATH (on Debian: apt-get install erlang-base)")
    beams = _scratch_directory()
    sources = [str(Path(__file__).with_name(f"{module}.erl")) for module in modules]
    done = subprocess.run(
        ["erlc", "-Wall", "-o", beams, *sources], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Absent(f"erlc refused its work: {done.stdout.strip() or done.stderr.strip()}")
    return beams


def free_port() -> int:
    """A port that nobody listened at a moment ago."""
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port: int = finder.getsockname()[1]
        return port


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="actorkit-bench-")


def _scratch_directory() -> str:
    # Kept by the cache of _scratch until the interpreter ends, which then removes it.
    return _scratch().name
