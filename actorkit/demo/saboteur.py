"""Carries the strikes out, one after the other, and makes sure that each one was the death of somebody."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import trio

import actorkit as ak
from actorkit.demo.ground import Ground
from actorkit.demo.messages import LEDGER, GoOn, Mishap, WhenDone, mishap_text
from actorkit.demo.roster import Roster
from actorkit.demo.sabotage import NODE_PACE, PACE, Manner, Strike

PATIENCE = 10.0  # seconds to wait for a victim to live, or to die
NODE_PATIENCE = 40.0  # the same for a node, whose process must start first, on a busy machine
_GLANCE = 0.005


@attrs.frozen
class Struck:
    """The news, for the system's observers, that a strike was carried out: at an actor's path, or at a node."""

    strike: Strike
    where: str


class Saboteur:
    """Strikes when it is time, at whoever is the victim's present incarnation.

    Attributes:
        struck: the strikes that were somebody's death.
        missed: the strikes that found nobody, or that the victim survived.
        over: set when there are no strikes left.
    """

    def __init__(
        self,
        ground: Ground,
        strikes: Sequence[Strike],
        roster: Roster,
        *,
        pace: float = PACE,
    ) -> None:
        self.struck: list[Strike] = []
        self.missed: list[Strike] = []
        self.over = trio.Event()
        self._system = ground.system
        self._strikes = strikes
        self._roster = roster
        self._workers = ground.workers
        self._pace = pace

    async def run(self) -> None:
        """Carry out all strikes, each when its share of the work is done, but not too soon after the one before.

        The work stands still while a strike that is due waits for its turn, and goes on before it falls, so that it
        hits people at work.
        """
        ledger = self._system.named(LEDGER)
        last = last_node = -math.inf
        for strike in self._strikes:
            await ledger.ask(WhenDone(strike.share, hold=True), timeout=None)
            at_node = strike.manner is Manner.SIGKILL
            await trio.sleep_until(max(last + self._pace, last_node + NODE_PACE * at_node))
            ledger.tell(GoOn())
            (self.struck if await self._carry_out(strike) else self.missed).append(strike)
            last = trio.current_time()
            last_node = last if at_node else last_node
        self.over.set()

    async def _carry_out(self, strike: Strike) -> bool:
        """Strike, and wait for the death; tells whether there was one."""
        at_node = strike.manner is Manner.SIGKILL
        with trio.move_on_after(NODE_PATIENCE if at_node else PATIENCE):
            if at_node:
                where = await self._end_node(self._workers[strike.victim])
            elif strike.victim in self._roster.refs:
                where = await self._end_reader(strike)
            else:
                where = await self._end_neighbour(strike)
            self._system.events.emit(Struck(strike, where))
            return True
        return False

    # Whole nodes -------------------------------------------------------------------------------------------------

    async def _end_node(self, node: ak.NodeProcess) -> str:
        """Kill a node's process, once it has joined the others: it may be about to be restarted."""
        while True:
            await node.wait_up()
            pid = node.pid
            node.kill()
            if _was_killed(how := await node.wait_down()) and how.pid == pid:
                return node.name

    # Readers, which may live on other nodes ----------------------------------------------------------------------

    async def _end_reader(self, strike: Strike) -> str:
        """Strike a reader until it dies of that: on its way to another node a strike may be overtaken by another death."""
        while True:
            victim = await self._reading(strike.victim)
            if _is_reason_of(await self._blow(victim, strike), strike):
                return victim.path

    async def _reading(self, name: str) -> ak.Ref[Any]:
        """The victim, once it lives."""
        while True:
            if self._roster.lives(name):
                return self._roster.refs[name]
            await trio.sleep(_GLANCE)

    async def _blow(self, victim: ak.Ref[Any], strike: Strike) -> ak.ExitReason:
        """Strike once, and wait for the end of that incarnation.

        What happens on other nodes is no event here, so the wait begins before the strike falls.
        """
        reasons: list[ak.ExitReason] = []

        async def mourn(task_status: trio.TaskStatus[None]) -> None:
            task_status.started()  # and on without a pause, until the wait has begun
            reasons.append(await victim.wait_stopped())

        async with trio.open_nursery() as nursery:
            incarnation = victim.address
            await nursery.start(mourn)
            if not reasons and victim.address == incarnation:
                self._strike(victim, strike)
        return reasons[0]

    # All others --------------------------------------------------------------------------------------------------

    async def _end_neighbour(self, strike: Strike) -> str:
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
        return victim.path

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
            case Manner.SIGKILL:
                raise AssertionError("an actor is no process")


def _was_killed(how: ak.NodeExit) -> bool:
    return how.signal is not None and how.signal.name == "SIGKILL"


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
        case Manner.SIGKILL:
            return False
