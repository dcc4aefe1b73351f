"""One message after another: right actors pass, and each wrong one is found and shown in a short program."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

import actorkit as ak
from actorkit.testing.failures import Unbalanced
from actorkit.testing.protocol.expectations import NO_REPLY, Step, Told, anything, matching
from actorkit.testing.protocol.model import ProtocolViolated, transition
from actorkit.testing.protocol.spec import Spec
from tests.testing.protocol.bank import (
    Account,
    AccountMessage,
    AccountSpec,
    Balance,
    Bank,
    BankSpec,
    Deposit,
    Interest,
    LookingSpec,
    MixedUpBank,
    Withdraw,
    quick,
)
from tests.testing.protocol.failing import failure_of, program_of

TestAccount = AccountSpec.sequential(ak.props(Account), settings=quick())
TestAccountWithItsAttributes = LookingSpec.sequential(ak.props(Account), settings=quick())
TestBank = BankSpec.sequential(ak.props(Bank), settings=quick())


class Overdrawn(Account):
    @ak.on(Withdraw)
    async def withdraw(self, msg: Withdraw) -> int:
        self.cents -= msg.cents
        return self.cents


def test_a_wrong_reply_is_found() -> None:
    """The shortest program that shows it is printed, with what was expected, what came, and in which state."""
    error = failure_of(AccountSpec.sequential(ak.props(Overdrawn), settings=quick(400)))
    assert isinstance(error, ProtocolViolated)
    assert re.fullmatch(
        r"Withdraw\(cents=\d+\) in state \d+: expected the refusal Insufficient, got the reply -\d+",
        str(error),
    )
    program = program_of(error)
    assert len(program) <= 4  # three calls are enough; Hypothesis does not always get there
    assert re.fullmatch(r"state\.deposit\(msg=Deposit\(cents=\d+\)\)", program[0])
    assert re.fullmatch(r"state\.withdraw\(msg=Withdraw\(cents=\d+\)\)", program[-2])


class Timid(Account):
    @ak.on(Deposit)
    def deposit(self, msg: Deposit) -> int:
        if msg.cents > 100:
            raise ak.Refused("too much")
        return super().deposit(msg)


def test_a_refusal_that_was_not_due_is_found() -> None:
    """No is an answer like any other."""
    error = failure_of(AccountSpec.sequential(ak.props(Timid), settings=quick(400)))
    assert re.fullmatch(
        r"Deposit\(cents=\d+\) in state 0: expected the reply \d+, "
        r"got the refusal Refused\('too much'\)",
        str(error),
    )


class Fragile(Account):
    @ak.on(Interest)
    def interest(self, msg: Interest) -> None:
        assert msg.percent < 7, "nobody pays that much"
        super().interest(msg)


def test_a_crash_is_found_though_nobody_asked() -> None:
    """The actor dies of a message that was told: the failure names its reason, and where in the actor it was."""
    error = failure_of(AccountSpec.sequential(ak.props(Fragile), settings=quick(400)))
    assert isinstance(error, ProtocolViolated)
    assert "ended while it handled Interest(percent=7): crashed (AssertionError" in str(error)
    assert isinstance(error.__cause__, AssertionError)
    assert "test_machine.py" in "\n".join(error.__notes__)
    assert "state.interest(msg=Interest(percent=7))" in program_of(error)


class Forgetful(Account):
    @ak.on(Interest)
    def interest(self, msg: Interest) -> None:
        if self.cents < 100:
            super().interest(msg)


def test_an_effect_that_is_missing_shows_in_the_next_answer() -> None:
    """What is told has no reply, so the next request tells."""
    error = failure_of(AccountSpec.sequential(ak.props(Forgetful), settings=quick(400)))
    assert isinstance(error, ProtocolViolated)
    calls = [line.partition("(")[0] for line in program_of(error)]
    assert {"state.deposit", "state.interest"} <= set(calls)
    assert len(calls) <= 5


class Secretive(Account):
    @ak.on(Withdraw)
    async def withdraw(self, msg: Withdraw) -> int:
        left = await super().withdraw(msg)
        self.cents -= left > 3
        return left


def test_attributes_that_differ_are_found() -> None:
    """``check`` sees what no answer has shown yet."""
    error = failure_of(LookingSpec.sequential(ak.props(Secretive), settings=quick(400)))
    assert isinstance(error, ProtocolViolated)
    assert re.fullmatch(
        r"the actor's attributes \{'cents': \d+\} do not agree with the model's state \d+",
        str(error),
    )


class Silent(Account):
    @ak.on(Balance)
    def balance_later(self, _: Balance, reply: ak.Reply[int]) -> None:
        if self.cents < 50:
            reply.send(self.cents)


def test_a_request_that_is_never_answered_is_found() -> None:
    """Virtual time passes until the ask gives up."""
    error = failure_of(AccountSpec.sequential(ak.props(Silent), settings=quick(400)))
    assert isinstance(error, ProtocolViolated)
    assert "Balance() was not answered: " in str(error)
    assert "within 5 s" in str(error)


class Stuck(Account):
    @ak.on(Interest)
    async def wait_for_interest(self, _: Interest) -> None:
        await self.ctx.sleep(3600.0)


def test_an_actor_that_does_not_come_to_rest_is_found() -> None:
    """A told message may take a minute of virtual time, not an hour."""
    error = failure_of(AccountSpec.sequential(ak.props(Stuck), settings=quick(400)))
    assert isinstance(error, ProtocolViolated)
    assert "is still busy after 60 s" in str(error)


def test_a_mix_up_of_keys_is_found() -> None:
    """With ``key``, each part has a state of its own."""
    error = failure_of(BankSpec.sequential(ak.props(MixedUpBank), settings=quick(400)))
    assert isinstance(error, ProtocolViolated)
    *_, look, _ = program = program_of(error)
    assert "state.look(msg=Look(account=" in look
    assert any("state.put(msg=Put(account=" in line for line in program)
    assert "'ann'" in "".join(program)
    assert "'bob'" in "".join(program)


# What is tested -----------------------------------------------------------------------------------------------------


class Teller(ak.Actor[AccountMessage]):
    """Passes everything on to an account."""

    def __init__(self, account: ak.Ref[AccountMessage]) -> None:
        self.account = account

    @ak.on(Deposit)
    async def deposit(self, msg: Deposit) -> int:
        return await self.account.ask(msg)

    @ak.on(Withdraw)
    async def withdraw(self, msg: Withdraw) -> int:
        return await self.account.ask(msg)

    @ak.on(Interest)
    async def interest(self, msg: Interest) -> None:
        await self.account.send(msg)

    @ak.on(Balance)
    async def balance(self, msg: Balance) -> int:
        return await self.account.ask(msg)


async def teller(system: ak.System) -> ak.Ref[AccountMessage]:
    """A teller with an account of its own."""
    account = await system.spawn(ak.props(Account))
    return await system.spawn(ak.props(Teller, account))


TestTeller = AccountSpec.sequential(teller, settings=quick())


async def careless_teller(system: ak.System) -> ak.Ref[AccountMessage]:
    """A teller whose account is wrong."""
    return await system.spawn(ak.props(Teller, await system.spawn(ak.props(Overdrawn))))


def test_an_actor_may_be_set_up_with_others() -> None:
    """A function of the system starts what the actor needs; what is wrong there is found through it."""
    error = failure_of(AccountSpec.sequential(careless_teller, settings=quick(400)))
    assert "expected the refusal Insufficient" in str(error)


class Unborn(Account):
    def started(self) -> None:
        raise LookupError("no money to begin with")


def test_an_actor_that_does_not_start_fails_the_test() -> None:
    """Its own reason surfaces, and nothing is left behind: the next test runs."""
    error = failure_of(AccountSpec.sequential(ak.props(Unborn), settings=quick(400)))
    assert isinstance(error, ak.StartFailed)
    AccountSpec.sequential(ak.props(Account), settings=quick(2, 2))("runTest").debug()


class Quiet(ak.Actor[Deposit | Balance]):
    @ak.on(Deposit)
    def deposit(self, msg: Deposit) -> int:
        return 0

    @ak.on(Balance)
    def balance(self, msg: Balance) -> int:
        return 0


def test_an_actor_of_another_vocabulary_is_refused_at_once() -> None:
    """What the actor cannot take is named when the test is made."""
    wrong: Any = ak.props(Quiet)
    with pytest.raises(ak.VocabularyError, match=r"describes Withdraw, Interest, which Quiet does"):
        AccountSpec.sequential(wrong)


def test_something_else_than_an_actor_is_refused_at_once() -> None:
    """The error says what is tested."""
    wrong: Any = 5
    with pytest.raises(TypeError, match=r"tested on ak\.props\(SomeActor, \.\.\.\)"):
        AccountSpec.sequential(wrong)


# Expectations, streams, strategies ----------------------------------------------------------------------------------


@ak.message
class Roll(ak.Request[int]):
    sides: int


@ak.message
class Ticket(ak.Request[str]):
    pass


@ak.message
class Count(ak.StreamRequest[int]):
    upto: int


@ak.message
class Teardown:
    """Its rule must not replace the machine's own method."""


class GamesSpec(Spec[None, Roll | Ticket | Count | Teardown]):
    def initial(self) -> None:
        return None

    def strategy(self, kind: type[Any], /) -> st.SearchStrategy[Any]:
        if kind is Roll:
            return st.builds(Roll, st.sampled_from([6, 20]))
        if kind is Count:
            return st.builds(Count, st.integers(0, 5))
        return super().strategy(kind)

    @transition(Roll)
    def roll(self, _: None, msg: Roll) -> Step[int, None]:
        return matching(lambda n: 1 <= n <= msg.sides, f"from 1 to {msg.sides}"), None

    @transition(Ticket)
    def ticket(self, _: None, __: Ticket) -> Step[str, None]:
        return anything, None

    @transition(Count)
    def count(self, _: None, msg: Count) -> Step[tuple[int, ...], None]:
        return tuple(range(msg.upto)), None

    @transition(Teardown)
    def teardown(self, _: None, __: Teardown) -> Told[None]:
        return NO_REPLY, None


class Games(ak.Actor[Roll | Ticket | Count | Teardown]):
    def __init__(self, *, unfair: bool = False, short: bool = False) -> None:
        self.unfair = unfair
        self.short = short

    @ak.on(Roll)
    def roll(self, msg: Roll) -> int:
        return 7 if self.unfair else self.ctx.rng.randint(1, msg.sides)

    @ak.on(Ticket)
    def ticket(self, msg: Ticket) -> str:
        return self.ctx.token_bytes(4).hex()

    @ak.on(Count)
    async def count(self, msg: Count) -> AsyncIterator[int]:
        for number in range(msg.upto - (self.short and msg.upto > 3)):
            yield number

    @ak.on(Teardown)
    def teardown(self, msg: Teardown) -> None: ...


TestGames = GamesSpec.sequential(ak.props(Games), settings=quick())


def test_a_reply_that_does_not_match_is_found() -> None:
    """``matching`` describes what was expected in words; the description's own strategy is used."""
    error = failure_of(GamesSpec.sequential(ak.props(Games, unfair=True), settings=quick(400)))
    assert "expected a reply that is from 1 to 6, got the reply 7" in str(error)


def test_a_stream_that_ends_early_is_found() -> None:
    """All items of a stream are one answer, a tuple."""
    error = failure_of(GamesSpec.sequential(ak.props(Games, short=True), settings=quick(400)))
    assert re.search(r"expected the reply (.*), \d\), got the reply \1\)", str(error))


class Vanishing(Account):
    @ak.on(Interest)
    def interest(self, msg: Interest) -> None:
        super().interest(msg)
        self.ctx._cell.runtime.sent += 1  # noqa: SLF001 - a kernel that loses a message


def test_a_message_that_vanishes_is_found() -> None:
    """At the end of each example the books must balance."""
    error = failure_of(AccountSpec.sequential(ak.props(Vanishing), settings=quick(400)))
    assert isinstance(error, Unbalanced)
    assert "state.interest(msg=Interest(percent=0))" in program_of(error)


def test_a_thousand_steps_take_less_than_a_second_or_so() -> None:
    """Hypothesis included; three times that is still a pass, for the machine may be busy."""
    case = AccountSpec.sequential(
        ak.props(Account), settings=settings(quick(60, 50), max_examples=60)
    )
    before = time.process_time()
    case("runTest").debug()
    steps = 60 * 40  # about: Hypothesis ends some programs early
    assert (time.process_time() - before) / steps < 3e-3
