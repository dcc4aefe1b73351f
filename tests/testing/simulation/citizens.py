"""What the tests of simulated nodes share: an actor whose messages travel, and how it is met."""

from __future__ import annotations

import trio

import actorkit as ak
from actorkit.testing import Sim


@ak.message
class Tell:
    """Remember this."""

    word: str


@ak.message
class Words(ak.Request[list[str]]):
    """What were you told?"""


@ak.message
class Doze(ak.Request[str]):
    """Sleep for a while, parked or on trio, then tell the time."""

    seconds: float
    on_trio: bool = False


class Citizen(ak.Actor[Tell | Words | Doze]):
    """Remembers what it is told, and writes down how its code ends."""

    def __init__(self, diary: list[str] | None = None) -> None:
        self.words: list[str] = []
        self.diary = diary if diary is not None else []

    @ak.on(Tell)
    def tell(self, msg: Tell) -> None:
        self.words.append(msg.word)

    @ak.on(Words)
    def told(self, msg: Words) -> list[str]:
        return self.words

    @ak.on(Doze)
    async def doze(self, msg: Doze) -> str:
        try:
            if msg.on_trio:
                await trio.sleep(msg.seconds)
            else:
                await self.ctx.sleep(msg.seconds)
            self.diary.append("woke")
        finally:
            self.diary.append("unwound")
            self.ctx.self.tell(Tell("from the grave"))
            await trio.lowlevel.checkpoint()
            self.diary.append("went on")
        return f"{self.ctx.now():g}"

    def stopping(self, reason: ak.ExitReason) -> None:
        self.diary.append(f"stopped: {reason}")


CITIZEN = ak.Key[Tell | Words | Doze]("citizen")


async def settle_citizen(_: Sim, node: ak.Node) -> None:
    """A citizen for every node."""
    await node.spawn(ak.props(Citizen), name=CITIZEN)


@ak.message
class Watch:
    """Watch that one."""

    who: ak.Ref[Tell]


class Widow(ak.Actor[Watch]):
    """Writes down of whose death it hears."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary

    @ak.on(Watch)
    def watch(self, msg: Watch) -> None:
        self.ctx.watch(msg.who)

    def down(self, down: ak.Down) -> None:
        self.diary.append(str(down.reason))
