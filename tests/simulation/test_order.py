"""What one sends to another arrives in the order sent, or not at all: tells, asks, streams, ``Down`` and ``Exit`` mixed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import insist, law

SENDERS = ("ann", "bob", "cat")
Item = int | ak.Down | ak.Exit


@ak.message
class Told:
    sender: str
    number: int


@ak.message
class Asked(ak.Request[int]):
    sender: str
    number: int


@ak.message
class Streamed(ak.StreamRequest[int]):
    sender: str
    number: int


@ak.message
class Go:
    pass


class Hub(ak.Actor[Told | Asked | Streamed]):
    """Notes by sender everything that comes, in the order it comes."""

    trap_exits = True
    mailbox = ak.Mailbox(capacity=4)

    def __init__(self, sim: Sim, seen: dict[str, list[Item]]) -> None:
        self.sim = sim
        self.seen = seen

    async def started(self) -> None:
        for name in SENDERS:
            sender = ak.props(Sender, self.sim, name, self.ctx.self)
            ref, _ = await self.ctx.spawn_watched(sender, name=name, link=True)
            ref.tell(Go())

    @ak.on(Told)
    async def told(self, msg: Told) -> None:
        self.seen[msg.sender].append(msg.number)
        if msg.number % 3 == 0:
            await trio.lowlevel.checkpoint()

    @ak.on(Asked)
    async def asked(self, msg: Asked) -> int:
        self.seen[msg.sender].append(msg.number)
        await self.ctx.sleep(0.1 * (msg.number % 2))
        return msg.number

    @ak.on(Streamed)
    async def streamed(self, msg: Streamed) -> AsyncIterator[int]:
        self.seen[msg.sender].append(msg.number)
        yield msg.number
        await trio.lowlevel.checkpoint()

    def down(self, down: ak.Down) -> None:
        self.seen[down.ref.path.rsplit("/", 1)[-1]].append(down)

    def exited(self, signal: ak.Exit, /) -> None:
        self.seen[signal.ref.path.rsplit("/", 1)[-1]].append(signal)


class Sender(ak.Actor[Go]):
    """Sends numbers in all the ways there are, one after the other, and ends."""

    def __init__(self, sim: Sim, name: str, hub: ak.Ref[Told | Asked | Streamed]) -> None:
        self.sim = sim
        self.name = name
        self.hub = hub
        self.number = 0

    @ak.on(Go)
    async def go(self, msg: Go) -> None:
        ways: list[Callable[[], Awaitable[None]]] = [
            self._ask,
            self._stream,
            self._nest,
            self._send,
        ]
        if self.name == "bob":
            ways.reverse()
        for way in ways:
            self.hub.tell(Told(self.name, self._next()))
            try:
                await way()
            except ak.AskError:
                self.sim.sometimes("an ask fails")
        if self.name == "cat":
            raise ValueError("at the end")
        self.ctx.stop()

    def _next(self) -> int:
        self.number += 1
        return self.number

    async def _ask(self) -> None:
        number = self._next()
        reply = await self.hub.ask(Asked(self.name, number), timeout=0.05)
        insist(self.sim, reply == number, "a reply answers its own request")

    async def _stream(self) -> None:
        async with self.hub.stream(Streamed(self.name, self._next())) as items:
            async for item in items:
                insist(self.sim, item == self.number, "an item answers its own request")

    async def _nest(self) -> None:
        """Ask from a nursery of the handler's, and leave it before there can be an answer."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.hub.send, Told(self.name, self._next()))
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    async def _send(self) -> None:
        await self.hub.send(Told(self.name, self._next()))


@law(
    faults=[kill_actor("/*/*"), crash_actor("/*/*"), early_timer()],
    sometimes=["an ask fails", "killed in the midst", "all arrive"],
)
async def test_all_that_one_sends_arrives_in_order(sim: Sim) -> None:
    """Numbers of one sender rise, whatever carried them; then its ``Down`` and ``Exit`` come, each once."""
    seen: dict[str, list[Item]] = {name: [] for name in SENDERS}
    await sim.spawn(ak.props(Hub, sim, seen), name="hub")
    await sim.eventually(
        lambda: all(len(mine) >= 2 and not isinstance(mine[-2], int) for mine in seen.values()),
        "all senders end",
    )
    for name, mine in seen.items():
        numbers = [item for item in mine if isinstance(item, int)]
        notices = [item for item in mine[len(numbers) :] if not isinstance(item, int)]
        assert all(a < b for a, b in pairwise(numbers)), f"{name} sent in order, came {numbers}"
        assert sorted(type(notice).__name__ for notice in notices) == ["Down", "Exit"], mine
        assert len({notice.reason for notice in notices}) == 1
        killed = notices[0].reason == ak.Killed()
        sim.sometimes("killed in the midst", killed and numbers)
        sim.sometimes("all arrive", len(numbers) == 8)
