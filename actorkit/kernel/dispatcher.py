"""Runs ready cells on a few trio tasks. The hot path of actorkit lives here, in ``live`` and ``Dispatcher.turn``.

An actor is not a task. Ready cells stand in one run queue; carriers (trio tasks) take them in turn and step their
generators. The generator handles a batch of messages and then yields one of our sentinels:

    IDLE   the mailbox is empty; whoever sends next puts the cell back in the run queue
    MORE   the batch is used up; the cell goes to the end of the run queue
    PARK   the handler waits for something of ours; whatever resumes it puts the cell back in the run queue
    DEAD   the actor has ended

Anything else it yields is a trap of trio's. The carrier forwards it and stays with this cell (it is *pinned*) until the
handler is done with trio; another carrier takes the run queue over.

The invariant: if the run queue is not empty, a carrier is running or has been woken (``awake``). Every path on which a
carrier stops looking at the queue checks it: pinning, ending, going idle.
"""

from __future__ import annotations

import threading
import types
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from actorkit.errors import Refused, Stop
from actorkit.kernel.call import Call
from actorkit.kernel.cell import DEAD, RING, Cell, Leave, State
from actorkit.kernel.exits import KILLED, NORMAL
from actorkit.kernel.items import ROOM, crash_of
from actorkit.kernel.life import (
    attend_or_other,
    begin,
    broken_off,
    call_other,
    refused,
    run_stopping,
    tell_other,
)
from actorkit.kernel.wait import PARK, Carrier, Sentinel

if TYPE_CHECKING:
    from actorkit.kernel.runtime import Runtime

IDLE = Sentinel("IDLE")
MORE = Sentinel("MORE")

BATCH = 64  # messages one actor may handle at most before others get their turn
LOOKS = 64  # looks at the clock after which trio gets its turn, even if no time has passed
STRIDE = 16  # cells between two looks at the clock, at most
SLICE = 0.001  # seconds after which trio gets its turn
SPARE_CARRIERS = 128  # idle carriers kept for the next pinned actors

_MASK = RING - 1


@trio.lowlevel.enable_ki_protection  # the kernel's books are never torn; see actor.open_to_interrupts
@types.coroutine
def live(cell: Cell) -> Generator[Any, Any, None]:  # noqa: C901, PLR0912, PLR0915 - every call costs
    """The life of one actor, stepped by carriers inside the cell's context."""
    handler_of = cell.table.get
    item: Any = None
    held: Any = IDLE
    reason: Any = KILLED
    seq = 0
    try:
        actor: Any = yield from begin(cell)
        if not cell.queue and not cell.crowded:
            cell.idle = True
            yield IDLE
        else:  # its start was a turn; and on its spawner's stack is no place to handle mail
            yield MORE
        queue = cell.open_mail()
        popleft = queue.popleft
        ring = cell.ring = [None] * RING
        last = cell.batch
        while True:
            try:
                while True:
                    if not queue:
                        item = None
                        cell.handled = seq
                        last = seq + cell.batch
                        if cell.crowded:
                            cell.relieve()
                            if queue:
                                continue
                        cell.idle = True
                        yield IDLE
                        continue
                    item = popleft()
                    seq += 1
                    cls = type(item)
                    ring[seq & _MASK] = cls
                    entry = handler_of(cls)
                    if entry is not None:
                        if entry[1] == 1:
                            yield from entry[0](actor, item)
                        elif entry[1] == 0:
                            entry[0](actor, item)
                        else:
                            yield from tell_other(cell, entry, item)
                    elif cls is Call:
                        message = item.message
                        cls = type(message)
                        ring[seq & _MASK] = cls
                        entry = handler_of(cls)
                        cell.call = item
                        if entry is None or entry[1] > 1:
                            yield from call_other(cell, item)
                        else:
                            if entry[1] == 1:
                                value = yield from entry[0](actor, message)
                            else:
                                value = entry[0](actor, message)
                            if cell.leave is not None:
                                held = value  # goes out after ``stopping`` has run (OTP 3.5)
                                raise Leave
                            cell.call = None
                            if not item.resolve(value):
                                cell.runtime.late_reply(cell, value)
                    else:
                        yield from attend_or_other(cell, item, cls, seq)
                        if item is ROOM:  # the place behind it is given away: take it now
                            continue
                    if seq >= last and cell.doomed is None:  # the doomed go on to their end
                        cell.handled = seq
                        last = seq + cell.batch
                        if cell.crowded:
                            cell.relieve()
                        yield MORE
            except Refused as refusal:
                refused(cell, item, refusal)
            if seq >= last and cell.doomed is None:  # as above: a refusal is a turn, too
                cell.handled = seq
                last = seq + cell.batch
                if cell.crowded:
                    cell.relieve()
                yield MORE
    except Leave:
        reason = cell.leave or NORMAL
    except Stop as stop:
        reason = stop.reason
    except GeneratorExit:
        raise
    except Exception as error:  # noqa: BLE001 - the one place where a crash becomes an exit reason
        reason = crash_of(error, item)
    except BaseException as error:  # noqa: BLE001 - our ActorExit, trio's Cancelled, KeyboardInterrupt
        reason = broken_off(cell, error, item)
    cell.handled = max(seq, cell.handled)
    if cell.pinned and cell.doomed is None:
        yield MORE  # this carrier's scope may be cancelled: ``stopping`` needs another
    if cell.doomed is None:
        reason = yield from run_stopping(cell, reason)
        if held is not IDLE and cell.call is not None and cell.doomed is None:
            call, cell.call = cell.call, None
            call.resolve(held)
    cell.bury(cell.doomed or reason)
    yield DEAD


class Dispatcher:
    """The run queue of a node and the carriers that serve it."""

    __slots__ = (
        "_home",
        "_idle",
        "_runtime",
        "_stride",
        "_turn_ends",
        "awake",
        "enqueue",
        "nursery",
        "pinned",
        "ready",
        "running",
        "token",
        "turns",
    )

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._home = threading.get_ident()
        self.ready: deque[Cell] = deque()
        self.enqueue = self.push  # one bound method for all cells
        self.awake = False
        self.nursery: trio.Nursery | None = None
        self.token: trio.lowlevel.TrioToken | None = None
        self._idle: list[trio.lowlevel.Task] = []
        self._stride = 1
        self._turn_ends: list[Callable[[], None]] = []
        self.pinned = 0
        # For the watchdog, which reads them from its own thread.
        self.running: Cell | None = None
        self.turns = 0

    def push(self, cell: Cell) -> None:
        """Put a cell at the end of the run queue."""
        self.ready.append(cell)
        if not self.awake:
            self.wake()

    def at_turn_end(self, step: Callable[[], None]) -> None:
        """Do something once the turn under way is over, or soon if none is: what a turn has sent goes out in one piece."""
        self._turn_ends.append(step)
        if not self.awake:
            self.wake()

    def lend_turn(
        self, carrier: Carrier, bring: Callable[[Any], None], work: Any
    ) -> tuple[Cell, Any] | None:
        """Let a task that is no carrier bring work, and serve it at once, in one turn; no carrier may be at work.

        If a cell then waits on trio, returns it with its trap: the task must ``stay_with`` it.
        """
        self.awake = True  # nobody need be woken
        stuck = None
        try:
            bring(work)
            stuck = self.turn(carrier)
            self._runtime.clock.stamp()
            if self._turn_ends:
                self._end_turn()
        finally:
            self.awake = False
            self._serve()
        return stuck

    async def stay_with(self, carrier: Carrier, cell: Cell, trap: Any) -> None:
        """Stay with a cell that waits on trio, in a task that is no carrier, until it is done with that."""
        await self._pin(carrier, cell, trap)
        self._runtime.clock.stamp()
        self._serve()

    def _end_turn(self) -> None:
        while self._turn_ends:  # a step may add others
            steps, self._turn_ends = self._turn_ends, []
            for step in steps:
                step()

    def wake(self) -> None:
        """Get a carrier to look at the run queue.

        Raises:
            RuntimeError: another thread called. Here a look at the thread costs next to nothing, on every message it would
                not; so a thread is found out if the system rests, and does damage if it does not.
        """
        if threading.get_ident() != self._home:
            self._refuse_thread()
        if self._idle:
            self.awake = True
            trio.lowlevel.reschedule(self._idle.pop())
        elif self.nursery is not None:
            self.awake = True
            self.nursery.start_soon(self.carry, name="actorkit carrier")

    def _refuse_thread(self) -> NoReturn:
        """Another thread has put a cell into the run queue: have it served all the same, and say what is wrong."""
        if self.token is not None:
            self.token.run_sync_soon(self._serve)
        raise RuntimeError(
            f"an actor of system {self._runtime.node!r} was reached from another thread than the system's own; "
            "go through a Portal there: portal.tell(ref, message), portal.ask(ref, request)"
        )

    def _serve(self) -> None:
        if (self.ready or self._turn_ends) and not self.awake:
            self.wake()

    def turn(self, carrier: Carrier) -> tuple[Cell, Any] | None:
        """Step ready cells until the slice is used up, or one yields a trap of trio's: then return both.

        The clock is looked at now and then, and the more often the slower the handlers are; an actor whose handlers are
        slow gets smaller batches, down to one message. So trio waits for a slice and one handler, not for a batch.
        """
        ready = self.ready
        popleft = ready.popleft
        seen = trio.current_time()
        until = seen + SLICE
        looks, stride = LOOKS, self._stride
        steps = stride
        try:
            while ready:
                cell = popleft()
                cell.carrier = carrier
                self.running = cell
                trap = cell.run(cell.step, None)
                steps -= 1
                if trap is MORE:
                    ready.append(cell)
                    took, steps = trio.current_time() - seen, 0
                    cell.batch = (
                        max(1, cell.batch >> 2) if took > SLICE else min(BATCH, cell.batch << 1)
                    )
                elif trap is DEAD:
                    _release(cell)
                elif trap is not IDLE and trap is not PARK:
                    return cell, trap
                if not steps:
                    now = trio.current_time()
                    looks -= 1
                    if now > until or not looks:
                        break
                    stride = 1 if now - seen > SLICE / 8 else min(STRIDE, stride << 1)
                    seen, steps = now, stride
                    self.turns += 1
        finally:
            self.running = None
            self._stride = stride
            self.turns += 1
        return None

    @trio.lowlevel.enable_ki_protection  # its task is not a system task: trio would not spare it
    async def carry(self) -> None:
        """A carrier: serves the run queue until there are idle carriers enough."""
        task = trio.lowlevel.current_task()
        with trio.CancelScope() as scope:
            carrier = Carrier(task, scope)
            self.awake = True
            while True:
                stuck = self.turn(carrier)
                self._runtime.clock.stamp()
                if self._turn_ends:
                    self._end_turn()
                if stuck is not None:
                    await self._pin(carrier, *stuck)
                    if scope.cancel_called:
                        self._runtime.clock.stamp()  # what its cleanup asked counts from here
                        break
                    if self.awake and not await self._rest(task):
                        return  # another carrier serves the queue
                    self.awake = True
                elif self.ready:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                else:
                    self.awake = False
                    if not await self._rest(task):
                        return
                    self.awake = True
        self._serve()

    async def _rest(self, task: trio.lowlevel.Task) -> bool:
        """Wait to be woken; False if there are idle carriers enough, and this one may end."""
        if len(self._idle) >= SPARE_CARRIERS:
            return False
        self._idle.append(task)

        def abort(_: Any) -> trio.lowlevel.Abort:
            self._idle.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        return True

    async def _pin(self, carrier: Carrier, cell: Cell, trap: Any) -> None:
        """Stay with a cell that waits on trio, while others are served by another carrier."""
        self.awake = False
        self._serve()
        cell.pinned = True
        self.pinned += 1
        try:
            trap = await self._pump(carrier, cell, trap)
        finally:
            self.pinned -= 1
            cell.pinned = False
        if trap is DEAD or cell.state is State.DEAD:  # it may have been declared dead meanwhile
            _release(cell)
        elif trap is MORE:
            self.push(cell)

    @types.coroutine
    def _pump(self, carrier: Carrier, cell: Cell, trap: Any) -> Generator[Any, Any, Any]:
        """Forward traps to trio and what comes back to the cell, until the cell yields one of our sentinels."""
        gen = cell.gen
        if gen is None:
            return DEAD
        send, throw, run, scope = gen.send, gen.throw, cell.run, carrier.scope
        while True:
            if cell.doomed is not None and scope is not None and not scope.cancel_called:
                scope.cancel()  # its own code doomed it, or it is being unwound
                cell.runtime.watch_zombie(cell)
            try:
                value = yield trap
            except BaseException as error:  # noqa: BLE001 - forwarded to the handler, whatever it is
                trap = self._step(run, throw, error, cell)
            else:
                trap = self._step(run, send, value, cell)
            if type(trap) is Sentinel:
                return trap

    def _step(
        self, run: Callable[..., Any], step: Callable[[Any], Any], value: Any, cell: Cell
    ) -> Any:
        self.running = cell
        try:
            return run(step, value)
        finally:
            self.running = None
            self.turns += 1


def _release(cell: Cell) -> None:
    """Let go of a dead cell's generator and of its place among the fenced."""
    gen, cell.gen = cell.gen, None
    if gen is not None:
        gen.close()
    cell.runtime.release(cell)
