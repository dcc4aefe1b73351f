"""One incarnation of one actor: its mailbox, and its state as the kernel sees it.

A cell is not a task. It is a deque and a generator (``dispatcher.live``) that carriers step. Two rules hold everywhere:

* ``idle`` is True only while the generator rests with an empty mailbox; whoever gives an idle cell something to do sets
  it to False and pushes the cell onto the run queue, once.
* The exit reason is decided once, in ``ending.doom`` or by the generator, and recorded by ``bury``; it is never read off
  an exception that surfaces later.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from types import GeneratorType
from typing import TYPE_CHECKING, Any, ClassVar

from actorkit.errors import MailboxFull
from actorkit.kernel.address import Address
from actorkit.kernel.call import Call, died
from actorkit.kernel.events import DeadReason, HighWater
from actorkit.kernel.exits import KILLED, NO_ACTOR, ExitReason
from actorkit.kernel.items import (
    ATTENTION,
    NO_MAIL,
    ROOM,
    Fired,
    Next,
    RoomWait,
    StopOrder,
    is_internal,
    is_mail,
)
from actorkit.kernel.mailbox import Admission, Mailbox, admission, next_threshold
from actorkit.kernel.stream import StreamCall
from actorkit.kernel.wait import (
    CURRENT,
    NOBODY,
    ZOMBIES,
    ActorExit,
    Carrier,
    Sentinel,
    Wait,
)

if TYPE_CHECKING:
    from actorkit.kernel.actor import Actor, Props
    from actorkit.kernel.life import EndWait
    from actorkit.kernel.ref import Ref
    from actorkit.kernel.relations import Watch
    from actorkit.kernel.runtime import Runtime
    from actorkit.kernel.seat import Seat
    from actorkit.kernel.vocabulary import HandlerTable

RING = 8


class State(IntEnum):
    """Where an actor is in its life."""

    NEW = 0
    STARTING = 1
    RUNNING = 2
    STOPPING = 3
    DEAD = 4


class Leave(Exception):
    """Raised inside the actor's loop when it must end with the reason in ``cell.leave``."""


class Cell:
    """One incarnation of one actor. Only the kernel touches it; users hold a ``Ref``.

    A cell may stand for an actor on another node (``elsewhere``): its full, closed mailbox sends all that comes through the
    slow doors below, which the cluster's subclass leads to the wire.
    """

    elsewhere: ClassVar[bool] = False
    name_elsewhere: ClassVar[str | None] = None  # by which it is reached, if by name and elsewhere

    __slots__ = (
        "__weakref__", "actor", "batch", "call", "carrier", "children", "control", "crowded", "deferred",
        "doomed", "gen", "handled", "high", "idle", "idle_timer", "key", "leave", "limit", "mailbox", "name", "parent",
        "path", "pinned", "props", "push", "queue", "ready", "reason", "ref", "ring", "run", "runtime", "seat", "seats",
        "senders", "serial", "skipped", "started_at", "state", "step", "suspended", "table", "timers", "uncounted",
        "waiters", "waiting", "work",
    )  # fmt: skip

    def __init__(  # noqa: PLR0915 - one line per slot
        self, runtime: Runtime, props: Props[Any], path: str, ref: Ref[Any], parent: Cell | None
    ) -> None:
        cls = props.cls
        self.runtime = runtime
        self.props = props
        self.path = path
        self.ref = ref
        self.parent = parent
        self.serial = 0
        self.key: str | None = None
        self.name: str | None = None
        self.seat: Seat | None = None
        self.seats: dict[str, Seat] | None = None
        self.children: dict[str, Cell] | None = None
        # The mailbox and the run queue's view of the cell.
        self.mailbox: Mailbox = cls.mailbox
        self.queue: deque[Any] = NO_MAIL
        self.limit = 0
        self.batch = 1
        self.uncounted = 0
        self.idle = False
        self.push: Callable[[Cell], None] = runtime.dispatcher.enqueue
        self.table: HandlerTable = cls.__actorkit_table__
        self.control: deque[Any] | None = None
        self.senders: deque[RoomWait] | None = None
        self.crowded = False
        self.high = False
        # The life of the actor.
        self.actor: Actor[Any] | None = None
        self.gen: GeneratorType[Any, Any, Any] | None = None
        self.step: Callable[[Any], Any] = _nothing
        self.run: Callable[..., Any] = _unborn
        self.carrier: Carrier = NOBODY
        self.pinned = False
        self.state = State.NEW
        self.suspended = False
        self.doomed: ExitReason | None = None
        self.leave: ExitReason | None = None
        self.reason: ExitReason | None = None
        self.waiters: list[Wait] | None = None
        # What it is doing, and what it has done.
        self.call: Call | None = None
        self.waiting: Wait | list[Wait] | None = None
        self.deferred: dict[Call | StreamCall, None] | None = None
        self.timers: dict[Any, None] | None = None
        self.idle_timer: Any = None
        self.work: dict[Any, Any] | None = None
        self.handled = 0
        self.skipped = 0
        self.ring: list[type | None] = _EMPTY_RING
        self.started_at = 0.0
        self.ready = False

    def __repr__(self) -> str:
        return f"<Cell {self.path} {self.address} {self.state.name}>"

    @property
    def address(self) -> Address:
        """This incarnation's address."""
        return Address(self.runtime.node, self.runtime.incarnation, self.serial)

    @property
    def traps(self) -> bool:
        """Whether exit signals reach this actor as messages."""
        return self.props.cls.trap_exits

    @property
    def messages_handled(self) -> int:
        """How many messages were handled so far, the one in hand included."""
        return self._taken() - self.skipped

    def _taken(self) -> int:
        """How many items were taken from the mailbox; in the midst of a batch only the generator knows."""
        frame = None if self.idle or self.gen is None else self.gen.gi_frame
        return self.handled if frame is None else max(self.handled, frame.f_locals.get("seq", 0))

    @property
    def waiting_mail(self) -> int:
        """How many messages wait."""
        return max(0, len(self.queue) - self.uncounted)

    def mail_count(self) -> int:
        """How many messages wait, timers' included: counted one by one, for the books."""
        return sum(1 for item in self.queue if is_mail(item) or type(item) is Fired)

    # Mail --------------------------------------------------------------------------------------------------------

    def open_mail(self) -> deque[Any]:
        """The mailbox, made when the first item comes: most of an idle actor's memory would be an empty deque."""
        if self.queue is NO_MAIL:
            self.queue = deque()
            if self.state is not State.DEAD:
                self.limit = next_threshold(self.mailbox, high=False)
        return self.queue

    def wake(self) -> None:
        """Give an idle cell its turn."""
        if self.idle:
            self.idle = False
            self.push(self)

    def put(self, item: Any) -> None:
        """Append something that is not counted as a message: a signal, a timer's message, an inspection."""
        if self.state is not State.DEAD:
            self.open_mail().append(item)
            self.uncounted += 1
            self.wake()

    def order(self, control: Any) -> None:
        """Take a control message: it is attended to before any message that waits.

        An actor that rests and has no ``stopping`` hook is ended right here, with no turn of its own.
        """
        if self.idle and type(control) is StopOrder and not self.props.cls.__actorkit_stops__:
            self.bury(control.reason)
            self.runtime.release(self)
            return
        if self.control is None:
            self.control = deque()
        self.control.append(control)
        if self.suspended:
            self.suspended = False
            self.push(self)
        elif len(self.control) == 1:
            self.open_mail().appendleft(ATTENTION)
            self.uncounted += 1
            self.wake()

    def ask_to_stop(self, reason: ExitReason) -> None:
        """Take an order to end that keeps its place among messages."""
        if self.idle or self.suspended:
            self.order(StopOrder(reason))
        else:
            self.put(StopOrder(reason))

    def accept(self, message: Any) -> None:
        """Append a message, whatever the capacity."""
        self.open_mail().append(message)
        self.wake()

    def overflow(self, message: Any) -> bool:
        """The slow door: take a message when the mailbox is at its threshold, or the actor is dead.

        Tells whether the message was accepted; what is not becomes a dead letter.
        """
        if self.state is State.DEAD:
            self.runtime.dead_letter(message, self, DeadReason.NO_ACTOR)
            return False
        match self.make_room():
            case Admission.REJECT:
                self.runtime.dead_letter(message, self, DeadReason.MAILBOX_FULL)
                return False
            case Admission.DROP_NEWEST:
                self.runtime.dead_letter(message, self, DeadReason.DROPPED_NEWEST)
                return False
            case _:
                self.accept(message)
                return True

    def admit(self, message: Any) -> deque[Any]:
        """The slow door of asks: the mailbox for one more request, room made if the policy says so.

        Raises:
            ActorDied: the actor is gone.
            MailboxFull: there is no room, and the policy makes none.
        """
        if self.state is State.DEAD:
            self.runtime.dead_letter(message, self, DeadReason.NO_ACTOR)
            raise died(self.path, NO_ACTOR)
        if self.full():
            self.runtime.dead_letter(message, self, DeadReason.MAILBOX_FULL)
            raise MailboxFull(self.path, self.mailbox.capacity)
        self.make_room()
        return self.open_mail()

    def send_exit(self, sender: Cell | None, reason: ExitReason, *, linked: bool) -> None:
        """Send an exit signal to an actor that lives elsewhere."""
        raise NotImplementedError

    def send_kill(self) -> None:
        """Kill an actor that lives elsewhere."""
        raise NotImplementedError

    def send_stop(
        self, wait: EndWait, reason: ExitReason, *, limit: float | None, kill: bool
    ) -> None:
        """Tell an actor that lives elsewhere to end; ``wait`` is over once it has."""
        raise NotImplementedError

    def watched(self, watch: Watch[Cell]) -> None:
        """Somebody here has begun to watch this actor, that may live elsewhere."""

    def unwatched(self, watch: Watch[Cell]) -> None:
        """Somebody here does not watch this actor any more."""

    def linked_to(self, cell: Cell) -> None:
        """An actor here has been linked to this one, that may live elsewhere."""

    def unlinked_from(self, cell: Cell) -> None:
        """A link to this actor has been undone."""

    def given_up(self, call: Call) -> None:
        """An asker waits no more; the actor is not told."""

    def expect_end(self) -> None:
        """Somebody has begun to wait for the end of this incarnation."""

    def make_room(self) -> Admission:
        """Decide about one more message, note the high-water mark, and drop the oldest if that is the policy."""
        waiting = self.waiting_mail
        if waiting >= self.mailbox.high_water and not self.high:
            self._rise(waiting)
        decision = admission(self.mailbox, waiting)
        if decision is Admission.DROP_OLDEST:
            self._drop_oldest()
        return decision

    def full(self) -> bool:
        """Whether an ask or ``send`` must be told that there is no room."""
        return admission(self.mailbox, self.waiting_mail) in (
            Admission.REJECT,
            Admission.DROP_NEWEST,
        )

    def _rise(self, waiting: int) -> None:
        self.high = self.crowded = True
        self.limit = next_threshold(self.mailbox, high=True)
        self.runtime.events.emit(HighWater(self.path, self.address, waiting, self.mailbox.capacity))

    def _drop_oldest(self) -> None:
        kept: list[Any] = []
        while self.queue:
            item = self.queue.popleft()
            if is_mail(item) and type(item) is not Next:
                self.queue.extendleft(reversed(kept))
                self.refuse_mail(item, DeadReason.DROPPED_OLDEST)
                return
            kept.append(item)
        self.queue.extendleft(reversed(kept))

    def refuse_mail(self, item: Any, why: DeadReason) -> None:
        """Turn a queued message away: it becomes a dead letter, and an asker is told."""
        if isinstance(item, (Call, StreamCall)):
            if why is DeadReason.DROPPED_OLDEST:
                item.fail(MailboxFull(self.path, self.mailbox.capacity))
            else:
                item.fail(died(self.path, self.reason or KILLED))
            item = item.message
        elif type(item) is Next:
            item = item.message
        self.runtime.dead_letter(item, self, why)

    def relieve(self) -> None:
        """Called between batches while crowded: let waiting senders in, and note when the mailbox has emptied."""
        timer = self.idle_timer
        if timer is not None and timer.seen is None:
            timer.seen = self.messages_handled
        senders = self._let_in(taking=0)
        if not self.queue:
            self.high = False
            self.limit = next_threshold(self.mailbox, high=False)
        self.crowded = self.high or bool(senders)

    def queue_up(self, wait: RoomWait) -> None:
        """A sender begins to wait; while any does, a mark in the mailbox has room looked for before each message."""
        if self.senders is None:
            self.senders = deque()
        self.senders.append(wait)
        self.crowded = True
        if len(self.senders) == 1:
            self.mark_room(0)

    def mark_room(self, position: int) -> None:
        """Put the mark that has room looked for into the mailbox."""
        self.open_mail().insert(position, ROOM)
        self.uncounted += 1

    def make_way(self) -> None:
        """The mark has surfaced: whatever stands behind it is taken next, so its place is free."""
        self.uncounted -= 1
        self.skipped += 1
        if (
            self.queue and self.queue[0] is ROOM
        ):  # one sender left, another came: one mark is enough
            return
        if self._let_in(taking=int(bool(self.queue) and is_mail(self.queue[0]))):
            self.mark_room(1)

    def _let_in(self, taking: int) -> deque[RoomWait] | None:
        senders = self.senders
        while senders and admission(self.mailbox, self.waiting_mail - taking) is Admission.ACCEPT:
            wait = senders.popleft()
            if not wait.done:
                self.runtime.sent += 1
                self.open_mail().append(wait.message)
                wait.resolve(None)
        return senders

    # Replies that were put off -----------------------------------------------------------------------------------

    def defer(self, call: Call | StreamCall) -> None:
        """Remember a request whose reply the actor keeps for later; who will answer it is then unknown."""
        if isinstance(call, Call):
            call.target = None
            call.value = self.path  # until it is answered: a time-out still says who was asked
        if self.deferred is None:
            self.deferred = {}
        self.deferred[call] = None

    def forget_deferred(self, call: Call | StreamCall) -> None:
        """A deferred reply was given."""
        if self.deferred is not None:
            self.deferred.pop(call, None)

    # Dying -------------------------------------------------------------------------------------------------------

    @property
    def beyond(self) -> bool:
        """Whether no signal can reach it: it is dead or doomed, or a vacancy, in which only mail waits."""
        return self.state is State.DEAD or self.doomed is not None or not self.serial

    @property
    def running(self) -> bool:
        """Whether the actor's own code is on the stack at this moment."""
        return self.gen is not None and self.gen.gi_running

    def fenced(self) -> bool:
        """Whether the code that runs at this moment belongs to an actor that was declared dead."""
        return bool(ZOMBIES) and CURRENT.get() in ZOMBIES

    def check_alive(self, origin: Any) -> None:
        """Unwind code of a doomed actor that goes on waiting for things.

        Once that code has unwound, what still has the actor's context are tasks it left in nurseries of others.

        Raises:
            ActorExit: the actor is doomed.
        """
        if origin in ZOMBIES:
            raise ActorExit

    def bury(self, reason: ExitReason) -> None:
        """Record the death and tell everyone, in OTP's order: names are free before anybody hears (1.8)."""
        if self.state is State.DEAD:
            return
        self.state = State.DEAD
        self.reason = reason
        self.limit = -1
        self.idle = False
        self.step = _nothing
        self.handled = self._taken()
        self.runtime.bury(self, reason)

    def took(self, seq: int, content: Any) -> None:
        """Note what came in the envelope that was taken as the ``seq``-th item."""
        self.ring[seq & (RING - 1)] = type(content)

    def in_hand(self) -> str:
        """The type of the last item taken from the mailbox; empty before the first."""
        last = self.ring[self._taken() & (RING - 1)] if self.ring else None
        return last.__qualname__ if last is not None else ""

    def recent(self) -> tuple[str, ...]:
        """The types of the last items taken from the mailbox, oldest first."""
        if self.ring is _EMPTY_RING:
            return ()
        start = self._taken() + 1
        ordered = (self.ring[(start + i) & (RING - 1)] for i in range(RING))
        return tuple(t.__qualname__ for t in ordered if t is not None and not is_internal(t))

    def start_context(self) -> None:
        """Give the cell the context its code runs in: a copy of the one the system was opened in."""
        context = self.runtime.context.copy()
        context.run(CURRENT.set, self)
        self.run = context.run


DEAD = Sentinel("DEAD")
_EMPTY_RING: list[type | None] = []


def _nothing(_: Any) -> Any:
    """What a carrier steps when the cell died while it stood in the run queue."""
    return DEAD


def _unborn(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def fresh_context() -> contextvars.Context:
    """The context new actors start from: the caller's, without any actor in it."""
    context = contextvars.copy_context()
    context.run(CURRENT.set, None)
    return context
