"""Bounded mailboxes against a model, message by message; signals, timers and replies never count."""

from __future__ import annotations

import tracemalloc
from collections import deque
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import actorkit as ak
from tests.harness import (
    open_checked_system,
    run_in_virtual_time,
    settle,
)
from tests.kernel.support import collect

Overflow = Any


@ak.message
class Item(ak.Request[int]):
    """Handled when the gate lets it through; answered with its number."""

    number: int


class Gated(ak.Actor[Item]):
    """Handles a message each time its gate is opened."""

    def __init__(self, gate: trio.Semaphore, log: list[object]) -> None:
        self.gate = gate
        self.log = log

    @ak.on(Item)
    async def item(self, msg: Item) -> int:
        await self.gate.acquire()
        self.log.append(msg.number)
        return msg.number

    def down(self, down: ak.Down) -> None:
        self.log.append("down")


def gated(mailbox: ak.Mailbox) -> type[Gated]:
    """A class of gated actors with a mailbox of its own."""
    return type("Gated", (Gated,), {"mailbox": mailbox})


# The model ---------------------------------------------------------------------------------------------------------


@attrs.define
class Waiting:
    """Something in the mailbox; notices and timers' messages are not counted."""

    number: object
    counted: bool = True
    ask: bool = False


@attrs.define
class Model:
    """What must become of every message."""

    capacity: int
    policy: Overflow
    high_water: int
    queue: deque[Waiting] = attrs.field(factory=deque)
    in_hand: Waiting | None = None
    senders: list[int] = attrs.field(factory=list)
    log: list[object] = attrs.field(factory=list)
    lost: list[tuple[int, str]] = attrs.field(factory=list)
    results: dict[int, str] = attrs.field(factory=dict)
    marks: int = 0
    high: bool = False

    @property
    def waiting(self) -> int:
        return sum(item.counted for item in self.queue)

    @property
    def full(self) -> bool:
        return self.waiting >= self.capacity

    def take(self) -> None:
        """The actor takes what it can: notices at once, messages one by one."""
        while self.in_hand is None and self.queue:
            item = self.queue.popleft()
            if item.number == "down":
                self.log.append("down")
            else:
                self.in_hand = item
            while self.senders and not self.full:
                number = self.senders.pop(0)
                self.results[number] = "sent"
                self.queue.append(Waiting(number))
        if self.in_hand is None and not self.queue:
            self.high = False

    def note_high_water(self) -> None:
        if self.waiting >= self.high_water and not self.high:
            self.marks += 1
            self.high = True

    def drop_oldest(self) -> None:
        oldest = next(item for item in self.queue if item.counted)
        self.queue.remove(oldest)
        assert isinstance(oldest.number, int)
        self.lost.append((oldest.number, "DROPPED_OLDEST"))
        if oldest.ask:
            self.results[oldest.number] = "MailboxFull"

    def tell(self, number: int) -> None:
        self.note_high_water()
        if not self.full:
            self.queue.append(Waiting(number))
        elif self.policy == "reject":
            self.lost.append((number, "MAILBOX_FULL"))
        elif self.policy == "drop_newest":
            self.lost.append((number, "DROPPED_NEWEST"))
        else:
            self.drop_oldest()
            self.queue.append(Waiting(number))

    def ask(self, number: int) -> None:
        if self.full and self.policy != "drop_oldest":
            self.results[number] = "MailboxFull"
            self.lost.append((number, "MAILBOX_FULL"))
            return
        self.note_high_water()
        if self.full:
            self.drop_oldest()
        self.queue.append(Waiting(number, ask=True))

    def send(self, number: int) -> None:
        if self.full and self.policy == "reject":
            self.senders.append(number)
        else:
            self.tell(number)
            self.results[number] = "sent"

    def handle(self) -> None:
        done, self.in_hand = self.in_hand, None
        if done is not None:
            self.log.append(done.number)
            if done.ask:
                self.results[int(str(done.number))] = "answered"


@attrs.define(eq=False)
class Stage:
    """The real thing, with what became of every ask and send."""

    system: ak.System
    ref: ak.Ref[Item]
    gate: trio.Semaphore
    log: list[object]
    nursery: trio.Nursery
    results: dict[int, str] = attrs.field(factory=dict)
    scopes: dict[int, trio.CancelScope] = attrs.field(factory=dict)

    async def ask(self, number: int) -> None:
        try:
            assert await self.ref.ask(Item(number), timeout=None) == number
        except ak.AskError as error:
            self.results[number] = type(error).__name__
        else:
            self.results[number] = "answered"

    async def send(self, number: int) -> None:
        with trio.CancelScope() as scope:
            self.scopes[number] = scope
            await self.ref.send(Item(number))
            self.results[number] = "sent"

    def notice(self) -> None:
        """Let the actor hear of a death."""
        cell = self.ref._cell  # noqa: SLF001 - a monitor without disturbing the actor
        nobody = self.system.named(ak.Key[Item]("nobody"))
        self.system.runtime.watch(cell, nobody)


steps = st.lists(
    st.sampled_from(["tell", "tell", "ask", "send", "send", "handle", "cancel", "timer", "notice"]),
    max_size=40,
)


async def step(stage: Stage, model: Model, what: str, number: int) -> None:
    """Do one thing to both, and let the actor take what it can."""
    match what:
        case "tell":
            stage.ref.tell(Item(number))
            model.tell(number)
        case "ask":
            stage.nursery.start_soon(stage.ask, number)
            model.ask(number)
        case "send":
            stage.nursery.start_soon(stage.send, number)
            model.send(number)
        case "handle":
            if model.in_hand is not None:
                stage.gate.release()
            model.handle()
        case "cancel":
            if model.senders:
                stage.scopes[model.senders.pop(len(model.senders) // 2)].cancel()
        case "timer":
            stage.system.send_after(0, stage.ref, Item(number))
            await trio.sleep(0.001)
            model.queue.append(Waiting(number, counted=False))
        case _:
            stage.notice()
            model.queue.append(Waiting("down", counted=False))
    await settle()
    model.take()


def compare(stage: Stage, model: Model, marks: list[ak.HighWater]) -> None:
    """Nothing may differ."""
    assert stage.log == model.log
    assert stage.results == model.results
    assert [
        (letter.message.number, letter.reason.name) for letter in stage.system.dead_letters.recent
    ] == model.lost
    assert stage.system.statistics(stage.ref).waiting == model.waiting <= model.capacity
    assert len(marks) == model.marks


mailboxes = st.builds(
    ak.Mailbox,
    st.integers(1, 4),
    st.sampled_from(["reject", "drop_oldest", "drop_newest"]),
    st.integers(1, 5),
)


@settings(max_examples=300)
@given(mailboxes, steps)
def test_a_mailbox_does_what_its_model_does(mailbox: ak.Mailbox, script: list[str]) -> None:
    """Any mix of tells, asks, sends, cancels, timers, notices and handling: order, losses, waits, marks are the model's."""

    async def main() -> None:
        async with open_checked_system() as system, trio.open_nursery() as nursery:
            marks: list[ak.HighWater] = collect(system, ak.HighWater)
            gate, log = trio.Semaphore(0), list[object]()
            ref = await system.spawn(ak.props(gated(mailbox), gate, log))
            stage = Stage(system, ref, gate, log, nursery)
            model = Model(mailbox.capacity, mailbox.overflow, mailbox.high_water)
            for number, what in enumerate(script):
                await step(stage, model, what, number)
                compare(stage, model, marks)
            while model.in_hand is not None:
                await step(stage, model, "handle", -1)
                compare(stage, model, marks)

    run_in_virtual_time(main)


# Beyond the model --------------------------------------------------------------------------------------------------


async def test_high_water_is_told_once_until_emptied(system: ak.System) -> None:
    """The mark is raised as the mailbox fills, not again while it ebbs and flows, but anew after it was empty."""
    marks: list[ak.HighWater] = collect(system, ak.HighWater)
    gate, log = trio.Semaphore(0), list[object]()
    ref = await system.spawn(ak.props(gated(ak.Mailbox(capacity=10, high_water=3)), gate, log))
    for _ in range(2):
        for n in range(6):
            ref.tell(Item(n))
            await settle()
        for _ in range(3):
            gate.release()
            await settle()
        for n in range(4):
            ref.tell(Item(n))
            await settle()
        for _ in range(7):
            gate.release()
            await settle()
    assert [(mark.path, mark.address, mark.waiting, mark.capacity) for mark in marks] == [
        (ref.path, ref.address, 3, 10)
    ] * 2


@pytest.mark.parametrize("policy", ["reject", "drop_oldest", "drop_newest"])
async def test_memory_is_flat_at_capacity(policy: Overflow) -> None:
    """A hundred thousand tells to a stopped-up actor keep what has room, and dead letters keep their last few only."""
    async with ak.open_system(logs=False, watchdog=None) as system:
        made = gated(ak.Mailbox(capacity=1_000, overflow=policy))
        ref = await system.spawn(ak.props(made, trio.Semaphore(0), []))
        for n in range(2_000):
            ref.tell(Item(n))
        await settle()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for n in range(100_000):
            ref.tell(Item(n))
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert system.statistics(ref).waiting == 1_000
        assert len(system.dead_letters) >= 100_000
        assert len(system.dead_letters.recent) == 256
        assert after - before < 300_000
        ref.kill()
        await ref.wait_stopped()
        assert len(ref._cell.queue) == 0  # noqa: SLF001 - nothing is kept by the dead
