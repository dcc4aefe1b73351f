"""A run that is up, for the commands that look into one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.runs import Up, up


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Up]:
    """Two nodes, ``a`` and ``b``, with a supervised ``/shop/till`` on each, and ``/only`` on ``a``."""
    tmp_path.chmod(0o700)
    with up(tmp_path, "shop.py", "--nodes", "2") as run:
        run.wait_for(r"\| open for business", times=2)
        yield run
