"""A typed actor runtime on trio, modelled on Erlang/OTP.

How this package is laid out, from the ground up:

    errors.py      every exception, the tree drawn in its docstring
    seams/         where a node touches the world: time, chance, threads, network, disk
    kernel/        what an actor is; start reading at kernel/actor.py, then cell.py and dispatcher.py
    codec/         messages as plain values, and back
    supervision/   who restarts whom; the decisions are in plan.py
    cluster/       how a letter crosses; the decisions are in membership.py, handshake.py and wire.py
    launch/        nodes as processes on this machine
    observe/       turns the kernel's events into views for people
    testing/       tests of actors: a kit, a simulator, protocols described once
    demo/, cli/    the command line and the main job it shows

Everything public is exported here, once, but for ``actorkit.testing`` and ``actorkit.seams``, which are public modules of
their own. ``import actorkit as ak`` is the usual form.
"""

from __future__ import annotations

from importlib import import_module
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
    CodeMissing,
    ConnectFailed,
    Ignore,
    MailboxFull,
    NodeDown,
    NodeError,
    NotGranted,
    ProtocolError,
    Refused,
    SpecError,
    StartError,
    StartFailed,
    StartIgnored,
    StartTimeout,
    Stop,
    SystemClosed,
    Unencodable,
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
from actorkit.kernel.notices import GroupChanged, LostReason, NodeLost, NodeUp
from actorkit.kernel.ref import Ref
from actorkit.kernel.registry import Group, Key
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
    from actorkit.cluster.events import ConnectionFailed, ConnectionLost, NodeEvent
    from actorkit.cluster.keys import Grant, KeyFileError, Keyring, Secret
    from actorkit.cluster.names import NameConflict, resolver
    from actorkit.cluster.node import Node, RemoteNode, open_node
    from actorkit.cluster.options import ClusterOptions
    from actorkit.cluster.services import NodeInfo, PeerRefused
    from actorkit.cluster.tls import Tls, TlsFileError
    from actorkit.kernel.portal import Portal, open_portal
    from actorkit.launch.cluster import LocalCluster
    from actorkit.launch.process import LaunchFailed, NodeExit, NodeProcess

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
    "ClusterOptions",
    "CodeMissing",
    "ConnectFailed",
    "ConnectionFailed",
    "ConnectionLost",
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
    "Grant",
    "Group",
    "GroupChanged",
    "HighWater",
    "Ignore",
    "Key",
    "KeyFileError",
    "Keyring",
    "Killed",
    "LaunchFailed",
    "LocalCluster",
    "LostReason",
    "Mailbox",
    "MailboxFull",
    "Monitor",
    "NameConflict",
    "NoActor",
    "NoConnection",
    "Node",
    "NodeDown",
    "NodeError",
    "NodeEvent",
    "NodeExit",
    "NodeInfo",
    "NodeLost",
    "NodeProcess",
    "NodeUp",
    "Normal",
    "NotGranted",
    "ObserverFailed",
    "Offender",
    "Overflow",
    "PeerRefused",
    "Portal",
    "Progress",
    "Props",
    "ProtocolError",
    "Ref",
    "Refused",
    "RemoteNode",
    "Reply",
    "ReplyStream",
    "Report",
    "Request",
    "Restart",
    "Secret",
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
    "Tls",
    "TlsFileError",
    "TooManyChildren",
    "Unencodable",
    "Unhandled",
    "UnhandledMessage",
    "VocabularyError",
    "ZombieFenced",
    "message",
    "on",
    "open_node",
    "open_portal",
    "open_system",
    "props",
    "resolver",
    "run",
    "supervise",
    "supervise_dynamic",
]

# Nodes bring a network along, portals asyncio, and most programs use neither.
_LAZY = {
    "NameConflict": "actorkit.cluster.names",
    "resolver": "actorkit.cluster.names",
    "LaunchFailed": "actorkit.launch.process",
    "LocalCluster": "actorkit.launch.cluster",
    "NodeExit": "actorkit.launch.process",
    "NodeProcess": "actorkit.launch.process",
    "ConnectionFailed": "actorkit.cluster.events",
    "ConnectionLost": "actorkit.cluster.events",
    "NodeEvent": "actorkit.cluster.events",
    "Grant": "actorkit.cluster.keys",
    "KeyFileError": "actorkit.cluster.keys",
    "Keyring": "actorkit.cluster.keys",
    "Secret": "actorkit.cluster.keys",
    "Node": "actorkit.cluster.node",
    "RemoteNode": "actorkit.cluster.node",
    "open_node": "actorkit.cluster.node",
    "ClusterOptions": "actorkit.cluster.options",
    "NodeInfo": "actorkit.cluster.services",
    "PeerRefused": "actorkit.cluster.services",
    "Tls": "actorkit.cluster.tls",
    "TlsFileError": "actorkit.cluster.tls",
    "Portal": "actorkit.kernel.portal",
    "open_portal": "actorkit.kernel.portal",
}


def __getattr__(name: str) -> Any:
    home = _LAZY.get(name)
    if home is None:
        raise AttributeError(f"module 'actorkit' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
