"""The app that a launched process runs: how it is found, imported and checked, and how it fails or exits."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

HOOKS = ("main", "start")
_HERE = Path(__file__).parent
_IMPORTING = ("<frozen importlib", "<frozen runpy>")

Hook = Callable[[Any], Awaitable[object] | object]


class AppError(Exception):
    """The app cannot be run; ``detail`` is a traceback of its own code, if that is where it went wrong."""

    def __init__(self, text: str, detail: str = "") -> None:
        super().__init__(text)
        self.detail = detail


def load_app(app: str) -> Hook | None:
    """Import an app and find what it wants to be called; None if it only defines things.

    Raises:
        AppError: there is no such module, file or function, it takes no node, or importing it fails.
    """
    place, function = _split(app)
    module = _from_file(app, Path(place)) if _is_file(place) else _from_path(app, place)
    if function is None:
        function = next((name for name in HOOKS if callable(getattr(module, name, None))), None)
        if function is None:
            return None
    hook = getattr(module, function, None)
    if not callable(hook):
        known = [name for name, value in vars(module).items() if inspect.isfunction(value)]
        raise AppError(f"app {app!r}: {place} has no function {function!r}; it has {known}")
    _check_signature(app, module, function, hook)
    return hook  # type: ignore[no-any-return]


def _check_signature(app: str, module: ModuleType, name: str, hook: Hook) -> None:
    """See that it can be called with a node, before anything runs."""
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):  # written in C, say: it will show
        return
    try:
        signature.bind(None)
    except TypeError:
        raise AppError(
            f"app {app!r}: {module.__file__} has {name}{signature}, which cannot be called with the node; it should "
            f"be {name}(node)"
        ) from None


def _split(app: str) -> tuple[str, str | None]:
    place, mark, function = app.rpartition(":")
    return (place, function) if mark and function.isidentifier() else (app, None)


def _is_file(place: str) -> bool:
    return place.endswith(".py") or os.sep in place


def _from_path(app: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise AppError(
                f"app {app!r}: there is no module {error.name!r} in {Path.cwd()} or where Python looks for "
                "packages; name a module or a file.py"
            ) from None
        raise _import_failed(app, error) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the app's own, whatever it is
        raise _import_failed(app, error) from None


def _from_file(app: str, file: Path) -> ModuleType:
    """Import a file as if it lay where Python looks for modules: its name is that of the file on every node."""
    name = file.stem
    if not file.is_file():
        raise AppError(f"app {app!r}: there is no file {file}; name a file.py, or a module")
    if not name.isidentifier() or name in sys.modules:
        raise AppError(f"app {app!r}: no module can be called {name!r} here; rename the file")
    sys.path.insert(0, str(file.resolve().parent))
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise AppError(f"app {app!r}: {file} is no Python source; its name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the app's own, whatever it is
        raise _import_failed(app, error) from None
    return module


def _import_failed(app: str, error: BaseException) -> AppError:
    lines = "".join(traceback.format_exception_only(error)).splitlines()
    # A SyntaxError begins with the place, indented; any other with its type and the first line of its text.
    text = next(line for line in lines if line and not line.startswith(" "))
    return AppError(f"app {app!r} cannot be imported: {text}", their_traceback(error))


def their_traceback(error: BaseException) -> str:
    """The traceback of an error without the frames of those who called the user's code."""
    frame: TracebackType | None = error.__traceback__
    while frame is not None and _is_ours(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame))


def _is_ours(file: str) -> bool:
    return Path(file).parent == _HERE or file.startswith(_IMPORTING) or file == importlib.__file__


def exit_status(error: BaseException) -> int | None:
    """The status that ``sys.exit()`` was called for, alone or within nurseries; None if this is another error."""
    if isinstance(error, BaseExceptionGroup):
        statuses = [exit_status(one) for one in error.exceptions]
        return None if None in statuses else max(filter(None, statuses), default=0)
    if not isinstance(error, SystemExit):
        return None
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    sys.stderr.write(f"{error.code}\n")  # as Python does
    return 1
