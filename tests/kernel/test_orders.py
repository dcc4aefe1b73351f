"""What keeps its place among messages, and what does not; room is looked for before each message."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
import trio.testing

import actorkit as ak


@ak.message
class Work:
    number: int


@ak.message
class Pause:
    seconds: float


class Worker(ak.Actor[Work | Pause]):
    """Takes a second for each piece of work, and notes when it has done it."""

    mailbox = ak.Mailbox(capacity=3)

    def __init__(self, done: list[tuple[int, float]]) -> None:
        self.done = done

    @ak.on(Work)
    async def work(self, msg: Work) -> None:
        await self.ctx.sleep(1.0)
        self.done.append((msg.number, self.ctx.now()))

    @ak.on(Pause)
    async def pause(self, msg: Pause) -> None:
        await self.ctx.sleep(msg.seconds)


async def test_a_waiting_sender_goes_on_when_the_next_message_is_taken(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A sender that waits for room waits for one message, not for a batch, and order is kept."""
    done: list[tuple[int, float]] = []
    sent: list[float] = []
    async with ak.open_system(logs=False, watchdog=None, audit=True) as system:
        began = system.now()
        ref = await system.spawn(ak.props(Worker, done))
        for number in range(10):
            await ref.send(Work(number))
            sent.append(system.now() - began)
        await ref.stop(timeout=None)
        assert system.conservation().balanced
    assert [number for number, _ in done] == list(range(10))
    assert sent[:3] == [0.0, 0.0, 0.0]
    assert all(later - earlier <= 1.0 for earlier, later in pairwise(sent))
    assert sent[-1] <= 7.0


async def test_several_senders_are_let_in_in_the_order_they_came(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Senders that wait for room are served first come, first served."""
    done: list[tuple[int, float]] = []
    async with ak.open_system(logs=False, watchdog=None, audit=True) as system:
        ref = await system.spawn(ak.props(Worker, done))
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(ref.send, Work(number))
                await trio.testing.wait_all_tasks_blocked()
        await ref.stop(timeout=None)
        assert system.conservation().balanced
    assert [number for number, _ in done] == list(range(8))


async def test_stop_keeps_its_place_among_messages(autojump_clock: trio.testing.MockClock) -> None:
    """What was told before ``stop`` is handled; what is told after it is a dead letter."""
    done: list[tuple[int, float]] = []
    async with ak.open_system(logs=False, watchdog=None, audit=True) as system:
        ref = await system.spawn(ak.props(Worker, done))
        ref.tell(Work(1))
        ref.tell(Work(2))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ref.stop)
            await trio.testing.wait_all_tasks_blocked()
            ref.tell(Work(3))
        assert [number for number, _ in done] == [1, 2]
        assert system.dead_letters.counts == {ak.DeadReason.DIED: 1}
        assert system.conservation().balanced


async def test_a_suspended_actor_stops_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """An actor that takes no messages does not wait for its mail to be handled before it stops."""
    done: list[tuple[int, float]] = []
    async with ak.open_system(logs=False, watchdog=None, audit=True) as system:
        ref = await system.spawn(ak.props(Worker, done))
        system.suspend(ref)
        await trio.testing.wait_all_tasks_blocked()
        ref.tell(Work(1))
        await ref.stop()
        assert done == []
        assert system.conservation().balanced


@ak.message
class Forward:
    number: int


class Front(ak.Actor[Forward]):
    """Hands on to its sibling, which is started after it."""

    def started(self) -> None:
        self.back: ak.Ref[Work] = self.ctx.sibling(BACK)
        self.back.tell(Work(0))

    @ak.on(Forward)
    def forward(self, msg: Forward) -> None:
        self.back.tell(Work(msg.number))


DONE: list[tuple[int, float]] = []
FRONT = ak.Child("front", ak.props(Front))
BACK = ak.Child("back", ak.props(Worker, DONE))


async def test_siblings_find_each_other(autojump_clock: trio.testing.MockClock) -> None:
    """A child gets the lasting reference of a sibling, even of one that is started after it."""
    DONE.clear()
    async with ak.open_system(logs=False, watchdog=None, audit=True) as system:
        tree = await system.start(ak.supervise(FRONT, BACK))
        await trio.sleep(2)
        tree.child(BACK).kill()
        tree.child(FRONT).tell(Forward(1))
        await trio.sleep(5)
        assert [number for number, _ in DONE] == [0, 1]
        assert system.conservation().balanced


async def test_a_sibling_that_is_not_there_is_an_error(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Asking for a sibling nobody supervises names it."""
    async with ak.open_system(logs=False, watchdog=None) as system:
        with pytest.raises(ak.StartFailed, match="no sibling 'back'"):
            await system.spawn(ak.props(Front))


async def test_the_ring_of_recent_messages_shows_no_machinery(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What an actor took last are messages and signals; the kernel's own marks are left out."""
    async with ak.open_system(logs=False, watchdog=None) as system:
        ref = await system.spawn(ak.props(Worker, []))
        ref.tell(Work(1))
        await system.state_of(ref)
        assert system.status(ref).recent == ("Work",)


def test_run_takes_a_clock() -> None:
    """A whole program runs in virtual time if it is given a clock."""

    async def main(system: ak.System) -> float:
        began = system.now()
        await trio.sleep(3600)
        return system.now() - began

    clock = trio.testing.MockClock(autojump_threshold=0)
    assert ak.run(main, clock=clock, logs=False, watchdog=None) == 3600


async def test_start_and_spawn_tell_each_other_apart(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """``start`` of a single actor, and ``spawn`` of no props, are errors that name the remedy."""
    async with ak.open_system(logs=False, watchdog=None) as system:
        with pytest.raises(TypeError, match="spawn"):
            await system.start(ak.props(Worker, []))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="props"):
            await system.spawn(Worker)  # type: ignore[arg-type]


async def test_a_failing_kernel_ends_the_system_instead_of_hanging_it(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the dispatcher itself raises, the error comes out where the system was opened."""
    from actorkit.kernel.dispatcher import Dispatcher

    def broken(_: Dispatcher, __: object) -> None:
        raise RuntimeError("a fault of the kernel")

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the error comes out of the block
        async with ak.open_system(logs=False, watchdog=None) as system:
            ref = await system.spawn(ak.props(Worker, []))
            with monkeypatch.context() as patch:
                patch.setattr(Dispatcher, "turn", broken)
                ref.tell(Work(1))
                await trio.sleep_forever()
    assert caught.group_contains(RuntimeError, match="a fault of the kernel")
