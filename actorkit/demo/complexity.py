"""The second discipline: how many ways lead through each function (McCabe's cyclomatic complexity), and how long it is."""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

import attrs

from actorkit.demo.reading import Reading

LISTED = 10
# The upper edge of each class of the histogram; the last class is open.
EDGES = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen
class FunctionMeasure:
    """One function: where it stands, how long it is, how many ways lead through it."""

    name: str
    line: int
    length: int
    complexity: int


@attrs.frozen
class ComplexityFinding:
    """The functions of one file, in source order."""

    functions: tuple[FunctionMeasure, ...] = ()


@attrs.frozen
class Ranked:
    """A function that made it into a list, with its file."""

    file: str
    function: FunctionMeasure


@attrs.frozen
class ComplexitySection:
    """The functions of all files.

    Attributes:
        histogram: how many functions fall into each class of complexity, simplest class first.
        median: of the complexities; 0 if there are no functions.
    """

    functions: int
    median: int
    histogram: tuple[tuple[str, int], ...]
    most_complex: tuple[Ranked, ...]
    longest: tuple[Ranked, ...]


def examine(reading: Reading) -> ComplexityFinding:
    """Measure every function of one file; a nested function counts for itself, not for the one around it."""
    if reading.tree is None:
        return ComplexityFinding()
    found: list[tuple[str, _Function]] = []
    ways: list[int] = []
    pending: list[tuple[ast.AST, str, int]] = [(reading.tree, "", -1)]
    while pending:
        node, prefix, owner = pending.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _Function):
                found.append((prefix + child.name, child))
                ways.append(1)
                pending.append((child, f"{prefix}{child.name}.", len(ways) - 1))
            elif isinstance(child, ast.ClassDef):
                pending.append((child, f"{prefix}{child.name}.", -1))
            else:
                if owner >= 0:
                    ways[owner] += ways_added(child)
                pending.append((child, prefix, owner))
    measures = (_measure(name, node, n) for (name, node), n in zip(found, ways, strict=True))
    return ComplexityFinding(tuple(sorted(measures, key=lambda m: (m.line, m.name))))


def ways_added(node: ast.AST) -> int:
    """How many more ways lead through a function because of one node of it."""
    match node:
        case ast.If() | ast.IfExp() | ast.For() | ast.AsyncFor() | ast.While():
            return 1
        case ast.ExceptHandler() | ast.match_case():
            return 1
        case ast.BoolOp(values=values):
            return len(values) - 1
        case ast.comprehension(ifs=ifs):
            return 1 + len(ifs)
        case _:
            return 0


def _measure(name: str, node: _Function, ways: int) -> FunctionMeasure:
    last = node.end_lineno if node.end_lineno is not None else node.lineno
    return FunctionMeasure(name, node.lineno, last - node.lineno + 1, ways)


def conclude(findings: Mapping[str, ComplexityFinding]) -> ComplexitySection:
    """Bring the functions of all files together."""
    ranked = [
        Ranked(file, function) for file in sorted(findings) for function in findings[file].functions
    ]
    ways = sorted(each.function.complexity for each in ranked)
    return ComplexitySection(
        functions=len(ranked),
        median=ways[len(ways) // 2] if ways else 0,
        histogram=_histogram(ways),
        most_complex=_top(ranked, lambda f: (f.complexity, f.length)),
        longest=_top(ranked, lambda f: (f.length, f.complexity)),
    )


def _histogram(ways: list[int]) -> tuple[tuple[str, int], ...]:
    counts = [0] * (len(EDGES) + 1)
    for each in ways:
        counts[bisect_left(EDGES, each)] += 1
    return tuple(zip(_labels(), counts, strict=True))


def _labels() -> Iterator[str]:
    below = 0
    for edge in EDGES:
        yield str(edge) if edge == below + 1 else f"{below + 1}-{edge}"
        below = edge
    yield f"{below + 1}+"


def _top(
    ranked: list[Ranked], weight: Callable[[FunctionMeasure], tuple[int, int]]
) -> tuple[Ranked, ...]:
    def heaviest_first(each: Ranked) -> tuple[int, int, str, int]:
        first, second = weight(each.function)
        return -first, -second, each.file, each.function.line

    return tuple(sorted(ranked, key=heaviest_first)[:LISTED])
