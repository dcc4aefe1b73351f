"""A network in memory: hosts with names, links between them, and everything that can go wrong.

    async with MemoryNetwork() as network:
        a, b = network.host("a"), network.host("b")        # two transports
        listener = await b.listen()
        connection = await a.dial(listener.address)
        network.cut("a", "b")                              # silence, until...
        network.heal()

From each host to each other one leads a *link*, a trio task called ``link a -> b`` that delivers one segment at a time, in
order. So a simulation that decides which task goes next decides how long everything is on its way, and what overtakes what
on other links. Nothing here rolls dice, and no time passes but on links with a delay.

What a TCP of long patience does is what this one does: a connection over a cut link is silent, for ever if need be, and goes
on when the link is healed. Nothing is lost but by ``drop``, and by the death of a host.
"""

from __future__ import annotations

import contextvars
import errno
import re
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType

import trio

from actorkit.seams.transport import join_address, split_address
from actorkit.testing.links import Host, Link
from actorkit.testing.streams import MemoryConnection, MemoryListener


class MemoryNetwork:
    """Hosts that can reach each other, until told otherwise; open it with ``async with``.

    Args:
        window: the bytes that may be on their way, or unread, in one direction of a connection; a sender waits beyond.
        segment: the bytes that travel at once. 1 shows who takes a stream of bytes for a stream of messages.
        backlog: the connections that may wait to be accepted; diallers wait beyond.
    """

    def __init__(self, *, window: int = 65_536, segment: int = 65_536, backlog: int = 16) -> None:
        if min(window, segment, backlog) < 1:
            raise ValueError(
                f"window, segment and backlog are 1 or more, got {window!r}, {segment!r}, {backlog!r}"
            )
        self.window = window
        self.segment = segment
        self.backlog = backlog
        self._hosts: dict[str, Host] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self._transports: dict[str, MemoryTransport] = {}
        self._nursery: trio.Nursery | None = None
        self._links_done = AsyncExitStack()
        self._context = contextvars.Context()

    def __repr__(self) -> str:
        blocked = [link.name for link in self._links.values() if link.blocked]
        return f"<MemoryNetwork of {', '.join(self._hosts)}{'; blocked: ' if blocked else ''}{', '.join(blocked)}>"

    async def __aenter__(self) -> MemoryNetwork:
        # Links work for nobody in particular, whoever makes the first use of them.
        self._context = contextvars.copy_context()
        self._nursery = await self._links_done.enter_async_context(trio.open_nursery())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        nursery, self._nursery = self._nursery, None
        for host in self._hosts.values():
            for socket in host.sockets():
                socket.close()
        if nursery is not None:
            nursery.cancel_scope.cancel()
        # Without the error: what went wrong inside the block needs no exception group around it.
        await self._links_done.aclose()

    def host(self, name: str) -> MemoryTransport:
        """The transport of a host's process; the first call makes the host, the first after a death starts it again.

        Raises:
            ValueError: no host can have that name.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ValueError(f"a host's name is made of letters, digits, '_' and '-', got {name!r}")
        host = self._hosts.setdefault(name, Host(name))
        if not host.alive:
            host.incarnation += 1
            host.alive = host.up = True
            self._transports[name] = MemoryTransport(self, host)
            self._unblocked()
        return self._transports[name]

    # Faults: links ------------------------------------------------------------------------------------------------

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Let nothing through between two hosts; with ``one_way`` only from the first to the second."""
        for link in self._between(one, other, one_way=one_way):
            link.cut = True

    def mend(self, one: str, other: str, *, one_way: bool = False) -> None:
        """End what ``cut`` did between two hosts, and nothing else."""
        for link in self._between(one, other, one_way=one_way):
            link.cut = False
        self._unblocked()

    def is_cut(self, one: str, other: str, *, one_way: bool = False) -> bool:
        """Whether something is cut between two hosts; with ``one_way`` from the first to the second."""
        return any(link.cut for link in self._between(one, other, one_way=one_way))

    def delay_of(self, source: str, target: str) -> float:
        """How many seconds everything takes from one host to another."""
        (link,) = self._between(source, target, one_way=True)
        return link.delay

    def isolate(self, name: str) -> None:
        """Cut a host off from every other."""
        for other in [host for host in self._hosts if host != name]:
            self.cut(name, other)

    def delay(self, one: str, other: str, seconds: float, *, one_way: bool = False) -> None:
        """Let what is sent from now on take so many seconds on the trio clock; still in order."""
        if not seconds >= 0:
            raise ValueError(f"a delay is a number of seconds from 0 up, got {seconds!r}")
        for link in self._between(one, other, one_way=one_way):
            link.delay = seconds

    def heal(self, one: str | None = None, other: str | None = None) -> None:
        """End what ``cut``, ``isolate`` and ``delay`` did between two hosts; or everywhere, and every ``pause`` as well."""
        if (one is None) != (other is None):
            raise ValueError(f"heal between two hosts, or everywhere, got {one!r} and {other!r}")
        if one is None or other is None:
            healed = list(self._links.values())
            for name in self._hosts:
                self.resume(name)
        else:
            healed = self._between(one, other)
        for link in healed:
            link.cut, link.delay = False, 0.0
        self._unblocked()

    def drop(self, one: str, other: str) -> int:
        """Break every connection between two hosts: both ends see it at once, and what was on its way is lost.

        Returns how many ends broke.
        """
        out, back = self._between(one, other)
        ends = [e for e in out.source.ends if e.out is out] + [
            e for e in back.source.ends if e.out is back
        ]
        for end in dict.fromkeys(ends):
            end.snap()
        return len(ends)

    def connections(self, one: str, other: str) -> list[MemoryConnection]:
        """The connections between two hosts that both ends know of, by the ends that dialled, oldest first."""
        ways = self._between(one, other)
        return [
            end for way in ways for end in way.source.ends if end.out is way and end.dialled_and_met
        ]

    def drop_one(self, end: MemoryConnection) -> None:
        """Break one connection: both ends see it at once, and what was on its way is lost."""
        other = end.other_end
        end.snap()
        if other is not None:
            other.snap()

    # Faults: hosts ------------------------------------------------------------------------------------------------

    def pause(self, name: str) -> None:
        """Let a host's process read nothing and accept nothing; its buffers fill, then its peers wait."""
        self._known(name).paused = True

    def resume(self, name: str) -> None:
        """End a pause."""
        host = self._known(name)
        host.paused = False
        host.wake()

    def kill9(self, name: str) -> None:
        """A host's process is killed. Its system closes what it had open, so its peers notice; ``host`` starts the next.

        Its own tasks notice nothing, as the dead do: what they wait for never comes. Cancel them.
        """
        host = self._known(name)
        host.alive = False
        for socket in host.sockets():
            socket.die()

    def power_cut(self, name: str) -> None:
        """A host loses its power. Its peers notice nothing; once ``host`` has started it again, it resets what it does not know.

        Its own tasks are as those of a killed process.
        """
        host = self._known(name)
        host.alive = host.up = False
        for link in self._links.values():
            if link.source is host:
                link.purge()
        for socket in host.sockets():
            socket.vanish()

    # Looking ------------------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many segments, openings and endings are on their way, blocked ones included."""
        return sum(map(len, self._links.values()))

    @property
    def arriving(self) -> int:
        """How much of that will arrive if nothing is done: what no cut and no dead machine holds up."""
        return sum(len(link) for link in self._links.values() if not link.blocked)

    # What transports need -----------------------------------------------------------------------------------------

    def connection(self, source: Host, target: str) -> MemoryConnection:
        """The dialling end of a connection, whose opening is on its way.

        Raises:
            OSError: there is no such host.
        """
        name, port = split_address(target)
        host = self._hosts.get(name)
        if host is None:
            raise OSError(
                errno.EHOSTUNREACH,
                f"no host {name!r} in this network, which has {', '.join(self._hosts)}",
            )
        local = join_address(source.name, source.free_port())
        out, back = self._link(source, host), self._link(host, source)
        end = MemoryConnection(
            local, target, out=out, back=back, window=self.window, segment=self.segment
        )
        out.put(lambda: _knock(host, port, end), end)
        return end

    def _link(self, source: Host, target: Host) -> Link:
        key = source.name, target.name
        link = self._links.get(key)
        if link is None:
            if self._nursery is None:
                raise RuntimeError(
                    "the network is not open: use `async with MemoryNetwork() as network`"
                )
            link = self._links[key] = Link(source, target)
            self._context.run(partial(self._nursery.start_soon, link.carry, name=link.name))
        return link

    def _known(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None:
            raise ValueError(
                f"no host {name!r} in this network, which has {', '.join(self._hosts)}"
            )
        return host

    def _between(self, one: str, other: str, *, one_way: bool = False) -> list[Link]:
        first, second = self._known(one), self._known(other)
        ways = [(first, second)] if one_way else [(first, second), (second, first)]
        return [self._link(source, target) for source, target in ways]

    def _unblocked(self) -> None:
        for link in self._links.values():
            link.stir()
        for host in self._hosts.values():
            for end in host.ends:
                end.settle()


class MemoryTransport:
    """How one process of one host reaches the others. When that process is dead it reaches nobody."""

    def __init__(self, network: MemoryNetwork, host: Host) -> None:
        self._network = network
        self._host = host
        self._incarnation = host.incarnation

    def __repr__(self) -> str:
        return f"<MemoryTransport of {self._host.name!r}, incarnation {self._incarnation}>"

    async def dial(self, address: str) -> MemoryConnection:
        """Connect to ``address``, which is a host's name and a port."""
        self._check_alive()
        end = self._network.connection(self._host, address)
        await end.establish()
        return end

    async def listen(self, address: str | None = None) -> MemoryListener:
        """Listen at a port of this host; at a free one unless told otherwise."""
        await trio.lowlevel.checkpoint()
        self._check_alive()
        name, port = (self._host.name, 0) if address is None else split_address(address)
        if name != self._host.name:
            raise OSError(
                errno.EADDRNOTAVAIL, f"{address} is no address of host {self._host.name!r}"
            )
        if port in self._host.listeners:
            raise OSError(errno.EADDRINUSE, f"somebody listens at {address} already")
        port = port or self._host.free_port()
        return MemoryListener(join_address(name, port), port, self._host, self._network.backlog)

    def _check_alive(self) -> None:
        if not self._host.alive or self._host.incarnation != self._incarnation:
            raise OSError(
                errno.ENETDOWN,
                f"process {self._incarnation} of host {self._host.name!r} is dead: ask the network for host() again",
            )


def _knock(host: Host, port: int, dialler: MemoryConnection) -> None:
    listener = host.listeners.get(port)
    if listener is None:
        dialler.refuse()
    else:
        listener.knock(dialler)
