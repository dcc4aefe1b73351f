"""Mail survives restarts: what waits when a child dies, or is sent until it is back, is handled by the next one, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import attrs
import trio

import actorkit as ak
from actorkit.supervision.spec import Strategy
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import KillInAnyState, insist, law, start

ROUNDS = 4


@ak.message
class Item:
    sender: str
    number: int


@ak.message
class Ask(ak.Request[tuple[str, int]]):
    sender: str
    number: int


@ak.message
class Boom:
    pass


@ak.message
class Tail(ak.StreamRequest[int]):
    """Stream as many numbers."""

    count: int


@attrs.define
class Ledger:
    """What came, in order; and what was in hand of one that died."""

    sim: Sim
    came: list[tuple[str, int]] = attrs.Factory(list)
    begun: list[tuple[str, int]] = attrs.Factory(list)
    booms: int = 0


class Clerk(ak.Actor[Item | Ask | Boom | Tail]):
    """Takes items at once or after a while, and crashes when told to."""

    def __init__(self, ledger: Ledger, pause: float) -> None:
        self.ledger = ledger
        self.pause = pause

    async def started(self) -> None:
        await self.ctx.sleep(self.pause / 2)

    @ak.on(Item)
    async def item(self, msg: Item) -> None:
        self.ledger.begun.append((msg.sender, msg.number))
        if self.pause:
            await trio.sleep(self.pause)
        self.ledger.came.append((msg.sender, msg.number))

    @ak.on(Ask)
    def ask(self, msg: Ask) -> tuple[str, int]:
        self.ledger.begun.append((msg.sender, msg.number))
        self.ledger.came.append((msg.sender, msg.number))
        return msg.sender, msg.number

    @ak.on(Tail)
    async def tail(self, msg: Tail) -> AsyncIterator[int]:
        for number in range(msg.count):
            yield number

    @ak.on(Boom)
    def boom(self, msg: Boom) -> None:
        self.ledger.booms += 1
        raise ValueError("told to")


async def _write(
    ledger: Ledger, ref: ak.Ref[Item | Ask | Boom], name: str, sent: Counter[str]
) -> None:
    for _ in range(ROUNDS):
        number = sent[name]
        sent[name] += 1
        match number % 4:
            case 0:
                ref.tell(Item(name, number))
            case 1:
                ref.tell(Item(name, number))
                ref.tell(Boom())
            case 2:
                reply = await ref.ask(Ask(name, number), timeout=None)
                insist(ledger.sim, reply == (name, number), "its own reply")
            case _:
                await ref.send(Item(name, number))
        await trio.lowlevel.checkpoint()


def _check(ledger: Ledger, sent: Counter[str], *, lost: bool) -> None:
    """Everything sent was begun with, once, in order per sender; nothing but what was in hand was lost."""
    for name, count in sent.items():
        begun = [number for sender, number in ledger.begun if sender == name]
        assert begun == list(range(count)), f"{name} sent {count}, of which {begun} were begun with"
    if not lost:
        assert ledger.came == ledger.begun, f"{ledger.came} of {ledger.begun}"
    else:
        ledger.sim.sometimes("lost in hand", len(ledger.came) < len(ledger.begun))


async def _tree(sim: Sim, strategy: Strategy, pause: float) -> None:
    ledger = Ledger(sim)
    names = ("a", "b")
    children = [ak.Child(n, ak.props(Clerk, ledger, pause)) for n in names]
    tree = ak.supervise(*children, strategy=strategy, max_restarts=1000)
    top = await start(sim, tree, name="top")
    sent: Counter[str] = Counter()
    reset = (ledger.came, ledger.begun)
    for book in reset:
        book.clear()

    async def client(i: int) -> None:
        await _write(ledger, top.child(children[i % 2]), f"client-{i}", sent)

    await sim.each(3, client)
    await sim.heal_and_settle()
    _check(ledger, sent, lost=pause > 0)
    sim.sometimes("crashed", ledger.booms)


FAULTS = [kill_actor("/top/*"), crash_actor("/top/*"), early_timer()]


@law(faults=FAULTS, sometimes=["crashed"])
async def test_nothing_is_lost(sim: Sim) -> None:
    """Of handlers that do not wait nothing is ever lost, whoever is killed."""
    await _tree(sim, "one_for_one", 0.0)


@law(faults=FAULTS, sometimes=["crashed", "lost in hand"])
async def test_only_what_is_in_hand_is_lost(sim: Sim) -> None:
    """Of handlers that wait, what is in hand when they are killed, and nothing else."""
    await _tree(sim, "one_for_one", 0.05)


@law(faults=FAULTS, sometimes=["crashed", "lost in hand"])
async def test_nor_where_siblings_are_stopped(sim: Sim) -> None:
    """A child that is stopped for another's sake keeps its mail too."""
    await _tree(sim, "one_for_all", 0.05)


@law(faults=[KillInAnyState("/top/*"), early_timer()], sometimes=["crashed", "killed above"])
async def test_nor_where_the_supervisor_is_restarted(sim: Sim) -> None:
    """A supervisor that is killed, or gives up, and is restarted, has the same seats, with the mail in them."""
    ledger = Ledger(sim)
    above = 0

    def note(event: ak.Stopped) -> None:
        nonlocal above
        above += event.path == "/top/middle"

    sim.system.events.subscribe(note, ak.Stopped)
    leaves = [ak.Child(n, ak.props(Clerk, ledger, 0.02 * i)) for i, n in enumerate("ab")]
    middle = ak.Child("middle", ak.supervise(*leaves, strategy="rest_for_one", max_restarts=1))
    top = await start(sim, ak.supervise(middle, max_restarts=1000), name="top")
    below = top.supervisor(middle)
    refs = [below.child(leaf) for leaf in leaves]
    sent: Counter[str] = Counter()

    async def client(i: int) -> None:
        await _write(ledger, refs[i % 2], f"client-{i}", sent)

    await sim.each(2, client)
    await sim.heal_and_settle()
    _check(ledger, sent, lost=True)
    sim.sometimes("crashed", ledger.booms)
    sim.sometimes("killed above", above)


@law(faults=[kill_actor("/top/*"), early_timer()], sometimes=["gave up", "told"])
async def test_who_waits_in_vain_is_told(sim: Sim) -> None:
    """When the supervisor gives up all that waits in its seats is turned away, and everybody who asked is told."""
    ledger = Ledger(sim)
    children = [ak.Child(n, ak.props(Clerk, ledger, 0.05)) for n in "ab"]
    tree = ak.supervise(*children, max_restarts=2, within=10.0, backoff=ak.Backoff(0.1, 2.0, 0.2))
    top = await start(sim, tree, name="top")

    async def client(i: int) -> None:
        ref = top.child(children[i % 2])
        for number in range(3):
            ref.tell(Boom() if i == 0 else Item(f"client-{i}", number))
            try:
                await ref.ask(Ask(f"client-{i}", number), timeout=None)
                await ref.send(Item(f"client-{i}", number))
            except ak.ActorDied:
                sim.sometimes("told")

    await sim.each(4, client)
    sim.sometimes("gave up", not top.ref.alive)


@law(faults=[kill_actor("/top/*"), early_timer()], sometimes=["whole", "killed in between"])
async def test_a_stream_is_of_who_is_there_when_it_is_opened(sim: Sim) -> None:
    """A stream that was made before a restart and opened after it, or while it goes on, is served by the next one."""
    child = ak.Child("a", ak.props(Clerk, Ledger(sim), 0.05))
    top = await start(sim, ak.supervise(child, max_restarts=1000), name="top")
    ref = top.child(child)

    async def client(i: int) -> None:
        stream = ref.stream(Tail(3), timeout=None)
        before = ref.address
        await trio.sleep(0.02 * i)
        if i == 1:
            ref.kill()
        sim.sometimes("killed in between", ref.address != before)
        deaths = len(died)
        try:
            async with stream as numbers:
                got = [number async for number in numbers]
        except ak.ActorDied:
            insist(sim, len(died) > deaths, "nobody died after it was opened")
        else:
            insist(sim, got == [0, 1, 2], f"it is whole, not {got}")
            sim.sometimes("whole")

    died: list[object] = []
    sim.system.events.subscribe(died.append, ak.Stopped, ak.DidNotStart)
    await sim.each(3, client)
