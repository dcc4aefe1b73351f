"""What happens while a child is being restarted: time-outs, kills, waits, and orders to stop."""

from __future__ import annotations

import pytest
import trio

import actorkit as ak
from actorkit.supervision.requests import TerminateChild
from tests.harness import settle
from tests.supervision.support import (
    FOREVER,
    Complain,
    Crash,
    End,
    Hurt,
    Note,
    Notes,
    Rebel,
    Stage,
    Think,
    WorkerMessage,
    always,
    at_first,
    crash,
    incarnation,
    kill,
    record,
    statuses,
)

DOUBLING = ak.Backoff(initial=1.0, factor=2.0, maximum=5.0)


# Starts that take their time -----------------------------------------------------------------------


async def test_a_restart_that_overruns_its_time_is_a_failed_one(system: ak.System) -> None:
    """A restart that is not ready within ``start_timeout`` is killed, counted, and tried again."""
    stage = Stage()
    worker = stage.child("w", starts=["ok", "hang", "hang", "ok"], start_timeout=2.0)
    errors = record(system, ak.ChildDidNotStart)
    supervisor = await system.start(ak.supervise(worker, max_restarts=3, within=10.0))
    ref = supervisor.child(worker)
    await crash(ref)
    began = system.now()
    assert await ref.ask(Think(), timeout=None) == 4
    assert system.now() - began == 4.0
    assert [str(e.reason) for e in errors] == [
        f"failed ({ref.path} did not start within 2 s and was killed)"
    ] * 2
    await crash(ref)
    assert not supervisor.ref.alive  # it was the fourth restart


async def test_a_child_killed_during_its_first_start(system: ak.System) -> None:
    """If a child is killed while it starts for the first time, the whole start fails."""
    stage = Stage()
    slow = stage.child("slow", starts=[5.0], name="slow")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _start() -> None:
            with pytest.raises(ak.StartFailed, match="child 'slow' did not start: killed"):
                await system.start(ak.supervise(stage.child("a"), slow))

        await settle()
        system.named(ak.Key[WorkerMessage]("slow")).kill()
    assert stage.news() == ["start a", "start slow", "stop a", "gone a"]
    assert system.tree() == ()


@pytest.mark.parametrize("step", [5.0, "hang"])
async def test_a_child_killed_during_its_restart(system: ak.System, step: float | str) -> None:
    """If a child is killed while it restarts, that is one more failed attempt; its mail still waits."""
    stage = Stage()
    worker = stage.child("w", starts=["ok", step, "ok"])  # type: ignore[list-item]
    supervisor = await system.start(ak.supervise(worker))
    ref = supervisor.child(worker)
    await crash(ref)
    ref.tell(Note(1))
    assert ref.alive  # it is on its way
    await kill(ref)
    assert await ref.ask(Notes()) == (1,)
    assert stage.roles["w"].incarnations == 3


async def test_an_actor_that_is_stopped_while_it_starts(system: ak.System) -> None:
    """``stop`` waits until the actor is ready and has handled what was sent before; then it ends in good order."""
    stage = Stage()
    worker = stage.child("w", starts=["ok", 3.0], restart="transient")
    supervisor = await system.start(ak.supervise(worker))
    ref = supervisor.child(worker)
    await crash(ref)
    stage.news()
    began = system.now()
    await ref.stop()
    assert system.now() - began == 3.0
    assert stage.news() == ["stop w", "gone w"]
    await settle()
    assert await statuses(supervisor) == {"w": "stopped"}


# Orders to stop ------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["stop", "shutdown", "terminate"])
@pytest.mark.parametrize("trap", [False, True])
async def test_a_start_does_not_hold_up_the_end(system: ak.System, by: str, trap: bool) -> None:
    """A supervisor that is told to end breaks off the start it waits for, and stops its other children in order."""
    stage = Stage()
    a, b = stage.child("a"), stage.child("b")
    slow = stage.child("slow", starts=at_first("ok", then="hang"), trap=trap)
    twig = ak.Child("twig", ak.supervise(a, slow, b, strategy="rest_for_one"))
    top = await system.start(ak.supervise(twig))
    door = top.supervisor(twig)
    reports = record(system, ak.ChildDidNotStart, ak.GaveUp)
    await crash(door.child(slow))
    stage.news()
    began = system.now()
    match by:
        case "stop":
            await door.stop()
        case "shutdown":
            await top.stop()
        case _:
            await top.terminate_child(twig)
    assert stage.log[:2] == ["stop a", "gone a"]
    assert system.now() - began == (5.0 if trap else 0.0)  # a trapping worker has its time
    assert reports == []  # a start that was broken off is nobody's failure


async def test_told_to_end_a_supervisor_starts_nothing_new(system: ak.System) -> None:
    """A supervisor told to end in the midst of a group's restart leaves the rest of the group alone."""
    stage = Stage()
    a, slow = stage.child("a"), stage.child("slow", starts=["ok", 1.0])
    c = stage.child("c", starts=at_first("ok", then="hang"))
    supervisor = await system.start(ak.supervise(a, slow, c, strategy="one_for_all"))
    await crash(supervisor.child(a))
    stage.news()
    await supervisor.stop()
    assert stage.news() == ["stop a", "gone a"]
    assert [stage.roles[name].incarnations for name in ("a", "slow", "c")] == [2, 2, 1]


async def test_a_tree_told_to_end_while_it_starts(system: ak.System) -> None:
    """What has started of a tree that is told to end before it is ready ends in order, innermost first."""
    stage = Stage()
    leaf = ak.Child(
        "leaf", ak.supervise(stage.child("x"), stage.child("slow", starts=always("hang")))
    )
    branch = ak.Child("branch", ak.supervise(stage.child("a"), leaf), restart="transient")
    top = await system.start(ak.supervise(stage.child("z"), strategy="one_for_one"))
    stage.news()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _start() -> None:
            with pytest.raises(ak.StartFailed, match="child 'slow' did not start: shutdown"):
                await top.start_child(branch)

        await settle()
        assert stage.news() == ["start a", "start x", "start slow"]
        await top.stop()
    assert stage.news() == ["stop x", "gone x", "stop a", "gone a", "stop z", "gone z"]


async def test_the_end_of_the_system_ends_every_wait(system: ak.System) -> None:
    """Neither a back-off, nor a hanging start, nor an overlong end keeps a system from ending."""
    stage = Stage()
    waiting = stage.child("waiting", starts=at_first("ok", then="fail"))
    hanging = stage.child("hanging", starts=at_first("ok", then="hang"))
    lasting = stage.child("lasting", ending=FOREVER, shutdown=1.0)
    one = await system.start(ak.supervise(waiting, backoff=ak.Backoff(1e6, 1.0, 1e6)))
    two = await system.start(ak.supervise(lasting, hanging))
    await crash(one.child(waiting))
    await crash(two.child(hanging))
    began = system.now()
    await system.shutdown()
    assert system.now() - began == 1.0


async def test_a_supervisor_killed_as_it_stops_a_child(system: ak.System) -> None:
    """A child that its supervisor is stopping stays linked to it, so it does not outlive a supervisor that is killed."""
    stage = Stage()
    lasting = stage.child("lasting", ending=FOREVER, shutdown=FOREVER)
    twig = ak.Child("twig", ak.supervise(lasting), restart="temporary")
    top = await system.start(ak.supervise(twig))
    door = top.supervisor(twig)
    door.ref.tell(TerminateChild("lasting"))
    await settle()
    assert stage.news() == ["start lasting", "stop lasting"]
    await kill(door.ref)
    await settle()
    assert [branch.path for branch in system.tree()] == [top.path]
    assert len(system.runtime.cells) == 1


# Who may end a child -------------------------------------------------------------------------------


async def test_an_exit_signal_is_not_a_death(system: ak.System) -> None:
    """A child that sends its supervisor an exit signal has not died, so it is not started a second time."""
    rebel = ak.Child("rebel", ak.props(Rebel))
    supervisor = await system.start(ak.supervise(rebel))
    ref = supervisor.child(rebel)
    before = incarnation(ref)
    ref.tell(Hurt())
    await settle()
    assert incarnation(ref) == before
    assert len(system.runtime.cells) == 2


async def test_a_death_is_mourned_once(system: ak.System) -> None:
    """The exit signal of an incarnation that a strategy has replaced already says nothing of its successor."""
    stage = Stage()
    a, b = stage.child("a"), stage.child("b")
    supervisor = await system.start(ak.supervise(a, b, strategy="one_for_all", max_restarts=1))
    terminated = record(system, ak.ChildTerminated)
    overruns = record(system, ak.ChildDidNotStop)
    await kill(supervisor.child(b), supervisor.child(a))
    assert [t.child.id for t in terminated] == ["b"]
    assert [(e.child.id, e.reason) for e in overruns] == [("a", ak.Killed())]
    assert stage.news() == ["start a", "start b", "start a", "start b"]


async def test_a_child_that_ends_as_soon_as_it_is_ready(system: ak.System) -> None:
    """A death before the supervisor has heard that the child is ready is noticed all the same."""
    stage = Stage()
    worker = stage.child("w")
    supervisor = await system.start(ak.supervise(worker, max_restarts=10))
    ref = supervisor.child(worker)
    for _ in range(5):
        ref.tell(End())  # each incarnation finds one more of them in its mail
    assert await ref.ask(Think()) == 6


async def test_asking_ones_own_supervisor(system: ak.System) -> None:
    """A child may ask its supervisor, but not while the supervisor waits for it: that is a circle, found at once."""
    doors: list[ak.SupervisorRef] = []
    rebel = ak.Child("rebel", ak.props(Rebel, doors))
    hasty = ak.Child("hasty", ak.props(Rebel, doors, at_once=True))
    supervisor = await system.start(ak.supervise(rebel))
    doors.append(supervisor)
    assert await supervisor.child(rebel).ask(Complain()) == 1
    with pytest.raises(ak.StartFailed, match="would wait for each other for ever"):
        await supervisor.start_child(hasty)


async def test_questions_do_not_harm_a_supervisor(system: ak.System) -> None:
    """A supervisor that is asked for what it cannot do refuses, and lives."""
    supervisor = await system.start(ak.supervise(Stage().child("w")))
    before = incarnation(supervisor.ref)
    for question in (supervisor.delete_child, supervisor.restart_child, supervisor.terminate_child):
        with pytest.raises(ak.ChildNotFound) as refusal:
            await question("nobody")
        assert isinstance(refusal.value, ak.Refused)
    assert incarnation(supervisor.ref) == before


# Back-off ------------------------------------------------------------------------------------------


async def test_backoff_grows_and_is_bounded(system: ak.System) -> None:
    """The waits between failing attempts double from ``initial`` up to ``maximum``."""
    stage = Stage()
    bad = stage.child("bad", starts=at_first("ok", then="fail"))
    supervisor = await system.start(
        ak.supervise(bad, max_restarts=5, within=99.0, backoff=DOUBLING)
    )
    attempts: list[float] = []
    system.events.subscribe(lambda _: attempts.append(system.now() - began), ak.ChildDidNotStart)
    began = system.now()
    supervisor.child(bad).tell(Crash())
    await supervisor.ref.wait_stopped()
    assert attempts == [1.0, 3.0, 7.0, 12.0, 17.0]


async def test_backoff_starts_anew_after_a_long_life(system: ak.System) -> None:
    """Deaths in quick succession wait longer and longer; a life longer than ``within`` ends the streak."""
    worker = Stage().child("w")
    supervisor = await system.start(
        ak.supervise(worker, max_restarts=99, within=10.0, backoff=DOUBLING)
    )
    ref = supervisor.child(worker)
    waits: list[float] = []
    for life in (0.0, 2.0, 10.0, 10.5, 0.0):
        await trio.sleep(life)
        died = system.now()
        ref.kill()
        await ref.ask(Think(), timeout=None)
        waits.append(system.now() - died)
    assert waits == [1.0, 2.0, 4.0, 1.0, 2.0]


async def test_backoff_with_jitter(system: ak.System) -> None:
    """Jitter shortens a wait by its share at most."""
    worker = Stage().child("w")
    backoff = ak.Backoff(initial=4.0, factor=1.0, maximum=4.0, jitter=0.5)
    supervisor = await system.start(ak.supervise(worker, max_restarts=99, backoff=backoff))
    ref = supervisor.child(worker)
    waits: set[float] = set()
    for _ in range(20):
        died = system.now()
        ref.kill()
        await ref.ask(Think(), timeout=None)
        waits.add(system.now() - died)
    assert len(waits) > 1
    assert all(2.0 <= wait <= 4.0 for wait in waits)


async def test_backoff_of_a_group(system: ak.System) -> None:
    """A strategy stops the others at once, and starts all of them when the wait is over."""
    stage = Stage()
    a, b = stage.child("a"), stage.child("b")
    supervisor = await system.start(ak.supervise(a, b, strategy="one_for_all", backoff=DOUBLING))
    stage.news()
    await kill(supervisor.child(b))
    assert stage.news() == ["stop a", "gone a"]
    assert await statuses(supervisor) == {"a": "stopped", "b": "restarting"}
    await trio.sleep(1.5)
    assert stage.news() == ["start a", "start b"]


async def test_a_retry_of_the_past_is_void(system: ak.System) -> None:
    """A wait that was called off by hand does not shorten a later one of the same child."""
    worker = Stage().child("w")
    supervisor = await system.start(
        ak.supervise(worker, max_restarts=99, within=99.0, backoff=ak.Backoff(4.0, 2.0, 8.0))
    )
    ref = supervisor.child(worker)
    await kill(ref)  # to be restarted at 4
    await trio.sleep(3.0)
    await supervisor.terminate_child(worker)
    await supervisor.restart_child(worker)
    died = system.now()
    await kill(ref)  # to be restarted 8 seconds from now
    await trio.sleep(2.0)
    assert await statuses(supervisor) == {"w": "restarting"}
    assert await ref.ask(Think(), timeout=None) == 3
    assert system.now() - died == 8.0
