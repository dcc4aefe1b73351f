"""The kit: a system in virtual time for one test, with probes, ordered deaths, and laws that are checked at the end.

In pytest, an async test takes ``kit`` as an argument. Elsewhere: ``async with open_kit() as kit`` in something that
``run_in_virtual_time`` runs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar, ParamSpec, TypeVar, TypeVarTuple, overload

import trio
from trio.testing import wait_all_tasks_blocked

from actorkit.kernel.actor import Actor, Props, props
from actorkit.kernel.events import DeadLetter, DeadReason
from actorkit.kernel.exits import ExitReason
from actorkit.kernel.ref import Ref
from actorkit.kernel.registry import Key
from actorkit.kernel.report import CrashReport
from actorkit.kernel.system import Conservation, Startable, System, open_system
from actorkit.testing import expectations
from actorkit.testing.chart import mermaid, text_chart
from actorkit.testing.checks import check_conserved, check_nothing_left
from actorkit.testing.clock import VirtualClock
from actorkit.testing.expectations import Because, Caught
from actorkit.testing.failures import Deadlock, LeftBehind, Misdirected, Unbalanced
from actorkit.testing.probe import Probe
from actorkit.testing.running import DeadlockWatch, virtual_clock
from actorkit.testing.seams import simulated_seams
from actorkit.testing.standin import Inbox, standin
from actorkit.testing.stepped import open_stepped_system
from actorkit.testing.trace import Noted, Trace

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
H = TypeVar("H")
M = TypeVar("M")
R = TypeVar("R")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")

_KITS: trio.lowlevel.RunVar[int] = trio.lowlevel.RunVar("actorkit_kits")  # opened in this run
_SHOWN = 40  # events in a chart of what happened last


class TestKit:
    """A system for one test, and what a test does with it. ``open_kit`` makes one; in pytest it is the fixture ``kit``.

    Attributes:
        system: the system, of which nothing is hidden.
        trace: everything that has happened in it.
    """

    # What the kit itself raises at the end of a test: where that is raised tells nobody anything.
    _own_failures: ClassVar = (Deadlock, LeftBehind, Misdirected, Unbalanced)

    __test__ = False  # it is no test, whatever its name makes pytest think

    def __init__(self, system: System, clock: VirtualClock, trace: Trace) -> None:
        self.system = system
        self.trace = trace
        self._clock = clock
        self._crashes: list[CrashReport] = []
        self._dead_letters: list[DeadLetter] = []
        self._probes: list[Probe[Any]] = []
        self._shown: int | None = None
        system.events.subscribe(self._crashes.append, CrashReport)
        system.events.subscribe(self._dead_letters.append, DeadLetter)

    def __repr__(self) -> str:
        return f"TestKit({self.system.name!r}, at {self.now():g} s, {len(self.trace)} events)"

    # Actors ----------------------------------------------------------------------------------------------------------

    @overload
    async def spawn(
        self,
        made: Props[M],
        /,
        *,
        name: str | Key[M] | None = None,
        start_timeout: float | None = None,
    ) -> Ref[M]: ...
    @overload
    async def spawn(
        self, made: Callable[P, Actor[M]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Ref[M]: ...
    async def spawn(self, made: Any, /, *args: Any, **kwargs: Any) -> Ref[Any]:
        """Start an actor and wait until it is ready: ``await kit.spawn(Account, owner="ann")``.

        With a class, all other arguments are its constructor's. To give it a name, say how to make it with ``props``:
        ``await kit.spawn(ak.props(Account, owner="ann"), name="ann")``.

        Raises:
            StartFailed, StartTimeout, StartIgnored, AlreadyStarted: see ``Context.spawn``.
        """
        if isinstance(made, Props):
            return await self.system.spawn(made, *args, **kwargs)
        return await self.system.spawn(props(made, *args, **kwargs))

    async def start(self, tree: Startable[H], /, *, name: str | None = None) -> H:
        """Start a supervision tree and return its handle: ``await kit.start(ak.supervise(...))``.

        Raises:
            StartFailed: a child failed to start; those started before it were stopped again.
        """
        return await self.system.start(tree, name=name)

    @overload
    def probe(self, *, name: str | Key[Any] | None = None) -> Probe[object]: ...
    @overload
    def probe(self, a: type[A], /, *, name: str | Key[A] | None = None) -> Probe[A]: ...
    @overload
    def probe(
        self, a: type[A], b: type[B], /, *, name: str | Key[Any] | None = None
    ) -> Probe[A | B]: ...
    @overload
    def probe(
        self, a: type[A], b: type[B], c: type[C], /, *, name: str | Key[Any] | None = None
    ) -> Probe[A | B | C]: ...
    @overload
    def probe(
        self,
        a: type[A],
        b: type[B],
        c: type[C],
        d: type[D],
        /,
        *,
        name: str | Key[Any] | None = None,
    ) -> Probe[A | B | C | D]: ...
    @overload
    def probe(
        self,
        a: type[A],
        b: type[B],
        c: type[C],
        d: type[D],
        e: type[E],
        /,
        *,
        name: str | Key[Any] | None = None,
    ) -> Probe[A | B | C | D | E]: ...
    def probe(self, *vocabulary: type, name: str | Key[Any] | None = None) -> Probe[Any]:
        """Make a probe, an actor whose part the test plays: ``kit.probe(Withdrawn, Insufficient)``.

        What it is sent of other classes is turned away, and the test fails; without classes it takes everything.

        Args:
            vocabulary: the classes of messages it takes.
            name: a name to register it under, for actors that look their partners up by name.
        """
        for cls in vocabulary:
            if not isinstance(cls, type):
                raise TypeError(f"probe() takes message classes, one by one, got {cls!r}")
        inbox = Inbox()
        taken = vocabulary or (object,)
        ref = _at_once(self._start_probe(standin(taken, inbox), name))
        probe: Probe[Any] = Probe(ref, taken, inbox, self.settle)
        self._probes.append(probe)
        return probe

    async def _start_probe(self, made: Props[Any], name: str | Key[Any] | None) -> Ref[Any]:
        if name is not None:
            return await self.system.spawn(made, name=name)
        segment = f"probe-{len(self._probes) + 1}"
        cell, _ = await self.system.runtime.start(made, segment=segment)  # a path, but no name
        return cell.ref

    async def kill(self, ref: Ref[Any], /) -> None:
        """Kill an actor and wait until it is gone; a supervisor may start it again after that."""
        ref.kill()
        await ref.wait_stopped()

    async def state_of(self, ref: Ref[Any], /) -> dict[str, Any]:
        """An actor's attributes, once it has handled what this test sent it before.

        Raises:
            ActorDied: it is gone. TimeoutError: it did not get to it in time.
        """
        return await self.system.state_of(ref)

    # Time ------------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Virtual seconds since the run began."""
        return self._clock.current_time()

    async def settle(self) -> None:
        """Wait until nothing can go on before the clock moves; it does not move meanwhile."""
        await wait_all_tasks_blocked()

    async def advance(self, seconds: float, /) -> None:
        """Let virtual time pass, deadline after deadline, and settle: what is due at the end has happened too."""
        await trio.sleep(seconds)
        await self.settle()

    # What is expected ------------------------------------------------------------------------------------------------

    def expect_restarts(
        self,
        ref: Ref[Any],
        times: int = 1,
        *,
        because: Because | None = None,
        within: float = expectations.WITHIN,
    ) -> AbstractAsyncContextManager[Caught[ExitReason]]:
        """An actor is to be restarted exactly so many times by the end of the block, which waits for it.

        Args:
            ref: the reference of a supervised actor.
            times: how often.
            because: the class of exception, or of exit reason such as ``ak.Killed``, that it ends by each time.
            within: virtual seconds to wait at the end of the block.

        Raises:
            Unexpected: there were fewer restarts, or more, or for other reasons; the text says what happened.
        """
        return expectations.expect_restarts(self.system, self.settle, ref, times, because, within)

    def expect_crash(
        self,
        who: Ref[Any] | type[Actor[Any]],
        error: type[BaseException],
        *,
        within: float = expectations.WITHIN,
    ) -> AbstractAsyncContextManager[Caught[CrashReport]]:
        """An actor, or some actor of a class, is to crash exactly once by the end of the block, which waits for it.

        Raises:
            Unexpected: it did not, or otherwise; the text has the traceback.
        """
        return expectations.expect_crash(self.system, self.settle, who, error, within)

    def expect_dead_letters(
        self, count: int = 1, of: type = object, *, reason: DeadReason | None = None
    ) -> AbstractAsyncContextManager[Caught[DeadLetter]]:
        """Exactly so many messages of a class are to be lost by the end of the block, which settles.

        Args:
            count: how many; 0 says that none must be lost.
            of: the class of message; others do not count.
            reason: why they are lost; those lost otherwise do not count.

        Raises:
            Unexpected: there were fewer or more; the text lists them.
        """
        return expectations.expect_dead_letters(self.system, self.settle, count, of, reason)

    # What has happened -----------------------------------------------------------------------------------------------

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """All messages that were lost so far, with reasons."""
        return tuple(self._dead_letters)

    @property
    def crashes(self) -> tuple[CrashReport, ...]:
        """The reports of all crashes so far."""
        return tuple(self._crashes)

    def conservation(self) -> Conservation:
        """The books: what was sent, and what became of it."""
        return self.system.conservation()

    def note(self, text: str, /) -> None:
        """Write something into the trace, for whoever reads the chart."""
        self.trace.append(Noted(len(self.trace), self.now(), text))

    def chart(self, *, last: int | None = None) -> str:
        """What has happened as a message sequence chart; of the last so many events, if told so."""
        return text_chart(self.trace, last=last)

    def mermaid(self) -> str:
        """What has happened as a Mermaid sequence diagram."""
        return mermaid(self.trace)

    def report(self, *, last: int = _SHOWN) -> str:
        """What a person wants to see of a failed test: the crashes, and a chart of the last events."""
        crashes = [
            f"{crash.path} crashed while handling {crash.handling or 'nothing'}\n{crash.traceback}"
            for crash in self._crashes
        ]
        events = list(self.trace)[: self._shown]
        return "\n".join((*crashes, text_chart(events, last=last) if events else ""))

    def _conclude(self) -> None:
        """Leave what happens from now on, such as the shutdown, out of reports."""
        if self._shown is None:
            self._shown = len(self.trace)

    def check(self) -> None:
        """What must hold of every test so far: the books balance, and every probe got only what it takes.

        Raises:
            Unbalanced: a message is unaccounted for.
            Misdirected: a probe was sent something outside its vocabulary.
        """
        check_conserved(self.system)
        paths = {probe.path: probe for probe in self._probes}
        for letter in self._dead_letters:
            if letter.reason is DeadReason.UNHANDLED and letter.path in paths:
                raise Misdirected(f"{paths[letter.path]!r} was sent {letter.message!r}")


@asynccontextmanager
async def open_kit(
    name: str = "local", *, seed: int = 0, stepped: bool = True
) -> AsyncGenerator[TestKit, None]:
    """Open a kit for the time of an ``async with`` block, in something that ``run_in_virtual_time`` runs.

    At the end of the block the laws are checked: no message has vanished, no probe got what it does not take, and
    after shutdown nothing is left. A failure in the block gets a note with the last events.

    Args:
        name: the node's name.
        seed: what ``ctx.rng`` and the ids of this system are drawn from.
        stepped: handle one message a step and keep a trace. Without it the system is the one that runs in production,
            with its batches, and there is nothing to draw a chart from.

    Raises:
        Deadlock: nothing could go on, and the block would have waited for ever; the text says who waits for whom.
        Unbalanced, Misdirected, LeftBehind: a law was broken.
    """
    async with open_kit_for_runner(name, seed=seed, stepped=stepped, annotate=True) as kit:
        yield kit


@asynccontextmanager
async def open_kit_for_runner(
    name: str = "local", *, seed: int = 0, stepped: bool = True, annotate: bool = False
) -> AsyncGenerator[TestKit, None]:
    """As ``open_kit``, for test runners that have a better place than a note for what is to be told of a failure."""
    clock = virtual_clock()
    trace = Trace()
    with DeadlockWatch(clock) as watch:
        async with _open_system(name, seed, trace if stepped else None) as system:
            kit = TestKit(system, clock, trace)
            watch.begin(system.runtime, kit._conclude)
            try:
                with watch.body:
                    yield kit
                watch.check()
                await kit.settle()
                kit.check()
            except Exception as error:
                failure = watch.failure or error
                if annotate:
                    failure.add_note(kit.report())
                if failure is error:
                    raise
                raise failure from error
            finally:
                kit._conclude()
        watch.check()
    check_conserved(system)
    check_nothing_left(system)


def _open_system(name: str, seed: int, trace: Trace | None) -> AbstractAsyncContextManager[System]:
    if trace is None:
        return open_system(name, audit=True, logs=False, watchdog=None)
    kits = _KITS.get(0)
    _KITS.set(kits + 1)
    seams = simulated_seams(f"{seed}, kit {kits}")  # two systems of one run have ids of their own
    return open_stepped_system(name, trace=trace, seams=seams, step=lambda: len(trace))


def _at_once(starting: Coroutine[Any, Any, R]) -> R:
    """The result of a coroutine that has no reason to wait."""
    try:
        starting.send(None)
    except StopIteration as done:
        result: R = done.value
        return result
    starting.close()
    raise RuntimeError("a probe did not start at once")
