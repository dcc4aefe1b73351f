"""Errors as values: those of ``errors.py`` that say something to callers, and subclasses of ``Refused``.

An error travels as [name, text, arguments, attributes]. The first is the name of the class, for those of ``errors.py``, or
module and qualified name of a subclass of ``Refused``; the last two are a list and a map of values that tell what they are
(``anything.py``).

Errors are made without their constructors, as copying makes them: a constructor may take anything, and may do anything.
Those of ``errors.py`` must have exactly the attributes that they have. A refusal of a class that is not loaded here, found by
following ``__subclasses__``, arrives as a ``Refused`` with its text: nothing is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

from actorkit import errors
from actorkit.codec.annotations import title
from actorkit.codec.coder import OPEN, ValueCodec, unfit, wrong
from actorkit.codec.plain import brief
from actorkit.errors import ActorkitError, AskError, ProtocolError, Refused, Unencodable
from actorkit.kernel.exits import ExitReason
from actorkit.kernel.message import encodable, error_text

_CHILD: Final = {"supervisor": str, "child": str}

# Every class that may travel, refusals apart, with its attributes.
CLOSED: Final[Mapping[type[ActorkitError], Mapping[str, Any]]] = {
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
    errors.StartFailed: {"actor": str, "reason": ExitReason},
    errors.StartTimeout: {"actor": str, "timeout": float},
    errors.StartIgnored: {"actor": str, "why": str},
    errors.AlreadyStarted: {"name": str, "ref": Any},
    errors.StartError: {},
    errors.NotGranted: {"node": str, "grant": str},
    errors.CodeMissing: {},
    errors.ConnectFailed: {},
    errors.NodeError: {},
    errors.SpecError: {},
    errors.SystemClosed: {},
}
HINTS: Final = frozenset(hint for fields in CLOSED.values() for hint in fields.values())
_BY_NAME: Final = {cls.__name__: cls for cls in CLOSED}
_TEXT_MAX: Final = 2_000
_refusals: WeakValueDictionary[str, type[Refused]] = WeakValueDictionary()

Coders = Callable[[Any], ValueCodec]


def failure(cls: type[ActorkitError], coders: Coders) -> ValueCodec:
    """The coder of a class of errors with its subclasses, as far as they travel; ``coders`` has those of attributes."""
    name = title(cls)

    def encode(error: Any) -> list[Any]:
        if isinstance(error, cls):
            return _parts(error, coders(Any))
        raise unfit(error, name)

    def decode(plain: Any) -> ActorkitError:
        error = _error(plain, coders)
        if isinstance(error, cls):
            return error
        raise wrong(error, name)

    return ValueCodec(name, encode, decode, None, frozenset(), OPEN)


def as_refused(error: AskError, problem: Unencodable) -> list[Any]:
    """What is left of an error that cannot travel: its text, in a ``Refused``."""
    told = f"{_text(error)} ({title(type(error))} has come as text: {problem})"
    text = encodable(told)[:_TEXT_MAX]
    return [Refused.__name__, text, [text], {}]


def _text(error: BaseException) -> str:
    return encodable(error_text(error))[:_TEXT_MAX]


def _parts(error: ActorkitError, anything: ValueCodec) -> list[Any]:
    cls = type(error)
    if cls not in CLOSED and not isinstance(error, Refused):
        raise Unencodable(f"{title(cls)} cannot travel: let it inherit from ak.Refused")
    held = _attributes(error)
    if cls in CLOSED:
        held = {name: held.get(name) for name in CLOSED[cls]}
    arguments = [anything.encode(one) for one in error.args]
    attributes = {name: anything.encode(value) for name, value in held.items()}
    return [_name(cls), _text(error), arguments, attributes]


def _error(parts: Any, coders: Coders) -> ActorkitError:
    name, text, arguments, attributes = _checked(parts)
    cls: type[ActorkitError] | None = _BY_NAME.get(name) or refusal(name)
    if cls is None:
        error = Refused(text)
        error.add_note(f"sent as {name}, which is not known here: import its module")
        return error
    decode = coders(Any).decode
    args = [decode(one) for one in arguments]
    held = {key: decode(one) for key, one in attributes.items()}
    if cls in CLOSED:
        _check_closed(cls, held, args, coders)
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
    cls: type[ActorkitError], held: dict[str, Any], args: list[Any], coders: Coders
) -> None:
    wanted = CLOSED[cls]
    if held.keys() != wanted.keys():
        raise ProtocolError(f"{cls.__name__} has {[*wanted]}, got {brief([*held])}")
    for name, hint in wanted.items():
        try:
            coders(hint).encode(held[name])
        except Unencodable as error:
            raise ProtocolError(f"{cls.__name__}.{name}: {error}") from None
    if [type(one) for one in args] != [str]:
        raise ProtocolError(f"{cls.__name__} has its text for argument, got {brief(args)}")


def _made(
    cls: type[ActorkitError], args: tuple[Any, ...], held: Mapping[str, Any]
) -> ActorkitError:
    try:
        error: ActorkitError = BaseException.__new__(cls, *args)  # this sets args
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
