"""What a simulation may do to a system besides choosing who goes on."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

import attrs

from actorkit.kernel.cell import Cell, State
from actorkit.kernel.ending import doom
from actorkit.kernel.exits import KILLED, Crashed
from actorkit.testing.recording import name_of_cell
from actorkit.testing.trio_internals import next_deadline

if TYPE_CHECKING:
    from actorkit.testing.simulation.sim import Sim


class Fault(Protocol):
    """One kind of harm."""

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        """Do it, between two steps; ``arg``, from 0 up, chooses the victim if there are several.

        Returns what was done, the same words in every run; None if there was nothing to do it to.
        """
        ...


@attrs.frozen
class InjectedCrash(Exception):
    """The exception an actor dies of when a simulation crashes it."""

    def __str__(self) -> str:
        return "crashed by the simulation"


@attrs.frozen
class _KillActor:
    match: str

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        victim = _victim(sim, self.match, arg)
        if victim is None:
            return None
        doom(victim, KILLED)
        return f"kill {name_of_cell(victim)}"


@attrs.frozen
class _CrashActor:
    match: str

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        victim = _victim(sim, self.match, arg)
        if victim is None:
            return None
        doom(victim, Crashed.of(InjectedCrash(), ""))
        return f"crash {name_of_cell(victim)}"


@attrs.frozen
class _EarlyTimer:
    def strike(self, sim: Sim, _: int, /) -> str | None:
        wait = next_deadline() - sim.now()
        if not (0 < wait < math.inf):
            return None
        sim.clock.jump(wait)
        sim.rush()
        return f"the clock runs ahead by {wait:g} s"


@attrs.frozen
class _Custom:
    name: str
    act: Callable[..., object]
    takes_arg: bool

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        done = self.act(sim, arg) if self.takes_arg else self.act(sim)
        if done is False:
            return None
        return f"{self.name}({arg})" if self.takes_arg else self.name


def kill_actor(match: str | None = None) -> Fault:
    """Kill an actor: no hook runs, its state is gone.

    Args:
        match: a pattern for its path, such as ``"/bank/*"``, or ``"a:/bank/*"`` of one node only; every supervised actor unless
            told otherwise. Actors of a tree that is being started are spared until the tree stands.
    """
    return _KillActor(match or "")


def crash_actor(match: str | None = None) -> Fault:
    """Let an actor crash with an exception between two messages, or where its handler waits; see ``kill_actor``."""
    return _CrashActor(match or "")


def early_timer() -> Fault:
    """Let the clock run ahead to the next deadline although others could still go on: a machine that is slow.

    What was due goes first. Without it time-outs never race with messages, for virtual time stands still while anything can go on.
    """
    return _EarlyTimer()


def custom(name: str, act: Callable[[Sim], object] | Callable[[Sim, int], object]) -> Fault:
    """A fault of the test's own: ``act(sim)`` does it, and returns False if there was nothing to do.

    An ``act(sim, arg)`` also gets a number from 0 up that the plan holds, to choose with among several things to do; smaller
    ones should be milder, for shrinking makes it small.
    """
    return _Custom(name, act, _takes_two(act))


def _takes_two(act: Callable[..., object]) -> bool:
    try:
        inspect.signature(act).bind(None, 0)
    except (TypeError, ValueError):
        return False
    return True


def _in_a_tree_that_starts(cell: Cell) -> bool:
    """Whether an actor above is not ready yet: a death below would only make ``sim.start`` fail."""
    above = cell.parent
    while above is not None:
        if above.state is State.STARTING:
            return True
        above = above.parent
    return False


def _victim(sim: Sim, match: str, arg: int) -> Cell | None:
    found = [cell for cell in sim.cells() if _may_die(cell, match)]
    return found[arg % len(found)] if found else None


def _may_die(cell: Cell, match: str) -> bool:
    if not State.STARTING <= cell.state <= State.STOPPING or cell.doomed is not None:
        return False
    if _in_a_tree_that_starts(cell):
        return False
    if not match:
        return cell.seat is not None
    return fnmatchcase(cell.path, match) or fnmatchcase(name_of_cell(cell), match)
