"""Fragments: what is taken apart is put together again, and a peer that lies about it gets nothing kept."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.cluster.wire import FIRST, FRAGMENT_NEXT, FRAGMENT_START, LAST, Assembler
from actorkit.errors import ProtocolError


def first(stream: int, total: int, chunk: bytes, flags: int = 0) -> bytes:
    """The body of a first fragment."""
    return FRAGMENT_START.pack(stream, FIRST | flags, total) + chunk


def later(stream: int, chunk: bytes, flags: int = 0) -> bytes:
    """The body of another fragment."""
    return FRAGMENT_NEXT.pack(stream, flags) + chunk


def fragments(stream: int, whole: bytes, size: int) -> list[bytes]:
    """A whole in fragments of a size."""
    chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
    last = len(chunks) - 1
    return [
        later(stream, chunk, LAST if index == last else 0)
        if index
        else first(stream, len(whole), chunk, LAST if index == last else 0)
        for index, chunk in enumerate(chunks)
    ]


wholes = st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.integers(1, 9)), max_size=5)


@given(wholes, st.randoms(use_true_random=False))
def test_interleaved_streams_come_out_whole(sent: list[tuple[bytes, int]], rng: Random) -> None:
    """Every whole comes out once, with its last fragment, whatever is interleaved with it."""
    streams = {n: fragments(n, whole, size) for n, (whole, size) in enumerate(sent)}
    assembler = Assembler(max_message=30 * 5, max_open=5)
    held = 0
    while streams:
        stream = rng.choice(sorted(streams))
        body = streams[stream].pop(0)
        whole = assembler.add(body)
        held += len(body) - (9 if body[4] & FIRST else 5)
        assert (whole is None) == bool(streams[stream])
        if whole is not None:
            assert whole == sent[stream][0]
            held -= len(whole)
            del streams[stream]
        assert assembler.held == held
    assert held == 0


@pytest.mark.parametrize(
    ("bodies", "says"),
    [
        ([b""], "brings nothing"),
        ([later(1, b"")], "brings nothing"),
        ([first(1, 5, b"")], "brings nothing"),
        ([first(1, 5, b"")[:7]], "brings nothing"),
        ([later(1, b"x")], "has not begun"),
        ([first(1, 2, b"ab", LAST), later(1, b"x", LAST)], "has not begun"),
        ([first(1, 5, b"x"), first(1, 5, b"x")], "begins while it is under way"),
        ([first(1, 0, b"x", LAST)], "ends after 1 bytes; it announced 0"),
        ([first(1, 5, b"x", LAST)], "ends after 1 bytes; it announced 5"),
        ([first(1, 5, b"x"), later(1, b"abc", LAST)], "ends after 4 bytes; it announced 5"),
        ([first(1, 5, b"x"), later(1, b"abcde")], "goes on after 6 bytes; it announced 5"),
        ([first(1, 5, b"x"), later(1, b"abcd")], "goes on after 5 bytes; it announced 5"),
        ([later(1, b"x", 4)], "flags 0x4"),
        ([first(1, 5, b"x", 128)], "flags 0x81"),
        ([first(1, 101, b"x")], "announces 101 bytes when 0 are under way; 100 are allowed"),
        ([first(1, 2**32 - 1, b"x")], "announces 4294967295 bytes"),
        ([first(1, 60, b"x"), first(2, 41, b"x")], "41 bytes when 60 are under way"),
        ([first(1, 9, b"x"), first(2, 9, b"x"), first(3, 9, b"x")], "more than 2 fragmented"),
    ],
)
def test_what_fits_nothing_under_way_raises(bodies: list[bytes], says: str) -> None:
    """Every way to lie about a stream raises, and nothing of the lie is kept."""
    assembler = Assembler(max_message=100, max_open=2)
    for body in bodies[:-1]:
        assembler.add(body)
    held = assembler.held
    with pytest.raises(ProtocolError, match=says):
        assembler.add(bodies[-1])
    assert assembler.held == held


def test_the_limits_themselves_are_allowed_and_room_comes_back() -> None:
    """A message of exactly the limit passes; when it is complete another may follow."""
    assembler = Assembler(max_message=100, max_open=1)
    for _ in range(3):
        assert assembler.add(first(1, 100, b"x")) is None
        assert assembler.add(later(1, b"y" * 99, LAST)) == b"x" + b"y" * 99


def test_announcing_much_costs_little() -> None:
    """Nothing is allocated for what has only been announced, nor per tiny fragment."""
    assembler = Assembler()
    tracemalloc.start()
    try:
        assembler.add(first(1, 64 << 20, b"x"))
        for _ in range(20_000):
            assembler.add(later(1, b"x"))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
