"""Bugs with time: what fires too late, too early, or never."""

from __future__ import annotations

import actorkit as ak
from actorkit.testing import Sim, early_timer
from tests.planted.registry import planted


@ak.message
class Get(ak.Request[int]): ...


@ak.message
class Add:
    amount: int


# Late answer --------------------------------------------------------------------------------------------------------


@ak.message
class Ping:
    number: int
    back: ak.Ref[Pong]


@ak.message
class Pong:
    number: int


@ak.message
class GiveUp: ...


class Server(ak.Actor[Ping]):
    """Sends back what it got."""

    @ak.on(Ping)
    def ping(self, msg: Ping) -> None:
        msg.back.tell(Pong(msg.number))


@ak.message
class Begin(ak.Request[int]): ...


class Client(ak.Actor[Begin | Pong | GiveUp]):
    """Asks by telling, and asks again after a while; the wrong one takes any answer for that to its last question."""

    def __init__(self, server: ak.Ref[Ping], *, wrong: bool) -> None:
        self.server, self.wrong = server, wrong
        self.number = 0
        self.reply: ak.Reply[int] | None = None

    @ak.on(Begin)
    def begin(self, msg: Begin, reply: ak.Reply[int]) -> None:
        self.reply = reply
        self._ask()

    def _ask(self) -> None:
        self.number += 1
        self.server.tell(Ping(self.number, self.ctx.self))
        self.timer = self.ctx.send_after(5.0, GiveUp())

    @ak.on(GiveUp)
    def give_up(self, msg: GiveUp) -> None:
        if self.reply is not None:
            self._ask()

    @ak.on(Pong)
    def pong(self, msg: Pong) -> None:
        if self.reply is None or not (self.wrong or msg.number == self.number):
            return
        reply, self.reply = self.reply, None
        self.timer.cancel()
        reply.send(msg.number - self.number)


@planted(shows="an answer to an earlier question", budget=60, faults=[early_timer()])
async def late_answer_to_another_question(sim: Sim, wrong: bool) -> None:
    """The answer to a question that was given up is taken for the answer to the next one."""
    client = await sim.spawn(Client, await sim.spawn(Server), wrong=wrong)
    assert await client.ask(Begin(), timeout=None) == 0, "an answer to an earlier question"


# Time-out taken for a no --------------------------------------------------------------------------------------------


@ak.message
class Buy(ak.Request[None]):
    order: str


@ak.message
class Cancel:
    order: str


class Box(ak.Actor[Buy | Cancel | Get]):
    """Sells tickets."""

    def __init__(self) -> None:
        self.sold: set[str] = set()

    @ak.on(Buy)
    def buy(self, msg: Buy) -> None:
        self.sold.add(msg.order)

    @ak.on(Cancel)
    def cancel(self, msg: Cancel) -> None:
        self.sold.discard(msg.order)

    @ak.on(Get)
    def get(self, msg: Get) -> int:
        return len(self.sold)


@planted(shows="two tickets", budget=150, faults=[early_timer()])
async def timeout_taken_for_a_no(sim: Sim, wrong: bool) -> None:
    """A request that timed out may have been carried out all the same, and its sender buys elsewhere, too."""
    boxes = [await sim.spawn(Box) for _ in range(2)]

    async def customer() -> None:
        for box in boxes:
            try:
                await box.ask(Buy("one seat"))
                break
            except ak.AskTimeout:
                if not wrong:
                    box.tell(Cancel("one seat"))

    await sim.together(customer)
    assert sum([await box.ask(Get(), timeout=None) for box in boxes]) <= 1, "two tickets"


# Starved timer ------------------------------------------------------------------------------------------------------


@ak.message
class Flush: ...


class Batch(ak.Actor[Add | Flush | Get]):
    """Collects and writes out a second later; the wrong one starts the second anew with each item."""

    def __init__(self, *, wrong: bool) -> None:
        self.wrong = wrong
        self.waiting = self.written = 0
        self.timer: ak.TimerHandle | None = None

    @ak.on(Add)
    def add(self, msg: Add) -> None:
        self.waiting += msg.amount
        if self.timer is not None and self.wrong:
            self.timer.cancel()
            self.timer = None
        if self.timer is None:
            self.timer = self.ctx.send_after(1.0, Flush())

    @ak.on(Flush)
    def flush(self, msg: Flush) -> None:
        self.written += self.waiting
        self.waiting, self.timer = 0, None

    @ak.on(Get)
    def get(self, msg: Get) -> int:
        return self.waiting


@planted(shows="nothing is ever written", budget=1, hidden=False)
async def starved_timer(sim: Sim, wrong: bool) -> None:
    """A timer that every message sets anew never fires while messages keep coming."""
    batch = await sim.spawn(Batch, wrong=wrong)
    for _ in range(6):
        batch.tell(Add(1))
        await sim.advance(0.4)
        assert await batch.ask(Get()) <= 4, "nothing is ever written"
