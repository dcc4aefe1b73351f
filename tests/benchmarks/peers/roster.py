"""The peers: what each is, how big a share of the work it is given, and how to run it."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable

import attrs

from tests.benchmarks.peers.environments import compiled_erlang, free_port, python_with
from tests.benchmarks.processes import SampleFailed, Unsupported, sample
from tests.benchmarks.rounds import Absent

ERLANG_MODULES = ("actorkit_bench", "actorkit_remote_bench")


@attrs.frozen
class Peer:
    """Another system that can do some of the same work."""

    name: str
    what: str
    # Rates do not depend on the size, so a slow peer does less of the same work.
    share: float
    launcher: Callable[[], list[str]]

    def sample(self, work: str, size: int) -> float:
        """One value of one work; raises Absent with the reason where there is none."""
        command = [*self.launcher(), work, str(max(1, round(size * self.share)))]
        try:
            return sample(command)
        except Unsupported as why:
            raise Absent(str(why)) from None
        except SampleFailed as why:
            raise Absent(f"{self.name} failed: {why}") from None


def _erlang() -> list[str]:
    # Two nodes find each other at a port they are told, so no epmd has to run here, or is left running.
    network = ["-start_epmd", "false", "-erl_epmd_port", str(free_port())]
    secret = ["-setcookie", secrets.token_hex()]
    beams = compiled_erlang(*ERLANG_MODULES)
    return ["erl", "-noshell", *network, *secret, "-pa", beams, "-run", ERLANG_MODULES[0], "main"]


def _script(peer: str, requirement: str | None = None) -> Callable[[], list[str]]:
    def launch() -> list[str]:
        python = sys.executable if requirement is None else python_with(requirement)
        return [python, "-m", f"tests.benchmarks.peers.{peer}_peer"]

    return launch


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("erlang", "Erlang/OTP as installed, compiled", 1.0, _erlang),
        Peer("trio", "a trio task and a memory channel per actor", 0.3, _script("trio")),
        Peer("trio_tcp", "bare bytes over trio's TCP, two processes", 1.0, _script("trio_tcp")),
        Peer("pykka", "Pykka 4.5.0, a thread per actor", 0.1, _script("pykka", "pykka==4.5.0")),
        Peer(
            "xoscar",
            "xoscar 0.12.2, a pool in each process",
            0.1,
            _script("xoscar", "xoscar==0.12.2"),
        ),
        Peer(
            "autogen",
            "autogen-core 0.7.5, single-threaded runtime",
            0.05,
            _script("autogen", "autogen-core==0.7.5"),
        ),
        Peer("ray", "Ray 2.60.0, a process per actor", 0.05, _script("ray", "ray==2.60.0")),
        Peer("msgspec", "msgspec 0.22.0", 1.0, _script("msgspec", "msgspec==0.22.0")),
        Peer(
            "thespian",
            "Thespian 4.0.1, a process per actor over TCP",
            0.005,
            _script("thespian", "thespian==4.0.1"),
        ),
    )
}
