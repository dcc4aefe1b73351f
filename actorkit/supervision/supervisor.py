"""The actor that carries a plan out: it starts, stops and restarts children, and answers questions about them."""

from __future__ import annotations

from typing import Any

from actorkit.errors import (
    AlreadyStarted,
    ChildNotFound,
    ChildPresent,
    ChildRestarting,
    ChildRunning,
    SpecError,
    StartError,
    StartIgnored,
    Stop,
)
from actorkit.kernel.actor import Actor, on
from actorkit.kernel.address import Address
from actorkit.kernel.exits import (
    Exit,
    ExitReason,
    Failed,
    Killed,
    Normal,
    Shutdown,
    orderly,
)
from actorkit.kernel.ref import Ref
from actorkit.kernel.seat import Seat
from actorkit.supervision import plan as planning
from actorkit.supervision.events import (
    ChildDidNotStart,
    ChildDidNotStop,
    ChildStarted,
    ChildTerminated,
    GaveUp,
    Offender,
)
from actorkit.supervision.plan import ChildStatus, Plan, Record
from actorkit.supervision.requests import (
    ChildCounts,
    ChildInfo,
    CountChildren,
    DeleteChild,
    RestartChild,
    RetryChild,
    StartChild,
    SupervisorMessage,
    TerminateChild,
    WhichChildren,
)
from actorkit.supervision.spec import (
    Child,
    Flags,
    check_child,
)


class Supervisor(Actor[SupervisorMessage]):
    """Keeps children alive as its flags say. Made by ``supervise``."""

    trap_exits = True

    def __init__(self, flags: Flags, children: tuple[Child[Any], ...]) -> None:
        self.plan = Plan(flags)
        self.specs: dict[str, Child[Any]] = {}
        self.living: dict[str, Address] = {}
        self._initial = children

    # Its life ----------------------------------------------------------------------------------------------------

    async def started(self) -> None:
        """Start the children in order; if one fails, stop those before it and end (OTP 5.4)."""
        for child in self._initial:
            self._adopt(child)
            self._seat(child)  # all seats first: a child may ask for a sibling's reference
        for child in self._initial:
            if self.ctx.told_to_stop():
                await self._stop_all()
                raise Stop(Shutdown("told to stop before all children had started"))
            try:
                await self._start(child)
            except StartError as error:
                await self._stop_all()
                raise Stop(Shutdown(f"child {child.id!r} did not start: {_why(error)}")) from error
        self._close_seats_of_others()

    async def stopping(self, reason: ExitReason, /) -> None:
        """Stop the children in reverse order, each within its limit."""
        await self._stop_all()

    async def exited(self, signal: Exit, /) -> None:
        """A linked actor has ended: if it is a child, decide what to do."""
        child = self._child_at(signal)
        if child is None or self.ctx.system_ending:
            return
        del self.living[child.id]
        if child.restart == "permanent" or not orderly(signal.reason):
            self.ctx.events.emit(
                ChildTerminated(self.ctx.path, self._offender(child), signal.reason)
            )
        outcome = planning.died(
            self.plan, child.id, orderly(signal.reason), self.ctx.now(), self.ctx.rng.random
        )
        await self._carry_out(outcome, child)
        self._close_idle_seats()

    @on(RetryChild)
    async def retry_child(self, msg: RetryChild) -> None:
        """Try a failed restart again."""
        child = self.specs.get(msg.id)
        if child is not None:
            await self._carry_out(planning.retry(self.plan, msg.id, msg.ticket), child)

    async def _carry_out(self, outcome: planning.Outcome, child: Child[Any]) -> None:
        self.plan, directives = outcome
        for directive in directives:
            match directive:
                case planning.Stop(ids=ids):
                    for each in ids:
                        await self._stop(self.specs[each])
                case planning.Start(ids=ids):
                    await self._start_group(ids)
                case planning.Retry(id=retried, ticket=ticket, delay=delay):
                    self.ctx.send_after(delay, RetryChild(retried, ticket))
                case planning.Forget(ids=ids):
                    self._forget(ids)
                case planning.GiveUp():
                    self._give_up(child)
                case planning.ShutDown(id=significant):
                    self.ctx.stop(Shutdown(f"significant child {significant!r} ended"))

    async def _start_group(self, ids: tuple[str, ...]) -> None:
        for each in ids:
            if self.ctx.told_to_stop():
                return
            child = self.specs[each]
            try:
                await self._start(child)
            except StartError:
                if self.ctx.told_to_stop():
                    return
                outcome = planning.start_failed(
                    self.plan, each, self.ctx.now(), self.ctx.rng.random
                )
                await self._carry_out(outcome, child)
                return

    def _give_up(self, child: Child[Any]) -> None:
        flags = self.plan.flags
        self.ctx.events.emit(
            GaveUp(self.ctx.path, self._offender(child), flags.max_restarts, flags.within)
        )
        self.ctx.stop(
            Shutdown(f"more than {flags.max_restarts} restarts within {flags.within:g} s")
        )

    # Children ----------------------------------------------------------------------------------------------------

    def _adopt(self, child: Child[Any]) -> None:
        self.specs[child.id] = child
        self.plan = planning.add(self.plan, Record(child.id, child.restart, child.significant))

    def _seat(self, child: Child[Any]) -> Seat:
        return self.ctx.seat(child.id)

    async def _start(self, child: Child[Any]) -> Ref[Any]:
        """Start a child in its seat; one that declines is left stopped."""
        seat = self._seat(child)
        if seat.occupied:  # by one that outlived the previous incarnation of this supervisor
            await self.ctx.stop_child(seat.ref, limit=child.limit, kill=child.kills)
        try:
            address = await self.ctx.start_in(
                seat,
                child.props,
                name=child.name,
                start_timeout=child.start_timeout,
                node=self._place(child),
            )
        except StartIgnored:
            self._declined(child)
            return seat.ref
        except StartError as error:
            reason = getattr(error, "reason", None) or Failed(str(error))
            if not self.ctx.told_to_stop():  # which breaks a start off
                self.ctx.events.emit(ChildDidNotStart(self.ctx.path, self._offender(child), reason))
            raise
        self.living[child.id] = address
        self.plan = planning.started(self.plan, child.id, self.ctx.now())
        if self.ctx.events.wants(ChildStarted):
            self.ctx.events.emit(ChildStarted(self.ctx.path, self._offender(child)))
        return seat.ref

    def _place(self, child: Child[Any]) -> str | None:
        """The node a child is to be started on now: the first of its nodes that is up."""
        if child.node is None or isinstance(child.node, str):
            return child.node
        return next(filter(self.ctx.is_up, child.node), child.node[0])

    def _declined(self, child: Child[Any]) -> None:
        if child.restart == "temporary":
            self.plan = planning.remove(self.plan, (child.id,))
            self._forget((child.id,))
        else:
            self.plan = planning.mark(self.plan, (child.id,), ChildStatus.STOPPED)
            self._seat(child).close()

    async def _stop(self, child: Child[Any]) -> None:
        """Stop a running child; if it has ended by itself, its exit signal is absorbed (OTP 5.12).

        It stays linked, so that it does not outlive a supervisor that is killed meanwhile.
        """
        address = self.living.pop(child.id)
        ref = self._seat(child).ref
        reason = await self.ctx.stop_child(ref, limit=child.limit, kill=child.kills)
        reason = self.ctx.take_exits((address,)).get(address, reason)
        if not _as_asked(child, reason):
            self.ctx.events.emit(ChildDidNotStop(self.ctx.path, self._offender(child), reason))

    async def _stop_all(self) -> None:
        for each in planning.stop_order(self.plan):
            await self._stop(self.specs[each])
            self.plan = planning.mark(self.plan, (each,), ChildStatus.STOPPED)

    def _forget(self, ids: tuple[str, ...]) -> None:
        seats = self.ctx.seats()
        for each in ids:
            self.specs.pop(each, None)
            if each in seats:
                self.ctx.drop_seat(each)

    def _close_seats_of_others(self) -> None:
        """Mail for children that an earlier incarnation had, and this one has not, is turned away."""
        for segment in list(self.ctx.seats()):
            if segment not in self.specs:
                self.ctx.drop_seat(segment)

    def _close_idle_seats(self) -> None:
        """Mail waits only where a start is to come."""
        awaited = planning.awaited(self.plan)
        for record in self.plan.children:
            if record.id not in awaited:
                self.ctx.seat(record.id).close()

    def _child_at(self, signal: Exit) -> Child[Any] | None:
        """Whose present incarnation an exit signal tells the end of."""
        found = (child for child, address in self.living.items() if address == signal.address)
        child = next(found, None) if signal.linked else None
        return self.specs[child] if child is not None else None

    def _offender(self, child: Child[Any]) -> Offender:
        limit = "kill" if child.kills else str(child.limit)
        path = f"{self.ctx.path}/{child.id}"
        actor = child.props.cls.__qualname__
        return Offender(child.id, path, actor, child.restart, child.significant, limit)

    # What can be asked of it -------------------------------------------------------------------------------------

    def _record(self, child: str) -> Record:
        record = self.plan.find(child)
        if record is None:
            raise ChildNotFound(self.ctx.path, child)
        return record

    def _require_stopped(self, child: str) -> None:
        match self._record(child).status:
            case ChildStatus.RUNNING:
                raise ChildRunning(self.ctx.path, child)
            case ChildStatus.RESTARTING:
                raise ChildRestarting(self.ctx.path, child)
            case ChildStatus.STOPPED:
                pass

    @on(StartChild)
    async def start_child(self, msg: StartChild) -> Ref[Any] | StartError | SpecError:
        """Add a child."""
        child = msg.child
        try:
            check_child(self.plan.flags, child)
        except SpecError as error:
            return error
        present = self.plan.find(child.id)
        if present is not None:
            if present.status is ChildStatus.RUNNING:
                return AlreadyStarted(child.id, self._seat(self.specs[child.id]).ref)
            raise ChildPresent(self.ctx.path, child.id)
        self._adopt(child)
        try:
            return await self._start(child)
        except StartError as error:
            self.plan = planning.remove(self.plan, (child.id,))
            self._forget((child.id,))
            return error

    @on(TerminateChild)
    async def terminate_child(self, msg: TerminateChild) -> None:
        """Stop a child."""
        record, child = self._record(msg.id), self.specs[msg.id]
        if record.status is ChildStatus.RUNNING:
            await self._stop(child)
        if child.restart == "temporary":
            self.plan = planning.remove(self.plan, (child.id,))
            self._forget((child.id,))
        else:
            self.plan = planning.mark(self.plan, (child.id,), ChildStatus.STOPPED)
            self._close_idle_seats()

    @on(RestartChild)
    async def restart_child(self, msg: RestartChild) -> Ref[Any] | StartError:
        """Start a stopped child."""
        self._require_stopped(msg.id)
        try:
            return await self._start(self.specs[msg.id])
        except StartError as error:
            self._close_idle_seats()
            return error

    @on(DeleteChild)
    def delete_child(self, msg: DeleteChild) -> None:
        """Drop a stopped child."""
        self._require_stopped(msg.id)
        self.plan = planning.remove(self.plan, (msg.id,))
        self._forget((msg.id,))

    @on(WhichChildren)
    def which_children(self, msg: WhichChildren) -> tuple[ChildInfo, ...]:
        """List the children."""
        return tuple(
            ChildInfo(
                r.id,
                self.ctx.seat(r.id).ref,
                r.status,
                r.restart,
                self.specs[r.id].is_tree,
            )
            for r in self.plan.children
        )

    @on(CountChildren)
    def count_children(self, msg: CountChildren) -> ChildCounts:
        """Count the children."""
        active = sum(r.status is ChildStatus.RUNNING for r in self.plan.children)
        trees = sum(child.is_tree for child in self.specs.values())
        return ChildCounts(len(self.specs), active, trees, len(self.specs) - trees)


def _why(error: StartError) -> str:
    return str(getattr(error, "reason", None) or error)


def _as_asked(child: Child[Any], reason: ExitReason) -> bool:
    """Whether a child that was stopped ended as it was asked to (OTP 5.12)."""
    match reason:
        case Killed():
            return child.kills
        case Shutdown():
            return True
        case Normal():
            return child.restart != "permanent"
        case _:
            return False
