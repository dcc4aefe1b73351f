"""Where the crew works: in one process, or on several nodes of which all but this one are processes that may be killed."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio

import actorkit as ak
from actorkit.cluster.keys import GRANTS
from actorkit.demo.sabotage import NODE_PACE
from actorkit.launch.cluster import prepare_launch
from actorkit.launch.settings import Settings
from actorkit.seams import TcpTransport
from actorkit.supervision.spec import Flags

HOME = "demo"
_CREW = "actorkit.demo.crew"  # what the workers load before they say that they are ready
_WITHIN = 5.0
_A_MOMENT = 0.1
_MOMENTS = 20


class NoGround(Exception):
    """The nodes cannot be started, for a reason that is one line of text."""


@attrs.define(eq=False)
class Ground:
    """The nodes of one run.

    Attributes:
        system: this process's own, where all but the readers live; a node if there are others.
        workers: the others' processes, by name.
        ended: the ends of processes that nobody had asked to end.
        pids: the processes there have been.
        addresses: where nodes have listened.
    """

    system: ak.System
    workers: Mapping[str, ak.NodeProcess] = attrs.field(factory=dict)
    ended: list[ak.NodeExit] = attrs.field(factory=list)
    pids: set[int] = attrs.field(factory=set)
    addresses: set[str] = attrs.field(factory=set)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all nodes."""
        return (self.system.name, *self.workers)

    def note(self, how: ak.NodeExit) -> None:
        """A process has ended."""
        if not how.asked:
            self.ended.append(how)
            self.system.events.emit(how)
        self.look_around()

    def look_around(self) -> None:
        """Note which processes there are, and where they listen."""
        for worker in self.workers.values():
            self.pids |= {worker.pid} if worker.pid is not None else set()
            self.addresses |= {worker.address}

    async def left_behind(self) -> tuple[str, ...]:
        """What should not be there any more when the nodes are closed: actors, processes, and ports that are taken."""
        actors = tuple(branch.path for branch in self.system.tree())
        processes = tuple(f"process {pid}" for pid in sorted(self.pids) if _runs(pid))
        ports = [f"port {at}" for at in sorted(self.addresses - {""}) if not await _is_free(at)]
        return (*actors, *processes, *ports)


def worker_names(nodes: int) -> tuple[str, ...]:
    """What the nodes are called that the readers live on, if there are so many nodes in all."""
    return tuple(f"worker-{number}" for number in range(1, nodes))


@asynccontextmanager
async def open_ground(workers: tuple[str, ...]) -> AsyncGenerator[Ground]:
    """Open this process's node and those of the workers, for the time of the block; no process outlives it.

    Raises:
        NoGround: they cannot be started.
        LaunchFailed: a worker's node ended more often than could be the saboteur's doing.
    """
    if not workers:
        async with ak.open_system(HOME, logs=False, audit=True) as system:
            yield Ground(system)
        return
    async with AsyncExitStack() as stack:
        try:
            ground = await _opened(stack, workers)
        except (OSError, ak.NodeError) as error:
            raise NoGround(f"the worker nodes cannot be started: {error}") from error
        try:
            yield ground
        finally:
            ground.look_around()


async def _opened(stack: AsyncExitStack, workers: tuple[str, ...]) -> Ground:
    """A node that keeps books and is silent, and the processes of the others, which know each other and it."""
    settings = _settings(workers)
    launch = prepare_launch(settings, logs=False)
    await stack.enter_async_context(launch.running())
    secret = ak.Secret(settings.key, GRANTS)
    node = await stack.enter_async_context(
        ak.open_node(HOME, secret=secret, logs=False, audit=True)
    )
    for process in launch.nodes.values():
        await node.connect(process.address)
    launch.greet = node.connect
    stack.callback(setattr, launch, "greet", None)
    ground = Ground(node, launch.nodes, addresses={node.address})
    ground.look_around()
    launch.on_exit = ground.note
    return ground


def _settings(workers: tuple[str, ...]) -> Settings:
    """Whatever ends a worker it is started anew: so often at least as the saboteur can strike it, and twice that."""
    return Settings(
        names=workers,
        app=_CREW,
        restart="always",
        flags=Flags(max_restarts=2 * round(_WITHIN / NODE_PACE), within=_WITHIN),
        path=tuple(sys.path),
        log_level="critical",
    )


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True


async def _is_free(address: str) -> bool:
    """Whether one can listen there; asked again for a moment, as it may be the near end of somebody's connection."""
    for _ in range(_MOMENTS):
        try:
            listener = await TcpTransport().listen(address)
        except OSError:
            await trio.sleep(_A_MOMENT)
        else:
            await listener.aclose()
            return True
    return False
