"""Hypothesis strategies for messages, made of their fields' types and validators: ``messages(Deposit | Withdraw)``."""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar, cast, overload

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from actorkit.kernel.call import Reply
from actorkit.kernel.message import is_message
from actorkit.kernel.ref import Ref
from actorkit.testing.protocol.hints import fields_of, is_union, origin_of, type_of, unaliased
from actorkit.testing.protocol.leaves import (
    SIZE,
    NoStrategy,
    besides_size,
    fit,
    leaf,
    no_strategy,
    sampled,
    sizes,
    tried,
)
from actorkit.testing.protocol.limits import ANY, Limits, limits_of

M = TypeVar("M")
T = TypeVar("T")

_REGISTERED: dict[type, SearchStrategy[Any]] = {}


def register_strategy(cls: type[T], strategy: SearchStrategy[T], /) -> None:
    """From now on, take instances of ``cls`` from ``strategy``, in messages and wherever they are part of one.

    ``cls`` may be a message class, or the class of a field.

    Raises:
        TypeError: these are no class and no strategy.
    """
    if not isinstance(cls, type):
        raise TypeError(f"register_strategy() takes a class, got {cls!r}")
    if not isinstance(strategy, SearchStrategy):
        raise TypeError(
            f"register_strategy() takes a Hypothesis strategy for {cls.__qualname__}, got {strategy!r}"
        )
    _REGISTERED[cls] = strategy


def forget_strategy(cls: type, /) -> None:
    """Take back what ``register_strategy`` did for a class."""
    _REGISTERED.pop(cls, None)


@overload
def messages(vocabulary: type[M], /, **fields: object) -> SearchStrategy[M]: ...
@overload
def messages(vocabulary: types.UnionType, /, **fields: object) -> SearchStrategy[Any]: ...
def messages(vocabulary: Any, /, **fields: object) -> SearchStrategy[Any]:
    """A strategy for messages of a class, or of a union of classes.

    Each field is drawn by its type, annotated constraints and attrs validators. Those with a default are drawn too, with
    the default as the simplest value. Floats are finite.

    Args:
        vocabulary: a message class, or ``Deposit | Withdraw``.
        fields: strategies, or plain values, for the fields of these names in every class that has them. Fields that hold
            an ``ak.Ref`` need one.

    Raises:
        NoStrategy: nothing can be made up for a field.
        TypeError: this is no message class, or no class has a field of this name.
    """
    classes = list(_classes(vocabulary))
    for cls in classes:
        if not is_message(origin_of(cls)):
            raise TypeError(f"messages() takes classes made by @ak.message, got {cls!r}")
    given = {name: _as_strategy(value) for name, value in fields.items()}
    _check_names(given, classes)
    building = _Building()
    return st.one_of(*[building.message(cls, given) for cls in classes])


def _as_strategy(value: object) -> SearchStrategy[Any]:
    return value if isinstance(value, SearchStrategy) else st.just(value)


def _classes(vocabulary: Any) -> Iterator[Any]:
    vocabulary = unaliased(vocabulary)
    if not is_union(vocabulary):
        yield vocabulary
        return
    for member in typing.get_args(vocabulary):
        yield from _classes(member)


def _check_names(given: Mapping[str, object], classes: Iterable[Any]) -> None:
    known = {name for cls in classes for name in fields_of(origin_of(cls))}
    for name in given:
        if name not in known:
            raise TypeError(
                f"no field is called {name!r}; there are {', '.join(sorted(known)) or 'none'}"
            )


def _name(cls: Any) -> str:
    return str(getattr(cls, "__qualname__", None) or cls).rpartition(".<locals>.")[2]


@attrs.frozen
class _Place:
    """Where a value goes.

    Attributes:
        name: how errors call it: ``Order.items[...]``.
        limits: what is demanded of it.
        bound: what the type variables of its class stand for.
    """

    name: str
    limits: Limits
    bound: Mapping[Any, Any]

    def inner(self, suffix: str, limits: Limits | None) -> _Place:
        """A place inside."""
        return _Place(self.name + suffix, limits or ANY, self.bound)

    def demanding(self, limits: Limits) -> _Place:
        """The same with other demands."""
        return attrs.evolve(self, limits=limits)


class _Building:
    """One call of ``messages``; it remembers the classes it is about to build, for a class may contain itself."""

    def __init__(self) -> None:
        self._made: dict[Any, SearchStrategy[Any]] = {}

    def message(self, cls: Any, given: Mapping[str, SearchStrategy[Any]]) -> SearchStrategy[Any]:
        """A strategy for one class of the vocabulary."""
        mine = {name: given[name] for name in fields_of(origin_of(cls)) if name in given}
        registered = _REGISTERED.get(origin_of(cls))
        if registered is None:
            return self._instances(cls, mine, _name(origin_of(cls)))
        if mine:
            raise TypeError(
                f"{_name(cls)} has a registered strategy, which makes whole messages: leave out "
                f"{', '.join(mine)}, or forget_strategy({_name(cls)}) first"
            )
        return registered

    def _instances(
        self, cls: Any, given: Mapping[str, SearchStrategy[Any]], where: str
    ) -> SearchStrategy[Any]:
        made = origin_of(cls)
        bound = dict(zip(getattr(made, "__parameters__", ()), typing.get_args(cls), strict=False))
        drawn: dict[str, SearchStrategy[Any]] = {}
        picky = hasattr(made, "__attrs_post_init__")
        for name, field in fields_of(made).items():
            limits = limits_of(field.validator)
            picky = picky or limits.anywhere_opaque
            place = _Place(f"{where}.{name}", limits, bound)
            values = given.get(name)
            drawn[name] = self._field(made, field, place) if values is None else values
        return tried(made, drawn) if picky else st.builds(made, **drawn)

    def _field(self, cls: type, field: attrs.Attribute[Any], place: _Place) -> SearchStrategy[Any]:
        values = self.of(_hint(cls, field, place), place)
        default = cast(Any, field.default)
        if default is attrs.NOTHING:
            return values
        if not hasattr(default, "takes_self"):
            return st.just(default) | values | values
        return values if default.takes_self else st.builds(default.factory) | values | values

    def of(self, hint: Any, place: _Place) -> SearchStrategy[Any]:
        """A strategy for the values of a type at some place."""
        hint = unaliased(hint)
        if isinstance(hint, TypeVar):
            hint = _bound(hint, place)
        if is_union(hint):
            return self._union(hint, place)
        if place.limits.among is not None:
            return sampled(place.limits, place.name)
        if hint is None or hint is type(None):
            return st.none()
        if hint is Any or hint is object:
            return self._by_kind(place)
        if typing.get_origin(hint) is Annotated:
            return self._annotated(hint, place)
        return self._plain(hint, place)

    def _plain(self, hint: Any, place: _Place) -> SearchStrategy[Any]:
        origin = origin_of(hint)
        if not isinstance(origin, type):
            return self._named(hint, place)
        if origin in _REGISTERED:
            return fit(_REGISTERED[origin], place.limits)
        if issubclass(origin, (Ref, Reply)):
            no_strategy(place.name, hint, "it names a live actor")
        container = _CONTAINERS.get(origin)
        if container is not None:
            return container(self, hint, place)
        if attrs.has(origin):
            return fit(self._nested(hint, place), place.limits)
        return leaf(hint, place.limits, place.name)

    def _named(self, hint: Any, place: _Place) -> SearchStrategy[Any]:
        plain = getattr(hint, "__supertype__", None)  # NewType
        if plain is not None and not place.limits.silent:
            return self.of(plain, place)
        return leaf(hint, place.limits, place.name)

    def _nested(self, hint: Any, place: _Place) -> SearchStrategy[Any]:
        arguments = tuple(place.bound.get(a, a) for a in typing.get_args(hint))
        cls = origin_of(hint)[arguments] if arguments else hint
        if cls not in self._made:
            self._made[cls] = st.deferred(lambda: self._made[cls])  # while it is being made
            self._made[cls] = self._instances(cls, {}, place.name)
        return self._made[cls]

    def _union(self, hint: Any, place: _Place) -> SearchStrategy[Any]:
        limits = place.limits
        members = typing.get_args(hint)
        others = [member for member in members if member is not type(None)]
        inner = place.demanding(attrs.evolve(limits, optional=False))
        values = [self.of(member, inner) for member in others]
        if limits.among is not None:
            values = values[:1]  # the type said nothing more
        empty = len(others) < len(members) and (limits.optional or limits.silent)
        return st.one_of(*[st.none()] * empty, *values)

    def _by_kind(self, place: _Place) -> SearchStrategy[Any]:
        """The type says nothing; a validator may."""
        limits = place.limits
        if not limits.kinds:
            small = st.none() | st.booleans() | st.integers() | st.text(max_size=SIZE)
            return fit(small, limits)
        rest = attrs.evolve(limits, kinds=limits.kinds[1:], optional=False)
        values = self.of(limits.kinds[0], place.demanding(rest))
        return st.none() | values if limits.optional else values

    def _annotated(self, hint: Any, place: _Place) -> SearchStrategy[Any]:
        inner, *notes = typing.get_args(hint)
        strategies = [note for note in notes if isinstance(note, SearchStrategy)]
        if strategies:
            return fit(strategies[-1], place.limits)
        origin = origin_of(inner)
        if not (origin in _CONTAINERS or is_union(inner) or attrs.has(origin)):
            return leaf(hint, place.limits, place.name)  # Hypothesis reads annotated_types
        limits = place.limits
        for note in notes:
            limits = limits.and_also(_lengths(note))
        return self.of(inner, place.demanding(limits))

    def list_of(self, hint: Any, place: _Place) -> SearchStrategy[Any]:
        """Lists, and whatever a list passes for."""
        elements = self._element(hint, 0, place, place.limits.elements)
        return fit(st.lists(elements, **sizes(place.limits)), besides_size(place.limits))

    def set_of(self, hint: Any, place: _Place) -> SearchStrategy[Any]:
        """Sets of either kind."""
        many = st.sets if origin_of(hint) in (set, collections.abc.MutableSet) else st.frozensets
        elements = self._element(hint, 0, place, place.limits.elements)
        return fit(many(elements, **sizes(place.limits)), besides_size(place.limits))

    def tuple_of(self, hint: Any, place: _Place) -> SearchStrategy[Any]:
        """Tuples: of any length, or with a type for each place."""
        arguments = typing.get_args(hint)
        if arguments[1:] == (Ellipsis,) or not arguments:
            elements = self._element(hint, 0, place, place.limits.elements)
            many = st.lists(elements, **sizes(place.limits)).map(tuple)
            return fit(many, besides_size(place.limits))
        inner = place.limits.elements
        places = [self.of(one, place.inner(f"[{at}]", inner)) for at, one in enumerate(arguments)]
        return fit(st.tuples(*places), attrs.evolve(place.limits, elements=None))

    def mapping_of(self, hint: Any, place: _Place) -> SearchStrategy[Any]:
        """Dictionaries."""
        keys = self._element(hint, 0, place, place.limits.elements)
        values = self._element(hint, 1, place, place.limits.values)
        return fit(st.dictionaries(keys, values, **sizes(place.limits)), besides_size(place.limits))

    def _element(
        self, hint: Any, at: int, place: _Place, limits: Limits | None
    ) -> SearchStrategy[Any]:
        arguments = typing.get_args(hint)
        return self.of(arguments[at] if arguments else Any, place.inner("[...]", limits))


def _bound(variable: TypeVar, place: _Place) -> Any:
    if variable in place.bound:
        return place.bound[variable]
    raise NoStrategy(
        f"{place.name} is of type {variable}, which is open: name it, as in messages(Put[int]), "
        f"or give the field by keyword, messages(Put, {place.name.rpartition('.')[2]}=...)"
    )


def _lengths(note: Any) -> Limits:
    """What an annotated_types constraint says of a length; nothing if it says something else."""
    return Limits(
        min_len=getattr(note, "min_length", 0) or 0, max_len=getattr(note, "max_length", None)
    )


def _hint(cls: type, field: attrs.Attribute[Any], place: _Place) -> Any:
    try:
        return type_of(cls, field)
    except NameError as error:
        raise NoStrategy(
            f"{place.name} is annotated {field.type!r}, and {error}: define that type in the module, "
            f"outside of functions, or give the field by keyword, messages(..., {place.name.rpartition('.')[2]}=...)"
        ) from None


_CONTAINERS: dict[Any, Callable[[_Building, Any, _Place], SearchStrategy[Any]]] = {
    list: _Building.list_of,
    tuple: _Building.tuple_of,
    set: _Building.set_of,
    frozenset: _Building.set_of,
    dict: _Building.mapping_of,
    collections.abc.Sequence: _Building.list_of,
    collections.abc.MutableSequence: _Building.list_of,
    collections.abc.Collection: _Building.list_of,
    collections.abc.Iterable: _Building.list_of,
    collections.abc.Set: _Building.set_of,
    collections.abc.MutableSet: _Building.set_of,
    collections.abc.Mapping: _Building.mapping_of,
    collections.abc.MutableMapping: _Building.mapping_of,
}
