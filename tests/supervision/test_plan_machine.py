"""The pure plan under any history: a house that does what the plan says, and never disagrees with it."""

from __future__ import annotations

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actorkit.supervision import plan as planning
from actorkit.supervision.plan import (
    ChildStatus,
    Directive,
    Forget,
    GiveUp,
    Plan,
    Record,
    Retry,
    ShutDown,
    Start,
    Stop,
)
from actorkit.supervision.spec import AutoShutdown, Backoff, Flags, Restart, Strategy

RESTARTS: st.SearchStrategy[Restart] = st.sampled_from(["permanent", "transient", "temporary"])
STRATEGIES: st.SearchStrategy[Strategy] = st.sampled_from(
    ["one_for_one", "one_for_all", "rest_for_one"]
)
SHUTDOWNS: st.SearchStrategy[AutoShutdown] = st.sampled_from(
    ["never", "any_significant", "all_significant"]
)
BACKOFFS = st.sampled_from([None, Backoff(1.0, 2.0, 4.0), Backoff(0.25, 1.0, 0.25)])


@attrs.frozen
class Ordered:
    """A retry the plan has ordered."""

    due: float
    retry: Retry


class House(RuleBasedStateMachine):
    """Children come and go, starts fail as drawn, and time passes; ``up`` is who really runs, in start order."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = Plan(Flags())
        self.up: list[str] = []
        self.orders: list[Ordered] = []
        self.restarts: list[float] = []
        self.now = 0.0
        self.ended = False
        self.born = 0

    @initialize(
        strategy=STRATEGIES,
        max_restarts=st.integers(0, 6),
        within=st.sampled_from([0.25, 1.0, 5.0]),
        auto_shutdown=SHUTDOWNS,
        backoff=BACKOFFS,
        kinds=st.lists(RESTARTS, min_size=1, max_size=5),
    )
    def open(
        self,
        strategy: Strategy,
        max_restarts: int,
        within: float,
        auto_shutdown: AutoShutdown,
        backoff: Backoff | None,
        kinds: list[Restart],
    ) -> None:
        """A supervisor starts."""
        flags = Flags(
            strategy=strategy,
            max_restarts=max_restarts,
            within=within,
            auto_shutdown=auto_shutdown,
            backoff=backoff,
        )
        self.plan = Plan(flags)
        for kind in kinds:
            self._adopt(kind, significant=False)

    def _adopt(self, kind: Restart, significant: bool) -> None:
        self.born += 1
        child = f"child-{self.born}"
        self.plan = planning.add(self.plan, Record(child, kind, significant))
        self._up(child)

    def _up(self, child: str) -> None:
        assert child not in self.up
        record = self.plan.find(child)
        assert record is not None
        self.up.append(child)
        self.up.sort(key=[r.id for r in self.plan.children].index)
        self.plan = planning.started(self.plan, child, self.now)

    def _down(self, child: str) -> None:
        self.up.remove(child)

    def _carry_out(self, outcome: planning.Outcome, fails: set[int]) -> None:
        """Do what the plan says; the starts whose number, from 0, is in ``fails`` fail."""
        self.plan, directives = outcome
        for directive in directives:
            self._carry_out_one(directive, fails)

    def _carry_out_one(self, directive: Directive, fails: set[int]) -> None:
        match directive:
            case Stop(ids=ids):
                order = [child for child in self.up if child in ids]
                assert list(ids) == order[::-1]
                for child in ids:
                    self._down(child)
            case Start(ids=ids):
                self._start(ids, fails)
            case Retry():
                self.orders.append(Ordered(self.now + directive.delay, directive))
            case Forget(ids=ids):
                assert not set(ids) & set(self.up)
                assert all(self.plan.find(child) is None for child in ids)
            case GiveUp():
                assert self._recent() > self.plan.flags.max_restarts
                self.ended = True
            case ShutDown(id=child):
                assert child not in self.up
                if self.plan.flags.auto_shutdown == "all_significant":
                    assert not any(
                        r.significant and r.status is not ChildStatus.STOPPED
                        for r in self.plan.children
                    )
                self.ended = True

    def _start(self, ids: tuple[str, ...], fails: set[int]) -> None:
        for position, child in enumerate(ids):
            record = self.plan.find(child)
            assert record is not None
            assert record.restart != "temporary"
            if position in fails:
                self.restarts.append(self.now)
                failed = planning.start_failed(self.plan, child, self.now, lambda: 0.0)
                self._carry_out(failed, set())
                return
            self._up(child)

    def _recent(self) -> int:
        """How many restarts lie within the window, counted by hand."""
        return sum(t >= self.now - self.plan.flags.within for t in self.restarts)

    def _of(self, status: ChildStatus) -> list[Record]:
        return [record for record in self.plan.children if record.status is status]

    # What happens --------------------------------------------------------------------------------

    @precondition(lambda self: not self.ended and self.up)
    @rule(data=st.data(), orderly=st.booleans(), fails=st.sets(st.integers(0, 4)))
    def die(self, data: st.DataObject, orderly: bool, fails: set[int]) -> None:
        """A child ends by itself."""
        child = data.draw(st.sampled_from(self.up))
        record = self.plan.find(child)
        assert record is not None
        self._down(child)
        if planning.wants_restart(record.restart, orderly):
            self.restarts.append(self.now)
        outcome = planning.died(self.plan, child, orderly, self.now, lambda: 0.0)
        self._carry_out(outcome, fails)

    @precondition(lambda self: not self.ended and self.orders)
    @rule(fails=st.sets(st.integers(0, 4)))
    def retry(self, fails: set[int]) -> None:
        """The moment of the earliest retry has come; it may be void by now."""
        order = min(self.orders, key=lambda o: o.due)
        self.orders.remove(order)
        self.now = max(self.now, order.due)
        record = self.plan.find(order.retry.id)
        outcome = planning.retry(self.plan, order.retry.id, order.retry.ticket)
        latest = record is not None and record.ticket == order.retry.ticket
        if record is None or record.status is not ChildStatus.RESTARTING or not latest:
            assert outcome == (self.plan, ())
        else:
            assert isinstance(outcome[1][-1], Start)
        self._carry_out(outcome, fails)

    @rule(seconds=st.sampled_from([0.25, 1.0, 5.0, 6.0]))
    def wait(self, seconds: float) -> None:
        """Time passes, as far as the next retry."""
        due = min((order.due for order in self.orders), default=self.now + seconds)
        self.now = max(self.now, min(due, self.now + seconds))

    @precondition(lambda self: not self.ended)
    @rule(kind=RESTARTS, significant=st.booleans())
    def add(self, kind: Restart, significant: bool) -> None:
        """A child is added."""
        never = self.plan.flags.auto_shutdown == "never"
        self._adopt(kind, significant and kind != "permanent" and not never)

    @precondition(lambda self: not self.ended and self.plan.children)
    @rule(data=st.data())
    def terminate(self, data: st.DataObject) -> None:
        """A child is stopped by hand; a temporary one is gone then."""
        record = data.draw(st.sampled_from(self.plan.children))
        if record.status is ChildStatus.RUNNING:
            self._down(record.id)
        self.plan = planning.mark(self.plan, (record.id,), ChildStatus.STOPPED)
        if record.restart == "temporary":
            self.plan = planning.remove(self.plan, (record.id,))

    @precondition(lambda self: not self.ended and self._of(ChildStatus.STOPPED))
    @rule(data=st.data(), keep=st.booleans())
    def restart_or_delete(self, data: st.DataObject, keep: bool) -> None:
        """A stopped child is started by hand, or deleted."""
        record = data.draw(st.sampled_from(self._of(ChildStatus.STOPPED)))
        if keep:
            self._up(record.id)
        else:
            self.plan = planning.remove(self.plan, (record.id,))

    # What always holds ---------------------------------------------------------------------------

    @invariant()
    def the_plan_knows_who_runs(self) -> None:
        """Running by the plan are those that run, in start order."""
        assert [record.id for record in self._of(ChildStatus.RUNNING)] == self.up
        assert planning.stop_order(self.plan) == tuple(reversed(self.up))

    @invariant()
    def the_window_is_kept(self) -> None:
        """A supervisor that has not given up has seen no more restarts than it allows."""
        if not self.ended:
            assert self._recent() <= self.plan.flags.max_restarts

    @invariant()
    def nobody_is_forgotten(self) -> None:
        """Each child that is being restarted has exactly one retry that counts; no temporary one is restarted."""
        if self.ended:
            return
        tickets = [order.retry.ticket for order in self.orders]
        assert len(tickets) == len(set(tickets))
        for record in self._of(ChildStatus.RESTARTING):
            assert record.restart != "temporary"
            assert tickets.count(record.ticket) == 1

    @invariant()
    def groups_restart_as_one(self) -> None:
        """In one_for_all there is never more than one retry to come."""
        if self.plan.flags.strategy == "one_for_all" and not self.ended:
            assert len(self._of(ChildStatus.RESTARTING)) <= 1

    @invariant()
    def mail_has_a_future(self) -> None:
        """Mail is kept for those that run and for those that a pending retry would start."""
        coming = set(self.up)
        for record in self._of(ChildStatus.RESTARTING):
            _, directives = planning.retry(self.plan, record.id, record.ticket)
            coming |= {child for d in directives if isinstance(d, Start) for child in d.ids}
        if not self.ended:
            kept = {c for c in planning.awaited(self.plan) if self._kind(c) != "temporary"}
            assert kept == {c for c in coming if self._kind(c) != "temporary"}

    def _kind(self, child: str) -> Restart:
        record = self.plan.find(child)
        assert record is not None
        return record.restart


TestHouse = House.TestCase
TestHouse.settings = settings(max_examples=150, stateful_step_count=40)
