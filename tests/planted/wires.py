"""A bug on the wire: what a lost connection does to the order of messages."""

from __future__ import annotations

from contextlib import suppress

import attrs
import trio

import actorkit as ak
from actorkit.seams.transport import Connection, Listener
from actorkit.testing import Sim
from actorkit.testing.network import MemoryNetwork
from tests.planted.registry import planted


@ak.message
class Send:
    number: int


@ak.message
class Heard:
    number: int


@ak.message
class Broken: ...


class Courier(ak.Actor[Send | Heard | Broken]):
    """Sends numbers over a connection, one byte each, and after a break once more what was not acknowledged.

    The wrong one takes the number in hand over the new connection first, and then what is older.
    """

    def __init__(self, network: MemoryNetwork, address: str, *, wrong: bool) -> None:
        self.network, self.address, self.wrong = network, address, wrong
        self.unheard: list[int] = []

    async def started(self) -> None:
        await self._dial()

    async def _dial(self) -> None:
        """Connect, however often the connection breaks at once."""
        while True:
            with suppress(ConnectionResetError):
                self.connection = await self.network.host("here").dial(self.address)
                break
        self.ctx.start_soon(self._listen, self.connection)

    async def _listen(self, connection: Connection) -> None:
        with suppress(trio.BrokenResourceError):
            while data := await connection.receive_some():
                for number in data:
                    self.ctx.self.tell(Heard(number))
        self.ctx.self.tell(Broken())

    @ak.on(Send)
    async def send(self, msg: Send) -> None:
        self.unheard.append(msg.number)
        try:
            await self.connection.send_all(bytes([msg.number]))
        except trio.BrokenResourceError:  # the listener says so, too
            if self.wrong:
                await self._again([msg.number, *self.unheard])

    @ak.on(Broken)
    async def broken(self, msg: Broken) -> None:
        await self._again(self.unheard)

    async def _again(self, numbers: list[int]) -> None:
        await self._dial()
        with suppress(trio.BrokenResourceError):
            await self.connection.send_all(bytes(numbers))

    @ak.on(Heard)
    def heard(self, msg: Heard) -> None:
        if msg.number in self.unheard:
            self.unheard.remove(msg.number)


@attrs.frozen
class Drop:
    """The connections break, and what was on its way is lost."""

    def strike(self, sim: Sim, _: int, /) -> str | None:
        for cell in sim.system.runtime.cells.values():
            if isinstance(cell.actor, Courier) and cell.actor.network.drop("here", "there"):
                return "the connection breaks"
        return None


async def _serve(listener: Listener, heard: list[int]) -> None:
    """Note each number once and acknowledge it, over as many connections as it takes."""

    async def listen(connection: Connection) -> None:
        with suppress(trio.BrokenResourceError):
            while data := await connection.receive_some():
                heard.extend(number for number in dict.fromkeys(data) if number not in heard)
                await connection.send_all(data)

    async with trio.open_nursery() as nursery:
        while True:
            nursery.start_soon(listen, await listener.accept())


@planted(shows="out of order", budget=100, faults=[Drop()])
async def order_across_a_reconnect(sim: Sim, wrong: bool) -> None:
    """After a break the new message goes over the new connection at once, and before those that the break has swallowed."""
    heard: list[int] = []
    numbers = list(range(4))
    async with MemoryNetwork() as network, trio.open_nursery() as nursery:
        network.host("here")
        listener = await network.host("there").listen()
        nursery.start_soon(_serve, listener, heard)
        courier = await sim.spawn(Courier, network, listener.address, wrong=wrong)
        for number in numbers:
            await courier.send(Send(number))
            await trio.lowlevel.checkpoint()
        await sim.eventually(lambda: set(heard) == set(numbers), "everything is heard")
        await courier.stop()
        nursery.cancel_scope.cancel()
    assert heard == numbers, f"out of order: {heard}"
