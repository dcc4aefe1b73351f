"""Hypothesis strategies for single values of a type within some limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn, TypedDict

import attrs
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy

from actorkit.errors import ActorkitError
from actorkit.testing.protocol.limits import Limits, satisfies

SIZE = 10  # elements or letters at most, where nothing is said
_TRIES = 20  # for fields that only trying can tell to be right


class NoStrategy(ActorkitError, TypeError):
    """No values can be made up for a field; the text names it, and what to do."""


def leaf(hint: Any, limits: Limits, where: str) -> SearchStrategy[Any]:
    """A strategy for values of a type that is neither a message nor a container.

    Floats are finite: NaN and infinity are for tests of malformed messages.

    Raises:
        NoStrategy: Hypothesis knows nothing for the type, or nothing is within the limits.
    """
    maker = _MAKERS.get(hint)
    try:
        values = fit(st.from_type(hint), limits) if maker is None else maker(limits)
        values.validate()
    except (HypothesisException, TypeError, ValueError, OverflowError) as error:
        no_strategy(where, hint, str(error))
    return values


def no_strategy(where: str, hint: Any, why: str) -> NoReturn:
    """Raise NoStrategy for a field of this type, with what to do."""
    field = where.partition("[")[0].rpartition(".")[2]
    shown = getattr(hint, "__qualname__", None) or repr(hint)
    raise NoStrategy(
        f"{where} is of type {shown}, for which no values can be made up ({why.splitlines()[0] if why else 'no reason'}): "
        f"give them by keyword, messages(..., {field}=st.sampled_from(...)), or register_strategy() for its class"
    )


def sampled(limits: Limits, where: str) -> SearchStrategy[Any]:
    """A strategy for the values of ``in_``, as far as they satisfy the rest."""
    rest = attrs.evolve(limits, among=None)
    options = [one for one in limits.among or () if satisfies(one, rest)]
    if not options:
        no_strategy(where, limits.among, "no value of in_() satisfies the other validators")
    return st.sampled_from(options)


def fit(values: SearchStrategy[Any], limits: Limits) -> SearchStrategy[Any]:
    """Those of some values that are within the limits."""
    return values if limits.silent else values.filter(lambda value: satisfies(value, limits))


def besides_size(limits: Limits) -> Limits:
    """What remains of the limits of a collection when sizes and elements are taken care of."""
    return attrs.evolve(limits, min_len=0, max_len=None, elements=None, values=None)


class Sizes(TypedDict):
    """How large a collection may be."""

    min_size: int
    max_size: int


def sizes(limits: Limits) -> Sizes:
    """How large a collection may be."""
    most = limits.min_len + SIZE if limits.max_len is None else limits.max_len
    return {"min_size": limits.min_len, "max_size": most}


def tried(cls: type, fields: dict[str, SearchStrategy[Any]]) -> SearchStrategy[Any]:
    """Instances of a class that refuses some values for reasons that cannot be read: a few are tried."""
    drawn = st.fixed_dictionaries(fields)

    @st.composite
    def instances(draw: st.DrawFn) -> Any:
        for _ in range(_TRIES):
            values = draw(drawn)
            try:
                return cls(**values)
            except (TypeError, ValueError):  # what validators raise
                continue
        return reject()

    return instances()


# By type -----------------------------------------------------------------------------------------------------------


def _integers(limits: Limits) -> SearchStrategy[int]:
    lows = [math.ceil(limits.at_least)] if limits.at_least is not None else []
    lows += [math.floor(limits.above) + 1] if limits.above is not None else []
    highs = [math.floor(limits.at_most)] if limits.at_most is not None else []
    highs += [math.ceil(limits.below) - 1] if limits.below is not None else []
    whole = st.integers(max(lows, default=None), min(highs, default=None))
    return fit(whole, _besides_bounds(limits))


def _floats(limits: Limits) -> SearchStrategy[float]:
    low = _tighter(max, limits.at_least, limits.above)
    high = _tighter(min, limits.at_most, limits.below)
    whole = st.floats(
        low,
        high,
        exclude_min=low is not None and low == limits.above,
        exclude_max=high is not None and high == limits.below,
        allow_nan=False,
        allow_infinity=False,
    )
    return fit(whole, _besides_bounds(limits))


def _between(make: Callable[..., SearchStrategy[Any]]) -> Callable[[Limits], SearchStrategy[Any]]:
    """For types with an order: bounds from the maker, what is strict by filter."""

    def within(limits: Limits) -> SearchStrategy[Any]:
        low = _tighter(max, limits.at_least, limits.above)
        high = _tighter(min, limits.at_most, limits.below)
        bounds = {"min_value": low, "max_value": high}
        return fit(make(**{name: v for name, v in bounds.items() if v is not None}), limits)

    return within


def _letters(limits: Limits) -> SearchStrategy[str]:
    if not limits.patterns:
        return fit(st.text(**sizes(limits)), attrs.evolve(limits, min_len=0, max_len=None))
    pattern, find = limits.patterns[0]
    return fit(st.from_regex(pattern, fullmatch=find == pattern.fullmatch), limits)


def _bytes(limits: Limits) -> SearchStrategy[bytes]:
    if not limits.patterns:
        return fit(st.binary(**sizes(limits)), attrs.evolve(limits, min_len=0, max_len=None))
    pattern, find = limits.patterns[0]
    return fit(st.from_regex(pattern, fullmatch=find == pattern.fullmatch), limits)


def _tighter(choose: Callable[..., Any], one: Any, other: Any) -> Any:
    found = [bound for bound in (one, other) if bound is not None]
    return choose(found) if found else None


def _besides_bounds(limits: Limits) -> Limits:
    return attrs.evolve(limits, at_least=None, above=None, at_most=None, below=None)


def _finite(limits: Limits) -> SearchStrategy[Decimal]:
    return _between(st.decimals)(limits).filter(Decimal.is_finite)


_MAKERS: dict[Any, Callable[[Limits], SearchStrategy[Any]]] = {
    int: _integers,
    float: _floats,
    str: _letters,
    bytes: _bytes,
    Decimal: _finite,
    Fraction: _between(st.fractions),
    datetime: _between(st.datetimes),
    date: _between(st.dates),
    timedelta: _between(st.timedeltas),
}
