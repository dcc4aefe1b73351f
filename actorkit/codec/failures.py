"""Errors that answer an ask, as plain values and back: the closed set of ``errors.py``, and subclasses of ``Refused``.

An error travels as [name, text, arguments, attributes]. The first is the name of the class, for those of ``errors.py``, or
module and qualified name of a subclass of ``Refused``; the last two are lists and maps of values that tell what they are
(``anything.py``).

Errors are made without their constructors, as copying makes them: a constructor may take anything, and may do anything.
Those of ``errors.py`` must have exactly the attributes that they have. A refusal of a class that is not loaded here, found by
following ``__subclasses__``, arrives as a ``Refused`` with its text: nothing is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

from actorkit import errors
from actorkit.codec.annotations import title
from actorkit.codec.coder import ValueCodec
from actorkit.codec.plain import brief
from actorkit.errors import AskError, ProtocolError, Refused, Unencodable
from actorkit.kernel.exits import ExitReason
from actorkit.kernel.message import encodable, error_text

_CHILD: Final = {"supervisor": str, "child": str}

# Every class that may travel, with its attributes.
CLOSED: Final[Mapping[type[AskError], Mapping[str, Any]]] = {
    errors.AskTimeout: {"actor": str, "timeout": float},
    errors.ActorDied: {"actor": str, "reason": ExitReason},
    errors.NodeDown: {"node": str},
    errors.MailboxFull: {"actor": str, "capacity": int},
    errors.CircularAsk: {"chain": tuple[str, ...]},
    errors.Unhandled: {"actor": str, "message_type": str},
    errors.Unencodable: {},
    errors.ChildNotFound: _CHILD,
    errors.ChildRunning: _CHILD,
    errors.ChildRestarting: _CHILD,
    errors.ChildPresent: _CHILD,
}
_BY_NAME: Final = {cls.__name__: cls for cls in CLOSED}
_TEXT_MAX: Final = 2_000
_refusals: WeakValueDictionary[str, type[Refused]] = WeakValueDictionary()


def error_parts(error: AskError, anything: ValueCodec) -> list[Any]:
    """What an error travels as. It never fails: what cannot travel is left out, and the text says so."""
    text = encodable(error_text(error))[:_TEXT_MAX]
    cls = type(error)
    if cls not in CLOSED and not isinstance(error, Refused):
        cls = next((base for base in cls.__mro__ if base in CLOSED), Refused)
    if cls is Refused and type(error) is not Refused:
        return [Refused.__name__, text, [text], {}]
    held = _attributes(error)
    if cls in CLOSED:
        held = {name: held.get(name) for name in CLOSED[cls]}
    try:
        arguments = [anything.encode(one) for one in error.args]
        attributes = {name: anything.encode(value) for name, value in held.items()}
    except Unencodable as problem:
        why = f"{text} ({title(cls)} has come as text, for {problem})"
        return [Refused.__name__, why, [why], {}]
    return [_name(cls), text, arguments, attributes]


def error_of(parts: Any, anything: ValueCodec, fields: Mapping[Any, ValueCodec]) -> AskError:
    """The error that the parts tell; ``fields`` has a coder for every type in ``CLOSED``.

    Raises:
        ProtocolError: they tell none.
    """
    name, text, arguments, attributes = _checked(parts)
    cls: type[AskError] | None = _BY_NAME.get(name) or refusal(name)
    if cls is None:
        error: AskError = Refused(text)
        error.add_note(
            f"sent as {name}, which is not known here: import its module to catch it as what it is"
        )
        return error
    args = [anything.decode(one) for one in arguments]
    held = {key: anything.decode(one) for key, one in attributes.items()}
    if cls in CLOSED:
        _check_closed(cls, held, args, fields)
    return _made(cls, tuple(args), held)


def _checked(parts: Any) -> tuple[str, str, list[Any], dict[str, Any]]:
    if type(parts) is list and len(parts) == 4:
        name, text, arguments, attributes = parts
        whole = type(name) is str and type(text) is str and type(arguments) is list
        if whole and type(attributes) is dict and all(type(key) is str for key in attributes):
            return name, text, arguments, attributes
    raise ProtocolError(
        f"expected an error's name, text, arguments and attributes, got {brief(parts)}"
    )


def _check_closed(
    cls: type[AskError], held: dict[str, Any], args: list[Any], fields: Mapping[Any, ValueCodec]
) -> None:
    wanted = CLOSED[cls]
    if held.keys() != wanted.keys():
        raise ProtocolError(
            f"{cls.__name__} has {', '.join(wanted) or 'no attributes'}, got {', '.join(held)[:80]}"
        )
    for name, hint in wanted.items():
        try:
            fields[hint].encode(held[name])
        except Unencodable as error:
            raise ProtocolError(f"{cls.__name__}.{name}: {error}") from None
    if [type(one) for one in args] != [str]:
        raise ProtocolError(f"{cls.__name__} has its text for argument, got {brief(args)}")


def _made(cls: type[AskError], args: tuple[Any, ...], held: Mapping[str, Any]) -> AskError:
    try:
        error = cls.__new__(cls, *args)
        error.args = args
        for name, value in held.items():
            if name in _slots(cls):
                object.__setattr__(error, name, value)
            else:
                error.__dict__[name] = value
    except Exception as problem:
        raise ProtocolError(
            f"{title(cls)} cannot be made of {brief(args)}: {error_text(problem)}"
        ) from problem
    return error


def _attributes(error: BaseException) -> dict[str, Any]:
    held = {name: getattr(error, name) for name in _slots(type(error)) if hasattr(error, name)}
    return held | vars(error)


def _slots(cls: type) -> set[str]:
    """Names of slots, as attrs classes and dataclasses may have them."""
    named = (base.__dict__.get("__slots__", ()) for base in cls.__mro__)
    every = {name for names in named for name in ((names,) if isinstance(names, str) else names)}
    return every - {"__dict__", "__weakref__"}


# Refusals ---------------------------------------------------------------------------------------------------------


def _name(cls: type) -> str:
    return (
        cls.__name__ if cls in CLOSED or cls is Refused else f"{cls.__module__}.{cls.__qualname__}"
    )


def refusal(name: str) -> type[Refused] | None:
    """The loaded subclass of ``Refused`` of this name, or ``Refused`` itself; the latest if there are several."""
    found = _refusals.get(name)
    if found is None:
        _refusals.update({_name(cls): cls for cls in _loaded(Refused)})
        found = _refusals.get(name)
    return found


def _loaded(cls: type[Refused]) -> Iterator[type[Refused]]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _loaded(subclass)
