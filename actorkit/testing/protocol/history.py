"""What clients asked of a system, and what became of it: the record that checkers judge.

An operation is one request with two moments, its call and its return. Moments are positions in the order of events, not
times of a clock: a counter goes up with every event, so two events never stand at the same moment, and whoever returned
before another was called is known exactly.

What is not known must be recorded as not known. A request that timed out may have been carried out, may be carried out
later, or never: taking it for failed accuses systems that are right, taking it for done hides lost writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, NewType, TypeVar

import attrs

import actorkit as ak
from actorkit.kernel.message import shortened
from actorkit.testing.protocol.packing import pack, unpack

M = TypeVar("M")
R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)

Token = NewType("Token", int)
"""What ``begin`` returns: which operation the outcome belongs to."""

_CELL = 60  # characters of a request or an outcome in a table


@attrs.frozen(slots=True)
class Ok(Generic[T_co]):
    """It happened, between call and return, and this is the reply."""

    value: T_co

    def __str__(self) -> str:
        return shortened(self.value, _CELL)


def _by_content(error: Exception) -> tuple[type, tuple[Any, ...]]:
    return type(error), error.args


@attrs.frozen(slots=True)
class Refused:
    """The callee looked at the request, between call and return, and said no for this reason.

    Two are equal if their errors are of one type and have the same arguments.
    """

    error: Exception = attrs.field(eq=_by_content)

    def __str__(self) -> str:
        return f"refused: {shortened(self.error, _CELL)}"


@attrs.frozen(slots=True)
class Failed:
    """It certainly did not happen; ``why`` in words."""

    why: str = ""

    def __str__(self) -> str:
        return f"failed: {self.why}" if self.why else "failed"


@attrs.frozen(slots=True)
class Unknown:
    """It may have happened at any time after the call, or may still happen, or never; ``why`` in words."""

    why: str = ""

    def __str__(self) -> str:
        return f"unknown: {self.why}" if self.why else "unknown"


Answer = Ok[Any] | Refused
"""What the callee had to say."""

Outcome = Ok[Any] | Refused | Failed | Unknown

_OPEN = Unknown("no return was recorded")


def outcome_of(error: ak.AskError) -> Refused | Failed | Unknown:
    """What an ask that raised tells about its request: refused, certainly not carried out, or nobody knows.

    ``ActorDied`` is unknown whatever the reason: the actor may have done its work before it died.
    """
    if isinstance(error, ak.Refused):
        return Refused(error)
    if isinstance(error, (ak.CircularAsk, ak.MailboxFull, ak.Unhandled)):
        return Failed(str(error))
    return Unknown(str(error))


@attrs.frozen(slots=True)
class Operation:
    """One request and what became of it.

    Attributes:
        client: who asked.
        request: what it asked.
        called_at: the moment of the call. Equal moments count as concurrent.
        returned_at: the moment of the return; None if the outcome is unknown, which has no end.
        outcome: ``Ok``, ``Refused``, ``Failed`` or ``Unknown``.
    """

    client: str
    request: Any
    called_at: int
    returned_at: int | None
    outcome: Outcome

    def __attrs_post_init__(self) -> None:
        if isinstance(self.outcome, Unknown):
            if self.returned_at is not None:
                raise ValueError(
                    f"{self} is unknown, so it is open to the end: returned_at must be None, "
                    f"not {self.returned_at}"
                )
        elif self.returned_at is None or self.returned_at <= self.called_at:
            raise ValueError(
                f"{self} must return after its call at {self.called_at}, "
                f"got returned_at={self.returned_at}; record it as Unknown if it never returned"
            )

    def __str__(self) -> str:
        return f"{self.client}: {shortened(self.request, _CELL)} -> {self.outcome}"

    @property
    def answer(self) -> Answer | None:
        """What the callee said; None if it said nothing, or nobody knows."""
        return self.outcome if isinstance(self.outcome, (Ok, Refused)) else None

    def precedes(self, other: Operation) -> bool:
        """Tell whether this one had returned before the other was called; False if they overlap."""
        return self.returned_at is not None and self.returned_at < other.called_at


class History:
    """A record of operations that only grows: ``begin`` at the call, then one of the ways to end it.

    What is begun and never ended is unknown. One client may have several operations under way.

    Args:
        operations: what it starts with; later ones come after all of these.
    """

    __slots__ = ("_moment", "_operations")

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self._operations = list(operations)
        ends = (op.called_at if op.returned_at is None else op.returned_at for op in self)
        self._moment = max(ends, default=-1) + 1

    async def ask(
        self,
        client: str,
        ref: ak.Ref[M],
        request: ak.AskOf[M, R],
        *,
        timeout: float | None = 5.0,
    ) -> Ok[R] | Refused | Failed | Unknown:
        """Ask an actor and record it; an error of the ask is an outcome and is not raised.

        Any other exception, a cancellation for one, passes through and leaves the operation open: unknown.
        """
        token = self.begin(client, request)
        try:
            reply = await ref.ask(request, timeout=timeout)
        except ak.AskError as error:
            outcome = outcome_of(error)
            self._end(token, outcome)
            return outcome
        self.complete(token, reply)
        return Ok(reply)

    def begin(self, client: str, request: object) -> Token:
        """Record a call, before anything is sent."""
        self._operations.append(Operation(client, request, self._now(), None, _OPEN))
        return Token(len(self._operations) - 1)

    def complete(self, token: Token, value: object = None) -> None:
        """Record a return with a reply."""
        self._end(token, Ok(value))

    def refuse(self, token: Token, error: Exception) -> None:
        """Record a return with the callee's no."""
        self._end(token, Refused(error))

    def fail(self, token: Token, why: str = "") -> None:
        """Record that it certainly did not happen, and will not."""
        self._end(token, Failed(why))

    def lose(self, token: Token, why: str = "") -> None:
        """Record that nobody knows whether it happened or will."""
        self._end(token, Unknown(why))

    def _end(self, token: Token, outcome: Outcome) -> None:
        if not 0 <= token < len(self._operations):
            raise ValueError(f"this history began no operation {token!r}; pass what begin returned")
        open_one = self._operations[token]
        if open_one.outcome is not _OPEN:
            raise ValueError(f"ended already, as {open_one}; call begin for each request")
        now = None if isinstance(outcome, Unknown) else self._now()
        self._operations[token] = attrs.evolve(open_one, returned_at=now, outcome=outcome)

    def _now(self) -> int:
        self._moment += 1
        return self._moment - 1

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All of them, in the order in which they were begun."""
        return tuple(self._operations)

    def __len__(self) -> int:
        return len(self._operations)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self._operations == other._operations

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"<History of {len(self)} operations>"

    def __str__(self) -> str:
        return table(self)

    def to_json_lines(self) -> str:
        """The whole history as text, one operation to a line; ``from_json_lines`` reads it back.

        Requests and replies may be messages, enumerations, None, bool, int, float, str, bytes, and lists, tuples,
        sets and dicts of these; errors must be subclasses of ``ak.Refused``.

        Raises:
            TypeError: something else is among them; the error names it.
        """
        return "".join(f"{json.dumps(_line(op), allow_nan=False)}\n" for op in self)

    @classmethod
    def from_json_lines(cls, text: str) -> History:
        """Read what ``to_json_lines`` wrote. The modules that define its messages must have been imported.

        Raises:
            ValueError: a line is not an operation; the error names line and reason.
        """
        lines = enumerate(text.split("\n"), 1)
        return cls(_read_line(number, line) for number, line in lines if line.strip())


# For people --------------------------------------------------------------------------------------


def table(operations: Iterable[Operation]) -> str:
    """One line for each operation, under headings, in columns."""
    rows = [("call", "return", "client", "request", "outcome")]
    rows += [
        (
            str(op.called_at),
            "-" if op.returned_at is None else str(op.returned_at),
            op.client,
            shortened(op.request, _CELL),
            str(op.outcome),
        )
        for op in operations
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_row(row, widths) for row in rows)


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    numbers = (cell.rjust(width) for cell, width in zip(cells[:2], widths[:2], strict=True))
    words = (cell.ljust(width) for cell, width in zip(cells[2:], widths[2:], strict=True))
    return "  ".join((*numbers, *words)).rstrip()


def timeline(operations: Sequence[Operation], marks: Sequence[str]) -> str:
    """One bar for each operation, from call to return, in the order given, each with a mark before it.

    Only the moments of these operations are drawn, at equal distances.
    """
    moments = sorted(
        {
            moment
            for op in operations
            for moment in (op.called_at, op.returned_at)
            if moment is not None
        }
    )
    place = {moment: 2 * number for number, moment in enumerate(moments)}
    end = 2 * len(moments)
    mark_width = max(map(len, marks), default=0)
    client_width = max((len(op.client) for op in operations), default=0)
    return "\n".join(
        f"  {mark:>{mark_width}}  {op.client:{client_width}}  {_bar(op, place, end):{end + 1}}  "
        f"{shortened(op.request, _CELL)} -> {op.outcome}"
        for mark, op in zip(marks, operations, strict=True)
    )


def _bar(op: Operation, place: Mapping[int, int], end: int) -> str:
    start = place[op.called_at]
    stop = end if op.returned_at is None else place[op.returned_at]
    return f"{' ' * start}├{'─' * (stop - start - 1)}{'→' if op.returned_at is None else '┤'}"


# For files ----------------------------------------------------------------------------------------


def _line(op: Operation) -> dict[str, Any]:
    return {
        "client": op.client,
        "request": pack(op.request),
        "call": op.called_at,
        "return": op.returned_at,
        **_packed_outcome(op.outcome),
    }


def _packed_outcome(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Ok(value):
            return {"ok": pack(value)}
        case Refused(error):
            return {"refused": pack(error)}
        case Failed(why):
            return {"failed": why}
        case Unknown(why):
            return {"unknown": why}


def _read_line(number: int, line: str) -> Operation:
    try:
        read = json.loads(line)
        return Operation(
            read["client"],
            unpack(read["request"]),
            read["call"],
            read["return"],
            _unpacked_outcome(read),
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"line {number} is not an operation: {error!r}") from error


def _unpacked_outcome(read: dict[str, Any]) -> Outcome:
    if "ok" in read:
        return Ok(unpack(read["ok"]))
    if "refused" in read:
        return Refused(unpack(read["refused"]))
    return Failed(read["failed"]) if "failed" in read else Unknown(read["unknown"])
