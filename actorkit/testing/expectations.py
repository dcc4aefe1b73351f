"""What a test says beforehand about failures: ``async with kit.expect_crash(Account, ValueError):``.

Each is an async context manager. It listens while the block runs, waits at its end for what is to come, and fails if
something else has happened, or more than that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import trio

from actorkit.kernel.actor import Actor
from actorkit.kernel.events import DeadLetter, DeadReason, DidNotStart, Started, Stopped
from actorkit.kernel.exits import Crashed, ExitReason
from actorkit.kernel.message import shortened
from actorkit.kernel.ref import Ref
from actorkit.kernel.report import CrashReport
from actorkit.kernel.system import System
from actorkit.supervision.events import GaveUp
from actorkit.testing.failures import Unexpected

T = TypeVar("T")

WITHIN = 5.0  # virtual seconds
Because = type[BaseException] | type[ExitReason]
Settle = Callable[[], Awaitable[None]]


class Caught(Generic[T]):
    """What an expectation has caught; filled while the block runs, complete after it."""

    def __init__(self) -> None:
        self._found: list[T] = []

    def __len__(self) -> int:
        return len(self._found)

    @property
    def all(self) -> tuple[T, ...]:
        """Everything it has caught, in order."""
        return tuple(self._found)

    @property
    def first(self) -> T:
        """The first thing it has caught.

        Raises:
            Unexpected: nothing yet.
        """
        if not self._found:
            raise Unexpected("nothing was caught yet; look at it after the block")
        return self._found[0]

    def add(self, found: T) -> None:
        """Something was caught."""
        self._found.append(found)


class _Listener:
    """Keeps a system's events of some kinds for the time of a block."""

    def __init__(self, system: System, settle: Settle, *kinds: type) -> None:
        self.events: list[Any] = []
        self._bell = trio.Event()
        self._settle = settle
        self.stop = system.events.subscribe(self._note, *kinds)

    def _note(self, event: Any) -> None:
        self.events.append(event)
        self._bell.set()
        self._bell = trio.Event()

    async def wait_for(self, enough: Callable[[], bool], within: float) -> None:
        """Wait until there is enough, or the time is over; then until nothing more happens before the clock moves."""
        with trio.move_on_after(within):
            while not enough():
                await self._bell.wait()
        await self._settle()


# Restarts ----------------------------------------------------------------------------------------


@asynccontextmanager
async def expect_restarts(
    system: System,
    settle: Settle,
    ref: Ref[Any],
    times: int,
    because: Because | None,
    within: float,
) -> AsyncGenerator[Caught[ExitReason], None]:
    """Expect an actor to end and be started again so many times, each time for a reason of one kind."""
    if not ref.alive:
        raise Unexpected(f"{ref.path} does not run, so it cannot be restarted")
    path, deaths = ref.path, Caught[ExitReason]()
    listener = _Listener(system, settle, Started, Stopped, DidNotStart, GaveUp)

    def restarts() -> int:
        return sum(isinstance(e, Started) and e.path == path for e in listener.events)

    try:
        yield deaths
        await listener.wait_for(lambda: restarts() >= times, within)
    finally:
        listener.stop()
        for event in listener.events:
            if isinstance(event, Stopped) and event.path == path:
                deaths.add(event.reason)
    wrong = [reason for reason in deaths.all if because is not None and not is_of(reason, because)]
    if restarts() != times or wrong:
        wanted = f"{path} to be restarted {_times(times)}{_because(because)}"
        raise Unexpected(f"expected {wanted}; instead:{_lines(_fates(listener.events, path))}")


def _fates(events: Iterable[Any], path: str) -> list[str]:
    """What happened to an actor and, if they gave up, to its supervisors."""
    found: list[str] = []
    for event in events:
        match event:
            case Started(path=where) if where == path:
                found.append(f"{path} was started again")
            case Stopped(path=where, reason=reason) if where == path:
                found.append(f"{path} ended: {reason}")
            case DidNotStart(path=where, reason=reason) if where == path:
                found.append(f"{path} did not start: {reason}")
            case GaveUp(supervisor=above, restarts=n, within=s) if path.startswith(above):
                found.append(f"its supervisor {above} gave up after {n} restarts within {s:g} s")
            case _:
                pass
    return found or [f"nothing happened to {path}"]


# Crashes -----------------------------------------------------------------------------------------


@asynccontextmanager
async def expect_crash(
    system: System,
    settle: Settle,
    who: Ref[Any] | type[Actor[Any]],
    error: type[BaseException],
    within: float,
) -> AsyncGenerator[Caught[CrashReport], None]:
    """Expect one crash of an actor, or of some actor of a class, by an exception of a type."""
    caught = Caught[CrashReport]()
    listener = _Listener(system, settle, CrashReport, Stopped)
    try:
        yield caught
        await listener.wait_for(lambda: bool(_crashes(listener.events, who)), within)
    finally:
        listener.stop()
        crashes = _crashes(listener.events, who)
        for report, _ in crashes:
            caught.add(report)
    if len(crashes) != 1 or not is_of(crashes[0][1], error):
        name = who.__qualname__ if isinstance(who, type) else who.path
        fates = [f"{report.path} ended: {reason}" for report, reason in crashes]
        tracebacks = "".join(f"\n{report.traceback.rstrip()}" for report, _ in crashes)
        raise Unexpected(
            f"expected one crash of {name} by {error.__name__}; "
            f"instead:{_lines(fates or [f'{name} did not crash'])}{tracebacks}"
        )


def _crashes(
    events: Iterable[Any], who: Ref[Any] | type[Actor[Any]]
) -> list[tuple[CrashReport, ExitReason]]:
    """The crashes of an actor, or of a class of them, with the exit reason that goes with each report."""
    ends = {event.address: event.reason for event in events if isinstance(event, Stopped)}
    reports = [event for event in events if isinstance(event, CrashReport) and _is(who, event)]
    return [(report, ends[report.address]) for report in reports if report.address in ends]


def _is(who: Ref[Any] | type[Actor[Any]], event: CrashReport) -> bool:
    return event.actor == who.__qualname__ if isinstance(who, type) else event.path == who.path


# Dead letters ------------------------------------------------------------------------------------


@asynccontextmanager
async def expect_dead_letters(
    system: System, settle: Settle, count: int, of: type, reason: DeadReason | None
) -> AsyncGenerator[Caught[DeadLetter], None]:
    """Expect so many messages of a class to be lost, for a reason."""
    caught = Caught[DeadLetter]()
    others: list[DeadLetter] = []

    def sort(letter: DeadLetter) -> None:
        wanted = isinstance(letter.message, of) and reason in (None, letter.reason)
        caught.add(letter) if wanted else others.append(letter)

    stop = system.events.subscribe(sort, DeadLetter)
    try:
        yield caught
        await settle()
    finally:
        stop()
    if len(caught) != count:
        kind = "" if of is object else f" of {of.__qualname__}"
        why = f" ({reason})" if reason is not None else ""
        letters = [as_line(letter) for letter in (*caught.all, *others)] or ["there were none"]
        raise Unexpected(f"expected {_letters(count)}{kind}{why}; instead:{_lines(letters)}")


def as_line(letter: DeadLetter) -> str:
    """A dead letter in one line."""
    return f"{shortened(letter.message, 120)} to {letter.path}: {letter.reason}"


# Words -------------------------------------------------------------------------------------------


def is_of(reason: ExitReason, kind: type) -> bool:
    """Whether an exit reason is of a class, or a crash by an exception of that class."""
    return isinstance(reason, kind) or (
        isinstance(reason, Crashed) and isinstance(reason.cause, kind)
    )


def _because(kind: type | None) -> str:
    return f" because of {kind.__qualname__}" if kind is not None else ""


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _letters(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count} dead letters"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"\n  {line}" for line in lines)
