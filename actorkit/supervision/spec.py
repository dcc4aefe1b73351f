"""What a supervisor is told: children, strategy, limits. Checked at the door, one function per field.

The words are OTP's. The defaults are OTP's too, but for three restarts in five seconds, which is Elixir's.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Generic, Literal, TypeVar

import attrs

from actorkit.errors import SpecError
from actorkit.kernel.actor import Props
from actorkit.kernel.address import checked_segment, valid_node_name
from actorkit.kernel.registry import Key, name_of

M_contra = TypeVar("M_contra", contravariant=True)

Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]


@attrs.frozen(slots=True)
class TreeProps(Props[M_contra]):
    """How to make a supervisor of any kind: as a child it is given all the time it needs to stop its own."""

    shutdown_limit: ClassVar[float | None] = None


_RESTARTS = ("permanent", "transient", "temporary")
_STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
_AUTO_SHUTDOWNS = ("never", "any_significant", "all_significant")


def _one_of(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SpecError(f"{field} is one of {', '.join(allowed)}, got {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def _is_finite(value: object) -> bool:
    return _is_number(value) and not math.isinf(value)  # type: ignore[arg-type]


def _check_id(value: object) -> None:
    try:
        checked_segment(value)  # type: ignore[arg-type]
    except ValueError as error:
        raise SpecError(f"Child id: {error}") from None


def _check_props(value: object) -> None:
    if not isinstance(value, Props):
        raise SpecError(f"Child props is made by props(ActorClass, ...), got {value!r}")


def _check_shutdown(value: object) -> None:
    if value is None or value == "kill":
        return
    if not _is_number(value) or value < 0:  # type: ignore[operator]
        raise SpecError(
            f'Child shutdown is seconds from 0 up, math.inf, "kill" or None, got {value!r}'
        )


def _check_start_timeout(value: object) -> None:
    if value is not None and not (_is_number(value) and value > 0):  # type: ignore[operator]
        raise SpecError(f"Child start_timeout is seconds above 0, or None, got {value!r}")


def _check_name(value: object) -> None:
    if value is None:
        return
    try:
        name_of(value)  # type: ignore[arg-type]
    except ValueError as error:
        raise SpecError(f"Child name: {error}") from None


def _check_node(value: object, props: object) -> None:
    names = (value,) if isinstance(value, str) else value
    if names is None:
        return
    if not (isinstance(names, tuple) and names and all(map(_names_a_node, names))):
        raise SpecError(f"Child node is a node's name, or a tuple of them, got {value!r}")
    if isinstance(props, TreeProps):
        raise SpecError(
            f"a supervision tree is started on its own node; Child node={value!r} goes with the actors in it"
        )


def _names_a_node(value: object) -> bool:
    return isinstance(value, str) and valid_node_name(value)


def _check_significant(significant: object, restart: str) -> None:
    if not isinstance(significant, bool):
        raise SpecError(f"Child significant is True or False, got {significant!r}")
    if significant and restart == "permanent":
        raise SpecError("a significant Child is transient or temporary, got restart='permanent'")


@attrs.frozen
class Child(Generic[M_contra]):
    """One child of a supervisor. The specification is also the typed key to its reference: ``bank.child(ALICE)``.

    Attributes:
        id: unique among its siblings; the last part of its path.
        props: how to make it, from ``props`` or ``supervise``.
        restart: ``"permanent"``: always restarted. ``"transient"``: only after an abnormal end. ``"temporary"``: never,
            and forgotten when it ends.
        shutdown: seconds it may take to end in good order before it is killed; ``math.inf`` waits for ever, ``"kill"``
            kills at once. None means 5 seconds, and for ever if it is a supervisor.
        significant: whether its end by itself may end the supervisor (see ``auto_shutdown``).
        start_timeout: seconds it may take to become ready; None waits for ever.
        name: a name to register each of its incarnations under.
        node: the node it runs on, which must have granted ``spawn``, or several: then it is started on the first of them
            that is up. None is the supervisor's own.
    """

    id: str
    props: Props[M_contra]
    restart: Restart = attrs.field(default="permanent", kw_only=True)
    shutdown: float | Literal["kill"] | None = attrs.field(default=None, kw_only=True)
    significant: bool = attrs.field(default=False, kw_only=True)
    start_timeout: float | None = attrs.field(default=None, kw_only=True)
    name: str | Key[M_contra] | None = attrs.field(default=None, kw_only=True)
    node: str | tuple[str, ...] | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _check_id(self.id)
        _check_props(self.props)
        _one_of("Child restart", self.restart, _RESTARTS)
        _check_shutdown(self.shutdown)
        _check_start_timeout(self.start_timeout)
        _check_significant(self.significant, self.restart)
        _check_name(self.name)
        _check_node(self.node, self.props)

    @property
    def is_tree(self) -> bool:
        """Whether it is a supervisor itself."""
        return isinstance(self.props, TreeProps)

    @property
    def kills(self) -> bool:
        """Whether it is killed rather than asked to end."""
        return self.shutdown == "kill"

    @property
    def limit(self) -> float | None:
        """Seconds it may take to end; None for ever."""
        if self.shutdown is None or self.shutdown == "kill":
            return self.props.shutdown_limit
        return None if math.isinf(self.shutdown) else self.shutdown


@attrs.frozen(slots=True)
class Backoff:
    """How long to wait before a restart: ``initial * factor**n`` seconds, at most ``maximum``, after n quick failures.

    Attributes:
        initial: seconds before the first restart.
        factor: by which the wait grows, from 1 up.
        maximum: the longest wait in seconds.
        jitter: the share of the wait, 0 to 1, that is drawn at random, so that many children do not restart in step.
    """

    initial: float = 0.1
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.0

    def __attrs_post_init__(self) -> None:
        if not (_is_finite(self.initial) and self.initial >= 0):
            raise SpecError(f"Backoff initial is seconds from 0 up, got {self.initial!r}")
        if not (_is_finite(self.factor) and self.factor >= 1):
            raise SpecError(f"Backoff factor is a number from 1 up, got {self.factor!r}")
        if not (_is_finite(self.maximum) and self.maximum >= self.initial):
            raise SpecError(f"Backoff maximum is seconds, initial or more, got {self.maximum!r}")
        if not (_is_number(self.jitter) and 0 <= self.jitter <= 1):
            raise SpecError(f"Backoff jitter is a share from 0 to 1, got {self.jitter!r}")


@attrs.frozen(slots=True, kw_only=True)
class Flags:
    """How a supervisor treats its children as a whole; the parameters of ``supervise``."""

    strategy: Strategy = "one_for_one"
    max_restarts: int = 3
    within: float = 5.0
    auto_shutdown: AutoShutdown = "never"
    backoff: Backoff | None = None

    def __attrs_post_init__(self) -> None:
        _one_of("strategy", self.strategy, _STRATEGIES)
        if type(self.max_restarts) is not int or self.max_restarts < 0:
            raise SpecError(f"max_restarts is a number from 0 up, got {self.max_restarts!r}")
        if not _is_number(self.within) or self.within <= 0:
            raise SpecError(f"within is seconds above 0, got {self.within!r}")
        _one_of("auto_shutdown", self.auto_shutdown, _AUTO_SHUTDOWNS)
        if self.backoff is not None and not isinstance(self.backoff, Backoff):
            raise SpecError(f"backoff is a Backoff or None, got {self.backoff!r}")


def check_child(flags: Flags, child: object) -> None:
    """Check one child against the supervisor it is to join.

    Raises:
        SpecError: it is no Child, or is significant where nothing ever shuts down by itself.
    """
    if not isinstance(child, Child):
        raise SpecError(f"a supervisor's children are Child specifications, got {child!r}")
    if child.significant and flags.auto_shutdown == "never":
        raise SpecError(f"child {child.id!r} is significant, but auto_shutdown is 'never'")


def check_children(flags: Flags, children: tuple[Any, ...]) -> None:
    """Check all children of a supervisor before any of them is started.

    Raises:
        SpecError: see ``check_child``; or two children have the same id.
    """
    seen: set[str] = set()
    for child in children:
        check_child(flags, child)
        if child.id in seen:
            raise SpecError(f"two children have the id {child.id!r}")
        seen.add(child.id)
