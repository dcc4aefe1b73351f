"""Transports that each break one law. pytest collects them only when ``test_kits_bite.py`` asks it to."""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio

from actorkit.seams.transport import Transport
from actorkit.testing.conformance.transport import TransportConformance
from actorkit.testing.network import MemoryNetwork


class Broken:
    """A transport whose connections, at both ends, are of a broken kind."""

    def __init__(self, transport: Any, connections: type[BrokenConnection]) -> None:
        self.transport = transport
        self.connections = connections

    async def dial(self, address: str) -> Any:
        return self.connections(await self.transport.dial(address))

    async def listen(self, address: str | None = None) -> Any:
        return BrokenListener(await self.transport.listen(address), self.connections)


class BrokenListener:
    """A listener that passes everything on."""

    def __init__(self, listener: Any, connections: type[BrokenConnection]) -> None:
        self.listener = listener
        self.connections = connections

    def __getattr__(self, name: str) -> Any:
        return getattr(self.listener, name)

    async def accept(self) -> Any:
        return self.connections(await self.listener.accept())

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listener.aclose()


class BrokenConnection(trio.abc.HalfCloseableStream):
    """A connection that passes everything on."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.connection.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.connection.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data: bytes = await self.connection.receive_some(max_bytes)
        return data

    async def send_eof(self) -> None:
        await self.connection.send_eof()

    async def aclose(self) -> None:
        await self.connection.aclose()


class AbortsGently(BrokenConnection):
    def abort(self) -> None:
        self.connection.close()


class ClosesRudely(BrokenConnection):
    async def aclose(self) -> None:
        self.connection.abort()
        await trio.lowlevel.checkpoint()


class ClosesBothHalves(BrokenConnection):
    async def send_eof(self) -> None:
        await self.connection.aclose()


class IgnoresMaximum(BrokenConnection):
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await super().receive_some(None if max_bytes is None else max_bytes + 1)


class BreaksWhenCancelled(BrokenConnection):
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            return await super().receive_some(max_bytes)
        except trio.Cancelled:
            self.connection.abort()
            raise


class HasNoName(BrokenConnection):
    local = peer = "here:1"


class SharesAddresses(Broken):
    async def listen(self, address: str | None = None) -> Any:
        try:
            return await super().listen(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return await super().listen()


class NeverRefuses(Broken):
    async def dial(self, address: str) -> Any:
        try:
            return await super().dial(address)
        except ConnectionRefusedError:
            await trio.sleep_forever()


class Unbounded(Broken):
    """On a network with an endless window."""


# Transport, connections, the law they break.
BROKEN: dict[str, tuple[type[Broken], type[BrokenConnection], str]] = {
    "AbortsGently": (Broken, AbortsGently, "an_abort_breaks_the_other_end"),
    "ClosesRudely": (Broken, ClosesRudely, "who_has_read_everything_closes"),
    "ClosesBothHalves": (Broken, ClosesBothHalves, "half_a_connection_can_be_closed"),
    "IgnoresMaximum": (Broken, IgnoresMaximum, "however_bytes_are_divided"),
    "BreaksWhenCancelled": (Broken, BreaksWhenCancelled, "a_cancelled_receive_loses_nothing"),
    "HasNoName": (Broken, HasNoName, "both_ends_agree_on_their_addresses"),
    "SharesAddresses": (SharesAddresses, BrokenConnection, "an_address_has_one_listener"),
    "NeverRefuses": (NeverRefuses, BrokenConnection, "dialling_where_nobody_listens"),
    "Unbounded": (Unbounded, BrokenConnection, "a_sender_waits_for_its_reader"),
    "Sound": (Broken, BrokenConnection, ""),
}


def kit(
    kind: type[Broken], connections: type[BrokenConnection], *, sound: bool
) -> type[TransportConformance]:
    """The tests of one broken transport, as somebody who wrote it would have them."""

    class Kit(TransportConformance):
        patience = 10.0 if sound else 0.3

        @asynccontextmanager
        async def open_transports(self) -> AsyncGenerator[tuple[Transport, Transport], None]:
            window = 1 << 40 if kind is Unbounded else 10_000
            async with MemoryNetwork(window=window) as network:
                yield (
                    kind(network.host("a"), connections),
                    kind(network.host("b"), connections),
                )

    return Kit


for _name, (_kind, _connections, _law) in BROKEN.items():
    globals()[f"Test{_name}"] = kit(_kind, _connections, sound=not _law)
