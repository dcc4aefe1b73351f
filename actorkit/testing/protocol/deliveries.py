"""Checks of what an actor system promises about messages and deaths: order, at most once, one notice each.

They read the events of a recorded run, a ``Trace`` for one, in the order in which they happened.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeAlias

import attrs

from actorkit.kernel.message import shortened
from actorkit.testing.protocol.verdict import Finding, Verdict
from actorkit.testing.trace import Answered, Ended, Handled, Lost, Notice, Sent


def delivery_order(events: Iterable[object]) -> Verdict:
    """From one sender to one receiver messages are handled in the order in which they were sent, or not at all.

    What an actor sends to itself is left out: ``ctx.continue_with`` goes before all that waits, on purpose.

    Findings: ``"overtaken"``: a message that was handled after one that the same sender had sent later.

    Args:
        events: ``Sent`` and ``Handled``, as in a ``Trace``; all others are left out.
    """
    sent: dict[int, tuple[int, Sent]] = {}  # by number: how many were sent before, and the message
    latest: dict[tuple[str, str], tuple[int, Sent]] = {}
    findings: list[Finding] = []
    judged = 0
    for event in events:
        if isinstance(event, Sent):
            sent[event.number] = (len(sent), event)
        elif isinstance(event, Handled) and event.number in sent:
            mine = sent[event.number]
            pair = mine[1].sender, mine[1].receiver
            if pair[0] == pair[1]:
                continue
            judged += 1
            ahead = latest.setdefault(pair, mine)
            if ahead[0] > mine[0]:
                text = f"{_told(mine[1])} was handled after {_told(ahead[1])}, which was sent later"
                findings.append(Finding("overtaken", mine[1].message, text))
            else:
                latest[pair] = mine
    return Verdict("delivery_order", {"messages": judged, "pairs": len(latest)}, tuple(findings))


def at_most_once(events: Iterable[object]) -> Verdict:
    """A message is handled once, by whom it was sent to, or it is lost; and whoever asked gets one answer.

    Findings:

    - ``"handled twice"``, ``"lost twice"``, ``"handled and lost"``, ``"answered twice"``.
    - ``"astray"``: handled by somebody else than it was sent to, or answered by or to somebody else than was asked.
    - ``"from nowhere"``: handled or answered, and never sent.

    Args:
        events: ``Sent``, ``Handled``, ``Answered`` and ``Lost``, as in a ``Trace``; all others are left out.
    """
    sent: dict[int, Sent] = {}
    ends: dict[int, Handled | Lost] = {}
    answers: dict[int, Answered] = {}
    findings: list[Finding] = []
    for event in events:
        match event:
            case Sent():
                sent[event.number] = event
            case Answered():
                findings += _led_astray(event, sent)
                if answers.setdefault(event.number, event) is not event:
                    findings.append(_finding("answered twice", event, sent))
            case Handled() | Lost(number=int()):
                number = event.number or 0
                findings += _led_astray(event, sent)
                first = ends.setdefault(number, event)
                if first is not event:
                    findings.append(_finding(_both(first, event), event, sent))
            case _:
                pass
    judged = {"messages": len(sent), "answers": len(answers)}
    return Verdict("at_most_once", judged, tuple(findings))


def _led_astray(event: Handled | Lost | Answered, sent: Mapping[int, Sent]) -> list[Finding]:
    """What is wrong with who took part in an event, compared with the message as it was sent."""
    message = sent.get(event.number or 0)
    if message is None:
        # What is lost may have been lost before it had a number of its own.
        return [] if isinstance(event, Lost) else [_finding("from nowhere", event, sent)]
    if isinstance(event, Answered):
        right = (event.sender, event.receiver) == (message.receiver, message.sender)
    else:
        right = event.receiver == message.receiver
    return [] if right else [_finding("astray", event, sent)]


def _both(first: Handled | Lost, second: Handled | Lost) -> str:
    if isinstance(first, Handled) and isinstance(second, Handled):
        return "handled twice"
    return "lost twice" if isinstance(first, Lost) and isinstance(second, Lost) else "handled and lost"


def _finding(kind: str, event: Handled | Lost | Answered, sent: Mapping[int, Sent]) -> Finding:
    message = sent.get(event.number or 0)
    told = f"message {event.number}" if message is None else _told(message)
    match event:
        case Handled():
            what = f"was handled by {event.receiver}"
        case Lost():
            what = f"was lost on its way to {event.receiver} ({event.reason})"
        case Answered():
            what = f"was answered by {event.sender} to {event.receiver}: {shortened(event.reply)}"
    return Finding(kind, event, f"{told} {what} at step {event.step}")


def _told(message: Sent) -> str:
    return (
        f"{shortened(message.message)} (message {message.number}, {message.sender} to {message.receiver}, "
        f"sent at step {message.step})"
    )


# Notices of death --------------------------------------------------------------------------------


@attrs.frozen
class Watched:
    """Somebody began to watch an actor, or linked to it and traps exits: it is to be told once of its end.

    Attributes:
        watcher: who is to be told.
        target: who is watched.
        monitor: tells several watches of the same target apart: what ``ctx.watch`` returned, if it is at hand.
    """

    watcher: str
    target: str
    monitor: Hashable = None


@attrs.frozen
class Unwatched:
    """A watch was called off; what was on its way must not be handled any more.

    Attributes:
        watcher: who had watched.
        target: whom.
        monitor: as for ``Watched``.
    """

    watcher: str
    target: str
    monitor: Hashable = None


@attrs.frozen
class Told:
    """A watcher handled the notice: a ``Down``, or an ``Exit``.

    Attributes:
        watcher: who was told.
        target: about whom.
        monitor: as for ``Watched``.
    """

    watcher: str
    target: str
    monitor: Hashable = None


@attrs.frozen
class Gone:
    """An incarnation of an actor has ended.

    Attributes:
        target: which actor.
    """

    target: str


def exactly_one_notice(events: Iterable[object]) -> Verdict:
    """Whoever watches an actor is told of its end: once for each watch, and not before.

    Findings:

    - ``"missing"``: the watched one ended, and the watcher, which lives, was never told.
    - ``"double"``: a watch that had had its notice got another.
    - ``"unasked"``: a notice to somebody that did not watch, or not any more.
    - ``"premature"``: a notice though the watched one had never ended.

    Args:
        events: ``Watched``, ``Unwatched``, ``Told`` and ``Gone`` in the order in which they happened. A ``Notice`` and an
            ``Ended`` of a ``Trace`` count as ``Told`` and ``Gone``; all others are left out. Let the system come to rest
            before it ends, or a notice may still be on its way.
    """
    watches = _Watches()
    for event in events:
        match event:
            case Watched():
                watches.add(event)
            case Unwatched():
                watches.drop(event)
            case Told():
                watches.told(event)
            case Notice():
                watches.told(Told(event.receiver, event.about))
            case Gone(target) | Ended(actor=target):
                watches.gone(target)
            case _:
                pass
    judged = {"watches": watches.count, "notices": watches.notices}
    return Verdict("exactly_one_notice", judged, (*watches.findings, *watches.missing()))


class _Watches:
    """Which watches wait, which are due, and which have had their notice."""

    def __init__(self) -> None:
        self.count = self.notices = 0
        self.findings: list[Finding] = []
        self._open: dict[Watched, int] = {}  # how many alike; due ones are moved to the other
        self._due: dict[Watched, int] = {}
        self._done: set[Watched] = set()
        self._ended: set[str] = set()
