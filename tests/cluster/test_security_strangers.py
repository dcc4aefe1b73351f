"""Who does not know the secret gets nowhere, over real sockets, and nobody else notices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgpack
import pytest
import trio

import actorkit as ak
from actorkit.cluster.events import ConnectionFailed
from actorkit.cluster.handshake import ClientHandshake, Identity
from actorkit.cluster.keys import Secret
from actorkit.codec import pack_plain
from actorkit.seams.transport import Connection, TcpTransport
from tests.cluster.hostile import (
    HALL,
    OTHER,
    SECRET,
    Attacker,
    Repeat,
    Say,
    Siege,
    besieged,
    nonce,
    open_quiet,
    read_some,
    until_closed,
    victim,
)
from tests.cluster.two_nodes import until

MALLORY = Identity("mallory", 7)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all that msgpack is given to decode from now on."""
    sizes: list[int] = []
    unpack, unpacker = msgpack.unpackb, msgpack.Unpacker

    def counting(data: bytes, **options: Any) -> Any:
        sizes.append(len(data))
        return unpack(data, **options)

    def counted(*args: Any, **options: Any) -> Any:
        sizes.append(-1)
        return unpacker(*args, **options)

    monkeypatch.setattr(msgpack, "unpackb", counting)
    monkeypatch.setattr(msgpack, "Unpacker", counted)
    return sizes


async def closes(siege: Siege, *data: bytes) -> bytes:
    """Send bytes over a new connection; what the node says before it closes it."""
    connection = await TcpTransport().dial(siege.node.address)
    for part in data:
        try:
            await connection.send_all(part)
        except trio.BrokenResourceError:
            break
    return await until_closed(connection)


# The wrong secret -----------------------------------------------------------------------------------------------------


async def test_a_wrong_secret_is_refused_whoever_dials(decoded: list[int]) -> None:
    """``ConnectFailed``, ``NodeDown`` for what was to be sent, one clear event on each side, and nothing is decoded."""
    async with besieged() as siege, open_quiet("stranger", OTHER) as stranger:
        failed: list[ConnectionFailed] = []
        stranger.events.subscribe(failed.append, ConnectionFailed)
        decoded.clear()
        with pytest.raises(ak.ConnectFailed):
            await stranger.connect(siege.node.address)
        await until(lambda: siege.events)
        assert len(failed) == len(siege.events) == 1
        assert "does not accept this node's key" in failed[0].reason
        assert "no secret with id" in siege.failures()[0]
        stranger.learn("town", siege.node.address)
        with pytest.raises(ak.NodeDown):
            await stranger.remote("town").named(HALL).ask(Repeat(1))
        siege.events.clear()
        with pytest.raises(ak.ConnectFailed):
            await siege.node.connect(stranger.address)
        assert len(siege.events) == 1
        assert "does not accept this node's key" in siege.failures()[0]
        assert decoded == []
        assert siege.node.nodes() == ("honest",)
        assert stranger.nodes() == ()


async def test_who_names_the_right_key_and_does_not_know_it_is_refused(decoded: list[int]) -> None:
    """The id of a key is no secret; the proof is what counts, and a wrong one gets no verdict."""
    async with besieged() as siege:
        decoded.clear()
        connection = await TcpTransport().dial(siege.node.address)
        right, wrong = (ClientHandshake(MALLORY, Secret(key), nonce()) for key in (SECRET, OTHER))
        await connection.send_all(right.start())
        challenge = await connection.receive_some(512)
        await connection.send_all(wrong.receive(challenge).send)
        assert await until_closed(connection) == b""
        await until(siege.failures)
        assert siege.failures() == ["who calls itself 'mallory' does not know the secret it named"]
        assert decoded == []


# Recordings and mirrors -----------------------------------------------------------------------------------------------


class Tap:
    """Stands between who dials it and a node, and records what either says."""

    def __init__(self, target: str) -> None:
        self.said: list[bytes] = []
        self.answered: list[bytes] = []
        self._target = target

    async def run(self, task_status: trio.TaskStatus[str]) -> None:
        """Carry one connection."""
        async with await TcpTransport().listen() as listener:
            task_status.started(listener.address)
            near = await listener.accept()
            far = await TcpTransport().dial(self._target)
            async with near, far, trio.open_nursery() as nursery:
                nursery.start_soon(self._carry, near, far, self.said)
                nursery.start_soon(self._carry, far, near, self.answered)

    async def _carry(self, source: Connection, sink: Connection, tape: list[bytes]) -> None:
        while data := await read_some(source):
            tape.append(data)
            await sink.send_all(data)
        await sink.send_eof()


async def recorded(siege: Siege) -> Tap:
    """All that was said on a connection over which a node has sent a request."""
    tap = Tap(siege.node.address)
    async with trio.open_nursery() as nursery:
        address = await nursery.start(tap.run)
        async with open_quiet("recorded") as node:
            await node.connect(address)
            assert await node.remote("town").named(HALL).ask(Repeat("secret")) == "secret"
    return tap


async def test_a_replayed_conversation_opens_nothing(decoded: list[int]) -> None:
    """All that an honest node said, sent again, at once and piece by piece: no verdict, no request carried out."""
    async with besieged() as siege:
        tap = await recorded(siege)
        decoded.clear()
        hall = siege.node.whereis(HALL)
        assert hall is not None
        handled = siege.node.status(hall).statistics.handled
        for parts in (tap.said, [b"".join(tap.said)]):
            siege.events.clear()
            said = await closes(siege, *parts)
            assert not said or said not in b"".join(tap.answered)
            assert len(said) < 100  # a challenge, and then nothing
            await until(siege.failures)
            assert "'recorded' does not know the secret it named" in siege.failures()[0]
        assert decoded == []
        assert siege.node.status(hall).statistics.handled == handled


async def test_a_replayed_server_is_found_out() -> None:
    """What a node once answered, answered again by somebody else to the node that dials him."""
    async with besieged() as siege, await TcpTransport().listen() as listener:
        tap = await recorded(siege)

        async def answer() -> None:
            connection = await listener.accept()
            await read_some(connection)
            await connection.send_all(b"".join(tap.answered))
            await until_closed(connection)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            siege.events.clear()
            with pytest.raises(ak.ConnectFailed):
                await siege.honest.connect(listener.address)
        assert siege.honest.nodes() == ("town",)


async def test_a_node_that_is_relayed_to_itself_hangs_up() -> None:
    """An attacker who hands a node's own words to its own listener is told ``SELF`` at most, and is no peer."""
    async with (
        besieged() as siege,
        await TcpTransport().listen() as listener,
        trio.open_nursery() as n,
    ):
        tapped: list[bytes] = []

        async def carry(source: Connection, sink: Connection) -> None:
            while data := await read_some(source):
                tapped.append(data)
                await sink.send_all(data)
            sink.abort()

        async def relay() -> None:
            near = await listener.accept()
            far = await TcpTransport().dial(siege.node.address)
            n.start_soon(carry, near, far)
            await carry(far, near)

        n.start_soon(relay)
        assert await siege.node.connect(listener.address) == "town"  # it has found itself
        assert siege.node.nodes() == ("honest",)
        assert len(tapped) == 2  # HELLO and CHALLENGE: nobody has proven anything to himself


async def test_a_reflected_challenge_proves_nothing() -> None:
    """Across two connections: the node's own HELLO and PROOF, had from its dial, are no verdict and no proof for another."""
    async with (
        besieged() as siege,
        await TcpTransport().listen() as listener,
        trio.open_nursery() as n,
    ):
        n.start_soon(_expect_failure, siege.node, listener.address)
        dialled = await listener.accept()  # the node dials the attacker
        hello = await dialled.receive_some(512)
        second = await TcpTransport().dial(siege.node.address)  # who dials the node
        relayed = ClientHandshake(MALLORY, Secret(SECRET), nonce()).start()
        await second.send_all(relayed)
        challenge = await second.receive_some(512)
        await dialled.send_all(challenge.replace(b"town", b"mall"))
        proof = await dialled.receive_some(512)  # of the node: "I am a client", over its own HELLO
        assert proof.startswith(b"actk")
        await second.send_all(proof)
        await dialled.send_all(proof[:4] + b"\x04" + proof[5:])  # as if it were a verdict
        assert await until_closed(second) == b""
        assert await until_closed(dialled) == b""
        assert hello
        assert siege.node.nodes() == ("honest",)


async def _expect_failure(node: ak.Node, address: str) -> None:
    with pytest.raises(ak.ConnectFailed):
        await node.connect(address)


async def test_a_relay_between_two_nodes_cannot_say_a_word() -> None:
    """Who stands between two honest nodes carries their words, and anything he adds, drops or repeats ends it."""
    for meddle in MEDDLING.values():
        async with besieged() as siege, trio.open_nursery() as nursery:
            tap = Meddler(siege.node.address, meddle)
            address = await nursery.start(tap.run)
            async with open_quiet("relayed") as node:
                await node.connect(address)
                far = node.remote("town").named(HALL)
                assert await far.ask(Repeat(1)) == 1
                siege.events.clear()
                tap.meddling = True
                far.tell(Say("x" * 100))
                await until(partial(_is_done, tap))
                with pytest.raises(ak.NodeDown):
                    await far.ask(Repeat(2))
                await until(siege.failures)
                assert "fails its check" in siege.failures()[0]


def _is_done(meddler: Meddler) -> bool:
    return not meddler.meddling


def _flipped(data: bytes) -> bytes:
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


MEDDLING: dict[str, Callable[[bytes], bytes]] = {
    "changed": _flipped,
    "repeated": lambda data: data + data,
    "dropped": lambda data: data[4 + int.from_bytes(data[:4], "little") :],
}


class Meddler(Tap):
    """A tap that changes what is said to the node."""

    def __init__(self, target: str, change: Callable[[bytes], bytes]) -> None:
        super().__init__(target)
        self.meddling = False
        self._change = change

    async def _carry(self, source: Connection, sink: Connection, tape: list[bytes]) -> None:
        while data := await read_some(source):
            if self.meddling and tape is self.said:
                self.meddling = False
                data = self._change(data)
            await sink.send_all(data)
        sink.abort()


# Garbage --------------------------------------------------------------------------------------------------------------

GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "http": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a length of 4 GiB": b"\xff\xff\xff\xff" + bytes(100),
    "magic and nonsense": b"actk\x01\xf9\x01" + bytes(505),
    "magic and a length that none has": b"actk\x01\xff\xff" + bytes(100),
    "a proof before a hello": b"actk\x03\x20\x00" + bytes(32),
    "msgpack": pack_plain([[1, 2, 3, ["x"]]] * 50),
    "much": bytes(range(256)) * 10_000,
}


@pytest.mark.parametrize("garbage", list(GARBAGE.values()), ids=list(GARBAGE))
async def test_garbage_is_answered_with_nothing(garbage: bytes, decoded: list[int]) -> None:
    """The connection is closed with one event that says why, and not a byte is decoded."""
    async with besieged() as siege:
        decoded.clear()
        connection = await TcpTransport().dial(siege.node.address)
        with_eof = not garbage
        try:
            await connection.send_all(garbage or b"ac")
            if with_eof:
                await connection.send_eof()
        except trio.BrokenResourceError:
            pass
        assert await until_closed(connection) == b""
        await until(siege.failures)
        assert len(siege.failures()) == 1
        assert decoded == []


async def test_a_hello_cut_anywhere_is_answered_with_nothing() -> None:
    """A client that sends a part of the handshake and closes; none of them is kept."""
    async with besieged() as siege:
        hello = ClientHandshake(MALLORY, Secret(SECRET), nonce()).start()
        for cut in range(0, len(hello), 9):
            connection = await TcpTransport().dial(siege.node.address)
            await connection.send_all(hello[:cut])
            await connection.send_eof()
            assert await until_closed(connection) == b""


async def test_who_floods_after_hello_is_cut_off() -> None:
    """A megabyte instead of a proof: no more than one message of it is looked at."""
    async with besieged() as siege:
        hello = ClientHandshake(MALLORY, Secret(SECRET), nonce()).start()
        await closes(siege, hello, bytes(1 << 20))
        await until(siege.failures)
        assert "expected PROOF" in siege.failures()[0]


# Those who dawdle -----------------------------------------------------------------------------------------------------


async def test_a_thousand_dawdlers_keep_nobody_out() -> None:
    """A byte a second, or nothing, from a thousand: few are held at a time, each is closed in time, all honest get in."""
    clock = trio.current_time
    held: list[float] = []
    most = 0

    async def dawdle(address: str, number: int) -> None:
        nonlocal most
        connection = await TcpTransport().dial(address)
        begun = clock()
        async with trio.open_nursery() as nursery:
            if number % 2:
                nursery.start_soon(trickle, connection)
            await until_closed(connection)
            held.append(clock() - begun)
            nursery.cancel_scope.cancel()

    async def trickle(connection: Connection) -> None:
        hello = ClientHandshake(MALLORY, Secret(SECRET), nonce()).start()
        for at in range(len(hello)):
            try:
                await connection.send_all(hello[at : at + 1])
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            await trio.sleep(1.0)

    async with besieged(handshake_timeout=1.0) as siege:
        doors = siege.node.fabric.doors
        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(dawdle, siege.node.address, number)
                if number % 50 == 25:
                    await siege.holds()
                most = max(most, doors.waiting())
            await siege.holds()
        assert len(held) == 1000
        assert max(held) < 2.0
        assert 2 <= most <= siege.node.fabric.options.half_open
        assert len([why for why in siege.failures() if "in time" in why]) == 1000


async def test_a_proven_peer_that_never_speaks_holds_its_place_for_a_ticktime() -> None:
    """Its connection is not up before its first frame, and is closed when it was not heard of for too long."""
    async with besieged(ticktime=1.0) as siege:
        begun = trio.current_time()
        mute = await Attacker.dial(siege.node.address)
        assert siege.node.nodes() == ("honest",)
        await mute.until_closed()
        assert 0.5 < trio.current_time() - begun < 2.0
        assert siege.node.nodes() == ("honest",)


async def test_what_strangers_send_costs_no_memory() -> None:
    """Three thousand connections of garbage, floods and silence: the node's memory is what it was, give or take 8 MiB."""
    async with victim("serve", '{"handshake_timeout": 1.0}') as found:
        await strangers(found.address, 300)
        before = (await found.report())["rss"]
        await strangers(found.address, 3000)
        after = await found.report()
        assert after["rss"] - before < 8 << 20
        assert (after["links"], after["peers"], after["half_open"]) == (0, 0, 0)


async def strangers(address: str, number: int) -> None:
    """Let strangers come, thirty at a time."""
    kinds = [*GARBAGE.values(), ClientHandshake(MALLORY, Secret(OTHER), nonce()).start()]
    limit = trio.CapacityLimiter(30)

    async def one(garbage: bytes) -> None:
        async with limit:
            connection = await TcpTransport().dial(address)
            try:
                await connection.send_all(garbage[:65536])
                await connection.send_eof()
            except trio.BrokenResourceError:
                pass
            await until_closed(connection)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for at in range(number):
                nursery.start_soon(one, kinds[at % len(kinds)])
