"""Checks of histories that need not be linearizable: ids, sets, counters, broadcasts.

They are the workloads of Jepsen and Maelstrom as functions. Each reads a history and returns a ``Verdict``. What a request
is to a checker is told by its ``role``: a function from the request to ``Adds``, ``Reads`` or ``Draws``, or to None if it is
none of its business::

    def role(request: object) -> Adds | Reads | None:
        match request:
            case Join(name):
                return Adds(name)
            case Members():
                return Reads(reply=lambda reply: reply.names)
        return None

    grow_only_set(history, role).require()

A request that was refused or failed did not happen; one of unknown outcome may have happened at any time after its call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from actorkit.kernel.message import shortened
from actorkit.testing.protocol.history import Ok, Operation
from actorkit.testing.protocol.roles import (
    Added,
    Draws,
    Role,
    Seen,
    elements,
    hashable,
    number,
    recorded_as,
    sorted_out,
)
from actorkit.testing.protocol.verdict import Finding, Verdict

# Ids ---------------------------------------------------------------------------------------------


def unique_ids(
    history: Iterable[Operation], role: Callable[[Any], Draws | None] = lambda _: Draws()
) -> Verdict:
    """Nobody is given an id that somebody has.

    Findings: ``"duplicate"``.

    Args:
        history: what to judge.
        role: which requests draw an id; all of them unless told otherwise.
    """
    holders: dict[Hashable, list[Operation]] = {}
    for op in history:
        drawn = role(op.request)
        if drawn is not None and isinstance(op.outcome, Ok):
            holders.setdefault(hashable(drawn.reply(op.outcome.value), op), []).append(op)
    findings = (
        Finding("duplicate", id_, f"{shortened(id_)} was given to {_in_words(map(_when, ops))}")
        for id_, ops in holders.items()
        if len(ops) > 1
    )
    return Verdict("unique_ids", {"ids": sum(map(len, holders.values()))}, tuple(findings))


# Sets --------------------------------------------------------------------------------------------


def grow_only_set(
    history: Iterable[Operation], role: Role = recorded_as, *, stale_allowed: bool = True
) -> Verdict:
    """What was added to a set that only grows is there for good.

    An element is known once an add of it has returned, or a read that has it. Findings:

    - ``"lost"``: known, and not in reads called after the last one that has it.
    - ``"stale"``: known, not in a later read, but in one again after that. A note, if ``stale_allowed``.
    - ``"duplicated"``: more than once in one read.
    - ``"unexpected"``: in a read, though nobody had added it.

    Notes: ``"never read"``: known, and no read was called after that.

    Args:
        history: what to judge.
        role: what requests do; a read's reply is the elements.
        stale_allowed: whether a read may lag behind; if not, any read must have all that was known before its call.
    """
    adds, reads, contents = _of_sets(history, role)
    faults = [*_duplicated(reads, contents), *_unexpected(adds, reads, contents)]
    notes: list[Finding] = []
    for element, since in _known(adds, reads, contents).items():
        later = [n for n, read in enumerate(reads) if read.op.called_at > since]
        missing = [reads[n] for n in later if element not in contents[n]]
        having = [read for read, content in zip(reads, contents, strict=True) if element in content]
        if missing:
            found = _missing(element, since, missing, having)
            (notes if found.kind == "stale" and stale_allowed else faults).append(found)
        elif not later:
            text = f"{shortened(element)} is known since {since}; no read was called after that"
            notes.append(Finding("never read", element, text))
    return Verdict("grow_only_set", _counts(adds, reads), tuple(faults), tuple(notes))


def _missing(
    element: Hashable, since: int, missing: Sequence[Seen], having: Sequence[Seen]
) -> Finding:
    known = f"{shortened(element)} is known since {since}"
    gone = [read for read in missing if all(other.op.precedes(read.op) for other in having)]
    if gone:
        last = f", the last to have it is {having[-1]}" if having else ", none has it"
        return Finding("lost", element, f"{known}, and {gone[0]} lacks it{last}")
    return Finding(
        "stale", element, f"{known}, and {missing[0]} lacks it; {having[-1]} has it again"
    )


def broadcast(history: Iterable[Operation], role: Role = recorded_as) -> Verdict:
    """What was broadcast arrives at every node, and stays.

    A message is known once an add of it has returned, or a read, of any node, that has it: what one node has all must
    get. Findings:

    - ``"never arrived"``: known, and not in a final read called later.
    - ``"forgotten"``: in a read of a node, and not in a later read of the same node.
    - ``"duplicated"``: more than once in one read.
    - ``"unexpected"``: in a read, though nobody had sent it.

    Notes: ``"no final read"`` of a node: then nobody knows what arrives there in the end.

    Args:
        history: what to judge.
        role: what requests do. A read's reply is the messages; its ``node`` is whose they are; it is ``final`` if the
            network had time to do its work before.
    """
    adds, reads, contents = _of_sets(history, role)
    known = _known(adds, reads, contents)
    findings = [
        *_duplicated(reads, contents),
        *_unexpected(adds, reads, contents),
        *_forgotten(reads, contents),
    ]
    for read, content in zip(reads, contents, strict=True):
        findings += (
            Finding(
                "never arrived",
                message,
                f"{shortened(message)} is known since {since}, and is not at {read.node} in {read}",
            )
            for message, since in known.items()
            if read.final and since < read.op.called_at and message not in content
        )
    nodes = {read.node: None for read in reads}
    judged = {read.node for read in reads if read.final}
    notes = (
        Finding("no final read", node, f"what arrived at {node} in the end was not read")
        for node in nodes
        if node not in judged
    )
    amounts = {**_counts(adds, reads), "nodes": len(nodes)}
    return Verdict("broadcast", amounts, tuple(findings), tuple(notes))


def _forgotten(reads: Sequence[Seen], contents: Sequence[Counter[Hashable]]) -> list[Finding]:
    findings: list[Finding] = []
    had: dict[tuple[Hashable, Hashable], Seen] = {}  # who was first to have what, where
    for read, content in zip(reads, contents, strict=True):
        findings += (
            Finding(
                "forgotten",
                message,
                f"{shortened(message)} was at {node} in {before}, and is not in {read}",
            )
            for (node, message), before in had.items()
            if node == read.node and before.op.precedes(read.op) and message not in content
        )
        for message in content:
            first = had.setdefault((read.node, message), read)
            if read.returned_at < first.returned_at:
                had[read.node, message] = read
    return findings


def _of_sets(
    history: Iterable[Operation], role: Role
) -> tuple[list[Added], list[Seen], list[Counter[Hashable]]]:
    adds, reads = sorted_out(history, role)
    for add in adds:
        hashable(add.value, add.op)
    return adds, reads, [elements(read) for read in reads]


# Counters ----------------------------------------------------------------------------------------

_MANY_SUMS = 10_000


def counter_bounds(
    history: Iterable[Operation], role: Role = recorded_as, *, initial: int = 0
) -> Verdict:
    """A counter reads no less than what was surely added before, and no more than what may have been added by then.

    An add that returned before the read was called counts; one that was under way during the read, or is unknown, may
    count. Findings: ``"out of bounds"``.

    Args:
        history: what to judge.
        role: what requests do; an add's value is an int, which may be negative, and a read's reply is an int.
        initial: what the counter starts with.
    """
    adds, reads = sorted_out(history, role)
    findings: list[Finding] = []
    for read in reads:
        sure, maybe = _amounts_before(adds, read)
        low, high = _bounds(initial + sum(sure), maybe)
        if not low <= number(read) <= high:
            text = f"{read} is {read.value}, but what was added makes {_between(low, high)}"
            findings.append(Finding("out of bounds", read.op, text))
    return Verdict("counter_bounds", _counts(adds, reads), tuple(findings))


def pn_counter(
    history: Iterable[Operation], role: Role = recorded_as, *, initial: int = 0
) -> Verdict:
    """A counter of many copies reads a sum of adds that were made, and in the end the same sum of all of them anywhere.

    Findings:

    - ``"wrong total"``: a final read is not the sum of all adds that returned before, with or without those of unknown
      outcome or still under way.
    - ``"diverged"``: final reads differ, though no add returned after they were called.
    - ``"out of bounds"``: a read is more, or less, than any of the adds called by then could make it.

    Notes: ``"no final read"``.

    Args:
        history: what to judge.
        role: what requests do; a read is ``final`` if the copies had time to agree before. Values and replies are ints.
        initial: what every copy starts with.
    """
    adds, reads = sorted_out(history, role)
    findings: list[Finding] = []
    for read in reads:
        sure, maybe = _amounts_before(adds, read)
        if read.final:
            findings += _wrong_total(read, _sums(initial + sum(sure), maybe))
        else:
            low, high = _bounds(initial, [*sure, *maybe])
            if not low <= number(read) <= high:
                text = f"{read} is {read.value}, but all that was asked for by then makes {_between(low, high)}"
                findings.append(Finding("out of bounds", read.op, text))
    final = [read for read in reads if read.final]
    findings += _diverged(adds, final)
    missing = () if final else (Finding("no final read", None, "nobody read the total in the end"),)
    return Verdict("pn_counter", _counts(adds, reads), tuple(findings), missing)


def _wrong_total(read: Seen, sums: set[int] | range) -> list[Finding]:
    if number(read) in sums:
        return []
    shown = _between(min(sums), max(sums)) if len(sums) > 5 else _in_words(sorted(sums), "or")
    text = f"{read} is {read.value}, but what was added makes {shown}"
    return [Finding("wrong total", read.op, text)]


def _diverged(adds: Sequence[Added], final: Sequence[Seen]) -> list[Finding]:
    settled = [read for read in final if all(add.op.precedes(read.op) for add in adds if add.sure)]
    if len({read.value for read in settled}) < 2:
        return []
    text = _in_words(f"{read} is {read.value}" for read in settled)
    return [Finding("diverged", tuple(read.op for read in settled), text)]


def _amounts_before(adds: Sequence[Added], read: Seen) -> tuple[list[int], list[int]]:
    """The amounts added for sure before a read, and those that may have been added by its return."""
    sure: list[int] = []
    maybe: list[int] = []
    for add in adds:
        if add.sure and add.op.precedes(read.op):
            sure.append(add.value)
        elif add.op.called_at < read.returned_at:
            maybe.append(add.value)
    return sure, maybe


def _bounds(base: int, maybe: Sequence[int]) -> tuple[int, int]:
    """The least and the most that any choice of amounts adds up to."""
    return base + sum(min(0, amount) for amount in maybe), base + sum(
        max(0, amount) for amount in maybe
    )


def _sums(base: int, maybe: Sequence[int]) -> set[int] | range:
    """All that choices of amounts add up to; all between least and most, if these are too many to list."""
    sums = {base}
    for amount in maybe:
        sums |= {one + amount for one in sums}
        if len(sums) > _MANY_SUMS:
            low, high = _bounds(base, maybe)
            return range(low, high + 1)
    return sums


# What they share ---------------------------------------------------------------------------------


def _known(
    adds: Sequence[Added], reads: Sequence[Seen], contents: Sequence[Mapping[Hashable, int]]
) -> dict[Hashable, int]:
    """Since when each element that was added is known: an add of it had returned, or a read that has it."""
    since: dict[Hashable, int] = {}
    added = {add.value for add in adds}
    for add in adds:
        if add.sure:
            _earliest(since, add.value, add.op)
    for read, content in zip(reads, contents, strict=True):
        for element in content:
            if element in added:
                _earliest(since, element, read.op)
    return since


def _earliest(since: dict[Hashable, int], element: Hashable, op: Operation) -> None:
    returned = op.returned_at
    assert returned is not None
    since[element] = min(returned, since.get(element, returned))


def _unexpected(
    adds: Sequence[Added], reads: Sequence[Seen], contents: Sequence[Mapping[Hashable, int]]
) -> list[Finding]:
    called: dict[Hashable, int] = {}
    for add in reversed(adds):
        called[add.value] = add.op.called_at
    first: dict[Hashable, Seen] = {}
    for read, content in zip(reads, contents, strict=True):
        for element in content:
            if called.get(element, read.returned_at) >= read.returned_at:
                first.setdefault(element, read)
    return [
        Finding(
            "unexpected",
            element,
            f"{shortened(element)} is in {read}; no add of it can have happened by then",
        )
        for element, read in first.items()
    ]


def _duplicated(reads: Sequence[Seen], contents: Sequence[Mapping[Hashable, int]]) -> list[Finding]:
    first: dict[Hashable, tuple[Seen, int]] = {}
    for read, content in zip(reads, contents, strict=True):
        for element, times in content.items():
            if times > 1:
                first.setdefault(element, (read, times))
    return [
        Finding("duplicated", element, f"{shortened(element)} is {times} times in {read}")
        for element, (read, times) in first.items()
    ]


def _when(op: Operation) -> str:
    return f"{op.client} at {op.called_at}-{op.returned_at}"


def _counts(adds: Sequence[Added], reads: Sequence[Seen]) -> dict[str, int]:
    return {"adds": len(adds), "reads": len(reads)}


def _between(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _in_words(things: Iterable[object], last: str = "and") -> str:
    words = [str(thing) for thing in things]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
