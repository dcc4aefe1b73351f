"""Killed is dead: code that is unwound, or does not let itself be unwound, sends, starts, watches and answers nothing."""

from __future__ import annotations

import attrs
import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import insist, law, start


@ak.message
class Work:
    way: str


@ak.message
class Job(ak.Request[str]):
    way: str


@ak.message
class Word:
    """Something a victim says: in good health, or as it is unwound."""

    last: bool


@ak.message
class Plea(ak.Request[None]):
    """The same, asked."""

    last: bool


class Witness(ak.Actor[Word | Plea]):
    """Hears what the living say, and must hear nothing from the dead."""

    trap_exits = True

    def __init__(self, sim: Sim) -> None:
        self.sim = sim

    @ak.on(Word)
    def word(self, msg: Word) -> None:
        insist(self.sim, not msg.last, "the dead tell nothing")
        self.sim.sometimes("a word of the living")

    @ak.on(Plea)
    def plea(self, msg: Plea) -> None:
        insist(self.sim, not msg.last, "the dead ask nothing")

    def down(self, down: ak.Down) -> None: ...

    def exited(self, signal: ak.Exit, /) -> None:
        insist(self.sim, signal.linked, "the dead send no exit signals")


class Ghost(ak.Actor[Work]):
    """What the dead must not be able to start."""

    def __init__(self, sim: Sim) -> None:
        sim.fail(AssertionError("the dead start nobody"))

    @ak.on(Work)
    def work(self, msg: Work) -> None: ...


@attrs.define
class Grave:
    """Who was killed in the midst of something, and is not quiet yet."""

    sim: Sim
    unquiet: int = 0


class Victim(ak.Actor[Work | Job]):
    """Is killed as it works, and tries everything then."""

    def __init__(self, grave: Grave, witness: ak.Ref[Word | Plea]) -> None:
        self.grave = grave
        self.witness = witness

    @ak.on(Work)
    async def work(self, msg: Work) -> None:
        await self._toil(msg.way)

    @ak.on(Job)
    async def job(self, msg: Job) -> str:
        await self._toil(msg.way)
        return "done"

    async def _toil(self, way: str) -> None:
        self.witness.tell(Word(last=False))
        self.ctx.start_soon(self._toil_once, "on trio")
        await self._toil_once(way)

    async def _toil_once(self, way: str) -> None:
        try:
            await self._wait(way)
        except BaseException:
            self.grave.unquiet += 1
            try:
                await self._last_words()
            finally:
                self.grave.unquiet -= 1
            raise

    async def _wait(self, way: str) -> None:
        match way:
            case "park":
                await self.ctx.sleep(0.1)
            case "ask":
                await self.witness.ask(Plea(last=False), timeout=None)
            case "nest":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.ctx.sleep, 0.1)
                    nursery.start_soon(trio.sleep, 0.05)
            case _:
                await trio.sleep(0.1)

    async def _last_words(self) -> None:
        """Everything one could do to be heard of again."""
        sim, ctx = self.grave.sim, self.ctx
        sim.sometimes("last words")
        self.witness.tell(Word(last=True))
        ctx.self.tell(Work("park"))
        ctx.exit(self.witness, ak.Failed("from the grave"))
        for attempt in (
            lambda: ctx.send_after(0.0, Work("park")),
            lambda: ctx.start_soon(self._whisper),
            lambda: ctx.watch(self.witness),
            lambda: ctx.link(self.witness),
            lambda: ctx.continue_with(Work("park")),
        ):
            try:
                attempt()
            except (ak.ActorDied, ak.SystemClosed):
                sim.note("in vain")
        await self._last_waits()

    async def _last_waits(self) -> None:
        try:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.05)
                await self.witness.ask(Plea(last=True), timeout=None)
        except ak.ActorDied:
            self.grave.sim.note("in vain")
        try:
            with trio.CancelScope(shield=True):
                await self.ctx.spawn(ak.props(Ghost, self.grave.sim), link=False)
        except (ak.ActorDied, ak.SystemClosed):
            self.grave.sim.note("in vain")

    async def _whisper(self) -> None:
        self.grave.sim.fail(AssertionError("the dead begin no work"))
        await trio.lowlevel.checkpoint()


async def _employ(sim: Sim, ref: ak.Ref[Work | Job]) -> None:
    for way in ("park", "nest"):
        ref.tell(Work(way))
        try:
            await ref.ask(Job("ask" if way == "park" else "on trio"), timeout=0.5)
        except ak.AskError as error:
            insist(sim, not isinstance(error, ak.CircularAsk), "nobody waits for the dead")


@law(
    faults=[kill_actor("/top/*"), crash_actor("/top/*"), early_timer()],
    sometimes=["last words", "a word of the living"],
)
async def test_the_dead_are_silent(sim: Sim) -> None:
    """Nothing that a killed actor's code still does is heard of, while the next incarnation works."""
    grave = Grave(sim)
    witness = await sim.spawn(ak.props(Witness, sim), name="witness")
    children = [ak.Child(n, ak.props(Victim, grave, witness)) for n in ("a", "b")]
    top = await start(sim, ak.supervise(*children, max_restarts=1000), name="top")

    async def client(i: int) -> None:
        await _employ(sim, top.child(children[i]))

    await sim.each(2, client)
    sim.heal()
    await sim.advance(2)
    assert grave.unquiet == 0, "all have found their rest"
