"""Counts births and deaths in a system of actors, by place in the tree, and remembers the last few incidents.

Pure: feed it events with the time they came in, in order.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque

import attrs

import actorkit as ak

INCIDENTS_KEPT = 50
PLACES_KEPT = 10_000
# Deaths below a dead supervisor follow its own at once; within this time they are told as one incident.
_AT_ONCE = 0.05


@attrs.define
class Place:
    """What has happened at one path.

    Attributes:
        births: incarnations that became ready.
        deaths: incarnations that ended, or did not become ready.
        handled: messages handled by incarnations that are gone.
        reason: why the last one ended.
        died_at: when that was; None if none has died.
        living: whether an incarnation lives.
    """

    births: int = 0
    deaths: int = 0
    handled: int = 0
    reason: ak.ExitReason | None = None
    died_at: float | None = None
    living: bool = False

    @property
    def restarts(self) -> int:
        """How many incarnations came after the first."""
        return max(0, self.births - 1)


@attrs.define
class Incident:
    """Something a person should know.

    Attributes:
        at: when it happened.
        path: where.
        text: what.
        below: how many others died of the same below that path, at once.
    """

    at: float
    path: str
    text: str
    below: int = 0

    def __str__(self) -> str:
        also = f", and {self.below} below it" if self.below else ""
        return f"{self.path} {self.text}{also}"


class Census:
    """Everything that is counted of one system.

    Attributes:
        places: what has happened at each path, in the order of first births.
        deaths: how many there were of each kind of reason.
        restarts: births that were not the first at their place.
        handled: messages handled by the dead.
        incidents: the last few, oldest first.
    """

    def __init__(self) -> None:
        self.places: OrderedDict[str, Place] = OrderedDict()
        self.deaths: Counter[str] = Counter()
        self.restarts = 0
        self.handled = 0
        self.incidents: deque[Incident] = deque(maxlen=INCIDENTS_KEPT)

    def note(self, event: object, now: float) -> None:
        """Take one event in; events of other kinds are fine."""
        match event:
            case ak.Started(path=path):
                self._born(path)
            case ak.Stopped(path=path, reason=reason, handled=handled):
                self._died(path, reason, handled, now)
            case ak.DidNotStart(path=path, reason=reason):
                self._died(path, reason, 0, now)
            case ak.GaveUp(supervisor=path, restarts=restarts, within=within):
                text = f"gave up: more than {restarts} restarts within {within:g} s"
                self.incidents.append(Incident(now, path, text))
            case ak.Stalled(path=path, seconds=seconds, message_type=kind):
                text = f"keeps the processor for {seconds:g} s with {kind}"
                self.incidents.append(Incident(now, path, text))
            case ak.HighWater(path=path, waiting=waiting):
                self.incidents.append(Incident(now, path, f"has {waiting:,} messages waiting"))
            case _:
                pass

    def _born(self, path: str) -> None:
        place = self.places.setdefault(path, Place())
        self.restarts += place.births > 0
        place.births += 1
        place.living = True
        if len(self.places) > PLACES_KEPT:
            self._forget_one()

    def _forget_one(self) -> None:
        for path, place in self.places.items():
            if not place.living:
                del self.places[path]
                return

    def _died(self, path: str, reason: ak.ExitReason, handled: int, now: float) -> None:
        place = self.places.setdefault(path, Place())
        place.deaths += 1
        place.handled += handled
        place.reason = reason
        place.died_at = now
        place.living = False
        self.handled += handled
        self.deaths[kind_of(reason)] += 1
        if not isinstance(reason, ak.Normal | ak.Shutdown):
            self._tell(path, in_words(reason), now)

    def _tell(self, path: str, text: str, now: float) -> None:
        for earlier in reversed(self.incidents):
            if now - earlier.at > _AT_ONCE:
                break
            if earlier.text == text and path.startswith(f"{earlier.path}/"):
                earlier.below += 1
                return
        self.incidents.append(Incident(now, path, text))


def kind_of(reason: ak.ExitReason) -> str:
    """A word for why an actor ended."""
    match reason:
        case ak.Normal():
            return "normal"
        case ak.Shutdown():
            return "shut down"
        case ak.Crashed():
            return "crashed"
        case ak.Failed():
            return "failed"
        case ak.Killed():
            return "killed"
        case ak.NoActor() | ak.NoConnection():
            return "lost"


def in_words(reason: ak.ExitReason) -> str:
    """Why an actor ended, as short as it can be said."""
    match reason:
        case ak.Crashed(error=error, message=message):
            kind = error.rpartition(".")[2]
            return f"crashed: {message or kind}"
        case ak.Failed(detail=detail) | ak.Shutdown(detail=detail) if detail:
            return f"{kind_of(reason)}: {detail}"
        case _:
            return kind_of(reason)


class Meter:
    """How fast a count grows, measured over the last ``window`` seconds."""

    def __init__(self, window: float = 1.0) -> None:
        self._window = window
        self._readings: deque[tuple[float, int]] = deque()

    def read(self, count: int, now: float) -> float:
        """Note the count at this moment; returns its growth per second."""
        self._readings.append((now, count))
        while len(self._readings) > 2 and now - self._readings[1][0] >= self._window:
            self._readings.popleft()
        before, first = self._readings[0]
        return (count - first) / (now - before) if now > before else 0.0
