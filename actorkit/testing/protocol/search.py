"""The search for an order of operations that a sequential model accepts.

It is that of Wing and Gong with the memory that Lowe added, in the manner of Porcupine: operations are placed one after
the other, at each point only such as were called before the first one left returned; the last is without when none fits;
and the same set of placed operations is never looked at twice with the same state.

Three more rules keep it short. None of them loses an order:

- An operation of unknown outcome is tried after all others and need not be placed. Where two attempts differ only in
  that one has placed more of these, it is given up: whatever it may still do, the other may, too.
- An unknown one is no use where the next operation leads to the same state without it, as one write does after another.
- Of two operations with equal request and answer, the one called no later that returned no later goes first: in any
  order in which it does not, the two can change places.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeAlias, TypeVar

from actorkit.kernel.message import shortened
from actorkit.testing.protocol.history import Answer, Operation

S = TypeVar("S", bound=Hashable)
Step: TypeAlias = Callable[[S, Any, Answer | None], tuple[bool, S]]
"""A sequential model: ``step(state, request, answer)`` tells whether the request may be answered so in this state, and
which state follows.

The answer is ``Ok(reply)``, ``Refused(error)``, or None if nobody knows: then any answer would do, and the state that
follows is the one in which the request was carried out. States are values: hashed, compared, never changed. Equal
requests must mean the same to the model.
"""

_REFUSED = -1  # instead of a state: the model does not allow it
_NOWHERE = -1  # instead of a state: there is none
_NOBODY = -1  # instead of an operation: nobody has to go first

_Config: TypeAlias = tuple[int, int, int]
"""Which known operations are placed, ``low`` and ``window``, and the state."""

_Placing: TypeAlias = tuple[int, int, int, int, int, int, int]
"""An operation, and what to return to when it is taken back."""

_Merit: TypeAlias = tuple[int, int, int]
"""What makes a dead end tell more than another: the returns it got past, known operations placed beyond them, and how
few unknown ones it needed."""


_called = attrgetter("called_at")
_returned = attrgetter("returned_at")


class _Moves(dict[int, int]):
    """Which state follows which, for one kind of operation; the model is asked when it is looked up first."""

    __slots__ = ("_ask", "_op")

    def __init__(self, ask: Callable[[int, int], int], op: int) -> None:
        super().__init__()
        self._ask = ask
        self._op = op

    def __missing__(self, state: int) -> int:
        reached = self[state] = self._ask(self._op, state)
        return reached


class Search(Generic[S]):
    """One search for an order.

    Operations are numbers: first the known ones by return, then the unknown ones by call. The set of those placed is
    three ints: ``low``, the first known one that is not placed; the bits of ``window`` for those after it; the bits of
    ``chosen`` for the unknown ones. With few clients all three stay small. States are numbers as well, so the model is
    asked once for each kind of operation and state, and each state is hashed once. If the operation placed last is an
    unknown one, ``without`` is the state in which it was placed.

    Args:
        operations: what to put in order; none of them may have failed.
        step: the sequential model.
        initial: its first state.
    """

    def __init__(self, operations: Iterable[Operation], step: Step[S], initial: S) -> None:
        by_call = sorted(operations, key=_called)
        known = sorted((op for op in by_call if op.answer is not None), key=_returned)
        lost = [op for op in by_call if op.answer is None]
        self._operations = [*known, *lost]
        self._must = len(known)
        self._step = step
        self._states: list[S] = []
        self._numbers: dict[S, int] = {}
        self._initial = self._number(initial)
        self._candidates, self._ends = _candidates(known, lost)
        self._moves, self._first = self._classes()
        self.steps = 0
        self._placings: list[_Placing] = []
        self._best: _Merit = (-1, 0, 0)
        self._dead_ends: dict[int, None] = {}

    def run(self, budget: int) -> bool | None:
        """Search: True if there is an order, False if there is none, None if the budget ran out.

        One loop that calls as little as it can, for this is where all the time goes.
        """
        if not self._must:
            return True
        must, first, moves = self._must, self._first, self._moves
        candidates, ends = self._candidates, self._ends
        placed = [False] * len(self._operations) + [True]  # the last is nobody
        stack: list[_Placing] = []
        seen: dict[_Config, tuple[int, ...]] = {}
        low = window = chosen = 0
        state, turn, without = self._initial, -1, _NOWHERE
        for self.steps in range(1, budget + 1):
            turn += 1
            known = candidates[low]
            op = known[turn] if turn < len(known) else must + turn - len(known)
            if op >= ends[low]:
                self._note(stack, (low, window.bit_count(), -chosen.bit_count()), state)
                if not stack:
                    return False
                op, low, window, chosen, state, turn, without = stack.pop()
                placed[op] = False
                continue
            if placed[op] or not placed[first[op]]:
                continue
            reached = moves[op][state]
            if reached == _REFUSED or (without != _NOWHERE and moves[op][without] == reached):
                continue
            if op < must:
                config, lost = _with(op, low, window, reached), chosen
            else:
                config, lost = (low, window, reached), chosen | 1 << (op - must)
            if _met(seen, config, lost):
                continue
            placed[op] = True
            stack.append((op, low, window, chosen, state, turn, without))
            without = state if op >= must else _NOWHERE
            low, window, state = config
            chosen, turn = lost, -1
            if low == must:
                self._placings = stack
                return True
        return None

    def _classes(self) -> tuple[list[_Moves], list[int]]:
        """Find equal operations: for each, the moves that it shares with them, and which of them goes before it."""
        operations = self._operations
        moves = [_Moves(self._move, number) for number in range(len(operations))]
        first = [_NOBODY] * len(operations)
        classes: dict[Hashable, list[tuple[float, int]]] = {}
        for number, op in sorted(enumerate(operations), key=lambda entry: entry[1].called_at):
            try:
                earlier = classes.setdefault((type(op.request), op.request, op.answer), [])
            except TypeError:  # not hashable: taken for unlike all others
                continue
            if earlier:
                moves[number] = moves[earlier[0][1]]
            mine = (math.inf if op.returned_at is None else op.returned_at, number)
            place = bisect_left(earlier, mine)
            if place:
                first[number] = earlier[place - 1][1]
            insort(earlier, mine)
        return moves, first

    def _move(self, op: int, state: int) -> int:
        """Ask the model where an operation leads."""
        operation, before = self._operations[op], self._states[state]
        try:
            allowed, after = self._step(before, operation.request, operation.answer)
            reached = self._number(after) if allowed else _REFUSED
        except Exception as error:
            error.add_note(f"while the model judged {operation} in the state {shortened(before)}")
            raise
        return reached

    def _number(self, state: S) -> int:
        try:
            number = self._numbers.setdefault(state, len(self._states))
        except TypeError:
            raise TypeError(
                f"the model's state {shortened(state)} is not hashable; make states of tuples, "
                "frozensets and frozen attrs classes, and return a new one from each step"
            ) from None
        if number == len(self._states):
            _check_value(state)
            self._states.append(state)
        return number

    def _note(self, stack: list[_Placing], merit: _Merit, state: int) -> None:
        """Remember the dead ends that lie furthest, for the report."""
        if merit[0] < self._best[0]:
            return
        if merit[0] > self._best[0]:
            self._dead_ends.clear()
        self._dead_ends[state] = None
        if merit > self._best:
            self._best = merit
            self._placings = stack.copy()

    def order(self) -> tuple[Operation, ...]:
        """The order that was found; if there is none, one of those that get furthest."""
        return tuple(self._operations[placing[0]] for placing in self._placings)

    def culprit(self) -> Operation:
        """The first to return of those that no order gets past."""
        return self._operations[self._best[0]]

    def unplaced(self) -> tuple[Operation, ...]:
        """The known operations that could have come next where all orders end, by call."""
        placed = {placing[0] for placing in self._placings}
        numbers = set(self._candidates[self._best[0]]) - placed
        return tuple(sorted((self._operations[number] for number in numbers), key=_called))

    def states_there(self) -> tuple[S, ...]:
        """The states in which the model can be there."""
        return tuple(self._states[number] for number in self._dead_ends)


def _check_value(state: object) -> None:
    if (
        type(state).__hash__ is object.__hash__
        and state is not None
        and not isinstance(state, type)
    ):
        raise TypeError(
            f"the model's state {shortened(state)} is compared by identity, so no two states would ever be equal; "
            f"make {type(state).__qualname__} a frozen attrs class"
        )


def _with(op: int, low: int, window: int, reached: int) -> _Config:
    """The set of known operations placed, with one more, and the state then."""
    bits = window | 1 << (op - low)
    ones = (bits ^ (bits + 1)).bit_length() - 1
    return low + ones, bits >> ones, reached


def _met(seen: dict[_Config, tuple[int, ...]], config: _Config, chosen: int) -> bool:
    """Tell whether the search was here with these unknown operations placed, or fewer; else remember that it is now."""
    before = seen.get(config)
    if before is None:
        seen[config] = (chosen,)
        return False
    for fewer in before:
        if fewer & chosen == fewer:
            return True
    seen[config] = (*(more for more in before if more & chosen != chosen), chosen)
    return False


def _candidates(
    known: Sequence[Operation], lost: Sequence[Operation]
) -> tuple[list[list[int]], list[int]]:
    """For each known operation those that may come next while it is the first left to return.

    These are the known ones called before its return, except those that returned earlier; and of the unknown ones, by
    call, all below a number. Equal moments count as concurrent.
    """
    by_call = sorted(range(len(known)), key=lambda number: known[number].called_at)
    calls = [known[number].called_at for number in by_call]
    returns = [op.returned_at or 0 for op in known]
    open_ones: dict[int, None] = {}  # in the order of their calls
    candidates: list[list[int]] = []
    called = 0
    for number, end in enumerate(returns):
        while called < len(calls) and calls[called] <= end:
            open_ones[by_call[called]] = None
            called += 1
        candidates.append(list(open_ones))
        del open_ones[number]
    lost_calls = [op.called_at for op in lost]
    return candidates, [len(known) + bisect_right(lost_calls, end) for end in returns]
