"""A peer that does not read costs its sender an outbox of memory, and nobody else anything."""

from __future__ import annotations

import gc
import os
import signal
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import trio

import actorkit as ak
from actorkit.cluster import frames
from actorkit.cluster.events import ConnectionLost
from tests.cluster.hostile import (
    HALL,
    PATIENCE,
    TAGS,
    Attacker,
    Repeat,
    Say,
    besieged,
    open_quiet,
    resident,
    victim,
)
from tests.cluster.two_nodes import player, until
from tests.harness import end

MIB = 1 << 20
LIMIT = 2 * MIB
PAYLOAD = "x" * 100


def _is_watched(node: ak.Node, ref: ak.Ref[Any], times: int) -> bool:
    return len(node.status(ref).monitored_by) == times


async def asks(far: ak.Ref[Any], count: int) -> list[float]:
    """How long so many asks take, each."""
    times: list[float] = []
    for number in range(count):
        begun = perf_counter()
        assert await far.ask(Repeat(number)) == number
        times.append(perf_counter() - begun)
    return times


async def test_a_stopped_peer_costs_an_outbox_and_nobody_else_time() -> None:
    """200,000 messages for a stopped process: no more memory than the outbox and 2 MiB, and others answer as fast."""
    async with (
        victim("serve", '{"ticktime": 60}') as slow,
        victim("serve", '{"ticktime": 60}') as fast,
        open_quiet("sender", ticktime=60, outbox_bytes=LIMIT) as sender,
    ):
        with trio.fail_after(4 * PATIENCE):
            await sender.connect(slow.address)
            stopped = sender.remote("town").named(HALL)
            await sender.disconnect(
                "town"
            )  # both are called so: the other one gets in under its name
            await sender.connect(slow.address)
            async with open_quiet("helper", ticktime=60) as helper:
                await helper.connect(fast.address)
                lively = helper.remote("town").named(HALL)
                for _ in range(20_000):
                    stopped.tell(Say(PAYLOAD))
                assert await stopped.ask(Repeat("told"), timeout=PATIENCE)
                before = median(await asks(lively, 300))
                os.kill(slow.pid, signal.SIGSTOP)
                try:
                    gc.collect()
                    base, peak = resident("self"), 0
                    during: list[float] = []
                    for _ in range(200):
                        for _ in range(1000):
                            stopped.tell(Say(PAYLOAD))
                        during += await asks(lively, 3)
                        peak = max(peak, resident("self"))
                finally:
                    os.kill(slow.pid, signal.SIGCONT)
                assert peak - base <= LIMIT + 2 * MIB, f"{(peak - base) / MIB:.1f} MiB"
                assert median(during) <= 2 * before + 0.001
                lost = sum(sender.dead_letters.counts.values())
                assert lost > 100_000  # counted, each of them
                told = await stopped.ask(Repeat("told"), timeout=PATIENCE)
                assert told + lost == 220_000


async def test_replies_that_nobody_reads_cut_the_connection() -> None:
    """They are never dropped, so from the hard limit on it is the connection that goes, with ``OVERFLOW``."""
    async with besieged(outbox_bytes=MIB, outbox_hard_bytes=4 * MIB) as siege:
        mute = await Attacker.dial(siege.node.address)
        await mute.define()
        request = [frames.ASK, "hall", 1, TAGS[Repeat], ["x" * 50_000], 0, None, []]
        for _ in range(1000):
            await mute.ops(request)
            if siege.events:
                break
        await until(lambda: siege.events)
        (lost,) = siege.events
        assert isinstance(lost, ConnectionLost)
        assert (lost.node, lost.reason) == ("mallory", str(ak.LostReason.OVERFLOW))
        assert 4 * MIB <= lost.unsent < 5 * MIB
        assert siege.node.nodes() == ("honest",)
        mute.leave()


async def test_signals_that_nobody_reads_cut_the_connection() -> None:
    """The notices of deaths, which are never dropped either."""
    async with besieged(outbox_bytes=MIB, outbox_hard_bytes=4 * MIB) as siege:
        mute = await Attacker.dial(siege.node.address)
        for number in range(100):
            mortal = await player(siege.node, name=f"mortal{number}")
            await mute.ops(
                *([frames.WATCH, f"mortal{number}", n + 1, 1000 * number + n] for n in range(50))
            )
            await until(partial(_is_watched, siege.node, mortal.ref, 50))
            await end(mortal, ak.Failed("x" * 5_000))
            if siege.events:
                break
        await until(lambda: siege.events)
        assert [event.reason for event in siege.events] == [str(ak.LostReason.OVERFLOW)]
        assert siege.node.nodes() == ("honest",)
        mute.leave()
