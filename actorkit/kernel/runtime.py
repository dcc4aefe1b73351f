"""One node's kernel: starts and buries cells, carries signals between them, and counts what is lost.

Everything of a node hangs on its ``Runtime``; there is no process-global state, so two systems can live side by side.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from types import GeneratorType
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

import trio

from actorkit.errors import (
    AlreadyStarted,
    StartError,
    StartFailed,
    StartIgnored,
    StartTimeout,
    SystemClosed,
)
from actorkit.kernel import burial
from actorkit.kernel.actor import Actor, Props
from actorkit.kernel.address import checked_segment, child_path
from actorkit.kernel.call import died
from actorkit.kernel.cell import DEAD, Cell, State, fresh_context
from actorkit.kernel.dispatcher import Dispatcher, live
from actorkit.kernel.ending import doom, interrupt
from actorkit.kernel.events import (
    DeadLetter,
    DeadLetters,
    DeadReason,
    Events,
    UnhandledMessage,
    ZombieFenced,
)
from actorkit.kernel.exits import (
    KILLED,
    NO_ACTOR,
    Down,
    Exit,
    ExitReason,
    Monitor,
)
from actorkit.kernel.items import Signal, crash_of
from actorkit.kernel.life import EndWait, interruption_in, start_failure
from actorkit.kernel.mailbox import Mailbox
from actorkit.kernel.ref import CountingNamedRef, CountingRef, NamedRef, Ref
from actorkit.kernel.registry import Key, Registry, name_of
from actorkit.kernel.relations import Relations
from actorkit.kernel.seat import Seat
from actorkit.kernel.timekeeping import Clock
from actorkit.kernel.wait import CURRENT, ZOMBIES, Wait, Work, direct_cell
from actorkit.seams import Seams

if TYPE_CHECKING:
    from actorkit.kernel.port import NodePort

ZOMBIE_GRACE = (
    1.0  # seconds a killed actor's code may take to unwind before it is declared dead all the same
)


class StartWait(Wait):
    """Someone waits for an actor to become ready."""

    __slots__ = ("seconds", "starting")

    until_ready = True

    def __init__(self, cell: Cell | None, starting: Cell) -> None:
        super().__init__(cell, starting)
        self.starting = starting
        self.seconds: float | None = None

    def expire(self) -> None:
        """It took too long: the actor is killed, and whoever waits is told once it is gone."""
        starting, seconds = self.starting, self.seconds or 0.0
        if starting.state in (State.NEW, State.STARTING):
            if starting.waiters is not None and self in starting.waiters:
                starting.waiters.remove(self)
            starting.waiters = [
                *(starting.waiters or ()),
                _Gone(self, StartTimeout(starting.path, seconds)),
            ]
            doom(starting, KILLED)

    def let_go(self, reason: Any) -> None:
        """Whoever waits is asked to end: so is the actor that does not get ready."""
        starting = self.starting
        limit = starting.props.shutdown_limit
        _ = starting.runtime.begin_stop(starting, reason, limit=limit, kill=False)


class _Gone(Wait):
    """Resumes another wait with an error once the actor is really gone."""

    __slots__ = ("failure", "other")

    def __init__(self, other: Wait, failure: StartError) -> None:
        super().__init__(None, None)
        self.other = other
        self.failure = failure

    def resolve(self, value: Any) -> bool:
        return self.other.fail(self.failure)


class Vacant(Actor[Any]):
    """Stands for nobody in a seat that has never been taken."""

    mailbox = Mailbox()


class Runtime:
    """The kernel of one node."""

    def __init__(
        self,
        node: str,
        seams: Seams,
        *,
        audit: bool = False,
        dispatcher: Callable[[Runtime], Dispatcher] = Dispatcher,
    ) -> None:
        self.node = node
        self.seams = seams
        self.incarnation = int.from_bytes(seams.entropy.token_bytes(4), "big")
        self.events = Events()
        self.dead_letters = DeadLetters(self.events)
        self.clock = Clock(seams.clock)
        self.dispatcher = dispatcher(self)
        self.relations: Relations[Cell] = Relations()
        self.registry = Registry()
        self.context: contextvars.Context = fresh_context()
        self.cells: dict[int, Cell] = {}
        self.top: dict[str, Cell] = {}
        self.vacant: Props[Any] = Props(Vacant)
        self.closed = False
        self.interruption: BaseException | None = None
        self.on_interrupt: Callable[[], None] | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self.audited = int(audit)
        self.sent = 0
        self.forwarded = 0  # handed over for other nodes
        self.handled_by_dead = 0
        self.ref_class: type[Ref[Any]] = CountingRef if audit else Ref
        self.named_class: type[NamedRef[Any]] = CountingNamedRef if audit else NamedRef
        self._next_serial = 1
        self._burying: deque[Callable[[], None]] | None = None
        self._nobody: dict[str, Cell] = {}
        self.node_port: NodePort | None = None
        self._numbered_seats: WeakValueDictionary[int, Seat] = WeakValueDictionary()

    # Starting ----------------------------------------------------------------------------------------------------

    def new_remote_ref(self, cell: Cell) -> Ref[Any]:
        """A reference to an actor of another node."""
        ref = self.new_ref()
        ref._cell = cell
        return ref

    def new_ref(self) -> Ref[Any]:
        """A reference that points nowhere yet."""
        return self.ref_class()

    async def start(
        self,
        props: Props[Any],
        *,
        parent: Cell | None = None,
        name: str | Key[Any] | None = None,
        segment: str | None = None,
        link: bool = False,
        watch: bool = False,
        seat: Seat | None = None,
        start_timeout: float | None = None,
        node: str | None = None,
        began: Callable[[Cell], None] | None = None,
    ) -> tuple[Cell, Monitor | None]:
        """Start an actor and wait until it is ready (OTP section 2).

        Linked and watched from its first moment, if asked for. If the start fails, only the caller learns of it, and
        nothing of the actor is left. ``began`` is called with the cell before any code of the actor runs.
        """
        self._check_open(props)
        key = name_of(name) if name is not None else None
        if node is not None and node != self.node:
            return await self.port().start_there(
                node,
                props,
                parent=parent,
                name=key,
                link=link,
                watch=watch,
                seat=seat,
                start_timeout=start_timeout,
            )
        if key is not None and (held := self.registry.holder(key)) is not None:
            raise AlreadyStarted(key, held.ref)
        cell = self._new_cell(props, parent, segment or key, seat)
        if key is not None:
            self.registry.register(key, cell)
        self._enter(cell)
        monitor = None
        if parent is not None:
            if link:
                self.relations.link(parent, cell)
            if watch:
                monitor = self.relations.watch(parent, cell)
        if began is not None:
            began(cell)
        cell.start_context()
        gen = cast("GeneratorType[Any, Any, Any]", live(cell))
        cell.gen, cell.step = gen, gen.send
        self._first_step(cell)
        wait = None
        if cell.state is State.STARTING:
            wait = StartWait(None, cell)
            cell.waiters = [wait]
            await self._wait_ready(cell, wait, start_timeout)
        if not cell.ready:
            raise _failure(cell, wait)
        return cell, monitor

    def _check_open(self, props: Any) -> None:
        if self.closed:
            raise SystemClosed("the system is shutting down and starts no actors")
        if not isinstance(props, Props):
            raise TypeError(f"spawn() takes props(ActorClass, ...), got {props!r}")

    def _new_cell(
        self, props: Props[Any], parent: Cell | None, segment: str | None, seat: Seat | None
    ) -> Cell:
        serial = self._next_serial
        self._next_serial += 1
        if seat is not None:
            cell = seat.prepare(props, parent)
            cell.name = seat.segment
        else:
            siblings = (self.top if parent is None else parent.children) or {}
            name = checked_segment(segment) if segment else f"{props.cls.__name__}-{serial}"
            if segment and name in siblings:
                raise AlreadyStarted(name, siblings[name].ref)
            while name in siblings:  # somebody chose the name that was to be made up
                name += "-"
            path = child_path("/" if parent is None else parent.path, name)
            ref = self.new_ref()
            cell = Cell(self, props, path, ref, parent)
            ref._cell = cell
            cell.name = name
        cell.serial = serial
        return cell

    def _enter(self, cell: Cell) -> None:
        self.cells[cell.serial] = cell
        name = cell.name or ""
        if cell.parent is None:
            self.top[name] = cell
        else:
            if cell.parent.children is None:
                cell.parent.children = {}
            cell.parent.children[name] = cell

    def _first_step(self, cell: Cell) -> None:
        """Build the actor and run its ``started`` hook right here; an async hook is left to the dispatcher."""
        if cell.run(cell.step, None) is DEAD:
            self.release(cell)
        elif cell.ready and not cell.idle:
            self.dispatcher.push(cell)

    async def _wait_ready(self, cell: Cell, wait: StartWait, seconds: float | None) -> None:
        wait.cell = direct_cell()
        if seconds is not None:
            wait.seconds = seconds
            self.clock.expire(wait, seconds)
        self.dispatcher.push(cell)
        try:
            await wait
        finally:
            if not cell.ready:
                doom(cell, KILLED)

    # Signals -----------------------------------------------------------------------------------------------------

    def watch(self, watcher: Cell, ref: Ref[Any]) -> Monitor:
        """Let one actor hear of another's death; at once if there is nobody to watch."""
        target = self._own(ref)
        name = ref._name if isinstance(ref, NamedRef) else None
        if target is watcher:
            return self.relations.new_monitor()
        if State.STARTING <= target.state <= State.STOPPING:
            watch = self.relations.enter(watcher, target, target.name_elsewhere or name)
            target.watched(watch)
            return watch.monitor
        monitor = self.relations.new_monitor()
        address = target.address if target.serial else None
        notice = Down(monitor, ref, None if name else address, NO_ACTOR, name)
        watcher.put(Signal(notice))
        return monitor

    def link(self, cell: Cell, ref: Ref[Any]) -> None:
        """Link two actors, or say that one of them is gone."""
        other = self._own(ref)
        if State.STARTING <= other.state <= State.STOPPING:
            if self.relations.link(cell, other):
                other.linked_to(cell)
        elif cell.traps:
            cell.put(Signal(Exit(ref, other.address, NO_ACTOR)))
        else:
            raise died(other.path, NO_ACTOR)

    def _own(self, ref: Ref[Any]) -> Cell:
        cell = ref._cell
        if cell.runtime is not self:
            raise ValueError(
                f"{cell.path} lives in another system ({cell.runtime.node}); "
                "watch and link reach only actors of one's own"
            )
        return cell

    async def stop(
        self, cell: Cell, reason: ExitReason, *, limit: float | None, kill: bool
    ) -> ExitReason:
        """End an actor and wait until it is gone: in good order within ``limit`` seconds, else by force."""
        return await self.stopped(self.begin_stop(cell, reason, limit=limit, kill=kill))

    def begin_stop(
        self,
        cell: Cell,
        reason: ExitReason,
        *,
        limit: float | None,
        kill: bool,
        by: Cell | None = None,
    ) -> EndWait:
        """Tell an actor to end; ``stopped`` waits until it has. No exit signal of it reaches ``by``, who ordered it."""
        wait = EndWait(None, cell)
        wait.by = by
        if cell.elsewhere:
            cell.send_stop(wait, reason, limit=limit, kill=kill)
            return wait
        if cell.state is State.DEAD or not cell.serial:
            wait.resolve(cell.reason or NO_ACTOR)
            return wait
        cell.waiters = [*(cell.waiters or ()), wait]
        if kill:
            doom(cell, KILLED)
        else:
            interrupt(cell, reason)
            if limit is not None and not wait.done:
                self.clock.expire(wait, limit)
        return wait

    async def stopped(self, wait: EndWait) -> ExitReason:
        """Wait until an actor that was told to end is gone; returns its exit reason."""
        if not wait.done:
            wait.cell = direct_cell()
        actual: ExitReason = await wait
        return actual

    # Dying -------------------------------------------------------------------------------------------------------

    def bury(self, cell: Cell, reason: ExitReason) -> None:
        """Take a dead cell out of the house and tell everyone."""
        burial.bury(self, cell, reason)

    def turn_away(self, cell: Cell, why: DeadReason) -> None:
        """Turn away all that waits in a dead cell's mailbox."""
        burial.turn_away(self, cell, why)

    def soon(self, step: Callable[[], None]) -> None:
        """Carry out a step of a burial after those under way, so that deaths are never nested."""
        if self._burying is not None:
            self._burying.append(step)
            return
        self._burying = deque((step,))
        try:
            while self._burying:
                self._burying.popleft()()
        finally:
            self._burying = None

    def release(self, cell: Cell) -> None:
        """A dead cell's code has unwound."""
        ZOMBIES.discard(cell)
        gen, cell.gen = cell.gen, None
        if gen is not None and not gen.gi_running:
            gen.close()

    def watch_zombie(self, cell: Cell) -> None:
        """Declare a killed actor dead even if its code does not unwind within a moment."""
        if cell.timers is None:
            cell.timers = {}
        cell.timers[self.clock.set(ZOMBIE_GRACE, _ZombieCheck(cell))] = None

    def interrupted(self, error: BaseException) -> None:
        """Ctrl-C or ``SystemExit`` reached a handler: it belongs to the whole system."""
        self.interruption = error
        if self.on_interrupt is not None:
            self.on_interrupt()

    def close(self) -> None:
        """Start nothing any more, and turn away what timers set from outside have not sent yet."""
        self.closed = True
        self.clock.close()

    def roots(self) -> tuple[Cell, ...]:
        """The actors that nobody here has started, or who have outlived the one that did, in start order."""
        apart = [
            c
            for c in self.cells.values()
            if c.parent is not None and (c.parent.elsewhere or c.parent.state is State.DEAD)
        ]
        return (*self.top.values(), *apart)

    def all_cells(self) -> list[Cell]:
        """Every living cell, and those in which mail waits for the next incarnation."""
        found = dict.fromkeys(self.cells.values())
        pending = [seat for cell in found for seat in self.seats_of(cell).values()]
        while pending:
            seat = pending.pop()
            found[seat.cell] = None
            pending.extend(seat.seats.values())
        return list(found)

    # What is lost ------------------------------------------------------------------------------------------------

    def dead_letter(self, message: Any, cell: Cell, why: DeadReason) -> None:
        """Count a message that will not be handled."""
        self.dead_letters.add(DeadLetter(message, cell.path, why))

    def unhandled(self, cell: Cell, message: Any) -> None:
        """Count a message its actor has no handler for."""
        self.dead_letter(message, cell, DeadReason.UNHANDLED)
        self.events.emit(UnhandledMessage(cell.path, type(message).__qualname__))

    def late_reply(self, cell: Cell, value: Any) -> None:
        """Count a reply that nobody waits for."""
        self.dead_letters.add(DeadLetter(value, cell.path, DeadReason.LATE_REPLY))

    # Names, seats, work ------------------------------------------------------------------------------------------

    def named(self, name: str) -> Ref[Any]:
        """A reference to whoever holds a name when it is used."""
        return self.named_class(self, name)

    def holder_or_nobody(self, name: str) -> Cell:
        """Who holds a name, or a dead cell in the name's place."""
        held = self.registry.holder(name)
        if held is not None:
            return held
        nobody = self._nobody.get(name)
        if nobody is None:
            nobody = Cell(self, self.vacant, f"name:{name}", self.named(name), None)
            nobody.state = State.DEAD
            nobody.limit = -1
            nobody.reason = NO_ACTOR
            if len(self._nobody) < 1024:
                self._nobody[name] = nobody
        return nobody

    def seats_of(self, cell: Cell) -> dict[str, Seat]:
        """The seats below a cell: kept in its own seat if it has one, so they outlive its incarnations."""
        if cell.seat is not None:
            return cell.seat.seats
        if cell.seats is None:
            cell.seats = {}
        return cell.seats

    def seat(self, cell: Cell, segment: str) -> Seat:
        """The seat of that name below a cell, made if need be."""
        seats = self.seats_of(cell)
        seat = seats.get(segment)
        if seat is None:
            checked_segment(segment)
            seat = seats[segment] = Seat(self, child_path(cell.path, segment), segment)
        return seat

    def port(self) -> NodePort:
        """The door to other nodes.

        Raises:
            LookupError: this system is no node of a cluster.
        """
        if self.node_port is None:
            raise LookupError(
                f"system {self.node!r} is no node of a cluster; open it with open_node({self.node!r})"
            )
        return self.node_port

    def number_of(self, seat: Seat) -> int:
        """The number by which other nodes know a seat: out of the same count as actors' serials."""
        if not seat.number:
            seat.number = self._next_serial
            self._next_serial += 1
            self._numbered_seats[seat.number] = seat
        return seat.number

    def seat_number(self, number: int) -> Seat | None:
        """The seat with that number."""
        return self._numbered_seats.get(number)

    def by_number(self, number: int) -> Cell | None:
        """The living actor with that serial, or whoever sits in the seat with that number; None if there is nobody."""
        cell = self.cells.get(number)
        if cell is None:
            seat = self._numbered_seats.get(number)
            cell = seat.cell if seat is not None else None
        return cell

    def start_work(
        self, cell: Cell, function: Callable[..., Awaitable[object]], args: tuple[Any, ...]
    ) -> None:
        """Run a background task that belongs to an actor."""
        if cell.state is State.DEAD or cell.fenced() or self.dispatcher.nursery is None:
            raise SystemClosed(f"{cell.path} is gone and starts no background work")
        scope = trio.CancelScope()
        if cell.work is None:
            cell.work = {}
        origin = Work(cell)
        cell.work[scope] = origin
        context = self.context.copy()
        context.run(CURRENT.set, origin)
        context.run(self.dispatcher.nursery.start_soon, self._work, cell, scope, function, args)

    async def _work(
        self, cell: Cell, scope: trio.CancelScope, function: Any, args: tuple[Any, ...]
    ) -> None:
        try:
            with scope:
                await function(*args)
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001 - becomes the owner's exit reason, traceback and all
            reason = crash_of(error, None)
            interruption = interruption_in(error)
            if interruption is not None:
                self.interrupted(interruption)
            if cell.doomed is None:
                cell.leave = reason  # tells ``bury`` that the crash is the actor's own
            doom(cell, reason)
        finally:
            ZOMBIES.discard(CURRENT.get())
            if cell.work is not None:
                cell.work.pop(scope, None)


class _ZombieCheck:
    """Declares a killed actor dead if its code has not unwound."""

    __slots__ = ("cell",)

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def due(self, _: float) -> None:
        cell = self.cell
        if cell.state is not State.DEAD and cell.doomed is not None:
            cell.runtime.events.emit(ZombieFenced(cell.path, cell.address))
            cell.bury(cell.doomed)


def _failure(cell: Cell, wait: Wait | None) -> StartError:
    if wait is not None and isinstance(wait.error, StartError):
        return wait.error
    reason = cell.reason or NO_ACTOR
    declined = start_failure(reason)
    if declined is not None:
        return StartIgnored(cell.path, declined.why)
    failure = StartFailed(cell.path, reason)
    failure.__cause__ = getattr(reason, "cause", None)
    return failure
