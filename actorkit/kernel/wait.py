"""How one actor, or one trio task, is suspended until the kernel resumes it.

An actor whose handler stands directly on its carrier yields ``PARK``: the dispatcher puts the cell aside with its
coroutine, and no trio task is switched. Anything else - a plain trio task, or a handler inside a nursery or a cancel
scope - waits on trio. Which of the two applies is decided here, in one place.
"""

from __future__ import annotations

import contextvars
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, ClassVar

import trio

from actorkit.errors import CircularAsk

if TYPE_CHECKING:
    from actorkit.kernel.cell import Cell


class Sentinel:
    """What an actor's coroutine yields to the dispatcher instead of a trio trap."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


PARK = Sentinel("PARK")


class Carrier:
    """A trio task that runs cells: its task, its cancel scope, and that scope's status as trio keeps it."""

    __slots__ = ("base", "scope", "task")

    def __init__(self, task: trio.lowlevel.Task | None, scope: trio.CancelScope | None) -> None:
        self.task = task
        self.scope = scope
        # The one private name of trio we read. If a trio without it comes, every wait takes the slow path
        # (``base`` is then something no task has), and tests/kernel/test_direct_waits.py says so.
        self.base: object = getattr(task, "_cancel_status", self)


NOBODY = Carrier(None, None)


class Work:
    """Where background work of an actor runs: it belongs to the actor, but is not inside one of its handlers."""

    __slots__ = ("carrier", "cell")

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.carrier = NOBODY


CURRENT: contextvars.ContextVar[Any] = contextvars.ContextVar("actorkit_current", default=None)

# Origins (cells or background work) that were declared dead while their code was still unwinding.
# Whatever they still try to send is fenced off.
ZOMBIES: set[Any] = set()


class ActorExit(BaseException):
    """Thrown into the handler of an actor that must end now; ``finally`` blocks run, awaits in them fail."""


def direct_cell() -> Cell | None:
    """The cell whose handler stands directly on its carrier at this moment, if that is what called."""
    me = CURRENT.get()
    if me is not None:
        carrier = me.carrier
        task = trio.lowlevel.current_task()
        try:
            if task is carrier.task and task._cancel_status is carrier.base:
                found: Cell = me
                return found
        except AttributeError:  # a trio without it: every wait is one of trio's
            return None
    return None


class Wait:
    """One suspended actor or task. It is resolved or failed once; whatever comes later is refused.

    ``target`` is the cell that is waited for, if there is one: the edges of the wait-for graph in which circular asks
    are found.
    """

    __slots__ = ("cell", "done", "error", "target", "task", "value")

    until_ready: ClassVar[bool] = False  # or until the end, if it waits for either

    def __init__(self, cell: Cell | None, target: Cell | None) -> None:
        self.done = False
        self.cell = cell
        self.task: trio.lowlevel.Task | None = None
        self.target = target
        self.error: BaseException | None = None
        self.value: Any = None

    def resolve(self, value: Any) -> bool:
        """Resume the waiter with a value; tells whether it was still waiting."""
        if self.done:
            return False
        self.done = True
        self.value = value
        self._resume()
        return True

    def fail(self, error: BaseException) -> bool:
        """Resume the waiter by raising an error there; tells whether it was still waiting."""
        if self.done:
            return False
        self.done = True
        self.error = error
        self._resume()
        return True

    def expire(self) -> None:
        """The time-out of this wait has come; waits with a time-out say what that means."""
        raise NotImplementedError

    def _resume(self) -> None:
        cell = self.cell
        if cell is not None:
            cell.waiting = None
            cell.push(cell)
        elif self.task is not None:
            task, self.task = self.task, None
            trio.lowlevel.reschedule(task)

    def __await__(self) -> Generator[Any, Any, Any]:
        if not self.done:
            cell = self.cell
            if cell is not None:
                cell.waiting = self
                yield PARK
            else:
                yield from self._on_trio().__await__()
        if self.error is not None:
            raise self.error
        value, self.value = self.value, None  # a lane of time-outs may hold on to this for a while
        return value

    async def _on_trio(self) -> None:
        me = CURRENT.get()
        if me is not None and type(me) is not Work:  # background work is cancelled by its scope
            try:
                me.check_alive(me)
            except ActorExit:
                self._abort(None)
                raise
        self.task = trio.lowlevel.current_task()
        with _scoped(self):
            await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: Any) -> trio.lowlevel.Abort:
        self.done = True
        self.task = None
        self.cancelled()
        return trio.lowlevel.Abort.SUCCEEDED

    def cancelled(self) -> None:
        """The waiter was cancelled; waits that stand in a queue leave it here."""

    def let_go(self, reason: Any) -> None:
        """The waiter was asked to end; what could hold that up for ever is broken off here."""


class _scoped:  # noqa: N801 - a context manager used like a function, cheaper than a generator
    """Notes a wait that happens inside a handler's own nursery or cancel scope, for the wait-for graph."""

    __slots__ = ("cell", "wait")

    def __init__(self, wait: Wait) -> None:
        self.cell = origin()
        self.wait = wait

    def __enter__(self) -> None:
        cell = self.cell
        if cell is not None:
            if type(cell.waiting) is not list:
                cell.waiting = []
            cell.waiting.append(self.wait)

    def __exit__(self, *_: object) -> None:
        cell = self.cell
        if cell is not None and type(cell.waiting) is list:
            if self.wait in cell.waiting:
                cell.waiting.remove(self.wait)
            if not cell.waiting:
                cell.waiting = None


def circle(me: Cell, target: Cell) -> tuple[Cell, ...] | None:
    """The cells that would wait for each other if ``me`` waited for ``target``; None if there is no circle."""
    came_from: dict[Cell, Cell] = {target: me}
    rest = [target]
    while rest:
        cell = rest.pop()
        if cell is me:
            return _trail(me, came_from)
        for wait in _waits_of(cell):
            if not wait.done and wait.target is not None and wait.target not in came_from:
                came_from[wait.target] = cell
                rest.append(wait.target)
    return None


def origin() -> Cell | None:
    """The cell whose handler is calling, directly or from a nursery inside it.

    None for background work, and for a task that a handler has left in somebody else's nursery: the actor does not wait
    for either.
    """
    me: Cell | Work | None = CURRENT.get()
    if me is None or isinstance(me, Work):
        return None
    own = me.pinned or me.carrier.task is trio.lowlevel.current_task()
    return me if own else None


def check_circle(me: Cell | None, target: Cell) -> None:
    """Refuse to let ``me`` wait for ``target`` if that would be for ever.

    Raises:
        CircularAsk: ``target`` waits, directly or not, for ``me``.
    """
    if me is not None:
        found = circle(me, target)
        if found is not None:
            raise CircularAsk(tuple(cell.path for cell in found))


def _trail(me: Cell, came_from: dict[Cell, Cell]) -> tuple[Cell, ...]:
    """The circle from ``me`` back to ``me``."""
    trail = [me]
    while len(trail) == 1 or trail[-1] is not me:
        trail.append(came_from[trail[-1]])
    return tuple(reversed(trail))


def _waits_of(cell: Cell) -> list[Wait]:
    waiting = cell.waiting
    if waiting is None:
        return []
    return waiting if isinstance(waiting, list) else [waiting]
