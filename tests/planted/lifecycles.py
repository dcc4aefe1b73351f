"""Bugs around deaths: what is forgotten, counted twice, or done again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import actorkit as ak
from actorkit.testing import Sim, early_timer, kill_actor
from tests.planted.registry import planted


@ak.message
class Join:
    who: ak.Ref[Any]


@ak.message
class Work(ak.Request[int]):
    job: int


@ak.message
class Census(ak.Request[int]): ...


class Worker(ak.Actor[Work]):
    """Does jobs, which take a moment."""

    @ak.on(Work)
    async def work(self, msg: Work) -> int:
        await self.ctx.sleep(0.1)
        return msg.job


# Double Down --------------------------------------------------------------------------------------------------------


class Presence(ak.Actor[Join | Census]):
    """Counts who has left; the wrong one watches a member anew each time it joins."""

    def __init__(self, *, wrong: bool) -> None:
        self.wrong = wrong
        self.members: set[str] = set()
        self.left = 0

    @ak.on(Join)
    def join(self, msg: Join) -> None:
        if self.wrong or msg.who.path not in self.members:
            self.ctx.watch(msg.who)
        self.members.add(msg.who.path)

    def down(self, down: ak.Down) -> None:
        self.left += 1

    @ak.on(Census)
    def census(self, msg: Census) -> int:
        return self.left


@planted(shows="one death, two departures", budget=50, faults=[early_timer()])
async def double_down(sim: Sim, wrong: bool) -> None:
    """A member that joins again, since it had no answer in time, is watched twice and mourned twice."""
    presence = await sim.spawn(Presence, wrong=wrong)
    member = await sim.spawn(Worker)
    while True:
        presence.tell(Join(member))
        try:
            await presence.ask(Census(), timeout=1)
            break
        except ak.AskTimeout:
            continue
    await member.stop()
    await sim.settle()
    assert await presence.ask(Census(), timeout=None) == 1, "one death, two departures"


# Leaked subscribers -------------------------------------------------------------------------------------------------


@ak.message
class Subscribe:
    who: ak.Ref[Any]


class Hub(ak.Actor[Subscribe | Census]):
    """Remembers its subscribers; the wrong one every incarnation of them, and for ever."""

    def __init__(self, *, wrong: bool) -> None:
        self.wrong = wrong
        self.subscribers: dict[object, ak.Ref[Any]] = {}

    @ak.on(Subscribe)
    def subscribe(self, msg: Subscribe) -> None:
        if self.wrong:
            self.subscribers[msg.who.address] = msg.who
        else:
            self.subscribers[msg.who.path] = msg.who
            self.ctx.watch(msg.who)

    def down(self, down: ak.Down) -> None:
        self.subscribers.pop(down.ref.path, None)

    @ak.on(Census)
    def census(self, msg: Census) -> int:
        return len(self.subscribers)


class Subscriber(ak.Actor[Work]):
    """Subscribes when it starts, each incarnation anew."""

    def __init__(self, hub: ak.Ref[Subscribe]) -> None:
        self.hub = hub

    def started(self) -> None:
        self.hub.tell(Subscribe(self.ctx.self))

    @ak.on(Work)
    def work(self, msg: Work) -> int:
        return msg.job


@planted(shows="an entry for somebody who is dead", budget=50, faults=[kill_actor()])
async def leaked_subscribers(sim: Sim, wrong: bool) -> None:
    """Every restart of a subscriber leaves an entry behind that nobody takes away, so memory grows with each crash."""
    hub = await sim.spawn(Hub, wrong=wrong)
    spec = ak.Child("subscriber", ak.props(Subscriber, hub))
    subscriber = (await sim.start(ak.supervise(spec, max_restarts=50))).child(spec)
    for job in range(4):
        try:
            await subscriber.ask(Work(job))
        except ak.ActorDied:
            continue
    await sim.heal_and_settle()
    assert await hub.ask(Census()) == 1, "an entry for somebody who is dead"


# Restart that counts twice ------------------------------------------------------------------------------------------


class Keeper(ak.Actor[Census]):
    """Keeps one worker running by hand; the wrong one acts on its link and on its monitor."""

    trap_exits = True

    def __init__(self, *, wrong: bool) -> None:
        self.wrong = wrong

    async def started(self) -> None:
        await self._start()

    async def _start(self) -> None:
        worker = await self.ctx.spawn(ak.props(Worker))
        self.ctx.watch(worker)

    async def down(self, down: ak.Down) -> None:
        await self._start()

    async def exited(self, signal: ak.Exit) -> None:
        if self.wrong:
            await self._start()

    @ak.on(Census)
    def census(self, msg: Census) -> int:
        return len(self.ctx.children)


@planted(shows="two workers", budget=50, faults=[kill_actor("*/Worker-*")])
async def restart_that_counts_twice(sim: Sim, wrong: bool) -> None:
    """One death is heard of in two ways, and each starts a new worker."""
    keeper = await sim.spawn(Keeper, wrong=wrong)
    for _ in range(4):
        await keeper.ask(Census())
    await sim.heal_and_settle()
    assert await keeper.ask(Census()) == 1, "two workers"


# Lock of the dead ---------------------------------------------------------------------------------------------------


@ak.message
class Acquire(ak.Request[None]):
    who: ak.Ref[Any]


@ak.message
class Release: ...


class Lock(ak.Actor[Acquire | Release]):
    """Is held by one at a time; the wrong one does not notice when its holder dies."""

    def __init__(self, *, wrong: bool) -> None:
        self.wrong = wrong
        self.monitor: ak.Monitor | None = None
        self.held = False
        self.waiting: list[tuple[ak.Ref[Any], ak.Reply[None]]] = []

    @ak.on(Acquire)
    def acquire(self, msg: Acquire, reply: ak.Reply[None]) -> None:
        self.waiting.append((msg.who, reply))
        self._grant()

    @ak.on(Release)
    def release(self, msg: Release) -> None:
        if self.monitor is not None:
            self.ctx.unwatch(self.monitor)
        self.held = False
        self._grant()

    def down(self, down: ak.Down) -> None:
        if down.monitor == self.monitor:
            self.held = False
            self._grant()

    def _grant(self) -> None:
        while self.waiting and not self.held:
            who, reply = self.waiting.pop(0)
            if reply.send(None):
                self.held = True
                self.monitor = None if self.wrong else self.ctx.watch(who)


class Holder(ak.Actor[Work]):
    """Takes a lock for each job."""

    def __init__(self, lock: ak.Ref[Acquire | Release]) -> None:
        self.lock = lock

    @ak.on(Work)
    async def work(self, msg: Work) -> int:
        await self.lock.ask(Acquire(self.ctx.self), timeout=None)
        await self.ctx.sleep(0.1)
        self.lock.tell(Release())
        return msg.job


@planted(shows="nothing can go on", budget=80, faults=[kill_actor("/Holder-*")])
async def lock_of_the_dead(sim: Sim, wrong: bool) -> None:
    """Whoever holds the lock dies, and everybody else waits for ever."""
    lock = await sim.spawn(Lock, wrong=wrong)

    async def client(i: int) -> None:
        holder = await sim.spawn(Holder, lock)
        try:
            await holder.ask(Work(i), timeout=None)
        except ak.ActorDied:
            sim.note("its holder died")

    await sim.each(2, client)


# Job of the dead ----------------------------------------------------------------------------------------------------


@ak.message
class Job:
    number: int


@ak.message
class Done:
    number: int


class Pool(ak.Actor[Job | Done | Census]):
    """Hands jobs to workers of its own; the wrong one forgets a job whose worker dies."""

    def __init__(self, *, wrong: bool) -> None:
        self.wrong = wrong
        self.jobs: dict[ak.Monitor, int] = {}
        self.done: set[int] = set()

    @ak.on(Job)
    async def job(self, msg: Job) -> None:
        worker, monitor = await self.ctx.spawn_watched(ak.props(Worker))
        self.jobs[monitor] = msg.number
        self.ctx.start_soon(self._run, worker, msg.number)

    async def _run(self, worker: ak.Ref[Work], number: int) -> None:
        try:
            await worker.ask(Work(number), timeout=None)
        except ak.ActorDied:
            return
        self.ctx.self.tell(Done(number))

    def down(self, down: ak.Down) -> None:
        number = self.jobs.pop(down.monitor)
        if not self.wrong and number not in self.done:
            self.ctx.self.tell(Job(number))

    @ak.on(Done)
    def finished(self, msg: Done) -> None:
        self.done.add(msg.number)

    @ak.on(Census)
    def census(self, msg: Census) -> int:
        return len(self.done)


@planted(shows="a job was never done", budget=50, faults=[kill_actor("*/Worker-*")])
async def job_of_the_dead(sim: Sim, wrong: bool) -> None:
    """A worker dies over its job, and nobody does the job again."""
    pool = await sim.spawn(Pool, wrong=wrong)
    for number in range(3):
        pool.tell(Job(number))
    await sim.settle()
    await sim.advance(1)
    await sim.heal_and_settle()
    assert await pool.ask(Census()) == 3, "a job was never done"


# Retry that repeats -------------------------------------------------------------------------------------------------


@ak.message
class Charge(ak.Request[int]):
    id: str
    cents: int


class Bank(ak.Actor[Charge]):
    """Takes money; the wrong one again and again for one order."""

    def __init__(self, *, wrong: bool) -> None:
        self.wrong = wrong
        self.taken = 0
        self.orders: set[str] = set()

    @ak.on(Charge)
    def charge(self, msg: Charge) -> int:
        if self.wrong or msg.id not in self.orders:
            self.orders.add(msg.id)
            self.taken += msg.cents
        return self.taken


class Shop(ak.Actor[Work]):
    """Charges for an order."""

    def __init__(self, bank: ak.Ref[Charge]) -> None:
        self.bank = bank

    @ak.on(Work)
    async def work(self, msg: Work) -> int:
        return await self.bank.ask(Charge(f"order {msg.job}", 10))


@planted(shows="charged twice", budget=50, faults=[kill_actor()])
async def retry_that_repeats(sim: Sim, wrong: bool) -> None:
    """The shop dies after it has charged and before it has said so; asked again, it charges again."""
    bank = await sim.spawn(Bank, wrong=wrong)
    spec = ak.Child("shop", ak.props(Shop, bank))
    shop = (await sim.start(ak.supervise(spec, max_restarts=50))).child(spec)

    async def customer() -> None:
        while True:
            try:
                await shop.ask(Work(1))
                return
            except ak.ActorDied:
                sim.note("asked again")

    await sim.together(customer)
    assert sim.state(bank)["taken"] == 10, "charged twice"


# Orphan -------------------------------------------------------------------------------------------------------------


class Leader(ak.Actor[Census]):
    """Starts a helper; the wrong one leaves it behind when it dies."""

    def __init__(self, *, wrong: bool) -> None:
        self.wrong = wrong

    async def started(self) -> None:
        await self.ctx.spawn(ak.props(Worker), link=not self.wrong)

    @ak.on(Census)
    def census(self, msg: Census) -> int:
        return len(self.ctx.children)


def _count(branches: Iterable[ak.Branch], actor: type) -> int:
    return sum(
        (branch.actor == actor.__qualname__) + _count(branch.children, actor) for branch in branches
    )


@planted(shows="more than one helper", budget=50, faults=[kill_actor("*/leader")])
async def orphan(sim: Sim, wrong: bool) -> None:
    """A helper that is not linked outlives the actor that started it, and each restart starts another."""
    spec = ak.Child("leader", ak.props(Leader, wrong=wrong))
    tree = ak.supervise(spec, max_restarts=50)
    try:
        leader = (await sim.start(tree)).child(spec)
    except ak.StartFailed:
        return  # it was killed while it began, which is another matter
    for _ in range(3):
        try:
            await leader.ask(Census())
        except ak.ActorDied:
            continue
    await sim.heal_and_settle()
    assert _count(sim.system.tree(), Worker) == 1, "more than one helper"
