"""Whatever the bytes of a file are, it is read or skipped with a reason."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.codec import Codec
from actorkit.demo.messages import Read
from actorkit.demo.reading import (
    MAX_BYTES,
    Reading,
    Skipped,
    fetch,
    package_of,
    parse,
    statements,
)


def _reading(data: bytes, name: str = "a.py") -> Reading:
    reading = parse(name, data)
    assert isinstance(reading, Reading)
    return reading


def _why(data: bytes, name: str = "a.py") -> str:
    skipped = parse(name, data)
    assert isinstance(skipped, Skipped)
    return skipped.why


def test_python_is_read_with_its_tree() -> None:
    """A Python file gives its lines and its syntax tree."""
    reading = _reading(b"def f():\r\n    pass\r", "pack/age/a.py")
    assert reading.lines == ("def f():", "    pass", "")
    assert reading.tree is not None
    assert [type(node) for node in reading.tree.body] == [ast.FunctionDef]
    assert (reading.package, reading.prose) == ("pack/age", False)


def test_prose_is_read_without_a_tree() -> None:
    """Any other text gives its lines only."""
    reading = _reading(b"# Title\n\ndef not python\n", "a.md")
    assert reading.lines == ("# Title", "", "def not python", "")
    assert reading.prose


def test_declared_encodings_are_honoured() -> None:
    """A coding line and a byte order mark are understood as Python understands them."""
    assert _reading("# coding: latin-1\nx = 'ä'".encode("latin-1")).lines[1] == "x = 'ä'"
    assert _reading("\ufeffx = 1".encode()).lines == ("x = 1",)
    assert _reading("\ufeffHello".encode(), "a.txt").lines == ("Hello",)


@pytest.mark.parametrize(
    "data", [b"x = 1\n", b"def f(:\n", b"\n" * MAX_BYTES], ids=["read", "skipped", "many lines"]
)
def test_what_is_read_can_travel(data: bytes) -> None:
    """Question and answer are the same on another node, however many lines the file has."""
    codec = Codec()
    assert codec.unpack(codec.pack(Read("pack/a.py"))) == Read("pack/a.py")
    answer = codec.value(Reading | Skipped)
    for name in ("pack/a.py", "pack/a.md"):
        outcome = parse(name, data)
        assert answer.decode(answer.encode(outcome)) == outcome


def test_a_tree_is_made_once_and_only_when_asked_for() -> None:
    """However many look at it; and one that has travelled makes its own."""
    reading = _reading(b"x = 1\n")
    assert reading.tree is not None
    assert reading.tree is reading.tree
    other = attrs.evolve(reading)
    assert other == reading
    assert other.tree is not reading.tree


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"def f(:\n", "a.py", "line 1"),
        (b"\xff\xfe", "a.py", "encoding"),
        (b"# coding: klingon\n", "a.py", "klingon"),
        (b"\n\nx = '\xff'\n", "a.py", "not utf-8 text"),
        (b"\xff", "a.md", "byte 0 cannot be decoded"),
        (b"a\0b", "a.md", "NUL"),
        (b"(" * 10_000, "a.py", "nested"),
    ],
    ids=["syntax", "bytes", "encoding", "late bytes", "prose bytes", "binary", "nesting"],
)
def test_what_cannot_be_read_is_skipped_with_the_reason(data: bytes, name: str, said: str) -> None:
    """The reason is one line that says what is wrong."""
    why = _why(data, name)
    assert said in why
    assert "\n" not in why


@given(st.binary(max_size=200), st.sampled_from(["a.py", "a.md"]))
def test_no_bytes_make_reading_fail(data: bytes, name: str) -> None:
    """Reading always ends with a reading or a reason."""
    assert parse(name, data).name == name


@given(st.text(max_size=200))
def test_no_text_makes_parsing_fail(text: str) -> None:
    """Text that may be Python or not is parsed or skipped."""
    assert parse("a.py", text.encode("utf-8", "surrogatepass")).name == "a.py"


def test_reading_does_not_depend_on_how_deep_the_stack_is() -> None:
    """A text near the limit of nesting is read alike from a shallow and from a deep stack."""

    def deep(levels: int, data: bytes) -> Reading | Skipped:
        return deep(levels - 1, data) if levels else parse("a.py", data)

    room = sys.getrecursionlimit() // 2
    texts = [("-" * n + "x\n").encode() for n in range(100, 4000, 300)]
    shallow = [type(parse("a.py", text)) for text in texts]
    assert [type(deep(room, text)) for text in texts] == shallow


def test_warnings_of_the_text_are_not_ours() -> None:
    """An invalid escape in a studied file raises no warning here, where warnings are errors."""
    assert _reading(b"x = '\\d'\n").lines[0] == "x = '\\d'"


def test_files_that_are_gone_or_too_large_are_skipped(tmp_path: Path) -> None:
    """What cannot be had, and what nobody wrote by hand, is skipped with a reason."""
    (tmp_path / "large.py").write_bytes(b"#" * (MAX_BYTES + 1))
    (tmp_path / "full.py").write_bytes(b"#" * MAX_BYTES)
    assert fetch(tmp_path, "gone.py") == Skipped("gone.py", "No such file or directory")
    assert fetch(tmp_path, "large.py") == Skipped("large.py", "larger than 1,000,000 bytes")
    assert fetch(tmp_path, "full.py") == b"#" * MAX_BYTES


@pytest.mark.parametrize(
    ("name", "package"),
    [("a.py", "(top level)"), ("p/a.py", "p"), ("p/q/a.py", "p/q"), ("p/q/r/a.py", "p/q")],
)
def test_a_file_counts_under_two_levels_of_directories(name: str, package: str) -> None:
    """Deeper files count where their second directory does."""
    assert package_of(name) == package


_EVERYTHING = """
import a
class C:
    def m(self):
        with x: y = 1
        for i in z: pass
        else: w
        try: t
        except E: u
        else: v
        finally: f
        match s:
            case 1: one
            case _: other
        if p: q
        elif r: k
        while b: await_ = [lambda: 0]
async def g():
    async with x: pass
    async for i in y: pass
"""


def test_every_statement_is_seen_once() -> None:
    """Walking statements alone finds those that walking all nodes finds."""
    tree = ast.parse(_EVERYTHING)
    everywhere = {id(node) for node in ast.walk(tree) if isinstance(node, ast.stmt)}
    seen = [id(statement) for statement in statements(tree)]
    assert set(seen) == everywhere
    assert len(seen) == len(everywhere)
