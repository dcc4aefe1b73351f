"""A suspended actor handles nothing, answers inspections, loses nothing, and can be ended; resumed, it goes on in order."""

from __future__ import annotations

from itertools import pairwise

import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, early_timer, kill_actor
from tests.simulation.law import insist, law, start


@ak.message
class Note:
    sender: str
    number: int


@ak.message
class Tick:
    pass


@ak.message
class Length(ak.Request[int]):
    pass


class Diary(ak.Actor[Note | Tick | Length]):
    """Notes what comes; some of it takes time."""

    def __init__(self, notes: list[tuple[str, int]]) -> None:
        self.notes = notes

    def started(self) -> None:
        self.ctx.send_every(0.1, Tick())

    @ak.on(Note)
    async def note(self, msg: Note) -> None:
        self.notes.append((msg.sender, msg.number))
        if msg.number == 2:
            await trio.sleep(0.05)
        if msg.number == 3:
            await self.ctx.sleep(0.05)

    @ak.on(Tick)
    def tick(self, msg: Tick) -> None:
        self.notes.append(("tick", len(self.notes)))

    @ak.on(Length)
    def length(self, msg: Length) -> int:
        return len(self.notes)


def _in_order(notes: list[tuple[str, int]]) -> None:
    for name in ("a", "b"):
        numbers = [number for sender, number in notes if sender == name]
        assert all(a < b for a, b in pairwise(numbers)), f"{name}: {numbers}"


async def _suspend_for_a_while(
    sim: Sim, ref: ak.Ref[Note | Tick | Length], notes: list[tuple[str, int]], rounds: int
) -> None:
    for n in range(rounds):
        sim.system.suspend(ref)
        await sim.system.state_of(ref, timeout=None)
        before = len(notes)
        await trio.sleep(0.12)
        await sim.system.state_of(ref, timeout=None)
        insist(sim, len(notes) == before, "a suspended actor handles nothing")
        sim.sometimes("mail waited", sim.system.statistics(ref).waiting)
        if n == 1:
            sim.system.suspend(ref)  # twice is as good as once
        sim.system.resume(ref)
        await trio.sleep(0.05)


@law(
    faults=[kill_actor("/diary"), crash_actor("/diary"), early_timer()],
    sometimes=["mail waited", "all came", "it died"],
)
async def test_the_suspended_handle_nothing(sim: Sim) -> None:
    """Between a suspend that was carried out and the resume nothing is handled; afterwards everything is, in order."""
    notes: list[tuple[str, int]] = []
    ref = await sim.spawn(ak.props(Diary, notes), name="diary")

    async def control() -> None:
        try:
            await _suspend_for_a_while(sim, ref, notes, 2)
        except ak.ActorDied:
            sim.sometimes("it died")

    async def write() -> None:
        for number in range(6):
            ref.tell(Note("a", number))
            await trio.sleep(0.05)

    async def ask() -> None:
        for number in range(4):
            ref.tell(Note("b", number))
            try:
                await ref.ask(Length(), timeout=(0.1, None)[number % 2])
            except ak.AskError:
                sim.note("no answer")

    await sim.together(control, write, ask)
    await sim.heal_and_settle()
    if ref.alive:
        told = [n for n in notes if n[0] != "tick"]
        assert len(told) == 10, f"all that was told is handled, not only {told}"
        sim.sometimes("all came")
    _in_order(notes)


@law(faults=[kill_actor("/top/diary"), early_timer()], sometimes=["stopped", "killed"])
async def test_the_suspended_can_be_ended(sim: Sim) -> None:
    """Stop, kill and a supervisor's end reach it at once; the next incarnation is not suspended and gets the mail."""
    notes: list[tuple[str, int]] = []
    child = ak.Child("diary", ak.props(Diary, notes))
    top = await start(sim, ak.supervise(child, max_restarts=1000), name="top")
    ref = top.child(child)

    async def control() -> None:
        for n in range(3):
            try:
                sim.system.suspend(ref)
                await trio.lowlevel.checkpoint()
                await _end(n)
            except ak.ActorDied:
                sim.note("somebody else was faster")

    async def _end(n: int) -> None:
        if n == 1:
            ref.kill()
            sim.sometimes("killed")
        else:
            await ref.stop(timeout=None)
            sim.sometimes("stopped")

    async def write() -> None:
        for number in range(4):
            ref.tell(Note("a", number))
            await trio.lowlevel.checkpoint()

    await sim.together(control, write)
    await sim.heal_and_settle()
    _in_order(notes)
