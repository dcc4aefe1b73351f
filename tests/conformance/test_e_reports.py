"""Section E, cases 77-79: what is reported of a death, by whom, and what is hidden."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.kernel.report import LogReporter
from tests.harness import end, link, puppet, settle

SECRET = "hunter2"


@ak.message
class Login(ak.Request[bool]):
    """Crashes the server."""

    password: str


@ak.message
class Linger:
    """Keeps the server busy."""

    seconds: float


class Vault(ak.Actor[Login | Linger]):
    """Holds a secret that its ``describe`` hides."""

    def __init__(self, *, broken: bool = False) -> None:
        self.password = SECRET
        self.broken = broken

    def describe(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.broken:
            raise RuntimeError("cannot describe")
        return {**state, "password": "***"}

    @ak.on(Login)
    def login(self, msg: Login) -> bool:
        raise PermissionError("wrong password")

    @ak.on(Linger)
    async def linger(self, msg: Linger) -> None:
        with trio.CancelScope(shield=True):
            await self.ctx.sleep(msg.seconds)


class Lines:
    """A logger that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda text, **fields: self.lines.append((level, text, fields))

    def texts(self, *levels: str) -> list[str]:
        """The texts of the lines, of these levels only if any are given."""
        return [text for level, text, _ in self.lines if level in levels or not levels]


def _listen(system: ak.System) -> list[Any]:
    heard: list[Any] = []
    system.events.subscribe(heard.append, ak.Report, ak.Progress)
    return heard


def _kinds(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_e77_format_all_status(system: ak.System) -> None:
    """What ``describe`` hides shows neither in a status nor in a crash report.

    OTP's formatter also masks message and reason. Here those are what ``redact`` is for: it sees every field of every log
    record before it is written (the next case).
    """
    heard = _listen(system)
    vault = await system.spawn(ak.props(Vault))
    status = system.status(vault)
    assert status.details == {"password": "***", "broken": False}
    with pytest.raises(ak.ActorDied):
        await vault.ask(Login("guess"))
    [report] = [event for event in heard if isinstance(event, ak.CrashReport)]
    assert report.state == {"password": "'***'", "broken": "False"}
    assert SECRET not in str(status)
    assert SECRET not in str(report)


async def test_e77_redaction_of_logs(system: ak.System) -> None:
    """``redact`` can hide any field of a log record: the message in hand, the reason, the traceback."""
    lines = Lines()

    def hide(fields: Mapping[str, Any]) -> Mapping[str, Any]:
        hidden = ("handling", "message", "traceback")
        return {key: "***" if key in hidden else value for key, value in fields.items()}

    system.events.subscribe(LogReporter(hide, lines), ak.Report)
    vault = await system.spawn(ak.props(Vault))
    with pytest.raises(ak.ActorDied):
        await vault.ask(Login(SECRET))
    await settle()
    assert lines.texts("error") == ["actor crashed"]
    assert SECRET not in str(lines.lines)
    assert "wrong password" not in str(lines.lines)


async def test_e77_crash_in_format_status(system: ak.System) -> None:
    """A formatter that fails leaves a placeholder, and the actor unharmed; a redaction that fails hides all fields."""
    lines = Lines()

    def fails(_: Mapping[str, Any]) -> Mapping[str, Any]:
        raise RuntimeError("cannot redact")

    system.events.subscribe(LogReporter(fails, lines), ak.Report)
    heard = _listen(system)
    vault = await system.spawn(ak.props(Vault, broken=True))
    placeholder = {"<describe failed>": "RuntimeError: cannot describe"}
    assert system.status(vault).details == placeholder
    assert vault.alive
    with pytest.raises(ak.ActorDied):
        await vault.ask(Login("guess"))
    [report] = [event for event in heard if isinstance(event, ak.CrashReport)]
    assert list(report.state) == list(placeholder)
    assert lines.lines == [("error", "actor crashed", {"redaction_failed": "RuntimeError"})]


async def test_e78_crash(system: ak.System) -> None:
    """A supervised server that crashes inside a call is reported once by each: itself, its supervisor, and progress.

    OTP splits the server's own report in two (``terminate`` and crash); here it is one, with the fields of both.
    """
    child = ak.Child("vault", ak.props(Vault))
    top = await system.start(ak.supervise(child))
    heard = _listen(system)
    asker = await puppet(system)
    heard.clear()
    address = top.child(child).address

    async def login(_: object) -> str:
        with pytest.raises(ak.ActorDied) as caught:
            await top.child(child).ask(Login("guess"))
        return str(caught.value.reason)

    reason = await asker.do(login)
    await settle()
    assert reason == "crashed (PermissionError: wrong password)"
    assert _kinds(heard) == ["CrashReport", "Stopped", "ChildTerminated", "Started", "ChildStarted"]
    report, _, terminated, _, progress = heard
    assert (report.path, report.address, report.actor) == (f"{top.path}/vault", address, "Vault")
    assert report.handling == "Login(password='guess')"
    assert report.client == asker.ref.path
    assert (report.error, report.message) == ("PermissionError", "wrong password")
    assert "in login" in report.traceback
    assert report.ancestors == (top.path,)
    assert report.links == (top.path,)
    assert (report.handled, report.waiting, report.traps_exits) == (1, 0, False)
    assert report.recent == ("Login",)
    assert terminated.supervisor == top.path
    assert (terminated.child.id, terminated.child.restart) == ("vault", "permanent")
    assert str(terminated.reason) == reason
    assert progress.child == terminated.child


@pytest.mark.parametrize("reason", [ak.Normal(), ak.Shutdown(), ak.Shutdown("done")])
async def test_e78_no_report_of_an_orderly_end(system: ak.System, reason: ak.ExitReason) -> None:
    """An actor that ends ``normal`` or ``shutdown`` is progress, not a report."""
    lines = Lines()
    system.events.subscribe(LogReporter(None, lines), ak.Report, ak.Progress)
    server = await puppet(system)
    await end(server, reason)
    assert lines.texts() == ["actor started", "actor stopped"]
    assert lines.texts("warning", "error") == []


async def test_e78_crash_in_background_work(system: ak.System) -> None:
    """A crash in an actor's background work is reported like any other of its crashes."""
    heard = _listen(system)
    server = await puppet(system)

    async def fails() -> None:
        raise ValueError("in the background")

    await server.do(lambda ctx: ctx.start_soon(fails))
    reason = await server.ref.wait_stopped()
    assert str(reason) == "crashed (ValueError: in the background)"
    assert _kinds(heard) == ["Started", "CrashReport", "Stopped"]


def _exit(ref: ak.Ref[Any], reason: ak.ExitReason, ctx: ak.Context[Any]) -> None:
    ctx.exit(ref, reason)


async def test_e79_killed_by_an_exit_signal(system: ak.System) -> None:
    """An actor that dies of an exit signal reports nothing itself, whatever the reason, nor do those linked to it."""
    killer = await puppet(system)
    heard = _listen(system)
    for reason in (ak.Failed("bad"), ak.Killed(), ak.Crashed("ValueError", "elsewhere")):
        victim, other = await puppet(system), await puppet(system)
        await link(victim, other)
        await killer.do(partial(_exit, victim.ref, reason))
        assert await victim.ref.wait_stopped() == reason
        assert await other.ref.wait_stopped() == reason
    assert [event for event in heard if isinstance(event, ak.Report)] == []


async def test_e79_supervisor_reports_the_killed(system: ak.System) -> None:
    """Of a child that is killed only its supervisor speaks."""
    child = ak.Child("vault", ak.props(Vault))
    top = await system.start(ak.supervise(child))
    heard = _listen(system)
    top.child(child).kill()
    await settle()
    reports: list[Any] = [event for event in heard if isinstance(event, ak.Report)]
    assert _kinds(reports) == ["ChildTerminated"]
    assert reports[0].reason == ak.Killed()


async def test_e79_overrun_shutdown_limit(system: ak.System) -> None:
    """A child that overruns its shutdown limit gives one shutdown error, ``killed``; a brutal kill reports nothing."""
    slow = ak.Child("slow", ak.props(Vault), shutdown=1.0)
    brutal = ak.Child("brutal", ak.props(Vault), shutdown="kill")
    quick = ak.Child("quick", ak.props(Vault))
    top = await system.start(ak.supervise(slow, brutal, quick))
    top.child(slow).tell(Linger(1.5))
    await settle()
    heard = _listen(system)
    began = trio.current_time()
    await top.stop()
    reports: list[Any] = [event for event in heard if isinstance(event, ak.Report)]
    assert [(type(r).__name__, r.child.id, r.reason) for r in reports] == [
        ("ChildDidNotStop", "slow", ak.Killed())
    ]
    assert trio.current_time() == pytest.approx(began + 1.5)
