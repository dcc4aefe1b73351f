"""What is wrong is told by class, field and value, and nothing worse happens."""

from __future__ import annotations

import types
from collections import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.codec import Codec, Limits, pack_plain, unpack_plain
from actorkit.errors import ProtocolError, Unencodable
from tests.codec.shapes import (
    LEAVES,
    Checked,
    Color,
    Flat,
    Hidden,
    Loose,
    Mode,
    Pair,
    Point,
    Put,
    Rights,
    Settings,
    Span,
    Tree,
    Typed,
    anything,
    of,
    trees,
    typed,
)

if TYPE_CHECKING:
    from fractions import Fraction

CODEC = Codec()


@ak.message(name="test.codec.Wide")
class Wide:
    """Parts of many kinds."""

    ids: list[int] = attrs.field(factory=list)
    by_name: dict[str, Point] = attrs.field(factory=dict)
    by_id: dict[int, str] = attrs.field(factory=dict)
    either: Point | Pair | int | None = None
    place: tuple[int, str] = (0, "")
    tags: frozenset[str] = frozenset()
    color: Color = Color.RED
    choice: Literal["a", 1] = "a"
    settings: Settings = attrs.field(factory=lambda: Settings(depth=0))
    span: Span = attrs.field(factory=lambda: Span(0, 0))


@ak.message(name="test.codec.Unlooked")
class Unlooked:
    """A name in it is there for type checkers only."""

    part: Fraction


@ak.message(name="test.codec.Callback")
class Callback:
    """It holds code."""

    call: Callable[[], None]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (Flat("a", True, 1.0), "Flat.count: True is of type bool and travels as int"),
        (Flat("a", 1, True), "Flat.share: True is of type bool and travels as float"),
        (Flat(Mode.ON, 1, 1.0), "Flat.name: <Mode.ON: 'on'> is of type Mode and travels as str"),
        (Flat(None, 1, 1.0), "Flat.name: None is of type NoneType"),  # type: ignore[arg-type]
        (Flat("\ud800", 1, 1.0), "Flat.name: the text '\\ud800' has a lone surrogate"),
        (Wide(ids=[1, "x"]), "Wide.ids[1]: 'x' is of type str and travels as int"),  # type: ignore[list-item]
        (Wide(by_name={"a": 1}), "Wide.by_name['a']: 1 is of type int and travels as Point"),  # type: ignore[dict-item]
        (Wide(by_name={1: Point(1)}), "Wide.by_name: 1 is of type int and travels as a key of"),  # type: ignore[dict-item]
        (Wide(by_id={1: 2}), "Wide.by_id[1]: 2 is of type int and travels as str"),  # type: ignore[dict-item]
        (Wide(either="x"), "Wide.either: 'x' is of type str and travels as Point | Pair | int"),  # type: ignore[arg-type]
        (Wide(either=Pair("x", "")), "Wide.either: Pair.first: 'x' is of type str"),  # type: ignore[arg-type]
        (Wide(place=(1, 2)), "Wide.place[1]: 2 is of type int"),  # type: ignore[arg-type]
        (Wide(place=(1,)), "Wide.place: a tuple of 1 items is of type tuple"),  # type: ignore[arg-type]
        (Wide(tags={"a"}), "Wide.tags: a set of 1 items is of type set"),  # type: ignore[arg-type]
        (Wide(color=1), "Wide.color: 1 is of type int and travels as Color"),  # type: ignore[arg-type]
        (Wide(choice=True), "Wide.choice: True is of type bool and travels as Literal['a', 1]"),  # type: ignore[arg-type]
        (Wide(settings={}), "Wide.settings: a dict of 0 items is of type dict"),  # type: ignore[typeddict-item]
        (Loose(Point(1)), "decorate it with @ak.message, or annotate the field with it"),
        (Loose({"a": [Color.RED]}), "Loose.held['a'][0]: <Color.RED: 1> is of type Color"),
        (Loose(print), "is code, which does not travel"),
        (Loose(Flat), "is code, which does not travel"),
        (Loose(ValueError("x")), "ValueError('x') is an exception"),
        (Loose(ak.Ref[Any]()), "is a reference, and these bytes go to no node"),
        (Loose(object()), "Loose.held: <object object"),
        (Put(1, [1]), "Put.more: a list of 1 items is of type list and travels as tuple"),  # type: ignore[arg-type]
        (Unlooked(None), "Unlooked.part is annotated 'Fraction', and NameError"),  # type: ignore[arg-type]
        (Callback(print), "Callback.call: Callable"),
        (Point(1), "Point(x=1, y=0, norm=1) is of type Point and travels as a message"),
    ],
)  # fmt: skip
def test_what_cannot_travel_is_named(message: Any, error: str) -> None:
    """The error says class, field, value and what to do."""
    with pytest.raises(Unencodable) as caught:
        CODEC.pack(message)
    assert error in str(caught.value)


@pytest.mark.parametrize(
    ("cls", "plain", "error"),
    [
        (Flat, None, "expected the fields of Flat, got None"),
        (Flat, ["a", 1], "Flat has 3 fields (name, count, share), got 2"),
        (Flat, ["a", 1, 1.0, 1], "Flat has 3 fields (name, count, share), got 4"),
        (Flat, ["a", True, 1.0], "Flat.count: expected int, got True"),
        (Flat, ["a", {5: b"\x01"}, 1.0], "Flat.count: expected the fewest bytes of an int"),
        (
            Checked,
            [0, ""],
            "Checked(positive=0, text='') is refused by its constructor: ValueError",
        ),
        (Tree, [1, [[2, [[3]]]]], "Tree.kids[0]: Tree.kids[0]: Tree has 2 fields"),
        (Wide, [[1, "x"], *[None] * 9], "Wide.ids[1]: expected int, got 'x'"),
        (Loose, [{1: [[]], 2: 3}], "either strings for keys or a single int"),
        (Loose, [{99: 1}], "the tag 99 means nothing here"),
        (Loose, [{2: [[]]}], "an item of a set: unhashable"),
        (Loose, [{2: [1, 1.0]}], "holds one twice"),
        (Loose, [{4: [1]}], "1 keys and values are not pairs"),
        (Loose, [{4: [1, 2, 1, 3]}], "a dict holds a key twice"),
        (
            Loose,
            [{16: ["os.system", 1, ["ls"]]}],
            "no message is called 'os.system' with version 1",
        ),
        (Loose, [{16: ["test.codec.Flat", 2, []]}], "'test.codec.Flat' with version 2"),
        (Loose, [{16: ["test.codec.Flat", True, []]}], "expected a message's name and version"),
        (Loose, [{12: ["a b", 1, 1]}], "a list of 3 items is no Address"),
        (Loose, [{14: ""}], "'' is no Key: a name has 1 to 200 printable characters"),
        (Loose, [{6: "yesterday"}], "'yesterday' is no datetime"),
        (Loose, [{11: "ten"}], "'ten' is no Decimal"),
        (Loose, [{15: ["Bored", []]}], "the tag 15 means nothing here"),
    ],
)
def test_what_is_wrong_is_named(cls: type, plain: Any, error: str) -> None:
    """The error says class, field and value."""
    with pytest.raises(ProtocolError) as caught:
        CODEC.decoder(cls)(plain)
    assert error in str(caught.value)


@pytest.mark.parametrize(
    ("hint", "plain"),
    [
        (Color, "GREEN"),
        (Color, 1),
        (Rights, 4),
        (Rights, "READ"),
        (Settings, {"note": "x"}),
        (Settings, {"depth": 1, "other": 1}),
        (Settings, {"depth": "x"}),
        (Literal["a", 1], True),
        (Literal["a", 1], []),
        (Point | Pair, [1, 2]),
        (Point | Pair, ["Span", [1, 2, ""]]),
        (int | Point, {5: b"\x01"}),
        (dict[str, int], {1: 1}),
        (dict[int, int], {1: 1}),
        (dict[int, int], [1]),
        (set[int], [1, 1]),
        (tuple[int, int], [1]),
        (tuple[()], [1]),
        (ak.ExitReason, ["Crashed", ["x"]]),
        (Hidden, ["x", "y"]),
        (list[int], {}),
        (tuple[int, int], {}),
        (int, {"a": 1}),
        (UUID, "x"),
        (UUID, b"x"),
        (UUID | str, ["UUID", b"x"]),
        (abc.Sequence[int], {2: [1]}),
        (abc.Sequence[int], {1: [1], 2: [1]}),
        (set[Point | list[int]], [["list[int]", [1]]]),
        (ak.Address, ["a", -1, 1]),
        (ak.Address, ["a", 1]),
    ],
    ids=str,
)  # fmt: skip
def test_values_that_are_none_of_their_type_are_refused(hint: Any, plain: Any) -> None:
    """Nothing is converted, and nothing is left out or added."""
    with pytest.raises(ProtocolError):
        CODEC.value(hint).decode(plain)


def test_a_constructors_refusal_is_kept() -> None:
    """Whoever wrote the validator sees it in the traceback."""
    with pytest.raises(ProtocolError) as caught:
        CODEC.decoder(Checked)([0, ""])
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_class_that_can_never_travel_is_refused_on_both_sides() -> None:
    """Whoever is sent such a message cannot be made to fail in another way."""
    with pytest.raises(ProtocolError, match=r"Callback\.call: Callable"):
        CODEC.decoder(Callback)
    with pytest.raises(ProtocolError, match=r"Callback\.call: Callable"):
        CODEC.unpack(pack_plain(["test.codec.Callback", 1, [None]]))
    with pytest.raises(Unencodable, match="module cannot travel"):
        CODEC.value(types.ModuleType)


@pytest.mark.parametrize(
    ("hint", "why"),
    [
        (Literal["RED", Color.RED], "would travel as the same"),
        (complex, "complex cannot travel"),
        (type[Point], "cannot travel"),
        (list[Callable[[], None]], "Callable"),
    ],
    ids=str,
)
def test_types_that_cannot_travel_are_refused_at_once(hint: Any, why: str) -> None:
    """Before there is a value."""
    with pytest.raises(Unencodable, match=why):
        Codec().value(hint)


def test_two_types_of_one_name_cannot_be_told_apart() -> None:
    """In a union that is."""
    other = attrs.make_class("Point", {"x": attrs.field(type=int)}, frozen=True)
    other.__qualname__ = "Point"
    with pytest.raises(Unencodable, match="have one name: make them messages"):
        Codec().value(Point | other)


# Depth ------------------------------------------------------------------------------------------------------------


def chain(levels: int) -> Tree:
    """A tree with one branch."""
    tree = Tree(0)
    for _ in range(levels - 1):
        tree = Tree(0, [tree])
    return tree


def test_senders_refuse_what_receivers_would() -> None:
    """What passes the sender's limit of depth passes the receiver's, within an envelope."""
    good, bad = chain(14), chain(15)
    packed = CODEC.pack(good)
    assert CODEC.unpack(packed) == good
    assert unpack_plain(b"\x91\x91\x91" + packed) is not None
    with pytest.raises(Unencodable, match="more than 28 containers deep"):
        CODEC.pack(bad)
    wide = Codec(limits=Limits(depth=40))
    assert wide.unpack(wide.pack(bad)) == bad


@pytest.mark.parametrize("levels", [50, 400, 5_000])
def test_nothing_is_too_deep_to_be_refused(levels: int) -> None:
    """An error comes soon, however deep the value."""
    with pytest.raises(Unencodable):
        CODEC.pack(chain(levels))
    held: Any = []
    for _ in range(levels):
        held = [held]
    with pytest.raises(Unencodable, match="deep"):
        CODEC.pack(Loose(held))
    plain: Any = [0, []]
    for _ in range(levels):
        plain = [0, [plain]]
    if levels > 400:
        with pytest.raises(ProtocolError, match="deep"):
            CODEC.decoder(Tree)(plain)


def test_values_that_hold_themselves_are_refused() -> None:
    """Typed or not, encoding ends."""
    tree = Tree(0, [])
    tree.kids.append(tree)
    held: dict[str, Any] = {}
    held["it"] = held
    for message in (tree, Loose(held)):
        with pytest.raises(Unencodable, match="deep"):
            CODEC.pack(message)


def test_wrong_values_deep_inside_cost_no_more() -> None:
    """Each part is looked at once, so a hostile value is refused as fast as a good one is taken."""
    looked = 0

    @ak.message(name="test.codec.Counting")
    class Counting:
        inner: Any = attrs.field(validator=lambda *_: count())

    def count() -> None:
        nonlocal looked
        looked += 1
        if looked == 13:
            raise ValueError("enough")

    plain: Any = None
    for _ in range(13):
        plain = {16: ["test.codec.Counting", 1, [plain]]}
    with pytest.raises(ProtocolError, match="enough"):
        CODEC.value(Any).decode(plain)
    assert looked == 13


# Hostile bytes ----------------------------------------------------------------------------------------------------


def refused_or_right(hint: Any, data: bytes) -> None:
    """Bytes from a stranger are a value that can be sent back, or a ProtocolError."""
    coder = Codec().value(hint)
    try:
        value = coder.decode(unpack_plain(data))
    except ProtocolError:
        return
    coder.encode(value)


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_but_one_error(data: bytes) -> None:
    """Unpacking a message of any bytes."""
    for wrapped in (
        data,
        b"\x93\xaftest.codec.Wide\x01\x9a" + data,
        b"\x93\xb0test.codec.Loose\x01\x91" + data,
    ):
        try:
            CODEC.unpack(wrapped)
        except ProtocolError:
            continue


@given(st.one_of(st.builds(Loose, anything), trees, st.just(Wide(either=Point(1)))), st.data())
def test_changed_bytes_are_messages_or_refused(message: Any, data: st.DataObject) -> None:
    """One byte changed, left out or put in."""
    packed = bytearray(CODEC.pack(message))
    at = data.draw(st.integers(0, len(packed) - 1))
    byte = data.draw(st.integers(0, 255) | st.sampled_from(b"\x80\x90\xc0\x01\x05\x10\xdc\xc7"))
    how = data.draw(st.integers(0, 2))
    packed[at : at + (how != 1)] = bytes([byte][: how < 2])
    try:
        CODEC.unpack(packed)
    except ProtocolError:
        return


@given(typed, anything)
def test_values_of_other_types_are_refused_or_fit(kind: Typed, value: Any) -> None:
    """Well-formed bytes of something else."""
    refused_or_right(kind[0], pack_plain(CODEC.value(Any).encode(value)))


@given(typed, st.sampled_from(LEAVES), st.data())
def test_values_of_similar_types_are_refused_or_fit(
    kind: Typed, other: Typed, data: st.DataObject
) -> None:
    """Well-formed bytes of another annotation."""
    coder = Codec().value(other[0])
    refused_or_right(kind[0], pack_plain(coder.encode(data.draw(other[1]))))
    refused_or_right(of(list, kind[0]), pack_plain([coder.encode(data.draw(other[1]))]))
