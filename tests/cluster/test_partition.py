"""A network that falls apart and heals, on real sockets: both sides notice in time, and find together again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio

import actorkit as ak
from actorkit.cluster.events import NodeEvent
from actorkit.seams import Seams
from tests.cluster.proxy import Roads, open_roads
from tests.cluster.two_nodes import (
    SECRET,
    Note,
    Ping,
    checked_node,
    player,
    quiet,
    seen,
    until,
)
from tests.harness import Strings

TICKTIME = 1.0
EARLY, LATE = 0.75 * TICKTIME, 1.25 * TICKTIME
SLACK = 0.5  # seconds a busy machine may be late
GROUP = ak.Group[Any]("crew")


@attrs.frozen
class World:
    """Nodes, the roads between them, and what each node has told of the others, with the times."""

    roads: Roads
    nodes: tuple[ak.Node, ...]
    told: dict[str, list[tuple[float, ak.NodeUp | ak.NodeLost]]]

    def losses(self, node: str) -> list[tuple[float, str, ak.LostReason]]:
        """Whom a node has lost, when and why."""
        return [(t, n.node, n.reason) for t, n in self.told[node] if isinstance(n, ak.NodeLost)]

    async def until_whole(self) -> None:
        """Wait until everybody sees everybody."""
        names = {node.name for node in self.nodes}
        await until(lambda: all({*node.nodes(), node.name} == names for node in self.nodes))


@asynccontextmanager
async def world(*names: str) -> AsyncGenerator[World]:
    """Open nodes that reach each other by roads; those that were cut off come back by themselves."""
    with trio.fail_after(30):
        async with open_roads() as roads, AsyncExitStack() as stack:
            opened: list[ak.Node] = []
            told: dict[str, list[tuple[float, ak.NodeUp | ak.NodeLost]]] = {}
            for name in names:
                node = await stack.enter_async_context(
                    checked_node(
                        name,
                        secret=SECRET,
                        join=[other.address for other in opened],
                        seams=Seams(transport=roads.transport(name)),
                        ticktime=TICKTIME,
                        handshake_timeout=1.0,
                    )
                )
                told[name] = []
                node.events.subscribe(partial(_noted, told[name]), NodeEvent)
                opened.append(node)
            made = World(roads, tuple(opened), told)
            await made.until_whole()
            await quiet()
            yield made
            roads.heal()
            await made.until_whole()


def _has_heard(observer: Strings, times: int) -> bool:
    return len(observer.downs) == times


def _noted(log: list[tuple[float, ak.NodeUp | ak.NodeLost]], event: NodeEvent) -> None:
    log.append((trio.current_time(), event.notice))


async def watched(observer: Strings, far: ak.Ref[Any]) -> ak.Monitor:
    """Let an actor watch a remote one, and be linked to it."""
    monitor: ak.Monitor = await observer.do(lambda ctx: ctx.watch(far))
    await observer.do(lambda ctx: ctx.link(far))
    return monitor


@pytest.mark.parametrize("one_way", [False, True], ids=["both ways", "one way"])
async def test_both_sides_notice_in_time(one_way: bool) -> None:
    """Within the tick time give or take a quarter; every monitor and link fires once, then ``NodeLost`` comes."""
    async with world("a", "b") as w:
        a, b = w.nodes
        here, there = await player(a, trap=True), await player(b, trap=True)
        far, back = await seen(a, there), await seen(b, here)
        await here.do(lambda ctx: ctx.monitor_nodes())
        await watched(here, far)
        monitor = await there.do(lambda ctx: ctx.watch(back))
        await quiet()
        cut = trio.current_time()
        w.roads.block("a", "b", one_way=one_way)
        await until(lambda: w.losses("b"))
        await until(
            lambda: w.losses("a")
        )  # one way, b's ticks still come, then the news that it gave up
        for node in "ab":
            (when, whom, reason), *more = w.losses(node)
            assert (more, {node, whom}) == ([], {"a", "b"})
            if node == "b" or not one_way:
                assert reason == ak.LostReason.TICK
                assert EARLY - 0.05 <= when - cut <= LATE + SLACK
        await until(lambda: len(here.log) >= 3 and there.downs)
        w.roads.heal()
        await w.until_whole()
        await quiet()
        down, exit_, lost, *_ = here.log
        assert {type(down), type(exit_)} == {ak.Down, ak.Exit}
        assert isinstance(lost, ak.NodeLost)
        assert len(here.downs) == len(here.exits) == len(there.downs) == len(there.exits) == 1
        assert here.downs[0].reason == here.exits[0].reason == ak.NoConnection()
        assert (there.downs[0].monitor, there.downs[0].reason) == (monitor, ak.NoConnection())


async def test_a_healed_network_works_as_before() -> None:
    """Connected by itself, with the same references, in both directions, and no notice of the old links and monitors."""
    async with world("a", "b") as w:
        a, b = w.nodes
        here, there = await player(a, trap=True), await player(b, trap=True)
        far, back = await seen(a, there), await seen(b, here)
        await watched(here, far)
        w.roads.block("a", "b")
        await until(lambda: w.losses("a") and w.losses("b"))
        with pytest.raises(ak.NodeDown):
            await far.ask(Ping())
        healed = trio.current_time()
        w.roads.heal()
        await w.until_whole()
        assert trio.current_time() - healed < 6.0  # the longest backoff, and a handshake
        assert await far.ask(Ping()) == there.ref.path
        assert await back.ask(Ping()) == here.ref.path
        monitor = await here.do(lambda ctx: ctx.watch(far))
        await quiet()
        there.ref.kill()
        await until(lambda: len(here.downs) == 2)
        assert (here.downs[1].monitor, here.downs[1].reason) == (monitor, ak.Killed())
        assert len(here.exits) == 1


async def test_what_is_asked_of_the_other_side_ends() -> None:
    """An ask under way when the network breaks ends with ``NodeDown`` when that is noticed, whatever its own time."""
    async with world("a", "b") as w:
        a, b = w.nodes
        here, there = await player(a), await player(b)
        far = await seen(a, there)
        w.roads.block("b", "a", one_way=True)
        begun = trio.current_time()
        with pytest.raises(ak.NodeDown):
            await far.ask(Ping(), timeout=None)
        assert trio.current_time() - begun < LATE + SLACK
        assert here.ref.alive


async def test_groups_agree_after_a_partition() -> None:
    """Each side drops the other's members, and takes them, and who joined meanwhile, up again."""
    async with world("a", "b", "c") as w:
        actors = [await player(node) for node in w.nodes]
        for node, actor in zip(w.nodes, actors, strict=True):
            node.join(GROUP, actor.ref)

        def seen_by(node: ak.Node) -> set[str]:
            return {str(ref.address) for ref in node.members(GROUP)}

        everybody = {str(actor.ref.address) for actor in actors}
        await until(lambda: all(seen_by(node) == everybody for node in w.nodes))
        w.roads.block("c", "ab")
        a, b, c = w.nodes
        await until(lambda: a.nodes() == ("b",) and b.nodes() == ("a",) and c.nodes() == ())
        await until(lambda: len(seen_by(a)) == len(seen_by(b)) == 2 and len(seen_by(c)) == 1)
        late, gone = await player(c), actors[0]
        c.join(GROUP, late.ref)
        gone.ref.kill()
        now = everybody - {str(gone.ref.address)} | {str(late.ref.address)}
        w.roads.heal()
        await w.until_whole()
        await until(lambda: all(seen_by(node) == now for node in w.nodes))


async def test_a_network_that_flaps() -> None:
    """Cut off and healed again and again, at any moment of the reconnection: losses and returns alternate, and it works."""
    async with world("a", "b") as w:
        a, b = w.nodes
        here, there = await player(a, trap=True), await player(b, trap=True)
        far = await seen(a, there)
        watches = 0
        for number in range(5):
            await here.do(lambda ctx: ctx.watch(far))
            watches += 1
            if number == 2:
                w.roads.block("a", "b")
                await until(lambda: "b" not in a.nodes())
            else:
                w.roads.cut()
            await until(partial(_has_heard, here, watches))
            w.roads.heal()
            await w.until_whole()
            far.tell(Note(number))
        await quiet()
        assert len({down.monitor for down in here.downs}) == watches
        for node in w.nodes:
            kinds = [type(notice) for _, notice in w.told[node.name]]
            assert kinds == [ak.NodeUp, ak.NodeLost] * (len(kinds) // 2) + [ak.NodeUp]
        notes = [item.value for item in there.log if isinstance(item, Note)]
        assert notes == sorted(notes)
        assert notes[-1:] == [4]
