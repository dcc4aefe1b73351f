"""The check of histories of a log: producers append values, consumers poll what comes next.

It is Maelstrom's and Jepsen's workload for Kafka as a function. A log gives each value an offset; offsets go up by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

import attrs

from actorkit.kernel.message import shortened
from actorkit.testing.protocol.history import Ok, Operation, Unknown
from actorkit.testing.protocol.roles import as_it_is, hashable
from actorkit.testing.protocol.verdict import Finding, Verdict

Entry: TypeAlias = tuple[int, Any]
"""An offset and the value there."""


@attrs.frozen
class Appends:
    """Appends a value that no other append has.

    Attributes:
        value: which.
        log: to which log, or partition.
        reply: takes the offset out of the reply.
    """

    value: Hashable
    log: Hashable = "log"
    reply: Callable[[Any], int] = as_it_is


@attrs.frozen
class Polls:
    """Reads what comes next for this consumer, which is the client.

    Attributes:
        log: of which log, or partition.
        reply: takes the entries, pairs of offset and value, out of the reply.
    """

    log: Hashable = "log"
    reply: Callable[[Any], Sequence[Entry]] = as_it_is


@attrs.frozen
class Seeks:
    """Lets this consumer go on from elsewhere: what it polls next may lie before, or far behind.

    Attributes:
        log: in which log, or partition.
    """

    log: Hashable = "log"


Role: TypeAlias = Callable[[Any], Appends | Polls | Seeks | None]


def recorded_as(request: Any) -> Appends | Polls | Seeks:
    """The role of a request that was recorded as its own role: ``history.begin("client", Appends("x"))``.

    Raises:
        TypeError: it was not.
    """
    if isinstance(request, (Appends, Polls, Seeks)):
        return request
    raise TypeError(
        f"what does {shortened(request)} do? Pass role=, a function from a request to Appends(...), "
        "Polls(...), Seeks(...), or None if the checker is to leave it out"
    )


def log(history: Iterable[Operation], role: Role = recorded_as) -> Verdict:
    """A log keeps what it acknowledged, once, in order, and shows it to consumers without holes.

    Findings:

    - ``"lost"``: acknowledged, and polled by nobody, though somebody polled a higher offset.
    - ``"duplicated"``: one value at two offsets.
    - ``"overwritten"``: two values at one offset.
    - ``"reordered"``: an append that returned before another was called has the higher offset.
    - ``"unexpected"``: polled, though no append of it can have happened by then.
    - ``"skipped"``: a consumer went past an offset at which another one found a value.
    - ``"gap"``: a consumer went past an offset at which nobody found anything.
    - ``"went back"``: a consumer polled an offset not above the one before, without a ``Seeks``.

    Notes: ``"never polled"``: acknowledged, and nobody polled as far.

    Args:
        history: what to judge. One client's polls come one after the other. Where its first poll begins, or one after a
            ``Seeks``, is not judged; but somebody is expected to begin where the log does.
        role: what requests do.
    """
    logs: dict[Hashable, _Log] = {}
    for op in sorted(history, key=lambda op: op.called_at):
        what: Any = role(op.request)
        if isinstance(what, (Appends, Polls, Seeks)):
            logs.setdefault(what.log, _Log(what.log)).take(op, what)
        elif what is not None:
            raise TypeError(
                f"role= gave {shortened(what)} for {shortened(op.request)}; it gives Appends(...), "
                "Polls(...), Seeks(...), or None"
            )
    judged = {
        "appends": sum(len(one.appends) for one in logs.values()),
        "polls": sum(len(one.polls) for one in logs.values()),
        "logs": len(logs),
    }
    findings = (finding for one in logs.values() for finding in one.findings())
    notes = (note for one in logs.values() for note in one.never_polled())
    return Verdict("log", judged, tuple(findings), tuple(notes))


@attrs.frozen
class _Append:
    """An append that may have happened, and its offset if it told."""

    op: Operation
    value: Hashable
    offset: int | None

    def __str__(self) -> str:
        return f"append by {_when(self.op)}"


@attrs.frozen
class _Poll:
    """A poll that was answered."""

    op: Operation
    entries: tuple[Entry, ...]

    def __str__(self) -> str:
        return f"poll by {_when(self.op)}"


class _Log:
    """What happened to one log, and what is wrong with it."""

    def __init__(self, name: Hashable) -> None:
        self.name = name
        self.appends: list[_Append] = []
        self.polls: list[_Poll] = []
        # What each consumer did: polls, None for one of unknown outcome, and seeks.
        self.readings: dict[str, list[_Poll | Seeks | None]] = {}
        self.polled: set[Hashable] = set()
        self.end = -1  # the highest offset polled
        self.at: dict[int, dict[Hashable, object]] = {}  # offset -> value there -> who says so
        self.of: dict[Hashable, dict[int, object]] = {}  # value -> its offset -> who says so

    def take(self, op: Operation, what: Appends | Polls | Seeks) -> None:
        """Add an operation, in the order of calls; one that did not happen is left out."""
        if not isinstance(op.outcome, (Ok, Unknown)):
            return
        if isinstance(what, Appends):
            self._appended(op, what)
            return
        reading = self.readings.setdefault(op.client, [])
        if isinstance(what, Seeks):
            reading.append(what)
        elif isinstance(op.outcome, Ok):
            reading.append(self._polled(_Poll(op, _entries(what.reply(op.outcome.value), op))))
        else:
            reading.append(None)

    def _appended(self, op: Operation, what: Appends) -> None:
        offset = _offset(what.reply(op.outcome.value), op) if isinstance(op.outcome, Ok) else None
        append = _Append(op, hashable(what.value, op), offset)
        self.appends.append(append)
        if offset is not None:
            self._holds(offset, what.value, append)

    def _polled(self, poll: _Poll) -> _Poll:
        self.polls.append(poll)
        for offset, value in poll.entries:
            self._holds(offset, value, poll)
            self.polled.add(value)
            self.end = max(self.end, offset)
        return poll

    def _holds(self, offset: int, value: Hashable, who: object) -> None:
        self.at.setdefault(offset, {}).setdefault(value, who)
        self.of.setdefault(value, {}).setdefault(offset, who)

    def findings(self) -> Iterator[Finding]:
        """All that is wrong."""
        yield from self._lost()
        yield from self._contradictions()
        yield from self._reordered()
        yield from self._unexpected()
        for client, reading in self.readings.items():
            yield from self._walk(client, reading)

    def never_polled(self) -> Iterator[Finding]:
        """What was acknowledged, and lies behind all that was polled."""
        for append in self.appends:
            if append.offset is not None and append.offset > self.end:
                text = f"nobody polled {self._place(append.offset)}, where {shortened(append.value)} is"
                yield Finding("never polled", append.value, text)

    def _lost(self) -> Iterator[Finding]:
        for append in self.appends:
            offset = append.offset
            if offset is not None and offset < self.end and append.value not in self.polled:
                text = (
                    f"the {append} put {shortened(append.value)} at {self._place(offset)}; polls went as far as "
                    f"{self.end}, and none has it"
                )
                yield Finding("lost", append.value, text)

    def _contradictions(self) -> Iterator[Finding]:
        for offset, values in sorted(self.at.items()):
            if len(values) > 1:
                told = "; ".join(f"{shortened(value)} ({who})" for value, who in values.items())
                yield Finding("overwritten", offset, f"at {self._place(offset)} there is {told}")
        for value, offsets in self.of.items():
            if len(offsets) > 1:
                told = "; ".join(f"{self._place(at)} ({who})" for at, who in offsets.items())
                yield Finding("duplicated", value, f"{shortened(value)} is at {told}")

    def _reordered(self) -> Iterator[Finding]:
        placed = [(min(self.of[one.value]), one) for one in self.appends if one.value in self.of]
        ended = sorted((end for end in placed if end[1].offset is not None), key=_returned)
        highest = list(accumulate(ended, _higher))
        for offset, append in placed:
            before = bisect_left(ended, append.op.called_at, key=_returned)
            if before and highest[before - 1][0] > offset:
                higher, earlier = highest[before - 1]
                text = (
                    f"the {earlier} put {shortened(earlier.value)} at {higher}; "
                    f"the {append} put {shortened(append.value)} at {self._place(offset)}"
                )
                yield Finding("reordered", append.value, text)

    def _unexpected(self) -> Iterator[Finding]:
        called = {one.value: one.op.called_at for one in reversed(self.appends)}
        told: set[Hashable] = set()
        for poll in self.polls:
            end = poll.op.returned_at or 0
            for _, value in poll.entries:
                if called.get(value, end) >= end and value not in told:
                    told.add(value)
                    text = f"{shortened(value)} is in the {poll}; no append of it can have happened by then"
                    yield Finding("unexpected", value, text)

    def _walk(self, client: str, reading: Sequence[_Poll | Seeks | None]) -> Iterator[Finding]:
        """Follow one consumer through the log."""
        last: int | None = None
        certain = True  # that it goes on right behind the last
        for what in reading:
            if not isinstance(what, _Poll):
                certain = False
                last = None if isinstance(what, Seeks) else last
                continue
            for offset, value in what.entries:
                if last is not None and offset <= last:
                    text = f"the {what} has {shortened(value)} at {self._place(offset)}, and {client} had been at {last}"
                    yield Finding("went back", value, text)
                elif last is not None and certain:
                    yield from self._holes(what, last, offset)
                last, certain = offset, True

    def _holes(self, poll: _Poll, last: int, offset: int) -> Iterator[Finding]:
        """What lies between two offsets that a consumer polled one after the other."""
        passed = f"the {poll} goes on at {self._place(offset)} after {last}"
        held = [hole for hole in sorted(self.at) if last < hole < offset]
        for hole in held:
            for value, who in self.at[hole].items():
                if value in self.polled:  # else it is lost, and told to be
                    text = f"{passed}, and at {hole} there is {shortened(value)} ({who})"
                    yield Finding("skipped", value, text)
        if len(held) < offset - last - 1:
            yield Finding("gap", (last, offset), f"{passed}, and not all between was ever seen")

    def _place(self, offset: int) -> str:
        return f"offset {offset}" if self.name == "log" else f"offset {offset} of {self.name}"


def _higher(one: tuple[int, _Append], other: tuple[int, _Append]) -> tuple[int, _Append]:
    return one if one[0] >= other[0] else other


def _returned(placed: tuple[int, _Append]) -> int:
    return placed[1].op.returned_at or 0


def _offset(reply: Any, op: Operation) -> int:
    if isinstance(reply, int):
        return reply
    raise TypeError(
        f"the offset of {op} must be an int, got {shortened(reply)}; take it out of the reply with Appends(reply=...)"
    )


def _entries(reply: Any, op: Operation) -> tuple[Entry, ...]:
    try:
        return tuple((_offset(offset, op), hashable(value, op)) for offset, value in reply)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{op} must give pairs of offset and value, got {shortened(reply)} ({error}); "
            "take them out of the reply with Polls(reply=...)"
        ) from None


def _when(op: Operation) -> str:
    return f"{op.client} at {op.called_at}-{op.returned_at}"
