"""Clients that overlap: right actors pass under every schedule, lost updates and the like are found and shown."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import actorkit as ak
from actorkit.testing.protocol.expectations import Step
from actorkit.testing.protocol.model import ProtocolViolated, transition
from actorkit.testing.protocol.programs import Programs, legal
from actorkit.testing.protocol.spec import Spec
from actorkit.testing.simulation.faults import early_timer, kill_actor
from actorkit.testing.simulation.simulate import SimulatedFunction
from tests.testing.protocol.bank import (
    Account,
    AccountMessage,
    AccountSpec,
    Balance,
    Bank,
    BankSpec,
    Deposit,
    Interest,
    LastingSpec,
    Look,
    MixedUpBank,
    Put,
    Withdraw,
)

FEW = {"examples": 40, "seed": 1}

test_account = AccountSpec.concurrent(ak.props(Account), examples=40, seed=1)
test_account_at_random = AccountSpec.concurrent(
    ak.props(Account), strategy="random", examples=40, seed=1
)
test_bank = BankSpec.concurrent(ak.props(Bank), clients=4, length=3, examples=40, seed=1)
test_account_with_faults = AccountSpec.concurrent(
    ak.props(Account), faults=[kill_actor(), early_timer()], examples=40, seed=1
)


def failure_of(test: SimulatedFunction) -> AssertionError:
    """What a simulated test fails with."""
    with pytest.raises(AssertionError) as caught:
        test()
    return caught.value


def told(error: BaseException) -> str:
    """The failure with its notes."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


class Absent(Account):
    """Reads its balance, looks something up, and writes: what happens between is lost."""

    @ak.on(Deposit)
    def deposit_later(self, msg: Deposit, reply: ak.Reply[int]) -> None:
        self.ctx.start_soon(self.add, self.cents, msg.cents, reply)

    async def add(self, seen: int, cents: int, reply: ak.Reply[int]) -> None:
        """Write what was true before."""
        await self.ctx.sleep(0.1)
        self.cents = seen + cents
        reply.send(self.cents)


def test_a_lost_update_is_found() -> None:
    """Two deposits at once leave one: no order explains both answers, and two short programs show it."""
    error = failure_of(AccountSpec.concurrent(ak.props(Absent), examples=200, seed=1))
    text = told(error)
    assert "not linearizable" in text
    assert text.count("Deposit(cents=") >= 2
    assert "programs=Programs(" in text
    assert "ak1:" in text


def test_a_failure_can_be_replayed() -> None:
    """The token and the programs give the same failure again."""
    fixed = Programs(clients=((Deposit(1),), (Deposit(2),)))
    test = AccountSpec.concurrent(ak.props(Absent), programs=fixed, examples=100, seed=1)
    first = failure_of(test)
    token = next(word for word in told(first).split() if word.startswith("ak1:"))
    with pytest.raises(AssertionError) as again:
        test.replay(token)
    assert str(again.value) == str(first)


def test_a_mix_up_of_keys_is_found() -> None:
    """Each key is judged by itself."""
    text = told(failure_of(BankSpec.concurrent(ak.props(MixedUpBank), examples=200, seed=1)))
    assert "not linearizable" in text
    assert "Look(account=" in text


class Fragile(Account):
    @ak.on(Interest)
    def interest(self, msg: Interest) -> None:
        raise LookupError("no interest")


def test_a_crash_of_its_own_is_found() -> None:
    """Though nobody asked: the run fails with the actor's reason."""
    error = failure_of(AccountSpec.concurrent(ak.props(Fragile), examples=60, seed=1))
    assert isinstance(error, ProtocolViolated)
    assert "Interest" in str(error)
    assert "LookupError: no interest" in str(error)


class Forgetful(Account):
    @ak.on(Interest)
    def interest(self, msg: Interest) -> None: ...


def test_what_was_told_must_have_happened_in_the_end() -> None:
    """A told message is handled before the next answer to its sender: an effect that is missing is found."""
    fixed = Programs(first=(Deposit(100),), clients=((Interest(10), Balance()), (Balance(),)))
    error = failure_of(
        AccountSpec.concurrent(ak.props(Forgetful), programs=fixed, examples=30, seed=1)
    )
    assert "not linearizable" in str(error)


def test_all_orders_of_a_closed_test_can_be_tried() -> None:
    """With the programs given, the search may be exhaustive."""
    fixed = Programs(clients=((Deposit(1),), (Deposit(2), Balance())))
    right = AccountSpec.concurrent(ak.props(Account), programs=fixed, strategy="exhaustive")
    right()
    assert "complete" in str(right.simulated.exploration)
    failure_of(AccountSpec.concurrent(ak.props(Absent), programs=fixed, strategy="exhaustive"))


# Faults -------------------------------------------------------------------------------------------------------------


class LastingAccount(Account):
    """Keeps its balance in a store that outlives it, or only says so."""

    def __init__(self, store: dict[str, int], *, hasty: bool) -> None:
        super().__init__()
        self.store = store
        self.hasty = hasty
        self.cents = store.get("cents", 0)

    @ak.on(Deposit)
    async def save_deposit(self, msg: Deposit) -> int:
        self.cents += msg.cents
        if self.hasty:
            self.ctx.start_soon(self.write)
        else:
            await self.write()
        return self.cents

    @ak.on(Withdraw)
    async def withdraw(self, msg: Withdraw) -> int:
        await super().withdraw(msg)
        await self.write()
        return self.cents

    @ak.on(Interest)
    async def save_interest(self, msg: Interest) -> None:
        super().interest(msg)
        await self.write()

    async def write(self) -> None:
        """Make it last."""
        await self.ctx.sleep(0.1)
        self.store["cents"] = self.cents


def kept(*, hasty: bool) -> Any:
    """How to start such an account, with a store of its own."""

    async def start(system: ak.System) -> ak.Ref[AccountMessage]:
        child = ak.Child("account", ak.props(LastingAccount, {}, hasty=hasty))
        tree = await system.start(ak.supervise(child, max_restarts=1_000, within=1.0))
        return tree.child(child)

    return start


test_lasting_account = LastingSpec.concurrent(
    kept(hasty=False), faults=[kill_actor()], clients=2, examples=40, seed=1
)


def test_an_acknowledgement_before_the_write_is_found() -> None:
    """One kill is enough: the deposit was answered, and the next balance does not have it."""
    error = failure_of(
        LastingSpec.concurrent(
            kept(hasty=True), faults=[kill_actor()], clients=2, examples=300, seed=1
        )
    )
    text = told(error)
    assert "not linearizable" in text
    assert "kill /" in text


def test_an_actor_that_forgets_is_not_one_that_remembers() -> None:
    """In the other direction: what the description calls lasting is gone after a kill."""
    error = failure_of(
        LastingSpec.concurrent(ak.props(Account), faults=[kill_actor()], examples=300, seed=1)
    )
    assert "not linearizable" in str(error)


# Programs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drawn", "kept_programs"),
    [
        (
            Programs((), ((Withdraw(1),), (Deposit(1),))),
            Programs((), ((), (Deposit(1),))),
        ),
        (
            Programs((Deposit(9),), ((Withdraw(1),), (Balance(),))),
            Programs((Deposit(9),), ((Withdraw(1),), (Balance(),))),
        ),
        (
            Programs((Deposit(1),), ((Withdraw(1),), (Withdraw(1),))),
            Programs((Deposit(1),), ((Withdraw(1),), ())),
        ),
        (
            Programs((Withdraw(1), Deposit(1)), ((Balance(),),)),
            Programs((Deposit(1),), ((Balance(),),)),
        ),
    ],
)
def test_only_what_every_interleaving_allows_is_sent(
    drawn: Programs, kept_programs: Programs
) -> None:
    """A withdrawal needs a balance in every order in which the clients may go on."""
    made = legal(AccountSpec(), drawn)
    assert made.first == kept_programs.first
    assert sorted(map(len, made.clients)) == sorted(map(len, kept_programs.clients))


@ak.message
class Wide(ak.Request[int]):
    number: int


@attrs.frozen
class Seen:
    numbers: frozenset[int] = frozenset()


class WideSpec(Spec[Seen, Wide]):
    """Has a new state for every subset of what was sent."""

    def initial(self) -> Seen:
        return Seen()

    @transition(Wide, when=lambda seen, _: len(seen.numbers) < 99)
    def wide(self, seen: Seen, msg: Wide) -> Step[int, Seen]:
        return len(seen.numbers), Seen(seen.numbers | {msg.number})


def test_too_many_states_leave_messages_out() -> None:
    """What cannot be looked through is made smaller, not sent unchecked."""
    clients = tuple(tuple(Wide(10 * c + n) for n in range(6)) for c in range(6))
    made = legal(WideSpec(), Programs((), clients))
    assert 0 < sum(map(len, made.clients)) < 36


def test_keys_have_states_of_their_own() -> None:
    """Programs for a description with keys are looked through key by key."""
    made = legal(BankSpec(), Programs((Put("ann", 1),), ((Look("bob"),), (Put("bob", 2),))))
    assert made == Programs((Put("ann", 1),), ((Look("bob"),), (Put("bob", 2),)))
