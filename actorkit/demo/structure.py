"""The first discipline: what the text consists of, and what it leans on."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from actorkit.demo.reading import Reading, statements

MOST_IMPORTED = 15


@attrs.frozen
class StructureFinding:
    """What one file consists of; ``imports`` are the top-level modules it names, each once."""

    package: str
    lines: int
    words: int = 0
    classes: int = 0
    functions: int = 0
    imports: tuple[str, ...] = ()
    prose: bool = False


@attrs.frozen
class PackageSize:
    """What the files of one package add up to."""

    package: str
    files: int
    lines: int
    classes: int
    functions: int


@attrs.frozen
class StructureSection:
    """What all files add up to.

    Attributes:
        packages: the largest first.
        most_imported: modules with the number of files that import them, the most wanted first.
    """

    python_files: int
    prose_files: int
    lines: int
    words: int
    classes: int
    functions: int
    packages: tuple[PackageSize, ...]
    most_imported: tuple[tuple[str, int], ...]


def examine(reading: Reading) -> StructureFinding:
    """Count the parts of one file."""
    lines = len(reading.lines) - (reading.lines[-1] == "")
    if reading.tree is None:
        words = sum(len(line.split()) for line in reading.lines)
        return StructureFinding(reading.package, lines, words, prose=True)
    kinds: Counter[str] = Counter()
    imports: set[str] = set()
    for statement in statements(reading.tree):
        match statement:
            case ast.ClassDef():
                kinds["class"] += 1
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                kinds["function"] += 1
            case ast.Import(names=names):
                imports.update(_top(alias.name) for alias in names)
            case ast.ImportFrom(module=str() as module, level=0):
                imports.add(_top(module))
            case _:
                pass
    return StructureFinding(
        reading.package,
        lines,
        classes=kinds["class"],
        functions=kinds["function"],
        imports=tuple(sorted(imports)),
    )


def _top(module: str) -> str:
    return module.partition(".")[0]


def conclude(findings: Mapping[str, StructureFinding]) -> StructureSection:
    """Add up what the files consist of."""
    files = [findings[name] for name in sorted(findings)]
    imported = Counter(module for file in files for module in file.imports)
    return StructureSection(
        python_files=sum(not file.prose for file in files),
        prose_files=sum(file.prose for file in files),
        lines=sum(file.lines for file in files),
        words=sum(file.words for file in files),
        classes=sum(file.classes for file in files),
        functions=sum(file.functions for file in files),
        packages=_packages(files),
        most_imported=tuple(_by_count(imported))[:MOST_IMPORTED],
    )


def _by_count(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _packages(files: list[StructureFinding]) -> tuple[PackageSize, ...]:
    grouped: dict[str, list[StructureFinding]] = {}
    for file in files:
        grouped.setdefault(file.package, []).append(file)
    sizes = [
        PackageSize(
            package,
            len(members),
            sum(member.lines for member in members),
            sum(member.classes for member in members),
            sum(member.functions for member in members),
        )
        for package, members in grouped.items()
    ]
    return tuple(sorted(sizes, key=lambda size: (-size.lines, size.package)))
