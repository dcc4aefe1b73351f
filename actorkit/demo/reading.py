"""From the bytes of a file to what the analysts work on: its lines, and for Python its syntax tree."""

from __future__ import annotations

import ast
import io
import threading
import tokenize
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

import attrs

PYTHON = frozenset({".py", ".pyw"})
PROSE = frozenset({".md", ".rst", ".txt"})
MAX_BYTES = 1_000_000  # what is larger was hardly written by hand
_TOP = "(top level)"
_PACKAGE_PARTS = 2


@attrs.frozen
class Skipped:
    """A file, or a directory, that could not be studied."""

    name: str
    why: str


@attrs.frozen
class Reading:
    """A file that was read, and could be parsed.

    A value that can travel from the node where the file was read to the one where it is looked at. What can be worked out
    of the text stays behind, and is worked out again there, once, when somebody asks for it.

    Attributes:
        name: its path below the corpus, with slashes.
        package: the directory it counts under, at most two levels deep.
        text: all of it, with plain newlines. One value, not one for each line: what a frame may hold is bounded.
        prose: whether it is text for people only.
    """

    name: str
    package: str
    text: str = attrs.field(repr=False)
    prose: bool = False

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The text, line by line."""
        return tuple(self.text.split("\n"))

    @cached_property
    def tree(self) -> ast.Module | None:
        """The syntax tree; None if it is prose."""
        return None if self.prose else _tree_of(self.text)


def package_of(name: str) -> str:
    """The directory a file counts under: at most two levels, so that a plot of them can be read."""
    parts = PurePosixPath(name).parts[:-1]
    return "/".join(parts[:_PACKAGE_PARTS]) if parts else _TOP


def fetch(root: Path, name: str) -> bytes | Skipped:
    """The bytes of a file, or why they cannot be had."""
    path = root / name
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            return Skipped(name, f"larger than {MAX_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as error:
        return Skipped(name, error.strerror or type(error).__name__)


def parse(name: str, data: bytes) -> Reading | Skipped:
    """Read a file from its bytes; never raises, whatever they are."""
    python = PurePosixPath(name).suffix.lower() in PYTHON
    try:
        text = _decode_python(data) if python else _decode_prose(data)
        if python:
            _tree_of(text)  # only whether there is one matters here; see ``Reading``
    except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError) as error:
        return Skipped(name, _reason(error))
    return Reading(name, package_of(name), text, prose=not python)


def _decode_python(data: bytes) -> str:
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return _with_plain_newlines(data.decode(encoding))


def _decode_prose(data: bytes) -> str:
    if b"\0" in data:
        raise ValueError("binary: it holds a NUL byte")
    return _with_plain_newlines(data.decode("utf-8-sig"))


def _with_plain_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _tree_of(text: str) -> ast.Module:
    """Parse Python, always with the same outcome.

    How deeply nested a text may be depends on how deep the caller's stack is, which is not the same inside an actor
    and outside. So a text that is too deep here gets a second try on the fresh stack of a thread, which has the last
    word: what parses anywhere parses there.
    """
    try:
        return _parse(text)
    except RecursionError:
        outcome: list[ast.Module | RecursionError] = []
        thread = threading.Thread(target=_parse_into, args=(text, outcome))
        thread.start()
        thread.join()
        match outcome:
            case [ast.Module() as tree]:
                return tree
            case _:
                raise


def _parse_into(text: str, outcome: list[ast.Module | RecursionError]) -> None:
    try:
        outcome.append(_parse(text))
    except RecursionError as error:
        outcome.append(error)


def _parse(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the text studied is warned of is not our business
        return ast.parse(text)


def _reason(error: Exception) -> str:
    match error:
        case SyntaxError(lineno=int() as line, msg=message):
            return f"line {line}: {message}"
        case SyntaxError(msg=message):
            return message
        case UnicodeDecodeError():
            return f"not {error.encoding} text: byte {error.start} cannot be decoded"
        case RecursionError() | MemoryError():
            return "nested too deeply"
        case _:
            return str(error)


def statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Every statement of a tree, however deep it stands, without recursion; not in source order."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        for field in ("body", "handlers", "orelse", "finalbody", "cases"):
            below = getattr(node, field, None)
            if isinstance(below, list):
                for child in below:
                    if isinstance(child, ast.stmt):
                        yield child
                    pending.append(child)
