"""Laws of the linearizability check: it agrees with trying every order, and says where orders end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

import attrs
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
    Linearizable,
    NotLinearizable,
    Undecided,
    linearizable,
)
from actorkit.testing.protocol.search import Step
from tests.testing.protocol.simulated import simulate

# Models ------------------------------------------------------------------------------------------


@attrs.frozen
class Get:
    """Read a register."""

    key: str = "x"


@attrs.frozen
class Put:
    """Write a register."""

    value: int
    key: str = "x"


@attrs.frozen
class Swap:
    """Write a register if it has this value."""

    old: int
    new: int
    key: str = "x"


def register(state: int, request: Any, answer: Answer | None) -> tuple[bool, int]:
    """One register."""
    match request:
        case Get():
            return answer in (None, Ok(state)), state
        case Put(value):
            return True, value
        case Swap(old, new):
            return answer in (None, Ok(state == old)), new if state == old else state
        case _:
            raise TypeError(request)


@attrs.frozen
class Add:
    """Count; the counter answers with its value then."""

    amount: int


def counter(state: int, request: Add, answer: Answer | None) -> tuple[bool, int]:
    """A counter."""
    after = state + request.amount
    return answer in (None, Ok(after)), after


class Empty(Exception):
    """There is nothing to take."""


@attrs.frozen
class Give:
    """Put something on the pile."""

    item: int


@attrs.frozen
class Take:
    """Take the newest, unless the pile is empty."""


def pile(
    state: tuple[int, ...], request: Any, answer: Answer | None
) -> tuple[bool, tuple[int, ...]]:
    """A stack that refuses to be taken from while it is empty."""
    if isinstance(request, Give):
        return True, (*state, request.item)
    if not state:
        return answer is None or isinstance(answer, Refused), state
    return answer in (None, Ok(state[-1])), state[:-1]


NOTHING: tuple[int, ...] = ()

# Every order -------------------------------------------------------------------------------------


def by_brute_force(
    operations: Sequence[Operation], step: Step[Any], state: Any, optional: Iterable[int] = ()
) -> bool:
    """Try every order. ``optional`` are positions of known operations that need not be placed, as if unknown."""
    free = {n for n, op in enumerate(operations) if isinstance(op.outcome, Unknown)} | set(optional)
    failed = {n for n, op in enumerate(operations) if isinstance(op.outcome, Failed)}
    return _placeable(operations, step, state, frozenset(range(len(operations))) - failed, free)


def _placeable(
    operations: Sequence[Operation],
    step: Step[Any],
    state: Any,
    left: frozenset[int],
    free: set[int],
) -> bool:
    if left <= free:
        return True
    for n in left:
        op = operations[n]
        if any(operations[m].precedes(op) for m in left if m != n):
            continue
        allowed, after = step(state, op.request, op.answer)
        if allowed and _placeable(operations, step, after, left - {n}, free):
            return True
    return False


REQUESTS: dict[str, Callable[[Random], Any]] = {
    "register": lambda rng: rng.choice(
        (Get(), Get(), Put(rng.randrange(3)), Swap(rng.randrange(3), rng.randrange(3)))
    ),
    "counter": lambda rng: Add(rng.randrange(3)),
    "pile": lambda rng: rng.choice((Give(rng.randrange(2)), Take(), Take())),
}
MODELS: dict[str, tuple[Step[Any], Any]] = {
    "register": (register, 0),
    "counter": (counter, 0),
    "pile": (pile, NOTHING),
}


def draw_outcome(rng: Random, request: Any) -> Outcome:
    """Any outcome that this request might have, however wrong."""
    if rng.random() < 0.25:
        return rng.choice(
            (Unknown("timed out"), Unknown("timed out"), Unknown("timed out"), Failed())
        )
    match request:
        case Swap():
            return Ok(rng.random() < 0.5)
        case Get() | Add():
            return Ok(rng.randrange(4))
        case Take():
            return rng.choice((Refused(Empty()), Ok(0), Ok(1)))
        case _:
            return Ok(None)


def draw_history(rng: Random, model: str) -> tuple[Operation, ...]:
    """Up to six operations that overlap at random."""
    count = rng.randrange(1, 7)
    moments = list(range(2 * count))
    if rng.random() < 0.7:  # else nearly everything overlaps
        moments = sorted(moments, key=lambda moment: moment + rng.random() * 4)
    else:
        rng.shuffle(moments)
    operations: list[Operation] = []
    for n in range(count):
        called, returned = sorted(moments[2 * n : 2 * n + 2])
        request = REQUESTS[model](rng)
        outcome = draw_outcome(rng, request)
        end = None if isinstance(outcome, Unknown) else returned
        operations.append(Operation(f"client {n}", request, called, end, outcome))
    return tuple(operations)


def check_against_brute_force(model: str, seed: int) -> bool:
    """Judge one random history both ways; True if it was linearizable."""
    history = draw_history(Random(f"{model} {seed}"), model)
    step, initial = MODELS[model]
    verdict = linearizable(history, step, initial)
    expected = by_brute_force(history, step, initial)
    assert bool(verdict) is expected, f"seed {seed}\n{History(history)}\n{verdict}"
    if isinstance(verdict, Linearizable):
        check_order(history, verdict.orders.get(None, ()), step, initial)
    else:
        assert isinstance(verdict, NotLinearizable)
        check_culprit(history, verdict, step, initial)
    return expected


def check_order(
    history: Sequence[Operation], order: Sequence[Operation], step: Step[Any], initial: Any
) -> None:
    """The order has every known operation and no failed one, keeps to real time, and the model accepts it."""
    assert {op for op in history if op.answer is not None} <= set(order)
    check_accepted(order, step, initial)
    assert not any(isinstance(op.outcome, Failed) for op in order)


def check_accepted(order: Sequence[Operation], step: Step[Any], state: Any) -> None:
    """The model accepts the order, and nobody stands behind one that was called after its return."""
    for place, op in enumerate(order):
        assert not any(op.precedes(earlier) for earlier in order[:place])
        allowed, state = step(state, op.request, op.answer)
        assert allowed


def check_culprit(
    history: Sequence[Operation], verdict: NotLinearizable, step: Step[Any], initial: Any
) -> None:
    """The prefix explains every return before the culprit's, and no order of any kind gets past that."""
    end = verdict.culprit.returned_at
    assert end is not None
    before = {op for op in history if op.returned_at is not None and op.returned_at < end}
    check_accepted(verdict.prefix, step, initial)
    assert {op for op in before if not isinstance(op.outcome, Failed)} <= set(verdict.prefix)
    assert verdict.culprit not in verdict.prefix
    assert verdict.culprit in verdict.unplaced
    later = [n for n, op in enumerate(history) if op not in before and op is not verdict.culprit]
    assert not by_brute_force(history, step, initial, optional=later)


@pytest.mark.parametrize("model", MODELS)
def test_the_check_agrees_with_trying_every_order(model: str) -> None:
    """On random small histories the verdict is brute force's, the order found is one, and the culprit is to blame."""
    verdicts = [check_against_brute_force(model, seed) for seed in range(7_000)]
    assert 700 < sum(verdicts) < 6_300, "the histories should be neither all right nor all wrong"


@pytest.mark.soak
@pytest.mark.parametrize("model", MODELS)
def test_the_check_agrees_with_trying_every_order_for_long(model: str) -> None:
    """As above, on a hundred thousand histories of each model."""
    for seed in range(100_000):
        check_against_brute_force(model, seed)


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


def serving_registers(rng: Random, stale: float) -> Callable[[Any], Any]:
    """A server of registers that serves a read, now and then, from the value before."""
    now: dict[str, int] = {}
    before: dict[str, int] = {}

    def serve(request: Any) -> Any:
        if isinstance(request, Get):
            source = before if rng.random() < stale else now
            return source.get(request.key, 0)
        before[request.key] = now.get(request.key, 0)
        now[request.key] = request.value
        return None

    return serve


def drawing(keys: str, values: int) -> Callable[[Random], Any]:
    """Reads and writes of these registers."""
    return lambda rng: (
        Get(rng.choice(keys))
        if rng.random() < 0.5
        else Put(rng.randrange(values), rng.choice(keys))
    )


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


# Effort ------------------------------------------------------------------------------------------


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


def test_five_clients_and_a_thousand_operations_are_cheap() -> None:
    """A good history of the usual size takes a few steps for each operation; some hundreds if many were lost."""
    for lost, values, steps in ((0.0, 100, 20_000), (0.05, 3, 50_000), (0.02, 100, 500_000)):
        rng = Random(5)
        serve, draw = serving_registers(rng, stale=0.0), drawing("x", values)
        history = simulate(rng, clients=5, operations=1_000, draw=draw, serve=serve, lost=lost)
        verdict = linearizable(history, register, 0)
        assert isinstance(verdict, Linearizable)
        assert verdict.steps < steps


def test_equal_operations_are_not_permuted() -> None:
    """Thirty equal requests, lost or answered alike, are tried in one order: their permutations are all the same."""
    lost = [Operation(f"c{n}", Add(2), n, None, Unknown()) for n in range(30)]
    verdict = linearizable([*lost, Operation("r", Add(0), 100, 101, Ok(31))], counter, 0)
    assert isinstance(verdict, NotLinearizable)
    assert verdict.steps < 2_000
    puts = [Operation(f"c{n}", Put(1), n, 100 + n, Ok(None)) for n in range(30)]
    verdict = linearizable([*puts, Operation("r", Get(), 200, 201, Ok(2))], register, 0)
    assert isinstance(verdict, NotLinearizable)
    assert verdict.steps < 2_000


def test_the_model_is_asked_once_about_each_case() -> None:
    """The model may be slow: it sees no request twice with the same answer in the same state."""
    asked: list[tuple[int, Any, Answer | None]] = []

    def spied(state: int, request: Any, answer: Answer | None) -> tuple[bool, int]:
        asked.append((state, request, answer))
        return register(state, request, answer)

    history = [Operation(f"c{n}", Put(n % 4), n, 100 + n, Ok(None)) for n in range(12)]
    linearizable([*history, Operation("r", Get(), 200, 201, Ok(9))], spied, 0)
    assert len(asked) == len(set(asked)) > 12


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
