"""Names that are unique in the whole cluster, as one table per node (otp-semantics 6.3, 6.4). Events go in, directives come out.

Whose word counts
    The node on which a holder lives says that the holder holds the name, and nobody else does: it hears first of the
    holder's death, and its own loss frees the name everywhere. All else is what others told of theirs, kept in step as
    ``grouptable`` keeps members: a full listing, then every change in order.

How a name is taken
    By the consent of every node that is up: the holder's node asks each for its vote (``Claim``), takes the name when all
    have given it (``Registered``), and is done when all have seen that. A node gives one vote per name, to one claim, its
    own included, and keeps its word until that claim is withdrawn, has become an entry, or its node is lost.

Why there are never two holders among nodes that stayed connected
    Let A and C each take the name, C last. A needed the vote of C if C was up when A took it. After that vote C could not
    vote for itself before it had A's entry (then it refuses its own claim), A's withdrawal (then A did not take it), or had
    lost A. If C was not up, A took the name before they were connected, and C needs A's vote if A is up when C takes it,
    which A refuses. So between the two there was a time without a connection: they were two partitions, and when they join
    a resolver is asked. No coordinator is chosen, so there is none to lose, and none that two nodes could disagree about.
    Votes of an earlier connection do not count: all that is said to a node carries a number that it chose for this one.

Why nobody waits for ever
    Claims to one name are ordered by their nodes' names. Whoever hears that a vote is with a claim of smaller rank number
    gives back all votes and tries again after a while; the other one keeps what it has, and is told when the vote is free.
    So a claim waits only for ones that come after it in that order, never in a circle. A lost node's vote is not needed.

How a name moves
    The new holder's node takes it with an entry that says which ones it replaces; wherever it is known it shadows those,
    so that at no moment nobody holds the name. Once all have seen it the old one is released. Should a partition come
    between, the old one is still shadowed, and released, when they join.

How a conflict ends
    When two partitions join, both holders' nodes see two entries of which neither replaces the other. The one with the
    smaller name decides, once per pair, and releases the loser. Until then every node goes on with the holder it knew.
    Where two nodes are connected to a third one but not to each other (no mesh) their entries stand side by side.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Any, Generic, Literal, TypeVar

import attrs

from actorkit.cluster.grouptable import Incarnation, Unwatch, Watch
from actorkit.cluster.namewords import (
    DONE,
    GONE,
    KEEP_OLDEST,
    MISSING,
    Answer,
    Claim,
    Decide,
    Directive,
    Discover,
    Entry,
    Id,
    Kill,
    Listing,
    Outcome,
    PeerMessage,
    Registered,
    Release,
    Seen,
    Send,
    Terms,
    Todo,
    Told,
    Unregistered,
    Vote,
    Wait,
    What,
    Withdrawn,
    seniority,
)
from actorkit.kernel.ref import Ref

CHUNK = 2_000  # entries in one message: far below what a frame may hold
CATCH_UP = 1.0  # seconds until one who missed something is told everything anew
RETRY = 0.05  # seconds until a claim that gave way tries again

L = TypeVar("L", bound=Incarnation)
T = TypeVar("T")

# What it knows --------------------------------------------------------------------------------------------------------


@attrs.define(slots=True, eq=False)
class _Own(Generic[L]):
    """A name that an actor of this node holds; ``settled`` when all nodes have seen that."""

    entry: Entry
    party: L
    terms: Terms
    settled: bool = False


@attrs.define(slots=True, eq=False)
class _Candidacy(Generic[L, T]):
    """A claim of this node.

    Attributes:
        number: of the present attempt; 0 while it has not got this node's own vote.
        votes: the other nodes that have given theirs.
        resting: whether it has given way, and tries again after a while.
    """

    ticket: T
    party: L
    name: str
    since: float
    move: bool
    terms: Terms
    number: int = 0
    votes: set[str] = attrs.field(factory=set)
    resting: bool = False


@attrs.frozen(slots=True)
class _Pending(Generic[T]):
    """A change that some nodes have not seen yet, and who waits for that."""

    version: int
    ticket: T
    entry: Entry | None


@attrs.define(slots=True, eq=False)
class _Peer:
    """The table of another node, while the connection to it is up.

    Attributes:
        incarnation: of the node.
        session: what its messages must carry.
        theirs: what it wants messages to carry; None before it has said so.
        roll: the names that its actors hold; None before its listing has come.
        version: its last change that has come.
        parts: those parts of its listing that have come, while some are missing.
        listing: that listing's number.
        seen: the last change of this node's that it has seen.
        releases: what it was told to release, by number, until it has.
        behind: whether something for it found no room.
        missed: whether its wish for this node's listing may have been missed.
    """

    incarnation: int
    session: int = 0
    theirs: int | None = None
    roll: dict[str, Entry] | None = None
    version: int = 0
    parts: list[Listing] = attrs.field(factory=list)
    listing: int = 0
    seen: int = -1
    releases: dict[int, Release] = attrs.field(factory=dict)
    behind: bool = False
    missed: bool = False


class NameTable(Generic[L, T]):
    """The names of the cluster as one node sees them.

    ``L`` is what stands for an incarnation of an actor here, ``T`` for a request that waits for its outcome.
    """

    __slots__ = (
        "_claims", "_deciding", "_deferred", "_last", "_moving", "_own", "_peers", "_pending", "_shown", "_uses",
        "_version", "_votes", "incarnation", "node",
    )  # fmt: skip

    def __init__(self, node: str, incarnation: int) -> None:
        self.node = node
        self.incarnation = incarnation
        self._own: dict[str, _Own[L]] = {}
        self._shown: dict[str, Entry] = {}
        self._peers: dict[str, _Peer] = {}
        self._uses: Counter[L] = Counter()  # names that a party holds or claims
        self._claims: dict[
            str, deque[_Candidacy[L, T]]
        ] = {}  # of this node; the first may have its vote
        self._votes: dict[
            str, tuple[str, int]
        ] = {}  # node and number of the claim that has this node's vote
        self._deferred: dict[
            str, dict[str, Claim]
        ] = {}  # claims of others, by name and node, that wait for it
        self._pending: deque[_Pending[T]] = deque()
        self._moving: dict[
            str, list[_Pending[T]]
        ] = {}  # seen by all, but what they replace is not released yet
        self._deciding: set[tuple[Id, Id]] = set()
        self._version = 0  # how many changes there were
        self._last = 0  # the last number given to a session, a claim or a listing

    def __len__(self) -> int:
        """How many names, claims and requests there are, each counted on every side: zero means nothing is left behind."""
        rolls = sum(len(peer.roll or ()) + len(peer.releases) for peer in self._peers.values())
        waiting = len(self._claims) + len(self._votes) + len(self._deferred) + len(self._deciding)
        names = len(self._own) + len(self._shown) + len(self._uses)
        return rolls + waiting + names + len(self._pending) + len(self._moving)

    # Looking ----------------------------------------------------------------------------------------------------------

    def holder(self, name: str) -> Ref[Any] | None:
        """Who holds a name, as far as is known here."""
        entry = self._shown.get(name)
        return entry.ref if entry is not None else None

    def names(self) -> dict[str, Ref[Any]]:
        """All names with their holders, sorted."""
        return {name: self._shown[name].ref for name in sorted(self._shown)}

    def parties(self) -> tuple[L, ...]:
        """The actors of this node whose death matters."""
        return tuple(self._uses)

    def _entries(self, name: str) -> Iterator[Entry]:
        own = self._own.get(name)
        if own is not None:
            yield own.entry
        for peer in self._peers.values():
            entry = (peer.roll or {}).get(name)
            if entry is not None:
                yield entry

    # Requests ---------------------------------------------------------------------------------------------------------

    def register(
        self,
        ticket: T,
        party: L,
        name: str,
        since: float,
        *,
        move: bool = False,
        terms: Terms = KEEP_OLDEST,
    ) -> Todo[L, T]:
        """A living actor of this node shall hold a name: if it is free, or in any case (``move``)."""
        holder = self.holder(name)
        if holder is not None and not move:
            return [Answer(ticket, Outcome("taken", holder))]
        claim = _Candidacy(ticket, party, name, since, move, terms)
        self._claims.setdefault(name, deque()).append(claim)
        return [*self._use(party), *self._start(name)]

    def unregister(self, ticket: T, name: str) -> Todo[L, T]:
        """The actor of this node that holds a name shall hold it no more."""
        own, shown = self._own.get(name), self._shown.get(name)
        if shown is None:
            return [Answer(ticket, MISSING)]
        if own is None or own.entry.id in shown.replaces:
            return [Answer(ticket, Outcome("elsewhere", shown.ref))]
        todo = self._drop(own)
        self._pending.append(_Pending(self._version, ticket, None))
        return todo + self._seen_by_all()

    def died(self, party: L) -> Todo[L, T]:
        """An incarnation of this node is gone, and all that it held is free; also if that was known already."""
        todo: Todo[L, T] = []
        for own in [own for own in self._own.values() if own.party == party]:
            todo += self._drop(own)
        for claim in [c for queue in self._claims.values() for c in queue if c.party == party]:
            todo += self._end(claim, GONE)
        return todo

    def decided(
        self, mine: Entry, theirs: Entry, winner: Literal["mine", "theirs", "nobody"]
    ) -> Todo[L, T]:
        """A resolver has spoken, or failed."""
        self._deciding.discard((mine.id, theirs.id))
        own, peer = self._own.get(mine.name), self._peers.get(theirs.id.node)
        if own is None or own.entry.id != mine.id or not _holds(peer, theirs):
            return []
        todo: Todo[L, T] = []
        if winner != "theirs":
            todo += self._release(theirs, lost=True)
        if winner != "mine":
            todo += self._drop(own, lost=True)
        return todo

    # Claims of this node ----------------------------------------------------------------------------------------------

    def _start(self, name: str) -> Todo[L, T]:
        """Let the first claim to a name begin, if this node's own vote is free."""
        claim = self._first(name)
        if claim is None or claim.number or claim.resting or name in self._votes:
            return []
        holder = self.holder(name)
        if holder is not None and not claim.move:
            return self._end(claim, Outcome("taken", holder))
        claim.number = self._next()
        claim.votes = set()
        self._votes[name] = (self.node, claim.number)
        return [*self._tell_all(Claim(name, claim.number, claim.move)), *self._try(claim)]

    def _first(self, name: str) -> _Candidacy[L, T] | None:
        queue = self._claims.get(name)
        return queue[0] if queue else None

    def _try(self, claim: _Candidacy[L, T]) -> Todo[L, T]:
        """Take the name if every node that is up has given its vote."""
        if not claim.number or not claim.votes.issuperset(self._peers):
            return []
        name, old = claim.name, self._own.get(claim.name)
        replaced = tuple(entry.id for entry in self._entries(name))
        id_ = Id(self.node, self.incarnation, claim.number)
        entry = Entry(name, claim.party.ref, id_, claim.since, replaced)
        self._own[name] = _Own(entry, claim.party, claim.terms)
        self._version += 1
        self._pending.append(_Pending(self._version, claim.ticket, entry))
        self._leave_queue(claim)
        del self._votes[name]
        todo = self._tell_all(Registered(self._version, entry)) + self._changed(name)
        if old is not None:
            todo += self._unuse(old.party)
        return todo + self._freed(name) + self._seen_by_all()

    def _end(self, claim: _Candidacy[L, T], outcome: Outcome) -> Todo[L, T]:
        """A claim has come to nothing."""
        todo: Todo[L, T] = [Answer(claim.ticket, outcome), *self._unuse(claim.party)]
        first = self._first(claim.name) is claim
        self._leave_queue(claim)
        return todo + (self._withdraw(claim) if claim.number else []) + (
            self._freed(claim.name) if first else []
        )  # fmt: skip

    def _leave_queue(self, claim: _Candidacy[L, T]) -> None:
        queue = self._claims[claim.name]
        queue.remove(claim)
        if not queue:
            del self._claims[claim.name]

    def _withdraw(self, claim: _Candidacy[L, T]) -> Todo[L, T]:
        """Give all votes back; what follows from the free vote of this node is up to the caller."""
        number, claim.number = claim.number, 0
        del self._votes[claim.name]
        return self._tell_all(Withdrawn(claim.name, number))

    def _voted(self, node: str, vote: Vote) -> Todo[L, T]:
        claim = self._first(vote.name)
        if claim is None or claim.number != vote.number:
            return []
        if vote.answer == "granted":
            claim.votes.add(node)
            return self._try(claim)
        if vote.answer == "taken":
            return self._end(claim, Outcome("taken", vote.holder))
        if vote.busy_with >= self.node:
            return []  # that claim gives way, or has all votes
        claim.resting = True
        return [*self._withdraw(claim), Wait(RETRY, "retry"), *self._freed(vote.name)]

    def retry(self) -> Todo[L, T]:
        """Claims that gave way have waited long enough."""
        todo: Todo[L, T] = []
        for name, queue in list(self._claims.items()):
            queue[0].resting = False
            todo += self._start(name)
        return todo

    # Claims of others -------------------------------------------------------------------------------------------------

    def _judge(self, node: str, claim: Claim) -> Todo[L, T]:
        """Answer the claim of another node, and once more when the vote is free if it is not."""
        name, number = claim.name, claim.number
        holder = self.holder(name)
        self._undefer(name, node)
        if holder is not None and not claim.move:
            return self._tell(node, Vote(name, number, "taken", holder))
        given = self._votes.setdefault(name, (node, number))
        if given[0] == node:  # a new claim of the same node: the last one is over
            self._votes[name] = (node, number)
            return self._tell(node, Vote(name, number, "granted"))
        self._deferred.setdefault(name, {})[node] = claim
        mine = self._first(name)
        if given[0] == self.node and node < self.node and mine is not None:
            return self._withdraw(mine) + self._freed(name)
        return self._tell(node, Vote(name, number, "busy", busy_with=given[0]))

    def _withdrawn(self, node: str, told: Withdrawn) -> Todo[L, T]:
        waiting = self._deferred.get(told.name, {}).get(node)
        if waiting is not None and waiting.number == told.number:
            self._undefer(told.name, node)
        return self._take_back(told.name, (node, told.number))

    def _take_back(self, name: str, given: tuple[str, int]) -> Todo[L, T]:
        """A claim is over: its vote, if it has it, is free."""
        if self._votes.get(name) != given:
            return []
        del self._votes[name]
        return self._freed(name)

    def _freed(self, name: str) -> Todo[L, T]:
        """The vote for a name may be free: those who wait for it get their answers, in their order."""
        waiting = self._deferred.pop(name, {})
        todo: Todo[L, T] = []
        for node in sorted((*waiting, self.node)):
            mine = node == self.node
            todo += self._start(name) if mine else self._judge(node, waiting[node])
        return todo

    def _undefer(self, name: str, node: str) -> None:
        waiting = self._deferred.get(name)
        if waiting is not None and waiting.pop(node, None) is not None and not waiting:
            del self._deferred[name]

    # Entries ----------------------------------------------------------------------------------------------------------

    def _drop(self, own: _Own[L], *, lost: bool = False) -> Todo[L, T]:
        """An actor of this node holds a name no more."""
        entry = own.entry
        del self._own[entry.name]
        self._version += 1
        todo = self._tell_all(Unregistered(self._version, entry.name, entry.id.number))
        todo += self._unuse(own.party)
        if lost and own.terms.kill_loser:
            todo.append(Kill(own.party))
        return todo + self._changed(entry.name)

    def _changed(self, name: str) -> Todo[L, T]:
        """The entries of a name have changed: see who holds it now, who waited for that, and whether there is a conflict."""
        entries = tuple(self._entries(name))
        replaced = {id_ for entry in entries for id_ in entry.replaces}
        standing = [entry for entry in entries if entry.id not in replaced]
        shown = self._shown.get(name)
        if not standing:
            self._shown.pop(name, None)
        elif shown not in standing:
            self._shown[name] = min(standing, key=seniority)
        todo: Todo[L, T] = []
        for pending in tuple(self._moving.get(name, ())):
            todo += self._moved(name, pending)
        return todo + self._contend(name)

    def _contend(self, name: str) -> Todo[L, T]:
        """Compare this node's entry with those of others."""
        own, todo = self._own.get(name), list[Directive[L, T]]()
        for node, peer in self._peers.items() if own is not None else ():
            other = (peer.roll or {}).get(name)
            if own is None or other is None or other.id.number in peer.releases:
                continue
            mine, pair = own.entry, (own.entry.id, other.id)
            if other.id in mine.replaces:
                if own.settled:
                    todo += self._release(other, lost=False)
            elif mine.id not in other.replaces and self.node < node and pair not in self._deciding:
                self._deciding.add(pair)
                todo.append(Decide(mine, other, own.terms))
        return todo

    def _release(self, entry: Entry, *, lost: bool) -> Todo[L, T]:
        release = Release(entry.name, entry.id.number, lost)
        self._peers[entry.id.node].releases[entry.id.number] = release
        return self._tell(entry.id.node, release)

    def _released(self, told: Release) -> Todo[L, T]:
        own = self._own.get(told.name)
        if own is None or own.entry.id.number != told.number:
            return []
        return self._drop(own, lost=told.lost)

    def _seen_by_all(self) -> Todo[L, T]:
        """Go on with what every node that is up has seen."""
        seen = min((peer.seen for peer in self._peers.values()), default=self._version)
        todo: Todo[L, T] = []
        while self._pending and self._pending[0].version <= seen:
            todo += self._settled(self._pending.popleft())
        return todo

    def _settled(self, pending: _Pending[T]) -> Todo[L, T]:
        entry = pending.entry
        if entry is None:
            return [Answer(pending.ticket, DONE)]
        own, todo = self._own.get(entry.name), list[Directive[L, T]]()
        if own is not None and own.entry is entry:
            own.settled = True
            todo += self._contend(entry.name)
        self._moving.setdefault(entry.name, []).append(pending)
        return todo + self._moved(entry.name, pending)

    def _moved(self, name: str, pending: _Pending[T]) -> Todo[L, T]:
        """Answer who moved a name, once what the entry replaces is gone."""
        replaced = pending.entry.replaces if pending.entry is not None else ()
        own = self._own.get(name)
        holds = own is not None and own.entry is pending.entry
        if holds and any(entry.id in replaced for entry in self._entries(name)):
            return []
        waiting = self._moving[name]
        waiting.remove(pending)
        if not waiting:
            del self._moving[name]
        return [Answer(pending.ticket, DONE)]

    # Other nodes ------------------------------------------------------------------------------------------------------

    def node_up(self, node: str, incarnation: int) -> Todo[L, T]:
        """A connection is up, and nothing has come over it yet."""
        todo = self._forget(node)  # nothing, unless whoever tells of nodes has left a loss out
        self._peers[node] = _Peer(incarnation)
        return [*todo, self._discover(node, self._next())]

    def node_lost(self, node: str, incarnation: int) -> Todo[L, T]:
        """A connection is gone: what its actors held is free, and its votes are not needed any more."""
        peer = self._peers.get(node)
        return [] if peer is None or peer.incarnation != incarnation else self._forget(node)

    def abandon(self) -> None:
        """Nobody waits for requests any more, for who was to answer them is gone."""
        for name in self._claims:
            if self._votes.get(name, ("", 0))[0] == self.node:
                del self._votes[name]
        self._claims.clear()
        self._pending.clear()
        self._moving.clear()
        self._deciding.clear()
        self._uses = Counter(own.party for own in self._own.values())
        for own in self._own.values():
            own.settled = True

    def resume(self, up: Iterable[tuple[str, int]]) -> Todo[L, T]:
        """Go on after a time in which messages and notices may have been missed; ``up`` is who is up now."""
        current = dict(up)
        todo: Todo[L, T] = []
        for node in tuple(self._peers):
            if current.get(node) != self._peers[node].incarnation:
                todo += self._forget(node)
        for name in tuple(self._deferred):
            todo += self._freed(name)
        for name in tuple(self._own):
            todo += self._contend(name)
        for node, incarnation in current.items():
            if node not in self._peers:
                self._peers[node] = _Peer(incarnation)
            self._peers[node].missed = True
            todo += self._renew(node)
        return todo

    def receive(self, told: PeerMessage) -> Todo[L, T]:
        """Take what another node's table says."""
        peer = self._peers.get(told.node)
        if peer is None or peer.incarnation != told.incarnation:
            return []
        if isinstance(told, Discover):
            peer.theirs, peer.missed = told.session, False
            again = [self._discover(told.node, peer.session)] if told.missed else []
            return [*again, *self._list_for(told.node)]
        if told.session != peer.session:
            return []  # said to an earlier connection, or before something was missed
        if peer.roll is None and not isinstance(told.what, Listing):
            return []  # its listing found no room
        return self._take(told.node, peer, told.what)

    def _take(self, node: str, peer: _Peer, what: What) -> Todo[L, T]:
        todo: Todo[L, T] = []
        match what:
            case Registered() | Unregistered():
                todo = self._change(node, peer, what)
            case Claim():
                todo = self._judge(node, what)
            case Withdrawn():
                todo = self._withdrawn(node, what)
            case Vote():
                todo = self._voted(node, what)
            case Seen(version):
                peer.seen = max(peer.seen, version)
                todo = self._seen_by_all()
            case Release():
                todo = self._released(what)
            case Listing():
                todo = self._listed(node, peer, what)
        return todo

    def _change(self, node: str, peer: _Peer, what: Registered | Unregistered) -> Todo[L, T]:
        if peer.roll is None or what.version != peer.version + 1:
            return []  # one before it found no room: a listing will come
        peer.version = what.version
        todo = self._tell(node, Seen(what.version))
        if isinstance(what, Registered):
            name, entry = what.entry.name, what.entry
            old = peer.roll.get(name)
            if old is not None:  # it has moved within that node
                peer.releases.pop(old.id.number, None)
            peer.roll[name] = entry
            todo += self._changed(name)
            return todo + self._take_back(name, (node, entry.id.number))
        known = peer.roll.get(what.name)
        if known is not None and known.id.number == what.number:
            del peer.roll[what.name]
            peer.releases.pop(what.number, None)
            todo += self._changed(what.name)
        return todo

    def _listed(self, node: str, peer: _Peer, told: Listing) -> Todo[L, T]:
        if told.part == 0:
            peer.parts, peer.listing = [], told.number
        if told.part != len(peer.parts) or told.number != peer.listing:
            return []  # one before it found no room: the whole listing will come again
        peer.parts.append(told)
        if len(peer.parts) < told.parts:
            return []
        parts, peer.parts = peer.parts, []
        old = peer.roll or {}
        roll = peer.roll = {entry.name: entry for part in parts for entry in part.entries}
        peer.version = told.version
        numbers = {entry.id.number for entry in roll.values()}
        peer.releases = {n: release for n, release in peer.releases.items() if n in numbers}
        todo = self._tell(node, Seen(told.version))
        for name in dict.fromkeys((*old, *roll)):
            if old.get(name) != roll.get(name):
                todo += self._changed(name)
        return todo + self._reclaimed(node, told.claims)

    def _reclaimed(self, node: str, claims: tuple[Claim, ...]) -> Todo[L, T]:
        """These are all claims of a node: others of it are over."""
        todo: Todo[L, T] = []
        current = {(claim.name, claim.number) for claim in claims}
        for name in tuple(self._deferred):
            self._undefer(name, node)
        for name, given in tuple(self._votes.items()):
            if given[0] == node and (name, given[1]) not in current:
                todo += self._take_back(name, given)
        for claim in claims:
            todo += self._judge(node, claim)
        return todo

    def refused(self, node: str) -> Todo[L, T]:
        """A message for a node that is up found no room; in a while the node is told everything anew."""
        peer = self._peers.get(node)
        if peer is None or peer.behind:
            return []
        waiting = any(other.behind for other in self._peers.values())
        peer.behind = True
        return [] if waiting else [Wait(CATCH_UP, "catch_up")]

    def catch_up(self) -> Todo[L, T]:
        """The while is over."""
        behind = [node for node, peer in self._peers.items() if peer.behind]
        return [directive for node in behind for directive in self._renew(node)]

    def _renew(self, node: str) -> Todo[L, T]:
        """Begin anew with a node that is up: both tell each other everything."""
        self._peers[node].behind = False
        return [self._discover(node, self._next()), *self._list_for(node)]

    def _discover(self, node: str, session: int) -> Send:
        peer = self._peers[node]
        peer.session = session
        return Send(node, Discover(self.node, self.incarnation, session, peer.missed))

    def _list_for(self, node: str) -> Todo[L, T]:
        peer = self._peers[node]
        if peer.theirs is None:
            return []
        entries = [own.entry for own in self._own.values()]
        chunks = [tuple(entries[i : i + CHUNK]) for i in range(0, len(entries), CHUNK)] or [()]
        firsts = (queue[0] for queue in self._claims.values())
        claims = tuple(Claim(c.name, c.number, c.move) for c in firsts if c.number)
        number, last = self._next(), len(chunks) - 1
        told: list[What] = [
            Listing(number, i, len(chunks), self._version, part, claims if i == last else ())
            for i, part in enumerate(chunks)
        ]
        head = (self.node, self.incarnation, peer.theirs)
        return [Send(node, Told(*head, what)) for what in (*told, *peer.releases.values())]

    def _forget(self, node: str) -> Todo[L, T]:
        peer = self._peers.pop(node, None)
        if peer is None:
            return []
        todo: Todo[L, T] = []
        self._deciding = {pair for pair in self._deciding if pair[1].node != node}
        for name in peer.roll or ():
            todo += self._changed(name)
        todo += self._reclaimed(node, ())
        for queue in list(self._claims.values()):
            queue[0].votes.discard(node)
            todo += self._try(queue[0])
        return todo + self._seen_by_all()

    # Small things -----------------------------------------------------------------------------------------------------

    def _tell(self, node: str, what: What) -> Todo[L, T]:
        peer = self._peers[node]
        if peer.theirs is None or peer.behind:
            return []  # a listing will tell it
        return [Send(node, Told(self.node, self.incarnation, peer.theirs, what))]

    def _tell_all(self, what: What) -> Todo[L, T]:
        return [directive for node in self._peers for directive in self._tell(node, what)]

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _use(self, party: L) -> Todo[L, T]:
        self._uses[party] += 1
        return [Watch(party)] if self._uses[party] == 1 else []

    def _unuse(self, party: L) -> Todo[L, T]:
        self._uses[party] -= 1
        if self._uses[party]:
            return []
        del self._uses[party]
        return [Unwatch(party)]


def _holds(peer: _Peer | None, entry: Entry) -> bool:
    known = (peer.roll or {}).get(entry.name) if peer is not None else None
    return known is not None and known.id == entry.id
