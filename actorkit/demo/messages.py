"""What the crew says to each other, and by which names they know each other.

Every actor of the crew is reached by name, so that a message always goes to the incarnation that lives when it is sent.
But for the readers: they may live on other nodes, and names are a node's own. Their supervisor hands out their lasting
references, which follow them from incarnation to incarnation, and from node to node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

import actorkit as ak
from actorkit.demo.corpus import Search
from actorkit.demo.edition import Edition
from actorkit.demo.reading import Reading, Skipped
from actorkit.demo.study import NAMES, Section


class Sabotaged(Exception):
    """What an actor crashes of when it is told to."""


@ak.message
class Mishap:
    """Crash. Every worker but the ledger understands this, and nothing good ever sends it."""

    number: int

    def strike(self) -> None:
        """Let whoever handles this crash.

        Raises:
            Sabotaged: always.
        """
        raise Sabotaged(mishap_text(self.number))


def mishap_text(number: int) -> str:
    """How the death that strike ``number`` causes is told apart from any other."""
    return f"sabotage {number}"


# The ledger ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Task:
    """A file that is not done, with the disciplines that have not looked at it."""

    name: str
    missing: tuple[str, ...]


@attrs.frozen
class Standing:
    """How far the work has come; the ledger tells the system's observers.

    Attributes:
        done: findings recorded, those of skipped files included.
        total: findings wanted; None until the files are listed.
        repeated: asks that had to be repeated because whoever was asked died.
    """

    done: int
    total: int | None
    repeated: int

    @property
    def share(self) -> float:
        """From 0 to 1; 0 until the files are listed."""
        if self.total is None:
            return 0.0
        return self.done / self.total if self.total else 1.0


@attrs.frozen
class Register:
    """What the editor needs of the ledger."""

    search: Search
    skipped: Mapping[str, Skipped]


@ak.message
class Listed(ak.Request[None]):
    """The search is over; only the first such message counts."""

    search: Search = attrs.field(repr=False)


@ak.message
class Outstanding(ak.Request[tuple[Task, ...]]):
    """Which files are not done? Answered once the files are listed."""


@ak.message
class Record(ak.Request[None]):
    """A finding about one file; recording it twice changes nothing."""

    discipline: str
    name: str
    finding: Any = attrs.field(repr=False)


@ak.message
class Skip(ak.Request[None]):
    """A file that cannot be read; skipping it twice changes nothing."""

    skipped: Skipped


@ak.message
class FindingsOf(ak.Request[Mapping[str, Any]]):
    """All findings of one discipline, by file: what an analyst is rebuilt from."""

    discipline: str


@ak.message
class WhenDone(ak.Request[None]):
    """Answered when at least this share of the work is done.

    With ``hold`` the work then stands still until ``GoOn``: nobody is told that what he records was recorded. So strikes
    are spread over the work even if there is little of it.
    """

    share: float
    hold: bool = False


@ak.message
class GoOn:
    """Let the work go on."""


@ak.message
class ReadRegister(ak.Request[Register]):
    """What was found and what was skipped; asked when all is done."""


@ak.message
class AskedAgain:
    """Somebody had to repeat an ask."""

    asked: str


LedgerMessage = (
    Listed | Outstanding | Record | Skip | FindingsOf | WhenDone | GoOn | ReadRegister | AskedAgain
)


# The others ----------------------------------------------------------------------------------------------------------


@ak.message
class SearchOn:
    """Look into the next directories."""


@ak.message
class Read(ak.Request[Reading | Skipped]):
    """Read one file. It may travel, and so may the answer: the one who reads may live on another node."""

    name: str


@ak.message
class Examine(ak.Request[None]):
    """Look at one file, and record what is found; doing so twice changes nothing."""

    reading: Reading


@ak.message
class Conclude(ak.Request[Section]):
    """Bring the findings of all files together."""


@ak.message
class Distribute:
    """Hand out what is outstanding."""


@ak.message
class Edit(ak.Request[Edition]):
    """Write the report, and put it in the place of the one before it."""


ListerMessage = SearchOn | Mishap
ReaderMessage = Read | Mishap
AnalystMessage = Examine | Conclude | Mishap
ForemanMessage = Distribute | Mishap
EditorMessage = Edit | Mishap

READERS = 4

LEDGER = ak.Key[LedgerMessage]("ledger")
LISTER = ak.Key[ListerMessage]("lister")
READING = ak.Key[ak.SupervisorMessage]("reading")
READER: tuple[str, ...] = tuple(f"reader-{number}" for number in range(1, READERS + 1))
ANALYSIS = ak.Key[ak.SupervisorMessage]("analysis")
ANALYST: Mapping[str, ak.Key[AnalystMessage]] = {
    name: ak.Key[AnalystMessage](name) for name in NAMES
}
FOREMAN = ak.Key[ForemanMessage]("foreman")
EDITOR = ak.Key[EditorMessage]("editor")


@attrs.frozen
class Crew:
    """Those who are asked by others of the crew, by name."""

    ledger: ak.Ref[LedgerMessage]
    reading: ak.Ref[ak.SupervisorMessage]
    analysts: Mapping[str, ak.Ref[AnalystMessage]]


def crew_of(system: ak.System) -> Crew:
    """References to the crew of a system, whether it lives yet or not."""
    return Crew(
        ledger=system.named(LEDGER),
        reading=system.named(READING),
        analysts={name: system.named(key) for name, key in ANALYST.items()},
    )
