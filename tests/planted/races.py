"""Bugs in the order of events: nobody dies, and still it is wrong."""

from __future__ import annotations

import actorkit as ak
from actorkit.testing import Sim
from tests.planted.registry import planted


@ak.message
class Get(ak.Request[int]): ...


@ak.message
class Put(ak.Request[None]):
    value: int


class Register(ak.Actor[Get | Put]):
    """One value."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    @ak.on(Get)
    def get(self, msg: Get) -> int:
        return self.value

    @ak.on(Put)
    def put(self, msg: Put) -> None:
        self.value = msg.value


# Lost update --------------------------------------------------------------------------------------------------------


@ak.message
class Deposit(ak.Request[None]):
    cents: int


class Till(ak.Actor[Deposit | Get]):
    """Adds to its state; the wrong one in the background, across an await."""

    def __init__(self, rate: ak.Ref[Get], *, wrong: bool) -> None:
        self.rate, self.wrong, self.cents = rate, wrong, 0

    @ak.on(Deposit)
    async def deposit(self, msg: Deposit) -> None:
        if self.wrong:
            self.ctx.start_soon(self._add, msg.cents)
        else:
            await self._add(msg.cents)

    async def _add(self, cents: int) -> None:
        before = self.cents
        rate = await self.rate.ask(Get())
        self.cents = before + cents * rate

    @ak.on(Get)
    def get(self, msg: Get) -> int:
        return self.cents


@planted(shows="a deposit is lost", budget=100)
async def lost_update_across_await(sim: Sim, wrong: bool) -> None:
    """Background work reads its actor's state, awaits, and writes back what it read: the other deposit of that time is lost."""
    rate = await sim.spawn(Register, 1)
    till = await sim.spawn(Till, rate, wrong=wrong)

    async def customer(i: int) -> None:
        for _ in range(3 * i):  # so late that first in, first out is right
            await rate.ask(Get())
        await till.ask(Deposit(5))

    await sim.each(2, customer, name="customer")
    await sim.settle()
    assert await till.ask(Get()) == 10, "a deposit is lost"


# Wrong asker --------------------------------------------------------------------------------------------------------


@ak.message
class Echo(ak.Request[int]):
    value: int


@ak.message
class Answer:
    value: int


class Relay(ak.Actor[Echo | Answer]):
    """Puts its replies off until answers come back; the wrong one takes it that they come in the order of the questions."""

    def __init__(self, *, wrong: bool) -> None:
        self.wrong = wrong
        self.askers: dict[int, ak.Reply[int]] = {}

    @ak.on(Echo)
    def echo(self, msg: Echo, reply: ak.Reply[int]) -> None:
        self.askers[msg.value] = reply
        self.ctx.start_soon(self._later, msg.value)

    async def _later(self, value: int) -> None:
        self.ctx.self.tell(Answer(value))

    @ak.on(Answer)
    def answer(self, msg: Answer) -> None:
        asker = next(iter(self.askers)) if self.wrong else msg.value
        self.askers.pop(asker).send(msg.value)


@planted(shows="an answer to somebody else", budget=60)
async def reply_to_the_wrong_asker(sim: Sim, wrong: bool) -> None:
    """A deferred reply goes to whoever has waited longest, whatever the question was."""
    relay = await sim.spawn(Relay, wrong=wrong)

    async def ask(i: int) -> None:
        assert await relay.ask(Echo(i)) == i, "an answer to somebody else"

    await sim.each(2, ask)


# Check, then act ----------------------------------------------------------------------------------------------------


@ak.message
class Withdraw(ak.Request[bool]):
    cents: int


class Account(ak.Actor[Get | Withdraw]):
    """Pays out; the wrong one trusts whoever has looked before."""

    def __init__(self, cents: int, *, wrong: bool) -> None:
        self.cents, self.wrong = cents, wrong

    @ak.on(Get)
    def get(self, msg: Get) -> int:
        return self.cents

    @ak.on(Withdraw)
    def withdraw(self, msg: Withdraw) -> bool:
        if not self.wrong and msg.cents > self.cents:
            return False
        self.cents -= msg.cents
        return True


@planted(shows="never overdrawn", budget=100)
async def check_then_act(sim: Sim, wrong: bool) -> None:
    """Two customers look whether there is enough, both see that there is, and both withdraw."""
    account = await sim.spawn(Account, 100, wrong=wrong)
    sim.always(lambda: sim.state(account)["cents"] >= 0, "never overdrawn")

    async def customer(i: int) -> None:
        for _ in range(3 * i):  # so late that first in, first out is right
            await account.ask(Get())
        if await account.ask(Get()) >= 80:
            await account.ask(Withdraw(80))

    await sim.each(2, customer, name="customer")


# Stale cache --------------------------------------------------------------------------------------------------------


@ak.message
class Changed:
    version: int


@ak.message
class Fetched:
    version: int
    value: int


@ak.message
class Refresh: ...


class Cache(ak.Actor[Get | Changed | Fetched | Refresh]):
    """Holds a copy; the wrong one takes a fetched value although it was told meanwhile that it has changed."""

    def __init__(self, source: ak.Ref[Get], *, wrong: bool) -> None:
        self.source, self.wrong = source, wrong
        self.version, self.value = 0, -1

    @ak.on(Refresh)
    def refresh(self, msg: Refresh) -> None:
        self.ctx.start_soon(self._fetch, self.version)

    async def _fetch(self, version: int) -> None:
        self.ctx.self.tell(Fetched(version, await self.source.ask(Get())))

    @ak.on(Fetched)
    def fetched(self, msg: Fetched) -> None:
        if self.wrong or msg.version == self.version:
            self.value = msg.value

    @ak.on(Changed)
    def changed(self, msg: Changed) -> None:
        self.version, self.value = msg.version, -1

    @ak.on(Get)
    def get(self, msg: Get) -> int:
        return self.value


@planted(shows="a value from before the change", budget=400)
async def stale_cache(sim: Sim, wrong: bool) -> None:
    """A value that was fetched before a change is stored after the news of the change, and stays for ever."""
    source = await sim.spawn(Register, 1)
    cache = await sim.spawn(Cache, source, wrong=wrong)

    async def reader() -> None:
        cache.tell(Refresh())

    async def writer() -> None:
        await source.ask(Put(2))
        cache.tell(Changed(1))

    await sim.together(reader, writer)
    await sim.settle()
    assert await cache.ask(Get()) in (-1, 2), "a value from before the change"


# Order across senders -----------------------------------------------------------------------------------------------


@ak.message
class Opened:
    name: str


@ak.message
class Wrote:
    name: str


class Ledger(ak.Actor[Opened | Wrote | Get]):
    """Hears from one that files are opened and from another what is written; the wrong one thinks in that order."""

    def __init__(self, *, wrong: bool) -> None:
        self.wrong = wrong
        self.writes: dict[str, int] = {}

    @ak.on(Opened)
    def opened(self, msg: Opened) -> None:
        if self.wrong:
            self.writes[msg.name] = 0
        else:
            self.writes.setdefault(msg.name, 0)

    @ak.on(Wrote)
    def wrote(self, msg: Wrote) -> None:
        self.writes[msg.name] = self.writes.get(msg.name, 0) + 1

    @ak.on(Get)
    def get(self, msg: Get) -> int:
        return self.writes.get("log", 0)


@ak.message
class Forward:
    name: str


class Clerk(ak.Actor[Forward]):
    """Tells a ledger that a file was opened."""

    def __init__(self, ledger: ak.Ref[Opened]) -> None:
        self.ledger = ledger

    @ak.on(Forward)
    def forward(self, msg: Forward) -> None:
        self.ledger.tell(Opened(msg.name))


@planted(shows="a write is forgotten", budget=200)
async def order_across_senders(sim: Sim, wrong: bool) -> None:
    """What two senders send is taken to arrive in the order in which it was sent."""
    ledger = await sim.spawn(Ledger, wrong=wrong)
    clerk = await sim.spawn(Clerk, ledger)
    clerk.tell(Forward("log"))
    for _ in range(3):
        await sim.each(1, lambda _: ledger.ask(Get()))
    ledger.tell(Wrote("log"))
    await sim.settle()
    assert await ledger.ask(Get()) == 1, "a write is forgotten"


# Two locks ----------------------------------------------------------------------------------------------------------


@ak.message
class Acquire(ak.Request[None]): ...


@ak.message
class Release: ...


class Lock(ak.Actor[Acquire | Release]):
    """Is held by one at a time."""

    def __init__(self) -> None:
        self.held = False
        self.waiting: list[ak.Reply[None]] = []

    @ak.on(Acquire)
    def acquire(self, msg: Acquire, reply: ak.Reply[None]) -> None:
        if self.held:
            self.waiting.append(reply)
        else:
            self.held = True
            reply.send(None)

    @ak.on(Release)
    def release(self, msg: Release) -> None:
        if self.waiting:
            self.waiting.pop(0).send(None)
        else:
            self.held = False


@planted(shows="nothing can go on", budget=100)
async def locks_in_two_orders(sim: Sim, wrong: bool) -> None:
    """Two clients take two locks in opposite orders, and wait for each other for ever."""
    one, other = await sim.spawn(Lock), await sim.spawn(Lock)
    elsewhere = await sim.spawn(Register)

    async def client(i: int) -> None:
        first, second = (other, one) if wrong and i else (one, other)
        for _ in range(4 * i):  # so late that first in, first out is right
            await elsewhere.ask(Get())
        await first.ask(Acquire(), timeout=None)
        await second.ask(Acquire(), timeout=None)
        second.tell(Release())
        first.tell(Release())

    await sim.each(2, client)
