"""Messages between nodes are recognized when they arrive."""

from __future__ import annotations

import attrs

from actorkit.testing.correspondence import Correspondence


@attrs.frozen
class Word:
    """A message."""

    text: str


@attrs.frozen(eq=False)
class Odd:
    """A message that is equal to nothing but itself."""

    text: str


class Touchy:
    """A message that cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare me")

    __hash__ = None  # type: ignore[assignment]


def test_what_arrives_is_the_first_equal_thing_that_was_sent() -> None:
    """Each message arrives once, in whatever order; what nobody sent to that actor is not recognized."""
    post = Correspondence()
    for number, text in enumerate(("one", "two", "one"), 1):
        post.leaves(number, "b:/x", Word(text))
    post.leaves(4, "c:/x", Word("two"))
    assert post.arrives("b:/x", Word("two")) == 2
    assert post.arrives("b:/x", Word("one")) == 1
    assert post.arrives("b:/x", Word("one")) == 3
    assert post.arrives("b:/x", Word("one")) is None
    assert post.arrives("b:/y", Word("two")) is None
    assert post.arrives("c:/x", Word("two")) == 4


def test_what_cannot_be_compared_is_told_by_its_class() -> None:
    """The first of that class will do."""
    post = Correspondence()
    post.leaves(1, "b:/x", Word("one"))
    post.leaves(2, "b:/x", Odd("two"))
    post.leaves(3, "b:/x", Touchy())
    assert post.arrives("b:/x", Touchy()) == 3
    assert post.arrives("b:/x", Odd("two")) == 2
    assert post.arrives("b:/x", Odd("two")) is None
