"""Who waits for whom, in words: what a test that would hang is told instead."""

from __future__ import annotations

import linecache
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import trio

from actorkit.kernel.call import Call
from actorkit.kernel.cell import Cell, State
from actorkit.kernel.items import RoomWait
from actorkit.kernel.life import EndWait
from actorkit.kernel.message import shortened
from actorkit.kernel.ref import StopWait
from actorkit.kernel.runtime import Runtime, StartWait
from actorkit.kernel.wait import ZOMBIES, Wait
from actorkit.testing.recording import name_of_task
from actorkit.testing.trio_internals import all_tasks

Task = trio.lowlevel.Task
Position = tuple[FrameType, int]

_HOUSE = Path(__file__).parents[1]
_MACHINERY = tuple(
    str(place)
    for place in (
        _HOUSE / "kernel",
        _HOUSE / "supervision",
        _HOUSE / "testing",
        Path(trio.__file__).parent,
        *(Path(trio.__file__).parents[1] / name for name in ("pytest_trio", "_pytest", "outcome")),
    )
)
_CLOCK = "actorkit clock"
_STDLIB = sysconfig.get_path("stdlib")


def who_waits(*runtimes: Runtime) -> list[str]:
    """One line for each task of the program and each actor that waits for something, and what that is."""
    cells = dict.fromkeys(c for r in runtimes for c in (*r.all_cells(), *_fenced(r)))
    return [*_tasks(), *(line for cell in cells for line in _cell(cell))]


def tasks_of_actors(runtime: Runtime) -> list[Task]:
    """The tasks in which a handler or background work of a system waits."""
    dispatcher = runtime.dispatcher
    below = dispatcher.nursery.child_tasks if dispatcher.nursery is not None else ()
    return [task for task in below if task.name != _CLOCK and task not in dispatcher._idle]


def tasks_of_users() -> list[Task]:
    """The tasks that wait in code of the user's, and not for tasks of their own."""
    return [
        task for task in all_tasks() if not _children(task) and _place(task.iter_await_frames())
    ]


def break_off(task: Task, error: BaseException) -> None:
    """Raise an error where a task waits, shielded or not: the last resort against code that does not end."""

    def throw() -> NoReturn:
        raise error

    task._attempt_abort(throw)


# Actors ------------------------------------------------------------------------------------------


def _fenced(runtime: Runtime) -> list[Cell]:
    """Actors that were killed, and whose code has not ended."""
    return [cell for cell in ZOMBIES if isinstance(cell, Cell) and cell.runtime is runtime]


def _cell(cell: Cell) -> Iterator[str]:
    if cell.suspended:
        yield f"{cell.path} is suspended, and {_messages(cell.waiting_mail)} for it"
    elif cell.state is State.NEW and cell.waiting_mail:
        yield f"{cell.path} is not started, and {_messages(cell.waiting_mail)} for it"
    place = _place(_await_chain(cell.gen))
    if place:
        killed = " though it was killed," if cell in ZOMBIES else ""
        yield f"{cell.path}, handling {cell.in_hand() or 'its start'},{killed} stands at {place}"
    yield from (
        f"{cell.path} waits for {wait.target.path}{_purpose(wait)}"
        for wait in _waits(cell)
        if wait.target is not None
    )
    yield from _unanswered(cell)


def _waits(cell: Cell) -> list[Wait]:
    waiting = cell.waiting if isinstance(cell.waiting, list) else [cell.waiting]
    return [wait for wait in waiting if wait is not None and not wait.done]


def _purpose(wait: Wait) -> str:
    if isinstance(wait, Call):
        return f": it asked {shortened(wait.message, 80)}"
    if isinstance(wait, RoomWait):
        return ": its mailbox is full"
    if isinstance(wait, StartWait):
        return " to start"
    if isinstance(wait, (EndWait, StopWait)):
        return " to end"
    return ""


def _unanswered(cell: Cell) -> Iterator[str]:
    """The requests an actor has put off, and those of plain tasks it has not got to; actors speak for themselves."""
    for call in cell.deferred or ():
        asker = call.cell if isinstance(call, Call) else None
        who = f", which {asker.path} asked" if asker is not None else ""
        yield f"{cell.path} has put off its reply to {shortened(call.message, 80)}{who}"
    for item in cell.queue:
        if isinstance(item, Call) and item.cell is None and not item.done:
            yield f"{cell.path} has not got to {shortened(item.message, 80)}"


def _messages(count: int) -> str:
    return "1 message waits" if count == 1 else f"{count} messages wait"


# Tasks -------------------------------------------------------------------------------------------


def _tasks() -> Iterator[str]:
    for task in all_tasks():
        place = _place(task.iter_await_frames())
        if place:
            yield f"{name_of_task(task)} stands at {place}"


def _children(task: Task) -> list[Task]:
    return [child for nursery in task.child_nurseries for child in nursery.child_tasks]


def _await_chain(awaited: Any) -> Iterator[Position]:
    """The frames of a coroutine and of what it awaits, from the outside in."""
    while awaited is not None:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaited, f"{kind}_frame", None)
            if frame is not None:
                yield frame, frame.f_lineno
                inner = "gi_yieldfrom" if kind == "gi" else f"{kind}_await"
                awaited = getattr(awaited, inner)
                break
        else:
            return


def _place(positions: Iterable[Position]) -> str:
    """The innermost line of the user's own code among some frames; empty if there is none."""
    own = [(frame, line) for frame, line in positions if _is_users(frame.f_code.co_filename)]
    if not own:
        return ""
    frame, line = own[-1]
    code = frame.f_code
    text = linecache.getline(code.co_filename, line).strip()
    return f"{Path(code.co_filename).name}:{line} in {code.co_name}: {text}"


def _is_users(file: str) -> bool:
    if file.startswith(_MACHINERY):
        return False
    return "site-packages" in file or not file.startswith(_STDLIB)
