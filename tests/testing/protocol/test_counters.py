"""Laws of the checkers of counters: what some order or spread explains passes, and each wrong number is found."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actorkit.testing.protocol.checkers import counter_bounds, pn_counter
from actorkit.testing.protocol.history import Answer, Failed, History, Ok, Operation, Unknown
from actorkit.testing.protocol.linearizability import linearizable
from actorkit.testing.protocol.roles import Adds, Reads
from actorkit.testing.protocol.verdict import Verdict
from tests.testing.protocol.simulated import answered, changed, kinds, op, simulate

SEEDS = st.integers(0, 10**9)
READ = Reads()

# Counters ----------------------------------------------------------------------------------------


def counter_history(
    rng: Random, *, clients: int = 3, lost: float = 0.0, read: Callable[[int], int] = lambda n: n
) -> History:
    """Of a counter that is changed and read by one request after the other."""
    total = 0

    def serve(request: Any, _: str) -> Any:
        nonlocal total
        if isinstance(request, Reads):
            return read(total)
        total += request.value
        return None

    def draw(rng: Random) -> Any:
        return Adds(rng.randint(-3, 9)) if rng.random() < 0.5 else READ

    return simulate(rng, clients=clients, operations=15, draw=draw, serve=serve, lost=lost)


def counter_model(state: int, request: Any, answer: Answer | None) -> tuple[bool, int]:
    """A counter, one operation after the other."""
    if isinstance(request, Adds):
        return True, state + request.value
    return answer in (None, Ok(state)), state


@given(SEEDS, st.integers(-30, 30))
def test_a_counter_passes_and_only_what_is_impossible_is_told(seed: int, off: int) -> None:
    """A counter passes; one that is linearizable is never accused; where nothing overlaps, any wrong read is found."""
    rng = Random(seed)
    assert counter_bounds(counter_history(rng, lost=0.05))
    shaky = counter_history(rng, lost=0.05, read=lambda total: total + rng.choice((0, 0, 0, off)))
    if not counter_bounds(shaky):
        assert not linearizable(shaky, counter_model, 0)
    alone = counter_history(rng, clients=1)
    reads = answered(alone, Reads)
    if reads and off:
        wrong = rng.choice(reads)
        verdict = counter_bounds(changed(alone, lambda o: o is wrong, lambda total: total + off))
        assert [finding.about.called_at for finding in verdict.findings] == [wrong.called_at]


def test_the_bounds_are_told() -> None:
    """What returned before counts; what overlaps, or is unknown, may count, whichever way it goes."""
    adds = [
        op("a", Adds(5), 0, 1),
        Operation("a", Adds(10), 2, None, Unknown()),
        Operation("a", Adds(100), 3, 4, Failed()),
        op("b", Adds(-2), 6, 9),
        op("b", Adds(7), 20, 21),
    ]
    for total in (3, 5, 10, 15):
        assert counter_bounds([*adds, op("r", READ, 5, 7, total)])
    low, high = (counter_bounds([*adds, op("r", READ, 5, 7, total)]) for total in (2, 16))
    assert low.findings[0].text == "the read of r at 5-7 is 2, but what was added makes 3 to 15"
    assert kinds(high) == {"out of bounds"}
    assert counter_bounds([op("r", READ, 0, 1, 40)], initial=40)


# Many copies --------------------------------------------------------------------------------------


def copies_history(rng: Random, *, lost: float = 0.0) -> History:
    """Of a counter of three copies, each of which reads what has come to it so far; in the end, all of it."""
    amounts: list[int] = []
    come: list[int] = [0, 0, 0]

    def serve(request: Any, _: str) -> Any:
        copy = rng.randrange(3)
        if isinstance(request, Reads):
            come[copy] = rng.randint(come[copy], len(amounts))
            return sum(amounts[: come[copy]])
        amounts.append(request.value)
        return None

    def draw(rng: Random) -> Any:
        return Adds(rng.randint(-5, 9)) if rng.random() < 0.5 else READ

    history = simulate(rng, clients=3, operations=20, draw=draw, serve=serve, lost=lost)
    for _ in range(3):
        history.complete(history.begin("last", Reads(final=True)), sum(amounts))
    return history


@given(SEEDS, st.integers(-30, 30).filter(bool))
def test_copies_of_a_counter_must_agree_in_the_end(seed: int, off: int) -> None:
    """Copies may lag, not end, apart: a copy that missed something, and a total nobody asked for, are told."""
    rng = Random(seed)
    assert pn_counter(copies_history(rng, lost=0.05))
    history = copies_history(rng)
    finals = [read for read in answered(history, Reads) if read.request.final]
    one_off = changed(history, lambda o: o is finals[1], lambda total: total + off)
    assert kinds(pn_counter(one_off)) == {"wrong total", "diverged"}
    all_off = changed(history, lambda o: o in finals, lambda total: total + off)
    assert kinds(pn_counter(all_off)) == {"wrong total"}
    early = [read for read in answered(history, Reads) if not read.request.final]
    if early:
        absurd = changed(history, lambda o: o is early[0], lambda _: 1_000)
        assert kinds(pn_counter(absurd)) == {"out of bounds"}


def test_a_total_may_have_any_of_what_is_unknown() -> None:
    """Every choice of unknown adds makes a right total, and nothing between; copies must still choose the same."""
    adds = [
        op("a", Adds(100), 0, 1),
        Operation("a", Adds(1), 2, None, Unknown()),
        Operation("a", Adds(10), 3, None, Unknown()),
    ]

    def judged(*totals: int) -> Verdict:
        reads = (
            op("r", Reads(final=True), 10 + 2 * n, 11 + 2 * n, total)
            for n, total in enumerate(totals)
        )
        return pn_counter([*adds, *reads])

    assert all(judged(total) for total in (100, 101, 110, 111))
    assert judged(105).findings[0].text == (
        "the read of r at 10-11 is 105, but what was added makes 100, 101, 110 or 111"
    )
    assert kinds(judged(100, 101)) == {"diverged"}
    many = [Operation("a", Adds(2**n), 4, None, Unknown()) for n in range(20)]
    assert pn_counter([*many, op("r", Reads(final=True), 5, 6, 12_345)])
    assert not pn_counter([*many, op("r", Reads(final=True), 5, 6, 2**20)])
    assert [note.kind for note in pn_counter(adds).notes] == ["no final read"]
