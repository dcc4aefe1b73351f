"""A flat message of three fields to bytes and back, as the wire does it: packed one by one, unpacked a frame at a time."""

from __future__ import annotations

from typing import Any

import attrs
import msgpack

import actorkit as ak
from actorkit.codec import Codec, unpack_plain
from tests.benchmarks import bare
from tests.benchmarks.registry import benchmark, require

TAG = 7
FRAME = 100


@ak.message
class Sighting:
    sensor: int
    place: str
    weight: float


@attrs.frozen(slots=True)
class BareSighting:
    sensor: int
    place: str
    weight: float


def floor_encode(size: int) -> float:
    """Bare msgpack: the fields by hand, as an array with a tag."""
    message, pack = BareSighting(7, "river bank", 11.5), msgpack.Packer().pack
    data = b""
    seconds = bare.stopwatch()
    for _ in range(size):
        data = pack((TAG, (message.sensor, message.place, message.weight)))
    elapsed = seconds()
    require("what comes back", msgpack.unpackb(data), [TAG, [7, "river bank", 11.5]])
    return size / elapsed


@benchmark(unit="messages/s", size=300_000, floor=floor_encode)
def codec_encode(size: int) -> float:
    """A flat message of three fields to the bytes that travel, every field's type checked."""
    message, pack = Sighting(7, "river bank", 11.5), msgpack.Packer().pack
    encode = Codec().encoder(Sighting)
    data = b""
    seconds = bare.stopwatch()
    for _ in range(size):
        data = pack((TAG, encode(message)))
    elapsed = seconds()
    require("what comes back", msgpack.unpackb(data), [TAG, [7, "river bank", 11.5]])
    return size / elapsed


def _frame(size: int) -> tuple[bytes, int]:
    """The bytes of a frame full of messages, and how many such frames make the size."""
    count = min(FRAME, size)
    data: bytes = msgpack.Packer().pack([[TAG, [7, "river bank", 11.5]]] * count)
    return data, size // count


def floor_decode(size: int) -> float:
    """Bare msgpack: unpacked, and the message made from what was there, whatever it was."""
    data, frames = _frame(size)
    made: list[Any] = []
    seconds = bare.stopwatch()
    for _ in range(frames):
        made = [BareSighting(*fields) for _, fields in msgpack.unpackb(data)]
    elapsed = seconds()
    require("what comes back", made[-1], BareSighting(7, "river bank", 11.5))
    return frames * len(made) / elapsed


@benchmark(unit="messages/s", size=300_000, floor=floor_decode)
def codec_decode(size: int) -> float:
    """A flat message of three fields from the bytes that came: limits and every field's type checked."""
    data, frames = _frame(size)
    decode = Codec().decoder(Sighting)
    made: list[Any] = []
    seconds = bare.stopwatch()
    for _ in range(frames):
        made = [decode(fields) for _, fields in unpack_plain(data)]
    elapsed = seconds()
    require("what comes back", made[-1], Sighting(7, "river bank", 11.5))
    return frames * len(made) / elapsed
