"""The state machine of a protocol with faults: the actor is killed, timers come early, time passes, while messages go on.

A message whose asker gets no reply may have been handled or not, so the model may be in several states; an answer that fits
none of them is a violation. Importing this module imports Hypothesis, which freezes trio's own scheduling.
"""

from __future__ import annotations

import unittest
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

import actorkit as ak
from actorkit.testing.protocol import history
from actorkit.testing.protocol.machine import (
    NONE_LEGAL,
    ProtocolMachine,
    answered,
    apart,
    free_name,
    legal_messages,
    rule_names,
    test_case,
)
from actorkit.testing.protocol.model import Model
from actorkit.testing.protocol.world import Subject, check_subject, crash
from actorkit.testing.simulation.faults import Fault, InjectedCrash

_MOST_STEPS = 12  # of the world, from sending a message to the fault
_MOST_VICTIMS = 3
_QUIET = 4  # messages without a fault for each with one: many failures need a long quiet stretch
_LONGEST_WAIT = 120.0


@attrs.frozen
class Strike:
    """A fault while a message is on its way.

    Attributes:
        fault: its name.
        after: after how many steps of the world it strikes.
        which: chooses the victim if there are several.
    """

    fault: str
    after: int = 0
    which: int = 0

    def __repr__(self) -> str:
        victim = f", which={self.which}" if self.which else ""
        return f"{self.fault}(after={self.after}{victim})"


class FaultyMachine(ProtocolMachine):
    """Does harm while it sends messages.

    Attributes:
        faults: what may be done, by name.
        tolerated: the exceptions of which the actor may crash; its supervisor restarts it.
    """

    faults: ClassVar[dict[str, Fault]]
    tolerated: ClassVar[tuple[type[BaseException], ...]] = ()
    supervised = True
    stepped = True

    def take_with(self, msg: Any, with_fault: Strike | None) -> None:
        """Send a message, perhaps with a fault while it is on its way, and judge what comes of it."""
        if with_fault is None:
            outcome = self.world.perform(msg)
        else:
            fault, which = self.faults[with_fault.fault], with_fault.which
            outcome = self.world.perform(
                msg, lambda: self.world.strike(fault, which), with_fault.after
            )
        self.world.rest(told=outcome_is_open(msg, outcome))
        restarts = self.restarts(msg)
        if restarts and not answered(type(msg)):
            outcome = history.Unknown("it was told, and the actor died meanwhile")
        self.beliefs.observe(msg, outcome, restarts)
        self.compare()

    def strike(self, name: str, which: int) -> None:
        """Do harm while nothing is on its way."""
        self.world.strike(self.faults[name], which)
        self.settle(f"{name} struck")

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.world.stepper.advance(seconds)
        self.settle("time passed")

    def settle(self, meanwhile: str) -> None:
        """Wait until the actor is at rest, and judge how it is."""
        self.world.rest(told=True)
        self.beliefs.restart(self.restarts(meanwhile))
        self.compare()

    def restarts(self, meanwhile: Any) -> int:
        """How often the actor died since the last look.

        Raises:
            ProtocolViolated: once it was of something of its own.
        """
        deaths = self.world.deaths()
        for reason in deaths:
            if not self._may_die_of(reason):
                raise crash(self.world.ref, reason, meanwhile)
        return len(deaths)

    def _may_die_of(self, reason: ak.ExitReason) -> bool:
        if isinstance(reason, ak.Crashed):
            return isinstance(reason.cause, (InjectedCrash, *self.tolerated))
        return True


def outcome_is_open(msg: Any, outcome: history.Outcome) -> bool:
    """Whether what was sent may still wait in the mailbox."""
    return not answered(type(msg)) or isinstance(outcome, history.Unknown)


def faulty(
    description: type[Model[Any, Any]],
    subject: Subject[Any],
    faults: Iterable[Fault],
    tolerated: Sequence[type[BaseException]],
    chosen: settings | None,
) -> type[unittest.TestCase]:
    """A test case that does harm as well; see ``Spec.faulty``."""
    check_subject(description, subject)
    named = _named(faults)
    most = 0 if isinstance(subject, ak.Props) else _MOST_VICTIMS
    strikes = _strikes(named, most)
    rules: dict[str, Any] = {
        name: _message_rule(name, legal_messages(description, described), strikes)
        for name, described in rule_names(FaultyMachine, description).items()
    }
    for name in named:
        rules[apart(name, rules)] = _fault_rule(name, most)
    rules[apart("wait", rules)] = _wait_rule()
    body = {"faults": named, "tolerated": tuple(tolerated), **rules}
    return test_case(description, "Faulty", FaultyMachine, body, subject, chosen)


def _named(faults: Iterable[Fault]) -> dict[str, Fault]:
    named: dict[str, Fault] = {}
    for fault in faults:
        name = free_name(FaultyMachine, str(getattr(fault, "name", "") or _snake(fault)))
        named[apart(name, named)] = fault
    return named


def _snake(fault: Fault) -> str:
    plain = type(fault).__name__.strip("_")
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in plain).strip("_")


def _strikes(named: dict[str, Fault], most: int) -> st.SearchStrategy[Strike | None]:
    if not named:
        return st.none()
    steps, victims = st.integers(0, _MOST_STEPS), st.integers(0, most)
    strikes = st.builds(Strike, st.sampled_from(sorted(named)), steps, victims)
    return st.one_of(*[st.none()] * _QUIET, strikes)


def _message_rule(
    name: str, values: st.SearchStrategy[Any], strikes: st.SearchStrategy[Strike | None]
) -> Any:
    def send(self: FaultyMachine, msg: Any, with_fault: Strike | None) -> None:
        if msg is not NONE_LEGAL:
            self.guarded(lambda: self.take_with(msg, with_fault))

    send.__name__ = name
    return rule(msg=values, with_fault=strikes)(send)


def _fault_rule(name: str, most: int) -> Any:
    def strike(self: FaultyMachine, which: int = 0) -> None:
        self.guarded(lambda: self.strike(name, which))

    strike.__name__ = name
    return (rule(which=st.integers(0, most)) if most else rule())(strike)


def _wait_rule() -> Any:
    def wait(self: FaultyMachine, seconds: float) -> None:
        self.guarded(lambda: self.pass_time(seconds))

    return rule(seconds=st.integers(1, int(_LONGEST_WAIT)))(wait)
