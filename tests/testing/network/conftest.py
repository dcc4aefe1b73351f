"""Every test of the network in memory runs in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import in_virtual_time


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of this package run in virtual time."""
    in_virtual_time(items, Path(__file__).parent)
