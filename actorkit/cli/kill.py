"""``actorkit kill``: a whole node by a signal, or one actor on it."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Sequence

import trio

import actorkit as ak
from actorkit.cli.codes import ExitCode
from actorkit.cli.nodes import (
    PATIENCE,
    add_run_to,
    complain,
    open_operator,
    reach,
    silence,
    within_run,
)
from actorkit.cli.tree import node_named
from actorkit.cluster.node import Node
from actorkit.errors import AskError, NodeError
from actorkit.launch.rundir import NodeRecord, Run, RunError

SIGNALS = ("KILL", "TERM", "STOP", "CONT")

_DESCRIPTION = """\
Kills a node's process, or one actor, of a run that `actorkit up` has started, to see what becomes of it. NODE is a node's name.
An actor is NODE:/path, or /path if only one node has such an actor; `actorkit tree` shows the paths.
"""
_EPILOG = """\
The exit code is 0 if it was killed, 1 if there is no such actor or its node does not answer, 2 if an argument is wrong.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the command line."""
    parser = commands.add_parser(
        "kill",
        help="kill a node or an actor of a run, and watch it recover",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "victim", metavar="NODE|[NODE:]/PATH", help="a node, or an actor by its path"
    )
    parser.add_argument(
        "--signal",
        type=str.upper,
        choices=SIGNALS,
        help="what a node's process is sent (default: KILL); STOP halts it, CONT lets it go on",
    )
    add_run_to(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    victim: str = arguments.victim
    where, slash, path = victim.partition("/")
    if slash and (arguments.signal or (where and not where.endswith(":"))):
        wrong = (
            f"--signal is for a node's process, and {victim!r} is an actor, which can only be killed"
            if arguments.signal
            else f"{victim!r} is neither a node nor an actor: it reads NODE, NODE:/path or /path"
        )
        return complain("kill", wrong, ExitCode.MISUSED)

    async def kill(up: Run) -> int:
        if not slash:
            return _signal_node(node_named(up, victim), arguments.signal or "KILL")
        return await _kill_actor(up, where.rstrip(":"), f"/{path}")

    return within_run("kill", arguments.run_name, kill)


def _signal_node(record: NodeRecord, name: str) -> int:
    try:
        if record.pid is None:
            raise ProcessLookupError
        os.kill(record.pid, signal.Signals[f"SIG{name}"])
    except ProcessLookupError:
        return complain("kill", silence(record), ExitCode.BAD)
    print(f"sent SIG{name} to node {record.name} (pid {record.pid})")
    return ExitCode.GOOD


async def _kill_actor(up: Run, where: str, path: str) -> int:
    wanted = (node_named(up, where),) if where else up.nodes
    async with open_operator(up) as node:
        found = await _look_for(path, wanted, node)
        wrong = _unclear(found, path, named=bool(where))
        if wrong:
            return complain("kill", wrong, ExitCode.BAD)
        holders = [record.name for record, there in found if there]
        if len(holders) > 1:
            choices = ", ".join(f"{name}:{path}" for name in holders)
            raise RunError(f"{path} is on {len(holders)} nodes; say which: {choices}")
        if holders and await node.remote(holders[0]).kill(path):
            print(f"killed {holders[0]}:{path}")
            return ExitCode.GOOD
    there = f"node {where}" if where else f"any node of run {up.name!r}"
    return complain("kill", f"there is no actor {path} on {there}", ExitCode.BAD)


# Each node with whether it has the actor; None if it could not be asked.
_Found = list[tuple[NodeRecord, bool | None]]


def _unclear(found: _Found, path: str, *, named: bool) -> str:
    """Why it cannot be said where an actor is; empty if it can. One that is down has none."""
    silent = [record for record, there in found if there is None]
    if named:
        return "".join(map(silence, silent))
    unheard = [record.name for record in silent if record.pid is not None]
    if not unheard:
        return ""
    who = f"nodes {', '.join(unheard)} do" if len(unheard) > 1 else f"node {unheard[0]} does"
    known = next((record.name for record, there in found if there), "NODE")
    return f"{who} not answer, and may have {path} too; name the node: {known}:{path}"


async def _look_for(path: str, wanted: Sequence[NodeRecord], node: Node) -> _Found:
    """Ask all nodes at once."""
    found: dict[str, bool | None] = {}

    async def look(record: NodeRecord) -> None:
        found[record.name] = await _has(record, node, path)

    async with trio.open_nursery() as nursery:
        for record in wanted:
            nursery.start_soon(look, record)
    return [(record, found[record.name]) for record in wanted]


async def _has(record: NodeRecord, node: Node, path: str) -> bool | None:
    """Whether a node has such an actor; None if it cannot be asked."""
    if record.pid is None or not await reach(record, node):
        return None
    try:
        with trio.fail_after(PATIENCE):
            await node.remote(record.name).status(path)
    except ak.ActorDied:
        return False
    except (NodeError, AskError, trio.TooSlowError):
        return None
    return True
