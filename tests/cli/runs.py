"""A run for the tests of the command line: ``actorkit up`` in another process, and what it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.launched import gone

PROGRAM = [sys.executable, "-W", "error", "-m", "actorkit.cli"]
TIMEOUT = 60

SHOP = """
import actorkit as ak

@ak.message(name="shop-test.Ping")
class Ping(ak.Request[str]): ...

class Till(ak.Actor[Ping]):
    def __init__(self, name):
        self.name = name

    @ak.on(Ping)
    def ping(self, msg: Ping) -> str:
        return f"pong from {self.name}"

TILL = ak.Key("till")

async def main(node):
    till = ak.Child("till", ak.props(Till, node.name), name=TILL)
    await node.start(ak.supervise(till), name="shop")
    if node.name == "a":
        await node.spawn(ak.props(Till, "only here"), name="only")
    print("open for business")
"""


class Up:
    """``actorkit up`` at work."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.said = ""
        self.program = subprocess.Popen(
            [*PROGRAM, "up", *arguments],
            cwd=directory,
            env=environment(directory),
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait_for(self, pattern: str, times: int = 1) -> None:
        """Read on until it has said something so often."""
        assert self.program.stdout is not None
        while len(re.findall(pattern, self.said)) < times:
            line = self.program.stdout.readline()
            assert line, f"it never said {pattern!r}:\n{self.said}{self.program.communicate()[1]}"
            self.said += line

    @property
    def pids(self) -> list[int]:
        """The processes of its nodes, those that have ended included."""
        return [int(pid) for pid in re.findall(r"is up at \S+, pid (\d+)", self.said)]

    def pid(self, node: str) -> int:
        """The process that a node is in."""
        return int(re.findall(rf"node {node} is up at \S+, pid (\d+)", self.said)[-1])

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Send it a signal, and wait for its end; its exit code, and what it said on stderr."""
        self.program.send_signal(number)
        out, err = self.program.communicate(timeout=TIMEOUT)
        self.said += out
        return self.program.returncode, err


def environment(directory: Path) -> dict[str, str]:
    """An environment in which runs are told of in a directory of the test's own."""
    return {**os.environ, "XDG_RUNTIME_DIR": str(directory), "XDG_CONFIG_HOME": str(directory)}


@contextmanager
def up(directory: Path, *arguments: str, app: str = SHOP) -> Iterator[Up]:
    """A run, which leaves no process behind."""
    (directory / "shop.py").write_text(app, "utf-8")
    running = Up(directory, *arguments)
    try:
        yield running
    finally:
        if running.program.poll() is None:
            running.end()
        assert gone(running.pids)
        for pipe in (running.program.stdout, running.program.stderr):
            if pipe is not None:
                pipe.close()


def actorkit(
    directory: Path, *arguments: str, given: str = "", timeout: float = TIMEOUT
) -> subprocess.CompletedProcess[str]:
    """Run another command, beside the run."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=directory,
        env=environment(directory),
        text=True,
        encoding="utf-8",
        input=given,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
