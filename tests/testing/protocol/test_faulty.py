"""Faults between messages and in the midst of them: what is not known is allowed for, what is wrong is found."""

from __future__ import annotations

from typing import Any

import pytest

import actorkit as ak
from actorkit.testing.protocol.faulty import Strike
from actorkit.testing.protocol.model import ProtocolViolated
from actorkit.testing.simulation.faults import Fault, crash_actor, custom, early_timer, kill_actor
from tests.testing.protocol.bank import (
    Account,
    AccountMessage,
    AccountSpec,
    Balance,
    Deposit,
    Interest,
    LastingSpec,
    Withdraw,
    quick,
)
from tests.testing.protocol.failing import failure_of, program_of

Store = dict[str, int]


class LastingAccount(Account):
    """Writes its balance down before it answers; writing takes a moment."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.cents = store.get("cents", 0)

    async def write(self) -> None:
        """Make the balance last."""
        await self.ctx.sleep(0.1)
        self.store["cents"] = self.cents

    @ak.on(Deposit)
    async def save_deposit(self, msg: Deposit) -> int:
        self.cents += msg.cents
        await self.write()
        return self.cents

    @ak.on(Withdraw)
    async def withdraw(self, msg: Withdraw) -> int:
        left = await super().withdraw(msg)
        await self.write()
        return left

    @ak.on(Interest)
    async def save_interest(self, msg: Interest) -> None:
        super().interest(msg)
        await self.write()


async def supervised(system: ak.System, cls: Any) -> ak.Ref[AccountMessage]:
    """An account with a store of its own, under a supervisor."""
    child = ak.Child("account", ak.props(cls, {}))
    tree = await system.start(ak.supervise(child, max_restarts=10_000, within=1.0))
    ref: ak.Ref[AccountMessage] = tree.child(child)
    return ref


async def lasting(system: ak.System) -> ak.Ref[AccountMessage]:
    """An account that is right."""
    return await supervised(system, LastingAccount)


EVERYTHING: tuple[Fault, ...] = (kill_actor(), crash_actor(), early_timer())

TestAccount = AccountSpec.faulty(ak.props(Account), settings=quick())
TestAccountThatCrashes = AccountSpec.faulty(ak.props(Account), faults=EVERYTHING, settings=quick())
TestLastingAccount = LastingSpec.faulty(lasting, faults=EVERYTHING, settings=quick())


def test_an_actor_that_forgets_is_not_one_that_remembers() -> None:
    """The description says that the balance lasts; a kill shows that it does not."""
    error = failure_of(LastingSpec.faulty(ak.props(Account), settings=quick(400)))
    assert isinstance(error, ProtocolViolated)
    program = program_of(error)
    assert len(program) <= 5
    assert any("kill_actor" in line for line in program)


class Hasty(LastingAccount):
    """Answers first, and writes afterwards."""

    async def write(self) -> None:
        """Begin to write."""
        self.ctx.start_soon(super().write)


async def hasty(system: ak.System) -> ak.Ref[AccountMessage]:
    """An account that acknowledges before it writes."""
    return await supervised(system, Hasty)


def test_an_acknowledgement_before_the_write_is_found() -> None:
    """A deposit was answered, the actor killed, and the money is gone: three calls show it."""
    error = failure_of(LastingSpec.faulty(hasty, settings=quick(400)))
    assert isinstance(error, ProtocolViolated)
    program = program_of(error)
    assert len(program) <= 5
    assert any("deposit" in line for line in program)
    assert any("kill_actor" in line for line in program)


class TwiceRestored(LastingAccount):
    """Counts what it had when it died twice."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.cents *= 2


async def restored_twice(system: ak.System) -> ak.Ref[AccountMessage]:
    """An account that is wrong when it comes back."""
    return await supervised(system, TwiceRestored)


def test_a_wrong_recovery_is_found() -> None:
    """The state after a restart is compared like any other."""
    error = failure_of(LastingSpec.faulty(restored_twice, settings=quick(400)))
    assert isinstance(error, ProtocolViolated)


class Mortal(Account):
    @ak.on(Balance)
    def balance(self, msg: Balance) -> int:
        if self.cents > 20:
            raise ZeroDivisionError
        return self.cents


def test_a_crash_of_its_own_is_no_fault() -> None:
    """Only what the test does to the actor may kill it."""
    error = failure_of(AccountSpec.faulty(ak.props(Mortal), settings=quick(400)))
    assert isinstance(error, ProtocolViolated)
    assert "ZeroDivisionError" in str(error)


TestTolerated = AccountSpec.faulty(
    ak.props(Mortal), tolerated=[ZeroDivisionError], settings=quick(30)
)


class Lazy(Account):
    """Answers when its askers have given up."""

    @ak.on(Balance)
    async def balance_later(self, _: Balance) -> int:
        await self.ctx.sleep(7.0)
        return self.cents


TestSlowAnswers = AccountSpec.faulty(ak.props(Lazy), settings=quick())


class NeverBack(Account):
    """Does not start a second time."""

    lives = 0

    def __init__(self, store: Store) -> None:
        super().__init__()
        store["lives"] = store.get("lives", 0) + 1
        self.store = store

    async def started(self) -> None:
        """Wait for ever in the second life."""
        if self.store["lives"] > 1:
            await self.ctx.sleep(10_000.0)


async def never_back(system: ak.System) -> ak.Ref[AccountMessage]:
    """An account that is not there any more after a restart."""
    return await supervised(system, NeverBack)


def test_an_actor_that_does_not_come_back_is_found() -> None:
    """After a fault the actor must be at rest again within a minute of virtual time."""
    error = failure_of(AccountSpec.faulty(never_back, settings=quick(400)))
    assert isinstance(error, ProtocolViolated)
    assert "after 60 s" in str(error)


def test_faults_of_the_tests_own_are_rules_of_their_own() -> None:
    """A custom fault is called by its name in the program; what it breaks is found."""

    def rob(sim: Any) -> None:
        for cell in sim.system.runtime.cells.values():
            if isinstance(cell.actor, Account):
                cell.actor.cents = 0

    case = AccountSpec.faulty(
        ak.props(Account), faults=[custom("rob the bank", rob)], settings=quick(60)
    )
    error = failure_of(case)
    assert isinstance(error, ProtocolViolated)
    assert any("rob_the_bank" in line for line in program_of(error))


def test_a_strike_in_the_midst_is_told_in_short() -> None:
    """How a fault stands in a failing program."""
    assert repr(Strike("kill_actor", 3)) == "kill_actor(after=3)"
    assert repr(Strike("kill_actor", 3, 1)) == "kill_actor(after=3, which=1)"


@pytest.mark.parametrize("faults", [[], [kill_actor()]])
def test_no_fault_is_needed(faults: list[Fault]) -> None:
    """Time passes in any case."""
    AccountSpec.faulty(ak.props(Account), faults=faults, settings=quick(5))("runTest").debug()
