"""What an actor may do, from its handlers and hooks: ``self.ctx``."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, TypeVarTuple, Unpack

from actorkit.kernel.call import died
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.ending import exit_signal
from actorkit.kernel.exits import NO_ACTOR, NORMAL, SHUTDOWN, Down, Exit, ExitReason, Monitor
from actorkit.kernel.items import ATTENTION, Next, Signal, StopOrder, take_out
from actorkit.kernel.notices import GroupChanged, Notice
from actorkit.kernel.registry import name_of
from actorkit.kernel.timekeeping import IdleTimer, Sleep, TimerHandle
from actorkit.kernel.wait import direct_cell

if TYPE_CHECKING:
    from random import Random

    from actorkit.kernel.actor import Props
    from actorkit.kernel.address import Address
    from actorkit.kernel.events import Events
    from actorkit.kernel.ref import Ref
    from actorkit.kernel.registry import Group, Key
    from actorkit.kernel.runtime import Runtime
    from actorkit.kernel.seat import Seat

M_contra = TypeVar("M_contra", contravariant=True)
N = TypeVar("N")
R = TypeVar("R")
N_contra = TypeVar("N_contra", contravariant=True)
Ts = TypeVarTuple("Ts")


class Seated(Protocol[N_contra]):
    """What names a supervised child and knows its vocabulary: a ``Child`` specification."""

    @property
    def id(self) -> str:
        """The child's id."""
        ...

    @property
    def props(self) -> Props[N_contra]:
        """How the child is made."""
        ...


class Context(Generic[M_contra]):
    """An actor's abilities. Use it only from the actor it belongs to, including its background work."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    # Who it is ---------------------------------------------------------------------------------------------------

    @property
    def self(self) -> Ref[M_contra]:
        """The actor's own reference, to hand out."""
        return self._cell.ref

    @property
    def path(self) -> str:
        """Where the actor stands in the tree."""
        return self._cell.path

    @property
    def parent(self) -> Ref[Any] | None:
        """The actor that started this one; None at the top."""
        parent = self._cell.parent
        return parent.ref if parent is not None else None

    @property
    def children(self) -> Mapping[str, Ref[Any]]:
        """The living actors this one started, by the last part of their path, in start order."""
        return {segment: cell.ref for segment, cell in (self._cell.children or {}).items()}

    @property
    def events(self) -> Events:
        """The system's events."""
        return self._cell.runtime.events

    def now(self) -> float:
        """Seconds on the system's monotonic clock, which tests can move."""
        return self._cell.runtime.clock.now()

    def wall_time(self) -> float:
        """The date, in seconds since 1970 (UTC), for records; never wait by it, for people set it."""
        return self._cell.runtime.clock.wall()

    @property
    def rng(self) -> Random:
        """Chance for jitter, sampling and the like, which a simulation can repeat; never for secrets."""
        return self._cell.runtime.seams.entropy.rng

    def token_bytes(self, count: int, /) -> bytes:
        """``count`` bytes that nobody can guess, for ids and keys; a simulation repeats these too."""
        return self._cell.runtime.seams.entropy.token_bytes(count)

    async def offload(
        self, function: Callable[[Unpack[Ts]], R], /, *args: *Ts, abandon: bool = False
    ) -> R:
        """Run a blocking function in a worker thread and wait for its result, while other actors go on.

        A function that has begun cannot be stopped: if this actor is killed meanwhile, it goes on until the function
        returns. ``abandon`` leaves it to itself, which is right only if it changes nothing.
        """
        offload = self._cell.runtime.seams.offload
        return await offload.run_sync(function, *args, abandon=abandon)

    @property
    def system_ending(self) -> bool:
        """Whether the whole system is about to end because of Ctrl-C: nobody should be restarted any more."""
        return self._cell.runtime.interruption is not None

    def whereis(self, key: Key[N], /) -> Ref[N] | None:
        """Who holds a name now; None if nobody does."""
        holder = self._cell.runtime.registry.holder(name_of(key))
        return holder.ref if holder is not None else None

    def named(self, key: Key[N], /) -> Ref[N]:
        """A reference by name: each message goes to whoever holds the name when it is sent."""
        return self._cell.runtime.named(name_of(key))

    def sibling(self, spec: Seated[N], /) -> Ref[N]:
        """The lasting reference of another child of the same supervisor, by its ``Child`` specification.

        It is there before the sibling is: what is sent to one that has not been started yet waits for it.

        Raises:
            LookupError: this actor has no supervisor, or the supervisor no such child.
        """
        parent = self._cell.parent
        seat = parent.runtime.seats_of(parent).get(spec.id) if parent is not None else None
        if seat is None:
            raise LookupError(f"{self.path} has no sibling {spec.id!r}")
        return seat.ref

    # Others ------------------------------------------------------------------------------------------------------

    async def spawn(
        self,
        props: Props[N],
        /,
        *,
        name: str | Key[N] | None = None,
        link: bool = True,
        node: str | None = None,
        start_timeout: float | None = None,
    ) -> Ref[N]:
        """Start an actor below this one and wait until it is ready.

        Args:
            props: how to make it.
            name: a name unique on the node to register it under, before its constructor runs.
            link: whether the two die together; a linked child's crash ends this actor unless it traps exits, and the
                end of this actor, for whatever reason, ends the child.
            node: the name of the node to start it on, which must have granted ``spawn``; here, unless told otherwise.
            start_timeout: seconds it may take to become ready.

        Raises:
            StartFailed: its constructor or ``started`` failed, or its node cannot be reached (``NoConnection``) or would not
                start it; nothing is left of it.
            StartTimeout: it took too long and was killed.
            StartIgnored: it declined to run.
            AlreadyStarted: the name is taken; its constructor was not called.
        """
        me = self._living()
        cell, _ = await me.runtime.start(
            props, parent=me, name=name, link=link, node=node, start_timeout=start_timeout
        )
        return cell.ref

    async def spawn_watched(
        self,
        props: Props[N],
        /,
        *,
        name: str | Key[N] | None = None,
        link: bool = False,
        node: str | None = None,
    ) -> tuple[Ref[N], Monitor]:
        """Start an actor and watch it, with no moment in between in which its death could be missed."""
        me = self._living()
        cell, monitor = await me.runtime.start(
            props, parent=me, name=name, link=link, watch=True, node=node
        )
        assert monitor is not None
        return cell.ref, monitor

    def watch(self, ref: Ref[Any], /) -> Monitor:
        """Ask for one ``Down`` when the actor's present incarnation is gone; at once with ``NoActor`` if it is.

        Every call counts separately. Watching oneself is a no-op.

        Raises:
            ValueError: the actor lives in another system.
        """
        me = self._living()
        return me.runtime.watch(me, ref)

    def unwatch(self, monitor: Monitor, /, *, flush: bool = True) -> bool:
        """Stop watching; tells whether the monitor was still active.

        One that is unknown, has fired, or is another actor's, is left alone.

        After it returns no ``Down`` arrives. One may already wait in the mailbox: ``flush`` removes that too.
        """
        me = self._cell
        if me.fenced():
            return False
        watch = me.runtime.relations.unwatch(monitor, me)
        if watch is not None:
            watch.target.unwatched(watch)
        if flush:
            self._flush(lambda notice: isinstance(notice, Down) and notice.monitor == monitor)
        return watch is not None

    def link(self, ref: Ref[Any], /) -> None:
        """Tie this actor's fate to another's, both ways; linking twice, or to oneself, changes nothing.

        A dead actor gives an ``Exit`` with ``NoActor`` if this one traps exits.

        Raises:
            ActorDied: the other is gone, and this actor does not trap exits.
            ValueError: the other lives in another system.
        """
        me = self._living()
        me.runtime.link(me, ref)

    def unlink(self, ref: Ref[Any], /, *, flush: bool = True) -> None:
        """Undo a link; no ``Exit`` from it arrives any more. ``flush`` removes one that waits in the mailbox."""
        other = ref._cell
        if self._cell.fenced():  # those it was linked to are told of its death
            return
        if self._cell.runtime.relations.unlink(self._cell, other):
            other.unlinked_from(self._cell)
        if flush:
            self._flush(
                lambda notice: (
                    isinstance(notice, Exit) and notice.linked and notice.address == other.address
                )
            )

    def exit(self, ref: Ref[Any], reason: ExitReason, /) -> None:
        """Send an exit signal: the other ends with this reason, or gets an ``Exit`` if it traps them.

        To end the actor itself, hooks skipped, send it to ``ctx.self``.
        """
        if not self._cell.fenced():
            exit_signal(ref._cell, self._cell, self._cell.ref, reason, linked=False)

    # Other nodes -------------------------------------------------------------------------------------------------

    def is_up(self, node: str, /) -> bool:
        """Whether there is a connection to a node now; always, if it is this actor's own.

        Raises:
            LookupError: this system is no node of a cluster.
        """
        runtime = self._cell.runtime
        return node == runtime.node or runtime.port().is_up(node)

    def monitor_nodes(self) -> None:
        """Hear of nodes that come up (``NodeUp``) and are lost (``NodeLost``), at the hook ``node_changed``.

        Every call counts: n calls give n notices of each change. ``NodeUp`` comes before anything that node sends, and
        ``NodeLost`` after everything it has sent, every ``Down`` and ``Exit`` included.

        Raises:
            LookupError: this system is no node of a cluster.
        """
        me = self._living()
        me.runtime.port().monitor_nodes(me)

    def demonitor_nodes(self) -> bool:
        """Undo one ``monitor_nodes``; tells whether there was one."""
        me = self._living()
        return me.runtime.port().demonitor_nodes(me)

    def monitor_node(self, node: str, /) -> None:
        """Hear once when a node is lost, or cannot be reached now: a ``NodeLost`` at the hook ``node_changed``.

        Every call counts. A node that is not connected is dialled (``erlang:monitor_node/2``).

        Raises:
            LookupError: this system is no node of a cluster.
        """
        me = self._living()
        me.runtime.port().monitor_node(node, me)

    def demonitor_node(self, node: str, /) -> bool:
        """Undo one ``monitor_node``; tells whether there was one that had not fired."""
        me = self._living()
        return me.runtime.port().demonitor_node(node, me)

    def watch_group(self, group: Group[N], /) -> tuple[Ref[N], ...]:
        """The members of a process group now, and from now on every change, at the hook ``group_changed``.

        Raises:
            LookupError: this system is no node of a cluster.
        """
        me = self._living()
        return me.runtime.port().watch_group(group.name, me)

    def unwatch_group(self, group: Group[Any], /) -> bool:
        """Hear of a group no more; tells whether it was watched. No notice arrives after this returns."""
        me = self._living()
        watched = me.runtime.port().unwatch_group(group.name, me)
        self._flush(lambda n: isinstance(n, GroupChanged) and n.group == group.name)
        return watched

    # Time --------------------------------------------------------------------------------------------------------

    def send_after(self, seconds: float, message: M_contra, /) -> TimerHandle:
        """Get ``message`` after ``seconds``, never early. The timer dies with the actor."""
        me = self._living()
        return me.runtime.clock.send_after(me, seconds, message)

    def send_every(self, seconds: float, message: M_contra, /) -> TimerHandle:
        """Get ``message`` every ``seconds``, without drift: each interval counts from the previous deadline.

        If the actor cannot keep up, at most one such message waits in its mailbox.
        """
        me = self._living()
        return me.runtime.clock.send_every(me, seconds, message)

    def idle_after(self, seconds: float, message: M_contra, /) -> None:
        """Get ``message`` once if no message arrives for ``seconds`` from now; any message calls it off."""
        if self._cell.idle_timer is not None:
            self._cell.idle_timer.cancel()
        self._cell.idle_timer = IdleTimer(self._cell, seconds, message)

    async def sleep(self, seconds: float, /) -> None:
        """Wait, handling nothing meanwhile."""
        clock = self._cell.runtime.clock
        wait = Sleep(direct_cell(), None)
        clock.wake_after(wait, seconds)
        await wait

    def start_soon(
        self, function: Callable[[Unpack[Ts]], Awaitable[object]], /, *args: *Ts
    ) -> None:
        """Run an async function in the background; it belongs to the actor and is cancelled when the actor ends.

        If it raises, the actor crashes of it. It may tell and ask, the actor itself too; it must not touch the actor's
        state, which only handlers may.
        """
        self._cell.runtime.start_work(self._cell, function, args)

    # Itself ------------------------------------------------------------------------------------------------------

    def continue_with(self, message: M_contra, /) -> None:
        """Handle ``message`` next, before everything that waits (OTP's ``handle_continue``)."""
        cell = self._living()
        cell.runtime.sent += 1
        cell.open_mail().insert(len(_head(cell.queue)), Next(message))
        cell.wake()

    def stop(self, reason: ExitReason = NORMAL, /) -> None:
        """End this actor after the message in hand: ``stopping`` runs, then the reply of that message goes out."""
        if not self._cell.beyond:
            self._cell.leave = reason
            self._cell.order(StopOrder(reason))

    async def stop_child(
        self, ref: Ref[Any], /, *, limit: float | None, kill: bool = False
    ) -> ExitReason:
        """End an actor and wait until it is gone; returns its exit reason.

        Of an end it has ordered this actor gets no exit signal, whatever the reason: a linked child can be stopped.

        Args:
            ref: an actor, usually a child.
            limit: seconds it may take to end in good order before it is killed; None waits for ever.
            kill: kill it at once.

        Raises:
            ActorDied: the actor itself is gone; nothing was stopped.
        """
        (reason,) = await self.stop_children((ref,), limit=limit, kill=kill)
        return reason

    async def stop_children(
        self, refs: Sequence[Ref[Any]], /, *, limit: float | None, kill: bool = False
    ) -> list[ExitReason]:
        """End several actors at once, as ``stop_child`` does, and wait until all are gone; reasons in order.

        They share one limit.
        """
        me = self._living()
        runtime = me.runtime
        waits = [
            runtime.begin_stop(ref._cell, SHUTDOWN, limit=limit, kill=kill, by=me) for ref in refs
        ]
        return [await runtime.stopped(wait) for wait in waits]

    # For supervisors ---------------------------------------------------------------------------------------------

    @property
    def runtime(self) -> Runtime:
        """The kernel of this node, for library actors that manage others' seats."""
        return self._cell.runtime

    def told_to_stop(self) -> bool:
        """Whether the actor ends after the message in hand: then it had better begin nothing new."""
        return any(isinstance(order, StopOrder) for order in self._cell.control or ())

    def seat(self, segment: str, /) -> Seat:
        """The lasting place of a supervised child: its reference and its mail outlive its incarnations."""
        return self._cell.runtime.seat(self._cell, segment)

    async def start_in(self, seat: Seat, props: Props[Any], /, **options: Any) -> Address:
        """Start the next incarnation of a supervised child, linked to this actor; returns its address."""
        me = self._living()
        cell, _ = await me.runtime.start(props, parent=me, link=True, seat=seat, **options)
        return cell.address

    def take_exits(self, addresses: Collection[Address], /) -> dict[Address, ExitReason]:
        """Take the exit signals of linked incarnations out of the mailbox; returns the reasons of those found."""
        taken = self._flush(lambda n: isinstance(n, Exit) and n.linked and n.address in addresses)
        return {n.address: n.reason for n in taken if n.address is not None}

    def seats(self) -> Mapping[str, Seat]:
        """The seats below this actor, by segment."""
        return self._cell.runtime.seats_of(self._cell)

    def drop_seat(self, segment: str, /) -> None:
        """Close a seat and take it away: mail that waits there becomes dead letters."""
        if self._cell.fenced():
            return
        seat = self._cell.runtime.seats_of(self._cell).pop(segment, None)
        if seat is not None:
            seat.close()

    def _living(self) -> Cell:
        """The actor's cell, for what only the living may do.

        Raises:
            ActorDied: the actor is gone; this is code of its that has not unwound yet.
        """
        cell = self._cell
        if cell.state is State.DEAD or cell.fenced():
            raise died(cell.path, cell.reason or cell.doomed or NO_ACTOR)
        return cell

    def _flush(self, match: Callable[[Down | Exit | Notice], bool]) -> list[Any]:
        """Take the death notices that match out of the mailbox."""
        cell = self._cell
        taken = take_out(cell.queue, lambda item: type(item) is Signal and match(item.notice))
        cell.uncounted -= len(taken)
        return [signal.notice for signal in taken]


def _head(queue: deque[Any]) -> list[Any]:
    """The control mark and the continuations that stand at the head of a mailbox."""
    head: list[Any] = []
    for item in queue:
        if item is not ATTENTION and type(item) is not Next:
            break
        head.append(item)
    return head
