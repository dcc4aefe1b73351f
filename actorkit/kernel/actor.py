"""What users subclass: ``Actor[M]``, the ``on`` decorator, and ``props``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from types import FunctionType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    Union,
    cast,
    get_origin,
    overload,
)

import attrs
from trio.lowlevel import disable_ki_protection

from actorkit.errors import VocabularyError
from actorkit.kernel.call import Reply
from actorkit.kernel.context import Context
from actorkit.kernel.exits import Down, Exit, ExitReason
from actorkit.kernel.mailbox import Mailbox
from actorkit.kernel.message import AskOf, StreamOf
from actorkit.kernel.notices import GroupChanged, NodeLost, NodeUp
from actorkit.kernel.stream import ReplyStream
from actorkit.kernel.vocabulary import (
    MARK,
    HandlerTable,
    check_cover,
    handlers,
    table_of,
    vocabulary,
)

if TYPE_CHECKING:
    from actorkit.kernel.cell import Cell

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")
T = TypeVar("T")
S = TypeVar("S")
P = ParamSpec("P")


_unfinished: list[type[Actor[Any]]] | None = None


@contextmanager
def shipped_classes() -> Generator[None]:
    """While actor classes are unpickled by value: they are checked when all is there that belongs to them.

    Raises:
        VocabularyError: a class and its messages do not fit together.
    """
    global _unfinished
    before, _unfinished = _unfinished, []
    try:
        yield
    finally:
        made, _unfinished = _unfinished, before
    for cls in made:
        if (
            "__actorkit_table__" in cls.__dict__
        ):  # else it was known here already, and this is a mould thrown away
            cls.__actorkit_finish__()


class Actor(Generic[M_contra]):
    """One thing with a state of its own, that handles messages of the vocabulary ``M`` one at a time.

    Subclass it with the union of its messages, and mark one method per message with ``@on``. A class whose handlers do
    not cover its vocabulary, or exceed it, is a ``VocabularyError`` when it is created.

    Attributes:
        mailbox: capacity and overflow policy; set it on the class.
        trap_exits: whether exit signals arrive at ``exited`` instead of ending the actor; set it on the class.
        ctx: what the actor may do: tell its own reference, spawn, watch, link, set timers, stop.
    """

    mailbox: ClassVar[Mailbox] = Mailbox()
    trap_exits: ClassVar[bool] = False
    ctx: Context[M_contra]

    __actorkit_table__: ClassVar[HandlerTable] = HandlerTable()
    __actorkit_stops__: ClassVar[bool] = False
    __actorkit_vocabulary__: ClassVar[tuple[type, ...] | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if _unfinished is not None:  # a class that is being unpickled gets its methods later
            _unfinished.append(cls)
        else:
            cls.__actorkit_finish__()

    @classmethod
    def __actorkit_finish__(cls) -> None:
        taken = handlers(cls)
        spoken = vocabulary(cls, Actor)
        if spoken is not None:
            check_cover(cls, spoken, taken)
        cls.__actorkit_vocabulary__ = spoken
        cls.__actorkit_table__ = table_of(taken)
        cls.__actorkit_stops__ = cls.stopping is not Actor.stopping
        for handler in taken.values():
            open_to_interrupts(handler.function)
        for function, _ in cls.__actorkit_table__.values():
            open_to_interrupts(function)
        for hook in _HOOKS:
            open_to_interrupts(cls.__dict__.get(hook))

    def started(self) -> Awaitable[None] | None:
        """Called before the first message; may be async. The spawner waits for it.

        If it raises, the actor never was: the spawner gets ``StartFailed``. Raise ``Ignore`` to decline to run.
        """
        return None

    def stopping(self, reason: ExitReason, /) -> Awaitable[None] | None:
        """Called when the actor ends, unless it is killed or dies of an exit signal; may be async.

        If it raises, that becomes the exit reason.
        """
        return None

    def down(self, down: Down, /) -> Awaitable[None] | None:
        """An actor watched with ``ctx.watch`` is gone; may be async."""
        return None

    def exited(self, signal: Exit, /) -> Awaitable[None] | None:
        """An exit signal came, and ``trap_exits`` is set; may be async."""
        return None

    def node_changed(self, notice: NodeUp | NodeLost, /) -> Awaitable[None] | None:
        """A node came up or is lost, and ``ctx.monitor_nodes`` asked to hear of it; may be async."""
        return None

    def group_changed(self, notice: GroupChanged, /) -> Awaitable[None] | None:
        """Actors joined or left a process group that ``ctx.watch_group`` watches; may be async."""
        return None

    def describe(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """What status queries and crash reports show of the state: override it to hide secrets.

        Args:
            state: the actor's attributes by name; a copy.
        """
        return state


_HOOKS = (
    "__init__",
    "started",
    "stopping",
    "down",
    "exited",
    "node_changed",
    "group_changed",
    "describe",
)


def open_to_interrupts(function: object) -> None:
    """Let Ctrl-C interrupt a user's function, loops that never await included, though the kernel that calls it is closed.

    What trio looks at is the innermost marked frame: a handler is open, ``Ref.tell`` within it is closed again.
    """
    if isinstance(function, FunctionType):
        disable_ki_protection(function)


class Handling(Protocol[M, R]):
    """What ``on(Request class)`` returns: it accepts a handler that answers with the request's reply type."""

    @overload
    def __call__(
        self, handler: Callable[[S, M], Awaitable[R]], /
    ) -> Callable[[S, M], Awaitable[R]]: ...
    @overload
    def __call__(self, handler: Callable[[S, M], R], /) -> Callable[[S, M], R]: ...
    @overload
    def __call__(
        self, handler: Callable[[S, M, Reply[R]], Awaitable[None]], /
    ) -> Callable[[S, M, Reply[R]], Awaitable[None]]: ...
    @overload
    def __call__(
        self, handler: Callable[[S, M, Reply[R]], None], /
    ) -> Callable[[S, M, Reply[R]], None]: ...


class Streaming(Protocol[M, T]):
    """What ``on(StreamRequest class)`` returns: it accepts an async generator of the stream's items."""

    @overload
    def __call__(
        self, handler: Callable[[S, M], AsyncIterator[T]], /
    ) -> Callable[[S, M], AsyncIterator[T]]: ...
    @overload
    def __call__(
        self, handler: Callable[[S, M, ReplyStream[T]], Awaitable[None]], /
    ) -> Callable[[S, M, ReplyStream[T]], Awaitable[None]]: ...
    @overload
    def __call__(
        self, handler: Callable[[S, M, ReplyStream[T]], None], /
    ) -> Callable[[S, M, ReplyStream[T]], None]: ...


class Telling(Protocol[M]):
    """What ``on(plain message class)`` returns: it accepts a handler that answers nothing."""

    @overload
    def __call__(
        self, handler: Callable[[S, M], Awaitable[None]], /
    ) -> Callable[[S, M], Awaitable[None]]: ...
    @overload
    def __call__(self, handler: Callable[[S, M], None], /) -> Callable[[S, M], None]: ...


@overload
def on(taken: Callable[..., AskOf[M, R]], /) -> Handling[M, R]: ...  # type: ignore[overload-overlap]
@overload
def on(taken: Callable[..., StreamOf[M, T]], /) -> Streaming[M, T]: ...  # type: ignore[overload-overlap]
@overload
def on(taken: type[M], /) -> Telling[M]: ...
def on(taken: Any, /) -> Any:
    """Mark a method as the handler of a message class; type checkers check its parameter and its reply.

    The method may be sync or async. An awaitable that a plain method returns is awaited, so a decorator need not be
    async; a method without a decorator returns one always or never. With a third parameter it gets a ``Reply`` and may
    answer later. For a ``StreamRequest`` it is an async generator, or takes a ``ReplyStream``.

    Args:
        taken: the class; of a generic one also ``Put[int]``, which says more to type checkers and the same to actors.

    Raises:
        VocabularyError: the argument is not a class.
    """
    if not isinstance(taken, type):
        taken = _generic_class(taken)
    if not isinstance(taken, type):
        raise VocabularyError(f"on() takes a message class, got {taken!r}")

    def mark(handler: Any) -> Any:
        if not callable(handler):
            raise VocabularyError(f"@on({taken.__qualname__}) marks a method, got {handler!r}")
        setattr(handler, MARK, (*getattr(handler, MARK, ()), taken))
        return handler

    return mark


def _generic_class(taken: Any) -> Any:
    """The class behind ``Put[int]``; anything else as it is, unions too."""
    origin = get_origin(taken)
    return taken if origin in (Union, UnionType, None) else origin


@attrs.frozen(slots=True)
class Props(Generic[M_contra]):
    """How to make an actor: its class and its constructor's arguments. Make one with ``props``."""

    shutdown_limit: ClassVar[float | None] = 5.0

    cls: type[Actor[Any]]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = attrs.field(factory=dict)

    def build(self, cell: Cell) -> Actor[Any]:
        """Construct the actor; its context is there before its constructor runs."""
        actor = self.cls.__new__(self.cls)
        actor.ctx = Context(cell)
        actor.__init__(*self.args, **self.kwargs)  # type: ignore[misc]
        return actor

    def with_arguments(self, *args: Any, **kwargs: Any) -> Props[M_contra]:
        """The same with arguments added."""
        return attrs.evolve(self, args=(*self.args, *args), kwargs={**self.kwargs, **kwargs})


def props(cls: Callable[P, Actor[M]], /, *args: P.args, **kwargs: P.kwargs) -> Props[M]:
    """Say how to make an actor: ``props(Account, opening=100)``. Type checkers check the arguments.

    Raises:
        TypeError: ``cls`` is not an actor class, or is generic with its vocabulary still open and no handlers.
    """
    made = cast(Any, cls)
    made = getattr(made, "__origin__", made)
    if not (isinstance(made, type) and issubclass(made, Actor)):
        raise TypeError(
            f"props() takes an Actor class and its constructor's arguments, got {cls!r}"
        )
    return Props(made, args, kwargs)
