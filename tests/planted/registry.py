"""What a planted bug is: one test of the wrong code and of the right one, what it takes, and a budget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from types import ModuleType

import attrs

from actorkit.testing import Fault, Sim
from actorkit.testing.recording import RecordedRuntime
from actorkit.testing.simulation.report import Found
from actorkit.testing.simulation.runner import Simulation, prepared
from actorkit.testing.simulation.search import Search, draw_schedules

Body = Callable[[Sim, bool], Awaitable[None]]


@attrs.frozen(eq=False)
class Planted:
    """A bug.

    Attributes:
        story: what goes wrong, in a sentence.
        body: ``body(sim, wrong)`` is the test, of the wrong code or of the right one.
        shows: what the failure says; one that says something else is no find.
        budget: schedules within which it must be found.
        faults: what may be done besides choosing an order.
        hidden: whether the undisturbed run, first in, first out and without faults, shows nothing of it.
        kernel: what the wrong code runs on.
    """

    name: str
    story: str
    body: Body = attrs.field(repr=False)
    shows: str
    budget: int
    faults: tuple[Fault, ...]
    hidden: bool
    kernel: type[RecordedRuntime]

    def __str__(self) -> str:
        return self.name

    def simulation(self, *, wrong: bool) -> Simulation:
        """The test of the wrong code, or of the right one."""
        prepared()
        kernel = self.kernel if wrong else RecordedRuntime
        return Simulation(lambda sim: self.body(sim, wrong), self.faults, seed=1, kernel=kernel)

    def look(self, *, wrong: bool, schedules: int, seed: int = 1) -> Found | None:
        """What ``@simulate(strategy="portfolio", ...)`` finds in so many schedules, shrunk."""
        return draw_schedules(
            self.simulation(wrong=wrong),
            Search(),
            strategy="portfolio",
            examples=schedules,
            seed=seed,
        )


def planted(
    *,
    shows: str,
    budget: int,
    faults: Iterable[Fault] = (),
    hidden: bool = True,
    kernel: type[RecordedRuntime] = RecordedRuntime,
) -> Callable[[Body], Planted]:
    """Make a bug of a test body: its name is the function's, its story the docstring."""

    def make(body: Body) -> Planted:
        name = getattr(body, "__name__", "")
        story = (body.__doc__ or "").strip()
        return Planted(name, story, body, shows, budget, tuple(faults), hidden, kernel)

    return make


def bugs_in(module: ModuleType) -> tuple[Planted, ...]:
    """The bugs of a module, in the order in which they stand there."""
    return tuple(value for value in vars(module).values() if isinstance(value, Planted))
