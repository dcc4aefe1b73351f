"""A protocol's description as a Hypothesis state machine, run against the real actor: one rule for each message.

Importing this module imports Hypothesis, which freezes trio's own scheduling.
"""

from __future__ import annotations

import keyword
import re
import unittest
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

import actorkit as ak
from actorkit.kernel.message import shortened
from actorkit.testing.protocol import history
from actorkit.testing.protocol.belief import Beliefs
from actorkit.testing.protocol.model import Model, ProtocolViolated, Transition, asks, streams
from actorkit.testing.protocol.world import Subject, World, check_subject, crash

_TRIES = 10  # messages drawn before a rule goes without: none may be legal now


class _NoneLegal:
    """Stands for a message where the state allows none; the rule does nothing."""

    def __repr__(self) -> str:
        return "NONE_IS_LEGAL_NOW"


NONE_LEGAL = _NoneLegal()


class ProtocolMachine(RuleBasedStateMachine):
    """Sends messages to one actor and compares what comes back with what the model expects.

    Attributes:
        description: the ``Spec``.
        subject: what is tested.
        supervised: whether its supervisor restarts it.
        stepped: whether faults can come between any two messages.
    """

    description: ClassVar[type[Model[Any, Any]]]
    subject: ClassVar[Any]
    supervised: ClassVar[bool] = False
    stepped: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.model = self.description()
        self.beliefs: Beliefs[Any, Any] = Beliefs(self.model)
        self.sound = True  # until something is found; then the end must not hide it
        self.world = World(self.subject, supervised=self.supervised, stepped=self.stepped)
        self.world.open()

    def legal(self, msg: Any) -> bool:
        """Whether a message may be sent now."""
        return self.beliefs.legal(msg)

    def guarded(self, act: Callable[[], None]) -> None:
        """Do a step of the test, and remember if it fails; nothing once too little is known to judge it."""
        if self.beliefs.crowded:
            return
        self.sound = False
        act()
        self.sound = True

    def take(self, msg: Any) -> None:
        """Send a message, and judge what comes of it."""
        outcome = self.world.perform(msg)
        self.world.rest(told=not answered(type(msg)))
        for reason in self.world.deaths():
            raise crash(self.world.ref, reason, msg)
        if isinstance(outcome, (history.Unknown, history.Failed)):
            raise ProtocolViolated(f"{shortened(msg)} was not answered: {outcome.why}")
        self.beliefs.observe(msg, outcome)
        self.compare()

    def compare(self) -> None:
        """Compare the actor's attributes with the model, if the description does."""
        if self.model.checks():
            self.beliefs.compare(self.world.state() or {})

    def teardown(self) -> None:
        """End the world; if nothing was wrong until now, look at the books."""
        try:
            if self.sound:
                self.world.rest(told=True)
                self.world.check_books()
        finally:
            self.close()

    def close(self) -> None:
        """End the world."""
        try:
            self.world.close()
        except Exception:
            if self.sound:  # else it may well follow from what was found
                raise


def answered(kind: type) -> bool:
    """Whether messages of a class are asked, and not told."""
    return asks(kind) or streams(kind)


def sequential(
    description: type[Model[Any, Any]], subject: Subject[Any], chosen: settings | None
) -> type[unittest.TestCase]:
    """A test case that sends one message after another; see ``Spec.sequential``."""
    check_subject(description, subject)
    rules = {
        name: message_rule(name, legal_messages(description, described))
        for name, described in rule_names(ProtocolMachine, description).items()
    }
    return test_case(description, "Sequential", ProtocolMachine, rules, subject, chosen)


def test_case(
    description: type[Model[Any, Any]],
    suffix: str,
    machine: type[ProtocolMachine],
    rules: dict[str, Any],
    subject: Subject[Any],
    chosen: settings | None,
) -> type[unittest.TestCase]:
    """Make the machine's class, and of it the test case that pytest collects."""
    name = f"{description.__name__}{suffix}"
    body = {
        "__module__": description.__module__,
        "__doc__": description.__doc__,
        "description": description,
        "subject": staticmethod(subject) if not isinstance(subject, ak.Props) else subject,
        **rules,
    }
    made: Any = type(name, (machine,), body)
    made.TestCase.settings = chosen or default_settings()
    case: type[unittest.TestCase] = made.TestCase
    return case


test_case.__test__ = False  # type: ignore[attr-defined]  # its name looks like a test to pytest


def default_settings() -> settings:
    """Hypothesis's own, as its profile says, without a deadline: the world has a clock of its own.

    One failure at a time is enough. Explanations trace every line, which takes ten times as long, to name lines of ours.
    """
    return settings(
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[phase for phase in Phase if phase is not Phase.explain],
    )


def rule_names(machine: type, description: type[Model[Any, Any]]) -> dict[str, Transition]:
    """What to call the rule of each message: as the description calls its method."""
    return {
        free_name(machine, described.name): described
        for described in description.transitions.values()
    }


def free_name(machine: type, name: str) -> str:
    """A name for a rule that says what it does, and that the machine does not use itself."""
    plain = re.sub(r"\W+", "_", name).strip("_") or "step"
    return f"{plain}_" if hasattr(machine, plain) or keyword.iskeyword(plain) else plain


def apart(name: str, taken: Iterable[str]) -> str:
    """A name like this that is not taken."""
    while name in taken:
        name += "_"
    return name


def message_rule(name: str, values: st.SearchStrategy[Any]) -> Any:
    """A rule that sends a message."""

    def send(self: ProtocolMachine, msg: Any) -> None:
        if msg is not NONE_LEGAL:
            self.guarded(lambda: self.take(msg))

    send.__name__ = name
    return rule(msg=values)(send)


def legal_messages(
    description: type[Model[Any, Any]], described: Transition
) -> st.SearchStrategy[Any]:
    """Messages of a class that the machine's state allows, or ``NONE_LEGAL``."""
    values = description().strategy(described.taken)
    if described.when is None:
        return values

    @st.composite
    def allowed(draw: st.DrawFn, machine: ProtocolMachine) -> Any:
        for _ in range(_TRIES):
            msg = draw(values)
            if machine.legal(msg):
                return msg
        return NONE_LEGAL

    return st.runner().flatmap(allowed)
