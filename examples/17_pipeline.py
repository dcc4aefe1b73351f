"""A pipeline whose stages live on different nodes, below one supervisor here; one of the nodes is killed.

``ak.Child(node=...)`` is all it takes: the supervisor starts the stage over there, hears of its death or
of its node's, and starts it again as soon as the node is back. The stage's reference outlives all that.
It travels, too: each job carries the references of the stages that it has still to pass.

What was on the killed node is lost, for messages are delivered at most once. Who needs more says so: the
desk sends again what has not come back in a while, and does not mind what comes back twice.
"""

from __future__ import annotations

import trio

import actorkit as ak


@ak.message
class Done:
    number: int
    text: str


@ak.message
class Job:
    number: int
    text: str
    route: tuple[ak.Ref[Job], ...]
    desk: ak.Ref[Done]


class Stage(ak.Actor[Job]):
    def __init__(self, verb: str) -> None:
        self.verb = verb

    @ak.on(Job)
    async def work(self, msg: Job) -> None:
        await self.ctx.sleep(0.01)
        text = f"{msg.text}, {self.verb}"
        if msg.route:
            msg.route[0].tell(Job(msg.number, text, msg.route[1:], msg.desk))
        else:
            msg.desk.tell(Done(msg.number, text))


@ak.message
class WaitFor(ak.Request[None]):
    """Answered when no more than so many parts are missing."""

    missing: int


@ak.message
class SendAgain: ...


class Desk(ak.Actor[Done | WaitFor | SendAgain]):
    def __init__(self, stages: tuple[ak.Ref[Job], ...], count: int) -> None:
        self.stages = stages
        self.todo = set(range(count))
        self.waiting: list[tuple[int, ak.Reply[None]]] = []

    def started(self) -> None:
        self.ctx.send_every(1.0, SendAgain())
        self.ctx.continue_with(SendAgain())

    @ak.on(SendAgain)
    def send_again(self, msg: SendAgain) -> None:
        first, *others = self.stages
        for number in sorted(self.todo):
            first.tell(Job(number, f"part {number}", tuple(others), self.ctx.self))

    @ak.on(Done)
    def done(self, msg: Done) -> None:
        if msg.number in (0, 99) and msg.number in self.todo:
            print(f"  {msg.text}")
        self.todo.discard(msg.number)
        for missing, reply in self.waiting:
            if len(self.todo) == missing:
                reply.send(None)

    @ak.on(WaitFor)
    def wait_for(self, msg: WaitFor, reply: ak.Reply[None]) -> None:
        self.waiting.append((msg.missing, reply))


CUT = ak.Child("cut", ak.props(Stage, "cut"), node="a")
PAINT = ak.Child("paint", ak.props(Stage, "painted"), node="b")
PIPELINE = ak.supervise(CUT, PAINT, backoff=ak.Backoff(0.1, maximum=0.5), max_restarts=100)


async def main() -> None:
    async with ak.LocalCluster(2, logs=False) as cluster:
        line = await cluster.node.start(PIPELINE, name="line")
        stages = (line.child(CUT), line.child(PAINT))
        print("stages on", *(stage.address.node for stage in stages))
        before = stages[1].address
        desk = await cluster.node.spawn(ak.props(Desk, stages, 100), name="desk")
        await desk.ask(WaitFor(missing=50))
        print("half is done; node b is killed")
        cluster["b"].kill()
        await desk.ask(WaitFor(missing=0), timeout=30)
        print("all is done; stages on", *(stage.address.node for stage in stages))
        print("the same painter:", stages[1].address == before)


if __name__ == "__main__":
    trio.run(main)

# Output:
# stages on a b
#   part 0, cut, painted
# half is done; node b is killed
#   part 99, cut, painted
# all is done; stages on a b
# the same painter: False
