"""Which readers live, and on which node.

What happens to an actor on another node is told there, not here. But readers have a supervisor, and that one lives here: it
tells whom it has started and who has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import actorkit as ak
from actorkit.demo.messages import READING, ReaderMessage
from actorkit.demo.scout import Glimpse
from actorkit.supervision.requests import WhichChildren

_READER = "Reader"


class Roster:
    """The readers by name, with their lasting references.

    Attributes:
        refs: how to reach them, whichever node they are on by now.
        path: where their supervisor stands in the tree.
        abroad: whether they live on other nodes.
    """

    def __init__(
        self, refs: Mapping[str, ak.Ref[ReaderMessage]], path: str, *, abroad: bool
    ) -> None:
        self.refs = refs
        self.path = path
        self.abroad = abroad
        self._homes = {name: ref.address for name, ref in refs.items()}

    def lives(self, name: str) -> bool:
        """Whether a reader lives, as far as is known here."""
        return name in self._homes and self.refs[name].alive

    def place_of(self, name: str) -> str:
        """The node that a reader lives on; empty if it lives on none."""
        return self._homes[name].node if self.lives(name) else ""

    def note(self, event: object) -> tuple[ak.Started | ak.Stopped, ...]:
        """Take in what supervisors tell; returns what that means for readers abroad, as if they had lived here."""
        match event:
            case ak.ChildStarted(supervisor=self.path, child=child):
                self._homes[child.id] = self.refs[child.id].address
                return self.births((child.id,))
            case ak.ChildTerminated(supervisor=self.path, child=child, reason=reason):
                return self._deaths((child.id,), reason)
            case (
                ak.Stopped(path=self.path, reason=reason)
                | ak.DidNotStart(path=self.path, reason=reason)
            ):  # they are linked to it
                return self._deaths(tuple(self._homes), reason)
            case _:
                return ()

    def births(self, names: Iterable[str]) -> tuple[ak.Started, ...]:
        """The events that a kernel tells births by, of readers abroad."""
        if not self.abroad:
            return ()
        return tuple(ak.Started(f"{self.path}/{n}", self._homes[n], _READER) for n in names)

    def _deaths(self, names: Iterable[str], reason: ak.ExitReason) -> tuple[ak.Stopped, ...]:
        gone = {name: self._homes.pop(name) for name in names if name in self._homes}
        if not self.abroad:
            return ()
        return tuple(
            ak.Stopped(f"{self.path}/{name}", address, _READER, reason, 0)
            for name, address in gone.items()
        )

    def branches(self, seen: Mapping[tuple[str, str], Glimpse]) -> tuple[ak.Branch, ...]:
        """The readers abroad as they would stand in the tree here."""
        living = [name for name in self.refs if self.abroad and self.lives(name)]
        glimpses = {name: seen.get((self.place_of(name), name), Glimpse()) for name in living}
        return tuple(
            ak.Branch(f"{self.path}/{name}", _READER, "running", glimpse.handled, glimpse.waiting)
            for name, glimpse in glimpses.items()
        )


async def call_the_roll(system: ak.System, *, abroad: bool) -> Roster:
    """Who reads: to be asked when the tree stands."""
    reading = system.whereis(READING)
    assert reading is not None, "the tree stands"
    children = await reading.ask(WhichChildren(), timeout=None)
    return Roster({child.id: child.ref for child in children}, reading.path, abroad=abroad)
