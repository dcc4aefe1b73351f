"""``actorkit replay``: a failing run, seen again in another process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from actorkit.cli import main
from actorkit.testing.simulation.plan import Plan

LOST_UPDATE = """
import actorkit as ak
from actorkit.testing import Sim, simulate


@ak.message(name="replay-test.Read")
class Read(ak.Request[int]): ...


@ak.message(name="replay-test.Write")
class Write(ak.Request[None]):
    value: int


class Counter(ak.Actor[Read | Write]):
    def __init__(self) -> None:
        self.value = 0

    @ak.on(Read)
    def read(self, msg: Read) -> int:
        return self.value

    @ak.on(Write)
    def write(self, msg: Write) -> None:
        self.value = msg.value


@simulate(examples=200, strategy="random", seed=1)
async def test_counts(sim: Sim) -> None:
    counter = await sim.spawn(Counter)

    async def slow(i: int) -> None:
        for _ in range(i):
            await sim.spawn(Counter)
        await counter.ask(Write(await counter.ask(Read()) + 1))

    await sim.each(2, slow)
    assert sim.state(counter)["value"] == 2
"""


RESTS = """
from actorkit.testing import Sim, simulate

@simulate()
async def test_rest(sim: Sim) -> None: ...
"""


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a module of ours in a new process."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """A directory with a test that fails in some schedules."""
    (tmp_path / "test_counter.py").write_text(LOST_UPDATE, "utf-8")
    return tmp_path


def test_a_token_brings_the_failure_back_in_a_new_process(bank: Path) -> None:
    """The line that a failure prints under "Replay", run as it stands, shows the same failure and the same chart."""
    failed = run("pytest", "-q", "-p", "no:cacheprovider", "test_counter.py", cwd=bank)
    assert failed.returncode == 1, failed.stdout
    line = re.search(r"Replay: actorkit (replay ak1:\S+ \S+)", failed.stdout)
    assert line is not None, failed.stdout

    again = run("actorkit.cli", *line[1].split(), cwd=bank)
    assert again.returncode == 1
    assert "Found by a replay" in again.stdout
    chart = re.search(r"(?s)reordering.*?Replay", failed.stdout)
    assert chart is not None
    assert chart[0] in again.stdout


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["replay", "ak1:zzzz", "x.py::test"], "not a replay token"),
        (["replay", "nonsense", "x.py::test"], "begins with 'ak1:'"),
        (["replay", "ak1:QQzR9wAA", "nowhere.py::test"], ""),
        (["replay", "ak1:QQzR9wAA", "nowhere.py"], ""),
    ],
)
def test_wrong_arguments_are_named(
    argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged token, or a test that is not there, ends with one line that says so, and exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert "Traceback" not in said


@pytest.mark.parametrize("settings", ["", "filterwarnings = error"])
def test_no_warning_of_pytests_gets_in_the_way(bank: Path, settings: str) -> None:
    """It complains of modules that were imported before it; with warnings as errors it would not even start."""
    (bank / "pytest.ini").write_text(f"[pytest]\n{settings}\n", "utf-8")
    (bank / "test_rest.py").write_text(RESTS, "utf-8")
    replayed = run("actorkit.cli", "replay", Plan().token(), "test_rest.py::test_rest", cwd=bank)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert "warning" not in replayed.stdout


def test_a_test_without_simulation_is_turned_away(bank: Path) -> None:
    """It would take no notice of the token, and pass."""
    (bank / "test_plain.py").write_text("def test_plain(): pass\n", "utf-8")
    refused = run("actorkit.cli", "replay", Plan().token(), "test_plain.py::test_plain", cwd=bank)
    assert refused.returncode == 2
    assert "test_plain.py::test_plain is no simulated test" in refused.stdout + refused.stderr
