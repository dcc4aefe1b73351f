"""What turns values of one type into plain ones and back, and those for types that have no parts.

    str, bool, bytes, None    themselves                    int, float     themselves; a float may be an int
    Enum                      the member's name             Flag           its number
    Literal                   the value, of an enumeration the name
    datetime, date, time      ISO 8601 text; "/1" behind it is the second of two same hours (``fold``)
    timedelta                 [days, seconds, microseconds]
    UUID                      16 bytes                      Decimal        text
    Address                   [node, incarnation, serial]   Key            its name

Nothing is converted: an int that is a bool is not an int, and a str of a subclass is not a str.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, Final
from uuid import UUID

import attrs

from actorkit.codec.annotations import title
from actorkit.codec.plain import INT_TAG, big_int, brief
from actorkit.errors import ProtocolError, Unencodable
from actorkit.kernel.address import Address, valid_node_name
from actorkit.kernel.message import error_text
from actorkit.kernel.registry import Key

OPEN: Final = 1 << 20  # deeper than any limit: how deep, only a value can tell
NATIVE: Final = frozenset({NoneType, bool, int, float, str, bytes})


@attrs.frozen(slots=True)
class ValueCodec:
    """How the values of one type travel.

    Attributes:
        name: what errors call the type, and what tells it from others in a union.
        encode: value to plain value; raises Unencodable.
        decode: plain value to value; raises ProtocolError.
        types: the exact types that a value may have; None if they cannot be listed.
        direct: the types whose values are plain as they are, and need no look on either side.
        depth: how many containers within containers the plain value may be.
    """

    name: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    types: frozenset[type] | None = None
    direct: frozenset[type] = frozenset()
    depth: int = 0


def unfit(value: object, name: str) -> Unencodable:
    """The error for a value that is not what its annotation says."""
    return Unencodable(
        f"{brief(value)} is of type {title(type(value))} and travels as {name}: pass one, or change the annotation"
    )


def wrong(plain: object, name: str) -> ProtocolError:
    """The error for a plain value that is not what the annotation says."""
    return ProtocolError(f"expected {name}, got {brief(plain)}")


def native(name: str, direct: frozenset[type]) -> ValueCodec:
    """A type whose values are plain."""

    def encode(value: Any) -> Any:
        if type(value) in direct:
            return value
        raise unfit(value, name)

    def decode(plain: Any) -> Any:
        if type(plain) in direct:
            return plain
        if int in direct and type(plain) is dict and [*plain] == [INT_TAG]:
            return big_int(plain[INT_TAG])
        raise wrong(plain, name)

    return ValueCodec(name, encode, decode, direct, direct, 1 if int in direct else 0)


def converted(
    cls: type,
    write: Callable[[Any], Any],
    read: Callable[[Any], Any],
    travels: type,
    depth: int = 0,
) -> ValueCodec:
    """A type whose values are written as one plain value; ``read`` raises what it likes for wrong ones."""
    name = title(cls)

    def encode(value: Any) -> Any:
        if type(value) is cls:
            return write(value)
        raise unfit(value, name)

    def decode(plain: Any) -> Any:
        if type(plain) is not travels:
            raise wrong(plain, name)
        try:
            value = read(plain)
        except Exception as error:  # noqa: BLE001 - a constructor refuses in its own words
            raise ProtocolError(f"{brief(plain)} is no {name}: {error_text(error)}") from None
        if type(value) is not cls:  # a Flag may give back the number
            raise wrong(plain, name)
        return value

    return ValueCodec(name, encode, decode, frozenset({cls}), frozenset(), depth)


# Times: the second of two same hours, when clocks are set back, is told apart as ``fold`` tells it.


def _write_time(value: datetime | time) -> str:
    return value.isoformat() + "/1" * value.fold


def _read_datetime(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix("/1")).replace(fold=text.endswith("/1"))


def _read_time(text: str) -> time:
    return time.fromisoformat(text.removesuffix("/1")).replace(fold=text.endswith("/1"))


def _write_timedelta(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _read_timedelta(plain: list[Any]) -> timedelta:
    days, seconds, microseconds = ints(plain, 3)
    return timedelta(days, seconds, microseconds)


def ints(plain: list[Any], count: int) -> list[int]:
    """So many ints.

    Raises:
        ValueError: it is something else.
    """
    if len(plain) != count or any(type(one) is not int for one in plain):
        raise ValueError(f"{count} ints are due")
    return plain


def _read_uuid(data: bytes) -> UUID:
    return UUID(bytes=data)


def _uuid_bytes(value: UUID) -> bytes:
    return value.bytes


def _write_address(value: Address) -> list[Any]:
    return [value.node, value.incarnation, value.serial]


def _read_address(plain: list[Any]) -> Address:
    if len(plain) != 3 or type(plain[0]) is not str or not valid_node_name(plain[0]):
        raise ValueError("it is [node, incarnation, serial]")
    if any(one < 0 for one in ints(plain[1:], 2)):
        raise ValueError("no number in it is negative")
    return Address(*plain)


def _key_name(value: Key[Any]) -> str:
    return value.name


LEAVES: Final[Mapping[Any, ValueCodec]] = {
    NoneType: native("None", frozenset({NoneType})),
    bool: native("bool", frozenset({bool})),
    int: native("int", frozenset({int})),
    float: native("float", frozenset({float, int})),
    str: native("str", frozenset({str})),
    bytes: native("bytes", frozenset({bytes})),
    datetime: converted(datetime, _write_time, _read_datetime, str),
    date: converted(date, date.isoformat, date.fromisoformat, str),
    time: converted(time, _write_time, _read_time, str),
    timedelta: converted(timedelta, _write_timedelta, _read_timedelta, list, 1),
    UUID: converted(UUID, _uuid_bytes, _read_uuid, bytes),
    Decimal: converted(Decimal, str, Decimal, str),
    Address: converted(Address, _write_address, _read_address, list, 1),
    Key: converted(Key, _key_name, Key, str),
}


def enumeration(cls: type[enum.Enum]) -> ValueCodec:
    """Members travel by name, which does not change when others are added between them."""
    if issubclass(cls, enum.Flag):
        return converted(cls, lambda value: value.value, cls, int)
    return converted(cls, lambda value: value.name, cls.__members__.__getitem__, str)


def literal(name: str, values: tuple[Any, ...]) -> ValueCodec:
    """Some values and no others; ``True`` is not ``1`` among them.

    Raises:
        Unencodable: two of them would travel as the same.
    """
    plains = {(type(v), v): v.name if isinstance(v, enum.Enum) else v for v in values}
    found = {(type(plain), plain): key[1] for key, plain in plains.items()}
    if len(found) < len(plains):
        raise Unencodable(f"two values of {name} would travel as the same: use one enumeration")

    def encode(value: Any) -> Any:
        try:
            return plains[type(value), value]
        except (KeyError, TypeError):
            raise unfit(value, name) from None

    def decode(plain: Any) -> Any:
        try:
            return found[type(plain), plain]
        except (KeyError, TypeError):
            raise wrong(plain, name) from None

    return ValueCodec(name, encode, decode, frozenset(map(type, values)))
