"""A tree of actors, laid out as lines."""

from __future__ import annotations

import io

from rich.console import Console, Group, RenderableType

import actorkit as ak
from actorkit.observe.census import Census, Incident
from actorkit.observe.rows import LINGER, Row, tree_rows
from actorkit.observe.screen import incident_lines, tree_table

_HERE = ak.Address("node", 1, 1)


def _branch(path: str, *children: ak.Branch, handled: int = 0, waiting: int = 0) -> ak.Branch:
    return ak.Branch(path, "Actor", "running", handled, waiting, children)


def _census(*paths: str) -> Census:
    census = Census()
    for path in paths:
        census.note(ak.Started(path, _HERE, "Actor"), 0.0)
    return census


def test_rows_stand_as_the_tree_does() -> None:
    """Each below its parent, siblings in the order of their first births, whatever order they live in now."""
    census = _census("/s/a", "/s/b/x", "/s/b", "/s/c", "/s")
    tree = _branch("/s", _branch("/s/c"), _branch("/s/b", _branch("/s/b/x")), _branch("/s/a"))
    rows = tree_rows((tree,), census, 1.0, {"/s/c": "counting"})
    assert [(row.depth, row.name) for row in rows] == [
        (0, "s"),
        (1, "a"),
        (1, "b"),
        (2, "x"),
        (1, "c"),
    ]
    assert [row.doing for row in rows] == ["", "", "", "", "counting"]


def test_who_is_gone_shows_for_a_while() -> None:
    """The place of a dead actor stays where it was, with the reason, until it is filled or nobody looks for it."""
    census = _census("/s/a", "/s/b", "/s")
    census.note(ak.Stopped("/s/a", _HERE, "Actor", ak.Killed(), 7), 1.0)
    tree = _branch("/s", _branch("/s/b"))
    at_once = tree_rows((tree,), census, 1.0 + LINGER, {})
    assert at_once[1] == Row(1, "a", "", "down", 7, last="killed", orderly=False, fresh=True)
    assert [row.name for row in tree_rows((tree,), census, 1.1 + LINGER, {})] == ["s", "b"]


def test_a_place_remembers_what_it_went_through() -> None:
    """A restarted actor shows its restarts, its last death, and what all incarnations handled."""
    census = _census("/a", "/a", "/a")
    census.note(ak.Stopped("/a", _HERE, "Actor", ak.Shutdown(), 7), 1.0)
    census.note(ak.Started("/a", _HERE, "Actor"), 1.0)
    (row,) = tree_rows((_branch("/a", handled=3, waiting=2),), census, 9.0, {})
    assert row == Row(0, "a", "Actor", "running", 10, 2, 3, "shut down", True, False)


def test_an_actor_the_census_has_not_seen_is_shown() -> None:
    """One that is about to start, or started before anybody looked, has a row, after its siblings."""
    rows = tree_rows(
        (_branch("/s", _branch("/s/new"), _branch("/s/old")),), _census("/s/old"), 0, {}
    )
    assert [row.name for row in rows] == ["s", "old", "new"]


def _text(renderable: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(Group(renderable))
    return capture.get()


def test_states_have_marks() -> None:
    """Running, gone, and anything in between can be told apart without colours."""
    rows = [Row(0, state, "A", state) for state in ("running", "down", "starting")]
    lines = _text(tree_table(rows), 100).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["●", "✗", "○"]


def test_names_are_not_markup() -> None:
    """What looks like a style is text."""
    row = Row(0, "[red]x[/red]", "A", "running", doing="[bold]", last="[/nope]")
    assert "[red]x[/red]" in _text(tree_table([row]), 120)


def test_incidents_are_told_with_their_time() -> None:
    """Each on a line, counted from the beginning, cut off rather than wrapped."""
    text = incident_lines([Incident(12.5, "/a", "killed"), Incident(13.0, "/b", "x" * 99)], 10.0)
    lines = _text(text, 40).splitlines()
    assert lines[0] == "  2.50 s  /a killed"
    assert len(lines) == 2
