"""Probes: actors that a test holds in its hand, to be sent to, to answer, and to look at what came."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import attrs
import trio

from actorkit.kernel.call import Reply
from actorkit.kernel.events import DeadReason
from actorkit.kernel.exits import Down, Exit, Monitor
from actorkit.kernel.message import AskOf, StreamOf, shortened
from actorkit.kernel.ref import DEFAULT_TIMEOUT, Ref
from actorkit.kernel.stream import ReplyStream
from actorkit.kernel.wait import CURRENT
from actorkit.testing.failures import Unexpected
from actorkit.testing.standin import Arrival, Inbox

if TYPE_CHECKING:
    from actorkit.errors import Refused

M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)
N = TypeVar("N")
R = TypeVar("R")
T = TypeVar("T")

WITHIN = 3.0  # virtual seconds: they cost nothing
_SHOWN = 8

Settle = Callable[[], Awaitable[None]]


@attrs.frozen(slots=True)
class Asked(Generic[M_co, R]):
    """A request that a probe was asked, and the right to answer it.

    Attributes:
        message: the request.
    """

    message: M_co
    _answer: Reply[R]

    def reply(self, value: R) -> bool:
        """Answer it; tells whether the asker still waited."""
        return self._answer.send(value)

    def refuse(self, error: Refused) -> bool:
        """Say no: the error is raised at the asker. Tells whether it still waited."""
        return self._answer.refuse(error)

    @property
    def wanted(self) -> bool:
        """Whether the asker still waits: False once answered, or when it gave up."""
        return self._answer.wanted


@attrs.frozen(slots=True)
class AskedStream(Generic[M_co, T]):
    """A request for a stream that a probe got, and the right to feed it.

    Attributes:
        message: the request.
    """

    message: M_co
    _answer: ReplyStream[T]

    async def send(self, *items: T) -> bool:
        """Hand items over, waiting for room; tells whether somebody still reads."""
        wanted = self._answer.wanted
        for item in items:
            wanted = await self._answer.send(item)
        return wanted

    def close(self) -> None:
        """End the stream in good order."""
        self._answer.close()

    def refuse(self, error: Refused) -> None:
        """End the stream with an error, which is raised at the reader."""
        self._answer.refuse(error)

    @property
    def wanted(self) -> bool:
        """Whether somebody still reads."""
        return self._answer.wanted


class Probe(Generic[M]):
    """An actor whose part the test plays. ``kit.probe(Withdrawn, Insufficient)`` makes one.

    Hand out its ``ref``; then say, in the order of arrival, what must come. Each ``expect`` takes one thing from the
    inbox, and fails if it is something else. Times are virtual seconds: waiting for a minute costs nothing.
    """

    def __init__(
        self, ref: Ref[M], vocabulary: tuple[type, ...], inbox: Inbox, settle: Settle
    ) -> None:
        self._ref = ref
        self._cell = ref._cell
        self._vocabulary = vocabulary
        self._inbox = inbox
        self._settle = settle
        self._watched: dict[Monitor, Ref[Any]] = {}

    def __repr__(self) -> str:
        return f"Probe({self.path}, takes {_either(self._vocabulary)})"

    @property
    def ref(self) -> Ref[M]:
        """The reference to hand out."""
        return self._ref

    @property
    def path(self) -> str:
        """Where the probe stands in the tree."""
        return self._ref.path

    @property
    def received(self) -> tuple[M, ...]:
        """All messages that ever came, in order, whether the test has looked at them or not."""
        arrived = (arrival.item for arrival in self._inbox.everything)
        return tuple(item for item in arrived if not isinstance(item, (Down, Exit)))

    # What must come --------------------------------------------------------------------------------------------------

    async def expect(self, kind: type[T], *, within: float | None = WITHIN) -> T:
        """The next thing that comes must be a message of this class: return it.

        Args:
            kind: the class of the message.
            within: virtual seconds to wait for it; None waits until it comes, or nothing can come any more.

        Raises:
            Unexpected: something else came, or nothing.
        """
        __tracebackhide__ = True
        self._check_takes(kind)
        arrival = await self._next(kind.__qualname__, within)
        if not isinstance(arrival.item, kind):
            raise self._other(kind.__qualname__, arrival)
        return arrival.item

    async def expect_all_of(self, *messages: M, within: float | None = WITHIN) -> None:
        """The next things that come must be equal to these messages, in any order.

        Raises:
            Unexpected: something else came, or not all of them.
        """
        __tracebackhide__ = True
        until, missing = _until(within), list(messages)
        while missing:
            wanted = " and ".join(shortened(message, 80) for message in missing)
            arrival = await self._next(wanted, within, until)
            if arrival.item not in missing:
                raise self._other(wanted, arrival)
            missing.remove(arrival.item)

    async def expect_ask(
        self, kind: Callable[..., AskOf[T, R]], *, within: float | None = WITHIN
    ) -> Asked[T, R]:
        """The next thing that comes must be this request, and somebody must wait for the reply.

        Raises:
            Unexpected: something else came, or nothing, or the request was told, not asked.
        """
        __tracebackhide__ = True
        return Asked(*await self._request(cast("type[T]", kind), within))

    async def expect_stream(
        self, kind: Callable[..., StreamOf[T, R]], *, within: float | None = WITHIN
    ) -> AskedStream[T, R]:
        """The next thing that comes must be this request for a stream, and somebody must read it.

        Raises:
            Unexpected: something else came, or nothing, or the request was told, not opened as a stream.
        """
        __tracebackhide__ = True
        return AskedStream(*await self._request(cast("type[T]", kind), within))

    async def expect_nothing(self, *, within: float = 0.0) -> None:
        """Nothing must come for so long: by default, before the clock moves.

        Raises:
            Unexpected: something came.
        """
        __tracebackhide__ = True
        arrival = await self._arrival(_until(within))
        if arrival is not None:
            when = f" for {within:g} s" if within else ""
            raise Unexpected(f"{self.path} expected nothing{when}, and got {arrival}")

    async def fish_for(
        self,
        kind: type[T],
        where: Callable[[T], bool] | None = None,
        *,
        within: float | None = WITHIN,
    ) -> T:
        """Skip whatever comes until a message of this class does, for which ``where`` holds: return it.

        Raises:
            Unexpected: it did not come in time; the text says what was skipped.
        """
        __tracebackhide__ = True
        self._check_takes(kind)
        wanted = kind.__qualname__ if where is None else f"{kind.__qualname__} of a certain kind"
        until = _until(within)
        while True:
            arrival = await self._next(wanted, within, until)
            if isinstance(arrival.item, kind) and (where is None or where(arrival.item)):
                return arrival.item

    # Deaths ----------------------------------------------------------------------------------------------------------

    def watch(self, ref: Ref[Any], /) -> Monitor:
        """Let the probe watch an actor: it gets one ``Down`` when the present incarnation is gone."""
        cell = self._cell
        monitor = cell.runtime.watch(cell, ref)
        self._watched[monitor] = ref
        return monitor

    async def expect_down(self, ref: Ref[Any], /, *, within: float | None = WITHIN) -> Down:
        """The next thing that comes must be the news that a watched actor is gone: return it, with its reason.

        Raises:
            Unexpected: something else came, or nothing.
            ValueError: the probe never watched that actor.
        """
        __tracebackhide__ = True
        watched = [
            m for m, other in self._watched.items() if other is ref or other.path == ref.path
        ]
        if not watched:
            raise ValueError(f"{self.path} does not watch {ref.path}; call probe.watch(ref) before")
        arrival = await self._next(f"Down of {ref.path}", within)
        if not isinstance(arrival.item, Down) or arrival.item.monitor not in watched:
            raise self._other(f"Down of {ref.path}", arrival)
        return arrival.item

    async def expect_exit(self, ref: Ref[Any], /, *, within: float | None = WITHIN) -> Exit:
        """The next thing that comes must be an exit signal of an actor, over a link for instance: return it.

        Raises:
            Unexpected: something else came, or nothing.
        """
        __tracebackhide__ = True
        arrival = await self._next(f"Exit of {ref.path}", within)
        signal = arrival.item
        if not isinstance(signal, Exit) or signal.ref.path != ref.path:
            raise self._other(f"Exit of {ref.path}", arrival)
        return signal

    # What the probe says ---------------------------------------------------------------------------------------------

    def tell(self, ref: Ref[N], message: N, /) -> None:
        """Tell an actor something, as the probe."""
        speaker = CURRENT.set(self._cell)
        try:
            ref.tell(message)
        finally:
            CURRENT.reset(speaker)

    async def ask(
        self, ref: Ref[N], message: AskOf[N, R], /, *, timeout: float | None = DEFAULT_TIMEOUT
    ) -> R:
        """Ask an actor something, as the probe; messages to the probe are taken meanwhile."""
        speaker = CURRENT.set(self._cell)
        try:
            return await ref.ask(message, timeout=timeout)
        finally:
            CURRENT.reset(speaker)

    # The inbox -------------------------------------------------------------------------------------------------------

    async def _request(self, kind: type[T], within: float | None) -> tuple[T, Any]:
        __tracebackhide__ = True
        self._check_takes(kind)
        wanted = f"to be asked {kind.__qualname__}"
        arrival = await self._next(wanted, within)
        if not isinstance(arrival.item, kind):
            raise self._other(wanted, arrival)
        if arrival.answer is None:
            raise Unexpected(
                f"{self.path} expected {wanted}, and got {arrival}: nobody waits for a reply"
            )
        return arrival.item, arrival.answer

    def _check_takes(self, kind: type) -> None:
        """Refuse to wait for what can never come."""
        __tracebackhide__ = True
        if not isinstance(kind, type):
            raise TypeError(
                f"{self!r} waits for a class of messages, got {kind!r}; for equal messages: expect_all_of()"
            )
        if not any(issubclass(kind, c) or issubclass(c, kind) for c in self._vocabulary):
            raise TypeError(f"{self!r}: it can never get {kind.__qualname__}")

    async def _next(self, wanted: str, within: float | None, until: float | None = None) -> Arrival:
        __tracebackhide__ = True
        arrival = await self._arrival(_until(within) if until is None else until)
        if arrival is None:
            when = f" within {within:g} s" if within is not None else ""
            raise Unexpected(
                f"{self.path} expected {wanted}{when}, and nothing came{self._so_far()}"
            )
        return arrival

    async def _arrival(self, until: float) -> Arrival | None:
        """Take the next thing; what is due at the very end of the time still counts."""
        inbox = self._inbox
        if not inbox.waiting:
            with trio.CancelScope(deadline=until):
                await inbox.filled()
        if not inbox.waiting:
            await self._settle()
        return inbox.waiting.popleft() if inbox.waiting else None

    # Failures --------------------------------------------------------------------------------------------------------

    def _other(self, wanted: str, arrival: Arrival) -> Unexpected:
        return Unexpected(f"{self.path} expected {wanted}, and got {arrival}{self._so_far(but=1)}")

    def _so_far(self, but: int = 0) -> str:
        """What else there is to say about a probe that was disappointed."""
        inbox, runtime = self._inbox, self._cell.runtime
        looked_at = inbox.everything[: len(inbox.everything) - len(inbox.waiting) - but]
        strange = [
            shortened(letter.message, 120)
            for letter in runtime.dead_letters.recent
            if letter.path == self.path and letter.reason is DeadReason.UNHANDLED
        ]
        return "".join(
            (
                _line("came before, the last one last", looked_at[-_SHOWN:]),
                _line("came after", list(inbox.waiting)[:_SHOWN]),
                _line(f"turned away, for it takes {_either(self._vocabulary)} only", strange),
                "" if self._ref.alive else f"\n  {self.path} is gone itself",
            )
        )


def _until(within: float | None) -> float:
    seconds = math.inf if within is None else within
    if not seconds >= 0:
        raise ValueError(f"within is a number of seconds from 0 up, or None, got {within!r}")
    return trio.current_time() + seconds


def _either(classes: Iterable[type]) -> str:
    return " | ".join(cls.__qualname__ for cls in classes)


def _line(what: str, things: Sequence[object]) -> str:
    return f"\n  {what}: {', '.join(map(str, things))}" if things else ""
