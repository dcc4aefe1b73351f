"""Section D, last part: how supervisors end, and their children with them."""

from __future__ import annotations

from typing import Any

import pytest

import actorkit as ak
from actorkit.supervision.spec import AutoShutdown
from tests.harness import settle
from tests.supervision.support import (
    FOREVER,
    Nap,
    Note,
    Stage,
    crash,
    end,
    incarnation,
    kill,
    record,
)


async def test_d60_sup_stop_timeout(system: ak.System) -> None:
    """A child that overruns its shutdown limit is killed when it is over; siblings and supervisor end with ``Shutdown``."""
    stage = Stage()
    stopped, errors = record(system, ak.Stopped), record(system, ak.ChildDidNotStop)
    slow = stage.child("slow", ending=FOREVER, shutdown=1.0)
    supervisor = await system.start(
        ak.supervise(stage.child("a"), slow, stage.child("b")), name="top"
    )
    began = system.now()
    await supervisor.stop()
    assert system.now() - began == 1.0
    assert [(s.path, s.reason) for s in stopped] == [
        ("/top/b", ak.Shutdown()), ("/top/slow", ak.Killed()),
        ("/top/a", ak.Shutdown()), ("/top", ak.Shutdown()),
    ]  # fmt: skip
    assert [(e.child.id, e.reason) for e in errors] == [("slow", ak.Killed())]


async def test_d60_stopping_runs_without_trapping(system: ak.System) -> None:
    """A child is stopped in good order whether or not it traps exits, and whatever it is waiting for.

    In OTP only a process that traps exits runs ``terminate`` on its supervisor's shutdown, a constant surprise to users;
    here an orderly shutdown always runs ``stopping``.
    """
    stage = Stage()
    children = [
        stage.child("resting"), stage.child("parked"), stage.child("pinned"), stage.child("t", trap=True),
    ]  # fmt: skip
    supervisor = await system.start(ak.supervise(*children))
    supervisor.child(children[1]).tell(Nap(1000))
    supervisor.child(children[2]).tell(Nap(1000, on_trio=True))
    await settle()
    stage.news()
    began = system.now()
    await supervisor.stop()
    order = ["t", "pinned", "parked", "resting"]
    assert stage.news() == [f"{what} {name}" for name in order for what in ("stop", "gone")]
    assert system.now() == began


async def test_d60_brutal_kill(system: ak.System) -> None:
    """A child with ``shutdown="kill"`` is killed without being asked, which is no error."""
    stage = Stage()
    errors = record(system, ak.ChildDidNotStop)
    child = stage.child("w", shutdown="kill", trap=True, ending=FOREVER)
    supervisor = await system.start(ak.supervise(child))
    await supervisor.stop()
    assert stage.news() == ["start w"]
    assert errors == []


async def test_d60_a_stop_that_fails_is_reported(system: ak.System) -> None:
    """A child whose ``stopping`` hook raises is reported, and the others are stopped all the same (OTP 5.12)."""
    stage = Stage()
    errors = record(system, ak.ChildDidNotStop)
    supervisor = await system.start(
        ak.supervise(stage.child("a"), stage.child("bad", fails_to_end=True))
    )
    await supervisor.stop()
    assert stage.news()[2:] == ["stop bad", "stop a", "gone a"]
    assert [(e.child.id, type(e.reason)) for e in errors] == [("bad", ak.Crashed)]


async def test_d60_a_sub_supervisor_has_all_the_time_it_needs(system: ak.System) -> None:
    """The limit of a child that is a supervisor is for ever by default, so that its own tree is never cut off."""
    stage = Stage()
    inner = ak.Child("inner", ak.supervise(stage.child("slow", ending=100.0, shutdown=FOREVER)))
    supervisor = await system.start(ak.supervise(inner))
    await supervisor.stop()
    assert stage.news()[-1] == "gone slow"
    assert system.now() >= 100.0


async def _significant(
    system: ak.System, auto_shutdown: AutoShutdown, *names: str
) -> tuple[Stage, ak.SupervisorRef, list[ak.Ref[Any]]]:
    stage = Stage()
    children = [stage.child(name, restart="transient", significant=True) for name in names]
    bystander = stage.child("d", restart="transient")
    flags = {"auto_shutdown": auto_shutdown, "max_restarts": 100}
    supervisor = await system.start(ak.supervise(*children, bystander, **flags))  # type: ignore[arg-type]
    stage.news()
    return stage, supervisor, [supervisor.child(c) for c in (*children, bystander)]


async def test_d64_nonsignificant(system: ak.System) -> None:
    """The end of a child that is not significant never ends the supervisor."""
    _, supervisor, (_, bystander) = await _significant(system, "any_significant", "a")
    await end(bystander, ak.Normal())
    assert supervisor.ref.alive


async def test_d64_significant_transient_abnormal(system: ak.System) -> None:
    """A significant child that is restarted, or terminated by hand, does not end its supervisor."""
    _, supervisor, (a, _) = await _significant(system, "any_significant", "a")
    await kill(a)
    assert a.alive
    await crash(a)
    assert a.alive
    await supervisor.terminate_child("a")
    assert supervisor.ref.alive


@pytest.mark.parametrize("reason", [ak.Normal(), ak.Shutdown("detail")], ids=str)
async def test_d64_significant_transient(system: ak.System, reason: ak.ExitReason) -> None:
    """A significant child that ends by itself in good order ends the supervisor, with ``Shutdown``."""
    stage, supervisor, (a, _) = await _significant(system, "any_significant", "a")
    stopped = record(system, ak.Stopped)
    await end(a, reason)
    assert stage.news() == ["stop a", "gone a", "stop d", "gone d"]
    assert not supervisor.ref.alive
    assert stopped[-1].reason == ak.Shutdown("significant child 'a' ended")


async def test_d64_significant_temporary(system: ak.System) -> None:
    """A significant temporary child ends the supervisor however it ends: it is never restarted."""
    worker = Stage().child("w", restart="temporary", significant=True)
    supervisor = await system.start(ak.supervise(worker, auto_shutdown="any_significant"))
    await crash(supervisor.child(worker))
    assert not supervisor.ref.alive


async def test_d64_all_significant(system: ak.System) -> None:
    """With ``all_significant`` the last significant child to end does; one that was terminated counts as gone."""
    _, supervisor, (a, _, c, _) = await _significant(system, "all_significant", "a", "b", "c")
    await end(a, ak.Normal())
    await supervisor.terminate_child("b")
    assert supervisor.ref.alive
    await end(c, ak.Normal())
    assert not supervisor.ref.alive


async def test_d64_all_significant_terminated_last(system: ak.System) -> None:
    """Terminating the last significant child by hand does not end the supervisor."""
    _, supervisor, (a, _, _) = await _significant(system, "all_significant", "a", "b")
    await end(a, ak.Normal())
    await supervisor.terminate_child("b")
    assert supervisor.ref.alive


async def test_d64_bystanders_of_a_strategy(system: ak.System) -> None:
    """A significant child that a strategy stops and forgets does not end the supervisor."""
    stage = Stage()
    worker = stage.child("w")
    temporary = stage.child("t", restart="temporary", significant=True)
    supervisor = await system.start(
        ak.supervise(worker, temporary, strategy="one_for_all", auto_shutdown="any_significant")
    )
    await crash(supervisor.child(worker))
    assert supervisor.ref.alive
    assert [c.id for c in await supervisor.which_children()] == ["w"]


async def test_d64_auto_shutdown_escalates(system: ak.System) -> None:
    """A significant sub-supervisor that shuts itself down takes the supervisor above with it."""
    stage = Stage()
    worker = stage.child("w", restart="transient", significant=True)
    inner = ak.Child(
        "inner",
        ak.supervise(worker, auto_shutdown="all_significant"),
        restart="transient",
        significant=True,
    )
    supervisor = await system.start(
        ak.supervise(stage.child("a"), inner, auto_shutdown="all_significant")
    )
    await end(supervisor.supervisor(inner).child(worker), ak.Normal())
    assert not supervisor.ref.alive
    assert system.tree() == ()


async def test_d65_simple_global_supervisor(system: ak.System) -> None:
    """The children of a killed supervisor die with it, names are freed, and the supervisor above restarts the tree."""
    stage = Stage()
    plain = stage.child("plain", name="plain")
    trapping = stage.child("trapping", trap=True, name="trapping")
    inner = ak.Child("inner", ak.supervise(plain, trapping))
    supervisor = await system.start(ak.supervise(inner), name="top")
    refs = [supervisor.supervisor(inner).child(c) for c in (plain, trapping)]
    before = [incarnation(ref) for ref in refs]
    stopped = record(system, ak.Stopped)
    stage.news()
    await kill(supervisor.child(inner))

    assert stage.news() == ["stop trapping", "gone trapping", "start plain", "start trapping"]
    assert {(s.path, s.reason) for s in stopped} == {
        ("/top/inner", ak.Killed()),
        ("/top/inner/plain", ak.Killed()),
        ("/top/inner/trapping", ak.Killed()),
    }
    assert all(incarnation(ref) > old for ref, old in zip(refs, before, strict=True))
    assert {name: ref.path for name, ref in system.names().items()} == {
        "top": "/top", "plain": "/top/inner/plain", "trapping": "/top/inner/trapping",
    }  # fmt: skip


async def test_d65_orphans_are_waited_for(system: ak.System) -> None:
    """A restarted supervisor waits for those a killed one left behind: no child ever has two incarnations at once.

    In OTP a registered child that is slow to end makes its successor's start fail; here its place is taken when it is
    gone, and it is killed if it takes longer than its limit.
    """
    stage = Stage()
    slow = stage.child("slow", trap=True, ending=2.0, name="slow")
    stuck = stage.child("stuck", trap=True, ending=FOREVER, shutdown=3.0)
    pinned = stage.child("pinned")
    inner = ak.Child("inner", ak.supervise(slow, stuck, pinned))
    supervisor = await system.start(ak.supervise(inner))
    door = supervisor.supervisor(inner)
    door.child(pinned).tell(Nap(1000, on_trio=True))
    door.child(slow).tell(Note(1))
    await settle()
    stage.news()
    began = system.now()
    await kill(supervisor.child(inner))
    assert stage.news() == ["stop slow", "stop stuck"]
    assert await door.count_children() == ak.ChildCounts(3, 3, 0, 3)
    assert system.now() - began == 5.0
    assert stage.news() == ["gone slow", "start slow", "start stuck", "start pinned"]
    assert len(system.runtime.cells) == 5


async def test_d65_a_killed_top_supervisor_leaves_nothing(system: ak.System) -> None:
    """A supervisor that is killed at the top takes everything below it along, three levels deep."""
    stage = Stage()
    leaf = ak.Child("leaf", ak.supervise(stage.child("w"), stage.child("t", trap=True)))
    pool = ak.Child("pool", ak.supervise_dynamic(stage.child("d")))
    middle = ak.Child("middle", ak.supervise(leaf, pool))
    supervisor = await system.start(ak.supervise(middle, stage.child("x")))
    dynamic = supervisor.supervisor(middle).dynamic(pool)
    await dynamic.start_child()
    assert len(system.runtime.cells) == 8
    await kill(supervisor.ref)
    assert system.tree() == ()
    assert len(system.runtime.cells) == 0
    assert len(system.runtime.relations) == 0
