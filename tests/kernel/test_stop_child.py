"""``ctx.stop_child``: whoever orders an end is told of it by the order, and by nothing that could hurt it."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import actorkit as ak
from tests.harness import Ended, Puppet, Strings, puppet, puppet_below, reasons, settle, watch


class Sore(Puppet):
    """Fails when it is asked to end."""

    def stopping(self, reason: ak.ExitReason) -> None:
        raise ValueError("not like this")


class Slow(Puppet):
    """Takes a minute to end."""

    async def stopping(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        self, reason: ak.ExitReason
    ) -> None:
        await self.ctx.sleep(60)
        self.log.append(Ended(reason))


async def below(parent: Strings, cls: type[Puppet]) -> Strings:
    """Let a puppet start another of some class, linked."""
    log: list[object] = []
    return Strings(await parent.do(lambda ctx: ctx.spawn(ak.props(cls, log))), log)


async def stop(parent: Strings, *children: Strings, kill: bool = False) -> list[ak.ExitReason]:
    """Let a puppet stop others, and return the reasons."""
    refs = [child.ref for child in children]
    found: list[ak.ExitReason] = await parent.do(
        lambda ctx: ctx.stop_children(refs, limit=5.0, kill=kill), timeout=None
    )
    return found


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("trap", [False, True])
async def test_a_linked_child_can_be_stopped(system: ak.System, trap: bool, busy: bool) -> None:
    """The caller lives and gets no ``Exit``, whether it traps them or not; the child's hook has run."""
    parent = await puppet(system, trap=trap)
    child = await puppet_below(parent)
    if busy:
        child.cue(lambda ctx: ctx.sleep(60))
        await settle()
    reason = await parent.do(lambda ctx: ctx.stop_child(child.ref, limit=5.0))
    assert reason == ak.Shutdown()
    await settle()
    assert parent.ref.alive
    assert parent.log == []
    assert child.ended == [ak.Shutdown()]
    assert system.status(parent.ref).links == ()
    assert trio.current_time() == 0.0


async def test_however_the_child_ends(system: ak.System) -> None:
    """An end that was ordered does no harm if the child fails in its hook, overruns its limit, or is killed at once."""
    parent = await puppet(system)
    (failed,) = await stop(parent, await below(parent, Sore))
    assert isinstance(failed, ak.Crashed)
    assert await stop(parent, await below(parent, Slow)) == [ak.Killed()]
    assert trio.current_time() == pytest.approx(5.0)
    assert await stop(parent, await puppet_below(parent), kill=True) == [ak.Killed()]
    await settle()
    assert parent.ref.alive


async def test_several_linked_children_can_be_stopped(system: ak.System) -> None:
    """They end together; the reasons come in the order of the references."""
    parent = await puppet(system)
    children = [await below(parent, cls) for cls in (Slow, Puppet, Slow)]
    assert await stop(parent, *children) == [ak.Killed(), ak.Shutdown(), ak.Killed()]
    assert trio.current_time() == pytest.approx(5.0)
    assert parent.ref.alive


async def test_others_are_told_as_ever(system: ak.System) -> None:
    """Links to others carry the signal, and the caller's own monitor gives its ``Down``."""
    parent, friend = await puppet(system), await puppet(system, trap=True)
    child = await puppet_below(parent)
    await watch(parent, child)
    await friend.do(lambda ctx: ctx.link(child.ref))
    await stop(parent, child)
    await settle()
    assert reasons(friend.exits) == [ak.Shutdown()]
    assert reasons(parent.downs) == [ak.Shutdown()]


async def test_an_end_that_was_not_ordered_is_told(system: ak.System) -> None:
    """A child that had ended before it was to be stopped has given its exit signal already."""
    parent = await puppet(system, trap=True)
    child = await puppet_below(parent)

    async def too_late(ctx: ak.Context[Any]) -> ak.ExitReason:
        child.ref.kill()
        return await ctx.stop_child(child.ref, limit=5.0)

    assert await parent.do(too_late) == ak.Killed()
    await settle()
    assert reasons(parent.exits) == [ak.Killed()]


async def test_a_child_does_not_outlive_a_caller_that_dies_meanwhile(system: ak.System) -> None:
    """Until the child is gone the link holds: if the caller is killed while it waits, so is the child."""
    parent = await puppet(system)
    child = await below(parent, Slow)
    parent.cue(lambda ctx: ctx.stop_child(child.ref, limit=None))
    await settle()
    parent.ref.kill()
    await settle()
    assert not child.ref.alive
    assert trio.current_time() == 0.0


async def test_a_caller_that_gives_up_waiting_is_spared_too(system: ak.System) -> None:
    """The end was ordered all the same: when it comes it does no harm."""
    parent = await puppet(system)
    child = await below(parent, Slow)

    async def be_impatient(ctx: ak.Context[Any]) -> None:
        with trio.move_on_after(1):
            await ctx.stop_child(child.ref, limit=None)

    await parent.do(be_impatient)
    assert child.ref.alive
    assert await child.ref.wait_stopped() == ak.Shutdown()
    await settle()
    assert parent.ref.alive
