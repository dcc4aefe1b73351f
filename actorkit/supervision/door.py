"""How a supervisor is made, and the door to one that runs."""

from __future__ import annotations

from typing import Any, ParamSpec, TypeVar

import attrs

from actorkit.errors import ChildNotFound, SpecError, StartError
from actorkit.kernel.call import check_unfenced
from actorkit.kernel.ending import interrupt
from actorkit.kernel.exits import SHUTDOWN
from actorkit.kernel.ref import Ref
from actorkit.kernel.system import System
from actorkit.supervision.dynamic import DynamicMessage
from actorkit.supervision.requests import (
    ChildCounts,
    ChildInfo,
    CountChildren,
    DeleteChild,
    RestartChild,
    StartChild,
    SupervisorMessage,
    TerminateChild,
    WhichChildren,
)
from actorkit.supervision.spec import (
    AutoShutdown,
    Backoff,
    Child,
    Flags,
    Strategy,
    TreeProps,
    check_children,
)
from actorkit.supervision.supervisor import Supervisor
from actorkit.supervision.template import DynamicRef

M = TypeVar("M")
P = ParamSpec("P")


@attrs.frozen(slots=True)
class SupervisorProps(TreeProps[SupervisorMessage]):
    """How to make a supervisor; what ``supervise`` returns. Start it, or make it a child of another one."""

    async def start_on(self, system: System, name: str | None) -> SupervisorRef:
        """Start it at the top of a system."""
        return SupervisorRef(await system.spawn(self, name=name))


def supervise(
    *children: Child[Any],
    strategy: Strategy = "one_for_one",
    max_restarts: int = 3,
    within: float = 5.0,
    auto_shutdown: AutoShutdown = "never",
    backoff: Backoff | None = None,
) -> SupervisorProps:
    """Say how to make a supervisor.

    Args:
        children: in start order.
        strategy: who else is restarted with a child: nobody (``one_for_one``), all (``one_for_all``), or those started
            after it (``rest_for_one``).
        max_restarts: how many restarts are allowed ``within`` seconds; with one more the supervisor stops its children
            and ends with ``Shutdown``. A group restart counts once, every failed attempt counts once.
        within: seconds; both edges of the sliding window count.
        auto_shutdown: whether the end of any, or all, significant children ends the supervisor.
        backoff: how long to wait before restarts; None restarts at once.

    Raises:
        SpecError: a value is wrong; nothing was started.
    """
    flags = Flags(
        strategy=strategy,
        max_restarts=max_restarts,
        within=within,
        auto_shutdown=auto_shutdown,
        backoff=backoff,
    )
    check_children(flags, children)
    return SupervisorProps(Supervisor, (flags, children))


class SupervisorRef:
    """A running supervisor, and the door to its children. Its reference takes ``SupervisorMessage``."""

    __slots__ = ("ref",)

    def __init__(self, ref: Ref[SupervisorMessage]) -> None:
        self.ref = ref

    def __repr__(self) -> str:
        return f"SupervisorRef({self.ref.path})"

    @property
    def path(self) -> str:
        """Where the supervisor stands in the tree."""
        return self.ref.path

    def child(self, spec: Child[M], /) -> Ref[M]:
        """The lasting reference of a child, by its specification.

        Raises:
            ChildNotFound: the supervisor has no such child.
        """
        cell = self.ref._cell  # noqa: SLF001
        seat = cell.runtime.seats_of(cell).get(spec.id)
        if seat is None:
            raise ChildNotFound(self.path, spec.id)
        return seat.ref

    def supervisor(self, spec: Child[SupervisorMessage], /) -> SupervisorRef:
        """The door of a child that is a supervisor itself.

        Raises:
            ChildNotFound: the supervisor has no such child.
        """
        return SupervisorRef(self.child(spec))

    def dynamic(self, spec: Child[DynamicMessage[P, M]], /) -> DynamicRef[P, M]:
        """The door of a child that is a dynamic supervisor.

        Raises:
            ChildNotFound: the supervisor has no such child.
        """
        return DynamicRef(self.child(spec))

    async def start_child(self, spec: Child[M], /) -> Ref[M]:
        """Add a child and start it.

        Raises:
            AlreadyStarted: a child with this id runs. ChildPresent: it is there, but stopped.
            StartError: it could not be started; its specification is not kept.
            SpecError: it is significant, but nothing ever shuts down by itself here.
        """
        return _started(await self.ref.ask(StartChild(spec), timeout=None))

    async def restart_child(self, spec: Child[M] | str, /) -> Ref[M]:
        """Start a stopped child again; if that fails its specification is kept.

        Raises:
            ChildNotFound, ChildRunning, ChildRestarting: it is not there, or not stopped.
            StartError: it could not be started.
        """
        return _started(await self.ref.ask(RestartChild(_id(spec)), timeout=None))

    async def terminate_child(self, spec: Child[Any] | str, /) -> None:
        """Stop a child, and keep its specification unless it is temporary; a stopped child is fine.

        Raises:
            ChildNotFound: there is no such child.
        """
        await self.ref.ask(TerminateChild(_id(spec)), timeout=None)

    async def delete_child(self, spec: Child[Any] | str, /) -> None:
        """Drop the specification of a stopped child.

        Raises:
            ChildNotFound, ChildRunning, ChildRestarting: it is not there, or not stopped.
        """
        await self.ref.ask(DeleteChild(_id(spec)), timeout=None)

    async def which_children(self) -> tuple[ChildInfo, ...]:
        """List the children in start order."""
        return await self.ref.ask(WhichChildren(), timeout=None)

    async def count_children(self) -> ChildCounts:
        """Count the children."""
        return await self.ref.ask(CountChildren(), timeout=None)

    async def stop(self, *, timeout: float | None = None) -> None:
        """Stop the children in reverse order, then the supervisor, and wait until all are gone."""
        check_unfenced()
        # A child that does not get ready is no reason to wait.
        interrupt(self.ref._cell, SHUTDOWN)  # noqa: SLF001
        await self.ref.stop(SHUTDOWN, timeout=timeout)


def _started(outcome: Ref[Any] | StartError | SpecError) -> Ref[Any]:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _id(spec: Child[Any] | str) -> str:
    return spec if isinstance(spec, str) else spec.id
