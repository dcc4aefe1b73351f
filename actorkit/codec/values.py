"""Coders of what has parts, made of the coders of the parts.

    list, Sequence, tuple, set, frozenset    a list; sets are sorted, so that equal sets are equal bytes
    dict[str, V]                             a map
    dict[K, V]                               a list: key, value, key, value...
    TypedDict                                a map
    A | None                                 nil, or as A
    a union of more                          None, bool, int, float, str, bytes and Literals of them as they are;
                                             a value of any other type as [name of the type, value]

The abstract types take what travels as it is (a list for Sequence, a dict for Mapping), and others of their kind as a tag of
``anything.py``: a tuple arrives as a tuple. An element's type, if it is plain, is checked for all elements at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from types import NoneType
from typing import Any, Final

from actorkit.codec.coder import NATIVE, OPEN, ValueCodec, unfit, wrong
from actorkit.codec.plain import INT_TAG, big_int, brief, pack_plain, within
from actorkit.errors import ProtocolError, Unencodable

TUPLE, SET, FROZENSET, PAIRS = 1, 2, 3, 4
_STR: Final[frozenset[type]] = frozenset({str})
TAGS: Final[Mapping[type, int]] = {tuple: TUPLE, set: SET, frozenset: FROZENSET}


def all_of(items: Iterable[Any], types: frozenset[type]) -> bool:
    """Whether every item is of one of these types, exactly."""
    return types.issuperset(map(type, items))


def encode_items(items: Iterable[Any], item: ValueCodec) -> list[Any]:
    """Every item's plain value.

    Raises:
        Unencodable: one has none; the error tells which.
    """
    if item.direct and all_of(items, item.direct):
        return [*items]
    encode = item.encode
    done: list[Any] = []
    try:
        for one in items:
            done.append(encode(one))  # how many are done tells which one failed
    except Unencodable as error:
        raise Unencodable(within(f"[{len(done)}]", error)) from None
    return done


def decode_items(plain: list[Any], item: ValueCodec) -> list[Any]:
    """Every item of a list of plain values.

    Raises:
        ProtocolError: one is wrong; the error tells which.
    """
    if item.direct and all_of(plain, item.direct):
        return plain
    decode = item.decode
    done: list[Any] = []
    try:
        for one in plain:
            done.append(decode(one))
    except ProtocolError as error:
        raise ProtocolError(within(f"[{len(done)}]", error)) from None
    return done


def ordered(plains: list[Any]) -> list[Any]:
    """The plain values of a set in an order that does not differ from run to run."""
    if len(plains) < 2:
        return plains
    try:
        return sorted(plains)
    except TypeError:
        return sorted(plains, key=pack_plain)


def hashed(items: list[Any], make: Callable[[list[Any]], Any], name: str) -> Any:
    """A set or frozenset of what was decoded.

    Raises:
        ProtocolError: an item cannot be in a set, or is in it twice.
    """
    try:
        made = make(items)
    except Exception as error:  # noqa: BLE001 - hashing may run user code
        raise ProtocolError(f"an item of a {name}: {error}") from None
    if len(made) != len(items):
        raise ProtocolError(f"a {name} of {len(items)} items holds one twice")
    return made


def keyed(plain: list[Any], key: ValueCodec, value: ValueCodec) -> dict[Any, Any]:
    """A dict of a list of keys and values in turn.

    Raises:
        ProtocolError: it is none.
    """
    if len(plain) % 2:
        raise ProtocolError(f"{len(plain)} keys and values are not pairs")
    keys, values = decode_items(plain[::2], key), decode_items(plain[1::2], value)
    try:
        made = dict(zip(keys, values, strict=True))
    except Exception as error:  # noqa: BLE001 - as above
        raise ProtocolError(f"a key of a dict: {error}") from None
    if len(made) != len(keys):
        raise ProtocolError("a dict holds a key twice")
    return made


def pairs(value: dict[Any, Any], key: ValueCodec, item: ValueCodec) -> list[Any]:
    """Keys and values in turn."""
    keys = encode_items([*value], key)
    if item.direct and all_of(value.values(), item.direct):
        values = [*value.values()]
    else:
        values = [_at(named, item.encode, one) for named, one in value.items()]
    return [*chain.from_iterable(zip(keys, values, strict=True))]


# One type each ----------------------------------------------------------------------------------------------------


def collection(
    cls: Any, name: str, item: ValueCodec, make: Callable[[list[Any]], Any] | None = None
) -> ValueCodec:
    """list, ``tuple[T, ...]``, set or frozenset."""
    hashes = issubclass(cls, (set, frozenset))

    def encode(value: Any) -> Any:
        if type(value) is not cls:
            raise unfit(value, name)
        items = encode_items(value, item)
        return ordered(items) if hashes else items

    def decode(plain: Any) -> Any:
        if type(plain) is not list:
            raise wrong(plain, name)
        items = decode_items(plain, item)
        if hashes:
            return hashed(items, cls, name)
        return items if make is None else make(items)

    return ValueCodec(name, encode, decode, frozenset({cls}), frozenset(), item.depth + 1)


def fixed_tuple(name: str, items: tuple[ValueCodec, ...]) -> ValueCodec:
    """``tuple[A, B]``."""

    def encode(value: Any) -> Any:
        if type(value) is not tuple or len(value) != len(items):
            raise unfit(value, name)
        return [_at(at, item.encode, value[at]) for at, item in enumerate(items)]

    def decode(plain: Any) -> Any:
        if type(plain) is not list or len(plain) != len(items):
            raise wrong(plain, name)
        return tuple(_at(at, item.decode, plain[at]) for at, item in enumerate(items))

    depth = max((item.depth for item in items), default=0) + 1
    return ValueCodec(name, encode, decode, frozenset({tuple}), frozenset(), depth)


def dictionary(name: str, key: ValueCodec, item: ValueCodec) -> ValueCodec:
    """``dict[K, V]``: a map if its keys are strings."""
    depth = max(key.depth, item.depth) + 1
    if key.direct == _STR:
        return _string_keyed(name, item, depth)

    def encode(value: Any) -> Any:
        if type(value) is not dict:
            raise unfit(value, name)
        return pairs(value, key, item)

    def decode(plain: Any) -> Any:
        if type(plain) is not list:
            raise wrong(plain, name)
        return keyed(plain, key, item)

    return ValueCodec(name, encode, decode, frozenset({dict}), frozenset(), depth)


def _string_keyed(name: str, item: ValueCodec, depth: int) -> ValueCodec:
    def encode(value: Any) -> Any:
        if type(value) is not dict or not all_of(value, _STR):
            raise unfit(value, name) if type(value) is not dict else _odd_key(value, name)
        if item.direct and all_of(value.values(), item.direct):
            return value
        return {key: _at(key, item.encode, one) for key, one in value.items()}

    def decode(plain: Any) -> Any:
        if type(plain) is not dict or not all_of(plain, _STR):
            raise wrong(plain, name)
        if item.direct and all_of(plain.values(), item.direct):
            return plain
        return {key: _at(key, item.decode, one) for key, one in plain.items()}

    return ValueCodec(name, encode, decode, frozenset({dict}), frozenset(), depth)


def _odd_key(value: dict[Any, Any], name: str) -> Unencodable:
    odd = next(key for key in value if type(key) is not str)
    return unfit(odd, f"a key of {name}")


def _at(key: Any, step: Callable[[Any], Any], one: Any) -> Any:
    try:
        return step(one)
    except (Unencodable, ProtocolError) as error:
        raise type(error)(within(f"[{brief(key)}]", error)) from None


def typed_dict(name: str, items: Mapping[str, ValueCodec], required: frozenset[str]) -> ValueCodec:
    """A dict with a type for each key, some of which may be absent."""

    def checked(given: Any, error: Callable[[object, str], Exception]) -> None:
        if type(given) is not dict:
            raise error(given, name)
        for key in given:
            if key not in items:
                raise error(key, f"a key of {name}, which are {', '.join(items)}")
        for key in required:
            if key not in given:
                raise error(given, f"{name}, with {key!r} in it")

    def encode(value: Any) -> Any:
        checked(value, unfit)
        return {key: _at(key, items[key].encode, one) for key, one in value.items()}

    def decode(plain: Any) -> Any:
        checked(plain, wrong)
        return {key: _at(key, items[key].decode, one) for key, one in plain.items()}

    depth = max((item.depth for item in items.values()), default=0) + 1
    return ValueCodec(name, encode, decode, frozenset({dict}), frozenset(), depth)


def abstract(name: str, concrete: Mapping[type, ValueCodec]) -> ValueCodec:
    """An abstract type by the concrete ones: the first travels as it is, the others tagged by what they are."""
    (_, first), *others = concrete.items()
    tagged = {TAGS[cls]: coder for cls, coder in others}

    def encode(value: Any) -> Any:
        coder = concrete.get(type(value))
        if coder is None:
            raise unfit(value, name)
        plain = coder.encode(value)
        return plain if coder is first else {TAGS[type(value)]: plain}

    def decode(plain: Any) -> Any:
        if type(plain) is not dict or not others:
            return first.decode(plain)
        for tag, coder in tagged.items():
            if [*plain] == [tag]:
                return coder.decode(plain[tag])
        raise wrong(plain, name)

    depth = max(coder.depth for coder in concrete.values()) + bool(others)
    return ValueCodec(name, encode, decode, frozenset(concrete), frozenset(), depth)


# Unions -----------------------------------------------------------------------------------------------------------


def optional(inner: ValueCodec) -> ValueCodec:
    """``A | None``."""
    name = f"{inner.name} | None"
    inner_encode, inner_decode = inner.encode, inner.decode

    def encode(value: Any) -> Any:
        return None if value is None else inner_encode(value)

    def decode(plain: Any) -> Any:
        return None if plain is None else inner_decode(plain)

    direct = inner.direct | {NoneType} if inner.direct else inner.direct
    types = None if inner.types is None else inner.types | {NoneType}
    return ValueCodec(name, encode, decode, types, direct, inner.depth)


def union(name: str, members: tuple[ValueCodec, ...]) -> ValueCodec:
    """``A | B``: what msgpack tells apart as it is, everything else with its type's name.

    Raises:
        Unencodable: two of the types have the same name.
    """
    whole = frozenset[type]().union(*(member.direct for member in members))
    rest = [member for member in members if not member.direct]
    literals = [member for member in rest if member.types is not None and member.types <= NATIVE]
    tagged = {member.name: member for member in rest if member not in literals}
    if len(tagged) + len(literals) < len(rest):
        raise Unencodable(f"two types of {name} have one name: make them messages, or rename one")
    types = frozenset[type]().union(*(member.types or () for member in members))
    return ValueCodec(
        name,
        _union_encode(name, whole, literals, tagged),
        _union_decode(name, whole, literals, tagged),
        types if all(member.types is not None for member in members) else None,
        frozenset() if rest else whole,
        max((member.depth for member in tagged.values()), default=0) + 1,
    )


Tagged = Mapping[str, ValueCodec]


def _union_encode(
    name: str, whole: frozenset[type], literals: list[ValueCodec], tagged: Tagged
) -> Callable[[Any], Any]:
    def encode(value: Any) -> Any:
        if type(value) in whole or any(_takes(one.encode, value) for one in literals):
            return value
        return _tagged(value, tagged.values(), name)

    return encode


def _union_decode(
    name: str, whole: frozenset[type], literals: list[ValueCodec], tagged: Tagged
) -> Callable[[Any], Any]:
    def decode(plain: Any) -> Any:
        kind = type(plain)
        if kind in whole or any(_takes(one.decode, plain) for one in literals):
            return plain
        if kind is list and len(plain) == 2 and type(plain[0]) is str and plain[0] in tagged:
            return _at(plain[0], tagged[plain[0]].decode, plain[1])
        if kind is dict and int in whole and [*plain] == [INT_TAG]:
            return big_int(plain[INT_TAG])
        raise wrong(plain, name)

    return decode


def _takes(step: Callable[[Any], Any], one: Any) -> bool:
    try:
        step(one)
    except (Unencodable, ProtocolError):
        return False
    return True


def _tagged(value: Any, members: Iterable[ValueCodec], name: str) -> list[Any]:
    """A value with the name of the first type in the union that takes it."""
    problems: list[str] = []
    for member in members:
        if member.types is None or type(value) in member.types:
            try:
                return [member.name, member.encode(value)]
            except Unencodable as error:
                problems.append(str(error))
    raise Unencodable("; ".join(problems)) if problems else unfit(value, name)


def deferred(name: str, find: Callable[[], ValueCodec]) -> ValueCodec:
    """A type that contains itself, while its coder is being made."""

    def encode(value: Any) -> Any:
        return find().encode(value)

    def decode(plain: Any) -> Any:
        return find().decode(plain)

    return ValueCodec(name, encode, decode, None, frozenset(), OPEN)
