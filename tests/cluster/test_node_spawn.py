"""Actors that are started on another node: below an actor here, or by a program, and everything that can go wrong."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio

import actorkit as ak
from tests.cluster.two_nodes import (
    LOGS,
    Note,
    Ping,
    Spawned,
    checked_node,
    nodes,
    play,
    player,
    quiet,
    seen,
    spawned,
    spawning,
    stopping,
    until,
    until_down,
)
from tests.harness import Ended, Strings, end, reasons

KEY = ak.Key[Any]("far-worker")
BYE = ak.Failed("bye")


async def spawn(parent: Strings, props: ak.Props[Any], **options: Any) -> ak.Ref[Any]:
    """Let an actor of a start one on b."""
    ref: ak.Ref[Any] = await parent.do(lambda ctx: ctx.spawn(props, node="b", **options))
    return ref


def on(node: ak.Node, label: str) -> list[str]:
    """The paths of the spawned players that live on a node, of one label or of all."""
    found = [row for row in node.tree() if row.actor.startswith("Spawned")]
    return [row.path for row in found] if label else []


async def test_an_actor_spawns_a_child_on_another_node() -> None:
    """It is ready when spawn returns, talks, knows its parent, and has its parent's path in its own."""
    async with nodes("a", "b") as (a, b):
        parent = await player(a)
        child = await spawn(parent, spawned("child"))
        assert child.address.node == "b"
        path = await child.ask(Ping())
        assert parent.ref.path in path
        assert await child.ask(play(lambda ctx: ctx.parent)) is parent.ref
        child.tell(Note(1))
        back = await seen(b, parent)
        parents = await child.ask(play(lambda ctx: [ctx.parent]))
        assert parents == [parent.ref]
        await child.ask(play(lambda _: back.tell(Note("up"))))
        await until(lambda: parent.log)
        assert parent.log == [Note("up")]
        assert LOGS["child"] == [Note(1)]
        assert b.status(b.runtime.cells[child.address.serial].ref).links != ()


async def test_a_program_spawns_on_another_node() -> None:
    """A top-level actor there, linked to nobody; with a name if one is given."""
    async with nodes("a", "b") as (a, b):
        ref = await a.remote("b").spawn(spawned("plain"))
        named = await a.remote("b").spawn(spawned("named"), name=KEY)
        assert await a.remote("b").whereis(KEY) is named
        assert b.whereis(KEY) is not None
        await a.disconnect("b")
        await until_down(b, "a")
        assert await ref.ask(Ping())
        assert len(on(b, "all")) == 2


async def test_arguments_travel() -> None:
    """As messages do: a reference among them is one there."""
    async with nodes("a", "b") as (a, _b):
        one = await player(a)
        props = ak.props(Friend, one.ref, greeting="hi")
        await a.remote("b").spawn(props)
        await until(lambda: one.log)
        assert one.log == [Note("hi")]
        with pytest.raises(ak.Unencodable, match=r"Spawn|print"):
            await a.remote("b").spawn(ak.props(Friend, one.ref, greeting=print))


class Friend(ak.Actor[Ping]):
    """Greets somebody when it starts."""

    def __init__(self, who: ak.Ref[Any], *, greeting: Any) -> None:
        who.tell(Note(greeting))

    @ak.on(Ping)
    def ping(self, _: Ping) -> str:
        """Answer."""
        return self.ctx.path


# Ties ----------------------------------------------------------------------------------------------------------------


async def test_a_linked_child_dies_with_its_parent() -> None:
    """Whatever the parent's reason, a good end included; and an orphan of a lost connection, too."""
    async with nodes("a", "b") as (a, b):
        for kill in (False, True):
            parent = await player(a)
            await spawn(parent, spawned("child"))
            if kill:
                parent.ref.kill()
            else:
                await end(parent, ak.Normal())
            await until(lambda: not on(b, "child"))
            [ended] = LOGS["child"] or [None]
            assert (ended is None) == kill
        parent = await player(a, trap=True)
        child = await spawn(parent, spawned("child"))
        await a.disconnect("b")
        await until(lambda: not on(b, "child"))
        assert [(e.ref, e.reason) for e in parent.exits] == [(child, ak.NoConnection())]


async def test_a_linked_childs_failure_reaches_its_parent() -> None:
    """As an ``Exit`` from the child's very reference, once."""
    async with nodes("a", "b") as (a, b):
        parent = await player(a, trap=True)
        child = await spawn(parent, spawned("child"))
        child.tell(play(lambda ctx: ctx.stop(BYE)))
        await until(lambda: parent.exits)
        await quiet()
        assert [(e.ref, e.reason, e.linked) for e in parent.exits] == [(child, BYE, True)]
        assert parent.exits[0].ref is child
        plain = await player(a)
        child = await spawn(plain, spawned("child"))
        child.tell(play(lambda ctx: ctx.stop(BYE)))
        assert await plain.ref.wait_stopped() == BYE
        assert on(b, "any") == []


async def test_an_unlinked_child_lives_on() -> None:
    """``link=False``: neither hears of the other's end."""
    async with nodes("a", "b") as (a, b):
        parent = await player(a, trap=True)
        child = await spawn(parent, spawned("one"), link=False)
        other = await spawn(parent, spawned("two"), link=False)
        child.tell(play(lambda ctx: ctx.stop(BYE)))
        await quiet()
        assert parent.log == []
        await end(parent, BYE)
        assert await other.ask(Ping())
        assert len(on(b, "any")) == 1


async def spawn_watched(props: ak.Props[Any], ctx: ak.Context[Any]) -> Any:
    """A part: start an actor on b, and watch it."""
    return await ctx.spawn_watched(props, node="b")


async def test_a_watched_child_is_watched_from_its_first_moment() -> None:
    """``spawn_watched``: even a child that ends in the very turn in which it started is told of, once."""
    async with nodes("a", "b") as (a, _b):
        parent = await player(a)
        for start in (None, lambda ctx: ctx.stop(BYE)):
            props = spawned("child", start)
            ref, monitor = await parent.do(partial(spawn_watched, props))
            if start is None:
                ref.tell(play(lambda ctx: ctx.stop(BYE)))
            await until(lambda: parent.downs)
            await quiet()
            assert [(d.monitor, d.ref, d.reason) for d in parent.downs] == [(monitor, ref, BYE)]
            parent.log.clear()
        ref, monitor = await parent.do(lambda ctx: ctx.spawn_watched(spawned("x"), node="b"))
        assert await parent.do(lambda ctx: ctx.unwatch(monitor)) is True
        ref.kill()
        await quiet()
        assert parent.log == []


async def test_a_remote_child_is_supervised() -> None:
    """A child with ``node="b"`` is restarted there when it crashes; mail to its lasting reference waits."""
    async with nodes("a", "b") as (a, b):
        child = ak.Child("far", spawned("far"), restart="permanent", node="b")
        supervisor = await a.start(ak.supervise(child))
        ref = supervisor.child(child)
        first = ref.address
        assert first.node == "b"
        ref.tell(play(lambda ctx: ctx.stop(BYE)))
        await until(lambda: ref.alive and ref.address != first)
        assert await ref.ask(Ping())
        assert ref.address.node == "b"
        assert len(on(b, "far")) == 1
        await supervisor.terminate_child(child)
        await quiet()
        assert on(b, "far") == []


# What goes wrong -----------------------------------------------------------------------------------------------------


class Fragile(Spawned):
    """Does not get through its constructor."""

    def __init__(self, label: str = "") -> None:
        super().__init__(label)
        raise ZeroDivisionError("in the constructor")


async def for_ever(_: Any) -> None:
    """Never get ready."""
    await trio.sleep_forever()


def ignore(_: Any) -> None:
    """Decline."""
    raise ak.Ignore("not today")


def fail(_: Any) -> None:
    """Fail."""
    raise ValueError("in started")


async def test_a_start_that_fails_there_is_a_failed_start_here() -> None:
    """With the far reason and traceback; the parent lives, hears nothing else, and nothing is left over there."""
    async with nodes("a", "b") as (a, b):
        parent = await player(a)

        every: list[dict[str, Any]] = [{}, {"link": False}, {"name": KEY}]

        async def try_it(ctx: ak.Context[Any]) -> None:
            for props, text in (
                (ak.props(Fragile), "in the constructor"),
                (spawned("x", fail), "in started"),
            ):
                for options in every:
                    with pytest.raises(ak.StartFailed) as caught:
                        await ctx.spawn(props, node="b", **options)
                    reason = caught.value.reason
                    assert isinstance(reason, ak.Crashed)
                    assert reason.message == text
                    assert "Traceback" in reason.traceback
                with pytest.raises(ak.StartFailed):
                    await ctx.spawn_watched(props, node="b")
            with pytest.raises(ak.StartIgnored, match="not today"):
                await ctx.spawn(spawned("x", ignore), node="b")

        await parent.do(try_it)
        with pytest.raises(ak.StartFailed, match="in started"):
            await a.remote("b").spawn(spawned("x", fail))
        with pytest.raises(ak.StartIgnored) as ignored:
            await a.remote("b").spawn(spawned("x", ignore))
        assert ignored.value.why == "not today"
        await quiet()
        assert parent.log == []
        assert on(b, "any") == []
        assert await a.remote("b").whereis(KEY) is None
        assert a.status(parent.ref).links == ()


async def test_a_taken_name_is_told() -> None:
    """``AlreadyStarted`` with the holder, as on one node; no constructor has run."""
    async with nodes("a", "b") as (a, b):
        holder = await player(b, name="far-worker")
        far = await seen(a, holder)
        parent = await player(a)

        async def try_it(ctx: ak.Context[Any]) -> Any:
            try:
                await ctx.spawn(spawned("late"), node="b", name=KEY)
            except ak.AlreadyStarted as error:
                return [error.name, error.ref]
            return None

        assert await parent.do(try_it) == ["far-worker", far]
        with pytest.raises(ak.AlreadyStarted):
            await a.remote("b").spawn(spawned("late"), name=KEY)
        assert on(b, "late") == []


async def test_a_start_that_takes_too_long_is_given_up() -> None:
    """``StartTimeout`` after the child's own time, and it is gone."""
    async with nodes("a", "b") as (a, b):
        parent = await player(a)

        async def try_it(ctx: ak.Context[Any]) -> float:
            with pytest.raises(ak.StartTimeout) as caught:
                await ctx.spawn(spawned("slow", for_ever), node="b", start_timeout=0.05)
            return caught.value.timeout

        assert await parent.do(try_it) == 0.05
        assert on(b, "slow") == []


async def test_what_is_no_actor_class_there_is_told() -> None:
    """``CodeMissing`` names class and remedy: a class of a function's own, and one of a module not to be imported."""
    async with nodes("a", "b") as (a, _):

        class Local(Spawned):
            """Nobody else can import this one."""

        with pytest.raises(ak.CodeMissing, match=r"Local.*ship_code=True"):
            await a.remote("b").spawn(ak.props(Local))
        elsewhere = ak.props(Spawned)
        elsewhere.cls.__module__, kept = "no_such_module_there", elsewhere.cls.__module__
        try:
            with pytest.raises(ak.CodeMissing, match="no_such_module_there"):
                await a.remote("b").spawn(elsewhere)
        finally:
            elsewhere.cls.__module__ = kept


async def test_without_the_grant_nothing_is_started() -> None:
    """``NotGranted`` names node and grant; in an actor it is a failed start, which supervisors can treat."""
    async with nodes("a", "b", grants=()) as (a, b):
        with pytest.raises(ak.NotGranted) as caught:
            await a.remote("b").spawn(spawned("x"))
        assert (caught.value.node, caught.value.grant) == ("b", "spawn")
        parent = await player(a)

        async def try_it(ctx: ak.Context[Any]) -> str:
            with pytest.raises(ak.StartFailed) as failed:
                await ctx.spawn(spawned("x"), node="b")
            assert isinstance(failed.value.__cause__, ak.NotGranted)
            return str(failed.value.reason)

        assert "spawn" in await parent.do(try_it)
        assert on(b, "x") == []


async def test_without_the_grant_nothing_is_looked_into() -> None:
    """Names, trees and status need ``inspect``; to find a name needs nothing."""
    async with nodes("a", "b", grants=()) as (a, b):
        other = await player(b, name="far-worker")
        far = a.remote("b")
        assert await far.whereis(KEY) is not None
        for asked in (far.names, far.tree, far.info, lambda: far.status(other.ref.path)):
            with pytest.raises(ak.NotGranted) as caught:
                await asked()
            assert caught.value.grant == "inspect"


async def test_a_node_that_cannot_be_reached_starts_nothing() -> None:
    """``StartFailed`` with ``NoConnection``, from an actor and from a program."""
    async with nodes("a") as (a,):
        parent = await player(a)

        async def try_it(ctx: ak.Context[Any]) -> ak.ExitReason:
            with pytest.raises(ak.StartFailed) as caught:
                await ctx.spawn(spawned("x"), node="nowhere")
            return caught.value.reason

        assert await parent.do(try_it) == ak.NoConnection()
        with pytest.raises(ak.StartFailed) as caught:
            await a.remote("nowhere").spawn(spawned("x"))
        assert caught.value.reason == ak.NoConnection()


async def gated() -> tuple[ak.Props[Any], trio.Event, trio.Event]:
    """An actor whose start waits until it is let on; and the event of its having begun."""
    began, go_on = trio.Event(), trio.Event()

    async def start(_: Any) -> None:
        began.set()
        await go_on.wait()

    return spawned("gated", start), began, go_on


@pytest.mark.parametrize("link", [True, False])
async def test_a_connection_that_breaks_during_a_start_fails_it(link: bool) -> None:
    """``StartFailed`` with ``NoConnection`` at once; a linked child does not come to life over there."""
    async with nodes("a", "b") as (a, b):
        parent = await player(a)
        props, began, go_on = await gated()
        got: list[ak.ExitReason] = []

        async def try_it(ctx: ak.Context[Any]) -> None:
            with pytest.raises(ak.StartFailed) as caught:
                await ctx.spawn(props, node="b", link=link)
            got.append(caught.value.reason)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(parent.do, try_it)
            await began.wait()
            await a.disconnect("b")
        assert got == [ak.NoConnection()]
        await until_down(b, "a")
        go_on.set()
        await quiet()
        assert on(b, "gated") == []
        assert parent.log == []


async def test_a_parent_that_dies_during_a_linked_start_takes_the_child_with_it() -> None:
    """Killed, or ended in good order by somebody, while the child is starting over there."""
    async with nodes("a", "b") as (a, b):
        for kill in (True, False):
            parent = await player(a)
            props, began, go_on = await gated()
            parent.cue(spawning(props, "b"))
            await began.wait()
            if kill:
                parent.ref.kill()
            else:
                await (await player(a)).do(stopping(parent.ref, limit=5.0))
            await quiet()
            go_on.set()
            await quiet()
            assert on(b, "gated") == []
        assert len(a.runtime.relations) == len(b.runtime.relations) == 0


async def test_a_parent_that_dies_during_an_unlinked_start_leaves_nothing_half_done() -> None:
    """Whoever wanted the child is gone: it is ended as soon as it is ready."""
    async with nodes("a", "b") as (a, b):
        parent = await player(a)
        props, began, go_on = await gated()
        parent.cue(lambda ctx: ctx.spawn(props, node="b", link=False))
        await began.wait()
        parent.ref.kill()
        await quiet()
        go_on.set()
        await quiet()
        assert on(b, "gated") == []


async def test_a_cancelled_start_leaves_nothing_behind() -> None:
    """A program that gives up waiting does not leave an actor over there."""
    async with nodes("a", "b") as (a, b):
        props, began, go_on = await gated()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(a.remote("b").spawn, props)
                await began.wait()
                scope.cancel()
        await quiet()
        go_on.set()
        await quiet()
        assert on(b, "gated") == []


def has_exits(actor: Strings, count: int) -> bool:
    """Whether so many exit signals have arrived."""
    return len(actor.exits) == count


async def test_a_child_that_ends_while_its_parent_hears_of_it() -> None:
    """Its end is told after its start: the link made with the start fires once."""
    async with nodes("a", "b") as (a, _b):
        parent = await player(a, trap=True)
        for n in range(20):
            child = await spawn(parent, spawned("brief", lambda ctx: ctx.stop(BYE)))
            await until(partial(has_exits, parent, n + 1))
            assert parent.exits[-1].ref is child
        await quiet()
        assert reasons(parent.exits) == [BYE] * 20
        assert a.status(parent.ref).links == ()


async def test_a_remote_child_ends_with_its_own_nodes_end() -> None:
    """The node of a child goes in good order: the child ends in good order, and its parent hears of it once."""
    async with nodes("a") as (a,):
        parent = await player(a, trap=True)
        async with checked_node("b") as b:
            await b.connect(a.address)
            child, monitor = await parent.do(
                lambda ctx: ctx.spawn_watched(spawned("child"), link=True, node="b")
            )
        await until(lambda: parent.exits and parent.downs)
        await quiet()
        assert [(e.ref, e.reason) for e in parent.exits] == [(child, ak.Shutdown())]
        assert [(d.monitor, d.reason) for d in parent.downs] == [(monitor, ak.Shutdown())]
        assert LOGS["child"] == [Ended(ak.Shutdown())]
