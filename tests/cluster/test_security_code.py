"""Nothing that comes over the wire is executed: pickles in every field of every op, with an audit hook that sees all."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cloudpickle
import msgpack
import pytest
import trio

import actorkit as ak
from actorkit.cluster import frames, services
from actorkit.cluster.wire import FIRST, FRAGMENT_START, LAST
from actorkit.codec import Codec, pack_plain
from actorkit.seams.transport import TcpTransport
from tests.cluster.hostile import TAGS, Attacker, Repeat, Say, Strict, until_closed, victim

plain = Codec().value(Any).encode
BYE = plain(ak.Failed("bye"))
SPAWN, KILL = 60, 61


class Shell:
    """What runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self._path}",)


class Process(Shell):
    """The same, by another way."""

    def __reduce__(self) -> Any:
        return subprocess.Popen, (["/bin/touch", str(self._path)],)


class Program(Shell):
    """The same, by a third."""

    def __reduce__(self) -> Any:
        return exec, (f"open({str(self._path)!r}, 'w').close()",)


def payloads(path: Path) -> list[Any]:
    """Pickles that leave a file behind, in the forms that a field may have."""
    shells = [
        pickle.dumps(cls(path), protocol)
        for cls in (Shell, Process, Program)
        for protocol in (0, 5)
    ]
    shells += [cloudpickle.dumps(Program(path)), cloudpickle.dumps(path.touch)]
    text = pickle.dumps(Shell(path), 0).decode("ascii")
    return [
        shells[0], shells[3], shells[-1], text, {"py/reduce": [{"py/type": "os.system"}, text]},
        {16: ["os.system", 1, [f"touch {path}"]]}, {15: ["os.system", [shells[1]]]}, {1: shells},
    ]  # fmt: skip


OPS: tuple[list[Any], ...] = (
    [frames.TELL, "hall", TAGS[Say], [1]],
    [frames.TELL, "hall", TAGS[Strict], [1, "text", ["name"], None]],
    [frames.ASK, "hall", 3, TAGS[Repeat], [1], 9, 5.0, [["a", 1, 9, "/asker"]]],
    [frames.REPLY, 3, 1],
    [frames.FAIL, 3, ["NodeDown", ["x"]]],
    [frames.ABANDON, 3],
    [frames.DEFINE, 77, "os.system", 1],
    [frames.WATCH, "hall", 9, 2],
    [frames.UNWATCH, 9, 2],
    [frames.DOWN, 9, 2, 7, BYE],
    [frames.LINK, 9, "hall"],
    [frames.UNLINK, 9, "hall"],
    [frames.EXIT, 9, 8, "hall", BYE, True],
    [frames.STOP, "nobody", 4, BYE, None, "orderly", 9],
    [frames.STREAM, "hall", 5, 4, [1], 9, 16],
    [frames.ITEM, 5, 1],
    [frames.END, 5, None],
    [frames.CREDIT, 5, 8],
    [frames.REQUEST, 6, KILL, ["/nobody"]],
    [frames.REQUEST, 6, SPAWN, ["no.module:Actor", [], {}, b"", 0, "", None, None, False, 0, None]],
    [frames.PEERS, [["b", "127.0.0.1:1"]]],
    [frames.BYE, "closed"],
)


def poisoned(value: Any, poison: Any) -> Iterator[Any]:
    """The value with the poison in its place, and in that of each of its parts."""
    yield poison
    if isinstance(value, list):
        for at, part in enumerate(value):
            for worse in poisoned(part, poison):
                yield [*value[:at], worse, *value[at + 1 :]]


def _extension(data: bytes) -> bytes:
    return bytes(msgpack.Packer().pack(msgpack.ExtType(4, data)))


async def say(address: str, ops: list[Any]) -> None:
    """Say one op after the other, over a new connection whenever one was cut."""
    attacker: Attacker | None = None
    for op in ops:
        if attacker is None:
            attacker = await Attacker.dial(address)
            await attacker.define()
            await attacker.ops(
                [frames.DEFINE, SPAWN, "actorkit.node.Spawn", 1],
                [frames.DEFINE, KILL, "actorkit.node.Kill", 1],
            )
        await attacker.ops(op, [frames.ASK, "hall", 1 << 20, TAGS[Repeat], [1], 0, None, []])
        while said := await attacker.hear():
            if [frames.REPLY, 1 << 20, 1] in said:
                break
        else:
            attacker.leave()
            attacker = None
    if attacker is not None:
        attacker.leave()


@pytest.mark.parametrize("grants", ["none", "all"])
async def test_a_pickle_is_executed_in_no_field_of_any_op(grants: str, tmp_path: Path) -> None:
    """Whatever the peer was granted: no class is looked up by a pickle, no code compiled, no process started, no file made."""
    canary = tmp_path / "canary"
    options = json.dumps({"grants": grants, "mesh": False})
    with trio.fail_after(100):
        async with victim("watched", options) as town:
            await say(town.address, list(OPS))  # whatever is imported or compiled when first used
            await say(town.address, [[op[0], *("x" for _ in op[1:])] for op in OPS])
            assert (await town.report("arm"))["seen"] == []
            worse = [
                [op[0], *parts]
                for poison in payloads(canary)
                for op in OPS
                for parts in poisoned(op[1:], poison)
                if isinstance(parts, list) and len(parts) == len(op) - 1
            ]
            await say(town.address, worse)
            told = await town.report()
            assert len(worse) > 500
            assert told["seen"] == []
            assert not canary.exists()
            assert told["links"] <= 1


async def test_a_pickle_for_a_frame_is_executed_nowhere(tmp_path: Path) -> None:
    """Neither as the body of a frame, nor in fragments, nor as an extension, nor before or within the handshake."""
    canary = tmp_path / "canary"
    bodies = [p for p in payloads(canary) if isinstance(p, bytes)]
    bodies += [_extension(body) for body in bodies]
    with trio.fail_after(60):
        async with victim("watched") as town:
            await say(town.address, list(OPS))
            before = (await town.report("arm"))["decoded"]
            for body in bodies:
                connection = await TcpTransport().dial(town.address)
                with suppress(trio.BrokenResourceError):
                    await connection.send_all(body)
                    await connection.send_eof()
                await until_closed(connection)
            assert (await town.report())["decoded"] == before
            for body in bodies:
                start = FRAGMENT_START.pack(1, FIRST | LAST, len(body)) + body
                for kind, data in ((frames.OPS, body), (frames.FRAGMENT, start)):
                    attacker = await Attacker.dial(town.address)
                    await attacker.frame(kind, data)
                    await attacker.until_closed()
            assert (await town.report())["seen"] == []
            assert not canary.exists()


@pytest.mark.parametrize("grants", ["none", "all"])
async def test_shipped_code_is_not_even_looked_at(grants: str, tmp_path: Path) -> None:
    """A node that takes no shipped code refuses it, granted or not; a class that is no actor is none, whatever its module."""
    canary = tmp_path / "canary"
    encode = Codec().encoder(services.Spawn)

    def spawn(cls: str, code: bytes) -> Any:
        return encode(services.Spawn(cls, (), {}, code, 0, "", None, None, False, 0, None))

    asked = [spawn("x:Y", cloudpickle.dumps(Program(canary))), spawn("os:system", b"")]
    asked += [spawn("this:Actor", b""), spawn("builtins:exec", b""), spawn("os:path.join", b"")]
    with trio.fail_after(60):
        async with victim("watched", json.dumps({"grants": grants})) as town:
            await say(town.address, list(OPS))
            await town.report("arm")
            attacker = await Attacker.dial(town.address)
            await attacker.ops([frames.DEFINE, SPAWN, "actorkit.node.Spawn", 1])
            for number, fields in enumerate(asked, 1):
                await attacker.ops([frames.REQUEST, number, SPAWN, fields])
                kind = frames.FAIL if grants == "none" else frames.REPLY
                answer = await attacker.heard(kind)
                assert answer[1] == number
                assert b"actorkit.node.Spawned" not in pack_plain(answer)
            attacker.leave()
            assert (await town.report())["seen"] == []
            assert not canary.exists()


def test_the_lookout_sees() -> None:
    """The hook that the tests above rely on does see a pickle at work."""
    script = (
        "import sys, pickle, tests.cluster.hostile as h\n"
        "lookout = h.Lookout()\n"
        "lookout.armed = True\n"
        "pickle.loads(b'cos\\nsystem\\n(S\"true\"\\ntR.')\n"
        "lookout.armed = False\n"
        "assert [e.split()[0] for e in lookout.seen][:2] == ['pickle.find_class', 'os.system'], lookout.seen\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=root, check=True, timeout=30)
