"""One live connection to a peer: a reader, a writer, a pulse, and the calls that are under way over it.

What is said during a turn of the dispatcher leaves in one piece when the turn ends, right from there if the transport takes
it; the writer task is woken only for what it does not take. So a request between two nodes costs no switch of tasks on the way out.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import trio

from actorkit.cluster import frames
from actorkit.cluster.inbound import Inbound
from actorkit.cluster.keys import Grant
from actorkit.cluster.liveness import Liveness, Pulse
from actorkit.cluster.outbound import Outbound
from actorkit.cluster.outbox import Outbox
from actorkit.cluster.remote import EarlyWait, Incoming, RemoteCell
from actorkit.cluster.streams import IncomingStream, OutgoingStream
from actorkit.cluster.wire import Assembler, FrameReader, FrameWriter, parse
from actorkit.codec import unpack_plain
from actorkit.errors import AskError, NodeDown, NotGranted, ProtocolError
from actorkit.kernel.call import Call, died
from actorkit.kernel.exits import NO_ACTOR, NO_CONNECTION, NORMAL, ExitReason
from actorkit.kernel.life import EndWait
from actorkit.kernel.message import error_text
from actorkit.kernel.notices import LostReason
from actorkit.kernel.stream import StreamCall
from actorkit.kernel.wait import Carrier, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorkit.cluster.fabric import Fabric
    from actorkit.cluster.handshake import Session
    from actorkit.cluster.peer import Peer
    from actorkit.kernel.cell import Cell
    from actorkit.seams.transport import Connection

READ = 1 << 16  # bytes taken from the network at once: a few thousand small messages
BREATHS = 4  # turns the actors here get before more is read, if they are behind
LAST_WORDS = 1.0  # seconds for what still waits to leave when a connection is closed in good order
SWEEP = 1024  # calls under way before those given up are looked for


class ServiceCall(EarlyWait):
    """A request to another node itself."""

    __slots__ = ("node", "seconds", "what", "why")

    def __init__(self, cell: Cell | None, node: str, what: str) -> None:
        super().__init__(cell, None)
        self.node = node
        self.what = what
        self.why = ""  # there is no way to the node
        self.seconds: float | None = None

    def answered(self, value: Any) -> None:
        """The node has answered."""
        self.resolve(value)

    def lost(self) -> None:
        """The node is out of reach."""
        self.fail(NodeDown(self.node, self.why))

    def expire(self) -> None:
        """The node has not answered in time."""
        self.fail(TimeoutError(f"node {self.node} has not answered {self.what} in time"))


class EndCall:
    """An order to end, given to an actor elsewhere."""

    __slots__ = ("wait",)

    def __init__(self, wait: EndWait) -> None:
        self.wait = wait

    def answered(self, value: Any) -> None:
        """It has ended; if it sat in a seat of ours, the seat is free before anybody hears."""
        ended = self.wait.target
        if ended is not None and ended.seat is not None:
            ended.seat.vacate(ended)
        self.wait.resolve(value)

    def fail(self, error: BaseException) -> None:
        """It may not be ended from here."""
        self.wait.fail(error)

    def lost(self) -> None:
        """Its node is out of reach: whether it has ended is unknown."""
        self.wait.resolve(NO_CONNECTION)


class _Ended:
    """Stands where the kernel keeps the cell that a resolved wait resumes: tells the peer that an actor has ended."""

    __slots__ = ("link", "number", "wait", "waiting")

    waiting: Any

    def __init__(self, link: Link, number: int, wait: EndWait) -> None:
        self.link = link
        self.number = number
        self.wait = wait

    def push(self, _: Any) -> None:
        target = self.wait.target  # told as if by itself, so that nothing it has sent comes after
        serial = target.serial if target is not None else 0
        self.link.out.ended(self.number, self.wait.value, serial)


class Link:
    """A connection over which both sides have proven who they are."""

    def __init__(
        self, fabric: Fabric, peer: Peer, number: int, connection: Connection, session: Session
    ) -> None:
        options = fabric.options
        self.fabric = fabric
        self.peer = peer
        self.number = number
        self.session = session
        self.closed = False
        self.outbox = Outbox(options.outbox_bytes, options.outbox_hard_bytes)
        self.out = Outbound(self)
        self.calls_out: dict[int, Any] = {}
        self.calls_in: dict[int, Call | IncomingStream] = {}
        self.spawned: WeakSet[Cell] = WeakSet()  # at the peer's wish
        self.heard_bytes = self.sent_bytes = 0
        self.hearsay: set[str] = set()  # names it has told of that nobody here has met
        self._connection = connection
        self._writer = FrameWriter(session.send_key)
        self._reader = FrameReader(session.receive_key)
        self._assembler = Assembler()
        self._inbound = Inbound(self)
        now = fabric.runtime.clock.now
        self._now = now
        self._liveness = Liveness(options.ticktime, options.intensity, now())
        self._due = False
        self._rest: memoryview | None = None
        self._writing = False
        self._wake = trio.Event()
        self._idle = trio.Event()
        self._next_call = 1
        self._sweep_at = SWEEP
        self._parting: LostReason | None = None
        self._ended = trio.Event()
        self._over = trio.Event()
        self._confirmed = False
        self._talked = False  # since the pulse was last looked at
        self._why: LostReason | None = None
        self.told = ""  # what was wrong, if the peer broke the protocol
        self._send_now: Callable[[bytes], int] = getattr(connection, "send_nowait", _takes_nothing)

    def __repr__(self) -> str:
        return f"<Link to {self.peer.name} {self._connection.peer}>"

    # Out ---------------------------------------------------------------------------------------------------------

    def due(self) -> None:
        """Something waits in the outbox: let it leave when the turn ends."""
        if not self._due and (not self._writing or self.outbox.over):
            self._due = True
            self.fabric.runtime.dispatcher.at_turn_end(self.flush)

    def flush(self) -> None:
        """Send what waits, as far as the transport takes it at once; the writer task sees to the rest."""
        self._due = False
        if self.closed:
            return
        if self._writing:  # and still more has come
            if self.outbox.over:
                self.fabric.break_off(self, LostReason.OVERFLOW)
            return
        self._due = True  # those who are let in meanwhile need not see to it
        self._send()
        while self.peer.crowded and self.peer.link is self and not self._writing:
            self.peer.let_in()
            self._send()
        self._due = False
        if self.outbox.over:
            self.fabric.break_off(self, LostReason.OVERFLOW)

    def _send(self) -> None:
        outbox = self.outbox
        self._talked = True
        while outbox.size:
            taken = outbox.take()
            if taken is None:
                break
            data = self._writer.frame(*taken)
            sent = self._send_now(data)
            self.sent_bytes += len(data)
            if sent < len(data):
                self._hand_over(memoryview(data)[sent:])
                break

    def make_room(self) -> bool:
        """Send what the transport takes, in the midst of a turn; tells whether there is room now."""
        self.flush()
        return not (self.closed or self.outbox.full)

    async def write(self) -> None:
        """The writer: sends what the transport did not take at once."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._rest is not None:
                rest, self._rest = self._rest, None
                await self._connection.send_all(rest)
                self._talked = True
                if self.peer.crowded:
                    self.peer.let_in()
                taken = self.outbox.take()
                if taken is not None:
                    data = self._writer.frame(*taken)
                    self.sent_bytes += len(data)
                    self._rest = memoryview(data)
            self._writing = False
            self._idle.set()
            self.flush()

    def tick(self) -> None:
        """Send a sign of life, unless something else is on its way."""
        if not self._writing:
            data = self._writer.frame(frames.TICK, b"")
            sent = self._send_now(data)
            if sent < len(data):
                self._hand_over(memoryview(data)[sent:])

    def _hand_over(self, rest: memoryview) -> None:
        """Leave the rest to the writer."""
        self._rest = rest
        self._writing = True
        self._idle = trio.Event()
        self._wake.set()

    # In ----------------------------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection  # as a carrier: actors run in it
    async def read(self) -> None:
        """A reader: carries out what comes until the connection ends, or an actor keeps its task.

        While no carrier is at work, what has come is served right here, in the reader's own turn of the dispatcher: a
        request costs no switch to another task. If an actor then waits on trio, this task stays with it, as a carrier
        would, and another one reads on.
        """
        dispatcher = self.fabric.runtime.dispatcher
        with trio.CancelScope() as scope:
            carrier = Carrier(trio.lowlevel.current_task(), scope)
            while not self._over.is_set():
                data = await self._receive()
                if not data or self._over.is_set():
                    break
                stuck = None
                try:
                    if dispatcher.awake:
                        self._arrived(data)
                    else:
                        stuck = dispatcher.lend_turn(carrier, self._arrived, data)
                except ProtocolError as error:
                    self._cut_off(error)
                if stuck is not None:
                    self.fabric.start_soon(self.read, name=f"read {self.peer.name}")
                    await dispatcher.stay_with(carrier, *stuck)
                    return
                breaths = 0
                while (
                    dispatcher.ready and breaths < BREATHS
                ):  # mailboxes are not filled faster than need be
                    breaths += 1
                    await trio.lowlevel.cancel_shielded_checkpoint()
            self._end(self._parting or LostReason.CLOSED)

    async def _receive(self) -> bytes:
        try:
            return await self._connection.receive_some(READ)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    def _cut_off(self, error: ProtocolError) -> None:
        """Whatever a peer says, it is the peer that is cut off."""
        self.told = error_text(error)
        self._end(LostReason.PROTOCOL)

    def _arrived(self, data: bytes) -> None:
        self.heard_bytes += len(data)
        self._liveness.heard(self._now())
        for kind, body in self._reader.feed(data):
            if not (self._confirmed or self._confirm()):
                return
            whole = body if kind == frames.OPS else None
            if kind == frames.FRAGMENT:
                whole = self._assembler.add(body)
            if whole is not None:
                self._perform(whole)
            if self.closed:
                return

    def _confirm(self) -> bool:
        self._confirmed = self.fabric.confirmed(self)
        return self._confirmed

    def _perform(self, body: bytes) -> None:
        ops = parse(body, unpack_plain)
        try:
            self._inbound.perform(ops)
        except (ProtocolError, trio.Cancelled):
            raise
        except BaseException as error:  # whatever a peer says, it is the peer that is cut off
            told = "".join(traceback.format_exception(error))
            raise ProtocolError(f"an op could not be carried out: {told}") from error

    async def keep_pulse(self) -> LostReason:
        """Tick while nothing else is said; returns when the peer has not been heard of for too long."""
        while True:
            woken = self._now()
            await trio.sleep(max(0.0, self._liveness.next(woken) - woken))
            if self._talked:  # since then: rather a tick too many than one too few
                self._talked = False
                self._liveness.spoke(woken)
            match self._liveness.due(self._now()):
                case Pulse.TICK:
                    self.tick()
                case Pulse.DOWN:
                    return LostReason.TICK
                case None:
                    pass

    async def run(self) -> LostReason:
        """Serve the connection until it ends; returns why."""
        if self.session.leftover:
            try:
                self._arrived(self.session.leftover)
            except ProtocolError as error:
                self._cut_off(error)
        self.fabric.start_soon(self.read, name=f"read {self.peer.name}")

        async def first(part: Callable[[], Any]) -> None:
            try:
                reason = await part()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                reason = LostReason.CLOSED
            self._end(reason)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first, self.write, name=f"write {self.peer.name}")
            nursery.start_soon(first, self.keep_pulse, name=f"pulse {self.peer.name}")
            await self._over.wait()
            nursery.cancel_scope.cancel()
        return self._why or LostReason.CLOSED

    def _end(self, reason: LostReason) -> None:
        """The connection is over; the first to say so says why."""
        if self._why is None:
            self._why = reason
        self._over.set()

    # Calls -------------------------------------------------------------------------------------------------------

    def request(self, cell: RemoteCell, call: Call | StreamCall, sender: int) -> None:
        """Send a request.

        Raises:
            Unencodable: it cannot travel.
        """
        number = self.enter(call)
        try:
            if isinstance(call, StreamCall):
                self.out.stream(cell.to, number, call, sender)
                self.calls_out[number] = OutgoingStream(self, number, call, sender)
            else:
                self.out.ask(cell.to, number, call, sender)
                call.value = (number, sender)  # free until it is answered
        except BaseException:
            del self.calls_out[number]
            raise

    def enter(self, call: Any) -> int:
        """Give a call a number."""
        if len(self.calls_out) >= self._sweep_at:
            self._sweep()
        number = self._next_call
        self._next_call += 1
        self.calls_out[number] = call
        return number

    def _sweep(self) -> None:
        """Forget calls that have timed out and whose replies never came."""
        for number, call in list(self.calls_out.items()):
            if isinstance(call, Wait) and call.done:
                del self.calls_out[number]
        self._sweep_at = max(SWEEP, 2 * len(self.calls_out))

    def waiting_call(self, number: int) -> Any:
        """The call with that number; None if nobody waits for it any more.

        Raises:
            ProtocolError: no such call was ever made.
        """
        if not 0 < number < self._next_call:
            raise ProtocolError(f"an answer to call {number}, which nobody has made")
        return self.calls_out.get(number)

    def take_call(self, number: int) -> Any:
        """The same, and it is over now."""
        call = self.waiting_call(number)
        self.calls_out.pop(number, None)
        return call

    def forget(self, call: Call) -> None:
        """The asker waits no more."""
        number, sender = call.value if type(call.value) is tuple else (0, 0)
        if self.calls_out.get(number) is call:
            self.abandon(number, sender)

    def abandon(self, number: int, sender: int) -> None:
        """Nobody waits for that answer any more."""
        call = self.calls_out.pop(number, None)
        if call is not None:
            self.out.say(frames.ABANDON, number, sender=sender)

    def answer(self, number: int, call: Call, callee: Cell) -> None:
        """A call of the peer's is over."""
        if not self.closed:
            self.out.answer(number, call, callee)

    def stop(
        self,
        cell: Cell | None,
        number: int,
        reason: ExitReason,
        order: tuple[str, float | None, int],
    ) -> None:
        """The peer orders an actor to end: it may, if it was granted control, or has spawned it."""
        how, limit, by = order
        if cell is None or cell.beyond:
            if number:
                self.out.reply(number, cell.reason or NO_ACTOR if cell is not None else NO_ACTOR)
            return
        if not self._may_stop(cell):
            if number:
                self.out.fail(number, NotGranted(self.fabric.me.name, Grant.CONTROL.value))
            self.fabric.refuse(self, f"end {cell.path}")
            return
        if how == "orderly":
            cell.ask_to_stop(reason)
            return
        orderer = self.peer.cell_of(by) if by else None
        wait = self.fabric.runtime.begin_stop(
            cell, reason, limit=limit, kill=how == "kill", by=orderer
        )
        if not number:
            return
        if wait.done:
            self.out.reply(number, wait.value)
        else:
            wait.cell = _Ended(self, number, wait)  # type: ignore[assignment] # stands where a cell does

    def _may_stop(self, cell: Cell) -> bool:
        parent = cell.parent
        spawned = isinstance(parent, RemoteCell) and parent.peer is self.peer
        return spawned or cell in self.spawned or self.granted(Grant.CONTROL)

    def granted(self, grant: Grant) -> bool:
        """Whether the peer may do that."""
        return grant in self.session.secret.grants

    def serve(self, number: int, request: Any) -> None:
        """The peer asks something of the node itself."""
        self.fabric.serve(self, number, request)

    def gossip(self, peers: list[Any]) -> None:
        """The peer tells of nodes it knows."""
        self.fabric.gossip(self, peers)

    # The end -----------------------------------------------------------------------------------------------------

    def bye(self, _: str) -> None:
        """The peer closes in good order; nothing more will come."""
        self._parting = LostReason.CLOSED
        self._end(self._parting)

    async def part(self) -> None:
        """Close in good order: what waits leaves first, if it can within a moment."""
        if not self.closed:
            with (
                trio.move_on_after(LAST_WORDS),
                suppress(trio.BrokenResourceError, trio.ClosedResourceError),
            ):
                await self._drained()
                self.out.say(frames.BYE, "")
                await self._drained()
                await self._connection.send_eof()
                await self._ended.wait()  # the peer has read it all, and closes

    async def _drained(self) -> None:
        """Wait until nothing waits to be sent."""
        self.flush()
        while self._writing:
            await self._idle.wait()

    def abort(self) -> None:
        """Let go of the connection at once."""
        self.closed = True
        self._ended.set()
        self._over.set()
        self._connection.abort()

    def fail_calls(self) -> None:
        """The connection is gone: end all that was under way over it."""
        calls, self.calls_out = self.calls_out, {}
        for call in calls.values():
            if isinstance(call, OutgoingStream):
                call.ended(NodeDown(self.peer.name))
            elif isinstance(call, Call):
                call.fail(NodeDown(self.peer.name))
            else:
                call.lost()
        incoming, self.calls_in = self.calls_in, {}
        for asked in incoming.values():
            if isinstance(asked, IncomingStream):
                asked.abandon()
            else:
                asker: Any = asked.cell
                if isinstance(asker, Incoming):
                    asker.over(asked)
                asked.cancelled()  # tells whoever it was handed on to
                asked.fail(died("the asker", NORMAL))


def _takes_nothing(_: bytes) -> int:
    """What a transport without ``send_nowait`` takes at once."""
    return 0


def as_ask_error(error: BaseException) -> AskError | None:
    """An error that may travel, or None."""
    return error if isinstance(error, AskError) else None
