"""The walls of the house stand, and the tool that checks them can see a hole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import actorkit
from tests.frame.layers import find_cycle, impurities, layer_faults

PACKAGE = Path(actorkit.__file__).parent

# `import actorkit` must stay cheap, and work where only the kernel's dependencies are at hand.
LOADED_ON_DEMAND = {
    "actorkit.cluster",
    "actorkit.journal",
    "actorkit.testing",
    "actorkit.cli",
    "hypothesis",
    "rich",
    "msgpack",
    "cloudpickle",
}


def test_rooms_import_only_what_lies_below_them() -> None:
    """Nothing imports a room that the design puts beside it or above it."""
    assert layer_faults(PACKAGE) == []


def test_no_module_imports_itself_through_others() -> None:
    """There is no import cycle, none hidden in a function either."""
    assert find_cycle(PACKAGE) == []


def test_pure_files_import_no_effects() -> None:
    """Files that only decide have no way to wait, to read a clock or to roll dice."""
    assert impurities(PACKAGE) == []


def test_the_front_door_loads_only_the_kernel() -> None:
    """A fresh `import actorkit` loads neither optional rooms nor optional libraries."""
    program = "import sys, actorkit; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert LOADED_ON_DEMAND & set(done.stdout.split()) == set()


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A small package without faults."""
    files = {
        "__init__.py": "from house.kernel import cell\nfrom house.supervision import plan",
        "errors.py": "",
        "kernel/__init__.py": "",
        "kernel/cell.py": "from house import errors\nimport trio",
        "supervision/__init__.py": "",
        "supervision/plan.py": "from house.kernel.cell import Cell\nfrom attrs import frozen",
        "journal/__init__.py": "",
        "cli/__init__.py": "import house",
    }
    package = tmp_path / "house"
    for name, text in files.items():
        _write(package / name, text)
    return package


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def test_a_sound_house_is_found_sound(house: Path) -> None:
    """The checker has nothing to say about a package that keeps the rules."""
    assert layer_faults(house) == []
    assert find_cycle(house) == []
    assert impurities(house, ("supervision/plan.py",)) == []


@pytest.mark.parametrize(
    "hole",
    [
        "import house.supervision.plan",
        "from house.supervision import plan",
        "from house.supervision.plan import decide",
        "from ..supervision import plan",
        "from .. import supervision",
        "def later():\n    from house import cli",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import house.journal",
        "import house",
    ],
)
def test_a_planted_hole_in_a_wall_is_found(house: Path, hole: str) -> None:
    """However it is spelled and wherever it hides, an import upwards is reported once."""
    _write(house / "kernel" / "mailbox.py", hole)
    (fault,) = layer_faults(house)
    assert fault.startswith("house.kernel.mailbox:")


def test_siblings_are_strangers(house: Path) -> None:
    """Supervision may not import the journal."""
    _write(house / "supervision" / "spec.py", "import house.journal")
    assert layer_faults(house) == ["house.supervision.spec:1 imports house.journal"]


def test_a_room_without_a_place_is_found(house: Path) -> None:
    """A new directory must be given its place before it may stand."""
    _write(house / "attic.py", "")
    assert layer_faults(house) == ["house.attic is in no known room"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("from house.kernel import ref", "from house.kernel import actor"),
        ("import house.kernel.ref", "def late():\n    import house.kernel.actor"),
        ("from .ref import Ref", "try:\n    from .actor import Actor\nfinally:\n    pass"),
    ],
)
def test_a_planted_cycle_is_found(house: Path, first: str, second: str) -> None:
    """Two modules that import each other are reported, wherever the imports stand."""
    _write(house / "kernel" / "actor.py", first)
    _write(house / "kernel" / "ref.py", second)
    assert {"house.kernel.actor", "house.kernel.ref"} == set(find_cycle(house))


def test_a_package_that_imports_from_itself_is_a_cycle(house: Path) -> None:
    """A module that takes names from the package that collects them is a cycle."""
    _write(house / "kernel" / "__init__.py", "from house.kernel.ref import Ref")
    _write(house / "kernel" / "ref.py", "from house.kernel import Cell")
    assert {"house.kernel", "house.kernel.ref"} == set(find_cycle(house))


def test_imports_for_checkers_make_no_cycle(house: Path) -> None:
    """What only type checkers read cannot go in circles when the program runs."""
    hint = "import typing\nif typing.TYPE_CHECKING:\n    from house.kernel.ref import Ref"
    _write(house / "kernel" / "actor.py", hint)
    _write(house / "kernel" / "ref.py", "from house.kernel.actor import Actor")
    assert find_cycle(house) == []


def test_a_planted_effect_is_found(house: Path) -> None:
    """A pure file that can read the clock is reported, and so is one that is gone."""
    _write(house / "supervision" / "plan.py", "def decide():\n    from time import monotonic")
    assert impurities(house, ("supervision/plan.py", "kernel/gone.py")) == [
        "kernel/gone.py is listed as pure but is not there",
        "house.supervision.plan:2 imports time",
    ]
