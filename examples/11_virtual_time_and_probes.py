"""A test without pytest: virtual time, probes that stand in for others, and what is checked at the end.

With pytest, an async test takes ``kit`` as an argument and needs none of the frame around it.
"""

from __future__ import annotations

import actorkit as ak
from actorkit.testing import TestKit, open_kit, run_in_virtual_time


@ak.message
class Complete(ak.Request[str]):
    prompt: str


@ak.message
class Report:
    text: str


@ak.message
class Study:
    subject: str
    reader: ak.Ref[Report]


class Researcher(ak.Actor[Study]):
    """Asks a model, and gives up after half a minute."""

    def __init__(self, model: ak.Ref[Complete]) -> None:
        self.model = model

    @ak.on(Study)
    async def study(self, msg: Study) -> None:
        try:
            text = await self.model.ask(Complete(msg.subject), timeout=30)
        except ak.AskTimeout:
            text = f"nothing about {msg.subject}"
        msg.reader.tell(Report(text))


async def the_model_answers(kit: TestKit) -> None:
    model, reader = kit.probe(Complete), kit.probe(Report)
    researcher = await kit.spawn(Researcher, model.ref)

    researcher.tell(Study("otters", reader.ref))
    asked = await model.expect_ask(Complete)
    asked.reply(f"a few words about {asked.message.prompt}")
    report = await reader.expect(Report)
    print(f"after {kit.now():g} s: {report.text}")


async def the_model_is_silent(kit: TestKit) -> None:
    model, reader = kit.probe(Complete), kit.probe(Report)
    researcher = await kit.spawn(Researcher, model.ref)

    researcher.tell(Study("otters", reader.ref))
    await reader.expect_nothing(within=29)
    report = await reader.expect(Report)
    print(f"after {kit.now():g} s: {report.text}")


async def main() -> None:
    async with open_kit() as kit:
        await the_model_answers(kit)
    async with open_kit() as kit:
        await the_model_is_silent(kit)


if __name__ == "__main__":
    run_in_virtual_time(main)

# Output:
# after 0 s: a few words about otters
# after 30 s: nothing about otters
