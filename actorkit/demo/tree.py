"""The supervision tree of the crew.

study                 rest_for_one: whoever comes later leans on those before
|- ledger             holds the truth; never harmed
|- lister
|- reading            one_for_one: readers know nothing of each other
|  `- reader-1 ... reader-4         on the worker nodes, if there are any
|- analysis           one_for_all: all analysts go by the same state of the ledger
|  `- structure, complexity, documentation, duplication
|- foreman
`- editor
"""

from __future__ import annotations

import os
from pathlib import Path

import actorkit as ak
from actorkit.demo import messages as names
from actorkit.demo.corpus import Corpus
from actorkit.demo.crew import Analyst, Editor, Foreman, Lister, Reader
from actorkit.demo.ledger import Ledger
from actorkit.demo.sabotage import PACE, Target
from actorkit.demo.study import DISCIPLINES

ROOT = "study"

# How many restarts are too many. Strikes come once in PACE seconds at most, and each costs a supervisor one restart at most:
# that of its child which was struck, or whose start the strike made fail. So strikes at actors, however many are ordered,
# cost WITHIN / PACE = 100 restarts in the window. Strikes at nodes cost more, but come once in NODE_PACE seconds: all READERS
# at once, 40 in the window. While no worker node is up, readers, or their supervisor, fail to start, as often as a node is
# dialled in vain: the second dial comes 0.05 s after the first at the earliest, the next ones ever later, so 100 are more than
# ever happen. That makes 240, and the limit is beyond. An actor that crashes by itself, again and again, reaches it in no time,
# and then the tree gives up, as it should. (One that dies of a message gets that anew only after a BREATH, and may stay below
# the limit on a slow machine; then nothing gets done, which ends the job as well.)
WITHIN = 5.0
MAX_RESTARTS = 3 * round(WITHIN / PACE)


async def start_tree(
    system: ak.System, corpus: Corpus, directory: Path, workers: tuple[str, ...] = ()
) -> ak.SupervisorRef:
    """Start the crew that studies a corpus and leaves its report in a directory; ``workers`` are the nodes to read on."""
    crew = names.crew_of(system)
    tree = ak.supervise(
        ak.Child("ledger", ak.props(Ledger), name=names.LEDGER),
        ak.Child("lister", ak.props(Lister, corpus, crew.ledger), name=names.LISTER),
        ak.Child("reading", _reading(corpus, workers), name=names.READING),
        ak.Child("analysis", _analysis(crew), name=names.ANALYSIS),
        ak.Child("foreman", ak.props(Foreman, crew), name=names.FOREMAN),
        ak.Child("editor", ak.props(Editor, corpus.title, directory, crew), name=names.EDITOR),
        strategy="rest_for_one",
        max_restarts=MAX_RESTARTS,
        within=WITHIN,
    )
    return await system.start(tree, name=ROOT)


def _reading(corpus: Corpus, workers: tuple[str, ...]) -> ak.Props[ak.SupervisorMessage]:
    root = os.fsencode(corpus.root.absolute())
    readers = (
        ak.Child(name, ak.props(Reader, root), node=preferred(workers, number))
        for number, name in enumerate(names.READER)
    )
    return ak.supervise(*readers, strategy="one_for_one", max_restarts=MAX_RESTARTS, within=WITHIN)


def preferred(workers: tuple[str, ...], number: int) -> tuple[str, ...] | None:
    """The nodes a reader may live on, the one it prefers first; they take turns. None if there is but one node."""
    first = number % len(workers) if workers else 0
    return (*workers[first:], *workers[:first]) or None


def _analysis(crew: names.Crew) -> ak.Props[ak.SupervisorMessage]:
    analysts = (
        ak.Child(each.name, ak.props(Analyst, each, crew.ledger), name=names.ANALYST[each.name])
        for each in DISCIPLINES
    )
    return ak.supervise(*analysts, strategy="one_for_all", max_restarts=MAX_RESTARTS, within=WITHIN)


def targets() -> tuple[Target, ...]:
    """Who may be struck: everybody but the root, whose end is the end, and the ledger, which all others lean on."""
    return (
        Target(names.READING.name, supervisor=True),
        Target(names.ANALYSIS.name, supervisor=True),
        Target(names.LISTER.name),
        *map(Target, names.READER),
        *(Target(key.name) for key in names.ANALYST.values()),
        Target(names.FOREMAN.name),
        Target(names.EDITOR.name),
    )
