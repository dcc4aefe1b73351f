"""Only nodes with a certificate of our authority talk, in TLS 1.3, and each only under its own name."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from trio.testing import memory_stream_pair

from actorkit.cluster.tls import Tls, TlsFileError, verify_peer
from actorkit.errors import ActorkitError, ProtocolError

OURS, OTHERS = trustme.CA(), trustme.CA()
Stream = trio.SSLStream[trio.StapledStream[Any, Any]]


def files(root: Path, name: str, authority: trustme.CA = OURS, signer: trustme.CA = OURS) -> Tls:
    """The files of a node."""
    tls = Tls(root / f"{name}.pem", root / f"{name}.key", root / f"{name}-authority.pem")
    issued = signer.issue_cert(name)
    issued.cert_chain_pems[0].write_to_path(tls.certificate)
    issued.private_key_pem.write_to_path(tls.key)
    authority.cert_pem.write_to_path(tls.authority)
    return tls


async def greet(stream: Stream, end: list[Any]) -> None:
    """Shake hands and exchange a word; ``end`` gets the certificate seen and the word, or the error."""
    try:
        await stream.do_handshake()
        # In TLS 1.3 a client hears only now that its certificate was not wanted.
        await stream.send_all(b"hello")
        word = await stream.receive_some(5)
        end.extend([stream.getpeercert(), word])
    except (trio.BrokenResourceError, ssl.SSLError) as error:
        end.append(error)
        await trio.aclose_forcefully(stream)


async def connect(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[list[Any], list[Any]]:
    """What client and server got of each other."""
    ends: tuple[list[Any], list[Any]] = ([], [])
    dialled, accepted = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(greet, trio.SSLStream(dialled, client), ends[0])
        nursery.start_soon(greet, trio.SSLStream(accepted, server, server_side=True), ends[1])
    return ends


def reason(end: list[Any]) -> str:
    """Why it failed, as TLS says it."""
    (error,) = end
    assert isinstance(error, Exception)
    cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
    return str(cause)


# Connections ------------------------------------------------------------------------------------------------------


async def test_two_of_ours_talk(tmp_path: Path) -> None:
    """Both see the other's certificate, and it is that of the node it says."""
    at_client, at_server = await connect(
        files(tmp_path, "a").client(), files(tmp_path, "b").server()
    )
    assert (at_client[1], at_server[1]) == (b"hello", b"hello")
    verify_peer(at_client[0], "b")
    verify_peer(at_server[0], "a")


async def test_another_name_is_refused(tmp_path: Path) -> None:
    """A node with the certificate of another is not taken for it, by either side."""
    at_client, at_server = await connect(
        files(tmp_path, "a").client(), files(tmp_path, "b").server()
    )
    for certificate, expected in ((at_client[0], "c"), (at_server[0], "b")):
        with pytest.raises(ProtocolError, match=f"not for '{expected}': issue one"):
            verify_peer(certificate, expected)


async def test_a_client_without_a_certificate_is_refused(tmp_path: Path) -> None:
    """TLS alone is not enough: the server asks, and insists."""
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    OURS.configure_trust(bare)
    at_client, at_server = await connect(bare, files(tmp_path, "b").server())
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in reason(at_server)
    assert isinstance(at_client[0], Exception)


async def test_a_client_of_another_authority_is_refused(tmp_path: Path) -> None:
    """Even under the right name, and even if it trusts us."""
    stranger = files(tmp_path, "a", authority=OURS, signer=OTHERS)
    at_client, at_server = await connect(stranger.client(), files(tmp_path, "b").server())
    assert "CERTIFICATE_VERIFY_FAILED" in reason(at_server)
    assert isinstance(at_client[0], Exception)


async def test_a_server_of_another_authority_is_refused(tmp_path: Path) -> None:
    """The client looks as closely as the server does."""
    stranger = files(tmp_path, "b", authority=OURS, signer=OTHERS)
    at_client, at_server = await connect(files(tmp_path, "a").client(), stranger.server())
    assert "CERTIFICATE_VERIFY_FAILED" in reason(at_client)
    assert isinstance(at_server[0], Exception)


@pytest.mark.parametrize("old_side", ["client", "server"])
async def test_older_versions_are_refused(tmp_path: Path, old_side: str) -> None:
    """TLS 1.2 is not spoken, with whatever certificate."""
    client, server = files(tmp_path, "a").client(), files(tmp_path, "b").server()
    old = client if old_side == "client" else server
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    ends = await connect(client, server)
    assert "UNSUPPORTED_PROTOCOL" in reason(ends[1])
    assert isinstance(ends[0][0], Exception)


@pytest.mark.parametrize("make", [Tls.client, Tls.server])
def test_contexts_are_as_strict_as_they_say(
    tmp_path: Path, make: Callable[[Tls], ssl.SSLContext]
) -> None:
    """Version 1.3, certificates required, and one authority: ours, and none of the system's."""
    context = make(files(tmp_path, "a"))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_mode is ssl.CERT_REQUIRED
    # Tickets would let a session be resumed without a look at the certificates.
    assert make is Tls.client or context.num_tickets == 0
    assert context.cert_store_stats()["x509"] == 1
    (authority,) = context.get_ca_certs(binary_form=True)
    assert authority == ssl.PEM_cert_to_DER_cert(OURS.cert_pem.bytes().decode())


# Names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "worker-1", "a@127.0.0.1:4000", "a@[::1]:4000"])
def test_the_whole_name_counts(name: str) -> None:
    """It is one of the certificate's DNS names, character for character."""
    verify_peer({"subjectAltName": (("DNS", "other"), ("DNS", name))}, name)


@pytest.mark.parametrize(
    "certificate",
    [
        {"subject": ((("commonName", "a"),),)},
        {"subjectAltName": (("DNS", "A"),)},
        {"subjectAltName": (("DNS", "*"),)},
        {"subjectAltName": (("DNS", "a.example"),)},
        {"subjectAltName": (("email", "a"), ("IP Address", "a"), ("URI", "a"))},
    ],
)
def test_nothing_else_is_a_name(certificate: dict[str, Any]) -> None:
    """No common name, no wildcard, no other case, no other kind."""
    with pytest.raises(ProtocolError, match="not for 'a': issue one with subjectAltName DNS:a"):
        verify_peer(certificate, "a")


@pytest.mark.parametrize("certificate", [None, {}])
def test_no_certificate_is_no_name(certificate: dict[str, Any] | None) -> None:
    """None was shown, or one was shown that nobody has verified: ``getpeercert()`` has it empty then."""
    with pytest.raises(ProtocolError, match="'a' showed no certificate that was verified"):
        verify_peer(certificate, "a")


# Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["certificate", "key", "authority"])
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, field: str) -> None:
    """One error that names the file, whether it is missing, empty, nonsense or a directory."""
    good = files(tmp_path, "a")
    bad = tmp_path / "bad"
    wrong = attrs.evolve(good, **{field: bad})
    for spoil in (
        lambda: None,
        bad.touch,
        lambda: bad.write_text("nonsense"),
        lambda: spoiled(bad),
    ):
        spoil()
        for make in (wrong.client, wrong.server):
            with pytest.raises(TlsFileError, match=f"{bad}") as caught:
                make()
            assert isinstance(caught.value, ActorkitError)


def spoiled(path: Path) -> None:
    """A directory where a file was."""
    path.unlink()
    path.mkdir()


def test_a_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    """Both files are good, but not for each other."""
    a, b = files(tmp_path, "a"), files(tmp_path, "b")
    with pytest.raises(TlsFileError, match=r"cannot be used together: key values mismatch"):
        attrs.evolve(a, key=b.key).client()


def test_nobody_is_asked_for_a_passphrase(tmp_path: Path) -> None:
    """A node must not wait at a terminal where nobody sits."""
    tls = files(tmp_path, "a")
    key = load_pem_private_key(tls.key.read_bytes(), None)
    how = (Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    tls.key.write_bytes(key.private_bytes(*how))
    with pytest.raises(TlsFileError, match="has a passphrase: store it without one"):
        tls.client()
