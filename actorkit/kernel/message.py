"""Messages are values: frozen attrs classes with a registered wire name and a version.

The reply type lives on the request. ``Request[R]`` carries two methods that exist for type checkers only; through
the protocol ``AskOf`` they let ``Ref[M].ask`` check that a message belongs to ``M`` and infer ``R``, with no plugin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, Self, TypeVar, cast, dataclass_transform, overload

import attrs

T = TypeVar("T")
M_co = TypeVar("M_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)


class AskOf(Protocol[M_co, R_co]):
    """A message that belongs to ``M`` and is answered by an ``R``. Inherit from ``Request[R]`` to be one."""

    def __actorkit_message__(self) -> M_co: ...
    def __actorkit_reply__(self) -> R_co: ...


class StreamOf(Protocol[M_co, T_co]):
    """A message that belongs to ``M`` and is answered by a stream of ``T``. Inherit from ``StreamRequest[T]``."""

    def __actorkit_message__(self) -> M_co: ...
    def __actorkit_item__(self) -> T_co: ...


class Request(Generic[R_co]):
    """Base of the messages that are answered: ``class Balance(Request[int])`` is answered by an int."""

    __slots__ = ()

    def __actorkit_message__(self) -> Self:
        return self

    def __actorkit_reply__(self) -> R_co:
        raise TypeError("exists for type checkers only")


class StreamRequest(Generic[T_co]):
    """Base of the messages that are answered by a stream of ``T``, such as the tokens of a model."""

    __slots__ = ()

    def __actorkit_message__(self) -> Self:
        return self

    def __actorkit_item__(self) -> T_co:
        raise TypeError("exists for type checkers only")


@attrs.frozen(slots=True)
class WireName:
    """How a message class is called on the wire and in journals: a name and a version of its fields."""

    name: str
    version: int = 1

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


_WIRE_NAMES: dict[type, WireName] = {}
_CLASSES: dict[WireName, type] = {}


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def message(cls: type[T], /) -> type[T]: ...
@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def message(*, name: str | None = None, version: int = 1) -> Callable[[type[T]], type[T]]: ...
def message(
    cls: type[Any] | None = None, /, *, name: str | None = None, version: int = 1
) -> type[Any] | Callable[[type[Any]], type[Any]]:
    """Make a class a message: frozen, slotted, comparable, with a registered wire name and version.

    Args:
        cls: the class; its annotated fields become the constructor's parameters, as with ``attrs.frozen``.
        name: the wire name; the module and qualified name of the class unless told otherwise. Choose one if
            messages are stored or cross nodes whose code may move.
        version: counts incompatible changes of the fields, from 1.

    Raises:
        TypeError: another class already has this name and version, or the version is not a positive int.
    """

    def register(plain: type[Any]) -> type[Any]:
        if not isinstance(plain, type):
            raise TypeError(f"@message decorates a class, got {plain!r}")
        if plain in _WIRE_NAMES:
            raise TypeError(f"{_written_as(plain)} is a message already; decorate it once")
        made = attrs.define(plain, frozen=True, slots=True)
        wire = WireName(
            name or f"{plain.__module__}.{plain.__qualname__}", checked_version(version)
        )
        made.__actorkit_wire__ = wire  # travels with the class, if its code is shipped
        _register(wire, made)
        return made

    return register if cls is None else register(cls)


def checked_version(version: int) -> int:
    """Return ``version`` if it is an int from 1 up, else raise TypeError naming it."""
    if type(version) is not int or version < 1:
        raise TypeError(f"a message's version is an int from 1 up, got {version!r}")
    return version


def _register(wire: WireName, made: type) -> None:
    held = _CLASSES.get(wire)
    if held is not None and _written_as(held) != _written_as(made):
        raise TypeError(
            f"the message name {wire} is taken by {_written_as(held)}; "
            f"give {_written_as(made)} another one: @message(name=...)"
        )
    _CLASSES[wire] = made
    _WIRE_NAMES[made] = wire


def _written_as(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def wire_name(cls: type) -> WireName:
    """The registered name of a message class.

    Raises:
        TypeError: the class was not decorated with ``@message``.
    """
    try:
        return _WIRE_NAMES[cls]
    except KeyError:
        if adopt(cls):
            return _WIRE_NAMES[cls]
        raise TypeError(
            f"{_written_as(cls)} is not a message class; decorate it with @message"
        ) from None


def adopt(cls: type) -> bool:
    """Register a message class whose code came from another process; tells whether it is a message class."""
    wire = cls.__dict__.get("__actorkit_wire__")
    if isinstance(wire, WireName) and cls not in _WIRE_NAMES:
        _CLASSES[wire] = cls
        _WIRE_NAMES[cls] = wire
    return cls in _WIRE_NAMES


def message_class(wire: WireName) -> type | None:
    """The message class registered under a wire name, or None: names are looked up, never imported."""
    return _CLASSES.get(wire)


def is_message(cls: object) -> bool:
    """Tell whether a class was made by ``@message``."""
    return cast(type, cls) in _WIRE_NAMES


def shortened(value: object, limit: int = 200) -> str:
    """The ``repr`` of a value in at most ``limit`` characters; never raises."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a repr of user code; a report must not fail because of it
        return f"<{type(value).__name__}: its repr raised {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def error_text(error: BaseException) -> str:
    """What ``str()`` says of an exception, fit to be encoded and sent; never raises."""
    try:
        text = str(error)
    except Exception as failure:  # noqa: BLE001 - user code; a report must not fail because of it
        return f"<its str raised {type(failure).__name__}>"
    return encodable(text)


def encodable(text: str) -> str:
    """Text without the lone surrogates that no encoding takes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
