"""Message classes: values with a registered name and version."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.kernel.message import (
    WireName,
    encodable,
    error_text,
    is_message,
    message_class,
    shortened,
    wire_name,
)


@ak.message
class Point:
    """A plain message."""

    x: int
    y: int = 0


@ak.message(name="test.point3", version=3)
class Point3(Point):
    """One with a chosen name and version, and a field more."""

    z: int = 0


@ak.message
class Distance(ak.Request[float]):
    """A request."""

    to: Point


@ak.message
class Near(Distance):
    """A subclass of a request is a request."""

    limit: float = 1.0


@ak.message
class Points(ak.StreamRequest[Point]):
    """A request for a stream."""

    count: int


@given(st.integers(), st.integers())
def test_messages_are_values(x: int, y: int) -> None:
    """Messages with equal fields are equal and hash alike; they can be copied and pickled."""
    one = Point(x, y)
    assert one == Point(x=x, y=y)
    assert hash(one) == hash(Point(x, y))
    assert one != Point(x + 1, y)
    assert one != Point3(x, y)
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert repr(one) == f"Point(x={x}, y={y})"


@pytest.mark.parametrize("made", [Point(1), Point3(1, 2, 3), Distance(Point(1)), Near(Point(1))])
def test_messages_are_frozen_and_small(made: Any) -> None:
    """No field can be set, none can be added, and there is no ``__dict__`` to pay for."""
    for field in attrs.fields(type(made)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(made, field.name, 7)
    with pytest.raises(AttributeError):
        made.colour = "red"
    assert not hasattr(made, "__dict__")


def test_names_and_versions() -> None:
    """A message is known by module and qualified name, version 1, unless told otherwise."""
    assert wire_name(Point) == WireName(f"{__name__}.Point", 1)
    assert str(wire_name(Point3)) == "test.point3@3"
    assert message_class(WireName("test.point3", 3)) is Point3
    assert message_class(WireName("test.point3", 2)) is None
    assert is_message(Point)
    assert not is_message(Plain)
    assert not is_message(Point(1))


class Plain(Point):
    """A subclass that was not made a message."""


def test_only_decorated_classes_have_names() -> None:
    """Inheriting from a message does not make one, and the error says what does."""
    with pytest.raises(TypeError, match=r"Plain is not a message class; decorate it with @message"):
        wire_name(Plain)


def test_a_taken_name_is_refused() -> None:
    """Two classes cannot share a name and version; with another version they can."""

    class Usurper:
        x: int

    with pytest.raises(
        TypeError, match=r"test\.point3@3 is taken by .*Point3; give .*Usurper another one"
    ):
        ak.message(name="test.point3", version=3)(Usurper)
    assert message_class(WireName("test.point3", 3)) is Point3
    newer = ak.message(name="test.point3", version=4)(Usurper)
    assert message_class(WireName("test.point3", 4)) is newer


def test_a_module_may_be_run_again() -> None:
    """The same class written at the same place replaces its older self, as a notebook cell does."""

    def cell() -> type[Any]:
        @ak.message
        class Again:
            n: int = 0

        return Again

    older, newer = cell(), cell()
    assert older is not newer
    assert message_class(wire_name(newer)) is newer
    assert wire_name(older) == wire_name(newer)


@pytest.mark.parametrize("version", [0, -1, True, 1.0, "1", None])
def test_a_version_is_a_positive_int(version: Any) -> None:
    """A wrong version is refused, shown, and nothing is registered."""

    class Versioned:
        pass

    with pytest.raises(TypeError, match=rf"int from 1 up, got {version!r}"):
        ak.message(name="test.versioned", version=version)(Versioned)
    assert message_class(WireName("test.versioned", 1)) is None


def test_the_witnesses_are_for_type_checkers() -> None:
    """The methods that carry the reply's type give no value at run time."""
    near = Near(Point(1))
    assert near.__actorkit_message__() is near
    with pytest.raises(TypeError, match="type checkers only"):
        near.__actorkit_reply__()
    with pytest.raises(TypeError, match="type checkers only"):
        Points(3).__actorkit_item__()


class Awkward:
    """Something whose text functions fail."""

    def __repr__(self) -> str:
        raise ValueError("no repr")


@given(st.text(), st.integers(1, 40))
def test_shortened_keeps_its_limit(text: str, limit: int) -> None:
    """A shortened value is its repr, or the head of it with a mark, and never longer than the limit."""
    short = shortened(text, limit)
    assert len(short) <= limit
    assert short == repr(text) or (short.endswith("…") and repr(text).startswith(short[:-1]))


def test_shortened_survives_a_failing_repr() -> None:
    """A repr that raises is told as such."""
    assert shortened(Awkward()) == "<Awkward: its repr raised ValueError>"


@given(st.text(st.characters()))
def test_any_text_becomes_encodable(text: str) -> None:
    """What an encoding takes stays as it is; lone surrogates are spelled out."""
    clean = encodable(text)
    assert clean.encode("utf-8").decode("utf-8") == clean
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert clean == text


def test_error_text_of_a_surrogate() -> None:
    """An exception may hold undecodable bytes of a file name; its text is encodable all the same."""
    assert error_text(OSError("caf\udce9")) == "caf\\udce9"
