"""What a test case fails with."""

from __future__ import annotations

import unittest

import pytest


def failure_of(case: type[unittest.TestCase]) -> BaseException:
    """Run a test case that must fail, and return what it fails with."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - it is the test's to judge
        case("runTest").debug()
    assert not isinstance(caught.value, pytest.fail.Exception)
    return caught.value


def program_of(error: BaseException) -> list[str]:
    """The calls of the failing program that Hypothesis prints."""
    text = "\n".join(getattr(error, "__notes__", ()))
    return [line.strip() for line in text.splitlines() if line.strip().startswith("state.")]
