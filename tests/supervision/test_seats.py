"""A child's place outlives its incarnations: the reference stays good, and mail waits for whoever sits there next."""

from __future__ import annotations

import pytest
import trio

import actorkit as ak
from tests.harness import lost, settle
from tests.supervision.support import (
    Consult,
    Crash,
    End,
    Nap,
    Note,
    Notes,
    Stage,
    Think,
    Worker,
    WorkerMessage,
    always,
    at_first,
    crash,
    incarnation,
    kill,
)

SLOW = ak.Backoff(initial=1.0, factor=1.0, maximum=1.0)


class Small(Worker):
    """A worker that takes little mail."""

    mailbox = ak.Mailbox(capacity=3)


class Choosy(Worker):
    """A worker that drops the oldest mail."""

    mailbox = ak.Mailbox(capacity=3, overflow="drop_oldest")


def _of(cls: type[Worker], stage: Stage) -> ak.Child[WorkerMessage]:
    return ak.Child("w", ak.Props[WorkerMessage](cls, (stage.role("w"),)))


async def test_mail_keeps_its_order_over_restarts(system: ak.System) -> None:
    """Of what one sender sends nothing is lost, doubled or reordered by kills, but for what was in hand."""
    worker = Stage().child("w", starts=always(0.01))
    supervisor = await system.start(ak.supervise(worker, max_restarts=100))
    ref = supervisor.child(worker)
    heard: list[int] = []
    for number in range(200):
        ref.tell(Note(number))
        if number % 20 == 10:
            heard += await ref.ask(Notes())
            ref.kill()
    heard += await ref.ask(Notes())
    assert heard == list(range(200))
    assert len(system.dead_letters) == 0


async def test_the_message_in_hand_is_gone(system: ak.System) -> None:
    """A message whose handling crashed the actor is not handled again; those behind it are."""
    worker = Stage().child("w")
    supervisor = await system.start(ak.supervise(worker))
    ref = supervisor.child(worker)
    for message in (Note(1), Crash(), Note(2), Crash(), Note(3)):
        ref.tell(message)
    assert await ref.ask(Notes()) == (3,)
    assert incarnation(ref) > 0


async def test_an_ask_in_hand_fails_at_once(system: ak.System) -> None:
    """Who waits for an answer hears of the death when it happens, not when the time-out is over."""
    worker = Stage().child("w")
    supervisor = await system.start(ak.supervise(worker, backoff=SLOW))
    ref = supervisor.child(worker)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _ask() -> None:
            with pytest.raises(ak.ActorDied) as death:
                await ref.ask(Think(100.0), timeout=None)
            assert death.value.reason == ak.Killed()
            assert system.now() == began

        await settle()
        began = system.now()
        ref.kill()


async def test_a_queued_ask_is_answered_by_the_next_incarnation(system: ak.System) -> None:
    """An ask that has not been taken in hand waits for the restart, as does one sent during it."""
    worker = Stage().child("w")
    supervisor = await system.start(ak.supervise(worker, backoff=SLOW))
    ref = supervisor.child(worker)
    answers: list[tuple[int, float]] = []

    async def ask() -> None:
        answers.append((await ref.ask(Think()), system.now()))

    async with trio.open_nursery() as nursery:
        ref.tell(Nap(100.0))
        await settle()
        nursery.start_soon(ask)
        await settle()
        await kill(ref)
        assert not ref.alive
        nursery.start_soon(ask)
    began = answers[0][1] - 1.0
    assert answers == [(2, began + 1.0), (2, began + 1.0)]


async def test_an_ask_may_time_out_during_a_restart(system: ak.System) -> None:
    """The time-out of an ask goes on while it waits for the next incarnation; a late answer reaches nobody."""
    worker = Stage().child("w")
    supervisor = await system.start(ak.supervise(worker, backoff=SLOW))
    ref = supervisor.child(worker)
    await kill(ref)
    with pytest.raises(ak.AskTimeout):
        await ref.ask(Think(), timeout=0.5)
    assert await ref.ask(Think(), timeout=1.0) == 2
    assert system.dead_letters.counts == {ak.DeadReason.LATE_REPLY: 1}


async def test_circles_are_found_over_a_restart(system: ak.System) -> None:
    """Who waits for a reply from the last incarnation waits for the next one, as far as circular asks are concerned."""
    stage = Stage()
    a, b = stage.child("a"), stage.child("b")
    supervisor = await system.start(ak.supervise(a, b, backoff=SLOW))
    one, other = supervisor.child(a), supervisor.child(b)
    deaths: list[ak.ActorDied] = []

    async def ask_other_to_ask_one() -> None:
        with pytest.raises(ak.ActorDied) as death:
            await other.ask(Consult(one), timeout=None)
        deaths.append(death.value)

    async with trio.open_nursery() as nursery:
        other.tell(Nap(100.0))
        nursery.start_soon(ask_other_to_ask_one)
        await settle()
        nursery.start_soon(one.ask, Consult(other))
        await settle()
        other.kill()
    [died] = deaths
    assert isinstance(died.reason, ak.Crashed)
    assert died.reason.error.endswith("CircularAsk")


async def test_waiting_mail_is_bounded(system: ak.System) -> None:
    """No more mail waits for an incarnation than its mailbox would take; the rest is told so."""
    child = _of(Small, Stage())
    supervisor = await system.start(ak.supervise(child, backoff=SLOW))
    ref = supervisor.child(child)
    await kill(ref)
    for number in range(5):
        ref.tell(Note(number))
    with pytest.raises(ak.MailboxFull):
        await ref.ask(Notes())
    assert lost(system, ak.DeadReason.MAILBOX_FULL) == [Note(3), Note(4), Notes()]
    await trio.sleep(1.5)
    assert await ref.ask(Notes()) == (0, 1, 2)


async def test_the_overflow_policy_holds_during_a_restart(system: ak.System) -> None:
    """An actor that prefers new mail to old does so while it is being restarted."""
    child = _of(Choosy, Stage())
    supervisor = await system.start(ak.supervise(child, backoff=SLOW))
    ref = supervisor.child(child)
    await kill(ref)
    for number in range(5):
        ref.tell(Note(number))
    assert lost(system, ak.DeadReason.DROPPED_OLDEST) == [Note(0), Note(1)]
    await trio.sleep(1.5)
    assert await ref.ask(Notes()) == (2, 3, 4)


async def test_senders_that_wait_for_room_are_let_in_later(system: ak.System) -> None:
    """Who waits at the door of a full mailbox goes on waiting over a restart, and comes in in order."""
    child = _of(Small, Stage())
    supervisor = await system.start(ak.supervise(child, backoff=SLOW))
    ref = supervisor.child(child)
    ref.tell(Nap(100.0))
    await settle()
    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(ref.send, Note(number))
            await settle()
        await kill(ref)
    assert await ref.ask(Notes()) == (0, 1, 2, 3, 4, 5)


async def test_senders_that_wait_are_told_when_nobody_comes(system: ak.System) -> None:
    """If there is no next incarnation, who waits at the door gets ``ActorDied``; who has left does not count."""
    child = _of(Small, Stage())
    supervisor = await system.start(ak.supervise(child, backoff=SLOW))
    ref = supervisor.child(child)
    await kill(ref)
    for number in range(3):
        ref.tell(Note(number))
    with trio.move_on_after(0.1):
        await ref.send(Note(3))
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _send() -> None:
            with pytest.raises(ak.ActorDied):
                await ref.send(Note(4))

        await settle()
        await supervisor.terminate_child(child)
    assert lost(system) == [Note(0), Note(1), Note(2), Note(4)]


async def test_mail_is_turned_away_when_the_supervisor_gives_up(system: ak.System) -> None:
    """When there will be no next incarnation all mail that waits becomes dead letters, and askers are told."""
    stage = Stage()
    bad, other = stage.child("bad", starts=at_first("ok", then="fail")), stage.child("other")
    supervisor = await system.start(ak.supervise(bad, other, max_restarts=2, backoff=SLOW))
    ref = supervisor.child(bad)
    await crash(ref)
    ref.tell(Note(1))
    began = system.now()
    with pytest.raises(ak.ActorDied):
        await ref.ask(Notes(), timeout=None)
    assert system.now() - began == 2.0
    await settle()
    ref.tell(Note(2))
    assert lost(system, ak.DeadReason.DIED) == [Note(1), Notes()]
    assert lost(system, ak.DeadReason.NO_ACTOR) == [Note(2)]
    assert not supervisor.child(other).alive


async def test_mail_survives_the_restart_of_a_sub_supervisor(system: ak.System) -> None:
    """References below a supervisor that is restarted stay good, and the mail there waits, two levels down."""
    stage = Stage()
    leaf = stage.child("leaf", starts=["ok", 1.0])
    twig = ak.Child("twig", ak.supervise(leaf))
    branch = ak.Child("branch", ak.supervise(twig))
    top = await system.start(ak.supervise(branch, backoff=SLOW))
    ref = top.supervisor(branch).supervisor(twig).child(leaf)
    ref.tell(Nap(100.0))
    ref.tell(Note(1))
    await settle()
    await kill(top.child(branch))
    ref.tell(Note(2))
    assert await ref.ask(Notes()) == (1, 2)
    assert ref is top.supervisor(branch).supervisor(twig).child(leaf)
    assert ref.path == f"{top.path}/branch/twig/leaf"


async def test_mail_survives_a_sub_supervisor_that_gives_up(system: ak.System) -> None:
    """As long as somebody above restarts the supervisor that gave up, its children's mail waits."""
    stage = Stage()
    leaf = stage.child("leaf")
    twig = ak.Child("twig", ak.supervise(leaf, max_restarts=0))
    top = await system.start(ak.supervise(twig, backoff=SLOW))
    ref = top.supervisor(twig).child(leaf)
    await kill(ref)
    assert not ref.alive
    ref.tell(Note(1))
    assert await ref.ask(Notes()) == (1,)
    assert len(system.dead_letters) == 0


async def test_a_tree_that_stays_down_turns_mail_away(system: ak.System) -> None:
    """Below a supervisor that is stopped by hand nobody waits for mail; when it is restarted references are good again."""
    stage = Stage()
    leaf = stage.child("leaf")
    twig = ak.Child("twig", ak.supervise(leaf))
    top = await system.start(ak.supervise(twig))
    ref = top.supervisor(twig).child(leaf)
    await top.terminate_child(twig)
    ref.tell(Note(1))
    assert lost(system, ak.DeadReason.NO_ACTOR) == [Note(1)]
    await top.restart_child(twig)
    assert ref is top.supervisor(twig).child(leaf)
    ref.tell(Note(2))
    assert await ref.ask(Notes()) == (2,)


async def test_mail_waits_only_where_a_start_is_to_come(system: ak.System) -> None:
    """Siblings stopped for a restart that is then called off by hand have no future, so their mail is turned away."""
    stage = Stage()
    a, b = stage.child("a"), stage.child("b")
    supervisor = await system.start(ak.supervise(a, b, strategy="rest_for_one", backoff=SLOW))
    await crash(supervisor.child(a))
    supervisor.child(b).tell(Note(1))
    assert len(system.dead_letters) == 0
    await supervisor.terminate_child(a)
    supervisor.child(b).tell(Note(2))
    assert lost(system, ak.DeadReason.DIED) == [Note(1)]
    assert lost(system, ak.DeadReason.NO_ACTOR) == [Note(2)]


async def test_children_that_end_for_good_turn_mail_away(system: ak.System) -> None:
    """Mail for a temporary child that ended, or a transient one that ended in good order, becomes dead letters."""
    stage = Stage()
    temporary = stage.child("t", restart="temporary")
    transient = stage.child("u", restart="transient")
    supervisor = await system.start(ak.supervise(temporary, transient))
    refs = supervisor.child(temporary), supervisor.child(transient)
    for ref in refs:
        ref.tell(End())
        ref.tell(Note(1))
    await settle()
    for ref in refs:
        ref.tell(Note(2))
        with pytest.raises(ak.ActorDied):
            await ref.ask(Notes())
    assert lost(system, ak.DeadReason.DIED) == [Note(1), Note(1)]
    assert lost(system, ak.DeadReason.NO_ACTOR) == [Note(2), Notes(), Note(2), Notes()]


async def test_a_vacant_seat_cannot_be_killed(system: ak.System) -> None:
    """Between two incarnations there is nobody to kill, stop or signal, and the mail that waits is safe."""
    worker = Stage().child("w")
    supervisor = await system.start(ak.supervise(worker, backoff=SLOW, max_restarts=1))
    ref = supervisor.child(worker)
    await kill(ref)
    ref.tell(Note(1))
    failures: list[ak.DidNotStart] = []
    system.events.subscribe(failures.append, ak.DidNotStart)
    ref.kill()
    system.exit(ref, ak.Failed("nobody is there"))
    with pytest.raises(ak.ActorDied):
        await ref.stop()
    assert await ref.wait_stopped() == ak.NoActor()
    assert await ref.ask(Notes()) == (1,)
    assert failures == []


async def test_timers_of_others_wait_too(system: ak.System) -> None:
    """A message that somebody else timed is mail; one the dead actor had timed for itself dies with it."""
    worker = Stage().child("w")
    supervisor = await system.start(ak.supervise(worker, backoff=SLOW))
    ref = supervisor.child(worker)
    ref.tell(Nap(100.0))
    for number, seconds in enumerate((0.5, 1.5, 9.0)):
        system.send_after(seconds, ref, Note(number))
    await trio.sleep(1.0)
    await kill(ref)
    await trio.sleep(2.0)
    assert await ref.ask(Notes()) == (0, 1)
    await trio.sleep(7.0)
    assert await ref.ask(Notes()) == (0, 1, 2)
    assert system.statistics(ref).waiting == 0


async def test_a_name_moves_with_its_child(system: ak.System) -> None:
    """Each incarnation of a child with a name holds that name; between two of them it is free."""
    key = ak.Key[WorkerMessage]("worker")
    worker = Stage().child("w", name=key)
    supervisor = await system.start(ak.supervise(worker, backoff=SLOW))
    ref = supervisor.child(worker)
    assert system.whereis(key) is ref
    await kill(ref)
    assert system.whereis(key) is None
    system.named(key).tell(Note(1))  # a name that nobody holds has no mailbox
    ref.tell(Note(2))
    await trio.sleep(1.5)
    assert system.whereis(key) is ref
    assert await system.named(key).ask(Notes()) == (2,)
    assert lost(system, ak.DeadReason.NO_ACTOR) == [Note(1)]


async def test_a_name_that_is_taken_fails_the_restart(system: ak.System) -> None:
    """If somebody else has taken the name meanwhile the restart fails, is counted, and is tried again."""
    stage = Stage()
    key = ak.Key[WorkerMessage]("worker")
    worker = stage.child("w", name=key)
    supervisor = await system.start(ak.supervise(worker, backoff=SLOW))
    ref = supervisor.child(worker)
    await kill(ref)
    thief = await system.spawn(ak.Props[WorkerMessage](Worker, (stage.role("thief"),)), name=key)
    await trio.sleep(1.0)
    assert not ref.alive
    thief.kill()
    await trio.sleep(1.5)
    assert system.whereis(key) is ref
    assert ref.alive
