"""Who is struck, how, and when: drawn from a seed before the work begins.

A strike is due when a share of the work is done, not at a time, so a seed means the same on a fast machine and on a slow
one. Some strikes are due only when all files are done: they hit the editor at work, or those it asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from random import Random

import attrs

PACE = 0.05  # seconds between two strikes, at least
NODE_PACE = (
    0.5  # seconds between two strikes at nodes, at least: less than it takes to start one anew
)
# The share of the work at which the last strikes are due; what lies beyond 1 is due when all files are done.
_LAST_SHARE = 1.06


class Manner(StrEnum):
    """The ways to die."""

    KILL = "killed"
    CRASH = "crashed"
    EXIT = "sent an exit signal"
    SIGKILL = "whole nodes ended by SIGKILL"


@attrs.frozen
class Target:
    """Somebody who may be struck. A supervisor traps exits and takes no orders to crash: it can only be killed.

    Attributes:
        name: the actor's, or the node's.
        supervisor: whether it is one.
        node: whether it is a whole node, which dies with all who live there.
    """

    name: str
    supervisor: bool = False
    node: bool = False

    @property
    def manners(self) -> tuple[Manner, ...]:
        """The ways this one can die."""
        if self.node:
            return (Manner.SIGKILL,)
        return (Manner.KILL,) if self.supervisor else (Manner.KILL, Manner.CRASH, Manner.EXIT)


@attrs.frozen
class Strike:
    """One death to come.

    Attributes:
        number: counts from 1.
        share: how much of the work is done when it is due; never more than 1.
        victim: the name of who is struck.
        manner: how.
    """

    number: int
    share: float
    victim: str
    manner: Manner


def plan_strikes(count: int, targets: Sequence[Target], rng: Random) -> tuple[Strike, ...]:
    """Draw ``count`` strikes, in the order in which they are due."""
    shares = sorted(rng.uniform(0.0, _LAST_SHARE) for _ in range(count))
    return tuple(
        _draw(number, min(share, 1.0), rng.choice(targets), rng)
        for number, share in enumerate(shares, 1)
    )


def _draw(number: int, share: float, target: Target, rng: Random) -> Strike:
    return Strike(number, share, target.name, rng.choice(target.manners))


def merged(*plans: Sequence[Strike]) -> tuple[Strike, ...]:
    """Several plans as one, numbered anew."""
    strikes = sorted((strike for plan in plans for strike in plan), key=lambda strike: strike.share)
    return tuple(attrs.evolve(strike, number=n) for n, strike in enumerate(strikes, 1))
