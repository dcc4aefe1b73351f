"""A door for threads, and for asyncio and ASGI programs: the actor system runs in a thread of its own.

``open_portal()`` starts trio and an actor system in a background thread. A ``Portal`` then tells and asks from any other
thread; its ``acall``, ``aask`` and ``astream`` are for asyncio, and cancelling them there cancels the work here.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, TypeVar, TypeVarTuple

import outcome
import trio

from actorkit.errors import SystemClosed
from actorkit.kernel.message import AskOf, StreamOf
from actorkit.kernel.ref import DEFAULT_TIMEOUT, STREAM_WINDOW, Ref
from actorkit.kernel.stream import Stream
from actorkit.kernel.system import System, open_system

M = TypeVar("M")
R = TypeVar("R")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Portal:
    """Reaches an actor system from outside its thread. Get one from ``open_portal``, or make one inside trio.

    Every method may be called from any thread but the system's own.

    Args:
        system: the system to reach; ``Portal(system)`` is made in the trio program that opened it.
        nursery: where its calls run.
    """

    def __init__(self, system: System, nursery: trio.Nursery) -> None:
        self._system = system
        self._nursery = nursery
        self._token = trio.lowlevel.current_trio_token()
        self._home = threading.get_ident()
        self._ending = trio.Event()
        self._closed = False
        nursery.start_soon(self._watch_end, name="actorkit portal")

    @property
    def system(self) -> System:
        """The system behind the portal; use it only in functions given to ``call``."""
        return self._system

    def close(self) -> None:
        """Cancel the calls under way and take no more; the system itself is left to whoever opened it."""
        self._if_open(self._ending.set)

    async def _watch_end(self) -> None:
        try:
            await self._ending.wait()
        finally:
            self._closed = True
        self._nursery.cancel_scope.cancel()

    # From any thread ---------------------------------------------------------------------------------------------

    def tell(self, ref: Ref[M], message: M, /) -> None:
        """Send a message and go on at once.

        Raises:
            SystemClosed: the system behind the portal has been closed.
        """
        self._soon(ref.tell, message)

    def ask(
        self, ref: Ref[M], message: AskOf[M, R], /, *, timeout: float | None = DEFAULT_TIMEOUT
    ) -> R:
        """Send a request and block until its reply is there; raises what ``Ref.ask`` raises."""

        async def within() -> R:
            return await ref.ask(message, timeout=timeout)

        return self.call(within)

    def call(self, function: Callable[[*Ts], Awaitable[R]], /, *args: *Ts) -> R:
        """Run an async function in the system's thread and block until it is done; returns or raises what it does.

        Raises:
            SystemClosed: the system has been closed, before or meanwhile.
            RuntimeError: called in the system's own thread, where it would wait for itself.
        """
        # Once it is closed, another thread may have got the number of the system's.
        if threading.get_ident() == self._home and not self._closed:
            raise RuntimeError(
                "Portal.call blocks the system's own thread; await the function there instead"
            )
        future, cancel = self._submit(function, args)
        try:
            return future.result()
        except CancelledError:
            raise SystemClosed("the system was closed during the call") from None
        except BaseException:
            cancel()
            raise

    @contextmanager
    def stream(
        self,
        ref: Ref[M],
        request: StreamOf[M, T],
        /,
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        window: int = STREAM_WINDOW,
    ) -> Generator[Iterator[T]]:
        """Open a stream for a ``with`` block, in which a ``for`` loop blocks until the next item is there.

        The producer waits while ``window`` items are unread; leaving the block closes the stream. Raises what
        ``Ref.stream`` raises, and ``SystemClosed``.
        """
        tap = Tap(self, lambda: ref.stream(request, timeout=timeout, window=window))
        try:
            self.call(self._nursery.start, tap.hold)
            yield tap
        finally:
            self._if_open(tap.scope.cancel)

    # From asyncio ------------------------------------------------------------------------------------------------

    async def aask(
        self, ref: Ref[M], message: AskOf[M, R], /, *, timeout: float | None = DEFAULT_TIMEOUT
    ) -> R:
        """Send a request and await its reply in asyncio; raises what ``Ref.ask`` raises."""

        async def within() -> R:
            return await ref.ask(message, timeout=timeout)

        return await self.acall(within)

    async def acall(self, function: Callable[[*Ts], Awaitable[R]], /, *args: *Ts) -> R:
        """Run an async function of trio's in the system's thread and await it in asyncio.

        If the asyncio task is cancelled, so is the function.

        Raises:
            SystemClosed: the system has been closed, before or meanwhile.
        """
        future, cancel = self._submit(function, args)
        waiting = asyncio.wrap_future(future)
        try:
            return await waiting
        except asyncio.CancelledError:
            if future.cancelled() and not _being_cancelled():
                raise SystemClosed("the system was closed during the call") from None
            cancel()
            raise

    @asynccontextmanager
    async def astream(
        self,
        ref: Ref[M],
        request: StreamOf[M, T],
        /,
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        window: int = STREAM_WINDOW,
    ) -> AsyncGenerator[AsyncIterator[T]]:
        """Open a stream for an ``async with`` block of asyncio's, in which ``async for`` gives its items.

        The producer waits while ``window`` items are unread; leaving the block, also by cancellation, closes the
        stream. An item whose ``anext`` was cancelled is given by the next one. Raises what ``Ref.stream``
        raises, and ``SystemClosed``.
        """
        tap = Tap(self, lambda: ref.stream(request, timeout=timeout, window=window))
        try:
            await self.acall(self._nursery.start, tap.hold)
            yield tap
        finally:
            self._if_open(tap.scope.cancel)

    # The way across ----------------------------------------------------------------------------------------------

    def _soon(self, function: Callable[..., object], *args: Any) -> None:
        if self._closed:
            raise SystemClosed("the system behind this portal is closed")
        try:
            self._token.run_sync_soon(function, *args)
        except trio.RunFinishedError:
            raise SystemClosed("the system behind this portal is closed") from None

    def _submit(
        self, function: Callable[..., Awaitable[R]], args: tuple[Any, ...]
    ) -> tuple[Future[R], Callable[[], None]]:
        future: Future[R] = Future()
        scope = trio.CancelScope()
        self._soon(self._start, function, args, future, scope)

        return future, lambda: self._if_open(scope.cancel)

    def _if_open(self, function: Callable[[], object]) -> None:
        """Call a function in the system's thread soon, unless the end has cancelled everything already."""
        if not self._closed:
            try:
                self._token.run_sync_soon(function)
            except trio.RunFinishedError:
                return

    def _start(self, *job: Any) -> None:
        future: Future[Any] = job[2]
        if self._closed:
            future.cancel()
            return
        self._nursery.start_soon(self._run, *job)

    async def _run(
        self,
        function: Callable[..., Awaitable[R]],
        args: tuple[Any, ...],
        future: Future[R],
        scope: trio.CancelScope,
    ) -> None:
        if not future.set_running_or_notify_cancel():
            return
        result: outcome.Outcome[R] | None = None
        try:
            with scope:
                result = await outcome.acapture(function, *args)
        finally:
            if isinstance(result, outcome.Value):
                future.set_result(result.value)
            else:
                future.set_exception(_failure(result))


class Tap(Generic[T]):
    """A stream read from another thread: an item crosses when the reader asks for it, so the window holds."""

    def __init__(self, portal: Portal, open_stream: Callable[[], Stream[T]]) -> None:
        self.scope = trio.CancelScope()
        self._portal = portal
        self._open_stream = open_stream
        self._stream: Stream[T] | None = None
        self._cut_off = False
        self._turn = trio.Lock()
        # What has crossed: a reader that was cancelled meanwhile finds it here when it comes back.
        self._crossed: deque[T] = deque()

    # In the system's thread --------------------------------------------------------------------------------------

    async def hold(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the stream open until the reader leaves or the portal ends."""
        with self.scope:
            async with self._open_stream() as self._stream:
                task_status.started()
                try:
                    await trio.sleep_forever()
                finally:
                    self._cut_off = not self.scope.cancel_called

    async def pull(self) -> bool:
        """Have an item cross, waiting for it; False at the stream's end.

        Raises:
            SystemClosed: the portal ended first, so there might have been more.
        """
        # The pull of a reader that was cancelled may still be on its way out.
        async with self._turn:
            if not self._crossed and self._stream is not None:
                async for item in self._stream:
                    self._crossed.append(item)
                    break
        if self._cut_off and not self._crossed:
            raise SystemClosed("the system was closed during the stream")
        return bool(self._crossed)

    # In the reader's ---------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if not self._crossed and not self._portal.call(self.pull):
            raise StopIteration
        return self._crossed.popleft()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if not self._crossed and not await self._portal.acall(self.pull):
            raise StopAsyncIteration
        return self._crossed.popleft()


def _failure(result: outcome.Outcome[Any] | None) -> BaseException:
    if isinstance(result, outcome.Error) and not _is_cancellation(result.error):
        return result.error
    return SystemClosed("the call was cancelled, or the system was closed meanwhile")


def _is_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, (trio.Cancelled, GeneratorExit))


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def open_portal(name: str = "local", **options: Any) -> Generator[Portal]:
    """Run an actor system in a background thread for the time of a ``with`` block.

    At the end of the block the system shuts down in good order, and the thread is gone.

    Args:
        name: the node's name.
        options: passed on to ``open_system``.
    """
    opened: queue.SimpleQueue[Portal | BaseException] = queue.SimpleQueue()
    ends: list[BaseException] = []
    thread = threading.Thread(
        target=_serve, args=(name, options, opened, ends), name=f"actorkit {name}", daemon=True
    )
    thread.start()
    first = opened.get()
    if isinstance(first, BaseException):
        thread.join()
        raise first
    try:
        yield first
    finally:
        first.close()
        thread.join()
    if ends:
        raise ends[0]


def _serve(
    name: str,
    options: dict[str, Any],
    opened: queue.SimpleQueue[Portal | BaseException],
    ends: list[BaseException],
) -> None:
    """The background thread: open a system, hand its portal out, and stay until the portal is closed."""

    async def main() -> None:
        async with open_system(name, **options) as system, trio.open_nursery() as nursery:
            opened.put(Portal(system, nursery))

    try:
        trio.run(main)
    except BaseException as error:  # noqa: BLE001 - raised in the thread that opened the portal
        ends.append(error)
        opened.put(error)
