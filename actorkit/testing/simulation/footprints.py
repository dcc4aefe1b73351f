"""What each turn of a run touches that others could touch, too: what a search through all interleavings must know.

It is seen by comparing the system before and after a turn: in whose mailbox there is more, who was killed, told to end, linked,
watched, suspended. Looks that leave no trace (whether an actor lives, who holds a name) are noted by the recorded references
and names. What clients of a test share among themselves, such as lists and trio's events, is not seen: two turns that only
differ in the order in which they touch those count as one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs

from actorkit.kernel.cell import Cell

if TYPE_CHECKING:
    from actorkit.testing.stepped import SteppedDispatcher


@attrs.frozen(slots=True)
class _Print:
    """One actor at one moment.

    Attributes:
        life: what others may do to it: order it to end, kill, link, watch it, and so on.
        mail: what waits; kept, so that identities last.
    """

    life: tuple[Any, ...]
    mail: tuple[Any, ...]

    def has_more_than(self, other: _Print) -> bool:
        """Whether something waits that did not wait before."""
        return bool(Counter(map(id, self.mail)) - Counter(map(id, other.mail)))


class Footprints:
    """Tells what was touched in each turn."""

    def __init__(self) -> None:
        self._dispatchers: list[SteppedDispatcher] = []
        self._before: dict[str, _Print] = {}

    def watch(self, dispatcher: SteppedDispatcher) -> None:
        """A system was opened."""
        self._dispatchers.append(dispatcher)

    def since(self, label: str) -> frozenset[str]:
        """What was touched since this was last asked, in a turn of ``label``."""
        owner = label.partition(" (")[0]
        found = {owner} if owner.startswith("/") else set[str]()
        now: dict[str, _Print] = {}
        for dispatcher in self._dispatchers:
            if dispatcher.recorder is not None:
                found |= dispatcher.recorder.touched
                dispatcher.recorder.touched.clear()
            for cell in dispatcher.runtime.all_cells():
                now[cell.path] = _print_of(cell)
        for path in {**self._before, **now}:
            found |= _touched(path, self._before.get(path), now.get(path), own=path == owner)
        self._before = now
        return frozenset(found)


def _print_of(cell: Cell) -> _Print:
    relations = cell.runtime.relations
    life = (
        cell.serial,
        cell.state,
        cell.doomed,
        cell.leave,
        cell.suspended,
        len(cell.control or ()),
        len(cell.waiters or ()),
        len(cell.senders or ()),
        len(cell.deferred or ()),
        tuple(other.path for other in relations.linked(cell)),
        tuple(other.path for other in relations.watched_by(cell)),
    )
    return _Print(life, tuple(cell.queue))


def _touched(path: str, before: _Print | None, now: _Print | None, *, own: bool) -> set[str]:
    """What a turn did to one actor; what an actor does to itself is its own business unless others send or look."""
    mail = f"mail:{path}"
    if before is None or now is None or before.life[:2] != now.life[:2]:
        return {path, mail}
    if own:
        return {mail} if now.has_more_than(before) else set()
    if before.life != now.life or len(now.mail) < len(before.mail):
        return {path, mail}
    return {mail} if now.has_more_than(before) else set()
