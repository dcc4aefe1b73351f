"""Many children of one template, started and ended at any time (OTP's ``simple_one_for_one``, Elixir's DynamicSupervisor).

Children have no order: they stop all at once, under one shared limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, ParamSpec, TypeVar

import attrs

from actorkit.errors import ChildNotFound, Refused, StartError, StartIgnored
from actorkit.kernel.actor import Actor, Props, on
from actorkit.kernel.address import Address
from actorkit.kernel.exits import Exit, ExitReason, Failed, Killed, Shutdown, orderly
from actorkit.kernel.message import Request, message
from actorkit.kernel.ref import Ref
from actorkit.supervision.events import (
    ChildDidNotStart,
    ChildDidNotStop,
    ChildStarted,
    ChildTerminated,
    GaveUp,
    Offender,
)
from actorkit.supervision.plan import backoff_delay, restart_allowed, wants_restart
from actorkit.supervision.requests import ChildCounts
from actorkit.supervision.spec import Child, Flags

M = TypeVar("M")
P = ParamSpec("P")


class TooManyChildren(Refused):
    """A dynamic supervisor has ``max_children`` already; a child being restarted occupies its place."""

    def __init__(self, supervisor: str, limit: int) -> None:
        super().__init__(f"{supervisor} has {limit} children, and may have no more")
        self.limit = limit


@message
class StartDynamic(Request[Ref[M] | StartError], Generic[P, M]):
    """Start a child: the template's arguments with these added. ``P`` are those it takes, ``M`` is its vocabulary."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = attrs.field(factory=dict)


@message
class TerminateDynamic(Request[None]):
    """Stop a child and forget it."""

    ref: Ref[Any]


@message
class ListDynamic(Request[tuple[Ref[Any], ...]]):
    """List the children that run."""


@message
class CountDynamic(Request[ChildCounts]):
    """Count the children."""


@message
class RetryDynamic:
    """The moment to retry a failed restart; a supervisor tells itself."""

    segment: str


DynamicMessage = StartDynamic[P, M] | TerminateDynamic | ListDynamic | CountDynamic | RetryDynamic


@attrs.define(slots=True)
class Place:
    """One child: its arguments, and the address of its incarnation; None while it is being restarted."""

    segment: str
    props: Props[Any]
    address: Address | None = None
    streak: int = 0
    since: float = 0.0


class DynamicSupervisor(Actor[DynamicMessage[..., Any]]):
    """Keeps any number of children of one template. Made by ``supervise_dynamic``."""

    trap_exits = True

    def __init__(self, flags: Flags, template: Child[Any], max_children: int | None) -> None:
        self.flags = flags
        self.template = template
        self.max_children = max_children
        self.places: dict[str, Place] = {}
        self.at: dict[Address, Place] = {}
        self.restarts: tuple[float, ...] = ()
        self._next = 1

    async def started(self) -> None:
        """Children of an earlier incarnation end, if they have not yet, and their mail is turned away."""
        left = [seat.ref for seat in self.ctx.seats().values() if seat.occupied]
        await self.ctx.stop_children(left, limit=self.template.limit, kill=self.template.kills)
        self._drop_seats()

    def _drop_seats(self) -> None:
        for segment in list(self.ctx.seats()):
            self.ctx.drop_seat(segment)

    async def stopping(self, reason: ExitReason, /) -> None:
        """Ask all children to end at once, and kill those that have not within the shared limit."""
        await self._stop(list(self.at.values()))
        self._drop_seats()

    async def _stop(self, places: list[Place]) -> None:
        """Stop running children all at once; exit signals of those that have ended by themselves are absorbed.

        They stay linked, so that they do not outlive a supervisor that is killed meanwhile.
        """
        addresses = [place.address for place in places if place.address is not None]
        refs = [self.ctx.seat(place.segment).ref for place in places]
        limit, kill = self.template.limit, self.template.kills
        reasons = await self.ctx.stop_children(refs, limit=limit, kill=kill)
        exits = self.ctx.take_exits(self.at.keys() & addresses)
        for place, address, reason in zip(places, addresses, reasons, strict=True):
            del self.at[address]
            place.address = None
            self._report_shutdown(place, exits.get(address, reason))

    def _report_shutdown(self, place: Place, reason: ExitReason) -> None:
        killed_as_asked = isinstance(reason, Killed) and self.template.kills
        if not killed_as_asked and not orderly(reason):
            self.ctx.events.emit(ChildDidNotStop(self.ctx.path, self._offender(place), reason))

    async def exited(self, signal: Exit, /) -> None:
        """A linked actor has ended: if it is a child, restart or forget it."""
        place = self._place_at(signal)
        if place is None or self.ctx.system_ending:
            return
        place.address = None
        template = self.template
        if template.restart == "permanent" or not orderly(signal.reason):
            self.ctx.events.emit(
                ChildTerminated(self.ctx.path, self._offender(place), signal.reason)
            )
        if wants_restart(template.restart, orderly(signal.reason)):
            place.streak = (
                place.streak + 1 if self.ctx.now() - place.since <= self.flags.within else 1
            )
            await self._restart(place, first=True)
        else:
            self._forget(place)

    def _place_at(self, signal: Exit) -> Place | None:
        """Whose present incarnation an exit signal tells the end of."""
        if signal.address is None or not signal.linked:
            return None
        return self.at.pop(signal.address, None)

    @on(RetryDynamic)
    async def retry(self, msg: RetryDynamic) -> None:
        """Try a failed restart again."""
        place = self.places.get(msg.segment)
        if place is not None and place.address is None:
            await self._attempt(place)

    async def _restart(self, place: Place, *, first: bool) -> None:
        """Count a restart, then attempt it, now or later; or give up."""
        self.restarts, allowed = restart_allowed(self.restarts, self.flags, self.ctx.now())
        delay = backoff_delay(self.flags.backoff, place.streak, self.ctx.rng.random)
        if not allowed:
            self._give_up(place)
        elif first and delay == 0:
            await self._attempt(place)
        else:
            self.ctx.send_after(delay, RetryDynamic(place.segment))

    async def _attempt(self, place: Place) -> None:
        try:
            await self._start(place)
        except StartIgnored:
            self._forget(place)
        except StartError:
            if not self.ctx.told_to_stop():
                place.streak += 1
                await self._restart(place, first=False)

    def _give_up(self, place: Place) -> None:
        flags = self.flags
        self.ctx.events.emit(
            GaveUp(self.ctx.path, self._offender(place), flags.max_restarts, flags.within)
        )
        self.ctx.stop(
            Shutdown(f"more than {flags.max_restarts} restarts within {flags.within:g} s")
        )

    async def _start(self, place: Place) -> Ref[Any]:
        seat = self.ctx.seat(place.segment)
        try:
            place.address = await self.ctx.start_in(
                seat, place.props, start_timeout=self.template.start_timeout
            )
        except StartIgnored:
            raise
        except StartError as error:
            reason = getattr(error, "reason", None) or Failed(str(error))
            if not self.ctx.told_to_stop():  # which breaks a start off
                self.ctx.events.emit(ChildDidNotStart(self.ctx.path, self._offender(place), reason))
            raise
        place.since = self.ctx.now()
        self.at[place.address] = place
        if self.ctx.events.wants(ChildStarted):
            self.ctx.events.emit(ChildStarted(self.ctx.path, self._offender(place)))
        return seat.ref

    def _forget(self, place: Place) -> None:
        self.places.pop(place.segment, None)
        self.ctx.drop_seat(place.segment)

    def _offender(self, place: Place) -> Offender:
        template = self.template
        limit = "kill" if template.kills else str(template.limit)
        actor = template.props.cls.__qualname__
        return Offender(
            place.segment, f"{self.ctx.path}/{place.segment}", actor, template.restart, False, limit
        )

    @on(StartDynamic[..., Any])
    async def start_child(self, msg: StartDynamic[..., Any]) -> Ref[Any] | StartError:
        """Start a child."""
        if self.max_children is not None and len(self.places) >= self.max_children:
            raise TooManyChildren(self.ctx.path, self.max_children)
        props = self.template.props.with_arguments(*msg.args, **msg.kwargs)
        place = Place(f"{self.template.id}-{self._next}", props)
        self._next += 1
        self.places[place.segment] = place
        try:
            return await self._start(place)
        except StartError as error:
            self._forget(place)
            return error

    @on(TerminateDynamic)
    async def terminate_child(self, msg: TerminateDynamic) -> None:
        """Stop a child."""
        place = self.places.get(msg.ref.path.rsplit("/", 1)[-1])
        if place is None or self.ctx.seat(place.segment).ref is not msg.ref:
            raise ChildNotFound(self.ctx.path, msg.ref.path)
        if place.address is not None:
            await self._stop([place])
        self._forget(place)

    @on(ListDynamic)
    def which_children(self, msg: ListDynamic) -> tuple[Ref[Any], ...]:
        """List the children that run."""
        return tuple(
            self.ctx.seat(p.segment).ref for p in self.places.values() if p.address is not None
        )

    @on(CountDynamic)
    def count_children(self, msg: CountDynamic) -> ChildCounts:
        """Count the children."""
        specs = len(self.places)
        trees = specs if self.template.is_tree else 0
        return ChildCounts(specs, len(self.at), trees, specs - trees)
