"""Process groups on one node: what joins, leaves, deaths and watching are to the actors of it (otp-conformance 69-71)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

import actorkit as ak
from actorkit.cluster.groups import GROUPS_KEY, Groups
from actorkit.cluster.grouptable import CATCH_UP, Discover, Joined, PeerMessage, Sync
from actorkit.kernel.cell import Cell
from actorkit.kernel.items import Signal
from actorkit.testing import TestKit
from tests.harness import Puppet, puppet

READERS: ak.Group[object] = ak.Group("readers")
WRITERS: ak.Group[object] = ak.Group("writers")


class Watcher(Puppet):
    """Records the changes it is told of."""

    def group_changed(self, notice: ak.GroupChanged) -> None:
        self.log.append(notice)


class Reader(Puppet):
    """Joins when it starts, as a supervised member should."""

    def __init__(self, log: list[object], groups: Groups) -> None:
        super().__init__(log)
        self.groups = groups

    def started(self) -> None:
        assert self.groups.join(READERS, self.ctx.self)


class Elsewhere:
    """Other nodes as the test plays them: what they were told, and whether there is room for more."""

    def __init__(self) -> None:
        self.up: list[tuple[str, int]] = []
        self.told: list[tuple[str, PeerMessage]] = []
        self.room = True

    def listen(self, _: Cell, /) -> Iterable[tuple[str, int]]:
        """Who is up."""
        return self.up

    def send(self, node: str, told: PeerMessage, /) -> bool:
        """Take a message if there is room."""
        if self.room:
            self.told.append((node, told))
        return self.room


async def groups_of(kit: TestKit, peers: Elsewhere | None = None) -> Groups:
    """The process groups of the kit's system."""
    groups = Groups(kit.system.runtime, peers)
    await groups.start()
    return groups


def cell_of(ref: ak.Ref[Any]) -> Cell:
    """What stands for the present incarnation."""
    return ref._cell  # noqa: SLF001


async def watcher(kit: TestKit) -> tuple[ak.Ref[object], list[object]]:
    """Start a watcher."""
    log: list[object] = []
    return await kit.spawn(ak.props(Watcher, log)), log


# Members ------------------------------------------------------------------------------------------------------------------


async def test_a_member_is_listed_when_join_returns(kit: TestKit) -> None:
    """Once for each time it has joined; each leave takes one away, and says whether there was one."""
    groups, ann = await groups_of(kit), await kit.spawn(Puppet, [])
    assert groups.join(READERS, ann)
    assert groups.join(READERS, ann)
    assert groups.members(READERS) == groups.local_members(READERS) == (ann, ann)
    assert groups.leave(READERS, ann)
    assert groups.members(READERS) == (ann,)
    assert groups.leave(READERS, ann)
    assert not groups.leave(READERS, ann)
    assert groups.members(READERS) == ()
    assert groups.groups() == ()
    assert len(groups) == 0


async def test_death_ends_all_memberships(kit: TestKit) -> None:
    """The dead are in no group, and a group that had only them is gone."""
    groups = await groups_of(kit)
    ann, bob = await kit.spawn(Puppet, []), await kit.spawn(Puppet, [])
    for group in (READERS, READERS, WRITERS):
        groups.join(group, ann)
    groups.join(WRITERS, bob)
    await kit.kill(ann)
    await kit.settle()
    assert groups.groups() == ("writers",)
    assert groups.members(WRITERS) == (bob,)
    assert groups.members(READERS) == ()


async def test_the_dead_do_not_join(kit: TestKit) -> None:
    """Whoever lets one join is told that it is gone, and nothing is left of it."""
    groups, ann = await groups_of(kit), await kit.spawn(Puppet, [])
    await kit.kill(ann)
    assert not groups.join(READERS, ann)
    assert not groups.leave(READERS, ann)
    assert not groups.join(READERS, kit.system.named(ak.Key[object]("nobody")))
    assert len(groups) == 0


async def test_who_joins_by_name_is_the_holder(kit: TestKit) -> None:
    """A member is an actor: whoever holds the name at the time."""
    groups = await groups_of(kit)
    name = ak.Key[object]("ann")
    ann = await kit.spawn(ak.props(Puppet, []), name=name)
    assert groups.join(READERS, kit.system.named(name))
    assert groups.members(READERS) == (ann,)


async def test_an_actor_of_another_system_is_refused(kit: TestKit) -> None:
    """The error says where it lives; nothing has changed."""
    groups = await groups_of(kit)
    async with ak.open_system("far", logs=False) as far:
        stranger = await far.spawn(ak.props(Puppet, []))
        with pytest.raises(ValueError, match=r"lives on node 'far'.*join a group only on its own"):
            groups.join(READERS, stranger)
        with pytest.raises(ValueError, match=r"lives on node 'far'.*leave a group only on its own"):
            groups.leave(READERS, stranger)
    assert len(groups) == 0


async def test_a_restarted_child_is_a_member_once(kit: TestKit) -> None:
    """A child that joins when it starts is never listed twice, though its reference is the same: members are incarnations."""
    groups = await groups_of(kit)
    spec = ak.Child("reader", ak.props(Reader, [], groups), restart="permanent")
    tree = await kit.start(ak.supervise(spec, max_restarts=100))
    seen: set[tuple[Any, ...]] = set()
    for _ in range(20):
        await kit.kill(tree.child(spec))
        seen.add(groups.members(READERS))
        await kit.settle()
        assert groups.members(READERS) == (tree.child(spec),)
    assert seen <= {(tree.child(spec),), ()}
    await tree.stop()
    await kit.settle()
    assert len(groups) == 0


@pytest.mark.parametrize("seed", range(4))
async def test_no_order_of_join_leave_and_death_leaves_anything(kit: TestKit, seed: int) -> None:
    """A hundred actors join, watch, leave and die in any order, some in the midst of it (otp-conformance 70)."""
    groups, rng = await groups_of(kit), Random(seed)
    for _ in range(100):
        ref, _log = await watcher(kit)
        joined: Counter[ak.Group[object]] = Counter()
        for what in rng.choices(["join", "leave", "watch", "unwatch", "kill", "settle"], k=12):
            group = rng.choice([READERS, WRITERS])
            match what:
                case "join":
                    joined[group] += groups.join(group, ref)
                case "leave":
                    joined[group] -= groups.leave(group, ref)
                case "watch":
                    groups.watch(group.name, cell_of(ref))
                case "unwatch":
                    groups.unwatch(group.name, cell_of(ref))
                case "kill":
                    ref.kill()
                case _:
                    await kit.settle()
            assert not ref.alive or groups.members(group).count(ref) == joined[group]
        ref.kill()
    await kit.settle()
    assert len(groups) == 0
    assert groups.groups() == ()
    assert not kit.crashes


async def test_the_code_of_the_dead_joins_nothing(kit: TestKit) -> None:
    """What a killed actor still tries is refused, as all else is."""
    groups, ann = await groups_of(kit), await puppet(kit.system)
    bob, errors = await kit.spawn(Puppet, []), list[object]()

    async def linger(ctx: ak.Context[Any]) -> None:
        try:
            await ctx.sleep(60)
        finally:
            for change in (groups.join, groups.leave):
                with pytest.raises(ak.ActorDied) as caught:
                    change(READERS, bob)
                errors.append(caught.value)

    ann.cue(linger)
    await kit.settle()
    await kit.kill(ann.ref)
    assert len(errors) == 2
    assert len(groups) == 0


# Watching -----------------------------------------------------------------------------------------------------------------


async def test_a_watcher_sees_everything_once(kit: TestKit) -> None:
    """The members there are when it begins, and then each change, in order, with repetitions (otp-conformance 71)."""
    groups, ann = await groups_of(kit), await kit.spawn(Puppet, [])
    ref, log = await watcher(kit)
    groups.join(READERS, ann)
    groups.join(READERS, ann)
    assert groups.watch("readers", cell_of(ref)) == (ann, ann)
    groups.join(READERS, ref)
    groups.join(WRITERS, ann)
    groups.leave(READERS, ann)
    groups.join(READERS, ann)
    await kit.kill(ann)
    await kit.settle()
    assert log == [
        ak.GroupChanged("readers", joined=(ref,)),
        ak.GroupChanged("readers", left=(ann,)),
        ak.GroupChanged("readers", joined=(ann,)),
        ak.GroupChanged("readers", left=(ann, ann)),
    ]


async def test_nothing_comes_after_unwatching(kit: TestKit) -> None:
    """Not even what waited in the mailbox; notices of other groups stay there."""
    groups, ann = await groups_of(kit), await kit.spawn(Puppet, [])
    ref, log = await watcher(kit)
    for group in (READERS, WRITERS):
        groups.watch(group.name, cell_of(ref))
        groups.join(group, ann)
    assert groups.unwatch("readers", cell_of(ref))
    assert not groups.unwatch("readers", cell_of(ref))
    groups.join(READERS, ann)
    await kit.settle()
    assert log == [ak.GroupChanged("writers", joined=(ann,))]


async def test_watching_again_begins_anew(kit: TestKit) -> None:
    """What waited in the mailbox is part of what is returned, and is not told once more."""
    groups, ann = await groups_of(kit), await kit.spawn(Puppet, [])
    ref, log = await watcher(kit)
    groups.watch("readers", cell_of(ref))
    groups.join(READERS, ann)
    assert groups.watch("readers", cell_of(ref)) == (ann,)
    groups.leave(READERS, ann)
    await kit.settle()
    assert log == [ak.GroupChanged("readers", left=(ann,))]


async def test_a_dead_watcher_is_dropped(kit: TestKit) -> None:
    """Nothing is kept for it, and one that is dead already is not let in."""
    groups = await groups_of(kit)
    ref, _ = await watcher(kit)
    groups.watch("readers", cell_of(ref))
    await kit.kill(ref)
    await kit.settle()
    assert len(groups) == 0
    assert groups.watch("readers", cell_of(ref)) == ()
    assert len(groups) == 0


# The groups actor -----------------------------------------------------------------------------------------------------------


async def test_groups_outlive_their_actor(kit: TestKit) -> None:
    """If it dies, groups go on as they were; the next one finds out who died meanwhile, and watches the others."""
    groups = Groups(kit.system.runtime)
    actor = await groups.start()
    refs = [await kit.spawn(Puppet, []) for _ in range(3)]
    ref, log = await watcher(kit)
    groups.watch("readers", cell_of(ref))
    groups.join(READERS, refs[0])
    groups.join(READERS, refs[1])
    await kit.kill(actor)
    groups.join(READERS, refs[2])
    await kit.kill(refs[0])
    assert groups.members(READERS) == tuple(refs)
    await groups.start()
    assert groups.members(READERS) == (refs[1], refs[2])
    await kit.kill(refs[2])
    await kit.settle()
    assert groups.members(READERS) == (refs[1],)
    assert [notice.left for notice in log if isinstance(notice, ak.GroupChanged)][-2:] == [
        (refs[0],),
        (refs[2],),
    ]


async def test_what_others_must_hear_is_told_in_order(kit: TestKit) -> None:
    """By the groups actor and nobody else: whoever changes something waits for nothing."""
    elsewhere = Elsewhere()
    elsewhere.up = [("far", 7)]
    groups = await groups_of(kit, elsewhere)
    ann = await kit.spawn(Puppet, [])
    elsewhere.told.clear()
    groups.join(READERS, ann)
    groups.leave(READERS, ann)
    groups.join(READERS, ann)
    assert elsewhere.told == []
    await kit.settle()
    assert [type(told).__name__ for _, told in elsewhere.told] == ["Joined", "Left", "Joined"]
    assert {node for node, _ in elsewhere.told} == {"far"}


async def test_what_found_no_room_is_made_up_for(kit: TestKit) -> None:
    """A peer that missed a change gets the whole list as soon as there is room, looked for once a second."""
    elsewhere = Elsewhere()
    elsewhere.up = [("far", 7)]
    groups = await groups_of(kit, elsewhere)
    ann = await kit.spawn(Puppet, [])
    elsewhere.told.clear()
    elsewhere.room = False
    groups.join(READERS, ann)
    await kit.advance(3 * CATCH_UP)
    elsewhere.room = True
    groups.join(READERS, ann)
    await kit.advance(CATCH_UP)
    assert [type(told) for _, told in elsewhere.told] == [Discover, Sync]
    listed = elsewhere.told[-1][1]
    assert isinstance(listed, Sync)
    assert listed.groups == (("readers", (ann, ann)),)


async def test_a_peer_speaks_only_of_its_own(kit: TestKit) -> None:
    """What a peer says of actors that do not live on its node is ignored: it cannot let others' actors join or leave."""
    groups = await groups_of(kit, Elsewhere())
    actor = kit.system.whereis(GROUPS_KEY)
    assert actor is not None
    async with ak.open_system("far", logs=False) as far:
        there = await far.spawn(ak.props(Puppet, []))
        here = await kit.spawn(Puppet, [])
        address = there.address
        cell_of(actor).put(Signal(ak.NodeUp("far", address.incarnation)))
        for ref in (there, here):
            listed = (("readers", (ref,)),)
            actor.tell(Sync("far", address.incarnation, 1, 0, 1, listed))
            actor.tell(Joined("far", address.incarnation, ref, ("writers",)))
        await kit.settle()
        assert groups.members(READERS) == groups.members(WRITERS) == (there,)
        assert groups.local_members(READERS) == ()
