"""A death is announced once: one ``Down`` per monitor, one ``Exit`` per link, with the true reason, when names are free."""

from __future__ import annotations

import attrs
import trio

import actorkit as ak
from actorkit.testing import Sim, crash_actor, kill_actor
from tests.simulation.law import insist, law

TARGETS = 3


@ak.message
class End:
    way: str


@ak.message
class Busy:
    """Wait a moment, on trio or parked."""

    on_trio: bool


class Target(ak.Actor[End | Busy]):
    """Ends in some way."""

    @ak.on(End)
    async def end(self, msg: End) -> None:
        match msg.way:
            case "crash":
                raise ValueError("told to")
            case "stop":
                self.ctx.stop(ak.Shutdown("told to"))
            case "raise":
                raise ak.Stop(ak.Failed("told to"))
            case _:
                await self.ctx.sleep(0.1)

    @ak.on(Busy)
    async def busy(self, msg: Busy) -> None:
        if msg.on_trio:
            await trio.sleep(0.1)
        else:
            await self.ctx.sleep(0.1)

    async def stopping(self, reason: ak.ExitReason) -> None:
        await trio.sleep(0.1)


def key(number: int) -> ak.Key[End | Busy]:
    """The name of a target."""
    return ak.Key[End | Busy](f"target-{number}")


@attrs.define
class Truth:
    """What the kernel says of deaths, to be compared with what others hear."""

    sim: Sim
    reasons: dict[ak.Address, ak.ExitReason] = attrs.Factory(dict)

    def listen(self) -> None:
        """Note deaths from now on."""
        self.sim.system.events.subscribe(self._note, ak.Stopped)

    def _note(self, event: ak.Stopped) -> None:
        insist(self.sim, event.address not in self.reasons, f"{event.path} dies once")
        self.reasons[event.address] = event.reason


@ak.message
class Take:
    """Begin or end to watch or link target number ``number``."""

    what: str
    number: int


class Watcher(ak.Actor[Take]):
    """Keeps its own books of what it may still hear."""

    trap_exits = True

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.monitors: dict[ak.Monitor, ak.Address | None] = {}
        self.links: set[ak.Address] = set()
        self.dead_links: set[ak.Address] = set()

    @ak.on(Take)
    def take(self, msg: Take) -> None:
        ref = self.ctx.whereis(key(msg.number))
        if ref is None:
            self._take_the_dead(msg.number)
            return
        match msg.what:
            case "watch":
                self.monitors[self.ctx.watch(ref)] = ref.address
            case "unwatch":
                for monitor in [
                    m for m, address in self.monitors.items() if address == ref.address
                ]:
                    insist(self.truth.sim, self.ctx.unwatch(monitor), "an active monitor is active")
                    del self.monitors[monitor]
            case "link":
                self.ctx.link(ref)
                self.links.add(ref.address)
            case _:
                self.ctx.unlink(ref)
                self.links.discard(ref.address)

    def _take_the_dead(self, number: int) -> None:
        """Watch nobody; and let go, unheard, of all that was watched of old."""
        self.monitors[self.ctx.watch(self.ctx.named(key(number)))] = None
        old = [m for m, address in self.monitors.items() if address in self.truth.reasons]
        for monitor in old[:1]:
            self.truth.sim.sometimes("a notice is taken back")
            self.ctx.unwatch(monitor)
            del self.monitors[monitor]

    def down(self, down: ak.Down) -> None:
        sim = self.truth.sim
        insist(sim, down.monitor in self.monitors, f"{down} is wanted, and the first")
        address = self.monitors.pop(down.monitor, None)
        insist(sim, down.address == address, f"{down} is about {address}")
        if address is None:
            insist(sim, down.reason == ak.NoActor(), f"{down}: nobody was watched")
        else:
            insist(sim, down.reason == self.truth.reasons.get(address), f"{down} tells the truth")
        self._check_free(address)

    def exited(self, signal: ak.Exit, /) -> None:
        sim, address = self.truth.sim, signal.address
        insist(sim, address in self.links, f"{signal} is wanted, and the first")
        assert address is not None
        self.links.discard(address)
        insist(sim, signal.reason == self.truth.reasons.get(address), f"{signal} tells the truth")
        self._check_free(address)

    def _check_free(self, address: ak.Address | None) -> None:
        held = {ref.address for ref in self.truth.sim.system.names().values()}
        insist(self.truth.sim, address not in held, "names are free before anybody hears")


PLANS = (
    ("watch", "link", "watch", "unwatch", "watch"),
    ("link", "unlink", "link", "watch", "unlink"),
    ("watch", "link", "unwatch", "unlink", "link"),
)
ENDS = ("crash", "stop", "raise")


@law(
    faults=[kill_actor("/target-*"), crash_actor("/target-*")],
    sometimes=["a notice is taken back", "a name is taken again"],
)
async def test_every_death_is_announced_once(sim: Sim) -> None:
    """Each active monitor and link hears once, the truth, after the names are free; others hear nothing."""
    truth = Truth(sim)
    truth.listen()
    for number in range(TARGETS):
        await sim.spawn(ak.props(Target), name=key(number))
    watchers = [await sim.spawn(ak.props(Watcher, truth), name=f"watcher-{n}") for n in range(3)]

    async def take(i: int) -> None:
        for step, what in enumerate(PLANS[i]):
            watchers[i].tell(Take(what, (i + step) % TARGETS))
            watchers[i].tell(Take(what, 0))
            await trio.lowlevel.checkpoint()

    async def end(i: int) -> None:
        await _end(sim, i)

    async def all_take() -> None:
        await sim.each(3, take)

    async def all_end() -> None:
        await sim.each(3, end, name="killer")

    await sim.together(all_end, all_take)
    await sim.heal_and_settle()
    for number in range(TARGETS):
        sim.system.named(key(number)).kill()
    await sim.heal_and_settle()
    for watcher in watchers:
        state = sim.state(watcher)
        assert not state["monitors"], f"{watcher} was not told of {state['monitors']}"
        assert not state["links"], f"{watcher} was not told of {state['links']}"


async def _end(sim: Sim, number: int) -> None:
    """Let a target end, and take its name again if it is free already."""
    ref = sim.system.named(key(number))
    ref.tell(Busy(on_trio=number == 1))
    await trio.lowlevel.checkpoint()
    ref.tell(End(ENDS[number]))
    if number == 2:
        ref.kill()
    try:
        await sim.spawn(ak.props(Target), name=key(number))
    except ak.AlreadyStarted:
        return
    sim.sometimes("a name is taken again")


@ak.message
class Tie:
    """Link yourself to that one, or spawn a linked child of your own."""

    other: ak.Ref[Tie] | None


class Knot(ak.Actor[Tie]):
    """Linked with others; dies of their deaths."""

    def __init__(self, ties: set[frozenset[str]]) -> None:
        self.ties = ties

    @ak.on(Tie)
    async def tie(self, msg: Tie) -> None:
        if msg.other is None:
            child = await self.ctx.spawn(ak.props(Knot, self.ties))
            self.ties.add(frozenset((self.ctx.path, child.path)))
            return
        try:
            self.ctx.link(msg.other)
        except ak.ActorDied:
            return
        self.ties.add(frozenset((self.ctx.path, msg.other.path)))


@law(faults=[kill_actor("/*"), crash_actor("/*")], sometimes=["some survive"])
async def test_linked_actors_die_together(sim: Sim) -> None:
    """When all is over, of two that were linked either both live or neither."""
    ties: set[frozenset[str]] = set()
    knots = [await sim.spawn(ak.props(Knot, ties), name=f"knot-{n}") for n in range(6)]

    async def tie(i: int) -> None:
        knots[2 * i].tell(Tie(knots[2 * i + 1]))
        knots[2 * i].tell(Tie(None))
        knots[2 * i].tell(Tie(knots[(2 * i + 3) % 6]))
        await trio.lowlevel.checkpoint()
        if i == 1:
            knots[2].kill()

    await sim.each(3, tie)
    await sim.heal_and_settle()
    alive = {cell.path for cell in sim.system.runtime.cells.values()}
    sim.sometimes("some survive", alive)
    for pair in ties:
        assert len(pair & alive) in {0, 2}, f"of {set(pair)} only {pair & alive} lives"
