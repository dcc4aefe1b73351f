"""Looks in on the readers of other nodes, for those who look on here."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import trio

import actorkit as ak

GLANCES_PER_SECOND = 4


@attrs.frozen
class Glimpse:
    """What was seen of an actor on another node.

    Attributes:
        handled: messages it has handled.
        waiting: messages that wait for it.
        doing: what it says it is doing.
    """

    handled: int = 0
    waiting: int = 0
    doing: str = ""


class Scout:
    """Asks other nodes for their trees, now and then; they have to grant ``inspect``.

    Attributes:
        seen: what was last seen of each actor, by node and the last part of its path.
    """

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], Glimpse] = {}

    async def run(self, node: ak.Node, others: Iterable[str]) -> None:
        """Look around until cancelled."""
        async with trio.open_nursery() as nursery:
            for name in others:
                nursery.start_soon(self._follow, node.remote(name))

    async def _follow(self, there: ak.RemoteNode) -> None:
        while True:
            if there.up:
                try:
                    await self._look(there)
                except (ak.AskError, ak.NodeError, TimeoutError):
                    pass  # it was lost meanwhile, or the actor was; what is missing is seen next time
            await trio.sleep(1 / GLANCES_PER_SECOND)

    async def _look(self, there: ak.RemoteNode) -> None:
        for top in await there.tree():
            status = await there.status(top.path)
            doing = str(status.details.get("doing", "")).strip("'\"")  # it comes as its repr
            glimpse = Glimpse(top.handled, top.waiting, doing)
            self.seen[there.name, top.path.rpartition("/")[2]] = glimpse
