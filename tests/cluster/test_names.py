"""Cluster-wide names on nodes that talk over real TCP."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.cluster.names import NAMES_KEY, NameConflict, Take, resolver
from actorkit.cluster.namewords import Outcome
from tests.cluster.two_nodes import (
    Note,
    Player,
    checked_node,
    nodes,
    player,
    quiet,
    seen,
    until,
    until_down,
    wire_to,
)
from tests.harness import Strings

KING = ak.Key[object]("king")


def holders(cluster: tuple[ak.Node, ...], key: ak.Key[Any] = KING) -> set[ak.Address | None]:
    """Who holds a name, as all nodes see it."""
    found = (node.whereis_global(key) for node in cluster)
    return {ref.address if ref is not None else None for ref in found}


def left_over(cluster: tuple[ak.Node, ...]) -> list[int]:
    """How much each node keeps of names."""
    return [len(node._names) for node in cluster]  # noqa: SLF001 - nothing may be left behind


# A name and its holder ----------------------------------------------------------------------------------------------


async def test_a_name_means_the_same_actor_on_all_nodes_at_once() -> None:
    """When ``register`` returns, wherever it was called; what is sent to the holder arrives."""
    async with nodes("a", "b", "c") as cluster:
        a, b, c = cluster
        arthur = await player(a)
        assert holders(cluster) == {None}
        await c.register(KING, await seen(c, arthur))
        assert holders(cluster) == {arthur.ref.address}
        found = b.whereis_global(KING)
        assert found is not None
        found.tell(Note("hail"))
        await until(lambda: arthur.log)
        assert arthur.log == [Note("hail")]


async def test_a_name_that_is_taken_is_refused_everywhere() -> None:
    """The error carries the holder; the same actor is refused too, as with ``global``."""
    async with nodes("a", "b", "c") as cluster:
        a, b, c = cluster
        arthur, bruce = await player(a), await player(b)
        await a.register(KING, arthur.ref)
        for node, ref in ((a, arthur.ref), (b, bruce.ref), (c, await seen(c, bruce))):
            with pytest.raises(ak.AlreadyStarted, match="'king' is taken") as caught:
                await node.register(KING, ref)
            assert caught.value.ref.address == arthur.ref.address


async def test_a_name_is_free_when_its_holder_is_dead_or_asks_for_it() -> None:
    """``unregister`` may be called anywhere, and tells whether anybody held the name; nothing is left."""
    async with nodes("a", "b", "c") as cluster:
        a, b, c = cluster
        arthur, bruce = await player(a), await player(b)
        await a.register(KING, arthur.ref)
        await a.register(ak.Key[object]("knight"), arthur.ref)
        arthur.ref.kill()
        await until(lambda: holders(cluster) == {None})
        await c.register(KING, await seen(c, bruce))
        assert await a.unregister(KING)
        assert holders(cluster) == {None}
        assert not await a.unregister(KING)
        assert left_over(cluster) == [0, 0, 0]


async def test_of_those_who_want_a_name_at_once_one_gets_it() -> None:
    """And all others are told who, for any number of names."""
    async with nodes("a", "b", "c") as cluster:
        players = [await player(node) for node in cluster for _ in range(2)]
        for number in range(10):
            key = ak.Key[object](f"name-{number}")
            won: list[ak.Address] = []
            told: list[ak.Address] = []

            async def try_it(who: Strings, key: ak.Key[object] = key) -> None:
                node = next(n for n in cluster if n.name == who.ref.address.node)
                try:
                    await node.register(key, who.ref)
                except ak.AlreadyStarted as taken:
                    told.append(taken.ref.address)  # noqa: B023 - used up within this round
                else:
                    won.append(who.ref.address)  # noqa: B023

            async with trio.open_nursery() as nursery:
                for who in players:
                    nursery.start_soon(try_it, who)
            assert len(won) == 1
            assert told == won * (len(players) - 1)
            assert holders(cluster, key) == set(won)


async def test_a_restarted_child_holds_the_name_no_more() -> None:
    """A holder is an incarnation, though the reference is that of the child's seat."""
    async with nodes("a", "b") as cluster:
        a, b = cluster
        child = ak.Child("kid", ak.props(Player, []))
        crew = await a.start(ak.supervise(child))
        kid = crew.child(child)
        await a.register(KING, kid)
        far = b.whereis_global(KING)
        assert far is not None
        assert far.path == f"a:{kid.path}"
        kid.kill()
        await until(lambda: holders(cluster) == {None})
        await until(lambda: kid.alive)
        await b.register(KING, far)
        assert b.whereis_global(KING) is far


async def test_an_actor_registers_itself_while_it_starts() -> None:
    """A name is there for others as soon as its holder is."""

    class Herald(ak.Actor[object]):
        async def started(self) -> None:
            await ak.Node.of(self.ctx).register(KING, self.ctx.self)

        @ak.on(object)
        def heard(self, msg: object) -> None:
            """Nothing."""

    async with nodes("a", "b") as cluster:
        ref = await cluster[0].spawn(ak.props(Herald))
        assert holders(cluster) == {ref.address}


# Moving -------------------------------------------------------------------------------------------------------------


async def test_a_name_moves_to_an_actor_of_another_node() -> None:
    """The former holder carries no monitor any more, and its death changes nothing; a free name can be moved too."""
    async with nodes("a", "b", "c") as cluster:
        a, b, c = cluster
        arthur, bruce = await player(a), await player(b)
        await c.re_register(KING, await seen(c, arthur))
        assert a.runtime.relations.watched_by(arthur.ref._cell) != ()  # noqa: SLF001
        await c.re_register(KING, await seen(c, bruce))
        assert holders(cluster) == {bruce.ref.address}
        assert a.runtime.relations.watched_by(arthur.ref._cell) == ()  # noqa: SLF001
        arthur.ref.kill()
        await quiet()
        assert holders(cluster) == {bruce.ref.address}
        assert left_over(cluster)[0] == 2  # the entry of b, and what is shown
        names = a._names.names()  # noqa: SLF001
        assert {name: ref.address for name, ref in names.items()} == {"king": bruce.ref.address}


# Nodes come and go --------------------------------------------------------------------------------------------------


async def test_a_newcomer_knows_all_names() -> None:
    """And the loss of a holder's node frees the name on all others."""
    async with nodes("a", "b") as (a, b):
        async with checked_node("c") as c:
            caesar = await player(c)
            await c.register(KING, caesar.ref)
            assert holders((a, b)) == {None}
            await c.connect(a.address)
            await until(lambda: holders((a, b, c)) == {caesar.ref.address})
        await until(lambda: holders((a, b)) == {None})
        assert left_over((a, b)) == [0, 0]


async def test_a_node_that_is_lost_meanwhile_holds_nobody_up() -> None:
    """While it is silent the name cannot be taken; once it is lost nobody waits for it."""
    async with (
        checked_node("a", mesh=False) as a,
        checked_node("b", mesh=False) as b,
        wire_to(b) as wire,
        trio.open_nursery() as nursery,
    ):
        await a.connect(wire.address)
        await quiet()
        arthur = await player(a)
        wire.hold()
        nursery.start_soon(a.register, KING, arthur.ref)
        await quiet()
        assert holders((a,)) == {None}
        wire.cut()
        await until(lambda: holders((a,)) == {arthur.ref.address})


async def test_a_holder_on_a_node_that_is_not_up_is_refused_and_nobody_is_dialled() -> None:
    """The error says which node it is."""
    async with nodes("a", "b") as (a, b):
        bruce = await seen(a, await player(b))
        await a.disconnect("b")
        with pytest.raises(ak.NodeDown, match="node b is down"):
            await a.register(KING, bruce)
        await quiet()
        assert a.nodes() == ()


async def test_hidden_nodes_see_their_own_names_only() -> None:
    """They have no vote, and no part in the names of others."""
    async with nodes("a", "b") as (a, b), checked_node("h", hidden=True) as h:
        await h.connect(a.address)
        arthur, hugo = await player(a), await player(h)
        await h.register(KING, hugo.ref)
        await b.register(KING, await seen(b, arthur))
        assert holders((a, b)) == {arthur.ref.address}
        assert holders((h,)) == {hugo.ref.address}


async def test_names_outlive_the_names_actor() -> None:
    """Those who waited are told; the next one has missed nothing, deaths included."""
    async with nodes("a", "b") as cluster:
        a, b = cluster
        arthur, bruce = await player(a), await player(b)
        await a.register(KING, arthur.ref)
        knight = (await player(a)).ref
        await a.register(ak.Key[object]("knight"), knight)
        actor = a.whereis(NAMES_KEY)
        assert actor is not None
        actor.kill()
        with pytest.raises(ak.ActorDied):
            await a.unregister(KING)
        knight.kill()
        await until(lambda: a.whereis(NAMES_KEY))  # the node has started another one
        await until(lambda: holders(cluster, ak.Key("knight")) == {None})
        assert holders(cluster) == {arthur.ref.address}
        await b.re_register(KING, bruce.ref)
        assert holders(cluster) == {bruce.ref.address}


# Conflicts ----------------------------------------------------------------------------------------------------------


@resolver
def prefer_bruce(name: str, mine: ak.Ref[Any], theirs: ak.Ref[Any]) -> ak.Ref[Any]:
    """Known by its name on all nodes that import this module."""
    return mine if mine.address.node == "b" else theirs


async def joined(
    cluster: tuple[ak.Node, ...], resolve: Any = "keep_oldest"
) -> tuple[Strings, Strings, list[NameConflict]]:
    """A name that ``a`` and ``b`` have taken while they were apart; then they join."""
    a, b = cluster
    conflicts: list[NameConflict] = []
    for node in cluster:
        node.events.subscribe(conflicts.append, NameConflict)
    await a.disconnect("b")
    await until_down(b, "a")
    arthur, bruce = await player(a), await player(b)
    await b.register(KING, bruce.ref, resolve=resolve)
    await a.register(KING, arthur.ref, resolve=resolve)
    assert len(holders(cluster)) == 2
    await a.connect(b.address)
    await until(lambda: conflicts)
    await quiet()
    return arthur, bruce, conflicts


async def test_the_older_registration_wins_and_the_loser_lives() -> None:
    """Unless told otherwise; the event says who it was."""
    async with nodes("a", "b") as cluster:
        arthur, bruce, conflicts = await joined(cluster)
        assert holders(cluster) == {bruce.ref.address}
        assert [c.winner.address if c.winner else None for c in conflicts] == [bruce.ref.address]
        assert "king" in str(conflicts[0].as_log())
        assert arthur.ref.alive


async def test_the_loser_is_killed_if_it_wished_so() -> None:
    """With ``"kill_loser"``."""
    async with nodes("a", "b") as cluster:
        arthur, bruce, _ = await joined(cluster, "kill_loser")
        assert holders(cluster) == {bruce.ref.address}
        assert not arthur.ref.alive
        assert bruce.ref.alive


async def test_a_resolver_that_raises_leaves_the_name_to_nobody() -> None:
    """Both live on, and the event tells what happened."""

    def broken(*_: object) -> None:
        raise RuntimeError("no idea")

    async with nodes("a", "b") as cluster:
        arthur, bruce, conflicts = await joined(cluster, broken)
        assert holders(cluster) == {None}
        assert [c.error for c in conflicts] == ["RuntimeError: no idea"]
        assert arthur.ref.alive
        assert bruce.ref.alive


async def test_a_holder_elsewhere_is_registered_with_a_resolver_known_there() -> None:
    """By its name, if it is marked; nothing else crosses."""
    async with nodes("a", "b") as (a, b):
        bruce = await seen(a, await player(b))
        await a.register(KING, bruce, resolve=prefer_bruce)
        with pytest.raises(ValueError, match="mark a function of a module with @resolver"):
            await a.register(ak.Key[object]("duke"), bruce, resolve=lambda *_: None)
        with pytest.raises(TypeError, match="at the top of a module"):
            resolver(lambda *_: None)
        del b


async def test_an_unknown_resolver_is_refused_where_it_would_be_needed() -> None:
    """A peer can name those that are marked and loaded, and no other function."""
    async with nodes("a", "b") as (a, b):
        bruce = await seen(a, await player(b))
        actor = a.remote("b").named(NAMES_KEY)
        for name in ("os.system", "tests.cluster.test_names.joined", "unheard.of"):
            assert await actor.ask(Take("king", bruce, False, name)) == Outcome("unknown")
        assert await actor.ask(Take("king", bruce, False, 7)) == Outcome("unknown")
        assert holders((a, b)) == {None}


# Wrong arguments ----------------------------------------------------------------------------------------------------


async def test_wrong_arguments_are_named() -> None:
    """A reference by name, a resolver that is none, an actor that is gone."""

    async def slow(*_: object) -> None:
        """A resolver must be quick."""

    async with nodes("a", "b") as (a, _):
        arthur = await player(a, name="arthur")
        with pytest.raises(ValueError, match="one of keep_oldest, kill_loser; got 'random'"):
            await a.register(KING, arthur.ref, resolve="random")
        with pytest.raises(TypeError, match="a plain function"):
            await a.register(KING, arthur.ref, resolve=slow)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="is a reference by name"):
            await a.register(KING, a.remote("b").named(ak.Key[object]("x")))
        arthur.ref.kill()
        with pytest.raises(ak.ActorDied, match="no such actor"):
            await a.register(KING, arthur.ref)
