"""What every peer written in Python shares: read the work, do it, print one JSON line.

Peers run in environments of their own, so nothing here needs more than the standard library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import TypeAlias

Work: TypeAlias = Callable[[int], float]

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


def require(what: str, got: object, wanted: object) -> None:
    """Refuse to time a run whose result is not the wanted one."""
    if got != wanted:
        raise SystemExit(f"{what}: got {got!r}, wanted {wanted!r}")
