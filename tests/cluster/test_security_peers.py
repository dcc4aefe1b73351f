"""A peer that knows the secret and then lies, floods and breaks the protocol harms its own connection, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import actorkit as ak
from actorkit.cluster import frames
from actorkit.cluster.wire import FIRST, FRAGMENT_NEXT, FRAGMENT_START, LAST
from actorkit.codec import Codec, pack_plain
from actorkit.errors import NodeDown
from actorkit.seams.transport import TcpTransport
from tests.cluster.hostile import (
    HALL,
    TAGS,
    Attacker,
    Never,
    Repeat,
    Rows,
    Say,
    Siege,
    Strict,
    besieged,
)
from tests.cluster.two_nodes import player, until
from tests.harness import Strings

plain = Codec().value(Any).encode
NORMAL, BYE, KILLED = plain(ak.Normal()), plain(ak.Failed("bye")), plain(ak.Killed())
TOO_SLOW = Codec().encode_error(NodeDown("x"))


def _nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\x90"


# Bytes ----------------------------------------------------------------------------------------------------------------

BODIES = {
    "nothing": b"",
    "no list": b"\x80",
    "a list of numbers": pack_plain([1, 2, 3]),
    "an op of no kind": pack_plain([[]]),
    "an unknown op": pack_plain([[99, 1]]),
    "an op with a text for a kind": pack_plain([["1", 1]]),
    "cut short": pack_plain([[1, 2, 3, []]])[:-1],
    "bytes left over": pack_plain([[1, 2, 3, []]]) + b"\0",
    "a list that lies about its length": b"\xdd\xff\xff\xff\xff",
    "a map that lies about its length": b"\x91\xdf\xff\xff\xff\xff",
    "a text that lies about its length": b"\x91\x91\xdb\xff\xff\xff\xff",
    "a million empty maps": b"\xdd\x00\x0f\x00\x00" + b"\x80" * 0xF0000,
    "a million nils": b"\xdd\x00\x0f\x00\x00" + b"\xc0" * 0xF0000,
    "lists in lists": _nested(100_000),
    "lists in an op": b"\x91\x94\x01\x01\x00" + _nested(40),
    "a map as a key": b"\x91\x94\x01\x01\x00\x91\x81\x81\x01\x01\x01",
    "an extension": b"\x91\x94\x01\x01\x00\x91\xc7\x04\x01abcd",
    "a timestamp": b"\x91\x94\x01\x01\x00\x91\xd6\xff\x00\x00\x00\x00",
    "no text": b"\x91\x94\x01\xa2\xff\xfe\x00\x90",
}


@pytest.mark.parametrize("body", list(BODIES.values()), ids=list(BODIES))
async def test_a_body_that_is_none_ends_its_connection(body: bytes) -> None:
    """With one event that says ``protocol error``, and what was wrong."""
    async with besieged() as siege:
        mallory = await Attacker.dial(siege.node.address)
        await mallory.frame(frames.OPS, body)
        await mallory.until_closed()
        await until(lambda: len(siege.events) == 2)
        assert len(siege.failures()) == 1
        assert {event.node for event in siege.events} == {"mallory"}
        assert siege.events[1].reason == ak.LostReason.PROTOCOL


RAW: dict[str, Callable[[Attacker], bytes]] = {
    "a length of 4 GiB": lambda _: b"\xff\xff\xff\xff",
    "a length one beyond the limit": lambda _: (frames.MAX_FRAME + 1).to_bytes(4, "little"),
    "a length too small for a MAC": lambda _: b"\x10\0\0\0" + bytes(16),
    "a frame without a right MAC": lambda _: b"\x12\0\0\0" + bytes(18),
    "garbage": lambda _: b"actk" + bytes(range(256)) * 100,
    "a frame twice": lambda m: m.writer.frame(frames.TICK, b"") * 2,
    "a frame left out": lambda m: m.writer.frame(2, b"")[:0] + m.writer.frame(frames.TICK, b""),
    "a frame of an unknown kind": lambda m: m.writer.frame(7, b""),
    "a tick with something in it": lambda m: m.writer.frame(frames.TICK, b"x"),
    "its own frames back": lambda m: m.session.leftover or bytes(40),
}


@pytest.mark.parametrize("data", list(RAW.values()), ids=list(RAW))
async def test_bytes_that_are_no_frame_end_their_connection(
    data: Callable[[Attacker], bytes],
) -> None:
    """Whoever sends them, and with nothing kept of them."""
    async with besieged() as siege:
        mallory = await Attacker.dial(siege.node.address)
        await mallory.define()
        await mallory.raw(data(mallory))
        await mallory.until_closed()
        await until(siege.failures)
        assert siege.node.nodes() == ("honest",)


async def test_a_frame_that_never_ends_is_a_silent_peer() -> None:
    """A connection that is closed in the midst of a frame is merely closed; nothing of the frame is believed."""
    async with besieged() as siege:
        mallory = await Attacker.dial(siege.node.address)
        await mallory.define()
        frame = mallory.writer.frame(
            frames.OPS, pack_plain([[frames.TELL, "hall", TAGS[Say], [1]]])
        )
        await mallory.raw(frame[:-1])
        await mallory.connection.send_eof()
        await mallory.until_closed()
        await until(lambda: siege.node.nodes() == ("honest",))
        assert siege.failures() == []
        assert await siege.hall.ask(Repeat("told")) == 0


FRAGMENTS = {
    "nothing": b"",
    "a piece of nothing": FRAGMENT_NEXT.pack(1, 0) + b"x",
    "an end without a beginning": FRAGMENT_NEXT.pack(1, LAST) + b"x",
    "a beginning that brings nothing": FRAGMENT_START.pack(1, FIRST, 100),
    "4 GiB announced": FRAGMENT_START.pack(1, FIRST, 0xFFFF_FFFF) + b"x",
    "unknown flags": FRAGMENT_START.pack(1, 4 | FIRST, 5) + b"x",
    "more than announced": FRAGMENT_START.pack(1, FIRST, 2) + b"xxxxx",
    "the end of too little": FRAGMENT_START.pack(1, FIRST | LAST, 20) + b"xxxxx",
}


@pytest.mark.parametrize("body", list(FRAGMENTS.values()), ids=list(FRAGMENTS))
async def test_fragments_that_fit_nothing_end_their_connection(body: bytes) -> None:
    """As any other frame."""
    async with besieged() as siege:
        mallory = await Attacker.dial(siege.node.address)
        await mallory.frame(frames.FRAGMENT, body)
        await mallory.until_closed()
        await until(siege.failures)


# Ops ------------------------------------------------------------------------------------------------------------------

_SAY = TAGS[Say]
WRONG: dict[str, list[Any]] = {
    "a tag that nobody defined": [frames.TELL, "hall", 77, []],
    "a request with such a tag": [frames.ASK, "hall", 1, 77, [], 0, None, []],
    "too few fields": [frames.TELL, "hall", TAGS[Strict], [1]],
    "too many fields": [frames.TELL, "hall", _SAY, [1, 2]],
    "a text for a number": [frames.TELL, "hall", TAGS[Strict], ["1", "", [], None]],
    "a number for a text": [frames.TELL, "hall", TAGS[Strict], [1, 1, [], None]],
    "a list of other things": [frames.TELL, "hall", TAGS[Strict], [1, "", [None], None]],
    "a reference that is none": [frames.TELL, "hall", TAGS[Strict], [1, "", [], ["b", 1]]],
    "a reference to no name": [frames.TELL, "hall", TAGS[Strict], [1, "", [], ["a b", 1, 1, "/"]]],
    "a tag of the codec that is none": [frames.TELL, "hall", _SAY, [{99: 1}]],
    "a message nobody knows": [frames.TELL, "hall", _SAY, [{16: ["os.system", 1, ["true"]]}]],
    "a tag defined again": [frames.DEFINE, _SAY, "siege.Say", 1],
    "a tag below 0": [frames.DEFINE, -1, "siege.Say", 1],
    "a tag beyond all": [frames.DEFINE, 1 << 16, "siege.Say", 1],
    "a name of a megabyte": [frames.DEFINE, 50, "x" * 1_000_000, 1],
    "an answer to nothing": [frames.REPLY, 7, 1],
    "an answer to call 0": [frames.REPLY, 0, 1],
    "an answer to call -1": [frames.REPLY, -1, 1],
    "a failure of nothing": [frames.FAIL, 7, ["ActorDied", "x"]],
    "an error that is none": [frames.FAIL, 1, 17],
    "a Down with no reason": [frames.DOWN, 1, 1, 1, "because"],
    "an Exit with no reason": [frames.EXIT, 1, 1, "hall", 12, False],
    "a time that is none": [frames.ASK, "hall", 1, TAGS[Never], [], 0, float("nan"), []],
    "a time below 0": [frames.ASK, "hall", 1, TAGS[Never], [], 0, -1.0, []],
    "a chain of nonsense": [frames.ASK, "hall", 1, TAGS[Never], [], 3, None, [[1, 2, 3, 4]]],
    "a request to the node that is none": [frames.REQUEST, 1, _SAY, [1]],
    "peers that are none": [frames.PEERS, [["b"]]],
    "a peer at an address of a megabyte": [frames.PEERS, [["b", "x" * 1_000_000]]],
}


@pytest.mark.parametrize("op", list(WRONG.values()), ids=list(WRONG))
async def test_an_op_that_is_wrong_ends_its_connection(op: list[Any]) -> None:
    """Ops before it were carried out, those behind it never are."""
    async with besieged() as siege:
        mallory = await Attacker.dial(siege.node.address)
        await mallory.define()
        say = [frames.TELL, "hall", _SAY, [1]]
        await mallory.ops(say, op, say)
        await mallory.until_closed()
        await until(siege.failures)
        assert len(siege.failures()) == 1
        assert await siege.hall.ask(Repeat("told")) == 1


LATE: dict[str, list[Any]] = {
    "a message for nobody": [frames.TELL, 999_999, _SAY, [1]],
    "a message for nobody of a name": [frames.TELL, "nobody", _SAY, [1]],
    "a message of an unknown class": [frames.TELL, "hall", 40, [1, 2]],
    "nobody waits any more": [frames.ABANDON, 12],
    "nobody watches any more": [frames.UNWATCH, 3, 3],
    "a Down for nobody": [frames.DOWN, 999_999, 4, 4, BYE],
    "a Down of a monitor that never was": [frames.DOWN, 0, 4, 0, BYE],
    "an Exit for nobody": [frames.EXIT, 1, 1, 999_999, BYE, True],
    "an Exit of a link that never was": [frames.EXIT, 1, 1, "hall", BYE, True],
    "an unlink of nobody": [frames.UNLINK, 5, 999_999],
    "credit for no stream": [frames.CREDIT, 5, 5],
    "an item of no stream": [frames.ITEM, 5, 5],
    "an end of no stream": [frames.END, 5, None],
    "an order to end for nobody": [frames.STOP, 999_999, 0, BYE, None, "kill", 0],
}


@pytest.mark.parametrize("op", list(LATE.values()), ids=list(LATE))
async def test_what_is_merely_late_harms_nobody(op: list[Any]) -> None:
    """It is dropped, and the connection lives: an honest node may say it."""
    async with besieged() as siege:
        mallory = await Attacker.dial(siege.node.address)
        await mallory.define()
        await mallory.ops([frames.DEFINE, 40, "siege.Unheard", 1], op)
        await mallory.ops([frames.ASK, "hall", 1, TAGS[Repeat], [5], 0, None, []])
        assert await mallory.heard(frames.REPLY) == [frames.REPLY, 1, 5]
        assert siege.events == []
        mallory.leave()


# What it was not granted ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "interrupt", "orderly", "whatever"])
async def test_an_order_to_end_needs_a_grant(how: str) -> None:
    """It is refused, to who may not give it, and the actor lives."""
    async with besieged() as siege:
        mallory = await Attacker.dial(siege.node.address)
        await mallory.ops([frames.STOP, "hall", 1, KILLED, None, how, 0])
        number, error = (await mallory.heard(frames.FAIL))[1:]
        assert number == 1
        assert "control" in str(error)
        assert await siege.hall.ask(Repeat(3)) == 3
        mallory.leave()


async def test_the_nodes_own_actors_are_ended_by_nobody() -> None:
    """Neither by an exit signal, which takes no grant, nor over a link, nor by orders, nor by messages they do not know."""
    async with besieged() as siege:
        mallory = await Attacker.dial(siege.node.address)
        await mallory.define()
        before = dict(siege.node.names())
        assert "actorkit.groups" in before
        for name in before:
            if name.startswith("actorkit."):
                await mallory.ops(
                    [frames.TELL, name, _SAY, [1]],
                    [frames.EXIT, 5, 5, name, KILLED, False],
                    [frames.EXIT, 0, 0, name, BYE, False],
                    [frames.LINK, 5, name],
                    [frames.EXIT, 5, 5, name, BYE, True],
                    [frames.STOP, name, 0, KILLED, None, "kill", 0],
                )
        await mallory.ops([frames.ASK, "hall", 1, TAGS[Repeat], [5], 0, None, []])
        await mallory.heard(frames.REPLY)
        group = ak.Group[Any]("still there")
        hall = siege.node.whereis(HALL)
        assert hall is not None
        siege.node.join(group, hall)
        await until(lambda: siege.honest.members(group) == (siege.hall,))
        assert dict(siege.node.names()) == before
        mallory.leave()


async def test_nobody_tells_of_the_end_of_others_actors() -> None:
    """A Down for a monitor on a local actor, or on one of a third node, is a lie: the watch goes on, the liar goes."""
    async with besieged() as siege:
        mallory = await Attacker.dial(siege.node.address)
        watcher, local = await player(siege.node), await player(siege.node)
        far = siege.node.remote("honest").named(ak.Key[Any]("far"))
        other = await player(siege.honest, name="far")
        refs = (local.ref, far)
        monitors = await watcher.do(lambda ctx: [ctx.watch(ref) for ref in refs])
        serial = watcher.ref.address.serial
        for monitor in monitors:
            await mallory.ops([frames.DOWN, serial, monitor.serial, 1, BYE])
            await mallory.until_closed()
            mallory = await Attacker.dial(siege.node.address)
        assert watcher.downs == []
        local.ref.kill()
        other.ref.kill()
        await until(lambda: len(watcher.downs) == 2)
        assert [down.reason for down in watcher.downs] == [ak.Killed()] * 2
        mallory.leave()


async def test_a_watch_that_is_there_twice_counts_once() -> None:
    """Numbers that no node would use twice; neither the end of the actor nor that of the connection finds them amiss."""
    async with besieged() as siege:
        local = await player(siege.node, name="mortal")
        mallory = await Attacker.dial(siege.node.address)
        await mallory.ops(*[[frames.WATCH, "mortal", 1, 1]] * 3, [frames.WATCH, "hall", 1, 1])
        await mallory.ops([frames.UNWATCH, 1, 1], [frames.UNWATCH, 1, 1])
        await mallory.ops(*[[frames.WATCH, "mortal", 1, 2]] * 3)
        await until(lambda: len(siege.node.status(local.ref).monitored_by) == 6)
        local.ref.kill()
        assert (await mallory.heard(frames.DOWN))[:3] == [frames.DOWN, 1, 2]
        mallory.leave()
        await until(lambda: siege.node.nodes() == ("honest",))


# Answers --------------------------------------------------------------------------------------------------------------


async def asked(siege: Siege, asker: Strings, what: Any, answer: list[Any]) -> ak.AskError:
    """What an ask without a time-out ends with, when the callee's node answers it so."""
    async with await TcpTransport().listen() as listener:
        siege.node.learn("liar", listener.address)
        far = siege.node.remote("liar").named(HALL)
        ended: list[ak.AskError] = []

        async def ask(_: ak.Context[Any]) -> None:
            try:
                if isinstance(what, Rows):
                    async with far.stream(what, window=4) as rows:
                        await until(siege.failures)  # a slow reader: what comes meanwhile waits
                        async for row in rows:
                            assert type(row) is int
                else:
                    await far.ask(what, timeout=None)
            except ak.AskError as error:
                ended.append(error)

        asker.cue(ask)
        liar = await Attacker.accept(listener, "liar")
        op = await liar.heard(frames.STREAM if isinstance(what, Rows) else frames.ASK)
        await liar.ops(*([kind, op[2], *rest] for kind, *rest in answer))
        await liar.until_closed()
        await until(lambda: ended)
        return ended[0]


ANSWERS: dict[str, tuple[Any, list[Any]]] = {
    "a reply of another type": (Never(), [[frames.REPLY, "x"]]),
    "a reply that is nothing": (Repeat(1), [[frames.REPLY, {99: 1}]]),
    "an error that is none": (Repeat(1), [[frames.FAIL, ["Nonsense", 1, 2]]]),
    "items instead of a reply": (Repeat(1), [[frames.END, None]]),
    "an item of another type": (Rows(9), [[frames.ITEM, "x"]]),
    "a reply instead of items": (Rows(9), [[frames.REPLY, 1]]),
    "a failure instead of an end": (Rows(9), [[frames.FAIL, TOO_SLOW]]),
    "items beyond the window": (Rows(9), [[frames.ITEM, 1]] * 50),
}


@pytest.mark.parametrize(("what", "answer"), list(ANSWERS.values()), ids=list(ANSWERS))
async def test_a_wrong_answer_ends_the_ask(what: Any, answer: list[Any]) -> None:
    """With ``NodeDown``, as the connection is cut: nobody waits for ever for somebody who talks nonsense."""
    async with besieged() as siege:
        error = await asked(siege, await player(siege.node), what, answer)
        assert isinstance(error, NodeDown)
