"""Specifications are checked when they are written: a wrong value is refused by name, before anything starts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.errors import SpecError
from actorkit.supervision.spec import Flags, check_child, check_children
from tests.supervision.support import Stage, Worker

Make = Callable[[Any], object]
PROPS = ak.Props[Any](Worker)


def _child(**options: Any) -> ak.Child[Any]:
    fields: dict[str, Any] = {"id": "a", "props": PROPS}
    return ak.Child(**(fields | options))


WRONG: list[tuple[Make, str, list[Any]]] = [
    (lambda v: _child(id=v), "Child id", ["", "a/b", 7, None, "a b\n"]),
    (lambda v: _child(props=v), "Child props", [None, Worker, "Worker"]),
    (lambda v: _child(restart=v), "Child restart", ["always", None, True, ""]),
    (lambda v: _child(shutdown=v), "Child shutdown", [-1, -0.1, math.nan, "now", True, [5]]),
    (lambda v: _child(start_timeout=v), "Child start_timeout", [0, -1, math.nan, "soon", True]),
    (lambda v: _child(significant=v, restart="transient"), "Child significant", [1, None, "yes"]),
    (lambda v: _child(name=v), "Child name", ["", "a\nb", 7, "x" * 201]),
    (lambda v: ak.supervise(strategy=v), "strategy", ["all", None, 1]),
    (lambda v: ak.supervise(max_restarts=v), "max_restarts", [-1, 1.5, True, None, "3", math.inf]),
    (lambda v: ak.supervise(within=v), "within", [0, -1, math.nan, "5", None, True]),
    (lambda v: ak.supervise(auto_shutdown=v), "auto_shutdown", ["always", None, True]),
    (lambda v: ak.supervise(backoff=v), "backoff", [1.0, "slow", ak.Backoff]),
    (ak.supervise, "Child specifications", [None, "a", PROPS]),
    (lambda v: ak.Backoff(initial=v), "Backoff initial", [-1, math.nan, math.inf, "1", None]),
    (lambda v: ak.Backoff(factor=v), "Backoff factor", [0.9, -2, math.nan, math.inf, "2", None]),
    (lambda v: ak.Backoff(maximum=v), "Backoff maximum", [0.05, math.nan, math.inf, "9", None]),
    (lambda v: ak.Backoff(jitter=v), "Backoff jitter", [-0.1, 1.1, math.nan, "1", None, True]),
    (ak.supervise_dynamic, "template", [None, PROPS, "w"]),
    (lambda v: ak.supervise_dynamic(_child(), max_children=v), "max_children", [0, -1, 1.5, True]),
    (lambda v: ak.supervise_dynamic(_child(), max_restarts=v), "max_restarts", [-1, None]),
]


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [(make, field, value) for make, field, values in WRONG for value in values],
    ids=lambda v: repr(v) if not callable(v) or isinstance(v, type) else "",
)
def test_a_wrong_value_is_refused_by_name(make: Make, field: str, value: object) -> None:
    """Every field refuses what it cannot mean, with an error that names the field and the value."""
    with pytest.raises(SpecError) as refusal:
        make(value)
    assert field in str(refusal.value)
    assert repr(value) in str(refusal.value)


def test_a_spec_error_is_a_value_error() -> None:
    """Callers that know nothing of actorkit's errors can catch ``ValueError``."""
    with pytest.raises(ValueError, match="one of permanent, transient, temporary, got 'x'"):
        _child(restart="x")


def test_significance_must_make_sense() -> None:
    """A significant child is one that may end for good, below a supervisor that may end of it."""
    with pytest.raises(SpecError, match="got restart='permanent'"):
        _child(significant=True)
    for restart in ("transient", "temporary"):
        child = _child(significant=True, restart=restart)
        with pytest.raises(SpecError, match="child 'a' is significant, but auto_shutdown is"):
            ak.supervise(child)
        check_child(Flags(auto_shutdown="any_significant"), child)
        with pytest.raises(SpecError, match="template is not significant"):
            ak.supervise_dynamic(child)


def test_ids_are_unique() -> None:
    """Two children of one supervisor never have the same id."""
    with pytest.raises(SpecError, match="two children have the id 'a'"):
        check_children(Flags(), (_child(), _child(id="b"), _child()))
    check_children(Flags(), (_child(), _child(id="b")))


def test_a_template_has_no_name() -> None:
    """The children of a dynamic supervisor are many, and a name has one holder."""
    with pytest.raises(SpecError, match="only one of its children could hold it; got 'bank'"):
        ak.supervise_dynamic(_child(name="bank"))


def test_defaults() -> None:
    """The defaults are OTP's, save for Elixir's three restarts in five seconds."""
    flags, child = Flags(), _child()
    assert (flags.strategy, flags.max_restarts, flags.within) == ("one_for_one", 3, 5.0)
    assert (flags.auto_shutdown, flags.backoff) == ("never", None)
    assert (child.restart, child.limit, child.kills) == ("permanent", 5.0, False)
    assert (child.significant, child.start_timeout, child.name) == (False, None, None)


def test_shutdown_limits() -> None:
    """A worker has five seconds unless told otherwise, a supervisor of any kind as long as it needs."""
    stage = Stage()
    tree, pool = ak.supervise(stage.child("a")), ak.supervise_dynamic(stage.child("a"))
    assert [_child(props=p).limit for p in (PROPS, tree, pool)] == [5.0, None, None]
    assert [_child(props=p).is_tree for p in (PROPS, tree, pool)] == [False, True, True]
    assert [_child(shutdown=s).limit for s in (0, 2.5, math.inf)] == [0, 2.5, None]
    assert _child(shutdown="kill").kills


@given(
    st.sampled_from(["permanent", "transient", "temporary"]),
    st.one_of(st.none(), st.just("kill"), st.floats(min_value=0)),
    st.one_of(st.none(), st.floats(min_value=0, exclude_min=True)),
)
def test_whatever_makes_sense_is_taken(restart: str, shutdown: Any, start_timeout: Any) -> None:
    """Specifications are values: what makes sense is accepted, kept as given, and equal to its like."""
    options = {"restart": restart, "shutdown": shutdown, "start_timeout": start_timeout}
    child = _child(**options)
    assert (child.restart, child.shutdown, child.start_timeout) == (
        restart,
        shutdown,
        start_timeout,
    )
    assert child == _child(**options)
