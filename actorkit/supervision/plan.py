"""What a supervisor decides. Everything that affects restarts lives here; this file performs none of it.

A plan is a value: the children with their status, and the restarts within the window. Each function takes what happened and
the time, and returns the next plan with the directives to carry out, in order. A ``Start`` that fails ends the list it
stands in; the shell then asks ``start_failed``. The rules are those of OTP's ``supervisor`` (sections 5.6 to 5.16 of the
semantics), with the window in float seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum

import attrs

from actorkit.supervision.spec import Backoff, Flags, Restart


class ChildStatus(Enum):
    """Whether a child runs."""

    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"


@attrs.frozen(slots=True)
class Record:
    """What a plan knows of one child.

    Attributes:
        streak: restarts in a row, each after a life shorter than the window: what the back-off grows with.
        since: when it was last started.
        ticket: of the retry it waits for, if it is restarting.
    """

    id: str
    restart: Restart
    significant: bool = False
    status: ChildStatus = ChildStatus.STOPPED
    streak: int = 0
    since: float = 0.0
    ticket: int = 0


@attrs.frozen(slots=True)
class Stop:
    """Stop these children, one after the other, in this order."""

    ids: tuple[str, ...]


@attrs.frozen(slots=True)
class Start:
    """Start these children, one after the other, in this order."""

    ids: tuple[str, ...]


@attrs.frozen(slots=True)
class Retry:
    """Try to restart a child again, after everything that waits now and after ``delay`` seconds.

    Attributes:
        ticket: to be shown then; no two retries of a plan have the same.
    """

    id: str
    ticket: int
    delay: float = 0.0


@attrs.frozen(slots=True)
class Forget:
    """Drop these children's specifications."""

    ids: tuple[str, ...]


@attrs.frozen(slots=True)
class GiveUp:
    """Too many restarts: stop everything and end."""


@attrs.frozen(slots=True)
class ShutDown:
    """Significant children have ended: stop everything and end."""

    id: str


Directive = Stop | Start | Retry | Forget | GiveUp | ShutDown


@attrs.frozen(slots=True)
class Plan:
    """A supervisor's view of its children, in start order, and the times of its recent restarts.

    Attributes:
        tickets: how many retries were ordered so far.
    """

    flags: Flags
    children: tuple[Record, ...] = ()
    restarts: tuple[float, ...] = ()
    tickets: int = 0

    def find(self, child: str) -> Record | None:
        """A child's record; None if there is none."""
        return next((record for record in self.children if record.id == child), None)

    def after(self, child: str) -> tuple[Record, ...]:
        """The records of a child and of those started after it."""
        ids = [record.id for record in self.children]
        return self.children[ids.index(child) :]


Outcome = tuple[Plan, tuple[Directive, ...]]


def add(plan: Plan, record: Record) -> Plan:
    """Add a child at the end."""
    return attrs.evolve(plan, children=(*plan.children, record))


def remove(plan: Plan, ids: Iterable[str]) -> Plan:
    """Drop children."""
    gone = set(ids)
    return attrs.evolve(plan, children=tuple(r for r in plan.children if r.id not in gone))


def mark(plan: Plan, ids: Iterable[str], status: ChildStatus) -> Plan:
    """Set the status of children."""
    those = set(ids)
    children = tuple(attrs.evolve(r, status=status) if r.id in those else r for r in plan.children)
    return attrs.evolve(plan, children=children)


def started(plan: Plan, child: str, now: float) -> Plan:
    """A child runs."""
    children = tuple(
        attrs.evolve(r, status=ChildStatus.RUNNING, since=now) if r.id == child else r
        for r in plan.children
    )
    return attrs.evolve(plan, children=children)


def restart_allowed(
    restarts: tuple[float, ...], flags: Flags, now: float
) -> tuple[tuple[float, ...], bool]:
    """Add one restart to the window, and tell whether it is still within the limit.

    Both edges of the window count: with ``max_restarts`` restarts no older than ``within``, one more is too many.
    """
    recent = (*(t for t in restarts if t >= now - flags.within), now)
    return recent, len(recent) <= flags.max_restarts


def wants_restart(restart: Restart, orderly: bool) -> bool:
    """Whether a child of this kind is restarted after it ended this way."""
    return restart == "permanent" or (restart == "transient" and not orderly)


def died(plan: Plan, child: str, orderly: bool, now: float, rng: Callable[[], float]) -> Outcome:
    """A running child has ended by itself."""
    record = plan.find(child)
    if record is None or record.status is not ChildStatus.RUNNING:
        return plan, ()
    if wants_restart(record.restart, orderly):
        return _restart(plan, record, now, rng)
    return _ended(plan, record)


def _ended(plan: Plan, record: Record) -> Outcome:
    """A child that is not restarted: forgotten if temporary; it may end the supervisor if significant."""
    directives: tuple[Directive, ...] = ()
    if record.restart == "temporary":
        plan, directives = remove(plan, (record.id,)), (Forget((record.id,)),)
    else:
        plan = mark(plan, (record.id,), ChildStatus.STOPPED)
    if record.significant and _ends_all(plan):
        directives = (*directives, ShutDown(record.id))
    return plan, directives


def _ends_all(plan: Plan) -> bool:
    if plan.flags.auto_shutdown == "all_significant":
        return not any(r.significant and r.status is not ChildStatus.STOPPED for r in plan.children)
    return plan.flags.auto_shutdown == "any_significant"


def _restart(plan: Plan, record: Record, now: float, rng: Callable[[], float]) -> Outcome:
    restarts, allowed = restart_allowed(plan.restarts, plan.flags, now)
    streak = record.streak + 1 if now - record.since <= plan.flags.within else 1
    plan = attrs.evolve(plan, restarts=restarts)
    plan = _with_streak(mark(plan, (record.id,), ChildStatus.RESTARTING), record.id, streak)
    if not allowed:
        return plan, (GiveUp(),)
    plan, cleared = _clear(plan, record.id)
    delay = backoff_delay(plan.flags.backoff, streak, rng)
    if delay > 0:
        return _later(plan, record.id, delay, cleared)
    return plan, (*cleared, Start(_to_start(plan, record.id)))


def _later(plan: Plan, child: str, delay: float, before: tuple[Directive, ...]) -> Outcome:
    """Order a retry, which makes any earlier one of the same child void."""
    ticket = plan.tickets + 1
    children = tuple(attrs.evolve(r, ticket=ticket) if r.id == child else r for r in plan.children)
    plan = attrs.evolve(plan, children=children, tickets=ticket)
    return plan, (*before, Retry(child, ticket, delay))


def _with_streak(plan: Plan, child: str, streak: int) -> Plan:
    children = tuple(attrs.evolve(r, streak=streak) if r.id == child else r for r in plan.children)
    return attrs.evolve(plan, children=children)


def _group(plan: Plan, child: str) -> tuple[Record, ...]:
    """The children that share a child's fate, in start order."""
    match plan.flags.strategy:
        case "one_for_one":
            return tuple(r for r in plan.children if r.id == child)
        case "rest_for_one":
            return plan.after(child)
        case "one_for_all":
            return plan.children


def _clear(plan: Plan, child: str) -> Outcome:
    """Stop those who share a child's fate; temporary ones among them are forgotten."""
    others = [r for r in _group(plan, child) if r.id != child]
    running = tuple(r.id for r in reversed(others) if r.status is ChildStatus.RUNNING)
    temporary = tuple(r.id for r in others if r.restart == "temporary")
    plan = remove(mark(plan, (r.id for r in others), ChildStatus.STOPPED), temporary)
    directives: tuple[Directive, ...] = ()
    if running:
        directives = (Stop(running),)
    if temporary:
        directives = (*directives, Forget(temporary))
    return plan, directives


def _to_start(plan: Plan, child: str) -> tuple[str, ...]:
    return tuple(r.id for r in _group(plan, child))


def start_failed(plan: Plan, child: str, now: float, rng: Callable[[], float]) -> Outcome:
    """A restart has failed: count it, and try again from the tail of the mailbox, or give up.

    In one_for_all those that were restarted before it are stopped again; in rest_for_one they stay.
    """
    record = plan.find(child)
    if record is None:
        return plan, ()
    restarts, allowed = restart_allowed(plan.restarts, plan.flags, now)
    streak = record.streak + 1
    plan = attrs.evolve(plan, restarts=restarts)
    plan = _with_streak(mark(plan, (child,), ChildStatus.RESTARTING), child, streak)
    if not allowed:
        return plan, (GiveUp(),)
    plan, cleared = _clear(plan, child)
    return _later(plan, child, backoff_delay(plan.flags.backoff, streak, rng), cleared)


def retry(plan: Plan, child: str, ticket: int) -> Outcome:
    """The moment of a retry has come; it is void if the child was terminated, deleted or restarted meanwhile."""
    record = plan.find(child)
    if record is None or record.status is not ChildStatus.RESTARTING or record.ticket != ticket:
        return plan, ()
    plan, cleared = _clear(plan, child)
    return plan, (*cleared, Start(_to_start(plan, child)))


def backoff_delay(backoff: Backoff | None, streak: int, rng: Callable[[], float]) -> float:
    """Seconds to wait before the restart after ``streak`` deaths in a row; ``rng`` gives numbers from 0 to 1."""
    if backoff is None:
        return 0.0
    exponent = min(streak - 1, 1000)
    try:
        grown = float(backoff.initial * backoff.factor**exponent)
    except OverflowError:
        grown = backoff.maximum
    delay = min(backoff.maximum, grown)
    return delay * (1 - backoff.jitter * rng())


def stop_order(plan: Plan) -> tuple[str, ...]:
    """The order in which a supervisor that ends stops its children: the reverse of their start."""
    return tuple(r.id for r in reversed(plan.children) if r.status is ChildStatus.RUNNING)


def awaited(plan: Plan) -> frozenset[str]:
    """The children that run, are being restarted, or will be with one that is: those whose mail is kept."""
    restarting = [r.id for r in plan.children if r.status is ChildStatus.RESTARTING]
    coming = frozenset(record.id for child in restarting for record in _group(plan, child))
    return coming | {r.id for r in plan.children if r.status is ChildStatus.RUNNING}
