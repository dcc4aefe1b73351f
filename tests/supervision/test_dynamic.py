"""Dynamic supervisors: many children of one template, each with a lasting reference of its own."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import actorkit as ak
from tests.harness import lost, settle
from tests.supervision.support import (
    FOREVER,
    Crash,
    End,
    Hurt,
    Nap,
    Note,
    Notes,
    Rebel,
    Stage,
    Think,
    at_first,
    crash,
    incarnation,
    kill,
    record,
)

SLOW = ak.Backoff(initial=1.0, factor=1.0, maximum=1.0)


async def test_children_have_paths_of_their_own(system: ak.System) -> None:
    """Children are numbered in the order they were started in, and no number is used twice."""
    pool = await system.start(ak.supervise_dynamic(Stage().child("w")), name="pool")
    one, two = await pool.start_child(), await pool.start_child()
    await pool.terminate_child(two)
    three = await pool.start_child()
    assert [ref.path for ref in (one, three)] == ["/pool/w-1", "/pool/w-3"]
    assert await pool.which_children() == (one, three)


async def test_mail_waits_for_a_restarted_child(system: ak.System) -> None:
    """A dynamic child's mail survives its restarts, as any child's does."""
    pool = await system.start(ak.supervise_dynamic(Stage().child("w"), backoff=SLOW))
    ref = await pool.start_child()
    await kill(ref)
    ref.tell(Note(1))
    assert await pool.which_children() == ()
    assert await ref.ask(Notes()) == (1,)
    assert await pool.which_children() == (ref,)


@pytest.mark.parametrize("restart", ["transient", "temporary"])
async def test_mail_of_children_that_end_is_turned_away(system: ak.System, restart: Any) -> None:
    """A dynamic child that is not restarted is forgotten, and its mail becomes dead letters."""
    pool = await system.start(ak.supervise_dynamic(Stage().child("w", restart=restart)))
    ref = await pool.start_child()
    ref.tell(End())
    ref.tell(Note(1))
    await settle()
    assert await pool.count_children() == ak.ChildCounts(0, 0, 0, 0)
    ref.tell(Note(2))
    assert lost(system) == [Note(1), Note(2)]


async def test_a_restarted_pool_is_empty(system: ak.System) -> None:
    """Children of a pool that is restarted are gone for good, and whoever still writes to them is told."""
    stage = Stage()
    pool = ak.Child("pool", ak.supervise_dynamic(stage.child("w")))
    top = await system.start(ak.supervise(pool))
    door = top.dynamic(pool)
    ref = await door.start_child()
    ref.tell(Nap(10.0))
    ref.tell(Note(1))
    await settle()
    await kill(door.ref)
    assert await door.which_children() == ()
    with pytest.raises(ak.ActorDied):
        await ref.ask(Think())
    assert lost(system, ak.DeadReason.DIED) == [Note(1)]
    fresh = await door.start_child()
    assert fresh is not ref
    assert fresh.path == ref.path


async def test_a_restarted_pool_waits_for_the_children_left_behind(system: ak.System) -> None:
    """A new child never shares its path with one that a killed pool has left behind."""
    stage = Stage()
    template = stage.child("w", trap=True, ending=FOREVER, shutdown=3.0)
    pool = ak.Child("pool", ak.supervise_dynamic(template))
    top = await system.start(ak.supervise(pool))
    door = top.dynamic(pool)
    for _ in range(3):
        await door.start_child()
    began = system.now()
    await kill(door.ref)
    assert len(system.runtime.cells) == 5
    assert (await door.start_child()).path.endswith("/w-1")
    assert system.now() - began == 3.0
    assert len(system.runtime.cells) == 3


async def test_an_exit_signal_is_not_a_death(system: ak.System) -> None:
    """A child that sends its pool an exit signal has not died, so it is not started a second time."""
    pool = await system.start(ak.supervise_dynamic(ak.Child("rebel", ak.props(Rebel))))
    ref = await pool.start_child()
    before = incarnation(ref)
    ref.tell(Hurt())
    await settle()
    assert incarnation(ref) == before
    assert len(system.runtime.cells) == 2


async def test_a_child_that_dies_as_soon_as_it_is_ready(system: ak.System) -> None:
    """A death before the pool has heard that the child is ready is noticed all the same."""
    stage = Stage()
    pool = await system.start(ak.supervise_dynamic(stage.child("w"), max_restarts=9))
    ref = await pool.start_child()
    for _ in range(4):
        ref.tell(End())
    assert await ref.ask(Think()) == 5
    assert await pool.count_children() == ak.ChildCounts(1, 1, 0, 1)


async def test_a_restart_that_fails_is_tried_again(system: ak.System) -> None:
    """Failed attempts wait behind other mail and grow the child's own back-off, not that of its siblings."""
    stage = Stage()
    template = stage.child("w", starts=at_first("ok", "ok", "fail", "fail", then="ok"))
    backoff = ak.Backoff(initial=1.0, factor=2.0, maximum=60.0)
    pool = await system.start(ak.supervise_dynamic(template, max_restarts=9, backoff=backoff))
    one, two = await pool.start_child(), await pool.start_child()
    began = system.now()
    await kill(one)
    assert await one.ask(Think(), timeout=None) == 5
    assert system.now() - began == 7.0
    await kill(two)
    began = system.now()
    await two.ask(Think(), timeout=None)
    assert system.now() - began == 1.0


async def test_the_dead_are_not_overruns(system: ak.System) -> None:
    """A child that died a moment before its pool ends is reported with its own reason, once."""
    stage = Stage()
    errors = record(system, ak.ChildDidNotStop)
    pool = await system.start(ak.supervise_dynamic(stage.child("w"), max_restarts=0))
    refs = [await pool.start_child() for _ in range(4)]
    await kill(*refs)
    assert not pool.ref.alive
    assert [(e.child.id, e.reason) for e in errors] == [
        (f"w-{number}", ak.Killed()) for number in (2, 3, 4)
    ]


async def test_many_deaths_at_once(system: ak.System) -> None:
    """A pool of thousands ends, and mourns those that died a moment before, without going through them one by one."""
    stage = Stage()
    pool = await system.start(ak.supervise_dynamic(stage.child("w"), max_restarts=0))
    refs = [await pool.start_child() for _ in range(3000)]
    await kill(*refs[:2000])
    assert not pool.ref.alive
    assert len(system.runtime.cells) == 0


async def test_a_pool_of_trees(system: ak.System) -> None:
    """The template may be a supervisor: then each child is a tree, and has all the time it needs to end."""
    stage = Stage()
    leaf = stage.child("leaf", ending=60.0, shutdown=FOREVER)
    session = ak.Child("session", ak.supervise(leaf), restart="transient")
    pool = await system.start(ak.supervise_dynamic(session))
    doors = [ak.SupervisorRef(await pool.start_child()) for _ in range(2)]
    assert await pool.count_children() == ak.ChildCounts(2, 2, 2, 0)
    before = [incarnation(door.child(leaf)) for door in doors]
    await crash(doors[0].child(leaf))
    await trio.sleep(61.0)
    assert incarnation(doors[0].child(leaf)) > before[0]
    assert incarnation(doors[1].child(leaf)) == before[1]
    began = system.now()
    await pool.stop()
    assert system.now() - began == 60.0


@ak.message
class Who(ak.Request[str]):
    """Whose tab it is."""


class Tab(ak.Actor[Who | Crash]):
    """Made of some arguments."""

    def __init__(self, currency: str, customer: str, *, limit: int = 0) -> None:
        self.words = f"{customer}: {limit} {currency}"

    @ak.on(Who)
    def who(self, msg: Who) -> str:
        return self.words

    @ak.on(Crash)
    def crash(self, msg: Crash) -> None:
        raise ValueError("told to")


async def test_a_template_leaves_arguments_open(system: ak.System) -> None:
    """Each start adds its own, by place or by name; a restart uses them again; one too few fails that start only."""
    tabs = ak.Template("tab", Tab, "crowns", restart="transient", shutdown=2.0)
    assert repr(tabs) == "Template('tab', Tab)"
    assert (tabs.child.restart, tabs.child.shutdown) == ("transient", 2.0)
    pool = await system.start(ak.supervise_dynamic(tabs))
    ada = await pool.start_child("ada", limit=5)
    joe = await pool.start_child(customer="joe")
    ada.tell(Crash())
    assert [await ref.ask(Who()) for ref in (ada, joe)] == ["ada: 5 crowns", "joe: 0 crowns"]
    assert incarnation(ada) > incarnation(joe)
    with pytest.raises(ak.StartFailed, match="customer"):
        await pool.start_child()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    assert await pool.which_children() == (ada, joe)


async def test_the_door_of_a_pool_in_a_tree(system: ak.System) -> None:
    """``dynamic`` gives the typed door of a child that is a pool, at any depth; a stranger is not found."""
    bar = ak.Child("bar", ak.supervise_dynamic(ak.Template("tab", Tab)))
    house = ak.Child("house", ak.supervise(bar))
    top = await system.start(ak.supervise(house), name="top")
    tab = await top.supervisor(house).dynamic(bar).start_child("crowns", "eve")
    assert (tab.path, await tab.ask(Who())) == ("/top/house/bar/tab-1", "eve: 0 crowns")
    with pytest.raises(ak.ChildNotFound):
        top.dynamic(bar)


def test_a_template_is_checked_as_a_child_is() -> None:
    """What ``Child`` refuses of its id, class and options, ``Template`` refuses."""
    with pytest.raises(ak.SpecError, match="Child id"):
        ak.Template("a/b", Tab)
    with pytest.raises(ak.SpecError, match="Child restart"):
        ak.Template("tab", Tab, restart="x")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(TypeError, match="Actor class"):
        ak.Template("tab", str)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def test_a_start_does_not_hold_up_the_end(system: ak.System) -> None:
    """A pool that is told to end while a child does not get ready breaks that start off."""
    stage = Stage()
    pool = await system.start(
        ak.supervise_dynamic(stage.child("w", starts=at_first("ok", then="hang")))
    )
    ref = await pool.start_child()
    reports = record(system, ak.ChildDidNotStart, ak.GaveUp)
    await kill(ref)
    began = system.now()
    await pool.stop()
    assert system.now() == began
    assert reports == []


async def test_a_failing_start_keeps_nothing(system: ak.System) -> None:
    """A child that does not start is the caller's error; its place is free again, and the pool lives."""
    stage = Stage()
    template = stage.child("w", starts=at_first("fail", "hang", then="ok"), start_timeout=1.0)
    pool = await system.start(ak.supervise_dynamic(template, max_children=1, max_restarts=0))
    with pytest.raises(ak.StartFailed):
        await pool.start_child()
    with pytest.raises(ak.StartTimeout):
        await pool.start_child()
    assert await pool.count_children() == ak.ChildCounts(0, 0, 0, 0)
    assert (await pool.start_child()).alive


async def test_always_failing_restarts_end_the_pool(system: ak.System) -> None:
    """With no back-off a child that never restarts uses up the pool's restarts at once."""
    stage = Stage()
    template = stage.child("w", starts=at_first("ok", "ok", then="fail"))
    gave_up = record(system, ak.GaveUp)
    pool = await system.start(ak.supervise_dynamic(template, max_restarts=3))
    one, two = await pool.start_child(), await pool.start_child()
    await kill(one)
    assert (pool.ref.alive, two.alive) == (False, False)
    assert [g.child.id for g in gave_up] == ["w-1"]
    assert stage.roles["w"].incarnations == 5
