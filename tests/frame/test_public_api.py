"""The front door: every public name is there once, and explained."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import actorkit
from actorkit import seams, testing

NAMES: tuple[str, ...] = tuple(actorkit.__all__)
SIDE_DOORS = (seams, testing)  # public modules of their own
BESIDE = [(door, name) for door in SIDE_DOORS for name in door.__all__]
IDS = [f"{door.__name__}.{name}" for door, name in BESIDE]
_METHODS = (FunctionType, property, classmethod, staticmethod)
REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_resolves(name: str) -> None:
    """What `__all__` promises can be imported."""
    assert hasattr(actorkit, name)


def test_every_public_name_is_listed_once() -> None:
    """No name stands twice in `__all__`, and no object has two names."""
    assert [name for name, count in Counter(NAMES).items() if count > 1] == []
    names_of: dict[int, list[str]] = {}
    for name in NAMES:
        names_of.setdefault(id(getattr(actorkit, name)), []).append(name)
    assert [names for names in names_of.values() if len(names) > 1] == []


def test_nothing_public_is_left_out() -> None:
    """Whatever of ours can be reached without an underscore is in `__all__`."""
    reachable = {
        name
        for name, value in vars(actorkit).items()
        if not name.startswith("_") and _is_ours(value) and not inspect.ismodule(value)
    }
    assert reachable - set(NAMES) == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_explained(name: str) -> None:
    """Classes, functions, and their public methods and properties have docstrings."""
    assert list(_unexplained(name, getattr(actorkit, name))) == []


@pytest.mark.skipif(not REFERENCE.exists(), reason="docs/reference.md is not written yet")
@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    """docs/reference.md speaks of every public name."""
    assert re.search(rf"\b{name}\b", REFERENCE.read_text("utf-8")), f"{name} is not in {REFERENCE}"


# The side doors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("door", "name"), BESIDE, ids=IDS)
def test_every_name_of_a_side_door_resolves_and_is_explained(door: ModuleType, name: str) -> None:
    """What its `__all__` promises can be imported, and has docstrings, constants and aliases apart."""
    assert list(_unexplained(name, getattr(door, name))) == []


@pytest.mark.parametrize("door", SIDE_DOORS, ids=lambda door: door.__name__)
def test_a_side_door_lists_every_name_once_in_order(door: ModuleType) -> None:
    """No name stands twice, and `dir()` shows what `__all__` says."""
    names: list[str] = door.__all__
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert set(names) <= set(dir(door))


@pytest.mark.parametrize(("door", "name"), BESIDE, ids=IDS)
def test_every_name_of_a_side_door_is_in_its_section_of_the_reference(
    door: ModuleType, name: str
) -> None:
    """The section named after the module has it at the head of a row, not only in somebody's prose."""
    heads = "\n".join(re.findall(r"^\| (.*?) \| ", _section(door.__name__), flags=re.MULTILINE))
    named = re.findall(r"`@?(\w+)", heads)
    assert name in named, f"{name} has no row in the section {door.__name__} of {REFERENCE}"


def test_names_of_testing_are_loaded_from_where_they_live() -> None:
    """The list for type checkers, the one for the program and `__all__` agree."""
    source = ast.parse(Path(testing.__file__).read_text("utf-8"))
    told = {
        alias.name
        for node in source.body
        if isinstance(node, ast.If)
        for line in node.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    assert told == set(testing.__all__) == set(vars(testing)["_HOME_OF"])


@pytest.mark.parametrize(
    "module",
    [
        "actorkit.testing",
        "actorkit.testing.disk",
        "actorkit.testing.kit",
        "actorkit.testing.network",
        "actorkit.testing.plugin",
        "actorkit.testing.simulation.runner",
    ],
)
def test_testing_does_without_hypothesis(module: str) -> None:
    """Hypothesis freezes trio's own scheduling when it is imported, and only pytest's plugin needs pytest."""
    # trio.testing takes pytest along where it is installed, so what is tested is that it need not be.
    hidden = [] if module.endswith(".plugin") else ["pytest", "_pytest"]
    program = f"import sys; sys.modules.update(dict.fromkeys({hidden})); import {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert "hypothesis" not in done.stdout.split()


def test_a_lazy_name_that_is_not_there_is_an_attribute_error() -> None:
    """A typo is told with the name, as from any module."""
    with pytest.raises(AttributeError, match="has no attribute 'Prope'"):
        getattr(testing, "Pro" + "pe")


# The checkers' own ground -------------------------------------------------------------------------


def _section(title: str) -> str:
    """A section of the reference, its subsections included."""
    _, _, rest = REFERENCE.read_text("utf-8").partition(f"\n## {title}\n")
    assert rest, f"{REFERENCE} has no section {title}"
    return rest.partition("\n## ")[0]


def _is_ours(value: object, house: str = "actorkit") -> bool:
    module = getattr(value, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] == house


def _unexplained(name: str, value: object, house: str = "actorkit") -> Iterator[str]:
    if not inspect.isclass(value) and not inspect.isroutine(value):
        return  # a type alias or a constant
    if not (value.__doc__ or "").strip():
        yield name
    if not inspect.isclass(value):
        return
    for attribute in _own_methods(value, house):
        # Looked up on the class, so an override may lean on what it overrides.
        if not inspect.getdoc(getattr(value, attribute)):
            yield f"{name}.{attribute}"


def _own_methods(value: type, house: str) -> list[str]:
    return [
        attribute
        for owner in value.__mro__
        if _is_ours(owner, house)
        for attribute, member in vars(owner).items()
        if not attribute.startswith("_") and isinstance(member, _METHODS)
    ]


class _Parent:
    """A class whose method is explained."""

    def greet(self) -> None:
        """Say hello."""


class _Child(_Parent):
    def greet(self) -> None: ...

    @property
    def mute(self) -> None: ...

    @staticmethod
    def dumb() -> None: ...


def test_the_checker_sees_what_is_unexplained() -> None:
    """A bare class, property and static method are found; an inherited explanation counts."""
    found = list(_unexplained("Child", _Child, house="tests"))
    assert found == ["Child", "Child.mute", "Child.dumb"]
    assert list(_unexplained("Parent", _Parent, house="tests")) == []
