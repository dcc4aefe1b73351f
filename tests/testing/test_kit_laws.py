"""What the kit checks at the end of every test, what it says of a test that waits for ever, and that runs repeat."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

import actorkit as ak
from actorkit.kernel.cell import Cell
from actorkit.kernel.runtime import Runtime
from actorkit.testing.checks import check_nothing_left
from actorkit.testing.failures import Deadlock, LeftBehind, Unbalanced
from actorkit.testing.kit import TestKit, open_kit
from actorkit.testing.running import run_in_virtual_time
from actorkit.testing.trace import Handled
from tests.testing.accounts import (
    ACCOUNT,
    Account,
    Balance,
    Body,
    Complete,
    Divide,
    Generate,
    Later,
    Research,
    Researcher,
    Stamp,
    Withdrawn,
    forever,
    run_in_kit,
)

# The laws --------------------------------------------------------------------------------------------------------


def test_a_lost_message_is_found() -> None:
    """Books that do not balance at the end fail the test; the failure gives the sums."""

    async def body(kit: TestKit) -> None:
        await (await kit.spawn(Account)).ask(Balance())
        kit.system.runtime.sent += 1  # as a kernel would that drops a message

    with pytest.raises(
        Unbalanced, match=r"2 messages were sent, but 1 were handled, 0 wait .*\(none\): \+1"
    ):
        run_in_kit(body)


def test_what_is_left_behind_is_found() -> None:
    """A name that outlives its holder fails the test after shutdown; the failure names it and the system."""

    async def body(kit: TestKit) -> None:
        account = await kit.spawn(Account)
        runtime = kit.system.runtime
        cell = next(iter(runtime.cells.values()))
        await kit.kill(account)
        runtime.registry.register("ghost", cell)  # as a kernel would that buries badly

    with pytest.raises(LeftBehind, match="by the system 'bank':\n  names: ghost"):
        run_in_kit(body, name="bank")


def _leave_a_link(runtime: Runtime, one: Cell, other: Cell) -> None:
    runtime.relations.link(one, other)


def _leave_a_timer(runtime: Runtime, one: Cell, _: Cell) -> None:
    runtime.clock.heap.push(1000.0, one)


def _leave_an_actor(runtime: Runtime, one: Cell, _: Cell) -> None:
    runtime.cells[one.serial] = one


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (_leave_a_link, "links and monitors: 1"),
        (_leave_a_timer, "timers: 1"),
        (_leave_an_actor, "actors: /Account-1"),
    ],
)
def test_everything_left_behind_is_named(
    plant: Callable[[Runtime, Cell, Cell], None], told: str
) -> None:
    """Whatever of a kernel's could be left is looked at."""

    async def main() -> None:
        async with open_kit() as kit:
            await kit.spawn(Account)
            await kit.spawn(Account)
            runtime = kit.system.runtime
            one, other = runtime.cells.values()
        plant(runtime, one, other)
        with pytest.raises(LeftBehind, match=told):
            check_nothing_left(kit.system)

    run_in_virtual_time(main)


def test_an_end_that_does_not_come_is_found() -> None:
    """An actor that may take for ever to stop, and does, is killed; the failure says where it stands."""

    async def body(kit: TestKit) -> None:
        patient = ak.Child("patient", ak.props(Reluctant), shutdown=math.inf)
        await kit.start(ak.supervise(patient), name="tree")

    with pytest.raises(Deadlock, match=r"/tree/patient, handling .*, stands at accounts\.py"):
        run_in_kit(body)


class Reluctant(ak.Actor[Stamp]):
    """Does not stop."""

    async def stopping(self, reason: ak.ExitReason) -> None:
        await forever()

    @ak.on(Stamp)
    async def stamp(self, msg: Stamp) -> None:
        await self.ctx.spawn(ak.props(Unready))


class Unready(ak.Actor[Stamp]):
    """Does not start."""

    async def started(self) -> None:
        await forever()

    @ak.on(Stamp)
    def stamp(self, msg: Stamp) -> None:
        """Nothing to do."""


class Ender(ak.Actor[Stamp]):
    """Ends somebody else and waits for it."""

    def __init__(self, other: ak.Ref[Stamp]) -> None:
        self.other = other

    @ak.on(Stamp)
    async def stamp(self, msg: Stamp) -> None:
        await self.other.stop(timeout=None)


def test_code_that_does_not_end_is_found() -> None:
    """A killed actor that shields itself and waits for ever ends the test all the same, by name."""

    async def body(kit: TestKit) -> None:
        stubborn = await kit.spawn(Stubborn)
        stubborn.tell(Stamp(1))
        await kit.settle()
        await kit.kill(stubborn)

    with pytest.raises(
        Deadlock, match=r"/Stubborn-1, handling Stamp, though it was killed, stands at accounts.py"
    ):
        run_in_kit(body)


class Stubborn(ak.Actor[Stamp]):
    """Cannot be killed."""

    @ak.on(Stamp)
    async def stamp(self, msg: Stamp) -> None:
        with trio.CancelScope(shield=True):
            await forever()


def test_a_failed_test_is_not_judged() -> None:
    """If the block fails, its own error is raised, whatever the laws would say."""

    async def body(kit: TestKit) -> None:
        kit.system.runtime.sent += 1
        raise KeyError("the test's own")

    with pytest.raises(KeyError):
        run_in_kit(body)


def test_two_kits_stand_side_by_side() -> None:
    """Each has its own system and trace; the inner one's end changes nothing for the outer one."""

    async def main() -> None:
        async with open_kit("one") as one:
            async with open_kit("two") as two:
                account = await two.spawn(Account)
                assert await one.probe().ask(account, Balance()) == 10
                assert account.address != (await one.spawn(Account)).address
            assert one.system.name == "one"
            assert not one.trace.of(Handled)
            await forever()

    with pytest.raises(Deadlock, match=r"test stands at accounts.py:\d+ in forever"):
        run_in_virtual_time(main)


# Deadlock --------------------------------------------------------------------------------------------------------


async def _asks_a_probe(kit: TestKit) -> None:
    researcher = await kit.spawn(Researcher, kit.probe(Complete, Generate).ref, patience=None)
    await researcher.ask(Research("otters"), timeout=None)


async def _expects_in_vain(kit: TestKit) -> None:
    await kit.probe(Withdrawn).expect(Withdrawn, within=None)


async def _asks_the_suspended(kit: TestKit) -> None:
    account = await kit.spawn(Account)
    kit.system.suspend(account)
    account.tell(Divide(1))
    await account.ask(Balance(), timeout=None)


async def _asks_whoever_starts_later(kit: TestKit) -> None:
    eager = ak.Child("eager", ak.props(Eager))
    await kit.start(ak.supervise(eager, ACCOUNT), name="bank")


async def _sends_to_the_full(kit: TestKit) -> None:
    box = await kit.spawn(Box)
    kit.system.suspend(box)
    sender = await kit.spawn(Sender, box)
    await sender.ask(Divide(2), timeout=None)


async def _waits_for_an_end(kit: TestKit) -> None:
    ender = await kit.spawn(Ender, await kit.spawn(Reluctant))
    ender.tell(Stamp(1))
    await ender.wait_stopped()


async def _waits_for_a_start(kit: TestKit) -> None:
    parent = await kit.spawn(Reluctant)
    parent.tell(Stamp(1))
    await parent.wait_stopped()


async def _shields_itself(kit: TestKit) -> None:
    with trio.CancelScope(shield=True):
        await forever()


async def _waits_in_two_tasks(kit: TestKit) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(forever, name="client 1")
        nursery.start_soon(forever, name="client 2")


class Eager(ak.Actor[Stamp]):
    """Asks a sibling that is started after it."""

    async def started(self) -> None:
        await self.ctx.sibling(ACCOUNT).ask(Balance(), timeout=None)

    @ak.on(Stamp)
    def stamp(self, msg: Stamp) -> None:
        """Nothing to do."""


class Box(ak.Actor[Stamp]):
    mailbox = ak.Mailbox(capacity=1)

    @ak.on(Stamp)
    def stamp(self, msg: Stamp) -> None:
        """Nothing to do."""


class Sender(ak.Actor[Divide]):
    """Sends more than there is room for."""

    def __init__(self, box: ak.Ref[Stamp]) -> None:
        self.box = box

    @ak.on(Divide)
    async def divide(self, msg: Divide) -> int:
        for number in range(msg.by):
            await self.box.send(Stamp(number))
        return 0


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            _asks_a_probe,
            (
                r"test stands at test_kit_laws\.py:\d+ in _asks_a_probe: await researcher\.ask\(Res",
                r"/probe-1 has put off its reply to Complete\(.*\), which /Researcher-2 asked",
                r"/Researcher-2, handling Research, stands at accounts\.py:\d+ in research: return",
            ),
        ),
        (_expects_in_vain, (r"in _expects_in_vain: await kit\.probe\(Withdrawn\)\.expect",)),
        (
            _asks_the_suspended,
            (
                r"/Account-1 is suspended, and 2 messages wait for it",
                r"/Account-1 has not got to Balance\(\)",
            ),
        ),
        (
            _asks_whoever_starts_later,
            (
                r"/bank/eager, handling its start, stands at test_kit_laws\.py:\d+ in started: await",
                r"/bank/account is not started, and 1 message waits for it",
            ),
        ),
        (
            _sends_to_the_full,
            (
                r"/Box-1 is suspended, and 1 message waits for it",
                r"/Sender-2, handling Divide, stands at test_kit_laws\.py:\d+ in divide: await self\.box",
                r"/Sender-2 waits for /Box-1: its mailbox is full",
            ),
        ),
        (_waits_for_an_end, ("/Ender-2 waits for /Reluctant-1 to end",)),
        (
            _waits_for_a_start,
            (
                "/Reluctant-1 waits for /Reluctant-1/Unready-2 to start",
                "/Reluctant-1/Unready-2, handling its start, stands at accounts",
            ),
        ),
        (_shields_itself, (r"test stands at accounts\.py:\d+ in forever: await trio\.Event",)),
        (_waits_in_two_tasks, ("client 1 stands at accounts", "client 2 stands at accounts")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_waiting_for_ever_fails_at_once(body: Body, told: tuple[str, ...]) -> None:
    """The failure says where the test stands, and who waits for whom, and why."""
    with pytest.raises(Deadlock) as failure:
        run_in_kit(body)
    for line in told:
        assert re.search(line, str(failure.value)), f"{line} is not in:\n{failure.value}"


async def test_waiting_long_is_no_deadlock(kit: TestKit) -> None:
    """As long as there is a deadline, something can still happen."""
    account, probe = await kit.spawn(Account), kit.probe(Withdrawn)
    account.tell(Later(1e9, probe.ref))
    assert await probe.expect(Withdrawn, within=None) == Withdrawn(10**9)


# Always the same -------------------------------------------------------------------------------------------------


class Gambler(ak.Actor[Stamp | Withdrawn]):
    """Does something else after each roll of the dice, a restart among it."""

    def __init__(self, to: ak.Ref[Withdrawn]) -> None:
        self.to = to

    @ak.on(Stamp)
    async def play(self, msg: Stamp) -> None:
        rolled = self.ctx.rng.randrange(6)
        if rolled == 0:
            raise ValueError(self.ctx.token_bytes(4).hex())
        if rolled < 3:
            await self.ctx.sleep(rolled * self.ctx.rng.random())
        self.to.tell(Withdrawn(rolled))

    @ak.on(Withdrawn)
    def take(self, msg: Withdrawn) -> None:
        """Nothing to do."""


GAMBLERS = [f"gambler {number}" for number in range(3)]


def a_gamble(seed: int) -> str:
    """The digest of a run with chance, time-outs, restarts and several tasks in it."""

    async def main() -> str:
        async with open_kit(seed=seed) as kit:
            probe = kit.probe(Withdrawn)
            children = [ak.Child(name, ak.props(Gambler, probe.ref)) for name in GAMBLERS]
            casino = await kit.start(ak.supervise(*children, max_restarts=1000))
            async with trio.open_nursery() as nursery:
                for child in children:
                    nursery.start_soon(_play, casino.child(child))
            await kit.advance(100)
            return kit.trace.digest()

    return run_in_virtual_time(main, seed=seed)


async def _play(gambler: ak.Ref[Stamp]) -> None:
    for number in range(8):
        gambler.tell(Stamp(number))
        await trio.sleep(0.25)


def test_the_same_seed_is_the_same_run() -> None:
    """Two runs with one seed leave the same trace, and another seed another one."""
    assert a_gamble(0) == a_gamble(0)
    assert len({a_gamble(seed) for seed in range(4)}) == 4


def test_no_hash_decides_anything() -> None:
    """The trace is the same in other processes, whatever their strings and objects hash to."""
    program = "from tests.testing.test_kit_laws import a_gamble; print(a_gamble(1))"
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": hashseed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hashseed in ("0", "1", "77")
    }
    assert digests == {a_gamble(1)}
