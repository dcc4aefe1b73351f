"""Crash states: a careful program survives every one of them, and a careless one is caught."""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import count

import attrs
import pytest

from actorkit.seams.disk import Disk, File
from actorkit.testing.crash import CrashState, crash_states
from actorkit.testing.disk import MemoryDisk
from actorkit.testing.platter import Tears, edges, every_byte

HEADER = struct.Struct("<II")  # length, checksum
LAST = 10


# A journal of numbers, careful unless told otherwise ----------------------------------------------------------


@attrs.frozen
class Bugs:
    """What a careless journal leaves out."""

    acknowledges_early: bool = False
    keeps_torn_tail: bool = False
    takes_zeros_for_a_record: bool = False
    no_sync_on_recovery: bool = False
    no_sync_dir: bool = False
    goes_on_after_short_write: bool = False
    ignores_failed_sync: bool = False


def framed(number: int) -> bytes:
    """A record as it stands in the file."""
    body = b"%d" % number
    return HEADER.pack(len(body), zlib.crc32(body)) + body


def records(data: bytes, bugs: Bugs) -> Iterator[tuple[int, int]]:
    """The numbers in a file, with the offset behind each, up to the first that is not whole."""
    place = 0
    while place + HEADER.size <= len(data):
        length, checksum = HEADER.unpack_from(data, place)
        body = data[place + HEADER.size : place + HEADER.size + length]
        # Zeros are a record of no bytes: its checksum is 0 as well.
        sound = len(body) == length and zlib.crc32(body) == checksum
        if not sound or (length == 0 and not bugs.takes_zeros_for_a_record):
            return
        place += HEADER.size + length
        yield int(body or b"0"), place


class Journal:
    """An append-only file of numbers."""

    def __init__(self, disk: Disk, bugs: Bugs) -> None:
        self.bugs = bugs
        self.file: File = disk.open("journal")
        if not bugs.no_sync_dir:
            disk.sync_dir()
        self.numbers: list[int] = []
        good = 0
        for number, good in records(self.file.read(), bugs):  # noqa: B007
            self.numbers.append(number)
        if not bugs.keeps_torn_tail and good < self.file.size():
            self.file.truncate(good)
        if not bugs.no_sync_on_recovery:
            self.file.sync()

    def append(self, number: int, acknowledge: Callable[[int], None]) -> None:
        """Write a number durably, then acknowledge it."""
        good = self.file.size()
        try:
            self.file.append(framed(number))
        except OSError:
            if not self.bugs.goes_on_after_short_write:
                self.file.truncate(good)
            raise
        if self.bugs.acknowledges_early:
            acknowledge(number)
        self._sync()
        acknowledge(number)

    def _sync(self) -> None:
        try:
            self.file.sync()
        except OSError:
            if not self.bugs.ignores_failed_sync:
                raise


def check(bugs: Bugs, *, tears: Tears = edges) -> tuple[int, list[CrashState]]:
    """How many crash states there are, and in which an acknowledged number is lost, at once or after another crash."""
    disk = MemoryDisk(record=True)
    journal = Journal(disk, bugs)
    for number in range(1, LAST):
        journal.append(number, disk.promise)
    states, bad = 0, []
    for state in crash_states(disk, tears=tears):
        states += 1
        if not survives(state, bugs):
            bad.append(state)
    return states, bad


def survives(state: CrashState, bugs: Bugs) -> bool:
    """Whether a recovered journal has all that was promised, takes another number, and keeps what it serves."""
    served = Journal(state.disk, bugs).numbers
    if not set(state.promises) <= set(served) or served != sorted(set(served)):
        return False
    again = state.disk.power_cut()
    journal = Journal(again, bugs)
    if journal.numbers != served:
        return False
    journal.append(LAST, lambda _: None)
    return Journal(again.power_cut(), bugs).numbers == [*served, LAST]


def test_a_careful_journal_survives_every_crash() -> None:
    """However the power goes, and torn at whatever byte: what was acknowledged is there."""
    states, bad = check(Bugs(), tears=every_byte)
    assert states > 150
    assert bad == []


@pytest.mark.parametrize(
    "bugs",
    [
        Bugs(acknowledges_early=True),
        Bugs(keeps_torn_tail=True),
        Bugs(takes_zeros_for_a_record=True),
        Bugs(no_sync_on_recovery=True),
        Bugs(no_sync_dir=True),
    ],
    ids=lambda bugs: next(name for name, value in attrs.asdict(bugs).items() if value),
)
def test_a_careless_journal_is_caught(bugs: Bugs) -> None:
    """Each omission loses, invents or repeats something in some crash state, and the story says in which."""
    states, bad = check(bugs)
    assert 0 < len(bad) < states
    assert all(state.story.startswith(("power cut", "kill -9")) for state in bad)


@pytest.mark.parametrize(("careless", "lost"), [(False, 0), (True, 1)])
def test_a_short_write_costs_nothing_if_it_is_cut_off(careless: bool, lost: int) -> None:
    """Whoever appends behind the remains of a failed append loses what was acknowledged later."""
    bugs = Bugs(goes_on_after_short_write=careless)
    disk = MemoryDisk(capacity=25)
    journal, acknowledged = Journal(disk, bugs), list[int]()
    for number in range(1, 4):
        try:
            journal.append(number, acknowledged.append)
        except OSError:
            disk.resize(None)
    assert acknowledged == [1, 2]
    journal.append(4, acknowledged.append)
    found = Journal(disk.power_cut(), bugs).numbers
    assert len(set(acknowledged) - set(found)) == lost


@pytest.mark.parametrize("operation", ["sync", "append", "truncate", "sync_dir", "read", "open"])
def test_a_careful_journal_survives_every_failing_operation(operation: str) -> None:
    """Whichever operation fails: after a crash there is what was acknowledged."""
    for skip in count():
        disk, acknowledged = MemoryDisk(), list[int]()
        disk.fail_next(operation, OSError(errno.EIO, "input/output error"), skip=skip)
        failed = False
        try:
            journal = Journal(disk, Bugs())
            for number in range(1, LAST):
                journal.append(number, acknowledged.append)
        except OSError:
            failed = True
        disk = disk.power_cut()
        assert set(acknowledged) <= set(Journal(disk, Bugs()).numbers)
        if not failed:
            return


def test_a_sync_that_is_not_believed_is_an_acknowledgement_lost() -> None:
    """Acknowledging after a failed sync, as if it could be repeated, loses the number."""
    disk, acknowledged = MemoryDisk(), list[int]()
    journal = Journal(disk, Bugs(ignores_failed_sync=True))
    disk.fail_next("sync", OSError(errno.EIO, "input/output error"))
    journal.append(1, acknowledged.append)
    assert acknowledged == [1]
    assert Journal(disk.power_cut(), Bugs()).numbers == []


# A snapshot that is replaced ----------------------------------------------------------------------------------


def save(disk: Disk, data: bytes, *, leave_out: str = "") -> None:
    """Put new content in place of old, as everybody should."""
    new = disk.open("snapshot.tmp")
    new.truncate(0)
    new.append(data)
    if leave_out != "sync":
        new.sync()
    new.close()
    disk.replace("snapshot.tmp", "snapshot")
    if leave_out != "sync_dir":
        disk.sync_dir()


def saved(disk: Disk) -> bytes:
    """The content that is there."""
    return disk.open("snapshot", create=False).read() if disk.exists("snapshot") else b""


def bad_snapshots(leave_out: str) -> tuple[int, list[CrashState]]:
    """How many crash states there are, and in which the snapshot is not a whole one, or older than promised."""
    disk = MemoryDisk(record=True)
    versions = [b"", *(b"version %d" % number * 20 for number in range(4))]
    for data in versions[1:]:
        save(disk, data, leave_out=leave_out)
        disk.promise(data)
    states = list(crash_states(disk))
    bad = [s for s in states if saved(s.disk) not in versions[len(s.promises) :][:2]]
    return len(states), bad


@pytest.mark.parametrize(("leave_out", "fine"), [("", True), ("sync", False), ("sync_dir", False)])
def test_a_snapshot_is_replaced_whole_or_not_at_all(leave_out: str, fine: bool) -> None:
    """With both syncs every state has the last snapshot promised, or the next; without one of them some have neither."""
    states, bad = bad_snapshots(leave_out)
    assert states > 50
    assert (bad == []) is fine


# The enumeration ----------------------------------------------------------------------------------------------


def test_states_come_in_order_of_time_with_their_promises() -> None:
    """From before the first step to after the last, with what had been promised by then, each told in words."""
    disk = MemoryDisk(record=True)
    file = disk.open("log")
    disk.sync_dir()
    file.append(b"x")
    file.sync()
    disk.promise("x is safe")
    states = list(crash_states(disk))
    assert [state.after for state in states] == sorted(state.after for state in states)
    assert (states[0].after, states[-1].after) == (0, 5)
    assert states[0].disk.list() == []
    assert {state.promises for state in states} == {(), ("x is safe",)}
    assert [state.story for state in states if state.after == 3] == [
        "power cut after step 3 (append 1 bytes to 'log'): 'log' keeps 0 of 1",
        "power cut after step 3 (append 1 bytes to 'log'): 'log' keeps 0 and zeros of 1",
        "power cut after step 3 (append 1 bytes to 'log'): 'log' keeps 1 of 1",
        "kill -9 after step 3 (append 1 bytes to 'log')",
    ]


def test_no_state_is_shown_twice_at_one_moment() -> None:
    """Choices that leave the same files are one state."""
    disk = MemoryDisk(record=True)
    file = disk.open("log")
    file.append(b"\0\0\0")
    found = [
        tuple((name, state.disk.open(name).read()) for name in state.disk.list())
        for state in crash_states(disk)
        if state.after == 2 and state.story.startswith("power")
    ]
    assert len(found) == len(set(found)) == 5  # absent, and zero to three zeros


def test_every_state_is_a_disk_of_its_own() -> None:
    """What is done to one shows in no other, nor in the recorded disk."""
    disk = MemoryDisk(record=True)
    disk.open("log").append(b"x")
    states = list(crash_states(disk))
    for state in states:
        assert not state.disk.exists("mine")
        state.disk.open("mine")
        state.disk.open("log").append(b"y")
    assert disk.list() == ["log"]
    assert disk.open("log").read() == b"x"
    assert len(list(crash_states(disk))) == len(states)


def test_a_later_life_can_be_recorded_too() -> None:
    """After a crash the recording begins with what that crash left."""
    disk = MemoryDisk(record=True)
    disk.open("log").append(b"one")
    disk = disk.kill9()
    disk.open("log").append(b"two")
    first, *_, last = crash_states(disk)
    assert first.disk.list() == []
    assert last.disk.open("log").read() == b"onetwo"
    assert last.after == 1


def test_nothing_recorded_is_an_error() -> None:
    """A disk that does not record says how to make one that does."""
    with pytest.raises(ValueError, match="record=True"):
        next(crash_states(MemoryDisk()))
