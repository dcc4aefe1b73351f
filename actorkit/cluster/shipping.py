"""Code that travels: actor classes from a notebook or a script, by value, where both sides have agreed to it.

The only place where something is unpickled, and never before the peer has proven a secret that grants ``ship-code`` and this
node was opened with ``ship_code=True``: whoever may ship code may do anything this process may.
"""

from __future__ import annotations

import sys
from typing import Any

import cloudpickle

from actorkit.errors import CodeMissing
from actorkit.kernel.actor import Actor, Props, shipped_classes
from actorkit.kernel.message import adopt, error_text


def importable(cls: type) -> bool:
    """Whether another process can import the class by its name."""
    module = sys.modules.get(cls.__module__)
    if module is None or cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
        return False
    found: Any = module
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is cls


def pack_code(props: Props[Any]) -> bytes:
    """An actor class and its arguments, by value.

    Raises:
        CodeMissing: something in them cannot be shipped.
    """
    try:
        blob: bytes = cloudpickle.dumps((props.cls, props.args, dict(props.kwargs)))
    except Exception as error:
        raise CodeMissing(
            f"{props.cls.__qualname__} cannot be shipped: {type(error).__name__}: {error_text(error)}"
        ) from error
    return blob


def unpack_code(blob: bytes) -> Props[Any]:
    """The class and arguments that were shipped; its messages are known here from now on.

    Raises:
        CodeMissing: what was shipped cannot be used here.
    """
    try:
        with shipped_classes():
            cls, args, kwargs = cloudpickle.loads(blob)
    except Exception as error:
        raise CodeMissing(
            f"shipped code cannot be used: {type(error).__name__}: {error_text(error)}"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Actor)):
        raise CodeMissing(f"what was shipped is no actor class: {cls!r}")
    for spoken in cls.__actorkit_vocabulary__ or ():
        adopt(spoken)
    return Props(cls, args, kwargs)
