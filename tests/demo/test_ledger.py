"""The ledger keeps the truth: told twice it knows once, and who waits for it is answered when it knows."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

import actorkit as ak
from actorkit.demo.corpus import Search
from actorkit.demo.ledger import Ledger
from actorkit.demo.messages import (
    AskedAgain,
    FindingsOf,
    GoOn,
    LedgerMessage,
    Listed,
    Outstanding,
    ReadRegister,
    Record,
    Skip,
    Standing,
    Task,
    WhenDone,
)
from actorkit.demo.reading import Skipped
from actorkit.demo.study import NAMES
from tests.harness import open_checked_system, settle

Ask = ak.Ref[LedgerMessage]
FOUND = Listed(Search((), ("a.py", "b.py")))


async def _with_ledger(body: Callable[[ak.System, Ask], Awaitable[None]]) -> None:
    async with open_checked_system() as system:
        await body(system, await system.spawn(ak.props(Ledger)))


async def _recorded(ledger: Ask, name: str, *kinds: str) -> None:
    for kind in kinds:
        await ledger.ask(Record(kind, name, f"{kind} of {name}"))


class _Later:
    """An ask in the background, and whether it was answered."""

    def __init__(
        self, nursery: trio.Nursery, ledger: Ask, request: ak.AskOf[LedgerMessage, Any]
    ) -> None:
        self.answers: list[object] = []
        nursery.start_soon(self._ask, ledger, request)

    async def _ask(self, ledger: Ask, request: ak.AskOf[LedgerMessage, Any]) -> None:
        self.answers.append(await ledger.ask(request, timeout=None))


async def test_what_is_outstanding_is_told_once_it_is_known() -> None:
    """A foreman who asks early is answered when the files are listed, one who asks later at once."""

    async def body(system: ak.System, ledger: Ask) -> None:
        everything = (Task("a.py", NAMES), Task("b.py", NAMES))
        async with trio.open_nursery() as nursery:
            early = _Later(nursery, ledger, Outstanding())
            await settle()
            assert early.answers == []
            await ledger.ask(FOUND)
        assert early.answers == [everything]
        await _recorded(ledger, "a.py", *NAMES)
        await _recorded(ledger, "b.py", "structure")
        assert await ledger.ask(Outstanding()) == (Task("b.py", NAMES[1:]),)

    await _with_ledger(body)


async def test_only_the_first_list_counts() -> None:
    """A lister that searches again changes nothing, even if it finds something else."""

    async def body(system: ak.System, ledger: Ask) -> None:
        await ledger.ask(FOUND)
        await ledger.ask(Listed(Search((), ("c.py",))))
        assert (await ledger.ask(ReadRegister())).search == FOUND.search

    await _with_ledger(body)


async def test_what_is_recorded_twice_is_known_once() -> None:
    """The first finding stays, a skipped file counts as done in every discipline, strangers are not noted."""

    async def body(system: ak.System, ledger: Ask) -> None:
        standings: list[Standing] = []
        system.events.subscribe(
            lambda event: standings.append(event) if isinstance(event, Standing) else None
        )
        await ledger.ask(FOUND)
        await ledger.ask(Record("structure", "a.py", "first"))
        await ledger.ask(Record("structure", "a.py", "second"))
        await ledger.ask(Record("structure", "stranger.py", "none"))
        for _ in range(2):
            await ledger.ask(Skip(Skipped("b.py", "broken")))
        ledger.tell(AskedAgain("/somebody"))
        assert await ledger.ask(FindingsOf("structure")) == {"a.py": "first"}
        assert (await ledger.ask(ReadRegister())).skipped == {"b.py": Skipped("b.py", "broken")}
        assert standings[-1] == Standing(done=1 + len(NAMES), total=2 * len(NAMES), repeated=1)
        assert [task.name for task in await ledger.ask(Outstanding())] == ["a.py"]

    await _with_ledger(body)


async def test_what_is_handed_out_is_a_copy() -> None:
    """What an analyst does with its findings does not reach the ledger."""

    async def body(system: ak.System, ledger: Ask) -> None:
        await ledger.ask(FOUND)
        await ledger.ask(Record("structure", "a.py", 1))
        findings = await ledger.ask(FindingsOf("structure"))
        assert isinstance(findings, dict)
        findings.clear()
        assert await ledger.ask(FindingsOf("structure")) == {"a.py": 1}

    await _with_ledger(body)


async def test_who_waits_for_a_share_is_told_when_it_is_done() -> None:
    """Shares are answered in the order in which they are reached, none before the files are known."""

    async def body(system: ak.System, ledger: Ask) -> None:
        async with trio.open_nursery() as nursery:
            none, half, all_ = (_Later(nursery, ledger, WhenDone(s)) for s in (0.0, 0.5, 1.0))
            await settle()
            assert none.answers == []
            await ledger.ask(FOUND)
            await settle()
            assert (none.answers, half.answers) == ([None], [])
            await _recorded(ledger, "a.py", *NAMES)
            await settle()
            assert (half.answers, all_.answers) == ([None], [])
            await ledger.ask(Skip(Skipped("b.py", "broken")))
        assert all_.answers == [None]

    await _with_ledger(body)


async def test_held_work_is_noted_but_not_acknowledged() -> None:
    """From the share on that somebody holds it at, the work stands still until it may go on; nothing is lost of it."""

    async def body(system: ak.System, ledger: Ask) -> None:
        await ledger.ask(FOUND)
        await ledger.ask(WhenDone(0.0, hold=True))
        async with trio.open_nursery() as nursery:
            record = _Later(nursery, ledger, Record("structure", "a.py", 1))
            skip = _Later(nursery, ledger, Skip(Skipped("b.py", "broken")))
            await settle()
            assert record.answers == skip.answers == []
            assert await ledger.ask(FindingsOf("structure")) == {"a.py": 1}
            ledger.tell(GoOn())
        assert record.answers == skip.answers == [None]
        await ledger.ask(Record("complexity", "a.py", 1))

    await _with_ledger(body)


@pytest.mark.parametrize(
    ("standing", "share"),
    [(Standing(0, None, 0), 0.0), (Standing(1, 4, 0), 0.25), (Standing(0, 0, 0), 1.0)],
)
def test_a_standing_has_a_share(standing: Standing, share: float) -> None:
    """Nothing is done while the files are unknown; of no files all are done."""
    assert math.isclose(standing.share, share)
