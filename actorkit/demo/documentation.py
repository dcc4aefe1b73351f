"""The third discipline: which of the things others may use are explained by a docstring."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import attrs

from actorkit.demo.reading import Reading

_Documentable = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen
class DocumentationFinding:
    """How many public things one file has, and how many of them have a docstring."""

    package: str
    public: int = 0
    documented: int = 0


@attrs.frozen
class Coverage:
    """The share of public things that are documented, in one package or in all."""

    package: str
    public: int
    documented: int

    @property
    def share(self) -> float:
        """From 0 to 1; 1 if there is nothing to document."""
        return self.documented / self.public if self.public else 1.0


@attrs.frozen
class DocumentationSection:
    """Coverage of all files together, and of each package: those with most to document first."""

    total: Coverage
    packages: tuple[Coverage, ...]


def examine(reading: Reading) -> DocumentationFinding:
    """Count the public things of one file."""
    if reading.tree is None:
        return DocumentationFinding(reading.package)
    public = list(public_things(reading.tree))
    documented = sum(ast.get_docstring(thing, clean=False) is not None for thing in public)
    return DocumentationFinding(reading.package, len(public), documented)


def public_things(tree: ast.Module) -> Iterator[_Documentable]:
    """The module, and what is public in it: no leading underscore, and not hidden in a function.

    An empty module has nothing to explain.
    """
    if tree.body:
        yield tree
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                if not child.name.startswith("_"):
                    yield child
            elif isinstance(child, ast.ClassDef):
                if not child.name.startswith("_"):
                    yield child
                    pending.append(child)
            elif isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
                pending.append(child)


def conclude(findings: Mapping[str, DocumentationFinding]) -> DocumentationSection:
    """Add up the coverage of each package and of all."""
    grouped: dict[str, list[DocumentationFinding]] = {}
    for name in sorted(findings):
        grouped.setdefault(findings[name].package, []).append(findings[name])
    packages = [_coverage(package, members) for package, members in grouped.items()]
    return DocumentationSection(
        total=_coverage("all", list(findings.values())),
        packages=tuple(
            sorted(
                (package for package in packages if package.public),
                key=lambda package: (-package.public, package.package),
            )
        ),
    )


def _coverage(package: str, members: list[DocumentationFinding]) -> Coverage:
    return Coverage(
        package,
        sum(member.public for member in members),
        sum(member.documented for member in members),
    )
