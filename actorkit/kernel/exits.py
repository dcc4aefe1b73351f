"""Why actors end, and the notices others get of it.

The reasons are OTP's: ``normal``, ``shutdown``, ``{shutdown, Term}``, an error with its stack, ``killed``,
``noproc`` and ``noconnection``. They are values: they can be compared, logged and sent to other nodes, so a
crash keeps its traceback as text.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import attrs

from actorkit.kernel.message import encodable, error_text

if TYPE_CHECKING:
    from actorkit.kernel.address import Address
    from actorkit.kernel.ref import Ref

_TRACEBACK_CHARS = 16_000
_MESSAGE_CHARS = 2_000
_CAUSES = 8  # each death may be the cause of the next: a chain of actors must not grow without end


@attrs.frozen(slots=True)
class Normal:
    """The actor had nothing more to do."""

    def __str__(self) -> str:
        return "normal"


@attrs.frozen(slots=True)
class Shutdown:
    """The actor was asked to end, or ended in good order for the reason in ``detail``."""

    detail: str = ""

    def __str__(self) -> str:
        return f"shutdown ({self.detail})" if self.detail else "shutdown"


@attrs.frozen(slots=True)
class Failed:
    """The actor ended abnormally for a reason given in words, with no exception involved (``exit/1``)."""

    detail: str

    def __str__(self) -> str:
        return f"failed ({self.detail})"


@attrs.frozen(slots=True)
class Crashed:
    """An exception left one of the actor's handlers or hooks.

    Attributes:
        error: the exception's type, with its module.
        message: ``str()`` of the exception; at most 2,000 characters.
        traceback: the formatted traceback, the innermost frames last; at most 16,000 characters.
        handling: the message that was being handled, as text, shortened; empty if none was.
        cause: the exception itself, without its traceback and with its nearest causes only; absent when the crash was
            on another node.
    """

    error: str
    message: str = ""
    traceback: str = attrs.field(default="", repr=False, eq=False)
    handling: str = attrs.field(default="", eq=False)
    cause: BaseException | None = attrs.field(default=None, repr=False, eq=False)

    def __str__(self) -> str:
        told = f": {self.message}" if self.message else ""
        return f"crashed ({self.error}{told})"

    @classmethod
    def of(cls, error: BaseException, handling: str = "") -> Crashed:
        """Make a value of an exception; its frames are formatted now and then let go."""
        text = encodable("".join(traceback.format_exception(error)))
        if len(text) > _TRACEBACK_CHARS:
            text = "... " + text[4 - _TRACEBACK_CHARS :]
        message = error_text(error)
        if len(message) > _MESSAGE_CHARS:
            message = f"{message[: _MESSAGE_CHARS - 1]}…"
        kind = type(error)
        name = kind.__qualname__
        if kind.__module__ not in ("builtins", "__main__"):
            name = f"{kind.__module__}.{name}"
        return cls(name, message, text, encodable(handling), _without_frames(error))


@attrs.frozen(slots=True)
class Killed:
    """The actor was killed, which it cannot refuse."""

    def __str__(self) -> str:
        return "killed"


@attrs.frozen(slots=True)
class NoActor:
    """There was no such actor when it was linked, watched or asked (``noproc``)."""

    def __str__(self) -> str:
        return "no such actor"


@attrs.frozen(slots=True)
class NoConnection:
    """The connection to the actor's node was lost; the actor may live on."""

    def __str__(self) -> str:
        return "no connection"


ExitReason = Normal | Shutdown | Failed | Crashed | Killed | NoActor | NoConnection

NORMAL = Normal()
SHUTDOWN = Shutdown()
KILLED = Killed()
NO_ACTOR = NoActor()
NO_CONNECTION = NoConnection()


def orderly(reason: ExitReason) -> bool:
    """Tell whether an actor ended in good order: a transient child is then not restarted."""
    return isinstance(reason, (Normal, Shutdown))


def _without_frames(error: BaseException) -> BaseException:
    """Drop the tracebacks of an exception and of what it came from, so a dead actor's frames are freed."""
    seen: set[int] = set()
    rest: list[tuple[BaseException, int]] = [(error, 0)]
    while rest:
        one, depth = rest.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = None
        if depth:  # the formatted text has its notes already
            one.__dict__.pop("__notes__", None)
        if depth == _CAUSES:
            one.__cause__ = one.__context__ = None
        rest.extend((e, depth + 1) for e in (one.__cause__, one.__context__) if e is not None)
        if isinstance(one, BaseExceptionGroup):
            rest.extend((e, depth) for e in one.exceptions)
    return error


@attrs.frozen(slots=True)
class Monitor:
    """The handle of one ``watch``; it fires at most once."""

    serial: int


@attrs.frozen(slots=True)
class Down:
    """A watched actor is gone.

    Attributes:
        monitor: what ``watch`` returned.
        ref: a reference to the actor that was watched.
        address: the incarnation that died; None if there was none to watch.
        reason: why; ``NoActor`` if it was gone before it was watched.
        name: the name it was watched by, if it was watched by name.
    """

    monitor: Monitor
    ref: Ref[Any]
    address: Address | None
    reason: ExitReason
    name: str | None = None


@attrs.frozen(slots=True)
class Exit:
    """An exit signal that an actor with ``trap_exits`` received as a message.

    Attributes:
        ref: the actor the signal came from.
        address: the incarnation that sent it.
        reason: its exit reason.
        linked: True if it came over a link, False if ``ctx.exit`` sent it.
    """

    ref: Ref[Any]
    address: Address | None
    reason: ExitReason
    linked: bool = True
