"""The floors between two processes: bare trio, loopback TCP and msgpack, with no actor in sight.

A question or a message is one msgpack array ``[to, call, tag, fields]``, call 0 if no answer is wanted; an answer is
``[call, value]``. The receiver unpacks what has arrived, makes each message, queues and takes it, looks its handler
up, awaits it, and answers all that was in one read with one write. No identity, no proof, no limit, no liveness.
"""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import attrs
import msgpack
import trio

from tests.benchmarks.bare import Handlers
from tests.benchmarks.beside import beside, tell_parent, told_by_parent
from tests.benchmarks.registry import WARM_UP_SHARE

MODULE = "tests.benchmarks.tcp"
LARGEST = 1 << 26
NO_CALL = 0
SINK, BULK = 1, 2

T = TypeVar("T")


@attrs.frozen(slots=True)
class Reading:
    """What is told: the same two fields as the actors'."""

    sensor: int
    text: str


@attrs.frozen(slots=True)
class AddUp:
    sensor: int
    text: str


@attrs.frozen(slots=True)
class Total: ...


@attrs.frozen(slots=True)
class Blob:
    data: bytes


@attrs.frozen(slots=True)
class Start: ...


CLASSES: tuple[type, ...] = (Reading, AddUp, Total, Blob, Start)
TAGS: dict[type, int] = {cls: tag for tag, cls in enumerate(CLASSES)}


class Far:
    """A bare actor in the other process: a counter with a queue and a table of handlers."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.total = 0
        self.mail: deque[Any] = deque()
        self.handlers: Handlers = {
            Reading: self.read,
            AddUp: self.add_up,
            Total: self.tell_total,
            Blob: self.take,
            Start: self.start,
        }

    async def read(self, message: Reading) -> None:
        self.total += message.sensor

    async def add_up(self, message: AddUp) -> int:
        self.total += message.sensor
        return self.total

    async def tell_total(self, _: Total) -> int:
        return self.total

    async def take(self, message: Blob) -> None:
        self.total += len(message.data)

    async def start(self, _: Start) -> int:
        await self.nursery.start(_rest)
        self.total += 1
        return self.total


async def _rest(*, task_status: trio.TaskStatus[None]) -> None:
    task_status.started()
    await trio.sleep_forever()


async def _serve(stream: trio.SocketStream) -> None:
    async with stream, trio.open_nursery() as nursery:
        boxes, pack = {to: Far(nursery) for to in (SINK, BULK)}, msgpack.Packer().pack
        unpacker = msgpack.Unpacker(max_buffer_size=LARGEST)
        async for data in stream:
            unpacker.feed(data)
            answers: list[bytes] = []
            for to, call, tag, fields in unpacker:
                box = boxes[to]
                box.mail.append(CLASSES[tag](*fields))
                message = box.mail.popleft()
                value = await box.handlers[type(message)](message)
                if call != NO_CALL:
                    answers.append(pack((call, value)))
            if answers:
                await stream.send_all(b"".join(answers))
        nursery.cancel_scope.cancel()


class Near:
    """This side of the connection: packs what is sent, and takes the answers."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.unpacker = msgpack.Unpacker()
        self.pack: Callable[[Any], bytes] = msgpack.Packer().pack
        self.calls = NO_CALL

    async def ask(self, message_class: type, fields: tuple[Any, ...] = ()) -> int:
        """A question alone on the connection, and its answer."""
        self.calls += 1
        await self.stream.send_all(self.pack((SINK, self.calls, TAGS[message_class], fields)))
        while True:
            for call, value in await self.answers():
                if call == self.calls:
                    answer: int = value
                    return answer

    async def answers(self) -> Iterable[tuple[int, int]]:
        """The answers that are whole with the next read; perhaps none."""
        data = await self.stream.receive_some()
        if not data:
            raise RuntimeError("the other process closed the connection")
        self.unpacker.feed(data)
        answers: Iterable[tuple[int, int]] = self.unpacker
        return answers


def against_far(work: Callable[[Near, int], Awaitable[T]], size: int) -> T:
    """Do a little of the work and then all of it, against a fresh second process."""
    with beside(MODULE) as other:
        return trio.run(_connected, work, other.hear(), size)


async def _connected(work: Callable[[Near, int], Awaitable[T]], port: int, size: int) -> T:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        near = Near(stream)
        await work(near, max(1, size // WARM_UP_SHARE))
        return await work(near, size)


async def listen_until_told(serve: Callable[[trio.SocketStream], Awaitable[None]]) -> None:
    """In the other process: serve connections at a free port, which the parent is told, until stdin ends."""
    async with trio.open_nursery() as nursery:
        listen = functools.partial(trio.serve_tcp, serve, 0, host="127.0.0.1")
        listeners = await nursery.start(listen)
        tell_parent(listeners[0].socket.getsockname()[1])
        await trio.to_thread.run_sync(told_by_parent)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(listen_until_told, _serve)
