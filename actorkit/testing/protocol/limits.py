"""What attrs validators demand of a field, as data that a generator of values can obey. Pure.

Hypothesis builds attrs classes by their fields' types, and refuses those with validators. A validator is a function that
raises; but those that attrs itself provides carry their parameters, so they can be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import attrs
from attrs import validators

Pattern = tuple[re.Pattern[Any], Callable[[Any], object]]


@attrs.frozen(slots=True)
class Limits:
    """Demands on one value; the defaults demand nothing.

    Attributes:
        at_least: ``ge``; None for no bound, as with the next three.
        above: ``gt``.
        at_most: ``le``.
        below: ``lt``.
        min_len: its length is this or more.
        max_len: its length is this or less; None for no bound.
        among: ``in_``: it is one of these; None if it may be any.
        kinds: ``instance_of``: it is an instance of each of these.
        patterns: regular expressions, each with the function of a string that has to find it.
        optional: None is allowed whatever else is demanded.
        elements: demands on each element of it; keys of a mapping count as elements.
        values: demands on each value of a mapping.
        opaque: there are demands that cannot be read, only tried.
    """

    at_least: Any = None
    above: Any = None
    at_most: Any = None
    below: Any = None
    min_len: int = 0
    max_len: int | None = None
    among: tuple[Any, ...] | None = None
    kinds: tuple[type, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    optional: bool = False
    elements: Limits | None = None
    values: Limits | None = None
    opaque: bool = False

    @property
    def silent(self) -> bool:
        """Whether nothing readable is demanded."""
        return attrs.evolve(self, opaque=False, optional=False) == ANY

    @property
    def anywhere_opaque(self) -> bool:
        """Whether something here or in what it contains can only be tried."""
        inner = (self.elements, self.values)
        return self.opaque or any(part is not None and part.anywhere_opaque for part in inner)

    def and_also(self, other: Limits) -> Limits:
        """The demands of both."""
        among = self.among if other.among is None else other.among
        if self.among is not None and other.among is not None:
            among = tuple(one for one in self.among if one in other.among)
        lengths = [limit.max_len for limit in (self, other) if limit.max_len is not None]
        return Limits(
            _stricter(max, self.at_least, other.at_least),
            _stricter(max, self.above, other.above),
            _stricter(min, self.at_most, other.at_most),
            _stricter(min, self.below, other.below),
            max(self.min_len, other.min_len),
            min(lengths, default=None),
            among,
            (*self.kinds, *other.kinds),
            (*self.patterns, *other.patterns),
            self.optional and other.optional,
            _both(self.elements, other.elements),
            _both(self.values, other.values),
            self.opaque or other.opaque,
        )


ANY = Limits()


def satisfies(value: Any, limits: Limits) -> bool:
    """Whether a value satisfies what is readable of some demands."""
    if value is None and limits.optional:
        return True
    try:
        return (
            _within(value, limits)
            and (limits.among is None or value in limits.among)
            and all(isinstance(value, kind) for kind in limits.kinds)
            and all(found(value) for _, found in limits.patterns)
            and _fits_inside(value, limits)
        )
    except TypeError:  # it cannot be compared, or has no length: its validator would say the same
        return False


def _within(value: Any, limits: Limits) -> bool:
    return (
        (limits.at_least is None or value >= limits.at_least)
        and (limits.above is None or value > limits.above)
        and (limits.at_most is None or value <= limits.at_most)
        and (limits.below is None or value < limits.below)
        and (not limits.min_len or len(value) >= limits.min_len)
        and (limits.max_len is None or len(value) <= limits.max_len)
    )


def _fits_inside(value: Any, limits: Limits) -> bool:
    elements, values = limits.elements, limits.values
    return (elements is None or all(satisfies(one, elements) for one in value)) and (
        values is None or all(satisfies(one, values) for one in value.values())
    )


def limits_of(validator: Callable[..., Any] | None) -> Limits:
    """The demands of an attrs validator; one that is unknown is opaque."""
    if validator is None:
        return ANY
    read = _READERS.get(type(validator))
    return read(validator) if read is not None else Limits(opaque=True)


def _stricter(choose: Callable[..., Any], one: Any, other: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)


def _both(one: Limits | None, other: Limits | None) -> Limits | None:
    if one is None or other is None:
        return other if one is None else one
    return one.and_also(other)


def _all_of(demands: Iterable[Limits]) -> Limits:
    found = list(demands)
    whole = attrs.evolve(ANY, optional=True)  # None passes if it passes them all
    for one in found:
        whole = whole.and_also(one)
    return whole if found else ANY


_COMPARED = {">=": "at_least", ">": "above", "<=": "at_most", "<": "below"}


def _number(validator: Any) -> Limits:
    return Limits(**{_COMPARED[validator.compare_op]: validator.bound})


def _among(validator: Any) -> Limits:
    options = validator.options
    if isinstance(options, str):  # ``in`` means a part of it
        return Limits(opaque=True)
    try:
        found = list(options)
    except TypeError:  # it knows only what is in it
        return Limits(opaque=True)
    if isinstance(getattr(validator, "_original_options", options), (set, frozenset)):
        found.sort(key=repr)  # its own order differs from run to run
    return Limits(among=tuple(found))


def _kind(validator: Any) -> Limits:
    kind = validator.type
    if isinstance(kind, type):
        return Limits(kinds=(kind,))
    return Limits(opaque=True)  # several to choose from


def _deep(validator: Any) -> Limits:
    whole = limits_of(validator.iterable_validator)
    return whole.and_also(Limits(elements=limits_of(validator.member_validator)))


def _deep_mapping(validator: Any) -> Limits:
    inner = Limits(
        elements=limits_of(validator.key_validator), values=limits_of(validator.value_validator)
    )
    return limits_of(validator.mapping_validator).and_also(inner)


def _never(_: object, __: object, ___: object) -> None:
    """A validator to make others of, so that their classes are known by what attrs calls them in public."""


# attrs keeps the classes of its validators to itself, but not what makes them.
_READERS: dict[type, Callable[[Any], Limits]] = {
    type(validators.ge(0)): _number,
    type(validators.min_len(0)): lambda v: Limits(min_len=v.min_length),
    type(validators.max_len(0)): lambda v: Limits(max_len=v.max_length),
    type(validators.in_(())): _among,
    type(validators.instance_of(int)): _kind,
    type(validators.matches_re("")): lambda v: Limits(patterns=((v.pattern, v.match_func),)),
    type(validators.and_(_never)): lambda v: _all_of(map(limits_of, v._validators)),
    type(validators.optional(_never)): lambda v: attrs.evolve(
        limits_of(v.validator), optional=True
    ),
    type(validators.deep_iterable(_never)): _deep,
    type(validators.deep_mapping(_never, _never)): _deep_mapping,
}
