"""Is there an order, one operation after the other, that explains what concurrent clients saw?

A history is linearizable if every operation can be given one moment between its call and its return such that a
sequential model, taking the operations in the order of these moments, would have given the same answers.

Where each request concerns one part of the system only, say one account, the parts may be judged one by one (``key=``):
the whole is linearizable if each part is, and small parts are cheap. The search is in ``search.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

import attrs

from actorkit.kernel.message import shortened
from actorkit.testing.protocol.history import Failed, Operation, timeline
from actorkit.testing.protocol.search import Search, Step

S = TypeVar("S", bound=Hashable)

BUDGET = 10_000_000
_STATES_SHOWN = 3
_PLACED_SHOWN = 5


def linearizable(
    history: Iterable[Operation],
    step: Step[S],
    initial: S,
    *,
    key: Callable[[Any], Hashable] | None = None,
    budget: int = BUDGET,
) -> Linearizable | NotLinearizable | Undecided:
    """Look for an order of the operations that explains every answer.

    Args:
        history: the operations; those that failed are left out, and those whose outcome is unknown may have happened
            at any time after their call.
        step: the sequential model.
        initial: its first state, for every key.
        key: the part of the system that a request concerns, if each concerns one only. Then ``step`` is given the state
            of that part, and parts are judged one by one.
        budget: how many steps of the search, in all, before it gives up.

    Raises:
        TypeError: a state or a key is not hashable.
    """
    parts = _split(history, key)
    orders: dict[Hashable, tuple[Operation, ...]] = {}
    undecided: dict[Hashable, int] = {}
    steps = 0
    # Small parts first; each may use its share of what is left, so a hard one does not hide what is wrong with others.
    for left, part in zip(
        range(len(parts), 0, -1), sorted(parts, key=lambda name: len(parts[name])), strict=True
    ):
        search = Search(parts[part], step, initial)
        found = search.run((budget - steps) // left)
        steps += search.steps
        if found is False:
            return NotLinearizable(
                part,
                search.order(),
                search.culprit(),
                search.unplaced(),
                search.states_there(),
                steps,
            )
        if found is None:
            undecided[part] = len(parts[part])
        orders[part] = search.order()
    if undecided:
        return Undecided(undecided, steps)
    return Linearizable(orders, steps)


def _split(
    history: Iterable[Operation], key: Callable[[Any], Hashable] | None
) -> dict[Hashable, list[Operation]]:
    parts: dict[Hashable, list[Operation]] = {}
    for op in history:
        if isinstance(op.outcome, Failed):
            continue
        part = key(op.request) if key is not None else None
        try:
            parts.setdefault(part, []).append(op)
        except TypeError:
            raise TypeError(
                f"key= gave {shortened(part)} for {shortened(op.request)}; a key must be hashable"
            ) from None
    return parts


# Results -----------------------------------------------------------------------------------------


@attrs.frozen
class Linearizable:
    """An order was found. True in a condition.

    Attributes:
        orders: for each key (None if there were no keys) the operations in an order that explains them; those of unknown
            outcome only where their having happened explains something.
        steps: how many steps the search took.
    """

    orders: Mapping[Hashable, tuple[Operation, ...]]
    steps: int

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        placed = sum(map(len, self.orders.values()))
        return f"linearizable: {_count(placed, 'operation')} in order after {_count(self.steps, 'step')}"

    def require(self) -> None:
        """Nothing to complain of."""


@attrs.frozen
class NotLinearizable:
    """There is no order. False in a condition; as text, it shows where every order ends.

    Attributes:
        key: the part of the system it is about; None if there were no keys.
        prefix: operations in an order that explains them; no order gets past more returns than this one.
        culprit: the first operation to return whose answer no order explains.
        unplaced: the operations under way at its return that this order does not explain; the culprit is among them.
        states: in which states the orders that explain all returns before the culprit's can leave the model.
        steps: how many steps the search took.
    """

    key: Hashable
    prefix: tuple[Operation, ...]
    culprit: Operation
    unplaced: tuple[Operation, ...]
    states: tuple[Hashable, ...]
    steps: int

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        these = (
            "this operation"
            if len(self.unplaced) == 1
            else f"these {len(self.unplaced)} operations"
        )
        of = "" if self.key is None else f" of {shortened(self.key)}"
        after = f", after {len(self.prefix):,} that can be ordered" if self.prefix else ""
        return (
            f"not linearizable: no order explains {these}{of}{after}.\n"
            f"The state is then {self._states()}, which does not allow {self.culprit}\n\n"
            f"{self._timeline()}"
        )

    def _timeline(self) -> str:
        shown = self.prefix[-_PLACED_SHOWN:]
        skipped = len(self.prefix) - len(shown)
        marks = [str(skipped + place) for place in range(1, len(shown) + 1)]
        wrong = ["✗" if op is self.culprit else "?" for op in self.unplaced]
        return timeline((*shown, *self.unplaced), (*marks, *wrong))

    def _states(self) -> str:
        shown = " or ".join(shortened(state, 80) for state in self.states[:_STATES_SHOWN])
        more = len(self.states) - _STATES_SHOWN
        return f"{shown} or {more} others" if more > 0 else shown

    def require(self) -> NoReturn:
        """Raise AssertionError with the whole story."""
        raise AssertionError(str(self))


@attrs.frozen
class Undecided:
    """The search gave up. False in a condition: a test that decides nothing has not passed.

    Attributes:
        parts: how many operations each undecided key has (None if there were no keys).
        steps: how many steps the search took.
    """

    parts: Mapping[Hashable, int]
    steps: int

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        parts = ", ".join(
            _count(size, "operation")
            if key is None
            else f"{shortened(key)} ({_count(size, 'operation')})"
            for key, size in self.parts.items()
        )
        return (
            f"undecided: after {_count(self.steps, 'step')} there is neither an order nor proof that there "
            f"is none for {parts}. Judge each key by itself (key=), let fewer clients overlap, lose "
            "fewer outcomes, make the history shorter, or raise budget="
        )

    def require(self) -> NoReturn:
        """Raise AssertionError that tells what to change."""
        raise AssertionError(str(self))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
