"""Every numbered example runs, and prints what its last comment says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frame.scripts import Runs, printed_by, run_all, selected

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))


def promised_output(source: str) -> str | None:
    """The text of the `# Output:` comment that ends a script, if it has one."""
    _, found, comment = source.partition("\n# Output:\n")
    if not found:
        return None
    lines = comment.splitlines()
    assert all(line.startswith("#") for line in lines), "the output comment must end the file"
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines).strip()


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The runs of the examples that were selected, side by side."""
    return run_all(selected(request, "example"), tmp_path_factory.mktemp("examples"))


@pytest.mark.timeout(600)  # the first of them waits for all
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_examples_run(example: Path, runs: Runs) -> None:
    """An example ends well, without a warning, and prints what it promised."""
    printed = printed_by(runs[example].result())
    promised = promised_output(example.read_text("utf-8"))
    if promised is not None:
        assert printed == promised


def test_the_promise_is_the_last_comment() -> None:
    """Only a comment that ends the file is a promise, and its layout is kept."""
    assert promised_output("print(1)\n") is None
    assert promised_output("print(1)\n\n# Output:\n# 1\n#\n#   2\n") == "1\n\n  2"
    with pytest.raises(AssertionError, match="must end the file"):
        promised_output("\n# Output:\n# 1\nprint(1)\n")
