"""What is sent is what arrives: values, their types, and the types of their parts."""

from __future__ import annotations

import sys
from collections import abc
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.codec import Codec, pack_plain, reply_of, unpack_plain
from actorkit.errors import ProtocolError, Unencodable
from actorkit.kernel.message import wire_name
from tests.codec.shapes import (
    LEAVES,
    Flat,
    Loose,
    Point,
    Put,
    Tokens,
    Total,
    Tree,
    Typed,
    anything,
    flats,
    same,
    there_and_back,
    trees,
    typed,
)

CODEC = Codec()


@pytest.mark.parametrize(("hint", "values"), LEAVES, ids=str)
def test_values_of_every_type_arrive(hint: Any, values: Any) -> None:
    """A value arrives as it was sent, whatever the type of its field."""

    @given(values)
    def law(value: Any) -> None:
        assert same(there_and_back(CODEC, hint, value), value)

    law()


@given(typed, st.data())
def test_types_may_be_put_together(kind: Typed, data: st.DataObject) -> None:
    """Collections, unions and optionals of types that travel, travel."""
    hint, values = kind
    value = data.draw(values)
    codec = Codec()
    try:
        codec.value(hint)
    except Unencodable as error:
        assume("have one name" not in str(error))  # two types of a union, alike in print
        raise
    assert same(there_and_back(codec, hint, value), value)


@given(anything)
def test_what_tells_what_it_is_needs_no_type(value: Any) -> None:
    """Where the type says nothing, tuples are still no lists and True is still not 1."""
    assert same(there_and_back(CODEC, Any, value), value)


@given(st.one_of(flats, trees, st.builds(Loose, anything), st.builds(Put, anything)))
def test_a_packed_message_says_what_it_is(message: Any) -> None:
    """Bytes are enough to have the message back."""
    assert same(CODEC.unpack(CODEC.pack(message)), message)


@given(st.frozensets(st.text(max_size=4), min_size=2))
def test_equal_sets_are_equal_bytes(names: frozenset[str]) -> None:
    """The order that a set happens to have is not seen in the bytes."""
    names = frozenset(name for name in names if name.isprintable())
    other = frozenset(sorted(names, reverse=True))
    assert CODEC.pack(Loose(names)) == CODEC.pack(Loose(other))


def test_a_type_variable_stands_for_what_it_was_bound_to() -> None:
    """The points of a ``Put[Point]`` need no decoration; those of a bare ``Put`` do."""
    assert there_and_back(CODEC, Put[Point], Put(Point(1))) == Put(Point(1))
    with pytest.raises(Unencodable, match=r"Put\.item: Point\(.*decorate it with @ak\.message"):
        CODEC.encoder(Put)(Put(Point(1)))


def test_coders_are_made_once() -> None:
    """The second request for a class's coder gets the first one's."""
    codec = Codec()
    assert codec.encoder(Flat) is codec.encoder(Flat)
    assert codec.decoder(Flat) is codec.decoder(Flat)


def test_encoding_gives_one_plain_value_for_each_field() -> None:
    """The list is in the order of the constructor."""
    assert Codec().encoder(Flat)(Flat("a", 1, 2.5)) == ["a", 1, 2.5]
    assert Codec().encoder(Tree)(Tree(1, [Tree(2)])) == [1, [[2, []]]]


def test_every_message_of_actorkit_travels() -> None:
    """Whatever a supervisor can be asked, it can be asked from afar, but for what holds an actor class."""
    codec = Codec()
    from actorkit.supervision import requests

    kinds = [cls for cls in vars(requests).values() if isinstance(cls, type)]
    messages = [cls for cls in kinds if cls.__module__ == requests.__name__ and _is_message(cls)]
    assert len(messages) >= 5
    with pytest.raises(
        Unencodable, match=r"StartChild\.child: Child\.props: Props\.cls: type\[Actor\]"
    ):
        codec.encoder(requests.StartChild)
    for cls in messages:
        codec.value(reply_of(cls))
        if cls is not requests.StartChild:
            codec.encoder(cls)
            codec.decoder(cls)


def _is_message(cls: type) -> bool:
    try:
        return bool(wire_name(cls))
    except TypeError:
        return False


def test_the_type_of_a_reply_is_read_off_the_request() -> None:
    """Also through quotes, for streams, and for what has no reply."""
    assert reply_of(Total) == dict[str, int]
    assert reply_of(Tokens) == Point | None
    assert reply_of(Flat) is Any
    assert reply_of(ak.Request) is Any


def test_references_travel_by_the_port_only() -> None:
    """Without a port a reference is refused, on both sides."""
    ref = ak.Ref[Any]()
    plain = Codec(Port()).value(ak.Ref[Flat]).encode(ref)
    assert plain == ["somebody"]
    assert Codec(Port()).value(Any).encode([ref]) == [{13: ["somebody"]}]
    assert isinstance(Codec(Port()).value(Any).decode([{13: ["somebody"]}])[0], ak.Ref)
    with pytest.raises(ProtocolError, match="is no reference"):
        Codec(Port()).value(ak.Ref[Flat]).decode(["nobody"])
    with pytest.raises(ProtocolError, match="a reference where none"):
        Codec().value(ak.Ref[Flat]).decode(["somebody"])
    with pytest.raises(ProtocolError, match="the tag 13 means nothing here"):
        Codec().value(Any).decode({13: ["somebody"]})


class Port:
    """One actor is known."""

    def encode(self, ref: ak.Ref[Any]) -> list[Any]:
        """As it is known."""
        del ref
        return ["somebody"]

    def decode(self, data: Any) -> ak.Ref[Any]:
        """Whoever is known."""
        return {"somebody": ak.Ref[Any]()}[data[0]]


def test_big_ints_arrive_wherever_an_int_may_stand() -> None:
    """In typed fields, in collections, in unions and as keys."""
    for hint, value in [
        (int, 2**64),
        (float, -(2**63) - 1),
        (list[int], [1, 2**99]),
        (int | str, 2**64),
        (int | None, 2**64),
        (dict[int, int], {2**64: 2**65}),
        (Any, {"a": 2**64}),
    ]:
        assert there_and_back(CODEC, hint, value) == value
    assert unpack_plain(pack_plain(2**64 - 1)) == 2**64 - 1


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Annotated[int, []], 5),
        (list[Annotated[int, []]], [5]),
        (int | Any, (1, {2})),
        (dict, {1: (2,)}),
        (tuple, (1, (2,))),
        (tuple[()], ()),
        (list[int] | list[str], ["a"]),
        (list[int] | list[str] | None, None),
        (Literal["a"] | Literal[1] | UUID, 1),
        (Literal["a"] | Literal[1] | UUID, UUID(int=1)),
        (abc.Collection[int], frozenset({1})),
        (abc.MutableMapping[str, int], {"a": 1}),
        (set[int | None], {1, None}),
        (Final[int], 1),
        (type(None), None),
    ],
    ids=str,
)
def test_annotations_may_be_unusual(hint: Any, value: Any) -> None:
    """Without arguments, with notes that cannot be hashed, unions of alike types."""
    assert same(there_and_back(Codec(), hint, value), value)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there is no `type` statement yet")
def test_aliases_may_be_about_themselves() -> None:
    """A recursive alias, and one with a parameter."""
    scope: dict[str, Any] = {}
    exec("type J = dict[str, J] | list[J] | int | None\ntype Two[T] = tuple[T, T]", scope)
    value = {"a": [1, {"b": None}]}
    assert there_and_back(Codec(), scope["J"], value) == value
    assert there_and_back(Codec(), scope["J"] | str, [[[]]]) == [[[]]]
    assert there_and_back(Codec(), scope["Two"][Point], (Point(1), Point(2))) == (
        Point(1),
        Point(2),
    )
    with pytest.raises(Unencodable, match=r"\[0\]"):
        Codec().value(scope["J"]).encode([b"x"])
