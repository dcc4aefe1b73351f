"""Notices a handler that keeps the CPU: while it does, nothing else on the node runs.

A thread looks at the dispatcher now and then. If the same cell is still being stepped and the dispatcher has made no
progress in between, the handler hogs the CPU, and the thread takes its stack.
"""

from __future__ import annotations

import sys
import threading
import traceback
from typing import TYPE_CHECKING

import trio

from actorkit.kernel.events import Stalled

if TYPE_CHECKING:
    from actorkit.kernel.runtime import Runtime

_LOOKS_PER_LIMIT = 4


class Watchdog:
    """Watches one node's dispatcher from a thread of its own.

    Args:
        runtime: whose dispatcher to watch.
        limit: seconds a handler may keep the CPU before it is reported, once.
    """

    def __init__(self, runtime: Runtime, limit: float) -> None:
        self._runtime = runtime
        self._limit = limit
        self._watched = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="actorkit watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it is gone when this returns."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        dispatcher = self._runtime.dispatcher
        interval = self._limit / _LOOKS_PER_LIMIT
        looks = 0
        before: tuple[object, int] = (None, -1)
        while not self._stop.wait(interval):
            cell = dispatcher.running
            seen = (cell, dispatcher.turns)
            looks = looks + 1 if cell is not None and seen == before else 0
            before = seen
            if looks == _LOOKS_PER_LIMIT and cell is not None:
                self._report(cell.path, cell.in_hand(), self._limit)

    def _report(self, path: str, message_type: str, seconds: float) -> None:
        frame = sys._current_frames().get(self._watched)
        stack = "".join(traceback.format_stack(frame)[-12:]) if frame is not None else ""
        event = Stalled(path, message_type, seconds, stack)
        try:
            self._token.run_sync_soon(self._runtime.events.emit, event)
        except trio.RunFinishedError:
            self._stop.set()
