"""Two nodes of actorkit: one in the process that measures, one in a process beside it. Run as a module, it is the other."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import attrs
import trio

import actorkit as ak
from tests.benchmarks.beside import Other, beside, tell_parent, told_by_parent
from tests.benchmarks.registry import WARM_UP_SHARE
from tests.benchmarks.remote_actors import BULK, SERGEANT, SINK, STATUE, Sergeant, Sink, Statue

MODULE = "tests.benchmarks.remote_nodes"
NEAR, FAR = "near", "far"

T = TypeVar("T")
Work: TypeAlias = "Callable[[Pair, int], Awaitable[T]]"


@attrs.frozen
class Pair:
    """The near node, the handle of the far one, and the process it lives in."""

    node: ak.Node
    far: ak.RemoteNode
    other: Other

    async def find(self, key: ak.Key[T]) -> ak.Ref[T]:
        """The far actor of that name, by its address, so that no name is looked up with each message."""
        found = await self.far.whereis(key)
        if found is None:
            raise LookupError(f"nobody is called {key} over there")
        return found


def between_nodes(work: Work[T], size: int, *, warm_up: bool = True) -> T:
    """Do a little of the work and then all of it, with a fresh far node in a process of its own."""
    key = secrets.token_bytes(32)
    sizes = [max(1, size // WARM_UP_SHARE), size] if warm_up else [size]
    with beside(MODULE) as other:
        other.say(key.hex())
        return trio.run(_joined, work, sizes, other, key)


async def _joined(work: Work[T], sizes: list[int], other: Other, key: bytes) -> T:
    async with ak.open_node(NEAR, secret=key) as node:
        name = await node.connect(other.hear())
        pair = Pair(node, node.remote(name), other)
        return [await work(pair, size) for size in sizes][-1]


async def _be_far(key: bytes) -> None:
    async with ak.open_node(FAR, secret=key, grants=["spawn"]) as node:
        await node.spawn(ak.props(Sink), name=SINK)
        await node.spawn(ak.props(Sink), name=BULK)
        await node.spawn(ak.props(Sergeant), name=SERGEANT)
        go_on = threading.Event()
        await node.spawn(ak.props(Statue, go_on), name=STATUE)
        tell_parent(node.address)
        await trio.to_thread.run_sync(_until_stdin_ends, go_on)


def _until_stdin_ends(go_on: threading.Event) -> None:
    while told_by_parent():
        go_on.set()
    go_on.set()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(_be_far, bytes.fromhex(told_by_parent()))
