"""Those who attack a node, over raw sockets: strangers, and peers that know the secret and say what no node would.

``Attacker`` is a peer by its handshake only: what it sends afterwards is what a test writes. ``besieged`` is a node under attack
with honest peers beside it, who must not notice. ``victim`` is such a node in a process of its own, where memory is measured,
and what happens behind the node's back is seen: ``python -m tests.cluster.hostile`` runs it.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import attrs
import msgpack
import trio

import actorkit as ak
from actorkit.cluster import frames
from actorkit.cluster.events import ConnectionFailed, ConnectionLost
from actorkit.cluster.handshake import (
    NONCE_BYTES,
    ClientHandshake,
    Identity,
    ServerHandshake,
    Session,
    Status,
)
from actorkit.cluster.keys import GRANTS, Keyring, Secret
from actorkit.cluster.wire import Assembler, FrameReader, FrameWriter, parse
from actorkit.codec import pack_plain
from actorkit.seams.transport import Connection, Listener, TcpTransport
from actorkit.testing.checks import check_conserved, check_nothing_left
from tests.cluster.two_nodes import quiet

ROOT = Path(__file__).parents[2]
SECRET = b"s" * 32
OTHER = b"o" * 32
PATIENCE = 10.0  # seconds until a test is given up on a busy machine
HALL = ak.Key[Any]("hall")
_rng = Random(4369)
_numbers = count(1)


# A town ---------------------------------------------------------------------------------------------------------------


@ak.message(name="siege.Say")
class Say:
    """Something is told."""

    value: Any = None


@ak.message(name="siege.Strict")
class Strict:
    """Something of known types is told."""

    number: int
    text: str
    names: list[str]
    by: ak.Ref[Any] | None = None


@ak.message(name="siege.Repeat")
class Repeat(ak.Request[Any]):
    """Answered with what it holds."""

    value: Any = None


@ak.message(name="siege.Never")
class Never(ak.Request[None]):
    """Never answered."""


@ak.message(name="siege.Rows")
class Rows(ak.StreamRequest[int]):
    """Answered with numbers."""

    upto: int = 3


@ak.message(name="siege.Letter")
class Letter:
    """To be answered by a message to somebody else."""

    to: ak.Ref[Any]


class Townsman(ak.Actor[Say | Strict | Repeat | Never | Rows | Letter]):
    """Answers everybody, and keeps nothing but the number of what it was told."""

    trap_exits = True

    def __init__(self) -> None:
        self.told = 0
        self.kept: list[ak.Reply[None]] = []

    @ak.on(Say)
    def say(self, _: Say) -> None:
        """Count."""
        self.told += 1

    @ak.on(Strict)
    def strict(self, _: Strict) -> None:
        """Count."""
        self.told += 1

    @ak.on(Repeat)
    def repeat(self, msg: Repeat) -> Any:
        """Answer; ``"told"`` with how much was told."""
        return self.told if msg.value == "told" else msg.value

    @ak.on(Never)
    def never(self, _: Never, reply: ak.Reply[None]) -> None:
        """Keep whoever asks waiting."""
        self.kept.append(reply)

    @ak.on(Rows)
    async def rows(self, msg: Rows) -> AsyncIterator[int]:
        """Count."""
        for number in range(msg.upto):
            yield number

    @ak.on(Letter)
    def letter(self, msg: Letter) -> None:
        """Write to whoever is named."""
        msg.to.tell(Say())

    def exited(self, exit: ak.Exit) -> None:  # noqa: A002
        """Live on."""

    def down(self, down: ak.Down) -> None:
        """Take note."""


MESSAGES = (Say, Strict, Repeat, Never, Rows, Letter)
TAGS = {cls: number for number, cls in enumerate(MESSAGES)}


@attrs.frozen
class Siege:
    """A node under attack.

    Attributes:
        node: that node.
        honest: a peer of it, connected all the while.
        hall: the actor they talk to, as the peer sees it.
        events: what the node has told of connections that failed or were lost.
    """

    node: ak.Node
    honest: ak.Node
    hall: ak.Ref[Any]
    events: list[ConnectionFailed | ConnectionLost]

    async def holds(self) -> None:
        """The node serves on: the honest peer over the connection it had, and a newcomer who finds the same actor."""
        word = next(_numbers)
        assert await self.hall.ask(Repeat(word)) == word
        async with open_quiet(f"newcomer{word}") as newcomer:
            await newcomer.connect(self.node.address)
            assert await newcomer.remote(self.node.name).named(HALL).ask(Repeat(word)) == word

    def failures(self) -> list[str]:
        """Why connections have failed, in words."""
        return [event.reason for event in self.events if isinstance(event, ConnectionFailed)]


def open_quiet(name: str, secret: Any = SECRET, **options: Any) -> Any:
    """A node that logs nothing."""
    settings: dict[str, Any] = {"logs": False, "watchdog": None, "mesh": False, **options}
    return ak.open_node(name, secret=secret, **settings)


@asynccontextmanager
async def besieged(**options: Any) -> AsyncGenerator[Siege]:
    """A node under attack with an honest peer; at the end it must still serve, and nothing of the attack may be left."""
    with trio.fail_after(PATIENCE):
        async with (
            open_quiet("town", audit=True, **options) as node,
            open_quiet("honest", **options) as honest,
        ):
            await node.spawn(ak.props(Townsman), name=HALL)
            await honest.connect(node.address)
            hall = await honest.remote("town").whereis(HALL)
            assert hall is not None
            events: list[ConnectionFailed | ConnectionLost] = []
            node.events.subscribe(events.append, ConnectionFailed, ConnectionLost)
            lost: list[ConnectionLost] = []
            honest.events.subscribe(lost.append, ConnectionLost)
            siege = Siege(node, honest, hall, events)
            await quiet()
            yield siege
            await siege.holds()
            assert [event for event in lost if event.node == "town"] == []
            assert node.fabric.doors.waiting() == 0
            check_conserved(node)
        check_nothing_left(node)


# Attackers ------------------------------------------------------------------------------------------------------------


def nonce() -> bytes:
    """As good as any, for who attacks."""
    return _rng.randbytes(NONCE_BYTES)


class Attacker:
    """A peer that has proven the secret, and now says what it likes."""

    def __init__(self, connection: Connection, session: Session) -> None:
        self.connection = connection
        self.session = session
        self.writer = FrameWriter(session.send_key)
        self.reader = FrameReader(session.receive_key)
        self._assembler = Assembler()
        self._first = session.leftover

    @classmethod
    async def dial(
        cls, address: str, name: str = "mallory", *, secret: bytes = SECRET, listens: str = ""
    ) -> Attacker:
        """Dial a node, and become its peer."""
        connection = await TcpTransport().dial(address)
        me = Identity(name, _rng.randrange(1, 1 << 32), listens)
        shake = ClientHandshake(me, Secret(secret), nonce())
        await connection.send_all(shake.start())
        return cls(connection, await _finished(connection, shake))

    @classmethod
    async def accept(
        cls, listener: Listener, name: str = "mallory", *, secret: bytes = SECRET
    ) -> Attacker:
        """Let a node dial, and become its peer."""
        connection = await listener.accept()
        me = Identity(name, _rng.randrange(1, 1 << 32), listener.address)
        shake = ServerHandshake(me, Keyring(Secret(secret)), nonce(), lambda *_: Status.OK)
        return cls(connection, await _finished(connection, shake))

    async def raw(self, data: bytes) -> None:
        """Send bytes; that the node has had enough meanwhile is seen by who reads."""
        try:
            await self.connection.send_all(data)
        except trio.BrokenResourceError:
            pass

    async def frame(self, kind: int, body: bytes) -> None:
        """Send a frame with a right MAC."""
        await self.raw(self.writer.frame(kind, body))

    async def ops(self, *ops: Any) -> None:
        """Send ops in one frame."""
        await self.frame(frames.OPS, pack_plain(list(ops)))

    async def define(self) -> None:
        """Define the town's messages, under ``TAGS``."""
        await self.ops(
            *([frames.DEFINE, tag, f"siege.{cls.__name__}", 1] for cls, tag in TAGS.items())
        )

    async def hear(self) -> list[list[Any]]:
        """The next ops the node says; none when it has closed the connection."""
        while True:
            data, self._first = self._first, b""
            if not data:
                data = await read_some(self.connection)
            if not data:
                return []
            ops = [op for body in self._bodies(data) for op in parse(body)]
            if ops:
                return ops

    def _bodies(self, data: bytes) -> Iterable[bytes]:
        for kind, body in self.reader.feed(data):
            whole = self._assembler.add(body) if kind == frames.FRAGMENT else body
            if whole and kind != frames.TICK:
                yield whole

    async def heard(self, kind: int) -> list[Any]:
        """The next op of a kind."""
        while ops := await self.hear():
            for op in ops:
                if op[0] == kind:
                    return op
        raise AssertionError(f"the node closed the connection and said no {kind}")

    async def until_closed(self) -> None:
        """Wait until the node has closed the connection."""
        await until_closed(self.connection)

    def leave(self) -> None:
        """Go."""
        self.connection.abort()


async def _finished(connection: Connection, shake: ClientHandshake | ServerHandshake) -> Session:
    while True:
        data = await connection.receive_some(512)
        assert data, "the node closed the connection instead of shaking hands"
        step = shake.receive(data)
        if step.send:
            await connection.send_all(step.send)
        assert step.refused is None, step.refused
        if step.session is not None:
            return step.session


async def read_some(connection: Connection) -> bytes:
    """What comes; nothing at the end, however it ends."""
    try:
        return await connection.receive_some(1 << 16)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return b""


async def until_closed(connection: Connection) -> bytes:
    """Read until the other side closes, which it must do soon; what it has said meanwhile."""
    said = b""
    with trio.fail_after(PATIENCE):
        while data := await read_some(connection):
            said += data
    connection.abort()
    return said


# A node in a process of its own ---------------------------------------------------------------------------------------


class Victim:
    """A node in another process, and what it tells of itself."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._lines = b""
        self.pid = process.pid
        self.address = ""

    async def report(self, order: str = "report") -> dict[str, Any]:
        """Order something, and hear what comes of it."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(order.encode() + b"\n")
        return await self.line()

    async def line(self) -> dict[str, Any]:
        """The next line it writes."""
        assert self._process.stdout is not None
        while b"\n" not in self._lines:
            data = await self._process.stdout.receive_some()
            assert data, "the node's process has ended"
            self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    @property
    def rss(self) -> int:
        """Bytes of memory it has in use."""
        return resident(self.pid)


def resident(pid: int | str) -> int:
    """Bytes of memory a process has in use."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


@asynccontextmanager
async def victim(role: str = "serve", *arguments: str) -> AsyncGenerator[Victim]:
    """Run a node in another process; it must end well when its input does."""
    command = [sys.executable, "-W", "error", "-m", "tests.cluster.hostile", role, *arguments]
    pipe = subprocess.PIPE
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, command, stdin=pipe, stdout=pipe, cwd=ROOT)
        process: trio.Process = await nursery.start(start)
        try:
            found = Victim(process)
            with trio.fail_after(PATIENCE):
                found.address = (await found.line())["address"]
            yield found
            assert process.stdin is not None
            await process.stdin.aclose()
            with trio.fail_after(PATIENCE):
                await process.wait()
        finally:
            process.kill()


WATCHED = frozenset(
    {"pickle.find_class", "exec", "compile", "import", "os.system", "os.exec", "os.posix_spawn"}
    | {"os.fork", "subprocess.Popen", "os.remove", "socket.connect", "ctypes.dlopen"}
)


class Lookout:
    """Sees what the interpreter does behind the node's back, once it is ``armed``."""

    def __init__(self) -> None:
        self.armed = False
        self.seen: list[str] = []
        self.decoded = 0
        sys.addaudithook(self._hear)
        msgpack.unpackb = self._counted(msgpack.unpackb)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.armed and event in WATCHED:
            self.seen.append(f"{event} {arguments!r:.200}")

    def _counted(self, unpack: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self.decoded += 1
            return unpack(*args, **options)

        return counted

    def told(self) -> dict[str, Any]:
        """What was seen."""
        return {"seen": self.seen, "decoded": self.decoded}


async def _serve(options: dict[str, Any], lookout: Lookout | None) -> None:
    async with open_quiet("town", SECRET_OF[options.pop("grants", "none")], **options) as node:
        await node.spawn(ak.props(Townsman), name=HALL)
        _say({"address": node.address, **_counts(node)})
        async with trio.lowlevel.FdStream(os.dup(0)) as orders:
            async for order in orders:
                if lookout is not None and order == b"arm\n":
                    lookout.armed = True
                gc.collect()
                told = lookout.told() if lookout is not None else {}
                _say({**told, **_counts(node)})


def _counts(node: ak.Node) -> dict[str, Any]:
    fabric = node.fabric
    return {"rss": resident("self"), "peers": len(fabric.peers), "links": len(fabric.links),
            "nodes": fabric.nodes(), "half_open": fabric.doors.waiting(),
            "dead_letters": sum(node.runtime.dead_letters.counts.values())}  # fmt: skip


SECRET_OF = {"none": Secret(SECRET), "all": Secret(SECRET, GRANTS)}


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(role: str, *arguments: str) -> None:
    """Be a victim; the arguments are options of its node, as JSON."""
    options: dict[str, Any] = json.loads(arguments[0]) if arguments else {}
    lookout = Lookout() if role == "watched" else None
    trio.run(_serve, options, lookout)


if __name__ == "__main__":
    main(*sys.argv[1:])
