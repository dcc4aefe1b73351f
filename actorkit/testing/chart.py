"""Sequence charts of a trace, as text and for Mermaid. Pure.

A text chart has a column for each participant and a row for each thing that happened::

    step  client 1       /counter
       1      ├── Read() ───►│                      a message was sent and handled
              │◄╌╌╌╌╌ 0 ╌╌╌╌╌┤                      and this is the reply
       2      ├─ #1 Add(1) ─○│                      a message was sent, and waits in the mailbox
         .. 2 s later: the clock says 2 s
       3      │              ● handles #1 Add(1)    until it is handled
         ** /counter died: killed

A message gets two ends only where its waiting matters; ``crossings`` decides which. All that happens to one participant
stands in the order in which it happened. Actors that do nothing but start and end are not shown.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

import attrs

from actorkit.testing.layout import (
    BARE_SHAFT,
    Layout,
    Strip,
    cells,
    clipped,
    columns,
    folded,
)
from actorkit.testing.lifelines import Arrival, Arrow, Line, Mark, Row, Scene, Sign, one_line, scene
from actorkit.testing.trace import Event

NARROWEST = 40
_HEADER_EVERY = 40

_SHAFTS = {Arrival.REPLY: "╌", Arrival.NOTICE: "╌"}
_HEADS = {Arrival.WAITS: "○○", Arrival.LOST: "✗✗"}
_ARROWS = {
    Arrival.HANDLED: "──►",
    Arrival.WAITS: "──○",
    Arrival.LOST: "──✗",
    Arrival.REPLY: "╌╌►",
    Arrival.NOTICE: "✗╌►",
}
_ASCII = str.maketrans("│─╌├┤►◄○●✗…", "|-.++><o*x~")

_MEANINGS = {
    Arrival.HANDLED: "──► sent and handled",
    Arrival.WAITS: "──○ waits in the mailbox, ● is handled",
    Arrival.LOST: "──✗ is lost",
    Arrival.REPLY: "╌╌► reply",
    Arrival.NOTICE: "✗╌► news of a death",
}

_MERMAID_ARROWS = {
    Arrival.HANDLED: "->>",
    Arrival.WAITS: "-)",
    Arrival.LOST: "--x",
    Arrival.REPLY: "-->>",
    Arrival.NOTICE: "--)",
}
# Whatever else Mermaid might take for its own syntax, or a browser for HTML, is written as a character code.
_MERMAID_SPECIAL = re.compile(r"[^\w\s().,=+*/!?'…\[\]-]")


def text_chart(
    events: Iterable[Event],
    *,
    width: int = 100,
    last: int | None = None,
    focus: Collection[str] | None = None,
    unicode: bool = True,
) -> str:
    """Draw a trace for a terminal.

    Participants that do not fit side by side make it a list, one line for each thing that happened.

    Args:
        events: the trace.
        width: how many cells a line may take, at least 40.
        last: draw only so many events, the last ones, and say how many are left out.
        focus: draw only what these participants have part in, and what concerns everybody.
        unicode: draw with lines and arrows; otherwise with nothing that is not ASCII.

    Raises:
        ValueError: ``width`` or ``last`` is too small.
    """
    if width < NARROWEST:
        raise ValueError(
            f"width= is how many cells a line may take, at least {NARROWEST}, got {width}"
        )
    shown = scene(tuple(events), last=last, focus=focus)
    if unicode:
        return _drawn(shown, width)
    return _drawn(_in_ascii(shown), width).translate(_ASCII)


def mermaid(
    events: Iterable[Event], *, last: int | None = None, focus: Collection[str] | None = None
) -> str:
    """Draw a trace as a Mermaid ``sequenceDiagram``, which many web pages and editors show as a picture.

    Args:
        events: the trace.
        last: draw only so many events, the last ones, and say how many are left out.
        focus: draw only what these participants have part in, and what concerns everybody.

    Raises:
        ValueError: ``last`` is less than one.
    """
    shown = scene(tuple(events), last=last, focus=focus)
    names = {name: f"p{number}" for number, name in enumerate(shown.names, 1)} or {"nobody": "p1"}
    everybody = "p1" if len(names) == 1 else f"p1,p{len(names)}"
    lines = [f"participant {p} as {_escaped(name)}" for name, p in names.items()]
    if shown.left_out:
        lines.append(f"Note over {everybody}: {_left_out(shown)}")
    lines += (_mermaid_row(row, names, everybody) for row in shown.rows)
    return "\n".join(["sequenceDiagram", *(f"    {line}" for line in lines)]) + "\n"


def _mermaid_row(row: Row, names: dict[str, str], everybody: str) -> str:
    match row:
        case Arrow(arrival=arrival, source=source, target=target, text=text):
            return f"{names[source]}{_MERMAID_ARROWS[arrival]}{names[target]}: {_escaped(text)}"
        case Mark(where=where, text=text):
            return f"Note over {names[where]}: {_escaped(text)}"
        case Line():
            return f"Note over {everybody}: {_escaped(row.words)}"


def _escaped(text: str) -> str:
    clean = one_line(text) or "(nothing)"
    return _MERMAID_SPECIAL.sub(lambda found: f"#{ord(found[0])};", clean)


def _in_ascii(shown: Scene) -> Scene:
    """The scene with every text and name in ASCII, before anything is measured."""
    names = {name: _ascii(name) for name in shown.names}
    return attrs.evolve(
        shown,
        names=tuple(dict.fromkeys(names.values())),
        rows=tuple(_ascii_row(row) for row in shown.rows),
        absent=frozenset(_ascii(name) for name in shown.absent),
    )


def _ascii_row(row: Row) -> Row:
    text = _ascii(row.text)
    match row:
        case Arrow(source=source, target=target):
            return attrs.evolve(row, text=text, source=_ascii(source), target=_ascii(target))
        case Mark(where=where):
            return attrs.evolve(row, text=text, where=_ascii(where))
        case Line(who=who):
            return attrs.evolve(row, text=text, who=tuple(_ascii(name) for name in who))


def _ascii(text: str) -> str:
    return text.replace("…", "~").encode("ascii", "backslashreplace").decode("ascii")


def _left_out(shown: Scene) -> str:
    plural = "event is" if shown.left_out == 1 else "events are"
    return f"{shown.left_out} earlier {plural} left out"


def _drawn(shown: Scene, width: int) -> str:
    gutter = max((len(str(row.step)) for row in shown.rows), default=0)
    steps = _Steps(max(4, gutter))
    layout = columns(shown, steps.width + 2, width)
    head = [f"... {_left_out(shown)} ..."] if shown.left_out else []
    if not shown.rows:
        return "\n".join([*head, "nothing happened"])
    if layout is None:
        body = [line for row in shown.rows for line in _listed(row, steps, width)]
    else:
        body = list(_Chart(shown, layout, steps).lines())
    lines = (*head, *_legend(shown, layout), *body, *_key(shown, width))
    return "\n".join(line.rstrip() for line in lines)


class _Steps:
    """Tells the number of the step, where it has changed."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._shown: int | None = None

    def at(self, step: int) -> str:
        """What stands at the left of a row."""
        changed, self._shown = step != self._shown, step
        return (str(step) if changed else "").rjust(self.width)


def _across(line: Line, steps: _Steps, width: int) -> Iterator[str]:
    """A line of words; what does not fit goes on below."""
    margin = f"{steps.at(line.step)} {line.sign.value} "
    for text in folded(line.words, width - len(margin)):
        yield f"{margin}{text}"
        margin = " " * len(margin)


def _listed(row: Row, steps: _Steps, width: int) -> Iterator[str]:
    """A row of a chart without columns."""
    if isinstance(row, Line):
        yield from _across(row, steps, width)
        return
    margin = f"{steps.at(row.step)}  "
    for text in folded(_said(row), width - len(margin) - 2):
        yield f"{margin}{text}"
        margin = " " * (steps.width + 4)


def _said(row: Arrow | Mark) -> str:
    if isinstance(row, Mark):
        return f"{_named(row.where)} {'✗' if row.lost else '●'} {row.text}"
    return f"{_named(row.source)} {_ARROWS[row.arrival]} {_named(row.target)}: {row.text}"


def _named(name: str) -> str:
    return one_line(name) or "?"


class _Chart:
    """Draws the rows of a scene between its lifelines."""

    def __init__(self, shown: Scene, layout: Layout, steps: _Steps) -> None:
        self._rows = shown.rows
        self._layout = layout
        self._steps = steps
        self._alive = [name for name in shown.names if name not in shown.absent]
        self._names = frozenset(shown.names)

    def lines(self) -> Iterator[str]:
        """The chart, with its header again after every 40 lines."""
        since = _HEADER_EVERY
        for row in self._rows:
            if since >= _HEADER_EVERY:
                yield self._header()
                since = 0
            drawn = list(self._drawn(row))
            since += len(drawn)
            yield from drawn

    def _header(self) -> str:
        strip = Strip(self._layout.width)
        strip.put(0, "step".rjust(self._steps.width))
        for name, header in self._layout.headers.items():
            strip.put(self._layout.column[name] - cells(header) // 2, header)
        return str(strip)

    def _drawn(self, row: Row) -> Iterator[str]:
        match row:
            case Arrow(source=source, target=target) if source != target:
                yield from self._arrow(row)
            case Arrow(arrival=arrival):
                head = (_HEADS.get(arrival) or "◄►")[0]
                yield from self._beside(row.step, row.source, row.text, head=head)
            case Mark(lost=lost):
                on = "✗" if lost else "●"
                yield from self._beside(row.step, row.where, row.text, on=on)
            case Line():
                self._live(row)
                yield from _across(row, self._steps, self._layout.width)

    def _live(self, line: Line) -> None:
        """Begin or end lifelines."""
        if line.sign is Sign.STARTED:
            self._alive += [n for n in line.who if n in self._names and n not in self._alive]
        elif line.sign is Sign.ENDED or line.sign is Sign.HARM:
            self._alive = [name for name in self._alive if name not in line.who]

    def _arrow(self, row: Arrow) -> Iterator[str]:
        """An arrow with its text on it; if it is too short for that, beside it; if that is too long, above it."""
        left, right = sorted(self._layout.column[name] for name in (row.source, row.target))
        size, free = cells(row.text), self._layout.width - right - 2
        if size + BARE_SHAFT > right - left and size > free:
            yield self._above(row.step, left + 2, row.text)
            yield str(self._shaft(row))
            return
        strip = self._shaft(row)
        if size + BARE_SHAFT > right - left:
            strip.put(right + 1, f" {row.text} ")
        else:
            strip.put(_middle(left, right, size + 2, self._goes_right(row)), f" {row.text} ")
        yield str(strip)

    def _goes_right(self, row: Arrow) -> bool:
        return self._layout.column[row.source] < self._layout.column[row.target]

    def _shaft(self, row: Arrow) -> Strip:
        """An arrow without its text."""
        strip = self._strip(row.step)
        source, target = self._layout.column[row.source], self._layout.column[row.target]
        left, right = sorted((source, target))
        strip.put(left + 1, _SHAFTS.get(row.arrival, "─") * (right - left - 1))
        heads = _HEADS.get(row.arrival, "►◄")
        strip.put(right - 1 if source < target else left + 1, heads[source > target])
        strip.put(source, "✗" if row.arrival is Arrival.NOTICE else "├┤"[source > target])
        return strip

    def _above(self, step: int, start: int, text: str) -> str:
        """A row with nothing but the text of the arrow below."""
        strip = self._strip(step)
        text = clipped(text, self._layout.width - self._layout.gutter)
        strip.put(min(start, self._layout.width - cells(text)), text)
        return str(strip)

    def _beside(
        self, step: int, name: str, text: str, *, on: str = "│", head: str = ""
    ) -> Iterator[str]:
        """Text to the right of a lifeline, or to the left if there is more room."""
        at = self._layout.column[name]
        right, left = self._layout.width - at - 4, at - self._layout.gutter - 3
        rightwards = cells(text) <= right or right >= left
        for part in folded(text, max(1, right if rightwards else left)):
            strip = self._strip(step)
            strip.put(at, on)
            if rightwards:
                strip.put(at + 1, f"{head} {part} ")
            else:
                flipped = "►" if head == "◄" else head
                strip.put(at - cells(part) - 2 - len(head), f" {part} {flipped}")
            yield str(strip)
            on, head = "│", " " * len(head)

    def _strip(self, step: int) -> Strip:
        strip = Strip(self._layout.width)
        strip.put(0, self._steps.at(step))
        for name in self._alive:
            strip.put(self._layout.column[name], "│")
        return strip


def _middle(left: int, right: int, size: int, rightwards: bool) -> int:
    """Where to begin a text that stands in the middle of a shaft, its head apart."""
    first, last = (left + 1, right - 2) if rightwards else (left + 2, right - 1)
    return first + (last - first + 1 - size) // 2


def _legend(shown: Scene, layout: Layout | None) -> Iterator[str]:
    """The full names of those whose headers are shortened."""
    if layout is None:
        return
    for name in shown.names:
        if layout.headers[name] != _named(name):
            yield from folded(f"     {layout.headers[name]} is {_named(name)}", layout.width)


def _key(shown: Scene, width: int) -> Iterator[str]:
    """What the signs mean that are not plain arrows, as far as they occur."""
    used = {row.arrival for row in shown.rows if isinstance(row, Arrow)}
    if any(isinstance(row, Mark) and not row.lost for row in shown.rows):
        used.add(Arrival.WAITS)
    meanings = [meaning for sign, meaning in _MEANINGS.items() if sign in used]
    if meanings:
        key = "   ".join(meanings)
        yield ""
        yield from [key] if len(key) <= width else meanings
