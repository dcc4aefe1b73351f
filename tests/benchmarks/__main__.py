"""Run the benchmarks: python -m tests.benchmarks [NAME...] [--json] [--vs PEER,...] [--runs N] [--list]."""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import sys
from collections.abc import Sequence

from tests.benchmarks.catalogue import CATALOGUE
from tests.benchmarks.figures import Figure, aligned, brief, readable, table
from tests.benchmarks.peers.roster import PEERS
from tests.benchmarks.processes import SampleFailed, worker
from tests.benchmarks.registry import Benchmark
from tests.benchmarks.rounds import Sampler, measure

RUNS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line names and print it; 1 if a benchmark failed."""
    asked = _parser().parse_args(arguments)
    if asked.list:
        print(_listing())
        return 0
    names = asked.names or list(CATALOGUE)
    figures: list[Figure] = []
    for name in names:
        try:
            figures.append(_figure(CATALOGUE[name], asked.vs, asked.runs, asked.scale))
        except SampleFailed as why:
            _say(f"{name} failed: {why}")
        else:
            _say(f"  {brief(figures[-1])}")
    _print(figures, as_json=asked.json)
    return 0 if len(figures) == len(names) else 1


def _figure(bench: Benchmark, vs: Sequence[str], runs: int, scale: float) -> Figure:
    """One benchmark: its floor, actorkit and the peers, sampled in turn."""
    size = max(1, round(bench.size * scale))
    ours: dict[str, Sampler] = {
        side: functools.partial(worker, bench.name, side, size) for side in ("floor", "actorkit")
    }
    theirs: dict[str, Sampler] = {
        name: functools.partial(PEERS[name].sample, bench.peer_work, size) for name in vs
    }
    _say(f"{bench.name}: {runs} rounds of {', '.join((*ours, *theirs))}")
    measured = measure({**ours, **theirs}, runs)
    for name, reason in measured.absent.items():
        _say(f"{bench.name}: no figure for {name}: {reason}")
    return Figure(
        name=bench.name,
        unit=bench.unit,
        better=bench.better,
        actorkit=measured.series["actorkit"],
        floor=measured.series["floor"],
        peers={name: measured.series.get(name) for name in vs},
    )


def _print(figures: Sequence[Figure], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([figure.as_json() for figure in figures], indent=2))
        return
    print(_machine())
    print()
    print(table(figures))


def _machine() -> str:
    """What the figures were taken on: without it they mean nothing."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores, {platform.machine()}, {python}, {platform.system()}"


def _listing() -> str:
    rows = [
        [bench.name, bench.unit, f"{bench.better} is better", bench.summary, readable(bench.size)]
        for bench in CATALOGUE.values()
    ]
    peers = [[f"--vs {peer.name}", peer.what] for peer in PEERS.values()]
    return f"{aligned(rows, words=4)}\n\n{aligned(peers)}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure actorkit beside bare Python that does the same work, and beside peers.",
    )
    parser.add_argument(
        "names", nargs="*", type=_known, metavar="NAME", help="benchmarks; all of them if none"
    )
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument(
        "--vs", type=_peers, default=(), metavar="PEER,...", help=f"from {', '.join(PEERS)}"
    )
    parser.add_argument("--runs", type=_count, default=RUNS, help=f"rounds (default {RUNS})")
    parser.add_argument("--scale", type=_factor, default=1.0, help="multiply all sizes (default 1)")
    parser.add_argument("--list", action="store_true", help="list benchmarks and peers, run none")
    return parser


def _known(name: str) -> str:
    if name not in CATALOGUE:
        raise argparse.ArgumentTypeError(f"no benchmark is called {name!r}; --list tells which are")
    return name


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number of rounds is 1 or more, not {text!r}")
    return int(text)


def _factor(text: str) -> float:
    factor = float(text)
    if not 0 < factor < float("inf"):
        raise argparse.ArgumentTypeError(f"a factor is more than 0, not {text!r}")
    return factor


def _peers(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no peer is called {', '.join(unknown)}")
    return list(dict.fromkeys(names))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
