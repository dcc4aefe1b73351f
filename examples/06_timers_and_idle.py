"""Time inside an actor: a message later, again and again, or when nothing happened for a while.

Timers are messages to oneself. They arrive in the mailbox like any other, so a handler never runs
because of a timer while another one is still at it. They die with the actor. A cancelled timer's
message never arrives, even if it had already fired and was waiting in the mailbox.
"""

from __future__ import annotations

import trio
from trio.testing import MockClock

import actorkit as ak


@ak.message
class Say:
    text: str


@ak.message
class Hush: ...


@ak.message
class Beat: ...


@ak.message
class Deadline: ...


@ak.message
class Lonely: ...


class Session(ak.Actor[Say | Hush | Beat | Deadline | Lonely]):
    """A conversation: over after ten seconds, or when nobody has spoken for two."""

    def started(self) -> None:
        self.heart = self.ctx.send_every(1.0, Beat())
        self.deadline = self.ctx.send_after(10.0, Deadline())

    def log(self, text: str) -> None:
        print(f"{self.ctx.now():4.1f}s {text}")

    @ak.on(Say)
    def say(self, msg: Say) -> None:
        self.log(f"heard {msg.text!r}")
        self.ctx.idle_after(2.0, Lonely())  # any message calls it off; this sets it anew

    @ak.on(Hush)
    def hush(self, msg: Hush) -> None:
        self.heart.cancel()
        self.log(f"quiet now; {self.deadline.remaining:g} s are left")
        self.ctx.idle_after(2.0, Lonely())

    @ak.on(Beat)
    def beat(self, msg: Beat) -> None:
        self.log("beat")

    @ak.on(Deadline)
    def too_late(self, msg: Deadline) -> None:
        self.log("time is up")
        self.ctx.stop()

    @ak.on(Lonely)
    def lonely(self, msg: Lonely) -> None:
        self.log("nobody speaks any more")
        self.ctx.stop()

    def stopping(self, reason: ak.ExitReason) -> None:
        self.log(f"goodbye ({reason})")


async def main() -> None:
    async with ak.open_system() as system:
        session = await system.spawn(ak.props(Session), name="session")
        await trio.sleep(1.5)
        session.tell(Say("hello"))
        await trio.sleep(1.0)
        session.tell(Hush())
        print("it ended:", await session.wait_stopped())


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))

# Output:
# 1.0s beat
#  1.5s heard 'hello'
#  2.0s beat
#  2.5s quiet now; 7.5 s are left
#  4.5s nobody speaks any more
#  4.5s goodbye (normal)
# it ended: normal
