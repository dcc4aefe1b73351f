"""What the demo shows while it runs: gathered from events as they come, looked at a few times a second."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

import actorkit as ak
from actorkit.demo.messages import Standing
from actorkit.demo.saboteur import Struck
from actorkit.demo.wording import counted
from actorkit.observe.census import Census, Incident, Meter
from actorkit.observe.rows import Row, tree_rows


@attrs.frozen
class View:
    """One look at a crew at work.

    Attributes:
        elapsed: seconds since it began.
        began: when that was, on the clock of the incidents.
        standing: how far the work has come.
        kills: how many strikes have fallen, of how many.
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


class Watch:
    """Listens to a system, and can be looked at."""

    def __init__(self, system: ak.System, kills: int) -> None:
        self.census = Census()
        self.standing = Standing(0, None, 0)
        self.struck = 0
        self._system = system
        self._kills = kills
        self._meter = Meter()
        self._began = system.now()
        system.events.subscribe(self._note)

    def _note(self, event: object) -> None:
        match event:
            case Standing():
                self.standing = event
            case Struck():
                self.struck += 1
            case _:
                self.census.note(event, self._system.now())

    def look(self) -> View:
        """See how things stand."""
        now = self._system.now()
        tops = self._system.tree()
        handled = self.census.handled + sum(map(_handled, tops))
        return View(
            elapsed=now - self._began,
            began=self._began,
            standing=self.standing,
            kills=(self.struck, self._kills),
            deaths=dict(self.census.deaths),
            restarts=self.census.restarts,
            handled=handled,
            rate=self._meter.read(handled, now),
            dead_letters=len(self._system.dead_letters),
            rows=tree_rows(tops, self.census, now, self._doing()),
            incidents=tuple(self.census.incidents),
        )

    def _doing(self) -> dict[str, str]:
        doing: dict[str, str] = {}
        for ref in self._system.names().values():
            if ref.alive:
                told = self._system.status(ref).details.get("doing")
                if isinstance(told, str):
                    doing[ref.path] = told
        return doing


def _handled(branch: ak.Branch) -> int:
    return branch.handled + sum(map(_handled, branch.children))


def plain_line(view: View) -> str:
    """A look in one line, for output that is not a terminal."""
    struck, ordered = view.kills
    parts = [
        f"{view.elapsed:5.1f} s",
        f"{view.standing.share:4.0%} done",
        f"kills {struck} of {ordered}",
        counted(sum(view.deaths.values()), "death"),
        counted(view.restarts, "restart"),
        f"{view.rate:,.0f} messages/s",
        counted(view.dead_letters, "dead letter"),
    ]
    return "  ".join(parts)


def news(incidents: tuple[Incident, ...], since: float) -> str:
    """What has happened after ``since``, in a few words; empty if nothing has."""
    fresh = [incident for incident in incidents if incident.at > since]
    told = "; ".join(str(incident) for incident in fresh[-3:])
    return f"{len(fresh) - 3} more; {told}" if len(fresh) > 3 else told
