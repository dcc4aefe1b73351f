"""Messages are made up from their fields' types and validators, and what cannot be made up is named."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar

import attrs
import pytest
from attrs import validators as v
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

import actorkit as ak
from actorkit.testing.protocol.leaves import NoStrategy
from actorkit.testing.protocol.strategies import forget_strategy, messages, register_strategy

T = TypeVar("T")
UserId = NewType("UserId", int)
quick = settings(max_examples=30, database=None, derandomize=True)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@ak.message
class Note:
    """A message within messages, with validators of its own."""

    text: str = attrs.field(validator=v.max_len(3))


@attrs.frozen
class Money:
    """A value that is no message."""

    cents: int = attrs.field(validator=v.ge(0))


def examples(strategy: st.SearchStrategy[T]) -> list[T]:
    """Thirty values, the same each time."""
    seen: list[T] = []

    @quick
    @given(strategy)
    def collect(value: T) -> None:
        seen.append(value)

    collect()
    return seen


def simplest(strategy: st.SearchStrategy[T]) -> T:
    """What everything shrinks to."""
    return find(strategy, lambda _: True, settings=quick)


def field(kind: Any, **options: Any) -> st.SearchStrategy[Any]:
    """Values of a field of a type, in a message made for it."""
    body = {"__annotations__": {"it": kind}, "it": attrs.field(**options)}
    made: Any = ak.message(name=f"test.{id(options)}.{kind}")(type("Made", (), body))
    drawn: st.SearchStrategy[Any] = messages(made)
    return drawn.map(lambda message: message.it)


# Types --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        (int, lambda x: type(x) is int),
        (float, lambda x: type(x) is float and math.isfinite(x)),
        (str, lambda x: type(x) is str),
        (bytes, lambda x: type(x) is bytes),
        (bool, lambda x: type(x) is bool),
        (type(None), lambda x: x is None),
        (Colour, lambda x: isinstance(x, Colour)),
        (Literal["a", "b"], lambda x: x in ("a", "b")),
        (UserId, lambda x: type(x) is int),
        (int | None, lambda x: x is None or type(x) is int),
        (int | str, lambda x: type(x) in (int, str)),
        (tuple[int, str], lambda x: type(x[0]) is int and type(x[1]) is str and len(x) == 2),
        (tuple[int, ...], lambda x: type(x) is tuple and all(type(i) is int for i in x)),
        (list[Note], lambda x: type(x) is list and all(len(n.text) <= 3 for n in x)),
        (tuple[Note | int, ...], lambda x: all(isinstance(n, (Note, int)) for n in x)),
        (set[int], lambda x: type(x) is set),
        (frozenset[int], lambda x: type(x) is frozenset),
        (dict[str, Note], lambda x: all(isinstance(n, Note) for n in x.values())),
        (Mapping[str, int], lambda x: type(x) is dict),
        (Sequence[int], lambda x: type(x) is list),
        (Iterable[int], lambda x: type(x) is list),
        (Collection[int], lambda x: type(x) is list),
        (Note, lambda x: len(x.text) <= 3),
        (Money, lambda x: x.cents >= 0),
        (Annotated[int, st.integers(50, 52)], lambda x: x in (50, 51, 52)),
        (Annotated[tuple[Note, ...], "about notes"], lambda x: type(x) is tuple),
        (Decimal, lambda x: x.is_finite()),
        (Fraction, lambda x: isinstance(x, Fraction)),
        (datetime, lambda x: isinstance(x, datetime)),
        (date, lambda x: isinstance(x, date)),
        (timedelta, lambda x: isinstance(x, timedelta)),
        (Any, lambda x: x is None or isinstance(x, (bool, int, str))),
        (list, lambda x: isinstance(x, list)),
        (tuple, lambda x: isinstance(x, tuple)),
        (dict, lambda x: isinstance(x, dict)),
    ],
    ids=str,
)
def test_values_are_of_the_fields_type(kind: Any, right: Callable[[Any], bool]) -> None:
    """Whatever type a message's field may well have; all kinds of values that there are appear."""
    found = examples(field(kind))
    assert all(map(right, found))
    assert len(set(map(repr, found))) > 1 or kind is type(None)


def test_annotated_types_are_obeyed() -> None:
    """Constraints of the annotated-types package, alone and together with attrs validators."""
    at = pytest.importorskip("annotated_types")
    low = Annotated[int, at.Ge(3), at.Lt(9)]
    assert set(examples(field(low))) <= {3, 4, 5, 6, 7, 8}
    assert set(examples(field(low, validator=v.ge(6)))) <= {6, 7, 8}
    several = Annotated[tuple[Note, ...], at.Len(2, 3)]
    assert {len(notes) for notes in examples(field(several))} == {2, 3}


def test_nested_messages_come_with_their_validators() -> None:
    """Hypothesis alone refuses classes with validators; here they are obeyed at every depth."""
    found = examples(field(dict[str, tuple[Note, ...]]))
    notes = [note for value in found for several in value.values() for note in several]
    assert notes
    assert all(len(note.text) <= 3 for note in notes)


@ak.message
class Tree:
    leaf: int
    below: tuple[Tree, ...] = ()


def test_a_message_may_contain_itself() -> None:
    """Recursive messages end."""

    def depth(tree: Tree) -> int:
        return 1 + max(map(depth, tree.below), default=0)

    assert max(map(depth, examples(messages(Tree)))) >= 2


@ak.message
class Put(Generic[T]):
    item: T
    more: tuple[T, ...] = ()


@ak.message
class Wrapped(Generic[T]):
    inner: Put[T]


def test_type_variables_stand_for_what_the_class_was_given() -> None:
    """``Put[int]`` holds ints; ``Put`` alone could hold anything, so it is refused."""
    assert all(type(put.item) is int for put in examples(messages(Put[int])))
    assert all(type(w.inner.item) is bool for w in examples(messages(Wrapped[bool])))
    with pytest.raises(NoStrategy, match=r"Put\.item is of type ~T, which is open"):
        messages(Put)
    assert simplest(messages(Put, item=st.just(5), more=())).item == 5


# Validators ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "validator"),
    [
        (int, v.ge(3)),
        (int, v.gt(3)),
        (int, v.le(-3)),
        (int, v.lt(-3)),
        (int, [v.ge(3), v.lt(5)]),
        (int, v.and_(v.gt(2.5), v.le(3.5))),
        (float, v.gt(0)),
        (float, [v.ge(0.0), v.lt(1.0)]),
        (Decimal, [v.gt(Decimal(0)), v.lt(Decimal(1))]),
        (Fraction, v.ge(Fraction(1, 2))),
        (datetime, v.gt(datetime(2026, 1, 1))),  # noqa: DTZ001 - naive, as the strategy's are
        (date, v.le(date(2026, 1, 1))),
        (timedelta, v.gt(timedelta(0))),
        (str, v.max_len(2)),
        (str, v.min_len(5)),
        (str, v.matches_re("[a-c]{2,4}")),
        (str, [v.matches_re("[a-c]*"), v.max_len(2)]),
        (str, v.matches_re("b", func=re.search)),
        (str, v.matches_re("b+", func=re.match)),
        (bytes, v.min_len(3)),
        (bytes, v.matches_re(b"[ab]{3}")),
        (tuple[int, ...], v.min_len(12)),
        (list[int], [v.min_len(1), v.max_len(2)]),
        (list[int], v.deep_iterable(v.ge(7))),
        (tuple[int, ...], v.deep_iterable(v.ge(7), v.and_(v.instance_of(tuple), v.max_len(2)))),
        (tuple[int, int], v.deep_iterable(v.ge(7))),
        (dict[str, int], v.deep_mapping(v.max_len(2), v.ge(7))),
        (dict[str, int], v.deep_mapping(v.max_len(2), v.ge(7), v.max_len(1))),
        (set[int], [v.max_len(2), v.min_len(1)]),
        (str, v.in_(["x", "y"])),
        (str, v.in_({"x", "y", "z"})),
        (str, v.in_({"x": 1})),
        (str, v.in_("abc")),
        (Colour, v.in_(list(Colour))),
        (Colour, v.in_([Colour.BLUE])),
        (int, [v.in_(range(10)), v.ge(8)]),
        (int, v.instance_of(int)),
        (Any, v.instance_of(int)),
        (object, [v.instance_of(int), v.ge(4)]),
        (Any, v.optional(v.instance_of(str))),
        (int | None, v.optional(v.ge(3))),
        (int | None, v.optional([v.ge(3), v.instance_of(int)])),
        (int | None, v.ge(3)),
        (int | str, v.instance_of(str)),
        (str | None, v.optional(v.in_(["x", "y"]))),
        (UserId, v.ge(3)),
        (int, v.or_(v.ge(100), v.le(-100))),
        (int, v.not_(v.in_([0]))),
        (Callable[[int], int], v.is_callable()),
    ],
    ids=str,
)
def test_values_satisfy_the_fields_validators(kind: Any, validator: Any) -> None:
    """Attrs' own validators are read, so that nothing is drawn in vain; the class itself is the judge."""
    assert len(examples(field(kind, validator=validator))) >= 1


@pytest.mark.parametrize(
    ("kind", "validator", "simple"),
    [
        (int, v.ge(3), 3),
        (int, [v.gt(3), v.lt(9)], 4),
        (int | None, v.optional(v.ge(3)), None),
        (int | None, v.ge(3), 3),
        (str, v.min_len(2), "00"),
        (tuple[int, ...], v.min_len(2), (0, 0)),
        (str, v.in_(["x", "y"]), "x"),
    ],
    ids=str,
)
def test_the_simplest_value_is_at_the_limit(kind: Any, validator: Any, simple: object) -> None:
    """So a failing program shrinks to small values, not to whatever a filter let through."""
    assert simplest(field(kind, validator=validator)) == simple


def _even(_: object, __: attrs.Attribute[int], value: int) -> None:
    if value % 2:
        raise ValueError(f"{value} is odd")


@ak.message
class Even:
    number: int = attrs.field(validator=_even)
    upper: int

    def __attrs_post_init__(self) -> None:
        if self.upper < self.number:
            raise ValueError("upside down")


def test_what_cannot_be_read_is_tried() -> None:
    """A validator of the user's own, or a check of several fields, turns some away; the others come."""
    found = examples(messages(Even))
    assert all(made.number % 2 == 0 and made.number <= made.upper for made in found)
    assert len({made.number for made in found}) > 5


@pytest.mark.parametrize(
    ("kind", "validator"),
    [
        (int, [v.ge(5), v.le(3)]),
        (str, [v.min_len(5), v.max_len(3)]),
        (int, [v.in_([1, 2]), v.ge(3)]),
    ],
    ids=str,
)
def test_limits_that_leave_nothing_are_named(kind: Any, validator: Any) -> None:
    """When the strategy is made, and not in the midst of a test."""
    with pytest.raises(NoStrategy, match=r"Made\.it is of type"):
        field(kind, validator=validator)


# Defaults -----------------------------------------------------------------------------------------------------------


@ak.message
class WithDefaults:
    number: int = 7
    names: list[str] = attrs.field(factory=list)
    hidden: int = attrs.field(init=False, default=3)
    _private: int = 9
    derived: int = attrs.field(default=attrs.Factory(lambda self: self.number, takes_self=True))


def test_fields_with_defaults_are_drawn_too() -> None:
    """The default is the simplest value, not the only one."""
    assert simplest(messages(WithDefaults)).number == 7
    found = examples(messages(WithDefaults))
    assert len({made.number for made in found}) > 3
    assert any(made.names for made in found)
    assert {made.hidden for made in found} == {3}
    assert any(made._private != 9 for made in found)  # noqa: SLF001 - drawn by its public name


# References, and what else must be given ----------------------------------------------------------------------------


@ak.message
class Transfer(ak.Request[int]):
    to: ak.Ref[Note]
    cents: int
    then: ak.Ref[Note] | None = None


@ak.message
class Batch:
    transfers: tuple[Transfer, ...]


def test_a_reference_cannot_be_made_up() -> None:
    """The error names the field, and what to write."""
    with pytest.raises(NoStrategy) as caught:
        messages(Transfer)
    assert str(caught.value) == (
        "Transfer.to is of type Ref, for which no values can be made up (it names a live actor): give them by keyword, "
        "messages(..., to=st.sampled_from(...)), or register_strategy() for its class"
    )
    with pytest.raises(NoStrategy, match=r"Batch\.transfers\[\.\.\.\]\.to is of type Ref"):
        messages(Batch)


def test_fields_may_be_given() -> None:
    """A strategy, or a plain value, for every class of the vocabulary that has the field."""
    made = examples(messages(Transfer | Note, to=st.sampled_from("ab"), then=None, text="x"))
    assert {str(t.to) for t in made if isinstance(t, Transfer)} == {"a", "b"}
    assert {n.text for n in made if isinstance(n, Note)} == {"x"}


def test_a_wrong_name_is_told() -> None:
    """The error lists the names that there are."""
    with pytest.raises(
        TypeError, match=r"no field is called 'amount'; there are cents, text, then, to"
    ):
        messages(Transfer | Note, amount=5)


@pytest.mark.parametrize("wrong", [int, Money, "Note", None])
def test_only_messages_are_messages(wrong: Any) -> None:
    """Anything else is refused."""
    with pytest.raises(TypeError, match=r"takes classes made by @ak\.message, got"):
        messages(wrong)


def test_types_that_are_local_to_a_function_are_named() -> None:
    """Their names cannot be looked up; the error says what to do."""

    class Local:
        pass

    @ak.message(name="test.Holder")
    class Holder:
        it: Local

    with pytest.raises(
        NoStrategy, match=r"Holder\.it is annotated 'Local', and name 'Local' is not"
    ):
        messages(Holder)
    assert str(simplest(messages(Holder, it=5)).it) == "5"


def test_what_hypothesis_does_not_know_is_named() -> None:
    """An abstract class without any implementation, for one."""

    class Nobody:
        def __init__(self, needed: Any) -> None:
            raise AssertionError

    with pytest.raises((NoStrategy, AssertionError, NoSuchExample)):
        simplest(field(Nobody))


# Registered strategies ----------------------------------------------------------------------------------------------


@pytest.fixture
def round_notes() -> Iterator[None]:
    """Notes are all the same."""
    register_strategy(Note, st.just(Note("o")))
    yield
    forget_strategy(Note)


@pytest.mark.usefixtures("round_notes")
def test_a_registered_strategy_is_used_everywhere() -> None:
    """For the class in a vocabulary, and where it is part of a message."""
    assert {note.text for note in examples(messages(Note))} == {"o"}
    several = examples(field(tuple[Note, ...]))
    assert {note.text for notes in several for note in notes} == {"o"}


@pytest.mark.usefixtures("round_notes")
def test_a_registered_strategy_makes_whole_messages() -> None:
    """Giving a field as well would be ignored, so it is refused."""
    with pytest.raises(TypeError, match=r"leave out text, or forget_strategy\(Note\) first"):
        messages(Note, text="x")


def test_references_may_be_registered() -> None:
    """Then messages that hold one need no keyword."""
    register_strategy(ak.Ref, st.sampled_from(["a", "b"]))
    try:
        assert {str(t.to) for t in examples(messages(Transfer))} == {"a", "b"}
    finally:
        forget_strategy(ak.Ref)


def test_registering_takes_a_class_and_a_strategy() -> None:
    """Anything else is refused."""
    wrong: Any = 5
    with pytest.raises(TypeError, match=r"takes a class, got 5"):
        register_strategy(wrong, st.none())
    with pytest.raises(TypeError, match=r"takes a Hypothesis strategy for Note, got 5"):
        register_strategy(Note, wrong)
    forget_strategy(Note)  # not there: nothing to forget
