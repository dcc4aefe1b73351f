"""The network in memory rolls no dice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import blake2b

import trio
from trio.testing import MockClock

from actorkit.seams.transport import Connection
from actorkit.testing.network import MemoryNetwork
from actorkit.testing.trio_internals import choosing, put_off


def test_the_same_run_is_the_same_run() -> None:
    """With trio's own choices fixed, faults, arrivals and their times repeat to the last bit."""

    async def run() -> bytes:
        digest = blake2b()
        async with MemoryNetwork(window=50, segment=7) as network:
            listener = await network.host("c").listen()
            async with trio.open_nursery() as nursery:

                async def client(name: str) -> None:
                    async with await network.host(name).dial(listener.address) as connection:
                        for number in range(30):
                            await connection.send_all(f"{name}{number}".encode())
                            await trio.sleep(0.1)

                async def server(connection: Connection) -> None:
                    while part := await connection.receive_some(5):
                        digest.update(f"{connection.peer} {part!r} {trio.current_time()}".encode())

                for name in ("a", "b"):
                    nursery.start_soon(client, name)
                    nursery.start_soon(server, await listener.accept())
                await trio.sleep(1)
                network.cut("a", "c")
                network.delay("b", "c", 0.35)
                await trio.sleep(1)
                network.heal()
        return digest.digest()

    assert _fixed(run) == _fixed(run)


class _First:
    """Of the tasks that can go on, the one made first goes on."""

    def shuffle(self, batch: list[object]) -> None:
        put_off(batch[1:])
        del batch[1:]


def _fixed(run: Callable[[], Awaitable[bytes]]) -> bytes:
    with choosing(_First()):
        return trio.run(run, clock=MockClock(autojump_threshold=0))
