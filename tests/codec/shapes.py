"""Messages with fields of every kind that may travel, values for them, and a strict idea of sameness."""

from __future__ import annotations

import dataclasses
import enum
from collections import abc
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Self,
    TypedDict,
    TypeVar,
    Union,
)
from uuid import UUID

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import actorkit as ak
from actorkit.codec import Codec, pack_plain, unpack_plain

T = TypeVar("T")


class Color(enum.Enum):
    """Members whose values say nothing."""

    RED = enum.auto()
    BLUE = enum.auto()


class Mode(enum.StrEnum):
    """Members that are strings, but are not sent for any."""

    ON = "on"
    OFF = "off"


class Rights(enum.Flag):
    """Members that add up."""

    READ = 1
    WRITE = 2


UserId = NewType("UserId", int)


@attrs.frozen
class Point:
    """An attrs class that is no message."""

    x: int
    y: int = attrs.field(default=0, kw_only=True)
    norm: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "norm", abs(self.x) + abs(self.y))


@attrs.define
class Hidden:
    """A private attribute, whose parameter is called otherwise, and a mutable class."""

    _secret: str
    size: float = 0.0


@dataclasses.dataclass(frozen=True)
class Span:
    """A dataclass."""

    start: int
    stop: int
    label: str = dataclasses.field(default="", kw_only=True)


class Pair(NamedTuple):
    """A named tuple."""

    first: int
    second: str


class Settings(TypedDict):
    """A typed dictionary."""

    depth: int
    note: NotRequired[str]


@ak.message(name="test.codec.Flat")
class Flat:
    """Scalars only."""

    name: str
    count: int
    share: float


@ak.message(name="test.codec.Empty")
class Empty:
    """No fields."""


@ak.message(name="test.codec.Tree")
class Tree:
    """It contains itself."""

    value: int
    kids: list[Tree] = attrs.field(factory=list)


@ak.message(name="test.codec.Linked")
class Linked(Generic[T]):
    """It may hold another of its own kind."""

    item: T
    rest: Self | None = None


@ak.message(name="test.codec.Put", version=2)
class Put(Generic[T]):
    """A generic message."""

    item: T
    more: tuple[T, ...] = ()


@ak.message(name="test.codec.PutPoint")
class PutPoint(Put[Point]):
    """It says what the type variable of its base stands for."""

    note: str | None = None


@ak.message(name="test.codec.Checked")
class Checked:
    """Its validator and its converter run wherever it is made."""

    positive: int = attrs.field(validator=attrs.validators.gt(0))
    text: str = attrs.field(default="", converter=str.strip)


@ak.message(name="test.codec.Loose")
class Loose:
    """What it holds has to say what it is."""

    held: Any


@ak.message(name="test.codec.Total")
class Total(ak.Request[dict[str, int]]):
    """A request."""


@ak.message(name="test.codec.Tokens")
class Tokens(ak.StreamRequest["Point | None"]):
    """A request for a stream, of a type in quotes."""


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ints = st.integers(-(2**80), 2**80) | st.integers(-3, 3)
floats = st.floats(allow_nan=True)
offsets = st.builds(timezone, st.timedeltas(timedelta(hours=-20), timedelta(hours=20)))
datetimes = st.datetimes(timezones=st.none() | st.just(UTC) | offsets, allow_imaginary=True)
folds = st.sampled_from([0, 1])
addresses = st.builds(
    ak.Address,
    st.sampled_from(["a", "worker-1@127.0.0.1:4370"]),
    st.integers(0, 2**32),
    st.integers(0, 2**64 - 1),
)
points = st.builds(Point, ints, y=ints)
flats = st.builds(Flat, texts, ints, floats | ints)
reasons = st.one_of(
    st.just(ak.Normal()),
    st.builds(ak.Shutdown, texts),
    st.builds(ak.Failed, texts),
    st.builds(ak.Crashed, texts, texts, texts, texts),
    st.sampled_from([ak.Killed(), ak.NoActor(), ak.NoConnection()]),
)

LEAVES: list[tuple[Any, SearchStrategy[Any]]] = [
    (None, st.none()),
    (bool, st.booleans()),
    (int, ints),
    (float, floats | ints),
    (str, texts),
    (bytes, st.binary(max_size=8)),
    (datetime, st.builds(lambda d, f: d.replace(fold=f), datetimes, folds)),
    (date, st.dates()),
    (time, st.builds(lambda d, f: d.replace(fold=f), st.times(), folds)),
    (timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (Decimal, st.decimals()),
    (ak.Address, addresses),
    (ak.Key[Flat], st.builds(ak.Key, st.just("bank"))),
    (Color, st.sampled_from(Color)),
    (Mode, st.sampled_from(Mode)),
    (Rights, st.builds(Rights, st.integers(0, 3))),
    (Literal["a", 1, True, None], st.sampled_from(["a", 1, True, None])),
    (Literal[Color.RED, "x"], st.sampled_from([Color.RED, "x"])),
    (UserId, ints),
    (Annotated[int, "cents"], ints),
    (Flat, flats),
    (Empty, st.just(Empty())),
    (Point, points),
    (Hidden, st.builds(Hidden, texts, floats)),
    (Span, st.builds(Span, ints, ints, label=texts)),
    (Pair, st.builds(Pair, ints, texts)),
    (Settings, st.fixed_dictionaries({"depth": ints}, optional={"note": texts})),
    (Put[int], st.builds(Put, ints, st.tuples(ints))),
    (PutPoint, st.builds(PutPoint, points, st.tuples(points), st.none() | texts)),
    (Linked[Point], st.builds(Linked, points, st.none() | st.builds(Linked, points))),
    (Checked, st.builds(Checked, st.integers(1), texts)),
    (Total, st.just(Total())),
    (ak.ExitReason, reasons),
]
"""Types without types inside, and values of them."""

trees = st.recursive(
    st.builds(Tree, ints),
    lambda kids: st.builds(Tree, ints, st.lists(kids, max_size=3)),
    max_leaves=6,
)
LEAVES.append((Tree, trees))

_UNHASHABLE = (Tree, Hidden, Settings, Put[int])
hashable_leaves = [
    (hint, st.decimals(allow_nan=False) if hint is Decimal else values)
    for hint, values in LEAVES
    if hint not in _UNHASHABLE
]

telling = st.one_of(
    *(values for hint, values in hashable_leaves if hint in (None, bool, int, float, str, bytes)),
    *(values for hint, values in hashable_leaves if hint in (datetime, date, time, timedelta)),
    *(values for hint, values in hashable_leaves if hint in (UUID, ak.Address, ak.Key[Flat])),
    st.decimals(allow_nan=False),
    flats,
    reasons,
)
"""Values that say what they are and can be in a set."""

anything = st.recursive(
    telling | trees,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(texts, inner, max_size=3),
        st.dictionaries(telling, inner, max_size=3),
        st.sets(telling, max_size=3),
        st.frozensets(telling, max_size=3),
        st.builds(Loose, inner),
        st.builds(Put, inner, st.tuples(inner)),
    ),
    max_leaves=8,
)
"""Values of every kind that may stand where the type says nothing."""

Typed = tuple[Any, SearchStrategy[Any]]


def _around(inner: SearchStrategy[Typed]) -> SearchStrategy[Typed]:
    """Types made of one type, or of two."""
    keys = st.sampled_from(hashable_leaves)
    both = st.tuples(inner, inner)
    return st.one_of(
        inner.map(lambda t: (of(list, t[0]), st.lists(t[1], max_size=4))),
        inner.map(lambda t: (of(tuple, t[0], ...), st.lists(t[1], max_size=4).map(tuple))),
        inner.map(lambda t: (of(abc.Sequence, t[0]), _lists_or(tuple, t[1]))),
        inner.map(lambda t: (of(Union, t[0], None), st.none() | t[1])),
        inner.map(lambda t: (of(dict, str, t[0]), st.dictionaries(texts, t[1], max_size=3))),
        st.tuples(keys, inner).map(_dict_of),
        keys.map(lambda t: (of(set, t[0]), st.sets(t[1], max_size=4))),
        keys.map(lambda t: (of(abc.Set, t[0]), st.frozensets(t[1], max_size=4) | st.sets(t[1]))),
        both.map(lambda ts: (of(tuple, ts[0][0], ts[1][0]), st.tuples(ts[0][1], ts[1][1]))),
        both.map(lambda ts: (of(Union, ts[0][0], ts[1][0]), ts[0][1] | ts[1][1])),
    )


def of(origin: Any, *arguments: Any) -> Any:
    """``list[int]`` of list and int."""
    first, *others = arguments
    return origin[(first, *others) if others else first]


def _lists_or(other: type, items: SearchStrategy[Any]) -> SearchStrategy[Any]:
    lists = st.lists(items, max_size=4)
    return lists | lists.map(other)


def _dict_of(two: tuple[Typed, Typed]) -> Typed:
    (key, keys), (value, values) = two
    return of(dict, key, value), st.dictionaries(keys, values, max_size=3)


typed: SearchStrategy[Typed] = st.recursive(st.sampled_from(LEAVES), _around, max_leaves=4)
"""Types, with a strategy for their values."""


def there_and_back(codec: Codec, hint: Any, value: Any) -> Any:
    """What arrives at the other end."""
    coder = codec.value(hint)
    return coder.decode(unpack_plain(pack_plain(coder.encode(value))))


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in all their parts, types of parts included; no number is itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (set, frozenset)):
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    if isinstance(one, (datetime, time, float, Decimal)):
        return repr(one) == repr(other)  # the sign of a zero and the fold of an hour, too
    return same(_parts(one), _parts(other)) if _parts(one) else bool(one == other)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [part for item in value.items() for part in item]
    if not attrs.has(type(value)):
        return []
    return [getattr(value, f.name) for f in attrs.fields(type(value)) if f.name != "cause"]
