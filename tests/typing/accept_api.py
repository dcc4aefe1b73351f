"""What type checkers must accept: the API as the docs show it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic, TypeVar, assert_type

import actorkit as ak

T = TypeVar("T")


@ak.message
class Deposit(ak.Request[int]):
    cents: int


@ak.message(name="balance", version=2)
class Balance(ak.Request[int]):
    pass


@ak.message
class Tick:
    pass


@ak.message
class Buy(ak.Request[str | None]):
    item: str = "tea"


@ak.message
class Generate(ak.StreamRequest[str]):
    prompt: str


AccountMessage = Deposit | Balance | Tick | Buy | Generate


class Insufficient(ak.Refused):
    pass


class Account(ak.Actor[AccountMessage]):
    mailbox = ak.Mailbox(capacity=10, overflow="drop_oldest")
    trap_exits = True

    def __init__(self, opening: int = 0, *, owner: str = "") -> None:
        self.cents = opening
        self.waiting: list[ak.Reply[str | None]] = []

    async def started(self) -> None:
        self.ctx.send_after(1.0, Tick())

    def stopping(self, reason: ak.ExitReason) -> None:
        assert_type(reason, ak.ExitReason)

    async def down(self, down: ak.Down) -> None:
        assert_type(down.reason, ak.ExitReason)

    @ak.on(Deposit)
    async def deposit(self, msg: Deposit) -> int:
        if msg.cents < 0:
            raise Insufficient("no")
        self.cents += msg.cents
        return self.cents

    @ak.on(Balance)
    def balance(self, msg: Balance) -> int:
        return self.cents

    @ak.on(Tick)
    async def tick(self, msg: Tick) -> None:
        assert_type(self.ctx.self, ak.Ref[Deposit | Balance | Tick | Buy | Generate])
        self.ctx.self.tell(Tick())

    @ak.on(Buy)
    def buy(self, msg: Buy, reply: ak.Reply[str | None]) -> None:
        self.waiting.append(reply)
        reply.send("tea")
        reply.refuse(Insufficient())

    @ak.on(Generate)
    async def generate(self, msg: Generate) -> AsyncIterator[str]:
        yield msg.prompt


class Streamer(ak.Actor[Generate]):
    @ak.on(Generate)
    async def generate(self, msg: Generate, out: ak.ReplyStream[str]) -> None:
        await out.send("a")
        out.close()


@ak.message
class Put(Generic[T]):
    item: T


class Box(ak.Actor[Put[T]], Generic[T]):
    @ak.on(Put[T])
    def put(self, msg: Put[T]) -> None: ...


ALICE = ak.Child("alice", ak.props(Account, 100, owner="alice"), restart="transient", shutdown=2.0)
SUB = ak.Child("sub", ak.supervise(ALICE))


class Tab(ak.Actor[Deposit]):
    def __init__(self, currency: str, customer: str, *, limit: int = 0) -> None: ...

    @ak.on(Deposit)
    def deposit(self, msg: Deposit) -> int:
        return msg.cents


TABS = ak.Template("tab", Tab, "crowns", restart="transient", shutdown=1.0)
BAR = ak.Child("bar", ak.supervise_dynamic(TABS))
ANY = ak.Child("any", ak.supervise_dynamic(ak.Child("tab", ak.props(Tab, "crowns", "nobody"))))
BOXES = ak.Template("box", Account)
FULL = ak.Template("full", Tab, "crowns", "ada")
BANK = ak.Key[Deposit | Tick]("bank")


async def use(system: ak.System) -> None:
    ref = await system.spawn(ak.props(Account, opening=1))
    assert_type(await ref.ask(Deposit(5)), int)
    assert_type(await ref.ask(Buy(), timeout=None), str | None)
    ref.tell(Tick())
    ref.tell(Deposit(1))
    await ref.send(Tick())
    async with ref.stream(Generate("x"), timeout=1.0, window=4) as tokens:
        async for token in tokens:
            assert_type(token, str)

    straight: ak.Ref[Deposit] = await system.spawn(ak.props(Account))
    straight.tell(Deposit(1))
    narrow: ak.Ref[Deposit] = ref
    narrower: ak.Ref[Tick] = ref
    assert_type(await narrow.ask(Deposit(1)), int)
    narrower.tell(Tick())

    bank = await system.start(ak.supervise(ALICE, SUB, strategy="rest_for_one"))
    assert_type(bank, ak.SupervisorRef)
    assert_type(bank.child(ALICE), ak.Ref[Deposit | Balance | Tick | Buy | Generate])
    assert_type(await bank.child(ALICE).ask(Balance()), int)
    assert_type(bank.supervisor(SUB), ak.SupervisorRef)
    assert_type(await bank.start_child(ALICE), ak.Ref[Deposit | Balance | Tick | Buy | Generate])

    pool = await system.start(ak.supervise_dynamic(ak.Child("account", ak.props(Account))))
    one = await pool.start_child(5)
    assert_type(await one.ask(Deposit(5)), int)
    assert_type(await pool.which_children(), tuple[ak.Ref[AccountMessage], ...])

    tabs = await system.start(ak.supervise_dynamic(TABS, max_children=3))
    tab = await tabs.start_child("ada", limit=3)
    assert_type(tab, ak.Ref[Deposit])
    assert_type(await tab.ask(Deposit(5)), int)
    tree = await system.start(ak.supervise(BAR, ANY))
    again = await tree.dynamic(BAR).start_child("joe")
    assert_type(again, ak.Ref[Deposit])
    await tree.dynamic(BAR).terminate_child(again)
    assert_type(await tree.dynamic(ANY).start_child("what", ever=1), ak.Ref[Deposit])
    door: ak.DynamicRef[..., Deposit] = tree.dynamic(ANY)
    await door.stop()
    loose: ak.DynamicRef[..., Deposit] = tree.dynamic(BAR)
    await loose.start_child("whatever")
    named_pool: ak.Child[ak.DynamicMessage[..., Deposit]] = ANY
    await tree.dynamic(named_pool).count_children()

    named = system.named(BANK)
    assert_type(await named.ask(Deposit(1)), int)
    found = system.whereis(BANK)
    assert_type(found, ak.Ref[Deposit | Tick] | None)
    held = await system.spawn(ak.props(Teller), name=BANK)
    held.tell(Tick())

    box = await system.spawn(ak.props(Box[int]))
    box.tell(Put(5))
    system.send_after(1.0, ref, Tick())


class Teller(ak.Actor[Deposit | Tick]):
    @ak.on(Deposit)
    def deposit(self, msg: Deposit) -> int:
        return 0

    @ak.on(Tick)
    def tick(self, msg: Tick) -> None: ...

    async def helper(self) -> None:
        child = await self.ctx.spawn(ak.props(Account), link=False)
        assert_type(await child.ask(Balance()), int)
        monitor = self.ctx.watch(child)
        self.ctx.unwatch(monitor)
        self.ctx.start_soon(self.poll, child, 3)

    async def poll(self, ref: ak.Ref[Balance], times: int) -> None:
        for _ in range(times):
            await ref.ask(Balance())


async def main(system: ak.System, count: int) -> str:
    return str(count)


def entry() -> None:
    assert_type(ak.run(main, 3), str)
