"""A peer that floods a node costs it a bounded memory, and nobody else his answers: measured in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest
import trio

from actorkit.cluster import frames
from actorkit.cluster.wire import FIRST, FRAGMENT_START
from tests.cluster.hostile import TAGS, Attacker, Letter, Repeat, victim

MIB = 1 << 20
Attack = Callable[[Attacker], Awaitable[None]]


async def _defines(mallory: Attacker) -> None:
    for at in range(100, 1 << 13, 500):
        await mallory.ops(
            *([frames.DEFINE, tag, f"made.up{tag}" + "x" * 900, 1] for tag in range(at, at + 500))
        )


async def _names(mallory: Attacker) -> None:
    for at in range(0, 20_000, 250):
        refs = ([f"made{n}", 7, 1, "/x"] for n in range(at, at + 250))
        await mallory.ops(*([frames.TELL, "hall", TAGS[Letter], [ref]] for ref in refs))
        await _in_step(mallory, at + 1)


async def _chains(mallory: Attacker) -> None:
    for at in range(0, 20_000, 250):
        chains = ([n, [[f"made{n}", 7, 1, "/x"]]] for n in range(at + 10, at + 260))
        await mallory.ops(
            *([frames.ASK, "hall", n, TAGS[Repeat], [1], 9, None, chain] for n, chain in chains)
        )
        await _in_step(mallory, at + 259)


async def _gossip(mallory: Attacker) -> None:
    for at in range(0, 50_000, 250):
        told = [[f"made{n}", f"127.0.0.1:{1 + n % 1000}"] for n in range(at, at + 250)]
        await mallory.ops([frames.PEERS, told])
    await _in_step(mallory, 1)


async def _fragments(mallory: Attacker) -> None:
    for stream in range(64):
        await mallory.frame(
            frames.FRAGMENT, FRAGMENT_START.pack(stream, FIRST, MIB) + bytes(MIB >> 1)
        )


async def _watches(mallory: Attacker) -> None:
    await mallory.ops(*[[frames.WATCH, "hall", 1, 1], [frames.UNWATCH, 1, 1]] * 10_000)
    await mallory.ops(*[[frames.LINK, 1, "hall"], [frames.UNLINK, 1, "hall"]] * 10_000)


async def _strangers(mallory: Attacker) -> None:
    await mallory.ops([frames.DEFINE, 99, "made.Up", 1])
    for _ in range(100):
        await mallory.ops(*[[frames.TELL, "hall", 99, ["x" * 1000]]] * 100)
        await mallory.ops(*[[frames.TELL, "nobody", 99, ["x" * 1000]]] * 100)


async def _bombs(mallory: Attacker) -> None:
    await mallory.frame(frames.OPS, b"\xdd\x00\x01\x80\x00" + b"\x80" * 0x18000)


async def _in_step(mallory: Attacker, number: int) -> None:
    """Wait until all that was sent has been handled, so that a flood is not a full mailbox."""
    await mallory.ops([frames.ASK, "hall", 1 << 20, TAGS[Repeat], [number], 0, None, []])
    while ops := await mallory.hear():
        if [frames.REPLY, 1 << 20, number] in ops:
            return
    raise AssertionError("the node has closed the connection")


FLOODS: dict[str, tuple[Attack, int]] = {
    "classes made up": (_defines, 48),
    "nodes made up in references": (_names, 32),
    "nodes made up in chains": (_chains, 32),
    "nodes made up in gossip": (_gossip, 32),
    "messages never completed": (_fragments, 72),
    "watches and links": (_watches, 24),
    "messages nobody knows": (_strangers, 24),
    "a bomb": (_bombs, 16),
}


@pytest.mark.parametrize(("attack", "most"), list(FLOODS.values()), ids=list(FLOODS))
async def test_a_flood_of_a_peer_costs_a_bounded_memory(attack: Attack, most: int) -> None:
    """The process that is flooded grows by at most so many MiB, and answers others meanwhile."""
    async with victim("serve", json.dumps({"mesh": True})) as found:
        honest = await _honest(found.address)
        before = (await found.report())["rss"]
        mallory = await Attacker.dial(found.address)
        await mallory.define()
        with trio.fail_after(40):
            await attack(mallory)
            await _in_step(honest, 5)
        peak = found.rss
        mallory.leave()
        after = await found.report()
        assert peak - before < most * MIB, f"{(peak - before) / MIB:.1f} MiB"
        assert after["peers"] < 5_000
        await _in_step(honest, 6)
        honest.leave()


async def _honest(address: str) -> Attacker:
    honest = await Attacker.dial(address, "polite")
    await honest.define()
    await _in_step(honest, 1)
    return honest
