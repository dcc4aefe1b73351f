"""What is launched, and how it is kept: names, app, ports, keys, limits. Checked at the door."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import attrs

from actorkit.cluster.keys import GRANTS, KEY_BYTES, Grant
from actorkit.errors import SpecError
from actorkit.kernel.address import valid_node_name
from actorkit.launch.orders import Orders, SecretOrder
from actorkit.launch.process import Command, python_command
from actorkit.seams.entropy import SystemEntropy
from actorkit.supervision.spec import Flags, Restart

MOST_NODES = 64
_LOOPBACK = "127.0.0.1"
_LAST_PORT = 65535

Policy = Literal["never", "always", "on-failure"]
POLICIES: dict[str, Restart] = {
    "never": "temporary",
    "always": "permanent",
    "on-failure": "transient",
}
OPERATOR_GRANTS = (Grant.INSPECT, Grant.CONTROL, Grant.SPAWN)
LEVELS = ("debug", "info", "warning", "error", "critical")


def node_names(nodes: int | Iterable[str]) -> tuple[str, ...]:
    """The names of so many nodes, ``a``, ``b`` and so on; or the names given, checked.

    Raises:
        SpecError: there are too few or too many, or a name is wrong or there twice.
    """
    if isinstance(nodes, (str, bool)) or not isinstance(nodes, (int, Iterable)):
        raise SpecError(f"nodes is a number of nodes, or a list of their names, got {nodes!r}")
    if isinstance(nodes, int):
        _check_count(nodes)
        letters = "abcdefghijklmnopqrstuvwxyz"
        return tuple(letters[:nodes] if nodes <= len(letters) else _numbered(nodes))
    names = tuple(nodes)
    _check_count(len(names))
    for name in names:
        if not (isinstance(name, str) and valid_node_name(name)):  # type: ignore[redundant-expr]
            raise SpecError(f"a node's name is letters, digits, '_' and '-', got {name!r}")
        if names.count(name) > 1:
            raise SpecError(f"node names are unique, got {name!r} twice")
    return names


def _numbered(count: int) -> list[str]:
    return [f"n{number}" for number in range(1, count + 1)]


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_NODES:
        raise SpecError(f"a launch has from 1 to {MOST_NODES} nodes, got {count}")


def _fresh_key() -> bytes:
    return SystemEntropy().token_bytes(KEY_BYTES)


@attrs.frozen(kw_only=True)
class Settings:
    """What is launched, and how it is kept.

    Attributes:
        names: of the nodes, in the order they are started.
        app: what each of them runs; see ``child.Orders``.
        restart: when one is restarted: ``"never"``, ``"always"`` or ``"on-failure"``, which a status other than 0 is.
        flags: how many restarts are too many.
        port: where the first listens; the others at the next ones. Any free ports if None.
        key: the secret of this launch; a fresh one if None.
        operators: keys that may look in, spawn and control.
        path: where modules are imported from.
        log_level: the least that the nodes log.
        grace: seconds they have to end in good order.
        start_timeout: seconds they have to be ready, all of them.
        options: what else their nodes are opened with.
        command: how a process is called.
    """

    names: tuple[str, ...]
    app: str | None = None
    restart: Policy = "on-failure"
    flags: Flags = attrs.field(factory=Flags)
    port: int | None = None
    key: bytes = attrs.field(factory=_fresh_key, repr=False)
    operators: tuple[bytes, ...] = attrs.field(default=(), repr=False)
    path: tuple[str, ...] = ()
    log_level: str = "info"
    grace: float = 5.0
    start_timeout: float = 30.0
    options: dict[str, Any] = attrs.field(factory=dict)
    command: Command = python_command

    def __attrs_post_init__(self) -> None:
        if self.restart not in POLICIES:
            raise SpecError(f"restart is one of {', '.join(POLICIES)}, got {self.restart!r}")
        if self.log_level not in LEVELS:
            raise SpecError(f"log_level is one of {', '.join(LEVELS)}, got {self.log_level!r}")
        if not (self.grace >= 0 and self.start_timeout > 0):
            raise SpecError(
                f"grace is seconds from 0 up and start_timeout seconds above 0, got {self.grace!r} and "
                f"{self.start_timeout!r}"
            )
        last = _LAST_PORT - len(self.names) + 1
        if self.port is not None and not 1 <= self.port <= last:
            raise SpecError(
                f"port is from 1 to {last} for {len(self.names)} nodes, got {self.port!r}"
            )

    @property
    def restart_word(self) -> Restart:
        """The policy as supervisors call it."""
        return POLICIES[self.restart]

    def orders(self, name: str, address: str) -> Orders:
        """What a node is told; one that was up before gets its old address if that is free."""
        fixed = self.port is not None
        first = f"{_LOOPBACK}:{(self.port or 0) + (self.names.index(name) if fixed else 0)}"
        return Orders(
            name=name,
            listen=address or first,
            fallback=first if address and not fixed else None,
            secrets=(
                SecretOrder(self.key.hex(), tuple(sorted(GRANTS))),
                *(SecretOrder(key.hex(), OPERATOR_GRANTS) for key in self.operators),
            ),
            app=self.app,
            path=self.path,
            log_level=self.log_level,
            grace=self.grace,
            options=self.options,
        )
