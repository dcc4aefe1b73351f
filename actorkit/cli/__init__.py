"""The command line: ``actorkit COMMAND``. Each command has a module of its own."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from actorkit.cli import attach, demo, doctor, kill, nodes, replay, tree, up
from actorkit.cli.codes import ExitCode

_COMMANDS = (demo, up, nodes, tree, kill, attach, doctor, replay)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where to read more."""

    def error(self, message: str) -> NoReturn:
        """End the program."""
        self.exit(ExitCode.MISUSED, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code.

    Args:
        argv: the arguments; those of the process if not given.
    """
    _write_whatever_comes()
    arguments = _parser().parse_args(argv)
    code = ExitCode.BAD
    try:
        code = arguments.run(arguments)
    except* KeyboardInterrupt:
        # Ctrl-C before a command listens to signals itself, or after.
        code = ExitCode.INTERRUPTED
        print("Interrupted.", file=sys.stderr)
    except* BrokenPipeError:
        code = ExitCode.OUTPUT_CLOSED
        # Python flushes stdout once more when it ends, and must not fail then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _parser() -> Parser:
    parser = Parser(prog="actorkit", description="A typed actor runtime on trio.")
    parser.add_argument("--version", action="version", version=f"actorkit {version('actorkit')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_to(commands)
    return parser


def _write_whatever_comes() -> None:
    """Names of files may hold characters that the terminal's encoding lacks; they are no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
