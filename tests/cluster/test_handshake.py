"""Two nodes that know the same key find each other, and agree on everything that follows."""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.cluster.handshake import (
    ClientHandshake,
    Identity,
    Judge,
    ServerHandshake,
    Status,
    Step,
    hkdf_expand,
    hkdf_extract,
)
from actorkit.cluster.keys import Grant, Keyring, Secret
from actorkit.errors import ProtocolError

KEY, OTHER_KEY = bytes(range(32)), bytes(range(32, 64))
SECRET = Secret(KEY)
A = Identity("a", 0xAAAA, "127.0.0.1:4001")
B = Identity("b", 0xBBBB, "127.0.0.1:4002")
NONCE_A, NONCE_B = b"A" * 32, b"B" * 32

Cut = Callable[[bytes], list[bytes]]


def whole(data: bytes) -> list[bytes]:
    """In one piece."""
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    """One byte at a time."""
    return [bytes([byte]) for byte in data]


def randomly(rng: Random) -> Cut:
    """In pieces of random sizes, empty ones too."""

    def cut(data: bytes) -> list[bytes]:
        marks = sorted(rng.randint(0, len(data)) for _ in range(rng.randint(0, 9)))
        return [data[i:j] for i, j in zip([0, *marks], [*marks, len(data)], strict=True)]

    return cut


def take_all(_: Identity, __: Secret) -> Status:
    """A judge who lets in whoever knows the key."""
    return Status.OK


def client(identity: Identity = A, secret: Secret = SECRET, **options: Any) -> ClientHandshake:
    """The side that dials: node a, unless told otherwise."""
    return ClientHandshake(identity, secret, options.pop("nonce", NONCE_A), **options)


def server(
    identity: Identity = B, *secrets: Secret, judge: Judge = take_all, **options: Any
) -> ServerHandshake:
    """The side that listens: node b, unless told otherwise."""
    keyring = Keyring(*(secrets or (SECRET,)))
    return ServerHandshake(identity, keyring, options.pop("nonce", NONCE_B), judge, **options)


def feed(side: ClientHandshake | ServerHandshake, data: bytes, cut: Cut = whole) -> Step:
    """What came of bytes in pieces, as one step; pieces after the end follow what was left over."""
    total, late = Step(), b""
    for piece in cut(data):
        if total.over:
            late += piece
            continue
        step = side.receive(piece)
        total = attrs.evolve(step, send=total.send + step.send, peer=step.peer or total.peer)
    if total.session is None:
        return total
    left = total.session.leftover + late
    return attrs.evolve(total, session=attrs.evolve(total.session, leftover=left))


def converse(
    dialler: ClientHandshake, listener: ServerHandshake, cut: Cut = whole
) -> tuple[Step, Step]:
    """The last step of either side, when nobody has anything more to say."""
    mine, theirs = Step(send=dialler.start()), Step()
    while mine.send and not theirs.over:
        theirs = feed(listener, mine.send, cut)
        mine = feed(dialler, theirs.send, cut)
    return mine, theirs


# Sound handshakes -------------------------------------------------------------------------------------------------

HEADS = st.text("abcXYZ019_-", min_size=1, max_size=64)
NAMES = st.builds("".join, st.tuples(HEADS, st.just("") | st.just("@[::1]:4000")))
ADDRESSES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=190)
IDENTITIES = st.builds(Identity, NAMES, st.integers(0, 2**32 - 1), ADDRESSES, st.booleans())
NONCES = st.binary(min_size=32, max_size=32)
VERSION_RANGES = st.tuples(st.integers(1, 9), st.integers(10, 2**16 - 1))


@given(
    identities=st.tuples(IDENTITIES, IDENTITIES).filter(lambda two: two[0].name != two[1].name),
    key=st.binary(min_size=32, max_size=80),
    nonces=st.tuples(NONCES, NONCES),
    versions=st.tuples(VERSION_RANGES, VERSION_RANGES),
    told=st.booleans(),
    rng=st.randoms(use_true_random=False),
)
def test_any_sound_pair_agrees(
    identities: tuple[Identity, Identity],
    key: bytes,
    nonces: tuple[bytes, bytes],
    versions: tuple[tuple[int, int], tuple[int, int]],
    told: bool,
    rng: Random,
) -> None:
    """Each knows exactly who the other is, and the keys of one are the other's crosswise, however the bytes are cut."""
    dials, listens = identities
    mine, theirs = converse(
        client(
            dials,
            Secret(key),
            nonce=nonces[0],
            versions=versions[0],
            expect=listens.name if told else None,
        ),
        server(listens, Secret(key), nonce=nonces[1], versions=versions[1]),
        randomly(rng),
    )
    assert mine.session is not None
    assert theirs.session is not None
    assert (mine.session.peer, theirs.session.peer) == (listens, dials)
    assert mine.session.send_key == theirs.session.receive_key
    assert mine.session.receive_key == theirs.session.send_key
    assert mine.session.send_key != mine.session.receive_key
    assert mine.session.version == theirs.session.version == min(versions[0][1], versions[1][1])


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_what_follows_is_left_over(cut: Cut) -> None:
    """The first frames may come in the same piece as the last message, and none of their bytes is lost."""
    frames = bytes(range(256)) * 5
    dialler, listener = client(), server()
    proof = feed(dialler, feed(listener, dialler.start()).send)
    at_server = feed(listener, proof.send + frames, cut)
    assert at_server.session is not None
    assert at_server.session.leftover == frames
    at_client = feed(dialler, at_server.send + frames[::-1], cut)
    assert at_client.session is not None
    assert at_client.session.leftover == frames[::-1]


def test_every_session_has_keys_of_its_own() -> None:
    """One changed nonce, name, incarnation or secret changes both keys."""
    variants = [
        (client(), server()),
        (client(nonce=b"x" * 32), server()),
        (client(), server(nonce=b"x" * 32)),
        (client(attrs.evolve(A, name="c")), server()),
        (client(attrs.evolve(A, incarnation=1)), server()),
        (client(attrs.evolve(A, address="")), server()),
        (client(attrs.evolve(A, hidden=True)), server()),
        (client(A, Secret(OTHER_KEY)), server(B, Secret(OTHER_KEY))),
    ]
    keys: list[bytes] = []
    for dialler, listener in variants:
        session = converse(dialler, listener)[0].session
        assert session is not None
        keys += [session.send_key, session.receive_key]
    assert len(set(keys)) == 2 * len(variants)


def test_the_secret_that_was_proved_comes_with_the_session() -> None:
    """Its grants are those of the listening side's ring, whatever the dialling side wrote into its own."""
    local, strong = Secret(OTHER_KEY, peers="c*"), Secret(KEY, {Grant.SPAWN}, "a*")
    mine, theirs = converse(client(A, Secret(KEY, set(Grant))), server(B, local, strong))
    assert theirs.session is not None
    assert theirs.session.secret is strong
    assert mine.session is not None
    assert mine.session.secret.grants == set(Grant)


def test_secrets_are_not_shown() -> None:
    """No key of any kind stands in what is logged."""
    mine, theirs = converse(client(), server())
    shown = repr((mine, theirs)).encode()
    assert mine.session is not None
    for key in (KEY, mine.session.send_key, mine.session.receive_key):
        assert key.hex().encode() not in shown
        assert repr(key).encode() not in shown


# Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.OK])
def test_both_sides_know_why_not(status: Status) -> None:
    """What the judge says is told to a client that has proved who it is, and it may trust it."""
    asked: list[tuple[Identity, Secret]] = []

    def judge(peer: Identity, secret: Secret) -> Status:
        asked.append((peer, secret))
        return status

    mine, theirs = converse(client(), server(judge=judge))
    assert (mine.refused, theirs.refused) == (status, status)
    assert (mine.session, theirs.session) == (None, None)
    assert (mine.peer, theirs.peer) == (B, A)
    assert asked == [(A, SECRET)]


def test_a_node_that_dials_itself_is_told() -> None:
    """The same name and incarnation is itself, also where another name was expected."""
    mine, _ = converse(client(A), server(A))
    assert mine.refused is Status.SELF
    mine, _ = converse(client(A, expect="b"), server(A))
    assert mine.refused is Status.SELF


def test_a_namesake_is_not_allowed() -> None:
    """Two nodes of one name do not talk, whatever the judge would say."""
    mine, _ = converse(client(A), server(attrs.evolve(A, incarnation=7)))
    assert mine.refused is Status.NOT_ALLOWED


def test_the_server_knows_itself_too() -> None:
    """A client that does not look at names gets the same verdict from the server, and the judge is not asked."""

    def nobody(peer: Identity, _: Secret) -> Status:
        raise AssertionError(peer)

    for incarnation, status in ((A.incarnation, Status.SELF), (1, Status.NOT_ALLOWED)):
        listener = server(A, judge=nobody)
        hello = client(attrs.evolve(A, incarnation=incarnation)).start()
        step = feed(listener, hello)
        proof = proof_of(b"client", hello + step.send)
        assert feed(listener, framed(3, proof)).refused is status


@pytest.mark.parametrize("status", [Status.SIMULTANEOUS, Status.ALREADY])
def test_a_wrong_node_is_not_joined(status: Status) -> None:
    """Who expects another one stops before it proves anything, and says who is there."""
    listener = server(judge=lambda _, __: status)
    mine, theirs = converse(client(expect="c"), listener)
    assert mine.refused is Status.WRONG_NODE
    assert mine.send == b""
    assert mine.peer == attrs.evolve(B, address="")
    assert not theirs.over


@pytest.mark.parametrize(
    ("mine", "theirs", "common"),
    [
        ((1, 1), (1, 1), 1),
        ((1, 4), (2, 3), 3),
        ((2, 3), (1, 4), 3),
        ((1, 2), (2, 9), 2),
        ((1, 2), (3, 4), None),
        ((3, 4), (1, 2), None),
    ],
)
def test_the_newest_common_version_is_spoken(
    mine: tuple[int, int], theirs: tuple[int, int], common: int | None
) -> None:
    """Both choose the same one; without one both know why nothing came of it."""
    at_client, at_server = converse(client(versions=mine), server(versions=theirs))
    if common is None:
        assert (at_client.refused, at_server.refused) == (Status.VERSION, Status.VERSION)
    else:
        assert at_client.session is not None
        assert at_server.session is not None
        assert at_client.session.version == at_server.session.version == common


def test_a_secret_for_others_is_not_used() -> None:
    """Neither side accepts a key from, or proves it to, a name that its pattern does not fit."""
    with pytest.raises(ProtocolError, match=r"no secret with id [0-9a-f]{16} is good for 'a'"):
        converse(client(), server(B, Secret(KEY, peers="c")))
    with pytest.raises(ProtocolError, match=r"'b' answers, and the secret used is for 'worker-\*'"):
        converse(client(A, Secret(KEY, peers="worker-*")), server())


# What crosses the wire --------------------------------------------------------------------------------------------


def framed(kind: int, body: bytes) -> bytes:
    """A message, spelled out once more by hand."""
    return b"actk" + struct.pack("<BH", kind, len(body)) + body


def proof_of(role: bytes, transcript: bytes, key: bytes = KEY) -> bytes:
    """What ``role`` proves, spelled out once more by hand."""
    return hmac.digest(key, b"actorkit handshake 1|" + role + b"|" + transcript, "sha256")


def test_the_layout_is_this() -> None:
    """Byte by byte: other versions must be able to read HELLO and CHALLENGE."""
    dialler = client(attrs.evolve(A, hidden=True), versions=(1, 2))
    listener = server()
    numbers = struct.pack("<IBBB", 0xAAAA, 1, 1, 14)
    fields = struct.pack("<HH", 1, 2) + SECRET.id + NONCE_A + numbers
    hello = framed(1, fields + b"a127.0.0.1:4001")
    assert dialler.start() == hello
    fields = struct.pack("<HH", 1, 1) + NONCE_B + struct.pack("<IB", 0xBBBB, 1)
    challenge = framed(2, fields + b"b")
    assert feed(listener, hello).send == challenge
    proof = framed(3, proof_of(b"client", hello + challenge))
    assert feed(dialler, challenge).send == proof
    signed = b"actk" + struct.pack("<BHBBB", 4, 3 + 14 + 32, 0, 0, 14) + b"127.0.0.1:4002"
    verdict = signed + proof_of(b"server", hello + challenge + signed)
    assert feed(listener, proof).send == verdict
    assert feed(dialler, verdict).session is not None


def test_the_largest_messages_fit() -> None:
    """The longest names and addresses there are stay within 512 bytes, and work."""
    name, address = "n" * 64 + "@" + "h" * 190, "x" * 190
    dials, listens = Identity(name, 1, address), Identity("m" + name[1:], 2, address)
    dialler, listener = client(dials), server(listens)
    assert len(dialler.start()) <= 512
    mine, _ = converse(dialler, listener)
    assert mine.session is not None
    assert mine.session.peer == listens


def test_nothing_but_name_version_and_incarnation_before_the_proof() -> None:
    """Where it listens, and whether it is hidden, is for those who know the key."""
    shown = feed(server(B), client().start()).send
    other = attrs.evolve(B, address="elsewhere:1", hidden=True)
    assert feed(server(other), client().start()).send == shown


# Wrong use --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: client(nonce=b"short"),
        lambda: server(nonce=b"x" * 33),
        lambda: client(versions=(0, 1)),
        lambda: client(versions=(2, 1)),
        lambda: server(versions=(1, 2**16)),
        lambda: Identity("", 1),
        lambda: Identity("a b", 1),
        lambda: Identity("a", -1),
        lambda: Identity("a", 2**32),
        lambda: Identity("a", 1, "x" * 191),
        lambda: Identity("a", 1, "host name:1"),
        lambda: Identity("a", 1, "h\u00f6st:1"),
        lambda: hkdf_expand(KEY, b"", 255 * 32 + 1),
    ],
)
def test_what_cannot_be_is_refused_at_once(make: Callable[[], object]) -> None:
    """Wrong arguments are errors of the caller, not of some peer later on."""
    with pytest.raises(ValueError, match=r"got|name|versions|asked"):
        make()


def test_a_handshake_ends_once() -> None:
    """After its end, however that came, it takes no more bytes."""
    dialler, listener = client(), server()
    converse(dialler, listener)
    broken = server()
    with pytest.raises(ProtocolError):
        broken.receive(b"GET / HTTP/1.1\r\n")
    for side in (dialler, listener, broken):
        with pytest.raises(RuntimeError, match="this handshake is over"):
            side.receive(b"x")


def test_a_closed_connection_is_explained() -> None:
    """Where the other side hung up says what it did not like."""
    dialler, listener = client(), server()
    assert "does not accept this node's key" in str(dialler.closed())
    assert "before the whole of HELLO" in str(listener.closed())
    feed(dialler, feed(listener, dialler.start()).send)
    assert "'b' closed the connection without a verdict" in str(dialler.closed())
    assert "'a' closed the connection instead of proving" in str(listener.closed())


# HKDF -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("material", "salt", "info", "extracted", "expanded"),
    [
        pytest.param(
            b"\x0b" * 22,
            bytes(range(0x0D)),
            bytes(range(0xF0, 0xFA)),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
            id="A.1",
        ),
        pytest.param(
            bytes(range(0x50)),
            bytes(range(0x60, 0xB0)),
            bytes(range(0xB0, 0x100)),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
            "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
            "cc30c58179ec3e87c14c01d5c1f3434f1d87",
            id="A.2",
        ),
        pytest.param(
            b"\x0b" * 22,
            b"",
            b"",
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
            id="A.3",
        ),
    ],
)
def test_hkdf_is_that_of_the_rfc(
    material: bytes, salt: bytes, info: bytes, extracted: str, expanded: str
) -> None:
    """The vectors of RFC 5869, appendix A, for SHA-256."""
    key = hkdf_extract(salt, material)
    assert key.hex() == extracted
    assert hkdf_expand(key, info, len(expanded) // 2).hex() == expanded
