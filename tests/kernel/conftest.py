"""Every test of the kernel runs in virtual time, in a system whose books must balance at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import actorkit as ak
from tests.harness import in_virtual_time, open_checked_system


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of this package run in virtual time."""
    in_virtual_time(items, Path(__file__).parent)


@pytest.fixture
async def system() -> AsyncIterator[ak.System]:
    """A system in virtual time; at the end nothing is lost and nothing is left."""
    async with open_checked_system() as opened:
        yield opened
