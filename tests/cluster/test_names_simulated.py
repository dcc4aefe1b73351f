"""Cluster-wide names on simulated nodes: whatever becomes of the network and of nodes, in the end all know the same holder."""

from __future__ import annotations

from collections.abc import Awaitable

import trio

import actorkit as ak
from actorkit.cluster.names import NameConflict
from actorkit.testing import Sim, kill_actor
from tests.simulation.cluster import DEATHS, NODES, TICKTIME, WEATHER, meshed, patiently
from tests.simulation.law import law

KING = ak.Key[object]("king")
NOBLE = ak.Key[object]("noble")
PLANS = (
    ("register", "move", "unregister", "register"),
    ("register", "unregister", "move", "register"),
    ("move", "register", "register", "unregister"),
)


class Noble(ak.Actor[object]):
    """Somebody who may be king."""

    @ak.on(object)
    def hear(self, msg: object) -> None:
        """Nothing of interest."""


async def boot(sim: Sim, node: ak.Node) -> None:
    """Every node has a noble; conflicts are noted."""
    await node.spawn(ak.props(Noble), name=NOBLE)
    node.events.subscribe(lambda _: sim.sometimes("partitions joined with two kings"), NameConflict)


async def do(sim: Sim, node: ak.Node, what: str) -> None:
    """One step of a plan."""
    noble = node.whereis(NOBLE)
    act: Awaitable[object]
    if what == "unregister" or noble is None:
        act = node.unregister(KING)
    elif what == "move":
        act = node.re_register(KING, noble, resolve="kill_loser")
    else:
        act = node.register(KING, noble)
    try:
        await act
    except ak.AlreadyStarted:
        sim.sometimes("a name is taken")
    else:
        sim.sometimes("a name is not taken")


def agreed(sim: Sim) -> bool:
    """Whether all nodes know the same holder, who lives, and nobody waits for anything."""
    holders = {node.whereis_global(KING) for node in sim.nodes.values()}
    addresses = {ref.address if ref is not None else None for ref in holders}
    alive = any(ref is None or (ref.address.node in sim.nodes and ref.alive) for ref in holders)
    return len(addresses) == 1 and alive


@law(
    nodes=NODES,
    boot=boot,
    ticktime=TICKTIME,
    faults=[*WEATHER, *DEATHS, kill_actor("*:/noble"), kill_actor("*:/actorkit.names")],
    sometimes=["a name is taken", "a name is not taken", "partitions joined with two kings"],
)
async def test_in_the_end_all_nodes_know_the_same_holder(sim: Sim) -> None:
    """And once every noble is dead the name is free, and nothing is left of it."""

    async def client(i: int) -> None:
        for what in PLANS[i]:

            async def step(what: str = what) -> None:
                await sim.on(NODES[i], lambda node: do(sim, node, what))

            with trio.move_on_after(60):
                await patiently(step, tries=2)
            await trio.sleep(0.5 * i)

    await sim.each(len(NODES), client)
    await meshed(sim)
    await sim.eventually(lambda: agreed(sim), "all nodes know the same holder")
    for node in sim.nodes.values():
        node.named(NOBLE).kill()

    def nothing_left() -> bool:
        return not any(len(node._names) for node in sim.nodes.values())  # noqa: SLF001

    await sim.eventually(nothing_left, "nothing is left of the name")
