"""What every ``Transport`` does, as tests; see ``actorkit.seams.transport`` for the contract in words.

    class TestMyTransport(TransportConformance):
        @asynccontextmanager
        async def open_transports(self):
            yield MyTransport(), MyTransport()

trio's own checks of streams are among them.
"""

from __future__ import annotations

import errno
import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import check_half_closeable_stream, wait_all_tasks_blocked

from actorkit.seams.transport import Connection, Transport

BLOCK = bytes(65_536)
PLENTY = 64 << 20  # bytes; who takes as many without a reader has no bound

NOT_ADDRESSES = ("", "host", "host:", ":4000", "host:port", "host:-1", "host:65536", "::1:4000")

Pair = tuple[Connection, Connection]


@pytest.mark.trio
class TransportConformance:
    """The tests that any transport passes; subclass it and say how to make yours."""

    patience = 10.0
    """Seconds on trio's clock after which a test has failed: whatever is waited for here comes at once."""

    settling = 0.0
    """Seconds without news after which nothing more can be on its way; above 0 where a kernel is in between."""

    def open_transports(self) -> AbstractAsyncContextManager[tuple[Transport, Transport]]:
        """Two transports that can reach each other; the same one twice will do."""
        raise NotImplementedError

    @asynccontextmanager
    async def transports(self) -> AsyncGenerator[tuple[Transport, Transport], None]:
        """Both, for as long as a test may take."""
        with trio.fail_after(self.patience):
            async with self.open_transports() as both:
                yield both

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Pair, None]:
        """Both ends of a connection: that of the dialler first."""
        async with self.transports() as (here, there):
            dialled, accepted = await connect(here, there)
            yield dialled, accepted
            dialled.abort()
            accepted.abort()

    async def settle(self) -> None:
        """Wait until everything that is on its way has arrived."""
        await wait_all_tasks_blocked(self.settling)

    async def fill(self, connection: Connection) -> int:
        """Send until the peer must read first; returns a number that no fewer bytes than were sent."""
        sent = 0
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                nonlocal sent
                while sent < PLENTY:
                    sent += len(BLOCK)
                    await connection.send_all(BLOCK)

            nursery.start_soon(send)
            await self.settle()
            nursery.cancel_scope.cancel()
        return sent

    # Streams ------------------------------------------------------------------------------------------------------

    async def test_connections_are_streams_as_trio_has_them(self) -> None:
        """All that trio checks of a half-closeable stream: closing, cancelling, conflicts, checkpoints."""
        async with self.transports() as (here, there):

            async def fresh() -> Pair:
                return await connect(here, there)

            async def clogged() -> Pair:
                pair = await connect(here, there)
                for end in pair:
                    await self.fill(end)
                return pair

            await check_half_closeable_stream(fresh, clogged)

    @pytest.mark.parametrize("seed", range(3))
    async def test_however_bytes_are_divided_they_arrive_in_order(self, seed: int) -> None:
        """A stream has no message boundaries: any sends and any receives make the same bytes."""
        rng = Random(seed)
        data = rng.randbytes(200_000)
        async with self.connected() as (sender, receiver), trio.open_nursery() as nursery:

            async def send() -> None:
                sent = 0
                while sent < len(data):
                    size = rng.choice((1, 3, 100, 5_000, 90_000))
                    await sender.send_all(data[sent : sent + size])
                    sent += size
                await sender.send_eof()

            nursery.start_soon(send)
            received = bytearray()
            while True:
                most = rng.choice((1, 7, 1_000, 100_000))
                part = await receiver.receive_some(most)
                assert len(part) <= most
                if not part:
                    break
                received += part
            assert received == data

    async def test_a_sender_waits_for_its_reader(self) -> None:
        """What nobody reads is bounded, and all of it arrives once it is read."""
        async with self.connected() as (sender, receiver):
            sent = await self.fill(sender)
            assert sent < PLENTY
            async with trio.open_nursery() as nursery:

                async def go_on() -> None:
                    await sender.send_all(b"the end")
                    await sender.aclose()

                nursery.start_soon(go_on)
                total, last = 0, b""
                while part := await receiver.receive_some():
                    total += len(part)
                    last = (last + part)[-7:]
            assert last == b"the end"
            assert total <= sent + 7

    async def test_one_direction_does_not_wait_for_the_other(self) -> None:
        """While one direction is full, the other goes on."""
        async with self.connected() as (one, other):
            await self.fill(one)
            await other.send_all(b"still here")
            assert await receive_exactly(one, 10) == b"still here"

    async def test_half_a_connection_can_be_closed(self) -> None:
        """After ``send_eof`` the peer reads to the end and can go on sending."""
        async with self.connected() as (one, other):
            await one.send_all(b"request")
            await one.send_eof()
            assert await receive_all(other) == b"request"
            assert await other.receive_some() == b""
            await other.send_all(b"reply")
            await other.aclose()
            assert await receive_all(one) == b"reply"

    async def test_who_has_read_everything_closes_in_good_order(self) -> None:
        """What was sent before ``aclose`` arrives, then the end."""
        async with self.connected() as (one, other):
            await one.send_all(b"request")
            assert await receive_exactly(other, 7) == b"request"
            await other.send_all(b"reply")
            await other.aclose()
            await self.settle()
            assert await receive_all(one) == b"reply"

    async def test_closing_with_unread_bytes_breaks_the_connection(self) -> None:
        """The peer is told that its last words were not heard."""
        async with self.connected() as (one, other):
            await one.send_all(b"unheard")
            await self.settle()
            await other.aclose()
            with pytest.raises(trio.BrokenResourceError):
                await receive_all(one)

    async def test_an_abort_breaks_the_other_end(self) -> None:
        """The peer gets ``BrokenResourceError``, whether it waits to receive, or tries to send."""
        async with self.connected() as (one, other):
            one.abort()
            with pytest.raises(trio.BrokenResourceError):
                await other.receive_some()
            with pytest.raises(trio.BrokenResourceError):
                await other.send_all(b"hello?")

    async def test_an_abort_reaches_a_sender_that_waits(self) -> None:
        """A peer whose ``send_all`` is stuck gets ``BrokenResourceError``."""
        async with self.connected() as (one, other):
            await self.fill(other)
            async with trio.open_nursery() as nursery:

                async def stuck() -> None:
                    with pytest.raises(trio.BrokenResourceError):
                        await other.send_all(BLOCK)

                nursery.start_soon(stuck)
                await self.settle()
                one.abort()

    async def test_an_abort_ends_what_waits_on_this_side(self) -> None:
        """Tasks that send and receive on the aborted end get ``ClosedResourceError``, and so do later ones."""
        async with self.connected() as (one, _):
            await self.fill(one)
            async with trio.open_nursery() as nursery:

                async def closed(operation: str) -> None:
                    with pytest.raises(trio.ClosedResourceError):
                        await _operate(one, operation)

                nursery.start_soon(closed, "receive")
                nursery.start_soon(closed, "send")
                await self.settle()
                one.abort()
                one.abort()
            for operation in ("receive", "send", "send eof"):
                with pytest.raises(trio.ClosedResourceError):
                    await _operate(one, operation)
            await one.aclose()

    async def test_a_cancelled_receive_loses_nothing(self) -> None:
        """Bytes that come after it are for the next one."""
        async with self.connected() as (one, other):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.receive_some)
                await self.settle()
                nursery.cancel_scope.cancel()
            await other.send_all(b"later")
            assert await receive_exactly(one, 5) == b"later"

    # Addresses ----------------------------------------------------------------------------------------------------

    async def test_both_ends_agree_on_their_addresses(self) -> None:
        """Each end's peer is the other's local address, and the dialled address is the listener's."""
        async with self.transports() as (here, there), await there.listen() as listener:
            dialled = await here.dial(listener.address)
            accepted = await listener.accept()
            assert dialled.peer == accepted.local == listener.address
            assert accepted.peer == dialled.local
            assert dialled.local != dialled.peer
            dialled.abort()
            accepted.abort()

    async def test_every_listener_has_an_address_of_its_own(self) -> None:
        """Where no port is asked for, a free one is found, and it leads to this listener."""
        async with (
            self.transports() as (here, there),
            await there.listen() as one,
            await there.listen() as other,
        ):
            assert one.address != other.address
            for listener in (other, one):
                dialled = await here.dial(listener.address)
                accepted = await listener.accept()
                await dialled.send_all(listener.address.encode())
                await dialled.aclose()
                assert await receive_all(accepted) == listener.address.encode()
                await accepted.aclose()

    async def test_an_address_has_one_listener(self) -> None:
        """A second one is refused with ``EADDRINUSE``; once the first is closed the address is free."""
        async with self.transports() as (here, there):
            async with await there.listen() as listener:
                with pytest.raises(OSError, match=re.escape(listener.address)) as refused:
                    await there.listen(listener.address)
                assert refused.value.errno == errno.EADDRINUSE
            async with await there.listen(listener.address) as again:
                dialled = await here.dial(again.address)
                (await again.accept()).abort()
                dialled.abort()

    async def test_an_address_can_be_used_again_at_once(self) -> None:
        """Connections of an earlier listener that are still open keep nobody from its address."""
        async with self.transports() as (here, there):
            async with await there.listen() as listener:
                dialled = await here.dial(listener.address)
                accepted = await listener.accept()
            async with await there.listen(listener.address):
                await accepted.send_all(b"still here")
                await accepted.aclose()
                assert await receive_all(dialled) == b"still here"
                await dialled.aclose()

    @pytest.mark.parametrize("address", NOT_ADDRESSES)
    async def test_what_is_no_address_is_refused(self, address: str) -> None:
        """A ``ValueError`` says what an address looks like, to diallers and to listeners."""
        async with self.transports() as (here, _):
            with pytest.raises(ValueError, match="host:port"):
                await here.dial(address)
            with pytest.raises(ValueError, match="host:port"):
                await here.listen(address)

    async def test_dialling_where_nobody_listens_is_refused(self) -> None:
        """``ConnectionRefusedError`` comes at once and names the address."""
        async with self.transports() as (here, there):
            async with await there.listen() as listener:
                address = listener.address
            with pytest.raises(ConnectionRefusedError, match=re.escape(address)):
                await here.dial(address)

    # Listeners ----------------------------------------------------------------------------------------------------

    async def test_dialling_does_not_wait_for_accept(self) -> None:
        """A few connections wait in line, with the bytes that were sent on them, and are accepted in order."""
        async with self.transports() as (here, there), await there.listen() as listener:
            dialled: list[Connection] = []
            for number in range(3):
                dialled.append(await here.dial(listener.address))
                await dialled[-1].send_all(b"%d" % number)
            for number in range(3):
                accepted = await listener.accept()
                assert await receive_exactly(accepted, 1) == b"%d" % number
                await accepted.aclose()
            for connection in dialled:
                await connection.aclose()

    async def test_many_diallers_get_a_connection_each(self) -> None:
        """Thirty at once: each is answered on its own connection."""
        async with (
            self.transports() as (here, there),
            await there.listen() as listener,
            trio.open_nursery() as nursery,
        ):
            answers: list[bytes] = []

            async def call(number: int) -> None:
                async with await here.dial(listener.address) as connection:
                    await connection.send_all(b"%02d" % number)
                    answers.append(await receive_all(connection))

            for number in range(30):
                nursery.start_soon(call, number)
            for _ in range(30):
                nursery.start_soon(_echo, await listener.accept())
        assert sorted(answers) == [b"%02d" % number for number in range(30)]

    async def test_closing_a_listener_ends_those_who_wait_for_it(self) -> None:
        """``accept`` raises ``ClosedResourceError``, and so it does later on; closing again is fine."""
        async with self.transports() as (_, there), trio.open_nursery() as nursery:
            listener = await there.listen()

            async def accept() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await listener.accept()

            nursery.start_soon(accept)
            await self.settle()
            await listener.aclose()
            await accept()
            await listener.aclose()

    async def test_closing_a_listener_resets_whom_nobody_accepted(self) -> None:
        """A connection still in line breaks; one that was accepted goes on."""
        async with self.transports() as (here, there):
            async with await there.listen() as listener:
                taken = await here.dial(listener.address)
                accepted = await listener.accept()
                in_line = await here.dial(listener.address)
                await self.settle()
            with pytest.raises(trio.BrokenResourceError):
                await receive_all(in_line)
            await accepted.send_all(b"go on")
            assert await receive_exactly(taken, 5) == b"go on"
            for connection in (taken, accepted, in_line):
                connection.abort()

    async def test_what_is_cancelled_leaves_nothing_behind(self) -> None:
        """A ``listen`` that was cancelled holds no address, and a ``dial`` no place in the line."""
        async with self.transports() as (here, there):
            async with await there.listen() as listener:
                address = listener.address
            with trio.CancelScope() as scope:
                scope.cancel()
                await there.listen(address)
            async with await there.listen(address) as listener:
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await here.dial(address)
                await self.settle()
                dialled = await here.dial(address)
                found = False
                while not found:  # one that was cancelled too late to be stopped may come first
                    accepted = await listener.accept()
                    found = accepted.peer == dialled.local
                    accepted.abort()
                dialled.abort()

    async def test_a_cancelled_accept_loses_no_connection(self) -> None:
        """Who dials after it is accepted by the next one."""
        async with self.transports() as (here, there), await there.listen() as listener:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listener.accept)
                await self.settle()
                nursery.cancel_scope.cancel()
            dialled = await here.dial(listener.address)
            accepted = await listener.accept()
            assert accepted.peer == dialled.local
            dialled.abort()
            accepted.abort()


async def connect(here: Transport, there: Transport) -> Pair:
    """A connection between two transports: the dialler's end and the other."""
    async with await there.listen() as listener:
        dialled = await here.dial(listener.address)
        return dialled, await listener.accept()


async def receive_exactly(connection: Connection, count: int) -> bytes:
    """So many bytes, no more."""
    received = bytearray()
    while len(received) < count:
        part = await connection.receive_some(count - len(received))
        assert part, f"the connection ended after {bytes(received)!r}"
        received += part
    return bytes(received)


async def receive_all(connection: Connection) -> bytes:
    """All bytes up to the end."""
    received = bytearray()
    while part := await connection.receive_some():
        received += part
    return bytes(received)


async def _echo(connection: Connection) -> None:
    async with connection:
        await connection.send_all(await receive_exactly(connection, 2))


async def _operate(connection: Connection, operation: str) -> None:
    match operation:
        case "receive":
            await connection.receive_some()
        case "send":
            await connection.send_all(BLOCK)
        case _:
            await connection.send_eof()
