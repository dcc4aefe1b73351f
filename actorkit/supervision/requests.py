"""What can be asked of a supervisor: the requests and what they are answered with."""

from __future__ import annotations

from typing import Any

import attrs

from actorkit.errors import SpecError, StartError
from actorkit.kernel.message import Request, message
from actorkit.kernel.ref import Ref
from actorkit.supervision.plan import ChildStatus
from actorkit.supervision.spec import Child


@attrs.frozen(slots=True)
class ChildInfo:
    """One child as ``which_children`` lists it; ``ref`` is its lasting reference."""

    id: str
    ref: Ref[Any]
    status: ChildStatus
    restart: str
    supervisor: bool


@attrs.frozen(slots=True)
class ChildCounts:
    """How many children there are: specifications, running ones, supervisors and workers among the specifications."""

    specs: int
    active: int
    supervisors: int
    workers: int


@message
class StartChild(Request[Ref[Any] | StartError | SpecError]):
    """Add a child and start it; a failing start keeps no specification."""

    child: Child[Any]


@message
class TerminateChild(Request[None]):
    """Stop a child and keep its specification, unless it is temporary."""

    id: str


@message
class RestartChild(Request[Ref[Any] | StartError]):
    """Start a stopped child again; a failing start keeps the specification."""

    id: str


@message
class DeleteChild(Request[None]):
    """Drop the specification of a stopped child."""

    id: str


@message
class WhichChildren(Request[tuple[ChildInfo, ...]]):
    """List the children in start order."""


@message
class CountChildren(Request[ChildCounts]):
    """Count the children."""


@message
class RetryChild:
    """The moment to retry a failed restart; a supervisor tells itself."""

    id: str
    ticket: int


SupervisorMessage = (
    StartChild
    | TerminateChild
    | RestartChild
    | DeleteChild
    | WhichChildren
    | CountChildren
    | RetryChild
)
