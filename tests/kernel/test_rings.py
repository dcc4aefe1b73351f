"""Rings of actors that would wait for each other for ever: found at once, and nothing is taken for one that is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

import actorkit as ak
from tests.harness import (
    Strings,
    puppet,
    settle,
)
from tests.kernel.servers import (
    Add,
    Ask,
    Later,
    outcome,
)
from tests.kernel.support import Note, failure_of


async def ask_around(ring: list[Strings], length: int) -> Any:
    """Let each actor of a ring ask the next one, and the last the first; return what the last one got."""

    async def ask_next(place: int) -> Any:
        if place == length - 1:
            return await outcome(lambda: ring[0].do(lambda _: "answered"))
        return await ring[place + 1].do(lambda _: ask_next(place + 1))

    return await ring[0].do(lambda _: ask_next(0))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
async def test_a_ring_of_asks(system: ak.System, length: int) -> None:
    """However long the ring, its last ask fails at once with the whole ring, and everybody gets an answer."""
    ring = [await puppet(system, name=f"a{n}") for n in range(length)]
    error = await ask_around(ring, length)
    assert isinstance(error, ak.CircularAsk)
    paths = [f"/a{n}" for n in range(length)]
    assert error.chain == (paths[-1], *paths)
    assert str(error).endswith(" -> ".join(error.chain))
    assert trio.current_time() == 0.0


async def test_a_ring_of_thousands(system: ak.System) -> None:
    """A circle is found however long it is."""
    ring = [await puppet(system) for _ in range(2000)]
    error = await ask_around(ring, len(ring))
    assert isinstance(error, ak.CircularAsk)
    assert len(error.chain) == 2001


async def _ask_in_nursery(target: Strings, act: Callable[[ak.Context[Any]], Any]) -> Any:
    results: list[Any] = []

    async def note() -> None:
        results.append(await target.do(act))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note)
        nursery.start_soon(trio.sleep, 0.1)
    return results[0]


async def test_a_ring_through_nurseries(system: ak.System) -> None:
    """Asks made by the tasks of a handler count as the handler's."""
    one, other = await puppet(system), await puppet(system)

    async def back(_: object) -> Any:
        return await outcome(lambda: _ask_in_nursery(one, lambda _: "answered"))

    found = await one.do(lambda _: _ask_in_nursery(other, lambda ctx: failure_group(back(ctx))))
    assert isinstance(found, ak.CircularAsk)
    assert found.chain == (other.ref.path, one.ref.path, other.ref.path)


async def failure_group(attempt: Awaitable[Any]) -> Any:
    """The one exception in the group that a nursery raises."""
    try:
        return await attempt
    except* ak.CircularAsk as group:
        (found,) = group.exceptions
    return found


async def test_a_ring_through_requests_that_wait(system: ak.System) -> None:
    """Whoever waits for an actor waits for what it does before, too: the ring is found while the ask is still queued."""
    one, other = await puppet(system), await puppet(system)
    seen: list[Any] = []

    async def sleep_then_ask(ctx: ak.Context[Any]) -> None:
        await ctx.sleep(1)
        seen.append(await outcome(lambda: one.do(lambda _: "answered")))
        seen.append(ctx.now())

    other.cue(sleep_then_ask)
    await settle()
    assert await one.do(lambda _: other.do(lambda _: "got there")) == "got there"
    assert isinstance(seen[0], ak.CircularAsk)
    assert seen[1] == 1.0


class Cramped(ak.Actor[Add | Note]):
    """Has room for one, and does a test's bidding."""

    mailbox = ak.Mailbox(capacity=1)

    def __init__(self, act: Callable[[], Awaitable[Any]]) -> None:
        self.act = act

    @ak.on(Add)
    async def add(self, msg: Add) -> Any:
        return await self.act()

    @ak.on(Note)
    async def note(self, msg: Note) -> None: ...


async def test_a_ring_through_a_full_mailbox(system: ak.System) -> None:
    """Waiting for room in the mailbox of one who waits for us would never end either."""
    other = await puppet(system)
    ring: list[ak.Ref[Add | Note]] = []

    async def send_back() -> Any:
        ring[0].tell(Note("fills it"))
        return await outcome(lambda: ring[0].send(Note("no room")))

    ring.append(await system.spawn(ak.props(Cramped, lambda: other.do(lambda _: send_back()))))
    found: Any = await ring[0].ask(Add(1))
    assert isinstance(found, ak.CircularAsk)


async def test_a_ring_closed_by_the_one_with_the_full_mailbox(system: ak.System) -> None:
    """The same ring, found from the other side: asking somebody who waits for room here."""
    sender, goes_on = await puppet(system), trio.Event()

    async def ask_the_sender() -> Any:
        await goes_on.wait()
        return await outcome(lambda: sender.do(lambda _: "answered"))

    cramped = await system.spawn(ak.props(Cramped, ask_the_sender))
    seen: list[Any] = []

    async def ask() -> None:
        seen.append(await cramped.ask(Add(1)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await settle()
        cramped.tell(Note("fills it"))
        sender.cue(lambda _: cramped.send(Note("waits for room")))
        await settle()
        goes_on.set()
    assert isinstance(seen[0], ak.CircularAsk)


async def test_a_ring_through_stop_and_start(system: ak.System) -> None:
    """Waiting for the end of one who waits for us, or asking one who waits for our start, is a ring as well."""
    one, other = await puppet(system), await puppet(system)
    stopping = await one.do(lambda _: other.do(lambda _: failure_of(one.ref.stop())))
    assert isinstance(stopping, ak.CircularAsk)
    seen: list[Exception] = []

    class Needy(ak.Actor[Note]):
        async def started(self) -> None:
            seen.append(await failure_of(one.do(lambda _: "answered")))

        @ak.on(Note)
        def note(self, msg: Note) -> None: ...

    await one.do(lambda ctx: ctx.spawn(ak.props(Needy)))
    assert isinstance(seen[0], ak.CircularAsk)


async def test_a_ring_whose_first_ask_timed_out_is_none(system: ak.System) -> None:
    """Once the first asker has given up, it can be asked."""
    one, other = await puppet(system), await puppet(system)
    seen: list[Any] = []

    async def sleep_then_ask(ctx: ak.Context[Any]) -> None:
        await ctx.sleep(2)
        seen.append(await outcome(lambda: one.do(lambda _: "answered")))

    first = await one.do(lambda _: outcome(lambda: other.do(sleep_then_ask, timeout=1)))
    assert isinstance(first, ak.AskTimeout)
    await trio.sleep(3)
    assert seen == ["answered"]


async def test_a_reply_that_was_put_off_closes_no_ring(system: ak.System) -> None:
    """Who put a reply off may ask the asker: it is not known that the answer will come from there."""
    asker = await puppet(system)
    seen: list[Any] = []

    class Curious(ak.Actor[Later | Note]):
        @ak.on(Later)
        def later(self, msg: Later, reply: ak.Reply[int]) -> None:
            self.reply = reply

        @ak.on(Note)
        async def ask(self, msg: Note) -> None:
            seen.append(await outcome(lambda: asker.do(lambda _: "answered", timeout=1)))
            self.reply.send(1)

    curious = await system.spawn(ak.props(Curious))
    asker.cue(lambda _: curious.ask(Later()))
    await settle()
    curious.tell(Note("now"))
    await trio.sleep(2)
    assert isinstance(seen[0], ak.AskTimeout)


async def test_background_work_starts_a_new_chain(system: ak.System) -> None:
    """What an actor's background work asks does not keep the actor from being asked."""
    one, other = await puppet(system), await puppet(system)
    seen: list[Any] = []

    async def work() -> None:
        seen.append(await other.do(lambda _: one.do(lambda _: "answered")))
        seen.append(await one.do(lambda _: "by itself"))

    await one.do(lambda ctx: ctx.start_soon(work))
    await settle()
    assert seen == ["answered", "by itself"]


async def test_a_task_in_another_nursery_closes_no_ring(system: ak.System) -> None:
    """Nor does what a handler's task asks that runs in somebody else's nursery: the actor does not wait for it."""
    one, other = await puppet(system), await puppet(system)
    seen: list[Any] = []

    async def ask() -> None:
        seen.append(await other.do(lambda _: one.do(lambda _: "answered")))

    async with trio.open_nursery() as nursery:
        await one.do(lambda _: nursery.start_soon(ask))
        await settle()
        await other.do(lambda _: one.do(lambda ctx: ctx.sleep(1)))
    assert seen == ["answered"]


async def test_a_ring_does_not_hide_in_a_web(system: ak.System) -> None:
    """Of several tasks that wait, one in a ring is enough; those that wait elsewhere are in nobody's way."""
    hub, spoke, idle = [await puppet(system) for _ in range(3)]

    async def fan_out(ctx: ak.Context[Any]) -> Any:
        results: list[Any] = []

        async def ask(act: Ask) -> None:
            results.append(await act())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ctx.sleep, 1)
            nursery.start_soon(ask, lambda: idle.do(lambda c: c.sleep(1)))
            nursery.start_soon(
                ask, lambda: spoke.do(lambda _: outcome(lambda: hub.do(lambda _: 1)))
            )
        return [result for result in results if result is not None]

    (found,) = await hub.do(fan_out)
    assert isinstance(found, ak.CircularAsk)


def _keep(state: dict[str, Any]) -> dict[str, Any]:
    return state


INSPECTIONS = pytest.mark.parametrize(
    "look",
    [
        lambda system, ref: system.state_of(ref, timeout=None),
        lambda system, ref: system.replace_state(ref, _keep),
    ],
    ids=["state_of", "replace_state"],
)
Look = Callable[[ak.System, ak.Ref[object]], Awaitable[object]]


@INSPECTIONS
async def test_an_actor_cannot_wait_for_a_look_at_itself(system: ak.System, look: Look) -> None:
    """An inspection waits for its turn, which a handler that waits for it never gives: refused at once."""
    one = await puppet(system)

    async def in_scope(_: object) -> Exception:
        found: list[Exception] = []
        with trio.CancelScope():
            found.append(await failure_of(look(system, one.ref)))
        return found[0]

    for attempt in (lambda _: failure_of(look(system, one.ref)), in_scope):
        found = await one.do(attempt)
        assert isinstance(found, ak.CircularAsk)
        assert found.chain == (one.ref.path, one.ref.path)
    assert trio.current_time() == 0.0


@INSPECTIONS
async def test_a_ring_closed_by_an_inspection(system: ak.System, look: Look) -> None:
    """Nor can it look at one who waits for it, however many stand between."""
    one, between, last = [await puppet(system) for _ in range(3)]
    found = await one.do(
        lambda _: between.do(lambda _: last.do(lambda _: failure_of(look(system, one.ref))))
    )
    assert isinstance(found, ak.CircularAsk)
    assert found.chain == tuple(p.ref.path for p in (last, one, between, last))


@INSPECTIONS
async def test_a_ring_closed_on_an_inspection(system: ak.System, look: Look) -> None:
    """Asking somebody who waits for a look at the asker is the same ring."""
    one, other = await puppet(system), await puppet(system)
    seen: list[Exception] = []

    async def ask_back(ctx: ak.Context[Any]) -> None:
        await ctx.sleep(1)
        seen.append(await failure_of(one.do(lambda _: "answered")))

    other.cue(ask_back)
    await settle()
    await one.do(lambda _: look(system, other.ref))
    assert isinstance(seen[0], ak.CircularAsk)
    assert trio.current_time() == 1.0


async def test_background_work_may_look_at_its_own_actor(system: ak.System) -> None:
    """Nobody waits for background work, so its look at the actor closes no ring."""
    one = await puppet(system)
    seen: list[object] = []

    async def work() -> None:
        seen.append((await system.state_of(one.ref))["log"])

    await one.do(lambda ctx: ctx.start_soon(work))
    await settle()
    assert seen == [one.log]


async def test_a_wrong_time_limit_leaves_no_inspection(system: ak.System) -> None:
    """An inspection that is refused where it was ordered changes nothing."""
    one = await puppet(system)
    with pytest.raises(ValueError, match="seconds"):
        await system.replace_state(one.ref, lambda _: {"log": []}, timeout=-1)
    one.ref.tell(Note("after"))
    await settle()
    assert one.log == [Note("after")]
