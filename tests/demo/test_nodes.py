"""The demo on several nodes: real processes, in real time, and nothing is left of them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

import actorkit as ak
from actorkit.demo import crew
from actorkit.demo.corpus import open_corpus
from actorkit.demo.ground import Ground, NoGround, open_ground, worker_names
from actorkit.demo.job import Job, do_job
from actorkit.demo.show import PlainLines
from actorkit.demo.verdict import Verdict
from actorkit.demo.watch import View
from tests.cluster.launched import TIMEOUT, gone

_PACKAGE = Path(crew.__file__).parent
_WORKERS = worker_names(3)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A directory with a few files, in a place that needs its bytes to be told right."""
    root = tmp_path / b"te\xffxt".decode("utf-8", "surrogateescape")
    root.mkdir()
    for source in sorted(_PACKAGE.glob("*.py"))[:6]:
        shutil.copy(source, root)
    (root / "broken.py").write_text("def f(:\n", "utf-8")
    return root


class _Following(PlainLines):
    """Keeps every look."""

    def __init__(self) -> None:
        super().__init__(lambda _: None)
        self.views: list[View] = []

    async def follow(self, look: Callable[[], View]) -> None:
        """Look often."""
        while True:
            self.views.append(look())
            await trio.sleep(0.02)


def _job(text: Path, kills: int, node_kills: int, seed: int) -> Job:
    report = text.parent / "report"
    corpus = open_corpus(text, report)
    return Job(corpus, kills, seed, report, nodes=3, node_kills=node_kills)


async def _done(job: Job, show: PlainLines) -> Verdict:
    with trio.fail_after(2 * TIMEOUT):
        return await do_job(job, show)


def test_the_result_is_the_same_although_whole_nodes_are_killed(text: Path) -> None:
    """Readers live on the workers, which are killed and restarted, and nothing of that is left or lost."""
    show = _Following()
    verdict = trio.run(_done, _job(text, 12, 3, seed=3), show)
    assert verdict.good, "\n".join(verdict.lines())
    run = verdict.disturbed
    assert (len(run.struck), run.node_exits, run.nodes) == (15, 3, ("demo", *_WORKERS))
    assert run.books.forwarded > 0
    seen = [view.nodes for view in show.views]
    assert any(sum(readers or 0 for readers in nodes.values()) == 4 for nodes in seen)
    assert any(None in nodes.values() for nodes in seen)
    doing = {row.doing.partition(":")[0] for view in show.views for row in view.rows}
    assert set(_WORKERS) <= doing
    incidents = [str(incident) for view in show.views for incident in view.incidents]
    assert any("killed by SIGKILL; restarted as pid" in told for told in incidents)


def test_readers_on_other_nodes_die_in_every_way(text: Path) -> None:
    """With readers struck by kill, crash and exit signal over the wire, every strike is the death it was meant to be."""
    verdict = trio.run(_done, _job(text, 12, 0, seed=10), _Following())
    assert verdict.good, "\n".join(verdict.lines())
    readers = {s.manner for s in verdict.disturbed.struck if s.victim.startswith("reader")}
    assert len(readers) == 3


def test_a_job_broken_off_leaves_no_process(text: Path) -> None:
    """Cancelled in the midst of it, with nodes being killed, it ends with every process ended."""
    pids: set[int] = set()

    class Meddling(_Following):
        async def follow(self, look: Callable[[], View]) -> None:
            while True:
                told = [str(incident) for incident in look().incidents]
                pids.update(int(line.rpartition(" ")[2]) for line in told if "restarted as" in line)
                if pids:
                    scope.cancel()
                await trio.sleep(0.02)

    async def main() -> None:
        with trio.fail_after(TIMEOUT), scope:
            await do_job(_job(text, 0, 50, seed=1), Meddling())

    scope = trio.CancelScope()
    trio.run(main)
    assert scope.cancelled_caught
    assert pids
    assert gone(pids)


def test_nodes_that_die_more_often_than_they_are_struck_are_given_up(text: Path) -> None:
    """If a worker cannot stay up, the job is broken off, the verdict says why, and nothing is left."""

    class Slaying(_Following):
        async def follow(self, look: Callable[[], View]) -> None:
            while True:
                told = [str(incident) for incident in look().incidents]
                for line in told:
                    if "restarted as" in line:
                        _kill(int(line.rpartition(" ")[2]))
                await trio.sleep(0.01)

    verdict = trio.run(_done, _job(text, 0, 2, seed=1), Slaying())
    assert not verdict.good
    run = verdict.disturbed
    assert run.gave_up.startswith("the nodes gave up: node worker-")
    assert run.left_behind == ()
    assert run.books.balanced


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


# The ground -------------------------------------------------------------------------------------------------------


def test_a_killed_node_comes_back_and_nothing_is_left_at_the_end() -> None:
    """Its end is told, there is a successor, and after the block there is neither process nor port."""
    told: list[ak.NodeExit] = []

    async def main() -> Ground:
        async with open_ground(_WORKERS[:1]) as ground:
            ground.system.events.subscribe(
                lambda e: told.append(e) if isinstance(e, ak.NodeExit) else None
            )
            worker = ground.workers["worker-1"]
            worker.kill()
            with trio.fail_after(TIMEOUT):
                await worker.wait_down()
                await worker.wait_up()
        assert await ground.left_behind() == ()
        return ground

    ground = trio.run(main)
    assert ground.ended == told
    assert [how.status for how in told] == [-9]
    assert len(ground.pids) == 2
    assert gone(ground.pids)


def test_what_is_left_behind_is_told() -> None:
    """A process that runs, and a port that is taken, are named."""

    async def main() -> None:
        async with ak.open_system(logs=False) as system:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listeners[0].socket.getsockname()[1]
            ground = Ground(system, pids={os.getpid()}, addresses={f"127.0.0.1:{port}", ""})
            left = await ground.left_behind()
            await listeners[0].aclose()
            assert left == (f"process {os.getpid()}", f"port 127.0.0.1:{port}")

    trio.run(main)


def test_nodes_that_cannot_be_started_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the reason, and nothing else is raised."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    async def main() -> None:
        async with open_ground(_WORKERS):
            raise AssertionError("there is no such interpreter")

    with pytest.raises(NoGround, match="the worker nodes cannot be started") as caught:
        trio.run(main)
    assert "\n" not in str(caught.value)
