"""What a simulation may do to nodes and to the network between them.

Nodes are chosen by patterns of their names, such as ``"worker-*"``. A fault's argument chooses the victim among those there are
and, where there are several durations, how long it lasts: the plan holds it, so a replay does the same.

Whatever still lasts when the test's own part of a run is over is undone then: what is cut is connected, what is delayed is quick,
what is paused goes on. A killed node stays dead unless the fault was asked to have it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

import attrs

from actorkit.testing.simulation.faults import Fault
from actorkit.testing.simulation.process import Stage

if TYPE_CHECKING:
    from actorkit.testing.simulation.fleet import Fleet
    from actorkit.testing.simulation.sim import Sim

T = TypeVar("T")

Seconds = float | Sequence[float]

# Shorter than the tick time of a node, and longer: silence that nobody notices, and silence that everybody does.
SILENCE = (1.0, 150.0)
DELAYS = (0.2, 5.0)
AGAIN_AFTER = (0.5, 20.0)


@attrs.frozen
class _Cut:
    one: str
    other: str
    seconds: tuple[float, ...]
    one_way: bool

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        fleet = sim.fleet
        network = fleet.network
        chosen = _pick(
            [
                pair
                for pair in _ways(fleet, self.one, self.other, one_way=self.one_way)
                if not network.is_cut(*pair, one_way=self.one_way)
            ],
            self.seconds,
            arg,
        )
        if chosen is None:
            return None
        (one, other), seconds = chosen
        way = f"{one} -> {other}" if self.one_way else f"{one} | {other}"
        network.cut(one, other, one_way=self.one_way)
        fleet.harm(
            seconds,
            f"{way} is connected again",
            lambda: network.mend(one, other, one_way=self.one_way),
        )
        return f"cut {way} for {seconds:g} s"


@attrs.frozen
class _DelayLink:
    one: str
    other: str
    by: tuple[float, ...]
    lasting: float

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        fleet = sim.fleet
        network = fleet.network
        ways = _ways(fleet, self.one, self.other, one_way=True)
        chosen = _pick([way for way in ways if not network.delay_of(*way)], self.by, arg)
        if chosen is None:
            return None
        (one, other), by = chosen
        way = f"{one} -> {other}"
        network.delay(one, other, by, one_way=True)
        fleet.harm(
            self.lasting,
            f"{way} is quick again",
            lambda: network.delay(one, other, 0.0, one_way=True),
        )
        return f"{way} takes {by:g} s"


@attrs.frozen
class _DropConnection:
    one: str
    other: str

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        network = sim.fleet.network
        found = [
            end
            for one, other in _ways(sim.fleet, self.one, self.other, one_way=False)
            for end in network.connections(one, other)
        ]
        if not found:
            return None
        end = found[arg % len(found)]
        network.drop_one(end)
        return f"the connection from {end.local} to {end.peer} breaks"


@attrs.frozen
class _PauseNode:
    match: str
    seconds: tuple[float, ...]

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        fleet = sim.fleet
        running = [p for p in fleet.up() if not p.home.paused and fnmatchcase(p.name, self.match)]
        chosen = _pick(running, self.seconds, arg)
        if chosen is None:
            return None
        process, seconds = chosen
        process.pause()
        fleet.harm(seconds, f"node {process.name} goes on", process.resume)
        return f"pause node {process.name} for {seconds:g} s"


@attrs.frozen
class _KillNode:
    match: str
    again_after: tuple[float, ...]
    again_at_end: bool
    power: bool

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        fleet = sim.fleet
        chosen = _pick(
            [p.name for p in fleet.up() if fnmatchcase(p.name, self.match)],
            self.again_after or (0.0,),
            arg,
        )
        if chosen is None:
            return None
        name, seconds = chosen
        fleet.kill(name, power=self.power)
        if self.again_after or self.again_at_end:
            fleet.harm(
                seconds if self.again_after else None,
                f"node {name} is started again",
                lambda: _start_again(fleet, name),
            )
        done = f"power cut at node {name}" if self.power else f"kill -9 of node {name}"
        return f"{done}, started again after {seconds:g} s" if self.again_after else done


def cut(one: str = "*", other: str = "*", *, seconds: Seconds = SILENCE) -> Fault:
    """Let nothing through between two nodes, in either direction, as long as it lasts. Nothing is lost: it comes later.

    Args:
        one: a pattern for the name of one of them.
        other: a pattern for the name of the other.
        seconds: how long; of several durations the plan chooses one. A node's tick time tells which of them are noticed.
    """
    return _Cut(one, other, _several(seconds), one_way=False)


def one_way_cut(source: str = "*", target: str = "*", *, seconds: Seconds = SILENCE) -> Fault:
    """Let nothing through from one node to another; what goes the other way arrives. See ``cut``."""
    return _Cut(source, target, _several(seconds), one_way=True)


def delay_link(
    source: str = "*", target: str = "*", *, by: Seconds = DELAYS, lasting: float = 60.0
) -> Fault:
    """Let everything from one node to another take ``by`` seconds longer, for ``lasting`` seconds; still in order."""
    return _DelayLink(source, target, _several(by), lasting)


def drop_connection(one: str = "*", other: str = "*") -> Fault:
    """Break one connection between two nodes: both ends see it at once, and what was on its way is lost."""
    return _DropConnection(one, other)


def pause_node(match: str = "*", *, seconds: Seconds = SILENCE) -> Fault:
    """Stop a node's process as SIGSTOP does, and let it go on after a while: its clock has jumped, its peers may have gone."""
    return _PauseNode(match, _several(seconds))


def kill_node(match: str = "*", *, restart: bool = False) -> Fault:
    """End a node as ``kill -9`` does: it vanishes, and its machine closes its connections.

    Args:
        match: a pattern for its name.
        restart: start it again in the liveness phase that ends every run.
    """
    return _KillNode(match, (), restart, power=False)


def restart_node(match: str = "*", *, after: Seconds = AGAIN_AFTER, power: bool = False) -> Fault:
    """End a node as ``kill -9`` does, which is started again a while ``after``: under the same name, with the next incarnation.

    Args:
        match: a pattern for its name.
        after: seconds; of several durations the plan chooses one.
        power: take the power of its machine away instead; see ``power_cut_node``.
    """
    return _KillNode(match, _several(after), again_at_end=True, power=power)


def power_cut_node(match: str = "*", *, restart: bool = False) -> Fault:
    """Let a node's machine lose its power: its peers see nothing but silence, and its disks keep what was synced.

    Args:
        match: a pattern for its name.
        restart: start it again in the liveness phase that ends every run.
    """
    return _KillNode(match, (), restart, power=True)


def _start_again(fleet: Fleet, name: str) -> None:
    if fleet.process(name).stage is Stage.DOWN:
        fleet.start_again(name)


def _several(seconds: Seconds) -> tuple[float, ...]:
    found = (seconds,) if isinstance(seconds, (int, float)) else tuple(seconds)
    if not found or not all(each > 0 for each in found):
        raise ValueError(
            f"a fault lasts a number of seconds above 0, or one of several, got {seconds!r}"
        )
    return found


def _pick(victims: Sequence[T], seconds: Sequence[float], arg: int) -> tuple[T, float] | None:
    """One of the victims, and how long: each argument means one pair of them, small ones the first victims briefly."""
    if not victims:
        return None
    return victims[arg % len(victims)], seconds[arg // len(victims) % len(seconds)]


def _ways(fleet: Fleet, one: str, other: str, *, one_way: bool) -> Iterator[tuple[str, str]]:
    """The pairs of nodes that two patterns mean; both directions of each if ``one_way``."""
    for pair in fleet.pairs():
        for source, target in (pair, pair[::-1]):
            if fnmatchcase(source, one) and fnmatchcase(target, other):
                yield source, target
                if not one_way:
                    break
