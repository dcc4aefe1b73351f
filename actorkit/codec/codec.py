"""``Codec``: from annotations to coders, made when a class is first used, and kept."""

from __future__ import annotations

import enum
import typing
from collections import abc
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

from actorkit.codec.annotations import (
    bare,
    described,
    fields_of,
    is_record,
    is_union,
    looked_up,
    members,
    origin_of,
    title,
)
from actorkit.codec.anything import Anything, registered
from actorkit.codec.coder import LEAVES, ValueCodec, enumeration, literal, unfit
from actorkit.codec.failures import as_refused, failure
from actorkit.codec.plain import (
    ENVELOPE,
    LIMITS,
    Limits,
    brief,
    depth_within,
    pack_plain,
    unpack_plain,
)
from actorkit.codec.records import record
from actorkit.codec.values import (
    abstract,
    collection,
    deferred,
    dictionary,
    fixed_tuple,
    optional,
    typed_dict,
    union,
)
from actorkit.errors import ActorkitError, AskError, ProtocolError, Unencodable
from actorkit.kernel.message import error_text, is_message, wire_name
from actorkit.kernel.ref import Ref


class RefPort(Protocol):
    """How references travel over one connection."""

    def encode(self, ref: Ref[Any]) -> list[Any]:
        """A reference as a list of plain values."""
        ...

    def decode(self, data: Any) -> Ref[Any]:
        """The reference; ProtocolError if it is none."""
        ...


class Codec:
    """Turns messages and their parts into plain values and back, by their classes' annotations.

    Coders are made once for each class and each codec, at its first use. A codec is for one connection, or one file, and for one thread.

    Args:
        refs: how references travel; without it they do not.
        limits: what one frame may hold.
    """

    __slots__ = ("_anything", "_finished", "_inside", "_limits", "_making", "_refs")

    def __init__(self, refs: RefPort | None = None, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._refs = _references(refs)
        self._inside: dict[Any, ValueCodec] = {}
        self._finished: dict[Any, ValueCodec] = {}
        self._making: set[Any] = set()
        self._anything = Anything(self._coder, None if refs is None else self._refs, limits)

    def encoder(self, cls: type) -> Callable[[Any], list[Any]]:
        """What turns messages of a class into the list of their fields, as plain values.

        It raises Unencodable, naming class, field and value, and so does this if a field can never travel.
        """
        found = self._finished.get(cls)
        return (self.value(cls) if found is None else found).encode

    def decoder(self, cls: type) -> Callable[[Any], Any]:
        """What turns such lists into messages, through the constructor.

        It raises ProtocolError, naming class and field, and so does this if a field can never travel.
        """
        found = self._finished.get(cls)
        if found is None:
            try:
                found = self.value(cls)
            except Unencodable as error:
                raise ProtocolError(str(error)) from None
        return found.decode

    def value(self, annotation: Any) -> ValueCodec:
        """The coder of values of a type, such as a request's reply.

        Raises:
            Unencodable: such values can never travel.
        """
        try:
            found = self._finished.get(annotation)
        except TypeError:  # what Annotated holds may not be hashable
            return _bounded(self._coder(annotation), self._limits)
        if found is None:
            found = _bounded(self._coder(annotation), self._limits)
            self._finished[annotation] = found
        return found

    def pack(self, message: Any) -> bytes:
        """A message in bytes that tell what it is: wire name, version and fields. Journals keep these.

        Raises:
            Unencodable: it cannot travel; the error names class, field and value.
        """
        cls = type(message)
        if not is_message(cls):
            raise unfit(message, "a message: decorate its class with @ak.message")
        wire = wire_name(cls)
        fields = self.encoder(cls)(message)
        try:
            return pack_plain([wire.name, wire.version, fields], self._limits)
        except Unencodable as error:
            raise self._blamed(cls, fields, error) from None

    def _blamed(self, cls: type, fields: list[Any], error: Unencodable) -> Unencodable:
        """The error with the first field that alone cannot be packed."""
        for field, plain in zip(fields_of(cls), fields, strict=True):
            try:
                pack_plain(plain, self._limits)
            except Unencodable as problem:
                return Unencodable(f"{title(cls)}.{field.name}: {problem}")
        return Unencodable(f"{title(cls)}: {error}")

    def unpack(self, data: bytes | bytearray | memoryview) -> Any:
        """The message that ``pack`` wrote.

        Raises:
            ProtocolError: it did not write this, or the class is not known here, or refuses the values.
        """
        plain = unpack_plain(data, self._limits)
        if type(plain) is not list or len(plain) != 3:
            raise ProtocolError(
                f"expected a message's name, version and fields, got {brief(plain)}"
            )
        return self.decoder(registered(plain[0], plain[1]))(plain[2])

    def encode_error(self, error: AskError) -> list[Any]:
        """An error that answers an ask, as a plain value; what of it cannot travel goes as text."""
        try:
            plain: list[Any] = self.value(AskError).encode(error)
            pack_plain(plain, self._limits)  # a text in it may have what no encoding takes
        except Unencodable as problem:
            return as_refused(error, problem)
        return plain

    def decode_error(self, plain: Any) -> AskError:
        """The error.

        Raises:
            ProtocolError: it is none.
        """
        error: AskError = self.value(AskError).decode(plain)
        return error

    # From annotation to coder -------------------------------------------------------------------------------------

    def _coder(self, hint: Any) -> ValueCodec:
        hint = bare(hint)
        try:
            found = self._inside.get(hint)
        except TypeError:
            return self._made(hint)
        if found is not None:
            return found
        if hint in self._making:
            return deferred(described(hint), lambda: self._inside[hint])
        self._making.add(hint)
        try:
            self._inside[hint] = self._made(hint)
        finally:
            self._making.discard(hint)
        return self._inside[hint]

    def _made(self, hint: Any) -> ValueCodec:
        origin = origin_of(hint)
        if hint is Any:
            return self._anything.codec
        if is_union(hint):
            return self._union(hint)
        if origin in LEAVES:
            return LEAVES[origin]
        if origin is Literal:
            return literal(described(hint), typing.get_args(hint))
        if origin in _CONTAINERS:
            return self._container(origin, hint)
        return self._class(origin, hint)

    def _union(self, hint: Any) -> ValueCodec:
        parts = [*dict.fromkeys(members(hint))]
        if Any in parts:
            return self._anything.codec
        coders = [self._coder(part) for part in parts if part is not _NONE]
        if len(coders) == len(parts):
            return union(described(hint), tuple(coders))
        if len(coders) == 1:
            return optional(coders[0])
        return union(described(hint), (*coders, LEAVES[_NONE]))

    def _container(self, cls: type, hint: Any) -> ValueCodec:
        if cls in _ABSTRACT:
            concrete = {one: self._container(one, hint) for one in _ABSTRACT[cls]}
            return abstract(described(hint), concrete)
        name, arguments = described(hint), typing.get_args(hint)
        if cls is dict:
            key, value = arguments or (Any, Any)
            return dictionary(name, self._coder(key), self._coder(value))
        if typing.get_origin(hint) is tuple and arguments[1:] != (...,):
            return fixed_tuple(name, tuple(self._coder(item) for item in arguments))
        item = self._coder(arguments[0] if arguments else Any)
        return collection(cls, name, item, tuple if cls is tuple else None)

    def _class(self, cls: Any, hint: Any) -> ValueCodec:
        if not isinstance(cls, type):
            raise Unencodable(_never(hint))
        if issubclass(cls, Ref):
            return self._refs
        if issubclass(cls, ActorkitError):
            return failure(cls, self._coder)
        if issubclass(cls, enum.Enum):
            return enumeration(cls)
        if typing.is_typeddict(cls):
            return self._typed_dict(cls, hint)
        if is_record(cls):
            fields = fields_of(hint)
            return record(
                cls, described(hint), tuple((f, self._at(cls, f.name, f.hint)) for f in fields)
            )
        raise Unencodable(_never(hint))

    def _at(self, cls: type, name: str, hint: Any) -> ValueCodec:
        try:
            return self._coder(hint)
        except Unencodable as error:
            raise Unencodable(f"{title(cls)}.{name}: {error}") from None

    def _typed_dict(self, cls: Any, hint: Any) -> ValueCodec:
        required = set(cls.__required_keys__)
        items: dict[str, ValueCodec] = {}
        for key, annotation in cls.__annotations__.items():
            written = looked_up(annotation, cls, f"{title(cls)}[{key!r}]", extras=True)
            if typing.get_origin(written) is typing.NotRequired:
                required.discard(key)
            items[key] = self._at(cls, key, written)
        return typed_dict(described(hint), items, frozenset(required))


_NONE: Final = type(None)
_ABSTRACT: Final[Mapping[Any, tuple[type, ...]]] = {
    abc.Sequence: (list, tuple),
    abc.MutableSequence: (list,),
    abc.Collection: (list, tuple, set, frozenset),
    abc.Iterable: (list, tuple, set, frozenset),
    abc.Set: (frozenset, set),
    abc.MutableSet: (set,),
    abc.Mapping: (dict,),
    abc.MutableMapping: (dict,),
}
_CONTAINERS: Final = frozenset({list, tuple, set, frozenset, dict, *_ABSTRACT})


def _never(hint: Any) -> str:
    return f"{described(hint)} cannot travel: use a message, an attrs class, a dataclass, a collection or a plain type"


def _references(port: RefPort | None) -> ValueCodec:
    """The coder of references; without a port it refuses them."""

    def encode(ref: Any) -> Any:
        if not isinstance(ref, Ref):
            raise unfit(ref, "Ref")
        if port is None:
            raise Unencodable(
                f"{brief(ref)} is a reference, and these bytes go to no node that could follow it"
            )
        return port.encode(ref)

    def decode(plain: Any) -> Any:
        if port is None:
            raise ProtocolError("a reference where none can be followed")
        try:
            return port.decode(plain)
        except ProtocolError:
            raise
        except Exception as error:
            raise ProtocolError(f"{brief(plain)} is no reference: {error_text(error)}") from error

    return ValueCodec("Ref", encode, decode, None, frozenset(), ENVELOPE)


def _bounded(coder: ValueCodec, limits: Limits) -> ValueCodec:
    """A coder that looks how deep its plain values are, if their type does not tell."""
    limit = limits.depth - ENVELOPE
    if coder.depth <= limit:
        return coder
    inner_encode, inner_decode = coder.encode, coder.decode

    def encode(value: Any) -> Any:
        try:
            plain = inner_encode(value)
        except RecursionError:
            raise Unencodable(_too_deep(value, limit)) from None
        if not depth_within(plain, limit):
            raise Unencodable(_too_deep(value, limit))
        return plain

    def decode(plain: Any) -> Any:
        try:
            return inner_decode(plain)
        except RecursionError:
            raise ProtocolError(f"{brief(plain)} is nested too deep for {coder.name}") from None

    return ValueCodec(coder.name, encode, decode, coder.types, coder.direct, coder.depth)


def _too_deep(value: object, limit: int) -> str:
    return (
        f"{title(type(value))}: {brief(value)} is more than {limit} containers deep (a tuple counts twice where its type "
        "is open): send it in parts, or flattened"
    )
