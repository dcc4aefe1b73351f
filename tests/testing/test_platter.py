"""What a power cut may leave: neither more than the model allows, nor less."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.testing.platter import Platter, Survival, edges, every_byte


def contents(platter: Platter, name: str) -> set[bytes | None]:
    """Everything that one file may be after a power cut; None if it may be absent."""
    return {left.files.get(name) for left in platter.choices(every_byte)}


def settled(**files: bytes) -> Platter:
    """A platter on which everything is durable."""
    return Platter(files)


def appended(platter: Platter, name: str, *parts: bytes) -> int:
    """Append to a file; returns its number."""
    number = platter.names[name]
    for part in parts:
        platter.content(number).append(part)
    return number


def test_what_is_synced_has_no_choice() -> None:
    """With nothing unsynced there is one leftover, and it is everything."""
    choices = settled(log=b"one").choices()
    assert len(choices) == 1
    assert choices[0].files == {"log": b"one"}
    assert choices[0].words == "everything was synced"


def test_an_append_is_torn_anywhere_or_zeroed() -> None:
    """Of one append: nothing, every beginning, each with zeros behind it, all of it. Nothing else."""
    platter = settled(log=b"|")
    appended(platter, "log", b"abc")
    assert contents(platter, "log") == {
        b"|",
        b"|a",
        b"|ab",
        b"|abc",
        b"|\0\0\0",
        b"|a\0\0",
        b"|ab\0",
    }


def test_appends_survive_in_order_but_may_have_a_hole() -> None:
    """The second append never stands where the first belongs; the first may be zeros with the second behind it."""
    platter = settled(log=b"")
    appended(platter, "log", b"a", b"b")
    assert contents(platter, "log") == {b"", b"a", b"\0", b"ab", b"a\0", b"\0b"}


def test_a_truncation_survives_or_not() -> None:
    """A cut is never torn, and what is appended after it never stands behind what was cut off."""
    platter = settled(log=b"onetwo")
    platter.content(platter.names["log"]).cut(3)
    appended(platter, "log", b"!")
    assert contents(platter, "log") == {b"onetwo", b"one", b"one\0", b"one!"}


def test_files_survive_independently() -> None:
    """Any leftover of one goes with any of the other."""
    platter = settled(a=b"", b=b"")
    appended(platter, "a", b"1")
    appended(platter, "b", b"2")
    found = {(left.files["a"], left.files["b"]) for left in platter.choices(every_byte)}
    each = {b"", b"\0"}
    assert found == {(a, b) for a in each | {b"1"} for b in each | {b"2"}}


def test_synced_bytes_are_never_touched() -> None:
    """After a sync the only content is all of it; what comes later stands behind it."""
    platter = settled(log=b"")
    number = appended(platter, "log", b"ab", b"c")
    platter.content(number).sync()
    assert contents(platter, "log") == {b"abc"}
    appended(platter, "log", b"d")
    assert contents(platter, "log") == {b"abc", b"abc\0", b"abcd"}


def test_a_failed_sync_loses_bytes_that_readers_still_see() -> None:
    """After it the bytes are zeros or absent, and a later sync that succeeds writes zeros."""
    platter = settled(log=b"")
    content = platter.content(appended(platter, "log", b"ab"))
    content.lose()
    assert contents(platter, "log") == {b"", b"\0", b"\0\0"}
    appended(platter, "log", b"c")
    content.sync()
    assert bytes(content.cache) == b"abc"
    assert contents(platter, "log") == {b"\0\0c"}


def test_names_survive_one_by_one() -> None:
    """Of two changes that have no name in common each survives without the other."""
    platter = settled(old=b"x")
    platter.create("new")
    platter.unlink("old")
    found = {tuple(left.files) for left in platter.choices()}
    assert found == {("old",), ("old", "new"), (), ("new",)}


def test_changes_of_one_name_keep_their_order() -> None:
    """A rename does not survive the creation of what it renamed, nor a later file of a name the earlier one."""
    platter = settled(data=b"old")
    number = platter.create("tmp")
    platter.content(number).append(b"new")
    platter.content(number).sync()
    platter.rename("tmp", "data")
    assert [dict(left.files) for left in platter.choices()] == [
        {"data": b"old"},
        {"data": b"old", "tmp": b"new"},
        {"data": b"new"},
    ]


def test_a_rename_may_survive_the_bytes_of_its_file() -> None:
    """Renamed without a sync, the new file may stand there empty: the classic of ALICE."""
    platter = settled(data=b"old")
    platter.content(platter.create("tmp")).append(b"new")
    platter.rename("tmp", "data")
    assert contents(platter, "data") == {b"old", b"", b"n", b"ne", b"new", *_zeroed(b"new")}


def _zeroed(data: bytes) -> Iterable[bytes]:
    return (data[:k] + bytes(len(data) - k) for k in range(len(data)))


def test_synced_names_are_never_undone() -> None:
    """After ``sync_names`` there is one set of names, and contents nobody can reach are forgotten."""
    platter = settled(old=b"x")
    platter.create("new")
    platter.rename("new", "old")
    platter.sync_names()
    assert [dict(left.files) for left in platter.choices()] == [{"old": b""}]
    assert len(platter.files) == 1


def test_names_whose_sync_failed_are_seen_and_never_written() -> None:
    """Readers see them; no power cut leaves them, even after a later sync."""
    platter = settled()
    platter.create("log")
    platter.lose_names()
    platter.create("other")
    platter.sync_names()
    assert list(platter.names) == ["log", "other"]
    assert [list(left.files) for left in platter.choices()] == [["other"]]


def test_of_many_changes_of_names_the_extremes_are_tried() -> None:
    """Of twenty, those that are all but alone, and all but complete, among fewer than a hundred."""
    platter = settled()
    for number in range(20):
        platter.create(f"{number:02}")
    found = {tuple(left.files) for left in platter.choices()}
    everything = [f"{number:02}" for number in range(20)]
    assert len(found) < 100
    for left_out in everything:
        assert (left_out,) in found
        assert tuple(name for name in everything if name != left_out) in found


def test_the_first_choice_is_the_harshest_and_the_last_the_kindest() -> None:
    """Number 0 is what was synced, the last one is what readers saw."""
    platter = settled(log=b"a")
    appended(platter, "log", b"b", b"c")
    platter.create("new")
    choices = platter.choices()
    assert choices[0].files == platter.durable() == {"log": b"a"}
    assert choices[len(choices) - 1].files == {"log": b"abc", "new": b""}
    with pytest.raises(IndexError):
        choices[len(choices)]


def test_too_many_leftovers_are_tried_one_file_at_a_time() -> None:
    """Beyond the limit each file still shows all it can be, with the others lost and with the others kept."""
    platter = settled(**dict.fromkeys("abcdef", b""))
    for name in "abcdef":
        appended(platter, name, b"xyz", b"!")
    choices = platter.choices(every_byte)
    assert len(choices) > 100_000
    found = {tuple(left.files.values()) for left in choices.at_most(1_000)}
    assert len(found) < 1_000
    each = {left for (left, *_) in found}
    for other in (b"", b"xyz!"):
        assert {(one, *[other] * 5) for one in each} <= found


def test_leftovers_are_told_in_words() -> None:
    """The words name files and changes, and what of them was kept."""
    platter = settled(log=b"")
    number = appended(platter, "log", b"abcd", b"ef", b"ghi")
    platter.create("new")
    platter.rename("log", "old")
    left = platter.left((0,), {number: Survival(1, torn=1, zeros=True)})
    assert left.words == ("'old' keeps 1 and 1 bytes and zeros of 3; of 2 changes of names: +new")
    assert left.files == {"log": b"abcde\0", "new": b""}
    hole = platter.left((1,), {number: Survival(3, hole=0)})
    assert hole.words == "'old' keeps 3 (number 1 as zeros) of 3; of 2 changes of names: log -> old"
    assert hole.files == {"old": b"\0\0\0\0efghi"}


@pytest.mark.parametrize(
    "impossible", [Survival(1, torn=1), Survival(0, torn=4), Survival(2, zeros=True)]
)
def test_an_impossible_leftover_is_refused(impossible: Survival) -> None:
    """A tear beyond the append, or where there is none, is a mistake of the test that asks for it."""
    platter = settled(log=b"")
    number = appended(platter, "log", b"abc")
    platter.content(number).cut(1)
    with pytest.raises(ValueError, match="tears"):
        platter.left((), {number: impossible})


@given(st.integers(0, 1_000_000))
def test_edges_are_inside_and_few(size: int) -> None:
    """The places to tear at are within the append, in order, and do not grow with it."""
    places = edges(size)
    assert places == sorted(set(places))
    assert all(0 < place < size for place in places)
    assert len(places) <= 16


def test_edges_know_headers_sectors_and_last_bytes() -> None:
    """Of a long append: single bytes and words at its start, the first sectors, its middle, one byte short."""
    assert {1, 4, 8, 16, 512, 1024, 1500, 2999} <= set(edges(3000))
    assert edges(3) == [1, 2]


WRITES = st.lists(st.binary(max_size=3) | st.integers(0, 6) | st.just("sync"), max_size=6)


@given(WRITES)
def test_every_leftover_is_made_of_what_was_written(writes: list[bytes | int | str]) -> None:
    """Whatever is left has some prefix's length, and each of its bytes was written there by some prefix, or is zero."""
    platter = settled(log=b"")
    content = platter.content(platter.names["log"])
    history = [b""]
    for write in writes:
        match write:
            case bytes():
                content.append(write)
            case int():
                content.cut(min(write, len(content.cache)))
            case _:
                content.sync()
                history.clear()
        history.append(bytes(content.cache))
    lengths = {0, *(len(past) for past in history)}
    for left in contents(platter, "log"):
        assert left is not None
        assert min(map(len, history)) <= len(left) <= max(lengths)
        for place, byte in enumerate(left):
            assert byte == 0 or any(past[place : place + 1] == bytes([byte]) for past in history)
    assert {history[0], history[-1]} <= contents(platter, "log")
