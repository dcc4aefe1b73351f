"""A protocol's description against clients that overlap: in the simulator, under many schedules, judged by linearizability."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import actorkit as ak
from actorkit.testing.protocol import history
from actorkit.testing.protocol.history import History, Token
from actorkit.testing.protocol.linearizability import linearizable
from actorkit.testing.protocol.machine import answered
from actorkit.testing.protocol.model import Model, Restart
from actorkit.testing.protocol.programs import Programs, programs
from actorkit.testing.protocol.world import Subject, begun, check_subject, crash, perform
from actorkit.testing.simulation.faults import Fault, InjectedCrash
from actorkit.testing.simulation.sim import Sim
from actorkit.testing.simulation.simulate import SimulatedFunction, simulate

FIRST = "client 0"


def concurrent(
    description: type[Model[Any, Any]],
    subject: Subject[Any],
    *,
    clients: int,
    length: int,
    faults: Iterable[Fault],
    tolerated: Sequence[type[BaseException]],
    fixed: Programs | None,
    **options: Any,
) -> SimulatedFunction:
    """A simulated test of several clients; see ``Spec.concurrent``."""
    check_subject(description, subject)
    harm = tuple(faults)
    allowed: tuple[type[BaseException], ...] = (InjectedCrash, *tolerated)
    supervised = bool(harm)

    async def race(sim: Sim, programs: Programs) -> None:
        await _Race(description(), sim, allowed).run(subject, programs, supervised=supervised)

    async def fixed_race(sim: Sim) -> None:
        await race(sim, fixed or Programs())

    body = race if fixed is None else fixed_race
    body.__name__ = body.__qualname__ = f"{description.__name__}_concurrent"
    if fixed is None:
        options["given"] = {"programs": programs(description, clients=clients, length=length)}
    return simulate(faults=harm, **options)(body)


class _Race:
    """One run: the clients' programs, the history they leave, and the verdict."""

    def __init__(
        self, model: Model[Any, Any], sim: Sim, allowed: tuple[type[BaseException], ...]
    ) -> None:
        self._model = model
        self._sim = sim
        self._allowed = allowed
        self._history = History()
        self._restarts: list[Token] = []
        self._parts: tuple[Hashable, ...] = (None,)
        self._mortal = False
        self._died = False

    async def run(self, subject: Subject[Any], sent: Programs, *, supervised: bool) -> None:
        """Run the programs side by side, and judge the history.

        Raises:
            AssertionError: no order of the operations explains what the clients saw.
        """
        system, self._mortal = self._sim.system, supervised
        everything = [*sent.first, *(msg for program in sent.clients for msg in program)]
        self._parts = tuple(dict.fromkeys(map(self._model.part, everything)))
        ref = await begun(system, subject, supervised=supervised)
        system.events.subscribe(lambda event: self._ended(event, ref), ak.Stopped)
        system.events.subscribe(lambda event: self._began(event, ref), ak.Started)
        told = await self._send(FIRST, ref, sent.first)
        lists: list[list[Token]] = [told]

        async def client(number: int) -> None:
            lists.append(await self._send(f"client {number + 1}", ref, sent.clients[number]))

        await self._sim.each(len(sent.clients), client)
        await self._sim.heal_and_settle()
        for tokens in lists:
            self._close(tokens)
        self._judge()

    def _judge(self) -> None:
        model = self._model
        key = model.part if model.keyed() else None
        verdict = linearizable(self._history, model.step, model.initial(), key=key)
        verdict.require()

    async def _send(self, client: str, ref: ak.Ref[Any], program: Iterable[Any]) -> list[Token]:
        """Send one message after another; returns what was told and is not known to be handled.

        One sender's messages are handled in order, and an actor handles one at a time: so what was told has happened
        before anything that is sent later. If actors may die, it may be lost as well.
        """
        told: list[Token] = []
        for msg in program:
            if not self._mortal:
                self._close(told)
            token = self._history.begin(client, msg)
            if answered(type(msg)):
                self._end(token, await perform(ref, msg))
            else:
                ref.tell(msg)
                told.append(token)
        return told

    def _close(self, told: list[Token]) -> None:
        """What was told before has been handled by now; if the actor has died, perhaps not at all."""
        for token in told:
            if self._died:
                self._history.lose(token, "told, and the actor died")
            else:
                self._history.complete(token)
        told.clear()

    def _end(self, token: Token, outcome: history.Outcome) -> None:
        match outcome:
            case history.Ok(value):
                self._history.complete(token, value)
            case history.Refused(error):
                self._history.refuse(token, error)
            case history.Failed(why):
                self._history.fail(token, why)
            case history.Unknown(why):
                self._history.lose(token, why)

    def _ended(self, event: ak.Stopped, ref: ak.Ref[Any]) -> None:
        if event.path != ref.path or isinstance(event.reason, ak.Shutdown):
            return
        self._died = True
        if isinstance(event.reason, ak.Crashed) and not isinstance(
            event.reason.cause, self._allowed
        ):
            self._sim.fail(crash(ref, event.reason, event.reason.handling or "nothing"))
        self._restarts += [self._history.begin("restart", Restart(part)) for part in self._parts]

    def _began(self, event: ak.Started, ref: ak.Ref[Any]) -> None:
        if event.path == ref.path:
            for token in self._restarts:
                self._history.complete(token)
            self._restarts.clear()
