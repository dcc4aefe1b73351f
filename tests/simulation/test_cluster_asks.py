"""Requests between nodes: every one ends, is handled at most once, and never reaches a stranger."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from weakref import WeakKeyDictionary

import attrs
import trio

import actorkit as ak
from actorkit.testing import NodeGone, Sim, kill_actor
from tests.simulation.cluster import (
    DEATHS,
    FAILURES,
    NODES,
    TICKTIME,
    WEATHER,
    meshed,
    patiently,
)
from tests.simulation.law import insist, law


@ak.message
class Work(ak.Request[str]):
    """Answered by the number, in some time, in some way."""

    number: str
    way: str


@ak.message
class Count(ak.StreamRequest[int]):
    """Answered by three numbers."""

    number: str


class Nope(ak.Refused):
    """A refusal."""


ITEMS = 3
WORKER = ak.Key[Work | Count]("worker")


class Worker(ak.Actor[Work | Count]):
    """Answers now, later, by another task, or not at all."""

    def __init__(self, handled: Counter[str]) -> None:
        self.handled = handled

    @ak.on(Work)
    async def work(self, msg: Work, reply: ak.Reply[str]) -> None:
        self.handled[msg.number] += 1
        match msg.way:
            case "slow":
                await self.ctx.sleep(0.3)
            case "on trio":
                await trio.sleep(0.3)
            case "refuse":
                raise Nope(msg.number)
            case "crash":
                raise ValueError(msg.number)
            case "elsewhere":
                self.ctx.start_soon(self._answer, msg.number, reply)
                return
            case _:
                pass
        reply.send(msg.number)

    async def _answer(self, number: str, reply: ak.Reply[str]) -> None:
        await trio.sleep(0.3)
        reply.send(number)

    @ak.on(Count)
    async def count(self, msg: Count) -> AsyncIterator[int]:
        self.handled[msg.number] += 1
        for number in range(ITEMS):
            await trio.sleep(0.1)
            yield number


WAYS = ("at once", "slow", "on trio", "refuse", "crash", "elsewhere")


async def hire(node: ak.Node, handled: Counter[str]) -> None:
    """Have a supervised worker on a node."""
    spec = ak.Child("worker", ak.props(Worker, handled), name=WORKER)
    await node.start(ak.supervise(spec, max_restarts=100))


HANDLED: WeakKeyDictionary[Sim, Counter[str]] = WeakKeyDictionary()


async def boot(sim: Sim, node: ak.Node) -> None:
    """Every node has a worker."""
    await hire(node, HANDLED.setdefault(sim, Counter()))


@attrs.frozen
class Clients:
    """Ask the workers of all nodes, without any time-out."""

    sim: Sim

    async def run(self, place: int) -> None:
        """Ask from one node until it is killed."""

        async def act(node: ak.Node) -> None:
            for step, way in enumerate(WAYS):
                worker = node.remote(NODES[(place + step) % len(NODES)]).named(WORKER)
                await self.ask(worker, f"{node.name}{node.incarnation}-{step}", way)
            worker = node.remote(NODES[(place + 1) % len(NODES)]).named(WORKER)
            for step in range(3):
                await self.read(worker, f"{node.name}{node.incarnation}-stream-{step}")

        await patiently(lambda: self.sim.on(NODES[place], act), tries=2)

    async def ask(self, worker: ak.Ref[Work], number: str, way: str) -> None:
        """It ends by the right reply, or for a good reason."""
        try:
            answer = await worker.ask(Work(number, way), timeout=None)
        except Nope as refusal:
            insist(self.sim, refusal.args == (number,), f"{refusal} is for {number}")
        except ak.NodeDown:
            self.sim.sometimes("a node is down")
        except ak.ActorDied:
            self.sim.sometimes("an actor died")
        else:
            insist(self.sim, answer == number, f"{answer} answers {number}")
            self.sim.sometimes("an answer comes")

    async def read(self, worker: ak.Ref[Count], number: str) -> None:
        """It gives all items in order, or the first of them and then a good reason."""
        got: list[int] = []
        try:
            async with worker.stream(Count(number), timeout=None, window=2) as items:
                async for item in items:
                    got.append(item)
        except (ak.NodeDown, ak.ActorDied):
            self.sim.sometimes("a stream breaks")
        else:
            insist(self.sim, len(got) == ITEMS, f"{got} is the whole stream {number}")
        insist(self.sim, got == list(range(len(got))), f"{got} is in order")


@law(
    nodes=NODES,
    boot=boot,
    ticktime=TICKTIME,
    faults=[*WEATHER, *DEATHS, kill_actor("*/worker")],
    sometimes=["an answer comes", "a node is down", "an actor died", "a stream breaks"],
)
async def test_every_request_ends_and_is_handled_at_most_once(sim: Sim) -> None:
    """Without any time-out: by a reply, by a refusal, or by the news that actor or node are out of reach."""
    handled = HANDLED.setdefault(sim, Counter())
    await sim.each(len(NODES), Clients(sim).run)
    await meshed(sim)
    twice = [number for number, times in handled.items() if times > 1]
    assert not twice, f"{twice} were handled twice"


# Strangers -------------------------------------------------------------------------------------------------------


@ak.message
class For:
    """Meant for one incarnation of one actor."""

    node: str
    incarnation: int
    serial: int


@ak.message
class Hello(ak.Request[ak.Ref[For]]):
    """Who are you?"""


@ak.message
class Meet:
    """Take this reference, and use it for long."""

    who: ak.Ref[For]


RESIDENT = ak.Key[For | Hello | Meet]("resident")


class Resident(ak.Actor[For | Hello | Meet]):
    """Knows for whom a message is meant."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.friends: list[ak.Ref[For]] = []

    @ak.on(Hello)
    def hello(self, msg: Hello) -> ak.Ref[For]:
        return self.ctx.self

    @ak.on(Meet)
    def meet(self, msg: Meet) -> None:
        self.friends = [*self.friends[-2:], msg.who]
        for friend in self.friends:
            there = friend.address
            friend.tell(For(there.node, there.incarnation, there.serial))

    @ak.on(For)
    def meant(self, msg: For) -> None:
        me = self.ctx.self.address
        mine = (msg.node, msg.incarnation, msg.serial) == (me.node, me.incarnation, me.serial)
        insist(self.sim, mine, f"{msg} reaches {me}")
        self.sim.sometimes("a friend is reached")


async def settle_in(sim: Sim, node: ak.Node) -> None:
    """Every node has a resident, as its first actor: they have the same number in every incarnation."""
    await node.spawn(ak.props(Resident, sim), name=RESIDENT)


async def restart(sim: Sim, name: str) -> None:
    """Kill a node and start it again, if no fault has killed it already."""
    await trio.sleep(1.5)
    if name in sim.nodes:
        sim.kill_node(name)
        try:
            await sim.restart_node(name)
        except NodeGone:
            return


@law(
    nodes=NODES,
    boot=settle_in,
    ticktime=TICKTIME,
    faults=[*WEATHER, *DEATHS],
    sometimes=["a friend is reached", "an old friend is kept"],
)
async def test_an_old_reference_never_reaches_a_stranger(sim: Sim) -> None:
    """Whoever made it, and through however many hands it went: what is sent to a dead incarnation reaches nobody."""

    async def introduce(node: ak.Node, i: int) -> None:
        friends: dict[str, ak.Ref[For]] = {}
        for step in range(4):
            other = NODES[(i + 1 + step % 2) % len(NODES)]
            with_friend = node.remote(NODES[(i + step) % len(NODES)]).named(RESIDENT)
            try:
                friend = await node.remote(other).named(RESIDENT).ask(Hello(), timeout=3)
            except FAILURES:
                await trio.sleep(1)
                continue
            known = friends.setdefault(other, friend)
            sim.sometimes("an old friend is kept", known.address != friend.address)
            for ref in (known, friend):
                with_friend.tell(Meet(ref))
                there = ref.address
                ref.tell(For(there.node, there.incarnation, there.serial))
            await trio.sleep(1)

    async def client(i: int) -> None:
        async def run(node: ak.Node) -> None:
            await introduce(node, i)

        await patiently(lambda: sim.on(NODES[i], run), tries=3)

    async def clients() -> None:
        await sim.each(len(NODES), client)

    async def restarter() -> None:
        await restart(sim, "b")

    await sim.together(clients, restarter)
    await meshed(sim)
