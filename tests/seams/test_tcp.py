"""Real sockets on the loopback interface, in real time: they pass the kit, and are as careful as they say."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from actorkit.seams.transport import (
    Connection,
    TcpTransport,
    Transport,
    join_address,
    split_address,
)
from actorkit.testing.conformance.transport import TransportConformance, connect, receive_all


class TestTcpTransport(TransportConformance):
    settling = 0.02

    @asynccontextmanager
    async def open_transports(self) -> AsyncGenerator[tuple[Transport, Transport], None]:
        yield TcpTransport(), TcpTransport()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_loopback_is_the_default() -> None:
    """Who says nothing listens where no other machine can connect."""
    async with await TcpTransport().listen() as listener:
        assert listener.address.startswith("127.0.0.1:")


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"])
async def test_no_other_machine_is_let_in_by_accident(address: str) -> None:
    """An address beyond loopback is refused before anything is opened, and the remedy is named."""
    with pytest.raises(ValueError, match=re.escape(address) + ".*loopback_only=False"):
        await TcpTransport().listen(address)


async def test_who_asks_for_it_listens_everywhere() -> None:
    """``loopback_only=False`` is taken at its word."""
    async with await TcpTransport(loopback_only=False).listen("0.0.0.0:0") as listener:
        host, port = split_address(listener.address)
        assert host == "0.0.0.0"
        dialled = await TcpTransport().dial(join_address("127.0.0.1", port))
        dialled.abort()


async def test_a_foreign_address_is_an_error_of_the_system() -> None:
    """An address that this machine does not have cannot be listened at, and the error names it."""
    with pytest.raises(OSError, match=r"cannot listen at 192\.0\.2\.1:4000: "):
        await TcpTransport(loopback_only=False).listen("192.0.2.1:4000")


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
async def test_ipv6_hosts_stand_in_brackets() -> None:
    """What a listener calls itself can be dialled."""
    async with await TcpTransport().listen("[::1]:0") as listener:
        assert listener.address.startswith("[::1]:")
        dialled = await TcpTransport().dial(listener.address)
        assert dialled.peer == listener.address
        dialled.abort()


async def test_localhost_is_a_name_like_others() -> None:
    """Names are resolved, and the listener reports the address that was found."""
    async with await TcpTransport().listen("localhost:0") as listener:
        _, port = split_address(listener.address)
        dialled = await TcpTransport().dial(f"localhost:{port}")
        assert dialled.peer == listener.address
        dialled.abort()


async def test_an_unknown_name_is_named() -> None:
    """A name that means nothing raises ``OSError`` with the address in it."""
    with pytest.raises(OSError, match=r"cannot dial no-such-host\.invalid:4000: "):
        await TcpTransport().dial("no-such-host.invalid:4000")


class _Lending(trio.abc.SocketFactory):
    """Gives every socket one local port, as the kernel does by chance once in some 28,000 times."""

    def __init__(self, port: int) -> None:
        self._port = port

    def socket(
        self,
        family: socket.AddressFamily | int = socket.AF_INET,
        type: socket.SocketKind | int = socket.SOCK_STREAM,  # noqa: A002
        proto: int = 0,
    ) -> trio.socket.SocketType:
        plain = socket.socket(family, type, proto)
        plain.bind(("127.0.0.1", self._port))
        return trio.socket.from_stdlib_socket(plain)


async def test_nobody_is_connected_to_himself() -> None:
    """Dialling a dead port that the kernel lends to the dialler itself is refused, not answered by an echo."""
    async with await TcpTransport().listen() as listener:
        address = listener.address
    trio.socket.set_custom_socket_factory(_Lending(split_address(address)[1]))
    with pytest.raises(ConnectionRefusedError, match=f"{address} answered itself"):
        await TcpTransport().dial(address)
    with pytest.raises(ConnectionRefusedError, match=f"{address} answered itself"):
        await TcpTransport().dial(address)  # the first attempt has let go of the port
    trio.socket.set_custom_socket_factory(None)
    async with await TcpTransport().listen(address):  # and so can its owner
        (await TcpTransport().dial(address)).abort()


async def test_small_messages_are_not_held_back() -> None:
    """Both ends have ``TCP_NODELAY`` set."""
    for end in await connect(TcpTransport(), TcpTransport()):
        with socket.socket(fileno=socket.dup(_descriptor(end))) as probe:
            assert probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        end.abort()


def _descriptor(end: Connection) -> int:
    found: int = vars(end)["_stream"].socket.fileno()
    return found


async def test_a_dialler_that_is_gone_again_stops_no_listener() -> None:
    """Connections that are reset before anybody accepts them leave the listener as it was."""
    async with await TcpTransport().listen() as listener:
        for _ in range(5):
            (await TcpTransport().dial(listener.address)).abort()
        last = await TcpTransport().dial(listener.address)
        await last.send_all(b"here I am")
        await last.send_eof()
        with trio.fail_after(10):
            while True:
                accepted = await listener.accept()
                try:
                    if await receive_all(accepted) == b"here I am":
                        break
                except trio.BrokenResourceError:
                    pass
                accepted.abort()
        accepted.abort()
        last.abort()


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:4000", ("127.0.0.1", 4000)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
    ],
)
def test_addresses_are_split_and_joined(address: str, parts: tuple[str, int]) -> None:
    """An address is its host and its port, and back."""
    assert split_address(address) == parts
    assert join_address(*parts) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":1",
        "host",
        "host:",
        "host:+1",
        "host:1_0",
        "host:\u0661",
        "[host]:1",
        "[::1:1",
        "::1:1",
        "[]:1",
    ],
)
def test_what_is_no_address_is_a_value_error(address: str) -> None:
    """Missing parts, strange digits and brackets where they do not belong are refused by name."""
    with pytest.raises(ValueError, match="host:port") as refused:
        split_address(address)
    assert repr(address) in str(refused.value)
