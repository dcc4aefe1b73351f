"""What a launched process runs: it reads its orders, opens its node, runs the app, and ends when it is told to.

It inherits two pipes. Over the first come its orders (secrets among them, which therefore show neither in its arguments nor
in its environment), then the addresses of its peers, then, when all have met, the word that the app may run; and then nothing
until the pipe ends, which means that whoever launched it is gone. Then it ends as well, in good order if it can within the
grace, and at once if it cannot. Over the second it says that it is ready, or why it will never be. Everything is JSON, a
document a line.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import inspect
import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Protocol

import trio

from actorkit.cluster.keys import Keyring, Secret
from actorkit.cluster.node import Node, open_node
from actorkit.launch.orders import Orders
from actorkit.errors import NodeError

HOOKS = ("main", "start")
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


OpenNode = Callable[[Orders, str], AbstractAsyncContextManager[OpenedNode]]
Hook = Callable[[Any], Awaitable[object] | object]


# The app --------------------------------------------------------------------------------------------------------------


class AppError(Exception):
    """The app cannot be run; ``detail`` is a traceback of its own code, if that is where it went wrong."""

    def __init__(self, text: str, detail: str = "") -> None:
        super().__init__(text)
        self.detail = detail


def load_app(app: str) -> Hook | None:
    """Import an app and find what it wants to be called; None if it only defines things.

    Raises:
        AppError: there is no such module, file or function, or importing it fails.
    """
    place, function = _split(app)
    module = _from_file(app, Path(place)) if _is_file(place) else _from_path(app, place)
    if function is None:
        return next((hook for name in HOOKS if callable(hook := getattr(module, name, None))), None)
    hook = getattr(module, function, None)
    if not callable(hook):
        known = [name for name, value in vars(module).items() if inspect.isfunction(value)]
        raise AppError(f"app {app!r}: {place} has no function {function!r}; it has {known}")
    return hook  # type: ignore[no-any-return]


def _split(app: str) -> tuple[str, str | None]:
    place, mark, function = app.rpartition(":")
    return (place, function) if mark and function.isidentifier() else (app, None)


def _is_file(place: str) -> bool:
    return place.endswith(".py") or os.sep in place


def _from_path(app: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise AppError(
                f"app {app!r}: there is no module {error.name!r} in {Path.cwd()} or where Python looks for "
                "packages; name a module or a file.py"
            ) from None
        raise _import_failed(app, error) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the app's own, whatever it is
        raise _import_failed(app, error) from None


def _from_file(app: str, file: Path) -> ModuleType:
    """Import a file as if it lay where Python looks for modules: its name is that of the file on every node."""
    name = file.stem
    if not file.is_file():
        raise AppError(f"app {app!r}: there is no file {file}; name a file.py, or a module")
    if not name.isidentifier() or name in sys.modules:
        raise AppError(f"app {app!r}: no module can be called {name!r} here; rename the file")
    sys.path.insert(0, str(file.resolve().parent))
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise AppError(f"app {app!r}: {file} is no Python source; its name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the app's own, whatever it is
        raise _import_failed(app, error) from None
    return module


def _import_failed(app: str, error: BaseException) -> AppError:
    text = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    return AppError(f"app {app!r} cannot be imported: {text}", their_traceback(error))


def their_traceback(error: BaseException) -> str:
    """The traceback of an error without the frames of those who called the user's code."""
    frame: TracebackType | None = error.__traceback__
    while frame is not None and _is_ours(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame))


def _is_ours(file: str) -> bool:
    return file == __file__ or file.startswith(_IMPORTING)


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


def configure_logs(level: str) -> None:
    """Write structlog's records and those of ``logging`` to stderr, as JSON, a line each; stdout by lines too."""
    import structlog  # noqa: PLC0415 - it loads rich, and whoever launches imports this module too

    number = logging.getLevelNamesMapping()[level.upper()]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=repr),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=number, handlers=[_ToStructlog()], force=True)


class _ToStructlog(logging.Handler):
    """Hands records of the standard library's loggers on."""

    def emit(self, record: logging.LogRecord) -> None:
        import structlog  # noqa: PLC0415 - see above

        logger = structlog.get_logger("logging")
        fields: dict[str, object] = {"logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        logger.log(record.levelno, record.getMessage(), **fields)


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
    configure_logs(orders.log_level)
    try:
        hook = load_app(orders.app) if orders.app is not None else None
    except AppError as error:
        launcher.report(error=str(error), detail=error.detail)
        return 1
    return trio.run(_live, launcher, orders, hook, open_node)


async def _live(launcher: Launcher, orders: Orders, hook: Hook | None, open_node: OpenNode) -> int:
    """Until told to end, 0; 1 if the node cannot be opened, or the app fails."""
    status = 0
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
            launcher.attach(nursery.cancel_scope.cancel)
            nursery.start_soon(_heed, signals, nursery.cancel_scope)
            try:
                node = await _opened(stack, orders, open_node)
            except (OSError, ValueError, NodeError) as error:
                launcher.report(error=_cannot_open(orders, error), detail="")
                status = 1
            else:
                launcher.report(ready=node.address, pid=os.getpid())
                await _join(launcher, node)
                nursery.start_soon(_end_when_asked, node, nursery.cancel_scope)
                await launcher.go()
                status = await _run(hook, node)
            nursery.cancel_scope.cancel()
    return status


async def _heed(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()


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
    """Call the app, and stay when it returns; returns if it fails."""
    if hook is not None:
        try:
            result = hook(node)
            if inspect.isawaitable(result):
                await result
        except Exception as error:  # noqa: BLE001 - the app's own; its traceback is told, and the process ends of it
            _log("error", "the app failed", node=node.name, exception=their_traceback(error))
            return 1
    await trio.sleep_forever()
    raise AssertionError("unreachable")


async def _end_when_asked(node: OpenedNode, scope: trio.CancelScope) -> None:
    await node.wait_stop_requested()
    scope.cancel()


@asynccontextmanager
async def open_ordered(orders: Orders, address: str) -> AsyncGenerator[Node]:
    """Open the node that is ordered, at an address."""
    ring = Keyring(*(Secret(bytes.fromhex(s.key), s.grants) for s in orders.secrets))
    async with open_node(orders.name, listen=address, secret=ring, **orders.options) as node:
        yield node


if __name__ == "__main__":
    sys.exit(run_child(sys.argv[1:], open_ordered))
