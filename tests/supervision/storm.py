"""A storm of kills over a supervision tree three levels deep, with traffic.

Everything is drawn from one seed: the shape of the tree, how starts and ends go, who talks to whom, who is killed, how and
when. Kills come in bursts, with no pause between some of them, so that they also hit supervisors in the midst of a restart,
actors that are not ready yet, and actors that are ending.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any

import trio

import actorkit as ak
from actorkit.kernel.call import Call
from actorkit.supervision.spec import Restart, Strategy
from tests.supervision.support import (
    Consult,
    Crash,
    End,
    Nap,
    Note,
    Stage,
    Step,
    Think,
    WorkerMessage,
)

STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")
RESTARTS: tuple[Restart, ...] = ("permanent", "permanent", "transient", "temporary")
PATIENCE = 0.05  # seconds a child may take to start or to end


def moods(rng: Random, calm: Callable[[], bool]) -> Iterator[Step]:
    """How the starts of one worker go in a storm: mostly well, at times slowly, now and then not at all."""
    while True:
        luck = 1.0 if calm() else rng.random()
        if luck < 0.02:
            yield "hang"
        elif luck < 0.05:
            yield "fail"
        elif luck < 0.3:
            yield rng.uniform(0.001, 0.03)
        else:
            yield "ok"


class Forest:
    """A tree: the top, three supervisors of different strategies, each with workers and a supervisor of workers."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.calm = True
        self.stage = Stage()
        self.workers: dict[str, list[ak.Child[WorkerMessage]]] = {}
        self.pools: list[str] = []
        branches = [self._branch(f"b{n}", strategy) for n, strategy in enumerate(STRATEGIES)]
        self.props = ak.supervise(*branches, max_restarts=10**6)

    def _worker(self, above: str, name: str) -> ak.Child[WorkerMessage]:
        rng = self.rng
        child = self.stage.child(
            name,
            starts=moods(rng, lambda: self.calm),
            ending=rng.choice([0.0, 0.0, 0.01, 1.0]),
            trap=rng.random() < 0.3,
            restart=rng.choice(RESTARTS),
            shutdown=rng.choice([PATIENCE, PATIENCE, "kill"]),
            start_timeout=PATIENCE,
        )
        self.workers.setdefault(above, []).append(child)
        return child

    def _supervise(self, *children: ak.Child[Any], strategy: Strategy) -> Any:
        rng = self.rng
        return ak.supervise(
            *children,
            strategy=strategy,
            max_restarts=rng.choice([2, 4, 8]),
            within=rng.choice([0.05, 0.1, 0.2]),
            backoff=rng.choice([None, None, ak.Backoff(0.01, 2.0, 0.04)]),
        )

    def _branch(self, name: str, strategy: Strategy) -> ak.Child[Any]:
        """A supervisor of workers, of one more supervisor of workers, and of a pool, in any order."""
        inner, pool = f"/top/{name}/{name}i", f"/top/{name}/{name}p"
        leaves = [self._worker(inner, f"{name}i{n}") for n in range(3)]
        children: list[ak.Child[Any]] = [
            self._worker(f"/top/{name}", f"{name}w{n}") for n in range(4)
        ]
        twig = self._supervise(*leaves, strategy=self.rng.choice(STRATEGIES))
        children.append(ak.Child(f"{name}i", twig, restart=self.rng.choice(RESTARTS[1:3])))
        template = self.stage.child(f"{name}p", ending=0.01)
        children.append(ak.Child(f"{name}p", ak.supervise_dynamic(template, max_restarts=5)))
        self.pools.append(pool)
        self.rng.shuffle(children)
        return ak.Child(name, self._supervise(*children, strategy=strategy))


class Storm:
    """Kills and traffic over a running forest."""

    def __init__(self, system: ak.System, forest: Forest, top: ak.SupervisorRef) -> None:
        self.system = system
        self.forest = forest
        self.rng = forest.rng
        self.doors: dict[str, ak.SupervisorRef] = {"/top": top}
        self.pools: list[ak.DynamicRef[..., WorkerMessage]] = []
        self.pooled: deque[ak.Ref[WorkerMessage]] = deque(maxlen=8)
        self.kills = 0
        self.outcomes: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self._find(top, forest.props.args[1])
        self.places = [(path, child) for path, those in forest.workers.items() for child in those]

    def _find(self, door: ak.SupervisorRef, children: tuple[ak.Child[Any], ...]) -> None:
        for child in children:
            path = f"{door.path}/{child.id}"
            if path in self.forest.pools:
                self.pools.append(door.dynamic(child))
            elif child.is_tree:
                self.doors[path] = door.supervisor(child)
                self._find(self.doors[path], child.props.args[1])

    def _anyone(self) -> ak.Ref[WorkerMessage]:
        """A worker's reference: of one that lives, restarts, is gone, or was never there."""
        while True:
            if self.pooled and self.rng.random() < 0.2:
                return self.rng.choice(self.pooled)
            path, child = self.rng.choice(self.places)
            try:
                return self.doors[path].child(child)
            except ak.ChildNotFound:
                pass  # a temporary one that has ended

    async def rage(self, kills: int) -> None:
        """Kill so many living actors, with traffic going on all the while."""
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(self._talk)
            nursery.start_soon(self._refill)
            self.forest.calm = False
            await self._kill(kills)
            self.forest.calm = True
            nursery.cancel_scope.cancel()

    async def _kill(self, kills: int) -> None:
        supervisors: list[ak.Ref[Any]] = [
            *(door.ref for path, door in self.doors.items() if path != "/top"),
            *(pool.ref for pool in self.pools),
        ]
        while self.kills < kills:
            if self.rng.random() < 0.1:
                self._strike(self.rng.choice(supervisors))
            elif self.rng.random() < 0.15:
                self._anyone().tell(Crash())  # now, or its next incarnation; counted as no kill
            else:
                self._strike(self._anyone())
            await self._pause()

    def _strike(self, victim: ak.Ref[Any]) -> None:
        """Kill an actor, wherever it is in its life; at times an exit signal gets there first."""
        if self.rng.random() < 0.2:
            self.system.exit(victim, ak.Failed("in the storm"))
        self.kills += victim.alive
        self.found[_plight(victim)] += 1
        victim.kill()

    async def _pause(self) -> None:
        luck = self.rng.random()
        if luck < 0.2:
            for _ in range(self.rng.randrange(6)):
                await trio.lowlevel.checkpoint()
        elif luck < 0.7:
            await trio.sleep(self.rng.expovariate(80.0))

    async def _talk(self) -> None:
        """Tell and ask, whoever it is."""
        while True:
            try:
                await self._say(self._anyone())
            except ak.AskError as error:
                self.outcomes[type(error).__name__] += 1
            else:
                self.outcomes["went well"] += 1
            await trio.sleep(self.rng.expovariate(200.0))

    async def _say(self, ref: ak.Ref[WorkerMessage]) -> None:
        rng = self.rng
        match rng.randrange(6):
            case 0:
                ref.tell(Note(1))
            case 1:
                ref.tell(Nap(rng.uniform(0, 0.02), on_trio=True))
            case 2:
                ref.tell(Nap(rng.uniform(0, 0.02)))
            case 3:
                ref.tell(End() if rng.random() < 0.3 else Note(2))
            case 4:
                await ref.ask(Think(rng.uniform(0, 0.02)), timeout=0.05)
            case _:
                await ref.ask(Consult(self._anyone(), rng.uniform(0, 0.02)), timeout=0.05)

    async def _refill(self) -> None:
        """Put back temporary children that are gone, and keep the pools filled."""
        while True:
            path = self.rng.choice(list(self.forest.workers))
            for child in self.forest.workers[path]:
                if child.restart == "temporary":
                    await self._start(self.doors[path].start_child, child)
            ref = await self._start(self.rng.choice(self.pools).start_child)
            if ref is not None:
                self.pooled.append(ref)
            await trio.sleep(0.02)

    async def _start(
        self, start: Callable[..., Awaitable[ak.Ref[WorkerMessage]]], *args: Any
    ) -> ak.Ref[WorkerMessage] | None:
        try:
            ref = await start(*args)
        except (ak.StartError, ak.AskError) as error:
            self.outcomes[type(error).__name__] += 1
            return None
        self.outcomes["started"] += 1
        return ref


def _plight(victim: ak.Ref[Any]) -> str:
    """What an actor is doing as it is killed."""
    cell = victim._cell  # noqa: SLF001 - what a status does not tell
    if cell.pinned:
        return "pinned"
    if isinstance(cell.waiting, Call):
        return "asking"
    return cell.state.name.lower()
