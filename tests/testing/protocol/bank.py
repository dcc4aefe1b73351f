"""An account, its protocol, and accounts that are wrong on purpose."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import attrs
from attrs import validators
from hypothesis import settings

import actorkit as ak
from actorkit.testing.protocol.expectations import NO_REPLY, Step, Told, refuses
from actorkit.testing.protocol.machine import default_settings
from actorkit.testing.protocol.model import transition
from actorkit.testing.protocol.spec import Spec


class Insufficient(ak.Refused):
    """There is not that much in the account."""


class NotANumber(ak.Refused):
    """That is no amount of money."""


@ak.message
class Deposit(ak.Request[int]):
    cents: int = attrs.field(validator=validators.and_(validators.ge(0), validators.le(1_000)))


@ak.message
class Withdraw(ak.Request[int]):
    cents: int = attrs.field(validator=[validators.ge(1), validators.le(1_000)])


@ak.message
class Interest:
    percent: int = attrs.field(validator=[validators.ge(0), validators.le(10)])


@ak.message
class Balance(ak.Request[int]):
    pass


AccountMessage = Deposit | Withdraw | Interest | Balance


class AccountSpec(Spec[int, AccountMessage]):
    """What an account promises."""

    def initial(self) -> int:
        return 0

    @transition(Deposit)
    def deposit(self, balance: int, msg: Deposit) -> Step[int, int]:
        return balance + msg.cents, balance + msg.cents

    @transition(Withdraw, when=lambda balance, _: balance > 0)
    def withdraw(self, balance: int, msg: Withdraw) -> Step[int, int]:
        if msg.cents > balance:
            return refuses(Insufficient), balance
        return balance - msg.cents, balance - msg.cents

    @transition(Interest)
    def interest(self, balance: int, msg: Interest) -> Told[int]:
        return NO_REPLY, balance + balance * msg.percent // 100

    @transition(Balance)
    def balance(self, balance: int, _: Balance) -> Step[int, int]:
        return balance, balance


class LastingSpec(AccountSpec):
    """The same of an account that remembers its balance when it dies."""

    def restarted(self, state: int, /) -> int:
        return state


class LookingSpec(AccountSpec):
    """The same, and the actor's attributes are looked at."""

    def check(self, state: int, actor_state: Mapping[str, Any], /) -> bool:
        return bool(actor_state["cents"] == state)


class Account(ak.Actor[AccountMessage]):
    """An account that is right, if whoever sends is."""

    def __init__(self) -> None:
        self.cents = 0

    @ak.on(Deposit)
    def deposit(self, msg: Deposit) -> int:
        self.cents += msg.cents
        return self.cents

    @ak.on(Withdraw)
    async def withdraw(self, msg: Withdraw) -> int:
        if msg.cents > self.cents:
            raise Insufficient(msg.cents)
        self.cents -= msg.cents
        return self.cents

    @ak.on(Interest)
    def interest(self, msg: Interest) -> None:
        self.cents += self.cents * msg.percent // 100

    @ak.on(Balance)
    def balance(self, msg: Balance) -> int:
        return self.cents


class CarefulAccount(Account):
    """An account that is right whoever sends."""

    @ak.on(Deposit)
    def deposit(self, msg: Deposit) -> int:
        if type(msg.cents) not in (int, bool) or not math.isfinite(msg.cents):
            raise NotANumber(msg.cents)
        return super().deposit(msg)

    @ak.on(Withdraw)
    async def withdraw(self, msg: Withdraw) -> int:
        if not isinstance(msg.cents, int):
            raise NotANumber(msg.cents)
        return await super().withdraw(msg)

    @ak.on(Interest)
    def interest(self, msg: Interest) -> None:
        if isinstance(msg.percent, int):
            super().interest(msg)


# Several accounts in one actor -------------------------------------------------------------------------------------


@ak.message
class Put(ak.Request[None]):
    account: str = attrs.field(validator=validators.in_(["ann", "bob"]))
    cents: int = attrs.field(validator=[validators.ge(0), validators.le(9)])


@ak.message
class Look(ak.Request[int]):
    account: str = attrs.field(validator=validators.in_(["ann", "bob"]))


class BankSpec(Spec[int, Put | Look]):
    """Accounts that have nothing to do with each other."""

    def initial(self) -> int:
        return 0

    def key(self, msg: Put | Look, /) -> Hashable:
        return msg.account

    @transition(Put)
    def put(self, _: int, msg: Put) -> Step[None, int]:
        return None, msg.cents

    @transition(Look)
    def look(self, cents: int, _: Look) -> Step[int, int]:
        return cents, cents


class Bank(ak.Actor[Put | Look]):
    """Right."""

    def __init__(self) -> None:
        self.accounts: dict[str, int] = {}

    def named(self, account: str) -> str:
        """Under which name an account is kept."""
        return account

    @ak.on(Put)
    async def put(self, msg: Put) -> None:
        self.accounts[self.named(msg.account)] = msg.cents

    @ak.on(Look)
    async def look(self, msg: Look) -> int:
        return self.accounts.get(self.named(msg.account), 0)


class MixedUpBank(Bank):
    """Keeps all accounts under one name."""

    def named(self, account: str) -> str:
        """The same for all."""
        return "it"


def quick(examples: int = 30, steps: int = 10) -> settings:
    """Settings for a test that takes a moment, and is the same each time."""
    return settings(
        default_settings(),
        max_examples=examples,
        stateful_step_count=steps,
        database=None,
        derandomize=True,
    )
