"""Bare bytes over trio's loopback TCP between two processes: no messages, no msgpack, about as many bytes as actorkit's."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Awaitable, Callable

import trio

from tests.benchmarks.beside import beside
from tests.benchmarks.peers.answering import Work, answer, require
from tests.benchmarks.tcp import listen_until_told

MODULE = "tests.benchmarks.peers.trio_tcp_peer"
SERVE = "serve"

# What a told message, a question and its answer take on actorkit's wire, frames and proofs included.
TOLD = 14
QUESTION = 64
ANSWER = 32
MEBIBYTE = 1 << 20
CHUNK = 1_000
WIDTH = 1_000


async def _serve(stream: trio.SocketStream, question: int, reply: int) -> None:
    """Count bytes; whenever those of a question are there, send those of an answer."""
    received = 0
    async with stream:
        async for data in stream:
            received += len(data)
            whole, received = divmod(received, question)
            if whole:
                await stream.send_all(bytes(whole * reply))


async def _receive(stream: trio.SocketStream, wanted: int) -> None:
    while wanted:
        data = await stream.receive_some(wanted)
        require("connected", bool(data), True)
        wanted -= len(data)


async def remote_tell(stream: trio.SocketStream, size: int) -> float:
    """So many messages' bytes, a thousand in a write, per second."""
    begin = time.perf_counter()
    for start in range(0, size, CHUNK):
        await stream.send_all(bytes(TOLD * min(CHUNK, size - start)))
    await _receive(stream, ANSWER)
    return size / (time.perf_counter() - begin)


async def remote_ask(stream: trio.SocketStream, size: int) -> float:
    """Round trips per second, one at a time."""
    question = bytes(QUESTION)
    begin = time.perf_counter()
    for _ in range(size):
        await stream.send_all(question)
        await _receive(stream, ANSWER)
    return size / (time.perf_counter() - begin)


async def remote_ask_pipelined(stream: trio.SocketStream, size: int) -> float:
    """Round trips per second with a thousand under way."""
    begin = time.perf_counter()
    under_way = min(WIDTH, size)
    await stream.send_all(bytes(QUESTION * under_way))
    unsent, answered = size - under_way, 0
    while answered < size * ANSWER:
        data = await stream.receive_some()
        require("connected", bool(data), True)
        before, answered = answered, answered + len(data)
        more = min(unsent, answered // ANSWER - before // ANSWER)
        if more:
            unsent -= more
            await stream.send_all(bytes(QUESTION * more))
    return size / (time.perf_counter() - begin)


async def remote_bulk(stream: trio.SocketStream, size: int) -> float:
    """Megabytes per second in writes of 1 MiB, and nothing beside them."""
    blob = bytes(MEBIBYTE)
    begin = time.perf_counter()
    for _ in range(size):
        await stream.send_all(blob)
    await _receive(stream, ANSWER)
    return size * MEBIBYTE / 1e6 / (time.perf_counter() - begin)


def _between(
    work: Callable[[trio.SocketStream, int], Awaitable[float]], question: Callable[[int], int]
) -> Work:
    async def connected(port: int, size: int) -> float:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            return await work(stream, size)

    def run(size: int) -> float:
        with beside(MODULE, SERVE, str(question(size)), str(ANSWER)) as other:
            return trio.run(connected, other.hear(), size)

    return run


WORKS: dict[str, Work] = {
    "remote_tell": _between(remote_tell, lambda size: size * TOLD),
    "remote_ask": _between(remote_ask, lambda _: QUESTION),
    "remote_ask_pipelined": _between(remote_ask_pipelined, lambda _: QUESTION),
    "remote_bulk": _between(remote_bulk, lambda size: size * MEBIBYTE),
}


def _main() -> None:
    if sys.argv[1] == SERVE:
        question, reply = map(int, sys.argv[2:])
        serve = functools.partial(_serve, question=question, reply=reply)
        trio.run(listen_until_told, serve)
    else:
        answer("trio_tcp", WORKS)


if __name__ == "__main__":
    _main()
