"""Messages that nobody should send: fields of wrong types, no numbers, enormous texts, strangers, things that are no messages."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import actorkit as ak
from actorkit.testing.protocol.hints import fields_of, fits, type_of

_TRIES = 8  # poisons tried on a message, for its validators may turn many away
LARGE = 100_000


@ak.message(name="actorkit.testing.Stranger")
class Stranger(ak.Request[None]):
    """A request that belongs to no protocol."""


@ak.message(name="actorkit.testing.Rumour")
class Rumour:
    """A message that belongs to no protocol, and has no reply."""


class Short:
    """Something large with a short ``repr``, so that a failing program can be read."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Hypothesis prints by this."""
        del cycle
        printer.text(repr(self))


class HugeText(Short, str):
    """A very long text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<text of {len(self):,} letters>"


class HugeBytes(Short, bytes):
    """A great many bytes."""

    def __repr__(self) -> str:
        return f"<{len(self):,} bytes>"


class HugeInt(Short, int):
    """A number of a thousand digits."""

    def __repr__(self) -> str:
        return f"<number of {math.ceil(self.bit_length() * 0.30103):,} digits>"


class Opaque:
    """An object that can do nothing: no order, no arithmetic, no length."""

    def __repr__(self) -> str:
        return "<an object>"


OPAQUE = Opaque()

POISONS: tuple[Any, ...] = (
    None,
    math.nan,
    "",
    "text",
    b"bytes",
    0.5,
    -1,
    True,
    math.inf,
    -math.inf,
    HugeText("x" * LARGE),
    HugeBytes(LARGE),
    HugeInt(10**1000),
    "\x00",
    "\ud800",
    (),
    [None],
    {},
    {"a": 1},
    OPAQUE,
    object,
    Rumour(),
)


@attrs.frozen
class Malformed:
    """A message with one wrong field.

    Attributes:
        message: the message.
        field: the name of the field.
        typed: whether the value is of the field's type all the same, and only unusual.
    """

    message: Any
    field: str
    typed: bool

    def __repr__(self) -> str:
        return repr(self.message)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        del cycle
        printer.pretty(self.message)


LIKELY: tuple[Any, ...] = (None, math.nan, 0.5, "text")
"""What goes wrong most often in practice, so half of all tries."""

NOTHING_WRONG = "NOTHING_MALFORMED_CAN_BE_MADE"


def malformed(kind: type, good: SearchStrategy[Any]) -> SearchStrategy[Malformed | str]:
    """Messages of a class with one field that is not what it should be.

    What the class itself turns away cannot be sent, so it is not made: with validators for everything there is nothing
    left, and this gives ``NOTHING_WRONG``.
    """
    names = list(fields_of(kind))
    if not names:
        return st.just(NOTHING_WRONG)
    poisons = st.sampled_from(LIKELY) | st.sampled_from(POISONS)
    hints = {name: _hint(kind, field) for name, field in fields_of(kind).items()}

    @st.composite
    def make(draw: st.DrawFn) -> Malformed | str:
        message = draw(good)
        for _ in range(_TRIES):
            name, poison = draw(st.sampled_from(names)), draw(poisons)
            made = _poisoned(message, name, poison)
            if made is not None:
                return Malformed(made, name, fits(hints[name], poison))
        return NOTHING_WRONG

    return make()


def _hint(kind: type, field: attrs.Attribute[Any]) -> Any:
    try:
        return type_of(kind, field)
    except NameError:
        return Any  # what cannot be told fits


def _poisoned(message: Any, name: str, poison: object) -> Any:
    change: Callable[..., Any] = attrs.evolve
    try:
        return change(message, **{name: poison})
    except Exception:  # noqa: BLE001 - whatever a user's validator or converter says, it cannot be sent
        return None


def foreign(kinds: list[type]) -> SearchStrategy[Any]:
    """Messages of other protocols, and things that are no messages: the classes themselves among them."""
    return st.sampled_from(
        [
            Stranger(),
            Rumour(),
            None,
            "text",
            0,
            math.nan,
            (),
            {},
            OPAQUE,
            *kinds,
            HugeText("x" * LARGE),
        ]
    )
