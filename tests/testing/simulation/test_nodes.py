"""Several nodes in one simulation: killed, paused, started again, and all of it part of the plan."""

from __future__ import annotations

import random
import subprocess
import sys
from functools import cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.testing import (
    Deadlock,
    NodeGone,
    Sim,
    cut,
    delay_link,
    drop_connection,
    early_timer,
    kill_actor,
    kill_node,
    one_way_cut,
    pause_node,
    power_cut_node,
    restart_node,
    simulate,
    text_chart,
)
from actorkit.testing.simulation.fleet import NodesWanted
from actorkit.testing.simulation.runner import Outcome, Simulation
from actorkit.testing.simulation.strategies import Planned, strategies
from actorkit.testing.trace import Handled, Sent
from tests.testing.simulation.citizens import (
    CITIZEN,
    Citizen,
    Doze,
    Tell,
    Watch,
    Widow,
    Words,
    settle_citizen,
)

TWO = ("a", "b")


def run(body: Any, *, nodes: tuple[str, ...] = TWO, boot: Any = settle_citizen) -> Outcome:
    """One undisturbed run, recorded; what it fails with is raised."""
    outcome = simulate(nodes=nodes, boot=boot)(body).run_once()
    if outcome.failure is not None:
        raise outcome.failure
    return outcome


# Nodes ------------------------------------------------------------------------------------------------------------


def test_nodes_are_connected_and_talk() -> None:
    """The test begins with nodes that have found each other; messages travel by the real codec."""

    async def talk(sim: Sim) -> None:
        a, b = sim.nodes["a"], sim.nodes["b"]
        assert (a.nodes(), b.nodes()) == (("b",), ("a",))
        there = a.remote("b").named(CITIZEN)
        there.tell(Tell("hello"))
        assert await there.ask(Words()) == ["hello"]
        assert sim.network.connections("a", "b")

    run(talk)


def test_a_trace_tells_a_message_between_nodes_once() -> None:
    """It is sent here and handled there, with one number, and a chart draws one arrow; actorkit's own actors are left out."""

    async def talk(sim: Sim) -> None:
        async def teller(node: ak.Node) -> None:
            there = node.remote("b").named(CITIZEN)
            there.tell(Tell("hello"))
            await there.ask(Words())

        await sim.on("a", teller)

    trace = run(talk).trace
    assert trace is not None
    sent = {event.number: event for event in trace.of(Sent)}
    assert [(s.sender, s.receiver) for s in sent.values()] == [("a:teller", "b:/citizen")] * 2
    assert [h.number for h in trace.of(Handled)] == list(sent)
    chart = text_chart(trace)
    assert "├─ Tell(word='hello') ─►│" in chart
    assert "actorkit" not in chart


def test_nodes_are_opened_and_closed_by_the_test() -> None:
    """``open_node`` takes the options of ``ak.open_node``; a node that left has gone from the others' lists."""

    async def come_and_go(sim: Sim) -> None:
        assert not sim.nodes
        a = await sim.open_node("a")
        b = await sim.open_node("b", join=[a.address])
        await sim.eventually(lambda: a.nodes() == ("b",), "b is seen")
        with pytest.raises(ValueError, match="node 'a' is up already"):
            await sim.open_node("a")
        await sim.close_node("b")
        assert list(sim.nodes) == ["a"]
        await sim.eventually(lambda: a.nodes() == (), "b is gone")
        with pytest.raises(ak.SystemClosed):
            await b.spawn(ak.props(Citizen))
        with pytest.raises(LookupError, match=r"no node 'c'.*there are a, b"):
            await sim.close_node("c")

    run(come_and_go, nodes=(), boot=None)


def test_wrong_use_is_told() -> None:
    """What needs nodes says how to get them; what needs one system says that there are several."""

    async def alone(sim: Sim) -> None:
        with pytest.raises(RuntimeError, match=r"write @simulate\(nodes="):
            _ = sim.nodes

    async def together(sim: Sim) -> None:
        with pytest.raises(AttributeError, match=r'sim.nodes\["a"\] is one of them'):
            _ = sim.system

    assert simulate()(alone).run_once().failure is None
    run(together)
    with pytest.raises(ValueError, match="each of them once"):
        simulate(nodes="ab")
    with pytest.raises(ValueError, match="each of them once"):
        simulate(nodes=["a", "a"])
    with pytest.raises(TypeError, match="boot, ticktime: without nodes="):
        simulate(boot=settle_citizen, ticktime=3.0)
    with pytest.raises(ValueError, match="for one system"):
        simulate(strategy="exhaustive", nodes=["a"])


def test_a_node_that_fails_ends_the_run() -> None:
    """What its boot raises is what the run fails with."""

    async def fails(_: Sim, node: ak.Node) -> None:
        raise ZeroDivisionError(node.name)

    async def nothing(_: Sim) -> None: ...

    with pytest.raises(ZeroDivisionError, match="a"):
        run(nothing, nodes=("a",), boot=fails)


# kill -9 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_trio", [False, True])
def test_a_killed_node_vanishes_without_a_word(on_trio: bool) -> None:
    """No hook runs; what unwinds goes no further and reaches nobody; whoever waits for it learns that it is gone."""

    async def kill(sim: Sim) -> None:
        diary: list[str] = []
        a = sim.nodes["a"]
        dozer = await a.spawn(ak.props(Citizen, diary))

        async def asker() -> None:
            with pytest.raises(ak.ActorDied):
                await dozer.ask(Doze(60, on_trio), timeout=None)

        async def killer() -> None:
            await trio.sleep(1)
            sim.kill_node("a")
            assert list(sim.nodes) == ["b"]
            assert not dozer.alive

        await sim.together(asker, killer)
        assert diary == ["unwound"]
        letters = sum(a.dead_letters.counts.values())
        dozer.tell(Tell("too late"))
        assert sum(a.dead_letters.counts.values()) == letters + 1
        with pytest.raises(ak.ActorDied):
            await dozer.ask(Words())
        with pytest.raises(ak.SystemClosed):
            await a.spawn(ak.props(Citizen))

    run(kill)


def test_peers_of_a_killed_node_hear_of_it_over_the_network() -> None:
    """A monitor fires for want of a connection, at once; after a power cut only when the tick time is over."""

    async def watch(sim: Sim, *, power: bool) -> float:
        diary: list[str] = []
        b = sim.nodes["b"]
        widow = await b.spawn(ak.props(Widow, diary))
        who = await b.remote("a").whereis(CITIZEN)
        assert who is not None
        widow.tell(Watch(who))
        await sim.settle()
        began = sim.now()
        (sim.power_cut_node if power else sim.kill_node)("a")
        while not diary:
            await sim.advance(0.1)
        assert diary == [str(ak.NoConnection())]
        return sim.now() - began

    async def killed(sim: Sim) -> None:
        assert await watch(sim, power=False) < 1

    async def cut_off(sim: Sim) -> None:
        assert 3 < await watch(sim, power=True) < 6

    simulate(nodes=TWO, boot=settle_citizen, ticktime=4.0, examples=20, seed=1)(killed)()
    simulate(nodes=TWO, boot=settle_citizen, ticktime=4.0, examples=20, seed=1)(cut_off)()


def test_a_client_in_a_node_is_killed_with_it() -> None:
    """``sim.on`` runs a function in the node's process; it ends there, and whoever waits for it learns why."""

    async def clients(sim: Sim) -> None:
        diary: list[str] = []

        async def client(node: ak.Node) -> str:
            try:
                await trio.sleep(3)
                return node.name
            finally:
                diary.append(node.name)

        async def first() -> None:
            with pytest.raises(NodeGone, match="node 'a' ended while a:client ran in it"):
                await sim.on("a", client)

        async def second() -> None:
            assert await sim.on("b", client) == "b"

        async def killer() -> None:
            await trio.sleep(1)
            sim.kill_node("a")
            with pytest.raises(NodeGone, match="node 'a' is down"):
                await sim.on("a", client)

        await sim.together(first, second, killer)
        assert diary == ["a", "b"]

    run(clients)


def test_a_node_is_started_again_as_another_incarnation() -> None:
    """It has the options it had, boots again, and old references to it reach nobody."""

    async def restart(sim: Sim) -> None:
        b = sim.nodes["b"]
        old = await b.remote("a").whereis(CITIZEN)
        assert old is not None
        before = sim.nodes["a"].incarnation
        sim.kill_node("a")
        a = await sim.restart_node("a")
        assert a is sim.nodes["a"]
        assert a.incarnation != before
        assert a.address == "a:4370"
        await sim.eventually(lambda: b.nodes() == ("a",), "the two meet again")
        with pytest.raises(ak.ActorDied):
            await old.ask(Words())
        assert await b.remote("a").named(CITIZEN).ask(Words()) == []
        with pytest.raises(ValueError, match="only one that is down"):
            await sim.restart_node("a")

    run(restart)


def test_disks_outlive_processes() -> None:
    """What was written is there after a kill, what was synced after a power cut, and all of it after an orderly end."""

    async def store(sim: Sim) -> None:
        def disk() -> Any:
            return sim.nodes["a"].runtime.seams.disk("data")

        log = disk().open("log")
        disk().sync_dir()
        log.append(b"one")
        sim.kill_node("a")
        await sim.restart_node("a")
        log = disk().open("log")
        assert log.read(0, 9) == b"one"
        log.sync()
        log.append(b"two")
        sim.power_cut_node("a")
        await sim.restart_node("a")
        assert disk().open("log").read(0, 9) == b"one"
        await sim.close_node("a")
        await sim.restart_node("a")
        assert disk().open("log").read(0, 9) == b"one"

    run(store)


# Pauses ------------------------------------------------------------------------------------------------------------


def test_nothing_of_a_paused_node_goes_on() -> None:
    """Not its actors, not its timers; others and the clock do. Afterwards its clock has jumped, and all goes on."""

    async def pause(sim: Sim) -> None:
        a = await sim.nodes["a"].spawn(ak.props(Citizen))
        b = await sim.nodes["b"].spawn(ak.props(Citizen))
        woke: list[str] = []

        async def sleeper(node: ak.Node) -> None:
            there = a if node.name == "a" else b
            woke.append(f"{node.name} at {await there.ask(Doze(2), timeout=None)}")

        async def on_a() -> None:
            await sim.on("a", sleeper)

        async def on_b() -> None:
            await sim.on("b", sleeper)

        async def pauses() -> None:
            await trio.sleep(1)
            sim.pause_node("a")
            a.tell(Tell("meanwhile"))
            await trio.sleep(9)
            assert len(woke) == 1
            assert sim.state(a)["words"] == []
            sim.resume_node("a")

        began = sim.now()
        await sim.together(on_a, on_b, pauses)
        assert woke == [f"b at {began + 2:g}", f"a at {began + 10:g}"]
        await sim.settle()
        assert "meanwhile" in sim.state(a)["words"]

    run(pause)
    simulate(nodes=TWO, boot=settle_citizen, examples=30, strategy="random", seed=1)(pause)()


def test_what_only_a_paused_node_could_do_is_no_deadlock() -> None:
    """When nobody else can go on and no timer is set, the faults are undone first; what waits then waits for ever."""

    async def waits(sim: Sim) -> None:
        a = await sim.open_node("a", ticktime=4.0)
        there = await a.spawn(ak.props(Citizen))
        sim.fleet.harm(None, "node a goes on", lambda: sim.resume_node("a"))
        sim.pause_node("a")
        assert await there.ask(Words(), timeout=None) == []
        await trio.sleep_forever()

    with pytest.raises(Deadlock, match="nothing can go on"):
        run(waits, nodes=(), boot=None)


# Ends that go wrong -------------------------------------------------------------------------------------------------


def test_a_run_ends_though_a_node_is_paused_or_refuses_to_die() -> None:
    """A failure ends the run whatever state its nodes are in, and is what is told of it."""

    async def stubborn(_: ak.Node) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(30)

    async def fails(sim: Sim) -> None:
        async def client() -> None:
            with pytest.raises(NodeGone):
                await sim.on("a", stubborn)

        async def failing() -> None:
            await sim.nodes["b"].spawn(ak.props(Citizen))
            sim.pause_node("b")
            sim.nodes["b"].named(CITIZEN).tell(Tell("never mind"))
            sim.kill_node("a")
            await trio.sleep(1)
            raise ZeroDivisionError

        await sim.together(client, failing)

    for strategy in ("delay", "random"):
        with pytest.raises(ZeroDivisionError):
            simulate(nodes=TWO, boot=settle_citizen, strategy=strategy, examples=5, seed=1)(fails)()


def test_what_is_left_of_the_dead_may_take_its_time() -> None:
    """Code that shields itself unwinds later, and finds that its node is dead; the run waits for it."""

    async def kill(sim: Sim) -> None:
        diary: list[str] = []

        async def stubborn(node: ak.Node) -> None:
            try:
                with trio.CancelScope(shield=True):
                    await trio.sleep(3)
                    there = node.remote("b").named(CITIZEN)
                    there.tell(Tell("from the grave"))
                    node.named(CITIZEN).tell(Tell("from the grave"))
                    with pytest.raises(OSError, match="is dead"):
                        await node.runtime.seams.transport.dial("b:4370")
            finally:
                diary.append("unwound")

        async def client() -> None:
            with pytest.raises(NodeGone):
                await sim.on("a", stubborn)

        async def killer() -> None:
            await trio.sleep(1)
            sim.kill_node("a")

        await sim.together(client, killer)
        await sim.restart_node("a")
        assert diary == []
        await sim.advance(5)
        assert diary == ["unwound"]
        for node in sim.nodes.values():
            assert await node.named(CITIZEN).ask(Words()) == []

    run(kill)


def test_code_that_will_not_die_is_told() -> None:
    """A loop that swallows its cancellation ends the run instead of holding it up for ever."""

    async def undying(_: ak.Node) -> None:
        for _again in range(100_000):
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled:
                pass

    async def kill(sim: Sim) -> None:
        async def client() -> None:
            with pytest.raises(NodeGone):
                await sim.on("a", undying)

        async def killer() -> None:
            sim.kill_node("a")

        await sim.together(client, killer)

    with pytest.raises(Exception, match="code of a was killed and goes on"):
        run(kill)


# The same everywhere -----------------------------------------------------------------------------------------------

PRINT_DIGESTS = """
from hashlib import sha256
from tests.testing.simulation.test_nodes import digests
print(sha256(repr(digests()).encode()).hexdigest()[:16])
"""
FAULTS = (
    cut(),
    one_way_cut(),
    delay_link(),
    drop_connection(),
    pause_node(),
    restart_node(),
    kill_node(restart=True),
    power_cut_node(restart=True),
    kill_actor("*:/citizen"),
    early_timer(),
)


async def storm(sim: Sim) -> None:
    """Clients on all nodes talk to all citizens, whatever becomes of them."""

    async def talk(node: ak.Node) -> None:
        for step, name in enumerate("abcab"):
            citizen = node.remote(name).named(CITIZEN)
            citizen.tell(Tell(name))
            try:
                await citizen.ask(Doze(0.5, bool(step % 2)), timeout=3)
            except ak.AskError as error:
                sim.note(type(error).__name__)

    async def client(i: int) -> None:
        try:
            await sim.on("abc"[i], talk)
        except NodeGone:
            sim.note("gone")

    await sim.each(3, client)


WANTED = NodesWanted(("a", "b", "c"), {"ticktime": 6.0}, settle_citizen)
STORM = Simulation(storm, FAULTS, seed=7, nodes=WANTED)


def storms(seed: int, count: int) -> list[Outcome]:
    """What came of so many drawn runs."""
    found: list[Outcome] = []

    def keep(outcome: Outcome) -> bool:
        found.append(outcome)
        return False

    drawn = strategies("portfolio", rng=random.Random, seed=seed, horizon=300, faults=len(FAULTS))
    STORM.run_all(islice(drawn, count), keep)
    return found


@cache
def digests() -> list[str]:
    """What 20 runs under drawn schedules and faults did."""
    return [f"{o.digest} {o.failure!r} {o.plan.token()}" for o in storms(7, 20)]


@pytest.mark.parametrize("seed", range(3))
def test_a_plan_is_the_whole_run_of_all_nodes(seed: int) -> None:
    """Readers, writers, dials and links included: the plan makes the run again, alone or among others, recorded or not."""
    for outcome in storms(seed, 12):
        assert outcome.failure is None
        assert STORM.run(Planned(outcome.plan)).digest == outcome.digest
        assert STORM.run(Planned(outcome.plan), record=True).digest == outcome.digest


@pytest.mark.parametrize("hash_seed", ["0", "1", "77"])
def test_one_seed_gives_one_trace_whatever_the_hash_seed(hash_seed: str) -> None:
    """20 faulty runs of three nodes are the same, step by step, under any PYTHONHASHSEED."""
    done = subprocess.run(
        [sys.executable, "-c", PRINT_DIGESTS],
        check=False,
        env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    here = sha256(repr(digests()).encode()).hexdigest()[:16]
    assert done.stdout.strip() == here
