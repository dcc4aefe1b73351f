"""The report: what it says, that nothing in a file can break out of it, and how it gets onto the disk."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.demo.corpus import open_corpus
from actorkit.demo.edition import Edition, check_directory, compose, publish, published
from actorkit.demo.plots import Bar, columns, rows
from actorkit.demo.study import Study, study
from actorkit.demo.wording import code, counted, in_markdown, shortened
from actorkit.observe.text import printable

_HOSTILE = "<script>\"'&|`*_[x](y)\x1b[31m\n\u202e"
_VOID = {"meta", "br"}


class _Balance(HTMLParser):
    """Notes tags that are not closed in order, and every tag and address it sees."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in {"href", "src"}]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _check_page(page: str) -> _Balance:
    balance = _Balance()
    balance.feed(page)
    balance.close()
    assert balance.open == []
    return balance


def _study(tmp_path: Path, files: dict[str, bytes]) -> Study:
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return study(open_corpus(tmp_path))


_SOME = {
    "p/a.py": b'"""Doc."""\nimport os\ndef f(x):\n    if x: return 1\n' + b"y = 1\nz = 2\n" * 6,
    "p/b.py": b"import os, sys\nclass C: pass\n" + b"y = 1\nz = 2\n" * 6,
    "broken.py": b"def f(:\n",
    "notes.md": b"# Notes\n\nSome words here.\n",
}


def test_the_report_says_what_was_found(tmp_path: Path) -> None:
    """Totals, tables, plots and what was skipped are in both texts."""
    found = _study(tmp_path, _SOME)
    edition = compose(found)
    assert "4 files found, 1 skipped; read: 2 Python files and 1 prose file" in edition.markdown
    assert "| `broken.py` | line 1: invalid syntax |" in edition.markdown
    assert "| `f` | `p/a.py:3` | 2 | 2 |" in edition.markdown
    assert "1 of 4 public things (25%) have a docstring" in edition.html
    assert edition.html.count("<svg") == 3
    assert "broken.py" in edition.html


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    """No scripts, no addresses; it is well formed, and has colours for light and for dark."""
    page = compose(_study(tmp_path, _SOME)).html
    balance = _check_page(page)
    assert balance.addresses == []
    assert "script" not in balance.tags
    assert "http" not in page
    assert "prefers-color-scheme: dark" in page


def test_names_cannot_break_out_of_the_report(tmp_path: Path) -> None:
    """Files and modules with markup, control codes and newlines in their names are shown, not obeyed."""
    name = _HOSTILE.replace("/", "")
    found = _study(
        tmp_path,
        {f"{name}.py": b"import \xc3\xa4\ndef f(): pass\n", f"{name}2.py": b"(", "b|`.md": b"x"},
    )
    edition = compose(found)
    balance = _check_page(edition.html)
    assert "script" not in balance.tags
    for text in (edition.html, edition.markdown):
        assert "\x1b" not in text
        assert "\u202e" not in text
    widths = {
        line.count("|") - line.count("\\|") for line in _table_of(edition.markdown, "Skipped")
    }
    assert widths == {3}


def _table_of(markdown: str, heading: str) -> list[str]:
    section = markdown.partition(f"## {heading}")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")]


def test_a_name_that_is_no_text_is_shown(tmp_path: Path) -> None:
    """A file name that cannot be decoded is escaped, and the report can be written."""
    name = b"caf\xe9.py".decode("utf-8", "surrogateescape")
    edition = compose(_study(tmp_path, {name: b"(", "a.py": b"x = 1\n"}))
    assert "\\udce9" in edition.markdown
    publish(edition, tmp_path / "out")
    assert published(tmp_path / "out") == edition


def test_a_study_of_nothing_readable_is_still_a_report(tmp_path: Path) -> None:
    """If every file was skipped, the report says so and has no plots."""
    edition = compose(_study(tmp_path, {"a.py": b"("}))
    assert "read: no file" in edition.markdown
    assert "<svg" not in edition.html
    _check_page(edition.html)


def test_equal_studies_make_equal_editions(tmp_path: Path) -> None:
    """Nothing in a report depends on when or where it was made, and any difference shows in its digest."""
    first, second = (compose(_study(tmp_path, _SOME)) for _ in range(2))
    assert first == second
    assert first.digest == second.digest
    assert Edition(first.markdown + " ", first.html).digest != first.digest


def test_a_new_edition_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """The directory is made, holds the newest edition and nothing else."""
    directory = tmp_path / "deep" / "out"
    assert published(directory) is None
    for text in ("one", "two"):
        publish(Edition(text, text), directory)
        assert published(directory) == Edition(text, text)
    assert sorted(path.name for path in directory.iterdir()) == ["report.html", "report.md"]


def test_a_directory_is_checked_before_it_is_needed(tmp_path: Path) -> None:
    """The check leaves nothing behind, and fails where writing would."""
    check_directory(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        check_directory(tmp_path / "file")


def test_a_histogram_has_a_column_for_each_class() -> None:
    """The highest column fills the room, an empty one has no height, every count stands above its column."""
    svg = columns("Sizes", "size", [("a", 4), ("b", 2), ("<c>", 0)])
    heights = [float(h) for h in re.findall(r'class="bar"[^>]* height="([\d.]+)"', svg)]
    assert heights == [heights[0], heights[0] / 2, 0.0]
    assert heights[0] > 0
    assert "&lt;c&gt;" in svg
    _check_page(svg)


def test_bars_reach_as_far_as_their_share() -> None:
    """Half a share is half as long as a whole one, and the track behind is always whole."""
    svg = rows("Shares", [Bar("a", 1.0, "all"), Bar("b" * 99, 0.5, "half")], track=True)
    whole, half = (float(w) for w in re.findall(r'class="bar"[^>]* width="([\d.]+)"', svg))
    tracks = {float(w) for w in re.findall(r'class="track"[^>]* width="([\d.]+)"', svg)}
    assert (half, tracks) == (whole / 2, {whole})
    assert "b" * 99 not in svg
    _check_page(svg)


def test_nothing_to_plot_is_no_plot() -> None:
    """An empty plot would be a hole in the page."""
    assert columns("Sizes", "size", []) == rows("Shares", [], track=False) == ""


@given(st.text(max_size=60))
def test_printable_text_is_one_line_of_visible_characters(text: str) -> None:
    """Nothing that moves a cursor survives, visible text is left alone, and it can be encoded."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert not text.isprintable() or shown == text


@given(st.text(max_size=60))
def test_a_code_span_cannot_be_left(text: str) -> None:
    """A span holds no backtick, and in a table no bare separator."""
    shown = code(text)
    inside = shown[1:-1] if shown.startswith("`") else shown.replace("\\`", "")
    assert "`" not in inside
    assert "|" not in shown.replace("\\|", "")
    assert "|" not in in_markdown(text).replace("\\|", "")


@given(st.text(max_size=60), st.integers(2, 30))
def test_shortened_text_keeps_its_end(text: str, limit: int) -> None:
    """It is at most as long as allowed, and ends as the text does."""
    cut = shortened(text, limit)
    assert len(cut) <= limit
    assert text.endswith(cut.removeprefix("…") if len(text) > limit else cut)


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 files"), (1, "1 file"), (1204, "1,204 files")]
)
def test_numbers_come_with_their_nouns(number: int, words: str) -> None:
    """One is singular, everything else plural."""
    assert counted(number, "file") == words
