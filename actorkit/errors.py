"""Every exception of actorkit, named for who is to blame.

    ActorkitError
    +-- AskError                 how an ask may end, other than with its reply (a closed set)
    |   +-- AskTimeout           nobody answered in time: the outcome is unknown
    |   +-- ActorDied            the callee is gone; carries the exit reason
    |   +-- NodeDown             the callee's node cannot be reached
    |   +-- MailboxFull          the callee's mailbox is at capacity; the request was not handled
    |   +-- CircularAsk          the callee is itself waiting for the asker
    |   +-- Unhandled            the callee has no handler for this message
    |   +-- Unencodable (TypeError)  the message, or its reply, cannot travel to another node
    |   +-- Refused              the callee said no; subclass it for expected business errors
    |       +-- ChildError       a supervisor was asked for what it cannot do
    |           +-- ChildNotFound, ChildRunning, ChildRestarting, ChildPresent
    +-- StartError               an actor could not be started
    |   +-- StartFailed          its constructor or ``started`` hook failed; carries the reason
    |   +-- StartTimeout         ``started`` did not finish in time
    |   +-- StartIgnored         the actor declined to run (it raised Ignore)
    |   +-- AlreadyStarted       the name, or the child id, is taken by a live actor
    +-- SpecError (ValueError)   a child or supervisor specification is wrong; names the value
    +-- VocabularyError (TypeError)  an actor class and its messages do not fit together
    +-- NodeError                what was asked of a node cannot be done
    |   +-- NotGranted (Refused) the peer has not granted this node that
    |   +-- CodeMissing          the class is not known there, and may not be shipped
    |   +-- LaunchFailed         a node's process did not come up
    |   +-- ConnectFailed        a node could not be reached, or would not talk to this one
    +-- ProtocolError (ValueError)  bytes from outside that are not what was agreed on
    +-- CallbackFailed           a function handed to another actor raised there
    +-- SystemClosed             the actor system is shutting down, or was never opened

Two more are raised *by* actors, to say something to the kernel: ``Ignore`` (in ``started``: do not run
me) and ``Stop`` (in a handler: end me with this reason).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from actorkit.kernel.exits import ExitReason


class ActorkitError(Exception):
    """The root of every exception actorkit raises at its callers."""


class AskError(ActorkitError):
    """An ask ended without its reply."""


class AskTimeout(AskError):
    """No reply came in time, so whether the request was carried out is unknown.

    The callee is not told: it may still handle the request later (as with ``gen_server:call``). Retry
    only what may safely happen twice.
    """

    def __init__(self, actor: str, message: str, timeout: float) -> None:
        super().__init__(
            f"{actor} did not answer {message} within {timeout:g} s; "
            "whether it was carried out is unknown"
        )
        self.actor = actor
        self.timeout = timeout


class ActorDied(AskError):
    """The actor is gone; ``reason`` says why."""

    def __init__(self, actor: str, reason: ExitReason) -> None:
        super().__init__(f"{actor} is gone: {reason}")
        self.actor = actor
        self.reason = reason


class NodeDown(AskError):
    """The node the actor lives on cannot be reached, so the outcome is unknown."""

    def __init__(self, node: str, why: str = "") -> None:
        super().__init__(why or f"node {node} is down or unreachable")
        self.node = node


class MailboxFull(AskError):
    """The callee's mailbox is at capacity; the request was turned away, or dropped from it, unhandled."""

    def __init__(self, actor: str, capacity: int) -> None:
        super().__init__(
            f"the mailbox of {actor} is full ({capacity} messages); the request was not taken"
        )
        self.actor = actor
        self.capacity = capacity


class CircularAsk(AskError):
    """Waiting would never end, because the callee is waiting, directly or not, for the asker.

    ``chain`` lists the actors' paths, each waiting for the next; the first and the last are the same.
    """

    def __init__(self, chain: tuple[str, ...]) -> None:
        super().__init__("these actors would wait for each other for ever: " + " -> ".join(chain))
        self.chain = chain


class Unhandled(AskError):
    """The actor has no handler for a message of this type."""

    def __init__(self, actor: str, message_type: str) -> None:
        super().__init__(f"{actor} has no handler for {message_type}")
        self.actor = actor
        self.message_type = message_type


class Unencodable(AskError, TypeError):
    """The message, or its reply, holds something that cannot travel to another node; nothing was sent."""


class Refused(AskError):
    """The actor declined the request and lives on; subclass it for expected business errors.

    Raise it in a handler: the asker gets it, the actor does not crash. Any other exception crashes the
    actor, and the asker gets ``ActorDied``.
    """


class StartError(ActorkitError):
    """An actor could not be started; nothing of it is left behind."""


class StartFailed(StartError):
    """The constructor or the ``started`` hook failed; ``reason`` says how."""

    def __init__(self, actor: str, reason: ExitReason) -> None:
        super().__init__(f"{actor} did not start: {reason}")
        self.actor = actor
        self.reason = reason


class StartTimeout(StartError):
    """The ``started`` hook did not finish in time; the actor was killed."""

    def __init__(self, actor: str, timeout: float) -> None:
        super().__init__(f"{actor} did not start within {timeout:g} s and was killed")
        self.actor = actor
        self.timeout = timeout


class StartIgnored(StartError):
    """The actor declined to run by raising ``Ignore`` in its ``started`` hook."""

    def __init__(self, actor: str, why: str) -> None:
        super().__init__(f"{actor} declined to start" + (f": {why}" if why else ""))
        self.actor = actor
        self.why = why


class AlreadyStarted(StartError):
    """The name or child id belongs to a live actor; ``ref`` is its holder."""

    def __init__(self, name: str, ref: Any) -> None:
        super().__init__(f"{name!r} is taken by {ref}")
        self.name = name
        self.ref = ref


class ChildError(Refused):
    """A supervisor was asked to do something that a child's state does not allow."""

    says: ClassVar[str] = "cannot be used"

    def __init__(self, supervisor: str, child: str) -> None:
        super().__init__(f"child {child!r} of {supervisor} {self.says}")
        self.supervisor = supervisor
        self.child = child


class ChildNotFound(ChildError):
    """The supervisor has no such child."""

    says = "does not exist"


class ChildRunning(ChildError):
    """The child is running; terminate it first."""

    says = "is running; terminate it first"


class ChildRestarting(ChildError):
    """The child is being restarted; terminate it first."""

    says = "is being restarted; terminate it first"


class ChildPresent(ChildError):
    """A stopped child with this id is present; restart or delete it."""

    says = "is present but stopped; restart it, or delete it first"


class NodeError(ActorkitError):
    """What was asked of a node cannot be done; the text says why, and what to do."""


class NotGranted(NodeError, Refused):
    """The peer has not granted this node what it asked for: ``spawn``, ``inspect``, ``control`` or ``ship-code``."""

    def __init__(self, node: str, grant: str) -> None:
        super().__init__(
            f"node {node} has not granted {grant!r} to this node: open node {node} with a secret that grants it "
            f"to this one (grants=[{grant!r}] there)"
        )
        self.node = node
        self.grant = grant


class CodeMissing(NodeError):
    """The class is not known on that node: import its module there, or allow code to be shipped on both sides."""


class ConnectFailed(NodeError):
    """A node could not be reached, or would not talk to this one."""


class ProtocolError(ActorkitError, ValueError):
    """Bytes from another node, or from a file, that are not what was agreed on; whoever sent them is cut off."""


class SpecError(ActorkitError, ValueError):
    """A specification is wrong; the message names the field, the value and what is allowed."""


class VocabularyError(ActorkitError, TypeError):
    """An actor class and its vocabulary do not fit together; raised when the class is created."""


class CallbackFailed(ActorkitError):
    """A function that was handed to another actor raised there; that actor is unharmed."""

    def __init__(self, actor: str, error: str) -> None:
        super().__init__(f"the function given to {actor} failed there: {error}")
        self.actor = actor


class SystemClosed(ActorkitError):
    """The actor system is shut down or shutting down and starts nothing new."""


class Ignore(ActorkitError):
    """Raise it in ``started`` to decline to run: the spawner gets ``StartIgnored``, no crash is reported.

    A supervisor keeps a permanent or transient child that ignored its start, listed as stopped (OTP's
    ``ignore``).
    """

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why


class Stop(ActorkitError):
    """Raise it in a handler to end the actor with ``reason``, without answering (OTP's ``exit/1``)."""

    def __init__(self, reason: ExitReason) -> None:
        super().__init__(f"stop: {reason}")
        self.reason = reason
