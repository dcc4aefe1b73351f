"""What a field's validators and its type demand, read as data."""

from __future__ import annotations

import enum
import math
from typing import Annotated, Any, Literal, NewType, TypeVar

import pytest
from attrs import validators as v

import actorkit as ak
from actorkit.testing.protocol.hints import fits
from actorkit.testing.protocol.limits import ANY, Limits, limits_of, satisfies

T = TypeVar("T")
UserId = NewType("UserId", int)


class Colour(enum.Enum):
    RED = 1


@ak.message(name="test.limits.Note")
class Note:
    text: str


@pytest.mark.parametrize(
    ("validator", "right", "wrong"),
    [
        (v.and_(v.ge(1), v.lt(3)), [1, 2], [0, 3, None, "x"]),
        (v.optional(v.ge(1)), [None, 1], [0]),
        (v.min_len(2), ["ab"], ["a", 5]),
        (v.deep_iterable(v.ge(1)), [[1], []], [[0], 5]),
        (v.deep_mapping(v.instance_of(str), v.ge(1)), [{"a": 1}], [{"a": 0}, {1: 1}]),
        (v.matches_re("a+"), ["aa"], ["ab", 5]),
        (v.in_([1, 2]), [1], [3]),
    ],
    ids=str,
)
def test_limits_say_what_the_validator_says(
    validator: Any, right: list[Any], wrong: list[Any]
) -> None:
    """``satisfies`` decides as the validator does."""
    limits = limits_of(validator)
    assert all(satisfies(value, limits) for value in right)
    assert not any(satisfies(value, limits) for value in wrong)


def test_limits_add_up() -> None:
    """The stricter of two bounds holds; nothing and something is something."""
    one = Limits(at_least=1, at_most=9, min_len=1, max_len=9, among=(1, 2, 3))
    other = Limits(at_least=2, at_most=8, min_len=2, max_len=8, among=(2, 3, 4))
    assert one.and_also(other) == Limits(at_least=2, at_most=8, min_len=2, max_len=8, among=(2, 3))
    assert ANY.and_also(one) == one
    assert ANY.silent
    assert not one.silent
    assert Limits(opaque=True).silent


@pytest.mark.parametrize(
    ("hint", "right", "wrong"),
    [
        (int, [1, True], [1.0, "1", None]),
        (float, [1.0, 1, math.inf], ["1", math.nan, 10**400]),
        (str | None, ["", None], [b""]),
        (list[int], [[], [1]], [["a"], (1,)]),
        (tuple[int, ...], [(), (1, 2)], [("a",), [1]]),
        (tuple[int, str], [(1, "a")], [(1,), ("a", 1)]),
        (dict[str, int], [{}, {"a": 1}], [{"a": "b"}, {1: 1}]),
        (Literal["a", 1], ["a", 1], [True, "b"]),
        (Annotated[int, "n"], [1], ["a"]),
        (UserId, [1], ["a"]),
        (None, [None], [0]),
        (Colour, [Colour.RED], [1]),
        (Any, [None, math.nan, object], []),
        (object, [None, math.nan], []),
        (T, [None, 5], []),
        (Note, [Note("a")], [Note, "a"]),
    ],
    ids=str,
)
def test_a_value_fits_a_type_or_not(hint: Any, right: list[Any], wrong: list[Any]) -> None:
    """As a type checker would see it; NaN is no number."""
    assert [value for value in right if not fits(hint, value)] == []
    assert [value for value in wrong if fits(hint, value)] == []
