"""The supervision tree of the crew.

    study                 rest_for_one: whoever comes later leans on those before
    |- ledger             holds the truth; never harmed
    |- lister
    |- reading            one_for_one: readers know nothing of each other
    |  `- reader-1 ... reader-4
    |- analysis           one_for_all: all analysts have seen the same files, or start afresh together
    |  `- structure, complexity, documentation, duplication
    |- foreman
    `- editor
"""

from __future__ import annotations

from pathlib import Path

import attrs

import actorkit as ak
from actorkit.demo import messages as names
from actorkit.demo.corpus import Corpus
from actorkit.demo.crew import Analyst, Editor, Foreman, Lister, Reader
from actorkit.demo.ledger import Ledger
from actorkit.demo.messages import crew_of
from actorkit.demo.sabotage import PACE, Target
from actorkit.demo.study import DISCIPLINES

ROOT = "study"

# The saboteur strikes once in PACE seconds at most, and each strike costs every supervisor above it one restart at the
# most: it either restarts the child, with whoever goes with it, or does not notice. So twice the strikes that fit in
# the window are never reached by strikes alone, whatever their number. An actor that crashes by itself, again and
# again, reaches them in no time, and the tree gives up as it should.
WITHIN = 5.0
MAX_RESTARTS = 2 * round(WITHIN / PACE)


def tree_of(system: ak.System, corpus: Corpus, directory: Path) -> ak.Props[ak.SupervisorMessage]:
    """Say how to make the crew that studies a corpus and leaves its report in a directory."""
    crew = crew_of(system)
    ledger = system.named(names.LEDGER)
    return _supervise(
        ak.Child("ledger", ak.props(Ledger), name=names.LEDGER),
        ak.Child("lister", ak.props(Lister, corpus, ledger), name=names.LISTER),
        ak.Child("reading", _reading(corpus), name=names.READING),
        ak.Child("analysis", _analysis(ledger), name=names.ANALYSIS),
        ak.Child("foreman", ak.props(Foreman, crew), name=names.FOREMAN),
        ak.Child("editor", ak.props(Editor, corpus.title, directory, crew), name=names.EDITOR),
        strategy="rest_for_one",
    )
