"""A shadow of the pure plan for every supervisor of a tree, held against what really happened.

``Trace`` notes the events of a system with their times. ``follow`` reads them in order: a death that a supervisor notices is
fed to its shadow, the directives that come out are what must be seen next, and whatever is seen must be due. What was
done without being due, or was due and left undone, is a discrepancy.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import attrs

import actorkit as ak
from actorkit.kernel.exits import orderly
from actorkit.supervision import plan as planning
from actorkit.supervision.plan import ChildStatus, GiveUp, Plan, Record, Retry, Start, Stop
from actorkit.supervision.spec import Child, Flags, TreeProps
from actorkit.supervision.supervisor import Supervisor

KINDS = (
    ak.Started,
    ak.Stopped,
    ak.DidNotStart,
    ak.ChildStarted,
    ak.ChildTerminated,
    ak.ChildDidNotStart,
    ak.GaveUp,
)


class Trace:
    """What happened in a system, and when."""

    def __init__(self, system: ak.System) -> None:
        self.events: list[tuple[float, Any]] = []
        self._now = system.now
        system.events.subscribe(self._note, *KINDS)

    def _note(self, event: object) -> None:
        self.events.append((self._now(), event))


@attrs.frozen
class Office:
    """A supervisor as its specification has it."""

    path: str
    flags: Flags
    children: tuple[Child[Any], ...]


def offices(path: str, tree: TreeProps[Any]) -> Iterator[Office]:
    """A tree's supervisors, but for dynamic ones, from the top down."""
    if tree.cls is Supervisor:
        flags, children = tree.args
        yield Office(path, flags, children)
        for child in children:
            if isinstance(child.props, TreeProps):
                yield from offices(f"{path}/{child.id}", child.props)


@attrs.define(eq=False)
class Shadow:
    """One incarnation of a supervisor as the pure plan would have it.

    Attributes:
        due: what must be seen next, in order: ("stop", id), ("start", id) or ("give up", id).
        ready: whether it has started all its children; until then a failed start is its own failure.
        ending: whether it stops everything.
        early: children that ended in good order before their supervisor was told that they had started.
    """

    office: Office
    plan: Plan
    due: deque[tuple[str, str]]
    ready: bool = False
    ending: bool = False
    early: set[str] = attrs.field(factory=set)
    retries: dict[int, float] = attrs.field(factory=dict)

    @classmethod
    def of(cls, office: Office) -> Shadow:
        """A supervisor about to start its first child."""
        return cls(office, Plan(office.flags), deque(("start", c.id) for c in office.children))

    def expect(self, outcome: planning.Outcome, child: str, now: float) -> None:
        """Take a decision of the plan: its directives are due."""
        self.plan, directives = outcome
        for directive in directives:
            match directive:
                case Stop(ids=ids):
                    self.due.extend(("stop", each) for each in ids)
                case Start(ids=ids):
                    self.due.extend(("start", each) for each in ids)
                case Retry(ticket=ticket, delay=delay):
                    self.retries[ticket] = now + delay
                case GiveUp():
                    self.due.append(("give up", child))
                case _:
                    pass  # forgetting leaves no trace

    def end(self) -> None:
        """It stops everything."""
        self.ending = True
        self.due = deque(("stop", each) for each in planning.stop_order(self.plan))

    def retry_that_starts(self, child: str) -> Record | None:
        """Who is being restarted so that this child would be the first to start."""
        for record in self.restarting():
            _, directives = planning.retry(self.plan, record.id, record.ticket)
            if isinstance(directives[-1], Start) and directives[-1].ids[0] == child:
                return record
        return None

    def restarting(self) -> list[Record]:
        """Who is being restarted."""
        return [r for r in self.plan.children if r.status is ChildStatus.RESTARTING]


class Follower:
    """Reads a trace. ``discrepancies`` says in words where the system and the plan part."""

    def __init__(self, top: str, tree: TreeProps[Any]) -> None:
        self.offices = {office.path: office for office in offices(top, tree)}
        self.shadows: dict[str, Shadow] = {}
        self.living: dict[str, tuple[ak.Address, int]] = {}
        self.epochs: Counter[str] = Counter()
        self.decisions: Counter[str] = Counter()
        self.discrepancies: list[str] = []
        self.now = 0.0

    def follow(self, trace: Trace) -> None:
        """Read what has happened since this was last called."""
        events, trace.events = trace.events, []
        for self.now, event in events:
            match event:
                case ak.Started(path=path, address=address):
                    self._started(path, address)
                case ak.Stopped(path=path, address=address, reason=reason):
                    self._stopped(path, address, reason)
                case ak.DidNotStart(path=path):
                    self._gone(path, None)
                case ak.ChildStarted(supervisor=path, child=child):
                    self._child_started(path, child.id)
                case ak.ChildDidNotStart(supervisor=path, child=child):
                    self._child_start_error(path, child.id)
                case ak.ChildTerminated(supervisor=path, child=child, reason=reason):
                    self._child_terminated(path, child.id, reason)
                case ak.GaveUp(supervisor=path, child=child):
                    self._gave_up(path, child.id)
                case _:
                    raise AssertionError(f"no such event is noted: {event}")

    # Actors --------------------------------------------------------------------------------------

    def _started(self, path: str, address: ak.Address) -> None:
        above, _, name = path.rpartition("/")
        starter = self._shadow(above)
        if starter is not None:
            self._begin_retry(above, starter, name)
        if path in self.living:
            self._differ(path, "has two incarnations at once")
        self.living[path] = address, self.epochs[above]
        shadow = self.shadows.get(path)
        if shadow is not None:
            shadow.ready = True
            self._require(path, shadow, not shadow.due, "is ready too early")

    def _stopped(self, path: str, address: ak.Address, reason: ak.ExitReason) -> None:
        held, epoch = self.living.pop(path, (None, -1))
        if held != address:
            self._differ(path, f"{address} ended, but {held} lived")
        above = _above(path)
        shadow = self.shadows.get(above)
        if shadow is not None and epoch == self.epochs[above]:
            self._child_stopped(above, shadow, path.rsplit("/", 1)[1], reason)
        self._gone(path, reason)

    def _gone(self, path: str, reason: ak.ExitReason | None) -> None:
        """An incarnation of a supervisor is over, or has failed to start."""
        if path not in self.offices:
            return
        self.epochs[path] += 1
        shadow = self.shadows.pop(path, None)
        if shadow is not None and reason is not None and orderly(reason):
            self._require(path, shadow, not self._unfinished(path, shadow), "ended too early")

    # What supervisors do -------------------------------------------------------------------------

    def _shadow(self, path: str) -> Shadow | None:
        """The shadow of a supervisor that is doing something; None if the tree knows no such supervisor."""
        office = self.offices.get(path)
        if office is not None and path not in self.shadows:
            self.shadows[path] = Shadow.of(office)
        return self.shadows.get(path)

    def _child_started(self, path: str, child: str) -> None:
        shadow = self._shadow(path)
        if shadow is None:
            return
        self._head(path, shadow, child)
        if shadow.plan.find(child) is None:
            [spec] = [each for each in shadow.office.children if each.id == child]
            shadow.plan = planning.add(shadow.plan, Record(child, spec.restart))
        shadow.plan = planning.started(shadow.plan, child, self.now)
        self.decisions["started"] += 1
        if child in shadow.early:
            shadow.early.discard(child)
            self._ended_in_order(shadow, child)

    def _child_start_error(self, path: str, child: str) -> None:
        shadow = self._shadow(path)
        if shadow is None:
            return
        self._head(path, shadow, child)
        self.decisions["start failed"] += 1
        if not shadow.ready:
            shadow.end()
        elif shadow.plan.find(child) is not None:
            shadow.due.clear()
            outcome = planning.start_failed(shadow.plan, child, self.now, _no_jitter)
            shadow.expect(outcome, child, self.now)

    def _head(self, path: str, shadow: Shadow, child: str) -> None:
        """A start was seen: it must be due, or be a retry whose moment has come, or be asked for by hand."""
        self._begin_retry(path, shadow, child)
        if shadow.due:
            head = shadow.due.popleft()
            self._require(path, shadow, head == ("start", child), f"starts {child}, due was {head}")
        elif shadow.plan.find(child) is not None:
            self._differ(path, f"starts {child}, but nothing was due")

    def _begin_retry(self, path: str, shadow: Shadow, child: str) -> None:
        """A child starts: if nothing is due, it may be that the moment of a retry has come."""
        self._shed(path, shadow)
        if not shadow.due and (record := shadow.retry_that_starts(child)) is not None:
            self._retry(path, shadow, record)
            self._shed(path, shadow)

    def _child_terminated(self, path: str, child: str, reason: ak.ExitReason) -> None:
        shadow = self.shadows.get(path)
        if shadow is None:
            return
        self._shed(path, shadow)
        self._require(path, shadow, not shadow.due, f"mourns {child} before it was done")
        outcome = planning.died(shadow.plan, child, orderly(reason), self.now, _no_jitter)
        self._require(path, shadow, outcome[0] is not shadow.plan, f"mourns {child} twice")
        shadow.expect(outcome, child, self.now)
        self.decisions["mourned"] += 1

    def _gave_up(self, path: str, child: str) -> None:
        shadow = self.shadows.get(path)
        if shadow is None:
            return
        self._shed(path, shadow)
        head = shadow.due.popleft() if shadow.due else None
        self._require(path, shadow, head == ("give up", child), f"gives up, due was {head}")
        shadow.end()
        self.decisions["gave up"] += 1

    def _child_stopped(self, path: str, shadow: Shadow, child: str, reason: ak.ExitReason) -> None:
        """A child of the present incarnation is gone: it was stopped, or has ended by itself."""
        asked = reason == ak.Shutdown()
        if asked and ("stop", child) not in shadow.due and not shadow.ending:
            self._shed(path, shadow)
            if not self._at_a_retry(path, shadow, child):
                self._begin_to_end(path, shadow)
        if ("stop", child) in shadow.due:
            self._shed(path, shadow, but=child)
            if asked:
                head = shadow.due[0]
                self._require(path, shadow, head == ("stop", child), f"{child} before {head}")
                self.decisions["stopped"] += 1
            shadow.due.remove(("stop", child))
        elif asked:
            self._differ(path, f"{child} was stopped, due was {list(shadow.due)}")
        elif orderly(reason):
            self._ended_in_order(shadow, child)

    def _begin_to_end(self, path: str, shadow: Shadow) -> None:
        """It stops its children although nothing was due: it has been told to end, or is at a retry."""
        self._require(path, shadow, not self._unfinished(path, shadow), "begins to end too early")
        above, _, name = path.rpartition("/")
        parent = self.shadows.get(above)
        if parent is not None and not self._is_orphan(path):
            self._shed(above, parent)
            if not parent.due and not parent.ending:
                self._begin_to_end(above, parent)
                self._shed(above, parent)
            due = parent.due[0] if parent.due else None
            self._require(
                path, shadow, due == ("stop", name), f"ends, its supervisor has due {due}"
            )
        shadow.end()

    def _is_orphan(self, path: str) -> bool:
        """Whether the incarnation of the supervisor that started this one is gone."""
        above = _above(path)
        _, epoch = self.living.get(path, (None, -1))
        return above in self.offices and epoch != self.epochs[above]

    def _at_a_retry(self, path: str, shadow: Shadow, child: str) -> bool:
        """Whether it stops a child, one that was added by hand, because the moment of a retry has come."""
        above, _, name = path.rpartition("/")
        parent = self.shadows.get(above)
        if shadow.due or self._is_orphan(path):
            return False
        if parent is not None:
            self._shed(above, parent)
            if parent.due and parent.due[0] == ("stop", name):
                return False
        for record in shadow.restarting():
            outcome = planning.retry(shadow.plan, record.id, record.ticket)
            first = outcome[1][0]
            if isinstance(first, Stop) and child in first.ids:
                self._retry(path, shadow, record)
                return True
        return False

    def _retry(self, path: str, shadow: Shadow, record: Record) -> None:
        moment = shadow.retries.get(record.ticket, 1e9)
        self._require(path, shadow, self.now >= moment, f"retries {record.id} too early")
        outcome = planning.retry(shadow.plan, record.id, record.ticket)
        shadow.expect(outcome, record.id, self.now)
        self.decisions["retried"] += 1

    def _ended_in_order(self, shadow: Shadow, child: str) -> None:
        """No event tells when a supervisor notices the orderly end of a child that it does not restart."""
        record = shadow.plan.find(child)
        if record is None or record.status is not ChildStatus.RUNNING:
            shadow.early.add(child)
        elif record.restart != "permanent":
            outcome = planning.died(shadow.plan, child, True, self.now, _no_jitter)
            shadow.expect(outcome, child, self.now)

    # The books -----------------------------------------------------------------------------------

    def _shed(self, path: str, shadow: Shadow, but: str | None = None) -> None:
        """Nothing is seen of the stop of a child that is gone already."""
        while shadow.due and shadow.due[0][0] == "stop":
            child = shadow.due[0][1]
            if child == but or f"{path}/{child}" in self.living:
                return
            shadow.due.popleft()

    def _unfinished(self, path: str, shadow: Shadow) -> list[tuple[str, str]]:
        """What a supervisor has yet to do before it may end: all that is due, but for starts."""
        self._shed(path, shadow)
        return [each for each in shadow.due if each[0] != "start"]

    def _require(self, path: str, shadow: Shadow, holds: bool, complaint: str) -> None:
        if not holds:
            self._differ(path, f"{complaint}; {shadow.plan}")

    def _differ(self, path: str, complaint: str) -> None:
        self.discrepancies.append(f"{self.now:.3f} {path}: {complaint}")


def _above(path: str) -> str:
    return path.rsplit("/", 1)[0]


def _no_jitter() -> float:
    return 0.0
