"""The whole job in virtual time: whoever is killed, the report is the same and nothing is left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
import trio

from actorkit.demo import crew, tree
from actorkit.demo.corpus import open_corpus
from actorkit.demo.edition import compose, published
from actorkit.demo.job import SILENCE, Job, do_job
from actorkit.demo.sabotage import PACE
from actorkit.demo.show import PlainLines
from actorkit.demo.study import study
from actorkit.demo.verdict import Verdict
from actorkit.demo.watch import View

_PACKAGE = Path(crew.__file__).parent


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A directory with a dozen files of several kinds, one of them broken, one empty."""
    root = tmp_path / "text"
    for number, source in enumerate(sorted(_PACKAGE.glob("*.py"))[:8]):
        target = root / ("deep/er" if number % 2 else "") / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    (root / "broken.py").write_text("def f(:\n", "utf-8")
    (root / "empty.py").write_text("", "utf-8")
    (root / "binary.md").write_bytes(b"\xff\0")
    (root / "notes.md").write_text("# Notes\n\nSome words.\n", "utf-8")
    return root


def _job(text: Path, kills: int, seed: int = 1) -> Job:
    report = text.parent / "report"
    return Job(open_corpus(text, report), kills, seed, report)


def _mute(_: str) -> None:
    """Say nothing."""


async def _verdict(job: Job, lines: list[str] | None = None) -> Verdict:
    return await do_job(job, PlainLines((lines if lines is not None else []).append))


@pytest.mark.parametrize("seed", range(8))
async def test_the_result_is_the_same_however_many_are_killed(text: Path, seed: int) -> None:
    """Thirty deaths, spread over the work by the seed, change nothing; every one of them happened."""
    verdict = await _verdict(_job(text, 30, seed))
    assert verdict.good, "\n".join(verdict.lines())
    assert len(verdict.disturbed.struck) == 30
    assert verdict.disturbed.restarts >= 30
    assert (
        verdict.reference == compose(study(open_corpus(text))) == published(text.parent / "report")
    )


async def test_strikes_fall_while_there_is_work(text: Path) -> None:
    """Kills are spread over the work even where it would be done in no time: some interrupt it, and asks are repeated."""
    verdict = await _verdict(_job(text, 40, seed=2))
    assert verdict.good
    assert verdict.disturbed.repeated > 0
    assert verdict.disturbed.elapsed >= 39 * PACE


async def test_without_kills_nobody_dies(text: Path) -> None:
    """Left in peace, the crew makes one edition and loses no message."""
    verdict = await _verdict(_job(text, 0))
    assert verdict.good
    run = verdict.disturbed
    assert (run.deaths, run.restarts, run.repeated, run.editions) == ({}, 0, 0, 1)
    assert run.dead_letters == {}


@pytest.mark.parametrize("data", ["x = 1\n", "def f(:\n", ""], ids=["a line", "broken", "empty"])
async def test_one_file_is_work_enough_for_many_kills(tmp_path: Path, data: str) -> None:
    """Where there is next to no work, all kills are carried out all the same."""
    root = tmp_path / "text"
    root.mkdir()
    (root / "only.py").write_text(data, "utf-8")
    verdict = await _verdict(_job(root, 25))
    assert verdict.good, "\n".join(verdict.lines())


async def test_a_second_run_takes_the_place_of_the_first(text: Path) -> None:
    """The report is written anew, and an earlier one is not studied even if it lies in the text."""
    inside = text / "report"
    jobs = [Job(open_corpus(text, inside), 3, seed, inside) for seed in (1, 2)]
    first, second = [await _verdict(job) for job in jobs]
    assert first.good
    assert second.good
    assert first.reference == second.reference


async def test_a_crew_that_cannot_work_gives_up(text: Path) -> None:
    """If the report cannot be written the editor crashes again and again, the tree gives up, and the verdict says so."""
    job = _job(text, 2)
    job.report.write_text("in the way", "utf-8")
    verdict = await _verdict(job)
    assert not verdict.good
    assert verdict.disturbed.edition is None
    assert f"more than {tree.MAX_RESTARTS} restarts" in verdict.disturbed.gave_up
    assert verdict.balanced
    assert verdict.disturbed.left_behind == ()


async def test_a_crew_that_falls_silent_is_not_waited_for(text: Path) -> None:
    """If nobody gets anything done for a minute, as when the work is held and nobody lets it go on, that is the end."""
    verdict = await _verdict(attrs.evolve(_job(text, 3), pace=10 * SILENCE))
    assert not verdict.good
    assert verdict.disturbed.gave_up == "nobody got anything done for 60 s"
    assert verdict.disturbed.elapsed <= 3 * SILENCE
    assert verdict.balanced
    assert verdict.disturbed.left_behind == ()


async def test_many_directories_are_found_although_the_lister_dies(tmp_path: Path) -> None:
    """A search that takes several turns, and is begun anew after each death, finds every file once."""
    root = tmp_path / "text"
    for number in range(35):
        (root / f"d{number:02}").mkdir(parents=True)
        (root / f"d{number:02}" / "a.py").write_text(f"x = {number}\n", "utf-8")
    verdict = await _verdict(_job(root, 30, seed=5))
    assert verdict.good, "\n".join(verdict.lines())
    assert "lister" in {strike.victim for strike in verdict.disturbed.struck}
    assert "35 files found" in verdict.reference.markdown


async def test_a_text_that_changes_is_not_compared(text: Path) -> None:
    """If somebody edits a file between the two studies, the verdict is bad and names the file."""

    class Meddling(PlainLines):
        async def progress(self, title: str, steps: Iterator[float]) -> None:
            (text / "empty.py").write_text("x = 1\n", "utf-8")
            await super().progress(title, steps)

    verdict = await do_job(_job(text, 1), Meddling(_mute))
    assert not verdict.good
    assert verdict.changed == ("empty.py",)
    assert not verdict.same_result


async def test_a_job_broken_off_leaves_nothing_behind(text: Path) -> None:
    """Cancelled in the midst of it, the job ends at once, with every actor stopped and the terminal let go."""
    seen: list[View] = []
    let_go: list[bool] = []

    class Following(PlainLines):
        async def follow(self, look: Callable[[], View]) -> None:
            try:
                while len(seen) < 3:
                    await trio.sleep(2 * PACE)
                    seen.append(look())
                scope.cancel()
                await trio.sleep_forever()
            finally:
                let_go.append(True)

    with trio.CancelScope() as scope:
        await do_job(_job(text, 500), Following(_mute))
    assert scope.cancelled_caught
    assert [view.rows != () for view in seen] == [True] * 3
    assert let_go == [True]


async def test_plain_lines_tell_how_it_goes(text: Path) -> None:
    """A line a second at most, each with the figures, and what has happened since the one before."""
    lines: list[str] = []
    verdict = await _verdict(_job(text, 50, seed=3), lines)
    assert verdict.good
    told = [line for line in lines if "kills" in line and " done " in line]
    assert 2 <= len(told) <= verdict.disturbed.elapsed
    assert all(line.isprintable() for line in lines)
    assert "with 50 kills to come, seed 3" in lines[0]
    assert any("sabotage" in line for line in told)
