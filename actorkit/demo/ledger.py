"""The one actor that is never killed: it holds the truth, and does so little that it has no reason to fail.

What others know they can always ask for again, because it is here: which files there are, what was found in each, and so
what is outstanding. Everything it is told may be told twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import actorkit as ak
from actorkit.demo.corpus import Search
from actorkit.demo.messages import (
    AskedAgain,
    FindingsOf,
    GoOn,
    LedgerMessage,
    Listed,
    Outstanding,
    ReadRegister,
    Record,
    Register,
    Skip,
    Standing,
    Task,
    WhenDone,
)
from actorkit.demo.reading import Skipped
from actorkit.demo.study import NAMES
from actorkit.observe.text import printable


class Ledger(ak.Actor[LedgerMessage]):
    """Remembers what was found, and tells who waits for it."""

    def __init__(self) -> None:
        self.search: Search | None = None
        self.files: frozenset[str] = frozenset()
        self.findings: dict[str, dict[str, Any]] = {name: {} for name in NAMES}
        self.skipped: dict[str, Skipped] = {}
        self.repeated = 0
        self.doing = ""
        self._foremen: list[ak.Reply[tuple[Task, ...]]] = []
        self._patient: list[tuple[WhenDone, ak.Reply[None]]] = []
        self._held: list[ak.Reply[None]] | None = None

    def describe(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Only how much it holds; the findings themselves would be too much to show."""
        standing = self.standing()
        return {"doing": self.doing, "done": standing.done, "total": standing.total}

    def standing(self) -> Standing:
        """How far the work has come."""
        if self.search is None:
            return Standing(0, None, self.repeated)
        found = sum(len(findings) for findings in self.findings.values())
        done = found + len(self.skipped) * len(NAMES)
        return Standing(done, len(self.files) * len(NAMES), self.repeated)

    @ak.on(Listed)
    def listed(self, msg: Listed) -> None:
        """Note which files there are. A lister that is restarted searches again; its news is none."""
        if self.search is None:
            self.search = msg.search
            self.files = frozenset(msg.search.found)
            for foreman in self._foremen:
                foreman.send(self.outstanding())
            self._foremen.clear()
            self._announce()

    @ak.on(Outstanding)
    def tell_outstanding(self, msg: Outstanding, reply: ak.Reply[tuple[Task, ...]]) -> None:
        """Say what is outstanding, as soon as it is known."""
        if self.search is None:
            self._foremen.append(reply)
        else:
            reply.send(self.outstanding())

    def outstanding(self) -> tuple[Task, ...]:
        """The files that are not done, in the order in which they were found."""
        names = self.search.found if self.search is not None else ()
        tasks = (Task(name, self._missing(name)) for name in names if name not in self.skipped)
        return tuple(task for task in tasks if task.missing)

    def _missing(self, name: str) -> tuple[str, ...]:
        return tuple(kind for kind in NAMES if name not in self.findings[kind])

    @ak.on(Record)
    def record(self, msg: Record, reply: ak.Reply[None]) -> None:
        """Note a finding."""
        if msg.name in self.files:
            self.doing = printable(f"{msg.discipline} of {msg.name}")
            self.findings[msg.discipline].setdefault(msg.name, msg.finding)
            self._announce()
        self._acknowledge(reply)

    @ak.on(Skip)
    def skip(self, msg: Skip, reply: ak.Reply[None]) -> None:
        """Note that a file cannot be read, and why."""
        if msg.skipped.name in self.files:
            self.skipped.setdefault(msg.skipped.name, msg.skipped)
            self._announce()
        self._acknowledge(reply)

    def _acknowledge(self, reply: ak.Reply[None]) -> None:
        """Say that it was noted, now or when the work goes on."""
        if self._held is None:
            reply.send(None)
        else:
            self._held.append(reply)

    @ak.on(GoOn)
    def go_on(self, msg: GoOn) -> None:
        """Let those go on who wait only because the work stands still."""
        held, self._held = self._held, None
        for reply in held or ():
            reply.send(None)

    @ak.on(FindingsOf)
    def findings_of(self, msg: FindingsOf) -> Mapping[str, Any]:
        """Hand out a copy of what one discipline has found."""
        return dict(self.findings[msg.discipline])

    @ak.on(ReadRegister)
    def read_register(self, msg: ReadRegister) -> Register:
        """Hand out what was found and skipped."""
        return Register(self.search or Search(), dict(self.skipped))

    @ak.on(WhenDone)
    def when_done(self, msg: WhenDone, reply: ak.Reply[None]) -> None:
        """Answer when the work has come that far."""
        self._patient.append((msg, reply))
        self._tell_the_patient()

    @ak.on(AskedAgain)
    def asked_again(self, msg: AskedAgain) -> None:
        """Count a repeated ask."""
        self.repeated += 1
        self._announce()

    def _announce(self) -> None:
        self.ctx.events.emit(self.standing())
        self._tell_the_patient()

    def _tell_the_patient(self) -> None:
        if self.search is None:
            return
        share = self.standing().share
        due = [each for each in self._patient if each[0].share <= share]
        self._patient = [each for each in self._patient if each[0].share > share]
        for wish, reply in due:
            if wish.hold and self._held is None:
                self._held = []
            reply.send(None)
