"""The five places where a node touches the world: time, chance, blocking work, the network, the disk.

Each is a small protocol with the real part beside it. They are chosen when a system is opened, never patched, and nothing
else in the package reads a clock, rolls dice, starts a thread, or opens a socket or a file. That is what lets a simulation
run the very code that runs in production (the lesson of FoundationDB and TigerBeetle).

This module is public: ``from actorkit.seams import Seams, Clock``. Most programs never need it.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from actorkit.seams.clock import Clock, SystemClock
from actorkit.seams.disk import Disk, File, Lock, LockHeld, OsDisk, Poisoned
from actorkit.seams.entropy import Entropy, SystemEntropy
from actorkit.seams.offload import Offload, ThreadOffload
from actorkit.seams.transport import Connection, Listener, TcpTransport, Transport

__all__ = [
    "Clock",
    "Connection",
    "Disk",
    "Entropy",
    "File",
    "Listener",
    "Lock",
    "LockHeld",
    "Offload",
    "OsDisk",
    "Poisoned",
    "Seams",
    "SystemClock",
    "SystemEntropy",
    "TcpTransport",
    "ThreadOffload",
    "Transport",
]


@attrs.frozen
class Seams:
    """What a system stands on; whatever is not given is the real thing.

    Attributes:
        clock: tells the time and the date.
        entropy: rolls the dice.
        offload: runs what would block.
        transport: reaches other machines.
        disk: opens a directory, which it makes if it is absent.
    """

    clock: Clock = attrs.field(factory=SystemClock)
    entropy: Entropy = attrs.field(factory=SystemEntropy)
    offload: Offload = attrs.field(factory=ThreadOffload)
    transport: Transport = attrs.field(factory=TcpTransport)
    disk: Callable[[str], Disk] = OsDisk
