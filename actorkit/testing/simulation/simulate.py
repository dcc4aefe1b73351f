"""``@simulate``: turns an async test into one that runs under many schedules."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args

import attrs
import trio

from actorkit.testing.simulation.faults import Fault
from actorkit.testing.simulation.fleet import Boot, NodesWanted
from actorkit.testing.simulation.report import Found
from actorkit.testing.simulation.runner import Outcome, Simulation, prepared
from actorkit.testing.simulation.search import (
    NeverHappened,
    Search,
    draw_schedules,
    fresh_seed,
    replayed,
    try_all,
)
from actorkit.testing.simulation.sim import Sim, UncontrolledNondeterminism
from actorkit.testing.simulation.strategies import Fifo, Name

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

REPLAY = "ACTORKIT_REPLAY"

_MACHINERY = (str(Path(__file__).parents[1]), contextlib.__file__, str(Path(trio.__file__).parent))

StrategyName = Name | Literal["exhaustive"]
_NAMES = (*get_args(Name), "exhaustive")


@attrs.frozen
class Options:
    """What a simulated test is run with; see ``simulate``."""

    strategy: StrategyName
    examples: int
    faults: tuple[Fault, ...]
    seed: int | None
    sometimes: tuple[str, ...]
    given: Mapping[str, SearchStrategy[Any]]
    within: float
    max_steps: int
    max_traces: int
    nodes: NodesWanted | None


class SimulatedFunction(Protocol):
    """What ``@simulate`` makes of an async test: a plain function that pytest collects."""

    simulated: SimulatedTest

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Run it under many schedules."""
        ...

    def replay(self, token: str, /, *args: Any, **data: Any) -> None:
        """Run one plan again, from its token, with the same values for the test's other arguments."""
        ...

    def run_once(self, *args: Any, plan: str | None = None, **data: Any) -> Outcome:
        """Run it once, recorded: undisturbed, or by a token."""
        ...


class SimulatedTest:
    """An async test that runs under many schedules when it is called. pytest calls it like any other test.

    Attributes:
        last: the ``Search`` of the last call: how many runs there were.
        found: the failing run that the last call found, if any.
        exploration: what the last exhaustive search saw: ``str()`` says "complete: 90 traces".
        called: how pytest calls the test that runs now, parameters included; the plugin says so.
    """

    def __init__(self, function: Callable[..., Awaitable[object]], options: Options) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._options = options
        self.last = Search()
        self.found: Found | None = None
        self.exploration: object = None
        self.called: str | None = None

    @property
    def where(self) -> str:
        """How pytest calls this test: ``tests/test_bank.py::test_transfer``."""
        if self.called is not None:
            return self.called
        code = inspect.unwrap(self._function).__code__
        path = Path(code.co_filename)
        here = Path.cwd()
        shown = path.relative_to(here) if path.is_relative_to(here) else path
        return f"{shown.as_posix()}::{self._function.__qualname__.replace('.', '::')}"

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Run it.

        Raises:
            AssertionError: or whatever a run failed with; a note says how to see it again.
            NeverHappened: what must sometimes happen did not, in any run.
            UncontrolledNondeterminism: the same plan gave two different runs.
        """
        __tracebackhide__ = True
        prepared()
        token = _replay_token()
        if token is not None:
            self.replay(token, *args, **kwargs)
            return
        self.last = Search()
        try:
            self.found = self._look(args, kwargs)
        except (
            UncontrolledNondeterminism
        ) as error:  # from our own depths, where there is nothing to see
            raise error.with_traceback(None) from None
        if self.found is not None:
            raise self._told(self.found)
        self._check_sometimes()

    def replay(self, token: str, *args: Any, **data: Any) -> None:
        """Run one plan again, from its token, with the same values for the test's other arguments.

        Raises:
            ValueError: it is no token.
            PlanNoLongerMatches: the code has changed since, and this run did not fail.
        """
        __tracebackhide__ = True
        prepared()
        missing = [name for name in self._options.given if name not in data]
        if missing:
            call = ", ".join(f"{name}=..." for name in self._options.given)
            raise TypeError(
                f"{self._function.__name__} draws {', '.join(missing)}, which no token holds: "
                f"call {self._function.__name__}.replay({token!r}, {call}), as the failure report says"
            )
        outcome = replayed(self._simulation(args, data), token)
        if outcome.failure is not None:
            raise self._told(Found(outcome, "a replay", 1, 0, data))

    def run_once(self, *args: Any, plan: str | None = None, **data: Any) -> Outcome:
        """Run it once, recorded: undisturbed, or by a token. The outcome has the trace, and the failure if it failed."""
        prepared()
        simulation = self._simulation(args, data)
        return replayed(simulation, plan) if plan else simulation.run(Fifo(), record=True)

    def _look(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Found | None:
        options = self._options

        def simulation_for(values: Mapping[str, Any]) -> Simulation:
            return self._simulation(args, {**kwargs, **values})

        if options.strategy == "exhaustive":
            self.exploration, found = try_all(
                simulation_for({}), self.last, max_traces=options.max_traces
            )
            return found
        if options.strategy == "delay" or options.given:
            from actorkit.testing.simulation.drawn import DrawnRuns  # noqa: PLC0415 - brings Hypothesis

            drawn = DrawnRuns(simulation_for, self.last, options.strategy, options.given)
            return drawn.look(self.where, examples=options.examples, seed=options.seed)
        return draw_schedules(
            simulation_for({}),
            self.last,
            strategy=options.strategy,
            examples=options.examples,
            seed=fresh_seed() if options.seed is None else options.seed,
        )

    def _simulation(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Simulation:
        options = self._options

        def body(sim: Sim) -> Awaitable[object]:
            return self._function(*args, sim, **kwargs)

        return Simulation(
            body,
            options.faults,
            options.seed or 0,
            options.within,
            options.max_steps,
            nodes=options.nodes,
        )

    def _told(self, found: Found) -> BaseException:
        failure = found.outcome.failure
        assert failure is not None
        failure.add_note(found.text(self.where))
        return failure.with_traceback(_of_the_test(failure.__traceback__))

    def _check_sometimes(self) -> None:
        __tracebackhide__ = True
        seen = self.last.seen
        never = [claim for claim in (*self._options.sometimes, *seen) if not seen[claim]]
        if never:
            claims = ", ".join(repr(claim) for claim in dict.fromkeys(never))
            raise NeverHappened(
                f"in {self.last.runs:,} runs it never happened: {claims}. "
                "More examples, other faults, or a claim that cannot come true"
            )


def simulate(
    *,
    strategy: StrategyName = "delay",
    examples: int = 100,
    faults: Iterable[Fault] = (),
    seed: int | None = None,
    sometimes: Iterable[str] = (),
    given: Mapping[str, SearchStrategy[Any]] | None = None,
    within: float = 60.0,
    max_steps: int = 20_000,
    max_traces: int = 5_000,
    nodes: Iterable[str] | None = None,
    boot: Boot | None = None,
    **node_options: Any,
) -> Callable[[Callable[..., Awaitable[object]]], SimulatedFunction]:
    """Run an async test, ``async def test_bank(sim: Sim)``, under many schedules, each of them chosen.

    In every run all actors, clients, timers and background tasks go on one step at a time, in an order that a strategy
    picks; virtual time costs nothing. Each run ends with a phase without faults in which the system must come to rest, and
    with books that must balance. A failure is repeated twice, made small, and told with a chart and a token to replay it.

    Args:
        strategy: "delay" disturbs the natural order in a few places, drawn by Hypothesis, and shrinks best. "random",
            "sticky" and "pct" draw whole schedules from a seed, "portfolio" takes them in turn. "exhaustive" tries every
            order that can make a difference: for a handful of actors and messages, without faults.
        examples: how many runs.
        faults: what may be done to the system, such as ``kill_actor()``.
        seed: makes the search the same each time; otherwise it differs, and Hypothesis remembers what failed.
        sometimes: claims that ``sim.sometimes`` must make true in at least one run, even if it is never reached.
        given: Hypothesis strategies for other arguments of the test, by name.
        within: virtual seconds the system may take to come to rest.
        max_steps: steps after which a run counts as endless.
        max_traces: for "exhaustive": how many interleavings to try at most.
        nodes: names of nodes to open before the test begins, each joined to all others over one ``MemoryNetwork``, for
            ``sim.nodes``; ``[]`` is a network without any. Without ``nodes`` there is a single system, ``sim.system``.
        boot: ``async def boot(sim, node)``: what every node does first, also when it is started again.
        node_options: passed on to ``ak.open_node`` for each of ``nodes``.
    """
    options = Options(
        strategy,
        examples,
        tuple(faults),
        seed,
        (sometimes,) if isinstance(sometimes, str) else tuple(sometimes),
        dict(given or {}),
        within,
        max_steps,
        max_traces,
        _nodes_wanted(nodes, boot, node_options),
    )
    _check(options)

    def decorate(function: Callable[..., Awaitable[object]]) -> SimulatedFunction:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(
                f"@simulate decorates an async test, got {function!r}; write `async def`"
            )
        test = SimulatedTest(function, options)
        return _as_function(test, function, options)

    return decorate


def _nodes_wanted(
    nodes: Iterable[str] | None, boot: Boot | None, options: Mapping[str, Any]
) -> NodesWanted | None:
    if nodes is None:
        if boot is not None or options:
            given = ", ".join(["boot"] * (boot is not None) + list(options))
            raise TypeError(f'{given}: without nodes=["a", "b"] there is no node to take that')
        return None
    names = tuple(nodes)
    if isinstance(nodes, str) or len(set(names)) < len(names):
        raise ValueError(f'nodes= takes names, each of them once, as in ["a", "b"], got {nodes!r}')
    return NodesWanted(names, dict(options), boot)


def _check(options: Options) -> None:
    if options.strategy not in _NAMES:
        raise ValueError(
            f"there is no strategy {options.strategy!r}; choose one of {', '.join(_NAMES)}"
        )
    for name in ("examples", "max_steps", "max_traces"):
        number = getattr(options, name)
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} is a whole number from 1 up, got {number!r}")
    if not options.within > 0:
        raise ValueError(f"within is a number of virtual seconds above 0, got {options.within!r}")
    for fault in options.faults:
        if isinstance(fault, type) or not hasattr(fault, "strike"):
            raise TypeError(f"faults are made by calls such as kill_actor(), got {fault!r}")
    if options.strategy == "exhaustive" and options.nodes is not None:
        raise ValueError(
            "an exhaustive search is for one system: it cannot tell which bytes on a link make a difference; use "
            'strategy="portfolio"'
        )
    if options.strategy == "exhaustive" and options.given:
        raise ValueError(
            "an exhaustive search is for one closed test; write its arguments into the test"
        )


def _as_function(
    test: SimulatedTest, function: Callable[..., Awaitable[object]], options: Options
) -> SimulatedFunction:
    """A plain function, which is what pytest collects; its arguments besides ``sim`` and ``given`` are fixtures."""

    def run(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        test(*args, **kwargs)

    functools.update_wrapper(run, function)
    del vars(run)["__wrapped__"]  # pytest would look through it and see a coroutine
    signature = inspect.signature(function)
    unknown = options.given.keys() - signature.parameters.keys()
    if unknown:
        raise TypeError(
            f"given= draws {', '.join(sorted(unknown))}, which {function.__name__} does not take"
        )
    kept = [
        p for p in _without_sim(list(signature.parameters.values())) if p.name not in options.given
    ]
    run.__signature__ = signature.replace(parameters=kept, return_annotation=None)  # type: ignore[attr-defined]
    for name in ("replay", "run_once"):
        setattr(run, name, getattr(test, name))
    run.simulated = test  # type: ignore[attr-defined]
    return cast("SimulatedFunction", run)


def _without_sim(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    at = 1 if parameters and parameters[0].name == "self" else 0
    if len(parameters) <= at:
        raise TypeError("a simulated test takes the simulation first: async def test(sim: Sim)")
    return parameters[:at] + parameters[at + 1 :]


def _of_the_test(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins in the test, not in what runs it."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_MACHINERY):
        trace = trace.tb_next
    return trace


def _replay_token() -> str | None:
    """The plan that ``actorkit replay`` wants to see instead of a search."""
    return os.environ.get(REPLAY) or None
