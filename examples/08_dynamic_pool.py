"""One actor for each customer: children of one template that come and go.

A dynamic supervisor starts with no children. ``start_child`` adds one; its arguments are added to
the template's, and a restart uses the same ones again. A tab that is paid ends itself; being
``transient``, it is then forgotten and makes room for another, while one that crashes is restarted
in its place, with nothing on it.
"""

from __future__ import annotations

import actorkit as ak


@ak.message
class Order(ak.Request[str]):
    price: str


@ak.message
class Pay(ak.Request[str]): ...


class Tab(ak.Actor[Order | Pay]):
    def __init__(self, currency: str, customer: str) -> None:
        self.currency = currency
        self.customer = customer
        self.total = 0

    @ak.on(Order)
    def order(self, msg: Order) -> str:
        self.total += int(msg.price)
        return f"{self.customer} owes {self.total} {self.currency}"

    @ak.on(Pay)
    def pay(self, msg: Pay) -> str:
        self.ctx.stop()  # after this message, and before its reply goes out
        return f"{self.customer} has paid {self.total} {self.currency}"


TEMPLATE = ak.Template("tab", Tab, "crowns", restart="transient")


async def main(system: ak.System) -> None:
    bar = await system.start(ak.supervise_dynamic(TEMPLATE, max_children=2), name="bar")
    ada = await bar.start_child("ada")
    joe = await bar.start_child("joe")
    print(ada.path, await ada.ask(Order("5")))
    print(joe.path, await joe.ask(Order("7")))

    try:
        await bar.start_child("eve")
    except ak.TooManyChildren as no:
        print("refused:", no)

    try:
        await joe.ask(Order("seven"))
    except ak.ActorDied as error:
        print("no answer:", error.reason)
    print(joe.path, await joe.ask(Order("1")))

    print(ada.path, await ada.ask(Pay()))
    await ada.wait_stopped()
    eve = await bar.start_child("eve")
    print(eve.path, await eve.ask(Order("3")))
    print("open:", [ref.path for ref in await bar.which_children()])


if __name__ == "__main__":
    ak.run(main, logs=False)

# Output:
# /bar/tab-1 ada owes 5 crowns
# /bar/tab-2 joe owes 7 crowns
# refused: /bar has 2 children, and may have no more
# no answer: crashed (ValueError: invalid literal for int() with base 10: 'seven')
# /bar/tab-2 joe owes 1 crowns
# /bar/tab-1 ada has paid 5 crowns
# /bar/tab-3 eve owes 3 crowns
# open: ['/bar/tab-2', '/bar/tab-3']
