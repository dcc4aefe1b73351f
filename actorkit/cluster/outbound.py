"""What the kernel has to say to another node, as ops in the outbox of one connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from actorkit.cluster import frames
from actorkit.cluster.remote import Incoming, RemoteCell, failure_of
from actorkit.codec import pack_plain, reply_of
from actorkit.errors import AskError, Unencodable
from actorkit.kernel.call import Call
from actorkit.kernel.cell import Cell
from actorkit.kernel.exits import ExitReason, Failed
from actorkit.kernel.message import encodable, wire_name
from actorkit.kernel.stream import StreamCall
from actorkit.kernel.wait import origin

if TYPE_CHECKING:
    from actorkit.cluster.link import Link

CHAIN = 16  # how many of those who wait for an asker are told with a request
SYSTEM = -1  # the sender of what the node itself says

Encode = Callable[[Any], Any]


class Outbound:
    """Turns what is said into ops. Order: what one sender says leaves in the order said."""

    __slots__ = ("_any", "_codec", "_link", "_outbox", "_pack", "_replies", "_tags")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._outbox = link.outbox
        self._codec = link.fabric.codec
        self._any: Encode = self._codec.value(Any).encode
        self._pack: Callable[[Any], bytes] = pack_plain
        self._tags: dict[type, tuple[int, Encode]] = {}
        self._replies: dict[type, Encode] = {}

    # Mail --------------------------------------------------------------------------------------------------------

    def tell(self, to: int | str, message: Any, sender: int) -> None:
        """A told message.

        Raises:
            Unencodable: it cannot travel.
        """
        tag, encode = self._tags.get(type(message)) or self._define(type(message))
        self._outbox.put(self._pack((frames.TELL, to, tag, encode(message))), sender)
        self._link.due()

    def ask(self, to: int | str, number: int, call: Call, sender: int) -> None:
        """A request.

        Raises:
            Unencodable: it cannot travel.
        """
        message = call.message
        tag, encode = self._tags.get(type(message)) or self._define(type(message))
        asker, chain = asked_by(call.cell)
        fields = encode(message)
        op = (frames.ASK, to, number, tag, fields, asker, call.seconds, chain)
        self._outbox.put(self._pack(op), sender)
        self._link.due()

    def stream(self, to: int | str, number: int, call: StreamCall, sender: int) -> None:
        """A request for a stream.

        Raises:
            Unencodable: it cannot travel.
        """
        message = call.message
        tag, encode = self._tags.get(type(message)) or self._define(type(message))
        asker, _ = asked_by(origin())
        op = (frames.STREAM, to, number, tag, encode(message), asker, call.window)
        self._outbox.put(self._pack(op), sender)
        self._link.due()

    def request(self, number: int, message: Any) -> None:
        """A request to the node itself."""
        tag, encode = self._tags.get(type(message)) or self._define(type(message))
        self.say(frames.REQUEST, number, tag, encode(message))

    def _define(self, cls: type) -> tuple[int, Encode]:
        """Give a class of messages a number on this connection."""
        try:
            wire = wire_name(cls)
        except TypeError as error:
            raise Unencodable(str(error)) from None
        encode = self._codec.encoder(cls)
        entry = self._tags[cls] = (len(self._tags), encode)
        self._outbox.announce(self._pack((frames.DEFINE, entry[0], wire.name, wire.version)))
        return entry

    # Answers -----------------------------------------------------------------------------------------------------

    def answer(self, number: int, call: Call, callee: Cell) -> None:
        """The end of a request: its reply, or the error it ended with."""
        if call.error is not None:
            error = failure_of(call, callee.path)
            if error is not None:
                self.fail(number, error, callee.serial)
            return
        try:
            value = self._encode_reply(call.message, call.value)
            self._outbox.put(self._pack((frames.REPLY, number, value)), callee.serial)
        except Unencodable as error:
            self.fail(number, Unencodable(f"the reply of {callee.path}: {error}"), callee.serial)
        self._link.due()

    def reply(self, number: int, value: Any, sender: int = SYSTEM) -> None:
        """The reply of the node itself, or of an actor to an order."""
        self.say(frames.REPLY, number, self._any(value), sender=sender)

    def item(self, number: int, request: Any, value: Any, sender: int) -> None:
        """One item of a stream.

        Raises:
            Unencodable: it cannot travel.
        """
        plain = self._encode_reply(request, value)
        self._outbox.put(self._pack((frames.ITEM, number, plain)), sender)
        self._link.due()

    def end(self, number: int, error: AskError | None, sender: int) -> None:
        """The end of a stream."""
        plain = self._codec.encode_error(error) if error is not None else None
        self.say(frames.END, number, plain, sender=sender)

    def fail(self, number: int, error: AskError, sender: int = SYSTEM) -> None:
        """The error that a request ended with."""
        self.say(frames.FAIL, number, self._codec.encode_error(error), sender=sender)

    def _encode_reply(self, request: Any, value: Any) -> Any:
        cls = type(request)
        encode = self._replies.get(cls)
        if encode is None:
            encode = self._replies[cls] = self._codec.value(reply_of(cls)).encode
        return encode(value)

    # Signals -----------------------------------------------------------------------------------------------------

    def down(
        self, watcher: int, monitor: int, serial: int, reason: ExitReason, sender: int | None = None
    ) -> None:
        """A watched actor is gone: behind everything it has said."""
        speaker = serial if sender is None else sender
        self.say(frames.DOWN, watcher, monitor, serial, self._reason(reason), sender=speaker)

    def exit(self, op: tuple[int, int, int | str], reason: ExitReason, *, linked: bool) -> None:
        """An exit signal: from whom, sitting in which seat, to whom."""
        sender, seat, to = op
        self.say(frames.EXIT, sender, seat, to, self._reason(reason), linked, sender=sender)

    def stop(
        self, to: int | str, number: int, reason: ExitReason, how: tuple[str, float | None, int]
    ) -> None:
        """Tell an actor to end: how, within which limit, by whose order."""
        way, limit, by = how
        self.say(frames.STOP, to, number, self._reason(reason), limit, way, by, sender=by)

    def credit(self, number: int, count: int) -> None:
        """The reader of a stream has read that many items."""
        self.say(frames.CREDIT, number, count)

    def ended(self, number: int, reason: ExitReason, sender: int) -> None:
        """An actor that was ordered to end has."""
        self.say(frames.REPLY, number, self._reason(reason), sender=sender)

    def _reason(self, reason: ExitReason) -> Any:
        """A reason as a plain value; one that cannot travel goes as text, for a death is told whatever its reason."""
        try:
            plain = self._any(reason)
            pack_plain(plain)
        except Unencodable:
            return self._any(Failed(encodable(str(reason))))
        return plain

    def say(self, kind: int, *fields: Any, sender: int = SYSTEM) -> None:
        """Any other op."""
        self._outbox.put(self._pack((kind, *fields)), sender)
        self._link.due()


def asked_by(asker: Any) -> tuple[int, list[Any]]:
    """The serial of the actor that asks, and, if any wait for it, itself and those, nearest first.

    It is what circular asks are found by, and told with.
    """
    if asker is None:
        asker = origin()
    if asker is None:
        return 0, []
    if isinstance(asker, (Incoming, RemoteCell)):
        return 0, _upstream(asker)
    chain = _upstream(asker)
    return asker.serial, [_link_of(asker), *chain] if chain else chain


def _upstream(asker: Any) -> list[Any]:
    chain: list[Any] = []
    while asker is not None and len(chain) < CHAIN:
        if isinstance(asker, Incoming):
            _extend(chain, asker)
            break
        call = asker.call
        asker = call.cell if isinstance(call, Call) else None
        if isinstance(asker, Cell):
            chain.append(_link_of(asker))
    return chain


def _extend(chain: list[Any], incoming: Incoming) -> None:
    waiting: Iterable[Cell] = filter(None, (incoming.asker, *(w.cell for w in incoming.chain)))
    chain.extend(_link_of(cell) for cell in waiting)


def _link_of(cell: Cell) -> list[Any]:
    address = cell.address
    return [address.node, address.incarnation, address.serial, cell.path]
