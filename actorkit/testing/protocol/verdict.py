"""What a checker has to say: findings in words, and whether there are any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

_SHOWN = 20


@attrs.frozen
class Finding:
    """One thing that is wrong, or that could not be judged.

    Attributes:
        kind: what it is, in a word or two, the same for all of its kind: ``"lost"``.
        about: the element, id, message or operation concerned.
        text: the story: who did what, when, and what contradicts it.
    """

    kind: str
    about: Any
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@attrs.frozen
class Verdict:
    """What one checker found in one record. True in a condition if it found nothing wrong.

    Attributes:
        checker: who says so.
        judged: how much there was to judge: a check of nothing passes, and proves nothing.
        findings: what is wrong.
        notes: what is no fault, but should be known: above all what could not be judged.
    """

    checker: str
    judged: Mapping[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...] = ()

    def __bool__(self) -> bool:
        return not self.findings

    def of(self, kind: str) -> tuple[Finding, ...]:
        """The findings and notes of one kind."""
        return tuple(found for found in (*self.findings, *self.notes) if found.kind == kind)

    def __str__(self) -> str:
        judged = ", ".join(f"{what}: {number:,}" for what, number in self.judged.items())
        number = len(self.findings)
        told = "nothing wrong" if number == 0 else f"{number:,} finding{'s' if number > 1 else ''}"
        return "\n".join(
            (
                f"{self.checker}: {told} ({judged})",
                *_listed(str(finding) for finding in self.findings),
                *_listed(f"(not a fault) {note}" for note in self.notes),
            )
        )

    def require(self) -> None:
        """Raise AssertionError with all findings, if there are any."""
        if self.findings:
            raise AssertionError(str(self))


def _listed(lines: Iterable[str]) -> list[str]:
    every = [f"  {line}" for line in lines]
    more = len(every) - _SHOWN
    return every if more <= 0 else [*every[:_SHOWN], f"  ... and {more:,} more"]
