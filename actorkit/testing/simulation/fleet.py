"""The nodes of a simulation, the network between them, and what faults may do to either.

A fault of a node or a link is *harm*: it lasts for some virtual seconds, or until the liveness phase that ends every run,
and is undone then, whichever comes first.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import trio

from actorkit.cluster.keys import Grant
from actorkit.cluster.node import Node, open_node
from actorkit.kernel.cell import fresh_context
from actorkit.seams import Seams
from actorkit.testing.correspondence import Correspondence
from actorkit.testing.disk import MemoryDisk
from actorkit.testing.failures import leaf
from actorkit.testing.network import MemoryNetwork
from actorkit.testing.recording import TASK_NAME, RecordedRuntime, Recorder
from actorkit.testing.seams import simulated_seams
from actorkit.testing.simulation.ensemble import Ensemble
from actorkit.testing.simulation.process import NodeGone, Process, Stage
from actorkit.testing.stepped import stepped_runtime

if TYPE_CHECKING:
    from actorkit.testing.simulation.sim import Sim

R = TypeVar("R")

NEMESIS = "actorkit nemesis"
PORT = 4370
MEETING = 5.0  # seconds the nodes a test begins with may take to find each other
SECRET = b"the secret of a simulated network"


Boot = Callable[["Sim", Any], Awaitable[object]]


@attrs.frozen
class NodesWanted:
    """The nodes a simulated test begins with.

    Attributes:
        names: theirs.
        options: passed on to ``open_node`` for each.
        boot: what each does first, also when it is started again.
    """

    names: tuple[str, ...] = ()
    options: Mapping[str, Any] = attrs.Factory(dict)
    boot: Boot | None = None


@attrs.define(eq=False)
class Harm:
    """Something that a fault did, and that will be undone.

    Attributes:
        undo: undoes it.
        words: what to say when it is undone.
        scope: cancels the wait for its end.
    """

    undo: Callable[[], object]
    words: str
    scope: trio.CancelScope = attrs.Factory(trio.CancelScope)


class Fleet:
    """All nodes of one run; open it with ``async with``.

    Attributes:
        network: what connects them; each node's host is called like the node.
        nodes: those that are up, by name.
        rng: chance for the test itself.
    """

    def __init__(
        self,
        sim: Sim,
        conductor: Ensemble,
        wanted: NodesWanted,
        seed: int | str,
        kernel: type[RecordedRuntime],
    ) -> None:
        self.network = MemoryNetwork()
        self._sim = sim
        self._conductor = conductor
        self._wanted = wanted
        self._seed = seed
        self._kernel = kernel
        self.rng = Random(f"{seed}/test")
        self._post = Correspondence()
        self._processes: dict[str, Process] = {}
        self._options: dict[str, dict[str, Any]] = {}
        self._incarnations: dict[str, int] = {}
        self._disks: dict[str, dict[str, MemoryDisk]] = {}
        self._harms: dict[Harm, None] = {}
        self._nursery: trio.Nursery | None = None
        self._context = fresh_context()
        self._context.run(TASK_NAME.set, None)

    # A run's beginning and end ------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Fleet, None]:
        """Open the network and the nodes the test begins with; close them all at the end."""
        names = self._wanted.names
        async with self.network, trio.open_nursery() as self._nursery:
            for name in names:
                self.network.host(name)
            for name in names:
                self._start(name, self._first_options(name))
            for name in names:
                await self._processes[name].becomes(Stage.UP)
            await self._meet(names)
            yield self
            self.heal()
            await self.close()
            self._nursery.cancel_scope.cancel()

    async def _meet(self, names: Sequence[str]) -> None:
        """Wait until the first nodes have found each other, as far as they want to."""
        until = self._sim.now() + MEETING
        while self._sim.now() < until and self._sim.failure is None:
            if all(len(self.process(name).node.nodes()) >= len(names) - 1 for name in names):
                return
            await trio.sleep(0.01)

    async def close(self) -> None:
        """End all processes in good order, the youngest first."""
        for process in reversed(self._processes.values()):
            process.end()
            await process.becomes(Stage.DOWN)

    # Nodes --------------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> Mapping[str, Any]:
        """Those that are up, by name."""
        return MappingProxyType({process.name: process.node for process in self.up()})

    def up(self) -> list[Process]:
        """The processes that are up, paused or not, in the order in which their nodes were first opened."""
        return [process for process in self._processes.values() if process.stage is Stage.UP]

    def down(self) -> list[str]:
        """The names of the nodes that are not running."""
        return [name for name, p in self._processes.items() if p.stage is Stage.DOWN]

    def runtimes(self) -> list[RecordedRuntime]:
        """The kernels of all living processes."""
        living = (p for p in self._processes.values() if p.stage is not Stage.DOWN)
        return [p.runtime for p in living if p.runtime is not None]

    def unsettled(self) -> Iterator[str]:
        """What is under way outside of actors, in words."""
        for process in self._processes.values():
            if process.stage in (Stage.STARTING, Stage.CLOSING):
                yield f"node {process.name} {process.stage.value}"
        if self.network.arriving:
            yield f"the network has {self.network.arriving} segments on their way"

    def process(self, name: str) -> Process:
        """The present process of a node.

        Raises:
            LookupError: there is no such node.
        """
        process = self._processes.get(name)
        if process is None:
            known = ", ".join(self._processes) or "none yet"
            raise LookupError(f"there is no node {name!r} in this simulation; there are {known}")
        return process

    async def open(self, name: str, options: Mapping[str, Any]) -> Any:
        """Open a node and wait until it is up.

        Raises:
            ValueError: there is one of that name.
            NodeGone: it was killed before it was up.
        """
        present = self._processes.get(name)
        if present is not None and present.stage is not Stage.DOWN:
            raise ValueError(
                f"node {name!r} {present.stage.value} already; close_node or kill_node it first"
            )
        process = self._start(name, {**self._defaults(name), **options})
        return await self._up(process)

    async def restart(self, name: str) -> Any:
        """Start a node again that is down, with the options it had, and wait until it is up."""
        return await self._up(self.start_again(name))

    def start_again(self, name: str) -> Process:
        """As ``restart``, without waiting."""
        process = self.process(name)
        if process.stage is not Stage.DOWN:
            raise ValueError(
                f"node {name!r} {process.stage.value}; only one that is down is started again"
            )
        return self._start(name, self._options[name])

    async def close_one(self, name: str) -> None:
        """End a node in good order."""
        process = self.process(name)
        process.end()
        await process.becomes(Stage.DOWN)

    def kill(self, name: str, *, power: bool = False, keep: int = 0) -> None:
        """End a node as ``kill -9`` does; with ``power`` its machine loses its power, so that its peers notice nothing.

        Args:
            name: the node.
            power: whether the power goes, too.
            keep: which of the legal leftovers its disks have then; see ``MemoryDisk.power_cut``.

        Raises:
            ValueError: it does not run.
        """
        process = self.process(name)
        if process.stage is Stage.DOWN:
            raise ValueError(f"node {name!r} is down already")

        def cut_off() -> None:
            (self.network.power_cut if power else self.network.kill9)(name)
            self._inherit_disks(name, lambda disk: disk.power_cut(keep) if power else disk.kill9())

        process.kill(cut_off)

    async def _up(self, process: Process) -> Any:
        if await process.becomes(Stage.UP) is not Stage.UP:
            raise NodeGone(f"node {process.name!r} was killed, or failed, before it was up")
        return process.node

    def _start(self, name: str, options: dict[str, Any]) -> Process:
        nursery = self._nursery
        assert nursery is not None
        incarnation = self._incarnations[name] = self._incarnations.get(name, 0) + 1
        self._options[name] = options
        boot = self._wanted.boot
        process = self._processes[name] = Process(
            name,
            self._conductor,
            lambda process: self._open(process, f"{self._seed}/{name}/{incarnation}", options),
            None if boot is None else lambda node: boot(self._sim, node),
        )
        self._context.run(lambda: nursery.start_soon(self._run, process, name=f"node {name}"))
        return process

    async def _run(self, process: Process) -> None:
        await process.run()
        if process.failure is not None:
            self._sim.fail(leaf(process.failure))
        elif not process.killed:
            self._inherit_disks(process.name, lambda disk: disk.kill9())

    def _first_options(self, name: str) -> dict[str, Any]:
        others = [f"{other}:{PORT}" for other in self._wanted.names if other != name]
        return {**self._defaults(name), "join": others, **self._wanted.options}

    def _defaults(self, name: str) -> dict[str, Any]:
        return {"listen": f"{name}:{PORT}", "secret": SECRET, "grants": tuple(Grant)}

    @asynccontextmanager
    async def _open(
        self, process: Process, seed: str, options: dict[str, Any]
    ) -> AsyncGenerator[Node, None]:
        async with open_node(
            process.name,
            **options,
            logs=False,
            watchdog=None,
            seams=self._seams(process.name, seed),
            runtime=lambda name, seams: self._kernel_of(process, name, seams),
        ) as node:
            yield node

    def _kernel_of(self, process: Process, name: str, seams: Seams) -> RecordedRuntime:
        sim, prefix = self._sim, process.home.prefix
        recorder = None
        if sim.trace is not None:
            recorder = Recorder(sim.trace, sim.step, prefix=prefix, post=self._post)
        runtime = stepped_runtime(name, seams, self._conductor, recorder, self._kernel)
        runtime.prefix = prefix
        process.runtime = runtime
        self._post.open(runtime)
        return runtime

    def _seams(self, name: str, seed: str) -> Seams:
        disks = self._disks.setdefault(name, {})
        return attrs.evolve(
            simulated_seams(seed, self.network.host(name)),
            disk=lambda root: disks.setdefault(root, MemoryDisk()),
        )

    def _inherit_disks(self, name: str, heir: Callable[[MemoryDisk], MemoryDisk]) -> None:
        """What the next process finds on the disks of the last."""
        self._disks[name] = {root: heir(disk) for root, disk in self._disks.get(name, {}).items()}

    # Harm ---------------------------------------------------------------------------------------------------------

    def harm(self, seconds: float | None, words: str, undo: Callable[[], object]) -> None:
        """Something was done that lasts so long, or until all is healed."""
        nursery, harm = self._nursery, Harm(undo, words)
        assert nursery is not None
        self._harms[harm] = None
        if seconds is not None:
            self._context.run(lambda: nursery.start_soon(self._last, harm, seconds, name=NEMESIS))

    async def _last(self, harm: Harm, seconds: float) -> None:
        with harm.scope:
            await trio.sleep(seconds)
            self._undo(harm)

    def _undo(self, harm: Harm) -> None:
        if harm in self._harms:
            del self._harms[harm]
            harm.undo()
            self._sim.note(harm.words)

    def heal(self) -> bool:
        """Undo all harm; tells whether there was any."""
        harms = list(self._harms)
        for harm in harms:
            harm.scope.cancel()
            self._undo(harm)
        for process in self._processes.values():
            process.resume()
        self.network.heal()
        return bool(harms)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every two nodes, in the order in which they were first opened."""
        names: Sequence[str] = list(self._processes)
        for at, one in enumerate(names):
            for other in names[at + 1 :]:
                yield one, other
