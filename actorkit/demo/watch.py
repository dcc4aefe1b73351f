"""What the demo shows while it runs: gathered from events as they come, looked at a few times a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

import actorkit as ak
from actorkit.demo.ground import Ground
from actorkit.demo.messages import Standing
from actorkit.demo.roster import Roster
from actorkit.demo.sabotage import Manner
from actorkit.demo.saboteur import Struck
from actorkit.demo.scout import Glimpse, Scout
from actorkit.demo.wording import counted
from actorkit.observe.census import Census, Incident, Meter
from actorkit.observe.rows import Row, tree_rows

# How a connection ends if its node is killed, which is told by the end of its process, or if the crew is done.
_EXPECTED = frozenset({ak.LostReason.CLOSED, ak.LostReason.DISCONNECT})


@attrs.frozen
class View:
    """One look at a crew at work.

    Attributes:
        elapsed: seconds since it began.
        began: when that was, on the clock of the incidents.
        standing: how far the work has come.
        kills: how many strikes at actors have fallen, of how many.
        node_kills: how many strikes at nodes have fallen, of how many.
        nodes: how many readers live on each worker node, by name; None for one that is down.
        deaths: how many there were, by kind.
        restarts: how many there were.
        handled: messages handled so far.
        rate: messages handled per second, lately.
        dead_letters: how many there are.
        rows: the tree.
        incidents: the last few deaths and troubles, oldest first.
    """

    elapsed: float
    began: float
    standing: Standing
    kills: tuple[int, int]
    deaths: Mapping[str, int]
    restarts: int
    handled: int
    rate: float
    dead_letters: int
    rows: tuple[Row, ...]
    incidents: tuple[Incident, ...]
    node_kills: tuple[int, int] = (0, 0)
    nodes: Mapping[str, int | None] = attrs.field(factory=dict)


class Watch:
    """Listens to a system from its first moment, and can be looked at.

    Attributes:
        census: what has happened to the actors.
        standing: how far the work has come.
        struck: how many strikes have fallen, by whether at nodes.
        broken: connections that ended because one side broke the protocol, which no strike is a reason for.
    """

    def __init__(self, ground: Ground, kills: int, node_kills: int = 0) -> None:
        self.census = Census()
        self.standing = Standing(0, None, 0)
        self.struck = Counter[bool]()
        self.broken: list[str] = []
        self._ground = ground
        self._system = ground.system
        self._ordered = {False: kills, True: node_kills}
        self._roster: Roster | None = None
        self._scout = Scout()
        self._meter = Meter()
        self._began = self._system.now()
        self._system.events.subscribe(self._note)

    def meet(self, roster: Roster) -> None:
        """From now on look at the readers too, wherever they live."""
        self._roster = roster
        for birth in roster.births(roster.refs):
            self.census.note(birth, self._system.now())

    async def look_abroad(self) -> None:
        """Look in on other nodes now and then, until cancelled."""
        if isinstance(self._system, ak.Node):
            await self._scout.run(self._system, self._ground.workers)

    def _note(self, event: object) -> None:
        now = self._system.now()
        match event:
            case Standing():
                self.standing = event
            case Struck():
                self.struck[event.strike.manner is Manner.SIGKILL] += 1
            case ak.NodeExit():
                self._tell(event.node, _in_words(event))
            case ak.NodeEvent(notice=ak.NodeUp(node=node)):
                self._tell(node, "is up")
            case ak.NodeEvent(notice=ak.NodeLost(node=node, reason=why)) if why not in _EXPECTED:
                self._tell(node, f"lost: {why}")
            case ak.ConnectionFailed(node=node, address="", reason=text):
                self.broken.append(f"{node}: {text.strip().splitlines()[-1]}")
            case _:
                self.census.note(event, now)
                for meant in self._roster.note(event) if self._roster is not None else ():
                    self.census.note(meant, now)

    def _tell(self, node: str, text: str) -> None:
        self.census.incidents.append(Incident(self._system.now(), f"node {node}", text))

    def look(self) -> View:
        """See how things stand."""
        now = self._system.now()
        here = self._system.tree()
        tops = self._with_guests(here)
        return View(
            elapsed=now - self._began,
            began=self._began,
            standing=self.standing,
            kills=(self.struck[False], self._ordered[False]),
            deaths=dict(self.census.deaths),
            restarts=self.census.restarts,
            handled=(handled := self.census.handled + sum(map(_handled, here))),
            rate=self._meter.read(handled, now),
            dead_letters=len(self._system.dead_letters),
            rows=tree_rows(tops, self.census, now, self._doing()),
            incidents=tuple(self.census.incidents),
            node_kills=(self.struck[True], self._ordered[True]),
            nodes=self._nodes(),
        )

    def _with_guests(self, tops: tuple[ak.Branch, ...]) -> tuple[ak.Branch, ...]:
        """The crew's tree with the readers who live on other nodes, without the node's own actors."""
        crew = tuple(top for top in tops if not top.path.startswith("/actorkit."))
        if self._roster is None or not self._roster.abroad:
            return crew
        guests = self._roster.branches(self._scout.seen)
        return tuple(_grafted(top, self._roster.path, guests) for top in crew)

    def _nodes(self) -> dict[str, int | None]:
        """How many readers live on each worker node."""
        if self._roster is None:
            return {}
        living = Counter(map(self._roster.place_of, self._roster.refs))
        return {
            name: living[name] if node.up else None for name, node in self._ground.workers.items()
        }

    def _doing(self) -> dict[str, str]:
        doing = dict(self._readers_doing(self._roster)) if self._roster is not None else {}
        for ref in self._system.names().values():
            if ref.alive:
                doing[ref.path] = self._told_by(ref)
        return doing

    def _readers_doing(self, roster: Roster) -> Iterator[tuple[str, str]]:
        for name in filter(roster.lives, roster.refs):
            place = roster.place_of(name)
            if roster.abroad:
                seen = self._scout.seen.get((place, name), Glimpse())
                yield f"{roster.path}/{name}", f"{place}: {seen.doing}"
            else:
                yield f"{roster.path}/{name}", self._told_by(roster.refs[name])

    def _told_by(self, ref: ak.Ref[Any]) -> str:
        return str(self._system.status(ref).details.get("doing", ""))


def _in_words(how: ak.NodeExit) -> str:
    what = f"killed by {how.signal.name}" if how.signal else f"ended with status {how.status}"
    return f"{what}; {how.then}" if how.then else what


def _grafted(branch: ak.Branch, path: str, children: tuple[ak.Branch, ...]) -> ak.Branch:
    """A tree with children added at a path."""
    below = tuple(_grafted(child, path, children) for child in branch.children)
    return attrs.evolve(branch, children=(*below, *(children if branch.path == path else ())))


def _handled(branch: ak.Branch) -> int:
    return branch.handled + sum(map(_handled, branch.children))


def plain_line(view: View) -> str:
    """A look in one line, for output that is not a terminal."""
    parts = [
        f"{view.elapsed:5.1f} s",
        f"{view.standing.share:4.0%} done",
        *kills_in_words(view),
        counted(sum(view.deaths.values()), "death"),
        counted(view.restarts, "restart"),
        f"{view.rate:,.0f} messages/s",
        counted(view.dead_letters, "dead letter"),
        *nodes_in_words(view),
    ]
    return "  ".join(parts)


def kills_in_words(view: View) -> list[str]:
    """How many strikes have fallen, of how many; those at nodes if there are to be any."""
    told = [f"kills {view.kills[0]} of {view.kills[1]}"]
    return (
        [*told, f"node kills {view.node_kills[0]} of {view.node_kills[1]}"]
        if view.node_kills[1]
        else told
    )


def nodes_in_words(view: View) -> list[str]:
    """Where the readers live; nothing if there is but one node."""
    return [
        f"{name} {'down' if readers is None else counted(readers, 'reader')}"
        for name, readers in view.nodes.items()
    ]


def news(incidents: tuple[Incident, ...], since: float) -> str:
    """What has happened after ``since``, in a few words; empty if nothing has."""
    fresh = [incident for incident in incidents if incident.at > since]
    told = "; ".join(str(incident) for incident in fresh[-3:])
    return f"{len(fresh) - 3} more; {told}" if len(fresh) > 3 else told
