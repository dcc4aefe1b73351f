"""Draws a tree of actors for a terminal, with rich."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from actorkit.observe.census import Incident
from actorkit.observe.rows import Row
from actorkit.observe.text import printable

_STATE_STYLES = {
    "running": "green",
    "starting": "yellow",
    "suspended": "yellow",
    "stopping": "yellow",
    "down": "bold red",
}
_NAME_WIDTH = 19
_COUNTS = ("handled", "waiting", "restarts")
_MARKS = {"running": "●", "down": "✗"}


def tree_table(rows: Sequence[Row]) -> RenderableType:
    """The tree as a table, one line per actor."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True, min_width=_NAME_WIDTH)
    table.add_column(no_wrap=True, ratio=3, overflow="ellipsis")
    for head in _COUNTS:
        table.add_column(no_wrap=True, justify="right", min_width=len(head))
    table.add_column(no_wrap=True, ratio=2, overflow="ellipsis")
    table.add_row(*(Text(head, "dim") for head in ("actor", "doing", *_COUNTS, "last death")))
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> Iterable[Text]:
    style = _STATE_STYLES.get(row.state, "yellow")
    name = Text("  " * row.depth)
    name.append(_MARKS.get(row.state, "○"), style)
    name.append(f" {printable(row.name)}", "bold" if row.depth == 0 else "")
    yield name
    yield Text(printable(row.doing), "dim")
    yield Text(f"{row.handled:,}")
    yield Text(f"{row.waiting:,}" if row.waiting else "·", "" if row.waiting else "dim")
    yield Text(f"{row.restarts:,}" if row.restarts else "·", "" if row.restarts else "dim")
    yield Text(printable(row.last), _death_style(row))


def _death_style(row: Row) -> str:
    if not row.fresh:
        return "dim"
    return "yellow" if row.orderly else "bold red"


def incident_lines(incidents: Iterable[Incident], began: float) -> Text:
    """The incidents, one per line, with the time since ``began``."""
    lines = (f"{incident.at - began:6.2f} s  {printable(str(incident))}" for incident in incidents)
    return Text("\n".join(lines), "dim", no_wrap=True, overflow="ellipsis")
