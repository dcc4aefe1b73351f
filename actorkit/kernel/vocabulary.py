"""Which messages an actor class speaks, and which handler takes each: checked when the class is created.

The vocabulary is the type argument of ``Actor[...]``: a class, a union, or a type alias of one. The table of
handlers is collected over the method resolution order, so handlers are inherited and may be overridden.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import Any, TypeVar, Union

import attrs

from actorkit.errors import VocabularyError
from actorkit.kernel.exits import Down, Exit
from actorkit.kernel.message import Request, StreamRequest
from actorkit.kernel.notices import GroupChanged, NodeLost, NodeUp

MARK = "__actorkit_handles__"


class Kind(IntEnum):
    """How the dispatcher calls a handler."""

    SYNC = 0
    ASYNC = 1
    DEFERRED = 2
    DEFERRED_ASYNC = 3
    STREAM = 4


@attrs.frozen(slots=True)
class Handler:
    """A method that takes one type of message."""

    function: Callable[..., Any]
    kind: Kind
    name: str


Table = dict[type, tuple[Callable[..., Any], int]]


def vocabulary(cls: type, root: type) -> tuple[type, ...] | None:
    """The message classes in the type argument that ``cls`` gives to ``root``.

    Returns None while that argument is open, a type variable or ``Any``: the subclasses decide.
    """
    argument = _argument(cls, root, {})
    if argument is None:
        return None
    members = tuple(dict.fromkeys(_members(argument, cls)))
    return None if any(m is Any or isinstance(m, TypeVar) for m in members) else members


def _argument(cls: type, root: type, bound: Mapping[Any, Any]) -> Any:
    """Follow ``cls``'s bases up to ``root[X]`` and return X, with type variables replaced on the way."""
    for base in _bases(cls):
        origin = typing.get_origin(base) or base
        if not (isinstance(origin, type) and issubclass(origin, root)):
            continue
        arguments = tuple(_substitute(a, bound) for a in typing.get_args(base))
        if origin is root:
            return arguments[0] if arguments else None
        parameters = getattr(origin, "__parameters__", ())
        found = _argument(origin, root, dict(zip(parameters, arguments, strict=False)))
        if found is not None:
            return found
    return None


def _bases(cls: type) -> tuple[Any, ...]:
    found: tuple[Any, ...] = cls.__dict__.get("__orig_bases__", cls.__bases__)
    return found


def _substitute(argument: Any, bound: Mapping[Any, Any]) -> Any:
    if isinstance(argument, TypeVar):
        return bound.get(argument, argument)
    if _is_union(argument):
        return Union[tuple(_substitute(a, bound) for a in typing.get_args(argument))]  # noqa: UP007
    return argument


def _is_union(argument: Any) -> bool:
    return typing.get_origin(argument) in (Union, types.UnionType)


def _members(argument: Any, cls: type) -> Iterator[Any]:
    while hasattr(argument, "__value__"):  # PEP 695: type Alias = A | B
        argument = argument.__value__
    if _is_union(argument):
        for member in typing.get_args(argument):
            yield from _members(member, cls)
        return
    if argument is Any or isinstance(argument, TypeVar):
        yield argument
        return
    origin = typing.get_origin(argument) or argument
    if argument is typing.Never or argument is typing.NoReturn:
        return
    if not isinstance(origin, type):
        raise VocabularyError(
            f"{cls.__qualname__}: its vocabulary must be message classes or a union of them, got {argument!r}"
        )
    yield origin


def handlers(cls: type) -> dict[type, Handler]:
    """The handlers of a class by message type; a subclass's wins over its base's.

    Raises:
        VocabularyError: two methods of one class take the same message.
    """
    found: dict[type, Handler] = {}
    for base in reversed(cls.__mro__):
        here: dict[type, str] = {}
        for name, member in base.__dict__.items():
            for taken in getattr(member, MARK, ()):
                if taken in here:
                    raise VocabularyError(
                        f"{cls.__qualname__}: {here[taken]} and {name} both handle {taken.__qualname__}"
                    )
                here[taken] = name
                found[taken] = Handler(member, kind_of(member, taken, cls), name)
            _keep_overrides(found, name, member, cls)
    return found


def _keep_overrides(found: dict[type, Handler], name: str, member: Any, cls: type) -> None:
    """A method that overrides a handler without being marked again takes the same messages."""
    for taken, handler in list(found.items()):
        if handler.name == name and handler.function is not member and callable(member):
            found[taken] = Handler(member, kind_of(member, taken, cls), name)


def kind_of(function: Callable[..., Any], taken: type, cls: type) -> Kind:
    """How a handler is to be called, read off its signature.

    Raises:
        VocabularyError: it takes neither (self, message) nor (self, message, reply), or streams an answer to a
            message that is no StreamRequest, or takes a death notice.
    """
    where = f"{cls.__qualname__}.{getattr(function, '__name__', function)}"
    if taken in (Down, Exit, NodeUp, NodeLost, GroupChanged):
        raise VocabularyError(
            f"{where}: {taken.__qualname__} is no message; it arrives at a hook: down, exited, node_changed, group_changed"
        )
    positional = _positional(function)
    streams = _streams(function, taken)
    if positional not in (2, 3) or (streams and positional != 2):
        raise VocabularyError(f"{where} must take (self, message) or (self, message, reply)")
    if streams != (issubclass(taken, StreamRequest) and positional == 2):
        raise VocabularyError(
            f"{where}: an async generator answers a StreamRequest, and only that; {taken.__qualname__} is "
            + ("one: yield its items" if issubclass(taken, StreamRequest) else "none")
        )
    if streams:
        return Kind.STREAM
    if positional == 3 and not issubclass(taken, (Request, StreamRequest)):
        raise VocabularyError(
            f"{where}: {taken.__qualname__} is no Request, so it has no reply to defer"
        )
    asynchronous = inspect.iscoroutinefunction(function)
    return Kind(asynchronous + (Kind.DEFERRED if positional == 3 else Kind.SYNC))


def _streams(function: Callable[..., Any], taken: type) -> bool:
    """Whether it is an async generator function, or a plain one that a decorator has put around one."""
    if issubclass(taken, StreamRequest) and not inspect.iscoroutinefunction(function):
        function = inspect.unwrap(function)
    return inspect.isasyncgenfunction(function)


def _positional(function: Callable[..., Any]) -> int:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in parameters)


def check_cover(cls: type, spoken: tuple[type, ...], taken: Mapping[type, Handler]) -> None:
    """Check that handlers and vocabulary fit: every message has a handler, every handler a message.

    Raises:
        VocabularyError: names what is missing and what is foreign.
    """
    missing = [m.__qualname__ for m in spoken if not any(base in taken for base in m.__mro__)]
    foreign = [t.__qualname__ for t in taken if not any(_related(t, m) for m in spoken)]
    if missing:
        raise VocabularyError(f"{cls.__qualname__} has no handler for {', '.join(missing)}")
    if foreign:
        raise VocabularyError(
            f"{cls.__qualname__} handles {', '.join(foreign)}, which its vocabulary does not name"
        )


def _related(one: type, other: type) -> bool:
    return issubclass(one, other) or issubclass(other, one)


class HandlerTable(dict[type, tuple[Callable[..., Any], int]]):
    """Handlers by exact message type, as the dispatcher looks them up; a subclass is found once, then kept."""

    __slots__ = ()

    def find(self, cls: type) -> tuple[Callable[..., Any], int] | None:
        """The handler of a message class or of the nearest of its bases, remembered; None if there is none."""
        for base in cls.__mro__:
            entry = self.get(base)
            if entry is not None:
                self[cls] = entry
                return entry
        return None


def table_of(taken: Mapping[type, Handler]) -> HandlerTable:
    """The dispatcher's table of a class's handlers."""
    table = HandlerTable()
    for message, handler in taken.items():
        function, kind = handler.function, handler.kind
        if kind is Kind.SYNC:
            function, kind = awaiting(function, table), Kind.ASYNC
        table[message] = (function, int(kind))
    return table


def awaiting(function: Callable[..., Any], table: HandlerTable) -> Callable[..., Any]:
    """Call a plain function as if it were async, for it may stand for one that is and return its coroutine.

    That cannot be seen from outside. So what it returns is looked at: if the first time it is no awaitable, the table's
    entry becomes the function itself, and the dispatcher calls it as a plain one from then on. What a decorator has made
    may do now this and now that, and is looked at every time.
    """
    varies = not inspect.isfunction(function) or hasattr(function, "__wrapped__")

    async def awaited(actor: Any, message: Any) -> Any:
        nonlocal varies
        result = function(actor, message)
        if inspect.isawaitable(result):
            varies = True
            return await result
        if not varies:
            table[type(message)] = (function, int(Kind.SYNC))
        return result

    return awaited
