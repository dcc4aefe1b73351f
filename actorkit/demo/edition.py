"""One edition of the report: both texts, and how they get onto the disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import attrs

from actorkit.demo.corpus import REPORT_FILES
from actorkit.demo.markdown import as_markdown
from actorkit.demo.page import as_page
from actorkit.demo.study import Study


@attrs.frozen
class Edition:
    """The report as Markdown and as HTML; two studies with the same result make equal editions."""

    markdown: str = attrs.field(repr=False)
    html: str = attrs.field(repr=False)

    @property
    def digest(self) -> str:
        """A short name for exactly this content."""
        return hashlib.sha256(f"{self.markdown}\0{self.html}".encode()).hexdigest()[:12]


def compose(study: Study) -> Edition:
    """Write the report."""
    return Edition(as_markdown(study), as_page(study))


def publish(edition: Edition, directory: Path) -> None:
    """Put an edition in the place of the one before it; a reader finds the old one or the new one, never half of one."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in zip(REPORT_FILES, (edition.markdown, edition.html), strict=True):
        draft = directory / f".{name}.draft"
        draft.write_text(text, "utf-8")
        draft.replace(directory / name)


def published(directory: Path) -> Edition | None:
    """The edition that lies in a directory; None if there is none."""
    try:
        texts = [(directory / name).read_text("utf-8") for name in REPORT_FILES]
    except (OSError, UnicodeDecodeError):
        return None
    return Edition(*texts)


def check_directory(directory: Path) -> None:
    """Make sure reports can be written here, before any work is done.

    Raises:
        OSError: they cannot.
    """
    directory.mkdir(parents=True, exist_ok=True)
    probe = directory / ".report.probe"
    probe.write_text("", "utf-8")
    probe.unlink()
