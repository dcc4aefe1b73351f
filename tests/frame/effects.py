"""What reaches out of the program, read off the source: clocks, dice, sockets, files, threads.

Names are followed through imports and aliases to what they mean, so ``from time import monotonic as now`` hides nothing.
Annotations are not looked at: a function that is handed a ``Random`` rolls somebody else's dice.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

_BY_KIND: Mapping[str, tuple[str, ...]] = {
    "time": (
        *("time", "timeit", "sched", "trio.current_time", "trio.lowlevel.current_clock"),
        *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today"),
        "datetime.date.today",
    ),
    "chance": (
        *("random", "secrets", "os.urandom", "os.getrandom"),
        *("uuid.uuid1", "uuid.uuid4", "uuid.getnode"),
    ),
    "sockets": (
        *("socket", "ssl", "select", "selectors", "socketserver", "http", "urllib.request"),
        *("trio.socket", "trio.SocketStream", "trio.SocketListener", "trio.SSLStream"),
        *("trio.open_tcp_stream", "trio.open_tcp_listeners", "trio.serve_tcp"),
        *("trio.open_ssl_over_tcp_stream", "trio.open_ssl_over_tcp_listeners"),
        *("trio.open_unix_socket", "trio.serve_ssl_over_tcp"),
    ),
    "files": (
        *("open", "io.open", "io.FileIO", "os", "posix", "pathlib.Path", "pathlib.PosixPath"),
        *("shutil", "tempfile", "glob", "fileinput", "fcntl", "mmap", "sqlite3", "shelve", "dbm"),
        *("trio.Path", "trio.open_file", "trio.wrap_file"),
    ),
    "threads": (
        *("threading", "_thread", "multiprocessing", "concurrent.futures", "queue", "asyncio"),
        *("subprocess", "signal", "os.fork", "trio.to_thread", "trio.from_thread"),
        *("trio.lowlevel.start_thread_soon", "trio.lowlevel.open_process"),
        *("trio.run_process", "trio.open_signal_receiver"),
    ),
    "environment": ("os.environ", "os.environb", "os.getenv", "os.putenv", "os.getpid"),
}
TOUCHES = {name: kind for kind, names in _BY_KIND.items() for name in names}

# Names of such modules that only compute, or only name a type.
HARMLESS = frozenset(
    {
        *("os.PathLike", "os.fspath", "os.fsencode", "os.fsdecode", "os.sep", "os.linesep"),
        *("os.path.join", "os.path.basename", "os.path.dirname", "os.path.splitext"),
        *("concurrent.futures.CancelledError", "asyncio.CancelledError"),
        "threading.get_ident",
    }
)

# A path may come in as an argument, so what only paths can do is looked for on anything.
PATH_METHODS = frozenset(
    {
        *("read_text", "write_text", "read_bytes", "write_bytes", "iterdir", "rglob"),
        *("mkdir", "rmdir", "touch", "symlink_to", "hardlink_to"),
    }
)

SEEDED = "seeded chance"  # random.Random(seed): repeats itself, but decides for itself when


@dataclass(frozen=True)
class Touch:
    """One place where a module reaches out."""

    file: str
    line: int
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} touches {self.kind}: {self.name}"


@dataclass(frozen=True)
class Allowed:
    """Files that may reach out in one way, and why."""

    files: str
    kind: str
    reason: str

    def covers(self, touch: Touch) -> bool:
        """Whether it is about this place."""
        return fnmatch(touch.file, self.files) and touch.kind == self.kind

    def __str__(self) -> str:
        return f"{self.files} may touch {self.kind}, and no longer does: drop the permission"


def effect_faults(package: Path, allowed: Iterable[Allowed]) -> list[str]:
    """The places that reach out without permission, and the permissions that nobody needs."""
    touches = list(touches_of(package))
    permissions = tuple(allowed)
    faults = [str(t) for t in touches if not any(p.covers(t) for p in permissions)]
    return faults + [str(p) for p in permissions if not any(p.covers(t) for t in touches)]


def touches_of(package: Path) -> Iterator[Touch]:
    """Every place in the package that reaches out."""
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"), str(path))
        reader = _Reader(_meanings(tree))
        reader.visit(tree)
        file = path.relative_to(package).as_posix()
        yield from (Touch(file, line, kind, name) for line, kind, name in reader.found)


def kind_of(name: str) -> str | None:
    """In which way a dotted name reaches out, if it does: the longest part of it that is known decides."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        known = ".".join(parts[:length])
        if known in HARMLESS:
            return None
        if known in TOUCHES:
            return TOUCHES[known]
    return None


def _meanings(tree: ast.Module) -> dict[str, str]:
    """What the names that a module imports mean, wherever it imports them."""
    found = {"open": "open"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


class _Reader(ast.NodeVisitor):
    """Collects (line, kind, name) of everything that reaches out, annotations apart."""

    def __init__(self, meanings: Mapping[str, str]) -> None:
        self.found: list[tuple[int, str, str]] = []
        self._meanings = meanings

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if any(alias.name == "*" for alias in node.names):
            self._note(node, f"{node.module}.*")

    def visit_Call(self, node: ast.Call) -> None:
        if self._meaning(node.func) == "random.Random" and (node.args or node.keywords):
            self.found.append((node.lineno, SEEDED, "random.Random"))
            for part in (*node.args, *node.keywords):
                self.visit(part)
        else:
            self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        meaning = self._meaning(node)
        if meaning is not None:
            self._note(node, meaning)
            return
        if node.attr in PATH_METHODS:
            self.found.append((node.lineno, "files", f".{node.attr}"))
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._note(node, self._meanings.get(node.id, ""))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        """An annotation reaches for nothing."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in (*node.decorator_list, node.args, *node.body):
            self.visit(part)

    def _note(self, node: ast.stmt | ast.expr, meaning: str) -> None:
        kind = kind_of(meaning)
        if kind is not None:
            self.found.append((node.lineno, kind, meaning))

    def _meaning(self, node: ast.expr) -> str | None:
        """The dotted name that an expression means, if it begins with something imported."""
        if isinstance(node, ast.Name):
            return self._meanings.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self._meaning(node.value)
            return owner and f"{owner}.{node.attr}"
        return None
