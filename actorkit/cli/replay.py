"""``actorkit replay``: runs one plan of a simulated test again, from the token that its failure printed."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from actorkit.cli.codes import ExitCode

if TYPE_CHECKING:
    import pytest

_DESCRIPTION = """\
When a simulated test fails it prints a token: the whole schedule of the failing run, faults included. This runs that schedule
again and nothing else. Set breakpoints, add sim.note() lines, run it as often as you like: it is the same run each time, until
the code takes another path.
"""
_EPILOG = """\
The exit code is 0 if the run no longer fails, 1 if it does, 2 if an argument is wrong. Needs pytest.
"""

# pytest would complain of every module it might have rewritten and finds imported, as actorkit is by now.
_OPTIONS = (
    "-q",
    "--no-header",
    *("-p", "no:cacheprovider"),
    *(
        "-W",
        "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning",
    ),
)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the command line."""
    parser = commands.add_parser(
        "replay",
        help="run one schedule of a simulated test again, from its token",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("token", metavar="TOKEN", type=_token, help="ak1:...")
    parser.add_argument(
        "test", metavar="FILE::TEST", type=_test, help="the test it comes from, as pytest calls it"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Hand the token to pytest, which finds the test and makes its fixtures."""
    try:
        import pytest  # noqa: PLC0415 - an optional package
    except ImportError:
        print(
            "actorkit replay: pytest is not installed; pip install 'actorkit[testing]'",
            file=sys.stderr,
        )
        return ExitCode.MISUSED
    from actorkit.testing.simulation.simulate import REPLAY  # noqa: PLC0415 - brings attrs and more

    os.environ[REPLAY] = arguments.token
    try:
        code = pytest.main([*_OPTIONS, arguments.test], plugins=[_OnlySimulated()])
    finally:
        del os.environ[REPLAY]
    if code == pytest.ExitCode.OK:
        return ExitCode.GOOD
    return ExitCode.BAD if code == pytest.ExitCode.TESTS_FAILED else ExitCode.MISUSED


class _OnlySimulated:
    """Turns tests away that would take no notice of the token, and pass."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Look at what was found."""
        import pytest  # noqa: PLC0415 - an optional package

        for item in items:
            if not hasattr(getattr(item, "obj", None), "simulated"):
                raise pytest.UsageError(f"{item.nodeid} is no simulated test: it has no @simulate")


def _token(text: str) -> str:
    from actorkit.testing.simulation.plan import Plan  # noqa: PLC0415 - only this command needs it

    try:
        Plan.from_token(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _test(text: str) -> str:
    path, mark, _ = text.partition("::")
    if not mark:
        raise argparse.ArgumentTypeError(
            f"{text!r} names no test; it reads FILE::TEST, as in tests/test_bank.py::test_transfer"
        )
    if not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {path!r}")
    return text
