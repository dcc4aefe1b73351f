"""Small actors that the simulator's own tests run."""

from __future__ import annotations

import trio

import actorkit as ak


@ak.message
class Read(ak.Request[int]):
    """What is the value?"""


@ak.message
class Write(ak.Request[None]):
    """Replace the value."""

    value: int


@ak.message
class Add:
    """Add to the value; told."""

    amount: int = 1


@ak.message
class SlowAdd(ak.Request[int]):
    """Add to the value, with a wait between reading and writing it."""

    amount: int = 1


class Counter(ak.Actor[Read | Write | Add | SlowAdd]):
    """Counts."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    @ak.on(Read)
    def read(self, msg: Read) -> int:
        return self.value

    @ak.on(Write)
    def write(self, msg: Write) -> None:
        self.value = msg.value

    @ak.on(Add)
    def add(self, msg: Add) -> None:
        self.value += msg.amount

    @ak.on(SlowAdd)
    async def slow_add(self, msg: SlowAdd) -> int:
        before = self.value
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0.1)
        self.value = before + msg.amount
        return self.value
