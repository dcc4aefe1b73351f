"""Bugs in the house itself: kernels that lose or double what they should carry, and journals that lie."""

from __future__ import annotations

from typing import Any

import actorkit as ak
from actorkit.errors import ActorDied
from actorkit.kernel.cell import Cell
from actorkit.kernel.events import DeadReason
from actorkit.testing import Sim, custom, kill_actor
from actorkit.testing.disk import Keep, MemoryDisk
from tests.planted.registry import planted


@ak.message
class Append(ak.Request[int]):
    word: str


@ak.message
class Words(ak.Request[tuple[str, ...]]): ...


class Store:
    """The disk under a journal, across power cuts; and what was acknowledged."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.acknowledged: list[str] = []

    def power_cut(self, sim: Sim) -> None:
        """The machine goes down: the disk keeps what was synced, and the journal's actor is gone."""
        self.disk = self.disk.power_cut(Keep())
        for cell in list(sim.system.runtime.cells.values()):
            if cell.props.cls is Journal:
                cell.ref.kill()


class Journal(ak.Actor[Append | Words]):
    """Keeps words on a disk, one a line; the wrong one answers before they are safe there."""

    def __init__(self, store: Store, *, wrong: bool) -> None:
        self.store, self.wrong = store, wrong

    def started(self) -> None:
        disk = self.store.disk
        self.file = disk.open("journal")
        disk.sync_dir()

    @ak.on(Append)
    async def append(self, msg: Append, reply: ak.Reply[int]) -> None:
        self.file.append(f"{msg.word}\n".encode())
        if self.wrong:
            reply.send(self.file.size())
        await self.ctx.offload(self.file.sync)
        if not self.wrong:
            reply.send(self.file.size())

    @ak.on(Words)
    def words(self, msg: Words) -> tuple[str, ...]:
        return tuple(self.file.read().decode().split())


STORES: dict[int, Store] = {}


def _cut(sim: Sim) -> bool:
    store = STORES.get(id(sim))
    if store is not None:
        store.power_cut(sim)
    return store is not None


@planted(faults=[custom("power cut", _cut)], budget=300)
async def acknowledged_before_the_write(sim: Sim, wrong: bool) -> None:
    """The journal says "done" and then writes; the power goes in between."""
    store = STORES[id(sim)] = Store()
    try:
        spec = ak.Child("journal", ak.props(Journal, store, wrong=wrong))
        journal = (await sim.start(ak.supervise(spec, max_restarts=50))).child(spec)
        for word in ("one", "two", "three"):
            try:
                await journal.ask(Append(word))
                store.acknowledged.append(word)
            except ActorDied:
                continue
        await sim.heal_and_settle()
        found = await journal.ask(Words())
        assert set(store.acknowledged) <= set(found), "an acknowledged word is lost"
    finally:
        del STORES[id(sim)]


class Numbered(ak.Actor[Append]):
    """Answers with a number."""

    def __init__(self) -> None:
        self.count = 0

    @ak.on(Append)
    def append(self, msg: Append) -> int:
        self.count += 1
        return self.count


@planted(faults=[kill_actor()], budget=100)
async def mail_that_vanishes(sim: Sim, wrong: bool) -> None:
    """A kernel that forgets a dead actor's mailbox: its messages are no dead letters, and nobody misses them."""
    runtime = sim.system.runtime
    if wrong:
        proper = runtime.turn_away

        def forget(cell: Cell, why: DeadReason) -> None:
            cell.queue.clear() if cell.queue else None
            proper(cell, why)

        runtime.turn_away = forget  # type: ignore[method-assign]
    actor = await sim.spawn(Numbered)
    for word in "abc":
        actor.tell(Append(word))
    actor.kill()
    await sim.settle()


class Mourner(ak.Actor[Append]):
    """Hears of deaths."""

    def __init__(self, heard: list[Any]) -> None:
        self.heard = heard

    @ak.on(Append)
    def append(self, msg: Append) -> int:
        return 0

    def down(self, down: ak.Down) -> None:
        self.heard.append(down)
