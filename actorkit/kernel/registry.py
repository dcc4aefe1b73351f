"""Names: one actor per name and one name per actor, free before anyone hears of the holder's death."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from actorkit.kernel.cell import Cell

M = TypeVar("M")


def _checked_name(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= 200 or not value.isprintable():  # type: ignore[redundant-expr]
        raise ValueError(f"a name has 1 to 200 printable characters, got {value!r}")


@attrs.frozen(slots=True)
class Key(Generic[M]):
    """A name that knows the vocabulary of its holder: ``BANK = Key[Deposit | Tick]("bank")``.

    Spawn with ``name=BANK``, find the holder with ``system.whereis(BANK)``, or send to whoever holds it at the time
    through ``system.named(BANK)``.
    """

    name: str = attrs.field(validator=_checked_name)

    def __str__(self) -> str:
        return self.name


@attrs.frozen(slots=True)
class Group(Generic[M]):
    """A process group that knows the vocabulary of its members: ``READERS = Group[Read]("readers")``.

    Any number of actors on any number of nodes may be in it; see ``Node.join``.
    """

    name: str = attrs.field(validator=_checked_name)

    def __str__(self) -> str:
        return self.name


class Registry:
    """The names of one node."""

    __slots__ = ("_holders",)

    def __init__(self) -> None:
        self._holders: dict[str, Cell] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def holder(self, name: str) -> Cell | None:
        """Who holds a name; None if nobody does."""
        return self._holders.get(name)

    def register(self, name: str, cell: Cell) -> Cell | None:
        """Give a free name to a cell; returns the holder if it is taken, and changes nothing then."""
        held = self._holders.get(name)
        if held is not None:
            return held
        if cell.key is not None:
            return cell
        self._holders[name] = cell
        cell.key = name
        return None

    def release(self, cell: Cell) -> None:
        """Free a cell's name."""
        if cell.key is not None and self._holders.get(cell.key) is cell:
            del self._holders[cell.key]
        cell.key = None

    def names(self) -> dict[str, Cell]:
        """All names with their holders."""
        return dict(self._holders)


def name_of(name: str | Key[M]) -> str:
    """The plain name of a key or a string, checked."""
    return name.name if isinstance(name, Key) else Key[M](name).name
