"""A node lets in whoever its secrets say, as long as they say it."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.cluster.keys import GRANTS, Grant, Keyring, Secret

KEYS = [bytes([number]) * 32 for number in range(6)]
COOKIE = Secret(KEYS[0])
WORKERS = Secret(KEYS[1], {Grant.SPAWN}, "worker-*")
FIRST = Secret(KEYS[2], GRANTS, "worker-1")


# Secrets ----------------------------------------------------------------------------------------------------------


def test_a_secret_hides_its_key() -> None:
    """What is logged names the key by its id, and the error of a wrong one does not tell it."""
    secret = Secret(b"correct horse battery staple 1234")
    assert "horse" not in f"{secret!r} {secret}"
    assert secret.id.hex() in repr(secret)
    with pytest.raises(ValueError, match="at least 32") as caught:
        Secret(b"horse")
    assert "horse" not in str(caught.value)


def test_the_id_tells_keys_apart_and_no_more() -> None:
    """Eight bytes of a hash with a label of its own, whatever the grants and peers."""
    assert COOKIE.id == sha256(b"actorkit key id" + KEYS[0]).digest()[:8]
    assert attrs.evolve(COOKIE, grants=GRANTS, peers="x").id == COOKIE.id
    assert len({Secret(key).id for key in KEYS}) == len(KEYS)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Secret(b"x" * 31),
        lambda: Secret(bytearray(32)),  # type: ignore[arg-type]
        lambda: Secret("x" * 32),  # type: ignore[arg-type]
        lambda: Secret(KEYS[0], ["fly"]),
        lambda: Secret(KEYS[0], "spawn"),
        lambda: Secret(KEYS[0], peers=""),
        lambda: Secret(KEYS[0], peers="two words"),
        lambda: Secret(KEYS[0], peers=None),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_secret_is_refused(make: Callable[[], Secret]) -> None:
    """Short keys, unknown grants, and patterns that no name can fit."""
    with pytest.raises(ValueError, match=r"secret's|not a valid Grant"):
        make()


def test_grants_may_be_spelled() -> None:
    """As they stand in a file of settings."""
    assert Secret(KEYS[0], ["spawn", "ship-code"]).grants == {Grant.SPAWN, Grant.SHIP_CODE}
    assert Secret(KEYS[0]).grants == frozenset()


@pytest.mark.parametrize(
    ("peers", "fits", "fits_not"),
    [
        ("*", ["a", "worker-1@[::1]:4000"], []),
        ("worker-?", ["worker-1"], ["worker-10", "Worker-1", "worker-"]),
        ("worker-[12]", ["worker-1", "worker-2"], ["worker-3"]),
        ("a@[::1]:4000", ["a@[::1]:4000"], ["a", "a@[::1]:4001"]),
        ("a", ["a"], ["A", "aa", "a@host"]),
    ],
)
def test_patterns_fit_names(peers: str, fits: list[str], fits_not: list[str]) -> None:
    """Case counts, the whole name counts, and a name with brackets can be written as it is."""
    secret = Secret(KEYS[0], peers=peers)
    assert [name for name in fits + fits_not if secret.fits(name)] == fits


# Keyrings ---------------------------------------------------------------------------------------------------------


def test_the_most_precise_secret_is_dialled_with() -> None:
    """A name before a pattern, a longer pattern before a shorter one, in whatever order they were given."""
    for ring in (Keyring(COOKIE, WORKERS, FIRST), Keyring(FIRST, WORKERS, COOKIE)):
        assert ring.for_peer("worker-1") is FIRST
        assert ring.for_peer("worker-2") is WORKERS
        assert ring.for_peer("a") is COOKIE
        assert ring.own is COOKIE


@pytest.mark.parametrize(
    "pattern", ["a@[::1]*", "a@*:4000", "a@[[]::1]:400[0-9]", "?@[[]::1]:4000", "*"]
)
@pytest.mark.parametrize("first", [True, False])
def test_a_name_is_more_precise_than_any_pattern(pattern: str, first: bool) -> None:
    """Also where the name has brackets, and where the pattern has as many characters."""
    plain, wild = Secret(KEYS[0], peers="a@[::1]:4000"), Secret(KEYS[1], peers=pattern)
    ring = Keyring(plain, wild) if first else Keyring(wild, plain)
    assert ring.for_peer("a@[::1]:4000") is plain


def test_a_set_of_characters_says_no_more_than_a_question_mark() -> None:
    """Of two patterns that are as precise, the preferred one counts."""
    one, other = Secret(KEYS[0], peers="worker-[123]"), Secret(KEYS[1], peers="worker-?")
    assert Keyring(one, other).for_peer("worker-1") is one
    assert Keyring(other, one).for_peer("worker-1") is other
    assert Keyring(one, FIRST).for_peer("worker-1") is FIRST


def test_without_a_fitting_secret_there_is_none() -> None:
    """Nobody is dialled with a key meant for others."""
    ring = Keyring(WORKERS)
    assert ring.for_peer("a") is None
    assert ring.by_id(WORKERS.id, "a") is None
    assert ring.by_id(COOKIE.id, "worker-1") is None
    assert Keyring().own is None
    assert Keyring().for_peer("a") is None


def test_an_id_finds_the_secret_that_is_good_for_the_name() -> None:
    """One key may give more to one name than to the rest."""
    more = Secret(KEYS[0], GRANTS, "boss")
    ring = Keyring(COOKIE, more, WORKERS)
    assert ring.by_id(COOKIE.id, "boss") is more
    assert ring.by_id(COOKIE.id, "a") is COOKIE
    assert ring.by_id(WORKERS.id, "worker-1") is WORKERS


def test_a_key_is_changed_without_an_outage() -> None:
    """Added, preferred, removed: at each step two nodes that are one step apart know a common key."""
    old, new = COOKIE, Secret(KEYS[5])

    def ring(step: int) -> Keyring:
        ring = Keyring(old)
        for take in (ring.add, ring.prefer)[:step]:
            take(new)
        if step == 3:
            ring.remove(old)
        return ring

    for step in range(3):
        for dials, listens in ((step, step + 1), (step + 1, step)):
            dialled_with = ring(dials).for_peer("a")
            assert dialled_with is not None
            assert ring(listens).by_id(dialled_with.id, "a") is not None
    assert ring(3).secrets == (new,)


def test_to_set_a_secret_replaces_those_for_the_same_peers() -> None:
    """As ``erlang:set_cookie`` does; those for others stay."""
    ring = Keyring(COOKIE, WORKERS, Secret(KEYS[4]))
    new = Secret(KEYS[5])
    ring.replace(new)
    assert ring.secrets == (new, WORKERS)


def test_to_add_a_secret_again_changes_its_grants() -> None:
    """What it grants is what was said last."""
    ring = Keyring(COOKIE, WORKERS)
    ring.add(Secret(KEYS[0], GRANTS))
    assert ring.secrets == (Secret(KEYS[0], GRANTS), WORKERS)
    ring.prefer(Secret(KEYS[1], GRANTS, "worker-*"))
    assert ring.secrets == (Secret(KEYS[1], GRANTS, "worker-*"), Secret(KEYS[0], GRANTS))


SECRETS = st.builds(Secret, st.sampled_from(KEYS), peers=st.sampled_from(["*", "a*", "a?", "ab"]))


@given(st.lists(SECRETS, max_size=8), st.sampled_from(["a", "ab", "abc", "x"]))
def test_two_nodes_with_the_same_ring_understand_each_other(
    given_: list[Secret], name: str
) -> None:
    """What a ring dials a name with is what the same ring accepts from that name, and it fits."""
    ring = Keyring(*given_)
    secret = ring.for_peer(name)
    fitting = [known for known in given_ if known.fits(name)]
    assert (secret is None) == (not fitting)
    if secret is not None:
        assert secret.fits(name)
        assert ring.by_id(secret.id, name) == secret
