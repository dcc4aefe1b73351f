"""Tests that every implementation of a seam must pass; a few lines make them yours.

    class TestMyDisk(DiskConformance):
        def open_disk(self, place):
            return MyDisk(place)

pytest collects the class with all its tests. They need pytest, and pytest-trio where they are async; Hypothesis is loaded only
by the tests that search.
"""

from __future__ import annotations

import pytest

# So that a failed assertion in here shows its values, as one in a test module does.
pytest.register_assert_rewrite(
    "actorkit.testing.conformance.disk",
    "actorkit.testing.conformance.disk_faults",
    "actorkit.testing.conformance.disk_machine",
    "actorkit.testing.conformance.transport",
)
