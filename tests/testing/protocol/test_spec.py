"""The description of a protocol: what it must have, what it expects, and what it can be in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

import actorkit as ak
from actorkit.testing.protocol import history
from actorkit.testing.protocol.belief import Beliefs
from actorkit.testing.protocol.expectations import (
    NO_REPLY,
    Step,
    Told,
    anything,
    expected,
    matching,
    refuses,
)
from actorkit.testing.protocol.model import ProtocolViolated, Restart, transition
from actorkit.testing.protocol.spec import Spec
from tests.testing.protocol.bank import (
    AccountSpec,
    Balance,
    BankSpec,
    Deposit,
    Insufficient,
    Interest,
    LastingSpec,
    Look,
    LookingSpec,
    Put,
    Withdraw,
)

M = TypeVar("M")

OK = history.Ok
REFUSED = history.Refused(Insufficient(7))
UNKNOWN = history.Unknown("timed out")

# The class ----------------------------------------------------------------------------------------------------------


def test_a_message_without_a_transition_is_named() -> None:
    """A description covers its vocabulary, as an actor does."""
    with pytest.raises(ak.VocabularyError, match=r"Half has no transition for Withdraw"):

        class Half(Spec[int, Deposit | Withdraw]):
            @transition(Deposit)
            def deposit(self, s: int, m: Deposit) -> Step[int, int]:
                return 0, s


def test_a_transition_outside_of_the_vocabulary_is_named() -> None:
    """And it does not exceed it."""
    with pytest.raises(ak.VocabularyError, match=r"describes Withdraw, which its vocabulary"):

        class More(Spec[int, Deposit]):
            @transition(Deposit)
            def deposit(self, s: int, m: Deposit) -> Step[int, int]:
                return 0, s

            @transition(Withdraw)
            def withdraw(self, s: int, m: Withdraw) -> Step[int, int]:
                return 0, s


def test_two_transitions_of_one_message_are_named() -> None:
    """There is one description of each message."""
    with pytest.raises(ak.VocabularyError, match=r"one and two both describe Deposit"):

        class Twice(Spec[int, Deposit]):
            @transition(Deposit)
            def one(self, s: int, m: Deposit) -> Step[int, int]:
                return 0, s

            @transition(Deposit)
            def two(self, s: int, m: Deposit) -> Step[int, int]:
                return 0, s


def test_a_transition_takes_a_state_and_a_message() -> None:
    """Other parameters are refused when the class is made."""
    with pytest.raises(
        ak.VocabularyError, match=r"Odd\.deposit must take \(self, state, message\)"
    ):

        class Odd(Spec[int, Deposit]):
            @transition(Deposit)  # type: ignore[arg-type]
            def deposit(self, s: int) -> Step[int, int]:
                return 0, s


@pytest.mark.parametrize("wrong", [5, "Deposit", Deposit(1)])
def test_transition_takes_a_class(wrong: Any) -> None:
    """The error shows what it got."""
    with pytest.raises(ak.VocabularyError, match=r"takes a message class, got"):
        transition(wrong)


def test_transition_marks_plain_methods() -> None:
    """A model does not wait for anything; and ``when`` is a function."""

    async def waits(self: object, s: int, m: Deposit) -> Any: ...

    mark: Any = transition(Deposit)
    with pytest.raises(ak.VocabularyError, match=r"marks a plain method"):
        mark(waits)
    wrong: Any = True
    with pytest.raises(ak.VocabularyError, match=r"when= is a function"):
        transition(Deposit, when=wrong)


def test_keys_and_a_look_at_the_whole_exclude_each_other() -> None:
    """With keys there is no state of the whole actor."""
    with pytest.raises(ak.VocabularyError, match=r"each of its states is about one key"):

        class Both(BankSpec):
            def check(self, state: int, actor_state: Mapping[str, Any], /) -> bool:
                return True


def test_a_subclass_may_describe_a_message_anew() -> None:
    """An override needs no second mark, and a generic description waits for its vocabulary."""

    class Generous(AccountSpec):
        def balance(self, balance: int, _: Balance) -> Step[int, int]:
            return balance + 1, balance

    class Open(Spec[int, M], Generic[M]):
        def initial(self) -> int:
            return 3

    class Closed(Open[Balance]):
        @transition(Balance)
        def balance(self, balance: int, _: Balance) -> Step[int, int]:
            return balance, balance

    assert Generous().step(1, Balance(), OK(2)) == (True, 1)
    assert Closed().initial() == 3
    assert set(Closed.transitions) == {Balance}


def test_a_message_of_another_protocol_is_named() -> None:
    """Asking the model about what it does not describe is an error, not an answer."""
    with pytest.raises(ak.VocabularyError, match=r"AccountSpec does not describe Put"):
        AccountSpec().step(0, Put("ann", 1), None)


def test_a_transition_returns_two_things() -> None:
    """The error names the method and shows what it returned."""

    class Bad(Spec[int, Balance]):
        @transition(Balance)  # type: ignore[arg-type]
        def balance(self, balance: int, _: Balance) -> int:
            return balance

    with pytest.raises(TypeError, match=r"Bad\.balance must return what to expect and the state"):
        Bad().step(0, Balance(), None)


def test_a_description_needs_an_initial_state() -> None:
    """The error names the class."""

    class Nowhere(Spec[int, Balance]):
        @transition(Balance)
        def balance(self, balance: int, _: Balance) -> Step[int, int]:
            return balance, balance

    with pytest.raises(NotImplementedError, match=r"Nowhere must say what its initial"):
        Nowhere().initial()


def _large(number: int) -> bool:
    return number > 3


# Expectations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "right", "wrong"),
    [
        (expected(5), OK(5), OK(6)),
        (expected(5), OK(5), REFUSED),
        (refuses(Insufficient), REFUSED, OK(5)),
        (refuses(Insufficient), REFUSED, history.Refused(ak.Refused())),
        (refuses(ak.Refused), REFUSED, OK(None)),
        (refuses(Insufficient(7)), REFUSED, history.Refused(Insufficient(8))),
        (matching(_large, "large"), OK(4), OK(3)),
        (matching(_large, "large"), OK(4), REFUSED),
        (anything, OK(object()), REFUSED),
        (NO_REPLY, OK(None), OK(1)),
    ],
)
def test_an_expectation_tells_right_from_wrong(wanted: Any, right: Any, wrong: Any) -> None:
    """Each kind allows its answers, and no others."""
    assert wanted.allows(right)
    assert not wanted.allows(wrong)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (expected(5), "the reply 5"),
        (refuses(Insufficient), "the refusal Insufficient"),
        (refuses(Insufficient(7)), "the refusal Insufficient(7)"),
        (matching(bool, "true"), "a reply that is true"),
        (anything, "any reply"),
        (NO_REPLY, "no reply"),
    ],
)
def test_an_expectation_says_what_it_is(wanted: object, words: str) -> None:
    """Failures are read by people."""
    assert str(wanted) == words


@pytest.mark.parametrize("wrong", [ValueError, ValueError("x"), int])
def test_only_refusals_can_be_expected_as_refusals(wrong: Any) -> None:
    """Any other exception is a crash."""
    with pytest.raises(TypeError, match=r"takes a subclass of ak\.Refused"):
        refuses(wrong)
    condition: Any = 5
    with pytest.raises(TypeError, match="takes a function"):
        matching(condition, "five")


# Steps --------------------------------------------------------------------------------------------------------------


def test_a_step_compares_an_answer_and_gives_the_state_that_follows() -> None:
    """This is what the search for an order asks; without an answer any would do."""
    spec = AccountSpec()
    assert spec.step(5, Deposit(3), OK(8)) == (True, 8)
    assert spec.step(5, Deposit(3), OK(9)) == (False, 8)
    assert spec.step(5, Deposit(3), None) == (True, 8)
    assert spec.step(5, Withdraw(7), REFUSED) == (True, 5)
    assert spec.step(5, Interest(10), OK(None)) == (True, 5)


def test_a_restart_is_a_step() -> None:
    """It leads to the initial state, unless the description says that the actor remembers."""
    assert AccountSpec().step(5, Restart(), None) == (True, 0)
    assert LastingSpec().step(5, Restart(), None) == (True, 5)


def test_a_state_may_not_allow_a_message() -> None:
    """``when`` is asked for the message and the state."""
    assert not AccountSpec().legal(0, Withdraw(1))
    assert AccountSpec().legal(1, Withdraw(1))
    assert AccountSpec().legal(0, Balance())


# Beliefs ------------------------------------------------------------------------------------------------------------


def believing(spec: Spec[Any, Any], *known: tuple[Any, history.Outcome, int]) -> Beliefs[Any, Any]:
    """What is believed after some outcomes."""
    beliefs: Beliefs[Any, Any] = Beliefs(spec)
    for msg, outcome, restarts in known:
        beliefs.observe(msg, outcome, restarts)
    return beliefs


def test_what_is_known_leaves_one_state() -> None:
    """With all outcomes known there is nothing to believe."""
    beliefs = believing(AccountSpec(), (Deposit(5), OK(5), 0), (Interest(10), OK(None), 0))
    assert beliefs.of() == (5,)


def test_an_unknown_outcome_leaves_two_states_until_an_answer_decides() -> None:
    """It happened or it did not; the next balance tells which."""
    beliefs = believing(AccountSpec(), (Deposit(5), UNKNOWN, 0))
    assert beliefs.of() == (5, 0)
    beliefs.observe(Balance(), OK(5))
    assert beliefs.of() == (5,)


def test_what_certainly_failed_changes_nothing() -> None:
    """A request that was turned away at the door did not happen."""
    assert believing(AccountSpec(), (Deposit(5), history.Failed("full"), 0)).of() == (0,)


def test_an_answer_that_no_state_explains_is_a_violation() -> None:
    """The failure lists the states it might have been in."""
    beliefs = believing(AccountSpec(), (Deposit(5), UNKNOWN, 0))
    with pytest.raises(ProtocolViolated) as caught:
        beliefs.observe(Balance(), OK(7))
    assert str(caught.value) == (
        "Balance(): expected in state 5 the reply 5, or in state 0 the reply 0; got the reply 7"
    )


@pytest.mark.parametrize(
    ("spec", "outcome", "possible"),
    [
        (AccountSpec(), OK(5), {0}),  # answered, then lost with the actor ...
        (AccountSpec(), UNKNOWN, {0, 5}),
        (LastingSpec(), OK(5), {5}),
        (LastingSpec(), UNKNOWN, {0, 5}),
    ],
)
def test_a_restart_comes_before_or_after(
    spec: Spec[Any, Any], outcome: history.Outcome, possible: set[int]
) -> None:
    """A request that was under way when the actor died may have been handled by either incarnation."""
    beliefs = believing(spec, (Deposit(5), outcome, 1))
    assert set(beliefs.of()) - {5} <= possible
    assert possible <= set(beliefs.of())


def test_a_restart_concerns_every_key() -> None:
    """Also those that nobody has used before."""
    beliefs = believing(BankSpec(), (Put("ann", 3), OK(None), 0))
    assert (beliefs.of("ann"), beliefs.of("bob")) == ((3,), (0,))
    beliefs.observe(Put("bob", 4), OK(None), 1)
    assert beliefs.of("ann") == (0,)
    assert set(beliefs.of("bob")) == {0, 4}


def test_attributes_decide_too() -> None:
    """``check`` keeps the states that agree with the actor; if none does, that is a violation."""
    beliefs = believing(LookingSpec(), (Deposit(5), UNKNOWN, 0))
    beliefs.compare({"cents": 0})
    assert beliefs.of() == (0,)
    with pytest.raises(ProtocolViolated, match=r"\{'cents': 5\} do not agree with .* state 0"):
        beliefs.compare({"cents": 5})


def test_a_message_is_legal_if_every_possible_state_allows_it() -> None:
    """What might be illegal is not sent."""
    beliefs = believing(AccountSpec(), (Deposit(5), UNKNOWN, 0))
    assert not beliefs.legal(Withdraw(1))
    beliefs.observe(Balance(), OK(5))
    assert beliefs.legal(Withdraw(1))


def test_what_may_be_turned_away_leaves_the_state_as_it_was() -> None:
    """An unusual message may be refused although the model takes it; an answer must still be the model's."""
    beliefs = believing(AccountSpec(), (Deposit(5), OK(5), 0))
    beliefs.observe_or_nothing(Deposit(3), REFUSED)
    assert beliefs.of() == (5,)
    beliefs.observe_or_nothing(Deposit(3), OK(8))
    assert beliefs.of() == (8,)
    with pytest.raises(ProtocolViolated, match=r"expected the reply 11, got the reply 0"):
        beliefs.observe_or_nothing(Deposit(3), OK(0))


def test_a_model_may_have_no_answer() -> None:
    """What nobody should send may be too much for the model itself."""

    class Strict(AccountSpec):
        def balance(self, balance: int, _: Balance) -> Step[int, int]:
            return 100 // balance, balance

    assert believing(Strict(), (Deposit(5), OK(5), 0)).describes(Balance())
    assert not believing(Strict()).describes(Balance())


def test_too_much_that_is_unknown_is_told() -> None:
    """Each unknown deposit may double the states; after a few hundred nothing can be judged."""
    beliefs: Beliefs[Any, Any] = Beliefs(AccountSpec())
    for power in range(8):
        beliefs.observe(Deposit(2**power), UNKNOWN)
        assert not beliefs.crowded
    beliefs.observe(Deposit(256), UNKNOWN)
    assert beliefs.crowded


def test_states_must_be_hashable() -> None:
    """The error says what to use."""

    class Listed(Spec[list[int], Balance]):
        def initial(self) -> list[int]:
            return []

        @transition(Balance)
        def balance(self, state: list[int], _: Balance) -> Step[int, list[int]]:
            return len(state), state

    with pytest.raises(TypeError, match=r"must be hashable values, such as frozen attrs classes"):
        Beliefs(Listed()).observe(Balance(), OK(0))


def test_told_messages_have_nothing_to_compare() -> None:
    """The types say so as well: a ``Told`` is NO_REPLY and a state."""

    class Counting(Spec[int, Interest]):
        def initial(self) -> int:
            return 0

        @transition(Interest)
        def interest(self, state: int, _: Interest) -> Told[int]:
            return NO_REPLY, state + 1

    assert believing(Counting(), (Interest(1), OK(None), 0)).of() == (1,)
    assert Look("ann").account == "ann"


# Without Hypothesis -------------------------------------------------------------------------------------------------


def test_a_description_alone_does_not_import_hypothesis() -> None:
    """Importing Hypothesis freezes trio's scheduling, and a program that checks its own traces need not have it."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, actorkit.testing.protocol.spec; sys.exit('hypothesis' in sys.modules)",
        ],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
