"""A server that answers in every way there is, for the tests of asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import actorkit as ak

Ask = Callable[[], Awaitable[Any]]


@ak.message
class Add(ak.Request[int]):
    """Answered with the sum, after some seconds."""

    one: int
    other: int = 0
    after: float = 0.0


@ak.message
class Break(ak.Request[int]):
    """Not answered: the actor crashes, after some seconds."""

    after: float = 0.0


@ak.message
class Decline(ak.Request[int]):
    """Refused."""


@ak.message
class Later(ak.Request[int]):
    """Answered when the actor is told to."""


@ak.message
class Unknown(ak.Request[int]):
    """Nobody handles it."""


@ak.message
class Answer:
    """Answer all that was put off."""

    value: int


class NotToday(ak.Refused):
    """A business error."""


class Server(ak.Actor[Add | Break | Decline | Later | Answer]):
    """Answers at once, later, with an error, or never."""

    mailbox = ak.Mailbox(capacity=1000)

    def __init__(self) -> None:
        self.put_off: list[ak.Reply[int]] = []

    @ak.on(Add)
    async def add(self, msg: Add) -> int:
        if msg.after:
            await self.ctx.sleep(msg.after)
        return msg.one + msg.other

    @ak.on(Break)
    async def fall(self, msg: Break) -> int:
        if msg.after:
            await self.ctx.sleep(msg.after)
        raise ValueError("broken")

    @ak.on(Decline)
    def decline(self, msg: Decline) -> int:
        raise NotToday("come back tomorrow")

    @ak.on(Later)
    def later(self, msg: Later, reply: ak.Reply[int]) -> None:
        self.put_off.append(reply)

    @ak.on(Answer)
    def answer(self, msg: Answer) -> None:
        for reply in self.put_off:
            reply.send(msg.value)
        self.put_off.clear()


class Narrow(Server):
    """Has room for one."""

    mailbox = ak.Mailbox(capacity=1)


async def outcome(ask: Ask) -> Any:
    """The reply, or the error in its place."""
    try:
        return await ask()
    except ak.AskError as error:
        return error
