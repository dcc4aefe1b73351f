"""Drive a trio world from plain synchronous code, one call at a time: ``stepper.run(ref.ask, Deposit(5))``.

Property tests made of rules (Hypothesis's state machines) are synchronous, and between two rules the world must stand still
as it is. trio's guest mode allows that: the loop is stepped by its host. Here the host is the caller, the clock is virtual,
and no thread takes part, so a call costs little more than what the world does with it.
"""

from __future__ import annotations

import math
import queue
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

import outcome
import trio

from actorkit.kernel.message import shortened
from actorkit.testing.clock import VirtualClock
from actorkit.testing.failures import Deadlock

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE = 24 * 3600.0  # virtual seconds that one call may take
MAX_TICKS = 200_000  # passes of trio's loop that one call may take; a second or two of real time
_TICKS_TO_UNWIND = 1_000
_SHOWN_FRAMES = 6
_TRIO = str(Path(trio.__file__).parent)


class Livelock(AssertionError):
    """The world goes on and on, and what was called does not end."""


class Job(Generic[R]):
    """A call under way in a stepped world; ``Stepper.start`` makes it."""

    __slots__ = ("_outcome", "_work", "name", "read", "scope", "task")

    def __init__(self, name: str, work: Callable[[], Awaitable[R]], *, scoped: bool = True) -> None:
        self.name = name
        self.scope = trio.CancelScope() if scoped else None
        self.task: trio.lowlevel.Task | None = None
        self.read = False
        self._work = work
        self._outcome: outcome.Outcome[R] | None = None

    def __repr__(self) -> str:
        return f"<Job {self.name}, {'done' if self.done else 'under way'}>"

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._outcome is not None

    @property
    def failure(self) -> BaseException | None:
        """What it raised, if it has ended so."""
        return self._outcome.error if isinstance(self._outcome, outcome.Error) else None

    def result(self) -> R:
        """What it returned; what it raised is raised, freed of the groups that nurseries put it into.

        Raises:
            RuntimeError: it is still under way, or was cancelled.
        """
        if self._outcome is None:
            raise RuntimeError(f"{self.name} is still under way; let the stepper settle or advance")
        self.read = True
        if isinstance(self._outcome, outcome.Error):
            raise freed(self._outcome.error)
        return self._outcome.unwrap()

    def cancel(self) -> None:
        """Call it off; it ends when the world goes on."""
        if self.scope is not None:
            self.scope.cancel()

    async def perform(self) -> None:
        """Do the work and keep what came of it."""
        self.task = trio.lowlevel.current_task()
        with self.scope or nullcontext():
            try:
                self._outcome = outcome.Value(await self._work())
            except trio.Cancelled:
                raise
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
                self._outcome = outcome.Error(error)
        if not self.done:
            self._outcome = outcome.Error(_JobCancelled(f"{self.name} was cancelled"))


class _JobCancelled(RuntimeError):
    """The result of a job that the stepper has called off."""


class _HeldClock(VirtualClock):
    """A virtual clock that moves only when its holder says so, and tells that nothing can go on until then.

    Attributes:
        idle: whether nothing can go on at the time it shows.
        deadline: the next deadline, as trio told it last.
    """

    def __init__(self) -> None:
        super().__init__(on_deadlock=self._note)
        self.idle = False
        self.deadline = math.inf

    def _note(self) -> None:
        self.idle = True

    def deadline_to_sleep_time(self, deadline: float) -> float:
        if deadline <= self.current_time():
            return 0.0
        self.deadline = deadline
        return super().deadline_to_sleep_time(math.inf)

    def go_to(self, moment: float) -> None:
        """Show a later time; one that has passed changes nothing."""
        self.jump(max(0.0, moment - self.current_time()))


class Stepper:
    """A trio run that goes on only while one of its methods is called; a context manager.

    Between calls everything stands still, the clock included, and synchronous functions of trio and actorkit (``tell``,
    ``kill``) may be called directly. A thread can hold one trio run, and so one stepper, at a time.

    Args:
        patience: virtual seconds that one call may take.
        max_ticks: passes of trio's loop that one call may take.
    """

    def __init__(self, *, patience: float = PATIENCE, max_ticks: int = MAX_TICKS) -> None:
        self._clock = _HeldClock()
        self._patience = patience
        self._max_ticks = max_ticks
        self._ticks: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._stack = AsyncExitStack()
        self._next: Job[Any] | None = None
        self._parked = False
        self._quiet = 0
        self._started: list[Job[Any]] = []
        self._closing = False
        self._end: outcome.Outcome[None] | None = None
        self._main_task: trio.lowlevel.Task | None = None
        self._nursery: trio.Nursery | None = None

    def __enter__(self) -> Self:
        if self._main_task is not None:
            raise RuntimeError("a stepper is entered once; make another one")
        if trio.lowlevel.in_trio_run():
            raise RuntimeError(
                "this thread has a trio run already: use a stepper in a plain function, and one at a time"
            )
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._ticks.put,
            done_callback=self._ended,
            host_uses_signal_set_wakeup_fd=True,  # nobody sleeps here, so nobody needs waking
            clock=self._clock,
        )
        self.settle()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except Exception:
            if error is None:  # else it may well follow from the failure that is under way
                raise

    # Calls into the world ----------------------------------------------------------------------------------------

    def run(self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call an async function in the world and return its result; time passes as far as it must.

        Raises:
            Deadlock: it waits for ever.
            Livelock: it takes more than the stepper's patience.
        """
        return self._run(Job(name_of(function), lambda: function(*args, **kwargs)))

    def enter(self, manager: AbstractAsyncContextManager[R], /) -> R:
        """Enter an async context manager, such as ``ak.open_system()``; ``close`` leaves it."""
        name = f"entering {type(manager).__name__}"
        work = self._stack.enter_async_context
        return self._run(Job(name, lambda: work(manager), scoped=False))

    def start(
        self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]:
        """Begin to call an async function; it goes on whenever the world does."""
        job = Job(name_of(function), lambda: function(*args, **kwargs))
        self._living().start_soon(job.perform, name=job.name)
        self._started.append(job)
        return job

    def wait(self, job: Job[R], /) -> R:
        """Go on until a started job has ended, and return its result; time passes as far as it must."""
        self._go_on(lambda: job.done, job)
        if job in self._started:
            self._started.remove(job)
        return job.result()

    # Time --------------------------------------------------------------------------------------------------------

    @property
    def clock(self) -> VirtualClock:
        """The clock of the world; it moves when a call waits, or when it is told to."""
        return self._clock

    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return self._clock.current_time()

    def step(self, times: int = 1) -> None:
        """Let trio make some passes over what can go on; the clock does not move."""
        for _ in range(times):
            self._living()
            self._tick()

    def settle(self) -> None:
        """Go on until nothing can go on any more before the clock moves; it does not move."""
        self._go_on(self._idle)

    def advance(self, seconds: float) -> None:
        """Let virtual time pass; whatever becomes due meanwhile happens in order.

        Raises:
            ValueError: time does not go backwards.
            Livelock: more is due than the stepper has patience for.
        """
        until = self.now() + checked_seconds(seconds)
        self.settle()
        for _ in range(self._max_ticks):
            if self._clock.deadline > until:
                break
            self._clock.go_to(self._clock.deadline)
            self.settle()
        else:
            raise Livelock(f"more timers than {self._max_ticks} were due within {seconds:g} s")
        self._clock.go_to(until)
        self.settle()

    def jump(self) -> bool:
        """Move the clock to the next deadline before anything else goes on: a timer that is early.

        Tells whether there was a deadline. What is due happens when the world goes on, at the same time as what could
        go on before.
        """
        deadline = self.next_deadline()
        if math.isinf(deadline):
            return False
        self._clock.go_to(deadline)
        return True

    def next_deadline(self) -> float:
        """When the next timer is due, on the stepper's clock; infinity if none is set."""
        self._living()
        return self.now() + trio.lowlevel.current_statistics().seconds_to_next_deadline

    # The end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Call off what is under way, leave what was entered, end the trio run. Closing twice changes nothing.

        Raises:
            Exception: what leaving raised, or a started job for whose result nobody has waited.
        """
        if self._closing or self._main_task is None:
            return
        self._closing = True
        failures: list[BaseException] = []
        for end in (self._end_jobs, self._end_main):
            try:
                end()
            except Exception as error:  # noqa: BLE001 - the rest is closed all the same; it is raised below
                failures.append(error)
        failures += [job.failure for job in self._started if job.failure and not job.read]
        failures = [error for error in failures if not isinstance(error, _JobCancelled)]
        if failures:
            raise freed(failures[0])

    def _end_jobs(self) -> None:
        for job in self._started:
            self._call_off(job)
        closing = Job("closing", _nothing)
        self._go_on(lambda: self._end is not None or all(j.done for j in self._started), closing)

    def _end_main(self) -> None:
        self._unpark()
        self._go_on(lambda: self._end is not None, Job("closing", _nothing, scoped=False))
        if isinstance(self._end, outcome.Error):
            raise self._end.error

    # The world's side --------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        self._main_task = trio.lowlevel.current_task()
        async with trio.open_nursery() as self._nursery:
            try:
                async with self._stack:
                    await self._take_jobs()
            finally:  # what was entered may have cancelled the whole block
                for job in self._started:
                    job.cancel()

    async def _take_jobs(self) -> None:
        while not self._closing:
            job, self._next = self._next, None
            if job is not None:
                await job.perform()
            else:
                self._parked = True
                await trio.lowlevel.wait_task_rescheduled(self._wake)

    def _wake(self, _: object) -> trio.lowlevel.Abort:
        self._parked = False
        return trio.lowlevel.Abort.SUCCEEDED

    def _ended(self, end: outcome.Outcome[None]) -> None:
        self._end = end

    # The host's side ---------------------------------------------------------------------------------------------

    def _run(self, job: Job[R]) -> R:
        self._living()
        self._next = job
        self._unpark()
        self._go_on(lambda: job.done, job)
        return job.result()

    def _unpark(self) -> None:
        if self._parked and self._main_task is not None:
            self._parked = False
            trio.lowlevel.reschedule(self._main_task)

    def _living(self) -> trio.Nursery:
        if isinstance(self._end, outcome.Error):
            raise freed(self._end.error)
        if self._nursery is None or self._closing or self._end is not None:
            raise RuntimeError("the stepper is not open: with Stepper() as stepper: ...")
        return self._nursery

    @trio.lowlevel.enable_ki_protection  # a tick that Ctrl-C takes away would never come back
    def _tick(self) -> None:
        self._clock.idle = False
        self._ticks.get()()
        self._quiet = self._quiet + 1 if self._clock.idle else 0

    def _idle(self) -> bool:
        # Twice: trio looks for what came from outside, its own wake-up calls included, between two ticks.
        return self._quiet > 1

    def _go_on(self, done: Callable[[], bool], job: Job[Any] | None = None) -> None:
        """Tick until it is done; with a job, time passes when nothing else can go on."""
        until = self.now() + self._patience
        self._quiet = 0  # whoever calls this may just have made something runnable
        for _ in range(self._max_ticks):
            if done():
                return
            if self._end is not None:
                self._living()
            if job is not None and self._idle():
                self._pass_time(job, until)
            self._tick()
        name = job.name if job is not None else "settling"
        raise self._given_up(
            job, Livelock(f"{name} does not end: {self._max_ticks} steps were not enough")
        )

    def _pass_time(self, job: Job[Any], until: float) -> None:
        deadline = self._clock.deadline
        if math.isinf(deadline):
            text = f"{job.name} waits for ever: nothing can go on, and no timer is set"
            raise self._given_up(job, Deadlock(text + _where(job)))
        if deadline > until:
            text = f"{job.name} has not ended in {self._patience:g} virtual seconds"
            raise self._given_up(job, Livelock(text + _where(job)))
        self._clock.go_to(deadline)

    def _given_up(self, job: Job[Any] | None, error: AssertionError) -> AssertionError:
        """Call a job off that does not end, so that the stepper can be used, or at least closed."""
        if job is not None:
            self._call_off(job)
            for _ in range(_TICKS_TO_UNWIND):
                if self._over(job):
                    break
                self._tick()
        return error

    def _over(self, job: Job[Any]) -> bool:
        return job.done or self._end is not None

    def _call_off(self, job: Job[Any]) -> None:
        job.cancel()
        if job.scope is None and self._nursery is not None:
            self._nursery.cancel_scope.cancel()


async def _nothing() -> None:
    """The work of a job that has none."""


def freed(error: BaseException) -> BaseException:
    """The one exception in a group of groups; a group of several stays one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def name_of(function: object) -> str:
    """What a function is called in messages; a method with the object it belongs to."""
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", None)
    if owner is None or name is None:
        return str(getattr(function, "__qualname__", None) or shortened(function))
    return f"{shortened(owner, 60)}.{name}"


def checked_seconds(seconds: float) -> float:
    """Return a number of seconds from 0 up, else raise ValueError naming it."""
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise ValueError(f"a clock advances by a number of seconds from 0 up, got {seconds!r}")
    return seconds


def _where(job: Job[Any]) -> str:
    """Where a job waits, the innermost frame last."""
    if job.task is None:
        return ""
    places = [(f.f_code, line) for f, line in job.task.iter_await_frames()]
    own = [(code, line) for code, line in places if code.co_filename != __file__]
    outer = [one for one in own if not one[0].co_filename.startswith(_TRIO)]
    shown = (outer or own)[-_SHOWN_FRAMES:]
    lines = [f"\n  {code.co_filename}:{line} in {code.co_qualname}" for code, line in shown]
    return "; it waits at" + "".join(lines) if lines else ""
