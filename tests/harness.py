"""What the kernel's own tests share: a kit with the dispatcher that runs in production, and a puppet.

The laws are the kit's. A ``Puppet`` is an actor that does on its own turn whatever the test tells it to do, and records in
one list, in order, everything it receives.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import actorkit as ak
from actorkit.testing import kit, running
from actorkit.testing.checks import check_conserved, check_nothing_left

T = TypeVar("T")

assert_conserved = check_conserved
assert_nothing_left = check_nothing_left


def run_in_virtual_time(main: Callable[..., Awaitable[T]], **options: Any) -> T:
    """The kit's, with the order of trio's tasks left to chance: the kernel must stand any."""
    instruments = options.get("instruments", ())
    return running.run_in_virtual_time(main, seed=None, instruments=instruments)


def in_virtual_time(items: Iterable[pytest.Item], directory: Path) -> None:
    """Let the async tests below a directory run in virtual time; a conftest's collection hook calls it."""
    for item in items:
        if item.path.is_relative_to(directory) and iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.trio(run=run_in_virtual_time), append=False)


async def settle() -> None:
    """Wait until no task can go on before the clock moves; the clock does not move meanwhile."""
    await wait_all_tasks_blocked()


@asynccontextmanager
async def open_checked_system(name: str = "local") -> AsyncGenerator[ak.System, None]:
    """Open a system for one test, as it runs in production; afterwards the kit's laws must hold of it.

    Its books balance, nothing is left of it, and nobody waits for ever.
    """
    async with kit.open_kit(name, stepped=False) as opened:
        yield opened.system


def lost(system: ak.System, *reasons: ak.DeadReason) -> list[object]:
    """The messages among the dead letters, in order; only those lost for these reasons, if any are given."""
    letters = system.dead_letters.recent
    return [letter.message for letter in letters if not reasons or letter.reason in reasons]


# Puppets -----------------------------------------------------------------------------------------


@ak.message
class Do(ak.Request[Any]):
    """Call ``act`` with the actor's context, on its own turn; what it returns, or awaits to, is the reply."""

    act: Callable[[ak.Context[Any]], Any]


@attrs.frozen
class Ended:
    """What a puppet records when its ``stopping`` hook runs."""

    reason: ak.ExitReason


class Puppet(ak.Actor[object]):
    """Does what it is told with ``Do``, and records all else it receives in ``log``."""

    def __init__(self, log: list[object]) -> None:
        self.log = log

    @ak.on(Do)
    async def do(self, msg: Do) -> Any:
        """Play the test's part."""
        result = msg.act(self.ctx)
        return await result if hasattr(result, "__await__") else result

    @ak.on(object)
    def record(self, msg: object) -> None:
        """Record a message."""
        self.log.append(msg)

    def down(self, down: ak.Down) -> None:
        self.log.append(down)

    def exited(self, exit: ak.Exit) -> None:  # noqa: A002
        self.log.append(exit)

    def stopping(self, reason: ak.ExitReason) -> None:
        self.log.append(Ended(reason))


class TrappingPuppet(Puppet):
    """A puppet to which exit signals are messages."""

    trap_exits = True


@attrs.frozen(eq=False)
class Strings:
    """The test's hold on one puppet."""

    ref: ak.Ref[object]
    log: list[object]

    async def do(
        self, act: Callable[[ak.Context[Any]], Any], *, timeout: float | None = 5.0
    ) -> Any:
        """Let the puppet do something on its own turn, and return what came of it."""
        return await self.ref.ask(Do(act), timeout=timeout)

    def cue(self, act: Callable[[ak.Context[Any]], Any]) -> None:
        """As ``do``, without waiting for it."""
        self.ref.tell(Do(act))

    def got(self, kind: type[T]) -> list[T]:
        """What it has received of one type, in order."""
        return [item for item in self.log if isinstance(item, kind)]

    @property
    def downs(self) -> list[ak.Down]:
        """The death notices of actors it watched."""
        return self.got(ak.Down)

    @property
    def exits(self) -> list[ak.Exit]:
        """The exit signals it trapped."""
        return self.got(ak.Exit)

    @property
    def ended(self) -> list[ak.ExitReason]:
        """The reason its ``stopping`` hook was given: empty if the hook never ran."""
        return [item.reason for item in self.got(Ended)]


async def puppet(system: ak.System, *, trap: bool = False, name: str | None = None) -> Strings:
    """Start a top-level puppet."""
    log: list[object] = []
    ref = await system.spawn(puppet_props(log, trap=trap), name=name)
    return Strings(ref, log)


async def puppet_below(
    parent: Strings, *, trap: bool = False, link: bool = True, name: str | None = None
) -> Strings:
    """Let one puppet start another."""
    log: list[object] = []
    props = puppet_props(log, trap=trap)
    ref = await parent.do(lambda ctx: ctx.spawn(props, link=link, name=name))
    return Strings(ref, log)


def puppet_props(log: list[object], *, trap: bool = False) -> ak.Props[object]:
    """How to make a puppet that records in ``log``."""
    return ak.props(TrappingPuppet if trap else Puppet, log)


# What a handler may be in the midst of -----------------------------------------------------------

Wait = Callable[[ak.Context[Any]], Awaitable[object]]


async def _parked(ctx: ak.Context[Any]) -> None:
    await ctx.sleep(60)


async def _on_trio(_: ak.Context[Any]) -> None:
    await trio.sleep(60)


async def _in_nursery(ctx: ak.Context[Any]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ctx.sleep, 60)
        nursery.start_soon(trio.sleep, 60)


async def _in_scope(ctx: ak.Context[Any]) -> None:
    with trio.move_on_after(70):
        await ctx.sleep(60)


# Every way to wait, for a minute: longer than any test has patience.
WAITS: dict[str, Wait] = {
    "parked": _parked,
    "on trio": _on_trio,
    "in a nursery": _in_nursery,
    "in a scope": _in_scope,
}


# Relations ---------------------------------------------------------------------------------------


async def link(one: Strings, other: Strings) -> None:
    """Let two puppets be linked, from the first one's side."""
    await one.do(lambda ctx: ctx.link(other.ref))


async def watch(watcher: Strings, target: Strings) -> ak.Monitor:
    """Let one puppet watch another."""
    monitor: ak.Monitor = await watcher.do(lambda ctx: ctx.watch(target.ref))
    return monitor


async def end(victim: Strings, reason: ak.ExitReason) -> ak.ExitReason:
    """Let a puppet end itself with a reason in good order, and return its exit reason."""
    victim.cue(lambda ctx: ctx.stop(reason))
    return await victim.ref.wait_stopped()


def reasons(notices: Iterable[ak.Down | ak.Exit]) -> list[ak.ExitReason]:
    """The exit reasons of some notices."""
    return [notice.reason for notice in notices]
