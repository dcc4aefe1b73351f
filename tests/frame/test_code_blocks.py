"""The documentation tells the truth: its code runs and prints what it says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.frame.pages import Block, Script, blocks_of, commands_of, pages_of, scripts_of
from tests.frame.scripts import Runs, first_missing, printed_by, run_all, run_tests, selected

ROOT = Path(__file__).parents[2]
BLOCKS = {page: blocks_of(page, text) for page, text in pages_of(ROOT).items()}
SCRIPTS = [script for blocks in BLOCKS.values() for script in scripts_of(blocks)]
PROGRAMS = [script for script in SCRIPTS if not script.fragment and not script.tests]
MODULES = [script for script in SCRIPTS if script.tests]
FRAGMENTS = [script for script in SCRIPTS if script.fragment]
COMMANDS = [command for blocks in BLOCKS.values() for command in commands_of(blocks)]


def _file_of(program: Script, folder: Path) -> Path:
    return folder / f"{program.page.replace('/', '_').removesuffix('.md')}_{program.line}.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs are written and run."""
    return tmp_path_factory.mktemp("blocks")


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, folder: Path) -> Runs:
    """The runs of the programs that were selected, side by side."""
    files: list[Path] = []
    for program in selected(request, "program"):
        files.append(_file_of(program, folder))
        files[-1].write_text(program.text, "utf-8")
    return run_all(files, folder)


@pytest.mark.timeout(600)  # the first of them waits for all
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_programs_run(program: Script, runs: Runs, folder: Path) -> None:
    """A Python block runs as a script without a warning, and prints what the page shows."""
    printed = printed_by(runs[_file_of(program, folder)].result())
    if program.output is not None:
        assert printed == program.output.strip()


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_modules_of_tests_end_as_shown(module: Script, folder: Path) -> None:
    """Tests on a page pass, or fail in the way that the page shows."""
    file = _file_of(module, folder)
    file = file.with_name(f"test_{file.name}")
    file.write_text(module.text, "utf-8")
    done = run_tests(file, folder)
    assert done.returncode == int(module.fails), f"{done.stdout}\n{done.stderr}"
    missing = first_missing(module.output or "", done.stdout)
    assert missing is None, f"the page shows {missing!r}, pytest printed\n{done.stdout}"


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=str)
def test_fragments_compile(fragment: Script) -> None:
    """A block marked as a fragment is at least Python."""
    compile(fragment.text, str(fragment), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_readme_shows_a_program() -> None:
    """README has a block that runs."""
    assert [script for script in PROGRAMS if script.page == "README.md"]


@pytest.mark.parametrize(("place", "command"), COMMANDS, ids=[c for _, c in COMMANDS])
def test_commands_exist(place: str, command: str) -> None:
    """Every `$ make` and `$ actorkit` line names a target or a subcommand there is."""
    match command.split():
        case ["make", *words]:
            targets = {w for w in words if "=" not in w and not w.startswith("-")}
            assert targets <= _make_targets(), place
        case ["actorkit", subcommand, *_] if not subcommand.startswith("-"):
            assert re.search(rf"\b{re.escape(subcommand)}\b", _cli_help()), place
        case _:
            pass


def _make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z][\w-]*):(?!=)", makefile, re.MULTILINE))


def _cli_help() -> str:
    script = Path(sys.executable).with_name("actorkit")
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    return done.stdout


PAGE = """\
Intro.

```python
print("one")
```
<!-- output -->
```text
one
```

<!-- continues -->

```python
print("two")
```

- ```python
  print("listed")
  ```

1. A list:

   <!-- fragment -->
   ```python
   await ref.ask(1)
   ```

````md
```python
quoted
```
````

```console
$ make demo
some output
$ actorkit demo
```
"""


def test_pages_are_read_as_written() -> None:
    """Blocks join, keep their output, lose their indentation, and quoted fences are not code."""
    blocks = blocks_of("page.md", PAGE)
    assert scripts_of(blocks) == [
        Script("page.md", 3, 'print("one")\n\nprint("two")\n', fragment=False, output="one\n"),
        Script("page.md", 17, 'print("listed")\n', fragment=False),
        Script("page.md", 24, "await ref.ask(1)\n", fragment=True),
    ]
    assert commands_of(blocks) == [("page.md:34", "make demo"), ("page.md:34", "actorkit demo")]


def test_lines_are_looked_for_in_their_order() -> None:
    """What a page shows of a long output must be there in the same order; `...` leaves lines out."""
    printed = "a\n  b\n\nc\nd"
    assert first_missing("a\n  b", printed) is None
    assert first_missing("a\n...\nd", printed) is None
    assert first_missing("a\nd", printed) == "d"
    assert first_missing("d\n...\na", printed) == "a"
    assert first_missing("E   b", "E   b") == "E   b", "the mark is of what was printed"
    assert first_missing("b", "E     b") is None


def test_a_mark_without_a_program_is_an_error() -> None:
    """Output that belongs to nothing is a mistake on the page, not something to pass over."""
    with pytest.raises(ValueError, match="no Python block comes before"):
        scripts_of([Block("page.md", 7, "text", "output", "hello\n")])
    with pytest.raises(ValueError, match="never closed"):
        blocks_of("page.md", "```python\nprint()\n")
