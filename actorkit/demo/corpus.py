"""Which text is studied, and how its files are found: in slices, so that whoever searches can be interrupted.

The order is fixed - directories and files by name, a directory's own files first - so every search of the same
directory finds the same files, and stops at the same one when there are too many.
"""

from __future__ import annotations

import os
import platform
import stat
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import attrs

from actorkit.demo.reading import PROSE, PYTHON, Skipped

MAX_FILES = 2_000
REPORT_FILES = ("report.md", "report.html")
_WHAT_IS_READ = f"only {', '.join(sorted(PYTHON | PROSE))} files are read"
_NAMELESS = "its name is no Unicode text"
_NEVER_ENTERED = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
# Left out of the standard library: what it ships to test itself, which would double the work, and two packages of
# tables that programs have written, which would fill every list of duplicates.
_TEST_SUITES = frozenset({"test", "tests", "idle_test"})
_TABLES = frozenset({"encodings", "pydoc_data"})


class CorpusError(Exception):
    """There is nothing to study, for a reason that is one line of text."""


@attrs.frozen
class Corpus:
    """A body of text.

    Attributes:
        title: what the report calls it.
        root: the directory file names are relative to.
        only: the one file to study; None for all below ``root``.
        not_entered: names of directories that are passed by.
        suffixes: which files count as text.
        not_read: files that are passed by: the reports of earlier runs.
        max_files: how many files are studied at most.
    """

    title: str
    root: Path
    only: str | None = None
    not_entered: frozenset[str] = _NEVER_ENTERED
    suffixes: frozenset[str] = PYTHON | PROSE
    not_read: frozenset[Path] = frozenset()
    max_files: int = MAX_FILES


@attrs.frozen
class Search:
    """How far a search has come.

    Attributes:
        pending: directories still to look into, the next one last.
        found: the files found so far, in the order in which they are studied.
        closed: directories that could not be looked into, and files whose names cannot be told.
        more: whether there were more files than are studied.
    """

    pending: tuple[str, ...] = ("",)
    found: tuple[str, ...] = ()
    closed: tuple[Skipped, ...] = ()
    more: bool = False

    @property
    def over(self) -> bool:
        """Whether there is nowhere left to look."""
        return not self.pending


def standard_library() -> Corpus:
    """The sources of the running Python's standard library, without its test suites and generated tables."""
    version = ".".join(platform.python_version_tuple()[:2])
    return Corpus(
        title=f"the standard library of Python {version}",
        root=Path(sysconfig.get_path("stdlib")),
        not_entered=_NEVER_ENTERED | _TEST_SUITES | _TABLES,
        suffixes=PYTHON,
    )


def open_corpus(path: Path | None, report: Path | None = None) -> Corpus:
    """The text below a directory, or in one file; the standard library if no path is given.

    Args:
        path: a directory or a file.
        report: where reports are written, so that an earlier one is not studied.

    Raises:
        CorpusError: the path is not there, cannot be read, or holds no text.
    """
    corpus = standard_library() if path is None else _corpus_at(path)
    if report is not None:
        own = frozenset((report / name).resolve() for name in REPORT_FILES)
        corpus = attrs.evolve(corpus, not_read=own)
    _require_text(corpus)
    return corpus


def _corpus_at(path: Path) -> Corpus:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise CorpusError(f"cannot study {path}: {getattr(error, 'strerror', error)}") from None
    if stat.S_ISDIR(mode):
        return Corpus(title=str(path), root=path)
    if not stat.S_ISREG(mode):
        raise CorpusError(f"cannot study {path}: it is neither a directory nor a regular file")
    if path.suffix.lower() not in PYTHON | PROSE:
        raise CorpusError(f"cannot study {path}: {_WHAT_IS_READ}")
    if not _is_unicode(path.name):
        raise CorpusError(f"cannot study {path}: {_NAMELESS}; rename the file")
    return Corpus(title=str(path), root=path.parent, only=path.name)


def _require_text(corpus: Corpus) -> None:
    """Look until the first file is found.

    Raises:
        CorpusError: there is none.
    """
    search = Search()
    while not search.over:
        search = look(corpus, search)
        if search.found:
            return
    if any(closed.name == "." for closed in search.closed):
        raise CorpusError(f"cannot study {corpus.root}: {search.closed[0].why}")
    raise CorpusError(f"cannot study {corpus.root}: it holds no text; {_WHAT_IS_READ}")


def look(corpus: Corpus, search: Search) -> Search:
    """Look into the next directory: one slice of a search."""
    if corpus.only is not None:
        return Search((), (corpus.only,))
    *pending, here = search.pending
    try:
        files, below = _inside(corpus, here)
    except OSError as error:
        closed = Skipped(here or ".", error.strerror or type(error).__name__)
        return attrs.evolve(search, pending=tuple(pending), closed=(*search.closed, closed))
    found = (*search.found, *filter(_is_unicode, files))
    nameless = (Skipped(name, _NAMELESS) for name in files if not _is_unicode(name))
    search = attrs.evolve(search, closed=(*search.closed, *nameless))
    if len(found) > corpus.max_files:
        return attrs.evolve(search, pending=(), found=found[: corpus.max_files], more=True)
    return attrs.evolve(search, pending=(*pending, *reversed(below)), found=found)


def _is_unicode(name: str) -> bool:
    """Whether a name can be told to others: bytes that are no UTF-8 stand in it as lone surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def find_files(corpus: Corpus) -> Search:
    """Search to the end, at one go."""
    search = Search()
    while not search.over:
        search = look(corpus, search)
    return search


def stamps(corpus: Corpus) -> dict[str, tuple[int, int]]:
    """The size and the time of the last change of every file: whether it was changed can be told by them later."""
    found: dict[str, tuple[int, int]] = {}
    for name in find_files(corpus).found:
        try:
            status = (corpus.root / name).stat()
        except OSError:
            continue
        found[name] = status.st_size, status.st_mtime_ns
    return found


def changed_since(
    before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]
) -> tuple[str, ...]:
    """The files that came, went or were changed between two looks."""
    return tuple(name for name in sorted({*before, *after}) if before.get(name) != after.get(name))


def _inside(corpus: Corpus, here: str) -> tuple[list[str], list[str]]:
    """The files of one directory that are text, and the directories in it that are entered; hidden ones are neither."""
    with os.scandir(corpus.root / here) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    files = [_below(here, entry) for entry in visible if _is_text(corpus, entry)]
    return files, [_below(here, entry) for entry in visible if _is_entered(corpus, entry)]


def _below(directory: str, entry: os.DirEntry[str]) -> str:
    return f"{directory}/{entry.name}" if directory else entry.name


def _is_text(corpus: Corpus, entry: os.DirEntry[str]) -> bool:
    path = Path(entry.path)
    return (
        path.suffix.lower() in corpus.suffixes
        and entry.is_file()
        and not (path.name in REPORT_FILES and path.resolve() in corpus.not_read)
    )


def _is_entered(corpus: Corpus, entry: os.DirEntry[str]) -> bool:
    """Links to directories are not followed, as they may go in circles; nor are virtual environments."""
    return (
        entry.name not in corpus.not_entered
        and entry.is_dir(follow_symlinks=False)
        and not Path(entry.path, "pyvenv.cfg").exists()
    )
