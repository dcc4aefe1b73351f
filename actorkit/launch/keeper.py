"""Keeps the processes of a launch: starts them together, restarts them by a supervisor's rules, ends them together.

What comes of a death is decided by the same plan that decides for a supervisor of actors (``supervision/plan.py``): a launch
is a ``one_for_one`` supervisor whose children are processes.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from actorkit.errors import NodeError
from actorkit.launch.engine import Engine, uninterrupted
from actorkit.launch.logs import Layout, Merger
from actorkit.launch.orders import Orders
from actorkit.launch.process import (
    Child,
    LaunchFailed,
    NodeExit,
    NodeProcess,
    lines_of,
    reports_of,
    start_child,
)
from actorkit.launch.settings import Settings
from actorkit.supervision import plan as decide
from actorkit.supervision.plan import (
    Directive,
    Forget,
    GiveUp,
    Plan,
    Record,
    Retry,
    ShutDown,
    Start,
    Stop,
)

_DRAIN = 1.0  # seconds that a dead process's last words may take; a process of its own may hold the pipe for ever

Greet = Callable[[str], Awaitable[object]]


class Launch:
    """The processes of one launch. ``launch`` starts them, and ends them."""

    def __init__(self, settings: Settings, merger: Merger, layout: Layout) -> None:
        self.settings = settings
        self.nodes = {name: NodeProcess(name, self) for name in settings.names}
        self.greet: Greet | None = None
        self.idle = False  # whether there is an app, but nothing in it that a node could call
        self.advice = "see the logs, or allow more with max_restarts"
        self._merger = merger
        self._layout = layout
        self._plan = Plan(settings.flags, tuple(map(self._record, settings.names)))
        self._asked: set[str] = set()
        self._engine = Engine(self._fail)
        self._launched = False
        self._released = False
        self._ending = False
        self._living = 0
        self._quiet = trio.Event()
        self._progress = trio.Event()
        self._body = trio.CancelScope()
        self.failure: Exception | None = None
        self.on_exit: Callable[[NodeExit], object] = lambda _: None
        self.on_change: Callable[[], object] = lambda: None

    @property
    def over(self) -> bool:
        """Whether all nodes have ended, and none is to be restarted."""
        lasts = [node.last_exit for node in self.nodes.values() if node.child is None]
        ended = [last for last in lasts if last is not None and last.successor is None]
        return len(ended) == len(self.nodes)

    def say(self, text: str) -> None:
        """Write a line of the launcher's own among the logs."""
        self._merger.put(self._layout.note(text))

    def run_apps(self) -> None:
        """Let the app run on every node, from now on as soon as a node is up."""
        self._released = True
        for node in self.nodes.values():
            if node.up and node.child is not None:
                self._engine.start_soon(node.child.tell, {"go": True})

    def kill_all(self) -> None:
        """End all processes at once; whoever waits for their good end waits no longer."""
        self._ending = True
        for node in self.nodes.values():
            if node.child is not None:
                node.going_down()
                node.child.destroy()

    async def stop(self, node: NodeProcess) -> None:
        """End a node's process in good order, by force after the grace, and leave it ended."""
        self._asked.add(node.name)
        while (child := node.child) is not None:  # its successor may have been under way
            node.going_down()
            child.terminate()
            with trio.move_on_after(self.settings.grace) as waiting:
                await node.wait_down()
            if waiting.cancelled_caught:
                self._say_late(node)
            child.destroy()
            if node.child is child:
                await node.wait_down()

    async def restart(self, node: NodeProcess) -> None:
        """Start a node anew."""
        await self.stop(node)
        if self._plan.find(node.name) is None:
            # One that is never restarted is forgotten at its end.
            self._plan = decide.add(self._plan, self._record(node.name))
        self._asked.discard(node.name)
        await self._start(node)

    # From the beginning to the end -----------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Start all processes, keep them running for the time of the block, and end them however it ends.

        They are up and have met when the block is entered. Their apps wait for ``run_apps``: one that keeps the processor to
        itself would keep others from meeting its node.
        """
        await self._engine.start(self._write_logs)
        try:
            with self._body:
                await self._start_all()
                yield
        finally:
            await self._end_all()
        if self.failure is not None:
            raise self.failure

    async def _start_all(self) -> None:
        settings = self.settings
        with trio.move_on_after(settings.start_timeout) as scope:
            for node in self.nodes.values():
                await self._start(node)
            await self._all(lambda node: bool(node.address))
            self._introduce()
            await self._all(lambda node: node.up)
        if scope.cancelled_caught:
            late = ", ".join(name for name, node in self.nodes.items() if not node.up)
            raise LaunchFailed(
                f"not ready within {settings.start_timeout:g} s: {late}; a module that takes long to import "
                "needs a longer start_timeout"
            )
        self._launched = True

    async def _start(self, node: NodeProcess) -> None:
        """Start a process, in a task that neither Ctrl-C nor a cancellation can part from it."""
        outcome = _Started()
        self._engine.start_soon(self._start_within, node, outcome)
        await outcome.done.wait()
        if outcome.error is not None:
            raise LaunchFailed(f"node {node.name} cannot be started: {outcome.error}")

    async def _start_within(self, node: NodeProcess, outcome: _Started) -> None:
        try:
            self._live(node, await start_child(self.settings.command, self._orders(node)))
        except OSError as error:
            outcome.error = error
        outcome.done.set()

    async def _all(self, done: Callable[[NodeProcess], bool]) -> None:
        while not all(map(done, self.nodes.values())):
            self._progress = trio.Event()
            await self._progress.wait()

    def _introduce(self) -> None:
        """Tell each of those that were started before it, so that every two meet once."""
        known: dict[str, str] = {}
        for name, node in self.nodes.items():
            if node.child is not None:
                self._engine.start_soon(node.child.tell, {"peers": dict(known)})
            known[name] = node.address

    async def _end_all(self) -> None:
        self._ending = True
        with trio.CancelScope(shield=True):
            try:
                await self._ask_all_to_end()
            finally:  # a second Ctrl-C lands in the wait above
                self.kill_all()
                await self._all_ended()
                self._merger.close()
                await self._engine.ended()

    async def _ask_all_to_end(self) -> None:
        for node in self.nodes.values():
            if node.child is not None:
                self._asked.add(node.name)
                node.going_down()
                node.child.terminate()
        with trio.move_on_after(self.settings.grace) as waiting:
            await self._all_ended()
        if waiting.cancelled_caught:
            for node in self.nodes.values():
                self._say_late(node)

    def _say_late(self, node: NodeProcess) -> None:
        if node.alive:
            self.say(f"node {node.name} did not end within {self.settings.grace:g} s; killed")

    async def _all_ended(self) -> None:
        while self._living:
            self._quiet = trio.Event()
            await self._quiet.wait()

    def _fail(self, failure: Exception) -> None:
        """End it all, and raise ``failure`` from the block."""
        self.failure = self.failure or failure
        self._body.cancel()

    async def _write_logs(self) -> None:
        try:
            await self._merger.run()
        except OSError as error:
            self._fail(error)

    # One process -----------------------------------------------------------------------------------------------------

    def _record(self, name: str) -> Record:
        return Record(name, self.settings.restart_word)

    def _orders(self, node: NodeProcess) -> Orders:
        return self.settings.orders(node.name, node.address)

    def _live(self, node: NodeProcess, child: Child) -> None:
        """A process was started for a node."""
        node.began(child)
        self._living += 1
        if self._ending:
            child.destroy()
        self._engine.start_soon(self._watch, node, child)

    async def _watch(self, node: NodeProcess, child: Child) -> None:
        """Follow a process through its life, and bury it; nothing but its end ends this."""
        seen = _Seen()
        try:
            with trio.CancelScope(shield=True):
                status = await self._follow_to_its_end(node, child, seen)
                await self._bury(node, child, status, seen)
        finally:
            self._living -= 1
            self._quiet.set()

    async def _follow_to_its_end(self, node: NodeProcess, child: Child, seen: _Seen) -> int:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(uninterrupted, self._copy, node, child.process.stdout, False)
            nursery.start_soon(uninterrupted, self._copy, node, child.process.stderr, True)
            nursery.start_soon(uninterrupted, self._follow, node, child, seen)
            status = await child.process.wait()
            node.going_down()
            child.sweep()
            nursery.cancel_scope.deadline = trio.current_time() + _DRAIN
        await child.close()
        return status

    async def _copy(
        self, node: NodeProcess, stream: trio.abc.ReceiveStream | None, records: bool
    ) -> None:
        assert stream is not None, "it was started with pipes"
        async for line in lines_of(stream):
            for text in self._layout.lines(node.name, line, records=records):
                self._merger.put(text)

    async def _follow(self, node: NodeProcess, child: Child, seen: _Seen) -> None:
        limit = self.settings.start_timeout if self._launched else math.inf
        with trio.move_on_after(limit) as starting:
            async for report in reports_of(child):
                if "ready" in report:
                    starting.deadline = math.inf
                    seen.ready = True
                    self.idle = bool(report.get("idle"))
                    await self._ready(node, child, str(report["ready"]))
                elif "joined" in report:
                    await self._joined(node, child)
                elif "error" in report:
                    seen.error = LaunchFailed(str(report["error"]), str(report["detail"]))
        if starting.cancelled_caught:
            self.say(f"node {node.name} (pid {child.pid}) was not ready within {limit:g} s")
            child.destroy()

    async def _ready(self, node: NodeProcess, child: Child, address: str) -> None:
        node.listens(child, address)
        self._plan = decide.started(self._plan, node.name, trio.current_time())
        self._progress.set()
        if self._launched:
            # Of two that come at the same time, the later one hears of the other: so they meet.
            others = (n for n in self.nodes.values() if n is not node and n.listening)
            await child.tell({"peers": {other.name: other.address for other in others}})

    async def _joined(self, node: NodeProcess, child: Child) -> None:
        if self.greet is not None:
            try:
                await self.greet(node.address)
            except (NodeError, OSError) as error:  # it died meanwhile, most likely
                self.say(f"node {node.name} cannot be reached: {error}")
        node.joined(child)
        if self._released:
            await child.tell({"go": True})
        if node.up:
            self.say(f"node {node.name} is up at {node.address}, pid {child.pid}")
        self._notify()

    # Its end ---------------------------------------------------------------------------------------------------------

    async def _bury(self, node: NodeProcess, child: Child, status: int, seen: _Seen) -> None:
        """Decide what comes of the end of a process, and do it."""
        how = NodeExit(node.name, child.pid, status, node.name in self._asked)
        if self._ending or how.asked:
            self._plan = decide.mark(self._plan, (node.name,), decide.ChildStatus.STOPPED)
            self._tell(node, how)
            return
        if not self._launched:
            self._fail(seen.error or LaunchFailed(f"{how.how} before it was ready"))
            self._tell(node, how)
            return
        if seen.error is not None:
            self.say(str(seen.error))
        now = trio.current_time()
        if seen.ready:
            outcome = decide.died(self._plan, node.name, status == 0, now, _never)
        else:
            outcome = decide.start_failed(self._plan, node.name, now, _never)
        await self._carry_out(node, how, outcome)

    async def _carry_out(self, node: NodeProcess, how: NodeExit, outcome: decide.Outcome) -> None:
        self._plan, directives = outcome
        todo: list[Directive] = list(directives)
        while todo:
            match todo.pop(0):
                case Start():
                    if await self._replace(node, how):
                        return
                    now = trio.current_time()
                    self._plan, more = decide.start_failed(self._plan, node.name, now, _never)
                    todo.extend(more)
                case Retry(id=name, ticket=ticket):
                    self._plan, more = decide.retry(self._plan, name, ticket)
                    todo.extend(more)
                case GiveUp():
                    self._give_up(how)
                case Stop() | Forget() | ShutDown():
                    pass  # each stands for itself, and is known by its handle
        self._tell(node, how)

    async def _replace(self, node: NodeProcess, how: NodeExit) -> bool:
        try:
            child = await start_child(self.settings.command, self._orders(node))
        except OSError as error:
            self.say(f"node {node.name} cannot be restarted: {error}")
            return False
        node.restarts += 1
        self._tell(node, attrs.evolve(how, successor=child.pid))
        self._live(node, child)
        return True

    def _give_up(self, how: NodeExit) -> None:
        flags = self.settings.flags
        most = flags.max_restarts
        counted = "was 1 restart" if most == 1 else f"were {most} restarts"
        self._fail(
            LaunchFailed(
                f"{how.how}, and there {counted} within {flags.within:g} s already: given up; {self.advice}"
            )
        )

    def _tell(self, node: NodeProcess, how: NodeExit) -> None:
        node.buried(how)
        if self._launched and not self._ending:
            self.say(str(how))
        self._notify(how)

    def _notify(self, how: NodeExit | None = None) -> None:
        self._progress.set()
        try:
            self.on_change()
            if how is not None:
                self.on_exit(how)
        except Exception as error:  # noqa: BLE001 - user code; raised where the launch was opened
            self._fail(error)


@attrs.define(eq=False)
class _Started:
    """What came of starting a process."""

    done: trio.Event = attrs.field(factory=trio.Event)
    error: OSError | None = None


@attrs.define(eq=False)
class _Seen:
    """What was heard of a process during its life."""

    ready: bool = False
    error: LaunchFailed | None = None


def _never() -> float:
    raise AssertionError("no back-off, no jitter")
