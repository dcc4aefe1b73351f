"""Damaged frames, bodies, ops and fragments: a part of the million that ``fuzz_frames`` runs on its own."""

from __future__ import annotations

from tests.cluster.fuzz_frames import CASES, fuzz


def test_damage_raises_protocol_errors_only() -> None:
    """Whatever is wrong, it is a ProtocolError; and the cases are neither all refused nor all harmless."""
    outcomes = fuzz(20_000, seed=4)
    assert sum(outcomes.values()) == 20_000
    for case in CASES:
        assert outcomes[f"{case.__name__} refused"] > 2000
        assert outcomes[f"{case.__name__} taken"] > 20
