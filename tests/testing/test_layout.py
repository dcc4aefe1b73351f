"""Text in the cells of a terminal, and the columns of a chart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.testing.layout import (
    Strip,
    cells,
    clipped,
    clipped_front,
    columns,
    folded,
    short_names,
)
from actorkit.testing.lifelines import scene
from tests.testing.traces import Deposit, Read, Story

TEXTS = st.text(st.sampled_from("ab /預é\u0301…"), max_size=40)


@pytest.mark.parametrize(("text", "size"), [("", 0), ("abc", 3), ("預金", 4), ("e\u0301a", 2)])
def test_texts_are_measured_in_cells(text: str, size: int) -> None:
    """Wide characters take two cells, and what is set upon another character takes none."""
    assert cells(text) == size


@given(TEXTS, st.integers(1, 30))
def test_a_clipped_text_fits_and_says_that_it_is_clipped(text: str, limit: int) -> None:
    """It is the whole text, or what fits of its front or of its end with an ellipsis."""
    front, end = clipped(text, limit), clipped_front(text, limit)
    assert max(cells(front), cells(end)) <= limit
    assert front == text or (front.endswith("…") and text.startswith(front[:-1]))
    assert end == text or (end.startswith("…") and text.endswith(end[1:]))


@given(TEXTS, st.integers(2, 30))
def test_a_folded_text_fits_and_loses_nothing_but_spaces(text: str, width: int) -> None:
    """No line is too long, and the lines together are the text."""
    lines = list(folded(text, width))
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_folded_text_breaks_at_spaces() -> None:
    """Words stay whole if they fit."""
    assert list(folded("one two three", 8)) == ["one two", "three"]
    assert list(folded("one-two-three", 8)) == ["one-two-", "three"]


def test_a_name_is_as_short_as_it_may_be() -> None:
    """Paths lose their fronts as long as they differ from all others; other names stay as they are."""
    short = short_names(["/a/left/worker", "/a/right/worker", "/a/b", "/b", "client/b", "/a"])
    assert list(short.values()) == ["left/worker", "right/worker", "/a/b", "/b", "client/b", "/a"]
    nodes = short_names(["a:/top/worker", "b:/top/worker", "b:/other/worker", "b:client", "a:b/c"])
    assert list(nodes.values()) == [
        "a:worker",
        "b:/top/worker",
        "b:/other/worker",
        "b:client",
        "a:b/c",
    ]


def test_a_strip_is_written_cell_by_cell() -> None:
    """A wide character takes two cells, an accent none, and what goes beyond the end is not written."""
    strip = Strip(8)
    strip.put(0, "|......|")
    strip.put(1, "預e\u0301")
    strip.put(7, "預")
    assert str(strip) == "|預e\u0301...|"
    strip.put(6, "xyz")
    assert str(strip) == "|預e\u0301..xy"


def test_columns_are_as_wide_as_their_arrows_ask_for() -> None:
    """The gap of two lifelines holds the texts between them; if they are too wide, names are shortened in the end."""
    story = Story().round("client", "/bank", Deposit("a", 1), None)
    narrow, wide = (columns(scene(list(story.trace)), 6, width) for width in (40, 80))
    assert narrow is not None
    assert wide is not None
    gaps = [layout.column["/bank"] - layout.column["client"] for layout in (narrow, wide)]
    assert gaps[1] >= len(" Deposit(account='a', cents=1) ") > gaps[0]


def test_columns_that_would_look_alike_are_none() -> None:
    """Names that cannot be told apart in the room there is make no header."""
    story = Story()
    for number in range(3):
        story.round(f"{number} is the number of this client", "/bank", Read(), 0)
    assert columns(scene(list(story.trace)), 6, 70) is None
    assert columns(scene(list(story.trace)), 6, 200) is not None
