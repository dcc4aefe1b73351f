"""Plain values as bytes: limits that hold before anything is built, and no exception but one."""

from __future__ import annotations

import tracemalloc
from typing import Any, cast

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.codec import LIMITS, Limits, pack_plain, unpack_plain
from actorkit.codec.plain import ENVELOPE, brief, depth_within, scan
from actorkit.errors import ProtocolError, Unencodable

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.binary(max_size=300),
)
plains = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab") | st.integers(0, 9), inner),
    max_leaves=30,
)
SMALL = Limits(size=2_000, elements=40, depth=8)


def elements(value: Any) -> int:
    """How many values there are, keys and containers among them."""
    inside = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return 1 + (sum(map(elements, inside)) if isinstance(inside, list) else 0)


def depth(value: Any) -> int:
    """How many containers are within containers."""
    if isinstance(value, dict):
        value = [*value.values()]
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def packed(value: Any) -> bytes:
    """What msgpack itself makes of a value."""
    return cast(bytes, msgpack.packb(value))


def nested(levels: int) -> bytes:
    """So many lists within lists."""
    return b"\x91" * (levels - 1) + b"\x90"


@given(plains)
def test_plain_values_arrive(value: Any) -> None:
    """What is packed is what is unpacked, from any kind of buffer."""
    data = pack_plain(value)
    assert unpack_plain(data) == value
    assert unpack_plain(memoryview(data)) == unpack_plain(bytearray(data)) == value


@given(plains)
def test_packing_is_msgpack(value: Any) -> None:
    """Any other msgpack reads it."""
    assert pack_plain(value) == packed(value)


@given(plains, st.integers(1, 30), st.integers(8, 12))
def test_a_walk_counts_as_one_would_by_hand(value: Any, most: int, deepest: int) -> None:
    """The walk over the bytes refuses exactly what has too many elements or levels."""
    limits = Limits(elements=most, depth=deepest)
    data = packed(value)
    if elements(value) <= most and depth(value) <= deepest:
        scan(data, limits)
    else:
        with pytest.raises(ProtocolError, match=r"elements|deep"):
            scan(data, limits)
    assert depth_within(value, deepest) == (depth(value) <= deepest)


@given(plains, st.data())
def test_cut_or_longer_bytes_are_refused(value: Any, data: st.DataObject) -> None:
    """Neither a part of a frame nor two of them are one, large or small."""
    whole = packed(value)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for wrong in (cut, whole + b"\xc0"):
        for limits in (LIMITS, Limits(elements=1, depth=32)):
            with pytest.raises(ProtocolError):
                unpack_plain(wrong, limits)
    with pytest.raises(ProtocolError, match=r"cut short|left over"):
        scan(whole + b"\xc0", LIMITS)


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from(b"\x91\x81\xdc\x00\x01\xdd\xc1\xc7\xd4\xff\xa1"), max_size=60).map(
        bytes
    )
)
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    """Whatever the bytes are: a value, or ProtocolError; and the same whether large or small."""
    for limits in (LIMITS, SMALL, Limits(elements=1)):
        try:
            unpack_plain(data, limits)
        except ProtocolError:
            continue


@pytest.mark.parametrize(
    "data",
    [
        b"\xc7\x00\x05",
        b"\xc7\x01\x05x",
        b"\xd4\x01x",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xd7\xff" + bytes(8),
        b"\xc7\x0c\xff" + bytes(12),
        b"\xc7\x00\xff",
        b"\xc1",
        b"\xa1\xff",
        b"\x81\x90\xc0",
        b"",
    ],
)
def test_what_msgpack_has_more_than_we_need_is_refused(data: bytes) -> None:
    """No extensions, no timestamps, no lists for keys, no text that is not UTF-8."""
    for padding in (b"", b"\xc4\xff" + bytes(255)):
        frame = b"\x92" + padding + data if padding else data
        with pytest.raises(ProtocolError, match="not msgpack"):
            unpack_plain(frame)


@pytest.mark.parametrize("around", [0, 5_000, 200_000])
def test_depth_is_limited_in_frames_of_every_size(around: int) -> None:
    """A frame may be 32 deep and no deeper, whichever way it is checked."""
    blob = packed(bytes(around))
    assert unpack_plain(b"\x92" + blob + nested(31))[1] is not None
    with pytest.raises(ProtocolError, match="nested more than 32 deep"):
        unpack_plain(b"\x92" + blob + nested(32))
    with pytest.raises(ProtocolError, match="nested more than 32 deep"):
        unpack_plain(nested(100_000))


def test_elements_are_limited_in_large_frames() -> None:
    """A hundred thousand values are the most."""
    blob = packed(bytes(1000))
    assert (
        len(unpack_plain(b"\xdd" + (99_999).to_bytes(4, "big") + b"\x01" * 99_998 + blob)) == 99_999
    )
    with pytest.raises(ProtocolError, match="more than 100,000 elements"):
        unpack_plain(b"\xdd" + (100_000).to_bytes(4, "big") + b"\x01" * 99_999 + blob)


def test_size_is_limited_on_both_sides() -> None:
    """Whoever sends refuses what whoever receives would refuse."""
    with pytest.raises(ProtocolError, match="2,003 bytes where 2,000 are allowed"):
        unpack_plain(packed(bytes(2000)), SMALL)
    with pytest.raises(Unencodable, match="2,003 bytes, and 2,000 may be sent"):
        pack_plain(bytes(2000), SMALL)
    with pytest.raises(Unencodable, match="elements: send it in parts"):
        pack_plain([0] * 200, Limits(elements=100))


@given(st.lists(plains, max_size=9) | st.lists(st.integers(0, 9), min_size=30, max_size=40))
def test_what_may_be_sent_may_be_received(value: Any) -> None:
    """A value that passes the sender's limits passes the receiver's, in an envelope too."""
    limits = Limits(elements=100, depth=12)
    try:
        data = pack_plain(value, limits)
    except Unencodable:
        return
    if depth_within(value, limits.depth - ENVELOPE):
        assert unpack_plain(data, limits) == value
        assert unpack_plain(b"\x91" * ENVELOPE + data, limits) is not None


@pytest.mark.parametrize(
    ("name", "bomb"),
    [
        ("empty maps", b"\xdd\x00\x01\x86\x9b" + b"\x80" * 99_995),
        ("empty lists", b"\xdd\x00\x01\x86\x9b" + b"\x90" * 99_995),
        ("small maps", b"\xdd\x00\x00\x82\x33" + b"\x81\x01\x80" * 33_331),
        ("lists that lie", b"\xdd\x00\x01\x86\xa0" * 20_000),
        ("short lists that lie", b"\xdc\xff\xff" * 33_000),
        ("maps that lie", b"\xde\xff\xff\x00" * 25_000),
        ("few lists that lie", b"\xdc\x0f\xff" * 32),
        ("nested", b"\x91" * 100_000),
        ("nested maps", b"\x81\x00" * 50_000),
        ("16 MiB of empty maps", b"\xdd\x01\x00\x00\x00" + b"\x80" * (16 << 20)),
    ],
)
def test_bombs_do_not_go_off(name: str, bomb: bytes) -> None:
    """A frame is refused, or its value takes a hundred times its bytes, up to a few MiB."""
    tracemalloc.start()
    try:
        value = unpack_plain(bomb)
    except ProtocolError:
        value = None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < min(100 * len(bomb) + 1_100_000, 12 << 20), name
    del value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("\ud800", "lone surrogate"),
        (object(), "is of type object, which is not plain"),
        ({1, 2}, "is of type set"),
        ([[object()]], "not plain"),
    ],
)
def test_what_is_not_plain_is_refused(value: Any, why: str) -> None:
    """The error names the value."""
    with pytest.raises(Unencodable, match=why):
        pack_plain(value)


def test_what_holds_itself_is_refused() -> None:
    """Packing ends."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(Unencodable, match="nested too deep"):
        pack_plain(value)


def test_a_failure_leaves_nothing_behind() -> None:
    """The packer that is used again has forgotten what it could not finish."""
    for _ in range(3):
        with pytest.raises(Unencodable):
            pack_plain([1, 2, object()])
        assert pack_plain([1]) == b"\x91\x01"
    large = pack_plain(bytes(2 << 20))
    assert (len(large), pack_plain(None)) == ((2 << 20) + 5, b"\xc0")


@pytest.mark.parametrize("wrong", [{"size": 0}, {"elements": -1}, {"depth": 1000}, {"depth": True}])
def test_limits_are_checked(wrong: dict[str, Any]) -> None:
    """A limit that could not be kept is refused by name."""
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        Limits(**wrong)


@pytest.mark.parametrize("kind", [str, bytes, list, tuple, int, dict])
def test_errors_show_values_briefly(kind: type) -> None:
    """However large a value is, an error about it is not."""
    large = {str: "x" * 10**6, bytes: bytes(10**6), int: 10**5000, dict: {"a": "b" * 999}}
    assert len(brief(large.get(kind, kind([0] * 10**6) if kind in (list, tuple) else None))) < 150
