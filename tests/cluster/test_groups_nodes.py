"""Process groups across nodes over TCP: they agree when all has arrived, and after every loss and return."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.cluster import grouptable
from tests.cluster.two_nodes import (
    PATIENCE,
    Note,
    Player,
    checked_node,
    nodes,
    player,
    seen,
    until,
    wire_to,
)
from tests.harness import Strings

READERS: ak.Group[Any] = ak.Group("readers")
WRITERS: ak.Group[Any] = ak.Group("writers")


class Watcher(Player):
    """A player that keeps the members of a group as it is told."""

    def __init__(self, log: list[object]) -> None:
        super().__init__(log)
        self.view: Counter[ak.Ref[Any]] = Counter()

    def started(self) -> None:
        self.view = Counter(self.ctx.watch_group(READERS))

    def group_changed(self, notice: ak.GroupChanged) -> None:
        """Keep up; nobody leaves who was not there."""
        assert Counter(notice.left) <= self.view
        self.view.subtract(notice.left)
        self.view.update(notice.joined)
        self.log.append(notice)


class Reader(Player):
    """Joins when it starts."""

    def started(self) -> None:
        ak.Node.of(self.ctx).join(READERS, self.ctx.self)


async def watching(node: ak.Node) -> Strings:
    """Start a watcher."""
    log: list[object] = []
    return Strings(await node.spawn(ak.props(Watcher, log)), log)


def listed(node: ak.Node, group: ak.Group[Any] = READERS) -> Counter[str]:
    """The members as one node sees them, by the addresses they have on the wire."""
    return Counter(
        f"{ref.address.node}{ref.path.partition(':')[2] or ref.path}" for ref in node.members(group)
    )


def expected(*members: tuple[ak.Node, Strings, int]) -> Counter[str]:
    """What all nodes should see."""
    return Counter({f"{node.name}{who.ref.path}": times for node, who, times in members})


async def agree(*opened: ak.Node, on: Counter[str], group: ak.Group[Any] = READERS) -> None:
    """Wait until all nodes see these members."""
    await until(lambda: all(listed(node, group) == on for node in opened))


async def test_all_nodes_agree_on_the_members() -> None:
    """Whoever joins, leaves or dies on one node does so on all; each is listed as often as it has joined."""
    async with nodes("a", "b", "c") as (a, b, c):
        ann, bob, eve = await player(a), await player(b), await player(c)
        for node, who in ((a, ann), (b, bob), (b, bob), (c, eve)):
            assert node.join(READERS, who.ref)
        await agree(a, b, c, on=expected((a, ann, 1), (b, bob, 2), (c, eve, 1)))
        assert b.local_members(READERS) == (bob.ref, bob.ref)
        assert b.leave(READERS, bob.ref)
        eve.ref.kill()
        await agree(a, b, c, on=expected((a, ann, 1), (b, bob, 1)))


async def test_members_are_references_like_any_other() -> None:
    """What comes from a peer is the same reference that comes otherwise, and what is told to it arrives."""
    async with nodes("a", "b") as (a, b):
        bob = await player(b)
        b.join(READERS, bob.ref)
        await until(lambda: a.members(READERS))
        (far,) = a.members(READERS)
        assert far is await seen(a, bob)
        far.tell(Note("hello"))
        await until(lambda: bob.got(Note))


async def test_a_remote_actor_is_refused() -> None:
    """An actor joins on its own node only: the error names that."""
    async with nodes("a", "b") as (a, b):
        far = await seen(a, await player(b))
        with pytest.raises(ValueError, match="lives on node 'b', and this is 'a'"):
            a.join(READERS, far)
        with pytest.raises(ValueError, match="lives on node 'b', and this is 'a'"):
            a.leave(READERS, a.remote("b").named(ak.Key[Any]("player")))
        assert a.members(READERS) == ()


async def test_who_comes_later_learns_of_all() -> None:
    """A node that joins the cluster gets the lists of all the others, and gives its own."""
    with trio.fail_after(PATIENCE):
        async with checked_node("a") as a:
            ann = await player(a)
            a.join(READERS, ann.ref)
            async with checked_node("b", join=[a.address]) as b:
                bob = await player(b)
                b.join(READERS, bob.ref)
                await agree(a, b, on=expected((a, ann, 1), (b, bob, 1)))
            await agree(a, on=expected((a, ann, 1)))


async def test_a_restarted_node_brings_its_new_members_only() -> None:
    """What an old incarnation has told is gone with it."""
    with trio.fail_after(PATIENCE):
        async with checked_node("a") as a:
            watcher = await watching(a)
            for _ in range(3):
                async with checked_node("b", join=[a.address]) as b:
                    bob = await player(b)
                    b.join(READERS, bob.ref)
                    await agree(a, b, on=expected((b, bob, 1)))
                    assert a.members(READERS)[0].address.incarnation == b.incarnation
                await agree(a, on=expected())
            changes = watcher.got(ak.GroupChanged)
            assert [len(change.joined) - len(change.left) for change in changes] == [1, -1] * 3


async def test_a_watcher_follows_changes_everywhere() -> None:
    """What it saw first and was told since is what there is, on whichever node it happens."""
    async with nodes("a", "b") as (a, b):
        ann, bob = await player(a), await player(b)
        a.join(READERS, ann.ref)
        here, there = await watching(a), await watching(b)
        for _ in range(20):
            a.join(READERS, ann.ref)
            b.join(READERS, bob.ref)
            b.join(WRITERS, bob.ref)
            a.leave(READERS, ann.ref)
        b.leave(READERS, bob.ref)
        await agree(a, b, on=expected((a, ann, 1), (b, bob, 19)))
        for node, watcher in ((a, here), (b, there)):
            state = await node.state_of(watcher.ref)
            assert +state["view"] == Counter(node.members(READERS))
        bob.ref.kill()
        await agree(a, on=expected((a, ann, 1)))
        await a.state_of(here.ref)
        assert len(here.got(ak.GroupChanged)[-1].left) == 19


async def test_a_lost_connection_takes_members_away_and_a_new_one_brings_them_back() -> None:
    """Both sides see only their own meanwhile; what happened on the other side in between is there afterwards."""
    async with nodes("a", "b") as (a, b):
        ann, bob, eve = await player(a), await player(b), await player(b)
        watcher = await watching(a)
        a.join(READERS, ann.ref)
        b.join(READERS, bob.ref)
        await agree(a, b, on=expected((a, ann, 1), (b, bob, 1)))
        await a.disconnect("b")
        await agree(a, on=expected((a, ann, 1)))
        await agree(b, on=expected((b, bob, 1)))
        b.leave(READERS, bob.ref)
        b.join(READERS, eve.ref)
        await a.connect(b.address)
        await agree(a, b, on=expected((a, ann, 1), (b, eve, 1)))
        state = await a.state_of(watcher.ref)
        assert +state["view"] == Counter(a.members(READERS))


async def test_a_cut_wire_heals() -> None:
    """However often the connection breaks while members come and go, all agree once it stays."""
    with trio.fail_after(PATIENCE):
        async with (
            checked_node("a") as a,
            wire_to(a) as wire,
            checked_node("b", join=[wire.address]) as b,
        ):
            ann, bob = await player(a), await player(b)
            await until(lambda: a.nodes() and b.nodes())
            for _ in range(5):
                a.join(READERS, ann.ref)
                b.join(READERS, bob.ref)
                wire.cut()
                a.join(READERS, ann.ref)
                b.leave(READERS, bob.ref)
                await until(lambda: not a.nodes() or not b.nodes())
                await until(lambda: a.nodes() and b.nodes())
            await agree(a, b, on=expected((a, ann, 10)))


async def test_a_restarted_child_is_one_member_everywhere() -> None:
    """Its reference is the same, its incarnation another: other nodes see one member, whatever is restarted."""
    async with nodes("a", "b") as (a, b):
        spec = ak.Child("reader", ak.props(Reader, []), restart="permanent")
        tree = await a.start(ak.supervise(spec, max_restarts=100))
        await until(lambda: len(b.members(READERS)) == 1)
        (far,) = b.members(READERS)
        for _ in range(10):
            tree.child(spec).kill()
            await tree.child(spec).wait_stopped()
        await until(lambda: tree.child(spec).alive and a.members(READERS) == (tree.child(spec),))
        await until(lambda: b.members(READERS) == (far,))
        await tree.stop()
        await until(lambda: not b.members(READERS))


async def test_long_lists_travel_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of memberships come over, whole, to a node that connects later."""
    monkeypatch.setattr(grouptable, "CHUNK", 700)
    with trio.fail_after(PATIENCE):
        async with checked_node("a") as a:
            ann = await player(a)
            for n in range(5_000):
                a.join(ak.Group[Any](f"group-{n}"), ann.ref)
                a.join(READERS, ann.ref)
            async with checked_node("b", join=[a.address]) as b:
                await agree(b, on=expected((a, ann, 5_000)))
                assert len(b.members(ak.Group[Any]("group-4999"))) == 1
                ann.ref.kill()
                await agree(b, on=expected())
                await until(lambda: not b.members(ak.Group[Any]("group-4999")))


async def test_an_outbox_that_was_full_loses_no_change() -> None:
    """Changes that found no room are made up for: nodes agree although many were lost."""
    with trio.fail_after(PATIENCE):
        async with (
            checked_node("a", outbox_bytes=20_000) as a,
            wire_to(a) as wire,
            checked_node("b", join=[wire.address]) as b,
        ):
            ann = await player(a)
            await until(lambda: a.nodes() and b.nodes())
            a.join(READERS, ann.ref)
            await agree(b, on=expected((a, ann, 1)))
            wire.hold()
            for _ in range(60):
                for _ in range(1_000):
                    a.join(READERS, ann.ref)
                await trio.lowlevel.checkpoint()
            for _ in range(60_000):
                a.leave(READERS, ann.ref)
            wire.go_on()
            a.join(WRITERS, ann.ref)
            await agree(b, on=expected((a, ann, 1)), group=WRITERS)
            await agree(b, on=expected((a, ann, 1)))
