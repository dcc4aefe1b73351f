"""Messages between nodes: each pair in order, none twice, none missing in between, none after the news of its sender's death."""

from __future__ import annotations

import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, kill_actor, simulate
from tests.simulation.cluster import DEATHS, NODES, TICKTIME, WEATHER, meshed, patiently
from tests.simulation.law import insist, law

NO_CONNECTION = ak.NoConnection()
LARGE = bytes(70_000)  # travels in pieces, between which other mail goes


@ak.message
class Said:
    """The ``number``-th message of a sender to this receiver."""

    sender: ak.Ref[Go]
    number: int
    content: bytes


@ak.message
class Go:
    """Say something to that one, so many times, and something large in between; then end, if that is the last word."""

    to: ak.Ref[Said]
    times: int
    last: bool


SENDER = ak.Key[Go]("sender")
RECEIVER = ak.Key[Said]("receiver")


class Sender(ak.Actor[Go]):
    """Counts what it says, to each receiver by itself."""

    def __init__(self) -> None:
        self.said: dict[ak.Address, int] = {}

    @ak.on(Go)
    async def go(self, msg: Go) -> None:
        to = msg.to.address
        for time in range(msg.times):
            number = self.said[to] = self.said.get(to, 0) + 1
            said = Said(self.ctx.self, number, LARGE if time == 1 else b"")
            if time % 2:
                msg.to.tell(said)
            else:
                await msg.to.send(said)
        if msg.last:
            self.ctx.stop()


class Receiver(ak.Actor[Said]):
    """Watches whoever speaks to it, and holds them to the law."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.last: dict[ak.Address, int] = {}
        self.watched: dict[ak.Monitor, ak.Address] = {}
        self.gone: dict[ak.Address, ak.ExitReason] = {}

    @ak.on(Said)
    def said(self, msg: Said) -> None:
        who, last = msg.sender.address, self.last.get(msg.sender.address, 0)
        gone = self.gone.get(who)
        insist(self.sim, gone is None, f"nothing comes from {who} after the news that it is {gone}")
        insist(self.sim, msg.number > last, f"{msg.number} of {who} is not before {last}")
        if who in self.watched.values():
            insist(self.sim, msg.number == last + 1, f"{msg.number} of {who} comes next to {last}")
        else:
            if last and msg.number > last + 1:
                self.sim.sometimes("some are lost with a connection")
            self.watched[self.ctx.watch(msg.sender)] = who
        self.last[who] = msg.number

    def down(self, down: ak.Down) -> None:
        who = self.watched.pop(down.monitor)
        if down.reason != NO_CONNECTION:
            self.gone[who] = down.reason
            self.sim.sometimes("a sender dies")


async def boot(sim: Sim, node: ak.Node) -> None:
    """Every node has a receiver."""
    await node.spawn(ak.props(Receiver, sim), name=RECEIVER)


async def let_say(node: ak.Node, rounds: int) -> None:
    """Have something said to the receivers of all nodes, a few times."""
    for each in range(rounds):
        for name in NODES:
            to = await receiver_at(node, name)
            sender = node.whereis(SENDER) or await node.spawn(ak.props(Sender), name=SENDER)
            if to is not None:
                sender.tell(Go(to, 3, each == 1 and name == "b"))
        await trio.sleep(0.4)


async def receiver_at(node: ak.Node, where: str) -> ak.Ref[Said] | None:
    """The receiver of a node, as another one sees it."""
    if where == node.name:
        return node.whereis(RECEIVER)
    found: ak.Ref[Said] | None = await patiently(
        lambda: node.remote(where).whereis(RECEIVER), tries=2
    )
    return found


@law(
    nodes=NODES,
    boot=boot,
    ticktime=TICKTIME,
    faults=[*WEATHER, *DEATHS, kill_actor("*:/sender"), crash_actor("*:/sender")],
    sometimes=["a sender dies"],
)
async def test_each_pair_in_order_and_nothing_after_a_death(sim: Sim) -> None:
    """What one actor sends another arrives in order, once; gaps only where a connection broke; nothing after its ``Down``."""

    async def say(i: int) -> None:
        async def client(node: ak.Node) -> None:
            await let_say(node, 3)

        await patiently(lambda: sim.on(NODES[i], client), tries=2)

    await sim.each(len(NODES), say)
    await meshed(sim)


@simulate(nodes=NODES, boot=boot, seed=1, examples=10)
async def test_who_watches_the_dead_is_answered_behind_their_last_words(sim: Sim) -> None:
    """However large these are: the monitor was set when the actor had ended, and its words were still on their way."""
    b = sim.nodes["b"]
    sender = await b.spawn(ak.props(Sender))
    receiver = await b.remote("a").whereis(RECEIVER)
    assert receiver is not None
    for last in (False, False, True):
        sender.tell(Go(receiver, 2, last))
    await sim.advance(1)
    there = sim.nodes["a"].whereis(RECEIVER)
    assert there is not None
    assert list(sim.state(there)["last"].values()) == [6]
    assert len(sim.state(there)["gone"]) == 1
