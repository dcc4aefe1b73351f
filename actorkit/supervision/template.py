"""How a dynamic supervisor is made: the template of its children, and the door to one that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

import attrs

from actorkit.errors import SpecError, StartError
from actorkit.kernel.actor import Actor, props
from actorkit.kernel.call import check_unfenced
from actorkit.kernel.ending import interrupt
from actorkit.kernel.exits import SHUTDOWN
from actorkit.kernel.ref import Ref
from actorkit.kernel.system import System
from actorkit.supervision.dynamic import (
    CountDynamic,
    DynamicMessage,
    DynamicSupervisor,
    ListDynamic,
    StartDynamic,
    TerminateDynamic,
)
from actorkit.supervision.requests import ChildCounts
from actorkit.supervision.spec import Backoff, Child, Flags, Restart, TreeProps

M = TypeVar("M")
P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


class Template(Generic[P, M]):
    """What the children of a dynamic supervisor have in common, and what each start has to add.

    ``Template("tab", Tab, "crowns")`` gives the constructor of ``Tab`` its first argument; the others come with each
    ``start_child``, and type checkers check them there.

    Args:
        id: the stem of the children's ids; the first is ``tab-1``.
        cls: the actor class.
        first: the constructor's first arguments, three at most.
        restart: as in ``Child``.
        shutdown: as in ``Child``.
        start_timeout: as in ``Child``.

    Raises:
        SpecError: a value is wrong.
    """

    __slots__ = ("child",)

    @overload
    def __init__(
        self,
        id: str,
        cls: Callable[P, Actor[M]],
        /,
        *,
        restart: Restart = ...,
        shutdown: float | Literal["kill"] | None = ...,
        start_timeout: float | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        id: str,
        cls: Callable[Concatenate[A, P], Actor[M]],
        first: A,
        /,
        *,
        restart: Restart = ...,
        shutdown: float | Literal["kill"] | None = ...,
        start_timeout: float | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        id: str,
        cls: Callable[Concatenate[A, B, P], Actor[M]],
        first: A,
        second: B,
        /,
        *,
        restart: Restart = ...,
        shutdown: float | Literal["kill"] | None = ...,
        start_timeout: float | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        id: str,
        cls: Callable[Concatenate[A, B, C, P], Actor[M]],
        first: A,
        second: B,
        third: C,
        /,
        *,
        restart: Restart = ...,
        shutdown: float | Literal["kill"] | None = ...,
        start_timeout: float | None = ...,
    ) -> None: ...
    def __init__(self, id: str, cls: Callable[..., Actor[M]], /, *first: Any, **how: Any) -> None:  # noqa: A002
        self.child: Child[M] = Child(id, props(cls, *first), **how)

    def __repr__(self) -> str:
        return f"Template({self.child.id!r}, {self.child.props.cls.__qualname__})"


@attrs.frozen(slots=True)
class DynamicProps(TreeProps[DynamicMessage[P, M]], Generic[P, M]):
    """How to make a dynamic supervisor; what ``supervise_dynamic`` returns."""

    async def start_on(self, system: System, name: str | None) -> DynamicRef[P, M]:
        """Start it at the top of a system."""
        return DynamicRef(await system.spawn(self, name=name))


@overload
def supervise_dynamic(
    template: Template[P, M],
    /,
    *,
    max_restarts: int = ...,
    within: float = ...,
    backoff: Backoff | None = ...,
    max_children: int | None = ...,
) -> DynamicProps[P, M]: ...
@overload
def supervise_dynamic(
    template: Child[M],
    /,
    *,
    max_restarts: int = ...,
    within: float = ...,
    backoff: Backoff | None = ...,
    max_children: int | None = ...,
) -> DynamicProps[..., M]: ...
def supervise_dynamic(
    template: Any,
    /,
    *,
    max_restarts: int = 3,
    within: float = 5.0,
    backoff: Backoff | None = None,
    max_children: int | None = None,
) -> DynamicProps[..., Any]:
    """Say how to make a supervisor of many like children, none of which is started at first.

    Args:
        template: what all children have in common; its id is the stem of theirs. With a ``Template`` type checkers check
            what each start adds; a ``Child`` will do, and then they do not.
        max_restarts: how many restarts, of all children together, are allowed ``within`` seconds.
        within: seconds; both edges of the sliding window count.
        backoff: how long to wait before restarts; None restarts at once.
        max_children: how many children there may be; None for any number.

    Raises:
        SpecError: a value is wrong.
    """
    flags = Flags(max_restarts=max_restarts, within=within, backoff=backoff)
    child = template.child if isinstance(template, Template) else template
    if not isinstance(child, Child):
        raise SpecError(
            f"supervise_dynamic() takes a template, a Template or a Child, got {template!r}"
        )
    if child.significant:
        raise SpecError("a dynamic supervisor's template is not significant")
    if child.name is not None:
        raise SpecError(
            f"a template has no name, for only one of its children could hold it; got {child.name!r}"
        )
    if max_children is not None and (type(max_children) is not int or max_children < 1):
        raise SpecError(f"max_children is a number from 1 up, or None, got {max_children!r}")
    return DynamicProps(DynamicSupervisor, (flags, child, max_children))


class DynamicRef(Generic[P, M]):
    """A running dynamic supervisor whose children take messages of ``M``, and are started with arguments ``P``.

    In an annotation ``DynamicRef[..., M]`` means one with any arguments.
    """

    __slots__ = ("ref",)

    def __init__(self, ref: Ref[DynamicMessage[P, M]]) -> None:
        self.ref = ref

    def __repr__(self) -> str:
        return f"DynamicRef({self.ref.path})"

    @property
    def path(self) -> str:
        """Where the supervisor stands in the tree."""
        return self.ref.path

    async def start_child(self, *args: P.args, **kwargs: P.kwargs) -> Ref[M]:
        """Start a child with these arguments added to the template's; its reference survives its restarts.

        Raises:
            TooManyChildren: there are ``max_children`` already.
            StartError: it could not be started; nothing of it is kept.
        """
        request: StartDynamic[P, M] = StartDynamic(args, kwargs)
        outcome = await self.ref.ask(request, timeout=None)
        if isinstance(outcome, StartError):
            raise outcome
        return outcome

    async def terminate_child(self, ref: Ref[M], /) -> None:
        """Stop a child and forget it.

        Raises:
            ChildNotFound: it is not, or no longer, a child of this supervisor.
        """
        await self.ref.ask(TerminateDynamic(ref), timeout=None)

    async def which_children(self) -> tuple[Ref[M], ...]:
        """List the children that run, oldest first."""
        return await self.ref.ask(ListDynamic(), timeout=None)

    async def count_children(self) -> ChildCounts:
        """Count the children; one that is being restarted is a specification, but not active."""
        return await self.ref.ask(CountDynamic(), timeout=None)

    async def stop(self, *, timeout: float | None = None) -> None:
        """Stop all children and the supervisor, and wait until they are gone."""
        check_unfenced()
        # A child that does not get ready is no reason to wait.
        interrupt(self.ref._cell, SHUTDOWN)  # noqa: SLF001
        await self.ref.stop(SHUTDOWN, timeout=timeout)
