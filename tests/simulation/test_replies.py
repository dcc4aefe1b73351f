"""A deferred reply is given once, to the one who asked, by whoever holds it; what comes later reaches nobody."""

from __future__ import annotations

import attrs
import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import insist, law, start


@ak.message
class Order(ak.Request[int]):
    number: int


@ak.message
class Hold:
    """Somebody else is to answer an order."""

    number: int
    reply: ak.Reply[int]


@ak.message
class Flush:
    pass


class Sold(ak.Refused):
    pass


@attrs.define
class Ledger:
    """Which answers were taken, as those who gave them see it; and what came of each order, as those who asked do."""

    sim: Sim
    taken: dict[int, list[int]] = attrs.Factory(dict)
    outcomes: dict[int, object] = attrs.Factory(dict)

    def answer(self, number: int, reply: ak.Reply[int], value: int) -> None:
        """Give an answer, and note whether it was wanted."""
        wanted = reply.wanted
        took = reply.refuse(Sold("out")) if value < 0 else reply.send(value)
        insist(self.sim, took <= wanted, "nobody takes what he does not want")
        insist(self.sim, not reply.wanted, "nobody wants two answers")
        if took:
            self.taken.setdefault(number, []).append(value)


class Clerk(ak.Actor[Hold | Flush]):
    """Answers for others: at once or when flushed, the last first."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.held: list[Hold] = []

    @ak.on(Hold)
    def hold(self, msg: Hold) -> None:
        self.held.append(msg)

    @ak.on(Flush)
    async def flush(self, msg: Flush) -> None:
        while self.held:
            held = self.held.pop()
            self.ledger.answer(held.number, held.reply, held.number)
            await self.ctx.sleep(0.05)


class Shop(ak.Actor[Order | Flush]):
    """Puts every reply off, in one way or another."""

    def __init__(self, ledger: Ledger, clerk: ak.Ref[Hold | Flush]) -> None:
        self.ledger = ledger
        self.clerk = clerk
        self.held: list[Hold] = []

    @ak.on(Order)
    async def order(self, msg: Order, reply: ak.Reply[int]) -> None:
        match msg.number % 5:
            case 0:
                self.clerk.tell(Hold(msg.number, reply))
            case 1:
                self.held.append(Hold(msg.number, reply))
            case 2:
                self.ctx.start_soon(self._later, msg.number, reply)
            case 3:
                await self.ctx.sleep(0.1)
                self.ledger.answer(msg.number, reply, -msg.number)
            case _:
                self.ledger.answer(msg.number, reply, msg.number)
                await trio.sleep(0.1)
                self.ledger.answer(msg.number, reply, 10 * msg.number)

    async def _later(self, number: int, reply: ak.Reply[int]) -> None:
        await trio.sleep(0.1)
        self.ledger.answer(number, reply, number)
        self.ledger.answer(number, reply, -number)

    @ak.on(Flush)
    def flush(self, msg: Flush) -> None:
        for held in self.held:
            self.ledger.answer(held.number, held.reply, held.number)


async def _buy(ledger: Ledger, shop: ak.Ref[Order | Flush], number: int) -> None:
    try:
        ledger.outcomes[number] = await shop.ask(Order(number), timeout=(0.1, 0.3)[number % 2])
    except Sold:
        ledger.outcomes[number] = -number
    except (ak.ActorDied, ak.AskTimeout) as error:
        ledger.outcomes[number] = error
    ledger.sim.sometimes(type(ledger.outcomes[number]).__name__)


@law(
    faults=[kill_actor("/shop"), kill_actor("/clerk"), crash_actor("/shop"), early_timer()],
    sometimes=["int", "ActorDied", "AskTimeout"],
)
async def test_a_deferred_reply_is_given_once(sim: Sim) -> None:
    """``send`` says that a reply was taken exactly where the asker got it; others get a time-out or news of the death."""
    ledger = Ledger(sim)
    clerk = await sim.spawn(ak.props(Clerk, ledger), name="clerk")
    shop = await sim.spawn(ak.props(Shop, ledger, clerk), name="shop")

    async def client(i: int) -> None:
        await _buy(ledger, shop, 5 + 3 * i)
        clerk.tell(Flush())
        await _buy(ledger, shop, 6 + 3 * i)
        shop.tell(Flush())
        await _buy(ledger, shop, 7 + 3 * i)

    await sim.each(3, client)
    await sim.heal_and_settle()
    for number, outcome in ledger.outcomes.items():
        taken = ledger.taken.get(number, [])
        expected = [outcome] if isinstance(outcome, int) else []
        assert taken == expected, f"order {number} ended with {outcome}, but was answered {taken}"


class Buyer(ak.Actor[Order]):
    """Asks from a handler, and may be killed while it waits."""

    def __init__(self, ledger: Ledger, shop: ak.Ref[Order | Flush]) -> None:
        self.ledger = ledger
        self.shop = shop

    @ak.on(Order)
    async def buy(self, msg: Order) -> int:
        await _buy(self.ledger, self.shop, msg.number)
        return msg.number


@law(faults=[kill_actor(), kill_actor("/shop"), early_timer()], sometimes=["killed as it asked"])
async def test_a_killed_asker_takes_no_reply(sim: Sim) -> None:
    """What is answered to one that is killed reaches nobody, its next incarnation neither."""
    ledger = Ledger(sim)
    clerk = await sim.spawn(ak.props(Clerk, ledger), name="clerk")
    shop = await sim.spawn(ak.props(Shop, ledger, clerk), name="shop")
    children = [ak.Child(f"buyer-{n}", ak.props(Buyer, ledger, shop)) for n in range(3)]
    top = await start(sim, ak.supervise(*children, max_restarts=1000), name="top")

    async def client(i: int) -> None:
        buyer = top.child(children[i])
        for number in range(5 + 3 * i, 8 + 3 * i):
            buyer.tell(Order(number))
        clerk.tell(Flush())

    await sim.each(3, client)
    await sim.heal_and_settle()
    for number in range(5, 14):
        taken, outcome = ledger.taken.get(number, []), ledger.outcomes.get(number)
        sim.sometimes("killed as it asked", number not in ledger.outcomes)
        if number in ledger.outcomes:
            assert taken == ([outcome] if isinstance(outcome, int) else []), number
