"""What a launched process runs: it reads its orders, opens its node, runs the app, and ends when it is told to.

It inherits two pipes. Over the first come its orders (secrets among them, which therefore show neither in its arguments nor
in its environment), then the addresses of its peers, then, when all have met, the word that the app may run; and then nothing
until the pipe ends, which means that whoever launched it is gone. Then it ends as well, in good order if it can within the
grace, and at once if it cannot. Over the second it says that it is ready, or why it will never be. Everything is JSON, a
document a line.
"""

from __future__ import annotations

import errno
import inspect
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from types import FrameType
from typing import Any, Protocol

import trio

from actorkit.cluster.keys import Keyring, Secret
from actorkit.cluster.node import Node, open_node
from actorkit.errors import NodeError
from actorkit.launch.app import AppError, Hook, exit_status, load_app, their_traceback
from actorkit.launch.orders import Orders

_ENDING = (signal.SIGTERM, signal.SIGINT)
GONE = 75  # the status of a process whose launcher is gone and that could not end in good order
_IMPORTING = ("<frozen importlib", "<frozen runpy")


class OpenedNode(Protocol):
    """What a launched process needs of its node."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def address(self) -> str:
        """Where others reach it."""
        ...

    async def connect(self, address: str, /) -> str:
        """Dial a peer, and return its name."""
        ...

    async def wait_stop_requested(self) -> None:
        """Wait until a peer that may do so asks this node to end."""
        ...


Fields = MutableMapping[str, Any]
OpenNode = Callable[[Orders, str], AbstractAsyncContextManager[OpenedNode]]


# Whoever launched it ---------------------------------------------------------------------------------------------------


class Launcher:
    """The process that launched this one, at the other end of two pipes.

    A thread of its own listens to it, so that its end is noticed even while some handler keeps the processor to itself.
    """

    def __init__(self, orders: int, reports: int) -> None:
        for descriptor in (orders, reports):  # what this process starts has no business with them
            os.set_inheritable(descriptor, False)
        self._lines = _lines(orders)
        self._reports = reports
        self._lock = threading.Lock()
        self._gone = False
        self._token: trio.lowlevel.TrioToken | None = None
        self._end: Callable[[], None] = lambda: None
        self._told = trio.Event()
        self._peers: Mapping[str, str] = {}
        self._go = trio.Event()

    def read_orders(self) -> Orders | None:
        """The orders; None if it is gone before it gave any."""
        line = next(self._lines, None)
        return Orders.from_json(line) if line is not None else None

    def report(self, **what: object) -> None:
        """Tell it something."""
        try:
            os.write(self._reports, json.dumps(what).encode() + b"\n")
        except OSError as error:
            if error.errno != errno.EPIPE:  # it is gone; the other pipe tells so too
                raise

    def listen(self, grace: float) -> None:
        """Begin to listen to it."""
        threading.Thread(
            target=self._listen, args=(grace,), name="actorkit launcher", daemon=True
        ).start()

    def attach(self, end: Callable[[], None]) -> None:
        """Call ``end`` on trio's thread, which is this one, when it is gone."""
        with self._lock:
            self._token = trio.lowlevel.current_trio_token()
            self._end = end
            if self._gone:
                end()

    async def peers(self) -> Mapping[str, str]:
        """Wait to be told of others, addresses by name."""
        await self._told.wait()
        return self._peers

    async def go(self) -> None:
        """Wait until the app may run."""
        await self._go.wait()

    def _listen(self, grace: float) -> None:
        for line in self._lines:
            self._soon(self._hear, json.loads(line))
        self._quieten()
        with self._lock:
            self._gone = True
            attached = self._token is not None
        if attached:
            self._soon(self._end)
            threading.Event().wait(
                grace
            )  # if this thread still runs then, the others have failed to end
        os._exit(GONE)

    def _soon(self, function: Callable[..., object], *args: object) -> None:
        assert self._token is not None, "peers are told only to those who are ready"
        try:
            self._token.run_sync_soon(function, *args)
        except trio.RunFinishedError:
            pass  # it has ended by itself

    def _hear(self, told: Mapping[str, Any]) -> None:
        if "peers" in told:
            self._peers = told["peers"]
            self._told.set()
        elif "go" in told:
            self._go.set()

    @staticmethod
    def _quieten() -> None:
        """Nobody reads what this process writes any more, and failing to write must not be what ends it."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)


def _lines(descriptor: int) -> Iterator[bytes]:
    """The whole lines that come over a pipe, until it ends.

    Read without a buffer's lock, which a thread that is stuck in it would keep from the interpreter at its end.
    """
    rest = b""
    while data := os.read(descriptor, 65536):
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


# Logs ------------------------------------------------------------------------------------------------------------------


def configure_logs(level: str) -> _Farewell:
    """Write structlog's records and those of ``logging`` to stderr, as JSON, a line each; stdout by lines too."""
    import structlog  # noqa: PLC0415 - it loads rich, and whoever launches imports this module too

    number = logging.getLevelNamesMapping()[level.upper()]
    farewell = _Farewell(number)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            farewell,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=repr),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=number, handlers=[_ToStructlog()], force=True)
    return farewell


class _ToStructlog(logging.Handler):
    """Hands records of the standard library's loggers on."""

    def emit(self, record: logging.LogRecord) -> None:
        import structlog  # noqa: PLC0415 - see above

        logger = structlog.get_logger("logging")
        fields: dict[str, object] = {"logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        logger.log(record.levelno, record.getMessage(), **fields)


class _Farewell:
    """Lowers to debug what every node would say of every other while all of them end."""

    def __init__(self, level: int) -> None:
        self._level = level
        self.begun = False

    def begin_with(self, *numbers: signal.Signals) -> None:
        """Begin as soon as a signal arrives: a task that reads of a peer's end may run before the one that heeds it."""
        for number in numbers:
            signal.signal(number, partial(self._begin, signal.getsignal(number)))

    def _begin(self, heed: Any, number: int, frame: FrameType | None) -> None:
        self.begun = True
        heed(number, frame)

    def __call__(self, logger: object, method: str, record: Fields) -> Fields:
        """Pass a record on, as structlog's processors do."""
        import structlog  # noqa: PLC0415 - see above

        if self.begun and method == "info" and record["event"] == "connection lost":
            if self._level > logging.DEBUG:
                raise structlog.DropEvent
            record["level"] = "debug"
        return record


def _log(level: str, event: str, **fields: object) -> None:
    import structlog  # noqa: PLC0415 - see above

    getattr(structlog.get_logger("actorkit"), level)(event, **fields)


# The life of a launched process ----------------------------------------------------------------------------------------


def run_child(arguments: Sequence[str], open_node: OpenNode) -> int:
    """Live the life of a launched process; returns its exit status.

    Args:
        arguments: the node's name, for whoever lists processes, and the numbers of the two inherited descriptors.
        open_node: opens the node that the orders describe, at an address.
    """
    _, orders_from, reports_to = arguments
    launcher = Launcher(int(orders_from), int(reports_to))
    orders = launcher.read_orders()
    if orders is None:
        return GONE
    launcher.listen(orders.grace)
    sys.path[:] = orders.path
    farewell = configure_logs(orders.log_level)
    try:
        hook = load_app(orders.app) if orders.app is not None else None
    except AppError as error:
        launcher.report(error=str(error), detail=error.detail)
        return 1
    try:
        return trio.run(_live, launcher, orders, hook, open_node, farewell)
    except BaseException as error:
        status = exit_status(error)  # a handler's ``sys.exit()`` ends the whole node
        if status is None:
            raise
        return status


async def _live(
    launcher: Launcher,
    orders: Orders,
    hook: Hook | None,
    open_node: OpenNode,
    farewell: _Farewell,
) -> int:
    """Until told to end, 0; 1 if the node cannot be opened, or the app fails; what it exits with, if it does."""
    status = 0
    with trio.open_signal_receiver(*_ENDING) as signals:
        farewell.begin_with(*_ENDING)
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:

            def end() -> None:
                farewell.begun = True
                nursery.cancel_scope.cancel()

            launcher.attach(end)
            nursery.start_soon(_heed, signals, end)
            try:
                node = await _opened(stack, orders, open_node)
            except (OSError, ValueError, NodeError) as error:
                launcher.report(error=_cannot_open(orders, error), detail="")
                status = 1
            else:
                idle = orders.app is not None and hook is None
                launcher.report(ready=node.address, pid=os.getpid(), idle=idle)
                await _join(launcher, node)
                nursery.start_soon(_end_when_asked, node, end)
                await launcher.go()
                status = await _run(hook, node)
            end()
    return status


async def _heed(signals: AsyncIterator[int], end: Callable[[], None]) -> None:
    async for _ in signals:
        end()


async def _opened(stack: AsyncExitStack, orders: Orders, open_node: OpenNode) -> OpenedNode:
    try:
        return await stack.enter_async_context(open_node(orders, orders.listen))
    except OSError as error:
        if error.errno != errno.EADDRINUSE or orders.fallback is None:
            raise
    return await stack.enter_async_context(open_node(orders, orders.fallback))


def _cannot_open(orders: Orders, error: Exception) -> str:
    if not isinstance(error, OSError):
        return f"node {orders.name} cannot be opened: {error}"
    busy = error.errno == errno.EADDRINUSE
    remedy = "; choose another base port, or none, for any that are free" if busy else ""
    return f"node {orders.name} {error.strerror or error}{remedy}"


async def _join(launcher: Launcher, node: OpenedNode) -> None:
    """Connect to those that are there; one that has died meanwhile will come by itself when it is back."""
    for name, address in (await launcher.peers()).items():
        try:
            await node.connect(address)
        except (NodeError, OSError) as error:
            _log("warning", "a node cannot be reached", node=name, why=str(error))
    launcher.report(joined=True)


async def _run(hook: Hook | None, node: OpenedNode) -> int:
    """Call the app, and stay when it returns; returns if it fails, or exits."""
    if hook is not None:
        try:
            result = hook(node)
            if inspect.isawaitable(result):
                await result
        except BaseException as error:
            status = exit_status(error)
            if status is not None:
                return status
            if not isinstance(error, Exception):
                raise
            # The app's own; its traceback is told, and the process ends of it.
            _log("error", "the app failed", node=node.name, exception=their_traceback(error))
            return 1
    await trio.sleep_forever()
    raise AssertionError("unreachable")


async def _end_when_asked(node: OpenedNode, end: Callable[[], None]) -> None:
    await node.wait_stop_requested()
    end()


@asynccontextmanager
async def open_ordered(orders: Orders, address: str) -> AsyncGenerator[Node]:
    """Open the node that is ordered, at an address."""
    ring = Keyring(*(Secret(bytes.fromhex(s.key), s.grants) for s in orders.secrets))
    async with open_node(orders.name, listen=address, secret=ring, **orders.options) as node:
        yield node


if __name__ == "__main__":
    sys.exit(run_child(sys.argv[1:], open_ordered))
