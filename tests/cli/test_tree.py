"""``actorkit tree``: all actors, where they stand."""

from __future__ import annotations

import re

import pytest

import actorkit as ak
from actorkit.cli.codes import ExitCode
from actorkit.cli.tree import ASCII, LINES, Branches, branches_of, lines_of
from tests.cli.runs import Up, actorkit


def test_all_trees_are_shown(shop: Up) -> None:
    """Node by node; or one node's."""
    seen = actorkit(shop.directory, "tree")
    assert (seen.returncode, seen.stderr) == (ExitCode.GOOD, "")
    assert seen.stdout.count("till  Till") == 2
    assert seen.stdout.count("only  Till") == 1
    assert seen.stdout.index("a  ") < seen.stdout.index("\nb  ")

    one = actorkit(shop.directory, "tree", "b")
    assert (one.returncode, one.stderr) == (ExitCode.GOOD, "")
    assert "only" not in one.stdout
    assert _without_counts(one.stdout) in _without_counts(seen.stdout)

    none = actorkit(shop.directory, "tree", "c")
    assert none.returncode == ExitCode.MISUSED
    assert none.stderr == "actorkit tree: run 'shop' has no node 'c'; it has a, b\n"


def _without_counts(text: str) -> str:
    """What does not change from one moment to the next."""
    return re.sub(r"handled \S+ waiting \S+", "", text)


def test_a_tree_is_drawn() -> None:
    """Children below their parents, the last of them at a corner; whoever does not just run says so."""
    leaf = ak.Branch("/top/leaf", "Leaf", "suspended", 1, 2)
    twig = ak.Branch("/top/tw\x1big", "Twig", "running", 1000, 0, (leaf,))
    tops = (ak.Branch("/top", "Top", "running", 0, 0, (twig, leaf)), leaf)
    assert list(lines_of("a", tops)) == [
        "a  5 actors",
        "├─ top  Top  handled 0, waiting 0",
        "│  ├─ tw\\x1big  Twig  handled 1,000, waiting 0",
        "│  │  └─ leaf  Leaf  suspended  handled 1, waiting 2",
        "│  └─ leaf  Leaf  suspended  handled 1, waiting 2",
        "└─ leaf  Leaf  suspended  handled 1, waiting 2",
    ]
    assert list(lines_of("b", ())) == ["b  0 actors"]
    assert list(lines_of("a", tops, ASCII)) == [
        "a  5 actors",
        "|- top  Top  handled 0, waiting 0",
        "|  |- tw\\x1big  Twig  handled 1,000, waiting 0",
        "|  |  `- leaf  Leaf  suspended  handled 1, waiting 2",
        "|  `- leaf  Leaf  suspended  handled 1, waiting 2",
        "`- leaf  Leaf  suspended  handled 1, waiting 2",
    ]


@pytest.mark.parametrize(
    ("encoding", "branches"), [("ascii", ASCII), ("latin-1", ASCII), ("utf-8", LINES)]
)
def test_lines_are_drawn_where_the_terminal_has_them(encoding: str, branches: Branches) -> None:
    """And with ASCII elsewhere."""
    assert branches_of(encoding) == branches
