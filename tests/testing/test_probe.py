"""Probes: what must come, what must not, standing in for others, and what a failure says."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.testing.failures import Misdirected, Unexpected
from actorkit.testing.kit import TestKit, open_kit
from actorkit.testing.probe import Probe
from actorkit.testing.running import run_in_virtual_time
from actorkit.testing.trace import Sent
from tests.testing.accounts import (
    Account,
    Answer,
    Balance,
    Complete,
    Divide,
    Generate,
    Insufficient,
    Later,
    OverBudget,
    Read,
    Research,
    Researcher,
    Withdraw,
    Withdrawn,
)


@ak.message
class WithdrawnAbroad:
    cents: int


class Special(Withdrawn):
    """A kind of ``Withdrawn``."""


# What must come --------------------------------------------------------------------------------------------------


async def test_what_comes_is_returned_in_order(kit: TestKit) -> None:
    """Each ``expect`` gives the next message, as an object of the class that was expected."""
    account, probe = await kit.spawn(Account, 7), kit.probe(Withdrawn, Insufficient)
    for cents in (5, 5, 2):
        account.tell(Withdraw(cents, probe.ref))
    assert (await probe.expect(Withdrawn)).cents == 5
    assert (await probe.expect(Insufficient)).missing == 3
    assert (await probe.expect(Withdrawn)).cents == 2
    assert probe.received == (Withdrawn(5), Insufficient(3), Withdrawn(2))


async def test_a_wrong_message_fails_with_both_types(kit: TestKit) -> None:
    """The failure names the probe, what was expected, what came instead, and what came before and after."""
    account, probe = await kit.spawn(Account, 7), kit.probe(Withdrawn, Insufficient)
    for cents in (5, 5, 2):
        account.tell(Withdraw(cents, probe.ref))
    await probe.expect(Withdrawn)
    await kit.settle()
    with pytest.raises(Unexpected) as failure:
        await probe.expect(Withdrawn)
    assert str(failure.value).splitlines() == [
        "/probe-1 expected Withdrawn, and got Insufficient(missing=3) (told)",
        "  came before, the last one last: Withdrawn(cents=5) (told)",
        "  came after: Withdrawn(cents=2) (told)",
    ]


async def test_nothing_fails_after_the_time_and_no_later(kit: TestKit) -> None:
    """Waiting in vain ends when the time is over, on the virtual clock."""
    probe = kit.probe(Withdrawn)
    with pytest.raises(Unexpected, match="/probe-1 expected Withdrawn within 600 s, and nothing"):
        await probe.expect(Withdrawn, within=600)
    assert kit.now() == 600


@pytest.mark.parametrize("within", [0.0, 1.0])
async def test_the_end_of_the_time_still_counts(kit: TestKit, within: float) -> None:
    """What is due at the very moment at which the time is over has come in time."""
    account, probe = await kit.spawn(Account), kit.probe(Withdrawn)
    account.tell(Later(within, probe.ref))
    assert await probe.expect(Withdrawn, within=within) == Withdrawn(round(within))
    account.tell(Later(within, probe.ref))
    with pytest.raises(Unexpected, match="expected nothing"):
        await probe.expect_nothing(within=within)


async def test_nothing_is_expected_for_a_while(kit: TestKit) -> None:
    """Silence is silence until the end of the time; a message after it is none of its business."""
    account, probe = await kit.spawn(Account), kit.probe(Withdrawn)
    account.tell(Later(60.5, probe.ref))
    await probe.expect_nothing()
    assert kit.now() == 0
    await probe.expect_nothing(within=60)
    with pytest.raises(Unexpected) as failure:
        await probe.expect_nothing(within=60)
    assert str(failure.value) == (
        "/probe-1 expected nothing for 60 s, and got Withdrawn(cents=60) (told)"
    )
    assert kit.now() == 60.5


async def test_fishing_skips_what_does_not_fit(kit: TestKit) -> None:
    """Fishing takes the first message of the class for which the condition holds, and no more."""
    account, probe = await kit.spawn(Account, 100), kit.probe(Withdrawn, Insufficient)
    for cents in (1, 200, 2, 3, 4):
        account.tell(Withdraw(cents, probe.ref))
    assert await probe.fish_for(Withdrawn, lambda got: got.cents > 2) == Withdrawn(3)
    assert await probe.expect(Withdrawn) == Withdrawn(4)


async def test_fishing_ends(kit: TestKit) -> None:
    """The time is that of the whole search, however much comes meanwhile; the failure says what was skipped."""
    account, probe = await kit.spawn(Account), kit.probe(Withdrawn, Insufficient)
    for _ in range(9):
        account.tell(Later(1.0, probe.ref))
    with pytest.raises(Unexpected, match=r"Insufficient within 3.5 s, and nothing came\n.*before"):
        await probe.fish_for(Insufficient, within=3.5)
    assert kit.now() == 3.5


SENT = st.lists(st.builds(Withdrawn, st.integers(0, 3)), max_size=6)


@given(SENT.flatmap(lambda sent: st.tuples(st.just(sent), st.permutations(sent))))
def test_all_of_them_in_any_order(case: tuple[list[Withdrawn], list[Withdrawn]]) -> None:
    """Whatever the order, exactly the messages sent are all of them: one more is missed, one less is too many."""
    sent, expected = case

    async def main() -> None:
        async with open_kit() as kit:
            probe: Probe[Answer] = kit.probe(Withdrawn, Insufficient)
            for message in sent:
                probe.ref.tell(message)
            await probe.expect_all_of(*expected)
            await probe.expect_nothing()
            for message in sent:
                probe.ref.tell(message)
            with pytest.raises(Unexpected, match=r"expected .*Insufficient"):
                await probe.expect_all_of(Insufficient(9), *expected)
            for message in sent:
                probe.ref.tell(message)
            probe.ref.tell(Insufficient(9))
            with pytest.raises(Unexpected, match=r"and got Insufficient\(missing=9\)"):
                await probe.expect_all_of(*expected, Insufficient(8))

    run_in_virtual_time(main)


async def test_a_subclass_is_what_its_base_is(kit: TestKit) -> None:
    """A probe takes subclasses of its classes, and can be asked for bases of them."""
    probe = kit.probe(Withdrawn)
    probe.ref.tell(Special(3))
    probe.ref.tell(Special(4))
    assert type(await probe.expect(Withdrawn)) is Special
    assert await probe.expect(object) == Special(4)


async def test_a_message_is_no_class_to_wait_for(kit: TestKit) -> None:
    """Who expects a message rather than its class is told which method takes messages."""
    probe = kit.probe(Withdrawn)
    with pytest.raises(TypeError, match=r"got Withdrawn\(.*\); for equal messages: expect_all_of"):
        await probe.expect(Withdrawn(3))  # type: ignore[arg-type]


async def test_what_can_never_come_is_not_waited_for(kit: TestKit) -> None:
    """Expecting a class outside the vocabulary is a mistake of the test, and said at once."""
    probe = kit.probe(Withdrawn, Insufficient)
    for wait in (probe.expect, probe.fish_for):
        with pytest.raises(TypeError, match=r"takes Withdrawn \| Insufficient\): it can never get"):
            await wait(WithdrawnAbroad)
    with pytest.raises(TypeError, match="can never get Complete"):
        await probe.expect_ask(Complete)
    assert kit.now() == 0


@pytest.mark.parametrize("within", [-1.0, float("nan")])
async def test_a_time_is_a_time(kit: TestKit, within: float) -> None:
    """A time to wait is not negative and is a number."""
    with pytest.raises(ValueError, match="within is a number of seconds from 0 up"):
        await kit.probe().expect(object, within=within)


async def test_a_probe_without_classes_takes_everything(kit: TestKit) -> None:
    """It receives whatever anybody sends, requests included."""
    probe = kit.probe()
    probe.ref.tell("a word")
    probe.ref.tell(Complete("otters"))
    assert [await probe.expect(str), await probe.expect(Complete)] == ["a word", Complete("otters")]


def test_what_a_probe_does_not_take_fails_the_test() -> None:
    """A message outside the vocabulary is turned away as a real actor would, and the test fails at its end."""

    async def main() -> None:
        async with open_kit() as kit:
            probe = kit.probe(Withdrawn, Complete)
            disguised: ak.Ref[object] = probe.ref  # type: ignore[assignment]
            disguised.tell(WithdrawnAbroad(3))
            with pytest.raises(ak.Unhandled):
                await disguised.ask(Divide(1))
            with pytest.raises(
                Unexpected,
                match=r"turned away, for it takes Withdrawn \| Complete only: WithdrawnAb",
            ):
                await probe.expect(Withdrawn)
            assert len(kit.dead_letters) == 2

    with pytest.raises(
        Misdirected, match=r"takes Withdrawn \| Complete\) was sent WithdrawnAbroad"
    ):
        run_in_virtual_time(main)


@pytest.mark.parametrize("wrong", [Withdrawn | Insufficient, "Withdrawn", Withdrawn(3)])
async def test_a_vocabulary_is_given_class_by_class(kit: TestKit, wrong: type) -> None:
    """A union or a value is refused, with the value in the text."""
    with pytest.raises(TypeError, match="takes message classes, one by one, got "):
        kit.probe(wrong)


# Standing in -----------------------------------------------------------------------------------------------------


async def test_a_probe_answers_for_a_collaborator(kit: TestKit) -> None:
    """What the test replies is what the asker gets."""
    model = kit.probe(Complete, Generate)
    researcher = await kit.spawn(Researcher, model.ref)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stand_in, model)
        assert await researcher.ask(Research("otters")) == "all about otters"
        assert await researcher.ask(Research("bees")) == "nothing, for the budget is used up"


async def _stand_in(model: Probe[Complete | Generate]) -> None:
    asked = await model.expect_ask(Complete)
    answer = f"all about {asked.message.prompt}"
    assert (asked.wanted, asked.reply(answer), asked.wanted) == (True, True, False)
    assert (await model.expect_ask(Complete)).refuse(OverBudget("the budget is used up"))


async def test_a_late_answer_reaches_nobody(kit: TestKit) -> None:
    """After the asker's time-out a reply is no longer wanted: it is counted, and its giver is told."""
    model, asker = kit.probe(Complete), kit.probe()
    with pytest.raises(ak.AskTimeout):
        await asker.ask(model.ref, Complete("otters"), timeout=2)
    asked = await model.expect_ask(Complete)
    async with kit.expect_dead_letters(1, str, reason=ak.DeadReason.LATE_REPLY):
        assert (asked.wanted, asked.reply("too late")) == (False, False)


async def test_a_request_that_is_told_is_no_ask(kit: TestKit) -> None:
    """Nobody waits for its reply, so expecting an ask fails; as a message it is as good as any."""
    model = kit.probe(Complete)
    model.ref.tell(Complete("otters"))
    with pytest.raises(
        Unexpected,
        match=r"expected to be asked Complete, and got Complete\(prompt='otters'\) \(told\): nobody",
    ):
        await model.expect_ask(Complete)
    model.ref.tell(Complete("bees"))
    assert await model.expect(Complete) == Complete("bees")


async def test_a_probe_feeds_a_stream(kit: TestKit) -> None:
    """Items arrive in order; closing ends the stream, refusing raises at the reader."""
    model = kit.probe(Complete, Generate)
    researcher = await kit.spawn(Researcher, model.ref)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_feed, model)
        assert await researcher.ask(Read("otters")) == "otters hold hands"
        with pytest.raises(OverBudget, match="no bees"):
            await researcher.ask(Read("bees"))


async def _feed(model: Probe[Complete | Generate]) -> None:
    stream = await model.expect_stream(Generate)
    assert await stream.send(stream.message.prompt, "hold", "hands")
    stream.close()
    assert not stream.wanted
    (await model.expect_stream(Generate)).refuse(OverBudget("no bees"))


async def test_a_reader_that_leaves_is_noticed(kit: TestKit) -> None:
    """Once nobody reads, sending says so."""
    model = kit.probe(Generate)
    async with model.ref.stream(Generate("otters")):
        stream = await model.expect_stream(Generate)
        assert stream.wanted
    assert (await stream.send("otters"), stream.wanted) == (False, False)


async def test_an_asker_learns_that_its_probe_is_gone(kit: TestKit) -> None:
    """A request that the test never answers ends with the probe, not by time-out."""
    model, asker = kit.probe(Complete), kit.probe()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_kill_when_asked, kit, model)
        with pytest.raises(ak.ActorDied):
            await asker.ask(model.ref, Complete("otters"), timeout=None)
    with pytest.raises(Unexpected, match="/probe-1 is gone itself"):
        await model.expect(Complete)


async def _kill_when_asked(kit: TestKit, model: Probe[Complete]) -> None:
    await model.expect_ask(Complete)
    await kit.kill(model.ref)


# Speaking --------------------------------------------------------------------------------------------------------


async def test_what_a_probe_says_is_said_by_the_probe(kit: TestKit) -> None:
    """Tells and asks of a probe have it as their sender, and it can be sent to while it asks."""
    account, probe = await kit.spawn(Account), kit.probe(Withdrawn, Insufficient)
    probe.tell(account, Withdraw(4, probe.ref))
    assert await probe.ask(account, Balance()) == 6
    assert await probe.expect(Withdrawn) == Withdrawn(4)
    account.tell(Divide(1))
    sent = [(type(event.message), event.sender) for event in kit.trace.of(Sent)]
    assert sent == [
        (Withdraw, "/probe-1"),
        (Balance, "/probe-1"),
        (Withdrawn, "/Account-1"),
        (Divide, "test"),
    ]


async def test_a_probe_takes_messages_while_it_asks(kit: TestKit) -> None:
    """Asking does not keep a probe from receiving, as a handler that asks would be kept."""
    model, probe = kit.probe(Complete), kit.probe(str)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(probe.ask, model.ref, Complete("otters"))
        asked = await model.expect_ask(Complete)
        probe.ref.tell("a word")
        assert await probe.expect(str) == "a word"
        asked.reply("done")


async def test_probes_can_be_found_by_name(kit: TestKit) -> None:
    """A probe is registered only if it is given a name."""
    key = ak.Key[Withdrawn]("cashier")
    probe, _ = kit.probe(Withdrawn, name=key), kit.probe(Withdrawn)
    assert list(kit.system.names()) == ["cashier"]
    kit.system.named(key).tell(Withdrawn(3))
    assert await probe.expect(Withdrawn) == Withdrawn(3)
    assert [branch.path for branch in kit.system.tree()] == ["/cashier", "/probe-2"]


# Deaths ----------------------------------------------------------------------------------------------------------


async def test_a_death_comes_after_what_was_sent_before(kit: TestKit) -> None:
    """``Down`` keeps its place: all that the dead actor sent stands before it, and it comes once."""
    account, probe = await kit.spawn(Account), kit.probe(Withdrawn)
    probe.watch(account)
    account.tell(Withdraw(1, probe.ref))  # type: ignore[arg-type]
    async with kit.expect_crash(account, ZeroDivisionError):
        account.tell(Divide(0))
    with pytest.raises(Unexpected, match=r"expected Down of /Account-1, and got Withdrawn"):
        await probe.expect_down(account)
    down = await probe.expect_down(account)
    assert isinstance(down.reason, ak.Crashed)
    await probe.expect_nothing(within=60)
    assert probe.received == (Withdrawn(1),)


async def test_a_death_is_told_instead_of_a_message(kit: TestKit) -> None:
    """Who waits for a message and learns of a death is told of the death."""
    account, probe = await kit.spawn(Account), kit.probe(Withdrawn)
    probe.watch(account)
    account.kill()
    with pytest.raises(Unexpected, match="expected Withdrawn, and got Down of /Account-1: killed"):
        await probe.expect(Withdrawn)


async def test_an_unwatched_death_cannot_be_expected(kit: TestKit) -> None:
    """The remedy is named."""
    account, probe = await kit.spawn(Account), kit.probe(Withdrawn)
    with pytest.raises(ValueError, match=r"does not watch /Account-1; call probe.watch\(ref\)"):
        await probe.expect_down(account)


async def test_a_name_can_be_watched(kit: TestKit) -> None:
    """Watching by name, the death of whoever held it is the one that is expected."""
    key = ak.Key[Balance]("account")
    await kit.spawn(ak.props(Account), name="account")
    named, probe = kit.system.named(key), kit.probe()
    probe.watch(named)
    await kit.kill(named)
    assert (await probe.expect_down(named)).reason == ak.Killed()


async def test_every_watch_gives_one_notice(kit: TestKit) -> None:
    """Two watches of one actor are two notices."""
    account, probe = await kit.spawn(Account), kit.probe()
    probe.watch(account)
    probe.watch(account)
    await kit.kill(account)
    await probe.expect_down(account)
    await probe.expect_down(account)
    await probe.expect_nothing(within=9)


class Linker(ak.Actor[Divide]):
    """Dies together with somebody."""

    def __init__(self, other: ak.Ref[object]) -> None:
        self.other = other

    def started(self) -> None:
        self.ctx.link(self.other)

    @ak.on(Divide)
    def divide(self, msg: Divide) -> int:
        return 1 // msg.by


async def test_a_probe_survives_those_it_is_linked_to(kit: TestKit) -> None:
    """An exit signal reaches the test instead of ending the probe."""
    probe = kit.probe()
    linker = await kit.spawn(Linker, probe.ref)
    linker.tell(Divide(0))
    signal = await probe.expect_exit(linker)
    assert (signal.linked, isinstance(signal.reason, ak.Crashed)) == (True, True)
    probe.ref.tell("a word")
    with pytest.raises(Unexpected, match="expected Exit of /Linker-2, and got 'a word'"):
        await probe.expect_exit(linker)
    assert probe.ref.alive
