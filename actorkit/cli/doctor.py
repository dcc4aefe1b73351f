"""``actorkit doctor``: how the nodes of a run are protected, and what is weaker than it would be by default."""

from __future__ import annotations

import argparse
import ipaddress
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import trio

from actorkit.cli.codes import ExitCode
from actorkit.cli.nodes import PATIENCE, add_run_to, guarded, open_operator, reach, silence
from actorkit.cluster.frames import MAX_FRAME, MAX_MESSAGE
from actorkit.cluster.keys import Grant, KeyFileError, default_key_file, read_key_file
from actorkit.cluster.options import MIB, ClusterOptions
from actorkit.codec.plain import LIMITS
from actorkit.errors import AskError, NodeError
from actorkit.launch.rundir import NodeRecord, Run, RunError, find_run, live_runs
from actorkit.observe.text import printable
from actorkit.seams.transport import split_address

_DESCRIPTION = """\
Shows how the nodes of a run are protected and limited: where they listen, who is let in and what for, who can read the key. If
no run is up, the same of a node that is opened without any settings.
"""
_EPILOG = """\
The exit code is 1 if anything is weaker than it is by default; such lines begin with WEAK, and end with what mends them.
"""
# More of these lets a stranger, or a slow peer, use up more of the machine.
_CAPS = {
    "half_open": "connections from one address that have not proven who they are: at most {}",
    "handshake_timeout": "seconds that proving it may take: {}",
    "max_peers": "peers at a time: at most {}",
    "outbox_bytes": "bytes that may wait for one peer before senders wait: {}",
    "outbox_hard_bytes": "bytes that may wait for one peer before it is cut off: {}",
}


@attrs.frozen
class Finding:
    """One line of what was found; ``remedy`` is there if it is weaker than the default."""

    text: str
    remedy: str = ""

    def __str__(self) -> str:
        if self.remedy:
            return f"WEAK  {printable(self.text)}: {printable(self.remedy)}"
        return f"ok    {printable(self.text)}"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the command line."""
    parser = commands.add_parser(
        "doctor",
        help="how nodes are protected, and what is weaker than it would be by default",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="look at this key file too")
    add_run_to(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""

    def look() -> int:
        wanted = arguments.run_name is not None or live_runs()
        up = find_run(arguments.run_name) if wanted else None
        sections = trio.run(_of_run, up) if up is not None else _of_defaults()
        if arguments.key is not None:
            sections["the key file that was named"] = list(of_key_file(arguments.key))
        return _tell(sections)

    return guarded("doctor", look)


def _tell(sections: Mapping[str, list[Finding]]) -> int:
    for title, findings in sections.items():
        print(title)
        for finding in findings:
            print(f"  {finding}")
    weak = sum(bool(finding.remedy) for findings in sections.values() for finding in findings)
    print(f"{weak} weak" if weak else "nothing is weaker than the default")
    return ExitCode.BAD if weak else ExitCode.GOOD


def _of_defaults() -> dict[str, list[Finding]]:
    settings = {**ClusterOptions().as_settings(), "listen": "127.0.0.1:0", "tls": False}
    path = default_key_file()
    secrets = list(of_key_file(path)) if path.exists() else [_no_key_yet(path)]
    return {
        "no run is up; a node that is opened without settings": list(of_node(settings)),
        "this user's key": secrets,
    }


def _no_key_yet(path: Path) -> Finding:
    return Finding(f"{path} is not there; it is made, for this user alone, when it is first needed")


# A run ------------------------------------------------------------------------------------------------------------------


async def _of_run(up: Run) -> dict[str, list[Finding]]:
    sections = {f"run {up.name}, {up.directory}": list(of_directory(up))}
    try:
        up.key()
    except (KeyFileError, RunError):
        return sections  # told above, and without it no node can be asked
    async with open_operator(up) as node:
        for record in up.nodes:
            settings: Mapping[str, Any] | None = None
            if record.pid is not None and await reach(record, node):
                try:
                    with trio.fail_after(PATIENCE):
                        settings = (await node.remote(record.name).info()).settings
                except (NodeError, AskError, TimeoutError, trio.TooSlowError):
                    pass
            sections[f"node {record.name}"] = list(_of_record(record, settings))
    return sections


def _of_record(record: NodeRecord, settings: Mapping[str, Any] | None) -> Iterator[Finding]:
    if settings is None:
        yield Finding(silence(record), "look at it with `actorkit nodes`")
    else:
        yield from of_node(settings)


def of_directory(up: Run) -> Iterator[Finding]:
    """Who can read what a run says of itself, and its operators' key."""
    mode = stat.S_IMODE(up.directory.stat().st_mode)
    if mode & 0o077:
        yield Finding(f"others can look into it (mode {mode:04o})", f"chmod 700 {up.directory}")
    else:
        yield Finding(f"only this user can look into it (mode {mode:04o})")
    if up.has_key:
        yield from of_key_file(up.key_file)
    else:
        yield Finding(f"the operators' key {up.key_file} is lost", "end the run, and start it anew")


def of_key_file(path: Path) -> Iterator[Finding]:
    """Whether a key file is closed to everybody else, and holds a key."""
    try:
        read_key_file(path)
    except KeyFileError as error:
        wrong, _, remedy = str(error).partition(": ")
        yield Finding(wrong, remedy)
    else:
        yield Finding(f"key file {path} is readable by this user alone")


# A node: pure -----------------------------------------------------------------------------------------------------------


def of_node(settings: Mapping[str, Any]) -> Iterator[Finding]:
    """What a node's settings, as it tells them itself, come to."""
    yield _bind(str(settings["listen"]), tls=bool(settings["tls"]))
    yield Finding("peers prove a shared secret before anything of theirs is decoded")
    for name, peers, grants in settings.get("secrets", ()):
        yield Finding(f"secret {name} for {peers}: {', '.join(grants) or 'sending only'}")
    yield _tls(on=bool(settings["tls"]))
    yield from _code(settings)
    yield from _limits(settings)


def _bind(listen: str, *, tls: bool) -> Finding:
    if not listen:
        return Finding("listens nowhere")
    host, _ = split_address(listen)
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if loopback:
        return Finding(f"listens at {listen}, which only this machine reaches")
    if tls:
        return Finding(f"listens at {listen}, with TLS")
    return Finding(
        f"listens at {listen}, where others can read along",
        'give it tls=Tls(...), or listen="127.0.0.1:0"',
    )


def _tls(*, on: bool) -> Finding:
    return Finding(
        "TLS is on, and both sides are verified" if on else "TLS is off; frames are authenticated"
    )


def _code(settings: Mapping[str, Any]) -> Iterator[Finding]:
    grants = {grant for _, _, granted in settings.get("secrets", ()) for grant in granted}
    if settings["ship_code"] and Grant.SHIP_CODE in grants:
        yield Finding("peers may send code to be run here", "open it with ship_code=False")
    elif settings["ship_code"]:
        yield Finding("ship_code is on, but no secret grants it", "open it with ship_code=False")
    else:
        yield Finding("no code is taken from peers")
    if settings["imports"]:
        patterns = ", ".join(map(repr, settings["imports"]))
        wide = any(set(pattern) <= {"*", "?"} for pattern in settings["imports"])
        text = f"a peer that may spawn can have these modules imported here: {patterns}"
        yield Finding(text, "name the modules in imports=" if wide else "")
    else:
        yield Finding("a peer that may spawn can start only what is imported here already")


def _limits(settings: Mapping[str, Any]) -> Iterator[Finding]:
    yield Finding(
        f"a frame is at most {MAX_FRAME // MIB} MiB, a message {MAX_MESSAGE // MIB} MiB, {LIMITS.elements:,} elements, "
        f"{LIMITS.depth} deep"
    )
    yield Finding(f"a silent peer is lost after {settings['ticktime']:g} s")
    usual = ClusterOptions().as_settings()
    for name, words in _CAPS.items():
        value, default = settings[name], usual[name]
        more = f"the default is {_number(default)}; leave {name} out, or lower it"
        yield Finding(words.format(_number(value)), more if value > default else "")


def _number(value: float) -> str:
    return f"{value:,}".removesuffix(".0")
