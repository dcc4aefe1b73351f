"""The floors' parts: what actors must do at the least, in bare Python.

A message is made, queued, taken, dispatched on its type, and its handler is awaited by a coroutine that drives
it. Nothing else: no identity, no failure, no fairness, no time-out.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

import attrs

T = TypeVar("T")
Handlers: TypeAlias = dict[type, Callable[[Any], Awaitable[Any]]]


@attrs.frozen(slots=True)
class Add:
    n: int


class Counter:
    """The bare actor: a state, and a handler."""

    def __init__(self) -> None:
        self.total = 0

    async def add(self, message: Add) -> int:
        self.total += message.n
        return self.total


class Box:
    """A bare actor with its mailbox and its table of handlers."""

    def __init__(self) -> None:
        self.actor = Counter()
        self.mail: deque[Any] = deque()
        self.handlers: Handlers = {Add: self.actor.add}


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, with no event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise RuntimeError("a floor's coroutine suspended")


def stopwatch() -> Callable[[], float]:
    """Start a watch; calling it tells the seconds since."""
    begin = time.perf_counter()
    return lambda: time.perf_counter() - begin
