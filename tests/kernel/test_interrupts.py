"""Ctrl-C, in a process of its own: the program ends soon, with KeyboardInterrupt, and its actors stop in order."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.lowlevel import currently_ki_protected

import actorkit as ak
from actorkit.kernel.timekeeping import Clock
from tests.harness import puppet

PROGRAM = Path(__file__).with_name("interrupted.py")
ROOT = PROGRAM.parents[2]


@ak.message
class Go:
    """Begin."""


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


@contextmanager
def program(doing: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program until it says that it is ready; it does not outlive the test."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.kernel.interrupted", doing],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    "doing",
    [
        "idle",
        "parked",
        "on trio",
        "looping",
        "looping in a nursery",
        "looping in the background",
        "sending",
    ],
)
def test_ctrl_c_ends_the_program_in_order(doing: str) -> None:
    """Whatever the actors are doing: the others' ``stopping`` hooks run, youngest first, and the interrupt comes out."""
    with program(doing) as process:
        process.send_signal(signal.SIGINT)
        said, error = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert error.rstrip().endswith("KeyboardInterrupt")
    stopped = [line for line in said.splitlines() if line.startswith("stopping")]
    others = [line for line in stopped if "/busy" not in line]
    if doing == "sending" and others[0] == "stopping /first crashed (KeyboardInterrupt)":
        others = [*others[1:], "stopping /first shutdown"]  # it was handling what it had been sent
    assert others == ["stopping /last shutdown", "stopping /first shutdown"]
    assert len(stopped) == 2 + (doing != "looping in the background")


def test_a_second_ctrl_c_does_not_wait() -> None:
    """An actor that does not want to end holds the first one up, never the second."""
    with program("clinging") as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "clinging\n"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=4)  # its shutdown limit is 5 s
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in error


async def test_user_code_is_open_and_the_kernel_is_closed(
    system: ak.System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may strike in a handler or hook, its own tasks included; never between two steps of the kernel."""
    seen: dict[str, bool] = {}

    def look(place: str) -> None:
        seen[place] = currently_ki_protected()

    class Curious(ak.Actor[Go]):
        def __init__(self) -> None:
            look("constructor")

        def started(self) -> None:
            look("started")

        @ak.on(Go)
        async def go(self, msg: Go) -> None:
            look("handler")
            await trio.lowlevel.checkpoint()
            look("handler on trio")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.task, "task")
            self.ctx.start_soon(self.task, "background")
            await self.ctx.sleep(1)
            look("handler that was parked")

        async def task(self, place: str) -> None:
            look(place)

        def stopping(self, reason: ak.ExitReason) -> None:
            look("stopping")

    stamp = Clock.stamp

    def looking_stamp(clock: Clock) -> None:
        look("carrier")
        stamp(clock)

    monkeypatch.setattr(Clock, "stamp", looking_stamp)
    system.events.subscribe(lambda _: look("observer"), ak.Stopped)
    ref = await system.spawn(ak.props(Curious))
    ref.tell(Go())
    await trio.sleep(2)
    await (await puppet(system)).do(lambda _: ref.stop())
    closed = {place for place, protected in seen.items() if protected}
    assert closed == {"carrier", "observer"}
    assert len(seen) == 10
