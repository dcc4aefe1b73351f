"""How an ask between nodes may end: with its reply, or with one of the closed set of errors, each with its fields."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import actorkit as ak
from tests.cluster.two_nodes import (
    Act,
    Echo,
    Note,
    Ping,
    Play,
    Player,
    defer,
    nodes,
    play,
    player,
    quiet,
    seen,
    until,
)
from tests.harness import lost

HOUR = 3600.0


class TooMuch(ak.Refused):
    """An expected error with fields, and a constructor that is not asked again over here."""

    built = 0

    def __init__(self, wanted: int, left: int) -> None:
        super().__init__(f"{wanted} wanted, {left} left")
        self.wanted = wanted
        self.left = left
        TooMuch.built += 1


def refuse(_: ak.Context[Any]) -> None:
    """Refuse."""
    raise TooMuch(5, 3)


def crash(_: ak.Context[Any]) -> None:
    """Crash."""
    raise ZeroDivisionError("far too far")


def never(began: list[int]) -> Play:
    """A request that is begun, and takes an hour."""

    async def part(ctx: ak.Context[Any]) -> None:
        began.append(1)
        await ctx.sleep(HOUR)

    return play(part)


# Replies -------------------------------------------------------------------------------------------------------------


@ak.message
class Sum(ak.Request[tuple[int, ...]]):
    """Answered with numbers."""

    numbers: list[int]


@ak.message
class Wrong(ak.Request[int]):
    """Answered with what is no int."""


class Adder(ak.Actor[Sum | Wrong]):
    """Answers with values of the type that is declared, or not."""

    @ak.on(Sum)
    def sum(self, msg: Sum) -> tuple[int, ...]:
        """A tuple."""
        return (*msg.numbers, sum(msg.numbers))

    @ak.on(Wrong)
    def wrong(self, _: Wrong) -> int:
        """A lie."""
        answer: Any = "three"
        return answer  # type: ignore[no-any-return]


async def test_a_reply_has_the_declared_type() -> None:
    """A tuple is a tuple again, not the list it was on the wire."""
    async with nodes("a", "b") as (a, b):
        far: ak.Ref[Any] = await seen(a, await b.spawn(ak.props(Adder), name="adder"))
        assert await far.ask(Sum([1, 2])) == (1, 2, 3)


async def test_a_reply_of_another_type_is_told_the_asker() -> None:
    """It cannot travel as what it was said to be; the callee lives on."""
    async with nodes("a", "b") as (a, b):
        far: ak.Ref[Any] = await seen(a, await b.spawn(ak.props(Adder), name="adder"))
        with pytest.raises(ak.Unencodable, match="the reply of /adder"):
            await far.ask(Wrong())
        assert await far.ask(Sum([])) == (0,)


async def test_a_deferred_reply_is_sent_later() -> None:
    """By anybody over there, at any time; a second one is nobody's."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        kept: list[ak.Reply[Any]] = []
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await far.ask(defer(lambda _, reply: kept.append(reply))))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until(lambda: kept)
            assert await far.ask(Ping()) == other.ref.path
            assert answers == []
            assert kept[0].wanted
            assert kept[0].send(42)
        assert answers == [42]
        assert not kept[0].send(43)
        assert lost(b, ak.DeadReason.LATE_REPLY) == [43]


async def test_a_deferred_refusal_keeps_its_fields() -> None:
    """``reply.refuse`` is as good as raising."""
    async with nodes("a", "b") as (a, b):
        far = await seen(a, await player(b))
        with pytest.raises(TooMuch) as caught:
            await far.ask(defer(lambda _, reply: reply.refuse(TooMuch(5, 3))))
        assert (caught.value.wanted, caught.value.left) == (5, 3)


# Errors --------------------------------------------------------------------------------------------------------------


async def test_a_refusal_comes_back_with_its_class_and_fields() -> None:
    """No constructor runs over here: the value is rebuilt as it was."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        before = TooMuch.built
        with pytest.raises(TooMuch, match="5 wanted, 3 left") as caught:
            await far.ask(play(refuse))
        assert (caught.value.wanted, caught.value.left) == (5, 3)
        assert TooMuch.built == before + 1
        assert other.ref.alive


async def test_a_crash_comes_back_with_its_traceback() -> None:
    """``ActorDied`` carries the reason, the reason its traceback and what was being handled, as text."""
    async with nodes("a", "b") as (a, b):
        far = await seen(a, await player(b))
        with pytest.raises(ak.ActorDied) as caught:
            await far.ask(play(crash))
        reason = caught.value.reason
        assert isinstance(reason, ak.Crashed)
        assert (reason.error, reason.message) == ("ZeroDivisionError", "far too far")
        assert "in crash" in reason.traceback
        assert "Play" in reason.handling
        assert reason.cause is None
        with pytest.raises(ak.ActorDied) as caught:
            await far.ask(Ping())
        assert caught.value.reason == ak.NoActor()


async def test_a_crash_report_over_there_names_who_asked() -> None:
    """By path if it is known there, by number if not; a program by its node."""
    async with nodes("a", "b") as (a, b):
        one = await player(a)
        reports: list[ak.CrashReport] = []
        b.events.subscribe(reports.append, ak.CrashReport)

        async def provoke(far: ak.Ref[Any]) -> None:
            with pytest.raises(ak.ActorDied):
                await far.ask(play(crash))

        def provoking(far: ak.Ref[Any]) -> Act:
            return lambda _: provoke(far)

        for asked_by_actor in (False, True):
            far = await seen(a, await player(b))
            await (one.do(provoking(far)) if asked_by_actor else provoke(far))
        other = await player(b)
        far = await seen(a, other)
        far.tell(Note(one.ref))
        await far.ask(Ping())
        await one.do(provoking(far))
        known = [f"a#{one.ref.address.serial}", f"a:{one.ref.path}"]
        assert [report.client for report in reports] == ["a", *known]


@pytest.mark.parametrize("reason", [ak.Normal(), ak.Shutdown("late"), ak.Failed("no")])
async def test_an_end_comes_back_with_its_reason(reason: ak.ExitReason) -> None:
    """An actor that stops instead of answering says why."""
    async with nodes("a", "b") as (a, b):
        far = await seen(a, await player(b))

        def stop(_: ak.Context[Any]) -> None:
            raise ak.Stop(reason)

        with pytest.raises(ak.ActorDied) as caught:
            await far.ask(play(stop))
        assert caught.value.reason == reason


async def test_a_kill_during_a_request_is_told_at_once() -> None:
    """Not by time-out; and so is one while the request waits for its turn."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        ends: list[ak.ExitReason] = []
        began: list[int] = []

        async def ask() -> None:
            with pytest.raises(ak.ActorDied) as caught:
                await far.ask(never(began), timeout=None)
            ends.append(caught.value.reason)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
            await until(lambda: began)
            await quiet()
            other.ref.kill()
        assert ends == [ak.Killed(), ak.Killed()]


class Cramped(Player):
    """Has room for one."""

    mailbox = ak.Mailbox(capacity=1)


async def test_a_full_mailbox_turns_a_request_away() -> None:
    """``MailboxFull`` names actor and capacity."""
    async with nodes("a", "b") as (a, b):
        log: list[object] = []
        far: ak.Ref[Any] = await seen(a, await b.spawn(ak.props(Cramped, log), name="cramped"))
        go_on = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(far.ask, play(lambda _: go_on.wait()))
            await quiet()
            nursery.start_soon(far.ask, Ping())
            await quiet()
            with pytest.raises(ak.MailboxFull) as caught:
                await far.ask(Ping())
            assert (caught.value.actor, caught.value.capacity) == ("/cramped", 1)
            far.tell(Note("no room"))
            await until(lambda: lost(b, ak.DeadReason.MAILBOX_FULL))
            go_on.set()


async def test_an_ask_times_out_here() -> None:
    """``AskTimeout`` after the time given; the callee's answer then is nobody's."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        kept: list[ak.Reply[Any]] = []
        with pytest.raises(ak.AskTimeout) as caught:
            await far.ask(defer(lambda _, reply: kept.append(reply)), timeout=0.02)
        assert caught.value.timeout == 0.02
        await until(lambda: not kept[0].wanted)
        assert not kept[0].send("late")
        assert lost(b, ak.DeadReason.LATE_REPLY) == ["late"]
        assert other.ref.alive


async def test_a_lost_connection_ends_the_asks_over_it() -> None:
    """``NodeDown`` at once, in a plain task and in an actor, though the callee lives on."""
    async with nodes("a", "b") as (a, b):
        one, other = await player(a), await player(b)
        far = await seen(a, other)
        ends: list[str] = []
        began: list[int] = []

        async def ask(_: Any) -> None:
            with pytest.raises(ak.NodeDown) as caught:
                await far.ask(never(began), timeout=None)
            ends.append(caught.value.node)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, None)
            nursery.start_soon(lambda: one.do(ask, timeout=None))
            await until(lambda: began)
            await quiet()
            await b.disconnect("a")
        assert ends == ["b", "b"]
        assert other.ref.alive


async def test_a_node_that_cannot_be_reached_is_down() -> None:
    """One that nobody knows, and one that nobody listens for: ``ask`` says so, ``tell`` leaves a dead letter."""
    async with nodes("a") as (a,):
        a.learn("gone", "127.0.0.1:1")
        for name in ("unknown", "gone"):
            nobody = a.remote(name).named(ak.Key[Any]("x"))
            with pytest.raises(ak.NodeDown) as caught:
                await nobody.ask(Ping())
            assert caught.value.node == name
            nobody.tell(Note(name))
        await until(lambda: len(lost(a)) == 4)
        assert lost(a, ak.DeadReason.NO_CONNECTION) == [
            Ping(),
            Note("unknown"),
            Ping(),
            Note("gone"),
        ]


async def test_an_ask_before_the_connection_is_answered_over_it() -> None:
    """The first request dials."""
    async with nodes("a", "b") as (a, b):
        far = await seen(a, await player(b))
        await a.disconnect("b")
        await until(lambda: a.nodes() == b.nodes() == ())
        assert await far.ask(Echo(1)) == 1
        assert a.nodes() == ("b",)


# Nobody waits any more -----------------------------------------------------------------------------------------------


async def test_a_cancelled_ask_is_not_wanted_over_there() -> None:
    """``Reply.wanted`` turns false soon after, for a plain task's ask and for a killed actor's."""
    async with nodes("a", "b") as (a, b):
        one, far = await player(a), await seen(a, await player(b))
        kept: list[ak.Reply[Any]] = []

        def keep(_: ak.Context[Any], reply: ak.Reply[Any]) -> None:
            kept.append(reply)

        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(far.ask, defer(keep))
                one.cue(lambda _: far.ask(defer(keep)))
                await until(lambda: len(kept) == 2)
                assert all(reply.wanted for reply in kept)
                scope.cancel()
        one.ref.kill()
        await until(lambda: not any(reply.wanted for reply in kept))
        assert await far.ask(Ping())


async def test_a_cancelled_ask_that_waits_for_its_turn_is_not_handled() -> None:
    """The callee finds that nobody wants the answer, as with an ask on one node."""
    async with nodes("a", "b") as (a, b):
        other = await player(b)
        far = await seen(a, other)
        go_on = trio.Event()
        played: list[int] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(far.ask, play(lambda _: go_on.wait()))
            await quiet()
            with trio.move_on_after(0.01):
                await far.ask(play(lambda _: played.append(1)))
            local = trio.CancelScope()

            async def ask_there() -> None:
                with local:
                    await other.ref.ask(play(lambda _: played.append(2)))

            nursery.start_soon(ask_there)
            await quiet()
            local.cancel()
            await quiet()
            go_on.set()
        await far.ask(Ping())
        assert played in ([], [1, 2])  # as the kernel has it for its own, so for others'


async def test_an_ask_that_fails_at_once_leaves_the_next_wait_alone() -> None:
    """Nobody is resumed for an end that was known before the wait began: unknown node, wrong message, dead incarnation."""
    async with nodes("a", "b") as (a, b):
        one, far = await player(a), await seen(a, await player(b))
        nobody = a.remote("unknown").named(ak.Key[Any]("x"))
        began, go_on = trio.Event(), trio.Event()

        async def ask_in_vain(_: ak.Context[Any]) -> str:
            for ref, message in ((nobody, Ping()), (far, Echo(print))):
                with pytest.raises((ak.NodeDown, ak.Unencodable)):
                    await ref.ask(message)
            with pytest.raises(ak.NodeDown):
                await a.remote("unknown").whereis(ak.Key[Any]("x"))
            with pytest.raises(ak.ConnectFailed):
                await a.connect("unknown")
            with pytest.raises(ak.ActorDied):
                await nobody.stop()
            assert await nobody.wait_stopped() == ak.NoConnection()
            assert await a.connect("b") == "b"
            return str(await far.ask(play(hold)))

        async def hold(_: ak.Context[Any]) -> str:
            began.set()
            await go_on.wait()
            return "held"

        async with trio.open_nursery() as nursery:
            answers: list[str] = []

            async def ask() -> None:
                answers.append(await one.do(ask_in_vain))

            nursery.start_soon(ask)
            await began.wait()
            await quiet()
            assert answers == []
            go_on.set()
        assert answers == ["held"]
