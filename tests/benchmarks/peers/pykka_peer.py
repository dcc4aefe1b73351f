"""Pykka: a thread and a queue for each actor."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import pykka

from tests.benchmarks.peers.answering import answer, require

CHUNK = 1_000
WIDTH = 1_000


@dataclass(frozen=True, slots=True)
class Add:
    n: int


class Counter(pykka.ThreadingActor):
    """Adds up what it is sent and sets an event at the wanted total."""

    def __init__(self, wanted: int = -1, reached: threading.Event | None = None) -> None:
        super().__init__()
        self.total = 0
        self.wanted = wanted
        self.reached = reached or threading.Event()
        self.hook_ran = False

    def on_start(self) -> None:
        self.hook_ran = True

    def on_receive(self, message: Any) -> Any:
        self.total += message.n
        if self.total == self.wanted:
            self.reached.set()
        return self.total


class Caller(pykka.ThreadingActor):
    """Asks another actor many times in one handler."""

    def __init__(self, callee: pykka.ActorRef) -> None:
        super().__init__()
        self.callee = callee

    def on_receive(self, message: Any) -> Any:
        total = 0
        for _ in range(message.n):
            total = self.callee.ask(Add(1), timeout=5.0)
        return total


class Player(pykka.ThreadingActor):
    """Sends the ball back to its partner until none are left."""

    def __init__(self, rallies: int, over: threading.Event) -> None:
        super().__init__()
        self.left = rallies
        self.over = over
        self.partner: pykka.ActorRef = self.actor_ref

    def on_receive(self, message: Any) -> None:
        if isinstance(message, pykka.ActorRef):
            self.partner = message
            return
        self.left -= 1
        if self.left < 0:
            self.over.set()
        else:
            self.partner.tell(Add(message.n))


def tell_flood(size: int) -> float:
    """Messages per second told to one actor from outside."""
    sink = Counter.start()
    begin = time.perf_counter()
    for start in range(0, size, CHUNK):
        for _ in range(min(CHUNK, size - start)):
            sink.tell(Add(1))
        total = sink.ask(Add(0))
    seconds = time.perf_counter() - begin
    require("total", total, size)
    return size / seconds


def ask_actor_to_actor(size: int) -> float:
    """Calls per second of one actor by another."""
    caller = Caller.start(Counter.start())
    begin = time.perf_counter()
    total = caller.ask(Add(size))
    seconds = time.perf_counter() - begin
    require("total", total, size)
    return size / seconds


def ask_from_task(size: int) -> float:
    """Calls per second of an actor from outside."""
    counter = Counter.start()
    begin = time.perf_counter()
    for _ in range(size):
        total = counter.ask(Add(1), timeout=5.0)
    seconds = time.perf_counter() - begin
    require("total", total, size)
    return size / seconds


def ping_pong(size: int) -> float:
    """Round trips per second between two actors."""
    over = threading.Event()
    ping, pong = Player.start(size, over), Player.start(size, over)
    ping.tell(pong)
    pong.tell(ping)
    begin = time.perf_counter()
    ping.tell(Add(1))
    over.wait()
    return size / (time.perf_counter() - begin)


def fan_out(size: int) -> float:
    """Messages per second told to many actors in turn."""
    width = min(WIDTH, size)
    each = size // width
    reached = [threading.Event() for _ in range(width)]
    sinks = [Counter.start(each, event) for event in reached]
    begin = time.perf_counter()
    for _ in range(each):
        for sink in sinks:
            sink.tell(Add(1))
    for event in reached:
        event.wait()
    return each * width / (time.perf_counter() - begin)


def spawn(size: int) -> float:
    """Microseconds for each actor that is ready."""
    begin = time.perf_counter()
    refs = [Counter.start() for _ in range(size)]
    seconds = time.perf_counter() - begin
    # start() returns before on_start ran; an ask is what shows that it did.
    require("replies", sum(ref.ask(Add(1)) for ref in refs), size)
    return seconds * 1e6 / size


def start_stop(size: int) -> float:
    """Actors started and stopped per second."""
    begin = time.perf_counter()
    for _ in range(size):
        Counter.start().stop()
    return size / (time.perf_counter() - begin)


def _afterwards_stopped(work: Any) -> Any:
    def run(size: int) -> float:
        try:
            return work(size)
        finally:
            pykka.ActorRegistry.stop_all()

    return run


if __name__ == "__main__":
    works = (
        tell_flood,
        ask_actor_to_actor,
        ask_from_task,
        ping_pong,
        fan_out,
        spawn,
        start_stop,
    )
    answer("pykka", {work.__name__: _afterwards_stopped(work) for work in works})
