"""``actorkit up``: it starts, says how to look in, ends in good order, and tells in one line what is wrong."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from actorkit.cli.codes import ExitCode
from tests.cli.runs import PROGRAM, SHOP, actorkit, environment, up
from tests.cluster.launched import gone

DEAF = """
import signal
def main(node):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    print("deaf", flush=True)
    while True:
        pass
"""
EXITS = """
import os, sys, trio
async def main(node):
    if node.name == "b":
        sys.exit(3)
    if node.name == "c":
        sys.exit("no luck")
    if node.name == "d":
        os.kill(os.getpid(), 9)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        sys.exit()
"""
# Rooms of a pytest's own are world-readable on some systems, and then no place for keys.
pytestmark = pytest.mark.usefixtures("private")


@pytest.fixture
def private(tmp_path: Path) -> None:
    """The directory of a test is its user's alone."""
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_good_order(tmp_path: Path, number: int) -> None:
    """Exit code 0, nothing on stderr, no process, no run directory."""
    with up(tmp_path, "shop.py", "--nodes", "2") as run:
        run.wait_for(r"\| open for business", times=2)
        code, err = run.end(number)
        assert (code, err) == (ExitCode.GOOD, "")
        assert gone(run.pids, within=0.0)
    assert run.said.count("ending; Ctrl-C again ends at once") == (number == signal.SIGINT)
    assert "connection lost" not in run.said
    assert "all nodes have ended" not in run.said
    assert "* | run shop is up: a, b. Ctrl-C ends it." in run.said
    assert "actorkit tree|nodes|attach --run shop" in run.said
    assert len(run.pids) == 2
    assert "killed" not in run.said
    assert list((tmp_path / "actorkit").iterdir()) == []


def test_a_killed_node_comes_back(tmp_path: Path) -> None:
    """It is told, and the app runs there again."""
    with up(tmp_path, "shop.py:main", "--nodes", "x,y") as run:
        run.wait_for(r"y \| open for business")
        pid = run.pid("y")
        os.kill(pid, signal.SIGKILL)
        run.wait_for(r"y \| open for business", times=2)
        assert re.search(rf"node y \(pid {pid}\) was killed by SIGKILL; restarted as", run.said)


def test_it_ends_when_all_nodes_have_ended(tmp_path: Path) -> None:
    """With 1 if one has failed: there is nothing left to keep. Who calls ``sys.exit`` has that status, and no traceback."""
    with up(tmp_path, "shop", "--nodes", "4", "--no-restart", app=EXITS) as run:
        out, err = run.program.communicate(timeout=60)
        run.said += out
    assert (run.program.returncode, err) == (ExitCode.BAD, "")
    assert "ended with status 3; not restarted" in out
    assert out.endswith(
        "all nodes have ended: a with status 0, b with status 3, c with status 1, d by SIGKILL\n"
    )
    assert "c | no luck\n" in out
    assert "Traceback" not in out


def test_a_node_that_exits_with_0_is_not_restarted(tmp_path: Path) -> None:
    """It has ended as it wanted to; when all have, the exit code is 0. The closed stdout is no fault."""
    app = "import sys\ndef main(node): sys.exit(0)"
    with up(tmp_path, "shop", "--nodes", "1", app=app) as run:
        assert run.program.communicate(timeout=60)[1] == ""
    assert run.program.returncode == ExitCode.GOOD
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *PROGRAM, "up", "shop", "--nodes", "1"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert (closed.returncode, closed.stderr) == (ExitCode.GOOD, b"")


def test_a_node_that_dies_too_often_ends_it(tmp_path: Path) -> None:
    """Exit code 1, and one line that says which, and why."""
    app = "def main(node): raise ValueError('no luck')"
    with up(tmp_path, "shop", "--nodes", "1", app=app) as run:
        out, err = run.program.communicate(timeout=60)
        run.said += out
    assert run.program.returncode == ExitCode.BAD
    assert re.fullmatch(
        r"actorkit up: node a \(pid \d+\) ended with status 1, and .*: given up; see the logs\n",
        err,
    )
    assert out.count("ValueError: no luck") == 4


def test_a_second_ctrl_c_ends_all_at_once(tmp_path: Path) -> None:
    """Whatever the nodes are at, and however long they have."""
    with up(tmp_path, "shop.py", "--nodes", "1", "--grace", "600", app=DEAF) as run:
        run.wait_for("deaf")
        run.program.send_signal(signal.SIGINT)
        while not gone(run.pids, within=0.1):
            run.program.send_signal(signal.SIGINT)
        out, _ = run.program.communicate(timeout=60)
        assert run.program.returncode == ExitCode.GOOD
        run.said += out


def test_an_app_without_a_function_is_told_once_and_a_node_that_must_be_killed(
    tmp_path: Path,
) -> None:
    """The nodes are up all the same; one that does not end within the grace is named at the end."""
    app = "import atexit, threading\natexit.register(threading.Event().wait)"
    with up(tmp_path, "shop.py", "--nodes", "2", "--grace", "0.1", app=app) as run:
        run.wait_for("the nodes run nothing")
        assert run.end() == (ExitCode.GOOD, "")
    told = "* | shop.py has no main(node) or start(node): the nodes run nothing\n"
    assert run.said.count(told) == 1
    for name in "ab":
        assert f"* | node {name} did not end within 0.1 s; killed\n" in run.said


def test_when_it_is_killed_its_nodes_end(tmp_path: Path) -> None:
    """And the next run may have its name."""
    with up(tmp_path, "shop.py", "--nodes", "2") as run:
        run.wait_for(r"\| open for business", times=2)
        run.end(signal.SIGKILL)
        assert gone(run.pids)
    assert actorkit(tmp_path, "nodes").stderr.startswith("actorkit nodes: no run is up; start one")
    with up(tmp_path, "shop.py", "--nodes", "1") as again:
        again.wait_for("run shop is up")


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    """Nobody is there to see it."""
    with up(tmp_path, "shop.py", "--nodes", "1", app=SHOP + "    while True: print(1)") as run:
        run.wait_for("open for business")
        assert run.program.stdout is not None
        run.program.stdout.close()
        assert run.program.wait(timeout=60) == ExitCode.OUTPUT_CLOSED
        assert run.program.stderr is not None
        assert run.program.stderr.read() == ""


# What is wrong, in one line -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["shop.py", "--nodes", "0"], 2, "a launch has from 1 to 64 nodes, got 0"),
        (["shop.py", "--nodes", "65"], 2, "a launch has from 1 to 64 nodes, got 65"),
        (["shop.py", "--nodes", "-3"], 2, "a launch has from 1 to 64 nodes, got -3"),
        (["shop.py", "--nodes", "a,a"], 2, "node names are unique, got 'a' twice"),
        (["shop.py", "--nodes", "a,"], 2, "a node's name is letters, digits, '_' and '-', got ''"),
        (["shop.py", "--name", "x/y"], 2, "a run's name is 1 to 64 letters, digits"),
        (["shop.py", "--grace", "long"], 2, "grace is seconds from 0 up, got 'long'"),
        (["shop.py", "--port", "65534"], 2, "port is from 1 to 65533 for 3 nodes, got 65534"),
        (["shop.py", "--log-level", "loud"], 2, "invalid choice: 'loud'"),
        (["shop.py", "--key", "nokey"], 2, "key file nokey is not there: copy it"),
        (["shop.py", "--key", "open"], 2, "key file open has mode 0644, so others"),
        (["shop.py", "--key", "short"], 2, "key file short holds 3 bytes"),
        (["nowhere.py"], 1, "app 'nowhere.py': there is no file nowhere.py; name a file.py"),
        (["nowhere"], 1, "app 'nowhere': there is no module 'nowhere' in "),
        (["shop:nothing"], 1, "app 'shop:nothing': shop has no function 'nothing'; it has "),
        (["noparameter.py"], 1, "noparameter.py has main(), which cannot be called with the node"),
        ([], 2, "APP"),
        ([""], 2, "APP is a module, module:function, file.py or file.py:function, got ''"),
        (["."], 2, "file.py:function, got '.', which is a directory"),
        (["shop:"], 2, "file.py:function, got 'shop:'"),
        (["shop.main"], 2, "'shop' is a module, and not a package; did you mean shop:main?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    """With the value, and what could stand in its place; nothing is on stdout, no process is left."""
    (tmp_path / "open").write_bytes(b"k" * 32)
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "short").write_bytes(b"abc")
    (tmp_path / "noparameter.py").write_text("async def main(): ...", "utf-8")
    (tmp_path / "short").chmod(0o600)
    with up(tmp_path, *arguments) as run:
        out, err = run.program.communicate(timeout=60)
    assert said in err
    assert err.startswith("actorkit up: ")
    assert (run.program.returncode, out, err.count("\n")) == (code, "", 1)
    assert not list((tmp_path / "actorkit").glob("*"))


def test_an_app_whose_import_fails_is_told_with_its_own_traceback(tmp_path: Path) -> None:
    """Without a line of ours, and then in one line."""
    app = "def price(): return 1 / 0\nprice()"
    with up(tmp_path, "shop.py", app=app) as run:
        out, err = run.program.communicate(timeout=60)
    assert (run.program.returncode, out) == (ExitCode.BAD, "")
    *trace, last = err.splitlines()
    assert (
        last == "actorkit up: app 'shop.py' cannot be imported: ZeroDivisionError: division by zero"
    )
    assert trace[0] == "Traceback (most recent call last):"
    files = re.findall(r'File "(.*)"', "\n".join(trace))
    assert {Path(file).name for file in files} == {"shop.py"}


@pytest.mark.parametrize("app", ["shop.py", "shop"])
def test_of_a_text_of_two_lines_the_first_is_told(tmp_path: Path, app: str) -> None:
    """With the type; the traceback above has all of it."""
    with up(tmp_path, app, app="raise ValueError('no config\\nat all')") as run:
        _, err = run.program.communicate(timeout=60)
    *trace, last = err.splitlines()
    assert last == f"actorkit up: app {app!r} cannot be imported: ValueError: no config"
    assert re.findall(r'File "(.*)"', "\n".join(trace)) == [str(tmp_path / "shop.py")]


def test_a_busy_port_is_told(tmp_path: Path) -> None:
    """By its address; the nodes that had theirs are gone."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with up(tmp_path, "shop.py", "--nodes", "1", "--port", str(port)) as run:
            out, err = run.program.communicate(timeout=60)
    assert (run.program.returncode, out) == (ExitCode.BAD, "")
    assert re.fullmatch(
        rf"actorkit up: node a cannot listen at 127.0.0.1:{port}: .*already in use; choose .*\n",
        err,
    )


def test_a_run_of_that_name_is_told(tmp_path: Path) -> None:
    """With the process it is up in; another name will do."""
    with up(tmp_path, "shop.py", "--nodes", "1") as run:
        run.wait_for("run shop is up")
        second = actorkit(tmp_path, "up", "shop.py")
        assert second.returncode == ExitCode.MISUSED
        assert second.stderr == (
            f"actorkit up: a run 'shop' is up already (pid {run.program.pid}); give this one another --name, or end "
            "that one first\n"
        )
        with up(tmp_path, "shop.py", "--nodes", "1", "--name", "other") as other:
            other.wait_for("run other is up")
            several = actorkit(tmp_path, "tree")
            assert several.returncode == ExitCode.MISUSED
            assert several.stderr == (
                "actorkit tree: several runs are up: other, shop; choose one with --run\n"
            )
