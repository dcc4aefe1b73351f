"""What the analysts see in small texts, and that the order in which they see them does not matter."""

from __future__ import annotations

import random
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.demo import complexity, documentation, structure
from actorkit.demo.complexity import EDGES, FunctionMeasure
from actorkit.demo.documentation import Coverage
from actorkit.demo.reading import Reading, parse
from actorkit.demo.study import DISCIPLINES, Discipline


def _read(text: str, name: str = "pack/a.py") -> Reading:
    reading = parse(name, dedent(text).encode())
    assert isinstance(reading, Reading)
    return reading


# Structure -----------------------------------------------------------------------------------------------------------


def test_the_parts_of_a_module_are_counted() -> None:
    """Classes, functions and imports count wherever they stand; relative imports do not, each module counts once."""
    finding = structure.examine(
        _read("""\
            import os.path, sys
            from os import path
            from . import sibling
            from .sibling import name
            class C:
                def m(self):
                    import json
                    class D: pass
            async def f(): pass
            """)
    )
    assert finding == structure.StructureFinding(
        "pack", 9, classes=2, functions=2, imports=("json", "os", "sys")
    )


def test_words_of_prose_are_counted() -> None:
    """Prose has words, and neither classes nor functions."""
    finding = structure.examine(_read("one two\n\nthree class C:\n", "a.md"))
    assert (finding.words, finding.lines, finding.classes, finding.prose) == (5, 3, 0, True)


def test_structure_adds_up() -> None:
    """The section holds the sums, the largest package and the most wanted module first, ties by name."""
    section = structure.conclude(
        {
            "b.py": structure.examine(_read("import sys, json\ndef f(): pass\n", "b.py")),
            "p/a.py": structure.examine(_read("import sys, ast\nclass C: pass\n\n\n", "p/a.py")),
            "n.txt": structure.examine(_read("two words\n", "n.txt")),
        }
    )
    assert (section.python_files, section.prose_files) == (2, 1)
    assert (section.lines, section.words) == (7, 2)
    assert (section.classes, section.functions) == (1, 1)
    assert section.most_imported == (("sys", 2), ("ast", 1), ("json", 1))
    assert [(p.package, p.files, p.lines) for p in section.packages] == [
        ("p", 1, 4),
        ("(top level)", 2, 3),
    ]


# Complexity ----------------------------------------------------------------------------------------------------------


def _complexity(body: str) -> int:
    text = "def f(a, b, c, xs):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    (function,) = complexity.examine(_read(text)).functions
    return function.complexity


@pytest.mark.parametrize(
    ("body", "ways"),
    [
        ("pass", 1),
        ("if a: pass", 2),
        ("if a: pass\nelif b: pass\nelse: pass", 3),
        ("return a if b else c", 2),
        ("return a and b and c or xs", 4),
        ("for x in xs: pass\nelse: pass", 2),
        ("while a: pass", 2),
        ("try: pass\nexcept A: pass\nexcept B: pass\nfinally: pass", 3),
        ("return [x for x in xs if a if b]", 4),
        ("match a:\n    case 1: pass\n    case _: pass", 3),
        ("with a, b: pass", 1),
        ("return lambda: a if b else c", 2),
        ("assert a", 1),
    ],
)
def test_ways_through_a_function_are_counted(body: str, ways: int) -> None:
    """One way through, and one more for each decision."""
    assert _complexity(body) == ways


def test_functions_are_measured_where_they_stand() -> None:
    """A nested function counts for itself, a method carries its class, and what stands outside counts for nobody."""
    finding = complexity.examine(
        _read("""\
            if a: pass
            def outer():
                if a: pass
                def inner():
                    if b and c: pass
                    return 1
            class C:
                x = 1 if a else 2
                async def m(self): pass
            """)
    )
    assert finding.functions == (
        FunctionMeasure("outer", 2, 5, 2),
        FunctionMeasure("outer.inner", 4, 3, 3),
        FunctionMeasure("C.m", 9, 1, 1),
    )


def test_prose_has_no_functions() -> None:
    """What only looks like code is not measured."""
    assert complexity.examine(_read("def f(): pass", "a.txt")).functions == ()


def _measured(ways: list[int]) -> complexity.ComplexitySection:
    functions = tuple(FunctionMeasure(f"f{i}", i + 1, 1, n) for i, n in enumerate(ways))
    return complexity.conclude({"a.py": complexity.ComplexityFinding(functions)})


@given(st.lists(st.integers(1, 60), max_size=50))
def test_every_function_stands_in_its_class_of_the_histogram(ways: list[int]) -> None:
    """The classes hold all functions, each between the edges its label names, and the median is one of them."""
    section = _measured(ways)
    counts = [count for _, count in section.histogram]
    lower = (0, *EDGES)
    upper = (*EDGES, 10**9)
    assert counts == [
        sum(low < n <= high for n in ways) for low, high in zip(lower, upper, strict=True)
    ]
    assert section.functions == len(ways)
    assert section.median == (sorted(ways)[len(ways) // 2] if ways else 0)


def test_the_classes_are_labelled() -> None:
    """A class of one value is named by it, a wider one by its ends, the last one is open."""
    labels = [label for label, _ in _measured([]).histogram]
    assert labels == ["1", "2", "3", "4", "5", "6-7", "8-10", "11-15", "16-20", "21-30", "31+"]


def test_the_most_complex_come_first() -> None:
    """Functions are listed by complexity, and at most ten of them; equals in source order."""
    listed = [each.function.name for each in _measured([1, 5, 3, 5] + [1] * 20).most_complex]
    assert listed[:5] == ["f1", "f3", "f2", "f0", "f4"]
    assert len(listed) == complexity.LISTED


# Documentation -------------------------------------------------------------------------------------------------------


def test_public_things_with_docstrings_are_counted() -> None:
    """The module, public classes, functions and methods count, also behind an ``if``; hidden ones do not."""
    finding = documentation.examine(
        _read('''\
            """The module."""
            def f(): "Documented."
            def _private(): "Not counted."
            class C:
                def m(self): pass
                def __init__(self): "Not counted."
            class _P:
                def m(self): "Not counted."
            if True:
                try:
                    def g():
                        "Documented."
                        def nested(): "Not counted."
                except E:
                    def h(): pass
            ''')
    )
    assert (finding.public, finding.documented) == (6, 3)


@pytest.mark.parametrize(
    ("text", "name"), [("", "__init__.py"), ("# nothing\n", "a.py"), ("x", "a.md")]
)
def test_an_empty_module_and_prose_have_nothing_to_document(text: str, name: str) -> None:
    """Nothing public, nothing missing."""
    assert documentation.examine(_read(text, name)).public == 0


def test_coverage_adds_up_by_package() -> None:
    """Packages come by what they have to document; those with nothing public are left out; nothing is covered wholly."""
    findings = {
        "p/a.py": documentation.DocumentationFinding("p", 4, 1),
        "p/b.py": documentation.DocumentationFinding("p", 2, 2),
        "q/c.py": documentation.DocumentationFinding("q", 7, 7),
        "r/d.md": documentation.DocumentationFinding("r"),
    }
    section = documentation.conclude(findings)
    assert section.total == Coverage("all", 13, 10)
    assert section.packages == (Coverage("q", 7, 7), Coverage("p", 6, 3))
    assert [package.share for package in section.packages] == [1.0, 0.5]
    assert documentation.conclude({}).total.share == 1.0


# All -----------------------------------------------------------------------------------------------------------------

_TEXTS = {
    "a.py": "import os\ndef f(x):\n    if x: pass\n" + "x = 1\ny = 2\n" * 6,
    "b/c.py": '"""Doc."""\nimport os, sys\nclass C:\n    def m(self): return 1\n'
    + "x = 1\ny = 2\n" * 5,
    "b/d.md": "x = 1\ny = 2\n" * 4,
    "e.py": "",
}


@pytest.mark.parametrize("discipline", DISCIPLINES, ids=lambda each: each.name)
@given(rng=st.randoms(use_true_random=False))
def test_the_order_of_findings_does_not_matter(discipline: Discipline, rng: random.Random) -> None:
    """The same findings come to the same conclusion, in whatever order they were made."""
    findings = [(name, discipline.examine(_read(text, name))) for name, text in _TEXTS.items()]
    shuffled = rng.sample(findings, len(findings))
    assert discipline.conclude(dict(shuffled)) == discipline.conclude(dict(findings))


@pytest.mark.parametrize("discipline", DISCIPLINES, ids=lambda each: each.name)
def test_nothing_comes_to_a_conclusion_too(discipline: Discipline) -> None:
    """If every file was skipped there is still a section, and it is equal to itself."""
    assert discipline.conclude({}) == discipline.conclude({})
