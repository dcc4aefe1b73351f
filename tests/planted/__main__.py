"""Print what the simulator makes of the planted bugs, as a table in Markdown."""

from __future__ import annotations

import sys

from tests.planted.catalogue import BUGS
from tests.planted.registry import Planted

SEEDS = range(1, 6)
HEAD = ("bug", "what goes wrong", "hidden", "budget", "found in run", "told as")


def row(bug: Planted) -> tuple[str, ...]:
    """What is told of one bug: the runs it took with each seed, and the largest of the shrunk plans."""
    found = [bug.look(wrong=True, schedules=bug.budget, seed=seed) for seed in SEEDS]
    runs = ", ".join("never" if f is None else f"{f.runs:,}" for f in found)
    size = max((f.outcome.plan.size for f in found if f is not None), default=0)
    words = bug.name.replace("_", " ")
    return words, bug.story, "yes" if bug.hidden else "no", f"{bug.budget:,}", runs, str(size)


def main() -> None:
    """Write the table, a line as soon as it is known."""
    for cells in (HEAD, ("---",) * len(HEAD)):
        sys.stdout.write(f"| {' | '.join(cells)} |\n")
    for bug in BUGS:
        sys.stdout.write(f"| {' | '.join(row(bug))} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
