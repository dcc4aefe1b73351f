"""Plans drawn by Hypothesis, whole and up front: it knows how to look for small ones, to shrink them and to remember them.

Importing this module imports Hypothesis, which freezes trio's own scheduling; a simulation does not need that anyway.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from actorkit.testing.simulation.plan import Delay, FaultAt, Plan
from actorkit.testing.simulation.report import SUSPECTS, Found
from actorkit.testing.simulation.runner import Outcome, Simulation
from actorkit.testing.simulation.search import Search, confirmed
from actorkit.testing.simulation.sim import UncontrolledNondeterminism
from actorkit.testing.simulation.strategies import Fifo, Name, Planned, Strategy, strategies

MOST_DELAYS = 6
MOST_FAULTS = 4
MOST_SKIPPED = 4
FAULT_ARGS = 7
NODE_FAULT_ARGS = 31  # among pairs of nodes, and for how long
UNKNOWN_REACH = (15, 63, 255)

Values = Mapping[str, Any]
_SEEDS = st.integers(0, 2**32 - 1)


def plans(horizon: int | None, faults: int, args: int = FAULT_ARGS) -> st.SearchStrategy[Plan]:
    """Plans for runs with that many kinds of faults; the simplest disturbs nothing.

    Args:
        horizon: about how many steps a run takes; None if that differs from run to run.
        faults: how many kinds of faults there are.
        args: the largest argument of a fault.
    """
    reach = (horizon,) if horizon is not None else UNKNOWN_REACH
    steps = st.one_of([st.integers(0, most) for most in reach])
    delays = st.lists(
        st.builds(Delay, steps, st.integers(1, MOST_SKIPPED)),
        max_size=MOST_DELAYS,
        unique_by=lambda delay: delay.step,
    )
    strikes = st.lists(
        st.builds(FaultAt, steps, st.integers(0, max(0, faults - 1)), st.integers(0, args)),
        max_size=MOST_FAULTS if faults else 0,
    )
    return st.builds(Plan, delays, strikes)


class DrawnRuns:
    """Runs a simulation on what Hypothesis draws.

    Args:
        simulation_for: the simulation, given the values of the test's other arguments.
        search: counts the runs.
        strategy: "delay" has the plans drawn; for any other its seed is.
        data: where the test's other arguments come from.
    """

    def __init__(
        self,
        simulation_for: Callable[[Values], Simulation],
        search: Search,
        strategy: Name,
        data: Mapping[str, st.SearchStrategy[Any]],
    ) -> None:
        self._simulation_for = simulation_for
        self._search = search
        self._name: Name = strategy
        self._data = data
        self._horizon = UNKNOWN_REACH[0]
        self._bad: tuple[Outcome, Values, int] | None = None

    def look(self, test: str, *, examples: int, seed: int | None) -> Found | None:
        """Look for a failing run; ``test`` is the name under which failures are remembered between sessions."""
        if not self._data:  # tells how long a run is, and whether the test is right at all
            self._run(Fifo(), {})
        if self._bad is None:
            try:
                self._drawing(test, examples, seed)()
            except HypothesisException as error:
                if self._bad is None:
                    raise
                raise self._unrepeated() from error
            except Exception:
                if self._bad is None:
                    raise
        if self._bad is None:
            return None
        outcome, values, runs = self._bad
        how = f"strategy {self._name!r}"
        simulation = self._simulation_for(values)
        return confirmed(simulation, outcome, self._search, how, values, found_in=runs)

    def _unrepeated(self) -> UncontrolledNondeterminism:
        failure = self._bad[0].failure if self._bad is not None else None
        return UncontrolledNondeterminism(
            f"a run that had failed with {failure!r} did not fail when it was repeated. {SUSPECTS}"
        )

    def _run(self, strategy: Strategy, values: Values) -> BaseException | None:
        outcome = self._search.count(self._simulation_for(values).run(strategy))
        if outcome.failure is None:  # else Hypothesis repeats it, and must find the world as it was
            if self._data or self._search.runs == 1:  # else as long as the first, undisturbed run
                self._horizon = max(self._horizon, outcome.steps)
        else:
            first = self._search.runs if self._bad is None else self._bad[2]
            self._bad = outcome, values, first
        return outcome.failure

    def _drawing(self, test: str, examples: int, seed: int | None) -> Callable[[], None]:
        simulation = self._simulation_for({})
        choices: st.SearchStrategy[Any] = (
            plans(
                None if self._data else self._horizon,
                len(simulation.faults),
                FAULT_ARGS if simulation.nodes is None else NODE_FAULT_ARGS,
            )
            if self._name == "delay"
            else _SEEDS
        )

        def example(drawn: dict[str, Any]) -> None:
            strategy = self._strategy(drawn.pop(""), len(simulation.faults))
            failure = self._run(strategy, drawn)
            if failure is not None:
                raise failure

        # Hypothesis keeps what failed under a digest of this.
        example.__name__ = re.sub(r"\W", "_", f"test {test}")
        runs = hypothesis.given(st.fixed_dictionaries({"": choices, **self._data}))(example)
        if seed is None:
            return _settings(examples)(runs)
        return hypothesis.seed(seed)(hypothesis.settings(_settings(examples), database=None)(runs))

    def _strategy(self, chosen: Plan | int, faults: int) -> Strategy:
        if isinstance(chosen, Plan):
            return Planned(chosen)
        made = strategies(
            self._name, rng=random.Random, seed=chosen, horizon=self._horizon, faults=faults
        )
        return next(islice(made, 1 + chosen % 4, None))  # the first is undisturbed


def _settings(examples: int) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=examples,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            HealthCheck.filter_too_much,
        ],
        phases=(Phase.reuse, Phase.generate, Phase.shrink),
        verbosity=hypothesis.Verbosity.quiet,
    )
