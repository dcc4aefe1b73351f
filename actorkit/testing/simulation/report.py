"""What a person reads when a simulation has failed: what happened, how to see it again, and a chart."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import attrs

from actorkit.kernel.message import error_text
from actorkit.testing.chart import text_chart
from actorkit.testing.simulation.plan import Plan
from actorkit.testing.simulation.runner import Outcome
from actorkit.testing.simulation.sim import UncontrolledNondeterminism
from actorkit.testing.trace import FaultApplied, Reordered, Trace

CHART_EVENTS = 60
SUSPECTS = (
    "Something decides that the simulation does not hold: global random numbers or uuid4 (use ctx.rng, "
    "ctx.token_bytes), the real clock (use ctx.now), threads (use ctx.offload), iteration over a set, id() or hash(), or "
    "state that outlives a run"
)


@attrs.frozen
class Found:
    """A failing run, made as small as it gets.

    Attributes:
        outcome: the run, recorded.
        how: what it was looked for with, in words.
        runs: how many runs it took to find.
        shrunk_in: how many more to make it small.
        data: the values of the test's other arguments.
    """

    outcome: Outcome
    how: str
    runs: int
    shrunk_in: int = 0
    data: Mapping[str, object] = attrs.Factory(dict)

    @property
    def token(self) -> str:
        """Replays it."""
        return self.outcome.plan.token(trace=self.outcome.digest)

    def text(self, test: str) -> str:
        """The report; ``test`` is how the test is called on pytest's command line."""
        lines = [f"Found by {self.how}, in run {self.runs:,}; {_size(self.outcome.plan)}:"]
        lines += [f"  {line}" for line in deviations(self.outcome)] or [
            "  none: it fails with everything first in, first out"
        ]
        if self.data:
            lines.append("with " + ", ".join(f"{k}={v!r}" for k, v in self.data.items()))
        lines += ["", text_chart(list(self.outcome.trace or ()), last=CHART_EVENTS), ""]
        lines.append("Replay: " + self._replay(test))
        return "\n".join(lines)

    def _replay(self, test: str) -> str:
        if self.data:
            given = ", ".join(f"{k}={v!r}" for k, v in self.data.items())
            name = test.partition("[")[0].rpartition("::")[2]
            return f"{name}.replay({self.token!r}, {given})"
        return f"actorkit replay {self.token} {shlex.quote(test)}"


def deviations(outcome: Outcome) -> list[str]:
    """The faults and reorderings of a recorded run, in words."""
    found: list[str] = []
    for event in outcome.trace or ():
        if isinstance(event, FaultApplied):
            found.append(f"step {event.step}: {event.what}")
        elif isinstance(event, Reordered):
            found.append(
                f"step {event.step}: {event.instead_of} is held back, {event.ran} goes first"
            )
    return found


def _size(plan: Plan) -> str:
    faults, delays = len(plan.faults), len(plan.delays)
    return f"{faults} fault{'s' * (faults != 1)} and {delays} reordering{'s' * (delays != 1)}"


def check_same(first: Outcome, second: Outcome) -> None:
    """Two runs of one plan must be one and the same.

    Raises:
        UncontrolledNondeterminism: they are not; it names the first difference.
    """
    if first.digest == second.digest and type(first.failure) is type(second.failure):
        return
    raise UncontrolledNondeterminism(
        f"the same plan gave two different runs: {_difference(first, second)}. {SUSPECTS}"
    )


def _difference(first: Outcome, second: Outcome) -> str:
    """What tells two runs apart: their ends, and where they parted if both were recorded."""
    one, other = _end(first), _end(second)
    ends = f"both {one}" if one == other else f"one {one}, the other {other}"
    if first.trace is None or second.trace is None:
        return ends
    return f"{ends}; {_first_difference(first.trace, second.trace)}"


def _end(outcome: Outcome) -> str:
    if outcome.failure is None:
        return f"passed after {outcome.steps:,} steps"
    said, _, _ = error_text(outcome.failure).partition("\n")
    return f"failed with {type(outcome.failure).__name__}: {said}"


def _first_difference(first: Trace, second: Trace) -> str:
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other and repr(one) != repr(other):
            return f"event {number} was {one} in one and {other} in the other"
    if len(first) != len(second):
        return f"one had {len(first)} events, the other {len(second)}"
    return "their events look alike, but others could have gone on"
