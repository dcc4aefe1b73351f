"""Carries the strikes out, one after the other, and makes sure that each one was the death of somebody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import trio

import actorkit as ak
from actorkit.demo.messages import LEDGER, GoOn, Mishap, WhenDone, mishap_text
from actorkit.demo.sabotage import PACE, Manner, Strike

PATIENCE = 10.0  # seconds to wait for a victim to live, or to die
_GLANCE = 0.005


@attrs.frozen
class Struck:
    """The news, for the system's observers, that a strike was carried out."""

    strike: Strike
    path: str


class Saboteur:
    """Strikes when it is time, at whoever is the victim's present incarnation.

    Attributes:
        struck: the strikes that were somebody's death.
        missed: the strikes that found nobody, or that the victim survived.
        over: set when there are no strikes left.
    """

    def __init__(self, system: ak.System, strikes: Sequence[Strike], *, pace: float = PACE) -> None:
        self.struck: list[Strike] = []
        self.missed: list[Strike] = []
        self.over = trio.Event()
        self._system = system
        self._strikes = strikes
        self._pace = pace

    async def run(self) -> None:
        """Carry out all strikes, each when its share of the work is done, but not too soon after the one before.

        The work stands still while a strike that is due waits for its turn, and goes on before it falls, so that it
        hits people at work.
        """
        ledger = self._system.named(LEDGER)
        earliest = trio.current_time()
        for strike in self._strikes:
            await ledger.ask(WhenDone(strike.share, hold=True), timeout=None)
            await trio.sleep_until(earliest)
            ledger.tell(GoOn())
            (self.struck if await self._carry_out(strike) else self.missed).append(strike)
            earliest = trio.current_time() + self._pace
        self.over.set()

    async def _carry_out(self, strike: Strike) -> bool:
        """Strike, and wait for the death; tells whether there was one."""
        with trio.move_on_after(PATIENCE):
            victim = await self._living(strike.victim)
            died = trio.Event()

            def notice(event: object) -> None:
                if _is_death_of(event, victim.path, strike):
                    died.set()

            unsubscribe = self._system.events.subscribe(notice)
            try:
                self._strike(victim, strike)
                await died.wait()
            finally:
                unsubscribe()
            self._system.events.emit(Struck(strike, victim.path))
            return True
        return False

    async def _living(self, name: str) -> ak.Ref[Any]:
        """The victim, once it lives: it may be about to be restarted."""
        while True:
            victim = self._system.names().get(name)
            if victim is not None and victim.alive:
                return victim
            await trio.sleep(_GLANCE)

    def _strike(self, victim: ak.Ref[Any], strike: Strike) -> None:
        match strike.manner:
            case Manner.KILL:
                victim.kill()
            case Manner.CRASH:
                victim.tell(Mishap(strike.number))
            case Manner.EXIT:
                self._system.exit(victim, ak.Failed(mishap_text(strike.number)))


def _is_death_of(event: object, path: str, strike: Strike) -> bool:
    """Whether an event says that the victim died, running or starting, and of this strike."""
    match event:
        case ak.Stopped(path=where, reason=reason) | ak.DidNotStart(path=where, reason=reason):
            return where == path and _is_reason_of(reason, strike)
        case _:
            return False


def _is_reason_of(reason: ak.ExitReason, strike: Strike) -> bool:
    match strike.manner:
        case Manner.KILL:
            return isinstance(reason, ak.Killed)
        case Manner.CRASH:
            return isinstance(reason, ak.Crashed) and reason.message == mishap_text(strike.number)
        case Manner.EXIT:
            return reason == ak.Failed(mishap_text(strike.number))
