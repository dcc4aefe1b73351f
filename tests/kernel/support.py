"""What tests of the kernel share: messages, failures as values, and something to wait for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

import actorkit as ak


@ak.message
class Note:
    """Something to be received."""

    text: object


async def failure_of(attempt: Awaitable[object]) -> Exception:
    """What an attempt raises: for code in a handler, which must not crash of it."""
    try:
        result = await attempt
    except Exception as error:  # noqa: BLE001 - it is the test's to judge
        return error
    raise AssertionError(f"it did not fail, it gave {result!r}")


def failure_in(attempt: Callable[[], object]) -> Exception:
    """As ``failure_of``, of a plain function."""
    try:
        result = attempt()
    except Exception as error:  # noqa: BLE001 - it is the test's to judge
        return error
    raise AssertionError(f"it did not fail, it gave {result!r}")


def collect(system: ak.System, *kinds: type) -> list[Any]:
    """The events of some classes that a system tells from now on."""
    events: list[Any] = []
    system.events.subscribe(events.append, *kinds)
    return events


# What a handler may be in the midst of ------------------------------------------------------------------------------


async def _park(ctx: ak.Context[Any]) -> None:
    await ctx.sleep(60)


async def _wait_on_trio(_: ak.Context[Any]) -> None:
    await trio.sleep(60)


WAITS: dict[str, Callable[[ak.Context[Any]], Awaitable[None]]] = {
    "parked": _park,
    "on trio": _wait_on_trio,
}
