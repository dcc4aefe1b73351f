"""How a law of the kernel is held: each test of this package runs under hundreds of schedules, thousands with ``make soak``.

A law is an async test of a ``Sim``. Every run ends, besides what the simulation itself looks at, with a shutdown after which
nothing may be left: no actor, name, link, monitor, timer or fenced code.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import attrs
import pytest
import trio

import actorkit as ak
from actorkit.kernel.system import Startable
from actorkit.kernel.wait import ZOMBIES
from actorkit.testing import Fault, NeverHappened, Sim, Violated, simulate
from tests.harness import assert_conserved, assert_nothing_left

QUICK = {"portfolio": 200, "delay": 100}
QUICK_NODES = {"portfolio": 100, "delay": 40}  # a run takes thirty times as long
SOAK = 20_000
_SEARCHES = [
    pytest.param(strategy, soak, id=f"soak-{strategy}" if soak else strategy, marks=marks)
    for soak, marks in ((False, ()), (True, (pytest.mark.soak,)))
    for strategy in QUICK
]

H = TypeVar("H")
Body = Callable[..., Awaitable[None]]


@attrs.frozen
class KillInAnyState:
    """A fault that spares nobody: as ``kill_actor``, and also of trees that are being started, so that they may fail to.

    Attributes:
        match: a pattern for the path.
    """

    match: str

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        """Kill one of them."""
        cells = sim.system.runtime.cells.values()
        found = [cell.ref for cell in cells if fnmatchcase(cell.path, self.match)]
        if not found:
            return None
        victim = found[arg % len(found)]
        victim.kill()
        return f"kill {victim.path}"


def law(
    *, faults: Iterable[Fault] = (), sometimes: Iterable[str] = (), **options: Any
) -> Callable[[Body], Callable[..., None]]:
    """Make an async test one that is held under many schedules, by two strategies.

    Args:
        faults: what may be done to the system.
        sometimes: what must come true in some run, so that the law is not held by things that never happen.
        options: passed on to ``simulate``.
    """
    quick = QUICK_NODES if "nodes" in options else QUICK

    def decorate(body: Body) -> Callable[..., None]:
        @functools.wraps(body)
        async def whole(sim: Sim, **data: Any) -> None:
            ZOMBIES.clear()  # a run that failed may have left some
            await body(sim, **data)
            await end(sim)

        def hold(strategy: Any, examples: int, seed: int | None) -> None:
            simulate(
                strategy=strategy,
                examples=examples,
                seed=seed,
                faults=faults,
                sometimes=sometimes,
                **options,
            )(whole)()

        def run(strategy: str, soak: bool) -> None:
            try:
                hold(strategy, SOAK if soak else quick[strategy], None if soak else 1)
            except NeverHappened:  # asked of the search that goes far
                if strategy == "portfolio":
                    raise

        run.__name__, run.__doc__, run.__module__ = body.__name__, body.__doc__, body.__module__
        run.hold = hold  # type: ignore[attr-defined]
        return pytest.mark.parametrize(("strategy", "soak"), _SEARCHES)(run)

    return decorate


async def end(sim: Sim) -> None:
    """Let everything come to rest, shut the system down, and see that nothing is left of it.

    Nodes are closed by the simulation, which sees to it that nothing is left of those that were not killed.
    """
    await sim.heal_and_settle()
    if sim.has_nodes:
        return
    await sim.system.shutdown()
    await sim.settle()
    assert_conserved(sim.system)
    assert_nothing_left(sim.system)


async def start(sim: Sim, tree: Startable[H], /, *, name: str | None = None) -> H:
    """Start a tree, again and again if a fault strikes while it starts; what failed must have left nothing behind."""
    while True:
        try:
            return await sim.start(tree, name=name)
        except ak.StartError:
            await nobody_left(sim)


async def nobody_left(sim: Sim) -> None:
    """Nothing is left of a tree that did not start, but for what traps exits and ends in its own time."""
    for _ in range(20):
        if not sim.system.runtime.cells:
            return
        await trio.sleep(0.05)
    insist(sim, False, f"{sim.system.runtime.cells} are left")


def insist(sim: Sim, holds: object, claim: str) -> None:
    """From inside an actor, where an exception would only be a crash: fail the run unless the claim holds."""
    if not holds:
        sim.fail(Violated(claim))


def books_balance(sim: Sim) -> None:
    """At every step of the run, every message sent is handled, waits, or is a dead letter."""
    sim.always(lambda: sim.system.conservation().balanced, "the books balance")
