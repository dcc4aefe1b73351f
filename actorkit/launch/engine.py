"""Where the tasks of a launch run: beside whoever launches, out of reach of Ctrl-C and of cancellation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio


@trio.lowlevel.enable_ki_protection
async def uninterrupted(function: Callable[..., Awaitable[object]], *args: object) -> None:
    """Run something that Ctrl-C must not land in: it is for whoever launched."""
    await function(*args)


class Engine:
    """A task of the launch's own, outside the nurseries and cancel scopes of whoever launches.

    So that what a cancelled launch's processes say while they end is still read.
    """

    def __init__(self, fail: Callable[[Exception], None]) -> None:
        self._fail = fail
        self._nursery: trio.Nursery | None = None
        self._first: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint
        self._running = trio.Event()
        self._ended = trio.Event()

    async def start(self, first: Callable[[], Awaitable[object]]) -> None:
        """Start it with something to run; it ends when that and all that was started in it meanwhile has."""
        self._first = first
        trio.lowlevel.spawn_system_task(self._run, name="actorkit launch")
        with trio.CancelScope(shield=True):  # else nobody would end it
            await self._running.wait()

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run something beside the rest."""
        assert self._nursery is not None, "it runs for the time of the block"
        self._nursery.start_soon(uninterrupted, function, *args)

    async def ended(self) -> None:
        """Wait until all that was started in it has ended."""
        await self._ended.wait()

    async def _run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._running.set()
                await self._first()
        except* Exception as errors:  # noqa: BLE001 - a fault of ours: raised where the launch was opened
            for error in errors.exceptions:
                self._fail(error)
        finally:
            self._ended.set()
