"""Links and monitors as one table per node: who must hear of which death, exactly once.

Two rules stand at the head of this file. Every entry can be found from both of its ends, so a death removes all
trace of the dead. And an entry is removed in the same step that returns it, so nobody hears twice.

The table knows nothing of actors: a party is anything hashable. Rules from OTP: at most one link per pair, a link to
oneself is a no-op, any number of monitors per pair, each firing at most once (``erl_link_SUITE``, ``monitor_SUITE``).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

import attrs

from actorkit.kernel.exits import Monitor

P = TypeVar("P", bound=Hashable)


@attrs.frozen(slots=True)
class Watch(Generic[P]):
    """One monitor: who watches whom, and by which name if by name."""

    monitor: Monitor
    watcher: P
    target: P
    name: str | None = None


@attrs.frozen(slots=True)
class Mourners(Generic[P]):
    """Who must hear of one death, in the order in which they asked to."""

    linked: tuple[P, ...]
    watches: tuple[Watch[P], ...]
    held: tuple[Watch[P], ...] = attrs.field(default=(), eq=False)  # by the dead one, on others


class Relations(Generic[P]):
    """The links and monitors of one node."""

    __slots__ = ("_links", "_next", "_of_target", "_of_watcher", "_watches")

    def __init__(self) -> None:
        self._links: dict[P, dict[P, None]] = {}
        self._watches: dict[Monitor, Watch[P]] = {}
        self._of_target: dict[P, dict[Monitor, None]] = {}
        self._of_watcher: dict[P, dict[Monitor, None]] = {}
        self._next = 1

    def __len__(self) -> int:
        """The number of entries, each link counted once: zero means nothing is leaked."""
        return sum(len(peers) for peers in self._links.values()) // 2 + len(self._watches)

    def link(self, one: P, other: P) -> bool:
        """Link two parties; linking twice, or to oneself, changes nothing. Tells whether it is a new link."""
        new = one != other and other not in self._links.get(one, ())
        if new:
            self._links.setdefault(one, {})[other] = None
            self._links.setdefault(other, {})[one] = None
        return new

    def unlink(self, one: P, other: P) -> bool:
        """Remove a link from either end; tells whether there was one."""
        return self._unlink_half(one, other) and self._unlink_half(other, one)

    def _unlink_half(self, one: P, other: P) -> bool:
        peers = self._links.get(one)
        if peers is None or other not in peers:
            return False
        del peers[other]
        if not peers:
            del self._links[one]
        return True

    def linked(self, party: P) -> tuple[P, ...]:
        """Whom a party is linked to, oldest link first."""
        return tuple(self._links.get(party, ()))

    def new_monitor(self) -> Monitor:
        """A monitor handle never used before on this node."""
        monitor = Monitor(self._next)
        self._next += 1
        return monitor

    def watch(self, watcher: P, target: P, name: str | None = None) -> Monitor:
        """Let ``watcher`` hear of the death of ``target``, once per call."""
        return self.enter(watcher, target, name).monitor

    def enter(
        self, watcher: P, target: P, name: str | None = None, monitor: Monitor | None = None
    ) -> Watch[P]:
        """As ``watch``, and return the whole entry; with a handle made before, if one is given."""
        watch = Watch(monitor or self.new_monitor(), watcher, target, name)
        self._watches[watch.monitor] = watch
        self._of_target.setdefault(target, {})[watch.monitor] = None
        self._of_watcher.setdefault(watcher, {})[watch.monitor] = None
        return watch

    def unwatch(self, monitor: Monitor, watcher: P | None = None) -> Watch[P] | None:
        """Remove a monitor and return it; None if it is unknown, has fired, or is not ``watcher``'s, if one is given."""
        watch = self._watches.get(monitor)
        if watch is None or (watcher is not None and watch.watcher != watcher):
            return None
        del self._watches[monitor]
        _drop(self._of_target, watch.target, monitor)
        _drop(self._of_watcher, watch.watcher, monitor)
        return watch

    def watched_by(self, target: P) -> tuple[P, ...]:
        """Who watches a party, once per monitor."""
        return tuple(self._watches[m].watcher for m in self._of_target.get(target, ()))

    def watching(self, watcher: P) -> tuple[P, ...]:
        """Whom a party watches, once per monitor."""
        return tuple(self._watches[m].target for m in self._of_watcher.get(watcher, ()))

    def bury(self, party: P) -> Mourners[P]:
        """Remove every trace of a dead party and return who must hear of its death."""
        linked = self.linked(party)
        for peer in linked:
            self.unlink(party, peer)
        watches = tuple(self._watches[m] for m in self._of_target.get(party, ()))
        held = tuple(self._watches[m] for m in self._of_watcher.get(party, ()))
        for monitor in (*self._of_target.get(party, ()), *self._of_watcher.get(party, ())):
            self.unwatch(monitor)
        return Mourners(linked, watches, held)


def _drop(index: dict[P, dict[Monitor, None]], party: P, monitor: Monitor) -> None:
    entries = index.get(party)
    if entries is not None:
        entries.pop(monitor, None)
        if not entries:
            del index[party]
