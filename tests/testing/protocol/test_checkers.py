"""Laws of the checkers of ids, sets and broadcasts: what is right passes, and each planted fault is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.testing.protocol.checkers import (
    broadcast,
    counter_bounds,
    grow_only_set,
    pn_counter,
    unique_ids,
)
from actorkit.testing.protocol.history import Answer, Failed, History, Ok, Operation, Unknown
from actorkit.testing.protocol.linearizability import linearizable
from actorkit.testing.protocol.roles import Adds, Draws, Reads
from actorkit.testing.protocol.verdict import Finding, Verdict
from tests.testing.protocol.simulated import answered, changed, kinds, op, simulate, value

SEEDS = st.integers(0, 10**9)
READ = Reads()
NOTHING: frozenset[int] = frozenset()

# Ids ---------------------------------------------------------------------------------------------


def drawn_ids(seed: int) -> History:
    """Ids of a server that gives each once."""
    given_out = list(range(1_000))
    rng = Random(seed)
    rng.shuffle(given_out)
    return simulate(
        rng,
        clients=3,
        operations=20,
        draw=lambda _: "next",
        serve=lambda *_: given_out.pop(),
        lost=0.05,
    )


@given(SEEDS, st.data())
def test_an_id_given_twice_is_found(seed: int, data: st.DataObject) -> None:
    """Ids that differ pass; if one draw gets another's id, these two are told."""
    history = drawn_ids(seed)
    verdict = unique_ids(history)
    assert verdict
    draws = answered(history, str)
    assert verdict.judged == {"ids": len(draws)}
    if len(draws) > 1:
        first, second = data.draw(
            st.lists(st.sampled_from(draws), min_size=2, max_size=2, unique=True)
        )
        (found,) = unique_ids(
            changed(history, lambda o: o is second, lambda _: value(first))
        ).findings
        assert (found.kind, found.about) == ("duplicate", value(first))
        assert f"{first.client} at {first.called_at}-{first.returned_at}" in found.text


def test_only_what_draws_an_id_is_judged() -> None:
    """The role says which requests draw, and where in the reply the id is."""
    history = [op("a", "draw", 0, 1, ("id", 7)), op("b", "look", 2, 3, ("id", 7))]
    assert unique_ids(history, lambda r: Draws(lambda reply: reply[1]) if r == "draw" else None)
    assert not unique_ids(history, lambda _: Draws(lambda reply: reply[1]))
    with pytest.raises(TypeError, match=r"\[\] of a: 'draw' -> \[\] must be hashable"):
        unique_ids([op("a", "draw", 0, 1, [])])


# Sets --------------------------------------------------------------------------------------------


def set_history(rng: Random, *, lag: int = 0, lost: float = 0.0, clients: int = 3) -> History:
    """Of a set whose reads lag behind by up to ``lag`` adds; the last read does not."""
    contents: list[int] = []
    fresh = iter(range(1_000))

    def serve(request: Any, _: str) -> Any:
        if isinstance(request, Adds):
            contents.append(request.value)
            return None
        return tuple(contents[: max(0, len(contents) - rng.randint(0, lag))])

    history = simulate(
        rng,
        clients=clients,
        operations=20,
        draw=lambda rng: Adds(next(fresh)) if rng.random() < 0.5 else READ,
        serve=serve,
        lost=lost,
    )
    history.complete(history.begin("last", READ), tuple(contents))
    return history


def set_model(
    state: frozenset[int], request: Any, answer: Answer | None
) -> tuple[bool, frozenset[int]]:
    """A set, one operation after the other."""
    if isinstance(request, Adds):
        return True, state | {request.value}
    right = answer is None or (isinstance(answer, Ok) and sorted(answer.value) == sorted(state))
    return right, state


@given(SEEDS)
def test_a_set_that_keeps_everything_passes(seed: int) -> None:
    """Atomic sets pass at their strictest; sets whose reads lag pass unless they may not."""
    rng = Random(seed)
    assert grow_only_set(set_history(rng, lost=0.05), stale_allowed=False)
    lagging = set_history(rng, lag=3)
    assert grow_only_set(lagging)
    assert kinds(grow_only_set(lagging, stale_allowed=False)) <= {"stale"}


@given(SEEDS)
def test_a_set_that_is_linearizable_is_never_accused(seed: int) -> None:
    """Whatever random reads say, if some order explains them there is nothing to find."""
    rng = Random(seed)
    history = simulate(
        rng,
        clients=2,
        operations=5,
        draw=lambda rng: Adds(rng.randrange(3)) if rng.random() < 0.5 else READ,
        serve=lambda *_: tuple(n for n in range(3) if rng.random() < 0.4),
        lost=0.1,
    )
    if linearizable(history, set_model, NOTHING):
        assert grow_only_set(history, stale_allowed=False), str(history)


@given(SEEDS, st.data())
def test_faults_planted_in_a_set_are_found(seed: int, data: st.DataObject) -> None:
    """An element that vanishes, one that is away for a while, one that is there twice, one that nobody added."""
    history = set_history(Random(seed))
    known = {
        add.request.value: [
            r for r in answered(history, Reads) if add.precedes(r) and r.client != "last"
        ]
        for add in answered(history, Adds)
    }
    candidates = [element for element, reads in known.items() if reads]
    if not candidates:
        return
    element = data.draw(st.sampled_from(candidates))
    since = data.draw(st.sampled_from(known[element]))

    def without(reply: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(e for e in reply if e != element)

    def later(o: Operation) -> bool:
        return isinstance(o.request, Reads) and o.called_at >= since.called_at

    vanished = changed(history, later, without)
    (lost,) = grow_only_set(vanished).of("lost")
    assert lost.about == element
    away = changed(history, lambda o: o is since, without)
    (stale,) = grow_only_set(away, stale_allowed=False).findings
    assert (stale.kind, stale.about) == ("stale", element)
    assert grow_only_set(away).notes == (stale,)
    twice = changed(history, lambda o: o is since, lambda reply: (*reply, element))
    assert kinds(grow_only_set(twice)) == {"duplicated"}
    extra = changed(history, lambda o: o is since, lambda reply: (*reply, -1))
    (unexpected,) = grow_only_set(extra).findings
    assert (unexpected.kind, unexpected.about) == ("unexpected", -1)


def test_what_failed_or_comes_later_is_not_expected_in_a_set() -> None:
    """An element is expected only if an add of it may have happened before the read returned."""
    refused = Operation("a", Adds(1), 0, 1, Failed())
    unknown = Operation("a", Adds(2), 2, None, Unknown())
    early = op("b", READ, 4, 5, (1, 2, 3))
    verdict = grow_only_set([refused, unknown, early, op("a", Adds(3), 6, 7)])
    assert [finding.about for finding in verdict.of("unexpected")] == [1, 3]


def test_what_nobody_read_is_noted() -> None:
    """An element that was added after the last read cannot be judged, and is no fault."""
    verdict = grow_only_set([op("b", READ, 0, 3, ()), op("a", Adds(1), 1, 2)])
    assert verdict
    assert [(note.kind, note.about) for note in verdict.notes] == [("never read", 1)]


def test_an_unknown_element_that_was_read_must_stay() -> None:
    """The first read that has it proves that it was added, though the add was never acknowledged."""
    adds = Operation("a", Adds(1), 0, None, Unknown())
    assert grow_only_set([adds, op("b", READ, 1, 2, ())])
    gone = grow_only_set([adds, op("b", READ, 1, 2, (1,)), op("b", READ, 3, 4, ())])
    assert str(gone) == (
        "grow_only_set: 1 finding (adds: 1, reads: 2)\n"
        "  lost: 1 is known since 2, and the read of b at 3-4 lacks it, the last to have it is the read of b at 1-2"
    )


# Broadcasts --------------------------------------------------------------------------------------


def broadcast_history(rng: Random, *, nodes: int = 3) -> History:
    """Of nodes that pass on what they have, now and then; in the end all have everything."""
    held: list[set[int]] = [set() for _ in range(nodes)]
    fresh = iter(range(1_000))

    def serve(request: Any, _: str) -> Any:
        giver, taker = rng.sample(held, 2)
        taker |= giver
        if isinstance(request, Adds):
            rng.choice(held).add(request.value)
            return None
        return sorted(held[request.node])

    def draw(rng: Random) -> Any:
        return Adds(next(fresh)) if rng.random() < 0.4 else Reads(node=rng.randrange(nodes))

    history = simulate(rng, clients=3, operations=25, draw=draw, serve=serve, lost=0.05)
    everything = sorted(set().union(*held))
    for node in range(nodes):
        token = history.begin("last", Reads(node=node, final=True))
        history.complete(token, everything)
    return history


@given(SEEDS, st.data())
def test_faults_planted_in_a_broadcast_are_found(seed: int, data: st.DataObject) -> None:
    """What spreads passes; a message that is missing at one node in the end, or disappears from one, is told."""
    history = broadcast_history(Random(seed))
    assert broadcast(history)
    reads = [r for r in answered(history, Reads) if value(r)]
    final = [r for r in reads if r.request.final]
    if len(final) < 2:
        return
    # What the first final read has is known to the others.
    last = data.draw(st.sampled_from(final[1:]))
    message = data.draw(st.sampled_from(value(last)))
    missed = changed(history, lambda o: o is last, lambda m: [e for e in m if e != message])
    found = broadcast(missed).of("never arrived")
    assert [finding.about for finding in found] == [message]
    before = [r for r in reads if message in value(r) and r.request.node == last.request.node]
    assert bool(broadcast(missed).of("forgotten")) is (len(before) > 1)
    some = data.draw(st.sampled_from(reads))
    twice = changed(history, lambda o: o is some, lambda messages: [*messages, messages[0]])
    assert kinds(broadcast(twice)) == {"duplicated"}
    extra = changed(history, lambda o: o is last, lambda messages: [*messages, -1])
    assert kinds(broadcast(extra)) == {"unexpected"}


def test_what_one_node_has_all_must_get() -> None:
    """A message whose sending is unknown may arrive nowhere, but not at some nodes only."""
    sent = Operation("a", Adds(1), 0, None, Unknown())

    def final(node: str, called: int, *messages: int) -> Operation:
        return op("a", Reads(node=node, final=True), called, called + 1, messages)

    assert broadcast([sent, final("n1", 2), final("n2", 4)])
    verdict = broadcast([sent, final("n1", 2, 1), final("n2", 4)])
    assert [finding.text for finding in verdict.findings] == [
        "1 is known since 3, and is not at n2 in the read of a at 4-5"
    ]


def test_what_is_on_its_way_need_not_have_arrived() -> None:
    """A final read is not accused of what was acknowledged only after its call."""
    final = op("a", Reads(node="n1", final=True), 1, 4, ())
    assert broadcast([op("a", Adds(1), 0, 2), final])
    assert kinds(broadcast([op("a", Adds(1), -1, 0), final])) == {"never arrived"}


def test_a_node_that_was_not_read_in_the_end_is_noted() -> None:
    """Without a final read nothing can be said about what arrives."""
    verdict = broadcast([op("a", Adds(1), 0, 1), op("a", Reads(node="n1"), 2, 3, ())])
    assert verdict
    assert [(note.kind, note.about) for note in verdict.notes] == [("no final read", "n1")]


# Roles and verdicts ------------------------------------------------------------------------------


def test_a_role_takes_what_is_needed_out_of_requests_and_replies() -> None:
    """Requests and replies of any form can be judged; what has no role is left out."""

    def role(request: str) -> Adds | Reads | None:
        verb, _, what = request.partition(" ")
        if verb == "add":
            return Adds(what)
        return Reads(reply=lambda reply: reply["all"]) if verb == "list" else None

    history = [op("a", "add x", 0, 1), op("a", "ping", 2, 3), op("b", "list", 4, 5, {"all": ["x"]})]
    assert grow_only_set(history, role).judged == {"adds": 1, "reads": 1}
    history[2] = op("b", "list", 4, 5, {"all": []})
    assert kinds(grow_only_set(history, role)) == {"lost"}


@pytest.mark.parametrize("checker", [grow_only_set, broadcast, counter_bounds, pn_counter])
def test_a_request_without_a_role_is_refused(checker: Callable[..., Verdict]) -> None:
    """A check that understands no request would pass: the role has to be told, and has to be one."""
    with pytest.raises(TypeError, match=r"what does 'add x' do\? Pass role="):
        checker([op("a", "add x", 0, 1)])
    with pytest.raises(TypeError, match=r"role= gave 'x' for 'add x'"):
        checker([op("a", "add x", 0, 1)], lambda request: request[4:])


@pytest.mark.parametrize(
    ("checker", "history"),
    [
        (grow_only_set, [op("a", READ, 0, 1, 7)]),
        (grow_only_set, [op("a", READ, 0, 1, ([],))]),
        (broadcast, [op("a", Adds([]), 0, 1)]),
        (counter_bounds, [op("a", READ, 0, 1, "7")]),
        (pn_counter, [op("a", READ, 0, 1, None)]),
    ],
)
def test_replies_of_the_wrong_form_are_refused(
    checker: Callable[..., Verdict], history: Sequence[Operation]
) -> None:
    """The error names the operation and what it should have been."""
    with pytest.raises(TypeError, match=r"at 0-1 must be|must be hashable"):
        checker(history)


def test_a_verdict_tells_all_and_insists() -> None:
    """It is true exactly if there are no findings; its text has all of the first few; ``require`` raises the text."""
    good = Verdict("law", {"things": 1_000}, (), (Finding("odd", 1, "but allowed"),))
    good.require()
    assert good
    assert str(good) == "law: nothing wrong (things: 1,000)\n  (not a fault) odd: but allowed"
    bad = Verdict("law", {"things": 1}, tuple(Finding("bad", n, f"case {n}") for n in range(30)))
    assert not bad
    assert str(bad).splitlines()[:2] == ["law: 30 findings (things: 1)", "  bad: case 0"]
    assert str(bad).endswith("  bad: case 19\n  ... and 10 more")
    with pytest.raises(AssertionError, match="law: 30 findings"):
        bad.require()
