"""What the laws of clusters share: three nodes, faults between them, and clients that outlive what they meet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

import actorkit as ak
from actorkit.testing import (
    Fault,
    NodeGone,
    Sim,
    cut,
    delay_link,
    drop_connection,
    one_way_cut,
    pause_node,
    power_cut_node,
    restart_node,
)

NODES = ("a", "b", "c")
TICKTIME = 4.0
BRIEF, LONG = 0.5, 20.0

# What the network may do: every node lives on.
WEATHER: tuple[Fault, ...] = (
    cut(seconds=(BRIEF, LONG)),
    one_way_cut(seconds=(BRIEF, LONG)),
    delay_link(by=(0.2, 3.0), lasting=LONG),
    drop_connection(),
    pause_node(seconds=(BRIEF, LONG)),
)
# What may become of nodes: "a" lives on.
DEATHS: tuple[Fault, ...] = (
    restart_node("[bc]", after=(BRIEF, LONG)),
    restart_node("[bc]", after=LONG, power=True),
    power_cut_node("c", restart=True),
)
FAILURES = (ak.ActorkitError, NodeGone, TimeoutError)


async def patiently(act: Callable[[], Awaitable[Any]], *, tries: int = 4) -> Any:
    """Do something that faults may foil, a few times at most; None if they always did."""
    for _ in range(tries):
        try:
            return await act()
        except FAILURES:
            await trio.sleep(1)
    return None


async def meshed(sim: Sim) -> None:
    """Wait until every node is connected to every other, which they must be when all is healed."""

    def all_meet() -> bool:
        up = {name: set(node.nodes()) for name, node in sim.nodes.items()}
        return len(up) == len(NODES) and all(set(up) - {name} == met for name, met in up.items())

    await sim.eventually(all_meet, "all nodes are connected")
