"""Every state in which a crash may leave a disk: record a workload once, then try to recover from each of them.

    disk = MemoryDisk(record=True)
    log = Log.open(disk)
    for number in range(5):
        log.append(number)
        disk.promise(number)                       # from here on it must not be lost

    for state in crash_states(disk):
        recovered = Log.open(state.disk)
        assert set(state.promises) <= set(recovered), state

The workload runs once; its operations are replayed, and before the first and after each of them the power is cut in every
legal way (``actorkit.testing.platter`` has the rules), and the process is killed. The idea is ALICE's (Pillai et al., OSDI
2014) and that of SQLite's crash tests: not a random instant but all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from actorkit.testing.disk import MemoryDisk
from actorkit.testing.platter import Platter, Tears, edges


@attrs.frozen
class CrashState:
    """What a crash at one moment has left.

    Attributes:
        disk: the disk that the next process finds; this state's own, so do with it what you like, cut the power again too.
        after: how many steps of the workload had been done.
        story: what happened, in words.
        promises: what the workload had promised by then.
    """

    disk: MemoryDisk = attrs.field(repr=False)
    after: int
    story: str
    promises: tuple[object, ...]


def crash_states(
    recorded: MemoryDisk, *, tears: Tears = edges, limit: int = 10_000
) -> Iterator[CrashState]:
    """Every state in which a crash during the recorded workload may leave its disk, in order of time.

    Args:
        recorded: the disk the workload ran on, made with ``record=True``.
        tears: where appends may be torn: ``edges``, the places that matter, or ``every_byte``.
        limit: how many leftovers to look at for one moment. If more are legal, because many files are unsynced at once, then
            those in which all but one of them are lost, or kept, altogether.

    Raises:
        ValueError: nothing was recorded.
    """
    platter, steps = recorded.recording()
    promises: tuple[object, ...] = ()
    yield from _states(platter, 0, "before the first step", promises, tears, limit)
    for number, step in enumerate(steps, 1):
        step.act(platter)
        promises += step.promise
        moment = f"after step {number} ({step.text})"
        yield from _states(platter, number, moment, promises, tears, limit)


def _states(
    platter: Platter,
    after: int,
    moment: str,
    promises: tuple[object, ...],
    tears: Tears,
    limit: int,
) -> Iterator[CrashState]:
    seen: set[frozenset[tuple[str, bytes]]] = set()
    for left in platter.choices(tears).at_most(limit):
        image = frozenset(left.files.items())
        if image not in seen:
            seen.add(image)
            story = f"power cut {moment}: {left.words}"
            yield CrashState(MemoryDisk.on(Platter(left.files)), after, story, promises)
    yield CrashState(MemoryDisk.on(platter.copy()), after, f"kill -9 {moment}", promises)
