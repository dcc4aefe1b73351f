"""The outbox: order per sender, turns between senders, and an exact account of what waits.

Everything is sent through the whole wire: outbox, writer, reader, assembler, parse.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actorkit.cluster import frames
from actorkit.cluster.outbox import Outbox
from actorkit.cluster.wire import (
    FIRST,
    FRAGMENT_NEXT,
    FRAGMENT_START,
    Assembler,
    FrameReader,
    FrameWriter,
    parse,
)
from actorkit.codec import pack_plain, unpack_plain
from actorkit.errors import Unencodable

FRAGMENT, BATCH, MAX_MESSAGE, MAX_OPEN = 40, 60, 400, 3
FRESH = 99  # a sender that has sent nothing yet


def small_outbox(limit: int = 1000, hard: int = 2000) -> Outbox:
    """An outbox in which everything happens after a few bytes."""
    return Outbox(limit, hard, FRAGMENT, BATCH, max_message=MAX_MESSAGE, max_open=MAX_OPEN)


def tell(sender: int, number: int, size: int = 0) -> bytes:
    """An op that names itself: the number-th of its sender."""
    return pack_plain([frames.TELL, sender, number, [bytes(size)]])


@attrs.define
class Crossing:
    """One op on the way: the numbers of the first and the last frame it travelled in, and its place in the latter."""

    first: int
    last: int
    place: int


@attrs.define
class Far:
    """The other end: sends what an outbox has, and notes when which op came, and what it weighed."""

    outbox: Outbox
    kinds: list[int] = attrs.Factory(list)  # of all frames
    streams: list[int] = attrs.Factory(list)  # of all fragments
    came: dict[tuple[int, int], Crossing] = attrs.Factory(dict)  # by sender and number
    bytes_left: int = 0
    _writer: FrameWriter = attrs.Factory(lambda: FrameWriter(bytes(32)))
    _reader: FrameReader = attrs.Factory(lambda: FrameReader(bytes(32)))
    _assembler: Assembler = attrs.Factory(lambda: Assembler(MAX_MESSAGE, MAX_OPEN))
    _begun: dict[int, int] = attrs.Factory(dict)

    def take(self) -> bool:
        """Let one frame cross; False if there was none."""
        taken = self.outbox.take()
        if taken is None:
            return False
        now = len(self.kinds)
        for kind, body in self._reader.feed(self._writer.frame(*taken)):
            self.kinds.append(kind)
            if kind == frames.FRAGMENT:
                self._receive_fragment(body, now)
            else:
                self.bytes_left += len(body) - (1 if body[0] < 0xA0 else 3)
                self._receive(body, now, now)
        return True

    def drain(self) -> None:
        """Let everything cross."""
        while self.take():
            pass

    def _receive_fragment(self, body: bytes, now: int) -> None:
        stream, flags = FRAGMENT_NEXT.unpack_from(body)
        self.streams.append(stream)
        if flags & FIRST:
            self._begun[stream] = now
            self.bytes_left -= 1 + FRAGMENT_START.size - FRAGMENT_NEXT.size
        self.bytes_left += len(body) - FRAGMENT_NEXT.size
        whole = self._assembler.add(body)
        if whole is not None:
            self._receive(whole, self._begun.pop(stream), now)

    def _receive(self, body: bytes, first: int, now: int) -> None:
        ops: list[list[Any]] = parse(body)
        for place, (_, sender, number, _) in enumerate(ops):
            assert (sender, number) not in self.came
            self.came[sender, number] = Crossing(first, now, place)


TAKE = (-1, 0)
actions = st.lists(
    st.one_of(
        st.just(TAKE),
        st.tuples(st.integers(0, 3), st.integers(0, 2 * FRAGMENT)),
        st.tuples(st.integers(0, 3), st.integers(0, MAX_MESSAGE - 20)),
    ),
    max_size=60,
)


def played(actions: list[tuple[int, int]]) -> tuple[Far, dict[int, int]]:
    """The other end after some puts and takes, and how many ops each sender has put; the account held at every step."""
    far = Far(small_outbox())
    count: dict[int, int] = defaultdict(int)
    put = 0
    for sender, size in actions:
        if (sender, size) == TAKE:
            waiting = far.outbox.size
            assert far.take() == bool(waiting)
        else:
            op = tell(sender, count[sender], size)
            far.outbox.put(op, sender)
            count[sender] += 1
            put += len(op)
        assert far.outbox.size == put - far.bytes_left
    return far, count


@given(actions)
@example([(1, 300), (1, 0), (1, 300), (1, 0), TAKE, (1, 0)])
def test_all_ops_cross_in_the_order_of_each_sender(actions: list[tuple[int, int]]) -> None:
    """Nothing is lost or repeated; no op begins to leave before its sender's earlier ones have left completely."""
    far, count = played(actions)
    far.drain()
    assert far.outbox.size == 0
    assert set(far.came) == {(s, n) for s, sent in count.items() for n in range(sent)}
    for sender, sent in count.items():
        for earlier, later in pairwise(far.came[sender, number] for number in range(sent)):
            if later.first == earlier.last:
                assert later.first == later.last
                assert earlier.place < later.place
            else:
                assert later.first > earlier.last


@given(actions)
def test_a_small_op_waits_for_fragments_only_between_batches(
    actions: list[tuple[int, int]],
) -> None:
    """Between two batches that leave before a small op, and before its own, there is one fragment at most.

    That is if the op's sender has nothing large under way.
    """
    far, _ = played(actions)
    start = len(far.kinds)
    far.outbox.put(tell(FRESH, 0), FRESH)
    while (FRESH, 0) not in far.came:
        assert far.take()
    ahead = far.kinds[start:-1]
    assert (frames.FRAGMENT, frames.FRAGMENT) not in pairwise(ahead)


@pytest.mark.parametrize("frames_before", range(6))
def test_a_small_op_alone_waits_for_one_fragment_at_most(frames_before: int) -> None:
    """With nothing small ahead of it, a small op waits for one fragment, however much large is under way."""
    far = Far(small_outbox())
    for sender in range(3):
        far.outbox.put(tell(sender, 0, 120), sender)
    for _ in range(frames_before):
        far.take()
    far.outbox.put(tell(FRESH, 0), FRESH)
    far.take()
    far.take()
    assert (FRESH, 0) in far.came


def test_a_large_op_gets_every_second_frame() -> None:
    """Small traffic that never pauses does not starve a large op either."""
    far = Far(small_outbox())
    far.outbox.put(tell(1, 0, 200), 1)
    for number in range(20):
        for part in range(4):
            far.outbox.put(tell(2, number * 4 + part, 10), 2)
        far.take()
    large = [far.kinds.index(frames.FRAGMENT), far.came[1, 0].last]
    alternating = far.kinds[large[0] : large[1] + 1]
    assert alternating == [frames.FRAGMENT, frames.OPS] * 5 + [frames.FRAGMENT]


def test_large_ops_of_different_senders_take_turns() -> None:
    """A short one among long ones ends in proportion to its own length."""
    far = Far(small_outbox())
    for sender, size in ((0, 150), (1, 60), (2, 110)):
        far.outbox.put(tell(sender, 0, size), sender)
    far.drain()
    assert far.streams == [0, 1, 2, 0, 1, 2, 0, 2, 0]


def test_the_later_ops_of_a_large_ops_sender_wait_and_those_of_others_do_not() -> None:
    """Order binds a sender, not its neighbours."""
    far = Far(small_outbox())
    far.outbox.put(tell(1, 0, 200), 1)
    far.outbox.put(tell(1, 1), 1)
    far.outbox.put(tell(2, 0), 2)
    for _ in range(2):
        far.take()
    assert (2, 0) in far.came
    far.drain()
    assert far.came[1, 1].first > far.came[1, 0].last


def test_what_is_announced_leaves_before_everything_put_later() -> None:
    """Even when the announcing sender's own ops wait behind a large one."""
    far = Far(small_outbox())
    far.outbox.put(tell(1, 0, 200), 1)
    far.outbox.put(tell(1, 1), 1)
    far.outbox.announce(tell(1, 100))
    far.outbox.put(tell(2, 0, 100), 2)
    far.outbox.put(tell(3, 0), 3)
    far.drain()
    announced = far.came[1, 100]
    assert announced.last < far.came[2, 0].first
    assert (announced.last, announced.place) < (far.came[3, 0].first, far.came[3, 0].place)
    assert announced.last < far.came[1, 0].last < far.came[1, 1].last


def test_only_small_ops_are_announced() -> None:
    """What everybody behind it needs must not itself take turns."""
    outbox = small_outbox()
    with pytest.raises(Unencodable, match="41 bytes cannot be announced; 40 are allowed"):
        outbox.announce(bytes(41))
    assert outbox.size == 0
    assert outbox.take() is None


def test_no_more_is_under_way_than_the_peer_assembles() -> None:
    """The fourth large op waits for a place, and one that would not fit the total waits for room."""
    far = Far(small_outbox())
    for sender, size in enumerate((380, 380, 60, 60, 60, 60, 60, 300)):
        far.outbox.put(tell(sender, 0, size), sender)
    far.drain()  # the assembler has the same limits and would raise
    assert len(far.came) == 8
    assert far.came[1, 0].first > far.came[0, 0].last


def test_an_op_of_the_greatest_size_crosses_and_one_byte_more_is_refused() -> None:
    """Too large is said to the sender at once, and leaves nothing behind."""
    far = Far(small_outbox())
    greatest = tell(1, 0, MAX_MESSAGE - 1 - len(tell(1, 0, 256)) + 256)
    assert len(greatest) == MAX_MESSAGE - 1
    with pytest.raises(Unencodable, match=f"message of {MAX_MESSAGE} bytes cannot travel"):
        far.outbox.put(greatest + b"x", 1)
    assert far.outbox.size == 0
    far.outbox.put(greatest, 1)
    far.drain()
    assert set(far.came) == {(1, 0)}


def test_small_ops_fill_a_batch_and_no_more() -> None:
    """A batch ends before the op that would make it too long; one op may be longer than a batch."""
    outbox = Outbox(1000, 1000, fragment=100, batch=10)
    for size in (4, 6, 1, 9, 11, 1, 100):
        outbox.put(b"\xc0" * size, 0)
    taken = [outbox.take() for _ in range(6)]
    bodies = [frame[1] for frame in taken if frame is not None]
    assert [len(body) - 1 for body in bodies] == [10, 10, 11, 1, 100]
    assert taken[5] is None


@pytest.mark.parametrize("count", [1, 15, 16, 65_535, 65_536])
def test_a_batch_of_any_count_is_one_msgpack_array(count: int) -> None:
    """The header of the array is right at every width."""
    outbox = Outbox(10**6, 10**6, batch=frames.MAX_BATCH)
    for _ in range(count):
        outbox.put(b"\xc0", 0)
    taken = outbox.take()
    assert taken is not None
    assert taken[0] == frames.OPS
    assert isinstance(taken[1], bytes)
    assert unpack_plain(taken[1]) == [None] * count
    assert outbox.take() is None


def test_full_and_over_say_when_their_size_is_reached() -> None:
    """The limits themselves count as reached, and room comes back with what leaves."""
    outbox = small_outbox(limit=10, hard=20)
    seen: list[tuple[bool, bool]] = []
    for size in (9, 1, 9, 1):
        outbox.put(bytes(size), 0)
        seen.append((outbox.full, outbox.over))
    assert seen == [(False, False), (True, False), (True, False), (True, True)]
    outbox.take()
    assert (outbox.full, outbox.over) == (False, False)


@pytest.mark.parametrize(
    ("wrong", "most"),
    [
        ({"fragment": 0}, (1 << 20) - 27),
        ({"fragment": (1 << 20) - 26}, (1 << 20) - 27),
        ({"batch": 0}, 98_304),
        ({"batch": 98_305}, 98_304),
        ({"max_message": (64 << 20) + 1}, 64 << 20),
        ({"max_open": 65}, 64),
    ],
)
def test_what_the_peer_would_not_take_is_refused_when_the_outbox_is_made(
    wrong: dict[str, int], most: int
) -> None:
    """Limits beyond those of the wire would cut the connection later; they fail now."""
    with pytest.raises(ValueError, match=f"from 1 to {most}, got {next(iter(wrong.values()))}"):
        Outbox(1000, 1000, **wrong)


def test_the_largest_frames_pass_the_reader() -> None:
    """The greatest fragment and the greatest small op make frames within the frame limit."""
    greatest = (1 << 20) - 27
    outbox = Outbox(1 << 30, 1 << 30, fragment=greatest)
    outbox.put(bytes(greatest), 0)
    outbox.put(bytes(greatest + 1), 1)
    writer, reader = FrameWriter(bytes(32)), FrameReader(bytes(32))
    found: list[int] = []
    while (taken := outbox.take()) is not None:
        found += [kind for kind, _ in reader.feed(writer.frame(*taken))]
    assert found == [frames.OPS, frames.FRAGMENT, frames.FRAGMENT]
