"""A mailbox never holds more than its capacity; who waits for room is let in, in order, or told that it is in vain."""

from __future__ import annotations

from itertools import pairwise

import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import insist, law, start

CAPACITY = 2


@ak.message
class Item:
    sender: str
    number: int


@ak.message
class Query(ak.Request[int]):
    sender: str
    number: int


@ak.message
class Send:
    """Send items from a handler, one after the other."""

    sender: str
    nest: bool


Seen = list[tuple[str, int]]


class Store(ak.Actor[Item | Query]):
    """Has little room, and takes its time over some."""

    mailbox = ak.Mailbox(capacity=CAPACITY)

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    @ak.on(Item)
    async def item(self, msg: Item) -> None:
        self.seen.append((msg.sender, msg.number))
        match msg.number % 3:
            case 1:
                await self.ctx.sleep(0.1)
            case 2:
                await trio.sleep(0.1)
            case _:
                pass

    @ak.on(Query)
    def query(self, msg: Query) -> int:
        self.seen.append((msg.sender, msg.number))
        return msg.number


class Oldest(Store):
    """Drops the oldest rather than turning anybody away."""

    mailbox = ak.Mailbox(capacity=CAPACITY, overflow="drop_oldest")


class Newest(Store):
    """Drops the newest."""

    mailbox = ak.Mailbox(capacity=CAPACITY, overflow="drop_newest")


class Sender(ak.Actor[Send]):
    """Sends from its handler."""

    def __init__(self, sim: Sim, ref: ak.Ref[Item | Query], sent: Seen) -> None:
        self.sim = sim
        self.ref = ref
        self.sent = sent

    @ak.on(Send)
    async def send(self, msg: Send) -> None:
        if msg.nest:
            with trio.move_on_after(0.25):
                await feed(self.sim, self.ref, msg.sender, self.sent)
        else:
            await feed(self.sim, self.ref, msg.sender, self.sent)


async def feed(sim: Sim, ref: ak.Ref[Item | Query], sender: str, sent: Seen) -> None:
    """Send four items, and ask once in between."""
    for number in range(4):
        try:
            await ref.send(Item(sender, 2 * number))
            sent.append((sender, 2 * number))
            if number == 2:
                reply = await ref.ask(Query(sender, 2 * number + 1), timeout=0.3)
                sent.append((sender, 2 * number + 1))
                insist(sim, reply == 2 * number + 1, "its own reply")
        except ak.MailboxFull:
            sim.sometimes("no room to ask")
        except ak.AskError:
            sim.note(f"{sender} fails")


def _within(sim: Sim, ref: ak.Ref[Item | Query]) -> bool:
    cell = ref._cell  # noqa: SLF001 - what statistics say, of a seat too
    insist(sim, cell.waiting_mail == cell.mail_count(), "what waits is counted right")
    return cell.waiting_mail <= CAPACITY


def _in_order(seen: Seen) -> None:
    for name in {name for name, _ in seen}:
        numbers = [number for sender, number in seen if sender == name]
        assert all(a < b for a, b in pairwise(numbers)), f"{name}: {numbers}"


@law(
    faults=[kill_actor("/store"), crash_actor("/store"), kill_actor("/sender-*"), early_timer()],
    sometimes=["no room to ask"],
)
async def test_senders_wait_their_turn(sim: Sim) -> None:
    """Nobody is let in above the capacity; what is sent arrives in order; a death tells all who wait."""
    seen: Seen = []
    sent: Seen = []
    store = await sim.spawn(ak.props(Store, seen), name="store")
    sim.always(lambda: _within(sim, store), "nobody is let in above the capacity")

    async def client(i: int) -> None:
        if i == 0:
            await feed(sim, store, "client", sent)
            return
        sender = await sim.spawn(ak.props(Sender, sim, store, sent), name=f"sender-{i}")
        sender.tell(Send(f"sender-{i}", nest=i == 2))

    await sim.each(3, client)
    await sim.heal_and_settle()
    _in_order(seen)
    if store.alive:
        assert set(sent) <= set(seen), "what was sent was handled"


@law(faults=[kill_actor(), crash_actor(), early_timer()], sometimes=["killed", "no room to ask"])
async def test_senders_wait_across_restarts(sim: Sim) -> None:
    """Who waits for room of a supervised child goes on waiting while it restarts; only what is in hand is lost."""
    seen: Seen = []
    sent: Seen = []
    child = ak.Child("store", ak.props(Store, seen))
    top = await start(sim, ak.supervise(child, max_restarts=1000), name="top")
    ref = top.child(child)
    sim.always(lambda: _within(sim, ref), "nobody is let in above the capacity")

    async def client(i: int) -> None:
        await feed(sim, ref, f"client-{i}", sent)

    await sim.each(3, client)
    await sim.heal_and_settle()
    _in_order(seen)
    assert set(sent) <= set(seen), f"{set(sent) - set(seen)} vanished"
    assert len(seen) == len(set(seen)), "nothing came twice"
    sim.sometimes("killed", ref.address.serial > 3)


async def _dropping(sim: Sim, make: type[Store], why: ak.DeadReason) -> None:
    seen: Seen = []
    store = await sim.spawn(ak.props(make, seen), name="store")
    sim.always(lambda: _within(sim, store), "nobody is let in above the capacity")

    async def client(i: int) -> None:
        await feed(sim, store, f"client-{i}", [])

    await sim.each(3, client)
    await sim.heal_and_settle()
    _in_order(seen)
    sim.sometimes("dropped", sim.system.dead_letters.counts.get(why))


@law(faults=[kill_actor("/store"), early_timer()], sometimes=["dropped"])
async def test_the_oldest_is_dropped(sim: Sim) -> None:
    """With ``drop_oldest`` nobody waits, what is kept is in order, and who asked is told."""
    await _dropping(sim, Oldest, ak.DeadReason.DROPPED_OLDEST)


@law(faults=[kill_actor("/store"), early_timer()], sometimes=["dropped"])
async def test_the_newest_is_dropped(sim: Sim) -> None:
    """So it is with ``drop_newest``."""
    await _dropping(sim, Newest, ak.DeadReason.DROPPED_NEWEST)
