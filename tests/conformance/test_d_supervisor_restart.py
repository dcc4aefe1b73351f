"""Section D, second part: who is restarted when a child ends, and how often."""

from __future__ import annotations

import pytest

import actorkit as ak
from actorkit.supervision.spec import Strategy
from tests.harness import settle
from tests.supervision.support import (
    Crash,
    End,
    Note,
    Stage,
    at_first,
    crash,
    end,
    incarnation,
    kill,
    record,
    statuses,
)

ORDERLY = [ak.Normal(), ak.Shutdown(), ak.Shutdown("detail")]
STRATEGIES: list[Strategy] = ["one_for_one", "one_for_all", "rest_for_one"]


@pytest.mark.parametrize("reason", ORDERLY, ids=str)
async def test_d51_permanent_normal_and_shutdown(system: ak.System, reason: ak.ExitReason) -> None:
    """A permanent child is restarted even if it ends in good order."""
    worker = Stage().child("w")
    supervisor = await system.start(ak.supervise(worker))
    ref = supervisor.child(worker)
    before = incarnation(ref)
    await end(ref, reason)
    assert incarnation(ref) > before
    assert await statuses(supervisor) == {"w": "running"}


async def test_d51_permanent_abnormal(system: ak.System) -> None:
    """A permanent child is restarted after a crash, an abnormal end in words, and a kill."""
    worker = Stage().child("w")
    supervisor = await system.start(ak.supervise(worker))
    ref = supervisor.child(worker)
    seen = [incarnation(ref)]
    await crash(ref)
    seen.append(incarnation(ref))
    await end(ref, ak.Failed("in words"))
    seen.append(incarnation(ref))
    await kill(ref)
    seen.append(incarnation(ref))
    assert len(set(seen)) == 4


@pytest.mark.parametrize("reason", ORDERLY, ids=str)
async def test_d52_transient_normal_and_shutdown(system: ak.System, reason: ak.ExitReason) -> None:
    """A transient child that ends in good order stays down; its specification is kept, and its mail turned away."""
    worker = Stage().child("w", restart="transient")
    supervisor = await system.start(ak.supervise(worker))
    ref = supervisor.child(worker)
    await end(ref, reason)
    assert not ref.alive
    assert await statuses(supervisor) == {"w": "stopped"}
    ref.tell(Note(1))
    assert system.dead_letters.counts == {ak.DeadReason.NO_ACTOR: 1}
    assert (await supervisor.restart_child(worker)) is ref
    assert ref.alive


async def test_d52_transient_abnormal(system: ak.System) -> None:
    """A transient child is restarted after an abnormal end."""
    worker = Stage().child("w", restart="transient")
    supervisor = await system.start(ak.supervise(worker))
    ref = supervisor.child(worker)
    before = incarnation(ref)
    await crash(ref)
    assert incarnation(ref) != before
    await kill(ref)
    assert await statuses(supervisor) == {"w": "running"}


@pytest.mark.parametrize("how", [*ORDERLY, ak.Failed("abnormal")], ids=str)
async def test_d53_temporary(system: ak.System, how: ak.ExitReason) -> None:
    """A temporary child is never restarted, its specification is gone, and its id is free again."""
    worker = Stage().child("w", restart="temporary")
    supervisor = await system.start(ak.supervise(worker))
    ref = supervisor.child(worker)
    await end(ref, how)
    assert not ref.alive
    assert await supervisor.which_children() == ()
    with pytest.raises(ak.ChildNotFound):
        supervisor.child(worker)
    again = await supervisor.start_child(worker)
    assert again.alive
    assert again is not ref


async def test_d54_one_for_one(system: ak.System) -> None:
    """In one_for_one only the child that ended is restarted."""
    stage = Stage()
    one, two = stage.child("1"), stage.child("2")
    supervisor = await system.start(ak.supervise(one, two))
    before = incarnation(supervisor.child(one)), incarnation(supervisor.child(two))
    await crash(supervisor.child(one))
    assert incarnation(supervisor.child(one)) != before[0]
    assert incarnation(supervisor.child(two)) == before[1]


async def test_d55_one_for_one_escalation(system: ak.System) -> None:
    """A child that always fails to restart is tried ``max_restarts`` times, then the supervisor stops all and ends.

    The reason of that end is ``Shutdown``, as in OTP; here it says why in its detail.
    """
    stage = Stage()
    bad = stage.child("bad", starts=at_first("ok", then="fail"))
    sibling = stage.child("sibling")
    gave_up = record(system, ak.GaveUp)
    errors = record(system, ak.ChildDidNotStart)
    supervisor = await system.start(ak.supervise(bad, sibling, max_restarts=4))
    stage.news()
    supervisor.child(bad).tell(Crash())
    reason = await supervisor.ref.wait_stopped()

    assert reason == ak.Shutdown("more than 4 restarts within 5 s")
    assert stage.news() == [
        "stop bad", "gone bad",
        "start bad", "start bad", "start bad", "start bad",
        "stop sibling", "gone sibling",
    ]  # fmt: skip
    assert len(errors) == 4
    assert [(g.child.id, g.restarts, g.within) for g in gave_up] == [("bad", 4, 5.0)]


async def test_d55_intensity_zero(system: ak.System) -> None:
    """With no restarts allowed the first death that asks for one ends the supervisor; others do not."""
    stage = Stage()
    temporary = stage.child("t", restart="temporary")
    transient = stage.child("u", restart="transient")
    permanent = stage.child("p")
    supervisor = await system.start(ak.supervise(temporary, transient, permanent, max_restarts=0))
    await crash(supervisor.child(temporary))
    await end(supervisor.child(transient), ak.Normal())
    assert supervisor.ref.alive
    await crash(supervisor.child(permanent))
    assert not supervisor.ref.alive


async def test_d56_one_for_all(system: ak.System) -> None:
    """In one_for_all the others are stopped with ``Shutdown`` in reverse order, then all start in order."""
    stage = Stage()
    children = [stage.child(name) for name in ("1", "2", "3")]
    stopped = record(system, ak.Stopped)
    supervisor = await system.start(ak.supervise(*children, strategy="one_for_all"), name="top")
    before = [incarnation(supervisor.child(c)) for c in children]
    stage.news()
    await crash(supervisor.child(children[1]))

    assert stage.news()[2:] == [
        "stop 3", "gone 3", "stop 1", "gone 1", "start 1", "start 2", "start 3",
    ]  # fmt: skip
    assert all(
        incarnation(supervisor.child(c)) > old for c, old in zip(children, before, strict=True)
    )
    assert [(s.path, s.reason) for s in stopped[1:]] == [
        ("/top/3", ak.Shutdown()), ("/top/1", ak.Shutdown()),
    ]  # fmt: skip


async def test_d56_a_group_restart_counts_once(system: ak.System) -> None:
    """Three children of a one_for_all that end at the same moment cost one restart: the deaths are absorbed (OTP 5.12)."""
    stage = Stage()
    children = [stage.child(name) for name in ("1", "2", "3")]
    flags = {"max_restarts": 1, "within": 10.0}
    together = await system.start(ak.supervise(*children, strategy="one_for_all", **flags))  # type: ignore[arg-type]
    await kill(*(together.child(c) for c in children))
    assert await statuses(together) == {"1": "running", "2": "running", "3": "running"}
    await kill(together.child(children[0]))
    assert not together.ref.alive

    apart = await system.start(ak.supervise(*children, max_restarts=2, within=10.0))
    await kill(*(apart.child(c) for c in children))
    assert not apart.ref.alive  # in one_for_one they cost three


async def test_d57_rest_for_one(system: ak.System) -> None:
    """In rest_for_one those started after the child that ended are stopped and restarted with it."""
    stage = Stage()
    one, two, three = (stage.child(name) for name in ("1", "2", "3"))
    supervisor = await system.start(ak.supervise(one, two, three, strategy="rest_for_one"))
    before = incarnation(supervisor.child(one))
    stage.news()
    await crash(supervisor.child(two))
    assert stage.news()[2:] == ["stop 3", "gone 3", "start 2", "start 3"]
    assert incarnation(supervisor.child(one)) == before


async def test_d57_those_that_were_stopped_start_again(system: ak.System) -> None:
    """A strategy also starts siblings that had been stopped, if the strategy covers them; temporary ones are dropped."""
    stage = Stage()
    a, b = stage.child("a"), stage.child("b", restart="transient")
    c, d = stage.child("c"), stage.child("d", restart="temporary")
    supervisor = await system.start(ak.supervise(a, b, c, d, strategy="rest_for_one"))
    await supervisor.terminate_child(a)
    await end(supervisor.child(b), ak.Normal())
    await crash(supervisor.child(c))
    assert await statuses(supervisor) == {"a": "stopped", "b": "stopped", "c": "running"}
    await supervisor.restart_child(b)
    await supervisor.terminate_child(c)
    await crash(supervisor.child(b))
    assert await statuses(supervisor) == {"a": "stopped", "b": "running", "c": "running"}


async def test_d57_only_deaths_that_ask_for_a_restart_touch_siblings(system: ak.System) -> None:
    """The crash of a temporary child and the orderly end of a transient one leave their siblings alone (OTP 5.7)."""
    stage = Stage()
    a = stage.child("a", restart="temporary")
    b, c = stage.child("b", restart="transient"), stage.child("c")
    supervisor = await system.start(ak.supervise(a, b, c, strategy="one_for_all", max_restarts=0))
    before = incarnation(supervisor.child(c))
    await crash(supervisor.child(a))
    await end(supervisor.child(b), ak.Shutdown())
    assert incarnation(supervisor.child(c)) == before


async def test_d58_hanging_restart_loop_rest_for_one(system: ak.System) -> None:
    """While a child's restart fails again and again, those after it wait, stopped, and the supervisor answers."""
    stage = Stage()
    one, three = stage.child("1"), stage.child("3")
    two = stage.child("2", starts=at_first("ok", then="fail"))
    backoff = ak.Backoff(initial=1.0)
    supervisor = await system.start(
        ak.supervise(one, two, three, strategy="rest_for_one", max_restarts=1000, backoff=backoff)
    )
    await crash(supervisor.child(two))
    looping = {"1": "running", "2": "restarting", "3": "stopped"}
    assert await statuses(supervisor) == looping
    assert await supervisor.count_children() == ak.ChildCounts(3, 1, 0, 3)
    for call in (supervisor.restart_child, supervisor.delete_child):
        with pytest.raises(ak.ChildRestarting):
            await call("2")
    with pytest.raises(ak.ChildPresent):
        await supervisor.start_child(two)

    await supervisor.terminate_child(two)
    stage.roles["2"].starts = iter(())
    await supervisor.restart_child(two)
    assert await statuses(supervisor) == {"1": "running", "2": "running", "3": "stopped"}
    assert not supervisor.child(three).alive


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_d58_hanging_restart_loop(system: ak.System, strategy: Strategy) -> None:
    """A retry waits behind the supervisor's other mail, so that a loop of failing restarts can be ended.

    Here without any back-off: between two attempts the supervisor takes what waits, as in OTP.
    """
    stage = Stage()
    bad = stage.child("bad", starts=at_first("ok", then="fail"))
    supervisor = await system.start(
        ak.supervise(stage.child("a"), bad, strategy=strategy, max_restarts=10**6)
    )
    supervisor.child(bad).tell(Crash())
    while stage.roles["bad"].incarnations < 20:
        assert (await supervisor.which_children())[1].id == "bad"
    await supervisor.terminate_child(bad)
    tried = stage.roles["bad"].incarnations
    await settle()
    assert stage.roles["bad"].incarnations == tried
    assert (await statuses(supervisor))["bad"] == "stopped"


async def test_d58_a_round_that_fails(system: ak.System) -> None:
    """In one_for_all a failure in the middle of a round stops those restarted already and redoes the round (OTP 5.10)."""
    stage = Stage()
    a, d = stage.child("a"), stage.child("d")
    b = stage.child("b", starts=at_first("ok", "fail", then="ok"))
    supervisor = await system.start(ak.supervise(a, b, d, strategy="one_for_all"))
    stage.news()
    await crash(supervisor.child(d))
    starts = [line for line in stage.news() if line.startswith("start")]
    assert starts == ["start a", "start b", "start a", "start b", "start d"]


async def test_d58_a_rest_that_fails(system: ak.System) -> None:
    """In rest_for_one a failure in the middle of a round leaves those before it, and goes on from the failing child."""
    stage = Stage()
    a, d = stage.child("a"), stage.child("d")
    b = stage.child("b", starts=at_first("ok", "fail", then="ok"))
    supervisor = await system.start(ak.supervise(a, b, d, strategy="rest_for_one"))
    stage.news()
    await crash(supervisor.child(a))
    starts = [line for line in stage.news() if line.startswith("start")]
    assert starts == ["start a", "start b", "start b", "start d"]


async def test_d58_shutdown_ends_a_restart_loop(system: ak.System) -> None:
    """A supervisor in a loop of failing restarts can be stopped, and stops its other children."""
    stage = Stage()
    bad = stage.child("bad", starts=at_first("ok", then="fail"))
    supervisor = await system.start(
        ak.supervise(stage.child("a"), bad, max_restarts=10**6, backoff=ak.Backoff(initial=10.0))
    )
    supervisor.child(bad).tell(End(ak.Failed("so that it is restarted")))
    await settle()
    stage.news()
    began = system.now()
    await supervisor.stop()
    assert stage.news() == ["stop a", "gone a"]
    assert system.now() == began
