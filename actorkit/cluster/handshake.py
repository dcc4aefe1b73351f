"""Who is there: how two nodes prove to each other that they know the same key, before anything is decoded.

    client (dials)                                                   server (listens)
      HELLO      versions, key id, nonce, name, incarnation,
                 address, flags                               ----->
                                                              <-----   CHALLENGE  versions, nonce, name, incarnation
      PROOF      HMAC(key, "client" | HELLO | CHALLENGE)      ----->
                                                              <-----   VERDICT    status, flags, address,
                                                                                  HMAC(key, "server" | HELLO | CHALLENGE
                                                                                       | status, flags, address)
      frames, each with a MAC under a key of its direction    <---->

Nothing here waits, reads a clock or rolls dice: nonces come in as arguments, and the deadline is the shell's. Each message has
a fixed layout, little-endian, of at most 512 bytes, and one message is all that is ever gathered of what comes in.

**Why the client proves first.** Anybody can dial a server; a client dials where it chose to. If the server spoke first, it
would answer strangers' questions with its key. So before the client's proof it reveals its name, versions and incarnation,
and that only to those who name a key that it has. The rest of its identity travels in the verdict.

**Why both proofs bind the whole transcript.** A proof over a nonce alone says "somebody who knows the key is awake". Over all
bytes of HELLO and CHALLENGE it says "I, of this name and incarnation, heard exactly this from you". Whoever stands in between
can then change nothing: no name, no address, and no version (which would be a downgrade). Each side's nonce is in there, so
a recording proves nothing to anybody later. The keys of the session come from the same transcript, so nobody who relayed a
handshake can write one frame, or send back those of one direction in the other.

**What reflection is, and why it fails.** Where both sides answer challenges in the same way, an attacker without the key asks
you what you asked him, on a second connection, and hands your own answer back. Here an answer begins with the role of who
gives it, and contains the CHALLENGE of who asked: the proof of a client is no verdict, and the proof made for one connection
fits no other. A client that meets its own name and incarnation stops with ``SELF``.

**What a wrong key sees.** No verdict: the connection is closed, as after garbage. It cannot be told apart from a server that
does not speak this protocol.

**What this does not give.** Secrecy: frames are authentic, and in clear text. Who needs secrecy, now or later, lays TLS
beneath it (``actorkit.cluster.tls``).

The layout of HELLO and CHALLENGE is the same in all versions, so that nodes without a common one can say so.
"""

from __future__ import annotations

import hmac
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum, IntEnum
from hashlib import sha256
from struct import Struct

import attrs

from actorkit.cluster.keys import ID_BYTES, Keyring, Secret
from actorkit.errors import ProtocolError
from actorkit.kernel.address import valid_node_name

MESSAGE_LIMIT = 512
NONCE_BYTES = 32
VERSIONS = (1, 1)  # the oldest and the newest version that this code speaks

_MAGIC = b"actk"
_PROOF_BYTES = 32  # of HMAC-SHA256, and of one block of HKDF
_ADDRESS_LIMIT = 190
_ADDRESS = re.compile(rf"[!-~]{{0,{_ADDRESS_LIMIT}}}")
_HIDDEN = 1  # of the flags; a later version may give the other bits a meaning

_HEADER = Struct("<4sBH")  # magic, kind, length of what follows
# Versions, key id, nonce, incarnation, flags, lengths of the name and the address that follow.
_HELLO = Struct(f"<HH{ID_BYTES}s{NONCE_BYTES}sIBBB")
# Versions, nonce, incarnation, length of the name that follows.
_CHALLENGE = Struct(f"<HH{NONCE_BYTES}sIB")
# Status, flags, length of the address that follows; behind it the proof.
_VERDICT = Struct("<BBB")

_LABEL = b"actorkit handshake 1|"


class _Kind(IntEnum):
    HELLO = 1
    CHALLENGE = 2
    PROOF = 3
    VERDICT = 4


_BODY_LENGTHS = {
    _Kind.HELLO: range(_HELLO.size + 1, MESSAGE_LIMIT - _HEADER.size + 1),
    _Kind.CHALLENGE: range(_CHALLENGE.size + 1, _CHALLENGE.size + 256),
    _Kind.PROOF: range(_PROOF_BYTES, _PROOF_BYTES + 1),
    _Kind.VERDICT: range(
        _VERDICT.size + _PROOF_BYTES, _VERDICT.size + _ADDRESS_LIMIT + _PROOF_BYTES + 1
    ),
}


class Status(Enum):
    """How a handshake between two that know the key ends.

    Attributes:
        OK: the server takes the connection.
        SIMULTANEOUS: both dial each other, and the connection that the server dialled is the one to keep.
        ALREADY: there is a connection.
        NOT_ALLOWED: the server does not want this node.
        SELF: the node has dialled itself.
        WRONG_NODE: another node answers than the one that was dialled.
        VERSION: the two have no version in common.
    """

    OK = 0
    SIMULTANEOUS = 1
    ALREADY = 2
    NOT_ALLOWED = 3
    SELF = 4
    WRONG_NODE = 5
    VERSION = 6


@attrs.frozen
class Identity:
    """Who a node says it is.

    Attributes:
        name: as ``valid_node_name`` has it.
        incarnation: drawn when the node started.
        address: where it listens; empty if nowhere, or if it has not said so yet.
        hidden: others shall neither list it nor tell of it.
    """

    name: str
    incarnation: int
    address: str = ""
    hidden: bool = False

    def __attrs_post_init__(self) -> None:
        if not valid_node_name(self.name):
            raise ValueError(f"not a node's name: {self.name!r}")
        if not 0 <= self.incarnation < 2**32:
            raise ValueError(f"an incarnation is from 0 to 2**32 - 1, got {self.incarnation!r}")
        if not _ADDRESS.fullmatch(self.address):
            raise ValueError(
                f"an address is at most {_ADDRESS_LIMIT} visible ASCII characters, got {self.address!r}"
            )


@attrs.frozen
class Session:
    """What both sides know when the handshake is over.

    Attributes:
        peer: who is there, proved.
        secret: the one that was proved; its grants are the peer's here.
        version: the newest that both speak.
        send_key: for the MACs of the frames from here.
        receive_key: for those from there; it is the ``send_key`` over there.
        leftover: bytes that came after the handshake's last message.
    """

    peer: Identity
    secret: Secret
    version: int
    send_key: bytes = attrs.field(repr=False)
    receive_key: bytes = attrs.field(repr=False)
    leftover: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen
class Step:
    """What to do after some bytes have come in.

    Attributes:
        send: bytes for the other side, to be sent before anything else is done.
        session: the handshake is over, and this came of it.
        refused: the handshake is over, and nothing came of it; the connection is of no more use.
        peer: who the other side says it is, once it has said so; proved only where there is a session or a verdict.
    """

    send: bytes = attrs.field(default=b"", repr=False)
    session: Session | None = None
    refused: Status | None = None
    peer: Identity | None = None

    @property
    def over(self) -> bool:
        """Whether there is nothing more to receive."""
        return self.session is not None or self.refused is not None


Judge = Callable[[Identity, Secret], Status]


class _Handshake(ABC):
    """One side of a handshake: takes bytes as they come, message by message."""

    def __init__(
        self, identity: Identity, nonce: bytes, versions: tuple[int, int], awaited: _Kind
    ) -> None:
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce is {NONCE_BYTES} random bytes, got {len(nonce)}")
        oldest, newest = versions
        if not 1 <= oldest <= newest < 2**16:
            raise ValueError(f"versions are two numbers from 1 up, the older first: {versions!r}")
        self._me = identity
        self._nonce = nonce
        self._versions = versions
        self._awaited: _Kind | None = awaited
        self._held = bytearray()

    def receive(self, data: bytes) -> Step:
        """Take what came in, in pieces of any size.

        Raises:
            ProtocolError: it is not what a node with the right key sends; close the connection, and say nothing.
        """
        step = Step()
        rest = memoryview(data)
        while rest and not step.over:
            awaited, self._awaited = self._awaited, None  # whatever raises, it is over then
            if awaited is None:
                raise RuntimeError("this handshake is over: make another for another connection")
            message, rest = self._message(awaited, rest)
            if message is None:
                self._awaited = awaited
                return step
            step = self._handle(message)
        if step.session is not None:
            return attrs.evolve(step, session=attrs.evolve(step.session, leftover=bytes(rest)))
        return step

    @abstractmethod
    def _handle(self, message: bytes) -> Step:
        """Take a whole message of the kind that was awaited."""

    def _message(self, kind: _Kind, data: memoryview) -> tuple[bytes | None, memoryview]:
        """The whole message if it is here now, and what came behind it."""
        data = self._hold(data, _HEADER.size)
        start = _MAGIC + bytes([kind])
        if not start.startswith(self._held[: len(start)]):
            raise ProtocolError(
                f"expected {kind.name} of an actorkit node, got {bytes(self._held)!r}"
            )
        if len(self._held) < _HEADER.size:
            return None, data
        length = _HEADER.unpack_from(self._held)[2]
        if length not in _BODY_LENGTHS[kind]:
            raise ProtocolError(f"{kind.name} has a length of {length}, which none can have")
        data = self._hold(data, _HEADER.size + length)
        if len(self._held) < _HEADER.size + length:
            return None, data
        message = bytes(self._held)
        self._held.clear()
        return message, data

    def _hold(self, data: memoryview, size: int) -> memoryview:
        """Add to what is held until it has ``size`` bytes, and return the rest."""
        missing = max(size - len(self._held), 0)
        self._held += data[:missing]
        return data[missing:]

    def _namesake(self, peer: Identity) -> Status | None:
        """Why no node talks to one of its own name: it is itself, or somebody took its name."""
        if peer.name != self._me.name:
            return None
        same = peer.incarnation == self._me.incarnation
        return Status.SELF if same else Status.NOT_ALLOWED


class ClientHandshake(_Handshake):
    """The side that dialled.

    Args:
        identity: who this node is.
        secret: what it proves.
        nonce: 32 bytes that were never used before.
        expect: who must answer; None if that is to be found out.
        versions: the oldest and the newest that it speaks.
    """

    def __init__(
        self,
        identity: Identity,
        secret: Secret,
        nonce: bytes,
        expect: str | None = None,
        *,
        versions: tuple[int, int] = VERSIONS,
    ) -> None:
        super().__init__(identity, nonce, versions, _Kind.CHALLENGE)
        self._secret = secret
        self._expect = expect
        self._hello = _pack_hello(identity, secret.id, nonce, versions)
        self._proving: _Proving | None = None

    def start(self) -> bytes:
        """The bytes to send first."""
        return self._hello

    def closed(self) -> ProtocolError:
        """What it means that the other side closed the connection now."""
        if self._proving is None:
            return ProtocolError(
                "the connection was closed in answer to HELLO: whoever listens there is no actorkit node, "
                f"or does not accept this node's key (id {self._secret.id.hex()}) from {self._me.name!r}"
            )
        return ProtocolError(
            f"{self._proving.peer.name!r} closed the connection without a verdict: it found this node's proof wrong"
        )

    def _handle(self, message: bytes) -> Step:
        if self._proving is None:
            return self._challenged(message)
        return self._judged(self._proving, message)

    def _challenged(self, message: bytes) -> Step:
        peer, theirs = _unpack_challenge(message)
        version = _common(self._versions, theirs)
        refused = self._objection(peer)
        if refused is not None or version is None:
            return Step(refused=refused or Status.VERSION, peer=peer)
        if not self._secret.fits(peer.name):
            raise ProtocolError(
                f"{peer.name!r} answers, and the secret used is for {self._secret.peers!r} only: "
                "dial that node by its name, or give it a secret of its own"
            )
        self._proving = _Proving(self._secret, self._hello + message, version, peer)
        self._awaited = _Kind.VERDICT
        return Step(send=_framed(_Kind.PROOF, self._proving.of(b"client")), peer=peer)

    def _objection(self, peer: Identity) -> Status | None:
        namesake = self._namesake(peer)
        if namesake is not Status.SELF and self._expect not in {None, peer.name}:
            return Status.WRONG_NODE
        return namesake

    def _judged(self, proving: _Proving, message: bytes) -> Step:
        signed, proof = message[:-_PROOF_BYTES], message[-_PROOF_BYTES:]
        if not hmac.compare_digest(proof, proving.of(b"server", signed)):
            raise ProtocolError(
                f"{proving.peer.name!r} does not know the secret it was dialled with"
            )
        status, address, hidden = _unpack_verdict(signed)
        peer = attrs.evolve(proving.peer, address=address, hidden=hidden)
        if status is not Status.OK:
            return Step(refused=status, peer=peer)
        send, receive = proving.keys()
        return Step(session=Session(peer, self._secret, proving.version, send, receive), peer=peer)


class ServerHandshake(_Handshake):
    """The side that listens.

    Args:
        identity: who this node is.
        keyring: the secrets it accepts, looked at when the client has said which one it knows.
        nonce: 32 bytes that were never used before.
        judge: asked, once the client has proved who it is, whether to take its connection.
        versions: the oldest and the newest that it speaks.
    """

    def __init__(
        self,
        identity: Identity,
        keyring: Keyring,
        nonce: bytes,
        judge: Judge,
        *,
        versions: tuple[int, int] = VERSIONS,
    ) -> None:
        super().__init__(identity, nonce, versions, _Kind.HELLO)
        self._keyring = keyring
        self._judge = judge
        self._proving: _Proving | None = None

    def closed(self) -> ProtocolError:
        """What it means that the other side closed the connection now."""
        if self._proving is None:
            return ProtocolError("the connection was closed before the whole of HELLO had come")
        return ProtocolError(
            f"{self._proving.peer.name!r} closed the connection instead of proving that it knows the secret"
        )

    def _handle(self, message: bytes) -> Step:
        if self._proving is None:
            return self._greeted(message)
        return self._proved(self._proving, message)

    def _greeted(self, message: bytes) -> Step:
        peer, theirs, key_id = _unpack_hello(message)
        secret = self._keyring.by_id(key_id, peer.name)
        if secret is None:
            raise ProtocolError(f"no secret with id {key_id.hex()} is good for {peer.name!r} here")
        challenge = _pack_challenge(self._me, self._nonce, self._versions)
        version = _common(self._versions, theirs)
        if version is None:
            return Step(send=challenge, refused=Status.VERSION, peer=peer)
        self._proving = _Proving(secret, message + challenge, version, peer)
        self._awaited = _Kind.PROOF
        return Step(send=challenge, peer=peer)

    def _proved(self, proving: _Proving, message: bytes) -> Step:
        secret, peer = proving.secret, proving.peer
        if not hmac.compare_digest(message[_HEADER.size :], proving.of(b"client")):
            raise ProtocolError(f"who calls itself {peer.name!r} does not know the secret it named")
        status = self._namesake(peer) or self._judge(peer, secret)
        signed = _pack_verdict(status, self._me)
        send = signed + proving.of(b"server", signed)
        if status is not Status.OK:
            return Step(send=send, refused=status, peer=peer)
        receive_key, send_key = proving.keys()
        session = Session(peer, secret, proving.version, send_key, receive_key)
        return Step(send=send, session=session, peer=peer)


@attrs.frozen
class _Proving:
    """What either side proves, and what follows from it: the key, and all bytes of HELLO and CHALLENGE."""

    secret: Secret
    transcript: bytes = attrs.field(repr=False)
    version: int
    peer: Identity

    def of(self, role: bytes, signed: bytes = b"") -> bytes:
        """The proof that ``role`` gives. No input is the beginning of another: the messages carry their lengths."""
        whole = _LABEL + role + b"|" + self.transcript + signed
        return hmac.digest(self.secret.key, whole, "sha256")

    def keys(self) -> tuple[bytes, bytes]:
        """The session's keys, from client to server and back."""
        pseudorandom = hkdf_extract(sha256(_LABEL + self.transcript).digest(), self.secret.key)
        return (
            hkdf_expand(pseudorandom, _LABEL + b"client to server", 32),
            hkdf_expand(pseudorandom, _LABEL + b"server to client", 32),
        )


# HKDF-SHA256 (RFC 5869) ------------------------------------------------------------------------------------------


def hkdf_extract(salt: bytes, material: bytes) -> bytes:
    """Concentrate key material into one key (section 2.2)."""
    # Without a salt the RFC has zeros in its place, which is how HMAC fills up a short key.
    return hmac.digest(salt, material, "sha256")


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """Make ``length`` bytes for the purpose ``info`` from a key that ``hkdf_extract`` made (section 2.3)."""
    if not 0 <= length <= 255 * _PROOF_BYTES:
        raise ValueError(
            f"HKDF-SHA256 gives at most {255 * _PROOF_BYTES} bytes, asked for {length}"
        )
    block, output = b"", b""
    for count in range(1, -(-length // _PROOF_BYTES) + 1):
        block = hmac.digest(key, block + info + bytes([count]), "sha256")
        output += block
    return output[:length]


# The messages ----------------------------------------------------------------------------------------------------


def _framed(kind: _Kind, body: bytes) -> bytes:
    return _HEADER.pack(_MAGIC, kind, len(body)) + body


def _flags(identity: Identity) -> int:
    return _HIDDEN if identity.hidden else 0


def _pack_hello(me: Identity, key_id: bytes, nonce: bytes, versions: tuple[int, int]) -> bytes:
    name, address = me.name.encode("ascii"), me.address.encode("ascii")
    fixed = (key_id, nonce, me.incarnation, _flags(me), len(name), len(address))
    return _framed(_Kind.HELLO, _HELLO.pack(*versions, *fixed) + name + address)


def _unpack_hello(message: bytes) -> tuple[Identity, tuple[int, int], bytes]:
    at = _HEADER.size
    oldest, newest, key_id, _, incarnation, flags, *lengths = _HELLO.unpack_from(message, at)
    name, address = _texts(message[at + _HELLO.size :], *lengths)
    peer = _identity(name, incarnation, address, flags)
    return peer, _ordered(oldest, newest), key_id


def _pack_challenge(me: Identity, nonce: bytes, versions: tuple[int, int]) -> bytes:
    name = me.name.encode("ascii")
    body = _CHALLENGE.pack(*versions, nonce, me.incarnation, len(name)) + name
    return _framed(_Kind.CHALLENGE, body)


def _unpack_challenge(message: bytes) -> tuple[Identity, tuple[int, int]]:
    at = _HEADER.size
    oldest, newest, _, incarnation, length = _CHALLENGE.unpack_from(message, at)
    (name,) = _texts(message[at + _CHALLENGE.size :], length)
    return _identity(name, incarnation, "", 0), _ordered(oldest, newest)


def _pack_verdict(status: Status, me: Identity) -> bytes:
    """All of it but the proof at its end, which covers it."""
    address = me.address.encode("ascii")
    body = _VERDICT.pack(status.value, _flags(me), len(address)) + address
    return _HEADER.pack(_MAGIC, _Kind.VERDICT, len(body) + _PROOF_BYTES) + body


def _unpack_verdict(signed: bytes) -> tuple[Status, str, bool]:
    at = _HEADER.size
    code, flags, length = _VERDICT.unpack_from(signed, at)
    (address,) = _texts(signed[at + _VERDICT.size :], length)
    try:
        return Status(code), address, bool(flags & _HIDDEN)
    except ValueError:
        raise ProtocolError(f"VERDICT has the status {code}, which is unknown here") from None


def _texts(data: bytes, *lengths: int) -> list[str]:
    """Cut texts of these lengths, which must be all there is."""
    if sum(lengths) != len(data):
        raise ProtocolError(f"texts of {sum(lengths)} bytes were announced, {len(data)} came")
    if not data.isascii():
        raise ProtocolError("names and addresses are ASCII, and other bytes came")
    text, texts = data.decode("ascii"), list[str]()
    for length in lengths:
        texts.append(text[:length])
        text = text[length:]
    return texts


def _identity(name: str, incarnation: int, address: str, flags: int) -> Identity:
    try:
        return Identity(name, incarnation, address, bool(flags & _HIDDEN))
    except ValueError as error:
        raise ProtocolError(str(error)) from None


def _ordered(oldest: int, newest: int) -> tuple[int, int]:
    if not 1 <= oldest <= newest:
        raise ProtocolError(f"the versions {oldest} to {newest} are no range")
    return oldest, newest


def _common(ours: tuple[int, int], theirs: tuple[int, int]) -> int | None:
    """The newest version that both speak."""
    newest = min(ours[1], theirs[1])
    return newest if newest >= max(ours[0], theirs[0]) else None
