"""Which files are found, in which order, and what is said when there are none."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest

from actorkit.demo.corpus import (
    Corpus,
    CorpusError,
    Search,
    changed_since,
    find_files,
    look,
    open_corpus,
    stamps,
    standard_library,
)


def _write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n", "utf-8")


def _found(corpus: Corpus) -> tuple[str, ...]:
    return find_files(corpus).found


def test_files_come_by_name_a_directorys_own_first(tmp_path: Path) -> None:
    """The order is the same whatever the order in which the files were made."""
    _write(tmp_path, "z.py", "b/y.md", "a/c/x.txt", "a/w.rst", "m.py")
    assert _found(open_corpus(tmp_path)) == ("m.py", "z.py", "a/w.rst", "a/c/x.txt", "b/y.md")


def test_what_is_not_text_is_passed_by(tmp_path: Path) -> None:
    """Other suffixes, hidden things, caches, installed packages and virtual environments are not studied."""
    _write(
        tmp_path,
        "a.py",
        "b.pyc",
        "c.so",
        ".d.py",
        ".git/e.py",
        "__pycache__/f.py",
        "lib/site-packages/g.py",
        "env/pyvenv.cfg",
        "env/h.py",
    )
    assert _found(open_corpus(tmp_path)) == ("a.py",)


def test_links_to_directories_are_not_followed(tmp_path: Path) -> None:
    """A link that leads back up does not make the search endless; one to nowhere, or no regular file, is no text."""
    _write(tmp_path, "a/b.py")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "gone.py").symlink_to(tmp_path / "nowhere.py")
    os.mkfifo(tmp_path / "pipe.py")
    assert _found(open_corpus(tmp_path)) == ("a/b.py",)


def test_a_search_in_slices_finds_what_a_whole_one_does(tmp_path: Path) -> None:
    """Looking into one directory at a time comes to the same, and takes one slice for each."""
    _write(tmp_path, "a.py", "b/c.py", "b/d/e.py", "f/g.py")
    corpus = open_corpus(tmp_path)
    search, slices = Search(), 0
    while not search.over:
        search, slices = look(corpus, search), slices + 1
    assert search == find_files(corpus)
    assert slices == 4


def test_too_many_files_are_cut_off_and_said_to_be(tmp_path: Path) -> None:
    """The first files in order are studied, and the search says that there were more."""
    _write(tmp_path, "a.py", "b.py", "c/d.py")
    corpus = attrs.evolve(open_corpus(tmp_path), max_files=2)
    assert find_files(corpus) == Search((), ("a.py", "b.py"), more=True)
    assert not find_files(attrs.evolve(corpus, max_files=3)).more


def test_a_single_file_is_a_corpus(tmp_path: Path) -> None:
    """A path to a file means that file alone."""
    _write(tmp_path, "a.py", "b.py")
    assert _found(open_corpus(tmp_path / "b.py")) == ("b.py",)


def test_earlier_reports_are_not_studied(tmp_path: Path) -> None:
    """The report of an earlier run is no part of the text, even if it lies in it; other files of that name are."""
    _write(tmp_path, "a.py", "out/report.md", "out/notes.md", "report.md")
    assert _found(open_corpus(tmp_path, tmp_path / "out")) == ("a.py", "report.md", "out/notes.md")


def test_files_whose_names_are_no_text_are_told_of(tmp_path: Path) -> None:
    """A name that is not UTF-8 could not be told to another node: such files are skipped, and it is said why."""
    name = b"caf\xe9.py".decode("utf-8", "surrogateescape")
    _write(tmp_path, "a.py", name, f"{name[:-3]}/b.py")
    search = find_files(open_corpus(tmp_path))
    assert search.found == ("a.py",)
    assert {closed.name for closed in search.closed} == {name, f"{name[:-3]}/b.py"}
    assert {closed.why for closed in search.closed} == {"its name is no Unicode text"}
    with pytest.raises(CorpusError, match="no Unicode text; rename"):
        open_corpus(tmp_path / name)


def test_the_standard_library_is_found_without_its_tests() -> None:
    """The default corpus holds well-known modules and no test suites."""
    found = _found(standard_library())
    assert {"ast.py", "json/decoder.py"} <= set(found)
    assert not [name for name in found if "test" in name.split("/")[:-1]]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "No such file or directory"),
        (os.mkfifo, "neither a directory nor a regular file"),
        (Path.mkdir, "holds no text"),
        (lambda path: path.write_text("x"), "files are read"),
    ],
    ids=["missing", "a pipe", "an empty directory", "of another kind"],
)
def test_what_cannot_be_studied_is_said_in_one_line(
    tmp_path: Path, make: object, said: str
) -> None:
    """Every path without text is an error that names it."""
    path = tmp_path / "thing.dat"
    assert callable(make)
    make(path)
    with pytest.raises(CorpusError) as caught:
        open_corpus(path)
    text = str(caught.value)
    assert str(path) in text
    assert said in text
    assert "\n" not in text


def test_an_impossible_path_is_an_error_too() -> None:
    """A path that the system refuses to look at is no crash."""
    with pytest.raises(CorpusError):
        open_corpus(Path("x" * 5000))
    with pytest.raises(CorpusError):
        open_corpus(Path("nul\0byte"))


def test_a_directory_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    """A search goes on past a directory that is gone when it gets there, and tells of it."""
    _write(tmp_path, "b.py")
    search = Search(pending=("", "gone"))
    corpus = open_corpus(tmp_path)
    while not search.over:
        search = look(corpus, search)
    assert search.found == ("b.py",)
    assert [(closed.name, closed.why) for closed in search.closed] == [
        ("gone", "No such file or directory")
    ]


def test_changes_are_seen(tmp_path: Path) -> None:
    """A file that was changed, made or removed between two looks is told, one that was not is not."""
    _write(tmp_path, "changed.py", "same.py", "removed.py")
    corpus = open_corpus(tmp_path)
    before = stamps(corpus)
    assert changed_since(before, stamps(corpus)) == ()
    (tmp_path / "changed.py").write_text("x = 22\n", "utf-8")
    (tmp_path / "removed.py").unlink()
    _write(tmp_path, "made.py")
    assert changed_since(before, stamps(corpus)) == ("changed.py", "made.py", "removed.py")
