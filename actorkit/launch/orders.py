"""What a launched process is told by whoever launches it, before anything else. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class SecretOrder:
    """A secret and what it is good for."""

    key: str = attrs.field(repr=False)
    grants: tuple[str, ...] = ()


@attrs.frozen
class Orders:
    """What a launched process is told.

    Attributes:
        name: of its node.
        listen: where it listens.
        fallback: where it listens if somebody else does there by now; None to give up then.
        secrets: the first is its own, the others are accepted too.
        app: ``module``, ``module:function``, ``file.py`` or ``file.py:function``; None for a bare node.
        path: where modules are imported from, as in the process that launched it.
        log_level: the least that is logged.
        grace: seconds it has to end in good order.
        options: what else its node is opened with.
    """

    name: str
    listen: str = "127.0.0.1:0"
    fallback: str | None = None
    secrets: tuple[SecretOrder, ...] = ()
    app: str | None = None
    path: tuple[str, ...] = ()
    log_level: str = "info"
    grace: float = 5.0
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def to_json(self) -> bytes:
        """One line."""
        return json.dumps(attrs.asdict(self)).encode() + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> Orders:
        """Read what ``to_json`` wrote."""
        fields = json.loads(line)
        path = tuple(fields.pop("path"))
        secrets = tuple(
            SecretOrder(secret["key"], tuple(secret["grants"])) for secret in fields.pop("secrets")
        )
        return cls(**fields, path=path, secrets=secrets)
