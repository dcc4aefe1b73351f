"""A launched process without a cluster in it: the real life of a child around a node that only listens and greets.

``python -m tests.cluster.launched NAME ORDERS REPORTS`` is what the tests of launching start.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from actorkit.launch.child import run_child
from actorkit.launch.orders import Orders
from actorkit.launch.settings import Settings
from actorkit.seams.transport import Connection, TcpTransport

ROOT = Path(__file__).parents[2]
PATH = (str(ROOT), *sys.path)
TIMEOUT = 30.0


class ProbeNode:
    """Tells its name to whoever dials it."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.met: list[str] = []

    async def connect(self, address: str, /) -> str:
        """Dial another one."""
        connection = await TcpTransport().dial(address)
        async with connection:
            name = bytes(await connection.receive_some()).decode()
        self.met.append(name)
        return name

    async def wait_stop_requested(self) -> None:
        """Nobody does."""
        await trio.sleep_forever()


@asynccontextmanager
async def open_probe(orders: Orders, address: str) -> AsyncGenerator[ProbeNode]:
    """Listen, and greet."""
    listener = await TcpTransport().listen(address)
    async with listener, trio.open_nursery() as nursery:

        async def serve() -> None:
            while True:
                nursery.start_soon(_greet, orders.name, await listener.accept())

        nursery.start_soon(serve)
        yield ProbeNode(orders.name, listener.address)
        nursery.cancel_scope.cancel()


async def _greet(name: str, connection: Connection) -> None:
    async with connection:
        await connection.send_all(name.encode())


def probe_command(name: str, orders: int, reports: int) -> list[str]:
    """How a probe is called."""
    module = ["-W", "error", "-m", "tests.cluster.launched"]
    return [sys.executable, *module, name, str(orders), str(reports)]


def probes(*names: str, **changes: Any) -> Settings:
    """The settings of a launch of probes."""
    chosen: dict[str, Any] = {"names": names, "path": PATH, "command": probe_command, **changes}
    return Settings(**chosen)


class Lines:
    """What was logged, and a way to wait for more. Made within trio, called in any thread."""

    def __init__(self) -> None:
        self.text = ""
        self._more = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def __call__(self, text: str) -> None:
        self._token.run_sync_soon(self._take, text)

    def _take(self, text: str) -> None:
        self.text += text
        self._more.set()
        self._more = trio.Event()

    async def wait_for(self, what: str) -> None:
        """Wait until something was logged."""
        with trio.fail_after(TIMEOUT):
            while what not in self.text:
                await self._more.wait()


def file_of(directory: Path, source: str) -> str:
    """An app in a file."""
    file = directory / "launched_app.py"
    file.write_text(source, "utf-8")
    return str(file)


# What the system says of a process ------------------------------------------------------------------------------------


def exists(pid: int) -> bool:
    """Whether there is such a process, be it a zombie."""
    return Path(f"/proc/{pid}").exists()


def state_of(pid: int | None) -> str:
    """The letter that tells its state."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]


def shown_of(pid: int | None, what: str) -> bytes:
    """What anybody may see of it: ``cmdline``, ``environ``."""
    return Path(f"/proc/{pid}/{what}").read_bytes()


def pipes_of(pid: int | str | None) -> set[str]:
    """The pipes it holds an end of."""
    links = (
        str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()
    )
    return {link for link in links if link.startswith("pipe:")}


def gone(pids: Iterable[int], within: float = 20.0) -> bool:
    """Wait until none of these processes runs; False if one still does."""
    return all(_gone(pid, within) for pid in pids)


def _gone(pid: int, within: float) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        return bool(waiting.poll(within * 1000))
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(run_child(sys.argv[1:], open_probe))
