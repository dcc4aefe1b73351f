"""Section D, third part: children that are added, stopped, restarted and deleted by hand, and dynamic ones."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.supervision.spec import Restart, Strategy
from tests.harness import settle
from tests.supervision.support import (
    FOREVER,
    Notes,
    Stage,
    Think,
    Worker,
    WorkerMessage,
    at_first,
    crash,
    end,
    incarnation,
    kill,
    record,
    statuses,
)

STRATEGIES = ["one_for_one", "one_for_all", "rest_for_one"]


async def test_d59_child_adm_running(system: ak.System) -> None:
    """A running child cannot be deleted, restarted or started again."""
    worker = Stage().child("w")
    supervisor = await system.start(ak.supervise(worker))
    ref = supervisor.child(worker)
    before = incarnation(ref)
    with pytest.raises(ak.ChildRunning):
        await supervisor.delete_child(worker)
    with pytest.raises(ak.ChildRunning):
        await supervisor.restart_child(worker)
    with pytest.raises(ak.AlreadyStarted) as taken:
        await supervisor.start_child(worker)
    assert taken.value.ref is ref
    assert incarnation(ref) == before


async def test_d59_child_adm_stopped(system: ak.System) -> None:
    """A stopped child can be restarted, stopped again, and deleted; then it does not exist.

    OTP's ``extra_return`` has no counterpart: what a child has to say after its start, it answers when asked.
    """
    worker = Stage().child("w")
    supervisor = await system.start(ak.supervise(worker))
    ref = supervisor.child(worker)
    await supervisor.terminate_child(worker)
    with pytest.raises(ak.ChildPresent):
        await supervisor.start_child(worker)
    assert (await supervisor.restart_child(worker)) is ref
    assert ref.alive
    await supervisor.terminate_child("w")
    await supervisor.terminate_child("w")
    assert await supervisor.count_children() == ak.ChildCounts(1, 0, 0, 1)
    await supervisor.delete_child(worker)
    for call in (supervisor.restart_child, supervisor.delete_child, supervisor.terminate_child):
        with pytest.raises(ak.ChildNotFound):
            await call("w")
    with pytest.raises(ak.ChildNotFound):
        supervisor.child(worker)
    assert await supervisor.which_children() == ()
    assert (await supervisor.start_child(worker)).alive


async def test_d59_sup_start_child_returns_error(system: ak.System) -> None:
    """An added child that fails to start is an error for the caller; no specification is kept, the supervisor lives."""
    stage = Stage()
    bad = stage.child("bad", starts=["fail"])
    supervisor = await system.start(ak.supervise(stage.child("a"), max_restarts=0))
    with pytest.raises(ak.StartFailed) as failure:
        await supervisor.start_child(bad)
    assert isinstance(failure.value.reason, ak.Crashed)
    assert await statuses(supervisor) == {"a": "running"}
    with pytest.raises(ak.ChildNotFound):
        supervisor.child(bad)
    assert (await supervisor.start_child(bad)).alive


async def test_d59_sup_start_restart_child_returns_error(system: ak.System) -> None:
    """A stopped child that fails to start again is an error for the caller; its specification is kept, stopped."""
    stage = Stage()
    worker = stage.child("w", starts=["ok", "fail", "ok"])
    supervisor = await system.start(ak.supervise(worker, max_restarts=0))
    ref = supervisor.child(worker)
    await supervisor.terminate_child(worker)
    with pytest.raises(ak.StartFailed):
        await supervisor.restart_child(worker)
    assert await statuses(supervisor) == {"w": "stopped"}
    with pytest.raises(ak.ActorDied):  # its mail does not wait either
        await ref.ask(Notes())
    await supervisor.restart_child(worker)
    assert await ref.ask(Notes()) == ()


async def test_d59_which_children(system: ak.System) -> None:
    """Children are listed in start order, with status, restart type and whether they are supervisors.

    OTP lists them in reverse; start order is what readers expect, and what ``system.tree()`` shows.
    """
    stage = Stage()
    inner = ak.Child("inner", ak.supervise(stage.child("x")))
    pool = ak.Child("pool", ak.supervise_dynamic(stage.child("y")), restart="transient")
    worker = stage.child("w", restart="temporary")
    supervisor = await system.start(ak.supervise(inner, worker, pool))
    added: ak.Child[Any] = stage.child("added", restart="transient")
    await supervisor.start_child(added)
    await supervisor.terminate_child(pool)
    assert [
        (c.id, c.status.value, c.restart, c.supervisor) for c in await supervisor.which_children()
    ] == [
        ("inner", "running", "permanent", True),
        ("w", "running", "temporary", False),
        ("pool", "stopped", "transient", True),
        ("added", "running", "transient", False),
    ]
    assert await supervisor.count_children() == ak.ChildCounts(4, 3, 2, 2)


async def test_d61_simple_one_for_one(system: ak.System) -> None:
    """A dynamic child gets the template's arguments and its own, the same again when it is restarted.

    It is known by its reference alone, so restarting or deleting one by an id cannot even be written.
    """
    stage = Stage()
    role = stage.role("w")
    template = ak.Child("w", ak.props(Worker, role, "common"))
    pool = await system.start(ak.supervise_dynamic(template))
    assert await pool.count_children() == ak.ChildCounts(0, 0, 0, 0)
    one, two = await pool.start_child("own", 1), await pool.start_child(2)
    before = incarnation(one)
    await crash(one)
    assert incarnation(one) > before
    assert (await system.state_of(one))["args"] == ("common", "own", 1)
    assert (await system.state_of(two))["args"] == ("common", 2)
    assert await pool.which_children() == (one, two)
    assert not hasattr(pool, "restart_child")
    assert not hasattr(pool, "delete_child")


async def test_d61_simple_one_for_one_terminate(system: ak.System) -> None:
    """A dynamic child is stopped by its reference and forgotten; one gone already, or foreign, is not found.

    As in Elixir; OTP says ``ok`` for one that is gone.
    """
    stage = Stage()
    pool = await system.start(ak.supervise_dynamic(stage.child("w")))
    other = await system.start(ak.supervise_dynamic(stage.child("w")))
    one, two, foreign = (
        await pool.start_child(),
        await pool.start_child(),
        await other.start_child(),
    )
    await pool.terminate_child(one)
    assert not one.alive
    assert await pool.which_children() == (two,)
    for stranger in (one, foreign, pool.ref):
        with pytest.raises(ak.ChildNotFound):
            await pool.terminate_child(stranger)  # type: ignore[arg-type]
    assert foreign.alive


async def test_d61_simple_one_for_one_escalation(system: ak.System) -> None:
    """The restarts of all dynamic children are counted together; a failed attempt counts once, as in D55."""
    stage = Stage()
    pool = await system.start(ak.supervise_dynamic(stage.child("w"), max_restarts=2))
    one, two = await pool.start_child(), await pool.start_child()
    await crash(one)
    await crash(two)
    assert (one.alive, two.alive) == (True, True)
    await crash(one)
    assert not pool.ref.alive
    assert (one.alive, two.alive) == (False, False)

    stage.news()
    failing = stage.child("f", starts=at_first("ok", then="fail"))
    errors = record(system, ak.ChildDidNotStart)
    pool = await system.start(ak.supervise_dynamic(failing, max_restarts=4))
    await crash(await pool.start_child())
    assert stage.news() == ["start f", "stop f", "gone f", *["start f"] * 4]
    assert len(errors) == 4
    assert not pool.ref.alive


async def test_d61_max_children(system: ak.System) -> None:
    """There are never more than ``max_children``, and one that is being restarted keeps its place (as in Elixir)."""
    stage = Stage()
    template = stage.child("w", starts=at_first("ok", "fail", then="ok"))
    pool = await system.start(
        ak.supervise_dynamic(template, max_children=1, backoff=ak.Backoff(initial=1.0, maximum=1.0))
    )
    worker = await pool.start_child()
    await crash(worker)
    assert await pool.count_children() == ak.ChildCounts(1, 0, 0, 1)
    with pytest.raises(ak.TooManyChildren):
        await pool.start_child()
    assert await worker.ask(Think(), timeout=10.0) == 3
    assert await pool.count_children() == ak.ChildCounts(1, 1, 0, 1)


async def test_d62_simple_one_for_one_shutdown(system: ak.System) -> None:
    """Dynamic children stop all at once under one shared limit; one that overruns it is killed and reported."""
    stage = Stage()
    stopped, errors = record(system, ak.Stopped), record(system, ak.ChildDidNotStop)
    roles = stage.role("a", ending=1), stage.role("b", ending=1), stage.role("slow", ending=5)
    template = ak.Child("w", ak.Props[WorkerMessage](Worker), shutdown=2.0)
    pool = await system.start(ak.supervise_dynamic(template))
    for role in roles:
        await pool.start_child(role)
    stage.news()
    began = system.now()
    await pool.stop()
    assert system.now() - began == 2.0
    assert sorted(stage.log[:3]) == ["stop a", "stop b", "stop slow"]
    assert sorted(stage.log[3:]) == ["gone a", "gone b"]
    assert [s.reason for s in stopped] == [
        ak.Shutdown(), ak.Shutdown(), ak.Killed(), ak.Shutdown(),
    ]  # fmt: skip
    assert [(e.child.id, e.reason) for e in errors] == [("w-3", ak.Killed())]


async def test_d62_brutal_kill(system: ak.System) -> None:
    """Dynamic children whose template says so are killed, which is no error."""
    stage = Stage()
    errors = record(system, ak.ChildDidNotStop)
    template = stage.child("w", shutdown="kill", ending=FOREVER)
    pool = await system.start(ak.supervise_dynamic(template))
    for _ in range(3):
        await pool.start_child()
    await pool.stop()
    assert [line for line in stage.news() if line != "start w"] == []
    assert errors == []


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("restart", "how", "left"),
    [
        ("permanent", "kill", "running"),
        ("permanent", "normal", "running"),
        ("permanent", "abnormal", "running"),
        ("permanent", "terminate", "stopped"),
        ("transient", "kill", "running"),
        ("transient", "normal", "stopped"),
        ("transient", "abnormal", "running"),
        ("transient", "terminate", "stopped"),
        ("temporary", "kill", None),
        ("temporary", "normal", None),
        ("temporary", "abnormal", None),
        ("temporary", "terminate", None),
    ],
)
async def test_d63_do_not_save_child_specs_for_temporary_children(
    system: ak.System, strategy: Strategy, restart: Restart, how: str, left: str | None
) -> None:
    """What is left of a child after its end depends on its restart type alone, in every strategy."""
    child = Stage().child("w", restart=restart)
    supervisor = await system.start(ak.supervise(child, strategy=strategy))
    ref = supervisor.child(child)
    match how:
        case "kill":
            await kill(ref)
        case "terminate":
            await supervisor.terminate_child(child)
        case _:
            await end(ref, ak.Normal() if how == "normal" else ak.Failed(how))
    assert await statuses(supervisor) == ({} if left is None else {"w": left})
    assert ref.alive is (left == "running")


async def test_d59_terminate_before_the_exit_is_handled(system: ak.System) -> None:
    """A child that dies after its termination was asked for is not restarted: its exit is absorbed (OTP 5.13)."""
    stage = Stage()
    worker = stage.child("w")
    supervisor = await system.start(ak.supervise(worker, max_restarts=0))
    errors = record(system, ak.ChildDidNotStop)
    async with trio.open_nursery() as nursery:
        system.suspend(supervisor.ref)
        nursery.start_soon(supervisor.terminate_child, worker)
        await settle()
        await kill(supervisor.child(worker))
        system.resume(supervisor.ref)
    assert await statuses(supervisor) == {"w": "stopped"}
    assert [(e.child.id, e.reason) for e in errors] == [("w", ak.Killed())]
    assert stage.news() == ["start w"]


async def test_d59_terminate_after_the_exit_was_handled(system: ak.System) -> None:
    """A child that dies before its termination is asked for is restarted, and then the new one is stopped (OTP 5.13)."""
    stage = Stage()
    worker = stage.child("w")
    supervisor = await system.start(ak.supervise(worker))
    async with trio.open_nursery() as nursery:
        system.suspend(supervisor.ref)
        await settle()
        await kill(supervisor.child(worker))
        nursery.start_soon(supervisor.terminate_child, worker)
        await settle()
        system.resume(supervisor.ref)
    assert await statuses(supervisor) == {"w": "stopped"}
    assert stage.news() == ["start w", "start w", "stop w", "gone w"]
