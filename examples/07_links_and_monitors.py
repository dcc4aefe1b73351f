"""Hearing of deaths: a monitor tells one side, a link ties two, a trapped exit is a message.

``watch`` asks for one ``Down`` when an actor is gone, whatever the reason. ``link`` shares a fate,
both ways: if one ends abnormally, so does the other, at once and without its ``stopping`` hook. An
actor that sets ``trap_exits`` gets an ``Exit`` in its ``exited`` hook instead: supervisors are made
of this.
"""

from __future__ import annotations

import actorkit as ak


@ak.message
class Work:
    text: str


class Worker(ak.Actor[Work]):
    @ak.on(Work)
    def work(self, msg: Work) -> None:
        if msg.text == "broken":
            raise ValueError("cannot work with this")
        if msg.text == "last":
            self.ctx.stop()

    def stopping(self, reason: ak.ExitReason) -> None:
        print(f"  {self.ctx.path} tidies up: {reason}")


@ak.message
class Meet:
    other: ak.Ref[Work]


class Watcher(ak.Actor[Meet]):
    @ak.on(Meet)
    def meet(self, msg: Meet) -> None:
        self.ctx.watch(msg.other)

    def down(self, down: ak.Down) -> None:
        print(f"  watcher: {down.ref.path} is gone: {down.reason}")


class Partner(ak.Actor[Meet]):
    @ak.on(Meet)
    def meet(self, msg: Meet) -> None:
        self.ctx.link(msg.other)

    def stopping(self, reason: ak.ExitReason) -> None:
        print("  this is never printed")  # an exit signal ends it without ceremony


class Trapper(Partner):
    trap_exits = True

    def exited(self, exit: ak.Exit) -> None:  # noqa: A002
        print(f"  trapper: {exit.ref.path} ended: {exit.reason}")

    def stopping(self, reason: ak.ExitReason) -> None: ...


async def main(system: ak.System) -> None:
    async def worker(name: str) -> ak.Ref[Work]:
        return await system.spawn(ak.props(Worker), name=name)

    watcher = await system.spawn(ak.props(Watcher), name="watcher")
    partner = await system.spawn(ak.props(Partner), name="partner")
    trapper = await system.spawn(ak.props(Trapper), name="trapper")
    everyone: list[ak.Ref[Meet]] = [watcher, partner, trapper]

    print("a worker ends in good order:")
    one = await worker("one")
    for each in everyone:
        each.tell(Meet(one))
    one.tell(Work("last"))
    await one.wait_stopped()
    await system.state_of(watcher)  # answered after all that came before, the Down included
    print("  the partner lives:", partner.alive)

    print("a worker crashes:")
    two = await worker("two")
    for each in everyone:
        each.tell(Meet(two))
    two.tell(Work("broken"))
    print("  the partner ended:", await partner.wait_stopped())

    print("too late to watch:")
    watcher.tell(Meet(two))
    await system.state_of(watcher)


if __name__ == "__main__":
    ak.run(main, logs=False)

# Output:
# a worker ends in good order:
#   /one tidies up: normal
#   trapper: /one ended: normal
#   watcher: /one is gone: normal
#   the partner lives: True
# a worker crashes:
#   /two tidies up: crashed (ValueError: cannot work with this)
#   trapper: /two ended: crashed (ValueError: cannot work with this)
#   watcher: /two is gone: crashed (ValueError: cannot work with this)
#   the partner ended: crashed (ValueError: cannot work with this)
# too late to watch:
#   watcher: /two is gone: no such actor
