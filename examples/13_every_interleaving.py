"""For a handful of actors: not many schedules, but all of them that could make a difference."""

from __future__ import annotations

import actorkit as ak
from actorkit.testing import Sim, simulate


@ak.message
class Acquire(ak.Request[None]): ...


@ak.message
class Release: ...


class Lock(ak.Actor[Acquire | Release]):
    """Held by one at a time; the others wait in line."""

    def __init__(self) -> None:
        self.held = False
        self.line: list[ak.Reply[None]] = []

    @ak.on(Acquire)
    def acquire(self, msg: Acquire, reply: ak.Reply[None]) -> None:
        if self.held:
            self.line.append(reply)
        else:
            self.held = True
            reply.send(None)

    @ak.on(Release)
    def release(self, msg: Release) -> None:
        if self.line:
            self.line.pop(0).send(None)
        else:
            self.held = False


async def two_locks(sim: Sim, *, in_order: bool) -> None:
    """Two clients take the same two locks."""
    one, other = await sim.spawn(Lock), await sim.spawn(Lock)

    async def client(i: int) -> None:
        first, second = (one, other) if in_order or i == 0 else (other, one)
        await first.ask(Acquire(), timeout=None)
        await second.ask(Acquire(), timeout=None)
        second.tell(Release())
        first.tell(Release())

    await sim.each(2, client)


@simulate(strategy="exhaustive")
async def same_order(sim: Sim) -> None:
    await two_locks(sim, in_order=True)


@simulate(strategy="exhaustive")
async def opposite_orders(sim: Sim) -> None:
    await two_locks(sim, in_order=False)


def main() -> None:
    same_order()
    print("same order:", same_order.simulated.exploration)
    try:
        opposite_orders()
    except AssertionError as failure:
        print(f"opposite orders: {type(failure).__name__}: {str(failure).partition(':')[0]}")


if __name__ == "__main__":
    main()

# Output:
# same order: complete: 4 traces
# opposite orders: Deadlock: nothing can go on, and no timer is set
