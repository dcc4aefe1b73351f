"""The pytest plugin: with pytest-trio and without it, with other fixtures beside ``kit``, and what a failure shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"

# How a project may run its tests: (settings, options). The last two have nobody but the plugin to run async tests.
MODES = {
    "pytest-trio": ("", ()),
    "trio mode": ("trio_mode = true", ()),
    "pytest-trio off": ("", ("-p", "no:trio")),
}
TRIO_MODES = ("pytest-trio", "trio mode")

ACTORS = """
import pytest
import trio
import actorkit as ak

@ak.message
class Divide(ak.Request[int]):
    by: int

class Account(ak.Actor[Divide]):
    def __init__(self, cents=10):
        self.cents = cents
    @ak.on(Divide)
    def divide(self, msg):
        return self.cents // msg.by
"""


class Project:
    """Somebody's project, with tests of actors."""

    def __init__(self, pytester: pytest.Pytester, mode: str) -> None:
        self._pytester = pytester
        settings, self._options = MODES[mode]
        pytester.makeini(
            "[pytest]\n"
            f"{settings if 'trio_mode' in settings else ''}\n"
            "filterwarnings = error\naddopts = --strict-markers -p no:cacheprovider\n"
        )

    def run(self, *options: str, actors: str = ACTORS, **files: str) -> pytest.RunResult:
        """Run tests, the code of one file each, below the actors."""
        files = {name: f"{actors}\n{code}" for name, code in files.items()}
        self._pytester.makepyfile(**files)
        return self._pytester.runpytest_inprocess(*self._options, *options)


@pytest.fixture(params=list(MODES))
def project(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> Project:
    """A project in each mode."""
    return Project(pytester, request.param)


@pytest.fixture(params=TRIO_MODES)
def trio_project(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> Project:
    """A project whose async tests pytest-trio runs."""
    return Project(pytester, request.param)


@pytest.fixture
def bare_project(pytester: pytest.Pytester) -> Project:
    """A project without pytest-trio."""
    return Project(pytester, "pytest-trio off")


# Tests that pass -------------------------------------------------------------------------------------------------

NEWCOMER = """
async def test_a_model_completes(kit):
    model = await kit.spawn(Model)
    reply = await model.ask(Complete("otters"))
    assert reply == "a few words about otters"
"""


def test_a_newcomers_test_is_five_lines(project: Project) -> None:
    """The tutorial's first actor is tested in five lines, without an import for it."""
    (block,) = re.findall(
        r"```python\n(import actorkit as ak\n.*?)```", TUTORIAL.read_text(), re.S
    )[:1]
    actors = block.partition("async def first")[0]
    assert len(NEWCOMER.strip().splitlines()) <= 5
    project.run(actors=actors, test_model=NEWCOMER).assert_outcomes(passed=1)


def test_time_is_virtual(project: Project) -> None:
    """A test that takes ``kit`` may sleep for a year, and every one begins at nought, with a kit of its own."""
    project.run(
        test_time="""
async def test_one(kit):
    await trio.sleep(365 * 86400)
    assert kit.now() == 365 * 86400
    await kit.spawn(ak.props(Account), name="account")

class TestOthers:
    @pytest.mark.parametrize("cents", [1, 2])
    async def test_two(self, cents, kit):
        account = await kit.spawn(ak.props(Account, cents), name="account")
        assert (kit.now(), await account.ask(Divide(1))) == (0, cents)
"""
    ).assert_outcomes(passed=3)


def test_every_run_is_the_same(project: Project, pytester: pytest.Pytester) -> None:
    """A test leaves the same trace each time it runs, wherever it stands among others."""
    code = """
from pathlib import Path

@pytest.mark.parametrize("number", range(3))
async def test_it(kit, number):
    account = await kit.spawn(Account)
    probe = kit.probe()
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(account.ask, Divide(1))
            nursery.start_soon(probe.ask, account, Divide(2))
    with Path("digests").open("a") as digests:
        digests.write(kit.trace.digest() + "\\n")
"""
    for _ in range(2):
        project.run(test_same=code).assert_outcomes(passed=3)
    assert len(set((pytester.path / "digests").read_text().split())) == 1


def test_the_marker_gives_options(project: Project) -> None:
    """``@pytest.mark.actorkit`` passes on what ``open_kit`` takes, and what it does not take is an error."""
    result = project.run(
        "--strict-markers",
        test_options="""
@pytest.mark.actorkit(name="bank", seed=7)
async def test_named(kit):
    assert kit.system.name == "bank"

@pytest.mark.actorkit(sed=7)
async def test_wrong(kit):
    pass
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*unexpected keyword argument 'sed'*"])


def test_skips_and_expected_failures_are_what_they_are(project: Project) -> None:
    """``pytest.skip`` and ``pytest.xfail`` inside a test work as elsewhere."""
    project.run(
        test_outcomes="""
async def test_skipped(kit):
    pytest.skip("not today")

async def test_expected(kit):
    pytest.xfail("known")

@pytest.mark.xfail(strict=True)
async def test_strictly(kit):
    assert not kit.now() == 0
"""
    ).assert_outcomes(skipped=1, xfailed=2)


# Beside other fixtures ------------------------------------------------------------------------------------------


def test_plain_fixtures_stand_beside_it(project: Project) -> None:
    """Sync fixtures of any scope are passed as ever."""
    project.run(
        test_fixtures="""
@pytest.fixture(scope="module")
def cents():
    yield 30

async def test_it(cents, kit, tmp_path):
    account = await kit.spawn(Account, cents)
    assert tmp_path.is_dir()
    assert await account.ask(Divide(3)) == 10
"""
    ).assert_outcomes(passed=1)


def test_async_fixtures_stand_beside_it_and_upon_it(trio_project: Project) -> None:
    """With pytest-trio, async fixtures work next to ``kit``, may take it, and may take its place."""
    trio_project.run(
        test_fixtures="""
@pytest.fixture
async def moment():
    yield trio.current_time()
    await trio.sleep(1000)

@pytest.fixture
async def account(kit):
    return await kit.spawn(Account)

@pytest.fixture
def props(kit):
    kit.note("props were made")
    return ak.props(Account, 30)

async def test_beside(kit, moment, nursery):
    nursery.start_soon(kit.advance, 5)
    await trio.sleep(5)
    assert (moment, kit.now()) == (0, 5)

async def test_upon(account, props, kit):
    assert await account.ask(Divide(1)) == 10
    assert await (await kit.spawn(props)).ask(Divide(1)) == 30

class TestInItsPlace:
    @pytest.fixture
    async def kit(self, kit):
        await kit.spawn(ak.props(Account), name="account")
        return kit

    async def test_it(self, kit):
        assert "account" in kit.system.names()
"""
    ).assert_outcomes(passed=3)


def test_fixtures_upon_it_need_pytest_trio(bare_project: Project) -> None:
    """Without it nobody awaits fixtures, and one that uses the kit before it is open is told so."""
    result = bare_project.run(
        test_fixtures="""
@pytest.fixture
def account(kit):
    return kit.spawn(Account)

async def test_upon(account):
    pass
"""
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["kit.spawn is used before the kit is open: fixtures that use kit need pytest-trio*"]
    )


def test_other_kits_are_left_alone(project: Project) -> None:
    """A project may have a fixture called ``kit`` that has nothing to do with actors."""
    project.run(
        test_sewing="""
@pytest.fixture
def kit():
    return ["needle", "thread"]

def test_sewing(kit):
    assert "needle" in kit
"""
    ).assert_outcomes(passed=1)


def test_a_plain_function_is_told_to_be_async(project: Project) -> None:
    """The error names the test and the remedy."""
    result = project.run(test_plain="def test_plain(kit):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["test_plain takes kit, so it must be async: async def test_plain*"]
    )


def test_examples_need_a_kit_each(project: Project) -> None:
    """``@given`` and ``kit`` do not go together; the error says what does."""
    result = project.run(
        test_given="""
from hypothesis import given, strategies as st

@given(cents=st.integers())
async def test_given(kit, cents):
    pass
"""
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*open one for each: async with open_kit() as kit*"])


def test_there_is_one_clock(trio_project: Project) -> None:
    """A second clock, such as pytest-trio's, is refused: it would not be the one that moves."""
    result = trio_project.run(test_clock="async def test_it(kit, autojump_clock):\n    pass\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["kit brings its own virtual clock: use kit.advance() and kit.now()*"]
    )


# Failures --------------------------------------------------------------------------------------------------------


def test_a_failure_shows_what_happened(project: Project) -> None:
    """The report has pytest's own view of the assertion, crashes with tracebacks, and the chart."""
    result = project.run(
        test_failing="""
async def test_failing(kit):
    account = await kit.spawn(Account)
    account.tell(Divide(0))
    await kit.settle()
    assert await kit.probe().ref.path == "/probe"
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>       assert await kit.probe().ref.path == "/probe"',
            "*- actorkit: what happened last -*",
            "/Account-1 crashed while handling Divide(by=0)",
            "*return self.cents // msg.by",
            "step *test*/Account-1*",
            "*Divide(by=0)*",
            "*/Account-1 died: crashed (ZeroDivisionError*",
        ],
        consecutive=False,
    )
    result.stdout.no_fnmatch_line("*pytest_trio*")
    result.stdout.no_fnmatch_line("*Exception Group*")


def test_what_passes_says_nothing(project: Project) -> None:
    """Only failures get a section."""
    result = project.run(test_fine="async def test_fine(kit):\n    kit.note('a note')\n")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*a note*")


def test_waiting_for_ever_fails_at_once(project: Project) -> None:
    """Instead of a hanging run there is a failure, with the line and no machinery."""
    result = project.run(
        test_stuck="""
async def test_stuck(kit):
    await kit.probe(Divide).ref.ask(Divide(1), timeout=None)
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*nothing can go on, and no timer is set, so the test would wait for ever:",
            "*test stands at test_stuck.py:* in test_stuck: await kit.probe(Divide)*",
            "*/probe-1 has put off its reply to Divide(by=1)",
            "*actorkit: what happened last*",
        ]
    )
    result.stdout.no_fnmatch_line("*open_kit_for_runner*")


def test_the_laws_are_checked_at_the_end(project: Project) -> None:
    """A test that passes fails all the same if a law is broken; one that fails keeps its own failure beside it."""
    result = project.run(
        test_laws="""
async def test_lossy(kit):
    kit.system.runtime.sent += 1

async def test_both(kit):
    kit.system.runtime.sent += 1
    assert kit.now() == "the test's own failure"
""",
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["*1 messages were sent, but 0 were handled*", "*assert 0.0 == *the test's own failure*"]
    )


# The plugin itself -----------------------------------------------------------------------------------------------


def test_it_loads_little() -> None:
    """Loaded by every pytest run of an environment, it brings nothing along that ``import actorkit`` does not."""
    program = (
        "import sys, actorkit, pytest; before = set(sys.modules); import actorkit.testing.plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["actorkit.testing", "actorkit.testing.plugin"]


def test_kits_do_without_it(pytester: pytest.Pytester) -> None:
    """``-p no:actorkit`` takes the fixture away; a plain test may still open a kit."""
    project = Project(pytester, "pytest-trio off")
    result = project.run(
        "-p",
        "no:actorkit",
        test_by_hand="""
from actorkit.testing.kit import open_kit
from actorkit.testing.running import run_in_virtual_time

def test_by_hand():
    async def main():
        async with open_kit() as kit:
            account = await kit.spawn(Account)
            assert await account.ask(Divide(5)) == 2
    run_in_virtual_time(main)

def test_no_fixture(kit):
    pass
""",
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'kit' not found*"])


def test_it_is_installed() -> None:
    """Pytest finds it by its entry point."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--fixtures",
            "--co",
            "-q",
            "-p",
            "no:cacheprovider",
            __file__,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "kit -- " in done.stdout
    assert "virtual time, with probes" in done.stdout
