"""A node with certificates talks to nodes with certificates of its authority, over real sockets, and to nobody else."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trustme

import actorkit as ak
from actorkit.cluster.events import ConnectionFailed
from actorkit.cluster.handshake import ClientHandshake, Identity
from actorkit.cluster.keys import Secret
from actorkit.seams.transport import TcpTransport
from tests.cluster.hostile import (
    HALL,
    PATIENCE,
    SECRET,
    Repeat,
    Townsman,
    nonce,
    open_quiet,
    until_closed,
)
from tests.cluster.test_tls import OTHERS, OURS, files
from tests.cluster.two_nodes import until


@attrs.frozen
class Walled:
    """A node with TLS, and why connections to it have failed."""

    node: ak.Node
    friend: ak.Node
    far: ak.Ref[Any]
    failures: list[str]

    async def holds(self) -> None:
        """The node serves the peer it has on."""
        assert await self.far.ask(Repeat("still")) == "still"
        assert self.node.nodes() == ("friend",)


@asynccontextmanager
async def walled(root: Path) -> AsyncGenerator[Walled]:
    """Open a node with TLS and a peer of it."""
    failures: list[str] = []
    with trio.fail_after(PATIENCE):
        async with (
            open_quiet("town", tls=files(root, "town")) as node,
            open_quiet("friend", tls=files(root, "friend")) as friend,
        ):
            node.events.subscribe(lambda event: failures.append(event.reason), ConnectionFailed)
            await node.spawn(ak.props(Townsman), name=HALL)
            await friend.connect(node.address)
            siege = Walled(node, friend, friend.remote("town").named(HALL), failures)
            await siege.holds()
            yield siege
            await siege.holds()


async def refused(town: Walled, **options: Any) -> str:
    """Let another node dial, which must fail on both sides; what the node says of it."""
    async with open_quiet("other", **options) as other:
        with pytest.raises(ak.ConnectFailed):
            await other.connect(town.node.address)
        assert other.nodes() == ()
    await until(lambda: town.failures)
    assert len(town.failures) == 1
    return town.failures.pop()


async def test_two_nodes_with_certificates_talk(tmp_path: Path) -> None:
    """Requests, large messages and a new connection after the first one."""
    async with walled(tmp_path) as town:
        assert await town.far.ask(Repeat(b"x" * 3_000_000)) == b"x" * 3_000_000
        await town.node.disconnect("friend")
        await until(lambda: town.friend.nodes() == ())
        assert await town.far.ask(Repeat(1)) == 1


async def test_a_client_without_a_certificate_is_refused(tmp_path: Path) -> None:
    """Though it knows the secret."""
    async with walled(tmp_path) as town:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        OURS.configure_trust(context)
        inner = await TcpTransport().dial(town.node.address)
        stream = trio.SSLStream(inner, context)
        await stream.do_handshake()  # in TLS 1.3 a client is done before it is refused
        hello = ClientHandshake(Identity("bare", 1), Secret(SECRET), nonce()).start()
        answer = b""
        with suppress(trio.BrokenResourceError):
            await stream.send_all(hello)
            answer = bytes(await stream.receive_some(512))
        assert answer == b""
        inner.abort()
        await until(lambda: town.failures)
        assert town.failures == ["no TLS with the peer: PEER_DID_NOT_RETURN_A_CERTIFICATE"]


async def test_a_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    """Whichever side has it, whomever it trusts itself."""
    async with walled(tmp_path) as town:
        said = await refused(town, tls=files(tmp_path, "other", signer=OTHERS))
        assert "CERTIFICATE_VERIFY_FAILED" in said
        said = await refused(town, tls=files(tmp_path, "other", OTHERS, OTHERS))
        assert "no TLS with the peer" in said


async def test_a_certificate_of_another_node_is_refused(tmp_path: Path) -> None:
    """A node that knows the secret, with a certificate of ours, does not pass for another."""
    async with walled(tmp_path) as town:
        said = await refused(town, tls=files(tmp_path, "somebody"))
        assert "'other'" in said


async def test_an_expired_authority_of_mine_does_not_matter_to_you(tmp_path: Path) -> None:
    """A third authority that signs for the right name is another authority all the same."""
    async with walled(tmp_path) as town:
        signer = trustme.CA(organization_name="somebody else")
        said = await refused(town, tls=files(tmp_path, "other", OURS, signer))
        assert "CERTIFICATE_VERIFY_FAILED" in said


async def test_plain_tcp_to_a_node_with_tls_is_refused(tmp_path: Path) -> None:
    """A node without certificates; its secret is right."""
    async with walled(tmp_path) as town:
        assert "no TLS with the peer" in await refused(town)


async def test_tls_to_a_plain_node_is_refused(tmp_path: Path) -> None:
    """A node with certificates dials one without: both say why."""
    failures: list[str] = []
    with trio.fail_after(PATIENCE):
        async with (
            open_quiet("plain") as plain,
            open_quiet("town", tls=files(tmp_path, "town")) as town,
        ):
            plain.events.subscribe(lambda event: failures.append(event.reason), ConnectionFailed)
            with pytest.raises(ak.ConnectFailed):
                await town.connect(plain.address)
            await until(lambda: failures)
            assert "expected HELLO of an actorkit node" in failures[0]
            assert plain.nodes() == town.nodes() == ()


async def test_garbage_to_a_node_with_tls_is_refused(tmp_path: Path) -> None:
    """Before TLS, and in the midst of its handshake."""
    async with walled(tmp_path) as town:
        for garbage in (b"\0" * 600, b"\x16\x03\x01\x02\x00\x01" + b"\xff" * 600):
            connection = await TcpTransport().dial(town.node.address)
            await connection.send_all(garbage)
            await until_closed(connection)
            await until(lambda: town.failures)
            assert "no TLS with the peer" in town.failures.pop()


async def test_one_who_stalls_within_tls_is_closed_in_time(tmp_path: Path) -> None:
    """The time of a handshake counts from the connection on, TLS included."""
    with trio.fail_after(PATIENCE):
        async with open_quiet("town", tls=files(tmp_path, "town"), handshake_timeout=0.5) as town:
            connection = await TcpTransport().dial(town.address)
            begun = trio.current_time()
            await connection.send_all(b"\x16\x03\x01")
            await until_closed(connection)
            assert trio.current_time() - begun < 1.5
            assert town.fabric.doors.waiting() == 0
