"""Systems: opened and closed in order whatever happens inside, side by side, and with clear errors at the door."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.kernel.wait import ZOMBIES
from tests.harness import (
    Do,
    Strings,
    assert_conserved,
    assert_nothing_left,
    open_checked_system,
    puppet,
    puppet_props,
    run_in_virtual_time,
    settle,
)
from tests.kernel.support import Note, failure_in, failure_of


class Orderly(ak.Actor[Note]):
    """Says when it stops, after a second's work."""

    def __init__(self, log: list[object]) -> None:
        self.log = log

    @ak.on(Note)
    async def note(self, msg: Note) -> None:
        try:
            await self.ctx.sleep(3600)
        finally:
            self.log.append(f"{self.ctx.path} broken off")

    async def stopping(self, reason: ak.ExitReason) -> None:
        await trio.sleep(0.5)
        await self.ctx.sleep(0.5)
        self.log.append(f"{self.ctx.path} {reason}")


async def start_three(system: ak.System, log: list[object]) -> None:
    """Three actors, the second of them busy."""
    for name in ("first", "second", "third"):
        ref = await system.spawn(ak.props(Orderly, log), name=name)
        if name == "second":
            ref.tell(Note("work"))
    await settle()


IN_ORDER = ["/third shutdown", "/second broken off", "/second shutdown", "/first shutdown"]

# The end of a block ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def audited() -> AsyncIterator[ak.System]:
    """A system whose books are looked at even if its block fails."""
    opened: list[ak.System] = []
    try:
        async with ak.open_system(audit=True, logs=False, watchdog=None) as system:
            opened.append(system)
            yield system
    finally:
        for one in opened:
            assert_conserved(one)
            assert_nothing_left(one)


async def test_the_end_of_the_block() -> None:
    """Actors are stopped one after the other, the youngest first; what a handler waits for is broken off."""
    log: list[object] = []
    async with audited() as system:
        await start_three(system, log)
    assert log == IN_ORDER
    assert trio.current_time() == 3.0


async def test_an_error_in_the_block() -> None:
    """It comes out as it is, in no group, after all actors have stopped in order."""
    log: list[object] = []
    with pytest.raises(ValueError, match="in the block"):  # noqa: PT012 - it comes out of a block
        async with audited() as system:
            await start_three(system, log)
            raise ValueError("in the block")
    assert log == IN_ORDER


async def test_a_cancelled_block() -> None:
    """An outer scope that gives up still leaves the actors their time to stop in order."""
    log: list[object] = []
    with trio.move_on_after(10) as scope:
        async with audited() as system:
            await start_three(system, log)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert log == IN_ORDER
    assert trio.current_time() == 13.0


async def test_a_block_that_is_cancelled_before_it_begins() -> None:
    """Nothing of the system stays behind, and no task does."""
    tasks = trio.lowlevel.current_statistics().tasks_living
    with trio.CancelScope() as scope:
        scope.cancel()
        async with audited():
            await trio.sleep_forever()
    await settle()
    assert scope.cancelled_caught
    assert trio.lowlevel.current_statistics().tasks_living == tasks


async def test_an_actor_that_does_not_end() -> None:
    """Its shutdown limit passes, then it is killed, and the others have their turn."""
    log: list[object] = []

    class Clinging(Orderly):
        async def stopping(self, reason: ak.ExitReason) -> None:
            await trio.sleep_forever()

    async with audited() as system:
        await system.spawn(ak.props(Orderly, log), name="first")
        await system.spawn(ak.props(Clinging, log))
    assert log == ["/first shutdown"]
    assert trio.current_time() == 6.0


async def test_actors_started_by_those_that_stop() -> None:
    """What a ``stopping`` hook starts is stopped as well; the block does not end before."""
    log: list[object] = []

    class Parting(Orderly):
        async def stopping(self, reason: ak.ExitReason) -> None:
            await self.ctx.spawn(ak.props(Orderly, log), name="late", link=False)
            log.append("parting")

    async with audited() as system:
        await system.spawn(ak.props(Parting, log), name="parting")
    assert log == ["parting", "/parting/late shutdown"]


async def test_shutting_down_twice(system: ak.System) -> None:
    """``shutdown`` may be called before the end of the block, and again; it then has nothing to do."""
    log: list[object] = []
    await start_three(system, log)
    await system.shutdown()
    await system.shutdown()
    assert log == IN_ORDER
    assert system.tree() == ()


async def test_nothing_starts_after_the_end(system: ak.System) -> None:
    """A closed system starts no actors; its references are those of dead actors."""
    actor = await puppet(system, name="gone")
    named = system.named(ak.Key[object]("gone"))
    await system.shutdown()
    with pytest.raises(ak.SystemClosed, match="starts no actors"):
        await system.spawn(puppet_props([]))
    for ref in (actor.ref, named):
        assert not ref.alive
        ref.tell(Note("too late"))
        assert isinstance(await failure_of(ref.ask(Do(lambda _: 1))), ak.ActorDied)
        assert isinstance(await failure_of(ref.send(Note("too late"))), ak.ActorDied)
    assert system.dead_letters.counts == {ak.DeadReason.NO_ACTOR: 6}


async def test_one_system_after_the_other() -> None:
    """A second system of the same name knows nothing of the first, and its addresses are others."""
    addresses: set[ak.Address] = set()
    for _ in range(3):
        async with open_checked_system() as system:
            actor = await puppet(system, name="same")
            addresses.add(actor.ref.address)
    assert len(addresses) == 3


# Side by side ------------------------------------------------------------------------------------------------------


async def test_two_systems_in_one_thread(system: ak.System) -> None:
    """Actors of two systems ask and kill each other; names, trees, links and monitors are kept apart."""
    here = await puppet(system, name="same")
    async with ak.open_system("other", logs=False, watchdog=None) as other:
        there = await puppet(other, name="same")
        assert system.whereis(ak.Key[object]("same")) is here.ref
        assert other.whereis(ak.Key[object]("same")) is there.ref
        assert len(system.tree()) == len(other.tree()) == 1
        assert await here.do(lambda _: there.do(lambda ctx: ctx.self.address.node)) == "other"
        assert await there.do(lambda _: here.do(lambda ctx: ctx.self.address.node)) == "local"
        ring = await here.do(lambda _: there.do(lambda _: failure_of(here.do(lambda _: 1))))
        assert isinstance(ring, ak.CircularAsk)
        late = await here.do(lambda _: failure_of(there.do(lambda ctx: ctx.sleep(5), timeout=1)))
        assert isinstance(late, ak.AskTimeout)
        assert trio.current_time() == 1.0
        for error in (
            await here.do(lambda ctx: failure_in(lambda: ctx.watch(there.ref))),
            await here.do(lambda ctx: failure_in(lambda: ctx.link(there.ref))),
        ):
            assert isinstance(error, ValueError)
            assert "another system (other)" in str(error)
        victim = await puppet(other)
        await here.do(lambda _: victim.ref.kill())
        assert await here.do(lambda _: victim.ref.wait_stopped()) == ak.Killed()
        here.cue(lambda _: there.do(lambda ctx: ctx.sleep(60), timeout=None))
        await settle()
    await settle()
    assert not there.ref.alive
    assert not here.ref.alive  # it waited for one that was stopped, and crashed of it
    assert system.tree() == ()


def test_two_systems_in_two_threads() -> None:
    """Each thread has its own run of trio and its own systems; they share nothing."""
    results: dict[int, tuple[int, int]] = {}

    async def ask_path(_: object, other: Strings) -> str:
        path: str = await other.do(lambda ctx: ctx.path)
        return path

    async def main(number: int) -> None:
        async with ak.open_system(audit=True, logs=False, watchdog=None) as system:
            actors = [await puppet(system, name=f"a{n}") for n in range(20)]
            for _ in range(50):
                for one, other in pairwise(actors):
                    path = await one.do(partial(ask_path, other=other))
                    assert path == other.ref.path
            for actor in actors[:10]:
                actor.cue(lambda _: trio.Event().wait())
            await settle()
            for actor in actors[:10]:
                actor.ref.kill()
            await trio.sleep(number)
            results[number] = (len(system.tree()), len(system.dead_letters))
        assert_conserved(system)

    threads = [
        threading.Thread(target=run_in_virtual_time, args=(partial(main, number),))
        for number in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {1: (10, 0), 2: (10, 0)}
    assert not ZOMBIES


async def test_a_system_inside_an_actor(system: ak.System) -> None:
    """A handler may open a system of its own; its actors are nobody's children."""
    host = await puppet(system)

    async def open_inner(ctx: ak.Context[Any]) -> tuple[str, object]:
        async with ak.open_system("inner", logs=False, watchdog=None) as inner:
            guest = await puppet(inner)
            parent = await guest.do(lambda ctx: ctx.parent)
            return guest.ref.path, parent

    assert await host.do(open_inner) == ("/Puppet-1", None)


# The door ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "two words", "a#b", "a@", "é", "x" * 65])
async def test_a_nodes_name_is_checked(name: str) -> None:
    """A name that cannot name a node is refused, shown, before anything is opened."""
    tasks = trio.lowlevel.current_statistics().tasks_living
    with pytest.raises(ValueError, match="a node's name is letters") as refused:
        await ak.open_system(name).__aenter__()
    assert repr(name) in str(refused.value)
    assert trio.lowlevel.current_statistics().tasks_living == tasks


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
async def test_the_watchdogs_limit_is_checked(limit: float) -> None:
    """A watchdog needs a time above zero."""
    with pytest.raises(ValueError, match="watchdog is a number of seconds above 0"):
        await ak.open_system(watchdog=limit).__aenter__()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda system: system.spawn(Orderly), r"spawn\(\) takes props\(ActorClass"),
        (lambda system: system.spawn(Orderly([])), r"spawn\(\) takes props\(ActorClass"),
        (lambda system: system.spawn(ak.Props(Orderly)), "log"),
        (lambda system: system.start(ak.props(Orderly, [])), "spawn"),
    ],
)
async def test_wrong_things_to_start(
    system: ak.System, wrong: Callable[[ak.System], Any], words: str
) -> None:
    """What cannot be started is one clear error, a constructor that cannot be called a failed start; nothing is left."""
    error = await failure_of(wrong(system))
    assert isinstance(error, (TypeError, ak.StartFailed))
    with pytest.raises(type(error), match=words):
        raise error
    assert system.tree() == ()


@pytest.mark.parametrize("wrong", [3, "Orderly", int, None, Note, Orderly([])])
def test_props_take_an_actor_class(wrong: Any) -> None:
    """``props`` of anything but an actor class is refused, shown."""
    with pytest.raises(TypeError, match=r"props\(\) takes an Actor class") as refused:
        ak.props(wrong)
    assert repr(wrong) in str(refused.value)


async def test_what_the_dead_are_asked_for(system: ak.System) -> None:
    """Inspecting, suspending or stopping the dead says that they are dead."""
    actor = await puppet(system)
    actor.ref.kill()
    for question in (system.status, system.statistics, system.suspend, system.resume):
        with pytest.raises(ak.ActorDied, match="killed"):
            question(actor.ref)
    assert isinstance(await failure_of(system.state_of(actor.ref)), ak.ActorDied)
    assert isinstance(await failure_of(actor.ref.stop()), ak.ActorDied)
    assert await actor.ref.wait_stopped() == ak.Killed()


# run ---------------------------------------------------------------------------------------------------------------


def test_run_gives_the_result() -> None:
    """``run`` passes its arguments on, names the system, and returns what main returns."""

    async def main(system: ak.System, one: int, other: str) -> tuple[str, int, str]:
        return system.name, one, other

    assert ak.run(main, 1, "two", name="node", logs=False) == ("node", 1, "two")


def test_run_raises_what_main_raises() -> None:
    """An error of main comes out of ``run`` as it is."""

    async def main(system: ak.System) -> None:
        await puppet(system)
        raise KeyError("main")

    with pytest.raises(KeyError, match="main"):
        ak.run(main, logs=False)


@pytest.mark.parametrize("place", ["handler", "hook", "nursery", "background"])
def test_an_actor_may_end_the_program(place: str) -> None:
    """``SystemExit`` raised by any code of an actor shuts the system down in order, and ends the program."""
    log: list[object] = []

    class Final(ak.Actor[Note]):
        @ak.on(Note)
        async def note(self, msg: Note) -> None:
            if place == "handler":
                raise SystemExit(7)
            if place == "background":
                self.ctx.start_soon(self.exit)
            elif place == "nursery":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.exit)
                    nursery.start_soon(trio.sleep_forever)
            else:
                self.ctx.stop()

        async def exit(self) -> None:
            raise SystemExit(7)

        def stopping(self, reason: ak.ExitReason) -> None:
            if place == "hook":
                raise SystemExit(7)

    async def main(system: ak.System) -> None:
        await system.spawn(ak.props(Orderly, log), name="other")
        (await system.spawn(ak.props(Final))).tell(Note("end"))
        await trio.sleep_forever()

    clock = trio.testing.MockClock(autojump_threshold=0)
    with pytest.raises(SystemExit) as ended:
        ak.run(main, clock=clock, logs=False, watchdog=None)
    assert ended.value.code == 7
    assert log == ["/other shutdown"]
