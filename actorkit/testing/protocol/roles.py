"""What requests are to the checkers: who adds, who reads, and what came back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeAlias

import attrs

from actorkit.kernel.message import shortened
from actorkit.testing.protocol.history import Ok, Operation, Unknown


def as_it_is(reply: Any) -> Any:
    """The reply itself: what a role makes of a reply unless told otherwise."""
    return reply


@attrs.frozen
class Draws:
    """Asks for a new id.

    Attributes:
        reply: takes the id out of the reply.
    """

    reply: Callable[[Any], Any] = as_it_is


@attrs.frozen
class Adds:
    """Adds an element, an amount, or a message to spread.

    Attributes:
        value: which.
    """

    value: Any


@attrs.frozen
class Reads:
    """Reads what is there.

    Attributes:
        reply: takes the elements, or the number, out of the reply.
        final: whether the system had come to rest before: what spreads slowly must have arrived by now.
        node: whose copy was read; if None, the client's own.
    """

    reply: Callable[[Any], Any] = as_it_is
    final: bool = False
    node: Hashable = None


Role: TypeAlias = Callable[[Any], "Adds | Reads | None"]


def recorded_as(request: Any) -> Adds | Reads:
    """The role of a request that was recorded as its own role: ``history.begin("client", Adds(5))``.

    Raises:
        TypeError: it was not.
    """
    if isinstance(request, (Adds, Reads)):
        return request
    raise TypeError(
        f"what does {shortened(request)} do? Pass role=, a function from a request to Adds(...), "
        "Reads(...), or None if the checker is to leave it out"
    )


@attrs.frozen
class Added:
    """One request to add."""

    op: Operation
    value: Any

    @property
    def sure(self) -> bool:
        """Whether it happened; if not, it may have."""
        return isinstance(self.op.outcome, Ok)


@attrs.frozen
class Seen:
    """One read that was answered."""

    op: Operation
    value: Any
    final: bool
    node: Hashable

    @property
    def returned_at(self) -> int:
        """When it returned: it was answered."""
        assert self.op.returned_at is not None
        return self.op.returned_at

    def __str__(self) -> str:
        return f"the read of {self.op.client} at {self.op.called_at}-{self.op.returned_at}"


def sorted_out(history: Iterable[Operation], role: Role) -> tuple[list[Added], list[Seen]]:
    """The adds that may have happened and the reads that were answered, each in the order of calls."""
    adds: list[Added] = []
    reads: list[Seen] = []
    for op in sorted(history, key=lambda op: op.called_at):
        what: Any = role(op.request)
        match what:
            case Adds(value):
                if isinstance(op.outcome, (Ok, Unknown)):
                    adds.append(Added(op, value))
            case Reads(reply, final, node):
                if isinstance(op.outcome, Ok):
                    where = op.client if node is None else node
                    reads.append(Seen(op, reply(op.outcome.value), final, where))
            case None:
                pass
            case _:
                raise TypeError(
                    f"role= gave {shortened(what)} for {shortened(op.request)}; it gives Adds(...), "
                    "Reads(...), or None"
                )
    return adds, reads


def hashable(value: Any, op: Operation) -> Hashable:
    """The value, if it can be told from others.

    Raises:
        TypeError: it cannot be hashed.
    """
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"{shortened(value)} of {op} must be hashable, to be told from others"
        ) from None
    return value  # type: ignore[no-any-return]


def elements(read: Seen) -> Counter[Hashable]:
    """How often each element is in what was read.

    Raises:
        TypeError: it was no collection of hashable elements.
    """
    try:
        return Counter(read.value)
    except TypeError as error:
        raise TypeError(
            f"{read} must be a collection of hashable elements, got {shortened(read.value)} ({error}); "
            "take them out of the reply with Reads(reply=...)"
        ) from None


def number(read: Seen) -> int:
    """The number that was read.

    Raises:
        TypeError: it was none.
    """
    if isinstance(read.value, int):
        return read.value
    raise TypeError(
        f"{read} must be an int, got {shortened(read.value)}; take it out of the reply with Reads(reply=...)"
    )
