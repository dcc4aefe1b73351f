"""What type checkers must accept: protocols described, and tests made of them."""

from __future__ import annotations

import unittest
from collections.abc import Hashable, Mapping
from typing import Any, assert_type

from hypothesis import settings
from hypothesis import strategies as st

import actorkit as ak
from actorkit.testing.protocol.expectations import (
    NO_REPLY,
    Step,
    Told,
    anything,
    matching,
    refuses,
)
from actorkit.testing.protocol.history import History
from actorkit.testing.protocol.linearizability import Linearizable
from actorkit.testing.protocol.model import transition
from actorkit.testing.protocol.programs import Programs
from actorkit.testing.protocol.spec import Spec
from actorkit.testing.protocol.strategies import messages, register_strategy
from actorkit.testing.simulation.faults import early_timer, kill_actor
from actorkit.testing.stepper import Stepper
from actorkit.testing.trace import Trace


class Insufficient(ak.Refused):
    pass


@ak.message
class Deposit(ak.Request[int]):
    cents: int


@ak.message
class Withdraw(ak.Request[int]):
    cents: int


@ak.message
class Tick:
    pass


@ak.message
class Names(ak.StreamRequest[str]):
    pass


Vocabulary = Deposit | Withdraw | Tick | Names


class AccountSpec(Spec[int, Vocabulary]):
    def initial(self) -> int:
        return 0

    def restarted(self, state: int, /) -> int:
        return state

    def check(self, state: int, actor_state: Mapping[str, Any], /) -> bool:
        return bool(actor_state["cents"] == state)

    @transition(Deposit)
    def deposit(self, balance: int, msg: Deposit) -> Step[int, int]:
        if msg.cents > 100:
            return matching(lambda reply: reply > 100, "large"), balance
        return balance + msg.cents, balance + msg.cents

    @transition(Withdraw, when=lambda balance, msg: balance > msg.cents)
    def withdraw(self, balance: int, msg: Withdraw) -> Step[int, int]:
        if msg.cents > balance:
            return refuses(Insufficient), balance
        if msg.cents == balance:
            return refuses(Insufficient("no")), balance
        return anything, balance - msg.cents

    @transition(Tick)
    def tick(self, balance: int, msg: Tick) -> Told[int]:
        return NO_REPLY, balance

    @transition(Names)
    def names(self, balance: int, _: Names) -> Step[tuple[str, ...], int]:
        return ("ann",), balance


class PlainSpec(Spec[int, Deposit]):
    def initial(self) -> int:
        return 0

    def key(self, msg: Deposit, /) -> Hashable:
        return msg.cents

    @transition(Deposit)
    def deposit(self, balance: int, msg: Deposit) -> tuple[int, int]:
        return balance, balance


class Account(ak.Actor[Vocabulary]):
    def __init__(self, opening: int = 0) -> None:
        self.cents = opening

    @ak.on(Deposit)
    def deposit(self, msg: Deposit) -> int:
        return 0

    @ak.on(Withdraw)
    def withdraw(self, msg: Withdraw) -> int:
        return 0

    @ak.on(Tick)
    def tick(self, msg: Tick) -> None: ...

    @ak.on(Names)
    async def names(self, msg: Names, out: ak.ReplyStream[str]) -> None: ...


async def prepared(system: ak.System) -> ak.Ref[Vocabulary]:
    return await system.spawn(ak.props(Account))


TestOne = AccountSpec.sequential(ak.props(Account, 5))
TestTwo = AccountSpec.sequential(prepared, settings=settings(max_examples=5))
TestThree = AccountSpec.faulty(prepared, faults=[kill_actor(), early_timer()], tolerated=[KeyError])
TestFour = AccountSpec.malformed(ak.props(Account))
test_five = AccountSpec.concurrent(ak.props(Account), clients=3, strategy="pct", seed=1)
test_six = AccountSpec.concurrent(ak.props(Account), programs=Programs((Deposit(1),)))
# An actor that takes more than the protocol can be tested by it.
TestSeven = PlainSpec.sequential(ak.props(Account))


def use(history: History, trace: Trace, stepper: Stepper, ref: ak.Ref[Vocabulary]) -> None:
    case: type[unittest.TestCase] = TestOne
    case("runTest").debug()
    test_five()
    test_five.replay("ak1:", programs=Programs())
    assert_type(AccountSpec.check_trace(history), Linearizable)
    assert_type(AccountSpec.check_trace(trace, actor="/bank"), Linearizable)
    assert_type(messages(Deposit), st.SearchStrategy[Deposit])
    assert_type(messages(Deposit, cents=st.just(5)), st.SearchStrategy[Deposit])
    messages(Deposit | Withdraw, cents=5)
    register_strategy(Deposit, st.builds(Deposit, st.just(5)))
    assert_type(AccountSpec().initial(), int)

    assert_type(stepper.run(ref.ask, Deposit(5)), int)
    assert_type(stepper.run(ref.ask, Deposit(5), timeout=3.0), int)
    system = stepper.enter(ak.open_system())
    assert_type(system, ak.System)
    job = stepper.start(ref.ask, Withdraw(5))
    assert_type(stepper.wait(job), int)
    assert_type(job.result(), int)
