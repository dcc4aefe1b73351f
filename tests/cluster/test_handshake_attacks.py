"""Nobody without the key becomes a peer, learns more than he may, or harms the node with any bytes whatever."""

from __future__ import annotations

import struct
import tracemalloc
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkit.cluster.handshake import (
    MESSAGE_LIMIT,
    ClientHandshake,
    Identity,
    ServerHandshake,
    Status,
    Step,
)
from actorkit.cluster.keys import Secret
from actorkit.errors import ProtocolError
from tests.cluster.test_handshake import (
    NONCE_A,
    OTHER_KEY,
    A,
    B,
    bytewise,
    client,
    feed,
    framed,
    proof_of,
    server,
)

MALLORY = Identity("m", 0x3333, "127.0.0.1:6666")
HELLO, CHALLENGE, PROOF, VERDICT = 1, 2, 3, 4


def recorded() -> dict[int, bytes]:
    """The four messages of a sound handshake; the same each time, as the nonces are."""
    dialler, listener = client(), server()
    hello = dialler.start()
    challenge = feed(listener, hello).send
    proof = feed(dialler, challenge).send
    verdict = feed(listener, proof).send
    assert feed(dialler, verdict).session is not None
    return {HELLO: hello, CHALLENGE: challenge, PROOF: proof, VERDICT: verdict}


def outcome(side: ClientHandshake | ServerHandshake, *data: bytes) -> Step | ProtocolError:
    """What comes of bytes that may be wrong; any other error than ProtocolError passes through."""
    step = Step()
    try:
        for part in data:
            step = step if step.over else feed(side, part)
    except ProtocolError as error:
        return error
    return step


def joined(result: Step | ProtocolError) -> bool:
    """Whether somebody got in."""
    return isinstance(result, Step) and result.session is not None


# Without the key --------------------------------------------------------------------------------------------------


def test_a_wrong_secret_gets_nothing() -> None:
    """A key that the server does not have is answered as garbage is: with nothing, not even a challenge."""
    with pytest.raises(ProtocolError, match="no secret with id"):
        server().receive(client(MALLORY, Secret(OTHER_KEY)).start())


def test_a_wrong_proof_gets_no_verdict() -> None:
    """Who names the right key and does not know it is answered as garbage in its place is: with nothing."""
    for proof in (proof_of(b"client", b"guess", OTHER_KEY), bytes(32), b"x" * 32):
        listener = server()
        feed(listener, client(MALLORY).start())
        with pytest.raises(ProtocolError, match="'m' does not know the secret"):
            listener.receive(framed(PROOF, proof))


def test_a_server_without_the_key_is_found_out() -> None:
    """A client believes no verdict, and no refusal either, of a server that does not know the key."""
    for status in Status:
        dialler = client()
        hello = dialler.start()
        challenge = recorded()[CHALLENGE]
        feed(dialler, challenge)
        body = bytes([status.value, 0, 0])
        signed = b"actk" + struct.pack("<BH", VERDICT, len(body) + 32) + body
        forged = proof_of(b"server", hello + challenge + signed, OTHER_KEY)
        with pytest.raises(ProtocolError, match="'b' does not know the secret"):
            dialler.receive(signed + forged)


def test_the_judge_is_not_asked_about_strangers() -> None:
    """What is decided about a peer is decided after its proof."""
    asked: list[Identity] = []

    def judge(peer: Identity, _: Secret) -> Status:
        asked.append(peer)
        return Status.OK

    listener = server(judge=judge)
    feed(listener, client(MALLORY).start())
    assert isinstance(outcome(listener, framed(PROOF, bytes(32))), ProtocolError)
    assert asked == []


# Replay -----------------------------------------------------------------------------------------------------------


def test_a_recording_opens_no_server() -> None:
    """All that a client once sent, sent again to the same node: its nonce is another by now."""
    taped = recorded()
    again = server(nonce=b"n" * 32)
    assert feed(again, taped[HELLO]).send != taped[CHALLENGE]
    assert isinstance(outcome(again, taped[PROOF]), ProtocolError)


def test_a_recording_deceives_no_client() -> None:
    """All that a server once sent, sent again to the same client."""
    taped = recorded()
    again = client(nonce=b"n" * 32)
    assert isinstance(outcome(again, taped[CHALLENGE], taped[VERDICT]), ProtocolError)


# Reflection and relaying ------------------------------------------------------------------------------------------


def test_what_a_client_says_proves_nothing_to_itself() -> None:
    """On one connection: its HELLO is no CHALLENGE, and its proof no verdict, in whatever wrapping."""
    dialler = client()
    assert isinstance(outcome(dialler, dialler.start()), ProtocolError)
    hello = dialler.start()
    incarnation = struct.pack("<IB", MALLORY.incarnation, 1)
    mirrored = framed(CHALLENGE, hello[7:11] + NONCE_A + incarnation + b"m")
    for kind, padding in ((PROOF, b""), (VERDICT, bytes(3))):
        dialler = client()
        proof = feed(dialler, mirrored).send
        assert proof[:5] == b"actk\x03"
        assert isinstance(outcome(dialler, framed(kind, padding + proof[7:])), ProtocolError)


def disguised(message: bytes, name: bytes) -> bytes:
    """A HELLO or CHALLENGE of a node with a one-letter name, under another one-letter name."""
    at = 7 + 51 if message[4] == HELLO else len(message) - 1
    return message[:at] + name + message[at + 1 :]


@pytest.mark.parametrize("same_nonce", [True, False])
def test_a_victim_does_not_answer_for_the_attacker(same_nonce: bool) -> None:
    """On two connections: node a dials the attacker, who dials node a, under a name of his own, to have it prove for him."""
    dialler, listener = client(A), server(A)
    hello = dialler.start()
    asked = disguised(hello, b"m")
    if not same_nonce:
        asked = asked.replace(NONCE_A, b"M" * 32)
    challenge = disguised(feed(listener, asked).send, b"b")
    proof = feed(dialler, challenge).send
    assert proof
    assert isinstance(outcome(listener, proof), ProtocolError)
    # Nor does the proof serve as the verdict that the dialler waits for.
    assert isinstance(outcome(dialler, framed(VERDICT, bytes(3) + proof[7:])), ProtocolError)


def test_a_victim_that_gets_itself_back_notices() -> None:
    """The same, without a disguise: it has dialled itself, and proves nothing."""
    dialler, listener = client(A, expect="b"), server(A)
    step = feed(dialler, feed(listener, dialler.start()).send)
    assert (step.refused, step.send) == (Status.SELF, b"")


def test_a_relay_cannot_lead_to_another_node() -> None:
    """Who wants b and is led to c is told that c answers, or else finds a proof that does not fit."""
    c = Identity("c", 0xCCCC)
    dialler, listener = client(A, expect="b"), server(c)
    challenge = feed(listener, dialler.start()).send
    assert feed(dialler, challenge).refused is Status.WRONG_NODE
    dialler = client(A, expect="b")
    proof = feed(dialler, disguised(challenge, b"b")).send
    assert isinstance(outcome(listener, proof), ProtocolError)


def test_a_relay_that_changes_nothing_learns_no_key() -> None:
    """He may carry the bytes: the session is between the two ends, and its keys follow from what he does not know."""
    taped = recorded()
    dialler = client()
    end = outcome(dialler, taped[CHALLENGE], taped[VERDICT])
    assert isinstance(end, Step)
    assert end.session is not None
    assert end.session.peer == B
    seen = b"".join(taped.values())
    assert end.session.send_key not in seen
    assert end.session.receive_key not in seen


# Changed bytes ----------------------------------------------------------------------------------------------------


def shake_through(message: int, place: int, mask: int) -> tuple[bool, bool, bool]:
    """Whether client and server take each other, and whether the server was still asking, if one byte is changed."""
    dialler, listener = client(), server()
    sides: tuple[ClientHandshake | ServerHandshake, ...] = (listener, dialler, listener, dialler)
    ends: dict[object, bool] = {}
    data = dialler.start()
    for number, side in enumerate(sides, 1):
        if number == message:
            changed = bytearray(data)
            changed[place] ^= mask
            data = bytes(changed)
        result = outcome(side, data)
        ends[side] = joined(result)
        if isinstance(result, ProtocolError) or not result.send:
            break
        data = result.send
    return ends.get(dialler, False), ends.get(listener, False), message == VERDICT


@pytest.mark.parametrize("message", [HELLO, CHALLENGE, PROOF, VERDICT])
def test_no_changed_bit_goes_unnoticed(message: int) -> None:
    """With any bit of any byte changed on the way, the client never has a session, and the server only behind its verdict."""
    for place in range(len(recorded()[message])):
        for bit in range(8):
            at_client, at_server, after_verdict = shake_through(message, place, 1 << bit)
            assert not at_client
            assert at_server == after_verdict


def test_a_downgrade_is_noticed() -> None:
    """Who takes the newer versions out of HELLO or CHALLENGE gets no older session, but none."""
    dialler, listener = client(versions=(1, 3)), server(versions=(1, 3))
    hello = dialler.start()
    lowered = hello[:9] + struct.pack("<H", 1) + hello[11:]
    challenge = feed(listener, lowered).send
    proof = feed(dialler, challenge[:9] + struct.pack("<H", 1) + challenge[11:]).send
    assert isinstance(outcome(listener, proof), ProtocolError)


@pytest.mark.parametrize("message", [HELLO, CHALLENGE, PROOF, VERDICT])
def test_half_a_message_is_no_message(message: int) -> None:
    """Whatever is cut off, nothing is answered and nobody is let in; the rest completes it."""
    taped = recorded()
    for end in range(len(taped[message])):
        side: ClientHandshake | ServerHandshake
        side = server() if message in {HELLO, PROOF} else client()
        if message > CHALLENGE:
            feed(side, taped[message - 2])
        step = feed(side, taped[message][:end])
        assert (step.send, step.over) == (b"", False)
        rest = feed(side, taped[message][end:])
        assert rest.over or rest.send


def test_a_length_is_checked_before_it_is_waited_for() -> None:
    """Seven bytes are enough to refuse a message that is too long, or too short for its kind."""
    for kind, length in ((HELLO, 506), (HELLO, 65535), (HELLO, 0), (HELLO, 51)):
        with pytest.raises(ProtocolError, match=f"HELLO has a length of {length}"):
            server().receive(b"actk" + struct.pack("<BH", kind, length))
    for kind, length in ((CHALLENGE, 41), (CHALLENGE, 297), (CHALLENGE, 505)):
        with pytest.raises(ProtocolError, match=f"CHALLENGE has a length of {length}"):
            client().receive(b"actk" + struct.pack("<BH", kind, length))


@pytest.mark.parametrize("start", [b"G", b"\x16\x03\x01", b"actj", b"actk\x02", b"\0", b"SSH-2.0"])
def test_strangers_are_refused_at_their_first_wrong_byte(start: bytes) -> None:
    """A browser, TLS, or another protocol is not waited for."""
    with pytest.raises(ProtocolError, match="expected HELLO of an actorkit node, got"):
        feed(server(), start, bytewise)


@pytest.mark.parametrize(
    ("name", "address", "lengths", "says"),
    [
        (b"a", b"h:1", (1, 2), "texts of 3 bytes were announced, 4 came"),
        (b"a", b"h:1", (2, 3), "texts of 5 bytes were announced, 4 came"),
        (b"a", b"h:1", (0, 4), "not a node's name: ''"),
        (b" ", b"h:1", (1, 3), "not a node's name: ' '"),
        (b"n" * 65, b"h:1", (65, 3), "not a node's name"),
        (b"\xe9", b"h:1", (1, 3), "names and addresses are ASCII"),
        (b"a", b"h\n1", (1, 3), "visible ASCII"),
        (b"a", b"h" * 191, (1, 191), "at most 190"),
    ],
)
def test_fields_are_checked(
    name: bytes, address: bytes, lengths: tuple[int, int], says: str
) -> None:
    """Names, addresses and their lengths must be sound even before anybody asks who sent them."""
    fixed = recorded()[HELLO][7:][:49] + bytes(lengths)
    result = outcome(server(), framed(HELLO, fixed + name + address))
    assert isinstance(result, ProtocolError)
    assert says in str(result)


@pytest.mark.parametrize("versions", [(0, 1), (2, 1), (0, 0)])
def test_versions_are_a_range(versions: tuple[int, int]) -> None:
    """A range that is none is no reason to answer."""
    hello = recorded()[HELLO]
    changed = hello[:7] + struct.pack("<HH", *versions) + hello[11:]
    with pytest.raises(ProtocolError, match=r"the versions \d to \d are no range"):
        server().receive(changed)


def test_an_unknown_status_is_an_error() -> None:
    """A verdict that is proved, but means nothing here, is no session."""
    taped = recorded()
    dialler = client()
    feed(dialler, taped[CHALLENGE])
    signed = b"actk" + struct.pack("<BHBBB", VERDICT, 35, 7, 0, 0)
    proof = proof_of(b"server", taped[HELLO] + taped[CHALLENGE] + signed)
    with pytest.raises(ProtocolError, match="the status 7"):
        dialler.receive(signed + proof)


# Any bytes --------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_garbage_is_a_protocol_error(parts: list[bytes]) -> None:
    """Any bytes, in any pieces, behind a sound beginning or not: nobody gets in, and nothing else is raised."""
    taped = recorded()
    for side in (server(), client()):
        assert not joined(outcome(side, *parts))
    for kind in (HELLO, CHALLENGE, PROOF, VERDICT):
        body = b"".join(parts)[:505]
        assert not joined(outcome(server(), framed(kind, body)))
        assert not joined(outcome(client(), framed(kind, body)))
        assert not joined(outcome(server(), taped[HELLO], framed(kind, body)))
        assert not joined(outcome(client(), taped[CHALLENGE], framed(kind, body)))


def mutated(rng: Random, data: bytes, others: bytes) -> bytes:
    """A few changes: bytes flipped, cut out, doubled, moved, put in from elsewhere."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        start = rng.randrange(len(changed) + 1)
        end = min(len(changed), start + rng.choice((1, 1, 2, 4, 32, 60)))
        match rng.randrange(5):
            case 0:
                for place in range(start, end):
                    changed[place] = rng.randrange(256)
            case 1:
                del changed[start:end]
            case 2:
                changed[start:start] = changed[start:end]
            case 3:
                place = rng.randrange(len(others))
                changed[start:end] = others[place : place + end - start]
            case _:
                changed[start:end] = rng.choice((b"\0", b"\xff", b"actk")) * (end - start)
    return bytes(changed)


def test_twenty_thousand_mutated_transcripts() -> None:
    """Of a transcript that would be accepted, no changed one is, to either side, and all that is raised is ProtocolError."""
    rng = Random(4369)
    taped = recorded()
    to_server, to_client = taped[HELLO] + taped[PROOF], taped[CHALLENGE] + taped[VERDICT]
    assert joined(outcome(server(), to_server))
    assert joined(outcome(client(), to_client))
    refused = 0
    for number in range(20_000):
        sound, others = (to_server, to_client) if number % 2 else (to_client, to_server)
        data = mutated(rng, sound, others)
        side = server() if number % 2 else client()
        cut = rng.randrange(len(data) + 1)
        result = outcome(side, data[:cut], data[cut:])
        refused += isinstance(result, ProtocolError)
        # What comes behind the last message is not the handshake's.
        assert joined(result) == data.startswith(sound)
    assert refused > 10_000


@pytest.mark.parametrize("start", [b"", recorded()[HELLO]])
def test_little_is_kept_of_much(start: bytes) -> None:
    """A flood costs no memory: not as garbage, not behind a sound beginning."""
    flood = start + bytes(4_000_000)
    side = server()
    tracemalloc.start()
    try:
        result = outcome(side, flood)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(result, ProtocolError)
    assert peak < 100_000


def test_every_512_bytes_bring_an_answer_or_an_error() -> None:
    """Nobody can make a node wait for more than one message's worth of bytes."""
    for length in range(600):
        data = b"actk" + struct.pack("<BH", HELLO, length) + bytes(MESSAGE_LIMIT)
        with pytest.raises(ProtocolError):
            feed(server(), data[:MESSAGE_LIMIT], bytewise)
