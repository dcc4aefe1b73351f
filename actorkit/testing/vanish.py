"""kill -9 of a node in a simulation: its actors are gone between two steps, and nobody is told.

No ``stopping`` hook runs, no ``Down`` or ``Exit`` is sent, no book is closed. Python cannot leave a suspended function where
it stands for ever without unwinding it, so ``finally`` blocks do run; but nothing they do reaches anybody: what they tell
is fenced, what they await fails, their host's network and disks are those of a dead process.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import trio

from actorkit.kernel.call import died
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.exits import KILLED, NO_CONNECTION
from actorkit.kernel.items import NO_MAIL
from actorkit.kernel.registry import Registry
from actorkit.kernel.relations import Relations
from actorkit.kernel.runtime import Runtime
from actorkit.kernel.wait import ZOMBIES, Wait
from actorkit.testing.trio_internals import waits_in

Task = trio.lowlevel.Task


def vanish(runtime: Runtime, outsiders: Iterable[Task]) -> None:
    """Let a kernel be dead from now on, as if its process had been killed.

    Args:
        runtime: the kernel; its carriers are for the caller to cancel.
        outsiders: tasks of other processes, such as the test's own: what they wait for in this kernel fails.
    """
    cells = runtime.all_cells()
    calls = [call for cell in cells for call in _requests(cell)]
    runtime.closed = True
    runtime.cells.clear()
    runtime.top.clear()
    runtime.registry, runtime.relations = Registry(), Relations()
    runtime.clock.heap.drain()
    for cell in cells:
        _fall_silent(cell)
    for cell in cells:
        _unwind(cell)
    _let_go(runtime, outsiders, calls)


def _requests(cell: Cell) -> Iterator[object]:
    """The requests an actor has put off, or is busy with: they no longer say whom they wait for."""
    yield from cell.deferred or ()
    if cell.call is not None:
        yield cell.call


def _fall_silent(cell: Cell) -> None:
    """As the kernel leaves a dead actor, without telling anybody."""
    if cell.doomed is None:
        cell.doomed = KILLED
    cell.state, cell.reason = State.DEAD, cell.doomed
    cell.limit, cell.idle = -1, False
    cell.queue, cell.control, cell.senders = NO_MAIL, None, None
    cell.waiters = cell.call = cell.deferred = cell.timers = cell.idle_timer = None
    cell.actor = None
    work, cell.work = cell.work, None
    for scope, origin in (work or {}).items():
        ZOMBIES.add(origin)
        scope.cancel()


def _unwind(cell: Cell) -> None:
    """Take its code down. What waits on trio unwinds when its carrier is cancelled."""
    gen = cell.gen
    if gen is None:
        return
    ZOMBIES.add(cell)
    if cell.pinned or gen.gi_running:
        cell.carrier.task = None  # nothing it awaits is direct from now on
        return
    waiting, cell.waiting = cell.waiting, None
    if isinstance(waiting, Wait):
        waiting.done = True
        waiting.cancelled()
    try:
        cell.run(gen.close)
    except Exception:  # noqa: BLE001 - whatever the last words of the dead are, nobody hears them
        pass
    cell.gen = None
    ZOMBIES.discard(cell)


def _let_go(runtime: Runtime, outsiders: Iterable[Task], calls: Collection[object]) -> None:
    """Whoever is alive and waits for the dead learns that there is no connection to it any more."""
    for task in outsiders:
        wait = waits_in(task)
        if isinstance(wait, Wait) and (_is_for(wait, runtime) or wait in calls):
            path = wait.target.path if wait.target is not None else runtime.node
            wait.fail(died(path, NO_CONNECTION))


def _is_for(wait: Wait, runtime: Runtime) -> bool:
    target: Any = wait.target
    return target is not None and target.runtime is runtime
