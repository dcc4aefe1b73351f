"""A chat: one process group, with members on three nodes, that shrinks and grows with the network.

Any actor may join a group, on its own node, and every node that is connected knows the members. A member
leaves by ``leave``, by dying, or by becoming unreachable. When a connection that broke is there again,
both sides tell each other who is in: nobody has to join anew. The three nodes share a process here, and
real sockets; nothing would change if they did not.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

import actorkit as ak


@ak.message
class Heard(ak.Request[None]):
    who: str
    text: str


@ak.message
class Say(ak.Request[int]):
    """Answered with the number of those who have heard it."""

    text: str


ROOM = ak.Group[Heard]("room")


class Chatter(ak.Actor[Heard | Say]):
    def __init__(self, name: str) -> None:
        self.name = name

    def started(self) -> None:
        self.node = ak.Node.of(self.ctx)
        self.ctx.watch_group(ROOM)  # who is in now, and from now on every change
        self.node.join(ROOM, self.ctx.self)

    @ak.on(Say)
    async def say(self, msg: Say) -> int:
        others = [member for member in self.node.members(ROOM) if member != self.ctx.self]
        for member in others:
            await member.ask(Heard(self.name, msg.text))
        return len(others)

    @ak.on(Heard)
    def heard(self, msg: Heard) -> None:
        print(f"    {self.name} hears {msg.who}: {msg.text}")

    def group_changed(self, notice: ak.GroupChanged) -> None:
        if self.name == "ann":  # all of them are told; one is enough here
            for member in notice.joined:
                print(f"  {member.path} joins")
            for member in notice.left:
                print(f"  {member.path} leaves")


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - changes arrive soon; a plain task has to look
        await trio.sleep(0.01)


async def main() -> None:
    key = b"a secret that all nodes share, of 32 bytes or more"
    async with (
        ak.open_node("north", secret=key, logs=False) as north,
        ak.open_node("south", secret=key, logs=False, join=[north.address]) as south,
    ):
        ann = await north.spawn(ak.props(Chatter, "ann"), name="ann")
        await south.spawn(ak.props(Chatter, "bob"), name="bob")
        await until(lambda: len(north.members(ROOM)) == 2)
        async with ak.open_node("east", secret=key, logs=False, join=[north.address]) as east:
            await east.spawn(ak.props(Chatter, "eve"), name="eve")
            await until(lambda: len(north.members(ROOM)) == 3)
            await ann.ask(Say("hello"))
            print("a node goes")
        await until(lambda: len(north.members(ROOM)) == 2)
        print("the others talk on:", await ann.ask(Say("where is eve?")))
        print("the connection breaks")
        await north.disconnect("south")
        print("nobody is there:", await ann.ask(Say("bob?")))
        print("and is made again")
        await north.connect(south.address)
        await until(lambda: len(north.members(ROOM)) == 2)
        print("all is well:", await ann.ask(Say("there you are")))
        await ann.stop()


if __name__ == "__main__":
    trio.run(main)

# Output:
#   /ann joins
#   south:/bob joins
#   east:/eve joins
#     bob hears ann: hello
#     eve hears ann: hello
# a node goes
#   east:/eve leaves
#     bob hears ann: where is eve?
# the others talk on: 1
# the connection breaks
#   south:/bob leaves
# nobody is there: 0
# and is made again
#   south:/bob joins
#     bob hears ann: there you are
# all is well: 1
