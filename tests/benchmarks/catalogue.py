"""All benchmarks there are. A new theme is a module named here."""

from __future__ import annotations

from tests.benchmarks import asking, lifecycle, load, memory, messaging, simulating, testing, timing
from tests.benchmarks.registry import Benchmark, registered

THEMES = (messaging, asking, lifecycle, memory, timing, load, testing, simulating)

CATALOGUE: dict[str, Benchmark] = registered()
