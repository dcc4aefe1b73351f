"""Laws of the record that checkers judge: who came first, what is unknown, and that nothing is lost on the way to a file."""

from __future__ import annotations

import enum
import math
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.testing.protocol.history import (
    Failed,
    History,
    Ok,
    Operation,
    Refused,
    Token,
    Unknown,
    outcome_of,
    table,
    timeline,
)
from actorkit.testing.protocol.packing import pack, unpack
from tests.harness import open_checked_system, run_in_virtual_time


class Colour(enum.Enum):
    """A field's type."""

    RED = "red"
    BLUE = ("dark", 1)


@ak.message
class Paint(ak.Request[int]):
    """A message with fields of many types."""

    colour: Colour
    _coats: int = 1
    on: tuple[Any, ...] = ()


@ak.message(name="history.Old", version=3)
class Renamed:
    """A message with a wire name of its own."""

    items: list[Any] = attrs.field(factory=list)


class Dry(ak.Refused):
    """A refusal whose constructor does not take what it passes on."""

    def __init__(self, tin: str, *, missing: int) -> None:
        super().__init__(f"{tin} is empty")
        self.tin = tin
        self.missing = missing


# Moments -----------------------------------------------------------------------------------------

ENDINGS = st.sampled_from(["complete", "refuse", "fail", "lose"])


@given(st.lists(st.one_of(st.just("begin"), st.tuples(ENDINGS, st.integers(0, 99))), max_size=40))
def test_no_two_events_stand_at_the_same_moment(script: list[Any]) -> None:
    """Every call and every return has a moment of its own, in the order in which they were recorded."""
    history, open_ones, moments = History(), list[Token](), list[int]()
    for event in script:
        if event == "begin":
            open_ones.append(history.begin("client", "request"))
            moments.append(history.operations[-1].called_at)
        elif open_ones:
            token = open_ones.pop(event[1] % len(open_ones))
            _end(history, token, event[0])
            returned = history.operations[token].returned_at
            assert (returned is None) is (event[0] == "lose")
            moments += [] if returned is None else [returned]
    assert moments == sorted(set(moments))
    assert len(history) == len(history.operations) == len(list(history))


def _end(history: History, token: Token, how: str) -> None:
    match how:
        case "complete":
            history.complete(token, 1)
        case "refuse":
            history.refuse(token, Dry("tin", missing=1))
        case "fail":
            history.fail(token)
        case _:
            history.lose(token)


def test_precedence_is_return_before_call() -> None:
    """One precedes another exactly if it had returned before the other was called; what is unknown precedes nothing."""
    history = History()
    one = history.begin("a", 1)
    two = history.begin("b", 2)
    history.complete(one)
    three = history.begin("c", 3)
    history.lose(two)
    history.complete(three)
    a, b, c = history
    assert a.precedes(c)
    assert not any(x.precedes(y) for x, y in ((a, b), (b, a), (b, c), (c, a), (c, b), (a, a)))
    assert not a.precedes(Operation("d", 4, 2, 9, Ok(1))), (
        "called at the moment at which a returned"
    )


def test_what_was_begun_and_never_ended_is_unknown() -> None:
    """Until an operation has ended nobody knows what became of it."""
    history = History()
    history.begin("a", "request")
    (op,) = history
    assert isinstance(op.outcome, Unknown)
    assert op.returned_at is None
    assert op.answer is None


def test_an_operation_ends_once() -> None:
    """Ending twice, or what was never begun, is an error that says what to do."""
    history = History()
    token = history.begin("ann", "request")
    history.lose(token)
    with pytest.raises(
        ValueError, match=r"ended already, as ann: 'request' -> unknown; call begin"
    ):
        history.complete(token, 1)
    with pytest.raises(ValueError, match="began no operation 7; pass what begin returned"):
        history.fail(Token(7))


def test_operations_that_contradict_themselves_are_refused() -> None:
    """A return comes after its call, and there is none exactly if the outcome is unknown."""
    with pytest.raises(ValueError, match="must return after its call at 3, got returned_at=3"):
        Operation("a", "r", 3, 3, Ok(1))
    with pytest.raises(ValueError, match="record it as Unknown if it never returned"):
        Operation("a", "r", 3, None, Failed())
    with pytest.raises(ValueError, match="returned_at must be None, not 4"):
        Operation("a", "r", 3, 4, Unknown())


def test_a_history_goes_on_after_what_it_started_with() -> None:
    """Later operations come after all that the history was made of."""
    first = Operation("a", "r", 10, 20, Ok(1))
    history = History([first, Operation("b", "r", 30, None, Unknown())])
    history.complete(history.begin("c", "r"))
    assert [op.called_at for op in history] == [10, 30, 31]
    assert all(op.precedes(history.operations[2]) is (op is first) for op in history)


# Asking ------------------------------------------------------------------------------------------


@ak.message
class Obey(ak.Request[int]):
    """Answer, refuse, crash, or take too long."""

    order: str


@ak.message
class Foreign(ak.Request[int]):
    """Not in anybody's vocabulary."""


class Servant(ak.Actor[Obey]):
    """Does as it is told."""

    mailbox = ak.Mailbox(capacity=1)

    @ak.on(Obey)
    async def obey(self, msg: Obey) -> int:
        """Do what the order says."""
        if msg.order == "refuse":
            raise Dry("tin", missing=2)
        if msg.order == "crash":
            raise ZeroDivisionError
        if msg.order == "sleep":
            await self.ctx.sleep(60.0)
        return 42


async def _ask_one_by_one(history: History) -> None:
    async with open_checked_system() as system:
        servant = await system.spawn(ak.props(Servant))
        foreigner: Any = servant
        assert await history.ask("a", servant, Obey("answer")) == Ok(42)
        assert await history.ask("b", servant, Obey("refuse")) == Refused(Dry("tin", missing=2))
        assert isinstance(await history.ask("c", foreigner, Foreign()), Failed)
        assert isinstance(await history.ask("d", servant, Obey("crash")), Unknown)
        assert isinstance(await history.ask("e", servant, Obey("answer")), Unknown)


def test_an_ask_is_recorded_with_what_it_tells() -> None:
    """A reply, a refusal, a request nobody handles, and a death are told apart as what they prove."""
    history = History()
    run_in_virtual_time(partial(_ask_one_by_one, history))
    kinds = [type(op.outcome) for op in history]
    assert kinds == [Ok, Refused, Failed, Unknown, Unknown]
    assert [op.client for op in history] == ["a", "b", "c", "d", "e"]
    assert history.operations[1].answer == Refused(Dry("tin", missing=3)), "args alone count"
    assert history.operations[1].answer != Refused(Dry("pot", missing=2))


async def _ask_at_once(history: History) -> None:
    async with open_checked_system() as system, trio.open_nursery() as nursery:
        servant = await system.spawn(ak.props(Servant))

        async def client(name: str, order: str) -> None:
            await history.ask(name, servant, Obey(order), timeout=5.0)

        with trio.move_on_after(1.0):
            nursery.start_soon(client, "patient", "sleep")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(client, "queued", "answer")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(client, "turned away", "answer")
            await history.ask("cancelled", servant, Obey("answer"))


def test_what_was_given_up_is_unknown_and_what_was_turned_away_failed() -> None:
    """A time-out proves nothing; a full mailbox proves that nothing happened."""
    history = History()
    run_in_virtual_time(partial(_ask_at_once, history))
    outcomes = {op.client: op.outcome for op in history}
    assert isinstance(outcomes["patient"], Unknown)
    assert "did not answer" in outcomes["patient"].why
    assert isinstance(outcomes["turned away"], Failed)
    assert "is full" in outcomes["turned away"].why


async def _cancel_an_ask(history: History) -> None:
    async with open_checked_system() as system:
        servant = await system.spawn(ak.props(Servant))
        with trio.move_on_after(1.0) as scope:
            await history.ask("cancelled", servant, Obey("sleep"))
        assert scope.cancelled_caught
        servant.kill()


def test_a_cancelled_ask_stays_open() -> None:
    """A cancellation passes through and leaves the operation unknown."""
    history = History()
    run_in_virtual_time(partial(_cancel_an_ask, history))
    (op,) = history
    assert op.outcome == Unknown("no return was recorded")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ak.Refused("no"), Refused),
        (ak.MailboxFull("/a", 1), Failed),
        (ak.Unhandled("/a", "Foreign"), Failed),
        (ak.CircularAsk(("/a", "/b", "/a")), Failed),
        (ak.AskTimeout("/a", "Obey", 1.0), Unknown),
        (ak.ActorDied("/a", ak.NoActor()), Unknown),
        (ak.NodeDown("n"), Unknown),
    ],
)
def test_every_end_of_an_ask_is_an_outcome(error: ak.AskError, kind: type) -> None:
    """Only what the kernel turned away before it was handled counts as not done."""
    assert type(outcome_of(error)) is kind


# For people --------------------------------------------------------------------------------------


def test_the_table_has_a_line_for_each_operation() -> None:
    """Calls, returns, clients, requests and outcomes stand in columns."""
    history = History()
    paint = history.begin("ann", Obey("paint"))
    lost = history.begin("bob the second", "plain")
    history.refuse(paint, Dry("tin", missing=1))
    history.lose(lost, "timed out")
    history.begin("ann", 7)
    assert str(history) == table(history.operations)
    assert str(history).splitlines() == [
        "call  return  client          request              outcome",
        "   0       2  ann             Obey(order='paint')  refused: Dry('tin is empty')",
        "   1       -  bob the second  'plain'              unknown: timed out",
        "   3       -  ann             7                    unknown: no return was recorded",
    ]


def test_the_timeline_draws_overlaps() -> None:
    """Bars begin and end in the order of events, whatever lay in between; unknown ones are open to the right."""
    operations = (
        Operation("a", "one", 10, 30, Ok(1)),
        Operation("bb", "two", 20, None, Unknown()),
        Operation("a", "three", 500, 501, Failed()),
    )
    assert timeline(operations, ("1", "2", "✗")) == (
        "  1  a   ├───┤        'one' -> 1\n"
        "  2  bb    ├───────→  'two' -> unknown\n"
        "  ✗  a         ├─┤    'three' -> failed"
    )


# For files ---------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.sampled_from(Colour)
)
HASHABLE = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)
VALUES = st.recursive(
    HASHABLE | st.sets(HASHABLE, max_size=3) | st.frozensets(HASHABLE, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.builds(Renamed, st.lists(inner, max_size=2))
        | st.builds(
            Paint, st.sampled_from(Colour), coats=st.integers(), on=st.lists(inner).map(tuple)
        )
    ),
    max_leaves=10,
)
OUTCOMES = (
    st.builds(Ok, VALUES)
    | st.builds(lambda tin: Refused(Dry(tin, missing=3)), st.text())
    | st.builds(Failed, st.text())
    | st.builds(Unknown, st.text())
)


@given(st.lists(st.tuples(st.text(), VALUES, OUTCOMES), max_size=5))
def test_a_history_comes_back_from_text_as_it_was(recorded: list[Any]) -> None:
    """Messages, enumerations, tuples, sets, odd floats and refusals are the same after the way there and back."""
    history = History(
        Operation(client, request, n, None if isinstance(outcome, Unknown) else n + 1, outcome)
        for n, (client, request, outcome) in enumerate(recorded)
    )
    text = history.to_json_lines()
    assert text.count("\n") == len(history)
    again = History.from_json_lines(text)
    assert again == history
    assert again.to_json_lines() == text


def test_a_refusal_comes_back_with_its_attributes() -> None:
    """What a refusal carries is kept, though its constructor is not called again."""
    error = unpack(pack(Dry("tin", missing=2)))
    assert type(error) is Dry
    assert (str(error), error.tin, error.missing) == ("tin is empty", "tin", 2)


def test_a_float_that_is_no_number_is_kept() -> None:
    """JSON has no NaN, so the file has its name."""
    assert pack(-math.inf) == {"float": "-inf"}
    assert math.isnan(unpack(pack(math.nan)))


@attrs.frozen
class Plain:
    """Not a message."""


@pytest.mark.parametrize("value", [Plain(), [Plain()], {1: Plain()}, ValueError("x"), 1j])
def test_what_cannot_be_kept_is_named(value: object) -> None:
    """A value that has no registered name is refused with the remedy, not kept as its repr."""
    history = History()
    history.complete(history.begin("a", "r"), value)
    with pytest.raises(TypeError, match=r"cannot be saved: decorate .* with @ak.message"):
        history.to_json_lines()


GOOD = '{"client": "a", "request": 1, "call": 0, "return": 1, "ok": 1}\n'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "KeyError"),
        (GOOD.replace('"ok": 1', '"ok": {}'), "KeyError"),
        (GOOD.replace('"return": 1', '"return": 0'), "must return after its call"),
        (GOOD.replace('"ok": 1', '"ok": {"message": "no.Such@1", "fields": {}}'), "no.Such@1"),
        (GOOD.replace('"ok": 1', '"ok": {"enum": "os.system", "value": "ls"}'), "os.system"),
        (GOOD.replace('"ok": 1', '"refused": {"error": "builtins.int", "args": []}'), "int"),
    ],
)
def test_a_line_that_is_no_operation_is_named(line: str, reason: str) -> None:
    """Number and reason are told; a file names nothing into existence."""
    with pytest.raises(ValueError, match=r"^line 3 is not an operation") as raised:
        History.from_json_lines(f"{GOOD}\n{line}")
    assert reason in str(raised.value)
