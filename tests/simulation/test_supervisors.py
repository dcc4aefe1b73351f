"""Whatever is killed, whenever: supervisors decide as the pure plan does, and end with exactly the right children."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import attrs
import trio

import actorkit as ak
from actorkit.supervision.door import SupervisorProps
from actorkit.supervision.spec import Strategy
from actorkit.testing import Sim, crash_actor, early_timer
from tests.simulation.law import KillInAnyState, insist, law, nobody_left, start
from tests.supervision.shadow import Follower, Trace
from tests.supervision.support import Crash, End, Nap, Stage, WorkerMessage

FAULTS = [KillInAnyState("/top/*"), crash_actor(), early_timer()]
PLENTY = 1000


@attrs.define
class Chronicle:
    """The order in which children came up and were gone."""

    count: int = 0
    up: dict[str, int] = attrs.Factory(dict)
    gone: dict[str, int] = attrs.Factory(dict)

    def listen(self, system: ak.System) -> None:
        """Write down what happens from now on."""
        system.events.subscribe(self._note, ak.Started, ak.Stopped)

    def _note(self, event: ak.Started | ak.Stopped) -> None:
        self.count += 1
        book = self.up if isinstance(event, ak.Started) else self.gone
        book[event.path] = self.count


def _one_of_each(sim: Sim) -> None:
    """No path ever has two incarnations that live."""

    def once() -> bool:
        paths = [cell.path for cell in sim.system.runtime.cells.values()]
        return len(paths) == len(set(paths))

    sim.always(once, "one incarnation at a time")


def _children(stage: Stage, *, trap: bool = False) -> list[ak.Child[WorkerMessage]]:
    return [
        stage.child("a", starts=("ok", 0.05, "fail"), ending=0.05, shutdown=1.0),
        stage.child("b", starts=(0.05, "fail", "ok"), trap=trap, shutdown=1.0),
        stage.child("c", starts=("ok", "ok", 0.05), shutdown="kill"),
    ]


async def _disturb(top: ak.SupervisorRef, children: list[ak.Child[WorkerMessage]]) -> None:
    """Give them work, and let two of them crash at about the same time."""
    for child in children:
        top.child(child).tell(Nap(0.05, on_trio=child.id == "b"))
        await trio.lowlevel.checkpoint()
    top.child(children[1]).tell(Crash())
    await trio.sleep(0.05)
    top.child(children[0]).tell(Crash())


async def _group(sim: Sim, strategy: Strategy) -> tuple[Chronicle, list[str]]:
    stage, chronicle = Stage(), Chronicle()
    chronicle.listen(sim.system)
    children = _children(stage)
    tree = ak.supervise(*children, strategy=strategy, max_restarts=PLENTY)
    top = await start(sim, tree, name="top")
    _one_of_each(sim)
    await _disturb(top, children)
    await sim.heal_and_settle()
    infos = await top.which_children()
    assert [info.id for info in infos] == ["a", "b", "c"]
    assert [info.status for info in infos] == [ak.ChildStatus.RUNNING] * 3
    assert (await top.count_children()).active == 3
    return chronicle, [f"/top/{child.id}" for child in children]


def _followed(sim: Sim, tree: SupervisorProps) -> tuple[Trace, Follower]:
    return Trace(sim.system), Follower("/top", tree)


@law(faults=FAULTS)
async def test_one_for_one(sim: Sim) -> None:
    """All run in the end, one of each; each has come up after it was last gone."""
    chronicle, paths = await _group(sim, "one_for_one")
    for path in paths:
        assert chronicle.up[path] > chronicle.gone.get(path, 0)


@law(faults=FAULTS)
async def test_one_for_all(sim: Sim) -> None:
    """Nobody runs who was there when another died: all have come up, in order, after the last was gone."""
    chronicle, paths = await _group(sim, "one_for_all")
    last_gone = max(chronicle.gone.get(path, 0) for path in paths)
    assert all(chronicle.up[path] > last_gone for path in paths), chronicle
    assert all(chronicle.up[a] < chronicle.up[b] for a, b in pairwise(paths)), chronicle


@law(faults=FAULTS)
async def test_rest_for_one(sim: Sim) -> None:
    """Nobody runs who was there when one before it died, and all have come up in order."""
    chronicle, paths = await _group(sim, "rest_for_one")
    for number, path in enumerate(paths):
        last_gone = max(chronicle.gone.get(before, 0) for before in paths[: number + 1])
        assert chronicle.up[path] > last_gone, chronicle
    assert all(chronicle.up[a] < chronicle.up[b] for a, b in pairwise(paths)), chronicle


# Against the plan ---------------------------------------------------------------------------------


async def _follow(sim: Sim, tree: SupervisorProps, actions: Any) -> Follower:
    """Start a tree, let ``actions`` happen to it, and hold what supervisors did against the plan."""
    trace, follower = _followed(sim, tree)
    top = None
    while top is None:
        try:
            top = await sim.start(tree, name="top")
        except ak.StartError:
            await nobody_left(sim)
            trace.events.clear()
    _one_of_each(sim)
    await actions(top)
    await sim.heal_and_settle()
    await sim.advance(5)
    follower.follow(trace)
    assert follower.discrepancies == []
    if top.ref.alive:
        shadow = follower.shadows["/top"]
        by_plan = {record.id: record.status for record in shadow.plan.children}
        assert {info.id: info.status for info in await top.which_children()} == by_plan
    await sim.system.shutdown()
    await sim.settle()
    follower.follow(trace)
    assert follower.discrepancies == []
    assert (follower.shadows, follower.living) == ({}, {})
    for what, times in follower.decisions.items():
        sim.sometimes(what, times)
    return follower


def _flat(
    strategy: Strategy, **options: Any
) -> tuple[SupervisorProps, list[ak.Child[WorkerMessage]]]:
    children = _children(Stage(), trap=True)
    return ak.supervise(*children, strategy=strategy, **options), children


@law(faults=FAULTS, sometimes=["gave up", "mourned", "retried", "start failed"])
async def test_limits_are_kept(sim: Sim) -> None:
    """With few restarts allowed, a supervisor gives up with the first too many, and never before."""
    tree, children = _flat("one_for_one", max_restarts=2, within=0.2)
    await _follow(sim, tree, lambda top: _disturb(top, children))


@law(faults=FAULTS, sometimes=["gave up", "mourned", "stopped", "start failed"])
async def test_limits_of_groups_are_kept(sim: Sim) -> None:
    """A restart of a group counts once."""
    tree, children = _flat("one_for_all", max_restarts=2, within=0.2)
    await _follow(sim, tree, lambda top: _disturb(top, children))


@law(faults=FAULTS, sometimes=["mourned", "retried", "stopped"])
async def test_restarts_wait_for_their_time(sim: Sim) -> None:
    """With a back-off no restart comes early, and what is due comes."""
    backoff = ak.Backoff(0.1, 2.0, 0.4)
    tree, children = _flat("rest_for_one", max_restarts=PLENTY, backoff=backoff)
    await _follow(sim, tree, lambda top: _disturb(top, children))


@law(faults=FAULTS, sometimes=["mourned", "stopped", "gave up"])
async def test_trees_in_trees(sim: Sim) -> None:
    """Supervisors below supervisors are killed, give up and are restarted; each level does what its plan says."""
    stage = Stage()
    pair = [stage.child("c", ending=0.05, trap=True), stage.child("d", starts=(0.02, "fail"))]
    inner = ak.supervise(*pair, strategy="one_for_all", max_restarts=1, within=0.2)
    a = stage.child("a", restart="transient")
    children = (a, ak.Child("b", inner, restart="permanent"), stage.child("e"))
    tree = ak.supervise(*children, strategy="rest_for_one", max_restarts=3, within=0.2)

    async def disturb(top: ak.SupervisorRef) -> None:
        below = top.supervisor(children[1])
        below.child(pair[1]).tell(Crash())
        below.child(pair[0]).tell(Nap(0.05))
        top.child(a).tell(End())
        await trio.sleep(0.02)
        below.child(pair[0]).tell(Crash())

    await _follow(sim, tree, disturb)


# By hand ------------------------------------------------------------------------------------------


@law(faults=FAULTS, sometimes=["ChildRunning", "ChildNotFound"])
async def test_children_by_hand(sim: Sim) -> None:
    """Terminated, restarted, deleted and added while they die by themselves: lists and living agree in the end."""
    stage = Stage()
    children = _children(stage)
    extra = stage.child("x", starts=(0.02,), restart="temporary")
    backoff = ak.Backoff(0.05, 2.0, 0.1)
    tree = ak.supervise(*children, max_restarts=PLENTY, backoff=backoff)
    top = await start(sim, tree, name="top")
    _one_of_each(sim)
    child = children[0]
    scripts: list[list[Any]] = [
        [lambda: top.terminate_child(child), lambda: top.restart_child(child)],
        [lambda: top.restart_child(child), lambda: top.terminate_child(child)],
        [lambda: top.start_child(extra), lambda: top.terminate_child(extra)],
        [lambda: top.start_child(child), lambda: top.delete_child(child)],
        [lambda: top.terminate_child(children[1]), lambda: top.delete_child(children[1])],
    ]

    async def client(i: int) -> None:
        for order in scripts[i]:
            try:
                await order()
            except (ak.ChildError, ak.StartError, ak.ActorDied) as error:
                sim.sometimes(type(error).__name__)
            await trio.sleep(0.02)
            if i == 0:
                top.child(children[2]).kill()

    await sim.each(5, client)
    await sim.heal_and_settle()
    await sim.advance(5)
    await _check_lists(sim, top)


async def _check_lists(sim: Sim, top: ak.SupervisorRef) -> None:
    infos = await top.which_children()
    living = {cell.path for cell in sim.system.runtime.cells.values()}
    running = {info.ref.path for info in infos if info.status is ak.ChildStatus.RUNNING}
    assert living == {"/top"} | running, infos
    for info in infos:
        assert info.status is not ak.ChildStatus.RESTARTING, infos
        assert info.ref.alive == (info.ref.path in running)
        if not info.ref.alive:
            before = len(sim.system.dead_letters)
            info.ref.tell(End())
            insist(
                sim, len(sim.system.dead_letters) == before + 1, "no mail waits for a stopped one"
            )
    counts = await top.count_children()
    assert (counts.specs, counts.active) == (len(infos), len(running))
