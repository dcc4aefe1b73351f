"""Classes of a notebook, or of a script such as this one, on a cluster of processes.

What is defined in ``__main__`` can be imported by nobody else, so it is sent: an actor's class, the
messages it speaks and its constructor's arguments, functions among them. That is running code from the
network, so both sides must allow it: ``ship_code=True``, and a secret that grants it. ``LocalCluster``
does both, for processes that it started itself. In a notebook write ``%autoawait trio``, and open the
cluster in the cell that uses it: at the end of the block no process is left.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import trio

import actorkit as ak


@ak.message
class Estimate(ak.Request[float]):
    lower: float
    upper: float


@ak.message
class Process(ak.Request[int]): ...


class Integrator(ak.Actor[Estimate | Process]):
    def __init__(self, function: Callable[[float], float], steps: int) -> None:
        self.function = function
        self.steps = steps

    @ak.on(Estimate)
    def estimate(self, msg: Estimate) -> float:
        width = (msg.upper - msg.lower) / self.steps
        middles = (msg.lower + (step + 0.5) * width for step in range(self.steps))
        return sum(map(self.function, middles)) * width

    @ak.on(Process)
    def process(self, msg: Process) -> int:
        return os.getpid()


def quarter_circle(x: float) -> float:
    return float((1 - x * x) ** 0.5)


async def main() -> None:
    async with ak.LocalCluster(3, logs=False) as cluster:
        node = cluster.node
        print("nodes:", *node.nodes())
        workers = [
            await node.remote(name).spawn(ak.props(Integrator, quarter_circle, 20_000))
            for name in cluster.names
        ]
        processes = {await worker.ask(Process()) for worker in workers}
        print("processes beside this one:", len(processes - {os.getpid()}))

        parts = [0.0] * len(workers)

        async def ask(number: int) -> None:
            request = Estimate(number / len(workers), (number + 1) / len(workers))
            parts[number] = await workers[number].ask(request)

        async with (
            trio.open_nursery() as nursery
        ):  # all at the same time, each on a core of its own
            for number in range(len(workers)):
                nursery.start_soon(ask, number)
        print(f"pi is about {4 * sum(parts):.4f}")


if __name__ == "__main__":
    trio.run(main)

# Output:
# nodes: a b c
# processes beside this one: 3
# pi is about 3.1416
