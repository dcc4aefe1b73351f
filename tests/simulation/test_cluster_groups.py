"""Process groups: once all is healed, every node knows the same members, and whoever watched has been told of each change."""

from __future__ import annotations

from collections import Counter

import trio

import actorkit as ak
from actorkit.testing import Sim, kill_actor
from tests.simulation.cluster import DEATHS, NODES, TICKTIME, WEATHER, meshed, patiently
from tests.simulation.law import insist, law


@ak.message
class Nothing:
    """Says nothing."""


READERS = ak.Group[Nothing]("readers")


class Member(ak.Actor[Nothing]):
    """Is there."""

    @ak.on(Nothing)
    def nothing(self, msg: Nothing) -> None: ...


class Watcher(ak.Actor[Nothing]):
    """Knows the members by what it was told, and nothing else."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.members: Counter[ak.Address] = Counter()

    def started(self) -> None:
        self.members.update(ref.address for ref in self.ctx.watch_group(READERS))

    @ak.on(Nothing)
    def nothing(self, msg: Nothing) -> None: ...

    def group_changed(self, notice: ak.GroupChanged, /) -> None:
        for ref in notice.left:
            insist(self.sim, self.members[ref.address], f"{ref} leaves, and was a member")
            self.members[ref.address] -= 1
        self.members.update(ref.address for ref in notice.joined)
        self.sim.sometimes("members leave", notice.left)


WATCHER = ak.Key[Nothing]("watcher")


async def boot(sim: Sim, node: ak.Node) -> None:
    """Every node has two members, one of them twice, and a watcher."""
    for times in (1, 2):
        ref = await node.spawn(ak.props(Member), name=f"member-{times}")
        for _ in range(times):
            node.join(READERS, ref)
    await node.spawn(ak.props(Watcher, sim), name=WATCHER)


async def come_and_go(node: ak.Node) -> None:
    """Let members of a node join and leave."""
    for number in range(4):
        ref = node.whereis(ak.Key[Nothing](f"member-{1 + number % 2}"))
        if ref is None:
            ref = await node.spawn(ak.props(Member), name=f"member-{1 + number % 2}")
        if number % 4 == 1:
            node.leave(READERS, ref)
        else:
            node.join(READERS, ref)
        await trio.sleep(0.3)


def members(node: ak.Node) -> Counter[ak.Address]:
    """Who is a member, as a node sees it, and how often."""
    return Counter(ref.address for ref in node.members(READERS))


@law(
    nodes=NODES,
    boot=boot,
    ticktime=TICKTIME,
    faults=[*WEATHER, *DEATHS, kill_actor("*:/member-*")],
    sometimes=["members leave"],
)
async def test_groups_converge_when_all_is_healed(sim: Sim) -> None:
    """All nodes see the same members: those that are members where they live. So does whoever was told of each change."""

    async def client(i: int) -> None:
        await patiently(lambda: sim.on(NODES[i], come_and_go), tries=2)

    await sim.each(len(NODES), client)
    await meshed(sim)

    def truth() -> Counter[ak.Address]:
        found: Counter[ak.Address] = Counter()
        for node in sim.nodes.values():
            found.update(ref.address for ref in node.local_members(READERS))
        return found

    def agreed() -> bool:
        return all(members(node) == truth() for node in sim.nodes.values())

    def told() -> bool:
        watchers = [node.whereis(WATCHER) for node in sim.nodes.values()]
        return all(+sim.state(w)["members"] == truth() for w in watchers if w is not None)

    await sim.eventually(agreed, "all nodes see the same members")
    await sim.eventually(told, "whoever watched was told of every change")
    assert truth(), "somebody is a member"
