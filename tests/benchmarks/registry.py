"""Which benchmarks there are: a name, a unit, a size, the workload and its floor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs

Better: TypeAlias = Literal["higher", "lower"]
Side: TypeAlias = Literal["actorkit", "floor"]
Workload: TypeAlias = Callable[[int], float]
"""Does work of the given size, checks its result, and returns the figure in the benchmark's unit."""

# Enough for the specialising interpreter and the allocator to settle, without doubling a run.
WARM_UP_SHARE = 20


class WrongResult(Exception):
    """A workload did not do what it was timed for; its figure must not be shown."""


@attrs.frozen
class Benchmark:
    """One figure: how actorkit's value and its floor are made, and how to read them."""

    name: str
    unit: str
    better: Better
    size: int
    actorkit: Workload
    floor: Workload
    summary: str
    peer_work: str
    warm_up: bool

    def sample(self, side: Side, size: int) -> float:
        """One value of one side, after a short run that warms the interpreter up."""
        workload = self.actorkit if side == "actorkit" else self.floor
        if self.warm_up:
            workload(max(1, size // WARM_UP_SHARE))
        return workload(size)


_registered: dict[str, Benchmark] = {}


def benchmark(
    *,
    unit: str,
    size: int,
    floor: Workload,
    better: Better = "higher",
    peer_work: str | None = None,
    warm_up: bool = True,
) -> Callable[[Workload], Workload]:
    """Register a workload under its function's name; its docstring's first line is its summary."""

    def register(workload: Workload) -> Workload:
        name = workload.__name__
        if name in _registered:
            raise ValueError(f"two benchmarks are called {name!r}")
        _registered[name] = Benchmark(
            name=name,
            unit=unit,
            better=better,
            size=size,
            actorkit=workload,
            floor=floor,
            summary=(workload.__doc__ or "").strip().partition("\n")[0],
            peer_work=peer_work or name,
            warm_up=warm_up,
        )
        return workload

    return register


def registered() -> dict[str, Benchmark]:
    """All benchmarks by name, in the order they were registered."""
    return dict(_registered)


def require(what: str, got: object, wanted: object) -> None:
    """Refuse to time a run whose result is not the wanted one."""
    if got != wanted:
        raise WrongResult(f"{what}: got {got!r}, wanted {wanted!r}")
