"""The network in memory passes the kit, and breaks in the ways it is told to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actorkit.seams.transport import Connection, Transport
from actorkit.testing.conformance.transport import (
    TransportConformance,
    connect,
    receive_all,
    receive_exactly,
)
from actorkit.testing.network import MemoryNetwork
from actorkit.testing.streams import MemoryConnection

WINDOW = 1_000


class TestMemoryTransport(TransportConformance):
    @asynccontextmanager
    async def open_transports(self) -> AsyncGenerator[tuple[Transport, Transport], None]:
        async with MemoryNetwork() as network:
            yield network.host("a"), network.host("b")


class TestMemoryTransportInSmallPieces(TransportConformance):
    """The same laws where segments are small, windows narrow and both ends on one host."""

    @asynccontextmanager
    async def open_transports(self) -> AsyncGenerator[tuple[Transport, Transport], None]:
        async with MemoryNetwork(window=WINDOW, segment=100, backlog=3) as network:
            yield network.host("a"), network.host("a")


@pytest.fixture
async def network() -> AsyncGenerator[MemoryNetwork, None]:
    """Three hosts."""
    async with MemoryNetwork(window=WINDOW, backlog=2) as network:
        for name in ("a", "b", "c"):
            network.host(name)
        yield network


async def linked(network: MemoryNetwork, here: str, there: str) -> tuple[Connection, Connection]:
    """A connection between two hosts."""
    return await connect(network.host(here), network.host(there))


async def silent(operation: Callable[[], Awaitable[object]], seconds: float = 3600) -> bool:
    """Whether nothing comes of it for an hour."""
    with trio.move_on_after(seconds):
        await operation()
        return False
    return True


# Links ------------------------------------------------------------------------------------------------------------


async def test_each_pair_of_hosts_has_a_link_in_each_direction(network: MemoryNetwork) -> None:
    """Links are tasks whose names say what they carry, so that a schedule can be read."""
    await linked(network, "a", "b")
    task = trio.lowlevel.current_root_task()
    names: list[str] = []
    nurseries = list(task.child_nurseries) if task is not None else []
    while nurseries:
        for child in nurseries.pop().child_tasks:
            names.append(child.name)
            nurseries += child.child_nurseries
    assert {"link a -> b", "link b -> a"} <= set(names)


async def test_a_cut_is_silence_and_healing_ends_it(network: MemoryNetwork) -> None:
    """Nothing gets through in either direction, nobody is told, and afterwards all of it arrives in order."""
    one, other = await linked(network, "a", "b")
    network.cut("a", "b")
    await one.send_all(b"first")
    await other.send_all(b"reply")
    await one.send_all(b"second")
    assert await silent(other.receive_some)
    assert await silent(one.receive_some)
    assert network.in_flight == 3
    network.heal("a", "b")
    assert await receive_exactly(other, 11) == b"firstsecond"
    assert await receive_exactly(one, 5) == b"reply"
    assert network.in_flight == 0


async def test_a_cut_may_be_in_one_direction(network: MemoryNetwork) -> None:
    """The other direction goes on."""
    one, other = await linked(network, "a", "b")
    network.cut("b", "a", one_way=True)
    await one.send_all(b"heard")
    assert await receive_exactly(other, 5) == b"heard"
    await other.send_all(b"unheard")
    assert await silent(one.receive_some)


async def test_acknowledgements_do_not_cross_a_cut(network: MemoryNetwork) -> None:
    """With the way back cut a sender fills its window and waits, though everything is read."""
    one, other = await linked(network, "a", "b")
    network.cut("b", "a", one_way=True)
    await one.send_all(bytes(WINDOW))
    assert len(await receive_exactly(other, WINDOW)) == WINDOW
    assert await silent(lambda: one.send_all(b"more"))
    network.heal()
    await one.send_all(b"more")
    assert await receive_exactly(other, 4) == b"more"


async def test_dialling_over_a_cut_waits(network: MemoryNetwork) -> None:
    """Whichever direction is cut, the dialler hears nothing until it is healed."""
    a, b = network.host("a"), network.host("b")
    for source, target in (("a", "b"), ("b", "a")):
        listener = await b.listen()
        network.cut(source, target, one_way=True)
        assert await silent(partial(a.dial, listener.address))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.dial, listener.address)
            await trio.sleep(1)
            network.heal()


async def test_a_dialler_that_gave_up_leaves_nothing_behind(network: MemoryNetwork) -> None:
    """Who was already in line sees a reset; who was not is never accepted."""
    a, b = network.host("a"), network.host("b")
    async with await b.listen() as listener:
        network.cut("a", "b")
        assert await silent(lambda: a.dial(listener.address))
        network.heal()
        network.cut("b", "a", one_way=True)
        assert await silent(lambda: a.dial(listener.address))
        accepted = await listener.accept()
        with pytest.raises(trio.BrokenResourceError):
            await accepted.receive_some()
        assert await silent(listener.accept)


async def test_an_isolated_host_reaches_nobody(network: MemoryNetwork) -> None:
    """Every link to and from it is cut; the others are not."""
    ab, ba = await linked(network, "a", "b")
    bc, cb = await linked(network, "b", "c")
    network.isolate("a")
    for end in (ab, ba, bc, cb):
        await end.send_all(b"x")
    assert await silent(ab.receive_some)
    assert await silent(ba.receive_some)
    assert await receive_exactly(bc, 1) == await receive_exactly(cb, 1) == b"x"


async def test_what_was_cut_is_mended_by_itself(network: MemoryNetwork) -> None:
    """``mend`` ends a cut, in one direction if told so, and no delay; the network tells how it is."""
    here, there = await linked(network, "a", "b")
    network.delay("a", "b", 2.0, one_way=True)
    network.cut("a", "b")
    assert network.is_cut("a", "b")
    await here.send_all(b"x")
    network.mend("a", "b", one_way=True)
    assert not network.is_cut("a", "b", one_way=True)
    assert network.is_cut("b", "a", one_way=True)
    assert network.is_cut("a", "b")
    assert network.delay_of("a", "b") == 2.0
    assert network.delay_of("b", "a") == 0.0
    assert await receive_exactly(there, 1) == b"x"


async def test_what_is_held_up_does_not_arrive(network: MemoryNetwork) -> None:
    """Of what is in flight, ``arriving`` counts what neither a cut nor a dead machine holds up."""
    here, _ = await linked(network, "a", "b")
    other, _ = await linked(network, "a", "c")
    network.cut("a", "b")
    network.delay("a", "c", 1.0)
    await here.send_all(b"x")
    await other.send_all(b"x")
    assert (network.in_flight, network.arriving) == (2, 1)


async def test_a_delay_takes_time_and_keeps_order(network: MemoryNetwork) -> None:
    """Each segment arrives so many seconds after it was sent; what follows at once arrives at once after it."""
    one, other = await linked(network, "a", "b")
    began = trio.current_time()
    network.delay("a", "b", 10, one_way=True)
    await one.send_all(b"1")
    await trio.sleep(4)
    await one.send_all(b"2")
    network.delay("a", "b", 0)
    await one.send_all(b"3")
    arrivals: list[tuple[bytes, float]] = []
    while len(arrivals) < 2:
        arrivals.append((await other.receive_some(1), trio.current_time() - began))
    assert arrivals == [(b"1", 10), (b"2", 14)]
    assert await other.receive_some() == b"3"
    assert trio.current_time() - began == 14
    await other.send_all(b"back")
    assert await receive_exactly(one, 4) == b"back"
    assert trio.current_time() - began == 14


async def test_links_do_not_wait_for_each_other(network: MemoryNetwork) -> None:
    """What is held up on one link does not hold up another from the same host."""
    ab, ba = await linked(network, "a", "b")
    ac, ca = await linked(network, "a", "c")
    network.cut("a", "b")
    await ab.send_all(b"late")
    await ac.send_all(b"soon")
    assert await receive_exactly(ca, 4) == b"soon"
    network.heal()
    assert await receive_exactly(ba, 4) == b"late"


async def test_segments_divide_what_is_sent() -> None:
    """With segments of three bytes eight of them travel as three, each of which can be held up."""
    async with MemoryNetwork(segment=3) as network:
        one, other = await linked(network, "a", "b")
        network.cut("a", "b")
        await one.send_all(b"12345678")
        assert network.in_flight == 3
        network.heal()
        assert await receive_exactly(other, 8) == b"12345678"


# Connections that break -------------------------------------------------------------------------------------------


async def test_a_dropped_connection_breaks_at_both_ends(network: MemoryNetwork) -> None:
    """Readers and writers get ``BrokenResourceError`` at once, and what was on its way arrives never."""
    one, other = await linked(network, "a", "b")
    bystander, _ = await linked(network, "a", "c")
    network.cut("a", "b")
    await one.send_all(b"lost")
    assert network.drop("b", "a") == 2
    network.heal()
    for end in (one, other):
        with pytest.raises(trio.BrokenResourceError, match="dropped"):
            await end.receive_some()
        with pytest.raises(trio.BrokenResourceError, match="dropped"):
            await end.send_all(b"hello?")
    await bystander.send_all(b"fine")
    assert network.drop("a", "b") == 0


async def test_one_of_several_connections_breaks(network: MemoryNetwork) -> None:
    """The others between the same hosts go on; connections are told by the ends that dialled, oldest first."""
    first, accepted = await linked(network, "a", "b")
    second, _ = await linked(network, "b", "a")
    assert network.connections("b", "a") == [second, first]
    (chosen,) = [end for end in network.connections("a", "b") if end is first]
    network.drop_one(chosen)
    for end in (first, accepted):
        with pytest.raises(trio.BrokenResourceError, match="dropped"):
            await end.receive_some()
    await second.send_all(b"fine")
    assert network.connections("a", "b") == [second]


async def test_sending_at_once_takes_what_there_is_room_for(network: MemoryNetwork) -> None:
    """``send_nowait`` never waits: it tells how much it took, and nothing of what can go no way."""
    here, there = await linked(network, "a", "b")
    assert isinstance(here, MemoryConnection)
    assert here.send_nowait(b"x" * (WINDOW - 10)) == WINDOW - 10
    assert here.send_nowait(b"y" * 30) == 10
    assert here.send_nowait(b"z") == 0
    received = await receive_exactly(there, WINDOW)
    assert received == b"x" * (WINDOW - 10) + b"y" * 10
    assert here.send_nowait(b"z") == 1
    network.drop("a", "b")
    assert here.send_nowait(b"z") == 0
    here.abort()
    assert here.send_nowait(b"z") == 0


async def test_a_drop_ends_dialling_too(network: MemoryNetwork) -> None:
    """Who has not been answered gets ``ConnectionResetError``."""
    a, b = network.host("a"), network.host("b")
    listener = await b.listen()
    network.cut("a", "b")
    async with trio.open_nursery() as nursery:

        async def dial() -> None:
            with pytest.raises(ConnectionResetError):
                await a.dial(listener.address)

        nursery.start_soon(dial)
        await trio.sleep(1)
        assert network.drop("a", "b") == 1


async def test_nothing_of_an_old_connection_reaches_a_new_one(network: MemoryNetwork) -> None:
    """What was on its way when a connection was aborted is lost, whatever is dialled next."""
    old, accepted = await linked(network, "a", "b")
    network.cut("a", "b", one_way=True)
    await old.send_all(b"old")
    old.abort()
    network.heal()
    with pytest.raises(trio.BrokenResourceError):
        await accepted.receive_some()
    one, other = await linked(network, "a", "b")
    await one.send_all(b"new")
    await one.aclose()
    assert await receive_all(other) == b"new"


async def test_an_abort_behind_a_cut_is_not_heard(network: MemoryNetwork) -> None:
    """The other end believes in its connection until the network is healed."""
    one, other = await linked(network, "a", "b")
    network.cut("a", "b")
    one.abort()
    assert await silent(other.receive_some)
    network.heal()
    with pytest.raises(trio.BrokenResourceError):
        await other.receive_some()


# Hosts ------------------------------------------------------------------------------------------------------------


async def test_a_paused_host_reads_nothing(network: MemoryNetwork) -> None:
    """Its buffers fill until its peer waits; it accepts nobody; afterwards everything is there."""
    b = network.host("b")
    listener = await b.listen()
    one, other = await linked(network, "a", "b")
    network.pause("b")
    await one.send_all(bytes(WINDOW))
    assert await silent(lambda: one.send_all(b"more"))
    assert await silent(other.receive_some)
    await network.host("a").dial(listener.address)
    assert await silent(listener.accept)
    await other.send_all(b"it can talk")
    assert await receive_exactly(one, 11) == b"it can talk"
    network.resume("b")
    assert len(await receive_exactly(other, WINDOW)) == WINDOW
    await listener.accept()


async def test_a_full_line_makes_diallers_wait(network: MemoryNetwork) -> None:
    """Two wait to be accepted and are connected; the third is connected when there is room in the line."""
    a, b = network.host("a"), network.host("b")
    listener = await b.listen()
    for _ in range(2):
        await a.dial(listener.address)
    assert await silent(lambda: a.dial(listener.address))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.dial, listener.address)
        await trio.sleep(1)
        await listener.accept()


async def test_a_killed_process_is_missed_at_once(network: MemoryNetwork) -> None:
    """Its peers read what it had sent, then the end, and nobody listens any more."""
    b = network.host("b")
    listener = await b.listen()
    one, other = await linked(network, "a", "b")
    await other.send_all(b"last words")
    network.kill9("b")
    assert await receive_all(one) == b"last words"
    with pytest.raises(ConnectionRefusedError):
        await network.host("a").dial(listener.address)


@pytest.mark.parametrize("death", [MemoryNetwork.kill9, MemoryNetwork.power_cut])
async def test_the_dead_notice_nothing(
    network: MemoryNetwork, death: Callable[[MemoryNetwork, str], None]
) -> None:
    """Whatever a dead process' tasks wait for, or begin to wait for, never comes; closing is in vain, dialling an error."""
    b = network.host("b")
    listener = await b.listen()
    one, other = await linked(network, "a", "b")
    waiting = (listener.accept, other.receive_some, other.send_eof, lambda: other.send_all(b"x"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.accept)
        nursery.start_soon(other.receive_some)
        await trio.sleep(1)
        death(network, "b")
        for operation in waiting:
            if operation != other.receive_some:
                assert await silent(operation)
        assert len(nursery.child_tasks) == 2
        nursery.cancel_scope.cancel()
    await listener.aclose()
    await other.aclose()
    other.abort()
    for vain in (b.listen, lambda: b.dial("a:1")):
        with pytest.raises(OSError, match="process 1 of host 'b' is dead"):
            await vain()
    one.abort()


async def test_a_killed_process_with_unread_mail_resets_its_peers(network: MemoryNetwork) -> None:
    """As the system does when it closes a socket that nobody has read to its end."""
    one, _ = await linked(network, "a", "b")
    await one.send_all(b"unread")
    await wait_all_tasks_blocked()
    network.kill9("b")
    with pytest.raises(trio.BrokenResourceError):
        await one.receive_some()


async def test_a_new_process_may_listen_where_the_dead_one_did(network: MemoryNetwork) -> None:
    """``host`` gives the next process a transport, which is not the old one's."""
    before = network.host("b")
    listener = await before.listen("b:4000")
    network.kill9("b")
    after = network.host("b")
    assert after is not before
    assert after is network.host("b")
    again = await after.listen("b:4000")
    await network.host("a").dial(again.address)
    await listener.aclose()
    await network.host("a").dial(again.address)


async def test_a_host_without_power_says_nothing(network: MemoryNetwork) -> None:
    """Its peers wait in silence, old connections and new; when it is back it resets what it does not know."""
    a, b = network.host("a"), network.host("b")
    listener = await b.listen("b:4000")
    idle, _ = await linked(network, "a", "b")
    busy, other = await linked(network, "a", "b")
    network.cut("b", "a", one_way=True)
    await other.send_all(b"on its way")
    network.power_cut("b")
    network.heal()
    await busy.send_all(b"hello?")
    assert await silent(busy.receive_some)
    assert await silent(idle.receive_some)
    assert await silent(lambda: a.dial(listener.address))
    await network.host("b").listen("b:4000")
    with pytest.raises(trio.BrokenResourceError):
        await busy.receive_some()
    assert await silent(idle.receive_some), "it has said nothing that could be answered by a reset"
    await a.dial("b:4000")


async def test_diallers_in_line_hear_of_a_power_cut_when_it_is_over(network: MemoryNetwork) -> None:
    """Who waited for a place in the line is refused by the next process' system."""
    a, b = network.host("a"), network.host("b")
    listener = await b.listen()
    for _ in range(2):
        await a.dial(listener.address)
    async with trio.open_nursery() as nursery:

        async def dial() -> None:
            with pytest.raises(ConnectionRefusedError):
                await a.dial(listener.address)

        nursery.start_soon(dial)
        await trio.sleep(1)
        network.power_cut("b")
        await trio.sleep(1)
        network.host("b")


async def test_a_dialler_that_is_killed_is_never_answered(network: MemoryNetwork) -> None:
    """It waits for ever, and the listener sees the end of what it had asked for."""
    a, b = network.host("a"), network.host("b")
    listener = await b.listen()
    network.cut("b", "a", one_way=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.dial, listener.address)
        await trio.sleep(1)
        network.kill9("a")
        network.heal()
        assert await receive_all(await listener.accept()) == b""
        await trio.sleep(3600)
        assert len(nursery.child_tasks) == 1
        nursery.cancel_scope.cancel()


async def test_healing_everything_ends_every_fault(network: MemoryNetwork) -> None:
    """After ``heal()`` nothing is cut, delayed or paused."""
    one, other = await linked(network, "a", "b")
    network.isolate("a")
    network.delay("a", "b", 100)
    network.pause("b")
    network.heal()
    began = trio.current_time()
    await one.send_all(b"x")
    assert await other.receive_some() == b"x"
    assert trio.current_time() == began


# Mistakes of tests ------------------------------------------------------------------------------------------------


async def test_unknown_hosts_are_named(network: MemoryNetwork) -> None:
    """A typing error in a fault is an error, and the hosts there are, are listed; dialling one fails as in real life."""
    for fault in (
        lambda: network.cut("a", "d"),
        lambda: network.drop("d", "a"),
        lambda: network.pause("d"),
        lambda: network.kill9("d"),
        lambda: network.heal("a", "d"),
    ):
        with pytest.raises(ValueError, match="no host 'd' in this network, which has a, b, c"):
            fault()
    with pytest.raises(OSError, match="no host 'd'"):
        await network.host("a").dial("d:4000")


async def test_impossible_faults_are_refused(network: MemoryNetwork) -> None:
    """Half a pair to heal, a negative delay, a name with a dot, another host's address."""
    with pytest.raises(ValueError, match="between two hosts"):
        network.heal("a")
    with pytest.raises(ValueError, match="-1"):
        network.delay("a", "b", -1)
    with pytest.raises(ValueError, match=r"'a\.b'"):
        network.host("a.b")
    with pytest.raises(OSError, match="no address of host 'a'"):
        await network.host("a").listen("b:4000")


@pytest.mark.parametrize("option", ["window", "segment", "backlog"])
def test_a_network_without_room_is_refused(option: str) -> None:
    """Nothing would ever arrive."""
    with pytest.raises(ValueError, match="1 or more"):
        MemoryNetwork(**{option: 0})


async def test_a_network_must_be_open() -> None:
    """Without its links it says how to open it; once closed, it has ended what was connected."""
    network = MemoryNetwork()
    with pytest.raises(RuntimeError, match="async with"):
        await linked(network, "a", "b")
    async with network:
        one, _ = await linked(network, "a", "b")
    with pytest.raises(trio.ClosedResourceError):
        await one.receive_some()
    with pytest.raises(RuntimeError, match="async with"):
        await linked(network, "c", "d")


async def test_what_fails_inside_is_not_wrapped() -> None:
    """An error in the block comes out as it is, not in a group, though links were running."""

    async def fail() -> None:
        async with MemoryNetwork() as network:
            await linked(network, "a", "b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
