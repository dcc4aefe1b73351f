"""``actorkit tree``: the supervision trees of a run, node by node."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

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
from actorkit.cluster.node import Node
from actorkit.launch.rundir import NodeRecord, Run, RunError
from actorkit.observe.text import printable

# What is drawn before a child, before the last one, and below a child that is not the last.
Branches = tuple[str, str, str]
LINES: Branches = ("├─ ", "└─ ", "│  ")
ASCII: Branches = ("|- ", "`- ", "|  ")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the command line."""
    parser = commands.add_parser(
        "tree",
        help="the actors of a run, as trees",
        description="Shows all actors of a run that `actorkit up` has started, or those of one node. The exit code is 1 "
        "if a node does not answer.",
    )
    parser.add_argument("node", nargs="?", metavar="NODE", help="only this node's")
    add_run_to(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""

    async def show(up: Run) -> int:
        return await _show(up, _wanted(up, arguments.node))

    return within_run("tree", arguments.run_name, show)


def _wanted(up: Run, name: str | None) -> Sequence[NodeRecord]:
    if name is None:
        return up.nodes
    return (node_named(up, name),)


def node_named(up: Run, name: str) -> NodeRecord:
    """A run's node.

    Raises:
        RunError: it has none of that name.
    """
    record = up.node(name)
    if record is None:
        known = ", ".join(node.name for node in up.nodes)
        raise RunError(f"run {up.name!r} has no node {name!r}; it has {known}")
    return record


async def _show(up: Run, wanted: Sequence[NodeRecord]) -> int:
    code = ExitCode.GOOD
    branches = branches_of(getattr(sys.stdout, "encoding", None) or "utf-8")
    async with open_operator(up) as node:
        for record in wanted:
            tops = await _tree_of(record, node)
            if tops is None:
                code = ExitCode.BAD
                complain("tree", silence(record), code)
            else:
                print("\n".join(lines_of(record.name, tops, branches)))
    return code


async def _tree_of(record: NodeRecord, node: Node) -> tuple[ak.Branch, ...] | None:
    if record.pid is None or not await reach(record, node):
        return None
    with trio.move_on_after(PATIENCE):
        return await node.remote(record.name).tree()
    return None


def branches_of(encoding: str) -> Branches:
    """Lines if an encoding has them."""
    try:
        "".join(LINES).encode(encoding)
    except UnicodeEncodeError:
        return ASCII
    return LINES


def lines_of(name: str, tops: Sequence[ak.Branch], branches: Branches = LINES) -> Iterator[str]:
    """A node and its trees, a line per actor."""
    actors = sum(map(_count, tops))
    yield f"{name}  {actors} actor{'' if actors == 1 else 's'}"
    for number, top in enumerate(tops):
        yield from _lines(top, "", branches, last=number == len(tops) - 1)


def _lines(branch: ak.Branch, indent: str, branches: Branches, *, last: bool) -> Iterator[str]:
    beside, corner, line = branches
    name = printable(branch.path.rsplit("/", 1)[-1] or "/")
    counts = f"handled {branch.handled:,}, waiting {branch.waiting:,}"
    state = "" if branch.state == "running" else f"{branch.state}  "
    yield f"{indent}{corner if last else beside}{name}  {branch.actor}  {state}{counts}"
    below = indent + ("   " if last else line)
    for number, child in enumerate(branch.children):
        yield from _lines(child, below, branches, last=number == len(branch.children) - 1)


def _count(branch: ak.Branch) -> int:
    return 1 + sum(map(_count, branch.children))
