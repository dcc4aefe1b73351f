"""What every peer written in Python shares: read the work, do it, print one JSON line.

Peers run in environments of their own, so nothing here needs more than the standard library.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from typing import TypeAlias

Work: TypeAlias = Callable[[int], float]
Shipped: TypeAlias = tuple[float, list[float], list[float]]
"""Megabytes per second, and the milliseconds of small questions alone and beside."""

WARM_UP_SHARE = 20


def answer(peer: str, works: Mapping[str, Work]) -> None:
    """Do the work the command line names, at its size, and print the value or why there is none."""
    name, size = sys.argv[1], int(sys.argv[2])
    work = works.get(name)
    if work is None:
        print(json.dumps({"unsupported": f"{peer} has no {name}"}))
        return
    work(max(1, size // WARM_UP_SHARE))
    print(json.dumps({"value": work(size)}), flush=True)


def bulk_works(ship: Callable[[int], Shipped]) -> dict[str, Work]:
    """The figures that one run with blobs and small questions beside them gives."""

    def delay(size: int) -> float:
        _, alone, beside = ship(size)
        return max(0.0, percentile(beside, 0.99) - percentile(alone, 0.99))

    return {
        "remote_bulk": lambda size: ship(size)[0],
        "remote_bulk_delay": delay,
        "remote_ask_p50": lambda size: percentile(ship(size)[1], 0.5),
        "remote_ask_p99": lambda size: percentile(ship(size)[1], 0.99),
        "remote_bulk_ask_p50": lambda size: percentile(ship(size)[2], 0.5),
        "remote_bulk_ask_p99": lambda size: percentile(ship(size)[2], 0.99),
    }


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of all values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def require(what: str, got: object, wanted: object) -> None:
    """Refuse to time a run whose result is not the wanted one."""
    if got != wanted:
        raise SystemExit(f"{what}: got {got!r}, wanted {wanted!r}")
