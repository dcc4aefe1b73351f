"""Promise 3 at the edges: what is not handled is a dead letter with a reason, and the books balance to the message.

Each of these was lost, or counted twice, at some time. The books are checked by the fixture.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio

import actorkit as ak
from tests.harness import WAITS, end, lost, puppet, settle


@ak.message
class Note:
    """Something to be handled."""

    text: str


@ak.message
class Price(ak.Request[int]):
    """Answered, refused or left, as the clerk likes."""

    act: Callable[[ak.Context[Any]], int]


@ak.message
class UrgentPrice(Price):
    """Handled by the handler of its base."""


@ak.message
class Later(ak.Request[int]):
    """Its handler defers the reply."""


@ak.message
class Numbers(ak.StreamRequest[int]):
    """Answered by a few numbers."""


class Clerk(ak.Actor[Note | Price | Later | Numbers]):
    """Takes one message at a time, slowly."""

    mailbox = ak.Mailbox(capacity=2, overflow="drop_oldest")

    def __init__(self, log: list[str]) -> None:
        self.log = log

    @ak.on(Note)
    async def note(self, msg: Note) -> None:
        if msg.text == "go on":
            self.ctx.continue_with(Note("continuation"))
        self.log.append(f"{msg.text} begun")
        await trio.sleep(1)
        self.log.append(msg.text)

    @ak.on(Price)
    async def price(self, msg: Price) -> int:
        return msg.act(self.ctx)

    @ak.on(Later)
    def later(self, msg: Later, reply: ak.Reply[int]) -> None:
        raise ak.Refused("never")

    @ak.on(Numbers)
    async def numbers(self, msg: Numbers) -> AsyncIterator[int]:
        try:
            for number in range(100):
                yield number
        finally:
            self.log.append("closed")

    async def stopping(self, reason: ak.ExitReason) -> None:
        self.log.append(f"stopping: {reason}")


async def test_a_deferring_handler_may_refuse(system: ak.System) -> None:
    """``Refused`` raised by a handler that was given a ``Reply`` reaches the asker at once."""
    clerk = await system.spawn(ak.props(Clerk, []))
    with pytest.raises(ak.Refused, match="never"):
        await clerk.ask(Later())
    assert clerk.alive
    assert trio.current_time() == 0.0


async def test_a_dropped_stream_request_is_told(system: ak.System) -> None:
    """A request for a stream that overflows a mailbox ends the stream with ``MailboxFull``, not with a time-out."""
    clerk = await system.spawn(ak.props(Clerk, []))
    clerk.tell(Note("busy"))
    await settle()
    async with clerk.stream(Numbers()) as numbers:
        clerk.tell(Note("one"))
        clerk.tell(Note("two"))
        with pytest.raises(ak.MailboxFull):
            await anext(aiter(numbers))
    assert trio.current_time() == 0.0
    assert lost(system) == [Numbers()]


async def test_a_stream_asked_of_the_dead_is_counted_once(system: ak.System) -> None:
    """A stream that never opened is one message sent and one dead letter."""
    clerk = await system.spawn(ak.props(Clerk, []))
    await clerk.stop()
    with pytest.raises(ak.ActorDied):
        await clerk.stream(Numbers()).__aenter__()
    assert lost(system) == [Numbers()]


async def test_a_killed_producer_closes_its_generator(system: ak.System) -> None:
    """The generator of a stream is closed with its actor, though it rests between two items."""
    log: list[str] = []
    clerk = await system.spawn(ak.props(Clerk, log))
    async with clerk.stream(Numbers(), window=3) as numbers:
        await anext(aiter(numbers))
        await settle()
        clerk.kill()
        await settle()
    assert log == ["closed"]


async def test_a_continuation_is_never_dropped(system: ak.System) -> None:
    """Overflow drops the oldest message, not the continuation that the actor gave itself."""
    log: list[str] = []
    clerk = await system.spawn(ak.props(Clerk, log))
    clerk.tell(Note("go on"))
    await settle()
    for text in ("one", "two", "three"):
        clerk.tell(Note(text))
    await trio.sleep(1.5)
    assert log == ["go on begun", "go on", "continuation begun"]
    assert lost(system) == [Note("one"), Note("two")]


@pytest.mark.parametrize("request_class", [Price, UrgentPrice])
async def test_stopping_in_a_request_answers_last(
    system: ak.System, request_class: type[Price]
) -> None:
    """A reply given with ``ctx.stop`` waits for ``stopping``, for a message handled through its base class too."""
    log: list[str] = []
    clerk = await system.spawn(ak.props(Clerk, log))

    def stop(ctx: ak.Context[Any]) -> int:
        ctx.stop()
        return 7

    log.append(str(await clerk.ask(request_class(stop))))
    assert log == ["stopping: normal", "7"]


async def test_names_are_counted_like_any_reference(system: ak.System) -> None:
    """What is sent by name is handled, or lost, once."""
    named = system.named(ak.Key[object]("server"))
    named.tell(Note("nobody"))
    server = await puppet(system, name="server")
    named.tell(Note("told"))
    await named.send(Note("sent"))
    await settle()
    assert server.log == [Note("told"), Note("sent")]
    assert lost(system) == [Note("nobody")]


class Fragile(ak.Actor[Note]):
    """Crashes on demand, leaving a timer's message and a continuation behind."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    @ak.on(Note)
    async def note(self, msg: Note) -> None:
        if msg.text == "crash":
            self.ctx.continue_with(Note("continuation"))
            self.ctx.send_after(0.5, Note("timer"))
            await trio.sleep(1)
            raise RuntimeError("as told")
        await trio.sleep(0.1)
        self.log.append(msg.text)


async def test_a_restart_keeps_mail_but_not_what_was_the_deads_own(system: ak.System) -> None:
    """Mail waits for the next incarnation in order; timers and continuations of the dead one are dead letters."""
    log: list[str] = []
    child = ak.Child("fragile", ak.props(Fragile, log))
    top = await system.start(ak.supervise(child))
    ref = top.child(child)
    ref.tell(Note("crash"))
    await settle()
    for text in ("one", "two", "three"):
        ref.tell(Note(text))
    await trio.sleep(5)
    assert log == ["one", "two", "three"]
    assert sorted(str(note) for note in lost(system)) == [
        "Note(text='continuation')",
        "Note(text='timer')",
    ]


class Eager(ak.Actor[Note]):
    """Has mail before its plain ``started`` returns, and handles it with waits."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def started(self) -> None:
        self.ctx.self.tell(Note("to myself"))

    @ak.on(Note)
    async def note(self, msg: Note) -> None:
        with trio.move_on_after(5):
            await trio.sleep(1)
        await self.ctx.sleep(1)
        self.log.append(msg.text)


@pytest.mark.parametrize("starter", ["a task", "an actor"])
async def test_mail_that_waits_at_the_start_is_no_matter_of_the_starter(
    system: ak.System, starter: str
) -> None:
    """An actor with mail at its start handles it in its own time: the start returns at once."""
    log: list[str] = []
    if starter == "a task":
        await system.spawn(ak.props(Eager, log))
    else:
        other = await puppet(system)
        await other.do(lambda ctx: ctx.spawn(ak.props(Eager, log)))
    assert trio.current_time() == 0.0
    await trio.sleep(3)
    assert log == ["to myself"]


async def test_books_balance_in_the_midst_of_work(system: ak.System) -> None:
    """The message in hand counts as handled, so the books balance at any time."""
    for wait in WAITS.values():
        server = await puppet(system)
        for _ in range(3):
            server.ref.tell(Note("quick"))
        server.cue(wait)
        server.ref.tell(Note("waiting"))
        await settle()
        assert system.conservation().balanced
        assert system.statistics(server.ref).handled == 4
        await trio.sleep(100)
        await end(server, ak.Normal())


def _interrupt(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)


async def _interrupt_soon() -> None:
    _interrupt()


@pytest.mark.parametrize("where", ["handler", "background work", "main"])
def test_interrupts_end_the_system_in_good_order(where: str) -> None:
    """Ctrl-C, wherever it strikes, stops all actors in good order and is raised where the system was opened."""
    log: list[str] = []

    async def main(system: ak.System) -> None:
        await system.spawn(ak.props(Clerk, log))
        worker = await puppet(system)
        if where == "main":
            _interrupt()
        elif where == "handler":
            worker.cue(_interrupt)
        else:
            worker.cue(lambda ctx: ctx.start_soon(_interrupt_soon))
        await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        ak.run(main, logs=False, watchdog=None)
    assert log == ["stopping: shutdown"]
