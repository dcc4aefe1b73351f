"""Bugs in the house itself: kernels and supervisors that break what they promise.

Each is the real one with one method that does it wrong.
"""

from __future__ import annotations

from typing import Any

import attrs

import actorkit as ak
from actorkit.kernel.cell import Cell
from actorkit.kernel.relations import Mourners, Relations
from actorkit.kernel.seat import Seat
from actorkit.kernel.timekeeping import Clock, TimerHandle, _OwnedHandle
from actorkit.supervision.supervisor import Supervisor
from actorkit.testing import Sim, early_timer, kill_actor
from actorkit.testing.recording import RecordedRuntime
from tests.planted.registry import planted


@ak.message
class Note:
    number: int


@ak.message
class Ping(ak.Request[None]): ...


class Listener(ak.Actor[Note | Ping]):
    """Writes down what it is told where the test sees it."""

    def __init__(self, heard: list[int]) -> None:
        self.heard = heard

    @ak.on(Note)
    def note(self, msg: Note) -> None:
        self.heard.append(msg.number)

    @ak.on(Ping)
    def ping(self, msg: Ping) -> None: ...


def _supervised(heard: list[int], **options: Any) -> tuple[Any, ak.Child[Note | Ping]]:
    spec = ak.Child("listener", ak.props(Listener, heard))
    return ak.supervise(spec, **options), spec


# Mail that vanishes -------------------------------------------------------------------------------------------------


class Forgetful(RecordedRuntime):
    """A kernel that throws a dead actor's mailbox away."""

    def bury(self, cell: Cell, reason: ak.ExitReason) -> None:
        if cell.queue:
            cell.queue.clear()
        super().bury(cell, reason)


@planted(shows="messages were sent, but", budget=50, faults=[kill_actor()], kernel=Forgetful)
async def mail_that_vanishes(sim: Sim, wrong: bool) -> None:
    """The kernel throws away what waits in a dead actor's mailbox: it is neither handed on nor a dead letter."""
    tree, spec = _supervised([], max_restarts=50)
    listener = (await sim.start(tree)).child(spec)
    for number in range(3):
        listener.tell(Note(number))
    await sim.settle()


# Order across a restart ---------------------------------------------------------------------------------------------


class Stack(Seat):
    """A seat in which mail waits as on a stack: the last on top."""

    __slots__ = ()

    def vacate(self, dead: Cell) -> None:
        super().vacate(dead)
        self.cell.queue.reverse()


class Disorderly(RecordedRuntime):
    """A kernel with such seats."""

    def seat(self, cell: Cell, segment: str) -> Seat:
        seats = self.seats_of(cell)
        if segment not in seats:
            seats[segment] = Stack(self, f"{cell.path}/{segment}", segment)
        return seats[segment]


@planted(shows="out of order", budget=50, faults=[kill_actor()], kernel=Disorderly)
async def order_across_a_restart(sim: Sim, wrong: bool) -> None:
    """The kernel keeps mail over a restart, but hands it to the next incarnation in another order."""
    heard: list[int] = []
    tree, spec = _supervised(heard, max_restarts=50)
    listener = (await sim.start(tree)).child(spec)
    for number in range(4):
        listener.tell(Note(number))
    await sim.settle()
    assert heard == sorted(heard), "out of order"


# A Down too many ----------------------------------------------------------------------------------------------------


class Gossip(Relations[Cell]):
    """Tells of a violent death when it happens, and when the body is found."""

    __slots__ = ()

    def bury(self, party: Cell) -> Mourners[Cell]:
        found = super().bury(party)
        return attrs.evolve(found, watches=found.watches * (2 if party.doomed else 1))


class Gossiping(RecordedRuntime):
    """A kernel with such relations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.relations = Gossip()


@ak.message
class Watch:
    who: ak.Ref[Any]


class Mourner(ak.Actor[Watch]):
    """Watches whom it is told to, and counts."""

    def __init__(self) -> None:
        self.watched = self.heard = 0

    @ak.on(Watch)
    def watch(self, msg: Watch) -> None:
        self.watched += 1
        self.ctx.watch(msg.who)

    def down(self, down: ak.Down) -> None:
        self.heard += 1


@planted(shows="not one Down for each watch", budget=50, faults=[kill_actor()], kernel=Gossiping)
async def down_delivered_twice(sim: Sim, wrong: bool) -> None:
    """The kernel announces a death by force twice to those who watch."""
    tree, spec = _supervised([], max_restarts=50)
    supervisor = await sim.start(tree)
    mourner = await sim.spawn(Mourner)
    for _ in range(3):
        mourner.tell(Watch(supervisor.child(spec)))
    await sim.settle()
    await supervisor.stop()
    await sim.settle()
    state = sim.state(mourner)
    assert state["heard"] == state["watched"], "not one Down for each watch"


# A timer that was cancelled -----------------------------------------------------------------------------------------


class Persistent(_OwnedHandle):
    """A timer whose message, once under way, arrives whatever happens."""

    __slots__ = ()

    def surfaced(self) -> bool:
        super().surfaced()
        return True


class Obstinate(Clock):
    """A clock with such timers."""

    def send_after(self, cell: Cell, seconds: float, message: Any) -> TimerHandle:
        timer = self._push(seconds, None)
        handle = timer.item = Persistent(self, timer, cell, message, None)
        return handle


class Unstoppable(RecordedRuntime):
    """A kernel with such a clock."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clock = Obstinate(self.seams.clock)


@ak.message
class Ring: ...


@ak.message
class Calm(ak.Request[None]): ...


class Alarm(ak.Actor[Ring | Calm]):
    """Rings in a second, unless it is calmed."""

    def started(self) -> None:
        self.calmed = self.rang_on = False
        self.timer = self.ctx.send_after(1.0, Ring())

    @ak.on(Ring)
    def ring(self, msg: Ring) -> None:
        self.rang_on = self.rang_on or self.calmed

    @ak.on(Calm)
    def calm(self, msg: Calm) -> None:
        self.timer.cancel()
        self.calmed = True


@planted(shows="rang after it was calmed", budget=120, faults=[early_timer()], kernel=Unstoppable)
async def cancelled_timer_fires(sim: Sim, wrong: bool) -> None:
    """The kernel delivers a timer's message that waited in the mailbox when the timer was cancelled."""
    alarm = await sim.spawn(Alarm)
    await sim.each(1, lambda _: alarm.ask(Calm(), timeout=None))
    await sim.advance(2)
    assert not sim.state(alarm)["rang_on"], "rang after it was calmed"


# A supervisor that counts double ------------------------------------------------------------------------------------


class Severe(Supervisor):
    """Counts a restart when the child dies, and once more when it is back."""

    async def exited(self, signal: ak.Exit, /) -> None:
        before = len(self.plan.restarts)
        await super().exited(signal)
        again = self.plan.restarts[before:]
        self.plan = attrs.evolve(self.plan, restarts=(*self.plan.restarts, *again))


@planted(shows="gave up after", budget=50, faults=[kill_actor("*/listener")])
async def supervisor_that_counts_twice(sim: Sim, wrong: bool) -> None:
    """The supervisor counts each restart twice, and gives up when only half of them are used up."""
    deaths: list[object] = []
    sim.system.events.subscribe(deaths.append, ak.ChildTerminated)
    tree, spec = _supervised([], max_restarts=2)
    supervisor = await sim.start(attrs.evolve(tree, cls=Severe) if wrong else tree)
    for _ in range(4):
        try:
            await supervisor.child(spec).ask(Ping())
        except ak.ActorDied:
            continue
    await sim.heal_and_settle()
    assert supervisor.ref.alive or len(deaths) > 2, f"gave up after {len(deaths)} deaths"
