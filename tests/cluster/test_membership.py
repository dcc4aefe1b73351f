"""What a membership decides, row by row of its table, and the rules beside it."""

from __future__ import annotations

from random import Random

import pytest

from actorkit.cluster.handshake import Identity, Status
from actorkit.cluster.membership import (
    FIRST_BACKOFF,
    HEAD_START,
    LAST_BACKOFF,
    REGOSSIP,
    Adopt,
    Announce,
    Cancel,
    Dial,
    Directive,
    Drop,
    GiveUp,
    Gossip,
    Membership,
    Mode,
    Reached,
    State,
    Wait,
)
from actorkit.kernel.notices import LostReason, NodeLost, NodeUp
from tests.cluster.test_membership_world import session_with

ME = Identity("m", 1, "m:1")
B = Identity("b", 7, "b:1")  # lesser than m
Z = Identity("z", 8, "z:1")  # greater


def member(mode: Mode = "always", *, mesh: bool = False, me: Identity = ME) -> Membership:
    """A membership that knows where b and z are."""
    membership = Membership(me, mode, mesh, Random(1))
    for other in (B, Z):
        membership.learn(other.name, other.address, 0.0)
    return membership


def without_wait(directives: list[Directive]) -> list[Directive]:
    """All but when to wake up."""
    return [d for d in directives if not isinstance(d, Wait)]


def waits(directives: list[Directive]) -> float:
    """When to wake up, as told last."""
    return [d.until for d in directives if isinstance(d, Wait)][-1]


def up(peer: Identity = B, number: int = 1, *, mode: Mode = "always") -> Membership:
    """A membership that has dialled a peer, at 10."""
    membership = member(mode)
    membership.connect(peer.name, 10.0)
    membership.dialled(peer.address, session_with(peer), number, 10.0)
    assert membership.state(peer.name) is State.UP
    return membership


def came_up(peer: Identity, number: int, nodes: tuple[str, ...]) -> list[Directive]:
    """What follows when a connection is up."""
    notice = NodeUp(peer.name, peer.incarnation)
    return [Adopt(number, peer.name, peer.incarnation), Announce(notice, nodes)]


def went_down(peer: Identity, reason: LostReason) -> Announce:
    """What follows when the last node is lost."""
    return Announce(NodeLost(peer.name, peer.incarnation, reason), ())


class TestUnknown:
    def test_wanted_is_given_up_at_once(self) -> None:
        """Nobody knows where it is."""
        assert member().want("x", 1.0) == [GiveUp("x", LostReason.UNREACHABLE)]
        assert member().connect("x", 1.0) == [GiveUp("x", LostReason.UNREACHABLE)]

    def test_wanted_while_a_strange_address_is_dialled_waits_for_who_answers(self) -> None:
        """It may be the one; and if it is another, the wish is given up."""
        for who, follows in ((Z, False), (B, True)):
            membership = Membership(ME, "always", False, Random(1))
            assert membership.join("s:1", 1.0) == [Dial("s:1", None)]
            assert membership.want("z", 1.0) == []
            got = membership.dialled("s:1", session_with(who), 1, 1.1)
            assert (GiveUp("z", LostReason.UNREACHABLE) in got) is follows
            assert Adopt(1, who.name, who.incarnation) in got

    def test_learnt_is_idle(self) -> None:
        """And dialled by nobody."""
        membership = Membership(ME, "always", False, Random(1))
        assert membership.state("b") is State.UNKNOWN
        assert membership.learn("b", "b:1", 1.0) == []
        assert membership.state("b") is State.IDLE


class TestIdle:
    def test_wanted_is_dialled_once(self) -> None:
        """However often it is wanted."""
        membership = member()
        assert membership.want("b", 1.0) == [Dial("b:1", "b")]
        assert membership.want("b", 1.0) == []
        assert membership.connect("b", 1.0) == []
        assert membership.state("b") is State.DIALLING

    def test_gossip_lets_the_lesser_name_dial_first(self) -> None:
        """Who is greater dials later, if the other has not come."""
        membership = member(mesh=True)
        assert membership.peers([("z", "z:1")], 1.0) == [Dial("z:1", "z")]
        later = membership.peers([("b", "b:1")], 1.0)
        assert later == [Wait(1.0 + HEAD_START)]
        assert membership.wake(1.0 + HEAD_START) == [Dial("b:1", "b")]

    def test_gossip_outside_a_mesh_is_only_remembered(self) -> None:
        """So do hidden nodes, and a name that is none is ignored."""
        for membership in (member(), member(mesh=True, me=Identity("m", 1, "m:1", hidden=True))):
            assert membership.peers([("x", "x:1"), ("no name!", "y:1"), ("m", "q:1")], 1.0) == []
            assert membership.want("x", 1.0) == [Dial("x:1", "x")]


class TestDialling:
    def test_answered_is_up(self) -> None:
        """And said so, to who asked for it too."""
        membership = member()
        membership.connect("b", 1.0)
        got = membership.dialled("b:1", session_with(B), 5, 1.1)
        assert got == [*came_up(B, 5, ("b",)), Reached("b", "b")]
        assert membership.connection("b") == 5

    def test_answered_by_somebody_else_connects_that_one(self) -> None:
        """Who wanted the other is told."""
        membership = member()
        membership.want("b", 1.0)
        got = membership.dialled("b:1", session_with(Z), 5, 1.1)
        assert got == [GiveUp("b", LostReason.REFUSED), *came_up(Z, 5, ("z",))]
        assert membership.state("b") is State.UNKNOWN

    def test_a_wrong_node_is_forgotten(self) -> None:
        """Its address was wrong."""
        membership = member()
        membership.want("b", 1.0)
        refused = membership.failed("b:1", Status.WRONG_NODE, 1.1)
        assert refused == [GiveUp("b", LostReason.REFUSED)]
        assert membership.address("b") is None

    @pytest.mark.parametrize("why", [Status.SIMULTANEOUS, Status.ALREADY])
    def test_refused_for_another_connection_waits_for_that(self, why: Status) -> None:
        """And dials again if it does not come, but not while it is judged."""
        membership = member()
        membership.want("z", 1.0)
        again = waits(membership.failed("z:1", why, 1.1, Z))
        assert membership.state("z") is State.WAITING
        assert membership.judge(Z, 9, 1.1) is Status.OK
        assert without_wait(membership.wake(again)) == []
        assert membership.lost(9, LostReason.CLOSED, again) == [Dial("z:1", "z")]

    @pytest.mark.parametrize(
        ("why", "reason"),
        [
            (LostReason.UNREACHABLE, LostReason.UNREACHABLE),
            (LostReason.REFUSED, LostReason.REFUSED),
            (Status.NOT_ALLOWED, LostReason.REFUSED),
            (Status.VERSION, LostReason.REFUSED),
        ],
    )
    def test_failed_gives_up_and_is_not_repeated(
        self, why: LostReason | Status, reason: LostReason
    ) -> None:
        """Whoever waits is told, once; nobody wants it any longer."""
        membership = member()
        membership.want("b", 1.0)
        assert membership.failed("b:1", why, 1.1) == [GiveUp("b", reason)]
        assert membership.wake(100.0) == []

    def test_disconnect_cancels(self) -> None:
        """The dial, and what waits."""
        membership = member()
        membership.want("b", 1.0)
        got = membership.disconnect("b", 1.1)
        assert got == [Cancel("b:1"), GiveUp("b", LostReason.DISCONNECT)]
        late = membership.dialled("b:1", session_with(B), 5, 1.2)
        assert late == [Drop(5, LostReason.DISCONNECT)]

    def test_own_address_is_dropped_for_good(self) -> None:
        """Whether it is known beforehand or found out."""
        membership = member()
        assert membership.join("m:1", 1.0) == []
        assert membership.join("self:1", 1.0) == [Dial("self:1", None)]
        assert membership.failed("self:1", Status.SELF, 1.1) == []
        assert membership.wake(100.0) == []
        assert membership.connect("m:1", 1.0) == [Reached("m:1", "m")]


class TestWaiting:
    def test_seeds_are_tried_with_a_growing_backoff(self) -> None:
        """From a tenth of a second to five; those that refuse are asked at the slowest pace at once."""
        membership = member()
        membership.join("s:1", 0.0)
        now, gaps = 0.0, list[float]()
        for _ in range(12):
            again = waits(membership.failed("s:1", LostReason.UNREACHABLE, now))
            gaps.append(again - now)
            now = again
            assert Dial("s:1", None) in membership.wake(now)
        assert FIRST_BACKOFF / 2 <= gaps[0] <= FIRST_BACKOFF
        assert all(LAST_BACKOFF / 2 <= gap <= LAST_BACKOFF for gap in gaps[7:])
        refusing = member()
        refusing.join("s:1", 0.0)
        assert waits(refusing.failed("s:1", Status.NOT_ALLOWED, 0.0)) >= LAST_BACKOFF / 2

    def test_a_wish_waits_for_the_backoff_and_an_explicit_one_does_not(self) -> None:
        """A thousand senders a second make no storm."""
        membership = member()
        membership.want("b", 0.0)
        membership.failed("b:1", LostReason.UNREACHABLE, 0.0)
        dials = 0
        for step in range(1, 6_001):
            got = membership.want("b", step / 100)
            if Dial("b:1", "b") in got or Dial("b:1", "b") in membership.wake(step / 100):
                dials += 1
                membership.failed("b:1", LostReason.UNREACHABLE, step / 100)
        assert 12 <= dials <= 31
        membership.want("b", 60.0)
        if membership.state("b") is State.DIALLING:
            membership.failed("b:1", LostReason.UNREACHABLE, 60.0)
        assert Dial("b:1", "b") in membership.connect("b", 60.01)


class TestUp:
    def test_lost_is_announced_and_nobody_dials(self) -> None:
        """Until somebody wants it."""
        membership = up()
        assert membership.lost(1, LostReason.TICK, 20.0) == [went_down(B, LostReason.TICK)]
        assert membership.state("b") is State.IDLE
        assert membership.wake(99.0) == []
        assert membership.want("b", 99.0) == [Dial("b:1", "b")]

    def test_a_lost_seed_is_dialled_again(self) -> None:
        """After the first backoff."""
        membership = member()
        membership.join("b:1", 0.0)
        membership.dialled("b:1", session_with(B), 1, 0.0)
        again = waits(membership.lost(1, LostReason.CLOSED, 20.0))
        assert 20.0 < again <= 20.0 + FIRST_BACKOFF
        assert membership.state("b") is State.WAITING
        assert Dial("b:1", None) in membership.wake(again)

    def test_disconnect_drops_and_a_seed_is_none_any_longer(self) -> None:
        """Nothing is dialled until somebody wants it."""
        membership = member()
        membership.join("b:1", 0.0)
        membership.dialled("b:1", session_with(B), 1, 0.0)
        got = membership.disconnect("b", 20.0)
        gone = [Drop(1, LostReason.DISCONNECT), went_down(B, LostReason.DISCONNECT)]
        assert without_wait(got) == gone
        assert membership.wake(99.0) == []

    @pytest.mark.parametrize("dials", [True, False])
    def test_a_new_incarnation_replaces_the_old(self, dials: bool) -> None:
        """The loss of the old is announced before the new, and each notice with who is up by then."""
        membership, again = up(), Identity("b", 70, "b:2")
        if dials:
            membership.connect("x:9", 20.0)
            got = membership.dialled("x:9", session_with(again), 2, 20.1)
        else:
            assert membership.judge(again, 2, 20.0) is Status.OK
            got = membership.accepted(session_with(again), 2, 20.1)
        assert got[:2] == [Drop(1, LostReason.REPLACED), went_down(B, LostReason.REPLACED)]
        assert got[2:4] == came_up(again, 2, ("b",))
        assert membership.incarnation("b") == 70

    def test_a_needless_dial_is_dropped(self) -> None:
        """And who asked for that address is answered."""
        membership = up()
        membership.connect("x:9", 20.0)
        got = membership.dialled("x:9", session_with(B), 2, 20.1)
        assert got == [Drop(2, LostReason.REPLACED), Reached("x:9", "b")]

    def test_a_newcomer_replaces_a_half_dead_connection(self) -> None:
        """One that is judged later than the present one came up, and confirmed."""
        membership = up()
        assert membership.judge(B, 2, 20.0) is Status.OK
        got = membership.accepted(session_with(B), 2, 20.1)
        assert got == [
            Drop(1, LostReason.REPLACED),
            went_down(B, LostReason.REPLACED),
            *came_up(B, 2, ("b",)),
        ]

    def test_an_aborted_dial_replaces_nothing(self) -> None:
        """Judged is not confirmed."""
        membership = up()
        assert membership.judge(B, 2, 20.0) is Status.OK
        assert membership.lost(2, LostReason.CLOSED, 20.1) == []
        assert membership.connection("b") == 1

    def test_a_greater_name_is_told_once_that_it_is_connected_already(self) -> None:
        """Who comes again has lost that connection."""
        membership = up(Z)
        assert membership.judge(Z, 2, 20.0) is Status.ALREADY
        assert membership.judge(Z, 3, 20.1) is Status.OK


class TestJudging:
    def test_the_dial_of_the_greater_name_survives(self) -> None:
        """The lesser's is refused, and the greater's is taken."""
        membership = member()
        membership.want("b", 1.0)
        membership.want("z", 1.0)
        assert membership.judge(B, 1, 1.1) is Status.SIMULTANEOUS
        assert membership.judge(Z, 2, 1.1) is Status.OK
        got = membership.dialled("z:1", session_with(Z), 3, 1.2)
        assert without_wait(got) == [Drop(3, LostReason.REPLACED)]
        assert without_wait(membership.accepted(session_with(Z), 2, 1.3)) == came_up(Z, 2, ("z",))

    def test_one_judged_before_the_present_one_was_up_does_not_replace_it(self) -> None:
        """It crossed a dial to another address of the same node, by the greater name."""
        membership = member()
        membership.connect("x:9", 1.0)
        assert membership.judge(B, 2, 1.1) is Status.OK
        assert Adopt(3, "b", 7) in membership.dialled("x:9", session_with(B), 3, 1.2)
        late = membership.accepted(session_with(B), 2, 1.3)
        assert late == [Drop(2, LostReason.REPLACED)]

    def test_a_life_that_was_judged_after_a_dial_began_comes_after_the_one_that_answers(
        self,
    ) -> None:
        """The answer is late, from a process that is no more."""
        membership = member()
        membership.connect("x:9", 1.0)
        assert membership.judge(Identity("b", 70, "b:1"), 2, 1.1) is Status.OK
        got = membership.dialled("x:9", session_with(B), 3, 1.2)
        assert without_wait(got) == [Drop(3, LostReason.REPLACED)]

    def test_namesakes_are_refused(self) -> None:
        """Oneself is told from another node of the same name."""
        assert member().judge(ME, 1, 1.0) is Status.SELF
        assert member().judge(Identity("m", 2, "q:1"), 1, 1.0) is Status.NOT_ALLOWED

    def test_a_connection_that_was_never_judged_is_dropped(self) -> None:
        """It cannot be confirmed."""
        got = member().accepted(session_with(B), 1, 1.0)
        assert got == [Drop(1, LostReason.DISCONNECT)]


class TestModes:
    def test_never_connects_only_when_asked(self) -> None:
        """A send does not, gossip does not; an explicit connect does."""
        membership = member("never", mesh=True)
        assert membership.want("b", 1.0) == [GiveUp("b", LostReason.UNREACHABLE)]
        assert membership.peers([("z", "z:1")], 1.0) == []
        assert membership.connect("b", 1.0) == [Dial("b:1", "b")]

    def test_once_does_not_mend_what_broke(self) -> None:
        """Sending connects until then; afterwards only asking does, or the peer."""
        membership = member("once")
        assert membership.want("b", 1.0) == [Dial("b:1", "b")]
        membership.dialled("b:1", session_with(B), 1, 1.0)
        membership.lost(1, LostReason.CLOSED, 20.0)
        assert membership.want("b", 30.0) == [GiveUp("b", LostReason.UNREACHABLE)]
        assert membership.judge(B, 2, 30.0) is Status.OK
        assert without_wait(membership.accepted(session_with(B), 2, 30.0)) == came_up(B, 2, ("b",))
        membership.lost(2, LostReason.CLOSED, 50.0)
        assert membership.want("b", 60.0) == [GiveUp("b", LostReason.UNREACHABLE)]
        assert membership.connect("b", 60.0) == [Dial("b:1", "b")]

    @pytest.mark.parametrize("mode", ["once", "never"])
    def test_seeds_are_tried_until_reached_and_not_after_a_break(self, mode: Mode) -> None:
        """Only ``always`` mends by itself."""
        membership = member(mode)
        membership.join("b:1", 0.0)
        again = waits(membership.failed("b:1", LostReason.UNREACHABLE, 0.0))
        assert Dial("b:1", None) in membership.wake(again)
        membership.dialled("b:1", session_with(B), 1, again)
        assert membership.lost(1, LostReason.CLOSED, 20.0) == [went_down(B, LostReason.CLOSED)]


class TestGossip:
    def test_newcomers_and_the_others_hear_of_each_other_now_and_again(self) -> None:
        """Hidden ones hear nothing and are not told of, nor listed, nor announced."""
        membership = member(mesh=True)
        for number, who in enumerate((B, Z, Identity("h", 3, "h:1", hidden=True)), 1):
            membership.judge(who, number, 1.0)
            got = membership.accepted(session_with(who), number, 1.0)
            told = [d for d in got if isinstance(d, Gossip)]
            expected = [Gossip(2, (("b", "b:1"),)), Gossip(1, (("z", "z:1"),))]
            assert told == (expected if who is Z else [])
            announced = [d for d in got if isinstance(d, Announce)]
            assert len(announced) == (0 if who.hidden else 1)
        assert membership.nodes() == ("b", "z")
        assert membership.connection("h") == 3
        again = [d for d in membership.wake(1.0 + 1.2 * REGOSSIP) if isinstance(d, Gossip)]
        assert again == [Gossip(1, (("z", "z:1"),)), Gossip(2, (("b", "b:1"),))]
        assert membership.lost(3, LostReason.CLOSED, 50.0) == []


def test_close_drops_everything_and_takes_nothing_more() -> None:
    """Connections, judged ones, dials, wishes."""
    membership = up()
    membership.want("z", 20.0)
    membership.judge(Identity("c", 3), 4, 20.0)
    assert membership.close(20.1) == [
        Cancel("z:1"),
        Drop(4, LostReason.DISCONNECT),
        Drop(1, LostReason.DISCONNECT),
        went_down(B, LostReason.DISCONNECT),
        GiveUp("z", LostReason.DISCONNECT),
    ]
    assert membership.judge(B, 5, 20.2) is Status.NOT_ALLOWED
    assert membership.want("b", 20.2) == [GiveUp("b", LostReason.DISCONNECT)]
    assert membership.connect("b:1", 20.2) == [GiveUp("b:1", LostReason.DISCONNECT)]
    assert membership.join("s:1", 20.2) == membership.wake(30.0) == []
