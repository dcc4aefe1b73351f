"""Errors cross as what they are, and cannot be made to be what they are not."""

from __future__ import annotations

import enum
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit import errors
from actorkit.codec import Codec, Limits, pack_plain, unpack_plain
from actorkit.codec.failures import CLOSED
from actorkit.errors import ProtocolError, Unencodable
from tests.codec.shapes import anything, same

CODEC = Codec()

ASKS: list[errors.AskError] = [
    ak.AskTimeout("/a", "M", 5.0),
    ak.ActorDied("/a", ak.Crashed("E", "text", "Traceback...", "M()")),
    ak.NodeDown("b"),
    ak.MailboxFull("/a", 4),
    ak.CircularAsk(("/a", "/b", "/a")),
    ak.Unhandled("/a", "M"),
    errors.Unencodable("M.x: it cannot"),
    ak.ChildNotFound("/s", "x"),
    ak.ChildRunning("/s", "x"),
    ak.ChildRestarting("/s", "x"),
    ak.ChildPresent("/s", "x"),
]
OTHERS: list[errors.ActorkitError] = [
    ak.StartFailed("/a", ak.Failed("no")),
    ak.StartTimeout("/a", 1),
    ak.StartIgnored("/a", "not today"),
    ak.AlreadyStarted("x", None),
    ak.StartError("why"),
    errors.NotGranted("b", "spawn"),
    errors.CodeMissing("no class"),
    errors.ConnectFailed("no node"),
    errors.NodeError("why"),
    ak.SpecError("why"),
    ak.SystemClosed("why"),
]


class Overdrawn(ak.Refused):
    """A refusal with a constructor of its own, which must not run again."""

    def __init__(self, short: int, by: Any) -> None:
        super().__init__(f"short by {short}")
        self.short = short
        self.by = by


@attrs.frozen
class Late(ak.Refused):
    """A refusal made by attrs, in slots."""

    days: int


class Mood(enum.Enum):
    """It does not travel by itself."""

    BAD = 1


def crossed(error: Any, kind: type = errors.AskError) -> Any:
    """What arrives at the other end."""
    coder = CODEC.value(kind)
    return coder.decode(unpack_plain(pack_plain(coder.encode(error))))


@pytest.mark.parametrize("error", ASKS, ids=lambda error: type(error).__name__)
def test_the_errors_of_asks_arrive(error: errors.AskError) -> None:
    """Type, text and attributes are those of the error that was sent."""
    back = CODEC.decode_error(unpack_plain(pack_plain(CODEC.encode_error(error))))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize("error", OTHERS, ids=lambda error: type(error).__name__)
def test_errors_may_be_parts_of_values(error: errors.ActorkitError) -> None:
    """A reply may be of a type that says an error, or of a base of one."""
    for kind in (type(error), errors.ActorkitError):
        back = crossed(error, kind)
        assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
    with pytest.raises(Unencodable, match="travels as AskTimeout"):
        CODEC.value(ak.AskTimeout).encode(error)
    with pytest.raises(ProtocolError, match="expected AskTimeout, got"):
        CODEC.value(ak.AskTimeout).decode(CODEC.value(type(error)).encode(error))


def test_every_error_that_says_something_to_callers_travels() -> None:
    """What is added to the asks' errors has to be added to the codec."""

    def below(cls: type) -> set[type]:
        return {cls}.union(*map(below, cls.__subclasses__()))

    asks = {c for c in below(errors.AskError) if c.__module__ == errors.__name__}
    assert asks - {errors.AskError, errors.Refused, errors.ChildError} <= CLOSED.keys()
    assert {type(error) for error in (*ASKS, *OTHERS)} == CLOSED.keys()


@given(anything)
def test_refusals_arrive_as_what_they_are(value: Any) -> None:
    """A subclass of Refused keeps its attributes, and its constructor does not run."""
    error = Overdrawn(5, value)
    back = crossed(error)
    assert type(back) is Overdrawn
    assert same([*back.args, vars(back)], [*error.args, vars(error)])


def test_refusals_in_slots_arrive() -> None:
    """An exception made by attrs keeps its fields in slots."""
    back = crossed(Late(3))
    assert (type(back), back.days, back.args) == (Late, 3, Late(3).args)
    assert str(crossed(ak.Refused("no", 1))) == str(ak.Refused("no", 1))


def test_a_refusal_that_nobody_knows_here_arrives_as_text() -> None:
    """Nothing is imported to find out."""
    parts = CODEC.encode_error(Overdrawn(5, None))
    back = CODEC.decode_error(["elsewhere.Overdrawn", *parts[1:]])
    assert (type(back), str(back)) == (ak.Refused, "short by 5")
    assert "elsewhere.Overdrawn, which is not known here" in back.__notes__[0]
    for stranger in ("builtins.SystemExit", "os.system", "actorkit.errors.Ignore", "Stop", ""):
        assert type(CODEC.decode_error([stranger, "x", ["x"], {}])) is ak.Refused


def test_what_cannot_travel_goes_as_text() -> None:
    """The asker is told no all the same, and what was lost."""
    back = CODEC.decode_error(CODEC.encode_error(Overdrawn(5, Mood.BAD)))
    assert type(back) is ak.Refused
    assert str(back).startswith(
        "short by 5 (Overdrawn has come as text: <Mood.BAD: 1> is of type Mood"
    )


@pytest.mark.parametrize("value", ["\ud800", bytes(9_000)], ids=["surrogate", "large"])
def test_an_error_can_always_be_packed(value: Any) -> None:
    """Whoever waits for it must not wait for ever because of what is in it."""
    limits = Limits(size=8_000)
    codec = Codec(limits=limits)
    for error in (Overdrawn(5, value), ak.Refused(value)):
        packed = pack_plain(codec.encode_error(error), limits)
        assert type(codec.decode_error(unpack_plain(packed, limits))) is ak.Refused


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [],
        ["Refused", "x", ["x"]],
        ["Refused", 5, ["x"], {}],
        ["Refused", "x", ["x"], {1: 2}],
        ["AskTimeout", "x", ["x"], {}],
        ["AskTimeout", "x", ["x"], {"actor": "/a", "timeout": "soon"}],
        ["AskTimeout", "x", ["x"], {"actor": "/a", "timeout": 1.0, "more": 1}],
        ["AskTimeout", "x", [5], {"actor": "/a", "timeout": 1.0}],
        ["ActorDied", "x", ["x"], {"actor": "/a", "reason": "bored"}],
        ["CircularAsk", "x", ["x"], {"chain": ["/a"]}],
        ["StartError", "x", ["x"], {}],
        ["Refused", "x", [{99: 1}], {}],
    ],
)
def test_what_is_no_error_is_refused(plain: Any) -> None:
    """Errors have the attributes that their readers rely on."""
    with pytest.raises(ProtocolError):
        CODEC.decode_error(plain)


@given(st.sampled_from(ASKS), st.data())
def test_changed_errors_are_errors_or_refused(error: errors.AskError, data: st.DataObject) -> None:
    """Whatever a peer makes of an error, it is an AskError or a ProtocolError."""
    packed = bytearray(pack_plain(CODEC.encode_error(error)))
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        back = CODEC.decode_error(unpack_plain(packed))
    except ProtocolError:
        return
    assert isinstance(back, errors.AskError)
