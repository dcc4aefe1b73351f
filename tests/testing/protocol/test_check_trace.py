"""The same description judges what was recorded of a real run."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.testing.clock import VirtualClock
from actorkit.testing.protocol.checking import operations_of
from actorkit.testing.protocol.history import History, Ok, Unknown
from actorkit.testing.protocol.linearizability import Linearizable
from actorkit.testing.protocol.model import Restart
from actorkit.testing.stepped import open_stepped_system
from actorkit.testing.trace import Answered, Began, Ended, Event, Handled, Lost, Sent, Trace
from tests.testing.protocol.bank import (
    Account,
    AccountSpec,
    Balance,
    Bank,
    BankSpec,
    Deposit,
    Insufficient,
    Interest,
    LastingSpec,
    Look,
    MixedUpBank,
    Put,
    Withdraw,
)

SPEC = AccountSpec()


def asked(
    number: int, message: object, reply: object, *, at: int = 0, who: str = "client"
) -> list[Event]:
    """A request and its answer, one after the other."""
    failed = isinstance(reply, Exception)
    return [
        Sent(at, 0.0, number, who, "/account", message, True),
        Handled(at, 0.0, number, "/account"),
        Answered(at, 0.0, number, "/account", who, reply, failed),
    ]


def told(number: int, message: object) -> list[Event]:
    """A message that was told and handled."""
    return [
        Sent(0, 0.0, number, "client", "/account", message, False),
        Handled(0, 0.0, number, "/account"),
    ]


# Real runs ----------------------------------------------------------------------------------------------------------


def recorded(cls: Any, *requests: Any) -> Trace:
    """The trace of a real run in which one client asks an actor several things."""
    trace = Trace()

    async def main() -> None:
        async with open_stepped_system(trace=trace) as system:
            ref = await system.spawn(ak.props(cls))
            for request in requests:
                await ref.ask(request)

    trio.run(main, clock=VirtualClock())
    return trace


def test_a_real_run_is_judged() -> None:
    """A trace of the actor itself, and one of an actor that is wrong."""
    requests = (Put("ann", 3), Put("bob", 4), Look("ann"))
    assert isinstance(BankSpec.check_trace(recorded(Bank, *requests)), Linearizable)
    with pytest.raises(AssertionError, match=r"not linearizable: no order explains(.|\n)*Look"):
        BankSpec.check_trace(recorded(MixedUpBank, *requests))


async def test_a_history_is_judged(autojump_clock: object) -> None:
    """A client may keep the record itself."""
    history = History()
    async with ak.open_system(logs=False) as system:
        ref = await system.spawn(ak.props(Account))
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(history.ask, f"client {number}", ref, Deposit(number))
        await history.ask("client 0", ref, Withdraw(50))
        await history.ask("client 0", ref, Balance())
    assert isinstance(AccountSpec.check_trace(history), Linearizable)
    token = history.begin("liar", Balance())
    history.complete(token, 77)
    with pytest.raises(AssertionError, match=r"liar: Balance\(\) -> 77"):
        AccountSpec.check_trace(history)


# Traces -------------------------------------------------------------------------------------------------------------


def test_refusals_and_told_messages_count() -> None:
    """A refusal is an answer; what was told happened when it was handled."""
    right = Trace(
        [
            *asked(1, Deposit(100), 100),
            *told(2, Interest(10)),
            *asked(3, Withdraw(111), Insufficient(111)),
            *asked(4, Balance(), 110),
        ]
    )
    assert isinstance(AccountSpec.check_trace(right), Linearizable)
    wrong = Trace([*asked(1, Deposit(100), 100), *told(2, Interest(10)), *asked(4, Balance(), 100)])
    with pytest.raises(AssertionError, match="not linearizable"):
        AccountSpec.check_trace(wrong)


def test_what_has_no_answer_may_have_happened() -> None:
    """A time-out is unknown, whether it was recorded or not."""
    gave_up = ak.AskTimeout("/account", "Deposit", 5.0)
    for first in (asked(1, Deposit(5), gave_up), asked(1, Deposit(5), gave_up)[:2]):
        for balance in (5, 0):
            trace = Trace([*first, *asked(2, Balance(), balance)])
            assert isinstance(AccountSpec.check_trace(trace), Linearizable)
        with pytest.raises(AssertionError, match="not linearizable"):
            AccountSpec.check_trace(Trace([*first, *asked(2, Balance(), 4)]))


def test_a_cancelled_asker_knows_nothing() -> None:
    """Whatever else ended an ask leaves it open."""
    (call,) = operations_of(SPEC, asked(1, Deposit(5), ValueError("cancelled")))
    assert isinstance(call.outcome, Unknown)
    assert call.returned_at is None


def test_what_was_turned_away_did_not_happen() -> None:
    """A full mailbox is an answer: no. So is a dead letter."""
    full = asked(1, Deposit(5), ak.MailboxFull("/account", 3))
    lost: list[Event] = [
        Sent(0, 0.0, 2, "client", "/account", Interest(10), False),
        Lost(0, 0.0, 2, "/account", Interest(10), "mailbox full"),
    ]
    trace = Trace([*full, *asked(3, Deposit(100), 100), *lost, *asked(4, Balance(), 100)])
    assert isinstance(AccountSpec.check_trace(trace), Linearizable)


def test_what_was_told_and_not_handled_may_come_yet() -> None:
    """The trace may end before; or the actor died with it in hand."""
    open_end = told(1, Interest(10))[:1]
    (call,) = operations_of(SPEC, open_end)
    assert isinstance(call.outcome, Unknown)
    in_hand: list[Event] = [*told(1, Interest(10)), Ended(0, 0.0, "/account", "killed", True)]
    (call,) = operations_of(SPEC, in_hand)
    assert isinstance(call.outcome, Unknown)


def test_a_request_that_is_told_has_an_effect_and_no_answer() -> None:
    """Nobody saw whether it was refused."""
    (call,) = operations_of(SPEC, told(1, Deposit(5)))
    assert isinstance(call.outcome, Unknown)


def test_a_restart_is_part_of_the_history() -> None:
    """The balance is gone after it, unless the description says that it lasts."""
    died: list[Event] = [
        Ended(0, 0.0, "/account", "killed", True),
        Began(0, 0.0, "/account"),
    ]
    forgot = Trace([*asked(1, Deposit(5), 5), *died, *asked(2, Balance(), 0)])
    remembered = Trace([*asked(1, Deposit(5), 5), *died, *asked(2, Balance(), 5)])
    assert isinstance(AccountSpec.check_trace(forgot), Linearizable)
    assert isinstance(LastingSpec.check_trace(remembered), Linearizable)
    for spec, trace in ((AccountSpec, remembered), (LastingSpec, forgot)):
        with pytest.raises(AssertionError, match="not linearizable"):
            spec.check_trace(trace)


def test_a_restart_concerns_every_key() -> None:
    """With keys there is one restart for each, and the last end of all is none."""
    put, look = Put("ann", 3), Look("bob")
    events: list[Event] = [
        Began(0, 0.0, "/account"),
        *asked(1, put, None),
        Ended(0, 0.0, "/account", "killed", True),
        Began(0, 0.0, "/account"),
        *asked(2, look, 0),
        Ended(0, 0.0, "/account", "shutdown", False),
    ]
    restarts = [o for o in operations_of(BankSpec(), events) if isinstance(o.request, Restart)]
    assert [o.request for o in restarts] == [Restart("ann"), Restart("bob")]
    assert all(o.outcome == Ok(None) for o in restarts)


def test_the_actor_must_be_known() -> None:
    """With several actors that were sent such messages, the trace does not tell which is meant."""
    other: list[Event] = [Sent(0, 0.0, 9, "client", "/other", Balance(), True)]
    events = [*asked(1, Deposit(5), 5), *other]
    with pytest.raises(ValueError, match=r"to /account, /other: say which"):
        AccountSpec.check_trace(Trace(events))
    assert isinstance(AccountSpec.check_trace(Trace(events), actor="/account"), Linearizable)
    with pytest.raises(ValueError, match=r"to nobody: say which"):
        AccountSpec.check_trace(Trace())


def test_messages_of_other_protocols_are_left_out() -> None:
    """An actor may speak more than what is described."""
    events = [*asked(1, Put("ann", 1), None), *asked(2, Deposit(5), 5)]
    assert [call.request for call in operations_of(SPEC, events)] == [Deposit(5)]
