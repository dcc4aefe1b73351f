"""What the actors of two nodes say to each other; both processes import this."""

from __future__ import annotations

import threading
from typing import TypeAlias

import actorkit as ak
from tests.benchmarks.beside import tell_parent

SMALL = "otters"


@ak.message
class Reading:
    """Small, and told."""

    sensor: int
    text: str


@ak.message
class AddUp(ak.Request[int]):
    """Small, and asked."""

    sensor: int
    text: str


@ak.message
class Total(ak.Request[int]): ...


@ak.message
class Blob:
    data: bytes


@ak.message
class StandStill: ...


SinkMessage: TypeAlias = Reading | AddUp | Total | Blob


class Sink(ak.Actor[SinkMessage]):
    """Adds up whatever it gets, in asynchronous handlers as the floors do."""

    def __init__(self) -> None:
        self.total = 0

    @ak.on(Reading)
    async def read(self, msg: Reading) -> None:
        self.total += msg.sensor

    @ak.on(AddUp)
    async def add_up(self, msg: AddUp) -> int:
        self.total += msg.sensor
        return self.total

    @ak.on(Total)
    async def tell_total(self, msg: Total) -> int:
        return self.total

    @ak.on(Blob)
    async def take(self, msg: Blob) -> None:
        self.total += len(msg.data)


class Statue(ak.Actor[StandStill]):
    """Blocks its whole process on purpose: a node that reads nothing, until somebody outside of it says so."""

    def __init__(self, go_on: threading.Event) -> None:
        self.go_on = go_on

    @ak.on(StandStill)
    def stand_still(self, msg: StandStill) -> None:
        tell_parent("still")
        self.go_on.wait()


@ak.message
class Muster(ak.Request[list[ak.Ref[SinkMessage]]]):
    """Start so many sinks, and name them all."""

    count: int


class Sergeant(ak.Actor[Muster]):
    """Starts sinks over there, and answers with references to them."""

    @ak.on(Muster)
    async def muster(self, msg: Muster) -> list[ak.Ref[SinkMessage]]:
        return [await self.ctx.spawn(ak.props(Sink)) for _ in range(msg.count)]


SINK: ak.Key[SinkMessage] = ak.Key("sink")
BULK: ak.Key[SinkMessage] = ak.Key("bulk")
SERGEANT: ak.Key[Muster] = ak.Key("sergeant")
STATUE: ak.Key[StandStill] = ak.Key("statue")
