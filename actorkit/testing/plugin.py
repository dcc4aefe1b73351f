"""The pytest plugin: async tests that take ``kit`` run in virtual time, and say what happened when they fail.

It is installed with actorkit and loaded by every pytest run of that environment, so it imports no more of actorkit than
``import actorkit`` does until a test asks for a kit. With pytest-trio, tests and their other async fixtures are run by pytest-trio, on a virtual clock;
without it, by ``run_in_virtual_time``. ``-p no:actorkit`` switches it off.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Sequence,
)
from contextlib import asynccontextmanager
from functools import partial
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, NoReturn

import outcome
import pytest
import trio

if TYPE_CHECKING:
    from actorkit.testing.kit import TestKit

_PRIVATE = "_actorkit"  # every test whose ``kit`` is ours takes this fixture too; a project may have its own ``kit``
_SIMULATE = "actorkit.testing.simulation.simulate"
_OPENED: pytest.StashKey[TestKit] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers", "actorkit(name='local', seed=0): options of the test's kit, as of open_kit()"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have pytest-trio, where it is active, run tests that take ``kit`` in virtual time."""
    if not config.pluginmanager.hasplugin("trio"):
        return
    for item in items:
        if _takes_kit(item) and iscoroutinefunction(_function(item)):
            run = partial(_run, seed=_options(item).get("seed", 0))
            item.add_marker(pytest.mark.trio(run=run), append=False)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that takes ``kit`` if nobody else has made it a plain function by now."""
    __tracebackhide__ = True
    if (simulated := getattr(pyfuncitem.obj, "simulated", None)) is not None:
        simulated.called = _as_called(pyfuncitem)
    if not (_takes_kit(pyfuncitem) and iscoroutinefunction(pyfuncitem.obj)):
        return None
    wanted = signature(pyfuncitem.obj).parameters
    arguments = {name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}
    options = _options(pyfuncitem)
    _run(partial(_perform, pyfuncitem, arguments), seed=options.get("seed", 0))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what happened last to the report of a failed test."""
    report = yield
    if report.failed and call.excinfo is not None and _is_told(call.excinfo):
        _say_no_more(report)
    opened = item.stash.get(_OPENED, None)
    if opened is not None and report.failed:
        if call.excinfo is not None and isinstance(call.excinfo.value, opened._own_failures):
            report.longrepr = call.excinfo.getrepr(style="value", chain=False)
        if text := opened.report():
            report.sections.append(("actorkit: what happened last", text))
    return report


# Fixtures ----------------------------------------------------------------------------------------


@pytest.fixture
def _actorkit(request: pytest.FixtureRequest) -> pytest.Item:
    """The test that the kit is for; it must be async."""
    item: pytest.Item = request.node
    if hasattr(_function(item), "hypothesis"):
        _complain(
            f"{item.name}: a kit serves one test, and @given makes many examples of it; open one for each: "
            "async with open_kit() as kit, run by run_in_virtual_time()"
        )
    if not iscoroutinefunction(_function(item)):
        _complain(f"{item.name} takes kit, so it must be async: async def {item.name}(...)")
    return item


def _kit(_actorkit: pytest.Item) -> Any:
    """A system of actors in virtual time, with probes; at the end nothing may be lost and nothing left.

    See ``actorkit.testing.TestKit``.
    """
    by_trio = _actorkit.config.pluginmanager.hasplugin("trio")
    return _lifetime(_actorkit) if by_trio else _NotOpen()


# A mark of pytest-trio's: it takes this for an async fixture, which it is once called.
setattr(_kit, "_force_trio_fixture", True)  # noqa: B010 - checkers know of no such attribute
kit = pytest.fixture(name="kit")(_kit)


async def _lifetime(item: pytest.Item) -> AsyncIterator[TestKit]:
    """The kit as an async fixture, which pytest-trio opens and closes."""
    __tracebackhide__ = True
    _name_the_test()
    async with _opened(item) as opened:
        yield opened


@asynccontextmanager
async def _opened(item: pytest.Item) -> AsyncGenerator[TestKit, None]:
    __tracebackhide__ = True
    from actorkit.testing.kit import open_kit_for_runner  # noqa: PLC0415 - only for tests that take it

    async with open_kit_for_runner(**_options(item)) as opened:
        item.stash[_OPENED] = opened
        yield opened


def _name_the_test() -> None:
    """Call the test "test" in traces; pytest-trio runs it, and each fixture, in a task beside this one."""
    beside = trio.lowlevel.current_task().parent_nursery
    for task in beside.child_tasks if beside is not None else ():
        if task.name.startswith("<test "):
            task.name = "test"


async def _perform(item: pytest.Function, arguments: dict[str, Any]) -> None:
    """Run a test in its kit; the laws are checked even if it has failed."""
    __tracebackhide__ = True
    result: outcome.Outcome[object] = outcome.Value(None)
    try:
        async with _opened(item) as opened:
            given = {n: opened if isinstance(v, _NotOpen) else v for n, v in arguments.items()}
            result = await outcome.acapture(partial(item.obj, **given))
    except Exception as at_close:
        if isinstance(result, outcome.Error) and not isinstance(result.error, trio.Cancelled):
            both = [result.error, at_close]
            raise BaseExceptionGroup(
                "the test failed, and so did the kit at its end", both
            ) from None
        raise
    result.unwrap()


class _NotOpen:
    """Stands for a kit until the test runs."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        _complain(
            f"kit.{name} is used before the kit is open: fixtures that use kit need pytest-trio, "
            "and a test that takes it must not be run by another plugin for async tests"
        )


# Small things ------------------------------------------------------------------------------------


def _run(
    main: Callable[[], Awaitable[object]],
    *,
    seed: int | None,
    clock: object = None,
    instruments: Sequence[Any] = (),
) -> None:
    """What pytest-trio calls instead of ``trio.run``."""
    __tracebackhide__ = True
    from actorkit.testing.running import run_in_virtual_time  # noqa: PLC0415 - as above

    if clock is not None:
        _complain(
            f"kit brings its own virtual clock: use kit.advance() and kit.now(), not {clock!r}"
        )
    try:
        run_in_virtual_time(main, seed=seed, instruments=instruments)
    except BaseExceptionGroup as group:
        error = _only_leaf(group)
        if isinstance(error, BaseExceptionGroup):
            _raise_visibly(error)
        raise error from None


def _raise_visibly(group: BaseExceptionGroup[BaseException]) -> NoReturn:
    """Raise a group from this frame alone, which is not hidden: pytest 8.4 to 9.0 stumble over one all of whose are."""
    raise group.with_traceback(None)


def _is_told(failure: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether a simulation tells of a failure that no line of the test stands for: its text is all there is to see."""
    return failure.traceback[-1].frame.f_globals.get("__name__") == _SIMULATE


def _say_no_more(report: pytest.TestReport) -> None:
    """Leave out pytest's remark that all of the traceback is hidden: there is none."""
    for shown, *_ in getattr(report.longrepr, "chain", ()):
        shown.extraline = None


def _only_leaf(error: BaseException) -> BaseException:
    """Take an error out of the groups that nurseries have put it into, if it is alone in them: pytest shows it better."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _as_called(item: pytest.Item) -> str:
    """How a test is named on the command line, where pytest was started."""
    # Not by the config's own ``cwd_relative_nodeid``: releases of pytest differ in what they give it and take from it.
    _, mark, inside = str(item.nodeid).partition("::")
    path, here = item.path, item.config.invocation_params.dir
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f"{shown.as_posix()}{mark}{inside}"


def _takes_kit(item: pytest.Item) -> bool:
    return _PRIVATE in getattr(item, "fixturenames", ()) or _extends_kit(item)


def _extends_kit(item: pytest.Item) -> bool:
    """Whether a project's ``kit`` takes ours: pytest before 9 does not list what an overridden fixture takes."""
    info = getattr(item, "_fixtureinfo", None)
    for definition in reversed(info.name2fixturedefs.get("kit", ()) if info is not None else ()):
        if definition.func is _kit:
            return True
        if "kit" not in definition.argnames:
            return False
    return False


def _function(item: pytest.Item) -> Any:
    return getattr(item, "obj", None)


def _options(item: pytest.Item) -> dict[str, Any]:
    marker = item.get_closest_marker("actorkit")
    return dict(marker.kwargs) if marker is not None else {}


def _complain(text: str) -> NoReturn:
    pytest.fail(text, pytrace=False)
