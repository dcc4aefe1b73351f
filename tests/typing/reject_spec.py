"""What type checkers must reject in descriptions of protocols: every line marked E, and no other."""

from __future__ import annotations

from hypothesis import strategies as st

import actorkit as ak
from actorkit.testing.protocol.expectations import NO_REPLY, Step, Told, refuses
from actorkit.testing.protocol.model import transition
from actorkit.testing.protocol.spec import Spec
from actorkit.testing.protocol.strategies import messages
from actorkit.testing.stepper import Stepper


@ak.message
class Deposit(ak.Request[int]):
    cents: int


@ak.message
class Tick:
    pass


@ak.message
class Names(ak.StreamRequest[str]):
    pass


class WrongReply(Spec[int, Deposit]):
    @transition(Deposit)  # E
    def deposit(self, balance: int, msg: Deposit) -> Step[str, int]:
        return "", balance


class WrongValue(Spec[int, Deposit]):
    @transition(Deposit)
    def deposit(self, balance: int, msg: Deposit) -> Step[int, int]:
        return "", balance  # E


class WrongMessage(Spec[int, Deposit]):
    @transition(Deposit)  # E
    def deposit(self, balance: int, msg: Tick) -> Step[int, int]:
        return 0, balance


class NothingReturned(Spec[int, Deposit]):
    @transition(Deposit)  # E
    def deposit(self, balance: int, msg: Deposit) -> None: ...


class ToldWithReply(Spec[int, Tick]):
    @transition(Tick)  # E
    def tick(self, balance: int, msg: Tick) -> Step[int, int]:
        return 5, balance


class AskedWithoutReply(Spec[int, Deposit]):
    @transition(Deposit)  # E
    def deposit(self, balance: int, msg: Deposit) -> Told[int]:
        return NO_REPLY, balance


class WrongItems(Spec[int, Names]):
    @transition(Names)  # E
    def names(self, balance: int, msg: Names) -> Step[tuple[int, ...], int]:
        return (1,), balance


class WrongState(Spec[int, Deposit]):
    def initial(self) -> str:  # E
        return ""


class WrongCheck(Spec[int, Deposit]):
    def key(self, msg: Tick) -> int:  # E
        return 0


class Ticker(ak.Actor[Tick]):
    @ak.on(Tick)
    def tick(self, msg: Tick) -> None: ...


class DepositSpec(Spec[int, Deposit]):
    @transition(Deposit)
    def deposit(self, balance: int, msg: Deposit) -> Step[int, int]:
        return 0, balance


async def ticker(system: ak.System) -> ak.Ref[Tick]:
    return await system.spawn(ak.props(Ticker))


DepositSpec.sequential(ak.props(Ticker))  # E
DepositSpec.sequential(ticker)  # E
DepositSpec.concurrent(ak.props(Ticker))  # E
DepositSpec.check_trace("cluster.trace")  # E
refuses(ValueError)  # E


def use(stepper: Stepper, ref: ak.Ref[Deposit | Tick]) -> None:
    stepper.run(ref.ask, Tick())  # E
    text: str = stepper.run(ref.ask, Deposit(5))  # E
    tick: st.SearchStrategy[Tick] = messages(Deposit)  # E
