"""What a model can be in, as far as the answers so far tell: one state, or several where an outcome is unknown. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from actorkit.kernel.message import shortened
from actorkit.testing.protocol import history
from actorkit.testing.protocol.model import Model, ProtocolViolated, said

S = TypeVar("S")
M = TypeVar("M")

_SHOWN = 3
_CROWD = 256


class Beliefs(Generic[S, M]):
    """The states that explain all answers so far, for each key.

    Args:
        model: the description of the protocol.
    """

    def __init__(self, model: Model[S, M]) -> None:
        self._model = model
        self._possible: dict[Hashable, tuple[S, ...]] = {}
        self._lives = 0  # restarts so far: a key that nobody has used yet went through them as well

    def of(self, part: Hashable = None) -> tuple[S, ...]:
        """The states that the part with this key may be in."""
        known = self._possible.get(part)
        return known if known is not None else (self._reborn(self._model.initial(), self._lives),)

    @property
    def crowded(self) -> bool:
        """Whether so many states are possible that hardly any answer would be wrong."""
        return any(len(states) > _CROWD for states in self._possible.values())

    def legal(self, msg: M) -> bool:
        """Whether a message is allowed in whatever state it is."""
        return all(self._model.legal(state, msg) for state in self.of(self._model.part(msg)))

    def describes(self, msg: M) -> bool:
        """Whether the model has an answer to a message in every state it may be in, and does not itself fail over it."""
        try:
            for state in self.of(self._model.part(msg)):
                self._model.legal(state, msg)
                self._model.expect(state, msg)
        except Exception:  # noqa: BLE001 - the user's model, given what nobody should send
            return False
        return True

    def observe(self, msg: M, outcome: history.Outcome, restarts: int = 0) -> None:
        """Take note of what became of a message, and of how often the actor was restarted meanwhile.

        A message may have been handled before or after any of these restarts; one whose outcome is unknown, perhaps not at
        all.

        Raises:
            ProtocolViolated: no state the model may be in explains the outcome.
        """
        part = self._model.part(msg)
        before = self.of(part)
        after = _distinct(t for s in before for t in self._after(s, msg, outcome, restarts))
        if not after and isinstance(outcome, (history.Ok, history.Refused)):
            raise ProtocolViolated(self._complaint(before, msg, outcome))
        self.restart(restarts)
        self._possible[part] = after

    def restart(self, times: int = 1) -> None:
        """The actor died, and the next incarnation took over."""
        if times:
            self._possible = {
                part: _distinct(self._reborn(state, times) for state in states)
                for part, states in self._possible.items()
            }
            self._lives += times

    def compare(self, attributes: Mapping[str, Any]) -> None:
        """Compare with the actor's attributes, and keep the states that agree.

        Raises:
            ProtocolViolated: none does.
        """
        if not self._model.checks():
            return
        before = self.of()
        after = tuple(state for state in before if self._model.check(state, attributes))
        if not after:
            raise ProtocolViolated(
                f"the actor's attributes {shortened(dict(attributes))} do not agree with the model's state "
                f"{_listed(before)}"
            )
        self._possible[None] = after

    def observe_or_nothing(self, msg: M, outcome: history.Outcome, restarts: int = 0) -> None:
        """As ``observe``, of a message that the actor may also have turned away without doing anything.

        Raises:
            ProtocolViolated: it answered, and no state explains the answer.
        """
        if not isinstance(outcome, history.Refused):
            self.observe(msg, outcome, restarts)
            return
        part = self._model.part(msg)
        before = self.of(part)
        after = _distinct(t for s in before for t in self._after(s, msg, outcome, restarts))
        self.restart(restarts)
        self._possible[part] = _distinct((*after, *self.of(part)))

    def _after(self, state: S, msg: M, outcome: history.Outcome, restarts: int) -> Iterator[S]:
        never = self._reborn(state, restarts)
        if isinstance(outcome, history.Failed):
            yield never
            return
        answer = outcome if isinstance(outcome, (history.Ok, history.Refused)) else None
        for life in range(restarts + 1):
            fits, after = self._model.step(self._reborn(state, life), msg, answer)
            if fits:
                yield self._reborn(after, restarts - life)
        if answer is None:
            yield never

    def _reborn(self, state: S, times: int) -> S:
        for _ in range(times):
            state = self._model.restarted(state)
        return state

    def _complaint(self, before: tuple[S, ...], msg: M, outcome: history.Answer) -> str:
        if len(before) == 1:
            return self._model.complaint(before[0], msg, outcome)
        wanted = [
            f"in state {shortened(s)} {self._model.expect(s, msg)[0]}" for s in before[:_SHOWN]
        ]
        more = f", and so on for {len(before) - _SHOWN} others" if len(before) > _SHOWN else ""
        return f"{shortened(msg)}: expected {', or '.join(wanted)}{more}; got {said(outcome)}"


def _distinct(states: Iterable[S]) -> tuple[S, ...]:
    """Each state once, in the order found: the order of a set would differ from run to run."""
    try:
        return tuple(dict.fromkeys(states))
    except TypeError as error:
        raise TypeError(
            f"a model's states must be hashable values, such as frozen attrs classes, tuples and numbers: {error}"
        ) from None


def _listed(states: tuple[Any, ...]) -> str:
    more = f" or {len(states) - _SHOWN} others" if len(states) > _SHOWN else ""
    return " or ".join(shortened(state) for state in states[:_SHOWN]) + more
