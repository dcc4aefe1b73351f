"""``actorkit attach``: a Python prompt among the nodes of a run, with ``await``."""

from __future__ import annotations

import argparse
import ast
import builtins
import code
import inspect
import sys
import threading
import traceback
import warnings
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, TextIO

import attrs
import trio

import actorkit as ak
from actorkit.cli.codes import ExitCode
from actorkit.cli.nodes import (
    add_run_to,
    complain,
    guarded,
    open_operator,
    reach,
    silence,
    within_run,
)
from actorkit.cluster.node import Node, RemoteNode
from actorkit.launch.app import exit_status
from actorkit.launch.rundir import Run, find_run
from actorkit.observe.text import printable

_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_UNAWAITED = "was never awaited"
_THEIRS = ("<stdin>", "<console>")  # as the user's programs are called in tracebacks
_EXAMPLE = 'print(await remote("a").names())'

_DESCRIPTION = f"""\
Connects to a run that `actorkit up` has started, as a node that the others do not see, and gives a Python prompt with `await`:
`node` is this node, `cluster` the run, `remote("a")` a handle on a node of it. Without a terminal it runs the program it reads:
echo '{_EXAMPLE}' | actorkit attach
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the command line."""
    parser = commands.add_parser(
        "attach",
        help="a Python prompt among the nodes of a run",
        description=_DESCRIPTION,
        epilog="The exit code is 1 if a program that was read fails.",
    )
    parser.add_argument("program", nargs="?", help=argparse.SUPPRESS)
    add_run_to(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    if arguments.program is not None:
        asked = f"actorkit attach < {arguments.program}"
        print(f"actorkit attach reads commands from its input: {printable(asked)}", file=sys.stderr)
        return ExitCode.MISUSED
    sys.path.insert(
        0, str(Path.cwd())
    )  # as Python's own prompt does: the app's messages are wanted
    with _unawaited_are_told():
        if not sys.stdin.isatty():
            return within_run("attach", arguments.run_name, _program)
        return guarded("attach", lambda: _prompt(find_run(arguments.run_name)))


@contextmanager
def _unawaited_are_told() -> Iterator[None]:
    """A coroutine that nobody awaited is told each time, whatever is done with warnings elsewhere."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if str(message).endswith(_UNAWAITED):
                where = f"{filename}, line {lineno}: " if filename == "<stdin>" else ""
                sys.stderr.write(f"{where}{message}: did you forget await?\n")
            else:
                shown(message, category, filename, lineno, file, line)

        warnings.filterwarnings("always", rf".*{_UNAWAITED}$", RuntimeWarning)
        warnings.showwarning = show
        yield


@attrs.frozen
class Cluster:
    """The run that one is attached to: ``cluster.names``, ``cluster["a"]``."""

    run: Run
    node: Node

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its nodes."""
        return tuple(record.name for record in self.run.nodes)

    def __getitem__(self, name: str) -> RemoteNode:
        if name not in self.names:
            raise KeyError(f"there is no node {name!r}; there are {', '.join(self.names)}")
        return self.node.remote(name)


@asynccontextmanager
async def _attached(up: Run) -> AsyncGenerator[dict[str, Any]]:
    """Connect, and give the names that a program finds."""
    async with open_operator(up) as node:
        for record in up.nodes:
            if not await reach(record, node):
                complain("attach", silence(record), ExitCode.BAD)
        yield {
            "__name__": "__main__",
            "__builtins__": builtins,
            "ak": ak,
            "trio": trio,
            "node": node,
            "cluster": Cluster(up, node),
            "remote": node.remote,
        }


async def _carry_out(compiled: CodeType, names: dict[str, Any]) -> None:
    result = FunctionType(compiled, names)()
    if inspect.iscoroutine(result):
        await result


# Without a terminal -----------------------------------------------------------------------------------------------------


async def _program(up: Run) -> int:
    async with _attached(up) as names:
        try:
            compiled = compile(sys.stdin.read(), "<stdin>", "exec", flags=_AWAIT)
            await _carry_out(compiled, names)
        except Exception as error:  # noqa: BLE001 - the user's own program
            sys.stderr.write(_theirs(error))
            return ExitCode.BAD
        except SystemExit as error:
            return exit_status(error) or ExitCode.GOOD
    return ExitCode.GOOD


def _theirs(error: BaseException) -> str:
    """A traceback that begins where the user's program does."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename not in _THEIRS:
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame))


# On a terminal ----------------------------------------------------------------------------------------------------------


def _prompt(up: Run) -> int:
    """Serve a prompt on the main thread, where Ctrl-C arrives, with the node in a thread beside it."""
    beside = _Beside(up)
    names = beside.start()
    try:
        known = ", ".join(record.name for record in up.nodes)
        _Prompt(names, beside).interact(
            f"attached to run {up.name} ({known}) as {names['node'].name}\n"
            "node, cluster, remote(name), ak and trio are here, and await works; Ctrl-D leaves",
            "",
        )
    finally:
        beside.stop()
    return ExitCode.GOOD


class _Beside:
    """Trio in a thread of its own, with a node in it."""

    def __init__(self, up: Run) -> None:
        self._up = up
        self._thread = threading.Thread(target=self._run, name="actorkit attach")
        self._ready = threading.Event()
        self._names: dict[str, Any] = {}
        self._token: trio.lowlevel.TrioToken | None = None
        self._over = trio.Event()
        self._failure: Exception | None = None
        self._scope = trio.CancelScope()

    def start(self) -> dict[str, Any]:
        """Connect; returns the names that a program finds."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self._names

    def carry_out(self, compiled: CodeType) -> None:
        """Run a piece of program in trio, and wait for it; Ctrl-C cancels it."""
        try:
            trio.from_thread.run(self._within_scope, compiled, trio_token=self._token)
        except KeyboardInterrupt:
            assert self._token is not None, "something was running"
            self._token.run_sync_soon(self._scope.cancel)
            raise

    def stop(self) -> None:
        """Let go of the node."""
        if self._token is not None:
            self._token.run_sync_soon(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            trio.run(self._serve)
        except Exception as error:  # noqa: BLE001 - raised again on the main thread
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        async with _attached(self._up) as self._names:
            self._token = trio.lowlevel.current_trio_token()
            self._ready.set()
            await self._over.wait()

    async def _within_scope(self, compiled: CodeType) -> None:
        with trio.CancelScope() as self._scope:
            await _carry_out(compiled, self._names)


class _Prompt(code.InteractiveConsole):
    """Python's own prompt, with ``await``."""

    def __init__(self, names: dict[str, Any], beside: _Beside) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= _AWAIT
        self._beside = beside

    def runcode(self, code: CodeType) -> None:
        """Run what was typed."""
        try:
            self._beside.carry_out(code)
        except (SystemExit, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - the user's own program
            self.write(_theirs(error))
