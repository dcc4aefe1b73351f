"""What the demo comes to: whether the disturbed crew did its work as if nothing had happened. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs

import actorkit as ak
from actorkit.demo.edition import Edition
from actorkit.demo.sabotage import Manner, Strike
from actorkit.demo.wording import counted
from actorkit.observe.text import printable

_NAMED = 5


@attrs.frozen
class Disturbed:
    """What the crew did while it was struck.

    Attributes:
        edition: the report made after the last strike; None if it was broken off before.
        digests: of all editions that were made.
        gave_up: why it was broken off; empty if it was not.
        struck: the strikes that were somebody's death.
        missed: those that were not.
        deaths: how many there were, by kind.
        repeated: asks that were repeated.
        dead_letters: how many there were, by reason.
        books: what was sent and what became of it, after the system was closed.
        left_behind: actors that still lived then, processes that still ran, ports that were still taken.
        elapsed: seconds.
        nodes: where the crew worked.
        node_exits: how often the process of a node ended before its time.
        broken: connections that ended because one side broke the protocol.
    """

    edition: Edition | None
    digests: frozenset[str]
    editions: int
    gave_up: str
    struck: tuple[Strike, ...]
    missed: tuple[Strike, ...]
    deaths: Mapping[str, int]
    restarts: int
    repeated: int
    dead_letters: Mapping[ak.DeadReason, int]
    books: ak.Conservation
    left_behind: tuple[str, ...]
    elapsed: float
    nodes: tuple[str, ...] = ("demo",)
    node_exits: int = 0
    broken: tuple[str, ...] = ()


@attrs.frozen
class Verdict:
    """The disturbed run against the undisturbed one.

    Attributes:
        ordered: how many strikes were asked for.
        disturbed: what came of them.
        reference: the report of the undisturbed study.
        elapsed: how long that took.
        on_disk: the report that lay in the directory after the disturbed run.
        changed: files that somebody changed between the beginning and the end, so that nothing can be compared.
    """

    ordered: int
    disturbed: Disturbed
    reference: Edition
    elapsed: float
    on_disk: Edition | None
    changed: tuple[str, ...] = ()

    @property
    def same_result(self) -> bool:
        """Whether every edition, and what lies on the disk, is what the undisturbed study says."""
        return (
            self.disturbed.edition == self.reference == self.on_disk
            and self.disturbed.digests == frozenset((self.reference.digest,))
        )

    @property
    def all_struck(self) -> bool:
        """Whether every strike that was asked for was somebody's death."""
        return len(self.disturbed.struck) == self.ordered

    @property
    def balanced(self) -> bool:
        """Whether every message is accounted for, and none still waits."""
        books = self.disturbed.books
        return books.balanced and books.waiting == 0

    @property
    def good(self) -> bool:
        """Whether all is as it should be."""
        return (
            self.same_result
            and self.all_struck
            and self.balanced
            and not self.disturbed.left_behind
            and not self.disturbed.gave_up
            and not self.disturbed.broken
            and not self.changed
        )

    def lines(self) -> Iterator[str]:
        """The verdict in words, what is wrong marked with an exclamation mark."""
        run = self.disturbed
        yield f"Verdict: {'good' if self.good else 'BAD'}"
        if run.gave_up:
            yield _line("broken off", False, printable(run.gave_up))
        if self.changed:
            yield _line("text", False, f"was changed while it was studied: {_some(self.changed)}")
        yield _line("result", self.same_result, self._result())
        yield _line("kills", self.all_struck, self._kills())
        yield _line("deaths", True, _by_kind(run.deaths))
        yield _line("restarts", True, f"{run.restarts:,}")
        yield _line("messages", True, f"{run.books.handled:,} handled, {_rate(run)}")
        if len(run.nodes) > 1:
            yield _line("nodes", not run.broken, self._nodes())
        yield _line("asked again", True, self._repeated())
        yield _line(
            "dead letters", True, _by_kind({str(k): n for k, n in run.dead_letters.items()})
        )
        yield _line("books", self.balanced, self._books())
        yield _line("left behind", not run.left_behind, _some(run.left_behind) or "nothing")
        yield _line(
            "time", True, f"{run.elapsed:.1f} s with kills, {self.elapsed:.1f} s undisturbed"
        )

    def _result(self) -> str:
        run = self.disturbed
        if self.same_result:
            return f"the same as undisturbed ({counted(run.editions, 'edition')}, {self.reference.digest})"
        if run.edition is None:
            return "none"
        if run.edition == self.reference:
            return "the last edition is right, but not every one was, or it is not what lies on the disk"
        return f"differs from undisturbed ({run.edition.digest}, not {self.reference.digest})"

    def _kills(self) -> str:
        run = self.disturbed
        manners = Counter(strike.manner for strike in run.struck)
        how = ", ".join(f"{manners[each]} {each}" for each in Manner if manners[each])
        missed = f"; missed: {_some([s.victim for s in run.missed])}" if run.missed else ""
        return (
            f"{len(run.struck)} of {self.ordered} asked for" + (f": {how}" if how else "") + missed
        )

    def _nodes(self) -> str:
        run = self.disturbed
        ended = counted(run.node_exits, "of their processes was", "of their processes were")
        broken = f"; the protocol was broken: {_some(run.broken)}" if run.broken else ""
        return f"{len(run.nodes)}: {', '.join(run.nodes)}; {ended} restarted{broken}"

    def _repeated(self) -> str:
        """A node that is killed takes messages along that nobody here can count: only that they are missed."""
        run = self.disturbed
        why = "; what was lost with killed nodes is in nobody's books, but among these"
        return f"{run.repeated:,}{why if run.node_exits else ''}"

    def _books(self) -> str:
        books = self.disturbed.books
        return (
            f"{books.sent:,} sent = {books.handled:,} handled + {books.dead_letters:,} dead letters"
            f" + {books.waiting:,} waiting"
            + (f" + {books.forwarded:,} forwarded to other nodes" if books.forwarded else "")
        )


def _line(name: str, good: bool, text: str) -> str:
    return f"{' ' if good else '!'} {name:<13} {text}"


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(map(printable, names[:_NAMED])) + rest


def _rate(run: Disturbed) -> str:
    return f"{run.books.handled / run.elapsed:,.0f}/s" if run.elapsed else "in no time"


def _by_kind(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    kinds = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    detail = ", ".join(f"{count:,} {kind}" for kind, count in kinds)
    return f"{total:,}: {detail}" if total else "none"
