"""The benchmark suite works: every workload runs and checks itself, and figures read as they should."""

from __future__ import annotations

import json
import shutil
from typing import cast, get_args

import pytest

from tests.benchmarks.__main__ import main
from tests.benchmarks.catalogue import CATALOGUE
from tests.benchmarks.figures import Figure, Series, aligned, brief, table
from tests.benchmarks.peers.roster import PEERS
from tests.benchmarks.processes import SampleFailed, Unsupported, read_sample
from tests.benchmarks.registry import Benchmark, Better, Side, WrongResult, require
from tests.benchmarks.rounds import Absent, measure

TINY = 30
SMALL_SCALE = "0.0005"
WANTED = {
    "tell_flood",
    "tell_flood_sync",
    "ask_actor_to_actor",
    "ask_actor_to_actor_sync",
    "ask_from_task",
    "ping_pong",
    "spawn",
    "spawn_from_actor",
    "idle_actor_bytes",
    "idle_actor_rss",
    "fan_out",
    "timers",
    "start_stop",
    "busy_among_idle",
    "stopped_up_memory",
    "trio_latency_under_load",
    "linearizability_1000x5",
    "sim_schedules",
    "sim_bank",
    "spec_steps",
    "remote_tell",
    "remote_ask",
    "remote_ask_pipelined",
    "remote_spawn",
    "remote_bulk",
    "remote_bulk_delay",
    "remote_ask_p50",
    "remote_ask_p99",
    "remote_bulk_ask_p50",
    "remote_bulk_ask_p99",
    "remote_ref_bytes",
    "remote_stopped_memory",
    "codec_encode",
    "codec_decode",
}


def _figure(name: str = "spawn", *, value: float = 6.0, floor: float = 4.0) -> Figure:
    return Figure(
        name=name,
        unit="us",
        better="lower",
        actorkit=Series((9.0, value, 1.0)),
        floor=Series((floor,)),
        peers={"erlang": Series((3.0,)), "pykka": None},
    )


def test_no_wanted_benchmark_is_missing() -> None:
    """Every figure the project promises to measure has a benchmark."""
    assert set(CATALOGUE) >= WANTED


@pytest.mark.parametrize("side", get_args(Side))
@pytest.mark.parametrize(
    "bench", CATALOGUE.values(), ids=lambda bench: cast("Benchmark", bench).name
)
def test_every_workload_runs_and_checks_its_result(bench: Benchmark, side: Side) -> None:
    """At a tiny size each workload ends with the result it checks for, and tells a value."""
    assert bench.sample(side, TINY) >= 0.0
    assert bench.better in get_args(Better)
    assert bench.summary.endswith(".")


def test_json_is_a_list_of_figures_with_the_peers_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """--json prints one object for each benchmark named, with a value for each peer of --vs."""
    names = ["tell_flood", "spawn"]
    assert main([*names, "--json", "--runs", "1", "--scale", SMALL_SCALE, "--vs", "trio"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [figure["name"] for figure in told] == names
    for figure in told:
        assert {"name", "value", "unit", "floor", "ratio_to_floor", "peers", "better"} <= set(
            figure
        )
        assert figure["value"] > 0
        assert figure["peers"]["trio"] > 0


def test_a_peer_without_the_work_is_null_and_fails_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a peer cannot do is null in the figure, with the reason on stderr, and the run succeeds."""
    assert main(["timers", "--json", "--runs", "1", "--scale", SMALL_SCALE, "--vs", "trio"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)[0]["peers"] == {"trio": None}
    assert "no figure for trio: trio has no timers" in printed.err


@pytest.mark.skipif(shutil.which("erlc") is None, reason="Erlang is not installed here")
def test_the_erlang_peer_compiles_and_answers() -> None:
    """The Erlang module compiles without a warning that stops it, and measures what we measure."""
    assert PEERS["erlang"].sample("ask_actor_to_actor", TINY) > 0


@pytest.mark.parametrize(
    "arguments",
    [["no_such_benchmark"], ["--vs", "no_such_peer"], ["--runs", "0"], ["--scale", "0"]],
)
def test_what_does_not_exist_is_refused_at_the_door(arguments: list[str]) -> None:
    """Unknown names and numbers without sense end the command before anything is measured."""
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2


def test_the_list_names_every_benchmark_and_peer(capsys: pytest.CaptureFixture[str]) -> None:
    """--list shows what there is and runs nothing."""
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert [name for name in (*CATALOGUE, *PEERS) if name not in listed] == []


def test_contenders_are_sampled_in_turn() -> None:
    """Rounds go A B C, A B C, so that noise hits all alike."""
    order: list[str] = []

    def sampler(name: str) -> float:
        order.append(name)
        return float(len(order))

    measured = measure({"a": lambda: sampler("a"), "b": lambda: sampler("b")}, runs=3)
    assert order == ["a", "b"] * 3
    assert measured.series["b"].samples == (2.0, 4.0, 6.0)


def test_whoever_is_absent_once_is_left_out_from_then_on() -> None:
    """A peer that fails in a round has no figure, is not asked again, and keeps nobody else from theirs."""
    asked: list[float] = []

    def failing_at_second() -> float:
        asked.append(1.0)
        if len(asked) == 2:
            raise Absent("broke")
        return 1.0

    measured = measure({"peer": failing_at_second, "floor": lambda: 2.0}, runs=4)
    assert len(asked) == 2
    assert measured.absent == {"peer": "broke"}
    assert list(measured.series) == ["floor"]
    assert len(measured.series["floor"].samples) == 4


def test_a_figure_is_the_median_and_its_ratio_is_to_the_floor() -> None:
    """Value and floor are medians; the ratio is value by floor, whichever direction is better."""
    told = _figure().as_json()
    assert (told["value"], told["low"], told["high"]) == (6.0, 1.0, 9.0)
    assert told["ratio_to_floor"] == 1.5
    assert told["peers"] == {"erlang": 3.0, "pykka": None}


def test_a_floor_of_nothing_has_no_ratio() -> None:
    """Where bare Python needs nothing at all, no ratio is made up."""
    assert _figure(floor=0.0).as_json()["ratio_to_floor"] is None


def test_the_table_shows_spread_floor_and_peers_aligned() -> None:
    """Each line has the figure, its spread, and its ratios; a peer without a figure shows a dash."""
    header, line = table([_figure()]).splitlines()
    assert " ".join(header.split()) == (
        "benchmark unit better value min..max floor of floor erlang of erlang pykka of pykka"
    )
    assert " ".join(line.split()) == "spawn us lower 6 1..9 4 x1.50 3 x2.00 - -"
    assert brief(_figure()) == "6 us, x1.50 of floor, x2.00 of erlang, - of pykka"
    assert aligned([["a", "b", "c", "1"], ["aa", "b", "c", "10"]]) == "a   b  c   1\naa  b  c  10"


def test_a_sample_is_the_last_line_printed() -> None:
    """What a process printed before its JSON line does not matter; a line of another shape is a failure."""
    assert read_sample('noise\n{"value": 3}\n') == 3.0
    with pytest.raises(Unsupported, match="not mine"):
        read_sample('{"unsupported": "not mine"}')
    for wrong in ("", "not json", '{"value": "3"}', "[]"):
        with pytest.raises(SampleFailed):
            read_sample(wrong)


def test_a_wrong_result_is_never_timed() -> None:
    """A workload whose result differs from the wanted one raises instead of telling a value."""
    require("total", 3, 3)
    with pytest.raises(WrongResult, match="total: got 2, wanted 3"):
        require("total", 2, 3)
