"""Asks that would wait for each other for ever, across nodes: found at once, with the chain, and forgotten when they are over."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import actorkit as ak
from tests.cluster.two_nodes import (
    Ping,
    Player,
    nodes,
    play,
    player,
    quiet,
    seen,
    until,
)


class Cramped(Player):
    """Has room for one."""

    mailbox = ak.Mailbox(capacity=1)


# Circles -------------------------------------------------------------------------------------------------------------


def ask_for(ref: ak.Ref[Any], message: Any) -> Any:
    """A part: ask somebody something, and answer with that, or with the circle that was found."""

    async def part(_: ak.Context[Any]) -> Any:
        try:
            return await ref.ask(message, timeout=None)
        except ak.CircularAsk as error:
            return list(error.chain)

    return part


async def test_a_circle_of_two_nodes_is_found() -> None:
    """One asks the other, who asks back: refused at once, with the chain of paths."""
    async with nodes("a", "b") as (a, b):
        one, other = await player(a), await player(b)
        there, back = await seen(a, other), await seen(b, one)
        chain = await one.do(ask_for(there, play(ask_for(back, Ping()))))
        assert chain == [other.ref.path, f"a:{one.ref.path}", other.ref.path]
        assert await one.do(ask_for(there, Ping())) == other.ref.path


async def test_a_circle_through_a_local_hop_is_found() -> None:
    """From a to b, to its neighbour there, and back to a."""
    async with nodes("a", "b") as (a, b):
        one, other, third = await player(a), await player(b), await player(b)
        there, back = await seen(a, other), await seen(b, one)
        inner = play(ask_for(back, Ping()))
        chain = await one.do(ask_for(there, play(ask_for(third.ref, inner))))
        path = third.ref.path
        assert chain == [path, f"a:{one.ref.path}", other.ref.path, path]


async def test_a_circle_of_three_nodes_is_found() -> None:
    """From a to b to c, and back to a."""
    async with nodes("a", "b", "c") as (a, b, c):
        one, two, three = await player(a), await player(b), await player(c)
        to_two, to_three, to_one = await seen(a, two), await seen(b, three), await seen(c, one)
        inner = play(ask_for(to_one, Ping()))
        chain = await one.do(ask_for(to_two, play(ask_for(to_three, inner))))
        path = three.ref.path
        assert chain == [path, f"a:{one.ref.path}", f"b:{two.ref.path}", path]


async def test_a_circle_back_to_the_first_of_two_on_one_node_is_found() -> None:
    """While a1 asks a2, a2 asks b, b asks a1, who is not the one that asked b."""
    async with nodes("a", "b") as (a, b):
        first, second, other = await player(a), await player(a), await player(b)
        there, back = await seen(a, other), await seen(b, first)
        inner = play(ask_for(there, play(ask_for(back, Ping()))))
        chain = await first.do(ask_for(second.ref, inner))
        path = other.ref.path
        assert chain == [path, f"a:{first.ref.path}", f"a:{second.ref.path}", path]


async def test_a_circle_over_there_is_found() -> None:
    """When a asks b, b asks its neighbour, who asks b: the circle lies wholly on the other node."""
    async with nodes("a", "b") as (a, b):
        one, other, third = await player(a), await player(b), await player(b)
        there = await seen(a, other)
        inner = play(ask_for(other.ref, Ping()))
        chain = await one.do(ask_for(there, play(ask_for(third.ref, inner))))
        assert chain == [third.ref.path, other.ref.path, third.ref.path]


async def test_a_refused_circle_leaves_no_trace() -> None:
    """Once the chain has dissolved the same asks go through: nobody is thought to wait still."""
    async with nodes("a", "b", "c") as (a, b, c):
        one, two, three = await player(a), await player(b), await player(c)
        to_two, to_three, to_one = await seen(a, two), await seen(b, three), await seen(c, one)
        c_two, b_one = await seen(c, two), await seen(b, one)
        for _ in range(3):
            inner = play(ask_for(to_one, Ping()))
            await one.do(ask_for(to_two, play(ask_for(to_three, inner))))
            await one.do(ask_for(to_two, play(ask_for(b_one, Ping()))))
        assert await three.do(ask_for(c_two, play(ask_for(b_one, Ping())))) == one.ref.path
        assert await three.do(ask_for(to_one, play(ask_for(to_two, Ping())))) == two.ref.path
        assert await two.do(ask_for(to_three, play(ask_for(to_one, Ping())))) == one.ref.path


async def test_a_full_mailbox_or_a_dead_callee_leaves_no_trace_of_those_who_waited() -> None:
    """A request that is turned away over there is over: its asker and those behind it do not wait for that actor."""
    async with nodes("a", "b", "c") as (a, b, c):
        log: list[object] = []
        one, two = await player(a), await player(b)
        cramped = await c.spawn(ak.props(Cramped, log), name="cramped")
        to_two, to_cramped, to_one = (
            await seen(a, two), await seen(b, cramped), await seen(c, one),
        )  # fmt: skip
        go_on = trio.Event()

        async def turned_away(_: ak.Context[Any]) -> str:
            with pytest.raises(ak.MailboxFull):
                await to_cramped.ask(Ping())
            return "turned away"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cramped.ask, play(lambda _: go_on.wait()))
            await quiet()
            nursery.start_soon(cramped.ask, Ping())
            await quiet()
            assert await one.do(ask_for(to_two, play(turned_away))) == "turned away"
            go_on.set()
        await quiet()
        inner = play(ask_for(to_one, Ping()))
        assert await two.do(ask_for(to_cramped, inner)) == one.ref.path


async def test_background_work_starts_a_new_chain() -> None:
    """What a handler has started in the background may ask whoever waits for the handler."""
    async with nodes("a", "b") as (a, b):
        one, other = await player(a), await player(b)
        there, back = await seen(a, other), await seen(b, one)
        answers: list[str] = []

        async def work() -> None:
            answers.append(await back.ask(Ping()))

        await one.do(ask_for(there, play(lambda ctx: ctx.start_soon(work))))
        await until(lambda: answers)
        assert answers == [one.ref.path]
