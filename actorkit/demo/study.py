"""The four disciplines, what they come to together, and the undisturbed study that shows what that should be.

Everything here is plain functions on values. The actors of the crew call the same functions; whether they come to the
same result although they are killed all the time is what the demo is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from actorkit.demo import complexity, documentation, duplication, structure
from actorkit.demo.complexity import ComplexitySection
from actorkit.demo.corpus import Corpus, Search, look
from actorkit.demo.documentation import DocumentationSection
from actorkit.demo.duplication import DuplicationSection
from actorkit.demo.reading import Reading, Skipped, fetch, parse
from actorkit.demo.structure import StructureSection

Section = StructureSection | ComplexitySection | DocumentationSection | DuplicationSection


@attrs.frozen
class Discipline:
    """One way to look at a text.

    Attributes:
        name: what it looks at.
        examine: from one file to a finding.
        conclude: from the findings of all files, by name, to a section of the report; their order does not matter.
    """

    name: str
    examine: Callable[[Reading], Any]
    conclude: Callable[[Mapping[str, Any]], Section]


DISCIPLINES: tuple[Discipline, ...] = (
    Discipline("structure", structure.examine, structure.conclude),
    Discipline("complexity", complexity.examine, complexity.conclude),
    Discipline("documentation", documentation.examine, documentation.conclude),
    Discipline("duplication", duplication.examine, duplication.conclude),
)
NAMES: tuple[str, ...] = tuple(discipline.name for discipline in DISCIPLINES)


@attrs.frozen
class Study:
    """Everything the report says.

    Attributes:
        title: of the corpus.
        files: how many were found.
        more: whether there were more than are studied.
        skipped: what could not be studied, by name.
    """

    title: str
    files: int
    more: bool
    skipped: tuple[Skipped, ...]
    structure: StructureSection = attrs.field(
        validator=attrs.validators.instance_of(StructureSection)
    )
    complexity: ComplexitySection = attrs.field(
        validator=attrs.validators.instance_of(ComplexitySection)
    )
    documentation: DocumentationSection = attrs.field(
        validator=attrs.validators.instance_of(DocumentationSection)
    )
    duplication: DuplicationSection = attrs.field(
        validator=attrs.validators.instance_of(DuplicationSection)
    )


def bring_together(
    title: str, search: Search, skipped: Mapping[str, Skipped], sections: Mapping[str, Any]
) -> Study:
    """Make one study of what was searched, skipped and concluded."""
    left_out = sorted((*search.closed, *skipped.values()), key=lambda each: (each.name, each.why))
    return Study(title, len(search.found), search.more, tuple(left_out), **sections)


def study_in_steps(corpus: Corpus, done: Callable[[Study], None]) -> Iterator[float]:
    """Study a corpus without any actors; yields the share that is done after each step, and hands the study to ``done``."""
    search = Search()
    while not search.over:
        search = look(corpus, search)
        yield 0.0
    findings: dict[str, dict[str, Any]] = {name: {} for name in NAMES}
    skipped: dict[str, Skipped] = {}
    for count, name in enumerate(search.found, 1):
        outcome = read(corpus, name)
        if isinstance(outcome, Skipped):
            skipped[name] = outcome
        else:
            for discipline in DISCIPLINES:
                findings[discipline.name][name] = discipline.examine(outcome)
        yield count / len(search.found)
    sections = {each.name: each.conclude(findings[each.name]) for each in DISCIPLINES}
    done(bring_together(corpus.title, search, skipped, sections))


def study(corpus: Corpus) -> Study:
    """Study a corpus without any actors, at one go."""
    studies: list[Study] = []
    for _ in study_in_steps(corpus, studies.append):
        pass
    return studies[0]


def read(corpus: Corpus, name: str) -> Reading | Skipped:
    """Read one file of a corpus."""
    data = fetch(corpus.root, name)
    return data if isinstance(data, Skipped) else parse(name, data)
