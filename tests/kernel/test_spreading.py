"""Deaths that meet: the first reason decides, and a death spreads along links, however long and tangled they are."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from tests.harness import (
    WAITS,
    Strings,
    link,
    open_checked_system,
    puppet,
    puppet_below,
    reasons,
    run_in_virtual_time,
    settle,
    watch,
)
from tests.kernel.support import collect

# The first reason decides ------------------------------------------------------------------------------------------

REASONS: list[ak.ExitReason] = [ak.Killed(), ak.Failed("a"), ak.Shutdown("b")]


@pytest.mark.parametrize("first", REASONS)
@pytest.mark.parametrize("second", REASONS)
@pytest.mark.parametrize("wait", ["parked", "on trio"])
async def test_the_first_reason_decides(
    system: ak.System,
    first: ak.ExitReason,
    second: ak.ExitReason,
    wait: str,
) -> None:
    """Two signals in one breath: everybody hears the reason of the first."""
    victim, watcher = await puppet(system), await puppet(system)
    friend = await puppet(system, trap=True)
    await watch(watcher, victim)
    await link(victim, friend)
    victim.cue(WAITS[wait])
    await settle()
    system.exit(victim.ref, first)
    system.exit(victim.ref, second)
    assert await victim.ref.wait_stopped() == first
    await settle()
    assert reasons(watcher.downs) == reasons(friend.exits) == [first]


async def test_a_killer_killed_by_its_victim(system: ak.System) -> None:
    """Two actors that kill each other in the same breath both die, each told once."""
    one, other, watcher = [await puppet(system) for _ in range(3)]
    await watch(watcher, one)
    await watch(watcher, other)
    one.cue(lambda _: other.ref.kill())
    other.cue(lambda _: one.ref.kill())
    await settle()
    assert len(watcher.downs) == 1  # the first was killed before it could kill
    survivor = one if one.ref.alive else other
    victim = other if survivor is one else one
    await link(survivor, await puppet(system))

    async def duel(ctx: ak.Context[Any]) -> None:
        try:
            await ctx.sleep(10)
        finally:
            victim.ref.kill()
            ctx.self.kill()

    survivor.cue(duel)
    await settle()
    survivor.ref.kill()
    await settle()
    assert reasons(watcher.downs) == [ak.Killed(), ak.Killed()]


async def test_linked_actors_that_kill_each_other(system: ak.System) -> None:
    """Each other's victim and each other's link: one death, one echo, two notices."""
    one, other, watcher = [await puppet(system) for _ in range(3)]
    await link(one, other)
    await watch(watcher, one)
    await watch(watcher, other)

    async def lurk(ctx: ak.Context[Any], victim: Strings) -> None:
        try:
            await trio.sleep(10)
        finally:
            victim.ref.kill()

    one.cue(lambda ctx: lurk(ctx, other))
    other.cue(lambda ctx: lurk(ctx, one))
    await settle()
    one.ref.kill()
    await settle()
    assert reasons(watcher.downs) == [ak.Killed(), ak.Killed()]


# Chains and webs of links ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", ["idle", "parked", "on trio"])
async def test_a_long_chain_of_links(system: ak.System, wait: str) -> None:
    """Thousands of linked actors die of one death, without recursion, whatever they are doing."""
    length = 300 if wait == "on trio" else 5_000
    chain = [await puppet(system) for _ in range(length)]
    for one, other in pairwise(chain):
        one.cue(lambda ctx, o=other: ctx.link(o.ref))  # type: ignore[misc]
    await settle()
    if wait != "idle":
        for actor in chain:
            actor.cue(WAITS[wait])
        await settle()
    stopped = collect(system, ak.Stopped)
    system.exit(chain[0].ref, ak.Failed("the first"))
    await settle()
    assert [event.reason for event in stopped] == [ak.Failed("the first")] * length
    assert trio.current_time() == 0.0


async def test_a_deep_family(system: ak.System) -> None:
    """A lineage of a hundred generations ends with its founder."""
    founder = youngest = await puppet(system)
    for _ in range(100):
        youngest = await puppet_below(youngest)
    founder.ref.kill()
    assert await youngest.ref.wait_stopped() == ak.Killed()
    assert system.tree() == ()


@attrs.frozen
class Web:
    """Some actors, who traps, who is linked with whom, and whose deaths come from outside."""

    traps: list[bool]
    links: list[tuple[int, int]]
    deaths: list[int]

    def linked(self, one: int) -> set[int]:
        """Whom an actor is linked with."""
        return {b if a == one else a for a, b in self.links if one in {a, b} and a != b}

    def toll(self) -> tuple[dict[int, int], dict[int, list[int]]]:
        """Who dies of whose death, and which deaths each trapping actor that survives hears of."""
        dead: dict[int, int] = {}
        heard: dict[int, list[int]] = {n: [] for n, traps in enumerate(self.traps) if traps}
        for first in self.deaths:
            dying = [] if first in dead else [first]
            while dying:
                one = dying.pop(0)
                if one in dead:
                    continue
                dead[one] = first
                for other in self.linked(one) - set(dead):
                    if self.traps[other]:
                        heard[other].append(one)
                    else:
                        dying.append(other)
        return dead, {n: sorted(who) for n, who in heard.items() if n not in dead}


webs = st.integers(2, 7).flatmap(
    lambda n: st.builds(
        Web,
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=12),
        st.lists(st.integers(0, n - 1), max_size=4),
    )
)


@given(webs)
def test_deaths_spread_along_links(web: Web) -> None:
    """Exactly the actors that can be reached over links without crossing a trapping one die, of the first reason."""

    async def main() -> None:
        async with open_checked_system() as system:
            actors = [await puppet(system, trap=traps) for traps in web.traps]
            for one, other in web.links:
                await link(actors[one], actors[other])
            stopped = collect(system, ak.Stopped)
            number = {actor.ref.address: n for n, actor in enumerate(actors)}
            for first in web.deaths:
                actors[first].ref.kill()
                await settle()
            dead, heard = web.toll()
            assert {number[event.address] for event in stopped} == set(dead)
            assert len(stopped) == len(dead)
            assert {event.reason for event in stopped} <= {ak.Killed()}
            for n, who in heard.items():
                assert sorted(number[e.address] for e in actors[n].exits if e.address) == who

    run_in_virtual_time(main)
