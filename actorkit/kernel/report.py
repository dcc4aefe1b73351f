"""Reports of crashes and losses: what they hold, and how they are logged.

A crash report holds what OTP's does (section 9 of the semantics): the actor, its ancestors, links and queue, the message
being handled, its state as ``describe`` shows it, and the traceback. Values are shortened, so a report never grows with
the data an actor holds.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from actorkit.kernel.address import Address
from actorkit.kernel.events import DeadLetter, HighWater, LogRecord, Progress, Report
from actorkit.kernel.exits import Crashed, Failed
from actorkit.kernel.inspection import details_of
from actorkit.kernel.message import shortened
from actorkit.kernel.wait import Wait

if TYPE_CHECKING:
    from actorkit.kernel.cell import Cell

VALUE_CHARS = 200
STATE_ENTRIES = 20


@attrs.frozen(slots=True)
class CrashReport(Report):
    """Why an actor crashed, for people.

    Attributes:
        path: where it stood in the tree.
        address: which incarnation it was.
        actor: its class.
        error: the exception's type.
        message: the exception's text.
        traceback: the formatted traceback.
        handling: the message in hand, shortened.
        client: the path of the actor that asked, if the message was an ask of an actor.
        state: the actor's attributes as ``describe`` shows them, shortened.
        recent: the types of the last messages and signals it took, oldest first.
        ancestors: the paths of its parent, its parent's parent, and so on.
        links: the paths of the actors it was linked to.
        waiting: how many messages waited.
        handled: how many it had handled.
        traps_exits: whether exit signals reached it as messages.
    """

    path: str
    address: Address
    actor: str
    error: str
    message: str
    traceback: str
    handling: str
    client: str | None
    state: Mapping[str, str]
    recent: tuple[str, ...]
    ancestors: tuple[str, ...]
    links: tuple[str, ...]
    waiting: int
    handled: int
    traps_exits: bool

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        return "error", "actor crashed", attrs.asdict(self, recurse=False)


def crash_report(cell: Cell, reason: Crashed | Failed) -> CrashReport:
    """Write the report of a crash, before the cell is taken apart."""
    if isinstance(reason, Failed):
        reason = Crashed("Failed", reason.detail)
    caller = cell.call.cell if isinstance(cell.call, Wait) else None
    return CrashReport(
        path=cell.path,
        address=cell.address,
        actor=cell.props.cls.__qualname__,
        error=reason.error,
        message=reason.message,
        traceback=reason.traceback,
        handling=reason.handling,
        client=caller.path if caller is not None else None,
        state=shown(details_of(cell)),
        recent=cell.recent(),
        ancestors=ancestors(cell),
        links=tuple(c.path for c in cell.runtime.relations.linked(cell)),
        waiting=cell.waiting_mail,
        handled=cell.messages_handled,
        traps_exits=cell.traps,
    )


def ancestors(cell: Cell) -> tuple[str, ...]:
    """The paths above a cell, its parent first."""
    found: list[str] = []
    above = cell.parent
    while above is not None:
        found.append(above.path)
        above = above.parent
    return tuple(found)


def shown(state: Mapping[str, Any]) -> dict[str, str]:
    """State as short texts, at most ``STATE_ENTRIES`` of them."""
    entries = {
        str(name): shortened(value, VALUE_CHARS)
        for name, value in list(state.items())[:STATE_ENTRIES]
    }
    if len(state) > STATE_ENTRIES:
        entries["..."] = f"{len(state) - STATE_ENTRIES} more"
    return entries


Redact = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_WORTH_A_LINE = tuple(10**n for n in range(12))
_KINDS = 10_000


class LogReporter:
    """An observer that logs what a person should know, through structlog.

    Warnings: dead letters and high-water marks (the 1st, 10th, 100th ... of each kind, so a flood of them is no flood of
    lines), stalls, zombies. Errors: crashes, failed starts, what supervisors report. Progress has level debug.

    Args:
        redact: may change or drop fields before they are logged.
        logger: a structlog logger; one named ``actorkit`` on stderr, from level warning up, unless structlog was
            configured by the program.
    """

    def __init__(self, redact: Redact | None = None, logger: Any = None) -> None:
        self._redact = redact
        self._logger = logger
        self._seen: Counter[tuple[str, ...]] = Counter()

    def __call__(self, event: Report | Progress) -> None:
        """Log one event, if it is worth a line."""
        level, text, fields = event.as_log()
        match event:
            case DeadLetter(message=message, path=path, reason=reason):
                fields["count"] = self._count(path, reason, type(message).__qualname__)
            case HighWater(path=path):
                fields["count"] = self._count(path, text, "")
            case _:
                pass
        if fields.get("count", 1) in _WORTH_A_LINE:
            self.log(level, text, **fields)

    def _count(self, *kind: str) -> int:
        """How often this kind of thing has happened; kinds are forgotten when there are too many."""
        if len(self._seen) >= _KINDS and kind not in self._seen:
            self._seen.clear()
        self._seen[kind] += 1
        return self._seen[kind]

    def log(self, level: str, text: str, **fields: Any) -> None:
        """Write one record; a redaction that fails costs the fields, not the record."""
        if self._logger is None:
            self._logger = default_logger()
        if self._redact is not None:
            try:
                fields = _named(self._redact(fields))
            except Exception as error:  # noqa: BLE001 - the hook is user code; what it guards must not leak
                fields = {"redaction_failed": type(error).__name__}
        if "traceback" in fields:
            fields["exception"] = fields.pop("traceback")
        getattr(self._logger, level)(text, **fields)


def _named(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields a redaction left, if they can be logged by name."""
    if "event" in fields or not all(isinstance(name, str) for name in fields):
        raise TypeError("a log record's fields have names, and 'event' is taken")
    return dict(fields)


def default_logger() -> Any:
    """The program's structlog configuration if it has one; else warnings and worse, on stderr."""
    import structlog  # noqa: PLC0415 - it loads rich; most programs never log a thing

    if structlog.is_configured():
        return structlog.get_logger("actorkit")
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
