"""What annotations mean: names looked up, aliases followed, type variables replaced. Pure.

A type variable that nothing binds is ``Any``. Names are looked up in the module of the class that the field was written
in, and the class's own name is known everywhere in it.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, cast

import attrs

from actorkit.errors import Unencodable
from actorkit.kernel.exits import Crashed
from actorkit.kernel.message import Request, StreamRequest, is_message, wire_name

Bound = Mapping[Any, Any]

_HINTS: Final = "__actorkit_hints__"  # what annotations mean, by how they are written

# What stays at home: an exception object means something in its own process only.
_LEFT_OUT: Final = {(Crashed, "cause")}


@attrs.frozen(slots=True)
class Field:
    """One field of a record.

    Attributes:
        name: the attribute.
        alias: how the constructor calls it.
        hint: its type, with nothing open in it.
        keyword: whether the constructor takes it by keyword only.
    """

    name: str
    alias: str
    hint: Any
    keyword: bool = False


def origin_of(hint: Any) -> Any:
    """``list`` of ``list[int]``; a type without arguments is its own."""
    return typing.get_origin(hint) or hint


def is_union(hint: Any) -> bool:
    """Whether it is ``A | B``, however it is spelled."""
    return typing.get_origin(hint) in (Union, UnionType)


def bare(hint: Any) -> Any:
    """What a type says once aliases, ``NewType``, ``Annotated`` and type variables are taken off."""
    while True:
        origin = typing.get_origin(hint)
        if hasattr(hint, "__value__"):  # PEP 695: type Alias = A | B
            arguments = typing.get_args(hint) if hasattr(origin, "__value__") else ()
            parameters = getattr(origin or hint, "__type_params__", ())
            bound = dict(zip(parameters, arguments, strict=False))
            hint = substituted(hint.__value__, bound) if parameters else hint.__value__
        elif hasattr(hint, "__supertype__"):  # NewType
            hint = hint.__supertype__
        elif origin in _WRAPPERS:
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, TypeVar) or hint is object:
            hint = Any
        else:
            return NoneType if hint is None else hint


_WRAPPERS: Final = (Annotated, typing.Final, typing.Required, typing.NotRequired)


def substituted(hint: Any, bound: Bound) -> Any:
    """A type with its type variables replaced; those that are not bound become ``Any``."""
    if isinstance(hint, TypeVar):
        return bound.get(hint, Any)
    if isinstance(hint, type) and typing.get_origin(hint) is None:
        return hint  # a generic class without arguments: its fields see no binding, so Any
    parameters = getattr(hint, "__parameters__", ())
    arguments = tuple(bound.get(parameter, Any) for parameter in parameters)
    return cast(Any, hint)[arguments] if arguments else hint


def members(hint: Any) -> Iterator[Any]:
    """The types in a union, those of unions inside among them."""
    hint = bare(hint)
    if not is_union(hint):
        yield hint
        return
    for member in typing.get_args(hint):
        yield from members(member)


def parts_of(hint: Any) -> Iterator[Any]:
    """The types that a type is made of, one level down."""
    for name in ("__value__", "__supertype__"):
        if hasattr(hint, name):
            yield getattr(hint, name)
    origin = typing.get_origin(hint)
    if origin is not None and origin is not Literal:
        yield origin
        yield from typing.get_args(hint)


def bindings(hint: Any) -> dict[type, Bound]:
    """What the type variables of a class and of its bases stand for, by class."""
    cls = origin_of(hint)
    here = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(hint), strict=False))
    found: dict[type, Bound] = {cls: here}
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        if isinstance(origin_of(base), type) and origin_of(base) is not typing.Generic:
            for owner, bound in bindings(substituted(base, here)).items():
                found.setdefault(owner, bound)
    return found


def is_record(cls: Any) -> bool:
    """Whether instances of a class travel as the list of their fields."""
    if not isinstance(cls, type):
        return False
    named = issubclass(cls, tuple) and hasattr(cls, "_fields")
    return named or attrs.has(cls) or dataclasses.is_dataclass(cls)


def fields_of(hint: Any) -> tuple[Field, ...]:
    """What the constructor of a record class takes, in its order.

    Raises:
        Unencodable: an annotation cannot be understood.
    """
    cls = origin_of(hint)
    bound = bindings(hint)
    return tuple(
        Field(name, alias, _with_self(type_of(cls, name, bound), hint), keyword)
        for name, alias, keyword in _plain_fields(cls)
        if (cls, name) not in _LEFT_OUT
    )


def _plain_fields(cls: Any) -> Iterator[tuple[str, str, bool]]:
    if attrs.has(cls):
        for field in attrs.fields(cls):
            if field.init:
                yield str(field.name), str(field.alias), bool(field.kw_only)
    elif dataclasses.is_dataclass(cls):
        for one in dataclasses.fields(cls):
            if one.init:
                yield one.name, one.name, one.kw_only is True
    else:
        for name in cls._fields:
            yield name, name, False


def _with_self(hint: Any, itself: Any) -> Any:
    """A type with ``Self`` replaced, wherever it stands."""
    if hint is typing.Self:
        return itself
    arguments = typing.get_args(hint)
    replaced = tuple(_with_self(argument, itself) for argument in arguments)
    if replaced == arguments:
        return hint
    return cast(Any, Union if is_union(hint) else origin_of(hint))[replaced]


def type_of(cls: type, name: str, bound: Mapping[type, Bound] | None = None) -> Any:
    """The type of one annotated attribute; ``Any`` if it has no annotation.

    Raises:
        Unencodable: a name in it is not to be found.
    """
    owner = _owner_of(cls, name)
    if owner is None:
        return Any
    written = inspect.get_annotations(owner)[name]
    hint = looked_up(written, owner, f"{title(cls)}.{name}")
    return substituted(hint, (bindings(cls) if bound is None else bound).get(owner, {}))


def _owner_of(cls: type, name: str) -> type | None:
    """The class in which an attribute is annotated."""
    return next((base for base in cls.__mro__ if name in inspect.get_annotations(base)), None)


def looked_up(written: Any, owner: type, where: str, *, extras: bool = False) -> Any:
    """An annotation with the names in it replaced by what they name, and without notes unless ``extras`` are wanted.

    A class that came from another process has no module here to look in: what its names mean came with it (``explain``).

    Raises:
        Unencodable: a name is not to be found, or it is no annotation.
    """
    kept = owner.__dict__.get(_HINTS, {})
    if _text(written) in kept:
        return kept[_text(written)]
    body = {
        "__annotations__": {"it": written},
        "__module__": owner.__module__,
        "__type_params__": getattr(owner, "__type_params__", ()),
    }
    try:
        holder = type(owner.__name__, (), body)
        hint = typing.get_type_hints(
            holder, localns={owner.__name__: owner}, include_extras=extras
        )["it"]
    except Exception as error:  # noqa: BLE001 - an annotation may be any expression
        raise Unencodable(
            f"{where} is annotated {written!r}, and {type(error).__name__}: {error}; what it names has to be "
            "in its module when the program runs, outside of functions and of `if TYPE_CHECKING`"
        ) from None
    return hint


def explain(cls: type) -> Iterator[Any]:
    """Note on a class what its annotations mean, for where the names in them cannot be looked up; yields what they mean.

    Raises:
        Unencodable: a name is not to be found.
    """
    typed_dict = typing.is_typeddict(cls)
    names = cls.__annotations__ if typed_dict else [name for name, _, _ in _plain_fields(cls)]
    for name in names:
        owner = _owner_of(cls, name)
        if owner is not None:
            written = inspect.get_annotations(owner)[name]
            meant = looked_up(written, owner, f"{title(cls)}.{name}", extras=typed_dict)
            yield _kept(written, owner, meant)
    for owner, bound in bindings(cls).items():
        if owner in (Request, StreamRequest):
            yield from (_kept(hint, cls, reply_of(cls)) for hint in bound.values())
        else:
            yield from bound.values()


def _kept(written: Any, owner: type, meant: Any) -> Any:
    if meant is not written and not owner.__module__.startswith("actorkit."):
        if _HINTS not in owner.__dict__:
            setattr(owner, _HINTS, {})
        owner.__dict__[_HINTS][_text(written)] = meant
    return meant


def _text(written: Any) -> str:
    return written if isinstance(written, str) else repr(written)


def reply_of(request: type) -> Any:
    """The type of what answers a request: R of ``Request[R]``, T of ``StreamRequest[T]``; ``Any`` if that is open.

    Raises:
        Unencodable: it is annotated by a name that is not to be found.
    """
    for root in (Request, StreamRequest):
        bound = bindings(request).get(root)
        if bound is not None:
            hint = next(iter(bound.values()), Any)
            return looked_up(hint, request, f"the reply to {title(request)}")
    return Any


def title(cls: Any) -> str:
    """How errors call a class."""
    return str(getattr(cls, "__qualname__", cls)).rpartition("<locals>.")[2]


def described(hint: Any) -> str:
    """A type in words that do not change when code is moved, for errors and as the tag of a union's member."""
    if hasattr(typing.get_origin(hint) or hint, "__value__"):  # an alias may be about itself
        return str(hint)
    hint = bare(hint)
    if is_union(hint):
        return " | ".join(dict.fromkeys(described(member) for member in members(hint)))
    arguments, origin = typing.get_args(hint), origin_of(hint)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    name = "None" if origin is NoneType else title(origin)
    if isinstance(origin, type) and is_message(origin):
        wire = wire_name(origin)
        name = wire.name if wire.version == 1 else str(wire)
    if not arguments or (
        isinstance(origin, type) and origin.__module__.startswith("actorkit.kernel")
    ):
        return name
    return f"{name}[{', '.join('...' if a is ... else described(a) for a in arguments)}]"
