"""What several clients send: programs, drawn by Hypothesis, in which no interleaving sends what is not legal."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from actorkit.testing.protocol.model import Model

MOST_STATES = 1_000  # of model and clients together, that are looked through for illegal moments


@attrs.frozen
class Programs:
    """What is sent in one concurrent run.

    Attributes:
        first: by one client alone, one message after the other.
        clients: what each client then sends, side by side with the others.
    """

    first: tuple[Any, ...] = ()
    clients: tuple[tuple[Any, ...], ...] = ()


def programs(
    description: type[Model[Any, Any]], *, clients: int, length: int
) -> SearchStrategy[Programs]:
    """Programs for this many clients; messages that might be illegal in some interleaving are left out."""
    model = description()
    one = st.one_of(*[model.strategy(t.taken) for t in description.transitions.values()])
    some = st.lists(one, max_size=length).map(tuple)
    drawn = st.builds(Programs, some, st.tuples(*[some] * clients))
    if all(t.when is None for t in description.transitions.values()):
        return drawn
    return drawn.map(lambda made: legal(model, made))


def legal(model: Model[Any, Any], drawn: Programs) -> Programs:
    """The programs without the messages that some interleaving would send in a state that does not allow them."""
    first: list[Any] = []
    states: dict[Hashable, Any] = {}
    for msg in drawn.first:
        state = _state_of(model, states, msg)
        if model.legal(state, msg):
            first.append(msg)
            states[model.part(msg)] = model.expect(state, msg)[1]
    clients = drawn.clients
    while True:
        wrong = _illegal_somewhere(model, states, clients)
        if wrong is None:
            return Programs(tuple(first), clients)
        client, place = wrong
        kept = clients[client][:place] + clients[client][place + 1 :]
        clients = (*clients[:client], kept, *clients[client + 1 :])


def _state_of(model: Model[Any, Any], states: dict[Hashable, Any], msg: Any) -> Any:
    part = model.part(msg)
    return states[part] if part in states else model.initial()


def _illegal_somewhere(
    model: Model[Any, Any], states: dict[Hashable, Any], clients: tuple[tuple[Any, ...], ...]
) -> tuple[int, int] | None:
    """The client and place of a message that can come in a state that does not allow it; None if there is none."""
    start = (tuple(0 for _ in clients), frozenset(states.items()))
    seen, rest = {start}, [start]
    while rest:
        places, held = rest.pop()
        here = dict(held)
        for client, place, msg in _next_moves(places, clients):
            state = _state_of(model, here, msg)
            if len(seen) > MOST_STATES or not model.legal(state, msg):
                return client, place
            after = {**here, model.part(msg): model.expect(state, msg)[1]}
            moved = (*places[:client], place + 1, *places[client + 1 :])
            found = (moved, frozenset(after.items()))
            if found not in seen:
                seen.add(found)
                rest.append(found)
    return None


def _next_moves(
    places: tuple[int, ...], clients: tuple[tuple[Any, ...], ...]
) -> Iterator[tuple[int, int, Any]]:
    for client, place in enumerate(places):
        if place < len(clients[client]):
            yield client, place, clients[client][place]
