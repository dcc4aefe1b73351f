"""The code blocks of a Markdown page, and what its author says about them.

An HTML comment on the line above a block marks it:

- `<!-- fragment -->`: cannot stand alone, so it is only compiled;
- `<!-- continues -->`: goes on where the page's previous Python block ended;
- `<!-- test -->`: a module of tests, run by pytest;
- `<!-- output -->`: a text block holding what the Python block before it prints; what pytest prints of a module of tests
  has to contain these lines in this order, `...` standing for any others;
- `<!-- fails -->`: the same, of tests that fail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

# A fence may stand in a list, on the line of its bullet or below it.
_FENCE = re.compile(
    r"^(?P<indent> *(?:(?:[-*]|\d+\.) +)?)(?P<ticks>`{3,})(?P<language>[\w+-]*)[^`]*$"
)
_MARK = re.compile(r"^\s*<!--\s*(\w+)\s*-->\s*$")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    mark: str
    text: str


@dataclass(frozen=True)
class Script:
    """Python blocks that make one program, and what the page says it prints."""

    page: str
    line: int
    text: str
    fragment: bool
    output: str | None = None
    tests: bool = False
    fails: bool = False

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str, text: str) -> list[Block]:
    """Every fenced block of a page, in order."""
    found: list[Block] = []
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        end = _closing(lines, number, opening["ticks"])
        indent = len(opening["indent"])
        body = "".join(f"{line[indent:]}\n" for line in lines[number + 1 : end])
        mark = _mark_above(lines, number)
        found.append(Block(page, number + 1, opening["language"], mark, body))
        number = end + 1
    return found


def scripts_of(blocks: list[Block]) -> list[Script]:
    """The Python blocks of one page, joined and paired with their output."""
    scripts: list[Script] = []
    for block in blocks:
        if block.language == "python" and block.mark == "continues":
            at = _last_running(scripts, block)
            scripts[at] = replace(scripts[at], text=f"{scripts[at].text}\n{block.text}")
        elif block.language == "python":
            scripts.append(_script(block))
        elif block.mark in ("output", "fails"):
            at = _last_running(scripts, block)
            printed = (scripts[at].output or "") + block.text
            scripts[at] = replace(scripts[at], output=printed, fails=block.mark == "fails")
    return scripts


def _script(block: Block) -> Script:
    mark = block.mark
    return Script(
        block.page, block.line, block.text, fragment=mark == "fragment", tests=mark == "test"
    )


def _last_running(scripts: list[Script], block: Block) -> int:
    """Where the script stands that a block continues; fragments in between are not part of it."""
    for at in reversed(range(len(scripts))):
        if not scripts[at].fragment:
            return at
    raise ValueError(f"{block.page}:{block.line} {block.mark}: no Python block comes before it")


def commands_of(blocks: list[Block]) -> list[tuple[str, str]]:
    """(place, command) for every `$` line of the console blocks."""
    return [
        (f"{block.page}:{block.line}", line[2:].strip())
        for block in blocks
        if block.language in {"console", "sh"}
        for line in block.text.splitlines()
        if line.startswith("$ ")
    ]


def pages_of(root: Path) -> dict[str, str]:
    """README and every page under docs, by their path."""
    paths = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in paths}


def _closing(lines: list[str], opening: int, ticks: str) -> int:
    for number in range(opening + 1, len(lines)):
        stripped = lines[number].strip()
        if stripped.startswith(ticks) and set(stripped) == {"`"}:
            return number
    raise ValueError(f"the block opened on line {opening + 1} is never closed")


def _mark_above(lines: list[str], number: int) -> str:
    above = [line for line in lines[max(0, number - 2) : number] if line.strip()]
    found = _MARK.match(above[-1]) if above else None
    return found[1] if found else ""
