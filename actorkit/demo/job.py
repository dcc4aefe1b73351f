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
from actorkit.demo.messages import EDITOR, LEDGER, Edit, WhenDone
from actorkit.demo.sabotage import PACE, plan_strikes
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
        kills: how many strikes there are to be.
        seed: what they are drawn from.
        report: the directory the report goes to.
        pace: seconds between two strikes, at least.
    """

    corpus: Corpus
    kills: int
    seed: int
    report: Path
    pace: float = PACE


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
    return Verdict(job.kills, disturbed, reference, elapsed, on_disk, changed)


async def study_undisturbed(corpus: Corpus, show: Show) -> Edition:
    """Study by plain function calls: no actors, no kills."""
    studies: list[Study] = []
    await show.progress("The same study, undisturbed", study_in_steps(corpus, studies.append))
    return compose(studies[0])


async def study_disturbed(job: Job, show: Show) -> Disturbed:
    """Let the crew study, and strike it."""
    async with ak.open_system("demo", logs=False, audit=True) as system:
        run = _Run(job, show, system)
        await run.go()
    return run.outcome()


class _Run:
    """One disturbed study: the crew, the saboteur, those who look on, and the client who wants the report."""

    def __init__(self, job: Job, show: Show, system: ak.System) -> None:
        self._job = job
        self._show = show
        self._system = system
        self._watch = Watch(system, job.kills)
        strikes = plan_strikes(job.kills, targets(), Random(job.seed))
        self._saboteur = Saboteur(system, strikes, pace=job.pace)
        self._editions: list[Edition] = []
        self._complete = False
        self._gave_up = ""
        self._began = system.now()
        self._last = self._watch.look()

    async def go(self) -> None:
        """Work until the report is there, or the tree has given up; then stop the crew in good order."""
        root = await start_tree(self._system, self._job.corpus, self._job.report)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._show.follow, self._watch.look)
            nursery.start_soon(self._saboteur.run)
            nursery.start_soon(self._mind_tree, root, nursery.cancel_scope)
            nursery.start_soon(self._mind_silence, nursery.cancel_scope)
            await self._get_report()
            nursery.cancel_scope.cancel()
        self._last = self._watch.look()
        if root.ref.alive:
            await root.stop()

    async def _mind_tree(self, root: ak.SupervisorRef, scope: trio.CancelScope) -> None:
        """Break off if the tree ends by itself."""
        reason = await root.ref.wait_stopped()
        self._gave_up = f"the tree gave up: {reason}"
        scope.cancel()

    async def _mind_silence(self, scope: trio.CancelScope) -> None:
        """Break off if nobody does anything any more."""
        before, handled = -1, 0
        while handled > before:
            await trio.sleep(SILENCE)
            before, handled = handled, self._watch.look().handled
        self._gave_up = f"nobody did anything for {SILENCE:g} s"
        scope.cancel()

    async def _get_report(self) -> None:
        """Ask the editor for the report until an edition was begun after the last strike.

        If strikes are left when the work is done, as when there was little of it, they fall while editions are made.
        """
        await self._system.named(LEDGER).ask(WhenDone(1.0), timeout=None)
        editor = self._system.named(EDITOR)
        while not self._complete:
            over = self._saboteur.over.is_set()
            try:
                self._editions.append(await editor.ask(Edit(), timeout=None))
                self._complete = over
            except ak.ActorDied:
                pass  # it is being restarted
            await trio.sleep(BREATH)

    def outcome(self) -> Disturbed:
        """What came of it; to be asked when the system is closed."""
        last = self._last
        return Disturbed(
            edition=self._editions[-1] if self._complete else None,
            digests=frozenset(edition.digest for edition in self._editions),
            editions=len(self._editions),
            gave_up=self._gave_up,
            struck=tuple(self._saboteur.struck),
            missed=tuple(self._saboteur.missed),
            deaths=dict(last.deaths),
            restarts=last.restarts,
            repeated=last.standing.repeated,
            dead_letters=self._system.dead_letters.counts,
            books=self._system.conservation(),
            left_behind=tuple(branch.path for branch in self._system.tree()),
            elapsed=last.elapsed,
        )
