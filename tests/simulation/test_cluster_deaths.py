"""Deaths across nodes: one ``Down`` per monitor and one ``Exit`` per link, whatever becomes of the network and of nodes."""

from __future__ import annotations

from typing import Any

import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, kill_actor
from tests.simulation.cluster import DEATHS, NODES, TICKTIME, WEATHER, meshed, patiently
from tests.simulation.law import insist, law

NO_CONNECTION = ak.NoConnection()


@ak.message
class End:
    """End in some way."""

    way: str


@ak.message
class Take:
    """Watch or link an actor, or cease to."""

    what: str
    who: ak.Ref[End]


TARGET = ak.Key[End]("target")


class Target(ak.Actor[End]):
    """Ends in some way."""

    @ak.on(End)
    def end(self, msg: End) -> None:
        match msg.way:
            case "crash":
                raise ValueError("told to")
            case "stop":
                self.ctx.stop(ak.Shutdown("told to"))
            case _:
                raise ak.Stop(ak.Failed("told to"))


class Watcher(ak.Actor[Take]):
    """Keeps its own books of what it may still hear."""

    trap_exits = True

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.monitors: dict[ak.Monitor, ak.Ref[End]] = {}
        self.links: set[ak.Address] = set()
        self.heard = 0

    @ak.on(Take)
    def take(self, msg: Take) -> None:
        ref = msg.who
        match msg.what:
            case "watch":
                self.monitors[self.ctx.watch(ref)] = ref
            case "unwatch":
                for monitor in [m for m, r in self.monitors.items() if r == ref]:
                    self.ctx.unwatch(monitor)
                    del self.monitors[monitor]
            case "link":
                self.ctx.link(ref)
                self.links.add(ref.address)
            case _:
                self.ctx.unlink(ref)
                self.links.discard(ref.address)

    def down(self, down: ak.Down) -> None:
        insist(self.sim, down.monitor in self.monitors, f"{down} is wanted, and the first")
        self.monitors.pop(down.monitor, None)
        self.heard += 1
        self.sim.sometimes("a monitor fires", down.reason != NO_CONNECTION)
        self.sim.sometimes("a monitor fires without a connection", down.reason == NO_CONNECTION)

    def exited(self, signal: ak.Exit, /) -> None:
        insist(self.sim, signal.address in self.links, f"{signal} is wanted, and the first")
        if signal.address is not None:
            self.links.discard(signal.address)


async def boot(sim: Sim, node: ak.Node) -> None:
    """Every node has a target and a watcher."""
    await node.spawn(ak.props(Target), name=TARGET)
    await node.spawn(ak.props(Watcher, sim), name="watcher")


PLANS = (
    ("watch", "link", "watch", "unwatch", "watch", "unlink"),
    ("link", "watch", "unlink", "link", "watch", "link"),
    ("watch", "unwatch", "watch", "watch", "link", "watch"),
)
WAYS = ("crash", "stop", "raise")


def watcher_of(node: ak.Node) -> ak.Ref[Take] | None:
    """The watcher of a node, if it has not been killed."""
    found: ak.Ref[Any] | None = node.whereis(ak.Key[Take]("watcher"))
    return found


async def take_all(node: ak.Node, plan: tuple[str, ...]) -> None:
    """Let the watcher of a node do what a plan says to the targets of all nodes."""
    for step, what in enumerate(plan):
        target = await target_at(node, NODES[step % len(NODES)])
        watcher = watcher_of(node)
        if target is not None and watcher is not None:
            watcher.tell(Take(what, target))
        await trio.sleep(0.3 * (step % 2))


async def target_at(node: ak.Node, where: str) -> ak.Ref[End] | None:
    """The target of a node, as another one sees it."""
    if where == node.name:
        return node.whereis(TARGET)

    async def find() -> ak.Ref[End] | None:
        return await node.remote(where).whereis(TARGET)

    found: ak.Ref[End] | None = await patiently(find, tries=2)
    return found


async def end_target(sim: Sim, name: str, way: str) -> None:
    """Let the target of a node end, and start another one."""
    await trio.sleep(0.5)
    node = sim.nodes.get(name)
    if node is None:
        return
    node.named(TARGET).tell(End(way))

    async def again() -> None:
        current = sim.nodes.get(name)
        if current is not None:
            await current.spawn(ak.props(Target), name=TARGET)

    await patiently(again, tries=2)


@law(
    nodes=NODES,
    boot=boot,
    ticktime=TICKTIME,
    faults=[*WEATHER, *DEATHS, kill_actor("*:/target"), crash_actor("*:/target")],
    sometimes=["a monitor fires", "a monitor fires without a connection"],
)
async def test_every_monitor_and_link_across_nodes_hears_once(sim: Sim) -> None:
    """Each active monitor and link of a living watcher hears exactly once; no other hears anything."""

    async def take(i: int) -> None:
        async def client(node: ak.Node) -> None:
            await take_all(node, PLANS[i])

        await patiently(lambda: sim.on(NODES[i], client), tries=2)

    async def end(i: int) -> None:
        await end_target(sim, NODES[i], WAYS[i])

    async def all_take() -> None:
        await sim.each(len(NODES), take)

    async def all_end() -> None:
        await sim.each(len(NODES), end, name="killer")

    await sim.together(all_take, all_end)
    await meshed(sim)
    for node in sim.nodes.values():
        node.named(TARGET).kill()
    watchers = [w for node in sim.nodes.values() if (w := watcher_of(node)) is not None]

    def all_heard() -> bool:
        return not any(sim.state(w)["monitors"] or sim.state(w)["links"] for w in watchers)

    await sim.eventually(all_heard, "whoever watched or was linked has been told")
