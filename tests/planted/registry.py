"""Which bugs there are: a test body that runs the wrong code or the right one, the faults it takes, and a budget."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

import attrs

from actorkit.testing import Fault, Outcome, Sim
from actorkit.testing.simulation.runner import Simulation
from actorkit.testing.simulation.strategies import strategies

Body = Callable[[Sim, bool], Awaitable[None]]
HORIZON = 60  # steps: where reorderings and faults fall


@attrs.frozen
class Planted:
    """A bug.

    Attributes:
        name: what it is called.
        story: what goes wrong, in a sentence.
        body: ``body(sim, wrong)`` is the test, of the wrong code or of the right one.
        faults: what it takes besides an order of events.
        budget: schedules within which it must be found.
        within: virtual seconds the system may take to come to rest.
    """

    name: str
    story: str
    body: Body
    faults: tuple[Fault, ...]
    budget: int
    within: float

    def __str__(self) -> str:
        return self.name

    def simulation(self, *, wrong: bool) -> Simulation:
        """The wrong code, or the right one."""
        return Simulation(
            lambda sim: self.body(sim, wrong), self.faults, seed=1, within=self.within
        )

    def search(self, *, wrong: bool, schedules: int, seed: int = 1) -> tuple[Outcome | None, int]:
        """Run under so many schedules until one fails: that one, and how many it took."""
        runs = 0

        def failed(outcome: Outcome) -> bool:
            nonlocal runs
            runs += 1
            return outcome.failure is not None

        drawn = strategies(
            "portfolio", rng=random.Random, seed=seed, horizon=HORIZON, faults=len(self.faults)
        )
        bad = self.simulation(wrong=wrong).run_all(islice(drawn, schedules), failed)
        return bad, runs


BUGS: dict[str, Planted] = {}


def planted(
    *, budget: int = 200, faults: Iterable[Fault] = (), within: float = 60.0
) -> Callable[[Body], Body]:
    """Register a bug under its function's name; the docstring is its story."""

    def register(body: Body) -> Body:
        name = getattr(body, "__name__", "")
        story = (body.__doc__ or "").strip()
        BUGS[name] = Planted(name, story, body, tuple(faults), budget, within)
        return body

    return register
