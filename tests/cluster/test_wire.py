"""Frames: what a writer makes, its reader finds in any chunking; what anybody touched on the way raises."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.cluster import frames
from actorkit.cluster.wire import Body, FrameReader, FrameWriter, parse
from actorkit.codec import pack_plain
from actorkit.errors import ProtocolError

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
LIMIT = 300  # of the readers here: small enough to fill

sent_frames = st.one_of(
    st.tuples(st.just(frames.OPS), st.binary(max_size=60)),
    st.tuples(st.just(frames.FRAGMENT), st.binary(max_size=LIMIT - 17)),
    st.just((frames.TICK, b"")),
)


def written(sent: list[tuple[int, bytes]], key: bytes = KEY) -> list[bytes]:
    """The frames of one writer."""
    writer = FrameWriter(key)
    return [writer.frame(kind, body) for kind, body in sent]


def read_until_error(reader: FrameReader, chunks: list[bytes]) -> tuple[list[Any], bool]:
    """All that was read, and whether it ended with a ProtocolError."""
    found: list[tuple[int, bytes]] = []
    for chunk in chunks:
        try:
            found += reader.feed(chunk)
        except ProtocolError:
            return found, True
    return found, False


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.lists(sent_frames, max_size=8), st.lists(st.integers(0, 10_000), max_size=12))
def test_every_frame_arrives_in_any_chunking(sent: list[tuple[int, bytes]], at: list[int]) -> None:
    """A reader finds exactly what was sent, in order, however the stream is cut, and then keeps nothing."""
    reader = FrameReader(KEY, LIMIT)
    found = [frame for chunk in cut(b"".join(written(sent)), at) for frame in reader.feed(chunk)]
    assert found == sent
    assert reader.held == 0


@given(st.lists(sent_frames, max_size=4))
def test_frames_arrive_byte_by_byte(sent: list[tuple[int, bytes]]) -> None:
    """A frame is there with its last byte, not before and not after."""
    reader = FrameReader(KEY, LIMIT)
    for frame, data in zip(sent, written(sent), strict=True):
        for index in range(len(data) - 1):
            assert reader.feed(data[index : index + 1]) == []
            assert reader.held == index + 1
        assert reader.feed(data[-1:]) == [frame]


def test_thousands_of_frames_arrive_in_one_chunk() -> None:
    """One chunk may hold any number of frames."""
    sent = [(frames.OPS, index.to_bytes(4, "big")) for index in range(5000)]
    assert FrameReader(KEY).feed(b"".join(written(sent))) == sent


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_a_body_in_pieces_is_the_body_in_one(pieces: list[bytes]) -> None:
    """Pieces, views among them, make the frame that their concatenation makes."""
    views: Body = [memoryview(p) if index % 2 else p for index, p in enumerate(pieces)]
    assert FrameWriter(KEY).frame(1, views) == FrameWriter(KEY).frame(1, b"".join(pieces))


def test_the_layout_is_as_documented() -> None:
    """Length, MAC over counter, kind and body, kind, body: written down a second time, so that no change goes unseen."""
    writer = FrameWriter(KEY)
    for counter in range(3):
        covered = counter.to_bytes(8, "little") + b"\x01" + b"body"
        mac = hashlib.blake2b(covered, key=KEY, digest_size=16).digest()
        expected = (21).to_bytes(4, "little") + mac + b"\x01" + b"body"
        assert writer.frame(frames.FRAGMENT, b"body") == expected


@given(st.lists(sent_frames, min_size=1, max_size=4), st.data())
def test_a_flipped_bit_raises(sent: list[tuple[int, bytes]], data: st.DataObject) -> None:
    """Whatever bit is flipped, nothing from there on is believed."""
    stream = written(sent)
    index = data.draw(st.integers(0, len(stream) - 1))
    bit = data.draw(st.integers(0, len(stream[index]) * 8 - 1))
    flipped = bytearray(stream[index])
    flipped[bit // 8] ^= 1 << bit % 8
    stream[index] = bytes(flipped)
    if bit < 32:  # a longer frame may be announced: let it become complete
        stream.append(bytes(LIMIT))
    found, failed = read_until_error(FrameReader(KEY, LIMIT), stream)
    assert failed
    assert found == sent[:index]


@given(st.lists(sent_frames, min_size=2, max_size=6), st.data())
def test_frames_dropped_repeated_or_swapped_raise(
    sent: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    """A frame is good for one place in the stream only, even when another says the same."""
    stream = written(sent)
    one, two = sorted(
        data.draw(st.lists(st.integers(0, len(sent) - 1), min_size=2, max_size=2, unique=True))
    )
    what = data.draw(st.sampled_from(["drop", "repeat", "swap"]))
    if what == "drop":
        changed = stream[:one] + stream[one + 1 :]
        genuine = one
    elif what == "repeat":
        changed = [*stream[:two], stream[one], *stream[two:]]
        genuine = two
    else:
        changed = list(stream)
        changed[one], changed[two] = stream[two], stream[one]
        genuine = one
    found, failed = read_until_error(FrameReader(KEY, LIMIT), changed)
    assert failed
    assert found == sent[:genuine]


@given(sent_frames)
def test_a_frame_of_another_direction_or_connection_raises(sent: tuple[int, bytes]) -> None:
    """What comes back to its sender, or from an older connection, was made with another key."""
    with pytest.raises(ProtocolError, match="frame 0 fails its check"):
        FrameReader(OTHER_KEY, LIMIT).feed(written([sent])[0])


@pytest.mark.parametrize("length", [0, 1, 16, LIMIT + 1, 1 << 20, 2**31, 2**32 - 1])
@pytest.mark.parametrize("step", [1, 3, 4, 5000])
def test_an_illegal_length_raises_before_anything_is_kept(length: int, step: int) -> None:
    """The length alone condemns a frame: no byte behind it is kept, or even waited for."""
    data = length.to_bytes(4, "little") + bytes(4996)
    reader = FrameReader(KEY, LIMIT)
    chunks = [data[at : at + step] for at in range(0, 4 if step < 4 else 1, step)]
    assert read_until_error(reader, chunks[:-1]) == ([], False)
    with pytest.raises(ProtocolError, match=f"announces {length} bytes"):
        reader.feed(chunks[-1])
    assert reader.held <= 4


def test_a_frame_as_long_as_the_limit_passes_and_one_byte_more_does_not() -> None:
    """The limit itself is allowed."""
    body = bytes(LIMIT - 17)
    assert FrameReader(KEY, LIMIT).feed(FrameWriter(KEY).frame(0, body)) == [(0, body)]
    with pytest.raises(ProtocolError, match=f"from 17 to {LIMIT} are allowed"):
        FrameReader(KEY, LIMIT).feed(FrameWriter(KEY).frame(0, body + b"x"))


@pytest.mark.parametrize(("kind", "body"), [(3, b""), (255, b"x"), (frames.TICK, b"x")])
def test_an_unknown_frame_raises_even_when_it_is_genuine(kind: int, body: bytes) -> None:
    """The peer itself may not send kinds that nobody agreed on, nor a tick that says something."""
    with pytest.raises(ProtocolError, match=f"kind {kind} with {len(body)} bytes"):
        FrameReader(KEY).feed(FrameWriter(KEY).frame(kind, body))


LEGAL_VALUES: dict[type, Any] = {
    type(one): one for one in (None, True, 7, 1.5, "x", b"x", [1], {1: 2})
}
EVERY_FORM = [
    [kind, *(LEGAL_VALUES[one] for one in types[1:])]
    for kind, forms in sorted(frames.LEGAL.items())
    for types in sorted(forms, key=repr)
]

plain: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 25) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.integers(0, 25), inner),
    max_leaves=8,
)


def test_every_kind_of_op_has_legal_forms() -> None:
    """The table of forms covers the kinds 1 to 20, and parse takes each form of each."""
    assert sorted(frames.LEGAL) == list(range(1, 21))
    assert parse(pack_plain(EVERY_FORM)) == EVERY_FORM


@given(st.sampled_from(EVERY_FORM), st.data())
def test_an_op_is_taken_exactly_if_its_types_are_legal(
    form: list[Any], data: st.DataObject
) -> None:
    """One field replaced, added or left out: the table alone decides."""
    op = list(form)
    at = data.draw(st.integers(0, len(op)))
    op[at : at + data.draw(st.integers(0, 1))] = data.draw(st.lists(plain, max_size=1))
    legal = bool(op) and type(op[0]) is int and tuple(map(type, op)) in frames.LEGAL.get(op[0], ())
    try:
        parse(pack_plain([form, op]))
    except ProtocolError:
        assert not legal
    else:
        assert legal


@pytest.mark.parametrize(
    "body",
    [
        *(1, None, "ops", {}, [], [1], [[]], [b"\x05\x07"], [{0: 5, 1: 7}], [{5: 1}], ["\x05"]),
        *(
            [[True, 7, 7, []]],
            [[1.0, 7, 7, []]],
            [[True, 7]],
            [[5.0, 7]],
            [[None]],
            [[[5], 7]],
            [[{}, 7]],
            [[0, 7]],
            [[21, 7]],
            [[-1]],
        ),
        *([[5, True]], [[5, 7, 7]], [[5]], [[1, 7, 7, [], 7]], [[1, True, 7, []]], [[5, 7], 5]),
    ],
    ids=repr,
)
def test_what_is_no_list_of_ops_raises(body: Any) -> None:
    """Things that look like ops, to Python's equality or indexing, are none."""
    with pytest.raises(ProtocolError):
        parse(pack_plain(body))


def test_an_error_shows_the_form_of_an_op_and_none_of_its_contents() -> None:
    """Contents are long, and nobody's business in a log."""
    with pytest.raises(ProtocolError, match=r"form \[1, int, str\]; see") as caught:
        parse(pack_plain([[1, 5, "secret"]]))
    assert "secret" not in str(caught.value)
