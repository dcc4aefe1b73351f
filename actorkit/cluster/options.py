"""How a node behaves in its cluster: times and limits, with defaults that are safe on an open machine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

import attrs

MIB = 1 << 20


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (isinstance(value, (int, float)) and 0 < value < math.inf):  # type: ignore[redundant-expr]
        raise ValueError(f"{attribute.name} is a number above 0, got {value!r}")


def _intensity(_: object, __: object, value: int) -> None:
    if type(value) is not int or not 4 <= value <= 1000:
        raise ValueError(f"intensity is a number of ticks from 4 to 1000, got {value!r}")


def _mode(_: object, __: object, value: str) -> None:
    if value not in ("always", "once", "never"):
        raise ValueError(f"connect is 'always', 'once' or 'never', got {value!r}")


def _patterns(imports: Iterable[str]) -> tuple[str, ...]:
    listed = isinstance(imports, Iterable) and not isinstance(imports, str)  # type: ignore[redundant-expr]
    found = tuple(imports) if listed else ()
    if not (listed and all(isinstance(one, str) for one in found)):
        raise ValueError(
            f"imports is a list of patterns of modules such as 'shop.*', got {imports!r}"
        )
    return found


@attrs.frozen(kw_only=True)
class ClusterOptions:
    """Times in seconds, sizes in bytes.

    Attributes:
        ticktime: a peer that was not heard of for so long is lost (``net_ticktime``).
        intensity: ticks that an idle connection carries in that time.
        dial_timeout: how long a dial may take, its handshake apart.
        handshake_timeout: how long proving who one is may take.
        half_open: connections from one address that have not proven who they are; the oldest gives way to a newcomer.
        max_peers: connections that are up.
        outbox_bytes: from so much on that waits for one peer, ``send`` and ``ask`` wait, and told messages are dead letters.
        outbox_hard_bytes: from so much on the peer does not read, and is cut off; replies and signals count here only.
        connect: ``"always"`` dials whoever is sent to, ``"once"`` not again after a connection broke, ``"never"`` only when
            told to (``dist_auto_connect``).
        mesh: whether to connect to every node that peers know of.
        ship_code: whether peers whose secret grants ``ship-code`` may send code to be run here, and whether this node sends any.
        imports: patterns of modules that a remote spawn may import here; those already loaded need none.
    """

    ticktime: float = attrs.field(default=15.0, validator=_positive)
    intensity: int = attrs.field(default=4, validator=_intensity)
    dial_timeout: float = attrs.field(default=5.0, validator=_positive)
    handshake_timeout: float = attrs.field(default=5.0, validator=_positive)
    half_open: int = attrs.field(default=64, validator=_positive)
    max_peers: int = attrs.field(default=256, validator=_positive)
    outbox_bytes: int = attrs.field(default=4 * MIB, validator=_positive)
    outbox_hard_bytes: int = attrs.field(default=128 * MIB, validator=_positive)
    connect: Literal["always", "once", "never"] = attrs.field(default="always", validator=_mode)
    mesh: bool = True
    ship_code: bool = False
    imports: tuple[str, ...] = attrs.field(default=(), converter=_patterns)

    def as_settings(self) -> dict[str, Any]:
        """For ``actorkit doctor``."""
        return {**attrs.asdict(self), "imports": list(self.imports)}
