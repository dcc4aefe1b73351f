"""The network: byte streams between addresses. ``TcpTransport`` is the real one.

A transport knows bytes and addresses, nothing else: framing, names of nodes, proofs of who is there and liveness belong to
whoever stands on it. An address is text, ``"host:port"``, with an IPv6 host in brackets: ``"[::1]:4000"``.

What every transport keeps to, and ``actorkit.testing.conformance.transport`` checks:

- **Order.** Bytes arrive in the order sent, none twice, none missing in between, until the connection ends or breaks.
- **Back-pressure.** What may be on its way is bounded: ``send_all`` waits while the peer does not read.
- **Sent is not received.** ``send_all`` returns when the transport has taken the bytes. Only an answer proves arrival.
- **Three ends.** After ``send_eof`` or ``aclose`` the peer reads what was sent and then ``b""``. After ``abort``, or when the
  network fails, it gets ``trio.BrokenResourceError``, and what it has not read yet may be gone. Closing while bytes wait to
  be read counts as an abort, as it does in TCP (RFC 1122, 4.2.2.13): read to the end before you close, or lose last words.
- **Silence is no end.** A peer whose machine lost power, or that a cut network hides, looks like one that is merely quiet.
- **Errors** are trio's own: ``BrokenResourceError`` (the connection is gone, for good), ``ClosedResourceError`` (this side
  closed it), ``BusyResourceError`` (two tasks send, or two receive, at once). ``dial`` and ``listen`` raise ``OSError``:
  ``ConnectionRefusedError`` if the machine is there and nobody listens, and ``ValueError`` for what is no address.
- **Cancellation.** A cancelled ``send_all`` may have sent a part: the stream is good for nothing but ``abort``. A cancelled
  ``receive_some``, ``accept`` or ``dial`` has lost nothing.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import struct
from abc import abstractmethod
from typing import Any, Protocol

import trio

_ANY_LOOPBACK_PORT = "127.0.0.1:0"
_LOOPBACK_BUFFER = (
    256 << 10
)  # bytes, as the kernel counts them, on their way to a reader on the same machine
_UNSENT = 32 << 10  # bytes that the kernel holds and has not sent
_GONE = -1  # no file descriptor: the number may be another file's by now
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, for no time at all


class Connection(trio.abc.HalfCloseableStream):
    """One stream of bytes in each direction between two addresses; a stream of trio's, so TLS can be laid over it."""

    @property
    @abstractmethod
    def local(self) -> str:
        """The address of this end."""

    @property
    @abstractmethod
    def peer(self) -> str:
        """The address of the other end, as this end sees it."""

    @abstractmethod
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for at least one byte and return at most ``max_bytes``; ``b""`` when the peer will send no more."""

    def send_nowait(self, data: bytes | bytearray | memoryview) -> int:
        """Send as much of ``data`` as the network takes without waiting; how many bytes that were, perhaps none.

        Never while ``send_all`` waits. That the connection is broken, a later ``receive_some`` tells.
        """
        return 0

    @abstractmethod
    def abort(self) -> None:
        """Give the connection up at once, without waiting; the peer gets ``BrokenResourceError``. Fine to repeat."""


class Listener(trio.abc.Listener[Connection]):
    """Where connections arrive."""

    @property
    @abstractmethod
    def address(self) -> str:
        """The address others dial, with the port that was found if 0 was asked for."""


class Transport(Protocol):
    """How a node reaches other nodes, and is reached."""

    async def dial(self, address: str) -> Connection:
        """Connect to whoever listens at ``address``. It may wait for long: bound it with ``trio.fail_after``.

        Raises:
            ConnectionRefusedError: nobody listens there.
            OSError: it cannot be reached.
            ValueError: that is no address.
        """
        ...

    async def listen(self, address: str | None = None) -> Listener:
        """Let others dial ``address``; port 0 is any free port, and None an address that only this machine reaches.

        Raises:
            OSError: somebody listens there already, or it is no address of this machine.
            ValueError: that is no address, or not one that this transport may listen at.
        """
        ...


def split_address(address: str) -> tuple[str, int]:
    """Host and port of an address.

    Raises:
        ValueError: that is no address.
    """
    host, _, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    sound = bare and bracketed == (":" in bare) and not set(bare) & set("[]")
    if not (sound and port.isascii() and port.isdecimal() and int(port) < 1 << 16):
        raise ValueError(
            f"an address is 'host:port' with a port from 0 to 65535, as in '127.0.0.1:4000' or "
            f"'[::1]:4000', got {address!r}"
        )
    return bare, int(port)


def join_address(host: str, port: int) -> str:
    """The address made of a host and a port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class TcpTransport:
    """TCP, in the clear.

    Args:
        loopback_only: refuse to listen where other machines could connect. Whoever lays TLS over this transport, or
            was told in so many words to do without, switches it off.
        backlog: how many connections may wait to be accepted.
    """

    __slots__ = ("_backlog", "_loopback_only")

    def __init__(self, *, loopback_only: bool = True, backlog: int = 128) -> None:
        self._loopback_only = loopback_only
        self._backlog = backlog

    def __repr__(self) -> str:
        return f"TcpTransport(loopback_only={self._loopback_only})"

    async def dial(self, address: str) -> TcpConnection:
        """Connect to ``address``; of several addresses that a name has, the first that answers."""
        failure: OSError | None = None
        for family, target in await _resolve("dial", address):
            try:
                return await _connect(family, target, address)
            except OSError as error:
                failure = failure or error
        assert failure is not None, "a name that resolves has an address"
        raise _failed("dial", address, failure) from failure

    async def listen(self, address: str | None = None) -> TcpListener:
        """Listen at one address; a free loopback port unless told otherwise."""
        wanted = _ANY_LOOPBACK_PORT if address is None else address
        family, target = (await _resolve("listen at", wanted))[0]
        if self._loopback_only and not _is_loopback(target):
            raise ValueError(
                f"{wanted} can be reached from other machines, and this transport has no protection of its own: listen "
                "at 127.0.0.1, or lay TLS over TcpTransport(loopback_only=False)"
            )
        try:
            return TcpListener(await _bound(family, target, self._backlog))
        except OSError as error:
            raise _failed("listen at", wanted, error) from error


class TcpConnection(Connection):
    """One TCP connection, which delays nothing (``TCP_NODELAY``)."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream  # it sets TCP_NODELAY
        self._much = False  # whether as much came last as there was room for
        _keep_short(stream.socket)
        self._fileno = stream.socket.fileno()
        self._local = _shown(stream.socket.getsockname())
        self._peer = _shown(stream.socket.getpeername())

    def __repr__(self) -> str:
        return f"<TcpConnection {self._local} to {self._peer}>"

    @property
    def local(self) -> str:
        """The address of this end."""
        return self._local

    @property
    def peer(self) -> str:
        """The address of the other end."""
        return self._peer

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``; waits while the kernel has no room for it."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room to send something."""
        await self._stream.wait_send_all_might_not_block()

    def send_nowait(self, data: bytes | bytearray | memoryview) -> int:
        """Send what the kernel has room for."""
        try:
            return os.write(self._fileno, data)
        except OSError:
            return 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """At least one byte and at most ``max_bytes``; ``b""`` when the peer will send no more.

        While much comes trio's own way is best, which looks first and waits if there is nothing. Where little comes now and
        then, to look in vain costs more than to wait first.
        """
        if self._much or not max_bytes or max_bytes < 1 or self._fileno == _GONE:
            data = await self._stream.receive_some(max_bytes)
        else:
            data = await self._wait_and_read(max_bytes)
        self._much = max_bytes is None or len(data) * 2 >= max_bytes
        return data

    async def _wait_and_read(self, max_bytes: int) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._fileno)
            if self._fileno == _GONE:
                raise trio.ClosedResourceError("this side has closed the connection")
            try:
                return os.read(self._fileno, max_bytes)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(f"the connection broke: {error}") from error

    async def send_eof(self) -> None:
        """Say that nothing more will be sent, and go on receiving."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close both directions; what was sent still arrives, if the peer's last words have been read."""
        self._fileno = _GONE
        await self._stream.aclose()

    def abort(self) -> None:
        """Close at once and reset the connection."""
        self._fileno = _GONE
        socket = self._stream.socket
        if socket.fileno() == -1:
            return
        try:
            socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, _RESET_ON_CLOSE)
        except OSError:
            pass  # macOS: the peer has reset it already
        socket.close()


class TcpListener(Listener):
    """A listening TCP socket."""

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self._listener = trio.SocketListener(socket)
        self._address = _shown(socket.getsockname())

    def __repr__(self) -> str:
        return f"<TcpListener {self._address}>"

    @property
    def address(self) -> str:
        """The address others dial."""
        return self._address

    async def accept(self) -> TcpConnection:
        """Wait for the next connection.

        Raises:
            OSError: this process, or the machine, has no file descriptors left; wait a little and try again.
        """
        while True:
            stream = await self._listener.accept()
            try:
                return TcpConnection(stream)
            except OSError:  # it was reset before anybody looked, and has no peer any more
                stream.socket.close()

    async def aclose(self) -> None:
        """Stop listening; connections that nobody has accepted are reset."""
        await self._listener.aclose()


# How it is done ------------------------------------------------------------------------------------------------


async def _resolve(doing: str, address: str) -> list[tuple[int, Any]]:
    host, port = split_address(address)
    try:
        found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    except OSError as error:
        raise _failed(doing, address, error) from error
    return [(family, target) for family, _, _, _, target in found]


async def _connect(family: int, target: Any, address: str) -> TcpConnection:
    socket = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    try:
        _receive_little(socket, target)
        await socket.connect(target)
        connection = TcpConnection(trio.SocketStream(socket))
        if connection.local == connection.peer:
            # Nobody listens there, but the kernel has lent that very port to this socket (a simultaneous open with
            # oneself, RFC 9293, 3.5). Whoever redials a dead neighbour often enough meets it.
            connection.abort()  # anything gentler would keep the port from its owner for a minute
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"{address} answered itself")
    except BaseException:
        socket.close()
        raise
    return connection


def _keep_short(socket: trio.socket.SocketType) -> None:
    """Let little wait in the kernel: what is said next must not stand behind megabytes that were said before."""
    if hasattr(trio.socket, "TCP_NOTSENT_LOWAT"):
        socket.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NOTSENT_LOWAT, _UNSENT)


def _receive_little(socket: trio.socket.SocketType, target: Any) -> None:
    """Within one machine nothing is gained by megabytes on their way, which the kernel would let a slow reader have."""
    if _is_loopback(target):
        socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, _LOOPBACK_BUFFER)


async def _bound(family: int, target: Any, backlog: int) -> trio.socket.SocketType:
    socket = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    try:
        # Connections of a listener that is gone must not keep its successor from the port for minutes.
        socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        if family == trio.socket.AF_INET6:
            socket.setsockopt(trio.socket.IPPROTO_IPV6, trio.socket.IPV6_V6ONLY, 1)
        _receive_little(socket, target)
        await socket.bind(target)
        socket.listen(backlog)
    except BaseException:
        socket.close()
        raise
    return socket


def _is_loopback(target: Any) -> bool:
    return ipaddress.ip_address(str(target[0]).partition("%")[0]).is_loopback


def _shown(target: Any) -> str:
    return join_address(target[0], target[1])


def _failed(doing: str, address: str, error: OSError) -> OSError:
    """The same kind of error, with the address in its text."""
    return type(error)(error.errno, f"cannot {doing} {address}: {error.strerror or error}")
