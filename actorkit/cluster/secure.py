"""TLS laid over any transport's connection, both sides verified."""

from __future__ import annotations

import ssl
from typing import Any

import attrs
import trio

from actorkit.cluster.tls import Tls
from actorkit.errors import ProtocolError
from actorkit.seams.transport import Connection


@attrs.frozen
class TlsContexts:
    """What a node's certificates make, once: for those it dials, and those who dial it."""

    client: ssl.SSLContext
    server: ssl.SSLContext

    @classmethod
    def of(cls, tls: Tls) -> TlsContexts:
        """Read the files.

        Raises:
            TlsFileError: one of them cannot be used.
        """
        return cls(tls.client(), tls.server())


class TlsConnection(Connection):
    """A connection inside TLS."""

    def __init__(self, inner: Connection, stream: trio.SSLStream[Connection]) -> None:
        self._inner = inner
        self._stream = stream

    def __repr__(self) -> str:
        return f"<TlsConnection over {self._inner!r}>"

    @property
    def local(self) -> str:
        """The address of this end."""
        return self._inner.local

    @property
    def peer(self) -> str:
        """The address of the other end."""
        return self._inner.peer

    def certificate(self) -> dict[str, Any] | None:
        """What the peer has shown, verified."""
        found: dict[str, Any] | None = self._stream.getpeercert()
        return found

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room to send something."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """At least one byte; ``b""`` when the peer will send no more."""
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_eof(self) -> None:
        """TLS has no half-close: say that nothing more will come, and close."""
        await self._stream.aclose()

    async def aclose(self) -> None:
        """Close both directions."""
        await self._stream.aclose()

    def abort(self) -> None:
        """Close at once."""
        self._inner.abort()


async def secured(
    connection: Connection, context: ssl.SSLContext, *, server: bool
) -> TlsConnection:
    """Lay TLS over a connection.

    Raises:
        ProtocolError: the peer does not speak TLS 1.3, or shows no certificate of our authority.
    """
    stream = trio.SSLStream(connection, context, server_side=server)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        raise ProtocolError(f"no TLS with the peer: {_why(error)}") from None
    return TlsConnection(connection, stream)


def _why(error: BaseException) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        return cause.reason or str(cause)
    return "it closed the connection"
