"""Bugs of journals: what is acknowledged and then lost, or found and never written, when the power goes.

Each is the journal below with one method that does it wrong. What it must stand is in ``actorkit.seams.disk``.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from zlib import crc32

import attrs
import trio

import actorkit as ak
from actorkit.testing import Sim, kill_actor
from actorkit.testing.disk import MemoryDisk
from tests.planted.registry import planted

HEADER = struct.Struct(">BHI")  # magic, length, checksum
MAGIC = 0x4A


@ak.message
class Append(ak.Request[None]):
    word: str


@ak.message
class Words(ak.Request[tuple[str, ...]]): ...


class NotWritten(ak.Refused):
    """The word is not in the journal."""


class Machine:
    """What outlives a journal's process: the disk, which takes some seconds for each write."""

    def __init__(self, delay: float = 0.0) -> None:
        self.disk = MemoryDisk()
        self.delay = delay


class Journal(ak.Actor[Append | Words]):
    """Keeps words, each once, and answers when they are safe."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def started(self) -> None:
        disk = self.machine.disk
        self.file, self.starts = disk.open("journal"), disk.open("starts")
        self.starts.append(b".")
        self.starts.sync()
        self.epoch = self.starts.size()
        self.words = self.recover()
        self.secure()

    def recover(self) -> list[str]:
        """Read what is whole, and cut off the rest."""
        records = list(self.records(self.file.read()))
        self.file.truncate(sum(HEADER.size + len(body) for body in records))
        return [body.decode() for body in records]

    def records(self, data: bytes) -> Iterator[bytes]:
        """The bodies of all records up to the first that is broken."""
        while len(data) >= HEADER.size:
            magic, length, checksum = HEADER.unpack_from(data)
            body = data[HEADER.size : HEADER.size + length]
            if not self.is_whole(magic, length, checksum, body):
                return
            yield body
            data = data[HEADER.size + length :]

    def is_whole(self, magic: int, length: int, checksum: int, body: bytes) -> bool:
        """Whether a record is as it was written; of an empty one the zeros of a torn write could make one."""
        return magic == MAGIC and 0 < length == len(body) and crc32(body) == checksum

    def secure(self) -> None:
        """Make durable what was recovered, and the names of the files."""
        self.file.sync()
        self.machine.disk.sync_dir()

    @ak.on(Append)
    async def append(self, msg: Append, reply: ak.Reply[None]) -> None:
        try:
            if msg.word not in self.words:
                await self.write(msg.word.encode(), reply)
                self.words.append(msg.word)
            reply.send(None)
        except NotWritten as error:
            reply.refuse(error)

    async def write(self, body: bytes, reply: ak.Reply[None]) -> None:
        """Write a record and make it durable."""
        record = HEADER.pack(MAGIC, len(body), crc32(body)) + body
        await self.wait_for_the_disk()
        self.check_epoch()
        self.put(record)
        await self.ctx.offload(self.file.sync)

    async def wait_for_the_disk(self) -> None:
        """A write has begun: like any thread's work it cannot be stopped any more."""
        if self.machine.delay:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.machine.delay)

    def check_epoch(self) -> None:
        """See that no later incarnation has taken over."""
        if self.starts.size() != self.epoch:
            raise NotWritten("another incarnation has taken over")

    def put(self, record: bytes) -> None:
        """Append a record, or nothing."""
        size = self.file.size()
        try:
            self.file.append(record)
        except OSError as error:
            self.file.truncate(size)
            raise NotWritten(str(error)) from error

    @ak.on(Words)
    def read(self, msg: Words) -> tuple[str, ...]:
        return tuple(self.words)


# Faults -------------------------------------------------------------------------------------------------------------


def _journal(sim: Sim) -> tuple[Machine, ak.Ref[Append | Words]] | None:
    """The journal that runs, and the machine it runs on."""
    for cell in sim.system.runtime.cells.values():
        if isinstance(cell.actor, Journal):
            return cell.actor.machine, cell.ref
    return None


@attrs.frozen
class PowerCut:
    """The machine goes down: of what was not synced, the disk keeps what it likes."""

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        found = _journal(sim)
        if found is None:
            return None
        machine, journal = found
        machine.disk = machine.disk.power_cut(arg)
        journal.kill()
        return "power cut"


@attrs.frozen
class Kill9:
    """The process goes down: the disk's cache is still there."""

    def strike(self, sim: Sim, _: int, /) -> str | None:
        found = _journal(sim)
        if found is None:
            return None
        machine, journal = found
        machine.disk = machine.disk.kill9()
        journal.kill()
        return "kill -9"


@attrs.frozen
class DiskFull:
    """The next append finds room for some bytes only."""

    def strike(self, sim: Sim, arg: int, /) -> str | None:
        found = _journal(sim)
        if found is None:
            return None
        error = OSError(errno.ENOSPC, "no space left")
        found[0].disk.fail_next("append", error, written=arg % 8)
        return "disk full"


# The test -----------------------------------------------------------------------------------------------------------


async def keeps_its_word(sim: Sim, journal: type[Journal], *, delay: float = 0.0) -> None:
    """What was acknowledged is there, once, and nothing else, after any number of crashes."""
    spec = ak.Child("journal", ak.props(journal, Machine(delay)))
    ref = (await sim.start(ak.supervise(spec, max_restarts=50))).child(spec)
    words = ("one", "two", "three")
    acknowledged = [word for word in words if await _appended(sim, ref, word)]
    sim.heal()
    ref.kill()  # what it remembers is not what it wrote
    found = await ref.ask(Words(), timeout=None)
    assert set(found) <= set(words), f"found what nobody wrote: {found}"
    assert len(found) == len(set(found)), f"found twice what was written once: {found}"
    assert set(acknowledged) <= set(found), f"lost what was acknowledged: {acknowledged}, {found}"


async def _appended(sim: Sim, journal: ak.Ref[Append | Words], word: str) -> bool:
    """Append a word, again and again while the journal dies of it."""
    while True:
        try:
            await journal.ask(Append(word), timeout=None)
            return True
        except ak.ActorDied:
            sim.note(f"asks for {word!r} again")
        except NotWritten:
            return False


# What goes wrong ----------------------------------------------------------------------------------------------------

LOST = "lost what was acknowledged"
INVENTED = "found what nobody wrote"


class Hasty(Journal):
    async def write(self, body: bytes, reply: ak.Reply[None]) -> None:
        reply.send(None)
        await super().write(body, reply)


@planted(shows=LOST, budget=50, faults=[PowerCut()])
async def acknowledged_before_the_write(sim: Sim, wrong: bool) -> None:
    """The journal says that it is done before it is, and the power goes in between."""
    await keeps_its_word(sim, Hasty if wrong else Journal)


class Gullible(Journal):
    def is_whole(self, magic: int, length: int, checksum: int, body: bytes) -> bool:
        return magic == MAGIC


@planted(shows=INVENTED, budget=120, faults=[PowerCut()])
async def torn_tail_accepted(sim: Sim, wrong: bool) -> None:
    """The power goes in the midst of a write, and recovery takes the half record for a whole one."""
    await keeps_its_word(sim, Gullible if wrong else Journal)


class Indiscriminate(Journal):
    def is_whole(self, magic: int, length: int, checksum: int, body: bytes) -> bool:
        return len(body) == length and crc32(body) == checksum


@planted(shows=INVENTED, budget=300, faults=[PowerCut()])
async def zeros_taken_for_a_record(sim: Sim, wrong: bool) -> None:
    """A power cut leaves zeros at the end of the file, and zeros alone are a valid record without content."""
    await keeps_its_word(sim, Indiscriminate if wrong else Journal)


class Trusting(Journal):
    def secure(self) -> None:
        self.machine.disk.sync_dir()


@planted(shows=LOST, budget=1500, faults=[PowerCut(), Kill9()])
async def recovered_from_the_cache(sim: Sim, wrong: bool) -> None:
    """After a crash the journal serves what it found in the disk's cache without syncing it, and then the power goes."""
    await keeps_its_word(sim, Trusting if wrong else Journal)


class Nameless(Journal):
    def secure(self) -> None:
        self.file.sync()


@planted(shows=LOST, budget=100, faults=[PowerCut()])
async def name_not_synced(sim: Sim, wrong: bool) -> None:
    """The file is synced and its entry in the directory is not, so a power cut takes the whole file."""
    await keeps_its_word(sim, Nameless if wrong else Journal)


class Careless(Journal):
    def put(self, record: bytes) -> None:
        try:
            self.file.append(record)
        except OSError as error:
            raise NotWritten(str(error)) from error


@planted(shows=LOST, budget=60, faults=[DiskFull()])
async def short_write_left_behind(sim: Sim, wrong: bool) -> None:
    """A write fails half-way for want of room; what is written later stands behind the half record and is never found."""
    await keeps_its_word(sim, Careless if wrong else Journal)


class Unfenced(Journal):
    def check_epoch(self) -> None:
        """Trust that there is no other."""


@planted(shows="found twice", budget=60, faults=[kill_actor()])
async def write_of_the_dead(sim: Sim, wrong: bool) -> None:
    """A killed journal's write is still under way; it lands after the next incarnation has taken over."""

    async def client() -> None:
        await keeps_its_word(sim, Unfenced if wrong else Journal, delay=2.0)

    async def passer_by() -> None:
        for _ in range(12):  # so that there are moments in the midst of a write
            await trio.sleep(0.5)

    await sim.together(client, passer_by)
