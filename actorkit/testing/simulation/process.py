"""The process of a simulated node: it runs, is paused, and can be killed in the midst of whatever it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from enum import Enum
from typing import Any, TypeVar

import outcome
import trio

from actorkit.testing.recording import TASK_NAME, RecordedRuntime
from actorkit.testing.simulation.ensemble import Ensemble, Home
from actorkit.testing.trace import Trace
from actorkit.testing.trio_internals import all_tasks
from actorkit.testing.vanish import vanish

R = TypeVar("R")

Opener = Callable[["Process"], AbstractAsyncContextManager[Any]]
Booting = Callable[[Any], Awaitable[object]]


class NodeGone(Exception):
    """A node was killed, or has ended, before something of it was done."""


class Stage(Enum):
    """How far a process has come."""

    STARTING = "is starting"
    UP = "is up"
    CLOSING = "is closing"
    DOWN = "is down"


class Process:
    """One incarnation of a node.

    Args:
        name: the node's.
        conductor: chooses who goes on.
        opener: opens the node in the midst of the process.
        boot: what the process does first with its node.

    Attributes:
        node: the node, once it is open.
        runtime: its kernel, set by ``opener`` before it runs.
        stage: how far it has come.
        failure: what it ended of, if it was neither told to nor killed.
    """

    def __init__(
        self, name: str, conductor: Ensemble, opener: Opener, boot: Booting | None
    ) -> None:
        self.name = name
        self.home = Home(name)
        self.node: Any = None
        self.runtime: RecordedRuntime | None = None
        self.stage = Stage.STARTING
        self.failure: Exception | None = None
        self._conductor = conductor
        self._opener = opener
        self._boot = boot
        self._scope = trio.CancelScope()
        self._clients: trio.Nursery | None = None
        self._performing: dict[_Client, None] = {}
        self._told_to_end = trio.Event()
        self._news = trio.lowlevel.ParkingLot()

    def __repr__(self) -> str:
        return f"<Process of node {self.name!r}, {self.stage.value}>"

    @property
    def killed(self) -> bool:
        """Whether it did not end of itself."""
        return self.home.dead

    async def run(self) -> None:
        """Live: open the node, boot it, and serve until told to end."""
        self._conductor.move_in(self.home)
        try:
            with self._scope:
                await self._live()
        except Exception as error:  # noqa: BLE001 - of the dead nobody hears; else it ends the run
            if not self.killed:
                self.failure = error
        finally:
            self._conductor.move_out(self.home)
            self._turn(Stage.DOWN)

    async def _live(self) -> None:
        async with self._opener(self) as self.node:
            if self._boot is not None:
                await self._boot(self.node)
            async with trio.open_nursery() as self._clients:
                self._turn(Stage.UP)
                await self._told_to_end.wait()
                self._clients.cancel_scope.cancel()
            self._turn(Stage.CLOSING)

    # What others do to it -----------------------------------------------------------------------------------------

    def end(self) -> None:
        """Tell it to end in good order; clients that run in it are broken off."""
        self._told_to_end.set()

    def kill(self, cut_off: Callable[[], None]) -> None:
        """As ``kill -9``: nothing of it happens any more. ``cut_off`` is what that means for its machine."""
        home, runtime = self.home, self.runtime
        self._conductor.kill(home)
        cut_off()
        if runtime is not None:
            if hasattr(runtime, "recorder"):
                runtime.recorder.trace = Trace()
                runtime.recorder.trace.seal()
            others = [task for task in all_tasks() if self._conductor.home_of(task) is not home]
            if self.node is not None:
                self.node.fabric.vanish()
            vanish(runtime, others)
        self._scope.cancel()
        for engine in home.engines:
            engine.cancel_scope.cancel()
        for client in self._performing:
            client.lose()
        self._turn(Stage.DOWN)

    def pause(self) -> None:
        """As SIGSTOP: nobody of it goes on until it is resumed.

        Raises:
            ValueError: it does not run.
        """
        if self.stage is Stage.DOWN:
            raise ValueError(f"node {self.name!r} is down, so it cannot be paused")
        self._conductor.pause(self.home)

    def resume(self) -> None:
        """As SIGCONT."""
        self._conductor.resume(self.home)

    async def becomes(self, *stages: Stage) -> Stage:
        """Wait until it is in one of these stages, or down."""
        while self.stage not in (*stages, Stage.DOWN):
            await self._news.park()
        return self.stage

    def _turn(self, stage: Stage) -> None:
        if self.stage is not Stage.DOWN:
            self.stage = stage
            self._news.unpark_all()

    # Clients ------------------------------------------------------------------------------------------------------

    async def perform(self, function: Callable[[Any], Awaitable[R]], name: str) -> R:
        """Run a function inside the process.

        Raises:
            NodeGone: the process is not up, or ended before the function did.
        """
        clients = self._clients
        if clients is None or self.stage is not Stage.UP:
            raise NodeGone(f"node {self.name!r} {self.stage.value}, so {name} cannot run in it")
        client = _Client(self, function)
        context = copy_context()
        context.run(TASK_NAME.set, name)
        context.run(lambda: clients.start_soon(client.run, name=name))
        self._performing[client] = None
        try:
            ended = await client.outcome()
        finally:
            del self._performing[client]
        if ended is None:
            raise NodeGone(f"node {self.name!r} ended while {name} ran in it")
        result: R = ended.unwrap()
        return result


class _Client:
    """A function of a test that runs inside a process."""

    def __init__(self, process: Process, function: Callable[[Any], Awaitable[Any]]) -> None:
        self._process = process
        self._function = function
        self._scope = trio.CancelScope()
        self._outcome: outcome.Outcome[Any] | None = None
        self._ended = trio.Event()

    async def run(self) -> None:
        try:
            with self._scope:
                try:
                    found: outcome.Outcome[Any] = outcome.Value(
                        await self._function(self._process.node)
                    )
                except Exception as error:  # noqa: BLE001 - raised where the function was called
                    found = outcome.Error(error)
                if not self._ended.is_set():
                    self._outcome = found
        finally:
            self._ended.set()

    def lose(self) -> None:
        """Its process is dead: nobody hears how it ends."""
        self._ended.set()

    async def outcome(self) -> outcome.Outcome[Any] | None:
        try:
            await self._ended.wait()
        except trio.Cancelled:
            self._scope.cancel()
            raise
        return self._outcome
