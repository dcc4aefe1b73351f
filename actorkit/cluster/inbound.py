"""What another node says, carried out here: ops become messages, replies, signals.

Everything is checked: an op that names a call nobody made or a tag nobody defined, or holds what its class does not allow,
raises ``ProtocolError``, and the connection ends. What is merely late - a reply to a call that timed out, the Down of a
monitor that was removed - is no fault of anybody's and is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actorkit.cluster import frames
from actorkit.cluster.outbound import CHAIN
from actorkit.cluster.remote import Incoming, RemoteCell, await_from
from actorkit.cluster.streams import IncomingStream, OutgoingStream
from actorkit.codec import reply_of
from actorkit.errors import ActorDied, AskError, ProtocolError, Unencodable
from actorkit.kernel.call import Call, died
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.ending import exit_signal
from actorkit.kernel.events import DeadLetter, DeadReason
from actorkit.kernel.exits import NO_ACTOR, NORMAL, Down, ExitReason, Monitor
from actorkit.kernel.items import Signal
from actorkit.kernel.message import WireName, message_class
from actorkit.kernel.ref import Ref
from actorkit.kernel.wait import Wait, check_circle

if TYPE_CHECKING:
    from actorkit.cluster.link import Link

INTERNAL = "actorkit."  # what the names of a node's own actors begin with
MAX_TAGS = 1 << 13  # classes of messages over one connection
LONGEST = 86_400  # seconds: a time-out beyond that is no more than that
MAX_NAME = 1 << 10  # characters of a wire name

Decode = Callable[[Any], Any]


class Inbound:
    """Carries out what came over one connection."""

    __slots__ = (
        "_any",
        "_codec",
        "_direct",
        "_link",
        "_peer",
        "_replies",
        "_runtime",
        "_table",
        "_tags",
    )

    def __init__(self, link: Link) -> None:
        self._link = link
        self._peer = link.peer
        self._runtime = link.fabric.runtime
        self._codec = link.fabric.codec
        self._any: Decode = self._codec.value(Any).decode
        self._direct = self._runtime.ref_class is Ref  # nobody keeps books
        self._tags: dict[int, Decode] = {}
        self._replies: dict[type, Decode] = {}
        self._table: dict[int, Callable[..., None]] = {
            frames.TELL: self._tell,
            frames.ASK: self._ask,
            frames.REPLY: self._reply,
            frames.FAIL: self._fail,
            frames.ABANDON: self._abandon,
            frames.DEFINE: self._define,
            frames.WATCH: self._watch,
            frames.UNWATCH: self._unwatch,
            frames.DOWN: self._down,
            frames.LINK: self._link_up,
            frames.UNLINK: self._unlink,
            frames.EXIT: self._exit,
            frames.STOP: self._stop,
            frames.STREAM: self._stream,
            frames.ITEM: self._item,
            frames.END: self._end,
            frames.CREDIT: self._credit,
            frames.REQUEST: self._request,
            frames.PEERS: self._peers,
            frames.BYE: self._bye,
        }

    def perform(self, ops: list[list[Any]]) -> None:
        """Carry out ops, in order.

        Raises:
            ProtocolError: one of them is not what was agreed on.
        """
        table, cells, tags, direct = self._table, self._runtime.cells, self._tags, self._direct
        for op in ops:
            if op[0] != frames.TELL:
                table[op[0]](*op[1:])
                continue
            _, to, tag, fields = op
            cell = cells.get(to)
            if cell is None or tag not in tags or not direct:
                self._tell(to, tag, fields)
                continue
            message = tags[tag](fields)
            queue = cell.queue
            if len(queue) >= cell.limit:
                cell.overflow(message)
                continue
            queue.append(message)  # as Ref.tell does
            if cell.idle:
                cell.idle = False
                cell.push(cell)

    # Mail --------------------------------------------------------------------------------------------------------

    def _tell(self, to: int | str, tag: int, fields: list[Any]) -> None:
        message = self._decoder(tag)(fields)
        cell = self._find(to)
        if cell is None:
            self._lose(message, to, DeadReason.NO_ACTOR)
            return
        try:
            cell.ref.tell(message)
        except Unencodable:  # its class is not known here, and it was to go on from here
            cell.runtime.dead_letter(message, cell, DeadReason.NOT_ENCODABLE)

    def _ask(
        self,
        to: int | str,
        number: int,
        tag: int,
        fields: list[Any],
        asker: int,
        timeout: float | None,
        chain: list[Any],
    ) -> None:
        if timeout is not None and not timeout >= 0:  # not a number, which is neither
            raise ProtocolError(f"a time-out is a number from 0 up, got {timeout}")
        decode = self._decoder(tag)
        message = decode(fields)
        cell = self._find(to)
        if cell is None:
            self._lose(message, to, DeadReason.NO_ACTOR)
            self._link.out.fail(number, died(str(to), NO_ACTOR))
            return
        who = self._peer.cell_of(asker) if asker else None
        incoming = Incoming(self._link, number, who, cell, self._chain(chain, who))
        call = Call(message, incoming, cell)  # type: ignore[arg-type] # stands where a cell does
        try:
            if who is not None and cell.waiting is not None:
                check_circle(who, cell)
            self._runtime.sent += self._runtime.audited
            queue = cell.queue
            if len(queue) >= cell.limit:
                queue = cell.admit(message)
        except AskError as error:
            incoming.over(call)
            self._link.out.fail(number, error)
            return
        incoming.call = call
        self._link.calls_in[number] = call
        await_from(who, call)
        if timeout is not None:
            self._time(call, timeout)
        queue.append(call)
        cell.wake()

    def _time(self, call: Call, timeout: float) -> None:
        """Let a call lapse some time after its asker has given up, so that nobody works for nothing.

        Whole seconds, so that peers cannot make one lane of time-outs for each of their whims.
        """
        clock = self._runtime.clock
        seconds = call.seconds = float(max(1, math.ceil(min(timeout, LONGEST))))
        lane = clock.lanes.get(seconds)
        if lane is None:
            clock.expire(call, seconds)
        else:
            lane.noted.append(call)

    def _reply(self, number: int, value: Any) -> None:
        call = self._link.waiting_call(number)
        if type(call) is not Call:
            self._check_no_stream(call, number)
            if call is not None:
                answer = self._any(value)
                self._link.take_call(number)
                call.answered(answer)
            return
        try:
            reply = self._decode_reply(
                call.message, value
            )  # first: what is wrong ends it with the connection
        except Unencodable as error:
            self._link.take_call(number)
            call.fail(error)
        else:
            self._link.take_call(number)
            call.resolve(reply)

    def _decode_reply(self, request: Any, plain: Any) -> Any:
        cls = type(request)
        decode = self._replies.get(cls)
        if decode is None:
            decode = self._replies[cls] = self._codec.value(reply_of(cls)).decode
        return decode(plain)

    def _fail(self, number: int, error: Any) -> None:
        failure = self._codec.decode_error(error)
        self._check_no_stream(self._link.waiting_call(number), number)
        call = self._link.take_call(number)
        if call is None:
            return
        if isinstance(failure, ActorDied) and isinstance(call, Call):
            failure = died(call.target_path, failure.reason)  # as it is known here
        call.fail(failure)

    def _check_no_stream(self, call: Any, number: int) -> None:
        if isinstance(call, OutgoingStream):
            raise ProtocolError(f"an answer to call {number}, which is a stream's")

    def _abandon(self, number: int) -> None:
        call = self._link.calls_in.pop(number, None)
        if isinstance(call, IncomingStream):
            call.abandon()
        elif call is not None:
            incoming: Any = call.cell
            incoming.call = None  # nobody is told
            call.cancelled()  # but whoever it was handed on to
            call.fail(died("the asker", NORMAL))
            incoming.over(call)

    def _define(self, tag: int, name: str, version: int) -> None:
        if tag in self._tags or not 0 <= tag < MAX_TAGS:
            raise ProtocolError(f"tag {tag} cannot be defined, or is already")
        if len(name) > MAX_NAME:
            raise ProtocolError(f"a wire name of {len(name)} characters; {MAX_NAME} are allowed")
        self._tags[tag] = self._decoder_of(tag, WireName(name, version))

    def _decoder_of(self, tag: int, wire: WireName) -> Decode:
        """How to decode a class of messages; one that is not known is looked for again whenever it is used."""
        cls = message_class(wire)
        if cls is not None:
            return self._codec.decoder(cls)
        stranger = type(str(wire), (UnknownMessage,), {"__slots__": ()})

        def decode(plain: Any) -> Any:
            if message_class(wire) is None:
                return stranger()
            self._tags[tag] = self._decoder_of(tag, wire)
            return self._tags[tag](plain)

        return decode

    def _decoder(self, tag: int) -> Decode:
        try:
            return self._tags[tag]
        except KeyError:
            raise ProtocolError(f"a message with tag {tag}, which nobody has defined") from None

    def _find(self, to: int | str) -> Cell | None:
        if type(to) is int:
            return self._runtime.by_number(to)
        return self._runtime.registry.holder(str(to))

    def _lose(self, message: Any, to: int | str, why: DeadReason) -> None:
        if isinstance(to, str) and to.startswith(INTERNAL):  # this node is closing
            return
        self._runtime.sent += 1
        path = f"name:{to}" if isinstance(to, str) else f"{self._runtime.node}#{to}"
        self._runtime.dead_letters.add(DeadLetter(message, path, why))

    def _chain(self, chain: list[Any], who: RemoteCell | None) -> tuple[Wait, ...]:
        """Those who wait for the asker, as waits in the graph in which circular asks are found. It comes first itself."""
        waits: list[Wait] = []
        target: Cell | None = who
        for link in chain[:CHAIN]:
            cell = self._link.fabric.waiting_cell(link)
            if cell is None or target is None:
                break
            if cell is target:
                continue
            wait = Wait(cell, target)
            if isinstance(cell, RemoteCell):
                await_from(cell, wait)
            waits.append(wait)
            target = cell
        return tuple(waits)

    # Streams -----------------------------------------------------------------------------------------------------

    def _stream(
        self, to: int | str, number: int, tag: int, fields: list[Any], asker: int, window: int
    ) -> None:
        message = self._decoder(tag)(fields)
        cell = self._find(to)
        if cell is None:
            self._lose(message, to, DeadReason.NO_ACTOR)
            self._link.out.end(number, died(str(to), NO_ACTOR), 0)
            return
        who = self._peer.cell_of(asker) if asker else None
        call = IncomingStream(self._link, number, message, cell, max(1, min(window, 1 << 16)))
        try:
            if who is not None and cell.waiting is not None:
                check_circle(who, cell)
            self._runtime.sent += self._runtime.audited
            if len(cell.queue) >= cell.limit:
                cell.admit(message)
        except AskError as error:
            self._link.out.end(number, error, 0)
            return
        self._link.calls_in[number] = call
        cell.accept(call)

    def _item(self, number: int, value: Any) -> None:
        stream = self._link.calls_out.get(number)
        if isinstance(stream, OutgoingStream):
            stream.arrived(self._decode_reply(stream.request, value))

    def _end(self, number: int, error: Any) -> None:
        failure = self._codec.decode_error(error) if error is not None else None
        stream = self._link.calls_out.get(number)
        if isinstance(stream, OutgoingStream):
            del self._link.calls_out[number]
            stream.ended(failure)
        elif stream is not None:
            raise ProtocolError(f"an end of a stream for call {number}, which is none")

    def _credit(self, number: int, count: int) -> None:
        stream = self._link.calls_in.get(number)
        if isinstance(stream, IncomingStream):
            stream.credit(count)

    # Links and monitors ------------------------------------------------------------------------------------------

    def _watch(self, to: int | str, watcher: int, monitor: int) -> None:
        cell = self._find(to)
        if cell is None or not State.STARTING <= cell.state <= State.STOPPING:
            last_words = to if isinstance(to, int) else 0  # may still be under way
            self._link.out.down(watcher, monitor, 0, NO_ACTOR, last_words)
            return
        name = to if isinstance(to, str) else None
        watch = self._runtime.relations.enter(self._peer.cell_of(watcher), cell, name)
        self._peer.monitors_in.add(watcher, monitor, watch.monitor)
        cell.watched(watch)

    def _unwatch(self, watcher: int, monitor: int) -> None:
        ours = self._peer.monitors_in.pop_theirs(watcher, monitor)
        if ours is not None:
            watch = self._runtime.relations.unwatch(ours)
            if watch is not None:
                watch.target.unwatched(watch)

    def _down(self, watcher: int, monitor: int, serial: int, reason: Any) -> None:
        why = self._reason(reason)
        if not watcher:
            self._peer.ended(monitor, why)
            return
        cell = self._runtime.cells.get(watcher)
        watch = self._runtime.relations.unwatch(Monitor(monitor), cell) if cell else None
        if watch is None or cell is None:
            return
        target = watch.target
        if not (isinstance(target, RemoteCell) and target.peer is self._peer):
            self._runtime.relations.enter(watch.watcher, target, watch.name, watch.monitor)
            raise ProtocolError(
                f"it tells of the end of {target.path}, which is none of its actors"
            )
        address = self._peer.address_of(serial) if serial else None
        cell.put(Signal(Down(watch.monitor, target.ref, address, why, watch.name)))

    def _link_up(self, sender: int, to: int | str) -> None:
        other = self._peer.cell_of(sender)
        cell = self._find(to)
        if cell is None or not State.STARTING <= cell.state <= State.STOPPING:
            seat = to if isinstance(to, int) else 0
            self._link.out.exit((seat, seat, sender), NO_ACTOR, linked=True)
            return
        self._runtime.relations.link(cell, other)
        cell.linked_to(other)
        if isinstance(to, int) and to != cell.serial:
            other.aliases[cell] = to

    def _unlink(self, sender: int, to: int | str) -> None:
        cell = self._find(to)
        if cell is not None:
            self._runtime.relations.unlink(cell, self._peer.cell_of(sender))

    def _exit(self, sender: int, seat: int, to: int | str, reason: Any, linked: bool) -> None:
        why = self._reason(reason)
        cell = self._find(to)
        if cell is None:
            return
        if not linked:
            source = self._peer.cell_of(sender) if sender else None
            exit_signal(cell, source, source.ref if source else cell.ref, why, linked=False)
            return
        numbers = dict.fromkeys((seat, sender))
        known = [source for number in numbers if (source := self._peer.known(number)) is not None]
        linked_to = [source for source in known if self._runtime.relations.unlink(cell, source)]
        for source in linked_to:
            self._peer.died(source, sender)
        if linked_to:  # by one of its references or by two, it is one death
            exit_signal(cell, linked_to[0], linked_to[0].ref, why, linked=True)

    def _stop(
        self, to: int | str, number: int, reason: Any, limit: float | None, how: str, by: int
    ) -> None:
        self._link.stop(self._find(to), number, self._reason(reason), (how, limit, by))

    def _reason(self, plain: Any) -> ExitReason:
        reason = self._any(plain)
        if not isinstance(reason, ExitReason):
            raise ProtocolError(f"an exit reason cannot be a {type(reason).__name__}")
        return reason

    # The node itself ---------------------------------------------------------------------------------------------

    def _request(self, number: int, tag: int, fields: list[Any]) -> None:
        self._link.serve(number, self._decoder(tag)(fields))

    def _peers(self, peers: list[Any]) -> None:
        self._link.gossip(peers)

    def _bye(self, reason: Any) -> None:
        self._link.bye(str(reason)[:200])


class UnknownMessage:
    """Stands for a message whose class is not known on this node: its actor has no handler for it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<a message of unknown class {type(self).__qualname__}>"
