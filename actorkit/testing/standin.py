"""The actor behind a probe: it keeps all that it gets, and leaves answering to the test."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import attrs
import trio

from actorkit.kernel.actor import Actor, Props
from actorkit.kernel.call import Reply
from actorkit.kernel.exits import Down, Exit
from actorkit.kernel.message import Request, StreamRequest, shortened
from actorkit.kernel.stream import ReplyStream
from actorkit.kernel.vocabulary import HandlerTable, Kind


@attrs.frozen(slots=True)
class Arrival:
    """Something that reached a probe: a message, perhaps with the right to answer it, or a notice."""

    item: Any
    answer: Any = None

    def __str__(self) -> str:
        how = "asked" if self.answer is not None else "told"
        return _notice(self.item) or f"{shortened(self.item, 120)} ({how})"


class Inbox:
    """What a probe's actor has got, and the test has not looked at yet."""

    __slots__ = ("_bell", "everything", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Arrival] = deque()
        self.everything: list[Arrival] = []
        self._bell = trio.Event()

    def put(self, arrival: Arrival) -> None:
        """Something has come."""
        self.waiting.append(arrival)
        self.everything.append(arrival)
        self._bell.set()
        self._bell = trio.Event()

    async def filled(self) -> None:
        """Wait until there is something."""
        while not self.waiting:
            await self._bell.wait()


class Standin(Actor[Any]):
    """The actor of a probe: it keeps all that it gets, and leaves answering to the test."""

    trap_exits = True

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def told(self, message: object) -> None:
        """Take a message that has no reply."""
        self._inbox.put(Arrival(message))

    def asked(self, message: object, answer: Reply[Any] | ReplyStream[Any]) -> None:
        """Take a request; it may have been told, and then nobody waits for the reply."""
        self._inbox.put(Arrival(message, answer if answer.wanted else None))

    def down(self, down: Down, /) -> None:
        """Take the notice that a watched actor is gone."""
        self._inbox.put(Arrival(down))

    def exited(self, signal: Exit, /) -> None:
        """Take an exit signal: a probe does not die of it."""
        self._inbox.put(Arrival(signal))


class _Vocabulary(HandlerTable):
    """Finds the handler of a stand-in for any message of its vocabulary, subclasses included."""

    __slots__ = ("_classes",)

    def __init__(self, classes: tuple[type, ...]) -> None:
        super().__init__()
        self._classes = classes

    def find(self, cls: type) -> tuple[Callable[..., Any], int] | None:
        if not issubclass(cls, self._classes):
            return None
        answered = issubclass(cls, (Request, StreamRequest))
        handler: Any = Standin.asked if answered else Standin.told
        entry = self[cls] = (handler, int(Kind.DEFERRED if answered else Kind.SYNC))
        return entry


def standin(vocabulary: tuple[type, ...], inbox: Inbox) -> Props[Any]:
    """How to make the actor of a probe that takes these classes of messages."""
    made = type("Probe", (Standin,), {"__doc__": Standin.__doc__})
    made.__actorkit_vocabulary__ = vocabulary  # type: ignore[attr-defined]
    made.__actorkit_table__ = _Vocabulary(vocabulary)  # type: ignore[attr-defined]
    return Props(made, (inbox,))


def _notice(item: object) -> str:
    """A death notice or exit signal in words; empty for a message."""
    if isinstance(item, Down):
        return f"Down of {item.ref.path}: {item.reason}"
    if isinstance(item, Exit):
        return f"Exit of {item.ref.path}: {item.reason}"
    return ""
