"""Streamed replies: an actor produces items, one consumer reads them, and the slower of the two sets the pace."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from actorkit.errors import AskError, AskTimeout, Refused
from actorkit.kernel.vocabulary import Kind
from actorkit.kernel.wait import Wait, check_circle, direct_cell, origin

if TYPE_CHECKING:
    from actorkit.kernel.cell import Cell

T = TypeVar("T")


class ItemWait(Wait):
    """A consumer that waits for the next item, or a producer that waits for room."""

    __slots__ = ("call",)

    def __init__(self, cell: Cell | None, target: Cell | None, call: StreamCall) -> None:
        super().__init__(cell, target)
        self.call = call

    def expire(self) -> None:
        """The next item took too long: the reader is told, and the producer that nobody reads."""
        call = self.call
        error = AskTimeout(call.path, type(call.message).__qualname__, call.seconds or 0.0)
        call.abandon()
        self.fail(error)


class StreamCall:
    """One stream in flight: the request, the items that were produced and not yet read, and who waits for whom."""

    __slots__ = (
        "abandoned", "ended", "error", "items", "message", "owner", "path", "reader", "seconds", "target", "window",
        "writers",
    )  # fmt: skip

    def __init__(self, message: Any, owner: Cell, seconds: float | None, window: int) -> None:
        self.message = message
        self.owner = owner
        self.target: Cell | None = owner
        self.path = owner.path
        self.seconds = seconds
        self.window = window
        self.items: deque[Any] = deque()
        self.ended = False
        self.abandoned = False
        self.error: BaseException | None = None
        self.reader: Wait | None = None
        self.writers: list[Wait] = []

    async def put(self, item: Any) -> bool:
        """Hand over an item, waiting while the window is full; False if nobody reads any more."""
        while len(self.items) >= self.window and not self.abandoned:
            wait = ItemWait(direct_cell(), None, self)
            self.writers.append(wait)
            await wait
        if self.abandoned or self.ended:
            return False
        self.receive(item)
        return True

    def receive(self, item: Any) -> None:
        """Add an item, whatever the window."""
        self.items.append(item)
        self._wake_reader()

    def make_room(self) -> None:
        """Let all who wait for room look again: a reply stream may be fed by several tasks."""
        writers, self.writers = self.writers, []
        for wait in writers:
            wait.resolve(None)

    def hand_out(self) -> None:
        """The actor hands the request on, so who will serve it is unknown."""
        self.wait_for(None)

    def wait_for(self, cell: Cell | None) -> None:
        """Somebody else is to serve it: the next incarnation, or who knows."""
        self.target = cell
        if self.reader is not None:
            self.reader.target = cell

    def _wake_reader(self) -> None:
        if self.reader is not None:
            self.reader.resolve(None)

    def close(self, error: BaseException | None = None) -> None:
        """The producer is done, or failed."""
        if not self.ended:
            self.ended = True
            self.error = error
            self._wake_reader()

    def refuse(self, error: AskError) -> bool:
        """End the stream with an error that leaves the producer alive."""
        wanted = not (self.ended or self.abandoned)
        self.close(error)
        return wanted

    def fail(self, error: BaseException) -> bool:
        """End the stream because the producer died or the request was dropped."""
        wanted = not (self.ended or self.abandoned)
        self.close(error)
        return wanted

    def abandon(self) -> None:
        """The consumer is gone."""
        self.abandoned = True
        self.items.clear()
        self.make_room()


class ReplyStream(Generic[T]):
    """The right to answer one ``StreamRequest`` from any task: ``await send(item)``, then ``close()``.

    A handler that takes a third parameter gets it, and the actor goes on with other messages meanwhile.
    """

    __slots__ = ("_call", "_owner")

    def __init__(self, call: StreamCall | None, owner: Cell) -> None:
        self._call = call
        self._owner = owner

    @property
    def wanted(self) -> bool:
        """Whether somebody still reads."""
        return self._call is not None and not (self._call.abandoned or self._call.ended)

    async def send(self, item: T) -> bool:
        """Hand over an item, waiting for room; tells whether somebody still reads."""
        return self._call is not None and not self._owner.fenced() and await self._call.put(item)

    def close(self) -> None:
        """End the stream in good order."""
        self._finish(None)

    def refuse(self, error: AskError) -> None:
        """End the stream with an expected error, which is raised at the reader."""
        self._finish(error)

    def _finish(self, error: AskError | None) -> None:
        if (
            self._call is not None and not self._owner.fenced()
        ):  # else the reader is told of the death
            self._owner.forget_deferred(self._call)
            self._call.close(error)


class Stream(Generic[T]):
    """The reading end of a stream: ``async with ref.stream(Generate("...")) as tokens: async for token in tokens``.

    Leaving the block early tells the producer, which stops at its next item. Iterating raises ``ActorDied`` if the
    producer dies, ``AskTimeout`` if an item takes longer than the time-out, ``CircularAsk`` if the producer waits for
    the reader, and what the producer refused with.
    """

    __slots__ = ("_call", "_open")

    def __init__(self, call: StreamCall, open_call: Callable[[StreamCall], None]) -> None:
        self._call = call
        self._open: Callable[[StreamCall], None] | None = open_call

    async def __aenter__(self) -> Self:
        if self._open is None:
            raise RuntimeError("a stream is opened once; ask for another one")
        self._open(self._call)
        self._open = None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call.abandon()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        call = self._call
        if self._open is not None:
            raise RuntimeError("a stream is read inside its block: async with ref.stream(...) as s")
        while not call.items:
            if call.abandoned:
                raise StopAsyncIteration
            if call.ended:
                if call.error is not None:
                    raise call.error
                raise StopAsyncIteration
            if call.target is not None:
                check_circle(origin(), call.target)
            wait = call.reader = ItemWait(direct_cell(), call.target, call)
            if call.seconds is not None:
                call.owner.runtime.clock.expire(wait, call.seconds)
            await wait
        item: T = call.items.popleft()
        if call.writers:
            call.make_room()
        return item


async def produce(cell: Cell, call: StreamCall, entry: tuple[Callable[..., Any], int]) -> None:
    """Drive the handler of a stream request until it ends, the consumer leaves, or it refuses."""
    function, kind = entry
    cell.defer(call)
    if kind != Kind.STREAM:
        call.hand_out()
        try:
            result = function(cell.actor, call.message, ReplyStream(call, cell))
            if inspect.isawaitable(result):
                await result
        except Refused as refusal:
            cell.forget_deferred(call)
            call.refuse(refusal)
        return
    generator = function(cell.actor, call.message)
    try:
        async for item in generator:
            if not await call.put(item):
                break
    except Refused as refusal:
        call.refuse(refusal)
    else:
        call.close()
    finally:
        await generator.aclose()
    cell.forget_deferred(call)
