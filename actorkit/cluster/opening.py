"""How a connection begins, from either side: dial or accept, TLS if there is any, and the handshake, each within its time.

Before a peer has proven who it is at most two messages of 512 bytes of it are held, nothing of it is decoded, and it may keep one place of
``half_open`` for its address for ``handshake_timeout`` seconds at most. The oldest gives way to a newcomer, so that an
honest peer, which needs a millisecond, gets in beside a thousand that dawdle.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import attrs
import trio

from actorkit.cluster.events import ConnectionFailed
from actorkit.cluster.handshake import ClientHandshake, Identity, ServerHandshake, Session, Status
from actorkit.cluster.secure import TlsConnection, secured
from actorkit.cluster.tls import verify_peer
from actorkit.errors import ProtocolError
from actorkit.kernel.message import error_text
from actorkit.kernel.notices import LostReason

if TYPE_CHECKING:
    from actorkit.cluster.fabric import Fabric
    from actorkit.seams.transport import Connection, Listener

HELD = 512  # bytes read at once before a peer is known
NONCE = 32
RETRY_ACCEPT = 0.05  # seconds to wait when the process has no descriptors left


@attrs.frozen
class Outcome:
    """What became of a dial: a connection and a session, or why there is none, for membership and in words."""

    connection: Connection | None = None
    session: Session | None = None
    why: LostReason | Status = LostReason.UNREACHABLE
    answered: Identity | None = None
    told: str = ""


CROSSED = (
    Status.SIMULTANEOUS,
    Status.ALREADY,
)  # no failures: another connection is there, or about to be


class _Failed(Exception):
    """A handshake came to nothing."""

    def __init__(
        self, why: LostReason | Status, told: str, answered: Identity | None = None
    ) -> None:
        super().__init__(told)
        self.why = why
        self.answered = answered


async def dial(fabric: Fabric, address: str, expect: str | None) -> Outcome:
    """Dial an address and prove to each other who is there."""
    options = fabric.options
    connection: Connection | None = None
    try:
        with trio.fail_after(options.dial_timeout):
            connection = await fabric.transport.dial(address)
        with trio.fail_after(options.handshake_timeout):
            connection, session = await _client(fabric, connection, expect)
    except (OSError, ValueError) as error:
        failure = Outcome(told=error_text(error))
    except trio.TooSlowError:
        stage = "no connection" if connection is None else "no answer to the handshake"
        failure = Outcome(told=f"{stage} within the time")
    except _Failed as error:
        failure = Outcome(why=error.why, answered=error.answered, told=str(error))
    except trio.Cancelled:
        if connection is not None:
            connection.abort()
        raise
    else:
        return Outcome(connection, session)
    if connection is not None:
        connection.abort()
    return failure


async def _client(
    fabric: Fabric, connection: Connection, expect: str | None
) -> tuple[Connection, Session]:
    secret = fabric.keyring.for_peer(expect) if expect else fabric.keyring.own
    if secret is None:
        raise _Failed(LostReason.REFUSED, f"this node has no secret for {expect or 'any peer'}")
    try:
        if fabric.tls is not None:
            connection = await secured(connection, fabric.tls.client, server=False)
        nonce = fabric.runtime.seams.entropy.token_bytes(NONCE)
        shake = ClientHandshake(fabric.me, secret, nonce, expect)
        await connection.send_all(shake.start())
        return connection, await _finish(connection, shake)
    except ProtocolError as error:
        raise _Failed(LostReason.REFUSED, error_text(error)) from None
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        raise _Failed(LostReason.REFUSED, "the peer broke the connection off") from None


async def _finish(connection: Connection, shake: ClientHandshake | ServerHandshake) -> Session:
    """Carry a handshake to its end."""
    while True:
        try:
            data = await connection.receive_some(HELD)
        except trio.BrokenResourceError:  # who refuses does not wait for last words
            data = b""
        if not data:
            raise shake.closed()
        step = shake.receive(data)
        if step.peer is not None:
            _check_certificate(connection, step.peer)
        if step.send:
            await connection.send_all(step.send)
        if step.refused is not None:
            who = f"{step.peer.name} " if step.peer is not None else ""
            raise _Failed(step.refused, f"{who}refused: {step.refused.name}", step.peer)
        if step.session is not None:
            return step.session


def _check_certificate(connection: Connection, peer: Identity) -> None:
    """With TLS, the certificate must be that of the node the peer says it is: before anything is proven to it.

    Raises:
        ProtocolError: it is somebody else's.
    """
    if isinstance(connection, TlsConnection):
        verify_peer(connection.certificate(), peer.name)


class Doors:
    """Where others come in."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._half_open: dict[str, OrderedDict[int, trio.CancelScope]] = {}

    def waiting(self) -> int:
        """How many have not proven who they are yet."""
        return sum(map(len, self._half_open.values()))

    async def keep(self, listener: Listener) -> None:
        """Let peers in, until cancelled."""
        fabric = self._fabric
        while True:
            try:
                connection = await listener.accept()
            except trio.ClosedResourceError:
                return
            except OSError:
                await trio.sleep(RETRY_ACCEPT)
                continue
            fabric.start_soon(self._receive, connection, name=f"answer {connection.peer}")

    async def _receive(self, connection: Connection) -> None:
        fabric = self._fabric
        number = fabric.next_number()
        source = connection.peer.rpartition(":")[0]
        session: Session | None = None
        crossed = False
        told = "it did not prove who it is in time, or others came"
        try:
            with trio.move_on_after(fabric.options.handshake_timeout) as scope:
                self._enter(source, number, scope)
                connection, session = await self._server(connection, number)
        except (_Failed, ProtocolError) as error:
            told = error_text(error)
            crossed = isinstance(error, _Failed) and error.why in CROSSED
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            told = "it broke the connection off"
        except BaseException:
            connection.abort()
            raise
        finally:
            self._leave(source, number)
        if session is None:
            connection.abort()
            fabric.withdrawn(number)
            if not crossed:
                fabric.runtime.events.emit(ConnectionFailed("", connection.peer, told))
        else:
            await fabric.serve_accepted(connection, session, number)

    async def _server(self, connection: Connection, number: int) -> tuple[Connection, Session]:
        fabric = self._fabric
        if fabric.tls is not None:
            connection = await secured(connection, fabric.tls.server, server=True)
        nonce = fabric.runtime.seams.entropy.token_bytes(NONCE)
        shake = ServerHandshake(
            fabric.me, fabric.keyring, nonce, lambda who, _: fabric.judge(who, number)
        )
        return connection, await _finish(connection, shake)

    def _enter(self, source: str, number: int, scope: trio.CancelScope) -> None:
        there = self._half_open.setdefault(source, OrderedDict())
        there[number] = scope
        if len(there) > self._fabric.options.half_open:
            _, oldest = there.popitem(last=False)
            oldest.cancel()

    def _leave(self, source: str, number: int) -> None:
        there = self._half_open.get(source)
        if there is not None:
            there.pop(number, None)
            if not there:
                del self._half_open[source]
