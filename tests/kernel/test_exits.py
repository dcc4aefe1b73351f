"""Exit reasons are values: comparable, printable, encodable, and free of the dead actor's frames."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.kernel.exits import Crashed, orderly


class Held:
    """Something a frame holds."""


class Mute(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def caught(error: BaseException, **locals_of_frame: Any) -> BaseException:
    """Raise an error in a frame of its own, and catch it with its traceback."""
    try:
        raise error
    except BaseException as found:  # noqa: BLE001 - whatever the test raises
        return found


@pytest.mark.parametrize(
    ("reason", "text", "in_order"),
    [
        (ak.Normal(), "normal", True),
        (ak.Shutdown(), "shutdown", True),
        (ak.Shutdown("moved"), "shutdown (moved)", True),
        (ak.Failed("bad day"), "failed (bad day)", False),
        (ak.Crashed("ValueError"), "crashed (ValueError)", False),
        (ak.Crashed("ValueError", "no"), "crashed (ValueError: no)", False),
        (ak.Killed(), "killed", False),
        (ak.NoActor(), "no such actor", False),
        (ak.NoConnection(), "no connection", False),
    ],
)
def test_reasons_in_words(reason: ak.ExitReason, text: str, in_order: bool) -> None:
    """Every reason says in a few words what it is, and whether it was an end in good order."""
    assert str(reason) == text
    assert orderly(reason) is in_order
    assert reason == type(reason)(**public_fields(reason))


def public_fields(reason: ak.ExitReason) -> dict[str, Any]:
    """The fields that make a reason what it is."""
    return attrs.asdict(reason, recurse=False)


def test_a_crash_names_its_exception() -> None:
    """Type, text, traceback and message of a crash are kept; foreign modules are named, builtins are not."""
    crash = Crashed.of(caught(ValueError("wrong")), "Deposit(5)")
    assert (crash.error, crash.message, crash.handling) == ("ValueError", "wrong", "Deposit(5)")
    assert "in caught" in crash.traceback
    assert crash.traceback.endswith("ValueError: wrong\n")
    assert isinstance(crash.cause, ValueError)
    assert Crashed.of(caught(Mute())).error == f"{__name__}.Mute"


def test_equal_crashes_are_equal_wherever_they_happened() -> None:
    """Two crashes are equal by type and text alone."""
    assert Crashed.of(caught(ValueError("a"))) == Crashed.of(ValueError("a"), "Tick()")
    assert Crashed.of(ValueError("a")) != Crashed.of(ValueError("b"))
    assert hash(Crashed.of(ValueError("a"))) == hash(Crashed.of(caught(ValueError("a"))))


def test_a_crash_lets_go_of_the_frames() -> None:
    """What the frames of an exception, of its causes, contexts and group members held can be freed."""
    held = [Held() for _ in range(4)]
    alive = [weakref.ref(one) for one in held]
    error = caught(ValueError("outer"), held=held.pop())
    error.__cause__ = caught(KeyError("cause"), held=held.pop())
    error.__cause__.__context__ = caught(OSError("context"), held=held.pop())
    group = BaseExceptionGroup("group", [error, caught(TypeError("member"), held=held.pop())])
    crash = Crashed.of(caught(group))
    del error, group
    gc.collect()
    assert [ref() for ref in alive] == [None] * 4
    assert "OSError: context" in crash.traceback
    assert "TypeError: member" in crash.traceback


def test_a_circle_of_causes_ends() -> None:
    """Exceptions that are each other's context do not trap the kernel."""
    one, other = caught(ValueError("one")), caught(ValueError("other"))
    one.__context__, other.__context__ = other, one
    assert Crashed.of(one).message == "one"


def test_a_long_chain_of_deaths_is_cut() -> None:
    """When each death is the cause of the next, reports do not grow with the chain."""
    error: BaseException = ValueError("the first")
    for n in range(200):
        reason = Crashed.of(caught(error))
        died = ak.ActorDied(f"/a{n}", reason)
        died.__cause__ = reason.cause
        died.add_note(reason.traceback)
        error = died
    chain = 0
    while error.__cause__ is not None:
        error, chain = error.__cause__, chain + 1
    assert chain < 20


@given(st.text(), st.text(max_size=50))
def test_reports_can_be_encoded(text: str, handling: str) -> None:
    """Whatever an exception says, the reason's texts can be encoded and are not too long."""
    crash = Crashed.of(caught(ValueError(text)), handling)
    for part in (crash.error, crash.message, crash.traceback, crash.handling):
        assert part.encode("utf-8").decode("utf-8") == part
    assert len(crash.traceback) <= 16_000


@given(st.integers(15_000, 40_000))
def test_long_texts_are_cut(length: int) -> None:
    """A huge message costs the reason its head of the traceback, never its size limit."""
    crash = Crashed.of(caught(ValueError("x" * length)))
    assert len(crash.traceback) <= 16_000
    assert crash.traceback.endswith("x\n")
    assert len(crash.message) == 2_000
    assert crash.message.endswith("…")


def test_an_exception_that_cannot_speak() -> None:
    """A failing ``__str__`` is told as such; it harms nobody."""
    crash = Crashed.of(caught(Mute()))
    assert crash.message == "<its str raised RuntimeError>"
    assert "Mute" in crash.traceback
