"""Two nodes: an actor is started on the other one, asked, watched, and lost with its node.

A reference is a reference, wherever its actor lives. What is new with a network is that a node may go
without a word. Then every monitor and link fires, with ``NoConnection``, asks end with ``NodeDown``, and
who listens to nodes gets a ``NodeLost``. Here the other node is a process of its own, so that it can be
killed; it comes back under the same name, as another *incarnation*, in which nobody answers for the dead.
"""

from __future__ import annotations

import os

import trio

import actorkit as ak


@ak.message
class Add(ak.Request[int]):
    number: int


@ak.message
class Process(ak.Request[int]):
    """In which process do you live?"""


class Sum(ak.Actor[Add | Process]):
    def __init__(self, start: int) -> None:
        self.total = start

    @ak.on(Add)
    def add(self, msg: Add) -> int:
        self.total += msg.number
        return self.total

    @ak.on(Process)
    def process(self, msg: Process) -> int:
        return os.getpid()


@ak.message
class Observe:
    other: ak.Ref[Add]


class Observer(ak.Actor[Observe]):
    def started(self) -> None:
        self.ctx.monitor_nodes()

    @ak.on(Observe)
    def observe(self, msg: Observe) -> None:
        self.ctx.watch(msg.other)

    def down(self, down: ak.Down) -> None:
        print(f"  {down.ref.path} is gone: {down.reason}")

    def node_changed(self, notice: ak.NodeUp | ak.NodeLost) -> None:
        print(f"  {type(notice).__name__}: {notice.node}")


async def outcome_of(total: ak.Ref[Add]) -> str:
    try:
        return str(await total.ask(Add(1)))
    except (ak.NodeDown, ak.ActorDied) as error:
        return f"{type(error).__name__}: {error}"


async def main() -> None:
    async with ak.LocalCluster(["far"], logs=False) as cluster:
        here, far = cluster.node, cluster.node.remote("far")
        print(here.name, "is connected to", *here.nodes())
        total = await far.spawn(ak.props(Sum, 40), name="sum")
        print(total.path, "adds up to", await total.ask(Add(2)))
        print("in this process:", await total.ask(Process()) == os.getpid())

        observer = await here.spawn(ak.props(Observer), name="observer")
        observer.tell(Observe(total))
        await here.state_of(observer)  # answered after all that came before
        print("kill -9:")
        cluster["far"].kill()
        meanwhile = await outcome_of(total)
        await cluster["far"].wait_up()  # it is started anew, unless told otherwise
        await here.state_of(observer)
        print("asked meanwhile:", meanwhile)
        print("asked now:", await outcome_of(total))


if __name__ == "__main__":
    trio.run(main)

# Output:
# local is connected to far
# far:/sum adds up to 42
# in this process: False
# kill -9:
#   far:/sum is gone: no connection
#   NodeLost: far
#   NodeUp: far
# asked meanwhile: NodeDown: node far is down or unreachable
# asked now: ActorDied: far:/sum is gone: no such actor
