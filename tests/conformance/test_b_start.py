"""Section B, cases 17-20 and 29-34: how a server starts, goes on, idles and stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

import actorkit as ak
from tests.harness import Ended, puppet, puppet_below, reasons, settle

BYE = ak.Failed("bye")
KEY = ak.Key[object]("server")


@ak.message
class Note:
    """Something to be handled."""

    text: str


class Slow(ak.Actor[Note]):
    """Takes a while to start, and says when it began, was ready and unwound."""

    def __init__(self, log: list[object], seconds: float) -> None:
        self.log = log
        self.seconds = seconds

    async def started(self) -> None:
        self.log.append("begun")
        try:
            await trio.sleep(self.seconds)
            self.log.append("ready")
        finally:
            self.log.append("over")

    @ak.on(Note)
    def note(self, msg: Note) -> None:
        self.log.append(msg.text)


async def test_b17_start_timeout(system: ak.System) -> None:
    """A start that takes too long ends with its error alone: the child is gone, the name free, nobody else is told."""
    starter = await puppet(system, trap=True)
    log: list[object] = []

    async def start(ctx: ak.Context[Any]) -> tuple[float, int]:
        with pytest.raises(ak.StartTimeout):
            await ctx.spawn(ak.props(Slow, log, 0.2), name="server", start_timeout=0.05)
        return ctx.now(), len(ctx.children)

    began = trio.current_time()
    assert await starter.do(start) == (pytest.approx(began + 0.05), 0)
    assert log == ["begun", "over"]
    assert system.whereis(KEY) is None
    assert system.status(starter.ref).links == ()
    await settle()
    assert starter.log == []
    assert len(system.tree()) == 1


async def test_b18_start_already_started(system: ak.System) -> None:
    """A taken name refuses the second server before it is even constructed, and tells who holds it."""
    holder = await puppet(system, name="server")
    log: list[object] = []
    with pytest.raises(ak.AlreadyStarted) as caught:
        await system.spawn(ak.props(Slow, log, 0.0), name="server")
    assert caught.value.ref is holder.ref
    assert caught.value.name == "server"
    assert log == []
    assert len(system.tree()) == 1


def _declines() -> None:
    raise ak.Ignore("not today")


def _stops() -> None:
    raise ak.Stop(BYE)


def _crashes() -> None:
    raise RuntimeError("broken")


class Reluctant(ak.Actor[Note]):
    """Does something in its start, after a wait or at once."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def started(self) -> None:
        self.act()

    @ak.on(Note)
    def note(self, msg: Note) -> None: ...


class ReluctantLater(Reluctant):
    async def started(self) -> None:  # type: ignore[override]
        await self.ctx.sleep(0.001)
        self.act()


@pytest.mark.parametrize("cls", [Reluctant, ReluctantLater])
@pytest.mark.parametrize(
    ("act", "error"),
    [(_declines, ak.StartIgnored), (_stops, ak.StartFailed), (_crashes, ak.StartFailed)],
)
async def test_b19_otp_7669(
    system: ak.System,
    cls: type[Reluctant],
    act: Callable[[], None],
    error: type[ak.StartError],
) -> None:
    """When a start fails its name is free at that very instant, a hundred times in a row."""
    reasons_given: set[object] = set()
    for _ in range(100):
        with pytest.raises(error) as caught:
            await system.spawn(ak.props(cls, act), name="server")
        assert system.whereis(KEY) is None
        reasons_given.add(getattr(caught.value, "reason", None))
    if act is _stops:
        assert reasons_given == {BYE}
    assert len(system.tree()) == 0
    assert len(system.dead_letters) == 0


async def test_b20_sync_start_link(system: ak.System) -> None:
    """A start does not return before ``started`` is over; mail sent meanwhile waits."""
    starter = await puppet(system)
    log: list[object] = []
    starter.cue(lambda ctx: ctx.spawn(ak.props(Slow, log, 3.0), name="server"))
    await settle()
    system.named(KEY).tell(Note("early"))
    assert log == ["begun"]
    await starter.do(lambda _: log.append("returned"))
    assert log == ["begun", "ready", "over", "early", "returned"]
    assert trio.current_time() == pytest.approx(3.0)


async def test_b20_sync_start_monitor(system: ak.System) -> None:
    """A start with a monitor returns one that fires later, once."""
    starter = await puppet(system)
    log: list[object] = []
    ref, monitor = await starter.do(lambda ctx: ctx.spawn_watched(ak.props(Slow, log, 3.0)))
    assert log == ["begun", "ready", "over"]
    ref.kill()
    await settle()
    assert [(down.monitor, down.reason) for down in starter.downs] == [(monitor, ak.Killed())]


class Continuing(ak.Actor[Note]):
    """Tells itself something in its start, then continues; every continuation chains on."""

    def __init__(self, log: list[str], chain: tuple[str, ...]) -> None:
        self.log = log
        self.chain = list(chain)

    def started(self) -> None:
        self.ctx.self.tell(Note("queued"))
        self._go_on()

    @ak.on(Note)
    async def note(self, msg: Note) -> None:
        await self.ctx.sleep(0)
        self.log.append(msg.text)
        if msg.text == "end":
            self.ctx.stop()
        elif msg.text != "queued":
            self._go_on()

    def _go_on(self) -> None:
        if self.chain:
            self.ctx.continue_with(Note(self.chain.pop(0)))


async def test_b29_continue(system: ak.System) -> None:
    """A continuation runs before every message that waits, and continuations chain."""
    log: list[str] = []
    ref = await system.spawn(ak.props(Continuing, log, ("one", "two", "three")))
    assert log == []  # the start does not wait for them
    await system.state_of(ref)
    assert log == ["one", "two", "three", "queued"]


async def test_b29_continue_may_stop(system: ak.System) -> None:
    """A continuation may stop the server with ``normal``; what waited is a dead letter."""
    log: list[str] = []
    ref = await system.spawn(ak.props(Continuing, log, ("one", "end")))
    assert await ref.wait_stopped() == ak.Normal()
    assert log == ["one", "end"]
    assert [letter.message for letter in system.dead_letters.recent] == [Note("queued")]


IDLE = Note("idle")


async def test_b30_call_within_idle_timeout(system: ak.System) -> None:
    """An idle time-out fires once after a silence of its length; any message calls it off."""
    server = await puppet(system)
    await server.do(lambda ctx: ctx.idle_after(1.0, IDLE))
    await trio.sleep(0.5)
    server.ref.tell(Note("busy"))
    await trio.sleep(5)
    assert server.log == [Note("busy")]
    began = trio.current_time()
    await server.do(lambda ctx: ctx.idle_after(1.0, IDLE))
    await trio.sleep(0.9)
    assert IDLE not in server.log
    await trio.sleep(5)
    assert server.log == [Note("busy"), IDLE]
    assert trio.current_time() == pytest.approx(began + 5.9)


async def test_b30_idle_timeout_counts_from_the_end_of_the_work(system: ak.System) -> None:
    """The silence is counted from when the mailbox is empty, so mail that waits already calls it off."""
    server = await puppet(system)

    async def arm_and_work(ctx: ak.Context[Any]) -> None:
        ctx.idle_after(1.0, IDLE)
        await ctx.sleep(3)

    server.cue(arm_and_work)
    await trio.sleep(3.5)
    assert server.log == []
    await trio.sleep(1)
    assert server.log == [IDLE]
    server.cue(arm_and_work)
    await settle()
    server.ref.tell(Note("busy"))
    await trio.sleep(9)
    assert server.log == [IDLE, Note("busy")]


@pytest.mark.parametrize("reason", [BYE, ak.Normal(), ak.Shutdown()])
async def test_b31_exit_from_the_parent(system: ak.System, reason: ak.ExitReason) -> None:
    """An exit signal from its parent ends a trapping server in good order, whatever the reason."""
    parent = await puppet(system)
    server = await puppet_below(parent, trap=True, link=False)
    await parent.do(lambda ctx: ctx.exit(server.ref, reason))
    assert await server.ref.wait_stopped() == reason
    assert server.log == [Ended(reason)]


async def test_b31_exit_from_a_stranger(system: ak.System) -> None:
    """An exit signal from anybody else is a message to a trapping server."""
    stranger, server = await puppet(system), await puppet(system, trap=True)
    await stranger.do(lambda ctx: ctx.exit(server.ref, BYE))
    await settle()
    assert reasons(server.exits) == [BYE]
    assert server.ref.alive


async def test_b32_shutdown_signal_without_trap(system: ak.System) -> None:
    """A server that does not trap exits dies of ``shutdown`` at once, and its ``stopping`` is not called.

    Only the *signal* does so. A supervisor's or the system's orderly stop runs ``stopping`` in any case, on purpose: that
    it does not is a standing surprise to users of OTP (semantics 14).
    """
    parent = await puppet(system)
    server, orderly = await puppet_below(parent), await puppet_below(parent)
    server.cue(lambda ctx: ctx.sleep(1000))
    await settle()
    await parent.do(lambda ctx: ctx.unlink(server.ref))
    await parent.do(lambda ctx: ctx.exit(server.ref, ak.Shutdown()))
    assert await server.ref.wait_stopped() == ak.Shutdown()
    assert server.log == []
    await parent.do(lambda ctx: ctx.unlink(orderly.ref))
    stop = await parent.do(lambda ctx: ctx.stop_child(orderly.ref, limit=1.0))
    assert stop == ak.Shutdown()
    assert orderly.log == [Ended(ak.Shutdown())]
    assert trio.current_time() == 0.0


@pytest.mark.parametrize("reason", [ak.Normal(), ak.Shutdown("moved"), BYE])
async def test_b33_stop(system: ak.System, reason: ak.ExitReason) -> None:
    """``stop`` returns when the server is gone and its ``stopping`` saw the reason; a second one finds nobody."""
    server = await puppet(system, name="server")
    server.ref.tell(Note("before"))
    await server.ref.stop(reason)
    assert not server.ref.alive
    assert system.whereis(KEY) is None
    assert server.log == [Note("before"), Ended(reason)] or server.log == [Ended(reason)]
    with pytest.raises(ak.ActorDied) as caught:
        await server.ref.stop(reason)
    assert caught.value.reason == ak.NoActor()


async def test_b34_stop_ends_otherwise(system: ak.System) -> None:
    """If the server ends for another reason than the one asked, ``stop`` fails with the true one."""

    class Stubborn(ak.Actor[Note]):
        @ak.on(Note)
        def note(self, msg: Note) -> None: ...
        def stopping(self, reason: ak.ExitReason) -> None:
            raise ak.Stop(BYE)

    ref = await system.spawn(ak.props(Stubborn))
    with pytest.raises(ak.ActorDied) as caught:
        await ref.stop()
    assert caught.value.reason == BYE


async def test_b34_stop_of_a_hanging_server(system: ak.System) -> None:
    """A ``stop`` that times out leaves its request in place: the server ends when it gets to it."""
    server = await puppet(system)
    server.cue(lambda ctx: ctx.sleep(3))
    await settle()
    with pytest.raises(TimeoutError):
        await server.ref.stop(BYE, timeout=0)
    assert server.ref.alive
    assert await server.ref.wait_stopped() == BYE
    assert trio.current_time() == pytest.approx(3.0)


async def test_b34_stop_of_oneself_is_refused(system: ak.System) -> None:
    """Waiting for one's own end would never end, so it fails at once."""
    server = await puppet(system)

    async def stop_myself(ctx: ak.Context[Any]) -> None:
        with pytest.raises(ak.CircularAsk):
            await ctx.self.stop()

    await server.do(stop_myself)
    assert server.ref.alive


async def test_b20_started_may_return_an_awaitable(system: ak.System) -> None:
    """A ``started`` that is no coroutine function but returns an awaitable is awaited like any other."""

    class Loads(ak.Actor[Note]):
        def started(self) -> Any:
            return self._load()

        async def _load(self) -> None:
            await trio.sleep(1)
            self.loaded = self.ctx.now()

        @ak.on(Note)
        def note(self, msg: Note) -> None: ...

    ref = await system.spawn(ak.props(Loads))
    assert (await system.state_of(ref))["loaded"] == pytest.approx(1.0)
    starter = await puppet(system)
    child = await starter.do(lambda ctx: ctx.spawn(ak.props(Loads)))
    assert (await system.state_of(child))["loaded"] == pytest.approx(2.0)


async def test_b20_dying_in_started_is_a_failed_start(system: ak.System) -> None:
    """An actor that is killed while it starts, even by itself, never was."""

    class Doomed(ak.Actor[Note]):
        def started(self) -> None:
            self.ctx.self.kill()

        @ak.on(Note)
        def note(self, msg: Note) -> None: ...

    with pytest.raises(ak.StartFailed) as caught:
        await system.spawn(ak.props(Doomed))
    assert caught.value.reason == ak.Killed()
    log: list[object] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_kill_soon, system)
        with pytest.raises(ak.StartFailed) as caught:
            await system.spawn(ak.props(Slow, log, 9.0), name="server")
    assert caught.value.reason == ak.Killed()
    assert log == ["begun", "over"]


async def _kill_soon(system: ak.System) -> None:
    await settle()
    system.named(KEY).kill()
