"""What a model may expect of a reply: a value, a refusal, something that satisfies a condition, anything, or no reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import attrs

import actorkit as ak
from actorkit.kernel.message import shortened
from actorkit.testing.protocol import history

R = TypeVar("R")
S = TypeVar("S")
R_co = TypeVar("R_co", covariant=True)


class Expectation(Generic[R_co]):
    """What an answer is compared with; ``refuses``, ``matching`` and ``anything`` make them."""

    __slots__ = ()

    def allows(self, answer: history.Answer) -> bool:
        """Whether this is an answer that was to be expected."""
        raise NotImplementedError


@attrs.frozen(slots=True)
class Exactly(Expectation[R_co]):
    """A reply equal to ``value``."""

    value: R_co

    def __str__(self) -> str:
        return f"the reply {shortened(self.value)}"

    def allows(self, answer: history.Answer) -> bool:
        """Compare with ``==``."""
        return isinstance(answer, history.Ok) and bool(answer.value == self.value)


@attrs.frozen(slots=True)
class Refuses(Expectation[Any]):
    """A refusal: of this class, or equal to this one in class and arguments."""

    error: type[ak.Refused] | ak.Refused

    def __str__(self) -> str:
        if isinstance(self.error, type):
            return f"the refusal {self.error.__name__}"
        return f"the refusal {shortened(self.error)}"

    def allows(self, answer: history.Answer) -> bool:
        """Compare with the refusal that was raised at the asker."""
        if not isinstance(answer, history.Refused):
            return False
        if isinstance(self.error, type):
            return isinstance(answer.error, self.error)
        return type(answer.error) is type(self.error) and answer.error.args == self.error.args


@attrs.frozen(slots=True)
class Matching(Expectation[R_co]):
    """A reply that satisfies a condition."""

    holds: Callable[[Any], object]
    description: str

    def __str__(self) -> str:
        return f"a reply that is {self.description}"

    def allows(self, answer: history.Answer) -> bool:
        """Put the reply to the condition."""
        return isinstance(answer, history.Ok) and bool(self.holds(answer.value))


@attrs.frozen(slots=True)
class Anything(Expectation[Any]):
    """Any reply, but no refusal."""

    def __str__(self) -> str:
        return "any reply"

    def allows(self, answer: history.Answer) -> bool:
        """Any reply will do."""
        return isinstance(answer, history.Ok)


@attrs.frozen(slots=True)
class NoReply(Expectation[None]):
    """What a message that is told is answered by: nothing."""

    def __str__(self) -> str:
        return "no reply"

    def allows(self, answer: history.Answer) -> bool:
        """It was told, so there is nothing to compare."""
        return isinstance(answer, history.Ok) and answer.value is None


Step = tuple[R | Expectation[R], S]
"""What a transition returns: the reply to expect, or an expectation, and the state that follows."""

Told = tuple[NoReply, S]
"""What the transition of a message that is told returns: ``NO_REPLY``, and the state that follows."""

NO_REPLY: Final = NoReply()
anything: Final[Expectation[Any]] = Anything()


def refuses(error: type[ak.Refused] | ak.Refused, /) -> Expectation[Any]:
    """Expect the actor to refuse: with an error of this class, or with one equal to this in class and arguments.

    Raises:
        TypeError: it is no ``ak.Refused``: an actor that raises any other exception crashes.
    """
    cls = error if isinstance(error, type) else type(error)
    if not issubclass(cls, ak.Refused):
        raise TypeError(
            f"refuses() takes a subclass of ak.Refused, or an instance of one, got {error!r}: "
            "an actor that raises anything else crashes"
        )
    return Refuses(error)


def matching(holds: Callable[[R], object], description: str, /) -> Expectation[R]:
    """Expect a reply for which ``holds(reply)`` is true; ``description`` completes "a reply that is ..."."""
    if not callable(holds):
        raise TypeError(
            f"matching() takes a function of the reply and a description, got {holds!r}"
        )
    return Matching(holds, description)


def expected(value: object) -> Expectation[Any]:
    """An expectation as it is, any other value as the reply it has to be equal to."""
    return value if isinstance(value, Expectation) else Exactly(value)
