"""The real actor that a protocol is tested on, in a world that goes on only while it is asked something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Any, TypeVar

import actorkit as ak
from actorkit.errors import VocabularyError
from actorkit.kernel.message import shortened
from actorkit.testing.failures import Unbalanced
from actorkit.testing.protocol import history
from actorkit.testing.protocol.model import Model, ProtocolViolated, asks, streams
from actorkit.testing.seams import simulated_seams
from actorkit.testing.simulation.faults import Fault
from actorkit.testing.simulation.sim import Sim
from actorkit.testing.stepped import open_stepped_system
from actorkit.testing.stepper import Stepper

M = TypeVar("M")
S = TypeVar("S")

Setup = Callable[[ak.System], Awaitable[ak.Ref[M]]]
Subject = ak.Props[M] | Setup[M]
"""What is tested: how to make the actor, or an async function of the system that starts it, with whatever it needs, and
returns its reference."""

TIMEOUT = 5.0
WITHIN = 60.0  # virtual seconds in which the actor must come to rest
_SUPERVISOR = "spec"
_CHILD = "actor"
_EVER = 10**9  # restarts: how many there may be is not what is tested


def check_subject(model: type[Model[Any, Any]], subject: object) -> None:
    """Check that this can be tested: that it is one of the two, and that the actor takes the messages described.

    Raises:
        TypeError: it is neither ``ak.props(...)`` nor a function of the system.
        VocabularyError: the actor has no handler for some of the messages.
    """
    if not isinstance(subject, ak.Props):
        if not callable(subject):
            raise TypeError(
                f"{model.__qualname__} is tested on ak.props(SomeActor, ...), or on an async function of the system "
                f"that starts the actor and returns its ak.Ref; got {subject!r}"
            )
        return
    table = subject.cls.__actorkit_table__
    missing = [m.__qualname__ for m in model.transitions if not any(b in table for b in m.__mro__)]
    if missing:
        raise VocabularyError(
            f"{model.__qualname__} describes {', '.join(missing)}, which {subject.cls.__qualname__} does not handle"
        )


async def begun(system: ak.System, subject: Subject[M], *, supervised: bool) -> ak.Ref[M]:
    """Start what is tested, and return its reference."""
    if not isinstance(subject, ak.Props):
        return await subject(system)
    if not supervised:
        return await system.spawn(subject)
    child = ak.Child(_CHILD, subject)
    tree = ak.supervise(child, max_restarts=_EVER, within=1.0)
    return (await system.start(tree, name=_SUPERVISOR)).child(child)


async def perform(ref: ak.Ref[Any], msg: Any) -> history.Outcome:
    """Ask, stream or tell, as the class of the message says, and return what became of it."""
    if asks(type(msg)) or streams(type(msg)):
        return await ask(ref, msg)
    ref.tell(msg)
    return history.Ok(None)


async def ask(ref: ak.Ref[Any], msg: Any) -> history.Outcome:
    """Ask, whatever it is, and return what became of it; all items of a stream are one reply."""
    try:
        if streams(type(msg)):
            async with ref.stream(msg, timeout=TIMEOUT) as items:
                return history.Ok(tuple([item async for item in items]))
        return history.Ok(await ref.ask(msg, timeout=TIMEOUT))
    except ak.AskError as error:
        return history.outcome_of(error)


class World:
    """One actor in a stepped world.

    Args:
        subject: what is tested.
        supervised: whether it has a supervisor that restarts it.
        stepped: whether the world handles one message a step, so that faults can come between any two.

    Attributes:
        stepper: drives it.
        system: the actor system.
        ref: the actor.
    """

    system: ak.System
    ref: ak.Ref[Any]

    def __init__(self, subject: Subject[Any], *, supervised: bool, stepped: bool) -> None:
        self._subject = subject
        self._supervised = supervised
        self._stepped = stepped
        self._ends: list[ak.Stopped] = []
        self.stepper = Stepper()

    def open(self) -> None:
        """Make the world, and start the actor in it; if that fails, nothing is left behind."""
        with ExitStack() as undo:
            undo.enter_context(self.stepper)
            self.system = self.stepper.enter(self._system())
            self.system.events.subscribe(self._ends.append, ak.Stopped)
            subject, supervised = self._subject, self._supervised
            self.ref = self.stepper.run(begun, self.system, subject, supervised=supervised)
            undo.pop_all()

    def close(self) -> None:
        """End the world."""
        self.stepper.close()

    def perform(self, msg: Any, strike: Callable[[], object] | None = None, after: int = 0) -> Any:
        """Send a message and wait for what comes of it; perhaps with a fault some steps later."""
        if strike is None:
            return self.stepper.run(perform, self.ref, msg)
        job = self.stepper.start(perform, self.ref, msg)
        self.stepper.step(after)
        strike()
        return self.stepper.wait(job)

    def rest(self, *, told: bool) -> None:
        """Let everything go on that can, until the actor is at rest; if it was told something, until it has handled it.

        Raises:
            ProtocolViolated: that takes too long.
        """
        self.stepper.settle()
        if told or not self.ref.alive:
            self._wait_for_rest()

    def _wait_for_rest(self) -> None:
        until = self.stepper.now() + WITHIN
        while self.stepper.now() < until:
            if not self.ref.alive and not self._supervised:
                return
            if self.ref.alive and self.state() is not None:
                self.stepper.settle()
                return
            self.stepper.advance(0.5)  # its supervisor holds back
        what = "is still busy" if self.ref.alive else "has not been restarted"
        raise ProtocolViolated(f"{self.ref.path} {what} after {WITHIN:g} s")

    def state(self) -> dict[str, Any] | None:
        """The actor's attributes when it has handled what was sent before; None if it is gone, or does not get to it."""
        try:
            return self.stepper.run(self.system.state_of, self.ref, timeout=WITHIN)
        except (ak.ActorDied, TimeoutError):
            return None

    def deaths(self) -> list[ak.ExitReason]:
        """Why incarnations of the actor have ended since the last call."""
        ends, self._ends[:] = list(self._ends), []
        return [end.reason for end in ends if end.path == self.ref.path]

    def strike(self, fault: Fault, which: int) -> str | None:
        """Let a fault strike now; tells what was done."""
        sim = Sim(self.stepper.clock, None, lambda: 0)
        sim.system = self.system
        return fault.strike(sim, which)

    def check_books(self) -> None:
        """Check that no message vanished.

        Raises:
            Unbalanced: one did, or was counted twice.
        """
        books = self.system.conservation()
        if not books.balanced:
            lost = {str(why): n for why, n in self.system.dead_letters.counts.items()}
            raise Unbalanced(
                f"a message vanished, or was counted twice: {books}; dead letters: {lost}"
            )

    def _system(self) -> AbstractAsyncContextManager[ak.System]:
        seams = simulated_seams()
        if self._stepped:
            return open_stepped_system(seams=seams)
        return ak.open_system(logs=False, watchdog=None, audit=True, seams=seams)


def crash(ref: ak.Ref[Any], reason: ak.ExitReason, msg: Any) -> ProtocolViolated:
    """The failure of a test whose actor has ended by itself."""
    error = ProtocolViolated(f"{ref.path} ended while it handled {shortened(msg)}: {reason}")
    if isinstance(reason, ak.Crashed):
        error.__cause__ = reason.cause
        error.add_note(f"In the actor:\n{reason.traceback}")
    return error
