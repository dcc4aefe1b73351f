"""Wrong bytes for everything that reads the wire: ``python -m tests.cluster.fuzz_frames --count N --seed S``.

Each case takes something valid, damages it, and hands it to what would read it: a stream to the reader of frames, and, as if
the peer itself had sent them and every check had passed, bodies and lists of ops to ``parse`` and fragments to the
assembler. Nothing but ``ProtocolError`` may be raised, nothing believed that was not sent, no more kept than the limits
allow. A case depends only on the seed and its number, so ``--first`` repeats it alone.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from actorkit.cluster import frames
from actorkit.cluster.outbox import Outbox
from actorkit.cluster.wire import Assembler, FrameReader, FrameWriter, parse
from actorkit.codec import pack_plain
from actorkit.errors import ProtocolError

KEY = bytes(range(32))
MAX_FRAME, MAX_MESSAGE, MAX_OPEN = 4096, 8192, 4


def _nested(depth: int) -> list[Any]:
    return [_nested(depth - 1)] if depth else []


# Bytes that mean something: ends of ranges, and the heads of msgpack's longer types.
_TELLING = bytes((0, 1, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, *range(0xC0, 0xE0), 0xE0, 0xFF))
_LENGTHS = (0, 1, 16, 17, MAX_FRAME, MAX_FRAME + 1, MAX_MESSAGE, MAX_MESSAGE + 1, 2**31, 2**32 - 1)
_PLAIN: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 6, 2**63, 2**64 - 1, -(2**63), 0.0, 1.0, float("nan")),
    *(float("inf"), "", "name", "x" * 300, b"", b"\xff" * 40, [], [1], [[]], [["b", 7, 1, "/x"]]),
    *({}, {1: 2}, {"a": []}, {1.5: None}, [[[[[[[[[[]]]]]]]]]], _nested(40)),
)
_OPS: tuple[list[Any], ...] = (
    [frames.TELL, 7, 1, ["hello", 42]],
    [frames.TELL, "echo", 1, []],
    [frames.ASK, 7, 3, 1, [1.5, None], 9, 5.0, [["a", 1, 9, "/asker"]]],
    [frames.REPLY, 3, {1: [2, 3]}],
    [frames.FAIL, 3, ["ActorDied", "/x", [1]]],
    [frames.ABANDON, 3],
    [frames.DEFINE, 1, "app.Hello", 1],
    [frames.WATCH, 7, 9, 2],
    [frames.UNWATCH, 9, 2],
    [frames.DOWN, 9, 2, 7, [1, "boom"]],
    [frames.LINK, 9, 7],
    [frames.UNLINK, 9, 7],
    [frames.EXIT, 9, 8, 7, [0], True],
    [frames.STOP, 7, 4, [0], None, "kill", 9],
    [frames.STREAM, 7, 5, 1, ["rows"], 9, 16],
    [frames.ITEM, 5, b"row"],
    [frames.END, 5, None],
    [frames.CREDIT, 5, 8],
    [frames.REQUEST, 6, 2, ["/"]],
    [frames.PEERS, [["b", "127.0.0.1:4370"]]],
    [frames.BYE, "closed"],
)
_BODIES: tuple[bytes, ...] = (
    *(pack_plain([op]) for op in _OPS),
    pack_plain(_OPS),
    pack_plain(_OPS[:1] * 40),
)


def damaged(rng: Random, data: bytes) -> bytes:
    """The bytes after one to three accidents."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(changed) + 1)
        upto = at + rng.choice((1, 1, 2, 4, 30))
        accident = rng.randrange(7)
        if accident == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif accident == 1:
            changed[at : at + 1] = bytes((rng.choice(_TELLING),))
        elif accident == 2:
            changed[at : at + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(_LENGTHS))
        elif accident == 3:
            del changed[at:upto]
        elif accident == 4:
            changed[at:at] = changed[at:upto]
        elif accident == 5:
            changed[at:at] = rng.randbytes(upto - at)
        else:
            del changed[rng.randrange(at + 1) :]
    return bytes(changed)


def fuzz_stream(rng: Random) -> None:
    """A damaged stream, in chunks: the reader believes nothing from the first damage on, and keeps one frame at most."""
    writer, reader = FrameWriter(KEY), FrameReader(KEY, MAX_FRAME)
    sent = [(frames.OPS, rng.choice(_BODIES)) for _ in range(rng.randrange(1, 4))]
    stream = [writer.frame(*frame) for frame in sent]
    if rng.randrange(4) == 0:
        rng.shuffle(stream)
        stream += stream[: rng.randrange(2)]
    data = b"".join(stream)
    if rng.randrange(4):
        data = damaged(rng, data)
    step = rng.choice((1 + len(data) // 7, 40, len(data) or 1))
    found: list[tuple[int, bytes]] = []
    try:
        for at in range(0, len(data), step):
            found += reader.feed(data[at : at + step])
            _hold(reader.held <= MAX_FRAME + 4, "the reader keeps more than a frame")
    finally:
        _hold(found == sent[: len(found)], "the reader believes what was not sent")


def fuzz_body(rng: Random) -> None:
    """A damaged body of an OPS frame."""
    _judge(damaged(rng, rng.choice(_BODIES)))


def fuzz_ops(rng: Random) -> None:
    """A list of ops with wrong, missing, additional and nested values."""
    ops: list[Any] = [list(op) for op in rng.choices(_OPS, k=rng.randrange(1, 4))]
    lists = [ops, *ops]
    for _ in range(rng.choice((1, 1, 2))):
        target = rng.choice(lists)
        at = rng.randrange(len(target) + 1)
        target[at : at + rng.randrange(2)] = rng.choices(_PLAIN, k=rng.choice((0, 1, 1, 1, 2)))
    _judge(pack_plain(ops if rng.randrange(30) else rng.choice(_PLAIN)))


def fuzz_fragments(rng: Random) -> None:
    """Fragments that are damaged, lost, repeated and out of order."""
    outbox = Outbox(1, 1, 100, max_message=MAX_MESSAGE, max_open=MAX_OPEN)
    for sender in range(rng.randrange(1, 4)):
        op = [frames.TELL, sender, 1, [bytes(rng.randrange(100, 400))]]
        outbox.put(pack_plain(op), sender)
    bodies: list[bytes] = []
    while (taken := outbox.take()) is not None:
        bodies.append(b"".join(taken[1]) if isinstance(taken[1], list) else taken[1])
    for _ in range(rng.randrange(3)):
        at = rng.randrange(len(bodies))
        bodies[at : at + rng.randrange(2)] = rng.choices(bodies, k=rng.randrange(1, 3))
    at = rng.randrange(len(bodies))
    bodies[at] = damaged(rng, bodies[at])
    assembler = Assembler(MAX_MESSAGE, MAX_OPEN)
    for body in bodies:
        whole = assembler.add(body)
        _hold(assembler.held <= MAX_MESSAGE, "the assembler keeps more than a message")
        if whole is not None:
            _judge(whole)


CASES: tuple[Callable[[Random], None], ...] = (fuzz_stream, fuzz_body, fuzz_ops, fuzz_fragments)


def fuzz(count: int, seed: int, first: int = 0) -> Counter[str]:
    """Run cases; how many of each sort were refused, and how many had nothing wrong with them."""
    outcomes: Counter[str] = Counter()
    for number in range(first, first + count):
        case = CASES[number % len(CASES)]
        outcome = "taken"
        try:
            case(Random((seed << 40) + number))
        except ProtocolError:
            outcome = "refused"
        except BaseException as error:
            error.add_note(f"repeat it with --seed {seed} --first {number} --count 1")
            raise
        outcomes[f"{case.__name__} {outcome}"] += 1
    return outcomes


def _judge(body: bytes) -> None:
    """Parse a body: what passes must be ops of legal forms."""
    for op in parse(body):
        legal = tuple(map(type, op)) in frames.LEGAL[op[0]]
        _hold(legal, f"parse lets through {op!r}")


def _hold(law: bool, broken: str) -> None:
    """Like an assertion, in any mode of the interpreter."""
    if not law:
        raise RuntimeError(broken)


def main() -> None:
    """Run the cases the command line asks for, and print what became of them."""
    parser = argparse.ArgumentParser(description="Damaged frames, bodies, ops and fragments.")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    options = parser.parse_args()
    for name, number in sorted(fuzz(options.count, options.seed, options.first).items()):
        sys.stdout.write(f"{name}: {number}\n")


if __name__ == "__main__":
    main()
