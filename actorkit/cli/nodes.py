"""``actorkit nodes``: the nodes of a run, and how they are; and how every command finds its run and looks in."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from actorkit.cli.codes import ExitCode
from actorkit.cluster.keys import KeyFileError, Secret
from actorkit.cluster.node import Node, open_node
from actorkit.cluster.services import NodeInfo
from actorkit.errors import AskError, NodeError
from actorkit.launch.rundir import NodeRecord, Run, RunError, find_run
from actorkit.observe.text import printable

PATIENCE = 3.0  # seconds for a node to answer; one that is stopped never will

_HEADS = ("node", "pid", "address", "state", "uptime", "restarts", "actors", "dead letters")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the command line."""
    parser = commands.add_parser(
        "nodes",
        help="the nodes of a run, and how they are",
        description="Shows the nodes of a run that `actorkit up` has started. The exit code is 1 if one is not up.",
    )
    add_run_to(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    return within_run("nodes", arguments.run_name, _show)


async def _show(up: Run) -> int:
    async with open_operator(up) as node:
        found = await look_at_all(up, node)
    now = time.time()
    for line in table([_HEADS, *(_row(look, now) for look in found)]):
        print(line)
    return ExitCode.GOOD if all(look.info is not None for look in found) else ExitCode.BAD


def _row(look: Look, now: float) -> tuple[str, ...]:
    record, info = look.record, look.info
    return (
        record.name,
        str(record.pid or "-"),
        record.address or "-",
        look.state,
        for_people(now - record.started) if record.pid else "-",
        str(record.restarts),
        f"{info.actors:,}" if info else "-",
        f"{info.dead_letters:,}" if info else "-",
    )


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, their columns under each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_cells(row, widths)).rstrip() for row in rows]


def _cells(row: Sequence[str], widths: Sequence[int]) -> Iterable[str]:
    for cell, width in zip(row, widths, strict=True):
        yield printable(cell).ljust(width)


def for_people(seconds: float) -> str:
    """A span of time in at most two units."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


# Shared by the commands that look into a run ---------------------------------------------------------------------------


def add_run_to(parser: argparse.ArgumentParser) -> None:
    """Add the option that says which run is meant."""
    parser.add_argument(
        "--run",
        dest="run_name",
        metavar="NAME",
        help="which run, if several are up",
    )


def silence(record: NodeRecord) -> str:
    """What is said of a node that could not be asked."""
    return f"node {record.name} {'is down' if record.pid is None else 'does not answer'}"


def within_run(command: str, name: str | None, main: Callable[[Run], Awaitable[int]]) -> int:
    """Find a run, and do something with it; what goes wrong is told in one line."""
    return guarded(command, lambda: trio.run(main, find_run(name)))


def guarded(command: str, main: Callable[[], int]) -> int:
    """Do something with a run; what goes wrong is told in one line."""
    try:
        return main()
    except (RunError, KeyFileError) as error:
        return complain(command, str(error), ExitCode.MISUSED)
    except (NodeError, AskError, TimeoutError) as error:
        return complain(command, str(error), ExitCode.BAD)


def complain(command: str, text: str, code: ExitCode) -> int:
    """Say what is wrong in one line, and return the exit code."""
    print(f"actorkit {command}: {printable(text)}", file=sys.stderr)
    return code


@asynccontextmanager
async def open_operator(up: Run) -> AsyncGenerator[Node]:
    """A node of this program's own, which sees the run and is not seen: hidden, it listens nowhere."""
    async with open_node(
        f"operator-{os.getpid()}",
        listen=None,
        secret=Secret(up.key()),
        hidden=True,
        mesh=False,
        logs=False,
        watchdog=None,
    ) as node:
        yield node


@attrs.frozen
class Look:
    """What was seen of one node.

    Attributes:
        record: what the run says of it.
        info: what it says of itself; None if it does not answer.
        state: ``up``, ``down``, ``stopped`` (by a signal), or ``does not answer``.
    """

    record: NodeRecord
    info: NodeInfo | None
    state: str


async def look_at_all(up: Run, node: Node) -> list[Look]:
    """Ask all nodes at once how they are."""
    looks: dict[str, Look] = {}

    async def look(record: NodeRecord) -> None:
        looks[record.name] = await _look_at(record, node)

    async with trio.open_nursery() as nursery:
        for record in up.nodes:
            nursery.start_soon(look, record)
    return [looks[record.name] for record in up.nodes]


async def _look_at(record: NodeRecord, node: Node) -> Look:
    if record.pid is None:
        return Look(record, None, "down")
    if await reach(record, node):
        try:
            with trio.fail_after(PATIENCE):
                return Look(record, await node.remote(record.name).info(), "up")
        except (NodeError, AskError, TimeoutError, trio.TooSlowError):
            pass
    return Look(record, None, "does not answer")


async def reach(record: NodeRecord, node: Node) -> bool:
    """Connect to a node; tells whether it could be reached."""
    try:
        with trio.fail_after(PATIENCE):
            await node.connect(record.address)
    except (NodeError, OSError, trio.TooSlowError):
        return False
    return True
