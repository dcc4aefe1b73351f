"""The hosts of a network in memory, and the links between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

import attrs
import trio

from actorkit.seams.clock import SystemClock

if TYPE_CHECKING:
    from actorkit.testing.streams import MemoryConnection, MemoryListener

_FIRST_FREE_PORT = 49_152


class Host:
    """A machine of the network, with the process that runs on it.

    Attributes:
        incarnation: the number of that process, from 1; 0 before the first.
        up: whether the machine has power.
        paused: whether its process reads nothing.
        listeners: where it listens, by port.
        ends: its ends of connections, the oldest first.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.incarnation = 0
        self.alive = False
        self.up = True
        self.paused = False
        self.listeners: dict[int, MemoryListener] = {}
        self.ends: dict[MemoryConnection, None] = {}
        self._ports = count(_FIRST_FREE_PORT)

    def __repr__(self) -> str:
        return f"<Host {self.name!r}>"

    def free_port(self) -> int:
        """A port that nobody has had."""
        return next(port for port in self._ports if port not in self.listeners)

    def sockets(self) -> list[MemoryListener | MemoryConnection]:
        """All that its process has open."""
        return [*self.listeners.values(), *self.ends]

    def wake(self) -> None:
        """Let everybody who waits to read or accept look again."""
        for socket in self.sockets():
            socket.wake()


@attrs.frozen
class Parcel:
    """What is on its way: what happens on arrival, from when on it may, and who sent it."""

    arrive: Callable[[], None]
    due: float
    sender: object


class Link:
    """The way from one host to another: delivers in order, one parcel at a time."""

    def __init__(self, source: Host, target: Host) -> None:
        self.source = source
        self.target = target
        self.cut = False
        self.delay = 0.0
        self._parcels: deque[Parcel] = deque()
        self._stirred = trio.lowlevel.ParkingLot()
        self._now = SystemClock().now

    def __repr__(self) -> str:
        return f"<{self.name}, {len(self)} on the way{', blocked' if self.blocked else ''}>"

    def __len__(self) -> int:
        return len(self._parcels)

    @property
    def name(self) -> str:
        """What its task is called."""
        return f"link {self.source.name} -> {self.target.name}"

    @property
    def blocked(self) -> bool:
        """Whether nothing gets through."""
        return self.cut or not (self.source.up and self.target.up)

    def put(self, arrive: Callable[[], None], sender: object = None) -> None:
        """Send something on its way."""
        due = self._now() + self.delay if self.delay else 0.0
        self._parcels.append(Parcel(arrive, due, sender))
        self.stir()

    def purge(self, sender: object = None) -> None:
        """Lose what is on its way: all of it, or what one sender sent."""
        left = [p for p in self._parcels if sender is not None and p.sender is not sender]
        self._parcels = deque(left)

    def stir(self) -> None:
        """Something has changed: look again, if there is anything to deliver."""
        if self._parcels:
            self._stirred.unpark_all()

    async def carry(self) -> None:
        """Deliver for ever."""
        while True:
            if self._ready():
                # Between two parcels others may go first: this is what a simulation chooses.
                await trio.lowlevel.checkpoint()
            while not self._ready():
                await self._wait()
            self._parcels.popleft().arrive()

    def _ready(self) -> bool:
        if not self._parcels or self.blocked:
            return False
        due = self._parcels[0].due
        return not due or due <= self._now()

    async def _wait(self) -> None:
        if self._parcels and not self.blocked:
            await trio.sleep_until(self._parcels[0].due)
        else:
            await self._stirred.park()
