"""Asks: they always end, with the reply or with one of a closed set of errors, wherever they are made."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from tests.harness import (
    lost,
    open_checked_system,
    puppet,
    run_in_virtual_time,
    settle,
)
from tests.kernel.servers import (
    Add,
    Answer,
    Ask,
    Break,
    Decline,
    Later,
    Narrow,
    NotToday,
    Server,
    Unknown,
    outcome,
)
from tests.kernel.support import Note, failure_of

# From where --------------------------------------------------------------------------------------------------------


async def _from_a_task(system: ak.System, ask: Ask) -> Any:
    return await outcome(ask)


async def _from_a_handler(system: ak.System, ask: Ask) -> Any:
    return await (await puppet(system)).do(lambda _: outcome(ask), timeout=None)


async def _from_a_nursery(system: ak.System, ask: Ask) -> Any:
    results: list[Any] = []

    async def note() -> None:
        results.append(await outcome(ask))

    async def open_nursery(_: object) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(note)

    await (await puppet(system)).do(open_nursery, timeout=None)
    return results[0]


async def _from_a_scope(system: ak.System, ask: Ask) -> Any:
    async def open_scope(_: object) -> Any:
        with trio.fail_after(10**9):
            return await outcome(ask)

    return await (await puppet(system)).do(open_scope, timeout=None)


async def _from_background_work(system: ak.System, ask: Ask) -> Any:
    results: list[Any] = []
    done = trio.Event()

    async def work() -> None:
        results.append(await outcome(ask))
        done.set()

    await (await puppet(system)).do(lambda ctx: ctx.start_soon(work))
    await done.wait()
    return results[0]


From = Callable[[ak.System, Ask], Awaitable[Any]]
FROM: list[From] = [
    _from_a_task,
    _from_a_handler,
    _from_a_nursery,
    _from_a_scope,
    _from_background_work,
]
ANYWHERE = pytest.mark.parametrize("place", FROM)


@ANYWHERE
async def test_the_reply(system: ak.System, place: From) -> None:
    """A request is answered with its handler's value, at once or later, by a method or through its ``Reply``."""
    server = await system.spawn(ak.props(Server))
    assert await place(system, lambda: server.ask(Add(1, 2))) == 3
    assert await place(system, lambda: server.ask(Add(1, 2, after=3))) == 3
    assert trio.current_time() == 3.0
    system.send_after(1, server, Answer(42))
    assert await place(system, lambda: server.ask(Later())) == 42
    assert trio.current_time() == 4.0


@ANYWHERE
@pytest.mark.parametrize("seconds", [0.001, 1, 5.0, 86_400])
async def test_time_outs_are_exact(system: ak.System, place: From, seconds: float) -> None:
    """``AskTimeout`` comes after just as long as was asked for, and says that the outcome is unknown."""
    server = await system.spawn(ak.props(Server))
    error = await place(system, lambda: server.ask(Later(), timeout=seconds))
    assert isinstance(error, ak.AskTimeout)
    assert trio.current_time() == seconds
    assert (error.actor, error.timeout) == (server.path, seconds)
    assert "did not answer Later within" in str(error)
    assert "unknown" in str(error)


@ANYWHERE
async def test_no_time_out(system: ak.System, place: From) -> None:
    """Without a time-out an ask waits as long as the actor lives."""
    server = await system.spawn(ak.props(Server))
    assert await place(system, lambda: server.ask(Add(1, after=10_000), timeout=None)) == 1


@ANYWHERE
async def test_the_callees_death(system: ak.System, place: From) -> None:
    """``ActorDied`` comes at once, with the reason: crashed over this request or another, killed, or long gone."""
    victims = [await system.spawn(ak.props(Server)) for _ in range(2)]
    for victim in victims:
        error = await place(system, lambda ref=victim: ref.ask(Break(after=1)))  # type: ignore[misc]
        assert isinstance(error, ak.ActorDied)
        assert error.reason == ak.Crashed("ValueError", "broken")
        assert isinstance(error.__cause__, ValueError)
        assert "in fall" in "".join(error.__notes__)
    assert trio.current_time() == 2.0
    gone = await place(system, lambda: victims[-1].ask(Add(1)))
    assert isinstance(gone, ak.ActorDied)
    assert gone.reason == ak.NoActor()
    waiting = await system.spawn(ak.props(Server))
    waiting.tell(Add(0, after=10))
    system.send_after(1, await killer_of(system, waiting), Note("now"))
    killed = await place(system, lambda: waiting.ask(Add(1)))
    assert isinstance(killed, ak.ActorDied)
    assert killed.reason == ak.Killed()
    assert trio.current_time() == 3.0


async def killer_of(system: ak.System, victim: ak.Ref[Any]) -> ak.Ref[Note]:
    """An actor that kills another when it is told anything."""

    class Killer(ak.Actor[Note]):
        @ak.on(Note)
        def kill(self, msg: Note) -> None:
            victim.kill()

    return await system.spawn(ak.props(Killer))


@ANYWHERE
async def test_the_other_errors(system: ak.System, place: From) -> None:
    """No room, no handler, and a refusal: at once, and the callee lives on."""
    server, narrow = await system.spawn(ak.props(Server)), await system.spawn(ak.props(Narrow))
    refused = await place(system, lambda: server.ask(Decline()))
    assert type(refused) is NotToday
    assert str(refused) == "come back tomorrow"
    unhandled = await place(system, lambda: server.ask(Unknown()))  # type: ignore[arg-type]
    assert isinstance(unhandled, ak.Unhandled)
    assert (unhandled.actor, unhandled.message_type) == (server.path, "Unknown")
    for _ in range(2):
        narrow.tell(Add(0, after=10))
        await settle()
    full = await place(system, lambda: narrow.ask(Add(1)))
    assert isinstance(full, ak.MailboxFull)
    assert (full.actor, full.capacity) == (narrow.path, 1)
    assert trio.current_time() == 0.0
    assert lost(system, ak.DeadReason.UNHANDLED) == [Unknown()]
    assert lost(system, ak.DeadReason.MAILBOX_FULL) == [Add(1)]
    await trio.sleep(20)
    assert server.alive
    assert narrow.alive


@ANYWHERE
@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, "5", [1]])
async def test_a_wrong_time_out_sends_nothing(system: ak.System, place: From, timeout: Any) -> None:
    """A time-out that is no time is a ValueError that shows it; the request does not go out, the asker is unharmed."""
    server = await system.spawn(ak.props(Server))

    async def ask() -> Exception:
        error = await failure_of(server.ask(Add(1), timeout=timeout))
        assert await server.ask(Add(2)) == 2
        return error

    error = await place(system, ask)
    assert isinstance(error, ValueError)
    assert repr(timeout) in str(error)
    assert system.statistics(server).handled == 1


# Replies that come too late ----------------------------------------------------------------------------------------


@ANYWHERE
async def test_late_replies_reach_nobody(system: ak.System, place: From) -> None:
    """A reply after the time-out is counted, and never taken for the reply of a later ask."""
    server = await system.spawn(ak.props(Server))

    async def twice() -> tuple[Any, Any]:
        first = await outcome(lambda: server.ask(Add(1, after=2), timeout=1))
        return first, await server.ask(Add(10, after=2))

    first, second = await place(system, twice)
    assert isinstance(first, ak.AskTimeout)
    assert second == 10
    assert lost(system, ak.DeadReason.LATE_REPLY) == [1]


@ANYWHERE
async def test_an_ask_can_be_cancelled(system: ak.System, place: From) -> None:
    """Cancelling an ask ends it there and then; the request is carried out all the same, the reply is late."""
    server = await system.spawn(ak.props(Server))

    async def give_up() -> Any:
        with trio.move_on_after(1) as scope:
            await server.ask(Add(1, after=2))
        assert scope.cancelled_caught
        return await server.ask(Add(2))

    assert await place(system, give_up) == 2
    assert lost(system, ak.DeadReason.LATE_REPLY) == [1]
    assert system.statistics(server).handled == 2


@pytest.mark.parametrize("place", FROM[1:4])
async def test_the_askers_death(system: ak.System, place: From) -> None:
    """A killed asker gets no reply; the callee neither knows nor cares."""
    server = await system.spawn(ak.props(Server))

    async def ask_for_its_life() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(failure_of, place(system, lambda: server.ask(Add(1, after=2))))
            await settle()
            for branch in system.tree():
                if branch.actor == "Puppet":
                    system.runtime.top[branch.path[1:]].ref.kill()

    await ask_for_its_life()
    await trio.sleep(3)
    assert lost(system, ak.DeadReason.LATE_REPLY) == [1]
    assert await server.ask(Add(5)) == 5


async def test_a_deferred_reply_counts_once(system: ak.System) -> None:
    """Who answers later can see whether the answer is wanted; the second answer is late, and none is sent of the dead."""
    replies: list[ak.Reply[int]] = []
    seen: list[object] = []

    class Slow(ak.Actor[Later]):
        @ak.on(Later)
        def later(self, msg: Later, reply: ak.Reply[int]) -> None:
            replies.append(reply)

    server = await system.spawn(ak.props(Slow))

    async def ask(timeout: float) -> None:
        seen.append(await outcome(lambda: server.ask(Later(), timeout=timeout)))

    async with trio.open_nursery() as nursery:
        for timeout in (5, 1, 5, 6):
            nursery.start_soon(ask, timeout)
            await settle()
        await trio.sleep(2)
        assert [reply.wanted for reply in replies] == [True, False, True, True]
        assert [replies[0].send(7), replies[0].send(8), replies[1].send(9)] == [True, False, False]
        assert replies[2].refuse(NotToday())
        server.kill()
        await settle()
        assert not replies[3].send(10)
    kinds = [type(result) for result in seen]
    assert sorted(kinds, key=str) == sorted([int, ak.AskTimeout, NotToday, ak.ActorDied], key=str)
    assert lost(system, ak.DeadReason.LATE_REPLY) == [8, 9, 10]
    server.tell(Later())
    await settle()


async def test_refusing_what_nobody_asked(system: ak.System) -> None:
    """A told request that is refused is a dead letter; one whose reply is put off just has nobody who wants it."""
    server = await system.spawn(ak.props(Server))
    server.tell(Decline())
    server.tell(Later())
    server.tell(Answer(1))
    await settle()
    assert lost(system) == [Decline()]
    assert server.alive


# Other receivers ---------------------------------------------------------------------------------------------------


@ANYWHERE
async def test_asking_by_name(system: ak.System, place: From) -> None:
    """An ask by name goes to the holder of that moment, and says whose name it was if there is none."""
    named = system.named(ak.Key[Add]("server"))
    nobody = await place(system, lambda: named.ask(Add(1)))
    assert isinstance(nobody, ak.ActorDied)
    assert (nobody.actor, nobody.reason) == ("name:server", ak.NoActor())
    for n in range(2):
        holder = await system.spawn(ak.props(Server), name="server")
        assert await place(system, lambda n=n: named.ask(Add(n))) == n  # type: ignore[misc]
        holder.kill()


@ANYWHERE
async def test_asking_the_suspended(system: ak.System, place: From) -> None:
    """An ask of a suspended actor waits in its mailbox, until it times out or the actor is resumed."""
    server = await system.spawn(ak.props(Server))
    system.suspend(server)
    await settle()
    assert isinstance(await place(system, lambda: server.ask(Add(1), timeout=1)), ak.AskTimeout)
    system.send_after(1, await resumer_of(system, server), Note("now"))
    assert await place(system, lambda: server.ask(Add(2))) == 2
    assert trio.current_time() == 2.0


async def resumer_of(system: ak.System, ref: ak.Ref[Any]) -> ak.Ref[Note]:
    """An actor that resumes another when it is told anything."""

    class Resumer(ak.Actor[Note]):
        @ak.on(Note)
        def resume(self, msg: Note) -> None:
            system.resume(ref)

    return await system.spawn(ak.props(Resumer))


@pytest.mark.parametrize("place", [_from_a_task, _from_a_scope, _from_background_work])
async def test_many_asks_at_once(system: ak.System, place: From) -> None:
    """Five hundred asks of one caller are answered each with its own reply."""
    servers = [await system.spawn(ak.props(Server)) for _ in range(5)]
    got: dict[int, int] = {}

    async def ask(n: int) -> None:
        got[n] = await servers[n % 5].ask(Add(n, after=0.001 * (n % 3)), timeout=None)

    async def ask_all() -> None:
        async with trio.open_nursery() as nursery:
            for n in range(500):
                nursery.start_soon(ask, n)

    await place(system, ask_all)
    assert got == {n: n for n in range(500)}


# The law -----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Question:
    """One ask of a random mix: of whom, what, how patiently, and from where."""

    server: int
    message: Any
    timeout: float | None
    place: From
    pause: float


questions = st.builds(
    Question,
    st.integers(0, 2),
    st.sampled_from(
        [
            Add(1),
            Add(1, after=0.5),
            Add(1, after=3),
            Break(),
            Break(1),
            Decline(),
            Later(),
            Unknown(),
        ]
    ),
    st.sampled_from([0.1, 1.0, 2.5]),
    st.sampled_from(FROM),
    st.sampled_from([0.0, 0.1, 0.7]),
)
CLOSED_SET = (
    ak.AskTimeout | ak.ActorDied | ak.MailboxFull | ak.CircularAsk | ak.Unhandled | ak.Refused | int
)


@given(st.lists(questions, max_size=10), st.lists(st.floats(0, 3), max_size=2))
def test_every_ask_ends_in_time(script: list[Question], kills: list[float]) -> None:
    """Whatever the callee does, an ask ends with an int or an error of the closed set, not after its time-out."""

    async def main() -> None:
        async with open_checked_system() as system, trio.open_nursery() as nursery:
            servers = [await system.spawn(ak.props(Narrow if n == 2 else Server)) for n in range(3)]

            async def ask(question: Question) -> None:
                started = trio.current_time()
                ref: ak.Ref[Any] = servers[question.server]
                result = await question.place(
                    system, lambda: ref.ask(question.message, timeout=question.timeout)
                )
                assert isinstance(result, CLOSED_SET)
                took = trio.current_time() - started
                assert took <= (question.timeout or 0) + 1e-9
                assert (
                    not isinstance(result, ak.AskTimeout) or took >= (question.timeout or 0) - 1e-9
                )

            for victim, moment in enumerate(kills):
                killer = await killer_of(system, servers[victim])
                system.send_after(moment, killer, Note("now"))
            for question in script:
                nursery.start_soon(ask, question)
                await trio.sleep(question.pause)
            await trio.sleep(5)

    run_in_virtual_time(main)


async def test_one_sender_mixes_tells_and_asks(system: ak.System) -> None:
    """What one sender told before it asked has been handled when the reply comes."""
    receiver = await puppet(system)

    async def mix(_: object) -> list[int]:
        lengths = []
        for n in range(10):
            receiver.ref.tell(Note(n))
            lengths.append(await receiver.do(lambda _: len(receiver.log)))
        return lengths

    sender = await puppet(system)
    assert await sender.do(mix) == list(range(1, 11))
