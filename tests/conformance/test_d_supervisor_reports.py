"""Cases 78 and 79 as seen from supervisors: which ends they report, with which fields, and in which order.

(What the dying actor itself reports is in ``test_e_reports.py``.)
"""

from __future__ import annotations

import pytest

import actorkit as ak
from actorkit.supervision.spec import Restart
from tests.supervision.support import (
    FOREVER,
    Stage,
    Worker,
    at_first,
    crash,
    end,
    kill,
    record,
)

ENDS: dict[str, ak.ExitReason] = {
    "normal": ak.Normal(),
    "shutdown": ak.Shutdown(),
    "detail": ak.Shutdown("detail"),
    "failed": ak.Failed("why"),
}


@pytest.mark.parametrize("how", [*ENDS, "crash", "kill"])
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_e78_format_log_child_terminated(
    system: ak.System, restart: Restart, how: str
) -> None:
    """A supervisor reports every end of a permanent child, and the abnormal ones of others (OTP 9.2)."""
    child = Stage().child("w", restart=restart)
    supervisor = await system.start(ak.supervise(child))
    ref = supervisor.child(child)
    reports = record(system, ak.ChildTerminated)
    match how:
        case "crash":
            await crash(ref)
        case "kill":
            await kill(ref)
        case _:
            await end(ref, ENDS[how])
    reported = restart == "permanent" or how in ("crash", "kill", "failed")
    assert [(r.supervisor, r.child.id) for r in reports] == (
        [(supervisor.path, "w")] if reported else []
    )


async def test_e78_crash_and_progress(system: ak.System) -> None:
    """One crash of a supervised actor: its crash report, its end, the supervisor's report, the start, progress."""
    child = Stage().child("w", restart="transient", shutdown=2.5)
    supervisor = await system.start(ak.supervise(child), name="top")
    events = record(system, ak.Report, ak.Progress)
    await crash(supervisor.child(child))
    assert [type(event).__name__ for event in events] == [
        "CrashReport", "Stopped", "ChildTerminated", "Started", "ChildStarted",
    ]  # fmt: skip
    terminated, progress = events[2], events[4]
    assert isinstance(terminated, ak.ChildTerminated)
    assert isinstance(progress, ak.ChildStarted)
    assert isinstance(terminated.reason, ak.Crashed)
    assert terminated.child == progress.child == ak.Offender(
        "w", "/top/w", Worker.__qualname__, "transient", False, "2.5"
    )  # fmt: skip


async def test_e78_start_errors_and_giving_up(system: ak.System) -> None:
    """Every failed attempt is reported, then that the supervisor gives up, then what it stops."""
    stage = Stage()
    bad = stage.child("bad", starts=at_first("ok", then="fail"))
    supervisor = await system.start(
        ak.supervise(stage.child("a"), bad, max_restarts=2, within=9.0), name="top"
    )
    events = record(system, ak.Report)
    await crash(supervisor.child(bad))
    assert [type(event).__name__ for event in events] == [
        "CrashReport", "ChildTerminated",
        "DidNotStart", "ChildDidNotStart", "DidNotStart", "ChildDidNotStart", "GaveUp",
    ]  # fmt: skip
    gave_up = events[-1]
    assert isinstance(gave_up, ak.GaveUp)
    assert (gave_up.supervisor, gave_up.restarts, gave_up.within) == ("/top", 2, 9.0)
    level, text, fields = gave_up.as_log()
    assert (level, text, fields["id"]) == ("error", "supervisor gave up", "bad")


async def test_e78_an_orderly_tree_is_silent(system: ak.System) -> None:
    """Starting and stopping a healthy tree gives progress, and nothing a person would have to read."""
    stage = Stage()
    inner = ak.Child("inner", ak.supervise(stage.child("a"), stage.child("b", trap=True)))
    pool = ak.Child("pool", ak.supervise_dynamic(stage.child("d")))
    reports, progress = record(system, ak.Report), record(system, ak.ChildStarted)
    supervisor = await system.start(ak.supervise(inner, pool))
    await supervisor.dynamic(pool).start_child()
    await supervisor.stop()
    assert reports == []
    assert [p.child.id for p in progress] == ["a", "b", "inner", "pool", "d-1"]


async def test_e79_one_shutdown_error(system: ak.System) -> None:
    """Of a child that overruns its limit there is one shutdown error, killed; of a brutal kill there is none."""
    stage = Stage()
    overrun = stage.child("overrun", ending=FOREVER, shutdown=1.0)
    brutal = stage.child("brutal", ending=FOREVER, shutdown="kill")
    reports = record(system, ak.Report)
    supervisor = await system.start(ak.supervise(overrun, brutal))
    await supervisor.stop()
    [report] = reports
    assert isinstance(report, ak.ChildDidNotStop)
    assert (report.child.id, report.child.shutdown, report.reason) == (
        "overrun",
        "1.0",
        ak.Killed(),
    )


async def test_e79_killed_with_its_supervisor(system: ak.System) -> None:
    """Of children that die with a killed supervisor nobody speaks but the supervisor above, of that supervisor."""
    stage = Stage()
    inner = ak.Child("inner", ak.supervise(stage.child("a"), stage.child("b")))
    supervisor = await system.start(ak.supervise(inner))
    reports = record(system, ak.Report)
    await kill(supervisor.child(inner))
    [report] = reports
    assert isinstance(report, ak.ChildTerminated)
    assert (report.child.id, report.reason) == ("inner", ak.Killed())
