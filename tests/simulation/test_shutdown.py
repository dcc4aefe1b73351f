"""The end of a system: everybody is stopped, the youngest first, hooks run once, nobody who waits is forgotten."""

from __future__ import annotations

from collections import Counter

import attrs
import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import insist, law, start


@ak.message
class Work:
    way: str


@ak.message
class Answer(ak.Request[int]):
    way: str


@attrs.define
class Log:
    """Whose hook ran, and in which order actors were gone."""

    sim: Sim
    hooks: Counter[ak.Address] = attrs.Factory(Counter)
    gone: list[str] = attrs.Factory(list)
    reasons: dict[str, ak.ExitReason] = attrs.Factory(dict)

    def listen(self) -> None:
        """Note deaths from now on."""
        self.sim.system.events.subscribe(self._note, ak.Stopped)

    def _note(self, event: ak.Stopped) -> None:
        self.gone.append(event.path)
        self.reasons[event.path] = event.reason
        hooks = self.hooks[event.address]
        if isinstance(event.reason, ak.Killed):
            insist(self.sim, hooks <= 1, f"{event.path} had its hook run at most once")
        elif "InjectedCrash" not in str(event.reason) and event.actor == "Hand":
            insist(self.sim, hooks == 1, f"{event.path} had its hook run, {event.reason}")


class Hand(ak.Actor[Work | Answer]):
    """Works, spawns, asks; never ends by itself."""

    def __init__(self, log: Log, others: list[ak.Ref[Work | Answer]]) -> None:
        self.log = log
        self.others = others

    async def stopping(self, reason: ak.ExitReason) -> None:
        self.log.hooks[self.log.sim.system.status(self.ctx.self).address] += 1
        await self.ctx.sleep(0.05)
        for other in self.others:
            other.tell(Work("now"))

    @ak.on(Work)
    async def work(self, msg: Work) -> None:
        await self._wait(msg.way)

    @ak.on(Answer)
    async def answer(self, msg: Answer) -> int:
        await self._wait(msg.way)
        return 1

    async def _wait(self, way: str) -> None:
        match way:
            case "park":
                await self.ctx.sleep(0.5)
            case "on trio":
                await trio.sleep(0.5)
            case "for ever":
                await trio.sleep_forever()
            case "ask":
                await self._ask()
            case "spawn":
                await self._spawn()
            case "shield":
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.3)
            case _:
                pass

    async def _ask(self) -> None:
        try:
            await self.others[0].ask(Answer("park"), timeout=None)
        except ak.AskError:
            self.log.sim.note("not today")

    async def _spawn(self) -> None:
        try:
            await self.ctx.spawn(ak.props(Hand, self.log, self.others), link=False)
        except (ak.StartError, ak.SystemClosed, ak.ActorDied):
            self.log.sim.note("not today")


WAYS = ("park", "on trio", "ask", "spawn", "for ever", "shield")


@law(
    faults=[kill_actor("/hand-*"), crash_actor("/hand-*"), early_timer()],
    sometimes=["SystemClosed", "an asker is told", "all in order"],
)
async def test_shutdown_ends_everybody(sim: Sim) -> None:
    """Top-level actors go one after the other, the last started first; whoever asks is told; nobody starts any more."""
    log = Log(sim)
    log.listen()
    hands: list[ak.Ref[Work | Answer]] = []
    for n in range(4):
        hands.append(await sim.spawn(ak.props(Hand, log, hands[:1]), name=f"hand-{n}"))

    async def shut_down() -> None:
        await trio.sleep(0.1)
        await sim.system.shutdown()

    async def client(i: int) -> None:
        for n in range(2):
            try:
                await hands[(i + n) % 4].ask(Answer(WAYS[2 * i + n]), timeout=None)
            except ak.ActorDied:
                sim.sometimes("an asker is told")
            try:
                await sim.spawn(ak.props(Hand, log, hands[:1]), name=f"late-{i}")
            except (ak.SystemClosed, ak.AlreadyStarted) as error:
                sim.sometimes(type(error).__name__)

    async def clients() -> None:
        await sim.each(3, client)

    await sim.together(shut_down, clients)
    assert not sim.system.runtime.cells, "nobody is left"
    ended = [p for p in log.gone if p in {f"/hand-{n}" for n in range(4)}]
    asked_to = [p for p in ended if isinstance(log.reasons[p], ak.Shutdown)]
    assert asked_to == sorted(asked_to, reverse=True), f"the youngest first, not {asked_to}"
    sim.sometimes("all in order", len(asked_to) == 4)


@law(faults=[kill_actor(), crash_actor(), early_timer()], sometimes=["in order"])
async def test_a_tree_is_stopped_from_the_last_leaf(sim: Sim) -> None:
    """A supervisor stops its children in reverse order, below it first, whatever they do at that moment."""
    log = Log(sim)
    log.listen()
    leaves = [ak.Child(f"leaf-{n}", ak.props(Hand, log, [])) for n in range(2)]
    branch = ak.Child("branch", ak.supervise(*leaves, max_restarts=1000))
    first, last = (ak.Child(name, ak.props(Hand, log, [])) for name in ("first", "last"))
    top = await start(sim, ak.supervise(first, branch, last, max_restarts=1000), name="top")
    below = top.supervisor(branch)

    async def work() -> None:
        for n, ref in enumerate((top.child(first), below.child(leaves[0]), below.child(leaves[1]))):
            ref.tell(Work(("park", "on trio", "for ever")[n]))
            ref.tell(Work("spawn"))
            await trio.lowlevel.checkpoint()

    async def stop() -> None:
        await trio.sleep(0.05)
        sim.heal()
        await sim.settle()
        log.gone.clear()
        await top.stop()

    await sim.together(work, stop)
    family = [path for path in log.gone if not path.rpartition("/")[2].startswith("Hand")]
    assert family == [
        "/top/last",
        "/top/branch/leaf-1",
        "/top/branch/leaf-0",
        "/top/branch",
        "/top/first",
        "/top",
    ]
    sim.sometimes("in order")
