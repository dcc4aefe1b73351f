"""The main job: a crew studies a text while it is struck, then the same study undisturbed, then the verdict."""

from __future__ import annotations

from pathlib import Path
from random import Random

import attrs
import trio

import actorkit as ak
from actorkit.demo.corpus import Corpus, changed_since, stamps
from actorkit.demo.crew import BREATH
from actorkit.demo.edition import Edition, compose, published
from actorkit.demo.ground import Ground, open_ground, worker_names
from actorkit.demo.messages import EDITOR, LEDGER, Edit, WhenDone
from actorkit.demo.roster import call_the_roll
from actorkit.demo.sabotage import PACE, Strike, Target, merged, plan_strikes
from actorkit.demo.saboteur import Saboteur
from actorkit.demo.show import Show
from actorkit.demo.study import Study, study_in_steps
from actorkit.demo.tree import start_tree, targets
from actorkit.demo.verdict import Disturbed, Verdict
from actorkit.demo.watch import Watch
from actorkit.demo.wording import counted
from actorkit.observe.text import printable

SILENCE = 60.0  # seconds without a message after which nothing is hoped for


@attrs.frozen
class Job:
    """What is to be done.

    Attributes:
        corpus: what is studied.
        kills: how many strikes at actors there are to be.
        seed: what they are drawn from.
        report: the directory the report goes to.
        pace: seconds between two strikes, at least.
        nodes: how many nodes there are: this process, and one more process for each other one.
        node_kills: how many strikes at those others there are to be.
    """

    corpus: Corpus
    kills: int
    seed: int
    report: Path
    pace: float = PACE
    nodes: int = 1
    node_kills: int = 0

    @property
    def ordered(self) -> int:
        """How many strikes there are to be in all."""
        return self.kills + self.node_kills

    def plan(self) -> tuple[Strike, ...]:
        """Draw the strikes; those at actors do not depend on how many nodes there are."""
        actors = plan_strikes(self.kills, targets(), Random(self.seed))
        workers = tuple(Target(name, node=True) for name in worker_names(self.nodes))
        return merged(actors, plan_strikes(self.node_kills, workers, Random(~self.seed)))


async def do_job(job: Job, show: Show) -> Verdict:
    """Do the job, and judge it."""
    title = printable(job.corpus.title)
    show.say(f"Studying {title} with {counted(job.kills, 'kill')} to come, seed {job.seed}.")
    before = stamps(job.corpus)
    disturbed = await study_disturbed(job, show)
    on_disk = published(job.report)
    began = trio.current_time()
    reference = await study_undisturbed(job.corpus, show)
    elapsed = trio.current_time() - began
    changed = changed_since(before, stamps(job.corpus))
    return Verdict(job.ordered, disturbed, reference, elapsed, on_disk, changed)


async def study_undisturbed(corpus: Corpus, show: Show) -> Edition:
    """Study by plain function calls: no actors, no kills."""
    studies: list[Study] = []
    await show.progress("The same study, undisturbed", study_in_steps(corpus, studies.append))
    return compose(studies[0])


async def study_disturbed(job: Job, show: Show) -> Disturbed:
    """Let the crew study, and strike it.

    Raises:
        NoGround: there should be more nodes than this one, and they cannot be started.
    """
    run: _Run | None = None
    try:
        async with open_ground(worker_names(job.nodes)) as ground:
            run = _Run(job, show, ground)
            await run.go()
    except ak.LaunchFailed as failure:
        if run is None:
            raise
        run.gave_up = f"the nodes gave up: {failure}"
    return await run.outcome()


class _Run:
    """One disturbed study: the crew, the saboteur, those who look on, and the client who wants the report.

    Attributes:
        gave_up: why it was broken off; empty if it was not.
    """

    def __init__(self, job: Job, show: Show, ground: Ground) -> None:
        self.gave_up = ""
        self._job = job
        self._show = show
        self._ground = ground
        self._system = ground.system
        self._watch = Watch(ground, job.kills, job.node_kills)
        self._saboteur: Saboteur | None = None
        self._editions: list[Edition] = []
        self._complete = False
        self._last = self._watch.look()

    async def go(self) -> None:
        """Work until the report is there, or the tree has given up; then stop the crew in good order."""
        job, workers = self._job, tuple(self._ground.workers)
        root = await start_tree(self._system, job.corpus, job.report, workers)
        roster = await call_the_roll(self._system, abroad=bool(workers))
        self._watch.meet(roster)
        self._saboteur = Saboteur(self._ground, job.plan(), roster, pace=job.pace)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._show.follow, self._watch.look)
            nursery.start_soon(self._watch.look_abroad)
            nursery.start_soon(self._saboteur.run)
            nursery.start_soon(self._mind_tree, root, nursery.cancel_scope)
            nursery.start_soon(self._mind_silence, nursery.cancel_scope)
            await self._get_report(self._saboteur)
            nursery.cancel_scope.cancel()
        self._last = self._watch.look()
        if root.ref.alive:
            await root.stop()

    async def _mind_tree(self, root: ak.SupervisorRef, scope: trio.CancelScope) -> None:
        """Break off if the tree ends by itself."""
        reason = await root.ref.wait_stopped()
        self.gave_up = f"the tree gave up: {reason}"
        scope.cancel()

    async def _mind_silence(self, scope: trio.CancelScope) -> None:
        """Break off if nobody gets anything done any more, busy as they may be."""
        before, now = None, self._progress()
        while now != before:
            await trio.sleep(SILENCE)
            before, now = now, self._progress()
        self.gave_up = f"nobody got anything done for {SILENCE:g} s"
        scope.cancel()

    def _progress(self) -> object:
        """What changes while there is hope; before the files are listed, every message counts."""
        view = self._watch.look()
        listing = view.handled if view.standing.total is None else 0
        return listing, view.standing.done, view.kills, view.node_kills, len(self._editions)

    async def _get_report(self, saboteur: Saboteur) -> None:
        """Ask the editor for the report until an edition was begun after the last strike.

        If strikes are left when the work is done, as when there was little of it, they fall while editions are made.
        """
        await self._system.named(LEDGER).ask(WhenDone(1.0), timeout=None)
        editor = self._system.named(EDITOR)
        while not self._complete:
            over = saboteur.over.is_set()
            try:
                self._editions.append(await editor.ask(Edit(), timeout=None))
                self._complete = over
            except ak.ActorDied:
                pass  # it is being restarted
            await trio.sleep(BREATH)

    async def outcome(self) -> Disturbed:
        """What came of it; to be asked when all nodes are closed."""
        last, saboteur = self._last, self._saboteur
        return Disturbed(
            edition=self._editions[-1] if self._complete else None,
            digests=frozenset(edition.digest for edition in self._editions),
            editions=len(self._editions),
            gave_up=self.gave_up,
            struck=tuple(saboteur.struck) if saboteur is not None else (),
            missed=tuple(saboteur.missed) if saboteur is not None else (),
            deaths=dict(last.deaths),
            restarts=last.restarts,
            repeated=last.standing.repeated,
            dead_letters=self._system.dead_letters.counts,
            books=self._system.conservation(),
            left_behind=await self._ground.left_behind(),
            elapsed=last.elapsed,
            nodes=self._ground.names,
            node_exits=len(self._ground.ended),
            broken=tuple(self._watch.broken),
        )
