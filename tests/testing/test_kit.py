"""The kit: starting actors, virtual time, ordered deaths, what is expected of failures, and the laws at the end."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import actorkit as ak
from actorkit.testing.failures import Unexpected
from actorkit.testing.kit import TestKit, open_kit
from actorkit.testing.running import run_in_virtual_time
from actorkit.testing.trace import Began, Noted
from tests.testing.accounts import (
    ACCOUNT,
    Account,
    Balance,
    Divide,
    Later,
    Stamp,
    Withdrawn,
    run_in_kit,
)

# Starting --------------------------------------------------------------------------------------------------------


async def test_all_keywords_are_the_constructors(kit: TestKit) -> None:
    """With a class, every argument goes to its constructor, one called ``name`` too."""
    account = await kit.spawn(Account, 3, owner="ann", name="savings")
    assert await kit.state_of(account) == {"cents": 3, "owner": "ann", "name": "savings"}
    assert not kit.system.names()


async def test_a_name_goes_with_props(kit: TestKit) -> None:
    """With props, the keywords are those of ``system.spawn``."""
    account = await kit.spawn(ak.props(Account, name="savings"), name="ann")
    assert account.path == "/ann"
    assert (await kit.state_of(account))["name"] == "savings"
    with pytest.raises(ak.AlreadyStarted):
        await kit.spawn(ak.props(Account), name="ann")


async def test_what_is_no_actor_is_refused(kit: TestKit) -> None:
    """The failure is that of ``props``, which names what it got."""
    with pytest.raises(TypeError, match=r"takes an Actor class .*, got <class 'int'>"):
        await kit.spawn(int)  # type: ignore[call-overload]


async def test_trees_are_started(kit: TestKit) -> None:
    """A tree's handle gives the children."""
    bank = await kit.start(ak.supervise(ACCOUNT), name="bank")
    assert await bank.child(ACCOUNT).ask(Balance()) == 10
    assert bank.path == "/bank"


# Time ------------------------------------------------------------------------------------------------------------


async def test_settling_moves_no_clock(kit: TestKit) -> None:
    """All that can go on now does, what is due later does not."""
    account, probe = await kit.spawn(Account), kit.probe(Withdrawn)
    for seconds in (0.0, 0.0, 1.0):
        account.tell(Later(seconds, probe.ref))
    await kit.settle()
    assert (len(probe.received), kit.now()) == (2, 0.0)


async def test_time_passes_deadline_after_deadline(kit: TestKit) -> None:
    """Everything due on the way happens at its own time, what is due at the end included, nothing else."""
    seen: list[tuple[float, int]] = []
    clerks = [await kit.spawn(Clerk, kit, seen) for _ in range(3)]
    for number, clerk in enumerate(clerks):
        for seconds in (3.0, 1.0, 2.5):
            kit.system.send_after(seconds, clerk, Stamp(number))
    await kit.advance(2.5)
    assert [at for at, _ in seen] == [1.0] * 3 + [2.5] * 3
    assert sorted(seen) == [(at, n) for at in (1.0, 2.5) for n in range(3)]
    assert kit.now() == 2.5
    await kit.advance(0.5)
    assert len(seen) == 9


class Clerk(ak.Actor[Stamp]):
    """Notes when it gets what."""

    def __init__(self, kit: TestKit, seen: list[tuple[float, int]]) -> None:
        self.kit = kit
        self.seen = seen

    @ak.on(Stamp)
    def stamp(self, msg: Stamp) -> None:
        self.seen.append((self.kit.now(), msg.number))


def test_a_day_takes_no_time() -> None:
    """``run_in_virtual_time`` gives what its function returns, and waits for nothing real."""

    async def day(hours: int) -> float:
        await trio.sleep(hours * 3600)
        return trio.current_time()

    assert run_in_virtual_time(day, 24) == 86_400


async def _order_of_tasks() -> str:
    seen: list[str] = []

    async def write(letter: str) -> None:
        for _ in range(3):
            seen.append(letter)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for letter in "abcd":
            nursery.start_soon(write, letter)
    return "".join(seen)


def test_a_seed_is_an_order_of_tasks() -> None:
    """The same seed gives trio's tasks the same order, other seeds give others; after the run all is as it was."""
    orders = [run_in_virtual_time(_order_of_tasks, seed=seed) for seed in (0, 0, 1, 2, 3)]
    assert orders[0] == orders[1]
    assert len(set(orders)) > 2
    assert len({trio.run(_order_of_tasks) for _ in range(40)}) > 1
    assert len({run_in_virtual_time(_order_of_tasks, seed=None) for _ in range(40)}) > 1


@pytest.mark.parametrize("clock", [None, MockClock(autojump_threshold=0)])
def test_a_kit_needs_virtual_time(clock: MockClock | None) -> None:
    """On any other clock it does not open, and says what to do."""

    async def main() -> None:
        async with open_kit():
            raise AssertionError("it opened")

    with pytest.raises(
        RuntimeError, match=r"a kit needs virtual time: .*run_in_virtual_time\(main"
    ):
        trio.run(main, clock=clock)


# Deaths ----------------------------------------------------------------------------------------------------------


async def test_killing_waits_until_it_is_gone(kit: TestKit) -> None:
    """When ``kill`` returns, the actor's code has unwound, and its supervisor can start another."""
    bank = await kit.start(ak.supervise(ACCOUNT))
    account = bank.child(ACCOUNT)
    account.tell(Later(1000, kit.probe(Withdrawn).ref))
    await kit.settle()
    first = account.address
    await kit.kill(account)
    assert kit.now() == 0
    assert (await account.ask(Balance()), account.address != first) == (10, True)
    await kit.kill(bank.ref)
    await kit.kill(bank.ref)


async def test_restarts_are_counted(kit: TestKit) -> None:
    """The block waits for the restarts, and gives the reasons for the deaths."""
    account = (await kit.start(ak.supervise(ACCOUNT))).child(ACCOUNT)
    async with kit.expect_restarts(account, 2, because=ZeroDivisionError) as deaths:
        account.tell(Divide(0))
        account.tell(Divide(0))
    assert [type(reason) for reason in deaths.all] == [ak.Crashed, ak.Crashed]
    async with kit.expect_restarts(account, because=ak.Killed) as deaths:
        account.kill()
    assert deaths.first == ak.Killed()
    async with kit.expect_restarts(account, 0):
        account.tell(Divide(1))


async def test_a_restart_after_a_while_is_waited_for(kit: TestKit) -> None:
    """Back-off takes virtual seconds; ``within`` says how many are too many."""
    backoff = ak.Backoff(initial=8.0, jitter=0.0)
    account = (await kit.start(ak.supervise(ACCOUNT, backoff=backoff))).child(ACCOUNT)
    async with kit.expect_restarts(account, within=8.0):
        account.kill()
    with pytest.raises(Unexpected, match=r"instead:\n  /Supervisor-1/account ended: killed$"):
        async with kit.expect_restarts(account, within=1.0):
            account.kill()


@pytest.mark.parametrize(
    ("times", "because", "kills", "told"),
    [
        (2, None, 1, "restarted twice; instead:\n  {0} ended: killed\n  {0} was started again"),
        (0, None, 1, "restarted never; instead:\n  {0} ended: killed\n  {0} was started again"),
        (1, None, 0, "restarted once; instead:\n  nothing happened to {0}"),
        (1, KeyError, 1, "once because of KeyError; instead:\n  {0} ended: killed\n  {0} was"),
        (
            4,
            None,
            4,
            "{0} ended: killed\n  its supervisor /bank gave up after 3 restarts within 5 s",
        ),
    ],
)
async def test_other_restarts_fail(
    kit: TestKit, times: int, because: type[KeyError] | None, kills: int, told: str
) -> None:
    """Fewer, more, or for other reasons: the failure says what happened instead, the supervisor's end included."""
    bank = await kit.start(ak.supervise(ACCOUNT), name="bank")
    account = bank.child(ACCOUNT)
    with pytest.raises(Unexpected, match=re.escape(told.format(account.path))):
        async with kit.expect_restarts(account, times, because=because, within=1.0):
            await _kill_again_and_again(kit, account, kills)


async def _kill_again_and_again(kit: TestKit, account: ak.Ref[Any], times: int) -> None:
    for _ in range(times):
        await kit.kill(account)
        await kit.settle()


async def test_a_restart_that_fails_is_told(kit: TestKit) -> None:
    """If the next incarnation does not start, the failure says why."""
    fickle = ak.Child("fickle", ak.props(Fickle, [True, False]))
    ref = (await kit.start(ak.supervise(fickle, max_restarts=1))).child(fickle)
    with pytest.raises(Unexpected, match=r"fickle did not start: crashed \(ValueError: not now\)"):
        async with kit.expect_restarts(ref):
            ref.kill()


class Fickle(ak.Actor[Stamp]):
    """Starts when its moods allow it."""

    def __init__(self, moods: list[bool]) -> None:
        if not (moods and moods.pop(0)):
            raise ValueError("not now")

    @ak.on(Stamp)
    def stamp(self, msg: Stamp) -> None:
        """Nothing to do."""


async def test_who_does_not_run_cannot_be_restarted(kit: TestKit) -> None:
    """Expecting it is a mistake of the test, and said at once."""
    account = await kit.spawn(Account)
    await kit.kill(account)
    with pytest.raises(Unexpected, match="/Account-1 does not run"):
        async with kit.expect_restarts(account):
            raise AssertionError("it began")


async def test_crashes_are_expected_by_actor_or_class(kit: TestKit) -> None:
    """The report is there after the block; all reports are kept."""
    account = await kit.spawn(Account)
    async with kit.expect_crash(account, ArithmeticError) as crash:
        account.tell(Divide(0))
    assert crash.first.handling == "Divide(by=0)"
    other = await kit.spawn(Account, cents=7)
    async with kit.expect_crash(Account, ZeroDivisionError) as crash:
        other.tell(Divide(0))
    assert crash.first.state["cents"] == "7"
    assert [report.path for report in kit.crashes] == [account.path, other.path]


async def test_another_crash_fails(kit: TestKit) -> None:
    """No crash, another error, or a second crash: the failure has the tracebacks."""
    account = await kit.spawn(Account)
    with pytest.raises(Unexpected, match=r"instead:\n  /Account-1 did not crash$"):
        async with kit.expect_crash(account, ValueError):
            account.tell(Divide(1))
    with pytest.raises(Unexpected, match=r"(?s)by ValueError; instead:.*cents // msg.by"):
        async with kit.expect_crash(account, ValueError):
            account.tell(Divide(0))
    pair = [await kit.spawn(Account), await kit.spawn(Account)]
    with pytest.raises(Unexpected, match="expected one crash of Account by ZeroDivisionError"):
        async with kit.expect_crash(Account, ZeroDivisionError):
            _ = [account.tell(Divide(0)) for account in pair]


async def test_what_is_caught_is_there_after_the_block(kit: TestKit) -> None:
    """Looking at it too early is said to be too early."""
    account = await kit.spawn(Account)
    with pytest.raises(Unexpected, match="look at it after the block"):
        async with kit.expect_crash(account, ZeroDivisionError) as crash:
            assert crash.first.path


async def test_dead_letters_are_counted_by_class_and_reason(kit: TestKit) -> None:
    """Only those of the class and reason count; all of them are kept."""
    account, probe = await kit.spawn(Account), kit.probe(Withdrawn)
    await kit.kill(account)
    async with kit.expect_dead_letters(2, Divide, reason=ak.DeadReason.NO_ACTOR) as letters:
        for message in (Divide(1), Later(1.0, probe.ref), Divide(2)):
            account.tell(message)
    assert [letter.message for letter in letters.all] == [Divide(1), Divide(2)]
    assert len(kit.dead_letters) == 3
    async with kit.expect_dead_letters(0):
        probe.ref.tell(Withdrawn(1))
    with pytest.raises(Unexpected) as failure:
        async with kit.expect_dead_letters(1, Divide, reason=ak.DeadReason.DIED):
            account.tell(Divide(3))
    assert str(failure.value) == (
        "expected 1 dead letter of Divide (the actor died before it handled the message); instead:\n"
        "  Divide(by=3) to /Account-1: no such actor"
    )


@pytest.mark.parametrize("kind", ["restarts", "crash", "dead_letters"])
async def test_an_error_in_the_block_is_the_error(kit: TestKit, kind: str) -> None:
    """What fails in the block is not hidden by what was expected of it."""
    account = await kit.spawn(Account)
    expectation: Any = {
        "restarts": partial(kit.expect_restarts, account),
        "crash": partial(kit.expect_crash, account, ValueError),
        "dead_letters": partial(kit.expect_dead_letters, 1),
    }[kind]
    with pytest.raises(KeyError):
        async with expectation():
            raise KeyError("the test's own")


# Looking back ----------------------------------------------------------------------------------------------------


async def test_the_trace_is_there(kit: TestKit) -> None:
    """Charts and diagrams are drawn from the trace; the test may write into it."""
    account = await kit.spawn(Account)
    assert await account.ask(Balance()) == 10
    kit.note("half-way")
    assert kit.trace.of(Began)[0].actor == "/Account-1"
    assert kit.trace.of(Noted)[0].text == "half-way"
    for drawing in (kit.chart(), kit.mermaid()):
        assert "Balance()" in drawing
        assert "half-way" in drawing
    assert "Balance()" not in kit.chart(last=1)


async def test_a_report_tells_of_crashes(kit: TestKit) -> None:
    """The traceback and the message in hand are in it."""
    account = await kit.spawn(Account)
    async with kit.expect_crash(account, ZeroDivisionError):
        account.tell(Divide(0))
    report = kit.report()
    assert "/Account-1 crashed while handling Divide(by=0)" in report
    assert "return self.cents // msg.by" in report


def test_a_failure_gets_a_note() -> None:
    """Outside pytest the last events stand in a note of what failed, without what the shutdown adds."""

    async def body(kit: TestKit) -> None:
        account = await kit.spawn(Account)
        raise KeyError(await account.ask(Balance()))

    with pytest.raises(KeyError) as failure:
        run_in_kit(body)
    (note,) = failure.value.__notes__
    assert "Balance()" in note
    assert "ended" not in note


@pytest.mark.parametrize("stepped", [True, False])
def test_both_dispatchers_are_kits(stepped: bool) -> None:
    """Probes and time work the same with the dispatcher that runs in production; it only keeps no trace."""

    async def body(kit: TestKit) -> None:
        account, probe = await kit.spawn(Account), kit.probe(Withdrawn)
        account.tell(Later(60, probe.ref))
        await probe.expect_nothing(within=59)
        await probe.expect(Withdrawn)
        assert (kit.now(), len(kit.trace) > 0) == (60, stepped)
        assert kit.conservation().balanced

    run_in_kit(body, stepped=stepped)
