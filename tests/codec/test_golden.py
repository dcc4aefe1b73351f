"""The bytes are a promise: journals hold them. A test that fails here has found a change of the format."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pytest

import actorkit as ak
from actorkit.codec import Codec, pack_plain, unpack_plain
from tests.codec.shapes import (
    Color,
    Empty,
    Flat,
    Hidden,
    Loose,
    Mode,
    Pair,
    Point,
    Put,
    PutPoint,
    Rights,
    Settings,
    Span,
    Tree,
    same,
)

CODEC = Codec()
AGAIN = datetime(2026, 10, 25, 2, 30, fold=1)  # noqa: DTZ001 - clocks were set back
NOON = datetime(2026, 11, 22, 12, 30, 0, 5, UTC)

MESSAGES: dict[str, Any] = {
    "93af746573742e636f6465632e466c61740193a5616c69636505cb4004000000000000": Flat("alice", 5, 2.5),
    "93b0746573742e636f6465632e456d7074790190": Empty(),
    "93af746573742e636f6465632e5472656501920191920290": Tree(1, [Tree(2)]),
    "93ae746573742e636f6465632e507574029281a161910191c0": Put({"a": [1]}, (None,)),
    "93b3746573742e636f6465632e507574506f696e74019392010290a178": PutPoint(Point(1, y=2), (), "x"),
    "93b0746573742e636f6465632e4c6f6f73650191811093af746573742e636f6465632e466c61740193a3626f62ffcb0000000000000000": Loose(
        Flat("bob", -1, 0.0)
    ),
}
"""Messages by their bytes: [name, version, fields]."""

TELLING: dict[str, Any] = {
    "97c0c301ffcb3ff8000000000000a161c40162": [None, True, 1, -1, 1.5, "a", b"b"],
    "81a16180": {"a": {}},
    "8101920181019102": (1, (2,)),
    "8102920102": {1, 2},
    "810391a161": frozenset({"a"}),
    "81049401a161c0a162": {1: "a", None: "b"},
    "8105c409010000000000000000": 2**64,
    "8105c409ff0000000000000000": -(2**64),
    "8106d920323032362d31312d32325431323a33303a30302e3030303030352b30303a3030": NOON,
    "8106b5323032362d31302d32355430323a33303a30302f31": AGAIN,
    "8107aa323032362d31312d3232": date(2026, 11, 22),
    "8108a831323a33303a3030": time(12, 30),
    "810993ff0005": timedelta(days=-1, microseconds=5),
    "810ac41000000000000000000000000000000005": UUID(int=5),
    "810ba4312e3230": Decimal("1.20"),
    "810c93ad61403132372e302e302e313a310709": ak.Address("a@127.0.0.1:1", 7, 9),
    "810ea462616e6b": ak.Key[Flat]("bank"),
    "810f92a64e6f726d616c90": ak.Normal(),
    "810f92a74372617368656494a84b65794572726f72a3277827a954726163656261636ba84765742827782729": ak.Crashed(
        "KeyError", "'x'", "Traceback", "Get('x')"
    ),
    "811093b0746573742e636f6465632e456d7074790190": Empty(),
}
"""Values that tell what they are, by their bytes."""

TYPED: list[tuple[str, Any, Any]] = [
    ("c0", int | None, None),
    ("920102", list[int], [1, 2]),
    ("9201a161", tuple[int, str], (1, "a")),
    ("92a161a162", frozenset[str], frozenset({"b", "a"})),
    ("81a16101", dict[str, int], {"a": 1}),
    ("9201a161", dict[int, str], {1: "a"}),
    ("8101920102", Sequence[int], (1, 2)),
    ("a4424c5545", Color, Color.BLUE),
    ("a24f4e", Mode, Mode.ON),
    ("03", Rights, Rights.READ | Rights.WRITE),
    ("a161", Literal["a", 1], "a"),
    ("d920323032362d31312d32325431323a33303a30302e3030303030352b30303a3030", datetime, NOON),
    ("aa323032362d31312d3232", date, date(2026, 11, 22)),
    ("aa31323a33303a30302f31", time, time(12, 30, fold=1)),
    ("93010203", timedelta, timedelta(1, 2, 3)),
    ("c41000000000000000000000000000000005", UUID, UUID(int=5)),
    ("a4312e3230", Decimal, Decimal("1.20")),
    ("93a1610709", ak.Address, ak.Address("a", 7, 9)),
    ("a462616e6b", ak.Key[Flat], ak.Key[Flat]("bank")),
    ("920102", Point, Point(1, y=2)),
    ("92a178cb3ff0000000000000", Hidden, Hidden("x", 1.0)),
    ("930102a161", Span, Span(1, 2, label="a")),
    ("9201a161", Pair, Pair(1, "a")),
    ("82a5646570746801a46e6f7465a161", Settings, Settings(depth=1, note="a")),
    ("92b5746573742e636f6465632e50757440325b696e745d92019102", Flat | Put[int] | int, Put(1, (2,))),
    ("92a96c6973745b7374725d91a161", list[int] | list[str], ["a"]),
    ("92a853687574646f776e91a56c61746572", ak.ExitReason, ak.Shutdown("later")),
]
"""Bytes, types and values of them."""

ERRORS: dict[str, ak.AskError] = {
    "94aa41736b54696d656f7574d9472f6120646964206e6f7420616e73776572204765742077697468696e203520733b2077686574686572206974207761732063617272696564206f757420697320756e6b6e6f776e91d9472f6120646964206e6f7420616e73776572204765742077697468696e203520733b2077686574686572206974207761732063617272696564206f757420697320756e6b6e6f776e82a56163746f72a22f61a774696d656f7574cb4014000000000000": ak.AskTimeout(
        "/a", "Get", 5.0
    ),
    "94a94163746f7244696564b22f6120697320676f6e653a206b696c6c656491b22f6120697320676f6e653a206b696c6c656482a56163746f72a22f61a6726561736f6e810f92a64b696c6c656490": ak.ActorDied(
        "/a", ak.Killed()
    ),
    "94ab43697263756c617241736bd9397468657365206163746f727320776f756c64207761697420666f722065616368206f7468657220666f7220657665723a202f61202d3e202f6191d9397468657365206163746f727320776f756c64207761697420666f722065616368206f7468657220666f7220657665723a202f61202d3e202f6181a5636861696e810192a22f61a22f61": ak.CircularAsk(
        ("/a", "/a")
    ),
    "94a752656675736564a928276e6f272c20312992a26e6f0180": ak.Refused("no", 1),
}
"""Errors by their bytes."""


@pytest.mark.parametrize("data", MESSAGES)
def test_messages_have_these_bytes(data: str) -> None:
    """What an older version wrote is read, and what this one writes an older one reads."""
    message = MESSAGES[data]
    assert CODEC.pack(message).hex() == data
    assert same(CODEC.unpack(bytes.fromhex(data)), message)


@pytest.mark.parametrize("data", TELLING)
def test_values_that_tell_have_these_bytes(data: str) -> None:
    """Tags mean what they always meant."""
    coder = CODEC.value(Any)
    assert pack_plain(coder.encode(TELLING[data])).hex() == data
    assert same(coder.decode(unpack_plain(bytes.fromhex(data))), TELLING[data])


@pytest.mark.parametrize(("data", "hint", "value"), TYPED)
def test_values_of_a_type_have_these_bytes(data: str, hint: Any, value: Any) -> None:
    """The type decides how a value travels, and always did it this way."""
    coder = CODEC.value(hint)
    assert pack_plain(coder.encode(value)).hex() == data
    assert same(coder.decode(unpack_plain(bytes.fromhex(data))), value)


@pytest.mark.parametrize("data", ERRORS)
def test_errors_have_these_bytes(data: str) -> None:
    """Name, text, arguments, attributes."""
    error = ERRORS[data]
    assert pack_plain(CODEC.encode_error(error)).hex() == data
    back = CODEC.decode_error(unpack_plain(bytes.fromhex(data)))
    assert (type(back), back.args, vars(back)) == (type(error), error.args, vars(error))
