"""A plan is a value that sorts itself, speaks, and travels as a short word that no typo survives."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.testing.simulation.plan import Delay, FaultAt, Plan

STEPS = st.integers(0, 20_000)
DELAYS = st.lists(
    st.builds(Delay, STEPS, st.integers(1, 50)), max_size=8, unique_by=lambda delay: delay.step
)
FAULTS = st.lists(st.builds(FaultAt, STEPS, st.integers(0, 20), st.integers(0, 2**40)), max_size=8)
PLANS = st.builds(lambda delays, faults: Plan(tuple(delays), tuple(faults)), DELAYS, FAULTS)
TRACES = st.just("") | st.text("0123456789abcdef", min_size=8, max_size=64)


def test_the_empty_plan_is_first_in_first_out() -> None:
    """Nothing is delayed, nothing breaks, and it says so."""
    assert Plan().size == 0
    assert Plan().describe() == "first in, first out; no fault"


def test_a_plan_says_what_happens_in_the_order_in_which_it_happens() -> None:
    """At one step, faults strike before anybody goes on; faults go by name if names are given."""
    plan = Plan((Delay(14, 1), Delay(40, 3)), (FaultAt(40, 1, 7), FaultAt(2, 0)))
    assert (
        plan.describe() == "step 2: fault 0; step 14: skip 1; step 40: fault 1(7); step 40: skip 3"
    )
    assert plan.describe(["kill"]).startswith("step 2: kill; ")
    assert plan.size == 4


@given(DELAYS, FAULTS)
def test_a_plan_sorts_itself(delays: list[Delay], faults: list[FaultAt]) -> None:
    """Plans of the same delays are equal; faults of one step keep their order."""
    plan = Plan(tuple(delays), tuple(faults))
    assert plan == Plan(tuple(reversed(delays)), tuple(faults))
    assert [d.step for d in plan.delays] == sorted(d.step for d in delays)
    for step in {fault.step for fault in faults}:
        there = [f for f in plan.faults if f.step == step]
        assert there == [f for f in faults if f.step == step]


def test_a_step_takes_one_decision() -> None:
    """Two delays at one step are refused, and both are named."""
    with pytest.raises(ValueError, match=r"got both step 3: skip 1 and step 3: skip 2; drop one"):
        Plan((Delay(3, 1), Delay(1, 1), Delay(3, 2)))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Delay(-1, 1), r"Delay\.step is a whole number from 0 up, got -1"),
        (lambda: Delay(0, 0), r"Delay\.skip is a whole number from 1 up, got 0"),
        (
            lambda: Delay(0, 1.5),  # type: ignore[arg-type]
            r"Delay\.skip .* got 1\.5",
        ),
        (lambda: FaultAt(0, True), r"FaultAt\.fault .* got True"),
        (lambda: FaultAt(0, 0, 2**63), r"FaultAt\.arg .* got 9223372036854775808"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(make: object, named: str) -> None:
    """The message names the field and the value."""
    assert callable(make)
    with pytest.raises(ValueError, match=named):
        make()


def test_a_plan_is_made_of_what_was_done() -> None:
    """Choices of the first option are no deviation."""
    made = Plan.of([(0, 0), (1, 2), (2, 0), (5, 1)], [(1, 0, 9)])
    assert made == Plan((Delay(1, 2), Delay(5, 1)), (FaultAt(1, 0, 9),))


@given(PLANS, TRACES)
def test_a_token_carries_the_plan_and_the_head_of_the_trace(plan: Plan, trace: str) -> None:
    """What a token was made of is what it is read as; blanks picked up by a mouse do not matter."""
    token = plan.token(trace=trace)
    assert Plan.from_token(token) == (plan, trace[:8])
    assert Plan.from_token(f" {token}\n") == (plan, trace[:8])


@given(st.lists(STEPS, min_size=3, max_size=3, unique=True), st.integers(0, 2**16))
def test_a_token_is_short(steps: list[int], arg: int) -> None:
    """Three deviations fit into 40 characters, none of which a shell or a URL minds."""
    plan = Plan((Delay(steps[0], 1), Delay(steps[1], 3)), (FaultAt(steps[2], 5, arg),))
    token = plan.token(trace="0123456789abcdef")
    assert len(token) <= 40
    assert token.removeprefix("ak1:").replace("-", "").replace("_", "").isalnum()


def test_tokens_of_this_version_stay_readable() -> None:
    """A token in somebody's bug report says the same for as long as it begins with ak1."""
    plan = Plan((Delay(14, 1), Delay(120, 3)), (FaultAt(40, 2, 7),))
    assert Plan.from_token("ak1:xITzJwTerb7vAg4AagIoAgc") == (plan, "deadbeef")
    assert Plan.from_token("ak1:QdkS_wAA") == (Plan(), "")


@given(PLANS, TRACES, st.data())
def test_no_typo_survives(plan: Plan, trace: str, data: st.DataObject) -> None:
    """Change, lose, double or swap a character: the token is refused, by name and with the remedy."""
    token = plan.token(trace=trace)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCXYZabcxyz0189-_:.= ä").filter(lambda c: c != token[at]))
    swapped = token[:at] + token[at + 1 : at + 2] + token[at] + token[at + 2 :]
    wrong = data.draw(
        st.sampled_from(
            [
                token[:at] + other + token[at + 1 :],
                token[:at] + token[at + 1 :],
                token[: at + 1] + token[at:],
                swapped,
                token[:at],
            ]
        )
    )
    if wrong.strip() == token:
        return
    with pytest.raises(ValueError, match="run the test without it to find a new failure") as told:
        Plan.from_token(wrong)
    assert repr(wrong.strip()) in str(told.value)


@given(st.text())
def test_garbage_is_refused(text: str) -> None:
    """Whatever is pasted, the answer is a ValueError."""
    with pytest.raises(ValueError, match="not a replay token"):
        Plan.from_token(text)


def checked(body: bytes) -> str:
    """A token with a right checksum."""
    head = binascii.crc32(body).to_bytes(4, "big")
    return "ak1:" + urlsafe_b64encode(head + body).decode("ascii").rstrip("=")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",  # how many delays?
        b"\3abc\0",  # three bytes of a trace
        b"\4\1\2",  # four bytes of which two are there
        b"\0\2\1\0",  # two delays of which one is there
        b"\0\2\1\0\0\0",  # two delays at one step
        b"\0\0\1\1",  # a fault without argument
        b"\0\0\1\1\x80",  # a number without an end
        b"\0\0\1\1\x80\0",  # a number longer than it has to be
        b"\0\0\1\1" + b"\xff" * 12 + b"\1",  # a number too large
    ],
)
def test_a_right_checksum_is_not_enough(body: bytes) -> None:
    """Bytes that hold no plan are refused."""
    with pytest.raises(ValueError, match="it does not hold a plan"):
        Plan.from_token(checked(body))


@given(st.binary(max_size=40))
def test_what_is_read_is_what_would_be_written(body: bytes) -> None:
    """No two tokens mean the same, and no bytes do worse than being refused."""
    with suppress(ValueError):
        plan, trace = Plan.from_token(checked(body))
        assert plan.token(trace=trace) == checked(body)


def test_a_token_of_another_version_says_so() -> None:
    """The remedy is the actorkit that wrote it."""
    with pytest.raises(ValueError, match=r"version 2.* reads version 1\. Replay it with the actor"):
        Plan.from_token("ak2:QdkS_wAA")


@pytest.mark.parametrize("trace", ["abc", "DEADBEEF", "not hex at all"])
def test_a_trace_is_named_by_hex_digits(trace: str) -> None:
    """Anything else cannot be packed, and is refused by name."""
    with pytest.raises(ValueError, match=f"hex digits, got '{trace}'"):
        Plan().token(trace=trace)
