"""Take samples of several contenders round by round, so that a noisy machine hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from tests.benchmarks.figures import Series

Sampler: TypeAlias = Callable[[], float]


class Absent(Exception):
    """A peer that cannot take part, with the reason."""


@attrs.frozen
class Measured:
    """The series of those who took part, and the reasons of those who did not."""

    series: Mapping[str, Series]
    absent: Mapping[str, str]


def measure(contenders: Mapping[str, Sampler], runs: int) -> Measured:
    """Sample A B C, A B C, ...; whoever is absent once is left out from then on, with its samples."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    absent: dict[str, str] = {}
    for _ in range(runs):
        for name, sample in contenders.items():
            if name in absent:
                continue
            try:
                samples[name].append(sample())
            except Absent as reason:
                absent[name] = str(reason)
    series = {name: Series(tuple(taken)) for name, taken in samples.items() if name not in absent}
    return Measured(series, absent)
