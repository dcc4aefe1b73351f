"""What type checkers must accept: the kit and its probes."""

from __future__ import annotations

from typing import assert_type

import actorkit as ak
from actorkit.testing.kit import TestKit
from actorkit.testing.probe import Asked, AskedStream, Probe


@ak.message
class Withdrawn:
    cents: int


@ak.message
class Insufficient:
    missing: int


@ak.message
class Complete(ak.Request[str]):
    prompt: str


@ak.message
class Generate(ak.StreamRequest[str]):
    prompt: str


@ak.message
class Withdraw:
    cents: int
    to: ak.Ref[Withdrawn | Insufficient]


class Account(ak.Actor[Withdraw]):
    def __init__(self, opening: int = 0, *, owner: str = "", name: str = "") -> None:
        self.cents = opening

    @ak.on(Withdraw)
    def withdraw(self, msg: Withdraw) -> None:
        msg.to.tell(Insufficient(msg.cents))


ACCOUNT = ak.Child("account", ak.props(Account, 5))


async def test_actors(kit: TestKit) -> None:
    account = await kit.spawn(Account, 5, owner="ann", name="the constructor's own")
    assert_type(account, ak.Ref[Withdraw])
    assert_type(await kit.spawn(ak.props(Account), name="account"), ak.Ref[Withdraw])
    bank = await kit.start(ak.supervise(ACCOUNT), name="bank")
    assert_type(bank, ak.SupervisorRef)
    cents: int = (await kit.state_of(account))["cents"]
    assert cents == 5
    async with kit.expect_restarts(bank.child(ACCOUNT), 1, because=ZeroDivisionError) as deaths:
        await kit.kill(account)
    assert_type(deaths.first, ak.ExitReason)
    async with kit.expect_restarts(bank.child(ACCOUNT), 1, because=ak.Killed):
        pass
    async with kit.expect_crash(Account, ValueError) as crash:
        pass
    assert_type(crash.first, ak.CrashReport)
    async with kit.expect_dead_letters(1, Withdraw, reason=ak.DeadReason.DIED) as letters:
        pass
    assert_type(letters.all, tuple[ak.DeadLetter, ...])


async def test_probes(kit: TestKit) -> None:
    probe = kit.probe(Withdrawn, Insufficient)
    assert_type(probe, Probe[Withdrawn | Insufficient])
    assert_type(probe.ref, ak.Ref[Withdrawn | Insufficient])
    assert_type(await probe.expect(Insufficient, within=60), Insufficient)
    assert_type(probe.received, tuple[Withdrawn | Insufficient, ...])
    fished = await probe.fish_for(Withdrawn, lambda found: found.cents > 5)
    assert_type(fished, Withdrawn)
    await probe.expect_all_of(Withdrawn(1), Insufficient(2))
    account = await kit.spawn(Account)
    probe.tell(account, Withdraw(5, probe.ref))
    assert_type(await probe.expect_down(account), ak.Down)


async def test_standing_in(kit: TestKit) -> None:
    model = kit.probe(Complete, Generate)
    asked = await model.expect_ask(Complete)
    assert_type(asked, Asked[Complete, str])
    assert_type(asked.message.prompt, str)
    asked.reply("words")
    asked.refuse(ak.Refused("no words"))
    stream = await model.expect_stream(Generate)
    assert_type(stream, AskedStream[Generate, str])
    await stream.send("one", "two")
    assert_type(await kit.probe().ask(model.ref, Complete("otters")), str)


async def test_wide_probes(kit: TestKit) -> None:
    wide = kit.probe(Withdrawn, Insufficient, Complete)
    narrow: ak.Ref[Withdrawn] = wide.ref
    assert narrow is wide.ref
    anything = kit.probe()
    assert_type(anything, Probe[object])
    assert_type(await anything.expect(Withdrawn), Withdrawn)
