"""A node in an OS process of its own: how one is started, the pipes to it, and the handle that others have on it."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

import attrs
import trio

from actorkit.errors import NodeError
from actorkit.launch.logs import LineSplitter
from actorkit.launch.orders import Orders

_CHUNK = 65536

Command = Callable[[str, int, int], Sequence[str]]


class LaunchFailed(NodeError):
    """Nodes could not be launched, or not be kept running.

    Attributes:
        detail: a traceback of the app's own code, if that is what failed.
    """

    def __init__(self, text: str, detail: str = "") -> None:
        super().__init__(text)
        self.detail = detail


@attrs.frozen
class NodeExit:
    """The end of a node's process, and what came of it.

    Attributes:
        node: its name.
        pid: the process.
        status: its exit status; the negative number of the signal that ended it.
        asked: whether it was told to end.
        successor: the process that takes its place; None if none does.
    """

    node: str
    pid: int
    status: int
    asked: bool = False
    successor: int | None = None

    @property
    def signal(self) -> signal.Signals | None:
        """The signal that ended it."""
        return signal.Signals(-self.status) if self.status < 0 else None

    def __str__(self) -> str:
        return f"{self.how}; {self.then}" if self.then else self.how

    @property
    def how(self) -> str:
        """How it ended, in words."""
        who = f"node {self.node} (pid {self.pid})"
        if self.signal is not None:
            return f"{who} was killed by {self.signal.name}"
        return f"{who} ended with status {self.status}" if self.status else f"{who} has ended"

    @property
    def then(self) -> str:
        """What came of it, in words; empty if it was told to end, for then that is all."""
        if self.successor is not None:
            return f"restarted as pid {self.successor}"
        return "" if self.asked else "not restarted"


# Starting one ---------------------------------------------------------------------------------------------------------


def python_command(name: str, orders: int, reports: int) -> list[str]:
    """How a node's process is called: this interpreter, as strict with warnings as here."""
    warned = [f"-W{option}" for option in sys.warnoptions]
    module = ["-m", "actorkit.launch.child"]
    return [sys.executable, *warned, *module, name, str(orders), str(reports)]


@attrs.frozen(eq=False)
class Child:
    """One process, and this end of its pipes."""

    process: trio.Process
    orders: trio.lowlevel.FdStream
    reports: trio.lowlevel.FdStream

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        try:
            self.process.send_signal(number)
        except ProcessLookupError:
            pass

    def terminate(self) -> None:
        """Tell it to end; one that was stopped is let go on, for it could not otherwise."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)

    def destroy(self) -> None:
        """End it at once."""
        if self.alive:
            self.sweep()

    def sweep(self) -> None:
        """End all of its process group: what it has started and left behind as well."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS says so of a group of zombies
            pass

    async def tell(self, what: Mapping[str, object]) -> None:
        """Send it a document; it does not matter if it has ended."""
        await self.write(json.dumps(what).encode() + b"\n")

    async def write(self, line: bytes) -> None:
        """Send it a line."""
        try:
            await self.orders.send_all(line)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it has ended, and that is heard of elsewhere

    async def close(self) -> None:
        """Close this end of its pipes, after its end."""
        _lifelines.discard(self.orders.fileno())
        for stream in (self.orders, self.reports, self.process.stdout, self.process.stderr):
            assert stream is not None, "it was started with pipes"
            await stream.aclose()


# Who holds the other end of these keeps nodes alive: that is this process, and nobody who is forked off it.
_lifelines: set[int] = set()


def _let_go() -> None:
    """In a process that was forked and runs on in this program: whoever closes these again must find them open."""
    if _lifelines:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in _lifelines:
            os.dup2(nowhere, descriptor, inheritable=False)
        os.close(nowhere)


os.register_at_fork(after_in_child=_let_go)


async def start_child(command: Command, orders: Orders) -> Child:
    """Start a process, and give it its orders.

    It gets a process group of its own, so that a terminal's Ctrl-C reaches only its launcher, which ends it in good order.
    It stays in the session: if its launcher dies while it is stopped, the kernel then wakes it with SIGHUP (POSIX,
    "orphaned process group"), where in a session of its own it would sleep for ever.
    """
    orders_read, orders_write = os.pipe()
    reports_read, reports_write = os.pipe()
    try:
        process = await trio.lowlevel.open_process(
            command(orders.name, orders_read, reports_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(orders_read, reports_write),
            process_group=0,
        )
    except BaseException:
        os.close(orders_write)
        os.close(reports_read)
        raise
    finally:
        os.close(orders_read)
        os.close(reports_write)
    _lifelines.add(orders_write)
    writing = trio.lowlevel.FdStream(orders_write)
    child = Child(process, writing, trio.lowlevel.FdStream(reports_read))
    await child.write(orders.to_json())
    return child


async def lines_of(stream: trio.abc.ReceiveStream) -> AsyncIterator[str]:
    """The lines that come over a pipe, until it ends."""
    splitter = LineSplitter()
    while data := await stream.receive_some(_CHUNK):
        for line in splitter.feed(bytes(data)):
            yield line
    for line in splitter.flush():
        yield line


async def reports_of(child: Child) -> AsyncIterator[Mapping[str, object]]:
    """What a process reports; a line that is no report is passed over, for it may end in the midst of one."""
    async for line in lines_of(child.reports):
        try:
            yield json.loads(line)
        except ValueError:
            return


# The handle -----------------------------------------------------------------------------------------------------------

_ENDING = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})


class Keeper(Protocol):
    """What a handle needs of whoever keeps the processes running; see ``launch``."""

    async def stop(self, node: NodeProcess) -> None:
        """End a node's process, and leave it ended."""
        ...

    async def restart(self, node: NodeProcess) -> None:
        """Start a node anew."""
        ...


class NodeProcess:
    """The handle on one node of a launch, whichever process it is in by now: ``cluster["b"]``."""

    def __init__(self, name: str, keeper: Keeper) -> None:
        self._name = name
        self._keeper = keeper
        self._child: Child | None = None
        self._address = ""
        self._started_at = math.nan
        self._up = trio.Event()
        self._ended = trio.Event()
        self._listening: Child | None = None
        self._doomed: Child | None = None
        self._last: NodeExit | None = None
        self.restarts = 0

    def __repr__(self) -> str:
        state = f"pid {self.pid}" if self.alive else "down"
        return f"<NodeProcess {self._name} {state} {self._address}>"

    @property
    def name(self) -> str:
        """The node's name."""
        return self._name

    @property
    def pid(self) -> int | None:
        """Its process; None while there is none."""
        return self._child.pid if self._child is not None else None

    @property
    def address(self) -> str:
        """Where it listens, or did when it was last up; empty if it never was."""
        return self._address

    @property
    def alive(self) -> bool:
        """Whether its process runs; it may still be starting, or be stopped by a signal."""
        return self._child is not None and self._child.alive

    @property
    def up(self) -> bool:
        """Whether it has joined the others, and nothing has been done to end it since."""
        return self.alive and self._up.is_set()

    @property
    def started_at(self) -> float:
        """When it was last up, on trio's clock."""
        return self._started_at

    @property
    def last_exit(self) -> NodeExit | None:
        """How its last process ended, of those that have."""
        return self._last

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send its process a signal: SIGKILL unless told otherwise. Whether it is restarted is the launch's policy."""
        if self._child is not None:
            if number in _ENDING:
                self.going_down()
            self._child.send(number)

    def pause(self) -> None:
        """Stop its process where it stands (SIGSTOP), as a machine that is too busy seems to."""
        self.kill(signal.SIGSTOP)

    def resume(self) -> None:
        """Let its process go on (SIGCONT)."""
        self.kill(signal.SIGCONT)

    async def stop(self) -> None:
        """End it in good order, by force if it takes too long; it is not restarted."""
        await self._keeper.stop(self)

    async def restart(self) -> None:
        """End it in good order if it runs, start it anew, and wait until it is up."""
        await self._keeper.restart(self)
        await self.wait_up()

    async def wait_up(self) -> None:
        """Wait until it has joined the others, after a ``kill`` as the next process; bound it with ``trio.fail_after``.

        Raises:
            LaunchFailed: it has ended and will not be restarted.
        """
        while not self._up.is_set():
            if self._child is None and self._last is not None and self._last.successor is None:
                raise LaunchFailed(f"{self._last}, so it will not be up; restart() starts it anew")
            up = self._up
            await self._changed(up)

    async def wait_down(self) -> NodeExit:
        """Wait until its present process has ended, and it is decided what comes of it; the last one if there is none."""
        if self._child is not None or self._last is None:
            await self._ended.wait()
        assert self._last is not None
        return self._last

    async def _changed(self, up: trio.Event) -> None:
        """Wait until it is up, or its present process has ended."""
        async with trio.open_nursery() as nursery:

            async def wait(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait, up)
            nursery.start_soon(wait, self._ended)

    # For whoever keeps it running -----------------------------------------------------------------------------------

    @property
    def listening(self) -> bool:
        """Whether others can dial its present process, be it up or only about to be."""
        return self._child is not None and self._listening is self._child

    @property
    def child(self) -> Child | None:
        """The process it is in."""
        return self._child

    def began(self, child: Child) -> None:
        """A process was started for it."""
        self._child = child

    def listens(self, child: Child, address: str) -> None:
        """Its process is ready."""
        self._listening = child
        self._address = address
        self._started_at = trio.current_time()

    def joined(self, child: Child) -> None:
        """It has joined the others, unless something was done to its process meanwhile."""
        if child is self._child and child is not self._doomed:
            self._up.set()

    def going_down(self) -> None:
        """Its process has ended, or will."""
        self._doomed = self._child
        if self._up.is_set():
            self._up = trio.Event()

    def buried(self, how: NodeExit) -> None:
        """Its process has ended, and it is decided what comes of it."""
        self._child = None
        self._last = how
        self._ended.set()
        self._ended = trio.Event()
