"""The portal: a system in a thread of its own, reached from threads and from asyncio, where all ends are told."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeAlias

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import actorkit as ak
from tests.harness import Do, Puppet, assert_conserved, assert_nothing_left
from tests.kernel.support import Note, failure_in

Collect: TypeAlias = Callable[..., list[int]]

LONG = 20.0  # seconds after which a test that hangs gives up; no test waits that long


@ak.message
class Count(ak.StreamRequest[int]):
    """The numbers below ``upto``; ``then`` is raised after them."""

    upto: int
    then: Exception | None = None


@ak.message
class Stall(ak.StreamRequest[int]):
    """One number, and never another."""


class Desk(Puppet):
    """A puppet that streams, and lets other threads know what it does."""

    def __init__(self, log: list[object]) -> None:
        super().__init__(log)
        self.made = 0

    @ak.on(Count)
    async def count(self, msg: Count) -> AsyncIterator[int]:
        """Count at the reader's pace."""
        try:
            for n in range(msg.upto):
                self.made += 1
                yield n
            if msg.then is not None:
                raise msg.then
        finally:
            self.log.append("left")

    @ak.on(Stall)
    async def stall(self, msg: Stall) -> AsyncIterator[int]:
        """Stream one number and hang."""
        yield 0
        await trio.sleep_forever()


class Mute(ak.Actor[Note]):
    """Handles next to nothing."""

    @ak.on(Note)
    def note(self, msg: Note) -> None:
        """Take a message."""


class Refusal(ak.Refused):
    """What an actor says no with."""


class Interruption(BaseException):
    """Something that is no ``Exception``."""


class Hanging:
    """An async function for trio that hangs, and tells other threads when it begins and ends."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()

    async def __call__(self, *_: object) -> None:
        try:
            self.begun.set()
            await trio.sleep_forever()
        finally:
            self.ended.set()

    async def arrived(self) -> None:
        """Wait in asyncio until it hangs."""
        assert await asyncio.to_thread(self.begun.wait, LONG)


def open_quiet(name: str = "local") -> Any:
    """Open a portal for a test."""
    return ak.open_portal(name, logs=False, watchdog=None, audit=True)


def desk(portal: ak.Portal, log: list[object] | None = None) -> ak.Ref[object]:
    """Start a desk."""
    made: list[object] = [] if log is None else log
    return portal.call(portal.system.spawn, ak.props(Desk, made))


def made_by(portal: ak.Portal, ref: ak.Ref[object]) -> int:
    """How many numbers a desk has made when nothing moves any more; it may stand in the midst of a stream."""

    async def look() -> int:
        await wait_all_tasks_blocked()
        actor: Any = ref._cell.actor  # noqa: SLF001 - a desk that streams answers nothing
        made: int = actor.made
        return made

    return portal.call(look)


def settled(portal: ak.Portal) -> None:
    """Wait until nothing moves in the system any more."""
    portal.call(wait_all_tasks_blocked)


def threads_named(name: str) -> list[threading.Thread]:
    """The living threads of portals of a name."""
    return [t for t in threading.enumerate() if t.name == f"actorkit {name}"]


@pytest.fixture
def portal() -> Iterator[ak.Portal]:
    """An open portal; at the end the books balance, and neither an actor nor the thread is left."""
    with open_quiet() as opened:
        yield opened

        async def check() -> None:
            await wait_all_tasks_blocked()
            assert_conserved(opened.system)

        opened.call(check)
    assert_nothing_left(opened.system)
    assert threads_named("local") == []


# Across and back ---------------------------------------------------------------------------------------------------


def test_from_a_thread(portal: ak.Portal) -> None:
    """A thread starts, tells, asks and stops actors; what it tells before it asks arrives before."""
    log: list[object] = []
    ref = desk(portal, log)
    portal.tell(ref, Note(1))
    assert portal.ask(ref, Do(lambda _: list(log))) == [Note(1)]
    assert portal.ask(ref, Do(lambda _: threading.current_thread().name)) == "actorkit local"
    portal.call(ref.stop)
    with pytest.raises(ak.ActorDied):
        portal.ask(ref, Do(lambda _: 1))


def test_from_asyncio(portal: ak.Portal) -> None:
    """Asks and calls of asyncio run side by side, and come back to the task that made them."""
    ref = desk(portal)

    async def double(n: int) -> int:
        await trio.lowlevel.checkpoint()
        return 2 * n

    async def main() -> list[list[Any]]:
        asks = (portal.aask(ref, Do(lambda _, n=n: n)) for n in range(20))  # type: ignore[misc]
        calls = (portal.acall(double, n) for n in range(20))
        return [await asyncio.gather(*asks), await asyncio.gather(*calls)]

    assert asyncio.run(main()) == [[*range(20)], [*range(0, 40, 2)]]


def test_many_threads_at_once(portal: ak.Portal) -> None:
    """Two hundred asks from eight threads get each its own answer."""
    ref = desk(portal)

    def ask(n: int) -> int:
        answer: int = portal.ask(ref, Do(lambda _: n * n), timeout=LONG)
        return answer

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == [n * n for n in range(200)]


def test_two_portals_at_once() -> None:
    """Each has a thread and a system of its own; the same name may be taken in both."""
    with open_quiet("one") as one, open_quiet("two") as two:
        refs = [
            p.call(lambda p=p: p.system.spawn(ak.props(Desk, []), name="desk")) for p in (one, two)
        ]
        threads = [
            p.ask(ref, Do(lambda _: threading.get_ident()))
            for p, ref in zip((one, two), refs, strict=True)
        ]
        assert len({*threads, threading.get_ident()}) == 3
        assert [p.system.name for p in (one, two)] == ["one", "two"]
    assert threads_named("one") + threads_named("two") == []


def test_an_actor_asks_through_the_portal_of_another_system() -> None:
    """Systems of two threads reach each other through a portal, off a worker thread."""
    with open_quiet("one") as one, open_quiet("two") as two:
        here, there = desk(one), desk(two)

        async def across() -> str:
            question = Do(lambda _: threading.current_thread().name)
            name: str = await trio.to_thread.run_sync(lambda: two.ask(there, question))
            return name

        assert one.ask(here, Do(lambda _: across())) == "actorkit two"


# What is raised there is raised here -------------------------------------------------------------------------------


async def _refuse(_: object) -> None:
    raise Refusal("no")


FAILURES: dict[str, tuple[Callable[[Any], object], float, type[Exception]]] = {
    "refused": (_refuse, LONG, Refusal),
    "crashed": (lambda _: 1 / 0, LONG, ak.ActorDied),
    "too slow": (lambda ctx: ctx.sleep(0.05), 0.001, ak.AskTimeout),
    "circular": (lambda ctx: ctx.self.ask(Do(lambda _: 1)), LONG, ak.ActorDied),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_errors_of_asks_come_through(portal: ak.Portal, failure: str) -> None:
    """In a thread and in asyncio an ask raises what ``Ref.ask`` raises."""
    act, timeout, expected = FAILURES[failure]
    with pytest.raises(expected):
        portal.ask(desk(portal), Do(act), timeout=timeout)
    with pytest.raises(expected):
        asyncio.run(portal.aask(desk(portal), Do(act), timeout=timeout))


def test_unhandled_comes_through(portal: ak.Portal) -> None:
    """A message nobody handles is named to the thread that sent it."""
    mute: ak.Ref[Any] = portal.call(portal.system.spawn, ak.props(Mute))
    with pytest.raises(ak.Unhandled, match="Do"):
        portal.ask(mute, Do(lambda _: 1))


@pytest.mark.parametrize("error", [ValueError("mine"), Interruption(), KeyboardInterrupt()])
def test_what_a_function_raises_comes_through(portal: ak.Portal, error: BaseException) -> None:
    """Even what is no ``Exception`` is raised at the caller, as it is, and leaves the system alone."""

    async def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        portal.call(fail)
    assert caught.value is error
    with pytest.raises(type(error)):
        asyncio.run(portal.acall(fail))
    assert portal.ask(desk(portal), Do(lambda _: "still here")) == "still here"


def test_what_is_no_async_function(portal: ak.Portal) -> None:
    """A plain function is refused where it was given."""
    with pytest.raises(TypeError):
        portal.call(lambda: 1)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError):
        asyncio.run(portal.acall(lambda: 1))  # type: ignore[arg-type, return-value]


def test_a_call_would_wait_for_itself(portal: ak.Portal) -> None:
    """In the system's own thread whatever blocks raises instead; what does not block works."""
    log: list[object] = []
    ref = desk(portal, log)

    def stream() -> None:
        with portal.stream(ref, Count(1)) as numbers:
            list(numbers)

    blocking: list[Callable[[], object]] = [
        lambda: portal.call(trio.lowlevel.checkpoint),
        lambda: portal.ask(ref, Do(lambda _: 1)),
        stream,
    ]

    async def within() -> None:
        for attempt in blocking:
            with pytest.raises(RuntimeError, match="own thread"):
                attempt()
        portal.tell(ref, Note(1))

    portal.call(within)
    settled(portal)
    assert log == [Note(1)]


# Cancellation ------------------------------------------------------------------------------------------------------


def test_cancelling_a_task_cancels_the_function(portal: ak.Portal) -> None:
    """A cancelled asyncio task ends what it awaits on the other side, and is itself cancelled."""
    hanging = Hanging()

    async def main() -> None:
        task = asyncio.create_task(portal.acall(hanging))
        await hanging.arrived()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert hanging.ended.wait(LONG)


def test_a_time_limit_of_asyncio_ends_an_ask(portal: ak.Portal) -> None:
    """``asyncio.timeout`` around an ask raises ``TimeoutError``; the actor is not told."""
    ref = desk(portal)
    gate: list[trio.Event] = []

    async def hold(_: object) -> None:
        gate.append(trio.Event())
        await gate[0].wait()

    async def main() -> None:
        async with asyncio.timeout(0.01):
            await portal.aask(ref, Do(hold), timeout=None)

    with pytest.raises(TimeoutError):
        asyncio.run(main())

    async def release() -> None:
        await wait_all_tasks_blocked()
        gate[0].set()

    portal.call(release)
    assert portal.ask(ref, Do(lambda _: "still here")) == "still here"


def test_a_task_cancelled_before_its_call_began(portal: ak.Portal) -> None:
    """A call that is cancelled at once leaves nothing behind, whether it had begun or not."""

    async def main() -> list[object]:
        tasks = [asyncio.create_task(portal.acall(trio.sleep_forever)) for _ in range(50)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert {type(result) for result in asyncio.run(main())} == {asyncio.CancelledError}

    async def tasks_of_calls() -> int:
        await wait_all_tasks_blocked()
        return len(portal._nursery.child_tasks)  # noqa: SLF001 - nothing else tells of them

    assert portal.call(tasks_of_calls) == 2  # the watch for the end, and this call


# The end -----------------------------------------------------------------------------------------------------------


def _pending(portal: ak.Portal, hanging: list[Hanging]) -> list[Callable[[], object]]:
    """One call of each kind that hangs."""
    one, other, third = desk(portal), desk(portal), desk(portal)

    def stream() -> None:
        with portal.stream(one, Stall(), timeout=None) as numbers:
            next(numbers)
            hanging[3].begun.set()
            next(numbers)

    async def astream() -> None:
        async with portal.astream(other, Stall(), timeout=None) as numbers:
            await anext(numbers)
            hanging[4].begun.set()
            await anext(numbers)

    return [
        lambda: portal.call(hanging[0]),
        lambda: asyncio.run(portal.acall(hanging[1])),
        lambda: portal.ask(third, Do(hanging[2]), timeout=None),
        stream,
        lambda: asyncio.run(astream()),
    ]


def test_pending_calls_learn_of_the_end() -> None:
    """Whoever waits when the block ends gets ``SystemClosed``, whichever way it waits."""
    hanging = [Hanging() for _ in range(5)]
    with ThreadPoolExecutor(5) as pool:
        with open_quiet() as portal:
            calls = [pool.submit(call) for call in _pending(portal, hanging)]
            assert all(one.begun.wait(LONG) for one in hanging)
        wait(calls, LONG)
        errors = [call.exception(0) for call in calls]
    assert [type(error) for error in errors] == [ak.SystemClosed] * 5


def test_later_calls_learn_of_the_end() -> None:
    """After the block every way in raises ``SystemClosed``; closing once more does nothing."""
    with open_quiet() as portal:
        ref = desk(portal)
    portal.close()

    async def astream() -> None:
        async with portal.astream(ref, Count(1)) as numbers:
            await anext(numbers)

    def stream() -> None:
        with portal.stream(ref, Count(1)) as numbers:
            next(numbers)

    attempts: list[Callable[[], object]] = [
        lambda: portal.tell(ref, Note(1)),
        lambda: portal.ask(ref, Do(lambda _: 1)),
        lambda: portal.call(trio.lowlevel.checkpoint),
        lambda: asyncio.run(portal.aask(ref, Do(lambda _: 1))),
        lambda: asyncio.run(portal.acall(trio.lowlevel.checkpoint)),
        lambda: asyncio.run(astream()),
        stream,
    ]
    for attempt in attempts:
        with pytest.raises(ak.SystemClosed):
            attempt()


def test_the_systems_thread_is_not_mistaken_for_another() -> None:
    """A thread that has got the number of the system's, which is gone, is told of the end like any other."""
    with open_quiet() as portal:
        ref = desk(portal)
        (home,) = [thread.ident for thread in threads_named("local")]
    found: list[tuple[int | None, Exception]] = []

    def call() -> None:
        attempt = functools.partial(portal.ask, ref, Do(lambda _: 1))
        found.append((threading.get_ident(), failure_in(attempt)))

    for _ in range(20):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join(LONG)
    if home not in [number for number, _ in found]:
        pytest.skip("this platform gives thread numbers out once")
    assert {type(error) for _, error in found} == {ak.SystemClosed}


def test_an_opening_that_fails() -> None:
    """What ``open_system`` refuses is raised where the portal was opened, and no thread is left."""
    with pytest.raises(ValueError, match="node's name"), ak.open_portal("no such name"):
        pytest.fail("it opened")
    assert threads_named("no such name") == []


def test_an_error_in_the_block() -> None:
    """The block's own exception leaves it as it is, after the system has shut down in good order."""
    log: list[object] = []

    def program() -> None:
        with open_quiet("failing") as portal:
            desk(portal, log)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        program()
    assert [type(item).__name__ for item in log] == ["Ended"]
    assert threads_named("failing") == []


async def test_a_portal_into_a_trio_program(system: ak.System) -> None:
    """Made where the system was opened, it is closed by itself: the system goes on."""
    ref = await system.spawn(ak.props(Desk, []))
    async with trio.open_nursery() as nursery:
        portal = ak.Portal(system, nursery)
        asked = await trio.to_thread.run_sync(lambda: portal.ask(ref, Do(lambda _: "in")))
        portal.close()
    assert asked == "in"
    with pytest.raises(ak.SystemClosed):
        portal.tell(ref, Note(1))
    assert await ref.ask(Do(lambda _: "still here")) == "still here"


# Streams -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["thread", "asyncio"])
def collect(request: pytest.FixtureRequest, portal: ak.Portal) -> Collect:
    """Reads up to ``limit`` items of a stream into ``got``, from a thread or from asyncio."""

    def in_thread(opened: Any, got: list[int], limit: int) -> None:
        with opened as items:
            for item in items:
                got.append(item)
                if len(got) == limit:
                    break

    async def in_asyncio(opened: Any, got: list[int], limit: int) -> None:
        async with opened as items:
            async for item in items:
                got.append(item)
                if len(got) == limit:
                    break

    def read(
        ref: Any, message: Any, *, got: list[int] | None = None, limit: int = 1000, **how: Any
    ) -> list[int]:
        found = [] if got is None else got
        if request.param == "thread":
            in_thread(portal.stream(ref, message, **how), found, limit)
        else:
            asyncio.run(in_asyncio(portal.astream(ref, message, **how), found, limit))
        return found

    return read


@pytest.mark.parametrize("window", [1, 3, 16])
def test_a_stream_crosses_in_order(portal: ak.Portal, collect: Collect, window: int) -> None:
    """All items, each once, in order, then the end; an empty stream has only the end."""
    ref = desk(portal)
    assert collect(ref, Count(50), window=window) == [*range(50)]
    assert collect(ref, Count(0), window=window) == []


@pytest.mark.parametrize("window", [1, 4])
def test_the_window_holds_across_threads(portal: ak.Portal, window: int) -> None:
    """The producer is as far ahead of the reader as it would be in one thread, and no further."""
    ref = desk(portal)
    with portal.stream(ref, Count(100), window=window) as items:
        for read in range(10):
            assert made_by(portal, ref) == read + window + 1
            assert next(items) == read


def test_the_window_holds_in_asyncio(portal: ak.Portal) -> None:
    """As in a thread: what asyncio has not asked for waits on the other side."""
    ref = desk(portal)

    async def main() -> None:
        async with portal.astream(ref, Count(100), window=3) as items:
            for read in range(10):
                assert await asyncio.to_thread(made_by, portal, ref) == read + 3 + 1
                assert await anext(items) == read

    asyncio.run(main())


def test_leaving_a_stream_stops_the_producer(portal: ak.Portal, collect: Collect) -> None:
    """Whoever leaves the block early ends the generator there, and the actor goes on."""
    log: list[object] = []
    ref = desk(portal, log)
    assert collect(ref, Count(1000), limit=2, window=4) == [0, 1]
    settled(portal)
    assert log == ["left"]
    assert portal.ask(ref, Do(lambda _: "still here")) == "still here"


def test_errors_of_streams_come_through(portal: ak.Portal, collect: Collect) -> None:
    """A stream raises what ``Ref.stream`` raises, after the items that came before."""
    got: list[int] = []
    with pytest.raises(Refusal, match="enough"):
        collect(desk(portal), Count(2, Refusal("enough")), got=got)
    with pytest.raises(ak.ActorDied, match="crashed"):
        collect(desk(portal), Count(1, ValueError("broken")), got=got)
    with pytest.raises(ak.AskTimeout):
        collect(desk(portal), Stall(), got=got, timeout=0.01)
    assert got == [0, 1, 0, 0]


def test_streams_that_do_not_open(portal: ak.Portal, collect: Collect) -> None:
    """What keeps a stream from opening is raised where it was to be opened."""
    ref = desk(portal)
    with pytest.raises(ValueError, match="window"):
        collect(ref, Count(1), window=0)
    mute = portal.call(portal.system.spawn, ak.props(Mute))
    with pytest.raises(ak.Unhandled, match="Count"):
        collect(mute, Count(1))
    portal.call(ref.stop)
    with pytest.raises(ak.ActorDied):
        collect(ref, Count(1))


def test_cancelling_a_task_closes_its_stream(portal: ak.Portal) -> None:
    """An asyncio task that is cancelled in the midst of a stream ends the producer."""
    log: list[object] = []
    ref = desk(portal, log)

    async def read(reading: asyncio.Event) -> None:
        async with portal.astream(ref, Count(1000)) as items:
            async for _ in items:
                reading.set()
                await asyncio.sleep(LONG)

    async def main() -> None:
        reading = asyncio.Event()
        task = asyncio.create_task(read(reading))
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    settled(portal)
    assert log == ["left"]


def test_tasks_cancelled_while_their_streams_open(portal: ak.Portal) -> None:
    """A stream cancelled at whichever moment of its opening is closed again: the actor is free."""
    ref = desk(portal)

    async def read() -> None:
        async with portal.astream(ref, Count(1000), window=1) as items:
            async for _ in items:
                pass

    async def main() -> None:
        for turns in range(12):
            task = asyncio.create_task(read())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    asyncio.run(main())
    assert portal.ask(ref, Do(lambda _: "free")) == "free"


def test_an_item_whose_wait_was_cancelled_is_not_lost(portal: ak.Portal) -> None:
    """At whichever moment ``anext`` is cancelled, the items come in order, each once."""
    ref = desk(portal)

    async def main() -> list[int]:
        got: list[int] = []
        async with portal.astream(ref, Count(300), window=2) as items:
            for n in itertools.count():
                taking = asyncio.ensure_future(anext(items))
                await asyncio.sleep(0)
                if n % 3:  # the item has crossed, and this loop does not know it yet
                    settled(portal)
                if n % 2:
                    taking.cancel()
                (result,) = await asyncio.gather(taking, return_exceptions=True)
                if isinstance(result, int):
                    got.append(result)
                elif isinstance(result, StopAsyncIteration):
                    return got
        raise AssertionError("it has no end")

    assert asyncio.run(asyncio.wait_for(main(), LONG)) == [*range(300)]


def test_many_streams_at_once(portal: ak.Portal, collect: Collect) -> None:
    """Eight threads read a stream each; none gets another's items."""
    refs = [desk(portal) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(collect, ref, Count(10 * n)) for n, ref in enumerate(refs)]
        assert [read.result(LONG) for read in reads] == [[*range(10 * n)] for n in range(8)]
