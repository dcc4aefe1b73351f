"""Waiting for room: senders keep their order, can give up, hear of a death, and wait through a restart."""

from __future__ import annotations

import pytest
import trio

import actorkit as ak
from tests.harness import (
    lost,
    puppet,
    settle,
)
from tests.kernel.support import Note, failure_of


class Small(ak.Actor[Note]):
    """Room for two; takes a second for each note."""

    mailbox = ak.Mailbox(capacity=2)

    def __init__(self, log: list[object]) -> None:
        self.log = log

    @ak.on(Note)
    async def note(self, msg: Note) -> None:
        await self.ctx.sleep(1)
        self.log.append(msg.text)


async def test_send_keeps_the_senders_order(system: ak.System) -> None:
    """A sender that waits for room again and again gets everything through, in order, at the receiver's pace."""
    log: list[object] = []
    ref = await system.spawn(ak.props(Small, log))

    async def send_all(_: object) -> None:
        for n in range(20):
            await ref.send(Note(n))

    sender = await puppet(system)
    await sender.do(send_all, timeout=None)
    assert trio.current_time() == 17.0
    await trio.sleep(10)
    assert log == list(range(20))
    assert lost(system) == []


@pytest.mark.parametrize("place", ["task", "handler"])
async def test_waiting_senders_hear_of_the_death(system: ak.System, place: str) -> None:
    """Those who wait for room in the mailbox of one who dies get ``ActorDied``, and their message is a dead letter."""
    ref = await system.spawn(ak.props(Small, []))
    errors: list[Exception] = []

    async def send(n: int) -> None:
        errors.append(await failure_of(ref.send(Note(n))))

    for n in range(3):
        ref.tell(Note(n))
        await settle()
    async with trio.open_nursery() as nursery:
        for n in (3, 4):
            if place == "task":
                nursery.start_soon(send, n)
            else:
                (await puppet(system)).cue(lambda _, n=n: send(n))  # type: ignore[misc]
            await settle()
        ref.kill()
    await settle()
    assert [type(error) for error in errors] == [ak.ActorDied] * 2
    assert {str(error) for error in errors} == {f"{ref.path} is gone: killed"}
    assert lost(system, ak.DeadReason.DIED) == [Note(n) for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("place", ["task", "handler", "killed handler"])
async def test_a_send_that_is_given_up_was_never_sent(system: ak.System, place: str) -> None:
    """Cancelling a wait for room, or killing the one who waits, withdraws the message."""
    log: list[object] = []
    ref = await system.spawn(ak.props(Small, log))

    async def give_up(_: object = None) -> None:
        with trio.move_on_after(0.5):
            await ref.send(Note("given up"))

    sender = await puppet(system)
    for n in range(3):
        ref.tell(Note(n))
        await settle()
    if place == "task":
        await give_up()
    elif place == "handler":
        await sender.do(give_up)
    else:
        sender.cue(lambda _: ref.send(Note("given up")))
        await settle()
        sender.ref.kill()
    await ref.send(Note(3))
    await trio.sleep(10)
    assert log == [0, 1, 2, 3]
    assert lost(system) == []


async def test_senders_come_and_go(system: ak.System) -> None:
    """One gives up its wait for room before the actor gets to it, another comes: the other is let in, once."""
    log: list[object] = []
    ref = await system.spawn(ak.props(Small, log))
    for n in range(3):
        ref.tell(Note(n))
        await settle()
    async with trio.open_nursery() as nursery:
        for n in range(3, 6):
            with trio.move_on_after(0.1):
                await ref.send(Note("given up"))
            nursery.start_soon(ref.send, Note(n))
            await settle()
    await trio.sleep(10)
    assert log == list(range(6))


@pytest.mark.parametrize("end", ["given up", "let in", "turned away"])
async def test_a_sender_waits_through_a_restart(system: ak.System, end: str) -> None:
    """Who waits for room in a supervised child's mailbox waits for the next incarnation's, or withdraws, or hears."""
    log: list[object] = []

    class Late(Small):
        async def started(self) -> None:
            await self.ctx.sleep(1)

    child = ak.Child("late", ak.props(Late, log))
    tree = await system.start(ak.supervise(child, max_restarts=int(end != "turned away")))
    ref = tree.child(child)
    for n in range(3):
        ref.tell(Note(n))
        await settle()
    errors: list[Exception] = []

    async def send() -> None:
        try:
            await ref.send(Note("waited"))
        except ak.ActorDied as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await settle()
        ref.kill()
        if end == "given up":
            await settle()
            nursery.cancel_scope.cancel()
    await trio.sleep(10)
    lost_in_hand = [] if end != "turned away" else [Note(1), Note(2), Note("waited")]
    assert log == {"given up": [1, 2], "let in": [1, 2, "waited"], "turned away": []}[end]
    assert lost(system) == lost_in_hand
    assert len(errors) == (end == "turned away")


async def test_replies_never_count(system: ak.System) -> None:
    """An actor whose mailbox is full still gets its replies, its timers, and the notices of deaths."""
    log: list[object] = []
    friend = await puppet(system)

    class Full(ak.Actor[Note]):
        mailbox = ak.Mailbox(capacity=1)

        @ak.on(Note)
        async def note(self, msg: Note) -> None:
            if msg.text == "work":
                self.ctx.watch(friend.ref)
                self.ctx.send_after(1, Note("timer"))
                log.append(await friend.do(lambda ctx: ctx.sleep(2)))
                friend.ref.kill()
                await self.ctx.sleep(1)
            log.append(msg.text)

        def down(self, down: ak.Down) -> None:
            log.append(down.reason)

    ref = await system.spawn(ak.props(Full))
    ref.tell(Note("work"))
    await settle()
    for n in range(3):
        ref.tell(Note(n))
    await trio.sleep(5)
    assert log == [None, "work", 0, "timer", ak.Killed()]
    assert lost(system) == [Note(1), Note(2)]
