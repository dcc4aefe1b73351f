"""A typed actor runtime on trio, modelled on Erlang/OTP.

How this package is laid out, from the ground up:

    errors.py      every exception, the tree drawn in its docstring
    seams/         where a node touches the world: time, chance, threads, network, disk
    kernel/        what an actor is; start reading at kernel/actor.py, then cell.py and dispatcher.py
    supervision/   who restarts whom; the decisions are in plan.py
    observe/       turns the kernel's events into views for people
    testing/       tests of actors: a kit, a simulator, protocols described once
    demo/, cli/    the command line and the main job it shows

Everything public is exported here, once, but for ``actorkit.testing`` and ``actorkit.seams``, which are public modules of
their own. ``import actorkit as ak`` is the usual form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorkit.errors import (
    ActorDied,
    ActorkitError,
    AlreadyStarted,
    AskError,
    AskTimeout,
    CallbackFailed,
    ChildError,
    ChildNotFound,
    ChildPresent,
    ChildRestarting,
    ChildRunning,
    CircularAsk,
    Ignore,
    MailboxFull,
    NodeDown,
    Refused,
    SpecError,
    StartError,
    StartFailed,
    StartIgnored,
    StartTimeout,
    Stop,
    SystemClosed,
    Unhandled,
    VocabularyError,
)
from actorkit.kernel.actor import Actor, Props, on, props
from actorkit.kernel.address import Address
from actorkit.kernel.call import Reply
from actorkit.kernel.context import Context
from actorkit.kernel.events import (
    DeadLetter,
    DeadLetters,
    DeadReason,
    DidNotStart,
    Events,
    HighWater,
    ObserverFailed,
    Progress,
    Report,
    Stalled,
    Started,
    Stopped,
    UnhandledMessage,
    ZombieFenced,
)
from actorkit.kernel.exits import (
    Crashed,
    Down,
    Exit,
    ExitReason,
    Failed,
    Killed,
    Monitor,
    NoActor,
    NoConnection,
    Normal,
    Shutdown,
)
from actorkit.kernel.inspection import Branch, Statistics, Status
from actorkit.kernel.mailbox import Mailbox, Overflow
from actorkit.kernel.message import AskOf, Request, StreamOf, StreamRequest, message
from actorkit.kernel.ref import Ref
from actorkit.kernel.registry import Key
from actorkit.kernel.report import CrashReport
from actorkit.kernel.stream import ReplyStream, Stream
from actorkit.kernel.system import Conservation, System, open_system, run
from actorkit.kernel.timekeeping import TimerHandle
from actorkit.supervision.door import SupervisorRef, supervise
from actorkit.supervision.dynamic import DynamicMessage, TooManyChildren
from actorkit.supervision.events import (
    ChildDidNotStart,
    ChildDidNotStop,
    ChildStarted,
    ChildTerminated,
    GaveUp,
    Offender,
)
from actorkit.supervision.plan import ChildStatus
from actorkit.supervision.requests import ChildCounts, ChildInfo, SupervisorMessage
from actorkit.supervision.spec import AutoShutdown, Backoff, Child, Restart, Strategy
from actorkit.supervision.template import DynamicRef, Template, supervise_dynamic

if TYPE_CHECKING:
    from actorkit.kernel.portal import Portal, open_portal

__all__ = [
    "Actor",
    "ActorDied",
    "ActorkitError",
    "Address",
    "AlreadyStarted",
    "AskError",
    "AskOf",
    "AskTimeout",
    "AutoShutdown",
    "Backoff",
    "Branch",
    "CallbackFailed",
    "Child",
    "ChildCounts",
    "ChildDidNotStart",
    "ChildDidNotStop",
    "ChildError",
    "ChildInfo",
    "ChildNotFound",
    "ChildPresent",
    "ChildRestarting",
    "ChildRunning",
    "ChildStarted",
    "ChildStatus",
    "ChildTerminated",
    "CircularAsk",
    "Conservation",
    "Context",
    "CrashReport",
    "Crashed",
    "DeadLetter",
    "DeadLetters",
    "DeadReason",
    "DidNotStart",
    "Down",
    "DynamicMessage",
    "DynamicRef",
    "Events",
    "Exit",
    "ExitReason",
    "Failed",
    "GaveUp",
    "HighWater",
    "Ignore",
    "Key",
    "Killed",
    "Mailbox",
    "MailboxFull",
    "Monitor",
    "NoActor",
    "NoConnection",
    "NodeDown",
    "Normal",
    "ObserverFailed",
    "Offender",
    "Overflow",
    "Portal",
    "Progress",
    "Props",
    "Ref",
    "Refused",
    "Reply",
    "ReplyStream",
    "Report",
    "Request",
    "Restart",
    "Shutdown",
    "SpecError",
    "Stalled",
    "StartError",
    "StartFailed",
    "StartIgnored",
    "StartTimeout",
    "Started",
    "Statistics",
    "Status",
    "Stop",
    "Stopped",
    "Strategy",
    "Stream",
    "StreamOf",
    "StreamRequest",
    "SupervisorMessage",
    "SupervisorRef",
    "System",
    "SystemClosed",
    "Template",
    "TimerHandle",
    "TooManyChildren",
    "Unhandled",
    "UnhandledMessage",
    "VocabularyError",
    "ZombieFenced",
    "message",
    "on",
    "open_portal",
    "open_system",
    "props",
    "run",
    "supervise",
    "supervise_dynamic",
]

_LAZY = ("Portal", "open_portal")  # they bring asyncio along, which most programs never use


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from actorkit.kernel import portal  # noqa: PLC0415

        return getattr(portal, name)
    raise AttributeError(f"module 'actorkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
