"""TLS between nodes: version 1.3, a certificate on both sides, one private authority.

It lies beneath the handshake, which still proves the secret: TLS adds secrecy, and that a name cannot be taken by another node
that knows the key. There are no options, since each would be a way to be less safe. System-wide authorities are not asked:
whoever can get a certificate for some host on the internet is not therefore a node of yours.

A node's certificate carries the node's whole name as a DNS entry of its ``subjectAltName``, compared character for character:
no wildcards, no common name. When the handshake has told who is there, ``verify_peer`` holds the certificate against it.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from actorkit.errors import ActorkitError, ProtocolError


class TlsFileError(ActorkitError):
    """A certificate, key or authority cannot be used; the text names the file and what is wrong with it."""


@attrs.frozen
class Tls:
    """The files, in PEM, that make a node known to others and others to it.

    Attributes:
        certificate: this node's, followed by those between it and the authority, if any.
        key: the private key of ``certificate``, without a passphrase.
        authority: the certificates of those whose signature makes a node.
    """

    certificate: Path = attrs.field()
    key: Path = attrs.field()
    authority: Path = attrs.field()

    def client(self) -> ssl.SSLContext:
        """For connections that this node dials.

        Raises:
            TlsFileError: one of the files is missing, or is not what it should be.
        """
        # The host is no node: who must answer is known after the handshake, to verify_peer.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        return self._equip(context)

    def server(self) -> ssl.SSLContext:
        """For connections that this node accepts.

        Raises:
            TlsFileError: one of the files is missing, or is not what it should be.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # A resumed session would not look at certificates again, and nodes connect seldom.
        context.num_tickets = 0
        return self._equip(context)

    def _equip(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        for path, what in (
            (self.certificate, "certificate"),
            (self.key, "private key"),
            (self.authority, "authority"),
        ):
            _check_readable(path, what)
        self._load_own(context)
        self._load_authority(context)
        return context

    def _load_own(self, context: ssl.SSLContext) -> None:
        def no_passphrase() -> str:
            # Without this, OpenSSL asks at the terminal, and the node waits for ever.
            raise TlsFileError(
                f"the private key {self.key} has a passphrase: store it without one, in a file of mode 600"
            )

        try:
            context.load_cert_chain(self.certificate, self.key, no_passphrase)
        except ssl.SSLError as error:
            raise TlsFileError(
                f"the certificate {self.certificate} and the private key {self.key} cannot be used together: "
                f"{_reason(error)}"
            ) from error

    def _load_authority(self, context: ssl.SSLContext) -> None:
        try:
            context.load_verify_locations(self.authority)
        except ssl.SSLError as error:
            raise TlsFileError(
                f"the authority {self.authority} is no file of certificates in PEM: {_reason(error)}"
            ) from error


def verify_peer(certificate: Mapping[str, Any] | None, name: str) -> None:
    """Check that a certificate, as ``getpeercert()`` gives it, is that of the node called ``name``.

    Raises:
        ProtocolError: there is none, or it is somebody else's.
    """
    if not certificate:
        raise ProtocolError(f"{name!r} showed no certificate that was verified")
    names = sorted(_dns_names(certificate.get("subjectAltName", ())))
    if name not in names:
        raise ProtocolError(
            f"the certificate shown is for {', '.join(map(repr, names)) or 'no node'}, not for {name!r}: "
            f"issue one with subjectAltName DNS:{name}"
        )


def _dns_names(entries: Iterable[tuple[str, str]]) -> Iterable[str]:
    return (value for kind, value in entries if kind == "DNS")


def _check_readable(path: Path, what: str) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        said = error.strerror or str(error)
        raise TlsFileError(f"the {what} {path} cannot be read: {said}") from error


def _reason(error: ssl.SSLError) -> str:
    # The text may be "[SSL: KEY_VALUES_MISMATCH] key values mismatch (_ssl.c:4149)", or no more than "[SSL] PEM lib (...)".
    return (
        error.reason.lower().replace("_", " ") if error.reason else "it holds no PEM of that kind"
    )
