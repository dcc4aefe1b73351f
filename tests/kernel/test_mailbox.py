"""Admission to a mailbox, as a function of its size."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.kernel.mailbox import Admission, admission, next_threshold

sizes = st.integers(1, 50)
mailboxes = st.builds(
    ak.Mailbox, sizes, st.sampled_from(["reject", "drop_oldest", "drop_newest"]), sizes
)


@given(mailboxes, st.integers(0, 60))
def test_admission_is_decided_by_capacity_and_policy(mailbox: ak.Mailbox, waiting: int) -> None:
    """Below capacity everything is accepted; from there on the policy says what happens."""
    expected = (
        Admission.ACCEPT if waiting < mailbox.capacity else Admission[mailbox.overflow.upper()]
    )
    assert admission(mailbox, waiting) is expected


@given(mailboxes, st.integers(0, 60), st.booleans())
def test_below_the_threshold_nothing_needs_deciding(
    mailbox: ak.Mailbox, waiting: int, high: bool
) -> None:
    """The threshold is where either a message is turned away or, once, the high-water mark is noted."""
    needs_deciding = waiting >= mailbox.capacity or (not high and waiting >= mailbox.high_water)
    assert (waiting >= next_threshold(mailbox, high)) == needs_deciding


@pytest.mark.parametrize("size", [0, -1, True, 1.0, "10", None])
@pytest.mark.parametrize("field", ["capacity", "high_water"])
def test_a_size_is_a_positive_int(field: str, size: Any) -> None:
    """A wrong size is refused with the field and the value."""
    with pytest.raises(
        ValueError, match=rf"{field} is a number of messages from 1 up, got {size!r}"
    ):
        ak.Mailbox(**{field: size})


@pytest.mark.parametrize("policy", ["", "drop", "REJECT", None, 3])
def test_a_policy_is_one_of_three(policy: Any) -> None:
    """A wrong policy is refused with the three that exist."""
    with pytest.raises(ValueError, match="one of reject, drop_oldest, drop_newest, got"):
        ak.Mailbox(overflow=policy)
