"""A program for ``test_interrupts``: its first argument says what it is doing when Ctrl-C comes."""

from __future__ import annotations

import os
import sys

import trio

import actorkit as ak


@ak.message
class Go:
    """Begin."""


class Witness(ak.Actor[Go]):
    """Says when it is stopped in order."""

    @ak.on(Go)
    def go(self, msg: Go) -> None: ...

    async def stopping(self, reason: ak.ExitReason) -> None:
        await self.ctx.sleep(0.01)
        say(f"stopping {self.ctx.path} {reason}")


class Busy(Witness):
    """Is interrupted in the midst of something."""

    def __init__(self, doing: str, other: ak.Ref[Go]) -> None:
        self.doing = doing
        self.other = other

    @ak.on(Go)
    async def go(self, msg: Go) -> None:  # type: ignore[override]
        if self.doing == "parked":
            say("ready")
            await self.ctx.sleep(3600)
        elif self.doing == "on trio":
            say("ready")
            await trio.sleep(3600)
        elif self.doing == "looping":
            self.loop()
        elif self.doing == "looping in a nursery":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.loop_async)
        elif self.doing == "looping in the background":
            self.ctx.start_soon(self.loop_async)
        elif self.doing == "sending":
            self.other.tell(msg)
            self.ctx.self.tell(msg)

    async def loop_async(self) -> None:
        self.loop()

    def loop(self) -> None:
        say("ready")
        while True:
            pass


class Clinging(Witness):
    """Does not want to end."""

    async def stopping(self, reason: ak.ExitReason) -> None:
        say("clinging")
        await trio.sleep(3600)


def say(text: str) -> None:
    """Print a line at once."""
    os.write(1, f"{text}\n".encode())


async def main(system: ak.System, doing: str) -> None:
    """Start two witnesses and a busy one, and wait."""
    first = await system.spawn(ak.props(Witness), name="first")
    busy = await system.spawn(ak.props(Busy, doing, first), name="busy")
    await system.spawn(ak.props(Clinging if doing == "clinging" else Witness), name="last")
    busy.tell(Go())
    if doing in {"idle", "clinging", "sending"}:
        await trio.sleep(0.05)
        say("ready")
    await trio.sleep(3600)


if __name__ == "__main__":
    ak.run(main, sys.argv[1], logs=False)
