"""Looking into an actor while it runs, as OTP's ``sys`` does: state, status, suspend, resume, statistics.

An inspection travels through the mailbox like any message, so it is also a barrier: whatever the same sender sent before has
been handled when it answers. A suspended actor still answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from actorkit.errors import CallbackFailed
from actorkit.kernel.address import Address
from actorkit.kernel.message import error_text
from actorkit.kernel.wait import Wait

if TYPE_CHECKING:
    from actorkit.kernel.cell import Cell


@attrs.frozen(slots=True)
class Suspend:
    """A control message: handle no messages until resumed."""


@attrs.frozen(slots=True)
class Resume:
    """A control message: handle messages again."""


@attrs.frozen(slots=True)
class Statistics:
    """Counts of one actor.

    Attributes:
        handled: messages handled since it started.
        waiting: messages in its mailbox.
        uptime: seconds since it became ready.
    """

    handled: int
    waiting: int
    uptime: float


@attrs.frozen(slots=True)
class Status:
    """What an actor is doing, for people and tools.

    Attributes:
        path: where it stands in the tree.
        address: this incarnation.
        actor: the name of its class.
        state: ``starting``, ``running``, ``suspended``, ``stopping`` or ``dead``.
        parent: the path of the actor that started it; None for a top-level actor.
        name: the name it is registered by, if any.
        links: the paths of the actors it is linked to.
        monitors: the paths of the actors it watches, once per monitor.
        monitored_by: the paths of those that watch it, once per monitor.
        statistics: its counts.
        recent: the types of the last messages and signals it took, oldest first.
        details: its state as its ``describe`` hook shows it.
    """

    path: str
    address: Address
    actor: str
    state: str
    parent: str | None
    name: str | None
    links: tuple[str, ...]
    monitors: tuple[str, ...]
    monitored_by: tuple[str, ...]
    statistics: Statistics
    recent: tuple[str, ...]
    details: Mapping[str, Any]


class Inspection(Wait):
    """A question to an actor, answered on its own turn by a function of its cell."""

    __slots__ = ("ask",)
    __actorkit_signal__ = True

    def __init__(self, cell: Cell | None, target: Cell, ask: Callable[[Cell], Any]) -> None:
        super().__init__(cell, target)
        self.ask = ask

    def carry_out(self, cell: Cell) -> None:
        """Answer on the actor's turn; a failing question harms only the one who asked it."""
        try:
            value = self.ask(cell)
        except Exception as error:  # noqa: BLE001 - belongs to the one who asked, not to the actor
            self.fail(CallbackFailed(cell.path, f"{type(error).__name__}: {error_text(error)}"))
        else:
            self.resolve(value)


def state_of(cell: Cell) -> dict[str, Any]:
    """The actor's attributes, without its context: a shallow copy."""
    return {name: value for name, value in vars(cell.actor).items() if name != "ctx"}


def details_of(cell: Cell) -> Mapping[str, Any]:
    """The actor's state as its ``describe`` hook shows it; a placeholder if the hook fails."""
    if cell.actor is None:
        return {}
    try:
        return {str(name): value for name, value in cell.actor.describe(state_of(cell)).items()}
    except Exception as error:  # noqa: BLE001 - a formatter of user code must not harm the actor
        return {"<describe failed>": f"{type(error).__name__}: {error_text(error)}"}


def statistics_of(cell: Cell) -> Statistics:
    """The actor's counts."""
    uptime = cell.runtime.clock.now() - cell.started_at if cell.ready else 0.0
    return Statistics(cell.messages_handled, cell.waiting_mail, uptime)


def status_of(cell: Cell) -> Status:
    """The actor's status; can be taken at any moment, by anyone on the node."""
    relations = cell.runtime.relations
    return Status(
        path=cell.path,
        address=cell.address,
        actor=cell.props.cls.__qualname__,
        state="suspended" if cell.suspended else cell.state.name.lower(),
        parent=cell.parent.path if cell.parent is not None else None,
        name=cell.key,
        links=tuple(c.path for c in relations.linked(cell)),
        monitors=tuple(c.path for c in relations.watching(cell)),
        monitored_by=tuple(c.path for c in relations.watched_by(cell)),
        statistics=statistics_of(cell),
        recent=cell.recent(),
        details=details_of(cell),
    )


def replace_state(
    cell: Cell, change: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Replace the actor's attributes by what ``change`` makes of them; unchanged if it raises."""
    state = dict(change(state_of(cell)))
    attributes = vars(cell.actor)
    context = attributes["ctx"]
    attributes.clear()
    attributes.update(state)
    attributes["ctx"] = context
    return state


@attrs.frozen(slots=True)
class Branch:
    """One actor in ``system.tree()``, with those it started, in start order."""

    path: str
    actor: str
    state: str
    handled: int
    waiting: int
    children: tuple[Branch, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, indent: str = "") -> list[str]:
        """The tree as text, a line per actor."""
        name = self.path.rsplit("/", 1)[-1] or "/"
        head = f"{indent}{name}  {self.actor}  {self.state}  handled {self.handled}, waiting {self.waiting}"
        return [head, *(line for child in self.children for line in child.lines(indent + "  "))]


def branch_of(cell: Cell) -> Branch:
    """A cell and all below it."""
    return Branch(
        path=cell.path,
        actor=cell.props.cls.__qualname__,
        state="suspended" if cell.suspended else cell.state.name.lower(),
        handled=cell.messages_handled,
        waiting=cell.waiting_mail,
        children=tuple(branch_of(c) for c in (cell.children or {}).values()),
    )
