"""Sequential models of small objects, and servers of them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import attrs

from actorkit.testing.protocol.history import Answer, Ok, Refused


@attrs.frozen
class Get:
    """Read a register."""

    key: str = "x"


@attrs.frozen
class Put:
    """Write a register."""

    value: int
    key: str = "x"


@attrs.frozen
class Swap:
    """Write a register if it has this value."""

    old: int
    new: int
    key: str = "x"


def register(state: int, request: Any, answer: Answer | None) -> tuple[bool, int]:
    """One register."""
    match request:
        case Get():
            return answer in (None, Ok(state)), state
        case Put(value):
            return True, value
        case Swap(old, new):
            return answer in (None, Ok(state == old)), new if state == old else state
        case _:
            raise TypeError(request)


@attrs.frozen
class Add:
    """Count; the counter answers with its value then."""

    amount: int


def counter(state: int, request: Add, answer: Answer | None) -> tuple[bool, int]:
    """A counter."""
    after = state + request.amount
    return answer in (None, Ok(after)), after


class Empty(Exception):
    """There is nothing to take."""


@attrs.frozen
class Give:
    """Put something on the pile."""

    item: int


@attrs.frozen
class Take:
    """Take the newest, unless the pile is empty."""


def pile(
    state: tuple[int, ...], request: Any, answer: Answer | None
) -> tuple[bool, tuple[int, ...]]:
    """A stack that refuses to be taken from while it is empty."""
    if isinstance(request, Give):
        return True, (*state, request.item)
    if not state:
        return answer is None or isinstance(answer, Refused), state
    return answer in (None, Ok(state[-1])), state[:-1]


NOTHING: tuple[int, ...] = ()


def serving_registers(rng: Random, stale: float) -> Callable[[Any, str], Any]:
    """A server of registers that serves a read, now and then, from the value before."""
    now: dict[str, int] = {}
    before: dict[str, int] = {}

    def serve(request: Any, _: str) -> Any:
        if isinstance(request, Get):
            source = before if rng.random() < stale else now
            return source.get(request.key, 0)
        before[request.key] = now.get(request.key, 0)
        now[request.key] = request.value
        return None

    return serve


def drawing(keys: str, values: int) -> Callable[[Random], Any]:
    """Reads and writes of these registers."""
    return lambda rng: (
        Get(rng.choice(keys))
        if rng.random() < 0.5
        else Put(rng.randrange(values), rng.choice(keys))
    )
