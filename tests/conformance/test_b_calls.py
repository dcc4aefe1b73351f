"""Section B, cases 21-28 and 35-38: requests and replies. Case 27 is about nodes and belongs to the cluster."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import trio

import actorkit as ak
from tests.harness import lost, puppet, settle

BYE = ak.Failed("bye")


@ak.message
class Ask(ak.Request[int]):
    """Answered after a while."""

    number: int
    after: float = 0.0


@ak.message
class Defer(ak.Request[int]):
    """Answered from a background task."""

    after: float


@ak.message
class Twice(ak.Request[int]):
    """Answered twice."""


@ak.message
class End(ak.Request[int]):
    """Never answered: the server ends."""

    act: Callable[[ak.Context[Any]], None]


@ak.message
class Foreign(ak.Request[int]):
    """Not in the server's vocabulary."""


@ak.message
class Note:
    """Something to be handled."""

    text: str


class Server(ak.Actor[Ask | Defer | Twice | End | Note]):
    """Answers in every way there is."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @ak.on(Ask)
    async def ask(self, msg: Ask) -> int:
        await self.ctx.sleep(msg.after)
        return msg.number

    @ak.on(Defer)
    def defer(self, msg: Defer, reply: ak.Reply[int]) -> None:
        self.ctx.start_soon(self._answer, msg.after, reply)

    async def _answer(self, after: float, reply: ak.Reply[int]) -> None:
        await trio.sleep(after)
        reply.send(42)

    @ak.on(Twice)
    def twice(self, msg: Twice, reply: ak.Reply[int]) -> None:
        reply.send(1)
        reply.send(2)

    @ak.on(End)
    def end(self, msg: End) -> int:
        msg.act(self.ctx)
        return 0

    @ak.on(Note)
    def note(self, msg: Note) -> None:
        self.heard.append(msg.text)


def _raise(reason: ak.ExitReason) -> Callable[[ak.Context[Any]], None]:
    def act(_: ak.Context[Any]) -> None:
        raise ak.Stop(reason)

    return act


async def test_b21_call_answered_by_another_task(system: ak.System) -> None:
    """A server may answer later from another task, and serves other requests meanwhile."""
    server = await system.spawn(ak.props(Server))
    got: list[tuple[str, int, float]] = []

    async def asker(name: str, asking: Awaitable[int]) -> None:
        got.append((name, await asking, trio.current_time()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(asker, "deferred", server.ask(Defer(2.0)))
        await settle()
        nursery.start_soon(asker, "plain", server.ask(Ask(7)))
    assert got == [("plain", 7, 0.0), ("deferred", 42, 2.0)]


@pytest.mark.parametrize("reason", [ak.Normal(), ak.Shutdown(), ak.Shutdown("x"), BYE, ak.Killed()])
@pytest.mark.parametrize("asks", ["a task", "an actor"])
async def test_b22_stop_while_handling_a_call(
    system: ak.System, reason: ak.ExitReason, asks: str
) -> None:
    """An asker whose callee stops without answering gets its exit reason at once, ``normal`` too."""
    server, asker = await system.spawn(ak.props(Server)), await puppet(system)

    async def ask(_: object = None) -> ak.ExitReason:
        with pytest.raises(ak.ActorDied) as caught:
            await server.ask(End(_raise(reason)))
        return caught.value.reason

    assert await (ask() if asks == "a task" else asker.do(ask)) == reason
    assert trio.current_time() == 0.0


async def test_b22_every_way_to_end_in_a_call(system: ak.System) -> None:
    """A crash, a kill, and an exit signal to oneself reach the asker too, and no reply goes out after them."""

    def divide(_: object) -> None:
        raise ZeroDivisionError("oops")

    ways: list[tuple[Callable[[ak.Context[Any]], None], str]] = [
        (divide, "crashed (ZeroDivisionError: oops)"),
        (lambda ctx: ctx.self.kill(), "killed"),
        (lambda ctx: ctx.exit(ctx.self, BYE), "failed (bye)"),
    ]
    for act, expected in ways:
        server = await system.spawn(ak.props(Server))
        with pytest.raises(ak.ActorDied) as caught:
            await server.ask(End(act))
        assert str(caught.value.reason) == expected
    assert lost(system, ak.DeadReason.LATE_REPLY) == []


async def test_b22_stop_with_reply_answers_after_stopping(system: ak.System) -> None:
    """``ctx.stop`` in a request's handler: ``stopping`` runs first, then the reply goes out (semantics 3.5)."""
    order: list[str] = []

    class Careful(ak.Actor[Ask]):
        @ak.on(Ask)
        def ask(self, msg: Ask) -> int:
            self.ctx.stop(BYE)
            return msg.number

        async def stopping(self, reason: ak.ExitReason) -> None:
            await self.ctx.sleep(0.1)
            order.append(f"stopping: {reason}")

    ref = await system.spawn(ak.props(Careful))
    order.append(str(await ref.ask(Ask(5))))
    assert order == ["stopping: failed (bye)", "5"]
    assert await ref.wait_stopped() == BYE
    assert trio.current_time() == pytest.approx(0.1)


@pytest.mark.parametrize("timeout", [None, 0.0, 5.0])
async def test_b23_calling_self(system: ak.System, timeout: float | None) -> None:
    """An actor that asks itself fails at once, whatever the time-out."""
    server = await puppet(system)

    async def ask_myself(ctx: ak.Context[Any]) -> tuple[str, ...]:
        with pytest.raises(ak.CircularAsk) as caught:
            await ctx.self.ask(Ask(1), timeout=timeout)
        return caught.value.chain

    path = server.ref.path
    assert await server.do(ask_myself) == (path, path)
    assert trio.current_time() == 0.0


async def test_b23_calling_in_a_circle(system: ak.System) -> None:
    """A circle of asks fails at once with its chain, through a nursery or a cancel scope too (beyond OTP)."""
    one, two, three = [await puppet(system) for _ in range(3)]

    async def in_a_nursery(_: object) -> Any:
        async def ask() -> None:
            with trio.CancelScope():
                try:
                    await one.ref.ask(Ask(1))
                except ak.CircularAsk as error:
                    found.append(error.chain)

        found: list[tuple[str, ...]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
        return found

    chains = await one.do(lambda _: two.do(lambda _: three.do(in_a_nursery)))
    assert chains == [(three.ref.path, one.ref.path, two.ref.path, three.ref.path)]
    assert trio.current_time() == 0.0


async def test_b24_call_to_the_dead(system: ak.System) -> None:
    """An ask of a dead actor, or of a name that nobody holds, fails with ``NoActor`` at once."""
    server, asker = await system.spawn(ak.props(Server)), await puppet(system)
    await server.stop()
    nobody = system.named(ak.Key[Ask]("nobody"))
    assert await _reason(server.ask(Ask(1))) == ak.NoActor()
    assert await _reason(nobody.ask(Ask(1))) == ak.NoActor()
    assert await asker.do(lambda _: _reason(server.ask(Ask(1)))) == ak.NoActor()
    assert await asker.do(lambda _: _reason(nobody.ask(Ask(1)))) == ak.NoActor()
    assert trio.current_time() == 0.0
    assert lost(system, ak.DeadReason.NO_ACTOR) == [Ask(1)] * 4


async def test_b25_reply_twice(system: ak.System) -> None:
    """Of two replies to one request the asker gets the first; the second reaches nobody (stricter than OTP)."""
    server, asker = await system.spawn(ak.props(Server)), await puppet(system)
    assert await asker.do(lambda _: server.ask(Twice())) == 1
    assert await server.ask(Twice()) == 1
    await settle()
    assert asker.log == []
    assert lost(system, ak.DeadReason.LATE_REPLY) == [2, 2]


async def test_b26_cast(system: ak.System) -> None:
    """``tell`` returns at once, to the dead and to an unknown name too; both make a dead letter."""
    server = await system.spawn(ak.props(Server))
    server.kill()
    server.tell(Note("dead"))
    system.named(ak.Key[Note]("nobody")).tell(Note("unknown"))
    assert lost(system, ak.DeadReason.NO_ACTOR) == [Note("dead"), Note("unknown")]
    assert trio.current_time() == 0.0


async def test_b28_info(system: ak.System) -> None:
    """A message without handler is dropped and counted, and the server lives; an ask of it is an error at once.

    In OTP an unhandled call or cast crashes the server. Here the type checker refuses both, so what still comes through
    is a stranger's mistake, and the stranger gets the error.
    """
    unhandled: list[object] = []
    system.events.subscribe(
        lambda event: unhandled.append(event) if isinstance(event, ak.UnhandledMessage) else None
    )
    server = await system.spawn(ak.props(Server))
    anything = cast("ak.Ref[Any]", server)
    anything.tell(Foreign())
    anything.tell("a string")
    with pytest.raises(ak.Unhandled) as caught:
        await anything.ask(Foreign())
    assert caught.value.message_type == "Foreign"
    assert await server.ask(Ask(1)) == 1
    assert lost(system, ak.DeadReason.UNHANDLED) == [Foreign(), "a string", Foreign()]
    assert [cast("ak.UnhandledMessage", event).message_type for event in unhandled] == [
        "Foreign",
        "str",
        "Foreign",
    ]


async def test_b35_send_request(system: ak.System) -> None:
    """Requests sent at once are answered each for itself: a reply here, ``NoActor`` there.

    OTP's request ids are tasks here: each ask runs in a nursery. A remote that is missing belongs to the cluster.
    """
    server = await system.spawn(ak.props(Server))
    results = await _collect(
        {
            "live": server.ask(Ask(1)),
            "missing": system.named(ak.Key[Ask]("nobody")).ask(Ask(2)),
        }
    )
    assert results["live"] == 1
    missing = results["missing"]
    assert isinstance(missing, ak.ActorDied)
    assert missing.reason == ak.NoActor()


@pytest.mark.parametrize("inside", ["a task", "an actor"])
async def test_b36_send_request_receive_reqid_collection_timeout(
    system: ak.System, inside: str
) -> None:
    """Under one deadline the early reply is collected, and the late ones never arrive anywhere.

    This is OTP's "receive" style: a deadline over a nursery of asks.
    """
    servers = [await system.spawn(ak.props(Server)) for _ in range(3)]
    asker = await puppet(system)

    async def collect(_: object = None) -> dict[str, Any]:
        results: dict[str, Any] = {}
        with trio.move_on_after(0.1):
            await _collect(_asks(servers), results)
        return results

    results = await (collect() if inside == "a task" else asker.do(collect))
    assert results == {"0": 0}
    assert trio.current_time() == pytest.approx(0.1)
    await trio.sleep(2)
    assert asker.log == []
    assert lost(system, ak.DeadReason.LATE_REPLY) == [1, 2]


async def test_b36_send_request_wait_reqid_collection_timeout(system: ak.System) -> None:
    """Waiting only so long for asks that run elsewhere loses nothing: the rest can be collected afterwards.

    This is OTP's "wait" style: the asks belong to a nursery that outlives the deadline.
    """
    servers = [await system.spawn(ak.props(Server)) for _ in range(3)]
    results: dict[str, Any] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_collect, _asks(servers), results)
        await trio.sleep(0.1)
        assert results == {"0": 0}
    assert results == {"0": 0, "1": 1, "2": 2}
    assert trio.current_time() == pytest.approx(1.0)


async def test_b37_send_request_collection_error(system: ak.System) -> None:
    """If one of three servers stops, its asker gets the reason and the others their replies.

    Adding an id twice, or to an empty collection, has no counterpart: a coroutine is awaited once.
    """
    servers = [await system.spawn(ak.props(Server)) for _ in range(3)]
    results = await _collect(
        {
            "first": servers[0].ask(Ask(1, 0.5)),
            "second": servers[1].ask(End(_raise(BYE))),
            "third": servers[2].ask(Ask(3, 0.5)),
        }
    )
    second = results.pop("second")
    assert isinstance(second, ak.ActorDied)
    assert second.reason == BYE
    assert results == {"first": 1, "third": 3}


async def test_b38_call_with_huge_message_queue(system: ak.System) -> None:
    """Asking is as fast with half a million messages in the asker's mailbox as with none: a reply is no mail.

    OTP allows a factor of ten and so does this test; where a mailbox were scanned it would be thousands. The smallest of
    several measurements counts, so a busy machine does no harm.
    """
    server, asker = await system.spawn(ak.props(Server)), await puppet(system)

    async def measure(_: object) -> float:
        took: list[float] = []
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(200):
                await server.ask(Ask(1))
            took.append(time.perf_counter() - began)
        return min(took)

    async def flooded(ctx: ak.Context[Any]) -> float:
        for _ in range(99_000):  # the mailbox's own capacity is 100,000
            ctx.self.tell(note)
        return await measure(None)

    note = Note("unrelated")
    empty = await asker.do(measure)
    full = await asker.do(flooded, timeout=None)
    assert full < 10 * empty
    await system.state_of(asker.ref, timeout=None)
    assert len(asker.log) == 99_000


def _asks(servers: list[ak.Ref[Any]]) -> dict[str, Awaitable[int]]:
    waits = (0.001, 0.5, 1.0)
    return {str(i): servers[i].ask(Ask(i, waits[i])) for i in range(3)}


async def _collect(
    asks: dict[str, Awaitable[int]], results: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Await requests together; what each came to is noted under its label."""
    found: dict[str, Any] = {} if results is None else results

    async def one(label: str, asking: Awaitable[int]) -> None:
        try:
            found[label] = await asking
        except ak.AskError as error:
            found[label] = error

    async with trio.open_nursery() as nursery:
        for label, asking in asks.items():
            nursery.start_soon(one, label, asking)
    return found


async def _reason(asking: Awaitable[int]) -> ak.ExitReason:
    with pytest.raises(ak.ActorDied) as caught:
        await asking
    return caught.value.reason
