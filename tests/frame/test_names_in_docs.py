"""A map needs a test: what the documents point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]


def _test_names() -> set[str]:
    files = (ROOT / "tests").rglob("*.py")
    return {n for file in files for n in re.findall(r"def (test_\w+)", file.read_text("utf-8"))}


def _is_there(path: str) -> bool:
    return any((base / path).exists() for base in (ROOT, ROOT / "actorkit", ROOT / "tests"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_named_in_a_page_exist(page: Path) -> None:
    """Every test a page names as holding a promise exists."""
    named = set(re.findall(r"`(test_\w+)`", page.read_text("utf-8")))
    assert named - _test_names() == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_in_a_page_exist(page: Path) -> None:
    """Every source file, with its folder, that a page names exists."""
    named = set(re.findall(r"`([a-z_]+(?:/[a-z0-9_]+)+\.py)`", page.read_text("utf-8")))
    assert {path for path in named if not _is_there(path)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    """Every relative link leads to a file of the project."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)[^)\s]*\)", prose)
    inside = [link for link in links if not link.startswith(("http:", "https:", "mailto:"))]
    assert [link for link in inside if not (page.parent / link).exists()] == []
