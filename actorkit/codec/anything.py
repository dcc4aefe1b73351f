"""Values that tell what they are, for fields annotated ``Any`` or ``object``, and for type variables that are open.

None, bool, int, float, str, bytes, lists, and dicts whose keys are strings travel as they are. A map with one key that is an
int is a *tag*, and says what its value is:

     1 tuple, 2 set, 3 frozenset     [item...]          10 UUID         16 bytes
     4 dict with other keys          [key, value...]    11 Decimal      text
     5 int beyond 64 bits            bytes              12 Address      [node, incarnation, serial]
     6 datetime, 7 date, 8 time      ISO 8601 text      13 Ref          as the connection says
     9 timedelta                     [days, s, us]      14 Key          its name
    16 message                       [wire name, version, fields]
    15 exit reason                   [Normal | Shutdown | Failed | Crashed | Killed | NoActor | NoConnection, fields]

Tags are never given another meaning. A message is looked up among those that are registered, by name and version; nothing is
imported. Anything else, an attrs class that is no message or a member of an enumeration among it, is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import attrs

from actorkit.codec.annotations import title
from actorkit.codec.coder import LEAVES, NATIVE, OPEN, ValueCodec, wrong
from actorkit.codec.plain import INT_TAG, Limits, big_int, brief, within
from actorkit.codec.values import (
    PAIRS,
    TAGS,
    all_of,
    decode_items,
    encode_items,
    hashed,
    keyed,
    ordered,
    pairs,
)
from actorkit.errors import ProtocolError, Unencodable
from actorkit.kernel.address import Address
from actorkit.kernel.exits import Crashed, Failed, Killed, NoActor, NoConnection, Normal, Shutdown
from actorkit.kernel.message import WireName, is_message, message_class, wire_name
from actorkit.kernel.ref import Ref
from actorkit.kernel.registry import Key

LEAF_TAGS: Final[dict[int, type]] = {
    6: datetime,
    7: date,
    8: time,
    9: timedelta,
    10: UUID,
    11: Decimal,
    12: Address,
    14: Key,
}
REF, REASON, MESSAGE = 13, 15, 16
REASONS: Final[dict[str, type]] = {
    cls.__name__: cls for cls in (Normal, Shutdown, Failed, Crashed, Killed, NoActor, NoConnection)
}
_TAG_OF_LEAF: Final = {cls: tag for tag, cls in LEAF_TAGS.items()}
_HOLDS: Final = {tag: cls for cls, tag in TAGS.items()}
_STR: Final = frozenset({str})
_LISTED: Final = frozenset({*_HOLDS, PAIRS, MESSAGE, REASON})


class Anything:
    """The coder of ``Any``.

    ``record`` finds the coder of a message class, or of an exit reason's, when the first of it is met.
    """

    __slots__ = ("_deep", "_depth", "_record", "_refs", "_shallow", "codec")

    def __init__(
        self, record: Callable[[type], ValueCodec], refs: ValueCodec | None, limits: Limits
    ) -> None:
        self._record = record
        self._refs = refs
        self._deep = 0
        self._depth = limits.depth
        self.codec = ValueCodec("anything", self.encode, self.decode, None, frozenset(), OPEN)

    def encode(self, value: Any) -> Any:
        """The plain value, tagged where it has to be.

        Raises:
            Unencodable: it holds something that cannot travel.
        """
        kind = type(value)
        if kind in NATIVE:
            return value
        leaf = _TAG_OF_LEAF.get(kind)
        if leaf is not None:
            return {leaf: LEAVES[kind].encode(value)}
        if self._deep > self._depth:
            raise Unencodable(
                f"nested more than {self._depth} deep, or holds itself: send it flattened"
            )
        self._deep += 1
        try:
            return self._compound(value, kind)
        finally:
            self._deep -= 1

    def _compound(self, value: Any, kind: type) -> Any:
        if kind is dict:
            if all_of(value, _STR):
                return {key: self._under(key, one) for key, one in value.items()}
            return {PAIRS: pairs(value, self.codec, self.codec)}
        if kind is list or kind in TAGS:
            items = [*value] if all_of(value, NATIVE) else encode_items(value, self.codec)
            return (
                items if kind is list else {TAGS[kind]: items if kind is tuple else ordered(items)}
            )
        return self._named(value, kind)

    def _named(self, value: Any, kind: type) -> Any:
        if is_message(kind):
            wire = wire_name(kind)
            return {MESSAGE: [wire.name, wire.version, self._record(kind).encode(value)]}
        if REASONS.get(kind.__name__) is kind:
            return {REASON: [kind.__name__, self._record(kind).encode(value)]}
        if isinstance(value, Ref) and self._refs is not None:
            return {REF: self._refs.encode(value)}
        raise Unencodable(_why_not(value, kind))

    def _under(self, key: str, value: Any) -> Any:
        try:
            return self.encode(value)
        except Unencodable as error:
            raise Unencodable(within(f"[{brief(key)}]", error)) from None

    def decode(self, plain: Any) -> Any:
        """The value.

        Raises:
            ProtocolError: a tag is unknown, or what it holds is wrong.
        """
        kind = type(plain)
        if kind in NATIVE:
            return plain
        if kind is list:
            return plain if all_of(plain, NATIVE) else decode_items(plain, self.codec)
        if kind is not dict:
            raise wrong(plain, "a plain value")
        if all_of(plain, _STR):
            return {key: self.decode(one) for key, one in plain.items()}
        if len(plain) == 1:
            ((tag, inside),) = plain.items()
            if type(tag) is int:
                return self._untagged(tag, inside)
        raise ProtocolError("a map has either strings for keys or a single int, which is a tag")

    def _untagged(self, tag: int, inside: Any) -> Any:
        leaf = LEAF_TAGS.get(tag)
        if leaf is not None:
            return LEAVES[leaf].decode(inside)
        if tag == INT_TAG:
            return big_int(inside)
        if tag == REF and self._refs is not None:
            return self._refs.decode(inside)
        if type(inside) is not list and tag in _LISTED:
            raise wrong(inside, f"a list under the tag {brief(tag)}")
        return self._listed(tag, inside)

    def _listed(self, tag: int, inside: list[Any]) -> Any:
        if tag in _HOLDS:
            items = decode_items(inside, self.codec)
            cls = _HOLDS[tag]
            return tuple(items) if cls is tuple else hashed(items, cls, cls.__name__)
        if tag == PAIRS:
            return keyed(inside, self.codec, self.codec)
        if tag == MESSAGE:
            return self._message(inside)
        if tag == REASON and len(inside) == 2 and type(inside[0]) is str and inside[0] in REASONS:
            return self._record(REASONS[inside[0]]).decode(inside[1])
        raise ProtocolError(f"the tag {brief(tag)} means nothing here, or not with {brief(inside)}")

    def _message(self, inside: list[Any]) -> Any:
        if len(inside) != 3:
            raise wrong(inside, "a message's name, version and fields")
        return self._record(registered(inside[0], inside[1])).decode(inside[2])


def registered(name: object, version: object) -> type:
    """The message class of this name and version.

    Raises:
        ProtocolError: there is none, or this is no name and version.
    """
    if type(name) is not str or type(version) is not int:
        raise ProtocolError(
            f"expected a message's name and version, got {brief(name)}, {brief(version)}"
        )
    cls = message_class(WireName(name, version))
    if cls is None:
        raise ProtocolError(
            f"no message is called {brief(name)} with version {version} here: import its module, or run the same code"
        )
    return cls


def _why_not(value: Any, kind: type) -> str:
    what = f"{brief(value)} is of type {title(kind)}, and a value does not tell that by itself"
    if isinstance(value, Ref):
        return f"{brief(value)} is a reference, and these bytes go to no node that could follow it"
    if isinstance(value, type) or callable(value):
        return f"{brief(value)} is code, which does not travel in messages: send its name"
    if isinstance(value, BaseException):
        return f"{brief(value)} is an exception, which stays at home: send its text"
    if attrs.has(kind):
        return f"{what}: decorate it with @ak.message, or annotate the field with it"
    return f"{what}: annotate the field with it, or send what it is made of"
