"""``Ref[M]``: the handle of an actor that takes messages of ``M``. Local, supervised or by name, it is used alike.

A reference is contravariant: a ``Ref[Deposit | Tick]`` is a ``Ref[Deposit]``. It never exposes ``M`` in a result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from trio.lowlevel import enable_ki_protection

from actorkit.errors import CircularAsk
from actorkit.kernel.address import Address
from actorkit.kernel.call import Call, died
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.ending import doom
from actorkit.kernel.events import DeadReason
from actorkit.kernel.exits import KILLED, NO_ACTOR, NORMAL, ExitReason
from actorkit.kernel.items import RoomWait
from actorkit.kernel.message import AskOf, StreamOf
from actorkit.kernel.stream import Stream, StreamCall
from actorkit.kernel.timekeeping import checked_seconds
from actorkit.kernel.wait import CURRENT, ZOMBIES, Wait, check_circle, direct_cell, origin

if TYPE_CHECKING:
    from actorkit.kernel.runtime import Runtime

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")
T = TypeVar("T")

DEFAULT_TIMEOUT = 5.0
STREAM_WINDOW = 16


class StopWait(Wait):
    """Someone waits for an actor to end; with a time-out it says so."""

    __slots__ = ("path", "seconds")

    def __init__(self, cell: Cell | None, target: Cell, seconds: float | None) -> None:
        super().__init__(cell, target)
        self.path = target.path
        self.seconds = seconds

    def expire(self) -> None:
        """The one who waits is told; the actor still ends when it gets to it."""
        self.fail(
            TimeoutError(f"{self.path} has not ended within {self.seconds:g} s; it still will")
        )


class Ref(Generic[M_contra]):
    """A reference to an actor whose vocabulary is ``M``.

    The reference of a supervised child outlives the child's incarnations: mail sent to it during a restart waits for the
    next one.
    """

    __slots__ = ("__weakref__", "_cell")

    _cell: Cell

    def __init__(self, cell: Cell | None = None) -> None:
        if cell is not None:
            self._cell = cell

    def __repr__(self) -> str:
        return f"Ref({self._cell.path})"

    @property
    def path(self) -> str:
        """Where the actor stands in the tree: ``/bank/alice``."""
        return self._cell.path

    @property
    def address(self) -> Address:
        """The address of the actor's present incarnation."""
        return self._cell.address

    @property
    def alive(self) -> bool:
        """Whether the actor runs now; False only after its names are free. Not a promise about the next moment."""
        return State.STARTING <= self._cell.state <= State.STOPPING

    @enable_ki_protection
    def tell(self, message: M_contra, /) -> None:
        """Send a message and go on at once: what cannot be delivered becomes a dead letter, and nothing is raised.

        One thing is: ``Unencodable``, if the actor lives on another node and the message cannot travel.

        Like everything here it may be used in the system's own thread only. From another one it is unsafe, and found out
        (``RuntimeError``) only if the system happens to rest: go through a ``Portal`` there.
        """
        cell = self._cell
        if ZOMBIES and CURRENT.get() in ZOMBIES:
            cell.runtime.dead_letter(message, cell, DeadReason.FENCED)
            return
        queue = cell.queue
        if len(queue) >= cell.limit:
            cell.overflow(message)
            return
        queue.append(message)
        if cell.idle:
            cell.idle = False
            cell.push(cell)

    @enable_ki_protection
    async def send(self, message: M_contra, /) -> None:
        """Send a message, waiting until the mailbox has room for it.

        Raises:
            ActorDied: the actor is gone, or went while this waited; the message is a dead letter.
            CircularAsk: the actor waits, directly or not, for this one.
        """
        cell = self._cell
        if ZOMBIES and CURRENT.get() in ZOMBIES:
            self.tell(message)
            raise died(cell.path, KILLED)
        if cell.state is State.DEAD or len(cell.queue) < cell.limit or not cell.full():
            self.tell(message)
            if cell.state is State.DEAD:
                raise died(cell.path, NO_ACTOR)
            return
        if cell.mailbox.overflow != "reject":
            self.tell(message)
            return
        check_circle(origin(), cell)
        wait = RoomWait(direct_cell(), cell, message)
        cell.queue_up(wait)
        await wait

    @enable_ki_protection
    async def ask(
        self, message: AskOf[M_contra, R], /, *, timeout: float | None = DEFAULT_TIMEOUT
    ) -> R:
        """Send a request and wait for its reply.

        Args:
            message: a ``Request[R]``.
            timeout: seconds to wait; None waits as long as the actor lives.

        Raises:
            AskTimeout: no reply in time, so the outcome is unknown; the actor is not told.
            ActorDied: the actor is gone, or died before it answered; known at once, not by time-out.
            NodeDown: the connection to the actor's node was lost, or cannot be made: the outcome is unknown.
            MailboxFull: there was no room; nothing was sent.
            CircularAsk: the actor waits, directly or not, for this one.
            Unhandled: the actor has no handler for the message.
            Unencodable: the message, or its reply, cannot travel to another node.
            Refused: the actor said no; the subclass says why.
        """
        cell = self._cell
        me = direct_cell()
        if me is None:
            slow: R = await self._ask_slowly(cell, message, timeout)
            return slow
        if cell.waiting is not None or cell is me:
            check_circle(me, cell)
        call = Call(message, me, cell)
        queue = cell.queue
        if len(queue) >= cell.limit:
            queue = cell.admit(message)
        if timeout is not None:  # first, for a wrong time-out must not leave a request behind
            call.seconds = timeout
            lane = me.runtime.clock.lanes.get(timeout)
            if lane is None:
                me.runtime.clock.expire(call, timeout)
            else:
                lane.noted.append(call)
        queue.append(call)
        if cell.idle:
            cell.idle = False
            cell.push(cell)
        reply: R = await call
        return reply

    @enable_ki_protection
    async def _ask_slowly(self, cell: Cell, message: Any, timeout: float | None) -> Any:
        """Ask from a plain trio task, or from inside a handler's own nursery or cancel scope."""
        check_circle(origin(), cell)
        if ZOMBIES and CURRENT.get() in ZOMBIES:
            cell.runtime.dead_letter(message, cell, DeadReason.FENCED)
            raise died(cell.path, KILLED)
        call = Call(message, None, cell)
        if len(cell.queue) >= cell.limit:
            cell.admit(message)
        if timeout is not None:
            call.seconds = timeout
            cell.runtime.clock.expire(call, timeout)
        cell.accept(call)
        return await call

    def stream(
        self,
        message: StreamOf[M_contra, T],
        /,
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        window: int = STREAM_WINDOW,
    ) -> Stream[T]:
        """Send a request that is answered by a stream; the producer waits while ``window`` items are unread.

        Args:
            message: a ``StreamRequest[T]``.
            timeout: seconds to wait for each item; None waits as long as the actor lives.
            window: how many unread items the producer may be ahead.
        """
        if window < 1:
            raise ValueError(f"a stream's window is a number of items from 1 up, got {window!r}")
        if timeout is not None:
            checked_seconds(timeout)
        return Stream(StreamCall(message, self._cell, timeout, window), self._open_stream)

    def _open_stream(self, call: StreamCall) -> None:
        cell = call.owner = self._cell  # who is there now, not when the stream was made
        call.path = cell.path
        call.wait_for(cell)
        check_circle(origin(), cell)
        if ZOMBIES and CURRENT.get() in ZOMBIES:
            cell.runtime.dead_letter(call.message, cell, DeadReason.FENCED)
            raise died(cell.path, KILLED)
        if len(cell.queue) >= cell.limit:
            cell.admit(call.message)
        cell.accept(call)

    async def stop(
        self, reason: ExitReason = NORMAL, *, timeout: float | None = DEFAULT_TIMEOUT
    ) -> None:
        """End the actor in good order when it has handled what was sent before, and wait until it is gone.

        The order keeps its place among messages, as with ``gen_server:stop``; a suspended actor ends at once. Its
        ``stopping`` hook runs. Messages sent later become dead letters, unless a supervisor restarts the actor.

        Raises:
            ActorDied: it was gone already (``NoActor``), or died of another reason than the one given.
            CircularAsk: the actor waits, directly or not, for this one.
            TimeoutError: it has not ended within ``timeout`` seconds; it still will when it gets to it.
        """
        cell = self._cell
        if not self.alive:
            raise died(cell.path, NO_ACTOR)
        if cell.fenced():
            raise died(cell.path, KILLED)
        check_circle(origin(), cell)
        cell.ask_to_stop(reason)
        actual = cell.reason or await _end_of(cell, timeout)
        if actual != reason:
            raise died(cell.path, actual)

    async def wait_stopped(self) -> ExitReason:
        """Wait until the present incarnation is gone, and return why; ``NoActor`` if there is none."""
        cell = self._cell
        if cell.state is State.DEAD or cell.state is State.NEW:
            return cell.reason or NO_ACTOR
        return await _end_of(cell, None)

    @enable_ki_protection
    def kill(self) -> None:
        """End the actor at once: no hook runs, what it still tries to send is dropped. It cannot refuse."""
        cell = self._cell
        if not cell.fenced():
            doom(cell, KILLED)


class CountingRef(Ref[M_contra]):
    """A reference that counts what is sent, so that tests can check that nothing vanishes."""

    __slots__ = ()

    def tell(self, message: M_contra, /) -> None:
        """Count, and tell."""
        self._cell.runtime.sent += 1
        super().tell(message)

    async def ask(
        self, message: AskOf[M_contra, R], /, *, timeout: float | None = DEFAULT_TIMEOUT
    ) -> R:
        """Count, and ask."""
        if timeout is not None:
            checked_seconds(timeout)
        runtime = self._cell.runtime
        runtime.sent += 1
        forwarded = runtime.forwarded
        try:
            return await super().ask(message, timeout=timeout)
        except CircularAsk:
            if (
                not self._cell.elsewhere or runtime.forwarded == forwarded
            ):  # raised before it was sent
                runtime.sent -= 1
            raise

    def _open_stream(self, call: StreamCall) -> None:
        runtime = call.owner.runtime
        runtime.sent += 1
        try:
            super()._open_stream(call)
        except CircularAsk:  # raised before anything is sent
            runtime.sent -= 1
            raise


class NamedRef(Ref[M_contra]):
    """A reference by name: every message goes to whoever holds the name when it is sent."""

    __slots__ = ("_name", "_runtime")

    def __init__(self, runtime: Runtime, name: str) -> None:
        super().__init__()
        self._runtime = runtime
        self._name = name

    @property
    def _cell(self) -> Cell:  # type: ignore[override]
        return self._runtime.holder_or_nobody(self._name)

    @property
    def registered_name(self) -> str:
        """The name."""
        return self._name

    def __repr__(self) -> str:
        return f"Ref(name={self._name!r})"


class CountingNamedRef(  # pyright: ignore[reportIncompatibleVariableOverride] - NamedRef's wins
    NamedRef[M_contra], CountingRef[M_contra]
):
    """A reference by name that counts what is sent."""

    __slots__ = ()


async def _end_of(cell: Cell, timeout: float | None) -> ExitReason:
    wait = StopWait(direct_cell(), cell, timeout)
    if cell.waiters is None:
        cell.waiters = []
    cell.waiters.append(wait)
    cell.expect_end()
    if timeout is not None:
        cell.runtime.clock.expire(wait, timeout)
    reason: ExitReason = await wait
    return reason
