"""Section D, first part: how supervisors start their children, and what they refuse to start."""

from __future__ import annotations

from typing import Any

import pytest

import actorkit as ak
from actorkit.supervision.spec import Restart
from tests.harness import settle
from tests.supervision.support import (
    Note,
    Notes,
    Stage,
    always,
    at_first,
    crash,
    incarnation,
    record,
    statuses,
)


async def test_d46_order_of_children(system: ak.System) -> None:
    """Children start in list order; a supervisor stops them, all or those after a failed one, in the reverse."""
    stage = Stage()
    children = [stage.child(name) for name in ("c7", "c3", "c10", "c2", "c5")]
    supervisor = await system.start(ak.supervise(*children, strategy="rest_for_one"))
    assert stage.news() == ["start c7", "start c3", "start c10", "start c2", "start c5"]

    await crash(supervisor.child(children[2]))
    ended, started = stage.log[2:6], stage.log[6:]
    assert stage.news()[:2] == ["stop c10", "gone c10"]  # its own hook: it ended by an exception
    assert ended == ["stop c5", "gone c5", "stop c2", "gone c2"]
    assert started == ["start c10", "start c2", "start c5"]

    await supervisor.stop()
    order = ["c5", "c2", "c10", "c3", "c7"]
    assert stage.news() == [f"{what} {name}" for name in order for what in ("stop", "gone")]


async def test_d47_sup_start_fail(system: ak.System) -> None:
    """If a child does not start, those before it are stopped in reverse, those after it never start, nothing is retried."""
    stage = Stage()
    children = [
        stage.child("a"),
        stage.child("b"),
        stage.child("d", starts=["fail"]),
        stage.child("f"),
    ]
    errors = record(system, ak.ChildDidNotStart)
    stopped = record(system, ak.Stopped)
    with pytest.raises(ak.StartFailed) as failure:
        await system.start(ak.supervise(*children), name="top")

    assert stage.news() == [
        "start a", "start b", "start d", "stop b", "gone b", "stop a", "gone a",
    ]  # fmt: skip
    assert isinstance(failure.value.reason, ak.Shutdown)
    assert "'d' did not start: crashed" in failure.value.reason.detail
    assert [(e.child.id, type(e.reason)) for e in errors] == [("d", ak.Crashed)]
    assert [(s.path, s.reason) for s in stopped] == [
        ("/top/b", ak.Shutdown()), ("/top/a", ak.Shutdown()),
    ]  # fmt: skip
    assert system.names() == {}
    assert system.tree() == ()


async def test_d47_faulty_application_shutdown(system: ak.System) -> None:
    """A tree whose innermost child fails to start is undone as a whole, inside out."""
    stage = Stage()
    inner = ak.Child("inner", ak.supervise(stage.child("a"), stage.child("bad", starts=["fail"])))
    with pytest.raises(ak.StartFailed) as failure:
        await system.start(ak.supervise(stage.child("before"), inner, stage.child("after")))

    assert stage.news() == [
        "start before", "start a", "start bad", "stop a", "gone a", "stop before", "gone before",
    ]  # fmt: skip
    assert "'inner' did not start: shutdown (child 'bad' did not start" in str(failure.value)
    assert system.tree() == ()


@pytest.mark.parametrize("restart", ["permanent", "transient"])
async def test_d48_sup_start_ignore_child(system: ak.System, restart: Restart) -> None:
    """A child that declines to start is no error: its specification is kept, stopped, and can be started later.

    OTP returns ``{ok, undefined}``; here it is the child's lasting reference, which is not alive.
    """
    stage = Stage()
    first = stage.child("first", starts=["ignore"], restart=restart)
    added = stage.child("added", starts=["ignore", "ignore"], restart=restart)
    supervisor = await system.start(ak.supervise(first))
    ref = await supervisor.start_child(added)
    assert not ref.alive
    assert await statuses(supervisor) == {"first": "stopped", "added": "stopped"}
    assert await supervisor.count_children() == ak.ChildCounts(2, 0, 0, 2)
    with pytest.raises(ak.ActorDied):
        await ref.ask(Notes())

    assert not (await supervisor.restart_child(added)).alive
    assert (await supervisor.restart_child(added)) is ref
    assert await ref.ask(Notes()) == ()
    assert await statuses(supervisor) == {"first": "stopped", "added": "running"}


async def test_d48_ignore_in_a_restart(system: ak.System) -> None:
    """A child that declines its restart is left stopped, the rest of its group starts all the same."""
    stage = Stage()
    a = stage.child("a", starts=at_first("ok", then="ignore"))
    b = stage.child("b")
    supervisor = await system.start(ak.supervise(a, b, strategy="one_for_all"))
    before = incarnation(supervisor.child(b))
    await crash(supervisor.child(a))
    assert await statuses(supervisor) == {"a": "stopped", "b": "running"}
    assert incarnation(supervisor.child(b)) != before
    supervisor.child(a).tell(Note(1))
    assert system.dead_letters.counts == {ak.DeadReason.NO_ACTOR: 1}


async def test_d49_sup_start_ignore_temporary_child(system: ak.System) -> None:
    """Of a temporary child that declines to start nothing is kept, and the supervisor shuts down cleanly."""
    stage = Stage()
    first = stage.child("first", starts=["ignore"], restart="temporary")
    added = stage.child("added", starts=["ignore"], restart="temporary")
    supervisor = await system.start(ak.supervise(first))
    assert not (await supervisor.start_child(added)).alive
    assert await supervisor.which_children() == ()
    with pytest.raises(ak.ChildNotFound):
        supervisor.child(added)
    await supervisor.stop()
    assert stage.news() == ["start first", "start added"]


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_d49_sup_start_ignore_dynamic_child(system: ak.System, restart: Restart) -> None:
    """Of a dynamic child that declines to start nothing is kept.

    OTP returns ``{ok, undefined}``. There is no reference to return here, so the caller gets ``StartIgnored``.
    """
    stage = Stage()
    pool = await system.start(
        ak.supervise_dynamic(stage.child("w", starts=["ignore"], restart=restart), max_children=1)
    )
    with pytest.raises(ak.StartIgnored):
        await pool.start_child()
    assert await pool.which_children() == ()
    assert (await pool.start_child()).alive  # its place was given back
    await pool.stop()


async def test_d49_ignore_in_a_dynamic_restart(system: ak.System) -> None:
    """A dynamic child that declines its restart is forgotten: OTP 8215 kept it and crashed later."""
    stage = Stage()
    template = stage.child("w", starts=at_first("ok", then="ignore"))
    pool = await system.start(ak.supervise_dynamic(template))
    await crash(await pool.start_child())
    assert await pool.count_children() == ak.ChildCounts(0, 0, 0, 0)
    await pool.stop()


async def test_d50_sup_flags(system: ak.System) -> None:
    """Wrong flags are refused before any child starts.

    OTP answers with an error tuple from ``start_link``; here ``supervise`` raises ``SpecError`` on the spot. (Every
    wrong value is tried in ``tests/supervision/test_spec.py``.)
    """
    stage = Stage()
    child = stage.child("a")
    refused: list[dict[str, Any]] = [
        {"strategy": "one_for_none"}, {"max_restarts": -1}, {"within": 0},
    ]  # fmt: skip
    for wrong in refused:
        with pytest.raises(ak.SpecError):
            await system.start(ak.supervise(child, **wrong))
    assert stage.news() == []


async def test_d50_child_specs_map(system: ak.System) -> None:
    """Wrong children are refused before any child starts, by ``Child`` or ``supervise`` or ``start_child``."""
    stage = Stage()
    child = stage.child("a")
    significant = stage.child("s", significant=True, restart="transient")
    refused: list[dict[str, Any]] = [
        {"restart": "sometimes"}, {"shutdown": -1}, {"significant": True},
    ]  # fmt: skip
    for wrong in refused:
        with pytest.raises(ak.SpecError):
            stage.child("b", **wrong)
    with pytest.raises(ak.SpecError, match="two children have the id 'a'"):
        ak.supervise(child, stage.child("a"))
    with pytest.raises(ak.SpecError, match="'s' is significant, but auto_shutdown is 'never'"):
        ak.supervise(child, significant)
    assert stage.news() == []

    supervisor = await system.start(ak.supervise(child))
    with pytest.raises(ak.SpecError, match="'s' is significant"):
        await supervisor.start_child(significant)
    with pytest.raises(ak.SpecError, match="are Child specifications, got 'b'"):
        await supervisor.start_child("b")  # type: ignore[arg-type]
    assert await statuses(supervisor) == {"a": "running"}
    assert stage.news() == ["start a"]


async def test_d47_start_timeout(system: ak.System) -> None:
    """A child that does not get ready within its ``start_timeout`` has failed to start, and nothing of it is left."""
    stage = Stage()
    slow = stage.child("slow", starts=always("hang"), start_timeout=2.0, name="slow")
    began = system.now()
    with pytest.raises(ak.StartFailed, match="did not start within 2 s"):
        await system.start(ak.supervise(slow))
    assert system.now() - began == 2.0
    assert system.names() == {}
    await settle()
