"""``actorkit kill``: nodes by signals, actors by their paths."""

from __future__ import annotations

import os
import signal

import pytest

from actorkit.cli import main
from actorkit.cli.codes import ExitCode
from tests.cli.runs import Up, actorkit
from tests.cluster.launched import state_of


def test_a_node_is_killed(shop: Up) -> None:
    """And comes back."""
    pid = shop.pid("b")
    done = actorkit(shop.directory, "kill", "b")
    assert (done.returncode, done.stderr) == (ExitCode.GOOD, "")
    assert done.stdout == f"sent SIGKILL to node b (pid {pid})\n"
    shop.wait_for(rf"node b \(pid {pid}\) was killed by SIGKILL; restarted as pid")
    shop.wait_for(r"b \| open for business", times=2)


def test_a_node_is_halted_and_let_go_on(shop: Up) -> None:
    """With STOP and CONT."""
    actorkit(shop.directory, "kill", "a", "--signal", "stop")
    assert state_of(shop.pid("a")) == "T"
    actorkit(shop.directory, "kill", "a", "--signal", "CONT")
    assert state_of(shop.pid("a")) != "T"


def test_an_actor_is_killed(shop: Up) -> None:
    """By its node and path; by its path alone if that is clear."""
    done = actorkit(shop.directory, "kill", "/only")
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.GOOD, "killed a:/only\n", "")
    done = actorkit(shop.directory, "kill", "b:/shop/till")
    assert (done.returncode, done.stdout) == (ExitCode.GOOD, "killed b:/shop/till\n")
    shop.wait_for(r"b \| .* child terminated .*path=/shop/till")

    for victim, code, said in (
        ("/only", 1, "there is no actor /only on any node of run 'shop'"),
        ("b:/only", 1, "there is no actor /only on node b"),
        ("/shop/till", 2, "/shop/till is on 2 nodes; say which: a:/shop/till, b:/shop/till"),
        ("c:/only", 2, "run 'shop' has no node 'c'; it has a, b"),
        ("c", 2, "run 'shop' has no node 'c'; it has a, b"),
    ):
        failed = actorkit(shop.directory, "kill", victim)
        assert (failed.returncode, failed.stdout) == (code, "")
        assert failed.stderr == f"actorkit kill: {said}\n"


def test_an_actor_is_not_killed_where_it_is_by_chance(shop: Up) -> None:
    """While a node is silent an actor is killed by its node and path only. Of one that is down all commands say so, once."""
    os.kill(shop.pid("b"), signal.SIGSTOP)
    for victim, said in (
        ("/only", "node b does not answer, and may have /only too; name the node: a:/only"),
        ("b:/shop", "node b does not answer"),
    ):
        failed = actorkit(shop.directory, "kill", victim)
        assert (failed.returncode, failed.stdout) == (ExitCode.BAD, "")
        assert failed.stderr == f"actorkit kill: {said}\n"
    done = actorkit(shop.directory, "kill", "a:/shop/till")
    assert (done.returncode, done.stderr) == (ExitCode.GOOD, "")

    for number in (signal.SIGTERM, signal.SIGCONT):
        os.kill(shop.pid("b"), number)
    shop.wait_for(r"node b \(pid \d+\) has ended; not restarted")
    for command, *arguments in (("kill", "b"), ("kill", "b:/shop"), ("tree", "b")):
        failed = actorkit(shop.directory, command, *arguments)
        assert (failed.returncode, failed.stdout) == (ExitCode.BAD, "")
        assert failed.stderr == f"actorkit {command}: node b is down\n"
    done = actorkit(shop.directory, "kill", "/only")
    assert (done.returncode, done.stdout) == (ExitCode.GOOD, "killed a:/only\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["b/x"], "'b/x' is neither a node nor an actor: it reads NODE, NODE:/path or /path"),
        (["b:/x", "--signal", "TERM"], "--signal is for a node's process, and 'b:/x' is an actor"),
    ],
)
def test_what_names_no_victim_is_told(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """Before any run is looked for."""
    assert main(["kill", *arguments]) == ExitCode.MISUSED
    assert said in capsys.readouterr().err
