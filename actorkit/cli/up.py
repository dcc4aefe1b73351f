"""``actorkit up``: nodes as processes on this machine, in the foreground, until Ctrl-C."""

from __future__ import annotations

import argparse
import math
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from importlib.machinery import PathFinder
from pathlib import Path

import trio

from actorkit.cli.codes import ExitCode
from actorkit.cluster.keys import KeyFileError, read_key_file
from actorkit.errors import SpecError
from actorkit.launch.cluster import prepare_launch
from actorkit.launch.keeper import Launch
from actorkit.launch.process import LaunchFailed
from actorkit.launch.rundir import Claim, NodeRecord, Run, RunError, claim
from actorkit.launch.settings import LEVELS, Settings, node_names
from actorkit.observe.text import printable
from actorkit.seams.entropy import SystemEntropy

DEFAULT_NODES = "3"
DEFAULT_GRACE = 5.0
_LAST_STANDARD = 2
_FORMS = "a module, module:function, file.py or file.py:function"

_DESCRIPTION = """\
Starts nodes as processes on this machine, connects them, lets each run APP, and shows their logs, until Ctrl-C or SIGTERM ends
them in good order; a second Ctrl-C ends them at once. A node whose process is killed, or fails, is started anew.
"""
_EPILOG = f"""\
APP is {_FORMS}. The function, or else one called main or start, is called with
the Node on each node; look at node.name to tell them apart. The exit code is 0 after Ctrl-C or SIGTERM, and if all nodes ended
by themselves with status 0; 1 if they could not be started, or died too often; 2 if an argument is wrong.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the command line."""
    parser = commands.add_parser(
        "up",
        help="run an app on several nodes, each a process on this machine",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("app", metavar="APP", help="what each node runs")
    add(
        "--nodes",
        type=_nodes,
        default=DEFAULT_NODES,
        metavar="N|a,b,c",
        help=f"how many nodes, or their names (default: {DEFAULT_NODES})",
    )
    add("--name", metavar="RUN", help="what the run is called (default: after APP)")
    add(
        "--port",
        type=int,
        metavar="BASE",
        help="where the first node listens, the others at the next ports (default: any free ones)",
    )
    add("--no-restart", action="store_true", help="do not start nodes anew that die")
    add(
        "--grace",
        type=_seconds,
        default=DEFAULT_GRACE,
        metavar="S",
        help=f"seconds the nodes have to end in good order (default: {DEFAULT_GRACE:g})",
    )
    add("--log-level", choices=LEVELS, default="info", help="the least that is logged")
    add("--key", type=Path, metavar="FILE", help="the nodes' secret (default: a fresh one)")
    parser.set_defaults(run=run)


def _nodes(text: str) -> tuple[str, ...]:
    try:
        return node_names(int(text) if text.strip("-").isdecimal() else text.split(","))
    except SpecError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"grace is seconds from 0 up, got {text!r}")
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    _fill_closed_streams()
    wrong = misnamed(arguments.app)
    if wrong:
        return _complain(wrong, ExitCode.MISUSED)
    name = arguments.name if arguments.name is not None else _named_after(arguments.app)
    try:
        with claim(name) as claimed:
            settings = _settings(arguments, claimed.make_key(SystemEntropy()))
            return trio.run(_until_told, settings, claimed)
    except (KeyFileError, RunError, SpecError) as error:
        return _complain(str(error), ExitCode.MISUSED)


def _fill_closed_streams() -> None:
    """A standard stream that is closed (``>&-``) would be the next pipe that is made, and its nodes' undoing."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST_STANDARD:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def misnamed(app: str, path: Sequence[str] = ("", *sys.path)) -> str:
    """What is wrong with an app's name that cannot be right; empty if nothing is."""
    place, mark, function = app.rpartition(":")
    if not app or (mark and not function.isidentifier() and not app.endswith(".py")):
        return f"APP is {_FORMS}, got {app!r}"
    place = place if mark and function.isidentifier() else app
    if place.endswith(".py"):
        return ""
    if place in (".", "..") or (os.sep in place and Path(place).is_dir()):
        return f"APP is {_FORMS}, got {app!r}, which is a directory"
    module = "" if os.sep in place else _module_before(place, path)
    if not module:
        return ""
    rest = place.removeprefix(f"{module}.")
    meant = f"{module}:{rest}" if rest.isidentifier() else module
    return f"{module!r} is a module, and not a package; did you mean {meant}?"


def _module_before(place: str, path: Sequence[str]) -> str:
    """The part of a dotted name that is a module and no package, though more comes; looked for, and not imported."""
    head, dot, rest = place.partition(".")
    while dot:
        try:
            spec = PathFinder.find_spec(head, path)
        except KeyError:  # a namespace in a namespace, which only an import could look into
            return ""
        if spec is None:
            return ""
        if spec.submodule_search_locations is None:
            return head
        path = spec.submodule_search_locations
        name, dot, rest = rest.partition(".")
        head = f"{head}.{name}"
    return ""


def _settings(arguments: argparse.Namespace, operators: bytes) -> Settings:
    key = SystemEntropy().token_bytes(32) if arguments.key is None else read_key_file(arguments.key)
    return Settings(
        names=arguments.nodes,
        app=arguments.app,
        restart="never" if arguments.no_restart else "on-failure",
        port=arguments.port,
        key=key,
        operators=(operators,),
        path=(str(Path.cwd()), *sys.path),
        log_level=arguments.log_level,
        grace=arguments.grace,
    )


def _named_after(app: str) -> str:
    place, mark, function = app.rpartition(":")
    place = place if mark and function.isidentifier() else app
    last = Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]
    return re.sub(r"[^A-Za-z0-9_-]", "-", last)[:64] or "run"


def _complain(text: str, code: ExitCode) -> int:
    print(f"actorkit up: {printable(text)}", file=sys.stderr)
    return code


async def _until_told(settings: Settings, claimed: Claim) -> int:
    """Keep the nodes running until a signal, or until nothing is left to keep."""
    launch = prepare_launch(settings, sys.stdout)
    launch.advice = "see the logs"
    began = time.time()
    body = trio.CancelScope()

    def publish() -> None:
        claimed.publish(_as_run(launch, claimed.name, began))
        if launch.over and launch.failure is None and not body.cancel_called:
            launch.say(f"all nodes have ended: {_statuses(launch)}")
            body.cancel()

    launch.on_change = publish
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_heed, signals, launch, body)
            try:
                with body:
                    await _keep(launch, claimed.name)
            except LaunchFailed as error:
                sys.stderr.write(error.detail)
                return _complain(str(error), ExitCode.BAD)
            finally:
                nursery.cancel_scope.cancel()
    return ExitCode.BAD if launch.over and _any_failed(launch) else ExitCode.GOOD


async def _keep(launch: Launch, name: str) -> None:
    async with launch.running():
        names = ", ".join(launch.nodes)
        launch.say(f"run {name} is up: {names}. Ctrl-C ends it.")
        launch.say(f"look in from another terminal: actorkit tree|nodes|attach --run {name}")
        if launch.idle:
            place = (launch.settings.app or "").partition(":")[0]
            launch.say(f"{place} has no main(node) or start(node): the nodes run nothing")
        launch.run_apps()
        await trio.sleep_forever()


async def _heed(signals: AsyncIterator[int], launch: Launch, body: trio.CancelScope) -> None:
    async for number in signals:
        if number == signal.SIGINT and not body.cancel_called:
            launch.say("ending; Ctrl-C again ends at once")
        if body.cancel_called and number == signal.SIGINT:
            launch.kill_all()
        body.cancel()


def _statuses(launch: Launch) -> str:
    return ", ".join(
        f"{name} by {last.signal.name}" if last.signal else f"{name} with status {last.status}"
        for name, node in launch.nodes.items()
        if (last := node.last_exit) is not None
    )


def _any_failed(launch: Launch) -> bool:
    lasts = [node.last_exit for node in launch.nodes.values()]
    return any(last is not None and last.status != 0 and not last.asked for last in lasts)


def _as_run(launch: Launch, name: str, began: float) -> Run:
    """What other programs are told."""
    now, moment = time.time(), trio.current_time()
    nodes = tuple(
        NodeRecord(
            name=node.name,
            pid=node.pid if node.alive else None,
            address=node.address,
            started=now - (moment - node.started_at) if node.address else began,
            restarts=node.restarts,
        )
        for node in launch.nodes.values()
    )
    return Run(name, os.getpid(), launch.settings.app or "", began, nodes)
