"""The report as one HTML page that needs nothing else: no scripts, no fonts, no network. Everything from files is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from actorkit.demo import plots
from actorkit.demo.complexity import ComplexitySection, Ranked
from actorkit.demo.documentation import DocumentationSection
from actorkit.demo.duplication import DuplicationSection, Spot
from actorkit.demo.markdown import PACKAGES_LISTED, SKIPPED_LISTED
from actorkit.demo.structure import StructureSection
from actorkit.demo.study import Study
from actorkit.demo.wording import counted
from actorkit.observe.text import printable

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --quiet: #5b6675; --paper: #ffffff; --raised: #f4f6f9;
  --line: #d9dfe7; --bar: #2f6db5; --track: #e6ebf1; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --quiet: #9aa6b5; --paper: #12161c; --raised: #1b212a;
  --line: #303a47; --bar: #6ba4e4; --track: #262f3b; } }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { margin: .4rem 0; }
.lead, .quiet { color: var(--quiet); fill: var(--quiet); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem; margin: 1.4rem 0 0;
  padding: 0; list-style: none; }
.facts li { background: var(--raised); border-radius: 8px; padding: .7rem .9rem; color: var(--quiet); font-size: .88rem; }
.facts b { display: block; color: var(--ink); font-size: 1.35rem; font-variant-numeric: tabular-nums; }
figure { margin: .8rem 0 0; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg text.quiet { fill: var(--quiet); }
.bar { fill: var(--bar); } .track { fill: var(--track); } .axis { stroke: var(--line); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--quiet); font-weight: 500; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font: .86em ui-monospace, monospace; overflow-wrap: anywhere; }
"""


def as_page(study: Study) -> str:
    """The whole report."""
    title = f"A study of {study.title}"
    body = "\n".join(
        [
            f"<h1>{_text(title)}</h1>",
            f'<p class="lead">{_text(_found(study))}</p>',
            _facts(study),
            _structure(study.structure),
            _complexity(study.complexity),
            _documentation(study.documentation),
            _duplication(study.duplication),
            _skipped(study),
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    return escape(printable(text))


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _found(study: Study) -> str:
    found = f"{counted(study.files, 'file')} found"
    left_out = "; there were more, which were left out" if study.more else ""
    return f"{found}, {len(study.skipped):,} skipped{left_out}."


def _facts(study: Study) -> str:
    shape, duplicates = study.structure, study.duplication
    facts = [
        (f"{shape.python_files:,}", "Python files"),
        (f"{shape.prose_files:,}", "prose files"),
        (f"{shape.lines:,}", "lines"),
        (f"{shape.classes:,}", "classes"),
        (f"{shape.functions:,}", "functions"),
        (f"{study.documentation.total.share:.0%}", "documented"),
        (f"{_share(duplicates.duplicated, duplicates.lines):.1%}", "duplicated"),
    ]
    items = "".join(f"<li><b>{value}</b>{name}</li>" for value, name in facts)
    return f'<ul class="facts">{items}</ul>'


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _structure(section: StructureSection) -> str:
    packages = (
        [_code(p.package), f"{p.files:,}", f"{p.lines:,}", f"{p.classes:,}", f"{p.functions:,}"]
        for p in section.packages[:PACKAGES_LISTED]
    )
    most = max((count for _, count in section.most_imported), default=1)
    bars = [plots.Bar(name, n / most, counted(n, "file")) for name, n in section.most_imported]
    return "\n".join(
        [
            "<h2>Structure</h2>",
            "<h3>What is imported by most files</h3>",
            plots.rows("Modules by the number of files that import them", bars, track=False),
            "<h3>The largest packages</h3>",
            _table(["package"], ["files", "lines", "classes", "functions"], packages),
        ]
    )


def _complexity(section: ComplexitySection) -> str:
    intro = (
        f"{counted(section.functions, 'function')}; the median complexity is {section.median}. "
        "The complexity is the number of ways that lead through a function."
    )
    histogram = section.histogram if section.functions else ()
    return "\n".join(
        [
            f"<h2>Complexity</h2><p>{intro}</p>",
            plots.columns("Functions by complexity", "complexity", histogram),
            "<h3>The most complex functions</h3>",
            _ranked(section.most_complex),
            "<h3>The longest functions</h3>",
            _ranked(section.longest),
        ]
    )


def _ranked(functions: Sequence[Ranked]) -> str:
    rows = (
        [
            _code(each.function.name),
            _code(f"{each.file}:{each.function.line}"),
            f"{each.function.complexity:,}",
            f"{each.function.length:,}",
        ]
        for each in functions
    )
    return _table(["function", "where"], ["complexity", "lines"], rows)


def _documentation(section: DocumentationSection) -> str:
    total = section.total
    bars = [
        plots.Bar(p.package, p.share, f"{p.share:.0%} of {p.public:,}")
        for p in section.packages[:PACKAGES_LISTED]
    ]
    return "\n".join(
        [
            "<h2>Documentation</h2>",
            (
                f"<p>{total.documented:,} of {counted(total.public, 'public thing')} "
                f"({total.share:.0%}) have a docstring: modules, classes, functions and methods.</p>"
            ),
            "<h3>The packages with most to document</h3>" if bars else "",
            plots.rows("Documented share of what is public, by package", bars, track=True),
        ]
    )


def _duplication(section: DuplicationSection) -> str:
    share = _share(section.duplicated, section.lines)
    rows = (
        [
            _code(passage.opening),
            "<br>".join(map(_spot, passage.spots)) + _more(passage.copies - len(passage.spots)),
            f"{passage.lines:,}",
            f"{passage.copies:,}",
        ]
        for passage in section.passages
    )
    return "\n".join(
        [
            "<h2>Duplicated passages</h2>",
            (
                f"<p>{section.duplicated:,} of {counted(section.lines, 'line')} ({share:.1%}) "
                "stand in a passage that stands elsewhere too.</p>"
            ),
            _table(["begins with", "where"], ["lines", "copies"], rows),
        ]
    )


def _spot(spot: Spot) -> str:
    return _code(f"{spot.file}:{spot.first}-{spot.last}")


def _more(count: int) -> str:
    return f'<br><span class="quiet">and {count:,} more</span>' if count else ""


def _skipped(study: Study) -> str:
    shown = study.skipped[:SKIPPED_LISTED]
    rows = ([_code(each.name), _text(each.why)] for each in shown)
    rest = len(study.skipped) - len(shown)
    more = f"<p>And {rest:,} more.</p>" if rest else ""
    return f"<h2>Skipped</h2>{_table(['what', 'why'], [], rows)}{more}"


def _table(words: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first columns hold words and whose last ones hold numbers."""
    body = "".join(f"<tr>{_cells('td', row, len(words))}</tr>" for row in rows)
    if not body:
        return "<p>None.</p>"
    head = _cells("th", [*words, *numbers], len(words))
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(tag: str, cells: Sequence[str], words: int) -> str:
    return "".join(
        f"<{tag}>{cell}</{tag}>" if i < words else f'<{tag} class="number">{cell}</{tag}>'
        for i, cell in enumerate(cells)
    )
