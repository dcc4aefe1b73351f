"""What waits to cross one connection, in an order that keeps every pair's and starves nobody. No socket, no clock.

Small ops leave in batches, in the order they came. A large one leaves in fragments, and several large ones of different
senders take turns; a batch and a fragment alternate. So a small op never waits for a large one of another sender, only for a
fragment of it.

What keeps the order of one sender's ops: a large op begins after every batch that was there before it, and its sender's
later ops wait until its last fragment has left. The receiver acts on a large op when that fragment arrives.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from actorkit.cluster.frames import (
    FRAGMENT,
    MAX_BATCH,
    MAX_FRAME,
    MAX_MESSAGE,
    MAX_OPEN,
    OPS,
)
from actorkit.cluster.wire import FIRST, FRAGMENT_NEXT, FRAGMENT_START, LAST, OVERHEAD, Body
from actorkit.errors import Unencodable

_ONE_OP: Final = b"\x91"  # msgpack: an array of one
_MAX_FRAGMENT: Final = MAX_FRAME - OVERHEAD - FRAGMENT_START.size - len(_ONE_OP)


class _Large:
    """An op that leaves in fragments."""

    __slots__ = ("after", "data", "sender", "sent", "stream")

    def __init__(self, op: bytes, sender: int, after: int) -> None:
        self.data = memoryview(op)
        self.sender = sender
        self.after = after  # how many batches must have left before it may begin
        self.sent = 0
        self.stream = 0


class Outbox:
    """The ops that wait for one connection.

    ``size`` is the bytes of all ops, or of what is left of them, that wait here; ``heavy`` is how many of them are those of large
    ops, and of what their senders said after them. Senders of small ops wait for small ones only: who sends much holds up
    himself, not others.

    Args:
        limit_bytes: from this size on it is ``full``: senders should wait.
        hard_bytes: from this size on it is ``over``: the peer does not read, cut it off.
        fragment: the size of an op from which on it is large, and the bytes of it in one frame.
        batch: the most bytes of small ops in one frame, unless a single one has more.
        max_message: the most bytes one op may have, and all large ones under way together; the peer enforces it.
        max_open: how many large ops may be under way together; the peer enforces it.
    """

    __slots__ = (
        *("size", "heavy", "_batch", "_behind", "_fragment", "_hard", "_large_next", "_limit"),
        *("_max_message", "_max_open", "_open", "_promised", "_room", "_sealed"),
        *("_stream", "_taken", "_under_way", "_waiting"),
    )

    def __init__(
        self,
        limit_bytes: int,
        hard_bytes: int,
        fragment: int = 64 << 10,
        batch: int = 64 << 10,
        *,
        max_message: int = MAX_MESSAGE,
        max_open: int = MAX_OPEN,
    ) -> None:
        _check("fragment", fragment, _MAX_FRAGMENT)
        _check("batch", batch, MAX_BATCH)
        _check("max_message", max_message, MAX_MESSAGE)
        _check("max_open", max_open, MAX_OPEN)
        self.size = self.heavy = 0
        self._limit, self._hard = limit_bytes, hard_bytes
        self._fragment, self._batch = fragment, batch
        self._max_message, self._max_open = max_message, max_open
        # Batches that are complete, with their bytes, and the one that is not. Each has a place for its array header.
        self._sealed: deque[tuple[list[bytes], int]] = deque()
        self._open: list[bytes] = [b""]
        self._room = batch  # what the open batch can still take
        self._taken = 0  # batches that have left
        self._behind: dict[int, deque[bytes]] = {}  # by sender: what came after its large op
        self._waiting: deque[_Large] = deque()
        self._under_way: deque[_Large] = deque()
        self._promised = 0  # bytes announced for the large ops under way
        self._stream = 0
        self._large_next = False

    @property
    def full(self) -> bool:
        """Whether all senders should wait for room."""
        return self.size - self.heavy >= self._limit

    def full_for(self, sender: int) -> bool:
        """Whether a sender should wait for room: as all, or because what it has sent itself is too much."""
        return self.full or (self.heavy >= self._limit and sender in self._behind)

    @property
    def over(self) -> bool:
        """Whether more waits than a peer that reads would ever let wait."""
        return self.size >= self._hard

    def put(self, op: bytes, sender: int) -> None:
        """Add one packed op of an actor, by its serial; 0 for what no actor sends, which keeps its order too.

        Raises:
            Unencodable: the op is larger than any message may be; nothing was added.
        """
        size = len(op)
        if size > self._room or size > self._fragment or sender in self._behind:
            self._put_aside(op, sender)
        else:
            self._room -= size
            self._open.append(op)
        self.size += size

    def announce(self, op: bytes) -> None:
        """Add a small op that others rely on: it leaves before everything put later, whoever sends that.

        A DEFINE must not wait behind a large op of its sender, as other senders will use the tag meanwhile.
        """
        if len(op) > self._fragment:
            raise Unencodable(
                f"an op of {len(op)} bytes cannot be announced; {self._fragment} are allowed"
            )
        self._append(op)
        self.size += len(op)

    def take(self) -> tuple[int, Body] | None:
        """The kind and body of the frame to send next, or None when nothing waits."""
        if self._waiting:
            self._start_large()
        small = len(self._open) > 1  # a batch is sealed only to begin the next one
        if self._under_way and (self._large_next or not small):
            self._large_next = False
            return FRAGMENT, self._next_fragment()
        if small:
            self._large_next = True
            return OPS, self._next_batch()
        return None

    def _put_aside(self, op: bytes, sender: int) -> None:
        """Add an op that does not simply go into the open batch."""
        large = len(op) > self._fragment
        if large and len(op) + len(_ONE_OP) > self._max_message:
            raise Unencodable(
                f"a message of {len(op)} bytes cannot travel to another node: {self._max_message} are "
                "allowed; send it in parts, or stream it"
            )
        behind = self._behind.get(sender)
        if behind is not None:
            behind.append(op)
            self.heavy += len(op)
        elif large:
            self._behind[sender] = deque()
            self._wait(op, sender)
            self.heavy += len(op)
        else:
            self._append(op)

    def _append(self, op: bytes) -> None:
        if len(op) > self._room and len(self._open) > 1:
            self._sealed.append((self._open, self._batch - self._room))
            self._open = [b""]
            self._room = self._batch
        self._room -= len(op)
        self._open.append(op)

    def _wait(self, op: bytes, sender: int) -> None:
        """Let a large op begin when all batches that are here now have left."""
        batches = len(self._sealed) + (len(self._open) > 1)
        self._waiting.append(_Large(op, sender, self._taken + batches))

    def _start_large(self) -> None:
        """Begin with the large ops that may, within what the peer agrees to assemble at a time."""
        waiting = self._waiting
        while waiting and waiting[0].after <= self._taken:
            promise = len(waiting[0].data) + len(_ONE_OP)
            if len(self._under_way) >= self._max_open:
                return
            if self._promised + promise > self._max_message:
                return
            large = waiting.popleft()
            large.stream = self._stream
            self._stream = (self._stream + 1) & 0xFFFF_FFFF
            self._promised += promise
            self._under_way.append(large)

    def _next_batch(self) -> bytes:
        if self._sealed:
            ops, size = self._sealed.popleft()
        else:
            ops, size = self._open, self._batch - self._room
            self._open = [b""]
            self._room = self._batch
        self._taken += 1
        self.size -= size
        ops[0] = _array_header(len(ops) - 1)
        return b"".join(ops)

    def _next_fragment(self) -> Body:
        large = self._under_way.popleft()
        first = large.sent == 0
        chunk = large.data[large.sent : large.sent + self._fragment]
        large.sent += len(chunk)
        self.size -= len(chunk)
        self.heavy -= len(chunk)
        total = len(large.data)
        last = large.sent == total
        if last:
            self._finish(large)
        else:
            self._under_way.append(large)
        if first:
            head = FRAGMENT_START.pack(large.stream, FIRST, total + len(_ONE_OP)) + _ONE_OP
        else:
            head = FRAGMENT_NEXT.pack(large.stream, LAST if last else 0)
        return [head, chunk]

    def _finish(self, large: _Large) -> None:
        """Let go what waited behind a large op, up to its sender's next one."""
        self._promised -= len(large.data) + len(_ONE_OP)
        behind = self._behind[large.sender]
        while behind:
            op = behind.popleft()
            if len(op) > self._fragment:
                self._wait(op, large.sender)
                return
            self.heavy -= len(op)
            self._append(op)
        del self._behind[large.sender]


def _array_header(count: int) -> bytes:
    """The header of a msgpack array."""
    if count < 16:
        return bytes((0x90 | count,))
    if count < 1 << 16:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


def _check(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ValueError(f"Outbox {name} is a number from 1 to {most}, got {value!r}")
