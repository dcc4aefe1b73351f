"""Take one sample and print it as one JSON line: python -m tests.benchmarks.worker NAME SIDE SIZE."""

from __future__ import annotations

import json
import sys

from tests.benchmarks.catalogue import CATALOGUE
from tests.benchmarks.registry import Side

SIDES: dict[str, Side] = {"actorkit": "actorkit", "floor": "floor"}


def main() -> None:
    """Sample the side of the benchmark that the command line names."""
    name, named, size = sys.argv[1:]
    if named not in SIDES:
        sys.exit(f"a side is one of {', '.join(SIDES)}, not {named!r}")
    value = CATALOGUE[name].sample(SIDES[named], int(size))
    print(json.dumps({"value": value}))


if __name__ == "__main__":
    main()
