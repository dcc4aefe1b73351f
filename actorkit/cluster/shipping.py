"""Code that travels: actor classes from a notebook or a script, by value, where both sides have agreed to it.

The only place where something is unpickled, and never before the peer has proven a secret that grants ``ship-code`` and this
node was opened with ``ship_code=True``: whoever may ship code may do anything this process may.
"""

from __future__ import annotations

import io
import pickle
import sys
import typing
from contextlib import suppress
from typing import Any

import cloudpickle

from actorkit.codec.annotations import explain, is_record, parts_of
from actorkit.errors import CodeMissing, Unencodable
from actorkit.kernel.actor import Actor, Props, shipped_classes
from actorkit.kernel.message import adopt, error_text, is_message


def importable(cls: Any) -> bool:
    """Whether another process can import a class, or a ``NewType``, by its name."""
    module = sys.modules.get(cls.__module__)
    if module is None or cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
        return False
    found: Any = module
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is cls


def pack_code(props: Props[Any]) -> bytes:
    """An actor class and its arguments, by value, and the messages that are shipped with them.

    Raises:
        CodeMissing: something in them cannot be shipped.
    """
    try:
        for spoken in props.cls.__actorkit_vocabulary__ or ():
            _explain(spoken)
        blob = io.BytesIO()
        pickler = _Pickler(blob)
        pickler.dump((props.cls, props.args, dict(props.kwargs)))
        pickler.dump(tuple(pickler.messages))
    except Exception as error:
        raise CodeMissing(
            f"{props.cls.__qualname__} cannot be shipped: {type(error).__name__}: {error_text(error)}"
        ) from error
    return blob.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles by value what cannot be imported, and notes which messages are among that."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.messages: dict[type, None] = {}

    def reducer_override(self, obj: Any) -> Any:
        """Explain a message before it is pickled; one that is not of the actor's vocabulary may stay unexplained."""
        if isinstance(obj, type) and is_message(obj) and not importable(obj):
            self.messages[obj] = None
            with suppress(Unencodable):
                _explain(obj)
        if isinstance(obj, typing.NewType) and not importable(obj):  # cloudpickle has them imported
            return typing.NewType, (obj.__name__, obj.__supertype__)
        return super().reducer_override(obj)


def unpack_code(blob: bytes) -> Props[Any]:
    """The class and arguments that were shipped; its messages are known here from now on.

    Raises:
        CodeMissing: what was shipped cannot be used here.
    """
    try:
        unpickler = pickle.Unpickler(io.BytesIO(blob))
        with shipped_classes():
            cls, args, kwargs = unpickler.load()
            messages = unpickler.load()
    except Exception as error:
        raise CodeMissing(
            f"shipped code cannot be used: {type(error).__name__}: {error_text(error)}"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Actor)):
        raise CodeMissing(f"what was shipped is no actor class: {cls!r}")
    for message in (*(cls.__actorkit_vocabulary__ or ()), *messages):
        adopt(message)
    return Props(cls, args, kwargs)


def _explain(message: type) -> None:
    """Note on a message, and on every class that it names, what their annotations mean.

    Where they go there is no module to look names up in. Classes that can be imported there are left as they are.

    Raises:
        Unencodable: a name is not to be found.
    """
    seen: set[Any] = set()
    todo: list[Any] = [message]
    while todo:
        hint = todo.pop()
        if not isinstance(hint, type):
            todo += (part for part in parts_of(hint) if not _noted(part, seen))
        elif (is_record(hint) or typing.is_typeddict(hint)) and not importable(hint):
            todo += (part for part in explain(hint) if not _noted(part, seen))


def _noted(hint: Any, seen: set[Any]) -> bool:
    """Whether a type was seen before; what is unhashable holds no class that is about itself."""
    try:
        known = hint in seen
        seen.add(hint)
    except TypeError:
        return False
    return known
