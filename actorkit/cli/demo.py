"""``actorkit demo``: a crew of actors studies a body of text while it is killed at random."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
from pathlib import Path

import trio
from rich.console import Console

from actorkit.cli.codes import ExitCode
from actorkit.demo.corpus import REPORT_FILES, CorpusError, open_corpus
from actorkit.demo.edition import check_directory
from actorkit.demo.ground import NoGround
from actorkit.demo.job import Job, do_job
from actorkit.demo.show import LivePicture, PlainLines, Show
from actorkit.observe.text import printable

DEFAULT_KILLS = 25
MAX_KILLS = 10_000
DEFAULT_NODES = 3
MAX_NODES = 9
DEFAULT_NODE_KILLS = 2
DEFAULT_REPORT = Path("actorkit-report")

_DESCRIPTION = """\
A crew of actors - a lister, readers, analysts, a foreman, an editor - studies a body of text and writes a report on it,
while its members are killed at random. The readers live on nodes of their own, each an OS process, and whole nodes are
killed too. At the end the report is compared with what the same study gives undisturbed.
"""
_EPILOG = """\
Kills fall when shares of the work are done, drawn from the seed. Every one is carried out: if there is too little work for
so many, the rest fall while the report is being made, and it is made again until none is left. The exit code is 0 if the
report is the same as undisturbed, every kill was somebody's death, every message is accounted for, and no actor, process
or taken port is left behind; 1 if not; 2 if an argument is wrong; 130 after Ctrl-C.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the command line."""
    parser = commands.add_parser(
        "demo",
        help="watch a crew of actors do its work while they are killed at random",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "path",
        nargs="?",
        type=Path,
        metavar="PATH",
        help="a directory, or a file, of Python or prose; the standard library's sources if not given",
    )
    parser.add_argument(
        "--kills",
        type=_kills,
        default=DEFAULT_KILLS,
        metavar="N",
        help=f"how many actors are killed (default: {DEFAULT_KILLS})",
    )
    parser.add_argument(
        "--node-kills",
        type=_node_kills,
        metavar="N",
        help=f"how many nodes are killed besides, with SIGKILL (default: {DEFAULT_NODE_KILLS} if there are several)",
    )
    parser.add_argument(
        "--nodes",
        type=_nodes,
        default=DEFAULT_NODES,
        metavar="N",
        help=f"how many nodes there are; 1 is this process alone (default: {DEFAULT_NODES})",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="S",
        help="what the victims and moments are drawn from (default: another one each time)",
    )
    parser.add_argument(
        "--report",
        type=Path,
        default=DEFAULT_REPORT,
        metavar="DIR",
        help=f"where report.md and report.html go (default: {DEFAULT_REPORT})",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="plain lines instead of a live picture, on a terminal too",
    )
    parser.set_defaults(run=run)


def _kills(text: str) -> int:
    return _number("kills", text, 0, MAX_KILLS)


def _node_kills(text: str) -> int:
    return _number("node-kills", text, 0, MAX_KILLS)


def _nodes(text: str) -> int:
    return _number("nodes", text, 1, MAX_NODES)


def _number(what: str, text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(
            f"{what} is a number from {least} to {most:,}, got {text!r}"
        )
    return number


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    report: Path = arguments.report
    try:
        corpus = open_corpus(arguments.path, report)
        check_directory(report)
    except CorpusError as error:
        return _misused(str(error))
    except OSError as error:
        return _misused(f"cannot write a report to {report}: {error.strerror or error}")
    node_kills = _wanted_node_kills(arguments)
    if node_kills and arguments.nodes == 1:
        return _misused("--node-kills takes nodes to kill; allow --nodes 2 or more")
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(10_000)
    job = Job(corpus, arguments.kills, seed, report, nodes=arguments.nodes, node_kills=node_kills)
    try:
        return trio.run(_until_done_or_told, job, _show(plain=arguments.plain))
    except* NoGround as errors:
        _misused(f"{errors.exceptions[0]}; --nodes 1 does without")
    return ExitCode.BAD


def _wanted_node_kills(arguments: argparse.Namespace) -> int:
    if arguments.node_kills is not None:
        return int(arguments.node_kills)
    return DEFAULT_NODE_KILLS if arguments.nodes > 1 else 0


def _misused(text: str) -> int:
    print(f"actorkit demo: {printable(text)}", file=sys.stderr)
    return ExitCode.MISUSED


def _show(*, plain: bool) -> Show:
    console = Console()
    if plain or not console.is_terminal or console.is_dumb_terminal:
        return PlainLines(lambda text: print(text, flush=True))
    return LivePicture(console)


async def _until_done_or_told(job: Job, show: Show) -> int:
    """Do the job; a signal breaks it off, and then everything is stopped in good order."""
    code = ExitCode.BAD

    async def listen(scope: trio.CancelScope) -> None:
        nonlocal code
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                code = ExitCode.TERMINATED if number == signal.SIGTERM else ExitCode.INTERRUPTED
                scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, nursery.cancel_scope)
        verdict = await do_job(job, show)
        for line in verdict.lines():
            show.say(line)
        files = ", ".join(printable(str(job.report / name)) for name in REPORT_FILES)
        show.say(f"  report        {files}")
        code = ExitCode.GOOD if verdict.good else ExitCode.BAD
        nursery.cancel_scope.cancel()
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        show.say("Interrupted: the work was broken off and everybody was stopped in good order.")
    return code
