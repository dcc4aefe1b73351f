"""A protocol's description as the judge of what really happened: a recorded history, or a trace. Needs no Hypothesis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import actorkit as ak
from actorkit.testing.protocol import history
from actorkit.testing.protocol.history import History, Operation
from actorkit.testing.protocol.linearizability import Linearizable, linearizable
from actorkit.testing.protocol.model import Model, Restart, asks, streams
from actorkit.testing.trace import Answered, Began, Ended, Event, Handled, Lost, Sent, Trace

_DONE: history.Ok[Any] = history.Ok(None)


def judge(
    model: Model[Any, Any], recorded: Trace | History, actor: str | None = None
) -> Linearizable:
    """Judge what was recorded; see ``Spec.check_trace``."""
    found = recorded if isinstance(recorded, History) else operations_of(model, recorded, actor)
    key = model.part if model.keyed() else None
    verdict = linearizable(found, model.step, model.initial(), key=key)
    if not isinstance(verdict, Linearizable):
        verdict.require()
    return verdict


def operations_of(
    model: Model[Any, Any], trace: Iterable[Event], actor: str | None = None
) -> tuple[Operation, ...]:
    """What was asked of one actor and told it, in a trace, as operations; and its restarts.

    Raises:
        ValueError: several actors were sent messages of the protocol, or none, and none is named.
    """
    events = list(trace)
    sent = [(at, e) for at, e in enumerate(events) if isinstance(e, Sent) and _speaks(model, e)]
    whom = _whom({e.receiver: None for _, e in sent}, actor)
    fates = _Fates(events, whom)
    calls = [_operation(at, e, fates) for at, e in sent if e.receiver == whom]
    parts = tuple(dict.fromkeys(model.part(call.request) for call in calls)) or (None,)
    restarts = [
        Operation("restart", Restart(part), ended, began, _DONE)
        for ended, began in fates.restarts()
        for part in parts
    ]
    return (*calls, *restarts)


def _speaks(model: Model[Any, Any], event: Sent) -> bool:
    return any(base in model.transitions for base in type(event.message).__mro__)


def _whom(receivers: Iterable[str], actor: str | None) -> str:
    found = list(receivers)
    if actor is not None:
        return actor
    if len(found) != 1:
        some = f"to {', '.join(found)}" if found else "to nobody"
        raise ValueError(
            f"the trace has messages of this protocol {some}: say which actor is meant, actor='/bank'"
        )
    return found[0]


class _Fates:
    """What became of the messages of a trace, and of one actor.

    Moments are twice the places of events, so that there is one between any two.
    """

    def __init__(self, events: list[Event], actor: str) -> None:
        moments = [(2 * place, event) for place, event in enumerate(events)]
        self.answers = {e.number: (at, e) for at, e in moments if isinstance(e, Answered)}
        self.lost = {e.number for e in events if isinstance(e, Lost)}
        self.end = 2 * len(events)
        mine = [(at, e) for at, e in moments if _about(e) == actor]
        self.handled = {e.number: at for at, e in mine if isinstance(e, Handled)}
        self._handlings = [at for at, e in mine if isinstance(e, Handled)]
        self._ends = [at for at, e in mine if isinstance(e, Ended)]
        self._begins = [at for at, e in mine if isinstance(e, Began)]

    def done_at(self, number: int) -> int | None:
        """When a message that was told had been handled, at the latest; None if the actor died over it, or never began.

        An actor handles one message at a time, so that is just before it takes the next.
        """
        began = self.handled.get(number)
        if began is None:
            return None
        done = next((at - 1 for at in self._handlings if at > began), self.end)
        return None if any(began < at < done for at in self._ends) else done

    def restarts(self) -> Iterator[tuple[int, int]]:
        """When the actor ended, and when its next incarnation began; not its last end."""
        for ended in self._ends:
            began = next((at for at in self._begins if at > ended), None)
            if began is not None:
                yield ended, began


def _about(event: Event) -> str | None:
    if isinstance(event, Handled):
        return event.receiver
    return event.actor if isinstance(event, (Began, Ended)) else None


def _operation(place: int, sent: Sent, fates: _Fates) -> Operation:
    outcome, done = _outcome(sent, fates)
    called = fates.handled.get(sent.number, 2 * place)  # it has no effect before it is handled
    open_end = isinstance(outcome, history.Unknown)
    return Operation(sent.sender, sent.message, called, None if open_end else done, outcome)


def _outcome(sent: Sent, fates: _Fates) -> tuple[history.Outcome, int | None]:
    answer = fates.answers.get(sent.number)
    if answer is not None:
        at, event = answer
        if not event.failed:
            return history.Ok(event.reply), at
        if isinstance(event.reply, ak.AskError):
            return history.outcome_of(event.reply), at
        return history.Unknown(f"the asker gave up: {event.reply!r}"), None
    if sent.number in fates.lost and not sent.asked:
        return history.Failed("a dead letter"), fates.end
    if sent.asked or asks(type(sent.message)) or streams(type(sent.message)):
        return history.Unknown("no answer was recorded"), None
    done = fates.done_at(sent.number)
    return (_DONE, done) if done is not None else (history.Unknown("not known to be handled"), None)
