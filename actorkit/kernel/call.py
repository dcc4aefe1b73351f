"""Requests in flight: what travels to the callee's mailbox, and the ends that answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from actorkit.errors import ActorDied, AskError, AskTimeout, Refused
from actorkit.kernel.exits import NO_ACTOR
from actorkit.kernel.wait import CURRENT, ZOMBIES, Wait, Work

if TYPE_CHECKING:
    from actorkit.kernel.cell import Cell
    from actorkit.kernel.exits import ExitReason

R = TypeVar("R")


class Call(Wait):
    """One ask: the asker's wait, with the message it waits for an answer to."""

    __slots__ = ("message", "seconds")

    target: Cell | None

    def __init__(self, message: Any, cell: Cell | None, target: Cell) -> None:
        self.done = False
        self.cell = cell
        self.task = None
        self.target = target
        self.error = None
        self.value = None
        self.message = message
        self.seconds: float | None = None

    def expire(self) -> None:
        """Nobody answered in time."""
        target = self.target_path
        self.fail(AskTimeout(target, type(self.message).__qualname__, self.seconds or 0.0))
        if self.target is not None:
            self.target.given_up(self)

    def cancelled(self) -> None:
        """The asker waits no more."""
        if self.target is not None:
            self.target.given_up(self)

    @property
    def target_path(self) -> str:
        """The path of the actor that was asked."""
        path: str = self.target.path if self.target is not None else self.value or "the actor"
        return path

    def refuse(self, error: AskError) -> bool:
        """Answer with an error that leaves the callee alive."""
        return self.fail(error)


class Reply(Generic[R]):
    """The right to answer one request later, from any task or actor of this node.

    A handler that takes a third parameter gets it: ``def buy(self, msg: Buy, reply: Reply[Receipt])``. The actor goes on
    with other messages meanwhile. Answer once; later answers are dropped and counted. If the actor dies first, the
    asker gets ``ActorDied``.
    """

    __slots__ = ("_call", "_owner")

    def __init__(self, call: Call | None, owner: Cell) -> None:
        self._call = call
        self._owner = owner

    @property
    def wanted(self) -> bool:
        """Whether the asker still waits: False once answered, timed out or cancelled, or if nobody asked."""
        return self._call is not None and not self._call.done

    def send(self, value: R) -> bool:
        """Answer; tells whether the asker still waited."""
        return self._settle(lambda call: call.resolve(value), value)

    def refuse(self, error: Refused) -> bool:
        """Answer with an expected error, which is raised at the asker; tells whether it still waited."""
        return self._settle(lambda call: call.refuse(error), error)

    def _settle(self, answer: Any, value: object) -> bool:
        call = self._call
        if call is None:
            return False
        fenced = self._owner.fenced()  # then the asker is told of the death
        if not fenced:
            self._owner.forget_deferred(call)
        if fenced or not answer(call):
            self._owner.runtime.late_reply(self._owner, value)
            return False
        return True


def check_unfenced() -> None:
    """Let code of an actor that was declared dead begin nothing new.

    Raises:
        ActorDied: the code that runs at this moment belongs to such an actor.
    """
    origin = CURRENT.get() if ZOMBIES else None
    if origin in ZOMBIES:
        cell = cast("Cell", origin.cell if isinstance(origin, Work) else origin)
        raise died(cell.path, cell.reason or cell.doomed or NO_ACTOR)


def died(path: str, reason: ExitReason) -> ActorDied:
    """The error an asker gets when the callee is gone, chained to the exception that killed it if known."""
    error = ActorDied(path, reason)
    error.__cause__ = getattr(reason, "cause", None)
    told = getattr(reason, "traceback", "")
    if told:
        error.add_note(f"the traceback there was:\n{told}")
    return error
