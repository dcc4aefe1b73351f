"""Both checkers accept what must be accepted and reject what must be rejected.

`accept_*.py` must be free of errors. In `reject_*.py` a line that ends with the comment `# E`
(a reason may follow) must have an error in both checkers, and no other line may have one.
None of these files is ever imported.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tokenize
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ACCEPTED = sorted(HERE.glob("accept_*.py"))
REJECTED = sorted(HERE.glob("reject_*.py"))

# The errors of each file by line: {"reject_ask.py": {12: ["..."]}}
Faults = dict[str, dict[int, list[str]]]

_MYPY_ERROR = re.compile(r"^(?P<file>.+?):(?P<line>\d+)(:\d+)?: error: (?P<text>.*)$", re.MULTILINE)
_MARK = re.compile(r"# E\b")

pytestmark = pytest.mark.timeout(300)  # checkers with cold caches on a busy machine


def faults_in_mypy(output: str) -> Faults:
    """The errors in mypy's plain output."""
    faults: Faults = {}
    for found in _MYPY_ERROR.finditer(output):
        _note(faults, found["file"], int(found["line"]), found["text"])
    return faults


def faults_in_basedpyright(output: str) -> Faults:
    """The errors in basedpyright's JSON, which counts lines from nought."""
    faults: Faults = {}
    for found in json.loads(output)["generalDiagnostics"]:
        if found["severity"] == "error":
            _note(faults, found["file"], found["range"]["start"]["line"] + 1, found["message"])
    return faults


def marked_lines(source: str) -> set[int]:
    """The lines that bear the comment `# E`."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0] for t in tokens if t.type == tokenize.COMMENT and _MARK.match(t.string)}


def _note(faults: Faults, file: str, line: int, text: str) -> None:
    faults.setdefault(Path(file).name, {}).setdefault(line, []).append(text)


def _run(arguments: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments, *map(str, ACCEPTED + REJECTED)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, f"{arguments[0]} broke down\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _mypy() -> Faults:
    # Its own cache, so that nobody else's run of mypy is waited for.
    cache = ROOT / ".mypy_cache" / "typing"
    options = [
        "--no-pretty",
        "--no-error-summary",
        "--hide-error-context",
        "--cache-dir",
        str(cache),
    ]
    return faults_in_mypy(_run(["mypy", *options]))


def _basedpyright() -> Faults:
    options = ["--project", str(HERE), "--pythonpath", sys.executable, "--outputjson"]
    return faults_in_basedpyright(_run(["basedpyright", *options]))


@pytest.fixture(scope="session")
def verdicts() -> dict[str, Faults]:
    """What each checker says of all files, from one run of each."""
    with ThreadPoolExecutor() as pool:
        running = {"mypy": pool.submit(_mypy), "basedpyright": pool.submit(_basedpyright)}
        return {checker: run.result() for checker, run in running.items()}


@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
@pytest.mark.parametrize("file", ACCEPTED, ids=lambda file: file.stem)
def test_right_code_is_accepted(file: Path, checker: str, verdicts: dict[str, Faults]) -> None:
    """No checker finds fault with code that is right."""
    assert verdicts[checker].get(file.name, {}) == {}


@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
@pytest.mark.parametrize("file", REJECTED, ids=lambda file: file.stem)
def test_wrong_code_is_rejected(file: Path, checker: str, verdicts: dict[str, Faults]) -> None:
    """Every marked line, and no other, has an error."""
    marked = marked_lines(file.read_text("utf-8"))
    found = verdicts[checker].get(file.name, {})
    assert marked, "a file of rejections marks at least one line"
    assert {line: text for line, text in found.items() if line not in marked} == {}
    assert marked - set(found) == set(), f"{checker} accepts these lines"


def test_mypy_is_understood() -> None:
    """Errors count, notes do not, and a line may have several."""
    output = (
        "tests/typing/reject_ask.py:12: error: No overload  [call-overload]\n"
        "tests/typing/reject_ask.py:12: note: Possible overload variants:\n"
        'tests/typing/reject_ask.py:12:5: error: Name "x" is not defined  [name-defined]\n'
        "tests/typing/reject_ref.py:3: error: Wrong\n"
    )
    assert faults_in_mypy(output) == {
        "reject_ask.py": {
            12: ["No overload  [call-overload]", 'Name "x" is not defined  [name-defined]']
        },
        "reject_ref.py": {3: ["Wrong"]},
    }


def test_basedpyright_is_understood() -> None:
    """Errors count, warnings do not, and lines are counted from one."""
    spot = {"start": {"line": 11, "character": 0}, "end": {"line": 11, "character": 9}}
    error = {"file": "/x/reject_ask.py", "severity": "error", "message": "No", "range": spot}
    output = json.dumps({"generalDiagnostics": [error, {**error, "severity": "warning"}]})
    assert faults_in_basedpyright(output) == {"reject_ask.py": {12: ["No"]}}


def test_marks_are_comments() -> None:
    """Only a comment marks a line, and it may give its reason."""
    source = 'a = 1  # E\nb = "# E"\nc = 3  # E: foreign message\nd = 4  # Else\n'
    assert marked_lines(source) == {1, 3}
