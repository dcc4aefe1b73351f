"""What supervisors report: the four contexts of OTP's supervisor reports, and progress."""

from __future__ import annotations

import attrs

from actorkit.kernel.events import LogRecord, Progress, Report
from actorkit.kernel.exits import ExitReason


@attrs.frozen(slots=True)
class Offender:
    """The child a report is about: its id and path, its restart type and shutdown limit."""

    id: str
    path: str
    actor: str
    restart: str
    significant: bool
    shutdown: str


@attrs.frozen(slots=True)
class ChildStarted(Progress):
    """Progress: a supervisor has started or restarted a child."""

    supervisor: str
    child: Offender

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        return "debug", "child started", {"supervisor": self.supervisor, **attrs.asdict(self.child)}


@attrs.frozen(slots=True)
class ChildTerminated(Report):
    """A child has ended by itself, in a way its supervisor reports: any way if permanent, else abnormally."""

    supervisor: str
    child: Offender
    reason: ExitReason

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        return _report("child terminated", self.supervisor, self.child, self.reason)


@attrs.frozen(slots=True)
class ChildDidNotStart(Report):
    """A child could not be started or restarted."""

    supervisor: str
    child: Offender
    reason: ExitReason

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        return _report("child did not start", self.supervisor, self.child, self.reason)


@attrs.frozen(slots=True)
class ChildDidNotStop(Report):
    """A child ended otherwise than asked when its supervisor stopped it; ``Killed`` if it overran its limit."""

    supervisor: str
    child: Offender
    reason: ExitReason

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        return _report("child did not shut down as asked", self.supervisor, self.child, self.reason)


@attrs.frozen(slots=True)
class GaveUp(Report):
    """A supervisor has seen more restarts than it allows, stops its children and ends with ``Shutdown``."""

    supervisor: str
    child: Offender
    restarts: int
    within: float

    def as_log(self) -> LogRecord:
        """How the event is logged."""
        fields = {"supervisor": self.supervisor, **attrs.asdict(self.child)}
        return (
            "error",
            "supervisor gave up",
            {**fields, "restarts": self.restarts, "within": self.within},
        )


def _report(text: str, supervisor: str, child: Offender, reason: ExitReason) -> LogRecord:
    return "error", text, {"supervisor": supervisor, **attrs.asdict(child), "reason": str(reason)}
