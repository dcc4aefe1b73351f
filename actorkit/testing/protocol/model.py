"""The model in a protocol's description: which messages there are, what each is answered by, and which state follows.

Pure: nothing here knows actors, clocks or Hypothesis. ``Spec`` puts the tests on top.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, overload

import attrs

from actorkit.errors import VocabularyError
from actorkit.kernel.message import AskOf, Request, StreamOf, StreamRequest, shortened
from actorkit.kernel.vocabulary import vocabulary
from actorkit.testing.protocol import history
from actorkit.testing.protocol.expectations import Expectation, Step, Told, expected

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

S = TypeVar("S")
M = TypeVar("M")
R = TypeVar("R")
T = TypeVar("T")
Owner = TypeVar("Owner")

MARK = "__actorkit_transition__"


class ProtocolViolated(AssertionError):
    """An actor did something else than the description of its protocol says."""


@attrs.frozen(slots=True)
class Restart:
    """Stands among the requests of a history: the actor died, and the next incarnation took over.

    Attributes:
        part: the key whose state it concerns; None if there are no keys.
    """

    part: Hashable = None


@attrs.frozen(slots=True)
class Transition:
    """The method that describes one message.

    Attributes:
        taken: the message class.
        name: the method's name.
        when: whether a state allows a message; None if every state allows every one.
    """

    taken: type
    name: str
    when: Callable[[Any, Any], object] | None


class Answering(Protocol[M, R]):
    """What ``transition(Request class)`` returns: it accepts a method that expects the request's reply type."""

    def __call__(
        self, method: Callable[[Owner, S, M], Step[R, S]], /
    ) -> Callable[[Owner, S, M], Step[R, S]]:
        """Mark a method."""
        ...


class Streaming(Protocol[M, T]):
    """What ``transition(StreamRequest class)`` returns: the method expects a tuple of all items."""

    def __call__(
        self, method: Callable[[Owner, S, M], Step[tuple[T, ...], S]], /
    ) -> Callable[[Owner, S, M], Step[tuple[T, ...], S]]:
        """Mark a method."""
        ...


class Telling(Protocol[M]):
    """What ``transition(plain message class)`` returns: the method expects no reply."""

    def __call__(
        self, method: Callable[[Owner, S, M], Told[S]], /
    ) -> Callable[[Owner, S, M], Told[S]]:
        """Mark a method."""
        ...


@overload
def transition(  # type: ignore[overload-overlap]
    taken: Callable[..., AskOf[M, R]], /, *, when: Callable[[Any, M], object] | None = None
) -> Answering[M, R]: ...
@overload
def transition(  # type: ignore[overload-overlap]
    taken: Callable[..., StreamOf[M, T]], /, *, when: Callable[[Any, M], object] | None = None
) -> Streaming[M, T]: ...
@overload
def transition(
    taken: type[M], /, *, when: Callable[[Any, M], object] | None = None
) -> Telling[M]: ...
def transition(taken: Any, /, *, when: Callable[[Any, Any], object] | None = None) -> Any:
    """Mark a method of a ``Spec`` as the description of a message class; type checkers check its types.

    The method takes the state and a message, and returns what is to be answered and the state that follows.

    Args:
        taken: the message class.
        when: whether a state allows a message: tests send it only where it does. It may still be handled elsewhere, if
            the actor is restarted while the message waits.

    Raises:
        VocabularyError: the argument is not a class.
    """
    if not isinstance(taken, type):
        raise VocabularyError(f"transition() takes a message class, got {taken!r}")
    if when is not None and not callable(when):
        raise VocabularyError(f"when= is a function of a state and a message, got {when!r}")

    def mark(method: Any) -> Any:
        if not inspect.isfunction(method) or inspect.iscoroutinefunction(method):
            raise VocabularyError(
                f"@transition({taken.__qualname__}) marks a plain method, got {method!r}"
            )
        setattr(method, MARK, Transition(taken, method.__name__, when))
        return method

    return mark


class Speaks(Generic[M]):
    """Has a vocabulary: the messages in ``M``."""


class Model(Speaks[M], Generic[S, M]):
    """A state machine that takes the messages of ``M`` in states of ``S``.

    States are values: hashable, compared with ``==``, never changed.
    """

    transitions: ClassVar[Mapping[type, Transition]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found = _transitions(cls)
        spoken = vocabulary(cls, Speaks)
        if spoken is not None:
            _check_cover(cls, spoken, found)
        cls.transitions = found
        if cls.keyed() and cls.checks():
            raise VocabularyError(
                f"{cls.__qualname__} has key(), so each of its states is about one key, and check() would have no "
                "state of the whole actor to look at; drop one of the two"
            )

    # What a description says -------------------------------------------------------------------------------------

    def initial(self) -> S:
        """The state of a new actor; of a new key, if there is ``key``."""
        raise NotImplementedError(f"{type(self).__qualname__} must say what its initial() state is")

    def restarted(self, state: S, /) -> S:
        """The state after the actor died and was restarted: the initial one, unless it remembers."""
        del state
        return self.initial()

    def key(self, msg: M, /) -> Hashable:
        """The one part of the actor that a message is about, if each is about one: states are then those of one part."""
        raise NotImplementedError

    def check(self, state: S, actor_state: Mapping[str, Any], /) -> bool:
        """Whether the attributes of the actor agree with the model's state; called when the actor is at rest."""
        del state, actor_state
        return True

    def strategy(self, kind: type[Any], /) -> SearchStrategy[Any]:
        """Where messages of a class come from: by its fields' types and validators, unless told otherwise."""
        from actorkit.testing.protocol.strategies import messages  # noqa: PLC0415 - it brings Hypothesis

        return messages(kind)

    # What tests make of it ---------------------------------------------------------------------------------------

    @classmethod
    def keyed(cls) -> bool:
        """Whether the description has ``key``."""
        return cls.key is not Model.key

    @classmethod
    def checks(cls) -> bool:
        """Whether the description has ``check``."""
        return cls.check is not Model.check

    @classmethod
    def transition_of(cls, msg: object) -> Transition:
        """The description of a message.

        Raises:
            VocabularyError: there is none.
        """
        for base in type(msg).__mro__:
            if base in cls.transitions:
                return cls.transitions[base]
        raise VocabularyError(f"{cls.__qualname__} does not describe {type(msg).__qualname__}")

    def part(self, request: Any) -> Hashable:
        """The key of a message, or of a ``Restart``; None if there are no keys."""
        if isinstance(request, Restart):
            return request.part
        return self.key(request) if self.keyed() else None

    def legal(self, state: S, msg: M) -> bool:
        """Whether the state allows the message."""
        when = self.transition_of(msg).when
        return when is None or bool(when(state, msg))

    def expect(self, state: S, msg: M) -> tuple[Expectation[Any], S]:
        """What is to be answered, and which state follows.

        Raises:
            TypeError: the method did not return these two.
        """
        described = self.transition_of(msg)
        made = getattr(self, described.name)(state, msg)
        if not (isinstance(made, tuple) and len(made) == 2):
            raise TypeError(
                f"{type(self).__qualname__}.{described.name} must return what to expect and the state that follows, "
                f"got {shortened(made)}"
            )
        return expected(made[0]), made[1]

    def step(self, state: S, request: Any, answer: history.Answer | None) -> tuple[bool, S]:
        """Whether a request may be answered so in a state, and which follows: the shape ``linearizable`` asks for.

        A ``Restart`` in the place of a request is the actor's own. ``when`` is not asked: what was sent was sent.
        """
        if isinstance(request, Restart):
            return True, self.restarted(state)
        wanted, after = self.expect(state, request)
        return answer is None or wanted.allows(answer), after

    def complaint(self, state: S, msg: M, answer: history.Answer) -> str:
        """What was wrong with an answer, in words."""
        wanted, _ = self.expect(state, msg)
        return (
            f"{shortened(msg)} in state {shortened(state)}: expected {wanted}, got {said(answer)}"
        )


def said(answer: history.Answer) -> str:
    """An answer in words."""
    if isinstance(answer, history.Ok):
        return f"the reply {shortened(answer.value)}"
    return f"the refusal {shortened(answer.error)}"


def asks(kind: type) -> bool:
    """Whether a message class is asked and answered once."""
    return issubclass(kind, Request)


def streams(kind: type) -> bool:
    """Whether a message class is asked and answered by a stream."""
    return issubclass(kind, StreamRequest)


def _transitions(cls: type) -> dict[type, Transition]:
    found: dict[type, Transition] = {}
    for base in reversed(cls.__mro__):
        here: dict[type, str] = {}
        for name, member in base.__dict__.items():
            mark = getattr(member, MARK, None)
            if mark is None:
                continue
            if mark.taken in here:
                raise VocabularyError(
                    f"{cls.__qualname__}: {here[mark.taken]} and {name} both describe {mark.taken.__qualname__}"
                )
            here[mark.taken] = name
            _check_parameters(cls, name, member)
            found[mark.taken] = attrs.evolve(mark, name=name)
    return found


def _check_parameters(cls: type, name: str, method: Callable[..., Any]) -> None:
    try:
        inspect.signature(method).bind(None, None, None)
    except TypeError:
        raise VocabularyError(
            f"{cls.__qualname__}.{name} must take (self, state, message)"
        ) from None


def _check_cover(cls: type, spoken: tuple[type, ...], found: Mapping[type, Transition]) -> None:
    missing = [m.__qualname__ for m in spoken if not any(base in found for base in m.__mro__)]
    foreign = [t.__qualname__ for t in found if not any(issubclass(m, t) for m in spoken)]
    if missing:
        raise VocabularyError(f"{cls.__qualname__} has no transition for {', '.join(missing)}")
    if foreign:
        raise VocabularyError(
            f"{cls.__qualname__} describes {', '.join(foreign)}, which its vocabulary does not name"
        )
