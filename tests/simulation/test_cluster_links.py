"""Links between nodes: whoever is linked dies with the other; no child outlives the parent that started it elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import trio

import actorkit as ak
from actorkit.kernel.cell import Cell
from actorkit.testing import Sim, crash_actor, kill_actor
from tests.simulation.cluster import (
    DEATHS,
    FAILURES,
    NODES,
    TICKTIME,
    WEATHER,
    meshed,
    patiently,
)
from tests.simulation.law import law

Ties = dict[ak.Address, set[ak.Address]]
TIES: WeakKeyDictionary[Sim, Ties] = WeakKeyDictionary()


@ak.message
class Tie:
    """Link yourself to that one, and let it know."""

    to: ak.Ref[Tied]


@ak.message
class Tied:
    """Somebody has linked itself to you before it said so."""

    by: ak.Ref[Tied]


@ak.message
class Who(ak.Request[ak.Ref[Tied]]):
    """A reference to whoever answers."""


KNOT = ak.Key[Tie | Tied | Who]("knot")


class Knot(ak.Actor[Tie | Tied | Who]):
    """Linked with others; dies of their deaths."""

    def __init__(self, ties: Ties) -> None:
        self.ties = ties

    @ak.on(Tie)
    def tie(self, msg: Tie) -> None:
        try:
            self.ctx.link(msg.to)
        except ak.ActorDied:
            return
        self._note(msg.to)
        msg.to.tell(Tied(self.ctx.self))

    @ak.on(Tied)
    def tied(self, msg: Tied) -> None:
        self._note(msg.by)

    @ak.on(Who)
    def who(self, msg: Who) -> ak.Ref[Tied]:
        return self.ctx.self

    def _note(self, ref: ak.Ref[Tied]) -> None:
        self.ties.setdefault(self.ctx.self.address, set()).add(ref.address)


def living(sim: Sim, cls: type[ak.Actor[object]] | None = None) -> Iterator[Cell]:
    """The actors that live, on all nodes."""
    for node in sim.nodes.values():
        for cell in node.runtime.cells.values():
            if cls is None or cell.props.cls is cls:
                yield cell


async def boot_knots(sim: Sim, node: ak.Node) -> None:
    """Every node has a knot."""
    await node.spawn(ak.props(Knot, TIES.setdefault(sim, {})), name=KNOT)


async def tie_knots(node: ak.Node, place: int) -> None:
    """Tie knots of this node to those of others, for a while."""
    for step in range(5):
        try:
            knot = node.whereis(KNOT)
            if knot is None:
                return
            other = node.remote(NODES[(place + 1 + step % 2) % len(NODES)]).named(KNOT)
            knot.tell(Tie(await other.ask(Who(), timeout=3)))
        except FAILURES:
            pass
        await trio.sleep(0.5)


@law(
    nodes=NODES,
    boot=boot_knots,
    ticktime=TICKTIME,
    faults=[*WEATHER, *DEATHS, kill_actor("*:/knot"), crash_actor("*:/knot")],
    sometimes=["knots live", "knots are gone"],
)
async def test_the_living_are_linked_to_the_living(sim: Sim) -> None:
    """When all is healed, whoever lives has no link to anybody who is dead: the link would have killed it."""

    async def client(i: int) -> None:
        async def run(node: ak.Node) -> None:
            await tie_knots(node, i)

        await patiently(lambda: sim.on(NODES[i], run), tries=2)

    await sim.each(len(NODES), client)
    await meshed(sim)
    await sim.advance(2 * TICKTIME)
    alive = {cell.address for cell in living(sim)}
    ties = TIES.get(sim, {})
    sim.sometimes("knots live", any(ties.get(address) for address in alive))
    sim.sometimes("knots are gone", ties.keys() - alive)
    for address, others in ties.items():
        if address in alive:
            assert others <= alive, f"{address} lives, and its links {others - alive} are dead"


# Children ----------------------------------------------------------------------------------------------------------


@ak.message
class Bear(ak.Request[None]):
    """Start a child on that node."""

    where: str


class Infant(ak.Actor[Tied]):
    """Knows its parent."""

    def __init__(self, parent: ak.Ref[Bear]) -> None:
        self.parent = parent

    @ak.on(Tied)
    def tied(self, msg: Tied) -> None: ...


PARENT = ak.Key[Bear]("parent")


class Parent(ak.Actor[Bear]):
    """Has children on all nodes."""

    @ak.on(Bear)
    async def bear(self, msg: Bear) -> None:
        try:
            await self.ctx.spawn(ak.props(Infant, self.ctx.self), node=msg.where)
        except ak.StartError:
            return


async def boot_parent(_: Sim, node: ak.Node) -> None:
    """Every node has a parent."""
    await node.spawn(ak.props(Parent), name=PARENT)


async def bear(sim: Sim, node: ak.Node, place: int) -> None:
    """Have children on other nodes; when the parent dies, another one takes its place."""
    for step in range(4):
        where = NODES[(place + 1 + step) % len(NODES)]
        try:
            await node.named(PARENT).ask(Bear(where), timeout=8)
        except FAILURES:
            if node.whereis(PARENT) is None:
                sim.sometimes("parents die")
                await node.spawn(ak.props(Parent), name=PARENT)
        await trio.sleep(0.3)


@law(
    nodes=NODES,
    boot=boot_parent,
    ticktime=TICKTIME,
    faults=[*WEATHER, *DEATHS, kill_actor("*:/parent"), crash_actor("*:/parent")],
    sometimes=["infants live", "parents die"],
)
async def test_no_child_outlives_its_parent_elsewhere(sim: Sim) -> None:
    """When all is healed, every child on another node has a parent that lives, whenever and however the two lost each other."""

    async def client(i: int) -> None:
        async def run(node: ak.Node) -> None:
            await bear(sim, node, i)

        await patiently(lambda: sim.on(NODES[i], run), tries=2)

    await sim.each(len(NODES), client)
    await meshed(sim)
    await sim.advance(2 * TICKTIME)
    alive = {cell.address for cell in living(sim)}
    for node in sim.nodes.values():
        for cell in list(node.runtime.cells.values()):
            if isinstance(cell.actor, Infant):
                sim.sometimes("infants live")
                parent = cell.actor.parent.address
                assert parent in alive, f"{node.name}:{cell.path} outlives {parent}"
