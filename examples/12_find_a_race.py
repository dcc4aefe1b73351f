"""A bug that hides from every ordinary run: found, made small, drawn, and seen again from a token."""

from __future__ import annotations

import actorkit as ak
from actorkit.testing import Sim, simulate


@ak.message
class Read(ak.Request[int]): ...


@ak.message
class Write(ak.Request[None]):
    value: int


class Counter(ak.Actor[Read | Write]):
    """Lets others do the counting."""

    def __init__(self) -> None:
        self.value = 0

    @ak.on(Read)
    def read(self, msg: Read) -> int:
        return self.value

    @ak.on(Write)
    def write(self, msg: Write) -> None:
        self.value = msg.value


@simulate(strategy="portfolio", seed=1)
async def counts_both(sim: Sim) -> None:
    counter = await sim.spawn(ak.props(Counter), name="counter")

    async def early() -> None:
        await counter.ask(Write(await counter.ask(Read()) + 1))

    async def late() -> None:
        for _ in range(3):  # busy with other things first
            await counter.ask(Read())
        await counter.ask(Write(await counter.ask(Read()) + 1))

    await sim.together(early, late)
    if sim.state(counter)["value"] != 2:
        raise AssertionError("an update was lost")


def main() -> None:
    print("undisturbed:", counts_both.run_once().failure or "all is well")
    try:
        counts_both()
    except AssertionError as failure:
        print(f"{failure}\n{failure.__notes__[0].rpartition('Replay')[0]}")
    found = counts_both.simulated.found
    assert found is not None
    print("replayed:", counts_both.run_once(plan=found.token).failure)


if __name__ == "__main__":
    main()

# Output:
# undisturbed: all is well
# an update was lost
# Found by strategy 'portfolio' with seed 1, in run 5; 0 faults and 1 reordering:
#   step 1: early is held back, late goes first
#
# step  late              /counter              early
#    1 ~~ late ran before early, whose turn it was
#    3    ├───── Read() ─────►│                   │
#    4    │◄╌╌╌╌╌╌╌ 0 ╌╌╌╌╌╌╌╌┤                   │
#    5    ├───── Read() ─────►│                   │
#    6    │◄╌╌╌╌╌╌╌ 0 ╌╌╌╌╌╌╌╌┤                   │
#    7    ├───── Read() ─────►│                   │
#    9    │◄╌╌╌╌╌╌╌ 0 ╌╌╌╌╌╌╌╌┤                   │
#   10    │                   │◄───── Read() ─────┤
#   11    ├───── Read() ─────►│                   │
#   12    │                   ├╌╌╌╌╌╌╌ 0 ╌╌╌╌╌╌╌╌►│
#   13    │◄╌╌╌╌╌╌╌ 0 ╌╌╌╌╌╌╌╌┤                   │
#   14    │                   │◄─ Write(value=1) ─┤
#   15    ├─ Write(value=1) ─►│                   │
#   16    │                   ├╌╌╌╌╌╌ None ╌╌╌╌╌╌►│
#   17    │◄╌╌╌╌╌╌ None ╌╌╌╌╌╌┤                   │
#   18 // FAILED: an update was lost
#
# ──► sent and handled   ╌╌► reply
#
#
# replayed: an update was lost
