"""The dispatcher's laws: one message at a time, order per sender, nobody starves, nobody is forgotten in the run queue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import actorkit as ak
from actorkit.kernel import dispatcher as dispatcher_module
from actorkit.kernel.wait import Carrier
from tests.harness import open_checked_system, puppet, run_in_virtual_time, settle
from tests.kernel.support import Note

# Handlers of every shape ------------------------------------------------------------------------------------------


@ak.message
class Echo(ak.Request[int]):
    """Answered with its number, by an actor that takes a moment."""

    number: int


@ak.message
class Count(ak.StreamRequest[int]):
    """Answered with the numbers below ``to``."""

    to: int


@ak.message
class Job(ak.Request[int]):
    """Something to do in one of many shapes; ``number`` counts the jobs of one sender."""

    shape: str
    sender: int
    number: int


@ak.message
class SyncJob(ak.Request[int]):
    """As ``Job``, for a handler that never waits."""

    sender: int
    number: int


class Peer(ak.Actor[Echo | Count | Note]):
    """Whom the workers ask."""

    mailbox = ak.Mailbox(capacity=2)

    @ak.on(Echo)
    async def echo(self, msg: Echo) -> int:
        if msg.number % 2:
            await self.ctx.sleep(0.01)
        return msg.number

    @ak.on(Count)
    async def count(self, msg: Count) -> AsyncIterator[int]:
        for n in range(msg.to):
            yield n

    @ak.on(Note)
    def note(self, msg: Note) -> None: ...


class Worker(ak.Actor[Job | SyncJob]):
    """Does jobs, and knows whether it is in the midst of one."""

    def __init__(self, peer: ak.Ref[Echo | Count | Note], done: list[tuple[int, int]]) -> None:
        self.peer = peer
        self.done = done
        self.busy = False

    def enter(self) -> None:
        """A handler begins."""
        assert not self.busy, "two handlers of one actor interleave"
        self.busy = True

    def leave(self, msg: Job | SyncJob) -> int:
        """A handler ends."""
        self.busy = False
        self.done.append((msg.sender, msg.number))
        return msg.number

    @ak.on(SyncJob)
    def sync_job(self, msg: SyncJob) -> int:
        self.enter()
        return self.leave(msg)

    @ak.on(Job)
    async def job(self, msg: Job) -> int:
        self.enter()
        try:
            await SHAPES[msg.shape](self)
        except ak.MailboxFull:
            pass
        return self.leave(msg)


async def _nothing(self: Worker) -> None:
    return


async def _sleep(self: Worker) -> None:
    await self.ctx.sleep(0.01)


async def _trio_sleep(self: Worker) -> None:
    await trio.sleep(0.01)


async def _checkpoints(self: Worker) -> None:
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.cancel_shielded_checkpoint()


async def _ask(self: Worker) -> None:
    assert await self.peer.ask(Echo(3)) == 3


async def _send(self: Worker) -> None:
    await self.peer.send(Note("sent"))


async def _to_and_fro(self: Worker) -> None:
    await trio.sleep(0.01)
    assert await self.peer.ask(Echo(5)) == 5
    await trio.lowlevel.checkpoint()
    await self.ctx.sleep(0.01)
    assert await self.peer.ask(Echo(4)) == 4


async def _nursery(self: Worker) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0.01)
        nursery.start_soon(self.ctx.sleep, 0.02)
        nursery.start_soon(_ask_unless_full, self)
        await self.ctx.sleep(0.005)


async def _ask_unless_full(self: Worker) -> None:
    try:
        await self.peer.ask(Echo(1))
    except ak.MailboxFull:
        pass


async def _scope(self: Worker) -> None:
    with trio.move_on_after(0.005) as scope:
        await self.ctx.sleep(1)
    assert scope.cancelled_caught
    with trio.fail_after(1):
        assert await self.peer.ask(Echo(2)) == 2
    await self.ctx.sleep(0)


async def _spawn(self: Worker) -> None:
    child = await self.ctx.spawn(ak.props(Peer), link=False)
    assert await child.ask(Echo(1)) == 1
    await self.ctx.stop_child(child, limit=1)


async def _stream(self: Worker) -> None:
    try:
        async with self.peer.stream(Count(4), window=2) as numbers:
            assert [n async for n in numbers] == [0, 1, 2, 3]
    except ak.MailboxFull:
        pass


async def _tell_oneself(self: Worker) -> None:
    self.ctx.self.tell(SyncJob(-1, 0))
    self.ctx.continue_with(SyncJob(-2, 0))


SHAPES: dict[str, Callable[[Worker], Awaitable[None]]] = {
    "nothing": _nothing,
    "sleep": _sleep,
    "trio sleep": _trio_sleep,
    "checkpoints": _checkpoints,
    "ask": _ask,
    "send": _send,
    "to and fro": _to_and_fro,
    "nursery": _nursery,
    "scope": _scope,
    "spawn": _spawn,
    "stream": _stream,
    "tell oneself": _tell_oneself,
}


@attrs.frozen
class Order:
    """One thing a sender does: wait a moment, then send a job to a worker in some way."""

    worker: int
    shape: str
    way: str
    pause: float


orders = st.builds(
    Order,
    st.integers(0, 1),
    st.sampled_from(["sync", *SHAPES]),
    st.sampled_from(["tell", "ask", "send"]),
    st.sampled_from([0.0, 0.0, 0.003, 0.01]),
)
scripts = st.lists(st.lists(orders, min_size=1, max_size=8), min_size=2, max_size=5)


async def carry_out(refs: list[ak.Ref[Job | SyncJob]], sender: int, script: list[Order]) -> None:
    """What one sender does, in order."""
    for number, order in enumerate(script):
        job = SyncJob(sender, number) if order.shape == "sync" else Job(order.shape, sender, number)
        await trio.sleep(order.pause)
        ref = refs[order.worker]
        if order.way == "tell":
            ref.tell(job)
        elif order.way == "send":
            await ref.send(job)
        else:
            assert await ref.ask(job) == number


class QueueCheck(trio.abc.Instrument):
    """Looks at a run queue after every step of every task."""

    def __init__(self) -> None:
        self.system: ak.System | None = None
        self.forgotten = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """If the run queue is not empty, a carrier must be awake."""
        if self.system is not None:
            dispatcher = self.system.runtime.dispatcher
            self.forgotten += bool(dispatcher.ready) and not dispatcher.awake


async def play(
    script: list[list[Order]], check: QueueCheck, done: list[list[tuple[int, int]]]
) -> None:
    """Let all senders of a script loose on two workers, from actors and plain tasks by turns."""
    async with open_checked_system() as system, trio.open_nursery() as nursery:
        check.system = system
        peer = await system.spawn(ak.props(Peer))
        refs = [await system.spawn(ak.props(Worker, peer, log)) for log in done]
        for sender, part in enumerate(script):
            if sender % 2:
                actor = await puppet(system)
                actor.cue(lambda _, n=sender, p=part: carry_out(refs, n, p))  # type: ignore[misc]
            else:
                nursery.start_soon(carry_out, refs, sender, part)
        await trio.sleep(60)
        await settle()
        assert not system.runtime.dispatcher.ready
        assert system.runtime.dispatcher.pinned == 0


def judge(script: list[list[Order]], done: list[list[tuple[int, int]]]) -> None:
    """Every job was done by its worker, those of one sender in the order they were sent."""
    for worker, log in enumerate(done):
        for sender, part in enumerate(script):
            sent = [number for number, order in enumerate(part) if order.worker == worker]
            assert [number for who, number in log if who == sender] == sent


@settings(max_examples=100)
@given(scripts)
def test_one_message_at_a_time_in_order(script: list[list[Order]]) -> None:
    """However handlers wait and whoever sends: they never interleave, and each sender's messages keep their order."""
    check = QueueCheck()
    done: list[list[tuple[int, int]]] = [[], []]
    run_in_virtual_time(partial(play, script, check, done), instruments=[check])
    judge(script, done)
    assert check.forgotten == 0


@pytest.mark.parametrize("shape", ["sync", *SHAPES])
def test_every_shape_of_handler(shape: str) -> None:
    """One shape of handler at a time, under all ways to send, from three senders at once."""
    script = [[Order(0, shape, way, 0.0) for way in ("tell", "ask", "send", "tell")]] * 3
    check = QueueCheck()
    done: list[list[tuple[int, int]]] = [[], []]
    run_in_virtual_time(partial(play, script, check, done), instruments=[check])
    judge(script, done)
    assert check.forgotten == 0


class StrangeCarrier(Carrier):
    """A carrier on a trio that does not tell which cancel scopes are open."""

    __slots__ = ()

    def __init__(self, task: trio.lowlevel.Task | None, scope: trio.CancelScope | None) -> None:
        super().__init__(task, scope)
        self.base = self


@settings(max_examples=30)
@given(scripts)
def test_the_same_holds_if_every_wait_is_one_of_trios(script: list[list[Order]]) -> None:
    """If direct waits cannot be told apart, everything still works, only slower."""
    check = QueueCheck()
    done: list[list[tuple[int, int]]] = [[], []]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatcher_module, "Carrier", StrangeCarrier)
        run_in_virtual_time(partial(play, script, check, done), instruments=[check])
    judge(script, done)
    assert check.forgotten == 0


# Kills in between -------------------------------------------------------------------------------------------------

kills = st.lists(
    st.tuples(st.sampled_from([0.0, 0.001, 0.004, 0.005, 0.01]), st.integers(0, 1), st.booleans()),
    max_size=8,
)


async def play_and_kill(
    script: list[list[Order]], victims: list[tuple[float, int, bool]], check: QueueCheck
) -> None:
    """As ``play``, while workers and peers are killed and others take their names."""
    async with open_checked_system() as system, trio.open_nursery() as nursery:
        check.system = system
        keys = [ak.Key[Job | SyncJob](f"worker{n}") for n in range(2)]
        peer = await system.spawn(ak.props(Peer))

        async def worker(n: int) -> None:
            await system.spawn(ak.props(Worker, peer, []), name=keys[n])

        async def carry_on(sender: int, part: list[Order]) -> None:
            for number, order in enumerate(part):
                try:
                    await carry_out([system.named(key) for key in keys], sender, [order])
                except (ak.AskError, AssertionError):
                    pass  # killed in the midst of it, or answered by a number of its own
                assert number < len(part)

        for n in range(2):
            await worker(n)
        for sender, part in enumerate(script):
            nursery.start_soon(carry_on, sender, part)
        for pause, n, again in victims:
            await trio.sleep(pause)
            system.named(keys[n]).kill()
            await settle()
            if again and system.whereis(keys[n]) is None:
                await worker(n)
        await trio.sleep(60)
        await settle()
        assert not system.runtime.dispatcher.ready
        assert system.runtime.dispatcher.pinned == 0
        assert (await (await puppet(system)).do(lambda ctx: 7)) == 7


@settings(max_examples=100)
@given(scripts, kills)
def test_kills_never_stall_the_run_queue(
    script: list[list[Order]], victims: list[tuple[float, int, bool]]
) -> None:
    """Whoever is killed while parked, pinned or queued: no ready cell is left without a carrier, and the books balance."""
    check = QueueCheck()
    run_in_virtual_time(partial(play_and_kill, script, victims, check), instruments=[check])
    assert check.forgotten == 0


# Batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [trio.sleep, None])
async def test_a_batch_may_end_anywhere(
    system: ak.System, first: Callable[[float], Awaitable[None]] | None
) -> None:
    """Hundreds of messages behind one that waits on trio, or behind none, are all handled, in order."""
    actor = await puppet(system)
    if first is not None:
        actor.cue(lambda _: first(1))
    for n in range(5 * dispatcher_module.BATCH + 1):
        actor.ref.tell(Note(n))
    await trio.sleep(2)
    assert [note.text for note in actor.got(Note)] == list(range(5 * dispatcher_module.BATCH + 1))


async def test_a_crash_while_pinned_still_stops_in_order(system: ak.System) -> None:
    """``stopping`` runs, and may wait, though the crash came out of a wait of trio's."""
    actor = await puppet(system)

    async def fall(ctx: ak.Context[object]) -> None:
        await trio.sleep(1)
        raise ValueError("late")

    actor.cue(fall)
    reason = await actor.ref.wait_stopped()
    assert isinstance(reason, ak.Crashed)
    assert actor.ended == [reason]
