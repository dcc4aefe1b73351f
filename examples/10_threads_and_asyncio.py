"""Actors in a program that is not a trio program: a portal for threads and for asyncio.

``open_portal`` runs trio and an actor system in a thread of its own. From any other thread
``portal.tell``, ``ask`` and ``call`` reach it; in asyncio ``aask`` and ``acall`` are awaited, and
cancelling them there cancels the work here. The actors know nothing of it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import actorkit as ak


@ak.message
class Add(ak.Request[int]):
    amount: int


@ak.message
class Slow(ak.Request[str]): ...


class Counter(ak.Actor[Add | Slow]):
    def __init__(self) -> None:
        self.total = 0

    @ak.on(Add)
    def add(self, msg: Add) -> int:
        self.total += msg.amount
        return self.total

    @ak.on(Slow)
    async def slow(self, msg: Slow) -> str:
        await self.ctx.sleep(3600.0)
        return "at last"


COUNTER = ak.Child("counter", ak.props(Counter))


def from_threads(portal: ak.Portal, counter: ak.Ref[Add]) -> None:
    """Ten threads add at once; no lock is needed: the counter handles one message at a time."""
    with ThreadPoolExecutor(10) as pool:
        for _ in pool.map(lambda n: portal.ask(counter, Add(n)), range(1, 11)):
            pass
    print("after ten threads:", portal.ask(counter, Add(0)))


async def from_asyncio(portal: ak.Portal, counter: ak.Ref[Add | Slow]) -> None:
    """What an ASGI application would do in its request handlers."""
    await asyncio.gather(*(portal.aask(counter, Add(n)) for n in range(1, 11)))
    print("after ten tasks:", await portal.aask(counter, Add(0)))
    try:
        async with asyncio.timeout(0.05):
            await portal.aask(counter, Slow(), timeout=None)
    except TimeoutError:
        print("asyncio has lost patience")


def main() -> None:
    with ak.open_portal() as portal:
        tree = portal.call(portal.system.start, ak.supervise(COUNTER))
        counter = tree.child(COUNTER)
        from_threads(portal, counter)
        asyncio.run(from_asyncio(portal, counter))
    print("closed")


if __name__ == "__main__":
    main()

# Output:
# after ten threads: 55
# after ten tasks: 110
# asyncio has lost patience
# closed
