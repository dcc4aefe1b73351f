"""What type checkers must reject: every line marked E, and no other."""

from __future__ import annotations

import actorkit as ak


@ak.message
class Deposit(ak.Request[int]):
    cents: int


@ak.message
class Balance(ak.Request[int]):
    pass


@ak.message
class Tick:
    pass


@ak.message
class Alien(ak.Request[int]):
    pass


@ak.message
class Generate(ak.StreamRequest[str]):
    pass


class Account(ak.Actor[Deposit | Balance | Tick]):
    def __init__(self, opening: int = 0) -> None:
        self.cents = opening

    @ak.on(Deposit)
    async def deposit(self, msg: Deposit) -> int:
        return msg.cents

    @ak.on(Balance)
    def balance(self, msg: Balance) -> int:
        return self.cents

    @ak.on(Tick)
    def tick(self, msg: Tick) -> None:
        self.ctx.self.tell(Alien())  # E
        self.ctx.send_after(1.0, Alien())  # E


class WrongReply(ak.Actor[Deposit]):
    @ak.on(Deposit)  # E
    async def deposit(self, msg: Deposit) -> str:
        return ""


class WrongParameter(ak.Actor[Deposit]):
    @ak.on(Deposit)  # E
    def deposit(self, msg: Tick) -> int:
        return 0


class WrongDeferred(ak.Actor[Deposit]):
    @ak.on(Deposit)  # E
    def deposit(self, msg: Deposit, reply: ak.Reply[str]) -> None: ...


class TellWithReply(ak.Actor[Tick]):
    @ak.on(Tick)  # E
    def tick(self, msg: Tick) -> int:
        return 1


class StreamOfWrongItems(ak.Actor[Generate]):
    @ak.on(Generate)  # E
    async def generate(self, msg: Generate) -> str:
        return ""


class Tab(ak.Actor[Deposit]):
    def __init__(self, currency: str, customer: str, *, limit: int = 0) -> None: ...

    @ak.on(Deposit)
    def deposit(self, msg: Deposit) -> int:
        return msg.cents


TABS = ak.Template("tab", Tab, "crowns")
BAR = ak.Child("bar", ak.supervise_dynamic(TABS))
ALICE = ak.Child("alice", ak.props(Account))
KEY = ak.Key[Tick]("ticker")


async def use(
    ref: ak.Ref[Deposit | Balance | Tick], only: ak.Ref[Balance], system: ak.System
) -> None:
    await ref.ask(Alien())  # E
    await ref.ask(Tick())  # E
    ref.tell(Alien())  # E
    await ref.send(Alien())  # E
    text: str = await ref.ask(Balance())  # E
    wide: ak.Ref[Deposit | Balance] = only  # E
    ref.stream(Balance())  # E
    ak.props(Account, openin=1)  # E
    ak.props(Account, "100")  # E
    ak.Child("x", ak.props(Account), restart="sometimes")  # E
    ak.supervise(ALICE, strategy="one_for_none")  # E
    tabs = await system.start(ak.supervise_dynamic(TABS))
    await tabs.start_child()  # E
    await tabs.start_child(5)  # E
    await tabs.start_child("ada", "joe")  # E
    await tabs.start_child("ada", limits=3)  # E
    (await tabs.start_child("ada")).tell(Tick())  # E
    tree = await system.start(ak.supervise(BAR))
    await tree.dynamic(BAR).start_child(5)  # E
    tree.dynamic(ALICE)  # E
    tree.supervisor(BAR)  # E
    ak.Template("tab", Tab, 5)  # E
    ak.Template("tab", Tab, "crowns", significant=True)  # E
    ak.Template("tab", str)  # E
    bank = await system.start(ak.supervise(ALICE))
    alien: ak.Ref[Alien] = bank.child(ALICE)  # E
    system.named(KEY).tell(Balance())  # E
    await system.spawn(ak.props(Account), name=ak.Key[Alien]("a"))  # E
    Deposit(5).cents = 6  # E
    Deposit("5")  # E
    ak.Mailbox(overflow="panic")  # E
    ref.tell(Tick(), Tick())  # E
