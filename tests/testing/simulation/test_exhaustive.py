"""Every trace is seen, none is counted twice, and the word "complete" is true: all schedules are tried by hand to check it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import attrs
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from actorkit.testing.simulation.exhaustive import (
    Diverged,
    Exploration,
    Failure,
    Run,
    Transition,
    explore,
)
from tests.testing.simulation.toy import (
    Action,
    Ask,
    Kill,
    Start,
    System,
    Tell,
    Touch,
    every_schedule,
    order_of_conflicts,
)

FEW = 300
READ_THEN_WRITE = ((Ask("counter"),), (Ask("counter"),))


def counting(clients: int) -> System:
    """Clients that read and then write one counter."""
    names = [f"client {n}" for n in range(1, clients + 1)]
    return System(dict.fromkeys(names, READ_THEN_WRITE), {"counter": ()})


@attrs.define
class Watched:
    """Runs a system and remembers the traces it showed."""

    run: Run
    seen: list[frozenset[object]] = attrs.Factory(list)

    def __call__(self, schedule: Sequence[str]) -> Sequence[Transition]:
        steps = self.run(schedule)
        self.seen.append(order_of_conflicts(steps))
        return steps


def shuffled(system: System, seed: int) -> Run:
    """Runs that go on at random once their schedule is at its end, one schedule always in one way."""

    def run(schedule: Sequence[str]) -> Sequence[Transition]:
        return system.run(schedule, random.Random(f"{seed} {schedule}").choice)

    return run


def check_against_all_schedules(system: System) -> None:
    """However runs go on, the traces explored are those that all schedules show, and each counts once."""
    there_are = {order_of_conflicts(steps) for steps in every_schedule(system.run)}
    for run in (system.run, *(shuffled(system, seed) for seed in range(5))):
        watched = Watched(run)
        done = explore(watched)
        assert done.complete
        assert set(watched.seen) == there_are
        assert done.traces == len(there_are)
        assert done.runs == len(watched.seen)


def few_schedules(system: System) -> bool:
    """Few enough to try them all, and more than one."""
    return 1 < len(list(islice(every_schedule(system.run), FEW + 1))) <= FEW


@pytest.mark.parametrize(("clients", "traces"), [(1, 1), (2, 6), (3, 90), (4, 2520)])
def test_clients_of_one_counter(clients: int, traces: int) -> None:
    """Reads and writes of n clients interleave in (2n)! / 2**n ways, and each takes one run."""
    done = explore(counting(clients).run)
    assert str(done) == f"complete: {traces:,} trace{'s' * (traces > 1)}"
    assert done.runs == traces
    assert done.redundant == 0


def test_independent_pairs_need_one_run() -> None:
    """Who has nothing to do with each other cannot tell who went first."""
    pairs = {f"client {n}": ((Ask(f"actor {n}"),),) * 2 for n in range(3)}
    done = explore(System(pairs, {f"actor {n}": () for n in range(3)}).run)
    assert done == Exploration(complete=True, traces=1, runs=1)


def test_a_system_that_does_nothing_has_one_trace() -> None:
    """The empty one."""
    assert str(explore(lambda _: [])) == "complete: 1 trace"


CLIENTS = ["ann", "bob", "cem"]
ACTORS = ["x", "y"]
TELLS = st.builds(Tell, st.sampled_from(ACTORS), st.integers(0, 2))
ASKS = st.builds(Ask, st.sampled_from(ACTORS), st.integers(0, 2))
STARTS = st.builds(Start, st.sampled_from(CLIENTS + ACTORS))
KILLS = st.builds(Kill, st.sampled_from(CLIENTS + ACTORS))
OVERTAKES = st.builds(Tell, st.sampled_from(ACTORS), st.integers(0, 2), st.just(True))
TOUCHES = st.builds(Touch, st.lists(TELLS | STARTS, max_size=1).map(tuple))


def systems(*special: st.SearchStrategy[Action], asleep: int = 0) -> st.SearchStrategy[System]:
    """Small systems whose processes also do special things."""
    common: list[st.SearchStrategy[Action]] = [TELLS, *special]
    acts = st.one_of(common)
    step = st.builds(
        lambda done, asked: (*done, *asked),
        st.lists(acts, min_size=1, max_size=2),
        st.lists(ASKS, max_size=1),
    )
    scripts = st.lists(step, min_size=1, max_size=2).map(tuple)
    # An actor tells only those behind it in the alphabet, so every system comes to an end.
    handled = st.lists(acts, max_size=2).map(lambda done: tuple(a for a in done if _ends(a)))
    return st.builds(
        System,
        st.dictionaries(st.sampled_from(CLIENTS), scripts, min_size=2),
        st.fixed_dictionaries({name: st.lists(handled, max_size=2).map(tuple) for name in ACTORS}),
        st.frozensets(st.sampled_from(CLIENTS + ACTORS), max_size=asleep),
    ).map(_without_absent)


def _ends(action: Action) -> bool:
    match action:
        case Tell(to):
            return to == ACTORS[-1]
        case Touch(odd):
            return all(_ends(more) for more in odd)
        case _:
            return True


def _without_absent(system: System) -> System:
    """Nobody sends, starts or kills who is not there; the last actor tells nobody."""
    there = {*system.clients, *system.actors}

    def kept(actions: Iterable[Action], teller: str) -> tuple[Action, ...]:
        return tuple(
            attrs.evolve(action, odd=kept(action.odd, teller))
            if isinstance(action, Touch)
            else action
            for action in actions
            if isinstance(action, Touch)
            or (action.to != teller if isinstance(action, Tell | Ask) else action.who in there)
        )

    return System(
        {c: tuple(kept(step, c) for step in script) for c, script in system.clients.items()},
        {a: tuple(kept(step, a) for step in script) for a, script in system.actors.items()},
        system.sleepers & there,
    )


SEARCHING = settings(
    max_examples=80, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)


@SEARCHING
@given(systems())
def test_systems_that_only_talk(system: System) -> None:
    """What an actor does depends on what it handled before; the explored traces are all there are."""
    assume(few_schedules(system))
    check_against_all_schedules(system)


@SEARCHING
@given(systems(STARTS, asleep=3))
def test_systems_in_which_processes_enable_each_other(system: System) -> None:
    """Who must be started before they can go on may be started by several, at any time, or never."""
    assume(few_schedules(system))
    check_against_all_schedules(system)


@SEARCHING
@given(systems(TOUCHES))
def test_systems_with_a_shared_world(system: System) -> None:
    """What a step writes may depend on who looked at the world before it."""
    assume(few_schedules(system))
    check_against_all_schedules(system)


@SEARCHING
@given(systems(KILLS, OVERTAKES, TOUCHES, STARTS, asleep=2))
def test_systems_in_which_anything_goes(system: System) -> None:
    """Options vanish before they are used, and mail overtakes mail."""
    assume(few_schedules(system))
    check_against_all_schedules(system)


HARD = {
    # Whether ann tells x anything depends on whether y touched the world before her, which bob's mail brings about.
    "a write that depends on the order": System(
        {
            "ann": ((Touch((Tell("x", 2),)),), (Ask("x", 1),)),
            "bob": ((Ask("x", 2),), (Ask("x", 2),)),
        },
        {"x": ((Tell("y", 2),), ()), "y": ((Touch(),), ())},
    ),
    # What a sleeping step conflicts with shows where it was run, not in the run in which it comes later.
    "a sleeper that must wake": System(
        {
            "ann": ((Tell("x"), Tell("x", 1)), (Tell("x", 2), Touch())),
            "bob": ((Tell("x", 1),), (Tell("x", 2),)),
            "cem": ((Tell("x", 1),),),
        },
        {"x": ((), (Touch(),))},
    ),
    # x ends ann before she has ended bob, but she might have ended him between his first step and that.
    "a kill that could have come after more": System(
        {
            "ann": ((Kill("bob"),),),
            "bob": ((Ask("x", 2),), (Ask("x"),)),
            "cem": ((Tell("y"),), (Tell("y", 1), Ask("x", 2))),
        },
        {"x": ((Kill("ann"),),), "y": ()},
    ),
    # ann and z both tell x, but z only because y does because ann does.
    "an order that a chain forces": System(
        {"ann": ((Tell("x"), Tell("y")),)}, {"x": (), "y": ((Tell("z"),),), "z": ((Tell("x"),),)}
    ),
    # Who can go before whom is only known at the end of a run, so every run's races must be looked at again.
    "a race that comes to matter later": System(
        {
            "ann": ((Tell("x", 1, first=True),),),
            "bob": ((Ask("x", 1), Ask("z", 2)), (Ask("y"),)),
        },
        {"x": (), "y": (), "z": ()},
    ),
    "mail that overtakes": System(
        {
            "ann": ((Ask("x", 1),), (Tell("x", 2), Ask("x", 1))),
            "bob": ((Tell("x", 2), Tell("x", 2, first=True)),),
            "cem": ((Tell("x", first=True),),),
        },
        {"x": ()},
    ),
}


@pytest.mark.parametrize("name", HARD)
def test_systems_that_were_once_hard(name: str) -> None:
    """Each of these is searched wrongly by a search with one rule less."""
    check_against_all_schedules(HARD[name])


def test_it_stops_at_its_limits() -> None:
    """It says which, and that it is incomplete; but a limit that is just reached is no limit."""
    done = explore(counting(3).run, max_traces=50)
    assert str(done) == "incomplete: 50 traces, stopped at max_traces"
    assert not done.complete
    assert str(explore(counting(3).run, max_runs=7)) == "incomplete: 7 traces, stopped at max_runs"
    assert str(explore(counting(3).run, max_traces=90, max_runs=90)) == "complete: 90 traces"
    assert str(Exploration(False, 5000, 5000, stopped_at="max_traces")) == (
        "incomplete: 5,000 traces, stopped at max_traces"
    )


@pytest.mark.parametrize("limits", [{"max_traces": 0}, {"max_runs": 0}])
def test_limits_are_positive(limits: dict[str, int]) -> None:
    """Exploring nothing would be complete of nothing."""
    with pytest.raises(ValueError, match="limits are from 1 up, got max_traces="):
        explore(counting(2).run, **limits)


def _in_this_order(*sends: str) -> Callable[[Sequence[Transition]], bool]:
    def found(steps: Sequence[Transition]) -> bool:
        return [s.process for s in steps if "mail:counter" in s.writes] == list(sends)

    return found


@pytest.mark.parametrize("error", [AssertionError("lost"), pytest.fail.Exception("lost")])
def test_a_failure_ends_it_and_can_be_repeated(error: BaseException) -> None:
    """The schedule it tells leads to the failing run again; what a test library raises need not be an Exception."""
    lost_update = _in_this_order("client 1", "client 2", "client 2", "client 1")

    def run(schedule: Sequence[str]) -> Sequence[Transition]:
        steps = counting(2).run(schedule)
        if lost_update(steps):
            raise error
        return steps

    done = explore(run)
    assert isinstance(done.failure, Failure)
    assert done.failure.error is error
    assert lost_update(counting(2).run(done.failure.schedule))
    assert not done.complete
    assert done.runs == done.traces + 1
    assert done.redundant == 0
    assert str(done) == f"failed after 1 trace: {error!r}"


def test_an_interrupt_is_no_failure() -> None:
    """Ctrl-C goes through."""

    def run(_: Sequence[str]) -> Sequence[Transition]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explore(run)


def _whimsical(spoil: Callable[[list[Transition]], list[Transition]]) -> Run:
    """A run that is spoilt from the second time on."""
    times = 0

    def run(schedule: Sequence[str]) -> Sequence[Transition]:
        nonlocal times
        times += 1
        steps = counting(2).run(schedule)
        return steps if times == 1 else spoil(steps)

    return run


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda steps: steps[:1], "step 1 .* the run had ended before 'client 2' could go on"),
        (
            lambda steps: [steps[1], steps[0], *steps[2:]],
            "'client 2' went on instead of 'client 1'",
        ),
        (
            lambda steps: [attrs.evolve(steps[0], writes=frozenset({"moon"})), *steps[1:]],
            "moon.* happened, and .*mail:counter.* in an earlier run",
        ),
        (
            lambda steps: [attrs.evolve(steps[0], enabled=("client 1", "moon")), *steps[1:]],
            r"the options were \('client 1', 'moon'\), and \('client 1', 'client 2'\) in an earlier",
        ),
    ],
)
def test_a_run_that_does_something_else_is_found_out(
    spoil: Callable[[list[Transition]], list[Transition]], told: str
) -> None:
    """If a schedule does not decide everything, the search says so instead of counting."""
    with pytest.raises(Diverged, match=told) as found:
        explore(_whimsical(spoil))
    assert "find it and put it under control" in str(found.value)
    assert found.value.step in {0, 1}


def test_a_forgotten_cause_is_found_out() -> None:
    """If what enables a step is not reported, a schedule asks for the impossible; the run's own word for it comes through."""
    system = System(
        {"ann": ((Start("bob"), Touch()),), "bob": ((Touch(),),)}, sleepers=frozenset({"bob"})
    )

    def run(schedule: Sequence[str]) -> Sequence[Transition]:
        return [attrs.evolve(step, causes=()) for step in system.run(schedule)]

    assert explore(system.run).traces == 1
    with pytest.raises(Diverged, match=r"step 0 .* bob cannot go on.* share neither a write nor a"):
        explore(run)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (Transition("a", ("b",)), r"step 0 was taken by 'a', which is not among its options"),
        (Transition("a", ("a",), causes=(0,)), r"step 0 has causes \(0,\), which are not all"),
        (Transition("a", ("a",), causes=(-1,)), r"step 0 has causes \(-1,\)"),
    ],
)
def test_transitions_that_contradict_themselves_are_refused(step: Transition, told: str) -> None:
    """The message names the step and the value."""
    with pytest.raises(ValueError, match=told):
        explore(lambda _: [step])
