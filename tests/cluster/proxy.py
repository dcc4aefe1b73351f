"""Roads between nodes that a test can block: real sockets, with a proxy for each address a node dials.

A node whose transport is ``Roads.transport(name)`` dials everybody through a proxy of its own, whatever address it was told, so
no connection of a mesh goes round it. Each direction passes, holds or delays what is sent. As long as one holds, the end of a
connection does not get through either: to both sides the other is merely silent, as behind a cut cable.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from itertools import product

import trio

from actorkit.seams.transport import Connection, Listener, TcpTransport

CHUNK = 1 << 16


class Direction:
    """One way of a road."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.carried = 0
        self._open = trio.Event()
        self._open.set()

    @property
    def held(self) -> bool:
        """Whether nothing gets through."""
        return not self._open.is_set()

    def hold(self) -> None:
        """Let nothing through any more."""
        if not self.held:
            self._open = trio.Event()

    def pass_on(self) -> None:
        """Let all through again, first of all what was held."""
        self._open.set()

    async def carry(self, source: Connection, sink: Connection) -> None:
        """Carry one connection's bytes this way until it ends."""
        try:
            while data := await _received(source):
                if self.delay:
                    await trio.sleep(self.delay)
                await self._open.wait()
                await sink.send_all(data)
                self.carried += len(data)
            await self._open.wait()
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await self._open.wait()
            source.abort()
            sink.abort()


async def _received(source: Connection) -> bytes:
    return await source.receive_some(CHUNK)


class Proxy:
    """A road from one node to an address: whoever dials ``address`` gets there."""

    def __init__(self, listener: Listener, target: str) -> None:
        self.address = listener.address
        self.there = Direction()
        self.back = Direction()
        self._listener = listener
        self._target = target
        self._ends: list[Connection] = []

    def cut(self) -> None:
        """Break every connection that goes this way."""
        ends, self._ends = self._ends, []
        for end in ends:
            end.abort()

    async def serve(self) -> None:
        """Let connections through, until cancelled."""
        async with self._listener, trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self._carry, await self._listener.accept())

    async def _carry(self, near: Connection) -> None:
        try:
            far = await TcpTransport().dial(self._target)
        except OSError:
            near.abort()
            return
        self._ends += [near, far]
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(self.there.carry, near, far)
            nursery.start_soon(self.back.carry, far, near)


class _Transport:
    """How one node gets to others."""

    def __init__(self, roads: Roads, name: str) -> None:
        self._roads = roads
        self._name = name

    async def dial(self, address: str) -> Connection:
        """Dial, by a road."""
        return await TcpTransport().dial(await self._roads.between(self._name, address))

    async def listen(self, address: str | None = None) -> Listener:
        """Listen, as anybody does."""
        listener = await TcpTransport().listen(address)
        self._roads.settled(self._name, listener.address)
        return listener


class Roads:
    """All roads between some nodes."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._proxies: dict[tuple[str, str], Proxy] = {}
        self._places: dict[str, str] = {}  # names, by address
        self._blocked: set[tuple[str, str]] = set()  # from whom to whom nothing gets through

    def transport(self, name: str) -> _Transport:
        """The transport of a node."""
        return _Transport(self, name)

    def settled(self, name: str, address: str) -> None:
        """A node listens there."""
        self._places[address] = name

    async def between(self, name: str, address: str) -> str:
        """What a node dials instead of an address."""
        proxy = self._proxies.get((name, address))
        if proxy is None:
            proxy = Proxy(await TcpTransport().listen(), address)
            self._proxies[name, address] = proxy
            self._nursery.start_soon(proxy.serve)
            self._set()
        return proxy.address

    def block(self, one: Iterable[str], other: Iterable[str], *, one_way: bool = False) -> None:
        """Let nothing through from the nodes of one side to those of the other, and back unless told otherwise."""
        for pair in product(one, other):
            self._blocked.add(pair)
            if not one_way:
                self._blocked.add((pair[1], pair[0]))
        self._set()

    def heal(self) -> None:
        """Let all through."""
        self._blocked.clear()
        self._set()

    def cut(self) -> None:
        """Break every connection there is."""
        for proxy in self._proxies.values():
            proxy.cut()

    def carried(self, source: str, target: str) -> int:
        """How many bytes have come through from one node to the other."""
        return sum(
            (proxy.there.carried if name == source else proxy.back.carried)
            for (name, address), proxy in self._proxies.items()
            if {name, self._places.get(address)} == {source, target}
        )

    def _set(self) -> None:
        for (name, address), proxy in self._proxies.items():
            there = self._places.get(address, "")
            for way, pair in ((proxy.there, (name, there)), (proxy.back, (there, name))):
                if pair in self._blocked:
                    way.hold()
                else:
                    way.pass_on()


@asynccontextmanager
async def open_roads() -> AsyncGenerator[Roads]:
    """Roads for the time of a block."""
    async with trio.open_nursery() as nursery:
        roads = Roads(nursery)
        yield roads
        roads.heal()
        nursery.cancel_scope.cancel()
