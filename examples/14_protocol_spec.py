"""A protocol described once, and tested one by one, many at once, with deaths, and with garbage."""

from __future__ import annotations

import unittest

import actorkit as ak
from actorkit.testing import Spec, Step, refuses, transition


@ak.message
class Deposit(ak.Request[int]):
    cents: int


@ak.message
class Withdraw(ak.Request[int]):
    cents: int


class Insufficient(ak.Refused):
    """There is not enough."""


class Account(ak.Actor[Deposit | Withdraw]):
    """Never owes; the careless one forgets that for amounts above a thousand."""

    def __init__(self, *, careless: bool = False) -> None:
        self.cents = 0
        self.careless = careless

    @ak.on(Deposit)
    def deposit(self, msg: Deposit) -> int:
        self.cents += msg.cents
        return self.cents

    @ak.on(Withdraw)
    def withdraw(self, msg: Withdraw) -> int:
        if msg.cents > self.cents and not (self.careless and msg.cents > 1000):
            raise Insufficient
        self.cents -= msg.cents
        return self.cents


class AccountSpec(Spec[int, Deposit | Withdraw]):
    """The state is the balance."""

    def initial(self) -> int:
        return 0

    @transition(Deposit)
    def deposit(self, cents: int, msg: Deposit) -> Step[int, int]:
        return cents + msg.cents, cents + msg.cents

    @transition(Withdraw)
    def withdraw(self, cents: int, msg: Withdraw) -> Step[int, int]:
        if msg.cents > cents:
            return refuses(Insufficient), cents
        return cents - msg.cents, cents - msg.cents


def verdict(case: type[unittest.TestCase]) -> str:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return "holds" if result.wasSuccessful() else "is violated"


def main() -> None:
    account = ak.props(Account)
    print("one by one:", verdict(AccountSpec.sequential(account)))
    print("with deaths:", verdict(AccountSpec.faulty(account)))
    AccountSpec.concurrent(account, clients=2)()
    print("many at once: holds")
    print("the careless one:", verdict(AccountSpec.sequential(ak.props(Account, careless=True))))


if __name__ == "__main__":
    main()

# Output:
# one by one: holds
# with deaths: holds
# many at once: holds
# the careless one: is violated
