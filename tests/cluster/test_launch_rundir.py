"""The run's directory: one run of a name, nobody else's business, and nothing stale."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from actorkit.cluster.keys import KeyFileError
from actorkit.launch.rundir import (
    NodeRecord,
    Run,
    RunError,
    base_directory,
    claim,
    find_run,
    live_runs,
)
from actorkit.seams.entropy import SystemEntropy

HOLDER = """
import sys
from pathlib import Path
from actorkit.launch.rundir import claim, Run
with claim(sys.argv[2], Path(sys.argv[1])) as claimed:
    claimed.publish(Run(sys.argv[2], 1, "app", 0.0))
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Where runs are."""
    return base_directory({"XDG_RUNTIME_DIR": str(tmp_path)})


def mode(path: Path) -> int:
    """Who may do what with it."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_run_is_found_while_it_is_up(base: Path) -> None:
    """With its nodes and its key, which nobody else can read; and not any longer."""
    run = Run("shop", os.getpid(), "shop.py", 12.5, (NodeRecord("a", 7, "127.0.0.1:1", 13.0, 2),))
    with claim("shop", base) as claimed:
        key = claimed.make_key(SystemEntropy())
        claimed.publish(run)
        found = find_run(None, base)
        assert (found.name, found.nodes, found.started) == ("shop", run.nodes, 12.5)
        assert found.key() == key
        assert found.node("a") == run.nodes[0]
        assert found.node("b") is None
        assert (mode(found.directory), mode(found.key_file), mode(base)) == (0o700, 0o600, 0o700)
        assert find_run("shop", base) == found
    assert live_runs(base) == ()
    assert list(base.iterdir()) == []


def test_which_run_is_meant_must_be_clear(base: Path) -> None:
    """None, several, or none of that name: each is said, with what there is."""
    with pytest.raises(RunError, match=r"^no run is up; start one with `actorkit up APP`$"):
        find_run(None, base)
    with pytest.raises(RunError, match=r"^no run 'x' is up; start one"):
        find_run("x", base)
    with claim("one", base) as one, claim("two", base) as two:
        for claimed in (one, two):
            claimed.publish(Run(claimed.name, 1, "app", 0.0))
        with pytest.raises(
            RunError, match=r"^several runs are up: one, two; choose one with --run"
        ):
            find_run(None, base)
        with pytest.raises(RunError, match=r"^no run 'x' is up; these are: one, two$"):
            find_run("x", base)
        assert find_run("two", base).name == "two"


def test_a_name_is_taken_once(base: Path) -> None:
    """By another process as well; when that is killed its name is free, and what it left is gone."""
    command = [sys.executable, "-c", HOLDER, str(base), "shop"]
    with subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        said = r"a run 'shop' is up already \(pid 1\); give this one another --name, or end that"
        with pytest.raises(RunError, match=said), claim("shop", base):
            raise AssertionError("it is taken")
        assert find_run(None, base).name == "shop"
        holder.kill()
        holder.wait()
    assert (base / "shop" / "run.json").exists()
    assert live_runs(base) == ()
    with claim("other", base):
        assert not (base / "shop").exists()
    with claim("shop", base):
        assert not (base / "shop" / "run.json").exists()


def test_a_run_that_has_said_nothing_yet_is_passed_over(base: Path) -> None:
    """It is being started."""
    with claim("shop", base):
        assert live_runs(base) == ()
        with pytest.raises(RunError, match="unknown as yet"), claim("shop", base):
            raise AssertionError("it is taken")


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "x" * 65])
def test_a_run_has_a_plain_name(base: Path, name: str) -> None:
    """It names a directory."""
    with pytest.raises(RunError, match="a run's name is 1 to 64 letters"), claim(name, base):
        raise AssertionError("it cannot have that name")


def test_a_key_that_others_can_read_is_not_used(base: Path) -> None:
    """Somebody may have."""
    with claim("shop", base) as claimed:
        claimed.make_key(SystemEntropy())
        claimed.publish(Run("shop", 1, "app", 0.0))
        run = find_run(None, base)
        run.key_file.chmod(0o644)
        with pytest.raises(KeyFileError, match="chmod 600"):
            run.key()


def test_a_directory_that_others_can_enter_is_not_used(tmp_path: Path) -> None:
    """Whoever could write there could pass for a run."""
    (tmp_path / "actorkit").mkdir()
    (tmp_path / "actorkit").chmod(0o755)
    with pytest.raises(RunError, match="is not a directory of this user's alone; chmod 700 it"):
        base_directory({"XDG_RUNTIME_DIR": str(tmp_path)})


def test_without_a_runtime_directory_the_users_state_serves(tmp_path: Path) -> None:
    """Where XDG says it is, or below the home directory; a relative path is no answer."""
    state = base_directory({"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_RUNTIME_DIR": "x"})
    assert state == tmp_path / "state/actorkit/runs"
    home = base_directory({"HOME": str(tmp_path)})
    assert home == tmp_path / ".local/state/actorkit/runs"
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(RunError, match=r"cannot make .*; set XDG_RUNTIME_DIR"):
        base_directory({"HOME": str(tmp_path / "file")})
