"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for room in ("actorkit", "tests", "examples") for path in (ROOT / room).rglob("*.py")
)
FUNCTION_LINES = 60
# "file::function" for the few that are long on purpose; the reason stands in their docstring.
LONG_ON_PURPOSE = frozenset(
    {
        # The hot path: every call in it would cost each message a twentieth of its time.
        "actorkit/kernel/dispatcher.py::live",
    }
)
OPEN_TODOS = 5


def _named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _non_ascii_names(path: Path) -> list[str]:
    with path.open("rb") as source:
        tokens = list(tokenize.tokenize(source.readline))
    return [t.string for t in tokens if t.type == tokenize.NAME and not t.string.isascii()]


def _long_functions(source: str) -> list[str]:
    functions = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [f.name for f in functions if _body_lines(f) > FUNCTION_LINES]


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[1 if ast.get_docstring(function) else 0 :]
    return (function.end_lineno or 0) - first[0].lineno + 1 if first else 0


@pytest.mark.parametrize("path", SOURCES, ids=_named)
def test_names_are_ascii(path: Path) -> None:
    """No file and no identifier can pass for another by a look-alike letter."""
    assert _named(path).isascii()
    assert _non_ascii_names(path) == []


@pytest.mark.parametrize("path", SOURCES, ids=_named)
def test_functions_fit_on_a_screen(path: Path) -> None:
    """No function body is longer than sixty lines, its docstring apart."""
    long = {f"{_named(path)}::{name}" for name in _long_functions(path.read_text("utf-8"))}
    assert long - LONG_ON_PURPOSE == set()


def test_open_ends_are_few() -> None:
    """Tasks live in the tracker; the package holds a handful of reminders at most."""
    word = "TO" + "DO"
    reminders = [
        f"{_named(path)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if word in line
    ]
    assert len(reminders) <= OPEN_TODOS, reminders


def test_the_rulers_can_measure(tmp_path: Path) -> None:
    """A look-alike name and a long function are both seen."""
    planted = tmp_path / "planted.py"
    planted.write_text("\u0441luster = 1\ncluster = '\u0441'\n", "utf-8")
    assert _non_ascii_names(planted) == ["\u0441luster"]
    body = "\n".join(["    x = 1"] * FUNCTION_LINES)
    assert _long_functions(f'def fits():\n    """Say."""\n{body}\n') == []
    assert _long_functions(f"async def long():\n{body}\n    x = 2\n") == ["long"]
