"""``LocalCluster``: real nodes in real processes, seen from a program that launched them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.cluster.node import Node
from actorkit.errors import SpecError
from actorkit.launch.cluster import LocalCluster
from actorkit.launch.process import NodeExit
from tests.cluster.launched import TIMEOUT, Lines, file_of, gone

APP = """
import actorkit as ak

@ak.message(name="launch-test.Where")
class Where(ak.Request[str]): ...

WHERE = ak.Key("where")

class Place(ak.Actor[Where]):
    def __init__(self, name):
        self.name = name

    @ak.on(Where)
    def where(self, msg: Where) -> str:
        return self.name

async def main(node):
    await node.spawn(ak.props(Place, node.name), name=WHERE)
    print("at home on", node.name, *node.nodes())
"""


@ak.message(name="launch-test.Pid")
class Pid(ak.Request[int]):
    """Which process is it?"""


class Worker(ak.Actor[Pid]):
    """Knows where it is."""

    @ak.on(Pid)
    def pid(self, msg: Pid) -> int:
        """Its process."""
        import os

        return os.getpid()


async def test_all_nodes_are_connected_to_each_other_and_to_this_one() -> None:
    """When the block is entered; and nothing is left when it ends."""
    with trio.fail_after(TIMEOUT):
        async with LocalCluster(3, logs=False) as cluster:
            assert cluster.names == ("a", "b", "c")
            assert isinstance(cluster.node, Node)
            assert cluster.node.nodes() == ("a", "b", "c")
            for name in cluster.names:
                info = await cluster.node.remote(name).info()
                assert {*info.nodes} == {"a", "b", "c", "local"} - {name}
                assert info.address == cluster[name].address
            pids = [cluster[name].pid or 0 for name in cluster.names]
    assert gone(pids, within=0.0)


async def test_actors_are_spawned_in_other_processes_and_survive_their_restart_elsewhere() -> None:
    """A killed node comes back under its name, empty, and connected again when ``wait_up`` returns."""
    ends: list[NodeExit] = []
    with trio.fail_after(TIMEOUT):
        async with LocalCluster(["x", "y"], logs=False, on_exit=ends.append) as cluster:
            far = cluster.node.remote("y")
            worker = await far.spawn(ak.props(Worker), name="worker")
            pid = cluster["y"].pid
            assert await worker.ask(Pid()) == pid
            cluster["y"].kill()
            await cluster["y"].wait_up()
            assert cluster.node.nodes() == ("x", "y")
            assert await far.whereis(ak.Key[Any]("worker")) is None
            again = await far.spawn(ak.props(Worker))
            assert await again.ask(Pid()) == cluster["y"].pid != pid
            with pytest.raises(ak.ActorDied):
                await worker.ask(Pid())
            assert [end.pid for end in ends] == [pid]


async def test_an_app_runs_on_every_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is called with the node, after all nodes are up; what it prints is told with the node's name."""
    lines = Lines()
    app = file_of(tmp_path, APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    with trio.fail_after(TIMEOUT):
        async with LocalCluster(2, app=app, logs=lines) as cluster:
            await lines.wait_for("a | at home on a")
            await lines.wait_for("b | at home on b a")
            import launched_app  # type: ignore[import-not-found]

            for name in cluster.names:
                far = cluster.node.remote(name).named(launched_app.WHERE)
                assert await far.ask(launched_app.Where()) == name
    del sys.modules["launched_app"]


async def test_a_node_that_is_asked_to_end_does() -> None:
    """``stop_node`` is a good end, so the process is not started anew."""
    with trio.fail_after(TIMEOUT):
        async with LocalCluster(2, logs=False) as cluster:
            await cluster.node.remote("b").stop_node()
            end = await cluster["b"].wait_down()
            assert (end.status, end.successor) == (0, None)
            await cluster["b"].restart()
            assert cluster.node.nodes() == ("a", "b")


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    """Not wrapped, and with nothing left behind."""
    pids: list[int] = []

    async def fail() -> None:
        async with LocalCluster(1, logs=False) as cluster:
            pids.append(cluster["a"].pid or 0)
            raise ZeroDivisionError

    with trio.fail_after(TIMEOUT), pytest.raises(ZeroDivisionError):
        await fail()
    assert gone(pids, within=0.0)


async def test_logs_of_actors_arrive_as_records() -> None:
    """A crash on a node is told here, with node, path and traceback."""
    lines = Lines()
    with trio.fail_after(TIMEOUT):
        async with LocalCluster(1, logs=lines) as cluster:
            bad = await cluster.node.remote("a").spawn(ak.props(Bad), name="bad")
            bad.tell(Pid())
            await lines.wait_for("actor crashed")
            await lines.wait_for("ZeroDivisionError: integer division or modulo by zero")


class Bad(ak.Actor[Pid]):
    """Crashes."""

    @ak.on(Pid)
    def pid(self, msg: Pid) -> int:
        """Fail."""
        return 1 // 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"nodes": 0}, "a launch has from 1 to 64 nodes, got 0"),
        ({"nodes": 65}, "a launch has from 1 to 64 nodes, got 65"),
        ({"nodes": ["a", "a"]}, "node names are unique, got 'a' twice"),
        ({"nodes": ["a b"]}, "a node's name is letters, digits, '_' and '-', got 'a b'"),
        ({"nodes": ["a", "local"]}, "'local' is the name of this process's own node"),
        ({"max_restarts": -1}, "max_restarts is a number from 0 up, got -1"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], said: str) -> None:
    """Before anything is started."""
    with pytest.raises(SpecError, match=said):
        LocalCluster(**arguments)


def test_unknown_options_are_named() -> None:
    """Before anything is started, too."""
    with pytest.raises(TypeError, match="tick"):
        LocalCluster(2, tick=3)


def test_a_cluster_is_used_within_its_block() -> None:
    """What it cannot give outside is said."""
    cluster = LocalCluster(2)
    with pytest.raises(RuntimeError, match="within its `async with` block"):
        cluster["a"].kill()
    with pytest.raises(RuntimeError, match="within its `async with` block"):
        cluster.node.nodes()


def test_many_nodes_have_names() -> None:
    """Letters, as long as there are any."""
    assert LocalCluster(26).names[-1] == "z"
    assert LocalCluster(64).names[::63] == ("n1", "n64")
