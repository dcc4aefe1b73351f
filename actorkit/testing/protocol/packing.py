"""Values as JSON and back: what a history needs to be kept as text.

JSON knows neither messages nor tuples. Such a value becomes an object whose first key tells what it is. Reading builds
only what exists already: registered messages, enumerations and refusals of modules that are imported; a file cannot
make anything be imported or called.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable, Iterable
from typing import Any, cast

import attrs

import actorkit as ak
from actorkit.kernel.message import WireName, is_message, message_class, shortened, wire_name

_PLAIN = (type(None), bool, int, str)


def pack(value: Any) -> Any:
    """Turn a value into what ``json.dumps`` takes.

    Raises:
        TypeError: it cannot be kept; the error names it.
    """
    kind = type(value)
    if kind in _PLAIN or (kind is float and math.isfinite(value)):
        return value
    if kind is list:
        return [pack(item) for item in value]
    if kind in _PACKERS:
        return {kind.__name__: _PACKERS[kind](value)}
    if is_message(kind):
        return {"message": str(wire_name(kind)), "fields": _fields(value)}
    if isinstance(value, enum.Enum):
        return {"enum": _full_name(kind), "value": pack(value.value)}
    if isinstance(value, ak.Refused):
        attributes = {name: pack(held) for name, held in vars(value).items()}
        return {"error": _full_name(kind), "args": pack(value.args), "attributes": attributes}
    raise TypeError(
        f"{shortened(value)} cannot be saved: decorate {_full_name(kind)} with @ak.message, "
        "or record a plain value instead"
    )


def _sorted(items: Iterable[Any]) -> list[Any]:
    # A set's own order differs from run to run; the file's must not.
    return sorted((pack(item) for item in items), key=json.dumps)


def _fields(message: Any) -> dict[str, Any]:
    named = ((field.alias, field.name) for field in attrs.fields(type(message)) if field.init)
    return {str(alias): pack(getattr(message, name)) for alias, name in named}


def unpack(read: Any) -> Any:
    """Turn what ``json.loads`` gave for a packed value into that value.

    Raises:
        ValueError: it names a message, an enumeration or an error that is not there.
        LookupError: it is not a packed value.
    """
    if isinstance(read, list):
        return [unpack(item) for item in read]
    if not isinstance(read, dict):
        return read
    kind, packed = next(iter(read.items()), ("", None))
    return _UNPACKERS[kind](packed, read)


def _message(name: str, fields: dict[str, Any]) -> Any:
    plain, _, version = name.rpartition("@")
    cls = message_class(WireName(plain, int(version)))
    if cls is None:
        raise ValueError(f"no message is called {name!r}; import the module that defines it")
    return cls(**{field: unpack(value) for field, value in fields.items()})


def _error(name: str, read: dict[str, Any]) -> ak.Refused:
    # As copy and pickle do, without calling the constructor: its parameters are not ours to know.
    cls = _loaded(ak.Refused, name)
    made = cast("ak.Refused", cls.__new__(cls))
    made.args = unpack(read["args"])
    vars(made).update({key: unpack(value) for key, value in read["attributes"].items()})
    return made


def _loaded(root: Any, name: str) -> Any:
    """A class by its name among those that exist already: nothing is imported because a file says so."""
    rest = [root]
    while rest:
        cls = rest.pop()
        if _full_name(cls) == name:
            return cls
        rest.extend(cls.__subclasses__())
    raise ValueError(f"no {root.__name__} is called {name!r}; import the module that defines it")


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


_PACKERS: dict[type, Callable[[Any], Any]] = {
    float: repr,
    bytes: bytes.hex,
    tuple: lambda items: [pack(item) for item in items],
    set: _sorted,
    frozenset: _sorted,
    dict: lambda entries: [[pack(key), pack(value)] for key, value in entries.items()],
}

_UNPACKERS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "float": lambda text, _: float(text),
    "bytes": lambda text, _: bytes.fromhex(text),
    "tuple": lambda items, _: tuple(map(unpack, items)),
    "set": lambda items, _: set(map(unpack, items)),
    "frozenset": lambda items, _: frozenset(map(unpack, items)),
    "dict": lambda entries, _: {unpack(key): unpack(value) for key, value in entries},
    "message": lambda name, read: _message(name, read["fields"]),
    "enum": lambda name, read: _loaded(enum.Enum, name)(unpack(read["value"])),
    "error": _error,
}
