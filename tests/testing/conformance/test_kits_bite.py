"""The kits find what they are for: each broken disk and transport fails the law that names its fault."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.testing.conformance import broken_disks, broken_transports

ROOT = Path(__file__).parents[3]
OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED)\s+\S+::Test(\w+)::test_(\w+)", re.M)


@cache
def outcomes(module: str) -> dict[tuple[str, str], set[str]]:
    """What became of every test of every broken thing: (its name, the test's name) to outcomes."""
    path = Path(__file__).parent / f"{module}.py"
    # Others may not set trio_mode.
    options = ["-q", "-rA", "--tb=no", "-p", "no:cacheprovider", "-o", "trio_mode=false"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[tuple[str, str], set[str]] = {}
    for outcome, thing, law in OUTCOME.findall(done.stdout):
        found.setdefault((thing, law), set()).add(outcome)
    assert found, done.stdout + done.stderr
    return found


def failures(module: str, thing: str) -> list[str]:
    """The laws that failed for one broken thing."""
    found = outcomes(module).items()
    return [law for (name, law), results in found if name == thing and results != {"PASSED"}]


@pytest.mark.parametrize("name", [name for name, row in broken_disks.BROKEN.items() if row[2]])
def test_a_broken_disk_is_caught(name: str) -> None:
    """The law that it breaks fails; where a search was made, comparing with the disk in memory fails too."""
    _, _, law, searched = broken_disks.BROKEN[name]
    failed = failures("broken_disks", name)
    assert any(one.startswith(law) for one in failed), failed
    assert ("it_agrees_with_the_disk_in_memory" in failed) is searched


@pytest.mark.parametrize("name", [name for name, row in broken_transports.BROKEN.items() if row[2]])
def test_a_broken_transport_is_caught(name: str) -> None:
    """The law that it breaks fails."""
    failed = failures("broken_transports", name)
    assert any(one.startswith(broken_transports.BROKEN[name][2]) for one in failed), failed


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("broken_disks", "Sound"),
        ("broken_disks", "SoundFault"),
        ("broken_disks", "SoundCrash"),
        ("broken_transports", "Sound"),
    ],
)
def test_what_is_sound_passes(module: str, name: str) -> None:
    """The same kits find no fault with the parts that the broken ones are made of, and leave nothing out."""
    laws = [law for thing, law in outcomes(module) if thing == name]
    assert len(laws) > 6
    assert failures(module, name) == []


def test_the_kits_need_no_hypothesis() -> None:
    """Importing every kit, and both parts in memory, leaves trio's scheduler as it was."""
    program = (
        "import sys\n"
        "import actorkit.testing.conformance.disk, actorkit.testing.conformance.disk_faults\n"
        "import actorkit.testing.conformance.transport, actorkit.testing.crash\n"
        "import actorkit.testing.network\n"
        "sys.exit('hypothesis' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
