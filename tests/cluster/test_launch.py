"""Launching: processes that are started together, kept running, and never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from actorkit.errors import SpecError
from actorkit.launch.cluster import prepare_launch
from actorkit.launch.keeper import Launch
from actorkit.launch.process import LaunchFailed, NodeExit
from actorkit.supervision.spec import Flags
from tests.cluster.launched import (
    ROOT,
    TIMEOUT,
    Lines,
    exists,
    file_of,
    gone,
    pipes_of,
    probes,
    shown_of,
    state_of,
)

DEAF = """
import os, signal, sys
def main(node):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    print("deaf", flush=True)
    while True:
        pass
"""


@asynccontextmanager
async def launched(
    *names: str, logs: Any = False, **changes: Any
) -> AsyncGenerator[tuple[Launch, list[NodeExit]]]:
    """A launch of probes, all of which are gone afterwards; and the ends of its processes."""
    launch = prepare_launch(probes(*names, **changes), logs)
    ends: list[NodeExit] = []
    pids: set[int] = set()
    launch.on_exit = ends.append
    launch.on_change = lambda: pids.update(n.pid for n in launch.nodes.values() if n.pid)
    try:
        with trio.fail_after(TIMEOUT):
            async with launch.running():
                launch.run_apps()
                yield launch, ends
    finally:
        assert pids.issubset(end.pid for end in ends)
        assert [pid for pid in pids if exists(pid)] == []  # no zombie either


# Up, down, and up again -------------------------------------------------------------------------------------------


async def test_all_are_up_when_the_block_is_entered() -> None:
    """Each has a process of its own, in a group of its own, and listens where it says."""
    async with launched("a", "b", "c") as (launch, _):
        nodes = launch.nodes.values()
        assert all(node.up and node.alive for node in nodes)
        assert len({node.pid for node in nodes}) == 3
        for node in nodes:
            assert node.pid is not None
            assert os.getpgid(node.pid) == node.pid
            host, _, port = node.address.rpartition(":")
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                assert await stream.receive_some() == node.name.encode()


async def test_every_two_meet_once(tmp_path: Path) -> None:
    """A node is told of those that were started before it; one that is restarted, of all others."""
    app = file_of(tmp_path, "def main(node): print('met', *sorted(node.met), '.')")
    lines = Lines()
    async with launched("a", "b", "c", app=app, logs=lines) as (launch, _):
        for line in ("a | met .", "b | met a .", "c | met a b ."):
            await lines.wait_for(line)
        launch.nodes["a"].kill()
        await lines.wait_for("a | met b c .")


async def test_a_killed_node_is_started_anew() -> None:
    """Under its name and at its address; its end is told in words, with the process that took its place."""
    async with launched("a", "b") as (launch, ends):
        node = launch.nodes["b"]
        pid, address = node.pid, node.address
        node.kill()
        assert not node.up
        await node.wait_up()
        assert node.pid != pid
        assert (node.address, node.restarts) == (address, 1)
        assert ends[0].signal is signal.SIGKILL
        assert str(ends[0]) == (
            f"node b (pid {pid}) was killed by SIGKILL; restarted as pid {node.pid}"
        )
        assert launch.nodes["a"].restarts == 0


async def test_two_that_come_back_at_the_same_time_meet(tmp_path: Path) -> None:
    """Whichever is later hears of the other, though that one has not joined yet."""
    app = file_of(tmp_path, "def main(node): print('met', *sorted(node.met), '.')")
    lines = Lines()
    async with launched("a", "b", app=app, logs=lines) as (launch, _):
        for line in ("a | met .", "b | met a ."):
            await lines.wait_for(line)
        lines.text = ""
        for node in launch.nodes.values():
            node.kill()
        for name in launch.nodes:
            await lines.wait_for(f"{name} | met")
        assert ("a | met b ." in lines.text) != ("b | met a ." in lines.text)


async def test_a_restarted_node_whose_port_is_taken_gets_another() -> None:
    """Who is faster keeps it; the node is up all the same."""
    async with launched("a") as (launch, _):
        node = launch.nodes["a"]
        host, _, port = node.address.rpartition(":")
        await node.stop()
        with socket.create_server((host, int(port))):
            await node.restart()
            assert node.up
            assert node.address != f"{host}:{port}"


async def test_a_stopped_node_stays_down_until_it_is_wanted() -> None:
    """``stop`` is no failure, and nobody who waits for it to be up waits for ever."""
    async with launched("a") as (launch, ends):
        node = launch.nodes["a"]
        await node.stop()
        assert not node.alive
        assert [(end.status, end.asked, end.successor) for end in ends] == [(0, True, None)]
        with pytest.raises(LaunchFailed, match=r"has ended, so it will not be up; restart\(\)"):
            await node.wait_up()
        await node.restart()
        assert node.up
        node.kill()
        await node.wait_up()


async def test_the_end_of_a_process_can_be_waited_for() -> None:
    """It is told once it is known what comes of it."""
    async with launched("a", restart="never") as (launch, ends):
        node = launch.nodes["a"]
        node.kill()
        assert await node.wait_down() == ends[0] == node.last_exit
        assert str(ends[0]).endswith("was killed by SIGKILL; not restarted")
        assert launch.over


async def test_a_paused_node_goes_on_when_it_is_resumed() -> None:
    """SIGSTOP and SIGCONT; meanwhile it answers nobody."""
    async with launched("a") as (launch, _):
        node = launch.nodes["a"]
        host, _, port = node.address.rpartition(":")
        node.pause()
        while state_of(node.pid) != "T":
            await trio.lowlevel.checkpoint()
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            node.resume()
            assert await stream.receive_some() == b"a"


# The policy -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "number", "restarted"),
    [
        ("always", signal.SIGTERM, True),
        ("always", signal.SIGKILL, True),
        ("on-failure", signal.SIGTERM, False),
        ("on-failure", signal.SIGKILL, True),
        ("never", signal.SIGTERM, False),
        ("never", signal.SIGKILL, False),
    ],
)
async def test_who_is_started_anew(policy: str, number: int, *, restarted: bool) -> None:
    """A process that SIGTERM ends has status 0, for it ends in good order; one that is killed has failed."""
    async with launched("a", restart=policy) as (launch, ends):
        node = launch.nodes["a"]
        node.kill(number)
        end = await node.wait_down()
        assert (end.successor is not None) is restarted
        assert end.status == (0 if number == signal.SIGTERM else -number)
        assert ends == [end]


async def test_too_many_deaths_end_it_all() -> None:
    """One restart more than are allowed, and the block ends with an error that says who died and how often."""
    said = r"node a \(pid \d+\) was killed by SIGKILL, and there was 1 restart within 60 s already"
    flags = Flags(max_restarts=1, within=60.0)

    async def kill_twice() -> None:
        async with launched("a", "b", flags=flags) as (launch, _):
            launch.nodes["a"].kill()
            await launch.nodes["a"].wait_up()
            launch.nodes["a"].kill()
            await trio.sleep_forever()

    with pytest.raises(LaunchFailed, match=said):
        await kill_twice()


async def test_an_app_that_fails_fails_its_process(tmp_path: Path) -> None:
    """Its traceback is logged, without our frames, and the process ends with status 1."""
    app = file_of(tmp_path, "async def main(node):\n    raise RuntimeError('no luck')\n")
    lines = Lines()
    with pytest.raises(LaunchFailed, match="ended with status 1, and there were 0 restarts"):
        async with launched("a", app=app, logs=lines, flags=Flags(max_restarts=0)):
            await trio.sleep_forever()
    await lines.wait_for("RuntimeError: no luck")
    assert "the app failed" in lines.text
    assert "child.py" not in lines.text


# The end ----------------------------------------------------------------------------------------------------------


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    """And no process is left."""
    with pytest.raises(ZeroDivisionError):
        async with launched("a", "b"):
            raise ZeroDivisionError


async def test_a_cancelled_block_leaves_nothing() -> None:
    """Also if it is cancelled while the processes are being started."""
    with trio.move_on_after(0.05):
        async with launched("a", "b"):
            raise AssertionError("a process cannot be up so fast")
    with trio.CancelScope() as scope:
        async with launched("a", "b"):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_paused_node_ends_with_the_others() -> None:
    """In good order, for it is let go on."""
    async with launched("a", "b") as (launch, ends):
        launch.nodes["a"].pause()
    assert [end.status for end in ends] == [0, 0]


async def test_a_node_that_does_not_end_is_made_to(tmp_path: Path) -> None:
    """When the grace is over."""
    lines = Lines()
    app = file_of(tmp_path, DEAF)
    async with launched("a", app=app, logs=lines, grace=0.1) as (_, ends):
        await lines.wait_for("deaf")
    assert [end.signal for end in ends] == [signal.SIGKILL]


async def test_what_dies_during_the_end_is_not_started_anew() -> None:
    """A death that nobody has noticed yet when the block ends."""
    async with launched("a", "b") as (launch, ends):
        launch.nodes["a"].kill()
    assert sorted(end.successor is None for end in ends) == [True, True]


SCRIPT = """
import os
import signal
import sys
import trio
from actorkit.launch.cluster import prepare_launch
from tests.cluster.launched import probes

async def main(app, pause, grace):
    launch = prepare_launch(probes("a", "b", app=app or None, grace=float(grace)), sys.stderr)
    async with launch.running():
        launch.run_apps()
        if pause == "fork":
            if os.fork() == 0:
                signal.pause()
        elif pause:
            launch.nodes[pause].pause()
        print(*(node.pid for node in launch.nodes.values()), flush=True)
        await trio.sleep_forever()

trio.run(main, *sys.argv[1:])
"""


def start_script(
    app: str = "", pause: str = "", grace: str = "60"
) -> tuple[subprocess.Popen[str], list[int]]:
    """Another process that launches; and the processes it has launched."""
    program = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, app, pause, grace],
        process_group=0,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdout is not None
    return program, [int(pid) for pid in program.stdout.readline().split()]


@pytest.mark.parametrize("paused", ["", "a", "fork"])
def test_a_launcher_that_is_killed_takes_all_with_it(paused: str) -> None:
    """By the pipe that breaks, also if the launcher has forked; a node that SIGSTOP has stopped is woken by the kernel."""
    program, pids = start_script(pause=paused)
    assert len(pids) == 2
    program.kill()
    assert gone(pids)
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)  # whom it has forked
    program.communicate(timeout=TIMEOUT)


def test_a_process_that_cannot_end_in_good_order_does_not_outlive_its_launcher(
    tmp_path: Path,
) -> None:
    """A handler that never lets go of the processor keeps it for the grace, and no longer."""
    app = file_of(tmp_path, DEAF)
    program, pids = start_script(app, grace="0.1")
    program.kill()
    program.communicate(timeout=TIMEOUT)
    assert gone(pids)


def test_ctrl_c_ends_all_in_good_order() -> None:
    """Only the launcher hears of it, and ends the others; the program ends with KeyboardInterrupt and nothing else."""
    program, pids = start_script()
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=TIMEOUT)
    assert gone(pids, within=0.0)
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert "killed" not in said


def test_a_second_ctrl_c_ends_all_at_once(tmp_path: Path) -> None:
    """Whoever does not end in good order is not waited for any longer."""
    program, pids = start_script(file_of(tmp_path, DEAF))
    assert program.stderr is not None
    while "deaf" not in program.stderr.readline():
        pass
    program.send_signal(signal.SIGINT)
    while gone(pids, within=0.05) is False and program.poll() is None:
        program.send_signal(signal.SIGINT)
    program.communicate(timeout=TIMEOUT)
    assert gone(pids, within=0.0)


# What goes wrong at the start ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said", "detail"),
    [
        ("import no_such_thing", "cannot be imported: ModuleNotFoundError: No module", "line 1"),
        ("def f():\n    1 / 0\nf()", "ZeroDivisionError: division by zero", "in f"),
        ("def f(:", "cannot be imported: SyntaxError: invalid syntax", "def f(:"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3", "raise SystemExit"),
    ],
)
async def test_an_app_that_cannot_be_imported_is_told(
    tmp_path: Path, source: str, said: str, detail: str
) -> None:
    """One error names the app, with the traceback of its own code alone; no process is left."""
    app = file_of(tmp_path, source)
    with pytest.raises(LaunchFailed) as failed:
        async with launched("a", "b", app=app):
            raise AssertionError("it is not up")
    assert f"app {app!r}" in str(failed.value)
    assert said in str(failed.value)
    assert detail in failed.value.detail
    assert "child.py" not in failed.value.detail
    assert "importlib" not in failed.value.detail


@pytest.mark.parametrize(
    ("app", "said"),
    [
        (
            "no_such_app",
            r"app 'no_such_app': there is no module 'no_such_app' in /.*; name a module",
        ),
        ("json.no_such", "there is no module 'json.no_such'"),
        ("no/such.py", "app 'no/such.py': there is no file no/such.py"),
        ("json:dunps", r"app 'json:dunps': json has no function 'dunps'; it has \[.*'dumps'"),
    ],
)
async def test_an_app_that_is_not_there_is_told(app: str, said: str) -> None:
    """The value, and what could stand in its place."""
    with pytest.raises(LaunchFailed, match=said) as failed:
        async with launched("a", app=app):
            raise AssertionError("it is not up")
    assert failed.value.detail == ""


async def test_a_busy_port_is_told() -> None:
    """Which address, and what to do; it is not swapped for another behind the user's back."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(LaunchFailed, match=rf"127.0.0.1:{port}: .*already in use; choose"):
            async with launched("a", port=port):
                raise AssertionError("it is not up")


async def test_a_child_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """Whoever is late is named."""
    app = file_of(tmp_path, "import signal\nsignal.pause()")
    with pytest.raises(LaunchFailed, match=r"not ready within 0.2 s: a, b"):
        async with launched("a", "b", app=app, start_timeout=0.2, grace=0.0):
            raise AssertionError("it is not up")


async def test_a_successor_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """It counts as a failed restart: another one is tried, until there were too many."""
    marker = tmp_path / "launched_before"
    app = file_of(
        tmp_path,
        f"import signal\nfrom pathlib import Path\nmarker = Path({str(marker)!r})\n"
        "if marker.exists():\n    signal.pause()\nmarker.touch()\n",
    )
    lines = Lines()
    settings = {
        "app": app,
        "logs": lines,
        "flags": Flags(max_restarts=1, within=60.0),
        "start_timeout": 5.0,
    }

    async def kill_once() -> None:
        async with launched("a", **settings) as (launch, _):
            launch.nodes["a"].kill()
            await trio.sleep_forever()

    with pytest.raises(LaunchFailed, match="killed by SIGKILL, and there was 1 restart"):
        await kill_once()
    assert "was not ready within 5 s" in lines.text


async def test_a_command_that_cannot_be_run_is_told() -> None:
    """By the name of the node, with the system's own words."""
    with pytest.raises(LaunchFailed, match=r"node a cannot be started: .*No such file"):
        async with launched("a", command=lambda *_: ["/no/such/python"]):
            raise AssertionError("it is not up")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"restart": "sometimes"}, "restart is one of never, always, on-failure, got 'sometimes'"),
        ({"port": 65535}, "port is from 1 to 65534 for 2 nodes, got 65535"),
        ({"port": 0}, "got 0"),
        ({"grace": -1.0}, "grace is seconds from 0 up"),
        ({"log_level": "loud"}, "log_level is one of debug"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], said: str) -> None:
    """At the door, with the value and what is allowed."""
    with pytest.raises(SpecError, match=said):
        probes("a", "b", **changes)


# Secrets, and descriptors -------------------------------------------------------------------------------------------


async def test_nobody_sees_the_secret() -> None:
    """It is neither among a process's arguments nor in its environment, and no two launches have the same."""
    async with launched("a") as (launch, _):
        key = launch.settings.key
        for file in ("cmdline", "environ"):
            shown = shown_of(launch.nodes["a"].pid, file)
            assert key not in shown
            assert key.hex().encode() not in shown
        assert key.hex() not in repr(launch.settings)
    assert probes("a").key != key


async def test_a_process_holds_only_its_own_pipes() -> None:
    """Three that lead here, and the one it hears its launcher by: the ends of nobody else's."""
    async with launched("a", "b", "c") as (launch, _):
        held = {node.name: pipes_of(node.pid) for node in launch.nodes.values()}
        ours = pipes_of("self")
        assert all(len(pipes & ours) == 4 for pipes in held.values())
        assert not held["a"] & held["b"]
        assert not held["b"] & held["c"]


async def test_a_launch_leaves_no_descriptor_open() -> None:
    """After restarts, too."""

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the directory's own descriptor, each time

    async with launched("a"):
        pass
    before = count()
    async with launched("a", "b") as (launch, _):
        launch.nodes["b"].kill()
        await launch.nodes["b"].wait_up()
    assert count() == before
