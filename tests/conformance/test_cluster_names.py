"""Section E, cases 66-68: names that are unique in a cluster, on nodes in one process and in processes of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import actorkit as ak
from actorkit.cluster.names import resolver
from actorkit.launch.cluster import LocalCluster
from tests.cluster.two_nodes import nodes, player, quiet, seen, until, until_down
from tests.conformance.test_distribution import in_real_time
from tests.harness import Strings

KING = ak.Key[Any]("king")


# Processes ----------------------------------------------------------------------------------------------------------


@ak.message(name="names-test.Holder")
class Holder(ak.Request[ak.Address | None]):
    """Who is king, as seen there?"""


@ak.message(name="names-test.Crown")
class Crown(ak.Request[str]):
    """Register somebody from there, yourself if nobody is given; answered with what came of it."""

    ref: ak.Ref[Any] | None = None
    move: bool = False


@ak.message(name="names-test.Secede")
class Secede:
    """Part from all nodes, take the name there, and join them again."""

    addresses: list[str]


@ak.message(name="names-test.End")
class End:
    """Die."""


class Noble(ak.Actor[Holder | Crown | Secede | End]):
    """Does as it is told, wherever it lives."""

    @ak.on(Holder)
    def holder(self, _: Holder) -> ak.Address | None:
        return address_of(ak.Node.of(self.ctx))

    @ak.on(Crown)
    async def crown(self, msg: Crown) -> str:
        node, ref = ak.Node.of(self.ctx), msg.ref or self.ctx.self
        try:
            await (node.re_register if msg.move else node.register)(KING, ref)
        except ak.AlreadyStarted as taken:
            return f"taken by {taken.ref.address}"
        return "done"

    @ak.on(Secede)
    async def secede(self, msg: Secede) -> None:
        node = ak.Node.of(self.ctx)
        while node.whereis_global(KING) != self.ctx.self:
            for name in node.nodes():
                await node.disconnect(name)
            try:
                await node.register(KING, self.ctx.self)
            except ak.AlreadyStarted:  # before the loss was noted, or after somebody has dialled
                await quiet()
        for address in msg.addresses:
            await node.connect(address)

    @ak.on(End)
    def end(self, _: End) -> None:
        self.ctx.stop()


def address_of(node: ak.Node) -> ak.Address | None:
    """The holder, as a node sees it."""
    found = node.whereis_global(KING)
    return found.address if found is not None else None


class Court:
    """Two processes and this one, and a noble on each."""

    def __init__(self, cluster: LocalCluster, nobles: dict[str, ak.Ref[Any]]) -> None:
        self.cluster = cluster
        self.node = cluster.node
        self.nobles = nobles

    async def kings(self, *names: str) -> set[ak.Address | None]:
        """Who is king, as seen on all nodes, or some."""
        return {await self.nobles[name].ask(Holder()) for name in names or self.nobles}

    async def until_king(self, king: ak.Address | None, *names: str) -> None:
        """Wait until all agree."""
        while await self.kings(*names) != {king}:
            await quiet()


@asynccontextmanager
async def court() -> AsyncGenerator[Court]:
    """Open one."""
    async with LocalCluster(("p", "q"), logs=False, restart="never") as cluster:
        spawned = {
            name: await cluster.node.remote(name).spawn(ak.props(Noble)) for name in ("p", "q")
        }
        local = await cluster.node.spawn(ak.props(Noble))
        yield Court(cluster, {**spawned, "local": local})


@in_real_time
async def test_e66_names_of_processes() -> None:
    """Registered anywhere, a name is the same actor on every node, refused everywhere, and free when its holder dies."""
    async with court() as c:
        king = c.nobles["p"]
        with pytest.raises(ak.CodeMissing, match="keep_mine is not known on node p"):
            await c.node.register(KING, king, resolve=resolver(keep_mine))  # marked here only
        assert await c.nobles["q"].ask(Crown(king)) == "done"
        assert await c.kings() == {king.address}
        for noble in c.nobles.values():
            assert await noble.ask(Crown()) == f"taken by {king.address}"
        king.tell(End())
        await c.until_king(None, "q", "local")
        assert await c.nobles["local"].ask(Crown(c.nobles["q"])) == "done"
        assert await c.kings("q", "local") == {c.nobles["q"].address}


@in_real_time
async def test_e67_re_register_name_and_name_die_of_processes() -> None:
    """Moved from one to another the name does not end with the first, but with the second one's node, killed outright."""
    async with court() as c:
        first, second = c.nobles["local"], c.nobles["q"]
        assert await c.nobles["p"].ask(Crown(first)) == "done"
        assert await c.nobles["p"].ask(Crown(second, move=True)) == "done"
        assert await c.kings() == {second.address}
        assert c.node.runtime.relations.watched_by(first._cell) == ()  # noqa: SLF001
        first.tell(End())
        await quiet()
        assert await c.kings("p", "q") == {second.address}
        assert address_of(c.node) == second.address
        os.kill(c.cluster["q"].pid or 0, signal.SIGKILL)
        await c.until_king(None, "p")
        await until(lambda: address_of(c.node) is None)


def keep_mine(_: str, mine: Any, __: Any) -> Any:
    """A resolver."""
    return mine


def keep_theirs(_: str, __: Any, theirs: Any) -> Any:
    """A resolver."""
    return theirs


def crash(*_: Any) -> Any:
    """A resolver."""
    raise RuntimeError("no idea")


def talk_nonsense(*_: Any) -> Any:
    """A resolver."""
    return "the people"


RESOLVERS = [
    pytest.param(keep_mine, "a", id="mine"),
    pytest.param(keep_theirs, "b", id="theirs"),
    pytest.param(crash, None, id="crash"),
    pytest.param(talk_nonsense, None, id="nonsense"),
]


class Counted:
    """A resolver that notes its calls."""

    def __init__(self, resolve: Callable[..., Any]) -> None:
        self.resolve = resolve
        self.calls: list[tuple[str, ak.Address, ak.Address]] = []

    def __call__(self, name: str, mine: ak.Ref[Any], theirs: ak.Ref[Any]) -> Any:
        self.calls.append((name, mine.address, theirs.address))
        return self.resolve(name, mine, theirs)


@pytest.mark.parametrize(("resolve", "winner"), RESOLVERS)
@in_real_time
async def test_e68_simple_resolve_of_processes(resolve: Any, winner: str | None) -> None:
    """A process that left, took the name and came back: the resolver runs once, and all processes obey."""
    counted = Counted(resolve)
    async with court() as c:
        mine, theirs = c.nobles["local"], c.nobles["p"]
        await c.node.register(KING, mine, resolve=counted)
        assert await c.kings() == {mine.address}
        theirs.tell(Secede([c.node.address, c.cluster["q"].address]))
        await until(lambda: counted.calls)
        await until(lambda: "p" in c.node.nodes())
        king = {"a": mine.address, "b": theirs.address, None: None}[winner]
        await c.until_king(king)
        assert counted.calls == [("king", mine.address, theirs.address)]


# Nodes in one process -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def partitioned(resolve: Any) -> AsyncGenerator[tuple[tuple[ak.Node, ...], Strings, Strings]]:
    """``a`` apart from ``b`` and ``c``, each side with a king."""
    async with nodes("a", "b", "c") as cluster:
        a, b, c = cluster
        for name in ("b", "c"):
            await a.disconnect(name)
        await until(lambda: not {"a"} & {*b.nodes(), *c.nodes()})
        arthur, bruce = await player(a), await player(b)
        await a.register(KING, arthur.ref, resolve=resolve)
        await c.register(KING, await seen(c, bruce))
        assert [address_of(node) for node in cluster] == [
            arthur.ref.address, bruce.ref.address, bruce.ref.address,
        ]  # fmt: skip
        yield cluster, arthur, bruce


async def join(cluster: tuple[ak.Node, ...]) -> None:
    """The partitions join."""
    a, b, c = cluster
    await a.connect(b.address)
    await a.connect(c.address)
    await quiet()


@pytest.mark.parametrize(("resolve", "winner"), RESOLVERS)
@in_real_time
async def test_e68_simple_resolve(resolve: Any, winner: str | None) -> None:
    """The resolver runs once, on one node; its choice holds on all, and if it fails nobody holds the name."""
    counted = Counted(resolve)
    async with partitioned(counted) as (cluster, arthur, bruce):
        await join(cluster)
        assert len(counted.calls) == 1
        king = {"a": arthur.ref.address, "b": bruce.ref.address, None: None}[winner]
        assert {address_of(node) for node in cluster} == {king}
        for strings, name in ((arthur, "a"), (bruce, "b")):
            strings.ref.kill()
            await quiet()
            assert address_of(cluster[2]) == (king if winner == "b" and name == "a" else None)


@in_real_time
async def test_e68_simple_disconnect() -> None:
    """The same actor on both sides: no resolver is called, and the name stays."""
    counted = Counted(crash)
    async with nodes("a", "b", "c", mesh=False) as cluster:
        a, b, c = cluster
        caesar = await player(c)
        await c.register(KING, caesar.ref, resolve=counted)
        await a.disconnect("b")
        await until_down(b, "a")
        assert {address_of(node) for node in cluster} == {caesar.ref.address}
        await a.connect(b.address)
        await a.disconnect("c")
        await until_down(c, "a")
        assert [address_of(node) for node in cluster] == [None, *[caesar.ref.address] * 2]
        await a.connect(c.address)
        await quiet()
        assert {address_of(node) for node in cluster} == {caesar.ref.address}
        assert counted.calls == []
