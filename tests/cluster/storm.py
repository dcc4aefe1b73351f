"""A storm of SIGKILLs over a cluster under load, and what the survivors' own logs say of it.

Each node runs ``main``: a ``Talker`` that tells, watches and is linked to its like on all other nodes and starts a child on
each, and an ``Asker``. Both write down what happens to them, a line at a time, in a file that outlives their process. ``Storm``
launches them and kills; ``verdict`` reads the files. The launching process is a node as the others, and never dies.
"""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import attrs
import trio

import actorkit as ak
from actorkit.launch.cluster import LocalCluster
from tests.cluster.two_nodes import until

NODES = ("a", "b", "c", "d")
PLACE = "ACTORKIT_STORM_LOGS"
TALKER = ak.Key[Any]("talker")
GROUP = ak.Group[Any]("storm")
PERIOD = 0.05  # seconds between two words of a talker to each other one
PATIENCE = 30.0


@ak.message(name="storm.Word")
class Word:
    """The n-th word of a talker to another one."""

    by: ak.Ref[Any]
    n: int


@ak.message(name="storm.Query")
class Query(ak.Request[int]):
    """Answered with its own number."""

    n: int


@ak.message(name="storm.Members")
class Members(ak.Request[list[str]]):
    """Answered with the members of the group, as that node knows them."""


@ak.message(name="storm.Speak")
class Speak:
    """The time has come for another word to everybody."""


@ak.message(name="storm.Hush")
class Hush:
    """Say no more; the storm is over."""


class Log:
    """A file of lines that are there when the process is killed a moment later."""

    def __init__(self, node: str) -> None:
        path = Path(os.environ[PLACE]) / f"{node}-{os.getpid()}.log"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def __call__(self, *what: object) -> None:
        """Write a line."""
        os.write(self._file, json.dumps(what).encode() + b"\n")


class Leaf(ak.Actor[Speak]):
    """A child on another node; it lives as long as its parent."""

    @ak.on(Speak)
    def speak(self, _: Speak) -> None:
        """Listen."""


class Talker(ak.Actor[Word | Query | Members | Speak | Hush]):
    """Talks to all others, and takes down what it hears of them, their deaths included."""

    trap_exits = True

    def __init__(self, log: Log) -> None:
        self.log = log
        self.spoken: Counter[str] = Counter()
        self.known: set[str] = set()
        self.leaves: dict[ak.Ref[Any], str] = {}
        self.hushed = False

    def started(self) -> None:
        """Begin to talk."""
        self.node = ak.Node.of(self.ctx)
        self.node.join(GROUP, self.ctx.self)
        self.ctx.send_every(PERIOD, Speak())
        self.log("born", str(self.ctx.self.address))

    @ak.on(Speak)
    async def speak(self, _: Speak) -> None:
        """Tell everybody the next word, and have a child on each node."""
        if self.hushed:
            return
        for node in self.node.nodes():
            self.spoken[node] += 1
            self.node.remote(node).named(TALKER).tell(Word(self.ctx.self, self.spoken[node]))
            if node not in self.leaves.values() and self.spoken[node] % 7 == 0:
                await self._plant(node)

    async def _plant(self, node: str) -> None:
        try:
            leaf = await self.ctx.spawn(ak.props(Leaf), node=node, link=True, start_timeout=5.0)
        except (ak.StartError, ak.NodeError):
            return
        self.leaves[leaf] = node
        self.log("planted", str(leaf.address))

    @ak.on(Word)
    def word(self, msg: Word) -> None:
        """Take it down; a new talker is watched and linked to."""
        by = str(msg.by.address)
        if by not in self.known:
            self.known.add(by)
            self.ctx.link(msg.by)
            self.log("linked", by)
            monitor = self.ctx.watch(msg.by)
            self.log("watch", monitor.serial, by)
        self.log("word", by, msg.n)

    @ak.on(Query)
    def query(self, msg: Query) -> int:
        """Answer."""
        return msg.n

    @ak.on(Members)
    def members(self, _: Members) -> list[str]:
        """Answer."""
        return sorted(str(ref.address) for ref in self.node.members(GROUP))

    @ak.on(Hush)
    def hush(self, _: Hush) -> None:
        """Say no more."""
        self.hushed = True

    def down(self, down: ak.Down) -> None:
        """Somebody is gone."""
        self.log("down", down.monitor.serial, str(down.address), type(down.reason).__name__)

    def exited(self, exit: ak.Exit) -> None:  # noqa: A002
        """Somebody it was linked to is gone."""
        if self.leaves.pop(exit.ref, None) is not None:
            self.log("withered", str(exit.address))
        else:
            self.log("exit", str(exit.address), type(exit.reason).__name__)


class Asker(ak.Actor[Speak | Query | Hush]):
    """Asks one node after the other, and writes down how each ask ends."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.asked = 0
        self.hushed = False

    def started(self) -> None:
        """Begin."""
        self.node = ak.Node.of(self.ctx)
        self.ctx.send_every(PERIOD, Speak())

    @ak.on(Speak)
    async def speak(self, _: Speak) -> None:
        """Ask everybody a question."""
        for node in () if self.hushed else self.node.nodes():
            self.asked += 1
            self.log("ask", self.asked)
            ended = "answered"
            try:
                if await self.node.remote(node).named(TALKER).ask(Query(self.asked)) != self.asked:
                    ended = "wrong"
            except ak.AskError as error:
                ended = type(error).__name__
            self.log("ended", self.asked, ended)

    @ak.on(Query)
    def query(self, msg: Query) -> int:
        """Answer: what was asked before has ended."""
        return msg.n

    @ak.on(Hush)
    def hush(self, _: Hush) -> None:
        """Ask no more."""
        self.hushed = True


ASKER = ak.Key[Any]("asker")


async def main(node: ak.Node) -> None:
    """What each node runs."""
    log = Log(node.name)
    await node.spawn(ak.props(Talker, log), name=TALKER)
    await node.spawn(ak.props(Asker, log), name=ASKER)


# The driver -----------------------------------------------------------------------------------------------------------


@attrs.define
class Outcome:
    """What a storm was, and what it left.

    Attributes:
        kills: how many processes were killed.
        pids: all processes there ever were.
        addresses: where they listened.
        members: the group at the end, as each node knows it.
        talkers: those who live at the end.
        leaves: how many children of theirs do.
        wrong: what the logs say is wrong.
        happened: how much they say has happened, by kind.
    """

    kills: int = 0
    pids: set[int] = attrs.field(factory=set)
    addresses: set[str] = attrs.field(factory=set)
    members: dict[str, list[str]] = attrs.field(factory=dict)
    talkers: list[str] = attrs.field(factory=list)
    leaves: int = 0
    wrong: list[str] = attrs.field(factory=list)
    happened: Counter[str] = attrs.field(factory=Counter)


class Storm:
    """Kills nodes of a cluster until so many have been killed."""

    def __init__(self, cluster: LocalCluster, seed: int) -> None:
        self._cluster = cluster
        self._rng = Random(seed)
        self.outcome = Outcome()

    async def rage(self, kills: int) -> None:
        """Kill one or two nodes at a time, at a moment of chance, and wait until they are back and talk."""
        while self.outcome.kills < kills:
            await self._until_all_talk()
            await trio.sleep(self._rng.random() * 0.1)  # at no moment in particular
            left = kills - self.outcome.kills
            for name in self._rng.sample(NODES, min(left, self._rng.choice((1, 1, 2)))):
                self._cluster[name].kill()
                self.outcome.kills += 1
                self._doomed.add(name)
            for name in self._doomed:
                await self._cluster[name].wait_up()

    _doomed: set[str] = set()  # noqa: RUF012 - made anew for each round

    async def _until_all_talk(self) -> None:
        """All nodes are up, and each of them answers."""
        self._doomed = set()
        node = self._cluster.node
        await until(lambda: node.nodes() == NODES)
        for name in NODES:
            process = self._cluster[name]
            self.outcome.pids.add(process.pid or 0)
            self.outcome.addresses.add(process.address)
            await self._answer(name, Query(1))

    async def _answer(self, name: str, request: Any) -> Any:
        far = self._cluster.node.remote(name).named(TALKER)
        while True:
            try:
                return await far.ask(request)
            except ak.AskError:
                await trio.lowlevel.checkpoint()

    async def calm(self) -> None:
        """The end: everybody falls silent, and what they know of each other must come to the same."""
        await self._until_all_talk()
        node = self._cluster.node
        local = {n: node.remote(n) for n in NODES}
        names = [r.named(k) for r in local.values() for k in (TALKER, ASKER)]
        for ref in [*names, node.named(TALKER), node.named(ASKER)]:
            ref.tell(Hush())
        refs = [await r.whereis(TALKER) for r in local.values()] + [node.whereis(TALKER)]
        self.outcome.talkers = sorted(str(ref.address) for ref in refs if ref is not None)
        with trio.move_on_after(PATIENCE):
            while True:
                members = {n: await self._answer(n, Members()) for n in NODES}
                members["local"] = sorted(str(ref.address) for ref in node.members(GROUP))
                self.outcome.members = members
                if all(found == self.outcome.talkers for found in members.values()):
                    break
        self.outcome.leaves = await self._leaves()
        for ref in (*names, node.named(ASKER)):  # what it has asked has ended
            await ref.ask(Query(0), timeout=PATIENCE)

    async def _leaves(self) -> int:
        trees = [tree for n in NODES for tree in await self._cluster.node.remote(n).tree()]
        trees += self._cluster.node.tree()
        return sum(_count(tree, "Leaf") for tree in trees)


def _count(tree: ak.Branch, actor: str) -> int:
    own = int(tree.actor.rpartition(".")[2] == actor)
    return own + sum(_count(child, actor) for child in tree.children)


async def storm(kills: int, seed: int) -> Outcome:
    """Launch a cluster, let a storm rage over it, and end it; the logs lie in ``PLACE``."""
    cluster = LocalCluster(
        NODES, app="tests.cluster.storm:main", restart="always", max_restarts=10**6, logs=False
    )
    async with cluster:
        raging = Storm(cluster, seed)
        await main(cluster.node)
        await raging.rage(kills)
        await raging.calm()
        place = Path(os.environ[PLACE])
        raging.outcome.wrong = list(verdict(place, raging.outcome.talkers))
        raging.outcome.happened = tally(place)
    return raging.outcome


# The verdict ----------------------------------------------------------------------------------------------------------


def logs(place: Path) -> Iterator[tuple[str, list[list[Any]]]]:
    """The logs, by the name of their file; a line that a kill cut short is none."""
    for path in sorted(place.glob("*.log")):
        lines = path.read_bytes().split(b"\n")[:-1]
        yield path.stem, [json.loads(line) for line in lines]


def verdict(place: Path, living: list[str]) -> Iterator[str]:
    """What is wrong in the logs, a line for each."""
    told = {_born(lines): (name, lines) for name, lines in logs(place)}
    links = {
        (me, line[1]) for me, (_, lines) in told.items() for line in lines if line[0] == "linked"
    }
    for me, (name, lines) in told.items():
        alive = me in living
        for wrong in (*_order(lines), *_deaths(lines, living, alive), *_asks(lines, alive)):
            yield f"{name}: {wrong}"
        for by in {line[1] for line in lines if line[0] == "exit"}:
            if not {(me, by), (by, me)} & links:
                yield f"{name}: an Exit from {by}, which was never linked to it"


def _born(lines: list[list[Any]]) -> str:
    """The address of the talker whose log this is; empty if it was killed before it had one."""
    return next((line[1] for line in lines if line[0] == "born"), "")


def _order(lines: list[list[Any]]) -> Iterator[str]:
    """Words of one talker come in order, and none after its Down."""
    last: dict[str, int] = {}
    dead: dict[str, str] = {}
    for line in lines:
        match line:
            case ["word", by, n]:
                if n <= last.get(by, 0):
                    yield f"word {n} of {by} came after word {last[by]}"
                if by in dead:
                    yield f"word {n} of {by} came after its Down, {dead[by]}"
                last[by] = n
            case ["down", _, by, reason]:
                dead[by] = reason
            case _:
                pass


def _deaths(lines: list[list[Any]], living: list[str], alive: bool) -> Iterator[str]:
    """Each monitor fires once, and so does each link; of those who live none does."""
    watched = {line[1]: line[2] for line in lines if line[0] == "watch"}
    downs = Counter(line[1] for line in lines if line[0] == "down")
    exits = Counter(line[1] for line in lines if line[0] == "exit")
    linked = {line[1] for line in lines if line[0] == "linked"}
    for monitor, by in watched.items():
        due = int(by not in living)
        if downs[monitor] > due or (alive and downs[monitor] < due):
            yield f"monitor {monitor} on {by} has fired {downs[monitor]} times, not {due}"
    for by in linked:
        due = int(by not in living)
        if exits[by] > due or (alive and exits[by] < due):
            yield f"the link to {by} has fired {exits[by]} times, not {due}"
    yield from (f"a Down of no monitor: {number}" for number in downs.keys() - watched.keys())
    # The other side may have made the link: that it fires once holds all the same.
    yield from (f"{n} Exits from {by}" for by, n in exits.items() if n > 1 or by in living)


def _asks(lines: list[list[Any]], alive: bool) -> Iterator[str]:
    """Each ask ends once, with its own answer or an error."""
    asked = {line[1] for line in lines if line[0] == "ask"}
    ended = Counter(line[1] for line in lines if line[0] == "ended")
    yield from (f"ask {n} has ended {times} times" for n, times in ended.items() if times > 1)
    yield from (f"an answer of another ask: {line}" for line in lines if line[-1] == "wrong")
    if alive:
        yield from (f"ask {n} has not ended" for n in sorted(asked - ended.keys()))


def tally(place: Path) -> Counter[str]:
    """How much has happened, by kind."""
    found: Counter[str] = Counter()
    for _, lines in logs(place):
        found.update(line[0] for line in lines)
        found.update(f"ask {line[2]}" for line in lines if line[0] == "ended")
    return found


def is_free(address: str) -> bool:
    """Whether somebody could listen there now."""
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True
