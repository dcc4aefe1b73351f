"""The state machine of a protocol with malformed input: the actor turns it away, or crashes of it; and serves on.

Importing this module imports Hypothesis, which freezes trio's own scheduling.
"""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from actorkit.kernel.message import shortened
from actorkit.testing.protocol import history
from actorkit.testing.protocol.hints import fields_of
from actorkit.testing.protocol.hostile import Malformed, foreign, malformed
from actorkit.testing.protocol.machine import (
    NONE_LEGAL,
    ProtocolMachine,
    answered,
    apart,
    legal_messages,
    message_rule,
    rule_names,
    test_case,
)
from actorkit.testing.protocol.model import Model, ProtocolViolated, asks
from actorkit.testing.protocol.world import Subject, ask, check_subject


class MalformedMachine(ProtocolMachine):
    """Sends what nobody should send, among messages that are in order.

    What is not of its field's type, and what is no message of the protocol, must leave the state as it was, however it is
    answered; or it crashes the actor, which begins anew.
    """

    supervised = True

    def __init__(self) -> None:
        super().__init__()
        self._accepted: list[Any] = []  # malformed messages after which the actor lived on

    def guarded(self, act: Callable[[], None]) -> None:
        """As always; a failure tells which malformed messages may be the reason."""
        try:
            super().guarded(act)
        except ProtocolViolated as error:
            if self._accepted:
                taken = ", ".join(map(shortened, self._accepted[-3:]))
                error.add_note(
                    f"Malformed messages were taken before: {taken}. Validators on the fields keep such messages from "
                    "being made: instance_of for wrong types, ge or le for NaN"
                )
            raise

    def serve_on(self, msg: Any) -> None:
        """Send a message that is in order, if it is legal, after one that was not."""
        if msg is not None and not self.beliefs.crowded and self.beliefs.legal(msg):
            self.take(msg)

    def take_malformed(self, sent: Malformed, asked: bool) -> None:
        """Send a message with a wrong field, and see what becomes of it."""
        msg = sent.message
        asked = asked and answered(type(msg))
        described = sent.typed and self.beliefs.describes(msg)
        outcome, crashes = self.deliver(msg, asked)
        if not crashes and not isinstance(outcome, (history.Refused, history.Failed)):
            self._accepted.append(msg)
        if not described:
            self.beliefs.restart(crashes)
        elif not self.beliefs.legal(msg):
            self.beliefs.observe(msg, history.Unknown(), crashes)
        elif asked:
            self.beliefs.observe_or_nothing(msg, outcome, crashes)
        else:
            self.beliefs.observe(msg, history.Unknown(), crashes)
        self.compare()

    def take_foreign(self, sent: Any, asked: bool) -> None:
        """Send something that is not of the protocol: it must be turned away."""
        outcome, crashes = self.deliver(sent, asked)
        if asked and isinstance(outcome, history.Ok):
            raise ProtocolViolated(
                f"{shortened(sent)} is no message of this protocol, and was answered: {outcome}"
            )
        self.beliefs.restart(crashes)
        self.compare()

    def take_misused(self, msg: Any) -> None:
        """Ask what is to be told, tell what is to be asked: it is handled as always, or turned away."""
        told = not answered(type(msg))
        _, crashes = self.deliver(msg, asked=told)
        self.beliefs.observe(msg, history.Unknown(), crashes)
        self.compare()

    def deliver(self, msg: Any, asked: bool) -> tuple[history.Outcome, int]:
        """Send something and wait until the actor is at rest; returns the outcome, and how often the actor crashed.

        Raises:
            ProtocolViolated: it was asked, lives, and did not answer.
        """
        ref, stepper = self.world.ref, self.world.stepper
        outcome: history.Outcome = history.Unknown("it was told")
        if asked:
            outcome = stepper.run(ask, ref, msg)
        else:
            ref.tell(msg)
        self.world.rest(told=True)
        crashes = len(self.world.deaths())
        if asked and isinstance(outcome, history.Unknown) and not crashes:
            raise ProtocolViolated(f"{shortened(msg)} was not answered: {outcome.why}")
        return outcome, crashes


def malformed_machine(
    description: type[Model[Any, Any]], subject: Subject[Any], chosen: settings | None
) -> type[unittest.TestCase]:
    """A test case that sends malformed input as well; see ``Spec.malformed``."""
    check_subject(description, subject)
    named = rule_names(MalformedMachine, description)
    good = {name: legal_messages(description, t) for name, t in named.items()}
    rules: dict[str, Any] = {name: message_rule(name, values) for name, values in good.items()}
    kinds = [described.taken for described in named.values()]
    then = _requests(description, kinds)
    for name, described in named.items():
        if fields_of(described.taken):
            wrong = malformed(described.taken, description().strategy(described.taken))
            bad = apart(f"malformed_{name}", rules)
            rules[bad] = _malformed_rule(bad, wrong, then)
        misused = apart(f"misused_{name}", rules)
        rules[misused] = _misused_rule(misused, good[name])
    rules[apart("foreign", rules)] = _foreign_rule(foreign(kinds))
    return test_case(description, "Malformed", MalformedMachine, rules, subject, chosen)


def _requests(description: type[Model[Any, Any]], kinds: list[type]) -> st.SearchStrategy[Any]:
    """What to ask after a malformed message, to see whether the actor serves on, and as it should."""
    model = description()
    asked = [model.strategy(kind) for kind in kinds if asks(kind)]
    return st.one_of(*asked) if asked else st.none()


def _malformed_rule(
    name: str, values: st.SearchStrategy[Malformed | str], after: st.SearchStrategy[Any]
) -> Any:
    def send(self: MalformedMachine, msg: Malformed | str, asked: bool, then: Any) -> None:
        if isinstance(msg, Malformed):
            self.guarded(lambda: self.take_malformed(msg, asked))
            self.guarded(lambda: self.serve_on(then))

    send.__name__ = name
    return rule(msg=values, asked=st.sampled_from([True, False]), then=after)(send)


def _misused_rule(name: str, values: st.SearchStrategy[Any]) -> Any:
    def send(self: MalformedMachine, msg: Any) -> None:
        if msg is not NONE_LEGAL:
            self.guarded(lambda: self.take_misused(msg))

    send.__name__ = name
    return rule(msg=values)(send)


def _foreign_rule(values: st.SearchStrategy[Any]) -> Any:
    def send_foreign(self: MalformedMachine, sent: Any, asked: bool) -> None:
        self.guarded(lambda: self.take_foreign(sent, asked))

    return rule(sent=values, asked=st.sampled_from([True, False]))(send_foreign)
