"""Bytes to frames and back: lengths, sequence, proof of origin, limits. No socket, no clock.

A frame is laid out as ::

    u32 length of the rest | 16 bytes MAC | u8 kind | body          (little-endian)

The MAC is keyed BLAKE2b over a u64 counter, the kind and the body. The counter is not sent: both ends count, so a frame that
was changed, left out, repeated or moved fails, and so does one sent back to its sender, whose direction has another key.
BLAKE2b because it needs no joined input, costs a third of HMAC-SHA256 for a small frame, and is as fast everywhere; for a
fragment of 64 KiB, a processor with SHA instructions would make HMAC a quarter faster, any other several times slower.

A FRAGMENT's body is ::

    u32 stream | u8 flags: 1 first, 2 last | u32 length of the whole, if first | at least one byte of the whole

where the whole is the body of an OPS frame that was too large. ``Assembler`` puts it together again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, Final

from actorkit.cluster.frames import LEGAL, MAX_FRAME, MAX_MESSAGE, MAX_OPEN, TELL, TICK
from actorkit.codec import unpack_plain
from actorkit.errors import ProtocolError

Piece = bytes | memoryview
Body = bytes | list[Piece]  # in one piece, or in several to be sent one behind the other

FIRST: Final = 1
LAST: Final = 2
FRAGMENT_START: Final = struct.Struct("<IBI")  # stream, flags, length of the whole
FRAGMENT_NEXT: Final = struct.Struct("<IB")  # stream, flags

_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<I16sB")  # length, MAC, kind
_SEALED = struct.Struct("<QB")  # counter, kind: what the MAC covers before the body
_MAC_BYTES = 16
_MAC_END = _LENGTH.size + _MAC_BYTES
_LEAST = _MAC_BYTES + 1  # of the length: an empty body
_WORTH_KEEPING = 4096  # bytes of a fragment that is kept in the frame it came in
OVERHEAD: Final = _LEAST  # what a frame's length counts besides its body


class FrameWriter:
    """Makes frames of bodies, in the order in which they are to be sent.

    Args:
        key: the session key of this direction, 16 to 64 bytes.
    """

    __slots__ = ("_count", "_keyed")

    def __init__(self, key: bytes) -> None:
        self._keyed = blake2b(key=key, digest_size=_MAC_BYTES)
        self._count = 0

    def frame(self, kind: int, body: Body) -> bytes:
        """The next frame: send it before any later one, and send every one."""
        pieces = [body] if isinstance(body, bytes) else body
        mac = self._keyed.copy()
        mac.update(_SEALED.pack(self._count, kind))
        length = _LEAST
        for piece in pieces:
            mac.update(piece)
            length += len(piece)
        self._count += 1
        return b"".join((_HEAD.pack(length, mac.digest(), kind), *pieces))


class FrameReader:
    """Finds the frames in a stream of bytes, and believes only those the peer made for this place in it.

    After a ``ProtocolError`` the stream is good for nothing: close the connection.

    Args:
        key: the session key of this direction.
        max_frame: the greatest length a frame may announce; it is checked before anything of the frame is kept.
    """

    __slots__ = ("_count", "_keyed", "_max_frame", "_partial")

    def __init__(self, key: bytes, max_frame: int = MAX_FRAME) -> None:
        self._keyed = blake2b(key=key, digest_size=_MAC_BYTES)
        self._count = 0
        self._max_frame = max_frame
        self._partial = (
            bytearray()
        )  # a frame that has begun and not ended; grows only with what arrives

    @property
    def held(self) -> int:
        """The bytes kept of a frame that is not complete."""
        return len(self._partial)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take the next bytes of the stream; the frames that are now complete, as (kind, body).

        Raises:
            ProtocolError: a length that is not allowed, or a frame the peer did not make for this place.
        """
        frames: list[tuple[int, bytes]] = []
        at = self._continue(data, frames) if self._partial else 0
        end = len(data)
        while end - at >= _LENGTH.size:
            stop = at + self._size(data, at)
            if stop > end:
                break
            body = data[at + _HEAD.size : stop]
            frames.append(self._proven(data[at + 4 : at + _MAC_END], data[at + _MAC_END], body))
            at = stop
        if at < end:
            self._partial += memoryview(data)[at:]
        return frames

    def _continue(self, data: bytes, frames: list[tuple[int, bytes]]) -> int:
        """Complete the frame that began in earlier bytes, as far as these go; how many of them it took."""
        partial = self._partial
        took = max(0, _LENGTH.size - len(partial))
        partial += data[:took]
        if len(partial) < _LENGTH.size:
            return len(data)
        missing = self._size(partial, 0) - len(partial)
        with memoryview(data)[took : took + missing] as arrived:
            partial += arrived
            missing -= len(arrived)
            took += len(arrived)
        if not missing:
            mac, kind = bytes(partial[_LENGTH.size : _MAC_END]), partial[_MAC_END]
            with memoryview(partial)[_HEAD.size :] as body:
                frames.append(self._proven(mac, kind, bytes(body)))
            partial.clear()
        return took

    def _size(self, data: bytes | bytearray, at: int) -> int:
        """The bytes of the whole frame that begins there, its length prefix included."""
        length: int = _LENGTH.unpack_from(data, at)[0]
        if not _LEAST <= length <= self._max_frame:
            raise ProtocolError(
                f"a frame announces {length} bytes; from {_LEAST} to {self._max_frame} are allowed"
            )
        return _LENGTH.size + length

    def _proven(self, mac: bytes, kind: int, body: bytes) -> tuple[int, bytes]:
        """The frame, if its MAC is the one of this place in the stream and it is of a known kind."""
        keyed = self._keyed.copy()
        keyed.update(_SEALED.pack(self._count, kind))
        keyed.update(body)
        if not compare_digest(keyed.digest(), mac):
            raise ProtocolError(
                f"frame {self._count} fails its check: it was changed, left out, repeated or moved"
            )
        self._count += 1
        if kind > TICK or (kind == TICK and body):
            raise ProtocolError(f"a frame of kind {kind} with {len(body)} bytes; see frames.py")
        return kind, body


class _Partial:
    """What has arrived of a fragmented body, and how much it will be."""

    __slots__ = ("length", "pieces", "total")

    def __init__(self, total: int) -> None:
        self.total = total
        self.length = 0
        self.pieces: list[memoryview | bytearray] = []

    def add(self, chunk: memoryview) -> None:
        """Keep a piece as it is; small ones, which cost more than they hold, are put together."""
        self.length += len(chunk)
        if len(chunk) >= _WORTH_KEEPING:
            self.pieces.append(chunk)
            return
        last = self.pieces[-1] if self.pieces else None
        if isinstance(last, bytearray):
            last += chunk
        else:
            self.pieces.append(bytearray(chunk))


class Assembler:
    """Puts fragmented bodies together again.

    It keeps what has arrived and allocates nothing ahead, so a peer that announces much and sends little costs little.

    Args:
        max_message: the most bytes that the bodies under way may have together, once complete.
        max_open: the most bodies that may be under way.
    """

    __slots__ = ("_announced", "_max_message", "_max_open", "_open")

    def __init__(self, max_message: int = MAX_MESSAGE, max_open: int = MAX_OPEN) -> None:
        self._max_message = max_message
        self._max_open = max_open
        self._announced = 0
        self._open: dict[int, _Partial] = {}

    @property
    def held(self) -> int:
        """The bytes kept of bodies that are not complete."""
        return sum(partial.length for partial in self._open.values())

    def add(self, body: bytes) -> bytes | None:
        """Take the body of a FRAGMENT frame; the body of an OPS frame, if this was its last fragment.

        Raises:
            ProtocolError: a fragment that fits nothing under way, or more than the limits allow.
        """
        if len(body) <= FRAGMENT_NEXT.size:
            raise ProtocolError(f"a fragment of {len(body)} bytes brings nothing")
        stream, flags = FRAGMENT_NEXT.unpack_from(body)
        if flags > FIRST | LAST:
            raise ProtocolError(f"fragment flags {flags:#x}; only first (1) and last (2) are known")
        if flags & FIRST:
            self._begin(stream, body)
            start = FRAGMENT_START.size
        else:
            start = FRAGMENT_NEXT.size
        return self._append(stream, memoryview(body)[start:], bool(flags & LAST))

    def _begin(self, stream: int, body: bytes) -> None:
        if len(body) <= FRAGMENT_START.size:
            raise ProtocolError(f"the first fragment of stream {stream} brings nothing")
        total: int = FRAGMENT_START.unpack_from(body)[2]
        if stream in self._open:
            raise ProtocolError(f"stream {stream} of fragments begins while it is under way")
        if len(self._open) >= self._max_open:
            raise ProtocolError(f"more than {self._max_open} fragmented messages are under way")
        if self._announced + total > self._max_message:
            raise ProtocolError(
                f"a fragmented message announces {total} bytes when {self._announced} are under way; "
                f"{self._max_message} are allowed"
            )
        self._announced += total
        self._open[stream] = _Partial(total)

    def _append(self, stream: int, chunk: memoryview, last: bool) -> bytes | None:
        known = self._open.get(stream)
        if known is None:
            raise ProtocolError(f"a fragment of stream {stream}, which has not begun")
        total, length = known.total, known.length + len(chunk)
        if length > total or (length == total) != last:
            raise ProtocolError(
                f"stream {stream} of fragments {'ends' if last else 'goes on'} after {length} bytes; "
                f"it announced {total}"
            )
        known.add(chunk)
        if not last:
            return None
        del self._open[stream]
        self._announced -= total
        return b"".join(known.pieces)


def parse(body: bytes, unpack: Callable[[bytes], Any] = unpack_plain) -> list[list[Any]]:
    """The ops in the body of an OPS frame, each of a known kind and with fields of legal types.

    What the numbers and the texts mean (a call that is awaited, a tag that is defined) is for the receiver to judge.

    Args:
        body: from ``FrameReader.feed``, or from ``Assembler.add``.
        unpack: bytes to plain values within limits; raises ProtocolError only.

    Raises:
        ProtocolError: anything that is not a list of ops.
    """
    ops = unpack(body)
    if type(ops) is not list or set(map(type, ops)) != {list}:
        raise ProtocolError(f"a frame of ops holds {_shape(ops)}, not a list of lists")
    for op in ops:
        if len(op) == 4 and op[0] == TELL:  # most ops: the same judgement, sooner
            kind, to, tag, fields = op
            if type(to) is type(tag) is type(kind) is int and type(fields) is list:
                continue
        try:
            legal = tuple(map(type, op)) in LEGAL[op[0]]
        except (IndexError, KeyError, TypeError):  # no kind, one that is unknown, or no number
            legal = False
        if not legal:
            raise ProtocolError(f"no kind of op has the form {_shape(op)}; see frames.py")
    return ops


def _shape(value: Any) -> str:
    """The kind and the types of an op, never its contents: they may be long, and are nobody's business in a log."""
    if type(value) is not list:
        return f"a {type(value).__name__}"
    kind = [repr(one) for one in value[:1] if type(one) is int]
    types = [type(one).__name__ for one in value[len(kind) : 10]]
    return f"[{', '.join(kind + types)}{', ...' if len(value) > 10 else ''}]"
