"""Laws of the search for an order: it agrees with trying every order, and does not try them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
from actorkit.testing.protocol.linearizability import Linearizable, NotLinearizable, linearizable
from actorkit.testing.protocol.search import Step
from tests.testing.protocol.models import (
    NOTHING,
    Add,
    Empty,
    Get,
    Give,
    Put,
    Swap,
    Take,
    counter,
    drawing,
    pile,
    register,
    serving_registers,
)
from tests.testing.protocol.simulated import simulate

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


def test_writes_that_nobody_saw_are_not_permuted() -> None:
    """A lost write is placed only where something depends on it: sixteen different ones make no 16! orders."""
    lost = [Operation(f"c{n}", Put(n), n, None, Unknown()) for n in range(16)]
    verdict = linearizable([*lost, Operation("r", Get(), 100, 101, Ok(99))], register, 0)
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
