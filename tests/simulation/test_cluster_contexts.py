"""A connection works for nobody in particular, whoever's message had it made."""

from __future__ import annotations

import trio

import actorkit as ak
from actorkit.testing import Sim, simulate


@ak.message
class Note:
    """Remember this, and pass it on, if there is somebody to pass it on to."""

    text: str
    to: ak.Ref[Note] | None = None


@ak.message
class Linger:
    """Be longer in dying than in living."""


NOTES = ak.Key[Note | Linger]("notes")


class Notes(ak.Actor[Note | Linger]):
    """Remembers."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    @ak.on(Note)
    def note(self, msg: Note) -> None:
        self.texts.append(msg.text)
        if msg.to is not None:
            msg.to.tell(Note(msg.text))

    @ak.on(Linger)
    async def linger(self, msg: Linger) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.9)


@simulate(nodes=[], seed=1, examples=20)
async def test_a_connection_outlives_the_actor_that_wanted_it(sim: Sim) -> None:
    """What comes over it reaches others while the actor whose message had it dialled is killed and unwinds."""
    a, b = await sim.open_node("a"), await sim.open_node("b")
    a.learn("b", b.address)
    first = await a.spawn(ak.props(Notes))
    other = await a.spawn(ak.props(Notes), name=NOTES)
    there = await b.spawn(ak.props(Notes), name=NOTES)
    first.tell(Note("hello", a.remote("b").named(NOTES)))
    await sim.eventually(lambda: sim.state(there)["texts"] == ["hello"], "the first message comes")
    first.tell(Linger())
    await sim.settle()
    first.kill()
    there.tell(Note("back", b.remote("a").named(NOTES)))
    await sim.advance(0.1)
    assert sim.state(other)["texts"] == ["back"]
