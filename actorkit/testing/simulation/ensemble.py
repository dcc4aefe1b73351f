"""A conductor of several nodes: whoever belongs to a paused one is not chosen, and what is left of a dead one goes first.

A *home* is a process of the simulation: the tasks below its main task and below the engine of its kernel, and its actors.
All its tasks may be options like any other: a reader, a writer, somebody who dials. They are called after their home,
"a:reader b", as its actors are: "a:/bank".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import trio

from actorkit.kernel.cell import Cell
from actorkit.kernel.wait import CURRENT
from actorkit.testing.recording import name_of_cell, name_of_task
from actorkit.testing.simulation.conductor import CLOCK, Conductor, TooManySteps
from actorkit.testing.stepped import SteppedDispatcher
from actorkit.testing.trio_internals import by_age, put_off, runnable

Task = trio.lowlevel.Task

_MOST_LAST_STEPS = 20_000  # steps of the dead after which they count as unwilling to end


@attrs.define(eq=False)
class Home:
    """Where tasks and actors of one process belong.

    Attributes:
        name: that of the node.
        dispatchers: those of its kernels; one, once it has started.
        engines: the nurseries of their carriers.
        paused: whether nobody of it goes on.
        dead: whether it was killed; what is left of it unwinds.
        held: its tasks that could go on if it were not paused.
    """

    name: str
    dispatchers: list[SteppedDispatcher] = attrs.Factory(list)
    engines: list[trio.Nursery] = attrs.Factory(list)
    paused: bool = False
    dead: bool = False
    held: list[Task] = attrs.Factory(list)

    @property
    def prefix(self) -> str:
        """What the names of its actors and tasks begin with."""
        return f"{self.name}:"

    def holds(self, nursery: trio.Nursery) -> bool:
        """Whether a nursery is that of its carriers."""
        if len(self.engines) < len(self.dispatchers):
            self.note_engines()
        return nursery in self.engines

    def note_engines(self) -> None:
        """Remember the nurseries of its carriers, also for when they are closed."""
        found = (d.nursery for d in self.dispatchers if d.nursery is not None)
        self.engines = list(dict.fromkeys((*self.engines, *found)))


class Ensemble(Conductor):
    """Makes the choices of one run of several nodes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._homes: list[Home] = []
        self._home_of: dict[Task, Home | None] = {}
        self._paused = 0
        self._dying: list[Home] = []
        self._last_steps = 0

    # Homes --------------------------------------------------------------------------------------------------------

    def move_in(self, home: Home) -> None:
        """The task that runs now is the main task of a process."""
        self._home_of[trio.lowlevel.current_task()] = home
        self._homes.append(home)

    def joined(self, dispatcher: SteppedDispatcher) -> None:
        """A system was opened: by the process that runs now."""
        super().joined(dispatcher)
        home = self.home_of(trio.lowlevel.current_task())
        if home is not None:
            home.dispatchers.append(dispatcher)

    def move_out(self, home: Home) -> None:
        """A process has ended."""
        self.resume(home)
        self._homes.remove(home)
        self._leave(home)
        if home in self._dying:
            self._dying.remove(home)

    def pause(self, home: Home) -> None:
        """Choose nobody of a process until it is resumed."""
        if not home.paused:
            home.paused = True
            self._paused += 1

    def resume(self, home: Home) -> None:
        """End a pause."""
        if home.paused:
            home.paused = False
            self._paused -= 1
            held, home.held = home.held, []
            put_off(held)

    def kill(self, home: Home) -> None:
        """A process is dead: none of its actors goes on, and what is left of its tasks unwinds before anybody else does."""
        self.resume(home)
        home.dead = True
        self._dying.append(home)
        self._leave(home)

    def _leave(self, home: Home) -> None:
        home.note_engines()
        for dispatcher in home.dispatchers:
            if dispatcher in self._dispatchers:
                self._dispatchers.remove(dispatcher)
            for cell in dispatcher.ready:
                self._arrived.pop(cell, None)
            dispatcher.abandon()
        if self._chosen is not None and self._chosen.runtime.dispatcher in home.dispatchers:
            self._chosen = None

    def home_of(self, task: Task) -> Home | None:
        """The process a task belongs to; None if it is the test's own, or the network's."""
        if task not in self._home_of:
            self._home_of[task] = self._find_home(task)
        return self._home_of[task]

    def _find_home(self, task: Task) -> Home | None:
        nursery = task.parent_nursery
        if nursery is None:
            return None
        for home in self._homes:
            if home.holds(nursery):
                return home
        return self.home_of(nursery.parent_task)

    # What trio and the dispatchers ask ----------------------------------------------------------------------------

    def shuffle(self, batch: list[Task]) -> None:
        """Trio asks which of its tasks goes next."""
        if self._paused:
            batch[:] = self._unpaused(batch)
        super().shuffle(batch)

    def _waiting(self) -> Any:
        waiting = runnable()
        if self._paused:
            kept = self._unpaused(list(waiting))
            waiting.clear()
            waiting.extend(kept)
        return waiting

    def _unpaused(self, tasks: Iterable[Task]) -> list[Task]:
        """Those that may go on; the others are held."""
        kept: list[Task] = []
        for task in tasks:
            home = self.home_of(task)
            if home is not None and home.paused:
                home.held.append(task)
            else:
                kept.append(task)
        return kept

    def _housekeeper(self, tasks: Any) -> Task | None:
        if self._dying:
            dead: list[Task] = [task for task in tasks if self._is_dead(task)]
            if dead:
                self._count_last_step()
                first: Task = by_age(dead)[0]
                return first
        return super()._housekeeper(tasks)

    def _is_dead(self, task: Task) -> bool:
        home = self.home_of(task)
        return home is not None and home.dead

    def _count_last_step(self) -> None:
        self._last_steps += 1
        if self._last_steps == _MOST_LAST_STEPS:
            names = ", ".join(home.name for home in self._dying)
            self.on_failure(
                TooManySteps(
                    f"code of {names} was killed and goes on; does it catch trio.Cancelled in a loop?"
                )
            )

    # Names --------------------------------------------------------------------------------------------------------

    def _ready_cells(self) -> list[tuple[int, str, Any]]:
        homes = self._homes if self._paused else ()
        paused = [d for home in homes if home.paused for d in home.dispatchers]
        return [
            (self._arrived[cell][0], name_of_cell(cell), cell)
            for d in self._dispatchers
            if d not in paused
            for cell in d.ready
        ]

    def _name_of(self, cell: Cell) -> str:
        return name_of_cell(cell)

    def _plain_name(self, task: Task) -> str:
        home = self.home_of(task)
        if home is None:
            return super()._plain_name(task)
        if task.name == CLOCK:
            return f"{home.prefix}clock"
        if task.context.get(CURRENT) is not None:
            name = name_of_task(task)
            return name if name.startswith(home.prefix) else home.prefix + name
        return home.prefix + task.name.rpartition(".")[2]
