"""Anything actors can do to each other, in any mix and in any order: the books balance, nothing hangs, nothing is left."""

from __future__ import annotations

from typing import Any

import trio
from hypothesis import strategies as st

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import books_balance, law, start
from tests.simulation.troupe import DEEDS, WAITS, Deed, Player, Stage, Trapper

Cues = list[tuple[int, Deed, float]]
Shape = dict[str, Any]

deeds = st.builds(
    Deed,
    st.sampled_from(sorted(DEEDS)),
    st.integers(0, 6),
    st.sampled_from(sorted(WAITS)),
    st.sampled_from(["nothing", *sorted(DEEDS)]),
)
cues = st.lists(
    st.tuples(st.integers(0, 2), deeds, st.sampled_from([0.0, 0.0, 0.05, 0.3])),
    min_size=2,
    max_size=12,
)
shapes = st.fixed_dictionaries(
    {
        "restart": st.sampled_from(["permanent", "transient", "temporary"]),
        "shutdown": st.sampled_from([0.2, 5.0, "kill"]),
        "strategy": st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
        "max_restarts": st.sampled_from([1000, 1, 0]),
        "backoff": st.sampled_from([None, ak.Backoff(0.05, 2.0, 0.2)]),
    }
)


async def _open(sim: Sim, stage: Stage, shape: Shape) -> None:
    """Start the tree: /top/p0, /top/inner/p1, /top/inner/p2, and an empty pool."""
    flags: Shape = {name: shape[name] for name in ("max_restarts", "backoff", "strategy")}
    how: Shape = {name: shape[name] for name in ("shutdown", "restart")}
    makes: list[type[Player]] = [Player, Player, Trapper]
    players = [
        ak.Child(f"p{n}", ak.props(make, stage), name=f"p{n}", **how)
        for n, make in enumerate(makes)
    ]
    inner = ak.Child("inner", ak.supervise(*players[1:], **flags))
    pool = ak.Child("pool", ak.supervise_dynamic(ak.Template("w", Player, stage, shutdown=0.2)))
    tree = ak.supervise(players[0], inner, pool, strategy="one_for_one", max_restarts=1000)
    top = await start(sim, tree, name="top")
    below = top.supervisor(inner)
    stage.doors = [top.ref, below.ref, top.child(pool)]
    stage.peers = []
    for door, child in zip((top, below, below), players, strict=True):
        try:
            stage.peers.append(door.child(child))
        except ak.ChildNotFound:  # temporary, and gone already
            stage.peers.append(sim.system.named(ak.Key[Any](child.id)))


@law(
    faults=[kill_actor(), crash_actor("/*"), early_timer()],
    given={"script": cues, "shape": shapes},
)
async def test_whatever_actors_do(sim: Sim, script: Cues, shape: Shape) -> None:
    """At every step each message sent is handled, waits, or is a dead letter; and the system ends with nothing left."""
    books_balance(sim)
    stage = Stage(sim, calm=True)
    await _open(sim, stage, shape)
    stage.calm = False

    async def client(i: int) -> None:
        for player, deed, pause in script:
            if player == i:
                stage.peer(player).tell(deed)
                await trio.sleep(pause)

    await sim.each(3, client)
    await sim.advance(5)
    sim.heal()
    await sim.system.shutdown()
    await trio.sleep(5)
