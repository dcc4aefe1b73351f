"""Single steps of the table of names, where the order of things matters; ``test_nametable_world`` holds what is always true."""

from __future__ import annotations

from collections import deque
from typing import Any, cast

import attrs
import pytest

from actorkit.cluster import nametable
from actorkit.cluster.grouptable import Unwatch, Watch
from actorkit.cluster.nametable import NameTable
from actorkit.cluster.namewords import (
    DONE,
    GONE,
    MISSING,
    Answer,
    Claim,
    Decide,
    Discover,
    Entry,
    Id,
    Kill,
    Listing,
    Outcome,
    PeerMessage,
    Registered,
    Release,
    Seen,
    Send,
    Terms,
    Told,
    Unregistered,
    Vote,
    Wait,
    Withdrawn,
)

KING = "king"
# Numbers that a claim gets: before it came a session and a listing for each connection.
THIRD, FIFTH = 3, 5


@attrs.frozen
class Someone:
    """An actor; tables take anything for a reference."""

    ref: Any


def refusal(holder: Any) -> Outcome:
    """The name is taken."""
    return Outcome("taken", holder)


def elsewhere(holder: Any) -> Outcome:
    """The holder is on another node."""
    return Outcome("elsewhere", holder)


def entry_of(holder: Any, id_: Id) -> Entry:
    """Somebody is king since the beginning."""
    return Entry(KING, holder, id_, 0.0)


class Realm:
    """Some tables, and what is on its way between them until the test lets it arrive."""

    def __init__(self, *names: str) -> None:
        self.tables = {name: NameTable[Someone, str](name, 1) for name in names}
        self.pipes: dict[tuple[str, str], deque[PeerMessage]] = {}
        self.answers: dict[str, Outcome] = {}
        self.done: list[Any] = []  # other directives
        self.winner: Any = "mine"

    def __getitem__(self, name: str) -> NameTable[Someone, str]:
        return self.tables[name]

    def connect(self, *pairs: str) -> None:
        """Connect pairs of nodes, ``"ab"``, and let everything arrive."""
        for one, other in ((pair[0], pair[1]) for pair in pairs):
            self.do(one, self[one].node_up(other, 1))
            self.do(other, self[other].node_up(one, 1))
        self.settle()

    def part(self, one: str, other: str) -> None:
        """Break a connection, which both ends notice; what is on its way is lost."""
        for here, there in ((one, other), (other, one)):
            self.pipes.pop((here, there), None)
            self.do(here, self[here].node_lost(there, 1))

    def do(self, node: str, todo: list[Any]) -> None:
        """Carry out what a table wants."""
        rest = deque(todo)
        while rest:
            match directive := rest.popleft():
                case Send(to, told):
                    self.pipes.setdefault((node, to), deque()).append(told)
                case Answer(ticket, outcome):
                    assert ticket not in self.answers
                    self.answers[ticket] = outcome
                case Decide(mine, theirs):
                    self.done.append(directive)
                    rest += self[node].decided(mine, theirs, self.winner)
                case _:
                    self.done.append(directive)

    def pass_on(self, way: str, count: int = 1) -> None:
        """Let messages arrive: ``"ab"`` is the way from a to b."""
        for _ in range(count):
            self.do(way[1], self[way[1]].receive(self.pipes[way[0], way[1]].popleft()))

    def waiting(self, way: str) -> list[Any]:
        """What is on its way, without its envelopes."""
        pipe = self.pipes.get((way[0], way[1]), ())
        return [told.what if isinstance(told, Told) else told for told in pipe]

    def settle(self) -> None:
        """Let everything arrive."""
        while any(self.pipes.values()):
            for way, pipe in list(self.pipes.items()):
                self.pass_on("".join(way), len(pipe))

    def register(
        self, node: str, who: str, *, move: bool = False, terms: Terms | None = None
    ) -> str:
        """An actor of a node shall be king; returns the ticket, which is called like the actor."""
        table = self[node]
        since = float(len(self.answers))
        todo = table.register(who, Someone(who), KING, since, move=move, terms=terms or Terms())
        self.do(node, todo)
        return who

    def holders(self) -> dict[str, Any]:
        """Who is king, as each node sees it."""
        return {name: table.holder(KING) for name, table in self.tables.items()}


def realm(*names: str) -> Realm:
    """Nodes that are all connected."""
    made = Realm(*names)
    made.connect(*(one + other for one in names for other in names if one < other))
    return made


# Taking a name ----------------------------------------------------------------------------------------------------


def test_a_node_alone_takes_and_frees_a_name_at_once() -> None:
    """There is nobody to ask: two answers, one monitor made and removed, nothing left."""
    alone = realm("a")
    alone.register("a", "arthur")
    assert alone.answers == {"arthur": DONE}
    assert alone["a"].names() == {KING: cast("Any", "arthur")}
    assert alone["a"].parties() == (Someone("arthur"),)
    alone.do("a", alone["a"].unregister("free", KING))
    alone.do("a", alone["a"].unregister("again", KING))
    assert alone.answers["free"] == DONE
    assert alone.answers["again"] == MISSING
    assert alone.done == [Watch(Someone("arthur")), Unwatch(Someone("arthur"))]
    assert len(alone["a"]) == 0


def test_an_answer_waits_until_all_have_voted_and_all_have_seen() -> None:
    """Four steps: claims go out, votes come in, the entry goes out, it was seen."""
    three = realm("a", "b", "c")
    three.register("a", "arthur")
    assert three.waiting("ab") == three.waiting("ac") == [Claim(KING, FIFTH, move=False)]
    three.pass_on("ab")
    three.pass_on("ba")
    assert three.holders() == {"a": None, "b": None, "c": None}
    three.pass_on("ac")
    assert three.waiting("ca") == [Vote(KING, FIFTH, "granted")]
    three.pass_on("ca")
    entry = entry_of("arthur", Id("a", 1, FIFTH))
    assert three.waiting("ab") == three.waiting("ac") == [Registered(1, entry)]
    three.pass_on("ab")
    three.pass_on("ba")
    assert three.answers == {}
    three.pass_on("ac")
    assert three.waiting("ca") == [Seen(1)]
    three.pass_on("ca")
    assert three.answers == {"arthur": DONE}


@pytest.mark.parametrize("first", ["a", "b"])
def test_of_two_claims_that_cross_that_of_the_smaller_name_succeeds(first: str) -> None:
    """The other node gives way as soon as it hears of it, and is then told who holds the name."""
    two = realm("a", "b")
    for node in sorted("ab", reverse=first == "b"):
        two.register(node, f"of {node}")
    two.pass_on("ba")
    assert [type(what) for what in two.waiting("ab")] == [Claim, Vote]
    two.settle()
    assert two.answers == {"of a": DONE, "of b": refusal("of a")}
    assert two.holders() == {"a": "of a", "b": "of a"}


def test_claims_of_one_node_come_one_after_the_other() -> None:
    """The second one is refused by the first one's success, the third one's death is its own."""
    two = realm("a", "b")
    for who in ("first", "second", "third"):
        two.register("a", who)
    assert len(two.waiting("ab")) == 1
    two.do("a", two["a"].died(Someone("third")))
    assert two.answers == {"third": GONE}
    two.settle()
    assert two.answers == {"third": GONE, "first": DONE, "second": refusal("first")}


def test_a_claim_whose_actor_dies_is_withdrawn() -> None:
    """The votes it had are free for the next one, which waited for them."""
    two = realm("a", "b")
    two.register("a", "arthur")
    two.pass_on("ab")
    two.register("b", "bruce")
    assert two.waiting("ba") == [Vote(KING, THIRD, "granted")]
    two.do("a", two["a"].died(Someone("arthur")))
    assert two.waiting("ab") == [Withdrawn(KING, THIRD)]
    two.settle()
    assert two.answers == {"arthur": GONE, "bruce": DONE}
    assert two.holders() == {"a": "bruce", "b": "bruce"}


def test_a_lost_node_is_not_waited_for() -> None:
    """Neither its vote nor its word that it has seen the entry is needed any more."""
    three = realm("a", "b", "c")
    three.register("a", "arthur")
    three.pass_on("ab")
    three.pass_on("ba")
    three.part("a", "c")
    assert three.holders()["a"] == "arthur"
    three.part("a", "b")
    assert three.answers == {"arthur": DONE}


def test_a_vote_that_a_lost_node_had_is_free() -> None:
    """Who waited for it gets it."""
    three = realm("a", "b", "c")
    three.register("a", "arthur")
    three.pass_on("ac")
    three.register("b", "bruce")
    three.pass_on("bc")
    assert three.waiting("cb") == [Vote(KING, FIFTH, "busy", busy_with="a")]
    three.part("a", "c")
    assert three.waiting("cb")[1:] == [Vote(KING, FIFTH, "granted")]


def test_claims_that_hold_votes_from_each_other_end_where_their_nodes_never_meet() -> None:
    """On a ring a - b - d - c - a two claims of a and d share b and c, one vote each: d hears of a, and gives way."""
    ring = Realm("a", "b", "c", "d")
    ring.connect("ab", "bd", "dc", "ca")
    ring.register("a", "arthur")
    ring.register("d", "david")
    ring.pass_on("ab")
    ring.pass_on("dc")
    ring.pass_on("ac")
    ring.pass_on("db")
    assert ring.waiting("bd")[-1] == Vote(KING, FIFTH, "busy", busy_with="a")
    ring.settle()
    assert ring.answers == {"arthur": DONE}
    assert Wait(nametable.RETRY, "retry") in ring.done
    ring.do("d", ring["d"].retry())
    ring.settle()
    assert ring.answers["david"] == refusal("arthur")
    assert ring.holders() == {"a": "arthur", "b": "arthur", "c": "arthur", "d": None}


def test_a_vote_of_an_earlier_connection_does_not_count() -> None:
    """It was free again when the connection was lost."""
    two = realm("a", "b")
    two.register("a", "arthur")
    two.pass_on("ab")
    (stale,) = two.pipes["b", "a"]
    two.part("a", "b")
    assert two.answers == {"arthur": DONE}  # alone
    two.do("a", two["a"].unregister("free", KING))
    two.connect("ab")
    two.register("a", "anna")
    claim = two.waiting("ab")[0]
    assert isinstance(stale, Told)
    forged = Told("b", 1, stale.session, Vote(KING, claim.number, "granted"))
    two.do("a", two["a"].receive(forged))
    assert two.holders()["a"] is None
    two.settle()
    assert two.answers["anna"] == DONE


# Missing something --------------------------------------------------------------------------------------------------


def test_a_change_after_a_missed_one_is_not_said_to_be_seen() -> None:
    """Who freed a name is answered when the listing that makes up for it has come."""
    two = realm("a", "b")
    two.register("a", "arthur")
    two.pass_on("ab")
    two.pass_on("ba")
    two.pipes["a", "b"].clear()  # the entry finds no room
    two.do("a", two["a"].refused("b"))
    assert two.done[-1] == Wait(nametable.CATCH_UP, "catch_up")
    two.do("a", two["a"].unregister("free", KING))
    assert two.waiting("ab") == []  # of no use to who is behind
    late = Told("a", 1, 1, Unregistered(2, KING, THIRD))
    two.do("b", two["b"].receive(late))
    assert two.waiting("ba") == []
    assert "free" not in two.answers
    two.do("a", two["a"].catch_up())
    assert [type(what) for what in two.waiting("ab")] == [Discover, Listing]
    two.settle()
    assert two.answers == {"arthur": DONE, "free": DONE}
    assert (len(two["a"]), len(two["b"])) == (0, 0)


def test_a_listing_in_parts_counts_when_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names come, and vanish, with the last part; parts of another listing do not fit in."""
    monkeypatch.setattr(nametable, "CHUNK", 1)
    two = Realm("a", "b")
    for name in ("x", "y"):
        two.do("a", two["a"].register(name, Someone(name), name, 0.0))
    two.do("a", two["a"].node_up("b", 1))
    two.do("b", two["b"].node_up("a", 1))
    two.pass_on("ba")
    two.pass_on("ab", 2)
    assert two["b"].names() == {}
    two.do("a", two["a"].catch_up())
    two.settle()
    assert two["b"].names() == {name: cast("Any", name) for name in ("x", "y")}


def test_what_a_names_actor_has_missed_is_asked_for_again() -> None:
    """Its mailbox is gone, and in it perhaps the peer's wish for a listing."""
    two = Realm("a", "b")
    two.register("a", "arthur")
    two.do("b", two["b"].node_up("a", 1))
    two.do("a", two["a"].node_up("b", 1))
    two.pipes["b", "a"].clear()
    two["a"].abandon()
    two.do("a", two["a"].resume([("b", 1)]))
    two.settle()
    assert two.holders() == {"a": "arthur", "b": "arthur"}


# Moving a name ------------------------------------------------------------------------------------------------------


def test_a_name_moves_without_a_gap() -> None:
    """The old holder is released when all have seen the new one, which shadows it from the first."""
    three = realm("a", "b", "c")
    three.register("a", "arthur")
    three.settle()
    three.register("b", "bruce", move=True)
    for way in ("ba", "bc", "ab", "cb"):
        three.pass_on(way)
    three.pass_on("ba")
    three.pass_on("ab")
    assert three.holders() == {"a": "bruce", "b": "bruce", "c": "arthur"}
    assert three.waiting("ba") == []  # no release before c has seen it
    three.pass_on("bc")
    three.pass_on("cb")
    assert three.waiting("ba") == [Release(KING, FIFTH, lost=False)]
    assert "bruce" not in three.answers
    three.pass_on("ba")
    assert three["a"].parties() == ()
    three.pass_on("ab")
    assert three.answers["bruce"] == DONE
    assert set(three.holders().values()) == {"bruce"}


def test_a_name_moves_within_a_node() -> None:
    """One entry takes the place of the other, and one monitor."""
    two = realm("a", "b")
    two.register("a", "arthur")
    two.settle()
    two.register("a", "anna", move=True)
    two.settle()
    assert two.answers["anna"] == DONE
    assert two.holders() == {"a": "anna", "b": "anna"}
    assert two["a"].parties() == (Someone("anna"),)


def test_a_move_that_a_partition_cut_short_is_finished_without_a_resolver() -> None:
    """The new entry says what it replaces, however late the old one's node hears of it."""
    two = realm("a", "b")
    two.register("a", "arthur")
    two.settle()
    two.register("b", "bruce", move=True)
    two.pass_on("ba")
    two.pass_on("ab")
    two.part("a", "b")
    assert two.holders() == {"a": "arthur", "b": "bruce"}
    two.connect("ab")
    assert two.holders() == {"a": "bruce", "b": "bruce"}
    assert not any(isinstance(done, Decide) for done in two.done)
    assert two["a"].parties() == ()


def test_a_name_that_has_moved_is_freed_where_it_is() -> None:
    """Who asks the node of the former holder is told where the name is now."""
    two = realm("a", "b")
    two.register("a", "arthur")
    two.settle()
    two.register("b", "bruce", move=True)
    two.pass_on("ba")
    two.pass_on("ab")
    two.pass_on("ba")
    two.do("a", two["a"].unregister("free", KING))
    assert two.answers["free"] == elsewhere("bruce")


# Conflicts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("winner", "holder"), [("mine", "arthur"), ("theirs", "bruce"), ("nobody", None)]
)
def test_when_partitions_join_the_smaller_name_decides_once(winner: str, holder: Any) -> None:
    """And its choice holds on all nodes."""
    three = Realm("a", "b", "c")
    three.winner = winner
    three.connect("bc")
    three.register("a", "arthur")
    three.register("b", "bruce")
    three.settle()
    three.connect("ab", "ac")
    assert [type(done) for done in three.done if isinstance(done, Decide)] == [Decide]
    assert set(three.holders().values()) == {holder}
    assert [table.parties() for table in three.tables.values()] == [
        (Someone("arthur"),) if holder == "arthur" else (),
        (Someone("bruce"),) if holder == "bruce" else (),
        (),
    ]


@pytest.mark.parametrize("wishes", [True, False])
def test_a_loser_is_killed_if_it_was_registered_so(wishes: bool) -> None:
    """Its own node does it, whoever has decided."""
    two = Realm("a", "b")
    two.register("a", "arthur")
    two.register("b", "bruce", terms=Terms(kill_loser=wishes))
    two.connect("ab")
    assert (Kill(Someone("bruce")) in two.done) == wishes


def test_until_it_is_decided_every_node_goes_on_with_the_holder_it_knew() -> None:
    """Even if the other one is older."""
    two = Realm("a", "b")
    two.register("a", "arthur")
    two.register("b", "bruce")
    two.do("a", two["a"].node_up("b", 1))
    two.do("b", two["b"].node_up("a", 1))
    two.pass_on("ba")
    two.pass_on("ab", 2)
    assert two.holders() == {"a": "arthur", "b": "bruce"}


def test_what_others_say_counts_in_their_session_only() -> None:
    """Strangers, earlier incarnations and other sessions are not heard."""
    two = realm("a", "b")
    entry = entry_of("bruce", Id("b", 1, 9))
    for told in (
        Told("x", 1, 1, Registered(1, entry)),
        Told("b", 2, 1, Registered(1, entry)),
        Told("b", 1, 7, Registered(1, entry)),
    ):
        assert two["a"].receive(told) == []
    assert two.holders() == {"a": None, "b": None}
    assert two["a"].node_lost("b", 2) == []
    two.do("a", two["a"].receive(Told("b", 1, 1, Registered(1, entry))))
    assert two.holders()["a"] == "bruce"
