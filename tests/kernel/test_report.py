"""Reports: what a crash leaves for people, how much of it, and that no formatter of user code can do harm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.kernel.events import DeadLetter, Events, HighWater, LogRecord, Report
from actorkit.kernel.report import LogReporter, shown
from tests.harness import WAITS, puppet, settle
from tests.kernel.support import Note, collect

Fields = Mapping[str, Any]


@attrs.define
class Lines:
    """A logger that keeps its records."""

    records: list[tuple[str, str, dict[str, Any]]] = attrs.field(factory=list)

    def error(self, event: str, **fields: Any) -> None:
        """Keep an error."""
        self.records.append(("error", event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        """Keep a warning."""
        self.records.append(("warning", event, fields))

    def debug(self, event: str, **fields: Any) -> None:
        """Keep a line of progress."""
        self.records.append(("debug", event, fields))


@ak.message
class Break(ak.Request[int]):
    """Crash, while holding a secret."""

    secret: str = "open sesame"


class Fragile(ak.Actor[Break | Note]):
    """Crashes of a request; notes are remembered."""

    def __init__(self, state: object = "calm") -> None:
        self.state = state

    @ak.on(Break)
    def fall(self, msg: Break) -> int:
        raise ValueError(f"cannot keep {msg.secret}")

    @ak.on(Note)
    def note(self, msg: Note) -> None:
        self.state = msg.text


async def crash(system: ak.System, made: ak.Props[Any], *notes: object) -> ak.CrashReport:
    """Let an actor crash after some notes, and return the report; the system must be unharmed."""
    reports = collect(system, ak.CrashReport)
    ref = await system.spawn(made)
    for text in notes:
        ref.tell(Note(text))
    with pytest.raises(ak.ActorDied):
        await ref.ask(Break())
    await settle()
    assert len(reports) == 1
    await puppet(system)
    report: ak.CrashReport = reports[0]
    return report


# What it holds --------------------------------------------------------------------------------------------------


async def test_a_crash_report_holds_what_one_needs(system: ak.System) -> None:
    """Place, error, message in hand, asker, state, last messages, ancestors, links and queue of the dead actor."""
    parent = await puppet(system, name="parent")
    asker, friend = await puppet(system, name="asker"), await puppet(system, trap=True)
    ref: ak.Ref[Break | Note] = await parent.do(
        lambda ctx: ctx.spawn(ak.props(Fragile), name="kid", link=False)
    )
    await friend.do(lambda ctx: ctx.link(ref))
    reports = collect(system, ak.CrashReport)

    async def ask_twice(ctx: ak.Context[Any]) -> None:
        ref.tell(Note("one"))
        try:
            await ref.ask(Break())
        except ak.ActorDied:
            pass

    system.suspend(ref)
    asker.cue(ask_twice)
    await settle()
    ref.tell(Note("after"))
    address = ref.address
    system.resume(ref)
    await settle()
    (report,) = reports
    assert attrs.evolve(report, traceback="") == ak.CrashReport(
        path="/parent/kid",
        address=address,
        actor="Fragile",
        error="ValueError",
        message="cannot keep open sesame",
        traceback="",
        handling="Break(secret='open sesame')",
        client="/asker",
        state={"state": "'one'"},
        recent=("Note", "Break"),
        ancestors=("/parent",),
        links=(friend.ref.path,),
        waiting=1,
        handled=2,
        traps_exits=False,
    )
    assert "in fall" in report.traceback


async def test_a_report_does_not_grow_with_the_actor(system: ak.System) -> None:
    """Values are shortened and state is cut, however much an actor holds."""

    class Hoarder(Fragile):
        def __init__(self) -> None:
            self.__dict__.update({f"item{n:03}": "x" * 10_000 for n in range(500)})

    report = await crash(system, ak.props(Hoarder))
    assert len(report.state) == 21
    assert report.state["..."] == "480 more"
    assert sum(map(len, report.state.values())) < 21 * 200
    assert len(repr(report)) < 30_000


@given(st.dictionaries(st.text(max_size=10), st.binary(max_size=500), max_size=40))
def test_shown_state_is_short_text(state: dict[str, bytes]) -> None:
    """At most twenty entries of at most two hundred characters; what is left out is counted."""
    texts = shown(state)
    assert len(texts) <= 21
    assert all(len(text) <= 200 for text in texts.values())
    if len(state) <= 20:
        assert list(texts) == list(state)


# Formatters that fail --------------------------------------------------------------------------------------------


class Rude:
    """Something that cannot be shown."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


class Silent(Fragile):
    """Its ``describe`` is what its first argument says."""

    def __init__(self, says: Callable[[Fields], Any]) -> None:
        self.says = says

    def describe(self, state: Fields) -> Fields:
        described: Fields = self.says(state)
        return described


def _raises(state: Fields) -> Any:
    raise KeyError("describe")


class Mute(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def _raises_mutely(state: Fields) -> Any:
    raise Mute


@pytest.mark.parametrize(
    ("says", "state"),
    [
        (lambda state: {"safe": 1}, {"safe": "1"}),
        (lambda state: {1: Rude()}, {"1": "<Rude: its repr raised ZeroDivisionError>"}),
        (_raises, {"<describe failed>": "\"KeyError: 'describe'\""}),
        (_raises_mutely, {"<describe failed>": "'Mute: <its str raised RuntimeError>'"}),
        (lambda state: None, None),
        (lambda state: ["no", "mapping"], None),
        (lambda state: {Rude(): 1}, None),
    ],
)
async def test_a_failing_describe_harms_nobody(
    system: ak.System, says: Callable[[Fields], Any], state: Any
) -> None:
    """Whatever ``describe`` returns or raises, the crash is reported and the system lives."""
    report = await crash(system, ak.props(Silent, says))
    if state is None:
        assert set(report.state) == {"<describe failed>"}
    else:
        assert report.state == state


async def test_what_cannot_be_shown_is_said_so(system: ak.System) -> None:
    """A message and a state whose repr raises are told as such."""
    report = await crash(system, ak.props(Fragile), Rude())
    assert report.state == {"state": "<Rude: its repr raised ZeroDivisionError>"}


async def test_an_exception_that_cannot_speak(system: ak.System) -> None:
    """An exception whose ``__str__`` raises crashes its actor, and nothing else."""
    reports = collect(system, ak.CrashReport)
    victim = await puppet(system)

    def fall(ctx: ak.Context[Any]) -> None:
        raise Mute

    victim.cue(fall)
    await settle()
    assert [report.message for report in reports] == ["<its str raised RuntimeError>"]


# Observers --------------------------------------------------------------------------------------------------------


class Clumsy:
    """An observer that fails, and cannot even be shown."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, event: object) -> None:
        self.calls += 1
        raise Mute

    __repr__ = Rude.__repr__


async def test_a_failing_observer_is_removed(system: ak.System) -> None:
    """An observer that raises is told of nothing more; the others are told of it, and of everything else."""
    clumsy, told = Clumsy(), collect(system)
    system.events.subscribe(clumsy)
    await puppet(system, name="one")
    await puppet(system, name="two")
    assert clumsy.calls == 1
    (failed,) = [event for event in told if isinstance(event, ak.ObserverFailed)]
    assert failed.error == "Mute: <its str raised RuntimeError>"
    assert "Clumsy" in failed.observer
    assert [e.path for e in told if isinstance(e, ak.Started)] == ["/one", "/two"]


async def test_what_an_observer_sends_is_its_own(system: ak.System) -> None:
    """An observer may tell actors of a death, whatever the dead one was doing: it is not fenced with the dead."""
    listener = await puppet(system)
    system.events.subscribe(lambda event: listener.ref.tell(Note(event.path)), ak.Stopped)

    def kill_itself(ctx: ak.Context[Any]) -> None:
        ctx.self.kill()

    deeds = {
        "idle": lambda _: None,
        **{wait.replace(" ", "-"): WAITS[wait] for wait in WAITS},
        "suicide": kill_itself,
    }
    for name, deed in deeds.items():
        victim = await puppet(system, name=name)
        victim.cue(deed)
        await settle()
        victim.ref.kill()
        await settle()
    assert listener.log == [Note(f"/{name}") for name in deeds]


def test_subscriptions_choose_and_end() -> None:
    """An observer hears the classes it chose, until it ends its subscription; nobody else is asked to build events."""
    events = Events()
    all_of_it: list[object] = []
    numbers: list[object] = []
    end_all = events.subscribe(all_of_it.append)
    end_numbers = events.subscribe(numbers.append, int, float)
    assert events.wants(str)
    for event in (1, "two", 3.0):
        events.emit(event)
    end_all()
    assert events.wants(bool)
    assert not events.wants(str)
    events.emit(4)
    end_numbers()
    end_numbers()
    events.emit(5)
    assert (all_of_it, numbers) == ([1, "two", 3.0], [1, 3.0, 4])
    assert not events.wants(int)


# The log ----------------------------------------------------------------------------------------------------------


def letter(path: str = "/a", reason: ak.DeadReason = ak.DeadReason.DIED) -> DeadLetter:
    """A dead letter."""
    return DeadLetter(Note("n"), path, reason)


@given(st.integers(0, 1200))
def test_a_flood_of_dead_letters_is_no_flood_of_lines(flood: int) -> None:
    """Of each kind the 1st, 10th, 100th, ... is logged, with the count."""
    lines = Lines()
    reporter = LogReporter(logger=lines)
    for _ in range(flood):
        reporter(letter())
    assert [fields["count"] for _, _, fields in lines.records] == [
        n for n in (1, 10, 100, 1000) if n <= flood
    ]


def test_kinds_of_dead_letters_are_counted_apart() -> None:
    """Another receiver, reason or message type is another kind, and gets its first line."""
    lines = Lines()
    reporter = LogReporter(logger=lines)
    others = [letter("/b"), letter(reason=ak.DeadReason.FENCED), attrs.evolve(letter(), message=3)]
    for one in (letter(), letter(), *others):
        reporter(one)
    assert [fields["count"] for _, _, fields in lines.records] == [1, 1, 1, 1]
    assert lines.records[0] == (
        "warning",
        "dead letter",
        {"path": "/a", "reason": str(ak.DeadReason.DIED), "message": "Note(text='n')", "count": 1},
    )


def test_high_water_marks_are_not_repeated_line_by_line() -> None:
    """A mailbox that fills and empties all the time is logged as rarely as dead letters are."""
    lines = Lines()
    reporter = LogReporter(logger=lines)
    for _ in range(99):
        reporter(HighWater("/a", ak.Address("local", 1, 1), 10, 100))
    assert [fields["count"] for _, _, fields in lines.records] == [1, 10]


async def test_levels_of_what_happens() -> None:
    """Crashes are errors, losses warnings, and progress is for debugging."""
    lines = Lines()
    async with ak.open_system(logs=False, watchdog=None) as system:
        system.events.subscribe(LogReporter(logger=lines), Report, ak.Started, ak.Stopped)
        ref = await system.spawn(ak.props(Fragile), name="kid")
        ref.tell(Break("silence"))
        await settle()
        ref.tell(Note("late"))
    assert [(level, text) for level, text, _ in lines.records] == [
        ("debug", "actor started"),
        ("error", "actor crashed"),
        ("debug", "actor stopped"),
        ("warning", "dead letter"),
    ]
    crashed = lines.records[1][2]
    assert "ValueError: cannot keep silence" in crashed["exception"]
    assert "traceback" not in crashed


# Redaction --------------------------------------------------------------------------------------------------------

SECRETS = {"message", "handling", "state", "traceback"}


@pytest.mark.parametrize(
    ("redact", "left"),
    [
        (lambda fields: {n: v for n, v in fields.items() if n not in SECRETS}, {"path", "error"}),
        (lambda fields: {}, set()),
        (lambda fields: fields["no such field"], {"redaction_failed"}),
        (lambda fields: None, {"redaction_failed"}),
        (lambda fields: {1: "one"}, {"redaction_failed"}),
        (lambda fields: {"event": "mine"}, {"redaction_failed"}),
    ],
)
async def test_redaction_comes_before_the_log(
    redact: Callable[[Fields], Any], left: set[str]
) -> None:
    """A redaction has the last word on every record; one that fails costs the fields, never the record."""
    lines = Lines()
    async with ak.open_system(logs=False, watchdog=None) as system:
        system.events.subscribe(LogReporter(redact, lines), ak.CrashReport)
        ref = await system.spawn(ak.props(Fragile), name="kid")
        ref.tell(Break("the combination"))
        await settle()
        assert not ref.alive
    ((level, text, fields),) = lines.records
    assert (level, text) == ("error", "actor crashed")
    assert left <= set(fields)
    assert "the combination" not in repr(fields)


def test_events_of_other_layers_say_how_they_are_logged() -> None:
    """A report of any layer is logged by its own ``as_log``."""

    class Elsewhere(Report):
        def as_log(self) -> LogRecord:
            return "warning", "something else", {"why": "because"}

    lines = Lines()
    LogReporter(logger=lines)(Elsewhere())
    assert lines.records == [("warning", "something else", {"why": "because"})]
