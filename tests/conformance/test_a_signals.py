"""Section A, cases 1-10: exit signals and links. The numbers are those of the case list this project keeps."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

import actorkit as ak
from tests.harness import (
    WAITS,
    Wait,
    end,
    link,
    lost,
    puppet,
    puppet_below,
    puppet_props,
    reasons,
    settle,
    watch,
)

DIE = ak.Failed("die")
GOOD = ak.Failed("good")
BAD = ak.Failed("bad")


@ak.message
class Note:
    """Something to be received."""

    text: str


A = Note("a")
X = Note("x")


class Touchy(ak.Actor[Note]):
    """Ends badly if it ever sees an X."""

    def __init__(self, log: list[object]) -> None:
        self.log = log

    @ak.on(Note)
    def take(self, msg: Note) -> None:
        if msg == X:
            raise ak.Stop(BAD)
        self.log.append(msg)


async def test_a01_t_exit_2_other_normal(system: ak.System) -> None:
    """An exit signal ``normal`` from somebody else is dropped by an actor that does not trap exits."""
    sender, target = await puppet(system), await puppet(system)
    await sender.do(lambda ctx: ctx.exit(target.ref, ak.Normal()))
    await settle()
    assert target.ref.alive
    assert target.log == []


async def _no_wait(_: ak.Context[Any]) -> None: ...


@pytest.mark.parametrize("wait", [_no_wait, *WAITS.values()])
async def test_a02_t_exit_2_catch(system: ak.System, wait: Wait) -> None:
    """An actor that sends itself an exit signal dies of it, whatever its handler catches."""
    suicidal, watcher = await puppet(system), await puppet(system)
    await watch(watcher, suicidal)

    async def catch_all(ctx: ak.Context[Any]) -> str:
        try:
            ctx.exit(ctx.self, DIE)
            await wait(ctx)
        except BaseException:  # noqa: BLE001 - exactly what must not help
            return "caught"
        return "survived"

    with pytest.raises(ak.ActorDied) as caught:
        await suicidal.do(catch_all)
    assert caught.value.reason == DIE
    await settle()
    assert reasons(watcher.downs) == [DIE]
    assert suicidal.ended == []  # OTP 3.9: no ``terminate`` for an exit signal


@pytest.mark.parametrize("trap", [False, True])
async def test_a03_kill2killed_other_exit2(system: ak.System, trap: bool) -> None:
    """``kill`` cannot be trapped, and those linked to its victim see ``killed``."""
    observer, victim = await puppet(system, trap=True), await puppet(system, trap=trap)
    await link(observer, victim)
    victim.ref.kill()
    await settle()
    assert not victim.ref.alive
    assert victim.log == []
    assert reasons(observer.exits) == [ak.Killed()]


async def test_a04_kill2killed_exit1(system: ak.System) -> None:
    """An actor that ends itself with reason ``Killed`` sends an ordinary signal over its links.

    The untrappable form is no reason in actorkit but a deed, ``ref.kill()``, so no link can deliver it; what can be
    tested is that the reason travels unchanged, along a chain too, and is trapped.
    """
    observer, middle, first = [await puppet(system, trap=trap) for trap in (True, False, False)]
    await link(middle, first)
    await link(observer, middle)
    assert await end(first, ak.Killed()) == ak.Killed()
    await settle()
    assert not middle.ref.alive
    assert observer.ref.alive
    assert reasons(observer.exits) == [ak.Killed()]


def _watch(ref: ak.Ref[Note], ctx: ak.Context[Any]) -> None:
    ctx.watch(ref)


def _send_and_exit(ref: ak.Ref[Note], ctx: ak.Context[Any]) -> None:
    for _ in range(3):
        ref.tell(A)
    ctx.exit(ref, GOOD)
    for _ in range(2):
        ref.tell(X)


async def test_a05_xm_sig_order(system: ak.System) -> None:
    """Messages and exit signals from one sender act in the order sent: what follows a fatal one is never handled."""
    sender, watcher = await puppet(system), await puppet(system)
    for _ in range(50):
        log: list[object] = []
        touchy = await system.spawn(ak.props(Touchy, log))
        await watcher.do(partial(_watch, touchy))
        await sender.do(partial(_send_and_exit, touchy))
        await settle()
        assert log in ([], [A, A, A])
    assert reasons(watcher.downs) == [GOOD] * 50
    assert lost(system, ak.DeadReason.NO_ACTOR) == [X] * 100


async def test_a05_xm_sig_order_trapped(system: ak.System) -> None:
    """A trapped exit signal keeps its place among the messages of its sender."""
    sender, target = await puppet(system), await puppet(system, trap=True)

    def play(ctx: ak.Context[Any]) -> None:
        for item in (A, A, A):
            target.ref.tell(item)
        ctx.exit(target.ref, GOOD)
        target.ref.tell(X)

    await sender.do(play)
    await settle()
    assert [getattr(item, "reason", item) for item in target.log] == [A, A, A, GOOD, X]
    assert [notice.linked for notice in target.exits] == [False]


async def test_a06_monitor_order(system: ak.System) -> None:
    """What an actor sent before it ended arrives before the notice of its end, a thousand times in a row."""
    watcher = await puppet(system)

    def say_and_end(ctx: ak.Context[Any]) -> None:
        watcher.ref.tell(A)
        watcher.ref.tell(X)
        ctx.stop(GOOD)

    for _ in range(1000):
        watcher.log.clear()
        speaker = await puppet(system)
        await watch(watcher, speaker)
        speaker.cue(say_and_end)
        await speaker.ref.wait_stopped()
        await system.state_of(watcher.ref)
        assert [getattr(item, "reason", item) for item in watcher.log] == [A, X, GOOD]


async def test_a07_links(system: ak.System) -> None:
    """There is one link per pair however often it is made, and a link to oneself does nothing."""
    one, other = await puppet(system, trap=True), await puppet(system)
    await link(one, other)
    await link(one, other)
    await link(other, one)
    await link(one, one)
    assert system.status(one.ref).links == (other.ref.path,)
    await end(other, DIE)
    await settle()
    assert reasons(one.exits) == [DIE]
    assert await end(one, DIE) == DIE
    assert len(one.exits) == 1


async def test_a08_links_unlink(system: ak.System) -> None:
    """Either end may undo a link, no signal crosses it then, and a new one works again."""
    one, other, third = [await puppet(system) for _ in range(3)]
    await link(one, other)
    await other.do(lambda ctx: ctx.unlink(one.ref))
    assert system.status(one.ref).links == ()
    await end(one, DIE)
    await settle()
    assert other.ref.alive
    await link(other, third)
    await end(third, DIE)
    await settle()
    assert not other.ref.alive


async def test_a08_unlink_takes_back_what_waits(system: ak.System) -> None:
    """After ``unlink`` no exit signal from the other arrives, not even one that already waits in the mailbox."""
    trapping, other, third = [await puppet(system, trap=trap) for trap in (True, False, False)]
    await link(trapping, other)
    await link(trapping, third)

    async def see_both_die_first(ctx: ak.Context[Any]) -> None:
        other.ref.kill()
        third.ref.kill()
        ctx.unlink(other.ref)
        ctx.unlink(third.ref, flush=False)

    await trapping.do(see_both_die_first)
    await settle()
    assert [notice.ref for notice in trapping.exits] == [third.ref]


async def test_a09_link_to_dead(system: ak.System) -> None:
    """A link to the dead gives ``NoActor``: as a message to who traps exits, as a failure to others."""
    trapping, plain, dead = [await puppet(system, trap=trap) for trap in (True, False, False)]
    address = dead.ref.address
    await dead.ref.stop()
    await link(trapping, dead)
    await settle()
    assert [(e.address, e.reason) for e in trapping.exits] == [(address, ak.NoActor())]
    assert system.status(trapping.ref).links == ()
    with pytest.raises(ak.ActorDied) as caught:
        await link(plain, dead)
    reason = caught.value.reason
    assert isinstance(reason, ak.Crashed)
    assert isinstance(reason.cause, ak.ActorDied)
    assert reason.cause.reason == ak.NoActor()
    assert not plain.ref.alive


class FailsAtOnce(ak.Actor[Note]):
    """Fails in its ``started`` hook, or in the first step after it."""

    def __init__(self, *, in_hook: bool) -> None:
        self.in_hook = in_hook

    def started(self) -> None:
        if self.in_hook:
            raise ak.Stop(DIE)
        self.ctx.continue_with(X)

    @ak.on(Note)
    def fail(self, msg: Note) -> None:
        raise ak.Stop(DIE)


async def test_a10_spawn_request_link_and_monitor_child_exit(system: ak.System) -> None:
    """An actor that fails in its first step tells its spawner the true reason, over the link and the monitor."""
    spawner = await puppet(system, trap=True)
    _, monitor = await spawner.do(
        lambda ctx: ctx.spawn_watched(ak.props(FailsAtOnce, in_hook=False), link=True)
    )
    await settle()
    assert reasons(spawner.exits) == [DIE]
    assert [(down.monitor, down.reason) for down in spawner.downs] == [(monitor, DIE)]


async def test_a10_failed_start_is_told_once(system: ak.System) -> None:
    """A start that fails is told by the start alone: one failure, one report (OTP 26, not 25)."""
    spawner = await puppet(system, trap=True)

    async def start(ctx: ak.Context[Any]) -> ak.ExitReason:
        with pytest.raises(ak.StartFailed) as caught:
            await ctx.spawn_watched(ak.props(FailsAtOnce, in_hook=True), link=True)
        return caught.value.reason

    assert await spawner.do(start) == DIE
    await settle()
    assert spawner.log == []
    assert system.status(spawner.ref).links == ()


async def test_a10_parent_ends_with_linked_child(system: ak.System) -> None:
    """A link made by ``spawn`` carries the parent's end to the child, and the child's crash to the parent."""
    parent = await puppet(system)
    child, sibling = await puppet_below(parent), await puppet_below(parent, link=False)
    await end(child, DIE)
    await settle()
    assert not parent.ref.alive
    assert sibling.ref.alive
    log: list[object] = []
    other = await puppet(system)
    grown: ak.Ref[object] = await other.do(lambda ctx: ctx.spawn(puppet_props(log)))
    other.ref.kill()
    assert await grown.wait_stopped() == ak.Killed()
