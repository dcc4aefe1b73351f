"""The types that a message's fields are annotated with, and whether a value is of one. Pure."""

from __future__ import annotations

import inspect
import math
import sys
import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union

import attrs


def fields_of(cls: Any) -> dict[str, attrs.Attribute[Any]]:
    """What the constructor of an attrs class takes, by the names it takes it by."""
    return {str(field.alias): field for field in attrs.fields(cls) if field.init}


def type_of(cls: type, field: attrs.Attribute[Any]) -> Any:
    """The type of a field, with names looked up where the class was written; ``Any`` if there is none.

    Raises:
        NameError: a name is not there, as with types that are local to a function.
    """
    if field.type is None:
        return Any
    owner = next((b for b in cls.__mro__ if field.name in inspect.get_annotations(b)), cls)
    body = {"__annotations__": {"it": field.type}, "__module__": owner.__module__}
    holder = type(owner.__name__, (), body)
    return typing.get_type_hints(holder, include_extras=True)["it"]


def origin_of(hint: Any) -> Any:
    """``list`` of ``list[int]``; a type without arguments is its own."""
    return typing.get_origin(hint) or hint


def unaliased(hint: Any) -> Any:
    """What a type alias stands for (PEP 695: ``type Alias = A | B``); other types are what they are."""
    while hasattr(hint, "__value__"):
        hint = hint.__value__
    return hint


def is_union(hint: Any) -> bool:
    """Whether it is ``A | B``, however it is spelled."""
    return typing.get_origin(hint) in (Union, types.UnionType)


def fits(hint: Any, value: object) -> bool:
    """Whether a value is of a type, as far as can be told: what cannot be told fits.

    As type checkers do, it takes an int where a float is due; NaN is no number.
    """
    hint = unaliased(hint)
    hint = getattr(hint, "__supertype__", hint)  # NewType
    if isinstance(value, float) and math.isnan(value):
        return hint is Any or hint is object
    origin, arguments = origin_of(hint), typing.get_args(hint)
    if is_union(hint):
        return any(fits(member, value) for member in arguments)
    if origin is Annotated:
        return fits(arguments[0], value)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in arguments)
    if isinstance(origin, type):
        return _is_a(origin, value) and _holds(origin, arguments, value)
    return value is None or hint is not None


def _is_a(origin: type, value: object) -> bool:
    if origin in (float, complex) and isinstance(value, int):
        return abs(value) <= sys.float_info.max
    try:
        return isinstance(value, origin)
    except TypeError:  # a protocol that cannot be asked
        return True


def _holds(origin: type, arguments: tuple[Any, ...], value: Any) -> bool:
    """Whether what a collection contains is of the types it shall be."""
    if not arguments or isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        return True
    if isinstance(value, dict):
        keys, values = (*arguments, Any)[:2]
        return all(fits(keys, k) and fits(values, v) for k, v in value.items())
    if origin is tuple and arguments[1:] != (Ellipsis,):
        return len(value) == len(arguments) and all(map(fits, arguments, value))  # type: ignore[arg-type]
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(fits(arguments[0], one) for one in value)
    return True
