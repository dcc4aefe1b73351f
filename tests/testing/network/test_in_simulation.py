"""Links and disks under the simulator: what overtakes what, and when the power goes, are choices like any other."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import pytest
import trio

from actorkit.seams.disk import Disk, File
from actorkit.seams.transport import Connection, Transport
from actorkit.testing import Sim, simulate
from actorkit.testing.conformance.transport import receive_all, receive_exactly
from actorkit.testing.disk import MemoryDisk
from actorkit.testing.network import MemoryNetwork
from actorkit.testing.seams import InlineOffload

# Overtaking -------------------------------------------------------------------------------------------------------


async def arrivals(sim: Sim) -> list[bytes]:
    """Two hosts send three bytes each to a third; what arrived, in order."""
    arrived: list[bytes] = []
    async with MemoryNetwork() as network:
        listener = await network.host("c").listen()

        async def send(number: int) -> None:
            name, data = "ab"[number], (b"123", b"xyz")[number]
            connection = await network.host(name).dial(listener.address)
            for place in range(3):
                await connection.send_all(data[place : place + 1])
            await connection.aclose()

        async def receive(connection: Connection) -> None:
            while part := await connection.receive_some(1):
                arrived.append(part)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sim.each, 2, send)
            for _ in range(2):
                nursery.start_soon(receive, await listener.accept())
    return arrived


@simulate(strategy="random", examples=150, seed=1)
async def test_links_overtake_each_other_and_never_themselves(sim: Sim) -> None:
    """Every order is found in which each sender's bytes are in order: a link is a task that a strategy may hold up."""
    arrived = b"".join(await arrivals(sim))
    assert bytes(byte for byte in arrived if byte in b"123") == b"123"
    assert bytes(byte for byte in arrived if byte in b"xyz") == b"xyz"
    sim.sometimes("a first", arrived == b"123xyz")
    sim.sometimes("b first", arrived == b"xyz123")
    sim.sometimes("mixed", arrived in (b"1x2y3z", b"x1y2z3", b"1xy2z3", b"x12yz3"))


def test_a_schedule_of_links_can_be_replayed() -> None:
    """A failure that needs one link to be slow is found, made small, and its token brings it back."""

    async def hopes(sim: Sim) -> None:
        assert (await arrivals(sim))[0] == b"1", "b overtook a"

    test = simulate(strategy="random", examples=200, seed=1)(hopes)
    with pytest.raises(AssertionError, match="b overtook a"):
        test()
    found = test.simulated.found
    assert found is not None
    assert found.outcome.plan.size <= 3
    with pytest.raises(AssertionError, match="b overtook a"):
        test.replay(found.token)


# A server that must not forget ------------------------------------------------------------------------------------


class World:
    """A server with a disk, which a fault may kill and which then starts again."""

    def __init__(self, network: MemoryNetwork, *, careful: bool) -> None:
        self.network = network
        self.network.host("server")
        self.careful = careful
        self.disk = MemoryDisk()
        self.offload = InlineOffload()
        self.process = trio.CancelScope()
        self.acknowledged: list[int] = []

    async def run_server(self) -> None:
        """Let one process follow the other."""
        while True:
            with self.process:
                await self._serve(self.disk, self.network.host("server"))
            self.process = trio.CancelScope()
            await trio.sleep(0.5)

    def kill(self, leftover: int) -> str:
        """The process is killed, or the machine loses its power and keeps one of the legal leftovers."""
        if leftover % 2:
            self.disk, what = self.disk.kill9(), "kill -9"
            self.network.kill9("server")
        else:
            self.disk, what = self.disk.power_cut(leftover // 2), "power cut"
            self.network.power_cut("server")
        self.process.cancel()
        return what

    async def _serve(self, disk: Disk, transport: Transport) -> None:
        log = disk.open("log")
        disk.sync_dir()
        log.truncate(log.size() // 2 * 2)
        log.sync()
        listener = await transport.listen("server:1")
        async with trio.open_nursery() as nursery:
            while True:
                connection = await listener.accept()
                nursery.start_soon(self._answer, connection, log)

    async def _answer(self, connection: Connection, log: File) -> None:
        try:
            number = await receive_exactly(connection, 2)
            log.append(number)
            if self.careful:
                await self.offload.run_sync(log.sync)
            await connection.send_all(b"!")
            await self.offload.run_sync(log.sync)
            await connection.aclose()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the process is dead, or its client is

    async def ask(self, number: int) -> None:
        """Send a number until it is acknowledged."""
        transport = self.network.host(f"client-{number}")
        while True:
            with trio.move_on_after(2):
                try:
                    async with await transport.dial("server:1") as connection:
                        await connection.send_all(b"%02d" % number)
                        if await receive_all(connection) == b"!":
                            self.acknowledged.append(number)
                            return
                except (OSError, trio.BrokenResourceError):
                    pass
            await trio.sleep(1)

    def lost(self) -> set[int]:
        """What was acknowledged and would not survive a power cut."""
        data = self.disk.durable().get("log", b"")
        kept = {data[at : at + 2] for at in range(0, len(data), 2)}
        return {number for number in self.acknowledged if b"%02d" % number not in kept}


WORLDS: WeakKeyDictionary[Sim, World] = WeakKeyDictionary()


class KillServer:
    """The fault; its argument says how, and what is left."""

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        """Kill the server of the present run."""
        world = WORLDS.get(sim)
        return world.kill(arg) if world is not None else None


async def remembers(sim: Sim, *, careful: bool) -> None:
    """Three clients have a number each acknowledged, whatever becomes of the server meanwhile."""
    async with MemoryNetwork() as network, trio.open_nursery() as nursery:
        WORLDS[sim] = world = World(network, careful=careful)
        nursery.start_soon(world.run_server)
        sim.always(lambda: not world.lost(), "acknowledged is durable")
        await sim.each(3, lambda number: world.ask(number + 10))
        sim.sometimes("killed meanwhile", world.disk.incarnation > 1)
        nursery.cancel_scope.cancel()


@simulate(strategy="portfolio", examples=150, seed=2, faults=[KillServer()])
async def test_a_careful_server_forgets_nothing(sim: Sim) -> None:
    """Synced before it is acknowledged, no number is lost, in no schedule and by no death."""
    await remembers(sim, careful=True)


def test_a_careless_server_is_caught() -> None:
    """Acknowledged before it is synced, a number is lost in some schedule, and few deviations are needed."""

    async def careless(sim: Sim) -> None:
        await remembers(sim, careful=False)

    test = simulate(strategy="portfolio", examples=150, seed=2, faults=[KillServer()])(careless)
    with pytest.raises(AssertionError, match="acknowledged is durable"):
        test()
    found = test.simulated.found
    assert found is not None
    assert found.outcome.plan.size <= 3
