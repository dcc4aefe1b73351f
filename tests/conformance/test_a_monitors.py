"""Section A, cases 11-16: monitors, and the reply slot that stands where OTP has aliases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

import actorkit as ak
from tests.harness import end, lost, puppet, reasons, settle, watch

DIE = ak.Failed("die")


async def test_a11_mon_1(system: ak.System) -> None:
    """Watching the dead gives ``Down`` with ``NoActor`` at once, naming the incarnation that is gone."""
    watcher, dead = await puppet(system), await puppet(system)
    address = dead.ref.address
    await end(dead, DIE)
    monitor = await watch(watcher, dead)
    await settle()
    assert watcher.log == [ak.Down(monitor, dead.ref, address, ak.NoActor())]


async def test_a12_monitor_3_noproc(system: ak.System) -> None:
    """Watching a name that nobody holds gives ``Down`` with ``NoActor``, and the name instead of an address.

    OTP's "bare name" is ``system.named(key)`` here: a reference by name.
    """
    watcher = await puppet(system)
    nobody = system.named(ak.Key[object]("nobody"))
    monitor = await watcher.do(lambda ctx: ctx.watch(nobody))
    await settle()
    [down] = watcher.downs
    assert (down.monitor, down.name, down.address) == (monitor, "nobody", None)
    assert down.reason == ak.NoActor()


async def test_a12_monitor_by_name_binds_to_the_holder(system: ak.System) -> None:
    """A monitor by name binds to who holds the name then: a later holder is not watched (semantics 1.10)."""
    watcher, first = await puppet(system), await puppet(system, name="shop")
    shop = system.named(ak.Key[object]("shop"))
    await watcher.do(lambda ctx: ctx.watch(shop))
    address = first.ref.address
    await end(first, DIE)
    second = await puppet(system, name="shop")
    await end(second, DIE)
    await settle()
    assert [(d.name, d.address, d.reason) for d in watcher.downs] == [("shop", address, DIE)]


async def test_a13_demon_2(system: ak.System) -> None:
    """Each monitor counts for itself; removing one, again, or an unknown one harms no other."""
    watcher, target = await puppet(system), await puppet(system)
    one, other = await watch(watcher, target), await watch(watcher, target)
    assert await watcher.do(lambda ctx: ctx.unwatch(one)) is True
    assert await watcher.do(lambda ctx: ctx.unwatch(one)) is False
    assert await watcher.do(lambda ctx: ctx.unwatch(ak.Monitor(10**9))) is False
    await end(target, DIE)
    await settle()
    assert [down.monitor for down in watcher.downs] == [other]
    assert await watcher.do(lambda ctx: ctx.unwatch(other)) is False


async def test_a14_demonitor_flush(system: ak.System) -> None:
    """``unwatch`` with ``flush`` takes back a ``Down`` that waits; without, it stays; none arrives afterwards."""
    watcher, target = await puppet(system), await puppet(system)
    m1, m2, m3, m4 = [await watch(watcher, target) for _ in range(4)]

    def play(ctx: ak.Context[Any]) -> list[bool]:
        active = [ctx.unwatch(m1)]
        target.ref.kill()  # from here on three notices wait in this mailbox
        return [*active, ctx.unwatch(m3), ctx.unwatch(m4, flush=False)]

    assert await watcher.do(play) == [True, False, False]
    await settle()
    assert [down.monitor for down in watcher.downs] == [m2, m4]


async def test_a15_list_cleanup(system: ak.System) -> None:
    """A death removes the dead from both ends of every monitor."""
    watcher, target, other = [await puppet(system) for _ in range(3)]
    await watch(watcher, target)
    await watch(other, target)
    await watch(other, watcher)
    assert system.status(target.ref).monitored_by == (watcher.ref.path, other.ref.path)
    assert system.status(other.ref).monitors == (target.ref.path, watcher.ref.path)
    await end(watcher, DIE)
    assert system.status(target.ref).monitored_by == (other.ref.path,)
    await end(target, DIE)
    assert system.status(other.ref).monitors == ()
    await settle()
    assert reasons(other.downs) == [DIE, DIE]


async def test_a15_watching_oneself_is_a_no_op(system: ak.System) -> None:
    """A monitor on oneself never fires and leaves nothing behind (semantics 1.10)."""
    lonely = await puppet(system)
    await watch(lonely, lonely)
    assert system.status(lonely.ref).monitors == ()
    await end(lonely, DIE)
    assert lonely.downs == []


@ak.message
class Buy(ak.Request[int]):
    """Answered by whoever gets the reply slot."""


@ak.message
class Count(ak.StreamRequest[int]):
    """Answered by 1, 2, and, after a while, 3, 4."""


class Desk(ak.Actor[Buy | Count]):
    """Hands its reply slots on, and counts for those who listen."""

    def __init__(self, slots: list[ak.Reply[int]], counted: list[int]) -> None:
        self.slots = slots
        self.counted = counted

    @ak.on(Buy)
    def buy(self, msg: Buy, reply: ak.Reply[int]) -> None:
        self.slots.append(reply)

    @ak.on(Count)
    async def count(self, msg: Count) -> AsyncIterator[int]:
        for number in (1, 2, 3, 4):
            if number == 3:
                await self.ctx.sleep(1)
            self.counted.append(number)
            yield number


async def test_a16_alias_bif_single_use(system: ak.System) -> None:
    """Of four answers sent to one reply slot only the first ever arrives; the rest are counted as late.

    OTP's single-use alias is the reply slot of an ask (``Reply``): it ends with the first answer, with the time-out, and
    with the asker.
    """
    slots: list[ak.Reply[int]] = []
    desk = await system.spawn(ak.props(Desk, slots, []))
    asker, peer = await puppet(system), await puppet(system)
    asker.cue(lambda ctx: _keep(asker.log, desk.ask(Buy())))
    await settle()
    [slot] = slots
    assert slot.wanted is True
    assert await peer.do(lambda _: [slot.send(1), slot.send(2)]) == [True, False]
    assert slots[0].wanted is False
    assert await peer.do(lambda _: [slot.send(3), slot.send(4)]) == [False, False]
    await settle()
    assert asker.log == [1]
    assert lost(system, ak.DeadReason.LATE_REPLY) == [2, 3, 4]


@pytest.mark.parametrize("leaves_by", ["time-out", "cancellation", "death"])
async def test_a16_alias_is_gone_with_the_asker(system: ak.System, leaves_by: str) -> None:
    """A reply slot is closed when its asker gives up, is cancelled or dies: no late answer reaches anybody."""
    slots: list[ak.Reply[int]] = []
    desk = await system.spawn(ak.props(Desk, slots, []))
    asker = await puppet(system)

    async def ask(_: ak.Context[Any]) -> None:
        with trio.move_on_after(1 if leaves_by == "cancellation" else 9):
            try:
                asker.log.append(await desk.ask(Buy(), timeout=1 if leaves_by == "time-out" else 9))
            except ak.AskTimeout:
                asker.log.append("late")

    asker.cue(ask)
    await settle()
    if leaves_by == "death":
        asker.ref.kill()
    await trio.sleep(2)
    assert not slots[0].wanted
    assert slots[0].send(7) is False
    await settle()
    assert asker.log == (["late"] if leaves_by == "time-out" else [])
    assert lost(system, ak.DeadReason.LATE_REPLY) == [7]


async def test_a16_alias_bif(system: ak.System) -> None:
    """Of a peer that sends 1, 2, waits, and sends 3, 4 only 1 and 2 arrive if the alias is dropped between.

    OTP's lasting alias is a stream here: leaving its block drops it, and the producer stops at its next item.
    """
    counted: list[int] = []
    desk = await system.spawn(ak.props(Desk, [], counted))
    read: list[int] = []
    async with desk.stream(Count()) as numbers:
        async for number in numbers:
            read.append(number)
            if number == 2:
                break
    await trio.sleep(2)
    assert read == [1, 2]
    assert counted == [1, 2, 3]  # it learns at the third that nobody reads any more
    assert system.statistics(desk).handled == 1


async def _keep(log: list[object], asking: Any) -> None:
    log.append(await asking)
