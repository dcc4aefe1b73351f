"""``actorkit doctor``: what is weaker than it would be by default, and what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actorkit.cli.codes import ExitCode
from actorkit.cli.doctor import of_node
from actorkit.cluster.options import ClusterOptions
from tests.cli.runs import Up, actorkit

SAFE: dict[str, Any] = {
    **ClusterOptions().as_settings(),
    "listen": "127.0.0.1:4000",
    "tls": False,
    "secrets": [["1234", "*", ["inspect"]]],
}


def weak(**changes: Any) -> list[str]:
    """What is found weak of a node with these settings."""
    found = map(str, of_node({**SAFE, **changes}))
    return [line.removeprefix("WEAK  ") for line in found if line.startswith("WEAK")]


def test_the_defaults_are_the_measure() -> None:
    """A node that is opened without settings has no weakness; nor has one that is stricter, or nowhere to be reached."""
    assert weak() == []
    assert weak(half_open=1, max_peers=2, imports=["shop.*"], secrets=[]) == []
    assert weak(listen="") == weak(listen="[::1]:4000") == weak(listen="localhost:1") == []
    assert weak(listen="10.0.0.1:4000", tls=True) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"listen": "10.0.0.1:4000"},
            'listens at 10.0.0.1:4000, where others can read along: give it tls=Tls(...), or listen="127.0.0.1:0"',
        ),
        (
            {"ship_code": True, "secrets": [["1", "*", ["ship-code"]]]},
            "peers may send code to be run here: open it with ship_code=False",
        ),
        (
            {"ship_code": True},
            "ship_code is on, but no secret grants it: open it with ship_code=False",
        ),
        (
            {"imports": ["*"]},
            "a peer that may spawn can have these modules imported here: '*': name the modules in imports=",
        ),
        (
            {"half_open": 1000},
            "connections from one address that have not proven who they are: at most 1,000: the default is 64; leave half_open out, or lower it",
        ),
        (
            {"handshake_timeout": 7.5},
            "seconds that proving it may take: 7.5: the default is 5; leave handshake_timeout out, or lower it",
        ),
        (
            {"outbox_hard_bytes": 1 << 30},
            "bytes that may wait for one peer before it is cut off: 1,073,741,824: the default is 134,217,728; leave outbox_hard_bytes out, or lower it",
        ),
    ],
)
def test_each_weakness_has_its_line_and_its_remedy(changes: dict[str, Any], said: str) -> None:
    """And nothing else is found with it."""
    assert weak(**changes) == [said]


def test_a_run_is_looked_at_node_by_node(shop: Up) -> None:
    """One that ``up`` has started has no weakness, until somebody opens its key to others."""
    seen = actorkit(shop.directory, "doctor")
    assert (seen.returncode, seen.stderr) == (ExitCode.GOOD, "")
    assert seen.stdout.splitlines()[-1] == "nothing is weaker than the default"
    for node in "ab":
        assert f"\nnode {node}\n  ok    listens at 127.0.0.1:" in seen.stdout
    assert "control, inspect, spawn" in seen.stdout

    key = shop.directory / "actorkit/shop/operator.key"
    key.chmod(0o640)
    seen = actorkit(shop.directory, "doctor", "--run", "shop")
    key.chmod(0o600)
    assert seen.returncode == ExitCode.BAD
    assert f"  WEAK  key file {key} has mode 0640" in seen.stdout
    assert f"chmod 600 {key}" in seen.stdout
    assert seen.stdout.splitlines()[-1] == "1 weak"

    key.unlink()
    seen = actorkit(shop.directory, "doctor")
    assert (seen.returncode, seen.stderr) == (ExitCode.BAD, "")
    assert (
        f"  WEAK  the operators' key {key} is lost: end the run, and start it anew" in seen.stdout
    )
    seen = actorkit(shop.directory, "tree")
    assert seen.returncode == ExitCode.MISUSED
    assert "the operators' key of run 'shop' is lost, and nobody can look in" in seen.stderr


def test_without_a_run_the_defaults_and_the_users_key_are_looked_at(tmp_path: Path) -> None:
    """The key that nodes would use, and one that was named."""
    tmp_path.chmod(0o700)
    seen = actorkit(tmp_path, "doctor")
    assert (seen.returncode, seen.stderr) == (ExitCode.GOOD, "")
    assert "key is not there; it is made, for this user alone" in seen.stdout

    named = tmp_path / "mine"
    named.write_bytes(bytes(range(128, 160)))
    named.chmod(0o604)
    seen = actorkit(tmp_path, "doctor", "--key", "mine")
    assert seen.returncode == ExitCode.BAD
    assert "  WEAK  key file mine has mode 0604" in seen.stdout
    named.chmod(0o600)
    assert actorkit(tmp_path, "doctor", "--key", "mine").returncode == ExitCode.GOOD
