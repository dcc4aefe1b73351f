"""One node as users see it: ``open_system``, and the ``System`` it gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, Protocol, TypeVar, TypeVarTuple, Unpack

import attrs
import trio

from actorkit.kernel.actor import Props
from actorkit.kernel.address import valid_node_name
from actorkit.kernel.call import check_unfenced, died
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.ending import exit_signal
from actorkit.kernel.events import DeadLetters, Events, Progress, Report
from actorkit.kernel.exits import NO_ACTOR, SHUTDOWN, ExitReason
from actorkit.kernel.inspection import (
    Branch,
    Inspection,
    Resume,
    Statistics,
    Status,
    Suspend,
    branch_of,
    replace_state,
    state_of,
    statistics_of,
    status_of,
)
from actorkit.kernel.ref import Ref
from actorkit.kernel.registry import Key, name_of
from actorkit.kernel.report import LogReporter, Redact
from actorkit.kernel.runtime import Runtime
from actorkit.kernel.timekeeping import TimerHandle
from actorkit.kernel.wait import check_circle, direct_cell, origin
from actorkit.kernel.watchdog import Watchdog
from actorkit.seams import Seams

M = TypeVar("M")
H = TypeVar("H")
H_co = TypeVar("H_co", covariant=True)
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

INSPECTION_TIMEOUT = 5.0


class Startable(Protocol[H_co]):
    """Something ``system.start`` can start, such as what ``supervise`` returns; it gives a handle."""

    def start_on(self, system: System, name: str | None) -> Awaitable[H_co]:
        """Start it at the top of ``system`` and return its handle."""
        ...


@attrs.frozen(slots=True)
class Conservation:
    """The books of a system: ``sent == handled + dead_letters + waiting + forwarded`` says that nothing vanished.

    What was ``forwarded`` was handed over for other nodes, and counts there as sent when it arrives. What is lost with a
    connection is in the books of neither; ``ConnectionLost`` tells how much that was.
    Only kept by a system opened with ``audit=True``. Late replies are dead letters too, but no messages, so they are
    left out here.
    """

    sent: int
    handled: int
    dead_letters: int
    waiting: int
    forwarded: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every message sent is accounted for."""
        accounted = self.handled + self.dead_letters + self.waiting + self.forwarded
        return self.sent == accounted


class System:
    """The actor runtime of one node. Open one with ``open_system``; several may live side by side.

    Code of an actor that was declared dead can look, and change nothing: what would raises ``ActorDied``, ``exit`` is
    dropped.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def name(self) -> str:
        """The node's name."""
        return self._runtime.node

    @property
    def runtime(self) -> Runtime:
        """The kernel of this node, for library code such as supervisors."""
        return self._runtime

    @property
    def events(self) -> Events:
        """What the kernel tells observers."""
        return self._runtime.events

    @property
    def dead_letters(self) -> DeadLetters:
        """The messages that were not handled, with reasons."""
        return self._runtime.dead_letters

    def now(self) -> float:
        """Seconds on the system's monotonic clock, which tests can move."""
        return self._runtime.clock.now()

    # Actors ------------------------------------------------------------------------------------------------------

    async def spawn(
        self,
        props: Props[M],
        /,
        *,
        name: str | Key[M] | None = None,
        start_timeout: float | None = None,
    ) -> Ref[M]:
        """Start a top-level actor, linked to nobody, and wait until it is ready.

        Raises:
            StartFailed, StartTimeout, StartIgnored, AlreadyStarted: see ``Context.spawn``.
            SystemClosed: the system is shutting down.
        """
        check_unfenced()
        cell, _ = await self._runtime.start(props, name=name, start_timeout=start_timeout)
        return cell.ref

    async def start(self, tree: Startable[H], /, *, name: str | None = None) -> H:
        """Start a supervision tree, children and all, and return its handle: ``start(supervise(...))``.

        Raises:
            StartFailed: a child failed to start; those started before it were stopped again.
        """
        if not hasattr(tree, "start_on"):
            raise TypeError(
                f"start() takes what supervise() returns, got {tree!r}; spawn() starts one actor"
            )
        check_unfenced()
        return await tree.start_on(self, name)

    def whereis(self, key: Key[M], /) -> Ref[M] | None:
        """Who holds a name now; None if nobody does."""
        cell = self._runtime.registry.holder(name_of(key))
        return cell.ref if cell is not None else None

    def named(self, key: Key[M], /) -> Ref[M]:
        """A reference by name: each message goes to whoever holds the name when it is sent."""
        return self._runtime.named(name_of(key))

    def names(self) -> Mapping[str, Ref[Any]]:
        """All registered names with their holders."""
        return {name: cell.ref for name, cell in self._runtime.registry.names().items()}

    def send_after(self, seconds: float, ref: Ref[M], message: M, /) -> TimerHandle:
        """Send ``message`` to whoever ``ref`` means in ``seconds`` from now; a dead letter if the system ends first."""
        check_unfenced()
        return self._runtime.clock.send_to(self._runtime, ref, seconds, message)

    def exit(self, ref: Ref[Any], reason: ExitReason, /) -> None:
        """Send an exit signal from outside: the actor ends of it, or gets an ``Exit`` if it traps them."""
        cell = ref._cell
        if not cell.fenced():
            exit_signal(cell, None, ref, reason, linked=False)

    # Looking in --------------------------------------------------------------------------------------------------

    def tree(self) -> tuple[Branch, ...]:
        """All living actors as trees, in start order; ``print(system.tree()[0])`` draws one.

        Unlinked actors that have outlived the one that started them stand at the end, as trees of their own.
        """
        return tuple(branch_of(cell) for cell in self._runtime.roots())

    def status(self, ref: Ref[Any], /) -> Status:
        """What an actor is doing, at once, even if it is busy.

        Raises:
            ActorDied: it is gone.
        """
        return status_of(_living(ref))

    def statistics(self, ref: Ref[Any], /) -> Statistics:
        """An actor's counts, at once."""
        return statistics_of(_living(ref))

    async def state_of(
        self, ref: Ref[Any], /, *, timeout: float | None = INSPECTION_TIMEOUT
    ) -> dict[str, Any]:
        """An actor's attributes, taken between two messages: a barrier for what this caller sent before.

        Raises:
            ActorDied: it is gone. TimeoutError: it did not get to it in time.
            CircularAsk: it waits, directly or not, for the actor that asks; or it is that actor.
        """
        state: dict[str, Any] = await self._inspect(ref, state_of, timeout)
        return state

    async def replace_state(
        self,
        ref: Ref[Any],
        change: Callable[[dict[str, Any]], Mapping[str, Any]],
        /,
        *,
        timeout: float | None = INSPECTION_TIMEOUT,
    ) -> Mapping[str, Any]:
        """Replace an actor's attributes by what ``change`` makes of them, between two messages.

        Raises:
            CallbackFailed: ``change`` raised; the state is as it was, and the actor lives.
            ActorDied, TimeoutError, CircularAsk: see ``state_of``.
        """
        state: Mapping[str, Any] = await self._inspect(
            ref, lambda cell: replace_state(cell, change), timeout
        )
        return state

    def suspend(self, ref: Ref[Any], /) -> None:
        """Let an actor handle no messages after the one in hand, until ``resume``; they wait in order."""
        check_unfenced()
        _living(ref).order(Suspend())

    def resume(self, ref: Ref[Any], /) -> None:
        """Let a suspended actor go on."""
        check_unfenced()
        _living(ref).order(Resume())

    async def _inspect(
        self, ref: Ref[Any], ask: Callable[[Cell], Any], timeout: float | None
    ) -> Any:
        check_unfenced()
        cell = _living(ref)
        check_circle(origin(), cell)
        wait = TimedInspection(direct_cell(), cell, ask)
        if timeout is not None:  # first, for a wrong time-out must not leave a question behind
            self._runtime.clock.expire(wait, timeout)
        if cell.suspended:
            cell.order(wait)
        else:
            cell.put(wait)
        return await wait

    # The books ---------------------------------------------------------------------------------------------------

    def conservation(self) -> Conservation:
        """Count what was sent against what became of it; needs ``open_system(audit=True)``."""
        runtime = self._runtime
        lost = sum(n for why, n in runtime.dead_letters.counts.items() if why.is_message)
        cells = runtime.all_cells()
        return Conservation(
            sent=runtime.sent,
            handled=runtime.handled_by_dead
            + sum(c.messages_handled for c in runtime.cells.values()),
            dead_letters=lost,
            waiting=sum(c.mail_count() for c in cells),
            forwarded=runtime.forwarded,
        )

    async def crashed(self) -> None:
        """The kernel itself has failed, so no actor runs any more: let go of what the system holds outside."""

    async def shutdown(self) -> None:
        """Stop all actors in good order, the youngest top-level actor first. ``open_system`` does it at the end."""
        runtime = self._runtime
        with trio.CancelScope(shield=True) as scope:
            runtime.on_failure = scope.cancel  # without carriers nobody would ever end
            while runtime.top:
                cell = next(reversed(runtime.top.values()))
                await runtime.stop(cell, SHUTDOWN, limit=cell.props.shutdown_limit, kill=False)
            while runtime.cells:  # they have outlived the actor that started them
                cell = next(reversed(runtime.cells.values()))
                await runtime.stop(cell, SHUTDOWN, limit=cell.props.shutdown_limit, kill=False)
            runtime.close()


class TimedInspection(Inspection):
    """An inspection whose asker gives up after a while."""

    __slots__ = ()

    def expire(self) -> None:
        """The actor did not get to it."""
        path = self.target.path if self.target is not None else "the actor"
        self.fail(TimeoutError(f"{path} did not get to the inspection in time"))


def _living(ref: Ref[Any]) -> Cell:
    cell = ref._cell
    if cell.elsewhere:
        raise ValueError(
            f"{ref} lives on another node; look into it from there: node.remote({cell.address.node!r})"
        )
    if cell.state in (State.DEAD, State.NEW):
        raise died(cell.path, cell.reason or NO_ACTOR)
    return cell


@asynccontextmanager
async def open_system(
    name: str = "local",
    *,
    logs: bool | Literal["progress"] = True,
    redact: Redact | None = None,
    watchdog: float | None = 1.0,
    audit: bool = False,
    seams: Seams | None = None,
) -> AsyncGenerator[System]:
    """Open an actor system for the time of an ``async with`` block, and give it as a ``System``.

    At the end of the block, or when it is cancelled or raises, all actors are stopped in good order.

    Args:
        name: the node's name.
        logs: whether to log crashes, dead letters and the like, through structlog; ``"progress"`` also logs, at level
            debug, what starts and stops.
        redact: a function of a log record's fields that may hide some of them.
        watchdog: seconds a handler may keep the CPU before it is reported; None to look away.
        audit: keep the books for ``system.conservation()``; costs a little on every message.
        seams: where time, chance, threads, network and disk come from; the real ones unless told otherwise.

    Raises:
        ValueError: the name may not name a node, or the watchdog's limit is not positive.
    """
    if not valid_node_name(name):
        raise ValueError(
            f"a node's name is letters, digits, '_' and '-', then perhaps '@host', got {name!r}"
        )
    if watchdog is not None and not watchdog > 0:
        raise ValueError(f"watchdog is a number of seconds above 0, or None, got {watchdog!r}")
    runtime = Runtime(name, seams or Seams(), audit=audit)
    async with open_runtime(runtime, logs=logs, redact=redact, watchdog=watchdog) as system:
        yield system


@asynccontextmanager
async def open_runtime(
    runtime: Runtime,
    *,
    logs: bool | Literal["progress"],
    redact: Redact | None = None,
    watchdog: float | None,
    system: System | None = None,
) -> AsyncGenerator[System]:
    """Run a node's kernel for the time of an ``async with`` block; ``open_system`` makes an ordinary one for it."""
    if logs:
        kinds = (Report, Progress) if logs == "progress" else (Report,)
        runtime.events.subscribe(LogReporter(redact), *kinds)
    system = system or System(runtime)
    engine = _Engine(runtime)
    await engine.start()
    guard = Watchdog(runtime, watchdog) if watchdog is not None else None
    if guard is not None:
        guard.start()
    body = trio.CancelScope()
    runtime.on_interrupt = runtime.on_failure = body.cancel
    try:
        with body:
            yield system
    finally:
        try:
            if engine.failed:
                await system.crashed()
            else:
                await system.shutdown()
        finally:
            if guard is not None:
                guard.stop()
            await engine.stop()
    engine.raise_failure()


class _Engine:
    """Runs a system's carriers and its clock in a trio task of their own, outside the user's nurseries."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._running = trio.Event()
        self._stopping = trio.Event()
        self._ended = trio.Event()
        self._failure: BaseException | None = None

    @property
    def failed(self) -> bool:
        """Whether the kernel itself has failed: no actor of this system runs any more."""
        return self._failure is not None

    async def start(self) -> None:
        trio.lowlevel.spawn_system_task(self._run, name="actorkit engine")
        with trio.CancelScope(shield=True):  # else nobody would stop it again
            await self._running.wait()

    async def _run(self) -> None:
        dispatcher = self._runtime.dispatcher
        try:
            async with trio.open_nursery() as nursery:
                dispatcher.nursery = nursery
                dispatcher.token = trio.lowlevel.current_trio_token()
                nursery.start_soon(self._runtime.clock.keep, name="actorkit clock")
                self._running.set()
                await self._stopping.wait()
                nursery.cancel_scope.cancel()
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001 - a fault of the kernel itself: raised where the system was opened
            self._failure = error
            self._runtime.on_failure()
        finally:
            dispatcher.nursery = None
            self._ended.set()

    async def stop(self) -> None:
        self._stopping.set()
        with trio.CancelScope(shield=True):
            await self._ended.wait()

    def raise_failure(self) -> None:
        failure = self._failure or self._runtime.interruption
        if failure is not None:
            raise failure


def run(
    main: Callable[[System, Unpack[Ts]], Awaitable[R]],
    /,
    *args: *Ts,
    clock: trio.abc.Clock | None = None,
    **options: Any,
) -> R:
    """Open a system, run ``main(system, *args)`` in it, and shut down in good order; Ctrl-C does so too.

    Args:
        main: an async function of the system.
        args: passed on to it.
        clock: a clock for trio, such as ``trio.testing.MockClock(autojump_threshold=0)``; real time without one.
        options: passed on to ``open_system``.
    """

    async def within() -> R:
        async with open_system(**options) as system:
            return await main(system, *args)

    return trio.run(within, clock=clock)
