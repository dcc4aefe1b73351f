"""Every ask ends, once: with its own reply or with an error of the closed set. Late replies reach nobody."""

from __future__ import annotations

import attrs
import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import insist, law

WAYS = ("now", "later", "on trio", "defer", "never", "crash", "stop", "refuse")
CLOSED_SET = (
    ak.AskTimeout,
    ak.ActorDied,
    ak.MailboxFull,
    ak.CircularAsk,
    ak.Unhandled,
    ak.Refused,
)


@ak.message
class Question(ak.Request[int]):
    number: int
    way: str


@ak.message
class Riddle(ak.Request[int]):
    """Answered later, or never."""

    number: int
    way: str


@ak.message
class Unknown(ak.Request[int]):
    pass


class No(ak.Refused):
    pass


@attrs.define
class Asked:
    """One ask and what came of it."""

    number: int
    began: float
    timeout: float | None
    ended: float = -1.0
    outcome: object = None


@attrs.define
class Record:
    """What a law looks at when all is over."""

    number: int = 0
    asks: list[Asked] = attrs.Factory(list)
    answered: set[int] = attrs.Factory(set)
    wanted: dict[int, bool] = attrs.Factory(dict)


class Oracle(ak.Actor[Question | Riddle]):
    """Answers in every way there is."""

    mailbox = ak.Mailbox(capacity=2)

    def __init__(self, record: Record) -> None:
        self.record = record

    @ak.on(Question)
    async def question(self, msg: Question) -> int:
        match msg.way:
            case "later":
                await self.ctx.sleep(0.2)
            case "on trio":
                await trio.sleep(0.2)
            case "crash":
                raise ValueError("a question too many")
            case "stop":
                self.ctx.stop()
                return msg.number
            case "refuse":
                raise No("no")
            case _:
                pass
        self.record.answered.add(msg.number)
        return msg.number

    @ak.on(Riddle)
    def riddle(self, msg: Riddle, reply: ak.Reply[int]) -> None:
        if msg.way == "defer":
            self.ctx.start_soon(self._answer, msg.number, reply)

    async def _answer(self, number: int, reply: ak.Reply[int]) -> None:
        await trio.sleep(0.2)
        self.record.wanted[number] = reply.send(number)


async def ask(sim: Sim, ref: ak.Ref[Question | Riddle], record: Record, way: str) -> object:
    """Ask, and write down what came of it."""
    number = record.number = record.number + 1
    timeout = (0.1, 0.2, 0.3)[number % 3]
    asked = Asked(number, sim.now(), timeout)
    record.asks.append(asked)
    kind = Riddle if way in ("defer", "never") else Question
    try:
        asked.outcome = await ref.ask(kind(number, way), timeout=timeout)
    except ak.AskError as error:
        asked.outcome = error
    except BaseException:
        record.asks.remove(asked)  # whoever asked was killed
        raise
    finally:
        asked.ended = sim.now()
    return asked.outcome


def check(sim: Sim, record: Record) -> None:
    """Look at what all asks ended with."""
    for asked in record.asks:
        if isinstance(asked.outcome, ak.AskTimeout):
            assert asked.timeout is not None
            assert asked.ended >= asked.began + asked.timeout, f"{asked} did not end early"
        elif isinstance(asked.outcome, BaseException):
            assert isinstance(asked.outcome, CLOSED_SET), asked
        else:
            assert asked.outcome == asked.number, f"{asked} has its own reply"
        sim.sometimes(type(asked.outcome).__name__)


@law(
    faults=[kill_actor("/oracle"), crash_actor("/oracle"), early_timer()],
    sometimes=["AskTimeout", "ActorDied", "MailboxFull", "No", "int", "late"],
)
async def test_every_ask_ends(sim: Sim) -> None:
    """With its own reply or an expected error, no time-out early; and every reply is counted as taken or as late."""
    record = Record()

    async def client(i: int) -> None:
        for n in range(3):
            way = WAYS[(3 * i + n) % len(WAYS)]
            ref = await oracle(sim, record)
            await ask(sim, ref, record, way)

    await sim.each(3, client)
    check(sim, record)
    await sim.eventually(lambda: True, "rest")
    await sim.system.shutdown()
    taken = {asked.number for asked in record.asks if asked.outcome == asked.number}
    late = sim.system.dead_letters.counts.get(ak.DeadReason.LATE_REPLY, 0)
    given_late = [n for n in record.answered if n not in taken]
    deferred_late = [n for n, wanted in record.wanted.items() if not wanted]
    sim.sometimes("late", late)
    assert late == len(given_late) + len(deferred_late)
    assert all(wanted == (n in taken) for n, wanted in record.wanted.items())


async def oracle(sim: Sim, record: Record) -> ak.Ref[Question | Riddle]:
    """The oracle, or a new one."""
    key = ak.Key[Question | Riddle]("oracle")
    while True:
        ref = sim.system.whereis(key)
        if ref is not None:
            return ref
        try:
            return await sim.system.spawn(ak.props(Oracle, record), name=key)
        except ak.AlreadyStarted:
            sim.note("somebody else was faster")


@law(faults=[kill_actor("/oracle"), crash_actor("/oracle")], sometimes=["died in it"])
async def test_a_death_ends_asks_at_once(sim: Sim) -> None:
    """Whoever waits for one that dies hears of it at that moment, and of the true reason."""
    record = Record()
    deaths: dict[float, list[ak.ExitReason]] = {}

    def note(event: ak.Stopped) -> None:
        deaths.setdefault(sim.now(), []).append(event.reason)

    sim.system.events.subscribe(note, ak.Stopped)

    async def client(i: int) -> None:
        await trio.sleep(0.1 * i)
        ref = await oracle(sim, record)
        outcome = await ask(sim, ref, record, ("later", "on trio", "never", "defer", "crash")[i])
        if isinstance(outcome, ak.ActorDied) and outcome.reason != ak.NoActor():
            sim.sometimes("died in it")
            insist(sim, outcome.reason in deaths.get(sim.now(), ()), "told at once, and the truth")

    await sim.each(5, client)
    check(sim, record)


@ak.message
class Relay(ak.Request[int]):
    """Ask the oracle, from a handler, and answer with its answer, or -1."""

    way: str
    nest: bool


class Middle(ak.Actor[Relay]):
    """Asks for others, standing on its carrier or in a nursery."""

    def __init__(self, sim: Sim, record: Record) -> None:
        self.sim = sim
        self.record = record

    @ak.on(Relay)
    async def relay(self, msg: Relay) -> int:
        ref = await oracle(self.sim, self.record)
        if not msg.nest:
            await ask(self.sim, ref, self.record, msg.way)
            return 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, self.sim, ref, self.record, msg.way)
            nursery.start_soon(ask, self.sim, ref, self.record, "now")
        return 1


@law(
    faults=[kill_actor("/oracle"), kill_actor("/Middle-*"), early_timer()],
    sometimes=["AskTimeout", "ActorDied", "int"],
)
async def test_asks_of_actors_end_too(sim: Sim) -> None:
    """So it is for asks from handlers, parked or in nurseries; and for those of one that is killed nobody is late."""
    record = Record()

    async def client(i: int) -> None:
        middle = await sim.spawn(Middle, sim, record)
        for n in range(2):
            try:
                await middle.ask(Relay(WAYS[(2 * i + n) % len(WAYS)], (i + n) % 2 == 0), timeout=1)
            except (ak.ActorDied, ak.AskTimeout):
                sim.note("the middle one failed")

    await sim.each(3, client)
    await sim.eventually(lambda: all(asked.ended >= 0 for asked in record.asks), "all asks end")
    check(sim, record)
