"""What nobody should send: careful actors turn it away or crash of it; those it spoils are found."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from attrs import validators
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.vendor.pretty import pretty

import actorkit as ak
from actorkit.testing.protocol.expectations import NO_REPLY, Step, Told
from actorkit.testing.protocol.hostile import (
    NOTHING_WRONG,
    POISONS,
    HugeInt,
    HugeText,
    Malformed,
    Stranger,
    foreign,
    malformed,
)
from actorkit.testing.protocol.model import ProtocolViolated, transition
from actorkit.testing.protocol.spec import Spec
from actorkit.testing.protocol.strategies import messages
from tests.testing.protocol.bank import Account, AccountSpec, CarefulAccount, quick
from tests.testing.protocol.failing import failure_of, program_of


@ak.message
class Pour(ak.Request[float]):
    litres: float


@ak.message
class Spill:
    litres: float = attrs.field(default=0.0, validator=validators.instance_of(float))


@ak.message
class Level(ak.Request[float]):
    pass


@ak.message
class Levels(ak.StreamRequest[float]):
    pass


TankMessage = Pour | Spill | Level | Levels


class TankSpec(Spec[float, TankMessage]):
    def initial(self) -> float:
        return 0.0

    @transition(Pour)
    def pour(self, level: float, msg: Pour) -> Step[float, float]:
        return level + msg.litres, level + msg.litres

    @transition(Spill)
    def spill(self, level: float, msg: Spill) -> Told[float]:
        return NO_REPLY, level - msg.litres

    @transition(Level)
    def level(self, level: float, _: Level) -> Step[float, float]:
        return level, level

    @transition(Levels)
    def levels(self, level: float, _: Levels) -> Step[tuple[float, ...], float]:
        return (level,), level

    def strategy(self, kind: type[Any], /) -> st.SearchStrategy[Any]:
        if kind in (Pour, Spill):  # small enough to add without rounding
            return messages(kind, litres=st.integers(0, 8).map(float))
        return super().strategy(kind)


class Tank(ak.Actor[TankMessage]):
    """Adds whatever it is given."""

    def __init__(self) -> None:
        self.litres = 0.0

    def checked(self, litres: Any) -> float:
        """What is to be added."""
        return float(litres) if type(litres) is not float else litres

    @ak.on(Pour)
    def pour(self, msg: Pour) -> float:
        self.litres += self.checked(msg.litres)
        return self.litres

    @ak.on(Spill)
    def spill(self, msg: Spill) -> None:
        self.litres -= self.checked(msg.litres)

    @ak.on(Level)
    def level(self, msg: Level) -> float:
        return self.litres

    @ak.on(Levels)
    async def levels(self, msg: Levels) -> AsyncIterator[float]:
        yield self.litres


class CarefulTank(Tank):
    """Refuses what is no number."""

    def checked(self, litres: Any) -> float:
        """Refuse."""
        if not isinstance(litres, (int, float)) or math.isnan(litres):
            raise ak.Refused(f"{litres!r} is no number of litres")
        return float(litres)


TestCarefulTank = TankSpec.malformed(ak.props(CarefulTank), settings=quick(60))
TestCarefulAccount = AccountSpec.malformed(ak.props(CarefulAccount), settings=quick(60))


def test_a_state_that_is_no_number_any_more_is_found() -> None:
    """NaN is a float, is added, and every sum after it is NaN: the next answer shows it, and the remedy is told."""
    error = failure_of(TankSpec.malformed(ak.props(Tank), settings=quick(100, 8)))
    assert isinstance(error, ProtocolViolated)
    program = program_of(error)
    assert len(program) <= 4
    assert any("malformed_" in line for line in program)
    assert "instance_of for wrong types, ge or le for NaN" in "\n".join(error.__notes__)


class Swallowing(CarefulTank):
    """Says no with its work half done."""

    def checked(self, litres: Any) -> float:
        """Raise ValueError instead."""
        try:
            return super().checked(litres)
        except ak.Refused as no:
            raise ValueError(str(no)) from None

    @ak.on(Pour)
    def pour(self, msg: Pour) -> float:
        self.litres += 1.0
        try:
            self.litres += self.checked(msg.litres) - 1.0
        except ValueError as error:
            raise ak.Refused(str(error)) from None
        return self.litres


def test_work_half_done_is_found() -> None:
    """A refusal must leave the state as it was."""
    error = failure_of(TankSpec.malformed(ak.props(Swallowing), settings=quick(100, 8)))
    assert isinstance(error, ProtocolViolated)
    assert any("malformed_pour" in line for line in program_of(error))


def no_number(value: object) -> bool:
    """Whether it is anything else than a number."""
    return not isinstance(value, (int, float)) or math.isnan(value)


class Hanging(CarefulTank):
    """Waits for better times when it does not know what to do."""

    @ak.on(Pour)
    async def pour_or_wait(self, msg: Pour) -> float:
        if no_number(msg.litres):
            await self.ctx.sleep(3600.0)
        return super().pour(msg)


def test_an_actor_that_hangs_is_found() -> None:
    """It must answer, or crash."""
    error = failure_of(TankSpec.malformed(ak.props(Hanging), settings=quick(100, 8)))
    assert isinstance(error, ProtocolViolated)
    assert "after 60 s" in str(error)


class Owing(CarefulTank):
    """Never answers what it does not understand."""

    @ak.on(Pour)
    def pour_later(self, msg: Pour, reply: ak.Reply[float]) -> None:
        if not no_number(msg.litres):
            reply.send(super().pour(msg))


def test_a_missing_answer_is_found() -> None:
    """Silence is no answer, even to nonsense."""
    error = failure_of(TankSpec.malformed(ak.props(Owing), settings=quick(100, 8)))
    assert isinstance(error, ProtocolViolated)
    assert "was not answered" in str(error)


class Crashing(Tank):
    """Crashes of whatever is no number, and begins anew, empty."""

    def checked(self, litres: Any) -> float:
        """Crash."""
        if not isinstance(litres, (int, float)) or math.isnan(litres):
            raise ValueError(litres)
        return float(litres)


TestCrashingTank = TankSpec.malformed(ak.props(Crashing), settings=quick(60))


def test_an_int_that_became_a_float_is_found() -> None:
    """Half a cent is no cent: an account that adds what it gets does not crash of it."""
    error = failure_of(AccountSpec.malformed(ak.props(Account), settings=quick(100, 8)))
    assert isinstance(error, ProtocolViolated)
    assert "Malformed messages were taken before" in "\n".join(error.__notes__)


# What is sent -------------------------------------------------------------------------------------------------------


@ak.message
class Guarded:
    number: int = attrs.field(validator=validators.instance_of(int))
    text: str = attrs.field(
        default="", validator=[validators.instance_of(str), validators.max_len(3)]
    )
    flag: bool = attrs.field(default=True, validator=validators.instance_of(bool))


@settings(max_examples=60, database=None, derandomize=True)
@given(malformed(Guarded, messages(Guarded)))
def test_validators_turn_malformed_messages_away(made: Malformed | str) -> None:
    """What its own class refuses cannot be sent, so it is not made: what is left is of the right types."""
    assert isinstance(made, str) or made.typed


@settings(max_examples=60, database=None, derandomize=True)
@given(malformed(Pour, messages(Pour)))
def test_one_field_is_wrong(made: Malformed | str) -> None:
    """It is told which, and whether the value is of the field's type all the same."""
    assert isinstance(made, Malformed)
    assert made.field == "litres"
    value = made.message.litres
    number = isinstance(value, (int, float)) and not isinstance(value, HugeInt)
    assert made.typed == (number and not math.isnan(value))


def test_a_message_without_fields_cannot_be_malformed() -> None:
    """There is nothing to be wrong."""
    assert find(malformed(Level, messages(Level)), lambda _: True) == NOTHING_WRONG


@pytest.mark.parametrize("poison", [p for p in POISONS if isinstance(p, (HugeText, HugeInt))])
def test_large_values_print_in_a_few_letters(poison: object) -> None:
    """A failing program stays readable."""
    assert len(repr(poison)) < 40
    assert pretty(poison) == repr(poison)


def test_strangers_and_classes_are_among_what_is_foreign() -> None:
    """Messages of other protocols, and message classes where instances are due."""
    assert isinstance(find(foreign([Pour]), lambda sent: isinstance(sent, Stranger)), Stranger)
    assert find(foreign([Pour]), lambda sent: sent is Pour) is Pour
