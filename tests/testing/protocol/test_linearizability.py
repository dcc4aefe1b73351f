"""Laws of the verdict on a history: what outcomes mean, what keys are for, and where it says that orders end."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from actorkit.testing.protocol.history import (
    Answer,
    Failed,
    History,
    Ok,
    Operation,
    Outcome,
    Refused,
    Unknown,
)
from actorkit.testing.protocol.linearizability import (
    NotLinearizable,
    Undecided,
    linearizable,
)
from tests.testing.protocol.models import (
    NOTHING,
    Add,
    Empty,
    Get,
    Give,
    Put,
    Take,
    counter,
    drawing,
    pile,
    register,
    serving_registers,
)
from tests.testing.protocol.simulated import simulate

# What the outcomes mean --------------------------------------------------------------------------


def recorded(*events: tuple[str, Any] | tuple[str, Any, Outcome]) -> History:
    """A history written as ("client", request) for a call and ("client", request, outcome) for a whole operation."""
    history = History()
    for client, request, *outcome in events:
        token = history.begin(client, request)
        match outcome:
            case [Ok(value)]:
                history.complete(token, value)
            case [Failed(why)]:
                history.fail(token, why)
            case [Unknown(why)]:
                history.lose(token, why)
            case _:
                pass
    return history


def test_what_is_unknown_may_take_effect_at_any_time_after_its_call() -> None:
    """A lost write may be read at once, much later, or never; but not before it was called."""
    lost = ("a", Put(1), Unknown())
    zero, one = ("b", Get(), Ok(0)), ("b", Get(), Ok(1))
    for rest in ((one,), (zero, zero, one), (zero, zero)):
        assert linearizable(recorded(lost, *rest), register, 0)
    assert not linearizable(recorded(one, lost), register, 0)
    assert not linearizable(recorded(lost, one, zero), register, 0)


def test_what_never_returned_is_unknown() -> None:
    """A call whose end was not recorded may have happened, and need not have."""
    begun = ("a", Put(1))
    assert linearizable(recorded(begun, ("b", Get(), Ok(1))), register, 0)
    assert linearizable(recorded(begun, ("b", Get(), Ok(0))), register, 0)


def test_what_failed_did_not_happen() -> None:
    """A failed write may not be read, and what the model would say to it does not matter."""
    failed = ("a", Put(1), Failed("mailbox full"))
    assert linearizable(recorded(failed, ("b", Get(), Ok(0))), register, 0)
    assert not linearizable(recorded(failed, ("b", Get(), Ok(1))), register, 0)


def test_a_refusal_tells_something_about_the_state() -> None:
    """The model judges refusals as it does replies: here only an empty pile may refuse."""
    refusal = Operation("b", Take(), 4, 5, Refused(Empty()))
    given = Operation("a", Give(1), 0, 1, Ok(None))
    assert not linearizable((given, refusal), pile, NOTHING)
    assert linearizable((given, Operation("a", Take(), 2, 3, Ok(1)), refusal), pile, NOTHING)


def test_equal_moments_are_concurrent() -> None:
    """Histories with times instead of moments are not accused for two events that have the same time."""
    read = Operation("b", Get(), 1, 2, Ok(0))
    assert linearizable((Operation("a", Put(1), 0, 1, Ok(None)), read), register, 0)
    assert not linearizable((Operation("a", Put(1), -1, 0, Ok(None)), read), register, 0)


def test_an_empty_history_is_linearizable() -> None:
    """Nothing, and nothing but unknown outcomes, needs no explanation."""
    assert linearizable((), register, 0)
    assert linearizable(recorded(("a", Put(1)), ("b", Get())), register, 0)


# Keys --------------------------------------------------------------------------------------------


def registers(state: frozenset[tuple[str, int]], request: Any, answer: Answer | None) -> Any:
    """Several registers as one model."""
    held = dict(state)
    allowed, held[request.key] = register(held.get(request.key, 0), request, answer)
    return allowed, frozenset(held.items())


def test_keys_judge_as_the_whole_would_be_judged() -> None:
    """Where the model splits by key, judging each key by itself gives the verdict of the whole."""
    verdicts: list[bool] = []
    for seed in range(300):
        rng = Random(seed)
        serve = serving_registers(rng, stale=0.4)
        draw = drawing("xyz", 3)
        history = simulate(rng, clients=3, operations=12, draw=draw, serve=serve, lost=0.05)
        split = linearizable(history, register, 0, key=lambda request: request.key)
        assert bool(split) is bool(linearizable(history, registers, frozenset()))
        verdicts.append(bool(split))
    assert 30 < sum(verdicts) < 270, "the histories should be neither all right nor all wrong"


def test_a_verdict_names_the_key() -> None:
    """What is wrong with one of many keys is told of that key alone."""
    history = recorded(*(("a", Put(1, key), Ok(None)) for key in "xyz"), ("b", Get("y"), Ok(0)))
    verdict = linearizable(history, register, 0, key=lambda request: request.key)
    assert isinstance(verdict, NotLinearizable)
    assert verdict.key == "y"
    assert [op.request for op in verdict.prefix] == [Put(1, "y")]


# Reports -----------------------------------------------------------------------------------------


def test_the_report_shows_where_all_orders_end() -> None:
    """The report names who cannot be placed, the state there, and draws who overlapped whom."""
    history = History()
    put = history.begin("ann", Put(1))
    get = history.begin("bob", Get())
    history.complete(get, 1)
    history.complete(put)
    again = history.begin("bob", Get())
    other = history.begin("ann", Put(2))
    history.complete(again, 0)
    history.complete(other)
    verdict = linearizable(history, register, 0)
    assert str(verdict) == (
        "not linearizable: no order explains this operation, after 3 that can be ordered.\n"
        "The state is then 2 or 1, which does not allow bob: Get(key='x') -> 0\n"
        "\n"
        "  1  ann  ├─────┤            Put(value=1, key='x') -> None\n"
        "  2  bob    ├─┤              Get(key='x') -> 1\n"
        "  3  ann            ├───┤    Put(value=2, key='x') -> None\n"
        "  ✗  bob          ├───┤      Get(key='x') -> 0"
    )
    with pytest.raises(AssertionError, match="no order explains this operation"):
        verdict.require()


def test_two_that_exclude_each_other_are_both_shown() -> None:
    """Of two replies of which each can be right, but not both, neither is shown as if it were in order."""
    history = (
        Operation("a", Add(1), 0, 2, Ok(1)),
        Operation("b", Add(1), 1, 3, Ok(1)),
        Operation("c", Add(5), 4, None, Unknown("timed out")),
    )
    verdict = linearizable(history, counter, 0)
    assert isinstance(verdict, NotLinearizable)
    assert str(verdict).splitlines()[0] == (
        "not linearizable: no order explains this operation, after 1 that can be ordered."
    )
    assert verdict.culprit is history[1]
    assert verdict.states == (1,)


def test_only_states_at_the_very_end_are_told() -> None:
    """States in which a shorter order ended say nothing about the culprit."""
    history = (
        Operation("a", Put(1), 0, 2, Ok(None)),
        Operation(
            "b", Put(2), 1, 3, Ok(None)
        ),  # last in the first order tried, which the next rules out
        Operation("c", Get(), 4, 5, Ok(1)),
        Operation("c", Get(), 6, 7, Ok(9)),
    )
    verdict = linearizable(history, register, 0)
    assert isinstance(verdict, NotLinearizable)
    assert verdict.states == (1,)
    assert [op.request for op in verdict.prefix] == [Put(2), Put(1), Get()]


def test_a_long_story_is_cut() -> None:
    """Of what can be ordered only the last few are drawn, numbered as they stand; of states, the first few."""
    history = recorded(
        *(("a", Add(1), Ok(n + 1)) for n in range(40)),
        *((f"lost {n}", Add(10**n), Unknown()) for n in range(4)),
        ("b", Add(0), Ok(39)),
    )
    text = str(linearizable(history, counter, 0))
    assert "after 40 that can be ordered" in text
    assert "others, which does not allow b: Add(amount=0) -> 39" in text
    assert [line.split()[0] for line in text.splitlines()[3:]] == [
        "36",
        "37",
        "38",
        "39",
        "40",
        "✗",
    ]


def test_a_linearizable_history_requires_nothing() -> None:
    """``require`` is silent where there is an order, and the text tells how much was judged."""
    verdict = linearizable(recorded(("a", Put(1), Ok(None)), ("b", Get(), Ok(1))), register, 0)
    verdict.require()
    assert str(verdict) == "linearizable: 2 operations in order after 2 steps"


# Limits ------------------------------------------------------------------------------------------


def test_a_search_that_ends_without_a_verdict_says_so() -> None:
    """Past the budget nothing is decided: that is no pass, and the text says what to change."""
    history = [Operation(f"c{n}", Put(n), n, 100 + n, Ok(None)) for n in range(20)]
    wrong = Operation("reader", Get(), 200, 201, Ok(99))
    verdict = linearizable([*history, wrong], register, 0, budget=10_000)
    assert isinstance(verdict, Undecided)
    assert not verdict
    assert verdict.parts == {None: 21}
    with pytest.raises(AssertionError, match=r"after 10,000 steps .*key=.*budget="):
        verdict.require()


def test_a_wrong_key_is_found_though_another_is_undecided() -> None:
    """A key that takes too long does not hide that another one is wrong."""
    hard = [Operation(f"c{n}", Put(n, "hard"), n, 100 + n, Ok(None)) for n in range(20)]
    hard.append(Operation("reader", Get("hard"), 200, 201, Ok(99)))
    easy = [Operation("a", Put(1, "easy"), n, n + 1, Ok(None)) for n in range(0, 100, 2)]
    easy.append(Operation("reader", Get("easy"), 300, 301, Ok(0)))
    judged = linearizable(
        [*hard, *easy], register, 0, key=lambda request: request.key, budget=5_000
    )
    assert isinstance(judged, NotLinearizable)
    assert judged.key == "easy"


def test_messages_that_cannot_be_hashed_are_judged_all_the_same() -> None:
    """Only states have to be hashable, not requests or replies."""

    def listing(
        state: tuple[int, ...], request: Any, answer: Answer | None
    ) -> tuple[bool, tuple[int, ...]]:
        return answer in (None, Ok(list(state))), (*state, *request)

    good = recorded(("a", [1], Ok([])), ("b", [2, 3], Ok([1])), ("a", [], Ok([1, 2, 3])))
    assert linearizable(good, listing, NOTHING)
    assert not linearizable(recorded(("a", [1], Ok([])), ("b", [], Ok([2]))), listing, NOTHING)


# Misuse ------------------------------------------------------------------------------------------


def test_a_state_that_is_no_value_is_refused() -> None:
    """States that cannot be hashed, or are compared by identity, are named together with the remedy."""

    class Model:
        """A state that would be changed in place."""

    history = recorded(("a", Add(1), Ok(1)))
    with pytest.raises(TypeError, match=r"state \[\] is not hashable; make states of tuples"):
        linearizable(history, lambda state, _, __: (True, state), [])  # type: ignore[type-var]
    with pytest.raises(TypeError, match="is not hashable") as raised:
        linearizable(history, lambda _, __, ___: (True, {}), ())  # type: ignore[arg-type, return-value]
    assert "while the model judged a: Add(amount=1) -> 1 in the state ()" in raised.value.__notes__
    with pytest.raises(TypeError, match=r"compared by identity.*a frozen attrs class"):
        linearizable(history, lambda state, _, __: (True, state), Model())


def test_a_key_that_cannot_be_hashed_is_refused() -> None:
    """The error names the key and the request."""
    with pytest.raises(TypeError, match=r"key= gave \[1\] for Add\(amount=1\)"):
        linearizable(recorded(("a", Add(1), Ok(1))), counter, 0, key=lambda r: [r.amount])  # type: ignore[arg-type, return-value]


def test_an_error_in_the_model_tells_where() -> None:
    """What a model raises passes through, with a note that names operation and state."""
    with pytest.raises(TypeError) as raised:
        linearizable(recorded(("a", Take(), Ok(1))), register, 7)
    assert raised.value.__notes__ == ["while the model judged a: Take() -> 1 in the state 7"]
