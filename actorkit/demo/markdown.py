"""The report as Markdown. Everything taken from files is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actorkit.demo.complexity import ComplexitySection, Ranked
from actorkit.demo.documentation import DocumentationSection
from actorkit.demo.duplication import DuplicationSection, Spot
from actorkit.demo.structure import StructureSection
from actorkit.demo.study import Study
from actorkit.demo.wording import code, counted, in_markdown

BAR = 40
PACKAGES_LISTED = 12
SKIPPED_LISTED = 50


def as_markdown(study: Study) -> str:
    """The whole report."""
    parts = [
        f"# A study of {in_markdown(study.title)}",
        headline(study),
        *_structure(study.structure),
        *_complexity(study.complexity),
        *_documentation(study.documentation),
        *_duplication(study.duplication),
        *_skipped(study),
    ]
    return "\n\n".join(parts) + "\n"


def headline(study: Study) -> str:
    """What was studied, in a sentence or two."""
    shape = study.structure
    kinds = [counted(shape.python_files, "Python file")] if shape.python_files else []
    kinds += [counted(shape.prose_files, "prose file")] if shape.prose_files else []
    read = " and ".join(kinds) or "no file"
    left_out = " There were more, which were left out." if study.more else ""
    return (
        f"{counted(study.files, 'file')} found, {len(study.skipped):,} skipped; "
        f"read: {read}, {counted(shape.lines, 'line')}.{left_out}"
    )


def _structure(section: StructureSection) -> list[str]:
    facts = [
        ["classes", f"{section.classes:,}"],
        ["functions", f"{section.functions:,}"],
        ["words of prose", f"{section.words:,}"],
    ]
    packages = (
        [code(p.package), f"{p.files:,}", f"{p.lines:,}", f"{p.classes:,}", f"{p.functions:,}"]
        for p in section.packages[:PACKAGES_LISTED]
    )
    return [
        "## Structure",
        _table(["", "count"], facts),
        "The largest packages:",
        _table(["package", "files", "lines", "classes", "functions"], packages),
        "What is imported by most files:",
        _bars(section.most_imported),
    ]


def _complexity(section: ComplexitySection) -> list[str]:
    return [
        "## Complexity",
        (
            f"{counted(section.functions, 'function')}; the median complexity is {section.median}. "
            "How many functions there are of each complexity:"
        ),
        _bars(section.histogram),
        "The most complex functions:",
        _ranked(section.most_complex),
        "The longest functions:",
        _ranked(section.longest),
    ]


def _ranked(functions: Sequence[Ranked]) -> str:
    rows = (
        [
            code(each.function.name),
            code(f"{each.file}:{each.function.line}"),
            f"{each.function.complexity:,}",
            f"{each.function.length:,}",
        ]
        for each in functions
    )
    return _table(["function", "where", "complexity", "lines"], rows)


def _documentation(section: DocumentationSection) -> list[str]:
    total = section.total
    rows = (
        [code(p.package), f"{p.public:,}", f"{p.documented:,}", f"{p.share:.0%}"]
        for p in section.packages[:PACKAGES_LISTED]
    )
    return [
        "## Documentation",
        (
            f"{total.documented:,} of {counted(total.public, 'public thing')} "
            f"({total.share:.0%}) have a docstring."
        ),
        _table(["package", "public", "documented", "share"], rows),
    ]


def _duplication(section: DuplicationSection) -> list[str]:
    share = section.duplicated / section.lines if section.lines else 0.0
    rows = (
        [
            f"{passage.lines:,}",
            f"{passage.copies:,}",
            code(passage.opening),
            "; ".join(map(_spot, passage.spots)) + _and_more(passage.copies - len(passage.spots)),
        ]
        for passage in section.passages
    )
    return [
        "## Duplicated passages",
        (
            f"{section.duplicated:,} of {counted(section.lines, 'line')} ({share:.1%}) "
            "stand in a passage that stands elsewhere too."
        ),
        _table(["lines", "copies", "begins with", "where"], rows),
    ]


def _spot(spot: Spot) -> str:
    return code(f"{spot.file}:{spot.first}-{spot.last}")


def _and_more(count: int) -> str:
    return f" and {count:,} more" if count else ""


def _skipped(study: Study) -> list[str]:
    if not study.skipped:
        return ["## Skipped", "Nothing."]
    shown = study.skipped[:SKIPPED_LISTED]
    rows = ([code(each.name), in_markdown(each.why)] for each in shown)
    rest = _and_more(len(study.skipped) - len(shown))
    return ["## Skipped", _table(["what", "why"], rows), *([rest.strip()] if rest else [])]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [_row(row) for row in rows]
    if not body:
        return "None."
    return "\n".join([_row(head), _row(["---"] * len(head)), *body])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _bars(counts: Sequence[tuple[str, int]]) -> str:
    """A plot of text, in a block that Markdown leaves alone."""
    if not counts:
        return "None."
    most = max(1, *(count for _, count in counts))
    width = max(len(label) for label, _ in counts)
    lines = (
        f"    {label:>{width}}  {'█' * round(BAR * count / most):<{BAR}}  {count:,}"
        for label, count in counts
    )
    return "\n".join(lines)
