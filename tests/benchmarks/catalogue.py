"""All benchmarks there are. A new theme is a module named here."""

from __future__ import annotations

from tests.benchmarks import (
    asking,
    coding,
    lifecycle,
    load,
    memory,
    messaging,
    remote,
    remote_bulk,
    remote_memory,
    simulating,
    testing,
    timing,
)
from tests.benchmarks.registry import Benchmark, registered

THEMES = (
    *(messaging, asking, lifecycle, memory, timing, load),
    *(coding, remote, remote_bulk, remote_memory),
    *(testing, simulating),
)

CATALOGUE: dict[str, Benchmark] = registered()
