"""Actors that the tests of the kit test: an account, a model behind an agent, and something that breaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

import actorkit as ak
from actorkit.testing.kit import TestKit, open_kit
from actorkit.testing.running import run_in_virtual_time

Body = Callable[[TestKit], Awaitable[object]]


@ak.message
class Withdrawn:
    cents: int


@ak.message
class Insufficient:
    missing: int


Answer = Withdrawn | Insufficient


@ak.message
class Withdraw:
    cents: int
    to: ak.Ref[Answer]


@ak.message
class Balance(ak.Request[int]):
    pass


@ak.message
class Divide(ak.Request[int]):
    by: int


@ak.message
class Later:
    seconds: float
    to: ak.Ref[Withdrawn]


@ak.message
class Stamp:
    number: int


class Account(ak.Actor[Withdraw | Balance | Divide | Later]):
    """Pays out what it has, breaks when it divides by nought, and can answer later."""

    def __init__(self, cents: int = 10, *, owner: str = "", name: str = "") -> None:
        self.cents = cents
        self.owner = owner
        self.name = name

    @ak.on(Withdraw)
    def withdraw(self, msg: Withdraw) -> None:
        short = msg.cents - self.cents
        if short > 0:
            msg.to.tell(Insufficient(short))
            return
        self.cents -= msg.cents
        msg.to.tell(Withdrawn(msg.cents))

    @ak.on(Balance)
    def balance(self, msg: Balance) -> int:
        return self.cents

    @ak.on(Divide)
    def divide(self, msg: Divide) -> int:
        return self.cents // msg.by

    @ak.on(Later)
    async def later(self, msg: Later) -> None:
        await self.ctx.sleep(msg.seconds)
        msg.to.tell(Withdrawn(round(msg.seconds)))


class OverBudget(ak.Refused):
    """No prompts are left."""


@ak.message
class Complete(ak.Request[str]):
    prompt: str


@ak.message
class Generate(ak.StreamRequest[str]):
    prompt: str


@ak.message
class Research(ak.Request[str]):
    topic: str


@ak.message
class Read(ak.Request[str]):
    topic: str


class Researcher(ak.Actor[Research | Read]):
    """Asks a model, which a probe may stand in for."""

    def __init__(self, model: ak.Ref[Complete | Generate], patience: float | None = 5.0) -> None:
        self.model = model
        self.patience = patience

    @ak.on(Research)
    async def research(self, msg: Research) -> str:
        try:
            return await self.model.ask(Complete(msg.topic), timeout=self.patience)
        except OverBudget as no:
            return f"nothing, for {no}"

    @ak.on(Read)
    async def read(self, msg: Read) -> str:
        async with self.model.stream(Generate(msg.topic)) as words:
            return " ".join([word async for word in words])


ACCOUNT = ak.Child("account", ak.props(Account))


async def forever() -> None:
    """Wait for something that never comes."""
    await trio.Event().wait()


def run_in_kit(body: Body, **options: Any) -> None:
    """Run a test in a kit of its own, as a program without pytest would."""

    async def main() -> None:
        async with open_kit(**options) as kit:
            await body(kit)

    run_in_virtual_time(main)
