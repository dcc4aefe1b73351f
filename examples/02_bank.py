"""Requests that may be refused, and an actor that asks other actors.

A handler has three ways to end. It returns: that is the reply. It raises ``Refused``, or a
subclass: an expected "no", which is raised at the asker while the actor lives on. It raises
anything else: a bug, and the actor dies of it (the next example shows what then).
"""

from __future__ import annotations

import actorkit as ak


@ak.message
class Deposit(ak.Request[int]):
    cents: int


@ak.message
class Withdraw(ak.Request[int]):
    cents: int


class Overdrawn(ak.Refused):
    """The account does not hold enough."""

    def __init__(self, missing: int) -> None:
        super().__init__(f"{missing} cents are missing")
        self.missing = missing


class Account(ak.Actor[Deposit | Withdraw]):
    def __init__(self, opening: int = 0) -> None:
        self.cents = opening

    @ak.on(Deposit)
    def deposit(self, msg: Deposit) -> int:
        self.cents += msg.cents
        return self.cents

    @ak.on(Withdraw)
    def withdraw(self, msg: Withdraw) -> int:
        if msg.cents > self.cents:
            raise Overdrawn(msg.cents - self.cents)
        self.cents -= msg.cents
        return self.cents


@ak.message
class Transfer(ak.Request[str]):
    cents: int
    source: ak.Ref[Withdraw]  # whatever takes Withdraw: the teller need not know more
    target: ak.Ref[Deposit]


class Teller(ak.Actor[Transfer]):
    @ak.on(Transfer)
    async def transfer(self, msg: Transfer) -> str:
        left = await msg.source.ask(Withdraw(msg.cents))  # Overdrawn passes through to our asker
        now = await msg.target.ask(Deposit(msg.cents))
        return f"moved {msg.cents}: {left} left, {now} there"


async def main(system: ak.System) -> None:
    alice = await system.spawn(ak.props(Account, opening=100), name="alice")
    bob = await system.spawn(ak.props(Account), name="bob")
    teller = await system.spawn(ak.props(Teller), name="teller")

    print(await teller.ask(Transfer(70, source=alice, target=bob)))
    try:
        await teller.ask(Transfer(70, source=alice, target=bob))
    except Overdrawn as no:
        print("refused:", no)
    print("bob has", await bob.ask(Deposit(0)))
    print("all alive:", alice.alive and bob.alive and teller.alive)


if __name__ == "__main__":
    ak.run(main)

# Output:
# moved 70: 30 left, 70 there
# refused: 40 cents are missing
# bob has 70
# all alive: True
