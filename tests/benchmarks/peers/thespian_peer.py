"""Thespian: a process for each actor, over TCP on the loopback interface."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

from thespian.actors import Actor, ActorSystem

from tests.benchmarks.peers.answering import answer, require

CHUNK = 100
LIMIT = 60.0


class Counter(Actor):
    """Adds up numbers and answers ("total",)."""

    total = 0

    def receiveMessage(self, message: Any, sender: Any) -> None:  # noqa: N802
        if isinstance(message, int):
            self.total += message
        elif message == ("total",):
            self.send(sender, self.total)


class Player(Actor):
    """Sends the ball back to its partner; the one with the rallies answers when they are over."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # noqa: N802
        match message:
            case ("play", rallies, partner):
                self.asker, self.left, self.partner = sender, rallies, partner
                self.send(partner, ("ball",))
            case ("ball",):
                self.send(sender, ("back",))
            case ("back",):
                self.left -= 1
                if self.left:
                    self.send(self.partner, ("ball",))
                else:
                    self.send(self.asker, "over")


def tell_flood(size: int) -> float:
    """Messages per second told to one actor from outside."""
    with _system() as system:
        sink = system.createActor(Counter)
        begin = time.perf_counter()
        for start in range(0, size, CHUNK):
            for _ in range(min(CHUNK, size - start)):
                system.tell(sink, 1)
            total = system.ask(sink, ("total",), LIMIT)
        seconds = time.perf_counter() - begin
    require("total", total, size)
    return size / seconds


def ask_from_task(size: int) -> float:
    """Calls per second of an actor from outside."""
    with _system() as system:
        counter = system.createActor(Counter)
        begin = time.perf_counter()
        for _ in range(size):
            total = system.ask(counter, ("total",), LIMIT)
        seconds = time.perf_counter() - begin
    require("total", total, 0)
    return size / seconds


def ping_pong(size: int) -> float:
    """Round trips per second between two actors."""
    with _system() as system:
        ping, pong = system.createActor(Player), system.createActor(Player)
        begin = time.perf_counter()
        over = system.ask(ping, ("play", size, pong), LIMIT)
        seconds = time.perf_counter() - begin
    require("last word", over, "over")
    return size / seconds


def spawn(size: int) -> float:
    """Microseconds for each actor that is ready."""
    with _system() as system:
        begin = time.perf_counter()
        for _ in range(size):
            actor = system.createActor(Counter)
            require("first reply", system.ask(actor, ("total",), LIMIT), 0)
        return (time.perf_counter() - begin) * 1e6 / size


@contextlib.contextmanager
def _system() -> Iterator[Any]:
    port = 20_000 + os.getpid() % 20_000
    system = ActorSystem("multiprocTCPBase", {"Admin Port": port})
    try:
        yield system
    finally:
        system.shutdown()


if __name__ == "__main__":
    works = (tell_flood, ask_from_task, ping_pong, spawn)
    answer("thespian", {work.__name__: work for work in works})
