"""Plain values as bytes and back: msgpack, with limits that hold before anything is built. Pure.

A *plain* value is None, a bool, an int, a float, a str, bytes, a list of plain values, or a dict of them. Its bytes are
those of msgpack (version 5 of its specification), with three rules on top:

    no extension types    no timestamps either: what msgpack has no type for travels as a tag, see ``anything.py``
    ints beyond 64 bits   {5: their bytes}, big-endian two's complement, as few as possible
    lone surrogates       are refused: no encoding takes them

**Limits.** msgpack guards against bytes that lie about how many follow, not against many small things in few bytes: 16 MiB
of empty maps become a GiB. So a frame has at most so many elements (every value counts, keys and containers too), nested
so deep. Both are checked on the bytes, before the first object is made. Whoever sends checks by the same rules.

How that costs next to nothing: fewer bytes than the limit of elements cannot hold more elements, so only large frames are
walked in Python, token by token, and left at the limit. Depth is checked by counting the bytes that could open a container;
if there are too many, msgpack's own C code skips over the frame, put inside so many lists that its own limit of depth,
which is fixed, stands for ours. A frame that it skips without complaint tells the truth about its lengths, too.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import attrs
import msgpack

from actorkit.errors import ProtocolError, Unencodable
from actorkit.kernel.message import error_text, shortened

SHOWN: Final = 80  # characters of a value in an error
_PATH_MAX: Final = 600
INT_TAG: Final = 5
ENVELOPE: Final = 4
SPARE_ELEMENTS: Final = 64
"""What a frame has around a message, and then some: so many levels, and elements, are left free by senders."""
_SHORT: Final = (
    4_096  # even if each length in so few bytes is a lie, and `depth` of them nested, it is a MiB
)
_KEPT: Final = 1 << 20  # a packer that has packed more is let go, for it keeps its buffer


def _from_1_up(_: object, field: attrs.Attribute[int], value: int) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"Limits.{field.name} is an int from 1 up, got {value!r}")


def _depth(_: object, __: object, value: int) -> None:
    if type(value) is not int or not 2 * ENVELOPE <= value <= 200:
        raise ValueError(f"Limits.depth is an int from {2 * ENVELOPE} to 200, got {value!r}")


@attrs.frozen(slots=True)
class Limits:
    """What one frame may hold.

    Attributes:
        size: bytes.
        elements: values in it, keys of maps and the containers themselves among them.
        depth: containers within containers; messages may use all but ``ENVELOPE`` of them.
    """

    size: int = attrs.field(default=64 << 20, validator=_from_1_up)
    elements: int = attrs.field(default=100_000, validator=_from_1_up)
    depth: int = attrs.field(default=32, validator=_depth)


LIMITS: Final = Limits()


def brief(value: object) -> str:
    """A value for an error, in some eighty characters, however large it is."""
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f"a {type(value).__name__} of {len(value)} items"
    if isinstance(value, (str, bytes)) and len(value) > SHOWN:
        return f"{shortened(value[: SHOWN // 4])}... ({len(value):,} long)"
    return shortened(value, SHOWN)


def within(where: str, error: Exception) -> str:
    """What an error says of a part, said of the whole: ``Order.items`` and ``[3]: ...`` give ``Order.items[3]: ...``."""
    text = str(error)
    if len(text) > _PATH_MAX:
        text = f"...{text[-_PATH_MAX:]}"
    return where + text if text.startswith("[") else f"{where}: {text}"


# Packing ----------------------------------------------------------------------------------------------------------


def int_bytes(value: int) -> bytes:
    """An int of any size in as few bytes as hold it, sign included."""
    bits = value.bit_length() if value >= 0 else (value + 1).bit_length()
    return value.to_bytes(bits // 8 + 1, "big", signed=True)


def big_int(data: object) -> int:
    """The int that ``int_bytes`` wrote.

    Raises:
        ProtocolError: these are not its bytes, or it is small enough to travel without a tag.
    """
    if type(data) is not bytes:
        raise ProtocolError(f"expected the bytes of an int, got {brief(data)}")
    value = int.from_bytes(data, "big", signed=True)
    if -(1 << 63) <= value < 1 << 64 or int_bytes(value) != data:
        raise ProtocolError(
            f"expected the fewest bytes of an int beyond 64 bits, got {brief(data)}"
        )
    return value


def _beyond_msgpack(value: object) -> Any:
    if type(value) is int:
        return {INT_TAG: int_bytes(value)}
    raise TypeError(f"{brief(value)} is of type {type(value).__qualname__}, which is not plain")


def _packer() -> Any:
    return msgpack.Packer(default=_beyond_msgpack)


class _Press:
    """A packer used again and again; its C code runs with the interpreter's lock held, so threads may share it."""

    __slots__ = ("pack",)

    def __init__(self) -> None:
        self.pack = _packer().pack


_PRESS = _Press()


def pack_plain(value: Any, limits: Limits = LIMITS) -> bytes:
    """The bytes of a plain value; tuples pass for lists.

    Depth is the business of those who made the value: the encoders of a ``Codec`` have checked it.

    Raises:
        Unencodable: it is not plain, has a text with lone surrogates, or is larger than receivers allow.
    """
    try:
        data: bytes = _PRESS.pack(value)
    except Exception as error:  # noqa: BLE001 - msgpack raises many kinds, and all mean this
        raise Unencodable(_why_not(value, error)) from None
    if len(data) > limits.elements - SPARE_ELEMENTS or len(data) > limits.size:
        _check_large(data, limits)
    return data


def _check_large(data: bytes, limits: Limits) -> None:
    if len(data) > _KEPT:
        _PRESS.pack = _packer().pack
    if len(data) > limits.size:
        raise Unencodable(
            f"it takes {len(data):,} bytes, and {limits.size:,} may be sent: send it in parts, or as a stream"
        )
    spared = attrs.evolve(limits, elements=max(limits.elements - SPARE_ELEMENTS, 1))
    try:
        scan(data, spared)
    except ProtocolError as error:
        raise Unencodable(f"{error}: send it in parts, or as a stream") from None


def _why_not(value: object, error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return f"the text {brief(error.object)} has a lone surrogate, which UTF-8 cannot carry: send it as bytes"
    if isinstance(error, (RecursionError, ValueError)) and "recursion" in str(error):
        return f"{brief(value)} is nested too deep: send it in parts, or flattened"
    return f"{error_text(error)}: send plain values, or messages"


# Unpacking --------------------------------------------------------------------------------------------------------

_OPENERS = bytes(
    [*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF]
)  # arrays and maps begin with one of these
_OTHERS = bytes(sorted(set(range(256)) - set(_OPENERS)))


def _no_extension(code: int, data: bytes) -> Any:
    raise ValueError(f"an extension of type {code} with {len(data)} bytes; there are none here")


def unpack_plain(data: bytes | bytearray | memoryview, limits: Limits = LIMITS) -> Any:
    """The plain value that the bytes say.

    An int beyond 64 bits is left as its tag: where an int may stand, coders look for it.

    Raises:
        ProtocolError: they say none, or more than one, or one beyond the limits; nothing was built then.
    """
    if type(data) is not bytes:
        data = bytes(data)
    size = len(data)
    try:
        if size > limits.depth:
            if size > limits.size:
                raise ProtocolError(f"{size:,} bytes where {limits.size:,} are allowed")
            if size > limits.elements:
                scan(data, limits)
            elif size > _SHORT or len(data.translate(None, _OTHERS)) > limits.depth:
                _skim(data, limits.depth)
        return msgpack.unpackb(data, strict_map_key=False, max_ext_len=0, ext_hook=_no_extension)
    except ProtocolError:
        raise
    except Exception as error:  # noqa: BLE001 - msgpack raises many kinds, and all mean this
        raise _malformed(error, limits) from None


def _malformed(error: Exception, limits: Limits) -> ProtocolError:
    if isinstance(error, msgpack.StackError):
        return _too_deep(limits)
    return ProtocolError(
        f"not msgpack: {type(error).__name__} {error_text(error)[:SHOWN]}".rstrip()
    )


def _too_deep(limits: Limits) -> ProtocolError:
    return ProtocolError(f"containers are nested more than {limits.depth} deep")


def _skips(data: bytes) -> None:
    unpacker = msgpack.Unpacker(max_buffer_size=len(data))
    unpacker.feed(data)
    unpacker.skip()


@cache
def _around(depth: int) -> bytes:
    """So many openings of lists that msgpack's own limit is reached when ``depth`` more follow."""
    return b"\x91" * (_own_depth() - depth)


@cache
def _own_depth() -> int:
    """How deep msgpack goes: a constant of its C code that it does not tell, so it is tried."""
    low, high = 0, 1 << 16
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _skips(b"\x91" * middle + b"\xc0")
        except msgpack.StackError:
            high = middle
        else:
            low = middle
    return low


def _skim(data: bytes, depth: int) -> None:
    """Check in C that the bytes are whole, tell the truth about lengths, and are nested no deeper than this."""
    _skips(_around(depth) + data)


# Lengths of the tokens that stand for themselves, by first byte; 0 for the others.
_WHOLE: Final = tuple(
    1
    if byte < 0x80 or byte >= 0xE0 or byte in (0xC0, 0xC2, 0xC3)
    else byte - 0x9F
    if 0xA0 <= byte < 0xC0
    else {
        0xCA: 5,
        0xCB: 9,
        0xCC: 2,
        0xCD: 3,
        0xCE: 5,
        0xCF: 9,
        0xD0: 2,
        0xD1: 3,
        0xD2: 5,
        0xD3: 9,
    }.get(byte, 0)
    for byte in range(256)
)
# How many bytes of length follow, for texts and blobs, and for containers with the values that one item of them is.
_BLOBS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_CONTAINERS: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def scan(data: bytes, limits: Limits) -> None:
    """Walk over the tokens, skipping what is in texts and blobs, and stop at the first that is too many or too deep.

    Raises:
        ProtocolError: there are too many elements, too many levels, too few bytes, or bytes that no token begins with.
    """
    at, due, room = 0, 1, limits.elements - 1
    outer: list[int] = []  # how many values are still due in the containers around
    try:
        while True:
            while due:
                due -= 1
                byte = data[at]
                length = _WHOLE[byte]
                if length:
                    at += length
                    continue
                at, inside = _token(data, at, byte)
                if inside is not None:
                    room -= inside
                    outer.append(due)
                    due = inside
                    if room < 0:
                        raise ProtocolError(f"there are more than {limits.elements:,} elements")
                    if len(outer) > limits.depth:
                        raise _too_deep(limits)
            if not outer:
                break
            due = outer.pop()
    except IndexError:
        at = len(data) + 1
    if at != len(data):
        raise ProtocolError(f"not msgpack: {'cut short' if at > len(data) else 'bytes left over'}")


def _token(data: bytes, at: int, byte: int) -> tuple[int, int | None]:
    """Where the next token begins, and how many values a container holds; None if this is not a container."""
    if byte < 0xA0:
        return at + 1, (byte - 0x90 if byte >= 0x90 else 2 * (byte - 0x80))
    if byte in _BLOBS:
        end = at + 1 + _BLOBS[byte]
        return end + _number(data, at + 1, end), None
    if byte in _CONTAINERS:
        width, each = _CONTAINERS[byte]
        end = at + 1 + width
        return end, each * _number(data, at + 1, end)
    raise ProtocolError(f"not msgpack: a value cannot begin with the byte {byte:#x}")


def _number(data: bytes, at: int, end: int) -> int:
    if end > len(data):
        raise IndexError
    return int.from_bytes(data[at:end], "big")


_FLAT: Final = frozenset({type(None), bool, int, float, str, bytes})


def depth_within(value: Any, limit: int) -> bool:
    """Whether a plain value has at most so many containers within containers; it looks at a layer at a time."""
    layer = [value]
    while not _FLAT.issuperset(map(type, layer)):
        if not limit:
            return False
        limit -= 1
        holders = [one for one in layer if type(one) not in _FLAT]
        layer = [
            one
            for holder in holders
            for one in (holder.values() if type(holder) is dict else holder)
        ]
    return True
