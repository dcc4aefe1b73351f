"""Where an actor lives: node, incarnation of that node, serial number of the actor on it.

An address names one incarnation of one actor and is never used again, so a message meant for a dead
actor cannot reach a stranger (OTP's pid with its creation number, section 10.1 of the distribution
protocol).
"""

from __future__ import annotations

import re

import attrs

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}(@[A-Za-z0-9_.:\[\]-]{1,190})?")
_ADDRESS = re.compile(r"<(?P<node>[^<>#]+)#(?P<incarnation>[0-9a-f]+)\.(?P<serial>[0-9]+)>")


@attrs.frozen(slots=True)
class Address:
    """One incarnation of one actor, compared whole.

    Attributes:
        node: the node's name, such as ``"local"`` or ``"worker-1@127.0.0.1:4370"``.
        incarnation: a number chosen when the node started.
        serial: counts the actors started on that node incarnation, from 1.
    """

    node: str
    incarnation: int
    serial: int

    def __str__(self) -> str:
        return f"<{self.node}#{self.incarnation:x}.{self.serial}>"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read what ``str()`` wrote.

        Raises:
            ValueError: the text is not an address.
        """
        found = _ADDRESS.fullmatch(text)
        if found is None or not valid_node_name(found["node"]):
            raise ValueError(f"not an actor address: {text!r}; expected <node#incarnation.serial>")
        return cls(found["node"], int(found["incarnation"], 16), int(found["serial"]))


def valid_node_name(name: str) -> bool:
    """Tell whether ``name`` may name a node: letters, digits, ``_`` and ``-``, then perhaps ``@host``."""
    return _NAME.fullmatch(name) is not None


def child_path(parent: str, segment: str) -> str:
    """Join a parent's path and a child's name: ``/bank`` and ``alice`` give ``/bank/alice``."""
    return f"{parent.rstrip('/')}/{segment}"


def checked_segment(name: str) -> str:
    """Return ``name`` if it may stand in a path, else raise.

    Raises:
        ValueError: the name is empty, longer than 200 characters, or holds ``/`` or a control character.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= 200:  # type: ignore[redundant-expr]
        raise ValueError(f"an actor's name has 1 to 200 characters, got {name!r}")
    if "/" in name or not name.isprintable():
        raise ValueError(f"an actor's name holds no '/' and no control character, got {name!r}")
    return name
