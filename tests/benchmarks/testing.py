"""What judging a protocol test costs: is there an order that explains what concurrent clients saw?"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import attrs

from actorkit.testing.protocol.history import Answer, History, Ok, Token
from actorkit.testing.protocol.linearizability import linearizable
from tests.benchmarks import bare
from tests.benchmarks.registry import benchmark, require

CLIENTS = 5
OPERATIONS = 1_000
ALLOWED = 20.0
MILLISECONDS = 1e3


@attrs.frozen
class Get:
    """Read a register."""


@attrs.frozen
class Put:
    """Write a register."""

    value: int


@attrs.frozen
class Swap:
    """Write a register if it has this value."""

    old: int
    new: int


def register(state: int, request: Any, answer: Answer | None) -> tuple[bool, int]:
    """The model: one register."""
    match request:
        case Get():
            return answer in (None, Ok(state)), state
        case Put(value):
            return True, value
        case Swap(old, new):
            return answer in (None, Ok(state == old)), new if state == old else state
        case _:
            raise TypeError(request)


def history_of(rng: Random, operations: int) -> History:
    """Of clients that always have a request under way; each is served at one moment between call and return."""
    history = History()
    requests = iter([draw(rng) for _ in range(operations)])
    state = 0
    waiting: dict[str, Token] = {}
    replies: dict[str, Any] = {}
    for client in (f"client {number}" for number in range(CLIENTS)):
        _call(history, client, requests, waiting)
    while waiting:
        client = rng.choice(list(waiting))
        if client not in replies:
            request = history.operations[waiting[client]].request
            replies[client], state = served(request, state)
        else:
            history.complete(waiting.pop(client), replies.pop(client))
            _call(history, client, requests, waiting)
    return history


def _call(
    history: History, client: str, requests: Iterator[Any], waiting: dict[str, Token]
) -> None:
    request = next(requests, None)
    if request is not None:
        waiting[client] = history.begin(client, request)


def draw(rng: Random) -> Any:
    """Half of all requests read."""
    kind = rng.random()
    if kind < 0.5:
        return Get()
    return Put(rng.randrange(100)) if kind < 0.8 else Swap(rng.randrange(100), rng.randrange(100))


def served(request: Any, state: int) -> tuple[Any, int]:
    """What a right server answers, and its state then."""
    _, after = register(state, request, None)
    if isinstance(request, Swap):
        return request.old == state, after
    return state if isinstance(request, Get) else None, after


def floor_linearizability(operations: int) -> float:
    """No work: what was promised, 20 ms for 1,000 operations."""
    return ALLOWED * operations / OPERATIONS


@benchmark(unit="ms", better="lower", size=OPERATIONS, floor=floor_linearizability)
def linearizability_1000x5(operations: int) -> float:
    """Checks a right history of 1,000 operations by 5 clients on one register; the floor is what was promised."""
    history = history_of(Random(operations), operations)
    seconds = bare.stopwatch()
    verdict = linearizable(history, register, 0)
    elapsed = seconds()
    require("verdict", bool(verdict), True)
    return elapsed * MILLISECONDS
