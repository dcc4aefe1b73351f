"""A death notice is what the kernel delivers, not what somebody tells: a told ``Down`` or ``Exit`` is a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

import actorkit as ak
from tests.harness import Do, Puppet, lost, puppet, settle, watch
from tests.kernel.support import Note

Notice = ak.Down | ak.Exit


class Clerk(Puppet):
    """Tells what came as a message from what came to its hooks."""

    trap_exits = True
    mailbox = ak.Mailbox(capacity=3)

    def down(self, down: ak.Down) -> None:
        self.log.append(("hook", down))

    def exited(self, exit: ak.Exit) -> None:  # noqa: A002
        self.log.append(("hook", exit))


class Narrow(ak.Actor[Note]):
    """Handles notes only; a notice in its hooks would end it."""

    trap_exits = True

    @ak.on(Note)
    def note(self, msg: Note) -> None:
        """Take a message."""

    def down(self, down: ak.Down) -> None:
        raise AssertionError("a message came to the hook for notices")

    def exited(self, exit: ak.Exit) -> None:  # noqa: A002
        raise AssertionError("a message came to the hook for exit signals")


@attrs.frozen(eq=False)
class Odd:
    """A message that cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise TypeError("not comparable")

    __hash__ = object.__hash__


def a_down(ref: ak.Ref[Any]) -> ak.Down:
    """A value like the notice of a death."""
    return ak.Down(ak.Monitor(1), ref, ref.address, ak.Killed())


def an_exit(ref: ak.Ref[Any]) -> ak.Exit:
    """A value like an exit signal that came over a link."""
    return ak.Exit(ref, ref.address, ak.Killed())


FORGED = pytest.mark.parametrize("forge", [a_down, an_exit])
Forge = Callable[[ak.Ref[Any]], Notice]


async def clerk(system: ak.System) -> tuple[ak.Ref[object], list[object]]:
    """Start a clerk."""
    log: list[object] = []
    return await system.spawn(ak.props(Clerk, log)), log


@FORGED
async def test_a_told_notice_is_a_message(system: ak.System, forge: Forge) -> None:
    """An actor whose vocabulary covers it handles it like any message, and its hooks hear nothing."""
    ref, log = await clerk(system)
    ref.tell(forge(ref))
    await system.state_of(ref)
    assert log == [forge(ref)]
    assert system.statistics(ref).handled == 1


@FORGED
async def test_a_told_notice_nobody_handles(system: ak.System, forge: Forge) -> None:
    """Where the vocabulary does not cover it, it is unhandled, and the actor lives."""
    ref: ak.Ref[Any] = await system.spawn(ak.props(Narrow))
    forged = forge(ref)
    ref.tell(forged)
    ref.tell(Note("next"))
    await settle()
    assert ref.alive
    assert lost(system, ak.DeadReason.UNHANDLED) == [forged]


@FORGED
async def test_a_told_notice_takes_room(system: ak.System, forge: Forge) -> None:
    """It counts against the capacity, as signals never do."""
    ref, log = await clerk(system)
    system.suspend(ref)
    for _ in range(4):
        ref.tell(forge(ref))
    assert system.statistics(ref).waiting == 3
    system.resume(ref)
    await settle()
    assert log == [forge(ref)] * 3
    assert lost(system, ak.DeadReason.MAILBOX_FULL) == [forge(ref)]


@FORGED
async def test_a_notice_that_comes_by_timer_is_a_message(system: ak.System, forge: Forge) -> None:
    """Whichever way a user's value comes - a timer, a continuation - it stays a message."""
    ref, log = await clerk(system)

    def both_ways(ctx: ak.Context[Any]) -> None:
        ctx.send_after(1.0, forge(ref))
        ctx.continue_with(forge(ref))

    await ref.ask(Do(both_ways))
    system.send_after(1.0, ref, forge(ref))
    await settle()
    assert log == [forge(ref)]
    await ref.ask(Do(lambda ctx: ctx.sleep(2.0)))
    await settle()
    assert log == [forge(ref)] * 3


async def test_flushing_takes_notices_and_no_messages(system: ak.System) -> None:
    """``unwatch`` and ``unlink`` take back the true notice that waits, and leave its told double where it was."""
    watcher, target = await puppet(system, trap=True), await puppet(system)
    monitor = await watch(watcher, target)
    await watcher.do(lambda ctx: ctx.link(target.ref))
    doubles = [
        ak.Down(monitor, target.ref, target.ref.address, ak.Killed()),
        ak.Exit(target.ref, target.ref.address, ak.Killed()),
    ]
    odd = Odd()

    def see_it_die_first(ctx: ak.Context[Any]) -> None:
        for message in (odd, *doubles):
            ctx.self.tell(message)
        target.ref.kill()
        ctx.unwatch(monitor)
        ctx.unlink(target.ref)

    await watcher.do(see_it_die_first)
    await settle()
    assert watcher.log == [odd, *doubles]


async def test_a_supervisor_takes_no_told_exit_for_a_death(system: ak.System) -> None:
    """A forged exit signal of its child is a message the supervisor does not know; the child goes on."""
    child = ak.Child("child", ak.props(Narrow))
    tree = await system.start(ak.supervise(child))
    ref: ak.Ref[Any] = tree.child(child)
    address = ref.address
    supervisor: ak.Ref[Any] = tree.ref
    supervisor.tell(an_exit(ref))
    await settle()
    assert ref.address == address
    assert lost(system, ak.DeadReason.UNHANDLED) == [an_exit(ref)]


async def test_a_told_notice_waits_for_the_next_incarnation(system: ak.System) -> None:
    """Mail survives a restart, a told notice too; true notices end with the incarnation they were for."""
    log: list[object] = []
    child = ak.Child("child", ak.props(Clerk, log))
    tree = await system.start(ak.supervise(child))
    ref: ak.Ref[Any] = tree.child(child)
    watched = await puppet(system)
    await ref.ask(Do(lambda ctx: ctx.watch(watched.ref)))
    forged = a_down(watched.ref)

    def die_last(ctx: ak.Context[Any]) -> None:
        watched.ref.kill()
        ref.tell(forged)
        ctx.self.kill()

    ref.tell(Do(die_last))
    await settle()
    assert log == [forged]


async def test_status_shows_what_was_in_the_envelopes(system: ak.System) -> None:
    """The last things an actor took are named for what they are, notices and timers' messages too."""
    ref, log = await clerk(system)
    watched = await puppet(system)

    def play(ctx: ak.Context[Any]) -> None:
        ctx.watch(watched.ref)
        ctx.send_after(0.0, Note("timer"))
        ctx.continue_with(Odd())

    await ref.ask(Do(play))
    await settle()
    watched.ref.kill()
    await settle()
    assert system.status(ref).recent == ("Do", "Odd", "Note", "Down")
    assert [type(item).__name__ for item in log] == ["Odd", "Note", "tuple"]


class Fragile(Puppet):
    """Crashes of every notice."""

    trap_exits = True

    def down(self, down: ak.Down) -> None:
        raise ValueError("of a down")

    def exited(self, exit: ak.Exit) -> None:  # noqa: A002
        raise ak.Refused("of an exit")


async def test_a_crash_in_a_hook_names_the_notice(system: ak.System) -> None:
    """The exit reason of an actor that crashed of a notice shows that notice."""
    victim, target = await system.spawn(ak.props(Fragile, [])), await puppet(system)
    await victim.ask(Do(lambda ctx: ctx.watch(target.ref)))
    target.ref.kill()
    reason = await victim.wait_stopped()
    assert isinstance(reason, ak.Crashed)
    assert reason.handling.startswith("Down(")


async def test_a_refused_notice_is_no_dead_letter(system: ak.System) -> None:
    """``Refused`` out of a hook answers nobody and loses nothing."""
    ref = await system.spawn(ak.props(Fragile, []))
    system.exit(ref, ak.Failed("trapped"))
    await settle()
    assert ref.alive
    assert len(system.dead_letters) == 0
