"""What holds of the chart of any trace, sensible or not."""

from __future__ import annotations

import re

from hypothesis import assume, given
from hypothesis import strategies as st

from actorkit.testing.chart import mermaid, text_chart
from actorkit.testing.layout import cells, columns
from actorkit.testing.lifelines import Line, message_text, one_line, scene
from actorkit.testing.trace import Event, FaultApplied, Handled, Notice, Reordered, Sent
from tests.testing.traces import ODD_NAMES, events, runs

# The cells left of the first column in a chart with steps of at most four digits.
GUTTER = 6
WIDTHS = st.integers(40, 140)


@given(events(ODD_NAMES) | runs(), WIDTHS, st.none() | st.integers(1, 20), st.booleans())
def test_every_line_fits(trace: list[Event], width: int, last: int | None, unicode: bool) -> None:
    """Whatever happened, no line takes more cells than there are, and none ends in spaces."""
    chart = text_chart(trace, width=width, last=last, unicode=unicode)
    assert all(cells(line) <= width for line in chart.splitlines())
    assert all(line == line.rstrip() for line in chart.split("\n"))
    assert unicode or chart.isascii()


@given(events(ODD_NAMES) | runs(), WIDTHS, st.none() | st.integers(1, 20))
def test_the_same_trace_is_the_same_chart(trace: list[Event], width: int, last: int | None) -> None:
    """Charts depend on nothing but the trace."""
    assert text_chart(trace, width=width, last=last) == text_chart(trace, width=width, last=last)
    assert mermaid(trace, last=last) == mermaid(iter(trace), last=last)


@given(runs(), WIDTHS)
def test_whatever_happened_is_told(trace: list[Event], width: int) -> None:
    """Every message that was sent and every reply stands in the chart, and everybody who took part."""
    chart = re.sub(r"[\s│○●✗►◄]", "", text_chart(trace, width=width))
    told = scene(trace)
    for name in told.names:
        assert name.rpartition("/")[2].replace(" ", "") in chart
    for event in trace:
        if isinstance(event, Sent):
            assert message_text(event.message) in chart
    took_part = {event.sender for event in trace if isinstance(event, Sent)}
    took_part |= {event.receiver for event in trace if isinstance(event, Handled | Notice)}
    assert took_part <= set(told.names)


@given(runs())
def test_every_participant_has_a_lifeline(trace: list[Event]) -> None:
    """Below each name in the header there is a line."""
    told = scene(trace)
    assume(told.names)
    layout = columns(told, GUTTER, 200)
    assert layout is not None
    _, *rows = text_chart(trace, width=200).splitlines()
    for name in told.names:
        column = layout.column[name]
        assert any(row[column : column + 1] in ends for row in rows for ends in "│├┤●✗"), name


@given(events(ODD_NAMES) | runs())
def test_mermaid_takes_every_chart(trace: list[Event]) -> None:
    """Every line is one statement of a sequence diagram, about participants that were declared."""
    first, *lines = mermaid(trace).splitlines()
    assert first == "sequenceDiagram"
    text = r"(?:[\w\s().,=+*/!?'…\[\]-]|#\d+;)+"
    statement = re.compile(
        rf"    (?:participant (?P<new>p\d+) as {text}"
        rf"|(?P<one>p\d+)(?:->>|-\)|--x|-->>|--\))(?P<two>p\d+): {text}"
        rf"|Note over (?P<over>p\d+(?:,p\d+)?): {text})"
    )
    declared: set[str] = set()
    for line in lines:
        match = statement.fullmatch(line)
        assert match, line
        declared |= {match["new"]} - {None}
        named = [match["one"], match["two"], *(match["over"] or "").split(",")]
        assert {name for name in named if name} <= declared


@given(runs())
def test_lines_across_the_chart_stand_in_order(trace: list[Event]) -> None:
    """Faults, reorderings and notes come in the order in which they happened, none left out."""
    told = [row.text for row in scene(trace).rows if isinstance(row, Line)]
    happened = [e for e in trace if isinstance(e, FaultApplied | Reordered)]
    across = [text for text in told if text.startswith(("fault:", "ran before"))]
    assert len(across) == len(happened)
    for text, event in zip(across, happened, strict=True):
        told_of = event.what if isinstance(event, FaultApplied) else event.instead_of
        assert one_line(told_of) in text
