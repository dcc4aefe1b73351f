"""Two systems side by side: each has names, books and an end of its own; in one trio run their actors may talk."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import trio

import actorkit as ak
from tests.harness import (
    Strings,
    lost,
    open_checked_system,
    puppet,
    run_in_virtual_time,
    settle,
)
from tests.kernel.support import Note, collect, failure_in, failure_of


@ak.message
class Numbers(ak.StreamRequest[int]):
    """A stream of the numbers below ``upto``."""

    upto: int


class Counter(ak.Actor[Numbers]):
    """Streams."""

    @ak.on(Numbers)
    async def numbers(self, msg: Numbers) -> AsyncIterator[int]:
        """Count, a second for each."""
        for n in range(msg.upto):
            await self.ctx.sleep(1.0)
            yield n


@pytest.fixture
async def other() -> AsyncIterator[ak.System]:
    """A second system in the same trio run, whose books must balance as well."""
    async with open_checked_system("other") as opened:
        yield opened


async def pair(system: ak.System, other: ak.System) -> tuple[Strings, Strings]:
    """A puppet of each system, named alike."""
    return await puppet(system, name="puppet"), await puppet(other, name="puppet")


# Apart -------------------------------------------------------------------------------------------------------------


async def test_names_are_per_system(system: ak.System, other: ak.System) -> None:
    """The same name is free in the other system, and finds the one that was asked."""
    key: ak.Key[object] = ak.Key("puppet")
    here, there = await pair(system, other)
    assert (system.whereis(key), other.whereis(key)) == (here.ref, there.ref)
    system.named(key).tell(Note("here"))
    other.named(key).tell(Note("there"))
    await settle()
    assert (here.log, there.log) == ([Note("here")], [Note("there")])


async def test_trees_and_events_are_per_system(system: ak.System, other: ak.System) -> None:
    """A system shows its own actors, and tells of them to its own observers."""
    ends_here, ends_there = collect(system, ak.Stopped), collect(other, ak.Stopped)
    here, there = await pair(system, other)
    assert [branch.path for branch in system.tree()] == ["/puppet"]
    await there.ref.stop()
    assert (system.tree() != (), other.tree()) == (True, ())
    assert here.ref.alive
    assert (len(ends_here), len(ends_there)) == (0, 1)


async def test_addresses_tell_the_systems_apart(system: ak.System, other: ak.System) -> None:
    """Actors with the same path have addresses that name their systems."""
    here, there = await pair(system, other)
    assert here.ref.path == there.ref.path
    assert here.ref.address != there.ref.address
    assert (here.ref.address.node, there.ref.address.node) == ("local", "other")


async def test_one_ends_while_the_other_runs(system: ak.System) -> None:
    """The end of a system ends its own actors only, and what goes there afterwards is its dead letter."""
    here = await puppet(system)
    async with open_checked_system("other") as short:
        there = await puppet(short)
    assert here.ref.alive
    await here.do(lambda _: there.ref.tell(Note("late")))
    assert (lost(short), lost(system)) == ([Note("late")], [])
    assert isinstance(
        await here.do(lambda _: failure_of(there.do(lambda _: 1))),
        ak.ActorDied,
    )


async def test_a_crash_stays_in_its_system(system: ak.System, other: ak.System) -> None:
    """What fails in one system is neither reported nor felt in the other."""
    reports_here, reports_there = collect(system, ak.CrashReport), collect(other, ak.CrashReport)
    here, there = await pair(system, other)
    there.cue(lambda _: 1 / 0)
    await there.ref.wait_stopped()
    assert (reports_here, len(reports_there)) == ([], 1)
    assert await here.do(lambda _: "fine") == "fine"


# Across, in one trio run -------------------------------------------------------------------------------------------


async def test_tell_and_ask_across(system: ak.System, other: ak.System) -> None:
    """In one trio run a reference works from an actor of another system as from its own."""
    here, there = await pair(system, other)
    await here.do(lambda _: there.ref.tell(Note("told")))
    assert await here.do(lambda _: there.do(lambda ctx: ctx.sleep(1.0))) is None
    assert await here.do(lambda _: there.do(lambda ctx: list(there.log))) == [Note("told")]


async def test_each_system_books_what_its_own_actors_get(
    system: ak.System, other: ak.System
) -> None:
    """A message is counted where it goes to, not where it comes from."""
    here, there = await pair(system, other)
    before = system.conservation().sent, other.conservation().sent
    await here.do(lambda _: [there.ref.tell(Note(n)) for n in range(5)])
    await settle()
    assert (system.conservation().sent - before[0], other.conservation().sent - before[1]) == (1, 5)


async def test_streams_across(system: ak.System, other: ak.System) -> None:
    """An actor reads a stream of the other system's actor."""
    here = await puppet(system)
    counter = await other.spawn(ak.props(Counter))

    async def read() -> list[int]:
        async with counter.stream(Numbers(5), window=1) as numbers:
            return [n async for n in numbers]

    assert await here.do(lambda _: read(), timeout=None) == [0, 1, 2, 3, 4]


async def _too_slow(there: Strings) -> object:
    return await there.do(lambda ctx: ctx.sleep(9.0), timeout=1.0)


async def _crash(there: Strings) -> object:
    return await there.do(lambda _: 1 / 0)


@pytest.mark.parametrize(("attempt", "error"), [(_too_slow, ak.AskTimeout), (_crash, ak.ActorDied)])
async def test_errors_of_asks_across(
    system: ak.System,
    other: ak.System,
    attempt: Callable[[Strings], Awaitable[object]],
    error: type[Exception],
) -> None:
    """Asks across systems fail like any others."""
    here, there = await pair(system, other)
    assert type(await here.do(lambda _: failure_of(attempt(there)))) is error


async def test_circles_across(system: ak.System, other: ak.System) -> None:
    """Actors of two systems that would wait for each other are told so."""
    here, there = await pair(system, other)

    async def back(_: object) -> type:
        return type(await failure_of(here.do(lambda _: 1)))

    assert await here.do(lambda _: there.do(back)) is ak.CircularAsk


async def test_an_asker_learns_of_the_other_systems_end(system: ak.System) -> None:
    """An ask across is answered by ``ActorDied`` when the other system shuts down."""
    here = await puppet(system)
    errors: list[Exception] = []

    async def ask(there: Strings) -> None:
        asking = there.do(lambda ctx: ctx.sleep(99.0), timeout=None)
        errors.append(await here.do(lambda _: failure_of(asking), timeout=None))

    async with trio.open_nursery() as nursery, open_checked_system("other") as short:
        nursery.start_soon(ask, await puppet(short))
        await settle()
    assert [type(error) for error in errors] == [ak.ActorDied]


async def test_a_kill_and_a_stop_reach_across(system: ak.System, other: ak.System) -> None:
    """Whoever holds a reference may end the actor, and wait for its end."""
    here, there = await pair(system, other)
    second = await puppet(other)
    assert await here.do(lambda _: there.ref.stop()) is None
    second.cue(lambda ctx: ctx.sleep(9.0))
    await settle()
    await here.do(lambda _: second.ref.kill())
    assert await here.do(lambda _: second.ref.wait_stopped()) == ak.Killed()


@pytest.mark.parametrize("alive", [True, False], ids=["alive", "dead"])
async def test_relations_do_not_reach_across(
    system: ak.System, other: ak.System, alive: bool
) -> None:
    """Watching or linking an actor of another system is an error at once: no notice would ever come."""
    here, there = await pair(system, other)
    if not alive:
        await there.ref.stop()

    def attempts(ctx: ak.Context[Any]) -> list[Exception]:
        return [
            failure_in(lambda: ctx.watch(there.ref)),
            failure_in(lambda: ctx.link(there.ref)),
        ]

    for error in await here.do(attempts):
        assert isinstance(error, ValueError)
        assert "another system (other)" in str(error)
    assert here.ref.alive


# In two threads ----------------------------------------------------------------------------------------------------


def test_two_threads() -> None:
    """A system in each of two threads, in step, with the same names: neither knows of the other."""
    both = threading.Barrier(2, timeout=20.0)

    async def main(name: str) -> list[Note]:
        async with open_checked_system(name) as system:
            me = await puppet(system, name="puppet")
            both.wait()
            for n in range(200):
                me.ref.tell(Note((name, n)))
                assert await me.do(lambda ctx: ctx.path) == "/puppet"
            both.wait()
            return me.got(Note)

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run_in_virtual_time, partial(main, name)) for name in ("one", "two")]
        seen = [run.result(40.0) for run in runs]
    assert seen == [[Note((name, n)) for n in range(200)] for name in ("one", "two")]


def _in_a_run_of_its_own(function: Callable[[], None]) -> None:
    async def main() -> None:
        function()

    trio.run(main)


@pytest.mark.parametrize("run", [lambda function: function(), _in_a_run_of_its_own])
async def test_another_thread_is_found_out(
    system: ak.System, run: Callable[[Callable[[], None]], None]
) -> None:
    """A tell from another thread to a system at rest raises, names the remedy, and leaves the system as sound as before."""
    one, other = await puppet(system), await puppet(system)
    for number, strings in enumerate((one, other, one)):
        await settle()
        with pytest.raises(RuntimeError, match=r"another thread.*portal\.tell"):
            await trio.to_thread.run_sync(run, partial(strings.ref.tell, Note(number)))
    one.ref.tell(Note("from home"))
    await settle()
    assert one.log == [Note(0), Note(2), Note("from home")]
    assert other.log == [Note(1)]
    assert await other.do(lambda _: one.do(lambda _: "sound")) == "sound"
