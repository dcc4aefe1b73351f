"""Process groups across OS processes: OTP's cases of ``pg`` with real peers (otp-conformance 69-71), and SIGKILL."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.launch.cluster import LocalCluster
from tests.cluster.launched import TIMEOUT
from tests.cluster.two_nodes import until


@ak.message(name="groups-test.Change")
class Change(ak.Request[bool]):
    """Join, or leave, so many times; answered with whether the last time did anything."""

    join: bool
    times: int = 1
    who: ak.Ref[Any] | None = None


@ak.message(name="groups-test.See")
class See(ak.Request[dict[str, int]]):
    """How many members each node has, as seen there."""


@ak.message(name="groups-test.Told")
class Told(ak.Request[dict[str, int]]):
    """The same, as it follows from what a watcher saw first and was told since."""


class Member(ak.Actor[Change | See | Told]):
    """Joins and leaves as it is told, and watches the group."""

    def started(self) -> None:
        self.view = Counter(ref.address.node for ref in self.ctx.watch_group(MEMBERS))

    @ak.on(Change)
    def change(self, msg: Change) -> bool:
        node, who = ak.Node.of(self.ctx), msg.who or self.ctx.self
        act = node.join if msg.join else node.leave
        try:
            return [act(MEMBERS, who) for _ in range(msg.times)][-1]
        except ValueError as error:
            raise ak.Refused(str(error)) from None

    @ak.on(See)
    def see(self, _: See) -> dict[str, int]:
        return dict(Counter(r.address.node for r in ak.Node.of(self.ctx).members(MEMBERS)))

    @ak.on(Told)
    def told(self, _: Told) -> dict[str, int]:
        return dict(+self.view)

    def group_changed(self, notice: ak.GroupChanged) -> None:
        self.view.update(ref.address.node for ref in notice.joined)
        self.view.subtract(ref.address.node for ref in notice.left)


Vocabulary = Change | See | Told
MEMBERS: ak.Group[Vocabulary] = ak.Group("members")


@asynccontextmanager
async def members(
    *names: str,
) -> AsyncGenerator[tuple[LocalCluster, dict[str, ak.Ref[Vocabulary]]]]:
    """Processes with a member in each, and one here."""
    with trio.fail_after(TIMEOUT):
        async with LocalCluster(names, logs=False) as cluster:
            refs = {name: await cluster.node.remote(name).spawn(ak.props(Member)) for name in names}
            refs["local"] = await cluster.node.spawn(ak.props(Member))
            yield cluster, refs


async def agree(refs: dict[str, ak.Ref[Vocabulary]], **expected: int) -> None:
    """Wait until all see so many members of each node, and until their watchers have been told so."""
    for request in (See(), Told()):
        for ref in refs.values():
            while await ref.ask(request) != expected:
                await trio.lowlevel.checkpoint()


async def test_processes_agree_on_the_members() -> None:
    """Who joins twice is listed twice everywhere, one leave removes one, a death the rest."""
    async with members("a", "b") as (_, refs):
        assert await refs["a"].ask(Change(join=True, times=3))
        assert await refs["b"].ask(Change(join=True))
        assert await refs["local"].ask(Change(join=True, times=2))
        await agree(refs, a=3, b=1, local=2)
        assert await refs["a"].ask(Change(join=False))
        assert await refs["b"].ask(Change(join=False))
        assert not await refs["b"].ask(Change(join=False))
        await agree(refs, a=2, local=2)
        await refs.pop("a").stop()
        await agree(refs, local=2)


async def test_an_actor_of_another_process_does_not_join() -> None:
    """It is refused where it does not live, and nothing has changed anywhere."""
    async with members("a", "b") as (_, refs):
        for join in (True, False):
            with pytest.raises(ak.Refused, match="lives on node 'b', and this is 'a'"):
                await refs["a"].ask(Change(join=join, who=refs["b"]))
        await agree(refs)


async def test_a_killed_process_takes_its_members_along() -> None:
    """The others agree without it; when it is back, it learns of theirs, and they of its new ones."""
    async with members("a", "b", "c") as (cluster, refs):
        for ref in refs.values():
            await ref.ask(Change(join=True))
        await agree(refs, a=1, b=1, c=1, local=1)
        del refs["b"]
        cluster["b"].kill()
        await until(lambda: "b" not in cluster.node.nodes())
        await agree(refs, a=1, c=1, local=1)
        await cluster["b"].wait_up()
        refs["b"] = await cluster.node.remote("b").spawn(ak.props(Member))
        assert await refs["b"].ask(Change(join=True, times=2))
        await agree(refs, a=1, b=2, c=1, local=1)
