"""News of nodes: up and lost take turns, and what a node says comes between the two."""

from __future__ import annotations

import trio

import actorkit as ak
from actorkit.testing import Sim
from tests.simulation.cluster import DEATHS, NODES, TICKTIME, WEATHER, meshed, patiently
from tests.simulation.law import insist, law


@ak.message
class Word:
    """Something that was said on a node."""

    node: str
    incarnation: int


LISTENER = ak.Key[Word]("listener")


class Listener(ak.Actor[Word]):
    """Knows who is up by what it was told."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.up: dict[str, int] = {}

    def started(self) -> None:
        node = ak.Node.of(self.ctx)
        self.up = dict(node.fabric.up())
        self.ctx.monitor_nodes()

    @ak.on(Word)
    def word(self, msg: Word) -> None:
        here = ak.Node.of(self.ctx)
        if msg.node != here.name:
            told = self.up.get(msg.node)
            insist(self.sim, told == msg.incarnation, f"{msg} comes while {told} is up")
            self.sim.sometimes("a word comes")

    def node_changed(self, notice: ak.NodeUp | ak.NodeLost, /) -> None:
        told = self.up.get(notice.node)
        if isinstance(notice, ak.NodeUp):
            insist(self.sim, told is None, f"{notice} comes while {told} is up")
            self.up[notice.node] = notice.incarnation
        else:
            insist(self.sim, told == notice.incarnation, f"{notice} comes while {told} is up")
            del self.up[notice.node]
            self.sim.sometimes(f"lost: {notice.reason.name}")


async def boot(sim: Sim, node: ak.Node) -> None:
    """Every node has a listener."""
    await node.spawn(ak.props(Listener, sim), name=LISTENER)


async def speak(node: ak.Node) -> None:
    """Say something to all, for a while."""
    for _ in range(6):
        for name in NODES:
            node.remote(name).named(LISTENER).tell(Word(node.name, node.incarnation))
        await trio.sleep(0.7)


@law(
    nodes=NODES,
    boot=boot,
    ticktime=TICKTIME,
    faults=[*WEATHER, *DEATHS],
    sometimes=["a word comes", "lost: CLOSED", "lost: TICK"],
)
async def test_up_and_lost_take_turns_and_words_come_between(sim: Sim) -> None:
    """Each ``NodeUp`` is followed by one ``NodeLost`` of that incarnation; whatever comes from a node comes between them."""

    async def client(i: int) -> None:
        await patiently(lambda: sim.on(NODES[i], speak), tries=2)

    await sim.each(len(NODES), client)
    await meshed(sim)
    await sim.settle()
    for name, node in sim.nodes.items():
        listener = node.whereis(LISTENER)
        assert listener is not None
        assert sorted(sim.state(listener)["up"]) == list(node.nodes()), f"what {name} was told"


@law(nodes=NODES, ticktime=TICKTIME, faults=[*WEATHER, *DEATHS])
async def test_two_nodes_have_one_connection(sim: Sim) -> None:
    """However they dialled each other, when all is healed there is one connection between every two nodes."""

    async def redial(i: int) -> None:
        async def run(node: ak.Node) -> None:
            for step in range(4):
                other = NODES[(i + 1 + step % 2) % len(NODES)]
                if step % 2:
                    await node.disconnect(other)
                await node.connect(f"{other}:4370" if step % 3 else other)

        await patiently(lambda: sim.on(NODES[i], run), tries=3)

    await sim.each(len(NODES), redial)
    await meshed(sim)
    await sim.advance(3 * TICKTIME)
    for one in NODES:
        for other in NODES:
            if one < other:
                connections = sim.network.connections(one, other)
                assert len(connections) == 1, f"{connections} are between {one} and {other}"
