"""Histories of simulated servers: whose clients overlap at random, and which serve each request at one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import attrs

from actorkit.testing.protocol.history import History, Ok, Operation, Token
from actorkit.testing.protocol.verdict import Verdict


@attrs.define
class _Client:
    """One client: idle, or with a request under way that was served or not."""

    name: str
    token: Token | None = None
    request: Any = None
    served: bool = False
    reply: Any = None


def simulate(
    rng: Random,
    *,
    clients: int,
    operations: int,
    draw: Callable[[Random], Any],
    serve: Callable[[Any, str], Any],
    lost: float = 0.0,
) -> History:
    """Let clients ask a server until each request was answered, or lost: before or after it was served.

    At every turn a random client goes on: it calls, is served, or gets its reply. So whatever ``serve`` does is done at
    one moment between call and return, and a server that does the right thing gives a linearizable history.

    Args:
        rng: all chance.
        clients: how many there are.
        operations: how many requests they make in all.
        draw: makes a request.
        serve: carries out the request of a client and returns the reply.
        lost: how likely it is that a client gives a request up, at each turn of it.
    """
    history = History()
    crowd = [_Client(f"client {number}") for number in range(clients)]
    while operations or any(client.token is not None for client in crowd):
        client = rng.choice(crowd)
        if client.token is None:
            if operations:
                operations -= 1
                client.request = draw(rng)
                client.token = history.begin(client.name, client.request)
        elif rng.random() < lost:
            history.lose(client.token, "timed out")
            client.token, client.served = None, False
        elif not client.served:
            client.reply, client.served = serve(client.request, client.name), True
        else:
            history.complete(client.token, client.reply)
            client.token, client.served = None, False
    return history


# To read and to spoil them -------------------------------------------------------------------------


def answered(history: Iterable[Operation], kind: type) -> list[Operation]:
    """The operations of one kind whose reply is known, by call."""
    return [op for op in history if isinstance(op.request, kind) and isinstance(op.outcome, Ok)]


def value(op: Operation) -> Any:
    """What an answered operation was answered."""
    assert isinstance(op.outcome, Ok)
    return op.outcome.value


def changed(
    history: Iterable[Operation], which: Callable[[Operation], bool], change: Callable[[Any], Any]
) -> History:
    """The same history, but for the replies of some operations."""
    return History(
        attrs.evolve(op, outcome=Ok(change(value(op)))) if which(op) else op for op in history
    )


def kinds(verdict: Verdict) -> set[str]:
    """The kinds of what is wrong."""
    return {finding.kind for finding in verdict.findings}


def op(client: str, request: Any, called: int, returned: int, reply: Any = None) -> Operation:
    """An operation that was answered."""
    return Operation(client, request, called, returned, Ok(reply))
