"""The front door: every public name is there once, and explained."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest

import actorkit

NAMES: tuple[str, ...] = tuple(actorkit.__all__)
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
