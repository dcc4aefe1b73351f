"""What type checkers must reject in tests of actors: wrong constructor arguments, foreign messages, wrong replies."""

from __future__ import annotations

import actorkit as ak
from actorkit.testing.kit import TestKit


@ak.message
class Withdrawn:
    cents: int


@ak.message
class Insufficient:
    missing: int


@ak.message
class Complete(ak.Request[str]):
    prompt: str


class Model(ak.Actor[Complete]):
    def __init__(self, style: str) -> None:
        self.style = style

    @ak.on(Complete)
    def complete(self, msg: Complete) -> str:
        return self.style


async def test_spawning(kit: TestKit) -> None:
    await kit.spawn(Model)  # E: an argument is missing
    await kit.spawn(Model, style=3)  # E: it is of the wrong type
    await kit.spawn(Model, "dry", name="model")  # E: names go with props
    await kit.spawn(ak.props(Model, "dry"), style="dry")  # E: all is said in props
    await kit.spawn(int)  # E: no actor


async def test_probes(kit: TestKit) -> None:
    probe = kit.probe(Withdrawn, Insufficient)
    probe.ref.tell(Complete("x"))  # E: foreign
    await probe.expect_all_of(Complete("x"))  # E: it can never come
    await probe.fish_for(Withdrawn, lambda found: found.missing > 0)  # E: a field of the other one
    await probe.expect_ask(Withdrawn)  # E: it has no reply


async def test_replies(kit: TestKit) -> None:
    model = kit.probe(Complete)
    asked = await model.expect_ask(Complete)
    asked.reply(3)  # E: the reply is a str
    asked.refuse(ValueError("no"))  # E: refusals are Refused
    answer: int = await kit.probe().ask(model.ref, Complete("x"))  # E: the reply is a str
    model.tell(model.ref, Withdrawn(3))  # E: foreign
    await kit.expect_restarts(model.ref, because="boom").__aenter__()  # E: a class says why
