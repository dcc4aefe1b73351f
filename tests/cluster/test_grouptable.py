"""One table of process groups: OTP's cases of ``pg`` that one node can show (otp-conformance 69-71), and what it hears."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import attrs
import pytest

from actorkit.cluster import grouptable
from actorkit.cluster.grouptable import (
    Directive,
    Discover,
    GroupTable,
    Joined,
    Left,
    Listed,
    Notify,
    PeerMessage,
    Send,
    Sync,
    Unwatch,
    Wait,
    Watch,
)


@attrs.frozen
class Someone:
    """Stands for an incarnation of an actor; two lives of one actor have one reference."""

    name: str
    life: int = 1

    @property
    def ref(self) -> Any:
        """Tables take anything for a reference."""
        return self.name


ANN, BOB, EVE = Someone("ann"), Someone("bob"), Someone("eve")
READ, WRITE = "readers", "writers"


def a_table() -> Any:
    """The table of a node called here."""
    return GroupTable[Someone]("here", 1)


def sent(todo: Iterable[Directive[Someone]]) -> list[PeerMessage]:
    """The messages among some directives."""
    return [directive.message for directive in todo if isinstance(directive, Send)]


def told(todo: Iterable[Directive[Someone]]) -> list[Notify[Someone]]:
    """The notices among some directives."""
    return [directive for directive in todo if isinstance(directive, Notify)]


def changed(watcher: Someone, group: str, joined: Any, left: Any) -> Notify[Someone]:
    """The notice of a change to one watcher."""
    return Notify((watcher,), group, joined, left)


def listed(*groups: tuple[str, tuple[str, ...]]) -> Listed:
    """What a list says, names standing for references."""
    return cast(Listed, groups)


def a_list(
    *groups: tuple[str, tuple[str, ...]], number: int = 1, part: int = 0, parts: int = 1
) -> Sync:
    """The list of a node called there, in its second incarnation."""
    return Sync("there", 2, number, part, parts, listed(*groups))


def joined(name: Any, *groups: str) -> Joined:
    """Somebody over there joined."""
    return Joined("there", 2, name, groups)


def left(name: Any, *groups: str) -> Left:
    """Somebody over there left."""
    return Left("there", 2, name, groups)


def with_peer(*groups: tuple[str, tuple[str, ...]]) -> Any:
    """A table that has a list of there, and whose changes there wants to hear."""
    table = a_table()
    table.node_up("there", 2)
    table.receive(Discover("there", 2))
    table.receive(a_list(*groups))
    return table


# Members of this node ---------------------------------------------------------------------------------------------------


def test_who_joins_twice_is_listed_twice() -> None:
    """Each join is a membership of its own; one leave removes one."""
    table = a_table()
    assert table.join(ANN, READ) == (Watch(ANN),)
    assert table.join(ANN, READ) == ()
    assert table.members(READ) == table.local_members(READ) == ("ann", "ann")
    assert table.leave(ANN, READ) == ()
    assert table.members(READ) == ("ann",)


def test_death_ends_all_memberships() -> None:
    """The dead leave every group, however often they joined, and empty groups are gone with them."""
    table = a_table()
    for group in (READ, READ, WRITE):
        table.join(ANN, group)
    table.join(BOB, WRITE)
    assert table.groups() == (READ, WRITE)
    assert table.died(ANN) == (Unwatch(ANN),)
    assert table.groups() == (WRITE,)
    assert table.members(READ) == ()
    assert table.members(WRITE) == ("bob",)


def test_the_last_leave_leaves_nothing_behind() -> None:
    """A group without members is no group, and nobody's death matters any more."""
    table = a_table()
    table.join(ANN, READ)
    assert table.members(READ) == table.local_members(READ) == ("ann",)
    assert table.leave(ANN, READ) == (Unwatch(ANN),)
    assert table.groups() == table.parties() == table.members(READ) == ()
    assert len(table) == 0


@pytest.mark.parametrize("who", [BOB, Someone("ann", 2)], ids=["a stranger", "the next life"])
def test_who_has_not_joined_cannot_leave(who: Someone) -> None:
    """Leaving a group one is not in changes nothing; a new incarnation is in none."""
    table = a_table()
    table.join(ANN, READ)
    assert not table.is_member(who, READ)
    assert not table.is_member(ANN, WRITE)
    assert table.leave(who, READ) == table.leave(ANN, WRITE) == ()
    assert table.members(READ) == ("ann",)


def test_the_dead_are_buried_once() -> None:
    """A second notice of a death, or one of somebody unknown, is nothing new."""
    table = a_table()
    table.join(ANN, READ)
    table.died(ANN)
    assert table.died(ANN) == table.died(BOB) == ()


def test_a_new_incarnation_that_joins_is_the_death_of_the_last() -> None:
    """A restarted actor may join before the notice of its last death comes: it is never listed twice for that."""
    table = a_table()
    table.watch(EVE, READ)
    table.join(ANN, READ)
    reborn = Someone("ann", 2)
    assert table.join(reborn, READ) == (
        changed(EVE, READ, (), ("ann",)),
        Unwatch(ANN),
        Watch(reborn),
        changed(EVE, READ, ("ann",), ()),
    )
    assert table.died(ANN) == ()
    assert table.members(READ) == ("ann",)


# Watching -----------------------------------------------------------------------------------------------------------------


def test_a_watcher_hears_of_each_change() -> None:
    """Who joined or left is named as often as it did; changes of other groups are not told."""
    table = with_peer()
    table.join(ANN, READ)
    table.join(ANN, READ)
    assert table.watch(EVE, READ) == (Watch(EVE),)
    assert told(table.join(ANN, WRITE)) == []
    assert told(table.join(BOB, READ)) == [changed(EVE, READ, ("bob",), ())]
    assert told(table.receive(joined("zoe", READ, WRITE, READ))) == [
        changed(EVE, READ, ("zoe", "zoe"), ())
    ]
    assert told(table.leave(ANN, READ)) == [changed(EVE, READ, (), ("ann",))]
    table.join(ANN, READ)
    assert told(table.died(ANN)) == [changed(EVE, READ, (), ("ann", "ann"))]
    assert told(table.node_lost("there", 2)) == [changed(EVE, READ, (), ("zoe", "zoe"))]


def test_watching_twice_is_watching_once() -> None:
    """One notice of each change, and one word ends it."""
    table = a_table()
    table.watch(EVE, READ)
    assert table.watch(EVE, READ) == ()
    assert told(table.join(ANN, READ)) == [changed(EVE, READ, ("ann",), ())]
    assert table.unwatch(EVE, READ) == (Unwatch(EVE),)
    assert told(table.join(ANN, READ)) == []


def test_who_watches_no_more_hears_nothing() -> None:
    """Unwatching one group leaves others alone; unwatching what was not watched changes nothing."""
    table = a_table()
    table.watch(EVE, READ)
    table.watch(EVE, WRITE)
    table.watch(BOB, READ)
    assert table.unwatch(EVE, READ) == ()
    assert table.unwatch(EVE, READ) == table.unwatch(ANN, READ) == ()
    assert told(table.join(ANN, READ)) == [changed(BOB, READ, ("ann",), ())]
    assert told(table.join(ANN, WRITE)) == [changed(EVE, WRITE, ("ann",), ())]
    assert not table.is_watching(EVE, READ)
    assert table.is_watching(EVE, WRITE)


def test_a_dead_watcher_is_dropped() -> None:
    """Nobody is told in its place, and nothing of it is left."""
    table = a_table()
    table.watch(EVE, READ)
    table.watch(EVE, WRITE)
    assert table.died(EVE) == (Unwatch(EVE),)
    assert table.join(ANN, READ) == (Watch(ANN),)
    assert not table.is_watching(EVE, WRITE)
    table.leave(ANN, READ)
    assert len(table) == 0


def test_a_member_that_watches_has_one_monitor() -> None:
    """One watch on its life serves both, and is undone when neither needs it."""
    table = a_table()
    assert table.watch(ANN, READ) == (Watch(ANN),)
    assert table.join(ANN, WRITE) == ()
    assert table.unwatch(ANN, READ) == ()
    assert table.watch(ANN, READ) == ()
    assert table.leave(ANN, WRITE) == ()
    assert table.parties() == (ANN,)
    assert table.unwatch(ANN, READ) == (Unwatch(ANN),)


# What other nodes are told --------------------------------------------------------------------------------------------------


def test_each_connection_begins_with_a_question() -> None:
    """A node that comes up is asked for its list; it is told nothing before it asks itself."""
    table = a_table()
    table.join(ANN, READ)
    assert table.node_up("there", 2) == (Send(("there",), Discover("here", 1)),)
    assert sent(table.join(BOB, READ)) == []
    assert table.receive(Discover("there", 2)) == (
        Send(("there",), _list_here(1, (READ, ("ann", "bob")))),
    )


def test_who_has_the_list_gets_every_change() -> None:
    """Joins and leaves go to all who have asked, a death with all its memberships in one message."""
    table = with_peer()
    table.node_up("silent", 3)
    table.node_up("far", 3)
    table.receive(Discover("far", 3))
    both = ("there", "far")
    assert table.join(ANN, READ)[-1] == Send(both, _joined_here("ann", READ))
    assert table.join(ANN, READ)[-1] == Send(both, _joined_here("ann", READ))
    assert table.leave(ANN, READ)[-1] == Send(both, _left_here("ann", READ))
    table.join(ANN, READ)
    table.join(ANN, WRITE)
    assert table.died(ANN)[0] == Send(both, _left_here("ann", READ, READ, WRITE))


def test_a_lost_node_is_told_nothing() -> None:
    """What it would miss it gets with the list of its next connection."""
    table = with_peer()
    table.node_lost("there", 2)
    assert sent(table.join(ANN, READ)) == []
    table.node_up("there", 2)
    assert sent(table.join(ANN, READ)) == []
    assert sent(table.receive(Discover("there", 2))) == [_list_here(2, (READ, ("ann", "ann")))]


def test_a_long_list_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message grows beyond a bound, and the parts together are the list: the receiver sees it change once."""
    monkeypatch.setattr(grouptable, "CHUNK", 3)
    there: Any = GroupTable[Someone]("there", 2)
    there.node_up("here", 1)
    for name in "abcde":
        there.join(Someone(name), READ)
    there.join(ANN, WRITE)
    there.join(ANN, WRITE)
    lists = sent(there.receive(Discover("here", 1)))
    assert [
        sum(len(who) for _, who in part.groups) for part in lists if isinstance(part, Sync)
    ] == [
        3,
        3,
        1,
    ]
    table = with_peer((READ, ("e", "z")))
    table.watch(EVE, READ)
    notices = [told(table.receive(part)) for part in lists]
    assert notices == [[], [], [changed(EVE, READ, ("a", "b", "c", "d"), ("z",))]]
    assert table.members(WRITE) == ("ann", "ann")
    assert sorted(table.members(READ)) == ["a", "b", "c", "d", "e"]
    died = sent(there.died(ANN))
    assert [message.groups for message in died if isinstance(message, Left)] == [(WRITE, WRITE)]


def test_a_long_farewell_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who dies in many groups leaves them in several messages."""
    monkeypatch.setattr(grouptable, "CHUNK", 2)
    table = with_peer()
    for group in "abc":
        table.join(ANN, group)
    assert sent(table.died(ANN)) == [_left_here("ann", "a", "b"), _left_here("ann", "c")]


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_list_with_a_part_missing_is_no_list(missing: int) -> None:
    """If one part found no room on its way, nothing changes until the list comes again."""
    table = with_peer((READ, ("old",)))
    parts = [a_list((READ, (name,)), part=number, parts=3) for number, name in enumerate("abc")]
    for part in parts:
        if part.part != missing:
            table.receive(part)
    assert table.members(READ) == ("old",)
    for part in parts:
        table.receive(part)
    assert table.members(READ) == ("a", "b", "c")


def test_parts_of_two_lists_make_no_list() -> None:
    """If different parts of two lists found no room, what came of both is not taken for one."""
    table = with_peer((READ, ("old",)))
    table.receive(a_list((READ, ("a",)), number=2, part=0, parts=2))
    table.receive(a_list((READ, ("b",)), number=3, part=1, parts=2))
    assert table.members(READ) == ("old",)


# What other nodes tell --------------------------------------------------------------------------------------------------------


def test_members_elsewhere_are_members() -> None:
    """A list and the changes after it are what is known of a node; local members are this node's only."""
    table = with_peer((READ, ("zoe", "zoe")), (WRITE, ("zoe",)))
    table.join(ANN, READ)
    assert table.members(READ) == ("ann", "zoe", "zoe")
    assert table.local_members(READ) == ("ann",)
    table.receive(joined("yan", READ))
    table.receive(left("zoe", READ, WRITE))
    assert table.members(READ) == ("ann", "zoe", "yan")
    assert table.groups() == (READ,)


def test_a_list_replaces_what_was_known() -> None:
    """A watcher hears the difference, and nothing if there is none."""
    table = with_peer((READ, ("zoe", "zoe", "yan")))
    table.watch(EVE, READ)
    assert told(table.receive(a_list((READ, ("zoe", "xia", "xia"))))) == [
        changed(EVE, READ, ("xia", "xia"), ("zoe", "yan"))
    ]
    assert table.receive(a_list((READ, ("zoe", "xia", "xia")))) == ()
    assert told(table.receive(a_list())) == [changed(EVE, READ, (), ("zoe", "xia", "xia"))]


def test_changes_before_the_list_do_not_count() -> None:
    """What comes before the list belongs to an older connection: the list will tell."""
    table = a_table()
    table.node_up("there", 2)
    table.watch(EVE, READ)
    assert table.receive(joined("zoe", READ)) == ()
    assert table.members(READ) == ()
    assert table.receive(left("zoe", READ)) == ()


def test_a_lost_node_takes_its_members_along() -> None:
    """And nobody else's."""
    table = with_peer((READ, ("zoe",)), (WRITE, ("zoe",)))
    table.join(ANN, READ)
    table.node_lost("there", 2)
    assert table.members(READ) == ("ann",)
    assert table.groups() == (READ,)


@pytest.mark.parametrize(
    "late",
    [Discover("there", 2), a_list((READ, ("zoe",))), joined("zoe", READ), left("yan", READ)],
    ids=["discover", "sync", "joined", "left"],
)
def test_nothing_of_an_old_incarnation_survives_it(late: PeerMessage) -> None:
    """After its loss, and after its successor has come up, what it said is ignored."""
    table = with_peer((READ, ("zoe",)))
    table.node_lost("there", 2)
    assert table.receive(late) == ()
    table.node_up("there", 5)
    table.receive(Sync("there", 5, 1, 0, 1, listed((READ, ("yan",)))))
    assert table.receive(late) == ()
    assert table.members(READ) == ("yan",)


def test_the_loss_of_an_old_incarnation_takes_nobody_new() -> None:
    """A notice about an incarnation that is not up changes nothing."""
    table = with_peer((READ, ("zoe",)))
    assert table.node_lost("there", 1) == table.node_lost("nowhere", 2) == ()
    assert table.members(READ) == ("zoe",)


def test_a_node_that_comes_up_anew_begins_anew() -> None:
    """Even if its loss was never told."""
    table = with_peer((READ, ("zoe",)))
    table.watch(EVE, READ)
    assert told(table.node_up("there", 5)) == [changed(EVE, READ, (), ("zoe",))]
    assert table.members(READ) == ()
    assert table.receive(joined("zoe", READ)) == ()


def test_who_never_joined_cannot_leave_elsewhere() -> None:
    """A peer that says so is not believed: no watcher hears of it."""
    table = with_peer((READ, ("zoe",)))
    table.watch(EVE, READ)
    assert told(table.receive(left("yan", READ))) == []
    assert told(table.receive(left("zoe", READ, READ))) == [changed(EVE, READ, (), ("zoe",))]


# What finds no room ---------------------------------------------------------------------------------------------------------------


def test_who_missed_something_gets_a_new_list() -> None:
    """It is told no changes meanwhile; after a while it is asked, and told, everything anew."""
    table = with_peer()
    table.join(ANN, READ)
    assert table.refused("there") == (Wait(grouptable.CATCH_UP),)
    assert sent(table.join(BOB, READ)) == []
    assert sent(table.catch_up()) == [
        Discover("here", 1),
        _list_here(2, (READ, ("ann", "bob"))),
    ]
    assert sent(table.join(BOB, WRITE)) == [_joined_here("bob", WRITE)]
    assert table.catch_up() == ()


def test_one_while_is_enough_for_all() -> None:
    """However much finds no room, one timer runs; lost and unknown nodes need none."""
    table = with_peer()
    table.node_up("far", 3)
    assert len(table.refused("there")) == 1
    assert table.refused("there") == table.refused("far") == table.refused("nowhere") == ()
    table.node_lost("far", 3)
    assert len(table.catch_up()) == 2
    assert len(table.refused("there")) == 1


def test_a_question_that_found_no_room_is_asked_again() -> None:
    """Even if the other end has asked meanwhile."""
    table = a_table()
    table.node_up("there", 2)
    table.refused("there")
    table.receive(Discover("there", 2))
    assert Discover("here", 1) in sent(table.catch_up())


def test_after_an_absence_everything_is_told_anew() -> None:
    """Nodes lost meanwhile are forgotten; all others are asked and told, for what they asked meanwhile may be lost."""
    table = with_peer((READ, ("zoe",)))
    table.node_up("gone", 3)
    table.receive(Sync("gone", 3, 1, 0, 1, listed((WRITE, ("yan",)))))
    table.join(ANN, READ)
    todo = table.resume([("there", 2), ("new", 4)])
    assert todo == (
        Send(("there",), Discover("here", 1)),
        Send(("there",), _list_here(2, (READ, ("ann",)))),
        Send(("new",), Discover("here", 1)),
        Send(("new",), _list_here(3, (READ, ("ann",)))),
    )
    assert table.groups() == (READ,)
    assert table.members(READ) == ("ann", "zoe")


def _list_here(number: int, *groups: tuple[str, tuple[str, ...]]) -> Sync:
    return Sync("here", 1, number, 0, 1, listed(*groups))


def _joined_here(name: Any, *groups: str) -> Joined:
    return Joined("here", 1, name, groups)


def _left_here(name: Any, *groups: str) -> Left:
    return Left("here", 1, name, groups)
