"""Nodes of a cluster under load are killed by SIGKILL again and again, and every promise to the survivors is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.cluster.launched import gone
from tests.cluster.storm import NODES, PLACE, is_free, storm


@pytest.mark.parametrize(
    ("kills", "seconds"),
    [
        pytest.param(6, 90, id="6"),
        pytest.param(200, 900, id="200", marks=[pytest.mark.soak, pytest.mark.timeout(1000)]),
    ],
)
async def test_a_storm_of_kills(
    kills: int, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once per monitor and link, nothing after a Down, every pair in order, each ask ended, groups agreed, nothing left."""
    monkeypatch.setenv(PLACE, str(tmp_path))
    with trio.fail_after(seconds):
        outcome = await storm(kills, seed=kills)
    assert outcome.kills == kills
    assert outcome.wrong == []
    assert outcome.members == dict.fromkeys((*NODES, "local"), outcome.talkers)
    assert len(outcome.talkers) == len(NODES) + 1
    assert outcome.leaves <= len(NODES) * (len(NODES) + 1)
    for what in ("word", "down", "exit", "withered", "ask answered"):
        assert outcome.happened[what] >= kills, outcome.happened
    assert gone(outcome.pids, within=5.0)
    assert [address for address in outcome.addresses if not is_free(address)] == []
