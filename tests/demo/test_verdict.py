"""The verdict: good only if everything is as it should be, and it says what is not."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import actorkit as ak
from actorkit.demo.edition import Edition
from actorkit.demo.sabotage import Manner, Strike
from actorkit.demo.verdict import Disturbed, Verdict

_RIGHT = Edition("right", "right")
_WRONG = Edition("wrong", "wrong")
_STRIKE = Strike(1, 0.5, "reader-1", Manner.KILL)

_RUN = Disturbed(
    edition=_RIGHT,
    digests=frozenset({_RIGHT.digest}),
    editions=2,
    gave_up="",
    struck=(_STRIKE,),
    missed=(),
    deaths={"killed": 1, "shut down": 3},
    restarts=4,
    repeated=2,
    dead_letters={ak.DeadReason.DIED: 1, ak.DeadReason.LATE_REPLY: 2},
    books=ak.Conservation(sent=10, handled=9, dead_letters=1, waiting=0),
    left_behind=(),
    elapsed=2.0,
)
_GOOD = Verdict(1, _RUN, _RIGHT, 1.5, _RIGHT)


def test_a_run_without_faults_is_good() -> None:
    """Nothing is marked, and every number is told."""
    assert _GOOD.good
    lines = list(_GOOD.lines())
    assert lines[0] == "Verdict: good"
    assert not [line for line in lines if line.startswith("!")]
    text = "\n".join(lines)
    for told in (
        f"the same as undisturbed (2 editions, {_RIGHT.digest})",
        "1 of 1 asked for: 1 killed",
        "4: 3 shut down, 1 killed",
        "9 handled, 4/s",
        "3: 2 a reply that nobody waits for, 1 the actor died before it handled the message",
        "10 sent = 9 handled + 1 dead letters + 0 waiting",
        "2.0 s with kills, 1.5 s undisturbed",
    ):
        assert told in text


def test_a_run_on_several_nodes_says_what_became_of_them() -> None:
    """Which there were, how often they were restarted, what went to them; and that losses are not in the books."""
    strike = Strike(2, 0.7, "worker-1", Manner.SIGKILL)
    verdict = attrs.evolve(
        _with(
            nodes=("demo", "worker-1", "worker-2"),
            node_exits=1,
            struck=(_STRIKE, strike),
            books=ak.Conservation(sent=10, handled=5, dead_letters=1, waiting=0, forwarded=4),
        ),
        ordered=2,
    )
    assert verdict.good
    text = "\n".join(verdict.lines())
    for told in (
        "3: demo, worker-1, worker-2; 1 of their processes was restarted",
        "2 of 2 asked for: 1 killed, 1 whole nodes ended by SIGKILL",
        "2; what was lost with killed nodes is in nobody's books, but among these",
        "10 sent = 5 handled + 1 dead letters + 0 waiting + 4 forwarded to other nodes",
    ):
        assert told in text
    assert "nodes  " not in "\n".join(_GOOD.lines())


def _with(**changes: Any) -> Verdict:
    return attrs.evolve(_GOOD, disturbed=attrs.evolve(_RUN, **changes))


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (_with(edition=_WRONG, digests=frozenset({_WRONG.digest})), "differs from undisturbed"),
        (_with(digests=frozenset({_RIGHT.digest, _WRONG.digest})), "not every one was"),
        (_with(edition=None, gave_up="the tree gave up: x"), "the tree gave up: x"),
        (attrs.evolve(_GOOD, on_disk=_WRONG), "not what lies on the disk"),
        (attrs.evolve(_GOOD, on_disk=None), "not what lies on the disk"),
        (_with(struck=(), missed=(_STRIKE,)), "0 of 1 asked for; missed: reader-1"),
        (attrs.evolve(_GOOD, ordered=2), "1 of 2 asked for"),
        (_with(books=ak.Conservation(10, 8, 1, 0)), "10 sent = 8 handled"),
        (_with(books=ak.Conservation(10, 8, 1, 1)), "+ 1 waiting"),
        (_with(left_behind=("/study/lister",)), "/study/lister"),
        (_with(left_behind=("process 7", "port 127.0.0.1:7")), "process 7, port 127.0.0.1:7"),
        (_with(nodes=("demo", "w"), broken=("w: boom",)), "the protocol was broken: w: boom"),
        (attrs.evolve(_GOOD, changed=("a\n.py",)), "changed while it was studied: a\\n.py"),
    ],
)
def test_any_one_fault_makes_it_bad_and_is_marked(verdict: Verdict, said: str) -> None:
    """A single thing out of order is enough, and the line that tells it is marked."""
    assert not verdict.good
    lines = list(verdict.lines())
    assert lines[0] == "Verdict: BAD"
    assert [line for line in lines if line.startswith("!") and said in line]


def test_many_names_are_not_all_told() -> None:
    """A list of names is cut off, and says so."""
    verdict = attrs.evolve(_GOOD, changed=tuple(f"{n}.py" for n in range(9)))
    assert "0.py, 1.py, 2.py, 3.py, 4.py and 4 more" in "\n".join(verdict.lines())
