"""Streams between nodes: items travel as they are produced, and no more are ahead of the reader than its window allows.

The reader's side returns credit for what it has read, half a window at a time, so the producer need not wait for each item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorkit.errors import AskError, ProtocolError, Unencodable
from actorkit.kernel.call import died
from actorkit.kernel.exits import NO_ACTOR
from actorkit.kernel.stream import ItemWait, StreamCall
from actorkit.kernel.wait import direct_cell

if TYPE_CHECKING:
    from actorkit.cluster.link import Link
    from actorkit.kernel.cell import Cell


class OutgoingStream:
    """The reader's side. It stands among the writers of the local stream, whom every item read gives room."""

    __slots__ = ("_link", "_number", "_read", "_sender", "call")

    def __init__(self, link: Link, number: int, call: StreamCall, sender: int) -> None:
        self._link = link
        self._number = number
        self._read = 0
        self._sender = sender
        self.call = call
        call.writers.append(self)  # type: ignore[arg-type] # told of room as a writer's wait is

    @property
    def request(self) -> Any:
        """The request that is answered."""
        return self.call.message

    def resolve(self, _: Any) -> None:
        """The reader has read an item, or has left."""
        call = self.call
        if call.abandoned:
            self._link.abandon(self._number, self._sender)
            return
        call.writers.append(self)  # type: ignore[arg-type] # as above
        self._read += 1
        if self._read * 2 >= call.window:
            self._link.out.credit(self._number, self._read)
            self._read = 0

    def arrived(self, item: Any) -> None:
        """An item came.

        Raises:
            ProtocolError: it came before there was room for it.
        """
        if len(self.call.items) >= max(1, self.call.window):
            raise ProtocolError(f"an item beyond the window of {self.call.window} of a stream")
        if not self.call.abandoned:
            self.call.receive(item)

    def ended(self, error: BaseException | None) -> None:
        """The stream is over."""
        writers: list[Any] = self.call.writers
        if self in writers:
            writers.remove(self)
        self.call.close(error)


class IncomingStream(StreamCall):
    """The producer's side: what its handler yields goes to the wire, while the reader has room."""

    __slots__ = ("_ahead", "_link", "_number")

    def __init__(self, link: Link, number: int, message: Any, owner: Cell, window: int) -> None:
        super().__init__(message, owner, None, window)
        self._link = link
        self._number = number
        self._ahead = 0

    async def put(self, item: Any) -> bool:
        """Send an item, waiting while the reader's window is full; False if nobody reads any more."""
        while self._ahead >= self.window and not (self.abandoned or self.ended):
            wait = ItemWait(direct_cell(), None, self)
            self.writers.append(wait)
            await wait
        if self.abandoned or self.ended:
            return False
        self._ahead += 1
        try:
            self._link.out.item(self._number, self.message, item, self.owner.serial)
        except Unencodable as error:
            self.close(Unencodable(f"an item of {self.path}: {error}"))
            return False
        return True

    def credit(self, count: int) -> None:
        """The reader has read that many."""
        self._ahead = max(0, self._ahead - count)
        self.make_room()

    def close(self, error: BaseException | None = None) -> None:
        """The producer is done, or failed: the reader is told."""
        if self.ended or self.abandoned:
            return
        super().close(error)
        self._link.calls_in.pop(self._number, None)
        if error is not None and not isinstance(error, AskError):
            error = died(self.path, NO_ACTOR)
        self._link.out.end(self._number, error, self.owner.serial)
        self.make_room()
