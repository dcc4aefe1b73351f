"""Connections and listeners of a network in memory: TCP as its users know it, without its packets.

Kept from TCP: a bounded window, so a reader that does not read stops its writer; a reset that overtakes the data before it and
takes unread data with it; data for a closed end answered by a reset; a backlog beyond which dialling waits. That room has
become free is told at once, but it does not cross a cut link.
"""

from __future__ import annotations

import errno
from collections import deque
from types import TracebackType

import trio

from actorkit.seams.transport import Connection, Listener
from actorkit.testing.links import Host, Link

_RECEIVE_SIZE = 65_536


class MemoryConnection(Connection):
    """One end of a connection in memory.

    Args:
        local: its address.
        peer: the address of the other end.
        out: the link to the other end's host.
        back: the link from there.
        window: how many bytes may be on their way, or unread, in one direction.
        segment: how many bytes travel at once.
    """

    def __init__(
        self, local: str, peer: str, *, out: Link, back: Link, window: int, segment: int
    ) -> None:
        self._local, self._peer = local, peer
        self.out = out
        self._back = back
        self._window, self._segment = window, segment
        self._host: Host = out.source
        self._other: MemoryConnection | None = None
        self._established = self._dials = False
        self._failure: OSError | None = None
        self._closed = self._dead = False
        self._received = bytearray()
        self._peer_ended = False
        self._ended = False
        self._room = window
        self._owed = 0
        self._sending, self._receiving = _Gate("sends"), _Gate("receives")
        self._writers, self._readers = trio.lowlevel.ParkingLot(), trio.lowlevel.ParkingLot()
        self._host.ends[self] = None

    def __repr__(self) -> str:
        return f"<MemoryConnection {self._local} to {self._peer}>"

    @property
    def local(self) -> str:
        """The address of this end."""
        return self._local

    @property
    def peer(self) -> str:
        """The address of the other end."""
        return self._peer

    # Opening ------------------------------------------------------------------------------------------------------

    async def establish(self) -> None:
        """Wait until the other side has answered."""
        self._dials = True
        try:
            while not self._is_open():
                await self._writers.park()
        except trio.Cancelled:
            self.abort()
            raise

    def answer(self) -> MemoryConnection:
        """Make the other end, which has been reached, and let this one know."""
        other = MemoryConnection(
            self._peer,
            self._local,
            out=self._back,
            back=self.out,
            window=self._window,
            segment=self._segment,
        )
        self._other = other  # it may be reset from now on, though nobody here has heard of it
        other.join(self)
        self._back.put(lambda: self.join(other), other)
        return other

    def join(self, other: MemoryConnection) -> None:
        """Be connected to the other end."""
        self._other = other
        self._established = True
        self._writers.unpark_all()

    def refuse(self) -> None:
        """Let this end know that nobody listens."""
        self._back.put(self._refused)

    @property
    def dialled_and_met(self) -> bool:
        """Whether this is the end that dialled, and somebody answered."""
        return self._dials and self._other is not None

    @property
    def other_end(self) -> MemoryConnection | None:
        """The other end, as far as there is one."""
        return self._other

    @property
    def gave_up(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return self._closed or self._failure is not None

    def _refused(self) -> None:
        self._fail(ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {self._peer}"))

    def _is_open(self) -> bool:
        if self._failure is not None:
            raise self._failure
        return self._established and not self._dead

    # Streaming ----------------------------------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``; waits while the window is full."""
        with self._sending:
            if self._may_send() or not data:
                await trio.lowlevel.checkpoint()
            with memoryview(data).cast("B") as rest:
                sent = 0
                while sent < len(rest):
                    await self._wait_for_room()
                    piece = bytes(rest[sent : sent + min(self._room, self._segment)])
                    self._send(piece)
                    sent += len(piece)

    def send_nowait(self, data: bytes | bytearray | memoryview) -> int:
        """Send what the window has room for, at once; tells how many bytes that were, 0 if nothing can be sent."""
        if self._sending.taken or self._failure is not None or self._closed or self._ended:
            return 0
        sent = 0
        with memoryview(data).cast("B") as rest:
            while sent < len(rest) and self._may_send():
                piece = bytes(rest[sent : sent + min(self._room, self._segment)])
                self._send(piece)
                sent += len(piece)
        return sent

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the window has room."""
        with self._sending:
            if self._may_send():
                await trio.lowlevel.checkpoint()
            await self._wait_for_room()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """At least one byte and at most ``max_bytes``; ``b""`` when the peer will send no more."""
        wanted = _RECEIVE_SIZE if max_bytes is None else _checked_count(max_bytes)
        with self._receiving:
            if self._may_receive():
                await trio.lowlevel.checkpoint()
            while not self._may_receive():
                await self._readers.park()
            data = bytes(self._received[:wanted])
            del self._received[:wanted]
            self._owed += len(data)
            self.settle()
            return data

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            if self._dead:
                await trio.sleep_forever()
            if not self._ended:
                self._may_send()
                self._end()

    async def aclose(self) -> None:
        """Close both directions; unread bytes turn it into an abort."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """As ``aclose``, at once."""
        if self._received:
            self.abort()
        elif not self._closed:
            if self._failure is None and not self._ended:
                self._end()
            self._vanish()

    def abort(self) -> None:
        """Close at once and reset the connection."""
        if self._closed:
            return
        self.out.purge(self)
        if self._failure is None and self._other is not None:
            self.out.put(self._other.reset)
        self._vanish()

    # What happens to it -------------------------------------------------------------------------------------------

    def reset(self, why: str = "the peer has reset it") -> None:
        """The connection breaks, as this end sees it."""
        if not self._closed:
            self._fail(_reset(f"connection {self._local} to {self._peer}: {why}"))

    def snap(self) -> None:
        """The network has lost the connection: this end sees it now, and what it had sent never arrives."""
        self.out.purge(self)
        self.reset("the network has dropped it")

    def die(self) -> None:
        """Its process is killed: the system closes this end, and whoever waits here waits for ever."""
        self._dead = True
        self.close()

    def vanish(self) -> None:
        """Its machine loses its power: as ``die``, and nobody is told."""
        self._dead = True
        self.out.purge(self)
        self._vanish()

    def settle(self) -> None:
        """Tell the other end of the room that has become free, if anything gets through."""
        if self._owed and not self.out.blocked and self._other is not None:
            freed, self._owed = self._owed, 0
            self._other.gain(freed)

    def gain(self, room: int) -> None:
        """The other end has read something."""
        self._room += room
        self._writers.unpark_all()

    def wake(self) -> None:
        """Let whoever waits to receive look again."""
        self._readers.unpark_all()

    def arrive(self, data: bytes) -> None:
        """Bytes have come; a closed end answers them with a reset."""
        if self._closed:
            if self._other is not None:
                self.out.put(self._other.reset)
        elif self._failure is None:
            self._received += data
            self.wake()

    def hear_end(self) -> None:
        """The peer will send no more."""
        self._peer_ended = True
        self.wake()

    # How it is done -----------------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        other = self._other
        assert other is not None, "an established connection has two ends"
        self._room -= len(data)
        self.out.put(lambda: other.arrive(data), self)

    def _end(self) -> None:
        self._ended = True
        if self._other is not None:
            self.out.put(self._other.hear_end, self)

    def _vanish(self) -> None:
        self._closed = True
        self._received.clear()
        self._host.ends.pop(self, None)
        if not self._dead:
            self._readers.unpark_all()
            self._writers.unpark_all()

    def _fail(self, failure: OSError) -> None:
        self._failure = failure
        self._received.clear()
        self._host.ends.pop(self, None)
        self._readers.unpark_all()
        self._writers.unpark_all()

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError(f"this end of {self} was closed")
        if self._failure is not None:
            raise trio.BrokenResourceError(str(self._failure)) from self._failure

    def _may_send(self) -> bool:
        if self._dead:
            return False
        if self._ended and not self._closed:
            raise trio.ClosedResourceError(f"nothing can be sent on {self} after its end")
        self._check()
        return self._room > 0

    def _may_receive(self) -> bool:
        if self._dead or (self._host.paused and not self._closed):
            return False
        self._check()
        return bool(self._received) or self._peer_ended

    async def _wait_for_room(self) -> None:
        while not self._may_send():
            await self._writers.park()


class MemoryListener(Listener):
    """Where connections to one address of a network in memory arrive."""

    def __init__(self, address: str, port: int, host: Host, backlog: int) -> None:
        self._address = address
        self._port = port
        self._host = host
        self._backlog = backlog
        self._arrived: deque[MemoryConnection] = deque()
        self._knocking: deque[MemoryConnection] = deque()
        self._waiting = trio.lowlevel.ParkingLot()
        self._closed = self._dead = False
        host.listeners[port] = self

    def __repr__(self) -> str:
        return f"<MemoryListener {self._address}>"

    @property
    def address(self) -> str:
        """The address others dial."""
        return self._address

    async def accept(self) -> MemoryConnection:
        """Wait for the next connection."""
        if self._may_accept():
            await trio.lowlevel.checkpoint()
        while not self._may_accept():
            await self._waiting.park()
        connection = self._arrived.popleft()
        self._admit()
        return connection

    async def aclose(self) -> None:
        """Stop listening; connections that nobody has accepted are reset."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Stop listening, at once."""
        if not self._closed:
            self._closed = True
            del self._host.listeners[self._port]
            for connection in self._arrived:
                connection.abort()
            for dialler in self._knocking:
                dialler.refuse()
            self.wake()

    def die(self) -> None:
        """Its process is killed: the system closes it, and whoever waits here waits for ever."""
        self._dead = True
        self.close()

    def vanish(self) -> None:
        """Its machine loses its power: as ``die``, and diallers hear of it when it is back."""
        self._arrived.clear()
        self.die()

    def knock(self, dialler: MemoryConnection) -> None:
        """Somebody wants to connect."""
        self._knocking.append(dialler)
        self._admit()

    def wake(self) -> None:
        """Let whoever waits here look again."""
        if not self._dead:
            self._waiting.unpark_all()

    def _admit(self) -> None:
        while self._knocking and len(self._arrived) < self._backlog:
            dialler = self._knocking.popleft()
            if not dialler.gave_up:
                self._arrived.append(dialler.answer())
        self.wake()

    def _may_accept(self) -> bool:
        if self._dead:
            return False
        if self._closed:
            raise trio.ClosedResourceError(f"{self} was closed")
        return bool(self._arrived) and not self._host.paused


class _Gate:
    """Lets one task through at a time."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self.taken = False

    def __enter__(self) -> None:
        if self.taken:
            raise trio.BusyResourceError(f"another task {self._doing} on this connection already")
        self.taken = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.taken = False


def _reset(why: str) -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, why)


def _checked_count(wanted: object) -> int:
    if isinstance(wanted, bool) or not isinstance(wanted, int):
        raise TypeError(f"max_bytes is a number of bytes, got {wanted!r}")
    if wanted < 1:
        raise ValueError(f"max_bytes is 1 or more, got {wanted!r}")
    return wanted
