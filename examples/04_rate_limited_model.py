"""A crew that shares one slow model: an actor is a rate limit, and ``send`` is back-pressure.

The model answers one prompt at a time, half a second each: no lock and no token bucket, since an
actor handles one message at a time anyway. Two analysts ask it; their mailboxes hold two pages
each. The scout finds pages much faster than that, and hands them over with ``await
analyst.send(page)``, which waits while there is no room. So the scout is slowed down to the model's
pace, and memory stays flat however many pages there are.

The half seconds pass in virtual time: the clock jumps whenever nothing can go on without it.
"""

from __future__ import annotations

import trio
from trio.testing import MockClock

import actorkit as ak


@ak.message
class Complete(ak.Request[str]):
    prompt: str


class Model(ak.Actor[Complete]):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    @ak.on(Complete)
    async def complete(self, msg: Complete) -> str:
        await self.ctx.sleep(self.seconds)  # here a real client would await its HTTP request
        return msg.prompt.upper()


@ak.message
class Page:
    number: int


class Analyst(ak.Actor[Page]):
    mailbox = ak.Mailbox(capacity=2)

    def __init__(self, model: ak.Ref[Complete]) -> None:
        self.model = model

    @ak.on(Page)
    async def read(self, page: Page) -> None:
        summary = await self.model.ask(Complete(f"page {page.number}"), timeout=60.0)
        print(f"{self.ctx.now():4.1f}s {self.ctx.path} has {summary}")


async def main() -> None:
    async with ak.open_system() as system:
        model = await system.spawn(ak.props(Model, 0.5), name="model")
        crew = [await system.spawn(ak.props(Analyst, model), name=name) for name in ("ann", "bob")]
        longest = 0
        for number in range(1, 11):
            analyst = crew[number % 2]
            await analyst.send(Page(number))
            longest = max(longest, system.statistics(analyst).waiting)
        held_back = system.now() > 1.0
        for analyst in crew:
            await system.state_of(analyst, timeout=60.0)  # a barrier: all sent before is handled
        print(f"the scout was held back: {held_back}; longest queue: {longest} pages")


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))

# Output:
#  0.5s /bob has PAGE 1
#  1.0s /ann has PAGE 2
#  1.5s /bob has PAGE 3
#  2.0s /ann has PAGE 4
#  2.5s /bob has PAGE 5
#  3.0s /ann has PAGE 6
#  3.5s /bob has PAGE 7
#  4.0s /ann has PAGE 8
#  4.5s /bob has PAGE 9
#  5.0s /ann has PAGE 10
# the scout was held back: True; longest queue: 2 pages
