"""``actorkit kill``: a whole node by a signal, or one actor on it."""

from __future__ import annotations

import argparse
import os
import signal

import trio

import actorkit as ak
from actorkit.cli.codes import ExitCode
from actorkit.cli.nodes import PATIENCE, add_run_to, complain, open_operator, reach, within_run
from actorkit.cli.tree import node_named
from actorkit.cluster.node import Node
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
        return complain("kill", f"node {record.name} is down", ExitCode.BAD)
    print(f"sent SIG{name} to node {record.name} (pid {record.pid})")
    return ExitCode.GOOD


async def _kill_actor(up: Run, where: str, path: str) -> int:
    wanted = (node_named(up, where),) if where else up.nodes
    async with open_operator(up) as node:
        holders = [r for r in wanted if r.pid is not None and await _has(r, node, path)]
        if len(holders) > 1:
            choices = ", ".join(f"{record.name}:{path}" for record in holders)
            raise RunError(f"{path} is on {len(holders)} nodes; say which: {choices}")
        if holders:
            name = holders[0].name
            if await node.remote(name).kill(path):
                print(f"killed {name}:{path}")
                return ExitCode.GOOD
    there = f"node {where}" if where else f"any node of run {up.name!r}"
    return complain("kill", f"there is no actor {path} on {there}", ExitCode.BAD)


async def _has(record: NodeRecord, node: Node, path: str) -> bool:
    """Whether a node answers, and has such an actor."""
    if not await reach(record, node):
        complain("kill", f"node {record.name} does not answer", ExitCode.BAD)
        return False
    with trio.move_on_after(PATIENCE):
        try:
            await node.remote(record.name).status(path)
        except ak.ActorDied:
            return False
        return True
    return False
