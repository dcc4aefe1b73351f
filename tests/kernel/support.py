"""What tests of the kernel share: messages, and failures as values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

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
