"""What the body of a simulated test holds: its system, its clients, its claims about what must hold."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import copy_context
from random import Random
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

import trio

from actorkit.errors import ActorkitError
from actorkit.kernel.actor import Actor, Props, props
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.inspection import state_of
from actorkit.kernel.message import error_text
from actorkit.kernel.ref import Ref
from actorkit.kernel.registry import Key
from actorkit.kernel.runtime import Runtime
from actorkit.kernel.system import Startable, System
from actorkit.testing.clock import VirtualClock
from actorkit.testing.failures import Deadlock
from actorkit.testing.network import MemoryNetwork
from actorkit.testing.recording import TASK_NAME, name_of_cell
from actorkit.testing.trace import FaultApplied, Noted, Trace
from actorkit.testing.waiting import who_waits

if TYPE_CHECKING:
    from actorkit.testing.simulation.fleet import Fleet

M = TypeVar("M")
R = TypeVar("R")
H = TypeVar("H")
P = ParamSpec("P")

_MOST_STUCK = 8  # times that nobody can go on before a run is given up


class UncontrolledNondeterminism(ActorkitError):
    """The same plan gave two different runs: something decides that the simulation does not hold."""


class Violated(AssertionError):
    """Something that must always hold did not."""


class NotConverged(AssertionError):
    """With no more faults, and everybody getting a turn, the system did not come to rest."""


class Sim:
    """One run of a simulated test.

    Attributes:
        system: the actor system under test, if it was not given nodes.
        clock: its virtual clock.
        trace: what happened so far; None in runs that are not recorded.
    """

    system: System

    def __init__(self, clock: VirtualClock, trace: Trace | None, step: Callable[[], int]) -> None:
        self.clock = clock
        self.trace = trace
        self.failure: BaseException | None = None
        self.seen: Counter[str] = Counter()
        self.step = step
        self.calm: Callable[[], None] = lambda: None
        self.rush: Callable[[], None] = lambda: None
        self.scope = trio.CancelScope()
        self._fleet: Fleet | None = None
        self._stuck = 0
        self._invariants: list[tuple[str, Callable[[], object]]] = []

    def __getattr__(self, name: str) -> Any:
        if name == "system":
            raise AttributeError(
                'this simulation has nodes, not one system: sim.nodes["a"] is one of them'
            )
        raise AttributeError(f"a Sim has no attribute {name!r}")

    # Actors and clients -------------------------------------------------------------------------------------------

    @overload
    async def spawn(self, actor: Props[M], /, *, name: str | Key[M] | None = None) -> Ref[M]: ...
    @overload
    async def spawn(
        self, actor: Callable[P, Actor[M]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Ref[M]: ...
    async def spawn(self, actor: Any, /, *args: Any, **kwargs: Any) -> Ref[Any]:
        """Start an actor: ``spawn(Account, owner="ann")``, or ``spawn(props(Account, owner="ann"), name="ann")``."""
        if isinstance(actor, Props):
            return await self.system.spawn(actor, *args, **kwargs)
        return await self.system.spawn(props(actor, *args, **kwargs))

    async def start(self, tree: Startable[H], /, *, name: str | None = None) -> H:
        """Start a supervision tree and return its handle."""
        return await self.system.start(tree, name=name)

    async def each(
        self, count: int, function: Callable[[int], Awaitable[object]], /, *, name: str = "client"
    ) -> None:
        """Run ``function(0)`` to ``function(count - 1)`` side by side, as "client 1", "client 2" and so on."""
        async with trio.open_nursery() as nursery:
            for i in range(count):
                _start(nursery, f"{name} {i + 1}", function, i)

    async def together(self, *functions: Callable[[], Awaitable[object]]) -> None:
        """Run several functions side by side, each named after itself, and wait for all."""
        async with trio.open_nursery() as nursery:
            for function in functions:
                _start(nursery, getattr(function, "__name__", "client"), function)

    def state(self, ref: Ref[Any], /) -> dict[str, Any]:
        """An actor's attributes at this moment, even in the midst of a handler: for ``always``. Look, do not touch."""
        cell = ref._cell
        return dict(state_of(cell)) if cell.actor is not None else {}

    @property
    def rng(self) -> Random:
        """Chance for the test itself, the same in every run of the same simulation."""
        if self._fleet is None:
            return self.system.runtime.seams.entropy.rng
        return self._fleet.rng

    # Nodes --------------------------------------------------------------------------------------------------------

    @property
    def fleet(self) -> Fleet:
        """The nodes and the network of a test that was given some: ``@simulate(nodes=["a", "b"])``."""
        if self._fleet is None:
            raise RuntimeError(
                'this simulation has one system and no network: write @simulate(nodes=["a", "b"])'
            )
        return self._fleet

    @property
    def has_nodes(self) -> bool:
        """Whether this test was given nodes, rather than one system."""
        return self._fleet is not None

    @property
    def nodes(self) -> Mapping[str, Any]:
        """The nodes that are up, by name; one that was killed is not among them until it has been started again."""
        return self.fleet.nodes

    @property
    def network(self) -> MemoryNetwork:
        """What connects the nodes; each node's host is called like the node."""
        return self.fleet.network

    async def open_node(self, name: str, **options: Any) -> Any:
        """Open one more node, with the options of ``ak.open_node``, and wait until it is up. It is closed with the run.

        Raises:
            NodeGone: a fault killed it before it was up.
        """
        return await self.fleet.open(name, options)

    async def close_node(self, name: str) -> None:
        """Let a node leave in good order."""
        await self.fleet.close_one(name)

    def kill_node(self, name: str) -> None:
        """As ``kill -9``: all of it vanishes between two steps. Its peers see their connections end, and nothing else."""
        self.fleet.kill(name)

    def power_cut_node(self, name: str, *, keep: int = 0) -> None:
        """The node's machine loses its power: its peers see nothing at all. ``keep`` chooses what its disks have kept."""
        self.fleet.kill(name, power=True, keep=keep)

    async def restart_node(self, name: str) -> Any:
        """Start a node again that is down, as it was opened first: a new incarnation of the same name."""
        return await self.fleet.restart(name)

    def pause_node(self, name: str) -> None:
        """As SIGSTOP: nobody of it goes on, and when it does again its clock has jumped."""
        self.fleet.process(name).pause()

    def resume_node(self, name: str) -> None:
        """As SIGCONT."""
        self.fleet.process(name).resume()

    async def on(self, name: str, function: Callable[[Any], Awaitable[R]], /) -> R:
        """Run ``function(node)`` inside a node's process: it is paused with it, and killed with it.

        Raises:
            NodeGone: the node is not up, or was killed before the function had ended.
        """
        called = getattr(function, "__name__", "client")
        return await self.fleet.process(name).perform(function, f"{name}:{called}")

    def systems(self) -> list[System]:
        """The systems that run: the one, or all nodes that are up."""
        return [self.system] if self._fleet is None else list(self._fleet.nodes.values())

    def cells(self) -> Iterator[Cell]:
        """The living actors, as the kernel sees them; those of paused nodes are left out, since nothing happens to them."""
        if self._fleet is None:
            yield from self.system.runtime.cells.values()
        else:
            for process in self._fleet.up():
                if not process.home.paused:
                    yield from process.node.runtime.cells.values()

    # Claims -------------------------------------------------------------------------------------------------------

    def always(self, holds: Callable[[], object], claim: str) -> None:
        """From now on ``holds()`` is true after every step, or the run fails with the claim."""
        self._invariants.append((claim, holds))

    def sometimes(self, claim: str, holds: object = True) -> None:
        """In at least one of all runs this point is reached with ``holds`` true, or the simulation as a whole fails."""
        self.seen[claim] += bool(holds)

    def note(self, text: str) -> None:
        """Write a line into the chart."""
        if self.trace is not None:
            self.trace.append(Noted(self.step(), self.now(), text))

    # Time ---------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Virtual seconds since the run began."""
        return self.clock.current_time()

    async def settle(self) -> None:
        """Wait until nothing can go on before the clock moves."""
        await self.clock.settle()

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass, with everything that falls due in it, in order."""
        await trio.sleep(seconds)
        await self.clock.settle()

    def heal(self) -> None:
        """From now on: no faults, and whoever has waited longest goes on.

        All harm to nodes and links is undone: what was cut is connected, what was paused is resumed.
        """
        self.calm()
        if self._fleet is not None:
            self._fleet.heal()

    async def eventually(
        self, holds: Callable[[], object], claim: str, *, within: float = 60.0
    ) -> None:
        """Heal, then wait until ``holds()`` is true, at most ``within`` virtual seconds.

        Raises:
            NotConverged: it never was.
        """
        self.heal()
        if not await self._wait_for(holds, within):
            raise NotConverged(f"{claim}: not within {within:g} s without faults")

    async def heal_and_settle(self, *, within: float = 60.0) -> None:
        """Heal, then wait until all mail is handled and nobody is being started or stopped.

        Every run ends with this.

        Raises:
            NotConverged: that took more than ``within`` virtual seconds; the message says who is busy.
        """
        self.heal()
        if not await self._wait_for(lambda: not self._busy(), within):
            raise NotConverged(
                f"not at rest {within:g} s after the last fault: {', '.join(self._busy())}"
            )

    async def _wait_for(self, holds: Callable[[], object], within: float) -> bool:
        until = self.now() + within
        while True:
            await self.clock.settle()
            if holds():
                return True
            left = min(until, self._next_deadline()) - self.now()
            if not left > 0:
                return False
            await trio.sleep(left)

    def _next_deadline(self) -> float:
        seconds = trio.lowlevel.current_statistics().seconds_to_next_deadline
        return self.now() + seconds if seconds > 0 else math.inf

    def _busy(self) -> list[str]:
        if self._fleet is None:
            return list(busy(self.system.runtime.all_cells()))
        return [*self._fleet.unsettled(), *busy(c for r in self._runtimes() for c in r.all_cells())]

    def _runtimes(self) -> Sequence[Runtime]:
        return [self.system.runtime] if self._fleet is None else self._fleet.runtimes()

    # For the runner and for faults --------------------------------------------------------------------------------

    def inhabit(self, world: System | Fleet) -> None:
        """The run begins in this system, or with these nodes."""
        if isinstance(world, System):
            self.system = world
        else:
            self._fleet = world

    def fail(self, error: BaseException) -> None:
        """End the run with this failure; the first one counts."""
        if self.failure is None:
            self.failed(error)
            self.scope.cancel()

    def failed(self, error: BaseException) -> None:
        """The run has failed: no more faults, and nothing more to write down."""
        self.failure = error
        self.heal()
        if self.trace is not None:
            said, _, _ = error_text(error).partition("\n")
            self.note(f"FAILED: {said or type(error).__name__}")
            self.trace.seal()

    def struck(self, what: str) -> None:
        """Write down that a fault was done."""
        if self.trace is not None:
            self.trace.append(FaultApplied(self.step(), self.now(), what))

    def check(self) -> None:
        """See whether all that must hold does."""
        if self.failure is not None:
            return
        for claim, holds in self._invariants:
            try:
                if not holds():
                    self.fail(Violated(claim))
            except Exception as error:  # noqa: BLE001 - the user's predicate; it ends the run, not trio
                self.fail(error)

    def meets(self, outsider: str) -> UncontrolledNondeterminism:
        """The run depends on something outside: it fails of that, whatever else it failed of."""
        error = UncontrolledNondeterminism(
            f"the run waits for {outsider}, which no simulation controls: use ctx.offload for blocking work, and the "
            "transport of the system's seams for the network"
        )
        self.failure = None
        self.fail(error)
        return error

    def stuck(self) -> None:
        """Nothing can go on: end the test; if that does not help, break off the end of its system as well."""
        if self._fleet is not None and self._fleet.heal():
            return
        self._stuck += 1
        if self._stuck == 1:
            waiting = "\n  ".join(who_waits(*self._runtimes()))
            self.fail(Deadlock(f"nothing can go on, and no timer is set:\n  {waiting}"))
        elif self._stuck <= _MOST_STUCK:
            for runtime in self._runtimes():
                runtime.on_failure()
        else:
            assert self.failure is not None
            raise self.failure  # better a crash than a hang


def _start(
    nursery: trio.Nursery, name: str, function: Callable[..., Awaitable[object]], *args: Any
) -> None:
    context = copy_context()
    context.run(TASK_NAME.set, name)
    context.run(lambda: nursery.start_soon(function, *args))


def busy(cells: Iterable[Cell]) -> Iterable[str]:
    """Who has mail or is between two states, in words."""
    for cell in cells:
        mail = cell.mail_count()
        if mail:
            yield f"{name_of_cell(cell)} has {mail} message{'s' * (mail > 1)} waiting"
        elif cell.state in (State.STARTING, State.STOPPING):
            yield f"{name_of_cell(cell)} is {cell.state.name.lower()}"
        else:
            yield from _awaited(cell)


def _awaited(cell: Cell) -> Iterable[str]:
    """Whom an actor waits for, in a handler or in a nursery inside one."""
    waiting = cell.waiting if isinstance(cell.waiting, list) else [cell.waiting]
    for wait in waiting:
        if wait is not None and wait.target is not None:
            yield f"{name_of_cell(cell)} waits for {name_of_cell(wait.target)}"
