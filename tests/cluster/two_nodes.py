"""What the tests of nodes share: nodes in one process that talk over real TCP, and players whose part a test writes.

A ``Play`` crosses the wire as a number; the function it stands for is found on the other side, because all nodes of a test live
in one process. So a test can say what an actor does on another node, and in the midst of a request.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any, TypeVar

import trio
from trio.testing import wait_all_tasks_blocked

import actorkit as ak
from actorkit.cluster.events import ConnectionLost
from actorkit.seams.transport import Connection, Listener, TcpTransport
from actorkit.testing.checks import check_conserved, check_nothing_left
from tests.harness import Puppet, Strings

T = TypeVar("T")

SECRET = b"k" * 32
ALL = ("spawn", "inspect", "control")
PATIENCE = 20.0  # seconds a test may take on a busy machine
QUIET = 0.005  # seconds in which nothing happens, when all that was sent has arrived

Act = Callable[[ak.Context[Any]], Any]


# What is said --------------------------------------------------------------------------------------------------------


@ak.message
class Note:
    """Something to be recorded."""

    value: Any = None


@ak.message
class Ping(ak.Request[str]):
    """Answered at once, with the path of who answers."""


@ak.message
class Echo(ak.Request[Any]):
    """Answered with what it holds."""

    value: Any


@ak.message
class Play(ak.Request[Any]):
    """Call a function of the test with the actor's context; what it returns, or awaits to, is the reply."""

    number: int


@ak.message
class Defer(ak.Request[Any]):
    """Call a function of the test with the actor's context and the ``Reply``, which may be sent later."""

    number: int


@ak.message
class Count(ak.StreamRequest[int]):
    """The numbers below ``upto``."""

    upto: int
    fail: bool = False


_acts: dict[int, Any] = {}
_numbers = count(1)
_names = count(1)


def _numbered(function: Any) -> int:
    number = next(_numbers)
    _acts[number] = function
    return number


def watching(ref: ak.Ref[Any]) -> Act:
    """A part: watch an actor; answered with the monitor."""
    return lambda ctx: ctx.watch(ref)


def spawning(props: ak.Props[Any], node: str, **options: Any) -> Act:
    """A part: start an actor on another node."""
    return lambda ctx: ctx.spawn(props, node=node, **options)


def stopping(ref: ak.Ref[Any], **options: Any) -> Act:
    """A part: end an actor; answered with its reason."""
    return lambda ctx: ctx.stop_child(ref, **options)


def play(act: Act) -> Play:
    """A request that has its receiver do something."""
    return Play(_numbered(act))


def defer(act: Callable[[ak.Context[Any], ak.Reply[Any]], object]) -> Defer:
    """A request whose answer is in the hands of the test."""
    return Defer(_numbered(act))


# Who says it ---------------------------------------------------------------------------------------------------------


class Player(Puppet):
    """A puppet whose strings reach over the wire."""

    @ak.on(Play)
    async def play(self, msg: Play) -> Any:
        """Play a part."""
        result = _acts[msg.number](self.ctx)
        return await result if isinstance(result, Awaitable) else result

    @ak.on(Defer)
    def defer(self, msg: Defer, reply: ak.Reply[Any]) -> None:
        """Give the right to answer away."""
        _acts[msg.number](self.ctx, reply)

    @ak.on(Ping)
    def ping(self, _: Ping) -> str:
        """Answer."""
        return self.ctx.path

    @ak.on(Echo)
    def echo(self, msg: Echo) -> Any:
        """Answer."""
        return msg.value

    @ak.on(Count)
    async def count(self, msg: Count) -> AsyncIterator[int]:
        """Count."""
        for n in range(msg.upto):
            yield n
        if msg.fail:
            raise ak.Refused("no more numbers")

    def node_changed(self, notice: ak.NodeUp | ak.NodeLost) -> None:
        """Record a notice."""
        self.log.append(notice)


class Trapping(Player):
    """A player to which exit signals are messages."""

    trap_exits = True


class Spawned(Player):
    """A player that another node may start: its arguments can travel."""

    def __init__(self, label: str = "", start: int = 0) -> None:
        super().__init__(LOGS.setdefault(label, []))
        self.start = start

    async def started(self) -> None:
        """Do what the test has ordered for the start."""
        if self.start:
            result = _acts[self.start](self.ctx)
            if isinstance(result, Awaitable):
                await result


class SpawnedTrapping(Spawned):
    """The same, to which exit signals are messages."""

    trap_exits = True


LOGS: dict[str, list[object]] = {}  # what spawned players have recorded, by label


def spawned(label: str, start: Act | None = None, *, trap: bool = False) -> ak.Props[object]:
    """How to make a player on another node; it records in ``LOGS[label]``, and plays ``start`` when it starts."""
    LOGS[label] = []
    number = _numbered(start) if start is not None else 0
    return ak.props(SpawnedTrapping if trap else Spawned, label, number)


async def player(system: ak.System, *, trap: bool = False, name: str | None = None) -> Strings:
    """Start a top-level player; it has a name, so that it is found from other nodes."""
    log: list[object] = []
    props = ak.props(Trapping if trap else Player, log)
    ref = await system.spawn(props, name=name or f"player-{next(_names)}")
    return Strings(ref, log)


async def seen(node: ak.Node, actor: Strings | ak.Ref[Any]) -> ak.Ref[Any]:
    """The reference that a node has to an actor of another one: one that has come over the wire."""
    ref = actor.ref if isinstance(actor, Strings) else actor
    address = ref.address
    name = ref.path.removeprefix("/")
    found = await node.remote(address.node).whereis(ak.Key[Any](name))
    assert found is not None
    return found


# Nodes ---------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def nodes(
    *names: str, grants: tuple[str, ...] = ALL, **options: Any
) -> AsyncGenerator[tuple[ak.Node, ...]]:
    """Open nodes that are connected to each other; at the end their books must balance, and nothing may be left."""
    opened: list[ak.Node] = []
    broken: list[ConnectionLost] = []
    with trio.fail_after(PATIENCE):
        async with AsyncExitStack() as stack:
            for name in names:
                node = await stack.enter_async_context(checked_node(name, grants=grants, **options))
                for other in opened:
                    await node.connect(other.address)
                opened.append(node)
                node.events.subscribe(broken.append, ConnectionLost)
            await until(lambda: all(len(node.nodes()) == len(opened) - 1 for node in opened))
            yield tuple(opened)
            await quiet()
            for node in opened:
                check_conserved(node)
            assert [lost for lost in broken if lost.reason == ak.LostReason.PROTOCOL] == []


@asynccontextmanager
async def checked_node(
    name: str, *, grants: tuple[str, ...] = ALL, **options: Any
) -> AsyncGenerator[ak.Node]:
    """Open a node whose books must balance at the end, and of which nothing may be left."""
    settings: dict[str, Any] = {
        "secret": SECRET,
        "logs": False,
        "audit": True,
        "watchdog": None,
        **options,
    }
    async with ak.open_node(name, grants=grants, **settings) as node:
        yield node
        await quiet()
        check_conserved(node)
    check_nothing_left(node)


async def quiet() -> None:
    """Wait until nothing happens any more: all that was sent has arrived."""
    await wait_all_tasks_blocked(QUIET)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something can be observed; the test's own patience is the limit."""
    while not condition():
        await wait_all_tasks_blocked(QUIET / 5)
        await trio.lowlevel.checkpoint()


async def until_down(node: ak.Node, other: str) -> None:
    """Wait until a node has noticed that another is gone."""
    await until(lambda: other not in node.nodes())


# Between nodes -------------------------------------------------------------------------------------------------------


class Wire:
    """A stretch of road between two nodes, on which a test can stop all traffic, or cut it."""

    def __init__(self, listener: Listener, target: str) -> None:
        self.address = listener.address
        self._listener = listener
        self._target = target
        self._open = trio.Event()
        self._open.set()
        self._ends: list[Connection] = []

    def hold(self) -> None:
        """Let nothing pass towards the node any more, only from it; what the system's own buffers take is taken."""
        self._open = trio.Event()

    def go_on(self) -> None:
        """Let all pass again."""
        self._open.set()

    def cut(self) -> None:
        """Break every connection that goes this way."""
        self._open.set()
        ends, self._ends = self._ends, []
        for end in ends:
            end.abort()

    async def serve(self) -> None:
        """Let connections through, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                near = await self._listener.accept()
                far = await TcpTransport().dial(self._target)
                self._ends += [near, far]
                nursery.start_soon(self._carry, near, far, True)
                nursery.start_soon(self._carry, far, near, False)

    async def _carry(self, source: Connection, sink: Connection, held: bool) -> None:
        try:
            while data := await source.receive_some(1 << 16):
                if held:
                    await self._open.wait()
                await sink.send_all(data)
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            source.abort()
            sink.abort()


@asynccontextmanager
async def wire_to(node: ak.Node) -> AsyncGenerator[Wire]:
    """A road to a node: whoever dials its address gets there."""
    async with (
        await TcpTransport().listen("127.0.0.1:0") as listener,
        trio.open_nursery() as nursery,
    ):
        wire = Wire(listener, node.address)
        nursery.start_soon(wire.serve)
        try:
            yield wire
        finally:
            wire.cut()
            nursery.cancel_scope.cancel()
