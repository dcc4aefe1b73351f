"""msgspec: no actors at all, but the fastest typed MessagePack there is for Python."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import time

import msgspec

from tests.benchmarks.peers.answering import answer, require

FRAME = 100

# The message of the codec's figures; as an array that begins with a tag, as there.
Sighting = msgspec.defstruct(
    "Sighting",
    [("sensor", int), ("place", str), ("weight", float)],
    frozen=True,
    array_like=True,
    tag=7,
)


def codec_encode(size: int) -> float:
    """Messages per second to bytes."""
    encode, message = msgspec.msgpack.Encoder().encode, Sighting(7, "river bank", 11.5)
    begin = time.perf_counter()
    for _ in range(size):
        data = encode(message)
    seconds = time.perf_counter() - begin
    require("what comes back", msgspec.msgpack.decode(data, type=Sighting), message)
    return size / seconds


def codec_decode(size: int) -> float:
    """Messages per second from bytes, a frame of them at a time, with their types checked."""
    message, count = Sighting(7, "river bank", 11.5), min(FRAME, size)
    data, decode = (
        msgspec.msgpack.encode([message] * count),
        msgspec.msgpack.Decoder(list[Sighting]).decode,
    )
    frames = size // count
    begin = time.perf_counter()
    for _ in range(frames):
        made = decode(data)
    seconds = time.perf_counter() - begin
    require("what comes back", made, [message] * count)
    return frames * count / seconds


if __name__ == "__main__":
    works = (codec_encode, codec_decode)
    answer("msgspec", {work.__name__: work for work in works})
