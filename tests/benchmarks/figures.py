"""From samples to figures, and from figures to JSON and to a table. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import attrs

from tests.benchmarks.registry import Better

# Below this a floor is noise around nothing, and a ratio to it says nothing.
LEAST_FLOOR = 1e-9


@attrs.frozen
class Series:
    """The samples of one contender, one for each round it took part in."""

    samples: tuple[float, ...] = attrs.field(validator=attrs.validators.min_len(1))

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def low(self) -> float:
        return min(self.samples)

    @property
    def high(self) -> float:
        return max(self.samples)


@attrs.frozen
class Figure:
    """What one benchmark showed in one run of the suite."""

    name: str
    unit: str
    better: Better
    actorkit: Series
    floor: Series
    peers: Mapping[str, Series | None]

    @property
    def ratio_to_floor(self) -> float | None:
        """Value divided by floor, whichever direction is better; None where the floor is nothing."""
        if self.floor.median < LEAST_FLOOR:
            return None
        return self.actorkit.median / self.floor.median

    def ratio_to(self, peer: str) -> float | None:
        """Value divided by the peer's; None where the peer has none."""
        series = self.peers.get(peer)
        if series is None or series.median < LEAST_FLOOR:
            return None
        return self.actorkit.median / series.median

    def as_json(self) -> dict[str, object]:
        """The object that stands for this figure in the list that --json prints."""
        return {
            "name": self.name,
            "value": significant(self.actorkit.median),
            "unit": self.unit,
            "better": self.better,
            "floor": significant(self.floor.median),
            "ratio_to_floor": significant(self.ratio_to_floor),
            "low": significant(self.actorkit.low),
            "high": significant(self.actorkit.high),
            "runs": len(self.actorkit.samples),
            "peers": {
                name: None if series is None else significant(series.median)
                for name, series in self.peers.items()
            },
        }


def significant(value: float | None, digits: int = 5) -> float | None:
    """The value with as many digits as a benchmark can mean."""
    return None if value is None else float(f"{value:.{digits}g}")


def table(figures: Sequence[Figure]) -> str:
    """An aligned table: each figure with its spread, its floor, and its ratios to floor and peers."""
    peers = list(dict.fromkeys(name for figure in figures for name in figure.peers))
    header = ["benchmark", "unit", "better", "value", "min..max", "floor", "of floor"]
    for peer in peers:
        header += [peer, f"of {peer}"]
    return aligned([header, *(_row(figure, peers) for figure in figures)])


def _row(figure: Figure, peers: Sequence[str]) -> list[str]:
    cells = [
        figure.name,
        figure.unit,
        figure.better,
        readable(figure.actorkit.median),
        f"{readable(figure.actorkit.low)}..{readable(figure.actorkit.high)}",
        readable(figure.floor.median),
        ratio(figure.ratio_to_floor),
    ]
    for peer in peers:
        series = figure.peers.get(peer)
        cells += [readable(None if series is None else series.median), ratio(figure.ratio_to(peer))]
    return cells


def brief(figure: Figure) -> str:
    """One line for whoever waits while the rest is measured."""
    ours = f"{readable(figure.actorkit.median)} {figure.unit}"
    peers = "".join(f", {ratio(figure.ratio_to(name))} of {name}" for name in figure.peers)
    return f"{ours}, {ratio(figure.ratio_to_floor)} of floor{peers}"


def readable(value: float | None) -> str:
    """A number for people: thousands set apart, small ones with three digits that count."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(value: float | None) -> str:
    """A ratio for people; a dash where there is none."""
    return "-" if value is None else f"x{value:.2f}" if value < 100 else f"x{value:,.0f}"


def aligned(rows: Sequence[Sequence[str]], words: int = 3) -> str:
    """Rows as lines with columns of one width: the first few hold words, the others numbers."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        cells = [
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
