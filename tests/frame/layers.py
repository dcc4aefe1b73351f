"""Who may import whom, read off the source with the standard library's ast."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

FRONT_DOOR = "(front door)"

# A room sees itself and the rooms named here. `coordination` sees only what users import.
_LOWER = frozenset({"errors", "seams", "kernel", "codec"})
_INNER = _LOWER | {"supervision", "journal", "cluster", "launch", "coordination", FRONT_DOOR}
MAY_IMPORT: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "seams": frozenset({"errors"}),
    "kernel": frozenset({"errors", "seams"}),
    "codec": frozenset({"errors", "seams", "kernel"}),
    "supervision": _LOWER,
    "journal": _LOWER,
    "cluster": _LOWER,
    "launch": _LOWER | {"supervision", "cluster"},
    "coordination": frozenset({FRONT_DOOR}),
    FRONT_DOOR: _INNER,
    "observe": _INNER,
    "testing": _INNER | {"observe"},
    "demo": _INNER | {"observe"},
    "cli": _INNER | {"observe", "testing", "demo"},
    "__main__": frozenset({"cli"}),
}

# What a type checker alone may see through a wall: an error that carries a value names the value's type.
FOR_CHECKERS = frozenset({("errors", "actorkit.kernel.exits")})

# These decide and do nothing else: time and chance come in as arguments.
PURE = (
    "kernel/address.py",
    "kernel/message.py",
    "kernel/exits.py",
    "kernel/mailbox.py",
    "kernel/relations.py",
    "kernel/timers.py",
    "kernel/vocabulary.py",
    "kernel/notices.py",
    "codec/plain.py",
    "codec/values.py",
    "codec/anything.py",
    "cluster/frames.py",
    "cluster/grouptable.py",
    "cluster/handshake.py",
    "cluster/liveness.py",
    "cluster/membership.py",
    "cluster/nametable.py",
    "cluster/namewords.py",
    "cluster/outbox.py",
    "cluster/wire.py",
    "launch/orders.py",
    "supervision/spec.py",
    "supervision/plan.py",
    "testing/chart.py",
    "testing/crossings.py",
    "testing/layout.py",
    "testing/lifelines.py",
    "testing/platter.py",
    "testing/trace.py",
    "testing/protocol/history.py",
    "testing/protocol/linearizability.py",
    "testing/simulation/exhaustive.py",
    "testing/simulation/plan.py",
    "testing/simulation/shrinking.py",
    "testing/simulation/strategies.py",
)
EFFECTS = frozenset({"trio", "socket", "time", "random", "threading", "os"})


@dataclass(frozen=True)
class Import:
    """One module naming another."""

    source: str
    target: str
    line: int
    for_checkers_only: bool

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


def modules_of(package: Path) -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    return {_dotted(path, package): path for path in sorted(package.rglob("*.py"))}


def imports_of(package: Path) -> list[Import]:
    """Every import in the package, those inside functions included."""
    modules = modules_of(package)
    return [found for name, path in modules.items() for found in _imports(name, path, modules)]


def layer_faults(package: Path) -> list[str]:
    """The imports that cross a wall, and the rooms nobody has placed."""
    inside = [i for i in imports_of(package) if _is_inside(i.target, package)]
    rooms = {name: room_of(name) for name in modules_of(package)}
    homeless = [f"{name} is in no known room" for name, r in rooms.items() if r not in MAY_IMPORT]
    return homeless + [
        str(i)
        for i in inside
        if (here := room_of(i.source)) in MAY_IMPORT
        and (there := room_of(i.target)) != here
        and there not in MAY_IMPORT[here]
        and not (i.for_checkers_only and (here, i.target) in FOR_CHECKERS)
    ]


def find_cycle(package: Path) -> list[str]:
    """One import cycle as a list of modules, or an empty list."""
    graph: dict[str, set[str]] = {name: set() for name in modules_of(package)}
    for found in imports_of(package):
        if not found.for_checkers_only and found.target in graph:
            graph[found.source].add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def impurities(package: Path, pure: tuple[str, ...] = PURE) -> list[str]:
    """The effects that pure files import, and the pure files that are gone."""
    modules = modules_of(package)
    absent = [
        f"{file} is listed as pure but is not there"
        for file in pure
        if not (package / file).exists()
    ]
    names = {name for name, path in modules.items() if path.relative_to(package).as_posix() in pure}
    return absent + [
        str(i)
        for i in imports_of(package)
        if i.source in names and not i.for_checkers_only and i.target.partition(".")[0] in EFFECTS
    ]


def room_of(module: str) -> str:
    """The room a dotted name lies in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else FRONT_DOOR


def _dotted(path: Path, package: Path) -> str:
    parts = (package.name, *path.relative_to(package).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_inside(module: str, package: Path) -> bool:
    return module.partition(".")[0] == package.name


def _imports(name: str, path: Path, modules: dict[str, Path]) -> list[Import]:
    here = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text("utf-8"), str(path))
    return [
        Import(name, target, node.lineno, for_checkers_only)
        for node, for_checkers_only in _walk(tree, for_checkers_only=False)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for target in _targets(node, here, modules)
    ]


def _walk(node: ast.AST, *, for_checkers_only: bool) -> Iterator[tuple[ast.AST, bool]]:
    yield node, for_checkers_only
    hidden = node.body if isinstance(node, ast.If) and _asks_type_checking(node.test) else []
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, for_checkers_only=for_checkers_only or child in hidden)


def _targets(node: ast.Import | ast.ImportFrom, here: str, modules: dict[str, Path]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    parents = here.split(".")[: len(here.split(".")) + 1 - node.level] if node.level else []
    origin = ".".join([*parents, node.module] if node.module else parents)
    named = (f"{origin}.{alias.name}" for alias in node.names)
    return sorted({full if full in modules else origin for full in named})


def _asks_type_checking(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case _:
            return False
