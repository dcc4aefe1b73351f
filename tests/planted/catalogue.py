"""All planted bugs."""

from __future__ import annotations

from tests.planted import houses, journals, lifecycles, races, timing, wires
from tests.planted.registry import bugs_in

BUGS = tuple(
    bug
    for module in (races, timing, lifecycles, houses, journals, wires)
    for bug in bugs_in(module)
)
