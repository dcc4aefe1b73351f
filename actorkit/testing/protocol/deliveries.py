"""Checks of what an actor system promises about messages and deaths: order, at most once, one notice each.

They read the events of a recorded run, a ``Trace`` for one, in the order in which they happened.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

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
                if event.number in answers:
                    findings.append(_finding("answered twice", event, sent))
                answers[event.number] = event
            case Handled() | Lost(number=int()):
                number = event.number or 0
                findings += _led_astray(event, sent)
                if number in ends:
                    findings.append(_finding(_both(ends[number], event), event, sent))
                ends.setdefault(number, event)
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
    return (
        "lost twice" if isinstance(first, Lost) and isinstance(second, Lost) else "handled and lost"
    )


def _finding(kind: str, event: Handled | Lost | Answered, sent: Mapping[int, Sent]) -> Finding:
    message = sent.get(event.number or 0)
    told = f"message {event.number}" if message is None else _told(message)
    return Finding(kind, event, f"{told} {_fate(event)} at step {event.step}")


def _fate(event: Handled | Lost | Answered) -> str:
    match event:
        case Handled():
            return f"was handled by {event.receiver}"
        case Lost():
            return f"was lost on its way to {event.receiver} ({event.reason})"
        case Answered():
            return f"was answered by {event.sender} to {event.receiver}: {shortened(event.reply)}"


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
class Notified:
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
        events: ``Watched``, ``Unwatched``, ``Notified`` and ``Gone`` in the order in which they happened. In their place there
            may be a ``Trace``'s: ``Ended`` for ``Gone``, and ``Notice`` for ``Notified`` where somebody watches; those of
            links and supervisors, and all other events, are left out. Let the system come to rest before the last, or a
            notice may still be on its way.
    """
    watches = _Watches()
    for event in events:
        match event:
            case Watched():
                watches.add(event)
            case Unwatched():
                watches.drop(event)
            case Notified():
                watches.told(event)
            case Notice():
                watches.noticed(event)
            case Gone(target) | Ended(actor=target):
                watches.gone(target)
            case _:
                pass
    judged = {"watches": len(watches), "notices": watches.notices}
    return Verdict("exactly_one_notice", judged, (*watches.findings, *watches.missing()))


@attrs.define(eq=False)
class _Watch:
    """One watch and what became of it."""

    watched: Watched
    due: bool = False
    over: bool = False  # it had its notice, was called off, or its watcher is gone
    told: bool = False

    def fits(self, event: Notified | Unwatched) -> bool:
        mine = self.watched
        same = (mine.watcher, mine.target) == (event.watcher, event.target)
        return same and (mine.monitor == event.monitor or None in (mine.monitor, event.monitor))

    def __str__(self) -> str:
        by = "" if self.watched.monitor is None else f" by {shortened(self.watched.monitor)}"
        return f"{self.watched.watcher} watched {self.watched.target}{by}"


class _Watches:
    """All watches of a run."""

    def __init__(self) -> None:
        self.notices = 0
        self.findings: list[Finding] = []
        self._watches: list[_Watch] = []
        self._ended: set[str] = set()

    def __len__(self) -> int:
        return len(self._watches)

    def add(self, event: Watched) -> None:
        """Somebody watches."""
        self._watches.append(_Watch(event))

    def drop(self, event: Unwatched) -> None:
        """Somebody watches no more; to call off what had its notice changes nothing."""
        for watch in self._watches:
            if watch.fits(event) and not watch.over:
                watch.over = True
                return

    def told(self, event: Notified) -> None:
        """Somebody was told: find the watch that this is about, those that are due first."""
        self.notices += 1
        mine = [watch for watch in self._watches if watch.fits(event)]
        waiting = sorted(
            (watch for watch in mine if not watch.over), key=lambda watch: not watch.due
        )
        if waiting:
            waiting[0].over = waiting[0].told = True
            if event.target not in self._ended:
                self._found(
                    "premature", event, f"{waiting[0]} and was told of an end that had not come"
                )
        elif any(watch.told for watch in mine):
            self._found("double", event, f"{mine[0]} and was told once more than it had asked for")
        else:
            text = f"{event.watcher} was told of the end of {event.target}, which it did not watch"
            self._found("unasked", event, text)

    def noticed(self, event: Notice) -> None:
        """As ``told``, unless it is no business of ours."""
        told = Notified(event.receiver, event.about)
        if any(watch.fits(told) for watch in self._watches):
            self.told(told)

    def gone(self, target: str) -> None:
        """Somebody ended: whoever watches is to be told, and what it watched itself is over."""
        self._ended.add(target)
        for watch in self._watches:
            watch.due = watch.due or (watch.watched.target == target and not watch.over)
            watch.over = watch.over or watch.watched.watcher == target

    def missing(self) -> list[Finding]:
        """What is wrong in the end."""
        return [
            Finding("missing", watch.watched, f"{watch}, which ended, and was never told")
            for watch in self._watches
            if watch.due and not watch.over
        ]

    def _found(self, kind: str, event: Notified, text: str) -> None:
        self.findings.append(Finding(kind, event, text))
