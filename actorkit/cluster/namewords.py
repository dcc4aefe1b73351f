"""What the tables of cluster-wide names tell each other, and what they want done: the nouns of ``nametable``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import attrs

from actorkit.cluster.grouptable import Incarnation, Unwatch, Watch
from actorkit.kernel.message import message
from actorkit.kernel.ref import Ref

L = TypeVar("L", bound=Incarnation)
T = TypeVar("T")

# What tables tell each other ------------------------------------------------------------------------------------------


class Id(NamedTuple):
    """One registration; a claim that succeeds gives it its number."""

    node: str
    incarnation: int
    number: int


@attrs.frozen(slots=True)
class Entry:
    """A name is held.

    Attributes:
        name: the name.
        ref: its holder, who lives on ``id.node``.
        id: tells registrations from each other.
        since: when it was made, in seconds since 1970 on that node.
        replaces: the registrations of the same name that it has moved the name from.
    """

    name: str
    ref: Ref[Any]
    id: Id
    since: float
    replaces: tuple[Id, ...] = ()


@message(name="actorkit.names.Claim")
class Claim:
    """May an actor of the sender's node take this name? ``move`` says even if somebody holds it."""

    name: str
    number: int
    move: bool


@message(name="actorkit.names.Listing")
class Listing:
    """All entries and claims of the sender's node; a long list comes in parts, and counts when the last is there.

    Attributes:
        number: tells the listings of one node from each other, whose parts might be mixed up if some found no room.
        version: how many changes it includes.
    """

    number: int
    part: int
    parts: int
    version: int
    entries: tuple[Entry, ...]
    claims: tuple[Claim, ...]


@message(name="actorkit.names.Registered")
class Registered:
    """An actor of the sender's node has taken a name: the sender's change number ``version``."""

    version: int
    entry: Entry


@message(name="actorkit.names.Unregistered")
class Unregistered:
    """An actor of the sender's node holds a name no more."""

    version: int
    name: str
    number: int


@message(name="actorkit.names.Withdrawn")
class Withdrawn:
    """A claim is given up, and with it the receiver's vote."""

    name: str
    number: int


@message(name="actorkit.names.Vote")
class Vote:
    """The answer to a claim: the vote is given, or somebody holds the name, or another claim has the vote for now.

    Attributes:
        busy_with: the node whose claim has it; the sender votes again when that one is over.
    """

    name: str
    number: int
    answer: Literal["granted", "taken", "busy"]
    holder: Ref[Any] | None = None
    busy_with: str = ""


@message(name="actorkit.names.Seen")
class Seen:
    """All changes of the receiver up to this one have arrived."""

    version: int


@message(name="actorkit.names.Release")
class Release:
    """The receiver's registration has been replaced, or has lost against another one."""

    name: str
    number: int
    lost: bool


What = Listing | Registered | Unregistered | Claim | Withdrawn | Vote | Seen | Release


@message(name="actorkit.names.Discover")
class Discover:
    """Tell me your names and claims, and how they change; what does not carry this session's number is not for me.

    Attributes:
        missed: whether the sender may have missed what it was told, and wants to be asked once more.
    """

    node: str
    incarnation: int
    session: int
    missed: bool


@message(name="actorkit.names.Told")
class Told:
    """Something for a node that has asked for it, in the session that it has asked for."""

    node: str
    incarnation: int
    session: int
    what: What


PeerMessage = Discover | Told

# What a table wants done ----------------------------------------------------------------------------------------------


@attrs.frozen(slots=True)
class Terms:
    """What a registration says of conflicts.

    Attributes:
        resolver: returns which of two holders of a name keeps it, the one of this node or the other; None: the one that was
            registered first.
        kill_loser: whether this holder is to be killed if it loses.
    """

    resolver: Callable[[str, Ref[Any], Ref[Any]], Ref[Any] | None] | None = None
    kill_loser: bool = False


KEEP_OLDEST = Terms()


@message(name="actorkit.names.Outcome")
class Outcome:
    """How a request ended.

    Attributes:
        kind: done; the name is taken; its holder is on another node; nobody holds it; the actor that shall hold it is gone; the
            resolver is unknown.
        holder: who holds the name, if it is taken or elsewhere.
    """

    kind: Literal["done", "taken", "elsewhere", "missing", "gone", "unknown"]
    holder: Ref[Any] | None = None


DONE = Outcome("done")
MISSING = Outcome("missing")
GONE = Outcome("gone")


@attrs.frozen(slots=True)
class Send:
    """Tell the table of a node, in the order in which messages were given."""

    node: str
    message: PeerMessage


@attrs.frozen(slots=True)
class Answer(Generic[T]):
    """A request is over."""

    ticket: T
    outcome: Outcome


@attrs.frozen(slots=True)
class Decide:
    """Find out who keeps a name, and call ``decided``."""

    mine: Entry
    theirs: Entry
    terms: Terms


@attrs.frozen(slots=True)
class Kill(Generic[L]):
    """This holder has lost, and wished to be killed then."""

    party: L


@attrs.frozen(slots=True)
class Wait:
    """Call that method of the table after so many seconds."""

    seconds: float
    then: Literal["catch_up", "retry"]


Directive = Watch[L] | Unwatch[L] | Send | Answer[T] | Decide | Kill[L] | Wait
Todo = list[Directive[L, T]]


def seniority(entry: Entry) -> tuple[float, Id]:
    """Orders entries: who was registered first comes first, on all nodes alike."""
    return entry.since, entry.id
