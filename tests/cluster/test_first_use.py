"""What somebody meets who uses nodes for the first time: code that travels from a script, and words for what is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import actorkit as ak
from actorkit.cluster.events import ConnectionLost
from tests.cluster.two_nodes import SECRET, Ping, checked_node, nodes, until_down

ROOT = Path(__file__).parents[2]

SCRIPT = """
    from __future__ import annotations
    from dataclasses import dataclass
    from typing import TYPE_CHECKING, NamedTuple, Optional, TypedDict
    from enum import Enum
    from typing import NewType
    import attrs, sys, trio
    import actorkit as ak
    if TYPE_CHECKING:
        from decimal import Decimal

    @ak.message
    class Note:
        text: str

    class Place(NamedTuple):
        row: int
        notes: list[Note]

    Row = NewType("Row", int)

    class Colour(Enum):
        RED = 1

    @dataclass
    class Box:
        place: Place
        paint: Colour | dict[Row, str]
        inner: Optional[Box] = None

    @attrs.frozen
    class Answer:
        box: Box
        note: Note

    class Labels(TypedDict, total=False):
        first: Note

    class Answered(ak.Request["Answer"]): ...

    @ak.message
    class Go(Answered):
        to: ak.Ref[Note]
        box: Box
        labels: Labels

    @ak.message
    class Other:
        never: Decimal

    class Walker(ak.Actor[Go]):
        @ak.on(Go)
        def go(self, msg: Go) -> Answer:
            msg.to.tell(msg.labels["first"])
            return Answer(msg.box, Note(self.ctx.path))

    class Sink(ak.Actor[Note]):
        def __init__(self, send) -> None:
            self.send = send

        @ak.on(Note)
        def note(self, msg: Note) -> None:
            self.send.send_nowait(msg)

    class Lost(ak.Actor[Other]):
        @ak.on(Other)
        def other(self, msg: Other) -> None: ...

    KEY = bytes(range(32))
    BOX = Box(Place(1, [Note("in")]), {Row(3): "red"}, Box(Place(2, []), Colour.RED))

    async def walk(node: ak.Node, walker: ak.Ref[Go] | None = None) -> ak.Ref[Go]:
        send, receive = trio.open_memory_channel(9)
        sink = await node.spawn(ak.props(Sink, send))
        if walker is None:
            walker = await node.remote("a").spawn(ak.props(Walker))
        answer = await walker.ask(Go(sink, BOX, {"first": Note("hi")}))
        assert answer.box == BOX, answer
        assert await receive.receive() == Note("hi")
        return walker

    async def second(address: str) -> None:
        async with ak.open_node("second", secret=KEY, ship_code=True, logs=False) as node:
            await node.connect(address)
            for _ in range(2):
                await walk(node)
            print("second done", flush=True)

    async def main() -> None:
        async with ak.LocalCluster(1, logs=False, key=KEY) as cluster:
            first = await walk(cluster.node)
            await walk(cluster.node)
            await trio.run_process([sys.executable, __file__, cluster["a"].address])
            await walk(cluster.node, first)
            await walk(cluster.node)
            try:
                await cluster.node.remote("a").spawn(ak.props(Lost))
            except ak.CodeMissing as error:
                print(error)

    if __name__ == "__main__":
        trio.run(second, sys.argv[1]) if sys.argv[1:] else trio.run(main)
"""


def run(script: str, tmp_path: Path) -> str:
    """What a script prints."""
    file = tmp_path / "first.py"
    file.write_text(dedent(script))
    done = subprocess.run(
        [sys.executable, str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_script_with_annotations_as_text_ships_its_messages(tmp_path: Path) -> None:
    """All that a shipped message names can be decoded there, though nothing of it can be imported.

    So it is for the same class shipped again, by this process and by another; what has no meaning here is not shipped.
    """
    told = run(SCRIPT, tmp_path)
    assert "second done" in told
    assert "Lost cannot be shipped" in told
    assert "Other.never is annotated 'Decimal'" in told
    assert "name 'Decimal' is not defined" in told


# Arguments -----------------------------------------------------------------------------------------------------------

SPARE = ak.Secret(SECRET)


@pytest.mark.parametrize(
    ("wrong", "kind", "told"),
    [
        ({"join": "127.0.0.1:4370"}, ValueError, "join is a list of addresses"),
        ({"join": ["nowhere"]}, ValueError, "got 'nowhere'"),
        ({"join": [4370]}, ValueError, "join is a list of addresses"),
        ({"grants": "spawn"}, ValueError, "'spawn', 'inspect', 'control', 'ship-code'"),
        (
            {"grants": ["spwan"]},
            ValueError,
            "'spawn', 'inspect', 'control', 'ship-code', got 'spwan'",
        ),
        ({"secret": SPARE, "grants": ["spawn"]}, ValueError, "put them into the Secret"),
        (
            {"secret": ak.Keyring(SPARE), "grants": ["spawn"]},
            ValueError,
            "put them into the Secret",
        ),
        ({"secret": [SPARE], "grants": ["spawn"]}, ValueError, "put them into the Secret"),
        ({"secret": 5}, TypeError, "secret is 32 random bytes or more, the path"),
        ({"secret": [b"k" * 32]}, TypeError, "secret is 32 random bytes or more, the path"),
        ({"listen": 4370}, ValueError, "listen is an address"),
        ({"tls": True}, TypeError, "tls is a Tls"),
        ({"imports": "foo"}, ValueError, "imports is a list of patterns"),
        ({"imports": [1]}, ValueError, "imports is a list of patterns"),
        ({"imports": 7}, ValueError, "imports is a list of patterns"),
    ],
)
async def test_a_wrong_argument_is_told_at_once(
    wrong: dict[str, Any], kind: type[Exception], told: str
) -> None:
    """In one line that names the value and what is allowed."""
    arguments: dict[str, Any] = {"secret": SECRET, "logs": False, **wrong}
    with pytest.raises(kind) as caught:
        async with ak.open_node("a", **arguments):
            pytest.fail("it opened")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"nodes": "ab"}, "nodes is a number of nodes, or a list of their names, got 'ab'"),
        ({"nodes": 2.5}, "nodes is a number of nodes, or a list of their names, got 2.5"),
        ({"nodes": True}, "nodes is a number of nodes, or a list of their names, got True"),
        ({"nodes": [1]}, "got 1"),
        ({"name": "b c"}, "got 'b c'"),
    ],
)
def test_a_wrong_cluster_is_refused_before_anything_starts(wrong: Any, told: str) -> None:
    """When it is made, not when it is entered."""
    with pytest.raises(ak.SpecError) as caught:
        ak.LocalCluster(**wrong)
    assert told in str(caught.value)


async def test_what_is_no_props_is_not_spawned_elsewhere() -> None:
    """The text is that of a local spawn."""
    async with nodes("a", "b") as (a, _b):
        spawnings: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: a.spawn(Walker),  # type: ignore[arg-type]
            lambda: a.remote("b").spawn(Walker),  # type: ignore[arg-type]
        )
        for spawning in spawnings:
            with pytest.raises(TypeError, match=r"spawn\(\) takes props\(ActorClass, ...\), got"):
                await spawning()


class Walker(ak.Actor[Ping]):
    """Somebody forgot to write ak.props()."""

    @ak.on(Ping)
    def ping(self, _: Ping) -> str:
        """Answer."""
        return self.ctx.path


# What failed ---------------------------------------------------------------------------------------------------------


async def test_a_failed_connect_says_why() -> None:
    """In the words of the failed dial, as in the log."""
    async with checked_node("a") as a:
        async with checked_node("b") as b:
            address = b.address
        with pytest.raises(ak.ConnectFailed, match=rf"^no connection to {address}: .*refused"):
            await a.connect(address)
        async with checked_node("b", secret=b"o" * 32) as other:
            with pytest.raises(ak.ConnectFailed, match=r"no connection to .*: ") as caught:
                await a.connect(other.address)
            assert "secret" in str(caught.value) or "key" in str(caught.value)


async def test_a_namesake_is_told_so() -> None:
    """Two nodes of one name do not talk to each other."""
    async with checked_node("x") as one, checked_node("x") as two:
        with pytest.raises(ak.ConnectFailed) as caught:
            await one.connect(two.address)
        assert str(caught.value) == (
            f"no connection to {two.address}: it will not talk to this node: it is called 'x' as well, "
            "or has enough peers"
        )


async def test_a_name_that_nobody_has_heard_of_is_told_so() -> None:
    """Whoever sends to it learns what to do; so does who connects or spawns. A node that was up once is just down."""
    why = "no address of node 'typo' is known here; connect to it first, or learn() where it is"
    key = ak.Key[Ping]("anybody")
    async with checked_node("a") as a:
        for asking in (
            lambda: a.remote("typo").named(key).ask(Ping()),
            lambda: a.remote("typo").whereis(key),
        ):
            with pytest.raises(ak.NodeDown) as caught:
                await asking()
            assert str(caught.value) == why
            assert caught.value.node == "typo"
        with pytest.raises(ak.ConnectFailed) as failed:
            await a.connect("typo")
        assert str(failed.value) == why
        with pytest.raises(ak.StartFailed) as unstarted:
            await a.remote("typo").spawn(ak.props(Walker))
        assert unstarted.value.__notes__ == [why]
        async with checked_node("b") as b:
            await a.connect(b.address)
        with pytest.raises(ak.NodeDown) as caught:
            await a.remote("b").whereis(key)
        assert str(caught.value) == "node b is down or unreachable"


async def test_a_refusal_says_where_to_grant() -> None:
    """The remedy is at the other node."""
    async with nodes("a", "b", grants=()) as (a, _b):
        with pytest.raises(ak.NotGranted) as caught:
            await a.remote("b").tree()
    assert "open node b with a secret that grants it to this one (grants=['inspect'] there)" in str(
        caught.value
    )


async def test_a_node_shows_itself() -> None:
    """Its name, where it is, and who is up."""
    async with nodes("a", "b", "c") as (a, _b, _c):
        assert repr(a) == f"<Node a {a.address}, up: b, c>"
    async with checked_node("d", listen=None) as d:
        assert repr(d) == "<Node d not listening, alone>"
    assert repr(ak.LocalCluster(2)) == "<LocalCluster a, b, not open>"


async def test_nodes_of_one_name_that_push_each_other_out_are_told_of_once() -> None:
    """The first time may be a restart; the second says what is wrong, and then it is quiet."""
    lost: list[str] = []
    async with checked_node("a") as a, checked_node("w") as one, checked_node("w") as two:
        a.events.subscribe(lambda event: lost.append(event.reason), ConnectionLost)
        await one.connect(a.address)
        for count in range(1, 7):
            newer, older = (two, one) if count % 2 else (one, two)
            await newer.connect(a.address)
            await until_down(older, "a")
        assert lost == [
            str(ak.LostReason.REPLACED),
            f"another node 'w' at {one.address} took its place; names must be unique",
        ]
