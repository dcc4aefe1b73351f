"""Plots as SVG text, to stand inside an HTML page: colours come from the page, so they follow its light or dark theme."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import attrs

from actorkit.demo.wording import shortened
from actorkit.observe.text import printable

WIDTH = 720
_ROW = 26
_BAR = 16
_LABEL = 190
_VALUE = 130
_HEIGHT = 240
_FOOT = 44
_HEAD = 24
_LABEL_CHARS = 26


@attrs.frozen
class Bar:
    """One bar: its label, how far it reaches (0 to 1), and what is written at its end."""

    label: str
    share: float
    value: str


def columns(title: str, axis: str, counts: Sequence[tuple[str, int]]) -> str:
    """A histogram: a column for each class, its count above it."""
    if not counts:
        return ""
    most = max(1, *(count for _, count in counts))
    step = WIDTH / len(counts)
    room = _HEIGHT - _FOOT - _HEAD
    marks = [
        _column(step * i, step, room * count / most, label, count)
        for i, (label, count) in enumerate(counts)
    ]
    floor = _HEIGHT - _FOOT
    base = f'<line class="axis" x1="0" y1="{floor}" x2="{WIDTH}" y2="{floor}"/>'
    name = f'<text class="quiet" x="{WIDTH / 2:g}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(axis)}</text>'
    return _figure(title, _HEIGHT, [*marks, base, name])


def _column(left: float, step: float, height: float, label: str, count: int) -> str:
    middle = left + step / 2
    floor = _HEIGHT - _FOOT
    top = floor - height
    width = step * 0.7
    return (
        f'<rect class="bar" x="{middle - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="2"/>'
        f'<text x="{middle:.1f}" y="{top - 6:.1f}" text-anchor="middle">{count:,}</text>'
        f'<text class="quiet" x="{middle:.1f}" y="{floor + 17}" text-anchor="middle">{escape(printable(label))}</text>'
    )


def rows(title: str, bars: Sequence[Bar], *, track: bool) -> str:
    """Horizontal bars below each other; with ``track``, what is missing to the whole shows behind them."""
    if not bars:
        return ""
    marks = [_row(i * _ROW, bar, track=track) for i, bar in enumerate(bars)]
    return _figure(title, len(bars) * _ROW, marks)


def _row(top: int, bar: Bar, *, track: bool) -> str:
    room = WIDTH - _LABEL - _VALUE
    baseline = top + _ROW / 2 + 4.5
    bar_top = top + (_ROW - _BAR) / 2
    label = escape(shortened(printable(bar.label), _LABEL_CHARS))
    behind = (
        f'<rect class="track" x="{_LABEL}" y="{bar_top:g}" width="{room}" height="{_BAR}" rx="2"/>'
        if track
        else ""
    )
    return (
        f'<text x="{_LABEL - 10}" y="{baseline:g}" text-anchor="end">{label}</text>{behind}'
        f'<rect class="bar" x="{_LABEL}" y="{bar_top:g}" width="{room * bar.share:.1f}" '
        f'height="{_BAR}" rx="2"/>'
        f'<text class="quiet" x="{WIDTH - _VALUE + 10}" y="{baseline:g}">{escape(bar.value)}</text>'
    )


def _figure(title: str, height: int, marks: Sequence[str]) -> str:
    name = escape(title)
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}">'
        f"<title>{name}</title>{''.join(marks)}</svg></figure>"
    )
