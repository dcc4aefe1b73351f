"""Duplicated passages: what is found is checked against the plainest way to find it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from actorkit.demo.duplication import (
    WINDOW,
    DuplicationSection,
    Passage,
    Spot,
    conclude,
    examine,
    repeated,
)
from actorkit.demo.reading import Reading, parse

Texts = list[list[str]]


def _read(lines: list[str], name: str) -> Reading:
    reading = parse(name, "\n".join(lines).encode())
    assert isinstance(reading, Reading)
    return reading


def _section(texts: Texts) -> DuplicationSection:
    names = [f"{number:02}.txt" for number in range(len(texts))]
    return conclude({n: examine(_read(t, n)) for n, t in zip(names, texts, strict=True)})


def _letters(text: str) -> list[str]:
    return list(text)


PASSAGE = _letters("abcdefghij")


def test_a_passage_in_two_files_is_found() -> None:
    """It is told with its length, its first line, and where it stands."""
    section = _section([["x", *PASSAGE, "y"], [*PASSAGE, "z"]])
    assert section.passages == (
        Passage("a", 10, 2, (Spot("00.txt", 2, 11), Spot("01.txt", 1, 10))),
    )
    assert (section.lines, section.duplicated) == (23, 20)


def test_what_is_shorter_than_a_window_is_no_passage() -> None:
    """Seven lines alike are chance."""
    section = _section([PASSAGE[: WINDOW - 1], PASSAGE[: WINDOW - 1]])
    assert (section.passages, section.duplicated) == ((), 0)


def test_indentation_blank_lines_and_comments_do_not_hide_a_passage() -> None:
    """In Python, comments do not count; line numbers are those of the file."""
    plain = [f"x{n} = {n}" for n in range(9)]
    spread = ["if True:", "", *(f"    {line}\n\n    # why" for line in plain)]
    texts = {"a.py": plain, "b.py": spread}
    section = conclude({name: examine(_read(text, name)) for name, text in texts.items()})
    (passage,) = section.passages
    assert (passage.lines, passage.spots[0]) == (9, Spot("a.py", 1, 9))
    assert passage.spots[1] == Spot("b.py", 3, 27)


def test_a_hash_sign_in_prose_is_text() -> None:
    """A Markdown heading is no comment."""
    assert examine(_read(["# Title"], "a.md")).lines == (1,)
    assert examine(_read(["# Title"], "a.py")).lines == ()


def test_a_longer_passage_in_fewer_places_is_told_beside_a_shorter_one_in_more() -> None:
    """Both are passages: one is longer, one has more copies; the one that saves more lines comes first."""
    short = PASSAGE[:8]
    section = _section([[*PASSAGE, "u"], [*PASSAGE, "v"], ["w", *short, "x"], ["y", *short, "z"]])
    assert [(p.lines, p.copies) for p in section.passages] == [(8, 4)]
    assert section.duplicated == 10 + 10 + 8 + 8


def test_only_the_weightiest_of_those_that_stand_first_in_a_file_is_listed() -> None:
    """Two families that begin in the same file do not crowd out the others."""
    other = _letters("klmnopqrst")
    third = _letters("KLMNOPQRST")
    section = _section([[*PASSAGE, "1", *other], PASSAGE, [*other, *PASSAGE], [*third], [*third]])
    assert [passage.spots[0].file for passage in section.passages] == ["00.txt", "03.txt"]


def test_lines_that_repeat_themselves_are_counted_once() -> None:
    """Windows that overlap in one file cover each line once."""
    section = _section([["a"] * 20])
    assert (section.lines, section.duplicated) == (20, 20)


# Blocks make long repeats likely, single letters break them off.
_blocks = st.sampled_from([PASSAGE, PASSAGE[:8], PASSAGE[2:], ["a"] * 9, ["x"], ["y"], ["a", "b"]])
_texts = st.lists(
    st.lists(_blocks, max_size=4).map(lambda blocks: [line for b in blocks for line in b]),
    max_size=4,
)


def _windows(texts: Texts) -> dict[tuple[str, ...], list[tuple[int, int]]]:
    places: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for number, text in enumerate(texts):
        for at in range(len(text) - WINDOW + 1):
            places.setdefault(tuple(text[at : at + WINDOW]), []).append((number, at))
    return {window: found for window, found in places.items() if len(found) > 1}


@given(_texts)
def test_duplicated_lines_are_those_in_a_window_that_repeats(texts: Texts) -> None:
    """Counting line by line comes to the same number."""
    covered = {
        (number, at + offset)
        for found in _windows(texts).values()
        for number, at in found
        for offset in range(WINDOW)
    }
    assert _section(texts).duplicated == len(covered)


@given(_texts)
def test_every_listed_passage_stands_at_all_its_spots(texts: Texts) -> None:
    """The lines are the same at every spot, there are as many copies as told, and it cannot be made longer."""
    for passage in _section(texts).passages:
        copies = {_text_at(texts, spot) for spot in passage.spots}
        assert len(copies) == 1
        (lines,) = copies
        assert len(lines) == passage.lines >= WINDOW
        assert lines[0] == passage.opening
        assert _count(texts, lines[:WINDOW]) == passage.copies > 1
        if len(passage.spots) == passage.copies:
            assert _neighbours_differ(texts, passage, before=True)
            assert _neighbours_differ(texts, passage, before=False)


def _text_at(texts: Texts, spot: Spot) -> tuple[str, ...]:
    return tuple(texts[int(spot.file[:2])][spot.first - 1 : spot.last])


def _count(texts: Texts, lines: tuple[str, ...]) -> int:
    n = len(lines)
    return sum(tuple(text[i : i + n]) == lines for text in texts for i in range(len(text) - n + 1))


def _neighbours_differ(texts: Texts, passage: Passage, *, before: bool) -> bool:
    """Whether one more line at this end would not be the same text with the same places."""
    neighbours: Counter[str | None] = Counter()
    for spot in passage.spots:
        text = texts[int(spot.file[:2])]
        at = spot.first - 2 if before else spot.last
        neighbours[text[at] if 0 <= at < len(text) else None] += 1
    if len(neighbours) > 1 or None in neighbours:
        return True
    lines = _text_at(texts, passage.spots[0])
    (line,) = neighbours
    assert line is not None
    window = (line, *lines[: WINDOW - 1]) if before else (*lines[-(WINDOW - 1) :], line)
    return _count(texts, window) != passage.copies


@given(st.lists(st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=6), max_size=4))
def test_repeated_shingles_are_found_with_all_their_places(files: list[list[bytes]]) -> None:
    """Every shingle with several places is there with all of them in order, and no other."""
    everywhere: dict[bytes, list[tuple[int, int]]] = {}
    for number, shingles in enumerate(files):
        for position, shingle in enumerate(shingles):
            everywhere.setdefault(shingle, []).append((number, position))
    expected = {s: tuple(places) for s, places in everywhere.items() if len(places) > 1}
    assert repeated(tuple(tuple(shingles) for shingles in files)) == expected
