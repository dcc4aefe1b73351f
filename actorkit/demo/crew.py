"""The crew: who finds, who reads, who judges, who hands out the work, who writes.

Each of them may die at any moment, so none of them knows anything that the ledger does not know too, and everything
they do may be done again. Whoever asks another one asks again if that one dies; the answer, or the death, always comes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import actorkit as ak
from actorkit.demo.corpus import Corpus, Search, look
from actorkit.demo.edition import Edition, compose, publish
from actorkit.demo.messages import (
    AnalystMessage,
    AskedAgain,
    Conclude,
    Crew,
    Distribute,
    Edit,
    EditorMessage,
    Examine,
    FindingsOf,
    ForemanMessage,
    LedgerMessage,
    Listed,
    ListerMessage,
    Mishap,
    Outstanding,
    Read,
    ReaderMessage,
    ReadRegister,
    Record,
    SearchOn,
    Skip,
    Task,
)
from actorkit.demo.reading import Reading, Skipped, fetch, parse
from actorkit.demo.study import Discipline, Section, bring_together
from actorkit.observe.text import printable
from actorkit.supervision.requests import WhichChildren

M = TypeVar("M")
R = TypeVar("R")

BREATH = 0.01  # seconds before an ask is repeated: a restart takes less


class Lister(ak.Actor[ListerMessage]):
    """Finds the files, a few directories at a time."""

    DIRECTORIES = 10

    def __init__(self, corpus: Corpus, ledger: ak.Ref[LedgerMessage]) -> None:
        self.corpus = corpus
        self.ledger = ledger
        self.search = Search()
        self.doing = ""

    def describe(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """What it is doing."""
        return {"doing": self.doing}

    def started(self) -> None:
        """Begin at the beginning, whatever an earlier incarnation found."""
        self.ctx.continue_with(SearchOn())

    @ak.on(SearchOn)
    async def search_on(self, msg: SearchOn) -> None:
        """Look into a few directories, then let others have their turn."""
        for _ in range(self.DIRECTORIES):
            if not self.search.over:
                self.search = look(self.corpus, self.search)
        self.doing = f"found {len(self.search.found):,} files"
        if self.search.over:
            await self.ledger.ask(Listed(self.search), timeout=None)
        else:
            await self.ctx.sleep(0)
            self.ctx.continue_with(SearchOn())

    @ak.on(Mishap)
    def mishap(self, msg: Mishap) -> None:
        """Crash."""
        msg.strike()


class Reader(ak.Actor[ReaderMessage]):
    """Reads one file at a time, on whichever node it lives. It remembers nothing.

    The directory comes as bytes, as whatever it is called can travel so.
    """

    def __init__(self, root: bytes) -> None:
        self.root = Path(os.fsdecode(root))
        self.doing = ""

    def describe(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """What it is doing."""
        return {"doing": self.doing}

    @ak.on(Read)
    async def read(self, msg: Read) -> Reading | Skipped:
        """Fetch a file and parse it; others have their turn in between, and it may die there."""
        self.doing = printable(msg.name)
        data = fetch(self.root, msg.name)
        await self.ctx.sleep(0)
        return data if isinstance(data, Skipped) else parse(msg.name, data)

    @ak.on(Mishap)
    def mishap(self, msg: Mishap) -> None:
        """Crash."""
        msg.strike()


class Analyst(ak.Actor[AnalystMessage]):
    """Looks at files in one way. What it holds is a copy of its page in the ledger."""

    def __init__(self, discipline: Discipline, ledger: ak.Ref[LedgerMessage]) -> None:
        self.discipline = discipline
        self.ledger = ledger
        self.findings: dict[str, Any] = {}
        self.doing = ""

    def describe(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """What it is doing."""
        return {"doing": self.doing}

    async def started(self) -> None:
        """Take over what earlier incarnations have recorded.

        Whatever one of them sent to the ledger arrived there before this question does, so nothing is missed.
        """
        findings = await self.ledger.ask(FindingsOf(self.discipline.name), timeout=None)
        self.findings = dict(findings)

    @ak.on(Examine)
    async def examine(self, msg: Examine) -> None:
        """Look at a file, and answer only once the finding is in the ledger."""
        name = msg.reading.name
        if name in self.findings:
            return
        self.doing = printable(name)
        finding = self.discipline.examine(msg.reading)
        await self.ledger.ask(Record(self.discipline.name, name, finding), timeout=None)
        self.findings[name] = finding

    @ak.on(Conclude)
    def conclude(self, msg: Conclude) -> Section:
        """Bring all findings together."""
        self.doing = f"concluding from {len(self.findings):,} findings"
        return self.discipline.conclude(self.findings)

    @ak.on(Mishap)
    def mishap(self, msg: Mishap) -> None:
        """Crash."""
        msg.strike()


class Foreman(ak.Actor[ForemanMessage]):
    """Hands out what is outstanding: one file to each reader, and what was read to each analyst."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.doing = ""

    def describe(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """What it is doing."""
        return {"doing": self.doing}

    def started(self) -> None:
        """Ask what is outstanding; an earlier incarnation may have done some of it."""
        self.ctx.continue_with(Distribute())

    @ak.on(Distribute)
    async def distribute(self, msg: Distribute) -> None:
        """Set every reader to work. The tasks are shared: whoever is done first takes the next."""
        tasks = deque(await self.crew.ledger.ask(Outstanding(), timeout=None))
        self.doing = f"had {len(tasks):,} files to hand out"
        children = await insist(self.ctx, self.crew.ledger, self.crew.reading, WhichChildren())
        for child in children:
            self.ctx.start_soon(self._keep_busy, child.ref, tasks)

    async def _keep_busy(self, reader: ak.Ref[ReaderMessage], tasks: deque[Task]) -> None:
        while tasks:
            await self._carry_out(reader, tasks.popleft())

    async def _carry_out(self, reader: ak.Ref[ReaderMessage], task: Task) -> None:
        ledger = self.crew.ledger
        reading = await insist(self.ctx, ledger, reader, Read(task.name))
        if isinstance(reading, Skipped):
            await ledger.ask(Skip(reading), timeout=None)
            return
        for name in task.missing:
            await insist(self.ctx, ledger, self.crew.analysts[name], Examine(reading))

    @ak.on(Mishap)
    def mishap(self, msg: Mishap) -> None:
        """Crash."""
        msg.strike()


class Editor(ak.Actor[EditorMessage]):
    """Writes the report from what the analysts conclude."""

    def __init__(self, title: str, directory: Path, crew: Crew) -> None:
        self.title = title
        self.directory = directory
        self.crew = crew
        self.doing = ""

    def describe(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """What it is doing."""
        return {"doing": self.doing}

    @ak.on(Edit)
    async def edit(self, msg: Edit) -> Edition:
        """Gather the sections, write the report, and put it in its place."""
        ledger = self.crew.ledger
        sections: dict[str, Section] = {}
        for name, analyst in self.crew.analysts.items():
            self.doing = f"waiting for {name}"
            sections[name] = await insist(self.ctx, ledger, analyst, Conclude())
        register = await ledger.ask(ReadRegister(), timeout=None)
        study = bring_together(self.title, register.search, register.skipped, sections)
        edition = compose(study)
        publish(edition, self.directory)
        self.doing = f"published {edition.digest}"
        return edition

    @ak.on(Mishap)
    def mishap(self, msg: Mishap) -> None:
        """Crash."""
        msg.strike()


async def insist(
    ctx: ak.Context[Any],
    ledger: ak.Ref[LedgerMessage],
    ref: ak.Ref[M],
    request: ak.AskOf[M, R],
) -> R:
    """Ask until there is an answer, however often whoever is asked dies, by himself or with his whole node.

    That is safe because every request of the crew may be carried out twice. Of a node that is lost nobody knows what it
    had done, and it need not be known.
    """
    while True:
        try:
            return await ref.ask(request, timeout=None)
        except (ak.ActorDied, ak.NodeDown):
            ledger.tell(AskedAgain(ref.path))
            await ctx.sleep(BREATH)
