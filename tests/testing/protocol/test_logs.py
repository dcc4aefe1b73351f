"""Laws of the check of logs: a log that keeps its promises passes, and each planted fault is found."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.testing.protocol.history import Failed, History, Operation, Unknown
from actorkit.testing.protocol.logs import Appends, Polls, Seeks, log
from tests.testing.protocol.simulated import answered, changed, kinds, op, simulate, value

SEEDS = st.integers(0, 10**9)


class Server:
    """Two logs, and where each consumer is in them."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.fresh = iter(range(1_000))
        self.logs: dict[Any, list[Any]] = {"a": [], "b": []}
        self.places: defaultdict[tuple[str, Any], int] = defaultdict(int)

    def draw(self, rng: Random) -> Any:
        """Mostly appends and polls."""
        name = rng.choice("ab")
        roll = rng.random()
        if roll < 0.5:
            return Appends(next(self.fresh), name)
        return Polls(name) if roll < 0.95 else Seeks(name)

    def serve(self, request: Any, client: str) -> Any:
        """Do what a log does."""
        entries, place = self.logs[request.log], (client, request.log)
        if isinstance(request, Appends):
            entries.append(request.value)
            return len(entries) - 1
        if isinstance(request, Seeks):
            self.places[place] = self.rng.randint(0, len(entries))
            return None
        first = self.places[place]
        last = min(len(entries), first + self.rng.randint(0, 4))
        self.places[place] = last
        return list(enumerate(entries))[first:last]


def log_history(seed: int, *, lost: float = 0.0) -> History:
    """Of logs that keep their promises; in the end somebody reads both from beginning to end."""
    rng = Random(seed)
    server = Server(rng)
    history = simulate(
        rng,
        clients=4,
        operations=40,
        draw=server.draw,
        serve=server.serve,
        lost=lost,
    )
    for name, entries in server.logs.items():
        history.complete(history.begin("last", Polls(name)), list(enumerate(entries)))
    return history


@given(SEEDS)
def test_a_log_that_keeps_its_promises_passes(seed: int) -> None:
    """Whatever clients do at the same time, and whichever outcomes are lost, there is nothing to find."""
    verdict = log(log_history(seed, lost=0.05))
    assert verdict, str(verdict)
    assert verdict.judged["logs"] == 2


@given(SEEDS, st.data())
def test_what_is_acknowledged_and_never_polled_is_lost(seed: int, data: st.DataObject) -> None:
    """An entry that no poll has, though polls went past it, is lost; nothing else is."""
    history = log_history(seed)
    appends = answered(history, Appends)
    inner = [
        a
        for a in appends
        if any(value(o) > value(a) and o.request.log == a.request.log for o in appends)
    ]
    if not inner:
        return
    gone = data.draw(st.sampled_from(inner))

    def hidden(reply: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [entry for entry in reply if entry[1] != gone.request.value]

    found = log(changed(history, lambda o: isinstance(o.request, Polls), hidden)).findings
    assert [(one.kind, one.about) for one in found] == [("lost", gone.request.value)]


@given(SEEDS, st.data())
def test_a_poll_that_is_wrong_is_told(seed: int, data: st.DataObject) -> None:
    """A hole in one poll, a poll from before, and entries nobody appended are told as what they are."""
    history = log_history(seed)
    polls = [poll for poll in answered(history, Polls) if len(value(poll)) > 2]
    if not polls:
        return
    one = data.draw(st.sampled_from(polls))
    inner = data.draw(st.integers(1, len(value(one)) - 2))

    def spoilt(change: Any) -> Any:
        return log(changed(history, lambda o: o is one, change))

    others = {v for poll in answered(history, Polls) if poll is not one for _, v in value(poll)}
    hole = spoilt(lambda reply: [*reply[:inner], *reply[inner + 1 :]])
    missed = value(one)[inner][1]
    expected = "skipped" if missed in others else "lost"
    assert [(found.kind, found.about) for found in hole.findings] == [(expected, missed)]
    assert kinds(spoilt(lambda reply: [*reply, reply[0]])) >= {"went back"}
    assert kinds(spoilt(lambda reply: [*reply[:-1], (reply[-1][0], -1)])) >= {
        "unexpected",
        "overwritten",
    }
    assert kinds(spoilt(lambda reply: [*reply[:-1], (reply[-1][0] + 100, reply[-1][1])])) >= {
        "duplicated",
        "gap",
    }


# One by one --------------------------------------------------------------------------------------


def test_each_finding_tells_its_story() -> None:
    """Small histories with one fault each, and what is said of them."""
    x, y = op("p", Appends("x"), 0, 1, 0), op("p", Appends("y"), 2, 3, 1)

    def found(*operations: Operation) -> list[str]:
        return [str(finding) for finding in log([x, y, *operations]).findings]

    assert found(op("c", Polls(), 4, 5, [(0, "x"), (1, "y")])) == []
    assert found(op("c", Polls(), 4, 5, [(1, "y")])) == [
        "lost: the append by p at 0-1 put 'x' at offset 0; polls went as far as 1, and none has it"
    ]
    assert found(op("q", Appends("z"), 4, 5, 0)) == [
        "overwritten: at offset 0 there is 'x' (append by p at 0-1); 'z' (append by q at 4-5)",
        "reordered: the append by p at 2-3 put 'y' at 1; the append by q at 4-5 put 'z' at offset 0",
    ]
    assert found(op("c", Polls(), 4, 5, [(0, "x"), (1, "y"), (2, "x")])) == [
        "duplicated: 'x' is at offset 0 (append by p at 0-1); offset 2 (poll by c at 4-5)"
    ]
    assert found(op("c", Polls(), 4, 5, [(1, "y"), (0, "x")])) == [
        "went back: the poll by c at 4-5 has 'x' at offset 0, and c had been at 1"
    ]
    assert found(op("c", Polls(), 4, 5, [(0, "x"), (1, "y"), (2, "z")])) == [
        "unexpected: 'z' is in the poll by c at 4-5; no append of it can have happened by then"
    ]


def test_the_highest_before_counts_not_the_last() -> None:
    """An append is out of order if any that returned before its call has a higher offset."""
    offsets = {"x": 5, "y": 3, "z": 4}
    appends = (
        op("p", Appends(v), 2 * n, 2 * n + 1, offset)
        for n, (v, offset) in enumerate(offsets.items())
    )
    assert [finding.about for finding in log(appends).of("reordered")] == ["y", "z"]


def test_what_comes_later_is_not_expected_in_a_poll() -> None:
    """An append that was called after a poll returned explains nothing that is in it."""
    early = op("c", Polls(), 0, 2, [(0, "x")])
    assert log([early, op("p", Appends("x"), 1, 3, 0)])
    assert kinds(log([early, op("p", Appends("x"), 4, 5, 0)])) == {"unexpected"}


def test_polling_the_same_again_is_going_back() -> None:
    """What was polled is not polled again."""
    history = [op("p", Appends("x"), 0, 1, 0), op("c", Polls(), 2, 3, [(0, "x")])]
    assert log(history)
    assert kinds(log([*history, op("c", Polls(), 4, 5, [(0, "x")])])) == {"went back"}
    assert log([*history, op("d", Polls(), 4, 5, [(0, "x")])])


def test_holes_are_told_by_what_is_in_them() -> None:
    """A hole where others found a value is not the same as one where nobody ever saw anything."""
    appends = [op("p", Appends(n), 2 * n, 2 * n + 1, n) for n in range(3)]
    everything = op("d", Polls(), 10, 11, [(0, 0), (1, 1), (2, 2)])
    jump = [op("c", Polls(), 12, 13, [(0, 0)]), op("c", Polls(), 14, 15, [(2, 2)])]
    (skipped,) = log([*appends, everything, *jump]).findings
    assert (skipped.kind, skipped.about) == ("skipped", 1)
    assert skipped.text.startswith(
        "the poll by c at 14-15 goes on at offset 2 after 0, and at 1 there is 1 (append"
    )
    far = [op("p", Appends("far"), 20, 21, 9), op("d", Polls(), 22, 23, [(9, "far")])]
    (gap,) = log([*appends, everything, *far]).findings
    assert (gap.kind, gap.about) == ("gap", (2, 9))


def test_a_consumer_may_seek_and_may_not_know_how_far_it_came() -> None:
    """After a ``Seeks`` anything may come; after a poll whose outcome is lost, anything further on."""
    appends = [op("p", Appends(n), 2 * n, 2 * n + 1, n) for n in range(4)]
    everything = op("d", Polls(), 10, 11, [(n, n) for n in range(4)])
    first, third = op("c", Polls(), 12, 13, [(1, 1)]), op("c", Polls(), 16, 17, [(3, 3)])
    again = op("c", Polls(), 18, 19, [(0, 0)])
    lost = Operation("c", Polls(), 14, None, Unknown())
    failed = Operation("c", Polls(), 14, 15, Failed())
    seek = op("c", Seeks(), 14, 15)

    def found(*operations: Operation) -> set[str]:
        return kinds(log([*appends, everything, *operations]))

    assert (
        found(first, lost, third) == found(first, seek, third) == found(first, seek, again) == set()
    )
    assert found(first, failed, third) == found(first, third) == {"skipped"}
    assert found(first, lost, again) == {"went back"}


def test_what_nobody_polled_yet_is_noted() -> None:
    """What lies behind all that was polled cannot be judged, and is no fault; an unknown append need not be there."""
    verdict = log(
        [
            op("p", Appends("x"), 0, 1, 0),
            Operation("p", Appends("y"), 2, None, Unknown()),
            op("p", Appends("z"), 3, 4, 1),
            op("c", Polls(), 5, 6, [(0, "x")]),
        ]
    )
    assert verdict
    assert [(note.kind, note.about) for note in verdict.notes] == [("never polled", "z")]


def test_logs_are_judged_one_by_one() -> None:
    """Offsets of two logs have nothing to do with each other, and findings name theirs."""
    appends = [op("p", Appends("x", "a"), 0, 1, 0), op("p", Appends("y", "b"), 2, 3, 0)]
    assert log([*appends, op("c", Polls("a"), 4, 5, [(0, "x")])])
    (found,) = log([*appends, op("p", Appends("z", "b"), 4, 5, 0)]).findings
    assert found.text.startswith("at offset 0 of b there is 'y' (append")


def test_a_role_takes_logs_out_of_any_messages() -> None:
    """Requests and replies of any form can be judged; what has no role is left out; what is none is refused."""

    def role(request: str) -> Any:
        return {
            "poll": Polls(reply=lambda reply: reply["entries"]),
            "x": Appends("x", reply=lambda reply: reply["offset"]),
            "ping": None,
        }.get(request, request)

    history = [
        op("p", "x", 0, 1, {"offset": 0}),
        op("p", "ping", 2, 3),
        op("c", "poll", 4, 5, {"entries": [(0, "x")]}),
    ]
    assert log(history, role).judged == {"appends": 1, "polls": 1, "logs": 1}
    with pytest.raises(TypeError, match=r"role= gave 'what' for 'what'"):
        log([op("p", "what", 0, 1)], role)
    with pytest.raises(TypeError, match=r"what does 'x' do\? Pass role="):
        log(history)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (op("p", Appends("x"), 0, 1, "0"), "the offset of p: .* must be an int, got '0'"),
        (op("p", Appends([]), 0, 1, 0), "must be hashable"),  # type: ignore[arg-type]
        (op("c", Polls(), 0, 1, ["x"]), r"must give pairs of offset and value, got \['x'\]"),
        (op("c", Polls(), 0, 1, 7), "must give pairs"),
        (op("c", Polls(), 0, 1, [(0, [])]), "must give pairs"),
    ],
)
def test_replies_of_the_wrong_form_are_refused(wrong: Operation, told: str) -> None:
    """The error names the operation and the remedy."""
    with pytest.raises(TypeError, match=told):
        log([wrong])
