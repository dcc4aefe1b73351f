"""Supervisors of supervisors: what reaches the level above, and what does not."""

from __future__ import annotations

import pytest
import trio

import actorkit as ak
from tests.harness import lost
from tests.supervision.support import (
    Note,
    Notes,
    Stage,
    at_first,
    crash,
    incarnation,
    kill,
    record,
    statuses,
)


async def test_a_transient_supervisor_that_gives_up_stays_down(system: ak.System) -> None:
    """Giving up ends with ``Shutdown``, so a transient supervisor is not restarted and nothing is escalated (OTP 5.9)."""
    stage = Stage()
    leaf, other = stage.child("leaf"), stage.child("other")
    twig = ak.Child("twig", ak.supervise(leaf, max_restarts=0), restart="transient")
    top = await system.start(ak.supervise(twig, other, strategy="one_for_all", max_restarts=0))
    before = incarnation(top.child(other))
    gave_up, terminated = record(system, ak.GaveUp), record(system, ak.ChildTerminated)
    await kill(top.supervisor(twig).child(leaf))
    assert await statuses(top) == {"twig": "stopped", "other": "running"}
    assert incarnation(top.child(other)) == before
    assert [g.supervisor for g in gave_up] == [f"{top.path}/twig"]
    assert [t.child.id for t in terminated] == ["leaf"]


async def test_a_permanent_supervisor_that_gives_up_counts_once(system: ak.System) -> None:
    """However many restarts a supervisor has used up, its own end is one death for the level above (OTP 5.9)."""
    stage = Stage()
    leaf = stage.child("leaf")
    twig = ak.Child("twig", ak.supervise(leaf, max_restarts=2))
    top = await system.start(ak.supervise(twig, max_restarts=2))
    ref = top.supervisor(twig).child(leaf)
    kills = 0
    while top.ref.alive:
        await kill(ref)
        kills += 1
    assert kills == 9  # the leaf has three lives in each of the twig's three
    assert stage.roles["leaf"].incarnations == 9


async def test_giving_up_climbs_as_far_as_it_must(system: ak.System) -> None:
    """A child that never starts again uses up one level after the other, and what is not touched runs on."""
    stage = Stage()
    bad = stage.child("bad", starts=at_first("ok", then="fail"))
    twig = ak.Child("twig", ak.supervise(bad, max_restarts=1))
    branch = ak.Child("branch", ak.supervise(twig, max_restarts=1), restart="transient")
    top = await system.start(ak.supervise(stage.child("a"), branch))
    gave_up = record(system, ak.GaveUp)
    stage.news()
    await crash(top.supervisor(branch).supervisor(twig).child(bad))
    assert [g.supervisor.rsplit("/", 1)[1] for g in gave_up] == ["twig", "branch"]
    assert await statuses(top) == {"a": "running", "branch": "stopped"}
    # Tried once by the twig, and once more as the branch restarts the twig.
    assert stage.news() == ["stop bad", "gone bad", "start bad", "start bad"]


async def test_a_restarted_supervisor_forgets_what_was_added(system: ak.System) -> None:
    """Children added by hand are lost with the supervisor that is restarted; their mail is turned away (OTP 5.9)."""
    stage = Stage()
    leaf, added = stage.child("leaf"), stage.child("added", trap=True, ending=1.0)
    twig = ak.Child("twig", ak.supervise(leaf))
    top = await system.start(ak.supervise(twig))
    door = top.supervisor(twig)
    ref = await door.start_child(added)
    await kill(door.ref)
    assert await statuses(door) == {"leaf": "running"}
    with pytest.raises(ak.ChildNotFound):
        door.child(added)
    ref.tell(Note(1))  # it is about to end, and has no successor
    await trio.sleep(2.0)
    ref.tell(Note(2))
    assert lost(system) == [Note(1), Note(2)]
    assert ref is not await door.start_child(added)


async def test_a_restarted_supervisor_begins_with_a_clean_window(system: ak.System) -> None:
    """The restarts a supervisor has used up die with it."""
    stage = Stage()
    leaf = stage.child("leaf")
    twig = ak.Child("twig", ak.supervise(leaf, max_restarts=2, within=1000.0))
    top = await system.start(ak.supervise(twig))
    door = top.supervisor(twig)
    for _ in range(2):
        await kill(door.child(leaf))
    await kill(door.ref)
    before = incarnation(door.ref)
    for _ in range(2):
        await kill(door.child(leaf))
    assert incarnation(door.ref) == before


async def test_strategies_treat_a_tree_as_one_child(system: ak.System) -> None:
    """A supervisor that a strategy stops takes its tree down in order, and brings it up again in order."""
    stage = Stage()
    twig = ak.Child("twig", ak.supervise(stage.child("x"), stage.child("y")))
    a, z = stage.child("a"), stage.child("z")
    top = await system.start(ak.supervise(a, twig, z, strategy="one_for_all", max_restarts=1))
    stage.news()
    await kill(top.child(a))
    order = ["z", "y", "x"]
    down = [f"{what} {name}" for name in order for what in ("stop", "gone")]
    assert stage.news() == [*down, "start a", "start x", "start y", "start z"]


async def test_every_level_shows_in_the_tree(system: ak.System) -> None:
    """Paths tell where an actor stands, and ``ancestors`` of a crash report who is above it."""
    stage = Stage()
    leaf = stage.child("leaf")
    twig = ak.Child("twig", ak.supervise(leaf))
    branch = ak.Child("branch", ak.supervise(twig))
    top = await system.start(ak.supervise(branch), name="top")
    reports = record(system, ak.CrashReport)
    ref = top.supervisor(branch).supervisor(twig).child(leaf)
    await crash(ref)
    [report] = reports
    assert report.path == "/top/branch/twig/leaf"
    assert report.ancestors == ("/top/branch/twig", "/top/branch", "/top")
    lines = [line.split()[0] for line in str(system.tree()[0]).splitlines()]
    assert lines == ["top", "branch", "twig", "leaf"]


async def test_a_deep_chain_is_stopped_and_restarted(system: ak.System) -> None:
    """Twenty supervisors deep, mail still finds its way over a restart of the whole chain."""
    stage = Stage()
    leaf = stage.child("leaf")
    specs = [ak.Child("level-0", ak.supervise(leaf))]
    for depth in range(1, 20):
        specs.append(ak.Child(f"level-{depth}", ak.supervise(specs[-1])))
    top = door = await system.start(ak.supervise(specs[-1]))
    for spec in reversed(specs):
        door = door.supervisor(spec)
    ref = door.child(leaf)
    await kill(top.child(specs[-1]))
    ref.tell(Note(1))
    assert await ref.ask(Notes()) == (1,)
    assert stage.roles["leaf"].incarnations == 2
