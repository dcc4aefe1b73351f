"""Chance that repeats itself, and threads that are none: what a simulated system stands on."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple, Unpack

import trio

from actorkit.seams import Seams
from actorkit.seams.transport import TcpTransport, Transport
from actorkit.testing.disk import MemoryDisk

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

EPOCH = 1_767_225_600.0  # the date at virtual time 0: 2026-01-01, UTC


class SeededEntropy:
    """The same dice for the same seed; its secrets are no secrets."""

    def __init__(self, seed: int | str) -> None:
        self._rng = random.Random(seed)
        self._tokens = random.Random(f"tokens of {seed}")

    @property
    def rng(self) -> random.Random:
        """For jitter and sampling."""
        return self._rng

    def token_bytes(self, count: int) -> bytes:
        """Bytes from a generator of their own, so that ids do not depend on how often dice were rolled."""
        return self._tokens.randbytes(count)


class VirtualTime:
    """trio's clock, and a date that follows from it."""

    def now(self) -> float:
        """Seconds on trio's clock."""
        return trio.current_time()

    def wall(self) -> float:
        """Seconds since 1970: virtual time 0 is the first moment of 2026."""
        return EPOCH + trio.current_time()


class InlineOffload:
    """Runs blocking functions on the spot: one step among others, with a chance for others before and after."""

    async def run_sync(
        self, function: Callable[[Unpack[Ts]], R], /, *args: *Ts, abandon: bool = False
    ) -> R:
        """Call it between two checkpoints."""
        await trio.lowlevel.checkpoint()
        try:
            return function(*args)
        finally:
            await trio.lowlevel.cancel_shielded_checkpoint()


def memory_disks() -> Callable[[str], MemoryDisk]:
    """Opens directories in memory, each of them empty at first."""
    disks: dict[str, MemoryDisk] = {}
    return lambda root: disks.setdefault(root, MemoryDisk())


def simulated_seams(seed: int | str = 0, transport: Transport | None = None) -> Seams:
    """Virtual time, seeded chance, no threads, disks in memory.

    Args:
        seed: of all chance.
        transport: a host of a ``MemoryNetwork``. Without one the network is the real one, which a simulation refuses to wait
            for.
    """
    return Seams(
        clock=VirtualTime(),
        entropy=SeededEntropy(seed),
        offload=InlineOffload(),
        transport=transport or TcpTransport(),
        disk=memory_disks(),
    )
