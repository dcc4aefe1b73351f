"""Work that blocks: files, databases, long computations that release the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, TypeVarTuple, Unpack

import trio

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class Offload(Protocol):
    """Runs a blocking function without blocking the node."""

    async def run_sync(
        self, function: Callable[[Unpack[Ts]], R], /, *args: *Ts, abandon: bool = False
    ) -> R:
        """Call ``function(*args)`` elsewhere and wait for its result; what it raises is raised here.

        A function that has begun cannot be stopped. On cancellation this waits for it; with ``abandon`` it leaves it to
        itself, so ``abandon`` only what changes nothing.
        """
        ...


class ThreadOffload:
    """Worker threads, as many at once as trio's default limiter allows (40)."""

    __slots__ = ()

    async def run_sync(
        self, function: Callable[[Unpack[Ts]], R], /, *args: *Ts, abandon: bool = False
    ) -> R:
        """Run it in a worker thread."""
        return await trio.to_thread.run_sync(function, *args, abandon_on_cancel=abandon)
