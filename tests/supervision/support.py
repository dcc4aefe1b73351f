"""Workers that a test can direct, and a record of what their supervisors did.

A ``Stage`` hands out child specifications. Each has a ``Role``, which outlives the child's incarnations: it says how the
coming starts go and how long an end takes. ``stage.log`` lists, in order, what happened: ``start a`` (an attempt to start),
``stop a`` and ``gone a`` (its ``stopping`` hook began and ended).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any, Literal, TypeVar

import attrs
import trio

import actorkit as ak
from tests.harness import settle

E = TypeVar("E")
Step = Literal["ok", "fail", "ignore", "hang"] | float
FOREVER = math.inf


class Boom(Exception):
    """The failure a worker has when it is told to."""


@ak.message
class Crash:
    """Raise."""


@ak.message
class End:
    """End in good order, for a reason."""

    reason: ak.ExitReason = ak.Normal()


@ak.message
class Note:
    """Remember a number."""

    number: int


@ak.message
class Notes(ak.Request[tuple[int, ...]]):
    """The numbers this incarnation remembers, in order."""


@ak.message
class Nap:
    """Sleep: on actorkit's clock, or on trio's, which pins the actor to its carrier."""

    seconds: float
    on_trio: bool = False


@ak.message
class Think(ak.Request[int]):
    """Sleep, then answer with the incarnation's number, from 1 up."""

    seconds: float = 0.0


@ak.message
class Consult(ak.Request[int]):
    """Ask a colleague to think, and answer with its answer."""

    colleague: ak.Ref[Think]
    seconds: float = 0.0


WorkerMessage = Crash | End | Note | Notes | Nap | Think | Consult


@attrs.define(eq=False)
class Role:
    """What the incarnations of one worker do.

    Attributes:
        starts: how the coming starts go, one after the other: fine, failing, declining, never ready, or taking so many
            seconds. When it is used up they are fine.
        ending: seconds that ``stopping`` takes.
        fails_to_end: whether ``stopping`` raises.
        incarnations: how many starts were tried.
    """

    id: str
    log: list[str]
    starts: Iterator[Step]
    ending: float = 0.0
    fails_to_end: bool = False
    incarnations: int = 0


class Worker(ak.Actor[WorkerMessage]):
    """Plays a role."""

    def __init__(self, role: Role, *args: object) -> None:
        self.role = role
        self.args = args
        self.notes: list[int] = []
        role.incarnations += 1
        self.number = role.incarnations

    async def started(self) -> None:
        self.role.log.append(f"start {self.role.id}")
        step = next(self.role.starts, "ok")
        if step == "fail":
            raise Boom(f"{self.role.id} fails to start")
        if step == "ignore":
            raise ak.Ignore
        if step == "hang":
            await trio.sleep_forever()
        if isinstance(step, float):
            await self.ctx.sleep(step)

    async def stopping(self, reason: ak.ExitReason) -> None:
        self.role.log.append(f"stop {self.role.id}")
        if self.role.fails_to_end:
            raise Boom(f"{self.role.id} fails to end")
        if self.role.ending:
            await trio.sleep(self.role.ending)
        self.role.log.append(f"gone {self.role.id}")

    @ak.on(Crash)
    def crash(self, msg: Crash) -> None:
        raise Boom(f"{self.role.id} crashes")

    @ak.on(End)
    def end(self, msg: End) -> None:
        self.ctx.stop(msg.reason)

    @ak.on(Note)
    def note(self, msg: Note) -> None:
        self.notes.append(msg.number)

    @ak.on(Notes)
    def tell_notes(self, msg: Notes) -> tuple[int, ...]:
        return tuple(self.notes)

    @ak.on(Nap)
    async def nap(self, msg: Nap) -> None:
        if msg.on_trio:
            await trio.sleep(msg.seconds)
        else:
            await self.ctx.sleep(msg.seconds)

    @ak.on(Think)
    async def think(self, msg: Think) -> int:
        await self.ctx.sleep(msg.seconds)
        return self.number

    @ak.on(Consult)
    async def consult(self, msg: Consult) -> int:
        return await msg.colleague.ask(Think(msg.seconds), timeout=None)


class TrappingWorker(Worker):
    """A worker to which exit signals are messages, so that it ends in good order even if its supervisor is killed."""

    trap_exits = True


@ak.message
class Hurt:
    """Send one's supervisor an exit signal."""


@ak.message
class Complain(ak.Request[int]):
    """Ask one's supervisor how many children it has."""


class Rebel(ak.Actor[Hurt | Complain]):
    """A child that turns to its own supervisor, if asked to, or as it starts."""

    def __init__(self, doors: Sequence[ak.SupervisorRef] = (), *, at_once: bool = False) -> None:
        self.doors = doors
        self.at_once = at_once

    async def started(self) -> None:
        if self.at_once:
            await self.doors[0].count_children()

    @ak.on(Hurt)
    def hurt(self, msg: Hurt) -> None:
        assert self.ctx.parent is not None
        self.ctx.exit(self.ctx.parent, ak.Failed("hurt by its child"))

    @ak.on(Complain)
    async def complain(self, msg: Complain) -> int:
        return (await self.doors[0].count_children()).active


class Stage:
    """The workers of one test."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.roles: dict[str, Role] = {}

    def role(
        self, who: str, starts: Iterable[Step] = (), ending: float = 0.0, fails_to_end: bool = False
    ) -> Role:
        """The role of a new worker."""
        role = self.roles[who] = Role(who, self.log, iter(starts), ending, fails_to_end)
        return role

    def child(
        self,
        who: str,
        *,
        starts: Iterable[Step] = (),
        ending: float = 0.0,
        fails_to_end: bool = False,
        trap: bool = False,
        **options: Any,
    ) -> ak.Child[WorkerMessage]:
        """A child that plays a new role; ``options`` are those of ``Child``."""
        role = self.role(who, starts, ending, fails_to_end)
        return ak.Child(who, ak.props(TrappingWorker if trap else Worker, role), **options)

    def news(self) -> list[str]:
        """What happened since this was last asked."""
        news = self.log.copy()
        self.log.clear()
        return news


def always(step: Step) -> Iterator[Step]:
    """Every coming start goes like this."""
    return repeat(step)


def at_first(*steps: Step, then: Step) -> Iterator[Step]:
    """The coming starts go like these, all later ones like ``then``."""
    return chain[Step](steps, repeat(then))


def record(system: ak.System, *kinds: type[E]) -> list[E]:
    """A list that fills with the events of some classes."""
    events: list[E] = []
    system.events.subscribe(events.append, *kinds)
    return events


def incarnation(ref: ak.Ref[Any]) -> int:
    """Which incarnation a reference means at present: equal as long as nobody restarts it."""
    assert ref.alive, f"{ref} is not alive"
    return ref.address.serial


async def crash(ref: ak.Ref[Crash]) -> None:
    """Let an actor crash, and let its supervisor do what it does about it."""
    ref.tell(Crash())
    await settle()


async def end(ref: ak.Ref[End], reason: ak.ExitReason) -> None:
    """Let an actor end in good order, and let its supervisor do what it does about it."""
    ref.tell(End(reason))
    await settle()


async def kill(*refs: ak.Ref[Any]) -> None:
    """Kill actors at the same moment, and let their supervisors do what they do about it."""
    for ref in refs:
        ref.kill()
    await settle()


async def statuses(supervisor: ak.SupervisorRef) -> dict[str, str]:
    """The children's status by id, in start order."""
    return {info.id: info.status.value for info in await supervisor.which_children()}
