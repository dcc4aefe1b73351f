"""The stepper drives a trio world from plain functions, on a clock that it holds."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

import actorkit as ak
from actorkit.testing.failures import Deadlock
from actorkit.testing.stepper import Livelock, Stepper


@ak.message
class Add(ak.Request[int]):
    amount: int


@ak.message
class Slow(ak.Request[float]):
    seconds: float


@ak.message
class Crash:
    pass


class Counter(ak.Actor[Add | Slow | Crash]):
    def __init__(self) -> None:
        self.total = 0

    @ak.on(Add)
    def add(self, msg: Add) -> int:
        self.total += msg.amount
        return self.total

    @ak.on(Slow)
    async def slow(self, msg: Slow) -> float:
        await self.ctx.sleep(msg.seconds)
        return self.ctx.now()

    @ak.on(Crash)
    def crash(self, msg: Crash) -> None:
        raise ZeroDivisionError("on purpose")


@pytest.fixture
def stepper() -> Iterator[Stepper]:
    """An open stepper."""
    with Stepper() as opened:
        yield opened


@pytest.fixture
def system(stepper: Stepper) -> ak.System:
    """A system in the stepper's world."""
    return stepper.enter(ak.open_system(logs=False, watchdog=None, audit=True))


async def fail_in_groups() -> None:
    """Raise a ValueError in a nursery in a nursery."""

    async def fail() -> None:
        raise ValueError("inside")

    async with trio.open_nursery() as outer, trio.open_nursery() as inner:
        outer.start_soon(trio.sleep_forever)
        inner.start_soon(fail)


# Calls --------------------------------------------------------------------------------------------------------------


def test_a_call_returns_what_the_actor_answers(stepper: Stepper, system: ak.System) -> None:
    """``run`` gives the result of an async function."""
    ref = stepper.run(system.spawn, ak.props(Counter))
    assert [stepper.run(ref.ask, Add(n)) for n in (1, 2, 3)] == [1, 3, 6]


def test_what_a_call_raises_is_raised_without_groups(stepper: Stepper) -> None:
    """Nurseries wrap errors in groups of one; the caller gets the error itself."""
    with pytest.raises(ValueError, match="inside"):
        stepper.run(fail_in_groups)
    stepper.run(trio.sleep, 1)


def test_several_errors_stay_a_group(stepper: Stepper) -> None:
    """A group of two tells of both."""

    async def fail(error: Exception) -> None:
        raise error

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, ValueError("one"))
            nursery.start_soon(fail, KeyError("two"))

    with pytest.raises(ExceptionGroup) as caught:
        stepper.run(both)
    assert {type(error) for error in caught.value.exceptions} == {ValueError, KeyError}


def test_a_thousand_asks_take_less_than_a_second(stepper: Stepper, system: ak.System) -> None:
    """A call costs tens of microseconds; ten times that is still a pass, for the machine may be busy."""
    ref = stepper.run(system.spawn, ak.props(Counter))
    before = time.process_time()
    for _ in range(1_000):
        stepper.run(ref.ask, Add(1))
        stepper.settle()
    assert time.process_time() - before < 1.0


def test_no_thread_takes_part(stepper: Stepper, system: ak.System) -> None:
    """Guest mode waits in a thread unless there is nothing to wait for; here there never is."""
    before = threading.active_count()
    ref = stepper.run(system.spawn, ak.props(Counter))
    stepper.run(ref.ask, Slow(1000.0), timeout=None)
    stepper.advance(1000.0)
    assert threading.active_count() == before


def test_worker_threads_are_waited_for(stepper: Stepper) -> None:
    """The clock stands still while a worker thread computes."""
    done = threading.Event()

    async def offload() -> bool:
        with trio.move_on_after(3600) as scope:
            return await trio.to_thread.run_sync(done.wait, 10.0)
        return scope.cancelled_caught

    threading.Timer(0.02, done.set).start()
    assert stepper.run(offload)
    assert stepper.now() == 0.0


# Time ---------------------------------------------------------------------------------------------------------------


def test_time_passes_only_as_far_as_a_call_waits(stepper: Stepper) -> None:
    """A call jumps over what it waits for, and between calls the clock stands."""
    stepper.run(trio.sleep, 600.0)
    assert stepper.now() == 600.0
    stepper.settle()
    assert stepper.now() == 600.0


def test_a_job_goes_on_whenever_the_world_does(stepper: Stepper) -> None:
    """``start`` begins, ``advance`` carries on, ``result`` tells."""
    job = stepper.start(trio.sleep, 3.0)
    stepper.advance(2.0)
    done = [job.done]
    with pytest.raises(RuntimeError, match="still under way"):
        job.result()
    stepper.advance(1.0)
    assert [*done, job.done] == [False, True]
    job.result()


def test_what_falls_due_happens_in_order(stepper: Stepper) -> None:
    """``advance`` goes from deadline to deadline."""
    seen: list[tuple[str, float]] = []

    async def note(name: str, *delays: float) -> None:
        for delay in delays:
            await trio.sleep(delay)
            seen.append((name, trio.current_time()))

    stepper.start(note, "a", 1.0, 2.0)
    stepper.start(note, "b", 2.0, 2.0)
    stepper.advance(3.5)
    assert seen == [("a", 1.0), ("b", 2.0), ("a", 3.0)]
    assert stepper.now() == 3.5
    stepper.advance(1.0)


def test_a_timer_may_come_early(stepper: Stepper, system: ak.System) -> None:
    """``jump`` moves the clock before a message that waits is handled: the ask times out, and is handled all the same."""
    ref = stepper.run(system.spawn, ak.props(Counter))
    job = stepper.start(ref.ask, Slow(2.0), timeout=5.0)
    stepper.step(10)
    second = stepper.start(ref.ask, Add(1), timeout=1.0)
    stepper.settle()
    assert stepper.next_deadline() == 1.0
    assert stepper.jump()
    with pytest.raises(ak.AskTimeout):
        stepper.wait(second)
    assert stepper.wait(job) == 2.0
    assert stepper.run(ref.ask, Add(0)) == 1


def test_there_may_be_no_timer_to_come_early(stepper: Stepper) -> None:
    """``jump`` tells that there was nothing to jump to."""
    assert stepper.next_deadline() == math.inf
    assert not stepper.jump()


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_time_does_not_go_backwards(stepper: Stepper, seconds: float) -> None:
    """A clock advances by a finite number of seconds."""
    with pytest.raises(ValueError, match="from 0 up"):
        stepper.advance(seconds)


# What does not end --------------------------------------------------------------------------------------------------


def test_waiting_for_ever_is_a_deadlock_that_names_the_place(stepper: Stepper) -> None:
    """With nothing to go on and no timer, the call is called off; the stepper can be used on."""

    async def wait_for_nobody() -> None:
        await trio.Event().wait()

    with pytest.raises(Deadlock, match=r"waits for ever(.|\n)*test_stepper\.py") as caught:
        stepper.run(wait_for_nobody)
    assert "wait_for_nobody" in str(caught.value)
    assert stepper.run(_answer) == 42


async def _answer() -> int:
    await trio.lowlevel.checkpoint()
    return 42


def test_an_actor_that_never_answers_is_a_deadlock(stepper: Stepper, system: ak.System) -> None:
    """Without a time-out, an ask of an actor that is suspended would wait for ever."""
    ref = stepper.run(system.spawn, ak.props(Counter))
    system.suspend(ref)
    with pytest.raises(Deadlock, match=r"ask waits for ever"):
        stepper.run(ref.ask, Add(1), timeout=None)
    system.resume(ref)
    assert stepper.run(ref.ask, Add(1)) == 2  # the first was not taken back, as ever with asks


async def trio_ticks(seconds: float) -> AsyncGenerator[None]:
    """For ever, every few seconds."""
    for _ in itertools.count():
        await trio.sleep(seconds)
        yield


def test_ticking_on_for_ever_is_a_livelock() -> None:
    """A call may take so much virtual time, and no more."""

    async def tick() -> None:
        async for _ in trio_ticks(60.0):
            pass

    with Stepper(patience=3600.0) as stepper:
        with pytest.raises(Livelock, match="3600 virtual seconds"):
            stepper.run(tick)
        assert stepper.run(_answer) == 42


def test_spinning_for_ever_is_a_livelock() -> None:
    """A world that never comes to rest is told from one that is slow, by counting."""

    async def spin() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    with Stepper(max_ticks=500) as stepper:
        with pytest.raises(Livelock, match="500 steps"):
            stepper.run(spin)
        job = stepper.start(spin)
        with pytest.raises(Livelock, match="settling does not end"):
            stepper.settle()
        job.cancel()
        assert stepper.run(_answer) == 42


def test_a_flood_of_timers_is_a_livelock() -> None:
    """Time passes from deadline to deadline, and there may be too many."""

    async def tick() -> None:
        async for _ in trio_ticks(0.001):
            pass

    with Stepper(max_ticks=50) as stepper:
        stepper.start(tick)
        with pytest.raises(Livelock, match="more timers than 50 were due within 10 s"):
            stepper.advance(10.0)


def test_entering_for_ever_ends_the_stepper() -> None:
    """What is entered belongs to the whole run, so it can only be called off with it."""

    @asynccontextmanager
    async def never() -> AsyncGenerator[None]:
        await trio.Event().wait()
        yield

    with Stepper() as stepper:
        with pytest.raises(Deadlock, match="entering _AsyncGeneratorContextManager waits for ever"):
            stepper.enter(never())
        with pytest.raises(RuntimeError, match="not open"):
            stepper.run(_answer)


def test_what_was_entered_may_end_the_run() -> None:
    """A system whose kernel fails cancels what is in its block; the stepper says that it is closed, and does not hang."""

    @asynccontextmanager
    async def cancellable() -> AsyncGenerator[trio.CancelScope]:
        with trio.CancelScope() as scope:
            yield scope

    with Stepper() as stepper:
        scope = stepper.enter(cancellable())
        job = stepper.start(trio.sleep_forever)
        scope.cancel()
        with pytest.raises(RuntimeError, match="not open"):
            stepper.run(_answer)
        assert repr(job) == "<Job sleep_forever, done>"


# The end ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def noted(log: list[str], name: str) -> AsyncGenerator[str]:
    """Write down when it is entered and left."""
    log.append(f"+{name}")
    await trio.lowlevel.checkpoint()
    try:
        yield name
    finally:
        log.append(f"-{name}")
        await trio.lowlevel.checkpoint()


def test_what_was_entered_is_left_in_reverse_order() -> None:
    """``close`` calls jobs off, then leaves the context managers, the last one first."""
    log: list[str] = []

    async def work() -> None:
        async with noted(log, "job"):
            await trio.sleep_forever()

    with Stepper() as stepper:
        assert stepper.enter(noted(log, "outer")) == "outer"
        assert stepper.enter(noted(log, "inner")) == "inner"
        stepper.start(work)
        stepper.settle()
    assert log == ["+outer", "+inner", "+job", "-job", "-inner", "-outer"]


def test_a_failing_block_is_left_cleanly() -> None:
    """The world is gone after a failure in the block, and another one can be made."""
    log: list[str] = []
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), Stepper() as stepper:  # noqa: PT012
            stepper.enter(noted(log, "it"))
            raise ZeroDivisionError
    assert log == ["+it", "-it"] * 2
    assert not trio.lowlevel.in_trio_run()


def test_what_leaving_raises_surfaces_when_nothing_else_failed() -> None:
    """An error of a context manager's exit is raised by ``close``; one of the block is not hidden by it."""

    @asynccontextmanager
    async def bad() -> AsyncGenerator[None]:
        yield
        raise LookupError("at the exit")

    with pytest.raises(LookupError), Stepper() as stepper:
        stepper.enter(bad())
    with pytest.raises(KeyError), Stepper() as stepper:  # noqa: PT012
        stepper.enter(bad())
        raise KeyError


def test_a_failed_job_that_nobody_asked_about_surfaces_at_the_end() -> None:
    """No failure is lost."""
    with pytest.raises(ValueError, match="inside"), Stepper() as stepper:  # noqa: PT012
        stepper.start(fail_in_groups)
        stepper.settle()


def test_a_job_whose_result_was_read_does_not_fail_again() -> None:
    """Reading a failed job's result is the end of it."""
    with Stepper() as stepper:
        job = stepper.start(fail_in_groups)
        stepper.settle()
        with pytest.raises(ValueError, match="inside"):
            job.result()


def test_failing_to_enter_leaves_the_stepper_usable() -> None:
    """A context manager that fails to enter was never entered."""

    @asynccontextmanager
    async def bad() -> AsyncGenerator[None]:
        if trio.current_time() == 0.0:
            raise LookupError
        yield

    with Stepper() as stepper:
        with pytest.raises(LookupError):
            stepper.enter(bad())
        assert stepper.run(_answer) == 42


def test_closing_twice_changes_nothing() -> None:
    """After the end, and before the beginning, there is nothing to close; and nothing to call."""
    stepper = Stepper()
    stepper.close()
    with stepper:
        stepper.close()
        stepper.close()
        with pytest.raises(RuntimeError, match="not open"):
            stepper.run(_answer)


def test_one_stepper_at_a_time() -> None:
    """A thread can hold one trio run."""
    with Stepper(), pytest.raises(RuntimeError, match="one at a time"), Stepper():
        pass


async def test_a_stepper_does_not_work_inside_trio() -> None:
    """It is for plain functions."""
    with pytest.raises(RuntimeError, match="plain function"), Stepper():
        pass


def test_a_stepper_is_entered_once() -> None:
    """A closed one is not opened again."""
    with Stepper() as stepper:
        pass
    with pytest.raises(RuntimeError, match="make another one"), stepper:
        pass


def test_plain_functions_may_be_called_between_calls(stepper: Stepper, system: ak.System) -> None:
    """``tell`` and ``kill`` need no task; nothing happens before the world goes on."""
    ref = stepper.run(system.spawn, ak.props(Counter))
    ref.tell(Add(5))
    assert stepper.run(system.state_of, ref) == {"total": 5}
    ref.tell(Crash())
    alive = [ref.alive]
    stepper.settle()
    assert [*alive, ref.alive] == [True, False]
    assert system.conservation().balanced
